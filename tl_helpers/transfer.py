"""The methods of transfer and their baselines: one call shape, one immutable result.

Taught in: chapter 3 (The three methods) and its sections; chapter 4 (Worked example).
"""

import functools
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

import numpy as np

from tl_base import clones, graph, running
from tl_base.backend import keras
from tl_helpers import knowledge as knowledges
from tl_helpers import models, training


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
        Images, 0 to 255, in the shape that the source takes, to logits ``(N, classes)``.
    history : training.History
    validation_accuracy : float
        After the last step.
    trainable_parameters : int
        Numbers that a training step updates (in the last phase, where there are two).
    seconds : float
        Wall-clock time of the forward pass through the frozen part and of all training steps.
    settings : mapping
        Every argument of the call but the source and the data, with the defaults that were used.
    class_names : tuple of str
        What the outputs mean, in order.
    """

    method: str
    model: keras.Model
    history: training.History
    validation_accuracy: float
    trainable_parameters: int
    seconds: float
    settings: Mapping
    class_names: tuple

    def evaluate(self, dataset):
        """Score the network on a data set whose classes are those that it learned: `evaluate`."""
        return evaluate(self.model, dataset, self.class_names)

    def __reduce__(self):
        """Let a result be pickled and copied, which a read-only mapping does not allow."""
        values = [getattr(self, field.name) for field in fields(self)]
        return _restored, tuple(dict(value) if isinstance(value, Mapping) else value for value in values)


def _restored(*values):
    return Result(*(MappingProxyType(value) if isinstance(value, dict) else value for value in values))


def evaluate(model, dataset, class_names=None):
    """Score a network on a data set.

    Parameters
    ----------
    model : keras.Model
        Images to logits.
    dataset : data.Dataset
        For a final number: the test part of a split, once.
    class_names : sequence of str, optional
        What the network's outputs mean. Without it, only their number is compared: a bare network has no names.

    Returns
    -------
    Score

    Raises
    ------
    TransferError, ModelError
        If the network has another number of classes, other ones, or the same in another order; if it takes images of
        another shape.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    classes, count = len(dataset.class_names), graph.graph_of(model).outputs[0].shape[-1]
    if count != classes:
        raise TransferError(f"The network has {count} outputs, but {dataset.name!r} has {classes} classes.")
    if class_names is not None:
        _check_names(class_names, dataset, "the network learned")
    predictions = models.outputs(model, dataset.images).argmax(1)
    confusion = np.bincount(dataset.labels * classes + predictions, minlength=classes**2).reshape(classes, classes)
    counts = confusion.sum(1)
    per_class = np.full(classes, np.nan)
    np.divide(np.diag(confusion), counts, out=per_class, where=counts > 0)
    return Score(float(np.mean(predictions == dataset.labels)), per_class, confusion, predictions)


def _check_names(class_names, dataset, whose):
    """Refuse a data set whose labels mean something else."""
    ours, theirs = tuple(map(str, class_names)), tuple(map(str, dataset.class_names))
    if ours == theirs:
        return
    remedy = "A label would mean another class: train on the classes that you score."
    if set(ours) == set(theirs):
        remedy = "Bring them into the same order: data.only(dataset, class_names)."
    raise TransferError(
        f"The classes that {whose} are {graph.listed(ours)}, in this order; {dataset.name!r} has "
        f"{graph.listed(theirs)}. {remedy}"
    )


def feature_extraction(source, split, *, layer=None, head=(), initialisation="source", standardise=True, **budget):
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
    **budget
        ``learning_rate=1e-3``, ``steps=None``, ``batch_size=32``, ``seed=0``, ``points=20``, ``progress=None``,
        ``watch=None``; see `training.fit`. Steps are by default 200, or ten passes over the training images where that
        is more; ``settings`` of the result says how many. A progress bar appears after two seconds, with True at once,
        with False never. The seed decides new weights, random layers and the order of the images.

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
    shape = {"layer": layer, "head": head, "copy": None, "freeze": None, "standardise": standardise}
    return _adapt("feature extraction", source, split, initialisation=initialisation, **shape, **budget)


