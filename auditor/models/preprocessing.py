"""From images in [0, 1] to the values a model expects.

Every mode is an affine map by channel, after an optional change from RGB to BGR, so that epsilon keeps its
meaning on images in [0, 1] whatever the model takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from auditor.errors import BadInputError
from auditor.metrics.intervals import paired_difference, proportion_of
from auditor.settings import mean_and_std

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from auditor.record import Proportion


@dataclass(frozen=True)
class Mode:
    """One convention: `input = image * scale + offset`, by channel.

    Attributes:
        name: as in `--preprocessing`.
        words: what it does, for the report.
        scale: factor by channel, or one for all.
        offset: summand by channel, or one for all.
        bgr: whether the channels are put in the order BGR first.
    """

    name: str
    words: str
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    bgr: bool = False

    def fits(self, channels: int) -> bool:
        """Whether the mode is defined for images of that many channels."""
        return len(self.scale) in (1, channels)

    def apply(self, images: Any) -> Any:
        """Map images in [0, 1], a NumPy array or a tensor of shape `(n, h, w, c)`, to the model's input."""
        ordered = images[..., ::-1] if self.bgr else images
        if self.scale == (1.0,) and self.offset == (0.0,):
            return ordered
        return ordered * np.array(self.scale, np.float32) + np.array(self.offset, np.float32)

    @property
    def input_range(self) -> tuple[float, float]:
        """Smallest and largest value that reaches the model."""
        return min(self.offset), max(a + b for a, b in zip(self.scale, self.offset, strict=True))


_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

#: The conventions met in the wild, by name; the last three are those of `keras.applications`.
MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("unit", "values from 0 to 1", (1.0,), (0.0,)),
        Mode("raw", "values from 0 to 255", (255.0,), (0.0,)),
        Mode("tf", "values from -1 to 1", (2.0,), (-1.0,)),
        Mode(
            "caffe", "BGR, values from 0 to 255 less the ImageNet mean",
            (255.0, 255.0, 255.0), (-103.939, -116.779, -123.68), bgr=True,
        ),
        Mode(
            "torch", "RGB, ImageNet mean and standard deviation",
            tuple(1 / d for d in _IMAGENET_DEVIATION),
            tuple(-m / d for m, d in zip(_IMAGENET_MEAN, _IMAGENET_DEVIATION, strict=True)),
        ),
    )
}  # fmt: skip


def mode_of(name: str) -> Mode:
    """The mode that `AuditSettings.preprocessing` names."""
    if name in MODES:
        return MODES[name]
    found = mean_and_std(name)
    if not found:
        raise ValueError(f"{name!r} names no preprocessing")
    mean, std = found
    words = (
        f"mean {', '.join(map(repr, mean))} and standard deviation {', '.join(map(repr, std))} on values from 0 to 1"
    )
    return Mode(name, words, tuple(1 / s for s in std), tuple(-m / s for m, s in zip(mean, std, strict=True)))


@dataclass(frozen=True)
class Trial:
    """How one mode fared on images with known labels."""

    mode: Mode
    accuracy: Proportion
    correct: NDArray[np.bool_]


def try_modes(
    predict: Callable[[Mode], NDArray[np.int64]], labels: NDArray[np.int64], modes: Sequence[Mode]
) -> list[Trial]:
    """Try modes on images with known labels; returns all trials, best first.

    Args:
        predict: the predicted classes of the images, of shape `(n,)`, under a mode.
        labels: their ground truth, of shape `(n,)`.
        modes: to try.
    """
    trials = []
    for mode in modes:
        correct = predict(mode) == labels
        trials.append(Trial(mode, proportion_of(correct), correct))
    return sorted(trials, key=lambda trial: -trial.accuracy.count)


def candidates(channels: int) -> list[Mode]:
    """The named modes that are defined for images of that many channels."""
    return [mode for mode in MODES.values() if mode.fits(channels)]


def clearly_better(one: Trial, other: Trial) -> bool:
    """Whether a mode classifies more of the images correctly than another one, beyond chance."""
    return paired_difference(one.correct, other.correct).low > 0


def choose(trials: Sequence[Trial]) -> Mode:
    """Choose the best mode.

    Args:
        trials: at least two, best first.

    Raises:
        BadInputError: if the best is not better than the runner-up beyond chance.
    """
    if not clearly_better(*trials[:2]):
        scores = ", ".join(f"{t.mode.name} {t.accuracy.count}/{t.accuracy.of}" for t in trials)
        raise BadInputError(
            "The preprocessing the model expects could not be found out: no candidate is clearly best "
            f"(correct images: {scores}). Say which with --preprocessing."
        )
    return trials[0].mode
