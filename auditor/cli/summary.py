"""The summary of an audit on the terminal."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from auditor.cli.terminal import duration, printable
from auditor.cli.text import inert
from auditor.epsilon import epsilon_words
from auditor.report.words import (
    data_warnings,
    figure,
    headline,
    headline_worst,
    percent,
    several,
    telling_attacks,
    worst_flip,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from auditor.auditing import Forecast
    from auditor.comparison.record import Comparison
    from auditor.record import AuditRecord, Check, Judged


def print_summary(record: AuditRecord) -> None:
    """Print what page one of the report says, and a row for the clean images and each attack."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("attack")
    table.add_column("epsilon", justify="right")
    table.add_column("accuracy [95% interval]", justify="right")
    table.add_column("drop", justify="right")
    table.add_column("most frequent error")
    table.add_row("none", "", figure(record.clean.accuracy), "", printable(worst_flip(record.clean)))
    for attack in telling_attacks(record):
        table.add_row(
            attack.name,
            epsilon_words(attack.epsilon),
            figure(attack.accuracy),
            percent(attack.accuracy_drop.value),
            printable(worst_flip(attack)),
        )
    if several(record):
        for worst in record.worst_case:
            table.add_row(
                "worst case",
                epsilon_words(worst.epsilon),
                figure(worst.accuracy),
                percent(worst.accuracy_drop.value),
                "",
                style="bold",
            )
    console.print()
    console.print(table)
    console.print()
    for sentence in headline(record):
        console.print(printable(sentence))
    _print_verdict(record, console)
    for sentence in data_warnings(record):
        console.print(printable(f"Warning: {sentence}"))
    if record.data.skipped:
        console.print(f"{len(record.data.skipped)} files could not be read and were left out:")
        for file in record.data.skipped[:10]:
            console.print(printable(f"  {file.path}: {file.reason}"))
        if len(record.data.skipped) > 10:
            console.print("  and more; all are listed in the report.")
    console.print()


def _print_verdict(record: AuditRecord, console: Console) -> None:
    """Print the checks that say something, the criteria, and the verdict."""
    for check in record.checks:
        if check.status not in ("PASS", "SKIPPED"):
            console.print(printable(f"{check.status} {check.name}: {check.figure}. {check.reason}"))
    for criterion in record.verdict.criteria:
        note = f" ({criterion.note})" if criterion.note else ""
        console.print(
            printable(f"{criterion.status} {criterion.name}: {criterion.asked}; observed {criterion.observed}{note}")
        )
    if record.verdict.status == "INCONCLUSIVE":
        console.print("INCONCLUSIVE: the figures above may be too good.", style="bold")
        for reason in record.verdict.reasons:
            console.print(printable(f"  {reason}"))
    elif record.verdict.status != "NONE":
        console.print(record.verdict.status, style="bold")


def print_comparison(comparison: Comparison) -> None:
    """Print the versions, and the answer for each of the later ones."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("version", "no attack", *(epsilon_words(p.epsilon) for p in comparison.versions[0].worst_case)):
        table.add_column(heading, justify="left" if heading == "version" else "right")
    for version in comparison.versions:
        shares = [version.clean, *(point.accuracy for point in version.worst_case)]
        table.add_row(version.label, *(percent(share.value) for share in shares))
        console.print(printable(f"{version.label}: {version.model}, audit {version.audit.id}"), soft_wrap=True)
    console.print()
    console.print(table)
    for pair in comparison.pairs:
        console.print()
        console.print(f"{pair.label} against {comparison.versions[0].label}: {pair.outcome}", style="bold")
        for sentence in (*pair.sentences, *pair.caveats):
            console.print(printable(sentence))
    console.print()


def one_line(record: AuditRecord, folder: Path) -> str:
    """An audit in one line of `name=value`, for scripts; a value that a shell would not read as one word is quoted.

    Of the criteria and the checks that were made it gives those that passed, without a warning or a waiver.
    """
    worst = headline_worst(record)
    made = [check for check in record.checks if check.status != "SKIPPED"]
    values = {
        "model": record.model.name,
        "clean": percent(record.clean.accuracy.value),
        "robust": f"{percent(worst.accuracy.value)}@{epsilon_words(worst.epsilon)}" if worst else "unknown",
        "criteria": _passed(record.verdict.criteria),
        "checks": _passed(made),
        "audit": str(folder),
    }
    words = (f"{name}={shlex.quote(inert(value))}" for name, value in values.items())
    return f"medaudit: {record.verdict.status} {' '.join(words)}"


def _passed(results: Sequence[Check] | Sequence[Judged]) -> str:
    return f"{sum(result.status == 'PASS' for result in results)}/{len(results)}"


def print_forecast(plan: Forecast) -> None:
    """Print what an audit would do and take."""
    console = Console(highlight=False)
    images = sum(plan.per_class.values())
    cost = plan.plan.cost(images)
    classes = ", ".join(f"{count} {name}" for name, count in plan.per_class.items())
    console.print(printable(f"Images    {images}: {classes}; {plan.skipped} files cannot be read"))
    for attack in plan.plan.attacks:
        if attack.role == "remedy":
            continue
        steps = ", ".join(epsilon_words(epsilon) for epsilon in plan.plan.budgets(attack) if epsilon is not None)
        on = f" on {min(attack.subset, images)} images" if attack.subset else ""
        console.print(
            printable(f"Attack    {attack.name} ({attack.title}, {attack.norm}, {attack.knowledge})")
            + (f" at {steps}" if steps else "")
            + on
        )
    console.print(
        f"Work      at most {images * cost.forwards:,.0f} forward passes and {images * cost.gradients:,.0f} gradients, "
        f"{plan.plan.batch_size} images at a time"
    )
    upper = f", at most {duration(plan.most)} if it withstands the attacks" if plan.most > 1.2 * plan.seconds else ""
    console.print(f"Time      about {duration(plan.seconds)} on this machine{upper}, by a trial of one batch")
    if plan.memory:
        console.print(f"Memory    about {plan.memory / 1e9:.1f} GB")
