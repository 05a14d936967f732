"""What a set of predictions is worth."""

from __future__ import annotations

import math
from itertools import permutations
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy.special import log_softmax, logsumexp, softmax

from auditor.metrics.intervals import auroc, bootstrap, proportion, proportion_of
from auditor.record import (
    Calibration,
    ClassificationReport,
    ClassScores,
    Estimate,
    Performance,
    ReliabilityBin,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

Logits: TypeAlias = "NDArray[np.floating[Any]]"
Labels: TypeAlias = "NDArray[np.int64]"

#: Bins of equal width of the reliability diagram.
RELIABILITY_BINS = 10


#: Lead of the true class above which float32 takes its probability for 1 and the cross-entropy for 0: log(2**24).
SATURATED = 16.6


def leads(logits: Logits, labels: Labels) -> NDArray[np.float64]:
    """Lead of the true class over the best other one, of shape `(n,)`; negative where the model errs.

    Args:
        logits: of shape `(n, C)`.
        labels: ground truth of shape `(n,)`.
    """
    rows = np.arange(len(labels))
    others = logits.astype(np.float64)
    others[rows, labels] = -np.inf
    result: NDArray[np.float64] = logits[rows, labels] - others.max(axis=1)
    return result


def direction(true: str, predicted: str) -> str:
    """Name of a direction of error, as in the keys of `flips`."""
    return f"{true}->{predicted}"


def confidences(logits: Logits) -> NDArray[np.float64]:
    """Probability of the predicted class: array of shape `(n,)`, in [0, 1], from logits of shape `(n, C)`."""
    result: NDArray[np.float64] = softmax(logits.astype(np.float64), axis=1).max(axis=1)
    return result


def performance(labels: Labels, logits: Logits, classes: Sequence[str]) -> Performance:
    """Measure a set of predictions.

    Args:
        labels: ground truth of shape `(n,)`, n at least 1.
        logits: of shape `(n, C)`.
        classes: the C class names.
    """
    from sklearn.metrics import confusion_matrix

    predicted = logits.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, labels=range(len(classes)))
    confidence = confidences(logits)
    flips, wrong_confidence = {}, {}
    for true, other in permutations(range(len(classes)), 2):
        if matrix[true].sum():
            name = direction(classes[true], classes[other])
            flips[name] = proportion(int(matrix[true, other]), int(matrix[true].sum()))
            wrong = confidence[(labels == true) & (predicted == other)]
            wrong_confidence[name] = float(np.median(wrong)) if len(wrong) else None
    per_class = range(len(classes))
    areas = {classes[k]: auroc(_log_odds(logits, k), labels == k) for k in per_class}
    return Performance(
        images=len(labels),
        accuracy=proportion_of(predicted == labels),
        confusion_matrix=matrix.tolist(),
        classification_report=classification_report(labels, predicted, classes),
        sensitivity={
            classes[k]: proportion_of((predicted == k)[labels == k]) for k in per_class if (labels == k).any()
        },
        specificity={
            classes[k]: proportion_of((predicted != k)[labels != k]) for k in per_class if (labels != k).any()
        },
        precision={
            classes[k]: proportion_of((labels == k)[predicted == k]) for k in per_class if (predicted == k).any()
        },
        f1_score=_f1_scores(labels, predicted, classes),
        auroc={name: area for name, area in areas.items() if area},
        flips=flips,
        wrong_confidence=wrong_confidence,
        calibration=calibration(labels, logits),
    )


def classification_report(labels: Labels, predicted: Labels, classes: Sequence[str]) -> ClassificationReport:
    """scikit-learn's classification report (the paper's Table II), undefined figures of a class as None.

    Args:
        labels: ground truth of shape `(n,)`.
        predicted: predicted classes of shape `(n,)`.
        classes: the class names.
    """
    from sklearn.metrics import classification_report as sklearn_report

    # Numbers in the place of names: a class called "accuracy" would overwrite a row of scikit-learn's own.
    keys = [str(k) for k in range(len(classes))]
    by_class, averages = (
        sklearn_report(
            labels, predicted, labels=range(len(classes)), target_names=keys, output_dict=True, zero_division=undefined
        )
        # Left out of an average, a class that is never predicted would raise it: there it counts as 0.
        for undefined in (np.nan, 0.0)
    )
    return ClassificationReport(
        classes={name: _scores(by_class[key]) for name, key in zip(classes, keys, strict=True)},
        macro_avg=_scores(averages["macro avg"]),
        weighted_avg=_scores(averages["weighted avg"]),
    )


