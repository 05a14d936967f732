"""Epsilon: read, compared, and put in words."""

from __future__ import annotations

#: How far two values of epsilon may be apart and be the same.
_SAME = 1e-9


def read_epsilon(text: str) -> float:
    """Read `0.01` or `2/255`. Raises `ValueError` if it is neither, or divides by zero."""
    numerator, slash, denominator = text.partition("/")
    try:
        return float(numerator) / (float(denominator) if slash else 1.0)
    except ZeroDivisionError as error:
        raise ValueError(f"{text!r} divides by zero") from error


def same_epsilon(first: float | None, second: float | None) -> bool:
    """Whether two are the same but for rounding; None, where no epsilon bounds an attack, is the same as None alone."""
    return first is second or (first is not None and second is not None and abs(first - second) < _SAME)


def epsilon_words(epsilon: float | None) -> str:
    """Epsilon in steps of an 8-bit image, `2/255`; a dash where no epsilon bounds an attack."""
    return "–" if epsilon is None else f"{epsilon * 255:.4g}/255"


def exact_epsilon(epsilon: float) -> str:
    """Text that reads back as the same epsilon, in steps of an 8-bit image if they are round."""
    steps = f"{epsilon * 255:.6g}"
    return f"{steps}/255" if float(steps) / 255 == epsilon else repr(epsilon)
