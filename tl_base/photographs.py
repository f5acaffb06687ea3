"""One photograph as people have it, brought to the size that a network takes: turned, smoothed, in bounded memory.

Taught in: chapter 7 (Your own photographs).
"""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from tl_base.pictures import DataError, wrong
from tl_base.twins import THUMB

FITS = ("crop", "pad", "stretch")  # how a picture gets other proportions
MOST_PIXELS = 256 * 10**6  # that are unpacked: 1 GB. A JPEG is unpacked at the fraction of its size that is needed
NOT_READ = {"EPS", "WMF", "FPX", "MIC"}  # formats that Pillow opens with another program, or that draw
RAW = {".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw"}  # Pillow sees a preview
ORIENTATION = 0x0112  # the EXIF tag: how the camera was held
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)  # width and height change places


class NoPictureError(DataError):
    """A file holds no picture: nothing is lost where it is left out."""


@dataclass(frozen=True)
class Photograph:
    """A photograph that was read.

    Attributes
    ----------
    pixels : ndarray, shape (height, width, 1) or (height, width, 3), uint8
        Fitted.
    thumb : ndarray, shape (32, 32, 3), uint8
        All of it, made square: the same whatever it was fitted to.
    size : (int, int)
        Width and height in its file, as it is looked at.
    """

    pixels: NDArray[np.uint8]
    thumb: NDArray[np.uint8]
    size: tuple[int, int]


def read(path: Path, height: int, width: int, fit: str = "crop") -> Photograph:
    """Read one photograph; inside of `reading`, if it may be large.

    Parameters
    ----------
    path : pathlib.Path
    height, width : int
        Of the result, pixels.
    fit : {"crop", "pad", "stretch"}
        The middle at the proportions asked for; or all of it, framed in black; or all of it, pulled to them.

    Returns
    -------
    Photograph

    Raises
    ------
    NoPictureError
        If it is none, by its content and its name.
    DataError
        If it is a picture that cannot be read. The message is the reason alone: lower case, without the name.

    Notes
    -----
    Smoothed where it shrinks (bicubic, of all pixels under it). Transparency is composited on white. Taught in:
    chapter 7 (Your own photographs).
    """
    try:
        if path.suffix.lower() in RAW:
            raise DataError("a camera's raw file: save it as JPEG with the camera's program")
        with Image.open(path, formats=[name for name in _formats() if name not in NOT_READ]) as image:
            turn = image.getexif().get(ORIENTATION, 1)
            seen = image.size[::-1] if turn in SIDEWAYS else image.size
            target = (height, width) if turn in SIDEWAYS else (width, height)
            return Photograph(*_fitted(_unpacked(image, target), target, TURNS.get(turn), fit), seen)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise _unknown(path) from error
    except Exception as error:  # damage makes Pillow raise errors of a dozen classes
        raise DataError(f"damaged ({_said(error)})") from error


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Let Pillow open large pictures without a warning: `read` has its own limit, of what is unpacked.

    Yields
    ------
    None

    Notes
    -----
    Warnings of Pillow about odd but readable files stay unsaid, too. Taught in: chapter 7 (Your own photographs).
    """
    most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = most


def check_fit(fit: str) -> None:
    """Raise unless `fit` is one of the ways.

    Parameters
    ----------
    fit : str

    Raises
    ------
    DataError
        If it is not.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    if fit not in FITS:
        raise wrong(f"fit as one of {', '.join(FITS)}", repr(fit), 'Leave it out for "crop".')


def _formats() -> list[str]:
    Image.init()
    return Image.ID


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:120]}" if text else type(error).__name__


def _unknown(path: Path) -> DataError:
    """Say why a file is no picture that Pillow knows."""
    suffix = path.suffix.lower()
    if path.stat().st_size == 0:
        return DataError("an empty file (0 bytes)")
    if suffix in (".heic", ".heif"):
        return DataError("HEIC, which Pillow cannot read: save it as JPEG, or install pillow-heif and register it")
    if suffix in Image.registered_extensions():
        return DataError(f"damaged (its name ends in {suffix}, its content is no picture)")
    return NoPictureError(f"no picture ({suffix or 'no suffix'})")


def _unpacked(image: Image.Image, target: tuple[int, int]) -> Image.Image:
    """Return the pixels with 8 bits, grey or RGB; a JPEG, and then any other, no larger than needed."""
    scale = max(target[0] / image.size[0], target[1] / image.size[1])
    enough = [2 * max(side, THUMB) for side in (round(scale * image.size[0]), round(scale * image.size[1]))]
    image.draft(None, (enough[0], enough[1]))  # of a JPEG alone: a half, a quarter or an eighth of it
    if image.size[0] * image.size[1] > MOST_PIXELS:
        raise DataError(f"{image.size[0]:,} × {image.size[1]:,} pixels, more than {MOST_PIXELS:,}: make it smaller")
    image.load()
    if image.mode[0] in "IF":
        return _of_16_bits(image)
    if image.mode in ("1", "P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB" if image.mode[0] == "P" else "L")
    factor = min(image.size[0] // enough[0], image.size[1] // enough[1])
    if factor > 1 and "transparency" not in image.info:
        image = image.reduce(factor)
    grey = image.mode in ("L", "LA", "La")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if grey else "RGB")


def _of_16_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    high = values.max()
    if "transparency" in image.info or image.mode == "F" or values.min() < 0 or not 32767 < high <= 65535:
        found = f"values up to {high:g}" + (", one of them transparent" if "transparency" in image.info else "")
        raise DataError(f"more than 8 bits, and it cannot be told which value is white ({found}): save it with 8 bits")
    return Image.fromarray(np.rint(values / 257).astype(np.uint8))


def _fitted(
    image: Image.Image, target: tuple[int, int], turn: Image.Transpose | None, fit: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a picture's pixels at the target's size, and its thumbnail; both turned."""
    (across, down), (width, height) = image.size, target
    box = (0.0, 0.0, float(across), float(down))
    inner = target
    if fit == "crop":
        scale = min(across / width, down / height)
        left, top = max(0.0, across - scale * width) / 2, max(0.0, down - scale * height) / 2  # rounding
        box = (left, top, across - left, down - top)
    elif fit == "pad":
        scale = min(width / across, height / down)
        inner = max(1, round(scale * across)), max(1, round(scale * down))
    small = image.resize(inner, Image.Resampling.BICUBIC, box=box)
    if inner != target:
        canvas = Image.new(image.mode, target)
        canvas.paste(small, (round((width - inner[0]) / 2), round((height - inner[1]) / 2)))  # as ImageOps.pad
        small = canvas
    thumb = image.convert("RGB").resize((THUMB, THUMB), Image.Resampling.BOX)
    if turn is not None:
        small, thumb = small.transpose(turn), thumb.transpose(turn)
    pixels = np.asarray(small)
    return pixels.reshape(*pixels.shape[:2], -1), np.asarray(thumb)
