"""What is signed of an audit: an in-toto Statement v1 that the model was tested, with what came of it.

Its subjects are the model, every file of the manifest, and the manifest; its predicate is in-toto's test result v0.1
(https://in-toto.io/attestation/test-result/v0.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from auditor.errors import BadInputError
from auditor.evidence.manifest import FILE_NAME

if TYPE_CHECKING:
    from auditor.evidence.manifest import Manifest, Named
    from auditor.record import AuditRecord

STATEMENT_TYPE: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Literal["https://in-toto.io/attestation/test-result/v0.1"] = (
    "https://in-toto.io/attestation/test-result/v0.1"
)

#: in-toto knows three results. Only a verdict of PASS is PASSED; what is inconclusive has not passed, and where no
#: criteria were set nothing was there to pass.
_RESULTS: dict[str, Literal["PASSED", "WARNED", "FAILED"]] = {
    "PASS": "PASSED",
    "NONE": "WARNED",
    "INCONCLUSIVE": "FAILED",
    "FAIL": "FAILED",
}

_TESTS = {
    "PASS": "passedTests",
    "WARN": "warnedTests",
    "WAIVED": "warnedTests",
    "FAIL": "failedTests",
    "ERROR": "failedTests",
    "NOT TESTED": "failedTests",
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True)


class Resource(_Part):
    """A file or another thing with a hash: in-toto's ResourceDescriptor."""

    name: str
    """Of the thing."""
    digest: dict[str, str]
    """By algorithm, in hexadecimal."""


class TestResult(_Part):
    """The predicate."""

    __test__ = False  # not a test case, whatever its name makes pytest think

    result: Literal["PASSED", "WARNED", "FAILED"]
    """What the verdict says."""
    configuration: tuple[Resource, ...]
    """The configuration, the policy if there was one, and the test images."""
    # As in-toto spells them.
    passedTests: tuple[str, ...]  # noqa: N815
    """Criteria and checks that passed."""
    warnedTests: tuple[str, ...]  # noqa: N815
    """Criteria that are waived, and checks with a warning."""
    failedTests: tuple[str, ...]  # noqa: N815
    """Criteria that failed or could not be tested, and checks that failed."""


class Statement(_Part):
    """The statement."""

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(STATEMENT_TYPE, alias="_type")
    """Of the statement."""
    subject: tuple[Resource, ...]
    """What it is about."""
    predicateType: Literal["https://in-toto.io/attestation/test-result/v0.1"] = PREDICATE_TYPE  # noqa: N815
    """Of the predicate."""
    predicate: TestResult
    """What it says."""


def subjects(manifest: Manifest, manifest_sha256: str) -> tuple[Resource, ...]:
    """What the statement of an audit is about: the model, every file of its manifest, and the manifest."""
    files = (_resource(file.path, file.sha256) for file in manifest.files)
    return (_named(manifest.model), *files, _resource(FILE_NAME, manifest_sha256))


def configuration(manifest: Manifest) -> tuple[Resource, ...]:
    """What the model was tested with."""
    return (
        _resource("configuration", manifest.configuration_sha256),
        _resource("test images", manifest.data.sha256),
        *([_named(manifest.policy)] if manifest.policy else []),
    )


def state(record: AuditRecord, manifest: Manifest, manifest_sha256: str) -> Statement:
    """Make the statement of an audit.

    Args:
        record: its record.
        manifest: its manifest.
        manifest_sha256: of the file of the manifest.
    """
    tests: dict[str, list[str]] = {name: [] for name in ("passedTests", "warnedTests", "failedTests")}
    outcomes = [(f"criterion: {item.name}", str(item.status)) for item in record.verdict.criteria]
    outcomes += [(f"check: {check.name}", str(check.status)) for check in record.checks]
    for name, status in outcomes:
        if status in _TESTS:  # a check that was not made is no test
            tests[_TESTS[status]].append(name)
    return Statement(
        subject=subjects(manifest, manifest_sha256),
        predicate=TestResult(
            result=_RESULTS[record.verdict.status],
            configuration=configuration(manifest),
            **{name: tuple(names) for name, names in tests.items()},
        ),
    )


def to_bytes(statement: Statement) -> bytes:
    """Write a statement as JSON."""
    return statement.model_dump_json(by_alias=True).encode()


def from_bytes(payload: bytes) -> Statement:
    """Read a statement. Raises `BadInputError` if it is none of this kind."""
    try:
        return Statement.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise BadInputError(f"what is signed is no test result of an audit: {place}: {first['msg']}") from error


def _named(thing: Named) -> Resource:
    return _resource(thing.name, thing.sha256)


def _resource(name: str, sha256: str) -> Resource:
    return Resource(name=name, digest={"sha256": sha256})
