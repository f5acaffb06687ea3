"""The listing of the document that the book started from, and what happens when it runs.

Taught in: chapter 4 (Worked example).
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from tl_base.backend import keras
from tl_helpers import models, training

COLOURS = re.compile(r"\x1b\[\d*m")  # of a terminal, in messages of Keras
LONGEST = 160  # letters of a message that a page shows


def network() -> "keras.Sequential":
    """Build the listing's network: no scaling, unnamed layers, probabilities as output.

    Returns
    -------
    keras.Sequential

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    layers, listed = keras.layers, keras.Sequential([keras.Input((32, 32, 3))])
    listed.add(layers.Conv2D(32, 3, activation="relu"))
    listed.add(layers.MaxPooling2D(2))
    listed.add(layers.Conv2D(64, 3, activation="relu"))
    listed.add(layers.MaxPooling2D(2))
    listed.add(layers.Conv2D(64, 3, activation="relu"))
    listed.add(layers.Flatten())
    listed.add(layers.Dense(64, activation="relu"))
    listed.add(layers.Dense(10, activation="softmax"))
    return listed


def crash(action: Callable[[], object]) -> str:
    """Do what must fail, and return the line of the message that names the cause.

    Parameters
    ----------
    action : callable

    Returns
    -------
    str
        Kind of the error and the longest line of its message.

    Raises
    ------
    AssertionError
        If it does not fail: what a page says of it is no longer true.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    try:
        action()
    except (ValueError, AttributeError) as error:
        lines = COLOURS.sub("", str(error)).splitlines()
        return f"{type(error).__name__}: {max(lines, key=len)[:LONGEST]}"
    raise AssertionError("This works now: rewrite what the page says of it.")


def first_losses(
    images: np.ndarray, labels: np.ndarray, seeds: Sequence[int], steps: int = 10
) -> dict[str, list[float]]:
    """Train the source network for a few steps, with its scaling layer and without it.

    Parameters
    ----------
    images : ndarray, shape (N, 32, 32, 3), values 0 to 255
    labels : ndarray of int, shape (N,)
    seeds : sequence of int
        Both networks of a seed begin with the same weights and see the same batches.
    steps : int

    Returns
    -------
    dict of str to list of float
        ``"scaled"`` and ``"not scaled"`` to the mean loss over the steps, one number a seed.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    losses: dict[str, list[float]] = {"scaled": [], "not scaled": []}
    for seed in seeds:
        scaled = models.source_cnn(seed)
        bare = models.reseeded(keras.Sequential([keras.Input((32, 32, 3)), *scaled.layers[1:]]), seed)
        for name, built in (("scaled", scaled), ("not scaled", bare)):
            found = training.fit(built, images, labels, steps=steps, batch_size=64, points=1, seed=seed)
            losses[name].append(float(found.loss[0]))
    return losses
