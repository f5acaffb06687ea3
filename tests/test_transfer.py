import dataclasses

import numpy as np
import pytest

from tl_base.backend import keras
from tl_helpers import data, knowledge, models, results, training, transfer

QUICK = {"steps": 12, "batch_size": 16, "points": 2}


def weights(model, *names):
    return [w for name in names for w in model.get_layer(name).get_weights()]


def equal(a, b):
    return len(a) == len(b) and all(np.array_equal(u, v) for u, v in zip(a, b, strict=True))


CALLS = {
    "feature extraction": lambda source, split, **k: transfer.feature_extraction(source, split, **k),
    "parameter transfer": lambda source, split, **k: transfer.parameter_transfer(source, split, **k),
    "knowledge transfer": lambda source, split, **k: transfer.knowledge_transfer(
        source, split, knowledge=[knowledge.L2SP(0.01)], **k
    ),
    "from scratch": lambda source, split, **k: transfer.from_scratch(split, **k),
}


@pytest.mark.parametrize("method", CALLS)
def test_every_method_has_one_call_shape_and_one_result(method, source, split):
    result = CALLS[method](source, split, learning_rate=1e-3, **QUICK)
    assert result.method == method
    assert result.history.steps == (6, 12)
    assert result.validation_accuracy == result.history.validation_accuracy[-1]
    assert result.validation_accuracy == result.evaluate(split.validation).accuracy
    assert result.trainable_parameters == {"feature extraction": 3075}.get(method, 56_320 + 3075)
    assert models.parameter_table(result.model).trainable.sum() == result.trainable_parameters
    assert result.seconds > 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.seconds = 0
    with pytest.raises(TypeError):
        result.settings["seed"] = 1


def test_settings_are_all_arguments_but_who_looks_on(source, split):
    result = transfer.knowledge_transfer(source, split, freeze="conv1", watch=lambda history: None, **QUICK)
    shape = {"layer": "conv3", "head": (), "copy": 3, "freeze": 1, "initialisation": "source", "standardise": False}
    phases = {"knowledge": (), "head_rate": None, "probe_steps": 0, "batch_statistics": False}
    pace = {"learning_rate": 1e-3, "schedule": "cosine", "rate_decay": 1.0, "weight_decay": 0.0, "stop_early": False}
    assert dict(result.settings) == QUICK | shape | phases | pace | {"seed": 0, "augment": None}
    with pytest.raises(TypeError, match="standardise"):
        transfer.knowledge_transfer(source, split, standardise=True, **QUICK)


@pytest.mark.parametrize("method", CALLS)
def test_every_method_learns(method, source, split):
    result = CALLS[method](source, split, learning_rate=1e-3, steps=80, batch_size=24)
    assert result.evaluate(split.test).accuracy > 0.9


@pytest.mark.parametrize(("copy", "freeze"), [(0, 0), (1, 0), (2, 1), (3, 2), (3, 3)])
def test_copied_layers_start_from_the_source_and_frozen_ones_stay(copy, freeze, source, split):
    before = source.get_weights()
    start = transfer.target_network(source, classes=3, copy=copy, seed=5)
    result = transfer.parameter_transfer(source, split, copy=copy, freeze=freeze, seed=5, **QUICK)
    for i, name in enumerate(("conv1", "conv2", "conv3")):
        assert equal(weights(start, name), weights(source, name)) == (i < copy)
        assert equal(weights(result.model, name), weights(start, name)) == (i < freeze)
    assert not equal(weights(result.model, "head"), weights(start, "head"))
    assert equal(before, source.get_weights())


def test_feature_extraction_leaves_the_trunk_bit_equal(source, split):
    result = transfer.feature_extraction(source, split, **QUICK)
    trunk = ("conv1", "conv2", "conv3")
    assert equal(weights(result.model, *trunk), weights(source, *trunk))


