"""The base of this project's own exceptions, and how any exception is quoted.

Belongs here: what every room needs to report an error. Not: the exceptions of one room, which stand where they are
raised.
"""


class WppLakeError(Exception):
    """An error that this project explains itself: its message is written for the reader, and holds no content."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message: what follows may be of any length, or quote what it is about."""
    return str(error).strip().partition("\n")[0]
