"""A run as data: what is transferred, by which method, on which labels, with which budget.

A `Recipe` is printed as the Python that repeats it (`Recipe.code`), done (`Recipe.run`, or `Recipe.apply` on a network
and a split that are at hand), and stored: its fields are columns of the records. `METHODS` is the one table of methods;
grids, the workbench, the explorer and the printed code all read it.
Taught in: chapter 4.2 (The explorer).
"""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pandas as pd

from tl_experiments import spellings, trainings
from tl_experiments.calls import IMPORTS, MODULES, Call, Calls, Name, made_when_needed

if TYPE_CHECKING:
    import keras

    from tl_helpers.data import Split
    from tl_helpers.transfer import Result

OTHER_SEED = 1000  # added to a run's seed where a second network must differ from the first
SAME = "same"  # the teacher that is trained on the images of the run itself
# Settings of how a network trains, whatever the method: those of `training.Budget` that are no axis of a grid.
TREATMENTS = ("augment", "rate_decay", "schedule", "stop_early", "weight_decay")
# Settings of what is made before or after: the rates of base B and of a teacher, and the average at the end.
ABOUT_OTHERS = ("average", "base_rate", "teacher_rate")
HALVES = ("cifar10-a", "cifar10-b")  # five classes of CIFAR-10 each
# Of each source that ships, the weight layers up to and with each layer: the most that `layers_copied` can be. It is
# said here so that a grid needs no TensorFlow; a test compares it with the networks.
CNN_DEPTHS = {"rescale": 0, "conv1": 1, "pool1": 1, "conv2": 2, "pool2": 2, "conv3": 3, "flatten": 3, "dense": 4}
STAGES = {"block1": 6, "block2": 18, "block3": 30, "block4": 48, "block5": 66, "block6": 90, "block7": 96}
RESNET_DEPTHS = {"rescale": 0, "stem": 2, "block1": 8, "block2": 14, "block3": 20, "pool": 20}
DEPTHS: dict[str, Mapping[str, int]] = dict.fromkeys(("cifar10", "cifar10-a", "digits"), CNN_DEPTHS)
DEPTHS |= dict.fromkeys(("resnet", "resnet-a"), RESNET_DEPTHS) | {
    "cifar10-rows": {"rescale": 0, "rows": 0, "gru": 1},
    "imagenet": {"resize": 0, "rescale": 0, "stem": 2, **STAGES, "top": 98, "pool": 98},  # the ends of its stages
}
SOURCES = tuple(DEPTHS)
PUBLISHED = "trashnet-5"  # the five classes of the published protocol, split as it splits
PHOTOGRAPHS = ("trashnet", PUBLISHED)
SIZES = {"imagenet": 160}  # pixels of a side at which photographs go to a source; to all others at 32
NOTHING: Mapping[str, Any] = MappingProxyType({})
MODULE_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def steps_on(images: int, steps: int, epochs: int, batch_size: int) -> int:
    """Return the training steps of a budget: at least so many steps, and at least so many passes.

    Parameters
    ----------
    images : int
        Training images.
    steps, epochs, batch_size : int

    Returns
    -------
    int
    """
    return max(steps, epochs * images // batch_size)


def steps_of(split: "Split", *, steps: int, epochs: int, batch_size: int, share: float = 1.0) -> int:
    """Return a share, rounded down, of the training steps of a budget on a split: `steps_on`.

    Parameters
    ----------
    split : data.Split
    steps, epochs, batch_size : int
    share : float

    Returns
    -------
    int
    """
    return int(share * steps_on(len(split.train), steps, epochs, batch_size))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to transfer, with everything that decides its numbers.

    Attributes
    ----------
    source, target : str
        Names as `Grid` explains them.
    method : str
        One of `METHODS`.
    initialisation : {"source", "random", "target"}
        What stands in the layers that are copied: the source's weights, random ones, or those of base B, a network
        trained from scratch on the same labels.
    layer, head
        The cut, and the widths of the head's hidden layers, as in `transfer.feature_extraction`.
    layers_copied, layers_frozen : int
        As ``copy`` and ``freeze`` of `transfer.parameter_transfer`.
    labels_per_class : int or None
        None is the full set.
    learning_rate : float
    batch_size, seed : int
    steps, epochs : int
        Training steps, and passes over the training images, at least.
    test : bool
        Whether the test set is scored, once, at the end.
    settings : tuple of (str, value)
        The method's own arguments and `TREATMENTS`, sorted by name.
    label_noise : float
        Share of the training labels that are replaced by another class.
    """

    source: str
    target: str
    method: str
    initialisation: str
    layer: str
    head: tuple[int, ...]
    layers_copied: int
    layers_frozen: int
    labels_per_class: int | None
    learning_rate: float
    batch_size: int
    seed: int
    steps: int
    epochs: int
    test: bool
    settings: tuple[tuple[str, Any], ...] = ()
    label_noise: float = 0.0

    def steps_on(self, images: int) -> int:
        """Return the training steps on so many images."""
        return steps_on(images, self.steps, self.epochs, self.batch_size)

    @property
    def own_settings(self) -> dict[str, Any]:
        """The arguments of the method itself: all settings but `TREATMENTS` and those about other networks."""
        others = {*TREATMENTS, *ABOUT_OTHERS}
        return {name: value for name, value in self.settings if name not in others}

    @property
    def treatments(self) -> dict[str, Any]:
        """The settings of how the network trains, of `TREATMENTS`."""
        return {name: value for name, value in self.settings if name in TREATMENTS}

    @classmethod
    def of(cls, row: Mapping[str, Any] | pd.Series) -> Self:
        """Return the recipe that a row of `records.load` tells of, ready to be done again.

        Its ``steps`` are those that were done, so the key of a run is another one where ``epochs`` decided them.
        """
        whole = ("layers_copied", "layers_frozen", "batch_size", "seed", "steps")
        names = [known.name for known in dataclasses.fields(cls) if known.name in row]
        values: dict[str, Any] = {name: row[name] for name in names}
        values |= {name: int(row[name]) for name in whole}
        values |= {name: float(row[name]) for name in ("learning_rate", "label_noise")}
        values["labels_per_class"] = None if pd.isna(row["labels_per_class"]) else int(row["labels_per_class"])
        values["head"] = tuple(int(width) for width in row["head"].split("-") if width)
        values["settings"] = sorted_settings(json.loads(row["settings"]))
        return cls(**values, epochs=0, test=not pd.isna(row["test_accuracy"]))

    def call(self) -> Call:
        """Return the call of `transfer` that does it, on the names ``source`` (or ``base``) and ``target``."""
        call = METHODS[self.method].call(self)
        budget = {"learning_rate": self.learning_rate, "steps": _steps(self), "batch_size": self.batch_size}
        return replace(call, keywords={**call.keywords, **budget, **self.treatments, "seed": self.seed})

    def last(self, more: Mapping[str, Any] = NOTHING) -> Calls:
        """Yield the call that does it, with arguments to add; where weights are averaged, three: end, start, average.

        The start is the end of the first phase of LP-FT, trained once more.
        """
        call, share = self.call(), dict(self.settings).get("average")
        given = {**call.keywords, **more}
        call = replace(call, keywords=given)
        if share is None:
            yield "result", call
            return
        yield "tuned", call
        probed = {name: value for name, value in given.items() if name not in ("probe_steps", "watch")}
        probed |= {"freeze": given["copy"], "steps": given["probe_steps"]}
        yield "probed", replace(call, keywords=probed)
        names = tuple(map(Name, ("probed", "tuned", "target.validation")))
        yield "result", Call("transfer.averaged", (*names, share))

    def split(self) -> Call:
        """Return the call that draws its labels, on the name ``images``."""
        if self.labels_per_class is not None:
            return Call("data.few_shot", (Name("images"),), {"per_class": self.labels_per_class, "seed": self.seed})
        whole = "protocol.split" if self.target == PUBLISHED else "data.full_split"
        return Call(whole, (Name("images"),), {"seed": self.seed})

    def script(self) -> Calls:
        """Yield what is done, one call after the other, each with the name that its value gets."""
        yield "source", network(self.source)
        yield "images", images(self.target, **size_for(self.source, self.target))
        yield "target", self.split()
        if self.label_noise:
            noisy = Call("perturbations.with_label_noise", (Name("target.train"), self.label_noise, self.seed))
            yield "target", Call("replace", (Name("target"),), {"train": noisy})
        if self.initialisation == "target":
            base = base_of(self)
            yield "base", replace(replace(base, seed=OTHER_SEED + base.seed).call(), then=".model")
        yield from METHODS[self.method].before(self)
        yield from self.last()

    def code(self) -> str:
        """Write the Python that repeats it.

        Returns
        -------
        str
            Ends with the run's accuracy in ``accuracy``: on the test set if the run looked at it, else on the
            validation images. What a run measures besides is not part of it.

        Notes
        -----
        Taught in: chapter 4.2 (The explorer).
        """
        score = "result.evaluate(target.test).accuracy" if self.test else "result.validation_accuracy"
        body = "\n".join([*(f"{name} = {call.text()}" for name, call in self.script()), f"accuracy = {score}"])
        before = [line for function, line in IMPORTS.items() if f"{function}(" in body]
        used = {name: path.partition(".")[0] for name, path in MODULES.items() if re.search(rf"\b{name}\.", body)}
        after = [
            f"from {package} import {', '.join(name for name in used if used[name] == package)}"
            for package in ("tl_experiments", "tl_helpers")
            if package in used.values()
        ]
        return "\n".join([*before, *([""] if before else []), *after, "", body, ""])

    def run(self) -> "Result":
        """Do it from its names alone, as the printed code does.

        Returns
        -------
        transfer.Result
        """
        names: dict[str, Any] = {}
        for name, call in self.script():
            names[name] = call.value(names.__getitem__)
        return names["result"]

    def apply(
        self, source: "keras.Model", target: "Split", names: Mapping[str, Any] = NOTHING, **more: Any
    ) -> "Result":
        """Do the last step of it on a network and a split that are at hand.

        Parameters
        ----------
        source : keras.Model
            In the place of ``source``, and of ``base``.
        target : data.Split
        names : mapping, optional
            What else is at hand of the `script`, such as ``images`` or ``teacher``; what the method needs besides is
            made.
        **more
            Arguments to add, or to put in the place of those of the recipe.

        Returns
        -------
        transfer.Result
        """
        names = {**names, "source": source, "base": source, "target": target}
        calls = dict(METHODS[self.method].before(self)) | dict(self.last(more))
        return made_when_needed(calls, names)("result")


def sorted_settings(settings: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return a mapping as sorted pairs, lists as tuples, so that equal settings are equal and can be hashed."""
    return tuple(sorted((k, tuple(v) if isinstance(v, list) else v) for k, v in dict(settings).items()))


def network(name: str) -> Call:
    """Return the call that loads a source network by its name in a grid."""
    if ":" in name:
        return Call("resolve_name", (name,), then="()")
    if trainings.parts_of(name)[1]:
        return Call("trainings.load", (name,))
    return Call("models.pretrained", (name,))


def size_for(source: str, target: str) -> dict[str, int]:
    """Return the size at which a target's photographs go to a source, as `data.load` takes it.

    Empty for small pictures, which go to each source as they are: one that takes larger ones resizes them itself.
    """
    return {"size": SIZES.get(trainings.parts_of(source)[0], 32)} if target in PHOTOGRAPHS else {}


def images(name: str, **how: Any) -> Call:
    """Return the call that loads a data set by its name in a grid; `how` goes to `data.load`."""
    if ":" in name:
        return Call("resolve_name", (name,), then="()")
    if name == PUBLISHED:
        return Call("data.only", (Call("data.load", ("trashnet",), how), Name("protocol.CLASSES"), name))
    if name in HALVES:
        classes = Name(f"data.{name.upper().replace('-', '_')}")
        return Call("data.only", (Call("data.load", ("cifar10",), how), classes, name))
    return Call("data.digits") if name == "digits" else Call("data.load", (name,), how)


R = TypeVar("R", bound=Recipe)


def trunk(recipe: Recipe) -> str:
    """Name the layer up to which a network is built that a run transfers from: base B, or the source as a teacher.

    All up to conv3, or up to the run's own cut where that lies higher, or where the source is another network.
    """
    chain = DEPTHS.get(trainings.parts_of(recipe.source)[0]) is CNN_DEPTHS
    return "conv3" if chain and CNN_DEPTHS[recipe.layer] <= CNN_DEPTHS["conv3"] else recipe.layer


def base_of(recipe: R) -> R:
    """Return the recipe of base B for another one: from scratch, on the same labels, with the base's own rate."""
    rate = dict(recipe.settings).get("base_rate", recipe.learning_rate)
    shape: dict[str, Any] = {"layer": trunk(recipe), "head": (), "layers_copied": 0, "layers_frozen": 0}
    plain: dict[str, Any] = {"method": "from scratch", "initialisation": "random", "settings": (), "test": False}
    return replace(recipe, learning_rate=rate, **shape, **plain)


def teacher_rate(recipe: Recipe) -> float:
    """Return the learning rate of a teacher of the same labels: its own, or that of the run."""
    return dict(recipe.settings).get("teacher_rate", recipe.learning_rate)


# What each method is called with


def _steps(recipe: Recipe, share: float = 1.0) -> int | Call:
    """Return a share of the training steps, or the call that counts them where passes over the data decide."""
    if recipe.epochs == 0:
        return int(share * recipe.steps)
    budget = {"steps": recipe.steps, "epochs": recipe.epochs, "batch_size": recipe.batch_size}
    return Call("recipes.steps_of", (Name("target"),), budget | ({} if share == 1 else {"share": share}))


def _shape(recipe: Recipe) -> dict[str, Any]:
    return {"layer": recipe.layer} | ({"head": recipe.head} if recipe.head else {})


def _start(recipe: Recipe) -> tuple[tuple[Name, Name], dict[str, Any]]:
    """Return what is transferred to what, and what is copied: the arguments of all methods that have a source."""
    source = Name("base" if recipe.initialisation == "target" else "source")
    random = {"initialisation": "random"} if recipe.initialisation == "random" else {}
    return (source, Name("target")), _shape(recipe) | random


def _from_scratch(recipe: Recipe) -> Call:
    return Call("transfer.from_scratch", (Name("target"),), {"architecture": Name("source")} | _shape(recipe))


def _feature_extraction(recipe: Recipe) -> Call:
    names, start = _start(recipe)
    return Call("transfer.feature_extraction", names, start | recipe.own_settings)


def _parameter_transfer(recipe: Recipe, **more: Any) -> Call:
    names, start = _start(recipe)
    depths = {"copy": recipe.layers_copied, "freeze": recipe.layers_frozen}
    own = recipe.own_settings
    if "head_ratio" in own:
        own["head_rate"] = float(f"{own.pop('head_ratio') * recipe.learning_rate:.12g}")
    return Call("transfer.parameter_transfer", names, start | depths | more | own)


def _lp_ft(recipe: Recipe) -> Call:
    return _parameter_transfer(recipe, probe_steps=_steps(recipe, 0.5))


def _knowledge_transfer(recipe: Recipe) -> Call:
    names, start = _start(recipe)
    depths = {"copy": recipe.layers_copied, "freeze": recipe.layers_frozen}
    return Call("transfer.knowledge_transfer", names, start | depths | {"knowledge": [Name("constraint")]})


def _l2_sp(recipe: Recipe) -> Calls:
    yield "constraint", Call("knowledge.L2SP", (), recipe.own_settings)


def _attention_transfer(recipe: Recipe) -> Calls:
    yield "constraint", Call("knowledge.AttentionTransfer", (), recipe.own_settings)


def _distillation(recipe: Recipe) -> Calls:
    settings = recipe.own_settings
    teacher = settings.pop("teacher")
    classes: Call | Name = Name("images.class_names")
    if teacher == SAME:
        budget = {"learning_rate": teacher_rate(recipe), "steps": _steps(recipe), "batch_size": recipe.batch_size}
        shape = {"layer": trunk(recipe), **budget, "points": 1, "seed": OTHER_SEED + recipe.seed}
        yield "teacher", Call("transfer.parameter_transfer", (Name("source"), Name("target")), shape, then=".model")
    elif isinstance(teacher, str):
        yield "teacher", network(teacher)
        classes = Call("models.model_card", (teacher,), then='["classes"]')
    else:
        yield "labelled", Call("data.few_shot", (Name("images"),), {"per_class": teacher, "seed": OTHER_SEED})
        shape = {"layer": trunk(recipe), "steps": 200, "points": 1, "seed": OTHER_SEED}
        yield "teacher", Call("transfer.parameter_transfer", (Name("source"), Name("labelled")), shape, then=".model")
    yield "constraint", Call("knowledge.Distillation", (Name("teacher"), classes), settings)


def _logic_rules(recipe: Recipe) -> Calls:
    settings = recipe.own_settings
    rules = settings.pop("rules")
    module, _, function = rules.partition(":")
    shipped = module == MODULES["knowledge"]
    yield "rules", Call(f"knowledge.{function}") if shipped else Call("resolve_name", (rules,), then="()")
    yield "constraint", Call("knowledge.LogicRules", (Name("rules"),), settings)


@dataclass(frozen=True)
class Method:
    """A method as grids, records, the explorer and printed code know it.

    Attributes
    ----------
    call : callable
        From a recipe to the call of `transfer`, without the budget.
    spelling : callable
        From a recipe, and the number of layers up to its cut, to the fields that have one value only with this method;
        None where its settings mean nothing together.
    settings : tuple of str
        Its own arguments; those with a star it needs. `TREATMENTS` come on top for every method.
    before : callable
        From a recipe to what is made before the call, in turn: names and calls.
    on_activations : bool
        Whether it may be given the activations of a frozen prefix in the place of the images, which saves time. Not
        where its constraint looks at the images.
    """

    call: Callable[[Recipe], Call]
    spelling: Callable[[spellings.Copied, int], dict[str, Any] | None]
    settings: tuple[str, ...] = ()
    before: Callable[[Recipe], Calls] = lambda recipe: iter(())
    on_activations: bool = False


METHODS = {
    "feature extraction": Method(_feature_extraction, spellings.all_frozen, ("standardise",), on_activations=True),
    "parameter transfer": Method(
        _parameter_transfer, spellings.frozen_is_copied, ("head_rate", "head_ratio"), on_activations=True
    ),
    "LP-FT": Method(
        _lp_ft, spellings.some_copied_trains, ("head_rate", "head_ratio", "probe_steps", "average"), on_activations=True
    ),
    "L2-SP": Method(
        _knowledge_transfer, spellings.trains_what_has_a_source, ("alpha*", "beta"), _l2_sp, on_activations=True
    ),
    "distillation": Method(
        _knowledge_transfer,
        spellings.frozen_is_copied,
        ("teacher*", "teacher_rate", "temperature", "weight"),
        _distillation,
    ),
    "attention transfer": Method(
        _knowledge_transfer, spellings.has_source, ("strength*", "layers"), _attention_transfer, on_activations=True
    ),
    "logic rules": Method(
        _knowledge_transfer, spellings.frozen_is_copied, ("rules*", "strength", "weight", "raised"), _logic_rules
    ),
    "from scratch": Method(_from_scratch, spellings.nothing_copied),
}
