import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import optimize, stats

from tl_helpers import measures

quick = settings(max_examples=60, deadline=None, database=None)
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


@quick
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
        (["a", "b"], [1, 2], 0.95, "Expected numbers"),
    ],
)
def test_wrong_use_is_explained(a, b, confidence, message):
    with pytest.raises(measures.MeasureError, match=message):
        measures.paired_interval(a, b, confidence)


def test_reads_as_text():
    assert str(measures.Interval(0.05, -0.01, 0.11, 5)) == "+0.050 [-0.010, +0.110]"


def test_the_module_has_one_exception_and_it_is_a_value_error():
    assert issubclass(measures.MeasureError, ValueError)


# One mean -------------------------------------------------------------------------------------------------------------


def test_mean_interval_is_students():
    mean, half = measures.mean_interval([1.0, 2.0, 3.0])
    assert mean == pytest.approx(2)
    assert half == pytest.approx(4.302653 / 3**0.5)  # t(2, 0.975) from a printed table, standard deviation 1
    assert measures.mean_interval([0.5]) == pytest.approx((0.5, np.nan), nan_ok=True)  # nothing is known of the spread


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [[1.0, 2.0]]])
def test_mean_interval_refuses(values):
    with pytest.raises(measures.MeasureError, match=r"finite numbers, one a seed; found .*Leave out seeds"):
        measures.mean_interval(values)


def test_half_widths_of_curves_are_those_of_their_points():
    curves = np.random.default_rng(2).normal(size=(5, 3, 2))  # seeds, points, arms
    halves = measures.half_width(curves, 0.9)
    assert halves.shape == (3, 2)
    for place in np.ndindex(3, 2):
        assert halves[place] == pytest.approx(measures.mean_interval(curves[:, *place], 0.9)[1])
    assert np.isnan(measures.half_width(curves[:1])).all()
    with pytest.raises(measures.MeasureError, match="between 0 and 1"):
        measures.half_width(curves, 95)


def test_the_quantile_is_that_of_the_printed_table():
    assert measures.quantile(3) == pytest.approx(4.302653, rel=1e-6)
    assert measures.quantile(10, 0.99) == pytest.approx(3.249836, rel=1e-6)


# Negative-transfer gap ------------------------------------------------------------------------------------------------


def test_the_gap_is_positive_where_the_source_hurts():
    # errors with the source 0.4, 0.3; without 0.2, 0.2: gaps 0.2, 0.1, mean 0.15, standard error 0.05,
    # t(0.975, 1) = 12.706205, t(0.75, 1) = 1
    gap = measures.negative_transfer_gap([0.6, 0.7], [0.8, 0.8])
    assert gap.mean == pytest.approx(0.15)
    assert gap.high - gap.mean == pytest.approx(12.706205 * 0.05, rel=1e-6)
    assert measures.negative_transfer_gap([0.6, 0.7], [0.8, 0.8], confidence=0.5).low == pytest.approx(0.10)
    assert measures.negative_transfer_gap([0.8, 0.8], [0.6, 0.7]).mean == pytest.approx(-0.15)


@pytest.mark.parametrize(
    ("with_source", "without_source", "message"),
    [
        ([80.0, 90.0], [0.7, 0.6], "percentages"),
        ([0.8, 0.9], [-0.1, 0.6], "outside"),
        ([0.8, np.nan], [0.7, 0.6], "not finite"),
        ([0.8], [0.7], "at least two pairs"),
        ([0.8, 0.9], [0.7], "equal length"),
    ],
)
def test_a_gap_of_other_numbers_is_explained(with_source, without_source, message):
    with pytest.raises(measures.MeasureError, match=message):
        measures.negative_transfer_gap(with_source, without_source)


# LEEP -----------------------------------------------------------------------------------------------------------------


def random_outputs(seed, images, sources, targets):
    generator = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(targets), generator.integers(targets, size=images - targets)])
    return generator.dirichlet(np.full(sources, 0.5), images), labels


