"""The graph of a network: opened, cut where all passes through one tensor, copied with its state, run layer by layer.

Any functional or Sequential Keras model has one: operations, and the tensors that lead from one to the next. Networks
inside a network are opened, so that their layers are layers of the whole. Keras offers the graph itself only under
names with an underscore; they are used in this module alone.
Taught in: chapter 2 (Core concepts).
"""

import contextlib
import itertools
import random
import re
import zlib

from tl_base.backend import keras, tf, to_snake_case

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


class ModelError(ValueError):
    """A network, a layer or a checkpoint is not what was asked for."""


_FUNCTIONAL = type(keras.Model(*[keras.Input((1,))] * 2))


def has_graph(operation):
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


def graph_of(model):
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


def _functional(model):
    """Return a network that was built as a functional one, whose nodes can be walked."""
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs, model.outputs, name=model.name)
    return model


def check_precision(model):
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


def operations_of(model):
    """Name all operations of a network, those of networks inside it too, in the order in which they run.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    dict of str to keras.Operation
        A name that stands twice gets that of the inner network before it.
    """
    found, seen = {}, set()

    def collect(network, before):
        for node in nodes_of(_functional(network)):
            operation = node.operation
            if id(operation) in seen:
                continue
            seen.add(id(operation))
            if has_graph(operation):
                collect(operation, f"{before}{operation.name}_")
            else:
                found[free(operation.name, before, found)] = operation

    graph_of(model)
    collect(model, "")
    return found


def origins_of(model):
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
    counts, found = {}, {}
    for name, operation in operations_of(model).items():
        kind = to_snake_case(type(operation).__name__)
        if re.fullmatch(rf"{kind}(_\d+)?", operation.name):
            place = counts[kind] = counts.get(kind, -1) + 1
            name = f"{kind}_{place}" if place else kind
        found[id(operation)] = getattr(operation, "_origin", name)
    return found


def free(name, before, taken):
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
    return next(each for each in candidates if each not in taken)


def layers_of(model):
    """List the layers of a network, those of networks inside it too, in the order in which they run.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    list of keras.Layer
    """
    return [operation for operation in operations_of(model).values() if isinstance(operation, keras.Layer)]


def nodes_of(graph):
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


def run(model, tensors, call):
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

    def through(operation, *args, **kwargs):
        if not has_graph(operation):
            return call(operation, args, kwargs)
        return run(operation, keras.tree.flatten([*args, *kwargs.values()][0]), call)

    return _functional(model)._run_through_graph(tensors, call_fn=through)


def _trains(operation):
    """Tell whether an operation does something else in training than in inference."""
    return getattr(operation, "_call_has_training_arg", False)


def opened(model):
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


def places(graph):
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
    alive, found, called = {id(x) for x in graph.inputs}, {}, {}
    for position, node in enumerate(nodes):
        called[node.operation.name] = called.get(node.operation.name, 0) + 1
        alive |= {id(x) for x in node.output_tensors}
        alive = {x for x in alive if last_use.get(x, -1) > position}
        if len(node.output_tensors) == 1 and alive == {id(node.output_tensors[0])}:
            found[node.operation.name] = node.output_tensors[0]
    return {name: tensor for name, tensor in found.items() if called[name] == 1}


def place(graph, layer=None):
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
    found = places(graph)
    if layer is None:
        layer = _before_classifier(graph, list(found))
    if layer in found:
        return layer, found[layer]
    names = list(dict.fromkeys(node.operation.name for node in nodes_of(graph)))
    if layer not in names:
        raise ModelError(f"The network {graph.name!r} has no layer {layer!r}. Its layers are: {listed(names)}.")
    order = [name for name in names if name in found or name == layer]
    near = order[max(order.index(layer) - 6, 0) : order.index(layer) + 7]
    near.remove(layer)
    raise ModelError(
        f"{graph.name!r} cannot be cut after {layer!r}: other branches pass by it, or it is called more than once. "
        f"Near it, all passes through one tensor after: {listed(near)}. models.places(model) lists every place."
    )


def listed(names, most=40):
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


def _before_classifier(graph, names):
    """Choose the place to cut at where nobody named one."""
    nodes = {node.operation.name: node for node in nodes_of(graph)}
    pooled = [i for i, name in enumerate(names) if isinstance(nodes[name].operation, POOLING)]
    dense = [
        i
        for i, name in enumerate(names)
        if _is_dense(nodes[name]) or (pooled and i > pooled[-1] and _is_pointwise(nodes[name]))
    ]

    def between(positions):
        return all(i in dense or isinstance(nodes[names[i]].operation, BETWEEN) for i in positions)

    if not dense or not between(range(dense[-1], len(names))):
        return names[-1]  # there is no classifier
    first = next(i for i in dense if between(range(i, dense[-1])))
    for start in (first, dense[-1]):  # a network of dense layers alone is cut before the last one
        end = start
        while end and isinstance(nodes[names[end - 1]].operation, SHAPING):
            end -= 1
        upto = list(nodes)[: list(nodes).index(names[end - 1]) + 1] if end else []
        if any(_has_weights(nodes[name].operation) for name in upto):
            return names[end - 1]
    if end:
        return names[end - 1]
    raise ModelError(f"{graph.name!r} has no layer before its classifier. Begin it with one, such as Rescaling.")


def _has_weights(operation):
    return isinstance(operation, keras.Layer) and bool(operation.weights)


def _is_dense(node):
    return isinstance(node.operation, keras.layers.Dense)


def _is_pointwise(node):
    """Tell whether a layer is a convolution of a map of one pixel, which sees all features at once as a dense layer."""
    return isinstance(node.operation, keras.layers.Conv2D) and tuple(node.output_tensors[0].shape[1:3]) == (1, 1)


