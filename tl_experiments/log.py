"""The file of records: one line a run, added in one write, checked when it is read.

The first line names the schema version, the second the columns. The last column of each row is the CRC-32 of what
stands before it: a row that was cut off or altered is noticed. Only the end of the file is ever written, so that an
interruption can at worst leave a line without its end, which the next `open_log` drops.
Taught in: chapter 4 (Worked example).
"""

import contextlib
import csv
import io
import json
import os
import sys
import zlib
from importlib import resources

import pandas as pd

from tl_base import files
from tl_experiments.grid import ExperimentError

try:
    import fcntl
except ImportError:  # Windows: two runners on one file are not noticed there
    fcntl = None

SCHEMA_VERSION = 4
COLUMNS = [
    "key",
    "experiment",
    "arm",
    "source",
    "target",
    "method",
    "initialisation",
    "layer",
    "head",
    "layers_copied",
    "layers_frozen",
    "labels_per_class",
    "learning_rate",
    "batch_size",
    "steps",
    "seed",
    "settings",
    "label_noise",
    "validation_accuracy",
    "test_accuracy",
    "trainable_parameters",
    "seconds",
    "history",
    "measures",
    "fingerprints",
    "error",
    "date",
    "machine",
]
TEXT = {"key", "experiment", "arm", "source", "target", "method", "initialisation", "layer", "head", "settings"}
TEXT |= {"history", "measures", "fingerprints", "error", "date", "machine"}
HEADER = f"# schema {SCHEMA_VERSION}\n{','.join([*COLUMNS, 'check'])}\n"


def records(path=None):
    """Read the recorded runs.

    Parameters
    ----------
    path : path-like, optional
        By default the file that ships with the package.

    Returns
    -------
    pandas.DataFrame
        One row a run, with `COLUMNS`. ``labels_per_class`` is missing for a full set; ``test_accuracy`` where the test
        set was not scored; both accuracies where the run failed, and then ``error`` says why. ``seconds`` is the wall
        time of its training, and of what was computed of its frozen part; runs that were done together share theirs
        equally. ``head`` is ``""`` for a linear head and ``"512"`` for one hidden layer. ``settings`` and ``measures``
        are JSON; the latter maps each name of `Grid.measures` to what was measured. ``fingerprints`` is JSON too: what
        the names of source and target, of a teacher and of rules, stood for when the run was done.

    Raises
    ------
    ExperimentError
        If the file is missing, no regular file, of another schema version, or has damaged rows: all is read, or
        nothing.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    path = _place(path or str(resources.files("tl_helpers") / "assets" / "records.csv"))
    lines = _sound_lines(path)
    table = pd.read_csv(
        io.StringIO("\n".join([HEADER.splitlines()[1], *lines])),
        dtype=dict.fromkeys(TEXT, str) | {"labels_per_class": "Int64"},
        keep_default_na=False,
        na_values={name: [""] for name in COLUMNS if name not in TEXT},
    ).drop(columns="check")
    twice = table.key[table.key.duplicated()]
    if len(twice):
        raise ExperimentError(f"{path}: {len(twice)} runs stand there twice, the first is {twice.iloc[0]}. {_REMEDY}")
    return table


def history(row):
    """Return the learning curve of a recorded run.

    Parameters
    ----------
    row : mapping
        A row of `records`.

    Returns
    -------
    dict of str to list
        ``steps``, ``loss`` and ``validation_accuracy``, as in `training.History`; empty lists where none was kept.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    return {"steps": [], "loss": [], "validation_accuracy": []} | json.loads(row["history"] or "{}")


@contextlib.contextmanager
def open_log(path, retry_failed=False):
    """Open a file of records to add rows: a new one is begun, an interrupted one mended, a damaged one refused.

    Parameters
    ----------
    path : path-like
    retry_failed : bool
        Take the rows of failed runs out first, so that these are done again.

    Yields
    ------
    Log

    Raises
    ------
    ExperimentError
        If the file is damaged, of another version, cannot be written, is no regular file, or is in a folder that is
        not there; or if another runner writes to it.
    """
    path = _place(path)
    with _alone(path):
        _mend(path)
        table = records(path)
        if retry_failed and (table.error != "").any():
            kept = [line for line, error in zip(_sound_lines(path), table.error, strict=True) if not error]
            _replace(path, HEADER + "".join(f"{line}\n" for line in kept))
            table = table[table.error == ""]
        yield Log(path, table)


