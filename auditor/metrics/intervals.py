"""95% intervals of proportions, of a paired difference of proportions, and of an AUROC."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from auditor.record import Estimate, Proportion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

LEVEL = 0.95
_Z = float(norm.ppf(0.5 + LEVEL / 2))


def proportion(count: int, of: int) -> Proportion:
    """Proportion with its interval: Wilson's score interval, Clopper-Pearson's where `count` is 0 or `of`.

    Sources: Wilson 1927; Clopper and Pearson 1934.

    Args:
        count: numerator, 0 to `of`.
        of: denominator, at least 1.

    Raises:
        ValueError: if the numbers are not a proportion.
    """
    if not 0 <= count <= of or of < 1:
        raise ValueError(f"{count} of {of} is no proportion")
    if count in (0, of):
        # Clopper and Pearson's bound in closed form: the share at which the outcome has a chance of 2.5%.
        reach = (0.5 - LEVEL / 2) ** (1 / of)
        low, high = (0.0, 1 - reach) if count == 0 else (reach, 1.0)
    else:
        low, high = _wilson(count, of)
    return Proportion(value=count / of, low=low, high=high, count=count, of=of)


def proportion_of(hits: NDArray[np.bool_]) -> Proportion:
    """Proportion of true values, as `proportion` gives it, of an array of shape `(n,)` with n at least 1."""
    return proportion(int(hits.sum()), len(hits))


def paired_difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Estimate:
    """Difference of two proportions measured on the same images: share of `first` less share of `second`.

    Newcombe 1998 ("Improved confidence intervals for the difference between binomial proportions based on
    paired data", Statistics in Medicine 17), method 10: Wilson intervals of both shares, joined with a
    continuity-corrected estimate of their correlation. Unlike a Wald interval it does not collapse where
    no pair is discordant.

    Args:
        first: outcomes of shape `(n,)`, n at least 1.
        second: outcomes of the same images, of the same shape.
    """
    n = len(first)
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    p1, p2 = (both + only_first) / n, (both + only_second) / n
    low1, high1 = _wilson(both + only_first, n)
    low2, high2 = _wilson(both + only_second, n)
    phi = _correlation(both, only_first, only_second, neither)

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))

    difference = p1 - p2
    return Estimate(
        value=difference,
        low=max(-1.0, difference - reach(p1 - low1, high2 - p2)),
        high=min(1.0, difference + reach(high1 - p1, p2 - low2)),
    )


#: Fewer groups than this bear no interval.
FEWEST_GROUPS = 10


def cluster_bootstrap(
    hits: NDArray[np.bool_], groups: Sequence[str], seed: int = 0, draws: int = 2000
) -> Estimate | None:
    """Share of true values with a percentile interval that draws whole groups (Field and Welsh 2007).

    Images of one patient or lesion are alike: an interval that takes them for independent is too narrow. Where all or
    none are true no draw differs from another: there it is Clopper and Pearson's, of the number of groups.

    Args:
        hits: of shape `(n,)`, n at least 1.
        groups: the group of each.
        seed: of the draws.
        draws: number of bootstrap samples.

    Returns:
        The share, or None where there are fewer than `FEWEST_GROUPS` groups.
    """
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < FEWEST_GROUPS:
        return None
    if hits.all() or not hits.any():
        exact = proportion(len(names) if hits.all() else 0, len(names))
        return Estimate(value=exact.value, low=exact.low, high=exact.high)
    counts, sizes = np.bincount(index, hits), np.bincount(index)
    generator = np.random.default_rng(seed)
    shares = np.empty(draws)
    for draw in range(draws):
        chosen = generator.integers(len(sizes), size=len(sizes))
        shares[draw] = counts[chosen].sum() / sizes[chosen].sum()
    low, high = np.quantile(shares, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return Estimate(value=float(hits.mean()), low=float(low), high=float(high))


def bootstrap(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]], images: int, draws: int = 1000
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentile intervals of statistics of a set of images (Efron and Tibshirani 1993), for which there is no formula.

    The draws are the same every time, so that a report can be repeated.

    Args:
        statistic: from weights of shape `(k, n)`, how often each image was drawn, to values of shape `(k, s)`; nan
            where a draw leaves it undefined.
        images: the number n of images, at least 1.
        draws: number of bootstrap samples.

    Returns:
        Lower and upper bounds of the s statistics.
    """
    generator = np.random.default_rng(0)
    # As many draws at a time as keep the weights small.
    step = max(1, min(draws, 5_000_000 // images))
    parts = [
        statistic(generator.multinomial(images, np.full(images, 1 / images), min(step, draws - done)).astype(float))
        for done in range(0, draws, step)
    ]
    values = np.concatenate(parts)
    undefined = np.isnan(values).all(axis=0)
    values[:, undefined] = 0
    low, high = np.nanquantile(values, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=0)
    low[undefined], high[undefined] = np.nan, np.nan
    return low, high


def _wilson(count: int, of: int) -> tuple[float, float]:
    """Wilson's score interval, without continuity correction."""
    share, z2 = count / of, _Z * _Z
    centre = (share + z2 / (2 * of)) / (1 + z2 / of)
    reach = _Z * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def _correlation(a: int, b: int, c: int, d: int) -> float:
    """Newcombe's phi of the paired table [[a, b], [c, d]], with his continuity correction."""
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return 0.0
    cross = float(a * d - b * c)
    if cross > 0:
        cross = max(cross - (a + b + c + d) / 2, 0)
    return cross / math.sqrt(margins)


def auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> Estimate | None:
    """Area under the ROC curve with its interval.

    The interval is Newcombe's (2006, "Confidence intervals for an effect size measure based on the
    Mann-Whitney statistic. Part 2", method 5): Hanley and McNeil's variance, taken at the bound sought and
    not at the estimate, so that it neither leaves [0, 1] nor collapses at an area of 0 or 1.

    Args:
        scores: higher for the positive class, of shape `(n,)`.
        positive: ground truth, of the same shape.

    Returns:
        The area, or None where one of the two classes has no images.
    """
    from sklearn.metrics import roc_auc_score

    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return None
    area = float(roc_auc_score(positive, scores))

    def excess(bound: float) -> float:
        return abs(bound - area) - _Z * hanley_mcneil_error(bound, positives, negatives, balanced=True)

    # The estimate itself is a root where the area is 0 or 1; the bound sought is the other one.
    aside = 1e-9
    low = float(brentq(excess, 0.0, area - aside)) if area > aside else 0.0
    high = float(brentq(excess, area + aside, 1.0)) if area < 1 - aside else 1.0
    return Estimate(value=area, low=low, high=high)


def hanley_mcneil_error(area: float, positives: int, negatives: int, *, balanced: bool = False) -> float:
    """Compute the standard error of an AUROC after Hanley and McNeil 1982 (Radiology 143).

    Args:
        area: the area, in [0, 1].
        positives: number of positive images.
        negatives: number of negative images.
        balanced: put the mean group size in the place of both in the numerator, as Newcombe's method 5 does.
    """
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    mean = (positives + negatives) / 2
    m, n = (mean, mean) if balanced else (float(positives), float(negatives))
    variance = area * (1 - area) + (m - 1) * (q1 - area * area) + (n - 1) * (q2 - area * area)
    return math.sqrt(max(variance, 0.0) / (positives * negatives))
