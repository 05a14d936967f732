"""One batch under attack: every attack at every epsilon, judged by the float32 model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from auditor.attacks import Arena, Attack
from auditor.engine.outcomes import Attacked, Diagnosis
from auditor.metrics.classification import SATURATED, leads
from auditor.metrics.perceptibility import Originals, unmoved

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from auditor.engine.plan import Cell, Plan
    from auditor.models.subject import Subject

#: Begins the failure of an attack that was not run because what it goes on from had crashed.
_BEFORE = "not run, because what it goes on from crashed: "

#: What float32 may make of half a step of an 8-bit image.
_HALF = 1e-3

#: What rounding may add to a perturbation.
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Batch:
    """Images of one batch.

    Attributes:
        subject: the model.
        images: in [0, 1] of shape `(n, h, w, c)`.
        labels: ground truth of shape `(n,)`.
        start: place of the first in the test set.
    """

    subject: Subject
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    start: int

    @cached_property
    def answers(self) -> NDArray[np.float32]:
        """Logits of the images as they are, as the model gave them."""
        return self.subject.classifier.predict(self.images, len(self.images))

    @cached_property
    def clean(self) -> NDArray[np.float32]:
        """Logits of the images as they are; where the model gave none, wrong ones."""
        return settled(self.answers, self.labels)


def settled(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Replace answers that are not finite by a wrong one of no confidence: no answer is no right answer."""
    lost = ~np.isfinite(logits).all(axis=1)
    if not lost.any():
        return logits
    result = logits.copy()
    result[lost] = 0
    result[lost, (labels[lost] + 1) % logits.shape[1]] = 1e-6
    return result


def diagnose(batch: Batch) -> Diagnosis:
    """Look at the gradients that the attacks will follow."""
    targets = np.eye(batch.subject.outputs, dtype=np.float32)[batch.labels]
    gradient = batch.subject.classifier.loss_gradient(batch.images, targets).reshape(len(batch.images), -1)
    vanished = np.logical_not(gradient.any(axis=1))
    blind = np.zeros_like(vanished)
    if vanished.any():
        margin = batch.subject.estimator("margin").loss_gradient(batch.images[vanished], targets[vanished])
        blind[vanished] = ~margin.reshape(len(margin), -1).any(axis=1)
    undefined = np.logical_not(np.isfinite(gradient).all(axis=1) & np.isfinite(batch.answers).all(axis=1))
    return Diagnosis(vanished, blind, undefined)


