"""Splits: drawing one for training, and finding the test images of an audit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from auditor.data.archive import is_archive, read_archive
from auditor.data.folder import class_folders, find_part, folder_hashes, read_folder
from auditor.data.imageset import Part
from auditor.data.manifest import is_manifest, read_manifest
from auditor.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from auditor.data.imageset import ImageSet, LabelledImage
    from auditor.progress import Progress
    from auditor.settings import TrainingSettings
    from auditor.sidecar import Split

SplitKind: TypeAlias = Literal["test folder", "manifest", "archive", "recorded split", "all images"]
OverlapKind: TypeAlias = Literal["recorded split", "training part"]


@dataclass(frozen=True)
class TestSet:
    """The images of an audit and how they were chosen.

    Attributes:
        images: the test images.
        chosen: `test folder` (DATA/test), `manifest` (a CSV file says which), `archive` (the test part of an NPZ file),
            `recorded split` (the one recorded at training), or `all images`.
        overlap: which of them are, byte for byte, training images; None if that is not known.
        overlap_with: where it is known from which the training images are: `recorded split`, or `training part` (of the
            data themselves); None if it is not known.
        recorded: how many test images were recorded at training; None if no split was.
        left_out: readable images of the data that are not part of the test set; None where they were not looked at.
    """

    __test__ = False  # not a test case, whatever its name makes pytest think

    images: ImageSet
    chosen: SplitKind
    overlap: tuple[str, ...] | None
    overlap_with: OverlapKind | None
    recorded: int | None
    left_out: int | None

    @property
    def train_overlap(self) -> int | None:
        """How many of the images are, byte for byte, training images; None if that is not known."""
        return None if self.overlap is None else len(self.overlap)


def check_data(data: Path) -> None:
    """Make sure that DATA is there and has classes, without reading any image. Raises `BadInputError`."""
    if not (is_manifest(data) or is_archive(data)):
        class_folders(find_part(data, "test") or data)


def stratified(images: ImageSet, test_fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Split into a training and a test part, class by class (the paper, section III-B2).

    Raises:
        BadInputError: if a class has too few images for both parts.
    """
    from sklearn.model_selection import train_test_split

    try:
        _, test = train_test_split(
            np.arange(len(images)), test_size=test_fraction, random_state=seed, stratify=images.labels
        )
    except ValueError as error:
        raise BadInputError(f"The images cannot be split into a training and a test part: {error}") from error
    chosen = {images.images[i].id for i in test}
    return images.where(lambda image: image.id not in chosen), images.where(lambda image: image.id in chosen)


def draw_per_class(images: ImageSet, count: int, seed: int) -> ImageSet:
    """Draw `count` images of each class at random, as the paper does with 500 (section III-B1).

    Raises:
        BadInputError: if a class has fewer images than that.
    """
    generator = np.random.default_rng(seed)
    keep: set[str] = set()
    for label, name in enumerate(images.classes):
        ids = [image.id for image in images.images if image.label == label]
        if len(ids) < count:
            raise BadInputError(f"Class {name!r} has {len(ids)} images, fewer than the {count} to draw of each class.")
        keep.update(generator.choice(ids, size=count, replace=False))
    return images.where(lambda image: image.id in keep)


def training_sets(
    data: Path, settings: TrainingSettings, progress: Progress | None = None
) -> tuple[ImageSet, ImageSet]:
    """Find the training and the test images of DATA: its parts `train` and `test`, else a drawn split.

    Raises:
        BadInputError: as `read_folder`, `read_archive` and `stratified` do, or if there is only one class.
    """
    if is_manifest(data):
        raise BadInputError(f"{data} is a CSV file; training reads a folder of class folders, or an NPZ file.")
    links = settings.follow_links
    train_part, test_part = (find_part(data, part) for part in ("train", "test"))
    divided = is_archive(data) or bool(train_part and test_part)
    if divided and settings.per_class:
        raise BadInputError(f"{data} is split into train and test already; leave out --per-class.")
    if is_archive(data):
        train = read_archive(data, part="train", progress=progress).images
        test = read_archive(data, train.classes, part="test", progress=progress).images
    elif train_part and test_part:
        train = read_folder(train_part, root=data, follow_links=links, progress=progress)
        test = read_folder(test_part, train.classes, root=data, follow_links=links, progress=progress)
    else:
        images = read_folder(data, follow_links=links, progress=progress)
        if settings.per_class:
            images = draw_per_class(images, settings.per_class, settings.seed)
        train, test = stratified(images, settings.test_fraction, settings.seed)
    if divided:
        train = replace(train, skipped=train.skipped + test.skipped)
    if len(train.classes) < 2:
        raise BadInputError(f"{data} holds one class only, {train.classes[0]!r}; a classifier needs at least two.")
    return train, test


