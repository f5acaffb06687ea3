import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from tl_base.backend import keras, tf
from tl_helpers import data, knowledge, models, training, transfer

QUICK = {"steps": 12, "batch_size": 16, "points": 2, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def teacher(split):
    return transfer.from_scratch(split, steps=60, batch_size=24, points=1).model


def taught(source, split, *items, **changes):
    return transfer.knowledge_transfer(source, split, knowledge=items, **QUICK | changes)


def setting(source, split, copied=3, frozen=0, **target):
    model = transfer.target_network(source, classes=len(split.train.class_names), copy=copied, **target)
    return knowledge.Adaptation(source, model, split.train, copied, frozen)


def loss_of(term, logits, taps=None, targets=None):
    return float(term.loss(tf.constant(logits, "float32"), taps, targets))


def same_weights(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


# L2-SP


def test_l2sp_worked_by_hand(split):
    layers = keras.layers
    chain = [keras.Input((32, 32, 3)), layers.GlobalAveragePooling2D(name="mean")]
    source = keras.Sequential([*chain, layers.Dense(1, name="old")])
    model = keras.Sequential([*chain, layers.Dense(1, name="old"), layers.Dense(1, name="head")])
    source.get_layer("old").set_weights([np.array([[1.0], [2.0], [3.0]]), np.array([0.5])])
    model.get_layer("old").set_weights([np.array([[1.0], [4.0], [3.0]]), np.array([1.5])])
    model.get_layer("head").set_weights([np.array([[3.0]]), np.array([-1.0])])
    term = knowledge.L2SP(alpha=0.2, beta=0.4).term(knowledge.Adaptation(source, model, split.train, 1, 0))
    # ‖w_S − w_S⁰‖² = (4 − 2)² + (1.5 − 0.5)² = 5 and ‖w_new‖² = 3² + 1² = 10: 0.1 · 5 + 0.2 · 10 = 2.5
    assert loss_of(term, [[0.0]]) == pytest.approx(2.5)


def test_l2sp_penalises_only_trained_weights(source, split):
    found = setting(source, split, copied=2, frozen=1)
    for name in ("conv1", "conv2", "conv3", "head"):
        layer = found.model.get_layer(name)
        layer.set_weights([w + 1 for w in layer.get_weights()])
    head_and_conv3 = [w for name in ("conv3", "head") for w in found.model.get_layer(name).get_weights()]
    conv2 = 3 * 3 * 32 * 64 + 64  # each of them moved by 1
    expected = 0.5 * conv2 + 0.05 * sum(float((w**2).sum()) for w in head_and_conv3)
    assert loss_of(knowledge.L2SP(1.0, 0.1).term(found), [[0.0]]) == pytest.approx(expected, rel=1e-4)


def test_l2sp_holds_the_weights_the_nearer_the_stronger_it_is(source, split):
    moved = [
        models.distance(taught(source, split, knowledge.L2SP(alpha), steps=60).model, source, 3)
        for alpha in (0.0, 0.01, 0.1, 1.0)
    ]
    assert all(far > near > 0 for far, near in itertools.pairwise(moved))


# Distillation


def test_softened_worked_by_hand():
    logits = np.log([[1.0, 4.0]])
    np.testing.assert_allclose(knowledge.softened(logits), [[0.2, 0.8]], rtol=1e-6)
    # T = 2 takes square roots: 1 and 2, so 1/3 and 2/3
    np.testing.assert_allclose(knowledge.softened(logits, 2), [[1 / 3, 2 / 3]], rtol=1e-6)
    assert np.isfinite(knowledge.softened(np.array([[1e4, -1e4]]))).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-20, 20), min_size=2, max_size=6), st.floats(0.5, 5), st.floats(1.1, 4))
def test_a_higher_temperature_brings_classes_closer(logits, temperature, factor):
    cool = knowledge.softened(np.array([logits]), temperature)
    warm = knowledge.softened(np.array([logits]), temperature * factor)
    assert warm.max() <= cool.max() + 1e-6
    assert warm.sum() == pytest.approx(1, abs=1e-5)


