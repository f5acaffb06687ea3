"""The exercises: what they say to right answers, to typical wrong ones, and to whatever else a reader may pass."""

import itertools
import math
import re
from decimal import Decimal
from fractions import Fraction

import notebooks
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tl_base import replies
from tl_helpers import exercises

KNOWN = exercises.exercises()
NUMBER = re.compile(r"^\*\*Exercise ([\d.-]+)\*\*", re.M)
# Each with its right answer, here as with all of MNIST, and wrong ones with a part of what is said to them.
ANSWERS = {
    "1.1": (3.2, {1.83: "square root", 0.31: "Turned round", 1.0: "not nearly as good", 0.104: "half width"}),
    "1.2": (16.0, {10: "still below", 20: "already above", 2.77: "logarithm", 0.8: "accuracy", 160: "all classes"}),
    "1.3": (-0.027, {0.027: "sign", 0: "do differ", 0.076: "more labels", 0.7: "accuracy", -2.7: "by 100"}),
    "2.1": (47_178, {47_104: "biases", 36_928: "head is missing", 66_570: "whole", 19_392: "stays as it is"}),
    "2.3": (
        {"changes": "domain", "setting": "transductive", "told apart": 0.998},
        {
            ("task", "transductive", 1): "a 3 is still a 3",
            ("both", "transductive", 1): "what they mean",
            ("domain", "inductive", 1): "target has labels",
            ("domain", "transductive", 0.5): "guessing",
            ("domain", "transductive", 99.8): "by 100",
        },
    ),
    "2.2": ({"0": -0.006, "180": 0.007}, {(-0.126, 0.406): "10 points", (0.006, 0.007): "below zero is help"}),
    "3-1": (58_370, {2_050: "first phase", 56_320: "head is missing", 66_570: "ten classes"}),
    "3-2": ("from scratch", {"feature extraction": "for both", "neither": "five seeds"}),
    "3-3": (2_050, {58_370: "nothing is frozen", 2_048: "biases", 10_250: "ten classes"}),
    "3.1.1": (0.13, {-0.13: "Turned round", 0: "the head does", 0.89: "accuracy", 13: "by 100"}),
    "3.1.2": (
        {"size": 0.142, "photographs": 0.041},
        {(-0.142, 0.041): "Turned round", (0.041, 0.142): "other of the two", (0.142, 0.6): "accuracy"},
    ),
    "3.1.3": (
        {"line": 1, "lost": 0.106},
        {(2, 0.106): "Who scales", (3, 0.1): "first two", (1, 0.693): "training images once", (1, -0.1): "Turned"},
    ),
    "3.2.1": (103_178, {20_042: "counts from the input", 103_040: "biases", 112_778: "fewer outputs"}),
    "3.2.2": ("head", {"conv3": "copied", "output": "belongs to the source", "flatten": "no weights"}),
    "3.2.3": (10, {5: "attribute", 64: "come out", 0: "still runs"}),
    "3.3.1": (
        5.65,
        {10: "not ten times the distance", 0.75: "one distance", 4.2: "one distance", 0.18: "Turned round"},
    ),
    "3.3.2": (2.1, {0.45: "Turned round", 1: "different places", 0: "frozen"}),
    "3.4.1": (
        ["norm/moving_mean", "norm/moving_variance"],
        {("moving_mean",): "missing", ("gamma", "moving_mean", "moving_variance"): "gradient", (): "missing"},
    ),
    "3.4.2": (["head"], {("body", "head"): "at which Keras reads it", ("body",): "stays", (): "Nobody has frozen it"}),
    "3.5.1": (
        {"moved": 0.006, "method": "feature extraction"},
        {(1.5, "feature extraction"): "strong pull", (0.006, "fine-tuning"): "strength zero", (0.0, "LP-FT"): "second"},
    ),
    "3.6.1": (
        {"without": 4.1, "with": 1.03},
        {(2, 1.0): "denominator", (0.25, 1): "Turned round", (4.1, 4.1): "without the factor", (4.1, 16): "wrong way"},
    ),
    "3.7.1": (
        {"coverage": 0.41, "precision": 1.0},
        {(1.0, 1.0): "silent", (0.41, 0.02): "count downwards", (0.01, 1): "silent nearly everywhere"},
    ),
    "3.7.2": ({"loop": 0.86, "no loop": 0.9}, {(1, 1): "Which labels", (0.41, 0.9): "coverage", (86, 90): "by 100"}),
    "4.1": (0.16, {-0.16: "later layer", 0: "do differ", 0.78: "accuracy", 16: "by 100"}),
    "4.2": (
        {"guessing": 0.5, "head": 0.97},
        {(0.1, 0.97): "ten classes", (0.97, 0.97): "does not look", (0.5, 0.5): "belong to their images"},
    ),
    "4.3": (0.82, {1.0: "trained on", 0.1: "guessing", 82: "by 100"}),
    "4.1.1": ([20, 100], {(1, 5, 20, 100): "not at its mean", (20,): "another one", (5,): "holds zero"}),
    "4.1.2": (
        {"ten draws": 1.885, "five trainings": 2.996},
        {
            (0.83, 1.08): "standard error",
            (1.63, 2.11): "very many values",
            (2.31, 2.44): "draw by draw",
            (3.0, 1.89): "five means",
            (1.89, 6.7): "root of five",
        },
    ),
    "4.1.3": (
        2.926,
        {-2.93: "Turned round", 0.0: "colleague's number", 0.0293: "hundred times", 56: "asks for a difference"},
    ),
    "4.2.1": (1, {3: "smallest number", 2: "smallest number", 0: "from scratch itself"}),
    "4.2.2": (
        {"other sign": 0.0, "open": 15 / 252},
        {(0, 0.94): "tell the two apart", (1, 0.06): "Turned round", (0, 15): "by 100", (0.06, 0): "both ends"},
    ),
    "5.1": ({"2": 1, "20": 0}, {(3, 0): "highest score", (0, 1): "same draw", (0, 3): "highest score"}),
    "5.2": (
        {"1": 0.84, "4": 0.91, "16": 0.98},
        {(0.39, 0.44, 0.61): "random order", (0.84, 0.02, 0.98): "not the fourth alone", (84, 91, 98): "by 100"},
    ),
    "5.3": ("sign", {"label": "order", "scale": "worst", "image": "order"}),
    "6.1": (
        {"source": 0.94, "target": 0.58},
        {(0.6, 0.58): "something of it moved", (0.94, 0.9): "free to move", (0.94, 0.1): "guessing"},
    ),
    "6.2": (6.987, {-6.987: "Turned round", 58.7: "an error", 4.1: "without any change", 2.9: "target alone"}),
    "6.3": ("target's head", {"source's head": "even twice", "body": "both tasks"}),
    "6.1.1": (0.005, {0.013: "50 images", -0.005: "Turned round", 0.8: "accuracy", 1.3: "by 100"}),
    "7-1": (390, {96: "not twelve", 1540: "not three", 1067: "one half", 10: "many points"}),
    "7-2": (1, {8: "highest accuracy", 4: "took four", 2: "before it"}),
    "7-3": ("too high", {"too low": "better or worse", "neither": "largest of ten"}),
    "7.1.1": (5, {1: "still ahead", 50: "fewer labels"}),
    "7.1.2": (20, {10: "still below", 50: "smaller number", 14.5: "no such row"}),
    "8-1": ({"one half": 4, "nine tenths": 35}, {(1, 35): "proves little", (4, 29): "one-sided", (4, 36): "Clopper"}),
    "8-2": ({"alone": 0.5, "copies": 1.0}, {(1.0, 1.0): "copies still", (0.5, 0.5): "label of its drawing"}),
    "8.1.1": (
        {"above 0.80": 32, "above 0.85": 166},
        {(62, 196): "in all", (20, 166): "still below", (32, 64): "more than twice"},
    ),
    "8.1.2": (
        {"each picture held back": 1.0, "each burst held back": 0.5},
        {(1.0, 1.0): "whole burst", (0.5, 0.5): "all five pictures"},
    ),
}
# What the solutions print without the whole data sets, where it is another number.
ELSEWHERE = {
    "1.2": 16.9,
    "1.3": -0.033,
    "3.1.1": 0.003,
    "3.1.2": {"size": 0.155, "photographs": 0.048},
    "3.1.3": {"line": 1, "lost": 0.053},
    "3.3.1": 5.95,
    "3.7.1": {"coverage": 0.42, "precision": 1.0},
    "3.7.2": {"loop": 0.88, "no loop": 0.94},
    "4.1": 0.247,
    "4.3": 0.76,
    "5.1": {"2": 0, "20": 0},
    "6.1": {"source": 0.93, "target": 0.51},
    "6.1.1": 0.004,
}
WRONG = [(number, answer, told) for number, (_, wrong) in ANSWERS.items() for answer, told in wrong.items()]


