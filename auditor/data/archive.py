"""Images in one NumPy archive, in the style of MedMNIST: `test_images`, `test_labels`, and the same for other parts."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from auditor.data.imageset import Intake, Part
from auditor.data.pixels import UnreadableImageError, check_size
from auditor.data.source import Row, Rows
from auditor.errors import BadInputError
from auditor.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

#: A member that is larger and was compressed to less than this share of its size is refused: images are not so plain.
_HARMLESS, _LEAST_SHARE = 2**24, 1 / 500

#: Longest header of an array that is read; that of an array of images has about a hundred bytes.
_LONGEST_HEADER = 2000

#: More images than this are refused.
_MOST_IMAGES = 10**6

_PARTS = ("train", "val", "test")


def is_archive(data: Path) -> bool:
    """Whether DATA is an NPZ file and not a folder."""
    return data.suffix.lower() == ".npz" and not data.is_dir()


def read_archive(
    path: Path, classes: Sequence[str] | None = None, *, part: str = "test", progress: Progress | None = None
) -> Part:
    """Read the images of one part of an NPZ file.

    The images are arrays of 8 bits of shape `(n, height, width)`, `(n, height, width, 1)` or
    `(n, height, width, 3)`, the labels integers of shape `(n,)` or `(n, 1)`. Memory does not grow with their number:
    a compressed array is first inflated into a file without a name, which vanishes when the process ends.

    Args:
        path: of the file.
        classes: the class names in the order of the labels; default the numbers 0, 1, ...
        part: `train`, `val` or `test`.
        progress: told of each image.

    Raises:
        BadInputError: if the file cannot be read, is damaged or a decompression bomb, or its arrays are not as above.
    """
    if not path.is_file():
        raise BadInputError(f"The data file {path} {'is no ordinary file' if path.exists() else 'does not exist'}.")
    try:
        stream = path.open("rb")  # closed with the last image that lies in it
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return _read(path, stream, classes, part, progress or Silent())
    except BaseException as error:
        stream.close()
        if isinstance(error, BadInputError) or not isinstance(error, Exception):
            raise
        if isinstance(error, UnreadableImageError):
            raise BadInputError(f"{path}: {error}.") from error
        # A damaged archive raises whatever its bytes happen to say.
        raise BadInputError(f"{path} is no NPZ archive, or is damaged ({type(error).__name__}).") from error


@dataclass(frozen=True)
class _Array:
    """An array of an archive, laid out as plain bytes in a stream."""

    stream: BinaryIO
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


def _read(path: Path, stream: BinaryIO, classes: Sequence[str] | None, part: str, progress: Progress) -> Part:
    with zipfile.ZipFile(stream) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        held = [name for name in _PARTS if {f"{name}_images", f"{name}_labels"} <= members.keys()]
        if part not in held:
            others = ", ".join(map(repr, sorted(members)[:8])) or "nothing"
            raise BadInputError(f"{path} holds no {part}_images and {part}_labels; it holds {others}.")
        images = {name: _images(path, stream, archive, members[f"{name}_images"]) for name in held if name != "val"}
        labels = {name: _labels(path, stream, archive, members[f"{name}_labels"]) for name in held}
    for name, array in images.items():
        if len(labels[name]) != array.shape[0]:
            raise BadInputError(f"{path}: {name} has {array.shape[0]} images and {len(labels[name])} labels.")
    count = 1 + max(int(values.max(initial=0)) for values in labels.values())
    if classes is None and count > 1000:
        raise BadInputError(f"{path}: labels go up to {count - 1}; they are to number the classes from 0.")
    names = tuple(classes) if classes else tuple(map(str, range(count)))
    if count > len(names):
        raise BadInputError(f"{path} has labels up to {count - 1}, but only {len(names)} classes are named.")
    intake, rows = Intake(), Rows(images[part].stream, images[part].start, images[part].shape[1:])
    with progress.task("Reading images", len(labels[part])) as advance:
        for number, label in enumerate(labels[part].tolist()):
            intake.add(f"{part}/", f"{number:06d}", Row(rows, number), label)
            advance(1, "")
    found = intake.image_set(names)
    if empty := [name for name, number in found.per_class.items() if not number]:
        raise BadInputError(f"{path} has no {part} image of class {', '.join(map(repr, empty))}.")
    left_out = sum(len(values) for values in labels.values()) - len(labels[part])
    training = _hashes(images["train"], progress) if "train" in held and part == "test" else None
    return Part(found, True, left_out, training)


def _images(path: Path, stream: BinaryIO, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> _Array:
    array = _array(path, stream, archive, member)
    if array.dtype != np.uint8:
        raise BadInputError(f"{path}: {member.filename} is of type {array.dtype}; images are of 8 bits (uint8).")
    size = array.shape[1:]
    if not (len(size) == 2 or (len(size) == 3 and size[2] in (1, 3))):
        raise BadInputError(
            f"{path}: {member.filename} has the shape {array.shape}; images have height and width, and at most 3 "
            "channels. Volumes are not read."
        )
    if min(size) < 1 or array.shape[0] > _MOST_IMAGES:
        raise BadInputError(
            f"{path}: {member.filename} has the shape {array.shape}, with too little or too much in it."
        )
    check_size(size[1], size[0])
    return array


def _labels(path: Path, stream: BinaryIO, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.int64]:
    array = _array(path, stream, archive, member)
    if len(array.shape) == 2 and array.shape[1] > 1:
        raise BadInputError(
            f"{path}: {member.filename} has {array.shape[1]} labels for each image; that is multi-label, and no "
            "single-label classification."
        )
    if array.dtype.kind not in "iu" or len(array.shape) not in (1, 2) or not 0 < np.prod(array.shape) <= _MOST_IMAGES:
        raise BadInputError(f"{path}: {member.filename} is no list of whole numbers, one for each image.")
    count = array.shape[0]
    array.stream.seek(array.start)
    values = np.frombuffer(array.stream.read(count * array.dtype.itemsize), array.dtype)
    if len(values) < count or values.min() < 0 or int(values.max()) >= 2**31:
        raise BadInputError(f"{path}: {member.filename} holds labels that number no class.")
    return values.astype(np.int64)


def _array(path: Path, stream: BinaryIO, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> _Array:
    """Find an array in an archive, and inflate it into a file without a name if it is compressed."""
    packed, size = member.compress_size, member.file_size
    if member.compress_type == zipfile.ZIP_STORED:
        with archive.open(member) as whole:
            while whole.read(2**20):  # checks that it is where the archive says, and as it was
                pass
        stream.seek(member.header_offset + 26)
        lengths = stream.read(4)
        begin = (
            member.header_offset + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        )
        stream.seek(begin)
    else:
        if size > _HARMLESS and packed < size * _LEAST_SHARE:
            raise BadInputError(f"{path}: {member.filename} is a likely decompression bomb: {packed} to {size} bytes.")
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if size > free // 2:
            raise BadInputError(
                f"{path}: {member.filename} takes {size / 1e9:.1f} GB when inflated, and {tempfile.gettempdir()} has "
                f"{free / 1e9:.1f} GB free. Save the archive uncompressed, or name another folder with TMPDIR."
            )
        stream, begin = tempfile.TemporaryFile(), 0  # noqa: SIM115 - it is closed with the last image that lies in it
        with archive.open(member) as packed_stream:
            shutil.copyfileobj(packed_stream, stream, 2**20)
        if stream.tell() != size:
            raise BadInputError(f"{path}: {member.filename} is not of the size that it states.")
        stream.seek(0)
    version = np.lib.format.read_magic(stream)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = reader(stream, max_header_size=_LONGEST_HEADER)
    start = stream.tell()
    if by_columns and len(shape) > 1:
        raise BadInputError(f"{path}: {member.filename} is laid out by columns; save it with np.ascontiguousarray.")
    if (
        dtype.hasobject
        or min(shape, default=0) < 0
        or start - begin + int(np.prod(shape, dtype=object)) * dtype.itemsize != size
    ):
        raise BadInputError(f"{path}: {member.filename} is not of the size that it states.")
    return _Array(stream, start, shape, dtype)


def _hashes(array: _Array, progress: Progress) -> frozenset[str]:
    """SHA-256 of every image of an array."""
    rows = Rows(array.stream, array.start, array.shape[1:])
    found = set()
    with progress.task("Reading training images", array.shape[0]) as advance:
        for number in range(array.shape[0]):
            found.add(hashlib.sha256(rows.read(number)).hexdigest())
            advance(1, "")
    return frozenset(found)
