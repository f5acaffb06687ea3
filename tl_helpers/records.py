"""The recorded runs: one file an experiment, checked when they are read, and what their rows say about arms.

How such files look is `tl_base.ledgers`; `tl_experiments` computes and writes the rows.
Taught in: chapter 4 (Worked example).
"""

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from tl_base import trials
from tl_base.files import PathLike
from tl_base.ledgers import Ledger
from tl_base.ledgers import RecordsError as RecordsError  # chapters reach it here
from tl_helpers import asset
from tl_helpers.measures import Interval, paired_interval

SCHEMA_VERSION = 4
_NAMES = ["key", "experiment", "arm", "source", "target", "method", "initialisation", "layer", "head"]
_COUNTS = ["layers_copied", "layers_frozen", "labels_per_class", "learning_rate", "batch_size", "steps", "seed"]
_SCORES = ["label_noise", "validation_accuracy", "test_accuracy", "trainable_parameters", "seconds"]
_NOTES = ["history", "measures", "fingerprints", "error", "date", "machine"]
TEXT = {*_NAMES, "settings", *_NOTES}
COLUMNS = [*_NAMES, *_COUNTS, "settings", *_SCORES, *_NOTES]
LEDGER = Ledger(SCHEMA_VERSION, COLUMNS, TEXT, {"labels_per_class"}, "experiment", "python -m tl_experiments")

FAR, NEAR, DIGITS = ("cifar10", "mnist"), ("cifar10-a", "cifar10-b"), ("digits", "mnist")
CLASSES = {"mnist": 10, "digits": 10, "cifar10-b": 5, "trashnet": 6, "trashnet-5": 5}
SOURCELESS = ("from scratch", "logistic regression on pixels", "linear head, random features")
_HEADS = ("linear head, source features", "Dense(512) head, source features", "linear head, random features")
_TUNED = ("fine-tuned from the source", "from scratch", "logistic regression on pixels", "LP-FT", "L2-SP")
_TAUGHT = ("attention transfer", "distillation", "logic rules", "logic rules, wrong")
_CUTS = (
    f"linear head on {cut}, {start} features" for cut in ("pool1", "pool2", "dense") for start in ("source", "random")
)
ORDER = [*_HEADS, *_TUNED, *_TAUGHT, *_CUTS, "the document's recipe"]  # of arms in tables


def load(path: PathLike | None = None) -> pd.DataFrame:
    """Read recorded runs.

    Parameters
    ----------
    path : path-like, optional
        A file of records, or a folder of them; by default the folder that ships with the package, where each
        experiment has its file.

    Returns
    -------
    pandas.DataFrame
        One row a run, with `COLUMNS`. ``labels_per_class`` is missing for a full set; ``test_accuracy`` where the test
        set was not scored; both accuracies where the run failed, and then ``error`` says why. ``seconds`` is the wall
        time of its training, and of what was computed of its frozen part; runs that were done together share theirs
        equally. ``head`` is ``""`` for a linear head and ``"512"`` for one hidden layer. ``settings`` and ``measures``
        are JSON; the latter maps each name of `Grid.measures` to what was measured, and ``"training accuracy"`` to the
        share of the training labels, as trained on, that the network answers rightly at the end; where it answers all
        its images alike, ``"collapsed"`` is true. Runs from before that have neither. ``fingerprints`` is JSON too:
        what the names of source and target, of a teacher and of rules, stood for when the run was done.

    Raises
    ------
    RecordsError
        If a file is missing, no regular file, of another schema version, or has damaged rows; if a run stands there
        twice, or in a folder in another file than that of its experiment: all is read, or nothing.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    return LEDGER.read(path or asset("records"))


def history(row: Mapping[str, object] | pd.Series) -> dict[str, list[float]]:
    """Return the learning curve of a recorded run.

    Parameters
    ----------
    row : mapping
        A row of a table that `load` returns.

    Returns
    -------
    dict of str to list
        ``steps``, ``loss`` and ``validation_accuracy``, as in `training.History`; empty lists where none was kept.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    return {"steps": [], "loss": [], "validation_accuracy": []} | json.loads(str(row["history"]) or "{}")


def of_experiment(table: pd.DataFrame, experiment: str) -> pd.DataFrame:
    """Return the rows of an experiment.

    Parameters
    ----------
    table : pandas.DataFrame
        As `load` returns it.
    experiment : str

    Raises
    ------
    RecordsError
        If there are none.
    """
    rows = table[table.experiment == experiment]
    if rows.empty:
        names = ", ".join(dict.fromkeys(table.experiment)) or "none"
        raise RecordsError(f"No records of the experiment {experiment!r} are here. Experiments that are: {names}.")
    return rows


