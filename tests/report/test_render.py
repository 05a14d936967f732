import json
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser

import pypdf
import pytest

from auditor import BadInputError, render
from auditor.record import AuditRecord
from auditor.report import render as rendering


class Page(HTMLParser):
    """Collects tags and text, and what a page would load."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.loads, self.text = [], [], []
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.loads += [value for name, value in attrs if name in ("src", "href") and not value.startswith("#")]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def page(audited):
    return Page(audited.reports.html.read_text())


def test_html_needs_nothing_but_itself(page, audited):
    assert all(load.startswith("data:") for load in page.loads)
    assert not any(tag in ("script", "link", "iframe") for tag, _ in page.tags)
    content = audited.reports.html.read_text()
    assert re.findall(r"url\((?!data:)", content) == []
    assert audited.reports.html.stat().st_size < 6e6


def test_html_is_readable_by_a_screen_reader(page):
    assert ("html", {"lang": "en"}) in page.tags
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    charts = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert images
    # Reliability with and without the attack, before and after, accuracy against epsilon.
    assert len(charts) == 4
    assert all(attributes.get("alt") for attributes in images)
    assert all(attributes.get("aria-label") for attributes in charts)
    headers = [attributes for tag, attributes in page.tags if tag == "th"]
    assert all(attributes.get("scope") for attributes in headers)


def test_html_holds_every_section(audited):
    content = audited.reports.html.read_text()
    headings = " ".join(re.findall(r"<h2[^>]*>(.*?)</h2>", content))
    for title in (
        "Identity", "What was audited", "Test data", "Threat model", "Attacks", "Performance without an attack",
        "Performance under attack", "Direction of the errors", "Can it be seen?", "Limits", "To repeat it",
    ):  # fmt: skip
        assert title in headings


def test_html_holds_the_figures(page, audited):
    text = " ".join("".join(page.text).split())
    record = audited.record
    for result in (record.clean, *record.attacks):
        assert f"{result.accuracy.count} of {result.accuracy.of}" in text
    assert record.model.sha256 in text
    assert record.data.manifest_sha256 in text
    assert record.audit.command in text
    assert "the board" in text
    assert "A. Person, head of assurance" in text


def test_pdf_has_pages_bookmarks_and_running_headers(audited):
    pdf = pypdf.PdfReader(audited.reports.pdf)
    assert audited.reports.pdf.stat().st_size < 6e6
    titles = [str(item.title) for item in pdf.outline[0:] if not isinstance(item, list)]
    nested = [
        str(item.title) for part in pdf.outline if isinstance(part, list) for item in part if not isinstance(item, list)
    ]
    assert any("Threat model" in title for title in titles + nested)
    for number, sheet in enumerate(pdf.pages, start=1):
        text = sheet.extract_text()
        assert f"Page {number} of {len(pdf.pages)}" in text
        assert audited.record.audit.id in text
        assert audited.record.model.sha256[:16] in text


def test_report_is_drawn_again_from_the_record_and_the_examples_alone(audited, tmp_path):
    folder = tmp_path / "copy"
    (folder / "examples").mkdir(parents=True)
    (folder / "results.json").write_bytes((audited.folder / "results.json").read_bytes())
    for picture in (audited.folder / "examples").iterdir():
        (folder / "examples" / picture.name).write_bytes(picture.read_bytes())
    again = render(folder)
    assert again.html.read_bytes() == audited.reports.html.read_bytes()
    assert again.pdf.is_file()
    for name in ("junit.xml", "summary.md"):
        assert (folder / name).read_bytes() == (audited.folder / name).read_bytes()


HOSTILE = ['<script>alert("1")</script>', "a->b & 'c'\n\u202e{{ 7 * 7 }}"]


def hostile(record):
    """The same record with class and file names that try to break out."""
    text = record.model_dump_json()
    for old, new in zip(("blue", "red"), HOSTILE, strict=True):
        text = re.sub(rf'"{old}"', json.dumps(new).replace("\\", "\\\\"), text)
        text = text.replace(f'"{old}->', json.dumps(new)[:-1] + "->").replace(f'->{old}"', "->" + json.dumps(new)[1:])
    parts = json.loads(text)
    parts["model"]["name"] = parts["data"]["path"] = "</style><img src=x onerror=alert(1)>"
    parts["data"]["skipped"] = [{"path": "<i>x", "reason": "</table>"}]
    parts["audit"]["command"] = "medaudit run '</code><u>'"
    return AuditRecord.model_validate(parts)


def test_names_from_outside_are_text_and_nothing_else(audited, tmp_path):
    record = hostile(audited.record)
    (tmp_path / "examples").mkdir()
    for picture in (audited.folder / "examples").iterdir():
        (tmp_path / "examples" / picture.name).write_bytes(picture.read_bytes())
    drawn = render(tmp_path, record)
    page = Page(drawn.html.read_text())
    assert not {tag for tag, _ in page.tags} & {"script", "i", "u"}
    assert not any("onerror" in attributes for _, attributes in page.tags)
    text = "".join(page.text)
    assert HOSTILE[0] in text
    assert "{{ 7 * 7 }}" in text
    assert "1 file was left out" in " ".join(text.split())
    assert drawn.pdf.is_file()


@pytest.mark.parametrize("name", ["/etc/hostname", "../secret.png", "examples/../secret.png", "examples/absent.png"])
def test_a_record_cannot_name_files_outside_its_examples(audited, tmp_path, name):
    (tmp_path / "audit" / "examples").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "audit" / "secret.png").write_bytes(b"secret")
    example = audited.record.examples[0].model_copy(update={"original_file": name})
    record = audited.record.model_copy(update={"examples": [example]})
    with pytest.raises(BadInputError, match="lacks the picture"):
        render(tmp_path / "audit", record)
    assert not (tmp_path / "audit" / "report.html").exists()


def test_without_pango_there_is_html_and_a_reason(audited, tmp_path, monkeypatch):
    class Refusing:
        def find_spec(self, name, path=None, target=None):
            if name == "weasyprint":
                raise OSError("cannot load library 'libpango-1.0-0'")

    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
    record = audited.record.model_copy(update={"examples": []})
    drawn = render(tmp_path, record)
    assert drawn.html.is_file()
    assert drawn.pdf is None
    assert "Pango" in drawn.why_no_pdf
    assert "install" in drawn.why_no_pdf


def test_templates_are_found_in_a_checkout():
    assert (rendering.templates_folder() / "audit.html.j2").is_file()


def test_templates_are_shipped_in_the_wheel_and_found_there(audited, tmp_path):
    root = rendering.templates_folder().parent
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=root,
        check=True,
        capture_output=True,
    )
    wheel = next(tmp_path.glob("*.whl"))
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import sys; from auditor import render; from auditor.report.render import templates_folder;"
        "print(templates_folder()); render(sys.argv[1])"
    )
    folder = tmp_path / "audit"
    folder.mkdir()
    record = audited.record.model_copy(update={"examples": []})
    (folder / "results.json").write_text(record.model_dump_json())
    first = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r});"
    # An isolated interpreter finds the package in the unpacked wheel and nowhere else.
    found = subprocess.run(
        [sys.executable, "-I", "-c", f"{first} {code}", str(folder)],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout.strip() == str(tmp_path / "site" / "auditor" / "templates")
    assert (folder / "report.html").is_file()
