"""The *f* of y = f(Wx + b): rules and constraints under which a target network is trained.

Three of them are taken from a source network (`L2SP`, `Distillation`, `AttentionTransfer`); one is written by a person
(`LogicRules`). Each turns itself into a `training.Term`, so that each works alone or beside the others.
Taught in: chapters 3.5 to 3.7 (Knowledge transfer).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from tl_base import graph
from tl_base.backend import keras, tf
from tl_base.steps import Tensor
from tl_helpers import models
from tl_helpers.data import Dataset
from tl_helpers.rules import KnowledgeError, Rule, check_numbers, loop_rules, loops, rule_table, unlikely, wrong_rules
from tl_helpers.training import Taps, Term

__all__ = ["L2SP", "Adaptation", "AttentionTransfer", "Distillation", "Knowledge", "LogicRules"]
__all__ += ["attention_maps", "softened"]
__all__ += ["KnowledgeError", "Rule", "loop_rules", "loops", "rule_table", "unlikely", "wrong_rules"]

SPEED = 0.85  # α of `LogicRules`


@dataclass(frozen=True)
class Adaptation:
    """What a piece of knowledge may look at when it turns itself into a term of the loss.

    Attributes
    ----------
    source, model : keras.Model
        The source network, and the target network before its first step.
    train : data.Dataset
    copied, frozen : int
        How many of the target's first layers hold the source's weights, and how many of these never change.
    """

    source: keras.Model
    model: keras.Model
    train: Dataset
    copied: int
    frozen: int


class Knowledge(Protocol):
    """What `transfer.knowledge_transfer` takes: whatever turns itself into a term of the loss."""

    def term(self, setting: Adaptation) -> Term:
        """Return what the loss gets.

        Parameters
        ----------
        setting : Adaptation
            The networks and the training images, before the first step.

        Returns
        -------
        training.Term

        Raises
        ------
        KnowledgeError
            If rule or constraint and setting do not fit.
        """


@dataclass(frozen=True)
class L2SP:
    """Keep the copied layers near the source's weights: α/2 ‖w_S − w_S⁰‖² + β/2 ‖w_new‖².

    Parameters
    ----------
    alpha : float
        Strength of the pull towards the source's weights; 0 is plain fine-tuning.
    beta : float
        Strength of the pull of all other trained weights towards 0.

    Raises
    ------
    KnowledgeError
        If a strength is negative; in training, if no copied layer is trained.

    References
    ----------
    Li, Grandvalet and Davoine (2018), Explicit inductive bias for transfer learning, section 3 (L²-SP). Biases are
    penalised like the other weights. Taught in: chapter 3.5 (Knowledge transfer).
    """

    alpha: float
    beta: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(alpha=self.alpha, beta=self.beta)

    def term(self, setting: Adaptation) -> Term:
        """Return the penalty as a `training.Term`."""
        if setting.copied <= setting.frozen:
            raise KnowledgeError(
                f"L2SP holds copied layers near the source's weights, but none is trained: {setting.copied} layers are "
                f"copied and {setting.frozen} frozen. Copy more, or freeze fewer."
            )
        ours, theirs = models.weight_layers(setting.model), graph.operations_of(setting.source)
        near = [
            (weight, tf.constant(start.numpy()))
            for layer in ours[setting.frozen : setting.copied]
            for weight, start in zip(graph.learned(layer), graph.learned(theirs[layer.name]), strict=True)
        ]
        new = [weight for layer in ours[setting.copied :] for weight in layer.trainable_weights]

        def loss(logits: Tensor, taps: Taps, targets: Tensor) -> Tensor:
            penalty = self.alpha / 2 * sum(tf.reduce_sum((weight - start) ** 2) for weight, start in near)
            return penalty + self.beta / 2 * sum(tf.reduce_sum(weight**2) for weight in new)

        return Term("L2SP", loss)


@dataclass(frozen=True, eq=False)
class Distillation:
    """Learn from a teacher's softened outputs: (1 − w) · CE(y, p) + w T² · CE(p_teacher^T, p^T).

    Parameters
    ----------
    teacher : keras.Model
        Images to logits over the target's classes, or to their probabilities, of which the logarithms are taken
        (`models.logits`). A CIFAR-10 network has none of the digits among its classes: a teacher of digits has seen
        labelled digits, and these are part of the method's price.
    class_names : sequence of str
        What the teacher's outputs mean. They are compared with the target's: ten outputs alone prove nothing, as
        CIFAR-10 has ten classes too.
    temperature : float
        T > 0; logits are divided by it, so that a high one shows how alike the classes look to the teacher.
    weight : float
        w from 0 (labels only) to 1 (teacher only).

    Raises
    ------
    KnowledgeError
        If temperature or weight are out of range; in training, if the teacher's classes are not the target's, or
        stand in another order.

    References
    ----------
    Hinton, Vinyals and Dean (2015), Distilling the knowledge in a neural network, equation 1 and section 2 (the factor
    T² keeps the size of the gradients). Taught in: chapter 3.6 (Knowledge transfer).
    """

    teacher: keras.Model
    class_names: Sequence[str]
    temperature: float = 4.0
    weight: float = 0.5

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise KnowledgeError(
                f"Expected a temperature > 0, found {self.temperature}. 1 leaves the outputs as they are."
            )
        check_numbers(1, weight=self.weight)

    def term(self, setting: Adaptation) -> Term:
        """Return the teacher's cross-entropy as a `training.Term`."""
        wanted, given = tuple(setting.train.class_names), tuple(map(str, self.class_names))
        outputs = graph.graph_of(self.teacher).outputs[0].shape[-1]
        if given != wanted or outputs != len(wanted):
            remedy = "Train a teacher on the target's classes first."
            if set(given) == set(wanted) and outputs == len(wanted):
                remedy = "The order differs: train the teacher on the target's order, data.only(dataset, class_names)."
            raise KnowledgeError(
                f"The teacher has {outputs} outputs, for {', '.join(given)}, but the target's classes are "
                f"{', '.join(wanted)}. {remedy}"
            )
        soft = softened(models.logits(self.teacher, setting.train.images), self.temperature)
        factor = self.weight * self.temperature**2

        def loss(logits: Tensor, taps: Taps, targets: Tensor) -> Tensor:
            cross_entropy = tf.nn.softmax_cross_entropy_with_logits(targets, logits / self.temperature)
            return factor * tf.reduce_mean(cross_entropy)

        return Term("Distillation", loss, soft, share=self.weight)


