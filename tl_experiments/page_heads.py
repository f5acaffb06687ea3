"""Heads that were trained on the page of photographs, back in Python behind the network that they belong to.

Taught in: chapter 8.1 (Photograph it, transfer it).
"""

import zipfile
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tl_base import files, npz
from tl_base.pictures import wrong
from tl_base.stages import EPSILON, FEATURES, STAGES
from tl_helpers import models, transfer

if TYPE_CHECKING:
    from tl_base.backend import keras

FORMAT = "tl head 1"
PLAIN = ("kernel", "bias", "mean", "scale", "class_names", "backbone", "size", "format")
LAST = ("last_kernel", "last_bias")  # of the network's last convolution, where it was trained too
REMEDY = "Export the head on the page once more."
MOST_CLASSES = 1000


def with_head(file: files.PathLike) -> "keras.Model":
    """Put a head that was trained on the page behind the network again.

    Parameters
    ----------
    file : path-like
        The ``.npz`` that the page exports.

    Returns
    -------
    keras.Model
        Photographs ``(N, height, width, 3)``, values 0 to 255, to logits ``(N, classes)``: the page's, but for
        rounding. The classes are in the order of ``class_names`` in the file.

    Raises
    ------
    DataError
        If this is no such file, or what is in it does not belong together.

    Notes
    -----
    The page shows the network the middle square of a photograph at 128 × 128 pixels, as ``data.from_folder(…,
    size=128)`` does. Taught in: chapter 8.1 (Photograph it, transfer it).
    """
    path = Path(file)
    keys = PLAIN + LAST if _has_last(path) else PLAIN
    arrays = npz.read(path, keys, lambda headers: _check_headers(path, headers), REMEDY)
    _check(path, arrays)
    source = models.pretrained("imagenet", size=_only(arrays["size"]))
    if LAST[0] in arrays:
        _set_last(source, arrays)
    every = len(models.weight_layers(source))
    model = transfer.target_network(source, classes=arrays["bias"].size, copy=every, standardise=True)
    scaling = model.get_layer("standardise")
    scaling.adapt_mean.assign(arrays["mean"])
    scaling.adapt_variance.assign(np.square(arrays["scale"]))
    scaling.finalize_state()
    model.get_layer("head").set_weights([arrays["kernel"], arrays["bias"]])
    return model


def _has_last(path: Path) -> bool:
    """Tell whether the last convolution was trained too; what is no archive is refused where it is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{LAST[0]}.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _check_headers(path: Path, headers: dict[str, npz.Header]) -> None:
    """Refuse arrays that do not belong together, before memory is claimed for them."""
    classes = headers["class_names"][0][0] if headers["class_names"][0] else 0
    if not 2 <= classes <= MOST_CLASSES:
        raise wrong(f"the names of 2 to {MOST_CLASSES} classes in {path}", str(classes), REMEDY)
    shapes = {"kernel": (FEATURES, classes), "bias": (classes,), "mean": (FEATURES,), "scale": (FEATURES,)}
    shapes |= {"last_kernel": (STAGES[-1].channels, FEATURES), "last_bias": (FEATURES,)}
    for name, shape in shapes.items():
        found = headers.get(name)
        if found and (found[0] != shape or found[1] != np.float32):
            told = f"{found[1]} of shape {found[0]}"
            raise wrong(f"{name} of {path} as float32 of shape {shape}", told, REMEDY)
    for name in ("backbone", "size", "format"):
        if prod(headers[name][0]) != 1:
            raise wrong(f"one {name} in {path}", f"an array of shape {headers[name][0]}", REMEDY)


def _only(array: np.ndarray) -> Any:
    return array.reshape(-1)[0].item()


def _check(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Refuse a file of another program, and numbers that cannot be computed with."""
    for name, expected in (("format", FORMAT), ("backbone", "imagenet")):
        if _only(arrays[name]) != expected:
            raise wrong(f"the {name} {expected!r} in {path}", repr(_only(arrays[name])), REMEDY)
    for name, array in arrays.items():
        if array.dtype == np.float32 and not np.isfinite(array).all():
            raise wrong(f"finite numbers in {name} of {path}", "some that are not", REMEDY)
    if not (arrays["scale"] > 0).all():
        raise wrong(f"a scale above 0 for each feature in {path}", str(arrays["scale"].min()), REMEDY)


def _set_last(source: "keras.Model", arrays: dict[str, np.ndarray]) -> None:
    """Set the last convolution; its normalisation is in its weights already, so that the layer does nothing else."""
    convolution, normal = (source.get_layer(name) for name in ("top_conv", "top_normal"))
    convolution.set_weights([arrays["last_kernel"][None, None]])
    ones, zeros = np.ones(FEATURES, "float32"), np.zeros(FEATURES, "float32")
    normal.set_weights([ones, arrays["last_bias"], zeros, ones - np.float32(EPSILON)])
