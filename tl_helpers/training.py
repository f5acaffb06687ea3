"""One training loop for every network in the book.

Taught in: chapter 4 (Worked example).
"""

import sys
import time
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from tl_helpers.backend import keras, tf
from tl_helpers.models import compiled


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
        Mean training cross-entropy (nats) since the point before.
    validation_accuracy : tuple of float
        Share of validation images classified rightly at that point; empty without validation data.
    seconds : float
        Wall-clock time of the training steps, without validation.
    """

    steps: tuple
    loss: tuple
    validation_accuracy: tuple
    seconds: float


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
    progress=None,
):
    """Train the trainable weights of a network with Adam on the mean cross-entropy of its logits.

    The learning rate falls from its start to 0 along half a cosine, so that the last state needs no picking.

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
    progress : str, optional
        Label of a progress bar.

    Returns
    -------
    History

    Raises
    ------
    TrainingError
        If the data do not fit together, or the loss is no longer finite.

    Notes
    -----
    Steps run in compiled chunks of ``steps / points``; Ctrl-C stops between two of them.

    References
    ----------
    Kingma and Ba (2015), Adam, algorithm 1; Loshchilov and Hutter (2017), SGDR, equation 5 without restarts.
    Taught in: chapter 4 (Worked example).
    """
    _check(model, inputs, labels, steps, learning_rate)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    optimizer = optimizer or keras.optimizers.Adam(schedule)
    run = _compiled_chunk(model, optimizer)
    examples = tf.constant(np.ascontiguousarray(inputs)), tf.constant(labels.astype("int32"))
    predict = compiled(model)
    rows = batch_rows(len(labels), batch_size, steps, seed)
    done, losses, scores, seconds = 0, [], [], 0.0
    marks = np.unique(np.linspace(0, steps, min(points, steps) + 1).round().astype(int))[1:]
    with tqdm(total=steps, desc=progress, disable=progress is None, file=sys.stdout, ncols=88) as bar:
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
    return History(tuple(int(mark) for mark in marks), tuple(losses), tuple(scores), seconds)


def _check(model, inputs, labels, steps, learning_rate):
    classes = model.outputs[0].shape[-1]
    if len(inputs) != len(labels) or len(labels) == 0:
        raise TrainingError(f"There are {len(inputs)} inputs and {len(labels)} labels; give one label per input.")
    if labels.min() < 0 or labels.max() >= classes:
        raise TrainingError(
            f"The labels run from {labels.min()} to {labels.max()}, but the network has {classes} outputs "
            f"(0 to {classes - 1})."
        )
    if steps < 1 or not learning_rate > 0:
        raise TrainingError(f"Expected steps ≥ 1 and learning_rate > 0, found {steps} and {learning_rate}.")
    if not model.trainable_variables:
        raise TrainingError("Every layer is frozen: there is nothing to train. Freeze fewer layers.")


def _compiled_chunk(model, optimizer):
    """Return a compiled function: all inputs, all labels, batch rows (steps, batch) to the mean loss over the steps."""
    variables = model.trainable_variables
    optimizer.build(variables)

    @tf.function(reduce_retracing=True)
    def run(inputs, labels, rows):  # arguments, not captured: a compiled function would keep captured data in memory
        total = 0.0
        for batch in rows:
            with tf.GradientTape() as tape:
                logits = model(tf.cast(tf.gather(inputs, batch), "float32"), training=True)
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(tf.gather(labels, batch), logits))
            optimizer.apply(tape.gradient(loss, variables), variables)
            total += loss
        return total / tf.cast(tf.shape(rows)[0], "float32")

    return run
