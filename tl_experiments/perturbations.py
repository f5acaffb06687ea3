"""Data sets made worse on purpose: wrong labels, and images as under other conditions.

Taught in: chapter 3.3 (Parameter transfer: rates and phases) and chapter 4.1 (Results).
"""

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tl_base.pictures import wrong
from tl_helpers.data import Dataset


def with_label_noise(dataset: Dataset, share: float, seed: int = 0) -> Dataset:
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
        raise wrong("share from 0 to below 1", repr(share), "0.1 replaces one label in ten.")
    if share == 0:
        return dataset
    generator = np.random.default_rng([seed, 1])
    classes = len(dataset.class_names)
    chosen = generator.permutation(len(dataset))[: round(share * len(dataset))]
    labels = dataset.labels.copy()
    labels[chosen] = (labels[chosen] + generator.integers(1, classes, len(dataset))[: len(chosen)]) % classes
    return replace(dataset, labels=labels)


def shifted(dataset: Dataset, kind: str) -> Dataset:
    """Change the images as a test under other conditions would: a shift of the distribution of inputs.

    Parameters
    ----------
    dataset : Dataset
    kind : {"rotated", "moved", "noisy", "inverted", "moved by 1", "moved by 2"}
        Rotated by 30°; moved by 4 pixels to the right and down; with Gaussian noise of standard deviation 60 (of 255);
        black for white; moved likewise by 1 or 2 pixels. One of `SHIFTS`.

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
    Taught in: chapter 3.3 (Parameter transfer: rates and phases). A run that measures ``"shifts"`` is scored on all of
    them; records from before the last two have the first four.
    """
    if kind not in SHIFTS:
        raise wrong(f"a shift of {', '.join(SHIFTS)}", repr(kind), "Choose one of them.")
    grey = dataset.images.strides[-1] == 0
    images = SHIFTS[kind](dataset.images[..., :1] if grey else dataset.images)
    return replace(dataset, images=np.broadcast_to(images, dataset.images.shape))


def _rotated(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return ndimage.rotate(images, 30, axes=(1, 2), reshape=False, order=1)


def _moved(pixels: int, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    result = np.zeros_like(images)
    result[:, pixels:, pixels:] = images[:, :-pixels, :-pixels]
    return result


def _noisy(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(0, 60, images.shape).astype("float32")
    return (images + noise).clip(0, 255).astype("uint8")


def _inverted(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return 255 - images


SHIFTS: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "rotated": _rotated,
    "moved": functools.partial(_moved, 4),  # a floor: no network of the book does better than guessing there
    "noisy": _noisy,
    "inverted": _inverted,
    "moved by 1": functools.partial(_moved, 1),
    "moved by 2": functools.partial(_moved, 2),
}
