"""To verify an audit: that its files are what they were, and that its figures follow from its predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from auditor.comparison.record import FILE_NAME as COMPARISON
from auditor.errors import BadInputError
from auditor.evidence.manifest import (
    ATTESTATION,
    FILE_NAME,
    Manifest,
    configuration_sha256,
    files_of,
    is_plain,
    read_manifest,
)
from auditor.files import sha256_file, sha256_model
from auditor.predictions import FILE_NAME as PREDICTIONS
from auditor.predictions import read_predictions
from auditor.reassessment import reassess
from auditor.record import FILE_NAME as RESULTS
from auditor.record import AuditRecord, read_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from auditor.data.imageset import ImageSet

#: Largest difference of a figure computed again, relative to the larger of both or, below 1, absolute: other
#: versions of NumPy and SciPy may round the last digits otherwise. Counts and texts have to be equal.
TOLERANCE = 1e-9

#: So many figures that differ are named one by one.
MOST_FIGURES = 50


@dataclass(frozen=True)
class Finding:
    """Something that does not verify.

    Attributes:
        what: `changed`, `missing`, `added`, `differs` (a figure), `signature`, or `unreadable`.
        where: the file, or the figure by its path in `results.json`.
        words: what is wrong.
    """

    what: str
    where: str
    words: str


@dataclass(frozen=True)
class Verification:
    """What came of verifying an audit.

    Attributes:
        findings: what does not verify; none if all is well.
        confirmed: what was checked, in words.
        unchecked: what was not, in words.
    """

    findings: tuple[Finding, ...]
    confirmed: tuple[str, ...]
    unchecked: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether all that was checked is as it should be."""
        return not self.findings


def check_files(folder: Path, manifest: Manifest) -> list[Finding]:
    """Compare the files of an audit with its manifest."""
    findings = []
    there = files_of(folder)
    listed = {file.path: file.sha256 for file in manifest.files}
    for path, expected in listed.items():
        if path not in there:
            findings.append(Finding("missing", path, "the manifest names it and it is not there"))
        elif not _reached_without_links(folder, path):
            findings.append(Finding("changed", path, "it is no regular file of this folder any more"))
        elif (found := sha256_file(folder / path)) != expected:
            findings.append(
                Finding("changed", path, f"its SHA-256 is {found[:16]}… and was {expected[:16]}… when it was written")
            )
    findings += [
        Finding("added", path, "it is there and the manifest does not name it") for path in there if path not in listed
    ]
    for name in (FILE_NAME, ATTESTATION):
        if (folder / name).is_symlink():
            findings.append(Finding("changed", name, "it is a link and no file of this folder"))
    findings += [
        Finding("missing", name, "the manifest does not name it, and no audit is without it")
        for name in (RESULTS, PREDICTIONS)
        if name not in listed and name not in there
    ]
    return findings


def _reached_without_links(folder: Path, path: str) -> bool:
    place = folder / path
    return is_plain(place) and not any(
        parent.is_symlink() for parent in place.parents if parent.is_relative_to(folder) and parent != folder
    )


def check_record(record: AuditRecord, results: bytes, manifest: Manifest) -> list[Finding]:
    """Compare what the manifest says of the audit with what the record says."""
    audit, config = record.audit, record.audit.config
    policy = (config.policy.file, config.policy.sha256) if config.policy else None
    pairs = {
        "audit.id": (audit.id, manifest.audit),
        "audit.tool_version": (audit.tool_version, manifest.tool_version),
        "audit.started": (audit.started, manifest.started),
        "audit.finished": (audit.finished, manifest.finished),
        "audit.config": (configuration_sha256(results), manifest.configuration_sha256),
        "audit.config.policy": (policy, (manifest.policy.name, manifest.policy.sha256) if manifest.policy else None),
        "model.path": (record.model.path, manifest.model.name),
        "model.sha256": (record.model.sha256, manifest.model.sha256),
        "data.path": (record.data.path, manifest.data.name),
        "data.manifest_sha256": (record.data.manifest_sha256, manifest.data.sha256),
        "environment": (record.environment, manifest.environment),
    }
    return [
        Finding("differs", path, f"{RESULTS} and {FILE_NAME} do not say the same")
        for path, (one, other) in pairs.items()
        if one != other
    ]


def check_figures(folder: Path, record: AuditRecord, manifest: Manifest) -> tuple[list[Finding], list[str], list[str]]:
    """Compute every figure of the record again from the table of predictions.

    Returns:
        What differs, what was confirmed, and what was not computed again.
    """
    nothing = ["the figures, which could not be computed again"]
    try:
        predictions = read_predictions(folder / PREDICTIONS, record.model.classes)
        again = reassess(record, predictions, version("medaudit"))
    except BadInputError as error:
        return [Finding("unreadable", PREDICTIONS, str(error))], [], nothing
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        words = f"the figures cannot be computed from it as the record is: {type(error).__name__}: {error}"
        return [Finding("unreadable", PREDICTIONS, words)], [], nothing
    recorded, computed = (which.model_dump(mode="json") for which in (record, again.record))
    compared = sum(1 for _ in _leaves(computed))
    found = [
        Finding("differs", path, f"{_short(one)} on record, {_short(other)} computed again from {PREDICTIONS}")
        for path, one, other in differences(recorded, computed)
    ]
    if len(found) > MOST_FIGURES:
        more = Finding("differs", RESULTS, f"{len(found) - MOST_FIGURES} more figures differ")
        found = [*found[:MOST_FIGURES], more]
    found += _images_differ(again.images, manifest)
    confirmed = (
        []
        if found
        else [f"the figures of {RESULTS} follow from {PREDICTIONS} ({compared} values, to within {TOLERANCE:g})"]
    )
    return found, confirmed, list(again.left)


