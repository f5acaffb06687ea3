"""The explorer's Python side: what is offered, what is shown for it, the code that does a run again, training."""

import gzip
import itertools
import json
import re
import threading
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import tl_experiments as experiments
from tl_experiments import card, choices, evidence, explorer, workbench
from tl_experiments.grid import Run
from tl_helpers import data, measures, records, widgets

LIMIT = 150_000  # bytes of data and program together, compressed


@pytest.fixture(scope="module")
def table():
    return records.load()


@pytest.fixture(scope="module")
def shown(table):
    return choices.payload(table, pictures=False)


@pytest.fixture
def widget(shown):
    return explorer.Explorer(shown=shown)


def number(method, states):
    return next(i for i, s in enumerate(choices.OFFER) if (s.method, s.states) == (method, states))


# --- What is offered -------------------------------------------------------------------------------------------------


def test_what_is_copied_and_what_is_frozen_is_a_beginning():
    states = [setting.states for setting in choices.OFFER if setting.method == choices.PLAIN]
    assert len(set(states)) == len(states) == 13
    for each in states:
        assert each.rstrip("R") in ("", "F", "T", "Z") or list(each) == sorted(each, key="FTZR".index)
        assert not {"F", "T"} & set(each) or "Z" not in each


def test_the_letters_say_what_the_records_hold(table):
    for pair in choices.PAIRS:
        for setting in choices.offered(pair):
            row = choices.rows_for(table, pair, setting, 10).iloc[0]
            copied, frozen = int(row.layers_copied), int(row.layers_frozen)
            counted = {
                "source": (setting.states.count("F") + setting.states.count("T"), setting.states.count("F")),
                "random": (setting.states.count("Z"), setting.states.count("Z")),
            }
            assert counted[row.initialisation] == (copied, frozen)


def test_every_choice_has_a_record_of_its_own(shown):
    assert choices.coverage(shown) == 1.0


def test_a_choice_without_a_record_is_left_out(table):
    fewer = choices.payload(table[~(table.arm == "A2B, 1 frozen")], pictures=False)
    assert 0.9 < choices.coverage(fewer) < 1.0
    assert f"far|10|{number('plain', 'FTR')}" not in fewer["runs"]


def test_runs_that_cannot_be_paired_are_refused(table):
    with pytest.raises(experiments.ExperimentError, match="pairs runs by seed"):
        choices.payload(table[~((table.arm == "A2B, 1 frozen") & (table.seed == 3))], pictures=False)


# --- What is shown ---------------------------------------------------------------------------------------------------


def test_shown_numbers_are_those_of_the_records(table, shown):
    rows = table[(table.experiment == "sweep") & (table.arm == "A2B, 2 frozen") & (table.target == "mnist")]
    rows = rows[rows.labels_per_class == 10].sort_values("seed")
    found = shown["runs"][f"far|10|{number('plain', 'FFR')}"]
    assert found["test"] == pytest.approx(rows.test_accuracy.tolist(), abs=1e-4)
    curves = np.array([records.history(row)["validation_accuracy"] for _, row in rows.iterrows()])
    assert found["mean"] == pytest.approx(curves.mean(axis=0), abs=1e-3)
    last = measures.paired_interval(curves[:, -1], np.zeros(len(curves)))
    assert found["half"][-1] == pytest.approx(last.high - last.mean, abs=1e-3)
    assert {rate for rate, _, _ in found["tried"]} == {3e-4, 1e-3, 3e-3, 1e-2}
    assert max(found["tried"], key=lambda each: each[2])[0] == found["rate"]


def test_the_weights_of_the_layers_are_those_of_the_network(shown):
    assert [layer["parameters"] for layer in shown["layers"]] == [896, 18_496, 36_928]
    assert {pair["name"]: pair["head"] for pair in shown["pairs"]} == {"far": 10_250, "near": 5_125}
    assert shown["runs"][f"far|5|{number('plain', 'FFF')}"]["parameters"] == 10_250


