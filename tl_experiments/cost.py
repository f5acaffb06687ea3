"""What a grid will cost, from short samples of each kind of run on the machine that will do it.

Taught in: How fast.
"""

import math
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd

from tl_experiments.grid import Grid, Run, expand
from tl_experiments.log import so_far
from tl_experiments.names import ExperimentError
from tl_experiments.plan import POINTS, batches, prefix_key
from tl_experiments.runner import Where, distribute

if TYPE_CHECKING:
    import keras

# Steps of two samples: their difference gives the cost of a step, the rest that of a start. Both have all points of a
# learning curve, or these would count as steps.
FEW, MORE = POINTS, 5 * POINTS
IMAGES = 1024  # images of a sample forward pass: one batch of `models.compiled`


@dataclass(frozen=True)
class Costs:
    """What one kind of batch costs, in seconds, and the size of its target.

    Attributes
    ----------
    start, step : float
        Of a batch, and of each training step of it.
    prefix, rest : float
        Forward pass of one image through the kept frozen layers, and through those behind them.
    classes : int
    full : tuple of int
        Images of the full training, validation and test set.
    """

    start: float
    step: float
    prefix: float
    rest: float
    classes: int
    full: tuple[int, int, int]

    def seconds(self, batch: Sequence[Run], seen: set[tuple[Any, ...]]) -> float:
        """Add up what a batch costs; `seen` collects the activations that are there already."""
        first, seeds = batch[0], {run.seed for run in batch}
        few = first.labels_per_class
        train, validation, test = self.full
        if few is not None:
            train = validation = few * self.classes
        scored = POINTS * validation + test * first.test
        passes = 0
        for seed in seeds:
            key = prefix_key(replace(first, seed=seed))
            if key is None:
                continue
            parts = {("test",): test * first.test, ("rows", few, seed): train + validation}
            passes += sum(size for part, size in parts.items() if (key, part) not in seen)
            seen |= {(key, part) for part in parts if part != ("test",) or first.test}
        return self.start + first.steps_on(train) * self.step + passes * self.prefix + len(batch) * scored * self.rest


def estimate(
    grids: Grid | Iterable[Grid], path: str | os.PathLike[str] | None = None, **where: Unpack[Where]
) -> pd.DataFrame:
    """Estimate what the missing runs of a grid will cost. Nothing is written.

    Parameters
    ----------
    grids, path, **where
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
    done = set(so_far(path).key) if path else set()
    missing = batches([run for run in expand(grids) if run.key not in done])
    samples = {_kind(batch): batch for batch in missing}
    costs = dict(distribute(_measured, list(samples.items()), **where))
    seen: set[tuple[Any, ...]] = set()
    totals: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0, 0.0])
    for batch in missing:
        first = batch[0]
        total = totals[first.experiment, first.target, first.arm, str(first.labels_per_class or "all")]
        total[0] += len(batch)
        total[1] += costs[_kind(batch)].seconds(batch, seen) / where.get("jobs", 1)
    columns = ["experiment", "target", "arm", "labels", "runs", "seconds"]
    return pd.DataFrame([(*key, *total) for key, total in totals.items()], columns=columns)


def _kind(batch: Sequence[Run]) -> tuple[Run, int]:
    """Return what the cost of a start and of a step depends on."""
    run = replace(batch[0], experiment="", seed=0, learning_rate=0.0, steps=0, epochs=0, test=False)
    labels = min(run.labels_per_class or run.batch_size, run.batch_size)
    return replace(run, labels_per_class=labels), len(batch)


def _measured(
    task: tuple[tuple[Run, int], Sequence[Run]], memory: int, threads: int | None
) -> tuple[tuple[Run, int], Costs]:
    """Time samples of one kind of run; return the kind and its costs."""
    from tl_experiments import workbench
    from tl_experiments.store import cut
    from tl_helpers import models

    kind, batch = task
    run, bench = batch[0], workbench.bench(memory)
    dataset = bench.target(run)
    labels = int(min(run.labels_per_class or math.inf, math.ceil(run.batch_size / len(dataset.class_names))))
    _sample(batch, labels, FEW, memory, threads)  # loads, computes activations, traces
    few, more = (_sample(batch, labels, steps, memory, threads) for steps in (FEW, MORE))
    step = max(more - few, 0.0) / (MORE - FEW)
    network = bench.source(run.source)
    last = cut(network, run)
    whole = _forward(models.features_at(network, run.layer), dataset.images)
    kept = prefix_key(run) is not None and last is not None
    prefix = _forward(models.features_at(network, last), dataset.images) if kept else 0.0
    rest = 0.0 if kept and last == run.layer else max(whole - prefix, 0.0)
    full = bench.split(replace(run, labels_per_class=None))
    sizes = len(full.train), len(full.validation), len(full.test)
    return kind, Costs(few - FEW * step, step, prefix, rest, len(dataset.class_names), sizes)


def _sample(batch: Sequence[Run], labels: int, steps: int, memory: int, threads: int | None) -> float:
    """Do a batch with few labels and few steps; return its seconds."""
    from tl_experiments import workbench

    sample = [
        replace(
            run, settings=_shortened(run.settings, steps), labels_per_class=labels, steps=steps, epochs=0, test=False
        )
        for run in batch
    ]
    begin = time.perf_counter()
    rows = workbench.work(sample, memory, threads)
    if errors := {row["error"] for row in rows if row["error"]}:
        first = batch[0]
        raise ExperimentError(f"{first.arm} on {first.target}: its sample run fails, so there is no estimate. {errors}")
    return time.perf_counter() - begin


def _shortened(settings: tuple[tuple[str, Any], ...], steps: int) -> tuple[tuple[str, Any], ...]:
    """Shorten a first phase with the run that it is part of."""
    return tuple((name, min(value, steps // 2) if name == "probe_steps" else value) for name, value in settings)


def _forward(network: "keras.Model", images: np.ndarray) -> float:
    """Time a forward pass; return seconds an image."""
    from tl_helpers import models

    run, times = models.compiled(network), []
    for _ in range(4):
        begin = time.perf_counter()
        run(images[:IMAGES])
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:]) / min(IMAGES, len(images))  # the first one traces