def test_distillation_worked_by_hand(split):
    names = split.train.class_names
    fixed = keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, name="out")]
    )
    fixed.get_layer("out").set_weights([np.zeros((3, 3)), np.log([1.0, 4.0, 4.0])])
    term = knowledge.Distillation(fixed, names, temperature=2, weight=0.25).term(
        knowledge.Adaptation(fixed, fixed, split.train, 0, 0)
    )
    # Teacher at T = 2: square roots 1, 2, 2, so 0.2, 0.4, 0.4. Student's logits 0: each class 1/3, cross-entropy log 3.
    np.testing.assert_allclose(term.targets[0], [0.2, 0.4, 0.4], rtol=1e-5)
    assert term.share == 0.25
    assert loss_of(term, [[0, 0, 0]], None, term.targets[:1]) == pytest.approx(0.25 * 4 * math.log(3), rel=1e-5)
    # Student's logits log(1, 4, 4) agree with the teacher: the entropy of (0.2, 0.4, 0.4) is left.
    entropy = -(0.2 * math.log(0.2) + 0.8 * math.log(0.4))
    assert loss_of(term, np.log([[1.0, 4, 4]]), None, term.targets[:1]) == pytest.approx(entropy, rel=1e-5)


def test_distillation_brings_the_student_to_its_teacher(source, split, teacher):
    names = split.train.class_names
    wrong = dataclasses.replace(split.train, labels=(split.train.labels + 1) % 3)  # the labels teach something else
    misled = dataclasses.replace(split, train=wrong)
    agreement = {}
    for weight in (0.0, 1.0):
        student = taught(source, misled, knowledge.Distillation(teacher, names, 2.0, weight), steps=80).model
        agreement[weight] = np.mean(
            models.outputs(student, split.test.images).argmax(1) == models.outputs(teacher, split.test.images).argmax(1)
        )
    assert agreement[1.0] > 0.9 > 0.4 > agreement[0.0]


# Attention transfer


def test_attention_map_worked_by_hand():
    activations = np.zeros((1, 1, 2, 2), "float32")
    activations[0, 0, 0] = [1, np.sqrt(2)]  # 1 + 2 = 3
    activations[0, 0, 1] = [2, 0]  # 4; length of (3, 4) is 5
    np.testing.assert_allclose(knowledge.attention_maps(activations), [[0.6, 0.8]], rtol=1e-6)
    assert not knowledge.attention_maps(np.zeros((2, 3, 3, 4), "float32")).any()


def test_attention_loss_worked_by_hand(source, split):
    term = knowledge.AttentionTransfer(3.0, layers=("conv3",)).term(setting(source, split))
    activations = models.outputs(models.features_at(source, "conv3"), split.train.images[:1])
    np.testing.assert_allclose(term.targets[:1], knowledge.attention_maps(activations), atol=1e-6)
    ours = np.zeros((1, 4, 4, 64), "float32")
    ours[0, 0, 0, 0] = 2  # a map of one place: its unit vector is (1, 0, …)
    squared = 2 - 2 * term.targets[0, 0]  # ‖e₁ − q‖² of two unit vectors
    assert loss_of(term, [[0.0]], {"conv3": tf.constant(ours)}, term.targets[:1]) == pytest.approx(
        1.5 * squared, rel=1e-5
    )


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.1, 100))
def test_attention_does_not_see_the_scale_of_the_maps(scale):
    activations = np.random.default_rng(0).random((2, 3, 3, 4), dtype="float32")
    np.testing.assert_allclose(
        knowledge.attention_maps(activations * np.float32(scale)), knowledge.attention_maps(activations), rtol=1e-4
    )


def test_attention_brings_a_fresh_networks_maps_to_the_sources(source, split):
    far = {}
    for strength in (0.0, 100.0):
        item = knowledge.AttentionTransfer(strength, ("conv2", "conv3"))
        model = taught(source, split, item, copy=0, steps=60).model
        maps = [
            knowledge.attention_maps(models.outputs(models.features_at(network, "conv3"), split.test.images))
            for network in (model, source)
        ]
        far[strength] = np.mean(np.sum((maps[0] - maps[1]) ** 2, axis=1))
    assert far[100.0] < far[0.0] / 2


# Logic rules


def left_is_not_class_2(images):
    """A bright left side excludes class 2, whose square is on the right."""
    bright = images[:, 4:12, 2:10, 0].mean((1, 2)) > 100
    truth = np.ones((len(images), 3))
    truth[bright, 2] = 0
    return truth


RULE = knowledge.Rule("left", left_is_not_class_2)