def test_answers_belong_to_the_run_that_is_shown(table, shown):
    kept = table[table.experiment == "examples"].set_index(["target", "arm", "labels_per_class"]).test_accuracy
    for pair, setting, labels in itertools.product(choices.PAIRS, choices.OFFER, evidence.EXPLORED):
        if setting in choices.offered(pair):
            row = choices.rows_for(table, pair, setting, labels).iloc[0]
            found = kept[row.target, row.arm, labels]
            assert found == pytest.approx(row.test_accuracy, abs=card.TOLERANCE)
    assert {len(run["answers"]) for run in shown["runs"].values()} == {100}


def test_answers_are_right_as_often_as_the_accuracy_says(shown):
    truths = {pair["name"]: pair["truth"] for pair in choices.payload()["pairs"] if "truth" in pair}
    here = {"far": data.load("mnist").name == "mnist", "near": data.load("cifar10", required=False) is not None}
    assert set(truths) == {pair for pair, found in here.items() if found}
    for pair, truth in truths.items():
        runs = [run for key, run in shown["runs"].items() if key.startswith(pair)]
        hundred = [np.mean([a == b for a, b in zip(run["answers"], truth, strict=True)]) for run in runs]
        whole = [run["test"][0] for run in runs]
        assert np.corrcoef(hundred, whole)[0, 1] > 0.9
        assert abs(np.mean(hundred) - np.mean(whole)) < 0.08  # these hundred may be harder than the others


@pytest.mark.parametrize("method", ["plain", "feature extraction", "LP-FT", "distillation"])
def test_the_code_names_the_run(table, method):
    setting = next(s for s in choices.OFFER if s.method == method and "R" not in s.states)
    run = Run.of(choices.rows_for(table, "far", setting, 5).iloc[0])
    text = run.code()
    compile(text, "code", "exec")
    assert f"learning_rate={run.learning_rate:g}, steps=200, batch_size=32, seed=0" in " ".join(text.split())
    assert "per_class=5" in text


@pytest.mark.parametrize(
    ("method", "states"),
    [("plain", states) for states in ("FTR", "ZRR", "RRR")]
    + [("feature extraction", "FFF")]
    + [(method, "TTT") for method in ("LP-FT", "L2-SP", "attention transfer", "distillation", "logic rules")],
)
def test_the_code_does_the_run_again(shown, method, states):
    found = shown["runs"][f"far|5|{number(method, states)}"]
    if data.load("mnist").name != "mnist":
        pytest.skip("the records were measured on MNIST, which is not here")
    names = {}
    exec(found["code"], names)
    assert names["accuracy"] == pytest.approx(found["test"][0], abs=card.TOLERANCE)


# --- The widget ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pair": "middle"}, "Pairs are far, near"),
        ({"labels": 3}, "labels per class 2, 5, 10, 50"),
        ({"labels": "5"}, "labels is '5'; expected a whole number"),
        ({"labels": np.array([5, 10])}, r"labels is \[5, 10\]; expected a whole number"),
        ({"labels": 5.5}, "labels is 5.5"),
        ({"method": None}, "method is None; expected a word"),
        ({"pair": ["far"]}, r"pair is \['far'\]"),
        ({"states": "RFF"}, "There is no 'plain' with 'RFF'"),
        ({"pair": "near", "method": "logic rules", "states": "TTT"}, "There is no 'logic rules'"),
    ],
)
def test_what_is_not_offered_is_refused(shown, arguments, message):
    with pytest.raises(widgets.WidgetError, match=message):
        explorer.Explorer(shown=shown, **arguments)


def test_a_choice_can_be_set_and_a_wrong_one_leaves_the_old(widget):
    widget.choice = widget.choice | {"states": "FFF"}
    with pytest.raises(widgets.WidgetError):
        widget.choice = widget.choice | {"states": "FZF"}
    assert widget.choice["states"] == "FFF"
    assert "states='FFF'" in repr(widget)


@pytest.mark.parametrize("labels", [np.int64(50), np.uint8(50), 50.0, pd.Index([50])[0], np.array(50), Decimal(50)])
def test_labels_are_any_whole_number(shown, labels):
    widget = explorer.Explorer(labels=labels, shown=shown)
    widget.choice = widget.choice | {"method": np.str_("LP-FT"), "states": "TTT", "labels": labels}
    assert json.loads(json.dumps(widget.choice)) == {"pair": "far", "labels": 50, "method": "LP-FT", "states": "TTT"}
    assert widget.html()
    with pytest.raises(widgets.WidgetError, match="A choice has pair, labels, method, states"):
        widget.choice = {"labels": labels}


