"""One contrast over trainings of the source, each with draws of labels of its own: estimate, interval, verdict.

A stratum is a pair of tasks and an architecture. In it each training of the source has draws that no other training
has, so what its runs say, averaged, is independent of what those of any other training say: a mean over n trainings
has Student's interval with n - 1 degrees of freedom. It covers other trainings and other draws at once. Over several
strata, which share nothing, the variances add up and the degrees of freedom are those of Welch and Satterthwaite
(1946). ``make coverage`` tells how often the interval covers, and how often a decision at a small level errs.
Taught in: chapter 4.1 (Results).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from tl_experiments.names import ExperimentError
from tl_helpers.measures import Interval

Floats = NDArray[np.float64]
LEVEL = 0.05


@dataclass(frozen=True)
class Estimate:
    """A mean, and how sure it is.

    Attributes
    ----------
    mean : float
        In the unit of the values.
    error : float
        Its standard error.
    freedom : float
        Degrees of freedom of that.
    count, missing : int
        Runs, or pairs of runs, that were seen, and that were not.
    """

    mean: float
    error: float
    freedom: float
    count: int
    missing: int = 0

    def interval(self) -> Interval:
        """Return the 95 % interval."""
        half = self.half_width(LEVEL)
        return Interval(self.mean, self.mean - half, self.mean + half, self.count)

    def half_width(self, level: float) -> float:
        """Return half the width of the interval that leaves the truth out with this chance."""
        return -float(special.stdtrit(self.freedom, level / 2)) * self.error

    @property
    def p_value(self) -> float:
        """The chance of a mean as far from 0 if the truth is 0; 1 where all values are 0."""
        if self.error == 0:
            return float(self.mean == 0)
        return 2 * float(special.stdtr(self.freedom, -abs(self.mean) / self.error))


def estimate(blocks: Iterable[Iterable[ArrayLike]]) -> Estimate:
    """Estimate a mean over other trainings of the source and other draws of labels.

    Parameters
    ----------
    blocks : sequence of sequence of array-like, shape (S, D)
        For each pair of tasks its tables, one an architecture: a row a training, in it the values of that training's
        own draws, NaN where a run failed. All tables of a block weigh the same, all blocks within the whole.

    Returns
    -------
    Estimate

    Raises
    ------
    ExperimentError
        If there is no table, or one has fewer than two trainings with a value.

    References
    ----------
    Satterthwaite (1946), An approximate distribution of estimates of variance components, equation 17. Taught in:
    chapter 4.1 (Results).
    """
    tables = [[np.asarray(table, float) for table in block] for block in blocks]
    if not tables or not all(tables):
        raise ExperimentError("There is nothing to estimate a contrast from: name at least one pair and architecture.")
    weights = [1 / len(tables) / len(block) for block in tables for _ in block]
    parts = [_mean_of(table) for block in tables for table in block]
    mean = sum(weight * one for weight, (one, _, _) in zip(weights, parts, strict=True))
    variances = [(weight**2 * variance, freedom) for weight, (_, variance, freedom) in zip(weights, parts, strict=True)]
    total = sum(variance for variance, _ in variances)
    squares = sum(variance**2 / freedom for variance, freedom in variances)
    freedom = total**2 / squares if squares else float(sum(freedom for _, freedom in variances))
    seen = [int((~np.isnan(table)).sum()) for block in tables for table in block]
    cells = sum(table.size for block in tables for table in block)
    return Estimate(mean, float(np.sqrt(total)), freedom, sum(seen), cells - sum(seen))


def _mean_of(table: Floats) -> tuple[float, float, int]:
    """Return the mean over trainings, its variance, and the degrees of freedom of that."""
    if table.ndim != 2:
        raise ExperimentError(f"A table has a row a training and a column a draw; found shape {table.shape}.")
    trainings = [float(np.nanmean(row)) for row in table if not np.isnan(row).all()]
    if len(trainings) < 2:
        raise ExperimentError(
            f"Of {len(table)} trainings {len(trainings)} have a value, and an interval over trainings needs two. Do "
            "failed runs again (--retry-failed), or judge without this pair or architecture."
        )
    return float(np.mean(trainings)), float(np.var(trainings, ddof=1)) / len(trainings), len(trainings) - 1


def rank_estimate(groups: Iterable[tuple[ArrayLike, ArrayLike]], kinds: Sequence[str]) -> Estimate:
    """Estimate the mean of Kendall's τ of two numbers over independent sources, several targets or arms averaged.

    Parameters
    ----------
    groups : sequence of (array-like, array-like)
        For each target or arm the two numbers of each source, in the same order of sources.
    kinds : sequence of str, shape (S,)
        Of each source, what it is a training of. The interval is about other trainings of the same kinds.

    Returns
    -------
    Estimate
        Its variance is the jackknife's, one training of its kind left out at a time, and larger by n / (n - 1) for a
        kind of n: without that, simulated intervals cover in 90 of 100. Kinds with one training add none.

    Raises
    ------
    ExperimentError
        If fewer than four trainings belong to a kind of several, or numbers and kinds are not as many.

    References
    ----------
    Kendall (1938), A new measure of rank correlation; Arvesen (1969), Jackknifing U-statistics. Taught in: What
    the papers claim, and what shows here.
    """
    points = np.array([[np.asarray(side, float) for side in pair] for pair in groups])
    names = np.array(kinds)
    if points.ndim != 3 or points.shape[2] != len(names):
        raise ExperimentError(f"Each source needs both numbers and a kind: {points.shape} numbers, {len(names)} kinds.")
    everyone = np.arange(len(names))
    many = [rows for rows in (np.flatnonzero(names == kind) for kind in dict.fromkeys(names)) if len(rows) > 1]
    if sum(map(len, many)) < 4:
        raise ExperimentError("A rank correlation needs at least four trainings of kinds that have several.")
    variance, freedom = 0.0, sum(len(rows) - 1 for rows in many)
    for rows in many:
        left_out = np.array([_tau(points[:, :, everyone != row]) for row in rows])
        variance += (len(rows) - 1) * float(left_out.var(ddof=1))
    return Estimate(_tau(points), float(np.sqrt(variance)), float(freedom), len(names))


def _tau(points: Floats) -> float:
    """Return Kendall's τ, averaged over groups; 0 where one of the numbers is the same for all."""
    found = [stats.kendalltau(*pair).statistic for pair in points]
    return float(np.mean(np.nan_to_num(found)))


