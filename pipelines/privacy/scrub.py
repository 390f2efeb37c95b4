"""Cleans the files in which erased rows and objects lay: tables, the write-ahead log, the embedded store's volumes.

Belongs here: what deletion leaves on the disks of this lake's own services. Not: the erasure (apply), the store's files
themselves (devstack, by entry point), backups and copies.
"""

import shutil
from importlib.metadata import entry_points
from pathlib import Path

from psycopg import sql

from pipelines.db.connection import Connection
from pipelines.db.queries import filled, query
from pipelines.errors import WppLakeError
from pipelines.privacy.columns import TABLES
from pipelines.privacy.done import Done
from pipelines.settings import LakeSettings

STORE = "wpp_lake.scrub"  # the entry points of a store that runs here; each takes the data directory
MARGIN_BYTES = 100_000_000
MORE_FILES = 3  # than there are, until none is from before: others write meanwhile
TRIES = 100  # of 10 ms, until the server has read its settings again
ERASED, DOCS = "what is asked for is erased", "docs/privacy.md#dead-space says how"


class NotScrubbedError(WppLakeError):
    """Bytes of what was erased may still lie on a disk: the tables and buckets show it no more."""


def scrub(settings: LakeSettings, conn: Connection, done: Done) -> None:
    """Write tables with personal columns anew, renew the write-ahead log, and vacuum the embedded store's volumes.

    `conn` is in autocommit mode. Loads wait for each table while it is written. Done twice it does all of it again.
    Raises NotScrubbedError where the database's user may not, where there is no room, or where the server keeps its
    write-ahead log for somebody else.
    """
    tables = _tables(conn)
    with done.step("scrub of tables"):
        for table in tables:
            conn.execute(filled("scrub/table", table=sql.Identifier(table)))
        conn.execute(query("scrub/samples"))
    with done.step("scrub of the write-ahead log"):
        done.counts["wal_files"] += _renew_wal(conn)
    if folder := settings.wpp_lake_data_dir:
        with done.step("scrub of the store"):
            for store in entry_points(group=STORE):
                store.load()(folder)
    done.counts["scrubbed_tables"] += len(tables)


def _tables(conn: Connection) -> list[str]:
    """Return the tables with personal columns or content. Raises NotScrubbedError where they can't be written anew."""
    (folder,) = conn.execute(query("scrub/server")).fetchone() or (None,)
    if folder is None:
        raise NotScrubbedError(f"{ERASED}, but not scrubbed: that needs a superuser of the database; {DOCS}")
    if not Path(folder, "PG_VERSION").exists():
        raise NotScrubbedError(f"{ERASED}, but not scrubbed: PostgreSQL's disk can't be seen from here; {DOCS}")
    personal = [name for name, columns in TABLES.items() if any(each.kind != "none" for each in columns.values())]
    sizes = dict(conn.execute(query("scrub/tables"), {"names": personal}).fetchall())
    needed = 2 * max(sizes.values()) + MARGIN_BYTES  # the table once more, and as much of the write-ahead log
    if (free := shutil.disk_usage(folder).free) < needed:
        raise NotScrubbedError(
            f"{ERASED}, but not scrubbed: {free / 1e6:,.0f} MB are free on PostgreSQL's disk, and writing its largest "
            f"table anew needs {needed / 1e6:,.0f} MB: make room"
        )
    return list(sizes)


def _renew_wal(conn: Connection) -> int:
    """Go on until no file of the write-ahead log is from before; return how many files that took."""
    conn.execute(query("scrub/remove_wal"))
    try:
        conn.execute(query("scrub/reload"))
        for _ in range(TRIES):
            if conn.execute(query("scrub/removes_wal")).fetchone() == (True,):
                break
        _next_file(conn)
        file, files, moment = conn.execute(query("scrub/wal_mark")).fetchone() or ("", 0, None)
        mark = {"file": file, "moment": moment}
        for done in range(1, files + MORE_FILES):
            _next_file(conn)
            if conn.execute(query("scrub/older_wal"), mark).fetchone() == (0,):
                return done
    finally:
        conn.execute(query("scrub/recycle_wal"))
        conn.execute(query("scrub/reload"))
    raise NotScrubbedError(
        f"{ERASED}, but PostgreSQL keeps older files of its write-ahead log: for a replication slot, an archive that "
        f"lags, or by wal_keep_size; {DOCS}"
    )


def _next_file(conn: Connection) -> None:
    conn.execute(query("scrub/next_wal"))
    conn.execute("checkpoint")