def leep_by_definition(probabilities, labels):
    images, sources = probabilities.shape
    joint = {
        (y, z): sum(probabilities[i, z] for i in range(images) if labels[i] == y) / images
        for y in set(labels)
        for z in range(sources)
    }
    marginal = [sum(joint[y, z] for y in set(labels)) for z in range(sources)]
    logs = [
        np.log(sum(joint[labels[i], z] / marginal[z] * probabilities[i, z] for z in range(sources)))
        for i in range(images)
    ]
    return sum(logs) / images


def test_leep_worked_by_hand():
    # P(y=0, z) = (1.2, 0.8)/3 and P(y=1, z) = (0.2, 0.8)/3, so P(z) = (1.4, 1.6)/3,
    # P(y=0 | z) = (6/7, 1/2) and P(y=1 | z) = (1/7, 1/2). The likelihoods of the three labels:
    # 0.8·6/7 + 0.2·1/2 = 11/14,  0.4·6/7 + 0.6·1/2 = 9/14,  0.2·1/7 + 0.8·1/2 = 3/7
    score = measures.leep([[0.8, 0.2], [0.4, 0.6], [0.2, 0.8]], [0, 0, 1])
    assert score == pytest.approx(np.log([11 / 14, 9 / 14, 3 / 7]).mean(), abs=1e-12)


@pytest.mark.parametrize(("images", "sources", "targets"), [(5, 2, 2), (40, 10, 3), (30, 3, 10), (12, 60, 4)])
def test_leep_equals_its_definition(images, sources, targets):
    probabilities, labels = random_outputs(images, images, sources, targets)
    assert measures.leep(probabilities, labels) == pytest.approx(leep_by_definition(probabilities, labels), abs=1e-12)


def test_a_source_that_sees_nothing_scores_minus_the_entropy_of_the_labels():
    labels = np.repeat([0, 1, 2], [1, 2, 5])
    entropy = stats.entropy([1 / 8, 2 / 8, 5 / 8])
    assert measures.leep(np.tile([0.7, 0.2, 0.1], (8, 1)), labels) == pytest.approx(-entropy)


def test_a_source_that_separates_the_classes_scores_0_also_in_float32_and_with_an_unused_class():
    probabilities = np.eye(4, dtype="float32")[[0, 1, 2, 0, 1, 2]] * np.float32(1 + 1e-6)
    score = measures.leep(probabilities, [5, 3, 8, 5, 3, 8])
    assert score == pytest.approx(0, abs=1e-12)


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(2, 4))
def test_leep_is_at_most_0_and_knows_no_order(seed, sources, targets):
    probabilities, labels = random_outputs(seed, 12, sources, targets)
    score = measures.leep(probabilities, labels)
    assert score <= 1e-12
    generator = np.random.default_rng(seed)
    images, columns, names = (generator.permutation(n) for n in (12, sources, targets))
    assert measures.leep(probabilities[images][:, columns], names[labels][images]) == pytest.approx(score, abs=1e-12)


OUTPUTS = [[0.5, 0.5], [0.3, 0.7], [0.9, 0.1]]


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([0.5, 0.5], [0, 1], "shape"),
        (np.zeros((3, 0)), [0, 1, 1], "shape"),
        ([[0.5, 0.5], [1.0]], [0, 1], "equal length"),
        ([[0.5, np.nan], [0.3, 0.7]], [0, 1], "not finite"),
        ([[2.0, -1.0], [0.3, 0.7]], [0, 1], "softmax"),
        ([[0.5, 0.4], [0.3, 0.7]], [0, 1], "sum to 1"),
        (OUTPUTS, [0, 1], "one label for each of the 3"),
        (OUTPUTS, [[0], [1], [1]], "one label for each of the 3"),
        (OUTPUTS, [0.0, 1.0, 1.0], "whole numbers"),
        (OUTPUTS, [0, 1, -1], "from 0, found -1"),
        (OUTPUTS, [1, 1, 1], "at least two classes"),
    ],
)
def test_leep_of_something_else_is_explained(probabilities, labels, message):
    with pytest.raises(measures.MeasureError, match=message):
        measures.leep(probabilities, labels)


