"""Signatures: Ed25519 over a DSSE envelope (https://github.com/secure-systems-lab/dsse).

The package `cryptography` does the arithmetic; it is the extra `medaudit[sign]` and imported when it is needed. Keys
are PEM files that OpenSSL makes: medaudit reads them and keeps none.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from auditor.errors import BadInputError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"

#: Variable of the environment with the passphrase of a private key.
PASSPHRASE = "MEDAUDIT_SIGN_PASSPHRASE"  # noqa: S105 - the name of a variable

#: An envelope holds a line for each file of an audit; one this large is none.
LARGEST = 64 * 2**20


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Signature(_Part):
    """One signature."""

    keyid: str
    """SHA-256 of the public key in DER (SubjectPublicKeyInfo), in hexadecimal."""
    sig: str
    """Base64."""


class Envelope(_Part):
    """A DSSE envelope."""

    payload: str
    """Base64."""
    payloadType: str  # noqa: N815 - as DSSE spells it
    """What the payload is."""
    signatures: tuple[Signature, ...]
    """Of the payload together with its type."""


@dataclass(frozen=True)
class Signer:
    """Signs with a private key.

    Attributes:
        key: the private key.
    """

    key: Ed25519PrivateKey

    def envelope(self, payload: bytes) -> bytes:
        """Sign a payload; returns the bytes of an envelope."""
        signature = self.key.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
        return _written(
            Envelope(
                payload=_encoded(payload),
                payloadType=PAYLOAD_TYPE,
                signatures=(Signature(keyid=key_id(self.key.public_key()), sig=_encoded(signature)),),
            )
        )


def pre_authentication_encoding(kind: str, payload: bytes) -> bytes:
    """Join type and payload to what DSSE signs (its PAE)."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def key_id(key: Ed25519PublicKey) -> str:
    """Name of a public key: the SHA-256 of its DER form."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def read_private_key(path: Path) -> Signer:
    """Read an Ed25519 private key; its passphrase, if it has one, is in the variable `MEDAUDIT_SIGN_PASSPHRASE`.

    Raises:
        BadInputError: if it cannot be read, is no such key, or the passphrase is missing or wrong.
    """
    content = _key_file(path)
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        try:
            key = load_pem_private_key(content, None)
        except TypeError as error:  # it is encrypted
            given = os.environ.get(PASSPHRASE)
            if not given:
                raise BadInputError(
                    f"The key {path} has a passphrase; put it into the environment variable {PASSPHRASE}."
                ) from error
            try:
                key = load_pem_private_key(content, given.encode(errors="surrogateescape"))
            except ValueError as wrong:
                raise BadInputError(f"The passphrase in {PASSPHRASE} does not open the key {path}.") from wrong
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadInputError(
            f"{path} is no private key in PEM; `openssl genpkey -algorithm ed25519` makes one."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInputError(f"{path} is no Ed25519 key; `openssl genpkey -algorithm ed25519` makes one.")
    return Signer(key)


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read an Ed25519 public key. Raises `BadInputError` if it cannot be read or is no such key."""
    content = _key_file(path)
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"PRIVATE KEY" in content:
        raise BadInputError(
            f"{path} is a private key, which nobody else should see; `openssl pkey -in KEY -pubout -out PUBLIC` writes "
            "the public one."
        )
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadInputError(
            f"{path} is no public key in PEM; `openssl pkey -in KEY -pubout -out PUBLIC` writes one."
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise BadInputError(f"{path} is no Ed25519 key.")
    return key


def _key_file(path: Path) -> bytes:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise BadInputError(
            "Signatures need the package cryptography; install it with `pip install 'medaudit[sign]'`."
        ) from error
    try:
        with path.open("rb") as stream:
            return stream.read(2**20)
    except OSError as error:
        raise BadInputError(f"The key {path} cannot be read: {error.strerror}.") from error


def read_envelope(content: bytes) -> tuple[bytes, Envelope]:
    """Read an envelope and what it holds; whether the signatures are good is another question.

    Only the one spelling that is written is read: no byte of the file can be another without being noticed.

    Raises:
        BadInputError: if it is no envelope.
    """
    try:
        envelope = Envelope.model_validate_json(content)
        payload = _decoded(envelope.payload)
        for signature in envelope.signatures:
            _decoded(signature.sig)
    except (ValidationError, ValueError) as error:
        raise BadInputError("it is no DSSE envelope") from error
    if _written(envelope) != content:
        raise BadInputError("it is not as medaudit writes it")
    if envelope.payloadType != PAYLOAD_TYPE:
        raise BadInputError(f"it holds {envelope.payloadType!r} and no in-toto statement")
    return payload, envelope


def signed_by(key: Ed25519PublicKey, envelope: Envelope, payload: bytes) -> bool:
    """Whether one of the signatures of an envelope is that key's."""
    from cryptography.exceptions import InvalidSignature

    message, name = pre_authentication_encoding(envelope.payloadType, payload), key_id(key)
    for signature in envelope.signatures:
        if signature.keyid == name:
            try:
                key.verify(_decoded(signature.sig), message)
            except InvalidSignature:
                continue
            return True
    return False


def _written(envelope: Envelope) -> bytes:
    return envelope.model_dump_json(indent=1).encode()


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _decoded(text: str) -> bytes:
    """Decode base64 in its one right spelling."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("no base64") from error
    if _encoded(content) != text:
        raise ValueError("no base64 as it is written")
    return content
