"""What came of an audit, image by image."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from auditor.metrics.classification import confidences
from auditor.metrics.perceptibility import Distances

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from auditor.data.imageset import ImageSet

#: Name of an attack and its epsilon.
Cell = tuple[str, float]


@dataclass(frozen=True)
class Attacked:
    """What came of one attack at one epsilon.

    Attributes:
        logits: of the adversarial images, of shape `(n, C)`.
        distances: from the originals.
    """

    logits: NDArray[np.float32]
    distances: Distances


@dataclass(frozen=True)
class Outcomes:
    """What came of an audit, for n images in the order of the test set.

    Attributes:
        labels: ground truth of shape `(n,)`.
        clean: logits of the images as they are, of shape `(n, C)`.
        attacked: by attack and epsilon.
        seconds: spent on clean predictions, on crafting, on judging, and on the rest.
    """

    labels: NDArray[np.int64]
    clean: NDArray[np.float32]
    attacked: Mapping[Cell, Attacked]
    seconds: Mapping[str, float]

    @classmethod
    def join(cls, parts: Sequence[Outcomes]) -> Outcomes:
        """Join the outcomes of consecutive batches, at least one."""
        return cls(
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.clean for part in parts]),
            {
                cell: Attacked(
                    np.concatenate([part.attacked[cell].logits for part in parts]),
                    Distances.join([part.attacked[cell].distances for part in parts]),
                )
                for cell in parts[0].attacked
            },
            {name: sum(part.seconds[name] for part in parts) for name in parts[0].seconds},
        )


def predictions_csv(images: ImageSet, outcomes: Outcomes) -> str:
    """Write the outcomes as a table with one row per image, attack and epsilon; clean rows have no attack."""
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(
        ["id", "group", "label", "attack", "epsilon", "predicted", "confidence"]
        + [f"logit {name}" for name in images.classes]
        + ["linf", "l2", "psnr", "ssim"]
    )
    table.writerows([_inert(value) for value in row] for row in _rows(images, outcomes))
    return stream.getvalue()


def _rows(images: ImageSet, outcomes: Outcomes) -> Iterator[list[object]]:
    cells: list[tuple[object, object, NDArray[np.float32], Distances | None]] = [("", "", outcomes.clean, None)]
    cells += [(name, epsilon, found.logits, found.distances) for (name, epsilon), found in outcomes.attacked.items()]
    for attack, epsilon, logits, distances in cells:
        predicted, confidence = logits.argmax(axis=1), confidences(logits)
        for i, image in enumerate(images.images):
            size = [distances.linf[i], distances.l2[i], distances.psnr[i], distances.ssim[i]] if distances else [""] * 4
            # str() of a NumPy number is the shortest text that reads back as the same number.
            yield [
                image.id, "", images.classes[image.label], attack, epsilon,
                images.classes[predicted[i]], confidence[i], *logits[i], *size,
            ]  # fmt: skip


def _inert(value: object) -> str:
    """Text of a cell; names that a spreadsheet would run as a formula get an apostrophe in front."""
    text = str(value)
    if isinstance(value, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{text}"
    return text
