"""What stands behind the records: how many runs, on which data, machines and versions, and whether they repeat.

Taught in: What the papers claim, and what shows here.
"""

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd

from tl_base import files
from tl_experiments import fingerprints
from tl_experiments.fingerprints import sha256_of
from tl_experiments.grid import Run
from tl_experiments.names import ExperimentError
from tl_experiments.recipes import PHOTOGRAPHS
from tl_experiments.runner import Row, Where, distribute, do, rows_in
from tl_helpers import data, records

PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn")
TOLERANCE = 0.02  # of accuracy: another number of threads rounds otherwise, and training enlarges it


def card(path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Sum up records.

    Parameters
    ----------
    path : path-like, optional
        As for `records.load`; by default the records that ship with the package.

    Returns
    -------
    dict
        ``command``, ``schema``, ``runs``, ``hours`` (of training; scoring and starting come on top), ``dates``,
        ``machines``, ``experiments`` (for each its runs, hours and seeds), ``versions`` (of the packages that are
        installed now) and ``data`` (SHA-256 of images and labels of each target that is here).

    Raises
    ------
    RecordsError
        As for `records.load`.

    Notes
    -----
    Taught in: What the papers claim, and what shows here.
    """
    table = records.load(path)
    parts = {
        name: {"runs": len(rows), "hours": _hours(rows), "seeds": sorted({int(seed) for seed in rows.seed})}
        for name, rows in table.groupby("experiment", sort=False)
    }
    return {
        "command": "make records",
        "schema": records.SCHEMA_VERSION,
        "runs": len(table),
        "hours": _hours(table),
        "dates": [table.date.min(), table.date.max()],
        "machines": sorted(set(table.machine)),
        "experiments": parts,
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES},
        "data": {target.name: sha256_of(target) for target in _targets(table)},
    }


def write_card(path: str | os.PathLike[str]) -> None:
    """Write the card of records beside their file or folder, atomically.

    The folder ``records`` has ``records.json``, and so has the file ``records.csv``.
    """
    path = Path(path).absolute()
    target = path.with_suffix(".json") if path.suffix != ".json" else path.with_name(f"{path.name}.card.json")
    if path.is_dir():
        target = path.with_name(f"{path.name}.json")
    files.write(target, json.dumps(card(path), indent=1) + "\n")


def repeat(table: pd.DataFrame, count: int, *, seed: int = 0, **where: Unpack[Where]) -> pd.DataFrame:
    """Do some recorded runs again and set the new accuracies beside the old ones.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records.load` returns it.
    count : int
        So many rows, drawn by `seed` from those without an error.
    seed : int
    **where : Where
        As for `runner.run`.

    Returns
    -------
    pandas.DataFrame
        ``experiment``, ``target``, ``arm``, ``labels_per_class``, ``seed``, ``recorded``, ``again`` and ``difference``:
        test accuracy, or validation accuracy where the test set was not scored.

    Raises
    ------
    ExperimentError
        If a name stands for other data, another network or other rules here than when the records were made; or if
        there is no record without an error.

    Notes
    -----
    A difference above `TOLERANCE` says that the records do not come from this code.

    Taught in: What the papers claim, and what shows here.
    """
    sound = table[table.error == ""]
    if sound.empty:
        raise ExperimentError("There is no record to do again: the table has no run without an error.")
    drawn = np.random.default_rng(seed).choice(len(sound), min(count, len(sound)), replace=False)
    recorded = {Run.of(row).key: row for row in rows_in(sound.iloc[drawn])}
    again = distribute(do, [(Run.of(row),) for row in recorded.values()], **where)
    return pd.DataFrame([_beside(recorded[new["key"]], new) for (new,) in again])


def _beside(old: Row, new: Row) -> dict[str, Any]:
    """Return what tells a record, its accuracy, and that of the same run done again."""
    is_now, was = json.loads(new["fingerprints"]), json.loads(old["fingerprints"])
    if is_now.keys() != was.keys() or not all(fingerprints.agree(is_now[role], was[role]) for role in was):
        raise ExperimentError(
            f"{old['source']} → {old['target']}: what these names stand for here is not what the record was made with: "
            f"{new['fingerprints']} in the place of {old['fingerprints']}. Repeat it with the data of the record."
        )
    which: str = "validation_accuracy" if pd.isna(old["test_accuracy"]) else "test_accuracy"
    again = np.nan if new["error"] else new[which]
    names = {name: old[name] for name in ("experiment", "target", "arm", "labels_per_class", "seed")}
    return names | {"recorded": old[which], "again": again, "difference": again - old[which]}


def _targets(table: pd.DataFrame) -> list[data.Dataset]:
    """Load the data sets of the runs' targets, as far as they are here."""
    names = {target.partition("-")[0] for target in table.target}
    known = names & {*data.KNOWN, *PHOTOGRAPHS}
    loaded = [data.load(name, required=False, complete=name in PHOTOGRAPHS) for name in sorted(known)]
    return [dataset for dataset in (*loaded, data.digits()) if dataset is not None and dataset.name in names]


def _hours(rows: pd.DataFrame) -> float:
    return round(float(rows.seconds.sum()) / 3600, 2)
