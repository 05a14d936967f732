import os
import shutil

import numpy as np
import pytest
from conftest import draw, draw_folder

from auditor.data.folder import class_folders, find_part, read_folder
from auditor.errors import BadInputError


def test_images_come_in_the_order_of_their_ids(data):
    found = read_folder(data)
    assert found.classes == ("blue", "red")
    assert [image.id for image in found.images] == sorted(image.id for image in found.images)
    assert found.per_class == {"blue": 30, "red": 30}
    assert found.labels.tolist() == [0] * 30 + [1] * 30


def test_batches_hold_every_image_once(data):
    found = read_folder(data)
    places, pixels = zip(*found.stream((16, 16), 3, found.places(25)), strict=True)
    assert [(p.start, p.stop) for p in places] == [(0, 25), (25, 50), (50, 60)]
    assert [p.shape for p in pixels] == [(25, 16, 16, 3), (25, 16, 16, 3), (10, 16, 16, 3)]
    assert np.array_equal(np.concatenate(pixels), found.pixels((16, 16), 3, 0, 60))
    assert list(found.stream((16, 16), 3, [])) == []


def test_given_classes_set_the_order_of_labels(data):
    found = read_folder(data, ("red", "blue"))
    assert found.classes == ("red", "blue")
    assert found.per_class == {"red": 30, "blue": 30}
    assert found.manifest_sha256 == read_folder(data).manifest_sha256


def test_manifest_tells_sets_apart(tmp_path):
    folder = draw_folder(tmp_path, 3)
    before = read_folder(folder).manifest_sha256
    draw(0, 99).save(folder / "blue" / "000.png")
    assert read_folder(folder).manifest_sha256 != before


def test_unreadable_files_are_listed_with_reasons(tmp_path):
    folder = draw_folder(tmp_path, 3)
    whole = (folder / "red" / "000.png").read_bytes()
    (folder / "red" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "red" / "text.jpg").write_text("no picture")
    (folder / "blue" / "notes.txt").write_text("no picture by its name")
    (folder / "blue" / ".hidden").write_text("passed over")
    (folder / "blue" / ".ipynb_checkpoints").mkdir()
    draw(0, 1).save(folder / "blue" / ".ipynb_checkpoints" / "passed-over.png")
    (folder / "blue" / "broken-link.png").symlink_to("absent.png")
    draw(0, 1).save(folder / "beside.png")
    found = read_folder(folder)
    assert len(found) == 6
    assert [file.id for file in found.skipped] == [
        "beside.png",
        "blue/broken-link.png",
        "blue/notes.txt",
        "red/cut.png",
        "red/text.jpg",
    ]
    assert all(file.reason for file in found.skipped)


def test_a_file_that_changes_is_noticed(tmp_path):
    folder = draw_folder(tmp_path, 2)
    found = read_folder(folder)
    draw(1, 99).save(folder / "red" / "001.png")
    with pytest.raises(BadInputError, match=r"001\.png changed"):
        found.pixels((8, 8), 3, 0, 4)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda f: None, "does not exist"),
        (lambda f: f.write_text("x"), "is a file"),
        (lambda f: f.mkdir(), "no class folders"),
        (lambda f: [draw_folder(f / part, 2) for part in ("train", "val")], "parts of a data set"),
        (lambda f: [(f / "a").mkdir(parents=True), (f / "b").mkdir()], "no readable image"),
    ],
)
def test_unusable_folders_are_plain_errors(tmp_path, prepare, message):
    folder = tmp_path / "data"
    prepare(folder)
    with pytest.raises(BadInputError, match=message):
        read_folder(folder)


def test_folders_and_classes_must_agree(data):
    with pytest.raises(BadInputError, match="no folder for class 'green'"):
        read_folder(data, ("blue", "green"))
    with pytest.raises(BadInputError, match="no class of the model: 'red'"):
        read_folder(data, ("blue",))


def test_names_that_are_no_text_are_shown_escaped(tmp_path):
    folder = draw_folder(tmp_path, 2)
    (folder / "red" / "000.png").rename(folder / "red" / "\udcff.png")
    assert "red/\\xff.png" in [image.id for image in read_folder(folder).images]


