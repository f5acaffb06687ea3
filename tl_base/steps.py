"""Steps of training on any Keras network: their batches, their rates, and a loop over them, compiled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl_base.backend import keras, tf

Tensor = Any  # TensorFlow is not typed
Groups = list[tuple[keras.optimizers.Optimizer, list[keras.Variable]]]
SCHEDULES = ("cosine", "constant")


class TrainingError(ValueError):
    """Training cannot start, or has left the finite numbers."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast the layers of a network learn, and how their weights are held small.

    Attributes
    ----------
    learning_rate : float
        Of the first step.
    schedule : {"cosine", "constant"}
        Whether the rate falls from there to 0 along half a cosine, or stays.
    weight_decay : float
        λ of θ ← θ − η(Adam's step + λθ), η the rate of that step; for kernels only.
    rate_decay : float
        Factor, from above 0 to 1, by which the rate of each layer is smaller than that of the layer after it.

    Raises
    ------
    TrainingError
        If one of them is out of range.

    References
    ----------
    Loshchilov and Hutter (2017), SGDR, equation 5 without restarts (the cosine); Loshchilov and Hutter (2019),
    Decoupled weight decay regularization, algorithm 2 (AdamW; as in Keras, λ is multiplied by the rate too); Howard and
    Ruder (2018), section 3.2, and Clark et al. (2020), ELECTRA (a factor a layer).
    """

    learning_rate: float = 1e-3
    schedule: str = "cosine"
    weight_decay: float = 0.0
    rate_decay: float = 1.0

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            known = " or ".join(map(repr, SCHEDULES))
            raise TrainingError(f"Expected schedule {known}, found {self.schedule!r}. Choose one, or leave it out.")
        if not 0 <= self.weight_decay < float("inf"):
            raise TrainingError(f"Expected weight_decay ≥ 0, found {self.weight_decay}. 0 is none; 0.01 is usual.")
        if not 0 < self.rate_decay <= 1:
            raise TrainingError(
                f"Expected rate_decay above 0 and at most 1, found {self.rate_decay}. 1 gives all layers one rate; "
                "0.5 halves it from layer to layer, from the head down."
            )


def adams(model: keras.Model, rates: Mapping[str, float], steps: int, pace: Pace) -> Groups:
    """Give each learning rate an Adam of its own.

    Parameters
    ----------
    model : keras.Model
    rates : mapping of str to float
        The first rates of single layers, by name, where they are not `pace.learning_rate`.
    steps : int
    pace : Pace
        Layers count as in `rate_factors`.

    Returns
    -------
    list of (keras.optimizers.Adam, list of keras.Variable)
        A variable that layers share counts as the first one's.

    Raises
    ------
    TrainingError
        If a rate is not above 0, or its layer is not there.
    """
    names = [layer.name for layer in model.layers]
    for name, rate in rates.items():
        if name not in names or not rate > 0:
            raise TrainingError(
                f"layer_rates[{name!r}] = {rate}: expected a rate > 0 for one of the layers {', '.join(names)}."
            )
    groups: dict[float, list[keras.Variable]] = {}
    seen: set[int] = set()
    factors = rate_factors(model, pace.rate_decay)
    for layer in model.layers:
        fresh = [variable for variable in layer.trainable_variables if id(variable) not in seen]
        seen.update(map(id, fresh))
        groups.setdefault(factors[layer.name] * rates.get(layer.name, pace.learning_rate), []).extend(fresh)
    falling = keras.optimizers.schedules.CosineDecay
    return [
        (
            keras.optimizers.Adam(
                falling(rate, steps) if pace.schedule == "cosine" else rate, weight_decay=pace.weight_decay or None
            ),
            variables,
        )
        for rate, variables in groups.items()
        if variables
    ]


def rate_factors(model: keras.Model, decay: float) -> dict[str, float]:
    """Return by which factor the rate of each layer is smaller than that of the last one: 1, decay, decay², ….

    Parameters
    ----------
    model : keras.Model
    decay : float

    Returns
    -------
    dict of str to float
        Layers without a kernel, such as BatchNormalization, go with the one that runs before them.
    """
    factors, factor = {}, 1.0
    for layer in reversed(model.layers):
        factors[layer.name] = factor
        factor *= decay if any(map(_is_kernel, layer.trainable_variables)) else 1.0
    return factors


def _is_kernel(variable: keras.Variable) -> bool:
    """Tell a matrix of weights from biases (those of a GRU have two rows), scales and shifts."""
    return len(variable.shape) > 1 and variable.name != "bias"


def batch_rows(count: int, batch_size: int, steps: int, seed: int | Sequence[int]) -> NDArray[np.int32]:
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


class Best:
    """The state of a network at its best score so far; the first of equal ones.

    Parameters
    ----------
    model : keras.Model
    """

    def __init__(self, model: keras.Model) -> None:
        self._model, self._score, self._state = model, -np.inf, model.get_weights()

    def see(self, score: float) -> None:
        """Keep the state that the network has now, if its score is better."""
        if score > self._score:
            self._score, self._state = score, self._model.get_weights()

    def restore(self) -> None:
        """Put the network back into the state that was kept."""
        self._model.set_weights(self._state)


def compiled(loss: Callable[..., Tensor], groups: Groups, plain: bool) -> Callable[[Sequence[Tensor], Tensor], Tensor]:
    """Compile a loop of training steps.

    Parameters
    ----------
    loss : callable
        A batch's rows of all data, one argument each, to a scalar tensor.
    groups : list of (keras.optimizers.Optimizer, list of keras.Variable)
    plain : bool
        Whether all optimizers are as `adams` makes them, without clipping or averages.

    Returns
    -------
    callable
        Data, each a tensor of N rows or None, and batches of row numbers, shape (steps, batch), to the mean loss of the
        steps. The data are arguments: a compiled function would keep data that it captures.
    """
    variables = [variable for _, group in groups for variable in group]
    for optimizer, group in groups:
        optimizer.build(group)
    step = _plain_step if plain else keras.optimizers.Optimizer.apply

    @tf.function(reduce_retracing=True)
    def run(data: Sequence[Tensor], rows: Tensor) -> Tensor:
        total = 0.0
        for batch in rows:
            chosen = [None if part is None else tf.gather(part, batch) for part in data]
            with tf.GradientTape() as tape:
                value = loss(*chosen)
            gradients = iter(tape.gradient(value, variables))
            for optimizer, group in groups:
                step(optimizer, [next(gradients) for _ in group], group)
            total += value
        return total / tf.cast(tf.shape(rows)[0], "float32")

    return run


def _plain_step(optimizer: keras.optimizers.Adam, gradients: Sequence[Tensor], variables: list[keras.Variable]) -> None:
    """Do a step of a plain Adam. `Optimizer.apply` does the same, and keeps the compiled loop in memory for good."""
    rate, decay = optimizer.learning_rate, optimizer.weight_decay
    for gradient, variable in zip(gradients, variables, strict=True):
        if gradient is not None:  # nothing depends on the variable
            if decay and _is_kernel(variable):
                variable.assign_sub(rate * decay * variable)
            optimizer.update_step(gradient, variable, rate)
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
    optimizer.iterations.assign_add(1)
