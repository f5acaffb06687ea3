"""What was read of a folder of photographs, what was left out and why, and what is in it twice.

Taught in: chapter 7 (Your own photographs).
"""

import html
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tl_base import draws, folders, twins
from tl_base.draws import Groups
from tl_base.files import PathLike
from tl_base.folders import shown
from tl_base.labels import numbered, question_names
from tl_base.pictures import DataWarning, Size, question

FIRST = 5  # of a long list, which are named
UNEVEN = 2  # times as many of the largest class as of the smallest, from which that is said

LEAK = "belongs together with a picture that is held out: it would have told the answer"

Sets = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, repr=False)
class FolderSummary:
    """What became of a folder of photographs; shows itself as text, and as a table in a notebook.

    Attributes
    ----------
    name : str
        Of the data set.
    counts : dict
        Class to number of pictures, and of these held out.
    sizes : dict
        Width and height in the file, to number of pictures; the most frequent first.
    shape : (int, int, str)
        Height, width and how each was fitted.
    contradictions : tuple of tuples of str
        Files with one picture, whose labels differ.
    copies : tuple of tuples of str
        Files with one picture and one label.
    alike : tuple of tuples of str
        Files with nearly the same picture, as `twins.pairs` finds them (those above among them).
    disputed : tuple of tuples of str
        Those of `alike` whose pixels and labels differ.
    left_out : tuple of (str, str)
        File and reason.
    notes : tuple of str
        What else was decided.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """

    name: str
    counts: dict[str, tuple[int, int]]
    sizes: dict[tuple[int, int], int]
    shape: tuple[int, int, str]
    contradictions: Sets
    copies: Sets
    alike: Sets
    disputed: Sets
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(line for title, lines in self._parts() for line in (title, *(f"  {line}" for line in lines)))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [
            f"<p><strong>{html.escape(title)}</strong></p>"
            + ("<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>" if lines else "")
            for title, lines in self._parts()
        ]
        return f'<div class="folder-summary">{"".join(parts)}</div>'

    def _parts(self) -> list[tuple[str, list[str]]]:
        """Return titles, and the lines below each."""
        read, held = (sum(numbers[i] for numbers in self.counts.values()) for i in (0, 1))
        head = f"{shown(self.name)}: {read:,} photographs of {len(self.counts)} classes, {held:,} of them held out"
        classes = [f"{shown(kind)}: {count:,} ({apart:,} held out)" for kind, (count, apart) in self.counts.items()]
        parts = [
            (head, classes + self._imbalance() + [shown(note) for note in self.notes]),
            (self._sizes(), []),
            *self._twins("The same picture under different labels", " = ", self.contradictions, "one of them is wrong"),
            *self._twins("The same picture twice, one label", " = ", self.copies, "they stay on one side of a split"),
            *self._twins("Nearly the same picture under different labels", " ≈ ", self.disputed, "look at them"),
            *self._twins("Nearly the same picture", " ≈ ", self._only_alike(), "they stay on one side of a split"),
        ]
        reasons: dict[str, list[str]] = {}
        for name, reason in self.left_out:
            reasons.setdefault(reason, []).append(shown(name))
        lines = [f"{len(names):,} × {shown(reason)}: {_first(names)}" for reason, names in reasons.items()]
        parts.append((f"Left out: {len(self.left_out):,}" if lines else "Nothing was left out", lines))
        return parts

    def _imbalance(self) -> list[str]:
        ordered = sorted(self.counts.items(), key=lambda item: item[1][0])
        (few, (least, _)), (many, (most, _)) = ordered[0], ordered[-1]
        if most < UNEVEN * least:
            return []
        text = f"Uneven: {most:,} of {shown(many)}, {least:,} of {shown(few)}"
        return [f"{text}. Guessing the largest class would be right often: look at each class's accuracy."]

    def _sizes(self) -> str:
        height, width, fit = self.shape
        each = list(self.sizes)
        across, down = zip(*each, strict=True)
        text = f"{each[0][0]}×{each[0][1]}"
        if len(each) > 1:
            widths, heights = f"{min(across):,}–{max(across):,} wide", f"{min(down):,}–{max(down):,} high"
            text = f"{len(each):,} sizes, {widths}, {heights}, most often {text}"
        return f"Size in the files (width×height): {text}. Read as {width}×{height}, {HOW[fit]}"

    def _twins(self, title: str, sign: str, sets: Sets, remark: str) -> list[tuple[str, list[str]]]:
        if not sets:
            return []
        lines = [sign.join(shown(name) for name in names) for names in sets[: 4 * FIRST]]
        more = [f"and {len(sets) - 4 * FIRST:,} more"] if len(sets) > 4 * FIRST else []
        return [(f"{title} ({len(sets):,}): {remark}", lines + more)]

    def _only_alike(self) -> Sets:
        known = {*self.contradictions, *self.copies, *self.disputed}
        return tuple(names for names in self.alike if names not in known)


