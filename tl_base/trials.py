"""Trials of a training: which one did best.

A table of trials has one row a training: its ``learning_rate``, ``settings``, ``seed`` and ``validation_accuracy``.
"""

from collections.abc import Sequence

import pandas as pd

from tl_base.ledgers import RecordsError


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
