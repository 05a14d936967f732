import base64
import json
import subprocess
import sys

import pytest
from conftest import medaudit

from auditor import AuditSettings, BadInputError, audit, resume
from auditor.evidence.manifest import ATTESTATION, read_manifest
from auditor.evidence.signature import (
    PASSPHRASE,
    PAYLOAD_TYPE,
    pre_authentication_encoding,
    read_envelope,
    read_private_key,
    read_public_key,
    signed_by,
)
from auditor.evidence.statement import state
from auditor.files import sha256_file
from auditor.record import Judged, Verdict


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def test_what_is_signed_is_encoded_as_dsse_says():
    # The example of the specification.
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_another_tool_finds_the_signature_good(signed, keys, tmp_path):
    envelope = json.loads((signed.folder / ATTESTATION).read_text())
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    message, signature = tmp_path / "message", tmp_path / "signature"
    message.write_bytes(pre_authentication_encoding(PAYLOAD_TYPE, base64.b64decode(envelope["payload"])))
    signature.write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    check = "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", keys[1], "-sigfile", signature, "-in", message
    openssl(*check)
    message.write_bytes(message.read_bytes() + b" ")
    with pytest.raises(subprocess.CalledProcessError):
        openssl(*check)


def test_the_statement_is_an_in_toto_test_result(signed):
    payload = base64.b64decode(json.loads((signed.folder / ATTESTATION).read_text())["payload"])
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    manifest = read_manifest(signed.folder)
    assert subjects == {
        signed.record.model.path: signed.record.model.sha256,
        "manifest.json": sha256_file(signed.folder / "manifest.json"),
        **{file.path: file.sha256 for file in manifest.files},
    }
    assert statement["predicate"]["result"] == "PASSED"
    assert "criterion: c" in statement["predicate"]["passedTests"]
    assert "check: budget" in statement["predicate"]["passedTests"]
    assert statement["predicate"]["failedTests"] == []
    names = [resource["name"] for resource in statement["predicate"]["configuration"]]
    assert names == ["configuration", "test images", "policy.toml"]


@pytest.mark.parametrize(
    ("verdict", "result"), [("PASS", "PASSED"), ("NONE", "WARNED"), ("INCONCLUSIVE", "FAILED"), ("FAIL", "FAILED")]
)
def test_only_a_pass_is_passed(signed, verdict, result):
    outcomes = {"a": "PASS", "b": "FAIL", "c": "WAIVED", "d": "NOT TESTED"}
    criteria = [Judged(name=n, asked="", observed="", status=status, note="") for n, status in outcomes.items()]
    checks = [
        signed.record.checks[0].model_copy(update={"name": status.lower(), "status": status})
        for status in ("PASS", "WARN", "FAIL", "ERROR", "SKIPPED")
    ]
    record = signed.record.model_copy(
        update={"verdict": Verdict(status=verdict, reasons=[], criteria=criteria), "checks": checks}
    )
    predicate = state(record, read_manifest(signed.folder), "0" * 64).predicate
    assert predicate.result == result
    assert predicate.passedTests == ("criterion: a", "check: pass")
    assert predicate.warnedTests == ("criterion: c", "check: warn")
    assert predicate.failedTests == ("criterion: b", "criterion: d", "check: fail", "check: error")


def test_another_key_is_not_the_one_that_signed(signed, tmp_path, capsys):
    openssl("genpkey", "-algorithm", "ed25519", "-out", tmp_path / "other.pem")
    openssl("pkey", "-in", tmp_path / "other.pem", "-pubout", "-out", tmp_path / "other.pub")
    code, out, _ = medaudit(capsys, "verify", signed.folder, "--key", tmp_path / "other.pub")
    assert code == 2
    assert "no valid signature by that key" in out
    payload, envelope = read_envelope((signed.folder / ATTESTATION).read_bytes())
    key = read_public_key(tmp_path / "other.pub")
    # Nor is it by the name of the other.
    claimed = envelope.signatures[0].model_copy(
        update={"keyid": read_private_key(tmp_path / "other.pem").envelope(b"")}
    )
    assert not signed_by(key, envelope.model_copy(update={"signatures": (claimed,)}), payload)


def test_a_key_with_a_passphrase(keys, tmp_path, monkeypatch):
    path = tmp_path / "locked.pem"
    openssl("pkey", "-in", keys[0], "-aes256", "-passout", "pass:träumen", "-out", path)
    monkeypatch.delenv(PASSPHRASE, raising=False)
    with pytest.raises(BadInputError, match=f"has a passphrase; put it into the environment variable {PASSPHRASE}"):
        read_private_key(path)
    monkeypatch.setenv(PASSPHRASE, "wrong")
    with pytest.raises(BadInputError, match="does not open the key"):
        read_private_key(path)
    monkeypatch.setenv(PASSPHRASE, "träumen")
    envelope = read_private_key(path).envelope(b"{}")
    payload, read = read_envelope(envelope)
    assert signed_by(read_public_key(keys[1]), read, payload)
    # A passphrase that is set does no harm to a key without one.
    assert read_private_key(keys[0]).envelope(b"{}") == envelope


@pytest.mark.parametrize("kind", ["nothing", "absent", "public", "RSA"])
def test_what_is_no_key_to_sign_with_is_told_before_the_work(kind, keys, trained, data, tmp_path):
    path = tmp_path / "key.pem"
    if kind == "nothing":
        path.write_bytes(b"\x00no key")
    elif kind == "public":
        path.write_bytes(keys[1].read_bytes())
    elif kind == "RSA":
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path)
    with pytest.raises(BadInputError, match=r"key\.pem"):
        audit(trained.model, data, tmp_path / "audit", sign=path)
    assert not (tmp_path / "audit").exists()
    with pytest.raises(BadInputError, match=r"key\.pem"):
        resume(tmp_path / "audit", sign=path)


def test_what_is_no_key_to_verify_with_is_told(keys, signed, tmp_path, capsys):
    code, _, err = medaudit(capsys, "verify", signed.folder, "--key", keys[0])
    assert code == 2
    assert "is a private key" in err
    (tmp_path / "key.pem").write_text("no key")
    for path in (tmp_path / "key.pem", tmp_path / "absent.pem", tmp_path):
        code, _, err = medaudit(capsys, "verify", signed.folder, "--key", path)
        assert code == 2
        assert str(path) in err


def test_an_audit_that_is_not_signed_is_told_where_a_key_is_given(audited, keys, capsys):
    code, out, _ = medaudit(capsys, "verify", audited.folder, "--key", keys[1])
    assert code == 2
    assert f"missing: {ATTESTATION}" in out


def test_without_the_package_it_says_what_to_install(keys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(BadInputError, match=r"medaudit\[sign\]"):
        read_private_key(keys[0])


def test_run_signs(trained, data, keys, tmp_path, capsys):
    folder = tmp_path / "audit"
    code, _, err = medaudit(
        capsys, "run", trained.model, data, "-o", folder, "--eps", "2/255", "--preprocessing", "unit", "--sign", keys[0]
    )
    assert code == 0, err
    code, out, _ = medaudit(capsys, "verify", folder, "--key", keys[1])
    assert code == 0
    assert "Verified: the signature is by key" in out
    # The key leaves no trace but its name.
    for path in folder.rglob("*"):
        assert path.is_dir() or b"PRIVATE" not in path.read_bytes()


def test_the_default_of_signing_is_not_to(audited):
    assert not (audited.folder / ATTESTATION).exists()
    assert "sign" not in AuditSettings.model_fields
