"""An erasure from its entry in the list to the last Parquet file: each step can be killed, and is gone on with.

Belongs here: the order of the steps. Not: the steps (landing, tables, parquet), whether anything is left (proof).
"""

from datetime import UTC, datetime
from typing import NamedTuple

from pipelines.db.connection import Connection
from pipelines.db.migrations import check_schema
from pipelines.db.queries import query
from pipelines.landing.authenticity import Verifier
from pipelines.landing.zone import LandingZone
from pipelines.loading.announced import announce
from pipelines.privacy import content_expiry, expiry, landing, parquet, tables
from pipelines.privacy.done import Done
from pipelines.privacy.people import Who
from pipelines.privacy.removal import remove_older
from pipelines.redaction.covering import read_erasures, subjects_of
from pipelines.redaction.erasures import Erasure, ErasureList, new_id
from pipelines.redaction.lines import Eraser
from pipelines.redaction.subjects import digest
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore, snapshot_key
from pipelines.snapshots.payload_fields import write_catalogue
from pipelines.snapshots.schemas import EVENTS, FIELDS
from pipelines.snapshots.write import write_snapshots
from receiver.landing import key_id


class Request(NamedTuple):
    """A wish to have somebody forgotten, on which ticket, by whom; `ever`: what is received later, too."""

    who: Who
    reference: str
    by: str
    ever: bool = False


def apply(settings: LakeSettings, conn: Connection, request: Request) -> Done:
    """Erase a subject from every place, or go on with what was begun on the same ticket.

    `conn` is in autocommit mode; loads go on meanwhile, by the new list. Raises ErasureKeyError, NoSecretError,
    ChangedMeanwhileError, SchemaError.
    """
    zone = LandingZone(settings)
    listed = ErasureList(zone)
    key = listed.key()
    _begin(settings, conn)
    erasure = _known(listed, key, request)
    if erasure is None:
        erasure = _new(key, request)
        listed.put(erasure)
    done, eraser = _of_landing_zone(settings, conn, zone)
    done.erasure = erasure
    _of_the_rest(settings, conn, zone, eraser, [erasure], done)
    return done


def _new(key: bytes, request: Request) -> Erasure:
    now, who = datetime.now(UTC), request.who
    ever = request.ever or who.kind == "event"
    subjects = tuple(sorted(digest(key, name) for name in who.names))
    until = None if ever else now
    return Erasure(new_id(), who.kind, subjects, until, request.reference, request.by, now, key_id(key))


def sweep(settings: LakeSettings, conn: Connection, *, full: bool = False) -> Done:
    """Take out what erasures cover, or what has expired, and is there again: delivered again, restored, left by a kill.

    Looked through are landing files that were put since the last time; all of them, and tables and past states too,
    where the database doesn't know that it shows the list as it is now, such as one that was restored from before an
    erasure; or `full`.
    """
    zone = LandingZone(settings)
    _begin(settings, conn)
    expired = expiry.sweep(settings, conn)
    expired.add(content_expiry.sweep(settings, conn, full=full))
    erasures = [each for each in ErasureList(zone).entries() if each.lifted_at is None and each.kind != "before"]
    if not erasures:
        return expired
    changed_at = read_erasures(ErasureList(zone)).changed_at
    _, applied, swept = conn.execute(query("erasure/state")).fetchone() or (None, None, None)
    knows_all = applied is not None and changed_at is not None and applied >= changed_at
    since = swept if swept and knows_all and not full else None
    done, eraser = _of_landing_zone(settings, conn, zone, since)
    if since is None:
        _of_the_rest(settings, conn, zone, eraser, erasures, done)
    done.add(expired)
    return done


def _begin(settings: LakeSettings, conn: Connection) -> None:
    check_schema(conn)
    Verifier(settings.webhook_secrets)
    conn.execute(query("erasure/lock"))


def _known(listed: ErasureList, key: bytes, request: Request) -> Erasure | None:
    """Return the erasure that was begun for this subject on this ticket."""
    wanted = {digest(key, name) for name in request.who.names}
    for each in listed.entries():
        same = each.reference == request.reference and each.kind == request.who.kind
        if same and each.lifted_at is None and not wanted.isdisjoint(each.subjects):
            return each
    return None


def _of_landing_zone(
    settings: LakeSettings, conn: Connection, zone: LandingZone, since: datetime | None = None
) -> tuple[Done, Eraser]:
    """Write landing files anew, of those put since a moment; return what was done, and the list after it."""
    done, listed = Done(), ErasureList(zone)
    (began,) = conn.execute(query("load/moment")).fetchone() or (None,)
    verifier = Verifier(settings.webhook_secrets, settings.erasure_key_bytes)
    eraser = Eraser(read_erasures(listed), verifier)
    announce(conn, eraser.erasures.listed)
    with done.step("landing zone"):
        done.counts += landing.rewrite(conn, zone, eraser, verifier, landing.put_since(since))
    conn.execute(query("erasure/swept"), {"began": began})
    return done, Eraser(read_erasures(listed), verifier)


def _of_the_rest(  # noqa: PLR0913, PLR0917  one step after the other
    settings: LakeSettings, conn: Connection, zone: LandingZone, eraser: Eraser, erasures: list[Erasure], done: Done
) -> None:
    """Have tables and Parquet files follow."""
    listed, store = ErasureList(zone), SnapshotStore(settings)
    keys: list[str] = []
    for erasure in erasures:
        with done.step("tables"):
            changed = tables.follow(conn, zone, eraser, erasure, listed.touched(erasure))
        done.counts.update(
            events=changed.events, addresses=changed.addresses, groups=changed.groups, quarantined=changed.quarantined
        )
        done.dates |= changed.dates
        with done.step("past states"):
            until = (erasure.until or datetime.now(UTC)).date()
            keys += parquet.rewrite_states(settings, store, subjects_of(listed.key(), [erasure]), until)
    done.counts["states"] += len(keys)
    with done.step("dates"):
        for day in sorted({*done.dates, datetime.now(UTC).date()}):
            keys += [file.key for file in write_snapshots(settings, store, day, only_stale=True)]
            if write_catalogue(settings, store, day, only_stale=True):
                keys.append(snapshot_key(FIELDS, day))
        done.counts["dates"] += sum(key.startswith(EVENTS) for key in keys)
        remove_older(store.client, store.bucket, keys)
    if len(erasures) == len(eraser.erasures.entries) or _others_are_applied(conn, eraser, erasures):
        conn.execute(query("erasure/applied"), {"revision": eraser.erasures.revision})


def _others_are_applied(conn: Connection, eraser: Eraser, erasures: list[Erasure]) -> bool:
    ours = {each.id for each in erasures}
    others = [each.at for each in eraser.erasures.entries if each.id not in ours]
    _, applied, _ = conn.execute(query("erasure/state")).fetchone() or (None, None, None)
    return applied is not None and applied >= max(others)
