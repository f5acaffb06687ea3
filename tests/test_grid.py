"""Grids: what they refuse, what they leave out, which of their runs are done together."""

from dataclasses import replace

import numpy as np
import pytest
import toy_experiments as toy
from hypothesis import given, settings
from hypothesis import strategies as st

import tl_experiments as experiments
from tl_experiments import plan
from tl_experiments.grid import METHODS
from tl_experiments.names import depth_of


def axis(values, most):
    return st.lists(values, min_size=1, max_size=most, unique=True)


methods = st.one_of(
    axis(st.sampled_from([name for name in METHODS if name not in toy.OWN_SETTINGS]), 3).map(lambda some: (some, [{}])),
    st.sampled_from(list(toy.OWN_SETTINGS)).map(lambda name: ([name], [toy.OWN_SETTINGS[name]])),
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
        ({"pairs": [("resnet50", "mnist")]}, "Unknown source 'resnet50'. Known: cifar10, .*or 'module:function'"),
        ({"pairs": [("cifar10", "fashion")]}, "Unknown target 'fashion'. Known: mnist"),
        ({"pairs": [("cifar10", 3)]}, "Unknown target 3"),
        ({"pairs": [("cifar10@4", "mnist")]}, "Unknown source 'cifar10@4'"),
        ({"pairs": [("my module:source", "mnist")]}, "Unknown source 'my module:source'"),
        ({"settings": [{"standardize": False}]}, "no setting 'standardize'. Its settings: standardise"),
        ({"settings": [{"standardise": "no"}]}, "'standardise' is True or False, found 'no'"),
        ({"settings": [{"base_rate": 0.1}]}, "base_rate is for the initialisation 'target'"),
        ({"settings": [3]}, "settings: expected mappings"),
        ({"method": ["L2-SP"]}, "'L2-SP' needs the setting 'alpha'"),
        ({"method": ["L2-SP", "LP-FT"], "settings": [{"alpha": 0.1}]}, "'LP-FT' has no setting 'alpha'"),
        (
            {"method": ["distillation"], "settings": [{"teacher": "mnist"}]},
            "'teacher' is a number of labels per class, 'same' for those of the run, or one of cifar10",
        ),
        ({"method": ["logic rules"], "settings": [{"rules": "loop_rules"}]}, "'rules' is the name of a function"),
        ({"settings": [{"schedule": "linear"}]}, "'schedule' is one of cosine, constant, found 'linear'"),
        ({"settings": [{"augment": "turn"}]}, "'augment' is one of flip, shift, flip and shift, photographs"),
        ({"settings": [{"weight_decay": -1}]}, "'weight_decay' is a number from 0 on, found -1"),
        ({"settings": [{"rate_decay": 0}]}, "'rate_decay' is a number above 0 and at most 1, found 0"),
        ({"settings": [{"rate_decay": 2.0}]}, r"'rate_decay' is .*found 2\.0"),
        ({"settings": [{"stop_early": 1}]}, "'stop_early' is True or False, found 1"),
        ({"method": ["LP-FT"], "settings": [{"average": 1.5}]}, r"'average' is a number from 0 to 1, found 1\.5"),
        (
            {"method": ["parameter transfer"], "settings": [{"average": 0.5}]},
            "no setting 'average'. Its settings: head",
        ),
        ({"method": ["parameter transfer"], "settings": [{"head_ratio": 0}]}, "'head_ratio' is a number above 0"),
        ({"method": ["LP-FT"], "settings": [{"head_ratio": 2, "head_rate": 0.1}]}, "give one of them"),
        (
            {"method": ["attention transfer"], "settings": [{"strength": 1.0, "augment": "flip"}]},
            "'attention transfer' has no setting 'augment'",
        ),
        (
            {"method": ["distillation"], "settings": [{"teacher": "same", "teacher_rate": 0}]},
            "'teacher_rate' is a number above 0",
        ),
        (
            {"method": ["logic rules"], "settings": [{"rules": "a:b", "raised": "yes"}]},
            "'raised' is True or False, found 'yes'",
        ),
        ({"measures": "shifts"}, "measures is a sequence of names"),
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


def test_label_noise_and_measures_are_part_of_a_key_only_where_they_are_used():
    (plain,) = experiments.Grid("x", seed=[0]).runs()
    assert plain.key != replace(plain, label_noise=0.1).key != replace(plain, measures=("logme",)).key


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"measures": ["beauty"]}, "Unknown measure"),
        ({"measures": ["logme"], "method": ["parameter transfer"]}, "kept features"),
        ({"label_noise": 1.0}, "label_noise is a share"),
        ({"measures": ["memorised"]}, "set label_noise above 0"),
        ({"measures": ["memorised"], "label_noise": 0.3, "test": False}, "it can choose nothing: leave test=True"),
        (
            {"measures": ["memorised"], "label_noise": 0.3, "settings": [{"stop_early": True}]},
            "no validation images.*stop_early out",
        ),
    ],
)
def test_a_measure_or_a_noise_that_means_nothing_is_refused(axes, message):
    with pytest.raises(experiments.ExperimentError, match=message):
        experiments.Grid("x", **axes)


def test_every_method_knows_how_a_network_can_be_trained_and_each_way_has_its_own_key():
    ways = [{"augment": "flip"}, {"rate_decay": 0.5}, {"schedule": "constant"}, {"stop_early": True}]
    ways += [{"weight_decay": 0.1}, {}]
    for method in METHODS:
        own = [
            toy.OWN_SETTINGS.get(method, {}) | way
            for way in ways
            if method != "attention transfer" or "augment" not in way
        ]
        runs = experiments.Grid("any", method=[method], settings=own, seed=[0]).runs()
        assert len({run.key for run in runs}) == len(own) == len(runs)
        for run, settings_of in zip(runs, own, strict=True):
            keywords = run.call().keywords
            way = {name: value for name, value in settings_of.items() if name not in toy.OWN_SETTINGS.get(method, {})}
            assert {name: keywords[name] for name in way} == way
            assert run.treatments == way


def test_the_rate_of_a_head_can_be_told_by_the_rate_of_the_run():
    axes = {"method": ["parameter transfer", "LP-FT"], "settings": [{"head_ratio": 10}], "learning_rate": [3e-4, 1e-2]}
    for run in experiments.Grid("any", **axes, seed=[0]).runs():
        keywords = run.call().keywords
        assert keywords["head_rate"] == {3e-4: 3e-3, 1e-2: 0.1}[run.learning_rate]
        assert "head_ratio" not in keywords
