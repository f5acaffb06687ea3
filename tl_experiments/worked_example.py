"""The grids of the worked example: six arms, the choice of their learning rates, the report on the full set.

Taught in: chapter 4 (Worked example).
"""

import pandas as pd

from tl_experiments.arms import WORKED_EXAMPLE
from tl_experiments.grid import ExperimentError, Grid

LEARNING_RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
DEVELOPMENT_SEEDS = tuple(range(100, 110))
FEW_SHOT = {"steps": 200, "batch_size": 32}
FULL_SET = {"steps": 200, "epochs": 5, "batch_size": 128}
TARGETS = ("mnist", "digits")


def arm_calls(source):
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


def budget(split):
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


def chosen_learning_rates(table, by=("source", "target", "labels_per_class", "arm"), experiment="tuning"):
    """Choose learning rates from tuning runs: for each arm, the best mean validation accuracy over its seeds.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records` returns it.
    by : sequence of str
        Columns that tell arms apart.
    experiment : str
        The runs that count.

    Returns
    -------
    pandas.Series
        Learning rate, indexed by `by`; of two rates with equal means the lower one.

    Raises
    ------
    ExperimentError
        If there is no such experiment or column; if a rate was tried on other seeds than the others of its arm, failed
        runs included: they would not be paired.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    return chosen(table, by, experiment).learning_rate


def of_experiment(table, experiment):
    """Return the rows of an experiment.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records` returns it.
    experiment : str

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    ExperimentError
        If there are none.
    """
    rows = table[table.experiment == experiment]
    if rows.empty:
        told = ", ".join(dict.fromkeys(table.experiment)) or "none"
        raise ExperimentError(f"No records of the experiment {experiment!r} are here. Experiments that are: {told}.")
    return rows


def chosen(table, by, experiment):
    """Choose learning rates and settings together, as `chosen_learning_rates` chooses rates alone.

    Parameters
    ----------
    table, by, experiment
        As for `chosen_learning_rates`.

    Returns
    -------
    pandas.DataFrame
        ``learning_rate`` and ``settings`` (JSON), indexed by `by`; of equal means the one with the lower rate.

    Raises
    ------
    ExperimentError
        As for `chosen_learning_rates`.
    """
    runs, by = of_experiment(table, experiment), list(by)
    if unknown := set(by) - set(table.columns):
        raise ExperimentError(f"Records have no column {sorted(unknown)[0]!r}. They have {', '.join(table.columns)}.")
    rows = runs[runs.validation_accuracy.notna()]
    if rows.empty:
        raise ExperimentError(f"All runs of the experiment {experiment!r} failed. The first: {runs.error.iloc[0]}")
    trials = rows.groupby([*by, "learning_rate", "settings"], dropna=False)
    seeds = trials.seed.agg(lambda found: tuple(sorted(found)))
    uneven = seeds.groupby(by, dropna=False).nunique()
    if (uneven > 1).any():
        arm = uneven[uneven > 1].index[0]
        raise ExperimentError(f"The rates of {arm} were tried on different seeds. Run its tuning to the end first.")
    means = trials.validation_accuracy.mean()
    best = means.groupby(by, dropna=False).idxmax()
    return pd.DataFrame([i[-2:] for i in best], index=best.index, columns=["learning_rate", "settings"])


def chosen_learning_rate(table, target, labels_per_class, arm):
    """Choose one arm's learning rate: `chosen_learning_rates` for a target and a number of labels.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records` returns it.
    target : str
        ``"mnist"`` or ``"digits"``.
    labels_per_class : int or None
        None stands for the full set.
    arm : str

    Returns
    -------
    float

    Raises
    ------
    ExperimentError
        If that arm was never tuned, or not to the end.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    labels = table.labels_per_class.isna() if labels_per_class is None else table.labels_per_class == labels_per_class
    rows = table[(table.experiment == "tuning") & (table.target == target) & (table.arm == arm) & labels.fillna(False)]
    if rows.validation_accuracy.notna().sum() == 0:
        raise ExperimentError(f"No tuning record for {arm!r} on {target!r} with {labels_per_class} labels per class.")
    return float(chosen_learning_rates(rows, by=["arm"]).loc[arm])


def tuning(table=None):
    """Choose learning rates: every arm, six rates, development seeds, no test set."""
    common = {"experiment": "tuning", "pairs": _pairs(), "learning_rate": LEARNING_RATES, "test": False}
    few = {"seed": DEVELOPMENT_SEEDS, **FEW_SHOT}
    full = {"seed": DEVELOPMENT_SEEDS[:1], "labels_per_class": [None], **FULL_SET}
    return [Grid(**common, **part, **arm.axes()) for part in (few, full) for arm in WORKED_EXAMPLE.values()]


def report(table):
    """Report the full set: every arm with the rate that its tuning chose, other seeds, test set."""
    grids = []
    for target in TARGETS:
        for name, arm in WORKED_EXAMPLE.items():
            rate = chosen_learning_rate(table, target, None, name)
            shape = {"pairs": [("cifar10", target)], "labels_per_class": [None], "seed": range(3), **FULL_SET}
            grids.append(Grid("report", learning_rate=[rate], **shape, **arm.axes()))
    return grids


def _pairs():
    return [("cifar10", target) for target in TARGETS]