@dataclass(frozen=True)
class AttentionTransfer:
    """Look where the source looks: β/2 Σ_j ‖Q_S^j/‖Q_S^j‖ − Q_T^j/‖Q_T^j‖‖², Q the map Σ_c A_c² of a layer.

    Parameters
    ----------
    strength : float
        β; 0 is plain fine-tuning.
    layers : tuple of str
        Convolutions of source and target with maps of equal height and width. Their channels and the networks' classes
        may differ: a map has neither.

    Raises
    ------
    KnowledgeError
        If the strength is negative or no layer is named; in training, if a layer has no maps, maps of another size, or
        is frozen.

    References
    ----------
    Zagoruyko and Komodakis (2017), Paying more attention to attention, equations 1 and 2, with p = 2. As in its
    authors' program the norm of the difference is squared: where both maps agree, as at the start of fine-tuning, the
    plain norm has no gradient. Taught in: chapter 3.5 (Knowledge transfer).
    """

    strength: float
    layers: Sequence[str] = ("conv2", "conv3")

    def __post_init__(self) -> None:
        check_numbers(strength=self.strength)
        if isinstance(self.layers, str) or not self.layers:
            raise KnowledgeError(f"Expected the names of one or more layers, found {self.layers!r}.")

    def term(self, setting: Adaptation) -> Term:
        """Return the distance of the maps as a `training.Term`."""
        frozen = {layer.name for layer in models.weight_layers(setting.model)[: setting.frozen]}
        for name in self.layers:
            shapes = [models.activations_at(network, name).output.shape for network in (setting.source, setting.model)]
            if name in frozen:
                raise KnowledgeError(
                    f"{name!r} is frozen, so its maps cannot come nearer. Freeze fewer layers, or drop it."
                )
            if any(len(shape) != 4 for shape in shapes) or shapes[0][1:3] != shapes[1][1:3]:
                raise KnowledgeError(
                    f"Attention maps need a layer with height, width and channels, equally high and wide in both "
                    f"networks; {name!r} puts out {tuple(shapes[0][1:])} in the source and {tuple(shapes[1][1:])} here."
                )
        run = [models.compiled(models.activations_at(setting.source, name)) for name in self.layers]
        maps = np.concatenate([attention_maps(forward(setting.train.images)) for forward in run], axis=1)

        def loss(logits: Tensor, taps: Taps, targets: Tensor) -> Tensor:
            ours = tf.concat([_attention(taps[name]) for name in self.layers], axis=1)
            return self.strength / 2 * tf.reduce_mean(tf.reduce_sum((ours - targets) ** 2, axis=1))

        return Term("AttentionTransfer", loss, maps, tuple(self.layers))


