"""Names of files, classes and folders as no one should choose them, through a whole audit."""

import contextlib
import csv
import io
import json
import os
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pypdf
import pytest
from conftest import draw
from markdown_it import MarkdownIt

from auditor.cli.main import main
from auditor.models.backend import keras
from auditor.predictions import read_predictions

CLASSES = ('-rf "<img src=x onerror=alert(1)>" \'&amp;', "=1+1\n日本\u202e\udcff")

FILES = (
    "=cmd|' -C calc'!A0.png", "+x.png", "-v.png", "@a.png", "a\nb.png", "\x1b[31mred\x07.png", "\udcff.png",
    "<script>alert(1)<b>&\"'.png", "מטופל\u202e.png", "日本語.png", " lead.png", "'quoted.png", "\tx.png", "\r.png",
    "{{ 7*7 }}.png", "](javascript:alert(1)).png", "é.png", "＝1.png", "\n=1.png",
)  # fmt: skip

FOLDER = '-o <i>"data"\n\u202e'


def text(name):
    """A name as it stands in text."""
    return os.fsencode(name).decode(errors="backslashreplace")


SHOWN = tuple(text(name) for name in CLASSES)
IDS = sorted(f"{text(name)}/{text(file)}" for name in CLASSES for file in FILES)


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Folder of an audit with such names, and what the command printed."""
    home = tmp_path_factory.mktemp("names")
    for label, name in enumerate(CLASSES):
        (home / FOLDER / name).mkdir(parents=True)
        for number, file in enumerate(FILES):
            draw(label, number).save(home / FOLDER / name / file, "PNG")
    (home / FOLDER / CLASSES[0] / "broken\x1b]0;x\x07<u>.png").write_bytes(b"no")
    k = keras()
    k.utils.set_random_seed(1)
    model = k.Sequential([k.Input((16, 16, 3)), k.layers.Flatten(), k.layers.Dense(2, activation="softmax")])
    model.save(home / "model.keras")
    out, err = io.StringIO(), io.StringIO()
    arguments = ["run", "--preprocessing=unit", "--eps=2/255", "-o", "audit", "--", "model.keras", FOLDER]
    with (
        contextlib.chdir(home),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main(arguments)
    assert ended.value.code in (0, 3), err.getvalue()
    return home / "audit", out.getvalue() + err.getvalue()


class Page(HTMLParser):
    """Collects the tags with their attributes, and the text."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.text, self.found, self.open = [], "", [], []
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        self.text += data
        self.found.append((tuple(self.open), data))


def test_json_has_every_name_as_it_is(audited):
    record = json.loads((audited[0] / "results.json").read_text(encoding="utf-8"))
    assert record["model"]["classes"] == list(SHOWN)
    assert record["data"]["path"] == FOLDER
    assert [file["path"] for file in record["data"]["skipped"]] == [f"{SHOWN[0]}/broken\x1b]0;x\x07<u>.png"]
    assert set(record["data"]["per_class"]) == set(SHOWN)


def test_the_table_has_every_name_and_no_formula(audited):
    path = audited[0] / "predictions.csv"
    assert list(read_predictions(path, SHOWN).ids) == IDS
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream, strict=True))
    assert len({len(row) for row in rows}) == 1
    # Numbers may begin with a minus.
    names = [row[i] for row in rows for i in (0, 1, 2, 3, 5)]
    assert not [
        name for name in names if name.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
    ]


def test_the_page_has_every_name_and_no_markup_of_theirs(audited):
    page = Page((audited[0] / "report.html").read_text(encoding="utf-8"))
    assert not {"script", "i", "u"} & {tag for tag, _ in page.tags}
    assert all(attributes.get("src", "data:").startswith("data:") for _, attributes in page.tags)
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not [a for _, a in page.tags if "javascript" in (a.get("href") or "")]
    for name in SHOWN:
        assert " ".join(name.split()) in " ".join(page.text.split())
    assert "49.png" not in page.text
    # What turns a line around is closed in: by an element, or by isolating characters.
    turned = [(around, data) for around, data in page.found if "\u202e" in data and "bdi" not in around]
    assert [found for found in turned if not re.search("\u2068[^\u2069]*\u202e[^\u2069]*\u2069", found[1])] == []


def test_the_pdf_is_drawn(audited):
    pdf = audited[0] / "report.pdf"
    if not pdf.exists():
        pytest.skip("no Pango here")
    content = "".join(page.extract_text() for page in pypdf.PdfReader(pdf).pages)
    assert "onerror=alert(1)" in content


def test_the_terminal_gets_nothing_but_text(audited):
    printed = audited[1]
    assert [c for c in set(printed) if not c.isprintable() and c != "\n"] == []
    assert "onerror=alert(1)" in printed
    assert "broken" in printed


def test_the_other_files_are_whole(audited):
    tree = ElementTree.parse(audited[0] / "junit.xml")
    assert tree.getroot().tag in ("testsuites", "testsuite")
    summary = MarkdownIt("commonmark").render((audited[0] / "summary.md").read_text(encoding="utf-8"))
    assert "&lt;img src=x" in summary
    assert "<img" not in summary
