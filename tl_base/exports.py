"""A trained network in a file that needs nothing of this book: for Keras, ONNX, LiteRT and TensorFlow.

What is written is read again, and must give the same logits, before it takes its place. The names of the classes and
the size of the images are inside, as JSON: ``class_names.json`` in the zip that a ``.keras`` file is and that ends a
``.tflite`` file; the metadata of an ``.onnx`` file; ``assets.extra/class_names.json`` in the folder of a SavedModel.
Taught in: chapter 7 (Your own photographs).
"""

import contextlib
import importlib
import json
import logging
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tl_base import files, graph, photographs, running
from tl_base.backend import keras, quiet, tf

SUFFIXES = {"onnx": ".onnx", "litert": ".tflite", "saved_model": ""}
NEEDED = {"onnx": ("onnx", "onnxruntime", "tf2onnx"), "litert": ("ai_edge_litert",), "saved_model": ()}
OTHER_NAMES = {"tflite": "litert", "tf_saved_model": "saved_model", "savedmodel": "saved_model", "tf": "saved_model"}
FILES = (".keras", ".onnx", ".tflite", ".h5", ".hdf5", ".pb", ".zip")  # suffixes that no folder should have
CARD = "class_names.json"
BESIDE = f"assets.extra/{CARD}"  # where TensorFlow leaves room in a SavedModel
TOLERANCE = 1e-4  # of the largest logit
MOST_EXAMPLES = 200  # images that show the converter which values occur
BATCH = 64

Run = Callable[[np.ndarray], np.ndarray]


class ExportError(ValueError):
    """A network cannot be taken along in this form. The message says what was expected, what was found, what to do."""


class ExportWarning(UserWarning):
    """A file was written, but predicts otherwise than the network."""


def save(model: keras.Model, class_names: Sequence[str], path: files.PathLike, fit: str = "crop") -> Path:
    """Write a network as a ``.keras`` file that Keras alone can read.

    Parameters
    ----------
    model : keras.Model
        Images, 0 to 255, to logits.
    class_names : sequence of str
        What the outputs mean, in order.
    path : path-like
        Ends in ``.keras``; a file of that name is replaced.
    fit : {"crop", "pad", "stretch"}
        How photographs were brought to the size of the images, so that new ones can be brought to it likewise.

    Returns
    -------
    pathlib.Path
        Where it is.

    Raises
    ------
    ExportError, FileError, ModelError, DataError
        If another suffix is asked for, the file cannot be written, or it would not give the same logits elsewhere.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    card = _card_of(model, class_names, fit)
    path = _with_suffix(path, ".keras", "my_model.keras")
    with _written(path) as part:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # h5py asks Keras
            try:
                model.save(part)
            except (NotImplementedError, TypeError, ValueError) as error:
                raise ExportError(f"Keras cannot save {model.name!r}: {_short(error)}. {_ELSEWHERE}") from error
        with zipfile.ZipFile(part, "a") as archive:
            _check_classes(json.loads(archive.read("config.json")))
            archive.writestr(CARD, card)
        _check(model, card, part)
    return path


_ELSEWHERE = (
    "Give the layer a get_config() with all arguments of its constructor, or take a format that needs no class: "
    'result.export("saved_model").'
)


def export(
    model: keras.Model,
    class_names: Sequence[str],
    format: str,
    path: files.PathLike | None = None,
    examples: Any = None,
    fit: str = "crop",
) -> Path:
    """Write a network in a format that other programs run.

    Parameters
    ----------
    model, class_names, fit
        As for `save`.
    format : {"onnx", "litert", "saved_model"}
        A file for ONNX Runtime, a file for phones and small devices (LiteRT, once TensorFlow Lite), or a folder for
        TensorFlow and its servers.
    path : path-like, optional
        By default ``my_model.onnx``, ``my_model.tflite`` or ``my_model``. What an earlier call wrote is replaced.
    examples : ndarray, shape (N, height, width, 3), optional
        For LiteRT: compute in int8. These images, up to 200 of them, show which values occur.

    Returns
    -------
    pathlib.Path
        Where it is. Its one input ``image`` takes (N, height, width, 3), float32, values 0 to 255, its one output
        ``logits`` gives (N, classes), float32. Layers that vary the images in training do nothing.

    Raises
    ------
    ExportError, FileError, ModelError, DataError
        If the format is unknown, a package is missing, the file cannot be written, or would not give the same logits.

    Notes
    -----
    Warns (`ExportWarning`) if the int8 file gives more than one in ten of the `examples` another class. Taught in:
    chapter 7 (Your own photographs).
    """
    _check_format(format)
    if examples is not None:
        examples = _checked_examples(model, format, examples)
    card, suffix = _card_of(model, class_names, fit), SUFFIXES[format]
    path = _with_suffix(path or f"my_model{suffix}", suffix, f"my_model{suffix}")
    _packages(format)
    with files.replacing_folder(path, BESIDE) if format == "saved_model" else _written(path) as part:
        WRITERS[format](_serving(model), part, card, examples)
        _check(model, card, part, examples)
    return path


def card_of(path: files.PathLike) -> dict[str, Any]:
    """Read what a file says of its network.

    Parameters
    ----------
    path : path-like
        As `save` or `export` wrote it.

    Returns
    -------
    dict
        ``class_names`` (list of str), ``height`` and ``width`` of the images in pixels, and ``fit``, how photographs
        were brought to this size.

    Raises
    ------
    ExportError
        If it holds none.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    path = Path(path)
    try:
        if path.is_dir():
            return json.loads((path / BESIDE).read_text(encoding="utf-8"))
        if path.suffix == ".onnx":
            return json.loads(_session(path).get_modelmeta().custom_metadata_map["class_names"])
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(CARD))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ExportError(
            f"Expected the names of classes in {path}; found none ({_short(error)}). Write it with result.save or "
            "result.export."
        ) from error


