"""The verb that answers a person's question what is held about them.

Belongs here: its arguments, and where the answer goes. Not: what is told (privacy).
"""

import getpass
import os
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.erase import Others, Own
from pipelines.cli.options import DEFAULT_DATA_DIR, DataDir, connect_lake, read_settings

app = typer.Typer()


@app.command()
def export(  # noqa: PLR0913, PLR0917  as many as there are ways to say it
    who: Annotated[str, typer.Argument(metavar="WHO", help="A phone number, or a LID as 123@lid.")],
    reference: Annotated[str, typer.Option(metavar="TICKET", help="The request on whose word it is done: logged.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the text goes, which nobody else may read.")],
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who asks: logged; without it the user of this machine.")
    ] = None,
    lid: Own = None,
    not_lid: Others = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write everything that is held about a person into one file for that person, with what is others' masked."""
    settings = read_settings(data_dir)
    with connect_lake(data_dir) as conn:
        from pipelines.privacy.export import export as tell
        from pipelines.privacy.people import of_person

        meant = of_person(conn, who, lid or (), not_lid or ())
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in tell(settings, conn, meant, by or getpass.getuser(), reference))
    print(f"{out}: {', '.join(meant.names)}")
