import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import tl_helpers
from tl_base.backend import keras
from tl_helpers import data, models, transfer


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def test_the_source_network_is_the_one_of_the_book():
    model = models.source_cnn()
    assert model.count_params() == 122_570
    names = ["rescale", "conv1", "pool1", "conv2", "pool2", "conv3", "flatten", "dense", "output"]
    assert [layer.name for layer in model.layers] == names
    assert model.output_shape == (None, 10)


def test_scaling_is_inside_the_network(images):
    model = models.source_cnn()
    scaled = models.outputs(models.features_at(model, "rescale"), images)
    np.testing.assert_allclose(scaled, images / 255, rtol=1e-6)


def test_weights_depend_on_the_seed_and_the_name_only():
    one, again, other = models.source_cnn(1), models.source_cnn(1), models.source_cnn(2)
    for a, b, c in zip(one.get_weights(), again.get_weights(), other.get_weights(), strict=True):
        assert (a == b).all()
        assert a.ndim == 1 or (a != c).mean() > 0.99
    short = models.reseeded(models.features_at(one, "conv2"), 1)
    np.testing.assert_array_equal(short.get_layer("conv2").get_weights()[0], one.get_layer("conv2").get_weights()[0])


def test_the_recurrent_network_is_the_one_of_the_book():
    model = models.source_rnn()
    assert model.count_params() == 168_970
    assert [layer.name for layer in model.layers] == ["rescale", "rows", "gru", "output"]
    assert model.output_shape == (None, 10)
    assert models.source_rnn(classes=3).output_shape == (None, 3)


def test_weights_of_the_recurrent_network_depend_on_the_seed():
    one, again, other = models.source_rnn(1), models.source_rnn(1), models.source_rnn(2)
    for a, b, c in zip(one.get_weights(), again.get_weights(), other.get_weights(), strict=True):
        assert (a == b).all()
        assert (a == 0).all() or (a != c).mean() > 0.99


def gated_recurrent_unit(rows, kernel, recurrent, biases):
    """Compute the last state as the definition says, one row after the other."""
    state, units = np.zeros((len(rows), len(recurrent))), len(recurrent)
    for row in np.moveaxis(rows, 1, 0):
        x, h = row @ kernel + biases[0], state @ recurrent + biases[1]
        update, reset = (special.expit(x[:, i : i + units] + h[:, i : i + units]) for i in (0, units))
        proposed = np.tanh(x[:, 2 * units :] + reset * h[:, 2 * units :])
        state = update * state + (1 - update) * proposed
    return state


def test_the_recurrent_network_reads_the_image_row_by_row_from_the_top(images):
    model = models.pretrained("cifar10-rows")
    rows = models.outputs(models.features_at(model, "rows"), images)
    np.testing.assert_allclose(rows, images.reshape(6, 32, 96) / 255, rtol=1e-6)
    weights = [w.astype("float64") for w in model.get_layer("gru").get_weights()]
    state = models.outputs(models.features_at(model, "gru"), images)
    np.testing.assert_allclose(state, gated_recurrent_unit(rows, *weights), atol=1e-4)
    assert np.abs(state - gated_recurrent_unit(rows[:, ::-1], *weights)).max() > 0.1


SHIPPED = {  # the outputs, and the largest size of the file in bytes
    "cifar10": (10, 600_000),
    "cifar10-rows": (10, 400_000),
    "cifar10-a": (5, 300_000),
    "resnet": (10, 600_000),
    "resnet-a": (5, 600_000),
    "digits": (10, 300_000),
}


def test_every_shipped_network_is_listed():
    assert list(models.PRETRAINED) == [*SHIPPED, "imagenet"]  # that one is not trained here: test_imagenet


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_is_trained_and_small(name):
    classes, most = SHIPPED[name]
    assert tl_helpers.asset(f"source_{name}.npz").stat().st_size <= most
    trained, untrained = models.pretrained(name), models.PRETRAINED[name]()
    assert trained.output_shape == (None, classes)
    assert [layer.name for layer in trained.layers] == [layer.name for layer in untrained.layers]
    for layer, fresh in zip(models.weight_layers(trained), models.weight_layers(untrained), strict=True):
        assert layer.trainable
        for a, b in zip(layer.get_weights(), fresh.get_weights(), strict=True):
            assert (np.abs(a - b) > 1e-3).mean() > 0.5  # more than float16 rounds; dead units stay


