"""Photograph it, transfer it: what a training says beside Python's statistics, and its part of the page in a browser.

The page runs with a worker that answers by rule (`photographs_worker.js`), so that each answer is known beforehand.
"""

import ast
import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect
from tabs import IN_THE_DARK, Tab

from tl_base import shares
from tl_base.bundler import bundle
from tl_experiments import photographing
from tl_helpers.widgets import FRONT

ROOT = Path(__file__).resolve().parent.parent
SHOTS = ROOT / "_build" / "screenshots"
WORKER = Path(__file__).with_name("photographs_worker.js").read_text(encoding="utf-8")
MINUTE = 60_000  # milliseconds
AS_GLOBALS = "for (const each of Object.values(modules)) Object.assign(globalThis, each);"
ARMS = list(photographing.ARMS)

# --- What is counted, and what that says ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def functions(chromium):
    """A page on which the functions of photographs.js are globals."""
    page = chromium.new_page()
    page.add_script_tag(content=bundle(FRONT / "photographs.js", AS_GLOBALS))
    page.evaluate(
        """() => {
            globalThis.outcomeOf = ({ labels, groups, names, arms, answers, plan }) => {
                const pictures = labels.map((label, id) => ({ id, label }));
                const outcome = new Outcome(1, { pictures, groups, names }, arms);
                const parts = labels.map((_, row) => answers[0][row] < 0 ? -1 : row % 10);
                outcome.take({ do: "plan", run: 1, plan: { folds: 10, one: false, parts, groups: 9, ...plan } });
                answers.forEach((its, arm) => {
                    const of = its.filter((answer) => answer >= 0).length;
                    const result = { arm, answers: its, of, folds: 10, shares: new Float32Array(0), seconds: 0 };
                    outcome.take({ do: "result", run: 1, result });
                });
                return outcome;
            };
        }"""
    )
    yield page
    page.close()


LABELS = np.repeat([0, 1], 15)


def told(labels, answers, groups=None, names=("a", "b"), **plan):
    labels = np.asarray(labels).tolist()
    groups = list(range(len(labels))) if groups is None else np.asarray(groups).tolist()
    rows = [np.asarray(its).tolist() for its in answers]
    return {
        "labels": labels,
        "groups": groups,
        "names": list(names),
        "arms": ARMS[: len(rows)],
        "answers": rows,
        "plan": plan,
    }


@pytest.fixture(scope="module")
def drawn():
    """Answers of two networks to pictures some of which are alike, and some of which were never held back."""
    generator = np.random.default_rng(4)
    labels = np.repeat([0, 1], 20)
    groups = np.sort(generator.integers(0, 25, 40))
    good = np.where(generator.random(40) < 0.8, labels, 1 - labels)
    bad = np.where(generator.random(40) < 0.5, labels, 1 - labels)
    never = [3, 17]
    good[never] = bad[never] = -1
    kept = np.delete(np.arange(40), never)
    return told(labels, [good, bad], groups), (good == labels)[kept], (bad == labels)[kept], groups[kept]


def test_the_interval_is_that_of_the_book(functions, drawn):
    asked, right, _, groups = drawn
    found = functions.evaluate("asked => outcomeOf(asked).counted(0)", asked)
    count = shares.effective(groups)
    low, high = shares.wilson(count * right.mean(), count)
    assert (found["right"], found["of"]) == (right.sum(), 38)
    assert [found["low"], found["high"]] == pytest.approx([low, high], abs=1e-6)
    alone = shares.wilson(right.sum(), 38)
    assert found["high"] - found["low"] > alone[1] - alone[0]  # pictures that are alike count for less


def test_two_networks_are_compared_as_the_book_compares_them(functions, drawn):
    asked, one, other, groups = drawn
    found = functions.evaluate("asked => outcomeOf(asked).contrast(0, 1)", asked)
    assert (found["only"], found["other"]) == ((one & ~other).sum(), (other & ~one).sum())
    assert found["chance"] == pytest.approx(shares.paired_difference(one, other, groups)[3])


