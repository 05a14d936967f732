"""What the checks share: the making of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from auditor.record import Check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Status: TypeAlias = Literal["PASS", "WARN", "FAIL", "ERROR", "SKIPPED"]


def result(
    name: str,
    title: str,
    status: Status,
    figure: str,
    threshold: str,
    reason: str,
    concerned: NDArray[np.bool_] | None = None,
    ids: Sequence[str] = (),
) -> Check:
    """Make the result of a check; `concerned`, of shape `(n,)`, tells which of the n `ids` it is about."""
    named = [] if concerned is None else [ids[i] for i in np.flatnonzero(concerned).tolist()]
    return Check(name=name, title=title, status=status, figure=figure, threshold=threshold, reason=reason, images=named)


def skipped(name: str, title: str, threshold: str, reason: str) -> Check:
    """Make the result of a check that was not made."""
    return result(name, title, "SKIPPED", "not measured", threshold, reason)
