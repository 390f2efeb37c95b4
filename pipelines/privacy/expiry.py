"""An expiry from its entry in the list of erasures to the last Parquet file: killed at any step, the next one goes on.

Belongs here: the order of the steps, landing files and snapshots. Not: rows (expired_rows), who is to be forgotten
whatever the date (apply).
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

import uuid_utils

from pipelines import object_store
from pipelines.db.connection import Connection
from pipelines.db.migrations import check_schema
from pipelines.db.queries import query
from pipelines.errors import WppLakeError
from pipelines.landing.hours import today
from pipelines.landing.zone import LandingZone, hour_of
from pipelines.loading.announced import announce
from pipelines.privacy.done import Done
from pipelines.privacy.expired_rows import expire_rows
from pipelines.privacy.removal import has_any, remove, remove_older
from pipelines.redaction.erasures import PREFIX, Erasure, ErasureList, Keeps, expiry_of, new_id
from pipelines.redaction.lines import read_eraser
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore, snapshot_key
from pipelines.snapshots.files import writing
from pipelines.snapshots.payload_fields import write_catalogue
from pipelines.snapshots.schemas import FIELDS, SCHEMAS
from pipelines.snapshots.write import write_snapshots
from receiver.landing import PREFIX as LANDING_PREFIX
from receiver.landing import key_id

TICK = timedelta(microseconds=1)
TABLES = (*SCHEMAS, FIELDS)


class ExpiryDateError(WppLakeError, ValueError):
    """The date isn't there yet."""


class Order(NamedTuple):
    """A UTC date before which all expires that was received, or all but what it `keeps`; on which ticket, by whom."""

    before: date
    reference: str
    by: str
    keeps: Keeps | None = None


def expire(settings: LakeSettings, conn: Connection, before: date, reference: str, by: str) -> Done:
    """Remove what was received before a UTC date from every place, or go on with what was begun.

    `conn` is in autocommit mode; loads go on meanwhile, by the new list. Where an expiry in the list includes the date,
    that one is carried out again. Raises ExpiryDateError, NoSecretError, ErasureKeyError, SchemaError.
    """
    zone = LandingZone(settings)
    return _carry_out(settings, conn, zone, begin(conn, zone, Order(before, reference, by)))


def begin(conn: Connection, zone: LandingZone, order: Order) -> Erasure:
    """Return the entry by which an order is carried out; it is put into the list unless one there includes it.

    The session holds the lock of erasures from here on.
    """
    if order.before > today():
        raise ExpiryDateError(f"{order.before} is after today, {today()} in UTC: what is to come can't expire")
    until = datetime.combine(order.before, time(), UTC)
    check_schema(conn)
    conn.execute(query("erasure/lock"))
    eraser, listed = read_eraser(zone, zone.verifier()), ErasureList(zone)
    known = expiry_of(listed.entries(), order.keeps)
    if known and known.latest() >= until:
        return known
    at = max(datetime.now(UTC), (eraser.erasures.revision or datetime.min.replace(tzinfo=UTC)) + TICK)
    name = key_id(listed.key()) if order.keeps else ""
    erasure = Erasure(new_id(), "before", (), until, order.reference, order.by, at, name, keeps=order.keeps)
    listed.put(erasure)
    return erasure


def supersede(listed: ErasureList, erasure: Erasure) -> None:
    """Put the expiries out of the list that this one, which was carried out, includes."""
    for each in listed.entries():
        if each.expires(erasure.keeps) and each.id != erasure.id and each.latest() <= erasure.latest():
            listed.supersede(each)


def retention_date(days: int) -> date:
    """Return the UTC date before which everything expires that is kept for so many days."""
    return today() - timedelta(days=days)