def test_the_rate_of_the_records_is_the_best_of_those_tried(shown):
    """One meaning of *chosen*: the recorded rate is the one that its table of trials marks."""
    for key, run in shown["runs"].items():
        marked = [score for rate, setting, score in run["tried"] if (rate, setting) == (run["rate"], run["setting"])]
        assert marked == [max(score for _, _, score in run["tried"])]
        assert run["triedAt"] in (int(key.split("|")[1]), 10)


def test_the_page_holds_all_that_it_shows_and_is_small(shown):
    page = explorer.Explorer(shown=choices.payload()).html()
    assert len(gzip.compress(page.encode())) < LIMIT
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert page.count("</script") == 1


def test_nothing_in_the_data_ends_the_program(shown):
    hostile = shown | {"pairs": [shown["pairs"][0] | {"title": "</script><b>"}, shown["pairs"][1]]}
    page = explorer.Explorer(shown=hostile).html()
    assert "</script><b>" not in page
    assert page.count("</script") == 1
    (told,) = re.findall(r"^const values = \{ name, \.\.\.(\{.*\}) \};$", page, re.M)
    assert json.loads(told)["payload"]["pairs"][0]["title"] == "</script><b>"


def test_no_training_without_a_click(widget):
    assert widget.live["status"] == "idle"
    widget.choice = widget.choice | {"labels": 50}
    assert (widget.live["status"], widget._thread) == ("idle", None)


class Rehearsal:
    """Stands for the training: says that it has begun, and waits."""

    def __init__(self):
        self.begun, self.go_on, self.runs = threading.Event(), threading.Event(), []

    def __call__(self, run, watch):
        from tl_helpers.training import History

        self.runs.append(run)
        for step in (100, 200):
            ended = watch(History((step,), (1.0,), (0.5,), 0.1))
            self.begun.set()
            self.go_on.wait(600)
            if ended:
                return {"test_accuracy": None, "seconds": 0.1}
        return {"test_accuracy": 0.75, "seconds": 0.2}


@pytest.fixture
def rehearsal(monkeypatch):
    found = Rehearsal()
    monkeypatch.setattr(workbench, "live", found)
    return found


def send(widget, **message):
    widget._heard(widget, message, [])


def test_a_click_trains_the_choice_with_its_seed_and_rate(widget, rehearsal):
    rehearsal.go_on.set()
    send(widget, do="train", seed=7, rate=0.01, **widget.choice)
    widget._thread.join(600)
    (run,) = rehearsal.runs
    assert (run.seed, run.learning_rate, run.layers_copied, run.layers_frozen) == (7, 0.01, 2, 2)
    assert widget.live["status"] == "done"
    assert widget.live["test"] == 0.75
    assert widget.live["message"].startswith("Seed 7, learning rate 0.01: 75.0 % of the test images")
    assert (widget.live["seed"], widget.live["rate"]) == (7, 0.01)
    assert "learning_rate=0.01, steps=200, batch_size=32, seed=7" in " ".join(widget.live["code"].split())


def test_every_message_of_the_page_is_answered(widget, rehearsal, monkeypatch):
    """The page takes silence for a kernel that was restarted, so an order that is refused is answered too."""
    told = []
    monkeypatch.setattr(widget, "send", lambda message: told.append(message["heard"]))
    rehearsal.go_on.set()
    send(widget, do="answer")
    send(widget, do="train", seed=0, rate=None, **widget.choice)
    send(widget, do="train", seed=0, rate=None, **widget.choice)
    send(widget, do="stop")
    widget._thread.join(600)
    assert told == ["answer", "train", "train", "stop"]


def test_after_a_stop_the_next_training_is_the_one_that_is_told(widget, rehearsal):
    send(widget, do="train", seed=0, rate=0.01, **widget.choice)
    assert rehearsal.begun.wait(600)
    send(widget, do="stop")
    rehearsal.go_on.set()
    widget._thread.join(600)
    send(widget, do="train", seed=5, rate=0.003, **widget.choice)
    widget._thread.join(600)
    assert (widget.live["status"], widget.live["seed"], widget.live["rate"]) == ("done", 5, 0.003)


