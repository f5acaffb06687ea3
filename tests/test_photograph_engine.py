"""The engine of the photograph page beside Keras and scikit-learn: features, heads, folds, tuning, memory."""

import base64
import os
import re
import time
from pathlib import Path

import compile_kernels
import numpy as np
import pytest
from scipy import stats as distributions
from sklearn.linear_model import LogisticRegression

from tl_base import efficientnet, photographs
from tl_base.backend import tf
from tl_base.bundler import bundle
from tl_experiments import photographing
from tl_helpers import asset, models
from tl_helpers.widgets import FRONT

SIZE = photographing.SIZE
CLOSE = 1e-3  # of a picture's features, relative
SAME_LOGITS = 1e-3
ARMS = tuple(photographing.ARMS)
TUNED = 3
SLOWEST = {"wasm": 3000, "plain": 12_000}  # ms a picture with both networks, however busy the machine is
ROOM = 8e6  # bytes by which the memory may differ after all trainings
AS_GLOBALS = """for (const each of Object.values(modules)) Object.assign(globalThis, each);
globalThis.bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
globalThis.floatsOf = (text) => new Float32Array(bytesOf(text).buffer);
globalThis.textOf = (values) => {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    let text = "";
    for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
    return btoa(text);
};"""


def text_of(array, dtype="<f4"):
    return base64.b64encode(np.ascontiguousarray(array, dtype).tobytes()).decode()


def floats(text, *shape):
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(shape or -1)


def layout():
    return [{"name": name, "shape": list(array.shape)} for name, array in photographing.weights().items()]


def all_weights():
    return b"".join(np.ascontiguousarray(array, "<f2").tobytes() for array in photographing.weights().values())


# --- The compiled program --------------------------------------------------------------------------------------------


def test_the_compiled_kernels_are_those_of_the_source():
    told = compile_kernels.MODULE.read_text(encoding="utf-8")
    assert f"kernels.c: {compile_kernels.digest()}\n" in told, (
        "run tools/compile_kernels.py after a change of kernels.c"
    )


def test_the_digest_is_that_of_the_text(tmp_path):
    other = tmp_path / "kernels.c"
    other.write_bytes(compile_kernels.SOURCE.read_bytes() + b"\n")
    assert compile_kernels.digest(other) != compile_kernels.digest()


