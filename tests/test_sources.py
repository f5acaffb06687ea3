"""Which source, which cut: equal budgets, pairs of seeds, what was expected, and the tables of the records."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import tl_experiments as experiments
from tl_experiments import arms, evidence, figures, plan, protocol, recipes, sources
from tl_helpers import data, looks
from tl_helpers.measures import Interval


def numbered(counts=(40, 61, 100), groups=None):
    """Make a data set whose images are row numbers."""
    labels = np.repeat(np.arange(len(counts)), counts)
    rows = np.arange(len(labels))
    return data.Dataset(rows, labels, tuple("abc"), "rows", "", rows % 3 == 0, groups)


@pytest.mark.parametrize("make", [sources.choice, sources.published_choice])
def test_every_arm_has_the_same_budget_of_trials(make):
    table = pd.DataFrame([vars(run) for run in experiments.expand(make())])
    trials = table.groupby(["source", "target", "arm", "labels_per_class"], dropna=False).size()
    assert set(trials) == {4 * len(evidence.TRIED_ON)}
    assert not table.test.any()
    assert set(table.seed).isdisjoint(sources.SEEDS)
    assert table.steps.nunique() == table.batch_size.nunique() == 1


@pytest.mark.parametrize("target", list(sources.LABELS))
def test_no_source_has_seen_the_classes_of_its_target(target):
    small = sources.source_of(arms.HEAD, target)
    assert small == ("cifar10-a" if target == "cifar10-b" else "cifar10")
    assert sources.source_of(arms.LARGE_RANDOM, target) == "imagenet"


def test_a_choice_serves_the_numbers_of_labels_that_are_near():
    assert [sources.tuned_at(n, "trashnet") for n in (1, 2, 5, 10, 20, 45)] == [2, 2, 10, 10, 10, 45]
    assert [sources.tuned_at(n, "mnist") for n in (1, 2, 5, 10, 20, 50)] == [2, 2, 10, 10, 10, 50]
    assert all(sources.tuned_at(n, "trashnet") == sources.TUNED_AT for n in sources.LOOKED_AT)


def test_the_size_of_photographs_belongs_to_the_source():
    assert recipes.size_for("imagenet", "trashnet") == {"size": 160}
    assert recipes.size_for("cifar10", "trashnet-5") == {"size": 32}
    assert recipes.size_for("imagenet", "mnist") == recipes.size_for("cifar10", "cifar10-b") == {}
    (run, *_) = experiments.expand(sources.published_choice())
    assert 'images = data.only(data.load("trashnet", size=160), protocol.CLASSES, "trashnet-5")' in run.code()
    assert "target = protocol.split(images, seed=100)" in run.code()


def test_the_published_protocol_draws_its_shares_anew_with_each_seed():
    splits = [protocol.split(numbered(), seed) for seed in (0, 0, 1)]
    for split in splits:
        counts = [np.bincount(part.labels).tolist() for part in (split.test, split.validation)]
        assert counts == [[7, 10, 17], [5, 8, 13]]  # 17 and 13 % of 40, 61 and 100
        rows = np.concatenate([part.images for part in (split.train, split.validation, split.test)])
        assert sorted(rows) == list(range(201))
    first, again, other = (split.test.images.tolist() for split in splits)
    assert first == again != other


def test_the_published_protocol_keeps_what_belongs_together_on_one_side():
    groups = np.arange(201) // 2 * 2
    split = protocol.split(numbered(groups=groups), 0)
    sides = [set(groups[part.images]) for part in (split.train, split.validation, split.test)]
    assert all(sides)
    assert not (sides[0] & sides[1])
    assert not (sides[0] & sides[2])
    assert not (sides[1] & sides[2])


# --- Photographs in the runner ---------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make a folder with twelve noisy pictures of each of two classes, where data are looked for."""
    generator = np.random.default_rng(0)
    for kind in ("glass", "paper"):
        (tmp_path / "trashnet" / kind).mkdir(parents=True)
        for number in range(12):
            pixels = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "trashnet" / kind / f"{number}.png")
    monkeypatch.setenv("TL_DATA_DIR", str(tmp_path))
    return tmp_path / "trashnet"


def runs_of(arm, **axes):
    pair = sources.source_of(arm, "trashnet"), "trashnet"
    axes = {"labels_per_class": [2], "seed": [0, 1], "steps": 2} | axes
    return experiments.Grid("photographs", pairs=[pair], **axes, **arm.axes())


