"""Calls of Python as data: printed as code, or done.

Taught in: chapter 4.2 (The explorer).
"""

import dataclasses
import functools
import importlib
import json
import operator
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Name:
    """A name in a script, such as ``target`` or ``target.train``: printed as it is, looked up when it is run."""

    text: str


@dataclass(frozen=True)
class Call:
    """A call as data: printed as Python, or done.

    Attributes
    ----------
    function : str
        As the script writes it, for instance ``"transfer.from_scratch"``.
    arguments : tuple
        Plain values, `Name`, `Call`, or lists of these.
    keywords : mapping of str to the same
    then : {"", ".model", '["classes"]', "()"}
        What is taken of the value.
    """

    function: str
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    then: str = ""

    def text(self) -> str:
        """Return the call as Python, on several lines where it is long."""
        listed = [_text(value) for value in self.arguments]
        listed += [f"{name}={_text(value)}" for name, value in self.keywords.items()]
        line = f"{self.function}({', '.join(listed)}){self.then}"
        if len(line) <= WIDTH:
            return line
        inside = "\n".join(f"    {line}" for line in _side_by_side([f"{item}," for item in listed]))
        return f"{self.function}(\n{inside}\n){self.then}"

    def value(self, lookup: Callable[[str], Any], **more: Any) -> Any:
        """Do the call.

        Parameters
        ----------
        lookup : callable
            From the text of a `Name` to what it stands for.
        **more
            Keywords to add or to put in the place of those of the call.
        """
        arguments = [_value(value, lookup) for value in self.arguments]
        keywords = {name: _value(value, lookup) for name, value in self.keywords.items() if name not in more}
        return _THEN[self.then](_function(self.function)(*arguments, **keywords, **more))


WIDTH = 76  # columns of printed code
MODULES = {name: f"tl_helpers.{name}" for name in ("data", "knowledge", "models", "transfer")}
MODULES |= {name: f"tl_experiments.{name}" for name in ("perturbations", "protocol", "recipes", "trainings")}
IMPORTS = {"replace": "from dataclasses import replace", "resolve_name": "from pkgutil import resolve_name"}
_THEN: dict[str, Callable[[Any], Any]] = {
    "": lambda made: made,
    ".model": operator.attrgetter("model"),
    '["classes"]': operator.itemgetter("classes"),
    "()": operator.call,
}


Calls = Iterator[tuple[str, Call]]  # each with the name that its value gets


def _text(value: object) -> str:
    match value:
        case Name():
            return value.text
        case Call():
            return value.text()
        case list():
            return f"[{', '.join(map(_text, value))}]"
        case str():
            return json.dumps(value, ensure_ascii=False)
    return repr(value)


def _side_by_side(items: list[str]) -> list[str]:
    """Put as many items on each line as fit."""
    lines = items[:1]
    for item in items[1:]:
        if len(f"    {lines[-1]} {item}") <= WIDTH:
            lines[-1] += f" {item}"
        else:
            lines.append(item)
    return lines


def _value(value: object, lookup: Callable[[str], Any]) -> Any:
    match value:
        case Name():
            root, *attributes = value.text.split(".")
            made = importlib.import_module(MODULES[root]) if root in MODULES else lookup(root)
            return functools.reduce(getattr, attributes, made)
        case Call():
            return value.value(lookup)
        case list():
            return [_value(item, lookup) for item in value]
    return value


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.rpartition(".")
    if not module:
        functions: dict[str, Callable[..., Any]] = {
            "replace": dataclasses.replace,
            "resolve_name": pkgutil.resolve_name,
        }
        return functions[name]
    return getattr(importlib.import_module(MODULES[module]), function)


def made_when_needed(calls: Mapping[str, Call], names: Mapping[str, Any]) -> Callable[[str], Any]:
    """Return a look-up of names that does the call of a name that is not at hand, once.

    Parameters
    ----------
    calls : mapping of str to Call
    names : mapping of str to object
        What is at hand.

    Returns
    -------
    callable
    """
    values = dict(names)

    def lookup(name: str) -> Any:
        if name not in values:
            values[name] = calls[name].value(lookup)
        return values[name]

    return lookup
