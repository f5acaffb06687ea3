"""What the tests of the runner name in their grids, and a process that kills its runner again and again."""

import os
import random
import signal
import sys
import time
import warnings
from pathlib import Path

import pandas as pd

import tl_experiments as experiments
from tl_experiments import log
from tl_helpers import records


def digits():
    from tl_helpers import data

    return data.digits()


def source():
    from tl_helpers import models

    return models.source_cnn(seed=3)


def small():
    """Return a source that the project did not build: other names of layers, pixels scaled its own way."""
    from tl_base.backend import keras
    from tl_helpers import models

    x = picture = keras.Input((32, 32, 3), name="picture")
    x = keras.layers.Rescaling(1 / 100, name="scaled")(x)
    x = keras.layers.Conv2D(4, 3, strides=4, activation="relu", name="first")(x)
    x = keras.layers.Conv2D(6, 3, activation="tanh", name="second")(x)
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dense(10, name="answers")(x)
    return models.reseeded(keras.Model(picture, x, name="small"), 1)


def branched(*first):
    """Return a source with branches, a network inside, BatchNormalization and Dropout; `first` are its first layers."""
    from tl_base.backend import keras
    from tl_helpers import models

    layers = keras.layers
    x = picture = keras.Input((32, 32, 3), name="picture")
    for layer in first:
        x = layer(x)
    stem = [
        keras.Input(x.shape[1:]),
        layers.Rescaling(1 / 255, name="scaled"),
        layers.Conv2D(4, 3, strides=4, name="a"),
    ]
    x = keras.Sequential([*stem, layers.BatchNormalization(name="n")], name="stem")(x)
    x = layers.Dropout(0.2, name="drop")(x)
    x = layers.Concatenate(name="both")([layers.Conv2D(2, 1, name="left")(x), layers.Conv2D(2, 3, padding="same")(x)])
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Conv2D(6, 3, activation="relu", name="end")(x))
    return models.reseeded(keras.Model(picture, layers.Dense(10)(x), name="branched"), 2)


def dropped():
    """Return a source with Dropout between its last convolution and its features."""
    from tl_base.backend import keras
    from tl_helpers import models

    layers = keras.layers
    chain = [
        layers.Rescaling(1 / 255, name="scaled"),
        layers.Conv2D(6, 3, strides=4, name="a"),
        layers.Dropout(0.2, name="d"),
    ]
    chain = [keras.Input((32, 32, 3)), *chain, layers.GlobalAveragePooling2D(name="pool"), layers.Dense(10, name="out")]
    return models.reseeded(keras.Sequential(chain), 2)


def augmented():
    """Return the branched source behind a layer that flips images in training."""
    from tl_base.backend import keras

    return branched(keras.layers.RandomFlip(name="flip"))


def few():
    """Return a small target with the classes of the source "digits"."""
    return digits().rows(slice(0, 400))


def says_nothing(images):
    return [[1.0] * 10] * len(images)


def rules():
    from tl_helpers import knowledge

    return [knowledge.Rule("says nothing", says_nothing)]


def quick_work(batch, memory, threads):
    """Stand in for `workbench.work`: rows at once, from the run alone, some of them long enough to be cut off."""
    rows = []
    for run in batch:
        time.sleep(0.001)
        number = int(run.key[:6], 16) / 16**6
        values = {name: getattr(run, name) for name in run.__dataclass_fields__ if name in records.COLUMNS}
        values |= {
            "key": run.key,
            "head": "",
            "settings": "{}",
            "fingerprints": "{}",
            "error": "",
            "date": "2026-01-01",
            "machine": "toy",
        }
        values |= {"validation_accuracy": number, "test_accuracy": number, "trainable_parameters": 1, "seconds": 0.1}
        rows.append(values | {"history": '{"steps":[' + "1," * int(number * 20_000) + "2]}"})
    return rows


def place_of_data(task, memory, threads):
    """Tell where a process would look for data, and which process it is."""
    time.sleep(0.2)  # so that each of them gets something to do
    return os.environ.get("TL_DATA_DIR"), os.getpid()


TOY = {"pairs": [("toy_experiments:source", "toy_experiments:digits")], "seed": range(2), "steps": 12}
GRIDS = [
    experiments.Grid("toy", **TOY, learning_rate=[1e-3, 1e-2], initialisation=["source", "random"]),
    experiments.Grid("toy", **TOY, method=["parameter transfer"], layers_copied=[3, 2], layers_frozen=[2]),
    experiments.Grid("toy", **TOY, method=["LP-FT"], labels_per_class=[1], layers_frozen=[2]),
    experiments.Grid(
        "toy", **TOY, method=["L2-SP"], settings=[{"alpha": 0.1}], layers_frozen=[2], labels_per_class=[1]
    ),
]
SAME = ["validation_accuracy", "test_accuracy"]
OWN_SETTINGS = {
    "L2-SP": {"alpha": 0.1},
    "distillation": {"teacher": "digits", "temperature": 2.0},
    "attention transfer": {"strength": 1.0, "layers": ["conv3"]},
    "logic rules": {"rules": "toy_experiments:rules", "strength": 2.0},
}
GRID = experiments.Grid("kill", method=["parameter transfer"], layers_frozen=range(4), seed=range(100))


ROWS = [row for run in GRID.runs()[:6] for row in quick_work([run], 0, None)]


def written(path, rows=ROWS):
    """Write rows to a file of records; return its bytes."""
    with log.open_log(path) as file:
        file.append(rows)
    return path.read_bytes()


def reference(**arms):
    """Make a table of records: arm to one test accuracy a seed, five labels per class."""
    common = {
        "experiment": "reference",
        "source": "cifar10",
        "target": "mnist",
        "labels_per_class": 5,
        "label_noise": 0.0,
        "validation_accuracy": 0.5,
        "history": '{"loss": [0.3]}',
    }
    found = [
        common | {"arm": arm, "seed": s, "test_accuracy": v, "measures": "{}", "key": f"{arm} {s}"}
        for arm, vs in arms.items()
        for s, v in enumerate(vs)
    ]
    return pd.DataFrame(found)


def environment(root):
    """Return the environment of a child process that can import the project and this module."""
    return os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"}


def size_of(path):
    return path.stat().st_size if path.is_file() else 0


def killed_often(path, rounds):
    """Start the runner and kill it, again and again; then let it finish. Return how many rows each kill left."""
    chance, counts, before = random.Random(0), [], set()
    for _ in range(rounds):
        child = os.fork()
        if child == 0:
            experiments.run(GRID, path, progress=False, work=quick_work)
            os._exit(0)
        enough = size_of(path) + chance.uniform(0, 200_000)
        while size_of(path) < enough:
            time.sleep(0.0003)
        time.sleep(chance.uniform(0, 0.003))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with log.open_log(path) as found:  # mends what the kill has torn, refuses what is damaged
            assert before <= found.keys, "a row was lost"
            before = found.keys
        counts.append(len(before))
    experiments.run(GRID, path, progress=False, work=quick_work)
    return counts


if __name__ == "__main__":
    warnings.simplefilter("error")
    print(*killed_often(Path(sys.argv[1]), int(sys.argv[2])))
