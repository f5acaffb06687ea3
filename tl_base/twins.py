"""Pictures that are the same, or nearly: the same scene photographed twice, a copy saved anew.

Taught in: chapter 7 (Your own photographs).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tl_base.draws import Groups, numbered

THUMB = 32  # side of what is compared
COARSE = 0.85  # correlation of two thumbnails' details, at half that side, from which they are looked at closely
BUSY = 0.2  # of its area that a picture's details fill, from which a like one is more than one more blob or stroke
ALIKE = 0.90  # correlation from which two busy pictures show the same
ALIKE_PLAIN = 0.98  # and two of which one is not busy
FLAT = 1.0  # standard deviation, of 255, below which a picture has no details to compare
ROWS = 1024  # of images or pairs in hand at once
BLOCK = 2**24  # numbers in a part of the table of all pairs: 64 MB


@dataclass(frozen=True)
class Twins:
    """Which pictures of a set are the same or nearly.

    Attributes
    ----------
    same : ndarray, shape (N,), int64
        Equal for equal pixels.
    groups : ndarray, shape (N,), int64
        Equal for what is the same or alike, directly or through others: 0, 1, … as they first appear.
    """

    same: NDArray[np.int64]
    groups: NDArray[np.int64]


def find(images: NDArray[np.uint8], thumbs: NDArray[np.uint8] | None = None) -> Twins:
    """Find the same and nearly the same pictures.

    Parameters
    ----------
    images : ndarray, shape (N, height, width, 3), uint8
        Fitted.
    thumbs : ndarray, shape (N, 32, 32, 3), uint8, optional
        Thumbnails of what they were before; by default of `images`.

    Returns
    -------
    Twins

    Notes
    -----
    `pairs` says what counts as alike. Taught in: chapter 7 (Your own photographs).
    """
    equal = same(images)
    copies = np.stack([equal, np.arange(len(equal))], axis=1)
    first = np.unique(equal)
    links = np.concatenate([copies, first[pairs(thumbnails(images[first]) if thumbs is None else thumbs[first])]])
    return Twins(equal, joined(len(equal), links))


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink images to what is compared.

    Parameters
    ----------
    images : ndarray, shape (N, height, width, 3), uint8

    Returns
    -------
    ndarray, shape (N, 32, 32, 3), uint8

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    small = np.empty((len(images), THUMB, THUMB, 3), np.uint8)
    for row, image in enumerate(images):
        small[row] = np.asarray(Image.fromarray(image).resize((THUMB, THUMB), Image.Resampling.BOX))
    return small


def pairs(thumbs: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Find the pairs of pictures that show the same, a little moved, or lighter or darker.

    Parameters
    ----------
    thumbs : ndarray, shape (N, 32, 32, 3), uint8
        As from `thumbnails`.

    Returns
    -------
    ndarray, shape (P, 2), int64
        Rows of the two, the lower first; sorted.

    Notes
    -----
    Light and background are taken away (each thumbnail less a blurred one), and what is left, its details, is
    correlated: at 16×16 pixels all with all, as products of matrices; those above 0.85 then at 32×32. Two pictures are
    alike from 0.90 on, and from 0.98 on where the details of one fill less than a fifth of it: two bottles on a
    table, or two digits one, come to 0.97. All pairs so found in TrashNet (27) and 20,000 images of CIFAR-10 were
    looked at: each shows one scene. Of 10,000 digits of MNIST 27 pairs are found. Turned, mirrored or strongly cropped
    copies are not. Taught in: chapter 7 (Your own photographs).
    """
    coarse = _details(thumbs.reshape(-1, THUMB // 2, 2, THUMB // 2, 2, 3).mean(axis=(2, 4), dtype=np.float32), 2)
    found, rows = [], max(1, BLOCK // max(1, len(thumbs)))
    for start in range(0, len(thumbs), rows):
        block = coarse[start : start + rows] @ coarse[start:].T
        first, second = np.nonzero(block > COARSE)
        later = second > first
        found.append(np.stack([first[later], second[later]], axis=1) + start)
    candidates = np.concatenate([np.empty((0, 2), np.int64), *found])
    if not len(candidates):
        return candidates
    needed, places = np.unique(candidates, return_inverse=True)
    fine, places = _details(thumbs[needed], 4), places.reshape(-1, 2)
    busy = _filled(fine) > BUSY
    alike = [
        np.einsum("ij,ij->i", fine[one], fine[other]) > np.where(busy[one] & busy[other], ALIKE, ALIKE_PLAIN)
        for one, other in (part.T for part in np.array_split(places, len(places) // ROWS + 1))
    ]
    return candidates[np.concatenate(alike)]


def _filled(details: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the share of its area that each picture's details fill: 1 if they are everywhere the same in strength."""
    energy = np.einsum("rpc,rpc->rp", *2 * [details.reshape(len(details), THUMB**2, -1)])
    return energy.sum(axis=1) ** 2 / (THUMB**2 * np.maximum((energy**2).sum(axis=1), 1e-12))


def _details(images: NDArray[Any], blur: float) -> NDArray[np.float32]:
    """Return what images (N, H, W, C) have beyond their blurred selves, as vectors (N, H·W·C) of length 1 or 0."""
    from scipy.ndimage import gaussian_filter

    vectors = np.empty((len(images), images[0].size), np.float32)
    for start in range(0, len(images), ROWS):
        part = images[start : start + ROWS].astype(np.float32)
        part -= gaussian_filter(part, (0, blur, blur, 0), mode="nearest")
        vectors[start : start + ROWS] = part.reshape(len(part), -1)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors *= (length > FLAT * np.sqrt(vectors.shape[1])) / np.maximum(length, 1e-6)
    return vectors


def same(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Give images numbers that are equal where their pixels are.

    Parameters
    ----------
    images : ndarray, shape (N, height, width, 3), uint8

    Returns
    -------
    ndarray, shape (N,), int64
        The row of the first image with these pixels.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    first: dict[bytes, int] = {}
    plain = images[..., :1] if images.strides[-1] == 0 else images
    return np.array([first.setdefault(_print(image), row) for row, image in enumerate(plain)], np.int64)


def _print(image: NDArray[np.uint8]) -> bytes:
    return blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16).digest()


def joined(count: int, links: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give rows numbers that are equal where they are linked, directly or through others.

    Parameters
    ----------
    count : int
        Of rows.
    links : ndarray, shape (P, 2), int64
        Pairs of rows.

    Returns
    -------
    ndarray, shape (count,), int64
        0, 1, … in the order in which the groups first appear.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    table = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(count, count))
    labels = connected_components(table, directed=False)[1]
    _, first, places = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[places].astype(np.int64)


def groups(
    wanted: Groups | None, files: Sequence[str] | None, images: NDArray[np.uint8], found: Twins | None = None
) -> NDArray[np.int64] | None:
    """Return the number of each image's group.

    Parameters
    ----------
    wanted : array-like, function, "alike" or None
        As for `draws.numbered`; or what is the same or alike; or None: each image is by itself.
    files : sequence of str, optional
    images : ndarray, shape (N, height, width, 3), uint8
    found : Twins, optional
        Of these images, where they are known.

    Returns
    -------
    ndarray, shape (N,), int64, or None

    Raises
    ------
    DataError
        As for `draws.numbered`.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    if wanted is None:
        return None
    if isinstance(wanted, str) and wanted == "alike":
        return (find(images) if found is None else found).groups
    return numbered(wanted, files, len(images))