def test_projection_worked_by_hand():
    rule = knowledge.Rule("some", lambda images: np.array([[1.0, 0.5, 0.0]]), confidence=2.0)
    rules = knowledge.LogicRules([rule], strength=math.log(2))
    images, logits = np.zeros((1, 32, 32, 3), "uint8"), np.log([[1.0, 1.0, 2.0]])
    # exp(−log 2 · 2 · (0, ½, 1)) = 1, ½, ¼; times (1, 1, 2) is 1, ½, ½; sum 2
    np.testing.assert_allclose(rules.project(logits, images), [[0.5, 0.25, 0.25]], rtol=1e-6)
    two = knowledge.LogicRules([rule, dataclasses.replace(rule, confidence=1.0)], strength=math.log(2))
    np.testing.assert_allclose(two.penalty(images, 3), math.log(2) * 3 * np.array([[0, 0.5, 1]]), rtol=1e-6)


def test_logic_loss_worked_by_hand(source, split):
    rules = knowledge.LogicRules([RULE], strength=math.log(3), weight=0.5)
    term = rules.term(setting(source, split))
    row = int(np.argmax(split.train.labels == 0))
    np.testing.assert_allclose(term.targets[row], [0, 0, math.log(3)], rtol=1e-5)
    # p = (1, 1, 1)/3; q ∝ (1, 1, 1/3), so (3, 3, 1)/7; cross-entropy with uniform p is log 3 whatever q is
    assert loss_of(term, [[0, 0, 0]], None, term.targets[row : row + 1]) == pytest.approx(0.5 * math.log(3), rel=1e-5)
    # p = (1, 1, 2)/4; q ∝ (1, 1, 2/3), so (3, 3, 2)/8
    expected = -(6 / 8 * math.log(1 / 4) + 2 / 8 * math.log(2 / 4))
    found = loss_of(term, np.log([[1.0, 1, 2]]), None, term.targets[row : row + 1])
    assert found == pytest.approx(0.5 * expected, rel=1e-5)
    assert term.share == 0.5


def test_the_corrected_outputs_count_as_given(source, split):
    term = knowledge.LogicRules([RULE], strength=1.0, weight=1.0).term(setting(source, split))
    row = int(np.argmax(split.train.labels == 0))
    logits = tf.Variable(np.log([[1.0, 1.0, 2.0]]), dtype="float32")
    with tf.GradientTape() as tape:
        loss = term.loss(logits, None, term.targets[row : row + 1])
    p, q = np.array([0.25, 0.25, 0.5]), np.array([1, 1, 2 / math.e]) / (2 + 2 / math.e)
    np.testing.assert_allclose(tape.gradient(loss, logits)[0], p - q, rtol=1e-4)  # of CE(q, p) with q constant


def test_rules_move_a_network_that_has_no_label_of_the_class(source, split):
    """Unlabelled by weight 1: only the rules teach, and the network learns not to say 2 on the left."""
    model = taught(source, split, knowledge.LogicRules([RULE], strength=3.0, weight=1.0), steps=60).model
    left = split.test.rows(split.test.labels == 0)
    p = knowledge.softened(models.outputs(model, left.images))
    assert p[:, 2].mean() < 0.1


def test_the_weight_of_rules_can_be_raised_from_0(source, split):
    term = knowledge.LogicRules([RULE], weight=0.25, raised=True).term(setting(source, split))
    passes = np.array([0, 0.5, 1, 2, 40])
    share = term.share * np.array([float(term.growth(tf.constant(p, "float32"))) for p in passes])
    # 1 − 0.85^t: nothing, 1 − √0.85, 0.15, and 1 − 0.7225 is above 0.25
    np.testing.assert_allclose(share, [0, 1 - math.sqrt(0.85), 0.15, 0.25, 0.25], atol=1e-6)
    assert knowledge.LogicRules([RULE], weight=0.25).term(setting(source, split)).growth is None


def test_raised_rules_end_where_constant_ones_are(source, split):
    """In the first step the labels count alone; the loss is then that of plain fine-tuning."""
    plain, raised, constant = (
        taught(source, split, *items, points=12).history.loss
        for items in (
            (),
            (knowledge.LogicRules([RULE], 3.0, 0.5, raised=True),),
            (knowledge.LogicRules([RULE], 3.0, 0.5),),
        )
    )
    assert raised[0] == pytest.approx(plain[0], rel=1e-5)
    assert abs(raised[1] - plain[1]) > 1e-6
    assert abs(constant[0] - plain[0]) < 1e-6 < abs(constant[1] - plain[1])  # at first all outputs are alike


def test_rule_table_counts_coverage_and_agreement(split):
    table = knowledge.rule_table([RULE], split.test.images, split.test.labels, split.test.class_names)
    assert table.loc["left", "coverage"] == pytest.approx(1 / 3)
    assert table.loc["left", "agreement"] == 1
    always_two = np.full(len(split.test), 2)
    assert knowledge.rule_table([RULE], split.test.images, always_two, split.test.class_names).agreement.item() == 0
    silent = knowledge.Rule("silent", lambda images: np.ones((len(images), 3)))
    row = knowledge.rule_table([silent], split.test.images, split.test.labels, split.test.class_names).loc["silent"]
    assert row.coverage == 0
    assert math.isnan(row.agreement)


