"""Doing runs: each equals the ordinary call of `transfer`, whatever is kept and shared."""

import json
from dataclasses import replace

import numpy as np
import pytest
import toy_experiments as toy

import tl_experiments as experiments
from tl_experiments import arms, names, perturbations, plan, workbench
from tl_experiments.grid import METHODS
from tl_experiments.store import Activations, Store
from tl_helpers import data, measures, models, records, training, transfer


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
    common = toy.TOY | {"seed": [0], "steps": 2, "labels_per_class": [1], "layers_frozen": [2]}
    every = [
        experiments.Grid("toy", **common, method=[name], settings=[toy.OWN_SETTINGS.get(name, {})]) for name in METHODS
    ]
    done = experiments.run(every, tmp_path / "a.csv", progress=False)
    assert sorted(done.method) == sorted(METHODS)
    assert (done.error == "").all(), done.error.tolist()
    for row in done[done.method.isin(toy.OWN_SETTINGS)].to_dict("records"):
        assert experiments.Run.of(row) in experiments.expand(every)


def test_a_recorded_run_can_be_done_again(done):
    for row in done.sample(4, random_state=0).to_dict("records"):
        (again,) = workbench.work([experiments.Run.of(row)])
        assert [again[name] for name in toy.SAME] == pytest.approx([row[name] for name in toy.SAME], abs=0.004)
        assert again["key"] == row["key"]


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
    runs = experiments.Grid("toy", **toy.TOY | {"seed": range(3)}, initialisation=["random"]).runs()
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


def test_base_b_is_trained_on_the_labels_of_the_run_from_weights_of_its_own():
    grid = experiments.Grid(
        "toy", **toy.TOY | {"seed": [0], "steps": 60}, method=["parameter transfer"], initialisation=["target"]
    )
    (run,) = grid.runs()
    bench = Store()
    base = bench.base(run)
    split = data.few_shot(toy.digits(), 5, 0)
    right = np.mean(base.predict(split.train.images, verbose=0).argmax(1) == split.train.labels)
    assert right > 0.8  # it has learnt the labels of the run
    assert bench.base(replace(run, layers_frozen=1, arm="other")) is base  # one base for all treatments of a seed
    first = next(layer for layer in base.layers if layer.get_weights()).get_weights()[0]
    assert not np.allclose(
        first, bench.network(replace(run, initialisation="random")).get_layer("conv1").get_weights()[0]
    )


def test_each_rate_of_base_b_has_its_own_activations():
    axes = {"initialisation": ["target"], "learning_rate": [1e-3, 1e-2]}
    own = experiments.Grid("toy", **toy.TOY, **axes).runs()
    shared = experiments.Grid("toy", **toy.TOY, **axes, settings=[{"base_rate": 1e-3}]).runs()
    assert len({plan.prefix_key(run) for run in own}) == 4  # two seeds, two rates
    assert len({plan.prefix_key(run) for run in shared}) == 2
    assert not any(map(plan.trains_together, own))
    assert all(map(plan.trains_together, shared))
    rows = {row["key"]: row for batch in plan.batches(shared) for row in workbench.work(batch)}
    alone = {row["key"]: row for run in shared for row in workbench.work([run])}
    assert all(rows[key]["test_accuracy"] == pytest.approx(alone[key]["test_accuracy"], abs=0.01) for key in rows)


def test_frozen_layers_of_base_b_are_those_of_base_b():
    axes = {"method": ["parameter transfer"], "layers_copied": [2], "layers_frozen": [2]}
    grid = experiments.Grid("toy", **toy.TOY | {"seed": [0]}, **axes, initialisation=["target"])
    (run,) = grid.runs()
    bench = Store()
    wanted = bench.base(run).get_layer("conv3").get_weights()[0]
    assert np.array_equal(bench.suffix(replace(run, layers_copied=3)).get_layer("conv3").get_weights()[0], wanted)
    (row,) = workbench.work([run])
    assert row["error"] == ""
    split = data.few_shot(toy.digits(), 5, 0)
    alone = transfer.parameter_transfer(bench.base(run), split, copy=2, freeze=2, steps=12, seed=0)
    assert row["test_accuracy"] == pytest.approx(alone.evaluate(split.test).accuracy, abs=0.004)


def test_a_teacher_can_be_made_of_labels_of_the_target():
    settings = [{"teacher": 20, "weight": 0.5}]
    grid = experiments.Grid("toy", **toy.TOY | {"seed": [0]}, method=["distillation"], settings=settings)
    (row,) = workbench.work(grid.runs())
    assert row["error"] == ""
    assert json.loads(row["settings"]) == {"teacher": 20, "weight": 0.5}


