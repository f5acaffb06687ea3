"""What a name stood for: other content behind it is noticed, in every process, before a row is written."""

import importlib
import json
import sys
from dataclasses import replace
from importlib import resources

import numpy as np
import pandas as pd
import pytest
import toy_experiments as toy

import tl_experiments as experiments
from tl_base.backend import keras
from tl_experiments import card, fingerprints, names, runner, workbench
from tl_experiments.store import Store
from tl_helpers import data, knowledge, records

MODULE = """
import numpy as np
import toy_experiments as toy
from tl_helpers import data, knowledge

def target():
    found = toy.few()
    parts = dict(class_names=found.class_names, held_out=found.held_out, groups={groups})
    return data.from_arrays({images}, found.labels, **parts)

def source():
    network = toy.small()
    {network}
    return network

def rules():
    return [knowledge.Rule("says", lambda images: np.full((len(images), 10), {truth}))]
"""

FIRST = {"images": "found.images", "groups": "None", "network": "pass", "truth": "1.0"}

OTHERS = {
    "target": {"images": "255 - found.images"},
    "source": {"network": "network.get_layer('first').kernel.assign(-network.get_layer('first').kernel)"},
    "source, built otherwise": {"network": "network.get_layer('scaled').scale = 1 / 20"},
    "rules": {"truth": "np.arange(10) / 10"},
}


