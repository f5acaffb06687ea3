import importlib
import json
import os
import random
import resource
import subprocess
import sys
from dataclasses import replace
from importlib import resources

import numpy as np
import pandas as pd
import pytest
import toy_experiments as toy
from hypothesis import given, settings
from hypothesis import strategies as st

import tl_experiments as experiments
from tl_base.backend import keras
from tl_experiments import __main__ as command
from tl_experiments import arms, cost, fingerprints, grid, heads, log, names, plan, runner, workbench
from tl_experiments.grid import METHODS
from tl_experiments.names import depth_of
from tl_experiments.store import Activations, Store
from tl_helpers import data, knowledge, models, records, training, transfer
from tl_helpers.records import RecordsError

TOY = {"pairs": [("toy_experiments:source", "toy_experiments:digits")], "seed": range(2), "steps": 12}
GRIDS = [
    experiments.Grid("toy", **TOY, learning_rate=[1e-3, 1e-2], initialisation=["source", "random"]),
    experiments.Grid("toy", **TOY, method=["parameter transfer"], layers_copied=[3, 2], layers_frozen=[2]),
    experiments.Grid("toy", **TOY, method=["LP-FT"], labels_per_class=[1], layers_frozen=[2]),
    experiments.Grid(
        "toy", **TOY, method=["L2-SP"], settings=[{"alpha": 0.1}], layers_frozen=[2], labels_per_class=[1]
    ),
]
SAME = ["validation_accuracy", "test_accuracy"]
VERSION = f"# schema {records.SCHEMA_VERSION}"


@pytest.fixture(scope="session")
def done(tmp_path_factory):
    return experiments.run(GRIDS, tmp_path_factory.mktemp("runs") / "one.csv", progress=False)


def by_key(table):
    return table.set_index("key").sort_index()


# --- The records that ship -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped():
    return records.load()


def test_records_are_tidy_and_complete(shipped):
    assert list(shipped.columns) == records.COLUMNS
    assert shipped.validation_accuracy.between(0, 1).all()
    assert (shipped.error == "").all()
    assert shipped[shipped.experiment == "tuning"].test_accuracy.isna().all()
    assert shipped[shipped.experiment == "report"].test_accuracy.between(0, 1).all()


def test_nothing_is_missing_in_the_records_that_ship(shipped):
    for make in experiments.known().values():
        assert {run.key for run in experiments.expand(make(shipped))} <= set(shipped.key)


@pytest.mark.parametrize("target", ["mnist", "digits"])
def test_every_arm_was_tuned_with_the_same_budget(shipped, target):
    for labels, seeds in ((5, len(experiments.DEVELOPMENT_SEEDS)), (None, 1)):
        rows = shipped[(shipped.experiment == "tuning") & (shipped.target == target)]
        rows = rows[rows.labels_per_class.isna() if labels is None else rows.labels_per_class == labels]
        runs = rows.groupby(["arm", "learning_rate"]).seed.nunique().unstack()
        assert set(runs.index) == set(arms.WORKED_EXAMPLE)
        assert tuple(runs.columns) == experiments.LEARNING_RATES
        assert (runs == seeds).all(axis=None)
        assert rows.steps.nunique() == rows.batch_size.nunique() == 1


def test_development_seeds_are_not_reported(shipped):
    reported = set(shipped[shipped.experiment == "report"].seed)
    assert reported == {0, 1, 2}
    assert not reported & set(experiments.DEVELOPMENT_SEEDS)


def test_arms_share_what_they_should(shipped):
    ten_classes = shipped[shipped.target != "cifar10-b"]
    sizes = ten_classes.groupby("arm").trainable_parameters.unique().map(list)
    assert sizes["fine-tuned from the source"] == sizes["from scratch"] == [56_320 + 10_250]
    assert sizes["linear head, source features"] == sizes["linear head, random features"] == [10_250]


def test_an_arm_is_the_same_as_a_call_and_in_a_grid():
    calls = experiments.arm_calls(models.source_cnn())
    assert list(calls) == list(arms.WORKED_EXAMPLE)
    split = data.few_shot(toy.digits(), 1)
    for name, arm in arms.WORKED_EXAMPLE.items():
        (run,) = experiments.Grid("x", seed=[0], **arm.axes()).runs()
        told = calls[name](split, steps=1).settings
        assert (run.layer, run.head, run.initialisation) == (told["layer"], told["head"], told["initialisation"])
        assert (run.layers_copied, run.layers_frozen) == (told["copy"], told["freeze"])
        assert dict(run.settings).get("standardise", run.method == "feature extraction") == told["standardise"]


def test_the_budget_is_that_of_the_split():
    digits = data.from_arrays(np.random.default_rng(0).integers(0, 256, (90, 8, 8), "uint8"), np.arange(90) % 3)
    assert experiments.budget(data.few_shot(digits, 3)) == {"steps": 200, "batch_size": 32}
    assert experiments.budget(data.full_split(digits)) == {"steps": 200, "batch_size": 128}


