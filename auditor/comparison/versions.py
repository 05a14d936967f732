"""The audits that are to be compared: read, and made sure that they can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditor.epsilon import epsilon_words
from auditor.errors import BadInputError
from auditor.predictions import FILE_NAME, Predictions, read_predictions
from auditor.record import AuditRecord, read_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from auditor.record import AttackResult
    from auditor.settings import AuditSettings


@dataclass(frozen=True)
class Audited:
    """A finished audit with its predictions.

    Attributes:
        folder: where it lies.
        record: its figures.
        predictions: what the model said of every image.
    """

    folder: Path
    record: AuditRecord
    predictions: Predictions


def read_audit(folder: Path) -> Audited:
    """Read an audit. Raises `BadInputError` if its record or its predictions cannot be read, or do not match."""
    record = read_record(folder)
    predictions = read_predictions(folder / FILE_NAME, record.model.classes)
    if len(predictions.ids) != record.data.images:
        raise BadInputError(
            f"{folder / FILE_NAME} has {len(predictions.ids)} images, {record.data.images} are on record: it is not "
            "the table of this audit."
        )
    return Audited(folder, record, predictions)


def check_comparable(audits: Sequence[Audited]) -> None:
    """Make sure that versions were put to the same test.

    Raises:
        BadInputError: if the test images, the classes or the attacks of two audits differ; the message says what.
    """
    for other in audits[1:]:
        first = audits[0]
        differing = [
            *data_differences(first.record, other.record.data.manifest_sha256, other.record.model.classes),
            *settings_differences(first.record.audit.config, other.record.audit.config),
            *_parameters_differ(first.record, other.record),
        ]
        if not differing and first.predictions.ids != other.predictions.ids:
            differing = ["the tables of predictions name other images"]
        if differing:
            raise BadInputError(
                f"{first.folder} and {other.folder} cannot be compared: {'; '.join(differing)}. Audit both versions on "
                "the same images with the same attacks; `medaudit run --baseline` does."
            )


def inherited(baseline: AuditRecord) -> dict[str, Any]:
    """Options of a baseline that a later version has to be audited with, by name."""
    return {name: getattr(baseline.audit.config, name) for name in ("attacks", "epsilons", "critical", "seed")}


def data_differences(record: AuditRecord, manifest_sha256: str, classes: Sequence[str]) -> list[str]:
    """Say in what test images differ from those of an audit."""
    differing = []
    if record.data.manifest_sha256 != manifest_sha256:
        differing.append(
            f"the test images are others (manifest {record.data.manifest_sha256[:12]}… and {manifest_sha256[:12]}…)"
        )
    if record.model.classes != list(classes):
        differing.append(f"the classes are {', '.join(record.model.classes)} and {', '.join(classes)}")
    return differing


def settings_differences(first: AuditSettings, second: AuditSettings) -> list[str]:
    """Say in what the options of two audits differ on which the attacks depend."""
    differing = []
    for name, words in (("attacks", "the attacks"), ("critical", "the critical errors"), ("seed", "the seeds")):
        a, b = (getattr(settings, name) for settings in (first, second))
        if a != b:
            differing.append(f"{words} differ: {_words(a)} and {_words(b)}")
    if first.epsilons != second.epsilons:
        a, b = (", ".join(map(epsilon_words, settings.epsilons)) for settings in (first, second))
        differing.append(f"the sweeps of epsilon differ: {a} and {b}")
    return differing


def _parameters_differ(first: AuditRecord, second: AuditRecord) -> list[str]:
    """Attacks of one name may have had other parameters under another version of the tool."""

    def parameters(record: AuditRecord) -> dict[tuple[str, float | None], AttackResult]:
        return {(attack.name, attack.epsilon): attack for attack in record.attacks}

    before, after = parameters(first), parameters(second)
    names = sorted(
        {cell[0] for cell in before.keys() & after.keys() if before[cell].parameters != after[cell].parameters}
    )
    return [f"the parameters of {name} differ" for name in names]


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else "none" if value is None else str(value)
