"""Augmentation: another variant of every image in every step of training, by a plain name; never in inference.

The layers stand before a network while it trains and are no part of it: what is scored, saved or exported never varies
an image.
Taught in: chapter 7 (Your own photographs).
"""

from collections.abc import Callable, Sequence

import numpy as np

from tl_base.backend import keras, tf
from tl_base.pictures import wrong

Vary = Callable[[tf.Tensor], tf.Tensor]


def _flip(seed: int) -> list[keras.Layer]:
    return [keras.layers.RandomFlip("horizontal", seed=seed)]


def _shift(seed: int) -> list[keras.Layer]:
    return [keras.layers.RandomTranslation(0.1, 0.1, fill_mode="nearest", seed=seed)]


def _both(seed: int) -> list[keras.Layer]:
    return [*_flip(seed), *_shift(seed + 3)]


def _photographs(seed: int) -> list[keras.Layer]:
    zoom = keras.layers.RandomZoom((-0.2, 0.1), fill_mode="nearest", seed=seed + 1)
    light = keras.layers.RandomBrightness(0.2, value_range=(0, 255), seed=seed + 2)
    return [*_both(seed), zoom, light]


KINDS: dict[str, Callable[[int], list[keras.Layer]]] = {
    "flip": _flip,
    "shift": _shift,
    "flip and shift": _both,
    "photographs": _photographs,
}


def varied(kind: str, shape: Sequence[int], seed: int | Sequence[int]) -> Vary:
    """Return what makes other images of a batch at each call.

    Parameters
    ----------
    kind : {"flip", "shift", "flip and shift", "photographs"}
        Left and right exchanged in half of the images; moved by up to a tenth of the side, up, down and sideways, the
        border repeated; both; or both, with a zoom of 0.9 to 1.2 and a brightness of up to a fifth of the range more or
        less.
    shape : sequence of int
        Of one image: ``(height, width, channels)``.
    seed : int or sequence of int
        Decides every variant.

    Returns
    -------
    callable
        Images ``(B, H, W, C)``, 0 to 255, float32, to as many of the same kind.

    Raises
    ------
    DataError
        If there is no such kind, or these are no images.

    References
    ----------
    Krizhevsky, Sutskever and Hinton (2012), section 4.1 (shifts and flips).
    """
    if kind not in KINDS:
        known = ", ".join(map(repr, KINDS))
        raise wrong(f"augment=None or one of {known}", repr(kind), "Choose one, or leave it out.")
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise wrong(
            "images (height, width, 1 or 3) to augment", f"inputs of shape {tuple(shape)}", "Leave augment out."
        )
    first = int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)  # room for the seeds that follow it
    layers = KINDS[kind](first)

    def vary(images: tf.Tensor) -> tf.Tensor:
        for layer in layers:
            images = layer(images, training=True)
        return images

    return vary
