"""Train the source networks and write what ships with the book: `make weights`.

`python tools/train_source.py [NAME ...]` trains the named ones, by default all. For each it writes into
tl_helpers/assets: source_NAME.npz (best epoch by validation accuracy) and source_NAME.json (the model card with the
full history). A name such as `cifar10#2` is the same recipe with another seed: another training of the same network.
Its files are tl_experiments/assets/source_cifar10_2.*. The test set is used once, at the end. An interrupted run goes
on at the epoch after the last complete one.
"""

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tl_base import files
from tl_base.backend import keras, tf
from tl_experiments import trainings
from tl_experiments.fingerprints import sha256_of
from tl_helpers import data, models, training, transfer

ASSETS = Path(models.__file__).parent / "assets"
TRAININGS = Path(trainings.__file__).parent / "assets"  # of those after the first


@dataclass(frozen=True)
class Recipe:
    """What a network is trained on, how (Adam), and what of it is stored; `trainings` says how often."""

    what: str
    load: Callable
    epochs: int
    learning_rate: float = 1e-3
    batch_size: int = 64
    falls: bool = False  # the learning rate, along half a cosine to 0; else it is constant
    augment: str | None = None
    points: int = 20  # scored in each epoch of seed 0
    dtype: str = "float16"  # of the best one's file; the test accuracy is the file's


def cifar10():
    """Load CIFAR-10."""
    return data.load("cifar10")


def cifar10_a():
    """Load the five classes of CIFAR-10 that the near pair starts from."""
    return data.only(cifar10(), data.CIFAR10_A, name="cifar10-a")


RESIDUAL = {"learning_rate": 2e-3, "falls": True, "augment": "flip and shift", "points": 1}
RECIPES = {
    "cifar10": Recipe("CIFAR-10", cifar10, 20, dtype="float32"),
    "cifar10-rows": Recipe("CIFAR-10, read row by row", cifar10, 10),
    "cifar10-a": Recipe("five classes of CIFAR-10", cifar10_a, 12),
    "resnet": Recipe("CIFAR-10", cifar10, 15, **RESIDUAL),
    "resnet-a": Recipe("five classes of CIFAR-10", cifar10_a, 20, **RESIDUAL),
    "digits": Recipe("the digits of scikit-learn", data.digits, 30),
}


def arguments(words=None):
    """Read the command line: the names of the networks and two folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [training for name in RECIPES for training in trainings.names_of(name)]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; by default all")
    parser.add_argument("--state", type=Path, default=Path("_build/weights"), help="folder for interrupted runs")
    parser.add_argument("--assets", type=Path, help="folder that receives the files; by default each package's own")
    options = parser.parse_args(words)
    if unknown := set(options.names) - set(known):
        parser.error(f"no recipe for {', '.join(sorted(unknown))}; there is one for {', '.join(known)}")
    options.names = options.names or known
    return options


def cpu_name():
    """Name the processor as the operating system does."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def resume(path, settings, model, optimizer):
    """Load the state after the last complete epoch, if there is one; return the history so far."""
    if not path.is_file():
        return []
    with np.load(path, allow_pickle=False) as state:
        if str(state["settings"]) != settings:
            raise SystemExit(f"{path} was begun with {state['settings']}, not with {settings}. Delete it, or go back.")
        history = json.loads(str(state["history"]))
        model.set_weights([state[f"weight{i}"] for i in range(len(model.weights))])
        optimizer.build(model.trainable_variables)
        for i, variable in enumerate(optimizer.variables):
            variable.assign(state[f"optimizer{i}"])
    print(f"Going on after epoch {len(history)}; to start afresh, delete {path}.")
    return history