# --- Choosing learning rates -----------------------------------------------------------------------------------------

ROW = {
    "experiment": "tuning",
    "source": "cifar10",
    "target": "mnist",
    "arm": "a",
    "labels_per_class": 5,
    "settings": "{}",
}


def table(**columns):
    rows = [ROW | dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return pd.DataFrame(rows).astype({"labels_per_class": "Int64"})


def test_the_learning_rate_with_the_best_mean_is_chosen():
    rows = table(learning_rate=[0.1, 0.1, 0.2, 0.2], validation_accuracy=[0.9, 0.1, 0.6, 0.7], seed=[1, 2, 1, 2])
    assert records.chosen_rate(rows, "mnist", 5, "a") == 0.2
    full = table(labels_per_class=[None, 5], learning_rate=[0.3, 0.4], validation_accuracy=[0.1, 0.2], seed=[1, 1])
    assert records.chosen_rate(full, "mnist", None, "a") == 0.3
    assert records.chosen_rates(full).tolist() == [0.4, 0.3]
    with pytest.raises(RecordsError, match="No tuning record for 'b'"):
        records.chosen_rate(rows, "mnist", 5, "b")


def test_a_rate_tried_on_fewer_seeds_is_no_fair_choice():
    rows = table(learning_rate=[0.1, 0.1, 0.2], validation_accuracy=[0.5, 0.6, 0.9], seed=[1, 2, 1])
    with pytest.raises(RecordsError, match="different seeds"):
        records.chosen_rates(rows)


# --- Grids -----------------------------------------------------------------------------------------------------------

OWN_SETTINGS = {
    "L2-SP": {"alpha": 0.1},
    "distillation": {"teacher": "digits", "temperature": 2.0},
    "attention transfer": {"strength": 1.0, "layers": ["conv3"]},
    "logic rules": {"rules": "toy_experiments:rules", "strength": 2.0},
}


def axis(values, most):
    return st.lists(values, min_size=1, max_size=most, unique=True)


methods = st.one_of(
    axis(st.sampled_from([name for name in METHODS if name not in OWN_SETTINGS]), 3).map(lambda some: (some, [{}])),
    st.sampled_from(list(OWN_SETTINGS)).map(lambda name: ([name], [OWN_SETTINGS[name]])),
)
axes = st.fixed_dictionaries(
    {
        "initialisation": axis(st.sampled_from(["source", "random", "target"]), 3),
        "layer": axis(st.sampled_from(["rescale", "conv2", "conv3", "dense"]), 2),
        "layers_copied": axis(st.integers(0, 4), 3),
        "layers_frozen": axis(st.integers(0, 4), 3),
        "labels_per_class": axis(st.sampled_from([None, 1, 5, 100]), 3),
        "learning_rate": axis(st.sampled_from([1e-3, 1e-2]), 2),
        "seed": axis(st.integers(0, 20), 3),
    }
)
grids = st.builds(lambda some, own: experiments.Grid("any", method=some[0], settings=some[1], **own), methods, axes)


@settings(max_examples=60, deadline=None)
@given(grids)
def test_a_grid_expands_to_sensible_runs_each_once(grid):
    runs = grid.runs()
    assert len({run.key for run in runs}) == len(runs) <= grid.size
    for run in runs:
        assert 0 <= run.layers_frozen <= run.layers_copied <= depth_of(run.source, run.layer)
        if run.method == "from scratch":
            assert (run.layers_copied, run.initialisation) == (0, "random")
        if run.method == "feature extraction":
            assert run.layers_frozen == depth_of(run.source, run.layer)
        if run.method in ("LP-FT", "L2-SP"):
            assert run.layers_frozen < run.layers_copied


@settings(max_examples=60, deadline=None)
@given(grids)
def test_batches_hold_every_run_once_and_share_what_they_should(grid):
    runs = grid.runs()
    batches = plan.batches(runs)
    assert sorted(run.key for batch in batches for run in batch) == sorted(run.key for run in runs)
    for batch in batches:
        keys = {plan.prefix_key(run) for run in batch}
        assert len(batch) == 1 or plan.trains_together(batch[0]) or len(keys) == 1
        if len(batch) > 4:  # heads: every seed with every rate
            pairs = {(run.seed, run.learning_rate) for run in batch}
            assert len(pairs) == len({s for s, _ in pairs}) * len({r for _, r in pairs}) == len(batch) <= 64


def test_a_key_is_the_same_on_every_machine_and_says_everything():
    (run,) = experiments.Grid("any", seed=[0]).runs()
    assert run.key == "be60fd557349aafe"
    changed = {"experiment": "b", "seed": 1, "learning_rate": 0.1, "settings": (("standardise", False),), "test": False}
    assert len({replace(run, **{name: value}).key for name, value in changed.items()} | {run.key}) == 1 + len(changed)
    assert replace(run, arm="called otherwise").key == run.key


def test_a_source_counts_its_layers_as_the_grid_does():
    network = models.source_cnn()
    for layer in network.layers[:-1]:
        assert depth_of("cifar10", layer.name) == len(models.weight_layers(models.features_at(network, layer.name)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "from scratch"}, "is an axis"),
        ({"settings": {"alpha": 1}}, "is an axis"),
        ({"seed": 3}, "is an axis"),
        ({"method": ["magic"]}, "Unknown method"),
        ({"steps": 0}, "steps"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(wrong, message):
    with pytest.raises(experiments.ExperimentError, match=message):
        experiments.Grid("any", **wrong)


def test_a_layer_that_is_not_there_is_refused():
    with pytest.raises(experiments.ExperimentError, match="no layer 'conv9'"):
        experiments.Grid("any", layer=["conv9"]).runs()


# --- The file of records ---------------------------------------------------------------------------------------------

ROWS = [row for run in toy.GRID.runs()[:6] for row in toy.quick_work([run], 0, None)]


def written(path, rows=ROWS):
    with log.open_log(path) as file:
        file.append(rows)
    return path.read_bytes()


def test_a_row_comes_back_as_it_was_and_tells_its_run(tmp_path):
    grid = experiments.Grid("any", method=["L2-SP"], head=[(8, 4)], settings=[{"alpha": 0.5}], seed=[4])
    full = experiments.Grid("any", labels_per_class=[None], seed=[1], test=False)
    runs = experiments.expand([grid, full])
    came_to = workbench.Outcome(
        images=100,
        validation_accuracy=0.123456,
        trainable_parameters=3,
        seconds=0.5,
        history=training.History((1, 2), (0.5, 0.25), (0.1, 0.2), 0.5),
    )
    rows = [workbench.row(run, replace(came_to, test_accuracy=0.5 if run.test else None)) for run in runs]
    written(tmp_path / "a.csv", rows)
    for run, row in zip(runs, records.load(tmp_path / "a.csv").to_dict("records"), strict=True):
        assert experiments.Run.of(row) == replace(run, epochs=0)
        assert row["key"] == run.key
        assert row["validation_accuracy"] == 0.12346
        assert records.history(row)["loss"] == [0.5, 0.25]


def test_an_interruption_at_any_byte_loses_one_row_at_most(tmp_path):
    path = tmp_path / "a.csv"
    whole, last = written(path), len(log.line_of(ROWS[-1]))
    cuts = {
        0,
        1,
        5,
        len(records.HEADER) - 1,
        len(records.HEADER),
        len(records.HEADER) + 1,
        len(whole) - 1,
        len(whole) - last,
    }
    for cut in cuts | set(random.Random(0).sample(range(len(whole)), 25)):
        path.write_bytes(whole[:cut])
        if cut not in (len(records.HEADER), len(whole) - last):
            with pytest.raises(RecordsError):
                records.load(path)
        with log.open_log(path) as file:
            assert len(file.keys) == whole[len(records.HEADER) : cut].count(b"\n")
            file.append([row for row in ROWS if row["key"] not in file.keys])
        assert path.read_bytes() == whole


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused_and_left_alone(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "a.csv"
    whole = written(path, [row | {"history": ""} for row in ROWS])
    place = data.draw(st.integers(0, len(whole) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[place]))
    damaged = whole[:place] + bytes([byte]) + whole[place + 1 :]
    path.write_bytes(damaged)
    with pytest.raises(RecordsError):
        records.load(path)
    with pytest.raises(RecordsError), log.open_log(path):
        pass
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace(VERSION, "# schema 1"), f"expected '{VERSION}' in line 1, found '# schema 1'"),
        (lambda text: text.replace(",seed,", ",sead,"), "other columns"),
        (lambda text: text + "tuning,1,2\n", "line 9 is damaged"),
        (lambda text: text + text.splitlines()[-1] + "\n", "1 runs stand there twice"),
        (lambda text: text[:-30], "has no end"),
        (lambda text: "\ufeff" + text, f"expected '{VERSION}'"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, change, message):
    path = tmp_path / "a.csv"
    path.write_text(change(written(path, [row | {"history": ""} for row in ROWS]).decode()))
    with pytest.raises(RecordsError, match=message):
        records.load(path)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(RecordsError, match="is not there"):
        records.load(tmp_path / "none.csv")


def test_a_full_disk_leaves_the_file_whole(tmp_path):
    path = tmp_path / "a.csv"
    before = written(path, ROWS[:2])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, limits[1]))
        with (
            pytest.raises(RecordsError, match=r"1 rows cannot be written .*Make room"),
            log.open_log(path) as file,
        ):
            file.append(ROWS[2:3])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert written(path, ROWS[2:3]).startswith(before)


