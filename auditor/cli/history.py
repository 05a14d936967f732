"""`medaudit history`: the trend over many audits."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from auditor.cli.options import parse_epsilons
from auditor.cli.terminal import TerminalProgress, messages, printable
from auditor.errors import BadInputError
from auditor.files import write_text
from auditor.history import History, read_history
from auditor.report.words import comparability, described, share

#: Columns where there is no terminal that would fold a line.
_WIDE = 200

#: Skipped folders that are listed one by one.
_LISTED = 20


def parse_epsilon(context: click.Context, option: click.Parameter, text: str | None) -> float | None:
    """Parse one epsilon, `2/255` or `0.01`."""
    values = parse_epsilons(context, option, text)
    if values and len(values) > 1:
        raise click.BadParameter("give one epsilon, for example 2/255.")
    return values[0] if values else None


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--eps",
    "epsilon",
    callback=parse_epsilon,
    metavar="E",
    help="Epsilon of the worst case, as 0.01 or 2/255.  [default: the headline epsilon of each audit]",
)
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a page with a chart.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE",
    help="Write the figures as JSON; - prints them instead of the table.",
)  # fmt: skip
def command(folder: Path, epsilon: float | None, html: Path | None, json_file: Path | None) -> None:
    """Show the trend over all audits in the folder DIR and below, the oldest first.

    Audits on other test images, with other attacks or at another epsilon cannot be compared: each such set is a series
    of its own. Folders whose audit is unfinished or damaged are named and left out; links are not followed.
    """
    history = read_history(folder, epsilon, TerminalProgress())
    if not history.audits:
        for line in _skipped(history):
            messages.print(line)
        raise BadInputError(f"{folder} holds no finished audit; give a folder that `medaudit run` wrote, or one above.")
    if html:
        from auditor.report.render import render_history

        render_history(html, history)
    if json_file == Path("-"):
        click.echo(history.model_dump_json(indent=1))
        return
    if json_file:
        write_text(json_file, history.model_dump_json(indent=1))
    _print_table(history)
    for written in (html, json_file):
        if written:
            click.echo(f"Written: {written}")


def _print_table(history: History) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDE)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("finished (UTC)", "model", "SHA-256", "accuracy [95% interval]", "robust accuracy", "verdict"):
        table.add_column(heading, justify="right" if "accuracy" in heading else "left", overflow="fold")
    table.add_column("series", justify="right")
    table.add_column("audit", overflow="fold")
    for entry in history.audits:
        table.add_row(
            f"{entry.finished:%Y-%m-%d %H:%M}",
            printable(entry.model),
            printable(entry.model_sha256[:8]),
            share(entry.clean),
            share(entry.robust),
            "–" if entry.verdict == "NONE" else entry.verdict,
            str(entry.series),
            printable(entry.folder),
        )
    console.print(table)
    console.print()
    console.print(comparability(history))
    for series in history.series:
        console.print(printable(f"Series {series.number}: {described(series)}"))
    for line in _skipped(history):
        console.print(line)


def _skipped(history: History) -> list[str]:
    """Lines on the folders that were left out, fit for the terminal."""
    if not history.skipped:
        return []
    count = len(history.skipped)
    lines = [f"{count} {'folder was' if count == 1 else 'folders were'} left out:"]
    lines += [printable(f"  {item.folder}: {item.reason}") for item in history.skipped[:_LISTED]]
    return [*lines, "  and more; --json and --html list all."] if count > _LISTED else lines
