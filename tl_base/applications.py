"""Networks of keras.applications as sources: with the preprocessing that they were trained with inside.

Each family expects its images in another form, and a network that gets another one answers all the same, only badly.
Which family it is, the names of its first layers say; what its first convolution sees, a few images of one colour show.
Taught in: chapter 7 (Your own photographs).
"""

from typing import Any

import numpy as np

from tl_base.backend import keras
from tl_base.graph import ModelError, free, nodes_of, opened, operations_of, run

# As `keras.applications.imagenet_utils.preprocess_input` has them, of images with values 0 to 255: the channels' order,
# and for each channel (in that order) a factor and what is added.
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
BGR_MEAN = np.array([103.939, 116.779, 123.68])
MODES: dict[str, tuple[bool, np.ndarray, np.ndarray]] = {
    "tf": (False, np.full(3, 1 / 127.5), np.full(3, -1.0)),
    "torch": (False, 1 / (255 * DEVIATION), -MEAN / DEVIATION),
    "caffe": (True, np.ones(3), -BGR_MEAN),
}
FORMS = {
    "tf": "values from -1 to 1",
    "torch": "values from 0 to 1, less ImageNet's mean, divided by its standard deviation",
    "caffe": "blue first, values from 0 to 255, less ImageNet's mean",
}
INSIDE = "inside"
# Each family by names among its first layers, which stand where its end is cut off too. The first that fits counts.
FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "Xception": ("tf", ("block1_conv1_bn", "block2_sepconv1")),
    "VGG": ("caffe", ("block1_conv1", "block1_conv2", "block1_pool")),
    "ResNetV2": ("tf", ("conv1_conv", "conv2_block1_preact_bn")),
    "DenseNet": ("torch", ("conv1_conv", "conv1_bn", "conv2_block1_0_bn", "conv2_block1_0_relu")),
    "ResNet": ("caffe", ("conv1_conv", "conv1_bn", "conv2_block1_1_conv")),
    "MobileNetV2": ("tf", ("Conv1", "bn_Conv1", "expanded_conv_depthwise")),
    "MobileNetV3": (INSIDE, ("conv", "conv_bn", "expanded_conv_depthwise")),
    "MobileNet": ("tf", ("conv1", "conv1_bn", "conv_dw_1")),
    "InceptionResNetV2": ("tf", ("mixed_5b",)),
    "InceptionV3": ("tf", ("mixed0",)),
    "NASNet": ("tf", ("stem_conv1", "stem_bn1")),
    "EfficientNet": (INSIDE, ("stem_conv", "stem_bn", "block1a_dwconv", "block1a_bn")),
    "EfficientNetV2": (INSIDE, ("stem_conv", "stem_bn", "block1a_project_conv", "block1a_project_bn")),
    "ConvNeXt": (INSIDE, ("_stem_conv", "_stem_layernorm", "_stage_0_block_0_depthwise_conv")),  # behind its own name
}
COLOURS = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 128, 0], [10, 60, 200]], "float32")
SCALED = 0.5, 20.0  # between these lies the spread of what a first convolution sees where the scaling is inside, once
REMEDY = (
    'Say which it was trained with: preprocessing="tf" (values from -1 to 1), "torch", "caffe", a layer such as '
    'keras.layers.Rescaling(1 / 255), or "inside" if it takes images with values 0 to 255 as it is.'
)


def family(model: keras.Model) -> str | None:
    """Name the family of keras.applications that a network belongs to.

    Parameters
    ----------
    model : keras.Model
        Networks inside it are opened.

    Returns
    -------
    str or None
        One of `FAMILIES`; None for a network of another origin.
    """
    names = operations_of(model)

    def known(layer: str) -> bool:
        return any(name.endswith(layer) for name in names) if layer.startswith("_") else layer in names

    return next((title for title, (_, layers) in FAMILIES.items() if all(map(known, layers))), None)


