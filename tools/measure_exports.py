"""Measure what taking a network along costs, and write tl_helpers/assets/exports.json: `make exports`.

A linear head on EfficientNet-Lite0 learns TrashNet. Each file is read in a process of its own on one core: its size,
the time of one photograph, the largest difference of a logit, the accuracy, and the paired difference from the network
that was trained. Needs TrashNet.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from tl_base import exports, files, running, shares
from tl_experiments import workbench
from tl_helpers import data, models, transfer

OUTPUT = Path(models.__file__).parent / "assets" / "exports.json"
TIMED = 100  # photographs, one by one
PACKAGES = ("tensorflow", "keras", "onnx", "onnxruntime", "tf2onnx", "ai-edge-litert")
ONE_THREAD = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")


def written(result, examples, folder):
    """Return the path of each file by what it is called on the page."""
    return {
        "Keras": result.save(folder / "my_model.keras"),
        "SavedModel": result.export("saved_model", folder / "my_model"),
        "ONNX": result.export("onnx", folder / "my_model.onnx"),
        "LiteRT": result.export("litert", folder / "my_model.tflite"),
        "LiteRT, int8": result.export("litert", folder / "small.tflite", quantise=examples),
    }


def size_of(path):
    """Return the bytes of a file, or of all files in a folder."""
    parts = path.rglob("*") if path.is_dir() else [path]
    return sum(part.stat().st_size for part in parts if part.is_file())


def run_alone(path, images, output):
    """Run a file over images, in this process: write the logits, print the milliseconds of processor time an image."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    run, images = exports.reader(path), np.load(images)
    run(images[:1])  # compiles
    times = []
    for row in range(min(TIMED, len(images))):
        begin = time.process_time()
        run(images[row : row + 1])
        times.append(1000 * (time.process_time() - begin))
    np.save(output, run(images))
    print(float(np.median(times)))


def measured(path, images, folder):
    """Return the milliseconds an image and the logits of a file, from a process of its own."""
    call = [sys.executable, __file__, "--alone", str(path), str(images), str(folder / "logits.npy")]
    done = subprocess.run(call, capture_output=True, text=True, check=True, env=os.environ | ONE_THREAD)
    return float(done.stdout.split()[-1]), np.load(folder / "logits.npy")


def rows(result, split):
    """Measure every format; return one row each."""
    test, expected = split.test, running.outputs(result.model, split.test.images)
    right = expected.argmax(1) == test.labels
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "images.npy", test.images)
        for label, path in written(result, split.train, folder).items():
            milliseconds, logits = measured(path, folder / "images.npy", folder)
            here = logits.argmax(1) == test.labels
            difference, low, high, _ = shares.paired_difference(here, right, test.groups)
            found.append(
                {
                    "format": label,
                    "megabytes": size_of(path) / 1e6,
                    "milliseconds": milliseconds,
                    "largest difference": float(np.abs(logits - expected).max()),
                    "other class": int(np.sum(logits.argmax(1) != expected.argmax(1))),
                    "accuracy": float(here.mean()),
                    "difference": [difference, low, high],
                }
            )
            print(found[-1])
    return found, {"largest logit": float(np.abs(expected).max()), "accuracy": float(right.mean())}


def main():
    """Measure everything and write the file, atomically."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        return run_alone(*options.alone)
    photos = data.load("trashnet")
    if photos.name != "trashnet":
        sys.exit("The measurements need all of TrashNet: set TL_DATA_DIR.")
    split = data.full_split(photos, seed=0)
    result = transfer.feature_extraction(models.pretrained("imagenet"), split)
    table, network = rows(result, split)
    told = {
        "data": photos.name,
        "trained on": len(split.train),
        "tested on": len(split.test),
        "network": network,
        "formats": table,
        "machine": workbench.machine(),
        "load before": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }
    files.write(options.output, json.dumps(told, indent=1) + "\n")
    print(f"Wrote {options.output}")


if __name__ == "__main__":
    main()
