"""Rows drawn of each class; images that belong together (one object, one session, one person) stay on one side.

Taught in: chapter 7 (Your own photographs).
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tl_base.pictures import wrong

Rows: TypeAlias = NDArray[np.int64]
Groups: TypeAlias = ArrayLike | Iterable[object] | Callable[[str], object]
REMEDY = "Name groups that are smaller, bring more of them, or pass groups=None, which splits image by image."


def numbered(groups: Groups, files: Sequence[str] | None, count: int) -> NDArray[np.int64]:
    """Return the number of each image's group.

    Parameters
    ----------
    groups : array-like or iterable of `count` keys, or function
        Text or numbers, the same for what belongs together. A function makes the key of a file's name.
    files : sequence of str, optional
        The names that a function takes.
    count : int
        Of images.

    Returns
    -------
    ndarray, shape (count,), int64

    Raises
    ------
    DataError
        If these are no keys, one for each image, or there are no files for a function.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    if callable(groups):
        if files is None:
            remedy = "Pass an array, one group an image; or the images as paths of files."
            raise wrong("files for the function in groups", "images without names", remedy)
        groups = [groups(name) for name in files]
    if isinstance(groups, (str, bytes)) or not np.iterable(groups):
        remedy = 'Pass a key for each image, a function of the file\'s name, "alike" or None.'
        raise wrong("groups as keys", repr(groups), remedy)
    keys = [key.item() if isinstance(key, np.generic) else key for key in groups]
    if len(keys) != count:
        raise wrong(f"a group for each of {count:,} images", f"{len(keys):,}", "Look where some were dropped.")
    numbers: dict[object, int] = {}
    for row, key in enumerate(keys):
        if not isinstance(key, (str, int, float, tuple)) or key != key:
            raise wrong("each group as text or a number", f"{key!r} for image {row}", "Name one of its own.")
        numbers.setdefault(key, len(numbers))
    return np.array([numbers[key] for key in keys], np.int64)


def file_names(images: object) -> tuple[str, ...] | None:
    """Return the paths that images are given as, or None if they are given otherwise.

    Parameters
    ----------
    images : list, tuple or array of paths, or any images

    Returns
    -------
    tuple of str, or None

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    if isinstance(images, np.ndarray) and images.dtype.kind in "OUT" and images.ndim == 1:
        images = images.tolist()
    if not isinstance(images, (list, tuple)) or not all(isinstance(image, (str, os.PathLike)) for image in images):
        return None
    return tuple(os.fsdecode(image) for image in images)


def on_both_sides(groups: NDArray[np.int64], held_out: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which rows are not held out though one of their group is.

    Parameters
    ----------
    groups : ndarray, shape (N,), int64
    held_out : ndarray, shape (N,), bool

    Returns
    -------
    ndarray, shape (N,), bool

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    return ~held_out & np.isin(groups, groups[held_out])


def share(orders: Sequence[Rows], wanted: Sequence[int], groups: NDArray[np.int64] | None, keep: int) -> Rows:
    """Take a number of rows of each class, whole groups alone.

    Parameters
    ----------
    orders : sequence of K arrays of int64
        The rows of each class, in the order in which they are offered.
    wanted : sequence of K int
        How many to take of each class, at least one.
    groups : ndarray of int64, optional
        The group of every row; None: each is by itself.
    keep : int
        How many rows of each class are left at least.

    Returns
    -------
    ndarray of int64
        A group that would bring too many of a class is passed over; where a class gets none that way, its smallest.

    Raises
    ------
    DataError
        If the groups are too few or too large.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    if groups is None:
        return np.concatenate([rows[:count] for rows, count in zip(orders, wanted, strict=True)])
    sizes: dict[int, NDArray[np.int64]] = {}  # rows of each class in a group
    for k, rows in enumerate(orders):
        for group, count in zip(*np.unique(groups[rows], return_counts=True), strict=True):
            sizes.setdefault(int(group), np.zeros(len(orders), np.int64))[k] = count
    taken, chosen, most = np.zeros(len(orders), np.int64), set(), np.array(wanted)
    left = np.array([len(rows) - keep for rows in orders])
    for k, rows in enumerate(orders):
        offered = list(dict.fromkeys(groups[rows].tolist()))
        for group in offered:
            if taken[k] < most[k] and group not in chosen and np.all(taken + sizes[group] <= most):
                chosen.add(group)
                taken += sizes[group]
        if not taken[k]:
            fitting = [group for group in offered if np.all(taken + sizes[group] <= left)]
            if not fitting:
                found = f"{len(offered):,} of class {k}, the largest of {max(sizes[g][k] for g in offered):,} images"
                raise wrong("groups of images such that some of each class can be put aside", found, REMEDY)
            chosen.add(smallest := min(fitting, key=lambda group: int(sizes[group].sum())))
            taken += sizes[smallest]
    return np.concatenate([rows[np.isin(groups[rows], list(chosen))] for rows in orders])


