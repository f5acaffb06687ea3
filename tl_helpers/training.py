"""One training loop for every network in the book.

Taught in: chapter 4 (Worked example).
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from tl_base import graph
from tl_base.backend import forget_compiled, keras, tf
from tl_base.running import Runner, check_images, compiled, final_activation, tapped


class TrainingError(ValueError):
    """Training cannot start, or has left the finite numbers."""


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

    steps: tuple
    loss: tuple
    validation_accuracy: tuple
    seconds: float

    def then(self, later):
        """Return one history of two runs that followed each other.

        Parameters
        ----------
        later : History

        Returns
        -------
        History
        """
        steps = self.steps + tuple(self.steps[-1] + step for step in later.steps)
        scores = self.validation_accuracy + later.validation_accuracy
        return History(steps, self.loss + later.loss, scores, self.seconds + later.seconds)


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

    Notes
    -----
    Taught in: chapter 3.3 (Knowledge transfer).
    """

    name: str
    loss: Callable
    targets: np.ndarray | None = None
    taps: tuple = ()
    share: float = 0.0


def batch_rows(count, batch_size, steps, seed):
    """Draw the rows of every batch beforehand: shuffled passes over the data, each row as often as any other.

    Parameters
    ----------
    count : int
        Number of training examples.
    batch_size : int
        Examples a step; at most `count` are used.
    steps : int
    seed : int or sequence of int

    Returns
    -------
    ndarray, shape (steps, batch), int32
        The same for every arm of a comparison that shares `count`, `batch_size`, `steps` and `seed`.
    """
    batch = min(batch_size, count)
    generator = np.random.default_rng(seed)
    passes = -(-steps * batch // count)
    order = np.concatenate([generator.permutation(count) for _ in range(passes)])
    return order[: steps * batch].reshape(steps, batch).astype("int32")


def fit(
    model,
    inputs,
    labels,
    *,
    steps,
    learning_rate,
    batch_size=32,
    seed=0,
    validation=None,
    points=20,
    optimizer=None,
    layer_rates=None,
    terms=(),
    still=(),
    progress=None,
    delay=0.0,
    watch=None,
):
    """Train the trainable weights of a network with Adam on the mean cross-entropy of its logits, and on given terms.

    What the network itself adds to the loss (regularizers, ``add_loss``) is part of it. The learning rate falls from
    its start to 0 along half a cosine, so that the last state needs no picking.

    Parameters
    ----------
    model : keras.Model
        Inputs to logits; changed in place. Frozen weights (``trainable`` false) stay bit-equal.
    inputs : ndarray, shape (N, ...)
        Images or cached features.
    labels : ndarray, shape (N,), int
    steps : int
        Number of batches; the last state is kept, none is picked.
    learning_rate : float
        At the first step.
    batch_size : int
    seed : int or sequence of int
        Decides the order of the examples (`batch_rows`), nothing else.
    validation : tuple of ndarray, optional
        Inputs and labels that are scored at each recorded point and never trained on.
    points : int
        Number of recorded points.
    optimizer : keras.optimizers.Optimizer, optional
        Continue with this one (its moments and its own learning rate) instead of a new Adam.
    layer_rates : mapping of str to float, optional
        Learning rates at the first step of single layers, by name; all others have `learning_rate`.
    terms : sequence of Term
        Added to the loss.
    still : collection of str
        Layers that run as in inference while they train: BatchNormalization on its stored statistics, Dropout off.
    progress : str, optional
        Label of a progress bar.
    delay : float
        Seconds after which the bar appears. With any, the environment variable ``TQDM_DISABLE=1`` keeps it away.
    watch : callable, optional
        Called with the `History` so far after each recorded point; where it returns True, training ends there.

    Returns
    -------
    History

    Raises
    ------
    TrainingError, ModelError
        If the data do not fit together, the network gives no logits or has no graph of one input and one output, or the
        loss is no longer finite.

    Notes
    -----
    Steps run in compiled chunks of ``steps / points``; Ctrl-C stops between two of them.

    References
    ----------
    Kingma and Ba (2015), Adam, algorithm 1; Loshchilov and Hutter (2017), SGDR, equation 5 without restarts.
    Taught in: chapter 4 (Worked example).
    """
    _check(model, inputs, labels, steps, learning_rate)
    _check_terms(terms, len(labels))
    groups = (
        [(optimizer, model.trainable_variables)] if optimizer else _groups(model, learning_rate, layer_rates, steps)
    )
    run = _compiled_chunk(model, groups, terms, still, given=optimizer is not None)
    targets = tuple(tf.constant(term.targets) for term in terms if term.targets is not None)
    examples = tf.constant(np.ascontiguousarray(inputs)), tf.constant(labels.astype("int32")), targets
    predict = compiled(model)
    rows = batch_rows(len(labels), batch_size, steps, seed)
    done, losses, scores, seconds, reached = 0, [], [], 0.0, []
    marks = np.unique(np.linspace(0, steps, min(points, steps) + 1).round().astype(int))[1:]
    shown = {"delay": delay} if progress and delay else {"disable": progress is None}
    with tqdm(total=steps, desc=progress, file=sys.stdout, ncols=88, **shown) as bar:
        for mark in marks:
            begin = time.perf_counter()
            losses.append(float(run(*examples, tf.constant(rows[done:mark]))))
            seconds += time.perf_counter() - begin
            if not np.isfinite(losses[-1]):
                raise TrainingError(
                    f"The loss is {losses[-1]} after step {mark}. Lower the learning rate (it is {learning_rate:g}) "
                    "and check that the inputs are finite."
                )
            if validation is not None:
                scores.append(float(np.mean(predict(validation[0]).argmax(1) == validation[1])))
                bar.set_postfix_str(f"validation {scores[-1]:.3f}", refresh=False)
            bar.update(int(mark) - done)
            done = int(mark)
            reached.append(done)
            if watch and watch(History(tuple(reached), tuple(losses), tuple(scores), seconds)):
                break
    forget_compiled()
    return History(tuple(reached), tuple(losses), tuple(scores), seconds)


def _check(model, inputs, labels, steps, learning_rate):
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


def _check_terms(terms, count):
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


def _groups(model, learning_rate, layer_rates, steps):
    """Give each learning rate an Adam of its own; return (optimizer, variables) pairs."""
    own = dict(layer_rates or {})
    names = [layer.name for layer in model.layers]
    for name, rate in own.items():
        if name not in names or not rate > 0:
            raise TrainingError(
                f"layer_rates[{name!r}] = {rate}: expected a rate > 0 for one of the layers {', '.join(names)}."
            )
    groups = {}
    seen = set()
    for layer in model.layers:
        fresh = [variable for variable in layer.trainable_variables if id(variable) not in seen]  # some are shared
        seen |= {id(variable) for variable in fresh}
        groups.setdefault(own.get(layer.name, learning_rate), []).extend(fresh)
    decay = keras.optimizers.schedules.CosineDecay
    return [(keras.optimizers.Adam(decay(rate, steps)), variables) for rate, variables in groups.items() if variables]


def _step(optimizer, gradients, variables):
    """Do a step of a plain Adam. `Optimizer.apply` does the same, and keeps the compiled loop in memory for good."""
    rate = optimizer.learning_rate
    for gradient, variable in zip(gradients, variables, strict=True):
        if gradient is not None:  # nothing depends on the variable
            optimizer.update_step(gradient, variable, rate)
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
    optimizer.iterations.assign_add(1)


def _compiled_chunk(model, groups, terms, still, given):
    """Return a compiled function: inputs, labels, targets, batch rows (steps, batch) to the mean loss of the steps."""
    network = Runner(tapped(model, {name for term in terms for name in term.taps}), still)
    dtype = model.inputs[0].dtype
    weight = 1.0 - sum(term.share for term in terms)
    variables = [variable for _, group in groups for variable in group]
    for optimizer, group in groups:
        optimizer.build(group)
    step = keras.optimizers.Optimizer.apply if given else _step

    def loss_of(inputs, labels, targets):
        logits, taps = network(tf.cast(inputs, dtype))
        loss = weight * tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        for own in network.losses:
            loss += own
        rows = iter(targets)
        for term in terms:
            loss += term.loss(logits, taps, None if term.targets is None else next(rows))
        return loss

    @tf.function(reduce_retracing=True)
    def run(inputs, labels, targets, rows):  # arguments, not captured: a compiled function would keep captured data
        total = 0.0
        for batch in rows:
            chosen = [tf.gather(rows_of, batch) for rows_of in targets]
            with tf.GradientTape() as tape:
                loss = loss_of(tf.gather(inputs, batch), tf.gather(labels, batch), chosen)
            gradients = iter(tape.gradient(loss, variables))
            for optimizer, group in groups:
                step(optimizer, [next(gradients) for _ in group], group)
            total += loss
        return total / tf.cast(tf.shape(rows)[0], "float32")

    return run
