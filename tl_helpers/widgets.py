"""What a reader can move: figures with sliders, and questions, with a kernel and on the static page without one.

Taught in: chapter 3.1 (Feature extraction).
"""

import itertools
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import traitlets

from tl_base.pages import Page, WidgetError, plain
from tl_helpers import asset
from tl_helpers.looks import as_json

__all__ = ["Movable", "Page", "Quiz", "WidgetError", "page_looks", "quizzes"]
MOST_SERIES = 4
FRONT = Path(__file__).parent / "front"  # the programs of all widgets
Values = Iterable[Any]
# What the explorer draws is an arm, but for a pinned run whose arm is drawn already, and the run in the kernel.
ROLES = {
    "A": {"colour": "#A3478C", "marker": "s", "dash": "9 3 2 3"},
    "live": {"colour": "#C85200", "marker": "X", "dash": "12 2 2 2 2 2"},
}


def page_looks(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return how arms are drawn on a page: name to ``colour``, ``marker`` (Matplotlib's letter) and ``dash`` (SVG's).

    Notes
    -----
    Taught in: no chapter (a tool for adding a widget).
    """
    known: dict[str, dict[str, Any]] = {**as_json(), **ROLES}
    return {name: known[name] for name in names}


class Movable(Page, program=FRONT / "movable.js"):
    """A figure of lines or bars whose controls pick one of the frames that were computed beforehand.

    Parameters
    ----------
    title : str
    frame : callable
        Takes one value of each control, by name; returns ``(values, told)``: for each of `series` one number for each
        of `x`, and a sentence that says what the frame shows. Or a sentence alone where there is nothing to draw.
    controls : mapping of str to sequence
        Name to values, all numbers or all words: numbers get a slider, words a list. Every combination is computed at
        once. Here and below a sequence is a list, a range, a generator, or an array or column of NumPy or pandas.
    x : sequence of float or str
        Places of the points of the lines, at least two and rising, or names of the bars.
    series : sequence of str
        At most four.
    kind : {"lines", "bars"}
    xlabel, ylabel : str
    limits : (float, float)
        Of the vertical axis; the same in all frames, so that they can be compared.
    start : mapping of str to value, optional
        By default the first of each control's values.

    Raises
    ------
    WidgetError
        If a frame does not fit `series` and `x`, a start is not among the values, or something passed is not as
        above.

    Notes
    -----
    There are ten parameters because a figure's axes need six. Taught in: chapters 3.1 (Feature extraction), 3.2
    (Parameter transfer) and 3.6 (Knowledge transfer).
    """

    STATIC = ("content",)
    content = traitlets.Dict().tag(sync=True)

    def __init__(
        self, title: str, frame: Callable[..., Any], controls: Mapping[str, Values], *, x: Values, series: Values,
        kind: Literal["lines", "bars"] = "lines", xlabel: str = "", ylabel: str = "", limits: Values = (0, 1),
        start: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        sets = {name: _listed(f"the control {name!r}", values) for name, values in controls.items()}
        series, x, limits = _listed("series", series), _listed("x", x), plain(limits, "limits")
        _fits(kind, x, series, limits)
        start = {} if start is None else dict(start)
        if unknown := [name for name in start if name not in sets]:
            raise WidgetError(f"start names {unknown[0]!r}, and the controls are {', '.join(map(repr, sets))}.")
        listed = [
            {"name": name, "values": plain(values, name), "start": _place(name, values, start.get(name, values[0]))}
            for name, values in sets.items()
        ]
        frames = {}
        for places in itertools.product(*(range(len(values)) for values in sets.values())):
            given = {name: values[i] for i, (name, values) in zip(places, sets.items(), strict=True)}
            frames["|".join(map(str, places))] = _framed(frame(**given), given, (len(series), len(x)))
        shape = {"title": title, "kind": kind, "xlabel": xlabel, "ylabel": ylabel, "limits": limits}
        super().__init__(content=shape | {"controls": listed, "series": series, "x": x, "frames": frames})

    def __repr__(self) -> str:
        return f"Movable({self.content['title']!r}, {len(self.content['frames'])} frames)"


def _listed(name: str, values: object) -> list[Any]:
    """Return values as a list of what was passed, if all are numbers or all are words."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise WidgetError(f"{name} is {values!r}; expected a sequence of numbers or words.")
    passed = list(values)
    shown = plain(passed, name)
    kinds = {"numbers" if type(each) in (int, float) else type(each).__name__ for each in shown}
    if len(kinds) != 1 or not kinds <= {"numbers", "str", "bool"}:
        raise WidgetError(f"{name} has the values {shown}; expected at least one, and all numbers or all words.")
    return passed


def _fits(kind: str, x: list[Any], series: list[Any], limits: object) -> None:
    """Check the axes of a figure."""
    if kind not in ("lines", "bars"):
        raise WidgetError(f"kind is {kind!r}; expected 'lines' or 'bars'.")
    if len(series) > MOST_SERIES:
        raise WidgetError(f"There are {len(series)} series; at most {MOST_SERIES} can be told apart.")
    if kind == "lines" and (isinstance(x[0], str) or len(x) < 2 or any(a >= b for a, b in itertools.pairwise(x))):
        raise WidgetError(f"Lines need at least two numbers that rise; x is {plain(x, 'x')}. Names go with bars.")
    if not isinstance(limits, list) or len(limits) != 2 or not limits[0] < limits[1]:
        raise WidgetError(f"limits is {limits}; expected two numbers, the lower one first.")


def _place(name: str, values: list[Any], value: object) -> int:
    """Return the place of a value among those of a control."""
    shown, value = plain(values, name), plain(value, f"the start of {name}")
    if value not in shown:
        raise WidgetError(f"{name} cannot start at {value!r}; its values are {', '.join(map(str, shown))}.")
    return int(shown.index(value))


def _framed(made: Any, given: Any, shape: tuple[int, int]) -> str | dict[str, Any]:
    """Check a frame and round it."""
    at, expected = f"The frame for {plain(given, 'controls')}", f"expected {shape[0]} series of {shape[1]} numbers."
    if isinstance(made, str):
        return made
    if not isinstance(made, tuple | list) or len(made) != 2 or not isinstance(made[1], str):
        raise WidgetError(f"{at} is {made!r}; expected (values, sentence), or a sentence alone.")
    try:
        values: np.ndarray = np.ma.filled(np.ma.asarray(made[0], dtype=float), np.nan)
    except (TypeError, ValueError) as error:
        raise WidgetError(f"{at} has values that are no table of numbers ({error}); {expected}") from error
    if values.shape != shape or not np.isfinite(values).all():
        raise WidgetError(f"{at} has the shape {values.shape}, or numbers that are not finite; {expected}")
    return {"values": [[float(f"{value:.4g}") for value in row] for row in values], "told": made[1]}


class Quiz(Page, program=FRONT / "quiz.js"):
    """Questions about a chapter, each with an answer at once and a reason for it.

    Parameters
    ----------
    chapter : str
        Name of its file, without the ending.

    Raises
    ------
    WidgetError
        If there are no questions about it.

    Notes
    -----
    The questions stand in ``assets/quizzes.toml``. Taught in: every chapter that ends with one.
    """

    STATIC = ("content",)
    content = traitlets.Dict().tag(sync=True)

    def __init__(self, chapter: str) -> None:
        known = quizzes()
        if not isinstance(chapter, str) or chapter not in known:
            raise WidgetError(f"There are no questions about {chapter!r}. There are some about {', '.join(known)}.")
        super().__init__(content={"title": "Check yourself", "questions": known[chapter]})

    def __repr__(self) -> str:
        return f"Quiz, {len(self.content['questions'])} questions"


def quizzes() -> dict[str, list[dict[str, Any]]]:
    """Read the questions of all chapters.

    Returns
    -------
    dict of str to list of dict
        Chapter to questions: ``question``, ``choices`` (pairs of an answer and what to say to it), ``right`` (which).

    Notes
    -----
    Taught in: no chapter (a tool for adding a chapter).
    """
    text = asset("quizzes.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
