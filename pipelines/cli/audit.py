"""The verbs that check what is stored: verify, reconcile, trace.

Belongs here: their arguments and what they print. Not: the checks themselves (audit).
"""

import json
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import typer

from pipelines.cli.options import DEFAULT_DATA_DIR, DataDir, Hour, connect_lake, read_settings
from pipelines.landing.hours import parse_day, parse_hour

app = typer.Typer()


@app.command()
def verify(hour: Hour = None, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Verify landed lines again, signatures and all; list those that fail, and exit 1 if there are any."""
    settings, chosen = read_settings(data_dir), None if hour is None else parse_hour(hour)
    from pipelines.audit.verify import verify as verify_lines
    from pipelines.landing.authenticity import Verifier
    from pipelines.landing.zone import LandingZone

    verifier = Verifier(settings.webhook_secrets)
    with connect_lake(data_dir) as conn:
        lines, failures = verify_lines(conn, LandingZone(settings), verifier, chosen)
    for failure in failures:
        print(failure)
    nothing = "" if lines or failures else f": nothing landed{' in that hour' if hour else ''}"
    print(f"{lines} lines verified, {len(failures)} failures{nothing}")
    raise typer.Exit(bool(failures))


@app.command()
def reconcile(
    full: Annotated[
        bool, typer.Option("--full", help="All lines and Parquet files, not the last 7 days' alone.")
    ] = False,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Those since this UTC date, as 2026-05-21.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Compare landing zone, ledger, tables and Parquet files; name what differs, and exit 1 if anything does."""
    settings, day = read_settings(data_dir), None if since is None else parse_day(since)
    from pipelines.audit.reconcile import reconcile as compare
    from pipelines.landing.zone import LandingZone
    from pipelines.snapshots.bucket import SnapshotStore

    with connect_lake(data_dir) as conn:
        report = compare(conn, LandingZone(settings), SnapshotStore(settings), day, full=full)
    if as_json:
        differences = [each._asdict() for each in report.differences]
        print(json.dumps({"ok": not report.found, **vars(report), "differences": differences}))
    else:
        for each in [*report.differences, *(f"{name}: {number}" for name, number in report.told.items())]:
            print(each)
        compared = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in report.compared.items())
        print(f"{compared or 'nothing has landed, nothing'} compared: {report.found.total()} differences")
    raise typer.Exit(bool(report.found))


@app.command()
def trace(
    event_id: Annotated[UUID, typer.Argument(metavar="EVENT_ID", help="As the collector sent it, in either case.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Follow one event through landing zone, tables and Parquet; exit 1 where its chain breaks. Shows no content."""
    settings = read_settings(data_dir)
    from pipelines.audit.trace import trace as follow
    from pipelines.landing.authenticity import Verifier
    from pipelines.landing.zone import LandingZone
    from pipelines.snapshots.bucket import SnapshotStore

    verifier = Verifier(settings.webhook_secrets)
    with connect_lake(data_dir) as conn:
        found = follow(conn, LandingZone(settings), SnapshotStore(settings), verifier, event_id)
    if as_json:
        print(json.dumps(asdict(found), default=str))
    else:
        stations = {"landed": found.deliveries, "other body": found.other_bodies}
        stations |= {"row": [found.row or {}], "parquet": [found.parquet or {}]}
        for name, items in stations.items():
            for each in filter(None, items):
                print(f"{name:<10}", ", ".join(f"{key} {value}" for key, value in each.items()))
        print(*(f"breaks     {each}" for each in found.breaks) if found.breaks else ["whole"], sep="\n")
    raise typer.Exit(bool(found.breaks))
