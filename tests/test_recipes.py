"""Recipes: one table of methods serves grids, records, the workbench and the printed code; records keep their keys."""

import contextlib
import json

import pytest

import tl_experiments as experiments
from tl_experiments import Run, arms, calls, names, plan, replicates, workbench
from tl_experiments.calls import Call, Name
from tl_experiments.names import depth_of
from tl_experiments.recipes import METHODS, Method
from tl_helpers import records

SMALL = {"pairs": [("toy_experiments:small", "toy_experiments:few")], "layer": ["second"], "layers_copied": [2]}
SMALL |= {"seed": [3], "steps": 10}


@pytest.fixture(scope="module")
def shipped():
    return records.load()


@pytest.fixture(scope="module")
def runs(shipped):
    """All runs that the grids name, of the second plan as far as its choices are recorded."""
    found = {}
    for make in (experiments.known() | experiments.planned()).values():
        with contextlib.suppress(experiments.ExperimentError):  # waits for a choice: then none of its rows may be there
            found |= {run.key: run for run in experiments.expand(make(shipped))}
    return found


def test_the_grids_still_name_every_recorded_run_and_no_other(shipped, runs):
    """The proof that the records are valid: a key is a digest of everything that decides a run."""
    asked = {run.key for make in experiments.known().values() for run in experiments.expand(make(shipped))}
    assert asked <= set(shipped.key) <= set(runs)
    assert [runs[key].arm for key in shipped.key] == list(shipped.arm)
    assert len(asked) > 8000


def test_every_record_did_what_its_arm_says(shipped):
    columns = [*arms.FIELDS, "arm", "settings", "source"]
    second = shipped.experiment.isin([*names.PLANS, replicates.TRIALS])
    for row in shipped.assign(second=second).drop_duplicates([*columns, "second"]).to_dict("records"):
        known = arms.SECOND_PLAN if row.pop("second") else arms.ALL
        arm = known[row["arm"]].on(row["source"])
        recipe = Run.of(row | {"label_noise": 0.0})
        expected = arm.fields(depth_of(row["source"], row["layer"]))
        assert {name: getattr(recipe, name) for name in expected} == expected, row["arm"]
        given = {
            name: value for name, value in (recipe.own_settings | recipe.treatments).items() if name != "base_rate"
        }
        assert given in [dict(trial) for trial in arm.trials], row["arm"]


def test_no_two_arms_are_one_treatment_but_those_that_have_two_names(shipped):
    treatments = {}
    for name, arm in arms.ALL.items():
        network = "imagenet" if name in arms.OF_LARGE else "cifar10"
        facts = arm.fields(depth_of(network, arm.layer)), [dict(trial) for trial in arm.trials]
        treatments.setdefault(json.dumps(facts), []).append(name)
    assert [names for names in treatments.values() if len(names) > 1] == [
        ["fine-tuned from the source", "A3B, 0 frozen"]
    ]


def test_a_recipe_runs_from_its_names_as_its_code_does():
    (run,) = experiments.Grid("code", **SMALL, method=["L2-SP"], settings=[{"alpha": 0.5}]).runs()
    told = {}
    exec(run.code(), told)
    assert run.run().history.loss == told["result"].history.loss


def _scaled(recipe):
    return Call("transfer.parameter_transfer", (Name("source"), Name("target")), {"layer": recipe.layer, "copy": 1})


def test_a_new_method_is_added_in_one_place(monkeypatch):
    """What CONTRIBUTING says: a line in the table, and grids, records, workbench and printed code know it."""
    method = Method(_scaled, lambda recipe, depth: {"layers_copied": 1, "layers_frozen": 0}, ("head_rate",))
    monkeypatch.setitem(METHODS, "one layer", method)
    grid = experiments.Grid("new", **SMALL, method=["one layer"])
    (run,) = grid.runs()
    (row,) = workbench.work([run])
    assert row["error"] == ""
    assert row["layers_copied"] == 1
    told = {}
    exec(run.code(), told)
    assert told["accuracy"] == pytest.approx(row["test_accuracy"], abs=1e-5)
    assert records.history(row)["loss"] == pytest.approx(told["result"].history.loss, rel=1e-4)
    with pytest.raises(experiments.ExperimentError, match="has no setting 'alpha'"):
        experiments.Grid("new", **SMALL, method=["one layer"], settings=[{"alpha": 1.0}])


def test_a_method_gets_activations_for_images_only_if_it_says_so(monkeypatch):
    """A term that reads the images would else be given what frozen layers make of them, without a word."""
    axes = SMALL | {"layers_frozen": [1], "method": ["some"]}
    kept = {}
    for on_activations in (False, True):
        method = Method(_scaled, lambda recipe, depth: {}, on_activations=on_activations)
        monkeypatch.setitem(METHODS, "some", method)
        (run,) = experiments.Grid("new", **axes).runs()
        kept[on_activations] = plan.prefix_key(run) is not None
    assert kept == {False: False, True: True}
    assert Method(_scaled, lambda recipe, depth: {}).on_activations is False


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (Call("data.digits"), "data.digits()"),
        (Call("models.pretrained", ("digits",), then=".model"), 'models.pretrained("digits").model'),
        (Call("data.only", (Call("data.load", ("cifar10",)), Name("data.CIFAR10_B"))), None),
    ],
)
def test_a_short_call_stands_on_one_line(call, text):
    assert call.text() == (text or 'data.only(data.load("cifar10"), data.CIFAR10_B)')


def test_a_long_call_is_broken_between_its_arguments_only():
    call = Call("transfer.from_scratch", (Name("target"),), {f"word{i}": "a b, c" * 3 for i in range(6)})
    lines = call.text().splitlines()
    assert max(map(len, lines)) <= calls.WIDTH
    assert [eval(f"dict({line.strip()})") for line in lines[2:-1]]
    assert call.text().count('"a b, ca b, ca b, c"') == 6


def test_what_is_at_hand_is_not_made_again():
    script = {"teacher": Call("models.pretrained", ("no such network",))}
    assert calls.made_when_needed(script, {"teacher": 3})("teacher") == 3
    with pytest.raises(KeyError, match="rules"):
        calls.made_when_needed(script, {})("rules")
