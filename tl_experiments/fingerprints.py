"""What a name stood for: short digests of images, networks and rules, kept in every record.

A grid names its sources and targets. Behind the same name there can be other images tomorrow, another network, another
rule; a fingerprint tells. Equal fingerprints, equal content, on every machine.
Taught in: How fast.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from tl_experiments.names import resolved
from tl_helpers import data

PLACES = ("TL_DATA_DIR", "KERAS_HOME", "TL_OFFLINE")  # what says where data are
LOOKED_AT = 100  # images on which rules are compared


def sha256_of(dataset):
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
    Taught in: chapter 4.1 (Results).
    """
    digest = hashlib.sha256(np.ascontiguousarray(dataset.images))
    digest.update(np.ascontiguousarray(dataset.labels))
    return digest.hexdigest()


def of_data(dataset):
    """Digest a data set: images, labels, names of classes and which rows are held out.

    Parameters
    ----------
    dataset : data.Dataset

    Returns
    -------
    str
        Sixteen hexadecimal digits.
    """
    facts = sha256_of(dataset), dataset.images.shape, [str(name) for name in dataset.class_names]
    return _digest(json.dumps(facts).encode(), np.packbits(dataset.held_out).tobytes())


def of_network(network, built):
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
    parts = [_nameless(network.get_config())] if built else []
    for weight in network.weights:
        value = np.ascontiguousarray(weight.numpy())
        parts += [repr((value.shape, value.dtype.str)).encode(), value.tobytes()]
    return _digest(*parts)


def of_rules(rules, dataset):
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
    told = [rule.values(images, len(dataset.class_names)).round(4) + 0.0 for rule in rules]  # + 0.0: -0.0 is 0.0
    facts = json.dumps([(rule.name, rule.confidence) for rule in rules])
    return _digest(facts.encode(), *(np.ascontiguousarray(values).tobytes() for values in told))


def state(kind, name):
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
    places = [os.environ.get(place) for place in PLACES]
    file = Path(places[0] or "").expanduser() / f"{name.partition('-')[0]}.npz"
    if places[0] and file.is_file():
        places += [file.stat().st_mtime_ns, file.stat().st_size]
    return places


def _digest(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()[:16]


def _nameless(config):
    """Write a network's configuration with numbers in the place of its layers' names."""
    names = {}

    def collect(part):
        if isinstance(part, dict):
            own = part.get("config")
            if isinstance(own, dict) and "name" in own and part.get("class_name") != "DTypePolicy":
                names.setdefault(own["name"], f"#{len(names)}")
            for each in part.values():
                collect(each)
        elif isinstance(part, (list, tuple)):
            for each in part:
                collect(each)

    def renamed(part):
        if isinstance(part, dict):  # a seed decides nothing that the weights do not tell
            told = {str(key): renamed(each) for key, each in part.items() if key != "seed"}
            return told | ({"name": names.get(told["name"], told["name"])} if isinstance(told.get("name"), str) else {})
        if isinstance(part, (list, tuple)):
            place = len(part) == 3 and isinstance(part[0], str) and all(isinstance(each, int) for each in part[1:])
            return [names.get(part[0], part[0]), *part[1:]] if place else [renamed(each) for each in part]
        return part

    collect({"config": config})
    return json.dumps(renamed(config), sort_keys=True, default=repr).encode()
