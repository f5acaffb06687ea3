"""The graph of a network: opened, read, and cut where all passes through one tensor.

Any functional or Sequential Keras model has one: operations, and the tensors that lead from one to the next. Networks
inside a network are opened, so that their layers are layers of the whole. Keras offers the graph itself only under
names with an underscore; they are used in `graph`, `clones` and `running` alone.
Taught in: chapter 2 (Core concepts).
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Any

from tl_base.backend import keras

# Noise that regularises the layers behind it. In a frozen part it is off, as with Keras's `base(x, training=False)`.
NOISE = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.AlphaDropout,
)
SHAPING = (keras.layers.Flatten, keras.layers.Reshape, *NOISE)
POOLING = (
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
)
BETWEEN = (  # the dense layers of a classifier
    keras.layers.Activation,
    keras.layers.Softmax,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.BatchNormalization,
    *SHAPING,
)
Node = Any  # a call of an operation, as Keras keeps it: with operation, input_tensors and output_tensors
Call = Callable[[keras.Operation, tuple[Any, ...], dict[str, Any]], Any]  # operation, args, kwargs to outputs


class ModelError(ValueError):
    """A network, a layer or a checkpoint is not what was asked for."""


_FUNCTIONAL = type(keras.Model(*[keras.Input((1,))] * 2))


def has_graph(operation: keras.Operation) -> bool:
    """Tell whether an operation is a network that can be opened: a Sequential or a functional model.

    Parameters
    ----------
    operation : keras.Operation

    Returns
    -------
    bool
        False for a model whose class has a ``call`` of its own: what it does cannot be read from a graph.
    """
    plain = isinstance(operation, (keras.Sequential, _FUNCTIONAL))
    return plain and type(operation).call in (keras.Sequential.call, _FUNCTIONAL.call)


def graph_of(model: keras.Model) -> keras.Model:
    """Return a model as a functional one that shares its layers; refuse what has no graph, or none that fits.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    keras.Model

    Raises
    ------
    ModelError
        If it is no Keras model, was not built, is written as a class with a `call` of its own, or has several inputs or
        outputs.
    """
    if not isinstance(model, keras.Model):
        raise ModelError(f"Expected a keras.Model, found {type(model).__name__}. Build or load the network first.")
    if isinstance(model, keras.Sequential) and model._functional is None:
        raise ModelError(
            f"{model.name!r} is not built: it does not know the shape of its images. Begin it with "
            "keras.Input((height, width, channels))."
        )
    if not has_graph(model):
        raise ModelError(
            f"{model.name!r} is written as a class with its own call(), so its layers cannot be followed from images "
            "to outputs. Build it with the functional API: keras.Model(inputs, outputs)."
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(
            f"{model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; expected one of each. "
            "Choose: keras.Model(image, outputs[0]), where every input is computed from one image."
        )
    return _functional(model)


def _functional(model: keras.Model) -> keras.Model:
    """Return a network that was built as a functional one, whose nodes can be walked."""
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs, model.outputs, name=model.name)
    return model


def check_precision(model: keras.Model) -> None:
    """Refuse networks that compute in half precision: features and their comparison would be rounded.

    Parameters
    ----------
    model : keras.Model

    Raises
    ------
    ModelError
        If a layer with weights has another dtype policy than float32.
    """
    for layer in layers_of(model):
        policy = layer.dtype_policy.name
        if layer.weights and policy != "float32":
            raise ModelError(
                f"Layer {layer.name!r} of {model.name!r} works in {policy}; expected float32 throughout. Build the "
                'network after keras.config.set_dtype_policy("float32") and load its weights.'
            )


def operations_of(model: keras.Model) -> dict[str, keras.Operation]:
    """Name all operations of a network, those of networks inside it too, in the order in which they run.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    dict of str to keras.Operation
        A name that stands twice gets that of the inner network before it.
    """
    named: dict[str, keras.Operation] = {}
    seen: set[int] = set()

    def collect(network: keras.Model, before: str) -> None:
        for node in nodes_of(_functional(network)):
            operation = node.operation
            if id(operation) in seen:
                continue
            seen.add(id(operation))
            if has_graph(operation):
                collect(operation, f"{before}{operation.name}_")
            else:
                named[free(operation.name, before, named)] = operation

    graph_of(model)
    collect(model, "")
    return named


def free(name: str, before: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: as it is, with another before it, or with a number behind it.

    Parameters
    ----------
    name, before : str
    taken : collection of str

    Returns
    -------
    str
    """
    candidates = itertools.chain((name, before + name), (f"{before}{name}_{i}" for i in itertools.count(2)))
    return next(candidate for candidate in candidates if candidate not in taken)