# LogME ----------------------------------------------------------------------------------------------------------------


def random_features(seed, images, width, classes=3, spread=0.0):
    """Draw labels and features that say something of them; spread: how unequal the features' sizes are."""
    generator = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), generator.integers(classes, size=images - classes)])
    features = generator.normal(size=(images, width)) + generator.normal(size=(classes, width))[labels]
    return features * np.exp(spread * generator.normal(size=width)), labels


def logme_by_definition(features, labels):
    """Maximise log N(y; 0, FFᵀ/α + I/β), taken from the N x N covariance, over log α, log β: a grid, a search."""
    count = len(features)
    kernel = features @ features.T

    def loss(logs, y):
        covariance = kernel * np.exp(-logs[0]) + np.eye(count) * np.exp(-logs[1])
        eigenvalues, vectors = np.linalg.eigh(covariance)
        if eigenvalues[0] < 1e-12 * eigenvalues[-1]:
            return np.inf  # rounding would decide
        return (np.log(2 * np.pi * eigenvalues) + (vectors.T @ y) ** 2 / eigenvalues).sum() / 2

    def smallest_loss(y):
        alphas, betas = np.arange(-12, 13, 2.0), np.arange(-2, 14, 0.5)
        grid = np.array([[loss((a, b), y) for b in betas] for a in alphas])
        lowest = np.pad(grid.min(axis=1), 1, constant_values=np.inf)
        valleys = np.flatnonzero((lowest[1:-1] <= lowest[:-2]) & (lowest[1:-1] <= lowest[2:]))
        starts = [(alphas[i], betas[grid[i].argmin()]) for i in valleys]
        options = {"xatol": 1e-5, "fatol": 1e-8, "maxiter": 400}
        return min(optimize.minimize(loss, start, (y,), "Nelder-Mead", options=options).fun for start in starts)

    return np.mean([-smallest_loss((labels == c).astype(float)) for c in np.unique(labels)]) / count


def logme_by_iteration(features, labels, released=False):
    """Iterate α ← γ/mᵀm, β ← (N − γ)/‖Fm − y‖² from 1, 1 until equation 2 of You et al. (2021) stands still.

    In log|αI + βFᵀF| an eigenvalue of FᵀF that is 0 counts log α; the authors' program leaves those beyond N out.
    """
    (count, width), scores = features.shape, []
    eigenvalues = np.linalg.eigvalsh(features.T @ features)[-min(count, width) :]
    for c in np.unique(labels):
        y, alpha, beta, before, evidence = (labels == c).astype(float), 1.0, 1.0, -np.inf, 0.0
        while abs(evidence - before) > 1e-8:
            precision = alpha * np.eye(width) + beta * features.T @ features
            mean = beta * np.linalg.solve(precision, features.T @ y)
            misfit = ((features @ mean - y) ** 2).sum()
            log_determinant = np.log(alpha + beta * eigenvalues).sum()
            if not released:
                log_determinant += (width - len(eigenvalues)) * np.log(alpha)
            constants = count * np.log(beta / (2 * np.pi)) + width * np.log(alpha)
            before, evidence = (
                evidence,
                (constants - beta * misfit - alpha * mean @ mean - log_determinant) / 2,
            )
            gamma = (beta * eigenvalues / (alpha + beta * eigenvalues)).sum()
            alpha, beta = gamma / (mean @ mean), (count - gamma) / misfit
        scores.append(evidence / count)
    return np.mean(scores)


