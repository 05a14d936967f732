"""Checks of the attacks: whether they kept to the rules, and were as strong as they should be.

An attack has won an image that is classified correctly without it and wrongly under it. `won` maps epsilon to
the images won, of shape `(n,)`. Two attacks are compared on the images that both were run on.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from auditor.checks.result import Status, result
from auditor.epsilon import epsilon_words
from auditor.metrics.intervals import paired_difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from auditor.record import Check, Estimate

#: Points of accuracy that the gradient-free attack may be better by (Carlini et al. 2019; Croce and Hein 2020).
MASKED = 0.002

#: Points that twice the iterations may add (Carlini et al. 2019; Pintor et al. 2022).
CONVERGED = 0.005

#: Share of the images that noise has to win before it says anything of an attack.
NOTICEABLE = 0.01


def within_budget(outside: Mapping[str, NDArray[np.bool_]], ids: Sequence[str]) -> Check:
    """Check that every adversarial image is within its budget and its range (Croce and Hein 2020).

    Args:
        outside: by attack and epsilon in words: images that are not, of shape `(n,)`.
        ids: of the images.
    """
    guilty = [name for name, mask in outside.items() if mask.any()]
    return result(
        "budget",
        "Did the attacks keep to their budget and to the image's range?",
        "ERROR" if guilty else "PASS",
        f"{sum(int(mask.sum()) for mask in outside.values())} adversarial images outside, of {len(outside)} sets",
        "at most epsilon + 1e-6, values in [0, 1], all of them numbers",
        f"Not so: {', '.join(guilty)}." if guilty else "They did.",
        np.any(list(outside.values()), axis=0) if outside else None,
        ids,
    )


def unchanged(stuck: NDArray[np.bool_], ids: Sequence[str]) -> Check:
    """List the images that a single step along the gradient did not change though it had something to spend.

    Args:
        stuck: correctly classified images that the attack left as they were, of shape `(n,)`.
        ids: of the images.
    """
    return result(
        "unchanged",
        "Did a step along the gradient change the images?",
        "WARN" if stuck.any() else "PASS",
        f"{stuck.sum()} of {len(stuck)} images left as they were by a single step",
        "none",
        "On these it failed before it began; that is no robustness." if stuck.any() else "Every one.",
        stuck,
        ids,
    )


def noise_control(
    noise: Mapping[float, NDArray[np.bool_]], won: Mapping[float, NDArray[np.bool_]], right: NDArray[np.bool_]
) -> Check:
    """Check that attacks beat random noise of the same size (Carlini et al. 2019).

    Where noise wins next to nothing it says nothing, and where the attacks win everything they cannot be better.

    Args:
        noise: images that noise wins at that epsilon or a smaller one.
        won: images that any white-box attack wins at that epsilon or a smaller one.
        right: images classified correctly without an attack.
    """
    of = max(int(right.sum()), 1)
    counts = {e: (int(noise[e].sum()), int(won[e].sum())) for e in noise if e in won}
    weak = [
        e for e, (by_noise, by_attack) in counts.items() if by_noise > NOTICEABLE * of and by_attack <= by_noise < of
    ]
    worst = max(counts, key=lambda e: counts[e][0] - counts[e][1])
    by_noise, by_attack = counts[max(counts)]
    idle = by_attack <= by_noise < of
    reason = "They are."
    if weak:
        reason = f"At {', '.join(map(epsilon_words, weak))} noise is as strong as the attacks: they do not work."
    elif idle:
        reason = "Neither wins much, so this tells nothing: the model may be robust, or the attacks may not work."
    return result(
        "noise-control",
        "Are the attacks stronger than random noise?",
        "FAIL" if weak else "WARN" if idle else "PASS",
        f"at {epsilon_words(worst)} noise wins {counts[worst][0]} and the attacks {counts[worst][1]} of {of} images",
        f"more than noise at the largest epsilon, and wherever noise wins over {NOTICEABLE:.0%}",
        reason,
    )


def harmful(changes: Mapping[str, Estimate]) -> Check:
    """Check that no attack along the gradient makes the model better: then its gradient points the wrong way.

    Args:
        changes: by attack and epsilon in words, accuracy without the attack less accuracy under it, at least one.
    """
    helped = {name: drop for name, drop in changes.items() if drop.high < 0}
    most = min(changes, key=lambda name: changes[name].value)
    return result(
        "harmful",
        "Do the attacks along the gradient lower the accuracy?",
        "FAIL" if helped else "PASS",
        f"the least under {most}: by {changes[most].value * 100:.1f} points "
        f"[{changes[most].low * 100:.1f}, {changes[most].high * 100:.1f}]",
        "no rise beyond the 95% interval of the paired difference",
        f"Not {', '.join(helped)}: the gradient points the wrong way, and the attacks that follow it are broken."
        if helped
        else "None of them raises it.",
    )


def grows(name: str, won: Mapping[float, NDArray[np.bool_]]) -> Check:
    """Check that an attack that may spend more wins more (Carlini et al. 2019).

    Args:
        name: of the attack.
        won: images it wins, by epsilon.
    """
    epsilons = sorted(won)
    falls = [(small, large) for small, large in pairwise(epsilons) if paired_difference(won[small], won[large]).low > 0]
    status: Status = "WARN" if falls else "PASS"
    return result(
        f"grows: {name}",
        f"Does {name} win more when it may spend more?",
        status,
        ", ".join(f"{int(won[e].sum())} at {epsilon_words(e)}" for e in epsilons),
        "no fall beyond the 95% interval of the paired difference",
        "It wins fewer at "
        + ", ".join(f"{epsilon_words(large)} than at {epsilon_words(small)}" for small, large in falls)
        + ". A single step may overshoot; the worst case over the attacks and all smaller epsilons does not fall."
        if falls
        else "It does.",
    )


def unbounded(
    right: NDArray[np.bool_], still_right: NDArray[np.bool_], largest_class: float, ids: Sequence[str]
) -> Check:
    """Check that an attack with half of the range to spend wins (Carlini et al. 2019; Pintor et al. 2022).

    Args:
        right: images classified correctly without an attack, of shape `(n,)`, at least one.
        still_right: images classified correctly under it.
        largest_class: share of the largest class of the test set, what guessing would reach.
        ids: of the images.
    """
    share, kept = float(still_right.mean()), float(still_right[right].mean())
    # The second keeps a model that guesses from passing without having been attacked at all.
    passed = max(share, kept) <= largest_class
    return result(
        "unbounded",
        "Does an attack win that may do nearly anything?",
        "PASS" if passed else "FAIL",
        f"{int(still_right.sum())} of {len(right)} images are right under PGD at half of the range, and "
        f"{int((still_right & right).sum())} of the {int(right.sum())} that were right before",
        f"at most {largest_class:.1%} of either, the share of the largest class",
        "It does."
        if passed
        else "It does not: such an image need not even look like the original. The attack is broken, not the model "
        "robust.",
        None if passed else still_right,
        ids,
    )


def iterative_beats_single_step(
    single: Mapping[float, NDArray[np.bool_]], iterative: Mapping[float, NDArray[np.bool_]], ids: Sequence[str]
) -> Check:
    """Check that many steps win at least what one step wins (Carlini et al. 2019).

    Args:
        single: images that FGSM wins, by epsilon.
        iterative: images that PGD wins, by epsilon.
        ids: of the images.
    """
    shared = sorted(set(single) & set(iterative))
    behind = [e for e in shared if iterative[e].sum() < single[e].sum()]
    missed = np.any([single[e] & ~iterative[e] for e in behind], axis=0) if behind else None
    return result(
        "iterative",
        "Do many steps win at least as much as one?",
        "WARN" if behind else "PASS",
        ", ".join(f"{int(iterative[e].sum())} against {int(single[e].sum())} at {epsilon_words(e)}" for e in shared),
        "PGD at least as many as FGSM",
        f"Not at {', '.join(map(epsilon_words, behind))}: the gradient may lead astray. The worst case takes both."
        if behind
        else "They do.",
        missed,
        ids,
    )


def converged(more: NDArray[np.bool_], epsilon: float, ids: Sequence[str]) -> Check:
    """Check that twice the steps win hardly more (Carlini et al. 2019; Pintor et al. 2022).

    Args:
        more: images that twice the steps win of those that PGD left, of shape `(n,)`.
        epsilon: at which both were run.
        ids: of the images.
    """
    share = float(more.mean())
    return result(
        "converged",
        "Had PGD taken enough steps?",
        "WARN" if share > CONVERGED else "PASS",
        f"twice the steps win {more.sum()} more of {len(more)} images at {epsilon_words(epsilon)}, "
        f"{share * 100:.1f} points",
        f"at most {CONVERGED * 100:.1f} points",
        "It had not; more steps would lower its accuracy further." if share > CONVERGED else "It had.",
        more,
        ids,
    )


def gradient_free(
    free: Mapping[float, NDArray[np.bool_]], won: Mapping[float, NDArray[np.bool_]], ids: Sequence[str]
) -> Check:
    """Check that an attack without gradients adds nothing to those with (Carlini et al. 2019; Croce and Hein 2020).

    Args:
        free: images that Square wins, by epsilon.
        won: images that the white-box attacks win at that epsilon or a smaller one.
        ids: of the images.
    """
    more = {e: free[e] & ~won[e] for e in sorted(set(free) & set(won))}
    worst = max(more, key=lambda e: int(more[e].sum()))
    masked = float(more[worst].mean()) > MASKED
    return result(
        "gradient-free",
        "Does an attack that sees no gradient win what the others miss?",
        "FAIL" if masked else "PASS",
        f"at {epsilon_words(worst)} Square wins {int(free[worst].sum())} of {len(free[worst])} images, the white-box "
        f"attacks {int(won[worst].sum())}; {int(more[worst].sum())} by Square alone",
        f"at most {MASKED * 100:.1f} points by Square alone",
        "It does: the gradients are masked, and what follows them understates what an attacker can do."
        if masked
        else "It does not.",
        more[worst] if masked else None,
        ids,
    )


def eight_bit(undone: Mapping[str, tuple[int, int]], epsilon: float) -> Check:
    """Tell how many images that attacks win rounding to 8 bits gives back.

    Args:
        undone: by attack, images won that rounding gives back, and images won.
        epsilon: at which they were.
    """
    lost = {name: found for name, found in undone.items() if found[0]}
    others = sum(of for name, (_, of) in undone.items() if name not in lost)
    return result(
        "eight-bit",
        "Do the adversarial images survive being stored as files?",
        "WARN" if lost else "PASS",
        f"at {epsilon_words(epsilon)} rounding to 8 bits gives back "
        + "".join(f"{count} of {of} images won by {name}, " for name, (count, of) in lost.items())
        + f"none of {others} of {'the other attacks' if lost else 'any attack'}",
        "none",
        "A perturbation that dies in rounding is no threat to stored files; both accuracies are given. An attack that "
        "stops at its first success stops short of what survives: the worst case after rounding takes all of them."
        if lost
        else "They do.",
    )


def completed(failures: Sequence[tuple[str, str]]) -> Check:
    """Check that no attack crashed.

    Args:
        failures: attack in words and reason, of each that did.
    """
    return result(
        "completed",
        "Did every attack run to its end?",
        "ERROR" if failures else "PASS",
        f"{len(failures)} crashed",
        "none",
        " ".join(f"{name}: {reason}." for name, reason in failures) + " What crashed says nothing of the model."
        if failures
        else "Every one.",
    )
