"""The status of a lake: processes, how late events are, counts, snapshots, runs, room on the disks.

Belongs here: gathering it, and what of it is a fault. Not: showing it (screen).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from enum import Enum
from typing import TypedDict

import psycopg
from psycopg.rows import dict_row

from pipelines.cli.processes import UNREACHABLE, Process, ask_store, processes
from pipelines.db.connection import Connection, check_database, connect
from pipelines.db.queries import query
from pipelines.doctor.disk import Disk, days_left, disks, lowness
from pipelines.errors import first_line
from pipelines.figures import lake
from pipelines.figures.runs import FailedRun, Reconciled, history
from pipelines.figures.waiting import LONGEST_WAIT, Waiting, waiting
from pipelines.landing.format import split_lines
from pipelines.landing.zone import LandingZone
from pipelines.loading.alarms import Watch, alarms
from pipelines.loading.pending import last_listed, pending
from pipelines.parsing.extraction import RULES_VERSION
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.schemas import SCHEMAS

COUNTED = ("whatsapp_groups", "whatsapp_participants", "whatsapp_events")


class Listing(Enum):
    """The extent of listings: nothing, the landing zone's recent and noted hours, or all of both buckets."""

    NOTHING = 0
    RECENT = 1
    EVERYTHING = 2

    @classmethod
    def of(cls, *, check: bool, as_json: bool) -> "Listing":
        """Return what is listed for these options."""
        return cls.NOTHING if check else cls.EVERYTHING if as_json else cls.RECENT


class Snapshot(TypedDict):
    """A table's newest snapshot, as the database knows it."""

    date: date
    rows: int
    bytes: int
    written_at: datetime


class Lateness(TypedDict):
    """How late events are.

    `newest_at` is when the newest landing file landed that is known, `load_delay` after how many seconds the newest
    loaded one was loaded, `files` how many wait for that (None where nothing was listed), and `since` when.
    """

    newest_at: datetime | None
    is_loaded: bool
    load_delay: float | None
    files: int | None
    since: datetime | None
    listed_at: datetime | None


class Status(TypedDict):
    """The object that `wpp-lake status --json` prints, with times as ISO 8601 has them; docs/spec.md says all of it.

    `rules` has the version of the extraction rules: the `oldest` that tables were made by, and the `current` one;
    `expired` the dates before which `all` has expired, and `content`.
    """

    at: datetime
    processes: list[Process]
    lateness: Lateness | None
    counts: dict[str, int]
    rows: dict[str, int]
    quarantine: dict[str, dict[str, int]]
    snapshots: dict[str, str | None]
    snapshot_files: dict[str, Snapshot]
    missing_files: list[str]
    changed_files: list[str]
    load_verify: bool
    rules: dict[str, int]
    expired: dict[str, str | None]
    reconcile: Reconciled | None
    failed_runs: list[FailedRun]
    console: str | None
    disks: list[Disk]
    days_left: dict[str, float]
    errors: list[str]


def collect(settings: LakeSettings, *, listing: Listing = Listing.EVERYTHING) -> Status:
    """Gather the status; what can't be asked now is left out, and `errors` says why."""
    status = Status(
        at=datetime.now(UTC), processes=processes(settings), lateness=None, counts={}, rows={}, quarantine={},
        snapshots={}, snapshot_files={}, missing_files=[], changed_files=[], load_verify=settings.load_verify, rules={},
        expired={}, reconcile=None, failed_runs=[], console=settings.wpp_lake_dagster_url, disks=[], days_left={},
        errors=[],
    )  # fmt: skip
    with _noting(status, "disks"):
        status["disks"] = disks(settings)
    with _noting(status, "counts"):
        check_database(settings)
        ask_store(settings, settings.landing_bucket)
        _add_figures(status, settings, listing)
        status["days_left"] = {disk["path"]: days for disk, days in days_left(settings) if days is not None}
    with _noting(status, "snapshots"):
        ask_store(settings, settings.snapshot_bucket)
        if listing is Listing.EVERYTHING:
            store = SnapshotStore(settings)
            status["snapshots"] = {table: store.newest(table) for table in SCHEMAS}
    if settings.dagster_postgres_url.get_secret_value():
        with _noting(status, "dagster"):
            status["failed_runs"], status["reconcile"] = history(settings)
    return status


def is_of_older_rules(status: Status) -> bool:
    """Tell whether the tables hold rows that older rules made, which a rebuild makes anew."""
    return bool(status["rules"]) and status["rules"]["oldest"] < status["rules"]["current"]


def could_report(status: Status) -> bool:
    """Tell whether anything could be asked: a part that answered has no error."""
    failed = {error.partition(":")[0] for error in status["errors"]}
    return bool(status["processes"] or status["counts"]) or "snapshots" not in failed


def faults(status: Status) -> list[str]:
    """Return what is wrong, the gravest first."""
    return [
        *(f"{process['name']} isn't healthy" for process in status["processes"] if not process["healthy"]),
        *status["errors"],
        *(lowness(disk) for disk in status["disks"] if disk["low"]),
        *(f"landing file {key} is missing since it was loaded" for key in status["missing_files"]),
        *(f"landing file {key} was changed after it was loaded" for key in status["changed_files"]),
        *_late(status),
        *_failed(status),
    ]


