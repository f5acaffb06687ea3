"""What is said to an answer: a hint that names what may have gone wrong, for any value that anybody may pass."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Reply", "hint"]


class _UnfitError(ValueError):
    """An answer has another type or shape than is asked for; the message says so to the reader."""


@dataclass(frozen=True)
class Reply:
    """What is said to an answer.

    Parameters
    ----------
    right : bool
        Whether it is.
    told : str
        A reason if it is right, a hint if it is not; text between backticks is code.

    Notes
    -----
    Taught in: every chapter that has exercises.
    """

    right: bool
    told: str

    def __repr__(self) -> str:
        return f"{'Right' if self.right else 'Not yet'}. {self.told}"

    def _repr_markdown_(self) -> str:
        return repr(self)


def hint(asked: Mapping[str, Any], answer: object) -> str:
    """Return what is said to a wrong answer.

    Parameters
    ----------
    asked : mapping
        ``asks``, what is expected, in words, and one of four kinds: ``number`` (lowest and highest right one), ``word``
        (all that are right), ``set`` (all items) or ``parts`` (mapping of names to such mappings). A number has the
        hints ``wrong`` (list of lowest, highest, hint) and ``other``, and ``share`` if it must be one; a word has
        ``wrong`` (list of words, hint); a set has ``extra`` and ``missing``.
    answer : object
        Any value.

    Returns
    -------
    str
        Empty if the answer is right.

    Notes
    -----
    Taught in: no chapter (a tool for adding a chapter).
    """
    kind = next(kind for kind in _KINDS if kind in asked)
    try:
        return _KINDS[kind](asked, answer)
    except _UnfitError as error:
        return f"{error} Expected: {asked['asks']}."


def _of_number(asked: Mapping[str, Any], answer: object) -> str:
    one = _one(answer)
    try:
        value = float("none" if isinstance(one, bool) else one.strip(" %") if isinstance(one, str) else one)
    except (TypeError, ValueError, OverflowError):
        raise _UnfitError(f"`{str(one)[:40]}` is of type {type(one).__name__} and no number.") from None
    if not math.isfinite(value):
        raise _UnfitError(f"`{value}` is no finite number: look for a mean of nothing or a division by zero.")
    if asked.get("share") and abs(value) > 1:
        return "A share lies between -1 and 1. Divide percent, or points, by 100."
    low, high = asked["number"]
    found = (told for first, last, told in asked["wrong"] if first <= value <= last)
    return "" if low <= value <= high else next(found, asked["other"])


def _of_word(asked: Mapping[str, Any], answer: object) -> str:
    if not isinstance(one := _one(answer), str):
        raise _UnfitError(f"`{str(one)[:40]}` is of type {type(one).__name__} and no word.")
    word, told = _term(one), {_term(each): told for words, told in asked["wrong"] for each in words}
    if word not in told and word not in map(_term, asked["word"]):
        raise _UnfitError(f"`{one.strip()[:40]}` is none of the words to choose from.")
    return told.get(word, "")


def _of_set(asked: Mapping[str, Any], answer: object) -> str:
    if isinstance(answer, str):
        answer = answer.split(",")
    items = list(answer) if isinstance(answer, Collection) else [answer]
    given, right = {_term(_one(item)) for item in items}, set(map(_term, asked["set"]))
    return asked["extra"] if given - right else asked["missing"] if right - given else ""


def _of_parts(asked: Mapping[str, Any], answer: object) -> str:
    names = list(asked["parts"])
    if isinstance(answer, str) or not (keys := getattr(answer, "keys", None)):
        raise _UnfitError(f"It has {len(names)} parts; give a mapping with the keys {', '.join(names)}.")
    given = {_term(key): answer[key] for key in keys()}  # type: ignore[index]  # what has keys can be asked for them
    if lacking := [name for name in names if given.get(_term(name)) is None]:
        raise _UnfitError(f"There is nothing for {', '.join(lacking)} yet.")
    told = {name: hint(part, given[_term(name)]) for name, part in asked["parts"].items()}
    return " ".join(f"`{name}`: {wrong or 'right.'}" for name, wrong in told.items()) if any(told.values()) else ""


_KINDS = {"number": _of_number, "word": _of_word, "set": _of_set, "parts": _of_parts}


def _one(answer: object) -> Any:
    """Return what is in a list or an array of one."""
    if hasattr(answer, "ndim"):
        answer = np.asarray(answer).ravel().tolist()
    if not isinstance(answer, Collection) or isinstance(answer, str | bytes | Mapping):
        return answer
    if len(answer) != 1:
        raise _UnfitError(f"That is {len(answer)} values.")
    return _one(next(iter(answer)))


def _term(one: object) -> str:
    """Return a word or a number as it is compared: no matter the case, spaces, underscores, quotes and folders."""
    if isinstance(one, int | float):
        return f"{one:g}"
    return " ".join(str(one).casefold().rsplit("/")[-1].replace("_", " ").strip(" .!?'\"`").split())
