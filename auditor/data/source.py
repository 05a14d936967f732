"""Where the bytes of an image lie: a file of its own, or a row of an archive."""

from __future__ import annotations

import stat
import threading
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - the annotations of a dataclass are read at run time
from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np
from PIL import Image

from auditor.data.images import SUFFIXES, is_dicom, open_image
from auditor.data.pixels import UnreadableImageError

if TYPE_CHECKING:
    from auditor.data.pixels import Opened

#: Larger files are not read: an image of the most pixels that are read is smaller, however it is stored.
MOST_BYTES = 2**30


class Source(Protocol):
    """One image, wherever it lies."""

    def read(self) -> bytes:
        """Read what the image's SHA-256 is over. Raises `UnreadableImageError`."""
        ...

    def open(self, content: bytes) -> Opened:
        """Decode what was read, as `auditor.data.images.open_image` does. Raises `UnreadableImageError`."""
        ...


@dataclass(frozen=True)
class File:
    """An image file.

    Attributes:
        path: where it lies.
    """

    path: Path

    def read(self) -> bytes:
        """Read the file, if it is one: a pipe or a device would never end."""
        try:
            status = self.path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableImageError("it is no ordinary file")
            if status.st_size > MOST_BYTES:
                raise UnreadableImageError(f"the file is larger than {MOST_BYTES // 2**30} GB")
            return self.path.read_bytes()
        except OSError as error:
            raise UnreadableImageError(f"cannot be read: {error.strerror}") from error

    def open(self, content: bytes) -> Opened:
        """Decode it by its content, if its name says that it is an image, or it is DICOM."""
        if not is_dicom(content) and self.path.suffix.lower() not in SUFFIXES:
            raise UnreadableImageError(f"not an image file by its name ({self.path.suffix or 'no ending'})")
        return open_image(content)


@dataclass(frozen=True)
class Rows:
    """Images of one size that lie behind one another as plain bytes.

    Attributes:
        stream: where they lie.
        start: place of the first in it.
        shape: of one image: height and width, and where there is a third, 1 for greyscale or 3 for RGB.
    """

    stream: BinaryIO
    start: int
    shape: tuple[int, ...]
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    def read(self, row: int) -> bytes:
        """Read the bytes of one image. Raises `UnreadableImageError`."""
        size = int(np.prod(self.shape))
        try:
            with self._lock:
                self.stream.seek(self.start + row * size)
                content = self.stream.read(size)
        except OSError as error:
            raise UnreadableImageError(f"cannot be read: {error.strerror}") from error
        if len(content) < size:
            raise UnreadableImageError("the archive ends before it")
        return content


@dataclass(frozen=True)
class Row:
    """One image of `Rows`.

    Attributes:
        rows: all of them.
        row: which one.
    """

    rows: Rows
    row: int

    def read(self) -> bytes:
        """Read its pixels."""
        return self.rows.read(self.row)

    def open(self, content: bytes) -> Opened:
        """Make an image of its pixels."""
        pixels = np.frombuffer(content, np.uint8).reshape(self.rows.shape)
        return Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels), ()
