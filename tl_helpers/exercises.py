"""Exercises that answer: what is right, and which misconception is likely behind what is not.

Taught in: every chapter that has exercises.
"""

import functools
import tomllib
from collections.abc import Mapping
from typing import Any

import traitlets

from tl_base.pages import Page
from tl_base.replies import Reply, hint
from tl_helpers import asset
from tl_helpers.widgets import FRONT

__all__ = ["Box", "Reply", "check", "exercises"]
UNANSWERED = "Put your answer into `answer`, then run this cell again."


class Box(Page, program=FRONT / "exercise.js"):
    """What is shown as long as there is no answer: a box that checks one, too, with a kernel and without one.

    Parameters
    ----------
    exercise : str
        Its number.
    asked : mapping
        What it asks, as for `tl_base.replies.hint`.

    Notes
    -----
    Taught in: every chapter that has exercises.
    """

    STATIC = ("content",)
    content = traitlets.Dict().tag(sync=True)
    right: bool | None = None

    def __init__(self, exercise: str, asked: Mapping[str, Any]) -> None:
        super().__init__(content={"exercise": exercise, "asked": asked, "told": UNANSWERED})

    def __repr__(self) -> str:
        return UNANSWERED


def check(exercise: str, answer: object) -> Reply | Box:
    """Tell whether an answer is right, and otherwise what may have gone wrong; never what the answer is.

    Parameters
    ----------
    exercise : str
        Its number, such as ``"3.2.1"``.
    answer : number, str, collection or mapping
        What the exercise asks for. NumPy's and pandas's kinds of these will do, a list of one for what is in it, and
        words in any case. None, or a mapping to None alone: no answer yet.

    Returns
    -------
    Reply or Box
        An answer of another type or shape gets a hint, too. Without an answer, a box to try one in.

    Raises
    ------
    ValueError
        If there is no such exercise.

    Notes
    -----
    The answers and the hints stand in ``assets/exercises.toml``. Taught in: every chapter that has exercises.
    """
    known = exercises()
    if not isinstance(exercise, str) or exercise not in known:
        raise ValueError(f"There is no exercise {exercise!r}. There are {', '.join(known)}.")
    asked = known[exercise]
    if answer is None or (isinstance(answer, Mapping) and answer and all(each is None for each in answer.values())):
        return Box(exercise, asked)
    if told := hint(asked, answer):
        return Reply(False, told + (f" This check is for {asked['holds']}." if "holds" in asked else ""))
    return Reply(True, asked["why"])


@functools.cache
def exercises() -> dict[str, dict[str, Any]]:
    """Read what the exercises ask, and what is said to their answers.

    Returns
    -------
    dict of str to dict
        Number of an exercise to its data, as the first lines of ``assets/exercises.toml`` explain them.

    Notes
    -----
    Taught in: no chapter (a tool for adding a chapter).
    """
    return tomllib.loads(asset("exercises.toml").read_text(encoding="utf-8"))
