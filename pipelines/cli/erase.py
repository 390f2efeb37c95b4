"""The verbs of `wpp-lake erase`.

Belongs here: their arguments and what they print. Not: the erasure itself (privacy).
"""

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from pipelines.cli.options import DEFAULT_DATA_DIR, DataDir, connect_lake, fail, read_settings

if TYPE_CHECKING:
    from pipelines.db.connection import Connection
    from pipelines.privacy.people import Who

app = typer.Typer(no_args_is_help=True, help="Forget a person, an event or a group, with proof.")
WhoOption = Annotated[str | None, typer.Argument(metavar="WHO", help="A phone number, or a LID as 123@lid.")]
Event = Annotated[UUID | None, typer.Option("--event", metavar="ID", help="One event in the place of a person.")]
Group = Annotated[str | None, typer.Option("--group", metavar="JID", help="One group in the place of a person.")]
Own = Annotated[list[str] | None, typer.Option("--lid", metavar="LID", help="A LID that is the person's, too.")]
Others = Annotated[list[str] | None, typer.Option("--not-lid", metavar="LID", help="A LID that is somebody else's.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _who(  # noqa: PLR0913  as many as there are ways to say it
    conn: "Connection",
    who: str | None,
    event: UUID | None,
    group: str | None,
    own: list[str] | None,
    others: list[str] | None,
) -> "Who":
    from pipelines.privacy.people import of_event, of_group, of_person

    if sum(each is not None for each in (who, event, group)) != 1:
        fail("name one of WHO, --event and --group")
    if event:
        return of_event(conn, event)
    return of_group(group) if group else of_person(conn, who or "", own or (), others or ())
