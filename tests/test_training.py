import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tl_base import steps
from tl_base.backend import keras, tf
from tl_helpers import models, training


def linear(seed=0):
    initial = keras.initializers.GlorotUniform(seed=seed)
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, kernel_initializer=initial)])


@pytest.fixture
def points():
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 3
    return generator.normal(size=(60, 5)).astype("float32") + 2 * np.eye(5, dtype="float32")[labels], labels


@given(count=st.integers(1, 50), batch=st.integers(1, 60), steps=st.integers(1, 40), seed=st.integers(0, 5))
def test_every_example_comes_as_often_as_any_other(count, batch, steps, seed):
    rows = training.batch_rows(count, batch, steps, seed)
    assert rows.shape == (steps, min(batch, count))
    times = np.bincount(rows.ravel(), minlength=count)
    assert times.max() - times.min() <= 1


def test_the_order_is_fixed_by_the_seed():
    assert (training.batch_rows(40, 8, 10, 1) == training.batch_rows(40, 8, 10, 1)).all()
    assert (training.batch_rows(40, 8, 10, 1) != training.batch_rows(40, 8, 10, 2)).any()


def test_does_the_same_as_keras(points):
    inputs, labels = points
    ours, theirs = linear(), linear()
    history = training.fit(ours, inputs, labels, steps=6, learning_rate=0.01, batch_size=60, points=6)
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 6)
    theirs.compile(keras.optimizers.Adam(schedule), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    record = theirs.fit(inputs, labels, batch_size=60, epochs=6, verbose=0, shuffle=False)
    np.testing.assert_allclose(history.loss, record.history["loss"], rtol=1e-5)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_going_on_with_the_optimizer_equals_one_long_run(points):
    inputs, labels = points
    whole, parts = linear(), linear()
    long, optimizer = keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.01)
    training.fit(whole, inputs, labels, steps=6, learning_rate=0.01, batch_size=60, optimizer=long)
    for _ in range(2):
        training.fit(parts, inputs, labels, steps=3, learning_rate=0.01, batch_size=60, optimizer=optimizer)
    for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_frozen_weights_stay_bit_equal(points):
    inputs, labels = points
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, name="a"), keras.layers.Dense(3, name="b")])
    models.freeze(model, 1)
    before = model.get_weights()
    training.fit(model, inputs, labels, steps=20, learning_rate=0.1)
    after = model.get_weights()
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[2], after[2])


def test_validation_is_scored_at_every_point(points):
    inputs, labels = points
    model = linear()
    history = training.fit(model, inputs, labels, steps=30, learning_rate=0.1, validation=(inputs, labels), points=3)
    assert history.steps == (10, 20, 30)
    assert len(history.loss) == len(history.validation_accuracy) == 3
    assert history.validation_accuracy[-1] == np.mean(models.outputs(model, inputs).argmax(1) == labels)


def test_a_progress_bar_on_request(points, capsys):
    inputs, labels = points
    training.fit(linear(), inputs, labels, steps=4, learning_rate=0.1, progress="head")
    assert "head: 100%" in capsys.readouterr().out
    training.fit(linear(), inputs, labels, steps=4, learning_rate=0.1)
    assert capsys.readouterr().out == ""


def test_who_watches_sees_each_point_and_can_end_the_training(points):
    inputs, labels = points
    seen = []
    call = {"steps": 30, "learning_rate": 0.1, "validation": (inputs, labels), "points": 3}
    whole = training.fit(linear(), inputs, labels, **call, watch=lambda history: seen.append(history.steps))
    assert seen == [(10,), (10, 20), (10, 20, 30)]
    ended = training.fit(linear(), inputs, labels, **call, watch=lambda history: history.steps[-1] == 20)
    assert ended.steps == (10, 20)
    assert ended.validation_accuracy == pytest.approx(whole.validation_accuracy[:2])


