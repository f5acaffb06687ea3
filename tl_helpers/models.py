"""The source networks: build them, load them, cut them, freeze them, describe them.

Taught in: chapter 2 (Core concepts) and chapter 4 (Worked example).
"""

import functools
import json
import zipfile
from importlib import resources
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from tl_base import files, graph
from tl_base.backend import keras, tf
from tl_base.graph import ModelError

IMAGE_SHAPE = (32, 32, 3)


def source_cnn(seed=0, classes=10):
    """Build the untrained source network: three convolutions and two dense layers.

    Parameters
    ----------
    seed : int
        Every layer's initial weights are a fixed function of the seed and the layer's name.
    classes : int
        Number of outputs; 10 gives 122,570 parameters.

    Returns
    -------
    keras.Sequential
        Images ``(N, 32, 32, 3)`` with values 0 to 255, any dtype, to logits ``(N, classes)``, float32. The scaling
        to [0, 1] is the first layer, so that nobody can forget it. Layers: rescale, conv1, pool1, conv2, pool2,
        conv3, flatten, dense, output.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE, name="image"),
            layers.Rescaling(1 / 255, name="rescale"),
            layers.Conv2D(32, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(64, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool2"),
            layers.Conv2D(64, 3, activation="relu", name="conv3"),
            layers.Flatten(name="flatten"),
            layers.Dense(64, activation="relu", name="dense"),
            layers.Dense(classes, name="output"),
        ],
        name="source_cnn",
    )
    return reseeded(model, seed)


def source_rnn(seed=0, classes=10):
    """Build the untrained recurrent source network: it reads an image row by row, from the top.

    Parameters
    ----------
    seed : int
        Every layer's initial weights are a fixed function of the seed and the layer's name.
    classes : int
        Number of outputs; 10 gives 168,970 parameters.

    Returns
    -------
    keras.Sequential
        Images ``(N, 32, 32, 3)`` with values 0 to 255, any dtype, to logits ``(N, classes)``, float32. Layers:
        rescale, rows (the image as 32 steps of 96 numbers), gru (its last state, 192 numbers), output.

    References
    ----------
    Cho et al. (2014), Learning phrase representations using RNN encoder-decoder, equations 5 to 8 (the GRU; Keras
    applies the reset gate after the matrix product). Taught in: chapter 3.1 (Feature extraction).
    """
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE, name="image"),
            layers.Rescaling(1 / 255, name="rescale"),
            layers.Reshape((IMAGE_SHAPE[0], IMAGE_SHAPE[1] * IMAGE_SHAPE[2]), name="rows"),
            layers.GRU(192, name="gru"),
            layers.Dense(classes, name="output"),
        ],
        name="source_rnn",
    )
    return reseeded(model, seed)


# What ships with the book: the name of a trained network and what builds it. Its files are source_NAME.* in assets.
PRETRAINED = MappingProxyType(
    {
        "cifar10": source_cnn,
        "cifar10-rows": source_rnn,
        "cifar10-a": functools.partial(source_cnn, classes=5),
        "digits": source_cnn,
    }
)


def pretrained(name="cifar10", epoch=None):
    """Load a trained source network that ships with the book.

    Parameters
    ----------
    name : {"cifar10", "cifar10-rows", "cifar10-a", "digits"}
        `source_cnn` trained on CIFAR-10; `source_rnn` trained on the rows of CIFAR-10; `source_cnn` trained on the
        five classes ``data.CIFAR10_A``; `source_cnn` trained on scikit-learn's digits (``data.digits()``).
    epoch : int, optional
        The state after that many epochs, stored in float16; ``model_card(name)["checkpoints"]`` lists them, and only
        ``"cifar10"`` has any. By default the best epoch by validation accuracy.

    Returns
    -------
    keras.Sequential
        The network with trained weights, every layer trainable.

    Raises
    ------
    ModelError
        If there is no such network, the epoch was not kept, or the file is damaged.

    Notes
    -----
    Taught in: chapter 4 (Worked example). ``python tools/train_source.py NAME`` trains one again.
    """
    kept = model_card(name)["checkpoints"]
    if epoch is not None and epoch not in kept:
        found = f"those after {', '.join(map(str, kept))} epochs" if kept else "none; leave epoch out"
        raise ModelError(f"Of {name!r} no state after epoch {epoch!r} is kept. Earlier states that are: {found}.")
    model = PRETRAINED[name]()
    if epoch is None:
        return load_weights(model, asset(f"source_{name}.npz"))
    return load_weights(model, asset(f"source_{name}_epochs.npz"), prefix=f"epoch{int(epoch):02d}/")


def model_card(name="cifar10"):
    """Read the card of a shipped source network: data, recipe, full history, test accuracy, confusion matrix.

    Parameters
    ----------
    name : str
        As for `pretrained`.

    Returns
    -------
    dict
        The content of ``tl_helpers/assets/source_NAME.json``.

    Raises
    ------
    ModelError
        If there is no such network.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    if name not in PRETRAINED:
        names = ", ".join(repr(known) for known in PRETRAINED)
        raise ModelError(f"No network {name!r} ships with the book. Those that do: {names}.")
    return json.loads(asset(f"source_{name}.json").read_text(encoding="utf-8"))


