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
from auditor.log import INTERVAL, EventLog, as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from auditor import progress
    from auditor.progress import Advance, Fact, Level
    from auditor.report.render import Rendered

#: Where the work is shown; standard output is left to results.
messages = Console(stderr=True, highlight=False)

#: Options by the settings that are called otherwise.
OPTIONS = {"epsilons": "eps", "attacks": "attack"}

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

    def mark(self, event: str, level: Level = "info", **facts: Fact) -> None:
        """Show nothing: events are for logs."""

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
            if now - last >= INTERVAL and done:
                last = now
                rest = (now - start) * (total - done) / done
                messages.print(printable(f"{title}: {done / total:.0%}, about {duration(rest)} left. {note}"))

        yield advance


def print_json(event: dict[str, Fact]) -> None:
    """Print an event as a line of JSON on standard error."""
    click.echo(as_json(event), err=True)


def _remember_format(context: click.Context, option: click.Parameter, value: str) -> str:
    """Let the command line know how to print an error."""
    del option
    if isinstance(context.obj, dict):
        context.obj["json"] = value == "json"
    return value


#: The option of how to tell of the work; `listener` takes its value.
log_format_option = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    is_eager=True,
    callback=_remember_format,
    help="How progress, messages and errors are told on standard error: as text, or as lines of JSON.  [default: text]",
)


def listener(log_format: str) -> progress.Progress:
    """Who is told of the work: the terminal, or a log of JSON lines."""
    return EventLog(print_json) if log_format == "json" else TerminalProgress()


def printable(text: str) -> str:
    """Text from outside for the terminal: control characters and markup lose their meaning."""
    return escape(inert(text))


def duration(seconds: float) -> str:
    """Length of time in words: `2 min 5 s`."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def say_reports(reports: Rendered, progress: progress.Progress | None = None) -> None:
    """Print where the reports lie; `progress` is told why there is no PDF."""
    click.echo(f"Report: {reports.html}")
    if reports.pdf:
        click.echo(f"        {reports.pdf}")
    else:
        (progress or TerminalProgress()).say(f"No PDF: {reports.why_no_pdf}")


def settings_of(kind: type[AnySettings], **values: Any) -> AnySettings:
    """Make settings of what was given on the command line; what was not given is None and keeps its default.

    Raises:
        click.UsageError: if a value is out of its bounds.
    """
    try:
        return kind(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        flag = "--" + OPTIONS.get(name, name).replace("_", "-")
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
