"""A file of Postgres' may not grow, as where a disk has quotas: the load fails and puts no line aside."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from factories import event, line
from lake import Lake, connected
from loaders import LEDGER, land, outcome
from refusals import failing
from servers import running

from devstack.postgres import Postgres
from devstack.waiting import free_ports, wait_until
from pipelines.db.migrations import migrate

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# More than 16 MB, the size of the log's files: those must go on.
FILL = """
insert into whatsapp_events (
    event_id, type, received_at, last_received_at, body_received_at, deliveries, payload, payload_sanitized,
    undecrypted, body_sha256, landing_key, landing_line
)
select gen_random_uuid(), 'x', now(), now(), now(), 1, to_jsonb(repeat('x', 1000)), false, false, '', '', 1
from generate_series(1, 16000)
"""


@contextmanager
def served(server: Postgres, client: "S3Client", largest: int = -1) -> Iterator[Lake]:
    """Run PostgreSQL, whose files may have so many bytes, with its lake."""
    with running(["prlimit", f"--fsize={largest}:", *server.command()], server.folder, signal.SIGINT):
        wait_until(server.check, "PostgreSQL")
        migrate(server.url("postgres"))
        with connected(client) as lake:
            yield lake


def test_a_quota_fails_the_load_and_the_next_one_completes_it(
    lake: Lake,
    s3_client: "S3Client",
    sample: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    land(lake, sample)
    lake.load()
    expected = outcome(lake)
    server = Postgres(tmp_path / "postgres", free_ports(1)[0], "test-password")
    server.initialise()
    monkeypatch.setenv("DATABASE_URL", server.url("postgres"))
    with served(server, s3_client) as filled:
        filled.connection.execute("alter table whatsapp_events set (autovacuum_enabled = off)")  # it would make room
        filled.connection.execute(FILL)
        filled.connection.execute("delete from whatsapp_events")
        ((size,),) = filled.rows("select pg_relation_size('whatsapp_events')")
    with served(server, s3_client, size) as limited:
        with pytest.raises(psycopg.errors.InternalError_, match=r"could not extend file .*: File too large"):
            limited.load()
        assert limited.rows(LEDGER) == limited.rows("select * from quarantined_events") == []
    with served(server, s3_client) as free:
        free.load()
        assert outcome(free) == expected


@pytest.mark.usefixtures("lake_environment")
def test_a_temporary_file_under_a_quota_is_known_by_the_source_that_says_so(
    s3_client: "S3Client", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is in the server's language; a source has one name."""
    server = Postgres(tmp_path / "postgres", free_ports(1)[0], "test-password")
    server.initialise()
    monkeypatch.setenv("DATABASE_URL", server.url("postgres"))
    with served(server, s3_client, 32 << 20) as limited:
        limited.land(line(event(kind="refused")))
        with failing(limited, "perform count(*) from generate_series(1, 3000000)"):
            with pytest.raises(psycopg.errors.InternalError_) as raised:
                limited.load()
            assert raised.value.diag.source_file == "buffile.c"
            assert limited.rows(LEDGER) == limited.rows("select * from quarantined_events") == []
