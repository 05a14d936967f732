"""What work costs: passes through the model, and the seconds a pass takes on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from auditor.models.estimator import LogitsClassifier


@dataclass(frozen=True)
class Cost:
    """Passes of one image through the model.

    Attributes:
        forwards: predictions.
        gradients: gradients by the image, each with the forward pass it needs.
    """

    forwards: float = 0.0
    gradients: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.forwards + other.forwards, self.gradients + other.gradients)

    def __truediv__(self, parts: int) -> Cost:
        return Cost(self.forwards / parts, self.gradients / parts)


@dataclass(frozen=True)
class Speed:
    """Seconds that one image takes on this machine.

    Attributes:
        forward: for a prediction.
        gradient: for a gradient.
    """

    forward: float
    gradient: float

    def seconds(self, cost: Cost) -> float:
        """Seconds for one image at that cost."""
        return cost.forwards * self.forward + cost.gradients * self.gradient


def measure(classifier: LogitsClassifier, images: NDArray[np.float32], targets: NDArray[np.float32]) -> Speed:
    """Time a prediction and a gradient of a small batch, after a first run that compiles both.

    Args:
        classifier: the model.
        images: in [0, 1] of shape `(n, h, w, c)`; more images, a better estimate.
        targets: ground truth, one-hot, of shape `(n, C)`.
    """

    def timed(run: Callable[[NDArray[np.float32], NDArray[np.float32]], object]) -> float:
        # The first run compiles; it takes another class, because the last gradient is remembered.
        run(images[:1], np.roll(targets[:1], 1, axis=1))
        clock = time.perf_counter()
        run(images, targets)
        return (time.perf_counter() - clock) / len(images)

    return Speed(timed(lambda x, _: classifier.predict(x, len(x))), timed(classifier.loss_gradient))


def peak_memory() -> int | None:
    """Largest amount of memory this process has held so far, in bytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