def right_on(*rows):
    """Answers to `LABELS` that are right on some rows alone."""
    return np.where(np.isin(np.arange(30), np.concatenate(rows)), LABELS, 1 - LABELS)


@pytest.mark.parametrize(("only", "other"), [(6, 2), (8, 4), (5, 1)])
def test_so_many_pictures_tell_two_networks_apart_in_four_of_five_cases(functions, only, other):
    first, second = right_on(range(only)), right_on(range(20, 20 + other))
    found = functions.evaluate("asked => outcomeOf(asked).contrast(0, 1)", told(LABELS, [first, second]))
    assert found["chance"] > 0.05
    parts = [only / 30, other / 30]
    draws = np.random.default_rng(0).multinomial(found["needed"], [*parts, 1 - sum(parts)], 2000)
    ahead, behind = draws[:, 0], draws[:, 1]
    found = np.abs(ahead - behind) > 1.959964 * np.sqrt(ahead + behind)  # McNemar's test, without correction
    assert found.mean() == pytest.approx(0.8, abs=0.04)


def test_so_many_pictures_tell_a_share_from_guessing_in_four_of_five_cases(functions):
    count = functions.evaluate("neededAgainst(0.5, 0.33)")
    right = np.random.default_rng(0).binomial(count, 0.5, 4000)
    low = shares.wilson(right, count)[0]
    assert (low > 0.33).mean() == pytest.approx(0.8, abs=0.06)
    assert functions.evaluate("neededAgainst(0.3, 0.33)") is None
    equal = told(LABELS, [right_on(range(5)), right_on(range(10, 15))])
    assert functions.evaluate("asked => outcomeOf(asked).contrast(0, 1).needed", equal) is None


def words(functions, asked):
    return functions.evaluate("asked => verdicts(outcomeOf(asked))", asked)


def test_a_clear_lead_is_told_as_one(functions):
    wrong = np.where(np.arange(30) % 2, LABELS, 1 - LABELS)
    first, second = words(functions, told(LABELS, [LABELS, wrong]))
    assert "30 of 30 held-back pictures right" in first
    assert "between 89 and 100 of 100" in first
    assert first.endswith("That is better than always naming the largest class, which gets 50 of 100 right.")
    assert second.startswith("What the network learned from ImageNet helps here.")
    assert "ImageNet features alone: 15 pictures; with random features alone: 0" in second
    assert "fewer than 0.1 of 100 tries" in second
    assert "would tell" not in first + second


def test_a_lead_the_other_way_is_told_as_one(functions):
    wrong = np.where(np.arange(30) % 2, LABELS, 1 - LABELS)
    harm = words(functions, told(LABELS, [wrong, LABELS]))[1]
    assert harm.startswith("What the network learned from ImageNet harms here.")
    tuned = words(functions, told(LABELS, [wrong, wrong, wrong, LABELS]))[-1]
    assert tuned.startswith("Fine-tuning the last stage helps here.")


def test_what_cannot_be_told_says_how_many_pictures_would(functions):
    """Right on two more of 30: no more than chance gives."""
    some = np.where(np.arange(30) < 12, 1 - LABELS, LABELS)
    fewer = np.where(np.arange(30) < 14, 1 - LABELS, LABELS)
    first, second = words(functions, told(LABELS, [some, fewer]))
    assert "cannot be told yet from always naming the largest class" in first
    assert second.startswith("Whether what it learned from ImageNet helps here cannot be told yet.")
    needed = functions.evaluate("asked => outcomeOf(asked).contrast(0, 1).needed", told(LABELS, [some, fewer]))
    assert f"about {-(-needed // 2)} different pictures a class would tell" in second
    same = words(functions, told(LABELS, [some, some]))[1]
    assert same.endswith("ImageNet features and random features are right on the same pictures.")


