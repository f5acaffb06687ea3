"""What the explorer offers, and the records, code and pictures that it shows for it.

Taught in: chapter 4.2 (The explorer).
"""

import base64
import io
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image

from tl_experiments import arms, recipes
from tl_experiments.arms import Arm
from tl_experiments.evidence import EXPLORED, SWEPT_AT, TRIED_ON, tuned_at
from tl_experiments.grid import Grid, Run
from tl_experiments.names import ExperimentError
from tl_experiments.plan import ANSWERED
from tl_helpers import data, measures
from tl_helpers.records import FAR, NEAR, history, load, rows_if_any

if TYPE_CHECKING:
    import keras

PAIRS = {"far": FAR, "near": NEAR}
TITLES = {"far": "far: CIFAR-10 → MNIST", "near": "near: CIFAR-10 classes A → classes B"}
LAYERS = ("conv1", "conv2", "conv3")
PLAIN, PROBE = "plain", "feature extraction"
CLASSES = {"far": 10, "near": 5}
TESTED = {"far": 10_000, "near": 5_000}  # images of the test sets that the records were measured on
TILE, ACROSS = 32, 10  # pixels of a test image, images in a row of the picture
HOUSES = ("sweep", "explorer", "reference")  # experiments that hold the runs, the first that does counts


