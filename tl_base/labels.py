"""Labels as people have them, numbered from 0, and the names of their classes.

Taught in: chapter 4 (Worked example).
"""

import math
import numbers
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tl_base.pictures import DataWarning, wrong

Labels: TypeAlias = ArrayLike | Iterable[object]  # text, whole numbers, one a row


def numbered(labels: Labels, class_names: Iterable[object] | None = None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return labels as numbers from 0, and the names of their classes.

    Parameters
    ----------
    labels : iterable of N labels, or array of shape (N,) or (N, 1)
        Whole numbers or text: any, numbered 0, 1, … in sorted order. With `class_names`: 0 to K - 1.
    class_names : iterable of K names, optional

    Returns
    -------
    ndarray, shape (N,), int64
    tuple of K str

    Raises
    ------
    DataError
        If labels or names are not as above, one is missing (None, NaN), or there is only one class.

    Notes
    -----
    White space at both ends is dropped and bytes are read as UTF-8. Taught in: chapter 4 (Worked example).
    """
    values = _values(labels)
    kinds: Iterable[object]
    if class_names is None:
        kinds, values = np.unique(values, return_inverse=True)
    else:
        kinds = _names(class_names, values)
    names = tuple(str(kind) for kind in kinds)
    if len(names) < 2 or len(set(names)) < len(names):
        raise wrong("at least two classes, each with its own name", str(names), "One class leaves nothing to learn.")
    return np.asarray(values, dtype=np.int64), names


def question_names(class_names: tuple[str, ...], name: str) -> None:
    """Warn of classes whose names differ by capital letters only.

    Parameters
    ----------
    class_names : tuple of str
    name : str
        Of the data set.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    for text in class_names:
        plain = text.casefold()
        if text != plain and plain in class_names:
            question = f"{name!r} has a class {text!r} and another {plain!r}. Are they one? Then write one name."
            warnings.warn(question, DataWarning, stacklevel=3)
            return


def _values(labels: Labels) -> Any:
    """Return labels as one list, all text or all whole numbers."""
    array = np.asarray(list(labels) if isinstance(labels, Iterator) else labels, dtype=object)
    if array.ndim == 0 or array.size != len(array):
        remedy = "If they are one-hot, pass numpy.argmax(labels, axis=1)."
        raise wrong("labels of shape (N,)", f"shape {array.shape}", remedy)
    values = _texts(array.ravel().tolist())
    missing = [row for row, value in enumerate(values) if _is_missing(value)]
    if missing:
        found = f"{values[missing[0]]!r} for {len(missing):,} of them, first for image {missing[0]}"
        raise wrong("a label for each image", found, "Name the class, or leave these images out.")
    if all(isinstance(value, str) for value in values):
        return values
    for value in values:
        if not isinstance(value, numbers.Real) or not float(value).is_integer():
            remedy = "Write all of them as text: [str(label) for label in labels]."
            raise wrong("labels that are all whole numbers or all text", repr(value), remedy)
    return [int(value) for value in values]


def _names(class_names: Iterable[object], values: Any) -> list[Any]:
    """Return the names that go with labels from 0; raise if one is missing, or the labels are others."""
    names, used = _texts(class_names), sorted(set(values))
    if not set(used) <= set(range(len(names))):
        remedy = "Leave class_names out: then any labels are numbered for you."
        raise wrong(f"labels 0 to {len(names) - 1} for these {len(names)} class_names", str(used[:9]), remedy)
    if any(_is_missing(name) for name in names):
        raise wrong("a name for each class", str(tuple(names)), "Name them all, or leave class_names out.")
    return names


def _texts(values: Iterable[object]) -> list[Any]:
    """Return names as one reads them: no white space at their ends, one way of writing é; numbers as they are."""
    try:
        texts = [value.decode() if isinstance(value, bytes) else value for value in values]
    except UnicodeDecodeError as error:
        remedy = "Decode them: [label.decode('latin-1') for label in labels]."
        raise wrong("labels in UTF-8", repr(error.object), remedy) from error
    return [unicodedata.normalize("NFC", text.strip()) if isinstance(text, str) else text for text in texts]


def _is_missing(value: object) -> bool:
    """Tell what names a class from None, NaN, an empty text, and pandas's NA and NaT."""
    if value is None or isinstance(value, str):
        return not value
    if isinstance(value, numbers.Real):
        return math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType")  # by name: pandas need not be here
