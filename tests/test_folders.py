"""A folder of photographs: what is read, what is left out and why, and how it is told."""

import os
import re
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tl_base import folders, photographs
from tl_helpers import data, origins

REAL = os.environ.get("TL_DATA_DIR")


def picture(seed, width=60, height=40):
    """Make a picture with details that no other seed has."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def fill(folder, count=6, start=0, classes=("cat", "dog")):
    """Put pictures into folders of classes, no two alike."""
    for k, kind in enumerate(classes):
        for row in range(count):
            save(folder / kind / f"{row:02}.png", picture(start + count * k + row))
    return folder


@pytest.fixture
def photos(tmp_path):
    return fill(tmp_path / "photos")


def left_out(dataset):
    return dict(dataset.summary.left_out)


def test_a_folder_of_folders_is_a_data_set(photos):
    mine = data.from_folder(photos, 32)
    assert (mine.images.shape, mine.images.dtype) == ((12, 32, 32, 3), np.uint8)
    assert (mine.class_names, mine.name) == (("cat", "dog"), "photos")
    assert mine.provenance == "12 photographs of your own."
    assert mine.files == tuple(f"{kind}/{row:02}.png" for kind in ("cat", "dog") for row in range(6))
    assert mine.labels.tolist() == [0] * 6 + [1] * 6
    assert np.bincount(mine.labels[mine.held_out]).tolist() == [2, 2]
    assert mine.groups.tolist() == list(range(12))
    for image, name in zip(mine.images, mine.files, strict=True):
        middle = Image.open(photos / name).resize((32, 32), Image.Resampling.BICUBIC, box=(10, 0, 50, 40))
        assert np.array_equal(image, np.asarray(middle))


def test_rows_and_classes_keep_files_and_groups(photos):
    mine = data.from_folder(photos, 32)
    part = data.only(mine.rows([11, 0, 5]), ["dog", "cat"])
    assert part.files == ("dog/05.png", "cat/00.png", "cat/05.png")
    assert part.groups.tolist() == [11, 0, 5]
    assert data.evenly_spaced(mine, 2).files == ("cat/00.png", "dog/00.png")
    assert part.summary is mine.summary
    with pytest.raises(ValueError, match="read-only"):
        mine.groups[0] = 3


# Pictures of every kind


def noisy16():
    values = np.asarray(picture(7).convert("L")).astype(np.uint16) * 257
    values[0, 0] = 65535
    return Image.fromarray(values)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


KINDS = {
    "PHOTO.JPG": lambda path: picture(7).save(path, quality=95),
    "a.webp": lambda path: picture(7).save(path, lossless=True),
    "a.tiff": lambda path: picture(7).save(path),
    "a.bmp": lambda path: picture(7).save(path),
    "a.gif": lambda path: picture(7).save(path),
    "palette.png": lambda path: picture(7).quantize(256).save(path),
    "cmyk.jpg": lambda path: picture(7).convert("CMYK").save(path, quality=95),
    "alpha.png": lambda path: picture(7).convert("RGBA").save(path),
    "grey.png": lambda path: picture(7).convert("L").save(path),
    "grey and alpha.png": lambda path: picture(7).convert("LA").save(path),
    "16 bits.png": lambda path: noisy16().save(path),
    "照片.png": lambda path: picture(7).save(path),
    "<b>&.png": lambda path: picture(7).save(path),
    "no suffix": lambda path: picture(7).save(path, "png"),
    "called.txt": lambda path: picture(7).save(path, "png"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_picture_of_any_kind_is_read(photos, name):
    KINDS[name](photos / "cat" / name)
    mine = data.from_folder(photos, 32)
    assert len(mine) == 13
    plain = picture(7).convert("L").convert("RGB") if "grey" in name or "16" in name else picture(7)
    wanted = np.asarray(plain.resize((32, 32), Image.Resampling.BICUBIC, box=(10, 0, 50, 40))).astype(int)
    assert np.abs(mine.images[mine.files.index(f"cat/{name}")] - wanted).mean() < 9


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fit", photographs.FITS)
def test_a_picture_stands_as_it_was_looked_at(tmp_path, orientation, fit):
    path = save(tmp_path / "turned.png", picture(1, 128, 64), exif=exif(orientation))
    with Image.open(path) as image:
        upright = save(tmp_path / "upright.png", Image.fromarray(np.asarray(ImageOps.exif_transpose(image))))
    turned, wanted = (photographs.read(one, 24, 32, fit) for one in (path, upright))
    assert turned.size == wanted.size
    assert np.abs(turned.pixels.astype(int) - wanted.pixels).max() <= 2  # rows and columns are rounded one by one
    assert np.abs(turned.thumb.astype(int) - wanted.thumb).max() <= 1


def test_how_a_picture_gets_other_proportions(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255
    path = save(tmp_path / "wide.png", Image.fromarray(wide))
    crop, pad, stretch = (photographs.read(path, 30, 30, fit).pixels[..., 0] for fit in ("crop", "pad", "stretch"))
    assert crop[:, 2:-2].min() == 255
    assert crop.min() > 200  # what is beside the cut is smoothed in
    assert pad[:10].max() == 0 == pad[20:].max()
    assert pad[15].tolist() == stretch[15].tolist() == stretch[0].tolist()
    assert (pad[15, :8].max(), pad[15, 12:18].min(), pad[15, 22:].max()) == (0, 255, 0)
    with pytest.raises(data.DataError, match=r"fit as one of crop, pad, stretch; found 'zoom'"):
        data.from_folder(fill(tmp_path / "few", 3), fit="zoom")


def test_what_shrinks_is_smoothed(tmp_path):
    stripes = np.zeros((640, 640), np.uint8)
    stripes[:, ::2] = 255
    for name in ("stripes.png", "stripes.jpg"):
        small = photographs.read(save(tmp_path / name, Image.fromarray(stripes)), 32, 32)
        assert np.abs(small.pixels.astype(int) - 127).max() <= 2


def test_transparent_is_white(tmp_path):
    path = save(tmp_path / "clear.png", Image.new("RGBA", (900, 900), (200, 0, 0, 0)))
    assert photographs.read(path, 32, 32).pixels.min() == 255


def test_grey_pictures_are_stored_once(tmp_path):
    for row in range(6):
        save(tmp_path / "ab"[row % 2] / f"{row}.png", picture(row).convert("L"))
    mine = data.from_folder(tmp_path, 32)
    assert mine.images.shape == (6, 32, 32, 3)
    assert mine.images.strides[-1] == 0


# What is no picture, or a broken one


def cut(path):
    picture(3).save(path)
    path.write_bytes(path.read_bytes()[:-200])


NO_PICTURES = {  # by what it is: the file, the reason, and whether a picture is lost
    "a text": ("notes.txt", lambda path: path.write_text("hello"), r"no picture \(\.txt\)", False),
    "of macOS": (".DS_Store", lambda path: path.write_bytes(b"x"), "hidden, or of the system", False),
    "a fork": ("._00.png", lambda path: path.write_bytes(b"x"), "hidden, or of the system", False),
    "of Windows": ("Thumbs.db", lambda path: path.write_bytes(b"x"), "hidden, or of the system", False),
    "empty": ("a.jpg", lambda path: path.write_bytes(b""), r"an empty file \(0 bytes\)", True),
    "no content": (
        "a.jpg",
        lambda path: path.write_bytes(b"\xff\xd8\xff???"),
        "damaged .*its content is no pict",
        True,
    ),
    "cut off": ("a.jpg", cut, r"damaged \(OSError: .*truncated", True),
    "cut off, PNG": ("a.png", cut, r"damaged \(OSError: ", True),
    "of an iPhone": ("a.HEIC", lambda path: path.write_bytes(b"\0\0\0\x18ftypheic"), "HEIC, .*save it as JPEG", True),
    "raw": ("a.NEF", lambda path: picture(3).save(path, "tiff"), "raw file: save it as JPEG", True),
    "postscript": ("a.eps", lambda path: picture(3).save(path, "eps"), "damaged", True),
    "dim 16 bits": ("a.png", lambda path: Image.fromarray(np.full((9, 9), 4095, np.uint16)).save(path), "4095", True),
    "floats": ("a.tiff", lambda path: Image.fromarray(np.ones((9, 9), np.float32)).save(path), "which value is", True),
    "no file": ("a.jpg", os.mkfifo, "no file", False),
    "a dead link": ("a.jpg", lambda path: path.symlink_to("nowhere"), "a link to nothing", False),
    "a link to itself": ("a.jpg", lambda path: path.symlink_to(path), "a link to nothing|cannot be read", False),
    "an inner loop": ("loop", lambda path: path.symlink_to(path.parent), "a folder that is here already", False),
    "an outer loop": ("loop", lambda path: path.symlink_to(path.parent.parent), None, False),
}


@pytest.mark.parametrize("what", NO_PICTURES)
def test_what_is_no_picture_is_left_out_with_the_reason(photos, what):
    name, make, reason, lost = NO_PICTURES[what]
    make(photos / "cat" / name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mine = data.from_folder(photos, 32)
    assert [str(one.message).split(";")[0] for one in caught] == ["1 picture in 'photos' could not be read"] * lost
    assert all(one.filename == __file__ for one in caught)
    if what == "an outer loop":  # the other class once more, as somebody linked it: it is found there twice
        assert len(mine.summary.contradictions) == 6
    else:
        assert len(mine) == 12
        [(file, found)] = mine.summary.left_out
        assert file == f"cat/{name}"
        assert re.search(reason, found), found
        assert found in str(mine.summary)


def test_a_file_that_may_not_be_read_is_left_out(photos, monkeypatch):
    opened = Image.open

    def refuse(path, **options):
        if path.name == "03.png":
            raise PermissionError(13, "Permission denied")
        return opened(path, **options)

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.warns(data.DataWarning, match="2 pictures in 'photos' could not be read; left out"):
        mine = data.from_folder(photos, 32)
    assert left_out(mine)["dog/03.png"] == "damaged (PermissionError: [Errno 13] Permission denied)"


def test_folders_below_a_class_belong_to_it_and_links_to_folders_are_followed(photos, tmp_path):
    save(photos / "cat/monday/late/1.png", picture(30))
    elsewhere = tmp_path / "elsewhere"
    save(elsewhere / "2.png", picture(31))
    (photos / "dog/more").symlink_to(elsewhere)
    (photos / "emu").symlink_to(fill(tmp_path / "far", 3, 40, ["emu"]) / "emu")
    deep = photos / "cat"
    for _ in range(300):
        deep = deep / "x"
    save(deep / "3.png", picture(32))
    mine = data.from_folder(photos, 32)
    assert {"cat/monday/late/1.png", "dog/more/2.png", f"cat/{'x/' * 300}3.png"} < set(mine.files)
    assert mine.class_names == ("cat", "dog", "emu")
    assert mine.summary.left_out == ()


def test_what_is_beside_the_classes_is_left_out_and_listed(photos):
    save(photos / "loose.png", picture(50))
    (photos / ".git").mkdir()
    (photos / "empty" / "more").mkdir(parents=True)
    (photos / "texts").mkdir()
    (photos / "texts/a.txt").write_text("a")
    mine = data.from_folder(photos, 32)
    assert mine.class_names == ("cat", "dog")
    assert left_out(mine) == {
        ".git": "hidden, or of the system",
        "loose.png": "beside the folders of the classes",
        "empty": "a folder with no picture: no class",
        "texts": "a folder with no picture: no class",
        "texts/a.txt": "no picture (.txt)",
    }


# Folders that make no data set


def one_class(folder):
    save(folder / "cat/1.png", picture(0))


def a_lone_picture(folder):
    fill(folder)
    save(folder / "emu/1.png", picture(50))


def all_broken(folder):
    fill(folder)
    (folder / "emu").mkdir()
    (folder / "emu/1.jpg").write_bytes(b"?")


def no_folders(folder):
    save(folder / "1.png", picture(0))


def texts_alone(folder):
    for kind in "ab":
        (folder / kind).mkdir()
        (folder / kind / "1.txt").write_text("1")


def beside_train(folder):
    for part in ("train", "test", "extra"):
        fill(folder / part)


def parts_without_classes(folder):
    for part in ("train", "test"):
        save(folder / part / "1.png", picture(0))


def a_class_in_test_alone(folder):
    fill(folder / "train")
    fill(folder / "test", 3, 20)
    save(folder / "test/emu/1.png", picture(50))


FAULTS = {
    "empty": (lambda folder: None, "found an empty folder. Put the pictures of each class into a folder of its own"),
    "one class": (one_class, "at least two classes"),
    "a class with one picture": (a_lone_picture, "at least 3 images .* in each class; found 1 of 'emu', 6 of 'cat'"),
    "a class whose pictures are broken": (all_broken, "can be read in the class emu; found none; the first, emu/1.jpg"),
    "pictures without folders": (no_folders, "found 0 folders and 1 other things"),
    "texts alone": (texts_alone, r"Expected pictures in .*; found 2 files, the first: a/1\.txt, no picture"),
    "others beside train": (beside_train, r"found the folders extra beside test, train\. If these are classes"),
    "train of pictures": (parts_without_classes, "a folder for each class in .*test; found 1 files"),
    "a class in test alone": (a_class_in_test_alone, "at least 3 images"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_laid_out_otherwise_is_explained(tmp_path, fault):
    make, message = FAULTS[fault]
    make(tmp_path)
    with (
        warnings.catch_warnings(action="ignore", category=data.DataWarning),
        pytest.raises(data.DataError, match=message),
    ):
        data.from_folder(tmp_path, 32)


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("{}/nowhere", "found nothing at .*nowhere"),
        ("{}/file.zip", "found a file at .*Unpack it if it is an archive"),
        ("{}/link", "Symbolic link|symbolic link|Too many levels"),
        ("~nobody-of-this-name/photos", "found '~nobody"),
        ("a\0b", "found 'a.x00b': embedded null"),
        (None, "found None"),
        (3, "found 3"),
    ],
)
def test_what_is_no_folder_is_explained(tmp_path, folder, message):
    (tmp_path / "file.zip").write_bytes(b"PK")
    (tmp_path / "link").symlink_to(tmp_path / "link")
    with pytest.raises(data.DataError, match=f"Expected a folder, in it a folder for each class; .*{message}"):
        data.from_folder(folder.format(tmp_path) if isinstance(folder, str) else folder)


def test_a_folder_that_may_not_be_read_is_explained(photos, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(data.DataError, match=r"can be read; found Permission denied for .*photos\. Give yourself"):
        data.from_folder(photos)


def test_a_tilde_is_the_users_folder(photos, monkeypatch):
    monkeypatch.setenv("HOME", str(photos.parent))
    monkeypatch.setenv("USERPROFILE", str(photos.parent))
    assert data.from_folder("~/photos", 32).name == "photos"
    monkeypatch.chdir(photos)
    assert data.from_folder(".", 32).name == "photos"


# train/ and test/


@pytest.mark.parametrize(
    ("parts", "held", "drawn", "note"),
    [
        (("train", "test"), "test", ["train"], "The pictures in test/ are held out"),
        (("Training", "VAL"), "VAL", ["Training"], "The pictures in VAL/ are held out"),
        (("train", "valid", "test"), "test", ["train", "valid"], "Those in valid/ are drawn from like those in train/"),
    ],
)
def test_what_is_divided_already_stays_so(tmp_path, parts, held, drawn, note):
    for number, part in enumerate(parts):
        fill(tmp_path / part, 4, 100 * number)
    mine = data.from_folder(tmp_path, 32)
    assert mine.class_names == ("cat", "dog")
    assert [name.split("/")[0] == held for name in mine.files] == mine.held_out.tolist()
    split = data.few_shot(mine, 2)
    assert {name.split("/")[0] for name in split.test.files} == {held}
    assert {name.split("/")[0] for part in (split.train, split.validation) for name in part.files} <= set(drawn)
    assert note in str(mine.summary)


def test_folders_called_train_and_bus_are_classes(tmp_path):
    assert data.from_folder(fill(tmp_path, 3, classes=("bus", "train")), 32).class_names == ("bus", "train")


def test_a_training_picture_that_is_in_the_test_set_is_left_out(tmp_path):
    fill(tmp_path / "train", 5)
    fill(tmp_path / "test", 2, 100)
    save(tmp_path / "test/dog/copy.jpg", picture(1, 90, 60), quality=70)
    mine = data.from_folder(tmp_path, 32)
    assert left_out(mine) == {"train/cat/01.png": folders_reason(mine)}
    assert len(mine) == 14
    assert mine.summary.counts == {"cat": (6, 2), "dog": (8, 3)}
    whole = data.from_folder(tmp_path, 32, groups=None)
    assert (len(whole), whole.groups) == (15, None)


def folders_reason(dataset):
    [(_, reason)] = dataset.summary.left_out
    assert "would have told the answer" in reason
    return reason


# How it is told


def test_a_summary_tells_what_was_read_and_escapes_names(tmp_path):
    kinds = ("<i>cat", "dog & co", "猫")
    fill(tmp_path / "<script>", 3, classes=kinds)
    save(tmp_path / "<script>/dog & co/<img src=x>.png", picture(0))
    for row in range(4):
        save(tmp_path / f"<script>/猫/{row}.jpg", picture(60 + row, 50, 70))
    (tmp_path / "<script>/猫/<u>.jpg").write_bytes(b"?")
    with pytest.warns(data.DataWarning, match="1 picture in '"):
        mine = data.from_folder(tmp_path / "<script>", (32, 48))
    text, page = str(mine.summary), mine.summary._repr_html_()
    assert text == repr(mine.summary)
    for line in (
        "<script>: 14 photographs of 3 classes, 4 of them held out",
        "<i>cat: 3 (1 held out)",
        "Uneven: 7 of 猫, 3 of <i>cat. ",
        "2 sizes, 50–60 wide, 40–70 high, most often 60×40. Read as 48×32, the middle of each",
        "The same picture under different labels (1): one of them is wrong",
        "<i>cat/00.png = dog & co/<img src=x>.png",
        "Left out: 1",
        "1 × damaged (its name ends in .jpg, its content is no picture): 猫/<u>.jpg",
    ):
        assert line in text
    for mark in ("<i>", "<script", "<img", "<u>", "& co"):
        assert mark not in page
    assert "color" not in page
    assert page.count("<li>") == page.count("</li>") == 6


def test_twins_are_listed_by_what_they_contradict(photos):
    save(photos / "dog/copy.png", picture(0))
    save(photos / "cat/copy.png", picture(1))
    save(photos / "dog/smaller.png", picture(2, 45, 30))
    save(photos / "cat/smaller.png", picture(3, 45, 30))
    told = data.from_folder(photos, 32).summary
    assert told.contradictions == (("cat/00.png", "dog/copy.png"),)
    assert told.copies == (("cat/01.png", "cat/copy.png"),)
    assert told.disputed == (("cat/02.png", "dog/smaller.png"),)
    assert set(told.alike) == {("cat/03.png", "cat/smaller.png"), *told.contradictions, *told.copies, *told.disputed}
    assert "Nearly the same picture under different labels (1): look at them\n  cat/02.png ≈ dog/smaller.png" in str(
        told
    )
    assert "Nearly the same picture (1): they stay on one side of a split\n  cat/03.png ≈ cat/smaller.png" in str(told)


def test_names_that_cannot_be_printed_are_shown_all_the_same(photos):
    odd = b"\xff\n.png"
    save(photos / "cat" / os.fsdecode(odd), picture(50))
    save(photos / "cat" / "again.png", picture(50))
    mine = data.from_folder(photos, 32)
    assert any(os.fsencode(name).endswith(odd) for name in mine.files)
    assert "cat/again.png = cat/\ufffd\ufffd.png" in str(mine.summary)
    str(mine.summary).encode()


# Reading it


def test_no_file_is_read_twice_and_none_that_is_left_out_by_its_name(photos, monkeypatch):
    opened, seen = Image.open, []
    monkeypatch.setattr(Image, "open", lambda path, **options: seen.append(path) or opened(path, **options))
    (photos / "cat/.hidden.png").write_bytes(b"?")
    data.from_folder(photos, 32)
    assert sorted(path.relative_to(photos).as_posix() for path in seen) == sorted(data.from_folder(photos, 32).files)


def test_an_interrupt_ends_it_at_once(tmp_path, monkeypatch):
    fill(tmp_path, 30)
    real, calls, before = photographs.read, [], Image.MAX_IMAGE_PIXELS

    def read(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
            signal.pthread_sigmask(signal.SIG_BLOCK, [])  # the main thread gets it, whichever thread asked
        return real(*arguments)

    monkeypatch.setattr(photographs, "read", read)
    monkeypatch.setattr(folders, "THREADS", 1)
    with pytest.raises(KeyboardInterrupt):
        data.from_folder(tmp_path, 32)
    assert len(calls) < 60
    assert before == Image.MAX_IMAGE_PIXELS


def test_large_pictures_are_read_without_a_warning_and_too_large_ones_left_out(photos, monkeypatch):
    save(photos / "cat/large.jpg", picture(30, 800, 800))
    save(photos / "cat/large.png", picture(31, 800, 800))
    save(photos / "cat/square.png", picture(32, 300, 300))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # of more than twice as many Pillow makes an error
    monkeypatch.setattr(photographs, "MOST_PIXELS", 200_000)
    with pytest.warns(data.DataWarning, match="1 picture in '"):
        mine = data.from_folder(photos, 32)
    assert {"cat/large.jpg", "cat/square.png"} < set(mine.files)
    assert left_out(mine) == {"cat/large.png": "800 × 800 pixels, more than 200,000: make it smaller"}
    assert Image.MAX_IMAGE_PIXELS == 10_000


MEMORY = """
import resource, sys
from pathlib import Path
from tl_base import photographs
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with photographs.reading():
    print(photographs.read(Path(sys.argv[1]), 160, 160).size)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000)
