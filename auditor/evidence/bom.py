"""`bom.cdx.json`: the model with its measured figures as a CycloneDX 1.6 bill of materials (ML-BOM).

Nothing in it is of the moment it was written: time and serial number come from the record.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from auditor.epsilon import epsilon_words
from auditor.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from auditor.record import AuditRecord, Estimate

#: Name of the file in an audit's folder.
FILE_NAME = "bom.cdx.json"

SPECIFICATION = "1.6"

_DATA = "test-images"


def write_bom(folder: Path, record: AuditRecord) -> Path:
    """Write the bill of materials of an audit. Raises `BadInputError` if the folder cannot be written."""
    path = folder / FILE_NAME
    write_text(path, json.dumps(bill(record), indent=1, ensure_ascii=False))
    return path


def bill(record: AuditRecord) -> dict[str, Any]:
    """Make the bill of materials of a record, as JSON values."""
    digest = hashlib.sha256(record.model_dump_json().encode()).hexdigest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, f'sha256:{digest}')}",
        "version": 1,
        "metadata": {
            "timestamp": record.audit.finished,
            "tools": {"components": _tools(record)},
            "component": _model(record),
        },
        "components": [_data(record)],
    }


def _tools(record: AuditRecord) -> list[dict[str, Any]]:
    versions = {"medaudit": record.audit.tool_version, **record.environment.packages}
    return [
        {
            "type": "application" if name == "medaudit" else "library",
            "name": name,
            "version": number,
            "purl": f"pkg:pypi/{name}@{number}",
        }
        for name, number in versions.items()
    ]


def _model(record: AuditRecord) -> dict[str, Any]:
    model = record.model
    height, width, channels = model.input_shape
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": model.name,
        "hashes": [{"alg": "SHA-256", "content": model.sha256}],
        "modelCard": {
            "modelParameters": {
                "task": "image classification",
                "modelArchitecture": model.architecture,
                "datasets": [{"ref": _DATA}],
                "inputs": [{"format": f"image of {height} x {width} pixels with {channels} channels"}],
                "outputs": [{"format": f"{model.head} over the classes {', '.join(model.classes)}"}],
            },
            "quantitativeAnalysis": {"performanceMetrics": list(_metrics(record))},
            "considerations": {
                "technicalLimitations": [
                    "Accuracy under attack is an upper bound on robustness: a stronger attack can only lower it.",
                    *([] if record.verdict.status == "PASS" else record.verdict.reasons),
                ]
            },
        },
        "properties": [
            {"name": "medaudit:file", "value": model.path},
            {"name": "medaudit:format", "value": model.format},
            {"name": "medaudit:parameters", "value": str(model.parameters)},
            {"name": "medaudit:preprocessing", "value": model.preprocessing.words},
            {"name": "medaudit:audit", "value": record.audit.id},
            {"name": "medaudit:verdict", "value": record.verdict.status},
        ],
    }


def _metrics(record: AuditRecord) -> Iterator[dict[str, Any]]:
    yield _metric("accuracy", record.clean.accuracy, "no attack")
    for attack in record.attacks:
        at = f", epsilon {epsilon_words(attack.epsilon)}" if attack.epsilon is not None else ""
        yield _metric("accuracy under attack", attack.accuracy, f"{attack.name}, {attack.norm}{at}")
    for worst in record.worst_case:
        where = f"worst of {', '.join(worst.attacks)}, L-inf, epsilon {epsilon_words(worst.epsilon)}"
        yield _metric("robust accuracy", worst.accuracy, where)


def _metric(kind: str, figure: Estimate, where: str) -> dict[str, Any]:
    return {
        "type": kind,
        "value": f"{figure.value:.6g}",
        "slice": where,
        "confidenceInterval": {"lowerBound": f"{figure.low:.6g}", "upperBound": f"{figure.high:.6g}"},
    }


def _data(record: AuditRecord) -> dict[str, Any]:
    counts = [{"name": f"images of class {name}", "value": str(count)} for name, count in record.data.per_class.items()]
    return {
        "type": "data",
        "bom-ref": _DATA,
        "name": "test images",
        "description": f"{record.data.images} images ({record.data.split}); the hash is over id, class, SHA-256, "
        "group and subgroups of each",
        "hashes": [{"alg": "SHA-256", "content": record.data.manifest_sha256}],
        "data": [{"type": "dataset", "name": "test images", "contents": {"properties": counts}}],
    }
