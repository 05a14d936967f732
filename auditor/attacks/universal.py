"""A universal perturbation: one and the same for every image."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from auditor.attacks.interface import Arena, Attack
from auditor.engine.cost import Cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class Universal(Attack):
    """Gathers from some images one perturbation that fools the model on most, and adds it to all."""

    name = "universal"
    title = "Universal perturbation"
    reference = "Moosavi-Dezfooli et al. 2017, arXiv:1610.08401"
    pursues = False
    learns = True
    rounds: ClassVar[int] = 3

    @property
    def parameters(self) -> Mapping[str, str | int | float | bool | None]:
        """Parameters of ART's `UniversalPerturbation`."""
        return {
            "art_class": "UniversalPerturbation",
            "attacker": "fgsm with half of epsilon",
            "labels": "ground truth",
            "delta": 0.2,
            "max_iter": self.rounds,
            "learned_from": "test images drawn at random, as many as a batch holds",
        }

    def cost(self, epsilons: int) -> Cost:
        """Learning is shared by all images; what is left for one is small."""
        return Cost(forwards=3 * self.rounds * epsilons / 10, gradients=self.rounds * epsilons / 10)

    def learn(self, arena: Arena, epsilon: float | None) -> NDArray[np.float32]:
        """Learn the perturbation, of shape `(1, h, w, c)`."""
        from art.attacks.evasion import UniversalPerturbation

        assert epsilon is not None  # noqa: S101 - it is bounded

        attack = UniversalPerturbation(
            arena.estimator(),
            attacker="fgsm",
            attacker_params={"eps": epsilon / 2, "eps_step": epsilon / 2},
            delta=0.2,
            max_iter=self.rounds,
            eps=epsilon,
            norm=np.inf,
            batch_size=len(arena.images),
            verbose=False,
        )
        with arena.seeded():
            attack.generate(arena.images, arena.targets)
        return np.asarray(attack.noise, np.float32)

    def craft(self, arena: Arena, epsilon: float) -> NDArray[np.float32]:
        """Add what was learned."""
        del epsilon
        assert arena.learned is not None  # noqa: S101 - the engine lets an attack learn first
        result: NDArray[np.float32] = np.clip(arena.images + arena.learned, 0, 1)
        return result


ATTACKS = (Universal(),)