class Campaign:
    """The attacks of a plan on one batch.

    Args:
        batch: the images.
        plan: what to do.
        learned: what the attacks that learn have learned, or why they could not.
        diagnosis: of the gradients at the images as they are.
    """

    def __init__(
        self,
        batch: Batch,
        plan: Plan,
        learned: Mapping[Cell, NDArray[np.float32] | str | None],
        diagnosis: Diagnosis | None = None,
    ) -> None:
        self._batch, self._plan, self._learned, self._clean = batch, plan, learned, batch.clean
        clean = batch.clean
        # Where the gradient of the cross-entropy is no guide.
        self._needy = leads(clean, batch.labels) > SATURATED
        if diagnosis:
            self._needy |= diagnosis.vanished
        self._undisturbed = Attacked(
            clean,
            unmoved(len(clean)),
            np.ones(len(clean), dtype=bool),
            clean.argmax(axis=1),
            np.zeros(len(clean), dtype=bool),
        )
        self._originals = Originals(batch.images)
        # What another attack of the plan starts from.
        self._followed: dict[Cell, tuple[NDArray[np.float32], Attacked]] = {}

    def arena(self, attack: Attack, epsilon: float | None) -> Arena:
        """Return the batch as an attack sees it that is run on all of it."""
        everything = np.ones(len(self._clean), dtype=bool)
        return self._arena(attack, epsilon, everything, everything)

    def fight(
        self, attack: Attack, drawn: NDArray[np.bool_]
    ) -> Iterator[tuple[float | None, NDArray[np.float32], Attacked, dict[str, float]]]:
        """Run one attack at each epsilon of its own.

        Args:
            attack: the attack.
            drawn: the images it may be run on, of shape `(n,)`.

        Yields:
            Epsilon, the adversarial images, what came of them, and the seconds spent on crafting and judging.
        """
        concerned = drawn & attack.concerns(self._batch.labels, self._plan.critical)
        if attack.role == "remedy":
            concerned &= self._needy
        crafted: NDArray[np.float32] | None = None
        adversarial, found = self._batch.images, self._undisturbed
        for epsilon in self._plan.budgets(attack):
            clock = time.perf_counter()
            start, before = self._before(attack, epsilon, adversarial, found)
            won = attack.won(before.predicted, self._batch.labels, self._plan.critical)
            standing = concerned & ~won if attack.pursues else concerned
            failure = before.failure and _BEFORE + before.failure.removeprefix(_BEFORE)
            if not failure and standing.any():
                try:
                    if crafted is None or not attack.minimal:
                        crafted = attack.craft(self._arena(attack, epsilon, concerned, standing), epsilon or 0.0)
                    adversarial = self._within(attack, epsilon, crafted)
                    adversarial = np.where(standing[:, None, None, None], adversarial, start)
                except Exception as error:  # noqa: BLE001 - an attack that crashes is reported, the rest goes on
                    failure, adversarial = f"{type(error).__name__}: {error}", start
            else:
                adversarial = start
            judged = time.perf_counter()
            found = self._judge(attack, epsilon, adversarial, before, standing, concerned, failure)
            if any(other.follows == attack.name for other in self._plan.attacks):
                self._followed[attack.name, epsilon] = adversarial, found
            spent = {"craft": judged - clock, "judge": time.perf_counter() - judged}
            yield epsilon, adversarial, found, spent

    def _before(
        self, attack: Attack, epsilon: float | None, adversarial: NDArray[np.float32], found: Attacked
    ) -> tuple[NDArray[np.float32], Attacked]:
        """What an attack starts from: the result of another attack, its own at the last epsilon, or nothing."""
        if attack.follows:
            return self._followed[attack.follows, epsilon]
        return (
            (adversarial, found) if attack.pursues and not attack.minimal else (self._batch.images, self._undisturbed)
        )

    def _arena(
        self, attack: Attack, epsilon: float | None, concerned: NDArray[np.bool_], standing: NDArray[np.bool_]
    ) -> Arena:
        learned = self._learned.get((attack.name, epsilon))
        if isinstance(learned, str):
            raise RuntimeError(learned)
        step = 0 if epsilon is None else round(epsilon * 255e6)
        return Arena(
            self._batch.subject,
            self._batch.images,
            self._batch.labels,
            self._clean,
            concerned,
            standing,
            self._plan.critical,
            self._plan.coarse,
            (self._plan.seed, crc32(attack.name.encode()), step, self._batch.start),
            learned,
        )

    def _within(self, attack: Attack, epsilon: float | None, crafted: NDArray[np.float32]) -> NDArray[np.float32]:
        """Undo, for an attack that looks for the smallest perturbation, those that are too large for epsilon."""
        radius = attack.radius(epsilon, crafted[0].size)
        if not attack.minimal or radius is None:
            return crafted
        near = self._size(attack, crafted) <= radius
        return np.where(near[:, None, None, None], crafted, self._batch.images)

    def _size(self, attack: Attack, adversarial: NDArray[np.float32]) -> NDArray[np.float64]:
        change = (adversarial.astype(np.float64) - self._batch.images).reshape(len(adversarial), -1)
        result: NDArray[np.float64] = (
            np.linalg.norm(change, axis=1) if attack.norm == "L2" else np.abs(change).max(axis=1)
        )
        return result

    def _judge(
        self,
        attack: Attack,
        epsilon: float | None,
        adversarial: NDArray[np.float32],
        before: Attacked,
        standing: NDArray[np.bool_],
        concerned: NDArray[np.bool_],
        failure: str,
    ) -> Attacked:
        """Ask the float32 model about the images that were attacked just now; the others stand as before."""
        rows = np.flatnonzero(standing)
        images, labels = adversarial[rows], self._batch.labels[rows]
        logits, rounded, outside = before.logits.copy(), before.rounded.copy(), before.outside.copy()
        moved = before.distances
        if len(rows):
            logits[rows] = self._ask(images, labels)
            rounded[rows] = self._rounded(images, rows, logits[rows]).argmax(axis=1)
            outside[rows] = self._outside(attack, epsilon, adversarial)[rows]
            moved = moved.put(rows, self._originals.distances(images, rows))
        return Attacked(logits, moved, concerned, rounded, outside, failure)

    def _ask(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        return settled(self._batch.subject.classifier.predict(images, self._plan.batch_size), labels)

    def _rounded(
        self, images: NDArray[np.float32], rows: NDArray[np.int64], logits: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Logits of images rounded to 8 bits; the model is only asked where that changes them."""
        originals = self._batch.images[rows]
        steps = (images - originals) * 255
        # The originals have 8 bits. A half step goes back to them: forward it would leave its budget.
        whole = np.sign(steps) * np.ceil(np.abs(steps) - 0.5 - _HALF)
        # Where nothing is lost the image stands as it was made.
        lost = (np.abs(steps - whole) > _HALF).reshape(len(rows), -1).any(axis=1)
        result = logits.copy()
        if lost.any():
            pixels = np.clip(originals[lost] + whole[lost] / np.float32(255), 0, 1).astype(np.float32)
            result[lost] = self._ask(pixels, self._batch.labels[rows[lost]])
        return result

    def _outside(self, attack: Attack, epsilon: float | None, adversarial: NDArray[np.float32]) -> NDArray[np.bool_]:
        flat = adversarial.reshape(len(adversarial), -1)
        bad: NDArray[np.bool_] = np.logical_not(((flat >= -_TOLERANCE) & (flat <= 1 + _TOLERANCE)).all(axis=1))
        radius = attack.radius(epsilon, flat.shape[1])
        if attack.sweeps and radius is not None:
            allowed = radius * (1 + 1e-5) if attack.norm == "L2" else radius
            bad |= ~(self._size(attack, adversarial) <= allowed + _TOLERANCE)
        return bad
