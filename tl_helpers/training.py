"""One training loop for every network in the book.

Taught in: chapter 4 (Worked example).
"""

import functools
import itertools
import math
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypedDict, Unpack, cast

import numpy as np
from tqdm import tqdm

from tl_base import augmentation, graph
from tl_base.backend import forget_compiled, keras, tf
from tl_base.running import Runner, check_images, compiled, final_activation, tapped
from tl_base.steps import Best, Groups, Pace, Tensor, adams
from tl_base.steps import TrainingError as TrainingError
from tl_base.steps import batch_rows as batch_rows
from tl_base.steps import compiled as compiled_steps

Taps = dict[str, Tensor]
Seed = int | Sequence[int]
Pair = tuple[np.ndarray, np.ndarray]  # inputs and labels
Scored = Pair | tuple[np.ndarray, np.ndarray, keras.Model]  # and what scores them
Progress = bool | str | tuple[str, float] | None


@dataclass(frozen=True)
class History:
    """What a training run went through.

    Attributes
    ----------
    steps : tuple of int
        Optimiser steps done when each point was recorded.
    loss : tuple of float
        Mean training loss (cross-entropy in nats, the terms beside it, and the network's own losses, such as those of
        its regularizers) since the point before.
    validation_accuracy : tuple of float
        Share of validation images classified rightly at that point; empty without validation data.
    seconds : float
        Wall-clock time of the training steps, without validation.
    """

    steps: tuple[int, ...] = ()
    loss: tuple[float, ...] = ()
    validation_accuracy: tuple[float, ...] = ()
    seconds: float = 0.0

    def then(self, later: "History") -> "History":
        """Return one history of two runs that followed each other."""
        steps = self.steps + tuple(step + max(self.steps, default=0) for step in later.steps)
        scores = self.validation_accuracy + later.validation_accuracy
        return History(steps, self.loss + later.loss, scores, self.seconds + later.seconds)


class Budget(TypedDict, total=False):
    """How fast and how long a network is trained, and who looks on: what `fit` and all methods of transfer take.

    Attributes
    ----------
    learning_rate : float
        At the first step, by default 1e-3.
    schedule : {"cosine", "constant"}
        By default the rate falls to 0 along half a cosine, so that the last state needs no picking.
    rate_decay : float
        By default 1: all layers have one rate. With 0.5 each layer has half the rate of the one after it, from the head
        down (`tl_base.steps.rate_factors`). A method's ``head_rate`` takes the factor of its layer too.
    weight_decay : float
        λ, by default 0. Each step with rate η also makes every kernel that trains smaller by the part ηλ of it (AdamW);
        biases and the numbers of BatchNormalization stay out of it.
    stop_early : bool
        By default False: the last state is kept. True keeps that of the recorded point with the best validation
        accuracy, in each phase where there are two. The validation images then take part in training, and their
        accuracy is no estimate any more.
    steps : int
        Number of batches. By default `default_steps`.
    batch_size : int
        By default 32.
    seed : int or sequence of int
        By default 0. Decides the order of the examples; in a method, new weights and random layers too.
    augment : {"flip", "shift", "flip and shift", "photographs"}
        Train on another variant of every image in each step, see `augmentation.varied`; by default on the images as
        they are. Nothing else ever sees a variant. Frozen layers then run in every step, so that a linear head takes
        as long as ten to twenty passes of the whole network over the images, where it else takes one.
    points : int
        Number of recorded points, by default 20. Between two of them the steps run compiled, and Ctrl-C waits.
    progress : bool or str or (str, float)
        Of a method: its progress bar appears after two seconds, with True at once, with False never. Of `fit`: the
        label of a bar, which else stays away, or label and seconds after which it appears; with any of these, the
        environment variable ``TQDM_DISABLE=1`` keeps it away.
    watch : callable
        Called with the `History` so far after each recorded point; where it returns True, training ends there.

    References
    ----------
    Those of `tl_base.steps.Pace`; Prechelt (1998), Early stopping: but when?, section 1.
    """

    learning_rate: float
    schedule: str
    rate_decay: float
    weight_decay: float
    stop_early: bool
    steps: int | None
    batch_size: int
    seed: Seed
    augment: str | None
    points: int
    progress: Progress
    watch: Callable[[History], Any] | None


@dataclass(frozen=True, kw_only=True)
class Schedule(Pace):
    """A `Budget` with its defaults."""

    stop_early: bool = False
    steps: int | None = None
    batch_size: int = 32
    seed: Seed = 0
    augment: str | None = None
    points: int = 20
    progress: Progress = None
    watch: Callable[[History], Any] | None = None

    def steps_on(self, count: int) -> int:
        """Return the training steps on so many examples: those that were asked for, or `default_steps`."""
        return default_steps(count, self.batch_size) if self.steps is None else self.steps

    def budget(self) -> Budget:
        """Return what makes a schedule like this one."""
        return cast(Budget, {field.name: getattr(self, field.name) for field in fields(Schedule)})


