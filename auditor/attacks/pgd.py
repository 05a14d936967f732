"""Projected gradient descent in its variants: untargeted, targeted, on the margin, and as probes of the checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from auditor.attacks.interface import Arena, Attack
from auditor.attacks.pursuit import pursue
from auditor.engine.cost import Cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from auditor.models.estimator import Loss


class PGD(Attack):
    """Many small steps along the sign of the gradient, each projected back to the ball, from random starts."""

    name = "pgd"
    title = "Projected gradient descent"
    reference = "Madry et al. 2018, arXiv:1706.06083"
    suites: ClassVar[tuple[str, ...]] = ("standard", "full")
    iterates = True
    steps: ClassVar[int] = 40
    restarts: ClassVar[int] = 5
    loss: ClassVar[Loss] = "cross-entropy"

    @property
    def parameters(self) -> Mapping[str, str | int | float | bool | None]:
        """Parameters of ART's `ProjectedGradientDescentNumpy`."""
        return {
            "art_class": "ProjectedGradientDescentNumpy",
            "targeted": False,
            "labels": "ground truth",
            "loss": f"{self.loss} on logits",
            "max_iter": self.steps,
            "eps_step": "epsilon / 10",
            "random_starts": self.restarts,
            "kept": "for each image the first iterate on which the model errs",
            "clip_min": 0.0,
            "clip_max": 1.0,
        }

    def cost(self, epsilons: int) -> Cost:
        """A gradient for each step of each restart, and a judgement of each restart."""
        return Cost(forwards=self.restarts * epsilons, gradients=self.restarts * self.steps * epsilons)

    def craft(self, arena: Arena, epsilon: float) -> NDArray[np.float32]:
        """Attack one batch, as `Attack.craft` says."""
        return self._pursue(arena, epsilon, None)

    def _pursue(self, arena: Arena, epsilon: float, target: int | None) -> NDArray[np.float32]:
        from art.attacks.evasion.projected_gradient_descent.projected_gradient_descent_numpy import (
            ProjectedGradientDescentNumpy,
        )

        return pursue(
            arena,
            lambda estimator, images: ProjectedGradientDescentNumpy(
                estimator,
                eps=epsilon,
                eps_step=epsilon / 10,
                max_iter=self.steps,
                num_random_init=1,
                targeted=target is not None,
                batch_size=images,
                verbose=False,
            ),
            restarts=self.restarts,
            loss=self.loss,
            target=target,
        )


class TargetedPGD(PGD):
    """PGD towards the clinically worst error, on the images of its true class."""

    name = "pgd-targeted"
    title = "Projected gradient descent towards the critical error"
    restarts = 1

    @property
    def parameters(self) -> Mapping[str, str | int | float | bool | None]:
        """Parameters of ART's `ProjectedGradientDescentNumpy`."""
        return {**super().parameters, "targeted": True, "labels": "predicted class of the critical error"}

    def concerns(self, labels: NDArray[np.int64], critical: tuple[int, int] | None) -> NDArray[np.bool_]:
        """Images of the true class of the critical error; none where no such error was named."""
        return labels == critical[0] if critical else np.zeros(len(labels), dtype=bool)

    def craft(self, arena: Arena, epsilon: float) -> NDArray[np.float32]:
        """Attack one batch, as `Attack.craft` says."""
        assert arena.critical is not None  # noqa: S101 - without one it concerns no image
        return self._pursue(arena, epsilon, arena.critical[1])

    def won(
        self, predicted: NDArray[np.int64], labels: NDArray[np.int64], critical: tuple[int, int] | None
    ) -> NDArray[np.bool_]:
        """Images that are taken for the class of the critical error; another wrong class is not enough."""
        result: NDArray[np.bool_] = predicted == critical[1] if critical else predicted != labels
        return result


class MarginPGD(PGD):
    """PGD on the margin between the logits, whose gradient no confidence can flatten."""

    name = "pgd-margin"
    title = "Projected gradient descent on the margin of the logits"
    reference = "Carlini and Wagner 2017, arXiv:1608.04644 (loss); Madry et al. 2018, arXiv:1706.06083"
    restarts = 1
    loss = "margin"


class Remedy(MarginPGD):
    """The margin loss where the gradient of the cross-entropy vanished."""

    name = "margin-remedy"
    title = "The margin loss where the gradient vanished or the logits saturate"
    suites: ClassVar[tuple[str, ...]] = ()
    role = "remedy"

    def __init__(self, follows: str) -> None:
        self.follows = follows

    @property
    def parameters(self) -> Mapping[str, str | int | float | bool | None]:
        """Parameters of ART's `ProjectedGradientDescentNumpy`."""
        return {**super().parameters, "elsewhere": f"the result of {self.follows}"}


class Unbounded(PGD):
    """PGD with half of the image range to spend: an attack that cannot win then is broken."""

    name = "pgd-unbounded"
    title = "Projected gradient descent without a bound to speak of"
    suites: ClassVar[tuple[str, ...]] = ()
    role = "probe"
    restarts = 1
    subset = 32

    def budgets(self, epsilons: tuple[float, ...], headline: float) -> tuple[float | None, ...]:
        """Half of the range (Carlini et al. 2019; Pintor et al. 2022)."""
        del epsilons, headline
        return (0.5,)


class Longer(PGD):
    """PGD with twice the steps on what PGD left: an attack that has converged wins nothing more."""

    name = "pgd-longer"
    title = "Projected gradient descent with twice the steps, on what it had left"
    suites: ClassVar[tuple[str, ...]] = ()
    role = "probe"
    steps = 80
    restarts = 1
    follows = "pgd"

    def budgets(self, epsilons: tuple[float, ...], headline: float) -> tuple[float | None, ...]:
        """The headline epsilon alone."""
        del epsilons
        return (headline,)


ATTACKS = (PGD(), TargetedPGD(), MarginPGD(), Unbounded(), Longer())
