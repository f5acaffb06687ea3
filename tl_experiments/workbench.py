"""Doing runs: what is frozen is computed once and kept, what is small is trained together, the rest is `transfer`.

A frozen prefix turns images into activations, and what is left of the source into a smaller source. So a run with
frozen layers is an ordinary call of `transfer` on a data set of activations, with nothing frozen.
Taught in: How fast.
"""

import datetime
import functools
import json
import os
import platform
import threading
import time
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np

from tl_base import graph
from tl_base.backend import keras, tf
from tl_experiments import fingerprints, heads, perturbations
from tl_experiments.grid import TARGETS, ExperimentError, made, named, resolved
from tl_experiments.plan import (
    ANSWERED,
    MEMORY,
    OTHER_SEED,
    POINTS,
    base_run,
    prefix_key,
    trains_together,
    trunk,
)
from tl_helpers import data, knowledge, measures, models, transfer

CKA_LAYERS = ("pool1", "pool2", "conv3")
CKA_IMAGES = 2000  # fewer than pool1 and pool2 have activations: read it beside two networks from scratch
_one_at_a_time = threading.Lock()  # a Dask worker has several threads; one workbench serves them in turn


class Workbench:
    """Sources, targets and activations, each made once and kept.

    Parameters
    ----------
    memory : int
        Bytes of activations to keep. What was not used for longest goes first; those in use always stay.
    """

    def __init__(self, memory=MEMORY):
        self.memory = memory
        self._loaded, self._activations, self._states = {}, OrderedDict(), {}

    def source(self, name):
        """Return a source network by its name in a grid."""
        return self._once("source", name, _source)

    def target(self, name):
        """Return a data set by its name in a grid."""
        return self._once("target", name, _target)

    def split(self, run):
        """Return a run's split of the target, with row numbers in the place of the images."""
        dataset = self.target(run.target)
        numbered = replace(dataset, images=np.arange(len(dataset)))
        if run.labels_per_class is None:
            split = self._once("rows", (run.target, run.seed), lambda _: data.full_split(numbered, run.seed))
        else:
            split = data.few_shot(numbered, run.labels_per_class, run.seed)
        return replace(split, train=perturbations.with_label_noise(split.train, run.label_noise, run.seed))

    def activations(self, run):
        """Return what the frozen prefix of a run makes of its target's images; None where nothing can be kept."""
        if not self.keeps(run):
            return None
        key = prefix_key(run)
        if key not in self._activations:
            network, images = self.network(run), self.target(run.target).images
            self._activations[key] = Activations(models.features_at(network, cut(network, run)), images)
        self._activations.move_to_end(key)
        while len(self._activations) > 1 and sum(a.nbytes for a in self._activations.values()) > self.memory:
            self._activations.popitem(last=False)
        return self._activations[key]

    def keeps(self, run):
        """Tell whether a run has a frozen prefix that gives the same in every step."""
        return prefix_key(run) is not None and cut(self.network(run), run) is not None

    def keeps_features(self, run):
        """Tell whether what is kept are the features at a run's cut: nothing that varies lies before them."""
        return self.keeps(run) and cut(self.network(run), run) == run.layer

    def suffix(self, run):
        """Return what is left of a source behind a run's frozen prefix: activations in, a network to transfer from."""
        network = graph.opened(self.network(run))
        begin, end = (graph.place(network, name)[1] for name in (cut(network, run), run.layer))
        if begin is end:
            return keras.Sequential([keras.Input(end.shape[1:]), keras.layers.Activation("linear", name=run.layer)])
        rest = keras.Model(begin, end, name=network.name)
        smaller = graph.clone(rest, 0, whole=True)
        for layer in models.weight_layers(smaller):
            graph.copy_state(network.get_layer(layer.name), layer)
        return smaller

    def network(self, run):
        """Return the network whose layers a run copies: the source, a random one, or Yosinski's base B."""
        if run.initialisation == "target":
            return self.base(run)
        source = self.source(run.source)
        return source if run.initialisation == "source" else models.reseeded(source, run.seed)

    def base(self, run):
        """Return a network trained from scratch on the labels of a run, from weights that no run of that seed has."""

        def train(run):
            split = self.split(run)
            parts = {name: self.with_images(run, getattr(split, name)) for name in ("train", "validation")}
            return _trained(self, replace(run, seed=OTHER_SEED + run.seed), replace(split, **parts), 0).model

        return self._once("base", base_run(run), train)

    def teacher(self, run, per_class):
        """Return a teacher: the source fine-tuned in 200 steps on images drawn by a seed of their own."""

        def train(names):
            split = data.few_shot(self.target(names[1]), names[2], OTHER_SEED)
            shape = {"layer": names[3], "steps": 200, "points": 1, "seed": OTHER_SEED}
            return transfer.parameter_transfer(self.source(names[0]), split, **shape).model

        return self._once("teacher", (run.source, run.target, per_class, trunk(run)), train)

    def shifted(self, target, kind):
        """Return the test rows of a target under a shift."""

        def shift(_):
            dataset = self.target(target)
            return perturbations.shifted(dataset.rows(dataset.held_out), kind)

        return self._once("shifted", (target, kind), shift)

    def with_images(self, run, numbered):
        """Return a part of a split with its images in the place of their row numbers."""
        return replace(numbered, images=self.target(run.target).images[numbered.images])

    def fingerprints(self, run):
        """Return fingerprints of what a run's names stand for here: the networks and images that are used, and rules.

        Parameters
        ----------
        run : Run

        Returns
        -------
        dict of str to str
            From each role of `grid.named` to sixteen hexadecimal digits.
        """
        found = {}
        for role, name in named(run).items():
            if role == "rules":
                found[role] = fingerprints.of_rules(made(role, name, resolved(name)), self.target(run.target))
            elif role == "target":
                found[role] = self._once("print of target", name, lambda name: fingerprints.of_data(self.target(name)))
            else:
                found[role] = self._once("print of source", name, lambda name: _print_of(name, self.source(name)))
        return found

    def renew(self, runs, anew=False):
        """Forget everything if a name of these runs stands for something else than before: nothing kept is right then.

        Parameters
        ----------
        runs : sequence of Run
        anew : bool
            Call each ``"module:function"`` again, to see whether it returns the same. By default only another function
            of that name is noticed, and another file behind the name of a target.
        """
        names = {item for run in runs for item in named(run).items() if item[0] != "rules"}
        for role, name in sorted(names):
            kind = "target" if role == "target" else "source"
            state, old = fingerprints.state(kind, name), self._states.get((kind, name))
            self._states[kind, name] = state
            if (kind, name) not in self._loaded or (state == old and not (anew and ":" in name)):
                continue
            fresh, kept = (_target if kind == "target" else _source)(name), self._loaded[kind, name]
            told = [fingerprints.of_data(each) if kind == "target" else _print_of(name, each) for each in (fresh, kept)]
            if told[0] != told[1]:
                self._loaded.clear()
                self._activations.clear()
                self._loaded[kind, name] = fresh

    def _once(self, kind, name, make):
        if (kind, name) not in self._loaded:
            self._loaded[kind, name] = make(name)
        return self._loaded[kind, name]


