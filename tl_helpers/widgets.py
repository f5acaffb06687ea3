"""What a reader can move: figures with sliders, and questions, with a kernel and on the static page without one.

Taught in: chapter 3.1 (Feature extraction).
"""

import itertools
import json
import math
import numbers
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from importlib import resources

import anywidget
import numpy as np
import traitlets

MOST_SERIES = 4


# The end of a widget's module on a page without a kernel: it takes the first place of its kind that is still free.
_START = """const places = [...document.querySelectorAll('[data-widget="{kind}"]')];
const place = places.findIndex((each) => !each.id);
const name = `{kind}-${{place + 1}}`;
places[place].id = `${{name}}-here`;
const values = {{ name, ...{values} }};
render({{ model: {{ get: (key) => values[key], set() {{}}, save_changes() {{}} }}, el: places[place] }});"""


class WidgetError(ValueError):
    """What was asked of a widget is not there."""


def front(*names):
    """Read files of the front end, one behind the other."""
    folder = resources.files("tl_helpers") / "front"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def plain(value, where):
    """Turn what people pass into what a page can hold; `where` says in an error what it was passed for."""
    if value is None:
        return None
    for kind, types in ((str, str), (bool, bool | np.bool_), (int, numbers.Integral)):
        if isinstance(value, types):
            return kind(value)
    if isinstance(value, numbers.Real | Decimal):
        found = float(str(value)) if isinstance(value, np.floating) else float(value)  # float32(0.1) is 0.1
        if not math.isfinite(found):
            raise WidgetError(f"A number in {where} is {found}; a page shows finite ones. Leave it out or replace it.")
        return found
    if isinstance(value, Mapping):
        return {str(name): plain(each, where) for name, each in value.items()}
    if getattr(value, "ndim", None) == 0 and not isinstance(value, np.generic | np.ma.MaskedArray):
        return plain(np.asarray(value)[()], where)
    if isinstance(value, Iterable) and not isinstance(value, bytes | set | frozenset | np.ma.MaskedArray):
        return [plain(each, where) for each in value]
    raise WidgetError(
        f"{where} holds {value!r}, of type {type(value).__name__}. A page shows numbers and words; turn it into one of "
        "them, or into a list of them."
    )


