"""Splits: drawing one for training, and finding the test images of an audit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from auditor.data.folder import read_folder
from auditor.data.manifest import is_manifest, read_manifest
from auditor.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from auditor.data.imageset import ImageSet, LabelledImage
    from auditor.progress import Progress
    from auditor.settings import TrainingSettings
    from auditor.sidecar import Split

SplitKind: TypeAlias = Literal["test folder", "manifest", "recorded split", "all images"]


@dataclass(frozen=True)
class TestSet:
    """The images of an audit and how they were chosen.

    Attributes:
        images: the test images.
        chosen: `test folder` (DATA/test), `manifest` (a CSV file says which), `recorded split` (the one recorded at
            training), or `all images`.
        train_overlap: how many of them are, byte for byte, training images; None if that is not known.
        recorded: how many test images were recorded at training; None if no split was.
        left_out: readable images of the data folder that are not part of the test set.
    """

    __test__ = False  # not a test case, whatever its name makes pytest think

    images: ImageSet
    chosen: SplitKind
    train_overlap: int | None
    recorded: int | None
    left_out: int


def has_part(folder: Path, name: str) -> bool:
    """Whether `folder/name` is a folder of class folders, and not itself a class folder."""
    part = folder / name
    return part.is_dir() and any(child.is_dir() for child in part.iterdir())


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
    folder: Path, settings: TrainingSettings, progress: Progress | None = None
) -> tuple[ImageSet, ImageSet]:
    """Find the training and the test images of a data folder: its parts `train` and `test`, else a drawn split.

    Raises:
        BadInputError: as `read_folder` and `stratified` do, or if there is only one class.
    """
    if has_part(folder, "train") and has_part(folder, "test"):
        if settings.per_class:
            raise BadInputError(f"{folder} is split into train and test already; leave out --per-class.")
        train = read_folder(folder / "train", root=folder, progress=progress)
        test = read_folder(folder / "test", train.classes, root=folder, progress=progress)
        train = replace(train, skipped=train.skipped + test.skipped)
    else:
        images = read_folder(folder, progress=progress)
        if settings.per_class:
            images = draw_per_class(images, settings.per_class, settings.seed)
        train, test = stratified(images, settings.test_fraction, settings.seed)
    if len(train.classes) < 2:
        raise BadInputError(f"{folder} holds one class only, {train.classes[0]!r}; a classifier needs at least two.")
    return train, test


def find_test_set(
    folder: Path, classes: Sequence[str] | None, split: Split | None, progress: Progress | None = None
) -> TestSet:
    """Find the test images of DATA: its `test` part, else the recorded split, else all images.

    Args:
        folder: the data folder, or a CSV file as `read_manifest` reads it.
        classes: class names in the order of the model's outputs; None for the folder names, sorted.
        split: the split recorded when the model was trained, if it is known. Images are recognised by
            their SHA-256, so they may have been moved or renamed.
        progress: told of each file.

    Raises:
        BadInputError: as `read_folder` does.
    """
    chosen: SplitKind = "all images"
    left_out = 0
    if is_manifest(folder):
        manifest = read_manifest(folder, classes, progress)
        images, left_out = manifest.images, manifest.left_out
        chosen = "manifest" if manifest.has_split else chosen
    else:
        chosen = "test folder" if has_part(folder, "test") else chosen
        part = folder / "test" if chosen == "test folder" else folder
        images = read_folder(part, classes, root=folder, progress=progress)
    if split is None:
        return TestSet(images, chosen, None, None, left_out)
    trained_on = {image.sha256 for image in split.train}
    recorded = {image.sha256 for image in split.test}
    selected = images
    if chosen == "all images" and any(image.sha256 in recorded for image in images.images):
        chosen = "recorded split"
        selected = _recorded_once(images, split)
        if empty := [name for name, count in selected.per_class.items() if not count]:
            raise BadInputError(
                f"{folder} holds {len(selected)} of the {len(recorded)} test images recorded at training, and none of "
                f"class {', '.join(map(repr, empty))}. Give the whole data set, or put the images to test into "
                "class folders in a folder named test."
            )
    overlap = sum(image.sha256 in trained_on for image in selected.images)
    return TestSet(selected, chosen, overlap, len(split.test), left_out + len(images) - len(selected))


def _recorded_once(images: ImageSet, split: Split) -> ImageSet:
    """Take the recorded test images, each as often as it was recorded: a copy elsewhere is no further evidence."""
    left = Counter(image.sha256 for image in split.test)

    def wanted(image: LabelledImage) -> bool:
        left[image.sha256] -= 1
        return left[image.sha256] >= 0

    return images.where(wanted)
