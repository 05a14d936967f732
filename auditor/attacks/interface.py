"""What an attack is: a small description, and how ART carries it out on one batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from auditor.engine.cost import Cost
    from auditor.models.estimator import LogitsClassifier, Loss
    from auditor.models.subject import Subject

Knowledge: TypeAlias = Literal["white-box", "score-based", "decision-based", "none"]

#: Identifiers by what the attacker knows: technique of MITRE ATLAS 5.6.0, attack of NIST AI 100-2e2025.
IDENTIFIERS: Mapping[Knowledge, tuple[str | None, str | None]] = {
    "white-box": ("AML.T0043.000", "NISTAML.022"),
    "score-based": ("AML.T0043.001", "NISTAML.025"),
    "decision-based": ("AML.T0043.001", "NISTAML.025"),
    "none": (None, None),
}


@dataclass(frozen=True)
class Arena:
    """One batch of n images under attack.

    Attributes:
        subject: the model.
        images: in [0, 1] of shape `(n, h, w, c)`.
        labels: ground truth of shape `(n,)`.
        clean: logits of the images as they are, of shape `(n, C)`.
        concerned: the images the attack is to be run on, of shape `(n,)`.
        standing: those of them that it has not yet won at a smaller epsilon, of shape `(n,)`.
        critical: the clinically worst error, true and predicted class.
        coarse: whether iterates may be crafted in bfloat16 first.
        learned: what the attack learned at this epsilon, if it learns.
        seed: of the random choices of this batch and this attack at this epsilon.
    """

    subject: Subject
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    clean: NDArray[np.float32]
    concerned: NDArray[np.bool_]
    standing: NDArray[np.bool_]
    critical: tuple[int, int] | None
    coarse: bool
    seed: tuple[int, ...]
    learned: NDArray[np.float32] | None = None

    @cached_property
    def targets(self) -> NDArray[np.float32]:
        """Ground truth as one-hot rows of shape `(n, C)`."""
        return np.eye(self.subject.outputs, dtype=np.float32)[self.labels]

    @property
    def right(self) -> NDArray[np.bool_]:
        """The concerned images that the model classifies correctly as they are."""
        result: NDArray[np.bool_] = self.concerned & (self.clean.argmax(axis=1) == self.labels)
        return result

    def estimator(self, loss: Loss = "cross-entropy", *, coarse: bool = False) -> LogitsClassifier:
        """Return the ART estimator; see `Subject.estimator`."""
        return self.subject.estimator(loss, coarse=coarse)

    def errs(self, images: NDArray[np.float32], rows: NDArray[np.int64], target: int | None = None) -> Any:
        """Judge images made from the given rows: whether the float32 model errs (as `target` says), of shape `(k,)`."""
        predicted = self.subject.classifier.predict(images, len(self.images)).argmax(axis=1)
        return predicted == target if target is not None else predicted != self.labels[rows]

    @contextmanager
    def seeded(self, *more: int) -> Iterator[None]:
        """Seed the random numbers that ART's attacks draw, and put the old state back at the end."""
        import random

        kept, kept_too = np.random.get_state(), random.getstate()
        sequence = np.random.SeedSequence([*self.seed, *more]).generate_state(2)
        np.random.seed(int(sequence[0]))
        random.seed(int(sequence[1]))
        try:
            yield
        finally:
            np.random.set_state(kept)
            random.setstate(kept_too)


