"""The first part of a network: copied, compared with its origin, extended, and run once for all steps of training."""

import functools
import importlib.metadata
import inspect
import itertools
import json
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from tl_base import clones, graph, kept, running
from tl_base.backend import keras

_alike: set[str] = set()  # what `check_copy` compared
ACTIVATIONS = 2**30  # bytes of what a frozen part may make of all images at once


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

    Notes
    -----
    Layer by layer takes half a second with a large network: what was found alike once in a process is not compared
    again, if all layers are Keras's own.
    """
    known = _key(source, images.dtype.str, images.shape[1:])
    known = known and kept.digest([known.encode(), repr((last(copy), sorted(others))).encode(), images.tobytes()])
    if known in _alike:
        return
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
    if known:
        _alike.add(known)


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
    network: keras.Model,
    layers: Sequence[keras.Layer],
    still: Collection[str],
    changing: Collection[str] = (),
    count: int = 0,
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
    count : int
        Images whose activations are to fit into a gigabyte, `ACTIVATIONS`. Where they do not, the cut is the last
        earlier one where they do.

    Returns
    -------
    (keras.Model or None, keras.Model)
        As of `graph.split_before`. None too where some layer is frozen, but none before the cut that fits: scaled
        images alone take four times the memory of images.
    """
    trained = {layer.name for layer in layers if layer.trainable}
    varying = {operation.name for operation in network.operations if running.varies(operation)}
    named = trained | varying.difference(still) | set(changing)
    first, rest = graph.split_before(network, named, ACTIVATIONS / max(count, 1))
    far, _ = graph.split_before(network, named)
    if first and far and far.weights and not first.weights:
        return None, network
    return first, rest


def runner(network: keras.Model, label: str | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """Return what runs a frozen network over images, each of them once: what it makes of an image is kept, see `kept`.

    Parameters
    ----------
    network : keras.Model
        Its weights do not change any more.
    label : str, optional
        Of a progress bar, as in `running.compiled`.

    Returns
    -------
    callable
        Images ``(N, ...)`` of any numeric dtype to outputs ``(N, ...)``, float32; as of `running.outputs`, but for the
        rounding of the last digits.
    """
    run, key_of = running.compiled(network, label=label, settled=kept.folder() is not None), functools.cache(_key)

    def over(images: np.ndarray) -> np.ndarray:
        running.check_images(network, np.shape(images)[1:])
        key = key_of(network, images.dtype.str, images.shape[1:]) if len(images) and kept.folder() else None
        return run(images) if key is None else kept.rows(key, images, network.outputs[0].shape[1:], run)

    return over


def _key(network: keras.Model, dtype: str, shape: tuple[int, ...]) -> str | None:
    """Digest all that decides what a network makes of an image: structure, weights, statistics, versions.

    None where that is not all, because the network holds code that is not Keras's; where it has no weights, so that
    there is little to save; and where the shape of its outputs is open.
    """
    operations = graph.operations_of(network).values()
    if not network.weights or None in network.outputs[0].shape[1:] or not all(map(_is_keras, operations)):
        return None
    versions = [importlib.metadata.version(name) for name in ("keras", "tensorflow")]
    config = json.loads(json.dumps(network.get_config(), default=keras.saving.serialize_keras_object))
    facts = kept.nameless(config, ("seed", "trainable")), repr((versions, dtype, shape)).encode()
    values = [np.ascontiguousarray(weight.numpy()) for weight in network.weights]
    return kept.digest([*facts, *(repr(v.shape).encode() + v.dtype.str.encode() + v.tobytes() for v in values)])


def _is_keras(operation: keras.Operation) -> bool:
    """Tell whether an operation is one of Keras's, with nobody else's function in it: its configuration says it all."""
    parts = operation._flatten_layers() if isinstance(operation, keras.Layer) else [operation]
    for part in parts:
        inside = [type(part), *(value for value in vars(part).values() if inspect.isfunction(value))]
        if isinstance(part, keras.layers.Lambda) or any(not each.__module__.startswith("keras.") for each in inside):
            return False
    return True


def answers(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """Run a trained network over images; what its frozen layers make of them is kept.

    Parameters
    ----------
    network : keras.Model
        Layers that trained are ``trainable``. Where the first layers are not, they are the frozen part, and it is cut
        as it was in training.
    images : ndarray, shape (N, ...), any numeric dtype

    Returns
    -------
    ndarray, shape (N, ...), float32
        As of `running.outputs`, but for the rounding of the last digits.
    """
    running.check_images(network, np.shape(images)[1:])
    whole = graph.opened(network) if kept.folder() else network
    layers = graph.weight_layers(whole)
    frozen = {layer.name for layer in itertools.takewhile(lambda layer: not layer.trainable, layers)}
    if not frozen or not kept.folder():
        return running.outputs(network, images)
    behind = graph.following(whole, frozen)
    normal = keras.layers.Normalization
    scaled = {op.name for op in whole.operations if isinstance(op, normal) and op.name in behind}  # by one training
    first, rest = split(whole, layers, running.silent_noise(whole, frozen), scaled, len(images))
    if first is None or _key(first, images.dtype.str, images.shape[1:]) is None:
        return running.outputs(network, images)
    return running.outputs(rest, runner(first)(images))
