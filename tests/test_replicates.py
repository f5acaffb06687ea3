"""The second plan: its grids, its hypotheses as data, and what records say of them."""

import contextlib
import json

import numpy as np
import pandas as pd
import pytest

import tl_experiments as experiments
from tl_experiments import advice, arms, claims, names, replicates, verdicts
from tl_experiments.names import depth_of
from tl_experiments.trainings import parts_of
from tl_helpers import records

NOTHING = pd.DataFrame(columns=["experiment", "validation_accuracy", "source"])


def rows_of(runs, score):
    """Return rows of the records for some runs, with what `score` says of each."""
    fields = (
        "key",
        "experiment",
        "arm",
        "source",
        "target",
        "labels_per_class",
        "learning_rate",
        "seed",
        "label_noise",
    )
    rows = [{name: getattr(run, name) for name in fields} for run in runs]
    settings = [{"settings": json.dumps(dict(run.settings)), "error": "", "steps": run.steps_on(0)} for run in runs]
    return pd.DataFrame([row | own | score(run) for row, own, run in zip(rows, settings, runs, strict=True)])


def validated(run):
    """Validate best at a rate of 3e-3 and the second value of a knob; more or less by chance."""
    near = -abs(np.log(run.learning_rate / 3e-3)) / 100
    chance = int(run.key[:4], 16) / 16**4 / 1000
    return {"validation_accuracy": 0.5 + near + chance, "test_accuracy": np.nan, "measures": "{}"}


@pytest.fixture(scope="module")
def plan():
    """All runs of the plan by the name of their grid, and the rows of the trials."""
    table, runs = NOTHING, {}
    for name, make in experiments.planned().items():
        runs[name] = experiments.expand(make(table))
        tried = [run for run in runs[name] if run.experiment == replicates.TRIALS]
        if tried:
            table = pd.concat([table, rows_of(tried, validated)], ignore_index=True)
    return runs, table


def frame(runs):
    table = pd.DataFrame([vars(run) for run in runs])
    return table.assign(network=table.source.map(replicates.network_of))


# --- Grids -----------------------------------------------------------------------------------------------------------


PAIRS = {target: pair for pair, target in replicates.TARGETS.items()}


def test_every_arm_has_as_many_trials_as_its_rivals_where_it_reports(plan):
    runs, table = plan
    found = replicates.Choices(table)
    reported = frame([run for name in ("replicated", "residual", "replicated-constrained") for run in runs[name]])
    keys = reported[["target", "network", "arm", "labels_per_class"]].drop_duplicates()
    assert len(keys) == 6 * 2 * 4 + 2 * 2 + 6 * 2 + (6 + 4)
    for target, network, arm, labels in keys.itertuples(index=False):
        tried = {"cnn": 7, "residual": 4}[network]
        found.settled(PAIRS[target], network, arm, replicates.TUNED_AT[labels], tried)  # refuses any other number
    short = replicates.Choices(table[(table.arm != arms.TUNED.name) | (table.learning_rate != 1e-3)])
    with pytest.raises(experiments.ExperimentError, match="6 trials"):
        short.settled("far", "cnn", arms.TUNED.name, 5)


def test_every_arm_of_the_sweep_has_the_same_four_rates(plan):
    runs, table = plan
    found = replicates.Choices(table)
    for run in {run.arm: run for run in runs["replicated-sweep"]}.values():
        candidate = replicates.CANDIDATES[run.arm]
        rate, _ = found.settled(PAIRS[run.target], "cnn", candidate.chosen_as or run.arm, 20, replicates.FEW_TRIED)
        assert rate == run.learning_rate
        assert rate in replicates.RATES


def test_a_knob_is_first_where_the_arm_is_the_one_whose_trials_it_shares():
    neutral = {"alpha": 0.0, "strength": 0.0, "weight": 0.0, "head_ratio": 1.0}
    for candidate in replicates.CANDIDATES.values():
        trials = candidate.arm.trials
        varied = [name for name in trials[0] if len({str(trial[name]) for trial in trials}) > 1]
        assert len(varied) == bool(candidate.like), candidate.arm.name
        assert [trials[0][name] for name in varied] == [neutral[name] for name in varied]
        if candidate.like:
            assert len(trials) == 4
            other = replicates.CANDIDATES[candidate.like].arm
            assert {**candidate.arm.fields(), "method": ""} == {**other.fields(), "method": ""}


