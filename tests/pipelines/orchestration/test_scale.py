"""A backlog on two Celery workers that see nothing of each other, one of which is killed in the middle of a load."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import psycopg
import pytest
from factories import line
from lake import CONTENT, Lake
from servers import database
from stack_process import wait_for
from workers import Deployment, deployed

from pipelines.landing.hours import hour_key, today
from pipelines.loading.load import load

if TYPE_CHECKING:
    from devstack.postgres import Postgres

pytestmark = pytest.mark.scale

# Every other hour, so that each is a run of its own; the dates are loaded, and have no snapshot.
HOURS = [datetime(2026, 6, 1, hour, 30, tzinfo=UTC) for hour in range(0, 24, 2)]
DATES = [datetime(2026, 5, 21 + day, 4, 30, tzinfo=UTC) for day in range(5)]
LOCK = "7077061"  # of people and groups: whoever has it keeps every load in its middle
FAILED, SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS


@pytest.fixture
def deployment(
    lake: Lake,
    sample: list[dict[str, Any]],
    tmp_path: Path,
    postgres_server: "Postgres",
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Deployment]:
    """Land a backlog of 12 hours and 5 dates; have broker and storage for those who will work it off."""
    moments = [*HOURS, *DATES]
    for number, moment in enumerate(moments):
        requests = [request for request in sample if request["n"] % len(moments) == number]
        bodies = [(request["body"].encode(), request["headers"]["X-Event-Id"]) for request in requests]
        lake.land(*[line(*body, moment) for body in bodies], at=moment)
    load(lake.connection, lake.zone, DATES, "before")
    postgres_server.create_databases([name := f"dagster_{tmp_path.name}"])
    url = postgres_server.url(name).replace("postgresql:", "postgresql+psycopg2:")
    with deployed(tmp_path, url) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def hosts_at_the_lock(lake: Lake) -> set[str]:
    """Return the hosts whose runs wait for the lock; empty unless all that beat do."""
    ((waiting,),) = lake.rows("select count(*) from pg_locks where locktype = 'advisory' and not granted")
    hosts = [host for (host,) in lake.rows("select host from run_heartbeats")]
    return set(hosts) if len(hosts) == waiting else set()


def runs(instance: dg.DagsterInstance, job: str) -> dict[str, list[dg.DagsterRunStatus]]:
    """Return a job's runs, the first ones first, by what they are about."""
    found: dict[str, list[dg.DagsterRunStatus]] = {}
    for run in reversed(instance.get_runs(dg.RunsFilter(job_name=job))):
        found.setdefault(run.tags.get("hours", run.tags.get("dagster/partition", "")), []).append(run.status)
    return found


def done(deployment: Deployment, host: str) -> int:
    """Return how many runs a worker has done."""
    return len(re.findall(r"Task execute_job\[[\w-]+\] succeeded", deployment.log(host)))


def test_two_workers_share_a_backlog_and_one_that_is_killed_is_made_up_for(
    lake: Lake, deployment: Deployment, postgres_server: "Postgres", template_database: str
) -> None:
    """Its run ends as failed, its hour is loaded by another, and the tables are those of one loader."""
    workers = {host: deployment.start_worker(host) for host in ("host-1", "host-2")}
    with deployment.instance() as instance, psycopg.connect(lake.settings.conninfo, autocommit=True) as holder:
        holder.execute(f"select pg_advisory_lock({LOCK})".encode())
        deployment.start_dagster()
        wait_for(lambda: hosts_at_the_lock(lake) == set(workers), "a load in its middle on both hosts")

        workers["host-1"].kill()
        deployment.start_worker("host-3")
        wait_for(lambda: silence(lake, "host-1"), "the end of its run")
        wait_for(lambda: hosts_at_the_lock(lake) == {"host-2", "host-3"}, "a load on the host in its place")
        holder.execute(f"select pg_advisory_unlock({LOCK})".encode())
        wait_for(lambda: is_over(instance), "the end of the backlog")

        loads, snapshots = runs(instance, "load"), runs(instance, "snapshot")
    assert set(loads) == {hour_key(moment) for moment in HOURS}
    assert sorted(loads.values(), key=len) == [[SUCCESS]] * 11 + [[FAILED, SUCCESS]]
    dates = [str(moment.date()) for moment in DATES]
    assert {date: statuses[0] for date, statuses in snapshots.items()} == dict.fromkeys([*dates, str(today())], SUCCESS)
    assert lake.snapshots.dates("whatsapp_events")[: len(dates)] == dates
    shares = {host: done(deployment, host) for host in ("host-1", "host-2", "host-3")}
    assert min(shares["host-2"], shares["host-3"]) >= 2, shares
    assert lake.content() == of_one_loader(lake, postgres_server, template_database)


def silence(lake: Lake, host: str) -> bool:
    """Let two minutes pass for what the table has of a host, and return whether it has nothing any more.

    What a tick makes of the time is test_run_heartbeats' to say.
    """
    lake.connection.execute(
        "update run_heartbeats set beaten_at = beaten_at - %(passed)s, silent_since = clock_timestamp() - %(passed)s"
        " where host = %(host)s",
        {"passed": timedelta(minutes=2), "host": host},
    )
    return (host,) not in lake.rows("select host from run_heartbeats")


def is_over(instance: dg.DagsterInstance) -> bool:
    """Tell whether each hour and each date has a run that succeeded."""
    ended = [statuses for job in ("load", "snapshot") for statuses in runs(instance, job).values()]
    return len(ended) == len(HOURS) + len(DATES) + 1 and all(SUCCESS in statuses for statuses in ended)


def of_one_loader(lake: Lake, postgres_server: "Postgres", template_database: str) -> dict[str, list[tuple[Any, ...]]]:
    """Load the same landing zone into a fresh database, here, and return what is in its tables."""
    with (
        database(postgres_server, template_database) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        load(connection, lake.zone, [*DATES, *HOURS], "one-loader")
        return {name: connection.execute(query.encode()).fetchall() for name, query in CONTENT.items()}
