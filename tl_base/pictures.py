"""Images as people have them, brought into one format: one size, three channels, uint8.

Taught in: chapter 4 (Worked example).
"""

import math
import numbers
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageFile, ImageOps

SIDE = 32  # of the images that the book's source networks take
LARGEST_SIDE = 4096  # of what is made; what is read may be larger
LONGEST = 100  # times as long as wide: rows of pixels that should have been reshaped are longer
TENTH = 25  # of the range from 0 to 255
BRIGHTEST = (16, 100, 255, 1023, 4095, 16383, 65535)  # what a pixel can have at most: digits, per cent, 8 to 16 bits

Images: TypeAlias = ArrayLike | Iterable[Any]  # an array of images, or images one by one
Size: TypeAlias = int | tuple[int, int]  # a side, or height and width
Pixels: TypeAlias = NDArray[np.uint8]  # (N, H, W, C), from 0 to 255
Looks: TypeAlias = list[tuple[int, int, int]]  # of each image: darkest value, brightest value, a fingerprint
Fitted: TypeAlias = tuple[Pixels, Looks]


class DataError(ValueError):
    """Data are broken or do not fit. The message says what was expected, what was found and what to do."""


class DataWarning(UserWarning):
    """Data fit, but look like an accident. The message says what was found and what to do."""


def wrong(expected: str, found: str, remedy: str, kind: type[DataError] = DataError) -> DataError:
    """Return an error in the form that all errors about data have."""
    return kind(f"Expected {expected}; found {found}. {remedy}")


def to_source_format(images: Images, size: Size = SIDE) -> Pixels:
    """Bring images into a source network's format: one size, three channels, uint8.

    Images that fill 7/8 of a side or more (28 to 32 pixels of 32) are centred on black; those of MNIST keep every
    pixel. All others are first padded with black to the proportions of `size` and resized (bicubic, smoothed where they
    shrink). Grey becomes three equal channels.

    Parameters
    ----------
    images : array-like, or iterable of images
        An array of shape (N, H, W), or (N, H, W, C) with C = 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and
        alpha). Or PIL images of any mode, paths of image files, or arrays (H, W) or (H, W, C); these may be mixed and
        of several sizes.
    size : int or (int, int)
        Side, or height and width, of the result: what the source network takes.

    Returns
    -------
    ndarray, shape (N, height, width, 3), uint8
        New and read-only. Grey images are stored once (a broadcast view).

    Raises
    ------
    DataError
        If these are no images, a file cannot be read, or it cannot be told which values are black and white.

    Notes
    -----
    *Values.* uint8 and PIL's modes of 8 bits are taken as they are, booleans as black and white. Of other numbers all
    images together decide: floats from 0 to 1; floats from −1 to 1 that come near both; whole numbers from 0 to 16 (as
    scikit-learn's digits); numbers from 0 to more than 127 and at most 255; whole numbers from 0 to more than 32,767
    and at most 65,535 (16 bits). All else is refused.

    *Transparency* is composited on white, as on a sheet of paper. *Files* are turned as their EXIF orientation says,
    and so are PIL images as `PIL.Image.open` returns them; of an animation the first frame counts.

    Scaling to [0, 1] is the first layer of the model and not done here. Taught in: chapter 4 (Worked example).
    """
    return converted(images, size)[0]


