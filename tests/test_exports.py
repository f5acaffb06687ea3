"""Networks in files for other programs: the same logits in a process that knows nothing of the book."""

import json
import re
import resource
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tl_base import exports, files, running
from tl_base.backend import keras, tf
from tl_helpers import data, models, results, training, transfer

NAMES = ("paper 纸", "größe", "<b>")
SHAPE = (20, 24, 3)
KINDS = {"keras": "my_model.keras", "onnx": "my_model.onnx", "litert": "my_model.tflite", "saved_model": "my_model"}
each_kind = pytest.mark.parametrize("kind", KINDS)

# What a user writes: without this book, in a folder that holds the file alone.
IN_ZIP = "import zipfile; names = json.loads(zipfile.ZipFile(file).read('class_names.json'))['class_names']\n"
LOADERS = {
    "keras": IN_ZIP + "import keras; logits = keras.models.load_model(file).predict(images, verbose=0)",
    "onnx": """
import onnxruntime
session = onnxruntime.InferenceSession(file)
names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])["class_names"]
[logits] = session.run(["logits"], {"image": images.astype("float32")})
""",
    "litert": IN_ZIP
    + """
from ai_edge_litert.interpreter import Interpreter
logits = Interpreter(file).get_signature_runner()(image=images.astype("float32"))["logits"]
""",
    "saved_model": """
import pathlib, tensorflow as tf
names = json.loads(pathlib.Path(file, "assets.extra", "class_names.json").read_text("utf-8"))["class_names"]
network = tf.saved_model.load(file)
logits = network.serve(images.astype("float32"))["logits"].numpy()
""",
}
FRESH = """
import json, sys, numpy as np
file, images = sys.argv[1], np.load(sys.argv[2])
{loader}
assert not [name for name in sys.modules if name.startswith("tl_")]
np.save(sys.argv[3], logits)
print(json.dumps(names))
"""


def network(shape=SHAPE, classes=3, behind=()):
    """Return a network with all that acts otherwise in training, and statistics that are not those of a new one."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(shape, name="image"),
            layers.Resizing(*SHAPE[:2]),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.5),
            layers.Rescaling(1 / 128, -127 / 128),
            layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem"),
            layers.BatchNormalization(epsilon=1e-3, name="normal"),
            layers.ReLU(6),
            layers.DepthwiseConv2D(3, padding="same", name="deep"),
            *behind,
            layers.GlobalAveragePooling2D(),
            layers.Normalization(mean=np.linspace(0.1, 0.8, 8), variance=np.linspace(0.01, 2, 8)),
            layers.Dropout(0.5),
            layers.Dense(classes, name="head"),
        ]
    )
    generator = np.random.default_rng(3)
    for layer in model.layers:  # the seeds of random layers are weights to Keras, and stay
        if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D, layers.BatchNormalization, layers.Dense)):
            layer.set_weights([generator.uniform(-0.3, 0.6, weight.shape) for weight in layer.get_weights()])
    gamma, beta, mean, variance = model.get_layer("normal").get_weights()
    model.get_layer("normal").set_weights([gamma, beta, mean, variance**2 + 0.1])
    return model


def result_of(model, names=NAMES):
    return results.Result("some method", model, training.History(), 0.5, 10, 1.0, {}, names)


def write(result, kind, path=None):
    return result.save(*[path] * bool(path)) if kind == "keras" else result.export(kind, path)


@pytest.fixture(scope="module")
def result():
    return result_of(network())


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).integers(0, 256, (200, *SHAPE), dtype=np.uint8)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_equal(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=exports.TOLERANCE * np.abs(expected).max())


@pytest.mark.slow
@each_kind
def test_a_process_without_the_book_gets_the_same_logits_and_names(result, images, place, kind):
    path = write(result, kind)
    assert path == Path(KINDS[kind])
    np.save(place / "images.npy", images)
    program = FRESH.format(loader=LOADERS[kind])
    call = [sys.executable, "-I", "-W", "error", "-W", "ignore::DeprecationWarning", "-c", program]
    done = subprocess.run(
        [*call, path, "images.npy", "logits.npy"], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert tuple(json.loads(done.stdout)) == NAMES
    expected = running.outputs(result.model, images)
    assert np.ptp(expected, axis=0).min() > 0.05  # the images are told apart
    assert_equal(np.load("logits.npy"), expected)


@each_kind
def test_what_is_written_can_be_read_and_replaced_without_a_word(result, images, kind, capfd, recwarn):
    for _ in range(2):
        path = write(result, kind)
    assert_equal(exports.reader(path)(images), running.outputs(result.model, images))
    assert exports.card_of(path) == {"class_names": list(NAMES), "height": SHAPE[0], "width": SHAPE[1], "fit": "crop"}
    assert names_in(Path()) == [KINDS[kind]]
    assert capfd.readouterr() == ("", "")
    assert not list(recwarn)


@each_kind
def test_a_network_that_takes_any_size_is_written_for_the_one_to_which_it_resizes(images, kind):
    result = result_of(network((None, None, 3)))
    path = write(result, kind)
    assert exports.card_of(path) == {"class_names": list(NAMES), "height": SHAPE[0], "width": SHAPE[1], "fit": "crop"}
    assert_equal(exports.reader(path)(images[:9]), running.outputs(result.model, images[:9]))


@each_kind
def test_a_head_on_standardised_features_can_be_taken_along(split, source, kind):
    result = transfer.feature_extraction(source, split, layer="conv2", steps=20, progress=False)
    path = write(result, kind)
    assert_equal(exports.reader(path)(split.test.images), running.outputs(result.model, split.test.images))


def test_a_saved_network_can_be_scored_again(split, source):
    result = transfer.parameter_transfer(source, split, steps=20, progress=False)
    path = result.save()
    again = results.evaluate(keras.models.load_model(path), split.test, exports.card_of(path)["class_names"])
    expected = result.evaluate(split.test)
    assert again.accuracy == expected.accuracy
    assert (again.predictions == expected.predictions).all()
    other = data.from_arrays(split.test.images, np.tile(["a", "b", "c"], len(split.test) // 3))
    with pytest.raises(results.TransferError, match="has a, b, c"):
        results.evaluate(keras.models.load_model(path), other, exports.card_of(path)["class_names"])


# From a photograph

PROGRAMS = {"keras": "predict.py", "onnx": "predict_onnx.py", "litert": "predict_litert.py"}
FITS = {"keras": "crop", "onnx": "pad", "litert": "stretch"}
EACH_PHOTOGRAPH = """
import contextlib, io, json, runpy, sys
import numpy as np
program, file, *photographs = sys.argv[1:]
shown, logits = [], []
for photograph in photographs:
    sys.argv = [program, file, photograph]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        logits.append(runpy.run_path(program, run_name="__main__")["logits"])
    shown.append(said.getvalue())
