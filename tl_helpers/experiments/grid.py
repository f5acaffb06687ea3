"""What to compare: a declarative grid that expands to runs, each with all that is needed to do it again.

Taught in: chapter 4 (Worked example).
"""

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace

import pandas as pd

METHODS = (
    "feature extraction",
    "parameter transfer",
    "LP-FT",
    "L2-SP",
    "distillation",
    "attention transfer",
    "logic rules",
    "from scratch",
)
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
# Besides accuracy: LogME of the features and LEEP of the source's outputs, both on the training images; accuracy on
# shifted test sets; linear CKA of each layer before and after training; answers to a hundred test images.
MEASURES = ("logme", "leep", "shifts", "cka", "answers")
PULLED_TO_SOURCE = ("L2-SP", "attention transfer")  # the source's weights or maps are the constraint
# Weight layers up to and with each layer: the most that `layers_copied` can be. Told here, a grid needs no TensorFlow.
CNN_DEPTHS = {
    "rescale": 0,
    "conv1": 1,
    "pool1": 1,
    "conv2": 2,
    "pool2": 2,
    "conv3": 3,
    "flatten": 3,
    "dense": 4,
}
RNN_DEPTHS = {"rescale": 0, "rows": 0, "gru": 1, "dense": 2}


class ExperimentError(ValueError):
    """A grid, a file of records or a request for a run is not what was expected."""


@dataclass(frozen=True)
class Run:
    """One training run: everything that decides its numbers.

    Attributes
    ----------
    experiment : str
        Part of the key: the same training may serve to tune, without test set, and to report.
    source, target : str
        Names as `Grid` explains them.
    method, initialisation, layer, head, layers_copied, layers_frozen, labels_per_class, learning_rate, batch_size, seed
        As in `Grid`, one value each.
    steps : int
        Training steps, at least.
    epochs : int
        Passes over the training images, at least; on a full set they can be more than `steps`.
    test : bool
        Whether the test set is scored, once, at the end.
    settings : tuple of (str, value)
        The method's own arguments, sorted by name.
    label_noise, measures
        As in `Grid`. In the key they stand only where they are not empty: runs from before they were thought of keep
        theirs.
    arm : str
        Name in tables and figures; no part of the key.
    """

    experiment: str
    source: str
    target: str
    method: str
    initialisation: str
    layer: str
    head: tuple
    layers_copied: int
    layers_frozen: int
    labels_per_class: int | None
    learning_rate: float
    batch_size: int
    seed: int
    steps: int
    epochs: int
    test: bool
    settings: tuple = ()
    label_noise: float = 0.0
    measures: tuple = ()
    arm: str = field(default="", compare=False)

    @property
    def key(self):
        """Sixteen hexadecimal digits that name the run for good: the same fields, the same key, on every machine."""
        told = {name: value for name, value in asdict(self).items() if name != "arm"}
        told = {name: value for name, value in told.items() if value or name not in ("label_noise", "measures")}
        return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()

    def steps_on(self, count):
        """Return the training steps on `count` images: at least ``steps``, and at least ``epochs`` passes."""
        return max(self.steps, self.epochs * count // self.batch_size)

    @classmethod
    def of(cls, row):
        """Return the run that a row of `records` tells of, ready to be done again.

        Its ``steps`` are those that were done, so its key is another one where ``epochs`` decided them.
        """
        values = {f.name: row[f.name] for f in fields(cls) if f.name in row and f.name not in ("settings", "measures")}
        values |= {name: int(row[name]) for name in ("layers_copied", "layers_frozen", "batch_size", "seed", "steps")}
        labels = None if pd.isna(row["labels_per_class"]) else int(row["labels_per_class"])
        head = tuple(int(width) for width in row["head"].split("-") if width)
        values |= {"labels_per_class": labels, "head": head, "settings": _sorted(json.loads(row["settings"]))}
        values |= {"measures": tuple(sorted(json.loads(row["measures"])))}
        return cls(**values, epochs=0, test=not pd.isna(row["test_accuracy"]))


@dataclass(frozen=True)
class Grid:
    """A grid of runs: every combination of the values given for each axis.

    Attributes
    ----------
    experiment : str
        What the runs are for, e.g. ``"tuning"``.
    pairs : sequence of (str, str)
        Source and target. Sources: names of `models.pretrained`. Targets: ``"mnist"``, ``"digits"``, ``"cifar10"``, and
        its five-class halves ``"cifar10-a"`` and ``"cifar10-b"``. Either can be ``"module:function"``, which returns a
        network with the layer names of `models.source_cnn`, or a `data.Dataset`.
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
        The method's own arguments: ``standardise`` (feature extraction); ``head_rate`` (parameter transfer, LP-FT);
        ``probe_steps`` (LP-FT); ``alpha``, ``beta`` (L2-SP); ``teacher``, ``temperature``, ``weight`` (distillation);
        ``strength``, ``layers`` (attention transfer); ``rules`` as ``"module:function"``, ``strength``, ``weight``
        (logic rules). A teacher is named as a source is, or is a number of labels per class: the source is then
        fine-tuned on so many images of the target, drawn by a seed of their own. ``base_rate``: the learning rate of
        base B (initialisation ``"target"``); by default that of the run.
    batch_size, steps, epochs : int
        The budget: at least `steps` steps and `epochs` passes over the training images.
    test : bool
        Whether to score the test set, once, at the end of each run; False for a choice.
    label_noise : float
        Share of the training labels that are replaced by another class, drawn by the seed.
    measures : sequence of str
        What to measure besides accuracy, of `MEASURES`.
    arm : str
        A name for tables and figures; by default the method's.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """

    experiment: str
    pairs: tuple = (("cifar10", "mnist"),)
    method: tuple = ("feature extraction",)
    initialisation: tuple = ("source",)
    layer: tuple = ("conv3",)
    head: tuple = ((),)
    layers_copied: tuple = (3,)
    layers_frozen: tuple = (0,)
    labels_per_class: tuple = (5,)
    learning_rate: tuple = (1e-3,)
    seed: tuple = tuple(range(10))
    settings: tuple = ({},)
    batch_size: int = 32
    steps: int = 200
    epochs: int = 0
    test: bool = True
    label_noise: float = 0.0
    measures: tuple = ()
    arm: str = ""

    def __post_init__(self):
        for name in ("pairs", *AXES):
            values = getattr(self, name)
            if isinstance(values, (str, Mapping)) or not hasattr(values, "__iter__"):
                raise ExperimentError(f"{name} is an axis of the grid: give a sequence of values, not {values!r}.")
            plain = (value.item() if hasattr(value, "item") else value for value in values)  # of numpy.arange too
            object.__setattr__(self, name, tuple(plain))
        unknown = set(self.method) - set(METHODS)
        if unknown:
            raise ExperimentError(f"Unknown method {sorted(unknown)}. Known: {', '.join(METHODS)}.")
        object.__setattr__(self, "measures", tuple(sorted(self.measures)))
        if not set(self.measures) <= set(MEASURES):
            raise ExperimentError(f"Unknown measure in {self.measures}. Known: {', '.join(MEASURES)}.")
        predict, look = (set(self.measures) & set(names) for names in (("logme", "leep"), MEASURES[2:]))
        if predict and (look or set(self.method) != {"feature extraction"}):
            raise ExperimentError("logme and leep score kept features: feature extraction only, nothing else beside.")
        if not 0 <= self.label_noise < 1:
            raise ExperimentError(f"label_noise is a share from 0 to below 1, found {self.label_noise}.")
        if self.steps < 1 or self.batch_size < 1 or self.epochs < 0:
            raise ExperimentError(f"A budget has steps, batch_size ≥ 1, epochs ≥ 0; found {self}.")

    @property
    def size(self):
        """Number of combinations, meaningless ones included."""
        return len(list(self._combinations()))

    def runs(self):
        """Return the runs, each once: combinations that mean nothing, or the same as another, are left out.

        Returns
        -------
        tuple of Run
            In the order of the axes. ``size - len(runs())`` combinations were left out.

        Raises
        ------
        ExperimentError
            If a layer is not one of the source network's.
        """
        return tuple(dict.fromkeys(filter(None, map(_sensible, self._combinations()))))

    def _combinations(self):
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
                measures=self.measures,
                arm=self.arm or chosen["method"],
                **chosen | {"head": tuple(chosen["head"]), "settings": _sorted(chosen["settings"])},
            )