def converted(images: Images, size: Size, look: bool = False) -> Fitted:
    """Convert as `to_source_format` does; if asked, look at each image for `question`.

    Parameters
    ----------
    images, size
        As for `to_source_format`.
    look : bool

    Returns
    -------
    ndarray
        As from `to_source_format`.
    list of (int, int, int)
        Of each image, before it was fitted: darkest value, brightest value, a fingerprint. Empty if not asked for.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    height, width = sides(size)

    def fit(plain: Pixels) -> Fitted:
        return _fit(plain, height, width), _looks(plain) if look else []

    items = _items(images)
    if items is None:
        array = _array(images)
        parts = [fit(_plain([array.reshape(*array.shape[:3], -1)])[0])]
    else:
        fitted, waiting = _read(items, fit)
        for row, plain in zip(waiting, _plain(list(waiting.values())), strict=True):
            fitted[row] = fit(plain)
        parts = [fitted[row] for row in range(len(fitted))]
    if not parts:
        raise wrong("images", "none", "Pass at least one image.")
    channels = max(part.shape[3] for part, _ in parts)
    alike = [np.broadcast_to(part, (*part.shape[:3], channels)) for part, _ in parts]
    whole = alike[0] if len(alike) == 1 else np.concatenate(alike)
    return np.broadcast_to(whole, (len(whole), height, width, 3)), [look for _, looks in parts for look in looks]


def _looks(plain: Pixels) -> Looks:
    extremes = plain.min(axis=(1, 2, 3)).tolist(), plain.max(axis=(1, 2, 3)).tolist()
    return list(zip(*extremes, (hash(image.tobytes()) for image in plain), strict=True))


def question(looks: Looks, name: str) -> None:
    """Warn if images look as if something went wrong before they came here.

    Parameters
    ----------
    looks : list
        As from `converted`.
    name : str
        Of the data set.

    Notes
    -----
    Warns of a quarter of the images that are one and the same, nearly black or nearly of one shade, and of images that
    all use a tenth of the range. Taught in: chapter 4 (Worked example).
    """
    low, high, prints = (np.array(values) for values in zip(*looks, strict=True))
    count, oddities = len(looks), []
    print_of_most, same = Counter(prints.tolist()).most_common(1)[0]
    dark, plain = high <= TENTH, high - low <= TENTH
    row = int(np.argmax(prints == print_of_most))
    if 4 * same >= count:
        oddities.append(f"{same:,} of them are one and the same image (the first is number {row})")
    if 4 * dark.sum() >= count:
        oddities.append(f"{dark.sum():,} are nearly black (no value above {TENTH} of 255)")
    elif high.max() - low.min() <= TENTH:
        oddities.append(f"all their values lie between {low.min()} and {high.max()} of 255")
    elif 4 * plain.sum() >= count:
        oddities.append(f"{plain.sum():,} are nearly of one shade (their values differ by {TENTH} of 255 at most)")
    if not oddities:
        return
    if 4 * same < count:
        row = int(np.argmax(dark if dark.any() else plain))
    warnings.warn(
        f"{name!r} has {count:,} images: {', and '.join(oddities)}. Look at one before you train, with "
        f"matplotlib.pyplot.imshow(dataset.images[{row}]). If it should look otherwise, the values are on another "
        "scale than expected (pass floats from 0 to 1), or it is white on transparent (composite it on black).",
        DataWarning,
        stacklevel=3,
    )


def sides(size: Size) -> tuple[int, int]:
    """Return the height and width that a size means.

    Parameters
    ----------
    size : int or (int, int)

    Returns
    -------
    (int, int)

    Raises
    ------
    DataError
        If they are no whole numbers of pixels.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    pair = size if isinstance(size, (tuple, list)) else (size, size)
    whole = all(isinstance(side, numbers.Integral) and not isinstance(side, bool) for side in pair)
    if not whole or len(pair) != 2 or not all(1 <= side <= LARGEST_SIDE for side in pair):
        expected = f"size as a whole number of pixels from 1 to {LARGEST_SIDE:,}, or (height, width)"
        raise wrong(expected, repr(size), "Pass what the network takes, for instance size=96.")
    return int(pair[0]), int(pair[1])


# From whatever was given to arrays


ONE = (str, bytes, os.PathLike, Image.Image)


def _items(images: Images) -> Iterable[Any] | None:
    """Return the images one by one where they are PIL images, paths or of several kinds; None where an array holds all.

    What NumPy would make of a list of PIL images is wrong: of a palette image it takes the indices for shades.
    """
    several = "several images: an array, or a list of PIL images, paths or arrays"
    if isinstance(images, ONE):
        raise wrong(several, f"one: {_short(images)}", "Pass a list of one: [image].")
    if isinstance(images, (Mapping, Set)):
        if isinstance(images, Set):
            raise wrong(several, "a set, which has no order", "Pass a list in the order of the labels.")
        raise wrong(several, f"a mapping with the keys {_short(list(images))}", "Pass one entry: images[key].")
    if hasattr(images, "__array__") or isinstance(images, memoryview):
        array = _as_array(images, several)
        return array.tolist() if array.dtype.kind in "OSUT" and array.ndim == 1 else None
    if not isinstance(images, (list, tuple)):
        return images if isinstance(images, Iterable) else None
    if any(item is None or isinstance(item, ONE) for item in images):
        return images
    try:
        np.asarray(images)
    except ValueError:  # of several sizes, or channels
        return images
    return None


