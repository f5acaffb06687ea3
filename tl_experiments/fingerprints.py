"""What a name stood for: short digests of images, networks, rules and plans, kept in every record.

A grid names its sources and targets. Behind the same name there can be other images tomorrow, another network, another
rule; a fingerprint tells. Equal fingerprints, equal content, on every machine.
Taught in: How fast.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tl_base import kept
from tl_experiments.names import ExperimentError, resolved
from tl_helpers import data

if TYPE_CHECKING:
    import keras

    from tl_helpers.knowledge import Rule

PLACES = ("TL_DATA_DIR", "KERAS_HOME", "TL_OFFLINE")  # what says where data are
LOOKED_AT = 100  # images on which rules are compared


def sha256_of(dataset: data.Dataset) -> str:
    """Digest images and labels, as the card of the records and the model cards give it.

    Parameters
    ----------
    dataset : data.Dataset

    Returns
    -------
    str
        SHA-256 over the images (uint8, three channels) and the labels (int64), in hexadecimal digits.

    Notes
    -----
    Taught in: What the papers claim, and what shows here.
    """
    digest = hashlib.sha256(np.ascontiguousarray(dataset.images).data)
    digest.update(np.ascontiguousarray(dataset.labels).data)
    return digest.hexdigest()


def of_data(dataset: data.Dataset) -> str:
    """Digest a data set: images, labels, names of classes, which rows are held out, and what belongs together.

    Parameters
    ----------
    dataset : data.Dataset

    Returns
    -------
    str
        Sixteen hexadecimal digits. Where the data have groups, a plus sign and sixteen more follow, for the rows that
        belong together; by which numbers the groups go does not matter.
    """
    facts = sha256_of(dataset), dataset.images.shape, [str(name) for name in dataset.class_names]
    content = _digest(json.dumps(facts).encode(), np.packbits(dataset.held_out).tobytes())
    if dataset.groups is None:
        return content
    _, first, member = np.unique(dataset.groups, return_index=True, return_inverse=True)
    return f"{content}+{_digest(first[member].astype('<i8').tobytes())}"  # of each row the first one of its group


def agree(now: str, was: str) -> bool:
    """Tell whether a thing is what a record was made with, by its fingerprint now and the recorded one.

    Parameters
    ----------
    now, was : str
        Fingerprints of data, of a network or of rules.

    Returns
    -------
    bool
        Records from before groups were digested say nothing of them: there the rest decides.
    """
    content, _, groups = now.partition("+")
    earlier, _, others = was.partition("+")
    return content == earlier and others in (groups, "")


def of_network(network: "keras.Model", built: bool) -> str:
    """Digest a network: all its weights, and how it is built if nobody else says so.

    Parameters
    ----------
    network : keras.Model
    built : bool
        Add the configuration of all layers. The networks that ship do without: their names say how they are built, and
        the fingerprints of their records outlive a new version of Keras.

    Returns
    -------
    str
        Sixteen hexadecimal digits. Names that Keras counts up, such as ``conv2d_3``, do not matter.
    """
    parts = [kept.nameless(network.get_config())] if built else []
    for weight in network.weights:
        value = np.ascontiguousarray(weight.numpy())
        parts += [repr((value.shape, value.dtype.str)).encode(), value.tobytes()]
    return _digest(*parts)


def of_rules(rules: Sequence["Rule"], dataset: data.Dataset) -> str:
    """Digest rules: their names, their confidence, and what they say about a hundred images of a data set.

    Parameters
    ----------
    rules : sequence of knowledge.Rule
    dataset : data.Dataset
        Of the target.

    Returns
    -------
    str
        Sixteen hexadecimal digits.
    """
    images = data.evenly_spaced(dataset, min(LOOKED_AT, len(dataset))).images
    truths = [rule.values(images, len(dataset.class_names)).round(4) + 0.0 for rule in rules]  # + 0.0: -0.0 is 0.0
    facts = json.dumps([(rule.name, rule.confidence) for rule in rules])
    return _digest(facts.encode(), *(np.ascontiguousarray(values).tobytes() for values in truths))


def of_file(path: str | os.PathLike[str]) -> str:
    """Digest a text file, such as the one with the expectations of an experiment.

    Parameters
    ----------
    path : path-like
        A path that is not absolute starts in the package's folder.

    Returns
    -------
    str
        Sixteen hexadecimal digits, the same whatever ends the lines.

    Raises
    ------
    ExperimentError
        If there is no such file.
    """
    place = Path(__file__).parent / path
    try:
        return _digest(place.read_text(encoding="utf-8").encode())
    except OSError as error:
        raise ExperimentError(f"{place} cannot be read ({error}). Bring it back: runs keep its fingerprint.") from error


def state(kind: str, name: str) -> object:
    """Return what tells at no cost that a name may stand for something else: the function, or place and age of a file.

    Parameters
    ----------
    kind : {"source", "target"}
    name : str

    Returns
    -------
    object
        To be compared with an earlier one.
    """
    if ":" in name:
        return resolved(name)
    if kind == "source":
        return None  # it ships with the package
    places: list[str | int | None] = [os.environ.get(place) for place in PLACES]
    folder = os.environ.get(PLACES[0])
    base = Path(folder or "").expanduser() / name.partition("-")[0]
    files = [base.with_suffix(".npz"), *sorted(base.glob("*/*"))] if folder else []  # one file, or photographs
    for about in (file.stat() for file in files if file.is_file()):
        places += [about.st_mtime_ns, about.st_size]
    return places


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()[:16]
