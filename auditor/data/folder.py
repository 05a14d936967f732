"""Images in folders, one folder per class."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from auditor.data.images import SUFFIXES, UnreadableImageError, decode
from auditor.data.imageset import ImageSet, LabelledImage, SkippedFile
from auditor.errors import BadInputError
from auditor.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


#: Folder names that say part of a data set and not class.
_PARTS = frozenset({"test", "train", "training", "val", "valid", "validation"})


def class_folders(folder: Path) -> tuple[str, ...]:
    """Names of the class folders in `folder`, sorted. Raises `BadInputError` if there are none."""
    if not folder.exists():
        raise BadInputError(f"The data folder {folder} does not exist.")
    if not folder.is_dir():
        raise BadInputError(f"{folder} is a file; give the folder that holds one folder of images per class.")
    try:
        names = sorted(child.name for child in folder.iterdir() if child.is_dir() and child.name[0] != ".")
    except OSError as error:
        raise BadInputError(f"The data folder {folder} cannot be read: {error.strerror}.") from error
    if names and set(names) <= _PARTS:
        raise BadInputError(
            f"The folders of {folder} are parts of a data set ({', '.join(names)}), not classes. Give one of them, or "
            "name the one to test on test."
        )
    if not names:
        raise BadInputError(f"{folder} holds no class folders; put the images of each class into a folder of its own.")
    return tuple(names)


def read_folder(
    folder: Path,
    classes: Sequence[str] | None = None,
    *,
    root: Path | None = None,
    progress: Progress | None = None,
) -> ImageSet:
    """Read a folder that holds one folder of images per class.

    Every file is hashed and decoded once, so that a broken one is known before the long work begins.
    Hidden files and folders are passed over; any other file that is not a readable image, and every broken
    link, is listed as skipped.

    Args:
        folder: the folder of the class folders.
        classes: the class names in the order of the labels; default the folder names, sorted.
        root: what the ids of the images are relative to; default `folder`.
        progress: told of each file.

    Raises:
        BadInputError: if the folder, a class folder, or any readable image in one is missing.
    """
    found = class_folders(folder)
    names = tuple(classes) if classes else found
    if missing := [name for name in names if name not in found]:
        raise BadInputError(
            f"{folder} has no folder for class {', '.join(map(repr, missing))}; its folders are "
            f"{', '.join(map(repr, found))}."
        )
    if extra := [name for name in found if name not in names]:
        raise BadInputError(
            f"{folder} has folders that are no class of the model: {', '.join(map(repr, extra))}. "
            f"The classes are {', '.join(map(repr, names))}; move the others out or name the classes with --classes."
        )
    files = [
        (path, label)
        for label, name in enumerate(names)
        for path in (folder / name).rglob("*")
        if not path.is_dir() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    images: list[LabelledImage] = []
    skipped: list[SkippedFile] = []
    with (progress or Silent()).task("Reading images", len(files)) as advance:
        for path, label in files:
            # A name that is no text could be neither printed nor written as JSON.
            identity = os.fsencode(path.relative_to(root or folder).as_posix()).decode(errors="backslashreplace")
            try:
                images.append(LabelledImage(identity, path, label, checked_hash(path)))
            except UnreadableImageError as error:
                skipped.append(SkippedFile(identity, str(error)))
            advance(1, "")
    for label, name in enumerate(names):
        if not any(image.label == label for image in images):
            raise BadInputError(
                f"The class folder {folder / name} holds no readable image. Add images of that class, or remove the "
                "folder if the model does not know the class."
            )
    return ImageSet(
        names,
        tuple(sorted(images, key=lambda image: image.id)),
        tuple(sorted(skipped, key=lambda file: file.id)),
    )


def checked_hash(path: Path) -> str:
    """SHA-256 of an image file that was seen to decode."""
    if path.suffix.lower() not in SUFFIXES:
        raise UnreadableImageError(f"not an image file by its name ({path.suffix or 'no ending'})")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"cannot be read: {error.strerror}") from error
    decode(content, (1, 1), 3)
    return hashlib.sha256(content).hexdigest()
