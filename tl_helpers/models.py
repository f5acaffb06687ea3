"""The source networks: build them, load them, cut them, freeze them, describe them.

Taught in: chapter 2 (Core concepts) and chapter 4 (Worked example).
"""

import functools
import json
import zipfile
import zlib
from importlib import resources
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from tl_helpers import files
from tl_helpers.backend import keras, tf

IMAGE_SHAPE = (32, 32, 3)


class ModelError(ValueError):
    """A network, a layer or a checkpoint is not what was asked for."""


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
    """List the layers that hold trainable weights, input first: the layers that ``copy`` and ``freeze`` count.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    list of keras.Layer
    """
    return [layer for layer in model.layers if layer.weights and not isinstance(layer, keras.layers.Normalization)]


def find_layer(model, name):
    """Return the layer of that name.

    Parameters
    ----------
    model : keras.Model
    name : str

    Returns
    -------
    keras.Layer

    Raises
    ------
    ModelError
        If no layer has the name; the message lists the names.
    """
    for layer in model.layers:
        if layer.name == name:
            return layer
    names = ", ".join(layer.name for layer in model.layers)
    raise ModelError(f"The network {model.name!r} has no layer {name!r}. Its layers are: {names}.")


def features_at(model, layer):
    """Cut a network after a named layer.

    Parameters
    ----------
    model : keras.Model
    layer : str
        Name of the last layer to keep, for instance ``"conv3"``. A name does not break when a layer is added
        elsewhere; an index such as ``layers[-3]`` does.

    Returns
    -------
    keras.Model
        Images to the activations of that layer. It shares its weights with `model`.

    Raises
    ------
    ModelError
        If no layer has the name.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    return keras.Model(model.inputs, find_layer(model, layer).output, name=f"{model.name}_to_{layer}")


def tapped(model, layers):
    """Run a chain of layers and keep what some of them put out.

    Parameters
    ----------
    model : keras.Model
        A chain, such as a Sequential.
    layers : collection of str
        Names of layers.

    Returns
    -------
    keras.Model
        Inputs to a pair: the chain's outputs, and a dict of layer name to that layer's activations. It shares its
        weights with `model`.

    Raises
    ------
    ModelError
        If no layer has one of the names.

    Notes
    -----
    Taught in: chapter 3.3 (Knowledge transfer).
    """
    for name in layers:
        find_layer(model, name)
    x = inputs = keras.Input(model.inputs[0].shape[1:])
    kept = {}
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            x = layer(x)
        if layer.name in layers:
            kept[layer.name] = x
    return keras.Model(inputs, [x, kept], name=f"{model.name}_tapped")


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
        Euclidean distance over all weights and biases of those layers.

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
        for ours, theirs in zip(to_layer.get_weights(), from_layer.get_weights(), strict=True)
    ]
    return float(np.sqrt(sum(squares)))


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
        return model(tf.cast(batch, "float32"), training=False)

    def run(images):
        result = np.empty((len(images), *model.outputs[0].shape[1:]), "float32")
        for start in range(0, len(images), batch_size):
            rows = slice(start, start + batch_size)
            result[rows] = forward(np.ascontiguousarray(images[rows])).numpy()
        return result

    return run


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


def freeze(model, depth):
    """Freeze the first `depth` layers that hold weights and make all others trainable.

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    depth : int
        0 freezes nothing.

    Returns
    -------
    keras.Model
        The same model.

    Raises
    ------
    ModelError
        If the network has fewer layers with weights than `depth`.

    Notes
    -----
    Taught in: chapter 2 (Core concepts). A model that was fitted before must be compiled again: Keras reads
    ``trainable`` in the first ``fit`` after ``compile`` (chapter 3.2, Parameter transfer).
    """
    layers = weight_layers(model)
    if not 0 <= depth <= len(layers):
        names = ", ".join(layer.name for layer in layers)
        raise ModelError(
            f"Cannot freeze {depth} layers: {model.name!r} has {len(layers)} layers with weights ({names})."
        )
    for position, layer in enumerate(layers):
        layer.trainable = position >= depth
    return model


def parameter_table(model):
    """Describe a network: one row a layer.

    Parameters
    ----------
    model : keras.Model

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
            "layer": layer.name,
            "kind": type(layer).__name__,
            "output": " × ".join(str(size) for size in layer.output.shape[1:]),
            "parameters": layer.count_params(),
            "trainable": sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights),
        }
        for layer in model.layers
    ]
    return pd.DataFrame(rows).set_index("layer")


def reseeded(model, seed):
    """Clone a network with fresh weights that depend only on the seed and on each layer's name.

    Two networks that share a layer start it from the same numbers: comparisons between them are paired.

    Parameters
    ----------
    model : keras.Model
    seed : int

    Returns
    -------
    keras.Model
        Same architecture, new weights.
    """

    def clone(layer):
        config = layer.get_config()
        for key, value in config.items():
            if key.endswith("initializer") and "seed" in (value or {}).get("config", {}):
                value["config"]["seed"] = zlib.crc32(f"{seed}/{layer.name}/{key}".encode())
        return type(layer).from_config(config)

    return keras.models.clone_model(model, clone_function=clone)


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
        to_layer.set_weights(from_layer.get_weights())
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
    return {f"{layer.name}/{w.name}": w.numpy() for layer in model.layers for w in layer.weights}


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
    expected = {f"{layer.name}/{w.name}": w for layer in model.layers for w in layer.weights}
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
