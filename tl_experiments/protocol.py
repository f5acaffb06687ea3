"""The published protocol on TrashNet: five classes, 70 % of the photographs to train, 13 to validate, 17 to test.

Taught in: chapter 7.1 (Which source?).
"""

from dataclasses import replace

import numpy as np

from tl_base import draws
from tl_helpers import data

CLASSES = ("cardboard", "glass", "metal", "paper", "plastic")  # without "trash", of which there are 137 photographs
TESTED, VALIDATED = 0.17, 0.13


def split(dataset: data.Dataset, seed: int = 0) -> data.Split:
    """Split a data set as the published result did: another seed, other test photographs.

    Parameters
    ----------
    dataset : data.Dataset
        Which rows it holds out does not matter. What belongs together in it stays on one side.
    seed : int
        At least 0; it alone decides which rows are tested, which validate and which train.

    Returns
    -------
    data.Split
        Shares of each class, rounded to whole images; ``per_class`` is None.

    References
    ----------
    Thung and Yang (2016), TrashNet, https://github.com/garythung/trashnet: "around 75% test accuracy (with 70/13/17
    train/val/test split)". Which photographs were on which side stands in files there that are not used here.
    """
    order = draws.shuffled(dataset.labels, np.ones(len(dataset), bool), seed)
    held = np.zeros(len(dataset), bool)
    held[draws.share(order, [round(TESTED * len(rows)) for rows in order], dataset.groups, 2)] = True
    return data.full_split(replace(dataset, held_out=held), seed, VALIDATED / (1 - TESTED))
