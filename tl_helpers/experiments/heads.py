"""Many linear heads in one compiled loop: several seeds, and for each of them several learning rates.

One head on cached features is so little work that starting its operations costs more than doing them. So the heads of
an arm train side by side: their weights lie in one array, one matrix product serves all of them, and so does one Adam.
Every head has the batches, the standardisation, the start and the schedule that `transfer.feature_extraction` gives.
Taught in: How fast.
"""

import functools
import itertools
import time
from dataclasses import dataclass

import numpy as np

from tl_helpers import training
from tl_helpers.backend import tf

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-7  # those of keras.optimizers.Adam


@dataclass(frozen=True)
class Heads:
    """Trained linear heads of S seeds and L learning rates each, and their learning curves.

    Attributes
    ----------
    kernels : ndarray, shape (S, F, L, K), float32
        On features as they are: the standardisation is multiplied in.
    biases : ndarray, shape (S, L, K), float32
    steps : tuple of int
        When each point of the curves was recorded.
    loss : ndarray, shape (points, S, L), float32
        As in `training.History`; not finite where a head has left the finite numbers.
    validation_accuracy : ndarray, shape (points, S, L), float64
    seconds : float
        Of all training steps together.
    """

    kernels: np.ndarray
    biases: np.ndarray
    steps: tuple
    loss: np.ndarray
    validation_accuracy: np.ndarray
    seconds: float


def fit_heads(features, labels, validation, *, classes, learning_rates, seeds, steps, batch_size, standardise, points):
    """Train a linear head for every seed and every learning rate, all at once.

    Parameters
    ----------
    features : ndarray, shape (S, N, F), float32
        For each seed, the features of its training images. Standardised in place, to save memory.
    labels : ndarray, shape (S, N), int
    validation : tuple of ndarray
        Features (S, M, F) and labels (S, M) that are scored at each point.
    classes : int
    learning_rates : sequence of float
        L of them, the same for each seed.
    seeds : sequence of int
        S of them: the order of the batches.
    steps, batch_size, standardise, points
        As for `transfer.feature_extraction`.

    Returns
    -------
    Heads
        Equal to S·L single calls of `transfer.feature_extraction`, but for the rounding of sums.

    References
    ----------
    Kingma and Ba (2015), Adam, algorithm 1. A head's learning rate η scales its step and nothing else, so the loop
    trains W/η with a rate of 1: one fused Adam then serves all rates. Taught in: How fast.
    """
    (seed_count, count, width), rates = features.shape, np.asarray(learning_rates, "float32")
    mean, deviation = _standardise(features) if standardise else (np.zeros((seed_count, width)), np.ones(width))
    shape = (seed_count, width, len(rates), classes)
    kernel, bias, chunk = _trainer(*shape)
    rows = [training.batch_rows(count, batch_size, steps, seed) + i * count for i, seed in enumerate(seeds)]
    rows, scale = np.stack(rows, 1), np.repeat(rates, classes)
    pool = tf.constant(features.reshape(-1, width)), tf.constant(labels.reshape(-1).astype("int32"))
    marks = np.unique(np.linspace(0, steps, min(points, steps) + 1).round().astype(int))
    losses, scores, seconds = [], [], 0.0
    for begin, end in itertools.pairwise(marks):
        start = time.perf_counter()
        losses.append(
            chunk(*pool, tf.constant(rows[begin:end]), scale, float(begin), float(steps)).numpy() / (end - begin)
        )
        seconds += time.perf_counter() - start
        kernels = (kernel.numpy() * scale / deviation[..., None]).astype("float32")
        biases = (bias.numpy() * scale - mean[:, None] @ kernels).astype("float32")
        kernels, biases = kernels.reshape(shape), biases.reshape(seed_count, *shape[2:])
        scores.append(accuracy(kernels, biases, *validation))
    return Heads(kernels, biases, tuple(map(int, marks[1:])), np.array(losses), np.array(scores), seconds)


