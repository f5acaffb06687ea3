"""The methods of transfer and their baselines: one call shape, one immutable result.

Taught in: chapter 3 (The three methods) and its sections; chapter 4 (Worked example).
"""

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Unpack, cast

import numpy as np

from tl_base import prefixes, running
from tl_base.backend import keras
from tl_helpers import models, training
from tl_helpers.data import Dataset, Split
from tl_helpers.knowledge import Adaptation, Knowledge

# NAME as NAME: what chapters and the other modules read as transfer.NAME
from tl_helpers.results import Result as Result
from tl_helpers.results import Score as Score
from tl_helpers.results import TransferError as TransferError
from tl_helpers.results import averaged as averaged
from tl_helpers.results import check_names
from tl_helpers.results import evaluate as evaluate
from tl_helpers.training import Budget, History

PATIENCE = 2.0  # seconds without a progress bar
Initialisation = Literal["source", "random"]
Widths = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Settings(training.Schedule):
    """The arguments of a transfer but its source and its data; the defaults are those of `parameter_transfer`."""

    layer: str | None = None
    head: Widths = ()
    copy: int | str | None = None
    freeze: int | str | None = 0  # None: all
    initialisation: Initialisation = "source"
    standardise: bool = False
    knowledge: tuple[Knowledge, ...] = ()
    head_rate: float | None = None
    probe_steps: int = 0
    batch_statistics: bool = False


def feature_extraction(
    source: keras.Model,
    split: Split,
    *,
    layer: str | None = None,
    head: Widths = (),
    initialisation: Initialisation = "source",
    standardise: bool = True,
    **budget: Unpack[Budget],
) -> Result:
    """Train a new head on the frozen features of a source network.

    Parameters
    ----------
    source : keras.Model
        Any functional or Sequential model, for instance `models.pretrained()` or one of ``keras.applications``: with
        branches, networks inside it, preprocessing, BatchNormalization. What is frozen runs as in inference; layers
        that vary the images at random (augmentation) go on doing so in training.
    split : data.Split
        Its ``train`` part trains, its ``validation`` part is scored on the way, its ``test`` part is not touched.
    layer : str, optional
        The last layer that is kept, one of `models.places`; by default the last one before the classifier, ``"conv3"``
        of `models.source_cnn`. ``"rescale"`` keeps none: the head then sees pixels, and a linear head is logistic
        regression.
    head : tuple of int
        Widths of the hidden dense layers before the output layer; ``()`` is a linear head.
    initialisation : {"source", "random"}
        ``"random"`` keeps the architecture and draws new weights: the random-feature control.
    standardise : bool
        Shift and scale the features by their mean and variance over the training images, and only those: (f − μ) /
        √(σ² + ε), where ε is the mean of all features' variances.
    **budget : training.Budget

    Raises
    ------
    TransferError, ModelError, TrainingError
        If a setting makes no sense.

    References
    ----------
    Donahue et al. (2014), DeCAF; Sharif Razavian et al. (2014). Taught in: chapter 4 (Worked example).
    """
    settings = Settings(layer=layer, head=head, initialisation=initialisation, freeze=None, **budget)
    return _adapt("feature extraction", source, split, replace(settings, standardise=standardise))


