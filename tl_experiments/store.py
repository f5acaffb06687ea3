"""What runs share: networks, images and the activations of frozen prefixes, each made once and kept.

A frozen prefix turns images into activations, and what is left of the source into a smaller source. So a run with
frozen layers is an ordinary call of `transfer` on a data set of activations, with nothing frozen.
Taught in: How fast.
"""

import functools
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tl_base import clones, graph, running
from tl_base.backend import keras
from tl_experiments import fingerprints, perturbations, recipes
from tl_experiments.calls import made_when_needed
from tl_experiments.grid import TARGETS, Run
from tl_experiments.names import ExperimentError, made, named, resolved
from tl_experiments.plan import MEMORY, POINTS, base_run, prefix_key
from tl_experiments.recipes import METHODS, OTHER_SEED, SAME, teacher_rate, trunk
from tl_helpers import data, models, transfer

Sized = tuple[str, tuple[tuple[str, int], ...]]  # a target, and the size of its images where it is not the usual one


class Store:
    """Sources, targets and activations, each made once and kept.

    Parameters
    ----------
    memory : int
        Bytes of activations to keep. What was not used for longest goes first; those in use always stay.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self.memory = memory
        self._made: dict[tuple[str, Any], Any] = {}
        self._activations: OrderedDict[Hashable, Activations] = OrderedDict()
        self._states: dict[tuple[str, Any], object] = {}

    def source(self, name: str) -> keras.Model:
        """Return a source network by its name in a grid."""
        return self._once("source", name, _source)

    def target(self, run: Run) -> data.Dataset:
        """Return a run's target, its images at the size at which they go to the run's source."""
        return self._once("target", _sized(run), _target)

    def split(self, run: Run) -> data.Split:
        """Return a run's split of the target, with row numbers in the place of the images."""
        dataset = self.target(run)
        numbered = replace(dataset, images=np.arange(len(dataset)))

        def draw(_: object) -> data.Split:
            return run.split().value({"images": numbered}.__getitem__)

        whole = run.labels_per_class is None
        split = self._once("rows", (_sized(run), run.seed), draw) if whole else draw(run)
        noisy = perturbations.with_label_noise(split.train, run.label_noise, run.seed)
        if "memorised" not in run.measures:
            return replace(split, train=noisy)
        wrong = noisy.rows(noisy.labels != split.train.labels)  # these are scored on the way
        if not len(wrong):
            raise ExperimentError(
                f"No label of {len(noisy)} is wrong at label_noise={run.label_noise:g}, so nothing can be memorised: "
                "take more labels or a larger share."
            )
        return replace(split, train=noisy, validation=wrong)

    def activations(self, run: Run) -> "Activations | None":
        """Return what the frozen prefix of a run makes of its target's images; None where nothing can be kept."""
        if not self.keeps(run):
            return None
        key = prefix_key(run)
        if key not in self._activations:
            network, images = self.network(run), self.target(run).images
            self._activations[key] = Activations(models.features_at(network, cut(network, run)), images)
        self._activations.move_to_end(key)
        while len(self._activations) > 1 and sum(a.nbytes for a in self._activations.values()) > self.memory:
            self._activations.popitem(last=False)
        return self._activations[key]

    def keeps(self, run: Run) -> bool:
        """Tell whether a run has a frozen prefix that gives the same in every step."""
        return prefix_key(run) is not None and cut(self.network(run), run) is not None

    def keeps_features(self, run: Run) -> bool:
        """Tell whether what is kept are the features at a run's cut: nothing that varies lies before them."""
        return self.keeps(run) and cut(self.network(run), run) == run.layer

    def suffix(self, run: Run) -> keras.Model:
        """Return what is left of a source behind a run's frozen prefix: activations in, a network to transfer from."""
        network = graph.opened(self.network(run))
        begin, end = (graph.place(network, name)[1] for name in (cut(network, run), run.layer))
        if begin is end:
            return keras.Sequential([keras.Input(end.shape[1:]), keras.layers.Activation("linear", name=run.layer)])
        rest = keras.Model(begin, end, name=network.name)
        smaller = clones.clone(rest, 0, whole=True)
        for layer in models.weight_layers(smaller):
            clones.copy_state(network.get_layer(layer.name), layer)
        return smaller

    def network(self, run: Run) -> keras.Model:
        """Return the network whose layers a run copies: the source, a random one, or Yosinski's base B."""
        if run.initialisation == "target":
            return self.base(run)
        source = self.source(run.source)
        if run.initialisation == "source":
            return source
        return self._once("random", (run.source, run.seed), lambda _: models.reseeded(source, run.seed))

    def sibling(self, run: Run) -> keras.Model:
        """Return a network that was trained as a run trains its own, on the same labels, with another seed."""
        return self.transfer(replace(run, seed=OTHER_SEED + run.seed), self._split_of_images(run)).model

    def base(self, run: Run) -> keras.Model:
        """Return a network trained from scratch on the labels of a run, from weights that no run of that seed has."""

        def train(run: Run) -> keras.Model:
            return self.transfer(replace(run, seed=OTHER_SEED + run.seed), self._split_of_images(run)).model

        return self._once("base", base_run(run), train)

    def knowledge(self, run: Run) -> dict[str, Any]:
        """Return what a run's constraint knows from elsewhere, by its name in the call: a teacher, rules."""
        settings = run.own_settings
        teacher = settings.get("teacher")
        if isinstance(teacher, str) and teacher != SAME:
            return {"teacher": self.source(teacher)}
        if "rules" in settings:
            return {"rules": made("rules", settings["rules"], resolved(settings["rules"]))}
        if teacher is None:
            return {}

        def train(_: object) -> keras.Model:
            at_hand = {"source": self.source(run.source), "images": self.target(run)}
            more = {"target": self._split_of_images(run)} if teacher == SAME else {}
            return made_when_needed(dict(METHODS[run.method].before(run)), at_hand | more)("teacher")

        of_run = replace(base_run(run), learning_rate=teacher_rate(run))  # all that decides a teacher of its labels
        key = of_run if teacher == SAME else (run.source, run.target, teacher, trunk(run))
        return {"teacher": self._once("teacher", key, train)}

    def _split_of_images(self, run: Run) -> data.Split:
        """Return what a run trains on and is scored on while it trains, as images."""
        split = self.split(run)
        train, validation = (self.with_images(run, part) for part in (split.train, split.validation))
        return replace(split, train=train, validation=validation)

    def transfer(self, run: Run, split: data.Split, cut_off: int = 0, **how: Any) -> transfer.Result:
        """Do the call of a run on a split.

        Parameters
        ----------
        run : Run
        split : data.Split
            Of activations, if the first `cut_off` layers were computed beforehand.
        cut_off : int
        **how
            To add to the call, such as ``watch``.

        Returns
        -------
        transfer.Result
        """
        source = self.source(run.source)
        if run.method != "from scratch":
            source = self.suffix(run) if self.keeps(run) else self.network(run)
        depths = {name: depth - cut_off for name, depth in run.call().keywords.items() if name in ("copy", "freeze")}
        names = {"images": self.target(run)} | self.knowledge(run)
        return run.apply(source, split, names, points=POINTS, **depths, **how)

    def shifted(self, run: Run, kind: str) -> data.Dataset:
        """Return the test rows of a run's target under a shift."""

        def shift(_: object) -> data.Dataset:
            dataset = self.target(run)
            return perturbations.shifted(dataset.rows(dataset.held_out), kind)

        return self._once("shifted", (_sized(run), kind), shift)

    def with_images(self, run: Run, numbered: data.Dataset) -> data.Dataset:
        """Return a part of a split with its images in the place of their row numbers."""
        return replace(numbered, images=self.target(run).images[numbered.images])

    def fingerprints(self, run: Run) -> dict[str, str]:
        """Return fingerprints of what a run's names stand for here: networks and images that are used, rules, its plan.

        Parameters
        ----------
        run : Run

        Returns
        -------
        dict of str to str
            From each role of `names.named` to sixteen hexadecimal digits.
        """
        prints = {}
        for role, name in named(run).items():
            if role == "rules":
                prints[role] = fingerprints.of_rules(made(role, name, resolved(name)), self.target(run))
            elif role == "plan":
                prints[role] = fingerprints.of_file(name)
            elif role == "target":
                prints[role] = self._once("print of target", _sized(run), self._print_of_data)
            else:
                prints[role] = self._once("print of source", name, lambda name: _print_of(name, self.source(name)))
        return prints

    def _print_of_data(self, sized: Sized) -> str:
        return fingerprints.of_data(self._once("target", sized, _target))

    def renew(self, runs: Sequence[Run], anew: bool = False) -> None:
        """Forget everything if a name of these runs stands for something else than before: nothing kept is right then.

        Parameters
        ----------
        runs : sequence of Run
        anew : bool
            Call each ``"module:function"`` again, to see whether it returns the same. By default only another function
            of that name is noticed, and another file behind the name of a target.
        """
        names = {item for run in runs for item in named(run).items() if item[0] in ("source", "teacher")}
        for name in sorted({name for _, name in names}):
            self._renew("source", name, name, _source, functools.partial(_print_of, name), anew)
        for sized in sorted({_sized(run) for run in runs}):
            self._renew("target", sized[0], sized, _target, fingerprints.of_data, anew)

    def _renew(
        self,
        kind: str,
        name: str,
        thing: Any,
        make: Callable[[Any], Any],
        print_of: Callable[[Any], str],
        anew: bool,
    ) -> None:
        state, old = fingerprints.state(kind, name), self._states.get((kind, thing))
        self._states[kind, thing] = state
        if (kind, thing) not in self._made or (state == old and not (anew and ":" in name)):
            return
        fresh = make(thing)
        if print_of(fresh) != print_of(self._made[kind, thing]):
            self._made.clear()
            self._activations.clear()
            self._made[kind, thing] = fresh

    def _once(self, kind: str, name: Any, make: Callable[[Any], Any]) -> Any:
        if (kind, name) not in self._made:
            self._made[kind, name] = make(name)
        return self._made[kind, name]


