"""Epsilon in words."""

from __future__ import annotations


def epsilon_words(epsilon: float | None) -> str:
    """Epsilon in steps of an 8-bit image, `2/255`; a dash where no epsilon bounds an attack."""
    return "–" if epsilon is None else f"{epsilon * 255:.4g}/255"


def exact_epsilon(epsilon: float) -> str:
    """Text that reads back as the same epsilon, in steps of an 8-bit image if they are round."""
    steps = f"{epsilon * 255:.6g}"
    return f"{steps}/255" if float(steps) / 255 == epsilon else repr(epsilon)
