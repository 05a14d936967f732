"""`attestation.dsse.json`: what was signed of an audit, made and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.errors import BadInputError
from auditor.evidence.manifest import ATTESTATION, FILE_NAME, is_plain
from auditor.evidence.signature import LARGEST, key_id, read_envelope, signed_by
from auditor.evidence.statement import configuration, from_bytes, state, subjects, to_bytes
from auditor.evidence.verify import Finding, Verification
from auditor.files import sha256_file, write_bytes
from auditor.record import FILE_NAME as RESULTS

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from auditor.evidence.manifest import Manifest
    from auditor.evidence.signature import Signer
    from auditor.evidence.statement import Statement
    from auditor.record import AuditRecord


def attest(folder: Path, record: AuditRecord, manifest: Manifest, signer: Signer) -> None:
    """Sign an audit whose manifest is written. Raises `BadInputError` if the folder cannot be written."""
    statement = state(record, manifest, sha256_file(folder / FILE_NAME))
    write_bytes(folder / ATTESTATION, signer.envelope(to_bytes(statement)))


def check_attestation(
    folder: Path, manifest: Manifest, record: AuditRecord | None, key: Ed25519PublicKey | None
) -> Verification:
    """Check what was signed of an audit against its files, and with a key the signature."""
    path = folder / ATTESTATION
    if not is_plain(path):
        if key is None:
            return Verification((), (), ("a signature: the audit has none",))
        return Verification((Finding("missing", ATTESTATION, "the audit is not signed"),), (), ())
    try:
        if path.stat().st_size > LARGEST:
            raise BadInputError("it is too large for what it should be")
        payload, envelope = read_envelope(path.read_bytes())
        given = from_bytes(payload)
    except (BadInputError, OSError) as error:
        return Verification((Finding("signature", ATTESTATION, str(error)),), (), ())
    findings = []
    if key is not None and not signed_by(key, envelope, payload):
        findings.append(Finding("signature", ATTESTATION, "it bears no valid signature by that key"))
    findings += _differences(given, manifest, sha256_file(folder / FILE_NAME), record)
    if findings or key is None:
        return Verification(tuple(findings), (), () if key else ("who signed; --key names the public key",))
    return Verification((), (f"the signature is by key {key_id(key)[:16]}…, and of these files and this verdict",), ())


def _differences(
    given: Statement, manifest: Manifest, manifest_sha256: str, record: AuditRecord | None
) -> list[Finding]:
    """Compare what was signed with what would be signed now."""
    findings = []
    for kind, one, other in (
        ("subject", given.subject, subjects(manifest, manifest_sha256)),
        ("configuration", given.predicate.configuration, configuration(manifest)),
    ):
        signed, there = ({item.name: item.digest for item in side} for side in (one, other))
        names = [name for name in dict.fromkeys((*signed, *there)) if signed.get(name) != there.get(name)]
        findings += [
            Finding("signature", name, f"what was signed names another {kind} by that name, or only one of both does")
            for name in names
        ]
        if not names and one != other:
            findings.append(Finding("signature", ATTESTATION, f"what was signed names its {kind} otherwise"))
    if record is None:
        return [*findings, Finding("signature", ATTESTATION, "there is no record to compare its result with")]
    stated = state(record, manifest, manifest_sha256).predicate
    if given.predicate != stated.model_copy(update={"configuration": given.predicate.configuration}):
        words = (
            f"what was signed says {given.predicate.result}, with other criteria or checks than {RESULTS}, whose "
            f"verdict is {record.verdict.status}"
        )
        findings.append(Finding("signature", ATTESTATION, words))
    return findings