def test_what_was_held_back_is_said(functions):
    def said(asked):
        return functions.evaluate("asked => heldBack(outcomeOf(asked))", asked)

    plain = said(told(LABELS, [LABELS]))
    assert plain.startswith("Each of the 30 pictures was held back once: in 10 turns, the networks trained on")
    assert "same" not in plain
    groups = np.arange(30)
    groups[[0, 1, 2]] = 0
    alike = said(told(LABELS, [LABELS], groups))
    assert "3 pictures are the same as others or nearly." in alike
    assert "So there are 28 different pictures" in alike
    assert "is one label wrong?" not in alike
    groups[20] = 0
    torn = said(told(LABELS, [LABELS], groups, names=("cat", "<b>dog</b>")))
    assert "Pictures in “cat” and “<b>dog</b>” are nearly the same: is one label wrong?" in torn
    assert said(told(LABELS, [LABELS], folds=0)).startswith("Nothing was held back, because")
    never = np.where(LABELS == 1, -1, LABELS)
    assert said(told(LABELS, [never])).startswith("15 of the 30 pictures were held back once; the others")


def points(*shares_of_two, spread=0.05):
    counts = (1, 2, 5)
    return [
        {"arm": arm, "perClass": count, "share": share, "draws": 5, "spread": spread}
        for arm, its in enumerate(shares_of_two)
        for count, share in zip(counts, its, strict=False)
    ]


@pytest.mark.parametrize(
    ("curve", "said"),
    [
        (
            points((0.5, 0.7, 0.9), (0.3, 0.4, 0.6)),
            "With 2 pictures a class, .* with 5 .* saves about 3 labels a class",
        ),
        (points((0.5, 0.7, 0.9), (0.3, 0.4, 0.6)), r"From 2 to 5 .* \+20\.0 points: more pictures are likely to help"),
        (points((0.5, 0.9, 0.91), (0.3, 0.4, 0.6)), r"\+1\.0 points, no more than .* cannot be told"),
        (points((0.5, 0.5, 0.5), (0.6, 0.7, 0.8)), "are nowhere as good as random features with 5"),
        (points((0.8,), (0.4,)), "With 1 picture a class, .* 80.% right and random features 40.%. With more"),
    ],
)
def test_the_learning_curve_in_words(functions, curve, said):
    assert re.search(said, functions.evaluate("([points, arms]) => worth(points, arms)", [curve, ARMS]))


def occluded(drops, side=5, patch=32, stride=24):
    return f"{{side: {side}, patch: {patch}, stride: {stride}, share: 0.9, drops: Float32Array.from({drops})}}"


def test_a_pixel_matters_as_much_as_covering_it_costs(functions):
    """One place of 3 × 3, half over each other, falls by 1: its pixels share that with the others that covered them."""
    drops = [0.0] * 9
    drops[4] = 1.0
    drops[0] = -1.0
    program = f"""() => {{
        const canvas = spotlight(new Uint8Array(192).fill(255), {occluded(drops, side=3, patch=4, stride=2)}, "");
        return [...canvas.getContext("2d").getImageData(0, 0, 8, 8).data].filter((_, i) => i % 4 === 0);
    }}"""
    found = np.array(functions.evaluate(program)).reshape(8, 8) / 255
    expected = np.zeros((8, 8))
    times = np.zeros((8, 8))
    for row in range(3):
        for column in range(3):
            area = (slice(2 * row, 2 * row + 4), slice(2 * column, 2 * column + 4))
            times[area] += 1
            expected[area] += (row, column) == (1, 1)
    matters = expected / times
    assert np.allclose(found, 0.15 + 0.85 * matters / matters.max(), atol=1 / 255)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (12, "covered in the middle. .* That is where a thing usually is"),
        (0, "covered at the top, left. .* 100.% is lost around the middle, .* learned the background"),
        (14, "covered in the middle, right. .* learned the background"),
    ],
)
def test_where_it_looked_in_words(functions, place, said):
    drops = [0.0] * 25
    drops[place] = 0.6
    found = functions.evaluate(f"mapWords({occluded(drops)}, 128, 'glass')")
    assert re.search(rf"“glass” falls most, from 90.% to 30.%, where the picture is {said}", found)


