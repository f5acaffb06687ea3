"""Reading npz files that anybody may have written: damage, pickles and arrays that are too large are refused.

Taught in: chapter 4 (Worked example).
"""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from tl_base.pictures import DataError, wrong

Header: TypeAlias = tuple[tuple[int, ...], np.dtype]  # shape and dtype of an array


def read(
    path: Path, keys: Sequence[str], check: Callable[[dict[str, Header]], None], remedy: str
) -> dict[str, np.ndarray]:
    """Return arrays of a file; their headers are judged before memory is claimed for them.

    Parameters
    ----------
    path : pathlib.Path
    keys : sequence of str
        Names of the arrays.
    check : callable
        Takes the headers, (shape, dtype) by name, and raises a `DataError` for what it does not want.
    remedy : str
        What to do with a file that is broken.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    DataError
        If this is no such file, it is damaged, an array is missing, or `check` raises one.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    try:
        if not path.is_file():
            raise wrong(f"a file in {path}", "a folder or a broken link", remedy)
        with path.open("rb") as stream:
            if not zipfile.is_zipfile(stream):
                raise wrong(f"an npz file (a zip of arrays) in {path}", "no zip, or one that is cut off", remedy)
            with np.load(stream, allow_pickle=False) as file:
                missing = [key for key in keys if key not in file.files]
                if missing:
                    raise wrong(f"the arrays {', '.join(keys)} in {path}", f"no {', '.join(missing)}", remedy)
                check({key: _header(file.zip, key) for key in keys})
                return {key: file[key] for key in keys}
    except DataError:
        raise
    except Exception as error:  # damage makes zipfile, zlib and numpy raise errors of a dozen classes
        raise wrong(f"a readable npz file in {path}", f"{type(error).__name__}: {error}", remedy) from error


def _header(archive: zipfile.ZipFile, key: str) -> Header:
    """Return the shape and dtype of an array without reading its values."""
    with archive.open(f"{key}.npy") as stream:
        if np.lib.format.read_magic(stream) != (1, 0):  # all that arrays of numbers need; its header is small
            raise ValueError(f"{key} has an unusual header")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    return shape, dtype
