"""The `wpp-lake` command. Each verb takes its target from the environment, else from the data directory.

Belongs here: arguments, exit codes, what is printed. Not: what a verb does. Heavy imports wait until a verb needs them.
`up` and `demo` come from the embedded stack, found by entry point, where it is installed.
"""

import getpass
import json
import logging
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn
from uuid import UUID

import typer
from rich.console import Console

from pipelines import environment
from pipelines.settings import LakeSettings

if TYPE_CHECKING:
    from pipelines.queries import Connection
    from pipelines.status import Status

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
quarantine_app = typer.Typer(no_args_is_help=True, help="What could not be loaded: look, try again, discard.")
app.add_typer(quarantine_app, name="quarantine")
out = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)

DataDir = Annotated[Path, typer.Option(help="Where `up` keeps everything; used where the environment names no lake.")]
DEFAULT_DATA_DIR = Path(".wpp-lake")


class State(StrEnum):
    """The states of the quarantine's entries."""

    OPEN = "open"
    LOADED = "loaded"
    DISCARDED = "discarded"
    ALL = "all"


def main() -> None:
    """Run the command."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    logging.basicConfig(format="%(message)s")
    logging.getLogger("pipelines").setLevel(logging.INFO)
    for command in entry_points(group="wpp_lake.commands"):
        try:
            app.command(command.name)(command.load())
        except ModuleNotFoundError:
            app.command(command.name, help="Not installed: pip install 'wpp-lake[devstack]'.")(_not_installed)
    app()


def _not_installed() -> None:
    _fail("the embedded stack isn't installed: pip install 'wpp-lake[devstack]'")


@app.command()
def env(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Print the stack's settings as shell exports: eval "$(wpp-lake env)"."""
    with failing_in_one_line():
        for key, value in environment.read(data_dir).items():
            print(f"export {key}={shlex.quote(value)}")  # noqa: T201  for a shell, not for a person


