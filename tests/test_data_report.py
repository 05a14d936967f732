"""What an audit says of its test images: copies, overlap, conversions, links."""

import json
import re
import shutil

import pytest
from conftest import draw, draw_folder, medaudit

from auditor import AuditSettings, audit
from auditor.record import FILE_NAME, read_record
from auditor.report import words


@pytest.fixture(scope="module")
def told(trained, data, tmp_path_factory):
    """An audit of a test folder with every kind of fault, by way of the command line."""
    home = tmp_path_factory.mktemp("told")
    outside = draw_folder(home / "outside", 1, first=850)
    folder = draw_folder(home / "data" / "test", 8, first=800)
    shutil.copy(folder / "red" / "000.png", folder / "red" / "same.png")
    shutil.copy(folder / "red" / "001.png", folder / "blue" / "torn.png")
    shutil.copy(next(data / image.id for image in trained.sidecar.split.train), folder / "blue" / "known.png")
    clear = draw(1, 870).convert("RGBA")
    clear.putalpha(128)
    clear.save(folder / "red" / "clear.png")
    (folder / "red" / "away.png").symlink_to(outside / "red" / "000.png")
    return home / "data"


@pytest.fixture(scope="module")
def record(told, trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("record") / "audit"
    return audit(trained.model, told, folder, AuditSettings(epsilons=(2 / 255,))), folder


def test_the_record_counts_and_names(record):
    data = record[0].record.data
    assert (data.images, data.train_overlap, data.overlap) == (20, 1, ["test/blue/known.png"])
    assert data.overlap_with == "recorded split"
    assert sorted((same.images, same.classes) for same in data.duplicates) == [
        (["test/blue/torn.png", "test/red/001.png"], ["blue", "red"]),
        (["test/red/000.png", "test/red/same.png"], ["red"]),
    ]
    assert data.conversions == {"transparency composited on white": 1}
    assert [file.path for file in data.skipped] == ["test/red/away.png"]


def test_the_report_names_them_and_page_one_warns(record):
    page = re.sub(r"<[^>]+>", "", record[0].reports.html.read_text())
    first, _, rest = page.partition("Contents")
    assert "1 of the 20 test images are, byte for byte, images the model was trained on" in first
    assert "2 test images are, byte for byte, the same as one of another class" in first
    assert "2 of the 20 test images repeat another" in first
    for name in ("test/blue/known.png", "test/blue/torn.png", "test/red/same.png", "test/red/away.png"):
        assert name in rest
        assert name not in first
    assert "transparency composited on white: 1 image" in rest
    assert "--follow-links" in rest
    summary = (record[1] / "summary.md").read_text()
    assert all(sentence in summary for sentence in words.data_warnings(record[0].record))


def test_no_path_of_this_machine_is_written(record, told):
    for path in record[1].rglob("*"):
        if path.suffix in (".html", ".json", ".csv", ".md", ".xml"):
            assert str(told.parent) not in path.read_text()


def test_links_are_followed_on_request_and_the_command_says_so(told, trained, tmp_path, capsys):
    code, out, _ = medaudit(
        capsys, "run", trained.model, told, "-o", tmp_path / "audit", "--eps=2/255", "--follow-links"
    )
    assert code == 0
    found = read_record(tmp_path / "audit")
    assert (found.data.images, found.data.skipped) == (21, [])
    assert "--follow-links" in found.audit.command
    assert "Warning: 1 of the 21 test images" in out


def test_few_copies_are_named_but_not_warned_of(record):
    whole = record[0].record
    one = [same for same in whole.data.duplicates if len(same.classes) == 1]
    data = whole.data.model_copy(update={"images": 1000, "duplicates": one, "train_overlap": 0})
    assert words.data_warnings(whole.model_copy(update={"data": data})) == []
    assert words.repeated(whole.model_copy(update={"data": data})) == 1


def test_the_overlap_with_a_part_of_the_data_is_not_called_the_models(record):
    whole = record[0].record
    data = whole.data.model_copy(update={"overlap_with": "training part", "duplicates": []})
    (sentence,) = words.data_warnings(whole.model_copy(update={"data": data}))
    assert "images of the training part of the data" in sentence


def test_a_record_of_an_older_version_is_read(record, tmp_path):
    content = json.loads((record[1] / FILE_NAME).read_text())
    for name in ("overlap", "overlap_with", "duplicates", "conversions"):
        del content["data"][name]
    del content["audit"]["config"]["follow_links"]
    (tmp_path / FILE_NAME).write_text(json.dumps(content))
    old = read_record(tmp_path)
    assert old.data.duplicates is None
    assert words.repeated(old) is None
    assert "the model was trained on" in words.data_warnings(old)[0]