def drawing(*rows):
    """Draw text as a picture: # is ink."""
    picture = np.zeros((32, 32), "uint8")
    for i, row in enumerate(rows, 5):
        picture[i, 5 : 5 + len(row)] = [255 * (sign == "#") for sign in row]
    return np.repeat(picture[..., None], 3, axis=2)


LOOPS = [
    (0, ("", "")),
    (0, ("####", "#   ", "#  #", "####")),
    (1, ("####", "#  #", "#  #", "####")),
    (1, (" ## ", "#  #", " ## ")),  # ink connects over corners
    (2, ("###", "# #", "# #", "###", "# #", "# #", "###")),
    (0, ("###", "# #", "###")),  # one pixel of background is a flaw
]


@pytest.mark.parametrize(("count", "rows"), LOOPS)
def test_loops_of_drawings(count, rows):
    assert knowledge.loops(drawing(*rows)[None]).tolist() == [count]


def test_loops_do_not_depend_on_place_turn_or_edge():
    eight = drawing(*LOOPS[4][1])
    moved = [np.roll(eight, shift, (0, 1)) for shift in ((0, 0), (-5, -5), (20, 22))]  # up to the edges of the image
    assert knowledge.loops(np.stack([*moved, np.rot90(eight)])).tolist() == [2, 2, 2, 2]
    bar = np.zeros((1, 32, 32, 3), "uint8")
    bar[:, 15] = 255  # from edge to edge: it cuts the image in two and encloses nothing
    assert knowledge.loops(bar).tolist() == [0]


def test_loops_settings():
    ring = drawing(*LOOPS[5][1])[None]
    assert knowledge.loops(ring, smallest=1).tolist() == [1]
    faint = np.where(drawing(*LOOPS[2][1])[None] > 0, 95, 0).astype("uint8")
    assert knowledge.loops(faint).tolist() == [0]
    assert knowledge.loops(faint, threshold=95).tolist() == [1]


def test_loop_rules_worked_by_hand():
    images = np.stack([drawing(*LOOPS[i][1]) for i in (1, 2, 4)])  # no loop, one, two
    loop, none, two = (rule.values(images, 10).tolist() for rule in knowledge.loop_rules())
    silent, looped = [1] * 10, [1, 0, 0, 0, 1, 0, 1, 0, 1, 1]
    assert loop == [silent, looped, looped]
    assert none == [[0, 1, 1, 1, 1, 1, 0, 1, 0, 0], silent, silent]
    assert two == [silent, silent, [0, 0, 0, 0, 0, 0, 0, 0, 1, 0]]


def test_loop_rules_hold_for_real_digits():
    shipped = load_digits()
    framed = np.pad(np.rint(shipped.images * 255 / 16).astype("uint8"), ((0, 0), (2, 2), (2, 2)))
    digits = data.from_arrays(framed, shipped.target)
    table = knowledge.rule_table(knowledge.loop_rules(), digits.images, digits.labels, digits.class_names)
    assert (table.agreement > 0.87).all()
    assert table.coverage.iloc[:2].sum() == pytest.approx(1)  # the first two divide all images between them


def test_unlikely_refuses_a_class_that_is_none():
    with pytest.raises(knowledge.KnowledgeError, match=r"'mine': expected classes from 0 to 2, found \(1, 3\)"):
        knowledge.unlikely("mine", lambda images: np.ones(len(images), bool), (1, 3), count=3)


# All of them


OFF = {
    "L2SP": lambda teacher, names: knowledge.L2SP(0.0),
    "Distillation": lambda teacher, names: knowledge.Distillation(teacher, names, weight=0.0),
    "AttentionTransfer": lambda teacher, names: knowledge.AttentionTransfer(0.0),
    "LogicRules": lambda teacher, names: knowledge.LogicRules([RULE], weight=0.0),
    "LogicRules, raised": lambda teacher, names: knowledge.LogicRules([RULE], weight=0.0, raised=True),
}


