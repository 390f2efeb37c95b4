"""The asset checks, each where it fails: what they find, and the remedy that they name."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from factories import RECEIVED, event, line
from lake import Lake

from pipelines.landing.hours import hour_key, today
from pipelines.orchestration.checks import COLLECTOR_HEARD, COMPARED, LOAD_CHECKS, TABLE_EQUALS_LEDGER
from pipelines.orchestration.definitions import defs
from pipelines.orchestration.partitions import PARTITION, RANGE_END, RANGE_START
from pipelines.orchestration.reports import TABLES

NOW = datetime.now(UTC)
Results = dict[str, dg.AssetCheckEvaluation]


def run(
    job: str, tags: Mapping[str, str] | None = None, config: dict[str, Any] | None = None, *, fails: bool = False
) -> Results:
    """Run a job, and return its checks' results by their names."""
    with dg.DagsterInstance.ephemeral() as instance:
        done = defs.resolve_job_def(job).execute_in_process(
            instance=instance, tags=dict(tags or {}), run_config=config, raise_on_error=False
        )
    assert done.success is not fails
    return {each.check_name: each for each in done.get_asset_check_evaluations()}


def load(at: datetime = RECEIVED) -> Results:
    """Run the load of an hour."""
    hour = hour_key(at)
    return run("load", {RANGE_START: hour, RANGE_END: hour})


def failed(results: Results) -> set[str]:
    """Return the names of the checks that didn't pass."""
    return {name for name, result in results.items() if not result.passed}


@pytest.fixture
def whole(lake: Lake) -> Lake:
    """Return a lake with an event of now and its snapshots."""
    lake.land(line(event(), 1, NOW), at=NOW)
    load(NOW)
    run("snapshot", {PARTITION: str(NOW.date())})
    return lake


def test_a_whole_lake_passes_every_check(whole: Lake) -> None:
    results = load(NOW) | run("snapshot", {PARTITION: str(NOW.date())}) | run("reconcile")
    assert failed(results) == set()
    assert results.keys() >= {check.name for check in (*LOAD_CHECKS, *COMPARED, COLLECTOR_HEARD, TABLE_EQUALS_LEDGER)}
    assert whole.rows("select count(*) from whatsapp_events") == [(1,)]


def test_a_missing_file_fails_a_load_s_check_and_the_daily_one_as_errors(whole: Lake) -> None:
    [(key,)] = whole.rows("select key from landing_files")
    whole.client.delete_object(Bucket=whole.settings.landing_bucket, Key=key)
    results = load(NOW)
    assert failed(results) == {"files_as_loaded"}
    assert results["files_as_loaded"].severity == dg.AssetCheckSeverity.ERROR
    assert "restore the landing file" in str(results["files_as_loaded"].metadata["remedy"].value)
    daily = run("reconcile")
    assert failed(daily) == {"as_loaded", "as_landed"}
    assert key in str(daily["as_loaded"].metadata["first"].value)


def test_lines_in_quarantine_are_a_warning_by_their_reason(whole: Lake) -> None:
    whole.land(b"not json\n", line(event(), 2, NOW).replace(b"oi", b"ei"), line(event(), 3, NOW), at=NOW)
    results = load(NOW)
    assert failed(results) == {"nothing_in_quarantine"}
    found = results["nothing_in_quarantine"]
    assert (found.severity, found.metadata["bad_line"].value, found.metadata["not_authentic"].value) == (
        dg.AssetCheckSeverity.WARN, 1, 1,
    )  # fmt: skip


def test_many_undecrypted_events_are_a_warning(whole: Lake) -> None:
    whole.connection.execute("update whatsapp_events set undecrypted = true")
    results = load(NOW)
    assert failed(results) == {"few_undecrypted"}
    assert results["few_undecrypted"].metadata["undecrypted"].value == 1


def test_a_table_that_is_not_the_ledger_s_is_not_published(whole: Lake) -> None:
    before = whole.rows("select * from snapshot_files order by 1, 2")
    whole.connection.execute("delete from whatsapp_events")
    results = run("snapshot", {PARTITION: str(NOW.date())}, fails=True)
    assert failed(results) == {"table_equals_ledger"}
    assert "`wpp-lake reconcile`" in str(results["table_equals_ledger"].metadata["remedy"].value)
    assert whole.rows("select * from snapshot_files order by 1, 2") == before


def test_a_deleted_event_fails_the_daily_checks(whole: Lake) -> None:
    whole.connection.execute("delete from whatsapp_events")
    assert failed(run("reconcile")) >= {"adds_up", "as_landed", "as_its_table"}


def test_a_backfill_tells_the_last_results_of_the_whole_lake_again(whole: Lake, instance: dg.DagsterInstance) -> None:
    """It selects those checks, and evaluates none: without results they would show as skipped."""
    whole.connection.execute("delete from whatsapp_events")
    asset = dg.AssetKey(["tables", "whatsapp_events"])
    assert not defs.resolve_job_def("reconcile").execute_in_process(instance=instance).get_failed_step_keys()
    every = defs.resolve_implicit_global_asset_job_def()
    done = every.execute_in_process(
        instance=instance,
        partition_key=hour_key(NOW),
        asset_selection=[dg.AssetKey(["tables", table]) for table in TABLES],
    )
    again = {each.check_name: each.passed for each in done.get_asset_check_evaluations()}
    assert (again["as_landed"], again["adds_up"], again["files_as_loaded"]) == (False, False, True)
    key = dg.AssetCheckKey(asset, "as_landed")
    last = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert last.status.value == "FAILED"


def test_a_silent_collector_is_a_warning(whole: Lake) -> None:
    assert failed(run("reconcile")) == set()
    whole.connection.execute("update whatsapp_events set received_at = received_at - interval '1 day'")
    results = run("reconcile")
    assert results["collector_heard"].passed is False
    assert float(str(results["collector_heard"].metadata["hours"].value)) >= timedelta(days=1) / timedelta(hours=1)


@pytest.mark.parametrize(
    ("days", "severity"), [(31, None), (30, dg.AssetCheckSeverity.WARN), (-1, dg.AssetCheckSeverity.ERROR)]
)
def test_a_privacy_review_that_is_near_is_a_warning_and_one_missed_an_error(
    whole: Lake, days: int, severity: dg.AssetCheckSeverity | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert whole.settings.privacy_review_by > today()
    monkeypatch.setenv("PRIVACY_REVIEW_BY", str(today() + timedelta(days=days)))
    found = run("reconcile")["privacy_review"]
    assert (found.passed, found.severity if severity else None) == (severity is None, severity)


def test_a_full_run_finds_what_an_old_date_lost(lake: Lake) -> None:
    lake.land(line(event(), 1), line(event(), 2))
    load()
    lake.connection.execute("update whatsapp_events set event_id = gen_random_uuid() where landing_line = 2")
    assert failed(run("reconcile")) == {"collector_heard"}
    for which in ({"full": True}, {"since": "2026-05-21"}):
        config = {"ops": {"whole_lake": {"config": which}}}
        assert failed(run("reconcile", config=config)) == {"collector_heard", "as_landed"}
