"""Checks of the model: whether it answers the same twice, and whether its gradients lead anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from auditor.checks.result import Status, result
from auditor.metrics.classification import SATURATED
from auditor.metrics.intervals import proportion_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from auditor.record import Check

#: Largest difference between two answers to the same image (AutoAttack).
SAME = 1e-4

#: Share of images without any gradient above which the attacks were blind.
BLIND = 0.01


def deterministic(passes: NDArray[np.float32], labels: NDArray[np.int64]) -> Check:
    """Check that the model gives the same answers to the same images (Croce and Hein 2020).

    Args:
        passes: logits of several passes of one batch, of shape `(passes, n, C)`.
        labels: ground truth of shape `(n,)`.
    """
    correct = (passes.argmax(axis=2) == labels).sum(axis=1)
    # An answer that is no number is the same answer where it is none every time; `finite` speaks of it.
    lost = ~np.isfinite(passes)
    spread = float(np.where(lost.any(axis=0), 0, np.ptp(np.where(lost, 0, passes), axis=0)).max())
    same = bool((correct == correct[0]).all() and spread <= SAME and (lost == lost[0]).all())
    return result(
        "deterministic",
        "Does the model give the same answer twice?",
        "PASS" if same else "FAIL",
        f"logits differ by at most {spread:.2g} over {len(passes)} passes of {len(labels)} images; "
        f"{correct.min()} to {correct.max()} of them correct",
        f"at most {SAME:g}, the same number correct",
        "Its answers can be repeated."
        if same
        else "The model answers at random: an attack may only seem to fail, and averaging over the randomness "
        "was not tried.",
    )


def zero_gradient(
    vanished: NDArray[np.bool_],
    blind: NDArray[np.bool_],
    right: NDArray[np.bool_],
    remedied: bool,
    ids: Sequence[str],
) -> Check:
    """Check that the loss has a gradient (Croce and Hein 2020; Pintor et al. 2022).

    Args:
        vanished: the gradient of the cross-entropy is zero everywhere, of shape `(n,)`.
        blind: and so is that of the margin.
        right: the image is classified correctly.
        remedied: whether the margin loss was attacked where the cross-entropy has no gradient.
        ids: of the images.
    """
    of = int(right.sum())
    lost, still = vanished & right, blind & right
    status: Status = "PASS"
    reason = "Every correctly classified image has a gradient to follow."
    if still.sum() > BLIND * of:
        status = "FAIL"
        reason = (
            "The gradient stays zero with the margin loss too: the model hides it, and attacks that follow it are "
            "blind. That they fail is no robustness."
        )
    elif lost.any():
        status = "WARN"
        reason = "Where the cross-entropy has no gradient " + (
            "the margin loss was attacked as well; both are reported."
            if remedied
            else "the margin loss was not attacked: what is reported there is no robustness."
        )
    return result(
        "zero-gradient",
        "Does the loss have a gradient?",
        status,
        f"zero for {lost.sum()} of {of} correctly classified images; with the margin loss for {still.sum()}",
        f"none; with the margin loss at most {BLIND:.0%}",
        reason,
        lost,
        ids,
    )


def saturation(leads: NDArray[np.float64], remedied: bool, ids: Sequence[str]) -> Check:
    """Check that confidence does not flatten the loss.

    Args:
        leads: of the true class over the best other one, in logits, of shape `(n,)`.
        remedied: whether the margin loss was attacked where it does.
        ids: of the images.
    """
    flat = leads > SATURATED
    status: Status = "PASS"
    reason = "The cross-entropy is not flattened by confidence."
    if flat.any():
        status = "WARN"
        reason = (
            "Float32 takes the probability of these images for 1. The gradient was computed in a form that keeps its "
            "direction; "
            + ("the margin loss was attacked as well." if remedied else "the margin loss was not attacked.")
        )
    return result(
        "saturation",
        "Is the model too confident for its own gradient?",
        status,
        f"a lead above {SATURATED} for {flat.sum()} of {len(leads)} images; largest {leads.max():.3g}",
        f"at most {SATURATED} in logits",
        reason,
        flat,
        ids,
    )


def finite(undefined: NDArray[np.bool_], ids: Sequence[str]) -> Check:
    """Check that logits and gradients are numbers (ART's gradient check).

    Args:
        undefined: a logit or a value of the gradient is infinite or not a number, of shape `(n,)`.
        ids: of the images.
    """
    return result(
        "finite",
        "Are answers and gradients numbers?",
        "FAIL" if undefined.any() else "PASS",
        f"{undefined.sum()} of {len(undefined)} images with an answer or a gradient that is no finite number",
        "none",
        "Without a gradient an attack has nowhere to go. Where the answer itself is missing, the image counts as "
        "classified wrongly."
        if undefined.any()
        else "All are.",
        undefined,
        ids,
    )


def class_order(predicted: NDArray[np.int64], labels: NDArray[np.int64], classes: Sequence[str]) -> Check:
    """Check that the model is not far worse than chance, as one whose classes are named in a wrong order is.

    Chance is what answers as frequent as the model's would reach if they knew nothing of the images.

    Args:
        predicted: classes of the images as they are, of shape `(n,)`.
        labels: ground truth of shape `(n,)`.
        classes: their names, in the order of the outputs.
    """
    accuracy = proportion_of(predicted == labels)
    table = np.zeros((len(classes), len(classes)))
    np.add.at(table, (labels, predicted), 1)
    chance = float(table.sum(axis=1) @ table.sum(axis=0)) / len(labels) ** 2
    worse = accuracy.high < chance
    reason = "It is not."
    if worse:
        # The naming of the outputs under which most images are classified correctly.
        named, outputs = linear_sum_assignment(-table)
        order = ", ".join(classes[k] for k in named[np.argsort(outputs)].tolist())
        best = table[named, outputs].sum() / len(labels)
        reason = (
            "The classes are probably named in a wrong order: that is far worse than a model that knows nothing. With "
            f"the outputs named {order} it would be {best:.1%}; if that is the order it was trained with, say so with "
            "--classes."
        )
    return result(
        "class-order",
        "Is the model worse than chance?",
        "WARN" if worse else "PASS",
        f"accuracy {accuracy.value:.1%}, at most {accuracy.high:.1%} by its interval; chance is {chance:.1%}",
        "an interval that is not below chance",
        reason,
    )