def asset(name):
    """Return the path of a file that ships with the package.

    Parameters
    ----------
    name : str
        File name in ``tl_helpers/assets``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ModelError
        If there is no such file.
    """
    path = Path(str(resources.files("tl_helpers") / "assets" / name))
    if not path.is_file():
        raise ModelError(f"{path} is missing. `make weights` trains the source networks and writes their files.")
    return path


def weight_layers(model):
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
    return [
        layer for layer in graph.layers_of(model) if layer.weights and not isinstance(layer, keras.layers.Normalization)
    ]


def places(model):
    """List where a network can be cut and frozen: where all that goes from images to outputs passes through one tensor.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    list of str
        Names of layers and operations, those of networks inside it too, input first.

    Raises
    ------
    ModelError
        If it has no graph, or several inputs or outputs.

    Notes
    -----
    Taught in: chapter 2 (Core concepts).
    """
    return list(graph.places(graph.opened(model)))


def find_layer(model, name):
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
    found = graph.operations_of(model)
    if name not in found:
        raise ModelError(f"The network {model.name!r} has no layer {name!r}. Its layers are: {graph.listed(found)}.")
    return found[name]


def features_at(model, layer=None):
    """Cut a network after a named layer.

    Parameters
    ----------
    model : keras.Model
    layer : str, optional
        Name of the last layer to keep, for instance ``"conv3"``; one of `places`. A name does not break when a layer is
        added elsewhere; an index such as ``layers[-3]`` does. By default the last place before the classifier.

    Returns
    -------
    keras.Model
        Images to the activations of that layer. It shares its weights with `model`.

    Raises
    ------
    ModelError
        If no layer has the name, or the network does not pass through one tensor there; the message names the places
        where it does.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    whole = graph.opened(model)
    layer, tensor = graph.place(whole, layer)
    return keras.Model(whole.inputs, tensor, name=f"{model.name}_to_{layer}")


def activations_at(model, layer):
    """Read a layer wherever it lies, in a branch too: `features_at` without the demand that all passes through it.

    Parameters
    ----------
    model : keras.Model
    layer : str

    Returns
    -------
    keras.Model
        Images to the activations of that layer, where it is called first. It shares its weights with `model`.

    Raises
    ------
    ModelError
        If no layer has the name.

    Notes
    -----
    Taught in: chapter 3.3 (Knowledge transfer).
    """
    return keras.Model(*_with_tensors(model, [layer], lambda output, kept: kept[layer]))


def tapped(model, layers):
    """Run a network and keep what some of its layers put out.

    Parameters
    ----------
    model : keras.Model
    layers : collection of str
        Names of layers.

    Returns
    -------
    keras.Model
        Inputs to a pair: the outputs, and a dict of layer name to that layer's activations. It shares its weights with
        `model`.

    Raises
    ------
    ModelError
        If no layer has one of the names.

    Notes
    -----
    Taught in: chapter 3.3 (Knowledge transfer).
    """
    image, outputs = _with_tensors(model, layers, lambda output, kept: [output, kept])
    return keras.Model(image, outputs, name=f"{model.name}_tapped")


def _with_tensors(model, layers, choose):
    """Return a network's input, and what `choose` makes of its output and of the outputs of some layers."""
    whole = graph.opened(model)
    tensors = {}
    for node in graph.nodes_of(whole):
        tensors.setdefault(node.operation.name, node.output_tensors[0])
    for name in layers:
        if name not in tensors:
            find_layer(model, name)  # says which layers there are
    return whole.inputs[0], choose(whole.outputs[0], {name: tensors[name] for name in layers})


