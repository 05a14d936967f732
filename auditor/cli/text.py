"""Text from outside, made fit for a terminal."""


def inert(text: str) -> str:
    """Show control characters as escapes: a file name may hold any, and none may reach the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