HOW = {
    "crop": "the middle of each",
    "pad": "all of each, framed in black",
    "stretch": "all of each, pulled to these proportions",
}


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - FIRST:,} more" if len(names) > FIRST else ""
    return ", ".join(names[:FIRST]) + more


@dataclass(frozen=True)
class Photographs:
    """The photographs of a folder, ready to be drawn from; the fields are those of `data.Dataset`.

    Attributes
    ----------
    images, labels, class_names, name, held_out, groups, files, summary
        As those of a data set.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    name: str
    held_out: NDArray[np.bool_]
    groups: NDArray[np.int64] | None
    files: tuple[str, ...]
    summary: FolderSummary


def photographs(
    folder: PathLike, size: Size, fit: str, groups: Groups | None, name: str | None, seed: int
) -> Photographs:
    """Read a folder of photographs; put aside what is held out, and find what is in it twice.

    Parameters
    ----------
    folder, size, fit, groups, name
        As for `data.from_folder`.
    seed : int
        It decides which third of each class is held out, where the folder does not say.

    Returns
    -------
    Photographs

    Raises
    ------
    DataError
        As for `data.from_folder`.

    Warns
    -----
    DataWarning
        If pictures could not be read, or two names of classes differ by capital letters only.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    read = folders.read(folders.look(folder), size, fit)
    name = name or Path(folder).expanduser().absolute().name
    labels, class_names = numbered(read.classes)
    found = twins.find(read.images, read.thumbs)
    numbers = twins.groups(groups, read.files, read.images, found)
    apart = read.held_out
    keep = np.full(len(labels), True)
    if apart.any() and numbers is not None:  # what is in the test set would have told the answer
        keep = ~draws.on_both_sides(numbers, apart)
    kept = None if numbers is None else numbers[keep]
    chosen = apart[keep] if apart.any() else None
    held_out = draws.held_out(labels[keep], class_names, chosen, kept, seed)
    about = _summary(name, read, (labels, class_names), keep, held_out, found, fit)
    _question(about, read, found)
    images, files = read.images, read.files
    if not keep.all():
        images, files = images[keep], tuple(files[row] for row in np.flatnonzero(keep))
    return Photographs(images, labels[keep], class_names, name, held_out, kept, files, about)


def _summary(
    name: str,
    read: folders.Read,
    labelled: tuple[NDArray[np.int64], tuple[str, ...]],
    keep: NDArray[np.bool_],
    held_out: NDArray[np.bool_],
    found: twins.Twins,
    fit: str,
) -> FolderSummary:
    """Put together what is to be said of a folder."""
    labels, class_names = labelled
    parts = labels[keep], labels[keep][held_out]
    totals, apart = (np.bincount(part, minlength=len(class_names)).tolist() for part in parts)
    equal, near = _sets(found.same), _sets(found.groups)
    differ = [rows for rows in equal if len(set(labels[rows])) > 1]
    agree = [rows for rows in equal if len(set(labels[rows])) == 1]
    unclear = [rows for rows in near if len(set(labels[rows])) > 1 and rows not in differ]
    contradictions, copies, alike, disputed = (
        tuple(tuple(read.files[row] for row in rows) for rows in sets) for sets in (differ, agree, near, unclear)
    )
    return FolderSummary(
        name,
        {kind: (totals[k], apart[k]) for k, kind in enumerate(class_names)},
        dict(Counter(read.sizes).most_common()),
        (read.images.shape[1], read.images.shape[2], fit),
        contradictions,
        copies,
        alike,
        disputed,
        (*read.left_out, *((read.files[row], LEAK) for row in np.flatnonzero(~keep))),
        read.notes,
    )


def _question(about: FolderSummary, read: folders.Read, found: twins.Twins) -> None:
    """Warn of pictures that could not be read or look like an accident, and of names that differ by capitals only."""
    if read.damaged:
        count = "1 picture" if read.damaged == 1 else f"{read.damaged:,} pictures"
        text = f"{count} in {shown(about.name)!r} could not be read; left out. "
        text += "The data set's summary says which and why: print(dataset.summary)."
        warnings.warn(text, DataWarning, stacklevel=4)
    low, high = read.images.min(axis=(1, 2, 3)).tolist(), read.images.max(axis=(1, 2, 3)).tolist()
    question(list(zip(low, high, found.same.tolist(), strict=True)), about.name)
    question_names(tuple(about.counts), about.name)


def _sets(numbers: NDArray[np.int64]) -> list[list[int]]:
    """Return the rows with the same number where there are several."""
    rows: dict[int, list[int]] = {}
    for row, number in enumerate(numbers.tolist()):
        rows.setdefault(number, []).append(row)
    return [members for members in rows.values() if len(members) > 1]
