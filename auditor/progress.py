"""Progress as an observer: the work reports, whoever listens decides how to show it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


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


class Silent:
    """A `Progress` that shows nothing: the default when `auditor` is used as a library."""

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Advance]:
        """Open a task that nobody watches."""
        del title, total
        yield _ignore

    def say(self, message: str) -> None:
        """Drop the message."""


def _ignore(units: float, note: str, left: float | None = None) -> None:
    del units, note, left
