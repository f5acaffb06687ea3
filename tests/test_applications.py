"""Networks of keras.applications as sources: each gets what `keras.applications.X.preprocess_input` would make."""

import numpy as np
import pytest
from keras.src.applications.convnext import ConvNeXt
from keras.src.applications.densenet import DenseNet
from keras.src.applications.efficientnet import EfficientNet
from keras.src.applications.efficientnet_v2 import EfficientNetV2
from keras.src.applications.nasnet import NASNet
from keras.src.applications.resnet import ResNet, stack_residual_blocks_v1, stack_residual_blocks_v2

from tl_base import applications, graph
from tl_base.backend import keras
from tl_helpers import data, models, transfer

layers, apps = keras.layers, keras.applications
SHAPE = (32, 32, 3)
SMALL = {"weights": None, "include_top": False, "input_shape": SHAPE}
MEDIUM, LARGE = SMALL | {"input_shape": (71, 71, 3)}, SMALL | {"input_shape": (75, 75, 3)}
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("uint8")
SLOW = pytest.mark.slow
# Keras saves weights in a way that NumPy 2 will drop.
SAVING = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def resnet():
    return ResNet(lambda x: stack_residual_blocks_v1(x, 8, 1, stride1=1, name="conv2"), False, True, **SMALL)


def resnet_v2(**more):
    def stages(x):
        return stack_residual_blocks_v2(x, 8, 2, stride1=1, name="conv2")

    return ResNet(stages, True, True, weights_name="small", **SMALL | more)


def efficientnet_v2(name, **more):
    return EfficientNetV2(0.2, 0.1, 32, name=name, weights_name="", **SMALL, **more)


def cut(model, layer):
    """Return a network without what lies behind a layer, as people take it apart."""
    return keras.Model(model.input, model.get_layer(layer).output)


def convnext(**more):
    return ConvNeXt([1, 1, 1, 1], [8, 8, 8, 8], **SMALL, **more)


ZOO = {  # how it is built, its family, the module whose preprocess_input is the truth, the first convolution
    "VGG": (lambda: apps.VGG16(**SMALL), apps.vgg16, "block1_conv1"),
    "ResNet": (resnet, apps.resnet, "conv1_conv"),
    "ResNetV2": (resnet_v2, apps.resnet_v2, "conv1_conv"),
    "DenseNet": (lambda: DenseNet([1, 2, 1, 1], **SMALL), apps.densenet, "conv1_conv"),
    "MobileNet": (lambda: apps.MobileNet(alpha=0.25, **SMALL), apps.mobilenet, "conv1"),
    "MobileNetV2": (lambda: apps.MobileNetV2(alpha=0.35, **SMALL), apps.mobilenet_v2, "Conv1"),
    "MobileNetV3": (lambda: apps.MobileNetV3Small(alpha=0.75, minimalistic=True, **SMALL), apps.mobilenet_v3, "conv"),
    "EfficientNet": (lambda: EfficientNet(0.2, 0.1, 32, weights_name="b0", **SMALL), apps.efficientnet, "stem_conv"),
    "EfficientNetV2": (lambda: efficientnet_v2("efficientnetv2-b0"), apps.efficientnet_v2, "stem_conv"),
    "EfficientNetV2-S": (lambda: efficientnet_v2("efficientnetv2-s"), apps.efficientnet_v2, "stem_conv"),
    "ConvNeXt": (lambda: convnext(name="mine"), apps.convnext, "mine_stem_conv"),
    "Xception": (lambda: cut(apps.Xception(**MEDIUM), "block2_sepconv2"), apps.xception, "block1_conv1"),
    "InceptionV3": (lambda: cut(apps.InceptionV3(**LARGE), "mixed0"), apps.inception_v3, None),
    "InceptionResNetV2": (
        lambda: cut(apps.InceptionResNetV2(**LARGE), "mixed_5b"),
        apps.inception_resnet_v2,
        None,
    ),
    "NASNet": (
        lambda: NASNet(penultimate_filters=96, num_blocks=1, default_size=32, **SMALL),
        apps.nasnet,
        "stem_conv1",
    ),
}
HEAVY = ("InceptionV3", "InceptionResNetV2")


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW if name in HEAVY else ()) for name in ZOO])
def test_its_first_convolution_sees_what_keras_would_give_it(name):
    build, module, first = ZOO[name]
    model = build()
    assert applications.family(model) == name.removesuffix("-S")
    first = first or models.weight_layers(model)[0].name
    side = model.input_shape[1]
    images = np.random.default_rng(0).integers(0, 256, (4, side, side, 3)).astype("uint8")
    truth = models.outputs(models.features_at(model, first), module.preprocess_input(images.astype("float32")))
    ours = models.outputs(models.features_at(models.from_keras(model), first), images)
    np.testing.assert_allclose(ours, truth, atol=1e-4 * np.abs(truth).max())
    if (
        applications.FAMILIES[name.removesuffix("-S")][0] != "inside"
    ):  # the test can fail: bare images are another thing
        bare = models.outputs(models.features_at(model, first), images)
        assert np.abs(ours - bare).max() > 0.1 * np.abs(bare).max()


def test_a_map_of_features_is_pooled_and_a_classifier_is_cut_off():
    model = resnet_v2()
    source = models.from_keras(model)
    pooled = models.outputs(model, apps.resnet_v2.preprocess_input(IMAGES.astype("float32"))).mean((1, 2))
    np.testing.assert_allclose(models.outputs(source, IMAGES), pooled, atol=1e-5)
    whole = resnet_v2(include_top=True, classes=7)
    whole.compile("adam", "sparse_categorical_crossentropy")
    source = models.from_keras(whole)
    assert source.output_shape == (None, 7)
    assert graph.place(source)[0] == "avg_pool"
    assert models.logits(source, IMAGES).min() < 0