def given_as(number, answer):
    """Return a wrong answer of the table in the form that the exercise takes."""
    parts = KNOWN[number].get("parts")
    return dict(zip(parts, answer, strict=True)) if parts else list(answer) if isinstance(answer, tuple) else answer


# Answers


def test_every_exercise_has_a_right_answer_here_and_two_wrong_ones():
    assert set(ANSWERS) == set(KNOWN)
    assert [number for number, (_, wrong) in ANSWERS.items() if len(wrong) < 2] == []


@pytest.mark.parametrize("number", KNOWN)
def test_a_right_answer_is_right_and_gets_a_reason(number):
    reply = exercises.check(number, ANSWERS[number][0])
    assert reply.right, reply
    assert str(reply) == f"Right. {KNOWN[number]['why']}"


@pytest.mark.parametrize("number", ELSEWHERE)
def test_what_other_data_give_is_right_too(number):
    assert exercises.check(number, ELSEWHERE[number]).right


@pytest.mark.parametrize(("number", "answer", "told"), WRONG, ids=lambda value: str(value)[:20])
def test_a_typical_wrong_answer_gets_the_hint_for_its_misconception(number, answer, told):
    reply = exercises.check(number, given_as(number, answer))
    assert reply.right is False
    assert told in reply.told
    assert str(reply).startswith("Not yet. ")


