"""Attacks that look for the smallest perturbation: DeepFool, Carlini and Wagner's, HopSkipJump."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from auditor.attacks.interface import Arena, Attack
from auditor.engine.cost import Cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


#: Parameters that are none of ART's.
_WORDS = ("art_class", "labels", "start")


class _Smallest(Attack):
    norm = "L2"
    minimal = True
    given: ClassVar[Mapping[str, str | int | float | bool | None]]
    asks: ClassVar[Cost]

    @property
    def parameters(self) -> Mapping[str, str | int | float | bool | None]:
        """Parameters of ART's class, and what else is to be said of it in words."""
        return self.given

    @property
    def options(self) -> dict[str, Any]:
        """The parameters as ART's class takes them."""
        return {name: value for name, value in self.given.items() if name not in _WORDS}

    def cost(self, epsilons: int) -> Cost:
        """It is run once for all values of epsilon."""
        del epsilons
        return self.asks

    def craft(self, arena: Arena, epsilon: float) -> NDArray[np.float32]:
        """Attack the images of one batch that the model classifies correctly."""
        del epsilon
        rows = np.flatnonzero(arena.right)
        adversarial = arena.images.copy()
        if len(rows):
            with arena.seeded():
                adversarial[rows] = self.search(arena, rows)
        return adversarial

    @abstractmethod
    def search(self, arena: Arena, rows: NDArray[np.int64]) -> Any:
        """Return adversarial versions of some images, at least one."""


class DeepFool(_Smallest):
    """Steps to the nearest decision boundary of the linearised model."""

    name = "deepfool"
    title = "DeepFool"
    reference = "Moosavi-Dezfooli et al. 2016, arXiv:1511.04599"
    given: ClassVar = {"art_class": "DeepFool", "max_iter": 20, "epsilon": 0.02, "nb_grads": 3}
    asks = Cost(forwards=20, gradients=60)
    subset = 32

    def search(self, arena: Arena, rows: NDArray[np.int64]) -> Any:
        """Run ART's `DeepFool`."""
        from art.attacks.evasion import DeepFool as ArtDeepFool

        attack = ArtDeepFool(arena.estimator(), batch_size=len(rows), verbose=False, **self.options)
        return attack.generate(arena.images[rows])


class CarliniL2(_Smallest):
    """Trades the size of the perturbation against the margin by a search over their balance."""

    name = "carlini-l2"
    title = "Carlini and Wagner's attack in L2"
    reference = "Carlini and Wagner 2017, arXiv:1608.04644"
    given: ClassVar = {
        "art_class": "CarliniL2Method",
        "labels": "ground truth",
        "confidence": 0.0,
        "binary_search_steps": 3,
        "max_iter": 10,
        "learning_rate": 0.05,
        "initial_const": 1.0,
    }
    asks = Cost(forwards=150, gradients=60)
    subset = 8

    def search(self, arena: Arena, rows: NDArray[np.int64]) -> Any:
        """Run ART's `CarliniL2Method`."""
        from art.attacks.evasion import CarliniL2Method

        attack = CarliniL2Method(arena.estimator(), batch_size=len(rows), verbose=False, **self.options)
        return attack.generate(arena.images[rows], arena.targets[rows])


class HopSkipJump(_Smallest):
    """Walks along the decision boundary and sees nothing but the predicted class.

    It starts from another test image, one that the model takes for another class.
    """

    name = "hopskipjump"
    title = "HopSkipJump"
    knowledge = "decision-based"
    reference = "Chen, Jordan and Wainwright 2020, arXiv:1904.02144"
    given: ClassVar = {
        "art_class": "HopSkipJump",
        "labels": "ground truth",
        "norm": 2,
        "max_iter": 5,
        "init_eval": 20,
        "max_eval": 100,
        "start": "a test image drawn at random that the model takes for another class",
    }
    asks = Cost(forwards=450)
    subset = 8
    learns = True

    def learn(self, arena: Arena, epsilon: float | None) -> NDArray[np.float32]:
        """Keep the first image of each predicted class, of shape `(k, h, w, c)`: where others start from."""
        del epsilon
        _, first = np.unique(arena.clean.argmax(axis=1), return_index=True)
        if len(first) < 2:
            raise ValueError("the model takes all images it could start from for one class")
        return arena.images[np.sort(first)]

    def search(self, arena: Arena, rows: NDArray[np.int64]) -> Any:
        """Run ART's `HopSkipJump`."""
        from art.attacks.evasion import HopSkipJump as ArtHopSkipJump

        # ART would draw its starting point from numbers that cannot be seeded.
        starts = arena.learned
        assert starts is not None  # noqa: S101 - the engine lets an attack learn first
        classes = arena.estimator().predict(starts, len(starts)).argmax(axis=1)
        own = arena.clean.argmax(axis=1)[rows]
        chosen = starts[[int(np.flatnonzero(classes != label)[0]) for label in own]]
        attack = ArtHopSkipJump(arena.estimator(), batch_size=64, verbose=False, **self.options)
        return attack.generate(arena.images[rows], arena.targets[rows], x_adv_init=chosen.copy())


ATTACKS = (DeepFool(), CarliniL2(), HopSkipJump())
