"""A folder of photographs, one folder a class: what is in it, and reading it.

Taught in: chapter 7 (Your own photographs).
"""

import contextlib
import os
import stat
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tl_base import files, photographs
from tl_base.pictures import DataError, Size, sides, wrong
from tl_base.twins import THUMB

TRAIN, TEST, VALIDATION = ("train", "training"), ("test", "testing"), ("val", "valid", "validation")
OF_SYSTEMS = ("thumbs.db", "desktop.ini", "__macosx", "icon\r")  # what Windows and macOS put there
THREADS = 8  # at most: Pillow decodes without Python's lock
LAYOUT = "Put the pictures of each class into a folder of its own: photos/cat/1.jpg, photos/dog/2.jpg."


@dataclass(frozen=True)
class Found:
    """What is in a folder, by name alone.

    Attributes
    ----------
    root : pathlib.Path
    files : list of (str, str, bool)
        Path in the folder (with /), class, and whether it is held out.
    left_out : list of (str, str)
        Path in the folder, and the reason.
    notes : list of str
        What was made of the layout.
    """

    root: Path
    files: list[tuple[str, str, bool]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Read:
    """The photographs of a folder.

    Attributes
    ----------
    images : ndarray, shape (N, height, width, 3), uint8
        Grey ones, if all are, are stored once.
    thumbs : ndarray, shape (N, 32, 32, 3), uint8
    sizes : list of (int, int)
        Width and height in the file.
    files : tuple of N str
        Path in the folder, with /.
    classes : tuple of N str
    held_out : ndarray, shape (N,), bool
    left_out : tuple of (str, str)
        Path in the folder, and the reason.
    damaged : int
        How many of these are pictures that cannot be read.
    notes : tuple of str
        What was made of the layout.
    """

    images: NDArray[np.uint8]
    thumbs: NDArray[np.uint8]
    sizes: list[tuple[int, int]]
    files: tuple[str, ...]
    classes: tuple[str, ...]
    held_out: NDArray[np.bool_]
    left_out: tuple[tuple[str, str], ...]
    damaged: int
    notes: tuple[str, ...]


def shown(name: str) -> str:
    """Return a file's name such that it can be printed, whatever bytes it has.

    Parameters
    ----------
    name : str

    Returns
    -------
    str

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


# What is there


def look(folder: files.PathLike) -> Found:
    """List the photographs of a folder, or of its folders train and test.

    Parameters
    ----------
    folder : path-like
        ``~`` is the user's.

    Returns
    -------
    Found

    Raises
    ------
    DataError
        If it is no folder of folders.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    root = _root(folder)
    result = Found(root)
    inside = _inside(root)
    folders = [entry.name for entry in inside if not _hidden(entry.name) and _kind(entry) == "folder"]
    result.left_out.extend((entry.name, _loose(entry)) for entry in inside if entry.name not in folders)
    roles = {name: role for name in folders if (role := _role(name))}
    if "train" in roles.values() and len(set(roles.values())) > 1:
        _look_into_parts(result, folders, roles)
    else:
        for name in folders:
            _look_into_class(result, name, name, False)
    if not result.files:
        found = f"{len(folders):,} folders and {len(inside) - len(folders):,} other things, and no file in a class"
        raise wrong(f"a folder for each class in {root}", found if inside else "an empty folder", LAYOUT)
    return result


def _root(folder: files.PathLike) -> Path:
    """Return a folder's path; say what is there instead."""
    expected, remedy = "a folder, in it a folder for each class", "Look for the right name of the folder."
    try:
        root = Path(folder).expanduser()
        mode = root.stat().st_mode
    except FileNotFoundError as error:
        raise wrong(expected, f"nothing at {shown(str(root.absolute()))}", remedy) from error
    except (OSError, RuntimeError, TypeError, ValueError) as error:  # no access, no such user, no path at all
        raise wrong(expected, f"{folder!r}: {error}", remedy) from error
    if not stat.S_ISDIR(mode):
        found = f"{files.KINDS.get(stat.S_IFMT(mode), 'a file')} at {shown(str(root))}"
        raise wrong(expected, found, "Unpack it if it is an archive; else name the folder that it is in.")
    return root


def _inside(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        found = f"{error.strerror} for {shown(str(folder))}"
        raise wrong("a folder that can be read", found, "Give yourself the right to read it.") from error


def _kind(entry: "os.DirEntry[str]") -> str:
    """Return "folder", "file", or why an entry is neither."""
    try:
        if entry.is_dir():
            return "folder"
        return "file" if entry.is_file() else "a link to nothing" if entry.is_symlink() else "no file"
    except OSError as error:  # links in a circle
        return f"cannot be read ({error.strerror})"


def _hidden(name: str) -> bool:
    return name.startswith((".", "~$")) or name.casefold() in OF_SYSTEMS


def _loose(entry: "os.DirEntry[str]") -> str:
    return "hidden, or of the system" if _hidden(entry.name) else "beside the folders of the classes"


def _role(name: str) -> str | None:
    plain = name.casefold()
    return next((names[0] for names in (TRAIN, TEST, VALIDATION) if plain in names), None)


def _look_into_parts(result: Found, folders: list[str], roles: dict[str, str]) -> None:
    """List a folder that is divided into train, test and perhaps val."""
    others = [name for name in folders if name not in roles]
    if others:
        found = f"the folders {', '.join(map(shown, others[:5]))} beside {', '.join(map(shown, roles))}"
        remedy = "If these are classes, rename those; else name one folder alone: data.from_folder(folder / 'train')."
        raise wrong("either folders of classes, or train and test with these in them", found, remedy)
    test = "test" if "test" in roles.values() else "val"
    for part, role in roles.items():
        inside = _inside(result.root / part)
        classes = [entry.name for entry in inside if not _hidden(entry.name) and _kind(entry) == "folder"]
        if not classes:
            raise wrong(f"a folder for each class in {result.root / part}", f"{len(inside):,} files", LAYOUT)
        loose = [(f"{part}/{entry.name}", _loose(entry)) for entry in inside if entry.name not in classes]
        result.left_out.extend(loose)
        for name in classes:
            _look_into_class(result, f"{part}/{name}", name, role == test)
    names = {role: shown(part) for part, role in roles.items()}
    result.notes.append(f"The pictures in {names[test]}/ are held out: they are the test set of every split.")
    if test == "test" and "val" in names:
        text = f"Those in {names['val']}/ are drawn from like those in {names['train']}/: "
        result.notes.append(text + "each split takes its own validation images from both.")


def _look_into_class(result: Found, name: str, kind: str, held_out: bool) -> None:
    """List the files in a class's folder and in those below, links followed; no folder is looked into twice."""
    before, waiting = len(result.files), [name]
    seen: set[tuple[int, int]] = set()
    while waiting:
        place = waiting.pop()
        try:
            about = (result.root / place).stat()
            inside = sorted(os.scandir(result.root / place), key=lambda entry: entry.name)
        except OSError as error:
            result.left_out.append((place, f"a folder that cannot be read ({error.strerror})"))
            continue
        if (about.st_dev, about.st_ino) in seen:
            result.left_out.append((place, "a link to a folder that is here already"))
            continue
        seen.add((about.st_dev, about.st_ino))
        below = []
        for entry in inside:
            path, what = f"{place}/{entry.name}", _kind(entry)
            if _hidden(entry.name):
                result.left_out.append((path, "hidden, or of the system"))
            elif what == "folder":
                below.append(path)
            elif what == "file":
                result.files.append((path, kind, held_out))
            else:
                result.left_out.append((path, what))
        waiting.extend(reversed(below))
    if len(result.files) == before:
        result.left_out.append((name, "a folder with no picture: no class"))


# Reading it


def read(found: Found, size: Size, fit: str) -> Read:
    """Read the photographs of a folder, each once, on several threads; with a bar after two seconds.

    Parameters
    ----------
    found : Found
    size : int or (int, int)
    fit : {"crop", "pad", "stretch"}

    Returns
    -------
    Read

    Raises
    ------
    DataError
        If a class has files and none is a picture that can be read, or memory does not hold the result.

    Notes
    -----
    Memory: the result and what the threads have in hand. Taught in: chapter 7 (Your own photographs).
    """
    (height, width), count = sides(size), len(found.files)
    photographs.check_fit(fit)
    try:
        images = np.empty((count, height, width, 3), np.uint8)  # pages that nobody writes take no memory
        thumbs = np.empty((count, THUMB, THUMB, 3), np.uint8)
    except MemoryError as error:
        found_are = f"{count:,} images of {height * width * 3:,} bytes"
        raise wrong("images that memory can hold", found_are, "Choose a smaller size, or fewer.") from error
    kept: list[tuple[str, str, bool]] = []
    sizes, left_out, damaged, grey = [], list(found.left_out), [], True
    with contextlib.closing(_results(found, height, width, fit)) as results:
        for one, result in zip(found.files, results, strict=True):
            if isinstance(result, DataError):
                left_out.append((one[0], str(result)))
                damaged.extend([] if isinstance(result, photographs.NoPictureError) else [one])
                continue
            images[len(kept)], thumbs[len(kept)] = result.pixels, result.thumb
            grey = grey and result.pixels.shape[2] == 1
            kept.append(one)
            sizes.append(result.size)
    _check_read(found, kept, damaged, left_out)
    names, classes, held_out = zip(*kept, strict=True)
    images = images[: len(kept)]
    images = np.broadcast_to(images[..., :1].copy(), images.shape) if grey else images
    return Read(
        images, thumbs[: len(kept)], sizes, names, classes, np.array(held_out), tuple(sorted(left_out)), len(damaged),
        tuple(found.notes),
    )  # fmt: skip


def _results(found: Found, height: int, width: int, fit: str) -> Generator[photographs.Photograph | DataError]:
    """Yield what came of each file, in their order."""

    def one(path: str) -> photographs.Photograph | DataError:
        try:
            return photographs.read(found.root / path, height, width, fit)
        except DataError as error:
            return error

    paths = [path for path, _, _ in found.files]
    threads = ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1))
    try:
        with photographs.reading():
            yield from tqdm(threads.map(one, paths), "photographs", len(paths), leave=False, delay=2, unit="file")
    finally:  # also where someone interrupts
        threads.shutdown(wait=True, cancel_futures=True)


def _check_read(
    found: Found,
    kept: list[tuple[str, str, bool]],
    damaged: list[tuple[str, str, bool]],
    left_out: list[tuple[str, str]],
) -> None:
    """Raise where nothing, or nothing of a class, could be read; a class without a picture is left out."""
    read_classes, reasons = {kind for _, kind, _ in kept}, dict(left_out)
    for path, kind, _ in damaged:
        if kind not in read_classes:
            remedy = "Save them as JPEG or PNG, or take the folder away."
            first = f"none; the first, {shown(path)}, is left out as {reasons[path]}"
            raise wrong(f"pictures that can be read in the class {shown(kind)}", first, remedy)
    if not kept:
        first = f"{len(found.files):,} files, the first: {shown(found.files[0][0])}, {reasons[found.files[0][0]]}"
        raise wrong(f"pictures in {found.root}", first, LAYOUT)
    for kind in sorted({kind for _, kind, _ in found.files} - read_classes):
        left_out.append((kind, "a folder with no picture: no class"))