@dataclass(frozen=True)
class LogicRules:
    """Train towards the outputs as the rules would correct them: q(y|x) ∝ p(y|x) exp(−C Σ_i λ_i (1 − r_i(x, y))).

    The loss is (1 − π) · CE(y, p) + π · CE(q, p), with q counted as given. A person wrote the rules: this is prior
    knowledge, and none of it is taken from a source network.

    Parameters
    ----------
    rules : sequence of Rule
    strength : float
        C; 0 makes q equal to p.
    weight : float
        π from 0 (labels only) to 1 (corrected outputs only).
    raised : bool
        Whether π grows from 0, min{π, 1 − α^t} after t passes over the training images, with α = 0.85: at first the
        network knows little, and its corrected outputs are poor. Otherwise it is constant.

    Raises
    ------
    KnowledgeError
        If there is no rule, strength or weight are out of range, or a rule gives values of another shape.

    References
    ----------
    Hu, Ma, Liu, Hovy and Xing (2016), Harnessing deep neural networks with logic rules, equations 2 and 4, and section
    3 (π raised; the paper counts iterations). Taught in: chapter 3.7 (Knowledge transfer).
    """

    rules: Sequence[Rule]
    strength: float = 1.0
    weight: float = 0.5
    raised: bool = False

    def __post_init__(self) -> None:
        check_numbers(strength=self.strength)
        check_numbers(1, weight=self.weight)
        object.__setattr__(self, "rules", tuple(self.rules))
        if not self.rules or not all(isinstance(rule, Rule) for rule in self.rules):
            raise KnowledgeError(f"Expected one or more of knowledge.Rule, found {self.rules!r}.")

    def penalty(self, images: np.ndarray, classes: int) -> NDArray[np.float32]:
        """Return C Σ_i λ_i (1 − r_i(x, y)).

        Parameters
        ----------
        images : ndarray, shape (N, 32, 32, 3), uint8
        classes : int

        Returns
        -------
        ndarray, shape (N, K), float32
        """
        broken = [rule.confidence * (1 - rule.values(images, classes)) for rule in self.rules]
        return np.float32(self.strength) * np.sum(broken, axis=0)

    def project(self, logits: np.ndarray, images: np.ndarray) -> NDArray[np.float32]:
        """Correct a network's outputs by the rules, without any training.

        Parameters
        ----------
        logits : ndarray, shape (N, K), float
        images : ndarray, shape (N, 32, 32, 3), uint8

        Returns
        -------
        ndarray, shape (N, K), float32
            q; each row sums to 1.
        """
        _check_logits(logits)
        return softened(logits - self.penalty(images, logits.shape[1]))

    def term(self, setting: Adaptation) -> Term:
        """Return the cross-entropy with q as a `training.Term`."""
        penalty = self.penalty(setting.train.images, len(setting.train.class_names))

        def loss(logits: Tensor, taps: Taps, targets: Tensor) -> Tensor:
            corrected = tf.stop_gradient(tf.nn.softmax(logits - targets))
            return self.weight * tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(corrected, logits))

        return Term("LogicRules", loss, penalty, share=self.weight, growth=self._growth if self.raised else None)

    def _growth(self, passes: Tensor) -> Tensor:
        """Return the part of π that counts after so many passes."""
        return tf.minimum(1.0, (1 - SPEED**passes) / max(self.weight, 1e-9))


def softened(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float32]:
    """Turn logits into probabilities: exp(z_i/T) / Σ_j exp(z_j/T).

    Parameters
    ----------
    logits : ndarray, shape (N, K), float
    temperature : float
        T > 0; above 1 the probabilities come closer to each other.

    Returns
    -------
    ndarray, shape (N, K), float32

    Raises
    ------
    KnowledgeError
        If the logits are probabilities already.

    References
    ----------
    Hinton, Vinyals and Dean (2015), equation 1. Taught in: chapter 3.6 (Knowledge transfer).
    """
    _check_logits(logits)
    return softmax(np.asarray(logits, "float64") / temperature, axis=1).astype("float32")


def _check_logits(logits: ArrayLike) -> None:
    if models.are_probabilities(logits):
        raise KnowledgeError(
            "Expected logits; found rows that are probabilities, none negative and with a sum of 1. Take their "
            "logarithms (numpy.log), or run the network through models.logits, which does."
        )


def attention_maps(activations: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return where a convolution responds: the sum of its squared channels, as a vector of length 1.

    Parameters
    ----------
    activations : ndarray, shape (N, H, W, C), float32

    Returns
    -------
    ndarray, shape (N, H·W), float32
        Row by row; all zeros for an image to which no channel responds.

    References
    ----------
    Zagoruyko and Komodakis (2017), section 3.1, F²_sum. Taught in: chapter 3.5 (Knowledge transfer).
    """
    return _attention(tf.constant(activations)).numpy()


def _attention(activations: Tensor) -> Tensor:
    maps = tf.reduce_sum(activations**2, axis=3)
    return tf.math.l2_normalize(tf.reshape(maps, (tf.shape(maps)[0], -1)), axis=1, epsilon=1e-12)