def default_steps(count: int, batch_size: int) -> int:
    """Return the training steps of a call that names none: 200, or ten passes over the data where that is more.

    Parameters
    ----------
    count : int
        Training examples.
    batch_size : int

    Returns
    -------
    int
    """
    return max(200, math.ceil(10 * count / max(batch_size, 1)))


@dataclass(frozen=True)
class Term:
    """A term of the loss beside the labels' cross-entropy: what `tl_helpers.knowledge` makes of a rule or a constraint.

    Attributes
    ----------
    name : str
        For messages.
    loss : callable
        ``(logits, taps, targets)`` of one batch to a scalar tensor: logits ``(B, K)``, ``taps`` a dict of layer name to
        activations ``(B, ...)``, and the batch's rows of `targets` (None without).
    targets : ndarray, shape (N, ...), float32, optional
        One row a training example.
    taps : tuple of str
        Layers whose activations the term needs.
    share : float
        Part of the labels' cross-entropy whose place the term takes: (1 − Σ share) · cross-entropy + Σ term.
    growth : callable, optional
        From the passes over the training examples so far, a scalar tensor, to the factor of `loss` and `share` in a
        step, from 0 to 1; without it the factor is 1. Each phase of a training counts its passes anew.

    Notes
    -----
    Taught in: chapters 3.5 to 3.7 (Knowledge transfer).
    """

    name: str
    loss: Callable[[Tensor, Taps, Tensor], Tensor]
    targets: np.ndarray | None = None
    taps: tuple[str, ...] = ()
    share: float = 0.0
    growth: Callable[[Tensor], Tensor] | None = None


def fit(
    model: keras.Model,
    inputs: np.ndarray,
    labels: np.ndarray,
    *,
    validation: Scored | None = None,
    terms: Sequence[Term] = (),
    optimizer: "keras.optimizers.Optimizer | None" = None,  # quoted: the reference is built without Keras
    layer_rates: Mapping[str, float] | None = None,
    still: Collection[str] = (),
    **budget: Unpack[Budget],
) -> History:
    """Train the trainable weights of a network with Adam on the mean cross-entropy of its logits, and on given terms.

    Parameters
    ----------
    model : keras.Model
        Inputs to logits; changed in place. Frozen weights (``trainable`` false) stay bit-equal.
    inputs, labels : ndarray, shapes (N, ...) and (N,)
        Images or cached features; the labels are int.
    validation : (ndarray, ndarray) or (ndarray, ndarray, keras.Model), optional
        Inputs and labels that are scored at each recorded point and never trained on; by `model`, or by its last part.
    terms : sequence of Term
        Added to the loss, as is what the network itself adds to it (regularizers, ``add_loss``).
    optimizer : keras.optimizers.Optimizer, optional
        Continue with this one (its moments, its own learning rate and weight decay) instead of a new Adam.
    layer_rates : mapping of str to float, optional
        Learning rates at the first step of single layers, by name.
    still : collection of str
        Layers that run as in inference while they train: BatchNormalization on its stored statistics, Dropout off.
    **budget : Budget
        All keyword arguments are the interface, hence the many parameters.

    Raises
    ------
    TrainingError, ModelError
        If data, network and budget do not fit together, or the loss is no longer finite.

    References
    ----------
    Kingma and Ba (2015), Adam, algorithm 1. Taught in: chapter 4 (Worked example).
    """
    schedule, rates = Schedule(**budget), layer_rates or {}
    steps, rate = schedule.steps_on(len(labels)), schedule.learning_rate
    _check(model, inputs, labels, steps, rate)
    _check_parts(terms, len(labels), schedule.stop_early, validation)
    groups = [(optimizer, model.trainable_variables)] if optimizer else adams(model, rates, steps, schedule)
    chunk = _chunk(model, (inputs, labels), terms, still, groups, optimizer is None, schedule)
    rows = batch_rows(len(labels), schedule.batch_size, steps, schedule.seed)
    return _loop(chunk, rows, model, validation, schedule)