@pytest.mark.parametrize(
    ("seed", "rate", "found"),
    [
        (np.int64(3), np.float32(0.01), (3, 0.01)),
        (np.uint8(3), Decimal("0.01"), (3, 0.01)),
        (pd.Series([3])[0], np.array(0.01), (3, 0.01)),
        (0, 1, (0, 1.0)),
    ],
)
def test_seed_and_rate_are_any_number(widget, seed, rate, found):
    run = explorer.run_of(widget.choice, seed, rate)
    assert (run.seed, run.learning_rate) == found
    assert [type(each) for each in (run.seed, run.learning_rate)] == [int, float]


@pytest.mark.parametrize(
    ("seed", "rate", "message"),
    [
        (1.5, None, "whole number from 0 to 2,147,483,647; found 1.5"),
        (np.int64(-1), None, "found -1"),
        (True, None, "found True"),
        ("0", None, "found '0'"),
        (2**31, None, "found 2147483648"),
        (0, 0, "above 0; found 0"),
        (0, -0.1, "above 0; found -0.1"),
        (0, "fast", "above 0; found 'fast'"),
        (0, float("nan"), "A number in rate is nan"),
    ],
)
def test_what_is_no_seed_or_rate_is_refused(widget, seed, rate, message):
    with pytest.raises(widgets.WidgetError, match=message):
        explorer.run_of(widget.choice, seed, rate)


def test_without_a_rate_the_recorded_one_is_taken(widget, shown):
    assert explorer.run_of(widget.choice).learning_rate == shown["runs"][f"far|5|{number('plain', 'FFR')}"]["rate"]


def test_a_second_click_does_not_train_a_second_time(widget, rehearsal):
    send(widget, do="train", seed=0, rate=0.01, **widget.choice)
    assert rehearsal.begun.wait(600)
    send(widget, do="train", seed=1, rate=0.01, **widget.choice)
    assert widget.train() is False
    rehearsal.go_on.set()
    widget._thread.join(600)
    assert len(rehearsal.runs) == 1


def test_stop_keeps_what_was_reached(widget, rehearsal):
    send(widget, do="train", seed=0, rate=0.01, **widget.choice)
    assert rehearsal.begun.wait(600)
    widget.choice = widget.choice | {"labels": 50}  # a change does not disturb the training
    send(widget, do="stop")
    rehearsal.go_on.set()
    widget._thread.join(600)
    assert widget.live["status"] == "stopped"
    assert widget.live["choice"]["labels"] == 5
    assert "after 200 of 200 steps" in widget.live["message"] or "after 100 of 200 steps" in widget.live["message"]


def test_an_error_is_told_in_the_widget(widget, monkeypatch):
    def fail(run, watch):
        raise data.DataError("MNIST is not here. Set TL_DATA_DIR.")

    monkeypatch.setattr(workbench, "live", fail)
    widget.train()
    widget._thread.join(600)
    assert widget.live["status"] == "error"
    assert "MNIST is not here. Set TL_DATA_DIR." in widget.live["message"]
    widget.train(seed=-1)
    widget._thread.join(600)
    assert "whole number" in widget.live["message"]


def test_training_in_the_widget_is_the_run_of_the_records(widget, shown):
    widget.train()
    widget._thread.join(120)
    if data.load("mnist").name != "mnist":
        assert widget.live["status"] == "error"
        assert "Set TL_DATA_DIR" in widget.live["message"]
        return
    recorded = shown["runs"][f"far|5|{number('plain', 'FFR')}"]
    assert widget.live["status"] == "done"
    assert widget.live["test"] == pytest.approx(recorded["test"][0], abs=card.TOLERANCE)
    assert widget.live["steps"] == recorded["steps"]


# --- Figures with sliders, and questions -----------------------------------------------------------------------------


def ramp(slope, sign):
    if slope == 0:
        return "A slope of zero draws nothing."
    return [[slope * x * (1 if sign == "plus" else -1) for x in (0.0, 1.0, 2.0)]], f"Slope {slope}, {sign}."


