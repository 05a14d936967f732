"""How large a perturbation is. Similarity figures are no reader study: they say nothing of what an eye sees."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from auditor.record import Perceptibility, Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Distances:
    """Distances between images and their adversarial versions, each an array of shape `(n,)`.

    Attributes:
        linf: largest change of a value, on images in [0, 1].
        l2: Euclidean norm of the change, on images in [0, 1].
        psnr: peak signal-to-noise ratio in dB; infinite for equal images.
        ssim: structural similarity (Wang et al. 2004), 1 for equal images.
    """

    linf: NDArray[np.float64]
    l2: NDArray[np.float64]
    psnr: NDArray[np.float64]
    ssim: NDArray[np.float64]

    @classmethod
    def join(cls, parts: Sequence[Distances]) -> Distances:
        """Join the distances of several batches."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def distances(images: NDArray[np.float32], adversarial: NDArray[np.float32]) -> Distances:
    """Measure how far adversarial images are from their originals.

    Args:
        images: shape `(n, height, width, channels)`, values in [0, 1].
        adversarial: the same shape and range.
    """
    import tensorflow as tf

    change = (adversarial.astype(np.float64) - images).reshape(len(images), -1)
    mse = (change**2).mean(axis=1)
    # Wang's window is 11 pixels wide; smaller images get the largest odd one that fits.
    window = min(11, (min(images.shape[1:3]) - 1) // 2 * 2 + 1)
    ssim = tf.image.ssim(images, adversarial, max_val=1.0, filter_size=window)
    with np.errstate(divide="ignore"):
        psnr = -10 * np.log10(mse)
    return Distances(
        linf=np.abs(change).max(axis=1),
        l2=np.linalg.norm(change, axis=1),
        psnr=psnr,
        ssim=ssim.numpy().astype(np.float64),
    )


def summarise(found: Distances) -> Perceptibility:
    """Summarise distances over all images, at least one."""
    changed = found.linf > 0
    return Perceptibility(
        linf=_spread(found.linf),
        l2=_spread(found.l2),
        psnr=_spread(found.psnr[changed]) if changed.any() else None,
        ssim=_spread(found.ssim),
        unchanged=int((~changed).sum()),
    )


def _spread(values: NDArray[np.float64]) -> Spread:
    return Spread(low=float(values.min()), median=float(np.median(values)), high=float(values.max()))
