"""The explorer's Python side: what is offered, what is shown for it, the code that does a run again, training."""

import gzip
import json
import threading

import numpy as np
import pytest

from tl_helpers import data, experiments, measures, widgets
from tl_helpers.experiments import explorer, workbench
from tl_helpers.experiments.grid import Run

LIMIT = 150_000  # bytes of data and program together, compressed


@pytest.fixture(scope="module")
def table():
    return experiments.records()


@pytest.fixture(scope="module")
def shown(table):
    return explorer.payload(table, pictures=False)


@pytest.fixture
def widget(shown):
    return widgets.Explorer(shown=shown)


def number(method, states):
    return next(i for i, s in enumerate(explorer.OFFER) if (s.method, s.states) == (method, states))


# --- What is offered -------------------------------------------------------------------------------------------------


def test_what_is_copied_and_what_is_frozen_is_a_beginning():
    states = [setting.states for setting in explorer.OFFER if setting.method == explorer.PLAIN]
    assert len(set(states)) == len(states) == 13
    for each in states:
        assert each.rstrip("R") in ("", "F", "T", "Z") or list(each) == sorted(each, key="FTZR".index)
        assert not {"F", "T"} & set(each) or "Z" not in each


def test_the_letters_say_what_the_records_hold(table):
    for pair in explorer.PAIRS:
        for setting in explorer.offered(pair):
            row = explorer.rows_for(table, pair, setting, 10).iloc[0]
            copied, frozen = int(row.layers_copied), int(row.layers_frozen)
            counted = {
                "source": (setting.states.count("F") + setting.states.count("T"), setting.states.count("F")),
                "random": (setting.states.count("Z"), setting.states.count("Z")),
            }
            assert counted[row.initialisation] == (copied, frozen)


def test_every_choice_has_a_record_of_its_own(shown):
    assert explorer.coverage(shown) == 1.0


def test_a_choice_without_a_record_is_left_out(table):
    fewer = explorer.payload(table[~(table.arm == "A2B, 1 frozen")], pictures=False)
    assert 0.9 < explorer.coverage(fewer) < 1.0
    assert f"far|10|{number('plain', 'FTR')}" not in fewer["runs"]


def test_runs_that_cannot_be_paired_are_refused(table):
    with pytest.raises(experiments.ExperimentError, match="pairs runs by seed"):
        explorer.payload(table[~((table.arm == "A2B, 1 frozen") & (table.seed == 3))], pictures=False)


# --- What is shown ---------------------------------------------------------------------------------------------------


def test_shown_numbers_are_those_of_the_records(table, shown):
    rows = table[(table.experiment == "sweep") & (table.arm == "A2B, 2 frozen") & (table.target == "mnist")]
    rows = rows[rows.labels_per_class == 10].sort_values("seed")
    found = shown["runs"][f"far|10|{number('plain', 'FFR')}"]
    assert found["test"] == pytest.approx(rows.test_accuracy.tolist(), abs=1e-4)
    curves = np.array([experiments.history(row)["validation_accuracy"] for _, row in rows.iterrows()])
    assert found["mean"] == pytest.approx(curves.mean(axis=0), abs=1e-3)
    last = measures.paired_interval(curves[:, -1], np.zeros(len(curves)))
    assert found["half"][-1] == pytest.approx(last.high - last.mean, abs=1e-3)
    assert {rate for rate, _, _ in found["tried"]} == {3e-4, 1e-3, 3e-3, 1e-2}
    assert max(found["tried"], key=lambda each: each[2])[0] == found["rate"]


def test_the_weights_of_the_layers_are_those_of_the_network(shown):
    assert [layer["parameters"] for layer in shown["layers"]] == [896, 18_496, 36_928]
    assert {pair["name"]: pair["head"] for pair in shown["pairs"]} == {"far": 10_250, "near": 5_125}
    assert shown["runs"][f"far|5|{number('plain', 'FFF')}"]["parameters"] == 10_250


def test_answers_belong_to_the_run_that_is_shown(shown):
    told = [run["answers"] for run in shown["runs"].values()]
    assert all(len(answers) == experiments.explorer.ANSWERED for answers in told)
    if data.load("mnist").name != "mnist":
        return  # their truth is not here
    pair = next(pair for pair in explorer.payload()["pairs"] if pair["name"] == "far")
    for key, run in shown["runs"].items():
        if key.startswith("far"):
            right = np.mean([a == b for a, b in zip(run["answers"], pair["truth"], strict=True)])
            assert right == pytest.approx(run["test"][0], abs=0.12)  # a hundred images of ten thousand


