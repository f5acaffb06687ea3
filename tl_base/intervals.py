"""Means over seeds, and how sure they are: of one arm, of paired arms, of a share of a gain, of where two curves meet.

Taught in: chapters 1 (Background), 4 (Worked example) and 4.1 (Results).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tl_base.shares import MeasureError, quantile

Floats = NDArray[np.float64]
STEPS = 1000  # places that `crossing` looks at between two given ones


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

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def half_width(values: ArrayLike, confidence: float = 0.95) -> Floats:
    """Estimate half the width of the confidence interval of a mean over seeds, at every point of curves at once.

    Parameters
    ----------
    values : array-like, shape (S, ...)
        One row a seed, for instance the points of its curve. Independent between rows.
    confidence : float
        As for `quantile`.

    Returns
    -------
    ndarray, shape (...), float64
        NaN for a single seed: nothing is known of the spread.

    Raises
    ------
    MeasureError
        As for `quantile`.
    """
    values = as_numbers(values)
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return quantile(len(values), confidence) * values.std(axis=0, ddof=1) / np.sqrt(len(values))


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Estimate a mean and the half-width of its confidence interval (Student's t over independent values).

    Parameters
    ----------
    values : sequence of float, shape (S,)
        One value a seed.
    confidence : float
        As for `quantile`.

    Returns
    -------
    mean, half_width : float
        ``half_width`` is NaN for a single value: nothing is known of its spread.

    Raises
    ------
    MeasureError
        If there is no value, or one that is not finite, and as for `quantile`.

    Notes
    -----
    Taught in: chapter 1 (Background).
    """
    values = as_numbers(values)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        text = np.array2string(values, threshold=12, separator=", ")
        raise MeasureError(f"Expected a list of finite numbers, one a seed; found {text}. Leave out seeds that failed.")
    return float(values.mean()), float(half_width(values, confidence))


def paired_interval(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Interval:
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
    MeasureError
        If the lengths differ, there are fewer than two pairs, a value is not finite, or ``confidence`` is no
        probability.

    References
    ----------
    Student (1908), The probable error of a mean, Biometrika 6(1), section IX (paired differences).
    Taught in: chapter 4 (Worked example).
    """
    a, b = as_pairs(a, b)
    mean, half = mean_interval(a - b, confidence)
    return Interval(mean, mean - half, mean + half, len(a))


def ratio_interval(part: ArrayLike, whole: ArrayLike, confidence: float = 0.95) -> Interval:
    """Estimate which share one mean is of another, paired by seed: Fieller's interval.

    For instance the gain of random features as a share of the gain of trained ones, both over training from scratch.

    Parameters
    ----------
    part, whole : sequence of float, equal length
        One value a seed, in the same order of seeds.
    confidence : float
        Probability in (0, 1) with which the interval covers the ratio of the true means, if the values are normal.

    Returns
    -------
    Interval
        Its mean is mean(part) / mean(whole). It holds each ratio r for which the paired interval of part − r · whole
        holds 0. Where that of `whole` holds 0, any ratio is possible, and it is infinite.

    Raises
    ------
    MeasureError
        As for `paired_interval`.

    References
    ----------
    Fieller (1954), Some problems in interval estimation, Journal of the Royal Statistical Society B 16(2). Taught in:
    chapter 4.1 (Results).
    """
    part, whole = as_pairs(part, whole)
    top, bottom = float(part.mean()), float(whole.mean())
    (of_top, both), (_, of_bottom) = quantile(len(part), confidence) ** 2 * np.cov(part, whole) / len(part)
    # (top − r · bottom)² ≤ of_top − 2r · both + r² · of_bottom, a quadratic inequality in r
    square, middle, rest = bottom**2 - of_bottom, top * bottom - both, top**2 - of_top
    if square <= 0:
        return Interval(top / bottom if bottom else np.nan, -np.inf, np.inf, len(part))
    half = np.sqrt(max(middle**2 - square * rest, 0.0))
    return Interval(top / bottom, float((middle - half) / square), float((middle + half) / square), len(part))


def crossing(places: ArrayLike, curves: ArrayLike, confidence: float = 0.95) -> Interval:
    """Estimate where curves that fall, one a seed, cross 0 in the mean.

    For instance the accuracy with a source less that of training from scratch, over the logarithm of the labels that
    training from scratch has: where it is 0, so many labels are worth as much as the source.

    Parameters
    ----------
    places : sequence of float, shape (P,)
        Rising. Between two of them a curve is a straight line.
    curves : array-like, shape (S, P)
        One row a seed: its differences, paired.
    confidence : float
        As for `paired_interval`.

    Returns
    -------
    Interval
        Of the place, to a thousandth of the distance between two of `places`: its mean is where the mean curve is no
        longer above 0, and it holds all that lies between the first and the last place where the paired interval of
        the curves holds 0. Infinite on the side where that is not within `places`.

    Raises
    ------
    MeasureError
        If shapes are not as above, there are fewer than two places or seeds, the places do not rise, or a value is not
        finite.

    References
    ----------
    The interval holds the places that a t test of the difference does not reject: Casella and Berger (2002),
    Statistical inference, theorem 9.2.2. Taught in: chapter 4.1 (Results).
    """
    places, curves = as_numbers(places), as_numbers(curves)
    if places.ndim != 1 or curves.ndim != 2 or curves.shape[1] != len(places) or min(curves.shape) < 2:
        raise MeasureError(
            f"Expected two or more places and a curve over them for each of two or more seeds, found shapes "
            f"{places.shape} and {curves.shape}."
        )
    if not np.isfinite(curves).all() or not np.isfinite(places).all() or (np.diff(places) <= 0).any():
        raise MeasureError("Expected finite curves over places that rise. Sort the places; leave out failed seeds.")
    steps = np.linspace(0, len(places) - 1, STEPS * (len(places) - 1) + 1)
    at = np.interp(steps, np.arange(len(places)), places)
    fine = np.array([np.interp(at, places, curve) for curve in curves])
    mean, half = fine.mean(axis=0), half_width(fine, confidence)
    low, middle = _first(at, mean - half <= 0), _first(at, mean <= 0)
    high = -_first(-at[::-1], (mean + half >= 0)[::-1])
    return Interval(middle, low, high, len(curves))


def _first(places: Floats, so: NDArray[np.bool_]) -> float:
    """Return the first place where something is so: ∞ if it nowhere is, −∞ if it is from the start."""
    if not so.any():
        return np.inf
    return -np.inf if so[0] else float(places[so.argmax()])


def as_pairs(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    """Return two lists of finite numbers, two or more pairs; `MeasureError` says what else was found."""
    a, b = as_numbers(a), as_numbers(b)
    if a.ndim != 1 or a.shape != b.shape:
        raise MeasureError(f"Expected two sequences of equal length, found shapes {a.shape} and {b.shape}.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise MeasureError("A value is not finite. Leave out failed runs in both, pair by pair.")
    if len(a) < 2:
        raise MeasureError(f"An interval needs at least two pairs, found {len(a)}. Run more seeds.")
    return a, b


def as_numbers(values: ArrayLike) -> Floats:
    """Return an array of float64; `MeasureError` says what else was found."""
    try:
        return np.asarray(values, "float64")
    except (TypeError, ValueError) as error:
        raise MeasureError(f"Expected numbers in rows of equal length, found something else: {error}") from error