def rows_of(table: pd.DataFrame, pair: Sequence[str], experiment: str = "reference") -> pd.DataFrame:
    """Return the rows of a pair of tasks, with the baselines that need no source and stand under another pair.

    Parameters
    ----------
    table : pandas.DataFrame
        As `load` returns it.
    pair : (str, str)
        Source and target, such as `FAR`.
    experiment : str

    Raises
    ------
    RecordsError
        If the table has no such experiment, or that experiment no such pair.

    Notes
    -----
    Taught in: chapter 3 (The three methods).
    """
    runs, pair = of_experiment(table, experiment), tuple(pair)
    pairs = list(dict.fromkeys(zip(runs.source, runs.target, strict=True)))
    if pair not in pairs:
        known = "; ".join(f"{source} → {target}" for source, target in pairs)
        raise RecordsError(f"The experiment {experiment!r} has no runs of the pair {pair!r}. It has {known}.")
    return rows_if_any(runs, pair, experiment)


def rows_if_any(table: pd.DataFrame, pair: Sequence[str], experiment: str = "reference") -> pd.DataFrame:
    """Return the rows of a pair as `rows_of` does, and an empty table where it was not run."""
    rows = table[(table.experiment == experiment) & (table.target == pair[1])]
    return rows[(rows.source == pair[0]) | rows.arm.isin(SOURCELESS)]


def gains(
    table: pd.DataFrame, pair: Sequence[str], against: str = "from scratch", experiment: str = "reference"
) -> pd.DataFrame:
    """Compare every arm of a pair with one of them, seed by seed, at each number of labels.

    Parameters
    ----------
    table : pandas.DataFrame
        As `load` returns it.
    pair : (str, str)
        Source and target.
    against : str
        The arm to compare with.
    experiment : str

    Returns
    -------
    pandas.DataFrame of measures.Interval
        Index: the other arms; columns: labels per class. In points of test accuracy, above 0 where the arm is ahead;
        None where it was not run.

    Raises
    ------
    RecordsError
        As for `rows_of`; or if no run of the pair has the arm to compare with.

    Notes
    -----
    Taught in: chapter 5 (Outlook and challenges).
    """
    values = rows_of(table, pair, experiment).pivot_table(
        "test_accuracy", "seed", ["arm", "labels_per_class"], sort=False
    )
    scored = list(values.columns.unique("arm")) if len(values) else []
    if against not in scored:
        have = ", ".join(scored)
        raise RecordsError(f"{pair[0]} → {pair[1]} has no scored runs of the arm {against!r}. It has {have}.")
    arms = sorted(set(scored) - {against}, key=[*ORDER, *scored].index)
    counts = sorted(map(int, values.columns.unique("labels_per_class")))

    def gain(arm: str, labels: int) -> Interval | None:
        if (arm, labels) not in values or (against, labels) not in values:
            return None
        both = 100 * values[[(arm, labels), (against, labels)]].dropna()
        return paired_interval(both.iloc[:, 0], both.iloc[:, 1])

    return pd.DataFrame({n: {arm: gain(arm, n) for arm in arms} for n in counts})


def chosen(table: pd.DataFrame, by: Sequence[str], experiment: str) -> pd.DataFrame:
    """Choose learning rate and settings of each arm: the best mean validation accuracy over its seeds.

    Parameters
    ----------
    table : pandas.DataFrame
        As `load` returns it.
    by : sequence of str
        Columns that tell arms apart.
    experiment : str
        The runs that count.

    Returns
    -------
    pandas.DataFrame
        ``learning_rate`` and ``settings`` (JSON), indexed by `by`; of equal means the one with the lower rate.

    Raises
    ------
    RecordsError
        If there is no such experiment or column; if a rate was tried on other seeds than the others of its arm, failed
        runs included: they would not be paired.
    """
    return trials.best(of_experiment(table, experiment), by)


def chosen_rate(table: pd.DataFrame, target: str, labels_per_class: int | None, arm: str) -> float:
    """Choose one arm's learning rate as `chosen` does, for a target and a number of labels.

    Parameters
    ----------
    table : pandas.DataFrame
        As `load` returns it.
    target : str
        ``"mnist"`` or ``"digits"``.
    labels_per_class : int or None
        None stands for the full set.
    arm : str

    Raises
    ------
    RecordsError
        If that arm was never tuned, or not to the end.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    labels = table.labels_per_class.isna() if labels_per_class is None else table.labels_per_class == labels_per_class
    rows = table[(table.experiment == "tuning") & (table.target == target) & (table.arm == arm) & labels.fillna(False)]
    if rows.validation_accuracy.notna().sum() == 0:
        raise RecordsError(f"No tuning record for {arm!r} on {target!r} with {labels_per_class} labels per class.")
    return float(chosen(rows, ["arm"], "tuning").learning_rate[arm])