def test_a_loss_that_leaves_the_finite_numbers_stops_the_run(points):
    inputs, labels = points
    with pytest.raises(training.TrainingError, match=r"loss is (nan|inf).*Lower the learning rate"):
        training.fit(linear(), inputs * 1e30, labels, steps=50, learning_rate=1e9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array([0, 1])}, "60 inputs and 2 labels"),
        ({"labels": np.arange(60) % 4}, "labels run from 0 to 3, but the network has 3 outputs"),
        ({"labels": np.arange(60) % 3 - 1}, "labels run from -1"),
        ({"steps": 0}, "steps ≥ 1"),
        ({"learning_rate": -1}, "learning_rate > 0"),
        ({"learning_rate": float("nan")}, "learning_rate > 0"),
    ],
)
def test_wrong_use_is_explained(points, change, message):
    call = {"inputs": points[0], "labels": points[1], "steps": 5, "learning_rate": 0.1} | change
    with pytest.raises(training.TrainingError, match=message):
        training.fit(linear(), call.pop("inputs"), call.pop("labels"), **call)


def test_a_budget_has_defaults_and_no_other_names(points):
    assert set(training.Budget.__annotations__) == {field.name for field in dataclasses.fields(training.Schedule)}
    assert training.fit(linear(), *points, points=1).steps == (200,)
    with pytest.raises(TypeError, match="stps"):
        training.fit(linear(), *points, stps=5)


def test_a_wholly_frozen_network_has_nothing_to_train(points):
    model = models.freeze(linear(), 1)
    with pytest.raises(training.TrainingError, match="Every layer is frozen"):
        training.fit(model, *points, steps=1, learning_rate=0.1)


# How fast, how long, with what state: the choices of a budget


def as_keras(optimizer, inputs, labels):
    """Train with Keras's own loop: six steps of all examples."""
    model = linear()
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(inputs, labels, batch_size=60, epochs=6, verbose=0, shuffle=False)
    return model


def test_a_constant_rate_does_the_same_as_keras(points):
    ours, theirs = linear(), as_keras(keras.optimizers.Adam(0.01), *points)
    training.fit(ours, *points, steps=6, learning_rate=0.01, batch_size=60, schedule="constant")
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_weight_decay_does_the_same_as_keras_and_spares_biases(points):
    adam = keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(0.01, 6), weight_decay=3.0)
    adam.exclude_from_weight_decay(var_names=["bias"])
    ours, theirs = linear(), as_keras(adam, *points)
    training.fit(ours, *points, steps=6, learning_rate=0.01, batch_size=60, weight_decay=3.0)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def convolutions():
    layers = keras.layers
    chain = [keras.Input((6, 6, 3)), layers.Conv2D(2, 3, name="a"), layers.BatchNormalization(name="n")]
    chain += [layers.Conv2D(2, 3, name="b"), layers.Flatten(name="f"), layers.Dense(2, name="c")]
    return models.reseeded(keras.Sequential(chain), 1)


def moved(model, **how):
    """Return how far a step with a rate of 0.01 moves each weight at most, by layer."""
    x, y = np.random.default_rng(0).normal(size=(8, 6, 6, 3)).astype("float32"), np.arange(8) % 2
    before = [[w.numpy() for w in layer.trainable_weights] for layer in model.layers]
    training.fit(model, x, y, steps=1, learning_rate=1e-2, schedule="constant", batch_size=8, **how)
    return {
        layer.name: [np.abs(w.numpy() - start).max() for w, start in zip(layer.trainable_weights, old, strict=True)]
        for layer, old in zip(model.layers, before, strict=True)
    }


def test_a_rate_falls_from_layer_to_layer_and_normalisation_goes_with_its_convolution():
    """The first step of Adam is as long as the rate, whatever the gradient."""
    found = moved(convolutions(), rate_decay=0.5)
    for name, rate in {"c": 1e-2, "b": 5e-3, "n": 2.5e-3, "a": 2.5e-3}.items():
        assert max(found[name]) == pytest.approx(rate, rel=1e-3), name
    own = moved(convolutions(), rate_decay=0.5, layer_rates={"b": 4e-2})
    assert max(own["b"]) == pytest.approx(2e-2, rel=1e-3)  # half of its own rate
    assert max(own["a"]) == pytest.approx(2.5e-3, rel=1e-3)