@pytest.mark.parametrize("number", KNOWN)
def test_without_an_answer_it_asks_for_one(number):
    parts = KNOWN[number].get("parts", {})
    for nothing in (None, dict.fromkeys(parts)) if parts else (None,):
        reply = exercises.check(number, nothing)
        assert reply.right is None
        assert repr(reply) == "Put your answer into `answer`, then run this cell again."


@pytest.mark.parametrize("number", ["9.9", "", 1.1, None, "3.2"])
def test_an_exercise_that_does_not_exist_is_refused(number):
    with pytest.raises(ValueError, match="There is no exercise"):
        exercises.check(number, 1)


# Forms of answers


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("2.1", "47178"),
        ("2.1", [47178]),
        ("2.1", np.int32(47178)),
        ("2.1", np.array([[47178.0]])),
        ("2.1", pd.Series([47178])),
        ("2.1", Decimal(47178)),
        ("2.1", Fraction(47178)),
        ("2.1", {47178}),
        ("3.2.2", "  The HEAD. "),
        ("3.2.2", np.str_("head")),
        ("3.2.2", ["head"]),
        ("3-2", "from_scratch"),
        ("3-2", "From  Scratch"),
        ("6.3", '"Target\'s head"'),
        ("3.4.1", {"moving_variance", "moving_mean"}),
        ("3.4.1", "moving_mean, moving_variance"),
        ("3.4.1", pd.Index(["norm/moving_mean", "norm/moving_variance"])),
        ("4.1.1", np.array([20, 100])),
        ("4.1.1", "20, 100"),
        ("4.1.1", [100.0, 20]),
        ("8-1", pd.Series({"nine tenths": 35, "one half": 4})),
        ("8-1", {"One half": 4.0, "nine_tenths": "35", "more": None}),
        ("2.2", {0: -0.006, 180: 0.007}),
        ("2.2", {0.0: -0.006, np.int64(180): 0.007}),
    ],
)
def test_what_means_the_same_is_as_right(number, answer):
    assert exercises.check(number, answer).right


@pytest.mark.parametrize(
    ("number", "answer", "told"),
    [
        ("2.1", float("nan"), "no finite number"),
        ("2.1", np.inf, "no finite number"),
        ("2.1", True, "type bool and no number"),
        ("2.1", "many", "type str and no number"),
        ("2.1", "47,178", "type str and no number"),
        ("2.1", [1, 2], "That is 2 values. Expected: a whole number."),
        ("2.1", [], "That is 0 values"),
        ("2.1", {"a": 1}, "type dict and no number"),
        ("2.1", 1j, "type complex and no number"),
        ("2.1", 10**400, "type int and no number"),
        ("2.1", lambda: 47178, "type function and no number"),
        ("4.3", 82, "Divide percent, or points, by 100"),
        ("4.3", "82 %", "Divide percent, or points, by 100"),
        ("3.2.2", 3, "type int and no word"),
        ("3.2.2", "body", "`body` is none of the words to choose from. Expected: the name of the layer"),
        ("3.2.2", ["head", "conv1"], "That is 2 values"),
        ("3.4.1", 2, "There is a weight among them that stays"),
        ("3.4.1", [["moving_mean", "moving_variance"]], "That is 2 values"),
        ("8-1", 4, "give a mapping with the keys one half, nine tenths"),
        ("8-1", "4 and 35", "give a mapping"),
        ("8-1", [4, 35], "give a mapping"),
        ("8-1", {"one half": 4}, "There is nothing for nine tenths yet"),
        ("8-1", {"one half": 4, "nine tenths": None}, "There is nothing for nine tenths yet"),
        ("8-1", {"one half": 4, "nine tenths": 1}, "`one half`: right. `nine tenths`: "),
        ("8-1", pd.DataFrame({"one half": [4, 4], "nine tenths": [35, 35]}), "That is 2 values"),
        ("3.1.1", -0.1, "This check is for five and twenty labels per class"),
    ],
)
def test_another_type_or_shape_gets_a_hint(number, answer, told):
    reply = exercises.check(number, answer)
    assert reply.right is False
    assert told in reply.told


