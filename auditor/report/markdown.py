"""Markdown for a pull request, in the dialects of GitHub and GitLab."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

#: A space of no width: GitHub and GitLab look for mentions in the finished text, where no backslash is left.
_BREAK = "&#8203;"

#: What means something anywhere in a line.
_MARKS = re.compile(r"[\\`*_\[\]<>#|~!$&^]")

#: What means something at the beginning of a line: lists, headings, rules, and GitLab's commands (`/close`).
_LEADING = re.compile(r"^(\d*)([-+=/]|[.)](?=\s|$))")

#: Behind what a mention, a reference, an emoji, an inline change or a link would go on.
_TRIGGERS = re.compile(
    r"""[@#!$%~&](?=[\w"]) | [\[{*](?=[a-z+-]) | :(?=[\w+-]+:|//) | www(?=\.) | GH-(?=\d)""",
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
    return _LEADING.sub(r"\1\\\2", _MARKS.sub(r"\\\g<0>", broken)).replace("\0", _BREAK)


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
