import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tl_helpers import models
from tl_helpers.backend import keras


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


def test_pretrained_is_trained_and_shipped_small():
    path = models.asset(models.SOURCE_WEIGHTS)
    assert path.stat().st_size <= 600_000
    trained, untrained = models.pretrained(), models.source_cnn()
    assert trained.count_params() == untrained.count_params()
    assert not np.array_equal(trained.get_weights()[0], untrained.get_weights()[0])


def test_earlier_epochs_are_kept_and_an_unknown_one_is_named():
    kept = [models.pretrained(epoch).get_weights()[0] for epoch in (1, 2, 3, 4, 6, 8, 12, 16, 20)]
    assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(kept))
    with pytest.raises(models.ModelError, match=r"no 'epoch99'.*epoch01"):
        models.pretrained(99)


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


def test_a_missing_asset_names_the_command():
    with pytest.raises(models.ModelError, match="make weights"):
        models.asset("nothing.npz")


def test_batch_normalisation_counts_as_a_layer_with_weights():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])
    assert len(models.weight_layers(model)) == 2
