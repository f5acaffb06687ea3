"""Writing files: each is the old one or the whole new one, and nothing but a regular file is ever replaced."""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

PathLike = str | os.PathLike[str]

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


class FileError(OSError):
    """A path cannot be read or written as a file. The message says what was expected, what was found, what to do."""


def regular(path: PathLike) -> Path:
    """Return where a file is or would be, links followed: only a regular file is read, written or replaced.

    Parameters
    ----------
    path : path-like
        A regular file, a link to one, or a name that is still free in a folder that is there.

    Returns
    -------
    pathlib.Path
        Without links, so that what is written beside it stands beside the file and the links stay links.

    Raises
    ------
    FileError
        If a folder, a device, a pipe, a socket or a link to nothing has the name, or its folder is not there.
    """
    path = Path(path)
    try:
        target = Path(os.path.realpath(path))
        mode = target.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise FileError(
                f"{path} is a link to {target}, where nothing is. Remove the link, or name a file."
            ) from None
        if not target.parent.is_dir():
            raise FileError(f"{path}: there is no folder {target.parent}. Make it, or name another file.") from None
        return target
    except OSError as error:  # e.g. a circle of links, a file in the place of a folder, a name too long
        raise FileError(f"{path} cannot be a file here ({error}). Name another file.") from error
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "no regular file")
        raise FileError(f"{path} is {kind}; expected a file. Name a file, or a name that is still free.")
    return target


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[BinaryIO]:
    """Write a whole file, atomically: it takes its place when the block ends, and not at all if that fails.

    Parameters
    ----------
    path : path-like
        As for `regular`. A link stays a link: the file that it leads to is replaced, and keeps its permissions.

    Yields
    ------
    binary file
        To be written.

    Raises
    ------
    FileError
        As for `regular`, or if it cannot be written, e.g. because the disk is full; the file is then as it was.
    """
    path = regular(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, part)
        part.replace(path)
    except OSError as error:
        raise FileError(f"{path} cannot be written ({error}). What was there before is still there.") from error
    finally:
        if os.path.lexists(part):
            part.unlink()


@contextlib.contextmanager
def replacing_folder(path: PathLike, mark: str) -> Iterator[Path]:
    """Write a whole folder: it takes its place when the block ends, and not at all if that fails.

    Parameters
    ----------
    path : path-like
        A folder that holds `mark`, an empty one, or a name that is still free in a folder that is there.
    mark : str
        A file inside by which a folder is known that this has written: no other is ever replaced.

    Yields
    ------
    pathlib.Path
        A new folder beside it, to be filled.

    Raises
    ------
    FileError
        If something else has the name, its folder is not there, or it cannot be written; it is then as it was.
    """
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileError(f"{path}: there is no folder {path.parent}. Make it, or name another one.")
    if os.path.lexists(path) and not path.is_dir():
        raise FileError(f"{path} is a file; expected a folder. Name a folder, or a name that is still free.")
    if path.is_dir() and any(path.iterdir()) and not (path / mark).is_file():
        raise FileError(f"{path} is a folder that holds something else. Name one that is still free.")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as beside:
            new, old = Path(beside) / "new", Path(beside) / "old"
            new.mkdir()
            yield new
            if path.exists():
                path.rename(old)
            try:
                new.rename(path)
            except OSError:
                if old.exists():
                    old.rename(path)
                raise
    except OSError as error:
        raise FileError(f"{path} cannot be written ({error}). What was there before is still there.") from error


def write(path: PathLike, text: str) -> None:
    """Write a text file in UTF-8, atomically, with the line ends that stand in the text.

    Parameters
    ----------
    path, text
        A path as for `replacing`, and what to write.

    Raises
    ------
    FileError
        As for `replacing`.
    """
    with replacing(path) as file:
        file.write(text.encode())
