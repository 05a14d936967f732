"""The answer of a comparison: regressed, improved or no difference shown, in one word and in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.epsilon import epsilon_words
from auditor.policy import CLEAN, WORST
from auditor.report.words import interval, percent, points, probability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.comparison.record import Difference, Outcome, Version


def answer(differences: Sequence[Difference], baseline: Version, version: Version) -> tuple[Outcome, list[str]]:
    """Draw the answer from the primary figures.

    A figure under attack is an upper bound, which a better attack can only lower. So a fall from the baseline shows
    nothing where the attacks on it may have failed, nor does a rise to the later version where those on that one may,
    or where no check shows that they can win.

    Args:
        differences: every figure; those marked primary decide.
        baseline: the first version.
        version: the later one.

    Returns:
        The outcome, and sentences, the most important first.
    """
    first, later, doubts_first, doubts_later = baseline.label, version.label, baseline.doubts, version.doubts
    primary = [difference for difference in differences if difference.primary]
    worse = [d for d in primary if d.outcome == "worse" and (d.attack == CLEAN or not doubts_first)]
    better = [
        d for d in primary if d.outcome == "better" and (d.attack == CLEAN or (version.controlled and not doubts_later))
    ]
    shown = sum(d.outcome != "no difference shown" for d in primary)
    outcome: Outcome
    if worse:
        outcome = "mixed" if better else "regressed"
        lead = f"Version {later} regressed against {first}" + (
            " in some figures and improved in others." if better else "."
        )
    elif better and shown == len(better) and not doubts_later:
        outcome, lead = "improved", f"Version {later} improved on {first}."
    elif doubts_first or doubts_later or shown > len(better):
        outcome = "inconclusive"
        lead = f"Whether version {later} is more or less robust than {first} cannot be told."
    else:
        outcome, lead = "no difference shown", f"No difference between {first} and {later} is shown."
    sentences = [lead, *_evidence(worse), *_evidence(better)]
    for label, doubts in ((first, doubts_first), (later, doubts_later)):
        if doubts:
            sentences.append(
                f"The attacks on {label} may have failed ({len(doubts)} of their checks did): what it is measured to "
                "withstand may be too much."
            )
    if not version.controlled and any(d.outcome == "better" and d.attack != CLEAN for d in primary):
        sentences.append(
            f"No check shows that the attacks on {later} can win: what it withstands more of may be an attack that "
            "failed. Run noise beside them (--suite quick), or pgd (--suite standard)."
        )
    if outcome == "no difference shown":
        sentences += _excluded(primary)
    return outcome, sentences


def what(difference: Difference) -> str:
    """Name a figure: `robust accuracy at epsilon 2/255`."""
    kind = "accuracy" if difference.figure == "accuracy" else f"sensitivity for “{difference.of_class}”"
    at = f" at epsilon {epsilon_words(difference.epsilon)}" if difference.epsilon is not None else ""
    if difference.attack == CLEAN:
        return f"{kind} without an attack"
    if difference.attack == WORST:
        return f"{'robust accuracy' if difference.figure == 'accuracy' else kind + ' in the worst case'}{at}"
    return f"{kind} under {difference.attack}{at}"


def _evidence(differences: Sequence[Difference]) -> list[str]:
    """The largest difference with all that speaks for it, and the others in short."""
    if not differences:
        return []
    most, *others = sorted(differences, key=lambda d: -abs(d.difference.value))
    verb = "fell" if most.difference.value < 0 else "rose"
    name = what(most)
    sentences = [
        f"{name[0].upper()}{name[1:]} {verb} from {percent(most.before.value)} to {percent(most.after.value)}: "
        f"{points(most.difference.value)} percentage points, 95% interval {interval(most.difference)}; of "
        f"{most.before.of:,} images {most.broken:,} are newly broken and {most.mended:,} newly mended (exact McNemar, "
        f"p {_is(most.p_adjusted)} after Holm's correction)."
    ]
    if others:
        listed = "; ".join(f"{what(d)} by {points(d.difference.value)} points {interval(d.difference)}" for d in others)
        sentences.append(f"So did {listed}." if verb == "fell" else f"So rose {listed}.")
    return sentences


def _excluded(primary: Sequence[Difference]) -> list[str]:
    """What the intervals still allow: no difference shown is not the same as no difference."""
    if not primary:
        return []
    lowest = min(primary, key=lambda d: d.difference.low)
    words = f"observed {points(lowest.difference.value)}, 95% interval {interval(lowest.difference)}"
    if lowest.difference.high < 0:
        # Its own interval leaves out 0: the reader would take this for a contradiction.
        words += f"; by itself it would count, p {_is(lowest.p_value)}, but not as the most extreme of several, p "
        words += f"{_is(lowest.p_adjusted)} after Holm's correction"
    return [
        f"That is not to say that there is none: a fall of {what(lowest)} by up to "
        f"{-lowest.difference.low * 100:.1f} points is compatible with these {lowest.before.of:,} images ({words})."
    ]


def _is(p_value: float) -> str:
    words = probability(p_value)
    return words if words.startswith("<") else f"= {words}"
