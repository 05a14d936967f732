"""Markdown for a pull request, in the dialects of GitHub and GitLab."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from auditor.epsilon import epsilon_words
from auditor.report import words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from auditor.record import AuditRecord, Estimate, Proportion

#: Name of the file in an audit's folder.
FILE_NAME = "summary.md"

#: A space of no width: GitHub and GitLab look for mentions in the finished text, where no backslash is left.
_BREAK = "&#8203;"

#: What means something anywhere in a line.
_MARKS = re.compile(r"[\\`*_\[\]<>#|~!$&^]")

#: What means something at the beginning of a line: lists, headings, rules, and GitLab's commands (`/close`).
_LEADING = re.compile(r"^(?:\d+(?=[.)](?:\s|$))|(?=[-+=/]))")

#: Behind what a mention, a reference, an emoji, an inline change or a link would go on.
_TRIGGERS = re.compile(
    r"""@(?=\S) | [#!$%~&](?=[\w"]) | [\[{*](?=[a-z+-]) | (?<!\d):(?=[\w+-]+:) | :(?=//) | www(?=\.) | GH-(?=\d)""",
    re.VERBOSE | re.IGNORECASE,
)


def escaped(text: str) -> str:
    """Text from outside as Markdown that shows it and does nothing else, also in the cell of a table.

    White space, line breaks too, becomes one space; what cannot be shown becomes U+FFFD. Marks lose their meaning, and
    so do mentions of people, references to issues and merge requests, and addresses.
    """
    plain = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
    # Breaks are put in last as what they are, because they hold marks themselves.
    broken = _TRIGGERS.sub("\\g<0>\0", plain)
    return _LEADING.sub(r"\g<0>\\", _MARKS.sub(r"\\\g<0>", broken)).replace("\0", _BREAK)


def code(text: str) -> str:
    """Text from outside, set as code: for hashes and file names."""
    return f"<code>{escaped(text)}</code>"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[int] = ()) -> str:
    """Draw a table.

    Args:
        headings: one for each column, as Markdown.
        rows: their cells, as Markdown on one line: what comes from outside has to be `escaped`.
        numbers: indices of the columns that are set to the right.
    """
    rule = ["---:" if place in numbers else "---" for place in range(len(headings))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, rule, *rows)) + "\n"


def summary(record: AuditRecord) -> str:
    """Draw an audit as a comment on a pull request: verdict, figures, criteria, and the checks that did not pass."""
    verdict = "No verdict" if record.verdict.status == "NONE" else record.verdict.status
    parts = [
        f"## {verdict}: adversarial robustness of {escaped(record.model.name)}\n",
        " ".join(map(escaped, words.headline(record))) + "\n",
    ]
    if record.verdict.status in ("INCONCLUSIVE", "NONE"):
        parts.append(_list(map(escaped, record.verdict.reasons)))
    parts.append(_figures(record))
    if record.verdict.criteria:
        parts.append(
            "### Criteria\n\n"
            + table(
                ["outcome", "criterion", "asked", "observed", "note"],
                [[f"**{c.status}**", *map(escaped, (c.name, c.asked, c.observed, c.note))] for c in
                 record.verdict.criteria],
            )
        )  # fmt: skip
    parts += [_checks(record), _warnings(record), _identity(record)]
    return "\n".join(part for part in parts if part)


def _figures(record: AuditRecord) -> str:
    def row(name: str, epsilon: float | None, accuracy: Proportion, drop: Estimate | None) -> list[str]:
        at = "" if epsilon is None else epsilon_words(epsilon)
        lost = words.points(-drop.value) if drop else ""
        return [name, at, words.figure(accuracy), words.counted(accuracy), lost]

    rows = [row("no attack", None, record.clean.accuracy, None)]
    if words.several(record):
        for worst in record.worst_case:
            name = "**worst case**" if worst.epsilon == record.headline_epsilon else "worst case"
            rows.append(row(name, worst.epsilon, worst.accuracy, worst.accuracy_drop))
    rows += [
        row(escaped(attack.name), attack.epsilon, attack.accuracy, attack.accuracy_drop)
        for attack in words.telling_attacks(record)
    ]
    headings = ["attack", "epsilon", "accuracy [95% interval]", "correct", "change in points"]
    caveat = "Accuracy under attack is an upper bound on robustness: a stronger attack can only lower it."
    return f"{table(headings, rows, numbers={1, 2, 3, 4})}\n{caveat}\n"


def _checks(record: AuditRecord) -> str:
    made = [check for check in record.checks if check.status != "SKIPPED"]
    passed = sum(check.status == "PASS" for check in made)
    text = f"### Checks of the attacks\n\n{passed} of {len(made)} passed."
    if left := [check.name for check in record.checks if check.status == "SKIPPED"]:
        text += f" Not made: {', '.join(map(escaped, left))}."
    if required := words.unmade_checks(record):
        text += f" Required by the policy and not made: {', '.join(map(escaped, required))}."
    rows = [
        [f"**{check.status}**", *map(escaped, (check.title, check.figure, check.threshold, check.reason))]
        for check in made
        if check.status != "PASS"
    ]
    return text + "\n" + ("\n" + table(["outcome", "check", "measured", "asked", "meaning"], rows) if rows else "")


def _warnings(record: AuditRecord) -> str:
    found = words.data_warnings(record)
    if skipped := len(record.data.skipped):
        found.append(f"{skipped:,} {'file' if skipped == 1 else 'files'} could not be read and left out.")
    return _list(found)


def _identity(record: AuditRecord) -> str:
    classes = ", ".join(f"{count:,} {escaped(name)}" for name, count in record.data.per_class.items())
    lines = [
        f"Model {code(record.model.path)}, SHA-256 {code(record.model.sha256)}",
        f"Data {code(record.data.path)}, {record.data.images:,} images ({classes}), manifest SHA-256 "
        f"{code(record.data.manifest_sha256)}",
    ]
    if policy := record.audit.config.policy:
        lines.append(f"Policy {escaped(policy.name)}, SHA-256 {code(policy.sha256)}")
    lines += [
        f"Audit {code(record.audit.id)}, finished {escaped(record.audit.finished)}, medaudit "
        f"{escaped(record.audit.tool_version)}",
        "The whole report: [report.html](report.html) in the audit's folder",
    ]
    return "### Identity\n\n" + _list(lines)


def _list(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)