def layers_of(model: keras.Model) -> list[keras.Layer]:
    """List the layers of a network, those of networks inside it too, in the order in which they run.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    list of keras.Layer
    """
    return [operation for operation in operations_of(model).values() if isinstance(operation, keras.Layer)]


def weight_layers(model: keras.Model) -> list[keras.Layer]:
    """List the layers that hold weights, input first: the layers that ``copy`` and ``freeze`` count.

    Parameters
    ----------
    model : keras.Model
        Networks inside it are opened: their layers count one by one.

    Returns
    -------
    list of keras.Layer
        `Normalization` is left out: what it holds are statistics of the images, not weights.
    """
    weighted = [layer for layer in layers_of(model) if layer.weights]
    return [layer for layer in weighted if not isinstance(layer, keras.layers.Normalization)]


def find_layer(model: keras.Model, name: str) -> keras.Layer:
    """Return the layer of that name.

    Parameters
    ----------
    model : keras.Model
    name : str

    Returns
    -------
    keras.Layer
        One of a network inside it, if no other has the name.

    Raises
    ------
    ModelError
        If no layer has the name; the message lists the names.
    """
    named = operations_of(model)
    if name not in named:
        raise ModelError(f"The network {model.name!r} has no layer {name!r}. Its layers are: {listed(named)}.")
    return named[name]


def learned(layer: keras.Layer) -> list[keras.Variable]:
    """List what training may change in a layer, frozen or not: weights and biases, no moving statistics.

    Parameters
    ----------
    layer : keras.Layer

    Returns
    -------
    list of keras.Variable
    """
    return [variable for part in layer._flatten_layers() for variable in part._trainable_variables]


def nodes_of(graph: keras.Model) -> list[Node]:
    """List the calls of operations in the order in which they run, inputs left out.

    Parameters
    ----------
    graph : keras.Model
        Functional.

    Returns
    -------
    list of node
        With ``operation``, ``input_tensors`` and ``output_tensors``.
    """
    by_depth = graph._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth] if not node.is_input]


