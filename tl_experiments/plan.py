"""Which runs are done together: heads of one arm, and runs behind one frozen prefix.

Taught in: How fast.
"""

import itertools
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from tl_experiments.grid import Run
from tl_experiments.names import depth_of
from tl_experiments.recipes import METHODS, base_of

T = TypeVar("T")
MEMORY = 1 << 30  # bytes of activations that a process keeps
POINTS = 10  # of a learning curve
ANSWERED = 100  # test images whose answers are kept, spread evenly over the test set
IMAGE_MEASURES = {"shifts", "debiased cka", "answers", "siblings"}  # these look at images, not at activations


def trains_together(run: Run) -> bool:
    """Tell whether a run is a linear head on frozen features, so that many of its kind train in one loop."""
    given = {name for name, _ in run.settings}
    if run.initialisation == "target" and "base_rate" not in given:
        return False  # each learning rate has a base B of its own
    plain = given <= {"standardise", "base_rate"} and IMAGE_MEASURES.isdisjoint(run.measures)
    return run.method == "feature extraction" and not run.head and plain


def base_run(run: Run) -> Run:
    """Return the run that trains base B for another one: `recipes.base_of`, for no experiment and with no measures."""
    return replace(base_of(run), experiment="", measures=())


def prefix_key(run: Run) -> Hashable:
    """Return what decides the activations of a run's frozen prefix; None where there is none to keep."""
    if not METHODS[run.method].on_activations or not IMAGE_MEASURES.isdisjoint(run.measures):
        return None
    if run.layers_frozen == 0 and run.method != "feature extraction":
        return None
    if "augment" in dict(run.settings):  # other images in each step
        return None
    own = base_run(run).key if run.initialisation == "target" else run.seed if run.initialisation == "random" else None
    whole = run.layers_frozen == depth_of(run.source, run.layer)
    return run.source, run.target, run.initialisation, own, run.layers_frozen, run.layer if whole else None


def batches(runs: Iterable[Run], size: int = 64) -> list[tuple[Run, ...]]:
    """Put together the runs that share most of their work: heads of one arm, or runs behind one frozen prefix.

    Parameters
    ----------
    runs : sequence of Run
    size : int
        Heads to train at once, at most.

    Returns
    -------
    list of tuple of Run
        What an interruption can lose is at most one of them a process.
    """
    arms: dict[Run, dict[int, dict[float, Run]]] = {}
    single: list[Run] = []
    for run in runs:
        if trains_together(run):
            by_seed = arms.setdefault(replace(run, seed=0, learning_rate=0.0), {})
            by_seed.setdefault(run.seed, {})[run.learning_rate] = run
        else:
            single.append(run)
    together = []
    for arm, by_seed in arms.items():
        by_rates: dict[
            tuple[float, ...], list[int]
        ] = {}  # an interrupted grid may lack other rates for one seed than for another
        for seed, by_rate in by_seed.items():
            by_rates.setdefault(tuple(sorted(by_rate)), []).append(seed)
        for rates, seeds in by_rates.items():
            for some in _chunks(seeds, _seeds_at_once(arm, size // len(rates))):
                together.append(tuple(by_seed[seed][rate] for seed in some for rate in rates))
    for key, group in itertools.groupby(sorted(single, key=lambda run: repr(prefix_key(run))), prefix_key):
        together += _chunks(list(group), 1 if key is None else 4)
    return together


def _seeds_at_once(run: Run, most: int) -> int:
    """Bound the memory of a batch: its stacked training features, and a random network's activations for each seed."""
    if run.labels_per_class is None:
        return 1
    return max(1, min(most, 2000 // run.labels_per_class, most if run.initialisation == "source" else 8))


def _chunks(items: Sequence[T], size: int) -> list[tuple[T, ...]]:
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]