class Attack(ABC):
    """An attack on images in [0, 1].

    Attributes:
        name: as on the command line and in the record.
        title: name in words.
        norm: the norm that the perturbation is measured in.
        knowledge: what the attacker may ask the model.
        reference: where it was published.
        suites: the suites it belongs to.
        pursues: whether an image that it has won is not attacked again at a larger epsilon, where the
            perturbation found is allowed as well.
        minimal: whether it looks for the smallest perturbation: then it is run once, and at each epsilon its
            result counts where it is small enough.
        sweeps: whether epsilon bounds it at all.
        iterates: whether it follows the gradient in many steps and keeps the first iterate on which the model errs, as
            `pursue` makes it.
        follows: name of an attack whose results it starts from; None for none.
        learns: whether it has to learn from some images before it can attack any.
        subset: number of images it is run on, drawn at random once; None for all.
        role: `probe` for a part of a check and `remedy` for what is run where the gradient vanishes: neither is
            chosen by name.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    norm: ClassVar[str] = "L-inf"
    knowledge: ClassVar[Knowledge] = "white-box"
    reference: ClassVar[str]
    suites: ClassVar[tuple[str, ...]] = ("full",)
    pursues: ClassVar[bool] = True
    minimal: ClassVar[bool] = False
    sweeps: ClassVar[bool] = True
    iterates: ClassVar[bool] = False
    follows: str | None = None
    learns: ClassVar[bool] = False
    subset: ClassVar[int | None] = None
    role: ClassVar[Literal["attack", "probe", "remedy"]] = "attack"

    @property
    def single_step(self) -> bool:
        """Whether it takes one step along the gradient, from the image itself."""
        return self.knowledge == "white-box" and self.sweeps and not self.pursues and not self.learns

    @property
    def informed(self) -> bool:
        """Whether it asks the model anything: random noise, the control, does not."""
        return self.knowledge != "none"

    @property
    def meets_all(self) -> bool:
        """Whether it is run on every image, whatever the size of the test set and the critical error."""
        return self.subset is None and bool(self.concerns(np.zeros(1, dtype=np.int64), None).all())

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, str | int | float | bool | None]:
        """Every parameter but epsilon, for the record."""

    @abstractmethod
    def cost(self, epsilons: int) -> Cost:
        """Largest cost of crafting one image at that many values of epsilon, apart from judging the results."""

    @abstractmethod
    def craft(self, arena: Arena, epsilon: float) -> NDArray[np.float32]:
        """Attack one batch.

        Args:
            arena: the batch; rows that are not in `arena.standing` need no attack.
            epsilon: largest perturbation in L-inf on images in [0, 1]; attacks in L2 take `radius` of it, and
                those that no epsilon bounds take no notice.

        Returns:
            Adversarial images of the same shape and range; a row that was not attacked as it was.
        """

    def learn(self, arena: Arena, epsilon: float | None) -> NDArray[np.float32] | None:
        """Learn from some test images, drawn at random, what `craft` needs at that epsilon; None for nothing.

        Raises:
            Exception: of any kind, if it cannot; the attack is then reported as crashed.
        """
        del arena, epsilon
        return None

    def won(
        self, predicted: NDArray[np.int64], labels: NDArray[np.int64], critical: tuple[int, int] | None
    ) -> NDArray[np.bool_]:
        """Tell which images need no more attack, by their predicted classes, all of shape `(n,)`."""
        del critical
        result: NDArray[np.bool_] = predicted != labels
        return result

    def budgets(self, epsilons: tuple[float, ...], headline: float) -> tuple[float | None, ...]:
        """List the values of epsilon it is measured at, None for without a bound.

        Args:
            epsilons: of the sweep, rising.
            headline: the one that page one speaks of.
        """
        del headline
        if not self.sweeps:
            return (None,)
        return (None, *epsilons) if self.minimal else epsilons

    def concerns(self, labels: NDArray[np.int64], critical: tuple[int, int] | None) -> NDArray[np.bool_]:
        """Tell which images of that ground truth the attack is meant for, of shape `(n,)`."""
        del critical
        return np.ones(len(labels), dtype=bool)

    def radius(self, epsilon: float | None, values: int) -> float | None:
        """Turn epsilon into the largest perturbation in the attack's own norm, for images of that many values.

        In L2 it is the length of a perturbation that changes every value by epsilon, so that attacks in both
        norms may spend the same mean square.
        """
        return epsilon * float(np.sqrt(values)) if epsilon and self.norm == "L2" else epsilon
