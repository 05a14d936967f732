"""What repetition and another batch size do to the answers of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from auditor.data.pixels import unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from auditor.data.imageset import ImageSet
    from auditor.models.subject import Subject

#: Passes of one batch (AutoAttack's check for randomness).
PASSES = 5

#: Images in that batch.
IMAGES = 8


@dataclass(frozen=True)
class Repetition:
    """Answers to the first images of a test set, asked again and again.

    Attributes:
        passes: logits of one batch, of shape `(PASSES, n, C)`.
        alone: logits of the same images asked one at a time, of shape `(n, C)`.
    """

    passes: NDArray[np.float32]
    alone: NDArray[np.float32]

    @property
    def words(self) -> str:
        """What was found, for the report."""
        repeated = np.ptp(self.passes, axis=0).max()
        batched = np.abs(self.passes[0] - self.alone).max()
        labels = int((self.passes[0].argmax(axis=1) != self.alone.argmax(axis=1)).sum())
        return (
            f"measured on {len(self.alone)} images: repeating a batch {PASSES} times changes logits by at most "
            f"{repeated:.2g}; asking the images one at a time changes them by at most {batched:.2g} and "
            f"{labels} predicted {'class' if labels == 1 else 'classes'}. Another processor or another version of a "
            "package has an effect of the same kind, which cannot be measured on one machine. Attacks that draw at "
            "random draw batch by batch: with batches of another size they draw others"
        )


def repeat(subject: Subject, images: ImageSet) -> Repetition:
    """Ask the model about the first images in one batch, several times, and one at a time."""
    count = min(IMAGES, len(images))
    batch = unit(images.pixels(subject.size, subject.channels, 0, count))
    ask = subject.classifier.logits
    return Repetition(np.stack([ask(batch, count) for _ in range(PASSES)]), ask(batch, 1))
