"""Which method for how many labels: what the replicated runs say, arm by arm, against the one that validation chose.

Taught in: chapter 4.1 (Results).
"""

from collections.abc import Sequence

import pandas as pd

from tl_experiments import replicates, verdicts
from tl_experiments.names import ExperimentError
from tl_experiments.replicates import Choices
from tl_helpers.measures import Interval

MAIN = tuple(replicates.MAIN)


def accuracies(
    table: pd.DataFrame, pair: str, names: Sequence[str] = MAIN, network: str = "cnn"
) -> dict[str, dict[int, list[float]]]:
    """Return what arms reach: for each arm and number of labels the mean accuracy of each training of the source.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records.load` returns it.
    pair : {"far", "near"}
    names : sequence of str
    network : {"cnn", "residual"}

    Returns
    -------
    dict of str to dict of int to list of float
        As `plots.curves` takes it; shares of right answers.

    Raises
    ------
    ExperimentError
        If there are no runs of an arm.
    """
    rows = table[(table.experiment == "replicated") & (table.target == replicates.TARGETS[pair])]
    rows = rows[rows.source.map(replicates.network_of) == network]
    training = rows.seed.map(lambda draw: replicates.training_of(network, draw))
    means = rows.assign(training=training).groupby(["arm", "labels_per_class", "training"]).test_accuracy.mean()
    if missing := [name for name in names if name not in means.index.unique("arm")]:
        raise ExperimentError(f"There are no runs of {missing[0]!r}, {pair}, {network}. Do this grid first.")
    return {
        name: {labels: means[name, labels].tolist() for labels in sorted({n for n, _ in means[name].index})}
        for name in names
    }


def gains(
    table: pd.DataFrame, pair: str, against: str, names: Sequence[str] = MAIN, network: str = "cnn"
) -> pd.DataFrame:
    """Compare arms with one, at each number of labels.

    Parameters
    ----------
    table : pandas.DataFrame
    pair : {"far", "near"}
    against : str
        The arm that is subtracted.
    names : sequence of str
    network : {"cnn", "residual"}

    Returns
    -------
    pandas.DataFrame
        A row an arm, a column a number of labels, in each an `Interval` in percentage points.
    """
    others = [name for name in names if name != against]
    return pd.DataFrame(
        {
            labels: {name: _interval(table, name, against, pair, labels, network) for name in others}
            for labels in replicates.LABELS[network]
        }
    ).rename_axis(columns="labels per class")


def _interval(table: pd.DataFrame, ahead: str, behind: str, pair: str, labels: int, network: str) -> Interval:
    return verdicts.difference(table, ahead, behind, pair, labels, network=network).interval()


def leader(table: pd.DataFrame, pair: str, labels: int, names: Sequence[str] = MAIN, network: str = "cnn") -> str:
    """Return the arm that validated best on development draws, at the number of labels where it was tried.

    No test image has a part in that.
    """
    found, tried = Choices(table), replicates.TUNED_AT[labels]
    return max(names, key=lambda name: found.score(pair, network, name, tried))


def beside_leader(
    table: pd.DataFrame, pair: str, margin: float, names: Sequence[str] = MAIN, network: str = "cnn"
) -> pd.DataFrame:
    """Sort arms by what is shown of their distance to the leader.

    Parameters
    ----------
    table : pandas.DataFrame
    pair : {"far", "near"}
    margin : float
        Percentage points that you would give up for a method that is cheaper.
    names : sequence of str
    network : {"cnn", "residual"}

    Returns
    -------
    pandas.DataFrame
        A row a number of labels; columns ``leader``, ``ahead`` (the whole interval lies above the margin), ``close``
        (above minus the margin), ``undecided`` (it holds minus the margin) and ``behind``, each a list of arms.
    """
    lines = {}
    for labels in replicates.LABELS[network]:
        first = leader(table, pair, labels, names, network)
        line: dict[str, list[str]] = {"leader": [first], "ahead": [], "close": [], "undecided": [], "behind": []}
        for name in names:
            if name != first:
                line[_where(_interval(table, name, first, pair, labels, network), margin)].append(name)
        lines[labels] = line
    return pd.DataFrame(lines).T.rename_axis("labels per class")


def _where(found: Interval, margin: float) -> str:
    if found.low > margin:
        return "ahead"
    if found.low >= -margin:
        return "close"
    return "behind" if found.high < -margin else "undecided"
