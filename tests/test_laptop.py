"""What fits a laptop: frozen layers run once an image, memory is bounded, augmentation is training's alone."""

import dataclasses

import numpy as np
import pytest

from tl_base import augmentation, graph, kept, prefixes, running
from tl_base.backend import keras, tf
from tl_base.pictures import DataError
from tl_helpers import data, knowledge, models, training, transfer

QUICK = {"steps": 4, "batch_size": 8, "points": 2}


@pytest.fixture(autouse=True)
def _nothing_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_CACHE_DIR", str(tmp_path))
    kept.forget()
    yield
    kept.forget()


@pytest.fixture
def runs(monkeypatch):
    """How many images each network was run on, by the first layer that has weights."""
    counts = {}
    compiled = running.compiled

    def counting(network, *args, **how):
        run, layers = compiled(network, *args, **how), [layer.name for layer in graph.weight_layers(network)]

        def counted(images):
            name = layers[0] if layers else ""
            counts[name] = counts.get(name, 0) + len(images)
            return run(images)

        return counted

    monkeypatch.setattr(running, "compiled", counting)
    return counts


def deep(seed=0, size=32):
    """Build a network with preprocessing, BatchNormalization, a branch and a pooling at its end."""
    layers = keras.layers
    image = keras.Input((size, size, 3), name="image")
    x = layers.Rescaling(1 / 127.5, -1, name="rescale")(image)
    x = layers.Conv2D(8, 3, 2, name="stem")(x)
    x = layers.BatchNormalization(name="stem_norm")(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="deep")(x)
    x = layers.Add(name="add")([x, layers.BatchNormalization(name="deep_norm")(y)])
    x = layers.Conv2D(6, 3, activation="relu", name="last")(x)
    network = models.reseeded(keras.Model(image, layers.GlobalAveragePooling2D(name="pool")(x), name="deep"), seed)
    for name in ("stem_norm", "deep_norm"):
        network.get_layer(name).moving_mean.assign([0.1 * i for i in range(8)])
    return network


def test_photographs_pass_a_frozen_backbone_once(split, runs):
    source = deep()
    result = transfer.feature_extraction(source, split, **QUICK)
    assert runs["stem"] == 48
    transfer.feature_extraction(source, split, seed=1, head=(8,), **QUICK)
    assert runs["stem"] == 48
    score = result.evaluate(split.test)
    assert runs["stem"] == 48 + len(split.test)
    again = transfer.feature_extraction(source, split, seed=2, **QUICK).evaluate(split.test)
    assert result.evaluate(split.test).accuracy == score.accuracy
    assert runs["stem"] == 48 + len(split.test)
    assert len(again.predictions) == len(split.test)


def test_other_draws_of_labels_share_their_photographs(split, runs):
    whole = data.from_arrays(
        np.concatenate([part.images for part in (split.train, split.validation)]), np.arange(48) % 3
    )
    for seed in range(6):
        transfer.feature_extraction(deep(), data.few_shot(whole, 4, seed), **QUICK)
    assert runs["stem"] <= 48


def test_stages_that_train_stand_on_activations_that_are_kept(split, runs):
    source = deep()
    result = transfer.parameter_transfer(source, split, freeze="add", **QUICK)
    assert runs["stem"] == 48
    result.evaluate(split.validation)
    transfer.parameter_transfer(source, split, freeze="add", learning_rate=1e-2, **QUICK)
    assert runs["stem"] == 48


@pytest.mark.parametrize("freeze", ["stem_norm", "add", "last"])
def test_what_is_kept_gives_what_the_whole_network_gives(freeze, split):
    result = transfer.parameter_transfer(deep(), split, freeze=freeze, **QUICK)
    for _ in range(2):
        ours = prefixes.answers(result.model, split.test.images)
        np.testing.assert_allclose(ours, running.outputs(result.model, split.test.images), atol=1e-5)
    with kept.off():
        plain = transfer.parameter_transfer(deep(), split, freeze=freeze, **QUICK)
    np.testing.assert_allclose(plain.history.loss, result.history.loss, rtol=1e-4)


def changed_weight(network):
    kernel = network.get_layer("last").kernel
    kernel.assign(kernel + 1e-6)


def changed_statistic(network):
    network.get_layer("deep_norm").moving_mean.assign_add([1e-6] * 8)


