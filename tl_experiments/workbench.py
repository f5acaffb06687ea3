"""Doing runs: what is frozen is computed once and kept, what is small is trained together, the rest is `transfer`.

Taught in: How fast.
"""

import datetime
import functools
import json
import os
import platform
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tl_base.backend import keras, tf
from tl_base.kept import off as keeping_nothing
from tl_experiments import heads, perturbations
from tl_experiments.grid import Run
from tl_experiments.plan import ANSWERED, MEMORY, POINTS, trains_together
from tl_experiments.store import Activations, Store, cut
from tl_helpers import data, knowledge, measures, models, training, transfer

CKA_LAYERS = ("pool1", "pool2", "conv3")
CKA_IMAGES = 2000  # fewer than pool1 and pool2 have activations: there the biased form finds any two networks alike
_one_at_a_time = threading.Lock()  # a Dask worker has several threads; one store serves them in turn

Row = dict[str, Any]  # with the keys of `records.COLUMNS`


def work(runs: Sequence[Run], memory: int = MEMORY, threads: int | None = None) -> list[Row]:
    """Do runs that belong together, in this process.

    Parameters
    ----------
    runs : sequence of Run
        One of `plan.batches`.
    memory : int
        As for `Store`; the store is kept for the next call.
    threads : int, optional
        For TensorFlow, if it has not begun to compute yet.

    Returns
    -------
    list of dict
        A row a run, as `open_log` takes them. A run that fails has its error in the row.
    """
    with _one_at_a_time, keeping_nothing():  # else the seconds of a run would depend on those before it
        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        store = bench(memory)
        store.renew(runs)
        # Data or a network that are missing stop the grid: none of its runs could be done.
        prints = [{"fingerprints": json.dumps(store.fingerprints(run))} for run in runs]
        together = len(runs) > 1 and all(trains_together(run) and store.keeps_features(run) for run in runs)
        try:
            rows = _many(store, runs) if together else [_row_or_error(store, run) for run in runs]
        except Exception:  # whichever it was, its own row shall say so
            rows = [_row_or_error(store, run) for run in runs]
        return [row | printed for row, printed in zip(rows, prints, strict=True)]


def identify(runs: Sequence[Run], memory: int = MEMORY, threads: int | None = None) -> list[dict[str, str]]:
    """Say what the names of runs stand for in this process, after looking again.

    Parameters
    ----------
    runs, memory, threads
        As for `work`.

    Returns
    -------
    list of dict
        A run's `Store.fingerprints` each.
    """
    with _one_at_a_time:
        store = bench(memory)
        store.renew(runs, anew=True)
        return [store.fingerprints(run) for run in runs]


@functools.cache
def bench(memory: int) -> Store:
    """Return the store of this process."""
    return Store(memory)


def live(run: Run, watch: Callable[[training.History], bool]) -> Row:
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
    with _one_at_a_time, keeping_nothing():
        store = bench(MEMORY)
        store.renew([run])
        return _one(store, run, watch) | {"fingerprints": json.dumps(store.fingerprints(run))}


def _one(store: Store, run: Run, watch: Callable[[training.History], bool] | None = None) -> Row:
    """Do one run through `transfer`; return its row."""
    rows, kept = store.split(run), store.activations(run)
    before = kept.seconds if kept else 0.0

    def part(name: str) -> data.Dataset:
        numbered = getattr(rows, name)
        return replace(numbered, images=kept.rows(numbered.images)) if kept else store.with_images(run, numbered)

    split = replace(rows, train=part("train"), validation=part("validation"))
    shared = kept.seconds - before if kept else 0.0
    network = store.network(run)
    last = cut(network, run)
    cut_off = models.depth_of(network, last) if kept and last else 0
    result = store.transfer(run, split, cut_off, watch=watch)
    ended = result.history.steps[-1] < run.steps_on(len(split.train))
    score = result.evaluate(part("test")).accuracy if run.test and not ended else None
    seen, unseen = (result.evaluate(each).predictions for each in (split.train, split.validation))
    return row(
        run,
        Outcome(
            images=len(split.train),
            validation_accuracy=result.validation_accuracy,
            test_accuracy=score,
            trainable_parameters=result.trainable_parameters,
            seconds=result.seconds + shared,
            history=result.history,
            measures=_measured(store, run, rows, result.model) | _facts(seen, split.train.labels, unseen),
        ),
    )


