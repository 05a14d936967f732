import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.metrics.paired import holm, mcnemar

probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("broken", "mended", "expected"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 2 / 32), (0, 6, 2 / 64), (8, 1, 2 * 10 / 512), (3, 3, 1.0)],
)
def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs(broken, mended, expected):
    assert mcnemar(broken, mended) == pytest.approx(expected, rel=1e-12)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_does_not_mind_which_model_comes_first(first, second):
    assert mcnemar(first, second) == pytest.approx(mcnemar(second, first), rel=1e-9)
    # By the definition: twice the smaller tail of tosses of a fair coin.
    n, least = first + second, min(first, second)
    tail = sum(math.comb(n, k) for k in range(least + 1)) / 2**n
    assert mcnemar(first, second) == pytest.approx(min(1.0, 2 * tail), rel=1e-9)


def test_mcnemar_refuses_a_negative_count():
    with pytest.raises(ValueError, match="not negative"):
        mcnemar(-1, 2)


def test_holm_on_a_worked_example():
    # Holm 1979: the smallest times 4, the next times 3, and never below one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(probabilities)
def test_holm_raises_keeps_the_order_and_stays_within_bonferroni(values):
    adjusted = holm(values)
    assert all(raw <= new <= 1 for raw, new in zip(values, adjusted, strict=True))
    # Bonferroni's factor for each, and the maximum over those before it is of no more.
    assert all(new <= min(1.0, len(values) * raw) + 1e-12 for raw, new in zip(values, adjusted, strict=True))
    ranked = [new for _, new in sorted(zip(values, adjusted, strict=True))]
    assert ranked == sorted(ranked)