def test_two_runners_on_one_file_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    with log.open_log(path), pytest.raises(RecordsError, match="Another runner"), log.open_log(path):
        pass
    with log.open_log(path):
        pass


# --- Running: resumed, in several processes, with failures -----------------------------------------------------------


def test_killed_at_random_moments_it_loses_no_row_and_does_none_twice(tmp_path, root):
    path = tmp_path / "killed.csv"
    call = [sys.executable, root / "tests" / "toy_experiments.py", path, "25"]
    counts = subprocess.run(call, check=True, capture_output=True, text=True, env=environment(root)).stdout.split()
    assert len(counts) == 25
    assert len(set(counts)) > 10  # the kills fell on different places
    finished = records.load(path)
    expected = {row["key"]: row for row in toy.quick_work(toy.GRID.runs(), 0, None)}
    assert sorted(finished.key) == sorted(expected)
    assert all(row.test_accuracy == expected[row.key]["test_accuracy"] for row in finished.itertuples())


def environment(root):
    return os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"}


def test_stopped_by_ctrl_c_it_goes_on_where_it_was(tmp_path):
    path, calls = tmp_path / "a.csv", []

    def stopped_at_the_third(batch, memory, threads):
        calls.append(batch)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return toy.quick_work(batch, memory, threads)

    with pytest.raises(KeyboardInterrupt):
        experiments.run(toy.GRID, path, progress=False, work=stopped_at_the_third)
    assert len(records.load(path)) == 8
    finished = experiments.run(toy.GRID, path, progress=False, work=stopped_at_the_third)
    assert len(finished) == len(toy.GRID.runs())
    assert len({run.key for batch in calls for run in batch}) == sum(map(len, calls)) - 4  # only the third again