@dataclass(frozen=True)
class Setting:
    """One way to transfer that the explorer offers.

    Attributes
    ----------
    method : str
        ``"plain"`` starts some layers from given weights, freezes some of these, and trains the rest. The others are
        `Grid.method`'s.
    arms : tuple of Arm
        What does it: several where one treatment has several names in the records.
    """

    method: str
    arms: tuple[Arm, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Its names in the records."""
        return tuple(arm.name for arm in self.arms)

    @property
    def states(self) -> str:
        """One letter a layer: F copied and frozen, T copied and trained, R random and trained, Z random and frozen."""
        arm = self.arms[0].fields(len(LAYERS))
        frozen, trained = ("F", "T") if arm["initialisation"] == "source" else ("Z", "R")
        copied = frozen * arm["layers_frozen"] + trained * (arm["layers_copied"] - arm["layers_frozen"])
        return copied.ljust(len(LAYERS), "R")


def _offer() -> Iterator[Setting]:
    yield Setting(PLAIN, (arms.SCRATCH,))
    for copied in range(1, len(LAYERS) + 1):
        for frozen in range(copied + 1):
            whole = (copied, frozen) == (len(LAYERS), 0)
            yield Setting(PLAIN, (arms.swept("A", copied, frozen), *((arms.TUNED,) if whole else ())))
        yield Setting(PLAIN, (arms.swept("random", copied, copied),))
    for arm in (arms.HEAD, arms.RANDOM_HEAD):
        yield Setting(PROBE, (arm,))
    for arm in (arms.LP_FT, arms.L2_SP, arms.ATTENTION, arms.DISTILLATION, arms.LOGIC):
        yield Setting(arm.method, (arm,))


OFFER = tuple(_offer())


def offered(pair: str) -> tuple[Setting, ...]:
    """List the settings that are offered for a pair of tasks: the rules speak of digits, so only far has them.

    Parameters
    ----------
    pair : {"far", "near"}

    Returns
    -------
    tuple of Setting

    Notes
    -----
    Taught in: chapter 4.2 (The explorer).
    """
    _check_pair(pair)
    return tuple(setting for setting in OFFER if pair == "far" or setting.method != "logic rules")


def _check_pair(pair: str) -> None:
    if pair not in PAIRS:
        raise ExperimentError(f"The explorer has no pair {pair!r}. It has {', '.join(PAIRS)}.")


def rows_for(table: pd.DataFrame, pair: str, setting: Setting, labels: int) -> pd.DataFrame:
    """Return the recorded runs of a setting, one a seed; empty where there are none.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records` returns it.
    pair : {"far", "near"}
    setting : Setting
    labels : int
        Per class.

    Returns
    -------
    pandas.DataFrame
        Sorted by seed.

    Notes
    -----
    Taught in: chapter 4.2 (The explorer).
    """
    _check_pair(pair)
    for experiment in HOUSES:
        rows = rows_if_any(table, PAIRS[pair], experiment)
        rows = rows[rows.arm.isin(setting.names) & (rows.labels_per_class == labels)]
        if len(rows):
            return rows.sort_values("seed")
    return rows


def examples(table: pd.DataFrame) -> list[Grid]:
    """Keep the answers to a hundred test images of one run, seed 0, of each setting that the explorer offers."""
    grids = []
    for pair in PAIRS:
        for setting, labels in itertools.product(offered(pair), EXPLORED):
            rows = rows_for(table, pair, setting, labels)
            if len(rows):
                grids.append(_examined(Run.of(rows.iloc[0]), PAIRS[pair]))
    return grids


def _examined(run: Run, pair: tuple[str, str]) -> Grid:
    """Turn a recorded run into a grid of one run that keeps its answers."""
    names = ("method", "initialisation", "layer", "head", "layers_copied", "layers_frozen", "labels_per_class")
    axes: dict[str, Any] = {name: [getattr(run, name)] for name in (*names, "learning_rate", "seed")}
    budget: dict[str, Any] = {"batch_size": run.batch_size, "steps": run.steps}
    shape: dict[str, Any] = {
        "pairs": [pair],
        "settings": [dict(run.settings)],
        "measures": ("answers",),
        "arm": run.arm,
    }
    return Grid("examples", **axes, **budget, **shape)


def payload(table: pd.DataFrame | None = None, pictures: bool = True) -> dict[str, Any]:
    """Prepare all that the explorer shows: settings, recorded curves and accuracies, code, and test images.

    Parameters
    ----------
    table : pandas.DataFrame, optional
        As `records` returns it; by default those that ship.
    pictures : bool
        Add the test images whose answers are recorded, where the data are here.

    Returns
    -------
    dict
        JSON-able. ``pairs`` to ``settings`` say what can be chosen; ``runs`` maps ``"pair|labels|number of setting"``
        to what was recorded: ``test`` (accuracy, one a seed), ``steps``, ``mean`` and ``half`` (validation accuracy and
        half its 95 % interval at each point), ``rate`` and ``setting`` (as chosen), ``tried`` (learning rate, settings,
        and mean validation accuracy on the development seeds), ``triedAt`` (labels per class there), ``parameters``,
        ``seconds`` (median), ``code`` (the call that does it again), ``answers``. ``quantile`` is Student's for as many
        seeds, to make intervals of paired differences.

    Notes
    -----
    A setting without a record has no entry in ``runs``. Taught in: chapter 4.2 (The explorer).
    """
    from tl_helpers import models

    table, network = load() if table is None else table, models.source_cnn()
    kept = _answers(table)
    runs = {}
    for pair in PAIRS:
        for setting, labels in itertools.product(offered(pair), EXPLORED):
            rows = rows_for(table, pair, setting, labels)
            if len(rows):
                runs[f"{pair}|{labels}|{OFFER.index(setting)}"] = _shown(table, rows, kept)
    counts = {len(run["test"]) for run in runs.values()}
    if len(counts) != 1:
        raise ExperimentError(f"The explorer pairs runs by seed, but they have {sorted(counts)} seeds.")
    return {
        "pairs": [_pair(name, network, pictures) for name in PAIRS],
        "labels": list(EXPLORED),
        "layers": _layers(network),
        "settings": [{"method": s.method, "states": s.states, "pairs": _where(s), "arm": s.names[0]} for s in OFFER],
        "quantile": round(measures.quantile(counts.pop()), 4),
        "runs": runs,
    }


def coverage(shown: Mapping[str, Any]) -> float:
    """Return the share of what can be chosen, pair by labels by setting, that has a record of its own.

    Parameters
    ----------
    shown : dict
        As `payload` returns it.

    Returns
    -------
    float

    Notes
    -----
    Taught in: chapter 4.2 (The explorer).
    """
    return len(shown["runs"]) / (len(shown["labels"]) * sum(len(offered(pair)) for pair in PAIRS))


def _shown(table: pd.DataFrame, rows: pd.DataFrame, kept: Mapping[tuple[Any, ...], str]) -> dict[str, Any]:
    curves = [history(row) for _, row in rows.iterrows()]
    scores = np.array([curve["validation_accuracy"] for curve in curves])
    half = measures.half_width(scores)
    row = rows.iloc[0]
    return {
        "test": [round(float(value), 4) for value in rows.test_accuracy],
        "steps": curves[0]["steps"],
        "mean": [round(float(value), 3) for value in scores.mean(axis=0)],
        "half": [round(float(value), 3) for value in half],
        "rate": float(row.learning_rate),
        "setting": _in_words(row.settings),
        "tried": _tried(table, row),
        "triedAt": _tried_at(row)[1],
        "parameters": int(row.trainable_parameters),
        "seconds": round(float(rows.seconds.median()), 2),
        "code": Run.of(row).code(),
        "answers": kept.get((row.source, row.target, row.arm, int(row.labels_per_class)), ""),
    }


def _tried(table: pd.DataFrame, row: pd.Series) -> list[list[Any]]:
    """List what was tried on development seeds for an arm: (rate, settings, mean validation accuracy)."""
    name, labels = _tried_at(row)
    rows = table[(table.experiment == name) & (table.arm == row.arm) & (table.labels_per_class == labels)]
    rows = rows[(rows.source == row.source) & (rows.target == row.target) & rows.seed.isin(TRIED_ON)]
    means = rows.groupby(["learning_rate", "settings"]).validation_accuracy.mean()
    return [[rate, _in_words(settings), round(float(mean), 3)] for (rate, settings), mean in means.items()]


def _tried_at(row: pd.Series) -> tuple[str, int]:
    """Return the experiment that chose an arm's rate, and its labels per class."""
    swept = row.experiment in ("sweep", "explorer") and row.method == "parameter transfer"
    return ("sweep choice", SWEPT_AT) if swept else ("choice", tuned_at(int(row.labels_per_class)))


def _in_words(settings: str) -> str:
    values = json.loads(settings)
    return ", ".join(f"{name} {values[name]:g}" for name in ("alpha", "strength", "weight") if name in values)


def _answers(table: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    rows = table[table.experiment == "examples"]
    keys = zip(rows.source, rows.target, rows.arm, rows.labels_per_class.astype(int), strict=True)
    answers = ("".join(map(str, json.loads(text)["answers"])) for text in rows.measures)
    return dict(zip(keys, answers, strict=True))


def _where(setting: Setting) -> list[str]:
    return [pair for pair in PAIRS if setting in offered(pair)]


def _layers(network: "keras.Model") -> list[dict[str, Any]]:
    """Describe the trunk: name, output shape and number of weights of each layer."""
    from tl_helpers import models

    table: dict[Any, dict[Any, Any]] = models.parameter_table(network).to_dict("index")
    return [{"name": name} | {key: table[name][key] for key in ("output", "parameters")} for name in LAYERS]


def _pair(name: str, network: "keras.Model", pictures: bool) -> dict[str, Any]:
    """Describe a pair of tasks; ``head`` counts the weights of a linear head on the trunk."""
    source, target = PAIRS[name]
    classes, features = CLASSES[name], int(np.prod(network.get_layer(LAYERS[-1]).output.shape[1:]))
    card: dict[str, Any] = {"name": name, "title": TITLES[name], "source": source, "target": target}
    card |= {"classes": classes, "tested": TESTED[name], "head": (features + 1) * classes}
    return card | (_gallery(target) if pictures else {})


def _gallery(target: str) -> dict[str, Any]:
    """Put the test images whose answers are recorded into one picture; nothing where the data are not here."""
    try:
        dataset = recipes.images(target, complete=True).value(str)
    except data.DataUnavailable:
        return {}  # the explorer says that it was made without them
    test = data.evenly_spaced(dataset.rows(dataset.held_out), ANSWERED)
    rows = ANSWERED // ACROSS
    tiles = test.images.reshape(rows, ACROSS, TILE, TILE, 3).swapaxes(1, 2).reshape(rows * TILE, ACROSS * TILE, 3)
    stored = io.BytesIO()
    Image.fromarray(tiles).save(stored, "WEBP", quality=60)
    picture = "data:image/webp;base64," + base64.b64encode(stored.getvalue()).decode()
    return {"names": list(test.class_names), "truth": "".join(map(str, test.labels)), "picture": picture}
