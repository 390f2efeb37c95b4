"""The `wpp-lake` command. Each verb takes its target from the environment, else from the data directory.

Belongs here: arguments, exit codes, what is printed. Not: what a verb does. Heavy imports wait until a verb needs them.
`up` and `demo` come from the embedded stack, found by entry point, where it is installed.
"""

import getpass
import json
import os
import shlex
import sys
from datetime import timedelta
from functools import partial
from importlib.metadata import entry_points
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines import env_file
from pipelines.cli import audit, erase, expire, export, notebooks, quarantine, sql, verbs
from pipelines.cli.options import (
    DEFAULT_DATA_DIR,
    By,
    DataDir,
    Hour,
    UntilDate,
    UntilHour,
    check_range,
    connect_lake,
    explained,
    fail,
    folder,
    read_settings,
)
from pipelines.landing.hours import parse_day, parse_hour

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipelines.doctor.findings import Finding
    from pipelines.settings import LakeSettings

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, callback=verbs.options)
for verb in (audit, expire, export, notebooks, sql):
    app.registered_commands += verb.app.registered_commands
for name, verbs_of in {"quarantine": quarantine, "erase": erase}.items():
    app.add_typer(verbs_of.app, name=name)


def main() -> None:
    """Run the command; say in one line on stderr what went wrong, and exit 1. WPP_LAKE_TRACEBACK=1 shows all of it."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    verbs.begin_logging()
    try:
        with_stack_commands()()
    except BaseException as error:
        if isinstance(error, SystemExit) or os.environ.get("WPP_LAKE_TRACEBACK") == "1":
            raise
        if not isinstance(error, Exception):  # Dagster's own, in the place of a signal
            fail("interrupted")
        fail(*explained(error))


def with_stack_commands() -> typer.Typer:
    """Return the command with the verbs of the embedded stack, or with what says that it isn't installed."""
    for command in entry_points(group="wpp_lake.commands"):
        try:
            app.command(command.name)(command.load())
        except ModuleNotFoundError:
            app.command(command.name, help="Not installed: pip install 'wpp-lake[devstack]'.")(_not_installed)
    verbs.arrange(app)
    return app


def _not_installed() -> None:
    fail("the embedded stack isn't installed: pip install 'wpp-lake[devstack]'")


