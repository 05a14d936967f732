"""Pictures of a few attacked images, kept as the batches go by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from auditor.data.pixels import save_png
from auditor.metrics.classification import confidences
from auditor.record import Example, Prediction

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from auditor.data.imageset import ImageSet
    from auditor.engine.outcomes import Attacked

#: Images shown of each class.
PER_CLASS = 2

#: Images shown in all, for models of many classes.
MOST = 8

#: Folder of the pictures below the audit's.
FOLDER = "examples"


class ExampleKeeper:
    """Keeps pictures of the first images of each class that the model classified correctly.

    Nobody picks them: whether the attack succeeds has no part in the choice. An image that was wrong from
    the start would show nothing of the attack.

    Args:
        audit: the audit's folder; the pictures go into its folder `examples`.
        images: the test set.
        attack: name of the attack to show.
        epsilon: at which to show it.
    """

    def __init__(self, audit: Path, images: ImageSet, attack: str, epsilon: float | None) -> None:
        self.cell = (attack, epsilon)
        self.examples: list[Example] = []
        self._audit = audit
        self._images = images
        self._wanted = dict.fromkeys(range(len(images.classes)), PER_CLASS)

    def see(
        self,
        start: int,
        clean: NDArray[np.float32],
        attacked: Attacked,
        pictures: tuple[NDArray[np.float32], NDArray[np.float32]] | None,
    ) -> None:
        """Look at one batch.

        Args:
            start: its place in the test set.
            clean: logits of the images as they are.
            attacked: what the attack made of them.
            pictures: the images and the adversarial images in [0, 1]; None if their pictures lie in the folder
                from before.
        """
        if attacked.failure:
            return
        labels = self._images.labels[start : start + len(clean)]
        for i in np.flatnonzero((clean.argmax(axis=1) == labels) & attacked.concerned).tolist():
            label = int(labels[i])
            if self._wanted[label] and len(self.examples) < MOST:
                self._wanted[label] -= 1
                self._keep(start + i, clean[i], attacked, i, (pictures[0][i], pictures[1][i]) if pictures else None)

    def _keep(
        self,
        place: int,
        clean: NDArray[np.float32],
        attacked: Attacked,
        i: int,
        pictures: tuple[NDArray[np.float32], NDArray[np.float32]] | None,
    ) -> None:
        attack, epsilon = self.cell
        image = self._images.images[place]
        number = len(self.examples) + 1
        files = {kind: f"{FOLDER}/{number:02d}-{kind}.png" for kind in ("original", "perturbation", "adversarial")}
        if pictures:
            original, adversarial = pictures
            (self._audit / FOLDER).mkdir(exist_ok=True)
            _save(self._audit / files["original"], original)
            largest = epsilon or max(float(np.abs(adversarial - original).max()), 1e-6)
            _save(self._audit / files["perturbation"], (adversarial - original) / (2 * largest) + 0.5)
            _save(self._audit / files["adversarial"], adversarial)
        found = attacked.distances
        self.examples.append(
            Example(
                id=image.id,
                label=self._images.classes[image.label],
                attack=attack,
                epsilon=epsilon,
                clean=self._prediction(clean),
                adversarial=self._prediction(attacked.logits[i]),
                linf=float(found.linf[i]),
                l2=float(found.l2[i]),
                psnr=float(found.psnr[i]) if np.isfinite(found.psnr[i]) else None,
                ssim=float(found.ssim[i]),
                original_file=files["original"],
                perturbation_file=files["perturbation"],
                adversarial_file=files["adversarial"],
            )
        )

    def _prediction(self, logits: NDArray[np.float32]) -> Prediction:
        return Prediction(
            predicted=self._images.classes[int(logits.argmax())],
            confidence=float(confidences(logits[None])[0]),
        )


def _save(path: Path, image: NDArray[np.float32]) -> None:
    """Save an image in [0, 1] as an 8-bit PNG."""
    save_png(path, (np.clip(image, 0, 1) * 255).round().astype(np.uint8))
