"""Images as people have them: what is converted, what is refused, what is questioned."""

import array
import io
import os
import time
import warnings
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tl_experiments import perturbations
from tl_helpers import data

REAL = os.environ.get("TL_DATA_DIR")
quick = settings(max_examples=60, deadline=None, database=None)


def colours(side=40, seed=0):
    """Make a smooth picture (side, side, 3) in which no two corners and no two channels are alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), np.uint8)
    coarse[0, 0], coarse[2, 2], coarse[0, 2] = (0, 0, 0), (255, 255, 255), (250, 60, 10)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BILINEAR))


def grey(side=40, seed=0):
    return np.asarray(Image.fromarray(colours(side, seed)).convert("L"))


def near(found, expected, most):
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= most


def converted(image, **options):
    return data.to_source_format([image], **options)[0]


def in_rgb(pixels):
    """Convert with what the first edition of these tests trusted: an array (H, W, 3) or (H, W), uint8."""
    return data.to_source_format(pixels[None])[0]


# --- The format ------------------------------------------------------------------------------------------------------


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 70), st.integers(1, 70)),
    channels=st.sampled_from([None, 1, 3]),
    dtype=st.sampled_from([np.uint8, np.float16, np.float32, np.float64]),
    seed=st.integers(0, 99),
)
@quick
def test_any_legal_images_come_out_in_the_format(shape, channels, dtype, seed):
    if channels is None and shape[2] <= 4:  # would be one image with channels
        channels = 1
    values = np.random.default_rng(seed).integers(0, 256, (*shape, *([channels] if channels else [])), dtype=np.uint8)
    values.flat[0] = 255
    images = values if dtype == np.uint8 else (values / 255).astype(dtype)
    result = data.to_source_format(images)
    assert (result.shape, result.dtype) == ((shape[0], 32, 32, 3), np.uint8)
    assert not result.flags.writeable
    assert not np.may_share_memory(result, images)
    assert np.array_equal(result, data.to_source_format(values))
    assert channels == 3 or np.array_equal(result[..., 0], result[..., 2])
    height, width = shape[1:]
    if 28 <= max(height, width) <= 32:
        top, left = (32 - height) // 2, (32 - width) // 2
        kept = result[:, top : top + height, left : left + width]
        assert np.array_equal(kept, np.broadcast_to(values.reshape(*shape, -1), kept.shape))
        assert result.sum(dtype=int) == kept.sum(dtype=int)


@pytest.mark.parametrize("side", [1, 8, 27, 28, 31, 32, 33, 64, 512])
def test_a_plain_image_stays_plain_and_its_colours_stay_in_place(side):
    result = data.to_source_format(np.full((2, side, side, 3), (200, 100, 50), np.uint8))
    edge = (32 - side) // 2 if 28 <= side <= 32 else 0
    inner = result[:, edge : edge + min(side, 32), edge : edge + min(side, 32)] if edge else result[:, :28, :28]
    assert np.all(inner == (200, 100, 50))


@pytest.mark.parametrize("side", [8, 16, 30, 40, 100])
@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_nothing_is_turned_or_mirrored(side, corner):
    image, half = np.zeros((1, side, side), np.uint8), side // 2
    rows, columns = (slice(0, half) if c == 0 else slice(half, None) for c in corner)
    image[0, rows, columns] = 255
    brightness = data.to_source_format(image)[0, ..., 0].reshape(2, 16, 2, 16).mean(axis=(1, 3))
    assert np.unravel_index(brightness.argmax(), (2, 2)) == corner
    assert brightness.max() > 5 * np.sort(brightness.ravel())[2]


@pytest.mark.parametrize("shape", [(1, 20, 80), (1, 80, 20)])
def test_a_long_image_keeps_its_proportions(shape):
    result = data.to_source_format(np.full(shape, 255, np.uint8))[0, ..., 0] > 128
    sides = result.any(axis=1).sum(), result.any(axis=0).sum()
    assert sorted(sides) == [8, 32]
    assert (sides[0] < sides[1]) == (shape[1] < shape[2])


def test_shrinking_smooths():
    stripes = np.zeros((1, 128, 128), np.uint8)
    stripes[:, :, ::2] = 255
    inside = data.to_source_format(stripes)[0, 4:28, 4:28, 0]
    assert np.all(np.abs(inside.astype(int) - 127) < 8)


@given(shape=st.tuples(st.integers(1, 90), st.integers(1, 90)), size=st.tuples(st.integers(1, 90), st.integers(1, 90)))
@quick
def test_any_size_is_made_and_keeps_the_proportions(shape, size):
    [found] = data.to_source_format(np.full((1, *shape, 1), 255, np.uint8), size)
    assert found.shape == (*size, 3)
    bright = found[..., 0] > 100
    rows, columns = bright.any(axis=1).sum(), bright.any(axis=0).sum()
    if (7 * size[0] <= 8 * shape[0] <= 8 * size[0] or 7 * size[1] <= 8 * shape[1] <= 8 * size[1]) and (
        shape[0] <= size[0] and shape[1] <= size[1]
    ):
        assert (rows, columns) == shape  # not resized
    elif rows > 4 and columns > 4:
        assert rows == size[0] or columns == size[1]
        assert abs(rows * shape[1] - columns * shape[0]) <= 2 * max(shape)


def test_a_size_for_another_network():
    picture = colours(96)
    assert np.array_equal(converted(picture, size=96), picture)
    assert np.array_equal(converted(picture[:64], size=(64, 96)), picture[:64])
    assert np.array_equal(converted(Image.fromarray(picture), size=np.int64(96)), picture)
    near(converted(picture, size=48), picture.reshape(48, 2, 48, 2, 3).mean(axis=(1, 3)), 2)


@pytest.mark.parametrize("size", [0, -1, 32.0, True, "96", None, (32,), (32, 32, 3), (32, 0), 10**6])
def test_a_size_is_one_or_two_whole_numbers(size):
    with pytest.raises(data.DataError, match="size as a whole number of pixels"):
        converted(colours(), size=size)
    with pytest.raises(data.DataError, match="for instance size=96"):
        data.from_arrays([colours()] * 6, [0, 1] * 3, size=size)
    assert converted(colours(), size=96).shape == (96, 96, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_data_set_of_another_size_is_split_and_changed_like_any_other(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 50, 70, channels), np.uint8)
    mine = data.from_arrays(pixels, np.arange(60) % 3, size=(48, 64))
    assert mine.images.shape == (60, 48, 64, 3)
    assert (mine.images.strides[-1] == 0) == (channels == 1)
    split = data.few_shot(mine, 4, 0)
    assert split.train.images.shape == (12, 48, 64, 3)
    assert split.train.images.strides[-1] == mine.images.strides[-1]
    assert perturbations.shifted(split.test, "rotated").images.shape == split.test.images.shape
    assert data.only(mine, ["0", "2"]).images.shape == (40, 48, 64, 3)
    assert data.full_split(mine).validation.rows(0).images.shape == (1, 48, 64, 3)


def test_seventy_thousand_images_take_well_under_a_second():
    images = np.full((70_000, 28, 28), 9, np.uint8)
    begin = time.process_time()
    result = data.to_source_format(images)
    assert time.process_time() - begin < 1
    assert result.base.nbytes == 70_000 * 32 * 32


# --- PIL images and files --------------------------------------------------------------------------------------------

COLOUR_MODES = {"RGB": 0, "RGBX": 0, "RGBA": 0, "RGBa": 0, "CMYK": 1, "YCbCr": 5, "HSV": 6, "LAB": 6, "P": 30, "PA": 0}
GREY_MODES = {"L": 0, "LA": 0, "La": 0, "I": 0, "F": 0}
FILES = {"a.png": 0, "b.bmp": 0, "c.jpg": 30, "d.gif": 40, "e.webp": 40, "f.tif": 0, "g.ppm": 0}


@pytest.mark.parametrize("mode", COLOUR_MODES)
def test_colour_modes_are_colours(mode):
    picture = Image.fromarray(colours())
    if mode == "PA":
        picture = picture.quantize(250)
        expected = np.asarray(picture.convert("RGB"))
    else:
        expected = colours()
    if mode == "RGBa":
        picture = picture.convert("RGBA")
    if mode == "P":
        picture = picture.quantize(250)
    near(converted(picture.convert(mode)), in_rgb(expected), COLOUR_MODES[mode])


@pytest.mark.parametrize("mode", GREY_MODES)
def test_grey_modes_are_grey(mode):
    picture = Image.fromarray(grey())
    if mode == "La":
        picture = picture.convert("LA")
    near(converted(picture.convert(mode)), in_rgb(grey()), GREY_MODES[mode])
    assert data.to_source_format([picture]).strides[-1] == 0  # stored once


def test_one_bit_is_black_and_white():
    ink = grey() > 128
    assert np.array_equal(converted(Image.fromarray(ink)), in_rgb(ink * np.uint8(255)))
    assert np.array_equal(converted(ink), in_rgb(ink * np.uint8(255)))


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "i4", "u4", "i8", "f4", "f8"])
def test_16_bits_are_scaled(dtype, tmp_path):
    deep = grey().astype(np.uint16) * 257
    assert np.array_equal(converted(deep.astype(dtype)), in_rgb(grey()))
    if dtype == "<u2":
        Image.fromarray(deep).save(tmp_path / "deep.png")
        with Image.open(tmp_path / "deep.png") as opened:
            assert opened.mode == "I;16"
            assert np.array_equal(converted(opened), in_rgb(grey()))
        assert np.array_equal(converted(tmp_path / "deep.png"), in_rgb(grey()))


def with_alpha(mode, kind):
    """Return a PIL image with an opaque left and a transparent right half, and what it looks like on white."""
    pixels, seen = Image.fromarray(colours()).convert(mode.rstrip("Aa") or "RGB"), None
    alpha = np.zeros((40, 40), np.uint8)
    alpha[:, :20] = 255
    if kind == "half":
        alpha[:, 20:] = 128
    picture = pixels.copy()
    picture.putalpha(Image.fromarray(alpha))
    share = alpha[..., None] / 255
    seen = np.asarray(pixels.convert("RGB")) * share + 255 * (1 - share)
    return picture, np.rint(seen).astype(np.uint8)


@pytest.mark.parametrize("kind", ["none", "half"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_white_paper(mode, kind):
    picture, seen = with_alpha(mode, kind)
    near(converted(picture), in_rgb(seen), 1)
    near(converted(np.asarray(picture)), in_rgb(seen), 1)
    near(converted(np.asarray(picture) / 255), in_rgb(seen), 1)
    near(converted(picture.convert(mode[:-1] + "a")), in_rgb(seen), 2)  # premultiplied


def test_black_ink_on_transparent_is_black_on_white():
    ink = np.zeros((40, 40, 4), np.uint8)
    ink[10:30, 15:25, 3] = 255
    expected = np.full((40, 40, 3), 255, np.uint8)
    expected[10:30, 15:25] = 0
    for given_as in (Image.fromarray(ink), ink, ink / 255, ink[..., 2:], Image.fromarray(ink[..., 2:])):
        assert np.array_equal(converted(given_as), in_rgb(expected))
    assert np.array_equal(data.to_source_format(np.stack([ink] * 3))[2], in_rgb(expected))


def test_transparent_shades_and_palettes_are_white_paper(tmp_path):
    shades = np.full((40, 40), 90, np.uint8)
    shades[:, 20:] = 7
    expected = in_rgb(np.where(shades == 7, 255, shades).astype(np.uint8))
    Image.fromarray(shades).save(tmp_path / "shade.png", transparency=7)
    assert np.array_equal(converted(tmp_path / "shade.png"), expected)
    palette = Image.fromarray(shades, "L").convert("P")
    palette.save(tmp_path / "palette.png", transparency=7)
    palette.save(tmp_path / "palette.gif", transparency=7)
    for name in ("palette.png", "palette.gif"):
        assert np.array_equal(converted(tmp_path / name), expected), name
    colour = np.stack([shades] * 3, axis=-1)
    Image.fromarray(colour).save(tmp_path / "rgb.png", transparency=(7, 7, 7))
    assert np.array_equal(converted(tmp_path / "rgb.png"), expected)


def test_a_palette_is_colours_and_its_indices_are_not_shades():
    """The first edition took a list of palette images for an array of their indices."""
    pictures = [Image.fromarray(colours(seed=seed)).quantize(250) for seed in range(6)]
    expected = np.stack([in_rgb(np.asarray(picture.convert("RGB"))) for picture in pictures])
    assert np.array_equal(data.to_source_format(pictures), expected)
    assert np.array_equal(data.from_arrays(pictures, [0, 1] * 3).images, expected)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", [str, Path, np.str_])
def test_files_are_read(tmp_path, name, kind):
    Image.fromarray(colours()).save(tmp_path / name)
    near(converted(kind(tmp_path / name)), in_rgb(colours()), FILES[name])


def test_a_file_in_the_home_folder_and_one_in_cmyk(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    Image.fromarray(colours()).convert("CMYK").save(tmp_path / "print.jpg", quality=98)
    near(converted("~/print.jpg"), in_rgb(colours()), 30)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stand_upright(tmp_path, orientation):
    upright = Image.fromarray(colours()[:30])
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # how the camera held it: numbers of Image.Transpose
    held = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[274] = orientation
    held.save(tmp_path / "photo.png", exif=exif)
    expected = in_rgb(colours()[:30])
    assert np.array_equal(converted(tmp_path / "photo.png"), expected)
    with Image.open(tmp_path / "photo.png") as opened:
        assert np.array_equal(converted(opened), expected)
        by_hand = PIL.ImageOps.exif_transpose(opened)
        assert np.array_equal(converted(by_hand), expected)  # and not turned a second time
        if orientation == 6:
            assert np.array_equal(converted(opened.rotate(-90, expand=True)), expected)


def test_of_an_animation_the_first_frame_counts(tmp_path):
    frames = [Image.fromarray(colours(seed=seed)) for seed in range(3)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "pages.tif", save_all=True, append_images=frames[1:])
    near(converted(tmp_path / "moving.gif"), in_rgb(colours(seed=0)), 40)
    assert np.array_equal(converted(tmp_path / "pages.tif"), in_rgb(colours(seed=0)))


def test_a_large_photograph_is_read_though_an_array_would_be_padded(tmp_path):
    Image.fromarray(colours(1500)[:1000]).save(tmp_path / "large.jpg", quality=95)
    near(converted(tmp_path / "large.jpg", size=96), converted(colours(1500)[:1000], size=96), 8)


def cut(path):
    path.write_bytes(path.read_bytes()[:-300])


def missing(path):
    path.unlink()


def folder_instead(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (cut, "a readable image file; found OSError .*image 1 .*cut off|truncated"),
        (missing, r"an image file; found no file for image 1 \(.*two.png\)"),
        (folder_instead, "a readable image file; found IsADirectoryError|PermissionError for image 1"),
        (lambda path: path.write_text("<html>Log in</html>"), "found UnidentifiedImageError for image 1"),
        (lambda path: path.write_bytes(b""), "found UnidentifiedImageError for image 1"),
        (lambda path: path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>"), "save it as PNG or JPEG"),
    ],
)
def test_a_file_that_is_no_image_is_named(tmp_path, break_it, message):
    paths = [tmp_path / name for name in ("one.png", "two.png", "three.png")]
    for seed, path in enumerate(paths):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)).save(path)
    break_it(paths[1])
    with pytest.raises(data.DataError, match=message) as caught:
        data.to_source_format(paths)
    assert type(caught.value) is data.DataError
    assert "two.png" in str(caught.value)
    assert len(data.to_source_format(paths[::2])) == 2  # "leave it out"


def test_an_opened_image_that_cannot_be_read_any_more_is_named(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "a.png")
    opened = Image.open(tmp_path / "a.png")
    opened.close()
    with pytest.raises(data.DataError, match=r"a whole image; found .* for image 1\. Open it again"):
        data.to_source_format([Image.new("L", (28, 28)), opened])
    cut(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened, pytest.raises(data.DataError, match="truncated for image 0"):
        data.to_source_format([opened])


# --- What holds the images -------------------------------------------------------------------------------------------


def several():
    return [colours(seed=seed) for seed in range(4)]


class Tensor:
    """What TensorFlow, PyTorch and JAX have in common."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)


