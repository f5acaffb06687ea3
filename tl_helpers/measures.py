"""Numbers about transfer.

Taught in: chapter 4 (Worked example).
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes
    ----------
    mean, low, high : float
        In the unit of the values.
    count : int
        Number of pairs.
    """

    mean: float
    low: float
    high: float
    count: int

    def __str__(self):
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def paired_interval(a, b, confidence=0.95):
    """Estimate the mean of the paired differences a − b, with Student's t interval.

    Two arms that share their seeds share their labels, their batches and their initial heads. Most of the noise is
    common to both and cancels in the difference, so the interval is narrower than that of two separate means.

    Parameters
    ----------
    a, b : sequence of float, equal length
        One value a seed, in the same order of seeds.
    confidence : float
        Probability in (0, 1) with which the interval covers the true mean difference, if the differences are normal.

    Returns
    -------
    Interval
        Of a − b; it excludes 0 where the seeds are enough to tell the arms apart.

    Raises
    ------
    ValueError
        If the lengths differ, there are fewer than two pairs, or a value is not finite.

    References
    ----------
    Student (1908), The probable error of a mean, Biometrika 6(1), section IX (paired differences).
    Taught in: chapter 4 (Worked example).
    """
    a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"Expected two sequences of equal length, found shapes {a.shape} and {b.shape}.")
    if len(a) < 2:
        raise ValueError(f"An interval needs at least two pairs, found {len(a)}. Run more seeds.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("A value is not finite. Leave out failed runs in both arms, pair by pair.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is a probability between 0 and 1, found {confidence}.")
    difference = a - b
    mean = float(difference.mean())
    half = stats.t.ppf((1 + confidence) / 2, len(a) - 1) * difference.std(ddof=1) / np.sqrt(len(a))
    return Interval(mean, mean - float(half), mean + float(half), len(a))
