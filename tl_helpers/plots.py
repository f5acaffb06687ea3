"""The book's figures: one function a figure, one style.

The style lives inside a context, so importing this module changes nothing. Colours are those of Okabe and Ito
(distinguishable with every common colour vision deficiency); each also has a marker and a dash. The ground is white,
so that a figure stays legible on a dark page. Taught in: every chapter that shows a figure.
"""

import functools
import io
from dataclasses import dataclass

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from tl_helpers.measures import paired_interval

WIDTH = 6.4  # inches; 614 CSS pixels on a page
COLOURS = 256  # of a figure on a page: a third of the bytes, and enough for photographs of 32 × 32 pixels
STYLE = {
    "font.size": 10,
    "axes.titlesize": 10,
    "text.color": "#222222",
    "axes.labelcolor": "#222222",
    "axes.edgecolor": "#666666",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "hatch.color": "#8a8a8a",
    "hatch.linewidth": 0.7,
}


@dataclass(frozen=True)
class Ink:
    """What tells one series from another: a colour, a marker and a dash."""

    colour: str
    marker: str
    dash: str | tuple


INKS = (
    Ink("#0072B2", "o", "-"),
    Ink("#D55E00", "s", (0, (5, 1.5))),
    Ink("#009E73", "^", (0, (3, 1, 1, 1))),
    Ink("#CC79A7", "D", (0, (1.5, 1))),
    Ink("#E69F00", "v", (0, (7, 1.5, 1, 1.5))),
    Ink("#56B4E9", "P", (0, (4, 1, 1, 1, 1, 1))),
    Ink("#000000", "X", (0, (1, 2))),
)


class BookFigure(Figure):
    """A Matplotlib figure that a notebook shows twice as sharp as it is wide on the page, in few colours."""

    def _repr_mimebundle_(self, include=None, exclude=None):
        drawn, png = io.BytesIO(), io.BytesIO()
        with style.context(["default", STYLE]):  # Matplotlib makes the ticks only now
            self.savefig(drawn, format="png", dpi=192)
        picture = Image.open(drawn).convert("RGB")
        picture.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(png, "PNG", optimize=True)
        return {"image/png": png.getvalue()}, {"image/png": {"width": round(96 * self.get_figwidth())}}


def styled(function):
    """Run a figure function inside the book's style, whatever the reader's own Matplotlib settings are."""

    @functools.wraps(function)
    def inside(*args, **kwargs):
        with style.context(["default", STYLE]):
            return function(*args, **kwargs)

    return inside


def sheet(height, *, rows=1, columns=1, width=WIDTH, **subplots):
    """Make an empty figure and its axes; call it inside a function that is `styled`.

    Parameters
    ----------
    height, width : float
        Inches.
    rows, columns : int
    **subplots
        Passed on to ``Figure.subplots``.

    Returns
    -------
    BookFigure
    matplotlib.axes.Axes or ndarray of Axes
        Without the 1-sized dimensions, as Matplotlib does it.

    Notes
    -----
    Taught in: no chapter (a tool for adding a figure).
    """
    figure = BookFigure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **subplots)


def inks(labels):
    """Give each label its ink, in order: the same list of labels looks the same in every figure of a page.

    Parameters
    ----------
    labels : iterable of str

    Returns
    -------
    dict of str to Ink

    Raises
    ------
    ValueError
        If there are no labels, or more than there are inks.

    Notes
    -----
    Taught in: no chapter (a tool for adding a figure).
    """
    labels = list(labels)
    if not 1 <= len(labels) <= len(INKS):
        raise ValueError(f"Expected 1 to {len(INKS)} series in one figure, found {len(labels)}. Use two figures.")
    return dict(zip(labels, INKS, strict=False))


@styled
def image_grid(images, captions=None, columns=10):
    """Show images side by side, pixel by pixel.

    Parameters
    ----------
    images : ndarray, shape (N, H, W) or (N, H, W, 3), uint8 or float in [0, 1]
    captions : sequence of str, optional
        One a picture, written above it.
    columns : int

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If there is no image, or not one caption an image.

    Notes
    -----
    Taught in: chapter 1 (Background).
    """
    if len(images) == 0:
        raise ValueError("Expected at least one image, found none.")
    if captions is not None and len(captions) != len(images):
        raise ValueError(f"Expected one caption an image ({len(images)}), found {len(captions)}.")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    cell = WIDTH / columns
    figure, axes = sheet(rows * (cell + (0.22 if captions else 0)), rows=rows, columns=columns, squeeze=False)
    for position, axis in enumerate(axes.flat):
        axis.set_axis_off()
        if position < len(images):
            highest = 255 if np.asarray(images).dtype == np.uint8 else 1
            axis.imshow(images[position], cmap="gray", vmin=0, vmax=highest, interpolation="nearest")
            if captions is not None:
                axis.set_title(str(captions[position]), fontsize=min(10, 9 * cell + 2))
    return figure


