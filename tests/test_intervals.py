"""Shares of a gain, and where curves cross 0; one mean and paired means are in `test_measures`."""

import numpy as np
import pytest

from tl_base import intervals
from tl_base.shares import MeasureError
from tl_helpers import measures, records

# A share of a gain ----------------------------------------------------------------------------------------------------


def test_a_ratio_worked_by_hand():
    # part 1, 3 and whole 4, 6: means 2 and 5; variances of the means 1 and 1, covariance 1; t(0.75, 1) = 1, so
    # (2 − 5r)² ≤ (1 − r)², which is 24r² − 18r + 3 ≤ 0: r from 1/4 to 1/2
    found = measures.ratio_interval([1, 3], [4, 6], confidence=0.5)
    assert (found.low, found.mean, found.high) == pytest.approx((1 / 4, 2 / 5, 1 / 2))
    assert found.count == 2


def test_the_ends_of_a_ratio_are_where_the_paired_interval_touches_0():
    generator = np.random.default_rng(0)
    whole = generator.normal(3, 1, 10)
    part = 0.4 * whole + generator.normal(0, 0.5, 10)
    found = measures.ratio_interval(part, whole, 0.9)
    assert measures.paired_interval(part, found.low * whole, 0.9).low == pytest.approx(0, abs=1e-12)
    assert measures.paired_interval(part, found.high * whole, 0.9).high == pytest.approx(0, abs=1e-12)
    assert measures.ratio_interval(7 * part, 7 * whole, 0.9).high == pytest.approx(found.high)  # points or shares


