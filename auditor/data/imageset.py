"""A labelled set of images: what it holds, what it left out, and its pixels in batches."""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from auditor.data.images import DICOM_SUFFIXES, is_dicom
from auditor.data.pixels import UnreadableImageError, fit
from auditor.data.source import Source  # noqa: TC001 - the annotations of a dataclass are read at run time
from auditor.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelledImage:
    """One image of a set.

    Attributes:
        id: its path below the data folder, with forward slashes; of a DICOM file, which may be named after the
            patient, the class folder and the beginning of its SHA-256.
        source: where its bytes lie.
        label: index of its ground truth in the classes of the set.
        sha256: of the file's bytes, or of the pixels where it is no file of its own.
        group: the patient or lesion it shows, if the data say so.
        subgroups: name and value of each column the data have for one.
        conversions: what is done to it beyond decoding, in a few words each.
    """

    id: str
    source: Source
    label: int
    sha256: str
    group: str | None = None
    subgroups: tuple[tuple[str, str], ...] = ()
    conversions: tuple[str, ...] = ()


@dataclass(frozen=True)
class SkippedFile:
    """A file that was found and could not be used, with the reason."""

    id: str
    reason: str


class Intake:
    """Takes images in: each is hashed and decoded once, so that a broken one is known before the long work."""

    def __init__(self) -> None:
        self._images: list[LabelledImage] = []
        self._skipped: list[SkippedFile] = []
        self._named: Counter[str] = Counter()

    def add(
        self,
        place: str,
        name: str,
        source: Source,
        label: int,
        group: str | None = None,
        subgroups: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Take an image in, or list it as skipped.

        Args:
            place: what the id begins with, of a DICOM file too: the class folder and a slash, or nothing.
            name: the rest of the id. A DICOM file may be named after the patient, and gets one by its content.
            source: where its bytes lie.
            label: index of its class.
            group: its patient or lesion, if known.
            subgroups: name and value of each.
        """
        identity = place + _unrevealing(name)
        try:
            content = source.read()
            sha256 = hashlib.sha256(content).hexdigest()
            if is_dicom(content) or identity != place + name:
                identity = self._by_content(place, sha256)
            _, conversions = source.open(content)
        except UnreadableImageError as error:
            self._skipped.append(SkippedFile(identity, str(error)))
        else:
            self._images.append(LabelledImage(identity, source, label, sha256, group, subgroups, conversions))

    def skip(self, place: str, name: str, reason: str) -> None:
        """List a file as skipped that is not even tried; `place` and `name` as for `add`."""
        self._skipped.append(SkippedFile(place + _unrevealing(name), reason))

    def _by_content(self, place: str, sha256: str) -> str:
        """Name a DICOM file by its content; copies are numbered."""
        stem = place + sha256[:16]
        self._named[stem] += 1
        return f"{stem}-{self._named[stem]}.dcm" if self._named[stem] > 1 else f"{stem}.dcm"

    def image_set(self, classes: tuple[str, ...]) -> ImageSet:
        """All that was taken in."""
        return ImageSet(
            classes,
            tuple(sorted(self._images, key=lambda image: image.id)),
            tuple(sorted(self._skipped, key=lambda file: file.id)),
        )


def _unrevealing(name: str) -> str:
    """Name of a file whose content is not known: one that is DICOM by its name is not named."""
    return "a DICOM file" if name.lower().endswith(DICOM_SUFFIXES) else name


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
    def conversions(self) -> dict[str, int]:
        """By what was done to images beyond decoding, the number of images."""
        return dict(sorted(Counter(words for image in self.images for words in image.conversions).items()))

    @property
    def duplicates(self) -> list[tuple[LabelledImage, ...]]:
        """The images that are byte for byte the same, in the order of their ids."""
        by_hash: dict[str, list[LabelledImage]] = {}
        for image in self.images:
            by_hash.setdefault(image.sha256, []).append(image)
        return [tuple(same) for same in by_hash.values() if len(same) > 1]

    @property
    def manifest_sha256(self) -> str:
        """SHA-256 over every image: equal sets have equal manifests.

        For each in its order, a line of id, class name, SHA-256, group if it has one, and names and values of its
        subgroups, joined by NUL.
        """
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
                content = image.source.read()
                if hashlib.sha256(content).hexdigest() != image.sha256:
                    raise BadInputError(f"{image.id} changed while it was in use. Start again.")
                row[...] = fit(image.source.open(content)[0], size, channels)
            except UnreadableImageError as error:
                raise BadInputError(f"{image.id} can no longer be read ({error}). Start again.") from error
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


@dataclass(frozen=True)
class Part:
    """The images of one part of the data, where one file lists them all.

    Attributes:
        images: of the part.
        stated: whether the file says which part they are; else they are all there is.
        left_out: number of images of other parts; None where they were not looked at.
        training: SHA-256 of every image of the training part; None if the file names none.
    """

    images: ImageSet
    stated: bool
    left_out: int | None
    training: frozenset[str] | None