def test_heads_trained_together_equal_heads_trained_alone(done):
    source, digits = toy.source(), toy.digits()
    rows = done[done.method == "feature extraction"]
    assert len(rows) == 8
    for row in rows.to_dict("records"):
        split = data.few_shot(digits, 5, row["seed"])
        budget = {"learning_rate": row["learning_rate"], "steps": 12, "seed": row["seed"], "points": 10}
        alone = transfer.feature_extraction(source, split, initialisation=row["initialisation"], **budget)
        assert alone.evaluate(split.test).accuracy == pytest.approx(row["test_accuracy"], abs=0.004)
        assert records.history(row)["loss"] == pytest.approx(alone.history.loss, rel=1e-3)
        assert records.history(row)["steps"] == list(alone.history.steps)
        assert row["trainable_parameters"] == alone.trainable_parameters


def test_a_run_behind_a_frozen_prefix_equals_the_ordinary_call(done):
    source, digits = toy.source(), toy.digits()
    for row in done[done.method.isin(["parameter transfer", "LP-FT"])].to_dict("records"):
        split = data.few_shot(digits, row["labels_per_class"], row["seed"])
        shape = {"copy": row["layers_copied"], "freeze": row["layers_frozen"], "points": 10}
        shape["probe_steps"] = 6 * (row["method"] == "LP-FT")
        alone = transfer.parameter_transfer(source, split, **shape, steps=12, seed=row["seed"])
        assert alone.evaluate(split.test).accuracy == pytest.approx(row["test_accuracy"], abs=0.004)
        assert records.history(row)["loss"] == pytest.approx(alone.history.loss, rel=1e-3)
        assert row["trainable_parameters"] == alone.trainable_parameters


def test_every_method_runs_from_a_grid_and_again_from_its_row(tmp_path):
    common = TOY | {"seed": [0], "steps": 2, "labels_per_class": [1], "layers_frozen": [2]}
    every = [
        experiments.Grid("toy", **common, method=[name], settings=[OWN_SETTINGS.get(name, {})]) for name in METHODS
    ]
    done = experiments.run(every, tmp_path / "a.csv", progress=False)
    assert sorted(done.method) == sorted(METHODS)
    assert (done.error == "").all(), done.error.tolist()
    for row in done[done.method.isin(OWN_SETTINGS)].to_dict("records"):
        assert experiments.Run.of(row) in experiments.expand(every)


def test_kernels_serve_features_as_they_are():
    generator = np.random.default_rng(0)
    features = generator.normal(3, 2, (2, 30, 5)).astype("float32")
    labels = generator.integers(0, 3, (2, 30))
    budget = {"classes": 3, "learning_rates": [0.1, 0.01], "seeds": [0, 1], "steps": 30, "batch_size": 8, "points": 3}
    trained = heads.fit_heads(features.copy(), labels, (features, labels), standardise=True, **budget)
    assert trained.kernels.shape == (2, 5, 2, 3)
    assert trained.validation_accuracy.shape == (3, 2, 2)
    own = heads.accuracy(trained.kernels, trained.biases, features, labels)
    assert np.array_equal(own, trained.validation_accuracy[-1])
    shared = heads.accuracy(trained.kernels, trained.biases, features[0], labels[0])
    assert np.array_equal(shared[0], own[0])
    again = heads.fit_heads(features.copy(), labels, (features, labels), standardise=True, **budget)
    assert np.array_equal(again.kernels, trained.kernels)  # nothing is left over from the first call


