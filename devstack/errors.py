"""The errors that stop the embedded stack: one family, each of which `wpp-lake up` prints as one line.

Belongs here: errors that a person can act on. Not: what a retry heals.
"""

from pipelines.errors import WppLakeError


class StackError(WppLakeError, RuntimeError):
    """The stack can't start or go on; the message says why and what helps."""


class NotReadyError(StackError):
    """A server didn't answer in time. The message says which one, and what it answered last."""
