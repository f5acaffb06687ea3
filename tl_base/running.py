"""Running a network: over many images, with the activations of its layers kept, and in training with some layers still.

Taught in: chapter 2 (Core concepts).
"""

import math
import sys
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax
from tqdm import tqdm

from tl_base.backend import keras, tf
from tl_base.graph import NOISE, ModelError, find_layer, graph_of, has_graph, nodes_of, opened, operations_of, run

MEMORY = 2**28  # bytes for the activations of the largest layer, of a batch in inference
PATIENCE = 2.0  # seconds without a progress bar


def compiled(
    model: keras.Model, batch_size: int | None = None, label: str | None = None, settled: bool = False
) -> Callable[[np.ndarray], np.ndarray]:
    """Compile a network's inference: the function returned runs it over any number of images, batch by batch.

    Parameters
    ----------
    model : keras.Model
    batch_size : int, optional
        Images in memory at once; by default as many as `batch_of` says.
    label : str, optional
        Of a progress bar, which appears after two seconds. Ctrl-C ends the work between two batches.
    settled : bool
        Take the weights for constants, as far as they fit into `MEMORY`: TensorFlow then multiplies BatchNormalization
        into the convolutions, which saves a quarter of the time and rounds the last digits otherwise. Later changes of
        the weights are not seen.

    Returns
    -------
    callable
        Images ``(N, ...)`` of any numeric dtype to outputs ``(N, ...)``, float32.
    """
    settled = settled and sum(4 * math.prod(weight.shape) for weight in model.weights) <= MEMORY
    parts = (model.trainable_variables, model.non_trainable_variables) if settled else ()
    values = [[variable.numpy() for variable in part] for part in parts]

    @tf.function(reduce_retracing=True)
    def forward(batch: tf.Tensor) -> tf.Tensor:
        batch = tf.cast(batch, model.inputs[0].dtype)
        if not settled:
            return model(batch, training=False)
        constants = [[tf.constant(value) for value in part] for part in values]
        return model.stateless_call(*constants, batch, training=False)[0]

    def over(images: np.ndarray) -> np.ndarray:
        check_images(model, np.shape(images)[1:])
        size, count = batch_size or batch_of(model, np.shape(images)[1:]), len(images)
        hidden = {"delay": PATIENCE} if label else {"disable": True}
        with tqdm(total=count, desc=label, unit=" images", file=sys.stdout, ncols=88, **hidden) as bar:
            for start in range(0, max(count, 1), size):  # no images have activations of some shape too
                rows = slice(start, start + size)
                batch = forward(np.ascontiguousarray(images[rows])).numpy()
                if start == 0:
                    result = np.empty((count, *batch.shape[1:]), "float32")
                result[rows] = batch
                bar.update(len(batch))
        return result

    return over