assert not [name for name in sys.modules if name.startswith("tl_")]
np.save("logits.npy", logits)
json.dump(shown, open("shown.json", "w", encoding="utf-8"))
"""


@pytest.fixture
def folder(place):
    """Photographs as they come: large, turned by the camera, grey, transparent, of odd sizes."""
    kinds = [("RGB", 1600, 1200, 6, "jpg"), ("RGB", 640, 427, 3, "png"), ("L", 1001, 700, 8, "jpg")]
    kinds += [("RGBA", 300, 211, 1, "png"), ("RGB", 40, 30, 5, "webp"), ("CMYK", 333, 500, 1, "jpg")]
    generator = np.random.default_rng(1)
    for number, (mode, width, height, turn, suffix) in enumerate(kinds):
        small = generator.integers(0, 256, (9, 7, len(mode)), dtype=np.uint8).squeeze()
        exif = Image.Exif()
        exif[0x0112] = turn
        path = place / "photos" / f"class {number % 2}" / f"{number}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(small, mode).resize((width, height), Image.Resampling.BICUBIC).save(path, exif=exif)
    return place / "photos"


@pytest.mark.slow
@pytest.mark.parametrize("kind", PROGRAMS)
def test_the_program_of_the_chapter_sees_a_photograph_as_the_network_was_shown_it(result, folder, place, root, kind):
    photos = data.from_folder(folder, size=SHAPE[:2], fit=FITS[kind])
    path = result.save(fit=FITS[kind]) if kind == "keras" else result.export(kind, fit=FITS[kind])
    shutil.copy(root / "chapters" / PROGRAMS[kind], place)
    call = [sys.executable, "-I", "-c", EACH_PHOTOGRAPH, PROGRAMS[kind], path]
    done = subprocess.run(
        [*call, *(folder / name for name in photos.files)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = running.outputs(result.model, photos.images)
    assert_equal(np.load("logits.npy"), expected)
    shares = np.exp(expected) / np.exp(expected).sum(1, keepdims=True)
    for said, row in zip(json.loads(Path("shown.json").read_text(encoding="utf-8")), shares, strict=True):
        lines = [re.fullmatch(r" *([\d.]+)%  (.+)", line).groups() for line in said.splitlines()]
        assert [name for _, name in lines] == [NAMES[k] for k in np.argsort(-row)]
        np.testing.assert_allclose([float(share) for share, _ in lines], 100 * np.sort(row)[::-1], atol=0.006)


def test_the_programs_differ_in_what_they_run_alone(root):
    def reading(name):
        text = (root / "chapters" / name).read_text(encoding="utf-8")
        return text[text.index("def fitted") : text.index("file, photo")], text[text.index("shares = ") :]

    assert len({reading(name) for name in PROGRAMS.values()}) == 1


# int8


def test_int8_is_small_and_nearly_the_same(split):
    result = transfer.parameter_transfer(models.pretrained("cifar10"), split, steps=30, progress=False)
    whole, small = result.export("litert"), result.export("litert", "small.tflite", quantise=split.train)
    assert small.stat().st_size < 0.4 * whole.stat().st_size
    found, expected = exports.reader(small)(split.test.images), running.outputs(result.model, split.test.images)
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.9
    assert 0 < np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
    assert exports.card_of(small) == exports.card_of(whole)


def test_int8_that_answers_otherwise_is_said(images):
    images = (images * np.linspace(0.1, 1, len(images))[:, None, None, None]).astype(np.uint8)
    model, head = network(), "head"
    kernel, bias = model.get_layer(head).get_weights()
    model.get_layer(head).set_weights([kernel[:, :1] + 1e-3 * kernel, 0 * bias])  # only small numbers tell them apart
    logits = running.outputs(model, images)
    model.get_layer(head).set_weights([kernel[:, :1] + 1e-3 * kernel, -np.median(logits - logits[:, :1], axis=0)])
    examples = data.Dataset(images, np.zeros(200, int), NAMES, "noise", "", np.zeros(200, bool))
    with pytest.warns(exports.ExportWarning, match=r"In int8 .* \d+ of the 200 images .* another class\. Measure"):
        path = result_of(model).export("litert", quantise=examples)
    assert path.is_file()


# What goes wrong


WRONG = {
    "unknown format": (lambda r: r.export("torch"), "'onnx', 'litert', 'saved_model'; found 'torch'"),
    "keras": (lambda r: r.export("keras"), r'found \'keras\'\. A file for Keras is written by result\.save\("my_model'),
    "its old name": (lambda r: r.export("tflite"), "found 'tflite'. It is called \"litert\" here"),
    "an old suffix": (
        lambda r: r.save("a.h5"),
        r"ends in \.keras; found 'a\.h5'\. Write for instance 'my_model\.keras'",
    ),
    "no suffix": (lambda r: r.save("a"), r"ends in \.keras; found 'a'"),
    "another suffix": (lambda r: r.export("onnx", "a.tflite"), r"ends in \.onnx; found 'a\.tflite'"),
    "the suffix of a file": (lambda r: r.export("saved_model", "a.keras"), r"the name of a folder; found 'a\.keras'"),
    "int8 elsewhere": (lambda r: r.export("onnx", quantise=np.zeros((1, *SHAPE))), "Expected quantise with the format"),
    "int8 by nothing": (lambda r: r.export("litert", quantise=True), "Expected images to quantise by.*found True"),
    "int8 by no images": (lambda r: r.export("litert", quantise=np.zeros((0, *SHAPE))), "images to quantise by.*none"),
    "other images": (lambda r: r.export("litert", quantise=np.zeros((1, 9, 9, 3))), r"takes inputs of shape \(20, 24"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_sense_is_said_and_nothing_written(result, place, name):
    call, message = WRONG[name]
    with pytest.raises(exports.ExportError, match=message):
        call(result)
    assert names_in(place) == []


@each_kind
def test_a_place_that_cannot_be_written_is_said(result, place, kind):
    with pytest.raises(files.FileError, match=r"there is no folder .*none\. Make it"):
        write(result, kind, Path("none", KINDS[kind]))
    assert names_in(place) == []
    taken = place / KINDS[kind]
    if kind == "saved_model":
        taken.mkdir()
        (taken / "thesis.txt").write_text("mine")
        with pytest.raises(files.FileError, match="a folder that holds something else"):
            write(result, kind)
        assert names_in(taken) == ["thesis.txt"]
        (taken / "thesis.txt").rename(place / "thesis.txt")
        taken.rmdir()
        taken.write_text("mine")
        with pytest.raises(files.FileError, match="is a file; expected a folder"):
            write(result, kind)
        assert taken.read_text() == "mine"
    else:
        taken.mkdir()
        with pytest.raises(files.FileError, match="is a folder; expected a file"):
            write(result, kind)
        assert names_in(place) == [KINDS[kind]]


@each_kind
def test_a_full_disk_leaves_what_was_there(result, images, place, kind):
    path = write(result, kind)
    other = result_of(network(behind=[keras.layers.Conv2D(8, 25, padding="same", name="wide")]))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # as if the disk were full
    try:
        with pytest.raises(files.FileError, match=r"cannot be written .* is still there"):
            write(other, kind)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names_in(place) == [KINDS[kind]]
    assert_equal(exports.reader(path)(images[:9]), running.outputs(result.model, images[:9]))


class Doubling(keras.layers.Layer):
    def call(self, x):
        return 2 * x


class Padded(keras.layers.Layer):  # forgets its argument: Keras can write it, and cannot build it again
    def __init__(self, width):
        super().__init__()
        self.width = width

    def call(self, x):
        return x + self.width


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: Doubling(), "layers of Keras alone; found 'Doubling' of the module"),
        (lambda: Padded(3), r"Keras cannot (save|read)|layers of Keras alone; found 'Padded'"),
        (lambda: keras.layers.Lambda(lambda x: 2 * x), "layers of Keras alone; found a lambda in a Lambda"),
    ],
    ids=["own class", "own class without a configuration", "lambda"],
)
def test_a_layer_that_no_other_process_knows_is_refused_and_the_advice_helps(place, images, layer, message):
    result = result_of(network(behind=[layer()]))
    with pytest.raises(exports.ExportError, match=message) as caught:
        result.save()
    assert names_in(place) == []
    assert 'result.export("saved_model")' in str(caught.value)
    path = result.export("saved_model")
    assert_equal(exports.reader(path)(images[:9]), running.outputs(result.model, images[:9]))


@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_a_layer_that_a_format_does_not_have_is_said(place, kind):
    layer = keras.layers.Lambda(lambda x: tf.math.betainc(1.0 + 0 * x, 1.0, tf.sigmoid(x)))
    result = result_of(network(behind=[layer]))
    with pytest.raises(exports.ExportError, match=r"no counterpart .*Betainc.*result\.export\(\"saved_model\"\)"):
        result.export(kind)
    assert names_in(place) == []
    result.export("saved_model")


@each_kind
def test_a_file_that_would_answer_otherwise_is_not_kept(result, place, monkeypatch, kind):
    reader = exports.reader
    monkeypatch.setattr(exports, "reader", lambda path: lambda images: reader(path)(images) * 1.001)
    with pytest.raises(exports.ExportError, match=r"Expected the same logits from the file; found a difference of"):
        write(result, kind)
    assert names_in(place) == []


@pytest.mark.parametrize(
    ("kind", "package"),
    [("onnx", "tf2onnx"), ("onnx", "onnx"), ("onnx", "onnxruntime"), ("litert", "ai_edge_litert")],
)
def test_a_missing_package_is_named(result, place, monkeypatch, kind, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(exports.ExportError, match=f"needs the package {package.replace('_', '-')}, .*pip install"):
        result.export(kind)
    assert names_in(place) == []


def test_the_advice_for_a_missing_package_names_the_extra_of_the_package(root):
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    extra = set(re.findall(r'"([\w-]+)"', re.search(r"^export = (.*)", text, re.M).group(1).split("]")[0]))
    with pytest.raises(exports.ExportError) as caught:
        exports._package("not_there")
    assert set(str(caught.value).split("pip install ")[1].split()) == extra


def test_names_that_do_not_fit_are_refused(result, place):
    with pytest.raises(exports.ExportError, match="found 2 names and 3 outputs"):
        result_of(result.model, ("a", "b")).save()
    assert names_in(place) == []


def test_a_network_that_does_not_know_the_size_of_its_images_is_refused(place):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(image)))
    with pytest.raises(
        exports.ExportError, match=r"knows the size of its images; .* takes inputs of shape \(None, None, 3\)"
    ):
        result_of(model).export("saved_model")
    assert names_in(place) == []


def test_a_file_without_names_is_said(result, place):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        result.model.save("plain.keras")
    with pytest.raises(exports.ExportError, match=r"names of classes in plain\.keras; found none .* result\.save"):
        exports.card_of("plain.keras")
    with pytest.raises(exports.ExportError, match="found none"):
        exports.card_of("none.tflite")


def test_the_measured_table_has_every_format_and_claims_no_other_logits(root):
    told = json.loads((root / "tl_helpers" / "assets" / "exports.json").read_text(encoding="utf-8"))
    rows = {row["format"]: row for row in told["formats"]}
    assert list(rows) == ["Keras", "SavedModel", "ONNX", "LiteRT", "LiteRT, int8"]
    for name, row in rows.items():
        difference, low, high = row["difference"]
        assert difference == pytest.approx(row["accuracy"] - told["network"]["accuracy"])
        assert low <= difference <= high
        if name != "LiteRT, int8":
            assert row["largest difference"] <= exports.TOLERANCE * told["network"]["largest logit"]
            assert row["other class"] <= 1
    assert rows["LiteRT, int8"]["megabytes"] < 0.4 * rows["LiteRT"]["megabytes"]
