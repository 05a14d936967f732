"""Figures in words: the same in the report and on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.epsilon import epsilon_words

if TYPE_CHECKING:
    from auditor.history import History, Series, Share
    from auditor.record import AttackResult, AuditRecord, Estimate, Performance, Proportion, WorstCase


#: From this share of repeated test images on, page one warns of them.
SERIOUS_REPEATS = 0.01

#: Characters that change the direction of the text after them.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def quoted(name: str) -> str:
    """Name from outside for a sentence: in quotes, and unable to turn what follows it around."""
    return f"“\u2068{name}\u2069”" if _TURNING & set(name) else f"“{name}”"


def percent(value: float | None) -> str:
    """Fraction as a percentage with one decimal; a dash for an undefined figure."""
    return "–" if value is None else f"{value * 100:.1f}%"


def points(value: float | None) -> str:
    """Difference of two fractions in percentage points, signed."""
    if value is None:
        return "–"
    text = f"{abs(value) * 100:.1f}"
    return text if float(text) == 0 else ("+" if value > 0 else "−") + text


def interval(estimate: Estimate | Share) -> str:
    """Bounds of the 95% interval as percentages, without the sign of per cent."""
    return f"[{_bound(estimate.low)}, {_bound(estimate.high)}]"


def figure(estimate: Estimate | Share) -> str:
    """Fraction with its 95% interval: `85.3% [80.9, 88.9]`."""
    return f"{percent(estimate.value)} {interval(estimate)}"


def probability(value: float) -> str:
    """p-value: `0.031`, `< 0.001`."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.0995 else f"{value:.2f}"


def counted(proportion: Proportion | Share) -> str:
    """Numerator and denominator: `256 of 300`."""
    return f"{proportion.count:,} of {proportion.of:,}"


def share(part: Share | None) -> str:
    """Share with interval and denominator: `85.3% [80.9, 88.9] of 300`; a dash where it was not measured."""
    return f"{figure(part)} of {part.of:,}" if part else "–"


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
        if name == record.critical or any(name in result.flips and result.flips[name].count for result in results)
    ]


def headline_attack(record: AuditRecord) -> AttackResult | None:
    """The result shown in detail: at the headline epsilon the paper's attack if it ran, else no control."""
    return min(
        record.attacks,
        key=lambda a: (a.epsilon != record.headline_epsilon, a.name != "fgsm", a.knowledge == "none"),
        default=None,
    )


def headline_worst(record: AuditRecord) -> WorstCase | None:
    """The worst case over the attacks at the headline epsilon."""
    return next((worst for worst in record.worst_case if worst.epsilon == record.headline_epsilon), None)


def counted_attacks(record: AuditRecord, worst: WorstCase) -> str:
    """How many attacks a worst case is over, in words: noise is a control and counts as none."""
    controls = {attack.name for attack in record.attacks if attack.knowledge == "none"}
    attacks = [name for name in worst.attacks if name not in controls]
    words = f"{len(attacks)} {'attack' if len(attacks) == 1 else 'attacks'}"
    return words if len(attacks) == len(worst.attacks) else f"{words} and noise"


def several(record: AuditRecord) -> bool:
    """Tell whether the worst case is over more than one attack."""
    return any(len(worst.attacks) > 1 for worst in record.worst_case)


def telling_attacks(record: AuditRecord) -> list[AttackResult]:
    """Results to list in short: of several attacks those at the headline epsilon, as the worst case has the sweep."""
    shown = (record.headline_epsilon, None)
    return [attack for attack in record.attacks if attack.epsilon in shown or not several(record)]


def unmade_checks(record: AuditRecord) -> list[str]:
    """Names of the checks that the policy requires and the record does not hold."""
    policy, known = record.audit.config.policy, {check.name for check in record.checks}
    return [name for name in policy.required_checks if name not in known] if policy else []


def headline(record: AuditRecord) -> list[str]:
    """What happened, in a few plain sentences."""
    clean = record.clean
    sentences = [
        f"Undisturbed, the model classifies {counted(clean.accuracy)} test images correctly: {_long(clean.accuracy)}."
    ]
    attack, worst = headline_attack(record), headline_worst(record)
    if not attack:
        return [*sentences, "No attack ran to its end: nothing is known of the model's robustness."]
    if several(record) and worst:
        lost = worst.images - worst.accuracy.count
        sentences.append(
            f"When no value of an image may change by more than {epsilon_255(worst.epsilon)} of 255 steps (epsilon "
            f"{epsilon_words(worst.epsilon)}), the worst on each image of up to {counted_attacks(record, worst)} "
            f"leaves {percent(worst.accuracy.value)} correct: {lost:,} of {worst.images:,} images are classified "
            "wrongly."
        )
        sentences += _worst_direction(record, worst)
    else:
        sentences += _single(record, attack)
    if record.smallest_epsilon and record.smallest_epsilon.median and several(record):
        small = record.smallest_epsilon
        sentences.append(
            f"For half of the images first classified correctly, {epsilon_words(small.median)} or less is enough."
        )
    if attack.perceptibility.unchanged:
        sentences.append(
            f"The attack {attack.name} left {attack.perceptibility.unchanged:,} images exactly as they were; on these "
            "it failed, which is no sign of robustness."
        )
    return sentences