@pytest.mark.training
def test_photographs_go_to_each_source_at_its_size_and_the_draws_are_the_same(folder, tmp_path):
    from tl_experiments import workbench

    grids = [runs_of(arm) for arm in (arms.PIXELS, arms.LARGE_HEAD)]
    experiments.run(grids[:1], tmp_path / "a.csv", progress=False)
    found = experiments.run(grids, tmp_path / "a.csv", progress=False)  # not refused for the size of the first ones
    assert (found.error == "").all()
    prints = found.groupby("source").fingerprints.unique().map(lambda texts: [json.loads(text) for text in texts])
    assert all(len(one) == 1 for one in prints)  # for both seeds
    assert prints["cifar10"][0]["target"] != prints["imagenet"][0]["target"]
    store = workbench.bench(plan.MEMORY)
    small, large = (experiments.expand(grid)[0] for grid in grids)
    assert [store.target(run).images.shape[1:] for run in (small, large)] == [(32, 32, 3), (160, 160, 3)]
    for part in ("train", "validation", "test"):
        rows = [getattr(store.split(run), part).images for run in (small, large)]
        assert rows[0].tolist() == rows[1].tolist()
    Image.new("RGB", (48, 64), "red").save(folder / "glass" / "3.png")
    with pytest.raises(experiments.ExperimentError, match="the target 'trashnet' is not the one"):
        experiments.run(runs_of(arms.PIXELS, seed=[2]), tmp_path / "a.csv", progress=False)


def test_what_is_augmented_has_no_kept_features():
    """Else all steps would see one and the same variant, without a word."""
    varied, plain = (experiments.expand(runs_of(arm))[0] for arm in (arms.LARGE_VARIED, arms.LARGE_HEAD))
    assert plan.prefix_key(plain) is not None
    assert plan.prefix_key(varied) is None
    assert (plan.trains_together(plain), plan.trains_together(varied)) == (True, False)
    with pytest.raises(
        experiments.ExperimentError, match="The setting 'augment' is one of flip, shift, flip and shift, photographs"
    ):
        experiments.Grid("photographs", settings=[{"augment": "photo"}])


@pytest.mark.training
def test_the_photographs_of_the_package_are_not_recorded_as_all(tmp_path, monkeypatch):
    monkeypatch.delenv("TL_DATA_DIR", raising=False)
    with pytest.raises(data.DataUnavailable, match="TL_DATA_DIR"):
        experiments.run(runs_of(arms.PIXELS), tmp_path / "a.csv", progress=False)


# --- Tables ----------------------------------------------------------------------------------------------------------


def made(arm, target, labels, values, experiment=sources.REPORT):
    own = {"experiment": experiment, "target": target, "arm": arm.name, "labels_per_class": labels}
    return [own | {"seed": seed, "test_accuracy": value} for seed, value in enumerate(values)]


def table(*rows):
    return pd.DataFrame([row for part in rows for row in part]).astype({"labels_per_class": "Int64"})


ONE, OTHER = arms.LARGE_HEAD, arms.HEAD


def test_a_difference_pairs_seeds_and_pools_numbers_of_labels():
    noise = np.linspace(0, 0.2, 10)
    found = table(
        *(made(ONE, "mnist", n, noise + 0.1 * n) for n in (1, 2)), *(made(OTHER, "mnist", n, noise) for n in (1, 2))
    )
    pooled = sources.difference(found, "mnist", ONE, OTHER, (1, 2))
    assert (pooled.mean, pooled.count) == (pytest.approx(15), 10)
    assert pooled.high - pooled.low == pytest.approx(0, abs=1e-9)
    level = sources.difference(found, "mnist", OTHER, None, (1,))
    assert level.mean == pytest.approx(10)


@pytest.mark.parametrize("rows", [
    [made(ONE, "mnist", 1, [0.5] * 9), made(OTHER, "mnist", 1, [0.5] * 10)],
    [made(ONE, "mnist", 1, [0.5] * 10), made(OTHER, "mnist", 2, [0.5] * 10)],
    [made(ONE, "mnist", 1, [0.5] * 10, "reference"), made(OTHER, "mnist", 1, [0.5] * 10)],
])  # fmt: skip
def test_a_missing_run_is_said(rows):
    with pytest.raises(experiments.ExperimentError, match="runs are missing"):
        sources.difference(table(*rows), "mnist", ONE, OTHER, (1,))


