"""Auto-PGD: projected gradient descent that finds its own step size."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from auditor.attacks.interface import Arena, Attack
from auditor.attacks.pursuit import pursue
from auditor.engine.cost import Cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


class APGD(Attack):
    """Auto-PGD on the cross-entropy."""

    name = "apgd"
    title = "Auto-PGD on the cross-entropy"
    reference = "Croce and Hein 2020, arXiv:2003.01690"
    suites: ClassVar[tuple[str, ...]] = ("standard", "full")
    iterates = True
    steps: ClassVar[int] = 40

    @property
    def parameters(self) -> Mapping[str, str | int | float | bool | None]:
        """Parameters of ART's `AutoProjectedGradientDescent`."""
        return {
            "art_class": "AutoProjectedGradientDescent",
            "targeted": False,
            "labels": "ground truth",
            "loss": "cross-entropy on logits",
            "max_iter": self.steps,
            "eps_step": "2 epsilon at first",
            "random_starts": 1,
            "kept": "for each image the first iterate on which the model errs",
        }

    def cost(self, epsilons: int) -> Cost:
        """A gradient and a value of the loss for each step."""
        return Cost(forwards=(self.steps + 2) * epsilons, gradients=self.steps * epsilons)

    def craft(self, arena: Arena, epsilon: float) -> NDArray[np.float32]:
        """Attack one batch, as `Attack.craft` says."""
        from art.attacks.evasion import AutoProjectedGradientDescent

        return pursue(
            arena,
            lambda estimator, images: AutoProjectedGradientDescent(
                estimator,
                eps=epsilon,
                eps_step=2 * epsilon,
                max_iter=self.steps,
                nb_random_init=1,
                batch_size=images,
                verbose=False,
            ),
            restarts=1,
        )


ATTACKS = (APGD(),)
