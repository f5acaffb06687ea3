"""The first part of a network: copied, compared with its origin, extended, and run once for all steps of training."""

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from tl_base import clones, graph, running
from tl_base.backend import keras


def trunk(network: keras.Model, layer: str | None, seed: int, image_shape: tuple[int, ...] | None) -> keras.Model:
    """Build a network anew up to a cut, with fresh weights.

    Parameters
    ----------
    network, layer, seed, image_shape
        As of `clones.clone`.

    Returns
    -------
    keras.Model

    Raises
    ------
    ModelError
        As of `clones.clone`, or if the network works in half precision or the number of its features is open.
    """
    graph.check_precision(network)
    built = clones.clone(network, seed, layer, image_shape)
    shape = tuple(built.output.shape)
    if len(shape) < 2 or None in shape[1:]:
        raise graph.ModelError(
            f"After {last(built)!r} the network {network.name!r} gives features of shape {shape}; expected a fixed "
            "number for each image. Give image_shape, or cut after a layer that pools them."
        )
    return built


def last(network: keras.Model) -> str:
    """Name the operation that a network ends in."""
    return graph.nodes_of(network)[-1].operation.name


def copy_layers(source: keras.Model, layers: Iterable[keras.Layer]) -> None:
    """Copy the state of those layers of a source that have the names of some others.

    Parameters
    ----------
    source : keras.Model
    layers : iterable of keras.Layer
        Changed in place.
    """
    origins = graph.operations_of(source)
    for layer in layers:
        clones.copy_state(origins[layer.name], layer)


def extended(network: keras.Model, layers: Iterable[keras.Layer], seed: int, name: str) -> keras.Model:
    """Put layers behind a network.

    Parameters
    ----------
    network : keras.Model
    layers : iterable of keras.Layer
        Built anew: where a name is taken, ``new_`` stands before it.
    seed : int
        Decides their initial weights.
    name : str
        Of the whole.

    Returns
    -------
    keras.Model
        It shares the layers of `network`.
    """
    taken, x = {operation.name for operation in network.operations}, network.output
    for layer in layers:
        x = clones.fresh_layer(layer, graph.free(layer.name, "new_", taken), seed)(x)
    return keras.Model(network.input, x, name=name)


def check_copy(
    source: keras.Model, copy: keras.Model, others: Collection[str], images: np.ndarray, kind: type[Exception]
) -> None:
    """Compare, layer by layer, what a network and a copy make of a few images; where they differ, raise an error.

    Parameters
    ----------
    source : keras.Model
    copy : keras.Model
        Opened; its layers have the names of the source's.
    others : collection of str
        Layers that have weights of their own: these, and what lies behind them, are not compared.
    images : ndarray, shape (N, ...)
    kind : type
        Of the error. It is raised where values are not finite, too.
    """
    expected, copied = running.values(source, images), running.values(copy, images)
    other = graph.following(copy, others)
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
    return frozen | running.silent_noise(network, frozen) | steady


def split(
    network: keras.Model, layers: Sequence[keras.Layer], still: Collection[str], changing: Collection[str] = ()
) -> "tuple[keras.Model | None, keras.Model]":
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
    varying = {operation.name for operation in network.operations if running.varies(operation)}
    return graph.split_before(network, trained | varying.difference(still) | set(changing))