def test_logme_worked_by_hand():
    # One feature, FFᵀ has eigenvalue 2 along u = (1, 1, 0, 0)/√2, so y has variance s = 2/α + 1/β along u and
    # b = 1/β across it, in 3 directions.
    # Class 0, y = (1, 1, 1, 0): (uᵀy)² = 2 and 1 is left, so s = 2 and b = 1/3 (s > b, allowed):
    #   log evidence = −(4 log 2π + log 2 + 3 log 1/3 + 4)/2
    # Class 1, y = (0, 0, 0, 1): (uᵀy)² = 0 asks for s < b, so α → ∞ and s = b = 1/4:
    #   log evidence = −(4 log 2π + 4 log 1/4 + 4)/2
    first = -(4 * np.log(2 * np.pi) + np.log(2) - 3 * np.log(3) + 4) / 2
    second = -(4 * np.log(2 * np.pi) - 4 * np.log(4) + 4) / 2
    score = measures.logme([[1], [1], [0], [0]], [0, 0, 0, 1])
    assert score == pytest.approx((first + second) / 2 / 4, abs=1e-8)


def test_logme_worked_by_hand_where_features_fit_any_labels():
    # F = I: y has variance v = 1/α + 1/β in both directions; for y = (1, 0) the best is v = 1/2, so for each class
    # log evidence = −(2 log 2π + 2 log 1/2 + 2)/2 = −log π − 1, for two images
    assert measures.logme(np.eye(2), [0, 1]) == pytest.approx((-np.log(np.pi) - 1) / 2, abs=1e-10)


@pytest.mark.parametrize(
    ("images", "width", "spread"),
    [(30, 5, 0), (30, 5, 2), (25, 24, 1), (25, 25, 0), (12, 30, 0), (12, 30, 2), (20, 200, 1), (40, 1, 0)],
)
def test_logme_equals_the_maximised_evidence(images, width, spread):
    for seed in range(2):
        features, labels = random_features(seed, images, width, spread=spread)
        expected = logme_by_definition(features, labels)
        assert measures.logme(features, labels) == pytest.approx(expected, abs=2e-6)
        assert measures.logme(1e4 * features.astype("float32"), labels) == pytest.approx(expected, abs=1e-4)


def test_logme_of_features_of_less_than_full_rank():
    features, labels = random_features(0, 20, 4)
    doubled = np.hstack([features, features]) / np.sqrt(2)
    assert measures.logme(doubled, labels) == pytest.approx(measures.logme(features, labels), abs=1e-9)


def test_logme_equals_the_iteration_of_the_paper_where_there_is_one_maximum():
    features, labels = random_features(1, 60, 6)
    assert measures.logme(features, labels) == pytest.approx(logme_by_iteration(features, labels), abs=1e-7)


def test_more_copies_of_the_same_features_change_logme_as_released_and_not_as_defined():
    features, labels = random_features(0, 20, 30)  # more features than images
    copies = [np.hstack([features] * count) / np.sqrt(count) for count in (1, 2, 4)]  # FFᵀ is the same
    assert [measures.logme(each, labels) for each in copies] == pytest.approx([measures.logme(features, labels)] * 3)
    for each in copies[:2]:
        assert logme_by_iteration(each, labels) == pytest.approx(measures.logme(each, labels), abs=1e-5)
    released = [logme_by_iteration(each, labels, released=True) for each in copies]
    assert released[0] > measures.logme(features, labels) + 0.5
    assert released[1] > released[0] + 1
    assert released[2] > released[1] + 1


def test_logme_is_that_of_the_released_program_where_images_outnumber_features():
    features, labels = random_features(1, 60, 6)
    assert logme_by_iteration(features, labels, released=True) == pytest.approx(
        measures.logme(features, labels), abs=1e-7
    )


def test_logme_finds_the_higher_of_two_maxima():
    # The labels follow a feature a thousand times smaller than the others: either it is noise, or its weight is large.
    features = np.random.default_rng(1).normal(size=(40, 3)) * [100, 100, 0.1]
    labels = (features[:, 2] > 0).astype(int)
    expected = logme_by_definition(features, labels)
    assert logme_by_iteration(features, labels) < expected - 0.01
    assert measures.logme(features, labels) == pytest.approx(expected, abs=1e-6)