def train(name, seed, recipe, split, folder):
    """Train epoch by epoch; after each, write the state that the next one starts from. Return the history."""
    folder.mkdir(parents=True, exist_ok=True)
    model, rate = models.PRETRAINED[name](seed=seed), recipe.learning_rate
    if recipe.falls:
        rate = keras.optimizers.schedules.CosineDecay(rate, recipe.epochs * (len(split.train) // recipe.batch_size))
    optimizer = keras.optimizers.Adam(rate)
    settings = f"{model.count_params():,} parameters, learning rate {recipe.learning_rate:g}, batch size "
    settings += f"{recipe.batch_size}, seed {seed}"
    settings += f", {recipe.augment}, falling over {recipe.epochs} epochs" if recipe.falls else ""
    history = resume(folder / "last.npz", settings, model, optimizer)
    for epoch in range(len(history) + 1, recipe.epochs + 1):
        part = training.fit(
            model,
            split.train.images,
            split.train.labels,
            steps=len(split.train) // recipe.batch_size,
            learning_rate=recipe.learning_rate,
            batch_size=recipe.batch_size,
            seed=[seed, epoch],
            augment=recipe.augment,
            validation=(split.validation.images, split.validation.labels),
            points=recipe.points if seed == 0 else 1,
            optimizer=optimizer,
            progress=f"{trainings.name_of(name, seed)}, epoch {epoch}/{recipe.epochs}",
        )
        history.append({"epoch": epoch, "loss": part.loss, "validation_accuracy": part.validation_accuracy})
        history[-1]["seconds"] = round(part.seconds, 2)
        models.save_arrays(folder / f"epoch{epoch:02d}.npz", models.weight_arrays(model))
        arrays = {f"weight{i}": w for i, w in enumerate(model.get_weights())}
        arrays |= {f"optimizer{i}": v.numpy() for i, v in enumerate(optimizer.variables)}
        arrays |= {"settings": np.array(settings), "history": np.array(json.dumps(history))}
        models.save_arrays(folder / "last.npz", arrays)
    return history[: recipe.epochs]


def weights_after(model, folder, epoch, dtype):
    """Return the named weights after an epoch in the dtype that they are stored in."""
    models.load_weights(model, folder / f"epoch{epoch:02d}.npz")
    return {name: array.astype(dtype) for name, array in models.weight_arrays(model).items()}


def model_card(name, seed, recipe, split, history, best, model):
    """Describe a trained network; its one look at the test images is here."""
    score, seen, label = transfer.evaluate(model, split.test), len(split.train), trainings.name_of(name, seed)
    loads = f"trainings.load({label!r})" if seed else f"models.pretrained({name!r})"
    falls = {"schedule": "half a cosine to 0", "augmentation": recipe.augment} if recipe.falls else {}
    return {
        "what": f"{loads}: a {model.name} trained on {recipe.what}",
        "command": f"python tools/train_source.py {label}",
        "recipe": {
            "optimizer": "Adam",
            "learning_rate": recipe.learning_rate,
            **falls,
            "batch_size": recipe.batch_size,
            "epochs": recipe.epochs,
            "seed": seed,
            "kept": f"epoch {best}, the best of {recipe.epochs} by validation accuracy, in {recipe.dtype}",
        },
        "data": {
            "provenance": split.train.provenance,
            "images": {part: len(getattr(split, part)) for part in ("train", "validation", "test")},
            "sha256_of_training_images_and_labels": sha256_of(split.train),
        },
        "parameters": model.count_params(),
        "test_accuracy": score.accuracy,
        "classes": list(split.test.class_names),
        "per_class_accuracy": score.per_class_accuracy.tolist(),
        "confusion": score.confusion.tolist(),
        "best_epoch": best,
        "history": history,
        "seconds": round(sum(point["seconds"] for point in history), 1),
        "versions": {"python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__},
        "cpu": cpu_name(),
        "date": datetime.date.today().isoformat(),
        "limits": f"Trained for teaching. It has seen {seen:,} images of {len(split.test.class_names)} classes at "
        "32 x 32 pixels, nothing else.",
    }


def make(name, seed, recipe, state, assets):
    """Train a network, choose the epoch on the validation images, test once, write the files."""
    split = data.full_split(recipe.load(), seed=seed, validation_fraction=0.1)
    history = train(name, seed, recipe, split, state)
    best = max(history, key=lambda point: point["validation_accuracy"][-1])["epoch"]
    model, file = models.PRETRAINED[name](), assets / trainings.file_of(trainings.name_of(name, seed))
    assets.mkdir(exist_ok=True)
    models.save_arrays(file, weights_after(model, state, best, "float16" if seed else recipe.dtype))
    card = model_card(name, seed, recipe, split, history, best, models.load_weights(model, file))
    files.write(file.with_suffix(".json"), json.dumps(card, indent=1) + "\n")
    print(f"{trainings.name_of(name, seed)}: best epoch {best}, test accuracy {card['test_accuracy']:.4f}")


def main():
    """Train the networks that the command line names."""
    options = arguments()
    try:
        for label in options.names:
            name, seed = trainings.parts_of(label)
            assets = options.assets or (TRAININGS if seed else ASSETS)
            make(name, seed, RECIPES[name], options.state / label.replace("#", "_"), assets)
    except data.DataError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(
            f"The files cannot be written: {error}\nThe complete epochs are kept; the next call goes on after them."
        )
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. The complete epochs are kept; the next call goes on after them.")


if __name__ == "__main__":
    main()