def test_a_recorded_run_can_be_done_again(done):
    for row in done.sample(4, random_state=0).to_dict("records"):
        (again,) = workbench.work([experiments.Run.of(row)])
        assert [again[name] for name in SAME] == pytest.approx([row[name] for name in SAME], abs=0.004)
        assert again["key"] == row["key"]


def test_two_jobs_give_the_records_of_one(done, tmp_path):
    two = experiments.run(GRIDS, tmp_path / "two.csv", jobs=2, progress=False)
    assert sorted(two.key) == sorted(done.key)
    pd.testing.assert_frame_equal(by_key(two)[SAME], by_key(done)[SAME], atol=0.004, rtol=0)


def test_a_dask_cluster_gives_the_records_of_one_process(done, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        found = experiments.run(GRIDS[:1], tmp_path / "dask.csv", dask=cluster.scheduler_address, progress=False)
    expected = by_key(done).loc[sorted(found.key)]
    assert len(found) == 8
    pd.testing.assert_frame_equal(by_key(found)[SAME], expected[SAME], atol=0.004, rtol=0)


def test_a_failed_run_is_recorded_and_stops_no_other(tmp_path):
    path = tmp_path / "a.csv"
    few = TOY | {"steps": 2, "seed": [0]}
    wrong = experiments.Grid("toy", **few, method=["L2-SP"], settings=[{"alpha": -1.0}], layers_frozen=[2])
    lost = experiments.Grid("toy", **few, learning_rate=[1e-2, 1e38])
    found = experiments.run([wrong, lost], path, progress=False).set_index(["method", "learning_rate"])
    assert "KnowledgeError" in found.error["L2-SP", 1e-3]
    assert "Lower the learning rate" in found.error["feature extraction", 1e38]
    assert found.error["feature extraction", 1e-2] == ""
    assert found.validation_accuracy.isna().tolist() == (found.error != "").tolist()
    before = path.read_bytes()
    experiments.run([wrong, lost], path, progress=False)
    assert path.read_bytes() == before  # its error stands
    experiments.run(wrong, path, progress=False, retry_failed=True, work=toy.quick_work)
    assert (records.load(path).error != "").sum() == 0


def test_data_that_are_not_here_stop_the_grid_and_record_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", lambda name, complete: toy.digits())
    workbench.bench.cache_clear()
    with pytest.raises(experiments.ExperimentError, match="'mnist' is not here, and 'digits' must not"):
        experiments.run(experiments.Grid("toy", seed=[0]), tmp_path / "a.csv", progress=False)
    with pytest.raises(experiments.ExperimentError, match="Unknown target 'fashion'"):
        experiments.run(experiments.Grid("toy", [("cifar10", "fashion")], seed=[0]), tmp_path / "a.csv", progress=False)
    workbench.bench.cache_clear()
    assert len(records.load(tmp_path / "a.csv")) == 0


def test_a_part_of_mnist_is_never_recorded_as_mnist(tmp_path, monkeypatch):
    monkeypatch.delenv("TL_DATA_DIR", raising=False)
    monkeypatch.setenv("TL_OFFLINE", "1")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    whole = data.load
    grid = experiments.Grid("toy", seed=[0])
    for load in (whole, lambda name, complete: whole(name)):  # were the part not refused, its name would be
        monkeypatch.setattr(data, "load", load)
        workbench.bench.cache_clear()
        with pytest.raises(
            (data.DataUnavailable, experiments.ExperimentError), match=r"MNIST in Keras|'mnist-5000' must"
        ):
            experiments.run(grid, tmp_path / "a.csv", progress=False)
    workbench.bench.cache_clear()
    assert len(records.load(tmp_path / "a.csv")) == 0


def test_activations_are_computed_once_and_bounded():
    seen = []
    network = models.features_at(models.source_cnn(), "conv1")
    store = Activations(network, np.zeros((50, 32, 32, 3), "uint8"))
    run = store._run
    store._run = lambda images: seen.append(len(images)) or run(images)
    first = store.rows(np.array([3, 4, 3]))
    again = store.rows(np.array([4, 5, 3]))
    assert seen == [2, 1]
    assert np.array_equal(first[0], again[2])
    assert store.nbytes == 3 * 30 * 30 * 32 * 4
    runs = experiments.Grid("toy", **TOY | {"seed": range(3)}, initialisation=["random"]).runs()
    desk = Store(memory=5 * 4096)
    for run in runs:
        desk.activations(run).rows(np.arange(4))
    assert desk.activations(runs[-1]).nbytes == 4 * 4096
    assert len(desk._activations) <= 2


@pytest.mark.parametrize("orders", [[[3, 1], [1, 4, 0], [4, 4, 3]], [range(9, -1, -1), [2, 2]]])
def test_activations_come_in_the_order_asked_for_and_take_no_more_than_their_size(orders):
    images = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), "uint8")
    network = models.features_at(models.source_cnn(), "pool1")
    wanted, store, seen = models.outputs(network, images), Activations(network, images), set()
    for order in orders:
        np.testing.assert_allclose(store.rows(np.array(order)), wanted[np.array(order)], rtol=1e-5, atol=1e-5)
        seen |= set(order)
        assert store.nbytes == len(seen) * wanted[:1].nbytes


