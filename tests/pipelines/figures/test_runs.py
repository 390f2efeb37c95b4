"""What is read of runs in Dagster's own storage, a real one in PostgreSQL that Dagster itself has filled."""

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest
from lake import Lake
from project import ROOT
from psycopg import sql
from pydantic import SecretStr

from devstack.postgres import Postgres
from pipelines.figures.runs import has_heartbeat, history
from pipelines.settings import LakeSettings

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


class Told:
    """What the job `reconcile` of this test finds when it runs."""

    checks: tuple[tuple[str, bool, dg.AssetCheckSeverity, dict[str, Any]], ...] = ()
    fails = False


@dg.asset
def whole() -> None: ...


@dg.multi_asset_check(specs=[dg.AssetCheckSpec(name, asset=whole) for name in ("as_loaded", "adds_up", "quiet")])
def compared() -> Iterator[dg.AssetCheckResult]:
    if Told.fails:
        raise ValueError("as it should")
    for name, passed, severity, metadata in Told.checks:
        yield dg.AssetCheckResult(
            asset_key="whole", check_name=name, passed=passed, severity=severity, metadata=metadata
        )


@dg.op
def work() -> None:
    if Told.fails:
        raise ValueError("as it should")


@dg.job
def load() -> None:
    work()


JOBS = dg.Definitions(
    assets=[whole],
    asset_checks=[compared],
    jobs=[load, dg.define_asset_job("reconcile", dg.AssetSelection.checks(compared))],
)


@pytest.fixture(scope="module")
def storage(postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """Run a Dagster of the project's own settings, with a storage of its own."""
    name, home = f"dagster_{uuid.uuid4().hex[:12]}", tmp_path_factory.mktemp("dagster")
    postgres_server.create_databases([name])
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        patch.setenv("DAGSTER_POSTGRES_URL", postgres_server.url(name).replace("postgresql:", "postgresql+psycopg2:"))
        with dg.DagsterInstance.get() as instance:
            yield instance
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as server:
        server.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def settings(storage: dg.DagsterInstance, lake: Lake) -> LakeSettings:
    """Return settings that lead to it; there are no runs yet."""
    storage.wipe()
    return lake.settings.model_copy(update={"dagster_postgres_url": SecretStr(os.environ["DAGSTER_POSTGRES_URL"])})


def run(instance: dg.DagsterInstance, job: str, *checks: Any, fails: bool = False) -> str:
    """Run a job, which fails or finds this; return the run's id."""
    Told.checks, Told.fails = checks, fails
    done = JOBS.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False)
    assert done.success is not fails
    return done.run_id


def is_now(moment: datetime) -> bool:
    """Tell whether a moment is one of this test."""
    return abs(datetime.now(UTC) - moment) < timedelta(minutes=10)


def test_a_storage_that_no_dagster_has_used_says_nothing(lake: Lake) -> None:
    """As of `up --no-dagster`."""
    settings = lake.settings.model_copy(update={"dagster_postgres_url": lake.settings.database_url})
    assert history(settings) == ([], None)


def test_an_empty_storage_says_nothing(settings: LakeSettings) -> None:
    assert history(settings) == ([], None)
    assert has_heartbeat(settings) is False


def test_failed_runs_are_told_for_a_day_the_newest_first(settings: LakeSettings, storage: dg.DagsterInstance) -> None:
    old, first, over = (run(storage, job, fails=True) for job in ("load", "reconcile", "load"))
    run(storage, "load")
    last = run(storage, "load", fails=True)
    with psycopg.connect(settings.dagster_postgres_url.get_secret_value().replace("+psycopg2", "")) as conn:
        conn.execute("update runs set end_time = end_time - 86401 where run_id = %s", [old])
    found = history(settings).failed_runs
    assert [(each["run_id"], each["job"], each["is_over"]) for each in found] == [
        (last, "load", False),
        (over, "load", True),
        (first, "reconcile", False),
    ]
    assert all(is_now(each["failed_at"]) for each in found)


def test_the_last_reconcile_says_what_it_found(settings: LakeSettings, storage: dg.DagsterInstance) -> None:
    run(storage, "reconcile", ("as_loaded", True, ERROR, {}), ("adds_up", False, ERROR, {}), ("quiet", True, WARN, {}))
    wrong = {"missing": 2, "first": "missing: a.jsonl: noted\nmissing: b.jsonl: noted"}
    now: tuple[Any, ...] = (
        ("as_loaded", False, ERROR, wrong),
        ("adds_up", True, ERROR, {}),
        ("quiet", False, WARN, {}),
    )
    last = run(storage, "reconcile", *now)
    found = history(settings).reconciled
    assert found is not None
    assert is_now(found.pop("ended_at"))  # type: ignore[misc]
    assert found == {
        "run_id": last,
        "is_whole": True,
        "failed": [
            {"name": "as_loaded", "is_error": True, "first": "missing: a.jsonl: noted"},
            {"name": "quiet", "is_error": False, "first": ""},
        ],
    }


def test_a_reconcile_that_failed_itself_found_nothing(settings: LakeSettings, storage: dg.DagsterInstance) -> None:
    run(storage, "reconcile", *((name, True, ERROR, {}) for name in ("as_loaded", "adds_up", "quiet")))
    last = run(storage, "reconcile", fails=True)
    found = history(settings).reconciled
    assert found is not None
    assert (found["run_id"], found["is_whole"], found["failed"]) == (last, False, [])
