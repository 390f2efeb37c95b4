"""The Dagster definitions, and what the jobs do when they run."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
from factories import RECEIVED, event, line
from fault_proxy import answers, fault_proxy
from lake import Lake
from project import ROOT

from pipelines.landing.hours import PartitionKeyError, hour_key, parse_hour, today
from pipelines.loading.ledger import LoadCounts
from pipelines.orchestration import definitions, partitions, runs
from pipelines.orchestration.resources import Lake as LakeParts
from pipelines.orchestration.sensors import new_landing_files, stale_snapshots
from pipelines.snapshots.schemas import SCHEMAS

if TYPE_CHECKING:
    from servers import S3


def materialised(instance: dg.DagsterInstance, *key: str) -> set[str]:
    """Return the partitions of an asset that Dagster knows as materialised."""
    return set(instance.get_materialized_partitions(dg.AssetKey(key)))


# Each module is imported as the first of the project's; what others made stays imported, for it takes seconds.
IMPORT_EACH = """
import importlib, pkgutil, sys, pipelines
for module in [each.name for each in pkgutil.walk_packages(pipelines.__path__, "pipelines.")]:
    for name in [name for name in sys.modules if name.partition(".")[0] in {"pipelines", "receiver", "sql"}]:
        del sys.modules[name]
    try:
        if not module.endswith("__main__"):
            importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != "pyspark" or not module.startswith("pipelines.spark."):  # an extra, which isn't here
            raise
"""


def test_every_module_can_be_imported_first(tmp_path: Path) -> None:
    """Importing touches neither environment nor network: there is none of either here."""
    assert imported(IMPORT_EACH, tmp_path) == ""


@pytest.mark.parametrize(
    ("modules", "spared"),
    [
        pytest.param("cli.main, pipelines.audit.verify", {"dagster", "pyarrow", "adbc_driver_manager"}, id="verify"),
        pytest.param("cli.main, pipelines.orchestration.runs", {"adbc_driver_manager"}, id="load"),
    ],
)
def test_a_verb_imports_no_library_that_it_can_spare(modules: str, spared: set[str], tmp_path: Path) -> None:
    assert imported(f"import sys, pipelines.{modules}; print(*{spared} & set(sys.modules), end='')", tmp_path) == ""


def imported(script: str, home: Path) -> str:
    """Run a script that imports, in a fresh interpreter and an empty environment; return what it said."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "DO_NOT_TRACK": "1"},
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_the_definitions_are_valid() -> None:
    dg.Definitions.validate_loadable(definitions.defs)


def test_assets_and_jobs_have_their_names() -> None:
    assert {key.to_user_string() for key in definitions.defs.resolve_all_asset_keys()} == {
        "landing/files",
        "tables/whatsapp_groups",
        "tables/whatsapp_participants",
        "tables/whatsapp_events",
        "snapshots/whatsapp_events",
        "snapshots/whatsapp_groups",
        "snapshots/whatsapp_participants",
        "snapshots/whatsapp_participant_jids",
        "snapshots/payload_fields",
    }
    assert {"load", "snapshot", "prune"} <= {job.name for job in definitions.defs.resolve_all_job_defs()}


def test_the_sensors_run_by_default() -> None:
    assert new_landing_files.default_status is dg.DefaultSensorStatus.RUNNING
    assert stale_snapshots.default_status is dg.DefaultSensorStatus.RUNNING


def test_the_running_hour_and_day_are_partitions() -> None:
    assert partitions.HOURS.has_partition_key(hour_key(datetime.now(UTC)))
    assert partitions.DAYS.has_partition_key(today().isoformat())
    assert partitions.HOURS.has_partition_key("2026-01-01-00:00")


@pytest.mark.parametrize("key", ["", "soon", "2026-05-21", "2026-05-21-06:30", "2025-12-31-23:00", "2999-01-01-00:00"])
def test_what_is_no_hour_is_refused(key: str) -> None:
    with pytest.raises(PartitionKeyError):
        parse_hour(key)


def test_hours_in_a_row_are_one_run() -> None:
    hours = [RECEIVED.replace(minute=0, second=0, microsecond=0) + timedelta(hours=h) for h in (5, 0, 1)]
    tags = [partitions.range_tags(*stretch) for stretch in partitions.stretches(hours)]
    assert [(each[partitions.RANGE_START], each[partitions.RANGE_END]) for each in tags] == [
        ("2026-05-21-04:00", "2026-05-21-05:00"),
        ("2026-05-21-09:00", "2026-05-21-09:00"),
    ]
    assert [each["hours"] for each in tags] == ["2026-05-21-04:00 to 2026-05-21-05:00", "2026-05-21-09:00"]