def _measured(store: Store, run: Run, rows: data.Split, model: keras.Model) -> dict[str, Any]:
    """Measure what a run asks for besides accuracy; return a mapping from each name in `Run.measures`."""
    values: dict[str, Any] = {}
    if "shifts" in run.measures:
        tests = {kind: store.shifted(run, kind) for kind in perturbations.SHIFTS}
        values["shifts"] = {kind: transfer.evaluate(model, test).accuracy for kind, test in tests.items()}
    if "debiased cka" in run.measures:
        before = store.base(run) if run.method == "from scratch" else store.network(run)
        images = store.with_images(run, rows.test).images[:CKA_IMAGES]
        values["debiased cka"] = {name: _alike(before, model, name, images) for name in CKA_LAYERS}
    if "siblings" in run.measures:
        sibling, images = store.sibling(run), store.with_images(run, rows.test).images[:CKA_IMAGES]
        values["siblings"] = {name: _alike(sibling, model, name, images) for name in CKA_LAYERS}
    if "answers" in run.measures:
        images = store.with_images(run, data.evenly_spaced(rows.test, ANSWERED)).images
        values["answers"] = models.outputs(model, images).argmax(axis=1).tolist()
    if "logme" in run.measures:
        features = _features(store, run, rows.train)
        values["logme"] = measures.logme(features.reshape(len(features), -1), rows.train.labels)
    if "leep" in run.measures:
        train, source = store.with_images(run, rows.train), store.network(run)
        values["leep"] = measures.leep(knowledge.softened(models.logits(source, train.images)), train.labels)
    return values


def _facts(seen: np.ndarray, labels: np.ndarray, unseen: np.ndarray) -> dict[str, Any]:
    """Return what every row tells of a trained network.

    Parameters
    ----------
    seen, unseen : ndarray, shape (N,) and (M,), int
        Its answers to the training images and to the validation images.
    labels : ndarray, shape (N,), int
        Of the training images, as trained on.

    Returns
    -------
    dict of str to object
        ``"training accuracy"``; and ``"collapsed"``, True, where all images have the same answer.
    """
    alike = len(np.union1d(seen, unseen)) == 1
    return {"training accuracy": float(np.mean(seen == labels))} | ({"collapsed": True} if alike else {})


def _features(store: Store, run: Run, numbered: data.Dataset) -> np.ndarray:
    """Return the features of some rows, from those that are kept where they are."""
    if store.keeps_features(run):
        return _kept(store, run).rows(numbered.images)
    return models.outputs(models.features_at(store.network(run), run.layer), store.with_images(run, numbered).images)


def _alike(first: keras.Model, second: keras.Model, layer: str, images: np.ndarray) -> float:
    ours, theirs = (models.outputs(models.features_at(net, layer), images) for net in (first, second))
    return measures.linear_cka(ours.reshape(len(images), -1), theirs.reshape(len(images), -1))


def _many(store: Store, runs: Sequence[Run]) -> list[Row]:
    """Train the heads of several runs in one loop; return their rows."""
    first = runs[0]
    seeds, rates = (list(dict.fromkeys(getattr(run, name) for run in runs)) for name in ("seed", "learning_rate"))
    of_seed = [next(run for run in runs if run.seed == seed) for seed in seeds]
    splits, kept = [store.split(run) for run in of_seed], [_kept(store, run) for run in of_seed]
    before = sum(activations.seconds for activations in set(kept))
    features, labels = _stacked(kept, [split.train for split in splits])
    validation = _stacked(kept, [split.validation for split in splits])
    forward = sum(activations.seconds for activations in set(kept)) - before
    measured = [_measured(store, run, split, None) for run, split in zip(of_seed, splits, strict=True)]
    count, width = features.shape[1:]
    classes = len(splits[0].train.class_names)
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
    scores = _test_scores(trained, kept, splits) if first.test else np.full((len(seeds), len(rates)), None)
    del features  # they were standardised in place, and the heads take them as they are
    seen = heads.answers(trained.kernels, trained.biases, _stacked(kept, [split.train for split in splits])[0])
    unseen = heads.answers(trained.kernels, trained.biases, validation[0])
    rows = []
    for run in runs:
        s, r = seeds.index(run.seed), rates.index(run.learning_rate)
        loss, scored = (tuple(curve[:, s, r].tolist()) for curve in (trained.loss, trained.validation_accuracy))
        history = training.History(trained.steps, loss, scored, trained.seconds)
        if not np.isfinite(history.loss).all():
            rows.append(_row_or_error(store, run))  # alone, it says at which step the loss was lost
            continue
        numbers = {"trainable_parameters": (width + 1) * classes, "seconds": (trained.seconds + forward) / len(runs)}
        accuracies = {"validation_accuracy": history.validation_accuracy[-1], "test_accuracy": scores[s, r]}
        facts = _facts(seen[s, :, r], labels[s], unseen[s, :, r])
        rows.append(row(run, Outcome(count, **accuracies, **numbers, history=history, measures=measured[s] | facts)))
    return rows


