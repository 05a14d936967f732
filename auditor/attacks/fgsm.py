"""The attack of the paper, the fast gradient sign method (section III-C), and the same step in L2."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from auditor.attacks.interface import Arena, Attack
from auditor.engine.cost import Cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class FGSM(Attack):
    """One step of epsilon along the sign of the gradient of the cross-entropy, away from the true label."""

    name = "fgsm"
    title = "Fast gradient sign method"
    reference = "Goodfellow, Shlens and Szegedy 2015, arXiv:1412.6572"
    suites: ClassVar[tuple[str, ...]] = ("quick", "standard", "full")
    pursues = False
    art_norm: ClassVar[float] = np.inf

    @property
    def parameters(self) -> Mapping[str, str | int | float | bool | None]:
        """Parameters of ART's `FastGradientMethod`."""
        return {
            "art_class": "FastGradientMethod",
            "targeted": False,
            "labels": "ground truth",
            "loss": "cross-entropy on logits",
            "num_random_init": 0,
            "minimal": False,
            "clip_min": 0.0,
            "clip_max": 1.0,
        }

    def cost(self, epsilons: int) -> Cost:
        """One gradient: its direction is the same at every epsilon."""
        del epsilons
        return Cost(gradients=1)

    def craft(self, arena: Arena, epsilon: float) -> NDArray[np.float32]:
        """Attack one batch, all of it: images that are wrong from the start are attacked as in the paper."""
        from art.attacks.evasion import FastGradientMethod

        size = self.radius(epsilon, arena.images[0].size)
        attack = FastGradientMethod(
            arena.estimator(),
            norm=self.art_norm,
            eps=size,
            eps_step=size,
            batch_size=len(arena.images),
            summary_writer=False,
        )
        result: NDArray[np.float32] = attack.generate(arena.images, arena.targets)
        return result


class FGML2(FGSM):
    """One step along the gradient itself, of a length in L2."""

    name = "fgm-l2"
    title = "Fast gradient method in L2"
    norm = "L2"
    suites: ClassVar[tuple[str, ...]] = ("standard", "full")
    art_norm = 2


ATTACKS = (FGSM(), FGML2())