def batch_of(model: keras.Model, shape: tuple[int, ...]) -> int:
    """Say how many images a network runs at once.

    Parameters
    ----------
    model : keras.Model
        With a graph.
    shape : tuple of int
        Of one image.

    Returns
    -------
    int
        1,024, or as many as fit into a quarter of a gigabyte: what goes in and out of the largest layer counts. For
        a network of phones and 160 pixels these are some dozens, which is also what runs fastest.
    """
    largest = 1
    for operation in operations_of(model).values():
        for node in operation._inbound_nodes:
            sides = [tensor.shape[1:] for tensor in (*node.input_tensors, *node.output_tensors)]
            largest = max(largest, 4 * sum(math.prod(side or max(shape) for side in each) for each in sides))
    return min(max(MEMORY // largest, 1), 1024)


def outputs(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Run a network in inference mode over many images.

    Parameters
    ----------
    model : keras.Model
    images : ndarray, shape (N, ...), any numeric dtype

    Returns
    -------
    ndarray, shape (N, ...), float32

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    return compiled(model)(images)


def logits(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Run a classifier over images and return logits, whatever it ends in.

    Parameters
    ----------
    model : keras.Model
    images : ndarray, shape (N, ...), any numeric dtype

    Returns
    -------
    ndarray, shape (N, K), float32
        The outputs; where they are probabilities, their logarithms, of which a softmax makes the probabilities again.

    Raises
    ------
    ModelError
        If the network ends in a sigmoid: its outputs are answers to K questions, not shares of one.

    Notes
    -----
    Taught in: chapter 3.6 (Knowledge transfer).
    """
    answers, ending = outputs(model, images), final_activation(model)
    if ending == "sigmoid":
        raise ModelError(
            f"{model.name!r} ends in a sigmoid: each output is a probability of its own, and logits over classes are "
            "expected. Cut it before the last activation, or train it with a softmax."
        )
    if ending == "softmax" or are_probabilities(answers):
        return np.log(np.maximum(answers, np.finfo("float32").tiny))
    return answers


def shares(model: keras.Model, answers: np.ndarray) -> np.ndarray:
    """Return how sure a classifier is of each class, from its outputs.

    Parameters
    ----------
    model : keras.Model
    answers : ndarray, shape (N, K), float32
        What `outputs` returns.

    Returns
    -------
    ndarray, shape (N, K), float32
        The outputs where they are probabilities, else their softmax; NaN after a sigmoid, whose outputs are answers to
        K questions, not shares of one.

    Notes
    -----
    Taught in: chapter 7 (Your own photographs).
    """
    ending = final_activation(model)
    if ending == "sigmoid":
        return np.full_like(answers, np.nan)
    return answers if ending == "softmax" or are_probabilities(answers) else softmax(answers, axis=1)


def are_probabilities(values: ArrayLike) -> bool:
    """Tell whether the rows of an array are shares of a whole: several rows, none negative, each with a sum of 1.

    Parameters
    ----------
    values : ndarray, shape (N, K), float

    Returns
    -------
    bool
    """
    values = np.asarray(values)
    if values.ndim != 2 or len(values) < 2:
        return False
    return bool((values >= 0).all() and np.allclose(values.sum(1), 1, atol=1e-3))


def final_activation(model: keras.Model) -> str:
    """Name the function in which a network ends, as far as it turns logits into probabilities.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    {"softmax", "sigmoid", ""}
        ``""`` for every other ending, and for a network without a graph.
    """
    if not has_graph(model):
        return ""
    through = (keras.layers.Flatten, keras.layers.Reshape, keras.layers.Identity)
    ending = [node.operation for node in nodes_of(graph_of(model))]
    while ending and isinstance(ending[-1], through):
        ending.pop()
    if not ending:
        return ""
    if has_graph(ending[-1]):
        return final_activation(ending[-1])
    name = getattr(getattr(ending[-1], "activation", None), "__name__", type(ending[-1]).__name__.lower())
    return name if name in ("softmax", "sigmoid") else ""


def check_images(model: keras.Model, shape: tuple[int, ...], kind: type[Exception] = ModelError) -> None:
    """Refuse images of another shape than a network takes.

    Parameters
    ----------
    model : keras.Model
    shape : tuple of int
        Of one image.
    kind : type
        Of the error.

    Raises
    ------
    ModelError
        The message says how to bring images to the network, or the network to the images.
    """
    wanted = graph_of(model).inputs[0].shape[1:]
    if len(wanted) == len(shape) and all(side in (None, given) for side, given in zip(wanted, shape, strict=True)):
        return
    remedy = "Give it arrays of its own shape."
    if len(wanted) == 3 and len(shape) == 3 and wanted[2] == shape[2]:
        size = wanted[0] if wanted[0] == wanted[1] else tuple(wanted[:2])
        remedy = (
            f"Make the images as large: data.from_arrays(images, labels, size={size}). Or let the network resize them: "
            f"keras.Sequential([keras.Input({tuple(shape)}), keras.layers.Resizing{tuple(wanted[:2])}, network])."
        )
    elif len(wanted) == 3 and len(shape) == 3:
        change = "keras.ops.mean(image, -1, keepdims=True)" if wanted[2] == 1 else "a convolution of one pixel"
        remedy = (
            f"Let the network begin with what makes {wanted[2]} channels of {shape[2]}, for instance {change}: image = "
            f"keras.Input({tuple(shape)}); keras.Model(image, network(...))."
        )
    raise kind(f"{model.name!r} takes inputs of shape {tuple(wanted)}; found {tuple(shape)}. {remedy}")


def activations_at(model: keras.Model, layer: str) -> keras.Model:
    """Read a layer wherever it lies, in a branch too: a cut without the demand that all passes through it.

    Parameters
    ----------
    model : keras.Model
    layer : str

    Returns
    -------
    keras.Model
        Images to the activations of that layer, where it is called first. It shares its weights with `model`.

    Raises
    ------
    ModelError
        If no layer has the name.

    Notes
    -----
    Taught in: chapter 3.5 (Knowledge transfer).
    """
    image, _, kept = _tensors(model, [layer])
    return keras.Model(image, kept[layer])


def tapped(model: keras.Model, layers: Collection[str]) -> keras.Model:
    """Run a network and keep what some of its layers put out.

    Parameters
    ----------
    model : keras.Model
    layers : collection of str
        Names of layers.

    Returns
    -------
    keras.Model
        Inputs to a pair: the outputs, and a dict of layer name to that layer's activations. It shares its weights with
        `model`.

    Raises
    ------
    ModelError
        If no layer has one of the names.

    Notes
    -----
    Taught in: chapter 3.5 (Knowledge transfer).
    """
    image, output, kept = _tensors(model, layers)
    return keras.Model(image, [output, kept], name=f"{model.name}_tapped")


def _tensors(
    model: keras.Model, layers: Collection[str]
) -> tuple[keras.KerasTensor, keras.KerasTensor, dict[str, keras.KerasTensor]]:
    """Return a network's input, its output, and the outputs of some layers where they are called first."""
    whole = opened(model)
    tensors: dict[str, keras.KerasTensor] = {}
    for node in nodes_of(whole):
        tensors.setdefault(node.operation.name, node.output_tensors[0])
    for name in layers:
        if name not in tensors:
            find_layer(model, name)  # says which layers there are
    return whole.inputs[0], whole.outputs[0], {name: tensors[name] for name in layers}


def values(model: keras.Model, images: ArrayLike) -> dict[str, list[np.ndarray]]:
    """Run a network in inference mode, operation by operation, and keep what each puts out.

    Parameters
    ----------
    model : keras.Model
    images : ndarray or tensor, shape (N, ...)
        A few.

    Returns
    -------
    dict of str to list of ndarray
        Names as in `operations_of`; one entry a call. Operations with several outputs are left out.
    """
    names = {id(op): name for name, op in operations_of(model).items()}
    calls: dict[str, list[np.ndarray]] = {}

    def call(operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        output = operation(*args, **(kwargs | {"training": False} if _trains(operation) else kwargs))
        if not isinstance(output, (list, tuple, dict)):
            calls.setdefault(names[id(operation)], []).append(keras.ops.convert_to_numpy(output))
        return output

    run(model, [tf.cast(images, graph_of(model).inputs[0].dtype)], call)
    return calls


def varies(operation: keras.Operation) -> bool:
    """Tell whether a layer without weights gives other outputs in every step of training: augmentation, noise.

    Parameters
    ----------
    operation : keras.Operation

    Returns
    -------
    bool
        True for layers that hold a generator of random numbers, and for those of other authors that ask whether they
        are in training.
    """
    if not isinstance(operation, keras.Layer) or operation.weights:
        return False
    foreign = not type(operation).__module__.startswith("keras.")
    return bool(operation.variables) or (foreign and _trains(operation))


def silent_noise(graph: keras.Model, frozen: Collection[str]) -> set[str]:
    """Name the noise that regularises frozen layers alone: it is off, as everything in a frozen part.

    Parameters
    ----------
    graph : keras.Model
        Opened.
    frozen : collection of str
        Names of layers with weights.

    Returns
    -------
    set of str
    """
    operations = [node.operation for node in nodes_of(graph)]
    last = max((i for i, operation in enumerate(operations) if operation.name in frozen), default=-1)
    return {operation.name for operation in operations[: last + 1] if isinstance(operation, NOISE)}


def _trains(operation: keras.Operation) -> bool:
    """Tell whether an operation does something else in training than in inference."""
    return getattr(operation, "_call_has_training_arg", False)


class Runner(keras.Layer):
    """A network in training, some of whose layers run as in inference.

    Parameters
    ----------
    network : keras.Model
    still : collection of str
        Names of layers: BatchNormalization uses its stored statistics, Dropout is off.
    """

    def __init__(self, network: keras.Model, still: Collection[str] = ()) -> None:
        super().__init__()
        self.network, self.still = network, frozenset(still)
        self.built = True

    def call(self, inputs: tf.Tensor) -> Any:
        """Run the network. What a graph says of training is not asked: Keras notes False where nobody said anything."""
        return run(self.network, [inputs], self._step)

    def _step(self, operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if _trains(operation):
            kwargs = kwargs | {"training": operation.name not in self.still}
        return operation(*args, **kwargs)