def test_the_shared_trials_can_be_chosen(plan):
    """Where no strength helps, L2-SP is plain fine-tuning."""
    _, table = plan
    worse = table.assign(validation_accuracy=table.validation_accuracy.where(table.arm != arms.L2_SP.name, 0.1))
    found = replicates.Choices(worse)
    assert found.settled("far", "cnn", arms.L2_SP.name, 5)[1] == {"alpha": 0.0}
    better = table.assign(validation_accuracy=table.validation_accuracy.where(table.arm != arms.L2_SP.name, 0.9))
    assert replicates.Choices(better).settled("far", "cnn", arms.L2_SP.name, 5)[1]["alpha"] > 0


def test_rates_are_tried_around_the_best_and_beyond_an_end():
    assert replicates._around(1e-3) == [0.000577, 0.00173, 1e-4]
    assert replicates._around(3e-4) == [0.000173, 0.00052, 1e-4]
    assert replicates._around(1e-2) == [0.00577, 0.0173, 3e-2]


def test_a_development_draw_has_a_training_of_its_own_and_sees_no_test_image(plan):
    runs, _ = plan
    trials = [run for each in runs.values() for run in each if run.experiment == replicates.TRIALS]
    assert not any(run.test for run in trials)
    for run in trials:
        sourceless = replicates.CANDIDATES[run.arm].sourceless
        assert parts_of(run.source)[1] == (0 if sourceless else run.seed - 200)
    draws = frame(trials).groupby(["labels_per_class"]).seed.agg(lambda seeds: sorted(set(seeds)))
    assert draws.to_dict() == {5: [200, 201, 202], 20: [200, 201]}


@pytest.mark.parametrize(("grid", "network", "trainings"), [("replicated", "cnn", 5), ("residual", "residual", 3)])
def test_no_two_trainings_share_a_draw_and_nobody_looked_at_any(plan, grid, network, trainings):
    runs, _ = plan
    table = frame(runs[grid])
    for (_, arm, _), rows in table.groupby(["target", "arm", "labels_per_class"]):
        own = rows.seed.map(lambda draw: replicates.training_of(network, draw))
        named = rows.source.map(lambda name: parts_of(name)[1])
        assert sorted(own) == sorted([*range(trainings)] * 2)
        assert named.tolist() == ([0] * len(rows) if replicates.CANDIDATES[arm].sourceless else own.tolist())
        assert rows.seed.is_unique
    known = {*range(20, 30), *range(30, 36), *replicates.SCORED_DRAWS}
    for each in runs.values():
        tried = any(run.experiment == replicates.TRIALS for run in each)
        assert {run.seed for run in each} <= (set(replicates.DEVELOPMENT) if tried else known)


def test_every_arm_does_what_it_says_on_both_networks(plan):
    runs, _ = plan
    for run in {(run.arm, run.source, run.settings): run for each in runs.values() for run in each}.values():
        arm = arms.SECOND_PLAN[run.arm].on(run.source)
        expected = arm.fields(depth_of(run.source, arm.layer))
        assert {name: getattr(run, name) for name in expected} == expected, run.arm
        own = {name: value for name, value in run.settings if name != "base_rate"}
        assert own in [dict(trial) for trial in arm.trials], run.arm


def test_budgets_are_such_that_arms_converge_but_where_the_budget_is_asked_about(plan):
    runs, _ = plan
    budgets = {name: {(run.steps, run.epochs) for run in each} for name, each in runs.items()}
    assert budgets.pop("budget") == {(200, 0), (3000, 0)}
    assert set().union(*budgets.values()) == {(300, 40)}


