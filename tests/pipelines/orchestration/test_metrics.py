"""The pipelines' metrics: what each says of a real lake, and what a scrape gets when the lake is away."""

import asyncio
import re
import shutil
import socket
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factories import event, line
from lake import Lake
from project import ROOT
from webserver_process import serving

from pipelines.landing.hours import today
from pipelines.loading.pending import note_hours
from pipelines.orchestration import metrics
from pipelines.orchestration.metrics import METRICS, Metrics
from pipelines.snapshots.schemas import SCHEMAS
from pipelines.snapshots.write import write_snapshots
from receiver.landing import hour_prefix

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
LONG_AGO = datetime(2026, 5, 21, 4, tzinfo=UTC)
ABOUT = 1800  # seconds that a test may take: ages are hours, or months


@pytest.fixture
def deaf() -> Iterator[int]:
    """Listen where nobody ever answers: the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def read(text: str) -> dict[str, float]:
    """Return the samples of an exposition, by name and labels."""
    return {name: float(value) for name, value in re.findall(r"^(wpp_lake_\S+) (\S+)$", text, re.MULTILINE)}


def scraped() -> dict[str, float]:
    """Scrape, with nothing known from before."""
    return read(asyncio.run(Metrics().text()).decode())


def put(lake: Lake, moment: datetime, *lines: bytes) -> datetime:
    """Put a landing file whose key has this time; return when that is, to the millisecond."""
    milliseconds = int(moment.timestamp() * 1000)
    name = uuid.UUID(int=milliseconds << 80 | 0x7000_8000 << 48)
    key = f"{hour_prefix(moment)}{name}.jsonl"
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=b"".join(lines))
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def filled(lake: Lake) -> datetime:
    """Load, put aside, write snapshots, change, lose; leave one recent and one noted file waiting.

    Return when the newest loaded file was put, two hours ago.
    """
    moment = datetime.now(UTC) - 2 * HOUR
    lake.load(put(lake, moment - SECOND, line(event(), 1, moment - SECOND), b"no\n", b"line\n", line(b"[]")))
    lake.connection.execute("update quarantined_events set state = 'discarded' where line_number = 3")
    for day in {today(), moment.date()}:
        list(write_snapshots(lake.settings, lake.snapshots, day))
    newest = put(lake, moment, line(event(), 2, moment))
    lake.load(newest)
    lake.connection.execute("update landing_files set loaded_at = %s", [newest + 3 * SECOND])
    lake.connection.execute("update snapshot_files set written_at = %s", [newest - HOUR])
    for key, kind in (("a", "missing"), ("b", "missing"), ("c", "changed")):
        lake.connection.execute("insert into landing_alarms (key, kind) values (%s, %s)", [key, kind])
    put(lake, datetime.now(UTC), line(event(), 3))
    put(lake, LONG_AGO, line(event(), 4))
    note_hours(lake.connection, {LONG_AGO: 1})
    return newest


def test_the_webserver_serves_every_metric_with_what_the_lake_has(
    lake: Lake, lake_environment: dict[str, str], tmp_path: Path
) -> None:
    newest = filled(lake)
    with serving(tmp_path, **lake_environment, STORE_MIN_FREE_MEGABYTES="0") as served:
        text = served.ask("GET", "/metrics").text
    found, now = read(text), datetime.now(UTC)
    assert {name.partition("{")[0] for name in found} == set(METRICS)
    assert found == {
        "wpp_lake_up": 1,
        "wpp_lake_pending_files": 2,
        "wpp_lake_oldest_pending_seconds": pytest.approx((now - LONG_AGO).total_seconds(), abs=ABOUT),
        "wpp_lake_last_received_timestamp_seconds": pytest.approx(newest.timestamp(), abs=0.001),
        "wpp_lake_load_delay_seconds": 3,
        "wpp_lake_missing_files": 2,
        "wpp_lake_changed_files": 1,
        'wpp_lake_quarantined_lines{reason="bad_line"}': 1,
        'wpp_lake_quarantined_lines{reason="bad_envelope"}': 1,
        'wpp_lake_rows{table="whatsapp_events"}': 2,
        'wpp_lake_rows{table="whatsapp_groups"}': 1,
        'wpp_lake_rows{table="whatsapp_participants"}': 1,
        'wpp_lake_rows{table="whatsapp_participant_jids"}': 2,
        **{f'wpp_lake_snapshot_timestamp_seconds{{table="{table}"}}': (newest - HOUR).timestamp() for table in SCHEMAS},
        "wpp_lake_snapshot_stale_seconds": pytest.approx((now - newest).total_seconds() - 3, abs=ABOUT),
        "wpp_lake_privacy_review_timestamp_seconds": datetime(2999, 12, 31, tzinfo=UTC).timestamp(),
        'wpp_lake_disk_free_bytes{holds="dagster,postgres"}': pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2),
    }
    assert re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE) == [
        (name, "gauge") for name in re.findall(r"^# HELP (\w+)", text, re.MULTILINE)
    ]


def test_an_empty_lake_has_no_newest_event_and_waits_for_nothing(lake: Lake) -> None:
    assert set(METRICS) - {name.partition("{")[0] for name in scraped()} == {
        "wpp_lake_last_received_timestamp_seconds",
        "wpp_lake_load_delay_seconds",
        "wpp_lake_quarantined_lines",
        "wpp_lake_snapshot_timestamp_seconds",
        "wpp_lake_disk_free_bytes",  # no folder of this lake is known
    }
    found = scraped()
    none = ("pending_files", "oldest_pending_seconds", "missing_files", "changed_files", "snapshot_stale_seconds")
    assert {name: found[f"wpp_lake_{name}"] for name in none} == dict.fromkeys(none, 0)
    assert found['wpp_lake_rows{table="whatsapp_events"}'] == 0
    assert lake.rows("select * from landing_files") == []


@pytest.mark.parametrize("away", ["DATABASE_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize("how", ["refuses", "says nothing"])
def test_a_lake_that_is_away_is_not_up(
    lake: Lake, deaf: int, monkeypatch: pytest.MonkeyPatch, away: str, how: str
) -> None:
    """The review's date needs neither database nor store."""
    filled(lake)
    scheme = "postgresql" if away == "DATABASE_URL" else "http"
    monkeypatch.setenv(away, f"{scheme}://127.0.0.1:{deaf if how == 'says nothing' else 1}")
    assert scraped().keys() == {"wpp_lake_up", "wpp_lake_privacy_review_timestamp_seconds"}
    assert scraped()["wpp_lake_up"] == 0


