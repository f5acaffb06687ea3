"""What every method of transfer returns: an adapted network, what it cost, and how it does on a data set.

Taught in: chapters 4 (Worked example) and 7 (Your own photographs).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from tl_base import clones, exports, graph, prefixes, running
from tl_base.backend import keras
from tl_base.files import PathLike
from tl_helpers.data import Dataset
from tl_helpers.reports import Report, report
from tl_helpers.training import History


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
    shares : ndarray, shape (N, classes), float32
        How sure the network is of each class: the softmax of its logits. NaN where it ends in a sigmoid, whose outputs
        are no shares of one.
    """

    accuracy: float
    per_class_accuracy: np.ndarray
    confusion: np.ndarray
    predictions: np.ndarray
    shares: np.ndarray


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
        Of this network: after the last step, or at the best point with ``stop_early``.
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
    history: History
    validation_accuracy: float
    trainable_parameters: int
    seconds: float
    settings: Mapping[str, Any]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        """Let a result be pickled and copied, which a read-only mapping does not allow."""
        return Result, tuple((vars(self) | {"settings": dict(self.settings)}).values())

    def evaluate(self, dataset: Dataset) -> Score:
        """Score the network on a data set whose classes are those that it learned: `evaluate`."""
        return evaluate(self.model, dataset, self.class_names)

    def report(
        self, dataset: Dataset, against: Mapping[str, "Answering"] | None = None, draws: Sequence["Answering"] = ()
    ) -> Report:
        """Say what someone has to tell a colleague: how often the network is right, where not, how sure that is.

        Parameters
        ----------
        dataset : data.Dataset
            The test part of a split.
        against : mapping of str to Result, Score or ndarray of shape (N,), int, optional
            What to compare with on the same images: results, their scores on this data set, or classes that something
            else answered.
        draws : sequence of Result or Score, optional
            The same method on other draws of labels, or with other seeds.

        Returns
        -------
        reports.Report

        Raises
        ------
        TransferError, DataError
            If there is no image, if classes differ, or if a score is one of other images.

        Notes
        -----
        Taught in: chapter 7 (Your own photographs).
        """
        score = self.evaluate(dataset)
        others = {name: _predictions(other, dataset) for name, other in (against or {}).items()}
        accuracies = [float(np.mean(_predictions(draw, dataset) == dataset.labels)) for draw in draws]
        return report(dataset, score, others, accuracies)

    def save(self, path: PathLike = "my_model.keras", fit: str = "crop") -> Path:
        """Write the network and its class names to a file that Keras alone can read.

        Parameters
        ----------
        path : path-like
            Ends in ``.keras``; a file of that name is replaced.
        fit : {"crop", "pad", "stretch"}
            As you passed it to `data.from_folder`: ``predict.py`` beside the chapter does the same to a photograph.

        Returns
        -------
        pathlib.Path

        Raises
        ------
        ExportError, FileError
            As `tl_base.exports.save`: a full disk or a layer that Keras alone does not know; what was there stays.

        Notes
        -----
        Taught in: chapter 7 (Your own photographs).
        """
        return exports.save(self.model, self.class_names, path, fit)

    def export(
        self, format: str, path: PathLike | None = None, *, quantise: Dataset | None = None, fit: str = "crop"
    ) -> Path:
        """Write the network and its class names for other programs.

        Parameters
        ----------
        format : {"onnx", "litert", "saved_model"}
            A file for ONNX Runtime, a file for phones and small devices, a folder for TensorFlow.
        path : path-like, optional
            By default ``my_model`` with the format's suffix, ``.onnx`` or ``.tflite``; a SavedModel is a folder.
        quantise : data.Dataset, optional
            For LiteRT: compute in int8, about a quarter of the size. Its images show which values occur; take the
            training part of a split, never the test part.
        fit : {"crop", "pad", "stretch"}
            As for `save`.

        Returns
        -------
        pathlib.Path

        Raises
        ------
        ExportError, FileError
            As `tl_base.exports.export`.

        Notes
        -----
        Taught in: chapter 7 (Your own photographs).
        """
        examples = getattr(quantise, "images", quantise)
        return exports.export(self.model, self.class_names, format, path, examples, fit)


Answering = Result | Score | np.ndarray


