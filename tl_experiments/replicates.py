"""The second plan: trainings of the source, each with draws of its own, two pairs of tasks, two networks, equal trials.

Each grid takes the records so far, because what was chosen on development draws stands there. Development draw 200 + i
uses training i of the source; no reported draw is shared by two trainings. Every arm has seven trials: four rates, then
three more, of its knob at the best of these rates if it has one, else rates around the best. They are made at 5 labels
per class, which serve 1 as well, and at 20, which serve 100. The arms of the sweep and those on the residual network
have the four rates alone.
Taught in: chapter 4.1 (Results).
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from tl_experiments import arms
from tl_experiments.arms import Arm
from tl_experiments.evidence import RATES
from tl_experiments.grid import Grid
from tl_experiments.names import ExperimentError
from tl_experiments.recipes import sorted_settings
from tl_experiments.trainings import COUNTS, name_of, names_of, parts_of

TARGETS = {"far": "mnist", "near": "cifar10-b"}
NETWORKS = {"cnn": {"far": "cifar10", "near": "cifar10-a"}, "residual": {"far": "resnet", "near": "resnet-a"}}
CNN, RESIDUAL = ("cnn",), ("residual",)
FIRST_DRAW = {"cnn": 20, "residual": 30}  # of training 0; each training has the next ones
DRAWS = 2  # of each training
SINGLE = ("budget", "replicated sweep", "noise again", "siblings")  # experiments with one draw of each training
SCORED_DRAWS = (40, 41, 42)  # the same for all sources, which are what is ranked
DEVELOPMENT = (200, 201, 202)
LABELS = {"cnn": (1, 5, 20, 100), "residual": (20,)}
TUNED_AT = {1: 5, 5: 5, 20: 20, 100: 20}
FEW, HELD, SWEPT = (5, 20), (5,), (20,)  # where little is varied; where arms are constrained; where layers are swept
STEADY: dict[str, Any] = {"steps": 300, "epochs": 40, "batch_size": 32}
LENGTHS = (200, 3000)  # steps, where they are what is compared
WRONG = 0.3  # share of wrong labels
TRIALS, TRIED, FEW_TRIED = "replicated trials", 7, 4


@dataclass(frozen=True)
class Candidate:
    """An arm of the plan.

    Attributes
    ----------
    arm : Arm
        The first of its trials is the value of its knob at which it is the arm `like`.
    like : str
        Name of that arm, whose four first trials it shares; empty for an arm without a knob.
    chosen_as : str
        Name of the arm whose choice serves, where it has no trials of its own.
    sourceless : bool
        Whether nothing of a source is in it: its runs name the first training, whatever the draw.
    only : tuple of str
        The pairs on which it makes sense.
    """

    arm: Arm
    like: str = ""
    chosen_as: str = ""
    sourceless: bool = False
    only: tuple[str, ...] = tuple(TARGETS)


def _by_name(*candidates: Candidate) -> dict[str, Candidate]:
    return {candidate.arm.name: candidate for candidate in candidates}


_TUNED = arms.TUNED.name
MAIN = _by_name(
    Candidate(arms.HEAD),
    Candidate(arms.RANDOM_HEAD, sourceless=True),
    Candidate(arms.PIXELS, sourceless=True),
    Candidate(arms.SCRATCH, sourceless=True),
    Candidate(arms.TUNED),
    Candidate(arms.STEADY_LP_FT),
)
TWO_RATES = _by_name(
    Candidate(arms.TUNED_TWO, like=_TUNED),
    Candidate(arms.LP_FT_TWO, like=arms.STEADY_LP_FT.name),
)
CONSTRAINED = _by_name(
    *(Candidate(arm, like=_TUNED) for arm in (arms.PULLED, arms.LOOKING, arms.TAUGHT_MORE, arms.TAUGHT_SAME)),
    *(Candidate(arm, like=_TUNED, only=("far",)) for arm in (arms.RAISED, arms.WRONG_RAISED)),  # they speak of digits
)
_WHOLE = arms.swept("A", 3, 0).name  # which is fine-tuning under another name
SWEEP = _by_name(
    *(
        Candidate(arm, sourceless=arm.initialisation != "source", chosen_as=_TUNED if name == _WHOLE else "")
        for name, arm in arms.SWEEP.items()
    )
)
VARIED = _by_name(
    *(
        Candidate(arm, chosen_as=_TUNED if arm.method == "parameter transfer" else arms.STEADY_LP_FT.name)
        for arm in arms.RECIPES.values()
    )
)
CANDIDATES = MAIN | TWO_RATES | CONSTRAINED | SWEEP | VARIED


def source_of(pair: str, network: str, training: int) -> str:
    """Return the name of a training of the source that a pair and an architecture have."""
    return name_of(NETWORKS[network][pair], training)


def draws_of(network: str, training: int) -> tuple[int, ...]:
    """Return the draws that a training is reported on, which no other one has."""
    first = FIRST_DRAW[network] + DRAWS * training
    return tuple(range(first, first + DRAWS))


def training_of(network: str, draw: int) -> int:
    """Return the training that a reported draw belongs to."""
    return (draw - FIRST_DRAW[network]) // DRAWS


def tried_on(network: str) -> int:
    """Return how many trials each main arm has on an architecture."""
    return FEW_TRIED if network == "residual" else TRIED


def network_of(source: str) -> str:
    """Return the architecture of a source by its name in a row."""
    return "residual" if parts_of(source)[0] in NETWORKS["residual"].values() else "cnn"


# The trials


def _tried(candidates: Mapping[str, Candidate], networks: Sequence[str]) -> Iterator[tuple[str, str, Candidate]]:
    """Yield what is tried: pair, architecture, arm; pixels have no architecture."""
    for pair, network, candidate in itertools.product(TARGETS, networks, candidates.values()):
        if pair in candidate.only and (network == "cnn" or candidate.arm.layer != "rescale"):
            yield pair, network, candidate


def _trials(
    pair: str, network: str, candidate: Candidate, labels: int, rates: Sequence[float], settings: Mapping[str, Any]
) -> list[Grid]:
    """Return the trials of an arm at some rates: a grid a draw, since each draw has a training of its own."""
    arm = candidate.arm.on(NETWORKS[network][pair])
    draws = DEVELOPMENT if labels <= 5 else DEVELOPMENT[:2]
    axes = arm.axes() | {"labels_per_class": [labels], "learning_rate": rates, "settings": [settings], "test": False}
    return [
        Grid(
            TRIALS,
            pairs=[(source_of(pair, network, 0 if candidate.sourceless else i), TARGETS[pair])],
            seed=[draw],
            **axes,
            **STEADY,
        )
        for i, draw in enumerate(draws)
    ]


def _first(candidates: Mapping[str, Candidate], networks: Sequence[str], counts: Sequence[int]) -> list[Grid]:
    return [
        grid
        for pair, network, candidate in _tried(candidates, networks)
        for labels in counts
        if not candidate.like
        for grid in _trials(pair, network, candidate, labels, RATES, candidate.arm.trials[0])
    ]


def _more(
    table: pd.DataFrame, candidates: Mapping[str, Candidate], networks: Sequence[str], counts: Sequence[int]
) -> list[Grid]:
    grids, found = [], Choices(table)
    for pair, network, candidate in _tried(candidates, networks):
        for labels in counts:
            rate, settings = found.first(pair, network, candidate, labels)
            if not candidate.like:
                grids += _trials(pair, network, candidate, labels, _around(rate), settings)
            for knob in candidate.arm.trials[1:] if candidate.like else ():
                grids += _trials(pair, network, candidate, labels, [rate], knob)
    return grids


def _around(rate: float) -> list[float]:
    """Return three more rates: half a step below and above the best of four, and one beyond the end it lies at."""
    beyond = 3 * rate if rate == RATES[-1] else rate / 3 if rate == RATES[0] else 1e-4
    return [float(f"{value:.3g}") for value in (rate / 3**0.5, rate * 3**0.5, beyond)]


class Choices:
    """What development draws chose.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records.load` returns it.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        rows = table[(table.experiment == TRIALS) & table.validation_accuracy.notna()]
        rows = rows.assign(network=rows.source.map(network_of).astype(str))
        by = ["target", "network", "arm", "labels_per_class"]
        self._trials: dict[tuple[Any, ...], pd.DataFrame] = {}
        for key, own in rows.groupby(by) if len(rows) else ():
            trials = own.groupby(["learning_rate", "settings"])
            tried = trials.validation_accuracy.mean().rename("score").reset_index()
            tried["draws"] = [str(sorted(seeds)) for _, seeds in trials.seed]
            self._trials[tuple(key)] = tried

    def first(self, pair: str, network: str, candidate: Candidate, labels: int) -> tuple[float, Mapping[str, Any]]:
        """Return the best of the four first rates, and the settings at which they were tried."""
        name = candidate.like or candidate.arm.name
        tried = self._tried(pair, network, name, labels)
        tried = tried[tried.learning_rate.isin(RATES) & (tried.settings == tried.settings.iloc[0])]
        if len(tried) < len(RATES):
            raise ExperimentError(f"{name}, {pair}, {labels} labels: {len(tried)} of its four rates were tried. {DO}")
        return _best(tried)[0], candidate.arm.trials[0] if candidate.like else _best(tried)[1]

    def settled(
        self, pair: str, network: str, name: str, labels: int, trials: int = TRIED
    ) -> tuple[float, Mapping[str, Any]]:
        """Return rate and settings of an arm: the best mean validation accuracy of its seven trials.

        Parameters
        ----------
        pair, network, name : str
        labels : int
            Of the trials.
        trials : int
            4 for the first four rates alone, as the arms of the sweep and of the residual network have them.

        Raises
        ------
        ExperimentError
            If one of them is missing, or was tried on other draws.
        """
        return _best(self._all_tried(pair, network, name, labels, trials))

    def score(self, pair: str, network: str, name: str, labels: int) -> float:
        """Return the mean validation accuracy on development draws of what `settled` returns."""
        return float(self._all_tried(pair, network, name, labels, tried_on(network)).score.max())

    def _all_tried(self, pair: str, network: str, name: str, labels: int, trials: int) -> pd.DataFrame:
        """Return the trials of an arm, those that it shares included."""
        candidate = CANDIDATES[name]
        network = "cnn" if candidate.arm.layer == "rescale" else network
        tried = self._tried(pair, network, name, labels)
        if candidate.like:
            shared = self._tried(pair, network, candidate.like, labels)
            shared = shared[shared.learning_rate.isin(RATES)]
            tried = pd.concat([shared.assign(settings=json.dumps(dict(candidate.arm.trials[0]))), tried])
        elif trials == FEW_TRIED:
            tried = tried[tried.learning_rate.isin(RATES)]
        if len(tried) != trials or tried.draws.nunique() != 1:
            raise ExperimentError(
                f"{name}, {pair}, {network}, {labels} labels: {len(tried)} trials on {tried.draws.nunique()} sets of "
                f"draws, but every arm has {trials} on one. {DO}"
            )
        return tried

    def _tried(self, pair: str, network: str, name: str, labels: int) -> pd.DataFrame:
        key = TARGETS[pair], network, name, labels
        if key not in self._trials:
            raise ExperimentError(f"Nothing was tried yet for {', '.join(map(str, key))}. {DO}")
        return self._trials[key]


DO = "Do the grids that choose first: replicated-trials, then replicated-trials-more; residual-trials."


def _best(tried: pd.DataFrame) -> tuple[float, Mapping[str, Any]]:
    """Return the best trial; of equal ones that with the lower rate, then the one that was tried first."""
    ordered = tried.sort_values(["score", "learning_rate"], ascending=[False, True], kind="stable")
    return float(ordered.learning_rate.iloc[0]), dict(sorted_settings(json.loads(ordered.settings.iloc[0])))


def trials(table: pd.DataFrame | None = None) -> list[Grid]:
    """Try four rates of every main arm, and of those of the sweep: development draws, no test set (second plan)."""
    return _first(MAIN, CNN, FEW) + _first(_SWEEP_FIRST, CNN, SWEPT)


def more_trials(table: pd.DataFrame) -> list[Grid]:
    """Try three more values of every arm's knob, or rates around its best one, likewise."""
    return _more(table, MAIN, CNN, FEW) + _more(table, CONSTRAINED, CNN, HELD) + _more(table, TWO_RATES, CNN, SWEPT)


def residual_trials(table: pd.DataFrame | None = None) -> list[Grid]:
    """Try four rates of every main arm on the residual network."""
    return _first(MAIN, RESIDUAL, LABELS["residual"])


_SWEEP_FIRST = {
    name: each for name, each in SWEEP.items() if each.arm.initialisation != "target" and not each.chosen_as
}
_SWEEP_BASES = {name: each for name, each in SWEEP.items() if each.arm.initialisation == "target"}


def base_trials(table: pd.DataFrame) -> list[Grid]:
    """Try four rates of what copies from base B, whose own rate is the one chosen for training from scratch."""
    found, grids = Choices(table), []
    for pair in TARGETS:
        rate, _ = found.settled(pair, "cnn", arms.SCRATCH.name, SWEPT[0])
        based = {name: _based(each, pair, rate) for name, each in _SWEEP_BASES.items()}
        grids += _first(based, CNN, SWEPT)
    return grids


def _based(candidate: Candidate, pair: str, rate: float) -> Candidate:
    arm = replace(candidate.arm, trials=({"base_rate": rate},))
    return replace(candidate, arm=arm, only=(pair,))


# What is reported


def _reported(
    experiment: str,
    table: pd.DataFrame,
    names: Iterable[str],
    counts: Sequence[int],
    *,
    pairs: Sequence[str] = tuple(TARGETS),
    network: str = "cnn",
    tried: int = TRIED,
    **how: Any,
) -> list[Grid]:
    """Report arms with what was chosen for them: each training with its draws, the test set once.

    Its parameters are many because the experiments differ in as many ways.
    """
    found, grids, draws = Choices(table), [], 1 if experiment in SINGLE else DRAWS
    for name, pair, labels in itertools.product(names, pairs, counts):
        candidate = CANDIDATES[name]
        if pair not in candidate.only:
            continue
        rate, settings = found.settled(pair, network, candidate.chosen_as or name, TUNED_AT[labels], tried)
        settings = dict(candidate.arm.trials[0]) if candidate.chosen_as else settings
        axes = candidate.arm.on(NETWORKS[network][pair]).axes() | {"settings": [settings], "learning_rate": [rate]}
        axes |= {"labels_per_class": [labels]} | STEADY | how
        for training in range(COUNTS[NETWORKS[network][pair]]):
            source = source_of(pair, network, 0 if candidate.sourceless else training)
            seeds = draws_of(network, training)[:draws]
            grids.append(Grid(experiment, pairs=[(source, TARGETS[pair])], seed=seeds, **axes))
    return grids


def main(table: pd.DataFrame) -> list[Grid]:
    """Compare the main arms, far and near, 1 to 100 labels: five trainings, two draws each."""
    return _reported("replicated", table, MAIN, LABELS["cnn"]) + _reported("replicated", table, TWO_RATES, SWEPT)


def residual(table: pd.DataFrame) -> list[Grid]:
    """Compare the main arms on the residual network, far and near, 20 labels: three trainings, two draws each."""
    return _reported("replicated", table, MAIN, LABELS["residual"], network="residual", tried=tried_on("residual"))


def constrained(table: pd.DataFrame) -> list[Grid]:
    """Compare what is constrained by a source, a teacher or rules, 5 labels."""
    return _reported("replicated constrained", table, CONSTRAINED, HELD)


def sweep(table: pd.DataFrame) -> list[Grid]:
    """Sweep the layers copied and frozen, far and near, 20 labels, one draw a training."""
    return _reported("replicated sweep", table, SWEEP, SWEPT, tried=FEW_TRIED)


def budget(table: pd.DataFrame) -> list[Grid]:
    """Ask whether transfer is faster or better: 200 and 3,000 steps at 100 labels, one draw a training."""
    names = (arms.SCRATCH.name, _TUNED, arms.HEAD.name)
    grids = [_reported("budget", table, names, (100,), steps=steps, epochs=0) for steps in LENGTHS]
    return list(itertools.chain(*grids))


def recipes(table: pd.DataFrame) -> list[Grid]:
    """Change one thing of fine-tuning that is often recommended: augmentation, decay, schedule, averages."""
    return _reported("recipes", table, VARIED, SWEPT)


def noise(table: pd.DataFrame) -> list[Grid]:
    """Train on 30 % wrong labels and watch how many of these are learned by heart, 5 and 20 labels."""
    names = (arms.HEAD.name, _TUNED, arms.STEADY_LP_FT.name, arms.SCRATCH.name)
    return _reported("noise again", table, names, FEW, pairs=("far",), label_noise=WRONG, measures=("memorised",))


def shifts(table: pd.DataFrame) -> list[Grid]:
    """Score on shifted digits, moved by one and two pixels among them, 20 labels."""
    names = (arms.HEAD.name, _TUNED, arms.TUNED_TWO.name, arms.STEADY_LP_FT.name, arms.LP_FT_TWO.name)
    return _reported("shifts again", table, names, SWEPT, pairs=("far",), measures=("shifts",))


def siblings(table: pd.DataFrame) -> list[Grid]:
    """Compare networks layer by layer: with their source, and with a sibling of another seed (debiased CKA)."""
    names = (_TUNED, arms.SCRATCH.name)
    return _reported("siblings", table, names, SWEPT, pairs=("far",), measures=("debiased cka", "siblings"))


SCORED = {
    "far": (*names_of("cifar10"), *names_of("resnet"), *names_of("cifar10-a"), *names_of("resnet-a"), "digits"),
    "near": (*names_of("cifar10-a"), *names_of("resnet-a"), "digits"),  # the others have seen the target's classes
}


def scores(table: pd.DataFrame) -> list[Grid]:
    """Score independent sources by LogME and LEEP, and train heads on them: 20 labels, three draws."""
    found, grids = Choices(table), []
    for pair, sources in SCORED.items():
        for source in sources:
            network = network_of(source)
            rate, settings = found.settled(pair, network, arms.HEAD.name, 20, tried_on(network))
            axes = arms.HEAD.on(source).axes() | {"settings": [settings], "learning_rate": [rate], "seed": SCORED_DRAWS}
            axes |= {"pairs": [(source, TARGETS[pair])], "labels_per_class": [20], "measures": ("logme", "leep")}
            grids.append(Grid("scores", **axes, **STEADY))
    return grids


GRIDS: dict[str, Callable[[pd.DataFrame], list[Grid]]] = {
    "replicated-trials": trials,
    "replicated-trials-more": more_trials,
    "replicated": main,
    "replicated-constrained": constrained,
    "recipes": recipes,
    "noise-again": noise,
    "shifts-again": shifts,
    "siblings": siblings,
    "budget": budget,
    "residual-trials": residual_trials,
    "residual": residual,
    "scores": scores,
    "replicated-bases": base_trials,
    "replicated-sweep": sweep,
}
