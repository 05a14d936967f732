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

    def take(self, rows: NDArray[np.bool_]) -> Distances:
        """Distances of some of the images."""
        return Distances(*(getattr(self, field.name)[rows] for field in fields(self)))

    def put(self, rows: NDArray[np.int64], new: Distances) -> Distances:
        """Return these distances with those of some images replaced."""
        replaced = Distances(*(getattr(self, field.name).copy() for field in fields(self)))
        for field in fields(self):
            getattr(replaced, field.name)[rows] = getattr(new, field.name)
        return replaced


def distances(images: NDArray[np.float32], adversarial: NDArray[np.float32]) -> Distances:
    """Measure how far adversarial images are from their originals.

    Args:
        images: shape `(n, height, width, channels)`, values in [0, 1].
        adversarial: the same shape and range.
    """
    change = (adversarial.astype(np.float64) - images).reshape(len(images), -1)
    mse = (change**2).mean(axis=1)
    with np.errstate(divide="ignore"):
        psnr = -10 * np.log10(mse)
    return Distances(
        linf=np.abs(change).max(axis=1),
        l2=np.linalg.norm(change, axis=1),
        psnr=psnr,
        ssim=structural_similarity(images, adversarial),
    )


def structural_similarity(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean structural similarity of images in [0, 1] (Wang et al. 2004, with their window and constants).

    Written out as two products with a banded matrix for each blur, because it is measured for every image at
    every epsilon: TensorFlow's own takes about a third of a prediction by VGG-19.

    Args:
        first: shape `(n, height, width, channels)`.
        second: the same shape.

    Returns:
        Array of shape `(n,)`: the mean over the places where the window fits, and over the channels.
    """
    height, width = first.shape[1:3]
    rows, columns = _window(height, min(height, width)), _window(width, min(height, width)).T
    # One plane a channel: the blur is then two large products.
    x, y = (np.moveaxis(images, 3, 1).astype(np.float64) for images in (first, second))

    def blur(planes: NDArray[np.float64]) -> NDArray[np.float64]:
        blurred: NDArray[np.float64] = rows @ planes @ columns
        return blurred

    mean_x, mean_y = blur(x), blur(y)
    variances = blur(x * x + y * y) - mean_x**2 - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
    result: NDArray[np.float64] = (luminance * (2 * covariance + 0.03**2) / (variances + 0.03**2)).mean(axis=(1, 2, 3))
    return result


def _window(size: int, smallest: int) -> NDArray[np.float64]:
    """Matrix of shape `(size - 2r, size)` that blurs with Wang's Gaussian of 1.5 pixels, 11 wide where that fits."""
    radius = min(5, (smallest - 1) // 2)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / 1.5) ** 2)
    matrix = np.zeros((size - 2 * radius, size))
    for row, place in enumerate(matrix):
        place[row : row + len(weights)] = weights / weights.sum()
    return matrix


def summarise(found: Distances, right: NDArray[np.bool_]) -> Perceptibility:
    """Summarise distances, of at least one image.

    Args:
        found: of the images that the attack was run on.
        right: which of them the model classified correctly as they were, of shape `(n,)`.
    """
    changed = found.linf > 0
    return Perceptibility(
        changed=int(changed.sum()),
        linf=_spread(found.linf[changed]) if changed.any() else None,
        l2=_spread(found.l2[changed]) if changed.any() else None,
        psnr=_spread(found.psnr[changed]) if changed.any() else None,
        ssim=_spread(found.ssim[changed]) if changed.any() else None,
        unchanged=int((right & ~changed).sum()),
    )


def unmoved(images: int) -> Distances:
    """Distances of images from themselves."""
    zero = np.zeros(images)
    return Distances(zero, zero.copy(), np.full(images, np.inf), np.ones(images))


def _spread(values: NDArray[np.float64]) -> Spread:
    return Spread(low=float(values.min()), median=float(np.median(values)), high=float(values.max()))
