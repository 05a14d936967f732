"""The figures of a record computed again from its predictions, without the model, TensorFlow or a GPU."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from auditor.assessment import (
    assess_attacks,
    assess_clean,
    assess_smallest_epsilon,
    assess_subgroups,
    assess_worst_case,
)
from auditor.attacks import EVERY
from auditor.checks import check_all
from auditor.data.imageset import ImageSet, LabelledImage
from auditor.data.source import File
from auditor.engine.examples import ExampleKeeper
from auditor.engine.outcomes import Attacked, Diagnosis, Outcomes
from auditor.engine.plan import Plan, choose, critical_pair
from auditor.errors import BadInputError
from auditor.judgement import Measured, verdict
from auditor.metrics.classification import SATURATED, direction, leads
from auditor.metrics.perceptibility import unmoved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from auditor.attacks import Attack
    from auditor.engine.outcomes import Answers
    from auditor.engine.plan import Cell
    from auditor.predictions import Predictions
    from auditor.record import AttackResult, AuditRecord, Check

#: Checks that ask the model itself: its predictions do not answer them.
OF_THE_MODEL = ("deterministic", "finite", "zero-gradient")

#: What a record says of an attack by the version of medaudit that ran it, and no figure.
_DESCRIPTION = ("title", "knowledge", "atlas", "nist", "reference", "parameters")


@dataclass(frozen=True)
class Reassessed:
    """A record computed again.

    Attributes:
        record: the record with every figure that predictions tell; all else is as it was.
        images: the test images as the table names them, without their hashes.
        left: what was not computed again, in words.
    """

    record: AuditRecord
    images: ImageSet
    left: tuple[str, ...]


def reassess(record: AuditRecord, predictions: Predictions, tool_version: str) -> Reassessed:
    """Compute every figure of a record again.

    Args:
        record: the record.
        predictions: its table.
        tool_version: version of medaudit that computes; the descriptions of attacks are only its own to give where
            it is the version that made the record.

    Raises:
        BadInputError: if the record and the table do not belong together, or this version lacks an attack.
    """
    plan = _plan(record)
    classes, ids, answers = record.model.classes, predictions.ids, predictions.answers
    same_version = record.audit.tool_version == tool_version
    outcomes = _outcomes(record, plan, predictions, planned=same_version)
    clean = assess_clean(answers, classes)
    worst = assess_worst_case(outcomes, plan, classes, predictions.groups)
    attacks = assess_attacks(outcomes, plan, classes, math.prod(record.model.input_shape))
    left = [
        "the checks that ask the model itself (the same answer twice, finite gradients, a gradient to follow)",
        "which attacks crashed, and why",
        "pictures; the model's architecture and preprocessing; the files that were skipped; the environment; timings",
    ]
    if not same_version:
        attacks = _described_as_before(attacks, record.attacks)
        left.append(
            "the descriptions of the attacks, and which images each was meant for, because medaudit "
            f"{record.audit.tool_version} made the audit and this is {tool_version}"
        )
    checks = _checks(record.checks, check_all(outcomes, plan, np.zeros((1, 1, len(classes)), np.float32), ids, classes))
    images = _images(classes, predictions)
    examples = record.examples
    if outcomes.attacked[plan.shown.name, plan.shown_epsilon].failure:
        left.append("the examples, because their attack crashed")
    else:
        keeper = ExampleKeeper(Path(), images, plan.shown.name, plan.shown_epsilon)
        keeper.see(0, answers.clean, outcomes.attacked[keeper.cell], None)
        examples = keeper.examples
    config = record.audit.config
    measured = Measured(clean, attacks, worst, checks, grouped=len(set(predictions.groups or ids)) < len(ids))
    again = record.model_copy(
        update={
            "verdict": verdict(config.policy, measured, _day(record.audit.finished)),
            "data": record.data.model_copy(
                update={
                    "images": len(ids),
                    "per_class": images.per_class,
                    "groups": len(set(predictions.groups)) if predictions.groups else None,
                }
            ),
            "headline_epsilon": plan.headline,
            "critical": direction(*config.critical) if config.critical else None,
            "clean": clean,
            "attacks": attacks,
            "worst_case": worst,
            "smallest_epsilon": assess_smallest_epsilon(worst, clean.accuracy.count),
            "subgroups": assess_subgroups(outcomes, plan, classes, predictions.subgroups),
            "checks": checks,
            "examples": examples,
        }
    )
    return Reassessed(again, images, tuple(left))


def _plan(record: AuditRecord) -> Plan:
    config = record.audit.config
    # As the audit left it out itself where no critical error was named.
    names = [name for name in config.attacks if name != "pgd-targeted" or config.critical]
    if unknown := [name for name in names if name not in EVERY]:
        raise BadInputError(
            f"The figures cannot be computed again: this version of medaudit has no attack {', '.join(unknown)}. "
            f"The audit was made by version {record.audit.tool_version}."
        )
    if config.critical and not set(config.critical) <= set(record.model.classes):
        raise BadInputError("The critical error of the record does not name two of its classes.")
    pair = critical_pair(config.critical, record.model.classes)
    return Plan(choose(names), config.epsilons, record.audit.batch_size, pair, seed=config.seed)


def _outcomes(record: AuditRecord, plan: Plan, predictions: Predictions, *, planned: bool) -> Outcomes:
    """Put the table into the form that it was written from: with the attacks and images that have no row.

    With `planned`, an image without a row that the plan has one for is an error: a row that is lost looks like an
    attack that was not meant for its image.
    """
    answers, n = predictions.answers, len(predictions.ids)
    if strangers := [name for name, _ in answers.attacked.keys() - set(plan.names)]:
        raise BadInputError(f"predictions.csv has rows of {strangers[0]!r} that the configuration did not ask for.")
    reasons = {(failure.name, failure.epsilon): failure.reason for failure in record.failures}
    nothing = np.zeros(n, dtype=bool)
    untouched = Attacked(answers.clean, unmoved(n), nothing, answers.clean.argmax(axis=1), nothing)
    attacked: dict[Cell, Attacked] = {}
    for attack, epsilon in plan.cells:
        cell = (attack.name, epsilon)
        found = replace(answers.attacked.get(cell, untouched), failure=reasons.get(cell, ""))
        if found.failure and cell in answers.attacked:
            raise BadInputError(f"predictions.csv has rows of {attack.name}, which the record says has crashed.")
        if planned and not found.failure and (found.concerned != _concerned(plan, attack, found, answers)).any():
            raise BadInputError(f"predictions.csv has not the rows of {attack.name} that the configuration asks for.")
        # Where a remedy was not needed, the result it follows stands.
        attacked[cell] = _over(attacked[attack.follows, epsilon], found) if attack.follows else found
    unknown = Diagnosis(nothing, nothing, nothing)
    return Outcomes(answers.labels, answers.clean, attacked, unknown, {})


def _concerned(plan: Plan, attack: Attack, found: Attacked, answers: Answers) -> NDArray[np.bool_]:
    """The images that an attack is run on, of shape `(n,)`."""
    meant = plan.drawn(attack, len(answers.labels)) & attack.concerns(answers.labels, plan.critical)
    if attack.role == "remedy":
        # And on those without a gradient, of which the table does not tell.
        return meant & (found.concerned | (leads(answers.clean, answers.labels) > SATURATED))
    return meant


def _over(before: Attacked, after: Attacked) -> Attacked:
    """What came of one attack where it was run, and elsewhere of the other."""
    rows = np.flatnonzero(after.concerned)
    logits, rounded, outside = before.logits.copy(), before.rounded.copy(), before.outside.copy()
    logits[rows], rounded[rows], outside[rows] = after.logits[rows], after.rounded[rows], after.outside[rows]
    distances = before.distances.put(rows, after.distances.take(after.concerned))
    return Attacked(logits, distances, after.concerned, rounded, outside, after.failure)


def _described_as_before(attacks: Sequence[AttackResult], before: Sequence[AttackResult]) -> list[AttackResult]:
    known = {(attack.name, attack.epsilon): attack for attack in before}
    return [
        attack.model_copy(update={name: getattr(known[cell], name) for name in _DESCRIPTION})
        if (cell := (attack.name, attack.epsilon)) in known
        else attack
        for attack in attacks
    ]


def _checks(recorded: Sequence[Check], again: Sequence[Check]) -> list[Check]:
    """The checks computed again, and in their places those that only the model could answer."""
    kept = {check.name: check for check in recorded if check.name in OF_THE_MODEL}
    return [kept.get(check.name, check) for check in again]


def _images(classes: Sequence[str], predictions: Predictions) -> ImageSet:
    subgroups = predictions.subgroups
    return ImageSet(
        tuple(classes),
        tuple(
            LabelledImage(
                identity,
                File(Path()),
                int(predictions.answers.labels[i]),
                "",
                predictions.groups[i] if predictions.groups else None,
                tuple((column, values[i]) for column, values in subgroups.items()),
            )
            for i, identity in enumerate(predictions.ids)
        ),
    )


def _day(finished: str) -> date:
    """The day by which waivers were judged."""
    try:
        return date.fromisoformat(finished[:10])
    except ValueError as error:
        raise BadInputError(f"The record says that the audit finished at {finished!r}, which is no time.") from error
