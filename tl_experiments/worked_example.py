"""The grids of the worked example: six arms, the choice of their learning rates, the report on the full set.

Taught in: chapter 4 (Worked example).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from tl_experiments.arms import WORKED_EXAMPLE
from tl_experiments.grid import Grid
from tl_helpers.data import Split
from tl_helpers.records import chosen_rate

if TYPE_CHECKING:
    import keras

    from tl_helpers.transfer import Result

LEARNING_RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
DEVELOPMENT_SEEDS = tuple(range(100, 110))
FEW_SHOT: dict[str, Any] = {"steps": 200, "batch_size": 32}
FULL_SET: dict[str, Any] = {"steps": 200, "epochs": 5, "batch_size": 128}
TARGETS = ("mnist", "digits")


def arm_calls(source: "keras.Model") -> dict[str, Callable[..., "Result"]]:
    """List the arms of the worked example: each is one call of `transfer` with everything but the data fixed.

    Parameters
    ----------
    source : keras.Model
        The trained source network.

    Returns
    -------
    dict of str to callable
        Arm's name to a function of ``(split, **budget)`` that returns a `transfer.Result`. All share the trunk
        (conv1–conv3) but the one on pixels, and all have a linear head but the one that says otherwise.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    return {name: arm.call(source) for name, arm in WORKED_EXAMPLE.items()}


def budget(split: Split) -> dict[str, int]:
    """Return the training budget that every arm gets on a split.

    Parameters
    ----------
    split : data.Split

    Returns
    -------
    dict
        ``steps`` and ``batch_size``: 200 steps of 32 images with few labels, five passes of 128 on a full set.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    if split.per_class is not None:
        return dict(FEW_SHOT)
    passes = FULL_SET["epochs"] * len(split.train) // FULL_SET["batch_size"]
    return {"steps": max(passes, FULL_SET["steps"]), "batch_size": FULL_SET["batch_size"]}


def tuning(table: pd.DataFrame | None = None) -> list[Grid]:
    """Choose learning rates: every arm, six rates, development seeds, no test set."""
    common: dict[str, Any] = {"experiment": "tuning", "pairs": _pairs(), "learning_rate": LEARNING_RATES, "test": False}
    few: dict[str, Any] = {"seed": DEVELOPMENT_SEEDS, **FEW_SHOT}
    full: dict[str, Any] = {"seed": DEVELOPMENT_SEEDS[:1], "labels_per_class": [None], **FULL_SET}
    return [Grid(**common, **part, **arm.axes()) for part in (few, full) for arm in WORKED_EXAMPLE.values()]


def report(table: pd.DataFrame) -> list[Grid]:
    """Report the full set: every arm with the rate that its tuning chose, other seeds, test set."""
    grids = []
    for target in TARGETS:
        for name, arm in WORKED_EXAMPLE.items():
            rate = chosen_rate(table, target, None, name)
            shape: dict[str, Any] = {"pairs": [("cifar10", target)], "labels_per_class": [None], "seed": range(3)}
            grids.append(Grid("report", learning_rate=[rate], **shape, **FULL_SET, **arm.axes()))
    return grids


def _pairs() -> list[tuple[str, str]]:
    return [("cifar10", target) for target in TARGETS]
