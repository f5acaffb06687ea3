"""What to compare: a declarative grid that expands to runs, each with all that is needed to do it again.

Taught in: chapter 4 (Worked example).
"""

import functools
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from tl_experiments.names import ExperimentError, depth_of
from tl_experiments.recipes import (
    HALVES,
    METHODS,
    MODULE_FUNCTION,
    PHOTOGRAPHS,
    SAME,
    SOURCES,
    TREATMENTS,
    Recipe,
    sorted_settings,
)
from tl_experiments.trainings import names_of
from tl_helpers import asset

if TYPE_CHECKING:
    import pandas as pd

INITIALISATIONS = ("source", "random", "target")
TARGETS = ("mnist", "digits", "cifar10", *HALVES, *PHOTOGRAPHS)
AXES = (
    "method",
    "initialisation",
    "layer",
    "head",
    "layers_copied",
    "layers_frozen",
    "labels_per_class",
    "learning_rate",
    "seed",
    "settings",
)
AUGMENTED = ("flip", "shift", "flip and shift", "photographs")  # as `tl_base.augmentation` names them
SCHEDULES = ("cosine", "constant")  # as `tl_base.steps` names them
# Besides accuracy: LogME of the features and LEEP of the source's outputs, both on the training images; accuracy on
# shifted test sets; answers to a hundred test images; debiased linear CKA of each layer before and after training; the
# share of the wrong training labels that the network gives, which then stands in the place of the validation accuracy;
# debiased CKA of each layer with a sibling, trained alike with another seed on the same labels.
MEASURES = ("logme", "leep", "shifts", "answers", "debiased cka", "memorised", "siblings")


@dataclass(frozen=True, kw_only=True)
class Run(Recipe):
    """One training run: a recipe, what it is done for, and what is measured besides accuracy.

    Attributes
    ----------
    experiment : str
        Part of the key: the same training may serve to tune, without test set, and to report.
    measures : tuple of str
        As in `Grid`. Measures and label noise stand in the key only where there are any: runs from before they were
        thought of keep theirs.
    arm : str
        Name in tables and figures; no part of the key.
    """

    experiment: str
    measures: tuple[str, ...] = ()
    arm: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """Sixteen hexadecimal digits that name the run for good: the same fields, the same key, on every machine."""
        values = {name: value for name, value in asdict(self).items() if name != "arm"}
        values = {name: value for name, value in values.items() if value or name not in ("label_noise", "measures")}
        return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=8).hexdigest()

    @classmethod
    def of(cls, row: "Mapping[str, Any] | pd.Series") -> Self:
        """Return the run that a row of the records tells of: `Recipe.of`, with the measures that it asked for.

        Facts that stand in every row are none of these.
        """
        asked = set(MEASURES) & set(json.loads(row["measures"]))
        return replace(super().of(row), measures=tuple(sorted(asked)))


