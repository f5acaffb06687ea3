"""The page of photographs from end to end, opened as a file without a network: files in, heads and pictures out."""

import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tl_base import photographs
from tl_experiments import page_heads, photographing
from tl_helpers import asset, data, models

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / os.environ.get("BOOK_HTML", "_build/html")
LONG = 300_000  # milliseconds that a training has, however busy the machine is
SAME_LOGITS = 1e-4  # the page computes with the same weights, in another order
NAMES = {"glass": "jar é", "cardboard": "box 书"}  # not in the order in which a folder lists them
PER_CLASS = 9
ARMS = {"ImageNet features": 0, "last stage fine-tuned": 3}
# What the worker answers, kept for the tests: shares are not rounded there.
LISTENING = """
const Plain = globalThis.Worker;
globalThis.heard = [];
globalThis.Worker = class extends Plain {
    constructor(...given) {
        super(...given);
        this.addEventListener("message", ({ data }) => data.do === "named" && globalThis.heard.push(data.named.shares));
    }
};
"""


class Tab:
    """The page in a browser without a network, with what went wrong in it."""

    def __init__(self, context, address):
        self.wrong, self.asked = [], []
        context.add_init_script(LISTENING)
        context.set_offline(True)
        self.page = context.new_page()
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda told: self.wrong.append(told.text) if told.type == "error" else None)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).click()

    def name(self, number, name):
        box = self.page.get_by_label(f"Name of class {number}", exact=True)
        box.fill(name)
        box.press("Enter")

    def add(self, number, paths):
        card = self.page.locator(".tlx-photos-collect .tlx-class").nth(number - 1)
        card.locator("input[type=file][multiple]").set_input_files([str(path) for path in paths])
        expect(card.get_by_role("option")).to_have_count(len(paths))

    def rows(self):
        """The table of results: name of a network to how many it had right."""
        rows = self.page.get_by_role("table", name=re.compile("had not seen")).get_by_role("row").all()[1:]
        cells = [row.locator("th, td").all_inner_texts() for row in rows]
        return {first: told for first, told, *_ in cells}

    def train(self):
        self.press("Train")
        told = self.page.get_by_role("status").filter(has_text=re.compile(r"^Done in"))
        expect(told).to_be_visible(timeout=LONG)

    def saved(self, button, path):
        with self.page.expect_download() as download:
            self.press(button)
        download.value.save_as(path)
        return download.value.suggested_filename

    def named(self, path):
        """Show a picture; return the shares that the worker gives, one row a network."""
        before = self.page.evaluate("heard.length")
        part = self.page.get_by_role("group", name="Picture to try")
        part.locator("input[type=file]").first.set_input_files(str(path))
        self.page.wait_for_function("before => heard.length > before", arg=before, timeout=LONG)
        return self.page.evaluate("heard.at(-1)")


@pytest.fixture(scope="module")
def photos():
    """Photographs of two classes as files."""
    return {kind: sorted(asset(f"trashnet/{kind}").glob("*.jpg"))[:PER_CLASS] for kind in NAMES}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site in a folder: a page in a folder of it, and the weights."""
    place = tmp_path_factory.mktemp("a copy of the site é")
    photographing.write_weights(place / photographing.FOLDER)
    (place / "chapters").mkdir()
    head = '<!doctype html><html lang="en" data-content_root="../"><meta charset="utf-8"><title>Photograph</title>'
    text = f"{head}<body>{photographing.Photograph().html()}</body></html>"
    (place / "chapters/page.html").write_text(text, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def done(chromium, site, photos, tmp_path_factory):
    """Everything once: files in, four networks trained, both heads and all pictures saved, new pictures named."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    tab, place = Tab(context, (site / "chapters/page.html").as_uri()), tmp_path_factory.mktemp("taken along")
    for number, (kind, name) in enumerate(NAMES.items(), 1):
        tab.add(number, photos[kind])
        tab.name(number, name)
    assert not [url for url in tab.asked if "backbone" in url]  # nothing is loaded before the reader asks for it
    tab.train()
    tab.results = tab.rows()
    tab.files = {arm: place / f"head {number}.npz" for arm, number in ARMS.items()}
    tab.offered = {tab.saved(f"Save the head: {arm}", path) for arm, path in tab.files.items()}
    tab.offered.add(tab.saved("Export zip", place / "photographs.zip"))
    with zipfile.ZipFile(place / "photographs.zip") as archive:
        archive.extractall(place / "photographs")
    tab.place = place
    tab.pictures = sorted((place / "photographs").rglob("*.png"))
    tab.shown = [tab.pictures[0], tab.pictures[-1], tab.pictures[3]]
    tab.shares = [tab.named(path) for path in tab.shown]
    yield tab
    context.close()
    assert tab.wrong == []