@styled
def timeline(events, height=7.0):
    """Draw dated events on a vertical axis, true to scale, with the labels spread so that they do not overlap.

    Parameters
    ----------
    events : sequence of (float, str, str)
        Year, field and text; the field decides colour and marker.
    height : float
        Inches.

    Returns
    -------
    BookFigure

    Notes
    -----
    Taught in: chapter 1 (Background).
    """
    events = sorted(events)
    years = np.array([year for year, _, _ in events], float)
    span = max(years[-1] - years[0], 1.0)
    look = inks(dict.fromkeys(field for _, field, _ in events))
    figure, axis = sheet(height)
    axis.set_axis_off()
    axis.plot([0, 0], [years[0], years[-1]], color="#888888", linewidth=1.5, zorder=1)
    places = _spread(years, span / (height * 3.0))
    for (year, field, text), place in zip(events, places, strict=True):
        ink = look[field]
        axis.plot([0.0, 0.03, 0.09, 0.12], [year, year, place, place], color="#b0b0b0", linewidth=0.9, zorder=0)
        axis.plot([0], [year], "o", color="#888888", markersize=5)
        axis.plot([0.12], [place], ink.marker, color=ink.colour, markersize=8)
        axis.text(0.15, place, f"{year:g}", va="center", weight="bold")
        axis.text(0.24, place, text, va="center")
    for field, ink in look.items():
        axis.plot([], [], ink.marker, color=ink.colour, markersize=8, label=field)
    margin = span * 0.03
    axis.set(xlim=(-0.02, 1), ylim=(max(years[-1], places[-1]) + margin, min(years[0], places[0]) - margin))
    figure.legend(loc="outside upper left", ncols=len(look), columnspacing=1.2, handletextpad=0.2)
    return figure