def test_weight_decay_leaves_scales_and_shifts_of_normalisation_alone():
    plain, decayed = convolutions(), convolutions()
    moved(plain)
    moved(decayed, weight_decay=20.0)
    for layer in decayed.layers:
        for ours, theirs in zip(layer.trainable_weights, plain.get_layer(layer.name).trainable_weights, strict=True):
            kernel = ours.name == "kernel"
            assert (np.abs(ours.numpy() - theirs.numpy()).max() > 1e-3) == kernel, (layer.name, ours.name)


def test_stopping_early_keeps_the_best_recorded_state(points):
    inputs, labels = points
    wrong = inputs[::2], (labels[::2] + (np.arange(30) % 2)) % 3  # the better the network, the worse half of its score
    call = {"steps": 40, "learning_rate": 0.1, "validation": wrong, "points": 8, "seed": 3}
    model, last, best = linear(), linear(), linear()
    history = training.fit(model, inputs, labels, stop_early=True, **call)
    place = int(np.argmax(history.validation_accuracy))
    assert place < 7, history.validation_accuracy
    training.fit(best, inputs, labels, watch=lambda so_far: len(so_far.steps) == place + 1, **call)
    training.fit(last, inputs, labels, **call)
    assert len(history.steps) == 8
    assert np.array_equal(model.get_weights()[0], best.get_weights()[0])
    assert not np.array_equal(model.get_weights()[0], last.get_weights()[0])
    assert np.mean(models.outputs(model, wrong[0]).argmax(1) == wrong[1]) == max(history.validation_accuracy)


def test_stopping_early_keeps_the_first_of_equally_good_states():
    model = linear()
    best = steps.Best(model)
    for value, score in enumerate((0.5, 0.7, 0.7, 0.6)):
        model.set_weights([np.full(weight.shape, value) for weight in model.get_weights()])
        best.see(score)
    best.restore()
    assert [np.unique(weight).tolist() for weight in model.get_weights()] == [[1], [1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": "linear"}, "schedule 'cosine' or 'constant', found 'linear'"),
        ({"weight_decay": -0.1}, "weight_decay ≥ 0, found -0.1. 0 is none"),
        ({"weight_decay": float("nan")}, "weight_decay ≥ 0"),
        ({"rate_decay": 0}, "rate_decay above 0 and at most 1, found 0. 1 gives all layers one rate"),
        ({"rate_decay": 1.5}, "rate_decay above 0"),
        ({"stop_early": True}, "stop_early keeps the best state on validation images: give some"),
        ({"stop_early": True, "validation": (np.zeros((0, 5)), np.zeros(0, int))}, "stop_early keeps"),
    ],
)
def test_a_budget_that_makes_no_sense_is_explained(points, change, message):
    with pytest.raises(training.TrainingError, match=message):
        training.fit(linear(), *points, steps=2, **change)


# Rates of single layers, terms of the loss, two runs in a row


