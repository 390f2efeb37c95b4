"""A load whose database or store dies under it: the next one completes it, nothing twice and nothing lost."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fault_proxy import fault_proxy, hangs_up, passes
from lake import Lake, connected
from loaders import LEDGER, land, loader, outcome, wait_for_batches
from servers import running
from standstill import wait_for_waits

from devstack.postgres import Postgres
from devstack.waiting import free_ports, wait_until
from pipelines.db.migrations import migrate

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from servers import S3

# A load stands still within its eighth batch, for as long as this session lives.
STANDS_STILL = """
create function stand_still() returns trigger language plpgsql as $$
begin
    if (select count(*) from landing_files) = 7 then
        perform pg_advisory_xact_lock(8);
    end if;
    return new;
end $$;
create trigger stands_still before insert on landing_files for each row execute function stand_still();
select pg_advisory_lock(8);
"""


class OwnPostgres:
    """A PostgreSQL of a test's own, which may be killed."""

    def __init__(self, folder: Path) -> None:
        self.server = Postgres(folder, free_ports(1)[0], "test-password")
        self.server.initialise()
        self._running = ExitStack()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._running.enter_context(running(self.server.command(), self.server.folder, signal.SIGINT))
        wait_until(self.server.check, "PostgreSQL")

    def kill(self) -> None:
        """Kill it, and wait until its sessions have ended too."""
        [pid] = (line for line in next(self.server.folder.rglob("postmaster.pid")).read_text().splitlines()[:1])
        os.kill(int(pid), signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """See it ended."""
        self._running.close()


@pytest.fixture
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnPostgres]:
    """Start one."""
    own = OwnPostgres(tmp_path_factory.mktemp("own") / "postgres")
    own.start()
    yield own
    own.stop()


def test_postgres_is_killed_and_comes_back(
    lake: Lake, s3_client: "S3Client", sample: list[dict[str, Any]], own_postgres: OwnPostgres, monkeypatch: Any
) -> None:
    land(lake, sample)
    lake.load()
    expected = outcome(lake)
    own_postgres.server.create_databases(["lake"])
    migrate(own_postgres.server.url("lake"))
    monkeypatch.setenv("DATABASE_URL", own_postgres.server.url("lake"))
    with connected(s3_client) as held:
        held.connection.execute(STANDS_STILL)
        with loader() as process:
            wait_for_batches(process, 7)
            wait_for_waits(held)
            own_postgres.kill()
            process.communicate()  # what it says meanwhile has to be read
    assert process.returncode == 1
    own_postgres.start()
    with connected(s3_client) as killed:
        assert len(killed.rows(LEDGER)) == 7
        killed.load()
        assert outcome(killed) == expected


@pytest.mark.slow
def test_the_store_goes_away_and_comes_back(
    lake: Lake, s3: "S3", sample: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, sample)
    with fault_proxy(s3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        with loader() as process:
            wait_for_batches(process, 3)
            proxy.always(hangs_up)
            process.communicate()
        assert process.returncode == 1
        interrupted = lake.rows("select count(*) from landing_files")[0][0]
        proxy.faults = repeat(passes)
        with loader() as process:
            process.communicate()
        assert (3 <= interrupted < 30, process.returncode) == (True, 0)
    assert lake.rows("select count(*), sum(lines)::int, sum(loaded)::int from landing_files") == [(30, 300, 294)]
    assert lake.rows("select count(*), sum(deliveries)::int from whatsapp_events") == [(294, 300)]
