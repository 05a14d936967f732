"""The loop of an audit: ask the model, attack it, ask it again, batch by batch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from auditor.data.images import unit
from auditor.engine.cost import Cost, Speed, measure
from auditor.engine.outcomes import Attacked, Outcomes
from auditor.metrics.perceptibility import distances
from auditor.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from auditor.data.imageset import ImageSet
    from auditor.engine.examples import ExampleKeeper
    from auditor.engine.journal import Journal
    from auditor.engine.plan import Plan
    from auditor.models.subject import Subject


def run(
    subject: Subject,
    images: ImageSet,
    plan: Plan,
    keeper: ExampleKeeper,
    journal: Journal,
    progress: Progress | None = None,
) -> Outcomes:
    """Carry out a plan, or what is left of it.

    Only logits and distances outlive a batch, and the few pictures that `keeper` takes. A batch that is in
    the journal is not computed again.

    Args:
        subject: the model.
        images: the test set, at least one image.
        plan: what to do.
        keeper: shown each batch of the attack and epsilon it asks for.
        journal: of this very model, test set and plan; each batch is written to it once it is done.
        progress: told of the work, in seconds as estimated for this machine.
    """
    places = images.places(plan.batch_size)
    labels = images.labels
    kept = [journal.read(number, labels[place]) for number, place in enumerate(places)]
    missing = [place for place, part in zip(places, kept, strict=True) if part is None]
    listener = progress or Silent()
    if len(missing) < len(places):
        listener.say(f"{len(places) - len(missing)} of {len(places)} batches were done before and are kept.")
    speed = _speed(subject, images) if missing else Speed(0, 0)
    stream = images.stream(subject.size, subject.channels, missing)
    parts: list[Outcomes] = []
    with listener.task("Attacking", speed.seconds(plan.cost) * sum(p.stop - p.start for p in missing)) as advance:
        for number, (place, done) in enumerate(zip(places, kept, strict=True)):
            if done is None:
                _, pixels = next(stream)
                part = _work(subject, unit(pixels), labels[place], plan, speed, advance, keeper, place.start)
                journal.write(number, part)
            else:
                part = done
                keeper.see(place.start, part.clean, part.attacked[keeper.cell], None)
            parts.append(part)
    return Outcomes.join(parts)


def _speed(subject: Subject, images: ImageSet) -> Speed:
    """Time the model on one image."""
    pixels = images.pixels(subject.size, subject.channels, 0, 1)
    return measure(subject.classifier, unit(pixels), _one_hot(images.labels[:1], subject.outputs))


def _work(
    subject: Subject,
    batch: NDArray[np.float32],
    labels: NDArray[np.int64],
    plan: Plan,
    speed: Speed,
    advance: Callable[[float, str], None],
    keeper: ExampleKeeper,
    start: int,
) -> Outcomes:
    """Carry out a plan on one batch of images in [0, 1] that stands at `start` in the test set."""
    began = time.perf_counter()
    seconds = {"clean": 0.0, "craft": 0.0, "judge": 0.0}
    classifier, targets = subject.classifier, _one_hot(labels, subject.outputs)

    def spent(stage: str, since: float) -> float:
        now = time.perf_counter()
        seconds[stage] += now - since
        return now

    clean = classifier.predict(batch, plan.batch_size)
    spent("clean", began)
    advance(speed.seconds(Cost(forwards=1)) * len(batch), "")
    attacked = {}
    for attack, epsilon in plan.cells:
        clock = time.perf_counter()
        adversarial = attack.generate(classifier, batch, targets, epsilon)
        clock = spent("craft", clock)
        logits = classifier.predict(adversarial, plan.batch_size)
        spent("judge", clock)
        found = Attacked(logits, distances(batch, adversarial))
        attacked[attack.name, epsilon] = found
        if (attack.name, epsilon) == keeper.cell:
            keeper.see(start, clean, found, (batch, adversarial))
        cost = attack.cost(len(plan.epsilons)) / len(plan.epsilons) + Cost(forwards=1)
        right = int((logits.argmax(axis=1) == labels).sum())
        advance(
            speed.seconds(cost) * len(batch),
            f"{attack.name} {epsilon * 255:g}/255: {right}/{len(batch)} of the batch right",
        )
    seconds["rest"] = time.perf_counter() - began - sum(seconds.values())
    return Outcomes(labels, clean, attacked, seconds)


def _one_hot(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    return np.eye(classes, dtype=np.float32)[labels]
