"""Takes content that has expired out of the tables: what is left is what a rebuild would make.

Belongs here: events, and groups that they describe. Not: the landing zone, which comes before, and the order of the
steps (content_expiry). Whom and what a body shows otherwise is the same without its content, so nobody is folded anew.
"""

from collections.abc import Sequence
from datetime import datetime

import orjson

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.zone import LandingZone
from pipelines.loading.store import exclusive_transaction
from pipelines.privacy.tables import TablesDone, TablesWork, chunks
from pipelines.redaction.erasures import Erasure
from pipelines.redaction.facts import of_payload
from pipelines.redaction.lines import Eraser


def lose_content(
    conn: Connection, zone: LandingZone, eraser: Eraser, erasure: Erasure, since: datetime | None
) -> TablesDone:
    """Have the tables show the landing zone without the content that has expired of what was received since a moment.

    A thousand events are a transaction. Done twice it changes nothing more. Where a landing file can't be read the
    payload in the table is what loses it.
    """
    conn.execute(query("load/staging_tables"))
    found = conn.execute(query("content/events"), {"since": since, "until": erasure.until}).fetchall()
    event_ids = [event_id for (event_id,) in found]
    work = TablesWork(conn, zone, eraser.knowing(event_ids), erasure)
    for chunk in chunks(event_ids):
        with exclusive_transaction(conn):
            _lose(conn, work, chunk)
            work.end()
    return work.done


def _lose(conn: Connection, work: TablesWork, event_ids: Sequence[str]) -> None:
    batch = work.read(event_ids)
    described = conn.execute(query("content/described"), {"event_ids": event_ids}).fetchall()
    read = {each.row.event_id for each in batch.loadable}
    _lose_in_place(conn, [event_id for event_id in event_ids if event_id not in read])
    work.take_out(sorted(read))
    work.store(batch)
    rows = {(each.landing_key, each.line_number): each.row for each in batch.loadable}
    for group_id, key, line in described:
        if row := rows.get((key, line)):
            shown = {"id": group_id, "payload": bytes(row.payload).decode(), "sha256": row.body_sha256}
            work.done.groups += conn.execute(query("content/describe"), shown).rowcount


def _lose_in_place(conn: Connection, event_ids: Sequence[str]) -> None:
    for event_id, kind, payload in conn.execute(query("content/payloads"), {"event_ids": event_ids}):
        left = {"event_id": event_id, "payload": orjson.dumps(of_payload(kind, payload)).decode()}
        conn.execute(query("content/in_place"), left)


def follow_quarantine(
    conn: Connection, zone: LandingZone, eraser: Eraser, erasure: Erasure, keys: Sequence[str]
) -> int:
    """Have the quarantine hold what these landing files hold now; return how many entries it has of them."""
    work = TablesWork(conn, zone, eraser, erasure)
    with exclusive_transaction(conn):
        work.quarantine(keys)
    return work.done.quarantined
