"""Doing grids: resumed, in several processes, on a cluster, with failures."""

import pandas as pd
import pytest
import toy_experiments as toy

import tl_experiments as experiments
from tl_experiments import runner
from tl_helpers import records


def by_key(table):
    return table.set_index("key").sort_index()


@pytest.mark.parametrize("name", ["a.csv", "runs"])
def test_stopped_by_ctrl_c_it_goes_on_where_it_was(tmp_path, name):
    path, calls = tmp_path / name, []

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


def test_two_jobs_give_the_records_of_one(done, tmp_path):
    two = experiments.run(toy.GRIDS, tmp_path / "two.csv", jobs=2, progress=False)
    assert sorted(two.key) == sorted(done.key)
    pd.testing.assert_frame_equal(by_key(two)[toy.SAME], by_key(done)[toy.SAME], atol=0.004, rtol=0)


def test_a_dask_cluster_gives_the_records_of_one_process(done, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        found = experiments.run(toy.GRIDS[:1], tmp_path / "dask.csv", dask=cluster.scheduler_address, progress=False)
    expected = by_key(done).loc[sorted(found.key)]
    assert len(found) == 8
    pd.testing.assert_frame_equal(by_key(found)[toy.SAME], expected[toy.SAME], atol=0.004, rtol=0)


@pytest.mark.training
def test_a_failed_run_is_recorded_and_stops_no_other(tmp_path):
    path = tmp_path / "a.csv"
    few = toy.TOY | {"steps": 2, "seed": [0]}
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


@pytest.mark.training
def test_a_target_of_ones_own_that_is_none_is_said(tmp_path):
    grid = experiments.Grid("own", [("digits", "toy_experiments:small")], seed=[0])
    with pytest.raises(experiments.ExperimentError, match=r"The target .* is to return a Dataset; found Functional"):
        experiments.run(grid, tmp_path / "a.csv", progress=False)


@pytest.mark.slow
def test_processes_of_an_earlier_call_do_not_bring_old_data_along(monkeypatch):
    def places(names=()):
        return set(runner.distribute(toy.place_of_data, [1, 2, 3, 4], jobs=2, names=names))

    monkeypatch.setenv("TL_DATA_DIR", "here")
    here = places()
    monkeypatch.setenv("TL_DATA_DIR", "there")
    there = places()
    assert {place for place, _ in here} == {"here"}
    assert {place for place, _ in there} == {"there"}
    assert {process for _, process in places([("edited:target", "1")])}.isdisjoint({process for _, process in there})


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
