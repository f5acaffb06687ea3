"""Many linear heads in one compiled loop: several seeds, and for each of them several learning rates.

One head on cached features is so little work that starting its operations costs more than doing them. So the heads of
an arm train side by side: their weights lie in one array, one matrix product serves all of them, and so does one Adam.
Every head has the batches, the standardisation, the start and the schedule that `transfer.feature_extraction` gives.

A head's learning rate η scales its step and nothing else, so the loop trains W/η with a rate of 1: one fused Adam then
serves all rates (Kingma and Ba 2015, algorithm 1).
Taught in: How fast.
"""

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from tl_base.backend import tf
from tl_helpers import training

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-7  # those of keras.optimizers.Adam
Floats = NDArray[np.float32]
Shape = tuple[int, int, int, int]  # seeds S, features F, learning rates L, classes K


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

    kernels: Floats
    biases: Floats
    steps: tuple[int, ...]
    loss: Floats
    validation_accuracy: NDArray[np.float64]
    seconds: float


class Budget(TypedDict):
    """Training steps, images in a batch and points of the learning curves, as in `transfer.feature_extraction`."""

    steps: int
    batch_size: int
    points: int


def fit_heads(
    features: Floats,
    labels: np.ndarray,
    validation: tuple[Floats, np.ndarray],
    *,
    classes: int,
    learning_rates: Sequence[float],
    seeds: Sequence[int],
    standardise: bool,
    **budget: Unpack[Budget],
) -> Heads:
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
    standardise, **budget
        As for `transfer.feature_extraction`.

    Returns
    -------
    Heads
        Equal to S·L single calls of `transfer.feature_extraction`, but for the rounding of sums.
    """
    shape = len(features), features.shape[2], len(learning_rates), classes
    scale = np.repeat(np.asarray(learning_rates, "float32"), classes)
    mean, deviation = _standardised(features) if standardise else (np.zeros(shape[:2]), np.ones((1, shape[1])))
    losses, scores, seconds, steps = [], [], 0.0, []
    for end, loss, kernel, bias, took in _stretches(features, labels, shape, scale, seeds, budget):
        kernels = (kernel * scale / deviation[..., None]).astype("float32")
        biases = (bias * scale - mean[:, None] @ kernels).astype("float32")
        kernels, biases = kernels.reshape(shape), biases.reshape(shape[0], *shape[2:])
        scores.append(accuracy(kernels, biases, *validation))
        losses.append(loss)
        steps.append(end)
        seconds += took
    return Heads(kernels, biases, tuple(steps), np.array(losses), np.array(scores), seconds)


def _stretches(
    features: Floats, labels: np.ndarray, shape: Shape, scale: Floats, seeds: Sequence[int], budget: Budget
) -> Iterator[tuple[int, Floats, Floats, Floats, float]]:
    """Train from point to point of the curves; yield the step, the loss, W/η and b/η there, and the seconds it took."""
    kernel, bias, chunk = _trainer(*shape)
    count, steps = features.shape[1], budget["steps"]
    orders = [training.batch_rows(count, budget["batch_size"], steps, seed) + i * count for i, seed in enumerate(seeds)]
    rows, schedule = np.stack(orders, 1), _schedule(steps)
    pool = tf.constant(features.reshape(-1, shape[1])), tf.constant(labels.reshape(-1).astype("int32"))
    marks = np.unique(np.linspace(0, steps, min(budget["points"], steps) + 1).round().astype(int))
    for begin, end in itertools.pairwise(marks):
        start = time.perf_counter()
        loss = chunk(*pool, rows[begin:end], schedule[begin:end], scale).numpy()
        yield int(end), loss, kernel.numpy(), bias.numpy(), time.perf_counter() - start


def forget() -> None:
    """Forget the compiled loops, as if this process had not trained a head yet."""
    _compiled.cache_clear()


def accuracy(kernels: Floats, biases: Floats, features: Floats, labels: np.ndarray) -> NDArray[np.float64]:
    """Score linear heads.

    Parameters
    ----------
    kernels, biases, features
        As for `answers`.
    labels : ndarray, shape (S, M) or (M,), int

    Returns
    -------
    ndarray, shape (S, L), float64
    """
    given = answers(kernels, biases, features)
    return np.mean(given == np.broadcast_to(labels, given.shape[:2])[..., None], axis=1)


def answers(kernels: Floats, biases: Floats, features: Floats) -> NDArray[np.int64]:
    """Return the classes that linear heads answer.

    Parameters
    ----------
    kernels, biases
        As in `Heads`.
    features : ndarray, shape (S, M, F) or (M, F), float32
        Of each seed, or the same for all.

    Returns
    -------
    ndarray, shape (S, M, L), int64
    """
    seeds, width, rates, classes = kernels.shape
    if features.ndim == 2:  # one wide product instead of S narrow ones
        wide = features @ np.moveaxis(kernels, 1, 0).reshape(width, -1)
        logits = np.moveaxis(wide.reshape(len(features), seeds, rates, classes), 1, 0)
    else:
        logits = np.matmul(features, kernels.reshape(seeds, width, -1)).reshape(*features.shape[:2], rates, classes)
    return (logits + biases[:, None]).argmax(-1)


def _standardised(features: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standardise in place as `transfer` does; return mean (S, F) and deviation (S, F)."""
    mean = features.mean(1, dtype="float64")
    features -= mean[:, None].astype("float32")
    blocks = np.array_split(np.arange(features.shape[1]), 1 + features.shape[1] // 4096)  # no second copy of all
    variance = sum(np.square(features[:, rows]).sum(1, dtype="float64") for rows in blocks) / features.shape[1]
    deviation = np.sqrt(variance + np.maximum(variance.mean(1, keepdims=True), np.finfo("float32").tiny))
    features /= deviation[:, None].astype("float32")
    return mean, deviation


def _trainer(seeds: int, width: int, rates: int, classes: int) -> tuple[Any, Any, Callable[..., Any]]:
    """Return the variables of a fresh set of heads, and the compiled loop that trains them."""
    variables, chunk = _compiled(seeds, width, rates, classes)
    for variable in variables:
        variable.assign(tf.zeros_like(variable))
    return variables[0], variables[1], chunk


def _schedule(steps: int) -> Floats:
    """Return for every step: half a cosine from 1 to 0, and β₁ and β₂ to the power of the steps with it."""
    done = np.arange(steps)
    return np.stack([(1 + np.cos(np.pi * done / steps)) / 2, BETA1 ** (done + 1), BETA2 ** (done + 1)], 1).astype(
        "float32"
    )


@functools.lru_cache(8)  # tracing takes longer than training a few heads does
def _compiled(seeds: int, width: int, rates: int, classes: int) -> tuple[tuple[Any, ...], Callable[..., Any]]:
    shapes = [(seeds, width, rates * classes), (seeds, 1, rates * classes)]
    kernel, bias, *moments = [tf.Variable(tf.zeros(shape)) for shape in shapes * 3]

    def given(*shape: int | None, dtype: str = "float32") -> Any:
        return tf.TensorSpec(shape, dtype)

    def product(a: Any, b: Any, **how: bool) -> Any:  # one matrix is done faster than a stack of one
        return tf.matmul(a[0], b[0], **how)[None] if seeds == 1 else tf.matmul(a, b, **how)

    rows_of, labels_of = given(None, width), given(None, dtype="int32")
    batches = given(None, seeds, None, dtype="int32")

    @tf.function(input_signature=[rows_of, labels_of, batches, given(None, 3), given(rates * classes)])
    def chunk(
        features: Any, labels: Any, rows: Any, schedule: Any, scale: Any
    ) -> Any:  # each operation in the loop costs microseconds: they are few
        size = tf.shape(rows)[2]
        each = 1 / tf.cast(size, "float32")
        y = tf.reshape(tf.repeat(tf.gather(labels, rows)[..., None], rates, axis=3), (tf.shape(rows)[0], -1))
        total = tf.zeros(seeds * size * rates)
        for step in tf.range(tf.shape(rows)[0]):
            x = tf.gather(features, rows[step])
            logits = tf.reshape((product(x, kernel) + bias) * scale, (-1, classes))
            losses, slopes = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=logits, labels=y[step])
            total += losses
            slopes = tf.reshape(slopes, (seeds, size, rates * classes)) * each
            gradients = product(x, slopes, transpose_a=True), tf.reduce_sum(slopes, 1, keepdims=True)
            _adam((kernel, bias), moments, gradients, schedule[step])
        return tf.reduce_mean(tf.reshape(total, (seeds, size, rates)), 1) / tf.cast(tf.shape(rows)[0], "float32")

    return (kernel, bias, *moments), chunk


def _adam(variables: Sequence[Any], moments: Sequence[Any], gradients: Sequence[Any], schedule: Any) -> None:
    """Do one step of Adam, fused: a reading and a writing of the weights, where single operations need a dozen."""
    rate, power1, power2 = tf.unstack(schedule)
    for variable, first, second, gradient in zip(variables, moments[:2], moments[2:], gradients, strict=True):
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=power1,
            beta2_power=power2,
            lr=rate,
            beta1=BETA1,
            beta2=BETA2,
            epsilon=EPSILON,
            grad=gradient,
        )
