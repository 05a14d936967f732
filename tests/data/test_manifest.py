import csv
import shutil

import pytest
from conftest import draw

from auditor import AuditSettings, BadInputError, audit
from auditor.data.manifest import is_manifest, read_manifest
from auditor.data.split import find_test_set


def write(folder, rows, header=("path", "label"), name="list.csv", encoding="utf-8"):
    folder.mkdir(exist_ok=True)
    with (folder / name).open("w", newline="", encoding=encoding) as stream:
        table = csv.writer(stream)
        table.writerow(header)
        table.writerows(rows)
    return folder / name


@pytest.fixture
def folder(tmp_path):
    for label in (0, 1):
        for number in range(8):
            draw(label, 900 + number).save(tmp_path / f"{label}-{number}.png")
    return tmp_path


def rows(**more):
    return [[f"{label}-{n}.png", ("blue", "red")[label]] for label in (0, 1) for n in range(8)]


def test_images_labels_groups_and_subgroups(folder):
    table = [[*row, f"p{i // 2}", ("A", "")[i % 2], "secret"] for i, row in enumerate(rows())]
    path = write(folder, table, ("path", "label", "group", "subgroup_site", "name"))
    found = read_manifest(path).images
    assert found.classes == ("blue", "red")
    assert found.per_class == {"blue": 8, "red": 8}
    assert len(set(found.groups)) == 8
    assert found.subgroups == {"site": ["A", "not stated"] * 8}
    assert is_manifest(path)
    assert not is_manifest(folder)


def test_the_test_part_is_read_and_the_others_counted(folder):
    table = [[*row, "test" if i % 2 else "train"] for i, row in enumerate(rows())]
    path = write(folder, table, ("path", "label", "split"))
    found = find_test_set(path, None, None)
    assert (len(found.images), found.chosen, found.left_out) == (8, "manifest", 8)


def test_a_byte_order_mark_and_spaces_do_no_harm(folder):
    path = write(folder, [[f" {a} ", b] for a, b in rows()], (" path", "label "), encoding="utf-8-sig")
    assert len(read_manifest(path).images) == 16


def test_an_unreadable_image_is_skipped_with_its_reason(folder):
    (folder / "0-0.png").write_bytes(b"no")
    found = read_manifest(write(folder, [*rows(), ["absent.png", "red"]])).images
    assert [(file.id, bool(file.reason)) for file in found.skipped] == [("0-0.png", True), ("absent.png", True)]
    assert len(found) == 15


@pytest.mark.parametrize(
    ("table", "header", "message"),
    [
        ([["0-0.png", "blue"]], ("file", "label"), "lacks the column path"),
        ([["0-0.png", "blue"]], ("path", "path"), "lacks the column label"),
        ([], ("path", "label"), "names no image"),
        ([["0-0.png", "blue", "train"]], ("path", "label", "split"), "names no image whose split is test"),
        ([["0-0.png", "blue"], ["0-0.png", "red"]], ("path", "label"), "line 3.*named in line 2"),
        ([["0-0.png", "blue"], ["./0-0.png", "blue"]], ("path", "label"), "line 3.*named in line 2"),
        ([["0-0.png", ""]], ("path", "label"), "line 2.*empty"),
        ([["0-0.png"]], ("path", "label"), "line 2: 2 columns"),
        ([["0-0.png", "blue", "x"]], ("path", "label"), "line 2: 2 columns"),
        ([["../x.png", "blue"]], ("path", "label"), "does not lie below"),
        ([["/etc/passwd", "blue"]], ("path", "label"), "does not lie below"),
        ([["0-0.png", "blue", "p"], ["1-0.png", "red", " "]], ("path", "label", "group"), "line 3: the column group"),
        ([["0-0.png", "blue"], ["absent.png", "red"]], ("path", "label"), "no readable image of class 'red'"),
    ],
)
def test_a_table_that_cannot_be_right_is_a_plain_error(folder, table, header, message):
    with pytest.raises(BadInputError, match=message):
        read_manifest(write(folder, table, header))


def test_links_out_of_the_folder_are_not_followed(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    draw(0, 950).save(elsewhere / "x.png")
    (folder / "link.png").symlink_to(elsewhere / "x.png")
    (folder / "links").symlink_to(elsewhere)
    path = write(folder, [*rows(), ["link.png", "blue"], ["links/x.png", "blue"]])
    found = read_manifest(path).images
    assert [file.id for file in found.skipped] == ["link.png", "links/x.png"]
    assert all("leads out" in file.reason for file in found.skipped)
    assert len(read_manifest(path, follow_links=True).images) == 18


def test_the_overlap_with_the_training_rows_is_counted(folder):
    shutil.copy(folder / "0-0.png", folder / "again.png")
    table = [[*row, "test" if i % 2 else "train"] for i, row in enumerate(rows())]
    path = write(folder, [*table, ["again.png", "blue", "test"]], ("path", "label", "split"))
    found = find_test_set(path, None, None)
    assert (found.overlap, found.overlap_with) == (("again.png",), "training part")
    (folder / "1-0.png").unlink()
    found = find_test_set(path, None, None)
    assert (found.overlap, found.overlap_with) == (None, None)


def test_a_label_unknown_to_the_model_and_a_file_that_is_not_there(folder):
    with pytest.raises(BadInputError, match="line 2: the label 'blue' is no class"):
        read_manifest(write(folder, rows()), ["red", "green"])
    with pytest.raises(BadInputError, match="does not exist"):
        read_manifest(folder / "absent.csv")
    (folder / "bad.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInputError, match="UTF-8"):
        read_manifest(folder / "bad.csv")


def test_an_audit_of_a_table_has_groups_and_subgroups(folder, trained, tmp_path):
    table = [[*row, f"patient-{i}", ("A", "B")[i > 13]] for i, row in enumerate(rows())]
    path = write(folder, table, ("path", "label", "group", "subgroup_site"))
    result = audit(trained.model, path, tmp_path / "audit", AuditSettings(epsilons=(2 / 255,)))
    record = result.record
    assert record.data.groups == 16
    clustered = record.worst_case[0].clustered
    assert clustered.low <= record.worst_case[0].accuracy.value <= clustered.high
    large, small = record.subgroups
    assert (large.value, large.images, small.value, small.images) == ("A", 14, "B", 2)
    assert large.worst_case.of == 14
    # Two images tell nothing.
    assert small.clean is None
    page = result.reports.html.read_text()
    assert "cluster bootstrap" in page
    assert "too few" in page
    assert "patient-3" in (result.folder / "predictions.csv").read_text()
    assert "patient-3" not in page