def test_where_no_place_decides_that_is_said(functions):
    found = functions.evaluate(f"mapWords({occluded([0.01] * 25)}, 128, 'glass')")
    assert re.search(r"falls by less than 5\.0 points: no single place decides", found)


def test_the_limit_lets_in_as_many_as_asked(functions):
    distances = list(np.linspace(0.1, 1, 40))
    program = """([asked, distances, known]) => {
        const outcome = outcomeOf(asked);
        outcome.take({ do: "trained", run: 1, stopped: false, seconds: 0, distances });
        return outcome.limit(known);
    }"""
    asked = told(LABELS, [LABELS])
    limits = [functions.evaluate(program, [asked, distances, known]) for known in (50, 95, 100)]
    assert [sum(each <= limit for each in distances) for limit in limits] == [21, 39, 40]


def test_numpy_reads_the_head_that_is_saved(functions):
    text = functions.evaluate(
        """() => {
            const array = (...shape) => ({ shape, values: Float32Array.from({ length: 6 }, (_, i) => i / 4) });
            const file = headFile({ kernel: array(3, 2), bias: array(6) }, ["Käse", "猫 \\u{1F600}"], 128);
            return btoa(String.fromCharCode(...file));
        }"""
    )
    with np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False) as file:
        assert np.array_equal(file["kernel"], np.arange(6, dtype="float32").reshape(3, 2) / 4)
        assert file["class_names"].tolist() == ["Käse", "猫 \U0001f600"]
        assert (file["backbone"].item(), file["format"].item(), file["size"].item()) == ("imagenet", "tl head 1", 128)


# --- The page ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    photographing.write_weights(folder / photographing.FOLDER)
    page = photographing.Photograph()
    page.engine = WORKER
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    text = f"{head}<title>Photograph</title><body><main><h1>Photograph</h1>{page.html()}</main></body></html>"
    (folder / "page.html").write_text(text, encoding="utf-8")
    return folder


COLOURS = {"red": (210, 50, 40), "green": (50, 190, 60), "blue": (40, 60, 200)}


def photo(colour, seed):
    """A picture that is like no other but for its mean colour."""
    generator = np.random.default_rng([seed, *COLOURS[colour]])
    noise = generator.integers(-60, 60, (128, 128, 1))
    pixels = (np.array(COLOURS[colour]) + noise + generator.integers(-15, 15, 3)).clip(0, 255).astype(np.uint8)
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "PNG")
    return {"name": f"{colour}{seed}.png", "mimeType": "image/png", "buffer": stored.getvalue()}


class Trained(Tab):
    """The page in a browser tab, with what went wrong in it; nothing but files beside it can be reached."""

    def __init__(self, context, address):
        super().__init__(context, address, console=False)
        self.root = self.page.locator(".tlx-photos")
        self.told = self.root.locator(".tlx-status").nth(1)
        self.detail = self.page.get_by_role("region", name="One picture")

    def add(self, place, photos):
        """Put pictures into the class at a place, and wait until they are there."""
        card = self.root.locator(".tlx-class").nth(place)
        count = card.get_by_role("option").count()
        card.locator("input[type=file][multiple]").set_input_files(photos)
        expect(card.get_by_role("option")).to_have_count(count + len(photos), timeout=MINUTE)

    def name(self, place, name):
        box = self.page.get_by_label(f"Name of class {place + 1}")
        box.fill(name)
        box.press("Enter")

    def colours(self, per_class=4):
        """Red and green pictures, and a green one among the red ones: 2 classes."""
        for place, colour in enumerate(("red", "green")):
            photos = [photo(colour, seed) for seed in range(per_class)]
            self.add(place, [*photos, photo("green", 99)] if place == 0 else photos)
            self.name(place, colour)

    def train(self, until="Done in"):
        self.press("Train")
        expect(self.told).to_contain_text(until, timeout=MINUTE)

    def table(self, name):
        rows = self.page.get_by_role("table", name=name).get_by_role("row").all()
        return [[cell.inner_text() for cell in row.locator("th, td").all()] for row in rows]


