"""The demo: signed requests of a sample through the whole stack, and what became of them.

Belongs here: sending the sample, running `load` and `snapshot` on it, saying and checking what came out. Not: starting
the stack (lifecycle.py), sending, loading and counting themselves (pipelines/), inventing weeks (community/).
"""

import asyncio
import json
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg

from devstack.community.requests import signed
from devstack.community.weeks import BRAZIL, events
from devstack.errors import StackError
from devstack.lifecycle import Say, until_stopped, up
from devstack.stack import LAKE_DATABASE, Plan, Stack
from devstack.supervisor import spawn
from pipelines.cli.replay import Request, replay_with_progress, requests
from pipelines.cli.status import Status, collect
from pipelines.db.queries import query
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore, snapshot_key
from pipelines.snapshots.schemas import EVENTS

SAMPLE = Path(__file__).with_name("sample") / "requests.jsonl"
SAMPLE_SECRET = "test-secret"  # noqa: S105  public: it signed the sample, and only the demo's receiver takes it
PREVIOUS_SECRETS = "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS"
STATE_TABLES = ("whatsapp_groups", "whatsapp_participants")
Check = tuple[str, int, int]  # what was counted, how many there are, how many there should be


@dataclass(frozen=True)
class Sample:
    """Requests to send, and their name."""

    name: str
    requests: Sequence[Request]

    @property
    def ids(self) -> set[str]:
        """The ids of its events."""
        return {request.headers["X-Event-Id"].lower() for request in self.requests}


def recorded() -> Sample:
    """Return the 300 requests that the repository has."""
    with SAMPLE.open("rb") as file:
        return Sample(SAMPLE.name, list(requests(file)))


def invented(weeks: int) -> Sample:
    """Return the requests of an invented community's weeks, which end with the last Sunday in Brazil."""
    today = datetime.now(BRAZIL).date()
    last = today - timedelta(days=today.isoweekday())
    return Sample(f"{weeks} weeks until {last}", list(signed(events(weeks, last), SAMPLE_SECRET)))


async def run(plan: Plan, say: Say, *, once: bool, weeks: int | None = None) -> int:
    """Run the stack, and show what becomes of the sample, whose signatures it takes beside those of its own secrets.

    Return the exit code: with `once` 0 if the counts add up, else 1. Raises StackError if a step fails.
    """
    previous = json.loads(os.environ.get(PREVIOUS_SECRETS) or "[]")
    os.environ[PREVIOUS_SECRETS] = json.dumps([*previous, SAMPLE_SECRET])
    sample = invented(weeks) if weeks else recorded()
    return await up(plan, say, partial(_show, sample=sample, say=say, once=once))


async def _show(stack: Stack, sample: Sample, say: Say, *, once: bool) -> int:
    say(f"sending {sample.name}")
    url = stack.plan.receiver_url
    answers = await asyncio.to_thread(replay_with_progress, sample.name, sample.requests, url)
    for verb in ("load", "snapshot"):
        say(f"wpp-lake {verb}")
        await _run_verb(stack, verb)
    adds_up = await asyncio.to_thread(_summarise, stack, sample.ids, answers, say)
    if stack.plan.dagster:
        say(f"Dagster: {stack.plan.dagster_url}")
    if once:
        return 0 if adds_up else 1
    say("Everything stays up until Ctrl-C.")
    return await until_stopped(stack)


async def _run_verb(stack: Stack, verb: str) -> None:
    """Run a verb of `wpp-lake` on the stack, as a person would in a shell. Raises StackError if it fails."""
    child = stack.python(f"demo-{verb}", "pipelines.cli", verb)
    process = await spawn(child)
    try:
        code = await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
    if code != 0:
        raise StackError(f"wpp-lake {verb} failed with exit code {code} (its log: {child.log})")


def _summarise(stack: Stack, ids: set[str], answers: Counter[str], say: Say) -> bool:
    """Say what became of the sample, and whether answers, tables and snapshots have the same counts."""
    with psycopg.connect(stack.postgres.url(LAKE_DATABASE)) as connection:
        by_type = connection.execute(query("demo_events"), {"event_ids": list(ids)}).fetchall()
    loaded = sum(count for _, count, _ in by_type)
    days = {day for _, _, days in by_type for day in days}
    status = _status(stack)
    listed = ", ".join(f"{count} {answer}" for answer, count in sorted(answers.items()))
    say(f"{'sent':<26} {answers.total()} ({listed}), {len(ids)} different events")
    say(f"{'in ' + EVENTS:<26} {loaded} of them")
    for name, count, _ in by_type:
        say(f"  {name:<24} {count}")
    for name in (*STATE_TABLES, "quarantined"):
        say(f"{name:<26} {status['counts'][name]}")
    checks = [
        ("requests acknowledged", answers["accepted"] + answers["duplicate"], answers.total()),
        (f"of its events in {EVENTS}", loaded, len(ids)),
        *_snapshots(ids, days, status, say),
    ]
    wrong = [f"WRONG: {found} {what}, not {expected}" for what, found, expected in checks if found != expected]
    for line in wrong or ["The counts add up."]:
        say(line)
    if days:
        say(f'Read it, while the stack is up:\neval "$(wpp-lake env --data-dir {_shown(stack.plan.data_dir)})"')
        say(f"python -c '{_notebook_line(max(days))}'")
    return not wrong


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
    store = SnapshotStore(LakeSettings.from_environment())
    values: list[object] = store.read(table, day, [name]).column(name).to_pylist()
    say(f"s3://{store.bucket}/{snapshot_key(table, day)}: {len(values)} rows")
    return values


def _shown(data_dir: Path) -> str:
    """Return a folder as a shell takes it, from here where it is below."""
    here = Path.cwd()
    return shlex.quote(str(data_dir.relative_to(here) if data_dir.is_relative_to(here) else data_dir))


def _notebook_line(day: date) -> str:
    """Return one line of Python that reads a date's events, in a shell that has the stack's environment."""
    return f'from pipelines import notebook; print(notebook.read("{EVENTS}", "{day}"))'
