"""Shares of right answers, and how sure they are: of one classifier, of two on the same images, of images in groups.

Taught in: chapter 7 (Your own photographs).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


class MeasureError(ValueError):
    """Nothing can be measured on these numbers."""


def quantile(count: float, confidence: float = 0.95) -> float:
    """Return how many standard errors lie between a mean of some values and the end of its interval: Student's t.

    Parameters
    ----------
    count : int or inf
        Number of values, two or more; infinitely many give the normal distribution's, 1.96 for 0.95.
    confidence : float
        Probability in (0, 1) with which the interval covers the true mean, if the values are normal.

    Returns
    -------
    float

    Raises
    ------
    MeasureError
        If ``confidence`` is no probability.

    References
    ----------
    Student (1908), The probable error of a mean, Biometrika 6(1).
    """
    if not 0 < confidence < 1:
        raise MeasureError(f"confidence is a probability between 0 and 1, found {confidence}.")
    return float(stats.t.ppf((1 + confidence) / 2, count - 1))


def wilson(right: ArrayLike, total: ArrayLike, confidence: float = 0.95) -> tuple[Any, Any]:
    """Estimate the share of right answers on all images of a kind from those on some: Wilson's interval.

    Parameters
    ----------
    right, total : float, or array-like of shapes that go together
        Right answers, and answers. Whole numbers as a rule; `effective` makes others.
    confidence : float
        Probability in (0, 1) with which the interval covers the true share.

    Returns
    -------
    low, high : float, or ndarray of float64
        From 0 to 1. Of no answers at all nothing is known: 0 and 1.

    Raises
    ------
    MeasureError
        If there are fewer right answers than none or more than answers, or a number is not finite.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference, Journal of the American
    Statistical Association 22. For whole numbers it is SciPy's
    ``binomtest(right, total).proportion_ci(method="wilson")``, which takes neither others nor arrays. Taught in:
    chapter 7 (Your own photographs).
    """
    z = quantile(np.inf, confidence)
    try:
        k, n = np.broadcast_arrays(np.asarray(right, "float64"), np.asarray(total, "float64"))
    except (TypeError, ValueError) as error:
        raise MeasureError(
            f"Expected numbers of right answers and of answers, found something else: {error}"
        ) from error
    if not (np.isfinite(n) & (k >= 0) & (k <= n)).all():
        raise MeasureError(f"Expected from 0 to `total` right answers; found {right!r} of {total!r}. Count both anew.")
    wrong = n - k
    middle, sides = k + z**2 / 2, z * np.sqrt(k * wrong / np.where(n > 0, n, 1) + z**2 / 4)
    low, high = (middle - sides) / (n + z**2), (middle + sides) / (n + z**2)
    low, high = np.where(k > 0, low.clip(0), 0.0), np.where(wrong > 0, high.clip(max=1), 1.0)  # whatever the rounding
    return low[()], high[()]


def effective(groups: ArrayLike) -> float:
    """Return how many independent images are worth as much as images some of which belong together.

    Parameters
    ----------
    groups : array-like, shape (N,), int
        Images of one number belong together: frames of one object, photographs by one person.

    Returns
    -------
    float
        N² / Σ n² for groups of n images: the number of groups where they are equally large, fewer where one outweighs
        the others, N where each image is its own.

    References
    ----------
    Kish (1965), Survey sampling, section 5.4: N divided by the design effect, here for groups whose images are all
    right or all wrong. Images of a group that differ more are worth more than that, so an interval is rather too wide;
    how much they differ cannot be told from a few mistakes. Taught in: chapter 7 (Your own photographs).
    """
    sizes = np.unique(np.asarray(groups), return_counts=True)[1].astype("float64")
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if len(sizes) else 0.0


def paired_difference(
    a: ArrayLike, b: ArrayLike, groups: ArrayLike | None = None, confidence: float = 0.95
) -> tuple[float, float, float, float]:
    """Estimate how many more of all images of a kind one classifier has right than another, from the same images.

    Only images that one of them has right tell who is better; so the interval is narrower than two separate ones.

    Parameters
    ----------
    a, b : array-like, shape (N,), bool
        Which images each has right.
    groups : array-like, shape (N,), int, optional
        As for `effective`.
    confidence : float
        Probability in (0, 1) with which the interval covers the true difference.

    Returns
    -------
    difference, low, high : float
        Share of images that a has right less that of b, and its interval: −1 to 1.
    p : float
        How often two equally good classifiers would differ on as many groups, or more one-sidedly: McNemar's exact test
        on images, the sign test on groups of them.

    Raises
    ------
    MeasureError
        If there is no image, or the lengths differ.

    References
    ----------
    Bonett and Price (2012), Adjusted Wald confidence interval for a difference of binomial proportions based on paired
    data, Journal of Educational and Behavioral Statistics 37: one image is added to those that only a has right, and
    one to those that only b has. Fagerland, Lydersen and Laake (2014), Statistics in Medicine 33, recommend it.
    McNemar (1947), Psychometrika 12. Taught in: chapter 7 (Your own photographs).
    """
    one, other = np.asarray(a, bool), np.asarray(b, bool)
    places = np.arange(len(one)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if one.ndim != 1 or not one.shape == other.shape == places.shape or not len(one):
        raise MeasureError(f"Expected answers to the same images, found {one.shape}, {other.shape}, {places.shape}.")
    count = effective(places)
    only_one, only_other = count * np.mean(one & ~other), count * np.mean(other & ~one)
    first, second = (only_one + 1) / (count + 2), (only_other + 1) / (count + 2)
    middle = first - second
    half = quantile(np.inf, confidence) * np.sqrt((first + second - middle**2) / (count + 2))
    better = np.bincount(places, one.astype(float) - other)  # by so many images of each group
    ahead, behind = int((better > 0).sum()), int((better < 0).sum())
    p = float(stats.binomtest(ahead, ahead + behind).pvalue) if ahead + behind else 1.0
    difference = float(np.mean(one) - np.mean(other))
    return difference, float(max(middle - half, -1)), float(min(middle + half, 1)), p
