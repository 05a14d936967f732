"""Random noise: what an attack has to beat to deserve the name."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from auditor.attacks.interface import Arena, Attack
from auditor.engine.cost import Cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class Noise(Attack):
    """Uniform noise of up to epsilon, one draw for each image; not an attack but a control."""

    name = "noise"
    title = "Uniform random noise (control)"
    knowledge = "none"
    reference = "control; Carlini et al. 2019, arXiv:1902.06705"
    suites: ClassVar[tuple[str, ...]] = ("quick", "standard", "full")
    pursues = False

    @property
    def parameters(self) -> Mapping[str, str | int | float | bool | None]:
        """How the noise is drawn."""
        return {"distribution": "uniform in [-epsilon, epsilon], independent for every value", "draws": 1}

    def cost(self, epsilons: int) -> Cost:
        """It asks the model nothing."""
        del epsilons
        return Cost()

    def craft(self, arena: Arena, epsilon: float) -> NDArray[np.float32]:
        """Add noise to one batch."""
        noise = np.random.default_rng(arena.seed).uniform(-epsilon, epsilon, arena.images.shape)
        return np.clip(arena.images + noise.astype(np.float32), 0, 1)


ATTACKS = (Noise(),)