# --- Features --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures():
    """200 photographs at the page's size: the 180 of the package, and 20 of TrashNet or, without it, mirrored ones."""
    own = sorted(asset("trashnet").rglob("*.jpg"))
    whole = sorted(Path(os.environ.get("TL_DATA_DIR", "")).glob("trashnet/*/*.jpg"))
    with photographs.reading():
        images = [photographs.read(path, SIZE, SIZE).pixels for path in own]
        images += [photographs.read(path, SIZE, SIZE).pixels for path in whole[:: max(1, len(whole) // 20)][:20]]
    images += [image[:, ::-1] for image in images[: 200 - len(images)]]
    return np.stack(images)


@pytest.fixture(scope="module")
def labels():
    folders = [path.parent.name for path in sorted(asset("trashnet").rglob("*.jpg"))]
    return np.unique(folders, return_inverse=True)[1]


@pytest.fixture(scope="module")
def keras_network():
    return models.pretrained("imagenet", size=SIZE)


@pytest.fixture(scope="module")
def expected(keras_network, pictures):
    """What Keras makes of the pictures: features, and what is given to the last convolution."""
    both = models.keras.Model(keras_network.input, [keras_network.output, keras_network.get_layer("block7").output])
    features, last = both.predict(pictures, batch_size=20, verbose=0)
    return features, last


@pytest.fixture(scope="module")
def page(chromium):
    """A page with the engine's functions as globals; `start(path)` loads the networks into `networks`."""
    page = chromium.new_page()
    page.add_script_tag(content=bundle(FRONT / "photographs_engine.js", AS_GLOBALS))
    page.evaluate(
        """([network, layout, weights]) => Object.assign(globalThis, {
            network, layout, heard: [], bytes: bytesOf(weights),
            start(path) {
                const numbers = bytes.slice().buffer;
                networks = new Networks({ network, layout, numbers, seed: 0, path }, (answer) => heard.push(answer));
                return networks.kernels.path;
            },
        })""",
        [photographing.network(), layout(), base64.b64encode(all_weights()).decode()],
    )
    assert page.evaluate("() => start()") == "wasm"
    yield page
    page.close()


SEE = """([pixels, size]) => {
    const all = bytesOf(pixels), seen = [], count = size * size * 3;
    const begin = performance.now();
    for (let at = 0; at < all.length; at += count) seen.push(networks.features(all.slice(at, at + count)));
    const time = (performance.now() - begin) / seen.length;
    const joined = (kind) => textOf(Float32Array.from(seen.flatMap((each) => [...each[kind]])));
    return [time, ...["trained", "random", "pixels", "last"].map(joined)];
}"""


def seen(page, images):
    time, *arrays = page.evaluate(SEE, [text_of(images, "u1"), SIZE])
    return time, *(floats(array, len(images), -1) for array in arrays)


def relative(found, wanted):
    """The largest error of a picture's numbers, against their length."""
    return (np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1)).max()


@pytest.fixture(scope="module")
def features(page, pictures):
    """What the page makes of the pictures: milliseconds each, then trained, random, pixels, last."""
    return seen(page, pictures)


def test_the_features_are_those_of_keras(features, expected):
    time, trained, _, _, last = features
    print(f"\nboth networks, WebAssembly: {time:.0f} ms a picture; error {relative(trained, expected[0]):.1e}")
    assert relative(trained, expected[0]) < CLOSE
    assert relative(last, expected[1].reshape(len(last), -1)) < CLOSE
    assert time < SLOWEST["wasm"]


def test_the_plain_loops_do_the_same(page, pictures, features, expected):
    assert page.evaluate("() => start('plain')") == "plain"
    time, trained, random, _, last = seen(page, pictures[:60:10])
    page.evaluate("() => start()")
    print(f"\nboth networks, plain JavaScript: {time:.0f} ms a picture")
    assert relative(trained, expected[0][:60:10]) < CLOSE
    assert relative(random, features[2][:60:10]) < CLOSE
    assert relative(last, features[4][:60:10]) < CLOSE
    assert time < SLOWEST["plain"]


def test_the_top_class_of_a_head_is_always_that_of_keras(features, expected, labels):
    """A head that scikit-learn trains on Keras's features, applied to both."""
    some = np.arange(0, len(labels), 3)
    head = LogisticRegression(C=0.01, max_iter=1000).fit(expected[0][some], labels[some])
    assert np.array_equal(head.predict(features[1]), head.predict(expected[0]))


def test_the_network_is_told_as_keras_builds_it(page, keras_network):
    """Names, widths, kernels and strides of all convolutions."""
    told = page.evaluate(
        "() => layersOf(network).map(({ name, normal, to, size, stride }) => [name, normal, to, size, stride])"
    )
    built = [layer for layer in keras_network.layers if "Conv2D" in type(layer).__name__]
    normals = [layer.name for layer in keras_network.layers if type(layer).__name__ == "BatchNormalization"]
    assert [each[0] for each in told] == [layer.name for layer in built]
    assert [each[1] for each in told] == normals
    assert [each[2] for each in told] == [layer.output.shape[-1] for layer in built]
    assert [(each[3], each[4]) for each in told] == [(layer.kernel_size[0], layer.strides[0]) for layer in built]


def test_the_random_network_is_like_one_that_keras_draws(page, pictures, features):
    """Other numbers, the same distribution: its features neither vanish nor explode, and depend on the picture."""
    drawn = [efficientnet.lite0(seed, SIZE).predict(pictures[:40], verbose=0) for seed in range(3)]
    ours = features[2][:40]
    for measure in (np.mean, lambda values: values.std(axis=0).mean()):
        middle = np.mean([measure(values) for values in drawn])
        assert 0.5 * middle < measure(ours) < 2 * middle
    twice = page.evaluate(
        """() => [0, 0, 1].map((seed) => textOf(randomArrays(network, seed)["block3a_depth/kernel"]))"""
    )
    assert twice[0] == twice[1] != twice[2]
    weights = floats(twice[0]) / np.sqrt(2 / 25)
    assert np.abs(weights).max() < 2 / 0.879
    assert distributions.kstest(weights, distributions.truncnorm(-2, 2, scale=1 / 0.8796).cdf).pvalue > 0.001


def test_the_small_pictures_are_means(features, pictures):
    means = pictures[:5].reshape(5, 32, SIZE // 32, 32, SIZE // 32, 3).mean(axis=(2, 4)).reshape(5, -1)
    assert np.allclose(features[3][:5], means, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "numbers: bytes.slice(0, -2).buffer",
            "the weights are damaged at top_normal/moving_variance; load them again",
        ),
        ("numbers: new Uint16Array(bytes.length / 2 + 1)", r"the weights are \d+ numbers, and \d+ were expected"),
        ("layout: layout.slice(0, -1), numbers: bytes.slice(0, -2560).buffer", "lack top_normal/moving_variance"),
    ],
)
def test_damaged_weights_are_refused(page, change, message):
    with pytest.raises(Exception, match=message):
        page.evaluate(
            f"() => {{ new Networks({{ network, layout, numbers: bytes.slice().buffer, seed: 0, {change} }}) }}"
        )


# --- Heads -----------------------------------------------------------------------------------------------------------


FIT = """([rows, count, labels, classes]) => {
    const all = floatsOf(rows), width = all.length / count;
    const row = (i) => all.slice(i * width, (i + 1) * width);
    const begin = performance.now();
    const head = fitted(networks.kernels, labels.map((_, i) => row(i)), labels, classes);
    const time = performance.now() - begin;
    const logits = Array.from({ length: count }, (_, i) => [...logitsOf(head, row(i))]).flat();
    const arrays = [head.mean, head.scale, head.kernel, head.bias, Float32Array.from(logits)];
    return [time, head.steps, ...arrays.map(textOf)];
}"""


def rows_of(features, labels, per_class):
    """The first pictures of each class, then all."""
    return np.concatenate([np.flatnonzero(labels == c)[:per_class] for c in range(labels.max() + 1)])


@pytest.mark.parametrize(("kind", "per_class"), [(1, 1), (1, 10), (2, 10), (3, 10)])
def test_the_head_is_that_of_scikit_learn(page, features, labels, kind, per_class):
    some = rows_of(features, labels, per_class)
    rest = np.setdiff1d(np.arange(len(labels)), some)
    x = features[kind][np.concatenate([some, rest])]
    time, steps, *arrays = page.evaluate(FIT, [text_of(x), len(x), labels[some].tolist(), 6])
    mean, scale, kernel, bias, logits = (floats(array) for array in arrays)
    print(f"\n{len(some)} pictures, {x.shape[1]} numbers: {steps} steps, {time:.0f} ms")
    given = x[: len(some)]
    assert np.allclose(mean, given.mean(axis=0), atol=1e-4 * np.abs(given).max())
    variance = given.var(axis=0)
    shrunk = np.sqrt((len(some) * variance + 10 * variance.mean()) / (len(some) + 10))
    assert np.allclose(scale, shrunk, rtol=1e-4)
    z = (x.astype(np.float64) - mean) / scale
    head = LogisticRegression(C=0.01, tol=1e-7, max_iter=2000).fit(z[: len(some)], labels[some])
    wanted = z @ head.coef_.T + head.intercept_
    found = logits.reshape(len(x), 6)
    # scikit-learn's bias sums to zero only by its solver's path: logits are compared but for a number common to all
    centred = found - found.mean(axis=1, keepdims=True)
    assert np.abs(centred - (wanted - wanted.mean(axis=1, keepdims=True))).max() < SAME_LOGITS
    assert np.allclose(found, z @ kernel.reshape(-1, 6) + bias, atol=SAME_LOGITS)


def test_two_classes_and_pictures_that_are_the_same(page, features, labels):
    """Nothing in it divides by zero: equal pictures, a feature that never changes."""
    x = np.repeat(features[1][:2], 3, axis=0)
    x[:, 5] = 1.5
    _, _, _, scale, _, _, logits = page.evaluate(FIT, [text_of(x), 6, [0, 0, 0, 1, 1, 1], 2])
    assert floats(scale).min() > 0
    assert floats(logits, 6, 2).argmax(axis=1).tolist() == [0, 0, 0, 1, 1, 1]


# --- What is held back -----------------------------------------------------------------------------------------------


def plan(page, labels, groups=None, seed=0):
    groups = range(len(labels)) if groups is None else groups
    rows = [{"id": i, "label": int(c), "group": int(g)} for i, (c, g) in enumerate(zip(labels, groups, strict=True))]
    return page.evaluate("([rows, classes, seed]) => planOf(rows, classes, seed)", [rows, int(max(labels)) + 1, seed])


def test_each_picture_is_held_back_once_and_each_fold_has_each_class(page):
    labels = np.repeat([0, 1, 2], [30, 20, 10])
    made = plan(page, labels)
    parts = np.array(made["parts"])
    assert made["folds"] == 10
    assert not made["one"]
    assert made["groups"] == 60
    counts = np.array([np.bincount(parts[labels == c], minlength=10) for c in range(3)])
    assert counts.tolist() == [[3] * 10, [2] * 10, [1] * 10]
    assert plan(page, labels)["parts"] == made["parts"] != plan(page, labels, seed=1)["parts"]


def test_few_pictures_are_held_back_one_at_a_time(page):
    labels = np.repeat([0, 1], [4, 3])
    made = plan(page, labels)
    parts = np.array(made["parts"])
    assert made["one"]
    assert made["folds"] == 4
    assert all(len(set(parts[labels == c])) == sum(labels == c) for c in (0, 1))


def test_like_pictures_are_on_one_side(page):
    labels = np.repeat([0, 1], 20)
    groups = np.concatenate([np.arange(20) // 4, 5 + np.arange(20) // 2])
    made = plan(page, labels, groups)
    for group in set(groups):
        assert len(set(np.array(made["parts"])[groups == group])) == 1
    assert made["groups"] == 15


def test_a_class_of_one_group_is_never_held_back(page):
    made = plan(page, [0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 2, 3])
    assert made["parts"][:3] == [-1, -1, -1]
    assert sorted(made["parts"][3:]) == [0, 1, 2]
    assert plan(page, [0, 0, 1], [0, 0, 1])["folds"] == 0


# --- The last stage --------------------------------------------------------------------------------------------------


SLOPES = """([kernel, bias, lasts, labels, classes, path]) => {
    const own = kernels(path), [channels, wide] = [16, 32];
    const stage = new LastStage(own, { kernel: floatsOf(kernel), bias: floatsOf(bias), most: 6 });
    const all = floatsOf(lasts), count = labels.length, one = all.length / count;
    const rows = labels.map((_, i) => all.slice(i * one, (i + 1) * one));
    const head = fitted(own, rows.map((row) => stage.see(stage.start, row)), labels, classes);
    head.kernel.forEach((value, i) => head.kernel[i] = 2 * value + 0.01 * (i % 3)); // from where its slopes vanish
    head.bias[0] += 0.1;
    const begin = own.memory.end;
    const tuning = new Tuning(stage, head, rows, labels, 0);
    const order = tuning.batches[0];
    tuning.move = () => {};
    tuning.step();
    const slopes = [tuning.weights, tuning.bias, tuning.kernel, tuning.headBias].map(({ slopes, count }) =>
        new Float32Array(own.memory.at(slopes, count)));
    slopes[0] = outOfPanels(slopes[0], wide);
    tuning.end();
    return [order, begin === own.memory.end, ...[...slopes, head.kernel, head.bias, head.mean, head.scale].map(textOf)];
}"""


@pytest.mark.parametrize("path", ["wasm", "plain"])
def test_the_slopes_of_the_last_stage_are_those_of_tensorflow(page, path):
    generator = np.random.default_rng(0)
    kernel, bias = generator.normal(0, 0.8, (16, 32)), generator.normal(0, 1, 32)
    lasts, labels = generator.normal(0, 1, (12, 16, 16)), np.arange(12) % 3
    told = [text_of(kernel), text_of(bias), text_of(lasts), labels.tolist(), 3, path]
    order, freed, *arrays = page.evaluate(SLOPES, told)
    assert freed
    found = [floats(array) for array in arrays]
    w, b = tf.Variable(kernel, dtype="float64"), tf.Variable(bias, dtype="float64")
    v = tf.Variable(found[4].reshape(32, 3).astype(float))
    c = tf.Variable(found[5].astype(float))
    mean, scale = found[6].astype(float), found[7].astype(float)
    with tf.GradientTape() as tape:
        out = tf.clip_by_value(lasts[order] @ w + b, 0, 6)
        logits = ((tf.reduce_mean(out, axis=1) - mean) / scale) @ v + c
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels[order], logits)
        loss = tf.reduce_mean(losses) + tf.reduce_sum(v**2) / (2 * 0.01 * len(labels))
    wanted = tape.gradient(loss, [w, b, v, c])
    assert ((out > 0) & (out < 6)).numpy().mean() < 0.9, "ReLU6 cuts nothing here"
    for ours, theirs in zip((found[0], found[1], found[2], found[3][:3]), wanted, strict=True):
        assert np.abs(ours - theirs.numpy().ravel()).max() < 1e-4 * np.abs(theirs).max()


def test_adam_is_that_of_keras(page):
    generator = np.random.default_rng(1)
    weights, slopes = generator.normal(0, 1, 8), generator.normal(0, 1, (3, 8))
    found = page.evaluate(
        """([weights, slopes]) => ["wasm", "plain"].map((path) => {
            const { memory, loops } = kernels(path);
            const [at, means, squares, slope] = [weights, 8, 8, 8].map((each) =>
                each === 8 ? memory.put(new Float32Array(8)) : memory.put(floatsOf(each)));
            floatsOf(slopes).forEach((_, i, all) => {
                if (i % 8) return;
                memory.numbers.set(all.slice(i, i + 8), slope);
                const step = i / 8 + 1, whole = Math.sqrt(1 - 0.999 ** step);
                loops.adam(at, slope, means, squares, 8, 0.01 * whole / (1 - 0.9 ** step), 1e-8 * whole);
            });
            return textOf(new Float32Array(memory.at(at, 8)));
        })""",
        [text_of(weights), text_of(slopes)],
    )
    variable, adam = models.keras.Variable(weights.astype("float32")), models.keras.optimizers.Adam(0.01, epsilon=1e-8)
    adam.build([variable])
    for slope in slopes:
        adam.apply([tf.constant(slope, tf.float32)], [variable])
    for each in found:
        assert np.allclose(floats(each), variable.numpy(), atol=1e-6)


# --- The worker ------------------------------------------------------------------------------------------------------


WORKER = """([text, network, layout, weights]) => {
    const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    const worker = new Worker(address), told = [], waiting = [];
    worker.onmessage = ({ data }) => {
        told.push({ at: performance.now(), ...data });
        for (const each of [...waiting]) if (each.wanted(data)) {
            waiting.splice(waiting.indexOf(each), 1);
            each.resolve(data);
        }
    };
    const until = (wanted) => new Promise((resolve) => waiting.push({ wanted, resolve }));
    const ask = (question, ...kinds) => {
        const answer = until((data) => kinds.includes(data.do) || data.do === "failed");
        worker.postMessage(question);
        return answer;
    };
    Object.assign(globalThis, { worker, told, ask, until });
    const bytes = Uint8Array.from(atob(weights), (letter) => letter.charCodeAt(0));
    return ask({ do: "load", network, layout, numbers: bytes.buffer, seed: 0 }, "loaded");
}"""


@pytest.fixture(scope="module")
def worker(chromium):
    """A page with the worker as the site starts it; `ask(question, kinds of answers)`."""
    page = chromium.new_page()
    page.add_script_tag(content=AS_GLOBALS.split("\n", 1)[1])
    told = [photographing.network(), layout(), base64.b64encode(all_weights()).decode()]
    loaded = page.evaluate(WORKER, [bundle(FRONT / "photographs_engine.js", ""), *told])
    assert (loaded["do"], loaded["path"]) == ("loaded", "wasm")
    yield page
    page.close()


@pytest.fixture(scope="module")
def chosen(labels):
    """Ten photographs of each of three classes."""
    return np.concatenate([np.flatnonzero(labels == c)[:10] for c in range(3)])


TRAIN = """async ([pixels, labels, groups, size]) => {
    const all = bytesOf(pixels), count = size * size * 3;
    told.length = 0;
    const begin = performance.now();
    labels.forEach((_, id) => worker.postMessage({ do: "see", id, pixels: all.slice(id * count, (id + 1) * count) }));
    const rows = labels.map((label, id) => ({ id, label, group: groups[id] }));
    const answer = await ask({ do: "train", run: 7, rows, classes: 3, seed: 0 }, "trained");
    const time = performance.now() - begin;
    for (const { result } of told) if (result) result.shares = [...result.shares];
    const seen = told.filter((each) => each.do === "seen").length;
    return { answer, told: told.filter((each) => each.do !== "seen"), seen, time };
}"""


@pytest.fixture(scope="module")
def trained(worker, pictures, labels, chosen):
    told = [text_of(pictures[chosen], "u1"), labels[chosen].tolist(), list(range(len(chosen))), SIZE]
    return worker.evaluate(TRAIN, told)


def test_four_networks_train(trained, labels, chosen):
    print(f"\nseen and trained, 30 pictures: {trained['time'] / 1000:.1f} s")
    assert trained["seen"] == 30
    assert trained["answer"]["do"] == "trained"
    assert not trained["answer"]["stopped"]
    order = [each["do"] + str(each.get("result", {}).get("arm", "")) for each in trained["told"]]
    order = [each for i, each in enumerate(order) if each != "progress" and each not in order[:i]]
    assert order == ["plan", "result0", "result1", "result2", "curve", "result3", "trained"]
    parts = np.array(trained["told"][0]["plan"]["parts"])
    for each in (each["result"] for each in trained["told"] if each["do"] == "result"):
        shares = np.array(each["shares"]).reshape(30, 3)
        assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
        assert each["answers"] == shares.argmax(axis=1).tolist()
        assert each["right"] == (shares.argmax(axis=1) == labels[chosen]).sum()
        assert each["of"] == 30
        assert (
            each["folds"] == (5 if each["arm"] == TUNED else 10) == (parts.max() + 1) // (2 if each["arm"] == 3 else 1)
        )
    progress = [each["share"] for each in trained["told"] if each["do"] == "progress"]
    assert progress == sorted(progress)
    assert progress[-1] <= 1


def test_what_was_held_back_was_not_trained_on(trained, features, labels, chosen):
    """The shares of the first fold are those of a head that scikit-learn trains on the other folds."""
    x, y = features[1][chosen].astype(np.float64), labels[chosen]
    out = np.array(trained["told"][0]["plan"]["parts"]) == 0
    mean, variance, count = x[~out].mean(axis=0), x[~out].var(axis=0), (~out).sum()
    z = (x - mean) / np.sqrt((count * variance + 10 * variance.mean()) / (count + 10))
    head = LogisticRegression(C=0.01, tol=1e-7, max_iter=2000).fit(z[~out], y[~out])
    result = next(each["result"] for each in trained["told"] if each["do"] == "result")
    assert np.allclose(np.array(result["shares"]).reshape(-1, 3)[out], head.predict_proba(z[out]), atol=1e-3)


def test_the_learning_curve_rises(trained):
    points = [each for each in trained["told"] if each["do"] == "curve"][-1]["points"]
    counts = [point["perClass"] for point in points if point["arm"] == 0]
    assert counts == [1, 2, 3, 5, 7]
    by_arm = {arm: [point["share"] for point in points if point["arm"] == arm] for arm in (0, 1)}
    assert by_arm[0][-1] > by_arm[0][0] + 0.1
    assert np.mean(by_arm[0]) > np.mean(by_arm[1])
    assert all(0 < point["spread"] < 0.5 and point["draws"] == 10 for point in points)


def test_a_picture_is_named_as_the_exported_head_says(worker, trained, pictures, features, expected):
    """Logits of the export, computed with NumPy from Keras's features; the fine-tuned one from what it is given."""
    for arm in range(4):
        other = 100
        told = worker.evaluate(
            """async ([pixels, arm]) => {
                const out = await ask({ do: "export", ask: 1, arm }, "exported");
                const named = await ask({ do: "name", ask: 2, of: { pixels: bytesOf(pixels) }, nearest: 5 }, "named");
                const told = ([name, { shape, values }]) => [name, shape, textOf(values)];
                return [named.named, Object.entries(out.arrays).map(told)];
            }""",
            [text_of(pictures[other], "u1"), arm],
        )
        arrays = {name: floats(text, *shape).astype(np.float64) for name, shape, text in told[1]}
        given = expected[0][other] if arm == 0 else features[{1: 2, 2: 3}.get(arm, 1)][other]
        assert ("last_kernel" in arrays) == (arm == TUNED)
        if arm == TUNED:
            out = expected[1][other].reshape(16, 320) @ arrays["last_kernel"] + arrays["last_bias"]
            given = np.clip(out, 0, 6).mean(axis=0)
            assert np.abs(given - expected[0][other]).max() > 1e-3, "nothing was tuned"
        logits = ((given - arrays["mean"]) / arrays["scale"]) @ arrays["kernel"] + arrays["bias"]
        shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        assert np.allclose(told[0]["shares"][arm], shares, atol=2e-3)


def test_the_nearest_pictures_are_those_of_the_cosine(worker, trained, pictures, expected, chosen):
    units = expected[0] / np.linalg.norm(expected[0], axis=1, keepdims=True)
    ours = units[chosen]
    between = ours @ ours.T - 2 * np.eye(len(ours))
    distances = np.sort(1 - between.max(axis=1))
    assert np.allclose(trained["answer"]["distances"], distances, atol=1e-4)
    question = """(given) => {
        const of = typeof given === "number" ? { id: given } : { pixels: bytesOf(given) };
        return ask({ do: "name", ask: 3, of, nearest: 4 }, "named");
    }"""
    named = worker.evaluate(question, text_of(pictures[170], "u1"))["named"]
    alike = ours @ units[170]
    assert [each["id"] for each in named["nearest"]] == np.argsort(-alike)[:4].tolist()
    assert named["distance"] == pytest.approx(1 - alike.max(), abs=1e-4)
    assert named["farther"] == pytest.approx((distances < 1 - alike.max()).mean(), abs=0.04)
    own = worker.evaluate(question, 3)["named"]
    assert [each["id"] for each in own["nearest"]] == np.argsort(-between[3])[:4].tolist(), (
        "the picture itself is left out"
    )


@pytest.mark.parametrize("arm", [0, 2, 3])
def test_the_map_says_what_covering_changes(worker, trained, pictures, arm):
    question = """async ([pixels, arm, places]) => {
        const covered = (place, side, patch, stride) => {
            const copy = bytesOf(pixels), [top, left] = [Math.floor(place / side) * stride, place % side * stride];
            for (let r = top; r < top + patch; r++) copy.fill(127, (r * 128 + left) * 3, (r * 128 + left + patch) * 3);
            return copy;
        };
        const share = async (of) => (await ask({ do: "name", ask: 5, of, nearest: 1 }, "named")).named.shares[arm][1];
        const of = { id: -1, pixels: bytesOf(pixels) };
        const map = await ask({ do: "occlude", ask: 4, of, arm, label: 1 }, "occluded");
        const { side, patch, stride } = map, after = [];
        for (const place of places) after.push(await share({ pixels: covered(place, side, patch, stride) }));
        return { ...map, drops: [...map.drops], after, whole: await share({ pixels: bytesOf(pixels) }) };
    }"""
    places = [0, 12, 40, 80]
    found = worker.evaluate(question, [text_of(pictures[100], "u1"), arm, places])
    assert not found["heldBack"]
    assert found["share"] == pytest.approx(found["whole"], abs=1e-6)
    assert len(found["drops"]) == found["side"] ** 2 == 81
    assert (found["side"] - 1) * found["stride"] + found["patch"] == SIZE
    drops = np.array(found["drops"])
    assert np.allclose(drops[places], found["whole"] - np.array(found["after"]), atol=1e-6)
    assert np.abs(drops).max() > 1e-3


@pytest.mark.parametrize("arm", range(4))
def test_the_map_of_a_training_picture_is_of_the_network_that_held_it_back(worker, trained, pictures, chosen, arm):
    question = """([pixels, id, arm]) => {
        const of = { id, pixels: bytesOf(pixels) };
        return ask({ do: "occlude", ask: 4, of, arm, label: 1 }, "occluded");
    }"""
    result = next(each["result"] for each in trained["told"] if each["do"] == "result" and each["result"]["arm"] == arm)
    held = np.array(result["shares"]).reshape(-1, 3)[:, 1]
    named = 'id => ask({ do: "name", ask: 5, of: { id }, nearest: 1 }, "named")'
    apart = []
    for id in (0, 29):
        found = worker.evaluate(question, [text_of(pictures[chosen[id]], "u1"), id, arm])
        assert found["heldBack"]
        assert found["share"] == pytest.approx(held[id], abs=1e-5)
        apart.append(abs(worker.evaluate(named, id)["named"]["shares"][arm][1] - held[id]))
    assert max(apart) > 1e-3, "the network that has learned from it says something else"


def test_the_worker_answers_while_it_trains_and_stops(worker, trained):
    found = worker.evaluate(
        """async () => {
            told.length = 0;
            const rows = Array.from({ length: 30 }, (_, id) => ({ id, label: Math.floor(id / 10), group: id }));
            const first = until((data) => data.do === "result" && data.result.arm === 2 && data.run === 8);
            worker.postMessage({ do: "train", run: 8, rows, classes: 3, seed: 1 });
            await first;
            const named = await ask({ do: "name", ask: 6, of: { id: 4 }, nearest: 2 }, "named");
            worker.postMessage({ do: "train", run: 9, rows, classes: 3, seed: 2 });
            const old = await until((data) => data.do === "trained");
            await until((data) => data.do === "result" && data.run === 9);
            worker.postMessage({ do: "stop" });
            const end = await until((data) => data.do === "trained");
            return { named: named.named, old, end };
        }"""
    )
    assert [len(each) for each in found["named"]["shares"]] == [3, 3, 3, 0], "the fine-tuned head is not there yet"
    assert (found["old"]["run"], found["old"]["stopped"]) == (8, True)
    assert (found["end"]["run"], found["end"]["stopped"]) == (9, True)


@pytest.mark.parametrize(
    ("question", "ask", "message"),
    [
        ("{ do: 'see', id: 5, pixels: new Uint8Array(12) }", 5, r"a picture has 12 numbers, and 128 \* 128 \* 3"),
        ("{ do: 'train', run: 3, rows: [{ id: 999, label: 0, group: 0 }], classes: 1, seed: 0 }", 3, "1 of 1 pictures"),
        (
            "{ do: 'train', run: 4, rows: [{ id: 1, label: 0, group: 0 }], classes: 1, seed: 0 }",
            4,
            "of 2 classes or more",
        ),
        ("{ do: 'name', ask: 8, of: { id: 999 }, nearest: 3 }", 8, "this picture was not seen yet"),
        ("{ do: 'export', ask: 9, arm: 5 }", 9, "this network is not trained yet"),
    ],
)
def test_what_cannot_be_answered_is_said(worker, trained, question, ask, message):
    found = worker.evaluate(f"() => ask({question}, 'none')")
    assert found["do"] == "failed"
    assert found["ask"] == ask
    assert re.search(message, found["message"])


def test_features_can_be_forgotten_and_given_back(worker, trained):
    found = worker.evaluate(
        """async () => {
            const seen = await ask({ do: "see", id: 500, pixels: new Uint8Array(128 * 128 * 3).fill(90) }, "seen");
            const question = { do: "name", ask: 1, of: { id: 500 }, nearest: 1 };
            const before = await ask(question, "named");
            worker.postMessage({ do: "forget", ids: [500] });
            const between = await ask(question, "named");
            worker.postMessage({ do: "know", id: 500, features: seen.features });
            return [before, between, await ask(question, "named")];
        }"""
    )
    assert found[1]["do"] == "failed"
    assert found[0] == found[2]


def test_an_occlusion_can_be_ended(worker, trained):
    found = worker.evaluate(
        """async () => {
            const pixels = new Uint8Array(128 * 128 * 3).fill(90);
            const begun = until((data) => data.do === "progress" && data.ask === 70);
            worker.postMessage({ do: "occlude", ask: 70, of: { id: -1, pixels }, arm: 0, label: 0 });
            await begun;
            return ask({ do: "stop" }, "occluded");
        }"""
    )
    assert (found["do"], found["about"], found["ask"], found["message"]) == ("failed", "occlude", 70, "stopped")


# --- Memory ----------------------------------------------------------------------------------------------------------


GROW = """async (small) => {
    const arrays = randomArrays(small, 3);
    const names = Object.keys(arrays);
    const halves = new Uint16Array(names.reduce((sum, name) => sum + arrays[name].length, 0)).fill(0x2c00);
    const layout = names.map((name) => ({ name, shape: [arrays[name].length] }));
    const own = new Networks({ network: small, layout, numbers: halves, seed: 0 }, () => {});
    const count = small.size ** 2 * 3;
    const picture = (k) => Uint8Array.from({ length: count }, (_, i) => 60 * (k % 4) + (i * (k + 7)) % 30);
    const once = async (run) => {
        const rows = Array.from({ length: 100 }, (_, i) => ({ id: i, label: i % 4, group: i }));
        for (const { id } of rows) own.see({ do: "see", id, pixels: picture(id + run) });
        own.train({ do: "train", run, rows, classes: 4, seed: run });
        await own.going;
        if (own.training.trained.some((each) => !each)) throw new Error("not all were trained");
        own.name({ do: "name", ask: 0, of: { pixels: picture(run) }, nearest: 3 });
        await own.occlude({ do: "occlude", ask: 0, of: { id: -1, pixels: picture(run) }, arm: 3, label: 0 });
        own.export({ do: "export", ask: 0, arm: 3 });
        return [own.kernels.memory.numbers.length, own.kernels.memory.end];
    };
    globalThis.trainAgain = once;
    return once(0);
}"""


def test_memory_does_not_grow_over_twenty_trainings_of_a_hundred_pictures(page):
    """With a small network of the same kind, so that it does not take minutes: all loops and buffers are the same."""
    stages = [{"blocks": 2, "stride": 2, "kernel": 3, "expansion": 2, "channels": 16}]
    small = photographing.network() | {"size": 64, "stem": 8, "features": 32, "stages": stages}
    first = page.evaluate(GROW, small)
    session = page.context.new_cdp_session(page)

    def heap():
        session.send("HeapProfiler.collectGarbage")
        return session.send("Runtime.getHeapUsage")

    used = heap()
    begin = time.perf_counter()
    for run in range(1, 20):
        assert page.evaluate("(run) => trainAgain(run)", run) == first
    after = heap()
    print(f"\n19 trainings of 100 pictures, small network: {time.perf_counter() - begin:.0f} s")
    assert after["usedSize"] < used["usedSize"] + ROOM
    assert after.get("backingStorageSize", 0) < used.get("backingStorageSize", 0) + ROOM