def parameter_transfer(
    source,
    split,
    *,
    copy=None,
    freeze=0,
    layer=None,
    head=(),
    initialisation="source",
    head_rate=None,
    probe_steps=0,
    batch_statistics=False,
    **budget,
):
    """Start the first layers from the source weights, freeze some of them, train the rest.

    Parameters
    ----------
    source, split, layer, head, budget
        As for `feature_extraction`.
    copy : int or str, optional
        How many layers start from the source's weights, θ⁰_target = θ_source, or the name of the last one; the rest
        starts random. By default all up to `layer`.
    freeze : int or str
        How many of the copied layers never change, or the name of the last one. They run as in inference:
        BatchNormalization on its stored statistics, Dropout off.
    initialisation : {"source", "random"}
        ``"random"`` puts random weights where the source's would be copied: what freezing alone does.
    head_rate : float, optional
        A learning rate of its own for the layers that are not copied; ``learning_rate`` is then the copied layers'.
    probe_steps : int
        So many of the ``steps`` train only the layers that are not copied, before the others join: LP-FT, linear
        probing and then fine-tuning. Each of the two phases has its own decay of the learning rate.
    batch_statistics : bool
        Whether the BatchNormalization of copied layers that train uses the statistics of each batch and moves its
        stored ones. By default it keeps the source's, as Keras's guide to transfer learning does: those of a few images
        are noise. Layers that start random always use each batch's.

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
    phases = {"head_rate": head_rate, "probe_steps": probe_steps, "batch_statistics": batch_statistics}
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
    shape = {"layer": None, "head": (), "copy": None, "freeze": 0, "initialisation": "source"}
    settings = shape | settings | {"standardise": False, "knowledge": tuple(knowledge)}
    return _adapt("knowledge transfer", source, split, **settings)


def from_scratch(split, *, architecture=None, layer=None, head=(), **budget):
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
    source,
    *,
    classes,
    layer=None,
    head=(),
    copy=0,
    initialisation="source",
    standardise=False,
    seed=0,
    image_shape=None,
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
    trunk = _trunk(source, layer, seed, image_shape)
    if initialisation == "source":
        _copy(source, trunk, models.depth_of(trunk, copy))
    elif initialisation != "random":
        raise TransferError(f"initialisation is 'source' or 'random', found {initialisation!r}.")
    return _with_head(trunk, classes, head, standardise, seed)[0]


def _trunk(source, layer, seed, image_shape):
    """Build the source up to the cut, with fresh weights."""
    graph.check_precision(source)
    trunk = clones.clone(source, seed, layer, image_shape)
    if len(trunk.output.shape) < 2 or None in trunk.output.shape[1:]:
        raise models.ModelError(
            f"After {_last(trunk)!r} the network {source.name!r} gives features of shape {tuple(trunk.output.shape)}; "
            "expected a fixed number for each image. Give image_shape, or cut after a layer that pools them."
        )
    return trunk


def _last(trunk):
    return graph.nodes_of(trunk)[-1].operation.name


def _copy(source, trunk, depth):
    """Copy the state of the first `depth` layers with weights."""
    layers, origins = models.weight_layers(trunk), graph.operations_of(source)
    _check_depths(len(layers), _last(trunk), depth, 0)
    for layer in layers[:depth]:
        clones.copy_state(origins[layer.name], layer)


def _with_head(trunk, classes, head, standardise, seed):
    """Put a new head on a trunk; return the network and the layer that standardises, if any."""
    layers = [] if len(trunk.output.shape) == 2 else [keras.layers.Flatten(name="features")]
    scaling = keras.layers.Normalization(name="standardise") if standardise else None
    layers += [scaling] if standardise else []
    layers += [keras.layers.Dense(width, "relu", name=f"hidden{i}") for i, width in enumerate(head, 1)]
    layers += [keras.layers.Dense(classes, kernel_initializer="zeros", name="head")]
    taken, x = {operation.name for operation in trunk.operations}, trunk.output
    for layer in layers:
        layer.name = graph.free(layer.name, "new_", taken)
        made = layer if layer is scaling else clones.fresh_layer(layer, layer.name, seed)
        x = made(x)
    return keras.Model(trunk.input, x, name="target"), scaling


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
    batch_statistics=False,
    learning_rate=1e-3,
    steps=None,
    batch_size=32,
    seed=0,
    points=20,
    progress=None,
    watch=None,
):
    """Build the target network and train it: all that is not frozen, or first the new layers and then all."""
    for part in (split.validation, split.test):
        _check_names(split.train.class_names, part, f"{split.train.name!r} trains on")
    running.check_images(source, split.train.images.shape[1:])
    trunk = _trunk(source, layer, seed, split.train.images.shape[1:])
    layer, depth = _last(trunk), len(models.weight_layers(trunk))
    copy = depth if copy is None else models.depth_of(trunk, copy)
    freeze = depth if freeze is None else models.depth_of(trunk, freeze)
    steps = default_steps(len(split.train), batch_size) if steps is None else steps
    settings = {k: v for k, v in locals().items() if k not in NOT_SETTINGS}
    _check_depths(depth, layer, copy, freeze)
    _check_phases(steps, probe_steps, head_rate)
    if initialisation not in ("source", "random"):
        raise TransferError(f"initialisation is 'source' or 'random', found {initialisation!r}.")
    copied = copy if initialisation == "source" else 0
    _copy(source, trunk, copied)
    _check_copy(source, trunk, copied, split.train.images[:4])
    model, scaling = _with_head(trunk, len(split.train.class_names), head, standardise, seed)
    setting = knowledges.Adaptation(source, model, split.train, copied, freeze)
    new = {layer.name: head_rate for layer in models.weight_layers(model)[copy:] if head_rate is not None}
    shared = {"learning_rate": learning_rate, "batch_size": batch_size, "layer_rates": new}
    terms = [item.term(setting) for item in knowledge]
    history, seconds = None, 0.0
    for frozen, share, order in _phases(freeze, copy, steps, probe_steps, seed):
        look = watch and functools.partial(_watch_on, watch, history)
        budget = {"steps": share, "seed": order, "points": points, "watch": look}
        budget |= {"progress": None if progress is False else method, "delay": PATIENCE if progress is None else 0}
        models.freeze(model, frozen)
        still = _still(model, copied, batch_statistics)
        part, cost = _train_rest(model, split, frozen == depth, scaling, terms, still=still, **budget, **shared)
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
        tuple(split.train.class_names),
    )


NOT_SETTINGS = ("method", "source", "split", "progress", "watch", "part", "trunk", "depth")
PATIENCE = 2.0  # seconds without a progress bar


def default_steps(count, batch_size):
    """Return the training steps of a call that names none: 200, or ten passes over the data where that is more.

    Parameters
    ----------
    count : int
        Training images.
    batch_size : int

    Returns
    -------
    int
    """
    return max(200, math.ceil(10 * count / max(batch_size, 1)))


def _phases(freeze, copy, steps, probe_steps, seed):
    """List what to train in which order: (layers frozen, steps, seed of the batches)."""
    if not probe_steps:
        return [(freeze, steps, seed)]
    return [(copy, probe_steps, seed), (freeze, steps - probe_steps, [seed, 1])]


def _watch_on(watch, earlier, part):
    """Show a phase together with the one before it."""
    return watch(part if earlier is None else earlier.then(part))


def _train_rest(model, split, frozen, scaling, terms, *, still, **settings):
    """Run what is the same in every step once, train the rest; return the history and the seconds of both."""
    begin = time.perf_counter()
    prefix, trained = _cut_at_first_change(model, frozen, scaling, still)
    run = models.compiled(prefix) if prefix else np.asarray
    inputs, validation = run(split.train.images), run(split.validation.images)
    seconds = time.perf_counter() - begin if prefix else 0.0
    if scaling is not None:
        ready = prefix is not None and prefix.outputs[0] is scaling.input  # nothing that varies lies between
        _set_statistics(scaling, inputs if ready else models.outputs(_before(model, scaling), split.train.images))
    here = {layer.name for layer in trained.layers}
    rates = {name: rate for name, rate in settings.pop("layer_rates").items() if name in here}
    history = training.fit(
        trained,
        inputs,
        split.train.labels,
        validation=(validation, split.validation.labels),
        layer_rates=rates,
        terms=[term for term in terms if here.issuperset(term.taps)],
        still=still,
        **settings,
    )
    return history, seconds + history.seconds


def _before(model, scaling):
    """Return the part of a network whose outputs a layer standardises."""
    return keras.Model(model.inputs, scaling.input)


def _cut_at_first_change(model, frozen, scaling, still):
    """Split a network before the first layer that changes, or puts out something else, in a step of training.

    Nothing is run beforehand where no layer is frozen: activations take more memory than images.
    """
    trained = {layer.name for layer in models.weight_layers(model) if layer.trainable}
    varying = {op.name for op in model.operations if running.varies(op) and op.name not in still}
    changing = trained | varying | ({scaling.name} if scaling is not None else set())
    if not frozen and not any(not layer.trainable for layer in models.weight_layers(model)):
        return None, model
    return graph.split_before(model, changing)


def _still(model, copied, batch_statistics):
    """Name the layers that run as in inference: all frozen ones, noise before them, and kept statistics."""
    layers = models.weight_layers(model)
    frozen = {layer.name for layer in layers if not layer.trainable}
    kept = set() if batch_statistics else {layer.name for layer in layers[:copied] if _has_statistics(layer)}
    return frozen | running.silent_noise(model, frozen) | kept


def _has_statistics(layer):
    return any(isinstance(part, keras.layers.BatchNormalization) for part in layer._flatten_layers())


def _check_copy(source, trunk, copied, images):
    """Compare, layer by layer, what source and copy make of a few images, as far as all weights are copied."""
    names = [layer.name for layer in models.weight_layers(trunk)[copied:]]
    other = graph.following(trunk, names)
    expected, found = running.values(source, images), running.values(trunk, images)
    for name, calls in found.items():
        if name in other:
            continue
        for theirs, ours in zip(expected[name], calls, strict=False):
            size = float(np.abs(theirs).max(initial=0))
            if not np.isfinite(size):
                raise TransferError(
                    f"After {name!r} the source gives values that are not finite for these images. Look at its weights "
                    "and at the range of values that it expects."
                )
            apart = float(np.abs(ours - theirs).max(initial=0))
            if not apart <= 1e-4 * size + 1e-6:
                raise TransferError(
                    f"The copy of {source.name!r} gives other features than the source: after {name!r} they differ by "
                    f"{apart:.3g}, where the largest is {size:.3g}. That layer draws random numbers outside training, "
                    "or holds a state that is neither a weight nor in its get_config(). Replace it by a layer of "
                    "Keras, or put its state into weights."
                )


def _check_depths(depth, layer, copy, freeze):
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


def _set_statistics(layer, features):
    """Set mean and variance from the training features; every variance is raised by the mean variance.

    With a few images some features hardly vary, or not at all. Dividing by their tiny standard deviation would let
    them outweigh all others in the first test image in which they do vary.
    """
    layer.adapt(features)
    variance = layer.adapt_variance.numpy()
    layer.adapt_variance.assign(variance + max(variance.mean(), np.finfo("float32").tiny))
    layer.finalize_state()
