"""Many linear heads in one loop: each is the head that is trained alone."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import toy_experiments as toy

import tl_experiments as experiments
from tl_experiments import heads, perturbations, workbench
from tl_helpers import data, records, transfer


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


SMALL = {"pairs": [("toy_experiments:small", "toy_experiments:few")], "layer": ["second"], "steps": 30}
HEADS = {"learning_rate": [1e-3, 1e-2], "seed": [0, 1], "label_noise": 0.4}
TUNED = {"method": ["parameter transfer"], "learning_rate": [1e-2], "seed": [0], "layers_copied": [2]}
FACTS = {
    "heads": HEADS,
    "behind a frozen prefix": TUNED | {"layers_frozen": [1]},
    "images": TUNED | {"label_noise": 0.4},
}


@pytest.mark.parametrize("axes", FACTS.values(), ids=FACTS)
def test_the_share_of_training_labels_that_a_network_has_learnt_is_in_every_row(axes):
    grid = experiments.Grid("toy", **SMALL, **axes)
    pairs = list(zip(grid.runs(), workbench.work(grid.runs()), strict=True))
    for run, row in pairs[1:3] if len(pairs) > 1 else pairs:  # of two rates and two seeds: one of each
        assert experiments.Run.of(row).key == run.key == row["key"]
        split = data.few_shot(toy.few(), 5, run.seed)
        noisy = perturbations.with_label_noise(split.train, run.label_noise, run.seed)
        answers = run.apply(toy.small(), replace(split, train=noisy), {}).evaluate(split.train).predictions
        learnt, right = (np.mean(answers == labels) for labels in (noisy.labels, split.train.labels))
        near = 1.5 / len(noisy)
        assert abs(learnt - right) > near or not run.label_noise  # else these labels would do as well
        for told in (row, *workbench.work([run])):
            facts = json.loads(told["measures"])
            assert facts == {"training accuracy": pytest.approx(learnt, abs=near)}


@pytest.mark.parametrize("axes", [{}, TUNED | {"layers_frozen": [2]}], ids=["heads", "one by one"])
def test_a_network_with_one_answer_for_all_images_has_collapsed(axes):
    """A rate that is 0 in single precision leaves a head at 0, so that the first class always wins."""
    grid = experiments.Grid("toy", **SMALL | {"seed": [0]} | axes | {"learning_rate": [1e-60, 1e-2]})
    rows = pd.DataFrame(workbench.work(grid.runs()))
    first, second = (json.loads(text) for text in rows.measures)
    assert first == {"training accuracy": 0.1, "collapsed": True}
    assert first["collapsed"] is True  # and no number
    assert second.keys() == {"training accuracy"}
    assert second["training accuracy"] > 0.3


def test_one_other_answer_is_no_collapse():
    one = np.zeros(20, int)
    other = np.append(one[1:], 3)
    assert workbench._facts(one, one, one) == {"training accuracy": 1.0, "collapsed": True}
    assert workbench._facts(other, one, one) == {"training accuracy": 0.95}
    assert workbench._facts(one, other, other) == {"training accuracy": 0.95}
    assert workbench._facts(one, one, one + 1) == {"training accuracy": 1.0}


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
