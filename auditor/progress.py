"""Progress as an observer: the work reports, whoever listens decides how to show it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


class Progress(Protocol):
    """Listens to a long piece of work. Implementations must never raise."""

    def task(self, title: str, total: float) -> AbstractContextManager[Callable[[float, str], None]]:
        """Open a task of `total` units of cost.

        Entering yields a function `advance(units, note)`; `units` are of equal cost, so that the share
        done is the share of the time spent, and `note` is a short text on the state of the work.
        """
        ...

    def say(self, message: str) -> None:
        """Tell the user one sentence that matters now (a warning, a choice that was made)."""
        ...


class Silent:
    """A `Progress` that shows nothing: the default when `auditor` is used as a library."""

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Callable[[float, str], None]]:
        """Open a task that nobody watches."""
        del title, total
        yield _ignore

    def say(self, message: str) -> None:
        """Drop the message."""


def _ignore(units: float, note: str) -> None:
    del units, note