def _read(items: Iterable[Any], fit: Callable[[Pixels], Fitted]) -> tuple[dict[int, Fitted], dict[int, np.ndarray]]:
    """Fit each item whose mode says what its values mean; return the others, (1, H, W, C), unfitted. Both by row.

    Fitted at once, photographs need not all be held in memory; numbers wait until it is known how large they get.
    """
    fitted, waiting = {}, {}
    for row, item in enumerate(items):
        from_file = isinstance(item, (str, os.PathLike))
        where = f"image {row} ({item})" if from_file else f"image {row}"
        if from_file or isinstance(item, Image.Image):
            pixels = _of_file(item, where) if from_file else _of_pil(item, where)
            if pixels.dtype == np.uint8:
                fitted[row] = fit(_flattened(pixels.reshape(1, *pixels.shape[:2], -1)))
                continue
        else:
            pixels = _of_numbers(item, where)
        waiting[row] = pixels.reshape(1, *pixels.shape[:2], -1)
    return fitted, waiting


def _of_file(path: str | os.PathLike[str], where: str) -> np.ndarray:
    """Read an image file; its orientation is honoured."""
    try:
        with Image.open(Path(path).expanduser()) as image:
            return _of_pil(image, where)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise wrong("an image file", f"no file for {where}", "Give whole paths: folder / name.") from error
    except Exception as error:  # damage makes Pillow raise errors of a dozen classes
        remedy = "Look whether a viewer opens it; copy it again, save it as PNG or JPEG, or leave it out."
        raise wrong("a readable image file", f"{type(error).__name__} for {where}: {error}", remedy) from error


def _of_pil(image: Image.Image, where: str) -> np.ndarray:
    """Return the pixels of a PIL image: uint8 if its mode has 8 bits or fewer, else its numbers."""
    try:
        if isinstance(image, ImageFile.ImageFile):  # as opened; what was made of it since is as its maker wants it
            image = ImageOps.exif_transpose(image)
        image.load()
    except (OSError, ValueError) as error:  # cut off, or its file was closed
        raise wrong("a whole image", f"{error} for {where}", "Open it again, or leave it out.") from error
    grey = image.mode in ("1", "L", "LA", "La")
    if image.mode[0] in "IF":
        if "transparency" in image.info:
            remedy = "Pass numpy.asarray(image): that takes the shade as it is."
            raise wrong("no transparent shade where a grey value has 16 bits", f"one in {where}", remedy)
        return np.asarray(image)
    if image.has_transparency_data:
        return np.asarray(image.convert("LA" if grey else "RGBA"))
    return np.asarray(image.convert("L" if grey else "RGB"))


def _of_numbers(item: Any, where: str) -> np.ndarray:
    """Return an item that is neither a PIL image nor a path as an array (H, W) or (H, W, C)."""
    expected = "each image as a PIL image, a path or an array (height, width) or (height, width, channels)"
    if isinstance(item, bytes):
        remedy = "If it is the content of a file, pass PIL.Image.open(io.BytesIO(item)); if a path, os.fsdecode(item)."
        raise wrong(expected, f"bytes as {where}", remedy)
    if isinstance(item, (numbers.Number, Mapping, tuple)) or not (hasattr(item, "__array__") or np.iterable(item)):
        remedy = "Leave out what is missing; if each item is a pair of image and label, take them apart first."
        raise wrong(expected, f"{_short(item)} as {where}", remedy)
    pixels = _as_array(item, expected)
    _check_shape((1, *pixels.shape) if pixels.ndim != 2 else (1, *pixels.shape, 1))
    _check_numbers(pixels[None], where)
    return pixels


