"""What the commands share: progress on the terminal, and options made of settings."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from auditor.cli.text import inert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from auditor.progress import Advance
    from auditor.report.render import Rendered

#: Where the work is shown; standard output is left to results.
messages = Console(stderr=True, highlight=False)

#: Seconds between two lines of progress where there is no terminal to draw a bar on.
QUIET_INTERVAL = 30.0

AnySettings = TypeVar("AnySettings", bound=BaseModel)


class TerminalProgress:
    """Shows tasks as bars with the time left, or as a line now and then where there is no terminal."""

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Advance]:
        """Open a task, as `auditor.progress.Progress` says."""
        with self._bar(title, total) if messages.is_terminal else self._lines(title, total) as advance:
            yield advance

    def say(self, message: str) -> None:
        """Print one sentence."""
        messages.print(printable(message))

    @contextmanager
    def _bar(self, title: str, total: float) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description}"), BarColumn(24), TaskProgressColumn(), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}", style="dim"),
        )  # fmt: skip
        with Progress(*columns, console=messages, speed_estimate_period=600) as bars:
            bar = bars.add_task(title, total=total, note="")
            done = 0.0

            def advance(units: float, note: str, left: float | None = None) -> None:
                nonlocal done
                done += units
                bars.update(bar, advance=units, note=printable(note), total=None if left is None else done + left)

            yield advance

    @contextmanager
    def _lines(self, title: str, total: float) -> Iterator[Advance]:
        start = last = time.monotonic()
        done = 0.0

        def advance(units: float, note: str, left: float | None = None) -> None:
            nonlocal done, last, total
            done += units
            total = total if left is None else done + left
            now = time.monotonic()
            if now - last >= QUIET_INTERVAL and done:
                last = now
                rest = (now - start) * (total - done) / done
                messages.print(printable(f"{title}: {done / total:.0%}, about {duration(rest)} left. {note}"))

        yield advance


def printable(text: str) -> str:
    """Text from outside for the terminal: control characters and markup lose their meaning."""
    return escape(inert(text))


def duration(seconds: float) -> str:
    """Length of time in words: `2 min 5 s`."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def say_reports(reports: Rendered) -> None:
    """Print where the reports lie."""
    click.echo(f"Report: {reports.html}")
    if reports.pdf:
        click.echo(f"        {reports.pdf}")
    else:
        messages.print(printable(f"No PDF: {reports.why_no_pdf}"))


def settings_of(kind: type[AnySettings], **values: Any) -> AnySettings:
    """Make settings of what was given on the command line; what was not given is None and keeps its default.

    Raises:
        click.UsageError: if a value is out of its bounds.
    """
    try:
        return kind(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        flag = "--" + str(first["loc"][0]).replace("_", "-").replace("epsilons", "eps")
        reason = first["msg"].removeprefix("Value error, ")
        raise click.UsageError(f"{flag}: {reason} (given: {first['input']}).") from error


def options_of(kind: type[BaseModel]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make an option of every field of some settings, with its docstring and default as the help."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for name, field in reversed(kind.model_fields.items()):
            flag, default = "--" + name.replace("_", "-"), field.default
            shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
            text = f"{field.description}" + (f"  [default: {shown}]" if default not in (None, False) else "")
            if isinstance(default, bool):
                option = click.option(flag, is_flag=True, default=None, help=text)
            else:
                option = click.option(flag, default=None, help=text, metavar=_metavar(default))
            function = option(function)
        return function

    return decorate


def _metavar(default: object) -> str:
    if isinstance(default, tuple):
        return "N,N,..."
    return {str: "TEXT", float: "NUMBER"}.get(type(default), "N")