def reader(path: files.PathLike) -> Run:
    """Read a network from a file, to run it as another program would.

    Parameters
    ----------
    path : path-like
        As `save` or `export` wrote it.

    Returns
    -------
    callable
        Images ``(N, height, width, 3)``, 0 to 255, any numeric dtype, to logits ``(N, classes)``, float32.

    Raises
    ------
    ExportError
        If a package is missing.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    path = Path(path)
    if path.is_dir():
        return _in_batches(_of_saved_model(path))
    if path.suffix == ".keras":
        return running.compiled(keras.models.load_model(path, compile=False))
    return _in_batches(_of_onnx(path) if path.suffix == ".onnx" else _of_litert(path))


# What is asked for, and of what


def _check_format(format: str) -> None:
    if format not in SUFFIXES:
        remedy = 'A file for Keras is written by result.save("my_model.keras").'
        if str(format).lower() in OTHER_NAMES:
            remedy = f'It is called "{OTHER_NAMES[str(format).lower()]}" here.'
        raise ExportError(f"Expected the format {', '.join(map(repr, SUFFIXES))}; found {format!r}. {remedy}")


def _checked_examples(model: keras.Model, format: str, examples: Any) -> np.ndarray:
    """Return as many of the examples as are needed, from the first to the last."""
    if format != "litert":
        raise ExportError(
            f'Expected quantise with the format "litert" alone; found it with {format!r}. Leave it out, or export to '
            '"litert".'
        )
    if np.ndim(examples) != 4 or not len(examples):
        found = "none" if np.ndim(examples) == 4 else f"{examples!r:.60}"
        raise ExportError(f"Expected images to quantise by; found {found}. Pass quantise=split.train.")
    running.check_images(model, np.shape(examples)[1:], ExportError)
    return examples[np.unique(np.linspace(0, len(examples) - 1, MOST_EXAMPLES).astype(int))]


def _with_suffix(path: files.PathLike, suffix: str, example: str) -> Path:
    """Return a path if it has the suffix that belongs to its format, else say which it should have."""
    path = Path(path)
    if path.suffix.lower() == suffix or (not suffix and path.suffix.lower() not in FILES):
        return path
    expected = f"a name that ends in {suffix}" if suffix else "the name of a folder"
    raise ExportError(f"Expected {expected}; found {str(path)!r}. Write for instance {example!r}.")


def _card_of(model: keras.Model, class_names: Sequence[str], fit: str) -> str:
    """Return what a file says of its network, as JSON."""
    photographs.check_fit(fit)
    names, outputs = [str(name) for name in class_names], graph.graph_of(model).outputs[0].shape[-1]
    if len(names) != outputs:
        raise ExportError(
            f"Expected one name for each output of {model.name!r}; found {len(names)} names and {outputs} outputs. "
            "Pass the class names that it was trained with."
        )
    height, width, _ = _image_shape(model)
    return json.dumps({"class_names": names, "height": height, "width": width, "fit": fit}, ensure_ascii=False)


def _image_shape(model: keras.Model) -> tuple[int, int, int]:
    """Return the shape of one image: the network's own, or that to which it resizes whatever it gets."""
    shape = graph.graph_of(model).inputs[0].shape[1:]
    if len(shape) == 3 and None not in shape:
        return shape
    layers = [layer for layer in graph.layers_of(model) if not isinstance(layer, keras.layers.InputLayer)]
    if len(shape) == 3 and layers and isinstance(layers[0], keras.layers.Resizing):
        return layers[0].height, layers[0].width, shape[2]
    raise ExportError(
        f"Expected a network that knows the size of its images; {model.name!r} takes inputs of shape {tuple(shape)}. "
        "Train it on images of one size: data.from_folder(folder, size=160)."
    )