def _loop(
    chunk: Callable[[Tensor], Tensor],
    rows: np.ndarray,
    model: keras.Model,
    validation: Scored | None,
    schedule: Schedule,
) -> History:
    """Train on the batches, chunk by chunk; after each, score, record and show."""
    marks = np.linspace(0, len(rows), min(schedule.points, len(rows)) + 1).round().astype(int)
    history, predict = History(), compiled(validation[2] if validation and len(validation) == 3 else model)
    best = Best(model) if schedule.stop_early else None
    with _bar(schedule.progress, len(rows)) as bar:
        for begin, end in itertools.pairwise(np.unique(marks).tolist()):
            start = time.perf_counter()
            loss = float(chunk(tf.constant(rows[begin:end])))
            seconds = time.perf_counter() - start
            if not np.isfinite(loss):
                raise TrainingError(
                    f"The loss is {loss} after step {end}. Lower the learning rate (it is {schedule.learning_rate:g}) "
                    "and check that the inputs are finite."
                )
            scores: tuple[float, ...] = ()
            if validation is not None:
                scores = (float(np.mean(predict(validation[0]).argmax(1) == validation[1])),)
                bar.set_postfix_str(f"validation {scores[0]:.3f}", refresh=False)
                if best:
                    best.see(scores[0])
            bar.update(end - begin)
            history = history.then(History((end - begin,), (loss,), scores, seconds))
            if schedule.watch and schedule.watch(history):
                break
    if best:
        best.restore()
    forget_compiled()
    return history


def _bar(progress: Progress, steps: int) -> tqdm:
    label, delay = progress if isinstance(progress, tuple) else (progress, 0.0)
    shown = {"delay": delay} if delay else {"disable": not label}
    return tqdm(total=steps, desc=label, file=sys.stdout, ncols=88, **shown)


def _check(model: keras.Model, inputs: np.ndarray, labels: np.ndarray, steps: int, learning_rate: float) -> None:
    graph.check_precision(model)
    classes, ending = graph.graph_of(model).outputs[0].shape[-1], final_activation(model)
    if ending:
        raise TrainingError(
            f"{model.name!r} ends in a {ending}; training expects logits. Leave the activation of the last layer out: "
            "the loss has the softmax in it."
        )
    if len(inputs) != len(labels) or len(labels) == 0:
        raise TrainingError(f"There are {len(inputs)} inputs and {len(labels)} labels; give one label per input.")
    check_images(model, np.shape(inputs)[1:], TrainingError)
    if labels.min() < 0 or labels.max() >= classes:
        raise TrainingError(
            f"The labels run from {labels.min()} to {labels.max()}, but the network has {classes} outputs "
            f"(0 to {classes - 1})."
        )
    if steps < 1 or not learning_rate > 0:
        raise TrainingError(f"Expected steps ≥ 1 and learning_rate > 0, found {steps} and {learning_rate}.")
    if not model.trainable_variables:
        raise TrainingError("Every layer is frozen: there is nothing to train. Freeze fewer layers.")


def _check_parts(terms: Sequence[Term], count: int, stop_early: bool, validation: Scored | None) -> None:
    if stop_early and (validation is None or not len(validation[1])):
        raise TrainingError("stop_early keeps the best state on validation images: give some, or leave it out.")
    share = sum(term.share for term in terms)
    if share > 1 + 1e-9:
        named = ", ".join(f"{term.name} {term.share:g}" for term in terms)
        raise TrainingError(
            f"The terms take the place of {share:g} of the labels' cross-entropy ({named}); at most 1 can be replaced. "
            "Lower a weight."
        )
    for term in terms:
        if term.targets is not None and len(term.targets) != count:
            raise TrainingError(
                f"{term.name} has {len(term.targets)} rows of targets for {count} training examples; give one a row."
            )


def _chunk(
    model: keras.Model,
    examples: Pair,
    terms: Sequence[Term],
    still: Collection[str],
    groups: Groups,
    plain: bool,
    schedule: Schedule,
) -> Callable[[Tensor], Tensor]:
    """Return a compiled function: batches of rows, shape (steps, batch), to the mean loss of the steps."""
    network = Runner(tapped(model, {name for term in terms for name in term.taps}), still)
    dtype, count = model.inputs[0].dtype, len(examples[1])
    kind, shape = schedule.augment, np.shape(examples[0])[1:]
    vary = augmentation.varied(kind, shape, schedule.seed) if kind else lambda images: images

    def loss_of(inputs: Tensor, labels: Tensor, *targets: Tensor) -> Tensor:
        logits, taps = network(vary(tf.cast(inputs, dtype)))
        passes = tf.cast(groups[0][0].iterations, "float32") * (min(schedule.batch_size, count) / count)
        parts = [term.growth(passes) if term.growth else 1.0 for term in terms]
        weight = 1.0 - sum(part * term.share for part, term in zip(parts, terms, strict=True))
        loss = weight * tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        for own in network.losses:
            loss += own
        for part, term, rows in zip(parts, terms, targets, strict=True):
            loss += part * term.loss(logits, taps, rows)
        return loss

    arrays = [np.ascontiguousarray(examples[0]), examples[1].astype("int32"), *(term.targets for term in terms)]
    tensors = [None if array is None else tf.constant(array) for array in arrays]
    return functools.partial(compiled_steps(loss_of, groups, plain), tensors)
