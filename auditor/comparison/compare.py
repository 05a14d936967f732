"""From two or more audits to their comparison: pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Literal

import numpy as np

from auditor.comparison.answer import answer
from auditor.comparison.record import (
    CalibrationChange,
    CheckChange,
    Comparison,
    Difference,
    ImageChange,
    Pair,
    Point,
    Version,
)
from auditor.comparison.versions import check_comparable
from auditor.judgement import controlled
from auditor.metrics.classification import calibration, calibration_change, confidences
from auditor.metrics.intervals import paired_difference, proportion_of
from auditor.metrics.paired import holm, mcnemar
from auditor.policy import CLEAN, WORST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from auditor.comparison.versions import Audited
    from auditor.engine.plan import Cell

#: Adjusted p-values below this show a difference.
SIGNIFICANT = 0.05


def compare(audits: Sequence[Audited], created: str, tool_version: str) -> Comparison:
    """Compare later versions with the first.

    Args:
        audits: at least two, the baseline first.
        created: the UTC time of the comparison.
        tool_version: version of medaudit.

    Raises:
        BadInputError: if they were not put to the same test.
    """
    check_comparable(audits)
    sides = [_Side(chr(ord("A") + place), audit) for place, audit in enumerate(audits)]
    first = sides[0]
    record = first.audit.record
    measured = [
        [d for hits in _hits(first, side) for d in _measured(hits, first.labels, record.model.classes)]
        for side in sides[1:]
    ]
    return Comparison(
        created=created,
        tool_version=tool_version,
        data=record.data.path,
        manifest_sha256=record.data.manifest_sha256,
        images=record.data.images,
        classes=record.model.classes,
        critical=record.critical,
        headline_epsilon=record.headline_epsilon,
        versions=[side.version for side in sides],
        pairs=[_pair(first, side, found) for side, found in zip(sides[1:], _adjusted(measured), strict=True)],
    )


@dataclass(frozen=True)
class _Side:
    """One version: what it says of each image, as it is and in the worst case."""

    label: str
    audit: Audited

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.audit.predictions.answers.labels

    @property
    def right(self) -> NDArray[np.bool_]:
        return self.audit.predictions.answers.right

    @cached_property
    def cells(self) -> list[Cell]:
        """Attacks and epsilons that are compared: a remedy is run where a version needs it, and counts below."""
        attacked = self.audit.predictions.answers.attacked
        cells = [(a.name, a.epsilon) for a in self.audit.record.attacks if a.remedy is None]
        return [cell for cell in cells if cell in attacked]

    @cached_property
    def standing(self) -> dict[float, NDArray[np.bool_]]:
        """By epsilon, the images classified correctly under every attack in L-inf up to there."""
        answers, standing, result = self.audit.predictions.answers, self.right, {}
        for worst in self.audit.record.worst_case:
            for name in worst.attacks:
                if (name, worst.epsilon) in answers.attacked:
                    standing = standing & ~answers.wrong((name, worst.epsilon))
            result[worst.epsilon] = standing
        return result

    @property
    def doubts(self) -> list[str]:
        return [check.title for check in self.audit.record.checks if check.status in ("FAIL", "ERROR")]

    @property
    def version(self) -> Version:
        record = self.audit.record
        return Version(
            label=self.label,
            audit=record.audit,
            model=record.model.name,
            model_sha256=record.model.sha256,
            preprocessing=record.model.preprocessing.words,
            verdict=record.verdict,
            controlled=controlled(record.checks),
            doubts=self.doubts,
            clean=record.clean.accuracy,
            worst_case=[Point(epsilon=worst.epsilon, accuracy=worst.accuracy) for worst in record.worst_case],
        )

    def error(self, place: int, epsilon: float | None) -> tuple[str, str, float]:
        """What an image is called wrongly, under which attack, and with what confidence."""
        answers = self.audit.predictions.answers
        found = [("", answers.clean[place])]
        for worst in self.audit.record.worst_case if epsilon is not None else ():
            if worst.epsilon <= (epsilon or 0):
                cells = [(name, worst.epsilon) for name in worst.attacks if (name, worst.epsilon) in answers.attacked]
                found += [(c[0], answers.attacked[c].logits[place]) for c in cells if answers.wrong(c)[place]]
        label = self.labels[place]
        by, logits = next((by, logits) for by, logits in found if logits.argmax() != label)
        name = self.audit.record.model.classes[int(logits.argmax())]
        return name, by, float(confidences(logits[None])[0])


def _pair(first: _Side, later: _Side, differences: list[Difference]) -> Pair:
    outcome, sentences = answer(differences, first.version, later.version)
    return Pair(
        label=later.label,
        outcome=outcome,
        sentences=sentences,
        differences=differences,
        calibration=list(_calibration(first, later)),
        checks=list(_checks(first, later)),
        images=list(_images(first, later)),
        caveats=list(_caveats(first, later)),
    )


@dataclass(frozen=True)
class _Hits:
    """What two versions get right under one attack, each array of shape `(n,)`.

    Attributes:
        attack: its name, `none`, or `worst-case`.
        epsilon: of the attack.
        before: images that the baseline classifies correctly.
        after: images that the later version does.
        rows: images that the attack was run on.
        primary: classes whose sensitivity is a primary figure, as the accuracy then is; None if neither is.
    """

    attack: str
    epsilon: float | None
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    rows: NDArray[np.bool_]
    primary: frozenset[str] | None


def _hits(first: _Side, later: _Side) -> Iterator[_Hits]:
    """Without an attack, in the worst case at each epsilon, and under each attack."""
    everything = np.ones(len(first.labels), dtype=bool)
    critical = first.audit.record.audit.config.critical
    yield _Hits(CLEAN, None, first.right, later.right, everything, frozenset())
    shared = [epsilon for epsilon in first.standing if epsilon in later.standing]
    chosen = frozenset(critical[:1] if critical else ())
    for epsilon in shared:
        yield _Hits(WORST, epsilon, first.standing[epsilon], later.standing[epsilon], everything, chosen)
    for name, bound in first.cells:
        if (name, bound) in later.cells:
            a, b = (side.audit.predictions.answers.attacked[name, bound] for side in (first, later))
            before, after = (found.predicted == first.labels for found in (a, b))
            # Where there is no worst case, the attacks themselves decide.
            yield _Hits(name, bound, before, after, a.concerned & b.concerned, None if shared else frozenset())


def _measured(hits: _Hits, labels: NDArray[np.int64], classes: Sequence[str]) -> Iterator[Difference]:
    """Accuracy and the sensitivity of each class; the p-values are not yet adjusted."""
    for name, rows in ((None, hits.rows), *((name, hits.rows & (labels == k)) for k, name in enumerate(classes))):
        if not rows.any():
            continue
        before, after = hits.before[rows], hits.after[rows]
        broken, mended = int((before & ~after).sum()), int((~before & after).sum())
        p_value = mcnemar(broken, mended)
        yield Difference(
            figure="accuracy" if name is None else "sensitivity",
            of_class=name,
            attack=hits.attack,
            epsilon=hits.epsilon,
            before=proportion_of(before),
            after=proportion_of(after),
            difference=paired_difference(after, before),
            broken=broken,
            mended=mended,
            p_value=p_value,
            p_adjusted=p_value,
            outcome="no difference shown",
            primary=hits.primary is not None and (name is None or name in hits.primary),
        )


def _adjusted(found: list[list[Difference]]) -> list[list[Difference]]:
    """Correct the p-values of each figure under each attack for the number of epsilons and versions."""
    flat = [(place, i) for place, part in enumerate(found) for i in range(len(part))]

    def family(at: tuple[int, int]) -> tuple[str, str, str]:
        difference = found[at[0]][at[1]]
        return difference.figure, difference.of_class or "", difference.attack

    result = [list(part) for part in found]
    for _, members in groupby(sorted(flat, key=family), key=family):
        places = list(members)
        adjusted = holm([found[place][i].p_value for place, i in places])
        for (place, i), p_value in zip(places, adjusted, strict=True):
            difference = found[place][i]
            outcome = _outcome(difference, p_value)
            result[place][i] = difference.model_copy(update={"p_adjusted": p_value, "outcome": outcome})
    return result


def _outcome(difference: Difference, p_value: float) -> Literal["worse", "better", "no difference shown"]:
    if p_value >= SIGNIFICANT:
        return "no difference shown"
    return "worse" if difference.broken > difference.mended else "better"


def _calibration(first: _Side, later: _Side) -> Iterator[CalibrationChange]:
    labels, headline = first.labels, first.audit.record.headline_epsilon
    a, b = (side.audit.predictions.answers for side in (first, later))
    everything = np.ones(len(labels), dtype=bool)
    compared: list[tuple[Cell, NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]]
    compared = [((CLEAN, None), a.clean, b.clean, everything)]
    for cell in first.cells:
        if cell in later.cells and cell[1] == headline:
            x, y = a.attacked[cell], b.attacked[cell]
            compared.append((cell, x.logits, y.logits, x.concerned & y.concerned))
    for (attack, epsilon), before, after, rows in compared:
        if not rows.any():
            continue
        old, new = (calibration(labels[rows], logits[rows]) for logits in (before, after))
        ece, brier = calibration_change(labels[rows], before[rows], after[rows])
        yield CalibrationChange(
            attack=attack,
            epsilon=epsilon,
            ece_before=old.ece,
            ece_after=new.ece,
            ece=ece,
            brier_before=old.brier,
            brier_after=new.brier,
            brier=brier,
        )


def _checks(first: _Side, later: _Side) -> Iterator[CheckChange]:
    before, after = ({check.name: check for check in side.audit.record.checks} for side in (first, later))
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name), after.get(name)
        yield CheckChange(title=(other or before[name]).title, before=one, after=other)


def _images(first: _Side, later: _Side) -> Iterator[ImageChange]:
    headline = first.audit.record.headline_epsilon
    compared: list[tuple[str, float | None, NDArray[np.bool_], NDArray[np.bool_]]] = []
    compared.append((CLEAN, None, first.right, later.right))
    if headline in first.standing and headline in later.standing:
        compared.append((WORST, headline, first.standing[headline], later.standing[headline]))
    classes, ids = first.audit.record.model.classes, first.audit.predictions.ids
    for attack, epsilon, before, after in compared:
        for place in np.flatnonzero(before != after).tolist():
            called, by, confidence = (later if before[place] else first).error(place, epsilon)
            yield ImageChange(
                id=ids[place],
                label=classes[int(first.labels[place])],
                change="broken" if before[place] else "mended",
                attack=attack,
                epsilon=epsilon,
                called=called,
                by=by,
                confidence=confidence,
            )


def _caveats(first: _Side, later: _Side) -> Iterator[str]:
    a, b = first.audit.record, later.audit.record
    if a.model.sha256 == b.model.sha256:
        yield f"{first.label} and {later.label} are the same model file."
    for words, before, after in (
        ("the version of medaudit", a.audit.tool_version, b.audit.tool_version),
        ("the preprocessing", a.model.preprocessing.words, b.model.preprocessing.words),
        ("the input size", "{} x {} x {}".format(*a.model.input_shape), "{} x {} x {}".format(*b.model.input_shape)),
        ("what adversarial images were crafted in", a.environment.crafting, b.environment.crafting),
        ("the processor", a.environment.cpu, b.environment.cpu),
        *(
            (f"the version of {name}", a.environment.packages.get(name, "none"), number)
            for name, number in b.environment.packages.items()
        ),
    ):
        if before != after:
            yield f"Between the audits differs {words}: {before} and {after}."
    for side in (first, later):
        for name in sorted({failure.name for failure in side.audit.record.failures}):
            yield f"The attack {name} crashed in the audit of {side.label}: its worst case rests on fewer attacks."
    for name, epsilon in first.cells:
        if (name, epsilon) in later.cells:
            x, y = (side.audit.predictions.answers.attacked[name, epsilon] for side in (first, later))
            if not np.array_equal(x.concerned, y.concerned):
                both = int((x.concerned & y.concerned).sum())
                yield f"{name} was not run on the same images of both; compared are the {both} it was."
