"""What the frozen part of a network makes of images: computed once an image, and kept, in memory or in files.

A row is kept under the digest of its image, in a block under the digest of all that decides its values. What is read is
checked, row by row: a file that is cut short, damaged or not ours counts as missing, and its rows are computed again.
Taught in: chapter 7 (Your own photographs).
"""

import contextlib
import contextvars
import functools
import hashlib
import itertools
import json
import math
import os
import tempfile
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from tl_base import files

Floats = NDArray[np.float32]
Block = tuple[dict[bytes, int], Floats]  # where a row is, and the rows
Compute = Callable[[np.ndarray], Floats]

MEMORY = 64 * 2**20  # bytes of rows in memory; what was not used for longest goes first
DISK = 2 * 2**30  # bytes of files, in the same order
PATIENCE = 0.3  # seconds: what was computed sooner goes into no file
READING = 100e6  # bytes a second: neither does what would hardly be read sooner than it was computed
BLOCK = 2048  # images that are computed before their rows are written: so many an interruption may lose
FOLDER, SUFFIX, MAGIC = "tl_helpers", ".kept", b"TLKEPT 1"
WORD = 16  # bytes of a digest
_memory: OrderedDict[str, Block] = OrderedDict()
_told: set[Path] = set()
_lock = threading.RLock()
_on = contextvars.ContextVar("on", default=True)


@contextlib.contextmanager
def off() -> Iterator[None]:
    """Keep nothing, and use nothing that was kept, within the block: what is measured there is done there."""
    token = _on.set(False)
    try:
        yield
    finally:
        _on.reset(token)


def forget() -> None:
    """Drop what is in memory; the files stay."""
    with _lock:
        _memory.clear()


def folder() -> Path | None:
    """Return the folder of the files: ``TL_CACHE_DIR``, or the user's cache folder; None where nothing is to be kept.

    Returns
    -------
    pathlib.Path or None
        None for an empty ``TL_CACHE_DIR``, and within `off`. Where nobody has a home, a folder that lasts as long as
        the process.
    """
    named = os.environ.get("TL_CACHE_DIR")
    if not _on.get() or named == "":
        return None
    if named:
        return Path(named).expanduser() / FOLDER
    own = platformdirs.user_cache_path(FOLDER)
    return own if own.is_absolute() else Path(_temporary().name)


@functools.cache
def _temporary() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix=f"{FOLDER}-", ignore_cleanup_errors=True)


def digest(parts: Iterable[bytes]) -> str:
    """Digest bytes, part by part: 32 hexadecimal digits."""
    whole = hashlib.blake2b(digest_size=WORD)
    for part in parts:
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.hexdigest()


def nameless(config: Mapping[str, Any], without: Collection[str] = ("seed",)) -> bytes:
    """Write a network's configuration with numbers in the place of its layers' names.

    Parameters
    ----------
    config : mapping
        As of ``get_config()``.
    without : collection of str
        Entries that decide nothing: seeds, where the weights are told beside the configuration.

    Returns
    -------
    bytes
    """
    names: dict[str, str] = {}

    def collect(part: object) -> None:
        if isinstance(part, dict):
            own = part.get("config")
            if isinstance(own, dict) and "name" in own and part.get("class_name") != "DTypePolicy":
                names.setdefault(own["name"], f"#{len(names)}")
            part = list(part.values())
        if isinstance(part, (list, tuple)):
            for inner in part:
                collect(inner)

    def renamed(part: Any) -> Any:
        if isinstance(part, dict):
            fields = {str(key): renamed(value) for key, value in part.items() if key not in without}
            name = fields.get("name")
            return fields | ({"name": names.get(name, name)} if isinstance(name, str) else {})
        if isinstance(part, (list, tuple)):
            place = len(part) == 3 and isinstance(part[0], str) and all(isinstance(index, int) for index in part[1:])
            return [names.get(part[0], part[0]), *part[1:]] if place else [renamed(inner) for inner in part]
        return part

    collect({"config": config})
    return json.dumps(renamed(config), sort_keys=True, default=repr).encode()