@pytest.fixture
def tab(chromium, folder):
    context = chromium.new_context(viewport={"width": 1000, "height": 900}, accept_downloads=True)
    tab = Trained(context, (folder / "page.html").as_uri())
    yield tab
    context.close()
    assert tab.wrong == []


def test_four_networks_train_and_say_how_sure_that_is(tab):
    expect(tab.told).to_contain_text(r"loaded once, 9.1 MB")
    tab.colours()
    tab.train()
    rows = tab.table("The networks on pictures that they had not seen")
    assert [row[0] for row in rows[1:]] == ARMS
    low, high = (round(100 * end) for end in shares.wilson(8, 9))
    assert rows[1][1:4] == ["8 of 9", "88.9\xa0%", f"{low} to {high}\xa0%"]
    assert rows[2][1] == "5 of 9"  # always the first class
    lines = tab.root.locator(".tlx-verdict li")
    expect(lines).to_have_count(4)
    expect(lines.nth(0)).to_contain_text("ImageNet features: 8 of 9 held-back pictures right.")
    expect(lines.nth(1)).to_contain_text("cannot be told yet")
    expect(tab.root).to_contain_text("Each of the 9 pictures was held back once: in 4 turns")
    expect(tab.root).to_contain_text("9 of 9 pictures seen, 50 ms each.")
    curve = tab.table("The learning curve in numbers")
    assert curve[0] == ["pictures per class", "ImageNet features", "random features", "draws"]
    assert [row[0] for row in curve[1:]] == ["1", "2", "3"]
    expect(tab.page.get_by_role("button", name="Load the network")).to_be_hidden()


def test_pictures_are_seen_while_more_are_added_and_only_new_ones(tab):
    tab.page.get_by_role("button", name="Load the network").click()
    expect(tab.told).to_contain_text("The network is here.", timeout=MINUTE)
    tab.add(0, [photo("red", seed) for seed in range(3)])
    expect(tab.root).to_contain_text("3 of 3 pictures seen")
    tab.add(1, [photo("green", seed) for seed in range(2)])
    expect(tab.root).to_contain_text("5 of 5 pictures seen")
    tab.train()


def test_too_few_pictures_are_refused_in_words(tab):
    tab.train("“first” has 0 pictures; each class needs at least 2, one to train on and one to hold back")
    tab.add(0, [photo("red", seed) for seed in range(3)])
    tab.train("“second” has 0 pictures")
    tab.add(1, [photo("green", 1)])
    tab.train("“second” has 1 picture; each class needs at least 2")
    assert tab.told.get_attribute("data-status") == "error"
    expect(tab.page.get_by_role("button", name="Train", exact=True)).to_be_enabled()


def test_where_a_class_has_like_pictures_alone_nothing_is_claimed(tab):
    tab.add(0, [photo("red", seed) for seed in range(3)])
    tab.add(1, [photo("green", 1), photo("green", 1) | {"name": "copy.png"}])
    tab.train()
    expect(tab.root).to_contain_text("Nothing was held back, because the pictures of a class are all nearly the same.")
    expect(tab.page.get_by_role("table", name="The networks on pictures")).to_have_count(0)
    expect(tab.root).to_contain_text("Nothing was held back, so there are no answers to look at")
    expect(tab.root.locator(".tlx-verdict li")).to_have_count(0)


def test_it_can_be_stopped_and_keeps_what_is_there(tab):
    """The worker of these tests trains on 11 pictures until it is stopped."""
    tab.colours(5)
    tab.press("Train")
    expect(tab.page.get_by_role("button", name="Save the head: ImageNet features")).to_be_enabled()
    tab.press("Stop")
    expect(tab.told).to_contain_text("Stopped after")
    assert [row[1] == "–" for row in tab.table("The networks on pictures that they had not seen")[1:]] == [0, 0, 0, 1]
    expect(tab.page.get_by_role("button", name="Stop", exact=True)).to_be_disabled()


