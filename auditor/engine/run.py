"""The loop of an audit: ask the model, attack it, ask it again, batch by batch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from auditor.data.images import unit
from auditor.engine.outcomes import Attacked, Outcomes
from auditor.metrics.perceptibility import distances
from auditor.progress import Progress, Silent

if TYPE_CHECKING:
    from auditor.data.imageset import ImageSet
    from auditor.engine.examples import ExampleKeeper
    from auditor.engine.plan import Plan
    from auditor.models.subject import Subject


def run(
    subject: Subject, images: ImageSet, plan: Plan, keeper: ExampleKeeper, progress: Progress | None = None
) -> tuple[Outcomes, dict[str, float]]:
    """Carry out a plan.

    Only logits and distances outlive a batch, and the few pictures that `keeper` takes.

    Args:
        subject: the model.
        images: the test set, at least one image.
        plan: what to do.
        keeper: shown each batch of the attack and epsilon it asks for.
        progress: told of the work, in forward passes.

    Returns:
        The outcomes, and the seconds spent on clean predictions, on crafting and on judging.
    """
    classifier = subject.classifier
    targets = np.eye(subject.outputs, dtype=np.float32)
    parts: list[Outcomes] = []
    seconds = {"clean": 0.0, "craft": 0.0, "judge": 0.0}
    correct = np.zeros(len(plan.cells), dtype=int)
    done = 0
    with (progress or Silent()).task("Attacking", plan.passes * len(images)) as advance:
        for place, pixels in images.batches(subject.size, subject.channels, plan.batch_size):
            batch = unit(pixels)
            labels = images.labels[place]
            clock = time.perf_counter()
            clean = classifier.predict(batch, plan.batch_size)
            seconds["clean"] += time.perf_counter() - clock
            advance(len(batch), "")
            attacked = {}
            seen: set[str] = set()
            done += len(batch)
            for number, (attack, epsilon) in enumerate(plan.cells):
                clock = time.perf_counter()
                adversarial = attack.generate(classifier, batch, targets[labels], epsilon)
                crafted = time.perf_counter()
                logits = classifier.predict(adversarial, plan.batch_size)
                seconds["craft"] += crafted - clock
                seconds["judge"] += time.perf_counter() - crafted
                found = Attacked(logits, distances(batch, adversarial))
                attacked[attack.name, epsilon] = found
                if (attack.name, epsilon) == keeper.cell:
                    keeper.see(place.start, clean, batch, adversarial, found)
                correct[number] += int((logits.argmax(axis=1) == labels).sum())
                crafting = attack.passes - (attack.shared_passes if attack.name in seen else 0)
                seen.add(attack.name)
                advance(
                    (1 + crafting) * len(batch),
                    f"{attack.name} {epsilon * 255:g}/255: {correct[number] / done:.0%} still correct",
                )
            parts.append(Outcomes(labels, clean, attacked))
    return Outcomes.join(parts), seconds