def test_random_features_are_the_same_call_with_other_weights(source, split):
    result = transfer.feature_extraction(source, split, initialisation="random", seed=3, **QUICK)
    fresh = transfer.target_network(source, classes=3, seed=3)
    assert not equal(weights(result.model, "conv1"), weights(source, "conv1"))
    assert equal(weights(result.model, "conv1"), weights(fresh, "conv1"))


def test_arms_of_one_seed_start_from_the_same_head(source):
    heads = [
        weights(transfer.target_network(source, classes=3, head=(8,), seed=4, **settings), "hidden1", "head")
        for settings in ({"initialisation": "random"}, {"copy": 3}, {"copy": 3, "standardise": True})
    ]
    assert equal(heads[0], heads[1])
    assert equal(heads[0], heads[2])
    assert heads[0][0].any()


def test_from_scratch_takes_images_of_any_size():
    rows = np.random.default_rng(0).integers(0, 256, (24, 70, 50, 3)).astype("uint8")
    large = data.few_shot(data.from_arrays(rows, np.arange(24) % 2, size=(70, 50)), per_class=3)
    result = transfer.from_scratch(large, **QUICK)
    assert [layer.name for layer in result.model.layers][:3] == ["image", "resize", "rescale"]
    assert result.model.get_layer("resize").output.shape == (None, 32, 32, 3)
    assert 0 <= result.evaluate(large.test).accuracy <= 1


def test_standardisation_uses_training_images_only(source, split):
    result = transfer.feature_extraction(source, split, **QUICK)
    features = models.outputs(models.features_at(source, "conv3"), split.train.images).reshape(len(split.train), -1)
    layer = result.model.get_layer("standardise")
    np.testing.assert_allclose(np.ravel(layer.mean), features.mean(0), atol=1e-4)
    others = dataclasses.replace(split, validation=split.test, test=split.validation)
    again = transfer.feature_extraction(source, others, **QUICK)
    assert equal(layer.get_weights(), weights(again.model, "standardise"))


def test_a_feature_that_hardly_varies_is_not_blown_up(source, split):
    result = transfer.feature_extraction(source, split, **QUICK)
    features = models.outputs(models.features_at(source, "conv3"), split.train.images).reshape(len(split.train), -1)
    assert (features.std(0) == 0).any()
    divisor = np.sqrt(np.ravel(result.model.get_layer("standardise").variance))
    np.testing.assert_allclose(divisor, np.sqrt(features.var(0) + features.var(0).mean()), rtol=1e-3)
    blank = dataclasses.replace(split.train, images=np.zeros_like(split.train.images))
    constant = dataclasses.replace(split, train=blank)
    model = transfer.feature_extraction(source, constant, **QUICK).model
    assert np.isfinite(models.outputs(model, blank.images)).all()


def test_training_does_not_see_validation_or_test(source, split):
    blank = dataclasses.replace(split.test, images=np.zeros_like(split.test.images))
    hidden = dataclasses.replace(split, validation=blank, test=blank)
    for call in CALLS.values():
        one, other = call(source, split, **QUICK), call(source, hidden, **QUICK)
        assert equal(one.model.get_weights(), other.model.get_weights())


