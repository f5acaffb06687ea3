"""Widgets that also stand on a page without a kernel."""

import json
import math
import numbers
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import anywidget
import numpy as np

from tl_base.bundler import bundle

# The end of a widget's program on a page without a kernel: it takes the first place of its kind that is still free.
_START = """const places = [...document.querySelectorAll('[data-widget="{kind}"]')];
const place = places.findIndex((each) => !each.id);
const name = `{kind}-${{place + 1}}`;
places[place].id = `${{name}}-here`;
const values = {{ name, ...{values} }};
const model = {{ get: (key) => values[key], set() {{}}, save_changes() {{}} }};
entry.default.render({{ model, el: places[place] }});"""


class WidgetError(ValueError):
    """What was asked of a widget is not there."""


def plain(value: object, where: str) -> Any:
    """Turn what people pass into what a page can hold.

    Parameters
    ----------
    value : object
        Numbers and words, those of NumPy, pandas and the standard library too, and lists and mappings of them.
    where : str
        What it was passed for, to be named in an error.

    Returns
    -------
    None, str, bool, int, float, list or dict

    Raises
    ------
    WidgetError
        If something in there is no number, word, list or mapping, or a number is not finite.

    Notes
    -----
    Taught in: no chapter (a tool for adding a widget).
    """
    if value is None:
        return None
    kinds: tuple[tuple[Any, Any], ...] = ((str, str), (bool, bool | np.bool_), (int, numbers.Integral))
    for kind, types in kinds:
        if isinstance(value, types):
            return kind(value)
    if isinstance(value, numbers.Real | Decimal):
        number = float(str(value)) if isinstance(value, np.floating) else float(value)  # float32(0.1) is 0.1
        if not math.isfinite(number):
            raise WidgetError(f"A number in {where} is {number}; a page shows finite ones. Leave it out or replace it.")
        return number
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
        What goes to the page, as for `plain`.

    Raises
    ------
    WidgetError
        As for `plain`.

    Notes
    -----
    A subclass names its module, whose default export has ``render``: ``class Quiz(Page, program=FRONT / "quiz.js")``;
    the style stands beside it in ``widgets.css``. The module may read `STATIC`, and on a page without a kernel
    ``name``: the widget's kind and its place among those of its kind on that page, such as ``"explorer-1"``. There it
    must not need more of its model than ``get``, ``set`` and ``save_changes``. Taught in: no chapter (a tool for
    adding a widget).
    """

    STATIC: tuple[str, ...] = ()
    program: Path

    def __init_subclass__(cls, program: Path | None = None) -> None:
        if program:
            cls.program, cls._esm = program, bundle(program)
            cls._css = (program.parent / "widgets.css").read_text(encoding="utf-8")
        super().__init_subclass__()

    def __init__(self, **traits: object) -> None:
        super().__init__(**{name: plain(value, name) for name, value in traits.items()})

    def html(self) -> str:
        """Return the widget as HTML that needs no kernel and loads nothing: data, style and program are inside."""
        kind = type(self).__name__.lower()
        values = {"live": None} | {name: getattr(self, name) for name in self.STATIC}
        told = json.dumps(values, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        program = bundle(self.program, _START.format(kind=kind, values=told))
        place = f'<div data-widget="{kind}">What belongs here needs JavaScript. In JupyterLab, run this cell.</div>'
        return f'<style>{self._css}</style>\n{place}\n<script type="module">\n{program}\n</script>'

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Offer the live widget, and the static one where nothing can show it."""
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, "text/html": self.html(), "text/plain": repr(self)}, metadata