@pytest.mark.parametrize("method", ["plain", "feature extraction", "LP-FT", "distillation"])
def test_the_code_names_the_run(table, method):
    setting = next(s for s in explorer.OFFER if s.method == method and "R" not in s.states)
    run = Run.of(explorer.rows_for(table, "far", setting, 5).iloc[0])
    text = explorer.code(run)
    compile(text, "code", "exec")
    assert f"learning_rate={run.learning_rate:g}, steps=200, batch_size=32, seed=0" in text
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
        with pytest.raises(data.DataError):
            data.load("cifar10")
        return
    names = {}
    exec(found["code"], names)
    assert names["accuracy"] == pytest.approx(found["test"][0], abs=experiments.card.TOLERANCE)


# --- The widget ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pair": "middle"}, "Pairs are far, near"),
        ({"labels": 3}, "labels per class 2, 5, 10, 50"),
        ({"states": "RFF"}, "There is no 'plain' with 'RFF'"),
        ({"pair": "near", "method": "logic rules", "states": "TTT"}, "There is no 'logic rules'"),
    ],
)
def test_what_is_not_offered_is_refused(shown, arguments, message):
    with pytest.raises(widgets.WidgetError, match=message):
        widgets.Explorer(shown=shown, **arguments)


def test_a_choice_can_be_set_and_a_wrong_one_leaves_the_old(widget):
    widget.choice = widget.choice | {"states": "FFF"}
    with pytest.raises(widgets.WidgetError):
        widget.choice = widget.choice | {"states": "FZF"}
    assert widget.choice["states"] == "FFF"
    assert "states='FFF'" in repr(widget)


def test_the_page_holds_all_that_it_shows_and_is_small(shown):
    page = widgets.Explorer(shown=explorer.payload()).html()
    assert len(gzip.compress(page.encode())) < LIMIT
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert page.count("</script") == 1


def test_nothing_in_the_data_ends_the_program(shown):
    hostile = shown | {"pairs": [shown["pairs"][0] | {"title": "</script><b>"}, shown["pairs"][1]]}
    page = widgets.Explorer(shown=hostile).html()
    assert "</script><b>" not in page
    assert json.loads('"\\u003c/script>\\u003cb>"') == "</script><b>"


def test_two_explorers_have_names_of_their_own(shown):
    assert widgets.Explorer(shown=shown).name != widgets.Explorer(shown=shown).name


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
            self.go_on.wait(10)
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
    widget._thread.join(20)
    (run,) = rehearsal.runs
    assert (run.seed, run.learning_rate, run.layers_copied, run.layers_frozen) == (7, 0.01, 2, 2)
    assert widget.live["status"] == "done"
    assert widget.live["test"] == 0.75
    assert "75.0 % of the test images" in widget.live["message"]


def test_a_second_click_does_not_train_a_second_time(widget, rehearsal):
    send(widget, do="train", seed=0, rate=0.01, **widget.choice)
    assert rehearsal.begun.wait(20)
    send(widget, do="train", seed=1, rate=0.01, **widget.choice)
    assert widget.train() is False
    rehearsal.go_on.set()
    widget._thread.join(20)
    assert len(rehearsal.runs) == 1


def test_stop_keeps_what_was_reached(widget, rehearsal):
    send(widget, do="train", seed=0, rate=0.01, **widget.choice)
    assert rehearsal.begun.wait(20)
    widget.choice = widget.choice | {"labels": 50}  # a change does not disturb the training
    send(widget, do="stop")
    rehearsal.go_on.set()
    widget._thread.join(20)
    assert widget.live["status"] == "stopped"
    assert widget.live["choice"]["labels"] == 5
    assert "after 200 of 200 steps" in widget.live["message"] or "after 100 of 200 steps" in widget.live["message"]


def test_an_error_is_told_in_the_widget(widget, monkeypatch):
    def fail(run, watch):
        raise data.DataError("MNIST is not here. Set TL_DATA_DIR.")

    monkeypatch.setattr(workbench, "live", fail)
    widget.train()
    widget._thread.join(20)
    assert widget.live["status"] == "error"
    assert "MNIST is not here. Set TL_DATA_DIR." in widget.live["message"]
    widget.train(seed=-1)
    widget._thread.join(20)
    assert "whole number" in widget.live["message"]


def test_training_in_the_widget_is_the_run_of_the_records(widget, shown):
    widget.train()
    widget._thread.join(120)
    if data.load("mnist").name != "mnist":
        assert widget.live["status"] == "error"
        assert "is not here" in widget.live["message"]
        return
    recorded = shown["runs"][f"far|5|{number('plain', 'FFR')}"]
    assert widget.live["status"] == "done"
    assert widget.live["test"] == pytest.approx(recorded["test"][0], abs=experiments.card.TOLERANCE)
    assert widget.live["steps"] == recorded["steps"]