def expand(grids):
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


def depth_of(source, layer):
    """Count a source network's layers with weights up to and with a named layer."""
    depths = RNN_DEPTHS if source == "cifar10-rows" else CNN_DEPTHS
    if layer not in depths:
        raise ExperimentError(f"The source {source!r} has no layer {layer!r} to cut at. It has {', '.join(depths)}.")
    return depths[layer]


def _sensible(run):
    """Return the run in its one spelling, or None if its settings say nothing together."""
    depth = depth_of(run.source, run.layer)
    if run.method == "feature extraction":
        return replace(run, layers_copied=depth, layers_frozen=depth)
    if run.method == "from scratch":
        return replace(run, layers_copied=0, layers_frozen=0, initialisation="random")
    if not run.layers_frozen <= run.layers_copied <= depth:
        return None
    if run.method == "LP-FT" and run.layers_frozen == run.layers_copied:
        return None  # both phases would train the same layers
    if run.method in PULLED_TO_SOURCE and (run.initialisation != "source" or run.layers_copied == 0):
        return None
    if run.method == "L2-SP" and run.layers_frozen == run.layers_copied:
        return None  # nothing that is trained has a weight in the source
    return run


def _sorted(settings):
    """Return a mapping as sorted pairs, lists as tuples, so that equal settings are equal and can be hashed."""
    return tuple(sorted((k, tuple(v) if isinstance(v, list) else v) for k, v in dict(settings).items()))
