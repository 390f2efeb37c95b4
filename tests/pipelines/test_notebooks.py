"""What the data team reads with: one line for a snapshot.

Belongs here: `pipelines.notebook`, README's lines. Not: the notebooks (test_notebook_pages), other readers
(test_snapshot_readers).
"""

import io
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from factories import RECEIVED, event, event_id, group, line, message
from lake import Lake
from project import ROOT

from pipelines import env_file, notebook
from pipelines.landing.hours import today
from pipelines.snapshots.bucket import snapshot_key
from pipelines.snapshots.schemas import SCHEMAS
from pipelines.snapshots.write import write_snapshots

pytestmark = pytest.mark.notebooks

DAY = RECEIVED.date()
HOSTILE = "<img src=x onerror=alert(1)>"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def write_day(lake: Lake, *events: object, at: datetime = RECEIVED) -> None:
    """Land, load and write one event a name."""
    lake.land(*(line(event(), name, at) for name in events), at=at)
    lake.load(at)
    list(write_snapshots(lake.settings, lake.snapshots, at.date()))


def write_state(lake: Lake, day: str) -> None:
    """Write the groups as they are, under another date than today's."""
    list(write_snapshots(lake.settings, lake.snapshots, today()))
    bucket = lake.settings.snapshot_bucket
    key = snapshot_key("whatsapp_groups", date.fromisoformat(day))
    source = f"{bucket}/{snapshot_key('whatsapp_groups', today())}"
    lake.client.copy_object(Bucket=bucket, Key=key, CopySource=source)


def test_a_dates_events_have_the_types_that_pandas_gives(lake: Lake) -> None:
    write_day(lake, 1, 2)
    frame = notebook.read("whatsapp_events", date="2026-05-21")
    address = f"s3://{lake.settings.snapshot_bucket}/{snapshot_key('whatsapp_events', DAY)}"
    pd.testing.assert_frame_equal(frame, pd.read_parquet(address))
    assert (len(frame), str(frame["received_at"].dtype)) == (2, "datetime64[us, UTC]")


@pytest.mark.parametrize(
    "several",
    [
        ["2026-05-21", "2026-05-22"],
        [date(2026, 5, 22), date(2026, 5, 21), "2026-05-21"],
        pd.date_range("2026-05-21", "2026-05-22"),
    ],
    ids=["texts", "dates", "a range"],
)
def test_events_of_several_dates_come_together_once_each(lake: Lake, several: Any) -> None:
    write_day(lake, 1, 2)
    write_day(lake, 3, at=RECEIVED + timedelta(days=1))
    frame = notebook.read("whatsapp_events", date=several, columns=["received_at"])
    assert list(frame["received_at"].dt.day) == [21, 21, 22]


def test_events_without_a_date_are_not_read(lake: Lake) -> None:
    write_day(lake, 1)
    with pytest.raises(ValueError, match="name a date, or several: whatsapp_events has 2026-05-21"):
        notebook.read("whatsapp_events")


def test_a_state_is_the_newest_unless_told_otherwise(lake: Lake) -> None:
    write_state(lake, "2026-05-20")
    write_day(lake, 1, at=datetime.now(UTC))
    assert notebook.dates("whatsapp_groups") == ["2026-05-20", str(today())]
    assert list(notebook.read("whatsapp_groups")["external_jid"]) == [group()]
    assert list(notebook.read("whatsapp_groups", date="2026-05-20")["external_jid"]) == []


@pytest.mark.parametrize("table", ["whatsapp_events", "whatsapp_groups"])
def test_no_date_is_not_every_date(lake: Lake, table: str) -> None:
    write_day(lake, 1)
    write_state(lake, "2026-05-21")
    with pytest.raises(ValueError, match="no date named"):
        notebook.read(table, date=[])


def test_a_moment_is_on_its_utc_date(lake: Lake) -> None:
    write_day(lake, 1)
    evening_before = datetime.fromisoformat("2026-05-20T22:00:00-03:00")
    assert len(notebook.read("whatsapp_events", date=evening_before)) == 1


def test_a_state_is_never_read_on_several_dates(lake: Lake) -> None:
    write_state(lake, "2026-05-20")
    with pytest.raises(ValueError, match="several states of whatsapp_groups would count it several times"):
        notebook.read("whatsapp_groups", date=notebook.dates("whatsapp_groups"))


def test_a_table_without_snapshots_is_told_with_those_that_have_some(lake: Lake) -> None:
    with pytest.raises(notebook.NoSnapshotError, match="no snapshots of whatsapp_events; it has those of: none yet"):
        notebook.dates("whatsapp_events")
    write_day(lake, 1)
    with pytest.raises(notebook.NoSnapshotError, match="no snapshots of events; it has those of: whatsapp_events"):
        notebook.read("events", date="2026-05-21")