@pytest.mark.parametrize("name", OFF)
def test_strength_0_is_plain_fine_tuning_step_for_step(name, source, split, teacher):
    plain = transfer.parameter_transfer(source, split, **QUICK | {"points": 12})
    off = taught(source, split, OFF[name](teacher, split.train.class_names), points=12)
    assert off.history.loss == pytest.approx(plain.history.loss, rel=1e-6)
    for ours, theirs in zip(off.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_without_knowledge_the_call_is_parameter_transfer(source, split):
    settings_of = {"copy": 2, "freeze": 1, "seed": 3, "probe_steps": 4, "head_rate": 1e-2}
    plain = transfer.parameter_transfer(source, split, **settings_of, **QUICK)
    assert same_weights(plain.model, taught(source, split, **settings_of).model)


def test_all_four_work_together(source, split, teacher):
    items = (
        knowledge.L2SP(0.01, 0.01),
        knowledge.Distillation(teacher, split.train.class_names, 4.0, 0.3),
        knowledge.AttentionTransfer(1.0, ("conv3",)),
        knowledge.LogicRules([RULE], 1.0, 0.3),
    )
    result = taught(source, split, *items, freeze=1, probe_steps=20, steps=80)
    assert result.method == "knowledge transfer"
    assert result.settings["knowledge"] == items
    assert result.evaluate(split.test).accuracy > 0.9


def test_training_refuses_a_loss_of_which_more_than_all_is_replaced(source, split, teacher):
    items = knowledge.Distillation(teacher, split.train.class_names, 4.0, 0.7), knowledge.LogicRules([RULE], 1.0, 0.7)
    with pytest.raises(training.TrainingError, match=r"1\.4 of the labels.*Distillation 0\.7, LogicRules 0\.7"):
        taught(source, split, *items)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t: knowledge.L2SP(-1), "alpha ≥ 0"),
        (lambda t: knowledge.L2SP(1, float("nan")), "beta ≥ 0"),
        (lambda t: knowledge.Distillation(t, "012", temperature=0), "temperature > 0"),
        (lambda t: knowledge.Distillation(t, "012", temperature=float("inf")), "temperature > 0"),
        (lambda t: knowledge.Distillation(t, "012", weight=1.5), "weight from 0 to 1"),
        (lambda t: knowledge.AttentionTransfer(-1), "strength ≥ 0"),
        (lambda t: knowledge.AttentionTransfer(1, "conv3"), "names of one or more layers"),
        (lambda t: knowledge.Rule("r", left_is_not_class_2, confidence=-1), "confidence ≥ 0"),
        (lambda t: knowledge.LogicRules([]), "one or more of knowledge.Rule"),
        (lambda t: knowledge.LogicRules([left_is_not_class_2]), "one or more of knowledge.Rule"),
        (lambda t: knowledge.LogicRules([RULE], strength=-1), "strength ≥ 0"),
        (lambda t: knowledge.LogicRules([RULE], weight=-0.1), "weight from 0 to 1"),
    ],
)
def test_wrong_settings_are_explained(make, message, teacher):
    with pytest.raises(knowledge.KnowledgeError, match=message):
        make(teacher)


def rule_of(values):
    return knowledge.LogicRules([knowledge.Rule("mine", lambda images: values)])


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (lambda t: knowledge.L2SP(1), {"copy": 0}, "none is trained: 0 layers are copied"),
        (lambda t: knowledge.L2SP(1), {"freeze": 3}, "3 frozen"),
        (lambda t: knowledge.L2SP(1), {"initialisation": "random"}, "0 layers are copied"),
        (lambda t: knowledge.Distillation(t, ("a", "b", "c")), {}, "3 outputs, for a, b, c.*classes are 0, 1, 2"),
        (lambda t: knowledge.Distillation(models.source_cnn(), ("0", "1", "2")), {}, "10 outputs"),
        (lambda t: knowledge.AttentionTransfer(1), {"freeze": 2}, "'conv2' is frozen"),
        (lambda t: knowledge.AttentionTransfer(1, ("conv9",)), {}, "no layer 'conv9'.*conv1"),
        (lambda t: knowledge.AttentionTransfer(1, ("features",)), {}, "no layer 'features'"),
        (lambda t: knowledge.AttentionTransfer(1, ("flatten",)), {"layer": "dense"}, "height, width and channels"),
        (lambda t: rule_of(np.ones((5, 3))), {}, r"'mine': expected truth values of shape \(24, 3\).*\(5, 3\)"),
        (lambda t: rule_of(np.full((24, 3), 2.0)), {}, "'mine': truth values lie in"),
    ],
)
def test_what_does_not_fit_is_explained(make, changes, message, source, split, teacher):
    with pytest.raises(ValueError, match=message):
        taught(source, split, make(teacher), **changes)