def test_images_of_any_size_are_resized_to_its_own():
    source = models.from_keras(resnet_v2())
    assert source.input_shape == (None, None, None, 3)
    assert models.outputs(source, np.zeros((2, 50, 40, 3), "uint8")).shape == (2, 32)
    open_size = apps.MobileNetV3Small(weights=None, include_top=False, minimalistic=True)
    assert models.from_keras(open_size, size=48).get_layer("resize").height == 48
    assert "resize" not in [layer.name for layer in models.from_keras(open_size).layers]


def scaled_before(factor, offset, model):
    return keras.Sequential([keras.Input(SHAPE), layers.Rescaling(factor, offset), model])


def test_what_is_inside_already_is_not_done_twice():
    model = resnet_v2()
    right = models.from_keras(scaled_before(1 / 127.5, -1.0, model))
    np.testing.assert_allclose(
        models.outputs(right, IMAGES), models.outputs(models.from_keras(model), IMAGES), atol=1e-5
    )
    own = keras.Sequential([keras.Input(SHAPE), layers.Rescaling(1 / 255), layers.Conv2D(4, 3, name="c")])
    ours = models.outputs(models.features_at(models.from_keras(own), "c"), IMAGES)
    np.testing.assert_allclose(ours, models.outputs(own, IMAGES), atol=1e-5)


def plain(channels=3):
    return keras.Sequential([keras.Input((32, 32, channels)), layers.Conv2D(4, 3, name="c")], name="mine")


@pytest.mark.parametrize(
    ("build", "message", "remedy"),
    [
        (plain, r"'mine' is of no family.*preprocessing=\"tf\"", {"preprocessing": "tf"}),
        (lambda: plain(1), "of no family", {"preprocessing": layers.Rescaling(1 / 255)}),
        (
            lambda: scaled_before(1 / 255, 0, resnet_v2()),
            r"of the family ResNetV2, which expects values from -1 to 1.* make values from 0 to 1 of 0 to 255",
            {"preprocessing": "inside"},
        ),
        (
            lambda: scaled_before(1 / 255, 0, apps.MobileNetV3Small(minimalistic=True, **SMALL)),
            r"MobileNetV3, which expects images with values 0 to 255, since it scales them itself",
            {"preprocessing": "inside"},
        ),
    ],
)
def test_what_nobody_can_know_is_asked_and_what_contradicts_is_said(build, message, remedy):
    model = build()
    with pytest.raises(models.ModelError, match=message):
        models.from_keras(model)
    assert np.isfinite(models.outputs(models.from_keras(model, **remedy), IMAGES[..., : model.input_shape[-1]])).all()


@pytest.mark.parametrize(
    ("build", "how", "message"),
    [
        (
            lambda: apps.MobileNetV3Small(include_preprocessing=False, **SMALL),
            {},
            "Build it with include_preprocessing=True",
        ),
        (
            lambda: efficientnet_v2("efficientnetv2-b0", include_preprocessing=False),
            {},
            "EfficientNetV2 without its preprocessing",
        ),
        (plain, {"preprocessing": "keras"}, "found 'keras'"),
        (plain, {"preprocessing": apps.resnet.preprocess_input}, "known or a layer, found <function"),
        (lambda: plain(1), {"preprocessing": "torch"}, "takes 1 channels"),
        (lambda: scaled_before(1 / 255, 0, plain()), {"preprocessing": "tf"}, "would do it twice"),
        (resnet_v2, {"size": 64}, r"images of 32 × 32 pixels, found size=64\..*input_shape=\(64, 64, 3\)"),
        (resnet_v2, {"size": "32"}, "number of pixels, found '32'"),
        (lambda: keras.Sequential([keras.Input((5,)), layers.Dense(2)]), {}, "network that takes images"),
        (lambda: "MobileNetV2", {}, "Expected a keras.Model, found str"),
    ],
)
def test_what_cannot_be_a_source_is_one_sentence(build, how, message):
    with pytest.raises(models.ModelError, match=message):
        models.from_keras(build(), **how)


def task():
    generator = np.random.default_rng(0)
    labels = np.arange(24) % 3
    images = generator.integers(0, 90, (24, *SHAPE)).astype("uint8")
    for i, label in enumerate(labels):
        images[i, 4:12, 2 + 8 * label : 10 + 8 * label] += 120
    part = data.Dataset(images, labels, ("a", "b", "c"), "squares", "made", np.zeros(24, bool))
    return data.Split(part, part, part, 8, 0)


@SAVING
def test_it_is_a_source_as_every_other(tmp_path):
    """Of ResNet, whose preprocessing is the one that is no layer alone: it turns the channels round."""
    source, split, quick = models.from_keras(resnet()), task(), {"steps": 3, "batch_size": 8, "progress": False}
    one, again = (transfer.feature_extraction(source, split, seed=3, **quick) for _ in range(2))
    np.testing.assert_array_equal(models.outputs(one.model, IMAGES), models.outputs(again.model, IMAGES))
    middle = next(name for name in models.places(source) if models.depth_of(source, name) > 2)
    tuned = transfer.parameter_transfer(source, split, freeze=middle, **quick)
    for layer in models.weight_layers(models.features_at(tuned.model, middle)):
        origin = models.find_layer(source, layer.name)
        assert all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), origin.get_weights(), strict=True))
    tuned.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(models.outputs(loaded, IMAGES), models.outputs(tuned.model, IMAGES), atol=1e-5)
