"""What a grid will cost, from short samples of each kind of run on the machine that will do it.

Taught in: How fast.
"""

import math
import os
import statistics
import time
from collections import defaultdict
from dataclasses import replace

import pandas as pd

from tl_experiments.grid import expand
from tl_experiments.names import ExperimentError
from tl_experiments.plan import MEMORY, POINTS, batches, prefix_key
from tl_experiments.runner import spread
from tl_helpers import records

# Steps of two samples: their difference gives the cost of a step, the rest that of a start. Both have all points of a
# learning curve, or these would count as steps.
FEW, MORE = POINTS, 5 * POINTS
IMAGES = 1024  # images of a sample forward pass: one batch of `models.compiled`


def estimate(grids, path=None, *, jobs=1, dask=None, memory=MEMORY):
    """Estimate what the missing runs of a grid will cost. Nothing is written.

    Parameters
    ----------
    grids, path, jobs, dask, memory
        As for `runner.run`; the samples are taken by the processes that would do the runs.

    Returns
    -------
    pandas.DataFrame
        One row an arm and number of labels: ``experiment``, ``target``, ``arm``, ``labels``, ``runs`` and ``seconds``,
        by the clock, if nothing else keeps these processes busy. Starting them, some 10 s, comes on top.

    Notes
    -----
    Seconds of a batch = start + steps · step + images of the frozen prefix · its forward pass + scored images · forward
    pass of the rest. Taught in: How fast.
    """
    done = set(records.load(path).key) if path and os.path.lexists(path) else set()
    missing = batches([run for run in expand(grids) if run.key not in done])
    samples = {_kind(batch): batch for batch in missing}
    measured = dict(spread(_measured, list(samples.items()), jobs, dask, memory))
    seen, costs = set(), defaultdict(lambda: [0, 0.0])
    for batch in missing:
        first = batch[0]
        cost = costs[first.experiment, first.target, first.arm, str(first.labels_per_class or "all")]
        cost[0] += len(batch)
        cost[1] += _seconds(batch, seen, **measured[_kind(batch)]) / jobs
    columns = ["experiment", "target", "arm", "labels", "runs", "seconds"]
    return pd.DataFrame([(*key, *cost) for key, cost in costs.items()], columns=columns)


def _kind(batch):
    """Return what the cost of a start and of a step depends on."""
    run = replace(batch[0], experiment="", seed=0, learning_rate=0.0, steps=0, epochs=0, test=False)
    labels = min(run.labels_per_class or run.batch_size, run.batch_size)
    return replace(run, labels_per_class=labels), len(batch)


def _measured(task, memory, threads):
    """Time samples of one kind of run; return the kind and its costs in seconds, and the sizes of its target."""
    from tl_experiments import workbench
    from tl_helpers import models

    kind, batch = task
    run, bench = batch[0], workbench.bench(memory)
    dataset = bench.target(run.target)
    labels = min(run.labels_per_class or math.inf, math.ceil(run.batch_size / len(dataset.class_names)))

    def seconds(steps):
        short = {"labels_per_class": labels, "steps": steps, "epochs": 0, "test": False}
        sample = [replace(each, settings=_shortened(each.settings, steps), **short) for each in batch]
        begin = time.perf_counter()
        rows = workbench.work(sample, memory, threads)
        if errors := {row["error"] for row in rows if row["error"]}:
            raise ExperimentError(f"{run.arm} on {run.target}: its sample run fails, so there is no estimate. {errors}")
        return time.perf_counter() - begin

    seconds(FEW)  # loads, computes activations, traces
    few, more = seconds(FEW), seconds(MORE)
    step = max(more - few, 0.0) / (MORE - FEW)
    network = bench.source(run.source)
    last = workbench.cut(network, run)
    whole = _forward(models.features_at(network, run.layer), dataset.images)
    kept = prefix_key(run) is not None and last is not None
    prefix = _forward(models.features_at(network, last), dataset.images) if kept else 0.0
    full = bench.split(replace(run, labels_per_class=None))
    return kind, {
        "start": few - FEW * step,
        "step": step,
        "prefix": prefix,
        "rest": 0.0 if kept and last == run.layer else max(whole - prefix, 0.0),
        "classes": len(dataset.class_names),
        "full": (len(full.train), len(full.validation), len(full.test)),
    }


def _shortened(settings, steps):
    """Shorten a first phase with the run that it is part of."""
    return tuple((name, min(value, steps // 2) if name == "probe_steps" else value) for name, value in settings)


def _forward(network, images):
    """Time a forward pass; return seconds an image."""
    from tl_helpers import models

    run, times = models.compiled(network), []
    for _ in range(4):
        begin = time.perf_counter()
        run(images[:IMAGES])
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:]) / min(IMAGES, len(images))  # the first one traces


def _seconds(batch, seen, *, start, step, prefix, rest, classes, full):
    """Add up what a batch costs; `seen` collects the activations that are there already."""
    first, seeds = batch[0], {run.seed for run in batch}
    few = first.labels_per_class
    train, validation, test = full if few is None else (few * classes, few * classes, full[2])
    scored = POINTS * validation + test * first.test
    passes = 0
    for seed in seeds:
        key = prefix_key(replace(first, seed=seed))
        if key is None:
            continue
        parts = {("test",): test * first.test, ("rows", few, seed): train + validation}
        passes += sum(size for part, size in parts.items() if (key, part) not in seen)
        seen |= {(key, part) for part in parts if part != ("test",) or first.test}
    return start + first.steps_on(train) * step + passes * prefix + len(batch) * scored * rest