def distance(model, source, depth):
    """Measure how far the first layers have moved from the source's: ‖w_S − w_S⁰‖.

    Parameters
    ----------
    model, source : keras.Model
        Their first `depth` layers with weights have equal shapes.
    depth : int

    Returns
    -------
    float
        Euclidean distance over all weights and biases of those layers; moving statistics do not count.

    Raises
    ------
    ModelError
        If there are not so many layers, or shapes differ.

    Notes
    -----
    Taught in: chapter 3.2 (Parameter transfer).
    """
    squares = [
        float(np.sum((ours - theirs) ** 2))
        for to_layer, from_layer in _paired(source, model, depth, "compare")
        for ours, theirs in zip(_learned(to_layer), _learned(from_layer), strict=True)
    ]
    return float(np.sqrt(sum(squares)))


def _learned(layer):
    return [variable.numpy() for variable in graph.learned(layer)]


def compiled(model, batch_size=1024):
    """Compile a network's inference: the function returned runs it over any number of images, batch by batch.

    Parameters
    ----------
    model : keras.Model
    batch_size : int
        Images in memory at once.

    Returns
    -------
    callable
        Images ``(N, ...)`` of any numeric dtype to outputs ``(N, ...)``, float32.
    """

    @tf.function(reduce_retracing=True)
    def forward(batch):
        return model(tf.cast(batch, model.inputs[0].dtype), training=False)

    def run(images):
        check_images(model, np.shape(images)[1:])
        result = None
        for start in range(0, max(len(images), 1), batch_size):  # no images have activations of some shape too
            rows = slice(start, start + batch_size)
            found = forward(np.ascontiguousarray(images[rows])).numpy()
            result = np.empty((len(images), *found.shape[1:]), "float32") if result is None else result
            result[rows] = found
        return result

    return run


def check_images(model, shape, kind=ModelError):
    """Refuse images of another shape than a network takes.

    Parameters
    ----------
    model : keras.Model
    shape : tuple of int
        Of one image.
    kind : type
        Of the error.

    Raises
    ------
    ModelError
        The message says how to bring images to the network, or the network to the images.
    """
    wanted = graph.graph_of(model).inputs[0].shape[1:]
    if len(wanted) == len(shape) and all(side in (None, given) for side, given in zip(wanted, shape, strict=True)):
        return
    remedy = "Give it arrays of its own shape."
    if len(wanted) == 3 and len(shape) == 3 and wanted[2] == shape[2]:
        size = wanted[0] if wanted[0] == wanted[1] else tuple(wanted[:2])
        remedy = (
            f"Make the images as large: data.from_arrays(images, labels, size={size}). Or let the network resize them: "
            f"keras.Sequential([keras.Input({tuple(shape)}), keras.layers.Resizing{tuple(wanted[:2])}, network])."
        )
    elif len(wanted) == 3 and len(shape) == 3:
        change = "keras.ops.mean(image, -1, keepdims=True)" if wanted[2] == 1 else "a convolution of one pixel"
        remedy = (
            f"Let the network begin with what makes {wanted[2]} channels of {shape[2]}, for instance {change}: image = "
            f"keras.Input({tuple(shape)}); keras.Model(image, network(...))."
        )
    raise kind(f"{model.name!r} takes inputs of shape {tuple(wanted)}; found {tuple(shape)}. {remedy}")