@pytest.mark.parametrize("name", SHIPPED)
def test_a_model_card_is_complete_and_agrees_with_itself(name):
    card, confusion = models.model_card(name), np.array(models.model_card(name)["confusion"])
    assert card.keys() == models.model_card().keys()
    assert card["parameters"] == models.pretrained(name).count_params()
    assert card["test_accuracy"] == pytest.approx(np.trace(confusion) / confusion.sum())
    assert card["per_class_accuracy"] == pytest.approx((np.diag(confusion) / confusion.sum(1)).tolist())
    assert confusion.sum() == card["data"]["images"]["test"]
    assert len(card["classes"]) == len(confusion)
    assert [point["epoch"] for point in card["history"]] == list(range(1, card["recipe"]["epochs"] + 1))
    scores = [point["validation_accuracy"][-1] for point in card["history"]]
    assert card["best_epoch"] == 1 + int(np.argmax(scores))
    assert card["seconds"] == pytest.approx(sum(point["seconds"] for point in card["history"]), abs=0.1)


def test_the_recurrent_network_is_good_enough_to_teach_with():
    assert models.model_card("cifar10-rows")["test_accuracy"] >= 0.45


def test_the_card_of_the_digits_network_is_reproduced():
    digits, card = data.digits(), models.model_card("digits")
    score = transfer.evaluate(models.pretrained("digits"), digits.rows(digits.held_out))
    assert score.accuracy == card["test_accuracy"]
    assert score.confusion.tolist() == card["confusion"]


@pytest.fixture(scope="module")
def photographs():
    if not os.environ.get("TL_DATA_DIR") or (cifar10 := data.load("cifar10", required=False)) is None:
        pytest.skip("TL_DATA_DIR does not hold CIFAR-10")
    if cifar10.held_out.sum() != 10_000:
        pytest.skip("the CIFAR-10 in TL_DATA_DIR is a reduced one")
    return cifar10.rows(np.flatnonzero(cifar10.held_out)[:2000])


@pytest.mark.parametrize("name", ["cifar10", "cifar10-rows", "cifar10-a", "resnet", "resnet-a"])
def test_the_card_of_a_photograph_network_is_reproduced_on_a_sample(photographs, name):
    card = models.model_card(name)
    sample = data.only(photographs, card["classes"])
    score = transfer.evaluate(models.pretrained(name), sample)
    deviation = np.sqrt(card["test_accuracy"] * (1 - card["test_accuracy"]) / len(sample))
    assert abs(score.accuracy - card["test_accuracy"]) < 3 * deviation


def test_the_network_for_classes_a_knows_these_classes():
    assert models.model_card("cifar10-a")["classes"] == list(data.CIFAR10_A)


@pytest.mark.parametrize("ask", [models.pretrained, models.model_card])
@pytest.mark.parametrize("name", ["vgg16", 8, "CIFAR10"])
def test_an_unknown_network_is_explained_with_the_names(ask, name):
    shipped = ", ".join(map(repr, SHIPPED))
    with pytest.raises(models.ModelError, match=f"No network {name!r} .*{shipped}"):
        ask(name)


@pytest.fixture(scope="module")
def few_digits():
    return data.few_shot(data.digits(), per_class=2, seed=0)