def _as_array(images: Any, expected: str) -> np.ndarray:
    if np.ma.is_masked(images):
        raise wrong(expected, "masked pixels", "Say what they are: images.filled(0) makes them black.")
    try:
        return np.asarray(images)
    except (TypeError, ValueError) as error:
        raise wrong(expected, str(error), "Pass NumPy arrays, of one size, or PIL images.") from error


def _array(images: Images) -> np.ndarray:
    """Return images that one array holds."""
    array = _as_array(images, "images as an array")
    if array.dtype.kind in "biuf":
        _check_shape(array.shape)
    _check_numbers(array, "")
    return array


def _check_shape(shape: tuple[int, ...]) -> None:
    expected = "images of shape (N, height, width) or (N, height, width, C) with 1 to 4 channels"
    remedy = ""
    if shape[:1] == (0,):
        remedy = "Pass at least one image."
    elif len(shape) == 2:
        side, in_colour = math.isqrt(shape[1]), math.isqrt(shape[1] // 3)
        guess = "(-1, height, width)"
        if side * side == shape[1] > 1:
            guess = f"(-1, {side}, {side})"
        elif 3 * in_colour * in_colour == shape[1] > 3:  # as the files of CIFAR-10 have them
            guess = f"(-1, 3, {in_colour}, {in_colour}).transpose(0, 2, 3, 1)"
        remedy = (
            f"If each row is an image, pass numpy.asarray(images).reshape{guess}; if all is one image, "
            "numpy.asarray(images)[None]."
        )
    elif len(shape) == 3 and 1 <= shape[2] <= 4:
        remedy = (
            "If this is one image, pass numpy.asarray(images)[None]; if these are images so narrow, "
            "numpy.asarray(images)[..., None]."
        )
    elif len(shape) > 4:
        remedy = "If these are batches, join them: numpy.concatenate(list(images))."
    elif len(shape) < 3:
        remedy = "Pass a list of PIL images, of paths or of arrays (height, width)."
    elif len(shape) == 4 and not 1 <= shape[3] <= 4:
        remedy = "If the channels come first, pass numpy.moveaxis(images, 1, -1)."
    elif min(shape[1:3]) < 1 or max(shape[1:3]) > LONGEST * min(shape[1:3]):
        remedy = (
            f"No image is more than {LONGEST} times as long as wide. If each row is an image, pass "
            "numpy.asarray(images).reshape(-1, height, width)."
        )
    if remedy:
        raise wrong(expected, f"shape {shape}", remedy)


def _check_numbers(array: np.ndarray, where: str) -> None:
    """Raise unless an array (N, …) holds finite numbers."""
    expected = "pixels as finite numbers" + (f" in {where}" if where else "")
    if array.dtype.kind not in "biuf":
        remedy = (
            "Give the pixels as numbers: numpy.asarray(images).astype('float32') where they are; of a table with paths "
            "pass the one column."
        )
        raise wrong(expected, str(array.dtype), remedy)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        rows = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))[:9].tolist()
        found = "NaN or infinity" + ("" if where else f" in images {rows}")
        raise wrong(expected, found, "Mend these images or drop them.")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


# From numbers to bytes


def _plain(arrays: Sequence[np.ndarray]) -> list[Pixels]:
    """Return arrays (N, H, W, C) as uint8 from 0 to 255 with one or three channels.

    Which range the numbers are in, all arrays of one type decide together.
    """
    result = list(arrays)
    for dtype in {array.dtype for array in arrays}:
        rows = [row for row, array in enumerate(arrays) if array.dtype == dtype]
        for row, values in zip(rows, _bytes([arrays[row] for row in rows]), strict=True):
            result[row] = values
    with_alpha = [array for array in result if array.shape[3] in (2, 4)]
    if with_alpha and max(array[..., -1].max() for array in with_alpha) < 255:
        highest = max(array[..., -1].max() for array in with_alpha)
        remedy = (
            "Pass PIL images, which say whether the four channels are CMYK, or the colours alone: "
            "numpy.asarray(images)[..., :-1]."
        )
        raise wrong("an alpha channel that is opaque somewhere", f"a last channel up to {highest} of 255", remedy)
    return [_flattened(array) for array in result]


