"""Files of records: rows are added and never edited, and each proves that it is whole.

The first line of a file names the version of its columns, the second the columns. The last column of each row is the
CRC-32 of what stands before it: a row that was cut off or altered is noticed. Records stand in one file, or in a folder
in which one column says for each row which file it belongs to.
"""

import csv
import io
import itertools
import os
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd

from tl_base import files
from tl_base.files import PathLike

REMEDY = "Restore the file from git or a copy, or move it away: the runner then computes its rows again."


class RecordsError(ValueError):
    """A file of records is not what was expected, or does not hold what is asked of it."""


@dataclass(frozen=True)
class Ledger:
    """How files of records look.

    Attributes
    ----------
    version : int
        Of the columns.
    columns : sequence of str
        The first is a key that no two rows share.
    text : collection of str
        The columns that hold text; all others hold numbers, missing ones too.
    whole : collection of str
        The columns with whole numbers of which some are missing.
    divided_by : str
        The column of text that says in which file of a folder a row stands.
    made_by : str
        The command that computes records.
    """

    version: int
    columns: Sequence[str]
    text: Collection[str]
    whole: Collection[str]
    divided_by: str
    made_by: str

    @property
    def header(self) -> str:
        """The first two lines of a file."""
        return f"# schema {self.version}\n{','.join([*self.columns, 'check'])}\n"

    def read(self, path: PathLike) -> pd.DataFrame:
        """Read a file of records, or all files of a folder in the order of their names: all is read, or nothing.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        pandas.DataFrame
            One row a record, with the ledger's columns.

        Raises
        ------
        RecordsError
            If nothing is there; as for `lines`; if a row stands there twice, or in another file than its own.
        """
        path = place(path)
        found = {file: self.lines(file) for file in files_at(path)}
        if not found:
            raise RecordsError(f"{path} holds no file of records. Name another one; `{self.made_by}` computes records.")
        table = pd.read_csv(
            io.StringIO("\n".join([self.header.splitlines()[1], *itertools.chain(*found.values())])),
            dtype=dict.fromkeys(self.text, str) | dict.fromkeys(self.whole, "Int64"),
            keep_default_na=False,
            na_values={name: [""] for name in self.columns if name not in self.text},
        ).drop(columns="check")
        keys = table[self.columns[0]]
        twice = keys[keys.duplicated()]
        if len(twice):
            raise RecordsError(f"{path}: {len(twice)} runs stand there twice, the first is {twice.iloc[0]}. {REMEDY}")
        if path.is_dir():
            self._check_places(table, np.repeat([file.name for file in found], [len(rows) for rows in found.values()]))
        return table

    def _check_places(self, table: pd.DataFrame, names: np.ndarray) -> None:
        own = table[self.divided_by].map(file_of)
        strange = np.flatnonzero(own != names)
        if len(strange):
            name, belongs = names[strange[0]], own.iloc[strange[0]]
            raise RecordsError(f"{name}: {len(strange)} runs belong elsewhere, the first into {belongs}. {REMEDY}")

    def lines(self, path: Path) -> list[str]:
        """Return the lines of all rows of one file, once each of them has proved sound.

        Raises
        ------
        RecordsError
            If the file is missing, no regular file, of another version, or has damaged rows.
        """
        try:
            text = _regular(path).read_bytes().decode()
        except FileNotFoundError:
            raise RecordsError(f"{path} is not there. `{self.made_by}` computes records.") from None
        except OSError as error:
            raise RecordsError(f"{path} cannot be read ({error}).") from error
        except UnicodeDecodeError as error:
            raise RecordsError(f"{path}: damaged, not text ({error}). {REMEDY}") from error
        version, expected = text.partition("\n")[0], self.header.partition("\n")[0]
        if version != expected:
            raise RecordsError(f"{path}: expected {expected!r} in line 1, found {version[:60]!r}. {REMEDY}")
        if not text.startswith(self.header):
            raise RecordsError(f"{path}: other columns in line 2 than {', '.join(self.columns)}. {REMEDY}")
        *lines, rest = text.removeprefix(self.header).split("\n")
        if rest:
            raise RecordsError(f"{path}: the last line has no end: a runner was interrupted. Start it again.")
        for number, line in enumerate(lines, 3):
            body, _, check = line.rpartition(",")
            if check != checksum(body):
                raise RecordsError(f"{path}: line {number} is damaged (its checksum is wrong). {REMEDY}")
        return lines

    def line_of(self, row: Mapping[str, object]) -> str:
        """Write one record as a line of a file, with its checksum and its end."""
        values = ["" if row[name] is None else " ".join(str(row[name]).split()) for name in self.columns]
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(values)
        return f"{text.getvalue()},{checksum(text.getvalue())}\n"


def checksum(line: str) -> str:
    """Return what the last column of a row says: the CRC-32 of the columns before it, in hexadecimal digits."""
    return f"{zlib.crc32(line.encode()):08x}"


def place(path: PathLike) -> Path:
    """Return where records are or would be, links followed: a folder, or a file as `tl_base.files.regular` finds it.

    A name that is still free is that of a file if it has an ending, such as ``.csv``, and else that of a folder.

    Raises
    ------
    RecordsError
        If it is neither, or its folder is not there.
    """
    real = Path(os.path.realpath(path))
    return real if real.is_dir() else _regular(path)


def is_folder(path: Path) -> bool:
    """Tell whether records stand, or would stand, in a folder of that name; `path` is as `place` returns it."""
    return path.is_dir() or not (path.suffix or path.exists())


def files_at(path: Path) -> list[Path]:
    """Return the files of a folder of records in the order of their names, or the one file that `path` is."""
    if not is_folder(path):
        return [path]
    return sorted(file for file in path.glob("*.csv") if not file.name.startswith("."))


def file_of(name: str) -> str:
    """Return the name of the file of a folder in which the rows of that name stand: ``"A b"`` is in ``a-b.csv``."""
    return f"{quote('-'.join(name.lower().split()), safe='') or 'unnamed'}.csv"


def _regular(path: PathLike) -> Path:
    try:
        return files.regular(path)
    except files.FileError as error:
        raise RecordsError(f"Records: {error}") from error
