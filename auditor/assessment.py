"""From outcomes to the figures of the record: pure, and the only place where the two meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.metrics.classification import calibration, performance
from auditor.metrics.intervals import paired_difference, proportion_of
from auditor.metrics.perceptibility import summarise
from auditor.record import AttackResult, CleanResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.attacks import Attack
    from auditor.engine.outcomes import Outcomes

#: An audit without criteria has figures and no verdict.
NO_VERDICT = Verdict(status="NONE", reasons=["No acceptance criteria were set before this audit."])


def assess_clean(outcomes: Outcomes, classes: Sequence[str]) -> CleanResult:
    """Measure the predictions on the images as they are."""
    measured = performance(outcomes.labels, outcomes.clean, classes)
    return CleanResult(**dict(measured), calibration=calibration(outcomes.labels, outcomes.clean))


def assess_attack(outcomes: Outcomes, attack: Attack, epsilon: float, classes: Sequence[str]) -> AttackResult:
    """Measure the predictions under one attack at one epsilon, and what it cost in accuracy.

    Args:
        outcomes: of the audit; `attacked` holds the attack at `epsilon`.
        attack: the attack.
        epsilon: on images in [0, 1].
        classes: the class names.
    """
    found = outcomes.attacked[attack.name, epsilon]
    before = outcomes.clean.argmax(axis=1) == outcomes.labels
    after = found.logits.argmax(axis=1) == outcomes.labels
    return AttackResult(
        **dict(performance(outcomes.labels, found.logits, classes)),
        name=attack.name,
        title=attack.title,
        norm=attack.norm,
        epsilon=epsilon,
        epsilon_255=epsilon * 255,
        knowledge=attack.knowledge,
        reference=attack.reference,
        parameters=dict(attack.parameters),
        accuracy_drop=paired_difference(before, after),
        success_rate=proportion_of(~after[before]) if before.any() else None,
        perceptibility=summarise(found.distances),
    )