def notes(status: Status) -> list[str]:
    """Return what is worth knowing, and no fault."""
    old = "the tables are of older rules: `wpp-lake rebuild` makes them anew"
    unverified = "LOAD_VERIFY=false: whatever is landed is loaded, signed or not"
    expired = {"everything": status["expired"].get("all"), "content": status["expired"].get("content")}
    gone = [f"{what} received before {before} has expired" for what, before in expired.items() if before]
    return [old] * is_of_older_rules(status) + [unverified] * (not status["load_verify"]) + gone


def _late(status: Status) -> Iterator[str]:
    since = status["lateness"] and status["lateness"]["since"]
    if since and since < status["at"] - LONGEST_WAIT:
        yield f"landing files have been waiting for a load since {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _failed(status: Status) -> Iterator[str]:
    compared = status["reconcile"]
    if compared and (names := [check["name"] for check in compared["failed"] if check["is_error"]]):
        yield f"checks of the last reconcile failed: {', '.join(names)} (docs/runbook.md)"
    for job in dict.fromkeys(run["job"] for run in status["failed_runs"] if _goes_on(run)):
        yield f"the last run of {job} failed"


def _goes_on(run: FailedRun) -> bool:
    """Tell whether a failure is that of a job of this project, and not over."""
    return not run["is_over"] and not run["job"].startswith("__")


@contextmanager
def _noting(status: Status, part: str) -> Iterator[None]:
    """Note why a part can't be asked now."""
    try:
        yield
    except UNREACHABLE as error:
        status["errors"].append(f"{part}: {first_line(error)}")


def _add_figures(status: Status, settings: LakeSettings, listing: Listing) -> None:
    """Add what the database says, and what waits in the landing zone."""
    with connect(settings) as conn:
        status["rules"] = _rules(conn)
        status["expired"] = conn.cursor(row_factory=dict_row).execute(query("expired")).fetchone() or {}
        found, status["rows"] = lake.figures(conn), lake.rows(conn)
        for state, reason, entries in found.quarantine:
            status["quarantine"].setdefault(state, {})[reason] = entries
        status["snapshot_files"] = {
            file.table: Snapshot(date=file.date, rows=file.rows, bytes=file.bytes, written_at=file.written_at)
            for file in found.snapshots
        }
        counts, waits = _counts(settings, conn, listing)
        status["counts"] = counts | {table: status["rows"][table] for table in COUNTED}
        status["lateness"] = _lateness(found, waits, last_listed(conn))
        for alarm in alarms(conn):
            (status["missing_files"] if alarm.kind == "missing" else status["changed_files"]).append(alarm.key)


def _rules(conn: Connection) -> dict[str, int]:
    """Return the version of the rules that the tables were made by, the oldest of them, and the current one."""
    (oldest,) = conn.execute(query("rules")).fetchone() or (None,)
    return {"oldest": oldest or RULES_VERSION, "current": RULES_VERSION}


def _lateness(found: lake.Figures, waits: Waiting, listed_at: datetime | None) -> Lateness:
    loaded = found.newest_file
    newest = max(filter(None, (waits.newest, loaded and loaded.landed_at)), default=None)
    return Lateness(
        newest_at=newest,
        is_loaded=loaded is not None and loaded.landed_at == newest,
        load_delay=loaded.delay.total_seconds() if loaded and loaded.delay is not None else None,
        files=waits.files,
        since=waits.since,
        listed_at=listed_at,
    )


def _counts(settings: LakeSettings, conn: Connection, listing: Listing) -> tuple[dict[str, int], Waiting]:
    """Count what is landed and loaded, and what waits; only a listing of everything can tell all that is landed."""
    if listing is Listing.EVERYTHING:
        return _whole_counts(settings)
    counts: dict[str, int] = conn.cursor(row_factory=dict_row).execute(query("status")).fetchone() or {}
    if listing is Listing.NOTHING:
        return counts, Waiting(None, lake.noted_since(conn), None)
    return counts, waiting(conn, LandingZone(settings, patient=False), datetime.now(UTC))


def _whole_counts(settings: LakeSettings) -> tuple[dict[str, int], Waiting]:
    """Count with a listing of the whole landing zone, whose files that the ledger doesn't know are read for it."""
    zone = LandingZone(settings)
    with connect(settings) as other, psycopg.connect(settings.conninfo) as conn:
        # One moment for the counts and for what the ledger knows, so that each listed file counts once.
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        counts: dict[str, int] = conn.cursor(row_factory=dict_row).execute(query("status")).fetchone() or {}
        files = list(pending(conn, zone, watch=Watch(other, zone)))
    counts["landed_files"] += len(files)
    counts["landed_events"] += sum(len(split_lines(each.content)) for each in zone.fetch(files))
    return counts, Waiting.of(files)