def test_nothing_is_asked_for_but_the_files_beside_the_page(done, site):
    foreign = [url for url in done.asked if not url.startswith((site.as_uri(), "blob:", "data:"))]
    assert foreign == []
    weights = sorted(url.rsplit("/", 1)[1] for url in done.asked if "backbone" in url)
    assert weights == sorted(f"{name}.js" for name in photographing.parts())  # each once


def test_four_networks_tell_what_they_had_right(done):
    assert list(done.results) == list(photographing.ARMS)
    assert all(re.fullmatch(rf"\d+ of {2 * PER_CLASS}", told) for told in done.results.values())


def test_the_pictures_are_a_folder_that_python_reads(done):
    assert "photographs.zip" in done.offered
    found = data.from_folder(done.place / "photographs", size=photographing.SIZE)
    assert list(found.class_names) == sorted(NAMES.values())
    assert np.bincount(found.labels).tolist() == [PER_CLASS] * 2


@pytest.mark.parametrize("arm", ARMS)
def test_a_head_gives_in_python_the_logits_that_it_gives_on_the_page(done, arm):
    assert {"head.npz", "head_fine_tuned.npz"} <= done.offered
    model = page_heads.with_head(done.files[arm])
    assert np.load(done.files[arm])["class_names"].tolist() == list(NAMES.values())
    size = photographing.SIZE  # they have it already
    images = np.stack([photographs.read(path, size, size).pixels for path in done.shown])
    logits = models.outputs(model, images)
    shares = np.array([told[ARMS[arm]] for told in done.shares])
    assert shares.shape == logits.shape
    theirs = np.log(shares[:, 1] / shares[:, 0])  # of two classes, the difference of the logits
    apart = np.abs(theirs - (logits[:, 1] - logits[:, 0]))
    print(f"\n{arm}: logits apart by at most {apart.max():.1e}, they differ by {np.abs(theirs).max():.2f}")
    assert apart.max() < SAME_LOGITS * max(1, np.abs(theirs).max())


def test_the_lines_on_the_page_run_with_what_the_page_saved(done, tmp_path, monkeypatch, capsys):
    (tmp_path / "head.npz").write_bytes(done.files["ImageNet features"].read_bytes())
    (tmp_path / "photographs").symlink_to(done.place / "photographs")
    Image.open(done.pictures[0]).convert("RGB").save(tmp_path / "new.jpg")
    monkeypatch.chdir(tmp_path)
    code = done.page.get_by_label("Python", exact=True).text_content()
    names = {}
    exec(code, names)
    assert set(names["names"]) == set(NAMES.values())
    named, right = capsys.readouterr().out.splitlines()[:2]
    assert named == done.pictures[0].parent.name
    assert float(right) > 0.9  # of the pictures that it was trained on
    assert names["result"].model.output_shape == (None, 2)


def test_after_a_reload_the_same_pictures_give_the_same_answer(done):
    before = done.results
    expect(done.page.locator("[data-kept=kept]")).to_be_visible()
    done.page.reload()
    cards = done.page.locator(".tlx-photos-collect .tlx-class")
    for number in range(2):
        expect(cards.nth(number).get_by_role("option")).to_have_count(PER_CLASS)
    done.train()
    assert done.rows() == before


# --- The built site --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built():
    path = SITE / "chapters/08_1_photograph_it.html"
    if not path.is_file():
        pytest.fail(f"There is no built site in {SITE}. Build it first: make book")
    return path


@pytest.mark.site
def test_the_built_page_loads_the_weights_that_the_build_wrote(chromium, built):
    names = sorted(f"{name}.js" for name in photographing.parts())
    assert sorted(path.name for path in (SITE / photographing.FOLDER).glob("backbone_*.js")) == names
    context = chromium.new_context()
    tab = Tab(context, built.as_uri())
    assert [url for url in tab.asked if "backbone" in url] == []
    tab.page.get_by_role("button", name=re.compile(r"^Load the network \(\d+\.\d MB\)$")).click()
    expect(tab.page.get_by_role("button", name=re.compile("^Load the network"))).to_be_hidden(timeout=LONG)
    assert sorted(url.rsplit("/", 1)[1] for url in tab.asked if "backbone" in url) == names
    assert tab.wrong == []
    context.close()
