"""What a grid will cost: the sum of its parts, and samples where nothing is known."""

from dataclasses import replace

import pytest
import toy_experiments as toy

import tl_experiments as experiments
from tl_experiments import cost


def test_a_batch_costs_the_sum_of_its_parts():
    costs = cost.Costs(start=1.0, step=0.01, prefix=0.001, rest=0.0001, classes=10, full=(900, 100, 500))
    runs = experiments.Grid("any", seed=[0, 1], learning_rate=[0.1, 0.2]).runs()
    seen = set()
    images = 2 * (50 + 50) + 500  # two splits, one test set
    scored = 4 * (10 * 50 + 500)
    assert costs.seconds(runs, seen) == pytest.approx(1 + 200 * 0.01 + images * 0.001 + scored * 0.0001)
    assert costs.seconds(runs, seen) == pytest.approx(1 + 200 * 0.01 + scored * 0.0001)  # kept
    (tuned,) = experiments.Grid("any", method=["from scratch"], labels_per_class=[None], epochs=50, seed=[0]).runs()
    steps = 50 * 900 // 32
    assert costs.seconds([tuned], set()) == pytest.approx(1 + steps * 0.01 + (10 * 100 + 500) * 0.0001)


@pytest.mark.training
def test_an_estimate_covers_what_is_missing_and_writes_nothing(tmp_path):
    path = tmp_path / "a.csv"
    grid = experiments.Grid("toy", **toy.TOY | {"steps": 100}, learning_rate=[1e-3, 1e-2])
    experiments.run(replace(grid, seed=[0]), path, progress=False, work=toy.quick_work)
    before = path.read_bytes()
    found = experiments.estimate(grid, path)
    assert found[["arm", "labels", "runs"]].values.tolist() == [["feature extraction", "5", 2]]
    assert 0 < found.seconds.sum() < 60
    assert path.read_bytes() == before


@pytest.mark.training
def test_an_estimate_samples_both_phases_and_says_when_an_arm_cannot_run():
    toy_grid = toy.TOY | {"steps": 100, "seed": [0], "method": ["LP-FT"]}
    found = experiments.estimate(experiments.Grid("toy", **toy_grid, settings=[{"probe_steps": 50}]))
    assert found.seconds.sum() > 0
    with pytest.raises(experiments.ExperimentError, match="its sample run fails"):
        experiments.estimate(experiments.Grid("toy", **toy_grid, settings=[{"probe_steps": 50, "head_rate": 1e38}]))