def test_a_run_takes_hours_in_a_row_of_so_many_bytes_and_24_of_which_nobody_knows() -> None:
    """What is little is one run however many hours it has: a run takes seconds to start."""
    first, most = RECEIVED.replace(minute=0, second=0, microsecond=0), partitions.RUN_BYTES

    def pieces(*sizes: int | None) -> list[tuple[int, int]]:
        hours = {first + timedelta(hours=number): size for number, size in enumerate(sizes) if size != -1}
        found = partitions.pieces(hours)
        return [(round((a - first) / timedelta(hours=1)), round((b - first) / timedelta(hours=1))) for a, b in found]

    assert pieces() == []
    assert pieces(*[10] * 2000) == [(0, 1999)]
    assert pieces(*[None] * 50) == [(0, 23), (24, 47), (48, 49)]
    assert pieces(most // 2, most // 2, 1, most + 1, 1, 1) == [(0, 1), (2, 2), (3, 3), (4, 5)]
    assert pieces(1, -1, 1) == [(0, 0), (2, 2)]


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ("2026-05-21-04:00", ["2026-05-21-04:00"]),
        ("2026-05-21-23:00 to 2026-05-22-00:00", ["2026-05-21-23:00", "2026-05-22-00:00"]),
        ("all", []),
    ],
)
def test_a_runs_tags_name_its_hours(hours: str, expected: list[str]) -> None:
    assert list(map(hour_key, partitions.hours_of({"hours": hours}))) == expected
    assert partitions.hours_of({}) == []


def test_a_load_takes_every_hour_that_the_ledger_lacks(lake: Lake, instance: dg.DagsterInstance) -> None:
    for hours in (0, 1, 5):
        moment = RECEIVED + timedelta(hours=hours)
        lake.land(line(event(), hours, moment), at=moment)
    assert runs.run_load() == LoadCounts(files=3, lines=3, loaded=3)
    assert materialised(instance, "tables", "whatsapp_events") == {
        "2026-05-21-04:00",
        "2026-05-21-05:00",
        "2026-05-21-09:00",
    }
    assert runs.run_load() == LoadCounts()


def test_a_load_of_one_hour_leaves_the_others(lake: Lake, instance: dg.DagsterInstance) -> None:
    lake.land(line(event(), 1))
    lake.land(line(event(), 2), at=RECEIVED + timedelta(hours=1))
    assert runs.run_load(RECEIVED.replace(minute=0, second=0, microsecond=0)).files == 1
    assert materialised(instance, "tables", "whatsapp_groups") == {"2026-05-21-04:00"}


def test_files_outside_the_partitions_are_loaded_and_written_too(lake: Lake, instance: dg.DagsterInstance) -> None:
    """By runs of no partition: a clock was wrong, or the partitions began before older files came."""
    outside = [datetime(2025, 12, 31, 23, tzinfo=UTC), datetime.now(UTC) + timedelta(hours=30)]
    for moment in (RECEIVED, *outside):
        lake.land(line(event(), moment, moment), at=moment)
    assert runs.run_load() == LoadCounts(files=3, lines=3, loaded=3)
    assert [run.job_name for run in instance.get_runs()] == ["load_range", "load_range", "load"]
    assert materialised(instance, "tables", "whatsapp_events") == {"2026-05-21-04:00"}
    written = [uri.rsplit("/", 2)[1] for uri, _ in runs.run_snapshots()]
    assert set(written) == {"date=2025-12-31", "date=2026-05-21", f"date={today()}"}


def test_a_snapshot_without_a_date_writes_today_and_the_stale_dates(lake: Lake, instance: dg.DagsterInstance) -> None:
    lake.land(line(event()))
    lake.load()
    written = [uri.rsplit("/", 2)[1] for uri, _ in runs.run_snapshots()]
    assert written == [*["date=2026-05-21"] * 2, *[f"date={today()}"] * 5]
    assert materialised(instance, "snapshots", "whatsapp_events") == {"2026-05-21", str(today())}
    assert instance.get_latest_materialization_event(dg.AssetKey(["snapshots", "whatsapp_groups"]))