def _predictions(other: Answering, dataset: Dataset) -> np.ndarray:
    """Return what others answer to the images of a data set."""
    score = other.evaluate(dataset) if isinstance(other, Result) else other
    if not isinstance(score, Score):
        return np.asarray(score)
    if len(score.predictions) != len(dataset) or (_confusion(dataset, score.predictions) != score.confusion).any():
        found = f"A score was made on other images than the {len(dataset):,} of {dataset.name!r}."
        raise TransferError(f"{found} Pass the result itself, or its score on this data set.")
    return score.predictions


def _confusion(dataset: Dataset, predictions: np.ndarray) -> np.ndarray:
    classes = len(dataset.class_names)
    return np.bincount(dataset.labels * classes + predictions, minlength=classes**2).reshape(classes, classes)


def evaluate(model: keras.Model, dataset: Dataset, class_names: Sequence[str] | None = None) -> Score:
    """Score a network on a data set.

    Parameters
    ----------
    model : keras.Model
        Images to logits.
    dataset : data.Dataset
        For a final number: the test part of a split, once.
    class_names : sequence of str, optional
        What the network's outputs mean. Without it, only their number is compared: a bare network has no names.

    Raises
    ------
    TransferError, ModelError
        If the network has another number of classes, other ones, or the same in another order; if it takes images of
        another shape, or there are none.

    Notes
    -----
    Taught in: chapter 4 (Worked example).
    """
    classes, count = len(dataset.class_names), graph.graph_of(model).outputs[0].shape[-1]
    if count != classes:
        raise TransferError(f"The network has {count} outputs, but {dataset.name!r} has {classes} classes.")
    if class_names is not None:
        check_names(class_names, dataset, "the network learned")
    if not len(dataset):
        raise TransferError(f"{dataset.name!r} has no images to score. Take the test part of a split.")
    answers = prefixes.answers(model, dataset.images)
    predictions = answers.argmax(1)
    confusion = _confusion(dataset, predictions)
    with np.errstate(invalid="ignore"):  # 0/0 is NaN
        per_class = np.diag(confusion) / confusion.sum(1)
    return Score(
        float(np.mean(predictions == dataset.labels)), per_class, confusion, predictions, running.shares(model, answers)
    )


def averaged(start: Result, end: Result, validation: Dataset, share: float = 0.5) -> Result:
    """Average the weights of a network before and after fine-tuning: (1 − a) · θ_start + a · θ_end (WiSE-FT).

    Parameters
    ----------
    start : Result
        A linear probe: ``parameter_transfer(source, split, freeze=…)`` with all copied layers frozen. LP-FT's first
        phase ends there where steps, rates and seed are its own.
    end : Result
        The same network, fine-tuned.
    validation : data.Dataset
        Is scored, and has no part in it.
    share : float
        a, from 0 (`start`) to 1 (`end`). All that the layers hold is averaged, statistics too.

    Returns
    -------
    Result
        With the history of `end`, the seconds of both, and the share in `settings`.

    Raises
    ------
    TransferError, ModelError
        If the share is none, or these are no two states of one network.

    References
    ----------
    Wortsman et al. (2022), Robust fine-tuning of zero-shot models, equation 1; their start is a zero-shot classifier.
    Taught in: no chapter (the page of results reports it).
    """
    if not 0 <= share <= 1:
        raise TransferError(f"Expected a share from 0 (the start) to 1 (the end), found {share}.")
    if start.class_names != end.class_names:
        raise TransferError(
            f"The start answers {graph.listed(start.class_names)}, the end {graph.listed(end.class_names)}."
        )
    model, seconds = clones.between(start.model, end.model, share), start.seconds + end.seconds
    score, settings = evaluate(model, validation, end.class_names).accuracy, {**end.settings, "share": share}
    known = {"model": model, "validation_accuracy": score, "seconds": seconds, "settings": settings}
    return replace(end, method="weight averaging", **known)


def check_names(class_names: Sequence[str], dataset: Dataset, whose: str) -> None:
    """Refuse a data set whose labels mean something else.

    Parameters
    ----------
    class_names : sequence of str
        Whose labels count.
    dataset : data.Dataset
    whose : str
        Of whom the error tells, for instance ``"the network learned"``.

    Raises
    ------
    TransferError
        The message says what to do: bring the classes into the same order, or train on these.

    Notes
    -----
    Taught in: no chapter (the methods and `evaluate` ask it).
    """
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