@pytest.fixture
def written_module(tmp_path, monkeypatch):
    """Return a function that writes a module of one's own and loads it, as somebody does who edits it in a kernel."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two edits in a second are two
    monkeypatch.delitem(sys.modules, "edited", raising=False)

    def write(**parts):
        (tmp_path / "edited.py").write_text(MODULE.format(**FIRST | parts))
        importlib.invalidate_caches()
        return importlib.reload(importlib.import_module("edited"))

    yield write
    sys.modules.pop("edited", None)


def edited(experiment, role="target"):
    common = {"pairs": [("edited:source", "edited:target")], "layer": ["second"], "seed": [0], "steps": 3}
    ruled = {"method": ["logic rules"], "settings": [{"rules": "edited:rules", "strength": 5.0}], "layers_copied": [2]}
    return experiments.Grid(experiment, **common, **(ruled if role == "rules" else {}))


@pytest.mark.parametrize("what", OTHERS)
def test_an_edited_function_gives_what_it_says_now_and_never_beside_what_it_said(tmp_path, written_module, what):
    path, role = tmp_path / "a.csv", what.partition(",")[0]
    written_module()
    first = experiments.run(edited("one", role), path, progress=False)
    before = path.read_bytes()
    written_module(**OTHERS[what])
    refused = f"the {role} 'edited:{role}' is not the one that runs of the experiment 'one' were made with"
    with pytest.raises(experiments.ExperimentError, match=refused):  # though no run is missing
        experiments.run(edited("one", role), path, progress=False)
    with pytest.raises(experiments.ExperimentError, match=refused):
        experiments.run(replace(edited("one", role), seed=[1]), path, progress=False)
    assert path.read_bytes() == before
    second = experiments.run(edited("two", role), path, progress=False)  # the advice: another name
    other = experiments.run(edited("one", role), tmp_path / "b.csv", progress=False)  # or another file
    for again in (second, other):
        told, was = (json.loads(table.fingerprints[0]) for table in (again, first))
        assert {name for name in told if told[name] != was[name]} == {role}
        assert again.history[0] != first.history[0]
    written_module()  # or what it was
    assert len(experiments.run(edited("one", role), path, progress=False)) == 1


def test_a_new_experiment_in_the_same_kernel_is_that_of_a_new_kernel(tmp_path, written_module):
    written_module()
    experiments.run(edited("one"), tmp_path / "a.csv", progress=False)
    written_module(**OTHERS["target"])
    here = experiments.run(edited("two"), tmp_path / "a.csv", progress=False)
    workbench.bench.cache_clear()
    fresh = experiments.run(edited("two"), tmp_path / "b.csv", progress=False)
    pd.testing.assert_frame_equal(here[[*toy.SAME, "fingerprints"]], fresh[[*toy.SAME, "fingerprints"]], atol=0.004)


def test_a_file_behind_a_function_and_a_function_that_draws_are_noticed(tmp_path, written_module):
    """Nothing is edited here: the function is the same and returns something else."""
    path = tmp_path / "a.csv"
    np.save(tmp_path / "shift.npy", 0)
    reads = f"np.roll(found.images, int(np.load({str(tmp_path / 'shift.npy')!r})), axis=2)"
    written_module(images=reads)
    experiments.run(edited("one"), path, progress=False)
    np.save(tmp_path / "shift.npy", 5)
    with pytest.raises(experiments.ExperimentError, match="target 'edited:target' is not the one"):
        experiments.run(edited("one"), path, progress=False)
    written_module(network="network.get_layer('first').kernel.assign(np.random.normal(size=(3, 3, 3, 4)))")
    experiments.run(edited("drawn"), path, progress=False)
    with pytest.raises(experiments.ExperimentError, match=r"draws something new each time .* let it load a file"):
        experiments.run(edited("drawn"), path, progress=False)


def test_other_groups_are_other_data(tmp_path, written_module):
    path, together = tmp_path / "a.csv", "found.held_out + 2 * (np.arange(len(found)) // {})"
    written_module(groups=together.format(2))
    experiments.run(edited("one"), path, progress=False)
    written_module(groups=together.format(3))
    with pytest.raises(experiments.ExperimentError, match="target 'edited:target' is not the one"):
        experiments.run(edited("one"), path, progress=False)
    written_module(groups=together.format(2))
    assert (card.repeat(experiments.run(edited("one"), path, progress=False), 1).difference.abs() < 0.02).all()


def test_other_images_behind_a_name_of_ours_are_not_recorded_beside_the_first(tmp_path, monkeypatch):
    """A reduced set in TL_DATA_DIR is allowed; the same experiment on the full one, and on it, is not."""
    digits = toy.digits()
    half = {part: np.flatnonzero(digits.held_out == (part == "test"))[:200] for part in ("train", "test")}

    def write(folder, count):
        folder.mkdir(exist_ok=True)
        rows = {part: index[:count] for part, index in half.items()}
        images = {
            f"x_{part}": np.ascontiguousarray(digits.images[index, 2:30, 2:30, 0]) for part, index in rows.items()
        }
        np.savez(folder / "mnist.npz", **images, **{f"y_{part}": digits.labels[index] for part, index in rows.items()})

    path, grid = tmp_path / "a.csv", experiments.Grid("one", [("digits", "mnist")], seed=[0], steps=1)
    write(tmp_path / "full", 200)
    write(tmp_path / "small", 150)
    monkeypatch.setenv("TL_DATA_DIR", str(tmp_path / "full"))
    (full,) = experiments.run(grid, path, progress=False).fingerprints
    with monkeypatch.context() as elsewhere:  # another folder
        elsewhere.setenv("TL_DATA_DIR", str(tmp_path / "small"))
        with pytest.raises(experiments.ExperimentError, match="the target 'mnist' is not the one"):
            experiments.run(replace(grid, seed=[1]), path, progress=False)
        assert len(experiments.run(grid, path, progress=False)) == 1  # what is complete needs no data
        (small,) = experiments.run(replace(grid, experiment="two"), path, progress=False).fingerprints
    assert small != full
    assert experiments.run(replace(grid, experiment="three"), path, progress=False).fingerprints[0] == full
    write(tmp_path / "full", 150)  # another file in the same folder
    with pytest.raises(experiments.ExperimentError, match="the target 'mnist' is not the one"):
        experiments.run(replace(grid, seed=[1]), path, progress=False)


def test_a_plan_stands_as_long_as_its_runs_do(tmp_path, monkeypatch):
    """Expectations are written before the first run; who changes them later cannot add runs, nor pass unnoticed."""
    path, plan = tmp_path / "runs", tmp_path / "plan.toml"
    common = {"pairs": [("toy_experiments:small", "toy_experiments:few")], "layer": ["second"], "steps": 1}
    grid, free = (experiments.Grid(name, **common, seed=[0]) for name in ("planned", "free"))
    (before,) = experiments.run(grid, tmp_path / "before", progress=False).fingerprints
    assert "plan" not in json.loads(before)
    monkeypatch.setitem(names.PLANS, "planned", str(plan))
    with pytest.raises(experiments.ExperimentError, match=r"plan\.toml cannot be read .*Bring it back"):
        experiments.run(grid, path, progress=False)
    plan.write_text("margin = 1\n")
    found = experiments.run([grid, free], path, progress=False).set_index("experiment").fingerprints.map(json.loads)
    assert found["planned"]["plan"] == fingerprints.of_file(plan)
    assert found["planned"] == found["free"] | {"plan": fingerprints.of_file(plan)}
    plan.write_bytes(b"margin = 1\r\n")  # as git writes it on Windows
    assert len(experiments.run(replace(grid, seed=[0, 1]), path, progress=False)) == 2
    plan.write_text("margin = 2\n")
    with (
        monkeypatch.context() as shipped
    ):  # as if the names were those of what ships, which complete records do not need
        shipped.setattr(runner, "_is_own", lambda name: False)
        with pytest.raises(experiments.ExperimentError, match=r"the plan .* is not the one"):
            experiments.run(grid, path, progress=False)
    for seed in ([0], [2]):  # nothing is missing, and something is
        with pytest.raises(
            experiments.ExperimentError, match=r"the plan '.*plan\.toml' is not the one that runs of the"
        ):
            experiments.run(replace(grid, seed=seed), path, progress=False)
    with pytest.raises(experiments.ExperimentError, match=r"the plan .* is not the one"):  # these had none
        experiments.run(replace(grid, seed=[1]), tmp_path / "before", progress=False)
    assert len(experiments.run(replace(free, seed=[1]), path, progress=False)) == 1
    assert len(records.load(path)) == 4


def test_a_process_that_found_something_else_is_not_recorded(tmp_path, monkeypatch):
    def other(batch, memory, threads):
        return [row | {"fingerprints": '{"source": "0", "target": "1"}'} for row in workbench.work(batch)]

    monkeypatch.setattr(runner, "do", other)
    grid = experiments.Grid(
        "one", [("toy_experiments:small", "toy_experiments:few")], layer=["second"], seed=[0], steps=1
    )
    with pytest.raises(experiments.ExperimentError, match="was another one in the process that did a run"):
        experiments.run(grid, tmp_path / "a.csv", progress=False)
    assert len(records.load(tmp_path / "a.csv")) == 0


def test_a_fingerprint_is_that_of_the_content():
    def network(scale=1 / 255, act="relu", name=None, rate=0.5):
        x = image = keras.Input((32, 32, 3), name=name)
        x = keras.layers.Rescaling(scale)(x)
        x = keras.layers.Conv2D(2, 3, activation=act, kernel_initializer="ones")(x)
        x = keras.layers.Dropout(rate, seed=None if name is None else 7)(keras.ops.relu(x))
        return keras.Model(
            image, keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2, kernel_initializer="ones")])(x)
        )

    first = fingerprints.of_network(network(), built=True)
    assert fingerprints.of_network(network(name="other"), built=True) == first
    changed = network()
    changed.weights[0].assign(changed.weights[0] + 1e-6)
    others = [network(scale=1 / 127.5), network(act="tanh"), network(rate=0.1), changed]
    assert len({fingerprints.of_network(each, built=True) for each in others} | {first}) == 5
    dataset = toy.few()
    images, labels, held = dataset.images.copy(), dataset.labels.copy(), dataset.held_out.copy()
    images[7, 3, 3, 0] ^= 1
    labels[7] = (labels[7] + 1) % 10
    held[7] = ~held[7]
    changes = {"images": images, "labels": labels, "held_out": held, "class_names": tuple("abcdefghij")}
    prints = {fingerprints.of_data(replace(dataset, **{name: value})) for name, value in changes.items()}
    assert len(prints | {fingerprints.of_data(dataset)}) == 5
    assert fingerprints.of_data(replace(dataset, images=dataset.images.copy(), provenance="x")) == fingerprints.of_data(
        dataset
    )
    together = np.arange(len(dataset)) // 2
    grouped, others = (fingerprints.of_data(replace(dataset, groups=each)) for each in (together, together // 2))
    assert fingerprints.of_data(replace(dataset, groups=-7 * together)) == grouped != others  # not their numbers
    plain = fingerprints.of_data(dataset)  # as it was before groups were digested
    told = {
        (one, other): fingerprints.agree(one, other) for one in (grouped, others, plain) for other in (grouped, plain)
    }
    assert [pair for pair, alike in told.items() if not alike] == [(others, grouped), (plain, grouped)]
    assert len(plain) == 16
    assert not fingerprints.agree(fingerprints.of_data(replace(dataset, images=images, groups=together)), plain)
    (rule,) = toy.rules()
    rules = [
        rule,
        replace(rule, confidence=2.0),
        replace(rule, name="x"),
        knowledge.Rule(rule.name, lambda i: np.zeros((len(i), 10))),
    ]
    assert len({fingerprints.of_rules([each], dataset) for each in rules}) == 4


def test_the_records_that_ship_tell_what_their_names_stood_for(shipped):
    desk = Store()
    rows = shipped.drop_duplicates(["experiment", "source", "target", "settings"])
    here = {"digits"} | {name for name in ("mnist", "cifar10") if is_complete(name, shipped)}
    for row in rows.to_dict("records"):
        run, told = experiments.Run.of(row), json.loads(row["fingerprints"])
        assert told.keys() == names.named(run).keys()
        assert told["source"] == desk.fingerprints(replace(run, target="digits", settings=()))["source"]
        assert "plan" not in told or told["plan"] == fingerprints.of_file(names.PLANS[run.experiment])
        if run.target.partition("-")[0] in here:
            assert told == desk.fingerprints(run)
    assert rows.fingerprints.nunique() > 10


def is_complete(name, shipped):
    """Tell whether the images are here that the records were made with."""
    card = json.loads((resources.files("tl_helpers") / "assets" / "records.json").read_text(encoding="utf-8"))
    found = data.load(name, required=False)
    return found is not None and fingerprints.sha256_of(found) == card["data"][name]
