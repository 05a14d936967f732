"""The loop of an audit: ask the model, attack it, ask it again, batch by batch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from auditor.data.pixels import unit
from auditor.engine.campaign import Batch, Campaign, diagnose
from auditor.engine.cost import Clock, Cost, Speed, measure
from auditor.engine.outcomes import Outcomes
from auditor.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from auditor.data.imageset import ImageSet
    from auditor.engine.examples import ExampleKeeper
    from auditor.engine.journal import Journal
    from auditor.engine.plan import Cell, Plan
    from auditor.models.subject import Subject

#: Share of its largest cost that an attack was seen to take on a model without a defence: a guess to begin with, that
#: the first batch corrects.
USUAL = 0.2


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
    clock = _clock(subject, images, plan, missing) if missing else Clock({}, [])
    learned = _learn(subject, images, plan, listener) if missing else {}
    stream = images.stream(subject.size, subject.channels, missing)
    parts: list[Outcomes] = []
    with listener.task("Attacking", clock.left) as advance:
        for number, (place, done) in enumerate(zip(places, kept, strict=True)):
            if done is None:
                _, pixels = next(stream)
                batch = Batch(subject, unit(pixels), labels[place], place.start)
                part = _work(batch, plan, images, clock, advance, keeper, learned)
                journal.write(number, part)
                subject.forget()
            else:
                part = done
                keeper.see(place.start, part.clean, part.attacked[keeper.cell], None)
            parts.append(part)
    return Outcomes.join(parts)


def _clock(subject: Subject, images: ImageSet, plan: Plan, missing: Sequence[slice]) -> Clock:
    """Estimate the whole work from the speed of the model on one image."""
    pixels = unit(images.pixels(subject.size, subject.channels, 0, 1))
    target = _one_hot(images.labels[:1], subject.outputs)
    speed = measure(subject.classifier, pixels, target)
    quick = measure(subject.estimator(coarse=True), pixels, target) if plan.coarse else speed
    subject.forget()
    return Clock(estimates(plan, speed, quick, len(images), USUAL), [place.stop - place.start for place in missing])


def estimates(plan: Plan, speed: Speed, quick: Speed, images: int, standing: float = 1.0) -> dict[str, float]:
    """Seconds that an image takes, on average over that many: by attack, and without one under the name "".

    Args:
        plan: what to do.
        speed: of the float32 model.
        quick: of the model that crafts first, the same where there is no other.
        images: number of test images.
        standing: share of its largest cost that an attack takes which leaves alone the images it has won.
    """
    found = {"": speed.seconds(Cost(gradients=1))}
    for attack in plan.attacks:
        share = 0 if attack.role == "remedy" else min(1.0, (attack.subset or images) / images)
        cost = plan.cost_of(attack)
        seconds = speed.seconds(cost)
        if attack.pursues and not attack.minimal:
            seconds = standing * (seconds + (quick.seconds(cost) if plan.coarse else 0))
        found[attack.name] = share * seconds
    return found


def _learn(
    subject: Subject, images: ImageSet, plan: Plan, listener: Progress
) -> Mapping[Cell, NDArray[np.float32] | str | None]:
    """Let the attacks that learn do so, from images drawn at random; the reason where one crashes."""
    learned: dict[Cell, NDArray[np.float32] | str | None] = {}
    # An attack that looks for the smallest perturbation runs once, at the first of its budgets.
    students = [
        (attack, epsilon)
        for attack in plan.attacks
        if attack.learns
        for epsilon in plan.budgets(attack)[: 1 if attack.minimal else None]
    ]
    if not students:
        return learned
    generator = np.random.default_rng(plan.seed)
    rows = np.sort(generator.permutation(len(images))[: plan.batch_size])
    pixels = np.concatenate([images.pixels(subject.size, subject.channels, i, i + 1) for i in rows.tolist()])
    batch = Batch(subject, unit(pixels), images.labels[rows], len(images))
    with listener.task("Preparing attacks", len(students)) as advance:
        for attack, epsilon in students:
            campaign = Campaign(batch, plan, {})
            try:
                learned[attack.name, epsilon] = attack.learn(campaign.arena(attack, epsilon), epsilon)
            except Exception as error:  # noqa: BLE001 - an attack that crashes is reported, and the rest goes on
                learned[attack.name, epsilon] = f"{type(error).__name__}: {error}"
            advance(1, "")
    subject.forget()
    return learned


def _work(
    batch: Batch,
    plan: Plan,
    images: ImageSet,
    clock: Clock,
    advance: Callable[[float, str, float | None], None],
    keeper: ExampleKeeper,
    learned: Mapping[Cell, NDArray[np.float32] | str | None],
) -> Outcomes:
    """Carry out a plan on one batch."""
    began = time.perf_counter()
    # The gradients first: their pass answers for the images as they are.
    diagnosis = diagnose(batch)
    clean = batch.clean
    clock.done("", len(clean), time.perf_counter() - began)
    seconds = {"clean": time.perf_counter() - began, "craft": 0.0, "judge": 0.0}
    advance(*clock.tick(""))
    campaign = Campaign(batch, plan, learned, diagnosis)
    attacked = {}
    for attack in plan.attacks:
        since = time.perf_counter()
        drawn = plan.drawn(attack, len(images))[batch.start : batch.start + len(clean)]
        for epsilon, adversarial, found, spent in campaign.fight(attack, drawn):
            attacked[attack.name, epsilon] = found
            for stage, value in spent.items():
                seconds[stage] += value
            if (attack.name, epsilon) == keeper.cell:
                keeper.see(batch.start, clean, found, (batch.images, adversarial))
        clock.done(attack.name, len(clean), time.perf_counter() - since)
        wrong = int((found.concerned & (found.predicted != batch.labels)).sum())
        advance(*clock.tick(f"{attack.name}: {wrong} of {int(found.concerned.sum())} of the batch wrong"))
    seconds["rest"] = time.perf_counter() - began - sum(seconds.values())
    return Outcomes(batch.labels, clean, attacked, diagnosis, seconds)


def _one_hot(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    return np.eye(classes, dtype=np.float32)[labels]
