import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from auditor.metrics.intervals import (
    auroc,
    bootstrap,
    cluster_bootstrap,
    hanley_mcneil_error,
    paired_difference,
    proportion,
)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        # Newcombe 1998, "Two-sided confidence intervals for the single proportion", Table I, method 3 (Wilson).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (1, 29, 0.0061, 0.1718),
        # The same table, method 5 (Clopper-Pearson), at the end of the scale.
        (0, 20, 0.0, 0.1684),
    ],
)
def test_proportion_agrees_with_published_examples(count, of, low, high):
    found = proportion(count, of)
    assert (found.count, found.of, found.value) == (count, of, count / of)
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


@given(st.integers(1, 3000), st.data())
def test_proportion_is_that_of_scipy(of, data):
    count = data.draw(st.integers(0, of))
    theirs = binomtest(count, of).proportion_ci(0.95, method="exact" if count in (0, of) else "wilson")
    found = proportion(count, of)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@pytest.mark.parametrize(("count", "of"), [(1, 0), (2, 1), (-1, 3)])
def test_what_is_no_proportion_is_refused(count, of):
    with pytest.raises(ValueError, match="no proportion"):
        proportion(count, of)


@given(st.integers(1, 3000), st.data())
def test_proportion_holds_its_value_and_stays_in_range(of, data):
    count = data.draw(st.integers(0, of))
    found = proportion(count, of)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    mirrored = proportion(of - count, of)
    assert mirrored.low == pytest.approx(1 - found.high, abs=1e-9)


def pairs(a, b, c, d):
    """Outcomes whose table is [[a, b], [c, d]]: both, first only, second only, neither."""
    first = np.repeat([True, True, False, False], [a, b, c, d])
    second = np.repeat([True, False, True, False], [a, b, c, d])
    return first, second


def test_paired_difference_agrees_with_a_published_example():
    # Airway hyper-responsiveness before and after transplantation (Bentur et al. 2009), as worked out by
    # Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33, for Newcombe's square-and-add interval.
    found = paired_difference(*pairs(1, 1, 7, 12))
    assert found.value == pytest.approx(-0.286, abs=1e-3)
    assert found.low == pytest.approx(-0.507, abs=1e-3)
    assert found.high == pytest.approx(-0.026, abs=1e-3)


counts = st.integers(0, 200)


@given(counts, counts, counts, counts)
def test_paired_difference_is_antisymmetric_and_in_range(a, b, c, d):
    if a + b + c + d == 0:
        return
    found = paired_difference(*pairs(a, b, c, d))
    turned = paired_difference(*pairs(a, c, b, d))
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-9)


def test_paired_difference_does_not_collapse_without_discordant_pairs():
    found = paired_difference(*pairs(30, 0, 0, 0))
    assert found.value == 0
    assert found.low < 0 < found.high


def test_hanley_mcneil_error_agrees_with_their_example():
    # Hanley and McNeil 1982, Radiology 143: 51 abnormal and 58 normal images, area 0.893, standard error 0.032.
    assert hanley_mcneil_error(0.893, 51, 58) == pytest.approx(0.032, abs=6e-4)


@given(arrays(np.float64, 40, elements=st.integers(0, 9).map(float)), arrays(np.bool_, 40))
def test_auroc_is_that_of_scikit_learn_with_an_interval_around_it(scores, positive):
    found = auroc(scores, positive)
    if positive.all() or not positive.any():
        assert found is None
        return
    assert found.value == pytest.approx(roc_auc_score(positive, scores))
    assert 0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1
    assert found.low < found.high


def test_auroc_interval_does_not_collapse_at_a_perfect_score():
    positive = np.arange(20) >= 10
    found = auroc(np.arange(20.0), positive)
    assert found.value == found.high == 1
    assert 0.6 < found.low < 1


def test_cluster_bootstrap_of_single_images_is_the_binomial():
    hits = np.arange(200) < 120
    found = cluster_bootstrap(hits, [str(i) for i in range(200)])
    # Standard error of a share: sqrt(0.6 * 0.4 / 200) = 0.0346.
    assert found.value == 0.6
    assert (found.low, found.high) == pytest.approx((0.6 - 1.96 * 0.0346, 0.6 + 1.96 * 0.0346), abs=0.01)


def test_cluster_bootstrap_of_like_images_has_the_design_effect():
    # Four like images a patient: the variance is that of fifty patients (Kish 1965, design effect 1 + (m - 1) * 1).
    hits = np.repeat(np.arange(50) < 30, 4)
    found = cluster_bootstrap(hits, [str(i // 4) for i in range(200)])
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.sqrt(0.24 / 50), abs=0.015)
    assert cluster_bootstrap(hits, [str(i // 4) for i in range(200)]) == found


def test_cluster_bootstrap_does_not_collapse_and_needs_some_groups():
    groups = [str(i // 4) for i in range(80)]
    # None of twenty patients: Clopper and Pearson's 16.8% (Newcombe 1998, Table I).
    found = cluster_bootstrap(np.zeros(80, dtype=bool), groups)
    assert (found.value, found.low, found.high) == pytest.approx((0, 0, 0.1684), abs=1e-4)
    assert cluster_bootstrap(np.ones(80, dtype=bool), groups).low == pytest.approx(1 - 0.1684, abs=1e-4)
    assert cluster_bootstrap(np.arange(80) < 9, [str(i % 9) for i in range(80)]) is None


def test_bootstrap_of_a_mean_is_the_normal_interval():
    values = np.random.default_rng(1).normal(size=400)

    def mean(weights):
        return (weights @ values / weights.sum(axis=1))[:, None]

    low, high = bootstrap(mean, 400)
    reach = 1.96 * values.std() / 20
    assert (low[0], high[0]) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.015)
    assert bootstrap(mean, 400)[0] == low


def test_bootstrap_of_what_no_draw_defines_is_nan():
    low, high = bootstrap(lambda weights: np.full((len(weights), 1), np.nan), 5, 20)
    assert np.isnan(low).all()
    assert np.isnan(high).all()
