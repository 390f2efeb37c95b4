"""Looks for content that has expired in every place where the lake keeps any: what isn't its own rest has some left.

Belongs here: the places, and how each is read to its end. Not: what is left of a body (redaction.facts), the record of
what was found (proof).
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Any

import orjson
import psycopg

from pipelines import object_store
from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.authenticity import Verifier
from pipelines.landing.format import split_lines
from pipelines.landing.zone import LandingZone, hour_of
from pipelines.loading.batches import HEAD_BYTES, WHOLE_FILE
from pipelines.loading.redelivered import knowing
from pipelines.privacy.parquet import GROUPS, stripped_group
from pipelines.privacy.search import BATCH_ROWS, Place
from pipelines.redaction.covering import Erasures
from pipelines.redaction.erasures import Erasure, ErasureList
from pipelines.redaction.facts import of_payload
from pipelines.redaction.lines import Eraser
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore, snapshot_key
from pipelines.snapshots.schemas import EVENTS
from receiver.landing import PREFIX, hour_prefix


class ContentSearch:
    """A search through the whole lake for content that has expired by an entry of the list."""

    def __init__(self, settings: LakeSettings, conn: Connection, erasure: Erasure) -> None:
        self._settings, self._conn, self._before = settings, conn, erasure.latest()
        self._zone = LandingZone(settings)
        verifier = Verifier(settings.webhook_secrets, settings.erasure_key_bytes)
        key = ErasureList(self._zone).key()
        self._eraser = Eraser(Erasures(key, (), {}, content=erasure), verifier)

    def places(self) -> Iterator[Place]:
        """Yield every place, searched to its end."""
        yield self._landing_zone()
        with psycopg.connect(self._settings.conninfo) as conn:
            yield self._events(conn)
            yield self._groups(conn)
            yield self._quarantine(conn)
        yield self._parquet(EVENTS)
        yield self._parquet(GROUPS)
        yield self._versions()

    def _landing_zone(self) -> Place:
        place = Place("landing zone")
        for page in self._zone.files():
            for fetched in self._zone.fetch(page):
                place.objects += 1
                place.items += len(split_lines(fetched.content))
                key, hour = fetched.file.key, fetched.file.hour
                if fetched.fault:
                    place.found(f"{key}: can't be read: {fetched.fault}", covered=hour < self._before)
                for change in knowing(self._conn, self._eraser, fetched.content, hour).changes(fetched.content, hour):
                    place.found(f"{key}:{change.number}", covered=True)
        return place

    def _events(self, conn: Connection) -> Place:
        place = Place(f"table {EVENTS}", objects=1)
        with closing(conn.cursor(name="events")) as cursor:
            cursor.itersize = BATCH_ROWS
            for event_id, kind, payload in cursor.execute(query("content/received_before"), {"before": self._before}):
                place.items += 1
                if of_payload(kind, payload) != payload:
                    place.found(f"{EVENTS} event_id {event_id}", covered=True)
        return place

    def _groups(self, conn: Connection) -> Place:
        place = Place(f"table {GROUPS}", objects=1)
        for group_id, payload in conn.execute(query("content/described_before"), {"before": self._before}):
            place.items += 1
            if of_payload("groups.metadata", payload) != payload:
                place.found(f"{GROUPS} id {group_id}", covered=True)
        return place

    def _quarantine(self, conn: Connection) -> Place:
        place = Place("table quarantined_events", objects=1)
        below = {"below": hour_prefix(self._before)}
        for entry_id, key, number, raw in conn.execute(query("content/aside_before"), below):
            place.items += 1
            if self._shows_content(key, number, bytes(raw)):
                place.found(f"quarantined_events id {entry_id}", covered=True)
        return place

    def _shows_content(self, key: str, number: int, raw: bytes) -> bool:
        lines = split_lines(raw)
        if number == WHOLE_FILE and len(raw) == HEAD_BYTES:
            lines = lines[:-1]  # which was cut off
        hour = hour_of(key)
        return hour is not None and any(self._eraser.line(line, hour) is not line for line in lines)

    def _parquet(self, table: str) -> Place:
        place, store = Place(f"Parquet files of {table}"), SnapshotStore(self._settings)
        for day in map(date.fromisoformat, store.dates(table)):
            if datetime(day.year, day.month, day.day, tzinfo=UTC) >= self._before:
                continue
            with store.open(table, day) as opened:
                if opened:
                    place.objects += 1
                    for batch in opened[1].iter_batches(BATCH_ROWS):
                        for row in batch.to_pylist():
                            place.items += 1
                            if _shows(table, row):
                                place.found(snapshot_key(table, day), covered=True)
        return place

    def _versions(self) -> Place:
        place = Place("older versions of landing files")
        client, bucket = object_store.client(self._settings), self._settings.landing_bucket
        if client.get_bucket_versioning(Bucket=bucket).get("Status"):
            for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=PREFIX):
                for each in page.get("Versions", ()):
                    place.objects += 1
                    hour = hour_of(each["Key"])
                    if hour and hour < self._before and not each["IsLatest"]:
                        place.found(f"{each['Key']}, version {each['VersionId']}", covered=True)
        return place


def _shows(table: str, row: Mapping[str, Any]) -> bool:
    if table == GROUPS:
        return stripped_group(dict(row)) != row
    payload = orjson.loads(row["payload"])
    return bool(of_payload(row["type"], payload) != payload)
