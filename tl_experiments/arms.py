"""The arms: every treatment that is compared, as data, with its one name.

A name is a label for tables and figures. What an arm does stands in its fields, and a test holds all records to them.
Taught in: chapter 4 (Worked example) and chapter 4.1 (Results).
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tl_experiments.names import ExperimentError
from tl_experiments.recipes import DEPTHS, METHODS, RESNET_DEPTHS, Recipe, sorted_settings
from tl_experiments.trainings import parts_of

if TYPE_CHECKING:
    import keras

    from tl_helpers.transfer import Result

RESIDUAL = ("resnet", "resnet-a")
FIELDS = ("method", "initialisation", "layer", "head", "layers_copied", "layers_frozen")
NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})
RULES = "tl_helpers.knowledge:loop_rules", "tl_helpers.knowledge:wrong_rules"


@dataclass(frozen=True)
class Arm:
    """One way to transfer, without pair, labels and budget.

    Attributes
    ----------
    name : str
    method, initialisation, layer, head, layers_copied, layers_frozen
        As in `Recipe`.
    trials : tuple of mapping
        The method's own arguments; where there are several, development seeds choose among them.
    """

    name: str
    method: str = "feature extraction"
    initialisation: str = "source"
    layer: str = "conv3"
    head: tuple[int, ...] = ()
    layers_copied: int = 3
    layers_frozen: int = 0
    trials: tuple[Mapping[str, Any], ...] = (NO_SETTINGS,)

    def axes(self) -> dict[str, Any]:
        """Return the arm as axes of a `Grid`."""
        return {name: [getattr(self, name)] for name in FIELDS} | {"settings": self.trials, "arm": self.name}

    def on(self, network: str) -> "Arm":
        """Return the arm on a network with other layers: cut and depths are those of its last features.

        Parameters
        ----------
        network : str
            As `trainings` names them. On the residual network an arm that copies all up to ``"conv3"`` copies all up to
            ``"pool"``; an arm on pixels stays one.

        Raises
        ------
        ExperimentError
            If the arm speaks of a layer that has no counterpart there.
        """
        if parts_of(network)[0] not in RESIDUAL or self.layer == "rescale":
            return self
        if self.layer != "conv3" or self.layers_copied not in (0, 3) or self.layers_frozen not in (0, 3):
            raise ExperimentError(f"{self.name!r} is an arm of the network with three convolutions: it has no other.")
        whole = RESNET_DEPTHS["pool"]
        copied, frozen = (whole if depth else 0 for depth in (self.layers_copied, self.layers_frozen))
        return replace(self, layer="pool", layers_copied=copied, layers_frozen=frozen)

    def call(self, source: "keras.Model") -> Callable[..., "Result"]:
        """Return the arm as a function of a split and a budget, with the first of its trials.

        Parameters
        ----------
        source : keras.Model

        Returns
        -------
        callable
            ``(split, **budget)`` to a `transfer.Result`.
        """
        return functools.partial(self._transfer, source)

    def _transfer(self, source: "keras.Model", split: Any, **budget: Any) -> "Result":
        recipe = Recipe(
            **{name: getattr(self, name) for name in FIELDS},
            source="",
            target="",
            labels_per_class=None,
            learning_rate=budget.get("learning_rate", 1e-3),
            batch_size=32,
            seed=0,
            steps=200,
            epochs=0,
            test=False,
            settings=sorted_settings(self.trials[0]),
        )
        return recipe.apply(source, split, **budget)

    def fields(self, depth: int = 3) -> dict[str, Any]:
        """Return what its runs have in these fields of a recipe, in the one spelling of its method.

        Parameters
        ----------
        depth : int
            Layers with weights up to the cut.
        """
        given = {name: getattr(self, name) for name in FIELDS}
        return given | (METHODS[self.method].spelling(self, depth) or {})


def _by_name(*arms: Arm) -> dict[str, Arm]:
    return {arm.name: arm for arm in arms}


HEAD = Arm("linear head, source features")
DENSE_HEAD = Arm("Dense(512) head, source features", head=(512,))
RANDOM_HEAD = Arm("linear head, random features", initialisation="random")
TUNED = Arm("fine-tuned from the source", "parameter transfer")
SCRATCH = Arm("from scratch", "from scratch", "random", layers_copied=0)
PIXELS = Arm("logistic regression on pixels", layer="rescale", trials=({"standardise": False},))
LP_FT = Arm("LP-FT", "LP-FT", trials=({"probe_steps": 100},))
L2_SP = Arm("L2-SP", "L2-SP", trials=tuple({"alpha": alpha} for alpha in (0.1, 1.0)))
ATTENTION = Arm("attention transfer", "attention transfer", trials=tuple({"strength": s} for s in (10.0, 100.0)))
DISTILLATION = Arm(
    "distillation",
    "distillation",
    trials=tuple({"teacher": 50, "temperature": 4.0, "weight": weight} for weight in (0.5, 0.9)),
)
LOGIC, WRONG_LOGIC = (
    Arm(name, "logic rules", trials=tuple({"rules": rules, "strength": 2.0, "weight": w} for w in (0.25, 0.5)))
    for name, rules in zip(("logic rules", "logic rules, wrong"), RULES, strict=True)
)
# The recipe of the document that the book started from: 0.001, and nothing is chosen.
DOCUMENT = Arm("the document's recipe", head=(512,), trials=({"standardise": False},))

WORKED_EXAMPLE = _by_name(HEAD, DENSE_HEAD, RANDOM_HEAD, TUNED, SCRATCH, PIXELS)
MAIN = WORKED_EXAMPLE | _by_name(LP_FT)
CONSTRAINED = _by_name(L2_SP, ATTENTION)
TAUGHT = _by_name(DISTILLATION)
RULED = _by_name(LOGIC, WRONG_LOGIC)
CUTS = _by_name(
    *(
        Arm(f"linear head on {layer}, {start} features", layer=layer, initialisation=start)
        for layer in ("pool1", "pool2", "dense")
        for start in ("source", "random")
    )
)


def swept(start: str, copied: int, frozen: int) -> Arm:
    """Return an arm of the layer sweep of Yosinski et al. (2014).

    Parameters
    ----------
    start : {"A", "B", "random"}
        What is copied: the source's layers, those of base B (trained on the run's own labels), or random ones.
    copied, frozen : int
        The first `copied` layers, the first `frozen` of which never change; 0 frozen is the paper's "+".

    Returns
    -------
    Arm
    """
    initialisation = {"A": "source", "B": "target", "random": "random"}[start]
    name = f"{start}{copied}B, {frozen} frozen"
    return Arm(name, "parameter transfer", initialisation, layers_copied=copied, layers_frozen=frozen)


SWEEP = _by_name(
    *(
        swept(start, copied, frozen)
        for start in ("A", "B", "random")
        for copied in (1, 2, 3)
        for frozen in range(copied + 1)
        if frozen == copied or (frozen == 0 and start != "random")
    )
)
# Of the large source: its pooled features, those of earlier stages as they are, and its last stage trained on.
LARGE = DEPTHS["imagenet"]
LARGE_HEAD = Arm("linear head, ImageNet features", layer="pool")
LARGE_RANDOM = Arm("linear head, random features of the large network", layer="pool", initialisation="random")
LARGE_CUTS = tuple(Arm(f"linear head on block{n}, ImageNet features", layer=f"block{n}") for n in range(2, 8))
LARGE_TUNED = Arm(
    "fine-tuned from ImageNet after block6",
    "parameter transfer",
    layer="pool",
    layers_copied=LARGE["pool"],
    layers_frozen=LARGE["block6"],
)
LARGE_VARIED = Arm("augmented, ImageNet features", layer="pool", trials=({"augment": "photographs"},))
OF_LARGE = _by_name(LARGE_HEAD, LARGE_RANDOM, *LARGE_CUTS, LARGE_TUNED, LARGE_VARIED)
# What the explorer offers besides: all other frozen parts of a copy.
BETWEEN = _by_name(*(swept("A", copied, frozen) for copied, frozen in ((2, 1), (3, 1), (3, 2))))
# The second plan. What its trials choose among besides the rate: a knob, first at the value at which the arm is another
# one (plain fine-tuning, or LP-FT with one rate).
STEADY_LP_FT = Arm("LP-FT", "LP-FT")  # half of the steps, whatever their number, train the head alone
RATIOS = (1.0, 0.3, 3.0, 10.0)  # the head's rate by that of the other layers
TUNED_TWO = Arm("fine-tuned, two rates", "parameter transfer", trials=tuple({"head_ratio": r} for r in RATIOS))
LP_FT_TWO = Arm("LP-FT, two rates", "LP-FT", trials=tuple({"head_ratio": r} for r in RATIOS))
PULLED = replace(L2_SP, trials=tuple({"alpha": alpha} for alpha in (0.0, 0.01, 0.1, 1.0)))
LOOKING = replace(ATTENTION, trials=tuple({"strength": s} for s in (0.0, 1.0, 10.0, 100.0)))
TAUGHT_MORE, TAUGHT_SAME = (
    Arm(
        name,
        "distillation",
        trials=tuple({"teacher": teacher, "temperature": 4.0, "weight": w} for w in (0.0, 0.3, 0.5, 0.9)),
    )
    for name, teacher in (("distillation", 50), ("distillation, teacher with the same labels", "same"))
)
RAISED, WRONG_RAISED = (
    Arm(
        name,
        "logic rules",
        trials=tuple({"rules": r, "strength": 2.0, "weight": w, "raised": True} for w in (0.0, 0.1, 0.25, 0.5)),
    )
    for name, r in zip((LOGIC.name, WRONG_LOGIC.name), RULES, strict=True)
)


def _tuned_with(name: str, **settings: Any) -> Arm:
    return Arm(f"fine-tuned, {name}", "parameter transfer", trials=(settings,))


# Fine-tuning with one thing changed that is often recommended; flips of digits are not.
RECIPES = _by_name(
    _tuned_with("flips", augment="flip"),
    _tuned_with("shifts", augment="shift"),
    _tuned_with("flips and shifts", augment="flip and shift"),
    _tuned_with("weight decay", weight_decay=0.05),
    _tuned_with("early stopping", stop_early=True),
    _tuned_with("constant rate", schedule="constant"),
    _tuned_with("slower lower layers", rate_decay=0.5),
    Arm("LP-FT, weights averaged", "LP-FT", trials=({"average": 0.5},)),
)
SECOND_PLAN = (
    _by_name(HEAD, RANDOM_HEAD, PIXELS, SCRATCH, TUNED, STEADY_LP_FT, TUNED_TWO, LP_FT_TWO)
    | _by_name(PULLED, LOOKING, TAUGHT_MORE, TAUGHT_SAME, RAISED, WRONG_RAISED)
    | SWEEP
    | RECIPES
)
ALL = MAIN | CONSTRAINED | TAUGHT | RULED | CUTS | _by_name(DOCUMENT) | SWEEP | BETWEEN | OF_LARGE
