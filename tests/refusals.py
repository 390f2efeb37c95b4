"""A Postgres that refuses lines which nothing is wrong with, as a defect would.

Belongs here: letting it refuse them for a while. Not: what becomes of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from lake import Lake

REFUSED = "(new.type = 'refused')"
EVERY_LINE = "(true)"


@contextmanager
def refusing(
    lake: Lake, sqlstate: str = "22003", words: str = "can''t store it", lines: str = REFUSED
) -> Iterator[None]:
    """Let Postgres answer with this SQLSTATE to every line of the type `refused`, or to other lines."""
    with failing(lake, f"raise exception '{words}' using errcode = '{sqlstate}'", lines):
        yield


@contextmanager
def failing(lake: Lake, statement: str, lines: str = REFUSED) -> Iterator[None]:
    """Let Postgres do this at every line of the type `refused`, or at other lines."""
    lake.connection.execute(
        f"""create function refuse() returns trigger language plpgsql as
            $$ begin {statement}; end $$;
            create trigger refuse before insert on whatsapp_events for each row
            when {lines} execute function refuse();""".encode()
    )
    yield
    lake.connection.execute("drop trigger refuse on whatsapp_events")