def test_the_cached_prefix_gives_what_the_whole_network_gives(source, split):
    result = transfer.parameter_transfer(source, split, copy=2, freeze=2, steps=4, batch_size=8, points=1)
    model = models.freeze(transfer.target_network(source, classes=3, copy=2), 2)
    training.fit(model, split.train.images, split.train.labels, steps=4, batch_size=8, points=1, learning_rate=1e-3)
    for a, b in zip(result.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_copying_is_of_the_whole_trunk_unless_said_otherwise(source, split):
    result = transfer.parameter_transfer(source, split, **QUICK)
    assert result.settings["copy"] == 3
    assert equal(
        result.model.get_weights(), transfer.parameter_transfer(source, split, copy=3, **QUICK).model.get_weights()
    )


def test_linear_probing_then_fine_tuning(source, split):
    """The two phases by hand: the head alone, and then all from there."""
    model = models.freeze(transfer.target_network(source, classes=3, copy=3), 3)
    images, labels = split.train.images, split.train.labels
    shared = {"learning_rate": 1e-3, "batch_size": 16, "points": 2}
    first = training.fit(model, images, labels, steps=8, seed=0, **shared)
    assert equal(weights(model, "conv1", "conv3"), weights(source, "conv1", "conv3"))
    second = training.fit(models.freeze(model, 1), images, labels, steps=4, seed=[0, 1], **shared)
    result = transfer.parameter_transfer(source, split, freeze=1, probe_steps=8, **QUICK)
    assert result.history.steps == (4, 8, 10, 12)
    assert result.history.loss == pytest.approx(first.loss + second.loss, rel=1e-4)
    for ours, theirs in zip(result.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert equal(weights(result.model, "conv1"), weights(source, "conv1"))
    assert result.trainable_parameters == models.parameter_table(result.model).trainable.sum()
    assert not equal(weights(result.model, "conv3"), weights(source, "conv3"))


def test_what_is_not_copied_may_have_its_own_rate(source, split):
    still = transfer.parameter_transfer(source, split, copy=2, learning_rate=1e-9, head_rate=1e-2, **QUICK)
    assert models.distance(still.model, source, 2) < 1e-3
    for name in ("conv3", "head"):
        start = weights(transfer.target_network(source, classes=3, copy=2), name)[0]
        assert np.abs(weights(still.model, name)[0] - start).max() > 1e-2
    probed = transfer.parameter_transfer(source, split, learning_rate=1e-9, head_rate=1e-2, probe_steps=6, **QUICK)
    assert models.distance(probed.model, source, 3) < 1e-3
    assert np.abs(weights(probed.model, "head")[0]).max() > 1e-2


@pytest.mark.parametrize("method", CALLS)
def test_every_method_stops_early_and_says_how_good_the_kept_state_is(method, source, split):
    unsure = dataclasses.replace(split.validation, labels=(split.validation.labels + 1) % 3)  # the longer, the worse
    mixed = dataclasses.replace(split, validation=unsure)
    call = {"stop_early": True, "steps": 30, "points": 15, "batch_size": 8, "learning_rate": 3e-3}
    result = CALLS[method](source, mixed, **call)
    assert result.validation_accuracy == max(result.history.validation_accuracy)
    assert result.validation_accuracy == result.evaluate(unsure).accuracy
    last = CALLS[method](source, mixed, **call | {"stop_early": False})
    assert last.history.validation_accuracy == result.history.validation_accuracy
    if last.validation_accuracy < result.validation_accuracy:
        assert not equal(last.model.get_weights(), result.model.get_weights())


def test_a_phase_that_stops_early_is_followed_from_its_best_state(source, split):
    unsure = dataclasses.replace(split.validation, labels=(split.validation.labels + 1) % 3)
    mixed = dataclasses.replace(split, validation=unsure)
    call = {"batch_size": 8, "points": 8, "stop_early": True, "learning_rate": 3e-3}
    probe = transfer.parameter_transfer(source, mixed, freeze=3, steps=16, **call)
    both = transfer.parameter_transfer(source, mixed, probe_steps=16, steps=17, **call | {"learning_rate": 3e-3})
    assert both.history.validation_accuracy[:8] == probe.history.validation_accuracy
    assert both.validation_accuracy == max(both.history.validation_accuracy[8:])


# Between the start and the end of fine-tuning


@pytest.fixture(scope="module")
def ends(source, split):
    call = {"batch_size": 16, "points": 2, "learning_rate": 1e-3}
    probe = transfer.parameter_transfer(source, split, freeze=3, steps=6, **call)
    return probe, transfer.parameter_transfer(source, split, probe_steps=6, steps=12, **call)


@pytest.mark.parametrize("share", [0, 0.25, 1])
def test_weights_are_averaged_between_start_and_end(share, ends, split):
    start, end = ends
    before = end.model.get_weights()
    result = transfer.averaged(start, end, split.validation, share)
    for ours, first, last in zip(*(each.model.get_weights() for each in (result, start, end)), strict=True):
        np.testing.assert_allclose(ours, (1 - share) * first + share * last, atol=1e-7)
    assert equal(before, end.model.get_weights())
    assert result.validation_accuracy == result.evaluate(split.validation).accuracy
    assert (result.method, result.settings["share"]) == ("weight averaging", share)
    assert result.seconds == start.seconds + end.seconds
    answers = [models.outputs(each.model, split.test.images) for each in (result, start, end)]
    if share in (0, 1):
        np.testing.assert_allclose(answers[0], answers[1 + share], atol=1e-5)


def test_statistics_are_averaged_too(source, split):
    first, last = (transfer.feature_extraction(source, part, **QUICK) for part in (split, split))
    layer = last.model.get_layer("standardise")
    layer.set_weights([2 * weight for weight in layer.get_weights()])
    layer.finalize_state()
    found = transfer.averaged(first, last, split.validation).model.get_layer("standardise")
    np.testing.assert_allclose(found.mean, 1.5 * np.array(first.model.get_layer("standardise").mean), rtol=1e-5)


def test_only_two_states_of_one_network_are_averaged(ends, source, split):
    start, end = ends
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(transfer.TransferError, match=r"share from 0 \(the start\) to 1"):
            transfer.averaged(start, end, split.validation, share)
    with pytest.raises(models.ModelError, match=r"differ in 'standardise'\. Train both with the same cut"):
        transfer.averaged(transfer.feature_extraction(source, split, **QUICK), end, split.validation)
    with pytest.raises(transfer.TransferError, match="The start answers a, b, c, the end 0, 1, 2"):
        transfer.averaged(dataclasses.replace(start, class_names=("a", "b", "c")), end, split.validation)


def test_the_same_call_gives_the_same_numbers(source, split):
    one, two = (transfer.from_scratch(split, seed=2, **QUICK) for _ in range(2))
    assert one.history.loss == pytest.approx(two.history.loss, rel=1e-6)


def test_the_head_can_be_deeper_and_the_cut_elsewhere(source, split):
    deep = transfer.feature_extraction(source, split, head=(16, 8), layer="dense", **QUICK)
    assert deep.trainable_parameters == 64 * 16 + 16 + 16 * 8 + 8 + 8 * 3 + 3
    pixels = transfer.feature_extraction(source, split, layer="rescale", standardise=False, **QUICK)
    assert pixels.trainable_parameters == 32 * 32 * 3 * 3 + 3


def test_a_network_of_ones_own_is_a_source_too(split):
    layers = keras.layers
    own = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 5, name="c"),
            layers.GlobalMaxPooling2D(name="g"),
        ]
    )
    assert transfer.feature_extraction(own, split, layer="g", **QUICK).trainable_parameters == 4 * 3 + 3