def test_a_training_that_fails_says_so_and_can_begin_again(tab):
    """The worker of these tests refuses 13 pictures."""
    tab.colours(6)
    tab.train("Training ended: the numbers ran out. Your pictures are as they were; press Train to begin again.")
    tab.add(1, [photo("green", 70)])
    expect(tab.page.get_by_role("button", name="Train", exact=True)).to_be_enabled()
    tab.train()


def test_without_the_weights_it_says_so_and_can_try_again(chromium, folder, tmp_path):
    page = tmp_path / "page.html"
    page.write_bytes((folder / "page.html").read_bytes())
    context = chromium.new_context()
    tab = Trained(context, page.as_uri())
    tab.colours()
    tab.train("The network's weights cannot be loaded.")
    photographing.write_weights(tmp_path / photographing.FOLDER)
    tab.train()
    context.close()
    assert tab.wrong == []


def test_a_changed_label_moves_what_is_said_and_undo_moves_it_back(tab):
    tab.colours()
    tab.train()
    tab.root.locator(".tlx-photos-worst button").first.click()
    expect(tab.detail).to_contain_text("green99.png: “red”")
    tab.detail.get_by_label("Its class:").select_option("green")
    moved = "Since the training before: ImageNet features had 8 of 9 right and now have 9 of 9; no picture got another"
    expect(tab.root).to_contain_text(moved)
    expect(tab.detail).to_contain_text("green99.png: “green”")
    expect(tab.root).to_contain_text("Every held-back picture is named rightly.")
    expect(tab.told).to_contain_text("Done in")
    tab.press("Undo")
    expect(tab.root).to_contain_text("had 9 of 9 right and now have 8 of 9")


def test_without_the_tick_it_waits_for_the_button(tab):
    tab.colours()
    tab.train()
    tab.page.get_by_label("train again when the pictures change").uncheck()
    tab.add(1, [photo("green", 50)])
    expect(tab.root).to_contain_text("The pictures have changed since the training below: press Train to train again.")
    assert tab.table("The networks on pictures that they had not seen")[1][1] == "8 of 9"
    tab.train()
    expect(tab.root.get_by_role("table").first).to_contain_text("9 of 10")


def test_a_new_name_needs_no_training(tab):
    tab.colours()
    tab.train()
    tab.page.get_by_label("train again when the pictures change").uncheck()
    tab.name(1, "leaf")
    expect(tab.root).to_contain_text("named leaf")
    expect(tab.root).not_to_contain_text("The pictures have changed")


def test_the_table_has_each_picture_once_and_wrong_ones_come_first(tab):
    tab.press("Use the examples")
    expect(tab.page.get_by_role("option")).to_have_count(36)
    tab.train()
    matrix = tab.page.get_by_role("table", name="Held-back pictures by class")
    assert matrix.locator("button").count() == 36
    counts = [int(re.match(r"\d+", text)[0]) for text in matrix.locator("td > strong").all_inner_texts()]
    found = [
        cell.locator("button").count() for cell in matrix.locator("td").filter(has=tab.page.locator("strong")).all()
    ]
    assert counts == found
    right = sum(counts[::4])
    assert tab.table("The networks on pictures that they had not seen")[1][1] == f"{right} of 36"
    sure = [int(re.search(r"(\d+).%", text)[1]) for text in tab.root.locator(".tlx-photos-worst li").all_inner_texts()]
    assert sure == sorted(sure, reverse=True)
    assert len(sure) == min(12, 36 - right)
    tab.page.get_by_label("Answers of").select_option("random features")
    expect(matrix).to_have_accessible_name("Held-back pictures by class and by what random features named")
    assert matrix.locator("tr").nth(1).locator("td").nth(0).inner_text().startswith("12 ✓")


