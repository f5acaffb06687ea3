"""The contrast of two arms: worked by hand, on simulated records; Holm; the words of a verdict."""

import json

import interval_coverage as simulated
import numpy as np
import pytest
from scipy import stats

from tl_experiments import ExperimentError, contrasts
from tl_helpers.measures import Interval, mean_interval

TABLE = [[1.0, 3.0], [2.0, 6.0], [6.0, 8.0]]  # means 2, 4, 7 of three trainings


def test_on_one_table_it_is_students_interval_over_trainings():
    """Worked by hand: mean 13/3, standard error sqrt(6.333 / 3), two degrees of freedom."""
    found = contrasts.estimate([[TABLE]])
    assert (found.mean, found.error) == pytest.approx((13 / 3, (19 / 3 / 3) ** 0.5))
    assert (found.freedom, found.count, found.missing) == (2, 6, 0)
    mean, half = mean_interval([2.0, 4.0, 7.0])
    assert found.interval() == Interval(pytest.approx(mean), pytest.approx(mean - half), pytest.approx(mean + half), 6)


def test_over_pairs_and_networks_variances_add_up_as_welch_has_it():
    """Two samples, each the half of a mean: Welch's test of their difference has the same error and freedom."""
    one, other = [1.0, 2.0, 4.0, 7.0], [-3.0, 0.5, 9.0]
    found = contrasts.estimate([[[[value] for value in one]], [[[value] for value in other]]])
    welch = stats.ttest_ind(one, other, equal_var=False)
    assert found.mean == pytest.approx(np.mean([np.mean(one), np.mean(other)]))
    assert found.error == pytest.approx((np.mean(one) - np.mean(other)) / welch.statistic / 2)
    assert found.freedom == pytest.approx(welch.df)


def test_pairs_weigh_the_same_whatever_they_have_of_networks():
    one, two, three = ([[value, value]] * 2 for value in (1.0, 2.0, 6.0))
    assert contrasts.estimate([[one], [two, three]]).mean == pytest.approx((1 + (2 + 6) / 2) / 2)


def test_a_decision_and_its_p_value_agree():
    found = contrasts.estimate([[TABLE]])
    assert found.half_width(found.p_value) == pytest.approx(abs(found.mean))
    assert found.p_value == pytest.approx(stats.ttest_1samp([2.0, 4.0, 7.0], 0).pvalue)
    assert contrasts.estimate([[[[0.0], [0.0]]]]).p_value == 1
    assert contrasts.estimate([[[[1.0], [1.0]]]]).p_value == 0


def test_what_is_missing_leaves_a_training_its_other_draw():
    lost = [[1.0, np.nan], [2.0, 6.0], [np.nan, np.nan], [6.0, 8.0]]
    found = contrasts.estimate([[lost]])
    mean, half = mean_interval([1.0, 4.0, 7.0])
    assert (found.mean, found.interval().high) == pytest.approx((mean, mean + half))
    assert (found.count, found.missing) == (5, 3)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([], "nothing to estimate"),
        ([[]], "nothing to estimate"),
        ([[[1.0, 2.0]]], "found shape"),
        ([[[[1.0, 2.0]]]], "Of 1 trainings 1 have a value"),
        ([[[[1.0, 2.0], [np.nan, np.nan]]]], "Of 2 trainings 1 have a value.*--retry-failed"),
    ],
)
def test_what_cannot_be_estimated_is_refused_with_advice(blocks, message):
    with pytest.raises(ExperimentError, match=message):
        contrasts.estimate(blocks)


# --- How often it covers ---------------------------------------------------------------------------------------------

SHORT = 250  # simulations: the tool does more


@pytest.mark.parametrize("name", ["one pair, one network", "two pairs, two networks"])
@pytest.mark.parametrize("truth", [(1.0, 1.0), (0.0, 1.0)])
def test_intervals_cover_the_truth_as_often_as_they_say(name, truth):
    """Of 250, fewer than 224 or more than 249 would be found less than once in a thousand if 95 % cover."""
    (row,) = simulated.coverage(SHORT, seed=1, designs=(name,), truths=(truth,), ratios=(1.0,))
    low, high = stats.binom.ppf([0.0005, 0.9995], SHORT, 0.95)
    assert low <= row["covered"] * SHORT <= high


def test_an_interval_over_runs_instead_of_trainings_would_be_found_out(monkeypatch):
    """The wrong formula on the same simulated records: the test above is able to fail."""
    whole = contrasts._mean_of
    monkeypatch.setattr(contrasts, "_mean_of", lambda table: whole(table.reshape(-1, 1)))
    (row,) = simulated.coverage(SHORT, 1, ("one pair, one network",), ((2.0, 1.0),), (1.0,))
    assert row["covered"] * SHORT < stats.binom.ppf(0.0005, SHORT, 0.95)


def test_the_coverage_that_ships_lies_where_it_should():
    """Where the truth lies between 93 and 97 %, a thousand simulations lie within 1.6 points of that."""
    shipped = json.loads(simulated.OUTPUT.read_text(encoding="utf-8"))
    cases = shipped["cases"]
    assert shipped["simulations"] >= 1000
    assert {row["design"] for row in cases} == {row["design"] for row in shipped["decisions"]} == set(simulated.DESIGNS)
    assert len(cases) == len(simulated.DESIGNS) * len(simulated.TRUTHS) * len(simulated.RATIOS)
    assert max(row["times"] for row in shipped["decisions"]) < 4  # where the networks spread very differently
    assert [row for row in cases if not 0.93 - 0.016 <= row["covered"] <= 0.97 + 0.012] == []
    assert 0.93 <= np.mean([row["covered"] for row in cases]) <= 0.97


# --- Ranks -----------------------------------------------------------------------------------------------------------


def test_ranks_are_jackknifed_within_kinds():
    kinds = ["a"] * 3 + ["b"] * 2 + ["c"]
    score, reached = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0, 1.0, 3.0, 5.0, 4.0, 6.0]
    found = contrasts.rank_estimate([(score, reached)], kinds)
    assert found.mean == pytest.approx(stats.kendalltau(score, reached).statistic)
    left = [stats.kendalltau(np.delete(score, i), np.delete(reached, i)).statistic for i in range(5)]
    variance = 2 * np.var(left[:3], ddof=1) + 1 * np.var(left[3:], ddof=1)
    assert (found.error, found.freedom) == (pytest.approx(variance**0.5), 3)


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