def test_logme_prefers_features_that_tell_the_classes_apart():
    features, labels = random_features(2, 50, 80)
    shuffled = np.random.default_rng(3).permutation(labels)
    assert measures.logme(features, labels) > measures.logme(features, shuffled) + 0.05


@quick
@given(st.integers(0, 2**32 - 1), st.sampled_from([(15, 3), (8, 8), (6, 20)]), st.floats(-20, 20))
def test_logme_sees_neither_rotation_nor_unit_nor_order_nor_names(seed, shape, log_factor):
    features, labels = random_features(seed, *shape)
    rotation = stats.ortho_group.rvs(shape[1], random_state=seed)
    order = np.random.default_rng(seed).permutation(shape[0])
    names = np.array([7, 0, 3])
    moved = np.exp(log_factor) * (features @ rotation)[order]
    assert measures.logme(moved, names[labels[order]]) == pytest.approx(measures.logme(features, labels), abs=1e-6)


@pytest.mark.parametrize("shape", [(20, 100_000), (100_000, 3)])
def test_logme_needs_no_large_square_matrix(shape):
    # either square, N x N or D x D, would take 80 GB
    generator = np.random.default_rng(0)
    assert np.isfinite(measures.logme(generator.normal(size=shape), np.arange(shape[0]) % 2))


FEATURES = [[1.0, 2.0], [0.5, 0.0], [3.0, 1.0]]


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (np.ones((3, 4, 4, 8)), [0, 1, 1], "Flatten"),
        (np.zeros((0, 4)), [], "shape"),
        ([[1.0, np.inf], [0.5, 0.0]], [0, 1], "not finite"),
        (FEATURES, [0, 1], "one label for each of the 3"),
        (FEATURES, np.eye(3), "one label for each of the 3"),
        (FEATURES, [True, False, True], "whole numbers"),
        (FEATURES, [0, -2, 1], "from 0, found -2"),
        (FEATURES, [4, 4, 4], "class 4 alone"),
        (np.zeros((3, 2)), [0, 1, 1], "All features are 0"),
        ([[1.0], [0.0], [0.0]], [0, 1, 1], "rank 1, 3 images"),
        (np.random.default_rng(0).normal(size=(4, 9))[[0, 1, 2, 3, 3]], [0, 1, 0, 1, 1], "rank 4, 5 images"),
    ],
)
def test_logme_of_something_else_is_explained(features, labels, message):
    with pytest.raises(measures.MeasureError, match=message):
        measures.logme(features, labels)


# CKA ------------------------------------------------------------------------------------------------------------------

SHAPES = [(30, 3, 5), (30, 5, 3), (6, 40, 50), (10, 40, 2), (10, 2, 40)]
both_forms = pytest.mark.parametrize("debiased", [True, False])


def random_pair(seed, images, first, second):
    """Draw two representations that share a part."""
    generator = np.random.default_rng(seed)
    shared = generator.normal(size=(images, 2))
    return [
        shared @ generator.normal(size=(2, width)) + generator.normal(size=(images, width)) + 3
        for width in (first, second)
    ]


def cka_by_kernels(x, y):
    """CKA = HSIC(K, L)/√(HSIC(K, K) HSIC(L, L)), HSIC(K, L) = tr(KHLH)/(N − 1)², with the centring matrix H."""
    centring = np.eye(len(x)) - 1 / len(x)

    def hsic(k, m):
        return np.trace(k @ centring @ m @ centring) / (len(x) - 1) ** 2

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def cka_by_sums(x, y):
    """Average over pairs, triples and fours of different images: what each H of the definition stands for.

    HSIC = E k(1, 2) m(1, 2) + E k(1, 2) E m(3, 4) − 2 E k(1, 2) m(1, 3), with each E over images that differ.
    """
    images = range(len(x))

    def hsic(k, m):
        pairs = [k(i, j) * m(i, j) for i, j in itertools.permutations(images, 2)]
        threes = [k(i, j) * m(i, q) for i, j, q in itertools.permutations(images, 3)]
        fours = [k(i, j) * m(q, r) for i, j, q, r in itertools.permutations(images, 4)]
        return np.mean(pairs) + np.mean(fours) - 2 * np.mean(threes)

    def k(i, j):
        return x[i] @ x[j]

    def m(i, j):
        return y[i] @ y[j]

    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@pytest.mark.parametrize("padding", [0, 5])
