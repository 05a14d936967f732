"""A comparison on its way into its folder: the record, and pictures of images newly broken and mended."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING

from auditor.comparison.compare import compare
from auditor.comparison.record import FILE_NAME, PICTURES
from auditor.data.pixels import save_png
from auditor.data.split import find_test_set
from auditor.environment import now
from auditor.errors import BadInputError
from auditor.files import make_folder, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from auditor.comparison.record import Comparison
    from auditor.comparison.versions import Audited
    from auditor.data.imageset import ImageSet
    from auditor.progress import Progress

#: Pictures of each kind: broken and mended, without an attack and under it.
MOST = 6


def write_comparison(audits: Sequence[Audited], folder: Path, images: ImageSet | None) -> Comparison:
    """Compare audits and write `comparison.json`.

    Args:
        audits: at least two, the baseline first.
        folder: of the comparison.
        images: the test images, for pictures; None where they are not at hand.

    Raises:
        BadInputError: if they cannot be compared, or the folder cannot be written.
    """
    comparison = compare(audits, now(), version("medaudit"))
    if images:
        shape = audits[-1].record.model.input_shape
        comparison = _with_pictures(comparison, folder, images, shape[:2], shape[2])
    write_text(folder / FILE_NAME, comparison.model_dump_json(indent=1))
    return comparison


def find_images(audit: Audited, data: Path, progress: Progress) -> ImageSet:
    """Find the images of an audit in the data it was made on.

    Raises:
        BadInputError: if they are not there as they were.
    """
    ids = set(audit.predictions.ids)
    links = audit.record.audit.config.follow_links
    found = find_test_set(data, audit.record.model.classes, None, progress, follow_links=links)
    images = found.images.where(lambda image: image.id in ids)
    if images.manifest_sha256 != audit.record.data.manifest_sha256:
        raise BadInputError(
            f"{data} does not hold the images of {audit.folder} as they were; name the right data, or leave out --data."
        )
    return images


def _with_pictures(
    comparison: Comparison, folder: Path, images: ImageSet, size: tuple[int, int], channels: int
) -> Comparison:
    """Save pictures of the first images of each kind, by name; return the comparison that refers to them.

    Args:
        comparison: without pictures.
        folder: of the comparison; the pictures go into its folder `pictures`.
        images: the test images.
        size: height and width of the pictures, the model's input.
        channels: 1 or 3.
    """
    places = {image.id: place for place, image in enumerate(images.images)}
    pairs = []
    for pair in comparison.pairs:
        kept: Counter[tuple[str, str]] = Counter()
        changes = []
        for change in pair.images:
            kind = (change.attack, change.change)
            if kept[kind] < MOST:
                kept[kind] += 1
                make_folder(folder / PICTURES)
                attack = "attacked" if change.epsilon is not None else "clean"
                name = f"{PICTURES}/{pair.label}-{attack}-{change.change}-{kept[kind]}.png"
                place = places[change.id]
                save_png(folder / name, images.pixels(size, channels, place, place + 1)[0])
                changes.append(change.model_copy(update={"picture": name}))
            else:
                changes.append(change)
        pairs.append(pair.model_copy(update={"images": changes}))
    return comparison.model_copy(update={"pairs": pairs})