@app.command()
def env(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Print the stack's settings for a shell, to which no proxy and no other store may lead: eval "$(wpp-lake env)"."""
    found = env_file.read(data_dir)
    for name in sorted(name for name in os.environ.keys() - found.keys() if name.startswith("AWS_")):
        print(f"unset {shlex.quote(name)}")
    for key, value in found.items():
        print(f"export {key}={shlex.quote(value)}")
    for name in ("NO_PROXY", "no_proxy"):
        print(f'export {name}="127.0.0.1${{{name}:+,${name}}}"')


@app.command()
def migrate(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Bring the database to the current schema."""
    from pipelines.db.migrations import migrate as apply_migrations

    apply_migrations(read_settings(data_dir).conninfo)
    print("the schema is current")


@app.command()
def send(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines: method, path, headers, body; - is stdin.")],
    sign: Annotated[
        bool,
        typer.Option("--sign", help="The lines are bodies, type, chat_jid, payload, to be signed with the secret."),
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Send the signed requests of FILE to the receiver, as they are; exit 1 unless every one was acknowledged."""
    from pipelines.cli.replay import replay_with_progress, requests, signed

    settings = read_settings(data_dir)
    if sign and not settings.whatsapp_webhook_secret:
        fail("nothing to sign with: WHATSAPP_WEBHOOK_SECRET isn't set")
    secret = settings.whatsapp_webhook_secret.get_secret_value() if settings.whatsapp_webhook_secret else ""
    with sys.stdin.buffer if file == Path("-") else file.open("rb") as lines:
        waiting = list(signed(lines, secret) if sign else requests(lines))
    if not waiting:
        print(f"nothing to send: {file} has no {'bodies' if sign else 'requests'}")
        raise typer.Exit
    answers = replay_with_progress(file.name, waiting, settings.wpp_lake_receiver_url)
    print(f"sent {answers.total()}: " + ", ".join(f"{count} {answer}" for answer, count in answers.items()))
    if set(answers) - {"accepted", "duplicate"}:
        raise typer.Exit(1)


@app.command()
def load(hour: Hour = None, to: UntilHour = None, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Load landing files into the tables: one hour's, a range's, or everything that the ledger lacks."""
    read_settings(data_dir)
    check_range(hour, to, "--hour")
    first, last = (None if key is None else parse_hour(key) for key in (hour, to))
    from pipelines.orchestration.runs import run_load

    print(run_load(first, last))


@app.command()
def snapshot(
    date: Annotated[str | None, typer.Option(metavar="DATE", help="One UTC date, as 2026-05-21.")] = None,
    to: UntilDate = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write Parquet snapshots: one date's, a range's, or those that are missing or changed since."""
    read_settings(data_dir)
    check_range(date, to, "--date")
    first, last = (None if key is None else parse_day(key) for key in (date, to))
    from pipelines.orchestration.runs import run_snapshots

    files = 0
    for uri, rows in run_snapshots(first, last):
        print(f"{uri}: {rows} rows", flush=True)
        files += 1
    if not files:
        print("no file: no events were received then" if date else "every snapshot shows what the tables have")


@app.command()
def rebuild(
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="End with less than there is; needs a reason.")
    ] = False,
    reason: Annotated[str | None, typer.Option(metavar="WHY", help="Why the loss is accepted: it is recorded.")] = None,
    by: By = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Load the whole landing zone into emptied tables; until it is done, everybody reads them as they were.

    Nothing is done where that would lose what is loaded now, unless it is accepted.
    """
    if accept_loss and not reason:
        fail("--accept-loss needs --reason WHY, which is recorded")
    with connect_lake(data_dir) as conn:
        from pipelines.figures.lake import REBUILD
        from pipelines.landing.zone import LandingZone
        from pipelines.loading.load import AcceptedLoss
        from pipelines.loading.load import rebuild as rebuild_tables

        accepted = AcceptedLoss(by or getpass.getuser(), reason) if accept_loss and reason else None
        print(rebuild_tables(conn, LandingZone(read_settings(data_dir)), REBUILD, accepted))


@app.command()
def prune(
    days: Annotated[
        int | None, typer.Option(min=1, metavar="DAYS", help="Since their end; without it RUN_HISTORY_DAYS.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Delete the runs from Dagster's history that ended more than RUN_HISTORY_DAYS ago, with their events and logs."""
    settings = read_settings(data_dir)
    import dagster as dg

    from pipelines.orchestration.history import prune as prune_history

    with dg.DagsterInstance.get() as instance:
        print(prune_history(instance, timedelta(days=days or settings.run_history_days)))


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    check: Annotated[bool, typer.Option("--check", help="List nothing; exit 1 unless all is well.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every few seconds, until Ctrl-C.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show in one screen how the lake is; exit 1 when nothing could be reported, or a check finds a fault.

    Its first line says whether all is well, and how late events are. --json alone lists the whole landing zone.
    """
    if watch and (as_json or check):
        raise typer.BadParameter("goes with neither --json nor --check", param_hint="--watch")
    from pipelines.cli import screen
    from pipelines.cli.status import Listing, collect, could_report, faults, notes

    settings = read_settings(data_dir)
    if watch:
        return screen.watch(lambda: collect(settings, listing=Listing.RECENT))
    found = collect(settings, listing=Listing.of(check=check, as_json=as_json))
    for message in faults(found) + notes(found):
        print(f"wpp-lake: {message}", file=sys.stderr)
    if as_json:
        print(json.dumps(found, default=methodcaller("isoformat")))
    else:
        screen.show(found)
    raise typer.Exit(bool(faults(found)) if check else not could_report(found))


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    receiver_env: Annotated[
        Path | None,
        typer.Option(parser=folder, metavar="FILE", help="The receiver's settings, to try its key; `up` has its own."),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Check what the lake stands on, a line per finding; exit 1 if anything is to be mended."""
    settings = read_settings(data_dir)
    from pipelines.doctor.checks import checks
    from pipelines.doctor.findings import examine

    findings = list(examine(checks(settings, receiver_env) | {"dagster": partial(_dagster_findings, settings)}))
    is_well = all(finding.level != "failure" for finding in findings)
    if as_json:
        print(json.dumps({"ok": is_well, "findings": [finding._asdict() for finding in findings]}))
    else:
        print(*findings, sep="\n")
    raise typer.Exit(not is_well)


def _dagster_findings(settings: "LakeSettings") -> "Iterable[Finding]":
    """Look at Dagster, whose import takes seconds."""
    from pipelines.orchestration import daemon_health

    return daemon_health.check(settings)