def _packages(format: str) -> None:
    """Ask before the work for what it will need."""
    for name in NEEDED[format]:
        _package(name)


def _package(name: str) -> ModuleType:
    """Import a package that is needed for this alone."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExportError(
            f"This needs the package {name.replace('_', '-')}, which is not installed ({error}). Run: pip install "
            "tf2onnx onnx onnxruntime ai-edge-litert"
        ) from error


def _check_classes(config: Any) -> None:
    """Refuse a configuration that names classes or functions which are not Keras's own."""
    if isinstance(config, list):
        for part in config:
            _check_classes(part)
    elif isinstance(config, dict):
        module = config.get("module")
        foreign = isinstance(module, str) and module.split(".")[0] not in ("keras", "builtins")
        if "class_name" in config and (foreign or config["class_name"] == "__lambda__"):
            found = f"{config['class_name']!r} of the module {module!r}" if foreign else "a lambda in a Lambda layer"
            raise ExportError(
                f"Expected layers of Keras alone; found {found}, which no other process knows. Take a format that "
                'needs no class: result.export("saved_model"). Or save with result.model.save(path), and bring the '
                "code to where you load it."
            )
        for part in config.values():
            _check_classes(part)


# Writing


@contextlib.contextmanager
def _written(path: Path) -> Iterator[Path]:
    """Give a name in a new folder to write to; the file takes its place when the block ends without an error."""
    target = files.regular(path)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            part = Path(folder) / f"network{target.suffix.lower()}"
            yield part
            content = part.read_bytes()
    except OSError as error:
        raise files.FileError(f"{path} cannot be written ({error}). What was there before is still there.") from error
    with files.replacing(path) as file:
        file.write(content)


def _serving(model: keras.Model) -> keras.Model:
    """Return a network as it is in use: images of one size to named logits, nothing that only training does."""
    if any(isinstance(layer, keras.layers.Normalization) for layer in graph.layers_of(model)):
        model = keras.models.clone_model(model, clone_function=_without_statistics, recursive=True)
    image = keras.Input(_image_shape(model), dtype="float32", name="image")
    return keras.Model(image, {"logits": model(image, training=False)}, name="network")


def _without_statistics(layer: keras.Layer) -> keras.Layer:
    """Return a layer itself, or what does the same as a `Normalization`: its tensors get lost on the way to ONNX."""
    if not isinstance(layer, keras.layers.Normalization):
        return layer
    scale = 1 / np.maximum(np.sqrt(layer.variance), keras.config.epsilon())
    return keras.layers.Rescaling(scale, -layer.mean.numpy() * scale, name=layer.name)


def _write_saved_model(serving: keras.Model, folder: Path, card: str, _: Any) -> None:
    _write_plain(serving, folder)
    (folder / BESIDE).parent.mkdir(exist_ok=True)
    (folder / BESIDE).write_text(card, encoding="utf-8")


def _write_plain(serving: keras.Model, folder: Path) -> None:
    try:
        with quiet():
            serving.export(folder, format="tf_saved_model", verbose=False)
    except tf.errors.OpError as error:  # how TensorFlow says that a disk is full
        raise OSError(error.message) from error