def test_scores_are_of_sources_that_have_not_seen_the_classes(plan):
    runs, _ = plan
    table = frame(runs["scores"])
    near = set(table[table.target == "cifar10-b"].source)
    assert {parts_of(name)[0] for name in near} == {"cifar10-a", "resnet-a", "digits"}
    assert len(set(table[table.target == "mnist"].source)) == 17
    assert not any("@" in name for name in table.source)


def test_the_plan_is_not_among_what_is_done_unasked():
    assert set(experiments.planned()).isdisjoint(experiments.known())
    with pytest.raises(experiments.ExperimentError, match="replicated-trials, then replicated-trials-more"):
        replicates.main(NOTHING)


def test_what_is_done_of_the_plan_is_what_its_grids_name(shipped):
    done, named = shipped[shipped.experiment.isin([replicates.TRIALS, *claims.REPORTED])], {}
    for make in experiments.planned().values():
        with contextlib.suppress(experiments.ExperimentError):  # waits for a choice: then none of its rows is there
            named |= {run.key: run for run in experiments.expand(make(done))}
    assert (done.error == "").all()
    assert set(done.key) <= set(named)
    assert [named[key].arm for key in done.key] == list(done.arm)


# --- Hypotheses ------------------------------------------------------------------------------------------------------


def test_the_hypotheses_can_be_read_and_their_papers_are_in_the_references(root):
    found = claims.load()
    known = (root / "references.bib").read_text(encoding="utf-8")
    assert len(found) > 30
    assert [claim.paper for claim in found if claim.paper and f"{{{claim.paper}," not in known] == []
    assert all(claim.seen and claim.differs and claim.margin > 0 for claim in found)
    assert {paper.partition("2")[0] for paper in {claim.paper for claim in found}} >= {
        *("razavian", "yosinski", "wang", "kumar", "hinton", "li", "zagoruyko", "hu", "nguyen", "you"),
        *("kornblith", "neyshabur", "zhang"),
    }


def test_reported_runs_keep_the_digest_of_the_hypotheses_and_trials_need_none(plan):
    runs, _ = plan
    reported = {run.experiment for each in runs.values() for run in each} - {replicates.TRIALS}
    assert reported == set(claims.REPORTED) == {name for name, file in names.PLANS.items() if file == claims.FILE.name}


def test_a_change_of_the_hypotheses_changes_their_digest(tmp_path):
    copy = tmp_path / "hypotheses.toml"
    copy.write_bytes(claims.FILE.read_bytes())
    assert claims.digest(copy) == claims.digest()
    copy.write_text(copy.read_text(encoding="utf-8").replace("margin = 2.0", "margin = 2.5", 1), encoding="utf-8")
    assert claims.digest(copy) != claims.digest()


ENTRY = {
    "key": "one",
    "paper": "li2018",
    "claim": "It helps.",
    "differs": "In nothing.",
    "experiments": ["replicated"],
    "ahead": [arms.TUNED.name],
    "behind": [arms.SCRATCH.name],
    "expected": "ahead",
    "margin": 1.0,
    "seen": "Nothing.",
}


