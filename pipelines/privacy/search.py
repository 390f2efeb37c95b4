"""Looks for subjects in every place where the lake keeps anything, by the digest of each number that stands there.

Belongs here: the places, and how each is read to its end. Not: what is made of what is found (plan, proof). Shows where
something was found, and never what.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import orjson
import psycopg
from psycopg import sql

from pipelines import object_store
from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.format import LandingLineError, decode_line, split_lines, storable
from pipelines.landing.zone import LandingZone
from pipelines.redaction.erasures import Touched
from pipelines.redaction.search import may_hold
from pipelines.redaction.subjects import Subjects
from pipelines.redaction.walker import numbers_left, redact
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore, snapshot_key
from pipelines.snapshots.schemas import EVENTS, FIELDS, SCHEMAS

BATCH_ROWS = 1 << 12
NAMED = 20  # finds of one place
# How bytes are read, by whether they are a digest: as text one would be looked through as what hides numbers.
_BYTES = {False: "encode({}, 'escape')", True: "encode({}, 'hex')"}
ROW_TIMES = ("received_at", "first_seen_at", "first_seen")  # when a row's content came, by the first that it has


@dataclass(frozen=True)
class Coverage:
    """The finds that must be gone: of what came before `until`, or of an event that was touched; None: all."""

    until: datetime | None
    event_ids: frozenset[str] = frozenset()

    def covers(self, event_id: str | None, moment: datetime | None) -> bool:
        """Tell whether what came at a moment, None where nobody knows, must be gone."""
        touched = event_id is not None and event_id.lower() in self.event_ids
        return self.until is None or moment is None or touched or moment < self.until


@dataclass
class Place:
    """A place that was read, and the finds in it: in what must be gone, and in what came after the request."""

    name: str
    objects: int = 0
    items: int = 0
    matches: int = 0
    after_request: int = 0
    where: list[str] = field(default_factory=list)  # the first matches

    def found(self, what: str, *, covered: bool) -> None:
        """Count a find, and name the first ones that must be gone."""
        if covered:
            self.matches += 1
            if len(self.where) < NAMED:
                self.where.append(what)
        else:
            self.after_request += 1


class Search:
    """A search for subjects through the whole lake."""

    def __init__(self, settings: LakeSettings, conn: Connection, subjects: Subjects, coverage: Coverage) -> None:
        self._settings, self._conn, self._subjects, self._coverage = settings, conn, subjects, coverage

    def places(self, touched: Iterable[Touched] = ()) -> Iterator[Place]:
        """Yield every place, searched to its end. `touched` says of which objects no older version may be left."""
        yield self._landing_zone()
        yield self._database("tables", self._settings.conninfo)
        yield from self._parquet()
        if dagster := self._settings.dagster_postgres_url.get_secret_value():
            yield self._database("Dagster's storage", dagster.replace("postgresql+psycopg2://", "postgresql://"))
        yield self._versions({each.key for each in touched})

    def _landing_zone(self) -> Place:
        zone, place = LandingZone(self._settings), Place("landing zone")
        for page in zone.files():
            for fetched in zone.fetch(page):
                place.objects += 1
                if fetched.fault:
                    place.found(f"{fetched.file.key}: can't be read: {fetched.fault}", covered=True)
                for number, line in enumerate(split_lines(fetched.content), 1):
                    place.items += 1
                    if self._holds(line.decode(errors="replace")) or self._line_shows(line):
                        event_id, moment = _of_line(line, fetched.file.hour)
                        covered = self._coverage.covers(event_id, moment)
                        place.found(f"{fetched.file.key}:{number}", covered=covered)
        return place

    def _line_shows(self, line: bytes) -> bool:
        try:
            event = decode_line(line)
            return self._shows(event.event_id, storable(event.signed))
        except (ValueError, RecursionError):
            return False

    def _database(self, name: str, conninfo: str) -> Place:
        place = Place(name)
        with psycopg.connect(conninfo) as conn:
            tables: dict[str, list[sql.Composable]] = {}
            for table, column, is_bytes in conn.execute(query("erasure/tables")):
                shown = sql.SQL(_BYTES[column.endswith("sha256")] if is_bytes else "{}").format(sql.Identifier(column))
                tables.setdefault(table, []).append(sql.SQL("{}, {}").format(sql.Literal(column), shown))
            for table, columns in tables.items():
                place.objects += 1
                rows = sql.SQL("select jsonb_build_object({})::text from {}").format(
                    sql.SQL(", ").join(columns), sql.Identifier(table)
                )
                with closing(conn.cursor(name="search")) as cursor:
                    cursor.itersize = BATCH_ROWS
                    for (row,) in cursor.execute(rows):
                        self._row(place, table, row)
        return place

    def _row(self, place: Place, table: str, row: str) -> None:
        place.items += 1
        if self._holds(row) or (self._subjects.by_name and self._shows_row(table, json.loads(row))):
            shown = json.loads(row)
            place.found(_row_name(table, shown), covered=self._coverage.covers(*self._of_row(shown)))

    def _of_row(self, row: Mapping[str, Any]) -> tuple[str | None, datetime | None]:
        """Return a row's event and when its content came."""
        event_id = row.get("event_id")
        for name in ROW_TIMES:
            if moment := row.get(name):
                return event_id, datetime.fromisoformat(moment)
        if event_id:
            found = self._conn.execute(query("erasure/received"), {"event_id": event_id}).fetchone()
            return event_id, found[0] if found else None
        return event_id, None

    def _parquet(self) -> Iterator[Place]:
        store = SnapshotStore(self._settings)
        for table in (*SCHEMAS, FIELDS):
            place = Place(f"Parquet files of {table}")
            for day in map(date.fromisoformat, store.dates(table)):
                with store.open(table, day) as opened:
                    if opened is None:
                        continue
                    place.objects += 1
                    metadata, content = opened
                    written = datetime.fromisoformat(metadata["state_at"]) if "state_at" in metadata else None
                    for batch in content.iter_batches(BATCH_ROWS):
                        for row in batch.to_pylist():
                            self._parquet_row(place, snapshot_key(table, day), row, written)
            yield place

    def _parquet_row(self, place: Place, key: str, row: Mapping[str, Any], written: datetime | None) -> None:
        place.items += 1
        texts = [value for value in row.values() if isinstance(value, str)]
        may = self._subjects.by_name or may_hold(self._subjects, "\n".join(texts))
        if may and (any(map(self._holds, texts)) or self._shows_row(key.partition("/")[0], row)):
            moment = next((row[name] for name in ROW_TIMES if row.get(name)), None)
            state_is_older = written is not None and self._coverage.until is not None and written < self._coverage.until
            covered = state_is_older or self._coverage.covers(row.get("event_id"), moment)
            place.found(key, covered=covered)

    def _versions(self, keys: set[str]) -> Place:
        place = Place("older versions of landing files")
        client, bucket = object_store.client(self._settings), self._settings.landing_bucket
        if keys and client.get_bucket_versioning(Bucket=bucket).get("Status"):
            for key in sorted(keys):
                for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
                    for each in page.get("Versions", ()):
                        place.objects += 1
                        if each["Key"] == key and not each["IsLatest"]:
                            place.found(f"{key}, version {each['VersionId']}", covered=True)
        return place

    def _holds(self, text: str) -> bool:
        """Tell whether a text, JSON or not, holds a subject's number, or a group that is one."""
        if not self._subjects.by_name and not may_hold(self._subjects, text):
            return False
        try:
            return next(numbers_left(self._subjects, text.encode()), None) is not None
        except (ValueError, RecursionError):
            return next(self._subjects.found(text), None) is not None

    def _shows(self, event_id: str, body: bytes) -> bool:
        """Tell whether a body shows a subject that is no number: an event's content, or a copy of its message."""
        return self._subjects.by_name and redact(self._subjects, event_id, body) is not body

    def _shows_row(self, table: str, row: Mapping[str, Any]) -> bool:
        if not self._subjects.by_name or table != EVENTS:
            return False
        payload = row["payload"]
        text = payload.encode() if isinstance(payload, str) else orjson.dumps(payload)
        kind = orjson.dumps(row["type"])
        return self._shows(row["event_id"], b'{"type":' + kind + b',"payload":' + text + b"}")


def _of_line(line: bytes, hour: datetime) -> tuple[str | None, datetime]:
    try:
        event = decode_line(line)
    except LandingLineError:
        return None, hour
    return event.event_id, event.received_at.astimezone(UTC)


def _row_name(table: str, row: Mapping[str, Any]) -> str:
    named = next((f" {name} {row[name]}" for name in ("event_id", "id", "landing_key") if row.get(name)), "")
    return f"{table}{named}"
