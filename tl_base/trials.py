"""Trials of a training: which one did best, and which ones came to nothing.

A table of trials has one row a training: its ``learning_rate``, ``settings``, ``seed`` and ``validation_accuracy``.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tl_base.ledgers import RecordsError

# Images of each class in complete sets whose classes are not of one size; those of MNIST are its training images.
UNEVEN = {
    "mnist": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
    "digits": (178, 182, 177, 183, 181, 182, 181, 179, 174, 180),
    "trashnet-5": (403, 501, 410, 594, 482),
}


def best(trials: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Choose among trials: the best mean validation accuracy over seeds.

    Parameters
    ----------
    trials : pandas.DataFrame
        Trials without a validation accuracy failed.
    by : sequence of str
        Columns that tell apart what is chosen for.

    Returns
    -------
    pandas.DataFrame
        ``learning_rate`` and ``settings``, indexed by `by`; of equal means the one with the lower rate.

    Raises
    ------
    RecordsError
        If there is no such column; if all failed; if a rate was tried on other seeds than the others of its arm, failed
        runs included: they would not be paired.
    """
    by = list(by)
    if unknown := set(by) - set(trials.columns):
        raise RecordsError(f"Records have no column {sorted(unknown)[0]!r}. They have {', '.join(trials.columns)}.")
    rows = trials[trials.validation_accuracy.notna()]
    if rows.empty:
        first = trials.iloc[0]
        raise RecordsError(f"All runs of the experiment {first.experiment!r} failed. The first: {first.error}")
    tried = rows.groupby([*by, "learning_rate", "settings"], dropna=False)
    uneven = tried.seed.agg(lambda seeds: str(sorted(seeds))).groupby(by, dropna=False).nunique() > 1
    if uneven.any():
        arm = uneven.index[uneven][0]
        raise RecordsError(f"The rates of {arm} were tried on different seeds. Run its tuning to the end first.")
    means = tried.validation_accuracy.mean().groupby(by, dropna=False).idxmax()
    return pd.DataFrame([i[-2:] for i in means], index=means.index, columns=["learning_rate", "settings"])


def collapsed(row: Mapping[Any, Any], classes: int | None = None) -> bool:
    """Tell whether a training ended with one answer for all images, whatever it was shown.

    Parameters
    ----------
    row : mapping
        With ``target``, ``labels_per_class``, ``validation_accuracy`` and, as JSON, ``measures`` and ``history``. Where
        the training accuracy is among the measures, this was looked at in the end, and stands there too.
    classes : int, optional
        Of the target. Where nobody looked, the numbers tell; without the classes they do not.

    Returns
    -------
    bool
    """
    facts = json.loads(row["measures"])
    if "training accuracy" in facts:
        return bool(facts.get("collapsed"))
    if classes is None:
        return False
    counts = UNEVEN.get(row["target"]) if pd.isna(row["labels_per_class"]) else None
    curve = json.loads(row["history"] or "{}").get("loss") or [math.nan]
    return guessed(curve[-1], row["validation_accuracy"], counts or [1] * classes)


def guessed(loss: float, accuracy: float, counts: Sequence[int]) -> bool:
    """Tell from a training's end whether its network had one answer for all images, whatever it saw.

    Parameters
    ----------
    loss : float
        Cross-entropy at the end.
    accuracy : float
        On validation images, in which each class has about its share of the counts.
    counts : sequence of int
        Images of each class that it was trained on, in any unit.

    Returns
    -------
    bool
        Whether the loss is that of answering with the classes' shares, log K for K equal classes, to a thousandth, and
        the accuracy the share of the most frequent class.
    """
    shares = [count / sum(counts) for count in counts]
    if not abs(accuracy - max(shares)) < 5e-4:
        return False
    return abs(loss / -sum(share * math.log(share) for share in shares) - 1) < 1e-3
