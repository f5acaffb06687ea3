import numpy as np
import pandas as pd
import pytest

from tl_helpers import data, experiments, models, transfer


@pytest.fixture(scope="module")
def shipped():
    return experiments.records()


def test_records_are_tidy_and_complete(shipped):
    assert list(shipped.columns) == experiments.COLUMNS
    assert shipped[["validation_accuracy"]].map(lambda share: 0 <= share <= 1).all(axis=None)
    assert shipped[shipped.experiment == "tuning"].test_accuracy.isna().all()
    assert shipped[shipped.experiment == "report"].test_accuracy.between(0, 1).all()
    key = ["experiment", "target", "arm", "labels_per_class", "learning_rate", "seed"]
    assert not shipped.duplicated(key).any()


@pytest.mark.parametrize("target", ["mnist", "digits"])
def test_every_arm_was_tuned_with_the_same_budget(shipped, target):
    for labels, seeds in ((5, len(experiments.DEVELOPMENT_SEEDS)), (None, 1)):
        rows = shipped[(shipped.experiment == "tuning") & (shipped.target == target)]
        rows = rows[rows.labels_per_class.isna() if labels is None else rows.labels_per_class == labels]
        runs = rows.groupby(["arm", "learning_rate"]).seed.nunique().unstack()
        assert set(runs.index) == set(experiments.arms(models.source_cnn()))
        assert tuple(runs.columns) == experiments.LEARNING_RATES
        assert (runs == seeds).all(axis=None)
        assert rows.steps.nunique() == rows.batch_size.nunique() == 1


def test_development_seeds_are_not_reported(shipped):
    reported = set(shipped[shipped.experiment == "report"].seed)
    assert reported == {0, 1, 2}
    assert not reported & set(experiments.DEVELOPMENT_SEEDS)


def test_arms_share_what_they_should(shipped):
    sizes = shipped.groupby("arm").trainable_parameters.unique().map(list)
    assert sizes["fine-tuned from the source"] == sizes["from scratch"] == [56_320 + 10_250]
    assert sizes["linear head, source features"] == sizes["linear head, random features"] == [10_250]


ROW = dict.fromkeys(experiments.COLUMNS, 1) | {
    "experiment": "tuning",
    "target": "mnist",
    "arm": "a",
    "labels_per_class": 5,
    "test_accuracy": None,
}


def table(**columns):
    rows = [ROW | dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return pd.DataFrame(rows).astype({"labels_per_class": "Int64"})


def test_the_learning_rate_with_the_best_mean_is_chosen():
    rows = table(learning_rate=[0.1, 0.1, 0.2, 0.2], validation_accuracy=[0.9, 0.1, 0.6, 0.7], seed=[1, 2, 1, 2])
    assert experiments.chosen_learning_rate(rows, "mnist", 5, "a") == 0.2
    full = table(labels_per_class=[None, 5], learning_rate=[0.3, 0.4])
    assert experiments.chosen_learning_rate(full, "mnist", None, "a") == 0.3
    with pytest.raises(experiments.RecordError, match="No tuning record for 'b'"):
        experiments.chosen_learning_rate(rows, "mnist", 5, "b")


def test_a_run_is_recorded_once_and_nothing_is_lost(tmp_path, monkeypatch):
    digits = data.from_arrays(np.arange(90 * 64).reshape(90, 8, 8).astype("uint8"), np.arange(90) % 3, name="toy")
    splits = [data.few_shot(digits, 3, seed) for seed in (100, 101)]
    monkeypatch.setitem(experiments.FEW_SHOT, "steps", 2)
    path, calls = tmp_path / "runs.csv", []

    def call(split, **budget):
        calls.append(split.seed)
        return transfer.feature_extraction(models.source_cnn(), split, **budget)

    experiments._run(path, "tuning", splits[:1], "probe", call, 0.01)
    first = path.read_text()
    experiments._run(path, "tuning", splits, "probe", call, 0.01)
    experiments._run(path, "report", splits[:1], "probe", call, 0.01)
    assert calls == [100, 101, 100]
    assert path.read_text().startswith(first)
    runs = experiments.records(path)
    assert runs.seed.tolist() == [100, 101, 100]
    assert runs.test_accuracy.isna().tolist() == [True, True, False]
    assert [p.name for p in tmp_path.iterdir()] == ["runs.csv"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("# schema 1", "# schema 2"), "expected '# schema 1'"),
        (lambda text: text[:-30], "damaged rows"),
        (lambda text: text.replace(",seed,", ",sead,"), "other columns"),
        (lambda text: text + "tuning,1,2\n", "damaged rows"),
    ],
)
def test_other_or_damaged_records_are_refused(tmp_path, change, message):
    path = tmp_path / "runs.csv"
    experiments._append(path, table(seed=[1, 2]).to_dict("records"))
    assert len(experiments.records(path)) == 2
    path.write_text(change(path.read_text()))
    with pytest.raises(experiments.RecordError, match=message):
        experiments.records(path)


def test_the_budget_is_that_of_the_split():
    digits = data.from_arrays(np.zeros((90, 8, 8), "uint8"), np.arange(90) % 3)
    assert experiments.budget(data.few_shot(digits, 3)) == {"steps": 200, "batch_size": 32}
    assert experiments.budget(data.full_split(digits)) == {"steps": 200, "batch_size": 128}
