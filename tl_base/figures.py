"""The form of the book's figures: style, fonts, names that fit. What a figure shows is the business of others.

The style lives inside a context, so importing this module changes nothing. The ground is white, so that a figure stays
legible on a dark page. Names and titles are shown as they are given: ``$``, ``_`` and backslashes mean nothing special.
"""

import contextlib
import functools
import io
import textwrap
import unicodedata
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np
from matplotlib import font_manager, style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from matplotlib.ticker import LogFormatterSciNotation
from PIL import Image

Given = ParamSpec("Given")
Drawn = TypeVar("Drawn")
Many = TypeVar("Many", bound=Collection[Any])

WIDTH = 6.4  # inches; 614 CSS pixels on a page
COLOURS = 256  # of a figure on a page: a third of the bytes, and enough for small photographs
SMALL = 64  # pixels a side, at most; of larger ones a reader sees that blue became green
STYLE: dict[str, Any] = {
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
}
FONT = "DejaVu Sans"  # comes with Matplotlib
VARIANTS = {chr(code) for code in range(0xFE00, 0xFE10)}  # choose between two looks of an emoji, draw nothing


class BookFigure(Figure):
    """A figure that a notebook shows twice as sharp as it is wide on the page, in few colours where these will do."""

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, bytes], dict[str, dict[str, int]]]:
        drawn, png = io.BytesIO(), io.BytesIO()
        with style.context(["default", STYLE]):  # Matplotlib makes the ticks only now
            self.savefig(drawn, format="png", dpi=192)
        picture = Image.open(drawn).convert("RGB")
        if not self.photographs:
            picture = picture.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        picture.save(png, "PNG", optimize=True)
        return {"image/png": png.getvalue()}, {"image/png": {"width": round(96 * self.get_figwidth())}}

    def draw(self, renderer: RendererBase) -> None:
        """Draw in the book's style, with fonts that have every letter; say once a figure which letters none has."""
        with style.context(["default", STYLE]), _lettered(self.findobj(Text)) as missing:
            super().draw(renderer)
        if missing != self._missing:
            self._missing = missing
            warnings.warn(_advice(missing), stacklevel=2)

    _missing = ""
    photographs = False  # of more than `SMALL` pixels: then all colours are kept


def styled(function: Callable[Given, Drawn]) -> Callable[Given, Drawn]:
    """Run a figure function inside the book's style, whatever the reader's own Matplotlib settings are."""

    @functools.wraps(function)
    def inside(*args: Given.args, **kwargs: Given.kwargs) -> Drawn:
        with style.context(["default", STYLE]):
            return function(*args, **kwargs)

    return inside


def sheet(
    height: float, rows: int = 1, columns: int = 1, width: float = WIDTH, **subplots: Any
) -> tuple[BookFigure, np.ndarray]:
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
    ndarray of matplotlib.axes.Axes, shape (rows, columns)

    Notes
    -----
    Taught in: no chapter (a tool for adding a figure).
    """
    figure = BookFigure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **subplots)


# Letters


@contextlib.contextmanager
def _lettered(texts: Iterable[Text]) -> Iterator[str]:
    """Give texts the fonts that have their letters; return the letters that none has, to tell of them in one sentence.

    Inside, Matplotlib's own warnings about these letters are off: one a letter and a draw, and none says what to do.
    """
    texts = list(texts)
    families, missing = fonts("".join(text.get_text() for text in texts))
    if len(families) > 1:
        for text in texts:
            text.set_fontfamily(families)
    with warnings.catch_warnings():
        for letter in missing:
            warnings.filterwarnings("ignore", f"Glyph {ord(letter)} ")
        yield missing


def fonts(text: str) -> tuple[list[str], str]:
    """Name the fonts for a text: the book's own and, for letters that it lacks, installed ones; and what all lack."""
    seen = {letter for letter in text if unicodedata.category(letter) not in ("Cc", "Cf", "Zl", "Zp")} - VARIANTS
    missing = seen - _letters_in(font_manager.findfont(FONT), frozenset(seen))
    families = [FONT]
    if missing:
        known = {font.fname for font in font_manager.fontManager.ttflist if not font.name.startswith("Last Resort")}
        asked = frozenset(missing)
        having = {path: _letters_in(path, asked) for path in sorted(known.union(font_manager.findSystemFonts()))}
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
def _letters_in(path: str, letters: frozenset[str]) -> frozenset[str]:
    """Return those of the letters that a font file can draw."""
    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # a file that is no font, or damaged, draws nothing
        return frozenset()
    return frozenset(letter for letter in letters if font.scalable and font.get_char_index(ord(letter)))