def written(folder, *entries):
    """Write hypotheses to a file."""
    lines = [
        line for entry in entries for line in ("[[hypothesis]]", *(f"{k} = {json.dumps(v)}" for k, v in entry.items()))
    ]
    path = folder / "some.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ahead": ["fine tuned"]}, r"some.toml, hypothesis 1 \(one\): unknown arm 'fine tuned'. Choose of .*'LP-FT'"),
        ({"behind": ["L2-SP"]}, "unknown arm 'L2-SP'"),
        ({"experiments": ["crosed"]}, "unknown experiment 'crosed'. Choose of 'replicated'"),
        ({"pairs": ["middle"]}, "unknown pair 'middle'. Choose of 'far', 'near'"),
        ({"labels": [50]}, "unknown number of labels 50. Choose of 1, 5, 20, 100"),
        ({"labels": [100]}, r"'residual' has runs at \(20,\) labels, none of \(100,\). Leave it out of networks"),
        ({"networks": ["resnet"]}, "unknown architecture 'resnet'. Choose of 'cnn', 'residual'"),
        ({"expected": "yes"}, "unknown expectation 'yes'"),
        ({"score": "luck"}, "unknown score 'luck'"),
        ({"colour": "red"}, "unknown field 'colour'. Choose of 'key'"),
        ({"margin": 0}, "margin is a number above 0"),
        ({"labels": 5}, r"labels is a list, found 5. Write \[5\]"),
        ({"behind": []}, "compares with nothing"),
        ({"ahead": [arms.TUNED.name] * 2, "behind": [arms.SCRATCH.name] * 3}, "as many as the longest"),
        ({"experiments": ["replicated", "budget"]}, "is in several of"),
    ],
)
def test_a_wrong_hypothesis_is_refused_with_advice(tmp_path, change, message):
    assert claims.load(written(tmp_path, ENTRY))[0].ahead == (arms.TUNED.name,)
    with pytest.raises(experiments.ExperimentError, match=message):
        claims.load(written(tmp_path, ENTRY | change))


@pytest.mark.parametrize("name", ["key", "seen", "margin"])
def test_a_hypothesis_without_a_field_is_refused(tmp_path, name):
    lacking = {field: value for field, value in ENTRY.items() if field != name}
    with pytest.raises(experiments.ExperimentError, match=f"lacks the field '{name}'"):
        claims.load(written(tmp_path, lacking))


def test_two_hypotheses_of_one_name_and_no_hypotheses_are_refused(tmp_path):
    with pytest.raises(experiments.ExperimentError, match="two hypotheses are called 'one'"):
        claims.load(written(tmp_path, ENTRY, ENTRY))
    (tmp_path / "none.toml").write_text("x = 1", encoding="utf-8")
    with pytest.raises(experiments.ExperimentError, match=r"expected tables named \[\[hypothesis\]\]"):
        claims.load(tmp_path / "none.toml")


# --- Verdicts --------------------------------------------------------------------------------------------------------


def reported(plan, *grids, score):
    runs, _ = plan
    table = rows_of([run for name in grids for run in runs[name]], score)
    return table.assign(measures=table.measures if "measures" in table else "{}")


def lead(run, by=0.03):
    """Fine-tuning leads by 3 points, and by what its draw adds."""
    rng = np.random.default_rng([run.seed, len(run.arm), run.target == "mnist"])
    spread = 0.002 * rng.normal() + 0.005 * np.sin(run.seed)
    return {"test_accuracy": 0.8 + spread + by * (run.arm == arms.TUNED.name), "measures": "{}"}


@pytest.fixture(scope="module")
def claim():
    return claims.Claim(**{name: tuple(v) if isinstance(v, list) else v for name, v in ENTRY.items()})


@pytest.fixture(scope="module")
def table(plan):
    return reported(plan, "replicated", "residual", score=lead)


def test_a_lead_is_found_over_all_trainings_and_draws(table, claim):
    found = verdicts.find(table, claim)
    assert found.estimate.mean == pytest.approx(3.0, abs=0.3)
    assert found.estimate.interval().count == 2 * (5 + 3) * 2
    assert (found.alive, found.collapsed) == (None, 0)
    variance = sum(2 * 0.83 * 0.17 / images for images in (10_000, 5_000)) / 4
    assert found.images == pytest.approx(100 * 1.96 * variance**0.5, rel=0.15)
    (row,) = verdicts.judged(table, [claim]).to_dict("records")
    assert row["verdict"] == row["alive_verdict"] == "reproduced here"
    back = claims.Claim(**vars(claim) | {"ahead": claim.behind, "behind": claim.ahead})
    assert verdicts.judged(table, [back]).verdict.tolist() == ["opposite here"]


