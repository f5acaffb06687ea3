"""The reference experiments: what is compared, what is expected, how it is judged, what stands behind the records."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import toy_experiments as toy

import tl_experiments as experiments
from tl_experiments import __main__ as command
from tl_experiments import arms, card, choices, evidence, hypotheses, perturbations, plan, workbench
from tl_experiments.store import Store
from tl_helpers import data, measures, records
from tl_helpers.measures import Interval

TOY = {"pairs": [("toy_experiments:source", "toy_experiments:digits")], "seed": range(2), "steps": 12}


@pytest.fixture(scope="module")
def shipped():
    return records.load()


# --- Grids -----------------------------------------------------------------------------------------------------------


def test_every_arm_has_the_same_budget_of_trials():
    table = pd.DataFrame([vars(run) for run in experiments.expand(evidence.choice())])
    trials = table.groupby(["source", "target", "arm", "labels_per_class"]).size()
    assert set(trials) == {4 * len(evidence.TRIED_ON)}
    assert not table.test.any()
    assert set(table.seed).isdisjoint(evidence.SEEDS)


def test_all_numbers_of_labels_are_served_by_a_choice():
    assert [evidence.tuned_at(n) for n in evidence.LABELS] == [2, 2, 10, 10, 10, 50, 50]


def test_the_sweep_has_the_treatments_of_yosinski():
    starts = {name: (arm.initialisation, arm.layers_copied, arm.layers_frozen) for name, arm in arms.SWEEP.items()}
    assert len(starts) == 15
    assert starts["A2B, 2 frozen"] == ("source", 2, 2)
    assert starts["B2B, 0 frozen"] == ("target", 2, 0)
    assert starts["random3B, 3 frozen"] == ("random", 3, 3)


def test_arms_of_a_pair_are_reported_on_the_same_ten_seeds(shipped):
    rows = shipped[shipped.experiment.isin(["reference", "sweep"])]
    seeds = rows.groupby(["experiment", "source", "target", "arm", "labels_per_class"]).seed.agg(
        lambda s: tuple(sorted(s))
    )
    assert set(seeds) == {evidence.SEEDS}


def test_arms_differ_in_nothing_but_what_their_names_say(shipped):
    rows = shipped[shipped.experiment == "reference"]
    assert set(rows.steps) == {200}
    assert set(rows.batch_size) == {32}
    assert set(rows.label_noise) == {0.0}


# --- New kinds of runs -----------------------------------------------------------------------------------------------


def test_label_noise_and_measures_are_part_of_a_key_only_where_they_are_used():
    (plain,) = experiments.Grid("x", seed=[0]).runs()
    assert plain.key != replace(plain, label_noise=0.1).key != replace(plain, measures=("logme",)).key


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"measures": ["beauty"]}, "Unknown measure"),
        ({"measures": ["logme"], "method": ["parameter transfer"]}, "kept features"),
        ({"label_noise": 1.0}, "label_noise is a share"),
    ],
)
def test_a_measure_or_a_noise_that_means_nothing_is_refused(axes, message):
    with pytest.raises(experiments.ExperimentError, match=message):
        experiments.Grid("x", **axes)


def test_base_b_is_trained_on_the_labels_of_the_run_from_weights_of_its_own():
    grid = experiments.Grid(
        "toy", **TOY | {"seed": [0], "steps": 60}, method=["parameter transfer"], initialisation=["target"]
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
    own = experiments.Grid("toy", **TOY, **axes).runs()
    shared = experiments.Grid("toy", **TOY, **axes, settings=[{"base_rate": 1e-3}]).runs()
    assert len({plan.prefix_key(run) for run in own}) == 4  # two seeds, two rates
    assert len({plan.prefix_key(run) for run in shared}) == 2
    assert not any(map(plan.trains_together, own))
    assert all(map(plan.trains_together, shared))
    rows = {row["key"]: row for batch in plan.batches(shared) for row in workbench.work(batch)}
    alone = {row["key"]: row for run in shared for row in workbench.work([run])}
    assert all(rows[key]["test_accuracy"] == pytest.approx(alone[key]["test_accuracy"], abs=0.01) for key in rows)


def test_frozen_layers_of_base_b_are_those_of_base_b():
    axes = {"method": ["parameter transfer"], "layers_copied": [2], "layers_frozen": [2]}
    grid = experiments.Grid("toy", **TOY | {"seed": [0]}, **axes, initialisation=["target"])
    (run,) = grid.runs()
    bench = Store()
    wanted = bench.base(run).get_layer("conv3").get_weights()[0]
    assert np.array_equal(bench.suffix(replace(run, layers_copied=3)).get_layer("conv3").get_weights()[0], wanted)
    (row,) = workbench.work([run])
    assert row["error"] == ""
    assert 0 <= row["test_accuracy"] <= 1


def test_a_teacher_can_be_made_of_labels_of_the_target():
    settings = [{"teacher": 20, "weight": 0.5}]
    grid = experiments.Grid("toy", **TOY | {"seed": [0]}, method=["distillation"], settings=settings)
    (row,) = workbench.work(grid.runs())
    assert row["error"] == ""
    assert json.loads(row["settings"]) == {"teacher": 20, "weight": 0.5}


@pytest.mark.parametrize("seeds", [1, 2])
def test_scores_of_features_are_recorded_for_single_runs_and_for_many(seeds):
    grid = experiments.Grid("toy", **TOY | {"seed": range(seeds)}, layer=["pool2"], measures=["logme"])
    rows = workbench.work(grid.runs())
    from tl_helpers import models

    for row in rows:
        images = data.few_shot(toy.digits(), 5, row["seed"]).train
        features = models.outputs(models.features_at(toy.source(), "pool2"), images.images)
        wanted = measures.logme(features.reshape(len(features), -1), images.labels)
        assert json.loads(row["measures"])["logme"] == pytest.approx(wanted, rel=1e-3)


def test_shifts_and_alikeness_are_recorded():
    grid = experiments.Grid(
        "toy", **TOY | {"seed": [0]}, method=["parameter transfer", "from scratch"], measures=["shifts", "cka"]
    )
    for row in workbench.work(grid.runs()):
        assert row["error"] == ""
        found = json.loads(row["measures"])
        assert set(found["shifts"]) == set(perturbations.SHIFTS)
        assert set(found["cka"]) == set(workbench.CKA_LAYERS)
        assert all(0 <= value <= 1 for part in found.values() for value in part.values())


def test_answers_to_some_test_images_are_recorded():
    axes = {"method": ["parameter transfer"], "layers_frozen": [0, 2]}
    for row in workbench.work(experiments.Grid("toy", **TOY | {"seed": [0]}, **axes, measures=["answers"]).runs()):
        assert row["error"] == ""
        answers = json.loads(row["measures"])["answers"]
        dataset = toy.digits()
        truth = data.evenly_spaced(dataset.rows(dataset.held_out), plan.ANSWERED).labels
        assert len(answers) == plan.ANSWERED
        assert np.mean(truth == answers) == pytest.approx(row["test_accuracy"], abs=0.15)


def test_label_noise_reaches_the_training_labels_alone():
    (run,) = experiments.Grid("toy", **TOY | {"seed": [0]}, label_noise=0.4).runs()
    bench = Store()
    noisy, clean = bench.split(run), bench.split(replace(run, label_noise=0.0))
    assert np.mean(noisy.train.labels != clean.train.labels) == 0.4
    assert np.array_equal(noisy.validation.labels, clean.validation.labels)
    assert np.array_equal(noisy.test.labels, clean.test.labels)


# --- Comparing and judging -------------------------------------------------------------------------------------------


def rows(**arms):
    """Make a table of records: arm to one test accuracy a seed, five labels per class."""
    common = {
        "experiment": "reference",
        "source": "cifar10",
        "target": "mnist",
        "labels_per_class": 5,
        "label_noise": 0.0,
        "validation_accuracy": 0.5,
        "history": '{"loss": [0.3]}',
    }
    found = [
        common | {"arm": arm, "seed": s, "test_accuracy": v, "measures": "{}", "key": f"{arm} {s}"}
        for arm, vs in arms.items()
        for s, v in enumerate(vs)
    ]
    return pd.DataFrame(found)


def test_gains_are_paired_by_seed_and_in_points():
    table = rows(a=[0.5, 0.7], b=[0.4, 0.6])
    found = records.gains(table.sample(frac=1, random_state=0), evidence.FAR, against="b")
    assert found.loc["a", 5].mean == pytest.approx(10)
    assert found.loc["a", 5].low == pytest.approx(10)  # the seeds differ, the pairs do not


def test_a_baseline_without_a_source_serves_the_other_pair_of_its_target():
    table = rows(**{"from scratch": [0.5, 0.5], "LP-FT": [0.6, 0.7]})
    table.loc[table.arm == "LP-FT", "source"] = "digits"
    found = records.gains(table, evidence.DIGITS)
    assert list(found.index) == ["LP-FT"]
    assert found.loc["LP-FT", 5].mean == pytest.approx(15)
    assert "LP-FT" not in set(records.rows_of(table, evidence.FAR).arm)


def interval(low, high):
    return Interval((low + high) / 2, low, high, 10)


ARMS = {"from scratch": [0.5, 0.5], "LP-FT": [0.6, 0.7]}


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda table: records.rows_of(table, ("cifar11", "mnist")),
            "no runs of the pair .*'cifar11'.* It has cifar10",
        ),
        (lambda table: records.rows_of(table, evidence.NEAR), "no runs of the pair"),
        (lambda table: records.rows_of(table, ("mnist", "cifar10")), "no runs of the pair"),
        (lambda table: records.rows_of(table, evidence.FAR, "refrence"), "No records of the experiment 'refrence'"),
        (lambda table: records.gains(table, evidence.FAR, experiment="sweep"), "Experiments that are: reference"),
        (
            lambda table: records.gains(table, evidence.FAR, against="scratch"),
            "no scored runs of the arm 'scratch'. It has",
        ),
        (lambda table: records.gains(table, evidence.SMALL), "no runs of the pair"),
        (lambda table: records.gains(table.assign(test_accuracy=np.nan), evidence.FAR), "no scored runs of the arm"),
        (lambda table: records.chosen_rates(table), "No records of the experiment 'tuning'"),
        (lambda table: records.chosen_rates(table, ["arms"], "reference"), "no column 'arms'. They have"),
        (lambda table: evidence.reference(table), "No records of the experiment 'choice'"),
        (lambda table: evidence.sweep(table), "No records of the experiment 'sweep choice'"),
        (lambda table: evidence.shifts(table[:0]), "Experiments that are: none"),
        (lambda table: choices.rows_for(table, "fra", choices.OFFER[0], 5), "no pair 'fra'. It has far, near"),
        (lambda table: choices.offered("fra"), "no pair 'fra'"),
        (lambda table: card.repeat(table.assign(error="lost"), 1), "no record to do again"),
    ],
)
def test_what_no_record_tells_of_is_no_empty_table(ask, message):
    with pytest.raises(records.RecordsError, match=message):
        ask(rows(**ARMS))


def test_an_arm_that_was_not_chosen_yet_is_said():
    one = {"labels_per_class": 10, "settings": "{}", "learning_rate": 1e-3, "validation_accuracy": 0.5, "error": ""}
    chosen = rows(**{"from scratch": [0.5, 0.5]}).assign(experiment="choice", **one)
    with pytest.raises(experiments.ExperimentError, match=r"Nothing was chosen yet for cifar10, mnist, .*do the grid"):
        evidence.reference(chosen)
    lost = chosen.assign(validation_accuracy=np.nan, error="no memory")
    with pytest.raises(records.RecordsError, match=r"All runs of the experiment 'choice' failed.*no memory"):
        evidence.reference(lost)


def test_a_ranking_without_one_of_its_arms_is_said():
    table = rows(**{"a": [0.5, 0.6]}).assign(experiment="prediction", measures='{"logme": 1.0}')
    ranking = hypotheses.Ranking("logme", ("a", "b"), ("mnist",))
    with pytest.raises(experiments.ExperimentError, match="no runs for b"):
        hypotheses.compare(table, ranking)


UP, OPEN, DOWN = interval(0.1, 0.2), interval(-0.1, 0.2), interval(-0.2, -0.1)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([UP, UP, OPEN], "agrees"),
        ([UP, OPEN], "agrees in part"),
        ([UP, UP, UP, DOWN], "agrees in part"),
        ([UP, DOWN], "agrees in part"),
        ([OPEN, OPEN], "does not show"),
        ([OPEN, DOWN], "contradicts"),
        ([UP, DOWN, DOWN], "contradicts"),
    ],
)
def test_the_rule_of_judgement(found, verdict):
    assert hypotheses.judge(found) == verdict


def test_a_comparison_pairs_seeds_and_reads_measures():
    table = rows(a=[0.5, 0.7], b=[0.4, 0.5])
    table["measures"] = [f'{{"cka": {{"x": {value}}}}}' for value in (0.9, 0.8, 0.1, 0.2)]
    where = {"labels": (5,)}
    assert hypotheses.compare(table, hypotheses.Comparison("a", "b", **where))[5].mean == pytest.approx(0.15)
    of = hypotheses.Comparison("a", "b", **where, what=("cka", "x"))
    assert hypotheses.compare(table, of)[5].mean == pytest.approx(0.7)
    with pytest.raises(experiments.ExperimentError, match="runs are missing"):
        hypotheses.compare(table[table.seed + (table.arm == "b") < 2], hypotheses.Comparison("a", "b", **where))


def test_every_hypothesis_can_be_judged_by_what_ships(shipped):
    found = hypotheses.verdicts(shipped)
    assert len(found) == len(hypotheses.HYPOTHESES)
    assert set(found.verdict) <= {"agrees", "agrees in part", "does not show", "contradicts"}
    assert list(found.expected[found.found.str.contains("2 runs died, and without their seeds")].str[:20]) == [
        "Copied from A and fi",
        "BnB+ beats BnB for n",
    ]


def levels(table, comparison):
    """Return the mean of each arm of a comparison, at each number of labels, in units of what guessing gives."""
    rows = records.rows_of(table, comparison.pair, comparison.experiment)
    rows = rows[rows.label_noise == comparison.label_noise]
    sides = (comparison.better, comparison.what), (comparison.worse, comparison.against or comparison.what)
    for labels in comparison.labels:
        parts = [(rows[(rows.arm == arm) & (rows.labels_per_class == labels)], what) for arm, what in sides]
        found = [
            part.measures.map(lambda text, what=what: json.loads(text)[what[0]][what[1]])
            if what
            else part.test_accuracy
            for part, what in parts
        ]
        yield labels, [values.mean() * records.CLASSES[comparison.pair[1]] for values in found]


def on_a_floor(table, comparison):
    """List the numbers of labels at which neither arm is clearly above guessing: nothing is compared there."""
    return [labels for labels, found in levels(table, comparison) if max(found) < 1.2]


def test_no_verdict_rests_on_a_floor(shipped):
    judged = [each for hypothesis in hypotheses.HYPOTHESES for each in hypothesis.comparisons]
    judged = [each for each in judged if not isinstance(each, hypotheses.Ranking) and "cka" not in each.what]
    assert len(judged) > 35
    assert [each for each in judged if on_a_floor(shipped, each)] == []


@pytest.mark.parametrize("arms", [("LP-FT", hypotheses.TUNED), (hypotheses.SOURCE_HEAD, hypotheses.SCRATCH)])
def test_digits_moved_by_four_pixels_are_a_floor(shipped, arms):
    comparison = hypotheses.Comparison(*arms, labels=(10, 50), experiment="shifts", what=("shifts", "moved"))
    assert on_a_floor(shipped, comparison) == [10, 50]


def test_an_arm_at_guessing_beside_one_above_is_no_floor():
    table = rows(a=[0.1, 0.1], b=[0.4, 0.5])
    assert on_a_floor(table, hypotheses.Comparison("b", "a", labels=(5,))) == []
    assert on_a_floor(table, hypotheses.Comparison("a", "a", labels=(5,))) == [5]


def ended(target, loss, validation):
    """Make a run of two arms that ended so."""
    history = json.dumps({"loss": loss})
    return rows(a=[0.5]).assign(target=target, validation_accuracy=validation, history=history)


@pytest.mark.parametrize(
    ("target", "loss", "validation", "count"),
    [
        ("cifar10-b", [1.7, np.log(5)], 0.2, 1),
        ("mnist", [2.4, 2.3026], 0.1, 1),
        ("digits", [2.3025], 0.1, 1),
        ("mnist", [2.4, 0.4], 0.1, 0),  # bad luck on few validation images: it has learnt
        ("mnist", [2.4, 2.25], 0.1, 0),  # a low rate: it is on its way
        ("mnist", [2.3026], 0.4, 0),  # tells the images apart
        ("cifar10-b", [np.log(10)], 0.1, 0),
        ("mnist", [], 0.1, 0),
        ("toy_experiments:digits", [2.3026], 0.1, 0),
    ],
)
def test_a_run_is_dead_if_it_guesses_and_gives_all_classes_the_same(target, loss, validation, count):
    assert len(records.dead(ended(target, loss, validation))) == count


def test_the_dead_runs_of_the_records_are_known(shipped):
    found = records.dead(shipped)
    assert sorted(zip(found.experiment, found.arm, found.seed, strict=True)) == [
        ("choice", "from scratch", 104),
        ("sweep", "B1B, 0 frozen", 7),
        ("sweep", "B1B, 0 frozen", 8),
    ]
    assert found.test_accuracy.dropna().tolist() == [0.2, 0.2]


@pytest.mark.parametrize("without", ["a 1", "b 1"])
def test_a_seed_whose_run_is_left_out_is_left_out_in_both_arms(without):
    table, comparison = rows(a=[0.5, 0.9, 0.7], b=[0.4, 0.1, 0.5]), hypotheses.Comparison("a", "b", labels=(5,))
    assert hypotheses.compare(table, comparison)[5].mean == pytest.approx(1.1 / 3)
    assert hypotheses.compare(table, comparison, without=[without])[5].mean == pytest.approx(0.15)
    assert hypotheses.compare(table, comparison, without=["c 1"]) == hypotheses.compare(table, comparison)


def test_a_ranking_of_states_leaves_other_sources_out(shipped):
    (leep,) = [each for h in hypotheses.HYPOTHESES if h.paper == "nguyen2020" for each in h.comparisons]
    states = {"cifar10", *(f"cifar10@{epoch}" for epoch in evidence.EPOCHS)}
    found = hypotheses.ranked(shipped, leep)
    assert all(set(points.index.get_level_values("source")) == states for points in found.values())
    everything = hypotheses.ranked(shipped, replace(leep, states_of=""))
    assert set(everything["mnist"].index.get_level_values("source")) == states | {"digits"}


def test_development_seeds_name_the_leader():
    table = rows(a=[0.9, 0.9], b=[0.1, 0.1]).assign(experiment="choice", labels_per_class=10, learning_rate=0.1)
    table["settings"], table["test_accuracy"] = "{}", np.nan
    table["validation_accuracy"] = [0.6, 0.8, 0.8, 0.5]
    assert evidence.leader(table, evidence.FAR, ("a", "b"), 5) == "a"  # the choice at 10 serves 5
    assert evidence.leader(table, evidence.FAR, ("b",), 10) == "b"
    other_rate = table[table.arm == "b"].assign(learning_rate=0.2, validation_accuracy=0.71)
    assert evidence.leader(pd.concat([table, other_rate]), evidence.FAR, ("a", "b"), 20) == "b"  # its best trial


def test_what_was_not_run_is_not_judged():
    table = rows(**{"a": [0.5, 0.7]})
    assert set(hypotheses.verdicts(table.assign(experiment="other")).verdict) == {"not run"}


def test_every_paper_is_in_the_references(root):
    known = (root / "references.bib").read_text(encoding="utf-8")
    assert [h.paper for h in hypotheses.HYPOTHESES if f"{{{h.paper}," not in known] == []


# --- The card --------------------------------------------------------------------------------------------------------


def test_the_card_that_ships_is_that_of_the_records(root, shipped):
    told = json.loads((root / "tl_helpers" / "assets" / "records.json").read_text(encoding="utf-8"))
    now = card.card()
    assert {key: told[key] for key in ("runs", "hours", "experiments", "machines", "schema")} == {
        key: now[key] for key in ("runs", "hours", "experiments", "machines", "schema")
    }
    assert set(told["data"]) == {"mnist", "cifar10", "digits"}
    assert {name: told["data"][name] for name in now["data"]} == now["data"]


def test_records_and_curves_are_small(root):
    assert (root / "tl_helpers" / "assets" / "records.csv").stat().st_size < 5_000_000


def test_recorded_runs_can_be_repeated(tmp_path, capsys, monkeypatch):
    path = tmp_path / "a.csv"
    table = experiments.run(experiments.Grid("toy", **TOY, labels_per_class=[1]), path, progress=False)
    found = card.repeat(table, 2)
    assert len(found) == 2
    assert found.difference.abs().max() < card.TOLERANCE
    with pytest.raises(experiments.ExperimentError, match="is not what the record was made with"):
        card.repeat(table.assign(fingerprints=table.fingerprints.str.replace("target", "targets")), 1)
    other = card.repeat(table.assign(test_accuracy=table.test_accuracy - 0.5), 1)
    assert other.difference.iloc[0] == pytest.approx(0.5, abs=card.TOLERANCE)
    assert command.main(["--repeat", "1", "--output", str(path)]) == 0
    assert "1 of 1 runs lie within" in capsys.readouterr().out
    monkeypatch.setattr(command, "repeat", lambda *_, **__: other)
    assert command.main(["--repeat", "1", "--output", str(path)]) == 1
    with pytest.raises(SystemExit):
        command.main(["--repeat", "0", "--output", str(path)])


@pytest.mark.parametrize(("name", "beside"), [("runs.txt", "runs.json"), ("runs.json", "runs.json.card.json")])
def test_a_card_stands_beside_its_records_whatever_their_name(tmp_path, name, beside):
    grid = experiments.Grid("toy", **TOY, labels_per_class=[1])
    experiments.run(grid, tmp_path / name, progress=False, work=toy.quick_work)
    before = (tmp_path / name).read_bytes()
    card.write_card(tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert json.loads((tmp_path / beside).read_text(encoding="utf-8"))["runs"] == 2
