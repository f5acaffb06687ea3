"""Networks that this project did not build, as sources: a copy computes what they compute, training drops nothing."""

import copy
import dataclasses
import gc
import os
import pickle
import random
import subprocess
import sys

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras.src.applications.convnext import ConvNeXt
from keras.src.applications.densenet import DenseNet
from keras.src.applications.efficientnet import EfficientNet
from keras.src.applications.resnet import ResNet, stack_residual_blocks_v1

from tl_base import graph, prefixes
from tl_base.backend import keras
from tl_helpers import data, knowledge, models, training, transfer

layers, ops = keras.layers, keras.ops
SHAPE = (32, 32, 3)
QUICK = {"steps": 2, "batch_size": 8, "points": 1, "progress": False}


def task(shape=SHAPE, count=24, names=("a", "b", "c")):
    """Return a split whose three parts are the same few images of bright squares."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 3
    images = generator.integers(0, 90, (count, *shape)).astype("uint8")
    for i, label in enumerate(labels):
        images[i, 4:12, 2 + 8 * label : 10 + 8 * label] += 120
    part = data.Dataset(images, labels, names, "squares", "made", np.zeros(count, bool))
    return data.Split(part, part, part, count // 3, 0)


SPLIT = task()
# Keras saves weights in a way that NumPy 2 will drop.
SAVING = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def wired(*chain, classes=3, shape=SHAPE, name="mine"):
    """Return a functional network of the layers or functions given, with a linear classifier."""
    x = image = keras.Input(shape)
    for each in chain:
        x = each(x)
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name=name)


def pooled(*chain, **how):
    return wired(*chain, layers.GlobalAveragePooling2D(name="pool"), **how)


def lively(model):
    """Give BatchNormalization statistics of its own, as training would."""
    generator = np.random.default_rng(1)
    for variable in model.weights:
        if "moving_mean" in variable.path:
            variable.assign(generator.normal(0, 0.1, variable.shape))
        if "moving_variance" in variable.path:
            variable.assign(generator.uniform(0.5, 2, variable.shape))
    return model


def apart(source, trunk, layer=None, images=None):
    images = SPLIT.train.images if images is None else images
    expected = models.outputs(models.features_at(source, layer), images)
    return np.abs(models.outputs(trunk, images) - expected).max(), np.abs(expected).max()


def trunk_of(source, layer=None, seed=3, shape=None):
    trunk = prefixes.trunk(source, layer, seed, shape)
    prefixes.copy_layers(source, models.weight_layers(trunk))
    return trunk


# --- The zoo ---------------------------------------------------------------------------------------------------------


def small_resnet():
    def stages(x):
        x = stack_residual_blocks_v1(x, 8, 1, stride1=1, name="stage1")
        return stack_residual_blocks_v1(x, 16, 1, name="stage2")

    return ResNet(stages, False, True, weights=None, input_shape=SHAPE, classes=5, weights_name="small")


def nested():
    base = keras.Sequential(
        [keras.Input(SHAPE), layers.Rescaling(1 / 255), layers.Conv2D(4, 3, name="dense"), layers.BatchNormalization()],
        name="base",
    )
    outer = [keras.Input(SHAPE), base, layers.ReLU(), layers.GlobalMaxPooling2D(), layers.Dense(4, name="dense_2")]
    return keras.Sequential(outer)


def two_towers():
    """Two branches of one image, through a network with two inputs, and a layer that both share."""
    image, shared = keras.Input(SHAPE), layers.Conv2D(4, 3, strides=2, name="shared")
    left, right = keras.Input((15, 15, 4)), keras.Input((15, 15, 4))
    merge = keras.Model([left, right], layers.Concatenate()([layers.BatchNormalization()(left), right]), name="merge")
    x = merge([shared(image / 255.0), shared(ops.flip(image / 127.5 - 1.0, axis=2))])
    return keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3)(x))))


def recurrent():
    rows = layers.Reshape((32, 96))
    return wired(rows, layers.Bidirectional(layers.LSTM(4, return_sequences=True)), layers.GRU(5), name="reader")


ZOO = {
    "MobileNet": lambda: keras.applications.MobileNet(SHAPE, alpha=0.25, weights=None),
    "MobileNetV3": lambda: keras.applications.MobileNetV3Small(SHAPE, alpha=0.75, weights=None, minimalistic=True),
    "EfficientNet": lambda: EfficientNet(0.2, 0.1, 32, weights=None, input_shape=SHAPE, classes=5, weights_name="b0"),
    "ResNet": small_resnet,
    "DenseNet": lambda: DenseNet([1, 2, 1, 1], weights=None, input_shape=SHAPE, classes=5),
    "ConvNeXt": lambda: ConvNeXt([1, 1, 1, 1], [8, 8, 8, 8], drop_path_rate=0.1, input_shape=SHAPE, classes=5),
    "nested": nested,
    "two towers": two_towers,
    "recurrent": recurrent,
}
DEFAULT_CUT = {
    "MobileNet": "global_average_pooling2d",
    "MobileNetV3": "global_average_pooling2d",
    "EfficientNet": "avg_pool",
    "ResNet": "avg_pool",
    "DenseNet": "avg_pool",
    "ConvNeXt": "convnext_head_layernorm",
    "nested": "global_max_pooling2d",
    "two towers": "global_average_pooling2d",
    "recurrent": "gru",
}


@pytest.fixture(scope="module", params=ZOO)
def animal(request):
    keras.utils.clear_session()  # Keras numbers names on: here they are those of a fresh process
    keras.utils.set_random_seed(0)
    return request.param, lively(ZOO[request.param]())


def test_a_copy_computes_what_the_source_computes(animal):
    name, source = animal
    difference, size = apart(source, trunk_of(source))
    assert difference <= 1e-6 * max(size, 1)
    assert graph.place(graph.opened(source))[0] == DEFAULT_CUT[name]


@SAVING
def test_every_method_takes_the_source(animal, tmp_path):
    _, source = animal
    before = [w.copy() for w in source.get_weights()]
    places = models.places(source)
    middle = places[len(places) // 2]
    results = {
        "features": transfer.feature_extraction(source, SPLIT, **QUICK),
        "some": transfer.parameter_transfer(source, SPLIT, freeze=middle, **QUICK),
        "taught": transfer.knowledge_transfer(source, SPLIT, knowledge=[knowledge.L2SP(0.1)], **QUICK),
    }
    depth = results["features"].settings["freeze"]
    results["all"] = transfer.parameter_transfer(source, SPLIT, freeze=depth, **QUICK)
    images = SPLIT.test.images
    for name, result in results.items():
        for layer in models.weight_layers(result.model)[: {"features": depth, "all": depth}.get(name, 0)]:
            origin = models.find_layer(source, layer.name)
            assert all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), origin.get_weights(), strict=True))
        result.model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(models.outputs(loaded, images), models.outputs(result.model, images), atol=1e-5)
    assert models.distance(results["taught"].model, source, depth) > 0
    assert all(np.array_equal(a, b) for a, b in zip(before, source.get_weights(), strict=True))
    frozen = models.features_at(results["some"].model, middle)
    difference, size = apart(source, frozen, middle)
    assert difference <= 1e-5 * max(size, 1)


# --- A: the copy is the source ---------------------------------------------------------------------------------------


def adapted():
    scaling = layers.Normalization(name="scaling")
    scaling.adapt(SPLIT.train.images.astype("float32"))
    return pooled(scaling, layers.Conv2D(4, 3, name="c"))


def skipped():
    def block(x):
        return layers.Add()([layers.Conv2D(4, 3, padding="same")(x), x])

    return pooled(layers.Conv2D(4, 1), block, layers.ReLU())


@keras.saving.register_keras_serializable("tests")
class Scaled(layers.Layer):
    """A layer of another author that carries a number."""

    def __init__(self, factor, **named):
        super().__init__(**named)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor

    def get_config(self):
        return super().get_config() | {"factor": self.factor}


SOURCES = {
    "adapted Normalization": adapted,
    "operators": lambda: pooled(lambda i: i / 127.5 - 1, layers.Conv2D(4, 3), lambda x: x * 0.5, ops.relu),
    "skip": skipped,
    "Normalization behind a wrapper": lambda: pooled(
        layers.TimeDistributed(layers.Normalization(mean=40.0, variance=900.0)), layers.Conv2D(4, 3)
    ),
    "Lambda": lambda: pooled(layers.Lambda(lambda x: x - 100.0, output_shape=SHAPE), layers.Conv2D(4, 3)),
    "spectral": lambda: pooled(layers.SpectralNormalization(layers.Conv2D(4, 3))),
    "a layer of one's own": lambda: pooled(Scaled(0.01), layers.SeparableConv2D(4, 3)),
    "BatchNormalization first": lambda: lively(pooled(layers.BatchNormalization(), layers.Conv2D(4, 3))),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_features_of_a_copy_are_those_of_the_source(kind):
    source = SOURCES[kind]()
    difference, size = apart(source, trunk_of(source))
    assert size > 0
    assert difference <= 1e-6 * max(size, 1)
    result = transfer.feature_extraction(source, SPLIT, **QUICK)
    features = models.features_at(result.model, result.settings["layer"])
    assert apart(source, features)[0] <= 1e-6 * max(size, 1)


def test_the_control_with_random_weights_keeps_the_preprocessing():
    control = transfer.feature_extraction(adapted(), SPLIT, initialisation="random", **QUICK).model
    assert apart(adapted(), models.features_at(control, "scaling"), "scaling")[0] == 0
    assert apart(adapted(), models.features_at(control, "c"), "c")[0] > 0


class Forgetful(Scaled):
    """A layer whose state is neither a weight nor in its configuration."""

    def get_config(self):
        return super().get_config() | {"factor": 1.0}


class Restless(layers.Layer):
    """A layer that draws random numbers whenever it runs."""

    def call(self, inputs):
        return inputs + keras.random.normal(ops.shape(inputs))


@pytest.mark.parametrize("layer", [Forgetful(2.0, name="odd"), Restless(name="odd")])
def test_a_copy_that_differs_is_an_error(layer):
    source = pooled(layers.Conv2D(4, 3), layer)
    for call in (transfer.feature_extraction, transfer.parameter_transfer):
        with pytest.raises(transfer.TransferError, match="gives other features than the source: after 'odd'"):
            call(source, SPLIT, **QUICK)


PARTS = st.one_of(
    st.tuples(st.sampled_from(["conv"]), st.integers(1, 4)),
    st.tuples(st.sampled_from(["branch", "operator"]), st.floats(-3, 3)),
    st.tuples(st.sampled_from(["skip", "norm", "inner", "noise", "lambda"]), st.none()),
)


def built(parts):
    """Build a small network: chains, skips, two branches, operators, normalisation, random layers, networks inside."""
    x = image = keras.Input((8, 8, 3))
    for kind, value in parts:
        if kind == "conv":
            x = layers.Conv2D(value, 3, padding="same")(x)
        elif kind == "skip":
            x = layers.Add()([layers.DepthwiseConv2D(3, padding="same")(x), x])
        elif kind == "branch":
            x = layers.Concatenate()([layers.Conv2D(2, 1)(x), ops.relu(x * value)])
        elif kind == "operator":
            x = ops.tanh(x / 100.0 - value)
        elif kind == "norm":
            x = layers.BatchNormalization()(x)
        elif kind == "lambda":
            x = layers.Lambda(lambda x: ops.sin(x), output_shape=x.shape[1:])(x)
        elif kind == "inner":
            part = keras.Sequential([keras.Input(x.shape[1:]), layers.Conv2D(2, 1), layers.BatchNormalization()])
            x = part(x, training=False)
        else:
            x = layers.Dropout(0.5)(layers.GaussianNoise(1.0)(x))
    return lively(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))


@settings(max_examples=25, deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=5), st.integers(0, 2**31), st.floats(0, 1))
def test_any_graph_is_copied_whole_and_at_every_place(parts, seed, where):
    source = built(parts)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype("uint8")
    found = models.places(source)
    layer = found[int(where * (len(found) - 1))]
    difference, size = apart(source, trunk_of(source, layer, seed), layer, images)
    assert difference <= 1e-6 * max(size, 1)
    one, same, other = (prefixes.trunk(source, layer, each, None) for each in (seed, seed, seed + 1))
    assert all(np.array_equal(a, b) for a, b in zip(one.get_weights(), same.get_weights(), strict=True))
    for a, b in zip(one.weights, other.weights, strict=True):
        assert "kernel" not in a.path or not np.array_equal(a, b)


# --- Cutting and freezing by name ------------------------------------------------------------------------------------


def test_a_cut_is_where_all_passes_through_one_tensor():
    source = pooled(layers.Conv2D(4, 1, name="in"), lambda x: layers.Add(name="sum")([layers.ReLU(name="r")(x), x]))
    assert models.places(source) == ["in", "sum", "pool", "logits"]
    with pytest.raises(models.ModelError, match=r"cannot be cut after 'r'.*after: in, sum, pool, logits"):
        models.features_at(source, "r")
    with pytest.raises(models.ModelError, match=r"no layer 'x'\. Its layers are: in, r, sum, pool, logits"):
        transfer.feature_extraction(source, SPLIT, layer="x")
    with pytest.raises(models.ModelError, match="cannot be cut after 'r'"):
        transfer.parameter_transfer(source, SPLIT, freeze="r")
    assert models.activations_at(source, "r").output.shape == (None, 32, 32, 4)
    assert models.features_at(source, "sum").output.shape == (None, 32, 32, 4)  # as the message advises


def test_a_layer_that_is_called_twice_is_no_place():
    shared = layers.Conv2D(3, 1, name="shared")
    source = pooled(shared, layers.ReLU(name="r"), shared)
    assert "shared" not in models.places(source)
    with pytest.raises(models.ModelError, match="called more than once"):
        models.features_at(source, "shared")
    assert apart(source, trunk_of(source))[0] == 0


def test_depths_can_be_named_and_lie_in_networks_inside():
    source = nested()
    assert [layer.name for layer in models.weight_layers(source)][:1] == ["dense"]
    named, counted = (transfer.parameter_transfer(source, SPLIT, freeze=f, **QUICK) for f in ("dense", 1))
    assert named.settings["freeze"] == counted.settings["freeze"] == 1
    for a, b in zip(named.model.get_weights(), counted.model.get_weights(), strict=True):
        assert np.array_equal(a, b)
    models.freeze(source, "dense")
    assert [layer.trainable for layer in models.weight_layers(source)] == [False, True, True]
    source.layers[0].trainable = False  # the whole network inside, as the usual recipe does
    assert all(layer.trainable for layer in models.weight_layers(models.freeze(source, 0)))
    with pytest.raises(models.ModelError, match=r"number of layers or the name of one, found 1\.5"):
        models.freeze(source, 1.5)


def test_a_frozen_source_is_a_source_like_any_other():
    source = pooled(layers.Conv2D(4, 3, name="c"))
    source.trainable = False
    result = transfer.knowledge_transfer(source, SPLIT, knowledge=[knowledge.L2SP(0.01)], **QUICK)
    assert models.distance(result.model, source, 1) > 0
    assert result.trainable_parameters == sum(int(np.prod(w.shape)) for w in result.model.weights)


def test_new_layers_find_names_of_their_own():
    source = wired(layers.Conv2D(2, 3, name="head"), layers.Conv2D(2, 3, name="features"), layers.Flatten(name="image"))
    result = transfer.feature_extraction(source, SPLIT, layer="features", head=(4,), **QUICK)
    assert apart(source, models.features_at(result.model, "features"), "features")[0] == 0
    assert len({layer.name for layer in result.model.layers}) == len(result.model.layers)


def test_a_network_that_leaves_its_size_open():
    source = pooled(layers.Conv2D(2, 3, name="c"), shape=(None, None, 3))
    assert transfer.feature_extraction(source, SPLIT, layer="c", **QUICK).trainable_parameters == 30 * 30 * 2 * 3 + 3


# --- What cannot be right --------------------------------------------------------------------------------------------


class Written(keras.Model):
    """A model with a call of its own."""

    def __init__(self):
        super().__init__()
        self.one = layers.Dense(3)

    def call(self, inputs):
        return self.one(ops.mean(inputs, (1, 2)))


def half(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return pooled(layers.Conv2D(4, 3, name="c"))
    finally:
        keras.config.set_dtype_policy(before)


def several_outputs():
    source = pooled(layers.Conv2D(4, 3))
    return keras.Model(source.input, [source.output, source.output * 2])


def several_inputs():
    one, two = keras.Input(SHAPE), keras.Input(SHAPE)
    return keras.Model([one, two], layers.Dense(3)(layers.GlobalAveragePooling2D()(one + two)))


REFUSED = {
    "no model": (lambda: layers.Dense(3), "Expected a keras.Model, found Dense"),
    "unbuilt": (lambda: keras.Sequential([layers.Dense(3)]), r"is not built.*keras.Input\(\(height, width, channels"),
    "a class": (Written, r"a class with its own call\(\).*functional API"),
    "outputs": (several_outputs, r"1 inputs and 2 outputs"),
    "inputs": (several_inputs, r"2 inputs and 1 outputs"),
    "float16": (lambda: half("mixed_float16"), "'c' .*works in mixed_float16; expected float32"),
    "bfloat16": (lambda: half("bfloat16"), "works in bfloat16"),
    "another size": (lambda: pooled(layers.Conv2D(4, 3), shape=(96, 96, 3)), r"takes inputs of shape \(96, 96, 3\)"),
    "grey": (lambda: pooled(layers.Conv2D(4, 3), shape=(32, 32, 1)), "1 channels of 3"),
    "numbers": (lambda: wired(shape=(7,)), r"takes inputs of shape \(7,\)"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_right_is_refused_before_training(kind):
    make, message = REFUSED[kind]
    source = make()
    for call in (transfer.feature_extraction, transfer.parameter_transfer, transfer.knowledge_transfer):
        with pytest.raises(ValueError, match=message):
            call(source, SPLIT, **QUICK)
    with pytest.raises(ValueError, match=message):
        transfer.from_scratch(SPLIT, architecture=source, **QUICK)


def test_the_advice_of_the_refusals_helps():
    inner = Written()
    image = keras.Input(SHAPE)
    whole = several_outputs()
    both = several_inputs()
    same = keras.Input(SHAPE)
    followed = [
        keras.Model(image, layers.Dense(3)(ops.mean(image, (1, 2)))),  # the class, in the functional API
        keras.Model(whole.input, whole.outputs[0]),
        keras.Model(same, both([same, same])),
        keras.Sequential([keras.Input(SHAPE), layers.Resizing(96, 96), pooled(layers.Conv2D(4, 3), shape=(96, 96, 3))]),
    ]
    grey, image = pooled(layers.Conv2D(4, 3), shape=(32, 32, 1)), keras.Input(SHAPE)
    followed.append(keras.Model(image, grey(ops.mean(image, -1, keepdims=True))))
    for source in followed:
        assert transfer.feature_extraction(source, SPLIT, **QUICK).trainable_parameters > 0
    assert inner(SPLIT.train.images[:2].astype("float32")).shape == (2, 3)


def test_images_of_another_size_are_made_for_the_network():
    source = pooled(layers.Conv2D(2, 3), shape=(48, 48, 3))
    with pytest.raises(models.ModelError, match=r"data.from_arrays\(images, labels, size=48\)"):
        transfer.feature_extraction(source, SPLIT)
    images = np.random.default_rng(0).integers(0, 256, (18, 60, 60, 3)).astype("uint8")
    made = data.few_shot(data.from_arrays(images, np.arange(18) % 3, size=48), per_class=2)
    assert transfer.feature_extraction(source, made, **QUICK).model.input_shape == (None, 48, 48, 3)


# --- B: training drops nothing that a network carries -----------------------------------------------------------------


def trained(*chain, **how):
    """Train a network that starts from the same weights whatever its chain holds besides."""
    source = models.reseeded(pooled(*chain), 4)
    result = transfer.parameter_transfer(source, SPLIT, **{**QUICK, "steps": 8, "learning_rate": 1e-2, **how})
    return result, result.model.get_layer("c")


@keras.saving.register_keras_serializable("tests")
class Costly(layers.Layer):
    """A layer that adds to the loss what it sees."""

    def call(self, inputs):
        self.add_loss(1e-2 * ops.mean(inputs**2))
        return inputs


@pytest.mark.parametrize(
    ("carries", "behind"),
    [
        ({"kernel_regularizer": keras.regularizers.L2(1000)}, []),
        ({"activity_regularizer": keras.regularizers.L1(1.0)}, []),
        ({"bias_regularizer": keras.regularizers.L1L2(1.0, 1.0)}, []),
        ({}, [Costly()]),
    ],
)
def test_what_a_network_adds_to_the_loss_is_trained_on(carries, behind):
    plain, before = trained(layers.Conv2D(4, 3, name="c"))
    result, after = trained(layers.Conv2D(4, 3, name="c", **carries), *behind)
    assert result.history.loss[0] > plain.history.loss[0] * 1.001
    assert not np.array_equal(before.get_weights()[0], after.get_weights()[0])


def test_a_regulariser_of_a_frozen_layer_changes_nothing():
    strong = layers.Conv2D(4, 3, name="c", kernel_regularizer=keras.regularizers.L2(1000))
    (plain, _), (held, layer) = trained(layers.Conv2D(4, 3, name="c"), freeze=1), trained(strong, freeze=1)
    assert np.array_equal(plain.model.get_weights()[-2], held.model.get_weights()[-2])
    assert not layer.trainable


@pytest.mark.parametrize("constraint", [keras.constraints.NonNeg(), keras.constraints.MaxNorm(0.1)])
def test_constraints_hold(constraint):
    kernel = trained(layers.Conv2D(4, 3, name="c", kernel_constraint=constraint))[1].kernel
    np.testing.assert_allclose(kernel, constraint(kernel.value), atol=1e-6)


@keras.saving.register_keras_serializable("tests")
class Brighter(layers.Layer):
    """Augmentation by another author: it asks whether it is in training."""

    def call(self, inputs, training=False):
        return inputs + 100.0 if training else inputs


RANDOM = {
    "RandomTranslation": lambda: layers.RandomTranslation(0.3, 0.3, name="varies"),
    "RandomFlip": lambda: layers.RandomFlip(name="varies"),
    "GaussianNoise": lambda: layers.GaussianNoise(1.0, name="varies"),
    "by another author": lambda: Brighter(name="varies"),
}


@pytest.mark.parametrize("kind", RANDOM)
@pytest.mark.parametrize("freeze", [0, 1])
def test_layers_that_vary_the_images_stay_in_training(kind, freeze):
    plain, _ = trained(layers.Conv2D(4, 3, name="c"), freeze=freeze)
    varied, _ = trained(RANDOM[kind](), layers.Conv2D(4, 3, name="c"), freeze=freeze)
    same = np.array_equal(plain.model.get_weights()[-2], varied.model.get_weights()[-2])
    assert same == (kind == "GaussianNoise" and freeze == 1)  # noise in front of frozen layers alone is off
    again, _ = trained(RANDOM[kind](), layers.Conv2D(4, 3, name="c"), freeze=freeze)
    assert np.array_equal(again.model.get_weights()[-2], varied.model.get_weights()[-2])  # the seed decides


def test_dropout_behind_frozen_layers_is_on_and_before_them_off():
    conv, second = layers.Conv2D(4, 3, name="c"), layers.Conv2D(4, 3, name="d")
    plain = trained(conv, second, freeze=1)[0].model.get_layer("d").get_weights()[0]
    behind = trained(layers.Conv2D(4, 3, name="c"), layers.Dropout(0.5), layers.Conv2D(4, 3, name="d"), freeze=1)
    before = trained(layers.Dropout(0.5), layers.Conv2D(4, 3, name="c"), layers.Conv2D(4, 3, name="d"), freeze=1)
    assert not np.array_equal(behind[0].model.get_layer("d").get_weights()[0], plain)
    np.testing.assert_allclose(before[0].model.get_layer("d").get_weights()[0], plain, atol=1e-6)


def test_features_behind_augmentation_are_learned_in_every_step():
    """Nothing can run beforehand then; the standardisation is that of the images as they are."""
    source = pooled(layers.RandomFlip(), layers.Conv2D(4, 3, name="c"))
    result = transfer.feature_extraction(source, SPLIT, **QUICK)
    features = models.outputs(models.features_at(source), SPLIT.train.images)
    scaling = result.model.get_layer("standardise")
    np.testing.assert_allclose(np.ravel(scaling.mean), features.mean(0), atol=1e-3)


def test_features_behind_dropout_are_standardised_as_features():
    """The part that runs once ends before the dropout; its activations are not what the head sees."""
    source = wired(layers.Conv2D(4, 3, name="c"), layers.Dropout(0.5), layers.GlobalAveragePooling2D(name="pool"))
    result = transfer.feature_extraction(source, SPLIT, layer="pool", **QUICK)
    features = models.outputs(models.features_at(source, "pool"), SPLIT.train.images)
    scaling = result.model.get_layer("standardise")
    np.testing.assert_allclose(np.ravel(scaling.mean), features.mean(0), rtol=1e-3)
    np.testing.assert_allclose(np.ravel(scaling.variance), features.var(0) + features.var(0).mean(), rtol=1e-3)


def statistics(result):
    return result.model.get_layer("n").get_weights()[2:]


def test_batch_normalisation_keeps_the_statistics_that_are_said():
    def source():
        return lively(pooled(layers.Conv2D(4, 3, name="c"), layers.BatchNormalization(name="n"), layers.ReLU()))

    theirs = source().get_layer("n").get_weights()[2:]
    for freeze, batch, moved in ((2, False, False), (2, True, False), (0, False, False), (0, True, True)):
        result = transfer.parameter_transfer(source(), SPLIT, freeze=freeze, batch_statistics=batch, **QUICK)
        assert moved != all(np.array_equal(a, b) for a, b in zip(statistics(result), theirs, strict=True))
    gamma = transfer.parameter_transfer(source(), SPLIT, **QUICK).model.get_layer("n").gamma
    assert not np.array_equal(gamma, np.ones(4))  # its weights train all the same
    for result in (
        transfer.from_scratch(SPLIT, architecture=source(), **QUICK),
        transfer.parameter_transfer(source(), SPLIT, copy=1, **QUICK),
    ):
        assert not np.array_equal(statistics(result)[0], np.zeros(4))  # what starts random learns its own


def test_frozen_layers_with_a_state_of_their_own_stay():
    source = pooled(layers.SpectralNormalization(layers.Conv2D(4, 3), name="s"), layers.Conv2D(4, 3))
    before = [w.copy() for w in source.get_layer("s").get_weights()]
    result = transfer.parameter_transfer(source, SPLIT, freeze=1, **QUICK)
    assert all(np.array_equal(a, b) for a, b in zip(before, result.model.get_layer("s").get_weights(), strict=True))


# --- C: the seed decides ---------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("tests")
class Own(layers.Layer):
    """A layer that names its initialiser in build alone."""

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 3), initializer="he_normal", name="w")

    def call(self, inputs):
        return inputs @ self.w


WRAPPED = {
    "Bidirectional": lambda: wired(layers.Reshape((32, 96)), layers.Bidirectional(layers.LSTM(3))),
    "TimeDistributed": lambda: wired(layers.TimeDistributed(layers.Conv1D(2, 3)), layers.Flatten()),
    "a cell": lambda: wired(layers.Reshape((32, 96)), layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)])),
    "attention": lambda: wired(
        layers.Reshape((32, 96)), lambda x: layers.MultiHeadAttention(2, 3)(x, x), layers.Flatten()
    ),
    "a seed of its own": lambda: pooled(layers.Conv2D(2, 3, kernel_initializer=keras.initializers.HeNormal(seed=1))),
    "a layer of one's own": lambda: pooled(Own()),
    "nested": nested,
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_the_seed_alone_decides_weights(kind):
    source = WRAPPED[kind]()
    state = random.getstate()
    one, same, other = (models.reseeded(source, seed).get_weights() for seed in (0, 0, 1))
    assert random.getstate() == state
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    drawn = [i for i, w in enumerate(one) if w.ndim > 1 and np.ptp(w) > 0]  # biases start with what their layer says
    assert drawn
    assert not any(np.array_equal(one[i], other[i]) for i in drawn)


def unnamed():
    chain = [keras.Input(SHAPE), layers.Conv2D(3, 3), layers.Conv2D(3, 3), layers.GlobalMaxPooling2D(), layers.Dense(3)]
    return keras.Sequential(chain)


def test_a_network_without_names_starts_alike_whatever_was_built_before():
    one, two = (transfer.from_scratch(SPLIT, architecture=unnamed(), **QUICK) for _ in range(2))
    assert one.model.layers[1].name != two.model.layers[1].name  # Keras counts on
    for a, b in zip(one.model.get_weights(), two.model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    first, second = (models.reseeded(unnamed(), 0).get_weights()[i] for i in (0, 2))
    assert not np.array_equal(first, second)
    kept, again = (models.reseeded(unnamed(), 5).get_weights() for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(kept, again, strict=True))


def test_parts_of_a_layer_do_not_start_alike():
    query, _, key, *_ = models.reseeded(WRAPPED["attention"](), 0).get_weights()
    assert query.shape == key.shape
    assert not np.array_equal(query, key)
    forward, backward = (models.reseeded(WRAPPED["Bidirectional"](), 0).get_weights()[i] for i in (0, 3))
    assert not np.array_equal(forward, backward)


# --- D: logits -------------------------------------------------------------------------------------------------------


def teacher(*ending):
    keras.utils.set_random_seed(1)
    chain = [keras.Input(SHAPE), layers.Rescaling(1 / 40), layers.Flatten(), layers.Dense(3, name="z"), *ending]
    return keras.Sequential(chain)


ENDINGS = {
    "Softmax": (layers.Softmax(),),
    "Activation": (layers.Activation("softmax"), layers.Reshape((3,))),
    "operation": (layers.Lambda(lambda z: ops.softmax(z), output_shape=(3,)),),
    "inside": (keras.Sequential([keras.Input((3,)), layers.Softmax()]),),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_teacher_that_ends_in_a_softmax_teaches_what_its_logits_teach(ending):
    plain, soft = teacher(), teacher(*ENDINGS[ending])
    soft.get_layer("z").set_weights(plain.get_layer("z").get_weights())
    setting = knowledge.Adaptation(None, None, SPLIT.train, 0, 0)
    targets = [
        knowledge.Distillation(model, SPLIT.train.class_names, 4.0).term(setting).targets for model in (plain, soft)
    ]
    np.testing.assert_allclose(*targets, atol=1e-5)
    with pytest.raises(knowledge.KnowledgeError, match="Expected logits; found rows that are probabilities"):
        knowledge.softened(models.outputs(soft, SPLIT.train.images))
    again = knowledge.softened(models.logits(soft, SPLIT.train.images))
    np.testing.assert_allclose(again, models.outputs(soft, SPLIT.train.images), atol=1e-6)


@pytest.mark.parametrize("ending", ["sigmoid", "softmax"])
def test_networks_without_logits_are_refused_where_logits_are_needed(ending):
    model = teacher(layers.Activation(ending))
    with pytest.raises(training.TrainingError, match=f"ends in a {ending}; training expects logits"):
        training.fit(model, SPLIT.train.images, SPLIT.train.labels, steps=1, learning_rate=0.1)
    if ending == "sigmoid":
        with pytest.raises(models.ModelError, match="ends in a sigmoid"):
            models.logits(model, SPLIT.train.images)


# --- E: names --------------------------------------------------------------------------------------------------------


def test_a_result_knows_the_names_of_its_classes():
    result = transfer.feature_extraction(pooled(layers.Conv2D(4, 3)), SPLIT, **{**QUICK, "steps": 50})
    assert result.class_names == ("a", "b", "c")
    right = result.evaluate(SPLIT.test).accuracy
    turned = data.only(SPLIT.test, ("c", "a", "b"))
    with pytest.raises(transfer.TransferError, match=r"a, b, c, in this order;.*c, a, b.*data.only\(dataset"):
        result.evaluate(turned)
    assert result.evaluate(data.only(turned, result.class_names)).accuracy == right  # the advice
    with pytest.raises(transfer.TransferError, match="another class"):
        result.evaluate(task(names=("a", "b", "other")).test)


def test_parts_of_a_split_and_teachers_name_the_same_classes():
    mixed = dataclasses.replace(SPLIT, validation=task(names=("b", "a", "c")).validation)
    with pytest.raises(transfer.TransferError, match="same order"):
        transfer.feature_extraction(pooled(layers.Conv2D(4, 3)), mixed, **QUICK)
    item = knowledge.Distillation(teacher(), ("b", "a", "c"))
    with pytest.raises(knowledge.KnowledgeError, match="The order differs"):
        transfer.knowledge_transfer(pooled(layers.Conv2D(4, 3)), SPLIT, knowledge=[item], **QUICK)


# --- J, K, L ---------------------------------------------------------------------------------------------------------


def test_memory_stays_flat():
    source, process, sizes = pooled(ops.relu, layers.Conv2D(2, 3), name="small"), psutil.Process(), []
    for call in range(48):
        transfer.parameter_transfer(source, SPLIT, **{**QUICK, "steps": 1})
        if call % 12 == 11:
            gc.collect()  # cycles wait for their turn, which comes; what is counted is what never goes
            sizes.append(process.memory_info().rss / 2**20)
    assert sizes[-1] - sizes[1] < 12  # 24 calls; it was 5 MiB a call


KNOWS = {
    "nothing": (),
    "rules": (knowledge.LogicRules([knowledge.unlikely("dark", models.are_probabilities, (0,), count=3)]),),
    "source": (knowledge.L2SP(0.1),),
}


@SAVING
@pytest.mark.parametrize("kind", KNOWS)
def test_results_can_be_pickled_and_copied(kind):
    if kind == "rules":
        found = pickle.loads(pickle.dumps(knowledge.loop_rules()))
        assert [rule.name for rule in found] == [rule.name for rule in knowledge.loop_rules()]
        return
    result = transfer.knowledge_transfer(pooled(layers.Conv2D(4, 3)), SPLIT, knowledge=KNOWS[kind], **QUICK)
    for other in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert dict(other.settings) == dict(result.settings)
        assert other.class_names == result.class_names
        ours, theirs = (models.outputs(each.model, SPLIT.test.images) for each in (result, other))
        assert np.array_equal(ours, theirs)
        with pytest.raises(TypeError):
            other.settings["seed"] = 1


@pytest.mark.parametrize("closed", ["2>&-", "1>&-", "1>&- 2>&-", "0<&- 2>&-"])
def test_closed_streams_do_not_stop_the_import(closed, tmp_path):
    """And a file that is opened next does not become the place of error messages."""
    code = f"import tl_helpers.transfer; open({str(tmp_path / 'kept')!r}, 'w').write('all of it')"
    call = subprocess.run(["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, code], timeout=600)
    assert call.returncode == 0
    assert (tmp_path / "kept").read_text() == "all of it"


def test_distance_is_of_weights_and_not_of_statistics():
    source = pooled(layers.Conv2D(4, 3), layers.BatchNormalization(name="n"))
    other = keras.models.clone_model(source)
    other.set_weights(source.get_weights())
    lively(other)
    assert models.distance(other, source, 2) == 0
    models.freeze(other, 2)
    assert models.distance(other, source, 2) == 0
    other.get_layer("n").gamma.assign([1, 1, 4, 5])
    assert models.distance(other, source, 2) == pytest.approx(5)


def test_checkpoints_keep_every_weight_of_a_wrapper(tmp_path):
    source = WRAPPED["Bidirectional"]()
    arrays = models.weight_arrays(source)
    assert len(arrays) == len(source.weights)
    models.save_arrays(tmp_path / "w.npz", arrays)
    loaded = models.load_weights(models.reseeded(source, 9), tmp_path / "w.npz")
    assert all(np.array_equal(a, b) for a, b in zip(source.get_weights(), loaded.get_weights(), strict=True))


# --- Defaults --------------------------------------------------------------------------------------------------------


def test_a_plain_call_passes_over_the_data_ten_times_and_says_so(capsys):
    assert training.default_steps(50, 32) == 200
    assert training.default_steps(10_000, 32) == 3125
    many = task(count=999)
    result = transfer.feature_extraction(pooled(layers.Conv2D(1, 9, strides=9)), many, progress=False)
    assert result.settings["steps"] == result.history.steps[-1] == 313
    assert capsys.readouterr().out == ""
    transfer.feature_extraction(pooled(layers.Conv2D(1, 9, strides=9)), SPLIT, steps=4, progress=True)
    assert "feature extraction: 100%" in capsys.readouterr().out


BAR = """
import sys
sys.path.insert(0, sys.argv[1])
import test_any_model as t
t.transfer.PATIENCE = 1e-9  # seconds
source = t.pooled(t.layers.Conv2D(1, 9))
for progress in (None, False):
    print(progress, t.transfer.feature_extraction(source, t.SPLIT, steps=3, progress=progress).settings["steps"])
"""


def test_a_bar_appears_where_a_call_takes_longer(root):
    """In a build of the book it stays away: there it would only say how slow the machine was."""
    for told, bars in (("", 1), ("1", 0)):
        environment = {**os.environ, "PYTHONPATH": str(root), "TQDM_DISABLE": told}
        call = [sys.executable, "-c", BAR, str(root / "tests")]
        output = subprocess.run(call, env=environment, capture_output=True, text=True, check=True, timeout=600).stdout
        before, _, after = output.partition("None 3")
        assert ("feature extraction: 100%" in before) == bool(bars)
        assert "%" not in after