def test_a_collapsed_run_takes_its_draw_out_of_both_arms(table, claim):
    one = (table.arm == arms.TUNED.name) & (table.source == "cifar10#2") & (table.seed == 24)
    dead = table.assign(
        test_accuracy=table.test_accuracy.where(~one, 0.1),
        measures=table.measures.where(~one, '{"collapsed": true}'),
    )
    found = verdicts.find(dead, claim)
    assert found.collapsed == 4  # one at each number of labels
    assert found.estimate.mean == pytest.approx(verdicts.find(table, claim).estimate.mean - 73 / 10 / 4, abs=0.2)
    assert found.alive.missing == 1
    assert found.alive.mean == pytest.approx(verdicts.find(table, claim).estimate.mean, abs=0.1)


def test_a_failed_run_is_a_missing_cell_and_a_run_that_is_not_there_is_asked_for(table, claim):
    one = (
        (table.arm == arms.TUNED.name)
        & (table.source == "cifar10")
        & (table.seed == 20)
        & (table.labels_per_class == 5)
    )
    failed = table.assign(test_accuracy=table.test_accuracy.where(~one))
    assert verdicts.find(failed, claim).estimate.missing == 1
    with pytest.raises(experiments.ExperimentError, match=r"far, cnn, 5 labels: .* has runs of the draws \[21, 22"):
        verdicts.find(table[~one], claim)
    with pytest.raises(experiments.ExperimentError, match="no runs of 'from scratch'"):
        verdicts.find(table[table.arm != arms.SCRATCH.name], claim)
    with pytest.raises(experiments.ExperimentError, match=r"the plan asks for \[20, .* 29\]"):
        verdicts.find(table[table.source != "cifar10#4"], claim)


def test_holm_counts_all_claims_of_a_family_run_or_not(table, claim):
    others = [claims.Claim(**vars(claim) | {"key": f"{i}", "experiments": ("budget",)}) for i in range(3)]
    found = verdicts.judged(table, [claim, *others])
    assert found.verdict.tolist() == ["reproduced here", "not run", "not run", "not run"]
    assert found.level[0] == pytest.approx(0.05 / 4)


def test_a_claim_waits_for_all_its_networks(table, claim):
    of_cnn = table[table.source.map(replicates.network_of) == "cnn"]
    assert verdicts.judged(of_cnn, [claim]).verdict.tolist() == ["not run"]
    narrower = claims.Claim(**vars(claim) | {"networks": ("cnn",)})
    assert verdicts.judged(of_cnn, [narrower]).verdict.tolist() == ["reproduced here"]


def test_the_same_difference_at_other_steps_is_subtracted(plan):
    """A lead of 8 points at 200 steps and of 3 at 3,000: 5 points faster."""

    def shrinks(run):
        return lead(run, {200: 0.08, 1000: 0.05, 3000: 0.03}[run.steps])

    faster = next(each for each in claims.load() if each.key == "faster")
    found = verdicts.find(reported(plan, "budget", score=shrinks), faster)
    assert found.estimate.mean == pytest.approx(5.0, abs=1e-6)
    assert found.estimate.count == 2 * 5


def test_what_a_measure_says_is_compared(plan):
    def alike(run):
        near = 0.9 if run.arm == arms.TUNED.name else 0.4
        of = dict.fromkeys(("pool1", "pool2", "conv3"), near)
        return {"test_accuracy": 0.9, "measures": json.dumps({"siblings": of})}

    claim = next(each for each in claims.load() if each.key == "siblings are alike")
    found = verdicts.find(reported(plan, "siblings", score=alike), claim)
    assert found.estimate.mean == pytest.approx(0.5)
    assert found.images is None


def test_sources_are_ranked_within_each_target(plan):
    def ranked(run):
        good = len(run.source) + parts_of(run.source)[1] / 10
        return {"test_accuracy": 0.5 + good / 100, "measures": json.dumps({"logme": good, "leep": -good})}

    table = reported(plan, "scores", score=ranked)
    known = {claim.key: claim for claim in claims.load()}
    assert verdicts.find(table, known["LogME ranks sources"]).estimate.mean == pytest.approx(1, abs=0.05)
    assert verdicts.find(table, known["LEEP ranks sources"]).estimate.mean == pytest.approx(-1, abs=0.05)
    assert verdicts.judged(table, [known["LEEP ranks sources"]]).verdict.tolist() == ["opposite here"]


