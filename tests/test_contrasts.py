"""The pooled contrast: worked by hand, against a mixed model, on simulated records; Holm; the words of a verdict."""

import json

import interval_coverage as simulated
import numpy as np
import pytest
from scipy import stats

from tl_experiments import ExperimentError, contrasts
from tl_helpers.measures import Interval, mean_interval

TABLE = [[1.0, 2.0, 4.0], [2.0, 5.0, 3.0], [6.0, 6.0, 7.0]]


def test_parts_of_the_variance_are_those_of_a_two_way_analysis_of_variance():
    """Worked by hand: mean squares 11.111 (rows), 2.111 (columns), 1.444 (rest), each over nine cells."""
    found = contrasts.estimate([[TABLE]])
    assert found.mean == pytest.approx(4.0)
    parts = found.sources * 9, found.draws * 9, found.rest * 9
    table = np.array(TABLE)
    rows, columns = table.mean(1), table.mean(0)
    squares = 3 * rows.var(ddof=1), 3 * columns.var(ddof=1)
    rest = ((table - rows[:, None] - columns + table.mean()) ** 2).sum() / 4
    assert parts == pytest.approx((*squares, rest))
    error, freedom = found.errors[0]
    assert error**2 == pytest.approx(sum(parts[:2]) / 9 - parts[2] / 9)
    added = parts[0] - parts[2], parts[1] - parts[2]
    assert freedom == pytest.approx(sum(added) ** 2 / (added[0] ** 2 / 2 + added[1] ** 2 / 2))
    half = stats.t.ppf(0.975, freedom) * error
    assert found.interval() == Interval(found.mean, pytest.approx(4 - half), pytest.approx(4 + half), 9)


def test_a_decision_rests_on_the_cautious_interval():
    """Cochran's quantile lies between Student's for draws and for trainings; nothing is pooled."""
    found = contrasts.estimate([[TABLE]])
    assert found.cautious_half_width(found.p_value) == pytest.approx(abs(found.mean))
    error = found.errors[0][0]
    assert sum(part for part, _ in found.cautious) == pytest.approx(error**2)
    assert found.cautious_half_width(0.01) == pytest.approx(-stats.t.ppf(0.005, 2) * error)
    pooled = contrasts.estimate([[np.random.default_rng(3).normal(0.5, 1, (5, 5))]])
    assert len(pooled.errors) == 2
    shares = np.array([part for part, _ in pooled.cautious])
    assert shares[0] / shares[1] == pytest.approx(pooled.draws / pooled.sources)
    assert shares.sum() == pytest.approx(max(pooled.draws, pooled.sources, pooled.draws + pooled.sources - pooled.rest))
    assert contrasts.estimate([[[[0.0, 0.0]]]]).p_value == 1
    assert contrasts.estimate([[[[1.0, 1.0]]]]).p_value == 1e-12


def test_without_trainings_it_is_students_interval_over_draws():
    values = [1.0, 2.5, 3.0, 7.0]
    mean, half = mean_interval(values)
    found = contrasts.estimate([[[values]]]).interval()
    assert (found.mean, found.high) == pytest.approx((mean, mean + half))


def test_blocks_weigh_the_same_and_their_parts_add_up():
    one, other = np.array(TABLE), np.array(TABLE)[:2] + 1
    both = contrasts.estimate([[one], [other]])
    apart = contrasts.estimate([[one]]), contrasts.estimate([[other]])
    assert both.mean == pytest.approx((apart[0].mean + apart[1].mean) / 2)
    for part in ("draws", "sources", "rest"):
        assert getattr(both, part) == pytest.approx(sum(getattr(each, part) for each in apart) / 4)


def test_architectures_that_share_their_draws_do_not_average_these_away():
    draws = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    table = draws + np.zeros((5, 1))
    alone = contrasts.estimate([[table]])
    together, apart = contrasts.estimate([[table, table[:3]]]), contrasts.estimate([[table], [table]])
    assert together.draws == pytest.approx(alone.draws)
    assert apart.draws == pytest.approx(alone.draws / 2)