def _advice(letters: str) -> str:
    packages = " ".join(sorted({_package(letter) for letter in letters}))
    return (
        f"No installed font that Matplotlib can use has {' '.join(letters)}; the figure shows boxes instead. Install "
        f"one, on Debian, Ubuntu or Colab with `apt-get install {packages}`, and draw the figure again. A font file of "
        "your own is found after `matplotlib.font_manager.fontManager.addfont(path)`."
    )


def _package(letter: str) -> str:
    """Name the Debian package whose fonts have a letter."""
    if unicodedata.name(letter, "").startswith(("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "FULLWIDTH", "IDEOGRAPHIC")):
        return "fonts-noto-cjk"
    return "fonts-symbola" if unicodedata.category(letter) == "So" else "fonts-noto-core"


# Names that fit


def broken(text: object, columns: float) -> str:
    """Break a text into lines of at most so many columns, inside words too; a Chinese letter is two columns wide."""
    lines = []
    for part in str(text).split("\n"):
        double = any(unicodedata.east_asian_width(letter) in "WF" for letter in part)
        lines += textwrap.wrap(part, max(1, int(columns) // (2 if double else 1))) or [""]
    return "\n".join(lines)


def columns_on(inches: float, size: float = 10) -> int:
    """Return how many letters of a size, in points, stand on so many inches."""
    return max(1, int(72 * inches / (0.58 * size)))


def legend(figure: Figure, entries: Mapping[str, Artist], columns: int = 2, inside: Axes | None = None) -> None:
    """Name the series in their order: inside an axis if no line is in the way there, else above, in columns that fit.

    Handles are given one by one because Matplotlib's own list leaves out names that begin with an underscore.
    """
    handles, names = list(entries.values()), [broken(name, 60) for name in entries]
    if inside is not None:
        placed = inside.legend(handles, names, loc="lower right")
        figure.draw_without_rendering()
        with _lettered(placed.get_texts()):
            box = placed.get_window_extent()
        paths = [line.get_path().transformed(line.get_transform()) for line in inside.lines]
        if not any(path.intersects_bbox(box, filled=False) for path in paths):
            return
        placed.remove()
    for count in range(columns, 0, -1):
        placed = figure.legend(handles, names, loc="outside upper left", ncols=count)
        with _lettered(placed.get_texts()):
            box = placed.get_window_extent()
        if count == 1 or box.width <= figure.bbox.width:
            break
        placed.remove()
    grow(figure, box.height / figure.dpi - 0.9)


def grow(figure: Figure, inches: float) -> None:
    """Make a figure higher, so that long names take nothing from what they name."""
    figure.set_figheight(figure.get_figheight() + max(0, inches))


def name_ends(figure: Figure, axis: Axes, ends: Mapping[str, tuple[float, Mapping[str, Any]]]) -> bool:
    """Write names to the right of an axis, where their lines end, each behind a sample of its line.

    Parameters
    ----------
    ends : mapping of str to (float, mapping)
        Name to the height of the end, and to the line's properties, ``color`` among them.

    Returns
    -------
    bool
        False, and nothing is written, where the names have no room one above the other.
    """
    names = {name: broken(name, 22) for name in ends}
    figure.draw_without_rendering()
    room = 72 / figure.dpi * axis.get_window_extent().height  # points
    gap = 11.0 * max(name.count("\n") + 1 for name in names.values()) + 2
    if gap * len(ends) > room:
        return False
    order = sorted(ends, key=lambda name: ends[name][0])
    low, high = axis.get_ylim()
    heights = spread([room * (ends[name][0] - low) / (high - low) for name in order], gap)
    steps = np.arange(len(order))
    heights = np.clip(heights, gap * (steps + 0.5), room - gap * (steps[::-1] + 0.5)) / room
    for name, height in zip(order, heights, strict=True):
        end, look = ends[name]
        lead = {"color": look["color"], "linewidth": 0.7, "clip_on": False}
        axis.plot([1.0, 1.04], [(end - low) / (high - low), height], transform=axis.transAxes, **lead)
        sample = {"transform": axis.transAxes, "clip_on": False, "markevery": [1], "markersize": 5, **look}
        axis.plot([1.05, 1.085, 1.12], [height] * 3, **sample)
        axis.text(1.135, height, names[name], transform=axis.transAxes, color=look["color"], fontsize=9, va="center")
    axis.set_ylim(low, high)
    return True


def spread(places: Iterable[float], gap: float) -> np.ndarray:
    """Move sorted places apart to at least `gap`, as little as possible (pool adjacent violators), order kept."""
    steps = gap * np.arange(len(places := list(places)))
    blocks: list[tuple[float, int]] = []  # mean and number of places that stand close together
    for mean in np.array(places, float) - steps:
        count = 1
        while blocks and blocks[-1][0] > mean:
            before, many = blocks.pop()
            mean, count = (before * many + mean * count) / (many + count), many + count
        blocks.append((mean, count))
    return np.concatenate([[mean] * count for mean, count in blocks]) + steps


def name_ticks(axis: Axes, names: Iterable[object], room: float, lead: str = "x", level: int | None = None) -> float:
    """Write names at 0, 1, 2, …, for each of which there is `room` in points: level, else turned, else only some.

    Names of more than `level` letters are turned in any case. A name for which there is no room even in small letters
    loses its middle, and gets its number where two would then be alike.

    Returns
    -------
    float
        Inches that turned names need below the axis.
    """
    texts = [str(name) for name in names]
    largest = min(10.0, max(5.0, 0.85 * room))
    longest = max(_width(line) for name in texts for line in name.split("\n"))
    if lead == "x" and 0.58 * largest * longest <= room and longest <= (level or longest):
        axis.set_xticks(range(len(texts)), texts, fontsize=largest)
        return 0.0
    every = int(np.ceil(1.1 * largest / room))
    thick = room * every * (1 if lead == "y" or room <= 16 else 0.7)  # of a name, across its lines
    size, lines_of_names = _broken_to_fit(texts, thick, largest)
    shown = [name if place % every == 0 else "" for place, name in enumerate(lines_of_names)]
    if lead == "y":
        axis.set_yticks(range(len(texts)), shown, fontsize=size)
        return 0.0
    turned: dict[str, Any] = {"rotation": 45, "ha": "right"} if room > 16 else {"rotation": 90}
    axis.set_xticks(range(len(texts)), shown, fontsize=size, **turned)
    longest = max(_width(line) for name in lines_of_names for line in name.split("\n"))
    return 0.58 * size * longest * (0.7 if room > 16 else 1.0) / 72


def _broken_to_fit(names: list[str], thick: float, largest: float) -> tuple[float, list[str]]:
    """Choose the largest letters with which names, broken into lines, are at most so thick; else shorten names."""
    lines = 1
    for size in (largest, *(size for size in (8.5, 7.0, 6.0, 5.0) if size < largest)):
        lines = max(1, int(thick / (1.2 * size)))
        parts = [broken(name, 28) for name in names]
        if max(name.count("\n") + 1 for name in parts) <= lines:
            return size, parts
    short = [_shortened(name, 24 * lines) for name in names]
    if len(set(short)) < len(set(names)):
        short = [f"{place}: {name}" for place, name in enumerate(short)]
    return size, [broken(name, 28) for name in short]


def _shortened(name: str, letters: int) -> str:
    """Take the middle out of a long name: arms often differ at their ends."""
    half = (letters - 1) // 2
    return name if len(name) <= letters else f"{name[:half]}…{name[-half:]}"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def cell(figure: Figure, axis: Axes, columns: int) -> float:
    """Return the width of one of so many columns of an axis, in points."""
    figure.draw_without_rendering()
    return 72 / figure.dpi * axis.get_window_extent().width / columns


def size_in_cells(width: float, most: float, texts: Iterable[str]) -> float | None:
    """Return the size, in points, of letters with which texts stand in cells; None if they could not be read."""
    widest = max(TextPath((0, 0), text, size=most).get_extents().width for text in set(texts))
    size = min(most, most * 0.9 * width / widest)
    return size if size >= 4.5 else None


def mark_places(axis: Axes, places: Sequence[float]) -> None:
    """Mark places on a logarithmic axis, with a number where there is room for it."""
    span = max(np.log(places[-1] / places[0]), 1e-9)
    texts, end = [], -1.0
    for place in places:
        middle, text = 5.2 * np.log(place / places[0]) / span, f"{place:g}"  # inches
        half = 0.06 * len(text)
        texts.append(text if middle - half > end else "")
        end = middle + half if texts[-1] else end
    axis.set_xticks(places, texts, minor=False)
    axis.set_xticks([], minor=True)


class Powers(LogFormatterSciNotation):
    """Writes 10⁻³ in letters: Matplotlib's own ticks are formulas, and the book's style shows text as it is."""

    def __call__(self, value: float, position: int | None = None) -> str:
        """Return the text of a tick, empty where Matplotlib's own is."""
        if not super().__call__(value, position):
            return ""
        digit, exponent = f"{value:.0e}".split("e")
        power = "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return power if digit == "1" else f"{digit} × {power}"


def ink_on(colour: Any) -> str:
    """Choose the colour of letters on a ground: their contrast is at least 4.5 (WCAG 2.2, criterion 1.4.3)."""
    return next(ink for ink in ("white", "#222222", "black") if contrast(ink, colour) >= 4.5)


def contrast(one: Any, other: Any) -> float:
    """Return the contrast ratio of two colours as WCAG 2.2 defines it: 1 to 21."""
    linear = [
        np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        for rgb in (np.array(to_rgb(one)), np.array(to_rgb(other)))
    ]
    low, high = sorted(float(rgb @ [0.2126, 0.7152, 0.0722]) for rgb in linear)
    return (high + 0.05) / (low + 0.05)


# What can be drawn


def not_empty(values: Many, what: str) -> Many:
    """Refuse an empty collection."""
    if len(values) == 0:
        raise ValueError(f"Expected at least one {what}, found none.")
    return values


def distinct(names: Iterable[object], count: int | None = None) -> list[str]:
    """Return names as text, one a class and no two alike."""
    texts = [str(name) for name in names]
    if count is not None and len(texts) != count:
        raise ValueError(f"Expected one name a class ({count}), found {len(texts)} names.")
    twice = next((name for name in texts if texts.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"Two classes are named {twice!r}. Give each a name of its own, for example '{twice} 2'.")
    return texts


def as_pictures(images: Iterable[Any]) -> list[np.ndarray]:
    """Return images as arrays of (H, W) or (H, W, 3), after a look at their values: none is clipped in silence."""
    arrays = not_empty([np.asarray(image) for image in images], "image")
    for image in arrays:
        if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
            raise ValueError(f"Expected images of shape (H, W) or (H, W, 3), found {image.shape}.")
        fits = image.dtype in (np.uint8, bool) or (image.dtype.kind == "f" and ((image >= 0) & (image <= 1)).all())
        if not fits:
            raise ValueError(
                f"Expected images in uint8 (0 to 255) or float (0 to 1), found {image.dtype} from {image.min():g} to "
                f'{image.max():g}. Divide floats by their largest value; turn whole numbers into `.astype("uint8")`.'
            )
    return [image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image for image in arrays]


def show(axis: Axes, image: np.ndarray) -> None:
    """Show a picture that `as_pictures` has looked at, in its own brightness."""
    highest = 255 if image.dtype == np.uint8 else 1
    if image.ndim == 3 and max(image.shape[:2]) > SMALL and isinstance(figure := axis.get_figure(), BookFigure):
        figure.photographs = True
    axis.imshow(image, cmap="gray", vmin=0, vmax=highest, interpolation="nearest")


def finite(values: Any, what: str, shape: str, dimensions: int) -> np.ndarray:
    """Return numbers as an array, after a look at their shape and at NaN, which would be blank in silence."""
    numbers = np.asarray(values)
    if numbers.ndim != dimensions or numbers.size == 0:
        raise ValueError(f"Expected {what} of shape {shape}, found {numbers.shape}.")
    if not np.isfinite(numbers).all():
        raise ValueError(f"Expected finite {what}; {np.sum(~np.isfinite(numbers))} of {numbers.size} numbers are not.")
    return numbers
