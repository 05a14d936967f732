"""Attacks that no epsilon bounds: a few values changed at will, and a rotation or a shift of the whole image."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from auditor.attacks.interface import Arena, Attack
from auditor.engine.cost import Cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class JSMA(Attack):
    """Raises two values of the image at a time, those the saliency map shows, to the end of the range."""

    name = "jsma"
    title = "Jacobian saliency map attack"
    norm = "L0"
    reference = "Papernot et al. 2016, arXiv:1511.07528"
    sweeps = False
    subset = 4
    steps: ClassVar[int] = 50
    theta: ClassVar[float] = 1.0

    @property
    def parameters(self) -> Mapping[str, str | int | float | bool | None]:
        """Parameters of ART's `SaliencyMapMethod`."""
        return {
            "art_class": "SaliencyMapMethod",
            "theta": self.theta,
            "values_changed_at_most": 2 * self.steps,
            "target": "the critical error, else the runner-up class",
        }

    def cost(self, epsilons: int) -> Cost:
        """A gradient and a prediction for each step."""
        del epsilons
        return Cost(forwards=self.steps + 2, gradients=self.steps)

    def craft(self, arena: Arena, epsilon: float) -> NDArray[np.float32]:
        """Attack the images of one batch that the model classifies correctly."""
        del epsilon
        from art.attacks.evasion import SaliencyMapMethod

        rows = np.flatnonzero(arena.right)
        adversarial = arena.images.copy()
        if len(rows):
            others = arena.clean[rows].copy()
            others[np.arange(len(rows)), arena.labels[rows]] = -np.inf
            targets = others.argmax(axis=1)
            if arena.critical:
                targets[arena.labels[rows] == arena.critical[0]] = arena.critical[1]
            gamma = (2 * self.steps - 2) / arena.images[0].size
            attack = SaliencyMapMethod(
                arena.estimator(), theta=self.theta, gamma=min(gamma, 1.0), batch_size=len(rows), verbose=False
            )
            aims = np.eye(arena.subject.outputs, dtype=np.float32)[targets]
            adversarial[rows] = attack.generate(arena.images[rows], aims)
        return adversarial


class Spatial(Attack):
    """Rotates and shifts the image over a grid, and keeps the first that the model gets wrong."""

    name = "spatial"
    title = "Rotation and translation"
    norm = "rotation and translation"
    knowledge = "decision-based"
    reference = "Engstrom et al. 2019, arXiv:1712.02779"
    sweeps = False
    subset = 16
    degrees: ClassVar[float] = 30.0
    rotations: ClassVar[int] = 5
    percent: ClassVar[float] = 10.0
    translations: ClassVar[int] = 3

    @property
    def parameters(self) -> Mapping[str, str | int | float | bool | None]:
        """Parameters of ART's `SpatialTransformation`."""
        return {
            "art_class": "SpatialTransformation",
            "max_rotation_degrees": self.degrees,
            "num_rotations": self.rotations,
            "max_translation_percent": self.percent,
            "num_translations": self.translations,
            "grid": "searched for each image",
        }

    def cost(self, epsilons: int) -> Cost:
        """A prediction for each place of the grid."""
        del epsilons
        return Cost(forwards=46)

    def craft(self, arena: Arena, epsilon: float) -> NDArray[np.float32]:
        """Attack the images of one batch that the model classifies correctly."""
        del epsilon
        from art.attacks.evasion import SpatialTransformation

        adversarial = arena.images.copy()
        for row in np.flatnonzero(arena.right).tolist():
            # ART looks for one transformation of a whole array: an array of one image gives each its own.
            attack = SpatialTransformation(
                arena.estimator(),
                max_translation=self.percent,
                num_translations=self.translations,
                max_rotation=self.degrees,
                num_rotations=self.rotations,
                verbose=False,
            )
            adversarial[row] = attack.generate(arena.images[row : row + 1])[0]
        return adversarial


ATTACKS = (JSMA(), Spatial())