# --- Every axis is checked -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"initialisation": ("Source",)}, "Unknown initialisation 'Source'. Known: source, random, target"),
        ({"initialisation": [None]}, "Unknown initialisation None"),
        ({"method": ["fine-tuning"]}, "Unknown method 'fine-tuning'. Known: feature extraction, parameter transfer"),
        ({"layer": ["conv9"]}, "no layer 'conv9' to cut at. It has rescale, conv1"),
        ({"layer": [None]}, "layer: expected names of layers"),
        (
            {"layer": ["conv3"], "pairs": [("cifar10", "mnist"), ("cifar10-rows", "mnist")]},
            "'cifar10-rows' has no layer",
        ),
        ({"layers_copied": [-1]}, "layers_copied: expected whole numbers from 0 on, found -1"),
        ({"layers_frozen": [1.0]}, r"layers_frozen: expected whole numbers from 0 on, found 1\.0"),
        ({"labels_per_class": [0]}, "labels_per_class .*from 1 on, found 0"),
        ({"labels_per_class": [True]}, "labels_per_class .*found True"),
        ({"labels_per_class": ["5"]}, "labels_per_class .*found '5'"),
        ({"learning_rate": [0.0]}, "learning_rate: expected numbers above 0"),
        ({"learning_rate": [float("nan")]}, "learning_rate: .*found nan"),
        ({"learning_rate": [1e-3, float("inf")]}, "learning_rate: .*found inf"),
        ({"learning_rate": ["0.1"]}, "learning_rate: .*found '0.1'"),
        ({"seed": [-1]}, "seed: expected whole numbers from 0 on"),
        ({"seed": [1.5]}, "seed: .*found 1.5"),
        ({"seed": [0, 1, 0]}, "seed holds 0 twice"),
        ({"pairs": [("cifar10", "mnist"), ["cifar10", "mnist"]]}, "pairs holds .* twice"),
        ({"settings": [{}, {}]}, "settings holds {} twice"),
        ({"head": ["512"]}, r"head: expected tuples of widths, as \(\) or \(512,\), found '512'"),
        ({"head": [512]}, "head: expected tuples of widths"),
        ({"head": [(0,)]}, "head, each width: expected whole numbers from 1 on"),
        ({"pairs": ["cm"]}, "pairs: expected pairs of source and target"),
        ({"pairs": [("cifar10", "mnist", "digits")]}, "pairs: expected pairs"),
        ({"pairs": [("imagenet", "mnist")]}, "Unknown source 'imagenet'. Known: cifar10, .*or 'module:function'"),
        ({"pairs": [("cifar10", "fashion")]}, "Unknown target 'fashion'. Known: mnist"),
        ({"pairs": [("cifar10", 3)]}, "Unknown target 3"),
        ({"pairs": [("cifar10@99", "mnist")]}, "Unknown state of 'cifar10', after epoch '99'. Known: 1, 2, 3"),
        ({"pairs": [("digits@1", "mnist")]}, "Known: none"),
        ({"pairs": [("my module:source", "mnist")]}, "Unknown source 'my module:source'"),
        ({"settings": [{"standardize": False}]}, "no setting 'standardize'. Its settings: standardise"),
        ({"settings": [{"standardise": "no"}]}, "'standardise' is True or False, found 'no'"),
        ({"settings": [{"base_rate": 0.1}]}, "base_rate is for the initialisation 'target'"),
        ({"settings": [3]}, "settings: expected mappings"),
        ({"method": ["L2-SP"]}, "'L2-SP' needs the setting 'alpha'"),
        ({"method": ["L2-SP", "LP-FT"], "settings": [{"alpha": 0.1}]}, "'LP-FT' has no setting 'alpha'"),
        (
            {"method": ["distillation"], "settings": [{"teacher": "mnist"}]},
            "'teacher' is a number of labels per class, or",
        ),
        ({"method": ["logic rules"], "settings": [{"rules": "loop_rules"}]}, "'rules' is the name of a function"),
        ({"measures": "cka"}, "measures is a sequence of names"),
        ({"label_noise": "0.1"}, "label_noise is a share"),
        ({"steps": 10.0}, "steps: expected whole numbers from 1 on"),
        ({"batch_size": True}, "batch_size: .*found True"),
        ({"test": "no"}, "test is True or False"),
    ],
)
def test_a_value_that_an_axis_does_not_know_is_refused(wrong, message):
    with pytest.raises(experiments.ExperimentError, match=message):
        experiments.Grid("any", **wrong)


def test_numbers_of_numpy_and_lists_are_as_good_as_those_of_python():
    plain = experiments.Grid("any", head=[(8, 4)], labels_per_class=[5], seed=[0, 1], learning_rate=[1.0])
    same = {"head": [[np.int64(8), 4]], "labels_per_class": np.array([5]), "seed": np.arange(2), "learning_rate": [1]}
    assert [run.key for run in experiments.Grid("any", **same).runs()] == [run.key for run in plain.runs()]


