"""How large a perturbation is. Similarity figures are no reader study: they say nothing of what an eye sees."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

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


class Originals:
    """Images that adversarial versions are measured against, again and again.

    Structural similarity is Wang et al.'s (2004, with their window and constants), written out for the difference d of
    two images: with cov(x, y) = var(x) + cov(x, d), all that a version needs is three blurs of something small, for
    which float32 will do; what concerns the original alone is computed once, in float64. A blur is two products with
    a banded matrix. TensorFlow's own takes about a third of a prediction by VGG-19.

    Args:
        images: shape `(n, height, width, channels)`, values in [0, 1].
    """

    def __init__(self, images: NDArray[np.float32]) -> None:
        self._images = images
        height, width = images.shape[1:3]
        self._rows, self._columns = _window(height, min(height, width)), _window(width, min(height, width)).T
        planes = _planes(images).astype(np.float64)
        mean = self._blur(planes)
        # A variance is a difference of nearly equal numbers: it is rounded once it is taken.
        self._mean = mean.astype(np.float32)
        self._variance = (self._blur(planes * planes) - mean**2).astype(np.float32)

    def distances(self, adversarial: NDArray[np.float32], rows: NDArray[np.int64] | None = None) -> Distances:
        """Measure how far adversarial images are from their originals.

        Args:
            adversarial: shape `(k, height, width, channels)`, values in [0, 1].
            rows: which of the images they were made from, of shape `(k,)`; default all, in order.
        """
        which = np.arange(len(self._images)) if rows is None else rows
        change = adversarial - self._images[which]
        flat = change.reshape(len(change), -1).astype(np.float64)
        with np.errstate(divide="ignore"):
            psnr = -10 * np.log10((flat**2).mean(axis=1))
        return Distances(
            linf=np.abs(flat).max(axis=1),
            l2=np.linalg.norm(flat, axis=1),
            psnr=psnr,
            ssim=self._similarity(change, which),
        )

    def _similarity(self, change: NDArray[np.float32], which: NDArray[np.int64]) -> NDArray[np.float64]:
        """Mean over the places where the window fits, and over the channels, of shape `(k,)`."""
        d, x = _planes(change), _planes(self._images[which])
        mean_x, variance_x = self._mean[which], self._variance[which]
        mean_d = self._blur(d)
        mean_y = mean_x + mean_d
        with_d = self._blur(x * d) - mean_x * mean_d
        variance_y = variance_x + 2 * with_d + self._blur(d * d) - mean_d**2
        luminance = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
        structure = (2 * (variance_x + with_d) + 0.03**2) / (variance_x + variance_y + 0.03**2)
        result: NDArray[np.float64] = (luminance * structure).mean(axis=(1, 2, 3), dtype=np.float64)
        return result

    def _blur(self, planes: NDArray[Any]) -> NDArray[Any]:
        kind = planes.dtype
        blurred: NDArray[Any] = self._rows.astype(kind) @ planes @ self._columns.astype(kind)
        return blurred


def _planes(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """One plane a channel: a blur is then two large products."""
    return np.ascontiguousarray(np.moveaxis(images, 3, 1))


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