def changed_layer(network):
    network.get_layer("deep_norm").epsilon = 0.1


def key(network, images):
    return prefixes._key(network, images.dtype.str, images.shape[1:])


@pytest.mark.parametrize("change", [changed_weight, changed_statistic, changed_layer])
def test_a_changed_network_is_another_one(change, split):
    network, images = deep(), split.train.images
    before = key(network, images)
    change(network)
    assert key(network, images) not in (before, None)


def test_names_and_what_trains_are_no_matter_and_the_kind_of_images_is(split):
    images = split.train.images
    first, second = deep(), deep()
    second.trainable = False
    second.get_layer("last").name = "other"
    assert key(first, images) == key(second, images) == key(first, images[:3])
    assert key(first, images.astype("float32")) != key(first, images)
    assert key(first, images[:, :30]) != key(first, images)


class Doubling(keras.layers.Layer):
    """Code that its configuration does not tell."""

    def call(self, x):
        return 2 * x


def own_activation(x):
    return x * 2


@pytest.mark.parametrize(
    "layer",
    [
        lambda: Doubling(),
        lambda: keras.layers.Lambda(lambda x: x + 1),
        lambda: keras.layers.Activation(own_activation),
        lambda: keras.layers.Conv2D(3, 1, activation=own_activation),
        lambda: keras.layers.TimeDistributed(keras.layers.Dense(3, activation=own_activation)),
    ],
)
def test_code_of_others_is_run_each_time(layer, split):
    network = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(3, 1), layer()])
    assert key(network, split.train.images) is None
    assert prefixes.runner(network)(split.train.images).shape == (24, 32, 32, 3)


@pytest.mark.parametrize(("room", "end"), [(48 * 8 * 15 * 15 * 4, "add"), (48 * 6 * 4, "pool"), (0, None)])
def test_the_cut_is_the_last_one_whose_activations_fit(room, end, split, monkeypatch):
    expected = transfer.feature_extraction(deep(), split, **QUICK)
    cuts = []
    cut = prefixes.split
    monkeypatch.setattr(prefixes, "ACTIVATIONS", room)
    monkeypatch.setattr(prefixes, "split", lambda *args: cuts.append(cut(*args)) or cuts[-1])
    frozen = {"freeze": "last"} if end == "add" else {}
    method = transfer.parameter_transfer if end == "add" else transfer.feature_extraction
    monkeypatch.setattr(prefixes, "ACTIVATIONS", room)
    result = method(deep(), split, **frozen, **QUICK)
    first = cuts[0][0]
    assert (None if first is None else prefixes.last(first)) in ({"add", "pool"} if end == "add" else {end})
    if end != "add":
        np.testing.assert_allclose(result.history.loss, expected.history.loss, rtol=1e-4)
    assert np.isfinite(result.evaluate(split.test).accuracy)


def test_memory_decides_how_many_images_run_at_once(monkeypatch):
    small, large = models.source_cnn(), deep(size=160)
    assert running.batch_of(small, (32, 32, 3)) == 1024  # as the recorded runs did
    assert running.batch_of(large, (160, 160, 3)) == running.MEMORY // (2 * 4 * 160 * 160 * 3)
    monkeypatch.setattr(running, "MEMORY", 1)
    assert running.batch_of(large, (160, 160, 3)) == 1
    images = np.zeros((3, 32, 32, 3), "uint8")
    assert running.outputs(small, images).shape == (3, 10)


def test_a_forward_pass_has_a_bar_only_where_it_has_a_label(monkeypatch):
    bars, bar = [], running.tqdm
    monkeypatch.setattr(running, "tqdm", lambda **how: bars.append(how) or bar(**how))
    for label in ("frozen layers", None):
        running.compiled(models.source_cnn(), batch_size=2, label=label)(np.zeros((6, 32, 32, 3), "uint8"))
    assert [(how.get("delay"), how.get("disable")) for how in bars] == [(2.0, None), (None, True)]
    assert bars[0]["total"] == 6


def test_weights_that_are_settled_make_no_difference_but_of_rounding(split):
    network, images = deep(), split.train.images
    fast, plain = running.compiled(network, settled=True), running.compiled(network)
    np.testing.assert_allclose(fast(images), plain(images), rtol=1e-4, atol=1e-5)


