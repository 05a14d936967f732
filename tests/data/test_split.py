import shutil

import pytest
from conftest import draw_folder
from hypothesis import given
from hypothesis import strategies as st

from auditor import BadInputError, TrainingSettings
from auditor.data.folder import read_folder
from auditor.data.imageset import ImageSet, LabelledImage
from auditor.data.split import draw_per_class, find_test_set, stratified, training_sets
from auditor.sidecar import Split, SplitImage


def image_set(counts):
    images = [LabelledImage(f"{k}/{n}", None, k, f"{k}-{n}") for k, count in enumerate(counts) for n in range(count)]
    return ImageSet(tuple(map(str, range(len(counts)))), tuple(images))


@given(st.lists(st.integers(10, 60), min_size=2, max_size=4), st.integers(0, 5))
def test_stratified_split_keeps_the_share_of_every_class(counts, seed):
    images = image_set(counts)
    train, test = stratified(images, 0.3, seed)
    assert {i.id for i in train.images} | {i.id for i in test.images} == {i.id for i in images.images}
    assert len(train) + len(test) == len(images)
    for name, count in images.per_class.items():
        assert abs(test.per_class[name] - 0.3 * count) < 2
    assert stratified(images, 0.3, seed)[1].manifest_sha256 == test.manifest_sha256


def test_the_papers_split_has_700_and_300_images():
    train, test = stratified(image_set([500, 500]), TrainingSettings().test_fraction, 0)
    assert train.per_class == {"0": 350, "1": 350}
    assert test.per_class == {"0": 150, "1": 150}


def test_too_few_images_cannot_be_split():
    with pytest.raises(BadInputError, match="cannot be split"):
        stratified(image_set([1, 1]), 0.3, 0)


def test_draw_per_class():
    drawn = draw_per_class(image_set([50, 40]), 20, 3)
    assert drawn.per_class == {"0": 20, "1": 20}
    assert drawn.manifest_sha256 == draw_per_class(image_set([50, 40]), 20, 3).manifest_sha256
    with pytest.raises(BadInputError, match="has 40 images"):
        draw_per_class(image_set([50, 40]), 45, 3)


def test_all_images_without_a_record(data):
    found = find_test_set(data, None, None)
    assert (found.chosen, found.train_overlap, found.left_out, len(found.images)) == (
        "all images",
        None,
        0,
        60,
    )


def split_of(train, test):
    def part(images):
        return [SplitImage(id=image.id, sha256=image.sha256) for image in images.images]

    return Split(train=part(train), test=part(test))


def test_recorded_split_is_found_by_content_wherever_the_files_went(data, tmp_path):
    train, test = stratified(read_folder(data), 0.3, 0)
    moved = tmp_path / "moved"
    shutil.copytree(data, moved)
    for path in sorted(moved.rglob("*.png")):
        path.rename(path.with_name(f"renamed-{path.name}"))
    found = find_test_set(moved, None, split_of(train, test))
    assert found.chosen == "recorded split"
    assert {i.sha256 for i in found.images.images} == {i.sha256 for i in test.images}
    assert (found.train_overlap, found.left_out) == (0, len(train))
    assert found.recorded == len(found.images) == len(test)


def test_copies_of_recorded_images_are_no_further_evidence(data, tmp_path):
    train, test = stratified(read_folder(data), 0.3, 0)
    shutil.copytree(data, tmp_path / "data")
    for path in sorted((tmp_path / "data").rglob("*.png")):
        shutil.copy(path, path.with_name(f"copy-{path.name}"))
    found = find_test_set(tmp_path / "data", None, split_of(train, test))
    assert len(found.images) == found.recorded == len(test)


def test_a_class_without_recorded_images_is_an_error(data, tmp_path):
    train, test = stratified(read_folder(data), 0.3, 0)
    one_sided = Split(train=[], test=split_of(train, test.where(lambda image: image.label == 0)).test)
    with pytest.raises(BadInputError, match="none of class 'red'"):
        find_test_set(data, None, one_sided)


def test_test_folder_goes_first_and_its_overlap_is_counted(data, tmp_path):
    images = read_folder(data)
    train, test = stratified(images, 0.3, 0)
    shutil.copytree(data, tmp_path / "test")
    draw_folder(tmp_path / "train", 2)
    found = find_test_set(tmp_path, None, split_of(train, test))
    assert found.chosen == "test folder"
    assert found.train_overlap == len(train)
    assert found.images.images[0].id.startswith("test/blue/")


def test_training_uses_the_parts_of_the_folder(tmp_path):
    draw_folder(tmp_path / "train", 4)
    draw_folder(tmp_path / "test", 2, first=50)
    train, test = training_sets(tmp_path, TrainingSettings())
    assert (len(train), len(test)) == (8, 4)
    with pytest.raises(BadInputError, match="leave out --per-class"):
        training_sets(tmp_path, TrainingSettings(per_class=2))


def test_one_class_is_too_few(tmp_path):
    draw_folder(tmp_path, 10, ("only",))
    with pytest.raises(BadInputError, match="at least two"):
        training_sets(tmp_path, TrainingSettings())


def test_the_overlap_with_the_training_part_is_counted_where_no_split_was_recorded(tmp_path):
    draw_folder(tmp_path / "train", 4)
    draw_folder(tmp_path / "val", 4, first=30)
    draw_folder(tmp_path / "test", 2, first=3)
    found = find_test_set(tmp_path, None, None)
    assert found.overlap == ("test/blue/000.png", "test/red/000.png")
    assert (found.chosen, found.train_overlap, found.overlap_with) == ("test folder", 2, "training part")


def test_parts_without_a_test_part_are_an_error(tmp_path):
    draw_folder(tmp_path / "train", 2)
    draw_folder(tmp_path / "val", 2)
    with pytest.raises(BadInputError, match="parts of a data set"):
        find_test_set(tmp_path, None, None)
