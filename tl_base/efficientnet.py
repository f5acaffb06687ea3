"""EfficientNet-Lite0 in Keras: the network that has learned from ImageNet, layer by layer.

Tan and Le (2019), EfficientNet; the Lite variant is that of the authors' TensorFlow repository: no squeeze-and-excite,
ReLU6 in the place of swish, stem and head of fixed width. Pictures of any size go in, with values 0 to 255. The network
resizes them and scales them itself, so that nobody can forget it.
Taught in: chapter 7 (Your own photographs).
"""

from typing import Any

import numpy as np

from tl_base.backend import keras
from tl_base.clones import reseeded
from tl_base.graph import ModelError
from tl_base.stages import EPSILON, FEATURES, MIDDLE, MOST, SPREAD, STAGES, STEM, Stage

NORMALISATION = {"momentum": 0.99, "epsilon": EPSILON}
# Weights drawn anew keep the size of what passes through (He et al., 2015, equation 14), as in the original.
DRAWN = {"class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_out", "seed": None}}
SMALLEST = 32  # pixels: the last stages then see one


def lite0(seed: int = 0, size: int = 160, classes: int | None = None) -> keras.Model:
    """Build EfficientNet-Lite0, untrained.

    Parameters
    ----------
    seed : int
        Every layer's initial weights are a fixed function of the seed and the layer's name.
    size : int
        Side in pixels to which the images are resized (bilinear; images of that size stay as they are). It was trained
        at 224; 160 costs half as much.
    classes : int, optional
        Put a linear classifier behind it: the layer ``logits``. By default there is none.

    Returns
    -------
    keras.Model
        Images ``(N, height, width, 3)`` with values 0 to 255, any dtype, to features ``(N, 1280)``, float32, or to
        logits ``(N, classes)``. Layers: resize, rescale, stem, the stages block1 to block7, top (a convolution), pool.
        Each of these names stands for all up to its end and is a place to cut at; layers inside have names such as
        ``block2a_expand``.

    Raises
    ------
    ModelError
        If the size is no number of pixels, 32 or more.

    References
    ----------
    Tan and Le (2019), EfficientNet, section 4; Sandler et al. (2018), MobileNetV2, section 3 (the block). Skipping
    blocks at random in training (Huang et al., 2016, Stochastic depth) is left out. Taught in: chapter 7 (Your own
    photographs).
    """
    if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < SMALLEST:
        raise ModelError(f"Expected size to be a number of pixels, {SMALLEST} or more; found {size!r}. Try size=160.")
    layers = keras.layers
    image = keras.Input((None, None, 3), name="image")
    # training=False: else Keras 3.15 takes the default of Resizing, True, for all layers behind it (`source(x)`)
    x = layers.Resizing(size, size, name="resize")(image, training=False)
    x = layers.Rescaling(1 / SPREAD, -MIDDLE / SPREAD, name="rescale")(x)
    x = _convolved(x, STEM, 3, 2, "stem_conv")
    x = _active(x, "stem_normal", "stem")
    for number, stage in enumerate(STAGES, 1):
        x = _stage(x, stage, f"block{number}")
    x = _convolved(x, FEATURES, 1, 1, "top_conv")
    x = _active(x, "top_normal", "top")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if classes is not None:
        x = layers.Dense(classes, name="logits")(x)
    return reseeded(keras.Model(image, x, name="efficientnet_lite0"), seed)


def _stage(x: Any, stage: Stage, name: str) -> Any:
    """Put blocks behind each other; the last operation of the last one has the stage's name."""
    for letter in "abcd"[: stage.blocks]:
        end = name if letter == "abcd"[stage.blocks - 1] else name + letter
        x = _block(x, stage, stage.stride if letter == "a" else 1, name + letter, end)
    return x


def _block(x: Any, stage: Stage, stride: int, name: str, end: str) -> Any:
    """Widen, look at each channel on its own, narrow again; add what came in where it has the same shape."""
    given, channels = x, x.shape[-1]
    if stage.expansion > 1:
        x = _convolved(x, channels * stage.expansion, 1, 1, f"{name}_expand")
        x = _active(x, f"{name}_expand_normal", f"{name}_expand_relu")
    depthwise = keras.layers.DepthwiseConv2D(
        stage.kernel, stride, "same", use_bias=False, depthwise_initializer=DRAWN, name=f"{name}_depth"
    )
    x = _active(depthwise(x), f"{name}_depth_normal", f"{name}_depth_relu")
    x = _convolved(x, stage.channels, 1, 1, f"{name}_project")
    skipped = stride == 1 and channels == stage.channels
    x = keras.layers.BatchNormalization(**NORMALISATION, name=f"{name}_project_normal" if skipped else end)(x)
    return keras.layers.Add(name=end)([x, given]) if skipped else x


def _convolved(x: Any, channels: int, kernel: int, stride: int, name: str) -> Any:
    return keras.layers.Conv2D(channels, kernel, stride, "same", use_bias=False, kernel_initializer=DRAWN, name=name)(x)


def _active(x: Any, normal: str, name: str) -> Any:
    x = keras.layers.BatchNormalization(**NORMALISATION, name=normal)(x)
    return keras.layers.ReLU(max_value=MOST, name=name)(x)
