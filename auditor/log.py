"""What happened when, in UTC: the log in an audit's folder, and lines of JSON for programs.

A log is one more listener of the work: it turns what a `auditor.progress.Progress` is told into events.
"""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from auditor.environment import now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from auditor.progress import Advance, Fact, Level

#: Name of the log in an audit's folder.
FILE_NAME = "audit.log"

#: Seconds between two events on the progress of one task.
INTERVAL = 30.0

#: A value that needs no quotes in a line.
_PLAIN = re.compile(r"[\w./:@%+<>=~-]+", re.ASCII)


class EventLog:
    """A `Progress` that makes events: each has `time`, `level`, `event`, `audit` once it is known, and its facts.

    Args:
        sink: takes an event; must not raise.
    """

    def __init__(self, sink: Callable[[dict[str, Fact]], None]) -> None:
        self._sink = sink
        self._audit: Fact = None

    @contextmanager
    def task(self, title: str, total: float) -> Iterator[Advance]:
        """Open a task: an event at its start, now and then on the way, and at its end."""
        began = last = time.monotonic()
        done = 0.0
        self.mark("task", task=title)

        def advance(units: float, note: str, left: float | None = None) -> None:
            nonlocal done, last, total
            done += units
            total = total if left is None else done + left
            if time.monotonic() - last >= INTERVAL and done and total:
                last = time.monotonic()
                share, rest = done / total, (last - began) * (total - done) / done
                self.mark("progress", task=title, done=round(share, 4), left_seconds=round(rest, 1), note=note)

        yield advance
        self.mark("task-done", task=title, seconds=round(time.monotonic() - began, 3))

    def say(self, message: str) -> None:
        """Note a sentence that was told to the user."""
        self.mark("message", message=message)

    def mark(self, event: str, level: Level = "info", **facts: Fact) -> None:
        """Note an event."""
        self._audit = facts.pop("audit", self._audit)
        identity = {"audit": self._audit} if self._audit else {}
        self._sink({"time": now(), "level": level, "event": event, **identity, **facts})


def as_json(event: dict[str, Fact]) -> str:
    """One event as a line of JSON, in ASCII."""
    return json.dumps(event)


def as_line(event: dict[str, Fact]) -> str:
    """One event as a line to read: time, level, event, then `name=value`."""
    head = f"{event['time']} {str(event['level']).upper():7} {event['event']}"
    facts = (f"{name}={_quoted(value)}" for name, value in event.items() if name not in ("time", "level", "event"))
    return " ".join((head, *facts))


def _quoted(value: Fact) -> str:
    """A value as one word; what a terminal could take for an order is escaped."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=not text.isprintable())


@contextmanager
def audit_log(folder: Path, private: Sequence[Path]) -> Iterator[EventLog]:
    """Keep the log of an audit in its folder; how the block ends is its last line if it does not end well.

    Unless the log is gone by then: an audit that does not get to its attacks leaves nothing behind. It ends with the
    event `finished`: reports are drawn after it, and may be again.

    The file is opened for each line only, so that nobody who hashes the folder later finds it open. A line that cannot
    be written, because the disk is full, is lost: what fails by that is told by the work itself.

    Args:
        folder: of the audit.
        private: paths of which only the last name may stand in the log.
    """
    places = {place for path in private for place in (path.absolute().parent, path.resolve().parent)}
    hidden = {f"{place}/": "" for place in sorted(places, reverse=True)} | {f"{os.environ.get('HOME', '')}/": "~/"}
    ended = False

    def write(event: dict[str, Fact]) -> None:
        nonlocal ended
        if ended:
            return
        ended, line = event["event"] == "finished", as_line(event)
        for start, shown in hidden.items():
            line = line.replace(start, shown) if start.strip("/") else line
        with suppress(OSError), (folder / FILE_NAME).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    log = EventLog(write)
    try:
        yield log
    except BaseException as error:
        if (folder / FILE_NAME).is_file():
            if isinstance(error, KeyboardInterrupt):
                log.mark("interrupted", "warning")
            else:
                log.mark("failed", "error", reason=f"{type(error).__name__}: {error}")
        raise