def accuracy(kernels, biases, features, labels):
    """Score linear heads.

    Parameters
    ----------
    kernels, biases
        As in `Heads`.
    features : ndarray, shape (S, M, F) or (M, F), float32
        Of each seed, or the same for all.
    labels : ndarray, shape (S, M) or (M,), int

    Returns
    -------
    ndarray, shape (S, L), float64
    """
    seeds, width, rates, classes = kernels.shape
    if features.ndim == 2:  # one wide product instead of S narrow ones
        wide = features @ np.moveaxis(kernels, 1, 0).reshape(width, -1)
        logits = np.moveaxis(wide.reshape(len(features), seeds, rates, classes), 1, 0)
    else:
        logits = np.matmul(features, kernels.reshape(seeds, width, -1)).reshape(*features.shape[:2], rates, classes)
    found = (logits + biases[:, None]).argmax(-1)
    return np.mean(found == np.broadcast_to(labels, found.shape[:2])[..., None], axis=1)


def _standardise(features):
    """Standardise in place as `transfer` does; return mean (S, F) and deviation (S, F)."""
    mean = features.mean(1, dtype="float64")
    features -= mean[:, None].astype("float32")
    blocks = np.array_split(np.arange(features.shape[1]), 1 + features.shape[1] // 4096)  # no second copy of all
    variance = sum(np.square(features[:, rows]).sum(1, dtype="float64") for rows in blocks) / features.shape[1]
    deviation = np.sqrt(variance + np.maximum(variance.mean(1, keepdims=True), np.finfo("float32").tiny))
    features /= deviation[:, None].astype("float32")
    return mean, deviation


def _trainer(seeds, width, rates, classes):
    """Return the variables of a fresh set of heads, and the compiled loop that trains them."""
    variables, chunk = _compiled(seeds, width, rates, classes)
    for variable in variables:
        variable.assign(tf.zeros_like(variable))
    return variables[0], variables[1], chunk


@functools.lru_cache(8)  # tracing takes longer than training a few heads does
def _compiled(seeds, width, rates, classes):
    shapes = [(seeds, width, rates * classes), (seeds, 1, rates * classes)]
    kernel, bias, *moments = [tf.Variable(tf.zeros(shape)) for shape in shapes * 3]

    def rows_of(*shape, dtype="float32"):
        return tf.TensorSpec(shape, dtype)

    @tf.function(
        input_signature=[
            rows_of(None, width),
            rows_of(None, dtype="int32"),
            rows_of(None, seeds, None, dtype="int32"),
            rows_of(rates * classes),
            rows_of(),
            rows_of(),
        ]
    )
    def chunk(features, labels, rows, scale, step, steps):
        total = tf.zeros((seeds, rates))
        for batch in rows:
            count = tf.shape(batch)[1]
            x = tf.gather(features, batch)
            y = tf.one_hot(tf.gather(labels, batch), classes)[:, :, None]
            logits = tf.reshape((x @ kernel + bias) * scale, (seeds, count, rates, classes))
            log_p = tf.nn.log_softmax(logits)
            total -= tf.reduce_sum(y * log_p, (1, 3)) / tf.cast(count, "float32")
            slope = tf.reshape((tf.exp(log_p) - y) / tf.cast(count, "float32"), (seeds, count, rates * classes))
            rate = (1 + tf.cos(np.pi * step / steps)) / 2
            step += 1
            gradients = tf.matmul(x, slope, transpose_a=True), tf.reduce_sum(slope, 1, keepdims=True)
            _adam((kernel, bias), moments, gradients, step, rate)
        return total

    return (kernel, bias, *moments), chunk


def _adam(variables, moments, gradients, step, rate):
    """Do one step of Adam, fused: a reading and a writing of the weights, where single operations need a dozen."""
    for variable, first, second, gradient in zip(variables, moments[:2], moments[2:], gradients, strict=True):
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=BETA1**step,
            beta2_power=BETA2**step,
            lr=rate,
            beta1=BETA1,
            beta2=BETA2,
            epsilon=EPSILON,
            grad=gradient,
        )
