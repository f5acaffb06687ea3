"""Train the source network on CIFAR-10 and write what ships with the book: `make weights`.

Writes into tl_helpers/assets: source_cnn.npz (best epoch by validation accuracy, float32), source_cnn_epochs.npz
(earlier epochs, float16) and source_cnn.json (the model card with the full history). The test set is used once, at
the end. An interrupted run goes on at the epoch after the last complete one.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np

from tl_helpers import data, models, training, transfer
from tl_helpers.backend import keras, tf

ASSETS = Path(models.__file__).parent / "assets"
KEPT_EPOCHS = (1, 2, 3, 4, 6, 8, 12, 16, 20)


def arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, default=Path("_build/weights"), help="folder for the interrupted run")
    parser.add_argument("--assets", type=Path, default=ASSETS, help="folder that receives the three files")
    return parser.parse_args()


def sha256_of(dataset):
    """Fingerprint the images and labels that a training run has seen."""
    digest = hashlib.sha256(np.ascontiguousarray(dataset.images))
    digest.update(np.ascontiguousarray(dataset.labels))
    return digest.hexdigest()


def cpu_name():
    """Name the processor as the operating system does."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def resume(path, model, optimizer):
    """Load the state after the last complete epoch, if there is one; return the history so far."""
    if not path.is_file():
        return []
    with np.load(path, allow_pickle=False) as state:
        history = json.loads(str(state["history"]))
        model.set_weights([state[f"weight{i}"] for i in range(len(model.weights))])
        optimizer.build(model.trainable_variables)
        for i, variable in enumerate(optimizer.variables):
            variable.assign(state[f"optimizer{i}"])
    print(f"Going on after epoch {len(history)}; to start afresh, delete {path}.")
    return history


def train(options, split):
    """Train epoch by epoch; after each, write the state that the next one starts from."""
    options.state.mkdir(parents=True, exist_ok=True)
    state = options.state / f"seed{options.seed}.npz"
    model = models.source_cnn(options.seed)
    optimizer = keras.optimizers.Adam(options.learning_rate)
    history = resume(state, model, optimizer)
    for epoch in range(len(history) + 1, options.epochs + 1):
        part = training.fit(
            model,
            split.train.images,
            split.train.labels,
            steps=len(split.train) // options.batch_size,
            learning_rate=options.learning_rate,
            batch_size=options.batch_size,
            seed=[options.seed, epoch],
            validation=(split.validation.images, split.validation.labels),
            points=20,
            optimizer=optimizer,
            progress=f"epoch {epoch}/{options.epochs}",
        )
        history.append({"epoch": epoch, "loss": part.loss, "validation_accuracy": part.validation_accuracy})
        history[-1]["seconds"] = round(part.seconds, 2)
        models.save_arrays(options.state / f"seed{options.seed}_epoch{epoch:02d}.npz", models.weight_arrays(model))
        arrays = {f"weight{i}": w for i, w in enumerate(model.get_weights())}
        arrays |= {f"optimizer{i}": v.numpy() for i, v in enumerate(optimizer.variables)}
        models.save_arrays(state, arrays | {"history": np.array(json.dumps(history))})
    return history


def main():
    """Train, choose the epoch on the validation images, test once, write the files."""
    options = arguments()
    split = data.full_split(data.load("cifar10"), seed=options.seed, validation_fraction=0.1)
    history = train(options, split)
    best = max(history, key=lambda point: point["validation_accuracy"][-1])["epoch"]
    model = models.source_cnn()
    epochs = {}
    for epoch in [e for e in KEPT_EPOCHS if e <= options.epochs]:
        models.load_weights(model, options.state / f"seed{options.seed}_epoch{epoch:02d}.npz")
        arrays = models.weight_arrays(model)
        epochs |= {f"epoch{epoch:02d}/{name}": array.astype("float16") for name, array in arrays.items()}
    models.load_weights(model, options.state / f"seed{options.seed}_epoch{best:02d}.npz")
    score = transfer.evaluate(model, split.test)
    card = {
        "what": "The source network of the book, models.source_cnn(), trained on CIFAR-10",
        "command": "python " + " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "recipe": {
            "optimizer": "Adam",
            "learning_rate": options.learning_rate,
            "batch_size": options.batch_size,
            "epochs": options.epochs,
            "seed": options.seed,
            "kept": f"epoch {best}, the best of {options.epochs} by validation accuracy",
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
        "checkpoints": [e for e in KEPT_EPOCHS if e <= options.epochs],
        "history": history,
        "seconds": round(sum(point["seconds"] for point in history), 1),
        "versions": {"python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__},
        "cpu": cpu_name(),
        "date": datetime.date.today().isoformat(),
        "limits": "Trained for teaching, on 45,000 photographs of ten classes at 32 x 32 pixels and nothing else.",
    }
    models.save_arrays(options.assets / models.SOURCE_WEIGHTS, models.weight_arrays(model))
    models.save_arrays(options.assets / models.SOURCE_CHECKPOINTS, epochs)
    part = options.assets / f".{models.SOURCE_CARD}.part"
    part.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    part.replace(options.assets / models.SOURCE_CARD)
    print(f"Best epoch {best}, test accuracy {score.accuracy:.4f}, {time.strftime('%H:%M:%S')}; wrote {options.assets}")


if __name__ == "__main__":
    main()