def test_every_hypothesis_can_be_judged_when_all_is_run(plan):
    def anything(run):
        rng = np.random.default_rng(int(run.key[:8], 16))
        parts = {name: rng.random() for name in ("pool1", "pool2", "conv3")}
        kinds = {name: rng.random() for name in ("moved by 1", "moved by 2", "rotated", "noisy", "inverted")}
        found = {"siblings": parts, "debiased cka": parts, "shifts": kinds, "memorised": rng.random()}
        found |= {"logme": rng.normal(), "leep": rng.normal()}
        return {"test_accuracy": rng.random(), "measures": json.dumps(found)}

    grids = [name for name in experiments.planned() if "trials" not in name and name != "replicated-bases"]
    judged = [claim for claim in claims.load() if claim.score != "source accuracy"]  # reads cards of all trainings
    found = verdicts.judged(reported(plan, *grids, score=anything), judged)

    assert set(found.verdict) == {"undecided"}  # noise, and 36 comparisons: nothing is decided


# --- Advice ----------------------------------------------------------------------------------------------------------


def steps_ahead(run):
    """Each arm lies by its own number of points above the same noise; the linear head is the best."""
    above = {arms.HEAD.name: 0.10, arms.TUNED.name: 0.096, arms.STEADY_LP_FT.name: 0.05, arms.SCRATCH.name: 0.0}
    noise = np.random.default_rng(run.seed).normal(0, 0.02)
    own = np.random.default_rng([run.seed, len(run.arm)]).normal(0, 0.001)
    return {"test_accuracy": 0.5 + noise + own + above.get(run.arm, 0.02), "measures": "{}"}


@pytest.fixture(scope="module")
def advised(plan):
    """Trials in which fine-tuning validates best, and reports."""
    _, tried = plan
    best = tried.validation_accuracy.where(tried.arm != arms.TUNED.name, tried.validation_accuracy + 0.1)
    parts = [tried.assign(validation_accuracy=best), reported(plan, "replicated", "residual", score=steps_ahead)]
    return pd.concat(parts, ignore_index=True)


def test_gains_are_paired_over_trainings(advised):
    found = advice.gains(advised, "far", arms.SCRATCH.name)
    assert list(found.columns) == [1, 5, 20, 100]
    assert found.loc[arms.HEAD.name, 5].mean == pytest.approx(10, abs=0.1)
    assert found.loc[arms.HEAD.name, 5].high - found.loc[arms.HEAD.name, 5].low < 1  # the draws' noise is shared
    assert list(advice.gains(advised, "far", arms.SCRATCH.name, network="residual").columns) == [20]
    by_training = advice.accuracies(advised, "far")[arms.HEAD.name][5]
    rows = advised[(advised.experiment == "replicated") & (advised.arm == arms.HEAD.name)]
    rows = rows[(rows.target == "mnist") & (rows.labels_per_class == 5) & rows.source.str.startswith("cifar10")]
    assert by_training == pytest.approx(rows.groupby("source").test_accuracy.mean().tolist())
    with pytest.raises(experiments.ExperimentError, match="no runs of 'L2-SP', far, cnn"):
        advice.accuracies(advised, "far", [arms.L2_SP.name])


def test_validation_names_the_leader_and_the_margin_sorts_the_others(advised):
    assert advice.leader(advised, "far", 100) == arms.TUNED.name
    line = advice.beside_leader(advised, "far", 1.0).loc[20]
    assert (line.leader, line.ahead, line.close) == ([arms.TUNED.name], [], [arms.HEAD.name])
    assert set(line.behind) == {name for name in advice.MAIN if name not in (arms.TUNED.name, arms.HEAD.name)}
    narrow = advice.beside_leader(advised, "far", 0.2).loc[20]
    assert narrow.ahead == [arms.HEAD.name]
    wide = advice.beside_leader(advised, "far", 4.6).loc[20]
    assert arms.STEADY_LP_FT.name in wide.undecided
