"""Intervals of shares: known values, what must hold for all, and how often they cover the truth."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from tl_base import shares
from tl_helpers import measures

quick = settings(max_examples=80, deadline=None, database=None)
counts = st.integers(1, 400).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
answers = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), min_size=1, max_size=60)


def test_thirty_one_of_thirty_three():
    low, high = measures.wilson(31, 33)
    assert (round(low, 2), round(high, 2)) == (0.80, 0.98)


@quick
@given(counts, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_is_that_of_scipy(count, confidence):
    expected = stats.binomtest(*count).proportion_ci(confidence, method="wilson")
    assert shares.wilson(*count, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


@quick
@example(1e-9, 1.5)
@given(st.floats(0, 1), st.floats(0, 1e6))
def test_wilson_holds_the_share_and_stays_a_share_for_parts_of_images_too(share, total):
    low, high = shares.wilson(share * total, total)
    assert 0 <= low <= high <= 1
    if total:
        assert low - 1e-9 <= share <= high + 1e-9


@quick
@given(counts)
def test_wrong_answers_have_the_mirrored_interval(count):
    right, total = count
    low, high = shares.wilson(right, total)
    assert shares.wilson(total - right, total) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_of_no_answers_nothing_is_known_and_ends_are_exact():
    low, high = shares.wilson([0, 0, 7], [0, 7, 7])
    assert low.tolist()[:2] == [0, 0]
    assert (high[0], high[2]) == (1, 1)
    assert high[1] == pytest.approx(1 - low[2])
    assert 0.3 < high[1] < 0.4
    assert (shares.wilson(np.arange(999), np.arange(999))[1] == 1).all()
    assert (shares.wilson(0, np.arange(999))[0] == 0).all()


@pytest.mark.parametrize(
    ("right", "total", "confidence", "message"),
    [
        (4, 3, 0.95, "found 4 of 3"),
        (-1, 3, 0.95, "found -1 of 3"),
        (np.nan, 3, 0.95, "found nan of 3"),
        (1, np.inf, 0.95, "found 1 of inf"),
        ("many", 3, 0.95, "Expected numbers"),
        ([1, 2], [3, 4, 5], 0.95, "Expected numbers"),
        (1, 3, 95, "between 0 and 1"),
    ],
)
def test_what_is_no_count_is_refused(right, total, confidence, message):
    with pytest.raises(measures.MeasureError, match=message):
        shares.wilson(right, total, confidence)


def test_ten_frames_of_one_object_are_one():
    assert shares.effective(np.repeat(np.arange(8), 10)) == 8
    assert shares.effective(np.arange(8)) == 8
    assert shares.effective([3, 3, 3, 9]) == 16 / 10
    assert shares.effective([]) == 0


# --- Two on the same images -------------------------------------------------------------------------------------------


def table(both, only_a, only_b, neither):
    """Answers of two with such counts."""
    a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    return a, np.repeat([True, False, True, False], [both, only_a, only_b, neither])


def tango(only_a, only_b, total, z=1.959964):
    """Tango's score interval (1998), by its definition: another way to the same end."""

    def score(d):
        b = -only_a - only_b + (2 * total - only_a + only_b) * d
        p = (np.sqrt(b**2 + 8 * total * only_b * d * (1 - d)) - b) / (4 * total)
        return (only_a - only_b - total * d) / np.sqrt(total * (2 * p + d - d**2))

    estimate = (only_a - only_b) / total
    ends = [optimize.brentq(lambda d: score(d) - z, -0.99999, estimate)]
    return [*ends, optimize.brentq(lambda d: score(d) + z, estimate, 0.99999)]


def test_a_paired_difference_worked_by_hand():
    # Fagerland, Lydersen and Laake (2014): 21 children, 1 and 7 of them changed. (1 + 1)/23 − (7 + 1)/23 = −0.26087
    difference, low, high, p = shares.paired_difference(*table(1, 1, 7, 12))
    half = 1.959964 * np.sqrt((10 / 23 - (6 / 23) ** 2) / 23)
    assert difference == pytest.approx(-6 / 21)
    assert (low, high) == pytest.approx((-6 / 23 - half, -6 / 23 + half), abs=1e-6)
    assert p == pytest.approx(2 * (1 + 8) / 2**8)  # 0 or 1 of 8, either way round


@pytest.mark.parametrize("some", [(1, 7, 21), (30, 12, 200), (5, 5, 60), (2, 0, 100)])
def test_a_paired_interval_is_near_that_of_tango(some):
    only_a, only_b, total = some
    _, low, high, _ = shares.paired_difference(*table(0, only_a, only_b, total - only_a - only_b))
    assert (low, high) == pytest.approx(tango(*some), abs=0.035)


@quick
@given(answers)
def test_a_paired_interval_holds_the_difference_and_turns_with_its_sides(given_answers):
    a, b, groups = map(np.array, zip(*given_answers, strict=True))
    difference, low, high, p = shares.paired_difference(a, b, groups)
    assert -1 <= low <= difference + 1e-12
    assert difference - 1e-12 <= high <= 1
    assert 0 < p <= 1
    assert shares.paired_difference(b, a, groups) == pytest.approx((-difference, -high, -low, p))


def test_who_agrees_everywhere_is_not_told_apart_but_not_surely_equal():
    difference, low, high, p = shares.paired_difference(*table(50, 0, 0, 50))
    assert (difference, p) == (0, 1)
    assert low == pytest.approx(-high)
    assert 0.01 < high < 0.05


def covered(probabilities, total, groups, draws=500):
    """Return how often the interval covers the true difference."""
    generator = np.random.default_rng(0)
    truth, hits = probabilities[1] - probabilities[2], 0
    kinds = generator.choice(4, (draws, total), p=probabilities)
    for row in kinds[:, groups]:
        _, low, high, _ = shares.paired_difference(row < 2, (row == 0) | (row == 2), groups)
        hits += low <= truth <= high
    return hits / draws


@pytest.mark.parametrize("probabilities", [(0.5, 0.2, 0.1, 0.2), (0.9, 0.05, 0.02, 0.03), (0.3, 0.3, 0.05, 0.35)])
def test_a_paired_interval_covers_as_often_as_it_says(probabilities):
    assert 0.93 < covered(probabilities, 80, np.arange(80)) < 0.99


def test_frames_of_one_object_do_not_make_an_interval_narrower():
    probabilities = (0.5, 0.2, 0.1, 0.2)
    assert covered(probabilities, 40, np.repeat(np.arange(40), 10)) > 0.93
    a, b = (np.repeat(side, 10) for side in table(20, 8, 4, 8))
    grouped = shares.paired_difference(a, b, np.repeat(np.arange(40), 10))
    assert grouped == pytest.approx(shares.paired_difference(*table(20, 8, 4, 8)))


@pytest.mark.parametrize(
    "call",
    [
        lambda: shares.paired_difference([True], [True, False]),
        lambda: shares.paired_difference([], []),
        lambda: shares.paired_difference([True, False], [True, False], [1]),
    ],
)
def test_answers_to_other_images_are_refused(call):
    with pytest.raises(measures.MeasureError, match="answers to the same images"):
        call()
