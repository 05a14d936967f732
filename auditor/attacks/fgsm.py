"""The attack of the paper: the fast gradient sign method (section III-C)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.attacks.interface import Attack
from auditor.engine.cost import Cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from auditor.models.estimator import LogitsClassifier


class FGSM(Attack):
    """One step of epsilon along the sign of the gradient of the cross-entropy, away from the true label."""

    name = "fgsm"
    title = "Fast gradient sign method"
    norm = "L-inf"
    knowledge = "white-box"
    reference = "Goodfellow, Shlens and Szegedy 2015, arXiv:1412.6572"

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
        """One gradient: its sign is the same at every epsilon."""
        del epsilons
        return Cost(gradients=1)

    def generate(
        self,
        classifier: LogitsClassifier,
        images: NDArray[np.float32],
        targets: NDArray[np.float32],
        epsilon: float,
    ) -> NDArray[np.float32]:
        """Attack one batch, as `Attack.generate` says."""
        from art.attacks.evasion import FastGradientMethod

        attack = FastGradientMethod(
            classifier, eps=epsilon, eps_step=epsilon, batch_size=len(images), summary_writer=False
        )
        result: NDArray[np.float32] = attack.generate(images, targets)
        return result