HOLDERS = {
    "list": list,
    "tuple": tuple,
    "generator": lambda images: (image for image in images),
    "iterator": iter,
    "deque": deque,
    "values of a dict": lambda images: dict(enumerate(images)).values(),
    "array": np.stack,
    "tensor": lambda images: Tensor(np.stack(images)),
    "list of tensors": lambda images: [Tensor(image) for image in images],
    "nested lists": lambda images: [image.tolist() for image in images],
    "column": lambda images: pd.Series(list(images)),
    "array of objects": lambda images: np.array([None, *images], dtype=object)[1:],
    "PIL images": lambda images: [Image.fromarray(image) for image in images],
    "column of PIL images": lambda images: pd.Series([Image.fromarray(image) for image in images]),
    "generator of PIL images": lambda images: (Image.fromarray(image) for image in images),
    "of several kinds": lambda images: [Image.fromarray(images[0]), images[1], Image.fromarray(images[2]), images[3]],
    "of several modes": lambda images: [Image.fromarray(images[0]).convert("RGBA"), *images[1:]],
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_images_may_be_held_in_many_ways(holder):
    assert np.array_equal(data.to_source_format(HOLDERS[holder](several())), data.to_source_format(np.stack(several())))


@pytest.mark.parametrize("holder", [list, np.array, pd.Series, tuple, lambda paths: pd.Series(paths, dtype="str")])
def test_paths_may_be_held_in_many_ways(tmp_path, holder):
    paths = [str(tmp_path / f"{seed}.png") for seed in range(4)]
    for image, path in zip(several(), paths, strict=True):
        Image.fromarray(image).save(path)
    assert np.array_equal(data.to_source_format(holder(paths)), data.to_source_format(np.stack(several())))


def test_images_of_several_sizes_and_channels_are_each_brought_to_the_size(tmp_path):
    images = [
        colours(50)[:40],
        grey(28),
        colours(33),
        Image.fromarray(colours(20)).convert("P"),
        Image.new("1", (9, 40)),
    ]
    found = data.to_source_format(images)
    for row, image in enumerate(images):
        assert np.array_equal(found[row], converted(image)), row


def test_numbers_in_one_list_are_judged_together():
    """A dark image among bright ones is dark, not on another scale."""
    dark, bright = np.full((28, 28), 12, np.int64), np.linspace(0, 255, 784).astype(np.int64).reshape(28, 28)
    other = np.full((30, 28), 100, np.int64)
    found = data.to_source_format([dark, bright, other])
    assert found[0, 16, 16].tolist() == [12] * 3
    deep = [Image.fromarray(np.full((28, 28), shade, np.uint16)) for shade in (257, 65535, 514)]
    assert data.to_source_format(deep)[:, 16, 16, 0].tolist() == [1, 255, 2]


# --- Ranges of values ------------------------------------------------------------------------------------------------

SHADES = np.arange(256, dtype=np.uint8).repeat(4).reshape(1, 32, 32)
RANGES = {
    "floats to 1": SHADES / 255,
    "float32 to 1": SHADES / np.float32(255),
    "floats to 255": SHADES.astype(float),
    "float16 to 255": SHADES.astype(np.float16),
    "from -1 to 1": SHADES / 127.5 - 1,
    "float32 from -1 to 1": (SHADES / np.float32(127.5) - 1).astype(np.float32),
    "int64": SHADES.astype(np.int64),
    "int16": SHADES.astype(np.int16),
    "nested lists": SHADES.tolist(),
    "16 bits": SHADES.astype(np.uint16) * 257,
}


@pytest.mark.parametrize("kind", RANGES)
def test_the_usual_ranges_give_the_same_images(kind):
    assert np.array_equal(data.to_source_format(RANGES[kind])[..., 0], SHADES)


def test_the_digits_of_scikit_learn_are_taken_as_they_come():
    from sklearn.datasets import load_digits

    raw = load_digits().images
    expected = data.to_source_format(np.rint(raw * (255 / 16)).astype(np.uint8))
    assert expected.max() == 255
    for images in (raw, raw.astype(np.float32), raw.astype(int), raw.tolist()):
        assert np.array_equal(data.to_source_format(images), expected)


GREY = SHADES.astype(float) / 255
MNIST_LIKE = (GREY - 0.1307) / 0.3081
REFUSED = {  # images, what the message says was found, the remedy in it, what following that must give
    "0 to 16, largest missing": (np.rint(GREY * 15), "float64 from 0 to 15", "numpy.asarray(images) / 16", 15 / 16),
    "12 bits": ((GREY * 4095).astype(np.uint16), "uint16 from 0 to 4095", "numpy.asarray(images) / 4095", 1),
    "10 bits": ((GREY * 1000).astype(np.int32), "int32 from 0 to 1000", "numpy.asarray(images) / 1023", 1000 / 1023),
    "dark int64": ((GREY * 120).astype(int), "int64 from 0 to 120", "numpy.asarray(images) / 255", 120 / 255),
    "per cent": (GREY * 100, "float64 from 0 to 100", "numpy.asarray(images) / 100", 1),
    "beyond 16 bits": (GREY * 1e5, "from 0 to 100000", "numpy.asarray(images) / 100000", 1),
    "0 and 1 in uint8": (
        np.eye(32, dtype=np.uint8)[None],
        "uint8 from 0 to 1",
        "numpy.asarray(images).astype(bool)",
        1,
    ),
    "0 and 1 in int64": (np.eye(32, dtype=int)[None], "int64 from 0 to 1", "numpy.asarray(images).astype(bool)", 1),
    "overshoot": (GREY * 1.1 - 0.05, "from -0.05 to 1.05", "numpy.clip(images, 0, 1)", 1),
    "overshoot of 255": (GREY * 270 - 8, "from -8 to 262", "numpy.clip(images, 0, 255)", 1),
    "one image": (SHADES[0], "shape (32, 32)", "numpy.asarray(images)[None]", 1),
    "one image in nested lists": (SHADES[0].tolist(), "shape (32, 32)", "numpy.asarray(images)[None]", 1),
    "one image in colour": (np.stack([SHADES[0]] * 3, -1), "shape (32, 32, 3)", "numpy.asarray(images)[None]", 1),
    "one image with one channel": (SHADES[0][..., None], "shape (32, 32, 1)", "numpy.asarray(images)[None]", 1),
    "channels first": (np.stack([SHADES] * 3, 1), "shape (1, 3, 32, 32)", "numpy.moveaxis(images, 1, -1)", 1),
    "flat rows": (SHADES.reshape(1, -1), "shape (1, 1024)", "numpy.asarray(images).reshape(-1, 32, 32)", 1),
    "a table of pixels": (
        pd.DataFrame(SHADES.reshape(1, -1)),
        "shape (1, 1024)",
        "numpy.asarray(images).reshape(-1, 32, 32)",
        1,
    ),
    "rows of CIFAR-10": (
        np.stack([SHADES] * 3, 1).reshape(1, -1),
        "shape (1, 3072)",
        "numpy.asarray(images).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)",
        1,
    ),
    "batches": ([SHADES[..., None]] * 2, "shape (2, 1, 32, 32, 1)", "numpy.concatenate(list(images))", 1),
    "masked": (np.ma.masked_greater(SHADES, 254), "masked pixels", "images.filled(0)", 254 / 255),
    "a mapping": ({"key": SHADES}, "keys ['key']", "images[key]", 1),
    "alpha that never is opaque": (
        np.stack([SHADES, SHADES, SHADES, SHADES // 2], -1),
        "a last channel up to 127 of 255",
        "numpy.asarray(images)[..., :-1]",
        1,
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_right_once_the_advice_is_followed(kind):
    images, found, remedy, brightest = REFUSED[kind]
    with pytest.raises(data.DataError) as caught:
        data.to_source_format(images)
    assert found in str(caught.value)
    assert remedy in str(caught.value)
    followed = data.to_source_format(eval(remedy, {"numpy": np, "images": images, "key": "key"}))
    assert followed.max() == round(255 * brightest)
    if "0 and 1" not in kind and "masked" not in kind:
        near(
            followed[0],
            np.rint(in_rgb(SHADES[0]) * float(brightest)),
            13 if "overshoot" in kind or "missing" in kind else 1,
        )


@pytest.mark.parametrize(
    "images",
    [
        MNIST_LIKE,
        GREY - GREY.mean(),
        GREY - 0.5,
        SHADES.astype(int) - 128,
        (SHADES.astype(int) - 128).astype(np.int8),
        SHADES - np.float32(123.68),  # as older networks want it
        2 * GREY - 0.6,
    ],
)
def test_standardised_images_are_refused_and_the_advice_helps(images):
    with pytest.raises(data.DataError, match="multiply by the deviation and add the mean again") as caught:
        data.to_source_format(images)
    assert "take x = numpy.asarray(images, float) and pass (x - x.min()) / (x.max() - x.min())" in str(caught.value)
    x = np.asarray(images, float)
    assert np.array_equal(data.to_source_format((x - x.min()) / (x.max() - x.min()))[0], in_rgb(SHADES[0]))


def test_alpha_between_minus_one_and_one_is_refused():
    pixels = np.stack([SHADES / 127.5 - 1] * 3 + [np.ones((1, 32, 32))], -1)
    with pytest.raises(data.DataError, match="float64 from -1 to 1"):
        data.to_source_format(pixels)


def test_cmyk_as_an_array_is_not_taken_for_alpha():
    """PIL tells CMYK from RGBA, four channels of an array do not."""
    cmyk = Image.fromarray(colours()).convert("CMYK")
    near(converted(cmyk), in_rgb(colours()), 1)
    with pytest.raises(
        data.DataError, match=r"opaque somewhere; found a last channel up to 0 of 255\. Pass PIL images"
    ):
        data.to_source_format(np.asarray(cmyk)[None])


NOT_IMAGES = {
    "one PIL image": (Image.new("L", (28, 28)), r"several images.*found one: .*Pass a list of one: \[image\]"),
    "one path": ("photos/cat.jpg", r"found one: 'photos/cat.jpg'\. Pass a list of one"),
    "one Path": (Path("cat.jpg"), "found one"),
    "bytes": (b"\x89PNG", "found one"),
    "a set": ({"a.png", "b.png"}, "a set, which has no order"),
    "a number": (3, r"found shape \(\)"),
    "None": (None, "None|object"),
    "nothing": ([], "at least one image"),
    "an empty generator": ((image for image in []), "at least one image"),
    "no images": (np.zeros((0, 28, 28)), "at least one image"),
    "six channels": (np.zeros((2, 28, 28, 6)), "1 to 4 channels"),
    "no pixels": (np.zeros((1, 0, 28)), "shape"),
    "flat rows with an axis": (np.zeros((5, 1, 784)), r"100 times as long as wide.*reshape\(-1, height, width\)"),
    "five axes": (np.zeros((1, 1, 1, 1, 1)), r"found shape \(1, 1, 1, 1, 1\)"),
    "one missing": ([np.ones((28, 28)), None], "found None as image 1. Leave out what is missing"),
    "one missing path": (pd.Series([None, "a.png"]), "found (nan|None) as image 0"),
    "pairs": ([(np.ones((28, 28)), 3)] * 2, "take them apart"),
    "pairs from a generator": (((np.ones((28, 28)), 3) for _ in range(2)), "pair of image and label"),
    "batches from a generator": ((np.ones((8, 28, 28, 1)) for _ in range(2)), r"numpy\.concatenate\(list\(images\)\)"),
    "contents of files": ([b"\x89PNG"], r"bytes as image 0.*PIL\.Image\.open\(io\.BytesIO\(item\)\)"),
    "NaN": (np.where(np.arange(3)[:, None, None] == 1, np.nan, np.ones((3, 28, 28))), r"NaN.*images \[1\]"),
    "infinity": (np.where(np.arange(3)[:, None, None] == 2, -np.inf, np.ones((3, 28, 28))), r"images \[2\]"),
    "NaN in a list": ([np.ones((28, 28)), np.full((29, 28), np.nan)], "finite numbers in image 1; found NaN"),
    "strings": (np.full((1, 28, 28), "x"), "pixels as finite numbers"),
    "objects": (np.full((1, 28, 28), None), "pixels as finite numbers; found object"),
    "complex": (np.zeros((1, 28, 28), complex), "pixels as finite numbers; found complex128"),
    "a table with paths": (pd.DataFrame({"path": ["a.png"]}), "pass the one column"),
    "a tensor elsewhere": (SimpleNamespace(__array__=None), "shape|object"),
}


@pytest.mark.parametrize("fault", NOT_IMAGES)
def test_what_are_no_images_is_a_clear_error(fault):
    images, message = NOT_IMAGES[fault]
    with pytest.raises(data.DataError, match=message) as caught:
        data.to_source_format(images)
    assert type(caught.value) is data.DataError


def test_an_endless_generator_of_batches_ends_at_once():
    def batches():
        while True:
            yield np.ones((8, 28, 28, 3)), np.zeros(8)

    with pytest.raises(data.DataError, match="take them apart"):
        data.to_source_format(batches())


def test_a_tensor_that_gives_no_array_tells_why():
    class OnAnotherDevice:
        def __array__(self, dtype=None, copy=None):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

    with pytest.raises(data.DataError, match="cuda:0"):
        data.to_source_format(OnAnotherDevice())
    with pytest.raises(data.DataError, match="cuda:0"):
        data.to_source_format([OnAnotherDevice(), None])


def test_bfloat16_is_refused_and_the_advice_helps():
    import ml_dtypes

    images = GREY.astype(ml_dtypes.bfloat16)
    with pytest.raises(data.DataError, match=r"found bfloat16.*astype\('float32'\)"):
        data.to_source_format(images)
    near(data.to_source_format(images.astype("float32"))[0], in_rgb(SHADES[0]), 1)


def test_the_advice_about_contents_of_files_and_paths_in_bytes_helps(tmp_path):
    Image.fromarray(colours()).save(tmp_path / "a.png")
    items = [(tmp_path / "a.png").read_bytes()]
    assert np.array_equal(data.to_source_format([Image.open(io.BytesIO(item)) for item in items])[0], in_rgb(colours()))
    items = [os.fsencode(tmp_path / "a.png")]
    assert np.array_equal(data.to_source_format([os.fsdecode(item) for item in items])[0], in_rgb(colours()))


def test_a_transparent_shade_of_16_bits_is_refused_and_the_advice_helps(tmp_path):
    Image.fromarray(grey().astype(np.uint16) * 257).save(tmp_path / "deep.png", transparency=257)
    with Image.open(tmp_path / "deep.png") as image:
        if "transparency" not in image.info:
            image.info["transparency"] = 257
        with pytest.raises(data.DataError, match=r"16 bits; found one in image 0\. Pass numpy\.asarray\(image\)"):
            data.to_source_format([image])
        assert np.array_equal(data.to_source_format([np.asarray(image)])[0], in_rgb(grey()))


def test_another_kind_of_buffer():
    assert data.to_source_format(memoryview(SHADES)).shape == (1, 32, 32, 3)
    with pytest.raises(data.DataError, match="found 0 as image 0"):
        data.to_source_format(array.array("B", range(28)))


# --- What is questioned ----------------------------------------------------------------------------------------------


def noise(count, low=0, high=256):
    return np.random.default_rng(1).integers(low, high, (count, 28, 28), np.uint8)


def accident(count, **changes):
    """Return 40 images, of which the first `count` are as `changes` make them."""
    images = noise(40)
    images[:count] = changes["to"]
    return images


ACCIDENTS = {
    "the same": (accident(10, to=noise(1)), r"10 of them are one and the same image \(the first is number 0\)"),
    "nearly black": (accident(10, to=noise(10, 0, 26)), r"10 are nearly black \(no value above 25 of 255\)"),
    "nearly white": (accident(10, to=noise(10, 231, 256)), "10 are nearly of one shade"),
    "a tenth of the range": (noise(40, 100, 126), "all their values lie between 100 and 125 of 255"),
    "all black": (np.zeros((40, 28, 28), np.uint8), "40 of them are one and the same .* and 40 are nearly black"),
    "divided twice": (noise(40) / 255 / 255, "40 are nearly black"),
    "0 to 16 in uint8": (noise(40, 0, 17), "40 are nearly black"),
    "ink, the alpha dropped": (np.zeros((40, 28, 28, 3)), "one and the same"),
    "white ink on transparent": (
        np.stack([np.full((40, 28, 28), 255, np.uint8), noise(40)], -1),
        "composite it on black",
    ),
    "steps of a narrow band": (
        np.stack([np.full((28, 28), shade, np.uint8) for shade in np.arange(40) % 20 + 90]),
        "all their values lie between 90 and 109 of 255",
    ),
}


@pytest.mark.parametrize("kind", ACCIDENTS)
def test_what_looks_like_an_accident_is_questioned_in_one_sentence(kind):
    images, message = ACCIDENTS[kind]
    with pytest.warns(data.DataWarning, match=message) as caught:
        mine = data.from_arrays(images, np.arange(len(images)) % 2, name="drawings")
    assert len(caught) == 1
    text = str(caught[0].message)
    assert text.startswith("'drawings' has 40 images: ")
    assert caught[0].filename == __file__
    row = int(text.split("dataset.images[")[1].split("]")[0])
    assert mine.images[row].shape == (32, 32, 3)  # what it says to look at is there


def test_it_is_shown_once():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            data.from_arrays(np.zeros((6, 28, 28), np.uint8), [0, 1] * 3)
    assert [warning.category for warning in caught] == [data.DataWarning]


@pytest.mark.parametrize(
    "images",
    [
        accident(9, to=noise(1)),
        accident(9, to=0),
        noise(40, 0, 60),  # dark, not black
        noise(40, 0, 2) * np.uint8(255),  # line art
        noise(40) // np.uint8(8) + np.uint8(100),  # pale
    ],
)
def test_what_is_only_unusual_is_not_questioned(images):
    data.from_arrays(images, np.arange(len(images)) % 2)  # a warning would be an error


def test_the_sets_of_the_book_are_not_questioned(monkeypatch):
    monkeypatch.delenv("TL_DATA_DIR", raising=False)
    monkeypatch.setenv("TL_OFFLINE", "1")
    monkeypatch.setenv("KERAS_HOME", "/nowhere")
    for dataset in (data.digits(), data.load("mnist")):
        data.from_arrays(dataset.images, dataset.labels)


@pytest.mark.skipif(not REAL, reason="TL_DATA_DIR is not set: no MNIST and CIFAR-10 to compare with")
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_the_whole_sets_are_not_questioned(name):
    whole = data.load(name)
    again = data.from_arrays(whole.images, whole.labels)
    assert np.array_equal(again.images[::500], whole.images[::500])