def test_a_grid_knows_the_sources_that_ship():
    assert set(grid.SOURCES) == set(models.PRETRAINED)


# --- Sources of one's own --------------------------------------------------------------------------------------------


def test_a_source_of_ones_own_counts_its_own_layers():
    network = toy.small()
    for layer in network.layers[1:]:
        count = len(models.weight_layers(models.features_at(network, layer.name)))
        assert depth_of("toy_experiments:small", layer.name) == count
    own = {"pairs": [("toy_experiments:small", "toy_experiments:few")], "seed": [0]}
    (probe,) = experiments.Grid("own", **own, layer=["second"]).runs()
    assert (probe.layers_copied, probe.layers_frozen) == (2, 2)
    tuned = experiments.Grid("own", **own, layer=["first"], method=["parameter transfer"], layers_copied=[0, 1, 2])
    assert [run.layers_copied for run in tuned.runs()] == [0, 1]


@pytest.mark.parametrize(
    ("source", "layer", "message"),
    [
        ("toy_experiments:small", "conv3", "cannot be cut at 'conv3'.*Its layers are: scaled, first"),
        ("toy_experiments:nothing", "conv3", "'toy_experiments:nothing' is not there"),
        ("no_such_module:source", "conv3", "'no_such_module:source' is not there .*No module named"),
        ("toy_experiments:ROWS_OF_GRID", "conv3", "is not there"),
        ("toy_experiments:GRID", "conv3", "is no function"),
        ("toy_experiments:digits", "conv3", "is to return a Model; found Dataset"),
        ("toy_experiments:size_of", "conv3", "cannot be made: TypeError"),
    ],
)
def test_a_source_of_ones_own_that_is_none_is_said(source, layer, message):
    grid = experiments.Grid("own", [(source, "toy_experiments:few")], layer=[layer], seed=[0])
    with pytest.raises(experiments.ExperimentError, match=message):
        grid.runs()


def test_a_target_of_ones_own_that_is_none_is_said(tmp_path):
    grid = experiments.Grid("own", [("digits", "toy_experiments:small")], seed=[0])
    with pytest.raises(experiments.ExperimentError, match=r"The target .* is to return a Dataset; found Functional"):
        experiments.run(grid, tmp_path / "a.csv", progress=False)


# --- What a name stood for -------------------------------------------------------------------------------------------

MODULE = """
import numpy as np
import toy_experiments as toy
from tl_helpers import data, knowledge

def target():
    found = toy.few()
    return data.from_arrays({images}, found.labels, class_names=found.class_names, held_out=found.held_out)

def source():
    network = toy.small()
    {network}
    return network

def rules():
    return [knowledge.Rule("says", lambda images: np.full((len(images), 10), {truth}))]
"""
FIRST = {"images": "found.images", "network": "pass", "truth": "1.0"}
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
    pd.testing.assert_frame_equal(here[[*SAME, "fingerprints"]], fresh[[*SAME, "fingerprints"]], atol=0.004)


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


def test_processes_of_an_earlier_call_do_not_bring_old_data_along(monkeypatch):
    def places(names=()):
        return set(runner.spread(toy.place_of_data, [1, 2, 3, 4], jobs=2, names=names))

    monkeypatch.setenv("TL_DATA_DIR", "here")
    here = places()
    monkeypatch.setenv("TL_DATA_DIR", "there")
    there = places()
    assert {place for place, _ in here} == {"here"}
    assert {place for place, _ in there} == {"there"}
    assert {process for _, process in places([("edited:target", "1")])}.isdisjoint({process for _, process in there})


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
    rows = shipped.drop_duplicates(["source", "target", "settings"])
    here = {"digits"} | {name for name in ("mnist", "cifar10") if is_complete(name, shipped)}
    for row in rows.to_dict("records"):
        run, told = experiments.Run.of(row), json.loads(row["fingerprints"])
        assert told.keys() == names.named(run).keys()
        assert told["source"] == desk.fingerprints(replace(run, target="digits", settings=()))["source"]
        if run.target.partition("-")[0] in here:
            assert told == desk.fingerprints(run)
    assert rows.fingerprints.nunique() > 10


def is_complete(name, shipped):
    """Tell whether the images are here that the records were made with."""
    card = json.loads((resources.files("tl_helpers") / "assets" / "records.json").read_text(encoding="utf-8"))
    found = data.load(name, required=False)
    return found is not None and fingerprints.sha256_of(found) == card["data"][name]


# --- What a user sees of grids that fail -----------------------------------------------------------------------------


def test_a_grid_without_runs_says_so(tmp_path, capsys):
    nothing = experiments.Grid("any", method=["LP-FT"], layers_copied=[2], layers_frozen=[2], seed=[0, 1])
    assert len(experiments.run(nothing, tmp_path / "a.csv", progress=False)) == 0
    assert "The grid has no runs: all 2 combinations of its values mean nothing." in capsys.readouterr().err
    for empty in ([], experiments.Grid("any", seed=[])):
        assert len(experiments.run(empty, tmp_path / "a.csv", progress=False)) == 0
        assert "The grid has no runs: it is empty, or one of its axes is." in capsys.readouterr().err