def _bytes(arrays: list[np.ndarray]) -> list[Pixels]:
    """Return arrays of one type as uint8 from 0 to 255."""
    dtype = arrays[0].dtype
    if dtype.kind == "b":
        return [array * np.uint8(255) for array in arrays]
    low, high = min(array.min() for array in arrays).item(), max(array.max() for array in arrays).item()
    if dtype == np.uint8 and high != 1:  # 0 and 1 alone would be black on black
        return arrays
    alpha = any(array.shape[3] in (2, 4) for array in arrays)
    scale: float | np.float32  # float32: half precision is too coarse for 255
    offset: float = 0
    if dtype.kind == "f" and low >= 0 and high <= 1:
        scale = np.float32(255)
    elif dtype.kind == "f" and -1 <= low <= -0.95 and 0.95 <= high <= 1 and not alpha:
        scale, offset = np.float32(127.5), 127.5
    elif low >= 0 and 127 < high <= 255:
        scale = 1
    elif low >= 0 and high == 16 and _are_whole(arrays):
        scale = 255 / 16
    elif low >= 0 and 32767 < high <= 65535 and _are_whole(arrays):
        scale = 255 / 65535
    else:
        found = f"{dtype} from {low:g} to {high:g}"
        raise wrong("pixels from 0 to 255, or floats from 0 to 1", found, _remedy(dtype, low, high))
    return [np.rint(array * scale + offset).astype(np.uint8) for array in arrays]


def _are_whole(arrays: list[np.ndarray]) -> bool:
    return all(np.array_equal(array, np.rint(array)) for array in arrays)


def _remedy(dtype: np.dtype, low: float, high: float) -> str:
    """Say what to do with numbers of which it cannot be told what is black and what is white."""
    if dtype.kind != "f" and low >= 0 and high == 1:
        return "If 1 is white, pass numpy.asarray(images).astype(bool)."
    for top in (1, 255):
        if dtype.kind == "f" and -top / 4 < low < 0.99 * top < high < 1.25 * top:
            return f"If they only just leave 0 to {top}, as after resizing, pass numpy.clip(images, 0, {top})."
    if low < 0:
        return (
            "If they were standardised, multiply by the deviation and add the mean again. If the lowest is black and "
            "the highest white, take x = numpy.asarray(images, float) and pass (x - x.min()) / (x.max() - x.min())."
        )
    guess = next((top for top in BRIGHTEST if high <= top), f"{high:g}")
    return (
        f"Divide by the brightest value that a pixel can have, here perhaps {guess}: numpy.asarray(images) / {guess}."
    )


def _flattened(images: Pixels) -> Pixels:
    """Composite uint8 images (N, H, W, C) on white where their last channel is alpha."""
    if images.shape[3] not in (2, 4):
        return images
    alpha = images[..., -1:].astype(np.uint32)
    return ((images[..., :-1] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


# From any size to one


def _fit(images: Pixels, height: int, width: int) -> Pixels:
    """Bring uint8 images (N, H, W, C) to one size."""
    rows, columns = images.shape[1:3]
    if rows > height or columns > width or (8 * rows < 7 * height and 8 * columns < 7 * width):
        images = _resized(images, height, width)
    return _centred(images, height, width)


def _centred(images: Pixels, height: int, width: int) -> Pixels:
    """Paint images (N, H, W, C) in the middle of black ones."""
    count, rows, columns, channels = images.shape
    top, left = (height - rows) // 2, (width - columns) // 2
    painted = np.zeros((count, height, width, channels), np.uint8)
    painted[:, top : top + rows, left : left + columns] = images
    return painted


def _resized(images: Pixels, height: int, width: int) -> Pixels:
    """Pad images (N, H, W, C) to the proportions of height and width, and resize them."""
    rows, columns, channels = images.shape[1:]
    padded = max(rows, round(columns * height / width)), max(columns, round(rows * width / height))
    result = np.empty((len(images), height, width, channels), np.uint8)
    for row in range(len(images)):
        [canvas] = _centred(images[row : row + 1], *padded)
        image = Image.fromarray(canvas.squeeze(axis=2) if channels == 1 else canvas)
        result[row] = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC)).reshape(height, width, -1)
    return result
