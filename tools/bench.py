"""Measure how fast the runner is, beside plain Keras, and write tl_helpers/assets/bench.json: `make bench`.

Each pair is measured in turn, several times, in this one process, and compared at equal accuracy: ours must not be
worse. The naive cost of a whole curve is extrapolated from a sample, which is stated. Needs MNIST.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import tl_experiments as experiments
from tl_base import files, kept
from tl_base.backend import keras, tf
from tl_experiments import heads, workbench
from tl_helpers import data, models, training, transfer

OUTPUT = Path(models.__file__).parent / "assets" / "bench.json"
LABELS = (1, 2, 5, 10, 20, 50, 100)
SEEDS = tuple(range(10))
PHOTOGRAPHS = 1000  # to train a head on
LABELLED = 1000  # of each class, for the plain call
BATCHES = (32, 64, 256)  # of the recipe
NOT_WORSE = 0.01  # by so much ours may lie below in accuracy, which is noise of one seed


def timed(call, *arguments):
    """Return the seconds that a call took, and what it returned; what others left behind is swept up before."""
    gc.collect()
    begin = time.perf_counter()
    result = call(*arguments)
    return time.perf_counter() - begin, result


def summary(values):
    """Return median and range of repeated measurements."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "count": len(values)}


# --- The usual Keras recipe ------------------------------------------------------------------------------------------


