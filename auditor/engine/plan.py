"""What is to be done, settled before the work begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from auditor.attacks import ATTACKS, EVERY
from auditor.attacks.pgd import Remedy
from auditor.engine.cost import Cost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from auditor.attacks import Attack

#: The epsilon page one speaks of, if it is part of the sweep.
HEADLINE_EPSILON = 2 / 255

#: Name of an attack and its epsilon; None where no epsilon bounds it.
Cell = tuple[str, float | None]


@dataclass(frozen=True)
class Plan:
    """Which attacks at which epsilon, and how many images at a time.

    Attributes:
        attacks: in the order they are run, those of the checks among them.
        epsilons: rising, on images in [0, 1].
        batch_size: images in a batch.
        critical: the clinically worst error, true and predicted class.
        coarse: whether iterative attacks are crafted in bfloat16 first.
        seed: of every random choice.
    """

    attacks: tuple[Attack, ...]
    epsilons: tuple[float, ...]
    batch_size: int
    critical: tuple[int, int] | None = None
    coarse: bool = False
    seed: int = 0

    def budgets(self, attack: Attack) -> tuple[float | None, ...]:
        """Values of epsilon of an attack of the plan."""
        return attack.budgets(self.epsilons, self.headline)

    @property
    def cells(self) -> tuple[tuple[Attack, float | None], ...]:
        """Every attack at every epsilon of its own."""
        return tuple((attack, epsilon) for attack in self.attacks for epsilon in self.budgets(attack))

    @property
    def names(self) -> tuple[Cell, ...]:
        """The cells by name of the attack and epsilon."""
        return tuple((attack.name, epsilon) for attack, epsilon in self.cells)

    @property
    def measured(self) -> Mapping[str, tuple[float | None, ...]]:
        """Values of epsilon of each attack that was chosen, by its name."""
        return {attack.name: self.budgets(attack) for attack in self.attacks if attack.role == "attack"}

    @property
    def decided(self) -> tuple[float, ...]:
        """Values of epsilon at which a worst case is measured: see `assess_worst_case`."""
        chosen = [attack for attack in self.attacks if attack.role == "attack" and attack.norm == "L-inf"]
        deciding = [attack for attack in chosen if attack.informed and attack.meets_all]
        return tuple(epsilon for epsilon in self.epsilons if any(epsilon in self.budgets(a) for a in deciding))

    @property
    def headline(self) -> float:
        """The epsilon of the sweep that is nearest to 2/255."""
        return min(self.epsilons, key=lambda epsilon: abs(epsilon - HEADLINE_EPSILON))

    @property
    def shown(self) -> Attack:
        """The attack that is shown in detail: the paper's if it is run, else the first that is no control."""
        chosen = [attack for attack in self.attacks if attack.role == "attack"]
        return min(chosen, key=lambda attack: (attack.name != "fgsm", not attack.sweeps, attack.knowledge == "none"))

    @property
    def shown_epsilon(self) -> float | None:
        """The epsilon its pictures are kept at: the headline, if it is measured there."""
        budgets = self.budgets(self.shown)
        return self.headline if self.headline in budgets else budgets[0]

    def drawn(self, attack: Attack, images: int) -> NDArray[np.bool_]:
        """Draw the images that an attack is run on, of shape `(images,)`: all, or a subset that the seed fixes."""
        chosen = np.ones(images, dtype=bool)
        if attack.subset is not None and attack.subset < images:
            generator = np.random.default_rng([self.seed, attack.subset])
            chosen[generator.permutation(images)[attack.subset :]] = False
        return chosen

    def cost(self, images: int) -> Cost:
        """Largest cost of an image, on average over that many: clean, crafting, judging each adversarial image."""
        total = Cost(forwards=1)
        for attack in self.attacks:
            # A remedy costs nothing where there is nothing to mend.
            if attack.role != "remedy":
                share = 1 if attack.subset is None else min(1.0, attack.subset / images)
                total += self.cost_of(attack) * share
        return total

    def cost_of(self, attack: Attack) -> Cost:
        """Largest cost of an image under one attack, crafting and judging."""
        budgets = len(self.budgets(attack))
        return attack.cost(budgets) + Cost(forwards=1 if attack.minimal else budgets)


def choose(names: Sequence[str]) -> tuple[Attack, ...]:
    """Return the attacks of those names, and those that their checks need.

    Raises:
        KeyError: if there is no attack of a name.
    """
    chosen = [ATTACKS[name] for name in names]
    if "pgd" in names:
        chosen += [EVERY["pgd-unbounded"], EVERY["pgd-longer"]]
    # The remedy stands in for the first attack along the gradient, in the same norm and on every image.
    followed = [
        attack.name
        for attack in chosen
        if (attack.knowledge, attack.norm, attack.sweeps, attack.minimal, attack.role)
        == ("white-box", "L-inf", True, False, "attack")
        and attack.meets_all
    ]
    if followed and "pgd-margin" not in names:
        chosen.append(Remedy(followed[0]))
    return tuple(chosen)


def fitting_batch_size(input_shape: tuple[int, int, int], activations: int, free: int | None) -> int:
    """Choose a number of images for a batch: what keeps the processor busy, and fits in half of the free memory.

    Args:
        input_shape: of the model. 8 images at 224x224 keep a processor busy; more of smaller ones, at most 128.
        activations: values that the layers of the model hold for one image.
        free: free memory in bytes; None where it is not known.
    """
    height, width, _ = input_shape
    busy = max(1, min(128, 8 * 224 * 224 // (height * width)))
    # A gradient keeps every activation and about as much again while it is computed, four bytes each.
    needed = 3 * 4 * activations
    return busy if free is None else max(1, min(busy, int(free / 2 / max(needed, 1))))


def critical_pair(critical: tuple[str, str] | None, classes: Sequence[str]) -> Any:
    """Return the critical error as indices of its true and predicted class; None if there is none."""
    return (classes.index(critical[0]), classes.index(critical[1])) if critical else None
