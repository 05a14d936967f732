"""`manifest.json`: the SHA-256 of everything that went into an audit and came out of it.

It is written once when the record is finished, before any report, and again when the reports are drawn. Drawing
reports again renews the hashes of the reports alone: what was measured keeps the hash it had when it was measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from auditor.engine.journal import FOLDER as JOURNAL
from auditor.errors import BadInputError
from auditor.files import read_json, sha256_file, write_text
from auditor.record import Environment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from auditor.data.imageset import ImageSet
    from auditor.record import AuditRecord

#: Version of the format this package writes.
SCHEMA_VERSION: Literal[1] = 1

#: Name of the file in an audit's folder.
FILE_NAME = "manifest.json"

#: Name by which a PDF report holds the manifest as it was before any report.
BEFORE_REPORTS = "manifest-before-reports.json"

#: The signature, which covers the manifest and so cannot stand in it.
ATTESTATION = "attestation.dsse.json"


def _inside(path: str) -> str:
    """Accept a path that stays below its folder, and has one spelling."""
    pure = PurePosixPath(path)
    if not path or "\0" in path or pure.is_absolute() or ".." in pure.parts or pure.as_posix() != path or path == ".":
        raise ValueError("no path below the audit's folder")
    return path


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, protected_namespaces=())


class Named(_Part):
    """Something that went in, by the name of its file alone."""

    name: str
    """Without the folder it lay in."""
    sha256: Sha256
    """Of its bytes."""


class HashedImage(_Part):
    """One test image."""

    id: str
    """As in `predictions.csv`."""
    sha256: Sha256
    """Of the file's bytes."""


class HashedFile(_Part):
    """One file of the audit's folder."""

    path: Annotated[str, AfterValidator(_inside)]
    """Below the folder, with forward slashes."""
    sha256: Sha256
    """Of its bytes."""
    drawn: bool = False
    """Whether it is a report, which `medaudit report` draws again from the others."""


class TestImages(_Part):
    """The images the model was tested on."""

    __test__ = False  # not a test case, whatever its name makes pytest think

    name: str
    """Of the data folder or CSV file, without the folder it lay in."""
    sha256: Sha256
    """Over id, class, hash, group and subgroups of every image: `data.manifest_sha256` of the record."""
    images: tuple[HashedImage, ...]
    """In the order of `predictions.csv`."""


class Manifest(_Part):
    """Everything that went into an audit and came out of it."""

    schema_version: Literal[1] = SCHEMA_VERSION
    """Version of this format."""
    audit: str
    """Id of the audit."""
    tool_version: str
    """Version of medaudit."""
    started: str
    """UTC time."""
    finished: str
    """UTC time."""
    model: Named
    """The model file."""
    data: TestImages
    """The test images."""
    configuration_sha256: Sha256
    """Of `audit.config` of the record as JSON with sorted keys and without spaces."""
    policy: Named | None
    """The file of acceptance criteria; null where none were set."""
    environment: Environment
    """Versions and machine."""
    files: tuple[HashedFile, ...]
    """The files of the folder, by path; this one and the signature, which covers this one, are not among them."""

    @property
    def before_reports(self) -> Manifest:
        """The manifest as it was before reports were drawn: what a report can hold, which cannot hold its own hash."""
        return self.model_copy(update={"files": tuple(file for file in self.files if not file.drawn)})


def describe(folder: Path, record: AuditRecord, images: ImageSet) -> Manifest:
    """Describe a finished audit of which no report is drawn yet.

    Args:
        folder: of the audit, with the record and all that belongs to it.
        record: the record.
        images: the test images.

    Raises:
        BadInputError: if a file cannot be read.
    """
    policy = record.audit.config.policy
    return Manifest(
        **_of_record(record),
        model=Named(name=record.model.path, sha256=record.model.sha256),
        data=TestImages(
            name=record.data.path,
            sha256=record.data.manifest_sha256,
            images=tuple(HashedImage(id=image.id, sha256=image.sha256) for image in images.images),
        ),
        configuration_sha256=canonical_sha256(record.audit.config.model_dump(mode="json")),
        policy=Named(name=policy.file, sha256=policy.sha256) if policy and policy.sha256 else None,
        environment=record.environment,
        files=tuple(
            HashedFile(path=path, sha256=sha256_file(folder / path))
            for path in files_of(folder)
            # It is removed once the audit is done.
            if not path.startswith(f"{JOURNAL}/")
        ),
    )


def _of_record(record: AuditRecord) -> dict[str, str]:
    audit = record.audit
    return {
        "audit": audit.id,
        "tool_version": audit.tool_version,
        "started": audit.started,
        "finished": audit.finished,
    }


def with_reports(manifest: Manifest, folder: Path, reports: Iterable[Path]) -> Manifest:
    """Return the manifest with the reports of the folder that were drawn just now, in the place of earlier ones.

    Every other file keeps the hash it had: to draw reports again makes nothing good that was changed.
    """
    drawn = {path.relative_to(folder).as_posix() for path in reports}
    kept = [file for file in manifest.files if not file.drawn and file.path not in drawn]
    new = [HashedFile(path=path, sha256=sha256_file(folder / path), drawn=True) for path in drawn]
    return manifest.model_copy(update={"files": tuple(sorted([*kept, *new], key=lambda file: file.path))})


def to_json(manifest: Manifest) -> str:
    """Write a manifest as JSON, the same text for the same manifest."""
    return manifest.model_dump_json(indent=1)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json`. Raises `BadInputError` if the folder cannot be written."""
    write_text(folder / FILE_NAME, to_json(manifest))


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an audit.

    Raises:
        BadInputError: if the folder holds none, or one that this version does not understand.
    """
    manifest = read_json(
        folder / FILE_NAME,
        Manifest,
        f"manifest of schema version {SCHEMA_VERSION}",
        "an audit with a manifest (of this version of medaudit or a later one)",
    )
    for what, names in (
        ("file", [file.path for file in manifest.files]),
        ("image", [image.id for image in manifest.data.images]),
    ):
        if twice := first_twice(names):
            raise BadInputError(f"{folder / FILE_NAME} names the {what} {twice!r} twice.")
    return manifest


def files_of(folder: Path, leave_out: Collection[str] = (FILE_NAME, ATTESTATION)) -> list[str]:
    """List what lies below a folder and is no folder itself, by path with forward slashes; links are not followed."""

    def found() -> Iterator[str]:
        for root, folders, names in os.walk(folder):
            place = Path(root)
            for name in (*names, *(name for name in folders if (place / name).is_symlink())):
                yield os.fsencode((place / name).relative_to(folder).as_posix()).decode(errors="backslashreplace")

    return sorted(path for path in found() if path not in leave_out)


def is_plain(path: Path) -> bool:
    """Whether there is a regular file, and not a link to one, a pipe or a device, which must not be read."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def canonical_sha256(value: JsonValue) -> str:
    """SHA-256 of a value as JSON with sorted keys, without spaces, in UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def configuration_sha256(results: bytes) -> str | None:
    """SHA-256 of the configuration in the bytes of `results.json`; None if there is none."""
    try:
        config = TypeAdapter(dict[str, dict[str, JsonValue] | JsonValue]).validate_json(results)["audit"]
    except (ValidationError, KeyError):
        return None
    return canonical_sha256(config["config"]) if isinstance(config, dict) and "config" in config else None


def first_twice(names: Iterable[str]) -> str | None:
    """Return the first name that was there before; None if each is there once."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