def seen(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """Look at what the first layer with weights is given where the image is of one colour.

    Parameters
    ----------
    model : keras.Model
        Opened.

    Returns
    -------
    colours, sees : ndarray, shape (5, channels)
        `COLOURS`, or as many shades of grey where the network takes another number of channels; and what becomes of
        each on its way to that layer, in the middle of the image.
    """

    def learns(operation: keras.Operation) -> bool:
        return bool(getattr(operation, "weights", ())) and not isinstance(operation, keras.layers.Normalization)

    first = next((node.input_tensors[0] for node in nodes_of(model) if learns(node.operation)), model.outputs[0])
    height, width, channels = (64 if side is None else side for side in model.inputs[0].shape[1:])
    colours = COLOURS if channels == 3 else np.repeat(COLOURS.mean(1, keepdims=True), channels, 1)
    if first is model.inputs[0]:
        return colours, colours
    images = np.tile(colours[:, None, None], (1, height, width, 1))
    sees = keras.ops.convert_to_numpy(keras.Model(model.inputs[0], first)(images, training=False))
    return colours, sees[:, sees.shape[1] // 2, sees.shape[2] // 2] if sees.ndim == 4 else sees


def _is_bare(model: keras.Model) -> bool:
    """Tell whether nothing that changes values stands before the first layer with weights."""
    colours, sees = seen(model)
    return sees.shape == colours.shape and np.allclose(sees, colours)


def expected(mode: str) -> np.ndarray:
    """Return what a network of a mode is to see of `COLOURS`."""
    turned, factor, added = MODES[mode]
    return (COLOURS[:, ::-1] if turned else COLOURS) * factor + added


def needed(model: keras.Model) -> str:
    """Say which preprocessing is to be put before a network.

    Parameters
    ----------
    model : keras.Model
        Opened.

    Returns
    -------
    {"tf", "torch", "caffe", "inside"}
        ``"inside"`` where nothing is missing.

    Raises
    ------
    ModelError
        If its family is not known and nothing is inside, or what is inside is not what the family expects.
    """
    title, (_, sees), bare = family(model), seen(model), _is_bare(model)
    if title is None:
        if bare:
            raise ModelError(f"{model.name!r} is of no family of keras.applications that is known here. {REMEDY}")
        return INSIDE
    mode = FAMILIES[title][0]
    if mode != INSIDE and bare:
        return mode
    least, most = sees.min(), sees.max()
    if mode == INSIDE and bare:
        raise ModelError(
            f"{model.name!r} is an {title} without its preprocessing. Build it with include_preprocessing=True."
        )
    right = SCALED[0] < most - least < SCALED[1] if mode == INSIDE else np.allclose(sees, expected(mode), atol=1e-2)
    if right:
        return INSIDE
    wants = "images with values 0 to 255, since it scales them itself" if mode == INSIDE else FORMS[mode]
    raise ModelError(
        f"{model.name!r} is of the family {title}, which expects {wants}. The layers before its first convolution "
        f'make values from {least:.4g} to {most:.4g} of 0 to 255. Take them out, or say preprocessing="inside" if it '
        "was trained like this."
    )


def from_keras(
    model: keras.Model, preprocessing: "str | keras.layers.Layer | None" = None, size: int | None = None
) -> keras.Model:
    """Make a source of a network of keras.applications, or of any other: its preprocessing becomes a part of it.

    Parameters
    ----------
    model : keras.Model
        For instance ``keras.applications.MobileNetV2(include_top=False)``. It may be compiled, end in a softmax or have
        its preprocessing inside already, which is then looked at and not added once more.
    preprocessing : str or keras.layers.Layer, optional
        ``"tf"``, ``"torch"`` or ``"caffe"``, as Keras calls them; a layer that takes images with values 0 to 255; or
        ``"inside"``, where nothing is to be added. By default what its family was trained with.
    size : int, optional
        Side in pixels to which images are resized (bilinear). By default the network's own, if it has one.

    Returns
    -------
    keras.Model
        Images with values 0 to 255, any dtype, to what `model` puts out; a map of features is averaged to ``(N,
        channels)``, as a pooling layer named ``pool`` does. It shares its layers, and their names, with `model`, is
        made of layers that can be saved, and takes images of any size where `size` or the network says one.

    Raises
    ------
    ModelError
        If the family is not known and `preprocessing` does not say it, what is inside is not what the family expects,
        or the size is not the network's.

    References
    ----------
    ``keras.applications.imagenet_utils.preprocess_input``. Taught in: chapter 7 (Your own photographs).
    """
    whole = opened(model)
    if len(whole.inputs[0].shape) != 4:
        raise ModelError(f"Expected a network that takes images, found inputs of shape {whole.inputs[0].shape}.")
    before = _before(needed(whole) if preprocessing is None else preprocessing, whole)
    height, width, channels = whole.inputs[0].shape[1:]
    sides, taken = _sides(whole.name, (height, width), size), set(operations_of(whole))
    shape = (None, None, channels) if sides else (height, width, channels)
    x = image = keras.Input(shape, name=free("image", "input_", taken))
    if sides:
        x = keras.layers.Resizing(*sides, name=free("resize", "image_", taken))(x, training=False)  # as in efficientnet
    for layer in before:
        x = layer(x)
    x = keras.tree.flatten(run(whole, [x], lambda operation, args, kwargs: operation(*args, **kwargs)))[0]
    if len(x.shape) == 4:
        x = keras.layers.GlobalAveragePooling2D(name=free("pool", "image_", taken))(x)
    return keras.Model(image, x, name=model.name)


def _sides(name: str, given: tuple[int | None, int | None], size: int | None) -> tuple[int, int] | None:
    """Return to which height and width images are resized; None where they stay as they are."""
    if size is None:
        return None if None in given else (int(given[0] or 0), int(given[1] or 0))
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
        raise ModelError(f"Expected size to be a number of pixels, found {size!r}. Try size=160.")
    if any(side not in (None, size) for side in given):
        raise ModelError(
            f"{name!r} takes images of {given[0]} × {given[1]} pixels, found size={size}. Leave size out, or build the "
            f"network for it, for instance with input_shape=({size}, {size}, 3)."
        )
    return int(size), int(size)


def _before(preprocessing: "str | keras.layers.Layer", model: keras.Model) -> list[Any]:
    """Return the layers and functions that do a preprocessing."""
    names = operations_of(model)
    if isinstance(preprocessing, keras.layers.Layer):
        return [preprocessing]
    if preprocessing == INSIDE:
        return []
    if not isinstance(preprocessing, str) or preprocessing not in MODES:
        raise ModelError(f"Expected a preprocessing that is known or a layer, found {preprocessing!r}. {REMEDY}")
    if model.inputs[0].shape[-1] != 3:
        raise ModelError(
            f"preprocessing={preprocessing!r} is for red, green and blue; {model.name!r} takes "
            f"{model.inputs[0].shape[-1]} channels. Give a layer such as keras.layers.Rescaling(1 / 255)."
        )
    if not _is_bare(model):
        raise ModelError(
            f"{model.name!r} scales its images already; preprocessing={preprocessing!r} would do it twice. Take "
            'its own layers out, or say preprocessing="inside".'
        )
    turned, factor, added = MODES[preprocessing]
    scale = keras.layers.Rescaling(factor.tolist(), added.tolist(), name=free("rescale", "image_", names))
    return [lambda x: keras.ops.flip(x, -1), scale] if turned else [scale]
