import json
import re
import shutil

import pypdf
import pytest
from conftest import draw_folder, medaudit
from markdown_it import MarkdownIt

from auditor import Comparison, read_comparison
from auditor.comparison.record import FILE_NAME


def test_two_audits_are_compared(capsys, audited, later, data, tmp_path):
    code, out, err = medaudit(capsys, "compare", audited.folder, later.folder, "--data", data, "-o", tmp_path / "c")
    assert code == 0, err
    found = read_comparison(tmp_path / "c")
    assert "B against A: regressed" in out
    assert found.pairs[0].sentences[0] in out
    text = " ".join((tmp_path / "c" / "comparison.html").read_text().split())
    for difference in found.pairs[0].differences:
        if difference.primary:
            assert f"{difference.before.count} of {difference.before.of}" in text
    shown = [image.picture for image in found.pairs[0].images if image.picture]
    assert shown
    assert {path.name for path in (tmp_path / "c" / "pictures").iterdir()} == {name.split("/")[1] for name in shown}
    assert re.findall(r'(?:src|href)="(?!data:|#)', text) == []
    pages = pypdf.PdfReader(tmp_path / "c" / "comparison.pdf").pages
    assert "regressed" in pages[0].extract_text()
    markdown = (tmp_path / "c" / "comparison.md").read_text()
    assert markdown.startswith("## B against A: regressed\n")
    # Drawn again from the record and the pictures alone.
    before = (tmp_path / "c" / "comparison.html").read_bytes()
    code, out, err = medaudit(capsys, "report", tmp_path / "c")
    assert code == 0, err
    assert (tmp_path / "c" / "comparison.html").read_bytes() == before


def test_a_regression_has_an_exit_code_where_it_was_asked(capsys, audited, later, tmp_path):
    arguments = ("compare", audited.folder, later.folder, "--fail-on-regression")
    assert medaudit(capsys, *arguments, "-o", tmp_path / "a")[0] == 1
    arguments = ("compare", later.folder, audited.folder, later.folder, "--fail-on-regression")
    code, out, _ = medaudit(capsys, *arguments, "-o", tmp_path / "b")
    assert code == 0
    # FGSM alone, and nothing that shows that it works: a rise under it is no improvement.
    assert "B against A: inconclusive" in out
    assert "No check shows that the attacks on B can win" in " ".join(out.split())
    assert "C against A: no difference shown" in out


def test_two_models_are_audited_with_the_options_given(capsys, trained, weaker, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = medaudit(capsys, "compare", trained.model, weaker.model, "--data", data, "--eps", "2/255")
    assert code == 0, err
    (folder,) = (tmp_path / "comparisons").iterdir()
    assert [version.model for version in read_comparison(folder).versions] == ["small", "weaker"]


def test_models_are_audited_first(capsys, audited, weaker, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = medaudit(capsys, "compare", audited.folder, weaker.model, "--data", data)
    assert code == 0, err
    (folder,) = (tmp_path / "comparisons").iterdir()
    (audit,) = (tmp_path / "audits").iterdir()
    found = read_comparison(folder)
    # The attacks are those of the audit that was given.
    assert found.versions[1].audit.config.epsilons == audited.record.audit.config.epsilons
    assert found.versions[1].audit.id == audit.name
    assert out.count("comparison.html") == 1


def test_a_baseline_fills_a_section_of_the_report(later, audited):
    assert later.comparison == read_comparison(later.folder)
    assert later.record.audit.config.critical == audited.record.audit.config.critical
    text = " ".join(later.reports.html.read_text().split())
    section = text.split("Against the previous version</h2>")[1].split("<h2")[0]
    assert audited.record.audit.id in section
    assert later.comparison.pairs[0].sentences[0] in section
    assert (later.folder / "comparison.html").is_file()
    without = " ".join(audited.reports.html.read_text().split())
    assert "No previous version was compared" in without


def test_a_run_with_a_baseline_can_fail(capsys, weaker, data, audited, tmp_path):
    code, out, err = medaudit(
        capsys, "run", weaker.model, data, "--baseline", audited.folder, "--fail-on-regression", "-o", tmp_path / "a"
    )
    assert code == 1, err
    assert "B against A: regressed" in out


def test_another_baseline_is_refused_before_the_work(capsys, trained, audited, tmp_path):
    other = draw_folder(tmp_path / "other", 4, first=500)
    arguments = ("run", trained.model, other, "--baseline", audited.folder, "-o", tmp_path / "a")
    code, _, err = medaudit(capsys, *arguments)
    assert code == 2
    assert "can be no baseline of this audit: the test images are others" in " ".join(err.split())
    assert not (tmp_path / "a").exists()
    code, _, err = medaudit(capsys, *arguments, "--seed", "4")
    assert "the seeds differ: 0 and 4" in " ".join(err.split())


def test_a_folder_in_the_way_is_told_before_any_audit(capsys, trained, weaker, data, tmp_path, monkeypatch):
    monkeypatch.setattr("auditor.api.audit", None)
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy" / "file").touch()
    code, _, err = medaudit(capsys, "compare", trained.model, weaker.model, "--data", data, "-o", tmp_path / "busy")
    assert code == 2
    assert "is not empty" in " ".join(err.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare"], "Two to 26 versions can be compared; 0 were given"),
        (["compare", "{a}"], "Two to 26 versions can be compared; 1 were given"),
        (["compare", "{a}", "nothing.h5"], "nothing.h5 is no finished audit. To audit a model first, name the images"),
        (["compare", "{a}", "{a}", "--eps", "1/255"], "eps: options of an audit are for models"),
        (["compare", "{a}", "{a}", "--data", "{tmp}"], "class folders"),
        (["compare", "{a}", "{a}", "-o", "{a}"], "is not empty"),
    ],
)
def test_wrong_use_is_a_plain_error(capsys, audited, tmp_path, arguments, message):
    filled = [argument.format(a=audited.folder, tmp=tmp_path) for argument in arguments]
    code, _, err = medaudit(capsys, *filled)
    assert code == 2
    assert message in " ".join(err.split())


def test_names_are_harmless(later, audited, tmp_path):
    folder = tmp_path / "hostile"
    shutil.copytree(later.folder, folder)
    record = json.loads((folder / FILE_NAME).read_text())
    record["versions"][0]["model"] = "<script>alert(1)</script>"
    record["data"] = "| [x](y) @all"
    record["pairs"][0]["images"][0]["id"] = '"><img src=x onerror=alert(1)>'
    (folder / FILE_NAME).write_text(Comparison.model_validate(record).model_dump_json())
    from auditor import render

    render(folder)
    page, markdown = ((folder / f"comparison.{kind}").read_text() for kind in ("html", "md"))
    assert "<script" not in page
    assert "<img src=x" not in page
    drawn = MarkdownIt("gfm-like").render(markdown)
    assert "<script" not in drawn
    assert "alert(1)" in drawn


def test_pictures_outside_the_folder_are_refused(capsys, later, tmp_path):
    folder = tmp_path / "hostile"
    shutil.copytree(later.folder, folder)
    record = json.loads((folder / FILE_NAME).read_text())
    record["pairs"][0]["images"][0]["picture"] = "../secret.png"
    (folder / FILE_NAME).write_text(json.dumps(record))
    code, _, err = medaudit(capsys, "report", folder)
    assert (code, "lacks the picture" in err) == (2, True)