def outputs(model, images):
    """Run a network in inference mode over many images.

    Parameters
    ----------
    model : keras.Model
    images : ndarray, shape (N, ...), any numeric dtype

    Returns
    -------
    ndarray, shape (N, ...), float32

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    return compiled(model)(images)


def logits(model, images):
    """Run a classifier over images and return logits, whatever it ends in.

    Parameters
    ----------
    model : keras.Model
    images : ndarray, shape (N, ...), any numeric dtype

    Returns
    -------
    ndarray, shape (N, K), float32
        The outputs; where they are probabilities, their logarithms, of which a softmax makes the probabilities again.

    Raises
    ------
    ModelError
        If the network ends in a sigmoid: its outputs are answers to K questions, not shares of one.

    Notes
    -----
    Taught in: chapter 3.3 (Knowledge transfer).
    """
    found, ending = outputs(model, images), final_activation(model)
    if ending == "sigmoid":
        raise ModelError(
            f"{model.name!r} ends in a sigmoid: each output is a probability of its own, and logits over classes are "
            "expected. Cut it before the last activation, or train it with a softmax."
        )
    if ending == "softmax" or are_probabilities(found):
        return np.log(np.maximum(found, np.finfo("float32").tiny))
    return found


def are_probabilities(values):
    """Tell whether the rows of an array are shares of a whole: several rows, none negative, each with a sum of 1.

    Parameters
    ----------
    values : ndarray, shape (N, K), float

    Returns
    -------
    bool
    """
    values = np.asarray(values)
    return (
        values.ndim == 2 and len(values) > 1 and bool((values >= 0).all() and np.allclose(values.sum(1), 1, atol=1e-3))
    )


def final_activation(model):
    """Name the function in which a network ends, as far as it turns logits into probabilities.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    {"softmax", "sigmoid", ""}
        ``""`` for every other ending, and for a network without a graph.
    """
    if not graph.has_graph(model):
        return ""
    through = (keras.layers.Flatten, keras.layers.Reshape, keras.layers.Identity)
    ending = [node.operation for node in graph.nodes_of(graph.graph_of(model))]
    while ending and isinstance(ending[-1], through):
        ending.pop()
    if not ending:
        return ""
    if graph.has_graph(ending[-1]):
        return final_activation(ending[-1])
    given = getattr(getattr(ending[-1], "activation", None), "__name__", type(ending[-1]).__name__.lower())
    return given if given in ("softmax", "sigmoid") else ""


def freeze(model, depth):
    """Freeze the first layers that hold weights and make all others trainable.

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    depth : int or str
        How many; 0 freezes nothing. Or the name of the last one, which is one of `places`.

    Returns
    -------
    keras.Model
        The same model.

    Raises
    ------
    ModelError
        If the network has fewer layers with weights than `depth`, or no place of that name.

    Notes
    -----
    Taught in: chapter 2 (Core concepts). A model that was fitted before must be compiled again: Keras reads
    ``trainable`` in the first ``fit`` after ``compile`` (chapter 3.2, Parameter transfer).
    """
    layers, depth = weight_layers(model), depth_of(model, depth)
    if not 0 <= depth <= len(layers):
        names = graph.listed(layer.name for layer in layers)
        raise ModelError(
            f"Cannot freeze {depth} layers: {model.name!r} has {len(layers)} layers with weights ({names})."
        )
    model.trainable = True  # also where somebody froze a whole network inside it
    for position, layer in enumerate(layers):
        layer.trainable = position >= depth
    return model


def depth_of(model, layer):
    """Count the layers with weights up to and with a named one.

    Parameters
    ----------
    model : keras.Model
    layer : str or int
        A number is returned as it is.

    Returns
    -------
    int

    Raises
    ------
    ModelError
        If no place has the name.
    """
    if not isinstance(layer, str):
        if isinstance(layer, bool) or not isinstance(layer, (int, np.integer)):
            raise ModelError(f"Expected a number of layers or the name of one, found {layer!r}.")
        return int(layer)
    return len(weight_layers(features_at(model, layer)))


def parameter_table(model):
    """Describe a network: one row a layer.

    Parameters
    ----------
    model : keras.Model
        Networks inside it are opened.

    Returns
    -------
    pandas.DataFrame
        Index: layer name. Columns: ``kind``, ``output`` (shape without the batch), ``parameters``, ``trainable``
        (how many of them one training step updates).

    Notes
    -----
    Taught in: chapter 2 (Core concepts).
    """
    rows = [
        {
            "layer": name,
            "kind": type(layer).__name__,
            "output": " × ".join(str(size) for size in keras.tree.flatten(layer.output)[0].shape[1:]),
            "parameters": layer.count_params(),
            "trainable": sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights),
        }
        for name, layer in graph.operations_of(model).items()
        if isinstance(layer, keras.Layer)
    ]
    return pd.DataFrame(rows).set_index("layer")


def reseeded(model, seed):
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
        return graph.clone(model, seed, whole=True)

    origins = graph.origins_of(model)

    def fresh(layer):
        if graph.has_graph(layer):
            return reseeded(layer, seed)
        return graph.fresh_layer(layer, layer.name, seed, origins[id(layer)])

    return keras.models.clone_model(model, clone_function=fresh)


def copy_weights(source, target, depth):
    """Copy the weights of the first `depth` layers: θ⁰_target = θ_source on those layers.

    Parameters
    ----------
    source, target : keras.Model
        The layers are paired by position and must have equal shapes; `target` is changed in place.
    depth : int

    Returns
    -------
    keras.Model
        The target.

    Raises
    ------
    ModelError
        If a layer's shapes differ, or a network has too few layers.
    """
    for to_layer, from_layer in _paired(source, target, depth, "copy"):
        graph.copy_state(from_layer, to_layer)
    return target


def _paired(source, target, depth, verb):
    """Pair the first layers of two networks by position: (target's layer, source's layer)."""
    pairs = list(zip(weight_layers(target), weight_layers(source), strict=False))
    if not 0 <= depth <= len(pairs):
        raise ModelError(f"Cannot {verb} {depth} layers: source and target share {len(pairs)} layers with weights.")
    for to_layer, from_layer in pairs[:depth]:
        shapes = [tuple(w.shape) for w in from_layer.weights], [tuple(w.shape) for w in to_layer.weights]
        if shapes[0] != shapes[1]:
            raise ModelError(
                f"Cannot {verb} {from_layer.name!r} and {to_layer.name!r}: shapes {shapes[0]} against {shapes[1]}."
            )
    return pairs[:depth]


def weight_arrays(model):
    """Name every weight of a network.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    dict of str to ndarray
        ``"conv1/kernel"`` to its value, float32.
    """
    return {name: variable.numpy() for name, variable in _named_weights(model).items()}


def _named_weights(model):
    named = {}
    for name, layer in graph.operations_of(model).items():
        for variable in layer.weights if isinstance(layer, keras.Layer) else ():
            named[graph.free(f"{name}/{variable.name}", "", named)] = variable  # a wrapper may hold two kernels
    return named


def save_arrays(path, arrays):
    """Write named arrays to an ``.npz`` file, atomically: the file is either the old one or the whole new one.

    Parameters
    ----------
    path : path-like
    arrays : mapping of str to ndarray

    Raises
    ------
    FileError
        If something else than a regular file has that name, or the file cannot be written; see `files.replacing`.
    """
    with files.replacing(path) as file:
        np.savez_compressed(file, **arrays)


def load_weights(model, path, prefix=""):
    """Read a checkpoint into a network. Nothing is changed unless every array fits.

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    path : path-like
        An ``.npz`` file as `save_arrays` writes it; pickled objects are refused.
    prefix : str
        What stands before the weights' names in the file.

    Returns
    -------
    keras.Model
        The same model.

    Raises
    ------
    ModelError
        If the file is damaged, or belongs to another architecture.
    """
    expected = _named_weights(model)
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found = {name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)}
            names = sorted({name.split("/")[0] for name in file.files})
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path} cannot be read as a checkpoint ({error}). Write it again, e.g. `make weights`."
        ) from error
    if prefix and not found:
        raise ModelError(f"{path} holds no {prefix.rstrip('/')!r}. It holds: {', '.join(names)}.")
    wrong = [
        f"{name}: expected {tuple(w.shape)}, found {found[name].shape if name in found else 'nothing'}"
        for name, w in expected.items()
        if name not in found or found[name].shape != tuple(w.shape) or found[name].dtype.kind != "f"
    ]
    wrong += [f"{name}: not a weight of this network" for name in sorted(found.keys() - expected.keys())]
    if wrong:
        raise ModelError(f"{path} belongs to another network than {model.name!r}. " + "; ".join(wrong[:4]) + ".")
    for name, weight in expected.items():
        weight.assign(found[name].astype("float32"))
    return model
