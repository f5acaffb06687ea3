"""The reference experiments: what is compared, what is expected, how it is judged, what stands behind the records."""

import numpy as np
import pandas as pd
import pytest
import toy_experiments as toy

import tl_experiments as experiments
from tl_experiments import arms, card, choices, evidence
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
        (lambda table: evidence.explorer(table[:0]), "Experiments that are: none"),
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


# --- The card --------------------------------------------------------------------------------------------------------


def test_the_budget_is_that_of_the_split():
    digits = data.from_arrays(np.random.default_rng(0).integers(0, 256, (90, 8, 8), "uint8"), np.arange(90) % 3)
    assert experiments.budget(data.few_shot(digits, 3)) == {"steps": 200, "batch_size": 32}
    assert experiments.budget(data.full_split(digits)) == {"steps": 200, "batch_size": 128}
