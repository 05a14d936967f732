"""How large a perturbation is. Similarity figures are no reader study: they say nothing of what an eye sees."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from auditor.record import Perceptibility, Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


#: Rows or columns that are blurred at a time: a window is narrow, and longer strips would multiply by zeros.
_STRIP = 32


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
    which float32 will do; what concerns the original alone is computed once, in float64. TensorFlow's own takes about
    a third of a prediction by VGG-19. One image is measured after the other, because one fits in the processor's cache.

    Args:
        images: shape `(n, height, width, channels)`, values in [0, 1].
    """

    def __init__(self, images: NDArray[np.float32]) -> None:
        self._images = images
        self._window = _window(min(images.shape[1:3]))
        moments = [self._moments(image) for image in images]
        self._mean, self._variance = [mean for mean, _ in moments], [variance for _, variance in moments]

    def distances(self, adversarial: NDArray[np.float32], rows: NDArray[np.int64] | None = None) -> Distances:
        """Measure how far adversarial images are from their originals.

        Args:
            adversarial: shape `(k, height, width, channels)`, values in [0, 1].
            rows: which of the images they were made from, of shape `(k,)`; default all, in order.
        """
        which = range(len(self._images)) if rows is None else rows.tolist()
        found = [self._measure(image, row) for image, row in zip(adversarial, which, strict=True)]
        return Distances(*np.array(found).reshape(-1, 4).T)

    def _measure(self, adversarial: NDArray[np.float32], row: int) -> tuple[float, float, float, float]:
        change = adversarial - self._images[row]
        square = float(np.square(change, dtype=np.float64).sum())
        psnr = -10 * math.log10(square / change.size) if square else math.inf
        return float(np.abs(change).max()), math.sqrt(square), psnr, self._similarity(change, row)

    def _moments(self, image: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and variance of an image below the window, wherever that fits."""
        planes = _planes(image).astype(np.float64)
        mean = _blur(planes, self._window)
        # A variance is a difference of nearly equal numbers: it is rounded once it is taken.
        variance = _blur(planes * planes, self._window) - mean**2
        return mean.astype(np.float32), variance.astype(np.float32)

    def _similarity(self, change: NDArray[np.float32], row: int) -> float:
        """Mean over the places where the window fits, and over the channels."""
        d, x = _planes(change), _planes(self._images[row])
        mean_x, variance_x = self._mean[row], self._variance[row]
        mean_d = _blur(d, self._window)
        mean_y = mean_x + mean_d
        with_d = _blur(x * d, self._window) - mean_x * mean_d
        variance_y = variance_x + 2 * with_d + _blur(d * d, self._window) - mean_d**2
        luminance = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
        structure = (2 * (variance_x + with_d) + 0.03**2) / (variance_x + variance_y + 0.03**2)
        return float((luminance * structure).mean(dtype=np.float64))


def _planes(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """One plane a channel: a blur is then a few products of matrices."""
    return np.ascontiguousarray(np.moveaxis(image, 2, 0))


def _window(smallest: int) -> NDArray[np.float64]:
    """Wang's Gaussian of 1.5 pixels, 11 wide where that fits, shifted by one in each row: a part of a blur."""
    radius = min(5, (smallest - 1) // 2)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / 1.5) ** 2)
    matrix = np.zeros((_STRIP, _STRIP + 2 * radius))
    for row, place in enumerate(matrix):
        place[row : row + len(weights)] = weights / weights.sum()
    return matrix


def _blur(planes: NDArray[Any], window: NDArray[np.float64]) -> NDArray[Any]:
    """Blur planes of shape `(c, h, w)` strip by strip, wherever the window fits, in their own number format."""
    part = window.astype(planes.dtype)
    wider = part.shape[1] - _STRIP

    def strips(size: int) -> list[tuple[slice, NDArray[Any]]]:
        starts = range(0, size - wider, _STRIP)
        return [
            (slice(start, start + _STRIP + wider), part[: size - wider - start, : size - start]) for start in starts
        ]

    height, width = planes.shape[1:]
    rows = np.concatenate([matrix @ planes[:, place] for place, matrix in strips(height)], axis=1)
    return np.concatenate([rows[..., place] @ matrix.T for place, matrix in strips(width)], axis=2)


def summarise(found: Distances, due: NDArray[np.bool_]) -> Perceptibility:
    """Summarise distances, of at least one image.

    Args:
        found: of the images that the attack was run on.
        due: which of them the attack had to change, of shape `(n,)`.
    """
    changed = found.linf > 0
    return Perceptibility(
        changed=int(changed.sum()),
        linf=_spread(found.linf[changed]) if changed.any() else None,
        l2=_spread(found.l2[changed]) if changed.any() else None,
        psnr=_spread(found.psnr[changed]) if changed.any() else None,
        ssim=_spread(found.ssim[changed]) if changed.any() else None,
        unchanged=int((due & ~changed).sum()),
    )


def unmoved(images: int) -> Distances:
    """Distances of images from themselves."""
    zero = np.zeros(images)
    return Distances(zero, zero.copy(), np.full(images, np.inf), np.ones(images))


def _spread(values: NDArray[np.float64]) -> Spread:
    return Spread(low=float(values.min()), median=float(np.median(values)), high=float(values.max()))
