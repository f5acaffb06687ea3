"""The first part of a network: whether a copy does what its origin does, and how far all steps of training share it."""

from collections.abc import Collection, Sequence

import numpy as np

from tl_base import graph
from tl_base.backend import keras


def check_copy(
    source: keras.Model, copy: keras.Model, others: Collection[str], images: np.ndarray, kind: type[Exception]
) -> None:
    """Compare, layer by layer, what a network and a copy of it make of a few images.

    Parameters
    ----------
    source : keras.Model
    copy : keras.Model
        Opened; its layers have the names of the source's.
    others : collection of str
        Layers that have weights of their own: these, and what lies behind them, are not compared.
    images : ndarray, shape (N, ...)
    kind : type
        Of the error.

    Raises
    ------
    kind
        If a layer puts out other values, or some that are not finite.
    """
    expected, copied, other = graph.values(source, images), graph.values(copy, images), graph.following(copy, others)
    for name in [name for name in copied if name not in other]:
        for theirs, ours in zip(expected[name], copied[name], strict=False):
            size = float(np.abs(theirs).max(initial=0))
            if not np.isfinite(size):
                raise kind(
                    f"After {name!r} the source gives values that are not finite for these images. Look at its weights "
                    "and at the range of values that it expects."
                )
            apart = float(np.abs(ours - theirs).max(initial=0))
            if not apart <= 1e-4 * size + 1e-6:
                raise kind(
                    f"The copy of {source.name!r} gives other features than the source: after {name!r} they differ by "
                    f"{apart:.3g}, where the largest is {size:.3g}. That layer draws random numbers outside training, "
                    "or holds a state that is neither a weight nor in its get_config(). Replace it by a layer of "
                    "Keras, or put its state into weights."
                )


def still(network: keras.Model, layers: Sequence[keras.Layer], kept: int) -> set[str]:
    """Name the layers that run as in inference while others train.

    Parameters
    ----------
    network : keras.Model
        Opened.
    layers : sequence of keras.Layer
        Those of the network that hold weights, in the order in which they run.
    kept : int
        So many of the first of them keep their BatchNormalization's statistics.

    Returns
    -------
    set of str
        All frozen layers, the noise before them, and those that keep their statistics.
    """
    frozen = {layer.name for layer in layers if not layer.trainable}
    normal = keras.layers.BatchNormalization
    steady = {layer.name for layer in layers[:kept] if any(isinstance(p, normal) for p in layer._flatten_layers())}
    return frozen | graph.silent_noise(network, frozen) | steady


def split(
    network: keras.Model, layers: Sequence[keras.Layer], still: Collection[str], changing: Collection[str] = ()
) -> tuple[keras.Model | None, keras.Model]:
    """Cut a network before the first layer that changes, or puts out something else, in a step of training.

    Parameters
    ----------
    network, layers
        As for `still`.
    still : collection of str
        Layers that run as in inference.
    changing : collection of str
        More layers that change.

    Returns
    -------
    (keras.Model or None, keras.Model)
        As of `graph.split_before`.
    """
    trained = {layer.name for layer in layers if layer.trainable}
    varying = {operation.name for operation in network.operations if graph.varies(operation)}
    return graph.split_before(network, trained | varying.difference(still) | set(changing))
