"""What came of an audit, image by image."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from auditor.metrics.perceptibility import Distances

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

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
class Answers:
    """What the model said, for n images in the order of the test set.

    Attributes:
        labels: ground truth of shape `(n,)`.
        clean: logits of the images as they are, of shape `(n, C)`.
        attacked: by attack and epsilon.
    """

    labels: NDArray[np.int64]
    clean: NDArray[np.float32]
    attacked: Mapping[Cell, Attacked]

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


@dataclass(frozen=True)
class Outcomes(Answers):
    """What came of an audit.

    Attributes:
        diagnosis: of the gradients at the images as they are.
        seconds: spent on clean predictions, on crafting, on judging, and on the rest.
    """

    diagnosis: Diagnosis
    seconds: Mapping[str, float]

    @classmethod
    def join(cls, parts: Sequence[Outcomes]) -> Outcomes:
        """Join the outcomes of consecutive batches, at least one."""
        return cls(
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.clean for part in parts]),
            {cell: Attacked.join([part.attacked[cell] for part in parts]) for cell in parts[0].attacked},
            Diagnosis.join([part.diagnosis for part in parts]),
            {name: sum(part.seconds[name] for part in parts) for name in parts[0].seconds},
        )
