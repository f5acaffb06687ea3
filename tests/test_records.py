"""Reading the recorded runs: those that ship, damaged files, what rows say about the arms that were compared."""

import hashlib
import shutil

import pandas as pd
import pytest
import toy_experiments as toy
from hypothesis import given, settings
from hypothesis import strategies as st

import tl_experiments as experiments
from tl_base import ledgers
from tl_experiments import arms, evidence, log, names, replicates
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


def digests(folder):
    """Digest the files of a folder of records, by their names."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in ledgers.files_at(folder)}


def test_a_run_of_what_is_recorded_leaves_the_file_as_it_was(shipped, tmp_path, root):
    ours, path = root / "tl_helpers" / "assets" / "records", tmp_path / "records"
    shutil.copytree(ours, path)
    before = digests(ours)
    grids = [grid for make in experiments.known().values() for grid in make(shipped)]
    planned = {*names.PLANS, replicates.TRIALS}
    assert len(experiments.run(grids, path, progress=False)) == (~shipped.experiment.isin(planned)).sum()
    assert digests(path) == before
    assert digests(ours) == before


def test_each_experiment_has_its_file(shipped, root):
    names = {ledgers.file_of(name) for name in shipped.experiment}
    assert {path.name for path in (root / "tl_helpers" / "assets" / "records").iterdir()} >= names
    assert set(digests(root / "tl_helpers" / "assets" / "records")) == names
    assert "sweep-choice.csv" in names


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
    assert records.chosen(full, ["labels_per_class", "arm"], "tuning").learning_rate.tolist() == [0.4, 0.3]
    with pytest.raises(RecordsError, match="No tuning record for 'b'"):
        records.chosen_rate(rows, "mnist", 5, "b")


def test_a_rate_tried_on_fewer_seeds_is_no_fair_choice():
    rows = table(learning_rate=[0.1, 0.1, 0.2], validation_accuracy=[0.5, 0.6, 0.9], seed=[1, 2, 1])
    with pytest.raises(RecordsError, match="different seeds"):
        records.chosen_rate(rows, "mnist", 5, "a")


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
    with pytest.raises(RecordsError, match="holds no file of records"):
        records.load(tmp_path)


TWO = [row | {"history": "", "experiment": name} for row in toy.ROWS for name in ("one", "Two b")]


@pytest.fixture
def folder(tmp_path):
    """Make a folder with the records of two experiments."""
    folder = tmp_path / "runs"
    with log.open_log(folder) as file:
        file.append([row | {"key": f"{i:016x}"} for i, row in enumerate(TWO)])
    return folder


def test_a_folder_is_read_as_one_table_in_the_order_of_its_files(folder):
    (folder / "notes.txt").write_text("not a file of records")
    (folder / "._one.csv").write_text("what a Mac leaves on a stick")
    table = records.load(folder)
    assert list(table.experiment) == ["one"] * 6 + ["Two b"] * 6
    assert list(table.key) == [f"{i:016x}" for i in (*range(0, 12, 2), *range(1, 12, 2))]
    pd.testing.assert_frame_equal(records.load(folder / "one.csv"), table[:6])


def without_end(folder):
    (folder / "one.csv").write_text((folder / "one.csv").read_text()[:-30])


def damaged(folder):
    (folder / "one.csv").write_text((folder / "one.csv").read_text().replace("kill", "kiln").replace("one", "won", 1))


def foreign(folder):
    (folder / "temperatures.csv").write_text("day,degrees\n1,20\n")


def doubled(folder):
    lines = (folder / "two-b.csv").read_text().splitlines()
    with (folder / "one.csv").open("a") as file:
        file.write(lines[-1] + "\n")


def copied(folder):
    shutil.copy(folder / "one.csv", folder / "one (copy).csv")


def renamed(folder):
    (folder / "two-b.csv").rename(folder / "three.csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_end, r"one\.csv: the last line has no end"),
        (damaged, r"one\.csv: line 3 is damaged"),
        (foreign, r"temperatures\.csv: expected '# schema 4' in line 1, found 'day,degrees'"),
        (doubled, "1 runs stand there twice, the first is 000000000000000b"),
        (copied, "6 runs stand there twice"),
        (renamed, r"three\.csv: 6 runs belong elsewhere, the first into two-b\.csv"),
        (lambda folder: (folder / "sub.csv").mkdir(), r"sub\.csv is a folder; expected a file"),
    ],
)
def test_what_is_wrong_in_a_folder_is_said_and_nothing_is_read(folder, change, message):
    change(folder)
    before = {path.name: path.read_bytes() for path in folder.glob("*.csv") if path.is_file()}
    with pytest.raises(RecordsError, match=message):
        records.load(folder)
    if change is not without_end:  # that one is mended
        with pytest.raises(RecordsError, match=message), log.open_log(folder):
            pass
    assert {path.name: path.read_bytes() for path in folder.glob("*.csv") if path.is_file()} == before


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("reference", "reference.csv"),
        ("sweep choice", "sweep-choice.csv"),
        ("", "unnamed.csv"),
        ("../up", "..%2fup.csv"),
        ("Größe", "gr%c3%b6%c3%9fe.csv"),
    ],
)
def test_a_file_is_named_after_its_experiment(name, file):
    assert ledgers.file_of(name).lower() == file


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


def test_records_and_curves_are_small(root, shipped):
    sizes = [path.stat().st_size for path in ledgers.files_at(root / "tl_helpers" / "assets" / "records")]
    assert max(sizes) < 2_000_000
    assert sum(sizes) / len(shipped) < 590  # bytes a run