class Activations:
    """The activations of one network for the images of one data set, computed when they are asked for.

    Parameters
    ----------
    network : keras.Model
    images : ndarray, shape (N, ...)
    """

    def __init__(self, network, images):
        self._run, self._images = models.compiled(network), images
        self._shape = network.outputs[0].shape[1:]
        self._blocks = []  # what was computed at a time: few scattered rows take no more than their size
        self._count = 0
        self._place = np.full(len(images), -1)  # where a row stands in the blocks, one after the other
        self.seconds = 0.0

    @property
    def nbytes(self):
        """Bytes of what was computed so far."""
        return sum(block.nbytes for block in self._blocks)

    def rows(self, index):
        """Return the activations of some rows, shape (len(index), ...); those that are missing are computed."""
        missing = np.unique(index[self._place[index] < 0])
        if len(missing):
            begin = time.perf_counter()
            self._blocks.append(self._run(self._images[missing]))
            self._place[missing] = self._count + np.arange(len(missing))
            self._count += len(missing)
            self.seconds += time.perf_counter() - begin
        places, begin = self._place[index], 0
        found = np.empty((len(index), *self._shape), "float32")
        for block in self._blocks:
            here = (places >= begin) & (places < begin + len(block))
            found[here] = block[places[here] - begin]
            begin += len(block)
        return found


