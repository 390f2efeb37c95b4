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
from datetime import timedelta
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn
from uuid import UUID

import typer

from pipelines import environment
from pipelines.settings import LakeSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipelines.doctor.findings import Finding
    from pipelines.queries import Connection
    from pipelines.status import Status

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
quarantine_app = typer.Typer(no_args_is_help=True, help="What could not be loaded: look, try again, discard.")
app.add_typer(quarantine_app, name="quarantine")


def folder(text: str) -> Path:
    """Read a folder from the command line; an empty text, a shell's unset variable, would be the one it runs in."""
    if not text:
        raise typer.BadParameter("is empty")
    return Path(text)


DataDir = Annotated[
    Path,
    typer.Option(parser=folder, help="Where `up` keeps everything; used where the environment names no lake."),
]
Hour = Annotated[str | None, typer.Option(help="One UTC hour, as 2026-05-21-06:00.")]
State = Annotated[Literal["open", "loaded", "discarded", "all"], typer.Option(help="Which entries.")]
Reason = Annotated[str | None, typer.Option(help="Only those with this reason code.")]
DEFAULT_DATA_DIR = Path(".wpp-lake")


def main() -> None:
    """Run the command; say in one line on stderr what went wrong, and exit 1. WPP_LAKE_TRACEBACK=1 shows all of it."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    logging.basicConfig(format="%(message)s")
    logging.getLogger("pipelines").setLevel(logging.INFO)
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # it warns of what is raised all the same
    for command in entry_points(group="wpp_lake.commands"):
        try:
            app.command(command.name)(command.load())
        except ModuleNotFoundError:
            app.command(command.name, help="Not installed: pip install 'wpp-lake[devstack]'.")(_not_installed)
    try:
        app()
    except BaseException as error:
        if isinstance(error, SystemExit) or os.environ.get("WPP_LAKE_TRACEBACK") == "1":
            raise
        if not isinstance(error, Exception):  # Dagster's own, in the place of a signal
            _fail("interrupted")
        ours = type(error).__module__.startswith(("pipelines.", "devstack."))
        first_line = str(error).strip().partition("\n")[0]
        _fail(str(error) if ours else f"{type(error).__name__}: {first_line}")


def _not_installed() -> None:
    _fail("the embedded stack isn't installed: pip install 'wpp-lake[devstack]'")


@app.command()
def env(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Print the stack's settings for a shell, to which no proxy and no other store may lead: eval "$(wpp-lake env)"."""
    found = environment.read(data_dir)
    for name in sorted(name for name in os.environ.keys() - found.keys() if name.startswith("AWS_")):
        print(f"unset {shlex.quote(name)}")
    for key, value in found.items():
        print(f"export {key}={shlex.quote(value)}")
    for name in ("NO_PROXY", "no_proxy"):
        print(f'export {name}="127.0.0.1${{{name}:+,${name}}}"')