def test_biased_cka_worked_by_hand(padding):
    # centred: x = (−1, 0, 1), y = (−1, −1, 2), so yᵀx = 3, xᵀx = 2, yᵀy = 6: 9/(2·6) = 3/4.
    # Columns of zeros change nothing, but make the kernel form the cheaper one.
    x, y = (np.pad([[a], [b], [c]], ((0, 0), (0, padding))) for a, b, c in [(4, 5, 6), (0, 0, 3)])
    assert measures.linear_cka(x, y, debiased=False) == pytest.approx(0.75, abs=1e-12)


@pytest.mark.parametrize("padding", [0, 9])
def test_cka_worked_by_hand(padding):
    # x = (−2, −1, 1, 2) and y = (−1, 1, 1, −1), centred, with squares (4, 1, 1, 4) and (1, 1, 1, 1); N/(N − 2) = 2.
    # H(x, y) = (yᵀx)² − 2 · 10 + 10 · 4/6 = 0 − 40/3, H(x, x) = 10² − 2 · 34 + 10²/6 = 146/3,
    # H(y, y) = 4² − 2 · 4 + 4²/6 = 32/3, and −40/√(146 · 32)
    x, y = (np.pad(np.transpose([each]), ((0, 0), (0, padding))) for each in [(5, 6, 8, 9), (0, 2, 2, 0)])
    assert measures.linear_cka(x, y) == pytest.approx(-40 / np.sqrt(146 * 32), abs=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_biased_cka_equals_its_kernel_form(shape):
    x, y = random_pair(0, *shape)
    assert measures.linear_cka(x, y, debiased=False) == pytest.approx(cka_by_kernels(x, y), abs=1e-12)


@pytest.mark.parametrize("shape", [(4, 3, 2), (9, 2, 3), (9, 30, 40), (8, 30, 2)])
def test_cka_equals_the_averages_over_different_images(shape):
    x, y = random_pair(1, *shape)
    assert measures.linear_cka(x, y) == pytest.approx(cka_by_sums(x, y), abs=1e-9)


def test_unrelated_representations_give_0_however_many_features_there_are():
    generator = np.random.default_rng(0)
    pairs = [(generator.normal(size=(50, 2000)), generator.normal(size=(50, 1500))) for _ in range(20)]
    assert np.mean([measures.linear_cka(*pair, debiased=False) for pair in pairs]) > 0.9  # any two look alike
    found = [measures.linear_cka(*pair) for pair in pairs]
    assert measures.paired_interval(found, np.zeros(20)).low < 0 < measures.paired_interval(found, np.zeros(20)).high
    assert np.abs(found).max() < 0.1


def test_what_two_wide_representations_share_does_not_hang_on_the_number_of_images():
    generator = np.random.default_rng(0)
    of_all = [(generator.normal(size=(5, 400)), generator.normal(size=(400, 400)) / 20) for _ in range(2)]
    found = {}
    for images in (40, 1600):
        shared = generator.normal(size=(images, 5))
        x, y = (3 * shared @ first + generator.normal(size=(images, 400)) @ rest for first, rest in of_all)
        found[images] = measures.linear_cka(x, y), measures.linear_cka(x, y, debiased=False)
    assert found[40][0] == pytest.approx(found[1600][0], abs=0.1)
    assert found[40][1] > found[1600][1]


@both_forms
@quick
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHAPES), st.floats(-200, 200), st.floats(-100, 100))
def test_cka_sees_neither_rotation_nor_unit_nor_shift(debiased, seed, shape, log_factor, shift):
    x, y = random_pair(seed, *shape)
    score = measures.linear_cka(x, y, debiased)
    rotation = stats.ortho_group.rvs(shape[1], random_state=seed)
    moved = np.exp(log_factor) * (x @ rotation + shift)
    assert measures.linear_cka(moved, y, debiased) == pytest.approx(score, abs=1e-9)
    assert measures.linear_cka(x, x @ rotation + shift, debiased) == pytest.approx(1)
    assert measures.linear_cka(y, x, debiased) == pytest.approx(score)