def sweep(settings: LakeSettings, conn: Connection) -> Done:
    """Remove what has expired and is there again, or still: restored from a backup, left by a kill.

    The session holds the lock of erasures. Counts are named `expired_...`, and only those of what there was. Where
    there is nothing, no right is needed but to read.
    """
    zone = LandingZone(settings)
    erasure = expiry_of(ErasureList(zone).entries())
    done = _carry_out(settings, conn, zone, erasure, is_sweep=True) if erasure else Done()
    done.counts = Counter({f"expired_{name}": count for name, count in done.counts.items() if count})
    return done


def _carry_out(
    settings: LakeSettings, conn: Connection, zone: LandingZone, erasure: Erasure, *, is_sweep: bool = False
) -> Done:
    """Take rows, landing files and snapshots out, in this order, in which nothing differs in between.

    A sweep removes objects where a reader finds any; older versions of others are looked for by an expiry alone.
    """
    listed, done, until = ErasureList(zone), Done(erasure), erasure.latest()
    eraser = read_eraser(zone, zone.verifier())
    announce(conn, eraser.erasures.listed)
    with done.step("tables"):
        expired = expire_rows(conn, zone, eraser, until)
        done.counts.update(expired.counts)
    with done.step("landing zone"):
        done.counts["files"] = remove_files(settings, until, only_found=is_sweep)
    with done.step("snapshots"):
        done.counts["snapshots"] = remove_snapshots(settings, conn, until.date(), expired.gone, only_found=is_sweep)
        if expired.counts.total():
            written = [*_written(settings, expired.changed | {today()})]
            remove_older(object_store.client(settings), settings.snapshot_bucket, written)
    if done.counts.total():
        _record(listed, done, erasure)
    supersede(listed, erasure)
    return done


def _record(listed: ErasureList, done: Done, erasure: Erasure) -> None:
    """Put beside the list how much was removed."""
    told = {"removed": done.counts, "ended_at": datetime.now(UTC).isoformat()}
    listed.put_object(f"{PREFIX}{erasure.id}/removed-{uuid_utils.uuid7()}.json", json.dumps(told).encode())


def remove_files(settings: LakeSettings, until: datetime, *, only_found: bool = False) -> int:
    """Remove the landing files of hours before a moment; return how many."""
    client, place = object_store.client(settings), (settings.landing_bucket, LANDING_PREFIX)

    def is_gone(key: str) -> bool:
        hour = hour_of(key)
        return hour is not None and hour < until

    return 0 if only_found and not has_any(client, *place, is_gone) else remove(client, *place, is_gone)


def remove_snapshots(
    settings: LakeSettings, conn: Connection, until: date, others: Iterable[date] = (), *, only_found: bool = False
) -> int:
    """Remove the Parquet files of dates before one, after whoever writes one of them; return how many.

    `others` are dates of which the bucket has none, perhaps, because one is being written.
    """
    store = SnapshotStore(settings)
    dates = {date.fromisoformat(day) for table in TABLES for day in store.dates(table)}
    for day in sorted(dates.union(others)):
        if day < until:
            with writing(settings, day):
                pass  # who has begun is waited for, who begins now finds no rows
    conn.execute(query("expiry/snapshots"), {"until": until})
    gone = re.compile(rf"({'|'.join(TABLES)})/date=(\d{{4}}-\d\d-\d\d)/.+", re.ASCII)

    def is_gone(key: str) -> bool:
        match = gone.fullmatch(key)
        return match is not None and match[2] < until.isoformat()

    places = [(store.client, store.bucket, f"{table}/date=") for table in TABLES]
    return sum(remove(*place, is_gone) for place in places if not only_found or has_any(*place, is_gone))


def _written(settings: LakeSettings, days: Iterable[date]) -> Iterator[str]:
    """Write the snapshots of these dates that are stale now, and yield their keys."""
    store = SnapshotStore(settings)
    for day in sorted(days):
        yield from (file.key for file in write_snapshots(settings, store, day, only_stale=True))
        if write_catalogue(settings, store, day, only_stale=True):
            yield snapshot_key(FIELDS, day)