class Activations:
    """The activations of one network for the images of one data set, computed when they are asked for.

    Parameters
    ----------
    network : keras.Model
    images : ndarray, shape (N, ...)
    """

    def __init__(self, network: keras.Model, images: np.ndarray) -> None:
        self._run, self._images = models.compiled(network), images
        self._shape = network.outputs[0].shape[1:]
        self._blocks: list[
            np.ndarray
        ] = []  # what was computed at a time: few scattered rows take no more than their size
        self._count = 0
        self._places = np.full(len(images), -1)  # where a row stands in the blocks, one after the other
        self.seconds = 0.0

    @property
    def nbytes(self) -> int:
        """Bytes of what was computed so far."""
        return sum(block.nbytes for block in self._blocks)

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Return the activations of some rows, shape (len(index), ...); those that are missing are computed."""
        missing = np.unique(index[self._places[index] < 0])
        if len(missing):
            begin = time.perf_counter()
            self._blocks.append(self._run(self._images[missing]))
            self._places[missing] = self._count + np.arange(len(missing))
            self._count += len(missing)
            self.seconds += time.perf_counter() - begin
        places, begin = self._places[index], 0
        rows = np.empty((len(index), *self._shape), "float32")
        for block in self._blocks:
            here = (places >= begin) & (places < begin + len(block))
            rows[here] = block[places[here] - begin]
            begin += len(block)
        return rows


def _source(name: str) -> keras.Model:
    return made("source", name, resolved(name)) if ":" in name else recipes.network(name).value(str)


def _print_of(name: str, network: keras.Model) -> str:
    return fingerprints.of_network(network, built=":" in name)


def _sized(run: Run) -> Sized:
    """Return what names the images of a run: its target, and their size where it is not the usual one."""
    return run.target, tuple(recipes.size_for(run.source, run.target).items())


def _target(sized: Sized) -> data.Dataset:
    name, size = sized
    if ":" in name:
        return made("target", name, resolved(name))
    if name not in TARGETS:
        raise ExperimentError(f"Unknown target {name!r}. Known: {', '.join(TARGETS)}, or 'module:function'.")
    if name == "digits":
        return recipes.images(name).value(str)
    dataset = recipes.images(name, complete=True, **dict(size)).value(str)
    if dataset.name != name:
        raise ExperimentError(f"{name!r} is not here, and {dataset.name!r} must not be recorded in its place.")
    return dataset


def cut(network: keras.Model, run: Run) -> str | None:
    """Name the end of a run's frozen prefix: the last place before a layer trains or varies; None where there is none.

    Noise between frozen layers is off. Augmentation is not: behind it nothing is the same in every step.
    """
    whole = graph.opened(network)
    names = [layer.name for layer in models.weight_layers(whole)]
    silent = running.silent_noise(whole, names[: run.layers_frozen])
    places, last = graph.places(whole), None
    for node in graph.nodes_of(whole):
        name = node.operation.name
        if name in names[run.layers_frozen :] or (running.varies(node.operation) and name not in silent):
            break
        last = name if name in places else last
        if name == run.layer:
            break
    return last
