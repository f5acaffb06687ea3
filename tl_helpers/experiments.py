"""The worked example's arms, the choice of their learning rates, and the records of its runs.

``python -m tl_helpers.experiments`` computes what is missing in ``tl_helpers/assets/worked_example.csv``.
Taught in: chapter 4 (Worked example).
"""

import argparse
import datetime
import functools
import io
from importlib import resources
from pathlib import Path

import pandas as pd

SCHEMA_VERSION = 1
COLUMNS = [
    "experiment",
    "source",
    "target",
    "arm",
    "method",
    "initialisation",
    "layers_copied",
    "layers_frozen",
    "labels_per_class",
    "learning_rate",
    "batch_size",
    "seed",
    "validation_accuracy",
    "test_accuracy",
    "trainable_parameters",
    "steps",
    "seconds",
    "date",
]
LEARNING_RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
DEVELOPMENT_SEEDS = tuple(range(100, 110))
FEW_SHOT = {"steps": 200, "batch_size": 32}
FULL_SET = {"epochs": 5, "batch_size": 128}


class RecordError(ValueError):
    """A file of records is not what this version reads."""


def arms(source):
    """List the arms of the worked example: each is one call of `transfer` with everything but the data fixed.

    Parameters
    ----------
    source : keras.Model
        The trained source network.

    Returns
    -------
    dict of str to callable
        Arm's name to a function of ``(split, **budget)`` that returns a `transfer.Result`. All share the trunk
        (conv1–conv3) but the one on pixels, and all have a linear head but the one that says otherwise.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    from tl_helpers import transfer

    probe = functools.partial(transfer.feature_extraction, source)
    return {
        "linear head, source features": probe,
        "Dense(512) head, source features": functools.partial(probe, head=(512,)),
        "linear head, random features": functools.partial(probe, initialisation="random"),
        "fine-tuned from the source": functools.partial(transfer.parameter_transfer, source, copy=3),
        "from scratch": transfer.from_scratch,
        "logistic regression on pixels": functools.partial(probe, layer="rescale", standardise=False),
    }


def budget(split):
    """Return the training budget that every arm gets on a split.

    Parameters
    ----------
    split : data.Split

    Returns
    -------
    dict
        ``steps`` and ``batch_size``: 200 steps of 32 images with few labels, five passes of 128 on a full set.
    """
    if split.per_class is not None:
        return dict(FEW_SHOT)
    steps = FULL_SET["epochs"] * len(split.train) // FULL_SET["batch_size"]
    return {"steps": max(steps, FEW_SHOT["steps"]), "batch_size": FULL_SET["batch_size"]}


def records(path=None):
    """Read the recorded runs.

    Parameters
    ----------
    path : path-like, optional
        By default the file that ships with the package.

    Returns
    -------
    pandas.DataFrame
        One row a run; ``experiment`` is ``"tuning"`` (development seeds, no test accuracy) or ``"report"``.
        ``labels_per_class`` is missing for a full set.

    Raises
    ------
    RecordError
        If the file has another schema version or damaged rows.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    path = Path(path or str(resources.files("tl_helpers") / "assets" / "worked_example.csv"))
    first, _, rest = path.read_text(encoding="utf-8").partition("\n")
    if first != f"# schema {SCHEMA_VERSION}":
        raise RecordError(f"{path}: expected '# schema {SCHEMA_VERSION}' in line 1, found {first[:60]!r}.")
    table = pd.read_csv(io.StringIO(rest), on_bad_lines="error")
    needed = [column for column in COLUMNS if column not in ("labels_per_class", "test_accuracy")]
    if list(table.columns) != COLUMNS or table[needed].isna().any(axis=None):
        raise RecordError(
            f"{path}: damaged rows or other columns than {', '.join(COLUMNS)}. `make records` writes it again."
        )
    return table.astype({"labels_per_class": "Int64"})