def test_a_database_that_is_busy_is_not_up(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that has to wait is given up; the next scrape asks again."""
    monkeypatch.setattr(metrics, "FRESH_SECONDS", 0)
    scrapes = Metrics()

    async def scrape() -> list[float]:
        found = []
        with lake.connection.transaction():
            lake.connection.execute("lock table landing_files")
            found.append(read((await scrapes.text()).decode())["wpp_lake_up"])
        return [*found, read((await scrapes.text()).decode())["wpp_lake_up"]]

    assert asyncio.run(scrape()) == [0, 1]


@pytest.mark.usefixtures("lake_environment")
def test_a_scrape_doesnt_wait_for_a_slow_one(deaf: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://127.0.0.1:{deaf}")
    monkeypatch.setattr(metrics, "PATIENCE_SECONDS", 0.01)
    assert scraped() == {"wpp_lake_up": 0}


def test_scrapes_that_follow_each_other_ask_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    scrapes = Metrics()

    async def pending_and_rows() -> tuple[float, float]:
        found = read((await scrapes.text()).decode())
        return found["wpp_lake_pending_files"], found['wpp_lake_rows{table="whatsapp_events"}']

    async def watched() -> list[tuple[float, float]]:
        found = [await pending_and_rows()]
        lake.load(put(lake, datetime.now(UTC), line(event(), 1)))
        put(lake, datetime.now(UTC), line(event(), 2))
        found.append(await pending_and_rows())
        monkeypatch.setattr(metrics, "FRESH_SECONDS", 0)
        return [*found, await pending_and_rows()]

    assert asyncio.run(watched()) == [(0, 0), (0, 0), (1, 1)]


def test_rows_that_take_too_long_to_count_are_absent_and_the_lake_is_up(lake: Lake) -> None:
    """Here it waits for somebody's lock."""
    with lake.connection.transaction():
        lake.connection.execute("lock table whatsapp_groups")
        found = scraped()
    assert (found["wpp_lake_up"], [name for name in found if name.startswith("wpp_lake_rows")]) == (1, [])


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    text = (ROOT / "docs" / "dagster.md").read_text(encoding="utf-8").split("\n## Metrics\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines() if row.startswith("| `")]
    documented = {name.strip("`"): tuple(re.findall(r"`(\w+)`", labels)) for name, labels, *_ in rows}
    assert documented == {name: tuple(labels) for name, (_, *labels) in METRICS.items()}
