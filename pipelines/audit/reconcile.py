"""Compares landing zone, ledger, tables and current Parquet files, and names every difference.

Belongs here: which comparisons there are, and what mends what they find. Not: whether landed lines are authentic
(verify). Database and ledger are seen at one moment. Memory is bounded: what is compared lies in temporary tables.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from psycopg import sql

from pipelines.db import binary_copy
from pipelines.db.binary_copy import row, text
from pipelines.db.connection import Connection
from pipelines.db.queries import filled, query
from pipelines.landing.format import LandingLineError, decode_line, split_lines
from pipelines.landing.hours import FIRST_DATE, hours_between, today
from pipelines.landing.zone import FetchedFile, LandingZone
from pipelines.loading.alarms import alarms
from pipelines.loading.pending import list_everything
from pipelines.redaction.erasures import ErasureList
from pipelines.snapshots.bucket import SnapshotStore, snapshot_key
from pipelines.snapshots.schemas import EVENTS, SCHEMAS

RECENT = timedelta(days=7)
NAMED = 20  # differences of one kind
ID_BYTES = 16
RESTORE = "restore the landing file; if it is lost, `wpp-lake rebuild --accept-loss --reason WHY`"
REBUILD = "`wpp-lake rebuild`"
# The comparisons in the database, sql/reconcile/<name>.sql, and what mends a difference.
COMPARISONS = {
    "files": RESTORE,
    "entries": REBUILD,
    "sums": REBUILD,
    "not_in_tables": REBUILD,
    "not_landed": RESTORE,
    "references": REBUILD,
}
IDS = {EVENTS: "event_id", "whatsapp_participant_jids": "jid"}  # the others': id


class Difference(NamedTuple):
    """One thing that isn't as it must be: its kind, what it is, what is wrong with it, and what mends that."""

    kind: str
    what: str
    fault: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}: {self.fault}. To mend it: {self.remedy}"


@dataclass
class Report:
    """The differences found. What is behind, open in quarantine, or expired and there again, is told and is none."""

    compared: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)  # differences of each kind
    differences: list[Difference] = field(default_factory=list)  # the first ones of each kind

    def add(self, kind: str, faults: Iterable[tuple[str, str]], remedy: str) -> None:
        """Count faults, and name the first ones."""
        for what, fault in faults:
            self.found[kind] += 1
            if self.found[kind] <= NAMED:
                self.differences.append(Difference(kind, what, fault, remedy))


class _CurrentFile(NamedTuple):
    table: str
    day: date
    revision: str
    current: bool


def reconcile(
    conn: Connection, zone: LandingZone, store: SnapshotStore, since: date | None = None, *, full: bool = False
) -> Report:
    """Compare everything; of lines and Parquet files those of the last 7 days, or since a UTC date, or `full`: all.

    Changes nothing but the alarms. `conn` is in autocommit mode, and of a role that may make temporary tables.
    """
    report = Report()
    list_everything(conn, zone)
    for alarm in alarms(conn):
        report.add(alarm.kind, [(alarm.key, f"noted at {alarm.noted_at.astimezone(UTC):%Y-%m-%d %H:%M}")], RESTORE)
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    day = FIRST_DATE if full else since
    begin = datetime.combine(day, time(), UTC) if day else now - RECENT
    kept_since = max(begin, ErasureList(zone).listed().expired_before or begin)
    with conn.transaction():
        conn.execute("set transaction isolation level repeatable read")
        conn.execute(query("reconcile/staging"))
        hours = [None] if full else hours_between(begin, now + timedelta(hours=1))
        _stage(conn, (fetched for hour in hours for page in zone.files(hour) for fetched in zone.fetch(page)), report)
        for kind, remedy in COMPARISONS.items():
            report.add(kind, conn.cursor().stream(query(f"reconcile/{kind}"), {"since": kept_since}), remedy)
        for file in _snapshot_files(conn, kept_since.date()):
            _compare_file(conn, store, file, report)
        report.told.update({f"{reason}, open in quarantine": n for reason, n in conn.execute(query("reconcile/open"))})
        report.told.update({what: n for what, n in conn.execute(query("reconcile/expired")) if n})
    return report


def _stage(conn: Connection, files: Iterable[FetchedFile], report: Report) -> None:
    """Copy what landing files hold into temporary tables: each file's number of lines and digest, each line's id."""
    described: list[bytes] = []

    def lines() -> Iterator[bytes]:
        for fetched in files:
            if fetched.fault:
                report.add("unreadable", [(fetched.file.key, fetched.fault)], RESTORE)
                continue
            key, found = text(fetched.file.key), split_lines(fetched.content)
            digest = text(hashlib.sha256(fetched.content).hexdigest())
            described.append(row(key, binary_copy.field(len(found).to_bytes(4)), digest))
            report.compared.update(landing_files=1, landed_lines=len(found))
            yield from (
                row(binary_copy.field(event_id), key, binary_copy.field(number.to_bytes(4)))
                for number, line in enumerate(found, 1)
                if (event_id := _event_id(line))
            )

    binary_copy.copy(conn, "landed_lines", ("event_id", "landing_key", "line_number"), lines())
    binary_copy.copy(conn, "landed_files", ("key", "lines", "sha256"), iter(described))
    conn.execute(query("reconcile/analyze"))


def _event_id(line: bytes) -> bytes | None:
    """Return the 16 bytes of a landed line's id, None for a line that can't have become a row."""
    try:
        event_id = bytes.fromhex(decode_line(line).event_id.replace("-", ""))
    except (LandingLineError, ValueError):
        return None
    return event_id if len(event_id) == ID_BYTES else None


def _snapshot_files(conn: Connection, since: date) -> list[_CurrentFile]:
    wanted = {"events": EVENTS, "tables": list(SCHEMAS), "since": since, "today": today()}
    return [_CurrentFile(*found) for found in conn.execute(query("reconcile/snapshot_files"), wanted)]


def _digest(address: str) -> str:
    """Return what stands for a person's address where reports and logs are read."""
    return f"the address with SHA-256 {hashlib.sha256(address.encode()).hexdigest()[:16]}..."


def _compare_file(conn: Connection, store: SnapshotStore, file: _CurrentFile, report: Report) -> None:
    """Compare the ids of a Parquet file with those of its table, unless something has changed since it was written."""
    key, remedy = snapshot_key(file.table, file.day), f"`wpp-lake snapshot --date {file.day}`"
    ids = IDS.get(file.table, "id")
    with store.open(file.table, file.day) as opened:
        if opened is None:
            report.add("parquet", [(key, "it was written, and isn't in the bucket")], remedy)
            return
        metadata, content = opened
        if not file.current or metadata.get("revision") != file.revision:
            report.told["Parquet files behind their tables"] += 1
            return
        values = (each for batch in content.iter_batches(columns=[ids]) for each in batch[0].to_pylist())
        binary_copy.copy(conn, "parquet_ids", ("id",), map(row, map(text, values)))
    of_date = "(received_at at time zone 'UTC')::date = %(day)s" if file.table == EVENTS else "true"
    compare = filled(
        "reconcile/parquet", id=sql.Identifier(ids), table=sql.Identifier(file.table), condition=sql.SQL(of_date)
    )
    named = _digest if ids == "jid" else str
    faults = conn.execute(compare, {"day": file.day}).fetchall()
    report.add("parquet", ((key, f"{named(each)} {fault}") for each, fault in faults), remedy)
    report.compared["parquet_files"] += 1
    conn.execute(query("reconcile/forget_ids"))