def recipe(frozen, jit="auto"):
    """Build and compile what most tutorials write: the base inside the model, a new head on it."""
    base = models.features_at(models.pretrained(), "conv3")
    base.trainable = not frozen
    model = keras.Sequential([keras.Input(models.IMAGE_SHAPE), base, keras.layers.Flatten(), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"], jit_compile=jit)
    return model


def usual_fit(split, batch_size, jit):
    """Do ten epochs with the base frozen inside the model, scored on the validation images; return the network."""
    model, parts = recipe(True, jit), (split.train, split.validation)
    (x, y), scored = ((part.images.astype("float32"), part.labels) for part in parts)
    model.fit(x, y, validation_data=scored, epochs=10, batch_size=batch_size, verbose=0)
    return model


def naive_run(split, frozen, jit):
    """Do one run of a learning curve, 200 steps, as a loop over runs would; return its test accuracy."""
    model, count = recipe(frozen, jit), len(split.train)
    epochs = round(200 / -(-count // 32))
    model.fit(split.train.images.astype("float32"), split.train.labels, epochs=epochs, batch_size=32, verbose=0)
    _, accuracy = model.evaluate(split.test.images, split.test.labels, batch_size=512, verbose=0)
    keras.backend.clear_session()
    return accuracy


# --- Ours ------------------------------------------------------------------------------------------------------------


def plain_call(split):
    """Do what a learner types, with its default budget; return the result."""
    return transfer.feature_extraction(models.pretrained(), split)


def our_curve(grid, jobs=1):
    """Do a grid into a new file, with nothing kept from before; return its records."""
    workbench.bench.cache_clear()
    heads.forget()
    with tempfile.TemporaryDirectory() as folder:
        return experiments.run(grid, Path(folder) / "runs.csv", jobs=jobs, progress=False)


def curve_grid(frozen, labels=LABELS, seeds=SEEDS):
    """Return one arm of a learning curve as a grid."""
    method = "feature extraction" if frozen else "parameter transfer"
    rate = 1e-2 if frozen else 1e-3
    return experiments.Grid("bench", method=[method], labels_per_class=labels, seed=seeds, learning_rate=[rate])


# --- What is measured ------------------------------------------------------------------------------------------------


def pair(name, naive, plain, ours, allowed=NOT_WORSE):
    """Compare three lists of (seconds, accuracy); refuse a speed that was bought with accuracy."""
    worst = np.mean([a for _, a in ours]) - np.mean([a for _, a in naive])
    if worst < -allowed:
        sys.exit(f"{name}: ours is less accurate by {-worst:.4f}; the times cannot be compared.")
    sides = {"naive": naive, "naive without XLA": plain, "ours": ours}
    found = {
        side: {"seconds": summary([s for s, _ in runs]), "accuracy": float(np.mean([a for _, a in runs]))}
        for side, runs in sides.items()
    }
    for side in ("naive", "naive without XLA"):
        ratios = [n / o for (n, _), (o, _) in zip(sides[side], ours, strict=True)]
        found[side]["ratio"] = summary(ratios)
    print(
        f"{name}: {found['naive']['ratio']['median']:.1f}×, {found['naive without XLA']['ratio']['median']:.1f}×",
        flush=True,
    )
    return found


def public(mnist, repetitions):
    """Compare (a): the plain public call on 10,000 images with the recipe at three batch sizes, measured from outside.

    Both score their validation images on the way. The forward passes alone, of training and validation images once,
    are the floor of what any method can take that computes features.
    """
    split = data.few_shot(mnist, LABELLED, 0)
    ours, theirs, floor = [], {(batch, jit): [] for batch in BATCHES for jit in ("auto", False)}, []
    for _ in range(repetitions):
        seconds, result = timed(plain_call, split)
        ours.append((seconds, result.evaluate(split.test).accuracy))
        floor.append(
            timed(
                lambda: [
                    models.outputs(models.features_at(models.pretrained()), part.images)
                    for part in (split.train, split.validation)
                ]
            )[0]
        )
        for (batch, jit), runs in theirs.items():
            seconds, model = timed(usual_fit, split, batch, jit)
            runs.append((seconds, transfer.evaluate(model, split.test).accuracy))
    found = {
        str(batch): pair(f"plain call, batches of {batch}", theirs[batch, "auto"], theirs[batch, False], ours, 0.003)
        for batch in BATCHES
    }
    return {"batch sizes": found, "steps": result.settings["steps"], "floor": summary(floor)}


def curve(mnist, frozen, repetitions, labels, seeds, sample):
    """Compare (b): one arm of a learning curve; the naive cost is extrapolated from a `sample` of (labels, seed)."""
    sides = {"auto": [], False: [], "ours": []}
    size = len(labels) * len(seeds)
    for _ in range(repetitions):
        for jit in ("auto", False):
            runs = [timed(naive_run, data.few_shot(mnist, count, seed), frozen, jit) for count, seed in sample]
            seconds, accuracy = np.mean(runs, axis=0)
            sides[jit].append((seconds * size, float(accuracy)))
        seconds, table = timed(our_curve, curve_grid(frozen, labels, seeds))
        mine = table.set_index(["labels_per_class", "seed"]).test_accuracy
        sides["ours"].append((seconds, float(np.mean([mine[each] for each in sample]))))
    name = f"learning curve, {'frozen' if frozen else 'fine-tuned'}, {size} runs"
    found = pair(name, sides["auto"], sides[False], sides["ours"])
    return found | {"runs": size, "sample": len(sample), "labels": list(labels), "seeds": len(seeds)}


def growth(repetitions):
    """Measure (c): seconds a run, by labels, by frozen depth and by the number of heads that train at once."""
    cases = [("labels per class", n, curve_grid(True, (n,), (0,))) for n in (5, 50, 500)]
    cases += [("labels per class, fine-tuned", n, curve_grid(False, (n,), (0,))) for n in (5, 50, 500)]
    tuned = curve_grid(False, (5,), (0,))
    cases += [("layers frozen", n, replace(tuned, layers_frozen=(n,))) for n in range(4)]
    cases += [("heads at once", n, curve_grid(True, (5,), tuple(range(n)))) for n in (1, 10, 60)]
    found = []
    for axis, value, grid in cases:
        grid = replace(grid, test=False)
        our_curve(grid)  # warm
        seconds = [timed(our_curve, grid)[0] / len(grid.runs()) for _ in range(repetitions)]
        found.append({"axis": axis, "value": value, "seconds a run": summary(seconds)})
    return found


def operations(network):
    """Count multiplications and additions of one image's forward pass through convolutions and dense layers."""
    total = 0
    for layer in models.weight_layers(network):
        if not hasattr(layer, "kernel"):  # BatchNormalization: little, and no matrix product
            continue
        places = int(np.prod(layer.output.shape[1:-1])) if len(layer.output.shape) == 4 else 1
        total += 2 * places * int(np.prod(layer.kernel.shape))
    return total


def throughput(mnist, repetitions):
    """Measure (d): training the whole CNN, images a second, beside `fit`, and its share of the matrix-multiply rate."""
    images, labels, steps, batch = mnist.images[:12_800].astype("float32"), mnist.labels[:12_800], 100, 128
    found = {"ours": [], "fit": [], "fit without XLA": [], "gflops": []}
    square = tf.random.normal((2048, 2048))
    product = tf.function(lambda: tf.matmul(square, square))
    for _ in range(repetitions):
        seconds = timed(lambda: [product().numpy() for _ in range(10)])[0]
        found["gflops"].append(10 * 2 * 2048**3 / seconds / 1e9)
        budget = {"steps": 2 * steps, "learning_rate": 1e-3, "batch_size": batch, "points": 2}
        first = training.fit(models.source_cnn(), images, labels, **budget | {"steps": steps, "points": 1}).seconds
        both = training.fit(models.source_cnn(), images, labels, **budget).seconds
        found["ours"].append(steps * batch / (both - first))  # the start is in both
        for name, jit in (("fit", "auto"), ("fit without XLA", False)):
            model = models.source_cnn()
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.Adam(1e-3), loss, jit_compile=jit)
            model.fit(images[: 4 * batch], labels[: 4 * batch], batch_size=batch, verbose=0)
            seconds, _ = timed(lambda model=model: model.fit(images, labels, batch_size=batch, verbose=0))
            found[name].append(len(images) / seconds)
    result = {name: summary(values) for name, values in found.items()}
    result["gflop an image"] = 3 * operations(models.source_cnn()) / 1e9  # backward: twice the forward pass
    result["share"] = result["ours"]["median"] * result["gflop an image"] / result["gflops"]["median"]
    return result


def memory():
    """Measure (e): peak memory in MiB of a process that does (a) once, beside one that only loads the data."""
    found = {}
    for what in ("start", "naive", "ours"):
        call = [sys.executable, str(Path(__file__).resolve()), "--peak", what]
        found[what] = int(subprocess.run(call, check=True, capture_output=True, text=True).stdout.split()[-1])
    return found


def peak(what):
    """Do one thing in this process and print its peak memory in MiB."""
    mnist = data.load("mnist")
    split = data.few_shot(mnist, LABELLED, 0)
    if what == "naive":
        usual_fit(split, 64, False)
    elif what == "ours":
        plain_call(split)
    high = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(int(high.split()[1]) // 1024)  # ru_maxrss would count what the parent had before this process began


def photographs(repetitions):
    """Measure (f): a linear head on photographs; each time in fresh processes, with an empty folder of what is kept."""
    runs = []
    for _ in range(repetitions):
        run = {}
        for whose in ("ours", "naive"):
            call = [sys.executable, str(Path(__file__).resolve()), "--photographs", whose]
            with tempfile.TemporaryDirectory() as folder:
                own = os.environ | {"TL_CACHE_DIR": folder, "TQDM_DISABLE": "1"}
                told = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True, env=own).stdout
            run |= json.loads(told.splitlines()[-1])
        run["ratio"] = run["naive"] / run["first"]
        run["processor ratio"] = run["naive processor seconds"] / run["processor seconds"]
        runs.append(run)
        print(run, flush=True)
    worst = np.mean([run["accuracy"] - run["naive accuracy"] for run in runs])
    if worst < 0:
        sys.exit(f"Photographs: ours is less accurate by {-worst:.4f}; the times cannot be compared.")
    return {name: summary([run[name] for run in runs]) for name in runs[0]}


def one_head_on_photographs(whose):
    """Train a linear head on photographs: ours, cold, again and from files, or as Keras's guide does; print it all."""
    whole = data.full_split(data.load("trashnet", size=160), seed=0)
    chosen = np.random.default_rng(0).permutation(len(whole.train))[:PHOTOGRAPHS]
    split = replace(whole, train=whole.train.rows(chosen))
    if whose == "naive":
        source = models.pretrained("imagenet")
        begin = time.process_time()
        seconds, model = timed(guide, source, split)
        found = {"naive": seconds, "naive processor seconds": time.process_time() - begin}
        found["naive accuracy"] = transfer.evaluate(model, split.test).accuracy
    else:
        found = our_heads(split)
    print(json.dumps(found))


def our_heads(split):
    """Train a head three times: with nothing kept, with all in memory, with all in files."""

    def head(seed):
        return transfer.feature_extraction(source, split, seed=seed, progress=False)

    loading, source = timed(models.pretrained, "imagenet")
    begin = time.process_time()
    first, result = timed(head, 0)
    found = {"cold": loading + first, "first": first, "processor seconds": time.process_time() - begin}
    found["second"], _ = timed(head, 1)
    kept.forget()
    found["from files"], _ = timed(head, 2)
    found["accuracy"] = result.evaluate(split.test).accuracy
    square = tf.random.normal((2048, 2048))
    product = tf.function(lambda: tf.matmul(square, square))
    product()
    found["gflops"] = 10 * 2 * 2048**3 / timed(lambda: [product().numpy() for _ in range(10)])[0] / 1e9
    images = len(split.train) + len(split.validation)
    rate = images * operations(source) / (result.seconds - result.history.seconds) / 1e9
    return found | {"share": rate / found["gflops"], "load": os.getloadavg()[0]}


def guide(base, split):
    """Do what Keras's guide to transfer learning does: the frozen base inside the model, ten epochs of `fit`."""
    base.trainable = False
    image = keras.Input(split.train.images.shape[1:])
    model = keras.Model(image, keras.layers.Dense(len(split.train.class_names))(base(image, training=False)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(), loss, metrics=["accuracy"])
    (x, y), scored = ((part.images, part.labels) for part in (split.train, split.validation))
    model.fit(x, y, validation_data=scored, epochs=10, batch_size=32, verbose=0)
    return model


def jobs_and_estimate(tuned_runs):
    """Do the same grid with one job and with two: seconds, estimates, and the largest difference in accuracy."""
    head_grid = replace(curve_grid(True, (1, 5, 10, 50)), learning_rate=(1e-3, 3e-3, 1e-2, 3e-2, 1e-1))
    grids = [head_grid, curve_grid(False, (5,), tuple(range(tuned_runs)))]
    found, tables = {"runs": len(experiments.expand(grids))}, {}
    for jobs in (1, 2):
        estimated = experiments.estimate(grids, jobs=jobs).seconds.sum()
        seconds, tables[jobs] = timed(our_curve, grids, jobs)
        found[str(jobs)] = {"seconds": seconds, "estimated": float(estimated), "ratio": seconds / float(estimated)}
    one, two = (tables[jobs].set_index("key").sort_index() for jobs in (1, 2))
    found["difference"] = float((one.test_accuracy - two.test_accuracy).abs().max())
    print(found, flush=True)
    return found


def main():
    """Measure everything and write the file, atomically."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--photographs", choices=("ours", "naive"), help=argparse.SUPPRESS)
    parser.add_argument("--peak", choices=("start", "naive", "ours"), help=argparse.SUPPRESS)
    parser.add_argument(
        "--only", nargs="+", default=(), metavar="PART", help="measure these, keep the rest of the file"
    )
    options = parser.parse_args()
    if options.photographs:
        return one_head_on_photographs(options.photographs)
    os.environ["TL_CACHE_DIR"] = ""  # what is measured is done, each time
    if options.peak:
        return peak(options.peak)
    mnist, many = data.load("mnist"), options.repetitions
    if mnist.name != "mnist":
        sys.exit("The measurements need MNIST itself: set TL_DATA_DIR, or let Keras download it.")
    load = os.getloadavg()[0]
    sample = [(labels, seed) for seed, labels in enumerate(LABELS)]
    measures = {
        "public": lambda: public(mnist, many),
        "frozen curve": lambda: curve(mnist, True, many, LABELS, SEEDS, sample),
        "tuned curve": lambda: curve(mnist, False, many, (1, 10, 100), (0, 1), [(1, 0), (10, 1), (100, 0)]),
        "growth": lambda: growth(many),
        "throughput": lambda: throughput(mnist, many),
        "memory": memory,
        "photographs": lambda: photographs(many),
        "jobs": lambda: jobs_and_estimate(tuned_runs=12),
    }
    if unknown := set(options.only) - measures.keys():
        sys.exit(f"There is no part {sorted(unknown)}. Parts: {', '.join(map(repr, measures))}.")
    how = {"machine": workbench.machine(), "load before": load, "date": time.strftime("%Y-%m-%d"), "repetitions": many}
    kept = json.loads(options.output.read_text(encoding="utf-8")) if options.only else {}
    results = {name: kept[name] for name in measures if name in kept}
    measured = {name: told for name, told in kept.get("measured", {}).items() if name in results}
    for name, measure in measures.items():
        if name in options.only or not options.only:
            results[name], measured[name] = measure(), how
    results["measured"] = measured
    files.write(options.output, json.dumps(results, indent=1) + "\n")
    print(f"Wrote {options.output}")


if __name__ == "__main__":
    main()
