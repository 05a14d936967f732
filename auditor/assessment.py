"""From outcomes to the figures of the record: pure, and the only place where the two meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from auditor.attacks.interface import IDENTIFIERS
from auditor.metrics.classification import performance
from auditor.metrics.intervals import cluster_bootstrap, paired_difference, proportion_of
from auditor.metrics.perceptibility import summarise
from auditor.record import (
    AttackFailure,
    AttackResult,
    CleanResult,
    EightBit,
    Flipped,
    SmallestEpsilon,
    Subgroup,
    WorstCase,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.attacks import Attack
    from auditor.engine.outcomes import Answers
    from auditor.engine.plan import Plan

#: Fewer images than this tell nothing of a subgroup.
SMALLEST_GROUP = 10


def assess_clean(outcomes: Answers, classes: Sequence[str]) -> CleanResult:
    """Measure the predictions on the images as they are."""
    return CleanResult(**dict(performance(outcomes.labels, outcomes.clean, classes)))


def assess_attacks(outcomes: Answers, plan: Plan, classes: Sequence[str], values: int) -> list[AttackResult]:
    """Measure every attack of the plan that ran, at every epsilon; those of the checks are left to the checks.

    Args:
        outcomes: of the audit.
        plan: that was carried out.
        classes: the class names.
        values: number of values of an image.
    """
    return [
        _assess(outcomes, attack, epsilon, classes, values)
        for attack, epsilon in plan.cells
        if attack.role != "probe"
        and not outcomes.attacked[attack.name, epsilon].failure
        and any(outcomes.attacked[attack.name, e].concerned.any() for e in plan.budgets(attack))
    ]


def assess_failures(outcomes: Answers) -> list[AttackFailure]:
    """List the attacks that crashed."""
    return [
        AttackFailure(name=name, epsilon=epsilon, reason=found.failure)
        for (name, epsilon), found in outcomes.attacked.items()
        if found.failure
    ]


def _assess(
    outcomes: Answers, attack: Attack, epsilon: float | None, classes: Sequence[str], values: int
) -> AttackResult:
    found = outcomes.attacked[attack.name, epsilon]
    # Where a remedy was not needed, the result it follows stands.
    rows = np.ones_like(found.concerned) if attack.role == "remedy" else found.concerned
    labels, logits, right = outcomes.labels[rows], found.logits[rows], outcomes.right[rows]
    after, rounded = found.predicted[rows] == labels, found.rounded[rows] == labels
    atlas, nist = IDENTIFIERS[attack.knowledge]
    return AttackResult(
        **dict(performance(labels, logits, classes)),
        name=attack.name,
        title=attack.title,
        norm=attack.norm,
        epsilon=epsilon,
        epsilon_255=None if epsilon is None else epsilon * 255,
        radius=attack.radius(epsilon, values),
        knowledge=attack.knowledge,
        atlas=atlas,
        nist=nist,
        remedy=int(found.concerned.sum()) if attack.role == "remedy" else None,
        reference=attack.reference,
        parameters=dict(attack.parameters),
        accuracy_drop=paired_difference(right, after),
        success_rate=proportion_of(~after[right]) if right.any() else None,
        # Other attacks leave an image as it was by rule: where it is too far, or nothing was found.
        perceptibility=summarise(found.distances.take(rows), right & attack.single_step),
        eight_bit=EightBit(accuracy=proportion_of(rounded), lost=int((~after & rounded).sum())),
    )


def assess_worst_case(
    outcomes: Answers, plan: Plan, classes: Sequence[str], groups: Sequence[str] | None = None
) -> list[WorstCase]:
    """Take the worst that any attack in L-inf did to each image at each epsilon, then the mean (Carlini et al. 2019).

    What an attack won at a smaller epsilon is allowed at a larger one, so the success never falls. There is no worst
    case where no attack but the control was run on every image: those that none was run on would count as robust.

    Args:
        outcomes: of the audit.
        plan: that was carried out.
        classes: the class names.
        groups: patient or lesion of each image, if the data say so.
    """
    right, labels = outcomes.right, outcomes.labels
    standing, stored, results = right.copy(), right.copy(), []
    for epsilon in plan.epsilons:
        names = [attack.name for attack in _bounded(outcomes, plan, epsilon)]
        for name in names:
            found = outcomes.attacked[name, epsilon]
            standing = standing & ~outcomes.wrong((name, epsilon))
            stored = stored & ~(found.concerned & (found.rounded != labels))
        if names:
            results.append(
                WorstCase(
                    epsilon=epsilon,
                    images=len(labels),
                    accuracy=proportion_of(standing),
                    success_rate=proportion_of(~standing[right]) if right.any() else None,
                    sensitivity={
                        name: proportion_of(standing[labels == k])
                        for k, name in enumerate(classes)
                        if (labels == k).any()
                    },
                    accuracy_drop=paired_difference(right, standing),
                    eight_bit=proportion_of(stored),
                    clustered=cluster_bootstrap(standing, groups, plan.seed) if groups else None,
                    attacks=names,
                )
            )
    return results


def assess_subgroups(
    outcomes: Answers, plan: Plan, classes: Sequence[str], columns: Mapping[str, Sequence[str]]
) -> list[Subgroup]:
    """Measure the images that share a value of a column, without an attack and under the worst case at the headline.

    Args:
        outcomes: of the audit.
        plan: that was carried out.
        classes: the class names.
        columns: by name, the value of each image.
    """
    standing, labels, results = outcomes.right.copy(), outcomes.labels, []
    attacked = False
    for epsilon in plan.epsilons:
        for attack in _bounded(outcomes, plan, epsilon) if epsilon <= plan.headline else ():
            standing &= ~outcomes.wrong((attack.name, epsilon))
            attacked = True
    for column, values in columns.items():
        for value in sorted(set(values)):
            rows = np.array([other == value for other in values])
            enough = int(rows.sum()) >= SMALLEST_GROUP
            results.append(
                Subgroup(
                    column=column,
                    value=value,
                    images=int(rows.sum()),
                    clean=proportion_of(outcomes.right[rows]) if enough else None,
                    worst_case=proportion_of(standing[rows]) if enough and attacked else None,
                    sensitivity={
                        name: proportion_of(standing[rows & (labels == k)])
                        for k, name in enumerate(classes)
                        if attacked and (rows & (labels == k)).sum() >= SMALLEST_GROUP
                    },
                )
            )
    return results


def assess_smallest_epsilon(worst: Sequence[WorstCase], right: int) -> SmallestEpsilon | None:
    """Tell how little it takes to win an image.

    Args:
        worst: the worst case at each epsilon, rising.
        right: images first classified correctly; None is returned where there is none.
    """
    if not right or not worst:
        return None
    won = [result.success_rate.count if result.success_rate else 0 for result in worst]
    counts = np.diff([0, *won]).tolist()
    median = next((result.epsilon for result, count in zip(worst, won, strict=True) if 2 * count > right), None)
    return SmallestEpsilon(
        median=median,
        counts=[Flipped(epsilon=result.epsilon, count=count) for result, count in zip(worst, counts, strict=True)],
        withstood=right - won[-1],
        of=right,
    )


def _bounded(outcomes: Answers, plan: Plan, epsilon: float) -> list[Attack]:
    """Attacks that ran at that epsilon in L-inf; none where each left images out."""
    ran = [
        attack
        for attack, other in plan.cells
        if other == epsilon
        and attack.norm == "L-inf"
        and attack.role != "probe"
        and not outcomes.attacked[attack.name, epsilon].failure
        and outcomes.attacked[attack.name, epsilon].concerned.any()
    ]
    decided = any(a.informed and outcomes.attacked[a.name, epsilon].concerned.all() for a in ran if a.role == "attack")
    return ran if decided else []
