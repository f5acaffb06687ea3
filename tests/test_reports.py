"""The report: its numbers, its words, what it looks like, and what it refuses."""

import base64
import dataclasses
import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tl_base import answers, sheets
from tl_helpers import data, reports

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
SAID = np.array([0, 0, 0, 1, 1, 1, 0, 0, 2, 2])
NAMES = ("cat", "dog", "owl")


def dataset(names=NAMES, labels=LABELS, **fields):
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 40, 60, 3), dtype=np.uint8)
    return data.Dataset(images, labels, tuple(names), "pets", "mine", np.ones(len(labels), bool), **fields)


def shares_of(said, sure=0.8, classes=3):
    rest = np.full((len(said), classes), (1 - sure) / (classes - 1))
    rest[np.arange(len(said)), said] = sure
    return rest.astype("float32")


def made(those=None, against=(), draws=(), said=SAID, shares=None):
    those = dataset() if those is None else those
    shares = shares_of(said, classes=len(those.class_names)) if shares is None else shares
    return reports.report(those, SimpleNamespace(predictions=said, shares=shares), dict(against), draws)


def plain(text):
    return " ".join(text.replace("\N{NO-BREAK SPACE}", " ").split())


def test_the_numbers_are_those_of_the_answers():
    report = made()
    assert (report.right, report.total, report.worth, report.accuracy) == (7, 10, 10, 0.7)
    assert (report.low, report.high) == pytest.approx((0.3968, 0.8922), abs=1e-4)
    assert report.classes[["class", "right", "images"]].to_numpy().tolist() == [
        ["cat", 3, 4],
        ["dog", 2, 4],
        ["owl", 2, 2],
    ]
    assert report.pairs.to_numpy().tolist() == [["dog", "cat", 2, 4, (6, 7)], ["cat", "dog", 1, 4, (3,)]]


def test_the_surest_mistake_comes_first():
    shares = shares_of(SAID)
    shares[7] = [0.9, 0.1, 0]
    assert made(shares=shares).pairs.rows[0] == (7, 6)


def test_others_are_compared_on_the_same_images_and_with_guessing():
    other = np.array([0, 1, 1, 1, 1, 1, 1, 1, 0, 0])
    table = made(against={"other": other}).comparisons.set_index("against")
    assert table.loc["other", "accuracy"] == 0.5
    assert table.loc["other", "difference"] == pytest.approx(0.2)
    assert table.loc["other", ["only_this", "only_other"]].tolist() == [4, 2]
    assert table.loc["other", "p"] == pytest.approx(44 / 64)  # 4 of 6 or more, either way round
    assert table.loc["always 'cat'", "accuracy"] == 0.4


def test_images_that_belong_together_count_as_one():
    plain_one, grouped = made(), made(dataset(groups=np.arange(10) // 2))
    assert (grouped.accuracy, grouped.worth) == (0.7, 5)
    assert grouped.low < plain_one.low
    assert grouped.high > plain_one.high
    assert grouped.classes["worth"].tolist() == [2, 2, 1]
    assert "worth 5 independent" in plain(grouped.sentences[0])
    assert "belong together" not in plain_one.sentences[0]
    wider = [each.comparisons.eval("high - low")[0] for each in (plain_one, grouped)]
    assert wider[0] < wider[1]


def test_words_keep_apart_what_labels_change_what_images_change_and_what_neither_covers():
    alone = made()
    assert "7 of 10 test images are right: 70.0 %" in plain(alone.sentences[0])
    assert "from 39.7 to 89.2 %" in plain(alone.sentences[0])
    assert "This is one training" in alone.sentences[1]
    assert "another camera" in alone.sentences[2]
    several = made(draws=[0.6, 0.8])
    assert several.draws == (0.7, 0.6, 0.8)
    assert "Trained 3 times" in several.sentences[1]
    assert "from 60.0 to 80.0 %" in plain(several.sentences[1])
    assert "70.0 % ± 24.8" in plain(several.sentences[1])  # t(0.975, 2) · 10 / √3


def test_a_class_without_images_and_images_that_were_trained_on_are_said():
    report = made(dataset([*NAMES, "newt"]))
    assert report.classes.iloc[3][["share", "low", "high"]].tolist() == [None, 0, 1]
    assert "No test image shows 'newt'" in " ".join(report.sentences)
    assert "nan" not in f"{report}{report._repr_html_()}".lower()
    half = dataclasses.replace(dataset(), held_out=np.arange(10) < 5)
    assert "5 of these images are not reserved for testing" in " ".join(made(half).sentences)
    assert "not reserved" not in " ".join(made().sentences)


def test_how_often_sure_answers_are_right_is_said_where_the_network_says_how_sure_it_is():
    shares = shares_of(SAID)
    shares[:4] = shares_of(SAID, 0.95)[:4]
    assert "4 answers a share of 90 % or more; 3 of them are right (30 to 95 %)" in plain(str(made(shares=shares)))
    assert "no answer a share of 90 % or more" in plain(str(made()))
    unsaid = made(shares=np.full((10, 3), np.nan))
    assert "a share of" not in str(unsaid)
    assert "nan" not in f"{unsaid}{unsaid._repr_html_()}".lower()


def test_nothing_wrong_is_a_report_too():
    report = made(said=LABELS)
    assert (report.high, len(report.pairs), report.pictures) == (1, 0, ())
    assert "100.0 %" in plain(str(report))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: made(dataset(labels=LABELS[:0]), said=SAID[:0]), "test images to score; found none"),
        (lambda: made(said=SAID[:9]), "one answer to each of 10 images; found 9 answers"),
        (lambda: made(against={"x": SAID[:9]}), "for each of 10 images from 'x'"),
        (lambda: made(against={"x": SAID + 3}), "one class, 0 to 2, .* up to 5"),
        (lambda: made(against={"x": SAID / 2}), "found float64"),
        (lambda: made(dataset(groups=np.arange(9))), "10 images"),
    ],
)
def test_what_does_not_belong_together_is_refused(call, message):
    with pytest.raises(data.DataError, match=message):
        call()