@app.command()
def migrate(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Bring the database to the current schema."""
    from pipelines.migrations import migrate as apply_migrations

    with failing_in_one_line():
        apply_migrations(_settings(data_dir).conninfo)
        out.print("the schema is current")


@app.command()
def send(file: Path, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Replay the signed requests of FILE at the receiver; exit 1 unless every one was acknowledged."""
    from pipelines.replay import replay_with_progress

    with failing_in_one_line():
        answers = replay_with_progress(file, _settings(data_dir).wpp_lake_receiver_url)
    out.print(f"sent {answers.total()}: " + ", ".join(f"{count} {answer}" for answer, count in answers.items()))
    if set(answers) - {"accepted", "duplicate"}:
        raise typer.Exit(1)


@app.command()
def load(
    hour: Annotated[str | None, typer.Option(help="One UTC hour, as 2026-05-21-06:00.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Load landing files into the tables: one hour's, or everything that the ledger lacks."""
    with failing_in_one_line():
        _settings(data_dir)
        from pipelines.partitions import parse_hour
        from pipelines.runs import run_load

        out.print(str(run_load(parse_hour(hour) if hour else None)))


@app.command()
def snapshot(
    date: Annotated[str | None, typer.Option(help="One UTC date, as 2026-05-21.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write Parquet snapshots: one date's, or those that are missing or changed since."""
    with failing_in_one_line():
        _settings(data_dir)
        from pipelines.partitions import parse_day
        from pipelines.runs import run_snapshots

        for uri, rows in run_snapshots(parse_day(date) if date else None):
            out.print(f"{uri}: {rows} rows")


@app.command()
def verify(
    hour: Annotated[str | None, typer.Option(help="One UTC hour, as 2026-05-21-06:00.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Verify landed lines again, signatures and all; list those that fail, and exit 1 if there are any."""
    with failing_in_one_line():
        settings = _settings(data_dir)
        from pipelines.landing_zone import LandingZone
        from pipelines.partitions import parse_hour
        from pipelines.verification import verify as verify_lines

        lines, failures = verify_lines(
            LandingZone(settings), settings.webhook_secrets, parse_hour(hour) if hour else None
        )
    for failure in failures:
        out.print(str(failure))
    out.print(f"{lines} lines verified, {len(failures)} failures")
    raise typer.Exit(bool(failures))


@app.command()
def rebuild(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Load the whole landing zone into emptied tables; until it is done, everybody reads them as they were."""
    with failing_in_one_line(), _lake(data_dir) as (conn, settings):
        from pipelines.landing_zone import LandingZone
        from pipelines.loading import rebuild as rebuild_tables

        out.print(str(rebuild_tables(conn, LandingZone(settings), "rebuild")))


@quarantine_app.command("ls")
def quarantine_ls(
    state: Annotated[State, typer.Option(help="Which entries.")] = State.OPEN,
    reason: Annotated[str | None, typer.Option(help="Only those with this reason code.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """List what could not be loaded, without its content."""
    with failing_in_one_line(), _lake(data_dir) as (conn, _):
        from pipelines.quarantine import entries

        found = entries(conn, None if state is State.ALL else state.value, reason)
    if as_json:
        print(json.dumps(found, default=str))  # noqa: T201  for a program, not for a person
    else:
        for each in found:
            place = f"{each['landing_key']}:{each['line_number']}"
            out.print(f"{each['id']}  {each['state']:<9}  {each['reason']:<20}  {place}  {each['detail']}")


@quarantine_app.command("show")
def quarantine_show(entry_id: UUID, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show one entry with its content, which may hold phone numbers and messages."""
    with failing_in_one_line(), _lake(data_dir) as (conn, _):
        from pipelines.quarantine import entry

        for name, value in entry(conn, entry_id).items():
            text = value.decode(errors="backslashreplace") if name == "raw" else value
            out.print(f"{name:<16} {text!r}" if name == "raw" else f"{name:<16} {text}")


@quarantine_app.command("retry")
def quarantine_retry(
    ids: Annotated[list[UUID] | None, typer.Argument(help="Which entries; without any, all that are open.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only those with this reason code.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Load entries again that are open; what still can't be loaded stays so."""
    with failing_in_one_line(), _lake(data_dir) as (conn, _):
        from pipelines.quarantine import entries, retry

        found = [each for each in entries(conn, reason=reason) if not ids or each["id"] in ids]
        became = retry(conn, found)
    out.print(f"{became['loaded']} loaded, {became['open']} still open, {became['pending']} files to load anew")


@quarantine_app.command("discard")
def quarantine_discard(
    ids: Annotated[list[UUID], typer.Argument(help="Which entries.")],
    reason: Annotated[str, typer.Option(help="Why they are not worth another try.")],
    by: Annotated[str | None, typer.Option(help="Who says so; without it the user of this machine.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Mark open entries as discarded, with who and why. They are kept."""
    with failing_in_one_line(), _lake(data_dir) as (conn, _):
        from pipelines.quarantine import discard

        discarded = discard(conn, ids, by or getpass.getuser(), reason)
    out.print(f"{discarded} discarded")
    if discarded < len(set(ids)):
        _fail(f"{len(set(ids)) - discarded} of the ids are not those of open entries")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show processes, counts and snapshots; exit 1 only when nothing could be reported."""
    from pipelines.status import collect

    with failing_in_one_line():
        found = collect(_settings(data_dir))
    changed = [f"landing file {key} was changed after it was loaded" for key in found["changed_files"]]
    for message in found["errors"] + changed:
        print(f"wpp-lake: {message}", file=sys.stderr)  # noqa: T201  one line, however wide stderr is
    if as_json:
        print(json.dumps(found))  # noqa: T201  for a program, not for a person
    else:
        _show(found)
    raise typer.Exit(not (found["processes"] or found["counts"] or found["snapshots"]))


def _show(found: "Status") -> None:
    for process in found["processes"]:
        out.print(f"{process['name']:<20} pid {process['pid']:<8} {'healthy' if process['healthy'] else 'NOT HEALTHY'}")
    for name, number in found["counts"].items():
        out.print(f"{name:<28} {number}")
    for table, newest in found["snapshots"].items():
        out.print(f"{table:<28} newest snapshot {newest or 'none yet'}")


@contextmanager
def _lake(data_dir: Path) -> "Iterator[tuple[Connection, LakeSettings]]":
    """Connect to the lake's database, in autocommit mode."""
    import psycopg

    settings = _settings(data_dir)
    with psycopg.connect(settings.conninfo, autocommit=True) as conn:
        yield conn, settings


def _settings(data_dir: Path) -> LakeSettings:
    environment.ensure(data_dir)
    return LakeSettings.from_environment()


@contextmanager
def failing_in_one_line() -> Iterator[None]:
    """Say in one line on stderr what went wrong, and exit 1; with WPP_LAKE_TRACEBACK=1 in the environment, in full."""
    try:
        yield
    except Exception as error:
        if os.environ.get("WPP_LAKE_TRACEBACK") == "1":
            raise
        ours = type(error).__module__.startswith(("pipelines.", "devstack."))
        first_line = str(error).strip().partition("\n")[0]
        _fail(str(error) if ours else f"{type(error).__name__}: {first_line}")


def _fail(message: str) -> NoReturn:
    print(f"wpp-lake: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201  one line, however wide stderr is
    raise typer.Exit(1)


if __name__ == "__main__":
    main()
