"""Reading the recorded runs: the file that ships, damaged files, what rows say about the arms that were compared."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import toy_experiments as toy
from hypothesis import given, settings
from hypothesis import strategies as st

import tl_experiments as experiments
from tl_experiments import arms, evidence, log
from tl_helpers import records
from tl_helpers.records import RecordsError

VERSION = f"# schema {records.SCHEMA_VERSION}"


def test_records_are_tidy_and_complete(shipped):
    assert list(shipped.columns) == records.COLUMNS
    assert shipped.validation_accuracy.between(0, 1).all()
    assert (shipped.error == "").all()
    assert shipped[shipped.experiment == "tuning"].test_accuracy.isna().all()
    assert shipped[shipped.experiment == "report"].test_accuracy.between(0, 1).all()


def test_nothing_is_missing_in_the_records_that_ship(shipped):
    for make in experiments.known().values():
        assert {run.key for run in experiments.expand(make(shipped))} <= set(shipped.key)


def test_a_run_of_what_is_recorded_leaves_the_file_as_it_was(shipped, tmp_path, root):
    ours, path = root / "tl_helpers" / "assets" / "records.csv", tmp_path / "records.csv"
    path.write_bytes(ours.read_bytes())
    before = hashlib.sha256(ours.read_bytes()).hexdigest()
    grids = [grid for make in experiments.known().values() for grid in make(shipped)]
    assert len(experiments.run(grids, path, progress=False)) == len(shipped)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert hashlib.sha256(ours.read_bytes()).hexdigest() == before


def test_arms_have_one_order_in_tables():
    assert list(evidence.COMPARED[0][1]) == records.ORDER


@pytest.mark.parametrize("target", ["mnist", "digits"])
def test_every_arm_was_tuned_with_the_same_budget(shipped, target):
    for labels, seeds in ((5, len(experiments.DEVELOPMENT_SEEDS)), (None, 1)):
        rows = shipped[(shipped.experiment == "tuning") & (shipped.target == target)]
        rows = rows[rows.labels_per_class.isna() if labels is None else rows.labels_per_class == labels]
        runs = rows.groupby(["arm", "learning_rate"]).seed.nunique().unstack()
        assert set(runs.index) == set(arms.WORKED_EXAMPLE)
        assert tuple(runs.columns) == experiments.LEARNING_RATES
        assert (runs == seeds).all(axis=None)
        assert rows.steps.nunique() == rows.batch_size.nunique() == 1


def test_development_seeds_are_not_reported(shipped):
    reported = set(shipped[shipped.experiment == "report"].seed)
    assert reported == {0, 1, 2}
    assert not reported & set(experiments.DEVELOPMENT_SEEDS)


def test_arms_share_what_they_should(shipped):
    ten_classes = shipped[shipped.target.isin(["mnist", "digits"])]
    sizes = ten_classes.groupby("arm").trainable_parameters.unique().map(list)
    assert sizes["fine-tuned from the source"] == sizes["from scratch"] == [56_320 + 10_250]
    assert sizes["linear head, source features"] == sizes["linear head, random features"] == [10_250]


ROW = {
    "experiment": "tuning",
    "source": "cifar10",
    "target": "mnist",
    "arm": "a",
    "labels_per_class": 5,
    "settings": "{}",
}


def table(**columns):
    rows = [ROW | dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return pd.DataFrame(rows).astype({"labels_per_class": "Int64"})


def test_the_learning_rate_with_the_best_mean_is_chosen():
    rows = table(learning_rate=[0.1, 0.1, 0.2, 0.2], validation_accuracy=[0.9, 0.1, 0.6, 0.7], seed=[1, 2, 1, 2])
    assert records.chosen_rate(rows, "mnist", 5, "a") == 0.2
    full = table(labels_per_class=[None, 5], learning_rate=[0.3, 0.4], validation_accuracy=[0.1, 0.2], seed=[1, 1])
    assert records.chosen_rate(full, "mnist", None, "a") == 0.3
    assert records.chosen_rates(full).tolist() == [0.4, 0.3]
    with pytest.raises(RecordsError, match="No tuning record for 'b'"):
        records.chosen_rate(rows, "mnist", 5, "b")


def test_a_rate_tried_on_fewer_seeds_is_no_fair_choice():
    rows = table(learning_rate=[0.1, 0.1, 0.2], validation_accuracy=[0.5, 0.6, 0.9], seed=[1, 2, 1])
    with pytest.raises(RecordsError, match="different seeds"):
        records.chosen_rates(rows)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused_and_left_alone(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "a.csv"
    whole = toy.written(path, [row | {"history": ""} for row in toy.ROWS])
    place = data.draw(st.integers(0, len(whole) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[place]))
    damaged = whole[:place] + bytes([byte]) + whole[place + 1 :]
    path.write_bytes(damaged)
    with pytest.raises(RecordsError):
        records.load(path)
    with pytest.raises(RecordsError), log.open_log(path):
        pass
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace(VERSION, "# schema 1"), f"expected '{VERSION}' in line 1, found '# schema 1'"),
        (lambda text: text.replace(",seed,", ",sead,"), "other columns"),
        (lambda text: text + "tuning,1,2\n", "line 9 is damaged"),
        (lambda text: text + text.splitlines()[-1] + "\n", "1 runs stand there twice"),
        (lambda text: text[:-30], "has no end"),
        (lambda text: "\ufeff" + text, f"expected '{VERSION}'"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, change, message):
    path = tmp_path / "a.csv"
    path.write_text(change(toy.written(path, [row | {"history": ""} for row in toy.ROWS]).decode()))
    with pytest.raises(RecordsError, match=message):
        records.load(path)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(RecordsError, match="is not there"):
        records.load(tmp_path / "none.csv")


def test_gains_are_paired_by_seed_and_in_points():
    table = toy.reference(a=[0.5, 0.7], b=[0.4, 0.6])
    found = records.gains(table.sample(frac=1, random_state=0), evidence.FAR, against="b")
    assert found.loc["a", 5].mean == pytest.approx(10)
    assert found.loc["a", 5].low == pytest.approx(10)  # the seeds differ, the pairs do not


def test_a_baseline_without_a_source_serves_the_other_pair_of_its_target():
    table = toy.reference(**{"from scratch": [0.5, 0.5], "LP-FT": [0.6, 0.7]})
    table.loc[table.arm == "LP-FT", "source"] = "digits"
    found = records.gains(table, evidence.DIGITS)
    assert list(found.index) == ["LP-FT"]
    assert found.loc["LP-FT", 5].mean == pytest.approx(15)
    assert "LP-FT" not in set(records.rows_of(table, evidence.FAR).arm)


def ended(target, loss, validation):
    """Make a run of two arms that ended so."""
    history = json.dumps({"loss": loss})
    return toy.reference(a=[0.5]).assign(target=target, validation_accuracy=validation, history=history)


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


def test_records_and_curves_are_small(root):
    assert (root / "tl_helpers" / "assets" / "records.csv").stat().st_size < 6_000_000
