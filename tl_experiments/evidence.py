"""The reference experiments: every method at every number of labels, what freezing does, what can be predicted.

Each grid takes the records so far: what was chosen on development seeds stands there. Seeds that report are others.
Taught in: chapter 4.1 (Results).
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
    HEAD,
    L2_SP,
    LP_FT,
    MAIN,
    RULED,
    SCRATCH,
    SWEEP,
    TAUGHT,
    TUNED,
    Arm,
)
from tl_experiments.grid import Grid
from tl_experiments.names import ExperimentError
from tl_experiments.worked_example import DEVELOPMENT_SEEDS, FEW_SHOT
from tl_helpers.records import DIGITS, FAR, NEAR, SOURCELESS, chosen, rows_of

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
PERTURBED = HEAD, TUNED, LP_FT, SCRATCH
SHIFTED = tuple(arm.name for arm in PERTURBED)
NOISES = (0.1, 0.3)
EPOCHS = (1, 2, 4, 8, 16)  # states of the source network on its way
SWEPT_AT = 10  # labels per class at which the sweep's rates are chosen


def tuned_at(labels: int) -> int:
    """Return the number of labels whose choice serves: the nearest of `TUNED_AT` in ratio."""
    return min(TUNED_AT, key=lambda tuned: max(tuned / labels, labels / tuned))


def leader(table: pd.DataFrame, pair: Pair, arms: Sequence[str], labels: int) -> str:
    """Name the arm that development seeds put first: the best mean validation accuracy of its best trial.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records` returns it.
    pair : (str, str)
        Source and target.
    arms : sequence of str
    labels : int
        Labels per class; the choice at the nearest of `TUNED_AT` serves.

    Returns
    -------
    str
        No test image has a part in it.

    Notes
    -----
    Taught in: chapter 4.1 (Results).
    """
    rows = rows_of(table, pair, "choice")
    rows = rows[(rows.labels_per_class == tuned_at(labels)) & rows.arm.isin(arms)]
    trials = rows.groupby(["arm", "learning_rate", "settings"], dropna=False).validation_accuracy.mean()
    best: Any = trials.idxmax()
    return best[0]


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


def shifts(table: pd.DataFrame) -> list[Grid]:
    """Score on shifted test sets four arms of the reference, at 10 and 50 labels per class: ten seeds."""
    return _again("shifts", table, PERTURBED, (10, 50), measures=("shifts",))


def noise(table: pd.DataFrame) -> list[Grid]:
    """Train on wrong labels, 10 and 30 % of them, at 10 and 50 labels per class: ten seeds."""
    return [grid for share in NOISES for grid in _again("noise", table, PERTURBED, (10, 50), label_noise=share)]


def change(table: pd.DataFrame) -> list[Grid]:
    """Measure by CKA, in its biased form, what training changes, at 10 and 50 labels per class: ten seeds."""
    return _again("change", table, (TUNED, LP_FT, L2_SP, SCRATCH), (10, 50), measures=("cka",))


def _again(experiment: str, table: pd.DataFrame, arms: Sequence[Arm], counts: Sequence[int], **how: Any) -> list[Grid]:
    """Repeat arms of the reference on the far pair, with their rates, under other conditions."""
    best = _best(table)
    axes: dict[str, Any] = {"pairs": [FAR], "seed": SEEDS, **FEW_SHOT, **how}
    return [
        Grid(experiment, labels_per_class=[n], **axes, **_settled(best, FAR, arm, n))
        for arm, n in itertools.product(arms, counts)
    ]


def prediction(table: pd.DataFrame) -> list[Grid]:
    """Score sources, checkpoints and layers by LogME and LEEP, and train on them, at 10 labels per class: ten seeds."""
    best = _best(table)
    heads = HEAD, *(CUTS[f"linear head on {layer}, source features"] for layer in ("pool1", "pool2", "dense"))
    states = [f"cifar10@{epoch}" for epoch in EPOCHS] + ["cifar10"]
    pairs = [(state, target) for state in states for target in ("mnist", "digits")] + [NEAR, DIGITS]
    axes: dict[str, Any] = {"labels_per_class": [10], "seed": SEEDS, **FEW_SHOT}
    grids = [
        Grid("prediction", pairs=pairs, measures=("logme", "leep"), **axes, **_settled(best, FAR, arm, 10))
        for arm in heads
    ]
    tuned = [(state, "mnist") for state in states]
    return [
        *grids,
        Grid("prediction", pairs=tuned, **axes, **_settled(best, FAR, TUNED, 10)),
    ]
