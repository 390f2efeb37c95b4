"""The jobs that people start by hand: what their configuration does, what they refuse, and what they report."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest
from factories import RECEIVED, event, line
from lake import Lake

from pipelines.landing.hours import today
from pipelines.orchestration.buttons import BUTTONS
from pipelines.orchestration.definitions import defs

OPS = {
    "load_range": "load_hours",
    "snapshot_range": "write_dates",
    "rebuild": "rebuild_tables",
    "quarantine_retry": "retry_entries",
    "verify": "verify_lines",
    "prune": "old_runs",
}


def press(instance: dg.DagsterInstance, job: str, **config: Any) -> dg.ExecuteInProcessResult:
    """Run a job with this configuration."""
    settings = {"ops": {OPS[job]: {"config": config}}}
    return defs.resolve_job_def(job).execute_in_process(instance=instance, run_config=settings, raise_on_error=False)


def failure(result: dg.ExecuteInProcessResult) -> str:
    """Return the sentence that a failed run shows."""
    (event,) = (each for each in result.all_events if each.is_step_failure)
    data = event.step_failure_data
    assert data.user_failure_data
    return str(data.user_failure_data.description)


def told(result: dg.ExecuteInProcessResult) -> set[tuple[str, str | None]]:
    """Return the assets and partitions that a run told of."""
    events = (each.step_materialization_data.materialization for each in result.get_asset_materialization_events())
    return {(each.asset_key.to_user_string(), each.partition) for each in events}


def test_each_is_explained_in_the_launchpad() -> None:
    assert {job.name for job in BUTTONS} == set(OPS)
    for job in BUTTONS:
        assert job.description
        (op,) = job.nodes
        fields = op.definition.config_schema.config_type.fields  # type: ignore[union-attr]
        assert fields
        assert all(field.description for field in fields.values())


def test_a_range_of_hours_is_loaded(lake: Lake, instance: dg.DagsterInstance) -> None:
    for hours in range(3):
        moment = RECEIVED + timedelta(hours=hours)
        lake.land(line(event(), hours, moment), at=moment)
    result = press(instance, "load_range", first="2026-05-21-04:00", last="2026-05-21-05:00")
    assert result.success
    assert lake.rows("select count(*) from whatsapp_events") == [(2,)]
    assert ("tables/whatsapp_events", "2026-05-21-05:00") in told(result)
    key = dg.AssetCheckKey(dg.AssetKey(["tables", "whatsapp_events"]), "files_as_loaded")
    assert instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]


@pytest.mark.usefixtures("lake")
def test_what_is_no_hour_is_said(instance: dg.DagsterInstance) -> None:
    assert failure(press(instance, "load_range", first="yesterday")) == "yesterday is not an hour as 2026-05-21-06:00"
    assert failure(press(instance, "snapshot_range", first="soon")) == "soon is not a date as 2026-05-21"
    assert "is before" in failure(press(instance, "snapshot_range", first="2026-05-21", last="2026-05-20"))
    assert "no UUID" in failure(press(instance, "quarantine_retry", ids=["first"]))


def test_a_range_of_dates_is_written(lake: Lake, instance: dg.DagsterInstance) -> None:
    lake.land(line(event()))
    lake.load()
    result = press(instance, "snapshot_range", first="2026-05-20", last="2026-05-21")
    assert result.success
    assert told(result) == {
        (f"snapshots/{table}", date)
        for table in ("whatsapp_events", "payload_fields")
        for date in ("2026-05-20", "2026-05-21")
    }
    assert lake.snapshots.dates("whatsapp_events") == ["2026-05-21"]
    state = press(instance, "snapshot_range", first=str(today()))
    assert ("snapshots/whatsapp_groups", None) in told(state)


def test_a_rebuild_refuses_to_lose_and_records_what_is_accepted(lake: Lake, instance: dg.DagsterInstance) -> None:
    key = lake.land(line(event()))
    lake.load()
    assert press(instance, "rebuild").success
    lake.client.delete_object(Bucket=lake.settings.landing_bucket, Key=key)
    assert "1 are missing" in failure(press(instance, "rebuild"))
    assert "`reason`" in failure(press(instance, "rebuild", accept_loss=True, by="me"))
    assert lake.rows("select count(*) from whatsapp_events") == [(1,)]
    assert press(instance, "rebuild", accept_loss=True, reason="deleted on purpose", by="me").success
    assert lake.rows("select accepted_by, reason from landing_losses") == [("me", "deleted on purpose")]


def test_quarantine_is_tried_again(lake: Lake, instance: dg.DagsterInstance) -> None:
    lake.land(line(event(), 1), b"no line\n")
    lake.load()
    ((entry,),) = lake.rows("select id from quarantined_events")
    assert press(instance, "quarantine_retry").success
    assert lake.rows("select attempts from quarantined_events") == [(2,)]
    assert press(instance, "quarantine_retry", ids=[str(entry)], reason="another").success is False
    assert press(instance, "quarantine_retry", ids=["00000000-0000-0000-0000-000000000001"]).success is False
    assert lake.rows("select attempts from quarantined_events") == [(2,)]


def test_a_line_that_does_not_verify_fails_the_run(lake: Lake, instance: dg.DagsterInstance) -> None:
    lake.land(line(event(), 1))
    assert press(instance, "verify").success
    changed = line(event(), 2).replace(b'"oi"', b'"ola"')
    lake.land(changed, at=RECEIVED + timedelta(hours=1))
    assert press(instance, "verify", hour="2026-05-21-04:00").success
    assert failure(press(instance, "verify")).endswith("1 of 2 lines and files fail")


def test_old_runs_are_pruned_by_an_age_of_its_own(
    lake: Lake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This storage is none that can be pruned, which is said with the age that was asked for."""
    assert lake
    monkeypatch.setenv("RUN_HISTORY_DAYS", "90")
    assert "not PostgreSQL" in failure(press(instance, "prune", days=1))
    assert press(instance, "prune", days=0).success is False


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ("DATABASE_URL=postgresql://nobody@127.0.0.1:9/none", "See that PostgreSQL runs where DATABASE_URL leads"),
        ("AWS_ENDPOINT_URL_S3=http://127.0.0.1:9", "See that the object store runs and takes the key"),
        ("WHATSAPP_WEBHOOK_SECRET=", "WHATSAPP_WEBHOOK_SECRET"),
    ],
)
def test_a_failure_begins_with_its_remedy(
    lake: Lake, instance: dg.DagsterInstance, given: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.land(line(event()))
    monkeypatch.setenv(*given.split("=", 1))
    monkeypatch.setattr("pipelines.landing.zone.PATIENCE", timedelta(seconds=1))
    result = press(instance, "load_range", first="2026-05-21-04:00")
    assert remedy in failure(result).partition(". ")[0]


def test_what_is_reported_holds_no_content_and_nobody(lake: Lake, instance: dg.DagsterInstance) -> None:
    now = datetime.now(UTC)
    lake.land(line(event(), 1, now), at=now)
    result = press(instance, "load_range", first=f"{now:%Y-%m-%d-%H}:00")
    materialised = [
        each.step_materialization_data.materialization for each in result.get_asset_materialization_events()
    ]
    (events,) = (each for each in materialised if each.asset_key.path[-1] == "whatsapp_events")
    values = {name: value.value for name, value in events.metadata.items()}
    assert (values["dagster/row_count"], values["dagster/partition_row_count"], values["loaded"]) == (1, 1, 1)
    assert values["newest_event"] == pytest.approx(now.timestamp())
    assert 0 <= float(str(values["delay_seconds"])) < 600
    assert values["types"] == "| type | events |\n|---|---:|\n| messages.upsert | 1 |"
    people = [jid.partition("@")[0] for (jid,) in lake.rows("select jid from whatsapp_participant_jids")]
    assert people
    assert not any(digits in str(each.metadata) for digits in people for each in materialised)


def test_rows_are_counted_exactly_whatever_the_snapshots_know(lake: Lake, instance: dg.DagsterInstance) -> None:
    def counted() -> object:
        result = press(instance, "load_range", first="2026-05-21-04:00", last="2026-05-23-04:00")
        events = (each.step_materialization_data.materialization for each in result.get_asset_materialization_events())
        return next(e.metadata["dagster/row_count"].value for e in events if e.asset_key.path[-1] == "whatsapp_events")

    for number in range(3):
        moment = RECEIVED + timedelta(days=number)
        lake.land(line(event(), number, moment), at=moment)
        assert counted() == number + 1
        press(instance, "snapshot_range", first=str(moment.date()))
    lake.land(line(event(), "late", RECEIVED))
    assert counted() == 4
    with psycopg.connect(lake.settings.conninfo) as conn:
        assert conn.execute("select count(*) from snapshot_files where \"table\" = 'whatsapp_events'").fetchone() == (
            3,
        )
