"""Photograph it, transfer it: the Python side, and what page and Python give each other."""

import base64
import functools
import hashlib
import http.server
import io
import json
import re
import threading
import typing

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Error

from tl_base import photographs, stages
from tl_base.bundler import bundle
from tl_experiments import page_heads, photographing
from tl_helpers import asset, data, models
from tl_helpers.widgets import FRONT

SAME_LOGITS = 1e-4

# --- What the page is given ------------------------------------------------------------------------------------------


def test_the_weights_are_those_that_ship_in_the_order_of_the_network():
    source = models.pretrained("imagenet", size=photographing.SIZE)
    named = {f"{layer.name}/{weight.name}": weight for layer in source.layers for weight in layer.weights}
    given = photographing.weights()
    assert list(given) == list(named)
    for name, half in given.items():
        assert half.dtype == np.float16
        assert np.array_equal(half.astype("float32"), named[name].numpy())


def test_the_network_that_the_page_is_told_is_the_one_in_keras():
    """Sizes of the layers follow from the numbers; the page builds them in the same way."""
    told, source = photographing.network(), models.pretrained("imagenet", size=photographing.SIZE)
    assert source.get_layer("stem_conv").filters == told["stem"]
    assert source.output_shape == (None, told["features"])
    for number, stage in enumerate(told["stages"], 1):
        assert source.get_layer(f"block{number}").output.shape[-1] == stage["channels"]
        depthwise = source.get_layer(f"block{number}a_depth")
        assert (depthwise.kernel_size[0], depthwise.strides[0]) == (stage["kernel"], stage["stride"])
        last = "abcd"[stage["blocks"] - 1]
        names = {layer.name[6] for layer in source.layers if re.match(rf"block{number}[a-d]_depth", layer.name)}
        assert max(names) == last
        wide = source.get_layer(f"block{number}{last}_depth").output.shape[-1]
        came = source.get_layer(f"block{number}{last}_{'expand' if stage['expansion'] > 1 else 'depth'}").input.shape[
            -1
        ]
        assert wide == stage["expansion"] * came
    rescale = source.get_layer("rescale")
    assert (1 / rescale.scale, -rescale.offset * told["spread"]) == (told["spread"], told["middle"])
    assert source.get_layer("stem_normal").epsilon == told["epsilon"]
    assert source.get_layer("stem").max_value == told["most"] == stages.MOST


def test_the_weights_in_scripts_are_all_weights(tmp_path):
    told = photographing.told_of_weights()
    written = photographing.write_weights(tmp_path / "_static")
    assert [path.stem for path in written] == [part["name"] for part in told["parts"]]
    pattern = re.compile(r'\(globalThis\.tlBackbone \?\?= \{\}\)\["(\w+)"\] = "([\w+/=]+)";\n')
    found = [pattern.fullmatch(path.read_text(encoding="utf-8")).groups() for path in written]
    assert [name for name, _ in found] == [path.stem for path in written]
    assert sum(len(text) for _, text in found) == told["text"]
    numbers = np.frombuffer(b"".join(base64.b64decode(text) for _, text in found), "<f2")
    assert numbers.nbytes == told["bytes"]
    for each in told["layout"]:
        size = int(np.prod(each["shape"]))
        here, numbers = numbers[:size].reshape(each["shape"]), numbers[size:]
        assert np.array_equal(here, photographing.weights()[each["name"]])
    assert numbers.size == 0


def test_the_examples_are_photographs_that_ship():
    told = photographing.examples()
    assert told["names"] == list(photographing.KINDS)
    labels = [picture["label"] for picture in told["pictures"]]
    assert np.bincount(labels).tolist() == [photographing.PER_KIND] * len(photographing.KINDS)
    for picture in told["pictures"]:
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture["data"]))), float)
        path = asset("trashnet") / told["names"][picture["label"]] / f"{picture['name']}.jpg"
        own = photographs.read(path, photographing.SIZE, photographing.SIZE).pixels
        assert shown.shape == (128, 128, 3)
        assert np.abs(shown - own).mean() < 6


def test_the_kernel_sends_the_weights_that_a_page_asks_for(monkeypatch):
    page, sent = photographing.Photograph(), []
    monkeypatch.setattr(page, "send", lambda content, buffers=None: sent.append((content, buffers)))
    names = [part["name"] for part in page.content["weights"]["parts"]]
    for name in [*names, "backbone_00000000_1"]:
        page._heard(None, {"weights": name}, [])
    page._heard(None, {"something": "else"}, [])
    assert [content for content, _ in sent[:-1]] == [{"weights": name} for name in names]
    bytes_sent = b"".join(buffers[0] for _, buffers in sent[:-1])
    assert bytes_sent == b"".join(half.tobytes() for half in photographing.weights().values())
    assert "Run this cell again" in sent[-1][0]["refused"]
    assert len(sent) == len(names) + 1


