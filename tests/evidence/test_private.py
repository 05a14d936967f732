"""What an audit writes can be passed on: it says nothing of whose machine it was made on, and where there."""

import getpass
import io
import platform
import re
import shutil
import socket
import zlib

import pypdf
import pytest
from conftest import draw_folder
from PIL import Image
from pypdf.generic import IndirectObject, StreamObject

from auditor import AuditSettings, audit
from auditor.evidence.manifest import files_of

USER, PLACE, HOST = "doctor-quaxolotl", "home-of-quaxolotl", "host-of-quaxolotl"


@pytest.fixture(scope="module")
def private(trained, keys, tmp_path_factory):
    """A signed audit of a user with a name, in a folder with a name, and a broken image that is spoken of."""
    root = tmp_path_factory.mktemp("root") / PLACE
    root.mkdir()
    model = shutil.copy(trained.model, root / "small.h5")
    data = draw_folder(root / "images", 5, first=700)
    (data / "red" / "broken.png").write_bytes(b"no image")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
            patch.setenv(name, USER)
        patch.setenv("HOME", str(root))
        patch.setattr(socket, "gethostname", lambda: HOST)
        patch.setattr(platform, "node", lambda: HOST)
        assert getpass.getuser() == USER
        options = AuditSettings(epsilons=(2 / 255,), preprocessing="unit")
        return audit(model, data, root / "audit", options, sign=keys[0]).folder


def everything(path):
    """The bytes of a file, and all that lies compressed in it."""
    content = path.read_bytes()
    yield content
    if path.suffix == ".png":
        yield from (str(value).encode() for value in Image.open(io.BytesIO(content)).info.values())
        kinds = re.findall(rb"[A-Za-z]{4}", content)
        assert not {b"tEXt", b"zTXt", b"iTXt", b"eXIf"} & set(kinds)
    if path.suffix == ".pdf":
        pdf = pypdf.PdfReader(path)
        yield str(pdf.metadata).encode()
        yield "".join(page.extract_text() for page in pdf.pages).encode()
        for number in range(1, pdf.trailer["/Size"]):
            found = IndirectObject(number, 0, pdf).get_object()
            yield str(found).encode()
            if isinstance(found, StreamObject):
                yield found.get_data()
    if path.name == "attestation.dsse.json":
        from auditor.evidence.signature import read_envelope

        yield read_envelope(content)[0]


def is_text(part):
    try:
        return "\0" not in part.decode()
    except UnicodeDecodeError:
        return False


def traces(folder):
    """Where something stands that only this machine knows."""
    telling = re.compile(rb"quaxolotl|/tmp/|/home/|/root/|/Users/|\\Users\\|file:/")
    # A host may have a name of two letters, which stand in any bytes that are no text.
    host = re.compile(rb"(?<![A-Za-z0-9])" + re.escape(socket.gethostname().encode()) + rb"(?![A-Za-z0-9])")
    return [
        (name, found.group())
        for name in files_of(folder, leave_out=())
        for part in everything(folder / name)
        if (found := telling.search(part) or (is_text(part) and host.search(part)))
    ]


def test_nothing_that_is_written_tells_of_the_machine(private):
    assert {"report.pdf", "manifest.json", "attestation.dsse.json", "bom.cdx.json"} <= set(files_of(private, ()))
    assert traces(private) == []


def test_a_trace_would_be_found(private, tmp_path):
    folder = shutil.copytree(private, tmp_path / "copy")
    (folder / "a.txt").write_text(f"written by {USER}")
    (folder / "b.txt").write_text(f"on {socket.gethostname()}.")
    writer = pypdf.PdfWriter()
    writer.add_blank_page(10, 10)
    writer.add_attachment("c.txt", zlib.compress(b"") + b"/home/somebody")
    writer.write(folder / "c.pdf")
    assert {name for name, _ in traces(folder)} == {"a.txt", "b.txt", "c.pdf"}
