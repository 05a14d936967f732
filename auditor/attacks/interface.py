"""What an attack is: a small description, and how ART carries it out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from auditor.engine.cost import Cost
    from auditor.models.estimator import LogitsClassifier


class Attack(ABC):
    """An attack bounded by epsilon, on images in [0, 1].

    Attributes:
        name: as on the command line and in the record.
        title: name in words.
        norm: the norm that epsilon bounds.
        knowledge: `white-box`, `score-based` or `decision-based`.
        reference: where it was published.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    norm: ClassVar[str]
    knowledge: ClassVar[str]
    reference: ClassVar[str]

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, str | int | float | bool | None]:
        """Every parameter but epsilon, for the record."""

    @abstractmethod
    def cost(self, epsilons: int) -> Cost:
        """Cost of crafting one image at that many values of epsilon, apart from judging the results."""

    @abstractmethod
    def generate(
        self,
        classifier: LogitsClassifier,
        images: NDArray[np.float32],
        targets: NDArray[np.float32],
        epsilon: float,
    ) -> NDArray[np.float32]:
        """Attack one batch.

        Args:
            classifier: the model under attack.
            images: in [0, 1], of shape `(n, h, w, c)`.
            targets: ground truth, one-hot, of shape `(n, C)`.
            epsilon: largest perturbation in the attack's norm, on images in [0, 1].

        Returns:
            Adversarial images of the same shape and range.
        """