def apart(orders: Sequence[Rows], per_class: int, groups: NDArray[np.int64]) -> tuple[Rows, Rows]:
    """Draw rows of each class from either end, such that no group is drawn from both.

    Parameters
    ----------
    orders : sequence of K arrays of int64
        The rows of each class, in the order in which they are offered.
    per_class : int
    groups : ndarray of int64
        The group of every row.

    Returns
    -------
    ndarray, ndarray, shape (per_class * K,), int64
        From the beginnings and from the ends, round the classes. A smaller draw is the beginning of a larger one, and
        where each row is a group they are the first and the last rows.

    Raises
    ------
    DataError
        If a class has too few that can be told apart.

    Notes
    -----
    A group is of the side that first draws from it. Taught in: chapter 7 (Your own photographs).
    """
    owner: dict[int, int] = {}
    walks = [[iter(rows.tolist()) for rows in orders], [iter(rows[::-1].tolist()) for rows in orders]]
    drawn: tuple[list[int], list[int]] = ([], [])
    for place in range(per_class * len(orders)):
        k = place % len(orders)
        for side in (0, 1):
            own = (row for row in walks[side][k] if owner.setdefault(int(groups[row]), side) == side)
            row = next(own, None)
            if row is None:
                expected = (
                    f"{per_class:,} images of each class to train and as many to validate, no group on both sides"
                )
                found = f"only {place // len(orders):,} of class {k}, whose images are in groups"
                raise wrong(expected, f"{found} ({len(np.unique(groups[orders[k]])):,})", f"Ask for fewer. {REMEDY}")
            drawn[side].append(row)
    return np.array(drawn[0]), np.array(drawn[1])


def shuffled(labels: NDArray[np.int64], eligible: NDArray[np.bool_], seed: int) -> list[Rows]:
    """Return the eligible rows of each class in turn, in an order that only the seed decides.

    Parameters
    ----------
    labels : ndarray, shape (N,), int64
    eligible : ndarray, shape (N,), bool
    seed : int

    Returns
    -------
    list of ndarray of int64

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    generator = np.random.default_rng(seed)
    classes = range(labels.max() + 1)
    return [generator.permutation(np.flatnonzero((labels == k) & eligible)) for k in classes]


def check_classes(class_names: tuple[str, ...], labels: NDArray[np.int64], least: int, what: str) -> None:
    """Raise unless each class has at least `least` labels; tell how many each has.

    Parameters
    ----------
    class_names : tuple of str
    labels : ndarray of int64
    least : int
    what : str
        Which labels these are.

    Raises
    ------
    DataError
        If a class has fewer.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    counts = np.bincount(labels, minlength=len(class_names))
    if counts.min() < least:
        listed = ", ".join(f"{counts[k]:,} of {class_names[k]!r}" for k in np.argsort(counts, kind="stable")[:20])
        raise wrong(f"at least {least:,} {what} in each class", listed, "Bring more images, or ask for fewer.")


def held_out(
    labels: NDArray[np.int64],
    class_names: tuple[str, ...],
    chosen: ArrayLike | None,
    groups: NDArray[np.int64] | None,
    seed: int,
) -> NDArray[np.bool_]:
    """Return which rows are held out: those chosen, if they will do, else a third of each class.

    Parameters
    ----------
    labels : ndarray, shape (N,), int64
    class_names : tuple of str
    chosen : array-like of bool, shape (N,), optional
    groups : ndarray, shape (N,), int64, optional
        Images with the same number belong together.
    seed : int
        It decides which third.

    Returns
    -------
    ndarray, shape (N,), bool

    Raises
    ------
    DataError
        If there are too few of a class on either side, or a group is on both.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    check_classes(class_names, labels, 3, "images (one to train, one to validate, one to test)")
    result = np.zeros(len(labels), bool) if chosen is None else np.array(chosen)
    if chosen is None:
        order = shuffled(labels, ~result, seed)
        result[share(order, [len(rows) // 3 for rows in order], groups, 2)] = True
    if result.shape != labels.shape or result.dtype != bool:
        found = f"{result.shape}, {result.dtype}"
        raise wrong(f"held_out of shape {labels.shape}, bool", found, "Give True or False for each image.")
    check_classes(class_names, labels[result], 1, "held-out images")
    check_classes(class_names, labels[~result], 2, "images that are not held out")
    if groups is not None and (both := on_both_sides(groups, result)).any():
        found = f"{both.sum():,} images outside whose groups are inside (the first is number {both.argmax()})"
        raise wrong("each group inside or outside of held_out", found, "Hold out whole groups, or leave held_out out.")
    return result
