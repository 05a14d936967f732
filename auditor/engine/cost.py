"""What work costs: passes through the model, and the seconds a pass takes on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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

    def __mul__(self, share: float) -> Cost:
        return Cost(self.forwards * share, self.gradients * share)


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


class Clock:
    """Keeps the estimate of the time left: by the costs at first, by what was measured as soon as there is any.

    Args:
        estimates: seconds an image takes, by kind of work.
        batches: number of images of each batch.
    """

    def __init__(self, estimates: Mapping[str, float], batches: Sequence[int]) -> None:
        self._estimates = dict(estimates)
        self._measured: dict[str, tuple[int, float]] = {}
        self._images = dict.fromkeys(estimates, sum(batches))
        self._spent = 0.0

    @property
    def left(self) -> float:
        """Seconds left."""
        return sum(images * self._pace(kind) for kind, images in self._images.items())

    def done(self, kind: str, images: int, seconds: float) -> None:
        """Note that work was done on some images."""
        before, spent = self._measured.get(kind, (0, 0.0))
        self._measured[kind] = before + images, spent + seconds
        self._images[kind] -= images
        self._spent += seconds

    def tick(self, note: str) -> tuple[float, str, float]:
        """Return what progress is to be told: seconds spent since the last time, a note, seconds left."""
        spent, self._spent = self._spent, 0.0
        return spent, note, self.left

    def _pace(self, kind: str) -> float:
        images, seconds = self._measured.get(kind, (0, 0.0))
        return seconds / images if images else self._estimates[kind]


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

    return Speed(timed(lambda x, _: classifier.logits(x, len(x))), timed(classifier.loss_gradient))


def peak_memory() -> int | None:
    """Largest amount of memory this process has held so far, in bytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