def _images_differ(images: ImageSet, manifest: Manifest) -> list[Finding]:
    """Compare the images of the table with those of the manifest, and their hashes with the hash over all of them."""
    hashes = {image.id: image.sha256 for image in manifest.data.images}
    named = [image.id for image in images.images]
    if strangers := [name for name in named if name not in hashes]:
        words = f"{FILE_NAME} has no hash of the image {strangers[0]!r}"
        return [Finding("differs", PREDICTIONS, words)]
    if len(hashes) > len(named):
        return [Finding("differs", PREDICTIONS, f"it lacks {len(hashes) - len(named)} images of {FILE_NAME}")]
    complete = replace(images, images=tuple(replace(image, sha256=hashes[image.id]) for image in images.images))
    if complete.manifest_sha256 != manifest.data.sha256:
        words = f"the hash over all images of {FILE_NAME}, with the classes and groups of {PREDICTIONS}, is another"
        return [Finding("differs", "data.manifest_sha256", words)]
    return []


def check_model(model: Path, manifest: Manifest) -> list[Finding]:
    """Compare a model, a file or a folder, with the manifest. Raises `BadInputError` if it cannot be read."""
    if sha256_model(model)[0] == manifest.model.sha256:
        return []
    return [Finding("changed", model.name, "it is not the model that was audited: its SHA-256 is another")]


def check_images(images: ImageSet, manifest: Manifest) -> list[Finding]:
    """Compare images with those of the manifest, whatever others there are."""
    there = {image.id: image.sha256 for image in images.images}
    findings = []
    for image in manifest.data.images:
        if image.id not in there:
            findings.append(Finding("missing", image.id, "a test image that is not there, or cannot be read any more"))
        elif there[image.id] != image.sha256:
            findings.append(Finding("changed", image.id, "a test image whose SHA-256 is another"))
    return findings


def verify_folder(folder: Path) -> tuple[Verification, Manifest, AuditRecord | None]:
    """Verify the folder of an audit by itself: its files, its record, its figures.

    Raises:
        BadInputError: if it has no manifest that can be read.
    """
    manifest = read_manifest(folder)
    findings, confirmed = check_files(folder, manifest), []
    if not findings:
        confirmed.append(f"all {len(manifest.files)} files are as {FILE_NAME} says, and none was added")
    try:
        if not is_plain(folder / RESULTS):
            raise BadInputError(f"{folder} holds no {RESULTS}.")
        record = read_record(folder)
        findings += check_record(record, (folder / RESULTS).read_bytes(), manifest)
    except BadInputError as error:
        findings.append(Finding("unreadable", RESULTS, str(error)))
        return Verification(tuple(findings), tuple(confirmed), ("the figures",)), manifest, None
    if not is_plain(folder / PREDICTIONS):
        return Verification(tuple(findings), tuple(confirmed), ("the figures",)), manifest, record
    differing, agreed, left = check_figures(folder, record, manifest)
    left.append("that the reports say what the record says; `medaudit report` draws them again, the same to the byte")
    if any(file.path == COMPARISON for file in manifest.files):
        left.append(f"the figures of {COMPARISON}, which are of two audits; `medaudit compare` computes them again")
    return Verification((*findings, *differing), (*confirmed, *agreed), tuple(left)), manifest, record


def differences(recorded: Any, computed: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the path of every value that is not the same, with both values; a part that is lacking is None."""
    if isinstance(recorded, dict) and isinstance(computed, dict):
        for name in (*recorded, *(name for name in computed if name not in recorded)):
            yield from differences(recorded.get(name), computed.get(name), _joined(path, name))
    elif isinstance(recorded, list) and isinstance(computed, list):
        if len(recorded) != len(computed):
            yield path, f"{len(recorded)} entries", f"{len(computed)} entries"
            return
        for place, (one, other) in enumerate(zip(recorded, computed, strict=True)):
            yield from differences(one, other, f"{path}[{place}]")
    elif not _same(recorded, computed):
        yield path, recorded, computed


def _joined(path: str, name: str) -> str:
    # Names of classes may hold anything: the path has to stay one that can be followed.
    part = name if name.isidentifier() else f"[{name!r}]"
    return part if not path else path + part if part.startswith("[") else f"{path}.{part}"


def _leaves(value: Any) -> Iterator[Any]:
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _leaves(part)
    if not isinstance(value, dict | list):
        yield value


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return type(one) is type(other) and bool(one == other)


def _short(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def joined(parts: Sequence[Verification]) -> Verification:
    """Join what came of several checks."""
    return Verification(
        tuple(finding for part in parts for finding in part.findings),
        tuple(words for part in parts for words in part.confirmed),
        tuple(words for part in parts for words in part.unchecked),
    )
