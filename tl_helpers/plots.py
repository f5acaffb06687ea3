"""The book's figures: one function a figure, the look of an arm from `looks`, the form from `tl_base.figures`.

Importing this module changes nothing in Matplotlib. Names and titles are shown as they are given: ``$``, ``_`` and
backslashes mean nothing special. Taught in: every chapter that shows a figure.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from tl_base import figures
from tl_base.figures import BookFigure, broken, columns_on, sheet, styled
from tl_base.galleries import image_grid as image_grid
from tl_base.galleries import mistakes as mistakes
from tl_base.galleries import picture_rows as picture_rows
from tl_base.galleries import strongest as strongest
from tl_helpers.looks import INKS, Look, looks_of
from tl_helpers.measures import mean_interval

Seeds = Sequence[float]  # one value a seed
Ends = dict[str, tuple[float, dict[str, Any]]]  # of lines: name to the last value, and how the line looks


class Course(Protocol):
    """What `learning_curves` draws; `training.History` is one."""

    steps: Sequence[int]
    loss: Sequence[float]
    validation_accuracy: Sequence[float]


def _estimates(arm: Mapping[Any, Seeds], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return means and half-widths of an arm's values, place by place."""
    found = []
    for place in figures.not_empty(arm, f"value of {name!r}"):
        try:
            found.append(mean_interval(arm[place]))
        except ValueError as error:
            raise ValueError(f"{name!r} at {place!r}: {error}") from error
    means, halves = np.transpose(found)
    return means, halves


def _line(look: Look) -> dict[str, Any]:
    return {"color": look.colour, "linestyle": (0, look.dash), "marker": look.marker}


def _curve(axis: Axes, arm: Mapping[float, Seeds], name: str, look: Look, shown: str = "bars") -> float:
    """Draw an arm over its places: every seed, means joined by a line, intervals as "bars", a "band" or not at all.

    Returns the last mean.
    """
    means, halves = _estimates(arm, name)
    places = np.array(list(arm), float)
    for place, seeds in arm.items():
        axis.plot([place] * len(seeds), seeds, ".", color=look.colour, alpha=0.35, markersize=5)
    if shown == "band" and len(places) > 1:  # a band needs two places
        axis.fill_between(places, means - halves, means + halves, color=look.colour, alpha=0.15, linewidth=0)
    bars = halves if shown == "bars" or len(places) == 1 else None
    axis.errorbar(places, means, yerr=bars, capsize=3, elinewidth=1.2, label=name, **_line(look))
    return float(means[-1])


def _axis_of(arms: Mapping[str, Mapping[Any, Seeds]], order: Sequence[Hashable] | None, scale: str) -> list[Any]:
    """Return the places of an axis: as ordered, else numbers in ascending order and words as they come."""
    seen = list(dict.fromkeys(place for arm in arms.values() for place in arm))
    for place in seen if scale == "log" else ():
        if isinstance(place, str) or not place > 0:
            raise ValueError(f"A logarithmic axis has no place for {place}. Leave it out, or set scale='even'.")
    if order is None:
        return seen if any(isinstance(place, str) for place in seen) else sorted(seen)
    for name, arm in arms.items():
        if lost := [str(place) for place in arm if place not in order]:
            raise ValueError(f"{name!r} has values for {', '.join(lost)}, which `order` lacks. Add it there.")
    return list(order)