def chosen_learning_rate(table, target, labels_per_class, arm):
    """Choose an arm's learning rate: the best mean validation accuracy over the development seeds.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records` returns it.
    target : str
        ``"mnist"`` or ``"digits"``.
    labels_per_class : int or None
        None stands for the full set.
    arm : str

    Returns
    -------
    float

    Raises
    ------
    RecordError
        If that arm was never tuned.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    rows = _select(table, "tuning", target, labels_per_class, arm)
    if rows.empty:
        raise RecordError(f"No tuning record for {arm!r} on {target!r} with {labels_per_class} labels per class.")
    return float(rows.groupby("learning_rate").validation_accuracy.mean().idxmax())


def _select(table, experiment, target, labels_per_class, arm):
    labels = table.labels_per_class.isna() if labels_per_class is None else table.labels_per_class == labels_per_class
    return table[
        (table.experiment == experiment) & (table.target == target) & (table.arm == arm) & labels.fillna(False)
    ]


def _row(experiment, split, arm, result, learning_rate, score):
    copied = result.settings["copy"] if result.settings["initialisation"] == "source" else 0
    return {
        "experiment": experiment,
        "source": "cifar10",
        "target": split.train.name,
        "arm": arm,
        "method": result.method,
        "initialisation": result.settings["initialisation"],
        "layers_copied": copied,
        "layers_frozen": result.settings["freeze"],
        "labels_per_class": split.per_class,
        "learning_rate": learning_rate,
        "batch_size": result.settings["batch_size"],
        "seed": split.seed,
        "validation_accuracy": round(result.validation_accuracy, 5),
        "test_accuracy": None if score is None else round(score.accuracy, 5),
        "trainable_parameters": result.trainable_parameters,
        "steps": result.settings["steps"],
        "seconds": round(result.seconds, 3),
        "date": datetime.date.today().isoformat(),
    }


def _append(path, rows):
    """Add rows, atomically: the file is the old one or the new one."""
    old = records(path) if path.is_file() else pd.DataFrame(columns=COLUMNS)
    new = pd.DataFrame(rows, columns=COLUMNS).astype({"labels_per_class": "Int64"})
    table = new if old.empty else pd.concat([old, new])
    part = path.with_name(f".{path.name}.part")
    part.write_text(f"# schema {SCHEMA_VERSION}\n" + table.to_csv(index=False, lineterminator="\n"), encoding="utf-8")
    part.replace(path)


def _run(path, experiment, splits, arm, call, learning_rate):
    """Run one arm over splits, unless it is recorded; one write for all of them."""
    table = records(path) if path.is_file() else pd.DataFrame(columns=COLUMNS)
    done = _select(table, experiment, splits[0].train.name, splits[0].per_class, arm) if len(table) else table
    seeds = set(done[done.learning_rate == learning_rate].seed)
    rows = []
    for split in [split for split in splits if split.seed not in seeds]:
        result = call(split, learning_rate=learning_rate, seed=split.seed, points=1, **budget(split))
        score = result.evaluate(split.test) if experiment == "report" else None
        rows.append(_row(experiment, split, arm, result, learning_rate, score))
    if rows:
        _append(path, rows)
        mean = sum(row["validation_accuracy"] for row in rows) / len(rows)
        print(f"{experiment} {splits[0].per_class or 'full':>4} {arm:<34} lr {learning_rate:g}: {mean:.4f}", flush=True)


def main():
    """Tune every arm on the development seeds, then report the full set on three others."""
    from tl_helpers import data, models

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(models.__file__).parent / "assets" / "worked_example.csv")
    options = parser.parse_args()
    source = models.pretrained()
    target = data.load("mnist")
    few = [data.few_shot(target, 5, seed) for seed in DEVELOPMENT_SEEDS]
    for splits in (few, [data.full_split(target, DEVELOPMENT_SEEDS[0])]):
        for arm, call in arms(source).items():
            for learning_rate in LEARNING_RATES:
                _run(options.output, "tuning", splits, arm, call, learning_rate)
    for arm, call in arms(source).items():
        chosen = chosen_learning_rate(records(options.output), target.name, None, arm)
        for seed in range(3):
            _run(options.output, "report", [data.full_split(target, seed)], arm, call, chosen)


if __name__ == "__main__":
    main()