def test_a_missing_cell_gets_the_additive_fit_and_costs_a_degree_of_freedom():
    table = np.add.outer([0.0, 1.0, 5.0, 2.0], [0.0, 3.0, 1.0, 2.0])
    holed = table.copy()
    holed[1, 2] = holed[3, 0] = np.nan
    found = contrasts.estimate([[holed]])
    assert (found.mean, found.missing) == (pytest.approx(table.mean()), 2)
    noisy = holed + np.random.default_rng(0).normal(size=holed.shape)
    parts = contrasts._Parts([], [], [])
    parts.add([contrasts._filled(noisy, noisy)], 1.0)
    assert parts.rest[0][1] == 3 * 3 - 2
    assert contrasts.estimate([[holed]]).interval().count == 14


def test_a_training_or_a_draw_without_any_run_is_left_out():
    table = np.random.default_rng(0).normal(size=(5, 5))
    lost = table.copy()
    lost[2], lost[:, 4] = np.nan, np.nan
    kept = np.delete(np.delete(table, 2, 0), 4, 1)
    assert contrasts.estimate([[lost]]) == contrasts.estimate([[kept]])
    pair = contrasts.estimate([[lost, table[:3]]])
    assert pair.shape == ((4, 4), (3, 4))  # a draw goes in both architectures


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([], "no block"),
        ([[]], "shapes"),
        ([[[1.0, 2.0]]], "shapes"),
        ([[TABLE, [[1.0, 2.0]]]], "share their draws"),
        ([[[[1.0], [2.0]]]], "too few are left"),
        ([[np.where(np.eye(3) == 1, 1.0, np.nan)]], "6 cells have no value.*--retry-failed"),
        ([[[[1.0, 2.0, 3.0], [np.nan] * 3, [np.nan] * 3]]], "too few are left"),
    ],
)
def test_what_cannot_be_estimated_is_refused_with_advice(blocks, message):
    with pytest.raises(ExperimentError, match=message):
        contrasts.estimate(blocks)


# --- How often it covers ---------------------------------------------------------------------------------------------

SHORT = 250  # simulations: the tool does more


@pytest.mark.parametrize("name", ["5 × 5", "5 × 5 and 3 × 5"])
@pytest.mark.parametrize("truth", [(1.0, 1.0, 1.0), (0.0, 2.0, 1.0)])
def test_intervals_cover_the_truth_as_often_as_they_say(name, truth):
    """Of 250, fewer than 224 or more than 249 would be found less than once in a thousand if 95 % cover."""
    (row,) = simulated.coverage(SHORT, seed=1, designs=(name,), truths=(truth,))
    low, high = stats.binom.ppf([0.0005, 0.9995], SHORT, 0.95)
    assert low <= row["covered"] * SHORT <= high


def test_an_interval_without_the_draws_part_would_be_found_out(monkeypatch):
    """The wrong formula on the same simulated records: the test above is able to fail."""
    whole = contrasts._Parts.errors

    def without_draws(parts):
        return whole(contrasts._Parts([(0.0, 4.0)] * len(parts.draws), parts.sources, parts.rest))

    monkeypatch.setattr(contrasts._Parts, "errors", without_draws)
    (row,) = simulated.coverage(SHORT, seed=1, designs=("5 × 5",), truths=((1.0, 1.0, 1.0),))
    assert row["covered"] * SHORT < stats.binom.ppf(0.0005, SHORT, 0.95)


