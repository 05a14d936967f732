import json
from html.parser import HTMLParser

import pytest
from conftest import medaudit

from auditor.history import History
from auditor.record import FILE_NAME

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m [bold]x"


@pytest.fixture
def audits(audited, tmp_path):
    """Three audits: two alike, one of a model with a hostile name on other images; and a damaged one."""
    root = tmp_path / "audits"
    for number, name in enumerate(("one", "two", "javascript:alert(1)")):
        content = json.loads(audited.record.model_dump_json())
        content["audit"]["finished"] = f"2026-01-0{number + 1}T12:00:00Z"
        if number == 2:
            content["model"]["name"] = content["data"]["path"] = HOSTILE
            content["data"]["manifest_sha256"] = "0" * 64
        (root / name).mkdir(parents=True)
        (root / name / FILE_NAME).write_text(json.dumps(content))
    (root / name / "report.html").write_text("")
    (root / "broken").mkdir()
    (root / "broken" / FILE_NAME).write_text("{")
    return root


def test_the_table_shows_versions_figures_and_what_can_be_compared(capsys, audits, audited):
    code, out, err = medaudit(capsys, "history", audits)
    assert code == 0, err
    lines = out.splitlines()
    clean = audited.record.clean.accuracy
    assert f"{clean.value:.1%}" in lines[1]
    assert f"of {clean.of}" in lines[1]
    assert "2026-01-01 12:00" in lines[1]
    assert audited.record.model.sha256[:8] in lines[2]
    assert "Only audits of one series can be compared" in out
    assert "Series 1: 2 audits" in out
    assert "Series 2: 1 audit," in out
    assert "1 folder was left out" in out
    assert "broken: results.json is damaged" in out
    assert "\x1b" not in out
    assert "[bold]x" in out


def test_json_goes_to_a_file_or_alone_to_standard_output(capsys, audits, tmp_path):
    code, out, err = medaudit(capsys, "history", audits, "--json", "-", "--eps", "16/255")
    assert code == 0, err
    printed = History.model_validate_json(out)
    assert [entry.series for entry in printed.audits] == [1, 1, 2]
    assert {series.epsilon for series in printed.series} == {16 / 255}
    assert [item.folder for item in printed.skipped] == ["broken"]
    code, out, err = medaudit(capsys, "history", audits, "--json", tmp_path / "h.json", "--eps", "16/255")
    assert code == 0, err
    assert History.model_validate_json((tmp_path / "h.json").read_text()) == printed
    assert "Only audits of one series" in out


def test_the_page_needs_nothing_and_lets_nothing_out(capsys, audits, tmp_path):
    code, _, err = medaudit(capsys, "history", audits, "--html", tmp_path / "trend.html")
    assert code == 0, err
    content = (tmp_path / "trend.html").read_text()
    tags, links, text = [], [], []

    class Page(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append(tag)
            links.extend(value for name, value in attrs if name in ("src", "href") and not value.startswith("#"))

        def handle_data(self, data):
            text.append(data)

    Page().feed(content)
    assert not {"script", "img", "link", "iframe"} & set(tags)
    assert tags.count("svg") == 1
    assert links == ["./audits/javascript%3Aalert%281%29/report.html"]
    words = "".join(text)
    assert HOSTILE in words
    assert "Only audits of one series can be compared" in words
    assert "results.json is damaged" in words


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--eps", "1/255,2/255"], "one epsilon"),
        (["--eps", "9"], "write for example 2/255"),
        (["--html", "absent/x.html"], "cannot be written"),
        (["--json", "absent/x.json"], "cannot be written"),
    ],
)
def test_bad_usage_is_a_plain_error(capsys, audits, arguments, message):
    code, _, err = medaudit(capsys, "history", audits, *arguments)
    assert code == 2
    assert message in " ".join(err.replace("│", " ").split())


def test_a_folder_without_an_audit_is_an_error_that_names_what_was_found(capsys, audits):
    code, out, err = medaudit(capsys, "history", audits / "broken")
    assert code == 2
    assert out == ""
    assert "damaged" in " ".join(err.split())
    assert "holds no finished audit" in " ".join(err.split())