def find_test_set(
    data: Path,
    classes: Sequence[str] | None,
    split: Split | None,
    progress: Progress | None = None,
    *,
    follow_links: bool = False,
) -> TestSet:
    """Find the test images of DATA: its `test` part, else the recorded split, else all images.

    Args:
        data: the data folder, or a CSV file as `read_manifest` reads it, or an NPZ file as `read_archive` does.
        classes: class names in the order of the model's outputs; None for the folder names, sorted.
        split: the split recorded when the model was trained, if it is known. Images are recognised by
            their SHA-256, so they may have been moved or renamed.
        progress: told of each file.
        follow_links: whether links may lead out of the data folder.

    Raises:
        BadInputError: as `read_folder` does.
    """
    part, chosen = _part(data, classes, split, follow_links, progress)
    if split is None:
        overlap = None if part.training is None else _among(part.images, part.training)
        return TestSet(part.images, chosen, overlap, None if overlap is None else "training part", None, part.left_out)
    recorded = {image.sha256 for image in split.test}
    selected = part.images
    if chosen == "all images" and any(image.sha256 in recorded for image in part.images.images):
        chosen = "recorded split"
        selected = _recorded_once(part.images, split)
        if empty := [name for name, count in selected.per_class.items() if not count]:
            raise BadInputError(
                f"{data} holds {len(selected)} of the {len(recorded)} test images recorded at training, and none of "
                f"class {', '.join(map(repr, empty))}. Give the whole data set, or put the images to test into "
                "class folders in a folder named test."
            )
    overlap = _among(selected, {image.sha256 for image in split.train})
    left_out = None if part.left_out is None else part.left_out + len(part.images) - len(selected)
    return TestSet(selected, chosen, overlap, "recorded split", len(split.test), left_out)


def _part(
    data: Path, classes: Sequence[str] | None, split: Split | None, links: bool, progress: Progress | None
) -> tuple[Part, SplitKind]:
    """Read the images that DATA has for testing, and say how they are known to be."""
    if is_archive(data):
        return read_archive(data, classes, progress=progress), "archive"
    if is_manifest(data):
        part = read_manifest(data, classes, follow_links=links, progress=progress)
        return part, "manifest" if part.stated else "all images"
    test, train = find_part(data, "test"), find_part(data, "train")
    images = read_folder(test or data, classes, root=data, follow_links=links, progress=progress)
    # Where a split was recorded, it says more than a folder's name.
    known = (
        folder_hashes(train, root=data, follow_links=links, progress=progress) if test and train and not split else None
    )
    return Part(images, bool(test), None if test else 0, known), "test folder" if test else "all images"


def _among(images: ImageSet, sha256: AbstractSet[str]) -> tuple[str, ...]:
    """Ids of the images whose hashes are among these."""
    return tuple(image.id for image in images.images if image.sha256 in sha256)


def _recorded_once(images: ImageSet, split: Split) -> ImageSet:
    """Take the recorded test images, each as often as it was recorded: a copy elsewhere is no further evidence."""
    left = Counter(image.sha256 for image in split.test)

    def wanted(image: LabelledImage) -> bool:
        left[image.sha256] -= 1
        return left[image.sha256] >= 0

    return images.where(wanted)