def test_one_picture_is_looked_at_with_the_keyboard(tab):
    tab.colours()
    tab.train()
    tab.root.locator(".tlx-photos-worst button").first.focus()
    tab.page.keyboard.press("Enter")
    expect(tab.detail.locator(".tlx-sentence")).to_be_focused()
    cards = tab.detail.locator(".tlx-arm")
    expect(cards).to_have_count(4)
    expect(cards.nth(0)).to_contain_text("▸ green")
    expect(cards.nth(1)).to_contain_text("▸ red")
    near = tab.detail.locator(".tlx-photos-worst li")
    expect(near).to_have_count(5)
    assert "green" in near.first.inner_text()
    expect(tab.detail.locator("select").nth(2)).to_have_value("1")  # what it was named
    tab.detail.get_by_role("button", name="Where does it look?").press("Enter")
    expect(tab.detail).to_contain_text(
        "The share of “green” falls most, from 90\xa0% to 40\xa0%, where the picture is covered"
    )
    expect(tab.detail.get_by_role("img", name=re.compile("The share of “green” falls most"))).to_be_visible()
    expect(tab.detail).not_to_contain_text("has learned from this picture too")
    near.first.get_by_role("button").press("Enter")
    expect(tab.detail.locator(".tlx-photos-map canvas")).to_have_count(0)
    tab.detail.get_by_role("button", name="Close").click()
    expect(tab.detail).to_be_hidden()


def test_a_map_of_a_network_that_has_learned_from_the_picture_says_so(tab):
    tab.colours()
    tab.train()
    tab.root.locator(".tlx-photos-worst button").first.click()
    tab.detail.get_by_label("Network").select_option("pixels")
    tab.detail.get_by_role("button", name="Where does it look?").click()
    expect(tab.detail).to_contain_text("This network has learned from this picture too. The share of")


def test_another_class_is_acknowledged(tab):
    tab.colours()
    tab.train()
    tab.root.locator(".tlx-photos-worst button").first.click()
    tab.detail.get_by_label("Its class:").select_option("1")
    expect(tab.detail).to_contain_text("It is “green” now. Train again")


def test_numbers_of_the_curve_do_not_lie_on_one_another(functions):
    axis = """() => {
        const same = { arm: 0, share: 0.5, spread: 0.1, draws: 10 };
        const points = [1, 2, 3, 5, 10, 11].map((perClass) => ({ ...same, perClass }));
        const looks = { one: { colour: "#000", marker: "o", dash: "" } };
        return [...curveFigure(points, ["one"], looks).querySelectorAll("svg text")].map((each) => each.textContent);
    }"""
    told = functions.evaluate(axis)
    assert "11" in told
    assert "10" not in told


def test_a_map_goes_when_the_networks_are_trained_anew(tab):
    tab.colours()
    tab.train()
    tab.root.locator(".tlx-photos-worst button").first.click()
    tab.detail.get_by_role("button", name="Where does it look?").click()
    canvases = tab.detail.locator(".tlx-photos-map figure canvas")
    expect(canvases).to_have_count(2)
    tab.detail.locator("select").first.select_option("1")
    expect(canvases).to_have_count(0)
    expect(tab.told).to_contain_text("Done in", timeout=MINUTE)
    expect(tab.detail).not_to_contain_text("falls most")


def test_a_picture_that_is_nearly_the_same_is_not_among_the_nearest(tab):
    tab.colours()
    tab.add(1, [photo("green", 99) | {"name": "again.png"}])
    tab.train()
    expect(tab.root).to_contain_text("2 pictures are the same as others or nearly.")
    expect(tab.root).to_contain_text("Pictures in “red” and “green” are nearly the same: is one label wrong?")
    tab.page.get_by_role("button", name=re.compile("^green99.png: is red")).first.click()
    expect(tab.detail).to_contain_text("(but for 1 picture nearly the same as this one)")
    expect(tab.detail.locator(".tlx-photos-worst li")).to_have_count(5)
    expect(tab.detail.get_by_role("button", name=re.compile("^again.png"))).to_have_count(0)


