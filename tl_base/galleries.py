"""Pictures side by side: images, and what the layers of networks make of them.

Taught in: chapters 1 (Background), 3.1 (Feature extraction) and 4 (Worked example).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from tl_base.answers import Answers, captions
from tl_base.figures import WIDTH, BookFigure, as_pictures, broken, columns_on, finite, sheet, show, styled


@styled
def image_grid(images: Sequence[ArrayLike], captions: Sequence[str] | None = None, columns: int = 10) -> BookFigure:
    """Show images side by side, pixel by pixel.

    Parameters
    ----------
    images : sequence of ndarray, shape (H, W) or (H, W, 3), uint8 or float in [0, 1]
        The sizes may differ.
    captions : sequence of str, optional
        One a picture, written above it.
    columns : int

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If there is no image, or not one caption an image, or if values would have to be clipped.

    Notes
    -----
    Taught in: chapter 1 (Background).
    """
    shown = as_pictures(images)
    if captions is not None and len(captions) != len(shown):
        raise ValueError(f"Expected one caption an image ({len(shown)}), found {len(captions)}.")
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    cell = WIDTH / columns
    size = min(10, 9 * cell + 2)
    written = [broken(caption, max(10, columns_on(cell, size))) for caption in captions or [""] * len(shown)]
    lines = 0 if captions is None else max(caption.count("\n") + 1 for caption in written)
    above = 0.22 + 1.2 * size / 72 * (lines - 1) if lines else 0
    figure, axes = sheet(rows * (cell + above), rows, columns)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image, caption in zip(axes.flat, shown, written, strict=False):
        show(axis, image)
        axis.set_title(caption, fontsize=size)
    return figure


@styled
def picture_rows(
    rows: Mapping[str, Sequence[ArrayLike]], captions: Sequence[str] | None = None, together: bool = False
) -> BookFigure:
    """Show rows of pictures: images, and what networks make of them, as maps from black to yellow.

    Parameters
    ----------
    rows : mapping of str to sequence of ndarray
        Row's name to its pictures: images, shape (H, W, 1) or (H, W, 3), and maps, shape (H, W), numbers of any size.
        The size may differ.
    captions : sequence of str, optional
        One a column, written above it.
    together : bool
        Give all maps of a row one scale; otherwise each has its own. A scale begins at 0 (black), or at the lowest
        number where some are negative, and ends at the largest.

    Returns
    -------
    BookFigure

    Raises
    ------
    ValueError
        If the rows, or the captions, are not equally many, or a picture has values that cannot be shown.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    counts = {len(row) for row in rows.values()} | ({len(captions)} if captions is not None else set())
    if len(counts) != 1 or counts == {0}:
        raise ValueError(f"Expected as many pictures in every row, and as many captions; found {sorted(counts)}.")
    (columns,) = counts
    cell = (WIDTH - 0.9) / columns
    titles = [broken(caption, max(7, columns_on(cell, 9))) for caption in captions or []]
    above = 0.16 * max((title.count("\n") + 1 for title in titles), default=1)
    figure, axes = sheet(0.14 + above + cell * len(rows), len(rows), columns)
    for line, (name, row) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(broken(name, max(10, columns_on(cell, 9))), fontsize=9)
        maps = [finite(picture, f"numbers of {name!r}", "(H, W)", 2) for picture in row if np.ndim(picture) == 2]
        for axis, picture in zip(line, row, strict=True):
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if np.ndim(picture) == 2:
                _show_map(axis, np.asarray(picture), maps if together else [np.asarray(picture)])
            else:
                show(axis, *as_pictures([picture]))
    for axis, title in zip(axes[0], titles, strict=False):
        axis.set_title(title, fontsize=9)
    return figure


@styled
def mistakes(result: Any, dataset: Any, count: int = 12, columns: int = 3) -> BookFigure:
    """Show images that a network gets wrong, large, the surest mistakes first.

    Parameters
    ----------
    result : transfer.Result, transfer.Score or reports.Report
        A score or a report of these images saves a run of the network over them.
    dataset : data.Dataset
    count : int
        At most so many, 1 or more.
    columns : int

    Returns
    -------
    BookFigure
        Above each image what it shows → what was answered, how sure the network is of that, and the file's name or the
        row; above all how many mistakes there are. Where there is none, the figure says so.

    Raises
    ------
    ValueError
        If the classes are others than the network learned, the score is one of other images, there is no image, or
        `count` is below 1.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    if count < 1:
        raise ValueError(f"Expected a count of 1 or more, found {count}. Ask for 12, for instance.")
    score = result.evaluate(dataset) if hasattr(result, "evaluate") else result
    answers = Answers(dataset.labels, score.predictions, score.shares, tuple(dataset.class_names))
    rows = answers.mistakes()
    title = f"{len(rows):,} of {len(dataset):,} answers are wrong"
    if not len(rows):
        figure, ((axis,),) = sheet(0.6)
        axis.set_axis_off()
        axis.text(0.5, 0.5, f"None of {len(dataset):,} answers is wrong.", ha="center", va="center")
        return figure
    texts = captions(answers, dataset.files)
    figure = image_grid([dataset.images[row] for row in rows[:count]], [texts[row] for row in rows[:count]], columns)
    figure.suptitle(f"{title}, the surest of them first" if len(rows) > 1 else title)
    return figure


def _show_map(axis: Axes, numbers: np.ndarray, scaled: list[np.ndarray]) -> None:
    """Show numbers from black to yellow, on a scale for all maps in `scaled`."""
    low, high = min(0, *(each.min() for each in scaled)), max(each.max() for each in scaled)
    axis.imshow(numbers, cmap="magma", interpolation="nearest", vmin=low, vmax=high)


def strongest(activations: ArrayLike, channels: int = 8) -> dict[int, np.ndarray]:
    """Choose the channels that vary most over all images and places, to be shown by `picture_rows`.

    Parameters
    ----------
    activations : ndarray, shape (N, h, w, C), float
        What a layer makes of N images.
    channels : int

    Returns
    -------
    dict of int to ndarray, shape (N, h, w), float
        Number of the channel to its maps, the strongest first. Each image's are divided by the largest number in any
        of them, so that layers with large and with small numbers can share a scale.

    Raises
    ------
    ValueError
        If the activations have another shape or are not finite.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    responses = finite(activations, "activations", "(N, h, w, C)", 4)
    order = np.argsort(-responses.std((0, 1, 2)), kind="stable")[:channels]
    largest = np.abs(responses[..., order]).max((1, 2, 3), keepdims=True)
    maps = responses[..., order] / np.where(largest > 0, largest, 1)
    return {int(channel): maps[..., place] for place, channel in enumerate(order)}