# --- Augmentation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", augmentation.KINDS)
def test_variants_are_images_of_the_same_kind_and_a_seed_decides_them(kind):
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (16, 24, 24, 3)).astype("float32"))
    first, second, other = (augmentation.varied(kind, (24, 24, 3), seed) for seed in (0, 0, 1))
    ours = first(images).numpy()
    assert ours.shape == images.shape
    assert ours.min() >= 0
    assert ours.max() <= 255
    assert not np.array_equal(ours, images)
    np.testing.assert_array_equal(ours, second(images))
    assert not np.array_equal(ours, first(images))
    assert not np.array_equal(second(images), other(images))


def test_a_flip_exchanges_left_and_right_and_nothing_else():
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 3)).astype("float32")
    ours = augmentation.varied("flip", (6, 6, 3), 0)(tf.constant(images)).numpy()
    flipped = (ours == images[:, :, ::-1]).all((1, 2, 3))
    assert (flipped | (ours == images).all((1, 2, 3))).all()
    assert 5 < flipped.sum() < 35


METHODS = {
    "frozen": lambda split, **how: transfer.feature_extraction(deep(), split, **how),
    "tuned": lambda split, **how: transfer.parameter_transfer(deep(), split, freeze="stem_norm", **how),
    "scratch": lambda split, **how: transfer.from_scratch(split, architecture=deep(), **how),
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_augments_and_nothing_of_it_is_left(method, split):
    plain = METHODS[method](split, **QUICK)
    first, second = (METHODS[method](split, augment="photographs", **QUICK) for _ in range(2))
    assert first.history.loss == second.history.loss
    assert first.history.loss != plain.history.loss
    assert first.settings["augment"] == "photographs"
    assert plain.settings["augment"] is None
    assert [layer.name for layer in first.model.layers] == [layer.name for layer in plain.model.layers]
    assert first.validation_accuracy == first.evaluate(split.validation).accuracy
    assert first.trainable_parameters == plain.trainable_parameters


def test_frozen_layers_and_their_statistics_stay_under_augmentation(split):
    source = deep()
    result = transfer.parameter_transfer(source, split, freeze="add", augment="flip", **QUICK)
    for name in ("stem", "stem_norm", "deep", "deep_norm"):
        for ours, theirs in zip(
            result.model.get_layer(name).get_weights(), source.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_augmented_training_scores_on_what_is_kept(split, runs):
    transfer.feature_extraction(deep(), split, augment="flip", steps=8, batch_size=8, points=8)
    assert runs["stem"] == 48  # the validation images once, not at each point; the training images for their mean


def test_what_cannot_be_augmented_is_refused(split):
    with pytest.raises(DataError, match="'flip', 'shift', 'flip and shift', 'photographs'"):
        transfer.from_scratch(split, augment="flips", **QUICK)
    head = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    with pytest.raises(DataError, match="Leave augment out"):
        training.fit(head, np.zeros((4, 5), "float32"), np.zeros(4, int), augment="flip", steps=1)
    attention = knowledge.AttentionTransfer(1.0, layers=("conv1",))
    with pytest.raises(transfer.TransferError, match="attention"):
        transfer.knowledge_transfer(models.source_cnn(), split, knowledge=[attention], augment="shift", **QUICK)


# --- The network that learned from ImageNet --------------------------------------------------------------------------


@pytest.mark.parametrize(("moving", "freeze"), [(False, "block6"), (True, "block6"), (False, 0)])
def test_batch_normalization_of_a_real_backbone_keeps_its_statistics_unless_asked(moving, freeze, split):
    source = models.pretrained("imagenet", size=32)
    result = transfer.parameter_transfer(source, split, freeze=freeze, batch_statistics=moving, **QUICK)
    changed = {"frozen": 0, "later": 0}
    for layer in graph.layers_of(result.model):
        if isinstance(layer, keras.layers.BatchNormalization):
            theirs = source.get_layer(layer.name)
            place = "later" if layer.trainable else "frozen"
            changed[place] += not np.array_equal(layer.moving_mean, theirs.moving_mean)
    assert changed["frozen"] == 0
    assert (changed["later"] > 0) == moving
    assert dataclasses.is_dataclass(result.evaluate(split.test))