def test_a_date_without_a_snapshot_is_told_with_those_that_have_one(lake: Lake) -> None:
    write_day(lake, 1)
    with pytest.raises(notebook.NoSnapshotError, match="of whatsapp_events of 2026-05-20; there are: 2026-05-21"):
        notebook.read("whatsapp_events", date=["2026-05-20", "2026-05-21"])


@pytest.mark.parametrize("table", SCHEMAS)
def test_a_file_describes_its_columns(lake: Lake, table: str) -> None:
    list(write_snapshots(lake.settings, lake.snapshots, today()))
    found = notebook.describe(table)
    assert list(found.columns) == ["type", "null", "meaning", "unit", "source"]
    assert dict(found["meaning"]) == {
        field.name: (field.metadata or {})[b"meaning"].decode() for field in SCHEMAS[table]
    }


def test_duckdb_has_every_date_of_events_and_the_newest_state(lake: Lake) -> None:
    write_state(lake, "2026-05-20")
    write_day(lake, 1, 2)
    write_day(lake, 3, at=datetime.now(UTC))
    asked = "select count(*), count(distinct date) from"
    duckdb = notebook.connect()
    assert duckdb.sql(f"{asked} whatsapp_events").fetchall() == [(3, 2)]
    assert duckdb.sql(f"{asked} whatsapp_groups").fetchall() == [(1, 1)]


def test_a_file_from_before_a_column_came_has_nulls_in_it(lake: Lake) -> None:
    """The older date's file is written without the column, as an earlier version wrote it."""
    write_day(lake, 1)
    write_day(lake, 2, at=RECEIVED + timedelta(days=1))
    key = snapshot_key("whatsapp_events", DAY)
    others = [name for name in SCHEMAS["whatsapp_events"].names if name != "chat_jid"]
    with io.BytesIO() as old:
        pq.write_table(lake.snapshots.read("whatsapp_events", DAY, others), old)
        lake.client.put_object(Bucket=lake.settings.snapshot_bucket, Key=key, Body=old.getvalue())
    days = ["2026-05-21", "2026-05-22"]
    found = notebook.read("whatsapp_events", date=days, columns=["chat_jid"])["chat_jid"]
    assert found.isna().tolist() == [True, False]
    asked = "select date, chat_jid is null from whatsapp_events order by date"
    assert notebook.connect().sql(asked).fetchall() == [(date(2026, 5, 21), True), (date(2026, 5, 22), False)]


def test_duckdb_reads_the_landing_zone_too(lake: Lake) -> None:
    lake.land(line(event(message(text="\u2028")), "one"), line(event(), "two"))
    files = f"s3://{lake.settings.landing_bucket}/whatsapp/*/*/*.jsonl"
    found = notebook.connect().read_json(files).project("event_id, body.type").fetchall()
    assert [(str(name), kind) for name, kind in found] == [
        (event_id("one"), "messages.upsert"),
        (event_id("two"), "messages.upsert"),
    ]


def test_who_may_read_the_buckets_needs_no_database(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    write_day(lake, 1)
    monkeypatch.delenv("DATABASE_URL")
    assert notebook.dates("whatsapp_events") == ["2026-05-21"]


def test_without_settings_those_of_the_nearest_stack_are_taken(
    lake: Lake, lake_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_day(lake, 1)
    for name in lake_environment:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of somebody else's key")
    (tmp_path / ".wpp-lake").mkdir()
    (tmp_path / ".wpp-lake" / "env").write_text("".join(f"{key}={value}\n" for key, value in lake_environment.items()))
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine" / "deep")
    assert notebook.dates("whatsapp_events") == ["2026-05-21"]


def test_without_settings_and_without_a_stack_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(env_file.NoStackError, match="has `wpp-lake up` run"):
        notebook.read("whatsapp_groups")


def test_the_lines_of_the_readme_read_a_snapshot(lake: Lake) -> None:
    write_state(lake, "2026-05-20")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    [day] = {day for block in blocks for day in re.findall(r"\d{4}-\d\d-\d\d", block)}
    write_day(lake, 1, 2, at=datetime.fromisoformat(f"{day}T12:00:00Z"))
    for block in blocks:
        names: dict[str, Any] = {}
        exec(block, names)  # noqa: S102  README's own lines
        assert names["events"]["deliveries"].sum() == 2
    assert len(blocks) == 2
