"""Writing records: rows are added at the end of a file, each batch of them in one write.

Nothing else of a file is ever written, so that an interruption can at worst leave a line without its end, which the
next `open_log` drops. How a file looks, and reading it, is `tl_base.ledgers`. In a folder each experiment has its file.
Taught in: chapter 4 (Worked example).
"""

import contextlib
import itertools
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import filelock
import pandas as pd

from tl_base import files, ledgers
from tl_base.files import PathLike
from tl_base.ledgers import RecordsError
from tl_helpers import records
from tl_helpers.records import COLUMNS, LEDGER


def so_far(path: PathLike) -> pd.DataFrame:
    """Return the records that a runner would find: as `records.load`, and none where there is no file yet.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    RecordsError
        As for `records.load`, but if nothing is there.
    """
    nothing = not os.path.lexists(path) or (Path(path).is_dir() and not ledgers.files_at(Path(path)))
    return pd.DataFrame(columns=COLUMNS) if nothing else records.load(path)


@contextlib.contextmanager
def open_log(path: PathLike, retry_failed: bool = False) -> Iterator["Log"]:
    """Open records to add rows: new ones are begun, interrupted ones mended, damaged ones refused.

    Parameters
    ----------
    path : path-like
        A file, or a folder with a file for each experiment; where nothing is yet, a name without an ending is that of a
        folder.
    retry_failed : bool
        Take the rows of failed runs out first, so that these are done again.

    Yields
    ------
    Log

    Raises
    ------
    RecordsError
        If a file is damaged, of another version, cannot be written, is no regular file, or is in a folder that is
        not there; or if another runner writes to it, or to the folder.
    """
    path = ledgers.place(path)
    with contextlib.ExitStack() as held:
        held.enter_context(_alone(path))
        if ledgers.is_folder(path):
            _make(path)
            for file in ledgers.files_at(path):
                held.enter_context(_alone(ledgers.place(file)))
        for file in ledgers.files_at(path):
            _mend(file)
        table = so_far(path)
        if retry_failed and (table.error != "").any():
            _take_out(path, frozenset(table.key[table.error != ""]))
            table = table[table.error == ""]
        yield Log(path, table, held)


class Log:
    """Records that rows can be added to; `open_log` makes it.

    Attributes
    ----------
    path : pathlib.Path
        Of the file or folder itself, where a link was given.
    table : pandas.DataFrame
        The records that stood there when it was opened.
    keys : frozenset of str
        Of their runs.
    """

    def __init__(self, path: Path, table: pd.DataFrame, held: contextlib.ExitStack) -> None:
        self.path, self.table, self.keys = path, table, frozenset(table.key)
        self._held, self._files = held, set(ledgers.files_at(path))  # locks, and the files that they keep

    def append(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Add rows: all those of an experiment are in its file and on the disk when this returns, or none.

        Parameters
        ----------
        rows : sequence of mapping
            With the keys of `records.COLUMNS`.

        Raises
        ------
        RecordsError
            If they cannot be written, e.g. because the disk is full; the file is then as it was.
        """
        for file, some in itertools.groupby(rows, self._file_of):
            _append(file, list(some))

    def _file_of(self, row: Mapping[str, object]) -> Path:
        """Return the file for a row, which in a folder may have to be begun."""
        if not self.path.is_dir():
            return self.path
        file = self.path / ledgers.file_of(str(row[LEDGER.divided_by]))
        if file not in self._files:
            self._held.enter_context(_alone(file))
            if os.path.lexists(file):
                raise RecordsError(f"{file}: another runner has begun it in the meantime. Give the same command again.")
            _replace(file, LEDGER.header)
            self._files.add(file)
        return file


def _append(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    text = "".join(LEDGER.line_of(row) for row in rows).encode()
    try:
        with path.open("ab", buffering=0) as file:
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
            f"{path}: {len(rows)} rows cannot be written ({error}). All rows before are safe. Make room, and "
            "give the same command again."
        ) from error


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


def _make(folder: Path) -> None:
    """Make a folder for records where none is yet; the one around it is there."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise RecordsError(f"{folder} cannot be made ({error}). Name a folder in one of yours.") from error


def _mend(path: Path) -> None:
    """Begin a new file, or drop a last line without its end."""
    content = path.read_bytes() if path.is_file() else b""
    if LEDGER.header.encode().startswith(content):  # new, or interrupted before the first row
        _replace(path, LEDGER.header)
    elif content.startswith(LEDGER.header.encode()) and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rindex(b"\n") + 1)
        print(f"{path}: dropped a half-written last line; its run will be done again.", file=sys.stderr)


def _take_out(path: Path, keys: Collection[str]) -> None:
    """Take the rows with these keys out of the files in which they stand."""
    for file in ledgers.files_at(path):
        lines = LEDGER.lines(file)
        kept = [line for line in lines if line.partition(",")[0] not in keys]  # the key comes first
        if len(kept) < len(lines):
            _replace(file, LEDGER.header + "".join(f"{line}\n" for line in kept))


def _replace(path: Path, text: str) -> None:
    """Write a whole file, atomically: it is the old one or the new one."""
    try:
        files.write(path, text)
    except files.FileError as error:
        raise RecordsError(f"{error} Make room, or give another file.") from error
