"""The source networks: build them, load them, cut them, freeze them, describe them.

Taught in: chapter 2 (Core concepts) and chapter 4 (Worked example).
"""

import functools
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from tl_base import efficientnet, graph, residual
from tl_base.applications import from_keras
from tl_base.backend import keras
from tl_base.checkpoints import load_weights, save_arrays, weight_arrays
from tl_base.clones import copy_state, reseeded
from tl_base.graph import ModelError, find_layer, learned, weight_layers
from tl_base.running import activations_at, are_probabilities, compiled, logits, outputs, tapped
from tl_helpers import asset

__all__ = ["PRETRAINED", "ModelError", "copy_weights", "depth_of", "distance", "features_at", "freeze", "from_keras"]
__all__ += ["model_card", "parameter_table", "places", "pretrained", "source_cnn", "source_rnn"]
# What holds for any network stands in `tl_base`; chapters find it here, beside the rest.
__all__ += ["activations_at", "are_probabilities", "compiled", "logits", "outputs", "tapped"]
__all__ += ["find_layer", "load_weights", "reseeded", "save_arrays", "weight_arrays", "weight_layers"]

IMAGE_SHAPE = (32, 32, 3)


def source_cnn(seed: int = 0, classes: int = 10, image_shape: tuple[int, ...] = IMAGE_SHAPE) -> keras.Sequential:
    """Build the untrained source network: three convolutions and two dense layers.

    Parameters
    ----------
    seed : int
        Every layer's initial weights are a fixed function of the seed and the layer's name.
    classes : int
        Number of outputs; 10 gives 122,570 parameters.
    image_shape : tuple of int
        Of the images that it takes. Others than 32×32 are resized, smoothed where they shrink, by a first layer
        ``resize``.

    Returns
    -------
    keras.Sequential
        Images ``(N, 32, 32, 3)`` with values 0 to 255, any dtype, to logits ``(N, classes)``, float32. The scaling
        to [0, 1] is in the network, so that nobody can forget it. Layers: rescale, conv1, pool1, conv2, pool2,
        conv3, flatten, dense, output.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    layers = keras.layers
    fits = tuple(image_shape) == IMAGE_SHAPE
    model = keras.Sequential(
        [
            keras.Input(image_shape, name="image"),
            *([] if fits else [layers.Resizing(*IMAGE_SHAPE[:2], antialias=True, name="resize")]),
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


def source_rnn(seed: int = 0, classes: int = 10) -> keras.Sequential:
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
PRETRAINED: Mapping[str, Callable[..., keras.Model]] = MappingProxyType(
    {
        "cifar10": source_cnn,
        "cifar10-rows": source_rnn,
        "cifar10-a": functools.partial(source_cnn, classes=5),
        "resnet": residual.source_resnet,
        "resnet-a": functools.partial(residual.source_resnet, classes=5),
        "digits": source_cnn,
        "imagenet": efficientnet.lite0,
    }
)


def pretrained(name: str = "cifar10", *, size: int | None = None) -> keras.Model:
    """Load a trained source network that ships with the book.

    Parameters
    ----------
    name : {"cifar10", "cifar10-rows", "cifar10-a", "resnet", "resnet-a", "digits", "imagenet"}
        `source_cnn` trained on CIFAR-10; `source_rnn` trained on the rows of CIFAR-10; `source_cnn` trained on the
        five classes ``data.CIFAR10_A``; a small residual network trained on CIFAR-10, and on those five classes;
        `source_cnn` trained on scikit-learn's digits (``data.digits()``);
        EfficientNet-Lite0 trained on ImageNet, without its classifier: images of any size to 1,280 features.
    size : int, optional
        Of ``"imagenet"``: the side in pixels to which it resizes its images, 32 or more; by default 160.

    Returns
    -------
    keras.Model
        The network with trained weights, every layer trainable. It takes images with values 0 to 255.

    Raises
    ------
    ModelError
        If there is no such network, the size cannot be chosen, or the file is damaged.

    References
    ----------
    Tan and Le (2019), EfficientNet. Taught in: chapter 4 (Worked example); ``"imagenet"`` in chapter 7 (Your own
    photographs). ``python tools/train_source.py NAME`` trains one again, ``python tools/convert_imagenet.py`` converts
    the weights of ``"imagenet"`` again.
    """
    model_card(name)  # refuses a name that nothing stands for
    if size is not None and name != "imagenet":
        raise ModelError(f"{name!r} takes images of 32 × 32 pixels, found size={size!r}. Leave size out.")
    model = PRETRAINED[name](**{} if size is None else {"size": size})
    return load_weights(model, asset(f"source_{name}.npz"))


def model_card(name: str = "cifar10") -> dict[str, Any]:
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
        If there is no such network, or its card is missing.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    if name not in PRETRAINED:
        names = ", ".join(repr(known) for known in PRETRAINED)
        raise ModelError(f"No network {name!r} ships with the book. Those that do: {names}.")
    card = asset(f"source_{name}.json")
    if not card.is_file():
        raise ModelError(f"{card} is missing. `make weights` writes the source networks' files again.")
    return json.loads(card.read_text(encoding="utf-8"))


def places(model: keras.Model) -> list[str]:
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


def features_at(model: keras.Model, layer: str | None = None) -> keras.Model:
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


def distance(model: keras.Model, source: keras.Model, depth: int) -> float:
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
    Taught in: chapter 3.3 (Parameter transfer: rates and phases).
    """
    squares = [
        float(np.sum((ours.numpy() - theirs.numpy()) ** 2))
        for to_layer, from_layer in _paired(source, model, depth, "compare")
        for ours, theirs in zip(learned(to_layer), learned(from_layer), strict=True)
    ]
    return float(np.sqrt(sum(squares)))


def freeze(model: keras.Model, depth: int | str) -> keras.Model:
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
    ``trainable`` in the first ``fit`` after ``compile`` (chapter 3.4, Parameter transfer: two traps).
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


def depth_of(model: keras.Model, layer: int | str) -> int:
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


def parameter_table(model: keras.Model) -> pd.DataFrame:
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


def copy_weights(source: keras.Model, target: keras.Model, depth: int) -> keras.Model:
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
        copy_state(from_layer, to_layer)
    return target


def _paired(source: keras.Model, target: keras.Model, depth: int, verb: str) -> list[tuple[keras.Layer, keras.Layer]]:
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