@app.command()
def migrate(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Bring the database to the current schema."""
    from pipelines.migrations import migrate as apply_migrations

    apply_migrations(_settings(data_dir).conninfo)
    print("the schema is current")


@app.command()
def send(file: Path, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Replay the signed requests of FILE at the receiver; exit 1 unless every one was acknowledged."""
    from pipelines.replay import replay_with_progress

    answers = replay_with_progress(file, _settings(data_dir).wpp_lake_receiver_url)
    print(f"sent {answers.total()}: " + ", ".join(f"{count} {answer}" for answer, count in answers.items()))
    if set(answers) - {"accepted", "duplicate"}:
        raise typer.Exit(1)


@app.command()
def load(hour: Hour = None, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Load landing files into the tables: one hour's, or everything that the ledger lacks."""
    _settings(data_dir)
    from pipelines.partitions import parse_hour
    from pipelines.runs import run_load

    print(run_load(None if hour is None else parse_hour(hour)))


@app.command()
def snapshot(
    date: Annotated[str | None, typer.Option(help="One UTC date, as 2026-05-21.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write Parquet snapshots: one date's, or those that are missing or changed since."""
    _settings(data_dir)
    from pipelines.partitions import parse_day
    from pipelines.runs import run_snapshots

    for uri, rows in run_snapshots(None if date is None else parse_day(date)):
        print(f"{uri}: {rows} rows", flush=True)


@app.command()
def verify(hour: Hour = None, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Verify landed lines again, signatures and all; list those that fail, and exit 1 if there are any."""
    settings = _settings(data_dir)
    from pipelines.landing_zone import LandingZone
    from pipelines.partitions import parse_hour
    from pipelines.verification import verify as verify_lines

    chosen = None if hour is None else parse_hour(hour)
    lines, failures = verify_lines(LandingZone(settings), settings.webhook_secrets, chosen)
    for failure in failures:
        print(failure)
    print(f"{lines} lines verified, {len(failures)} failures")
    raise typer.Exit(bool(failures))


@app.command()
def rebuild(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Load the whole landing zone into emptied tables; until it is done, everybody reads them as they were."""
    with _lake(data_dir) as conn:
        from pipelines.landing_zone import LandingZone
        from pipelines.loading import rebuild as rebuild_tables

        print(rebuild_tables(conn, LandingZone(_settings(data_dir)), "rebuild"))


@app.command()
def prune(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Delete the runs from Dagster's history that ended more than RUN_HISTORY_DAYS ago, with their events and logs."""
    days = _settings(data_dir).run_history_days
    import dagster as dg

    from pipelines.history import prune as prune_history

    with dg.DagsterInstance.get() as instance:
        print(prune_history(instance, timedelta(days=days)))


@quarantine_app.command("ls")
def quarantine_ls(
    state: State = "open",
    reason: Reason = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """List what could not be loaded, without its content."""
    with _lake(data_dir) as conn:
        from pipelines.quarantine import entries

        found = entries(conn, None if state == "all" else state, reason)
    if as_json:
        print(json.dumps(found, default=str))
    else:
        for each in found:
            place = f"{each['landing_key']}:{each['line_number']}"
            print(f"{each['id']}  {each['state']:<9}  {each['reason']:<20}  {place}  {each['detail']}")


@quarantine_app.command("show")
def quarantine_show(entry_id: UUID, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show one entry with its content, which may hold phone numbers and messages."""
    with _lake(data_dir) as conn:
        from pipelines.quarantine import entry

        found = entry(conn, entry_id)
    found["raw"] = repr(found["raw"].decode(errors="backslashreplace"))
    for name, value in found.items():
        print(f"{name:<16} {value}")


@quarantine_app.command("retry")
def quarantine_retry(
    ids: Annotated[list[UUID] | None, typer.Argument(help="Which entries; without any, all that are open.")] = None,
    reason: Reason = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Load entries again that are open; what still can't be loaded stays so."""
    with _lake(data_dir) as conn:
        from pipelines.quarantine import entries, retry

        opened = [each for each in entries(conn) if not ids or each["id"] in ids]
        became = retry(conn, [each for each in opened if reason in {None, each["reason"]}])
    print(f"{became['loaded']} loaded, {became['open']} still open, {became['pending']} files to load anew")
    _check_open(ids or [], len(opened))


@quarantine_app.command("discard")
def quarantine_discard(
    ids: Annotated[list[UUID], typer.Argument(help="Which entries.")],
    reason: Annotated[str, typer.Option(help="Why they are not worth another try.")],
    by: Annotated[str | None, typer.Option(help="Who says so; without it the user of this machine.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Mark open entries as discarded, with who and why. They are kept."""
    with _lake(data_dir) as conn:
        from pipelines.quarantine import discard

        discarded = discard(conn, ids, by or getpass.getuser(), reason)
    print(f"{discarded} discarded")
    _check_open(ids, discarded)


def _check_open(ids: list[UUID], found: int) -> None:
    """Fail when not all of the ids were those of open entries."""
    if found < len(set(ids)):
        _fail(f"{len(set(ids)) - found} of the ids are not those of open entries")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show processes, counts and snapshots; exit 1 only when nothing could be reported."""
    from pipelines.status import collect, is_of_older_rules

    found = collect(_settings(data_dir))
    changed = [f"landing file {key} was changed after it was loaded" for key in found["changed_files"]]
    old = ["the tables are of older rules: `wpp-lake rebuild` makes them anew"] if is_of_older_rules(found) else []
    for message in found["errors"] + changed + old:
        print(f"wpp-lake: {message}", file=sys.stderr)
    if as_json:
        print(json.dumps(found))
    else:
        _show(found)
    raise typer.Exit(not (found["processes"] or found["counts"] or found["snapshots"]))


def _show(found: "Status") -> None:
    for process in found["processes"]:
        print(f"{process['name']:<20} pid {process['pid']:<8} {'healthy' if process['healthy'] else 'NOT HEALTHY'}")
    for name, number in found["counts"].items():
        print(f"{name:<28} {number}")
    for table, newest in found["snapshots"].items():
        print(f"{table:<28} newest snapshot {newest or 'none yet'}")


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    receiver_env: Annotated[
        Path | None, typer.Option(parser=folder, help="The receiver's settings, to try its key; `up` leaves its own.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Check what the lake stands on, a line per finding; exit 1 if anything is to be mended."""
    settings = _settings(data_dir)
    from pipelines.doctor.checks import checks
    from pipelines.doctor.findings import examine

    findings = list(examine(checks(settings, receiver_env) | {"dagster": partial(_dagster_findings, settings)}))
    is_well = all(finding.level != "failure" for finding in findings)
    if as_json:
        print(json.dumps({"ok": is_well, "findings": [finding._asdict() for finding in findings]}))
    else:
        print(*findings, sep="\n")
    raise typer.Exit(not is_well)


def _dagster_findings(settings: LakeSettings) -> "Iterable[Finding]":
    """Look at Dagster, whose import takes seconds."""
    from pipelines import daemon_health

    return daemon_health.check(settings)


def _lake(data_dir: Path) -> "Connection":
    """Connect to the lake's database, in autocommit mode."""
    import psycopg

    return psycopg.connect(_settings(data_dir).conninfo, autocommit=True)


def _settings(data_dir: Path) -> LakeSettings:
    environment.ensure(data_dir)
    return LakeSettings.from_environment()


def _fail(message: str) -> NoReturn:
    sys.exit(f"wpp-lake: {' '.join(message.split())}")


if __name__ == "__main__":
    main()
