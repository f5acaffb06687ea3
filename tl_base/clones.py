"""Copies of a network: built anew up to a cut, with fresh weights that a seed decides, or with all state of the origin.

Taught in: chapter 2 (Core concepts).
"""

import contextlib
import random
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tl_base.backend import keras, to_snake_case
from tl_base.graph import ModelError, free, graph_of, has_graph, nodes_of, operations_of, place, places, run


def clone(
    model: keras.Model, seed: int, layer: str | None = None, shape: tuple[int, ...] | None = None, whole: bool = False
) -> keras.Model:
    """Build a network anew up to a cut: the same graph without networks inside it, fresh layers of the same names.

    Parameters
    ----------
    model : keras.Model
    seed : int
        Decides the initial weights and the random layers: each is a fixed function of the seed and the layer's name.
    layer : str, optional
        The last layer to build, as in `place`.
    shape : tuple of int, optional
        Of one image, where the network leaves its size open.
    whole : bool
        Build all of it, its classifier too.

    Returns
    -------
    keras.Model

    Raises
    ------
    ModelError
        As `place`, or if a layer cannot be built from its configuration.
    """
    graph, names = graph_of(model), {id(op): name for name, op in operations_of(model).items()}
    nested = any(has_graph(node.operation) for node in nodes_of(graph))
    if not whole and (not nested or layer in places(graph)):  # nothing behind the cut is built, not for a moment
        layer, tensor = place(graph, layer)
        graph = keras.Model(graph.inputs, tensor, name=graph.name)
    given, origins = graph.inputs[0], origins_of(model)
    image = keras.Input(shape or given.shape[1:], dtype=given.dtype, name=free("image", "input_", names.values()))
    fresh: dict[int, keras.Operation] = {}

    def call(operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if id(operation) not in fresh:
            fresh[id(operation)] = _fresh(operation, names[id(operation)], seed, origins[id(operation)])
        return fresh[id(operation)](*args, **kwargs)

    built = keras.Model(image, run(graph, [image], call), name=model.name)
    return built if whole else keras.Model(image, place(built, layer)[1], name=model.name)


def reseeded(model: keras.Model, seed: int) -> keras.Model:
    """Clone a network with fresh weights that depend only on the seed and on each layer's name, or place without one.

    Two networks that share a layer start it from the same numbers: comparisons between them are paired. The statistics
    of a `Normalization` layer are no weights and are kept.

    Parameters
    ----------
    model : keras.Model
    seed : int

    Returns
    -------
    keras.Model
        Same architecture, new weights; of a functional one, networks inside it are opened.

    Raises
    ------
    ModelError
        If a layer cannot be built from its configuration.
    """
    if not isinstance(model, keras.Sequential):
        return clone(model, seed, whole=True)
    origins = origins_of(model)

    def fresh(layer: keras.Layer) -> keras.Layer:
        if has_graph(layer):
            return reseeded(layer, seed)
        return fresh_layer(layer, layer.name, seed, origins[id(layer)])

    return keras.models.clone_model(model, clone_function=fresh)


def _fresh(operation: keras.Operation, name: str, seed: int, origin: str) -> keras.Operation:
    """Return an operation without a past: a layer with new weights, or a copy of an operation that has none.

    A Lambda is copied too: Keras does not build one from its configuration unless all code is trusted.
    """
    if isinstance(operation, keras.Layer) and not isinstance(operation, keras.layers.Lambda):
        return fresh_layer(operation, name, seed, origin)
    made = object.__new__(type(operation))  # copy.copy would go through Keras's files
    made.__dict__.update(operation.__dict__ | {"name": name, "_inbound_nodes": [], "_outbound_nodes": []})
    return made


def fresh_layer(layer: keras.Layer, name: str, seed: int, origin: str | None = None) -> keras.Layer:
    """Build a layer anew, with initial weights that only the seed and the name decide.

    Parameters
    ----------
    layer : keras.Layer
    name : str
    seed : int
    origin : str, optional
        The name to draw by, as of `origins_of`; by default `name`.

    Returns
    -------
    keras.Layer
        Built if `layer` is. What a `Normalization` knows of the images is no weight, and stays.

    Raises
    ------
    ModelError
        If its class cannot build it from its configuration.
    """
    config, origin = _unseeded(layer.get_config()) | {"name": name}, origin or name
    if not layer._layers or isinstance(layer, keras.layers.RNN):  # one weight an initialiser
        for key, value in config.items():
            if key.endswith("initializer") and "seed" in (value or {}).get("config", {}):
                value["config"]["seed"] = zlib.crc32(f"{seed}/{origin}/{key}".encode())
    with _drawn_from(f"{seed}/{origin}"):  # the seeds of all other initialisers and of random layers
        try:
            made = type(layer).from_config(config)
            if layer.built and not made.built:
                made.build_from_config(layer.get_build_config())
        except Exception as error:
            raise ModelError(
                f"Layer {name!r} ({type(layer).__name__}) cannot be built from its configuration: {error}. Give its "
                "class a get_config() with all arguments of its constructor."
            ) from error
    if isinstance(layer, keras.layers.Normalization) and layer.built:
        copy_state(layer, made)
    made._origin = origin
    return made


def _unseeded(config: Any) -> Any:
    """Return a configuration without the seeds in it; they are drawn anew."""
    if isinstance(config, dict):
        return {key: None if key == "seed" else _unseeded(value) for key, value in config.items()}
    return [_unseeded(value) for value in config] if isinstance(config, list) else config


@contextlib.contextmanager
def _drawn_from(text: str) -> Iterator[None]:
    """Let Keras draw the seeds that nobody gave from a text: it takes them from Python's generator."""
    before = random.getstate()
    random.seed(zlib.crc32(text.encode()))
    try:
        yield
    finally:
        random.setstate(before)


def origins_of(model: keras.Model) -> dict[int, str]:
    """Say by which name each operation draws its initial weights: its own, or one that does not depend on the process.

    Keras numbers layers without a name through the whole process: the second network of a kernel has a ``conv2d_1``
    where the first has a ``conv2d``. Here such layers are numbered within their network.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    dict of int to str
        From ``id(operation)``. A layer of a copy keeps the name that its origin has in the whole network.
    """
    counts: Counter[str] = Counter()
    origins = {}
    for name, operation in operations_of(model).items():
        kind = to_snake_case(type(operation).__name__)
        if re.fullmatch(rf"{kind}(_\d+)?", operation.name):
            name = f"{kind}_{counts[kind]}" if counts[kind] else kind
            counts[kind] += 1
        origins[id(operation)] = getattr(operation, "_origin", name)
    return origins


def copy_state(source: keras.Layer, target: keras.Layer) -> None:
    """Copy all that a layer holds: weights, statistics of BatchNormalization and Normalization.

    Parameters
    ----------
    source, target : keras.Layer
        Of equal shapes.
    """
    target.set_weights(source.get_weights())
    for part in target._flatten_layers():
        if isinstance(part, keras.layers.Normalization):
            part.finalize_state()


def between(start: keras.Model, end: keras.Model, share: float) -> keras.Model:
    """Build a network whose layers hold the average of what those of two others hold.

    Parameters
    ----------
    start, end : keras.Model
        The same layers with other weights.
    share : float
        Of `end`: (1 − share) · start + share · end.

    Returns
    -------
    keras.Model
        What trained in `end` is ``trainable``.

    Raises
    ------
    ModelError
        If they have other layers.
    """
    built, theirs, ours = clone(end, 0, whole=True), operations_of(start), operations_of(end)
    shapes = [_shapes_of(operations) for operations in (theirs, ours)]
    if shapes[0] != shapes[1]:
        other = sorted({repr(name) for name, _ in shapes[0].items() ^ shapes[1].items()})
        raise ModelError(
            f"Only two states of one network can be averaged; these differ in {', '.join(other)}. Train both with the "
            "same cut, the same head and the same standardisation."
        )
    for name, layer in operations_of(built).items():
        if name in shapes[0]:
            copy_state(ours[name], layer)
            pairs = zip(theirs[name].get_weights(), ours[name].get_weights(), strict=True)
            layer.set_weights([(1 - share) * first + share * last for first, last in pairs])
            layer.trainable = ours[name].trainable
            copy_state(layer, layer)  # what a Normalization makes of its statistics
    return built


def _shapes_of(operations: dict[str, keras.Operation]) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Return the shapes of what each layer holds, by its name."""
    weighted = {name: op for name, op in operations.items() if isinstance(op, keras.Layer) and op.weights}
    return {name: tuple(tuple(weight.shape) for weight in layer.weights) for name, layer in weighted.items()}