"""


def test_a_photograph_of_100_megapixels_takes_little_memory(tmp_path, root):
    path = save(tmp_path / "large.jpg", Image.new("RGB", (12_000, 8_400), "teal"))
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", MEMORY, str(path)], capture_output=True, text=True, env=environment
    )
    size, megabytes = done.stdout.splitlines()
    assert size == "(12000, 8400)"
    assert int(megabytes) < 60  # whole, it takes 302


NAMES = st.sampled_from(["a.png", "b.jpg", "c.txt", ".d", "e", "Thumbs.db", "f.JPG"])
FOLDERS = st.sampled_from(["cat", "dog", "cat/x", "dog/x/y", "cat/.z", ""])


@given(st.sets(st.tuples(FOLDERS, NAMES, st.booleans()), max_size=14))
@settings(max_examples=25, deadline=None, database=None)
def test_every_file_is_a_row_or_left_out_with_a_reason(tmp_path_factory, tree):
    root = fill(tmp_path_factory.mktemp("tree"), 3)
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    for number, (folder, name, whole) in enumerate(sorted(tree)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        if whole:
            picture(100 + number).save(root / folder / name, "png")
        else:
            (root / folder / name).write_bytes(b"?")
        there.add(f"{folder}/{name}".lstrip("/"))
    with warnings.catch_warnings(action="ignore"):
        mine = data.from_folder(root, 8)
    reasons = left_out(mine)
    assert len(reasons) == len(mine.summary.left_out)
    rows = set(mine.files)
    assert len(rows) == len(mine.files)
    assert not rows & set(reasons)
    hidden = {name for name in there if any(name.startswith(f"{part}/") for part in reasons)}
    assert rows | set(reasons) - {"cat/.z"} == there - hidden | (set(reasons) & there)
    assert all(reasons.values())


# TrashNet


@pytest.fixture
def notices(monkeypatch):
    shown = []
    origins._show.cache_clear()
    monkeypatch.setattr("IPython.get_ipython", object)
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle["text/plain"]))
    yield shown
    origins._show.cache_clear()


@pytest.mark.parametrize("place", ["", "a folder without it"])
def test_the_photographs_that_come_along_are_180_and_a_notice_says_so(monkeypatch, tmp_path, notices, place):
    monkeypatch.setenv("TL_DATA_DIR", place and str(tmp_path))
    few = data.load("trashnet")
    assert few.images.shape == (180, 160, 160, 3)
    assert few.name == "trashnet-180"
    assert few.class_names == ("cardboard", "glass", "metal", "paper", "plastic", "trash")
    assert np.bincount(few.labels).tolist() == [30] * 6
    assert few.summary.contradictions == (("glass/glass115.jpg", "metal/metal91.jpg"),)
    assert ("paper/paper185.jpg", "paper/paper390.jpg") in few.summary.alike
    assert set(np.bincount(few.labels[few.held_out])) <= {9, 10}
    assert not np.isin(few.groups[few.held_out], few.groups[~few.held_out]).any()
    [notice] = notices
    assert "180 of TrashNet's 2,527 photographs" in notice
    assert "MIT" in (origins.photographs().folder / "LICENSE").read_text()


def test_all_of_it_or_nothing(monkeypatch, notices):
    monkeypatch.delenv("TL_DATA_DIR", raising=False)
    with pytest.raises(data.DataUnavailable, match="TL_DATA_DIR to a folder that holds trashnet/CLASS"):
        data.load("trashnet", complete=True)
    assert data.load("trashnet", complete=True, required=False) is None
    assert "TrashNet is not here" in notices[0]


def test_a_folder_in_its_place_is_read_without_a_notice(monkeypatch, tmp_path, notices):
    fill(tmp_path / "trashnet", 3)
    monkeypatch.setenv("TL_DATA_DIR", str(tmp_path))
    mine = data.load("trashnet", size=24)
    assert (mine.name, mine.images.shape, notices) == ("trashnet", (6, 24, 24, 3), [])
    assert "read from the folder in TL_DATA_DIR" in mine.provenance


@pytest.mark.skipif(not REAL, reason="TL_DATA_DIR is not set: no TrashNet")
def test_trashnet_has_three_contradictions_and_twenty_four_scenes_twice():
    mine = data.load("trashnet", size=64)
    assert np.bincount(mine.labels).tolist() == [403, 501, 410, 594, 482, 137]
    assert mine.summary.contradictions == (
        ("glass/glass115.jpg", "metal/metal91.jpg"),
        ("glass/glass176.jpg", "plastic/plastic152.jpg"),
        ("glass/glass389.jpg", "plastic/plastic332.jpg"),
    )
    assert mine.summary.copies == ()
    assert len(mine.summary.alike) == 27
    assert all(len(names) == 2 for names in mine.summary.alike)