class Log:
    """A file of records that rows can be added to; `open_log` makes it.

    Attributes
    ----------
    path : pathlib.Path
        Of the file itself, where a link was given.
    table : pandas.DataFrame
        The records that stood there when it was opened.
    keys : frozenset of str
        Of their runs.
    """

    def __init__(self, path, table):
        self.path, self.table, self.keys = path, table, frozenset(table.key)

    def append(self, rows):
        """Add rows: all of them are in the file and on the disk when this returns, or none.

        Parameters
        ----------
        rows : sequence of mapping
            With the keys of `COLUMNS`.

        Raises
        ------
        ExperimentError
            If they cannot be written, e.g. because the disk is full; the file is then as it was.
        """
        text = "".join(line_of(row) for row in rows).encode()
        try:
            with self.path.open("ab", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                try:
                    written = file.write(text)
                    if written < len(text):
                        raise OSError(f"only {written} of {len(text)} bytes fitted")
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(size)
                    raise
        except OSError as error:
            raise ExperimentError(
                f"{self.path}: {len(rows)} rows cannot be written ({error}). All rows before are safe. Make room, and "
                "give the same command again."
            ) from error


def line_of(row):
    """Write one record as a line of the file, with its checksum and its end.

    Parameters
    ----------
    row : mapping

    Returns
    -------
    str
    """
    values = ["" if row[name] is None else " ".join(str(row[name]).split()) for name in COLUMNS]
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return f"{text.getvalue()},{zlib.crc32(text.getvalue().encode()):08x}\n"


_REMEDY = "Restore the file from git or a copy, or move it away: the runner then computes its rows again."


def _place(path):
    """Return where a file of records is, or would be."""
    try:
        return files.regular(path)
    except files.FileError as error:
        raise ExperimentError(f"Records: {error}") from error


def _sound_lines(path):
    """Return the lines of all rows, once each of them has proved sound."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise ExperimentError(f"{path} is not there. `python -m tl_experiments` computes records.") from None
    except OSError as error:
        raise ExperimentError(f"{path} cannot be read ({error}).") from error
    except UnicodeDecodeError as error:
        raise ExperimentError(f"{path}: damaged, not text ({error}). {_REMEDY}") from error
    version = text.partition("\n")[0]
    if version != HEADER.partition("\n")[0]:
        raise ExperimentError(
            f"{path}: expected '# schema {SCHEMA_VERSION}' in line 1, found {version[:60]!r}. {_REMEDY}"
        )
    if not text.startswith(HEADER):
        raise ExperimentError(f"{path}: other columns in line 2 than {', '.join(COLUMNS)}. {_REMEDY}")
    *lines, rest = text.removeprefix(HEADER).split("\n")
    if rest:
        raise ExperimentError(f"{path}: the last line has no end: a runner was interrupted. Start it again.")
    for number, line in enumerate(lines, 3):
        body, _, check = line.rpartition(",")
        if check != f"{zlib.crc32(body.encode()):08x}":
            raise ExperimentError(f"{path}: line {number} is damaged (its checksum is wrong). {_REMEDY}")
    return lines


@contextlib.contextmanager
def _alone(path):
    """Keep other runners away from a file. The lock is the operating system's: it ends with its process, however."""
    try:
        lock = path.with_name(f".{path.name}.lock").open("w")
    except OSError as error:
        raise ExperimentError(f"{path} cannot be written ({error}). Give a file in a folder of yours.") from error
    with lock:
        try:
            if fcntl:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExperimentError(f"Another runner writes to {path}. Let it finish, or give another file.") from None
        yield


def _mend(path):
    """Begin a new file, or drop a last line without its end."""
    content = path.read_bytes() if path.is_file() else b""
    if HEADER.encode().startswith(content):  # new, or interrupted before the first row
        _replace(path, HEADER)
    elif content.startswith(HEADER.encode()) and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rindex(b"\n") + 1)
        print(f"{path}: dropped a half-written last line; its run will be done again.", file=sys.stderr)


def _replace(path, text):
    """Write a whole file, atomically: it is the old one or the new one."""
    try:
        files.write(path, text)
    except files.FileError as error:
        raise ExperimentError(f"{error} Make room, or give another file.") from error
