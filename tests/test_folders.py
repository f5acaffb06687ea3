"""A folder of photographs: what is read, what is left out and why, what is in it twice, and its splits."""

import numpy as np
import pytest
from PIL import Image

from tl_helpers import data


def picture(seed, width=60, height=40):
    """Make a picture with details that no other seed has."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path):
    """Two classes of six pictures, no two alike."""
    for row in range(12):
        save(tmp_path / "photos" / ("cat", "dog")[row % 2] / f"{row:02}.png", picture(row))
    return tmp_path / "photos"


def test_a_folder_of_folders_is_a_data_set(photos):
    mine = data.from_folder(photos, 32)
    assert (mine.images.shape, mine.images.dtype) == ((12, 32, 32, 3), np.uint8)
    assert (mine.class_names, mine.name) == (("cat", "dog"), "photos")
    assert mine.files == tuple(f"{kind}/{row:02}.png" for kind in ("cat", "dog") for row in range(kind == "dog", 12, 2))
    assert [mine.class_names[label] for label in mine.labels] == [name.split("/")[0] for name in mine.files]
    assert np.bincount(mine.labels[mine.held_out]).tolist() == [2, 2]
    assert np.unique(mine.groups).size == 12
    for image, name in zip(mine.images, mine.files, strict=True):
        whole = Image.open(photos / name).resize((32, 32), Image.Resampling.BICUBIC, box=(10, 0, 50, 40))
        assert np.array_equal(image, np.asarray(whole))


def test_the_photographs_that_come_along_are_180(monkeypatch, capsys):
    monkeypatch.delenv("TL_DATA_DIR", raising=False)
    few = data.load("trashnet")
    assert few.images.shape == (180, 160, 160, 3)
    assert few.name == "trashnet-180"
    assert np.bincount(few.labels).tolist() == [30] * 6
    assert few.summary.contradictions == (("glass/glass115.jpg", "metal/metal91.jpg"),)
