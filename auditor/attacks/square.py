"""Square Attack: random search that sees the scores and no gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from auditor.attacks.interface import Arena, Attack
from auditor.engine.cost import Cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class Square(Attack):
    """Random search over square patches, keeping what lowers the margin."""

    name = "square"
    title = "Square Attack"
    knowledge = "score-based"
    reference = "Andriushchenko et al. 2020, arXiv:1912.00049"
    suites: ClassVar[tuple[str, ...]] = ("standard", "full")
    subset = 16
    steps: ClassVar[int] = 100

    @property
    def parameters(self) -> Mapping[str, str | int | float | bool | None]:
        """Parameters of ART's `SquareAttack`."""
        return {
            "art_class": "SquareAttack",
            "labels": "ground truth",
            "max_iter": self.steps,
            "p_init": "0.8, or less where such a square would not fit into the image",
            "nb_restarts": 1,
        }

    def cost(self, epsilons: int) -> Cost:
        """A prediction for each step: what ART asks twice is answered from memory."""
        return Cost(forwards=(self.steps + 2) * epsilons)

    def craft(self, arena: Arena, epsilon: float) -> NDArray[np.float32]:
        """Attack the images of one batch that still stand."""
        from art.attacks.evasion import SquareAttack

        rows = np.flatnonzero(arena.standing & arena.right)
        adversarial = arena.images.copy()
        height, width = arena.subject.size
        # ART's first square has this share of the image as its area, and has to leave room to be moved.
        fitting = (min(height, width) - 1.5) ** 2 / (height * width)
        if len(rows):
            attack = SquareAttack(
                arena.estimator(),
                eps=epsilon,
                max_iter=self.steps,
                p_init=min(0.8, fitting),
                nb_restarts=1,
                batch_size=len(rows),
                verbose=False,
            )
            with arena.seeded():
                adversarial[rows] = attack.generate(arena.images[rows], arena.targets[rows])
        return adversarial


ATTACKS = (Square(),)