def work(runs, memory=MEMORY, threads=None):
    """Do runs that belong together, in this process.

    Parameters
    ----------
    runs : sequence of Run
        One of `plan.batches`.
    memory : int
        As for `Workbench`; the workbench is kept for the next call.
    threads : int, optional
        For TensorFlow, if it has not begun to compute yet.

    Returns
    -------
    list of dict
        A row a run, as `open_log` takes them. A run that fails has its error in the row.
    """
    with _one_at_a_time:
        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        desk = bench(memory)
        desk.renew(runs)
        # Data or a network that are missing stop the grid: none of its runs could be done.
        prints = [{"fingerprints": json.dumps(desk.fingerprints(run))} for run in runs]
        together = len(runs) > 1 and all(trains_together(run) and desk.keeps_features(run) for run in runs)
        try:
            rows = _many(desk, runs) if together else [_row_or_error(desk, run) for run in runs]
        except Exception:  # whichever it was, its own row shall say so
            rows = [_row_or_error(desk, run) for run in runs]
        return [row | told for row, told in zip(rows, prints, strict=True)]


def identify(runs, memory=MEMORY, threads=None):
    """Say what the names of runs stand for in this process, after looking again.

    Parameters
    ----------
    runs, memory, threads
        As for `work`.

    Returns
    -------
    list of dict
        A run's `Workbench.fingerprints` each.
    """
    with _one_at_a_time:
        desk = bench(memory)
        desk.renew(runs, anew=True)
        return [desk.fingerprints(run) for run in runs]


@functools.cache
def bench(memory):
    """Return the workbench of this process."""
    return Workbench(memory)


def _source(name):
    if ":" in name:
        return made("source", name, resolved(name))
    name, _, epoch = name.partition("@")
    return models.pretrained(name, int(epoch) if epoch else None)


def _print_of(name, network):
    return fingerprints.of_network(network, built=":" in name)


def _target(name):
    if ":" in name:
        return made("target", name, resolved(name))
    if name == "digits":
        return data.digits()
    if name in ("cifar10-a", "cifar10-b"):
        return data.only(data.load("cifar10"), getattr(data, name.upper().replace("-", "_")), name)
    if name not in ("mnist", "cifar10"):
        raise ExperimentError(f"Unknown target {name!r}. Known: {', '.join(TARGETS)}, or 'module:function'.")
    dataset = data.load(name, complete=True)
    if dataset.name != name:
        raise ExperimentError(f"{name!r} is not here, and {dataset.name!r} must not be recorded in its place.")
    return dataset


def cut(network, run):
    """Name the end of a run's frozen prefix: the last place before a layer trains or varies; None where there is none.

    Noise between frozen layers is off. Augmentation is not: behind it nothing is the same in every step.
    """
    whole = graph.opened(network)
    names = [layer.name for layer in models.weight_layers(whole)]
    silent = graph.silent_noise(whole, names[: run.layers_frozen])
    found, last = graph.places(whole), None
    for node in graph.nodes_of(whole):
        name = node.operation.name
        if name in names[run.layers_frozen :] or (graph.varies(node.operation) and name not in silent):
            break
        last = name if name in found else last
        if name == run.layer:
            break
    return last


def live(run, watch):
    """Do one run while somebody watches.

    Parameters
    ----------
    run : Run
    watch : callable
        As for `training.fit`. A run that it ends is not scored on the test set.

    Returns
    -------
    dict
        The row, as of `work`.

    Raises
    ------
    DataError, ExperimentError, ModelError, TransferError, TrainingError, KnowledgeError
        If the data are not here, or a setting makes no sense.

    Notes
    -----
    Taught in: chapter 4.2 (The explorer).
    """
    with _one_at_a_time:
        desk = bench(MEMORY)
        desk.renew([run])
        return _one(desk, run, watch) | {"fingerprints": json.dumps(desk.fingerprints(run))}


def _one(bench, run, watch=None):
    """Do one run through `transfer`; return its row."""
    rows, kept = bench.split(run), bench.activations(run)
    before = kept.seconds if kept else 0.0

    def part(name):
        numbered = getattr(rows, name)
        return replace(numbered, images=kept.rows(numbered.images)) if kept else bench.with_images(run, numbered)

    split = replace(rows, train=part("train"), validation=part("validation"))
    shared = kept.seconds - before if kept else 0.0
    off = models.depth_of(bench.network(run), cut(bench.network(run), run)) if kept else 0
    result = _trained(bench, run, split, cut_off=off, watch=watch)
    ended = result.history.steps[-1] < run.steps_on(len(split.train))
    score = result.evaluate(part("test")).accuracy if run.test and not ended else None
    curve = result.history.steps, result.history.loss, result.history.validation_accuracy
    numbers = result.validation_accuracy, score, result.trainable_parameters, result.seconds + shared
    return row(run, len(split.train), *numbers, curve, _measured(bench, run, rows, result.model))