@styled
def curves(
    arms: Mapping[str, Mapping[Any, Seeds]],
    xlabel: str = "labels per class",
    ylabel: str = "test accuracy",
    scale: Literal["log", "even"] = "log",
    order: Sequence[Hashable] | None = None,
    chance: float | None = None,
) -> BookFigure:
    """Draw a value against what was varied, one line an arm: mean, 95 % interval and every seed.

    Parameters
    ----------
    arms : mapping of str to mapping of (float or str) to sequence of float
        Arm to place on the axis to one value a seed; an arm may lack places.
    xlabel, ylabel : str
    scale : {"log", "even"}
        A logarithmic axis, with intervals as bands; or places side by side, such as layers, with intervals as bars.
    order : sequence, optional
        The places from left to right; by default numbers ascend, and words stand as they come.
    chance : float, optional
        Value of guessing, drawn as a line.

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If an arm has no values, some that are not finite, or a place that the axis lacks; if there are too many arms.

    Notes
    -----
    Student's t over the seeds; a single seed has no interval. Taught in: chapter 1 (Background).
    """
    places = _axis_of(arms, order, scale)
    figure, ((axis,),) = sheet(3.6)
    ends = _lines(axis, arms, places, scale)
    if chance is not None:
        guessing = {"color": "#666666", "linewidth": 1, "linestyle": ":"}
        axis.axhline(chance, **guessing)
        ends.setdefault("guessing", (chance, guessing))
    axis.set(xscale="log" if scale == "log" else "linear", xlabel=xlabel, ylabel=ylabel)
    if scale == "log":
        figures.mark_places(axis, places)
    else:
        figures.grow(figure, figures.name_ticks(axis, places, 72 * 4.2 / len(places)))
    if not figures.name_ends(figure, axis, ends):
        figures.legend(figure, {name: Line2D([], [], **look) for name, (_, look) in ends.items()})
    return figure


def _lines(axis: Axes, arms: Mapping[str, Mapping[Any, Seeds]], places: list[Any], scale: str) -> Ends:
    """Draw all arms, beside each other where places are few, so that intervals do not overlap."""
    ends: Ends = {}
    shifts = np.linspace(-0.09, 0.09, len(arms)) if len(arms) > 1 else [0.0]
    for shift, (name, look) in zip(shifts, looks_of(arms).items(), strict=True):
        at = {place: place if scale == "log" else places.index(place) + shift for place in places}
        arm = {at[place]: arms[name][place] for place in places if place in arms[name]}
        ends[name] = _curve(axis, arm, name, look, "band" if scale == "log" else "bars"), _line(look)
    return ends