def calibration(labels: Labels, logits: Logits) -> Calibration:
    """Reliability of the confidences: ECE over 10 bins of equal width (Guo et al. 2017) and the Brier score.

    Args:
        labels: ground truth of shape `(n,)`, n at least 1.
        logits: of shape `(n, C)`.
    """
    probabilities = softmax(logits.astype(np.float64), axis=1)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bin_of = _bin_of(confidence)
    bins = [
        ReliabilityBin(
            low=k / RELIABILITY_BINS,
            high=(k + 1) / RELIABILITY_BINS,
            confidence=float(confidence[bin_of == k].mean()),
            accuracy=proportion_of(correct[bin_of == k]),
        )
        for k in np.unique(bin_of).tolist()
    ]
    both = _calibration_errors(labels, logits)
    (ece, brier), (low, high) = both(np.ones((1, len(labels))))[0], bootstrap(both, len(labels))
    return Calibration(
        ece=float(ece),
        ece_interval=(float(low[0]), float(high[0])),
        brier=float(brier),
        brier_interval=(float(low[1]), float(high[1])),
        bins=bins,
    )


def calibration_change(labels: Labels, before: Logits, after: Logits) -> tuple[Estimate, Estimate]:
    """Change of ECE and of the Brier score from one model to another on the same images, with bootstrap intervals.

    Args:
        labels: ground truth of shape `(n,)`, n at least 1.
        before: logits of the first model, of shape `(n, C)`.
        after: logits of the second, of the same shape.
    """
    first, second = (_calibration_errors(labels, logits) for logits in (before, after))

    def change(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return second(weights) - first(weights)

    value, (low, high) = change(np.ones((1, len(labels))))[0], bootstrap(change, len(labels))
    ece, brier = (Estimate(value=float(value[k]), low=float(low[k]), high=float(high[k])) for k in range(2))
    return ece, brier


def _calibration_errors(labels: Labels, logits: Logits) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """ECE and Brier score, of shape `(k, 2)`, as a function of weights of the images, of shape `(k, n)`."""
    probabilities = softmax(logits.astype(np.float64), axis=1)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    error = ((probabilities - np.eye(logits.shape[1])[labels]) ** 2).sum(axis=1)
    # By bin, what each image adds to the sum of confidence less correctness: the ECE is the sum of their sizes.
    excess = np.eye(RELIABILITY_BINS)[_bin_of(confidence)] * (confidence - correct)[:, None]

    def both(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.column_stack([np.abs(weights @ excess).sum(axis=1), weights @ error])
        result: NDArray[np.float64] = total / weights.sum(axis=1, keepdims=True)
        return result

    return both


def _bin_of(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    result: NDArray[np.int64] = np.minimum((confidence * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    return result


def _f1_scores(labels: Labels, predicted: Labels, classes: Sequence[str]) -> dict[str, Estimate]:
    """F1 of each class that has images or predictions, with its bootstrap interval."""
    truth, called = (np.eye(len(classes))[which] for which in (labels, predicted))

    def scores(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        # F1 is twice the hits, of the images of the class and those called by its name.
        of = weights @ (truth + called)
        return np.divide(2 * weights @ (truth * called), of, out=np.full_like(of, np.nan), where=of > 0)

    value, (low, high) = scores(np.ones((1, len(labels))))[0], bootstrap(scores, len(labels))
    return {
        name: Estimate(value=float(value[k]), low=float(low[k]), high=float(high[k]))
        for k, name in enumerate(classes)
        if not math.isnan(value[k])
    }


def _scores(row: dict[str, float]) -> ClassScores:
    def defined(value: float) -> float | None:
        return None if math.isnan(value) else float(value)

    return ClassScores(
        precision=defined(row["precision"]),
        recall=defined(row["recall"]),
        f1_score=defined(row["f1-score"]),
        support=int(row["support"]),
    )


def _log_odds(logits: Logits, k: int) -> NDArray[np.float64]:
    """Log-odds of class k: it ranks images as its probability does, and never saturates."""
    exact = log_softmax(logits.astype(np.float64), axis=1)
    result: NDArray[np.float64] = exact[:, k] - logsumexp(np.delete(exact, k, axis=1), axis=1)
    return result
