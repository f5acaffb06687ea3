"""A classifier's answers to test images, in numbers and words: classes, confused pairs, how it compares.

Taught in: chapter 7 (Your own photographs).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tl_base.pictures import wrong
from tl_base.shares import effective, paired_difference, wilson
from tl_base.sheets import Pictures, Table, jpeg

SURE = 0.9  # a share from which on an answer is called sure
MOST_PAIRS, MOST_PICTURES = 5, 4  # confused pairs that are shown, and pictures of each

Rows: TypeAlias = NDArray[np.int64]


class Scored(Protocol):
    """What somebody answered; `results.Score` is one."""

    @property
    def predictions(self) -> Rows:
        """Answered class of each image, shape (N,)."""

    @property
    def shares(self) -> np.ndarray:
        """How sure each is of each class, shape (N, classes)."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers to images whose classes are known.

    Attributes
    ----------
    labels, predictions : ndarray, shape (N,), int64
        True and answered class, from 0.
    shares : ndarray, shape (N, classes), float
        How sure it is of each class; each row sums to 1, or is NaN where the network does not say.
    class_names : tuple of str
    groups : ndarray, shape (N,), int64, or None
        Images of one number belong together.
    """

    labels: Rows
    predictions: Rows
    shares: np.ndarray
    class_names: tuple[str, ...]
    groups: Rows | None = None

    def __post_init__(self) -> None:
        count = len(self.labels)
        if not count:
            raise wrong("test images to score", "none", "Score the test part of a split.")
        fits = len(self.predictions) == len(self.shares) == count
        if not fits or (self.groups is not None and len(self.groups) != count):
            found = f"{len(self.predictions):,} answers"
            raise wrong(f"one answer to each of {count:,} images", found, "Score the same images again.")

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which answers are right, shape (N,)."""
        return self.labels == self.predictions

    @property
    def sureness(self) -> NDArray[np.float64]:
        """The share of each answer, shape (N,)."""
        return np.take_along_axis(self.shares, self.predictions[:, None], 1)[:, 0].astype("float64")

    def interval(self, rows: NDArray[np.bool_] | slice = slice(None)) -> tuple[int, int, float, float, float]:
        """Count right answers among some rows.

        Parameters
        ----------
        rows : ndarray of bool, shape (N,), optional

        Returns
        -------
        right, images : int
        worth, low, high : float
            How many independent images these are, and Wilson's interval of the share that is right.

        Notes
        -----
        Taught in: chapter 7 (Your own photographs).
        """
        right = self.right[rows]
        total = len(right)
        worth = float(total) if self.groups is None else effective(self.groups[rows])
        low, high = wilson(right.mean() * worth if total else 0, worth)
        return int(right.sum()), total, worth, float(low), float(high)

    def mistakes(self) -> Rows:
        """Return the rows with wrong answers, the surest first."""
        rows = np.flatnonzero(~self.right)
        return rows[np.argsort(-self.sureness[rows], kind="stable")]


def by_class(answers: Answers) -> pd.DataFrame:
    """Count right answers class by class.

    Parameters
    ----------
    answers : Answers

    Returns
    -------
    DataFrame
        One row a class: ``class``, ``right``, ``images``, ``worth``, ``share``, ``low``, ``high``. Of a class without
        images nothing is known: share None, interval 0 to 1.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    rows = []
    for label, name in enumerate(answers.class_names):
        right, count, worth, low, high = answers.interval(answers.labels == label)
        rows.append((name, right, count, worth, right / count if count else None, low, high))
    return pd.DataFrame(rows, columns=["class", "right", "images", "worth", "share", "low", "high"], dtype=object)


def confused(answers: Answers) -> pd.DataFrame:
    """Count mistakes by what was shown and what was answered, the most frequent first.

    Parameters
    ----------
    answers : Answers

    Returns
    -------
    DataFrame
        ``true``, ``answered``, ``count``, ``images`` (of the true class) and ``rows``: a tuple of the images, the
        surest mistake first.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    found: dict[tuple[int, int], list[int]] = {}
    for row in answers.mistakes().tolist():
        found.setdefault((int(answers.labels[row]), int(answers.predictions[row])), []).append(row)
    names, sizes = answers.class_names, np.bincount(answers.labels, minlength=len(answers.class_names))
    pairs = sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    rows = [(names[true], names[said], len(some), int(sizes[true]), tuple(some)) for (true, said), some in pairs]
    return pd.DataFrame(rows, columns=["true", "answered", "count", "images", "rows"])


