"""What the names in a grid stand for: functions of modules that return networks, data sets and rules.

Taught in: chapter 4 (Worked example).
"""

import functools
import pkgutil
from collections.abc import Callable
from typing import Any

from tl_experiments.recipes import DEPTHS, SAME, Recipe
from tl_experiments.trainings import parts_of
from tl_helpers.records import RecordsError

# Experiments whose expectations were written down before their first run: the file of this package in which they stand.
# Every row of such an experiment keeps the fingerprint of that file, and `run` adds none under another one.
_REPLICATED = (
    "replicated",
    "replicated constrained",
    "replicated sweep",
    "budget",
    "recipes",
    "noise again",
    "shifts again",
)
PLANS: dict[str, str] = dict.fromkeys((*_REPLICATED, "siblings", "scores"), "hypotheses.toml")


class ExperimentError(RecordsError):
    """A grid or a request for a run is not what was expected; `RecordsError` catches both."""


def depth_of(source: str, layer: str) -> int:
    """Count a source network's layers with weights up to and with a named layer.

    Only a source that is a ``"module:function"`` is built for that, once for each function and layer.
    """
    if ":" in source:
        return _depth_in(source, resolved(source), layer)
    depths = DEPTHS[parts_of(source)[0]]
    if layer not in depths:
        raise ExperimentError(f"The source {source!r} has no layer {layer!r} to cut at. It has {', '.join(depths)}.")
    return depths[layer]


@functools.lru_cache(64)  # a grid asks for every run; another function, of the same name too, is another key
def _depth_in(source: str, function: Callable[[], Any], layer: str) -> int:
    from tl_helpers import models

    network = made("source", source, function)
    try:
        return len(models.weight_layers(models.features_at(network, layer)))
    except models.ModelError as error:
        raise ExperimentError(f"The source {source!r} cannot be cut at {layer!r}. {error}") from error


def resolved(name: str) -> Callable[..., Any]:
    """Return the function that a ``"module:function"`` names.

    Parameters
    ----------
    name : str

    Returns
    -------
    callable

    Raises
    ------
    ExperimentError
        If there is none.
    """
    try:
        function = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ExperimentError(
            f"{name!r} is not there ({error}). Name a function of a module that can be imported, as 'module:function'."
        ) from error
    if not callable(function):
        raise ExperimentError(f"{name!r} is no function, but {function!r}. Name a function that returns what is meant.")
    return function


def made(role: str, name: str, function: Callable[[], Any]) -> Any:
    """Return what a ``"module:function"`` makes.

    Parameters
    ----------
    role : {"source", "target", "rules"}
    name : str
    function : callable
        As `resolved` returns it.

    Returns
    -------
    keras.Model, data.Dataset or object

    Raises
    ------
    ExperimentError
        If it fails, or a source is no network, or a target is no data set.
    """
    try:
        thing = function()
    except Exception as error:  # the user's own: whatever it was, no run could be done
        raise ExperimentError(f"The {role} {name!r} cannot be made: {type(error).__name__}: {error}") from error
    if role == "source":
        from tl_base.backend import keras

        expected = keras.Model
    else:
        from tl_helpers.data import Dataset

        expected = Dataset if role == "target" else object
    if not isinstance(thing, expected):
        raise ExperimentError(f"The {role} {name!r} is to return a {expected.__name__}; found {type(thing).__name__}.")
    return thing


def named(run: Recipe) -> dict[str, str]:
    """Return what a run names: its source and target, a teacher or rules that have a name, its plan, each by its role.

    Parameters
    ----------
    run : Run

    Returns
    -------
    dict of str to str
        ``"source"``, ``"target"``, and where there are any ``"teacher"``, ``"rules"`` and ``"plan"``.
    """
    settings = dict(run.settings)
    found = {role: settings.get(role) for role in ("teacher", "rules")}
    others = {role: name for role, name in found.items() if isinstance(name, str) and name != SAME}
    experiment = getattr(run, "experiment", "")
    plan = {"plan": PLANS[experiment]} if experiment in PLANS else {}
    return {"source": run.source, "target": run.target} | others | plan
