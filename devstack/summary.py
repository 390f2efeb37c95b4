"""The demo's summary: what became of the sample, counted, compared, and shown in at most 80 columns.

Belongs here: the summary, whether it adds up, where to look next. Not: sending and loading (demo.py).
"""

import os
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import psycopg

from devstack.errors import StackError
from devstack.lifecycle import Say
from devstack.stack import LAKE_DATABASE, Plan, Stack
from pipelines.cli.status import Status, collect
from pipelines.db.queries import query
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.schemas import EVENTS

STATE_TABLES = ("whatsapp_groups", "whatsapp_participants")
Check = tuple[str, int, int]  # what was counted, how many there are, how many there should be


def summarise(stack: Stack, ids: set[str], answers: Counter[str], say: Say) -> bool:
    """Say what became of the sample, and whether answers, tables and snapshots have the same counts."""
    with psycopg.connect(stack.postgres.url(LAKE_DATABASE)) as connection:
        by_type = connection.execute(query("demo_events"), {"event_ids": list(ids)}).fetchall()
    loaded = sum(count for _, count, _ in by_type)
    days = {day for _, _, days in by_type for day in days}
    status = _status(stack)
    counts = status["counts"]
    listed = ", ".join(f"{count:,} {answer}" for answer, count in sorted(answers.items()))
    _row(say, "sent", f"{answers.total():,} requests: {listed}")
    _row(say, "different events", f"{len(ids):,}")
    _row(say, "landing zone", f"{counts['landed_files']:,} files, {counts['landed_events']:,} lines")
    _row(say, EVENTS, f"{loaded:,} of these events")
    for name, count, _ in by_type:
        _row(say, f"  {name}", f"{count:,}")
    for name in (*STATE_TABLES, "quarantined"):
        _row(say, name, f"{counts[name]:,}")
    checks = [
        ("requests acknowledged", answers["accepted"] + answers["duplicate"], answers.total()),
        (f"of its events in {EVENTS}", loaded, len(ids)),
        *_snapshots(ids, days, status, say),
    ]
    wrong = [f"WRONG: {found} {what}, not {expected}" for what, found, expected in checks if found != expected]
    for line in wrong or ["The counts add up."]:
        say(line)
    return not wrong


def next_steps(plan: Plan, *, is_over: bool) -> Iterator[str]:
    """Yield where to look next; of a stack that stops now, how to start it again first."""
    folder = _shown(plan.data_dir)
    yield ""
    yield "Look around, in a shell of its own:"
    if not shutil.which("wpp-lake"):
        yield f"  . {_shown(Path(sys.prefix, 'bin', 'activate'))}"
    if is_over:
        yield f"  wpp-lake up --data-dir {folder}    # until Ctrl-C; in another shell:"
    yield f'  eval "$(wpp-lake env --data-dir {folder})"'
    yield "  wpp-lake status"
    yield '  wpp-lake sql "select kind, count(*) from whatsapp_messages group by all"'
    yield "  wpp-lake notebooks --out pages    # five, as pages for a browser"
    if plan.dagster and not is_over:
        yield f"The console: {plan.dagster_url}"


def _row(say: Say, name: str, value: str) -> None:
    say(f"{name:<26} {value}")


def _status(stack: Stack) -> Status:
    """Return what `wpp-lake status` says. Raises StackError if that is not all."""
    os.environ.update(stack.environment)  # as a person does: eval "$(wpp-lake env)"
    status = collect(LakeSettings.from_environment())
    if status["errors"]:
        raise StackError("; ".join(status["errors"]))
    return status


def _snapshots(ids: set[str], days: set[date], status: Status, say: Say) -> Iterator[Check]:
    """Say how many rows the snapshots have, and yield what of it the tables tell too."""
    of_sample = [ids.intersection(_column(EVENTS, day, "event_id", say)) for day in sorted(days)]
    yield "of its events in snapshots", sum(map(len, of_sample)), len(ids)
    for table in STATE_TABLES:
        newest = date.fromisoformat(str(status["snapshots"][table]))
        yield f"rows in the snapshot of {table}", len(_column(table, newest, "id", say)), status["counts"][table]


def _column(table: str, day: date, name: str, say: Say) -> list[object]:
    """Return a column of a snapshot, and say how long it is."""
    values: list[object] = (
        SnapshotStore(LakeSettings.from_environment()).read(table, day, [name]).column(name).to_pylist()
    )
    _row(say, f"snapshot of {day}", f"{table}: {len(values):,} rows")
    return values


def _shown(path: Path) -> str:
    """Return a path as a shell takes it, from here where it is below."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