def test_evaluate_counts_by_class(source, split):
    result = transfer.feature_extraction(source, split, **QUICK)
    score = result.evaluate(split.test)
    assert score.confusion.sum() == len(split.test)
    assert score.accuracy == pytest.approx(np.trace(score.confusion) / len(split.test))
    for label in range(3):
        rows = split.test.labels == label
        assert score.per_class_accuracy[label] == pytest.approx(np.mean(score.predictions[rows] == label))
        assert score.confusion[label].tolist() == np.bincount(score.predictions[rows], minlength=3).tolist()
    logits = result.model.predict(split.test.images, verbose=0)
    assert score.shares == pytest.approx(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), abs=1e-5)
    assert (score.shares.argmax(1) == score.predictions).all()


def test_shares_are_probabilities_where_a_network_ends_in_them_and_nothing_where_it_answers_other_questions(split):
    def ending(activation):
        image = keras.Input((32, 32, 3))
        flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
        return keras.Model(image, keras.layers.Dense(3, activation, kernel_initializer="ones")(flat))

    assert results.evaluate(ending("softmax"), split.test).shares == pytest.approx(1 / 3)
    assert np.isnan(results.evaluate(ending("sigmoid"), split.test).shares).all()


def test_a_report_compares_results_scores_and_plain_answers(source, split):
    result, other = (transfer.feature_extraction(source, split, **QUICK | {"seed": seed}) for seed in (0, 1))
    scores = [each.evaluate(split.test) for each in (result, other)]
    against = {"result": other, "score": scores[1], "answers": scores[1].predictions}
    report = result.report(split.test, against, draws=[other, scores[1]])
    assert report.accuracy == scores[0].accuracy
    assert report.draws == (scores[0].accuracy, scores[1].accuracy, scores[1].accuracy)
    table = report.comparisons.set_index("against")
    assert (table.loc["result"] == table.loc["score"]).all()
    assert (table.loc["result"] == table.loc["answers"]).all()
    assert table.loc["result", "difference"] == pytest.approx(scores[0].accuracy - scores[1].accuracy)
    assert report.shares.tolist() == scores[0].shares.tolist()


