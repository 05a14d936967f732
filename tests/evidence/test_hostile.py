"""Whatever stands in the files of an audit, reading them ends in a result or a plain error."""

import base64
import json
import shutil
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor import BadInputError, verify
from auditor.evidence.manifest import ATTESTATION, Manifest, read_manifest, to_json
from auditor.evidence.signature import PAYLOAD_TYPE, read_envelope
from auditor.evidence.statement import from_bytes

SLOWLY = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=8), parts, max_size=4),
    max_leaves=12,
)

BOMBS = [
    b"", b"\x00" * 10, b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"1e999", b'"\\ud800"', b"9" * 5000,
    b'{"payload": 1}', b"null", b"[]", b"{}",
]  # fmt: skip


@pytest.fixture(scope="module")
def ground(signed, tmp_path_factory):
    """A copy of a signed audit that the tests of this module put files into, and take them out of again."""
    return shutil.copytree(signed.folder, tmp_path_factory.mktemp("hostile") / "audit")


def mutated(data, content):
    """Change, remove, or add some bytes."""
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(content) - 1, 0)))
        kind = data.draw(st.sampled_from(["change", "cut", "insert", "double"]))
        if kind == "change":
            content[place : place + 1] = data.draw(st.binary(min_size=1, max_size=3))
        elif kind == "cut":
            del content[place : place + data.draw(st.integers(1, 400))]
        elif kind == "insert":
            content[place:place] = data.draw(st.binary(min_size=1, max_size=12))
        else:
            content[place:place] = content[place : place + 300]
    return bytes(content)


def replaced(value, data):
    """Put something else into a place of a JSON value."""
    if isinstance(value, dict | list) and value and data.draw(st.integers(0, 5)):
        key = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        value[key] = replaced(value[key], data)
        return value
    return data.draw(JSON)


def ends_well(folder, name, content):
    """Verify an audit with that file; it is not good, and says so in words."""
    before = (folder / name).read_bytes()
    (folder / name).write_bytes(content)
    start = time.monotonic()
    try:
        result = verify(folder)
        assert content == before or not result.good
        assert all(finding.words and "\n" not in finding.where for finding in result.findings)
    except BadInputError as error:
        assert name in str(error)
    finally:
        (folder / name).write_bytes(before)
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("name", ["manifest.json", "results.json", "predictions.csv", ATTESTATION])
@pytest.mark.parametrize("content", BOMBS, ids=range(len(BOMBS)))
def test_bombs(ground, name, content):
    ends_well(ground, name, content)


@pytest.mark.parametrize("name", ["manifest.json", "results.json", "predictions.csv", ATTESTATION])
@SLOWLY
@given(data=st.data())
def test_mutated_bytes(ground, name, data):
    ends_well(ground, name, mutated(data, (ground / name).read_bytes()))


@pytest.mark.parametrize("name", ["manifest.json", "results.json", ATTESTATION])
@SLOWLY
@given(data=st.data())
def test_mutated_values(ground, name, data):
    value = replaced(json.loads((ground / name).read_bytes()), data)
    ends_well(ground, name, json.dumps(value).encode(errors="surrogatepass"))


@settings(max_examples=200)
@given(st.binary(max_size=300) | st.builds(lambda value: json.dumps(value).encode(), JSON))
def test_an_envelope_is_read_or_refused(content):
    with pytest.raises(BadInputError):
        read_envelope(content)
    with pytest.raises(BadInputError):
        from_bytes(content)


@given(data=st.data())
def test_an_envelope_has_one_spelling(signed, data):
    content = (signed.folder / ATTESTATION).read_bytes()
    payload, _ = read_envelope(content)
    other = mutated(data, content)
    try:
        changed, envelope = read_envelope(other)
    except BadInputError:
        return
    # What is read of other bytes is something else, whatever the bytes.
    assert other == content or (changed, envelope) != (payload, read_envelope(content)[1])


def test_an_envelope_of_something_else_is_refused():
    for kind, payload in ((PAYLOAD_TYPE, "!!!!"), ("text/plain", base64.b64encode(b"x").decode())):
        envelope = {"payload": payload, "payloadType": kind, "signatures": []}
        with pytest.raises(BadInputError):
            read_envelope(json.dumps(envelope, indent=1).encode())


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../x", "", ".", "a//b", "./a", "a/", "x\0y", "results.json/.."]
)
def test_a_manifest_names_files_of_its_folder_alone(ground, path):
    manifest = json.loads((ground / "manifest.json").read_text())
    manifest["files"][0]["path"] = path
    with pytest.raises(ValueError, match="no path below"):
        Manifest.model_validate(manifest)
    ends_well(ground, "manifest.json", json.dumps(manifest).encode())


@pytest.mark.parametrize("part", ["files", "images"])
def test_a_manifest_names_nothing_twice(signed, tmp_path, part):
    manifest = read_manifest(signed.folder)
    if part == "files":
        twice = manifest.model_copy(update={"files": manifest.files * 2})
    else:
        twice = manifest.model_copy(
            update={"data": manifest.data.model_copy(update={"images": manifest.data.images * 2})}
        )
    (tmp_path / "manifest.json").write_text(to_json(twice))
    with pytest.raises(BadInputError, match="twice"):
        read_manifest(tmp_path)


def test_a_manifest_of_many_images_is_no_burden(signed, tmp_path):
    manifest = read_manifest(signed.folder)
    image = manifest.data.images[0]
    many = tuple(image.model_copy(update={"id": f"{number}.png"}) for number in range(100_000))
    (tmp_path / "manifest.json").write_text(
        to_json(manifest.model_copy(update={"data": manifest.data.model_copy(update={"images": many})}))
    )
    assert (tmp_path / "manifest.json").stat().st_size < 20e6
    assert len(read_manifest(tmp_path).data.images) == 100_000
