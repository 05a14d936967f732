"""The errors a user can meet, each with the exit code of the command line."""


class MedauditError(Exception):
    """Base of every expected error: one or two plain sentences that name the file and the remedy.

    Attributes:
        exit_code: what the command line exits with when this error ends it.
    """

    exit_code = 70


class BadInputError(MedauditError):
    """The model, the data or an option cannot be used as given (exit code 2)."""

    exit_code = 2
