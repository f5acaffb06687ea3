"""The first plan: every method at every number of labels, on one training of each source, and what the explorer shows.

Each grid takes the records so far: what was chosen on development seeds stands there. Seeds that report are others.
The second plan, `replicates`, asks what of it holds over other trainings of the sources.
Taught in: chapter 3 (The three methods) and chapter 4.2 (The explorer).
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tl_experiments.arms import (
    BETWEEN,
    CONSTRAINED,
    CUTS,
    DOCUMENT,
    MAIN,
    RULED,
    SCRATCH,
    SWEEP,
    TAUGHT,
    Arm,
)
from tl_experiments.grid import Grid
from tl_experiments.names import ExperimentError
from tl_experiments.worked_example import DEVELOPMENT_SEEDS, FEW_SHOT
from tl_helpers.records import DIGITS, FAR, NEAR, SOURCELESS, chosen

Pair = tuple[str, str]  # source and target
SMALL = ("cifar10", "digits")  # for readers without MNIST
LABELS = (1, 2, 5, 10, 20, 50, 100)
TUNED_AT = (2, 10, 50)
TRIED_ON = DEVELOPMENT_SEEDS[:5]
SEEDS = tuple(range(10))
# Four trials an arm: four rates, or two rates with two strengths.
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
FEW_RATES = (1e-3, 3e-3)

# The rules speak of digits; a baseline without a source serves every pair of its target.
COMPARED = (
    (FAR, MAIN | CONSTRAINED | TAUGHT | RULED | CUTS | {DOCUMENT.name: DOCUMENT}, LABELS),
    (NEAR, MAIN, LABELS),
    (DIGITS, {name: arm for name, arm in MAIN.items() if name not in SOURCELESS}, LABELS),
    (NEAR, CONSTRAINED | TAUGHT, (5,)),
    (DIGITS, CONSTRAINED, (5,)),
    (SMALL, MAIN | CONSTRAINED, (5,)),
)
EXPLORED = (2, 5, 10, 50)
HELD = CONSTRAINED | TAUGHT
SWEPT_AT = 10  # labels per class at which the sweep's rates are chosen


def tuned_at(labels: int) -> int:
    """Return the number of labels whose choice serves: the nearest of `TUNED_AT` in ratio."""
    return min(TUNED_AT, key=lambda tuned: max(tuned / labels, labels / tuned))


def choice(table: pd.DataFrame | None = None) -> list[Grid]:
    """Choose rate and strength of every method: four trials, five development seeds, no test set."""
    grids = []
    for pair, arms, counts in COMPARED:
        axes: dict[str, Any] = {
            "pairs": [pair],
            "labels_per_class": sorted({tuned_at(n) for n in counts}),
            "seed": TRIED_ON,
        }
        for arm in arms.values():
            rates = FEW_RATES if len(arm.trials) > 1 else RATES
            if arm != DOCUMENT:
                grids.append(Grid("choice", learning_rate=rates, test=False, **axes, **FEW_SHOT, **arm.axes()))
    return grids


def reference(table: pd.DataFrame) -> list[Grid]:
    """Compare all methods from 1 to 100 labels per class, far and near: ten seeds, the test set once."""
    best = _best(table)
    return [
        Grid(
            "reference",
            pairs=[pair],
            labels_per_class=[n],
            seed=SEEDS,
            **FEW_SHOT,
            **_settled(best, pair, arm, n),
        )
        for pair, arms, counts in COMPARED
        for arm, n in itertools.product(arms.values(), counts)
    ]


def _best(table: pd.DataFrame) -> pd.DataFrame:
    return chosen(table, ("source", "target", "arm", "labels_per_class"), "choice")


def _of(best: pd.DataFrame | pd.Series, key: Any) -> Any:
    """Return what was chosen for an arm."""
    if key not in best.index:
        raise ExperimentError(
            f"Nothing was chosen yet for {', '.join(map(str, key))}: do the grid that chooses it first."
        )
    return best.loc[key]


def _settled(best: pd.DataFrame, pair: Pair, arm: Arm, labels: int) -> dict[str, Any]:
    """Return the axes of an arm with the rate and the settings that were chosen for it."""
    if arm == DOCUMENT:
        return arm.axes() | {"learning_rate": [1e-3]}
    row = _of(best, (*pair, arm.name, tuned_at(labels)))
    return arm.axes() | {"learning_rate": [row.learning_rate], "settings": [json.loads(row.settings)]}


def sweep_choice(table: pd.DataFrame) -> list[Grid]:
    """Choose the rates of the layer sweep: four rates, five development seeds, 10 labels per class, no test set."""
    return _sweep_choice(table, FAR)


def sweep(table: pd.DataFrame) -> list[Grid]:
    """Sweep the layers copied and frozen, CIFAR-10 to MNIST, at 2, 10 and 50 labels per class: ten seeds."""
    return _sweep(table, FAR)


def near_sweep_choice(table: pd.DataFrame) -> list[Grid]:
    """Choose the rates of the layer sweep on the near pair, likewise."""
    return _sweep_choice(table, NEAR)


def near_sweep(table: pd.DataFrame) -> list[Grid]:
    """Sweep the layers copied and frozen on the near pair, likewise."""
    return _sweep(table, NEAR)


def _sweep_choice(table: pd.DataFrame, pair: Pair, arms: Mapping[str, Arm] = SWEEP) -> list[Grid]:
    axes: dict[str, Any] = {"labels_per_class": [SWEPT_AT], "learning_rate": RATES, "seed": TRIED_ON, "test": False}
    return [Grid("sweep choice", **axes, **own) for own in _treatments(table, pair, SWEPT_AT, arms)]


def _sweep(
    table: pd.DataFrame,
    pair: Pair,
    arms: Mapping[str, Arm] = SWEEP,
    counts: Sequence[int] = TUNED_AT,
    experiment: str = "sweep",
) -> list[Grid]:
    best = chosen(table, ("source", "target", "arm"), "sweep choice").learning_rate
    return [
        Grid(experiment, labels_per_class=[n], seed=SEEDS, learning_rate=[_of(best, (*pair, own["arm"]))], **own)
        for n in counts
        for own in _treatments(table, pair, n, arms)
    ]


def _treatments(table: pd.DataFrame, pair: Pair, labels: int, arms: Mapping[str, Arm]) -> list[dict[str, Any]]:
    """List the treatments of a sweep as axes of a grid; base B has the rate chosen for training from scratch."""
    base = {"base_rate": _of(_best(table).learning_rate, (*pair, SCRATCH.name, tuned_at(labels)))}
    return [
        arm.axes() | {"pairs": [pair], "settings": [base if arm.initialisation == "target" else {}], **FEW_SHOT}
        for arm in arms.values()
    ]


def explorer_choice(table: pd.DataFrame) -> list[Grid]:
    """Choose the rates of what only the explorer offers, likewise: layers frozen in part, methods on the near pair."""
    between = [grid for pair in (FAR, NEAR) for grid in _sweep_choice(table, pair, BETWEEN)]
    axes: dict[str, Any] = {"pairs": [NEAR], "labels_per_class": TUNED_AT, "seed": TRIED_ON, "test": False, **FEW_SHOT}
    held = [Grid("choice", learning_rate=FEW_RATES, **axes, **arm.axes()) for arm in HELD.values()]
    return between + held


def explorer(table: pd.DataFrame) -> list[Grid]:
    """Complete what the explorer offers, at 2, 5, 10 and 50 labels per class, far and near: ten seeds."""
    copied = {name: arm for name, arm in SWEEP.items() if arm.initialisation != "target"}
    swept = [
        grid
        for pair, (arms, counts) in itertools.product((FAR, NEAR), ((BETWEEN, EXPLORED), (copied, (5,))))
        for grid in _sweep(table, pair, arms, counts, "explorer")
    ]
    best = _best(table)
    axes: dict[str, Any] = {"pairs": [NEAR], "seed": SEEDS, **FEW_SHOT}
    return swept + [
        Grid("explorer", labels_per_class=[n], **axes, **_settled(best, NEAR, arm, n))
        for arm, n in itertools.product(HELD.values(), TUNED_AT)
    ]
