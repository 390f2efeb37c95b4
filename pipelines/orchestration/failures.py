"""Says why a run failed in one sentence, the remedy first, in the place of a library's own words and many frames.

Belongs here: which error means what to whoever looks at a failed run. Not: retrying; every load and snapshot is tried
again by itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import obstore
import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from psycopg import errors

from pipelines.errors import WppLakeError, first_line

# The first that fits counts.
REMEDIES: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((errors.DiskFull,), "Make room on PostgreSQL's disk; the next run goes on from here"),
    ((errors.InsufficientPrivilege,), "Give the role of DATABASE_URL its rights, which `wpp-lake doctor` names"),
    ((psycopg.OperationalError,), "See that PostgreSQL runs where DATABASE_URL leads; the next run goes on from here"),
    (
        (obstore.exceptions.BaseError, BotoCoreError, ClientError, FileNotFoundError),
        "See that the object store runs and takes the key (`wpp-lake doctor` tries it); the next run goes on from here",
    ),
)


@contextmanager
def explained() -> Iterator[None]:
    """Raise dg.Failure with the remedy and the error for what is known; anything else goes through as it is."""
    try:
        yield
    except WppLakeError as error:  # its message is written for the reader
        raise dg.Failure(str(error), metadata={"error": type(error).__name__}) from error
    except Exception as error:
        for kinds, remedy in REMEDIES:
            if isinstance(error, kinds):
                told = f"{type(error).__name__}: {first_line(error)}"
                raise dg.Failure(f"{remedy}. {told}", metadata={"remedy": remedy, "error": told}) from error
        raise