SIMPLE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.complex_numbers()
)
ANYTHING = st.recursive(
    SIMPLE
    | st.builds(object)
    | st.builds(np.float32, st.floats(width=32))
    | st.just(pd.NA)
    | st.just(np.zeros((0, 3))),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["loop", "no loop", "size", "0", "180"]) | SIMPLE, inner, max_size=3)
        | st.tuples(inner, inner)
        | st.lists(inner, max_size=3).map(lambda items: pd.Series(items, dtype=object))
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(KNOWN)), ANYTHING)
def test_whatever_is_passed_gets_a_sentence(number, answer):
    reply = exercises.check(number, answer)
    assert reply.right in (True, False, None)
    assert repr(reply).endswith((".", "?"))


@given(st.floats(-1, 1, allow_nan=False))
def test_a_range_holds_its_ends_and_nothing_beyond(value):
    asked = {"asks": "a number", "number": [-0.5, 0.25], "wrong": [[0.25, 0.5, "high"]], "other": "else"}
    expected = "" if -0.5 <= value <= 0.25 else "high" if 0.25 < value <= 0.5 else "else"
    assert replies.hint(asked, value) == expected


# The data


def specifications():
    """Yield each question and each part of one, with its name."""
    for number, asked in KNOWN.items():
        yield number, asked
        yield from ((f"{number} {name}", part) for name, part in asked.get("parts", {}).items())


def ranges(asked):
    return [asked["number"], *([low, high] for low, high, _ in asked["wrong"])]


def test_hints_for_numbers_do_not_overlap_and_shares_can_be_shares():
    for name, asked in specifications():
        if "number" in asked:
            ordered = sorted(ranges(asked))
            assert all(low <= high for low, high in ordered), name
            assert all(first[1] < second[0] for first, second in itertools.pairwise(ordered)), name
            assert not asked.get("share") or all(-1 <= end <= 1 for both in ordered for end in both), name


def test_no_word_is_right_and_wrong():
    for name, asked in specifications():
        if "word" in asked:
            words = [*asked["word"], *(word for several, _ in asked["wrong"] for word in several)]
            assert len({replies._term(word) for word in words}) == len(words), name


def test_texts_are_sentences_and_hints_do_not_hold_a_right_number():
    for name, asked in specifications():
        hints = [asked[key] for key in ("other", "extra", "missing") if key in asked]
        hints += [wrong[-1] for wrong in asked.get("wrong", [])]
        assert all(re.search(r"[.?`)]$", text) for text in [*hints, asked.get("why", ".")]), name
        right = asked.get("number", [math.nan])
        if right[0] == right[-1] and right[0] > 10:
            assert not [hint for hint in hints if f"{right[0]}" in hint.replace(",", "")], name


# The pages


def exercise_cells():
    """Return the cells that follow each exercise: the one to work in, the check and the solution."""
    found = {}
    for path in notebooks.chapters():
        cells = notebooks.read(path).cells
        for place, cell in enumerate(cells):
            for number in NUMBER.findall(cell.source) if cell.cell_type == "markdown" else []:
                found[number] = (path.stem, cells[place + 1 : place + 4])
    return found


CELLS = exercise_cells()


def test_every_exercise_has_a_check_and_every_check_an_exercise():
    assert list(CELLS) == list(dict.fromkeys(CELLS))
    assert set(CELLS) == set(KNOWN)
    codes = [
        cell.source for path in notebooks.chapters() for cell in notebooks.read(path).cells if cell.cell_type == "code"
    ]
    checked = [found for source in codes for found in re.findall(r'exercises\.check\("([\d.-]+)", answer\)', source)]
    assert sorted(checked) == sorted(KNOWN)


