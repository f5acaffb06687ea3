"""What stands behind the records: its card, and runs that are done again."""

import json

import pytest
import toy_experiments as toy

import tl_experiments as experiments
from tl_base import ledgers
from tl_experiments import __main__ as command
from tl_experiments import card


def test_the_card_that_ships_is_that_of_the_records(root, shipped):
    told = json.loads((root / "tl_helpers" / "assets" / "records.json").read_text(encoding="utf-8"))
    now = card.card()
    assert {key: told[key] for key in ("runs", "hours", "experiments", "machines", "schema")} == {
        key: now[key] for key in ("runs", "hours", "experiments", "machines", "schema")
    }
    assert set(told["data"]) == {"mnist", "cifar10", "digits", "trashnet"}
    assert {name: told["data"][name] for name in now["data"]} == now["data"]


@pytest.mark.training
def test_recorded_runs_can_be_repeated(tmp_path, capsys, monkeypatch):
    path = tmp_path / "a.csv"
    table = experiments.run(experiments.Grid("toy", **toy.TOY, labels_per_class=[1]), path, progress=False)
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


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("runs.txt", "runs.json"),
        ("runs.json", "runs.json.card.json"),
        ("runs", "runs.json"),
        ("runs/a.csv", "runs/a.json"),
    ],
)
def test_a_card_stands_beside_its_records_whatever_their_name(tmp_path, name, beside):
    grid = experiments.Grid("toy", **toy.TOY, labels_per_class=[1])
    (tmp_path / name).parent.mkdir(exist_ok=True)
    experiments.run(grid, tmp_path / name, progress=False, work=toy.quick_work)
    before = [file.read_bytes() for file in ledgers.files_at(tmp_path / name)]
    card.write_card(tmp_path / name)
    assert [file.read_bytes() for file in ledgers.files_at(tmp_path / name)] == before
    assert json.loads((tmp_path / beside).read_text(encoding="utf-8"))["runs"] == 2


def test_a_folder_with_a_point_in_its_name_keeps_it_in_that_of_its_card(tmp_path):
    (tmp_path / "june.2").mkdir()
    grid = experiments.Grid("toy", **toy.TOY, labels_per_class=[1])
    experiments.run(grid, tmp_path / "june.2", progress=False, work=toy.quick_work)
    card.write_card(tmp_path / "june.2")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != ".") == ["june.2", "june.2.json"]