def test_a_new_picture_is_named_and_an_unlike_one_is_none_of_these(tab):
    part = tab.page.get_by_role("group", name="Picture to try")
    said = tab.page.locator(".tlx-try > div > [role=status]").last
    field = part.locator("input[type=file]").first
    field.set_input_files([photo("green", 200)])
    expect(said).to_contain_text("Train first")
    tab.colours(8)
    tab.train()
    expect(said).to_contain_text("ImageNet features: green; random features: red")
    expect(tab.root).to_contain_text("Distance to the nearest training picture: 0.")
    field.set_input_files([photo("blue", 201)])
    expect(said).to_contain_text(
        "None of these: it is unlike all that was shown. If it had to be one: ImageNet features: "
    )
    expect(tab.root).not_to_contain_text("can be within the limit, too")
    field.set_input_files([photo("green", 203)])
    expect(said).not_to_contain_text("None of these")
    expect(tab.root).to_contain_text("can be within the limit, too")
    slider = tab.page.get_by_label("Of 100 training pictures, take so many for known:")
    limits = []
    for known in (50, 75, 100):
        slider.fill(str(known))
        limits.append(float(re.search(r"every training picture is above ([\d.]+\d)", tab.root.inner_text())[1]))
        expect(slider).to_have_attribute("aria-valuetext", f"{known} of 100 training pictures count as known")
    assert limits == sorted(limits)
    field.set_input_files([{"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}])
    expect(said).to_contain_text("notes.txt is no picture that this browser can read")


def test_names_are_text(tab):
    tab.colours()
    tab.name(0, "<img src=x onerror=alert(1)>")
    tab.train()
    assert tab.page.locator("img").count() == 0
    expect(tab.root).to_contain_text("is <img src=x onerror=alert(1)>")


def test_the_head_is_saved_with_the_names(tab, tmp_path):
    tab.colours()
    expect(tab.page.get_by_role("button", name="Save the head: ImageNet features")).to_be_disabled()
    tab.train()
    kinds = {"ImageNet features": ("head.npz", False), "last stage fine-tuned": ("head_fine_tuned.npz", True)}
    for arm, (name, tuned) in kinds.items():
        with tab.page.expect_download() as download:
            tab.press(f"Save the head: {arm}")
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / "head.npz")
        with np.load(tmp_path / "head.npz", allow_pickle=False) as file:
            assert file["kernel"].shape == (1280, 2)
            assert file["class_names"].tolist() == ["red", "green"]
            assert ("last_kernel" in file) == tuned


def test_the_python_on_the_page_is_python(tab):
    text = tab.page.get_by_label("Python").inner_text()
    ast.parse(text)
    assert max(map(len, text.splitlines())) <= 88


def test_it_can_be_used_by_all_on_any_screen(tab):
    tab.colours()
    tab.train()
    tab.root.locator(".tlx-photos-worst button").first.click()
    tab.detail.get_by_role("button", name="Where does it look?").click()
    expect(tab.detail.locator(".tlx-photos-map figure")).to_be_visible()
    tab.page.get_by_role("group", name="Picture to try").locator("input").first.set_input_files([photo("blue", 5)])
    expect(tab.root).to_contain_text("None of these")
    SHOTS.mkdir(parents=True, exist_ok=True)
    standards = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
    for dark in (False, True):
        if dark:
            tab.page.evaluate(IN_THE_DARK)
        for width in (1280, 360):
            tab.page.set_viewport_size({"width": width, "height": 900})
            name = f"photograph-train-{width}-{'dark' if dark else 'light'}.png"
            tab.page.screenshot(path=SHOTS / name, full_page=True)
            assert tab.page.evaluate("document.documentElement.scrollWidth") == width
        found = Axe().run(tab.page, context=".tlx-photos", options=standards)
        assert found.violations_count == 0, found.generate_report()
