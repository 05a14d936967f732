"""A comparison as Markdown, for a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.epsilon import epsilon_words
from auditor.report.markdown import code, escaped, table
from auditor.report.words import counted, figure, interval, points, probability

if TYPE_CHECKING:
    from auditor.comparison.record import Comparison, Difference

_HEADINGS = ("figure", "epsilon", "before", "after", "difference, points", "broken", "mended", "p, adjusted", "outcome")


def comparison_summary(comparison: Comparison) -> str:
    """Write the answer, the versions and the figures that the answer rests on."""
    baseline, *later = comparison.versions
    parts = []
    for pair, version in zip(comparison.pairs, later, strict=True):
        parts += [
            f"## {pair.label} against {baseline.label}: {pair.outcome}",
            *(escaped(sentence) for sentence in pair.sentences),
            table(_HEADINGS, [_row(d) for d in pair.differences if d.primary], range(1, 8)),
        ]
        if version.doubts:
            parts.append("Checks that failed: " + escaped("; ".join(version.doubts)))
    rows = [
        (
            version.label,
            escaped(version.model),
            code(version.model_sha256[:12]),
            escaped(version.audit.id),
            version.verdict.status,
            f"{figure(version.clean)}, {counted(version.clean)}",
        )
        for version in comparison.versions
    ]
    parts.append(table(("", "model", "SHA-256", "audit", "verdict", "accuracy, no attack"), rows))
    parts.append(
        f"{comparison.images} test images, the same for every version ({code(comparison.manifest_sha256[:12])}). "
        "Differences are paired by image: Newcombe's interval, exact McNemar, Holm's correction. Everything else "
        "stands in comparison.html and comparison.json."
    )
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _row(difference: Difference) -> tuple[str, ...]:
    named = "no attack" if difference.attack == "none" else escaped(difference.attack)
    of = f", sensitivity {escaped(difference.of_class)}" if difference.of_class is not None else ""
    return (
        named + of,
        epsilon_words(difference.epsilon),
        f"{figure(difference.before)}, {counted(difference.before)}",
        f"{figure(difference.after)}, {counted(difference.after)}",
        f"{points(difference.difference.value)} {interval(difference.difference)}",
        str(difference.broken),
        str(difference.mended),
        probability(difference.p_adjusted).replace("<", "&lt;"),
        difference.outcome,
    )
