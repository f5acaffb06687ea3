"""The tool that tries the assertions of the pages: on a page of a few lines, and on one of the book."""

import json

import mutants
import nbformat
import pandas as pd
import perturbed
import pytest

from tl_experiments import verdicts as replicated
from tl_helpers import records

EXPERIMENT, STRONG, WEAK, EQUAL = "reference", "linear head, source features", "from scratch", "LP-FT"
LEVELS = {STRONG: 0.8, WEAK: 0.6, EQUAL: 0.801}


@pytest.fixture
def table():
    """Ten seeds of three arms: one is far ahead of another, and the third is where the first is."""
    rows = []
    for seed in range(10):
        for arm, level in LEVELS.items():
            rows.append({
                "experiment": EXPERIMENT, "arm": arm, "source": "cifar10", "target": "mnist", "labels_per_class": 5,
                "seed": seed, "label_noise": 0.0, "validation_accuracy": level, "seconds": 1.0,
                "test_accuracy": level + 0.01 * (seed % 3) + (0.02 * (-1) ** seed if arm == EQUAL else 0),
                "history": json.dumps({"steps": [20], "loss": [0.5], "validation_accuracy": [level]}), "measures": "",
            })  # fmt: skip
    return pd.DataFrame(rows).astype({"labels_per_class": "Int64"})


SETTING = f"""
from tl_helpers import measures, records
runs = records.load()
def of(arm):
    return runs[runs.arm == arm].sort_values("seed").test_accuracy.to_list()
strong, weak, equal = of({STRONG!r}), of({WEAK!r}), of({EQUAL!r})
gain, none = measures.paired_interval(strong, weak), measures.paired_interval(strong, equal)
"""


@pytest.fixture
def verdicts(tmp_path, table):
    """What the tool says of each claim of a page, by its text."""

    def said(*cells):
        path = tmp_path / "page.ipynb"
        made = [nbformat.v4.new_code_cell(source) for source in (SETTING, *cells)]
        nbformat.write(nbformat.v4.new_notebook(cells=made), path)
        with mutants.Page(path, table) as page:
            trial = mutants.Trial(page, tmp_path / "found.json", "digest", lambda words: None)
            trial.run()
        return {claim["text"]: claim["verdict"] for claim in trial.found.values()}

    return said


def test_each_claim_is_told_by_what_it_notices(verdicts):
    found = verdicts(
        "assert gain.low > 0 and len(weak) == 10",
        "assert sum(strong) > sum(weak)",
        "assert 0 <= sum(strong) / 10 <= 2",
        "assert none.low < 0 < none.high",
        "assert all(a > b for a, b in zip(strong, weak))",
    )
    assert found == {
        "gain.low > 0": mutants.NOTICES,
        "len(weak) == 10": mutants.UNREACHED,
        "sum(strong) > sum(weak)": mutants.MEANS,
        "0 <= sum(strong) / 10": mutants.SLEEPS,
        "sum(strong) / 10 <= 2": mutants.SLEEPS,
        "none.low < 0": mutants.NOTICES,
        "0 < none.high": mutants.NOTICES,
        "all((a > b for a, b in zip(strong, weak)))": mutants.NOTICES,
    }


def test_a_claim_of_the_page_of_results_notices(root, shipped):
    """Exercise 4.1.1 says where the linear head is ahead of fine-tuning; the records stop saying so."""
    tuned, head = "fine-tuned from the source", "linear head, source features"
    with mutants.Page(root / "chapters" / "04_1_results.ipynb", shipped) as page:
        wanted = {claim.number for claim in page.claims if claim.cell == "solution-4-1-1"}
        held = page.first(wanted)
        shrunk = page.again(perturbed.given("replicated", tuned, head), wanted)
        other = page.again(perturbed.given("reference", tuned, head), wanted)
    assert len(wanted) == 1
    assert all(held[number][0][0] for number in wanted)
    assert any(shrunk[number][0][0] is False for number in wanted)
    assert other == held


def test_what_was_put_in_place_of_the_records_is_taken_away(root, shipped):
    from tl_experiments import choices

    before = records.load, choices.load
    with mutants.Page(root / "chapters" / "04_1_results.ipynb", shipped[:3]):
        assert len(records.load()) == len(choices.load()) == 3
    assert (records.load, choices.load) == before


def test_what_may_stay_green_is_a_claim_of_its_page_and_has_a_reason(root):
    green = mutants.allowed()
    pages = {one["page"] for one in green}
    claims = {
        page: [
            {"cell": claim.cell, "text": claim.text}
            for unit in mutants.units_of(root / "chapters" / f"{page}.ipynb")
            for claim in unit.claims
        ]
        for page in pages
    }
    assert pages
    assert [one for one in green if not one["reason"].endswith(".")] == []
    lost = [one for one in green if not any(mutants.is_allowed(one["page"], c, [one]) for c in claims[one["page"]])]
    assert lost == []


def test_claims_that_nobody_excused_are_reported(root, tmp_path, monkeypatch, capsys):
    cell, page = "solution-4-1-1", root / "chapters" / "04_1_results.ipynb"
    claim = {"cell": cell, "text": "a > b", "verdict": mutants.MEANS, "by": "", "rests on": []}
    monkeypatch.setattr(mutants, "FOUND", tmp_path)
    (tmp_path / "04_1_results.json").write_text(json.dumps({"digest": "", "claims": {"0": claim}}), encoding="utf-8")
    assert mutants.report([page]) == [f"04_1_results, {cell}: means only: a > b"]
    excuse = [{"page": "04_1_results", "cell": cell, "reason": "It may."}]
    monkeypatch.setattr(mutants, "allowed", lambda: excuse)
    assert mutants.report([page]) == []
    monkeypatch.setattr(mutants, "allowed", lambda: [excuse[0] | {"claim": "another one"}])
    assert len(mutants.report([page])) == 1


def test_a_lead_within_the_spread_of_the_seeds_is_none(table):
    rows = perturbed.blurred(EXPERIMENT, STRONG, WEAK, 1).of_table(table)
    strong, weak = (rows[rows.arm == arm].set_index("seed").test_accuracy for arm in (STRONG, WEAK))
    assert (strong - weak).mean() == pytest.approx(perturbed.LEAD)
    assert (strong - weak).std() > 10 * perturbed.LEAD
    assert table.equals(perturbed.swapped(EXPERIMENT, STRONG, WEAK).of_table(
        perturbed.swapped(EXPERIMENT, STRONG, WEAK).of_table(table)
    ))  # fmt: skip


def test_a_lead_within_the_spread_of_the_trainings_is_none(shipped):
    """Two draws of a training go up or down together: their mean would hide what draw by draw goes up and down."""
    tuned, head = "fine-tuned from the source", "linear head, source features"
    for sign in (1, -1):
        rows = perturbed.blurred("replicated", tuned, head, sign).of_table(shipped)
        found = replicated.difference(rows, tuned, head, "near", 20).interval()
        assert found.low < 0 < found.high
