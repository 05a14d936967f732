"""Figures in words: the same in the report and on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditor.record import AttackResult, AuditRecord, Estimate, Performance, Proportion


def percent(value: float | None) -> str:
    """Fraction as a percentage with one decimal; a dash for an undefined figure."""
    return "–" if value is None else f"{value * 100:.1f}%"


def points(value: float | None) -> str:
    """Difference of two fractions in percentage points, signed."""
    if value is None:
        return "–"
    text = f"{abs(value) * 100:.1f}"
    return text if float(text) == 0 else ("+" if value > 0 else "−") + text


def interval(estimate: Estimate) -> str:
    """Bounds of the 95% interval as percentages, without the sign of per cent."""
    return f"[{_bound(estimate.low)}, {_bound(estimate.high)}]"


def figure(estimate: Estimate) -> str:
    """Fraction with its 95% interval: `85.3% [80.9, 88.9]`."""
    return f"{percent(estimate.value)} {interval(estimate)}"


def counted(proportion: Proportion) -> str:
    """Numerator and denominator: `256 of 300`."""
    return f"{proportion.count:,} of {proportion.of:,}"


def epsilon_words(epsilon: float) -> str:
    """Epsilon in steps of an 8-bit image: `2/255`."""
    return f"{epsilon * 255:.4g}/255"


def arrow(direction: str) -> str:
    """Direction of error for a reader: `malignant → benign`."""
    return direction.replace("->", " → ")


def direction_parts(direction: str, classes: list[str]) -> tuple[str, str]:
    """Split the name of a direction of error; class names may hold the arrow themselves."""
    for true in classes:
        if direction.startswith(f"{true}->") and direction[len(true) + 2 :] in classes:
            return true, direction[len(true) + 2 :]
    raise ValueError(f"{direction!r} names no two of the classes")


def worst_flip(result: Performance) -> str:
    """The most frequent direction of error with its count: `malignant → benign: 132 of 150`."""
    name, flip = max(result.flips.items(), key=lambda item: item[1].count)
    return f"{arrow(name)}: {counted(flip)}" if flip.count else "no errors"


def directions(record: AuditRecord) -> list[str]:
    """Directions of error that occurred, with or without an attack, and the critical one."""
    results: list[Performance] = [record.clean, *record.attacks]
    return [
        name
        for name in record.clean.flips
        if name == record.critical or any(result.flips[name].count for result in results)
    ]


def headline_attack(record: AuditRecord) -> AttackResult:
    """The result page one speaks of: the first attack at the headline epsilon."""
    return next(attack for attack in record.attacks if attack.epsilon == record.headline_epsilon)


def headline(record: AuditRecord) -> list[str]:
    """What happened, in three or four plain sentences."""
    attack, clean = headline_attack(record), record.clean
    lowest = min(record.attacks, key=lambda result: result.accuracy.value)
    wrong = attack.accuracy.of - attack.accuracy.count
    name = record.critical or max(attack.flips, key=lambda key: attack.flips[key].count)
    true, predicted = direction_parts(name, record.model.classes)
    flip, before = attack.flips[name], clean.flips[name]
    sentences = [
        f"Undisturbed, the model classifies {counted(clean.accuracy)} test images correctly: {_long(clean.accuracy)}.",
        f"When no value of an image may change by more than {attack.epsilon_255:.4g} of 255 steps "
        f"(epsilon {epsilon_words(attack.epsilon)}), the {attack.title[0].lower() + attack.title[1:]} leaves "
        f"{percent(attack.accuracy.value)} correct: {wrong:,} of {attack.accuracy.of:,} images are classified wrongly.",
        f"{counted(flip)} images of class “{true}” are then called “{predicted}”; undisturbed it was {before.count:,}.",
    ]
    if lowest is not attack and lowest.accuracy.value < attack.accuracy.value:
        sentences.append(
            f"The lowest accuracy of the sweep is {percent(lowest.accuracy.value)}, "
            f"at epsilon {epsilon_words(lowest.epsilon)}."
        )
    if attack.perceptibility.unchanged:
        sentences.append(
            f"The attack left {attack.perceptibility.unchanged:,} images exactly as they were; on these it failed, "
            "which is no sign of robustness."
        )
    return sentences


def _long(estimate: Estimate) -> str:
    return f"{percent(estimate.value)} (95% interval {_bound(estimate.low)} to {_bound(estimate.high)}%)"


def _bound(value: float) -> str:
    return f"{value * 100:.1f}".replace("-", "−")
