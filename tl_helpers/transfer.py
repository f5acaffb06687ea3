"""The methods of transfer and their baselines: one call shape, one immutable result.

Taught in: chapter 3 (The three methods) and its sections; chapter 4 (Worked example).
"""

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tl_helpers import knowledge as knowledges
from tl_helpers import models, training
from tl_helpers.backend import keras


class TransferError(ValueError):
    """The settings of a transfer make no sense together."""


@dataclass(frozen=True)
class Score:
    """How a network did on one data set.

    Attributes
    ----------
    accuracy : float
        Share of images classified rightly.
    per_class_accuracy : ndarray, shape (classes,), float64
        The same for the images of each class; NaN for a class without images.
    confusion : ndarray, shape (classes, classes), int64
        Row: true class, column: predicted class.
    predictions : ndarray, shape (N,), int64
        Predicted class of each image.
    """

    accuracy: float
    per_class_accuracy: np.ndarray
    confusion: np.ndarray
    predictions: np.ndarray


@dataclass(frozen=True)
class Result:
    """A network adapted to a target task, and what it cost. Fitting never sees the test set.

    Attributes
    ----------
    method : str
    model : keras.Model
        Images ``(N, 32, 32, 3)``, 0 to 255, to logits ``(N, classes)``.
    history : training.History
    validation_accuracy : float
        After the last step.
    trainable_parameters : int
        Numbers that a training step updates (in the last phase, where there are two).
    seconds : float
        Wall-clock time of the forward pass through the frozen part and of all training steps.
    settings : mapping
        Every argument of the call but the source and the data.
    """

    method: str
    model: keras.Model
    history: training.History
    validation_accuracy: float
    trainable_parameters: int
    seconds: float
    settings: Mapping

    def evaluate(self, dataset):
        """Score the network on a data set: `evaluate`."""
        return evaluate(self.model, dataset)


def evaluate(model, dataset):
    """Score a network on a data set.

    Parameters
    ----------
    model : keras.Model
        Images to logits.
    dataset : data.Dataset
        For a final number: the test part of a split, once.

    Returns
    -------
    Score

    Raises
    ------
    TransferError
        If the network has another number of classes.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    classes = len(dataset.class_names)
    if model.outputs[0].shape[-1] != classes:
        raise TransferError(
            f"The network has {model.outputs[0].shape[-1]} outputs, but {dataset.name!r} has {classes} classes."
        )
    predictions = models.outputs(model, dataset.images).argmax(1)
    confusion = np.bincount(dataset.labels * classes + predictions, minlength=classes**2).reshape(classes, classes)
    counts = confusion.sum(1)
    per_class = np.full(classes, np.nan)
    np.divide(np.diag(confusion), counts, out=per_class, where=counts > 0)
    return Score(float(np.mean(predictions == dataset.labels)), per_class, confusion, predictions)


def feature_extraction(source, split, *, layer="conv3", head=(), initialisation="source", standardise=True, **budget):
    """Train a new head on the frozen features of a source network.

    Parameters
    ----------
    source : keras.Model
        A chain of layers, for instance `models.pretrained()`.
    split : data.Split
        Its ``train`` part trains, its ``validation`` part is scored on the way, its ``test`` part is not touched.
    layer : str
        The last layer that is kept. ``"rescale"`` keeps none: the head then sees pixels, and a linear head is logistic
        regression.
    head : tuple of int
        Widths of the hidden dense layers before the output layer; ``()`` is a linear head.
    initialisation : {"source", "random"}
        ``"random"`` keeps the architecture and draws new weights: the random-feature control.
    standardise : bool
        Shift and scale the features by their mean and variance over the training images, and only those: (f − μ) /
        √(σ² + ε), where ε is the mean of all features' variances.
    **budget
        ``learning_rate=1e-3``, ``steps=200``, ``batch_size=32``, ``seed=0``, ``points=20``, ``progress=False``,
        ``watch=None``; see `training.fit`. The seed decides new weights and the order of the images.

    Returns
    -------
    Result

    Raises
    ------
    TransferError, ModelError, TrainingError
        If a setting makes no sense.

    References
    ----------
    Donahue et al. (2014), DeCAF; Sharif Razavian et al. (2014). Taught in: chapter 4 (Worked example).
    """
    depth = _trunk_depth(source, layer)
    shape = {"layer": layer, "head": head, "copy": depth, "freeze": depth, "standardise": standardise}
    return _adapt("feature extraction", source, split, initialisation=initialisation, **shape, **budget)


def parameter_transfer(
    source,
    split,
    *,
    copy=None,
    freeze=0,
    layer="conv3",
    head=(),
    initialisation="source",
    head_rate=None,
    probe_steps=0,
    **budget,
):
    """Start the first layers from the source weights, freeze some of them, train the rest.

    Parameters
    ----------
    source, split, layer, head, budget
        As for `feature_extraction`.
    copy : int, optional
        How many layers start from the source's weights, θ⁰_target = θ_source; the rest starts random. By default all up
        to `layer`.
    freeze : int
        How many of the copied layers never change.
    initialisation : {"source", "random"}
        ``"random"`` puts random weights where the source's would be copied: what freezing alone does.
    head_rate : float, optional
        A learning rate of its own for the layers that are not copied; ``learning_rate`` is then the copied layers'.
    probe_steps : int
        So many of the ``steps`` train only the layers that are not copied, before the others join: LP-FT, linear
        probing and then fine-tuning. Each of the two phases has its own decay of the learning rate.

    Returns
    -------
    Result

    Raises
    ------
    TransferError, ModelError, TrainingError
        If a setting makes no sense.

    References
    ----------
    Yosinski et al. (2014), section 2; Howard and Ruder (2018), section 3.2 (a rate a layer); Kumar et al. (2022)
    (LP-FT). Taught in: chapter 3.2 (Parameter transfer).
    """
    shape = {"layer": layer, "head": head, "copy": copy, "freeze": freeze, "standardise": False}
    phases = {"head_rate": head_rate, "probe_steps": probe_steps}
    return _adapt("parameter transfer", source, split, initialisation=initialisation, **shape, **phases, **budget)


def knowledge_transfer(source, split, *, knowledge=(), **settings):
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

    Returns
    -------
    Result

    Raises
    ------
    TransferError, ModelError, TrainingError, KnowledgeError
        If a setting makes no sense.

    References
    ----------
    Those of each class. Taught in: chapter 3.3 (Knowledge transfer).
    """
    shape = {"layer": "conv3", "head": (), "copy": None, "freeze": 0, "initialisation": "source"}
    settings = shape | settings | {"standardise": False, "knowledge": tuple(knowledge)}
    return _adapt("knowledge transfer", source, split, **settings)