def test_a_teacher_can_be_made_of_the_labels_of_the_run():
    axes = {"method": ["distillation"], "label_noise": 0.4, "settings": [{"teacher": "same", "teacher_rate": 3e-3}]}
    first, other = experiments.Grid("toy", **toy.TOY | {"steps": 60}, **axes).runs()
    bench = Store()
    teacher = bench.knowledge(first)["teacher"]
    split = data.few_shot(toy.digits(), 5, first.seed)
    noisy = perturbations.with_label_noise(split.train, 0.4, first.seed)
    alone = transfer.parameter_transfer(
        toy.source(), replace(split, train=noisy), layer="conv3", learning_rate=3e-3, steps=60, seed=1000 + first.seed
    )
    for ours, theirs in zip(teacher.get_weights(), alone.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert bench.knowledge(replace(first, learning_rate=0.1, settings=first.settings))["teacher"] is teacher
    assert bench.knowledge(other)["teacher"] is not teacher
    assert "teacher" not in names.named(first)


@pytest.mark.parametrize("method", ["feature extraction", "parameter transfer"])
def test_the_curve_of_a_run_can_say_how_many_wrong_labels_are_learned(method):
    """Two linear heads train together, two networks one by one: the share at the end is that of the trained network."""
    rate = {"feature extraction": 1e-3, "parameter transfer": 3e-3}[method]
    axes = {"method": [method], "measures": ["memorised"], "label_noise": 0.3, "steps": 80, "learning_rate": [rate]}
    runs = experiments.Grid("toy", **toy.TOY | axes).runs()
    rows = [row for batch in plan.batches(runs) for row in workbench.work(batch)]
    assert [row["error"] for row in rows] == ["", ""]
    for run, row in zip(runs, rows, strict=True):
        split = data.few_shot(toy.digits(), 5, run.seed)
        noisy = perturbations.with_label_noise(split.train, 0.3, run.seed)
        wrong = noisy.labels != split.train.labels
        assert wrong.sum() == 15
        call = {"feature extraction": transfer.feature_extraction, "parameter transfer": transfer.parameter_transfer}
        budget = {"steps": 80, "learning_rate": rate, "seed": run.seed, "points": plan.POINTS}
        alone = call[method](toy.source(), replace(split, train=noisy), **budget)
        share = np.mean(models.outputs(alone.model, noisy.images[wrong]).argmax(1) == noisy.labels[wrong])
        assert row["validation_accuracy"] == pytest.approx(share, abs=0.07)
        assert json.loads(row["measures"])["memorised"] == row["validation_accuracy"]
        assert records.history(row)["validation_accuracy"][0] < row["validation_accuracy"]
        assert row["test_accuracy"] == pytest.approx(alone.evaluate(split.test).accuracy, abs=0.03)
        assert experiments.Run.of(row).measures == ("memorised",)


def test_without_a_wrong_label_there_is_nothing_to_memorise():
    axes = {"measures": ["memorised"], "label_noise": 0.04, "labels_per_class": [1]}
    (row,) = workbench.work(experiments.Grid("toy", **toy.TOY | {"seed": [0]}, **axes).runs())
    assert "No label of 10 is wrong at label_noise=0.04" in row["error"]


@pytest.mark.parametrize("seeds", [1, 2])
def test_scores_of_features_are_recorded_for_single_runs_and_for_many(seeds):
    grid = experiments.Grid("toy", **toy.TOY | {"seed": range(seeds)}, layer=["pool2"], measures=["logme"])
    rows = workbench.work(grid.runs())
    from tl_helpers import models

    for row in rows:
        images = data.few_shot(toy.digits(), 5, row["seed"]).train
        features = models.outputs(models.features_at(toy.source(), "pool2"), images.images)
        wanted = measures.logme(features.reshape(len(features), -1), images.labels)
        assert json.loads(row["measures"])["logme"] == pytest.approx(wanted, rel=1e-3)


def cka(ours, theirs, debiased=False):
    """Compute linear CKA from the similarities of the images instead of the covariances of the features.

    Biased, they are centred; debiased, U-centred: those of an image with itself left out (Székely and Rizzo, 2014).
    """
    count, flat = len(ours), [x.reshape(len(x), -1).astype(float) for x in (ours, theirs)]
    centred = []
    for kernel in (x @ x.T for x in flat):
        if debiased:
            np.fill_diagonal(kernel, 0)
        fewer = 2 * debiased
        each = kernel.sum(0) / (count - fewer)
        kernel += kernel.sum() / ((count - fewer) * (count - debiased)) - each - each[:, None]
        if debiased:
            np.fill_diagonal(kernel, 0)
        centred.append(kernel)
    first, second = centred
    return np.sum(first * second) / np.linalg.norm(first) / np.linalg.norm(second)


def test_shifts_and_alikeness_are_those_of_the_trained_network():
    methods = ["parameter transfer", "from scratch"]
    grid = experiments.Grid("toy", **toy.TOY | {"seed": [0]}, method=methods, measures=["shifts", "debiased cka"])
    copied, scratch = workbench.work(grid.runs())
    source, split = toy.source(), data.few_shot(toy.digits(), 5, 0)
    trained = transfer.parameter_transfer(source, split, copy=3, steps=12, seed=0)
    starts = {"parameter transfer": source, "from scratch": Store().base(grid.runs()[1])}
    nets = {"parameter transfer": trained.model, "from scratch": transfer.from_scratch(split, steps=12, seed=0).model}
    for row in (copied, scratch):
        assert row["error"] == ""
        measured, net, start = json.loads(row["measures"]), nets[row["method"]], starts[row["method"]]
        shifted = {kind: perturbations.shifted(split.test, kind) for kind in perturbations.SHIFTS}
        right = {kind: np.mean(models.outputs(net, s.images).argmax(1) == s.labels) for kind, s in shifted.items()}
        assert measured["shifts"] == pytest.approx(right, abs=0.01)
        parts = {layer: [models.features_at(each, layer) for each in (start, net)] for layer in workbench.CKA_LAYERS}
        images = split.test.images[: workbench.CKA_IMAGES]
        alike = {
            layer: cka(*(models.outputs(each, images) for each in pair), debiased=True) for layer, pair in parts.items()
        }
        assert measured["debiased cka"] == pytest.approx(alike, abs=0.01)


def test_alikeness_is_free_of_the_bias_of_few_images(monkeypatch):
    monkeypatch.setattr(workbench, "CKA_IMAGES", 12)  # so few that the bias is large
    (run,) = experiments.Grid("toy", **toy.TOY | {"seed": [0]}, measures=["debiased cka"]).runs()
    store, other = Store(), models.source_cnn(seed=9)
    measured = workbench._measured(store, run, store.split(run), other)
    images = data.few_shot(toy.digits(), 5, 0).test.images[:12]
    for layer in workbench.CKA_LAYERS:
        seen = [models.outputs(models.features_at(each, layer), images) for each in (toy.source(), other)]
        assert measured["debiased cka"][layer] == pytest.approx(cka(*seen, debiased=True), abs=1e-4)
    assert cka(*seen) > measured["debiased cka"]["conv3"] + 0.01


@pytest.mark.parametrize("method", ["parameter transfer", "from scratch"])
def test_a_network_is_compared_with_a_sibling_of_another_seed(method):
    grid = experiments.Grid("toy", **toy.TOY | {"seed": [0]}, method=[method], measures=["siblings"])
    (row,) = workbench.work(grid.runs())
    assert row["error"] == ""
    split, source = data.few_shot(toy.digits(), 5, 0), toy.source()
    nets = [
        (
            transfer.from_scratch(split, steps=12, seed=seed)
            if method == "from scratch"
            else transfer.parameter_transfer(source, split, copy=3, steps=12, seed=seed)
        ).model
        for seed in (0, 1000)
    ]
    images = split.test.images[: workbench.CKA_IMAGES]
    for layer, found in json.loads(row["measures"])["siblings"].items():
        pair = [models.outputs(models.features_at(each, layer), images) for each in nets]
        assert found == pytest.approx(cka(*pair, debiased=True), abs=0.01)


def test_answers_to_some_test_images_are_recorded():
    axes = {"method": ["parameter transfer"], "layers_frozen": [0, 2]}
    for row in workbench.work(experiments.Grid("toy", **toy.TOY | {"seed": [0]}, **axes, measures=["answers"]).runs()):
        assert row["error"] == ""
        answers = json.loads(row["measures"])["answers"]
        dataset = toy.digits()
        truth = data.evenly_spaced(dataset.rows(dataset.held_out), plan.ANSWERED).labels
        assert len(answers) == plan.ANSWERED
        assert np.mean(truth == answers) == pytest.approx(row["test_accuracy"], abs=0.15)


def test_label_noise_reaches_the_training_labels_alone():
    (run,) = experiments.Grid("toy", **toy.TOY | {"seed": [0]}, label_noise=0.4).runs()
    bench = Store()
    noisy, clean = bench.split(run), bench.split(replace(run, label_noise=0.0))
    assert np.mean(noisy.train.labels != clean.train.labels) == 0.4
    assert np.array_equal(noisy.validation.labels, clean.validation.labels)
    assert np.array_equal(noisy.test.labels, clean.test.labels)


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
    toy.written(tmp_path / "a.csv", rows)
    for run, row in zip(runs, records.load(tmp_path / "a.csv").to_dict("records"), strict=True):
        assert experiments.Run.of(row) == replace(run, epochs=0)
        assert row["key"] == run.key
        assert row["validation_accuracy"] == 0.12346
        assert records.history(row)["loss"] == [0.5, 0.25]
