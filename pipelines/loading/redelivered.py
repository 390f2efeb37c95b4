"""Deliveries of events that were received before content expired: they have lost theirs, however late they come.

Belongs here: telling them by what the tables know. Not: what is left of a line (redaction), the landing zone (privacy).
A list of all such events would grow without end; the tables have it.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.format import LandingLineError, decode_line, split_lines
from pipelines.loading.batches import Batch
from pipelines.redaction.lines import Eraser


def forget_content(conn: Connection, batch: Batch) -> None:
    """Take the content out of those lines of a batch whose events are known to be received before it expired.

    What lines show of people, times and names stays the same.
    """
    before = batch.eraser.erasures.content_before if batch.eraser else None
    if batch.eraser is None or before is None:
        return
    late = [each for each in batch.loadable if each.row.received_at >= before]
    known = _known(conn, {each.row.event_id for each in late}, before)
    if len(late) < len(batch.loadable):
        known |= {each.row.event_id for each in batch.loadable if each.row.received_at < before}
    late = [each for each in late if each.row.event_id in known]
    if not late:
        return
    gone = {(each.landing_key, each.line_number) for each in late}
    batch.loadable = [each for each in batch.loadable if (each.landing_key, each.line_number) not in gone]
    eraser, batch.eraser = batch.eraser, batch.eraser.knowing(known)
    for each in late:
        batch.add_line(each.landing_key, each.line_number, each.raw)
    batch.eraser, batch.seen = eraser, None


def knowing(conn: Connection, eraser: Eraser, content: bytes, hour: datetime) -> Eraser:
    """Return an eraser that knows which lines of a landing file are of such events."""
    before = eraser.erasures.content_before
    if before is None or hour < before:
        return eraser
    return eraser.knowing(_known(conn, _event_ids(content), before))


def _event_ids(content: bytes) -> Iterable[str]:
    for line in split_lines(content):
        try:
            yield str(UUID(decode_line(line).event_id))
        except (LandingLineError, ValueError):
            continue


def _known(conn: Connection, event_ids: Iterable[str], before: datetime) -> set[str]:
    asked = {"event_ids": f"{{{','.join(event_ids)}}}", "before": before}
    return {event_id for (event_id,) in conn.execute(query("content/known"), asked)}
