"""Figures about the records: maps of paired differences, scores against accuracies, targets side by side.

Taught in: chapter 4.1 (Results) and chapter 7.1 (Which source?).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tl_base import figures
from tl_base.figures import BookFigure, broken, sheet, styled
from tl_experiments import sources
from tl_helpers import looks
from tl_helpers.looks import looks_of
from tl_helpers.measures import Interval, mean_interval
from tl_helpers.records import CLASSES


@styled
def difference_map(table: pd.DataFrame, xlabel: str, ylabel: str = "", unit: str = "points") -> BookFigure:
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
    means = _means(table)
    names = [broken(name, 40) for name in table.index]
    lines = max(name.count("\n") + 1 for name in names)
    figure, ((axis,),) = sheet(1.3 + max(0.36, 0.18 * lines) * len(table))
    most = np.nanmax(np.abs(means)) or 1.0
    picture = axis.imshow(means, cmap="PuOr", vmin=-most, vmax=most, aspect="auto")
    figures.grow(figure, figures.name_ticks(axis, table.columns, 72 * 4.0 / len(table.columns)))
    axis.set_yticks(range(len(table)), names)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)  # beside a bracket a tick reads as a minus
    figure.colorbar(picture, ax=axis, label=unit, fraction=0.05, pad=0.02)
    texts = _written(table, most)
    size = figures.size_in_cells(figures.cell(figure, axis, len(table.columns)), 9, texts.values())
    if size is None:
        axis.set_xlabel(f"{xlabel} (no room for the numbers)")
        return figure
    for (row, column), text in texts.items():
        ink = figures.ink_on(picture.to_rgba(means[row, column]))
        axis.text(column, row, text, ha="center", va="center", fontsize=size, color=ink)
    return figure


def _written(table: pd.DataFrame, most: float) -> dict[tuple[int, ...], str]:
    """Write the means of a table, with two digits of the largest, in brackets where the interval includes zero."""
    digits, texts = max(1, 1 - int(np.floor(np.log10(most)))), {}
    for place, interval in np.ndenumerate(table.to_numpy()):
        if isinstance(interval, Interval):
            text = f"{interval.mean:+.{digits}f}"
            texts[place] = text if interval.low > 0 or interval.high < 0 else f"({text})"
    return texts


def _means(table: pd.DataFrame) -> np.ndarray:
    """Return the means of a table of intervals, NaN where a value is missing."""
    values = table.to_numpy().ravel()
    known = [value.mean for value in values if isinstance(value, Interval)]
    if not known or not np.isfinite(known).all():
        raise ValueError("Expected a table of finite `measures.Interval`s, for instance from `paired_interval`.")
    wrong = next((value for value in values if not isinstance(value, Interval) and value == value), None)
    if wrong is not None:
        raise ValueError(f"Expected `measures.Interval`s, or None for a gap; found {wrong!r}.")
    return table.map(lambda value: getattr(value, "mean", np.nan)).to_numpy(float)


@styled
def score_against_accuracy(
    points: Mapping[str, Mapping[str, tuple[float, float]]],
    xlabel: str,
    ylabel: str = "test accuracy",
) -> BookFigure:
    """Set a score that needs no training against the accuracy that training reached: one point each, with its name.

    Names stand to the right of the points of the first series, to the left of those of the second, and so on.

    Parameters
    ----------
    points : mapping of str to mapping of str to (float, float)
        Series to name to (score, accuracy).
    xlabel, ylabel : str

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If a series is empty, a point is not finite, or there are more series than inks.

    Notes
    -----
    Taught in: chapter 3.1 (Feature extraction) and chapter 5 (Outlook).
    """
    for series, places in points.items():
        _check(series, places)
    figure, ((axis,),) = sheet(3.8)
    drawn, levels = {}, list[float]()
    reached = [accuracy for series in points.values() for _, accuracy in series.values()]
    height = np.ptp(reached) or 0.1
    for side, (series, look) in enumerate(looks_of(points).items()):
        scores, accuracies = np.transpose(list(points[series].values()))
        (drawn[series],) = axis.plot(scores, accuracies, look.marker, color=look.colour, label=series)
        levels += _name_points(axis, points[series], look.colour, side % 2, height)
    axis.margins(x=0.2, y=0.08)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    low, high = min([*levels, *reached]) - 0.08 * height, max([*levels, *reached]) + 0.08 * height
    if low < min(reached) - 0.16 * height or high > max(reached) + 0.16 * height:
        axis.set_ylim(low, high)
        figures.grow(figure, 2.7 * ((high - low) / height - 1.16))
    figures.legend(figure, drawn, 2, axis)
    return figure


def _check(series: str, places: Mapping[str, tuple[float, float]]) -> None:
    for name, place in figures.not_empty(places, f"point of {series!r}").items():
        if not np.isfinite(place).all():
            raise ValueError(f"Expected finite numbers of {name!r} in {series!r}, found {place}. Leave it out.")


def _name_points(
    axis: Any, points: Mapping[str, tuple[float, float]], colour: str, left: int, height: float
) -> list[float]:
    """Write each point's name beside it, apart from the others; return how far down and up the names reach."""
    known = sorted(points.items(), key=lambda item: item[1][1])
    names = [broken(name, 24) for name, _ in known]
    gap = 0.05 * height * max(name.count("\n") + 1 for name in names)
    heights = figures.spread([accuracy for _, (_, accuracy) in known], gap)
    text = {"fontsize": 9, "color": colour, "va": "center", "ha": ("left", "right")[left]}
    line = {"arrowstyle": "-", "color": colour, "linewidth": 0.6}
    for name, (_, place), level in zip(names, known, heights, strict=True):
        beside = (26, -26)[left], level
        axis.annotate(name, place, beside, textcoords=("offset points", "data"), arrowprops=line, **text)
    return [heights[0] - gap / 2, heights[-1] + gap / 2]


