import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tl_helpers import measures

floats = st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=2, max_size=20)


def test_a_case_worked_by_hand():
    # differences 1, 2, 3: mean 2, standard error 1/√3, t(0.975, 2) = 4.302653
    interval = measures.paired_interval([2, 4, 6], [1, 2, 3])
    assert interval.mean == pytest.approx(2)
    assert interval.high - interval.mean == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    assert interval.mean - interval.low == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    assert interval.count == 3


def test_equals_the_t_test_of_scipy():
    a, b = np.random.default_rng(0).normal(size=(2, 12))
    expected = stats.ttest_rel(a, b).confidence_interval(0.9)
    interval = measures.paired_interval(a, b, confidence=0.9)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


@given(floats)
def test_what_is_common_to_both_arms_cancels(values):
    values = np.array(values)
    interval = measures.paired_interval(values + 0.25, values)
    assert (interval.low, interval.mean, interval.high) == pytest.approx((0.25, 0.25, 0.25))


def test_covers_the_true_difference_as_often_as_it_says():
    generator = np.random.default_rng(1)
    samples = generator.normal(0.3, 1, size=(2000, 5))
    intervals = [measures.paired_interval(s, np.zeros(5)) for s in samples]
    assert np.mean([i.low <= 0.3 <= i.high for i in intervals]) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("a", "b", "confidence", "message"),
    [
        ([1, 2], [1, 2, 3], 0.95, "equal length"),
        ([1], [2], 0.95, "at least two pairs"),
        ([1, np.nan], [1, 2], 0.95, "not finite"),
        ([1, 2], [1, 2], 95, "between 0 and 1"),
        ([[1, 2]], [[1, 2]], 0.95, "equal length"),
    ],
)
def test_wrong_use_is_explained(a, b, confidence, message):
    with pytest.raises(ValueError, match=message):
        measures.paired_interval(a, b, confidence)


def test_reads_as_text():
    assert str(measures.Interval(0.05, -0.01, 0.11, 5)) == "+0.050 [-0.010, +0.110]"