def parameter_transfer(
    source: keras.Model,
    split: Split,
    *,
    copy: int | str | None = None,
    freeze: int | str = 0,
    layer: str | None = None,
    head: Widths = (),
    initialisation: Initialisation = "source",
    head_rate: float | None = None,
    probe_steps: int = 0,
    batch_statistics: bool = False,
    **budget: Unpack[Budget],
) -> Result:
    """Start the first layers from the source weights, freeze some of them, train the rest.

    Parameters
    ----------
    source, split, layer, head, budget
        As for `feature_extraction`. All keyword arguments are the interface, hence the many parameters.
    copy : int or str, optional
        How many layers start from the source's weights, θ⁰_target = θ_source, or the name of the last one; the rest
        starts random. By default all up to `layer`.
    freeze : int or str
        How many of the copied layers never change, or the name of the last one. They run as in inference.
    initialisation : {"source", "random"}
        ``"random"`` puts random weights where the source's would be copied: what freezing alone does.
    head_rate : float, optional
        Learning rate of the layers that are not copied; ``learning_rate`` is then the copied layers'.
    probe_steps : int
        So many of the ``steps`` train only the layers that are not copied, before the others join: linear probing,
        then fine-tuning (LP-FT). The learning rate falls in each phase anew.
    batch_statistics : bool
        Whether the BatchNormalization of copied layers that train uses each batch's statistics, and moves its stored
        ones, or keeps the source's: those of a few images are noise. Layers that start random always do the former.

    Raises
    ------
    TransferError, ModelError, TrainingError
        If a setting makes no sense.

    References
    ----------
    Yosinski et al. (2014), section 2; Howard and Ruder (2018), section 3.2 (a rate a layer); Kumar et al. (2022)
    (LP-FT). Taught in: chapters 3.2 (Parameter transfer) and 3.3 (Parameter transfer: rates and phases).
    """
    settings = Settings(copy=copy, freeze=freeze, layer=layer, head=head, initialisation=initialisation, **budget)
    phases = replace(settings, head_rate=head_rate, probe_steps=probe_steps, batch_statistics=batch_statistics)
    return _adapt("parameter transfer", source, split, phases)


def knowledge_transfer(
    source: keras.Model, split: Split, *, knowledge: Sequence[Knowledge] = (), **settings: Any
) -> Result:
    """Train the target under rules or constraints: `parameter_transfer` with more in the loss than the labels.

    Parameters
    ----------
    source, split
        As for `feature_extraction`.
    knowledge : sequence
        Any of `tl_helpers.knowledge`: ``L2SP``, ``Distillation``, ``AttentionTransfer``, ``LogicRules``. Without any,
        the call is that of `parameter_transfer`, step for step.
    **settings
        As for `parameter_transfer`; ``copy=0`` trains a fresh network, so that the knowledge alone is transferred. With
        ``probe_steps``, a term that needs the activations of a copied layer waits for the second phase.

    Raises
    ------
    TransferError, ModelError, TrainingError, KnowledgeError
        If a setting makes no sense.

    References
    ----------
    Those of each class. Taught in: chapters 3.5 to 3.7 (Knowledge transfer).
    """
    complete = Settings(knowledge=tuple(knowledge), standardise=False, **settings)
    return _adapt("knowledge transfer", source, split, complete)


def from_scratch(
    split: Split,
    *,
    architecture: "keras.Model | None" = None,
    layer: str | None = None,
    head: Widths = (),
    **budget: Unpack[Budget],
) -> Result:
    """Train the same network without any source: the baseline that every transfer has to beat.

    Taught in: chapter 4 (Worked example).

    Parameters
    ----------
    split, layer, head, budget
        As for `feature_extraction`.
    architecture : keras.Model, optional
        Network whose layers, not weights, are used; by default `models.source_cnn`, at 32×32 pixels whatever the
        images have.

    Raises
    ------
    TransferError, ModelError, TrainingError
        If a setting makes no sense.
    """
    settings = Settings(layer=layer, head=head, copy=0, initialisation="random", **budget)
    network = architecture or models.source_cnn(image_shape=split.train.images.shape[1:])
    return _adapt("from scratch", network, split, settings)


def target_network(
    source: keras.Model,
    *,
    classes: int,
    layer: str | None = None,
    head: Widths = (),
    copy: int | str = 0,
    initialisation: Initialisation = "source",
    standardise: bool = False,
    seed: int = 0,
    image_shape: tuple[int, ...] | None = None,
) -> keras.Model:
    """Build a target network, which has many parameters of its own: the source's layers up to a cut, and a new head.

    Parameters
    ----------
    source, layer, head, copy, initialisation, seed
        As for `parameter_transfer`.
    classes : int
        Outputs of the head.
    standardise : bool
        Put a layer that standardises the features between trunk and head; its statistics are still to be set.
    image_shape : tuple of int, optional
        Of one image, where the source leaves its size open.

    Returns
    -------
    keras.Model
        Images to logits, with the source's layer names; networks inside the source are opened. The output layer is
        named ``head`` and starts at zero: with few labels, a random start of a thousand weights a class is noise that
        training never quite removes.

    Raises
    ------
    TransferError, ModelError
        If a setting makes no sense.
    """
    trunk = prefixes.trunk(source, layer, seed, image_shape)
    copied = _copied(initialisation, models.depth_of(trunk, copy))
    _check_depths(trunk, copied, 0)
    prefixes.copy_layers(source, models.weight_layers(trunk)[:copied])
    return _with_head(trunk, classes, head, standardise, seed)[0]


