"""Trainings of the source networks: one recipe, several seeds, so that a source is a draw like any other.

A name says which one: ``"cifar10"`` is the training that ships with `tl_helpers`, ``"cifar10#2"`` the one with seed 2.
Taught in: chapter 4.1 (Results).
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tl_helpers import asset

if TYPE_CHECKING:
    import keras

ASSETS = Path(__file__).parent / "assets"
COUNTS = {"cifar10": 5, "cifar10-a": 5, "resnet": 3, "resnet-a": 3}  # trainings of each network; of all others one


def parts_of(name: str) -> tuple[str, int]:
    """Return the network and the seed that a name stands for: ``"cifar10#2"`` to ``("cifar10", 2)``."""
    network, _, seed = name.partition("#")
    return network, int(seed or 0)


def names_of(network: str) -> tuple[str, ...]:
    """Return the names of all trainings of a network."""
    return tuple(name_of(network, seed) for seed in range(COUNTS.get(network, 1)))


def name_of(network: str, seed: int) -> str:
    """Return the name of a training: the opposite of `parts_of`."""
    return f"{network}#{seed}" if seed else network


def file_of(name: str) -> str:
    """Return the name of the file with a training's weights."""
    return f"source_{name.replace('#', '_')}.npz"


def place_of(name: str) -> Path:
    """Return where a training's weights are, or would be; its card has the same name with another end."""
    return ASSETS / file_of(name) if parts_of(name)[1] else asset(file_of(name))


def load(name: str) -> "keras.Model":
    """Load a training of a source network.

    Parameters
    ----------
    name : str
        Such as ``"cifar10#2"``.

    Returns
    -------
    keras.Model
        As `models.pretrained` returns it.

    Raises
    ------
    ModelError
        If there is no such network, or its file is missing or damaged.
    """
    from tl_helpers import models

    network, seed = parts_of(name)
    if not seed:
        return models.pretrained(network)
    if network not in models.PRETRAINED or name not in names_of(network):
        known = ", ".join(map(repr, names_of(network))) if network in models.PRETRAINED else "none"
        raise models.ModelError(f"There is no training {name!r}. Trainings of {network!r}: {known}.")
    if not place_of(name).is_file():
        raise models.ModelError(
            f"{place_of(name)} is not there: {name!r} is not trained yet. `python tools/train_source.py '{name}'` "
            "trains it."
        )
    return models.load_weights(models.PRETRAINED[network](), place_of(name))


def card(name: str) -> dict[str, Any]:
    """Read the card of a training, as `models.model_card` does that of the shipped one."""
    found: dict[str, Any] = json.loads(place_of(name).with_suffix(".json").read_text(encoding="utf-8"))
    return found