def test_a_date_that_can_not_be_written_stops_no_other(
    lake: Lake, instance: dg.DagsterInstance, s3: "S3", monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in (RECEIVED, RECEIVED + timedelta(days=1)):
        lake.land(line(event(), at, at), at=at)
        lake.load(at)
    with fault_proxy(s3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        written = runs.run_snapshots()
        first = [next(written), next(written)]
        proxy.first(answers(403))
        rest: list[tuple[str, int]] = []
        with pytest.raises(runs.RunError, match=r"the snapshots of 2026-05-22: See that the object store runs .*403"):
            rest.extend(written)
    assert [uri.rsplit("/", 2)[1] for uri, _ in first] == ["date=2026-05-21"] * 2
    assert materialised(instance, "snapshots", "whatsapp_events") == {"2026-05-21", str(today())}


def test_the_running_date_needs_no_hour_that_has_not_begun() -> None:
    """So a backfill may have it among its dates."""
    mapping = definitions.defs.resolve_asset_graph().get_partition_mapping(
        dg.AssetKey(["snapshots", "whatsapp_events"]), dg.AssetKey(["tables", "whatsapp_events"])
    )
    hours = mapping.get_upstream_mapped_partitions_result_for_partitions(
        partitions.DAYS.subset_with_partition_keys([today().isoformat()]), partitions.DAYS, partitions.HOURS
    )
    assert list(hours.required_but_nonexistent_partition_keys) == []
    assert f"{today()}-00:00" in hours.partitions_subset


def test_a_failed_run_is_said_and_can_run_again(lake: Lake, instance: dg.DagsterInstance) -> None:
    lake.land(line(event()))
    lake.connection.execute("alter table landing_files add constraint none_yet check (lines < 0)")
    with pytest.raises(Exception, match="none_yet"):
        runs.run_load()
    lake.connection.execute("alter table landing_files drop constraint none_yet")
    assert runs.run_load().loaded == 1
    assert instance.get_runs_count() == 2


def test_an_event_asks_for_its_snapshots_at_once_and_then_not_before_ten_minutes(
    lake: Lake, instance: dg.DagsterInstance
) -> None:
    def tick(cursor: str | None) -> Any:
        return stale_snapshots(dg.build_sensor_context(instance=instance, cursor=cursor), lake=LakeParts())

    lake.land(line(event()))
    lake.load()
    asked = tick(None)
    assert [request.partition_key for request in asked.run_requests] == ["2026-05-21", str(today())]
    assert isinstance(tick(asked.cursor), dg.SkipReason)
    later = (datetime.fromisoformat(asked.cursor) - timedelta(minutes=10)).isoformat()
    assert [request.partition_key for request in tick(later).run_requests] == ["2026-05-21", str(today())]
    list(runs.run_snapshots())
    assert tick(later).skip_message == "every snapshot shows what the tables have"


def test_a_run_by_itself_leaves_what_is_current_and_one_asked_for_writes_it(
    lake: Lake, instance: dg.DagsterInstance
) -> None:
    lake.land(line(event(), 1))
    lake.load()
    assert len(list(runs.run_snapshots())) == 7
    assert list(runs.run_snapshots()) == []
    lake.land(line(event(), 2))
    lake.load()
    written = [uri.rsplit("/", 3)[1:3] for uri, _ in runs.run_snapshots()]
    assert written == [
        ["whatsapp_events", "date=2026-05-21"],
        ["payload_fields", "date=2026-05-21"],
        *([table, f"date={today()}"] for table in list(SCHEMAS)[1:]),
    ]
    assert [rows for _, rows in runs.run_snapshots(RECEIVED.date())] == [2, 10]
    assert instance.get_runs_count() == 5


def test_every_asset_says_what_it_is_before_its_first_run() -> None:
    """With each column's meaning, but for the landing files, which have none."""
    graph = definitions.defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        asset = graph.get(key)
        assert asset.description
        assert asset.description.startswith(("One row per ", "The landed "))
        assert asset.owners == ["team:data", "team:data-privacy"]
        assert asset.tags["personal-data"] == ("derived" if key.path[-1] == "payload_fields" else "yes")
        if key.path[0] != "landing":
            columns = asset.metadata["dagster/column_schema"].columns
            assert columns
            assert [column.name for column in columns if not column.description] == []
