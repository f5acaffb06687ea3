"""Many linear heads in one loop: each is the head that is trained alone."""

import numpy as np
import pytest
import toy_experiments as toy

from tl_experiments import heads
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
