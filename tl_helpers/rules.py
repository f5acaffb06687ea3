"""Soft rules about images and their classes, and what the number of loops says about a digit.

Used through `tl_helpers.knowledge`, which makes a term of the loss of them.
Taught in: chapter 3.7 (Knowledge transfer).
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

Images = NDArray[np.uint8]
Speaks = Callable[[Images], NDArray[np.bool_]]


class KnowledgeError(ValueError):
    """A rule or a constraint does not fit the networks or the data."""


def check_numbers(most: float | None = None, **numbers: float) -> None:
    """Refuse settings outside a range.

    Parameters
    ----------
    most : float, optional
        The largest number that is allowed; without it, all finite ones are.
    **numbers
        By the name that a message gives them; the smallest that is allowed is 0.

    Raises
    ------
    KnowledgeError
        The message says which one.
    """
    for name, value in numbers.items():
        if not 0 <= value <= (np.finfo(float).max if most is None else most):
            wanted = "≥ 0" if most is None else f"from 0 to {most}"
            raise KnowledgeError(f"Expected {name} {wanted}, found {value}.")


@dataclass(frozen=True)
class Rule:
    """A soft rule about an image and its class.

    Parameters
    ----------
    name : str
    truth : callable
        Images ``(N, 32, 32, 3)``, uint8, to truth values ``(N, K)`` in [0, 1]: r(x, y), how well each class agrees
        with the rule for each image. 1 everywhere in a row: the rule has nothing to say about that image.
    confidence : float
        λ ≥ 0, how much the rule is trusted; 0 switches it off.

    Notes
    -----
    Taught in: chapter 3.7 (Knowledge transfer).
    """

    name: str
    truth: Callable[[Images], ArrayLike]
    confidence: float = 1.0

    def __post_init__(self) -> None:
        check_numbers(confidence=self.confidence)

    def values(self, images: Images, classes: int) -> NDArray[np.float32]:
        """Apply the rule to images.

        Parameters
        ----------
        images : ndarray, shape (N, 32, 32, 3), uint8
        classes : int
            K.

        Returns
        -------
        ndarray, shape (N, K), float32

        Raises
        ------
        KnowledgeError
            If the rule does not give one number in [0, 1] an image and class.
        """
        truth = np.asarray(self.truth(images), "float32")
        if truth.shape != (len(images), classes):
            raise KnowledgeError(
                f"Rule {self.name!r}: expected truth values of shape ({len(images)}, {classes}), one an image and "
                f"class; found {truth.shape}."
            )
        if not ((truth >= 0) & (truth <= 1)).all():
            raise KnowledgeError(
                f"Rule {self.name!r}: truth values lie in [0, 1]; found {truth.min()} to {truth.max()}."
            )
        return truth


def loops(images: Images, threshold: int = 96, smallest: int = 2) -> NDArray[np.int64]:
    """Count the closed loops of a drawing: areas of background that ink cuts off from the edge of the image.

    Parameters
    ----------
    images : ndarray, shape (N, 32, 32, 3), uint8
        Bright ink on a dark ground.
    threshold : int
        A pixel from this value on (in its brightest channel) is ink.
    smallest : int
        Pixels of the smallest area that counts; a smaller one is a flaw of the stroke.

    Returns
    -------
    ndarray, shape (N,), int64
        Components of the background less one, the surroundings. Background connects along edges, ink also over corners.

    Notes
    -----
    The defaults suit MNIST and scikit-learn's digits alike. Taught in: chapter 3.7 (Knowledge transfer).
    """
    background = np.asarray(images).max(axis=3) < threshold
    framed = np.pad(background, ((0, 0), (1, 1), (1, 1)), constant_values=True)  # the surroundings are one component
    sizes = (np.bincount(ndimage.label(picture)[0].ravel())[1:] for picture in framed)
    return np.array([np.sum(size >= smallest) - 1 for size in sizes], "int64")


def loop_rules() -> tuple[Rule, ...]:
    """Write down what the number of loops says about the digits 0 to 9, in this order of classes.

    Returns
    -------
    tuple of Rule
        Each makes some digits unlikely where it speaks, and says nothing elsewhere.

    Notes
    -----
    A person's knowledge of how digits are written: true of most people's digits, not of all. `rule_table` measures
    them. Taught in: chapter 3.7 (Knowledge transfer).
    """
    return (
        unlikely("a loop: not 1, 2, 3, 5, 7", _has_loop, (1, 2, 3, 5, 7)),
        unlikely("no loop: not 0, 6, 8, 9", _has_no_loop, (0, 6, 8, 9)),
        unlikely("two loops: 8", _has_two_loops, (0, 1, 2, 3, 4, 5, 6, 7, 9)),
    )


def _has_loop(images: Images) -> NDArray[np.bool_]:  # named, so that rules can be pickled with a result
    return loops(images) > 0


def _has_no_loop(images: Images) -> NDArray[np.bool_]:
    return loops(images) == 0


def _has_two_loops(images: Images) -> NDArray[np.bool_]:
    return loops(images) == 2


def wrong_rules() -> tuple[Rule, ...]:
    """Write down a rule that is false, and firmly held: what a mistaken expert would add.

    Returns
    -------
    tuple of Rule
        One: a digit with a loop is none of 0, 6, 8 and 9.

    Notes
    -----
    Taught in: chapter 3.7 (Knowledge transfer).
    """
    return (unlikely("WRONG, a loop: not 0, 6, 8, 9", _has_loop, (0, 6, 8, 9)),)


def unlikely(name: str, speaks: Speaks, classes: Iterable[int], count: int = 10, confidence: float = 1.0) -> Rule:
    """Make a rule that calls some classes unlikely for some images.

    Parameters
    ----------
    name : str
    speaks : callable
        Images ``(N, 32, 32, 3)``, uint8, to ``(N,)`` bool: where the rule has something to say.
    classes : sequence of int
        The unlikely ones: truth 0 there, 1 for all others.
    count : int
        K, the number of all classes.
    confidence : float
        λ of `Rule`.

    Returns
    -------
    Rule

    Raises
    ------
    KnowledgeError
        If a class is none of the K, or the confidence is negative.

    Notes
    -----
    Taught in: chapter 3.7 (Knowledge transfer).
    """
    classes = tuple(classes)
    if not set(classes) <= set(range(count)):
        raise KnowledgeError(f"Rule {name!r}: expected classes from 0 to {count - 1}, found {classes}.")
    return Rule(name, functools.partial(_unlikely, speaks, classes, count), confidence)


def _unlikely(speaks: Speaks, classes: tuple[int, ...], count: int, images: Images) -> np.ndarray:
    return 1.0 - np.outer(speaks(images), np.isin(range(count), classes))


def rule_table(rules: Iterable[Rule], images: Images, labels: np.ndarray, class_names: Sequence[str]) -> pd.DataFrame:
    """Count how often rules speak, and how often labels agree with them.

    Parameters
    ----------
    rules : sequence of Rule
    images : ndarray, shape (N, 32, 32, 3), uint8
    labels : ndarray, shape (N,), int
        True labels give the rules' precision; predicted ones give the share of predictions that keep to them, so that
        1 minus it is the share of violations.
    class_names : sequence of str

    Returns
    -------
    pandas.DataFrame
        Index: the rule's name. Columns: ``coverage``, the share of images about which the rule says anything, and
        ``agreement``, the mean truth value of the label over those images (missing where there is none).

    Raises
    ------
    KnowledgeError
        If a rule gives values of another shape.

    Notes
    -----
    Taught in: chapter 3.7 (Knowledge transfer).
    """
    rows = {}
    for rule in rules:
        truth = rule.values(images, len(class_names))
        speaks = truth.min(1) < 1
        agreed = truth[np.arange(len(labels)), labels][speaks]
        rows[rule.name] = {"coverage": speaks.mean(), "agreement": agreed.mean() if speaks.any() else np.nan}
    return pd.DataFrame.from_dict(rows, orient="index")