@dataclass(frozen=True)
class Grid:
    """A grid of runs: every combination of the values given for each axis.

    Attributes
    ----------
    experiment : str
        What the runs are for, e.g. ``"tuning"``.
    pairs : sequence of (str, str)
        Source and target. Sources: names of `models.pretrained`, ``"cifar10#2"`` for the training with seed 2
        (`trainings`). Targets: ``"mnist"``, ``"digits"``, ``"cifar10"``, its five-class halves ``"cifar10-a"`` and
        ``"cifar10-b"``, ``"trashnet"``, and its five classes ``"trashnet-5"`` as `protocol` splits them. Either can be
        ``"module:function"``, which returns a functional `keras.Model` with layers of any names, or a
        `data.Dataset`; each time the same, or the runs are no grid. Every record keeps a fingerprint of what the names
        stood for, and `run` refuses to put runs on another network or on other images beside them in one experiment; a
        reduced set in ``TL_DATA_DIR`` is other images.
    method : sequence of str
        Any of `METHODS`.
    initialisation : sequence of {"source", "random", "target"}
        What stands in the layers that are copied: the source's weights, random ones, or those of a network trained from
        scratch on the very labels of the run, Yosinski's base B.
    layer, head
        The cut and the widths of the head's hidden layers, as in `transfer.feature_extraction`.
    layers_copied, layers_frozen : sequence of int
        As ``copy`` and ``freeze`` of `transfer.parameter_transfer`. Feature extraction copies and freezes all up to
        `layer`, whatever stands here.
    labels_per_class : sequence of int or None
        None is the full set.
    learning_rate : sequence of float
    seed : sequence of int
        Each decides the split, the new weights and the batches: arms with equal seeds are paired.
    settings : sequence of mapping
        The method's own arguments: ``standardise`` (feature extraction); ``head_rate``, or ``head_ratio``, how many
        times the run's rate it is (parameter transfer, LP-FT); ``probe_steps``, ``average`` (LP-FT); ``alpha``,
        ``beta`` (L2-SP); ``teacher``, ``teacher_rate``, ``temperature``, ``weight`` (distillation); ``strength``,
        ``layers`` (attention transfer); ``rules`` as ``"module:function"``, ``strength``, ``weight``, ``raised`` (logic
        rules). Of every method: ``augment`` (but attention transfer), ``rate_decay``, ``schedule``, ``stop_early``,
        ``weight_decay``, as in `training.Budget`. A teacher is one of `models.pretrained`, whose classes are known; a
        number of labels per class: the source is then fine-tuned on so many images of the target, drawn by a seed of
        their own; or ``"same"``: the source is fine-tuned on the very training images of the run, their wrong labels
        included, with a seed of its own and ``teacher_rate``, by default the rate of the run. ``average``: the share of
        the end when weights are averaged between the end of the first phase and that of the second,
        `transfer.averaged`. ``base_rate``: the learning rate of base B (initialisation ``"target"``); by default that
        of the run.
    batch_size, steps, epochs : int
        The budget: at least `steps` steps and `epochs` passes over the training images.
    test : bool
        Whether to score the test set, once, at the end of each run; False for a choice.
    label_noise : float
        Share of the training labels that are replaced by another class, drawn by the seed.
    measures : sequence of str
        What to measure besides accuracy, of `MEASURES`. With ``"memorised"`` the wrongly labelled training images, with
        their wrong labels, stand in the place of the validation images: a run's validation accuracy, and its curve, say
        how many of the wrong labels the network gives, step by step.
    arm : str
        A name for tables and figures; by default the method's.

    Raises
    ------
    ExperimentError
        If an axis holds a value that it does not know, or the same one twice.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """

    experiment: str
    pairs: Sequence[tuple[str, str]] = (("cifar10", "mnist"),)
    method: Sequence[str] = ("feature extraction",)
    initialisation: Sequence[str] = ("source",)
    layer: Sequence[str] = ("conv3",)
    head: Sequence[tuple[int, ...]] = ((),)
    layers_copied: Sequence[int] = (3,)
    layers_frozen: Sequence[int] = (0,)
    labels_per_class: Sequence[int | None] = (5,)
    learning_rate: Sequence[float] = (1e-3,)
    seed: Sequence[int] = tuple(range(10))
    settings: Sequence[Mapping[str, Any]] = ({},)
    batch_size: int = 32
    steps: int = 200
    epochs: int = 0
    test: bool = True
    label_noise: float = 0.0
    measures: Sequence[str] = ()
    arm: str = ""

    def __post_init__(self) -> None:
        for name in ("pairs", *AXES):
            values = getattr(self, name)
            if isinstance(values, (str, Mapping)) or not hasattr(values, "__iter__"):
                raise ExperimentError(f"{name} is an axis of the grid: give a sequence of values, not {values!r}.")
            checked = tuple(_CHECKS[name](_plain(value)) for value in values)
            twice = [value for i, value in enumerate(checked) if value in checked[:i]]
            if twice:
                raise ExperimentError(f"{name} holds {twice[0]!r} twice. Each run is done once: name each value once.")
            object.__setattr__(self, name, checked)
        for (source, _), layer in itertools.product(self.pairs, self.layer):
            if ":" not in source:  # the others have to be built first
                depth_of(source, layer)
        for method, settings in itertools.product(self.method, self.settings):
            _check_settings(method, settings, self.initialisation)
        self._check_measures()
        for name, least in (("steps", 1), ("batch_size", 1), ("epochs", 0)):
            object.__setattr__(self, name, _whole(name, _plain(getattr(self, name)), least))
        if not isinstance(self.test, bool):
            raise ExperimentError(f"test is True or False, found {self.test!r}.")
        if not isinstance(self.experiment, str) or not isinstance(self.arm, str):
            raise ExperimentError(f"experiment and arm are names, found {self.experiment!r} and {self.arm!r}.")

    def _check_measures(self) -> None:
        if isinstance(self.measures, str):
            raise ExperimentError(f"measures is a sequence of names, not {self.measures!r}: give ({self.measures!r},).")
        measures = {_one_of("measure", name, MEASURES) for name in self.measures}
        object.__setattr__(self, "measures", tuple(sorted(measures)))
        if measures & {"logme", "leep"} and (
            measures & set(MEASURES[2:]) or set(self.method) != {"feature extraction"}
        ):
            raise ExperimentError("logme and leep score kept features: feature extraction only, nothing else beside.")
        if "memorised" in measures:
            self._check_memorised()
        object.__setattr__(self, "label_noise", _plain(self.label_noise))
        if not _is_number(self.label_noise) or not 0 <= self.label_noise < 1:
            raise ExperimentError(f"label_noise is a share from 0 to below 1, found {self.label_noise!r}.")

    def _check_memorised(self) -> None:
        """Refuse to ask who memorises wrong labels where there are none, or where the answer would choose something."""
        if not self.label_noise:
            raise ExperimentError("memorised counts wrong labels that the network gives: set label_noise above 0.")
        if not self.test or any(settings.get("stop_early") for settings in self.settings):
            raise ExperimentError(
                "With memorised a run has no validation images, so it can choose nothing: leave test=True, and "
                "stop_early out."
            )

    @property
    def size(self) -> int:
        """Number of combinations, meaningless ones included."""
        return len(list(self._combinations()))

    def runs(self) -> tuple[Run, ...]:
        """Return the runs, each once: combinations that mean nothing, or the same as another, are left out.

        Returns
        -------
        tuple of Run
            In the order of the axes. ``size - len(runs())`` combinations were left out.

        Raises
        ------
        ExperimentError
            If a layer is not one of the source network's, or a ``"module:function"`` is not there.
        """
        return tuple(dict.fromkeys(filter(None, map(_sensible, self._combinations()))))

    def _combinations(self) -> Iterator[Run]:
        for pair, *values in itertools.product(self.pairs, *(getattr(self, name) for name in AXES)):
            chosen = dict(zip(AXES, values, strict=True))
            yield Run(
                experiment=self.experiment,
                source=pair[0],
                target=pair[1],
                batch_size=self.batch_size,
                steps=self.steps,
                epochs=self.epochs,
                test=self.test,
                label_noise=self.label_noise,
                measures=tuple(self.measures),
                arm=self.arm or chosen["method"],
                **chosen | {"settings": sorted_settings(chosen["settings"])},
            )


