"""Steps of training on any Keras network: a loop over batches, compiled."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tl_base.backend import keras, tf

Tensor = Any  # TensorFlow is not typed
Groups = list[tuple[keras.optimizers.Optimizer, list[keras.Variable]]]


def adams(model: keras.Model, rates: Mapping[str, float], others: float, steps: int) -> Groups:
    """Give each learning rate an Adam of its own.

    Parameters
    ----------
    model : keras.Model
    rates : mapping of str to float
        The first rates of single layers, by name. They fall to 0 along half a cosine.
    others : float
        The first rate of all other layers.
    steps : int

    Returns
    -------
    list of (keras.optimizers.Adam, list of keras.Variable)
        A variable that layers share counts as the first one's.
    """
    groups: dict[float, list[keras.Variable]] = {}
    seen: set[int] = set()
    for layer in model.layers:
        fresh = [variable for variable in layer.trainable_variables if id(variable) not in seen]
        seen.update(map(id, fresh))
        groups.setdefault(rates.get(layer.name, others), []).extend(fresh)
    decay = keras.optimizers.schedules.CosineDecay
    return [(keras.optimizers.Adam(decay(rate, steps)), variables) for rate, variables in groups.items() if variables]


def compiled(loss: Callable[..., Tensor], groups: Groups, plain: bool) -> Callable[[Sequence[Tensor], Tensor], Tensor]:
    """Compile a loop of training steps.

    Parameters
    ----------
    loss : callable
        A batch's rows of all data, one argument each, to a scalar tensor.
    groups : list of (keras.optimizers.Optimizer, list of keras.Variable)
    plain : bool
        Whether all optimizers are as `adams` makes them, without weight decay, clipping or averages.

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
    rate = optimizer.learning_rate
    for gradient, variable in zip(gradients, variables, strict=True):
        if gradient is not None:  # nothing depends on the variable
            optimizer.update_step(gradient, variable, rate)
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
    optimizer.iterations.assign_add(1)