def test_the_coverage_that_ships_lies_where_it_should():
    """Where the truth lies between 93 and 97 %, a thousand simulations lie within 1.6 points of that."""
    shipped = json.loads(simulated.OUTPUT.read_text(encoding="utf-8"))
    cases = shipped["cases"]
    assert shipped["simulations"] >= 1000
    assert {row["design"] for row in cases} == set(simulated.DESIGNS)
    assert len(cases) == len(simulated.DESIGNS) * len(simulated.TRUTHS)
    assert [row for row in cases if not 0.93 - 0.016 <= row["covered"] <= 0.97 + 0.012] == []
    assert 0.93 <= np.mean([row["covered"] for row in cases]) <= 0.97


def test_a_decision_among_many_errs_no_more_often_than_it_says():
    """With pooling, 2.3 in a hundred such tables would be called different from 0 at a level of one in a hundred."""
    generator, wrong = np.random.default_rng(4), 0
    for _ in range(2000):
        found = contrasts.estimate([simulated.block(((5, 3),), (0.0, 2.0, 1.0), generator)])
        wrong += found.cautious_half_width(0.01) < abs(found.mean - simulated.MEAN)
    assert wrong <= stats.binom.ppf(0.999, 2000, 0.01)


# --- Ranks -----------------------------------------------------------------------------------------------------------


def test_ranks_are_jackknifed_within_kinds():
    kinds = ["a"] * 3 + ["b"] * 2 + ["c"]
    score, reached = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0, 1.0, 3.0, 5.0, 4.0, 6.0]
    found = contrasts.rank_estimate([(score, reached)], kinds)
    assert found.mean == pytest.approx(stats.kendalltau(score, reached).statistic)
    left = [stats.kendalltau(np.delete(score, i), np.delete(reached, i)).statistic for i in range(5)]
    variance = 2 * np.var(left[:3], ddof=1) + 1 * np.var(left[3:], ddof=1)
    assert found.errors == ((pytest.approx(variance**0.5), 3),)


def test_checkpoints_of_one_training_are_no_independent_sources():
    with pytest.raises(ExperimentError, match="at least four trainings"):
        contrasts.rank_estimate([([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])], ["a", "b", "c"])
    with pytest.raises(ExperimentError, match="both numbers and a kind"):
        contrasts.rank_estimate([([1.0, 2.0], [1.0, 2.0])], ["a"])


# --- Judging ---------------------------------------------------------------------------------------------------------


def test_holm_goes_step_by_step_and_stops():
    found = contrasts.holm([0.011, 0.04, 0.03, 0.012])
    assert [decided for decided, _ in found] == [True, False, False, True]
    assert [level for _, level in found] == pytest.approx([0.05 / 4, 0.05 / 1, 0.05 / 2, 0.05 / 3])
    assert [decided for decided, _ in contrasts.holm([0.02, 0.02])] == [True, True]
    assert [decided for decided, _ in contrasts.holm([0.03, 0.03])] == [False, False]
    assert contrasts.holm([]) == []


def around(mean, half):
    return Interval(mean, mean - half, mean + half, 25)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("mean", "half", "decided", "words"),
    [
        (2.0, 0.5, True, "{} here"),
        (0.5, 0.3, True, "{} here, by less than 1 points"),
        (0.8, 0.3, True, "{} here"),
        (0.5, 0.4, False, "not told apart, within ± 1 points"),
        (0.0, 0.9, False, "not told apart, within ± 1 points"),
        (0.5, 0.6, False, "undecided"),
        (2.0, 0.5, False, "undecided"),
    ],
)
def test_the_words_are_the_same_for_both_sides(side, mean, half, decided, words):
    expected = words.format("reproduced" if side > 0 else "opposite")
    assert contrasts.in_words(around(side * mean, half), decided, 1.0) == expected


def test_the_error_of_the_test_images_is_that_of_independent_arms():
    one = contrasts.image_error([((0.9, 0.8), 10_000)])
    assert one == pytest.approx(1.96 * ((0.09 + 0.16) / 10_000) ** 0.5, rel=1e-3)
    assert contrasts.image_error([((0.9, 0.8), 10_000)] * 4) == pytest.approx(one / 2)
