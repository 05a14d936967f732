"""What came of an audit, image by image."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from auditor.metrics.classification import confidences
from auditor.metrics.perceptibility import Distances

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from auditor.data.imageset import ImageSet
    from auditor.engine.plan import Cell


@dataclass(frozen=True)
class Diagnosis:
    """What the gradients at the images as they are tell of the attacks to come, each array of shape `(n,)`.

    Attributes:
        vanished: the gradient of the cross-entropy is zero everywhere.
        blind: and so is that of the margin.
        undefined: a logit or a value of the gradient is infinite or not a number.
    """

    vanished: NDArray[np.bool_]
    blind: NDArray[np.bool_]
    undefined: NDArray[np.bool_]

    @classmethod
    def join(cls, parts: Sequence[Diagnosis]) -> Diagnosis:
        """Join the diagnoses of several batches."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True)
class Attacked:
    """What came of one attack at one epsilon.

    Attributes:
        logits: of the adversarial images, of shape `(n, C)`.
        distances: from the originals.
        concerned: the images that the attack was run on, of shape `(n,)`; the others stand here as they were.
        rounded: predicted classes of the adversarial images rounded to 8 bits, of shape `(n,)`.
        outside: adversarial images outside their budget or their range, of shape `(n,)`.
        failure: why the attack crashed; empty if it did not.
    """

    logits: NDArray[np.float32]
    distances: Distances
    concerned: NDArray[np.bool_]
    rounded: NDArray[np.int64]
    outside: NDArray[np.bool_]
    failure: str = ""

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Predicted classes of shape `(n,)`."""
        result: NDArray[np.int64] = self.logits.argmax(axis=1)
        return result

    @classmethod
    def join(cls, parts: Sequence[Attacked]) -> Attacked:
        """Join what came of several batches; of several failures the first is kept."""
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("logits", "concerned", "rounded", "outside")
        }
        failure = next((part.failure for part in parts if part.failure), "")
        return cls(distances=Distances.join([part.distances for part in parts]), failure=failure, **arrays)


@dataclass(frozen=True)
class Outcomes:
    """What came of an audit, for n images in the order of the test set.

    Attributes:
        labels: ground truth of shape `(n,)`.
        clean: logits of the images as they are, of shape `(n, C)`.
        diagnosis: of the gradients there.
        attacked: by attack and epsilon.
        seconds: spent on clean predictions, on crafting, on judging, and on the rest.
    """

    labels: NDArray[np.int64]
    clean: NDArray[np.float32]
    diagnosis: Diagnosis
    attacked: Mapping[Cell, Attacked]
    seconds: Mapping[str, float]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Images classified correctly as they are, of shape `(n,)`."""
        result: NDArray[np.bool_] = self.clean.argmax(axis=1) == self.labels
        return result

    def wrong(self, cell: Cell) -> NDArray[np.bool_]:
        """Images that an attack was run on and that are classified wrongly under it, of shape `(n,)`."""
        found = self.attacked[cell]
        result: NDArray[np.bool_] = found.concerned & (found.predicted != self.labels)
        return result

    @classmethod
    def join(cls, parts: Sequence[Outcomes]) -> Outcomes:
        """Join the outcomes of consecutive batches, at least one."""
        return cls(
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.clean for part in parts]),
            Diagnosis.join([part.diagnosis for part in parts]),
            {cell: Attacked.join([part.attacked[cell] for part in parts]) for cell in parts[0].attacked},
            {name: sum(part.seconds[name] for part in parts) for name in parts[0].seconds},
        )


def predictions_csv(images: ImageSet, outcomes: Outcomes) -> str:
    """Write the outcomes as a table with one row per image, attack and epsilon.

    Rows of the images as they are have no attack. An image that an attack was not run on has no row there, nor has an
    attack that crashed.
    """
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(
        ["id", "group", "label", "attack", "epsilon", "predicted", "confidence"]
        + [f"logit {name}" for name in images.classes]
        + ["linf", "l2", "psnr", "ssim", "predicted 8-bit"]
    )
    table.writerows([_inert(value) for value in row] for row in _rows(images, outcomes))
    return stream.getvalue()


def _rows(images: ImageSet, outcomes: Outcomes) -> Iterator[list[object]]:
    cells: list[tuple[object, object, NDArray[np.float32], Attacked | None]] = [("", "", outcomes.clean, None)]
    cells += [
        (name, "" if epsilon is None else epsilon, found.logits, found)
        for (name, epsilon), found in outcomes.attacked.items()
        if not found.failure
    ]
    for attack, epsilon, logits, found in cells:
        predicted, confidence = logits.argmax(axis=1), confidences(logits)
        for i, image in enumerate(images.images):
            more: list[object] = [""] * 5
            if found:
                if not found.concerned[i]:
                    continue
                size = found.distances
                more = [size.linf[i], size.l2[i], size.psnr[i], size.ssim[i], images.classes[found.rounded[i]]]
            # str() of a NumPy number is the shortest text that reads back as the same number.
            yield [
                image.id, image.group or "", images.classes[image.label], attack, epsilon,
                images.classes[predicted[i]], confidence[i], *logits[i], *more,
            ]  # fmt: skip


def _inert(value: object) -> str:
    """Text of a cell; names that a spreadsheet would run as a formula get an apostrophe in front."""
    text = str(value)
    if isinstance(value, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{text}"
    return text