@pytest.fixture
def linked(tmp_path):
    """A data folder with links to files and folders inside and outside of it."""
    outside = draw_folder(tmp_path / "outside", 2, first=70)
    folder = draw_folder(tmp_path / "data", 2)
    (folder / "red" / "away.png").symlink_to(outside / "red" / "000.png")
    (folder / "red" / "afar").symlink_to(outside / "red")
    (folder / "red" / "near.png").symlink_to(folder / "red" / "000.png")
    (folder / "store").mkdir()
    draw(1, 71).save(folder / "store" / "x.png")
    (folder / "store").rename(folder / ".store")
    (folder / "red" / "inside").symlink_to("../.store")
    (folder / "red" / "circle").symlink_to("../red")
    (folder / "red" / "up").symlink_to("..")
    (folder / "red" / "again").symlink_to("../.store")
    return folder


def test_links_out_of_the_data_are_listed_and_not_followed(linked):
    found = read_folder(linked)
    skipped = {file.id: file.reason for file in found.skipped}
    assert skipped.keys() == {"red/away.png", "red/afar", "red/circle", "red/up", "red/inside"}
    assert "leads out" in skipped["red/away.png"]
    assert "leads out" in skipped["red/afar"]
    assert "above" in skipped["red/circle"]
    assert "above" in skipped["red/up"]
    assert "already" in skipped["red/inside"]
    ids = [image.id for image in found.images if image.label == 1]
    assert ids == ["red/000.png", "red/001.png", "red/again/x.png", "red/near.png"]


def test_links_out_of_the_data_are_followed_on_request(linked):
    ids = [image.id for image in read_folder(linked, follow_links=True).images]
    assert {"red/away.png", "red/afar/000.png", "red/afar/001.png"} <= set(ids)


def test_a_class_or_a_part_that_is_a_link_out_is_an_error(tmp_path):
    outside = draw_folder(tmp_path / "outside", 2)
    folder = draw_folder(tmp_path / "data", 2)
    (folder / "green").symlink_to(outside / "red")
    with pytest.raises(BadInputError, match=r"green is a link .*--follow-links"):
        read_folder(folder)
    assert len(read_folder(folder, follow_links=True)) == 6
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "test").symlink_to(outside)
    with pytest.raises(BadInputError, match=r"test is a link .*--follow-links"):
        read_folder(tmp_path / "parts" / "test", root=tmp_path / "parts")


def test_a_data_folder_may_itself_be_a_link(tmp_path):
    draw_folder(tmp_path / "data", 2)
    (tmp_path / "link").symlink_to("data")
    assert len(read_folder(tmp_path / "link")) == 4


def test_what_is_no_ordinary_file_is_not_waited_for(tmp_path):
    folder = draw_folder(tmp_path, 2)
    os.mkfifo(folder / "red" / "pipe.png")
    assert [(file.id, file.reason) for file in read_folder(folder).skipped] == [
        ("red/pipe.png", "it is no ordinary file")
    ]


def test_copies_are_found(tmp_path):
    folder = draw_folder(tmp_path, 3)
    shutil.copy(folder / "red" / "000.png", folder / "red" / "copy.png")
    shutil.copy(folder / "red" / "001.png", folder / "blue" / "other.png")
    groups = [[image.id for image in same] for same in read_folder(folder).duplicates]
    assert sorted(groups) == [["blue/other.png", "red/001.png"], ["red/000.png", "red/copy.png"]]


def test_conversions_are_counted(tmp_path):
    folder = draw_folder(tmp_path, 3)
    for name in "ab":
        picture = draw(1, 3).convert("RGBA")
        picture.putalpha(100)
        picture.save(folder / "red" / f"{name}.png")
    assert read_folder(folder).conversions == {"transparency composited on white": 2}


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "Testing"), ("TRAIN", "TEST")])
def test_parts_are_found_in_any_case(tmp_path, names):
    for name in names:
        draw_folder(tmp_path / name, 2)
    assert find_part(tmp_path, "test") == tmp_path / names[1]
    assert find_part(tmp_path, "train") == tmp_path / names[0]
    with pytest.raises(BadInputError, match="parts of a data set"):
        class_folders(tmp_path)


def test_two_folders_for_one_part_are_an_error(tmp_path):
    for name in ("test", "Testing"):
        draw_folder(tmp_path / name, 2)
    with pytest.raises(BadInputError, match="'Testing' and 'test'"):
        find_part(tmp_path, "test")


def test_a_class_may_be_called_test(tmp_path):
    folder = draw_folder(tmp_path, 2, ("control", "test"))
    assert find_part(folder, "test") is None
    assert read_folder(folder).classes == ("control", "test")