def _write_onnx(serving: keras.Model, path: Path, card: str, _: Any) -> None:
    onnx = _package("onnx")
    with quiet(), warnings.catch_warnings(), _errors_of("tf2onnx") as errors:
        warnings.filterwarnings("ignore", r"In the future `np\.object`", FutureWarning)  # Keras asks NumPy for it
        serving.export(path, format="onnx", verbose=False, input_signature=serving.inputs)
    if errors:
        raise ExportError(f"ONNX has no counterpart for a layer: {_short(errors[-1])}. {_OTHERS}")
    network = onnx.load(path)
    onnx.helper.set_model_props(network, {"class_names": card})
    onnx.save(network, path)


@contextlib.contextmanager
def _errors_of(name: str) -> Iterator[list[str]]:
    """Collect what a library logs as an error, and show nothing of its log."""
    log, errors = logging.getLogger(name), []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            errors.append(record.getMessage())

    collector, propagates = Collector(logging.ERROR), log.propagate
    log.addHandler(collector)
    log.propagate = False
    try:
        yield errors
    finally:
        log.removeHandler(collector)
        log.propagate = propagates


def _write_litert(serving: keras.Model, path: Path, card: str, examples: np.ndarray | None) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        _write_plain(serving, Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if examples is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([image[None].astype("float32")] for image in examples)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        try:
            with quiet():
                content = converter.convert()
        except Exception as error:  # its own class is private
            raise ExportError(f"LiteRT has no counterpart for a layer: {_short(error)}. {_OTHERS}") from error
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:  # behind the network, as the format has it for files that belong to it
        archive.writestr(CARD, card)


_OTHERS = 'Take another format: result.export("saved_model") writes whatever Keras runs.'


WRITERS = {"onnx": _write_onnx, "litert": _write_litert, "saved_model": _write_saved_model}


# Reading and comparing


def _in_batches(run: Run) -> Run:
    def over(images: np.ndarray) -> np.ndarray:
        parts = [images[start : start + BATCH] for start in range(0, max(len(images), 1), BATCH)]
        return np.concatenate([run(np.ascontiguousarray(part, "float32")) for part in parts])

    return over


def _of_saved_model(path: Path) -> Run:
    network = tf.saved_model.load(str(path))  # kept, as it holds the weights
    return lambda images: network.serve(tf.constant(images))["logits"].numpy()


def _session(path: Path) -> Any:
    return _package("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])


def _of_onnx(path: Path) -> Run:
    session = _session(path)
    return lambda images: session.run(["logits"], {"image": images})[0]


def _of_litert(path: Path) -> Run:
    interpreter = _package("ai_edge_litert.interpreter").Interpreter(str(path))
    with quiet():  # it tells of the library that it computes with
        interpreter.allocate_tensors()
    run = interpreter.get_signature_runner()
    return lambda images: run(image=images)["logits"]


def _check(model: keras.Model, card: str, path: Path, examples: np.ndarray | None = None) -> None:
    """Read what was written, and compare its logits with the network's."""
    images = np.random.default_rng(0).integers(0, 256, (4, *_image_shape(model)), dtype=np.uint8)
    images = images if examples is None else examples
    expected = running.outputs(model, images)
    try:
        found = reader(path)(images)
    except ExportError:
        raise
    except Exception as error:  # each runtime has errors of its own
        raise ExportError(f"What was written cannot be read again: {_short(error)}. {_OTHERS}") from error
    if card_of(path) != json.loads(card):
        raise ExportError(f"Expected {card} in the file; found {card_of(path)}. Update the packages, and try again.")
    if examples is not None:
        other = int(np.sum(found.argmax(1) != expected.argmax(1)))
        if 10 * other > len(images):
            warnings.warn(
                f"In int8 the network gives {other} of the {len(images)} images that you passed another class. Measure "
                "it on images of their own before you use it, or export without quantise.",
                ExportWarning,
                stacklevel=4,
            )
        return
    apart, size = float(np.abs(found - expected).max()), float(np.abs(expected).max())
    if not apart <= TOLERANCE * size + 1e-6:
        raise ExportError(
            f"Expected the same logits from the file; found a difference of {apart:.3g}, where the largest is "
            f"{size:.3g}. A layer gives other values in this format. {_OTHERS}"
        )


def _short(error: BaseException | str) -> str:
    """Return the beginning of a message, without the full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return (text if len(text) <= 200 else f"{text[:199]}…").rstrip(".")
