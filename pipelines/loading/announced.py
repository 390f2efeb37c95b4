"""Tells the database of the list of erasures: by which a load must have read its lines, and what has expired.

Belongs here: telling it. Not: the list itself (redaction), what a load does that is behind it (store).
"""

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.redaction.erasures import Listed
from receiver.landing import hour_prefix


def announce(conn: Connection, listed: Listed) -> None:
    """Have loads go by the list as it is, or later, and listings pass over what has expired.

    A list that is older than what the database knows changes nothing.
    """
    if listed.revision:
        below = hour_prefix(listed.expired_before) if listed.expired_before else None
        conn.execute(query("erasure/announce"), {"revision": listed.revision, "expired_below": below})