def _measured(bench, run, rows, model):
    """Measure what a run asks for besides accuracy; return a mapping from each name in `Run.measures`."""
    found = {}
    if "shifts" in run.measures:
        tests = {kind: bench.shifted(run.target, kind) for kind in perturbations.SHIFTS}
        found["shifts"] = {kind: transfer.evaluate(model, test).accuracy for kind, test in tests.items()}
    if "cka" in run.measures:
        before = bench.base(run) if run.method == "from scratch" else bench.network(run)
        images = bench.with_images(run, rows.test).images[:CKA_IMAGES]
        found["cka"] = {name: _alike(before, model, name, images) for name in CKA_LAYERS}
    if "answers" in run.measures:
        images = bench.with_images(run, data.evenly_spaced(rows.test, ANSWERED)).images
        found["answers"] = models.outputs(model, images).argmax(axis=1).tolist()
    if "logme" in run.measures:
        features = _features(bench, run, rows.train)
        found["logme"] = measures.logme(features.reshape(len(features), -1), rows.train.labels)
    if "leep" in run.measures:
        train, source = bench.with_images(run, rows.train), bench.network(run)
        found["leep"] = measures.leep(knowledge.softened(models.logits(source, train.images)), train.labels)
    return found


def _features(bench, run, numbered):
    """Return the features of some rows, from those that are kept where they are."""
    if bench.keeps_features(run):
        return bench.activations(run).rows(numbered.images)
    return models.outputs(models.features_at(bench.network(run), run.layer), bench.with_images(run, numbered).images)


def _alike(first, second, layer, images):
    ours, theirs = (models.outputs(models.features_at(net, layer), images) for net in (first, second))
    return measures.linear_cka(ours.reshape(len(images), -1), theirs.reshape(len(images), -1))


