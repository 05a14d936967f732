"""The errors a user can meet, each with the exit code of the command line."""

from __future__ import annotations

import difflib
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class MedauditError(Exception):
    """Base of every expected error: one or two plain sentences that name the file and the remedy.

    Attributes:
        exit_code: what the command line exits with when this error ends it.
    """

    exit_code = 70


class BadInputError(MedauditError):
    """The model, the data or an option cannot be used as given (exit code 2)."""

    exit_code = 2


class AuditInterrupted(KeyboardInterrupt):
    """An audit was interrupted; what was done is kept in its folder.

    Attributes:
        folder: of the audit.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(f"interrupted. Go on with: medaudit run --resume {shlex.quote(str(folder))}")
        self.folder = folder


def nearest(given: str, known: Iterable[str]) -> str:
    """Suggest the known name that is most like a wrong one, for the end of a message; empty if none is."""
    found = difflib.get_close_matches(given, list(known), 1, 0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""
