"""A small residual network with BatchNormalization: the second architecture on which methods are compared.

He et al. (2016), Deep residual learning: a convolution, then three blocks of two convolutions each, with a shortcut
around them; each block halves the side and widens the channels. Pictures of 32×32 pixels go in.
Taught in: What the papers claim, and what shows here.
"""

from typing import Any

from tl_base.backend import keras
from tl_base.clones import reseeded

IMAGE_SHAPE = (32, 32, 3)
STEM, WIDTHS = 16, (32, 64, 112)  # channels of the first convolution and of the blocks
NORMALISATION = {"momentum": 0.9, "epsilon": 1e-3}


def source_resnet(seed: int = 0, classes: int = 10) -> keras.Model:
    """Build the untrained residual network.

    Parameters
    ----------
    seed : int
        Every layer's initial weights are a fixed function of the seed and the layer's name.
    classes : int
        Number of outputs; 10 gives 260,378 parameters, of which 1,280 are moving statistics.

    Returns
    -------
    keras.Model
        Images ``(N, 32, 32, 3)`` with values 0 to 255, any dtype, to logits ``(N, classes)``, float32. Layers: rescale,
        stem, block1, block2, block3, pool (112 numbers), output. Each of these names stands for all up to its end and
        is a place to cut at; layers inside have names such as ``block1_conv1``.

    References
    ----------
    He et al. (2016), Deep residual learning for image recognition, section 4.2 (CIFAR-10; the shortcuts that change
    shape are projections, option B). Taught in: What the papers claim, and what shows here.
    """
    layers = keras.layers
    image = keras.Input(IMAGE_SHAPE, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.ReLU(name="stem")(_normal(_convolved(x, STEM, 3, 1, "stem_conv"), "stem_normal"))
    for number, channels in enumerate(WIDTHS, 1):
        x = _block(x, channels, f"block{number}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(classes, name="output")(x)
    return reseeded(keras.Model(image, x, name="source_resnet"), seed)


def _block(x: Any, channels: int, name: str) -> Any:
    """Two convolutions, the first of stride 2, and a shortcut of stride 2 around them."""
    shortcut = _normal(_convolved(x, channels, 1, 2, f"{name}_shortcut"), f"{name}_shortcut_normal")
    x = _normal(_convolved(x, channels, 3, 2, f"{name}_conv1"), f"{name}_normal1")
    x = keras.layers.ReLU(name=f"{name}_relu")(x)
    x = _normal(_convolved(x, channels, 3, 1, f"{name}_conv2"), f"{name}_normal2")
    x = keras.layers.Add(name=f"{name}_sum")([x, shortcut])
    return keras.layers.ReLU(name=name)(x)


def _convolved(x: Any, channels: int, kernel: int, stride: int, name: str) -> Any:
    how = {"use_bias": False, "kernel_initializer": "he_normal"}
    return keras.layers.Conv2D(channels, kernel, stride, "same", **how, name=name)(x)


def _normal(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(**NORMALISATION, name=name)(x)
