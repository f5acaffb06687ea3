"""What someone has to tell a colleague about a classifier: how often it is right, where not, and how sure that is.

Taught in: chapter 7 (Your own photographs).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tl_base import answers, sheets
from tl_base.answers import Rows, Scored
from tl_helpers.data import Dataset
from tl_helpers.measures import mean_interval


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """How a classifier did on test images. It shows itself: ``print(report)``, or last in a notebook's cell.

    Shares and accuracies go from 0 to 1, all intervals have 95 %.

    Attributes
    ----------
    name : str
        Of the data set.
    right, total : int
        Right answers, and images.
    worth : float
        How many independent images they are worth: `total`, or fewer where some belong together (`Dataset.groups`).
        Those of a group count as one, see ``tl_base.shares.effective``.
    low, high : float
        Wilson's interval of `accuracy`, for so many images as they are worth.
    draws : tuple of float
        Accuracy of this training and of others on the same images.
    classes, pairs, comparisons : pandas.DataFrame
        As ``tl_base.answers`` makes them: ``by_class``, ``confused``, ``compared``.
    sentences : tuple of str
        What follows, in words.
    predictions : ndarray, shape (N,), int64
    shares : ndarray, shape (N, classes), float32
        As in `results.Score`; `plots.mistakes` takes a report too.
    pictures : tuple of sheets.Pictures
        Of the most frequent pairs.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """

    name: str
    right: int
    total: int
    worth: float
    low: float
    high: float
    draws: tuple[float, ...]
    classes: pd.DataFrame
    pairs: pd.DataFrame
    comparisons: pd.DataFrame
    sentences: tuple[str, ...]
    predictions: Rows
    shares: np.ndarray
    pictures: tuple[sheets.Pictures, ...]

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return self.right / self.total

    def __str__(self) -> str:
        return sheets.as_text(*self._sheet())

    def _repr_html_(self) -> str:
        return sheets.as_html(*self._sheet())

    def _sheet(self) -> tuple[str, list[sheets.Part]]:
        """Return what is shown: a title and its parts."""
        title = f"{self.name}: {answers.percent(self.accuracy)} right, {answers.span(self.low, self.high)}"
        tables = answers.class_table(self.classes), answers.comparison_table(self.comparisons)
        return title, [*self.sentences, *tables, *self.pictures]


def report(dataset: Dataset, score: Scored, against: Mapping[str, Rows], draws: Sequence[float] = ()) -> Report:
    """Report on a classifier's answers to the images of a data set; `Result.report` gives it what a network answers.

    Parameters
    ----------
    dataset : data.Dataset
    score : results.Score
        Or anything else with ``predictions`` and ``shares``.
    against : mapping of str to ndarray, shape (N,), int64
        Answers of others to the same images.
    draws : sequence of float
        Accuracies of other trainings on the same images.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        If there is no image, or there is not one answer to each.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    given = answers.Answers(dataset.labels, score.predictions, score.shares, dataset.class_names, dataset.groups)
    right, total, worth, low, high = given.interval()
    every, pairs = (right / total, *draws), answers.confused(given)
    words = answers.in_words(given, every, mean_interval(every), int((~dataset.held_out).sum()))
    pictures = answers.pair_pictures(pairs, dataset.images, answers.captions(given, dataset.files))
    tables = answers.by_class(given), pairs, answers.compared(given, against)
    numbers = right, total, worth, low, high, every
    return Report(dataset.name, *numbers, *tables, words, score.predictions, score.shares, pictures)