def clone(model, seed, layer=None, shape=None, whole=False):
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
    shape, dtype = shape or graph.inputs[0].shape[1:], graph.inputs[0].dtype
    image, fresh = keras.Input(shape, dtype=dtype, name=free("image", "input_", names.values())), {}

    origins = origins_of(model)

    def call(operation, args, kwargs):
        if id(operation) not in fresh:
            fresh[id(operation)] = _fresh(operation, names[id(operation)], seed, origins[id(operation)])
        return fresh[id(operation)](*args, **kwargs)

    built = keras.Model(image, run(graph, [image], call), name=model.name)
    return built if whole else keras.Model(image, place(built, layer)[1], name=model.name)


def _fresh(operation, name, seed, origin):
    """Return an operation without a past: a layer with new weights, or a copy of an operation that has none.

    A Lambda is copied too: Keras does not build one from its configuration unless all code is trusted.
    """
    if isinstance(operation, keras.Layer) and not isinstance(operation, keras.layers.Lambda):
        return fresh_layer(operation, name, seed, origin)
    made = object.__new__(type(operation))  # copy.copy would go through Keras's files
    made.__dict__.update(operation.__dict__ | {"name": name, "_inbound_nodes": [], "_outbound_nodes": []})
    return made


def fresh_layer(layer, name, seed, origin=None):
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


def _unseeded(config):
    """Return a configuration without the seeds in it; they are drawn anew."""
    if isinstance(config, dict):
        return {key: None if key == "seed" else _unseeded(value) for key, value in config.items()}
    return [_unseeded(value) for value in config] if isinstance(config, list) else config


@contextlib.contextmanager
def _drawn_from(text):
    """Let Keras draw the seeds that nobody gave from a text: it takes them from Python's generator."""
    before = random.getstate()
    random.seed(zlib.crc32(text.encode()))
    try:
        yield
    finally:
        random.setstate(before)


def copy_state(source, target):
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


def learned(layer):
    """List what training may change in a layer, frozen or not: weights and biases, no moving statistics.

    Parameters
    ----------
    layer : keras.Layer

    Returns
    -------
    list of keras.Variable
    """
    return [variable for part in layer._flatten_layers() for variable in part._trainable_variables]


def varies(operation):
    """Tell whether a layer without weights gives other outputs in every step of training: augmentation, noise.

    Parameters
    ----------
    operation : keras.Operation

    Returns
    -------
    bool
        True for layers that hold a generator of random numbers, and for those of other authors that ask whether they
        are in training.
    """
    if not isinstance(operation, keras.Layer) or operation.weights:
        return False
    foreign = not type(operation).__module__.startswith("keras.")
    return bool(operation.variables) or (foreign and _trains(operation))


def values(model, images):
    """Run a network in inference mode, operation by operation, and keep what each puts out.

    Parameters
    ----------
    model : keras.Model
    images : ndarray or tensor, shape (N, ...)
        A few.

    Returns
    -------
    dict of str to list of ndarray
        Names as in `operations_of`; one entry a call. Operations with several outputs are left out.
    """
    names, found = {id(op): name for name, op in operations_of(model).items()}, {}

    def call(operation, args, kwargs):
        output = operation(*args, **(kwargs | {"training": False} if _trains(operation) else kwargs))
        if not isinstance(output, (list, tuple, dict)):
            found.setdefault(names[id(operation)], []).append(keras.ops.convert_to_numpy(output))
        return output

    run(model, [tf.cast(images, graph_of(model).inputs[0].dtype)], call)
    return found


def following(graph, named):
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
    reached, found = set(), set()
    for node in nodes_of(graph):
        if node.operation.name in named or any(id(x) in reached for x in node.input_tensors):
            found.add(node.operation.name)
            reached |= {id(x) for x in node.output_tensors}
    return found


def silent_noise(graph, frozen):
    """Name the noise that regularises frozen layers alone: it is off, as everything in a frozen part.

    Parameters
    ----------
    graph : keras.Model
        Opened.
    frozen : collection of str
        Names of layers with weights.

    Returns
    -------
    set of str
    """
    operations = [node.operation for node in nodes_of(graph)]
    last = max((i for i, operation in enumerate(operations) if operation.name in frozen), default=-1)
    return {operation.name for operation in operations[: last + 1] if isinstance(operation, NOISE)}


def split_before(graph, named):
    """Cut a network at the last place before any of some operations runs.

    Parameters
    ----------
    graph : keras.Model
        Opened.
    named : collection of str

    Returns
    -------
    (keras.Model or None, keras.Model)
        The part before, None where there is no place, and the rest. They share the network's layers.
    """
    found, before = places(graph), None
    for node in nodes_of(graph):
        if node.operation.name in named:
            break
        before = found.get(node.operation.name, before)
    if before is None:
        return None, graph
    return keras.Model(graph.inputs, before), keras.Model(before, graph.outputs[0])


class Runner(keras.Layer):
    """A network in training, some of whose layers run as in inference.

    Parameters
    ----------
    network : keras.Model
    still : collection of str
        Names of layers: BatchNormalization uses its stored statistics, Dropout is off.
    """

    def __init__(self, network, still=()):
        super().__init__()
        self.network, self.still = network, frozenset(still)
        self.built = True

    def call(self, inputs):
        """Run the network. What a graph says of training is not asked: Keras notes False where nobody said anything."""
        return run(self.network, [inputs], self._step)

    def _step(self, operation, args, kwargs):
        if _trains(operation):
            kwargs = kwargs | {"training": operation.name not in self.still}
        return operation(*args, **kwargs)