def _kept(store: Store, run: Run) -> Activations:
    kept = store.activations(run)
    assert kept is not None  # `work` asks first
    return kept


def _stacked(kept: Sequence[Activations], parts: Sequence[data.Dataset]) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of several seeds' images, shape (S, N, F), and their labels (S, N)."""
    rows = [shared.rows(part.images).reshape(len(part), -1) for shared, part in zip(kept, parts, strict=True)]
    features = np.stack(rows) if len(rows) > 1 else rows[0][None]  # one is not copied
    return features, np.stack([part.labels for part in parts])


def _test_scores(trained: heads.Heads, kept: Sequence[Activations], splits: Sequence[data.Split]) -> np.ndarray:
    """Score heads on the test set: seeds that share their features, together."""
    scores = np.empty(trained.kernels.shape[::2])
    for shared in set(kept):
        mine = [s for s, other in enumerate(kept) if other is shared]
        test = splits[mine[0]].test
        features = shared.rows(test.images).reshape(len(test), -1)
        scores[mine] = heads.accuracy(trained.kernels[mine], trained.biases[mine], features, test.labels)
    return scores


def _row_or_error(store: Store, run: Run) -> Row:
    try:
        return _one(store, run)
    except Exception as error:  # recorded, so that the other runs go on
        return row(run, Outcome(error=f"{type(error).__name__}: {error}"))


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes
    ----------
    images : int
        Training images.
    validation_accuracy, test_accuracy : float or None
        None where the run failed; the latter also where the test set was not scored.
    trainable_parameters : int or None
    seconds : float or None
    history : training.History or None
    measures : mapping of str to object
        What `Run.measures` asked for, and `_facts`.
    error : str
        Empty if all is well.
    """

    images: int = 0
    validation_accuracy: float | None = None
    test_accuracy: float | None = None
    trainable_parameters: int | None = None
    seconds: float | None = None
    history: training.History | None = None
    measures: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


def row(run: Run, outcome: Outcome) -> Row:
    """Return the row of a run, with the columns of `records.COLUMNS`.

    Parameters
    ----------
    run : Run
    outcome : Outcome

    Returns
    -------
    dict
        ``fingerprints`` is empty: those who know what the names stand for add them.
    """
    history = outcome.history
    curve = {} if history is None else {"steps": list(history.steps), "loss": _rounded(history.loss)}
    if history is not None:
        curve["validation_accuracy"] = _rounded(history.validation_accuracy)
    measured = dict(outcome.measures)
    if "memorised" in run.measures and outcome.validation_accuracy is not None:
        measured["memorised"] = outcome.validation_accuracy
    return {name: getattr(run, name) for name in run.__dataclass_fields__ if name not in ("epochs", "test")} | {
        "key": run.key,
        "head": "-".join(map(str, run.head)),
        "steps": run.steps_on(outcome.images),
        "settings": json.dumps(dict(run.settings)),
        "validation_accuracy": _five_digits(outcome.validation_accuracy),
        "test_accuracy": _five_digits(outcome.test_accuracy),
        "trainable_parameters": outcome.trainable_parameters,
        "seconds": None if outcome.seconds is None else round(outcome.seconds, 4),
        "history": json.dumps(curve, separators=(",", ":")) if curve else "",
        "measures": json.dumps(_short(measured), sort_keys=True),
        "fingerprints": "{}",
        "error": outcome.error,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
    }


def _five_digits(share: float | None) -> float | None:
    return None if share is None else round(float(share), 5)


def _rounded(values: Sequence[float]) -> list[Any]:
    return [_short(value) for value in values]


def _short(value: Any) -> Any:
    """Round numbers to five digits, in a mapping too; what is true or false stays, and lists of whole numbers."""
    if isinstance(value, dict):
        return {name: _short(part) for name, part in value.items()}
    return value if isinstance(value, (list, bool)) else float(f"{value:.5g}")


def machine() -> str:
    """Name processor, cores and TensorFlow, on which the last digits of a number depend."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, tensorflow {tf.__version__}"