# --- On a page --------------------------------------------------------------------------------------------------------

ODD = ("<b>cat</b>", '$a_b$ & "c"', "猫头鹰")


def test_names_are_shown_as_they_are():
    page = made(dataset(ODD, files=tuple(f"odd/<i>{row}.jpg" for row in range(10))))._repr_html_()
    assert "<b>cat" not in page
    assert "<i>6" not in page
    assert "&lt;b&gt;cat&lt;/b&gt;" in page
    assert "$a_b$ &amp; &quot;c&quot; taken for" in page
    assert "猫头鹰" in page
    assert page.startswith('<div class="tl-sheet tex2jax_ignore mathjax_ignore">')  # so that $a_b$ is no formula


def test_pictures_are_small_files_inside_with_words_for_whoever_does_not_see_them():
    page = made(dataset(files=tuple(f"pets/{row}.jpg" for row in range(10))))._repr_html_()
    found = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)" alt="([^"]+)"[^>]* width="(\d+)"', page)
    assert [plain(alt) for _, alt, _ in found] == [
        "dog → cat (80 %), 6.jpg",
        "dog → cat (80 %), 7.jpg",
        "cat → dog (80 %), 3.jpg",
    ]
    assert Image.open(io.BytesIO(base64.b64decode(found[0][0]))).size == (60, 40)
    assert "http" not in page


def test_the_page_stays_small_however_much_is_wrong():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (300, 300, 300, 3), dtype=np.uint8)  # noise: no JPEG is larger
    labels = generator.integers(0, 9, 300)
    those = data.Dataset(images, labels, tuple("abcdefghi"), "noise", "mine", np.ones(300, bool))
    report = made(those, said=(labels + 1 + generator.integers(0, 3, 300)) % 9)
    assert len(report.pictures) == answers.MOST_PAIRS
    assert max(len(row.files) for row in report.pictures) == answers.MOST_PICTURES
    assert len(report._repr_html_()) < 500_000
    assert max(Image.open(io.BytesIO(report.pictures[0].files[0])).size) == sheets.SIDE


def test_in_a_terminal_wide_letters_keep_the_columns():
    lines = str(made(dataset(ODD))).splitlines()
    start = lines.index("Class by class")
    wide = [len(line) + len(re.findall("[猫头鹰]", line)) for line in lines[start + 1 : start + 5]]
    assert len(set(wide)) == 1
    assert max(len(line) for line in lines[:start]) <= sheets.COLUMNS


@pytest.mark.parametrize("ground", ["white", "#121212"])
def test_on_a_phone_tables_and_pictures_scroll_within_and_all_can_be_read(chromium, ground):
    from axe_playwright_python.sync_playwright import Axe  # here, so that the other tests need no browser

    long = ("a class whose name goes on and on " * 3, "b" * 60, "c")
    page = chromium.new_page(viewport={"width": 360, "height": 700})
    ink = "#222222" if ground == "white" else "#dddddd"
    body = f'<body style="background: {ground}; color: {ink}">{made(dataset(long))._repr_html_()}'
    page.set_content(f'<!doctype html><html lang="en"><meta charset="utf-8"><title>report</title>{body}')
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    inside = page.locator(".tl-wide").all()
    assert len(inside) == 2
    assert all(each.evaluate("each => each.scrollWidth > each.clientWidth") for each in inside)
    assert [each["id"] for each in Axe().run(page, ".tl-sheet").response["violations"]] == []
    page.close()