@pytest.mark.parametrize(
    ("low", "high", "least", "most", "verdict"),
    [
        (1, 2, 0, math.inf, "agrees"),
        (-1, 2, 0, math.inf, "not told apart"),
        (-2, -1, 0, math.inf, "contradicts"),
        (-1, 1, -3, 3, "agrees"),
        (-1, 4, -3, 3, "not told apart"),
        (-4, 4, -3, 3, "not told apart"),
        (3, 4, -3, 3, "contradicts"),
        (-5, -4, -3, 3, "contradicts"),
    ],
)
def test_the_rule_is_the_same_for_both_sides(low, high, least, most, verdict):
    expectation = replace(sources.EXPECTATIONS[0], least=least, most=most)
    assert sources.judge(Interval((low + high) / 2, low, high, 10), expectation) == verdict


# --- What ships ------------------------------------------------------------------------------------------------------


def test_all_sources_report_on_the_same_ten_seeds(shipped):
    rows = shipped[shipped.experiment.isin([sources.REPORT, sources.PUBLISHED_REPORT])]
    seeds = rows.groupby(["target", "arm", "labels_per_class"], dropna=False).seed.agg(lambda s: tuple(sorted(s)))
    assert set(seeds) == {sources.SEEDS}
    assert rows.groupby(["target", "source"]).fingerprints.nunique().max() == 1


def test_the_lines_cross(shipped):
    """What the first page says: on photographs ImageNet leads at every number of labels, on digits CIFAR-10 does."""
    found = sources.crossing(shipped)
    assert {target: len(found.loc[target]) for target in sources.LABELS} == dict.fromkeys(sources.LABELS, 6)
    gaps = found["ImageNet − CIFAR-10"]
    assert min(gap.low for gap in gaps["trashnet"]) > 10
    assert min(gap.low for gap in gaps["cifar10-b"]) > 20
    assert max(gap.mean for gap in gaps["mnist"]) < 0
    assert max(gap.high for gap in gaps["mnist"].iloc[1:]) < 0  # with one label a class they are not told apart
    assert found["test images"].groupby("target").max().round(1).to_dict() == {
        "cifar10-b": 1.4,
        "mnist": 1.0,
        "trashnet": 3.4,
    }


def test_the_heads_of_the_small_source_are_those_of_the_reference(shipped):
    """The same runs under two names of experiments: they were done on two days, and agree to the last digit."""
    rows = shipped[shipped.arm.isin([arms.HEAD.name, arms.PIXELS.name]) & (shipped.layer != "pool")]
    names = ["source", "target", "arm", "labels_per_class", "learning_rate", "seed"]
    both = rows[rows.experiment == sources.REPORT].merge(
        rows[(rows.experiment == "reference")], on=names, suffixes=("", "_then")
    )
    assert len(both) > 150
    assert both.test_accuracy.tolist() == both.test_accuracy_then.tolist()


def test_what_was_expected_can_be_judged(shipped):
    found = sources.verdicts(shipped)
    assert len(found) == len(sources.EXPECTATIONS)
    assert found.verdict.value_counts()["agrees"] > found.verdict.value_counts()["contradicts"] > 0
    assert (found.low <= found.difference).all()
    one = sources.EXPECTATIONS[0]
    plain = sources.difference(shipped, one.target, one.ahead, one.behind, one.labels)
    assert found.low[0] < plain.low  # widened for the number of contrasts


def test_arms_beside_one_of_them(shipped):
    found = sources.beside(shipped, sources.PUBLISHED, sources.PUBLISHED_ARMS, arms.HEAD, (0,))
    assert found.difference[arms.HEAD.name, 0].mean == 0
    large, small = (found.accuracy[arm.name, 0].mean for arm in (arms.LARGE_HEAD, arms.HEAD))
    assert found.difference[arms.LARGE_HEAD.name, 0].mean == pytest.approx(100 * (large - small))


def test_the_test_sets_have_the_sizes_that_wilsons_interval_takes():
    for target in sources.LABELS:
        how = recipes.size_for(sources.SMALL[target], target)
        try:
            found = recipes.images(target, complete=True, **how).value(str)
        except data.DataUnavailable:
            continue
        assert sources.TESTED[target] == found.held_out.sum()


def test_the_figure_has_a_panel_a_target_and_the_means_of_the_records(shipped):
    axes = figures.which_source(shipped).axes
    assert [axis.get_title() for axis in axes] == list(figures.TITLES.values())
    means = sources.crossing(shipped).loc["mnist", "ImageNet"]
    lines = [line for line in axes[2].lines if line.get_marker() == looks.look(arms.LARGE_HEAD.name).marker]
    assert lines[0].get_ydata().tolist() == pytest.approx([each.mean for each in means])
    assert lines[0].get_xdata().tolist() == list(sources.LABELS["mnist"])
