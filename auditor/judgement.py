"""From figures and checks to the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from auditor.epsilon import same_epsilon
from auditor.policy import CLEAN, WORST
from auditor.record import Judged, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from auditor.policy import Criterion, Policy
    from auditor.record import AttackResult, Check, CleanResult, Estimate, Performance, WorstCase


@dataclass(frozen=True)
class Measured:
    """What an audit has measured, for its policy to be put to.

    Attributes:
        clean: the figures without an attack.
        attacks: the figures of every attack.
        worst_case: those of the worst case.
        checks: of the attacks.
        grouped: whether several images are of one patient or lesion, as the data say.
    """

    clean: CleanResult
    attacks: Sequence[AttackResult]
    worst_case: Sequence[WorstCase]
    checks: Sequence[Check]
    grouped: bool

    @property
    def unbounded(self) -> bool:
        """Whether an attack left its budget, so that no figure under attack is a bound."""
        return any(check.name == "budget" and check.status == "ERROR" for check in self.checks)


#: Checks that show that the attacks can win.
CONTROLS = ("noise-control", "unbounded")


def controlled(checks: Sequence[Check]) -> bool:
    """Whether a check shows that the attacks can win, so that what they leave is more than their own failure."""
    return any(check.name in CONTROLS and check.status == "PASS" for check in checks)


def verdict(policy: Policy | None, measured: Measured, today: date) -> Verdict:
    """Judge an audit.

    A criterion that fails makes it FAIL: a figure under attack is an upper bound, which a better attack can only lower.
    Else a check that fails, or a criterion or a required check that was not tested, makes it INCONCLUSIVE; so does a
    criterion under attack where no check shows that the attacks can win.

    Args:
        policy: the criteria; None where none were set.
        measured: what they are put to.
        today: the day by which waivers are judged.
    """
    judged = [_judge(criterion, policy, measured, today) for criterion in policy.criteria] if policy else []
    doubts = [f"{check.title} {check.reason}" for check in measured.checks if check.status in ("FAIL", "ERROR")]
    doubts += [f"{item.name} was not tested: {item.note}" for item in judged if item.status == "NOT TESTED"]
    made = {check.name for check in measured.checks if check.status != "SKIPPED"}
    for name in policy.required_checks if policy else ():
        if name not in made:
            doubts.append(f"The check {name!r} is required and was not made.")
    if policy and policy.asks_of_attacks and not controlled(measured.checks):
        doubts.append(
            "No check shows that the attacks can win at all: noise beside them does (--suite quick), or pgd (--suite "
            "standard)."
        )
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


def _judge(criterion: Criterion, policy: Policy, measured: Measured, today: date) -> Judged:
    def judged(observed: str, status: Literal["PASS", "FAIL", "WAIVED", "NOT TESTED"], *notes: str) -> Judged:
        note = "; ".join(filter(None, notes))
        return Judged(name=criterion.name, asked=criterion.asked, observed=observed, status=status, note=note)

    if measured.unbounded and criterion.attack != CLEAN:
        return judged("–", "NOT TESTED", "an attack left its budget, so that no figure under attack is a bound")
    found = _figure(criterion, measured)
    if found is None:
        return judged("–", "NOT TESTED", "the attack crashed, or no image bears this figure")
    value, low, high = found
    observed = f"{value:.4g} [{low:.4g}, {high:.4g}]"
    caveat = ""
    if measured.grouped and not _takes_groups(criterion):
        caveat = "the interval takes several images of one patient for independent, and is too narrow"
    if low >= criterion.at_least if criterion.at_least is not None else high <= (criterion.at_most or 0.0):
        return judged(observed, "PASS", caveat)
    waiver = next((waiver for waiver in policy.waivers if waiver.criterion == criterion.name), None)
    if waiver is None:
        return judged(observed, "FAIL", caveat)
    words = f"{waiver.reason} ({waiver.owner}, until {waiver.expires.isoformat()})"
    if today <= waiver.expires:
        return judged(observed, "WAIVED", words, caveat)
    return judged(observed, "FAIL", f"the waiver has expired: {words}", caveat)


def _figure(criterion: Criterion, measured: Measured) -> tuple[float, float, float] | None:
    """Value and bounds of the figure that a criterion asks for; None where it was not measured."""
    result: Performance | WorstCase | None
    if criterion.attack == CLEAN:
        result = measured.clean
    elif criterion.attack == WORST:
        result = next((w for w in measured.worst_case if same_epsilon(w.epsilon, criterion.epsilon)), None)
    else:
        result = next(
            (a for a in measured.attacks if a.name == criterion.attack and same_epsilon(a.epsilon, criterion.epsilon)),
            None,
        )
    kind, _, key = criterion.figure.partition(".")
    if result is None:
        return None
    if kind in ("ece", "brier"):
        calibration = getattr(result, "calibration")  # noqa: B009 - the policy asks it of performances alone
        bounds = getattr(calibration, f"{kind}_interval")
        return (getattr(calibration, kind), *bounds) if bounds else None
    estimate: Estimate | None
    if kind == "eight_bit_accuracy":
        stored = getattr(result, "eight_bit")  # noqa: B009
        estimate = stored if criterion.attack == WORST else stored.accuracy
    elif _takes_groups(criterion):
        # Where patients are known, the wider of the two intervals: a bootstrap knows no spread near 0 and 1.
        estimate, whole = getattr(result, kind), getattr(result, "clustered")  # noqa: B009
        if whole:
            return estimate.value, min(estimate.low, whole.low), max(estimate.high, whole.high)
    else:
        found = getattr(result, kind)
        estimate = found.get(key) if key else found
    return (estimate.value, estimate.low, estimate.high) if estimate else None


def _takes_groups(criterion: Criterion) -> bool:
    """Whether the figure has an interval that draws whole patients."""
    return criterion.attack == WORST and criterion.figure == "accuracy"