def test_a_report_refuses_other_classes_and_scores_of_other_images(source, split):
    result = transfer.feature_extraction(source, split, **QUICK)
    renamed = dataclasses.replace(split.test, class_names=("a", "b", "c"))
    two = data.only(split.test, split.test.class_names[:2])
    for those in (renamed, two):
        with pytest.raises(results.TransferError, match="classes"):
            result.report(those)
    with pytest.raises(results.TransferError, match="other images than the 30"):
        result.report(split.test, {"half": result.evaluate(split.test.rows(slice(15)))})
    with pytest.raises(results.TransferError, match="other images than the 30"):
        result.report(split.test, {"turned": result.evaluate(split.test.rows(slice(None, None, -1)))})
    with pytest.raises(results.TransferError, match="no images to score"):
        result.report(split.test.rows(slice(0)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, d: transfer.parameter_transfer(s, d, copy=1, freeze=2), "only copied layers can be frozen"),
        (lambda s, d: transfer.parameter_transfer(s, d, copy=4), "3 layers with weights; give 0 to 3"),
        (lambda s, d: transfer.parameter_transfer(s, d, copy=-1), "give 0 to 3"),
        (lambda s, d: transfer.feature_extraction(s, d, layer="conv4"), "no layer 'conv4'"),
        (lambda s, d: transfer.feature_extraction(s, d, initialisation="zeros"), "'source' or 'random'"),
        (lambda s, d: transfer.from_scratch(d, steps=0), "steps ≥ 1"),
        (lambda s, d: transfer.from_scratch(d, learning_rate=0), "learning_rate > 0"),
        (lambda s, d: transfer.parameter_transfer(s, d, probe_steps=200), "give 0 to 199"),
        (lambda s, d: transfer.parameter_transfer(s, d, probe_steps=-1), "give 0 to 199"),
        (lambda s, d: transfer.parameter_transfer(s, d, head_rate=0), "head_rate > 0"),
        (lambda s, d: transfer.knowledge_transfer(s, d, copy=4), "3 layers with weights; give 0 to 3"),
        (lambda s, d: transfer.evaluate(s, d.test), "10 outputs.*3 classes"),
    ],
)
def test_wrong_use_is_explained(call, message, source, split):
    with pytest.raises(ValueError, match=message):
        call(source, split)


def test_a_run_of_two_phases_can_be_ended_in_the_first(source, split):
    seen = []

    def watch(history):
        seen.append(history.steps[-1])
        return len(seen) == 1

    result = transfer.parameter_transfer(source, split, probe_steps=6, watch=watch, **QUICK)
    assert seen == [3]
    assert result.history.steps == (3,)
    seen.append(0)
    result = transfer.parameter_transfer(source, split, probe_steps=6, watch=watch, **QUICK)
    assert seen[2:] == [3, 6, 9, 12]  # the second phase is shown behind the first