def _spread(places, gap):
    """Move sorted places apart to at least `gap`, as little as possible (pool adjacent violators), order kept."""
    blocks = []
    for place in np.asarray(places, float) - gap * np.arange(len(places)):
        blocks.append([place, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, count = blocks.pop()
            blocks[-1] = [
                (blocks[-1][0] * blocks[-1][1] + mean * count) / (blocks[-1][1] + count),
                blocks[-1][1] + count,
            ]
    return np.concatenate([[mean] * count for mean, count in blocks]) + gap * np.arange(len(places))


FROM_SOURCE, RANDOM_START, UPDATED, FROZEN, AT_REST = "////", (0, (3, 2)), "#FBD9B5", "#BBDDF0", "#ffffff"
_PHASES = (
    ("1  Pre-training", "many labelled source images", ["trained"] * 4),
    ("2  Transfer", "nothing is trained yet", ["copied", "copied", "copied", "new"]),
    ("3  Fine-tuning", "few labelled target images", ["frozen", "fine-tuned", "fine-tuned", "trained"]),
)


@styled
def three_phases():
    """Draw pre-training, transfer and fine-tuning of one network: what is copied, what is frozen, what is new.

    Hatching means that the weights came from the source, a dashed edge that they started random, the fill whether this
    phase updates them.

    Returns
    -------
    BookFigure

    Notes
    -----
    Taught in: chapter 2 (Core concepts).
    """
    figure, axis = sheet(5.2)
    axis.set(xlim=(0, 10), ylim=(0.1, 8.8))
    axis.set_axis_off()
    for row, (name, data, states) in enumerate(_PHASES):
        low = 6.5 - 3.1 * row
        copied = 3 if row else 0
        _network(axis, low, name, data, states, copied)
        for left in [0.45 + 2.6 * column for column in range(copied)]:
            axis.annotate("", (left, low + 1.42), (left, low + 3.08), arrowprops=_ARROW)
    return figure


_METHODS = (
    ("3.1  Feature extraction", "only the head is trained", ["frozen", "frozen", "frozen", "trained"], 3),
    ("3.2  Parameter transfer", "the copied layers are trained further", ["fine-tuned"] * 3 + ["trained"], 3),
    ("3.3  Knowledge transfer", "trained under a rule or a constraint", ["trained"] * 4, 0),
)


@styled
def three_methods():
    """Draw the three methods on one network: what is copied, what is frozen, what is trained, and under what.

    Hatching means that the weights came from the source, a dashed edge that they started random (knowledge transfer can
    start either way), the fill whether training updates them.

    Returns
    -------
    BookFigure

    Notes
    -----
    Taught in: chapter 3 (The three methods).
    """
    figure, axis = sheet(5.6)
    axis.set(xlim=(0, 10), ylim=(-0.9, 8.8))
    axis.set_axis_off()
    for row, method in enumerate(_METHODS):
        _network(axis, 6.5 - 2.75 * row, *method)
    axis.add_patch(Rectangle((0.1, -0.75), 9.8, 0.95, facecolor="#EEE8F4", edgecolor="#333333", linewidth=1.2))
    axis.text(
        5.0,
        -0.28,
        "a term in the loss: the source's weights or maps, a teacher's outputs, a rule",
        ha="center",
        va="center",
    )
    axis.annotate("", (5.0, 0.98), (5.0, 0.2), arrowprops=_ARROW)
    return figure


def _network(axis, low, name, note, states, copied):
    """Draw conv1 to head from left to right, the first `copied` of them from the source, with a line of text above."""
    fills = {"trained": UPDATED, "fine-tuned": UPDATED, "frozen": FROZEN, "copied": AT_REST, "new": AT_REST}
    axis.text(0.7, low + 1.75, name, weight="bold", fontsize=11.5)
    axis.text(9.9, low + 1.75, note, ha="right", color="#444444")
    for column, (layer, state) in enumerate(zip(("conv1", "conv2", "conv3", "head"), states, strict=True)):
        left = 0.1 + 2.6 * column
        _box(axis, (left, low), f"{layer}\n{state}", fills[state], column < copied)
        if column:
            axis.annotate("", (left, low + 0.7), (left - 0.6, low + 0.7), arrowprops=_ARROW)


_ARROW = {"arrowstyle": "-|>", "color": "#444444", "shrinkA": 0, "shrinkB": 0}


def _box(axis, corner, text, fill, copied):
    axis.add_patch(
        Rectangle(
            corner,
            2.0,
            1.4,
            facecolor=fill,
            edgecolor="#333333",
            linewidth=1.4,
            hatch=FROM_SOURCE if copied else None,
            linestyle="-" if copied else RANDOM_START,
        )
    )
    backing = {"facecolor": fill, "edgecolor": "none", "pad": 1.5}
    axis.text(corner[0] + 1.0, corner[1] + 0.7, text, ha="center", va="center", bbox=backing, linespacing=1.35)


@styled
def domain_and_task(rows, source="source", target="target"):
    """Set source and target side by side: domain (space, distribution) and task (labels, conditional).

    Parameters
    ----------
    rows : sequence of four (str, str, bool)
        What 𝒳, P(X), 𝒴 and P(y|x) are in the source and in the target, and whether they are equal.
    source, target : str
        Names of the two sides.

    Returns
    -------
    BookFigure

    Notes
    -----
    Definition of Pan and Yang (2010), section 2.2. Taught in: chapter 2 (Core concepts).
    """
    figure, axis = sheet(3.9)
    axis.set(xlim=(0, 10), ylim=(0, 8.2))
    axis.set_axis_off()
    for x, name in ((3.3, source), (8.0, target)):
        axis.text(x, 7.75, name, ha="center", va="center", weight="bold", fontsize=11.5)
    symbols = (r"$\mathcal{X}$", "$P(X)$", r"$\mathcal{Y}$", r"$P(y\,|\,x)$")
    for row, (symbol, (left, right, equal)) in enumerate(zip(symbols, rows, strict=True)):
        low = 5.75 - 1.75 * row - (0.3 if row > 1 else 0)
        colour = FROZEN if equal else UPDATED
        axis.text(0.05, low + 0.7, symbol, va="center", fontsize=12)
        for x, text in ((1.4, left), (6.1, right)):
            axis.add_patch(Rectangle((x, low), 3.8, 1.4, facecolor=colour, edgecolor="#333333", linewidth=1.2))
            axis.text(x + 1.9, low + 0.7, text, ha="center", va="center", fontsize=9.5)
        axis.text(5.65, low + 0.7, "=" if equal else "≠", ha="center", va="center", fontsize=16, weight="bold")
    axis.axhline(3.68, color="#888888", linewidth=1, linestyle=(0, (4, 3)))
    return figure


@styled
def pixel_histograms(sets, bins=32):
    """Compare how often each grey value occurs in several sets of images.

    Parameters
    ----------
    sets : mapping of str to ndarray, uint8
    bins : int
        Number of equal bins over 0 to 255.

    Returns
    -------
    BookFigure

    Notes
    -----
    Taught in: chapter 2 (Core concepts).
    """
    figure, axis = sheet(2.9)
    edges = np.linspace(0, 256, bins + 1)
    for name, ink in inks(sets).items():
        share = np.histogram(sets[name], edges)[0] / np.size(sets[name])
        axis.stairs(share, edges, color=ink.colour, linestyle=ink.dash, linewidth=1.8, baseline=None, label=name)
    axis.set(xlabel="pixel value (0 black, 255 white)", ylabel="share of pixels", yscale="log", xlim=(0, 256))
    axis.legend()
    return figure


@styled
def learning_curves(histories):
    """Draw training loss and validation accuracy over the optimiser's steps.

    Parameters
    ----------
    histories : mapping of str to History
        Each with sequences ``steps``, ``loss`` and ``validation_accuracy`` (the last may be empty).

    Returns
    -------
    BookFigure

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    figure, (top, bottom) = sheet(4.6, rows=2, sharex=True)
    for name, ink in inks(histories).items():
        history = histories[name]
        line = {"color": ink.colour, "linestyle": ink.dash, "marker": ink.marker, "markersize": 4, "label": name}
        top.plot(history.steps, history.loss, **line)
        if len(history.validation_accuracy):
            bottom.plot(history.steps, history.validation_accuracy, **line)
    top.set(ylabel="training loss (nats)", ylim=(0, None))
    bottom.set(xlabel="steps", ylabel="validation accuracy")
    figure.legend(*top.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def mean_interval(values, confidence=0.95):
    """Estimate a mean and the half-width of its confidence interval (Student's t over independent values).

    Parameters
    ----------
    values : sequence of float, shape (S,)
        One value a seed.
    confidence : float

    Returns
    -------
    mean, half_width : float
        ``half_width`` is 0 for a single value: nothing is known of its spread.

    Notes
    -----
    Taught in: chapter 1 (Background).
    """
    values = np.asarray(values, float)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"Expected a list of finite numbers, one a seed; found {values!r}.")
    if values.size == 1:
        return float(values[0]), 0.0
    interval = paired_interval(values, np.zeros_like(values), confidence)
    return interval.mean, interval.high - interval.mean


@styled
def label_efficiency(arms, ylabel="test accuracy", chance=None):
    """Draw accuracy against the number of labels per class: mean, 95 % interval and every seed.

    Parameters
    ----------
    arms : mapping of str to mapping of int to sequence of float
        Arm to labels per class to one accuracy a seed.
    ylabel : str
    chance : float, optional
        Accuracy of guessing, drawn as a line.

    Returns
    -------
    BookFigure

    Notes
    -----
    Taught in: chapter 1 (Background).
    """
    many = len(arms) > 3  # more names than an empty corner holds
    figure, axis = sheet(4.2 if many else 3.4)
    for name, ink in inks(arms).items():
        counts = sorted(arms[name])
        means, halves = np.transpose([mean_interval(arms[name][count]) for count in counts])
        for count in counts:
            axis.plot(
                [count] * len(arms[name][count]), arms[name][count], ".", color=ink.colour, alpha=0.35, markersize=5
            )
        axis.fill_between(counts, means - halves, means + halves, color=ink.colour, alpha=0.15, linewidth=0)
        axis.plot(counts, means, color=ink.colour, linestyle=ink.dash, marker=ink.marker, label=name)
    if chance is not None:
        axis.axhline(chance, color="#666666", linewidth=1, linestyle=":", label="guessing")
    ticks = sorted({count for arm in arms.values() for count in arm})
    axis.set(xscale="log", xlabel="labels per class", ylabel=ylabel)
    axis.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
    axis.set_xticks([], minor=True)
    if many:
        figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    else:
        axis.legend(loc="upper left")
    return figure


@styled
def intervals(arms, xlabel="test accuracy", reference=None):
    """Compare arms: one row each with the mean, its 95 % interval and every seed as a small dot.

    Parameters
    ----------
    arms : mapping of str to sequence of float
        One value a seed, first arm on top.
    xlabel : str
    reference : float, optional
        A vertical line, for instance 0 for differences.

    Returns
    -------
    BookFigure

    Notes
    -----
    Student's t over the seeds; an arm with one seed gets no interval. Taught in: chapter 2 (Core concepts).
    """
    figure, axis = sheet(0.9 + 0.42 * len(arms))
    if reference is not None:
        axis.axvline(reference, color="#444444", linewidth=1.2, linestyle=(0, (4, 3)))
    for row, values in enumerate(arms.values()):
        ink = INKS[row % len(INKS)]
        mean, half = mean_interval(values)
        heights = row + 0.22 + 0.06 * (np.arange(len(values)) % 3 - 1)  # dots of equal values stay apart
        axis.plot(values, heights, ".", color=ink.colour, alpha=0.45, markersize=5)
        axis.errorbar([mean], [row], xerr=[half], fmt=ink.marker, color=ink.colour, capsize=4, markersize=7)
    axis.set(xlabel=xlabel, ylim=(len(arms) - 0.4, -0.6))
    axis.set_yticks(range(len(arms)), list(arms))
    axis.grid(axis="y", visible=False)
    return figure


@styled
def confusion(matrix, names):
    """Draw a confusion matrix: each row's shares as shades, the errors as counts.

    Parameters
    ----------
    matrix : ndarray, shape (K, K), int
        Row: true class, column: predicted class.
    names : sequence of str

    Returns
    -------
    BookFigure

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    matrix = np.asarray(matrix)
    figure, axis = sheet(5.4)
    axis.imshow(matrix / np.maximum(matrix.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(matrix > 0):
        colour = "white" if row == column else "#222222"
        axis.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=8, color=colour)
    turned = 45 if max(map(len, names)) > 2 else 0
    axis.set_xticks(range(len(names)), names, rotation=turned, ha="right" if turned else "center")
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="predicted class", ylabel="true class")
    axis.grid(visible=False)
    return figure


@styled
def activation_maps(layers, channels=8):
    """Show what layers make of one image: the channels that vary most, one row a layer, each map scaled by itself.

    Parameters
    ----------
    layers : mapping of str to ndarray, shape (H, W, C), float
        Layer name to its activations for one image.
    channels : int
        Maps shown of each layer.

    Returns
    -------
    BookFigure

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    figure, axes = sheet(1.05 * len(layers), rows=len(layers), columns=channels, squeeze=False)
    for row, (name, maps) in zip(axes, layers.items(), strict=True):
        strongest = np.argsort(-maps.std((0, 1)), kind="stable")[:channels]
        for axis in row:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        for axis, channel in zip(row, strongest, strict=False):
            axis.imshow(maps[..., channel], cmap="viridis", interpolation="nearest")
        row[0].set_ylabel(f"{name}\n{maps.shape[0]} × {maps.shape[1]}")
    return figure


@styled
def layer_sweep(panels, ylabel="test accuracy", baseline=None):
    """Draw accuracy against a number of layers, one panel a sweep: mean, 95 % interval and every seed.

    Parameters
    ----------
    panels : mapping of str to mapping of int to sequence of float
        What the panel counts (its x label) to number of layers to one accuracy a seed.
    ylabel : str
    baseline : (str, float), optional
        Name and mean of an arm without the choice that is swept, drawn as a line in every panel.

    Returns
    -------
    BookFigure

    Notes
    -----
    Taught in: chapter 3.2 (Parameter transfer).
    """
    figure, axes = sheet(3.1, columns=len(panels), sharey=True, squeeze=False)
    for axis, (name, ink) in zip(axes.flat, inks(panels).items(), strict=True):
        depths = sorted(panels[name])
        means, halves = np.transpose([mean_interval(panels[name][depth]) for depth in depths])
        for depth in depths:
            values = panels[name][depth]
            axis.plot([depth + 0.08] * len(values), values, ".", color=ink.colour, alpha=0.45, markersize=6)
        if baseline is not None:
            axis.axhline(baseline[1], color="#444444", linewidth=1.2, linestyle=(0, (4, 3)), label=baseline[0])
        axis.errorbar(depths, means, yerr=halves, color=ink.colour, linestyle=ink.dash, marker=ink.marker, capsize=4)
        axis.set(xlabel=name, xticks=depths, xlim=(depths[0] - 0.3, depths[-1] + 0.3))
    axes.flat[0].set_ylabel(ylabel)
    if baseline is not None:
        axes.flat[0].legend(loc="lower right")
    return figure


@styled
def transfer_plans(plans, layers=("conv1", "conv2", "conv3", "head")):
    """Draw where each layer of several networks starts from, and whether training changes it.

    Hatching and the word say which network the weights were copied from, a dashed edge that the layer is new, the fill
    whether training updates it.

    Parameters
    ----------
    plans : mapping of str to (str, int, int)
        Name to (base network, layers copied from it, layers frozen). Without copied layers the base does not matter.
    layers : sequence of str

    Returns
    -------
    BookFigure

    Notes
    -----
    Taught in: chapter 3.2 (Parameter transfer).
    """
    figure, axis = sheet(0.5 + 0.72 * len(plans))
    axis.set(xlim=(-2.6, 2.5 * len(layers) - 0.2), ylim=(-0.3, 2.0 * len(plans)))
    axis.set_axis_off()
    bases = dict.fromkeys(base for base, copied, _ in plans.values() if copied)
    hatches = dict(zip(bases, (FROM_SOURCE, "....", "xxxx"), strict=False))
    for row, (name, (base, copied, frozen)) in enumerate(plans.items()):
        low = 2.0 * (len(plans) - 1 - row)
        axis.text(-2.5, low + 0.7, name, va="center", weight="bold")
        for column, layer in enumerate(layers):
            start = f"from {base}" if column < copied else "new"
            fill = FROZEN if column < frozen else UPDATED
            hatch = hatches[base] if column < copied else None
            _plan_box(axis, (2.5 * column, low), f"{layer}\n{start}", fill, hatch)
    for label, fill in (("frozen", FROZEN), ("trained", UPDATED)):
        axis.add_patch(Rectangle((0, 0), 0, 0, facecolor=fill, edgecolor="#333333", label=label))
    figure.legend(loc="outside upper right", ncols=2)
    return figure


def _plan_box(axis, corner, text, fill, hatch):
    edge = "-" if hatch else RANDOM_START
    look = {"facecolor": fill, "edgecolor": "#333333", "linewidth": 1.3, "hatch": hatch, "linestyle": edge}
    axis.add_patch(Rectangle(corner, 2.2, 1.5, **look))
    backing = {"facecolor": fill, "edgecolor": "none", "pad": 1.2}
    middle = corner[0] + 1.1, corner[1] + 0.75
    axis.text(*middle, text, ha="center", va="center", bbox=backing, linespacing=1.2, fontsize=9)


@styled
def probability_bars(rows, names):
    """Draw one probability distribution a row over the same classes, the largest value written above its bar.

    Parameters
    ----------
    rows : mapping of str to ndarray, shape (K,), float
        Row's name to probabilities.
    names : sequence of K str

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If a row has not one number a class.

    Notes
    -----
    Taught in: chapter 3.3 (Knowledge transfer).
    """
    figure, axes = sheet(0.5 + 1.05 * len(rows), rows=len(rows), sharex=True, sharey=True, squeeze=False)
    for axis, (name, values) in zip(axes.flat, rows.items(), strict=True):
        if np.shape(values) != (len(names),):
            raise ValueError(f"Expected {len(names)} probabilities for {name!r}, found shape {np.shape(values)}.")
        axis.bar(range(len(names)), values, color=INKS[0].colour, width=0.7)
        top = int(np.argmax(values))
        axis.text(top, values[top] + 0.03, f"{values[top]:.2f}", ha="center", va="bottom", fontsize=9)
        axis.set_ylabel(name)
        axis.grid(axis="x", visible=False)
    axes[-1, 0].set(xlabel="class", ylim=(0, 1.25), yticks=(0, 0.5, 1))
    axes[-1, 0].set_xticks(range(len(names)), names)
    return figure


@styled
def picture_rows(rows, captions=None):
    """Show rows of pictures, each scaled by itself: an image, and below it what several networks make of it.

    Parameters
    ----------
    rows : mapping of str to sequence of ndarray, shape (H, W) or (H, W, 3)
        Row's name to its pictures; the size may differ between rows.
    captions : sequence of str, optional
        One a column, written above it.

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If the rows, or the captions, are not equally many.

    Notes
    -----
    Taught in: chapter 3.3 (Knowledge transfer).
    """
    counts = {len(row) for row in rows.values()} | ({len(captions)} if captions is not None else set())
    if len(counts) != 1 or counts == {0}:
        raise ValueError(f"Expected as many pictures in every row, and as many captions; found {sorted(counts)}.")
    (columns,) = counts
    figure, axes = sheet((WIDTH - 0.9) / columns * len(rows) + 0.3, rows=len(rows), columns=columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for row, (name, pictures) in zip(axes, rows.items(), strict=True):
        row[0].set_ylabel(name)
        for axis, picture in zip(row, pictures, strict=True):
            axis.imshow(picture, cmap="viridis" if np.ndim(picture) == 2 else None, interpolation="nearest")
    for axis, caption in zip(axes[0], captions or [], strict=False):
        axis.set_title(caption)
    return figure


@styled
def strength_sweep(panels, xlabel="strength"):
    """Show what a strength changes: one panel a quantity, over the same strengths, a dot a seed and a line of means.

    Parameters
    ----------
    panels : mapping of str to mapping of float to sequence of float
        Name of the quantity to strength to one value a seed. Strengths are evenly spaced, in ascending order.
    xlabel : str

    Returns
    -------
    BookFigure

    Notes
    -----
    Taught in: chapter 3.3 (Knowledge transfer).
    """
    figure, axes = sheet(2.9, columns=len(panels), squeeze=False)
    for axis, (name, sweep), ink in zip(axes[0], panels.items(), INKS, strict=False):
        strengths = sorted(sweep)
        for place, strength in enumerate(strengths):
            axis.plot([place] * len(sweep[strength]), sweep[strength], ".", color=ink.colour, alpha=0.5, markersize=6)
        means = [np.mean(sweep[strength]) for strength in strengths]
        axis.plot(range(len(means)), means, color=ink.colour, linestyle=ink.dash, marker=ink.marker)
        axis.set_xticks(range(len(strengths)), [f"{strength:g}" for strength in strengths])
        axis.set(xlabel=xlabel, title=name)
    return figure


@styled
def channel_responses(images, maps, names, channels=3):
    """Show how the same channels respond to several images: compare the patterns down a column.

    Parameters
    ----------
    images : ndarray, shape (N, H, W, 3), uint8
        One row each.
    maps : mapping of str to ndarray, shape (N, h, w, C), float
        Layer name to its activations for the images. Of each layer the channels that vary most over all images are
        shown. The maps that a layer makes of one image share a scale, from 0 (black) to their largest value.
    names : sequence of str
        Names of the rows.
    channels : int
        Columns of each layer.

    Returns
    -------
    BookFigure

    Notes
    -----
    Taught in: chapter 3.1 (Feature extraction).
    """
    columns = 1 + channels * len(maps)
    figure, axes = sheet(0.3 + 0.95 * len(images), rows=len(images), columns=columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for row, (image, name) in enumerate(zip(images, names, strict=True)):
        axes[row, 0].imshow(image, interpolation="nearest")
        axes[row, 0].set_ylabel(name)
    axes[0, 0].set_title("image")
    for place, (layer, responses) in enumerate(maps.items()):
        strongest = np.argsort(-responses.std((0, 1, 2)), kind="stable")[:channels]
        part = axes[:, 1 + place * channels :]
        for axis, channel in zip(part[0], strongest, strict=False):
            axis.set_title(f"{layer}\nno. {channel}", fontsize=9)
        for row, response in zip(part, responses[..., strongest], strict=True):
            for axis, pattern in zip(row, np.moveaxis(response, -1, 0), strict=False):
                axis.imshow(pattern, cmap="magma", vmin=0, vmax=response.max(), interpolation="nearest")
    return figure


CLASS_COLOURS = (*(ink.colour for ink in INKS[:6]), "#882255", "#6B6B6B", "#8C510A", "#4B0092")


@styled
def projections(planes, labels, names):
    """Show two-dimensional projections side by side; each point is its class's name in its class's colour.

    Parameters
    ----------
    planes : mapping of str to ndarray, shape (N, 2), float
        Title to the points' coordinates.
    labels : ndarray, shape (N,), int
    names : sequence of str, at most 10
        Classes; the first character is drawn, so that no colour is needed to tell the points apart.

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If there are more classes than colours.

    Notes
    -----
    Taught in: chapter 3.1 (Feature extraction).
    """
    if len(names) > len(CLASS_COLOURS):
        raise ValueError(f"Expected at most {len(CLASS_COLOURS)} classes, found {len(names)}. Show some of them.")
    rows = -(-len(planes) // 2)
    figure, axes = sheet(3.1 * rows, rows=rows, columns=min(2, len(planes)), squeeze=False)
    for axis in axes.flat[len(planes) :]:
        axis.set_axis_off()
    for axis, (title, points) in zip(axes.flat, planes.items(), strict=False):
        for label, (name, colour) in enumerate(zip(names, CLASS_COLOURS, strict=False)):
            chosen = points[labels == label]
            axis.plot(*chosen.T, linestyle="", marker=f"${name[0]}$", color=colour, markeredgewidth=0.2, markersize=6.5)
        axis.set(title=title, xticks=[], yticks=[])
        axis.grid(visible=False)
    return figure


@styled
def cut_sweep(arms, layers, xlabel="cut after", ylabel="test accuracy"):
    """Draw a value for each layer of a network: mean, 95 % interval and every seed, one line an arm.

    Parameters
    ----------
    arms : mapping of str to mapping of str to sequence of float
        Arm to layer to one value a seed; an arm may lack layers.
    layers : sequence of str
        The axis, input first.
    xlabel, ylabel : str

    Returns
    -------
    BookFigure

    Notes
    -----
    Student's t over the seeds. Taught in: chapter 3.1 (Feature extraction).
    """
    figure, axis = sheet(3.5)
    offsets = np.linspace(-0.09, 0.09, len(arms)) if len(arms) > 1 else [0.0]  # so that intervals do not overlap
    for offset, (name, ink) in zip(offsets, inks(arms).items(), strict=True):
        present = [layer for layer in layers if layer in arms[name]]
        places = np.array([layers.index(layer) for layer in present]) + offset
        means, halves = np.transpose([mean_interval(arms[name][layer]) for layer in present])
        for place, layer in zip(places, present, strict=True):
            values = arms[name][layer]
            axis.plot([place] * len(values), values, ".", color=ink.colour, alpha=0.35, markersize=5)
        look = {"color": ink.colour, "linestyle": ink.dash, "marker": ink.marker}
        axis.errorbar(places, means, yerr=halves, capsize=3, elinewidth=1.2, label=name, **look)
    axis.set_xticks(range(len(layers)), layers)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


@styled
def difference_map(table, xlabel, ylabel="", unit="points"):
    """Map paired differences: violet above zero, orange below; in brackets where the interval includes zero.

    Parameters
    ----------
    table : pandas.DataFrame of measures.Interval
        Index: rows, first on top. Columns: what stands below. A missing value (None or NaN) leaves its field empty.
    xlabel, ylabel : str
    unit : str
        Of the means, for the colour bar.

    Returns
    -------
    BookFigure

    Notes
    -----
    Taught in: chapter 4.1 (Results).
    """
    found = table.map(lambda each: getattr(each, "mean", np.nan)).to_numpy(float)
    figure, axis = sheet(1.3 + 0.36 * len(table))
    most = np.nanmax(np.abs(found))
    picture = axis.imshow(found, cmap="PuOr", vmin=-most, vmax=most, aspect="auto")
    for (row, column), mean in np.ndenumerate(found):
        if np.isnan(mean):
            continue
        each = table.iat[row, column]
        text = f"{mean:+.1f}" if each.low > 0 or each.high < 0 else f"({mean:+.1f})"
        ink = "white" if abs(mean) > 0.62 * most else "#222222"
        axis.text(column, row, text, ha="center", va="center", fontsize=9, color=ink)
    axis.set_xticks(range(len(table.columns)), [str(name) for name in table.columns])
    axis.set_yticks(range(len(table)), [str(name) for name in table.index])
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    figure.colorbar(picture, ax=axis, label=unit, fraction=0.05, pad=0.02)
    return figure


@styled
def score_against_accuracy(points, xlabel, ylabel="test accuracy", named=True):
    """Set a score that needs no training against the accuracy that training reached: one point each, with its name.

    Names stand to the right of the points of the first series, to the left of those of the second, and so on.

    Parameters
    ----------
    points : mapping of str to mapping of str to (float, float)
        Series to name to (score, accuracy).
    xlabel, ylabel : str
    named : bool
        Write the names; False for more points than have room for one.

    Returns
    -------
    BookFigure

    Notes
    -----
    Taught in: chapter 3.1 (Feature extraction) and chapter 4.1 (Results).
    """
    figure, axis = sheet(3.8)
    height = np.ptp([accuracy for series in points.values() for _, accuracy in series.values()])
    for side, (series, ink) in enumerate(inks(points).items()):
        axis.plot(*np.array(list(points[series].values())).T, ink.marker, color=ink.colour, label=series)
        if not named:
            continue
        known = sorted(points[series].items(), key=lambda item: item[1][1])
        heights = _spread([accuracy for _, (_, accuracy) in known], 0.05 * height)  # names do not overlap
        look = {"fontsize": 9, "color": ink.colour, "va": "center", "ha": ("left", "right")[side % 2]}
        look["arrowprops"] = {"arrowstyle": "-", "color": ink.colour, "linewidth": 0.6}
        for (name, place), level in zip(known, heights, strict=True):
            beside = (26, -26)[side % 2], level
            axis.annotate(name, place, xytext=beside, textcoords=("offset points", "data"), **look)
    axis.margins(x=0.2, y=0.08)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.legend(loc="lower right")
    return figure
