"""The verbs of `wpp-lake quarantine`.

Belongs here: their arguments and what they print. Not: the quarantine itself (loading).
"""

import getpass
import json
from typing import Annotated, Literal
from uuid import UUID

import typer

from pipelines.cli.options import DEFAULT_DATA_DIR, By, DataDir, connect_lake, fail, read_settings

app = typer.Typer(no_args_is_help=True, help="What could not be loaded: look, try again, discard.")
State = Annotated[Literal["open", "loaded", "discarded", "all"], typer.Option(help="Which entries.")]
Reason = Annotated[str | None, typer.Option(metavar="CODE", help="Only those with this reason code.")]


@app.command("ls")
def ls(
    state: State = "open",
    reason: Reason = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """List what could not be loaded, without its content."""
    with connect_lake(data_dir) as conn:
        from pipelines.loading.quarantine import entries

        found = entries(conn, None if state == "all" else state, reason)
    if as_json:
        print(json.dumps(found, default=str))
    else:
        if not found:
            print(_none("" if state == "all" else f"{state} ", reason))
        for each in found:
            place = f"{each['landing_key']}:{each['line_number']}"
            print(f"{each['id']}  {each['state']:<9}  {each['reason']:<20}  {place}  {each['detail']}")


@app.command("show")
def show(
    entry_id: Annotated[UUID, typer.Argument(metavar="ID", help="Which entry, as `quarantine ls` names it.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show one entry with its content, which may hold phone numbers and messages."""
    with connect_lake(data_dir) as conn:
        from pipelines.loading.quarantine import entry

        found = entry(conn, entry_id)
    found["raw"] = repr(found["raw"].decode(errors="backslashreplace"))
    for name, value in found.items():
        print(f"{name:<16} {value}")


@app.command("retry")
def retry(
    ids: Annotated[
        list[UUID] | None, typer.Argument(metavar="ID", help="Which entries; without any, all that are open.")
    ] = None,
    reason: Reason = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Load entries again that are open; what still can't be loaded stays so."""
    with connect_lake(data_dir) as conn:
        from pipelines.landing.zone import LandingZone
        from pipelines.loading import quarantine

        zone = LandingZone(read_settings(data_dir))
        opened = [each for each in quarantine.entries(conn) if not ids or each["id"] in ids]
        chosen = [each for each in opened if reason in {None, each["reason"]}]
        became = quarantine.retry(conn, zone, chosen)
    counts = f"{became['loaded']} loaded, {became['open']} still open, {became['pending']} files to load anew"
    print(counts if chosen else _none("open ", reason))
    _check_open(ids or [], len(opened))


@app.command("discard")
def discard(
    ids: Annotated[list[UUID], typer.Argument(metavar="ID", help="Which entries.")],
    reason: Annotated[str, typer.Option(metavar="WHY", help="Why they are not worth another try.")],
    by: By = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Mark open entries as discarded, with who and why. They are kept."""
    with connect_lake(data_dir) as conn:
        from pipelines.loading import quarantine

        discarded = quarantine.discard(conn, ids, by or getpass.getuser(), reason)
    print(f"{discarded} discarded")
    _check_open(ids, discarded)


def _none(state: str, reason: str | None) -> str:
    """Say that there are no such entries."""
    return f"no {state}entries" + (f" with the reason {reason}" if reason else "")


def _check_open(ids: list[UUID], found: int) -> None:
    """Fail when not all of the ids were those of open entries."""
    if found < len(set(ids)):
        fail(f"{len(set(ids)) - found} of the ids are not those of open entries")