def expand(grids: Grid | Iterable[Grid]) -> tuple[Run, ...]:
    """Expand one or several grids to their runs, each once.

    Parameters
    ----------
    grids : Grid or sequence of Grid

    Returns
    -------
    tuple of Run

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    grids = [grids] if isinstance(grids, Grid) else grids
    return tuple(dict.fromkeys(run for grid in grids for run in grid.runs()))


def _sensible(run: Run) -> Run | None:
    """Return the run in its one spelling, or None if its settings say nothing together."""
    spelling = METHODS[run.method].spelling(run, depth_of(run.source, run.layer))
    return None if spelling is None else replace(run, **spelling)


def _plain(value: Any) -> Any:
    """Return a number of NumPy, such as those of `numpy.arange`, as one of Python."""
    return value.item() if getattr(value, "shape", None) == () else value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ExperimentError(f"{name}: expected whole numbers from {least} on, found {value!r}.")
    return value


def _rate(name: str, value: Any) -> float:
    if not _is_number(value) or value <= 0:
        raise ExperimentError(f"{name}: expected numbers above 0, found {value!r}.")
    return float(value)


def _one_of(name: str, value: Any, known: Collection[str]) -> str:
    if not isinstance(value, str) or value not in known:
        raise ExperimentError(f"Unknown {name} {value!r}. Known: {', '.join(known)}.")
    return value


def _name(role: str, value: Any, known: Collection[str]) -> str:
    """Check the name of a source or target: a known one, or ``"module:function"``."""
    if isinstance(value, str) and (value in known or MODULE_FUNCTION.fullmatch(value)):
        return value
    raise ExperimentError(f"Unknown {role} {value!r}. Known: {', '.join(known)}, or 'module:function'.")


def _pair(value: Any) -> tuple[str, str]:
    if isinstance(value, str) or not hasattr(value, "__iter__") or len(value := tuple(value)) != 2:
        raise ExperimentError(f"pairs: expected pairs of source and target, as ('cifar10', 'mnist'), found {value!r}.")
    source, target = value
    named = isinstance(source, str) and ":" not in source
    network, hash_, _ = source.partition("#") if named else (source, "", "")
    _name("source", network, SOURCES)
    if hash_:
        _one_of(f"training of {network!r}", source, names_of(network)[1:] or ["one alone; leave the # out"])
    return source, _name("target", target, TARGETS)


def _head(value: Any) -> tuple[int, ...]:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise ExperimentError(f"head: expected tuples of widths, as () or (512,), found {value!r}.")
    return tuple(_whole("head, each width", _plain(width), 1) for width in value)


def _layer(value: Any) -> str:
    if not isinstance(value, str):
        raise ExperimentError(f"layer: expected names of layers, as 'conv3', found {value!r}.")
    return value


def _settings(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ExperimentError(f"settings: expected mappings, as {{'alpha': 0.1}}, found {value!r}.")
    return {name: _plain(setting) for name, setting in value.items()}


def _labels(value: Any) -> int | None:
    return None if value is None else _whole("labels_per_class (None is the full set)", value, 1)


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "pairs": _pair,
    "method": functools.partial(_one_of, "method", known=METHODS),
    "initialisation": functools.partial(_one_of, "initialisation", known=INITIALISATIONS),
    "layer": _layer,
    "head": _head,
    "layers_copied": functools.partial(_whole, "layers_copied", least=0),
    "layers_frozen": functools.partial(_whole, "layers_frozen", least=0),
    "labels_per_class": _labels,
    "learning_rate": functools.partial(_rate, "learning_rate"),
    "seed": functools.partial(_whole, "seed", least=0),
    "settings": _settings,
}


def _check_settings(method: str, settings: Mapping[str, Any], initialisation: Sequence[str]) -> None:
    """Refuse settings that a method does not know, that it lacks, or that are of another kind."""
    known = [name.rstrip("*") for name in METHODS[method].settings]
    known += [name for name in TREATMENTS if (method, name) != ("attention transfer", "augment")]
    known += ["base_rate"] * ("target" in initialisation)
    for name, value in settings.items():
        if name not in known:
            listed = ", ".join(known) or "none"
            also = " base_rate is for the initialisation 'target'." if name == "base_rate" else ""
            raise ExperimentError(f"{method!r} has no setting {name!r}. Its settings: {listed}.{also}")
        if not _KINDS[name][0](value):
            raise ExperimentError(f"The setting {name!r} is {_KINDS[name][1]}, found {value!r}.")
    if {"head_rate", "head_ratio"} <= settings.keys():
        raise ExperimentError("head_rate and head_ratio both say how fast the head learns: give one of them.")
    missing = [name[:-1] for name in METHODS[method].settings if name.endswith("*") and name[:-1] not in settings]
    if missing:
        raise ExperimentError(f"{method!r} needs the setting {missing[0]!r}: {_KINDS[missing[0]][1]}.")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_rate(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


# What each setting may be. How large a strength may be is for the methods to say: it fails the run, not the grid.
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("standardise", "stop_early", "raised"), (lambda value: isinstance(value, bool), "True or False")),
    "augment": (lambda value: value in AUGMENTED, f"one of {', '.join(AUGMENTED)}"),
    "schedule": (lambda value: value in SCHEDULES, f"one of {', '.join(SCHEDULES)}"),
    "rate_decay": (lambda value: _is_share(value) and value > 0, "a number above 0 and at most 1"),
    "weight_decay": (lambda value: _is_number(value) and value >= 0, "a number from 0 on"),
    "average": (_is_share, "a number from 0 to 1"),
    **dict.fromkeys(("head_rate", "head_ratio", "base_rate", "teacher_rate"), (_is_rate, "a number above 0")),
    "probe_steps": (_is_count, "a whole number from 1 on"),
    "teacher": (
        lambda value: value in (SAME, *SOURCES) if isinstance(value, str) else _is_count(value),
        f"a number of labels per class, 'same' for those of the run, or one of {', '.join(SOURCES)}",
    ),
    "layers": (
        lambda value: isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value),
        "a list of names of layers",
    ),
    "rules": (
        lambda value: isinstance(value, str) and bool(MODULE_FUNCTION.fullmatch(value)),
        "the name of a function that returns rules, as 'module:function'",
    ),
    **dict.fromkeys(("alpha", "beta", "strength", "temperature", "weight"), (_is_number, "a number")),
}
