"""Writing the file of records: rows are added at its end, each batch of them in one write.

Nothing else of the file is ever written, so that an interruption can at worst leave a line without its end, which the
next `open_log` drops. How the file looks, and reading it, is `tl_helpers.records`.
Taught in: chapter 4 (Worked example).
"""

import contextlib
import csv
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import filelock
import pandas as pd

from tl_base import files
from tl_helpers import records
from tl_helpers.records import COLUMNS, HEADER, RecordsError


@contextlib.contextmanager
def open_log(path: str | os.PathLike[str], retry_failed: bool = False) -> Iterator["Log"]:
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
    RecordsError
        If the file is damaged, of another version, cannot be written, is no regular file, or is in a folder that is
        not there; or if another runner writes to it.
    """
    path = records.place(path)
    with _alone(path):
        _mend(path)
        table = records.load(path)
        if retry_failed and (table.error != "").any():
            lines = zip(records.sound_lines(path), table.error, strict=True)
            _replace(path, HEADER + "".join(f"{line}\n" for line, error in lines if not error))
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

    def __init__(self, path: Path, table: pd.DataFrame) -> None:
        self.path, self.table, self.keys = path, table, frozenset(table.key)

    def append(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Add rows: all of them are in the file and on the disk when this returns, or none.

        Parameters
        ----------
        rows : sequence of mapping
            With the keys of `records.COLUMNS`.

        Raises
        ------
        RecordsError
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
            raise RecordsError(
                f"{self.path}: {len(rows)} rows cannot be written ({error}). All rows before are safe. Make room, and "
                "give the same command again."
            ) from error


def line_of(row: Mapping[str, object]) -> str:
    """Write one record as a line of the file, with its checksum and its end."""
    values = ["" if row[name] is None else " ".join(str(row[name]).split()) for name in COLUMNS]
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return f"{text.getvalue()},{records.checksum(text.getvalue())}\n"


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other runners away from a file. The lock is the operating system's: it ends with its process, however."""
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    try:
        held = lock.acquire()
    except filelock.Timeout:
        raise RecordsError(f"Another runner writes to {path}. Let it finish, or give another file.") from None
    except OSError as error:
        raise RecordsError(f"{path} cannot be written ({error}). Give a file in a folder of yours.") from error
    with held:
        yield


def _mend(path: Path) -> None:
    """Begin a new file, or drop a last line without its end."""
    content = path.read_bytes() if path.is_file() else b""
    if HEADER.encode().startswith(content):  # new, or interrupted before the first row
        _replace(path, HEADER)
    elif content.startswith(HEADER.encode()) and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rindex(b"\n") + 1)
        print(f"{path}: dropped a half-written last line; its run will be done again.", file=sys.stderr)


def _replace(path: Path, text: str) -> None:
    """Write a whole file, atomically: it is the old one or the new one."""
    try:
        files.write(path, text)
    except files.FileError as error:
        raise RecordsError(f"{error} Make room, or give another file.") from error