def test_failed_runs_are_told_with_the_first_error(tmp_path, capsys):
    def fails(batch, memory, threads):
        return [
            row | {"error": f"ValueError: seed {run.seed}"} for run in batch for row in toy.quick_work([run], 0, None)
        ]

    some = experiments.Grid("any", seed=[4, 5])
    for _ in range(2):  # the second time it stands in the file
        experiments.run(some, tmp_path / "a.csv", progress=False, work=fails)
        told = capsys.readouterr().err
        assert "2 of 2 runs failed. The first: feature extraction, mnist, learning rate 0.001, seed 4: " in told
        assert "ValueError: seed 4 What failed is done again with retry_failed=True" in told
    experiments.run(some, tmp_path / "a.csv", progress=False, work=toy.quick_work, retry_failed=True)  # the advice
    assert capsys.readouterr().err == ""


# --- What it will cost -----------------------------------------------------------------------------------------------


def test_a_batch_costs_the_sum_of_its_parts():
    costs = {"start": 1.0, "step": 0.01, "prefix": 0.001, "rest": 0.0001, "classes": 10, "full": (900, 100, 500)}
    runs = experiments.Grid("any", seed=[0, 1], learning_rate=[0.1, 0.2]).runs()
    seen = set()
    images = 2 * (50 + 50) + 500  # two splits, one test set
    scored = 4 * (10 * 50 + 500)
    assert cost._seconds(runs, seen, **costs) == pytest.approx(1 + 200 * 0.01 + images * 0.001 + scored * 0.0001)
    assert cost._seconds(runs, seen, **costs) == pytest.approx(1 + 200 * 0.01 + scored * 0.0001)  # kept
    (tuned,) = experiments.Grid("any", method=["from scratch"], labels_per_class=[None], epochs=50, seed=[0]).runs()
    steps = 50 * 900 // 32
    assert cost._seconds([tuned], set(), **costs) == pytest.approx(1 + steps * 0.01 + (10 * 100 + 500) * 0.0001)


def test_an_estimate_covers_what_is_missing_and_writes_nothing(tmp_path):
    path = tmp_path / "a.csv"
    grid = experiments.Grid("toy", **TOY | {"steps": 100}, learning_rate=[1e-3, 1e-2])
    experiments.run(replace(grid, seed=[0]), path, progress=False, work=toy.quick_work)
    before = path.read_bytes()
    found = experiments.estimate(grid, path)
    assert found[["arm", "labels", "runs"]].values.tolist() == [["feature extraction", "5", 2]]
    assert 0 < found.seconds.sum() < 60
    assert path.read_bytes() == before


def test_an_estimate_samples_both_phases_and_says_when_an_arm_cannot_run():
    toy_grid = TOY | {"steps": 100, "seed": [0], "method": ["LP-FT"]}
    found = experiments.estimate(experiments.Grid("toy", **toy_grid, settings=[{"probe_steps": 50}]))
    assert found.seconds.sum() > 0
    with pytest.raises(experiments.ExperimentError, match="its sample run fails"):
        experiments.estimate(experiments.Grid("toy", **toy_grid, settings=[{"probe_steps": 50, "head_rate": 1e38}]))


# --- The command line ------------------------------------------------------------------------------------------------


def test_help_names_the_grids_and_the_options(capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = capsys.readouterr().out
    assert all(word in text for word in ("tuning", "report", "--dry-run", "--jobs", "--dask", "--output", "Ctrl-C"))


def test_neither_help_nor_a_grid_loads_tensorflow(root):
    program = "import sys; import tl_experiments as experiments; experiments.expand(experiments.known()['tuning']()); "
    program += "from tl_experiments import __main__; print('tensorflow' in sys.modules)"
    call = [sys.executable, "-c", program]
    assert subprocess.run(call, check=True, capture_output=True, text=True, env=environment(root)).stdout == "False\n"


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [(KeyboardInterrupt, 130, "goes on from there"), (experiments.ExperimentError("no disk"), 1, "no disk")],
)
def test_the_command_ends_with_a_sentence(monkeypatch, capsys, tmp_path, error, status, text):
    def run(*arguments, **options):
        raise error

    monkeypatch.setattr(command, "run", run)
    assert command.main(["tuning", "--output", str(tmp_path / "a.csv")]) == status
    assert text in "".join(capsys.readouterr())


def test_a_report_needs_its_tuning_first(capsys, tmp_path):
    assert command.main(["report", "--output", str(tmp_path / "a.csv")]) == 1
    assert "No tuning record" in capsys.readouterr().err


def test_an_unknown_grid_is_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["tunning"])
    assert "there are tuning, report" in capsys.readouterr().err