@styled
def panels(
    quantities: Mapping[str, Mapping[float, Seeds]],
    xlabel: str = "strength",
    ylabel: str = "",
    *,
    baseline: tuple[str, float] | None = None,
    spread: bool = False,
) -> BookFigure:
    """Show what one number changes, one panel a quantity: a dot a seed and a line of means.

    Parameters
    ----------
    quantities : mapping of str to mapping of float to sequence of float
        Panel's title to number to one value a seed. Numbers are evenly spaced, in ascending order.
    xlabel, ylabel : str
        With a `ylabel` all panels share it and their scale.
    baseline : (str, float), optional
        Name and mean of an arm to compare with, drawn as a line in every panel.
    spread : bool
        Draw the 95 % interval of each mean.

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If there are more panels than inks, or one has no values, or some that are not finite.

    Notes
    -----
    Student's t over the seeds; a single seed has no interval. Taught in: chapter 3.5 (Knowledge transfer).
    """
    looks, columns = looks_of(quantities), min(len(quantities), 3)
    figure, axes = sheet(2.9 * (rows := -(-len(quantities) // columns)), rows, columns, sharey=bool(ylabel))
    for axis in axes.flat[len(quantities) :]:
        axis.set_axis_off()
    for axis, (name, values) in zip(axes.flat, quantities.items(), strict=False):
        numbers = sorted(values)
        arm = {float(place): values[number] for place, number in enumerate(numbers)}
        if baseline is not None:
            line = axis.axhline(baseline[1], color="#444444", linewidth=1.2, linestyle=(0, (4, 3)), label=baseline[0])
        _curve(axis, arm, name, looks[name], "bars" if spread else "none")
        figures.name_ticks(axis, [f"{number:g}" for number in numbers], 72 * 5.4 / columns / len(numbers))
        first = axis.get_subplotspec().is_first_col()
        axis.set(xlabel=xlabel, ylabel=ylabel if first else "", title=broken(name, columns_on(5.8 / columns)))
    if baseline is not None:
        figures.legend(figure, {baseline[0]: line}, 1, axes.flat[0])
    return figure


@styled
def learning_curves(histories: Mapping[str, Course]) -> BookFigure:
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
    A loss that is no finite number cannot be drawn; the legend says from which step on. Taught in: chapter 4 (Worked
    example).
    """
    figure, ((top,), (bottom,)) = sheet(4.6, 2, sharex=True)
    drawn, lowest = {}, 0.0
    for name, look in looks_of(histories).items():
        history = histories[name]
        steps, loss = np.asarray(history.steps), np.asarray(history.loss, float)
        usable = np.isfinite(loss)
        label = name if usable.all() else f"{name} (loss not finite at step {steps[~usable][0]})"
        (drawn[label],) = top.plot(steps, np.where(usable, loss, np.nan), **_line(look), markersize=4)
        lowest = min(lowest, loss[usable].min(initial=0))
        if len(history.validation_accuracy):
            bottom.plot(steps, history.validation_accuracy, **_line(look), markersize=4)
    top.set(ylabel="training loss (nats)", ylim=(1.05 * lowest, None))
    bottom.set(xlabel="steps", ylabel="validation accuracy")
    if not bottom.lines:
        bottom.text(0.5, 0.5, "no validation images", ha="center", va="center", transform=bottom.transAxes)
        bottom.set_yticks([])
    figures.legend(figure, drawn, 3)
    return figure


@styled
def intervals(arms: Mapping[str, Seeds], xlabel: str = "test accuracy", reference: float | None = None) -> BookFigure:
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

    Raises
    ------
    ValueError
        If there is no arm, or an arm has no values, or one that is not finite.

    Notes
    -----
    Student's t over the seeds; an arm with one seed gets no interval. Taught in: chapter 2 (Core concepts).
    """
    names = [broken(name, 45) for name in figures.not_empty(arms, "arm")]
    lines = max(name.count("\n") + 1 for name in names)
    figure, ((axis,),) = sheet(0.9 + max(0.42, 0.18 * lines) * len(arms))
    if reference is not None:
        axis.axvline(reference, color="#444444", linewidth=1.2, linestyle=(0, (4, 3)))
    for row, (name, look) in enumerate(looks_of(arms, repeat=True).items()):
        ((mean,), (half,)) = _estimates({row: arms[name]}, name)
        heights = row + 0.22 + 0.06 * (np.arange(len(arms[name])) % 3 - 1)  # dots of equal values stay apart
        axis.plot(arms[name], heights, ".", color=look.colour, alpha=0.45, markersize=5)
        axis.errorbar([mean], [row], xerr=[half], fmt=look.marker, color=look.colour, capsize=4, markersize=7)
    axis.set(xlabel=xlabel, ylim=(len(arms) - 0.4, -0.6))
    axis.set_yticks(range(len(arms)), names)
    axis.grid(axis="y", visible=False)
    return figure


@styled
def pixel_histograms(sets: Mapping[str, np.ndarray], bins: int = 32) -> BookFigure:
    """Compare how often each grey value occurs in several sets of images.

    Parameters
    ----------
    sets : mapping of str to ndarray, uint8
    bins : int
        Number of equal bins over 0 to 255.

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If a set is empty or not in uint8, or there are more sets than inks.

    Notes
    -----
    Taught in: chapter 2 (Core concepts).
    """
    figure, ((axis,),) = sheet(2.9)
    edges, drawn = np.linspace(0, 256, bins + 1), {}
    for name, look in looks_of(sets).items():
        values = np.asarray(sets[name])
        if values.dtype != np.uint8 or values.size == 0:
            raise ValueError(
                f"Expected pixels in uint8 (0 to 255) of {name!r}, found {values.size} in {values.dtype}. Turn floats "
                'from 0 to 1 into `(255 * images).round().astype("uint8")`.'
            )
        share = np.histogram(values, edges)[0] / values.size
        line = {"color": look.colour, "linestyle": (0, look.dash), "linewidth": 1.8, "label": name}
        drawn[name] = axis.stairs(share, edges, baseline=None, **line)
    axis.set(xlabel="pixel value (0 black, 255 white)", ylabel="share of pixels", yscale="log", xlim=(0, 256))
    axis.yaxis.set_major_formatter(figures.Powers())
    axis.yaxis.set_minor_formatter(figures.Powers(labelOnlyBase=False))
    axis.legend(list(drawn.values()), [broken(name, 40) for name in drawn])
    return figure


MOST_CLASSES = 128  # of a confusion matrix that can be read


def _counts(matrix: ArrayLike) -> np.ndarray:
    """Return a confusion matrix after a look at its shape and its numbers."""
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.size == 0:
        raise ValueError(f"Expected as many rows as columns, one a class; found shape {counts.shape}.")
    if not (counts >= 0).all() or not (counts == np.floor(counts)).all() or np.isinf(counts).any():
        raise ValueError("Expected counts, whole numbers from 0 on, such as `Result.confusion`; found other numbers.")
    if len(counts) > MOST_CLASSES:
        raise ValueError(
            f"{len(counts)} classes cannot be read in one figure; it holds {MOST_CLASSES}. Show some of them: with "
            "their numbers in `some`, `matrix[np.ix_(some, some)]`."
        )
    return counts.astype(np.int64)


@styled
def confusion(matrix: ArrayLike, names: Iterable[object]) -> BookFigure:
    """Draw a confusion matrix: each row's shares as shades, the errors as counts.

    Parameters
    ----------
    matrix : ndarray, shape (K, K), int
        Row: true class, column: predicted class.
    names : iterable of str
        One a class. A long one is broken into lines.

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If the matrix is not square or holds no counts, if there are too many classes, or names do not fit.

    Notes
    -----
    A class without images is named so. Where there is no room for counts, the label of the axis says that they are left
    out. Taught in: chapter 4 (Worked example).
    """
    counts = _counts(matrix)
    classes, totals = figures.distinct(names, len(counts)), counts.sum(1)
    side = max(5.4, 1.6 + 0.1 * len(classes))
    figure, ((axis,),) = sheet(side, width=side + 1.0)
    picture = axis.imshow(counts / np.maximum(totals, 1)[:, None], cmap="Blues", vmin=0, vmax=1)
    axis.set(xlabel="predicted class", ylabel="true class")
    axis.grid(visible=False)
    empty = [f"{name} (no image)" if total == 0 else name for name, total in zip(classes, totals, strict=True)]
    figures.name_ticks(axis, empty, 72 * (side - 1.9) / len(classes), "y")
    figures.name_ticks(axis, classes, 0.85 * figures.cell(figure, axis, len(classes)), level=2)
    size = figures.size_in_cells(figures.cell(figure, axis, len(classes)), 8, map(str, counts.ravel()))
    if size is None:
        axis.set_xlabel("predicted class (no room for the counts)")
        return figure
    for row, column in np.argwhere(counts > 0):
        ink = figures.ink_on(picture.to_rgba(picture.get_array()[row, column]))
        axis.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=size, color=ink)
    return figure


@styled
def probability_bars(rows: Mapping[str, Sequence[float]], names: Iterable[object]) -> BookFigure:
    """Draw one probability distribution a row over the same classes, the largest value written above its bar.

    Parameters
    ----------
    rows : mapping of str to ndarray, shape (K,), float
        Row's name to probabilities.
    names : iterable of K str

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If there is no row, or one has not one number from 0 to 1 a class, or two classes have one name.

    Notes
    -----
    Taught in: chapter 3.6 (Knowledge transfer).
    """
    classes = figures.distinct(names)
    figure, axes = sheet(0.5 + 1.05 * len(figures.not_empty(rows, "row")), len(rows), sharex=True, sharey=True)
    for axis, (name, values) in zip(axes.flat, rows.items(), strict=True):
        if np.shape(values) != (len(classes),):
            raise ValueError(f"Expected {len(classes)} probabilities for {name!r}, found shape {np.shape(values)}.")
        if not all(0 <= value <= 1 for value in values):
            raise ValueError(
                f"Expected probabilities from 0 to 1 for {name!r}, found {values}. Apply softmax to logits."
            )
        axis.bar(range(len(classes)), values, color=INKS[0].colour, width=0.7)
        top = int(np.argmax(values))
        largest = f"{values[top]:.2f}" if values[top] >= 0.01 else f"{values[top]:.1g}"
        axis.text(top, values[top] + 0.03, largest, ha="center", va="bottom", fontsize=9)
        axis.set_ylabel(broken(name, columns_on(1.1)))
        axis.grid(axis="x", visible=False)
    axes[-1, 0].set(xlabel="class", ylim=(0, 1.25), yticks=(0, 0.5, 1))
    figures.grow(figure, figures.name_ticks(axes[-1, 0], classes, 72 * 5.4 / len(classes)))
    return figure
