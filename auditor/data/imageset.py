"""A labelled set of images: what it holds, what it left out, and its pixels in batches."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path  # noqa: TC003 - the annotations of a dataclass are read at run time
from typing import TYPE_CHECKING

import numpy as np

from auditor.data.images import UnreadableImageError, decode
from auditor.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelledImage:
    """One image of a set.

    Attributes:
        id: its path below the data folder, with forward slashes.
        path: where the file lies.
        label: index of its ground truth in the classes of the set.
        sha256: of the file's bytes.
        group: the patient or lesion it shows, if the data say so.
        subgroups: name and value of each column the data have for one.
    """

    id: str
    path: Path
    label: int
    sha256: str
    group: str | None = None
    subgroups: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class SkippedFile:
    """A file that was found and could not be used, with the reason."""

    id: str
    reason: str


@dataclass(frozen=True)
class ImageSet:
    """Images with ground truth, in the order of their ids whatever the order on disk.

    Attributes:
        classes: class names; a label is an index into them.
        images: the usable images.
        skipped: the files that were left out because they could not be read.
    """

    classes: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    skipped: tuple[SkippedFile, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Ground truth of shape `(n,)`."""
        return np.array([image.label for image in self.images], dtype=np.int64)

    @property
    def groups(self) -> list[str] | None:
        """The patient or lesion of each image; None where the data do not say."""
        names = [image.group for image in self.images if image.group is not None]
        return names if len(names) == len(self.images) else None

    @property
    def subgroups(self) -> dict[str, list[str]]:
        """By column, the value of each image."""
        columns = [name for name, _ in self.images[0].subgroups] if self.images else []
        return {name: [dict(image.subgroups)[name] for image in self.images] for name in columns}

    @property
    def per_class(self) -> dict[str, int]:
        """Number of images by class name."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}

    @property
    def manifest_sha256(self) -> str:
        """SHA-256 over id, class name, hash, group and subgroups of every image: equal sets have equal manifests."""
        digest = hashlib.sha256()
        for image in self.images:
            more = [*([image.group] if image.group else []), *(part for pair in image.subgroups for part in pair)]
            line = "\0".join((image.id, self.classes[image.label], image.sha256, *more))
            digest.update(line.encode(errors="surrogateescape") + b"\n")
        return digest.hexdigest()

    def where(self, keep: Callable[[LabelledImage], bool]) -> ImageSet:
        """Return the subset of the images for which `keep` is true; the skipped files stay listed."""
        return replace(self, images=tuple(image for image in self.images if keep(image)))

    def pixels(self, size: tuple[int, int], channels: int, start: int, stop: int) -> NDArray[np.uint8]:
        """Read images `start` to `stop` at the model's input size.

        Returns:
            Array of shape `(stop - start, height, width, channels)`, values 0 to 255.

        Raises:
            BadInputError: if a file has changed since the set was made.
        """
        batch = np.empty((stop - start, *size, channels), dtype=np.uint8)
        for row, image in zip(batch, self.images[start:stop], strict=True):
            try:
                content = image.path.read_bytes()
                if hashlib.sha256(content).hexdigest() != image.sha256:
                    raise BadInputError(f"{image.path} changed while it was in use. Start again.")
                row[...] = decode(content, size, channels)
            except (OSError, UnreadableImageError) as error:
                raise BadInputError(f"{image.path} can no longer be read ({error}). Start again.") from error
        return batch

    def places(self, batch_size: int) -> list[slice]:
        """Cut the set into batches; the last may be smaller."""
        return [slice(i, min(i + batch_size, len(self))) for i in range(0, len(self), batch_size)]

    def stream(
        self, size: tuple[int, int], channels: int, places: Sequence[slice]
    ) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
        """Yield the pixels of batches; the next is read while the last is worked on."""
        with ThreadPoolExecutor(1) as reader:

            def read(place: slice) -> Future[NDArray[np.uint8]]:
                return reader.submit(self.pixels, size, channels, place.start, place.stop)

            ahead = [read(place) for place in places[:1]]
            for number, place in enumerate(places):
                pixels = ahead.pop().result()
                ahead += [read(following) for following in places[number + 1 : number + 2]]
                yield place, pixels