def _copied(initialisation: str, copy: int) -> int:
    """Return how many layers start from the source's weights."""
    if initialisation not in ("source", "random"):
        raise TransferError(f"initialisation is 'source' or 'random', found {initialisation!r}.")
    return copy if initialisation == "source" else 0


def _with_head(
    trunk: keras.Model, classes: int, head: Widths, standardise: bool, seed: int
) -> "tuple[keras.Model, keras.layers.Normalization | None]":
    """Put a new head on a trunk; return the network and the layer that standardises, if any."""
    layers = [] if len(trunk.output.shape) == 2 else [keras.layers.Flatten(name="features")]
    layers += [keras.layers.Normalization(name="standardise")] if standardise else []
    layers += [keras.layers.Dense(width, "relu", name=f"hidden{i}") for i, width in enumerate(head, 1)]
    layers += [keras.layers.Dense(classes, kernel_initializer="zeros", name="head")]
    model = prefixes.extended(trunk, layers, seed, "target")
    return model, model.layers[-2 - len(head)] if standardise else None


@dataclass(frozen=True)
class _Target:
    """A target network before its first step. Depths count layers with weights, those before the head: `depth`."""

    model: keras.Model
    scaling: "keras.layers.Normalization | None"
    depth: int
    copy: int
    copied: int
    freeze: int


def _target(source: keras.Model, train: Dataset, settings: Settings) -> tuple[_Target, Settings]:
    """Build the target network; return it and the settings with all that depends on source and data."""
    seed, shape = cast(int, settings.seed), train.images.shape[1:]  # only `training.fit` takes several numbers
    running.check_images(source, shape)
    trunk = prefixes.trunk(source, settings.layer, seed, shape)
    layers, steps = models.weight_layers(trunk), settings.steps_on(len(train))
    named = settings.copy, settings.freeze
    copy, freeze = (len(layers) if last is None else models.depth_of(trunk, last) for last in named)
    _check_depths(trunk, copy, freeze)
    _check_phases(steps, settings.probe_steps, settings.head_rate)
    copied = _copied(settings.initialisation, copy)
    prefixes.copy_layers(source, layers[:copied])
    prefixes.check_copy(source, trunk, [layer.name for layer in layers[copied:]], train.images[:4], TransferError)
    model, scaling = _with_head(trunk, len(train.class_names), settings.head, settings.standardise, seed)
    target = _Target(model, scaling, len(layers), copy, copied, freeze)
    return target, replace(settings, layer=prefixes.last(trunk), copy=copy, freeze=freeze, steps=steps)


def _adapt(method: str, source: keras.Model, split: Split, settings: Settings) -> Result:
    """Build the target network and train it: all that is not frozen, or first the new layers and then all."""
    for part in (split.validation, split.test):
        check_names(split.train.class_names, part, f"{split.train.name!r} trains on")
    target, settings = _target(source, split.train, settings)
    adaptation = Adaptation(source, target.model, split.train, target.copied, target.freeze)
    terms = [item.term(adaptation) for item in settings.knowledge]
    if settings.augment and any(term.taps and term.targets is not None for term in terms):
        raise TransferError(
            "augment moves the images, and attention says where to look in them. Leave one of them out."
        )
    label = None if settings.progress is False else method if settings.progress else (method, PATIENCE)
    history, seconds = History(), 0.0
    for frozen, steps, seed in _phases(target, settings):
        watch = functools.partial(_watch_on, settings.watch, history) if settings.watch else None
        phase = replace(settings, steps=steps, seed=seed, progress=label, watch=watch)
        done, cost = _train_rest(target, split, frozen, terms, phase)
        history, seconds = history.then(done), seconds + cost
        if done.steps[-1] < steps:
            break
    kept = {name: value for name, value in vars(settings).items() if name not in ("progress", "watch")}
    trained = sum(int(np.prod(weight.shape)) for weight in target.model.trainable_variables)
    scores, names = done.validation_accuracy, tuple(split.train.class_names)
    score = max(scores) if settings.stop_early else scores[-1]
    return Result(method, target.model, history, score, trained, seconds + history.seconds, kept, names)


