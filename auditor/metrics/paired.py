"""Two models on the same images: exact tests of the difference, and their correction for many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scipy.stats import binomtest

if TYPE_CHECKING:
    from collections.abc import Sequence


def mcnemar(broken: int, mended: int) -> float:
    """Two-sided p-value of McNemar's test in its exact form (McNemar 1947): the binomial test of the discordant pairs.

    Args:
        broken: images that the first model classifies correctly and the second does not.
        mended: the reverse.

    Raises:
        ValueError: if a number is negative.
    """
    if broken < 0 or mended < 0:
        raise ValueError("numbers of images are not negative")
    return float(binomtest(broken, broken + mended).pvalue) if broken + mended else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (Holm 1979, step-down), in the order given; each at most 1.

    The chance that any of them falls below 5% where nothing differs is then at most 5%.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted
