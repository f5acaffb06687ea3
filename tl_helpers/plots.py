"""The book's figures: one function a figure, one style.

The style lives inside a context, so importing this module changes nothing. Colours are those of Okabe and Ito
(distinguishable with every common colour vision deficiency); each also has a marker and a dash. The ground is white,
so that a figure stays legible on a dark page. Names and titles are shown as they are given: ``$``, ``_`` and
backslashes mean nothing special. Taught in: every chapter that shows a figure.
"""

import contextlib
import functools
import io
import textwrap
import unicodedata
import warnings
from dataclasses import dataclass

import numpy as np
from matplotlib import font_manager, style
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.patches import Rectangle
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from matplotlib.ticker import LogFormatterSciNotation
from PIL import Image

from tl_helpers.measures import Interval, mean_interval

WIDTH = 6.4  # inches; 614 CSS pixels on a page
COLOURS = 256  # of a figure on a page: a third of the bytes, and enough for photographs of 32 × 32 pixels
STYLE = {
    "font.size": 10,
    "text.parse_math": False,  # a name with two dollar signs is a name
    "axes.formatter.useoffset": False,  # a tick says its value, not what to add to another number
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

    def draw(self, renderer):
        """Draw in the book's style, with fonts that have every letter; say once a figure which letters none has."""
        with style.context(["default", STYLE]), _lettered(self.findobj(Text)) as missing:
            super().draw(renderer)
        if missing != self._missing:
            self._missing = missing
            warnings.warn(_advice(missing), stacklevel=2)

    _missing = ""


FONT = "DejaVu Sans"  # comes with Matplotlib
VARIANTS = {chr(code) for code in range(0xFE00, 0xFE10)}  # choose between two looks of an emoji, draw nothing


@contextlib.contextmanager
def _lettered(texts):
    """Give texts the fonts that have their letters; return the letters that none has, to tell of them in one sentence.

    Inside, Matplotlib's own warnings about these letters are off: one a letter and a draw, and none says what to do.
    """
    families, missing = _fonts("".join(text.get_text() for text in texts))
    if len(families) > 1:
        for text in texts:
            text.set_fontfamily(families)
    with warnings.catch_warnings():
        for letter in missing:
            warnings.filterwarnings("ignore", f"Glyph {ord(letter)} ")
        yield missing


def _fonts(text):
    """Name the fonts for a text: the book's own and, for letters that it lacks, installed ones; and what all lack."""
    seen = {letter for letter in text if unicodedata.category(letter) not in ("Cc", "Cf", "Zl", "Zp")} - VARIANTS
    missing = seen - _found_in(font_manager.findfont(FONT), frozenset(seen))
    families = [FONT]
    if missing:
        known = {font.fname for font in font_manager.fontManager.ttflist if not font.name.startswith("Last Resort")}
        asked = frozenset(missing)
        having = {path: _found_in(path, asked) for path in sorted(known.union(font_manager.findSystemFonts()))}
        while missing and having:
            best = max(having, key=lambda path: (len(having[path] & missing), "Sans" in path, "Regular" in path))
            if not having[best] & missing:
                break
            missing -= having[best]
            if best not in known:  # installed after Matplotlib made its list
                font_manager.fontManager.addfont(best)
            families.append(font_manager.get_font(best).family_name)
    return families, "".join(sorted(missing))


@functools.lru_cache(maxsize=4096)
def _found_in(path, letters):
    """Return those of the letters that a font file can draw."""
    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # a file that is no font, or damaged, draws nothing
        return frozenset()
    return frozenset(letter for letter in letters if font.scalable and font.get_char_index(ord(letter)))


def _advice(letters):
    packages = " ".join(sorted({_package(letter) for letter in letters}))
    return (
        f"No installed font that Matplotlib can use has {' '.join(letters)}; the figure shows boxes instead. Install "
        f"one, on Debian, Ubuntu or Colab with `apt-get install {packages}`, and draw the figure again. A font file of "
        "your own is found after `matplotlib.font_manager.fontManager.addfont(path)`."
    )


def _package(letter):
    """Name the Debian package whose fonts have a letter."""
    if unicodedata.name(letter, "").startswith(("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "FULLWIDTH", "IDEOGRAPHIC")):
        return "fonts-noto-cjk"
    return "fonts-symbola" if unicodedata.category(letter) == "So" else "fonts-noto-core"


def _broken(text, columns, inside=True):
    """Break a text into lines of at most so many columns, inside words too; a Chinese letter is two columns wide."""
    text = str(text)
    double = any(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    columns = max(1, int(columns) // (2 if double else 1))
    parts = [textwrap.wrap(part, columns, break_long_words=inside) or [""] for part in text.split("\n")]
    return "\n".join(line for lines in parts for line in lines)


def _columns(inches, size=10):
    """Return how many letters of a size, in points, stand on so many inches."""
    return max(1, int(72 * inches / (0.58 * size)))


def _fit(text, width, height):
    """Break or shrink a text that is already placed until it fits into so many inches."""
    dpi = text.get_figure().dpi
    words, first = text.get_text(), text.get_fontsize()
    sizes = [first, *(size for size in (8.5, 7.5, 6.5) if size < first)]
    for inside in (False, True):  # words stay whole where they can
        for size in sizes:
            for broken in (words, _broken(words, _columns(width, size), inside)):
                text.set(text=broken, fontsize=size)
                with _lettered([text]):
                    box = text.get_window_extent()
                if box.width <= width * dpi and box.height <= height * dpi:
                    return
    raise ValueError(f"There is no room for {words!r} ({len(words)} characters). Shorten it.")


def _legend(figure, entries, columns=2, axis=None, inside=None, **spaces):
    """Name the series in their order: inside the axes where no line is in the way, else above, in columns that fit.

    Handles are given one by one because Matplotlib's own list leaves out names that begin with an underscore.
    """
    names = [_broken(name, 60) for name in entries]
    if inside:
        legend = axis.legend(list(entries.values()), names, loc=inside)
        figure.draw_without_rendering()
        with _lettered(legend.get_texts()):
            box = legend.get_window_extent()
        paths = [line.get_path().transformed(line.get_transform()) for line in axis.lines]
        if not any(path.intersects_bbox(box, filled=False) for path in paths):
            return
        legend.remove()
    for count in range(columns, 0, -1):
        legend = figure.legend(list(entries.values()), names, loc="outside upper left", ncols=count, **spaces)
        with _lettered(legend.get_texts()):
            box = legend.get_window_extent()
        if count == 1 or box.width <= figure.bbox.width:
            break
        legend.remove()
    _grow(figure, box.height / figure.dpi - 0.9)


def _name_ticks(axis, names, room, lead="x", level=None):
    """Write names at 0, 1, 2, …, for each of which there is `room` in points: level, else turned, else only some.

    Names of more than `level` letters are turned in any case. A name for which there is no room even in small letters
    loses its middle, and gets its number where two would then be alike.

    Returns
    -------
    float
        Inches that turned names need below the axis.
    """
    names = [str(name) for name in names]
    largest = min(10.0, max(5.0, 0.85 * room))
    every = int(np.ceil(1.1 * largest / room))
    longest = max(_width(line) for name in names for line in name.split("\n"))
    flat = 0.58 * largest * longest <= room and longest <= (level or longest)
    if lead == "x" and flat:
        axis.set_xticks(range(len(names)), names, fontsize=largest)
        return 0.0
    thick = room * every * (1 if lead == "y" or room <= 16 else 0.7)  # of a name, across its lines
    for size in (largest, *(size for size in (8.5, 7.0, 6.0, 5.0) if size < largest)):
        lines = max(1, int(thick / (1.2 * size)))
        broken = [_broken(name, 28) for name in names]
        if max(name.count("\n") + 1 for name in broken) <= lines:
            break
    else:
        short = [_shortened(name, 24 * lines) for name in names]
        if len(set(short)) < len(set(names)):
            short = [f"{place}: {name}" for place, name in enumerate(short)]
        broken = [_broken(name, 28) for name in short]
    shown = [name if place % every == 0 else "" for place, name in enumerate(broken)]
    if lead == "y":
        axis.set_yticks(range(len(names)), shown, fontsize=size)
        return 0.0
    turned = {"rotation": 45, "ha": "right"} if room > 16 else {"rotation": 90}
    axis.set_xticks(range(len(names)), shown, fontsize=size, **turned)
    longest = max(_width(line) for name in broken for line in name.split("\n"))
    return 0.58 * size * longest * (0.7 if room > 16 else 1.0) / 72


def _grow(figure, inches):
    """Make a figure higher, so that long names take nothing from what they name."""
    figure.set_figheight(figure.get_figheight() + max(0, inches))


def _shortened(name, letters):
    """Take the middle out of a long name: arms often differ at their ends."""
    half = (letters - 1) // 2
    return name if len(name) <= letters else f"{name[:half]}…{name[-half:]}"


def _cell(figure, axis, columns):
    """Return the width of one of so many columns, in points."""
    figure.draw_without_rendering()
    return 72 / figure.dpi * axis.get_window_extent().width / columns


def _size_in_cells(figure, axis, columns, most, texts):
    """Return the size, in points, of letters with which texts stand in cells; None if they could not be read."""
    cell = _cell(figure, axis, columns)
    widest = max(TextPath((0, 0), text, size=most).get_extents().width for text in set(texts))
    size = min(most, most * 0.9 * cell / widest)
    return size if size >= 4.5 else None


def _width(text):
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _ink_on(colour):
    """Choose the colour of letters on a ground: their contrast is at least 4.5 (WCAG 2.2, criterion 1.4.3)."""
    return next(ink for ink in ("white", "#222222", "black") if _contrast(ink, colour) >= 4.5)


def _contrast(one, other):
    """Return the contrast ratio of two colours as WCAG 2.2 defines it: 1 to 21."""
    linear = [
        np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        for rgb in (np.array(to_rgb(one)), np.array(to_rgb(other)))
    ]
    low, high = sorted(float(rgb @ [0.2126, 0.7152, 0.0722]) for rgb in linear)
    return (high + 0.05) / (low + 0.05)


def _distinct(names, count=None):
    """Return names as text, one a class and no two alike."""
    names = [str(name) for name in names]
    if count is not None and len(names) != count:
        raise ValueError(f"Expected one name a class ({count}), found {len(names)} names.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"Two classes are named {twice!r}. Give each a name of its own, for example '{twice} 2'.")
    return names


def _some(values, what):
    """Refuse an empty collection."""
    if len(values) == 0:
        raise ValueError(f"Expected at least one {what}, found none.")
    return values


def _pictures(images):
    """Return images as arrays of (H, W) or (H, W, 3), after a look at their values: none is clipped in silence."""
    found = [np.asarray(image) for image in _some(images, "image")]
    for image in found:
        if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
            raise ValueError(f"Expected images of shape (H, W) or (H, W, 3), found {image.shape}.")
        fits = image.dtype in (np.uint8, bool) or (image.dtype.kind == "f" and ((image >= 0) & (image <= 1)).all())
        if not fits:
            raise ValueError(
                f"Expected images in uint8 (0 to 255) or float (0 to 1), found {image.dtype} from {image.min():g} to "
                f'{image.max():g}. Divide floats by their largest value; turn whole numbers into `.astype("uint8")`.'
            )
    return [image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image for image in found]


def _finite(values, what, shape, dimensions):
    """Return numbers as an array, after a look at their shape and at NaN, which would be blank in silence."""
    values = np.asarray(values)
    if values.ndim != dimensions or values.size == 0:
        raise ValueError(f"Expected {what} of shape {shape}, found {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError(f"Expected finite {what}; {np.sum(~np.isfinite(values))} of {values.size} numbers are not.")
    return values


def _show(axis, image):
    """Show a picture that `_pictures` has looked at, in its own brightness."""
    highest = 255 if image.dtype == np.uint8 else 1
    axis.imshow(image, cmap="gray", vmin=0, vmax=highest, interpolation="nearest")


def _estimates(arm, name):
    """Return means and half-widths of an arm's values, place by place."""
    found = []
    for place in _some(arm, f"value of {name!r}"):
        try:
            found.append(mean_interval(arm[place]))
        except ValueError as error:
            raise ValueError(f"{name!r} at {place!r}: {error}") from error
    return np.transpose(found)


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
    images : sequence of ndarray, shape (H, W) or (H, W, 3), uint8 or float in [0, 1]
        The sizes may differ.
    captions : sequence of str, optional
        One a picture, written above it.
    columns : int

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If there is no image, or not one caption an image, or if values would have to be clipped.

    Notes
    -----
    Taught in: chapter 1 (Background).
    """
    images = _pictures(images)
    if captions is not None and len(captions) != len(images):
        raise ValueError(f"Expected one caption an image ({len(images)}), found {len(captions)}.")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    cell = WIDTH / columns
    size = min(10, 9 * cell + 2)
    written = [_broken(caption, max(10, _columns(cell, size))) for caption in ([] if captions is None else captions)]
    lines = max((caption.count("\n") + 1 for caption in written), default=0)
    above = 0.22 + 1.2 * size / 72 * (lines - 1) if lines else 0
    figure, axes = sheet(rows * (cell + above), rows=rows, columns=columns, squeeze=False)
    for position, axis in enumerate(axes.flat):
        axis.set_axis_off()
        if position < len(images):
            _show(axis, images[position])
            if written:
                axis.set_title(written[position], fontsize=size)
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

    Raises
    ------
    ValueError
        If there is no event, a year is no finite number, there are more fields than inks, or a text has no room.

    Notes
    -----
    Taught in: chapter 1 (Background).
    """
    events = sorted(_some(events, "event"))
    years = np.array([year for year, _, _ in events], float)
    if not np.isfinite(years).all():
        raise ValueError(f"Expected finite years, found {years[~np.isfinite(years)][0]}.")
    span = max(years[-1] - years[0], 1.0)
    look = inks(dict.fromkeys(field for _, field, _ in events))
    height = max(height, len(events) / 3 + 0.5)  # three labels an inch
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
        _fit(axis.text(0.24, place, text, va="center"), 0.73 * WIDTH, 0.32)
    fields = {field: axis.plot([], [], ink.marker, color=ink.colour, markersize=8)[0] for field, ink in look.items()}
    margin = span * 0.03
    axis.set(xlim=(-0.02, 1), ylim=(max(years[-1], places[-1]) + margin, min(years[0], places[0]) - margin))
    _legend(figure, fields, len(look), columnspacing=1.2, handletextpad=0.2)
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

    Raises
    ------
    ValueError
        If there are not four rows, or a text has no room.

    Notes
    -----
    Definition of Pan and Yang (2010), section 2.2. Taught in: chapter 2 (Core concepts).
    """
    if len(rows) != 4:
        raise ValueError(f"Expected four rows (𝒳, P(X), 𝒴, P(y|x)), found {len(rows)}.")
    figure, axis = sheet(3.9)
    axis.set(xlim=(0, 10), ylim=(0, 8.2))
    axis.set_axis_off()
    for x, name in ((3.3, source), (8.0, target)):
        _fit(axis.text(x, 7.75, name, ha="center", va="center", weight="bold", fontsize=11.5), 2.6, 0.4)
    symbols = (r"$\mathcal{X}$", "$P(X)$", r"$\mathcal{Y}$", r"$P(y\,|\,x)$")
    for row, (symbol, (left, right, equal)) in enumerate(zip(symbols, rows, strict=True)):
        low = 5.75 - 1.75 * row - (0.3 if row > 1 else 0)
        colour = FROZEN if equal else UPDATED
        axis.text(0.05, low + 0.7, symbol, va="center", fontsize=12, parse_math=True)
        for x, text in ((1.4, left), (6.1, right)):
            axis.add_patch(Rectangle((x, low), 3.8, 1.4, facecolor=colour, edgecolor="#333333", linewidth=1.2))
            _fit(axis.text(x + 1.9, low + 0.7, text, ha="center", va="center", fontsize=9.5), 2.4, 0.62)
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

    Raises
    ------
    ValueError
        If a set is empty or not in uint8, or there are more sets than inks.

    Notes
    -----
    Taught in: chapter 2 (Core concepts).
    """
    figure, axis = sheet(2.9)
    edges, drawn = np.linspace(0, 256, bins + 1), {}
    for name, ink in inks(sets).items():
        values = np.asarray(sets[name])
        if values.dtype != np.uint8 or values.size == 0:
            raise ValueError(
                f"Expected pixels in uint8 (0 to 255) of {name!r}, found {values.size} in {values.dtype}. Turn floats "
                'from 0 to 1 into `(255 * images).round().astype("uint8")`.'
            )
        share = np.histogram(values, edges)[0] / values.size
        drawn[name] = axis.stairs(
            share, edges, color=ink.colour, linestyle=ink.dash, linewidth=1.8, baseline=None, label=name
        )
    axis.set(xlabel="pixel value (0 black, 255 white)", ylabel="share of pixels", yscale="log", xlim=(0, 256))
    axis.yaxis.set_major_formatter(_Powers())
    axis.yaxis.set_minor_formatter(_Powers(labelOnlyBase=False))
    axis.legend(list(drawn.values()), [_broken(name, 40) for name in drawn])
    return figure


class _Powers(LogFormatterSciNotation):
    """Writes 10⁻³ in letters: Matplotlib's own ticks are formulas, and the book's style shows text as it is."""

    def __call__(self, value, position=None):
        """Return the text of a tick, empty where Matplotlib's own is."""
        if not super().__call__(value, position):
            return ""
        digit, exponent = f"{value:.0e}".split("e")
        power = "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return power if digit == "1" else f"{digit} × {power}"


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
    A loss that is no finite number cannot be drawn; the legend says from which step on. Taught in: chapter 4 (Worked
    example).
    """
    figure, (top, bottom) = sheet(4.6, rows=2, sharex=True)
    drawn, lowest = {}, 0
    for name, ink in inks(histories).items():
        history = histories[name]
        line = {"color": ink.colour, "linestyle": ink.dash, "marker": ink.marker, "markersize": 4, "label": name}
        steps, loss = np.asarray(history.steps), np.asarray(history.loss, float)
        finite = np.isfinite(loss)
        said = name if finite.all() else f"{name} (loss not finite at step {steps[~finite][0]})"
        (drawn[said],) = top.plot(steps, np.where(finite, loss, np.nan), **line)
        lowest = min(lowest, loss[finite].min(initial=0))
        if len(history.validation_accuracy):
            bottom.plot(steps, history.validation_accuracy, **line)
    top.set(ylabel="training loss (nats)", ylim=(1.05 * lowest, None))
    bottom.set(xlabel="steps", ylabel="validation accuracy")
    if not bottom.lines:
        bottom.text(0.5, 0.5, "no validation images", ha="center", va="center", transform=bottom.transAxes)
        bottom.set_yticks([])
    _legend(figure, drawn, 3)
    return figure


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

    Raises
    ------
    ValueError
        If an arm has no values, or one that is not finite; if a number of labels is below 1, for which a logarithmic
        axis has no place; if there are more arms than inks.

    Notes
    -----
    A single seed has no interval. Taught in: chapter 1 (Background).
    """
    many = len(arms) > 3  # more names than an empty corner holds
    figure, axis = sheet(4.2 if many else 3.4)
    drawn = {}
    for name, ink in inks(arms).items():
        means, halves = _estimates({count: arms[name][count] for count in sorted(arms[name])}, name)
        counts = sorted(arms[name])
        if counts[0] < 1:
            raise ValueError(f"Expected at least 1 label per class, found {counts[0]} for {name!r}. Leave it out.")
        for count in counts:
            axis.plot(
                [count] * len(arms[name][count]), arms[name][count], ".", color=ink.colour, alpha=0.35, markersize=5
            )
        if len(counts) == 1:  # a band needs two places
            axis.errorbar(counts, means, yerr=halves, color=ink.colour, capsize=4)
        axis.fill_between(counts, means - halves, means + halves, color=ink.colour, alpha=0.15, linewidth=0)
        (drawn[name],) = axis.plot(counts, means, color=ink.colour, linestyle=ink.dash, marker=ink.marker, label=name)
    if chance is not None:
        line = axis.axhline(chance, color="#666666", linewidth=1, linestyle=":", label="guessing")
        drawn.setdefault("guessing", line)
    axis.set(xscale="log", xlabel="labels per class", ylabel=ylabel)
    _label_ticks(axis, sorted({count for arm in arms.values() for count in arm}))
    _legend(figure, drawn, 2, axis, None if many else "upper left")
    return figure


def _label_ticks(axis, ticks):
    """Mark places on a logarithmic axis, with a number where there is room for it."""
    places = 5.2 * (np.log(ticks) - np.log(ticks[0])) / max(np.log(ticks[-1] / ticks[0]), 1e-9)  # inches
    texts, end = [], -1.0
    for place, tick in zip(places, ticks, strict=True):
        half = 0.06 * len(str(tick))
        texts.append(str(tick) if place - half > end else "")
        end = place + half if texts[-1] else end
    axis.set_xticks(ticks, texts, minor=False)
    axis.set_xticks([], minor=True)


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

    Raises
    ------
    ValueError
        If there is no arm, or an arm has no values, or one that is not finite.

    Notes
    -----
    Student's t over the seeds; an arm with one seed gets no interval. Taught in: chapter 2 (Core concepts).
    """
    names = [_broken(name, 45) for name in _some(arms, "arm")]
    lines = max(name.count("\n") + 1 for name in names)
    figure, axis = sheet(0.9 + max(0.42, 0.18 * lines) * len(arms))
    if reference is not None:
        axis.axvline(reference, color="#444444", linewidth=1.2, linestyle=(0, (4, 3)))
    for row, (name, values) in enumerate(arms.items()):
        ink = INKS[row % len(INKS)]  # the axis names the rows, so an ink may come again
        ((mean,), (half,)) = _estimates({row: values}, name)
        heights = row + 0.22 + 0.06 * (np.arange(len(values)) % 3 - 1)  # dots of equal values stay apart
        axis.plot(values, heights, ".", color=ink.colour, alpha=0.45, markersize=5)
        axis.errorbar([mean], [row], xerr=[half], fmt=ink.marker, color=ink.colour, capsize=4, markersize=7)
    axis.set(xlabel=xlabel, ylim=(len(arms) - 0.4, -0.6))
    axis.set_yticks(range(len(arms)), names)
    axis.grid(axis="y", visible=False)
    return figure


MOST_CLASSES = 128  # of a confusion matrix that can be read


@styled
def confusion(matrix, names):
    """Draw a confusion matrix: each row's shares as shades, the errors as counts.

    Parameters
    ----------
    matrix : ndarray, shape (K, K), int
        Row: true class, column: predicted class.
    names : sequence of str
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
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"Expected as many rows as columns, one a class; found shape {matrix.shape}.")
    if not (matrix >= 0).all() or not (matrix == np.floor(matrix)).all() or np.isinf(matrix).any():
        raise ValueError("Expected counts, whole numbers from 0 on, such as `Result.confusion`; found other numbers.")
    matrix, names = matrix.astype(np.int64), _distinct(names, len(matrix))
    if len(names) > MOST_CLASSES:
        raise ValueError(
            f"{len(names)} classes cannot be read in one figure; it holds {MOST_CLASSES}. Show some of them: with "
            "their numbers in `some`, `matrix[np.ix_(some, some)]`."
        )
    totals = matrix.sum(1)
    side = max(5.4, 1.6 + 0.1 * len(names))
    figure, axis = sheet(side, width=side + 1.0)
    picture = axis.imshow(matrix / np.maximum(totals, 1)[:, None], cmap="Blues", vmin=0, vmax=1)
    axis.set(xlabel="predicted class", ylabel="true class")
    axis.grid(visible=False)
    empty = [f"{name} (no image)" if total == 0 else name for name, total in zip(names, totals, strict=True)]
    _name_ticks(axis, empty, 72 * (side - 1.9) / len(names), "y")
    _name_ticks(axis, names, 0.85 * _cell(figure, axis, len(names)), level=2)
    size = _size_in_cells(figure, axis, len(names), 8, map(str, matrix.ravel()))
    if size is None:
        axis.set_xlabel("predicted class (no room for the counts)")
        return figure
    for row, column in np.argwhere(matrix > 0):
        ink = _ink_on(picture.to_rgba(picture.get_array()[row, column]))
        axis.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=size, color=ink)
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

    Raises
    ------
    ValueError
        If there is no layer, or one's activations have another shape or are not finite.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    figure, axes = sheet(1.05 * len(_some(layers, "layer")), rows=len(layers), columns=channels, squeeze=False)
    for row, (name, maps) in zip(axes, layers.items(), strict=True):
        maps = _finite(maps, f"activations of {name!r}", "(H, W, C)", 3)
        strongest = np.argsort(-maps.std((0, 1)), kind="stable")[:channels]
        for axis in row:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        for axis, channel in zip(row, strongest, strict=False):
            axis.imshow(maps[..., channel], cmap="viridis", interpolation="nearest")
        row[0].set_ylabel(f"{_broken(name, _columns(1.0))}\n{maps.shape[0]} × {maps.shape[1]}")
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

    Raises
    ------
    ValueError
        If there are more panels than inks, or one has no values, or some that are not finite.

    Notes
    -----
    A single seed has no interval. Taught in: chapter 3.2 (Parameter transfer).
    """
    look = inks(panels)
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure, axes = sheet(3.1 * rows, rows=rows, columns=columns, sharey=True, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis, (name, ink) in zip(axes.flat, look.items(), strict=False):
        depths = sorted(panels[name])
        means, halves = _estimates({depth: panels[name][depth] for depth in depths}, name)
        for depth in depths:
            values = panels[name][depth]
            axis.plot([depth + 0.08] * len(values), values, ".", color=ink.colour, alpha=0.45, markersize=6)
        if baseline is not None:
            line = axis.axhline(baseline[1], color="#444444", linewidth=1.2, linestyle=(0, (4, 3)), label=baseline[0])
        axis.errorbar(depths, means, yerr=halves, color=ink.colour, linestyle=ink.dash, marker=ink.marker, capsize=4)
        every = -(-len(depths) * columns // 30)  # numbers that have room
        axis.set(xlabel=_broken(name, _columns(5.8 / columns)), xlim=(depths[0] - 0.3, depths[-1] + 0.3))
        axis.set_xticks(depths, [str(depth) if place % every == 0 else "" for place, depth in enumerate(depths)])
    for axis in axes[:, 0]:
        axis.set_ylabel(ylabel)
    if baseline is not None:
        _legend(figure, {baseline[0]: line}, 1, axes.flat[0], "lower right")
    return figure


HATCHES = (FROM_SOURCE, "....", "xxxx")


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

    Raises
    ------
    ValueError
        If there are more base networks than hatches, more layers copied or frozen than there are, or a name has no
        room.

    Notes
    -----
    Taught in: chapter 3.2 (Parameter transfer).
    """
    figure, axis = sheet(0.5 + 0.72 * len(_some(plans, "plan")))
    axis.set(xlim=(-2.6, 2.5 * len(layers) - 0.2), ylim=(-0.3, 2.0 * len(plans)))
    axis.set_axis_off()
    bases = dict.fromkeys(base for base, copied, _ in plans.values() if copied)
    if len(bases) > len(HATCHES):
        raise ValueError(f"Expected at most {len(HATCHES)} base networks in a figure, found {len(bases)}. Use two.")
    hatches = dict(zip(bases, HATCHES, strict=False))
    for row, (name, (base, copied, frozen)) in enumerate(plans.items()):
        if not (0 <= copied <= len(layers) and 0 <= frozen <= len(layers)):
            raise ValueError(
                f"Expected 0 to {len(layers)} layers copied and frozen in {name!r}, found {copied} and {frozen}."
            )
        low = 2.0 * (len(plans) - 1 - row)
        unit = 0.98 * WIDTH / (2.5 * len(layers) + 2.4)
        _fit(axis.text(-2.5, low + 0.7, name, va="center", weight="bold"), 2.45 * unit, 0.68)
        for column, layer in enumerate(layers):
            start = f"from {base}" if column < copied else "new"
            fill = FROZEN if column < frozen else UPDATED
            hatch = hatches[base] if column < copied else None
            _fit(_plan_box(axis, (2.5 * column, low), f"{layer}\n{start}", fill, hatch), 2.15 * unit, 0.52)
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
    return axis.text(*middle, text, ha="center", va="center", bbox=backing, linespacing=1.2, fontsize=9)


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
        If there is no row, or one has not one number from 0 to 1 a class, or two classes have one name.

    Notes
    -----
    Taught in: chapter 3.3 (Knowledge transfer).
    """
    names = _distinct(names)
    figure, axes = sheet(0.5 + 1.05 * len(_some(rows, "row")), rows=len(rows), sharex=True, sharey=True, squeeze=False)
    for axis, (name, values) in zip(axes.flat, rows.items(), strict=True):
        if np.shape(values) != (len(names),):
            raise ValueError(f"Expected {len(names)} probabilities for {name!r}, found shape {np.shape(values)}.")
        if not all(0 <= value <= 1 for value in values):
            raise ValueError(
                f"Expected probabilities from 0 to 1 for {name!r}, found {values}. Apply softmax to logits."
            )
        axis.bar(range(len(names)), values, color=INKS[0].colour, width=0.7)
        top = int(np.argmax(values))
        said = f"{values[top]:.2f}" if values[top] >= 0.01 else f"{values[top]:.1g}"
        axis.text(top, values[top] + 0.03, said, ha="center", va="bottom", fontsize=9)
        axis.set_ylabel(_broken(name, _columns(1.1)))
        axis.grid(axis="x", visible=False)
    axes[-1, 0].set(xlabel="class", ylim=(0, 1.25), yticks=(0, 0.5, 1))
    _grow(figure, _name_ticks(axes[-1, 0], names, 72 * 5.4 / len(names)))
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
        If the rows, or the captions, are not equally many, or a picture has values that cannot be shown.

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
        row[0].set_ylabel(_broken(name, _columns((WIDTH - 0.9) / columns)))
        for axis, picture in zip(row, pictures, strict=True):
            if np.ndim(picture) == 2:
                shown = _finite(picture, f"numbers of {name!r}", "(H, W)", 2)
                axis.imshow(shown, cmap="viridis", interpolation="nearest")
            else:
                _show(axis, *_pictures([picture]))
    for axis, caption in zip(axes[0], [] if captions is None else captions, strict=False):
        axis.set_title(_broken(caption, _columns((WIDTH - 0.9) / columns)))
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

    Raises
    ------
    ValueError
        If there are more panels than inks, or one has no values, or some that are not finite.

    Notes
    -----
    Taught in: chapter 3.3 (Knowledge transfer).
    """
    look = inks(panels)
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure, axes = sheet(2.9 * rows, rows=rows, columns=columns, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis, (name, sweep), ink in zip(axes.flat, panels.items(), look.values(), strict=False):
        strengths = sorted(sweep)
        means, _ = _estimates({strength: sweep[strength] for strength in strengths}, name)
        for place, strength in enumerate(strengths):
            axis.plot([place] * len(sweep[strength]), sweep[strength], ".", color=ink.colour, alpha=0.5, markersize=6)
        axis.plot(range(len(means)), means, color=ink.colour, linestyle=ink.dash, marker=ink.marker)
        _name_ticks(axis, [f"{strength:g}" for strength in strengths], 72 * 5.4 / columns / len(strengths))
        axis.set(xlabel=xlabel, title=_broken(name, _columns(5.8 / columns)))
    return figure


@styled
def channel_responses(images, maps, names, channels=3):
    """Show how the same channels respond to several images: compare the patterns down a column.

    Parameters
    ----------
    images : sequence of ndarray, shape (H, W) or (H, W, 3), uint8 or float in [0, 1]
        One row each.
    maps : mapping of str to ndarray, shape (N, h, w, C), float
        Layer name to its activations for the images. Of each layer the channels that vary most over all images are
        shown. The maps that a layer makes of one image share a scale, from 0 (black) to their largest value; where some
        are negative, black is the lowest of them.
    names : sequence of str
        Names of the rows.
    channels : int
        Columns of each layer.

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If images, names and maps are not equally many, or hold values that cannot be shown.

    Notes
    -----
    Taught in: chapter 3.1 (Feature extraction).
    """
    images = _pictures(images)
    maps = {name: _finite(found, f"activations of {name!r}", "(N, h, w, C)", 4) for name, found in maps.items()}
    counts = {"images": len(images), "names": len(names)} | {name: len(found) for name, found in maps.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"Expected as many names and maps as images; found {counts}.")
    columns = 1 + channels * len(maps)
    figure, axes = sheet(0.3 + 0.95 * len(images), rows=len(images), columns=columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for row, (image, name) in enumerate(zip(images, names, strict=True)):
        _show(axes[row, 0], image)
        axes[row, 0].set_ylabel(_broken(name, _columns(0.95)))
    axes[0, 0].set_title("image")
    for place, (layer, responses) in enumerate(maps.items()):
        strongest = np.argsort(-responses.std((0, 1, 2)), kind="stable")[:channels]
        part = axes[:, 1 + place * channels :]
        for axis, channel in zip(part[0], strongest, strict=False):
            axis.set_title(f"{_broken(layer, max(8, _columns(4.6 / columns, 9)))}\nno. {channel}", fontsize=9)
        for row, response in zip(part, responses[..., strongest], strict=True):
            for axis, pattern in zip(row, np.moveaxis(response, -1, 0), strict=False):
                scale = {"vmin": min(0, response.min()), "vmax": response.max()}
                axis.imshow(pattern, cmap="magma", interpolation="nearest", **scale)
    return figure


CLASS_COLOURS = (*(ink.colour for ink in INKS[:6]), "#882255", "#6B6B6B", "#8C510A", "#4B0092")


@styled
def projections(planes, labels, names):
    """Show two-dimensional projections side by side; each point is its class's first character in its class's colour.

    Parameters
    ----------
    planes : mapping of str to ndarray, shape (N, 2), float
        Title to the points' coordinates.
    labels : ndarray, shape (N,), int
    names : sequence of str, at most 10
        Classes; the first character is drawn, so that no colour is needed to tell the points apart, or the class's
        number where two begin with the same character or no font has it. A legend says which is which, unless the
        names are that short.

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If there are more classes than colours, a label has no name, or points do not fit the labels.

    Notes
    -----
    Taught in: chapter 3.1 (Feature extraction).
    """
    names, labels = _distinct(names), np.asarray(labels)
    if len(names) > len(CLASS_COLOURS):
        raise ValueError(f"Expected at most {len(CLASS_COLOURS)} classes, found {len(names)}. Show some of them.")
    if not set(labels.tolist()) <= set(range(len(names))):
        raise ValueError(f"Expected labels from 0 to {len(names) - 1}, found {labels.min()} to {labels.max()}.")
    letters = [name[:1] for name in names]
    drawn = all(letter.strip() for letter in letters) and not _fonts("".join(letters))[1]
    if len(set(letters)) < len(names) or not drawn:
        letters = [str(label) for label in range(len(names))]
    rows = -(-len(_some(planes, "projection")) // 2)
    figure, axes = sheet(3.1 * rows, rows=rows, columns=min(2, len(planes)), squeeze=False)
    for axis in axes.flat[len(planes) :]:
        axis.set_axis_off()
    for axis, (title, points) in zip(axes.flat, planes.items(), strict=False):
        points = _finite(points, f"points of {title!r}", "(N, 2)", 2)
        if points.shape != (len(labels), 2):
            raise ValueError(f"Expected two numbers for each of {len(labels)} labels; {title!r} has {points.shape}.")
        drawn = {}
        for label, (name, letter, colour) in enumerate(zip(names, letters, CLASS_COLOURS, strict=False)):
            look = {"marker": _mark(letter), "color": colour, "markeredgewidth": 0.2, "markersize": 6.5}
            (drawn[name],) = axis.plot(*points[labels == label].T, linestyle="", label=name, **look)
        axis.set(title=_broken(title, _columns(3.0)), xticks=[], yticks=[])
        axis.grid(visible=False)
    if letters != names:
        _legend(figure, drawn, 5)
    return figure


def _mark(letter):
    """Return a letter's outline, centred, as a marker."""
    families, _ = _fonts(letter)
    outline = TextPath((0, 0), letter, prop=font_manager.FontProperties(family=families))
    low, high = outline.vertices.min(0), outline.vertices.max(0)
    return Path(outline.vertices - (low + high) / 2, outline.codes)


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

    Raises
    ------
    ValueError
        If an arm has a layer that is not on the axis, has no values, or some that are not finite; if there are more
        arms than inks.

    Notes
    -----
    Student's t over the seeds; a single seed has no interval. Taught in: chapter 3.1 (Feature extraction).
    """
    layers = _distinct(layers)
    figure, axis = sheet(3.5)
    drawn = {}
    offsets = np.linspace(-0.09, 0.09, len(arms)) if len(arms) > 1 else [0.0]  # so that intervals do not overlap
    for offset, (name, ink) in zip(offsets, inks(arms).items(), strict=True):
        lost = [layer for layer in arms[name] if layer not in layers]
        if lost:
            raise ValueError(
                f"{name!r} has values for {', '.join(map(str, lost))}, which `layers` lacks. Add it there."
            )
        present = [layer for layer in layers if layer in arms[name]]
        places = np.array([layers.index(layer) for layer in present]) + offset
        means, halves = _estimates({layer: arms[name][layer] for layer in present}, name)
        for place, layer in zip(places, present, strict=True):
            values = arms[name][layer]
            axis.plot([place] * len(values), values, ".", color=ink.colour, alpha=0.35, markersize=5)
        look = {"color": ink.colour, "linestyle": ink.dash, "marker": ink.marker}
        drawn[name] = axis.errorbar(places, means, yerr=halves, capsize=3, elinewidth=1.2, label=name, **look)
    _grow(figure, _name_ticks(axis, layers, 72 * 5.4 / len(layers)))
    axis.set(xlabel=xlabel, ylabel=ylabel)
    _legend(figure, drawn)
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

    Raises
    ------
    ValueError
        If the table holds something else, or nothing.

    Notes
    -----
    Taught in: chapter 4.1 (Results).
    """
    known = [each for each in table.to_numpy().ravel() if isinstance(each, Interval)]
    if not known or not np.isfinite([each.mean for each in known]).all():
        raise ValueError("Expected a table of finite `measures.Interval`s, for instance from `paired_interval`.")
    wrong = next((each for each in table.to_numpy().ravel() if not isinstance(each, Interval) and each == each), None)
    if wrong is not None:
        raise ValueError(f"Expected `measures.Interval`s, or None for a gap; found {wrong!r}.")
    found = table.map(lambda each: getattr(each, "mean", np.nan)).to_numpy(float)
    names = [_broken(name, 40) for name in table.index]
    lines = max(name.count("\n") + 1 for name in names)
    figure, axis = sheet(1.3 + max(0.36, 0.18 * lines) * len(table))
    most = np.nanmax(np.abs(found)) or 1.0
    digits = max(1, 1 - int(np.floor(np.log10(most))))  # two of them of the largest difference, however small
    picture = axis.imshow(found, cmap="PuOr", vmin=-most, vmax=most, aspect="auto")
    _grow(figure, _name_ticks(axis, table.columns, 72 * 4.0 / len(table.columns)))
    axis.set_yticks(range(len(table)), names)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    figure.colorbar(picture, ax=axis, label=unit, fraction=0.05, pad=0.02)
    said = {}
    for (row, column), mean in np.ndenumerate(found):
        if not np.isnan(mean):
            each, text = table.iat[row, column], f"{mean:+.{digits}f}"
            said[row, column] = text if each.low > 0 or each.high < 0 else f"({text})"
    size = _size_in_cells(figure, axis, len(table.columns), 9, said.values())
    if size is None:
        axis.set_xlabel(f"{xlabel} (no room for the numbers)")
        return figure
    for (row, column), text in said.items():
        ink = _ink_on(picture.to_rgba(found[row, column]))
        axis.text(column, row, text, ha="center", va="center", fontsize=size, color=ink)
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

    Raises
    ------
    ValueError
        If a series is empty, a point is not finite, or there are more series than inks.

    Notes
    -----
    Taught in: chapter 3.1 (Feature extraction) and chapter 4.1 (Results).
    """
    look = inks(points)
    for series, places in points.items():
        for name, place in _some(places, f"point of {series!r}").items():
            if not np.isfinite(place).all():
                raise ValueError(f"Expected finite numbers of {name!r} in {series!r}, found {place}. Leave it out.")
    figure, axis = sheet(3.8)
    drawn, levels = {}, []
    reached = [accuracy for series in points.values() for _, accuracy in series.values()]
    height = np.ptp(reached) or 0.1
    for side, (series, ink) in enumerate(look.items()):
        places = np.array(list(points[series].values())).T
        (drawn[series],) = axis.plot(*places, ink.marker, color=ink.colour, label=series)
        if not named:
            continue
        known = sorted(points[series].items(), key=lambda item: item[1][1])
        names = [_broken(name, 24) for name, _ in known]
        gap = 0.05 * height * max(name.count("\n") + 1 for name in names)  # names do not overlap
        heights = _spread([accuracy for _, (_, accuracy) in known], gap)
        look = {"fontsize": 9, "color": ink.colour, "va": "center", "ha": ("left", "right")[side % 2]}
        look["arrowprops"] = {"arrowstyle": "-", "color": ink.colour, "linewidth": 0.6}
        for name, (_, place), level in zip(names, known, heights, strict=True):
            beside = (26, -26)[side % 2], level
            axis.annotate(name, place, xytext=beside, textcoords=("offset points", "data"), **look)
        levels += [heights[0] - gap / 2, heights[-1] + gap / 2]
    axis.margins(x=0.2, y=0.08)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    if levels and (min(levels) < min(reached) - 0.08 * height or max(levels) > max(reached) + 0.08 * height):
        axis.set_ylim(min(*levels, *reached) - 0.08 * height, max(*levels, *reached) + 0.08 * height)
        _grow(figure, 2.7 * (np.ptp([*levels, *reached]) / height - 1))
    _legend(figure, drawn, 2, axis, "lower right")
    return figure