def _phases(target: _Target, settings: Settings) -> list[tuple[int, int, training.Seed]]:
    """List what to train in which order: (layers frozen, steps, seed of the batches)."""
    seed, probe, steps = settings.seed, settings.probe_steps, cast(int, settings.steps)
    if not probe:
        return [(target.freeze, steps, seed)]
    return [(target.copy, probe, seed), (target.freeze, steps - probe, [cast(int, seed), 1])]


def _watch_on(watch: Callable[[History], Any], earlier: History, part: History) -> Any:
    """Show a phase together with the one before it."""
    return watch(earlier.then(part))


def _train_rest(
    target: _Target, split: Split, frozen: int, terms: list[training.Term], settings: Settings
) -> tuple[History, float]:
    """Run what is the same in every step once, train the rest; return the history and the seconds of the former."""
    model, scaling = models.freeze(target.model, frozen), target.scaling
    layers = models.weight_layers(model)
    still = prefixes.still(model, layers, 0 if settings.batch_statistics else target.copied)
    begin, prefix, rest, images = time.perf_counter(), None, model, split.train.images
    if frozen or not target.depth:  # else nothing is run beforehand: activations take more memory than images
        count = len(split.train) + len(split.validation)
        prefix, rest = prefixes.split(model, layers, still, {scaling.name} if scaling else (), count)
    run = prefixes.runner(prefix, "frozen layers" if settings.progress else None) if prefix else np.asarray
    inputs, validation = images if settings.augment else run(images), run(split.validation.images)
    seconds = time.perf_counter() - begin if prefix else 0.0
    if scaling:
        ready = prefix and inputs is not images and prefix.outputs[0] is scaling.input  # nothing that varies between
        features = inputs if ready else prefixes.runner(keras.Model(model.inputs, scaling.input))(images)
        _set_statistics(scaling, features)
    trains = model if settings.augment else rest
    here = {layer.name for layer in trains.layers}
    new = [] if settings.head_rate is None else [layer.name for layer in layers[target.copy :]]
    history = training.fit(
        trains,
        inputs,
        split.train.labels,
        validation=(validation, split.validation.labels, rest),
        terms=[term for term in terms if here.issuperset(term.taps)],
        layer_rates=dict.fromkeys(here.intersection(new), cast(float, settings.head_rate)),
        still=still,
        **settings.budget(),
    )
    return history, seconds


def _check_depths(trunk: keras.Model, copy: int, freeze: int) -> None:
    depth, end = len(models.weight_layers(trunk)), prefixes.last(trunk)
    if not 0 <= copy <= depth:
        raise TransferError(f"copy={copy}: up to {end!r} there are {depth} layers with weights; give 0 to {depth}.")
    if not 0 <= freeze <= copy:
        raise TransferError(
            f"freeze={freeze} with copy={copy}: only copied layers can be frozen. Lower freeze, or copy more layers."
        )


def _check_phases(steps: int, probe_steps: int, head_rate: float | None) -> None:
    if not 0 <= probe_steps < max(steps, 1):
        raise TransferError(f"probe_steps={probe_steps} of steps={steps}: give 0 to {steps - 1}; some are to be left.")
    if head_rate is not None and not head_rate > 0:
        raise TransferError(f"Expected head_rate > 0, found {head_rate}.")


def _set_statistics(layer: keras.layers.Normalization, features: np.ndarray) -> None:
    """Set mean and variance from the training features; every variance is raised by the mean variance.

    With a few images some features hardly vary, or not at all. Dividing by their tiny standard deviation would let
    them outweigh all others in the first test image in which they do vary.
    """
    layer.adapt(features)
    variance = layer.adapt_variance.numpy()
    layer.adapt_variance.assign(variance + max(variance.mean(), np.finfo("float32").tiny))
    layer.finalize_state()