def compared(answers: Answers, others: Mapping[str, Rows]) -> pd.DataFrame:
    """Compare answers with those of others to the same images, and with always naming the most frequent class.

    Parameters
    ----------
    answers : Answers
    others : mapping of str to ndarray, shape (N,), int64
        Name to answered classes.

    Returns
    -------
    DataFrame
        One row each: ``against``, ``accuracy`` (of the other), ``difference`` (these less the other), ``low``,
        ``high``, ``p`` as `shares.paired_difference` has them; ``only_this``, ``only_other``: images that only one has
        right.

    Raises
    ------
    DataError
        If another has not one answer, a class of these, for each image.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    count, classes = len(answers.labels), len(answers.class_names)
    most = int(np.bincount(answers.labels).argmax())
    rows = []
    for name, given in {**others, f"always {answers.class_names[most]!r}": np.full(count, most)}.items():
        said = np.asarray(given)
        if said.shape != (count,) or said.dtype.kind not in "iu" or said.min() < 0 or said.max() >= classes:
            expected = f"one class, 0 to {classes - 1}, for each of {count:,} images from {name!r}"
            found = f"{said.dtype} of shape {said.shape}" + (f", up to {said.max()}" if said.size else "")
            raise wrong(expected, found, "Compare answers to the same images, with the same classes.")
        right = said == answers.labels
        difference, low, high, p = paired_difference(answers.right, right, answers.groups)
        only = int((answers.right & ~right).sum()), int((right & ~answers.right).sum())
        rows.append((name, float(right.mean()), difference, low, high, *only, p))
    columns = ["against", "accuracy", "difference", "low", "high", "only_this", "only_other", "p"]
    return pd.DataFrame(rows, columns=columns)


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share for people, 94.1 %; a dash for one that is not known."""
    return "–" if share is None else f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def span(low: float, high: float, digits: int = 1) -> str:
    """Write an interval of shares for people: 80 to 98 %."""
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f}\N{NO-BREAK SPACE}%"


