"""One contrast over two crossed draws, trainings of the source and draws of labels: its estimate, interval and verdict.

A block is a pair of tasks. In it, each architecture has a table of differences, a row a training of the source, a
column a draw of labels; the architectures of a pair share the draws, the pairs share nothing. The mean over all is what
a hypothesis is about, and its interval covers other trainings and other draws:

    y[s, d] = mean + source s + draw d + rest          (both random, crossed, each cell once)

The method of moments gives the variance of the mean, v = v_draws + v_sources - v_rest, each v read off the spread of
row means, column means and what is left. It is never taken to be smaller than its largest part. Student's t has the
degrees of freedom of Satterthwaite (1946), over what each of the two adds to the rest. Where neither spread is clearly
above the rest, all is pooled, and the shorter interval counts (Bozivich, Bancroft & Hartley, 1956, "sometimes pool").
Other ways were simulated too: leaving v_rest in place covers up to 99 %, the plain formula down to 91 %, a bootstrap of
three trainings cannot know their spread. ``make coverage`` tells how often this one covers.

That holds for 95 %. A decision among many hypotheses is made at much smaller levels, where pooling would err up to nine
times as often as it says. It rests on the cautious interval: nothing is pooled, and the quantiles of draws and sources
are averaged by their parts (Cochran, 1964).
Taught in: chapter 4.1 (Results).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from tl_experiments.names import ExperimentError
from tl_helpers.measures import Interval

Floats = NDArray[np.float64]
Part = tuple[float, float]  # a part of a variance, and its degrees of freedom
LEVEL = 0.05
# Quantile of the F distribution below which a spread is not clearly above the rest; the lower one where trainings or
# draws have fewer than four degrees of freedom. Set by simulation.
POOL_BELOW = {True: 0.6, False: 0.7}
MOST_MISSING = 0.25  # share of the cells of a table that may be missing


@dataclass(frozen=True)
class Estimate:
    """A mean over crossed draws, and how sure it is.

    Attributes
    ----------
    mean : float
        In the unit of the values.
    errors : tuple of (float, float)
        Standard errors, each with its degrees of freedom; where there are two, the shorter interval counts.
    cautious : tuple of (float, float)
        Parts of the variance with their degrees of freedom, for decisions at small levels.
    draws, sources, rest : float
        Parts of the variance of the mean, as they were read off: `draws` and `sources` each contain `rest` once.
    shape : tuple of (int, int)
        Trainings and draws of each table that was used.
    missing : int
        Cells that were missing in them.
    """

    mean: float
    errors: tuple[Part, ...]
    cautious: tuple[Part, ...]
    draws: float
    sources: float
    rest: float
    shape: tuple[tuple[int, int], ...]
    missing: int = 0

    def half_width(self) -> float:
        """Return half the width of the 95 % interval."""
        return min(-float(special.stdtrit(df, LEVEL / 2)) * error for error, df in self.errors)

    def interval(self) -> Interval:
        """Return the 95 % interval; its `count` is the number of cells that were seen."""
        half = self.half_width()
        seen = sum(rows * columns for rows, columns in self.shape) - self.missing
        return Interval(self.mean, self.mean - half, self.mean + half, seen)

    def cautious_half_width(self, level: float) -> float:
        """Return half the width of the interval that leaves the truth out with no more than this chance."""
        return float(np.sqrt(sum(part * special.stdtrit(df, level / 2) ** 2 for part, df in self.cautious)))

    @property
    def p_value(self) -> float:
        """The smallest level at which the cautious interval leaves 0 out, not below 1e-12."""
        if self.mean == 0:
            return 1.0
        if self.cautious_half_width(1e-12) < abs(self.mean):
            return 1e-12
        found = optimize.brentq(lambda log: self.cautious_half_width(np.exp(log)) - abs(self.mean), np.log(1e-12), 0)
        return float(np.exp(found))


def estimate(blocks: Iterable[Iterable[ArrayLike]]) -> Estimate:
    """Estimate a mean over other trainings of the source and other draws of labels.

    Parameters
    ----------
    blocks : sequence of sequence of array-like, shape (S, D)
        For each block its tables, one an architecture: a row a training, a column a draw, NaN where a run failed. The
        tables of a block share their draws. All tables weigh the same within a block, all blocks within the whole. A
        table of one row has no trainings to differ: arms that need no source.

    Returns
    -------
    Estimate

    Raises
    ------
    ExperimentError
        If a table is empty, or the tables of a block have not as many draws; if, after trainings and draws without any
        run were left out, more than a quarter of the cells are missing, or too few trainings or draws are left.

    Notes
    -----
    A missing cell gets the value of the additive fit to the others (Yates, 1933), and the rest loses a degree of
    freedom. Taught in: chapter 4.1 (Results).
    """
    tables = [_usable(block) for block in blocks]
    if not tables:
        raise ExperimentError("There is no block to estimate a contrast from: name at least one pair of tasks.")
    mean, parts, missing = 0.0, _Parts([], [], []), 0
    for block in tables:
        mean += sum(float(table.mean()) for table, _ in block) / len(block) / len(tables)
        missing += sum(lost for _, lost in block)
        parts.add(block, 1 / len(block) / len(tables))
    shape = tuple((table.shape[0], table.shape[1]) for block in tables for table, _ in block)
    variances = {name: _sum(getattr(parts, name))[0] for name in ("draws", "sources", "rest")}
    return Estimate(mean, parts.errors(), parts.cautious(), **variances, shape=shape, missing=missing)


@dataclass(frozen=True)
class _Parts:
    """Parts of the variance of a mean: of each block its draws, of each table its sources and its rest."""

    draws: list[Part]
    sources: list[Part]
    rest: list[Part]

    def add(self, block: Sequence[tuple[Floats, int]], weight: float) -> None:
        """Add the parts of a block, in whose mean each table has this weight."""
        columns = weight * np.sum([table.mean(axis=0) for table, _ in block], axis=0)
        self.draws.append((columns.var(ddof=1) / len(columns), len(columns) - 1))
        for table, lost in block:
            rows, cells = table.mean(axis=1, keepdims=True), table.size
            if len(rows) == 1:
                continue
            left = table - rows - table.mean(axis=0) + table.mean()
            freedom = (len(rows) - 1) * (table.shape[1] - 1) - lost
            self.sources.append((weight**2 * rows.var(ddof=1) / len(rows), len(rows) - 1))
            self.rest.append((weight**2 * (left**2).sum() / freedom / cells, freedom))

    @property
    def variance(self) -> float:
        """The variance of the mean: never less than its largest part."""
        draws, sources, rest = (_sum(part)[0] for part in (self.draws, self.sources, self.rest))
        return max(draws + sources - rest, draws, sources)

    def cautious(self) -> tuple[Part, ...]:
        """Return the variance in two parts, as draws and sources share it, each with its degrees of freedom."""
        both = [_sum(part) for part in (self.draws, self.sources) if part]
        total = sum(part for part, _ in both)
        return tuple((self.variance * part / total if total else 0.0, freedom) for part, freedom in both)

    def errors(self) -> tuple[Part, ...]:
        """Return the standard error of the mean with its degrees of freedom, and that of the pooled variance if any."""
        draws, of_draws = _sum(self.draws)
        if not self.sources:
            return ((float(np.sqrt(draws)), of_draws),)
        (sources, of_sources), (rest, of_rest) = _sum(self.sources), _sum(self.rest)
        added = [(max(draws - rest, 0.0), of_draws), (max(sources - rest, 0.0), of_sources)]
        if not any(part for part, _ in added):
            added = [(draws, of_draws), (sources, of_sources)]
        found = [(float(np.sqrt(self.variance)), _sum(added)[1])]
        counts = [sum(freedom for _, freedom in kind) for kind in (self.draws, self.sources, self.rest)]
        if all(
            part <= rest * special.fdtri(count, counts[2], POOL_BELOW[min(counts[:2]) < 4])
            for part, count in zip((draws, sources), counts, strict=False)
        ):
            pooled = float(np.average([draws, sources, rest], weights=counts))
            found.append((float(np.sqrt(pooled)), of_draws + of_sources + of_rest))
        return tuple(found)


def _sum(parts: Sequence[Part]) -> Part:
    """Add up parts of a variance; their sum has the degrees of freedom of Satterthwaite (1946), equation 17."""
    total = float(sum(part for part, _ in parts))
    if total == 0:
        return 0.0, float(sum(freedom for _, freedom in parts))
    return total, total**2 / sum(part**2 / freedom for part, freedom in parts)


def _usable(block: Iterable[ArrayLike]) -> list[tuple[Floats, int]]:
    """Check the tables of a block and fill what is missing; return each with the number of its missing cells."""
    tables = [np.array(table, float) for table in block]
    if not tables or any(table.ndim != 2 or table.size == 0 for table in tables):
        shapes = [table.shape for table in tables]
        raise ExperimentError(f"A block is one or more tables, trainings by draws, of numbers; found shapes {shapes}.")
    if len({table.shape[1] for table in tables}) > 1:
        counts = sorted({table.shape[1] for table in tables})
        raise ExperimentError(f"The tables of a block share their draws; found {counts} of them. Give NaN for a lack.")
    some = np.all([~np.isnan(table).all(axis=0) for table in tables], axis=0)
    kept = [table[:, some] for table in tables]
    kept = [table[~np.isnan(table).all(axis=1)] for table in kept]
    return [_filled(table, had) for table, had in zip(kept, tables, strict=True)]


def _filled(table: Floats, before: Floats) -> tuple[Floats, int]:
    """Put the additive fit in the place of what is missing; return the table and how many cells that were."""
    lacks = np.isnan(table)
    rows, columns = table.shape
    if columns < 2 or (rows < 2 <= before.shape[0]) or lacks.mean() > MOST_MISSING or (rows == 1 and lacks.any()):
        raise ExperimentError(
            f"Of {before.shape[0]} trainings × {before.shape[1]} draws, {np.isnan(before).sum()} cells have no value: "
            "too few are left to estimate the spread of both. Do failed runs again (--retry-failed), or judge without "
            "this pair or architecture."
        )
    if not lacks.any():
        return table, 0
    places = np.arange(rows).repeat(columns), np.tile(np.arange(columns), rows)
    design = np.hstack([np.eye(rows)[places[0]], np.eye(columns)[places[1]]])
    seen = ~lacks.ravel()
    fit = design @ np.linalg.lstsq(design[seen], table.ravel()[seen], rcond=None)[0]
    return np.where(lacks, fit.reshape(table.shape), table), int(lacks.sum())


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
    Kendall (1938), A new measure of rank correlation; Arvesen (1969), Jackknifing U-statistics. Taught in: chapter 4.1
    (Results).
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
    own = ((float(np.sqrt(variance)), float(freedom)),), ((variance, float(freedom)),)
    return Estimate(_tau(points), *own, 0.0, variance, 0.0, ((len(names), 1),))


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
    Holm (1979), A simple sequentially rejective multiple test procedure. Taught in: chapter 4.1 (Results).
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
    Taught in: chapter 4.1 (Results).
    """
    blocks = [(list(shares.values() if isinstance(shares, Mapping) else shares), images) for shares, images in pairs]
    variance = sum(share * (1 - share) / images for shares, images in blocks for share in shares) / len(blocks) ** 2
    return float(special.ndtri(1 - LEVEL / 2) * np.sqrt(variance))