def _trained(bench, run, split, cut_off, watch=None):
    """Call the method of a run; `split` holds activations if the first `cut_off` layers were computed beforehand."""
    settings = {name: value for name, value in run.settings if name != "base_rate"}
    steps = run.steps_on(len(split.train))
    shape = {"layer": run.layer, "head": run.head}
    budget = {"learning_rate": run.learning_rate, "steps": steps, "batch_size": run.batch_size}
    budget |= {"seed": run.seed, "points": POINTS, "watch": watch}
    if run.method == "from scratch":
        return transfer.from_scratch(split, architecture=bench.source(run.source), **shape, **settings, **budget)
    source = bench.suffix(run) if bench.keeps(run) else bench.network(run)
    shape |= {"initialisation": "random" if run.initialisation == "random" else "source"}
    if run.method == "feature extraction":
        return transfer.feature_extraction(source, split, **shape, **settings, **budget)
    shape |= {"copy": run.layers_copied - cut_off, "freeze": run.layers_frozen - cut_off}
    if run.method in ("parameter transfer", "LP-FT"):
        phases = {"probe_steps": steps // 2} if run.method == "LP-FT" else {}
        return transfer.parameter_transfer(source, split, **shape, **phases | settings, **budget)
    knows = [_knowledge(bench, run, settings)]
    return transfer.knowledge_transfer(source, split, knowledge=knows, **shape, **budget)


def _knowledge(bench, run, settings):
    """Make the rule or constraint of a run's method from its settings."""
    if run.method == "L2-SP":
        return knowledge.L2SP(**settings)
    if run.method == "attention transfer":
        return knowledge.AttentionTransfer(**settings)
    if run.method == "logic rules":
        name = settings.pop("rules")
        return knowledge.LogicRules(made("rules", name, resolved(name)), **settings)
    name = settings.pop("teacher")
    if not isinstance(name, int):
        return knowledge.Distillation(bench.source(name), models.model_card(name)["classes"], **settings)
    return knowledge.Distillation(bench.teacher(run, name), bench.target(run.target).class_names, **settings)


def _many(bench, runs):
    """Train the heads of several runs in one loop; return their rows."""
    first, classes = runs[0], len(bench.target(runs[0].target).class_names)
    seeds, rates = (list(dict.fromkeys(getattr(run, name) for run in runs)) for name in ("seed", "learning_rate"))
    of_seed = [next(run for run in runs if run.seed == seed) for seed in seeds]
    splits, stores = [bench.split(run) for run in of_seed], [bench.activations(run) for run in of_seed]
    before = sum(store.seconds for store in set(stores))

    def stack(part):
        found = [getattr(split, part) for split in splits]
        rows = [store.rows(p.images).reshape(len(p), -1) for store, p in zip(stores, found, strict=True)]
        return np.stack(rows) if len(rows) > 1 else rows[0][None], np.stack([p.labels for p in found])

    (features, labels), validation = stack("train"), stack("validation")
    seconds = sum(store.seconds for store in set(stores)) - before
    measured = [_measured(bench, *each, None) for each in zip(of_seed, splits, strict=True)]
    count, width = features.shape[1:]
    trained = heads.fit_heads(
        features,
        labels,
        validation,
        classes=classes,
        learning_rates=rates,
        seeds=seeds,
        steps=first.steps_on(count),
        batch_size=first.batch_size,
        standardise=dict(first.settings).get("standardise", True),
        points=POINTS,
    )
    scores = _test_scores(trained, stores, splits) if first.test else np.full((len(seeds), len(rates)), None)
    found = []
    for run in runs:
        s, r = seeds.index(run.seed), rates.index(run.learning_rate)
        curve = trained.steps, trained.loss[:, s, r].tolist(), trained.validation_accuracy[:, s, r].tolist()
        share = (trained.seconds + seconds) / len(runs)
        if np.isfinite(curve[1]).all():
            numbers = curve[2][-1], scores[s, r], (width + 1) * classes, share
            found.append(row(run, count, *numbers, curve, measured[s]))
        else:
            found.append(_row_or_error(bench, run))  # alone, it says at which step the loss was lost
    return found


def _test_scores(trained, stores, splits):
    """Score heads on the test set: seeds that share their features, together."""
    scores = np.empty(trained.kernels.shape[::2])
    for store in set(stores):
        mine = [s for s, other in enumerate(stores) if other is store]
        test = splits[mine[0]].test
        features = store.rows(test.images).reshape(len(test), -1)
        scores[mine] = heads.accuracy(trained.kernels[mine], trained.biases[mine], features, test.labels)
    return scores


def _row_or_error(bench, run):
    try:
        return _one(bench, run)
    except Exception as error:  # recorded, so that the other runs go on
        return row(run, 0, None, None, None, None, error=f"{type(error).__name__}: {error}")


def row(run, count, validation, test, parameters, seconds, curve=((), (), ()), measured=None, error=""):
    """Return the row of a run, with the columns of `log.COLUMNS`."""
    steps, loss, scores = curve
    told = {"steps": list(steps), "loss": _rounded(loss), "validation_accuracy": _rounded(scores)}
    return {name: getattr(run, name) for name in run.__dataclass_fields__ if name not in ("epochs", "test")} | {
        "key": run.key,
        "head": "-".join(map(str, run.head)),
        "steps": run.steps_on(count),
        "settings": json.dumps(dict(run.settings)),
        "validation_accuracy": None if validation is None else round(float(validation), 5),
        "test_accuracy": None if test is None else round(float(test), 5),
        "trainable_parameters": parameters,
        "seconds": None if seconds is None else round(seconds, 4),
        "history": json.dumps(told, separators=(",", ":")) if steps else "",
        "measures": json.dumps(_short(measured or {}), sort_keys=True),
        "fingerprints": "{}",  # told by those who know what the names stand for
        "error": error,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
    }


def _rounded(values):
    return [_short(value) for value in values]


def _short(value):
    """Round numbers to five digits, in a mapping too; lists hold whole numbers, which stay."""
    if isinstance(value, dict):
        return {name: _short(each) for name, each in value.items()}
    return value if isinstance(value, list) else float(f"{value:.5g}")


def machine():
    """Name processor, cores and TensorFlow, on which the last digits of a number depend."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.is_file()
        else []
    )
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, tensorflow {tf.__version__}"