@pytest.mark.parametrize("number", CELLS)
def test_an_exercise_has_a_cell_to_work_in_a_check_and_a_folded_solution(number):
    work, check, solution = CELLS[number][1]
    parts = ", ".join(f'"{name}": None' for name in KNOWN[number].get("parts", []))
    empty = f"{{{parts}}}" if parts else "None"
    assert work.source == f"# Work here. Then set answer to {KNOWN[number]['asks']}.\nanswer = {empty}"
    assert check.source.removeprefix("from tl_helpers import exercises\n\n") == f'exercises.check("{number}", answer)'
    assert not {"tags", "jupyter"} & {*work.metadata, *check.metadata}
    assert max(map(len, work.source.splitlines())) <= 88
    assert {"solution", "hide-cell"} <= set(solution.metadata.tags)
    assert solution.metadata.jupyter == {"source_hidden": True, "outputs_hidden": True}
    assert solution.source.splitlines()[-1].startswith(f'exercises.check("{number}", ')


def test_the_first_check_of_a_page_imports_what_it_uses():
    pages = [page for page, _ in CELLS.values()]
    importing = [page for page, (_, check, _) in CELLS.values() if check.source.startswith("from ")]
    firsts = list(dict.fromkeys(pages))
    assert importing == firsts
    assert all(CELLS[next(n for n in CELLS if CELLS[n][0] == page)][1][1].source.startswith("from ") for page in firsts)


@pytest.mark.site
@pytest.mark.parametrize("number", CELLS)
def test_what_a_solution_computed_in_the_run_is_right_and_nothing_else_is_said(number):
    """A check accepts what the page itself computes; unanswered it only asks."""
    import test_chapters as ran  # the chapters as the last build ran them

    page, (_, check, solution) = CELLS[number]
    cells = ran.result(notebooks.ROOT / "chapters" / f"{page}.ipynb").cells
    run = {cell.source: cell.outputs for cell in cells if cell.cell_type == "code"}
    assert run[check.source][-1].data["text/plain"].startswith("Put your answer into")
    assert run[solution.source][-1].data["text/plain"].startswith("Right. ")


# The box on the page

FILL = """(all) => {
  const boxes = [...document.querySelectorAll(".tlx-exercise")];
  return all.map(([place, texts]) => {
    const fields = [...boxes[place].querySelectorAll("input, select")];
    fields.forEach((field, i) => {
      const option = [...(field.options ?? [])].find((each) => each.value.toLowerCase() === texts[i].toLowerCase());
      field.value = option ? option.value : texts[i];
    });
    boxes[place].querySelector("button").click();
    return boxes[place].querySelector(".tlx-told").textContent;
  });
}"""


def typed(answer):
    """Return what a reader types into the fields of a box."""
    if isinstance(answer, dict):
        return [text for each in answer.values() for text in typed(each)]
    return [", ".join(map(str, answer)) if isinstance(answer, list) else str(answer)]


@pytest.fixture(scope="module")
def boxes(chromium):
    """A page with the box of every exercise."""
    page = chromium.new_page(viewport={"width": 360, "height": 900})
    page.set_content("<!doctype html>" + "".join(exercises.check(number, None).html() for number in KNOWN))
    page.locator(".tlx-exercise").nth(len(KNOWN) - 1).wait_for()
    yield page
    page.close()


def test_a_box_says_what_the_check_says(boxes):
    asked = [(number, right) for number, (right, _) in ANSWERS.items()]
    asked += [(number, given_as(number, answer)) for number, answer, _ in WRONG]
    asked = [(number, answer) for number, answer in asked if typed(answer) != [""]]
    told = boxes.evaluate(FILL, [[list(KNOWN).index(number), typed(answer)] for number, answer in asked])
    for (number, answer), found in zip(asked, told, strict=True):
        assert found == str(exercises.check(number, answer)).replace("`", ""), number


def test_a_box_says_what_is_lacking_and_fits_a_phone(boxes):
    told = boxes.evaluate(FILL, [[list(KNOWN).index("2.1"), [""]], [list(KNOWN).index("2.1"), ["many"]]])
    assert told == [
        f"There is nothing for {KNOWN['2.1']['asks']} yet.",
        f"Not yet. many is no number. Expected: {KNOWN['2.1']['asks']}.",
    ]
    assert boxes.evaluate("document.documentElement.scrollWidth") <= 360