@quick
@given(
    hnp.arrays("float64", (5, 3), elements=st.integers(-3, 3)), hnp.arrays("float64", (5, 4), elements=st.floats(-1, 1))
)
def test_biased_cka_lies_between_0_and_1_or_is_undefined(x, y):
    if (x == x[0]).all() or (y == y[0]).all():
        with pytest.raises(measures.MeasureError, match="undefined"):
            measures.linear_cka(x, y, debiased=False)
    else:
        assert 0 <= measures.linear_cka(x, y, debiased=False) <= 1 + 1e-12


def tells_pairs_apart(x):
    """Tell whether x's products of two images are more than a sum of one number for each of the two."""
    pairs = list(itertools.combinations(range(len(x)), 2))
    sums = np.array([[i in pair for i in range(len(x))] for pair in pairs], float)
    products = np.array([x[i] @ x[j] for i, j in pairs])
    return not np.allclose(sums @ np.linalg.lstsq(sums, products, rcond=None)[0], products)


whole = hnp.arrays("float64", (5, 2), elements=st.integers(-2, 2))


@quick
@given(whole, whole)
def test_cka_lies_between_minus_1_and_1_or_is_undefined(x, y):
    if tells_pairs_apart(x) and tells_pairs_apart(y):
        assert -1 - 1e-12 <= measures.linear_cka(x, y) <= 1 + 1e-12
    else:
        with pytest.raises(measures.MeasureError, match="undefined"):
            measures.linear_cka(x, y)


@both_forms
def test_cka_does_see_a_map_that_stretches_one_direction(debiased):
    x, _ = random_pair(0, 50, 4, 4)
    assert measures.linear_cka(x, x * [10, 1, 1, 1], debiased) < 0.9


@both_forms
@pytest.mark.parametrize("shape", [(4, 100_000), (100_000, 4)])
def test_cka_takes_the_smaller_square(shape, debiased):
    # the larger square would take 80 GB
    x = np.random.default_rng(0).normal(size=shape)
    assert measures.linear_cka(x, 2 * x, debiased) == pytest.approx(1)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.ones((3, 4, 4, 8)), FEATURES, "x of shape"),
        (FEATURES, [1.0, 2.0, 3.0], "y of shape"),
        (FEATURES, [[1.0], [np.nan], [3.0]], "y has a value that is not finite"),
        (FEATURES, FEATURES[:2], "found 3 and 2 rows"),
        (FEATURES, FEATURES, "four or more images, found 3"),
        (np.full((3, 2), 0.1), FEATURES, "x is the same for all 3"),
        (FEATURES, np.full((3, 1), 1 / 3), "y is the same for all 3"),
        # one image against four that are alike; five that are all equally far from each other
        (np.eye(5), [[7.0, 1], [0, 0], [0, 0], [0, 0], [0, 0]], "x tells no pair of the 5 images"),
        (random_pair(0, 5, 2, 2)[0], [[0.3, 0.1], [0, 0], [0, 0], [0, 0], [0, 0]], "y tells no pair of the 5 images"),
    ],
)
def test_cka_of_something_else_is_explained(x, y, message):
    with pytest.raises(measures.MeasureError, match=message):
        measures.linear_cka(x, y)
