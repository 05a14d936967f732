"""Images in folders, one folder per class."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from auditor.data.images import SUFFIXES
from auditor.data.imageset import Intake
from auditor.data.pixels import UnreadableImageError
from auditor.data.source import File
from auditor.errors import BadInputError
from auditor.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from auditor.data.imageset import ImageSet

#: Folder names that say part of a data set and not class, in any case of letters, by the part they say.
_PARTS = {
    "test": ("test", "testing"),
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
}

#: Why a link is not followed.
OUTSIDE = "a link that leads out of the data folder; --follow-links reads it"


def find_part(folder: Path, part: str) -> Path | None:
    """Find the folder of the part `test` or `train`; one that holds no folders is a class of that name.

    Raises:
        BadInputError: if there are two.
    """
    try:
        found = sorted(
            child
            for child in (folder.iterdir() if folder.is_dir() else ())
            if child.name.lower() in _PARTS[part]
            and child.is_dir()
            and any(below.is_dir() for below in child.iterdir())
        )
    except OSError as error:
        raise BadInputError(f"The data folder {folder} cannot be read: {error.strerror}.") from error
    if len(found) > 1:
        names = " and ".join(repr(shown(child.name)) for child in found)
        raise BadInputError(f"{folder} holds {names}, each of which may be the part to {part} on; rename one.")
    return found[0] if found else None


def class_folders(folder: Path) -> dict[str, Path]:
    """Find the class folders in `folder`: by class name, sorted, the folder.

    Raises:
        BadInputError: if there are none.
    """
    if not folder.exists():
        raise BadInputError(f"The data folder {folder} does not exist.")
    if not folder.is_dir():
        raise BadInputError(
            f"{folder} is a file; give the folder that holds one folder of images per class, or a .csv or .npz file."
        )
    try:
        children = [child for child in folder.iterdir() if child.is_dir() and child.name[0] != "."]
    except OSError as error:
        raise BadInputError(f"The data folder {folder} cannot be read: {error.strerror}.") from error
    found = {shown(child.name): child for child in children}
    if len(found) < len(children):
        raise BadInputError(f"Two folders of {folder} have names that look the same; rename one.")
    if found and {name.lower() for name in found} <= {name for names in _PARTS.values() for name in names}:
        raise BadInputError(
            f"The folders of {folder} are parts of a data set ({', '.join(sorted(found))}), not classes. Give one of "
            "them, or name the one to test on test."
        )
    if not found:
        raise BadInputError(f"{folder} holds no class folders; put the images of each class into a folder of its own.")
    return dict(sorted(found.items()))


def read_folder(
    folder: Path,
    classes: Sequence[str] | None = None,
    *,
    root: Path | None = None,
    follow_links: bool = False,
    progress: Progress | None = None,
) -> ImageSet:
    """Read a folder that holds one folder of images per class.

    Hidden files and folders are passed over; any other file in a class folder that is not a readable image, every
    broken link, every link that leads out of the data folder, and every image beside the class folders is listed as
    skipped.

    Args:
        folder: the folder of the class folders.
        classes: the class names in the order of the labels; default the folder names, sorted.
        root: the data folder, if `folder` is a part of it: what the ids of the images are relative to.
        follow_links: whether links may lead out of the data folder.
        progress: told of each file.

    Raises:
        BadInputError: if the folder, a class folder, or any readable image in one is missing, or one of the folders is
            a link that may not be followed.
    """
    found = class_folders(folder)
    names = tuple(classes) if classes else tuple(found)
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
    top = root or folder
    limit = None if follow_links else top.resolve()
    for home in (folder, *found.values()):
        if home != top and limit and leads_outside(home, limit):
            raise BadInputError(f"{home} is a link that leads out of {top}; --follow-links follows it.")
    files = [(label, *file) for label, name in enumerate(names) for file in _walk(found[name], limit)]
    intake = Intake()
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.name[0] != "." and not path.is_dir():
            part = "" if folder == top else f"{shown(folder.relative_to(top).as_posix())}/"
            intake.skip(part, shown(path.name), "it lies in no class folder")
    with (progress or Silent()).task("Reading images", len(files)) as advance:
        for label, path, reason in files:
            home = found[names[label]]
            place, rest = f"{shown(home.relative_to(top).as_posix())}/", shown(path.relative_to(home).as_posix())
            if reason:
                intake.skip(place, rest, reason)
            else:
                intake.add(place, rest, File(path), label)
            advance(1, "")
    images = intake.image_set(names)
    for name, count in images.per_class.items():
        if not count:
            place = f"{shown(found[name].relative_to(top).as_posix())}/"
            why = next((f" ({file.id}: {file.reason})" for file in images.skipped if file.id.startswith(place)), "")
            raise BadInputError(
                f"The class folder {found[name]} holds no readable image{why}. Add images of that class, or remove the "
                "folder if the model does not know the class."
            )
    return images


def folder_hashes(
    folder: Path, *, root: Path, follow_links: bool = False, progress: Progress | None = None
) -> frozenset[str] | None:
    """SHA-256 of every file below a folder of the data folder `root`, as `file_hashes` takes them."""
    limit = None if follow_links else root.resolve()
    if limit and leads_outside(folder, limit):
        return None
    return file_hashes([path for path, reason in _walk(folder, limit) if not reason], progress)


def file_hashes(files: Sequence[Path], progress: Progress | None = None) -> frozenset[str] | None:
    """SHA-256 of files, to compare others with; None if one cannot be read, because then nothing is known for sure."""
    found = set()
    with (progress or Silent()).task("Reading training images", len(files)) as advance:
        for path in files:
            try:
                found.add(hashlib.sha256(File(path).read()).hexdigest())
            except UnreadableImageError:
                return None
            advance(1, "")
    return frozenset(found)


def shown(name: str) -> str:
    """Text of a file name: one that is no text could be neither printed nor written as JSON."""
    return os.fsencode(name).decode(errors="backslashreplace")


def leads_outside(path: Path, limit: Path) -> bool:
    """Whether a path, once its links are followed, lies outside the resolved folder `limit`."""
    try:
        return not path.resolve().is_relative_to(limit)
    except (OSError, RuntimeError):  # links that go round in a circle
        return False


def _walk(folder: Path, limit: Path | None) -> Iterator[tuple[Path, str]]:
    """Yield every file below a folder that is not hidden, and the reason why it is not to be read, if there is one.

    Links to files and folders are followed within `limit`, or without one everywhere; each folder is entered once.
    """
    home = folder.resolve()
    entered, waiting = {home}, [folder]
    while waiting:
        place = waiting.pop()
        try:
            children = sorted(place.iterdir())
        except OSError as error:
            yield place, f"cannot be read: {error.strerror}"
            continue
        for child in children:
            if child.name.startswith("."):
                continue
            if limit and child.is_symlink() and leads_outside(child, limit):
                yield child, OUTSIDE
            elif not child.is_dir():
                yield child, ""
            elif home.is_relative_to(real := child.resolve()):
                yield child, "a link to a folder above it"
            elif real in entered:
                yield child, "a folder that is read already, by way of a link"
            else:
                entered.add(real)
                waiting.append(child)
