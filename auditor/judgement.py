"""From figures and checks to the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from auditor.policy import CLEAN, WORST
from auditor.record import Judged, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from auditor.policy import Criterion, Policy
    from auditor.record import AttackResult, Check, CleanResult, Performance, WorstCase

#: How far two epsilons may be apart and be the same.
_SAME = 1e-9


def verdict(
    policy: Policy | None,
    clean: CleanResult,
    attacks: Sequence[AttackResult],
    worst_case: Sequence[WorstCase],
    checks: Sequence[Check],
    today: date,
) -> Verdict:
    """Judge an audit.

    A criterion that fails makes it FAIL: a figure under attack is an upper bound, which a better attack can only lower.
    Else a check that fails, or a criterion or a required check that was not tested, makes it INCONCLUSIVE.

    Args:
        policy: the criteria; None where none were set.
        clean: the figures without an attack.
        attacks: the figures of every attack.
        worst_case: those of the worst case.
        checks: of the attacks.
        today: the day by which waivers are judged.
    """
    judged = [_judge(c, policy, clean, attacks, worst_case, today) for c in policy.criteria] if policy else []
    doubts = [f"{check.title} {check.reason}" for check in checks if check.status in ("FAIL", "ERROR")]
    doubts += [f"{item.name} was not tested: {item.note}" for item in judged if item.status == "NOT TESTED"]
    made = {check.name for check in checks if check.status != "SKIPPED"}
    for name in policy.required_checks if policy else ():
        if name not in made:
            doubts.append(f"The check {name!r} is required and was not made.")
    failed = [f"{item.name}: {item.observed}, asked {item.asked}." for item in judged if item.status == "FAIL"]
    if failed:
        return Verdict(status="FAIL", reasons=failed + doubts, criteria=judged)
    if doubts:
        return Verdict(status="INCONCLUSIVE", reasons=doubts, criteria=judged)
    if policy is None:
        return Verdict(status="NONE", reasons=["No acceptance criteria were set before this audit."])
    waived = [f"{item.name} failed and is waived: {item.note}" for item in judged if item.status == "WAIVED"]
    met = sum(item.status == "PASS" for item in judged)
    return Verdict(status="PASS", reasons=[f"{met} of {len(judged)} criteria are met.", *waived], criteria=judged)


def _judge(
    criterion: Criterion,
    policy: Policy,
    clean: CleanResult,
    attacks: Sequence[AttackResult],
    worst_case: Sequence[WorstCase],
    today: date,
) -> Judged:
    def judged(observed: str, status: Literal["PASS", "FAIL", "WAIVED", "NOT TESTED"], note: str = "") -> Judged:
        return Judged(name=criterion.name, asked=criterion.asked, observed=observed, status=status, note=note)

    found = _figure(criterion, clean, attacks, worst_case)
    if found is None:
        return judged("–", "NOT TESTED", "the attack crashed, or no image bears this figure")
    value, low, high = found
    observed = f"{value:.4g} [{low:.4g}, {high:.4g}]"
    if low >= criterion.at_least if criterion.at_least is not None else high <= (criterion.at_most or 0.0):
        return judged(observed, "PASS")
    waiver = next((waiver for waiver in policy.waivers if waiver.criterion == criterion.name), None)
    if waiver is None:
        return judged(observed, "FAIL")
    words = f"{waiver.reason} ({waiver.owner}, until {waiver.expires.isoformat()})"
    if today <= waiver.expires:
        return judged(observed, "WAIVED", words)
    return judged(observed, "FAIL", f"the waiver has expired: {words}")


def _figure(
    criterion: Criterion, clean: CleanResult, attacks: Sequence[AttackResult], worst_case: Sequence[WorstCase]
) -> tuple[float, float, float] | None:
    """Value and bounds of the figure that a criterion asks for; None where it was not measured."""
    result: Performance | WorstCase | None
    if criterion.attack == CLEAN:
        result = clean
    elif criterion.attack == WORST:
        result = next((worst for worst in worst_case if _same(worst.epsilon, criterion.epsilon)), None)
    else:
        result = next((a for a in attacks if a.name == criterion.attack and _same(a.epsilon, criterion.epsilon)), None)
    kind, _, key = criterion.figure.partition(".")
    if result is None:
        return None
    if kind in ("ece", "brier"):
        calibration = getattr(result, "calibration")  # noqa: B009 - the policy asks it of performances alone
        bounds = getattr(calibration, f"{kind}_interval")
        return (getattr(calibration, kind), *bounds) if bounds else None
    if kind == "eight_bit_accuracy":
        estimate = getattr(result, "eight_bit").accuracy  # noqa: B009
    else:
        estimate = getattr(result, kind)
        estimate = estimate.get(key) if key else estimate
    return (estimate.value, estimate.low, estimate.high) if estimate else None


def _same(first: float | None, second: float | None) -> bool:
    return first is second or (first is not None and second is not None and abs(first - second) < _SAME)
