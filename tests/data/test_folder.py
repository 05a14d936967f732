import numpy as np
import pytest
from conftest import draw, draw_folder

from auditor.data.folder import read_folder
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
    found = read_folder(folder)
    assert len(found) == 6
    assert [file.id for file in found.skipped] == [
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
