"""What is to be done, settled before the work begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditor.engine.cost import Cost

if TYPE_CHECKING:
    from auditor.attacks import Attack

#: The epsilon page one speaks of, if it is part of the sweep.
HEADLINE_EPSILON = 2 / 255


@dataclass(frozen=True)
class Plan:
    """Which attacks at which epsilon, and how many images at a time.

    Attributes:
        attacks: in the order they are run.
        epsilons: rising, on images in [0, 1].
        batch_size: images in a batch.
    """

    attacks: tuple[Attack, ...]
    epsilons: tuple[float, ...]
    batch_size: int

    @property
    def cells(self) -> tuple[tuple[Attack, float], ...]:
        """Every attack at every epsilon."""
        return tuple((attack, epsilon) for attack in self.attacks for epsilon in self.epsilons)

    @property
    def names(self) -> tuple[tuple[str, float], ...]:
        """The cells by name of the attack and epsilon."""
        return tuple((attack.name, epsilon) for attack, epsilon in self.cells)

    @property
    def headline(self) -> float:
        """The epsilon of the sweep that is nearest to 2/255."""
        return min(self.epsilons, key=lambda epsilon: abs(epsilon - HEADLINE_EPSILON))

    @property
    def cost(self) -> Cost:
        """Cost of one image: the clean prediction, crafting, and judging each adversarial image."""
        total = Cost(forwards=1 + len(self.cells))
        for attack in self.attacks:
            total += attack.cost(len(self.epsilons))
        return total


def fitting_batch_size(input_shape: tuple[int, int, int]) -> int:
    """Choose a number of images for a batch: 16 at 224x224, more for smaller images, at most 128."""
    height, width, _ = input_shape
    return max(1, min(128, 16 * 224 * 224 // (height * width)))