def holm(p_values: Sequence[float], level: float = LEVEL) -> list[tuple[bool, float]]:
    """Tell which of several hypotheses are decided if all shall be right together, as Holm does, step by step.

    Parameters
    ----------
    p_values : sequence of float
    level : float
        Chance of any wrong decision among them.

    Returns
    -------
    list of (bool, float)
        Of each, whether it is decided, and the level that its turn asks for.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure. Taught in:
    What the papers claim, and what shows here.
    """
    found: list[tuple[bool, float]] = [(False, 0.0)] * len(p_values)
    going = True
    for turn, place in enumerate(np.argsort(p_values, kind="stable")):
        own = level / (len(p_values) - turn)
        going = going and p_values[place] <= own
        found[place] = (going, own)
    return found


def in_words(found: Interval, decided: bool, margin: float, unit: str = "points") -> str:
    """Put what was found in words, the same for both sides.

    Parameters
    ----------
    found : measures.Interval
        The 95 % interval of one contrast, positive where the paper is right.
    decided : bool
        Whether the interval that `holm` asks for leaves 0 out.
    margin : float
        What counts as little, stated beforehand, in the unit of the interval.
    unit : str

    Returns
    -------
    str
        *reproduced here*, *opposite here*, *not told apart, within ± m points*, or *undecided*; the first two say so
        where the whole interval lies within the margin.
    """
    little = -margin < found.low and found.high < margin
    size = f"{margin:g} {unit}".strip()
    if decided:
        return ("reproduced here" if found.mean > 0 else "opposite here") + (f", by less than {size}" if little else "")
    return f"not told apart, within ± {size}" if little else "undecided"


def image_error(pairs: Iterable[tuple[Mapping[str, float] | Sequence[float], int]]) -> float:
    """Bound the half-width of the 95 % interval of a contrast over other test images.

    Parameters
    ----------
    pairs : sequence of (sequence of float, int)
        For each block the mean accuracies, 0 to 1, of the arms that are compared, and the number of its test images.

    Returns
    -------
    float
        In shares: 1.96 · √(Σ p(1 − p) / N) over arms and blocks, each block by its weight. It holds if two arms err on
        images independently; arms that err on the same images differ by less. All runs share the test images, so more
        runs do not shrink it.

    Notes
    -----
    Taught in: What the papers claim, and what shows here.
    """
    blocks = [(list(shares.values() if isinstance(shares, Mapping) else shares), images) for shares, images in pairs]
    variance = sum(share * (1 - share) / images for shares, images in blocks for share in shares) / len(blocks) ** 2
    return float(special.ndtri(1 - LEVEL / 2) * np.sqrt(variance))