class Page(anywidget.AnyWidget):
    """A widget that can also stand on a page without a kernel.

    Parameters
    ----------
    **traits
        What goes to the page. Numbers of NumPy, pandas and the standard library become Python's own.

    Raises
    ------
    WidgetError
        If something in there is no number, word, list or mapping, or a number is not finite.

    Notes
    -----
    Its module may read `STATIC`, and on a page without a kernel ``name``: the widget's kind and its place among those
    of its kind on that page, such as ``"explorer-1"``. There it must not need more of its model than ``get``, ``set``
    and ``save_changes``. Taught in: no chapter (a tool for adding a widget).
    """

    STATIC = ()
    _css = front("widgets.css")

    def __init__(self, **traits):
        super().__init__(**{name: plain(value, name) for name, value in traits.items()})

    def html(self):
        """Return the widget as HTML that needs no kernel and loads nothing: data, style and program are inside.

        Returns
        -------
        str
        """
        kind = type(self).__name__.lower()
        values = {"live": None} | {name: getattr(self, name) for name in self.STATIC}
        told = json.dumps(values, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        program = self._esm.replace("export default { render };", _START.format(kind=kind, values=told))
        place = f'<div data-widget="{kind}">What belongs here needs JavaScript. In JupyterLab, run this cell.</div>'
        return f'<style>{self._css}</style>\n{place}\n<script type="module">\n{program}\n</script>'

    def _repr_mimebundle_(self, **kwargs):
        """Offer the live widget, and the static one where nothing can show it."""
        data, metadata = super()._repr_mimebundle_(**kwargs)
        return {**data, "text/html": self.html(), "text/plain": repr(self)}, metadata


class Movable(Page):
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
    Taught in: chapters 3.1 (Feature extraction), 3.2 (Parameter transfer) and 3.3 (Knowledge transfer).
    """

    STATIC = ("content",)
    _esm = front("common.js", "movable.js")
    content = traitlets.Dict().tag(sync=True)

    def __init__(
        self, title, frame, controls, *, x, series, kind="lines", xlabel="", ylabel="", limits=(0, 1), start=None
    ):
        controls = {name: _listed(f"the control {name!r}", values) for name, values in controls.items()}
        series, x, limits = _listed("series", series), _listed("x", x), plain(limits, "limits")
        _fits(kind, x, series, limits)
        start = {} if start is None else dict(start)
        if unknown := [name for name in start if name not in controls]:
            raise WidgetError(f"start names {unknown[0]!r}, and the controls are {', '.join(map(repr, controls))}.")
        listed = [
            {"name": name, "values": plain(values, name), "start": _place(name, values, start.get(name, values[0]))}
            for name, values in controls.items()
        ]
        frames = {}
        for places in itertools.product(*(range(len(values)) for values in controls.values())):
            given = {name: values[i] for i, (name, values) in zip(places, controls.items(), strict=True)}
            frames["|".join(map(str, places))] = _framed(frame(**given), given, len(series), len(x))
        shape = {"title": title, "kind": kind, "xlabel": xlabel, "ylabel": ylabel, "limits": limits}
        super().__init__(content=shape | {"controls": listed, "series": series, "x": x, "frames": frames})

    def __repr__(self):
        return f"Movable({self.content['title']!r}, {len(self.content['frames'])} frames)"


def _listed(name, values):
    """Return values as a list of what was passed, if all are numbers or all are words."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise WidgetError(f"{name} is {values!r}; expected a sequence of numbers or words.")
    found = list(values)
    shown = plain(found, name)
    kinds = {"numbers" if type(each) in (int, float) else type(each).__name__ for each in shown}
    if len(kinds) != 1 or not kinds <= {"numbers", "str", "bool"}:
        raise WidgetError(f"{name} has the values {shown}; expected at least one, and all numbers or all words.")
    return found


def _fits(kind, x, series, limits):
    """Check the axes of a figure."""
    if kind not in ("lines", "bars"):
        raise WidgetError(f"kind is {kind!r}; expected 'lines' or 'bars'.")
    if len(series) > MOST_SERIES:
        raise WidgetError(f"There are {len(series)} series; at most {MOST_SERIES} can be told apart.")
    if kind == "lines" and (isinstance(x[0], str) or len(x) < 2 or any(a >= b for a, b in itertools.pairwise(x))):
        raise WidgetError(f"Lines need at least two numbers that rise; x is {plain(x, 'x')}. Names go with bars.")
    if not isinstance(limits, list) or len(limits) != 2 or not limits[0] < limits[1]:
        raise WidgetError(f"limits is {limits}; expected two numbers, the lower one first.")


def _place(name, values, value):
    shown, value = plain(values, name), plain(value, f"the start of {name}")
    if value not in shown:
        raise WidgetError(f"{name} cannot start at {value!r}; its values are {', '.join(map(str, shown))}.")
    return shown.index(value)


def _framed(found, given, series, points):
    """Check a frame and round it."""
    given = plain(given, "controls")
    if isinstance(found, str):
        return found
    if not isinstance(found, tuple | list) or len(found) != 2 or not isinstance(found[1], str):
        raise WidgetError(f"The frame for {given} is {found!r}; expected (values, sentence), or a sentence alone.")
    values, told = found
    try:
        values = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
    except (TypeError, ValueError) as error:
        raise WidgetError(
            f"The frame for {given} has values that are no table of numbers ({error}); expected {series} series of "
            f"{points} numbers."
        ) from error
    if values.shape != (series, points) or not np.isfinite(values).all():
        raise WidgetError(
            f"The frame for {given} has the shape {values.shape}, or numbers that are not finite; expected {series} "
            f"series of {points} numbers."
        )
    return {"values": [[float(f"{value:.4g}") for value in row] for row in values], "told": told}


class Quiz(Page):
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
    _esm = front("common.js", "quiz.js")
    content = traitlets.Dict().tag(sync=True)

    def __init__(self, chapter):
        known = quizzes()
        if not isinstance(chapter, str) or chapter not in known:
            raise WidgetError(f"There are no questions about {chapter!r}. There are some about {', '.join(known)}.")
        super().__init__(content={"title": "Check yourself", "questions": known[chapter]})

    def __repr__(self):
        return f"Quiz, {len(self.content['questions'])} questions"


def quizzes():
    """Read the questions of all chapters.

    Returns
    -------
    dict of str to list of dict
        Chapter to questions: ``question``, ``choices`` (pairs of an answer and what to say to it), ``right`` (which).

    Notes
    -----
    Taught in: no chapter (a tool for adding a chapter).
    """
    text = (resources.files("tl_helpers") / "assets" / "quizzes.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