def test_every_network_has_a_look_of_its_own():
    looks = photographing.Photograph().content["looks"]
    assert list(looks) == [arm["name"] for arm in photographing.Photograph().content["arms"]]
    for told in ("colour", "marker"):
        assert len({look[told] for look in looks.values()}) == len(looks)
    assert json.dumps(looks)


# --- Loading the weights ---------------------------------------------------------------------------------------------

LOAD = """async (told) => {
    const model = { get: () => ({ weights: told }) };
    const steps = [];
    const { numbers, layout } = await loadWeights(model, (done, of) => steps.push([done, of]));
    const digest = await crypto.subtle.digest("SHA-256", numbers);
    const hex = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return { hex, steps, layout, size: sizeOfWeights(model), left: Object.keys(globalThis.tlBackbone ?? {}),
        scripts: document.querySelectorAll("head script[src]").length };
}"""
PROGRAM = bundle(FRONT / "photographs_weights.js", "Object.assign(globalThis, entry);")


@pytest.fixture(scope="module")
def all_numbers():
    return b"".join(half.tobytes() for half in photographing.weights().values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A site of one page in a folder, with the weights where a site has them."""
    place = tmp_path_factory.mktemp("a site é")
    photographing.write_weights(place / photographing.FOLDER)
    (place / "chapters").mkdir()
    page = f'<!doctype html><html lang="en" data-content_root="../"><meta charset="utf-8"><script>{PROGRAM}</script>'
    (place / "chapters/page.html").write_text(page, encoding="utf-8")
    return place


class Kept(http.server.SimpleHTTPRequestHandler):
    """A host that lets the browser keep what it sends, and counts what it was asked for."""

    asked: typing.ClassVar[list] = []

    def end_headers(self):
        self.send_header("Cache-Control", "max-age=3600")
        super().end_headers()

    def log_message(self, *_):
        """Count instead of printing."""
        self.asked.append(self.path)


@pytest.fixture(scope="module")
def hosted(folder):
    handler = functools.partial(Kept, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/chapters/page.html"
        server.shutdown()


@pytest.mark.parametrize("way", ["file", "http"])
def test_the_page_loads_all_weights_in_steps(chromium, folder, hosted, all_numbers, way):
    tab = chromium.new_page()
    tab.goto(hosted if way == "http" else (folder / "chapters/page.html").as_uri())
    told = photographing.told_of_weights()
    found = tab.evaluate(LOAD, told)
    assert found["hex"] == hashlib.sha256(all_numbers).hexdigest()
    assert found["layout"] == told["layout"]
    assert found["size"] == told["text"]
    done = [done for done, _ in found["steps"]]
    assert (done[0], done[-1], len(done)) == (0, told["text"], photographing.PARTS + 1)
    assert done == sorted(done)
    assert {of for _, of in found["steps"]} == {told["text"]}
    assert found["left"] == []  # the text is not kept beside the numbers
    assert found["scripts"] == 0
    tab.close()


def test_a_second_visit_loads_nothing_again(chromium, hosted):
    context = chromium.new_context()
    for _ in range(2):
        tab = context.new_page()
        tab.goto(hosted)
        Kept.asked.clear()
        tab.evaluate(LOAD, photographing.told_of_weights())
        asked = len(Kept.asked)
        tab.close()
    context.close()
    assert asked == 0


def test_where_a_file_is_missing_the_page_says_so_and_goes_on_from_there(chromium, folder, all_numbers):
    told = photographing.told_of_weights()
    missing = folder / photographing.FOLDER / f"{told['parts'][5]['name']}.js"
    text = missing.read_text(encoding="utf-8")
    tab = chromium.new_page()
    tab.goto((folder / "chapters/page.html").as_uri())
    try:
        missing.unlink()
        with pytest.raises(Error, match=r"cannot be loaded\. .* copy of the whole site.*_static/backbone_\w+_6\.js"):
            tab.evaluate(LOAD, told)
        missing.write_text("// nothing", encoding="utf-8")
        with pytest.raises(Error, match="does not hold the weights"):
            tab.evaluate(LOAD, told)
    finally:
        missing.write_text(text, encoding="utf-8")
    for part in told["parts"][:5]:  # what came stays: the others are not asked for again
        (folder / photographing.FOLDER / f"{part['name']}.js").rename(folder / f"{part['name']}.js")
    found = tab.evaluate(LOAD, told)
    for part in told["parts"][:5]:
        (folder / f"{part['name']}.js").rename(folder / photographing.FOLDER / f"{part['name']}.js")
    assert found["hex"] == hashlib.sha256(all_numbers).hexdigest()
    tab.close()


FROM_KERNEL = """async ([told, parts, answer]) => {
    const listeners = new Set();
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const model = {
        get: () => ({ weights: told }),
        on: (name, heard) => name === "msg:custom" && listeners.add(heard),
        off: (name, heard) => listeners.delete(heard),
        send: (message) => {
            if (answer === "gone") throw new Error("Cannot send");
            if (answer === "silent") return;
            const told = answer === "refuses" ? { refused: "No. Run this cell again." } : message;
            const view = new DataView(bytes("AAAA" + (parts[message.weights] ?? "")).buffer, 3);
            setTimeout(() => [...listeners].forEach((heard) => heard(told, [view])));
        },
    };
    try {
        const { numbers } = await loadWeights(model);
        const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", numbers));
        const hex = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
        return { hex, size: sizeOfWeights(model), listeners: listeners.size };
    } catch (error) {
        return { said: error.message, listeners: listeners.size };
    }
}"""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("sends", None),
        ("refuses", "Run this cell again"),
        ("gone", "kernel of this page is gone"),
        ("silent", "has not"),
    ],
)
def test_in_jupyterlab_the_kernel_sends_the_weights(chromium, folder, all_numbers, answer, said):
    told = photographing.told_of_weights()
    parts = {name: base64.b64encode(numbers).decode() for name, numbers in photographing.parts().items()}
    tab = chromium.new_page()
    tab.clock.install()
    tab.goto((folder / "chapters/page.html").as_uri())
    tab.evaluate("([given, run]) => { globalThis.ended = eval(run)(given); }", [[told, parts, answer], FROM_KERNEL])
    tab.clock.run_for(30_000)
    found = tab.evaluate("globalThis.ended")
    tab.close()
    assert found["listeners"] == 0
    if said:
        assert said in found["said"]
    else:
        assert (found["hex"], found["size"]) == (hashlib.sha256(all_numbers).hexdigest(), told["bytes"])


# --- Heads that come back --------------------------------------------------------------------------------------------


def head(classes=3, last=False, **changes):
    """Return the arrays of a file as the page writes it."""
    generator = np.random.default_rng(0)
    arrays = {
        "kernel": generator.normal(0, 0.1, (1280, classes)).astype("float32"),
        "bias": generator.normal(0, 1, classes).astype("float32"),
        "mean": generator.uniform(0, 1, 1280).astype("float32"),
        "scale": generator.uniform(0.5, 2, 1280).astype("float32"),
        "class_names": np.array(["ü 😀", "<b>cup</b>", "no cup", "d"][:classes]),
        "backbone": np.array(["imagenet"]),
        "size": np.array([128], "int32"),
        "format": np.array([page_heads.FORMAT]),
    }
    if last:
        arrays["last_kernel"] = generator.normal(0, 0.1, (320, 1280)).astype("float32")
        arrays["last_bias"] = generator.normal(0, 1, 1280).astype("float32")
    return {name: value for name, value in {**arrays, **changes}.items() if value is not None}


def write_head(folder, **settings):
    np.savez(folder / "head.npz", **head(**settings))
    return folder / "head.npz"


@pytest.mark.parametrize("last", [False, True])
def test_a_head_gives_the_logits_that_its_numbers_say(tmp_path, last):
    arrays = head(last=last)
    images = np.random.default_rng(1).integers(0, 256, (4, 128, 128, 3))
    source = models.pretrained("imagenet", size=128)
    if last:
        maps = models.outputs(models.features_at(source, "block7"), images.astype("float32"))
        features = np.clip(maps @ arrays["last_kernel"] + arrays["last_bias"], 0, 6).mean(axis=(1, 2))
    else:
        features = models.outputs(source, images.astype("float32"))
    expected = (features - arrays["mean"]) / arrays["scale"] @ arrays["kernel"] + arrays["bias"]
    found = models.outputs(page_heads.with_head(write_head(tmp_path, last=last)), images.astype("float32"))
    assert np.abs(found - expected).max() < SAME_LOGITS * np.abs(expected).max()


NAN = np.full(1280, np.nan, "float32")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": None}, r"found no kernel"),
        (
            {"kernel": np.zeros((1280, 2), "float32")},
            r"kernel .* of shape \(1280, 3\); found float32 of shape \(1280, 2\)",
        ),
        ({"bias": np.zeros(3)}, "bias .* as float32"),
        ({"mean": NAN}, "finite numbers in mean"),
        ({"scale": np.zeros(1280, "float32")}, "a scale above 0"),
        ({"class_names": np.array(["a"])}, "the names of 2 to 1000 classes"),
        ({"class_names": np.array("a")}, "the names of 2 to 1000 classes"),
        ({"format": np.array(["tl head 2"])}, "the format 'tl head 1' .* found 'tl head 2'"),
        ({"backbone": np.array(["resnet"])}, "the backbone 'imagenet'"),
        ({"backbone": np.array(["imagenet", "resnet"])}, "one backbone"),
        ({"last_kernel": np.zeros((320, 1280), "float32")}, "found no last_bias"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, changes, message):
    with pytest.raises(data.DataError, match=message):
        page_heads.with_head(write_head(tmp_path, **changes))


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_what_is_no_archive_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "head.npz").write_bytes(content)
    with pytest.raises(data.DataError, match=r"Export the head on the page once more"):
        page_heads.with_head(tmp_path / "head.npz")