RAMP = {"x": [0, 1, 2], "series": ["line"], "limits": (-4, 4)}


def test_every_combination_has_its_frame():
    figure = widgets.Movable("Ramp", ramp, {"slope": [0, 1, 2], "sign": ["plus", "minus"]}, **RAMP, start={"slope": 2})
    frames = figure.content["frames"]
    assert len(frames) == 6
    assert frames["2|1"] == {"values": [[0, -2, -4]], "told": "Slope 2, minus."}
    assert frames["0|0"] == "A slope of zero draws nothing."
    assert [control["start"] for control in figure.content["controls"]] == [2, 0]
    assert "6 frames" in repr(figure)


@pytest.mark.parametrize(
    ("frame", "start", "message"),
    [
        (lambda a: ([[1, 2]], ""), {}, r"expected 1 series of 3 numbers"),
        (lambda a: ([[1, 2, np.nan]], ""), {}, "not finite"),
        (lambda a: ([[1, 2, 3]], ""), {"a": 7}, "a cannot start at 7"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused(frame, start, message):
    with pytest.raises(widgets.WidgetError, match=message):
        widgets.Movable("Ramp", frame, {"a": [1, 2]}, **RAMP, start=start)


def column(values):
    return pd.Series(values, index=[f"row {i}" for i in range(len(values))])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.arange(3), [0, 1, 2]),
        (np.linspace(0, 1, 3, dtype="float32"), [0, 0.5, 1]),
        (np.array([0.1, 0.2], "float32"), [0.1, 0.2]),
        (column([1, 2]), [1, 2]),
        (pd.Index(["a", "b"]), ["a", "b"]),
        (range(2), [0, 1]),
        ((2**i for i in range(3)), [1, 2, 4]),
        ((Decimal("0.5"), Decimal("1.5")), [0.5, 1.5]),
        (np.array(["a", "b"]), ["a", "b"]),
        ([np.True_, np.False_], [True, False]),
        (np.array([2, 3], object), [2, 3]),
        ({"a": 1, "b": 2}.keys(), ["a", "b"]),
    ],
)
def test_controls_are_any_sequence(values, told):
    """Reported: np.arange, "int64 is not JSON serializable"."""
    seen = []
    figure = widgets.Movable("Ramp", lambda a: seen.append(a) or ([[0, 1, 2]], "Flat."), {"a": values}, **RAMP)
    (control,) = json.loads(json.dumps(figure.content, allow_nan=False))["controls"]
    assert control["values"] == told
    assert len(seen) == len(told)
    assert figure.html()


def test_a_frame_is_given_the_value_that_was_passed():
    table = {value: [[0, 0, float(value)]] for value in np.array([0.1, 0.2], "float32")}
    figure = widgets.Movable("Ramp", lambda a: (table[a], "Found."), {"a": table}, **RAMP, start={"a": np.float64(0.2)})
    assert figure.content["controls"][0]["start"] == 1
    assert figure.content["frames"]["1"]["values"] == [[0, 0, 0.2]]


@pytest.mark.parametrize(
    ("axis", "told"),
    [
        ({"x": np.arange(3)}, [0, 1, 2]),
        ({"x": column([0, 1, 4]), "limits": np.array([-4, 4])}, [0, 1, 4]),
        ({"x": (i / 2 for i in range(3)), "limits": (np.float32(-4), Decimal(4))}, [0, 0.5, 1]),
        ({"x": pd.Index(["a", "b", "c"]), "kind": "bars", "series": np.array(["line"])}, ["a", "b", "c"]),
        ({"x": np.arange(3), "series": pd.Index([1]), "kind": "bars"}, [0, 1, 2]),
    ],
)
def test_axes_are_any_sequence(axis, told):
    figure = widgets.Movable("Ramp", lambda a: (np.zeros((1, 3), "int8"), "Flat."), {"a": [1]}, **(RAMP | axis))
    assert json.loads(json.dumps(figure.content, allow_nan=False))["x"] == told