def in_words(answers: Answers, draws: Sequence[float], mean: tuple[float, float], seen: int = 0) -> tuple[str, ...]:
    """Say what the numbers mean: what test images tell, what labels would change, what neither covers.

    Parameters
    ----------
    answers : Answers
    draws : sequence of float
        Accuracy of this training and of others, on the same images.
    mean : (float, float)
        Of these, with half its interval.
    seen : int
        How many of the images are not reserved for testing.

    Returns
    -------
    tuple of str

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    right, total, worth, low, high = answers.interval()
    first = (
        f"{right:,} of {total:,} test images are right: {percent(right / total)}. On ever more images of the same kind "
        f"it would settle somewhere from {span(low, high)} (95 %, Wilson). More test images narrow this, four times as "
        "many by half; they make no answer better."
    )
    if worth < total:
        together = "Some images belong together, and those of a group count as one"
        first += f" {together}: these are worth {worth:,.0f} independent ones."
    remedy = "More labels to train with change this; more test images do not."
    second = (
        "This is one training. Another draw of labels or another seed gives another network, and nothing here says how "
        f"different: train with other seeds and pass their results: draws=[…]. {remedy}"
    )
    if len(draws) > 1:
        average = f"{percent(mean[0])} ± {100 * mean[1]:.1f} (95 %, Student's t)"
        second = (
            f"Trained {len(draws)} times, on other draws of labels or with other seeds, it has from "
            f"{span(min(draws), max(draws))} of these images right, on average {average}. {remedy}"
        )
    third = (
        "Neither covers what these images do not show: another camera, another light, another kitchen. Before "
        "using it there, test it on images from there."
    )
    return first, second, third, *_remarks(answers, seen)


def _remarks(answers: Answers, seen: int) -> list[str]:
    """Say what must not be overlooked."""
    found = []
    if seen:
        found.append(
            f"{seen:,} of these images are not reserved for testing. Where the network was trained on them, all this "
            "is too good: report on the test part of a split."
        )
    counts = np.bincount(answers.labels, minlength=len(answers.class_names))
    if absent := [name for name, count in zip(answers.class_names, counts, strict=True) if not count]:
        found.append(f"No test image shows {', '.join(map(repr, absent))}: of that nothing is known.")
    if np.isfinite(answers.sureness).all():
        sure = answers.sureness >= SURE
        right, total, _, low, high = answers.interval(sure)
        share = f"a share of {percent(SURE, 0)} or more"
        found.append(
            f"It gives {total:,} answers {share}; {right:,} of them are right ({span(low, high, 0)})."
            if total
            else f"It gives no answer {share}."
        )
    return found


def class_table(classes: pd.DataFrame) -> Table:
    """Return what `by_class` counts as a table for people.

    Parameters
    ----------
    classes : pandas.DataFrame

    Returns
    -------
    sheets.Table

    Notes
    -----
    Taught in: no chapter (a part of a report).
    """
    rows: list[dict[str, Any]] = classes.to_dict("records")  # type: ignore[assignment] # their keys are columns
    shown = {
        "class": classes["class"],
        "right": [f"{each['right']:,} of {each['images']:,}" for each in rows],
        "share": [percent(each["share"], 0) for each in rows],
        "95\N{NO-BREAK SPACE}% interval": [span(each["low"], each["high"], 0) for each in rows],
    }
    return Table("Class by class", pd.DataFrame(shown), [(each["low"], each["share"], each["high"]) for each in rows])


def comparison_table(comparisons: pd.DataFrame) -> Table:
    """Return what `compared` counts as a table for people, differences in percentage points.

    Parameters
    ----------
    comparisons : pandas.DataFrame

    Returns
    -------
    sheets.Table

    Notes
    -----
    Taught in: no chapter (a part of a report).
    """
    rows: list[dict[str, Any]] = comparisons.to_dict("records")  # type: ignore[assignment] # their keys are columns
    shown = {
        "against": comparisons["against"],
        "accuracy": [percent(each["accuracy"]) for each in rows],
        "difference": [f"{100 * each['difference']:+.1f}" for each in rows],
        "95\N{NO-BREAK SPACE}% interval": [f"{100 * each['low']:+.1f} to {100 * each['high']:+.1f}" for each in rows],
        "only this right": [f"{each['only_this']:,}" for each in rows],
        "only that right": [f"{each['only_other']:,}" for each in rows],
        "p": ["< 0.001" if each["p"] < 0.001 else f"{each['p']:.3f}" for each in rows],
    }
    return Table("On the same images, these trainings alone, in percentage points", pd.DataFrame(shown))


def captions(answers: Answers, files: Sequence[str] | None) -> list[str]:
    """Say of each image what it shows, what was answered, how surely, and which file it is.

    Parameters
    ----------
    answers : Answers
    files : sequence of N str, optional
        Where it is not known, the row is named.

    Returns
    -------
    list of str

    Notes
    -----
    Taught in: no chapter (a part of a report).
    """
    texts, names = [], answers.class_names
    for row, (true, said, sure) in enumerate(zip(answers.labels, answers.predictions, answers.sureness, strict=True)):
        surely = f" ({percent(float(sure), 0)})" if np.isfinite(sure) else ""
        place = f"image {row}" if files is None else PurePath(files[row]).name
        texts.append(f"{names[true]} → {names[said]}{surely}\n{place}")
    return texts


def pair_pictures(pairs: pd.DataFrame, images: np.ndarray, texts: Sequence[str]) -> tuple[Pictures, ...]:
    """Show the surest mistakes of the most frequent pairs.

    Parameters
    ----------
    pairs : pandas.DataFrame
        As `confused` returns them.
    images : ndarray, shape (N, H, W, 3), uint8
    texts : sequence of str
        One an image.

    Returns
    -------
    tuple of sheets.Pictures

    Notes
    -----
    Taught in: no chapter (a part of a report).
    """
    shown = []
    for true, said, count, all_of_it, places in pairs.head(MOST_PAIRS).to_numpy().tolist():
        rows = places[:MOST_PICTURES]
        title = f"{true} taken for {said}: {count:,} of {all_of_it:,}"
        alike = [texts[row].replace("\n", ", ") for row in rows]
        shown.append(Pictures(title, [jpeg(images[row]) for row in rows], alike))
    return tuple(shown)