@styled
def side_by_side(
    panels: Mapping[str, Mapping[str, Mapping[int, Sequence[float]]]],
    arms: Mapping[str, str],
    chance: Mapping[str, float],
    thick: Sequence[str] = (),
) -> BookFigure:
    """Draw test accuracy against labels per class, one panel a target, on one scale: means and 95 % intervals.

    Parameters
    ----------
    panels : mapping of str to mapping of str to mapping of int to sequence of float
        Panel's title to series to labels per class to one value a seed.
    arms : mapping of str to str
        Series to the arm of `looks` as which it is drawn.
    chance : mapping of str to float
        Panel's title to what guessing gives, a dotted line.
    thick : sequence of str
        Series whose lines are to be seen first.

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If there is no panel, or a series has no values, or some that are not finite.

    Notes
    -----
    Student's t over the seeds. Taught in: chapter 7.1 (Which source?).
    """
    figure, axes = sheet(3.4, 1, len(figures.not_empty(panels, "panel")), sharey=True)
    drawn = {}
    for axis, (title, series) in zip(axes.flat, panels.items(), strict=True):
        axis.axhline(chance[title], color="#666666", linewidth=1, linestyle=":")
        for name, values in series.items():
            drawn[name] = _band(axis, values, arms[name], 2.4 if name in thick else 1.3)
        places = sorted({place for values in series.values() for place in values})
        axis.set(xscale="log", xlabel="labels per class", title=broken(title, 28))
        axis.set_xticks(places, [f"{place:g}" for place in places], minor=False)
        axis.set_xticks([], minor=True)
    axes[0, 0].set(ylabel="test accuracy", ylim=(0, 1))
    figures.legend(figure, drawn, 3)
    return figure


TITLES = {sources.PHOTOGRAPHS: "photographs (TrashNet)", sources.CLASSES_B: "CIFAR-10's classes B"}
TITLES |= {sources.DIGITS: "digits (MNIST)"}


def which_source(table: pd.DataFrame) -> BookFigure:
    """Draw how good each source is on photographs, on CIFAR-10's classes B and on digits: the lines cross.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records.load` returns it.

    Returns
    -------
    BookFigure

    Raises
    ------
    ExperimentError
        If runs are missing.

    Notes
    -----
    Its numbers are those of `sources.crossing`. Taught in: chapter 7.1 (Which source?).
    """
    panels = {title: sources.scores(table, target) for target, title in TITLES.items()}
    chance = {title: 1 / CLASSES[target] for target, title in TITLES.items()}
    arms = {name: arm.name for name, arm in sources.SERIES.items()}
    return side_by_side(panels, arms, chance, thick=("ImageNet", "CIFAR-10"))


def _band(axis: Any, values: Mapping[int, Sequence[float]], arm: str, width: float) -> Any:
    """Draw the means of a series as a line of its arm's look, and their intervals as a band."""
    known = looks.look(arm)
    means, halves = np.transpose(
        [mean_interval(seeds) for seeds in figures.not_empty(values, f"value of {arm!r}").values()]
    )
    axis.fill_between(list(values), means - halves, means + halves, color=known.colour, alpha=0.18, linewidth=0)
    style = {"color": known.colour, "marker": known.marker, "linestyle": (0, known.dash), "linewidth": width}
    (line,) = axis.plot(list(values), means, markersize=3.5 + width, **style)
    return line