def test_a_ratio_covers_the_true_one_as_often_as_it_says():
    generator = np.random.default_rng(1)
    held = []
    for _ in range(2000):
        common, own = generator.normal(size=(2, 6))
        found = measures.ratio_interval(2 + common + own, 5 + 2 * common)  # 2/5, and far from independent
        held.append(found.low <= 0.4 <= found.high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


def test_a_share_of_what_may_be_nothing_is_open():
    found = measures.ratio_interval([1.0, 2.0, 3.0], [-1.0, 2.0, 0.5])
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert np.isnan(measures.ratio_interval([1.0, 2.0], [-1.0, 1.0]).mean)


@pytest.mark.parametrize(
    ("part", "whole", "confidence", "message"),
    [
        ([1, 2], [1, 2, 3], 0.95, "equal length"),
        ([1], [2], 0.95, "at least two pairs"),
        ([1, np.nan], [1, 2], 0.95, "not finite"),
        ([1, 2], [1, 2], 95, "between 0 and 1"),
    ],
)
def test_a_ratio_of_something_else_is_explained(part, whole, confidence, message):
    with pytest.raises(MeasureError, match=message):
        measures.ratio_interval(part, whole, confidence)


# Where curves cross 0 -------------------------------------------------------------------------------------------------


def test_a_crossing_worked_by_hand():
    # the curves fall from 3 to −1 and from 1 to −3 over places 0 to 4: means 2 − x, standard error 1 everywhere;
    # t(0.75, 1) = 1, so the interval of the mean holds 0 from x = 1 to x = 3
    found = measures.crossing([0, 4], [[3, -1], [1, -3]], confidence=0.5)
    assert (found.low, found.mean, found.high) == pytest.approx((1, 2, 3), abs=0.005)
    assert found.count == 2


def test_between_places_a_curve_is_straight_and_each_stretch_has_its_own_slope():
    found = measures.crossing([0, 1, 11], [[6, 2, -2], [6, 2, -2], [6, 2, -2]])  # falls to 0 in the middle of 1 and 11
    assert (found.low, found.mean, found.high) == pytest.approx((6, 6, 6), abs=0.011)


def test_a_crossing_covers_the_true_place_as_often_as_it_says():
    generator, places, held = np.random.default_rng(1), np.arange(5.0), []
    for _ in range(1500):
        level, slope = generator.normal(0, 1, (6, 1)), generator.normal(0, 0.3, (6, 1))
        found = measures.crossing(places, 2.3 - places + level + slope * (places - 2))
        held.append(found.low <= 2.3 <= found.high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("curves", "expected"),
    [
        ([[3.0, 2.0], [3.1, 2.1]], (np.inf, np.inf, np.inf)),  # above 0 wherever one looked
        ([[-3.0, -4.0], [-3.1, -4.1]], (-np.inf, -np.inf, -np.inf)),
        ([[3.0, 0.5], [3.1, -0.4]], (9.6, np.inf, np.inf)),  # near 0 at the last place: from there on all is open
        ([[0.5, -3.0], [-0.4, -3.1]], (-np.inf, 0.1, 0.5)),
    ],
)
def test_what_is_not_within_the_places_is_open(curves, expected):
    found = measures.crossing([0, 10], curves)
    for value, wanted in zip((found.low, found.mean, found.high), expected, strict=True):
        assert value == wanted if np.isinf(wanted) else 0 < value < 10


def test_a_curve_that_comes_back_leaves_all_between_open():
    found = measures.crossing([0, 1, 2, 3], [[2, -0.1, 0.1, -2], [2, -0.2, 0.2, -2], [2, 0.0, 0.0, -2]])
    assert 0.8 < found.low < found.mean
    assert found.mean == pytest.approx(0.953, abs=0.002)  # 2 − 2.1x: the first place where the mean is not above 0
    assert 2 < found.high < 2.2


@pytest.mark.parametrize(
    ("places", "curves", "confidence", "message"),
    [
        ([0, 1, 2], [[1, 2], [1, 2]], 0.95, r"found shapes \(3,\) and \(2, 2\)"),
        ([0, 1], [[1, 2]], 0.95, "each of two or more seeds"),
        ([0], [[1], [2]], 0.95, "two or more places"),
        ([0, 1], [1, 2], 0.95, "found shapes"),
        ([1, 0], [[1, 2], [1, 2]], 0.95, "places that rise"),
        ([0, 1], [[1, np.nan], [1, 2]], 0.95, "finite curves"),
        ([0, np.inf], [[1, 2], [1, 2]], 0.95, "finite curves"),
        ([0, 1], [[1, 2], [1]], 0.95, "rows of equal length"),
        ([0, 1], [[1, 2], [1, 2]], 95, "between 0 and 1"),
    ],
)
def test_a_crossing_of_something_else_is_explained(places, curves, confidence, message):
    with pytest.raises(MeasureError, match=message):
        measures.crossing(places, curves, confidence)


# Held against another way, on the records -----------------------------------------------------------------------------


def gain_tables():
    """Return accuracies of the far pair: seeds in rows, arms and numbers of labels in columns."""
    return records.rows_of(records.load(), records.FAR).pivot_table(
        "test_accuracy", "seed", ["arm", "labels_per_class"]
    )


def bootstrapped(statistic, count):
    """Draw seeds anew, with replacement, all arms of a seed together; return where 95 % of the statistic lie."""
    rows = np.random.default_rng(0).integers(0, count, (2000, count))
    return np.quantile([statistic(each) for each in rows], [0.025, 0.975])


def test_both_intervals_are_near_those_of_a_paired_bootstrap():
    table = gain_tables()
    alone, tuned = table["from scratch"].to_numpy(), table["fine-tuned from the source"][5].to_numpy()
    labels = np.log(table["from scratch"].columns.to_numpy(float))

    def worth(rows):
        reached = np.maximum.accumulate(alone[rows].mean(axis=0))
        return np.interp(tuned[rows].mean(), reached, labels)

    found = measures.crossing(labels, tuned[:, None] - alone)
    every = np.arange(len(alone))
    assert found.mean == pytest.approx(worth(every), abs=0.002)
    assert (found.low, found.high) == pytest.approx(bootstrapped(worth, len(alone)), abs=0.1)  # a tenth of the labels

    fives = table.xs(5, axis=1, level=1)
    lead, chance = (
        (fives[f"linear head, {kind} features"] - fives["from scratch"]).to_numpy() for kind in ("source", "random")
    )
    share = measures.ratio_interval(chance, lead)
    assert share.mean == pytest.approx(chance.mean() / lead.mean())
    by_draws = bootstrapped(lambda rows: chance[rows].mean() / lead[rows].mean(), len(lead))
    assert (share.low, share.high) == pytest.approx(by_draws, abs=0.05)  # ten draws make it too narrow


def test_measures_passes_the_intervals_on():
    for name in ("Interval", "crossing", "half_width", "mean_interval", "paired_interval", "ratio_interval"):
        assert getattr(measures, name) is getattr(intervals, name)
