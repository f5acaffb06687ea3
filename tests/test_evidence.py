"""The reference experiments: what is compared, what is expected, how it is judged, what stands behind the records."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import toy_experiments as toy

import tl_experiments as experiments
from tl_experiments import arms, card, choices, evidence, hypotheses
from tl_helpers import data, records
from tl_helpers.measures import Interval

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


# --- Comparing and judging -------------------------------------------------------------------------------------------


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
        (lambda table: records.chosen(table, ["arm"], "tuning"), "No records of the experiment 'tuning'"),
        (lambda table: records.chosen(table, ["arms"], "reference"), "no column 'arms'. They have"),
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
        ask(toy.reference(**ARMS))


def test_an_arm_that_was_not_chosen_yet_is_said():
    one = {"labels_per_class": 10, "settings": "{}", "learning_rate": 1e-3, "validation_accuracy": 0.5, "error": ""}
    chosen = toy.reference(**{"from scratch": [0.5, 0.5]}).assign(experiment="choice", **one)
    with pytest.raises(experiments.ExperimentError, match=r"Nothing was chosen yet for cifar10, mnist, .*do the grid"):
        evidence.reference(chosen)
    lost = chosen.assign(validation_accuracy=np.nan, error="no memory")
    with pytest.raises(records.RecordsError, match=r"All runs of the experiment 'choice' failed.*no memory"):
        evidence.reference(lost)


def test_a_ranking_without_one_of_its_arms_is_said():
    table = toy.reference(**{"a": [0.5, 0.6]}).assign(experiment="prediction", measures='{"logme": 1.0}')
    ranking = hypotheses.Ranking("logme", ("a", "b"), ("mnist",))
    with pytest.raises(experiments.ExperimentError, match="no runs for b"):
        hypotheses.compare(table, ranking)


def test_a_ranking_is_scipys_tau_and_has_no_interval(shipped):
    rankings = [each for h in hypotheses.HYPOTHESES for each in h.comparisons if isinstance(each, hypotheses.Ranking)]
    assert len(rankings) == 4
    for ranking in rankings:
        found = hypotheses.compare(shipped, ranking)
        for target, points in hypotheses.ranked(shipped, ranking).items():
            wrong = in_order = ties_of_score = ties_of_accuracy = 0
            for (x, y), (u, v) in itertools.combinations(points[["score", "accuracy"]].to_numpy(), 2):
                in_order += (x - u) * (y - v) > 0
                wrong += (x - u) * (y - v) < 0
                ties_of_score += x == u
                ties_of_accuracy += y == v
            pairs = len(points) * (len(points) - 1) / 2
            expected = (in_order - wrong) / np.sqrt((pairs - ties_of_score) * (pairs - ties_of_accuracy))
            assert found[target].mean == pytest.approx(expected)
            assert found[target].count == len(points)
            assert np.isnan([found[target].low, found[target].high]).all()


def test_rankings_are_not_judged(shipped):
    ranked = {h.paper for h in hypotheses.HYPOTHESES if isinstance(h.comparisons[0], hypotheses.Ranking)}
    table = hypotheses.verdicts(shipped)
    assert set(table.paper[table.verdict == "not judged"]) == ranked
    assert table.found[table.verdict == "not judged"].str.contains("one training of each source, so no interval").all()


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
    table = toy.reference(a=[0.5, 0.7], b=[0.4, 0.5])
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
    assert set(found.verdict) <= {"agrees", "agrees in part", "does not show", "contradicts", "not judged"}
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
    table = toy.reference(a=[0.1, 0.1], b=[0.4, 0.5])
    assert on_a_floor(table, hypotheses.Comparison("b", "a", labels=(5,))) == []
    assert on_a_floor(table, hypotheses.Comparison("a", "a", labels=(5,))) == [5]


@pytest.mark.parametrize("without", ["a 1", "b 1"])
def test_a_seed_whose_run_is_left_out_is_left_out_in_both_arms(without):
    table, comparison = (
        toy.reference(a=[0.5, 0.9, 0.7], b=[0.4, 0.1, 0.5]),
        hypotheses.Comparison("a", "b", labels=(5,)),
    )
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
    table = toy.reference(a=[0.9, 0.9], b=[0.1, 0.1]).assign(
        experiment="choice", labels_per_class=10, learning_rate=0.1
    )
    table["settings"], table["test_accuracy"] = "{}", np.nan
    table["validation_accuracy"] = [0.6, 0.8, 0.8, 0.5]
    assert evidence.leader(table, evidence.FAR, ("a", "b"), 5) == "a"  # the choice at 10 serves 5
    assert evidence.leader(table, evidence.FAR, ("b",), 10) == "b"
    other_rate = table[table.arm == "b"].assign(learning_rate=0.2, validation_accuracy=0.71)
    assert evidence.leader(pd.concat([table, other_rate]), evidence.FAR, ("a", "b"), 20) == "b"  # its best trial


def test_what_was_not_run_is_not_judged():
    table = toy.reference(**{"a": [0.5, 0.7]})
    assert set(hypotheses.verdicts(table.assign(experiment="other")).verdict) == {"not run"}


def test_every_paper_is_in_the_references(root):
    known = (root / "references.bib").read_text(encoding="utf-8")
    assert [h.paper for h in hypotheses.HYPOTHESES if f"{{{h.paper}," not in known] == []


# --- The card --------------------------------------------------------------------------------------------------------


def test_the_budget_is_that_of_the_split():
    digits = data.from_arrays(np.random.default_rng(0).integers(0, 256, (90, 8, 8), "uint8"), np.arange(90) % 3)
    assert experiments.budget(data.few_shot(digits, 3)) == {"steps": 200, "batch_size": 32}
    assert experiments.budget(data.full_split(digits)) == {"steps": 200, "batch_size": 128}