def rows(key: str, images: np.ndarray, shape: tuple[int, ...], compute: Compute) -> Floats:
    """Return what a network makes of images; only those that nobody has computed yet are computed.

    Parameters
    ----------
    key : str
        Digest of all that decides the values beside the image.
    images : ndarray, shape (N, ...)
    shape : tuple of int
        Of one row.
    compute : callable
        Images to rows ``(N, *shape)``, float32.

    Returns
    -------
    ndarray, shape (N, *shape), float32
    """
    if (place := folder()) is None:
        return compute(images)
    images = np.ascontiguousarray(images)
    words = [hashlib.blake2b(image, digest_size=WORD).digest() for image in images]
    result = np.empty((len(images), *shape), "float32")
    missing: dict[bytes, list[int]] = {}
    for row, word in enumerate(words):
        missing.setdefault(word, []).append(row)
    for found, values in itertools.chain(_in_memory(key), _in_files(place, key, shape, missing)):
        for word in missing.keys() & found.keys():
            result[missing.pop(word)] = values[found[word]]
    new = list(missing)
    for begin in range(0, len(new), BLOCK):
        block = new[begin : begin + BLOCK]
        start = time.perf_counter()
        values = compute(images[[missing[word][0] for word in block]])
        _keep(place, key, block, values, time.perf_counter() - start)
        for word, value in zip(block, values, strict=True):
            result[missing[word]] = value
    return result


def _in_memory(key: str) -> Iterator[Block]:
    with _lock:
        names = [name for name in _memory if name.startswith(key)]
        for name in names:
            _memory.move_to_end(name)
        blocks = [_memory[name] for name in names]
    yield from blocks


def _in_files(place: Path, key: str, shape: tuple[int, ...], missing: Collection[bytes]) -> Iterator[Block]:
    """Read the rows that are missing from the files of a key, one file after the other."""
    size = 4 * math.prod(shape)
    for path in sorted(place.glob(f"{key}-*{SUFFIX}")) if missing else ():
        try:
            found, values = _read(path, size, missing)
            if found:
                os.utime(path)
        except OSError:  # gone since, or not ours to read: its rows count as missing
            continue
        yield found, values.reshape(-1, *shape)


def _read(path: Path, size: int, missing: Collection[bytes]) -> Block:
    """Return those rows of a file that are wanted and whole."""
    found: dict[bytes, int] = {}
    parts: list[bytes] = []
    with path.open("rb") as file:
        count, rest = divmod(path.stat().st_size - len(MAGIC), 2 * WORD + size)
        if rest or count < 1 or file.read(len(MAGIC)) != MAGIC:
            return {}, np.empty(0, "float32")
        index = file.read(2 * WORD * count)
        for row, begin in enumerate(range(0, len(index), 2 * WORD)):
            word, check = index[begin : begin + WORD], index[begin + WORD : begin + 2 * WORD]
            if word in missing:
                file.seek(len(MAGIC) + len(index) + row * size)
                value = file.read(size)
                if _check(word, value) == check:
                    found[word] = len(parts)
                    parts.append(value)
    return found, np.frombuffer(b"".join(parts), "<f4")


def _check(word: bytes, value: bytes | memoryview) -> bytes:
    return hashlib.blake2b(value, digest_size=WORD, key=word).digest()


def _keep(place: Path, key: str, words: list[bytes], values: Floats, seconds: float) -> None:
    """Keep a block of rows: in memory if it fits there, in a file if it took long."""
    name = f"{key}-{digest(words)}{SUFFIX}"
    with _lock:
        if values.nbytes <= MEMORY:
            _memory[name] = {word: row for row, word in enumerate(words)}, values
        while sum(block.nbytes for _, block in _memory.values()) > MEMORY:
            _memory.popitem(last=False)
        size = len(MAGIC) + 2 * WORD * len(words) + values.nbytes
        if seconds >= PATIENCE and seconds >= size / READING and size <= DISK:
            try:
                place.mkdir(parents=True, exist_ok=True)
                _make_room(place, size)
                _write(place / name, words, values)
            except OSError as error:
                _tell(place, error)


def _write(path: Path, words: list[bytes], values: Floats) -> None:
    raw = [memoryview(value).cast("B") for value in np.ascontiguousarray(values, "<f4")]
    with files.replacing(path) as file:
        file.write(MAGIC)
        file.write(b"".join(word + _check(word, value) for word, value in zip(words, raw, strict=True)))
        for value in raw:
            file.write(value)


def _make_room(place: Path, size: int) -> None:
    """Remove the files that were not used for longest, and what interrupted processes left, until `size` bytes fit."""
    found = []
    for path in place.iterdir():
        if SUFFIX in path.name:
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
    total = size + sum(size for _, size, _ in found)
    for _, freed, path in sorted(found):
        if total <= DISK:
            break
        path.unlink(missing_ok=True)
        total -= freed


def _tell(place: Path, error: OSError) -> None:
    """Say once a process that a folder does not take what it shall keep."""
    if place not in _told:
        _told.add(place)
        text = (
            f"What frozen layers make of images is not kept in {place} ({error}): the next process computes it "
            "again. Name another folder in TL_CACHE_DIR, or keep nothing: TL_CACHE_DIR= (empty)."
        )
        warnings.warn(text, RuntimeWarning, stacklevel=2)
