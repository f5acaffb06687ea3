"""Exercises that answer: what is right, and which misconception is likely behind what is not.

Taught in: every chapter that has exercises.
"""

import tomllib
from collections.abc import Mapping
from typing import Any

from tl_base.replies import Reply, hint
from tl_helpers import asset

__all__ = ["Reply", "check", "exercises"]


def check(exercise: str, answer: object) -> Reply:
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
    Reply
        An answer of another type or shape gets a hint, too.

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
        return Reply(None, "Put your answer into `answer`, then run this cell again.")
    if told := hint(asked, answer):
        return Reply(False, told + (f" This check is for {asked['holds']}." if "holds" in asked else ""))
    return Reply(True, asked["why"])


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