def test_frozen_recurrent_features_carry_a_new_head(few_digits):
    source = models.pretrained("cifar10-rows")
    result = transfer.feature_extraction(source, few_digits, layer="gru", steps=30, points=3)
    for a, b in zip(source.get_layer("gru").get_weights(), result.model.get_layer("gru").get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [layer.name for layer in result.model.layers][1:] == ["rescale", "rows", "gru", "standardise", "head"]
    assert result.trainable_parameters == 192 * 10 + 10
    assert result.history.loss[-1] < result.history.loss[0]
    other = transfer.feature_extraction(source, few_digits, layer="gru", initialisation="random", steps=30, points=3)
    assert other.history.loss != result.history.loss


def test_recurrent_weights_are_copied_and_fine_tuned(few_digits):
    source = models.pretrained("cifar10-rows")
    budget = {"layer": "gru", "copy": 1, "steps": 4, "points": 2, "learning_rate": 1e-5}
    result = transfer.parameter_transfer(source, few_digits, **budget)
    for a, b in zip(source.get_layer("gru").get_weights(), result.model.get_layer("gru").get_weights(), strict=True):
        assert 0 < np.abs(a - b).max() <= 1e-4  # four small steps away from the source
    assert result.trainable_parameters == 167_040 + 1930
    frozen = transfer.parameter_transfer(source, few_digits, **budget, freeze=1)
    assert frozen.trainable_parameters == 1930


def test_a_recurrent_network_is_trained_from_scratch_and_twice_the_same(few_digits):
    budget = {"architecture": models.source_rnn(9), "layer": "gru", "steps": 4, "points": 2, "seed": 3}
    result, again = transfer.from_scratch(few_digits, **budget), transfer.from_scratch(few_digits, **budget)
    start = models.source_rnn(3).get_layer("gru").get_weights()
    moved = [np.abs(a - b).max() for a, b in zip(start, result.model.get_layer("gru").get_weights(), strict=True)]
    assert all(0 < change < 0.01 for change in moved)
    assert again.history.loss == pytest.approx(result.history.loss, rel=1e-4)


def test_features_at_a_named_layer(images):
    model = models.source_cnn()
    assert models.outputs(models.features_at(model, "conv3"), images).shape == (6, 4, 4, 64)
    with pytest.raises(models.ModelError, match=r"no layer 'conv9'.*conv1.*conv3"):
        models.features_at(model, "conv9")


def test_outputs_do_not_depend_on_the_batches(images):
    model = models.source_cnn()
    np.testing.assert_allclose(
        models.compiled(model, batch_size=4)(images), models.compiled(model, batch_size=100)(images), atol=1e-5
    )
    np.testing.assert_allclose(models.outputs(model, images), model(images.astype("float32")).numpy(), atol=1e-5)


@pytest.mark.parametrize("depth", range(6))
def test_freeze_counts_from_the_input(depth):
    model = models.freeze(models.source_cnn(), depth)
    assert [layer.trainable for layer in models.weight_layers(model)] == [i >= depth for i in range(5)]
    models.freeze(model, 0)
    assert all(layer.trainable for layer in models.weight_layers(model))


@pytest.mark.parametrize("depth", [-1, 6])
def test_freezing_layers_that_do_not_exist_is_explained(depth):
    with pytest.raises(models.ModelError, match="has 5 layers with weights"):
        models.freeze(models.source_cnn(), depth)


def test_parameter_table_adds_up():
    table = models.parameter_table(models.freeze(models.source_cnn(), 3))
    assert table.parameters.sum() == 122_570
    assert table.trainable.sum() == 65_600 + 650
    assert table.loc["conv2", "output"] == "13 × 13 × 64"


def test_tapped_gives_the_outputs_and_what_was_asked_for(images):
    model = models.source_cnn(1)
    cut = keras.Sequential([keras.Input((15, 15, 32)), *model.layers[3:]])  # layers that two networks share
    first = models.outputs(models.features_at(model, "pool1"), images)
    logits, taps = models.tapped(cut, {"conv2", "dense"})(first)
    np.testing.assert_allclose(logits, models.outputs(model, images), atol=1e-5)
    assert set(taps) == {"conv2", "dense"}
    for name, found in taps.items():
        np.testing.assert_allclose(found, models.outputs(models.features_at(model, name), images), atol=1e-5)
    with pytest.raises(models.ModelError, match="no layer 'conv9'"):
        models.tapped(model, ["conv9"])


def test_distance_worked_by_hand():
    source, model = models.source_cnn(1), models.source_cnn(1)
    assert models.distance(model, source, 5) == 0
    kernel, bias = model.get_layer("conv2").get_weights()
    kernel[0, 0, 0, :9] += 1  # nine weights by 1 and one bias by 4: √(9 + 16) = 5
    bias[3] -= 4
    model.get_layer("conv2").set_weights([kernel, bias])
    assert models.distance(model, source, 1) == 0
    assert models.distance(model, source, 2) == pytest.approx(5)
    with pytest.raises(models.ModelError, match="Cannot compare 6 layers"):
        models.distance(model, source, 6)
    with pytest.raises(models.ModelError, match="Cannot compare 'output' and 'output'"):
        models.distance(models.source_cnn(classes=3), source, 5)


@settings(max_examples=10, deadline=None)
@given(depth=st.integers(0, 5))
def test_copy_weights_copies_a_prefix(depth):
    source, target, untouched = models.source_cnn(1), models.source_cnn(2), models.source_cnn(2)
    models.copy_weights(source, target, depth)
    for i, layer in enumerate(models.weight_layers(target)):
        expected = models.weight_layers(source if i < depth else untouched)[i]
        assert all((a == b).all() for a, b in zip(layer.get_weights(), expected.get_weights(), strict=True))


def test_copying_what_does_not_fit_is_explained():
    narrow = models.source_cnn(classes=3)
    with pytest.raises(models.ModelError, match="'output'"):
        models.copy_weights(models.source_cnn(), narrow, 5)
    with pytest.raises(models.ModelError, match="share 5 layers"):
        models.copy_weights(models.source_cnn(), narrow, 6)


def test_a_checkpoint_survives_a_round_trip(tmp_path, images):
    model, path = models.source_cnn(5), tmp_path / "weights.npz"
    models.save_arrays(path, models.weight_arrays(model))
    loaded = models.load_weights(models.source_cnn(6), path)
    assert all((a == b).all() for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True))
    assert [p.name for p in tmp_path.iterdir()] == ["weights.npz"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "weights.npz"
    models.save_arrays(path, {"a": np.zeros(3)})
    before = path.read_bytes()

    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        models.save_arrays(path, {"a": np.ones(3), "b": Broken()})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["weights.npz"]


def damaged(kind, path):
    arrays = models.weight_arrays(models.source_cnn())
    if kind == "another architecture":
        arrays["conv1/kernel"] = np.zeros((5, 5, 3, 32), "float32")
    elif kind == "missing array":
        del arrays["dense/bias"]
    elif kind == "extra array":
        arrays["conv4/bias"] = np.zeros(3, "float32")
    elif kind == "not numbers":
        arrays["dense/bias"] = np.array(["x"] * 64)
    elif kind == "pickle":
        np.savez(path, **arrays, **{"conv4/bias": np.array([{"a": 1}], dtype=object)})
        return
    models.save_arrays(path, arrays)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:20_000])
    if kind == "text":
        path.write_text("not a checkpoint")


@pytest.mark.parametrize(
    "kind",
    ["another architecture", "missing array", "extra array", "not numbers", "pickle", "truncated", "text"],
)
def test_a_wrong_checkpoint_is_refused_whole(tmp_path, kind):
    path = tmp_path / "weights.npz"
    damaged(kind, path)
    model = models.source_cnn()
    before = model.get_weights()
    with pytest.raises(models.ModelError, match=r"weights\.npz"):
        models.load_weights(model, path)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("missing", ["source_digits.json", "source_digits.npz"])
def test_a_missing_file_names_the_command(missing, tmp_path, monkeypatch):
    for name in {"source_digits.json", "source_digits.npz"} - {missing}:
        (tmp_path / name).symlink_to(tl_helpers.asset(name))
    monkeypatch.setattr(models, "asset", tmp_path.joinpath)
    with pytest.raises(models.ModelError, match=rf"{missing} .*`make weights`"):
        models.pretrained("digits")


def test_batch_normalisation_counts_as_a_layer_with_weights():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])
    assert len(models.weight_layers(model)) == 2
