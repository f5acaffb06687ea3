"""Rows are computed once, and what is read is never wrong. Without TensorFlow: the networks are functions here."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tl_base import kept

ROOT = Path(__file__).resolve().parent.parent
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 3), dtype=np.uint8)
KEY, SHAPE = "k" * 32, (2, 3)


class Network:
    """Makes rows of images and knows which images it was asked for."""

    def __init__(self, factor=1.0):
        self.seen, self.factor = [], factor

    def __call__(self, images):
        self.seen += [image.tobytes() for image in images]
        return (images[:, :2, :, 0][:, :, :3] * self.factor).astype("float32")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A cache of its own that is empty; everything takes long enough to be written into it."""
    monkeypatch.setenv("TL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(kept, "PATIENCE", 0.0)
    monkeypatch.setattr(kept, "READING", 1e18)
    monkeypatch.setattr(kept, "_told", set())
    kept.forget()
    yield tmp_path / "cache" / kept.FOLDER
    kept.forget()


def rows(images=IMAGES, key=KEY, network=None):
    network = network or Network()
    found = kept.rows(key, images, SHAPE, network)
    np.testing.assert_array_equal(found, Network(network.factor)(images))
    return len(network.seen)


def files_in(place):
    return sorted(place.glob(f"*{kept.SUFFIX}"))


@pytest.mark.parametrize("from_files", [False, True])
def test_an_image_is_computed_once(from_files):
    assert rows() == len(IMAGES)
    if from_files:
        kept.forget()
    assert rows() == 0
    assert rows(IMAGES[::-1]) == 0
    assert rows(IMAGES[[3, 3, 5]]) == 0


def test_other_images_join_those_that_are_there():
    assert rows(IMAGES[:5]) == 5
    assert rows(IMAGES[3:]) == 7
    kept.forget()
    assert rows(IMAGES[[0, 11]]) == 0


def test_equal_images_of_one_call_are_computed_once():
    assert rows(IMAGES[[0, 1, 0, 0]]) == 2


def test_another_network_is_another_matter():
    rows()
    assert rows(key="j" * 32, network=Network(2.0)) == len(IMAGES)
    kept.forget()
    assert rows() == 0


def test_no_images_are_no_work():
    assert rows(IMAGES[:0]) == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: b"",
        lambda content: b"PK\x03\x04" + content[4:],
        lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],  # a bit of the last row
        lambda content: content[:10] + bytes([content[10] ^ 1]) + content[11:],  # a bit of the first digest
        lambda content: content[:8] + content[40:72] + content[8:40] + content[72:],  # two rows in each other's place
    ],
)
def test_a_damaged_file_costs_time_and_nothing_else(damage, place):
    rows()
    (path,) = files_in(place)
    path.write_bytes(damage(path.read_bytes()))
    kept.forget()
    assert rows() > 0
    kept.forget()
    assert rows() == 0


def test_rows_of_another_size_are_not_taken(place):
    rows()
    kept.forget()
    network = Network()
    assert kept.rows(KEY, IMAGES, (6,), lambda images: network(images).reshape(-1, 6)).shape == (
        12,
        6,
    )  # the same bytes
    kept.forget()
    wide = kept.rows(KEY, IMAGES, (7,), lambda images: np.ones((len(images), 7), "float32"))
    assert wide.shape == (12, 7)
    assert (wide == 1).all()


def test_folders_and_unreadable_things_in_the_place_of_files_do_not_matter(place):
    rows()
    (path,) = files_in(place)
    path.unlink()
    path.mkdir()
    (place / f"{KEY}-x{kept.SUFFIX}").symlink_to(place / "nowhere")
    kept.forget()
    with pytest.warns(RuntimeWarning, match="not kept in"):
        assert rows() == len(IMAGES)


def test_a_place_that_takes_nothing_is_told_of_once(place, recwarn):
    place.parent.mkdir()
    place.write_text("a file where the folder should be")
    assert rows() == len(IMAGES)
    (warning,) = recwarn.list
    assert "TL_CACHE_DIR" in str(warning.message)
    recwarn.clear()
    kept.forget()
    assert rows(IMAGES[:4]) == 4
    assert not recwarn.list


def test_a_full_disk_costs_time_only(place, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        assert rows() == len(IMAGES)
    assert list(place.iterdir()) == []
    assert rows() == 0  # in memory


def test_the_files_stay_below_the_limit_and_the_oldest_go(place, monkeypatch):
    for row in range(3):
        rows(IMAGES[[row]])
    oldest, *_ = sorted(files_in(place), key=lambda path: path.stat().st_mtime_ns)
    for age, path in enumerate(sorted(files_in(place), key=lambda path: path.stat().st_mtime_ns)):
        os.utime(path, (age, age))
    kept.forget()
    assert rows(IMAGES[[0]]) == 0  # used: it is the youngest now
    size = oldest.stat().st_size
    monkeypatch.setattr(kept, "DISK", 2 * size)
    foreign = place / "letter.txt"
    foreign.write_text("not ours")
    rows(IMAGES[[3]])
    kept.forget()
    assert len(files_in(place)) == 2
    assert foreign.exists()
    assert [rows(IMAGES[[row]]) for row in (0, 3)] == [0, 0]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setenv("TL_CACHE_DIR", "/dev/null/none")
    monkeypatch.setattr(kept, "PATIENCE", 9e9)  # into no file
    monkeypatch.setattr(kept, "MEMORY", 3 * 24)
    for row in range(6):
        rows(IMAGES[[row]])
    assert [rows(IMAGES[[row]]) for row in (5, 4, 3)] == [0, 0, 0]
    assert rows(IMAGES[[0]]) == 1
    assert rows() > 0  # more than there is room for


@pytest.mark.parametrize(("patience", "reading"), [(9e9, 1e18), (0.0, 1e-9)])
def test_what_is_computed_sooner_than_read_is_not_written(patience, reading, place, monkeypatch):
    monkeypatch.setattr(kept, "PATIENCE", patience)
    monkeypatch.setattr(kept, "READING", reading)
    rows()
    assert not place.exists()
    assert rows() == 0


def test_an_interruption_keeps_what_was_done(monkeypatch):
    monkeypatch.setattr(kept, "BLOCK", 5)

    class Interrupted(Network):
        def __call__(self, images):
            if len(self.seen) == 5:
                raise KeyboardInterrupt
            return super().__call__(images)

    with pytest.raises(KeyboardInterrupt):
        rows(network=Interrupted())
    kept.forget()
    assert rows() == 7


def test_it_can_be_switched_off(place, monkeypatch):
    with kept.off():
        assert [rows(), rows()] == [12, 12]
        assert kept.folder() is None
    monkeypatch.setenv("TL_CACHE_DIR", "")
    assert [rows(), rows()] == [12, 12]
    assert not place.exists()


def test_by_default_it_is_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("TL_CACHE_DIR")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)
    assert kept.folder() == tmp_path / "tl_helpers"
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: Path("~/.cache") / name)  # nobody has a home
    assert kept.folder().is_dir()
    rows()
    kept.forget()
    assert rows() == 0


ONE = """
import sys
sys.path.insert(0, sys.argv[1])
import test_kept as t
t.kept.PATIENCE, t.kept.READING = 0, 1e18
for row in range(12):
    t.kept.forget()
    t.rows(t.IMAGES[: row + 1])
"""


def test_two_processes_do_not_disturb_each_other(place):
    command = [sys.executable, "-c", ONE, str(ROOT / "tests")]
    both = [subprocess.Popen(command, cwd=ROOT, env=os.environ) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    kept.forget()
    assert rows() == 0
    assert not list(place.glob("*.part"))