def test_a_layer_may_have_its_own_rate():
    x, y = np.eye(4, dtype="float32"), np.array([0, 1, 0, 1])
    plain, own, same = (two_layers() for _ in range(3))
    settings_of = {"steps": 3, "learning_rate": 1e-2, "batch_size": 4}
    training.fit(plain, x, y, **settings_of)
    training.fit(own, x, y, layer_rates={"b": 1e-3}, **settings_of)
    training.fit(same, x, y, layer_rates={"b": 1e-2}, **settings_of)
    kernels = [[net.get_layer(name).get_weights()[0] for name in "ab"] for net in (two_layers(), own)]
    moved = [np.abs(end - start).max() for start, end in zip(*kernels, strict=True)]
    # Adam's steps are at most about as long as the rate, whatever the gradient: three of 1e-2, and three of 1e-3
    assert 1e-2 < moved[0] <= 3e-2
    assert 1e-3 < moved[1] <= 3e-3
    for ours, theirs in zip(same.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def two_layers():
    chain = [keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(2, name="b")]
    return models.reseeded(keras.Sequential(chain), 1)


@pytest.mark.parametrize("rates", [{"c": 1e-3}, {"b": 0}, {"b": float("nan")}])
def test_a_rate_for_no_layer_is_explained(rates):
    with pytest.raises(training.TrainingError, match=r"layer_rates.*rate > 0 for one of the layers a, b"):
        training.fit(two_layers(), np.eye(4), np.array([0, 1, 0, 1]), steps=1, learning_rate=1, layer_rates=rates)


def test_a_term_gets_its_own_rows_and_the_taps_it_asks_for():
    x, y = np.eye(4, dtype="float32"), np.array([0, 1, 0, 1])
    targets = np.arange(4, dtype="float32")[:, None] * 10
    model, seen = two_layers(), []

    def loss(logits, taps, rows):
        tf.py_function(lambda *got: seen.append([part.numpy() for part in got]), [logits, taps["a"], rows], [])
        return 0.0 * tf.reduce_sum(logits)

    before = models.outputs(model, x)
    term = training.Term("spy", loss, targets, taps=("a",))
    training.fit(model, x, y, steps=1, learning_rate=1e-9, batch_size=3, seed=5, terms=[term])
    rows = training.batch_rows(4, 3, 1, 5)[0]
    logits, tapped, got = seen[0]
    np.testing.assert_allclose(got, targets[rows])
    np.testing.assert_allclose(logits, before[rows], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(tapped, models.outputs(models.features_at(model, "a"), x)[rows], rtol=1e-4, atol=1e-6)


def test_a_term_adds_to_the_loss_and_takes_its_share():
    x, y = np.eye(4, dtype="float32"), np.array([0, 1, 0, 1])
    settings_of = {"steps": 1, "learning_rate": 1e-9, "batch_size": 4}
    plain = training.fit(two_layers(), x, y, **settings_of).loss[0]
    term = training.Term("five", lambda logits, taps, targets: tf.constant(5.0), share=0.25)
    assert training.fit(two_layers(), x, y, terms=[term], **settings_of).loss[0] == pytest.approx(0.75 * plain + 5)


def test_a_term_may_grow_with_the_passes_over_the_data():
    """Four examples in batches of two: half a pass a step. With a rate of almost 0 the cross-entropy stays."""
    x, y = np.eye(4, dtype="float32"), np.array([0, 1, 0, 1])
    settings_of = {"steps": 4, "learning_rate": 1e-9, "batch_size": 2, "points": 4}
    plain = np.array(training.fit(two_layers(), x, y, **settings_of).loss)
    five = training.Term("five", lambda logits, taps, targets: tf.constant(5.0), share=0.5)
    growing = dataclasses.replace(five, growth=lambda passes: passes / 2)
    found = training.fit(two_layers(), x, y, terms=[growing], **settings_of).loss
    part = np.array([0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(found, (1 - 0.5 * part) * plain + part * 5, rtol=1e-5)


def test_terms_that_do_not_fit_are_explained():
    x, y = np.eye(4, dtype="float32"), np.array([0, 1, 0, 1])
    short = training.Term("short", lambda *_: 0.0, np.zeros((3, 1), "float32"))
    with pytest.raises(training.TrainingError, match="short has 3 rows of targets for 4 training examples"):
        training.fit(two_layers(), x, y, steps=1, learning_rate=1, terms=[short])
    greedy = training.Term("greedy", lambda *_: 0.0, share=1.5)
    with pytest.raises(training.TrainingError, match=r"greedy 1\.5"):
        training.fit(two_layers(), x, y, steps=1, learning_rate=1, terms=[greedy])
    broken = training.Term("broken", lambda *_: tf.constant(float("nan")))
    with pytest.raises(training.TrainingError, match="loss is nan"):
        training.fit(two_layers(), x, y, steps=1, learning_rate=1, terms=[broken])


def test_two_histories_follow_each_other():
    first = training.History((2, 4), (1.0, 0.9), (0.5, 0.6), 1.5)
    second = training.History((3,), (0.8,), (0.7,), 2.0)
    assert first.then(second) == training.History((2, 4, 7), (1.0, 0.9, 0.8), (0.5, 0.6, 0.7), 3.5)