def _single(record: AuditRecord, attack: AttackResult) -> list[str]:
    clean = record.clean
    bounded = [result for result in record.attacks if result.epsilon is not None and result.name == attack.name]
    wrong = attack.accuracy.of - attack.accuracy.count
    name = record.critical or max(attack.flips, key=lambda key: attack.flips[key].count)
    true, predicted = direction_parts(name, record.model.classes)
    if attack.epsilon is None:
        bound = "The"
    elif attack.norm == "L-inf":
        bound = (
            f"When no value of an image may change by more than {epsilon_255(attack.epsilon)} of 255 steps (epsilon "
            f"{epsilon_words(attack.epsilon)}), the"
        )
    else:
        bound = (
            f"With a perturbation of at most {attack.radius:.3g} in {attack.norm}, the length of a change of every "
            f"value by {epsilon_words(attack.epsilon)}, the"
        )
    title = attack.title if attack.title[:2].isupper() else attack.title[0].lower() + attack.title[1:]
    sentences = [
        f"{bound} attack “{title}” leaves {percent(attack.accuracy.value)} correct: {wrong:,} of "
        f"{attack.accuracy.of:,} images {'it was run on ' if attack.images < clean.images else ''}"
        "are classified wrongly."
    ]
    if name in attack.flips and name in clean.flips:
        sentences.append(
            f"{counted(attack.flips[name])} images of class {quoted(true)} are then called {quoted(predicted)}; "
            f"undisturbed it was {clean.flips[name].count:,} of {clean.flips[name].of:,}."
        )
    lowest = min(bounded, key=lambda result: result.accuracy.value, default=attack)
    if lowest is not attack and lowest.accuracy.value < attack.accuracy.value:
        sentences.append(
            f"The lowest accuracy of the sweep is {percent(lowest.accuracy.value)}, "
            f"at epsilon {epsilon_words(lowest.epsilon)}."
        )
    return sentences


def _worst_direction(record: AuditRecord, worst: WorstCase) -> list[str]:
    """How many images of the class of the critical error, or of the class that suffers most, are missed."""
    if record.critical:
        true, _ = direction_parts(record.critical, record.model.classes)
    else:
        true = min(worst.sensitivity, key=lambda name: worst.sensitivity[name].value)
    if true not in worst.sensitivity:
        return []
    under, before = worst.sensitivity[true], record.clean.sensitivity[true]
    return [
        f"{under.of - under.count:,} of {under.of:,} images of class {quoted(true)} are then called something else; "
        f"undisturbed it was {before.of - before.count:,}."
    ]


def data_warnings(record: AuditRecord) -> list[str]:
    """What is wrong with the test images that bears on the figures, in sentences without any name."""
    data, sentences = record.data, []
    if data.train_overlap:
        source = (
            "images of the training part of the data"
            if data.overlap_with == "training part"
            else ("images the model was trained on")
        )
        sentences.append(
            f"{data.train_overlap:,} of the {data.images:,} test images are, byte for byte, {source}: accuracy without "
            "an attack is overstated."
        )
    if torn := sum(len(same.images) for same in data.duplicates or [] if len(same.classes) > 1):
        sentences.append(
            f"{torn:,} test images are, byte for byte, the same as one of another class: the ground truth of at least "
            "half of them cannot be right."
        )
    if (again := repeated(record)) and again >= SERIOUS_REPEATS * data.images:
        sentences.append(
            f"{again:,} of the {data.images:,} test images repeat another byte for byte. Intervals take them for "
            "further evidence and are too narrow."
        )
    return sentences


def repeated(record: AuditRecord) -> int | None:
    """How many test images repeat another, byte for byte; None if nobody looked."""
    groups = record.data.duplicates
    return None if groups is None else sum(len(same.images) - 1 for same in groups)


def comparability(history: History) -> str:
    """Which audits of a history can be compared, in one sentence or two."""
    if len(history.series) > 1:
        return (
            "Only audits of one series can be compared: from series to series the test images, the attacks or epsilon "
            "differ, so a difference there says nothing of the models."
        )
    if len(history.audits) > 1:
        return "All audits can be compared: the test images, the attacks and epsilon are the same."
    return "There is one audit, and nothing to compare it with."


def described(series: Series) -> str:
    """What the audits of a series have in common, in words."""
    audits = f"{series.audits:,} {'audit' if series.audits == 1 else 'audits'}"
    images = f"{series.images:,} images of {series.data} (manifest {series.manifest_sha256[:8]})"
    if not series.attacks:
        return f"{audits}, {images}, no worst case measured at {epsilon_words(series.epsilon)}"
    attacks = f"{', '.join(series.attacks)} (parameters {series.parameters_sha256[:8]})"
    return f"{audits}, {images}, worst case of {attacks} at {epsilon_words(series.epsilon)}"


def epsilon_255(epsilon: float | None) -> str:
    """Epsilon as a number of steps of an 8-bit image."""
    return "–" if epsilon is None else f"{epsilon * 255:.4g}"


def _long(estimate: Estimate) -> str:
    return f"{percent(estimate.value)} (95% interval {_bound(estimate.low)} to {_bound(estimate.high)}%)"


def _bound(value: float) -> str:
    return f"{value * 100:.1f}".replace("-", "−")