@pytest.mark.parametrize(
    "values",
    [np.ones((1, 3)), pd.DataFrame([[1, 1, 1]]), [column([1, 1, 1])], [(Decimal(1), 1, np.int8(1))], [[True] * 3]],
)
def test_a_frame_is_any_table_of_numbers(values):
    figure = widgets.Movable("Ramp", lambda a: (values, "Flat."), {"a": [1]}, **RAMP)
    assert figure.content["frames"]["0"]["values"] == [[1, 1, 1]]


FLAT = ([[1, 2, 3]], "Flat.")


@pytest.mark.parametrize(
    ("passed", "message"),
    [
        ({"controls": {"a": [0.1, float("nan")]}}, "A number in the control 'a' is nan"),
        ({"controls": {"a": [1, np.inf]}}, "is inf"),
        ({"controls": {"a": [1, "two"]}}, "all numbers or all words"),
        ({"controls": {"a": []}}, "expected at least one"),
        ({"controls": {"a": 3}}, "the control 'a' is 3; expected a sequence"),
        ({"controls": {"a": "abc"}}, "expected a sequence"),
        ({"controls": {"a": pd.to_datetime(["2020-01-01"])}}, "of type Timestamp"),
        ({"controls": {"a": [None]}}, "all numbers or all words"),
        ({"controls": {"a": [pd.NA]}}, "of type NAType"),
        ({"controls": {"a": [1j]}}, "of type complex"),
        ({"controls": {"a": np.eye(2)}}, "all numbers or all words"),
        ({"controls": {"a": np.ma.array([1, 2], mask=[0, 1])}}, "holds masked"),
        ({"x": [0, 2, 1]}, "at least two numbers that rise"),
        ({"x": ["a", "b", "c"]}, "Names go with bars"),
        ({"limits": (1, 1)}, "the lower one first"),
        ({"limits": (0, float("nan"))}, "A number in limits is nan"),
        ({"kind": "dots"}, "expected 'lines' or 'bars'"),
        ({"series": list("abcde")}, "at most 4"),
        ({"start": {"b": 1}}, "start names 'b', and the controls are 'a'"),
        ({"start": {"a": "one"}}, "a cannot start at 'one'; its values are 1, 2"),
        ({"frame": lambda a: [[1, 2, 3]]}, r"expected \(values, sentence\)"),
        ({"frame": lambda a: ([[1, 2], [3]], "")}, "no table of numbers"),
        ({"frame": lambda a: ([["one", 2, 3]], "")}, "no table of numbers"),
        ({"frame": lambda a: (np.ma.array([[1, 2, 3]], mask=[[0, 1, 0]]), "")}, "not finite"),
    ],
)
def test_what_a_figure_cannot_show_is_refused_in_a_sentence(passed, message):
    told = {"frame": lambda a: FLAT, "controls": {"a": [1, 2]}} | RAMP | passed
    with pytest.raises(widgets.WidgetError, match=message):
        widgets.Movable("Ramp", told.pop("frame"), told.pop("controls"), **told)


def test_every_chapter_ends_with_its_questions(root):
    known = widgets.quizzes()
    chapters = {path.stem: path.read_text(encoding="utf-8") for path in (root / "chapters").glob("*.ipynb")}
    assert set(known) == set(chapters)
    assert [name for name, text in chapters.items() if f'widgets.Quiz(\\"{name}\\")' not in text] == []


def test_each_question_has_one_right_answer_and_a_reason_for_each(root):
    for questions in widgets.quizzes().values():
        assert 2 <= len(questions) <= 4
        for each in questions:
            assert 0 <= each["right"] < len(each["choices"])
            answers = [answer for answer, _ in each["choices"]]
            assert len(set(answers)) == len(answers) >= 3
            assert all(reason.endswith((".", "?")) for _, reason in each["choices"])


def test_the_right_answer_has_no_place_of_its_own():
    places = [each["right"] for questions in widgets.quizzes().values() for each in questions]
    assert all(places.count(place) > len(places) / 6 for place in range(3))


def test_a_quiz_about_an_unknown_chapter_is_refused():
    for name in ("nowhere", 3, ["01_background"], np.arange(2)):
        with pytest.raises(widgets.WidgetError, match="There are no questions about"):
            widgets.Quiz(name)
