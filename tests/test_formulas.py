"""What training minimises under each kind of knowledge, held against the papers' formulas written in NumPy.

One step over all training images tells the objective at the weights before it: `History.loss`.
"""

import numpy as np
import pytest
from scipy import optimize, special, stats

from tl_base.backend import tf
from tl_helpers import knowledge, models, training, transfer

CLASSES = 3


def network(source, seed):
    """Return a target network somewhere between its start and its end: all weights moved, the head too."""
    model = transfer.target_network(source, classes=CLASSES, copy=3)
    generator = np.random.default_rng(seed)
    model.set_weights([w + generator.normal(0, 0.05, w.shape) for w in model.get_weights()])
    head = model.get_layer("head")
    head.set_weights([generator.normal(0, 1, w.shape) for w in head.get_weights()])  # outputs that are far from even
    return model


def objective(model, source, split, item, frozen=0):
    """Return what training minimises, and what the labels' cross-entropy alone would be."""
    images, labels = split.train.images, split.train.labels
    logits = models.outputs(model, images).astype(float)
    labels_alone = -special.log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()
    term = item.term(knowledge.Adaptation(source, model, split.train, 3, frozen))
    history = training.fit(model, images, labels, steps=1, batch_size=len(labels), points=1, terms=[term])
    return history.loss[0], labels_alone, logits


def test_l2_sp(source, split):
    """Li et al. (2018), section 3: α/2 ‖w_S − w_S⁰‖² + β/2 ‖w_S̄‖²."""
    model = network(source, 0)
    started, own = (
        {layer.name: [w.astype(float) for w in layer.get_weights()] for layer in each.layers}
        for each in (source, model)
    )
    near = sum(
        ((w - s) ** 2).sum() for name in ("conv2", "conv3") for w, s in zip(own[name], started[name], strict=True)
    )
    new = sum((w**2).sum() for w in own["head"])
    found, labels_alone, _ = objective(model, source, split, knowledge.L2SP(0.3, 0.07), frozen=1)
    assert near > 1
    assert found == pytest.approx(labels_alone + 0.3 / 2 * near + 0.07 / 2 * new, rel=1e-5)


def test_distillation(source, split):
    """Hinton et al. (2015): the mean of two cross-entropies, the soft one times T²."""
    model, teacher = network(source, 0), network(source, 1)
    taught = special.softmax(models.outputs(teacher, split.train.images).astype(float) / 3, axis=1)
    item = knowledge.Distillation(teacher, split.train.class_names, temperature=3, weight=0.4)
    found, labels_alone, logits = objective(model, source, split, item)
    soft = -(taught * special.log_softmax(logits / 3, axis=1)).sum(axis=1).mean()
    assert stats.entropy(taught.T).mean() < soft - 0.1  # the two do not agree already
    assert found == pytest.approx(0.6 * labels_alone + 0.4 * 3**2 * soft, rel=1e-5)


def test_the_factor_of_distillation_keeps_the_size_of_the_gradient(source, split):
    """Hinton et al. (2015), section 2.1: at a high T the soft gradient is (z − v)/K, for logits with means of 0."""
    teacher = network(source, 1)
    item = knowledge.Distillation(teacher, split.train.class_names, temperature=100, weight=1)
    term = item.term(knowledge.Adaptation(source, teacher, split.train, 3, 0))
    student = np.random.default_rng(0).normal(0, 2, (len(split.train), CLASSES))
    logits = tf.Variable(student, dtype="float32")
    with tf.GradientTape() as tape:
        loss = term.loss(logits, None, term.targets)
    theirs = models.outputs(teacher, split.train.images)
    expected = (student - student.mean(1, keepdims=True) - theirs + theirs.mean(1, keepdims=True)) / CLASSES
    found = tape.gradient(loss, logits).numpy() * len(student)  # the loss is the mean over the images
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())


def test_attention_transfer(source, split):
    """Zagoruyko and Komodakis (2017), equation 2, each norm squared: β/2 Σ_j ‖Q_S/‖Q_S‖ − Q_T/‖Q_T‖‖²."""
    model, layers = network(source, 0), ("conv2", "conv3")

    def maps(net, layer):
        seen = models.outputs(models.activations_at(net, layer), split.train.images).astype(float)
        flat = (seen**2).sum(axis=3).reshape(len(seen), -1)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)

    apart = np.array([np.linalg.norm(maps(source, layer) - maps(model, layer), axis=1) for layer in layers])
    found, labels_alone, _ = objective(model, source, split, knowledge.AttentionTransfer(250, layers))
    assert 250 / 2 * (apart**2).sum(axis=0).mean() > 0.1 * labels_alone
    assert found == pytest.approx(labels_alone + 250 / 2 * (apart**2).sum(axis=0).mean(), rel=1e-4)


def half_true(images):
    """Give each class a truth value from 0 to 1 that depends on where the image is bright."""
    thirds = [images[:, :, 10 * i : 10 * i + 10, 0].mean((1, 2)) / 255 for i in range(CLASSES)]
    return np.transpose(thirds)


def never_0(images):
    return np.tile([0.0, 1, 1], (len(images), 1))


RULES = [knowledge.Rule("half true", half_true, confidence=1.5), knowledge.Rule("never 0", never_0, confidence=0.6)]


def test_logic_rules(source, split):
    """Hu et al. (2016), equations 2 and 4: (1 − π) CE(y, p) + π CE(q, p), q ∝ p exp(−C Σ λ (1 − r))."""
    model, images = network(source, 0), split.train.images
    found, labels_alone, logits = objective(model, source, split, knowledge.LogicRules(RULES, strength=2.0, weight=0.3))
    broken = 1.5 * (1 - half_true(images)) + 0.6 * (1 - never_0(images))
    unnormalised = special.softmax(logits, axis=1) * np.exp(-2 * broken)
    corrected = unnormalised / unnormalised.sum(axis=1, keepdims=True)
    taught = -(corrected * special.log_softmax(logits, axis=1)).sum(axis=1).mean()
    assert found == pytest.approx(0.7 * labels_alone + 0.3 * taught, rel=1e-5)


def test_the_projection_solves_the_problem_that_it_stands_for():
    """Hu et al. (2016), equation 3: q minimises KL(q ‖ p) + C Σ λ (1 − E_q r) over all distributions q."""
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype="uint8")
    logits = np.random.default_rng(1).normal(0, 2, (4, CLASSES))
    truth = [rule.values(images, CLASSES) for rule in RULES]
    found = knowledge.LogicRules(RULES, strength=2.0).project(logits, images)
    for row in range(4):
        p = special.softmax(logits[row])

        def cost(free, p=p, row=row):
            q = special.softmax([*free, 0])
            rules = sum(rule.confidence * (1 - q @ r[row]) for rule, r in zip(RULES, truth, strict=True))
            return stats.entropy(q, p) + 2.0 * rules

        best = optimize.minimize(cost, np.zeros(CLASSES - 1), tol=1e-12)
        np.testing.assert_allclose(found[row], special.softmax([*best.x, 0]), atol=1e-4)