def from_scratch(split, *, architecture=None, layer="conv3", head=(), **budget):
    """Train the same network without any source: the baseline that every transfer has to beat.

    Parameters
    ----------
    split, layer, head, budget
        As for `feature_extraction`.
    architecture : keras.Model, optional
        Network whose layers, not weights, are used; by default `models.source_cnn()`.

    Returns
    -------
    Result

    Raises
    ------
    TransferError, ModelError, TrainingError
        If a setting makes no sense.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    network = architecture or models.source_cnn()
    shape = {"layer": layer, "head": head, "copy": 0, "freeze": 0, "standardise": False}
    return _adapt("from scratch", network, split, initialisation="random", **shape, **budget)


def target_network(
    source, *, classes, layer="conv3", head=(), copy=0, initialisation="source", standardise=False, seed=0
):
    """Build a target network: the source's layers up to a cut, and a new head.

    Parameters
    ----------
    source, layer, head, copy, initialisation, seed
        As for `parameter_transfer`.
    classes : int
        Outputs of the head.
    standardise : bool
        Put a layer that standardises the features between trunk and head; its statistics are still to be set.

    Returns
    -------
    keras.Sequential
        Images to logits. The output layer is named ``head`` and starts at zero: with few labels, a random start of a
        thousand weights a class is noise that training never quite removes.

    Raises
    ------
    TransferError, ModelError
        If a setting makes no sense.
    """
    if initialisation not in ("source", "random"):
        raise TransferError(f"initialisation is 'source' or 'random', found {initialisation!r}.")
    kept = models.features_at(source, layer).layers
    new = [] if len(kept[-1].output.shape) == 2 else [keras.layers.Flatten(name="features")]
    new += [keras.layers.Normalization(name="standardise")] if standardise else []
    new += [keras.layers.Dense(width, "relu", name=f"hidden{i}") for i, width in enumerate(head, 1)]
    new += [keras.layers.Dense(classes, kernel_initializer="zeros", name="head")]
    trunk = [type(old).from_config(old.get_config()) for old in kept[1:]]
    image = keras.Input(source.inputs[0].shape[1:], name="image")
    model = models.reseeded(keras.Sequential([image, *trunk, *new], name="target"), seed)
    return models.copy_weights(source, model, copy) if initialisation == "source" else model


def _adapt(
    method,
    source,
    split,
    *,
    layer,
    head,
    copy,
    freeze,
    initialisation,
    standardise,
    knowledge=(),
    head_rate=None,
    probe_steps=0,
    learning_rate=1e-3,
    steps=200,
    batch_size=32,
    seed=0,
    points=20,
    progress=False,
    watch=None,
):
    """Build the target network and train it: all that is not frozen, or first the new layers and then all."""
    copy = _trunk_depth(source, layer) if copy is None else copy
    settings = {k: v for k, v in locals().items() if k not in ("method", "source", "split", "progress", "watch")}
    _check_depths(source, layer, copy, freeze)
    _check_phases(steps, probe_steps, head_rate)
    model = target_network(
        source,
        classes=len(split.train.class_names),
        layer=layer,
        head=head,
        copy=copy,
        initialisation=initialisation,
        standardise=standardise,
        seed=seed,
    )
    copied = copy if initialisation == "source" else 0
    setting = knowledges.Adaptation(source, model, split.train, copied, freeze)
    new = {layer.name: head_rate for layer in models.weight_layers(model)[copy:] if head_rate is not None}
    shared = {"learning_rate": learning_rate, "batch_size": batch_size, "layer_rates": new}
    terms = [item.term(setting) for item in knowledge]
    history, seconds = None, 0.0
    for frozen, share, order in _phases(freeze, copy, steps, probe_steps, seed):
        label = method if progress else None
        look = watch and functools.partial(_watch_on, watch, history)
        budget = {"steps": share, "seed": order, "points": points, "progress": label, "watch": look}
        part, cost = _train_rest(model, split, frozen, standardise, terms, **budget, **shared)
        history = part if history is None else history.then(part)
        seconds += cost
        if part.steps[-1] < share:
            break
    return Result(
        method,
        model,
        history,
        history.validation_accuracy[-1],
        sum(int(np.prod(weight.shape)) for weight in model.trainable_variables),
        seconds,
        MappingProxyType(settings),
    )


def _phases(freeze, copy, steps, probe_steps, seed):
    """List what to train in which order: (layers frozen, steps, seed of the batches)."""
    if not probe_steps:
        return [(freeze, steps, seed)]
    return [(copy, probe_steps, seed), (freeze, steps - probe_steps, [seed, 1])]


def _watch_on(watch, earlier, part):
    """Show a phase together with the one before it."""
    return watch(part if earlier is None else earlier.then(part))


def _train_rest(model, split, frozen, standardise, terms, **settings):
    """Run the frozen part of a network once, train the rest; return the history and the seconds of both."""
    models.freeze(model, frozen)
    begin = time.perf_counter()
    prefix, trained = _cut_at_first_trained(model, frozen)
    run = models.compiled(prefix) if prefix else np.asarray
    inputs, validation = run(split.train.images), run(split.validation.images)
    seconds = time.perf_counter() - begin if prefix else 0.0
    if standardise:
        _set_statistics(model.get_layer("standardise"), inputs)
    here = {layer.name for layer in trained.layers}
    rates = {name: rate for name, rate in settings.pop("layer_rates").items() if name in here}
    history = training.fit(
        trained,
        inputs,
        split.train.labels,
        validation=(validation, split.validation.labels),
        layer_rates=rates,
        terms=[term for term in terms if here.issuperset(term.taps)],
        **settings,
    )
    return history, seconds + history.seconds


def _trunk_depth(source, layer):
    return len(models.weight_layers(models.features_at(source, layer)))


def _check_depths(source, layer, copy, freeze):
    depth = _trunk_depth(source, layer)
    if not 0 <= copy <= depth:
        raise TransferError(
            f"copy={copy}: up to {layer!r} the source has {depth} layers with weights; give 0 to {depth}."
        )
    if not 0 <= freeze <= copy:
        raise TransferError(
            f"freeze={freeze} with copy={copy}: only copied layers can be frozen. Lower freeze, or copy more layers."
        )


def _check_phases(steps, probe_steps, head_rate):
    if not 0 <= probe_steps < max(steps, 1):
        raise TransferError(
            f"probe_steps={probe_steps} of steps={steps}: give 0 to {steps - 1}, so that some are left."
        )
    if head_rate is not None and not head_rate > 0:
        raise TransferError(f"Expected head_rate > 0, found {head_rate}.")


def _cut_at_first_trained(model, depth):
    """Split a chain into the part before the first trained layer and the rest; both share the chain's layers."""
    trained = {layer.name for layer in models.weight_layers(model)[depth:]}
    cut = next(i for i, layer in enumerate(model.layers) if layer.name in trained)
    while cut and isinstance(model.layers[cut - 1], keras.layers.Normalization):
        cut -= 1
    if depth == 0 and cut <= 1:
        return None, model
    shape = model.layers[cut].input.shape[1:]
    return (
        keras.Sequential([keras.Input(model.inputs[0].shape[1:]), *model.layers[:cut]]),
        keras.Sequential([keras.Input(shape), *model.layers[cut:]]),
    )


def _set_statistics(layer, features):
    """Set mean and variance from the training features; every variance is raised by the mean variance.

    With a few images some features hardly vary, or not at all. Dividing by their tiny standard deviation would let
    them outweigh all others in the first test image in which they do vary.
    """
    layer.adapt(features)
    variance = layer.adapt_variance.numpy()
    layer.adapt_variance.assign(variance + max(variance.mean(), np.finfo("float32").tiny))
    layer.finalize_state()
