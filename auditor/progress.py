"""Progress as an observer: the work reports, whoever listens decides how to show it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

#: What an event may be told with.
Fact: TypeAlias = str | int | float | bool | None

Level: TypeAlias = Literal["info", "warning", "error"]


class Advance(Protocol):
    """Reports work done, as `Progress.task` says."""

    def __call__(self, units: float, note: str, left: float | None = None) -> None:
        """Report."""
        ...


class Progress(Protocol):
    """Listens to a long piece of work. Implementations must never raise."""

    def task(self, title: str, total: float) -> AbstractContextManager[Advance]:
        """Open a task of `total` units of cost.

        Entering yields a function `advance(units, note, left)`; `units` are of equal cost, so that the share
        done is the share of the time spent, `note` is a short text on the state of the work, and `left` corrects
        the units that are left where the work knows better by now.
        """
        ...

    def say(self, message: str) -> None:
        """Tell the user one sentence that matters now (a warning, a choice that was made)."""
        ...

    def mark(self, event: str, level: Level = "info", **facts: Fact) -> None:
        """Note for a log that something happened, by a short name and the facts that belong to it."""
        ...


class Silent:
    """A `Progress` that shows nothing: the default when `auditor` is used as a library."""

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Advance]:
        """Open a task that nobody watches."""
        del title, total
        yield _ignore

    def say(self, message: str) -> None:
        """Drop the message."""

    def mark(self, event: str, level: Level = "info", **facts: Fact) -> None:
        """Drop the event."""


class Several:
    """A `Progress` that passes everything on to others."""

    def __init__(self, *listeners: Progress) -> None:
        self._listeners = listeners

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Advance]:
        """Open the task with everyone."""
        with ExitStack() as stack:
            reports = [stack.enter_context(listener.task(title, total)) for listener in self._listeners]

            def advance(units: float, note: str, left: float | None = None) -> None:
                for report in reports:
                    report(units, note, left)

            yield advance

    def say(self, message: str) -> None:
        """Say it to everyone."""
        for listener in self._listeners:
            listener.say(message)

    def mark(self, event: str, level: Level = "info", **facts: Fact) -> None:
        """Note it with everyone."""
        for listener in self._listeners:
            listener.mark(event, level, **facts)


def _ignore(units: float, note: str, left: float | None = None) -> None:
    del units, note, left