def run(model: keras.Model, tensors: list[Any], call: Call) -> Any:
    """Run a graph on other tensors, networks inside it opened.

    Parameters
    ----------
    model : keras.Model
    tensors : list
        One an input.
    call : callable
        ``(operation, args, kwargs)`` to outputs.

    Returns
    -------
    tensor, or whatever structure the model's outputs have
    """

    def through(operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        if not has_graph(operation):
            return call(operation, args, kwargs)
        return run(operation, keras.tree.flatten([*args, *kwargs.values()][0]), call)

    return _functional(model)._run_through_graph(tensors, call_fn=through)


def opened(model: keras.Model) -> keras.Model:
    """Return a network without networks inside it, which shares the layers of `model`.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    keras.Model

    Raises
    ------
    ModelError
        As `graph_of`, or if two layers have one name.
    """
    graph = graph_of(model)
    if not any(has_graph(node.operation) for node in nodes_of(graph)):
        return graph
    given = graph.inputs[0]
    name = free("image", "input_", operations_of(graph))
    image = keras.Input(batch_shape=given.shape, dtype=given.dtype, name=name)
    try:
        return keras.Model(image, run(graph, [image], lambda op, args, kwargs: op(*args, **kwargs)), name=model.name)
    except ValueError as error:
        raise ModelError(
            f"{model.name!r} cannot be opened: a layer has the name of another one in a network inside it ({error}). "
            "Give each a name of its own."
        ) from error


def places(graph: keras.Model) -> dict[str, keras.KerasTensor]:
    """Find where a network can be cut: where all that goes from the images to the outputs passes through one tensor.

    Parameters
    ----------
    graph : keras.Model
        Opened.

    Returns
    -------
    dict of str to KerasTensor
        Name of the operation to its output, in the order in which they run. An operation that is called twice is no
        place: its name would mean two.
    """
    nodes = nodes_of(graph)
    last_use = {id(x): position for position, node in enumerate(nodes) for x in node.input_tensors}
    last_use |= {id(x): len(nodes) for x in graph.outputs}
    alive = {id(x) for x in graph.inputs}
    narrow: dict[str, keras.KerasTensor] = {}
    called = Counter(node.operation.name for node in nodes)
    for position, node in enumerate(nodes):
        alive |= {id(x) for x in node.output_tensors}
        alive = {x for x in alive if last_use.get(x, -1) > position}
        if len(node.output_tensors) == 1 and alive == {id(node.output_tensors[0])}:
            narrow[node.operation.name] = node.output_tensors[0]
    return {name: tensor for name, tensor in narrow.items() if called[name] == 1}


def place(graph: keras.Model, layer: str | None = None) -> tuple[str, keras.KerasTensor]:
    """Return the tensor at which to cut a network.

    Parameters
    ----------
    graph : keras.Model
        Opened.
    layer : str, optional
        By default the last place before the classifier: before the last dense layers and what lies between them, and
        before the layer that flattens for them.

    Returns
    -------
    str, KerasTensor

    Raises
    ------
    ModelError
        If no layer has the name, or it is no place; the message names the places.
    """
    cuts = places(graph)
    if layer is None:
        layer = _before_classifier(graph, list(cuts))
    if layer in cuts:
        return layer, cuts[layer]
    find_layer(graph, layer)  # says which layers there are
    order = [name for name in operations_of(graph) if name in cuts or name == layer]
    near = order[max(order.index(layer) - 6, 0) : order.index(layer) + 7]
    near.remove(layer)
    raise ModelError(
        f"{graph.name!r} cannot be cut after {layer!r}: other branches pass by it, or it is called more than once. "
        f"Near it, all passes through one tensor after: {listed(near)}. models.places(model) lists every place."
    )


def listed(names: Iterable[str], most: int = 40) -> str:
    """Write names for a message; of very many only the first and the last.

    Parameters
    ----------
    names : iterable of str
    most : int

    Returns
    -------
    str
    """
    names = list(names)
    if len(names) > most:
        names = [*names[: most // 2], f"… {len(names) - most} more …", *names[-(most // 2) :]]
    return ", ".join(names)


def _before_classifier(graph: keras.Model, names: list[str]) -> str:
    """Choose the place to cut at where nobody named one."""
    nodes = {node.operation.name: node for node in nodes_of(graph)}
    cuts = [nodes[name] for name in names]
    pooled = max((i for i, node in enumerate(cuts) if isinstance(node.operation, POOLING)), default=len(cuts))
    dense = [
        i
        for i, node in enumerate(cuts)
        if isinstance(node.operation, keras.layers.Dense) or (i > pooled and _is_pointwise(node))
    ]

    def between(positions: Iterable[int]) -> bool:
        return all(i in dense or isinstance(cuts[i].operation, BETWEEN) for i in positions)

    if not dense or not between(range(dense[-1], len(cuts))):
        return names[-1]  # there is no classifier
    first = next(i for i in dense if between(range(i, dense[-1])))
    for start in (first, dense[-1]):  # a network of dense layers alone is cut before the last one
        end = start
        while end and isinstance(cuts[end - 1].operation, SHAPING):
            end -= 1
        upto = list(nodes)[: list(nodes).index(names[end - 1]) + 1] if end else []
        if any(getattr(nodes[name].operation, "weights", None) for name in upto):
            return names[end - 1]
    if end:
        return names[end - 1]
    raise ModelError(f"{graph.name!r} has no layer before its classifier. Begin it with one, such as Rescaling.")


def _is_pointwise(node: Node) -> bool:
    """Tell whether a layer is a convolution of a map of one pixel, which sees all features at once as a dense layer."""
    return isinstance(node.operation, keras.layers.Conv2D) and tuple(node.output_tensors[0].shape[1:3]) == (1, 1)


def following(graph: keras.Model, named: Collection[str]) -> set[str]:
    """Name the operations that lie behind any of some others, with these.

    Parameters
    ----------
    graph : keras.Model
        Opened.
    named : collection of str

    Returns
    -------
    set of str
    """
    reached: set[int] = set()
    behind = set()
    for node in nodes_of(graph):
        if node.operation.name in named or any(id(x) in reached for x in node.input_tensors):
            behind.add(node.operation.name)
            reached |= {id(x) for x in node.output_tensors}
    return behind


def split_before(
    graph: keras.Model, named: Collection[str], most: float = math.inf
) -> "tuple[keras.Model | None, keras.Model]":
    """Cut a network at the last place before any of some operations runs.

    Parameters
    ----------
    graph : keras.Model
        Opened.
    named : collection of str
    most : float
        Bytes that the activations of one image may take at the cut, in float32.

    Returns
    -------
    (keras.Model or None, keras.Model)
        The part before, None where there is no place, and the rest. They share the network's layers.
    """
    cuts, before = places(graph), None
    if most < math.inf:
        cuts = {name: x for name, x in cuts.items() if 4 * math.prod(side or math.inf for side in x.shape[1:]) <= most}
    for node in nodes_of(graph):
        if node.operation.name in named:
            break
        before = cuts.get(node.operation.name, before)
    if before is None:
        return None, graph
    return keras.Model(graph.inputs, before), keras.Model(before, graph.outputs[0])
