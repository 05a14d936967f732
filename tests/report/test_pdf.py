"""The PDF is archivable (PDF/A-3u), holds its record, and is the same every time.

No validator of PDF/A is at hand as a package: what the standard asks of the parts that these reports have is looked at
one by one.
"""

import json
import os
import shutil
import time
from xml.etree import ElementTree as ET

import pypdf
import pytest
from pypdf.generic import DictionaryObject, IndirectObject, StreamObject

from auditor import render
from auditor.evidence.manifest import read_manifest
from auditor.files import sha256_file
from auditor.report.render import _moment


@pytest.fixture(scope="module")
def drawn(audited, later, trained):
    """A PDF of each kind."""
    return [
        pypdf.PdfReader(path)
        for path in (audited.reports.pdf, later.reports.pdf, later.folder / "comparison.pdf", trained.reports.pdf)
    ]


def objects(pdf):
    """Every object of a PDF."""
    for number in range(1, pdf.trailer["/Size"]):
        yield IndirectObject(number, 0, pdf).get_object()


def dictionaries(pdf):
    """Every dictionary of a PDF, those within others among them."""
    waiting = [found for found in objects(pdf) if found is not None]
    while waiting:
        found = waiting.pop()
        if isinstance(found, DictionaryObject):
            yield found
            waiting += [value for value in found.values() if not isinstance(value, IndirectObject)]
        elif isinstance(found, list):
            waiting += [value for value in found if not isinstance(value, IndirectObject)]


def test_it_says_that_it_is_pdf_a_3u(drawn):
    for pdf in drawn:
        xmp = ET.fromstring(pdf.trailer["/Root"]["/Metadata"].get_object().get_data())
        claims = {name: value for element in xmp.iter() for name, value in element.attrib.items()}
        claims |= {element.tag: element.text for element in xmp.iter()}
        space = "{http://www.aiim.org/pdfa/ns/id/}"
        assert (claims[f"{space}part"], claims[f"{space}conformance"]) == ("3", "U")
        # The dates of the document information and of the metadata have to agree.
        date = pdf.metadata["/CreationDate"]
        assert date == pdf.metadata["/ModDate"]
        stated = claims["{http://ns.adobe.com/xap/1.0/}CreateDate"]
        assert "".join(c for c in stated if c.isdigit()) == "".join(c for c in date if c.isdigit())
        assert pdf.trailer["/ID"]
        assert not pdf.is_encrypted


def test_it_has_the_srgb_profile_that_its_colours_are_meant_in(drawn):
    for pdf in drawn:
        (intent,) = pdf.trailer["/Root"]["/OutputIntents"]
        assert intent["/S"] == "/GTS_PDFA1"
        profile = intent["/DestOutputProfile"].get_object()
        assert profile["/N"] == 3
        assert profile.get_data()[36:40] == b"acsp"
        assert not any("/DeviceCMYK" in str(found.get("/ColorSpace", "")) for found in dictionaries(pdf))


def test_every_font_is_inside_and_says_which_characters_it_shows(drawn):
    for pdf in drawn:
        fonts = [found for found in dictionaries(pdf) if found.get("/Type") == "/Font"]
        assert fonts
        for font in fonts:
            assert font["/Subtype"] in ("/Type0", "/CIDFontType2", "/CIDFontType0", "/TrueType")
            if font["/Subtype"] == "/Type0":
                assert "/ToUnicode" in font
            else:
                assert {"/FontFile2", "/FontFile3"} & font["/FontDescriptor"].get_object().keys()


def test_nothing_in_it_runs_moves_or_lies_elsewhere(drawn):
    for pdf in drawn:
        for found in dictionaries(pdf):
            assert not {"/JS", "/JavaScript", "/AA", "/OpenAction", "/Launch", "/XFA"} & found.keys()
            assert found.get("/S") not in ("/JavaScript", "/Launch", "/Movie", "/Sound", "/SubmitForm", "/ImportData")
            assert found.get("/Subtype") not in ("/Movie", "/Sound", "/Screen", "/3D", "/PostScript", "/PS")
            if found.get("/Subtype") == "/Image":
                assert str(found.get("/Interpolate", False)) == "False"
                assert "/Alternates" not in found
            if found.get("/Type") == "/Annot":
                assert int(found["/F"]) & 0b111 == 0b100  # printed, neither hidden nor invisible
            if isinstance(found, StreamObject):
                assert not {"/F", "/FFilter"} & found.keys()  # the bytes are here
                assert "LZW" not in str(found.get("/Filter"))


def test_it_holds_its_record_and_the_manifest_as_it_was_before(audited):
    pdf = pypdf.PdfReader(audited.reports.pdf)
    assert pdf.attachments["results.json"] == [(audited.folder / "results.json").read_bytes()]
    (content,) = pdf.attachments["manifest-before-reports.json"]
    before, after = json.loads(content), json.loads((audited.folder / "manifest.json").read_text())
    reports = [file for file in after["files"] if file["drawn"]]
    assert {file["path"] for file in reports} == {
        "report.html", "report.pdf", "junit.xml", "summary.md", "bom.cdx.json",
    }  # fmt: skip
    assert before == after | {"files": [file for file in after["files"] if not file["drawn"]]}
    related = {}
    assert len(pdf.trailer["/Root"]["/AF"]) == 2
    for reference in pdf.trailer["/Root"]["/AF"]:
        file = reference.get_object()
        related[file["/UF"]] = file["/AFRelationship"]
        assert file["/F"] == file["/UF"]
        assert file["/Desc"]
        stream = file["/EF"]["/F"].get_object()
        assert stream["/Subtype"] == "/application/json"
        assert stream["/Params"]["/ModDate"] == pdf.metadata["/ModDate"]
    assert related == {"results.json": "/Source", "manifest-before-reports.json": "/Data"}
    text = " ".join(" ".join(page.extract_text() for page in pdf.pages).split())
    assert sha256_file(audited.folder / "results.json") in text.replace(" ", "")


def test_a_comparison_holds_its_figures(later):
    pdf = pypdf.PdfReader(later.folder / "comparison.pdf")
    assert pdf.attachments == {"comparison.json": [(later.folder / "comparison.json").read_bytes()]}


def test_it_is_the_same_to_the_byte_whenever_and_wherever_it_is_drawn(audited, tmp_path, monkeypatch):
    first = audited.reports.pdf.read_bytes()
    time.sleep(1.1)  # a second later the dates of the moment would be others
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    again = shutil.copytree(audited.folder, tmp_path / "elsewhere")
    assert render(again).pdf.read_bytes() == first
    assert os.environ["SOURCE_DATE_EPOCH"] == "1700000000"
    assert read_manifest(again) == read_manifest(audited.folder)
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("when", ["yesterday", "9999-99-99", "", "0001-01-01T00:00:00+14:00"])
def test_a_record_that_names_no_time_has_the_first_one(when):
    assert _moment(when).timestamp() == 0


def test_a_report_without_a_time_is_drawn_all_the_same(audited, tmp_path):
    info = audited.record.audit.model_copy(update={"finished": "yesterday"})
    record = audited.record.model_copy(update={"audit": info, "examples": []})
    assert pypdf.PdfReader(render(tmp_path, record).pdf).metadata["/ModDate"] == "D:19700101000000Z"
