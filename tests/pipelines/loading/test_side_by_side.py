"""Two and three loads at once, of one hour or of neighbouring ones, and a rebuild beside them."""

from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any

import pytest
from factories import RECEIVED, line
from lake import Lake
from standstill import in_sessions, loads

from pipelines.db.queries import query
from pipelines.loading import batches
from pipelines.loading.load import rebuild

HOURS = [RECEIVED + timedelta(hours=number) for number in range(3)]
LEDGER = "select key, lines, quarantined from landing_files order by key"
EVENTS = "select event_id, deliveries, landing_key, landing_line from whatsapp_events order by event_id"
LOADED = "select sum(loaded)::int, sum(duplicates)::int from landing_files"


@pytest.fixture
def landed(lake: Lake, sample: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Return a lake with the sample in 30 files of three hours, each line once more in another hour; small batches."""
    monkeypatch.setattr(batches, "BATCH_FILES", 2)
    lines = [
        line(request["body"].encode(), request["headers"]["X-Event-Id"], RECEIVED + timedelta(seconds=request["n"]))
        for request in sample
    ]
    for number, start in enumerate(range(0, len(lines), 20)):
        lake.land(*lines[start : start + 20], at=HOURS[number % 3])
        lake.land(*reversed(lines[start : start + 20]), at=HOURS[(number + 1) % 3])
    return lake


def outcome(lake: Lake) -> Any:
    """Return what must not depend on who loaded what when."""
    return lake.content(), lake.rows(LEDGER), lake.rows(EVENTS), lake.rows(LOADED)


def after_one_load(lake: Lake) -> Any:
    """Return the outcome of one undisturbed load, and empty the tables."""
    loads(lake, *HOURS)(lake.connection)
    undisturbed = outcome(lake)
    lake.connection.execute(query("load/empty"))
    return undisturbed


@pytest.mark.parametrize(
    "shares",
    [
        (HOURS, HOURS),
        (HOURS, HOURS, HOURS),
        (HOURS, HOURS[::-1]),
        (HOURS[:1], HOURS[1:]),
        (HOURS[:1], HOURS[1:2], HOURS[2:]),
        (HOURS[:2], HOURS[1:], HOURS[::2]),
    ],
    ids=["two the same", "three the same", "two from both ends", "two apart", "three apart", "three overlapping"],
)
def test_loads_at_once_end_as_one_does(landed: Lake, shares: tuple[list[datetime], ...]) -> None:
    undisturbed = after_one_load(landed)
    with in_sessions(landed) as run:
        for loading in [run(loads(landed, *hours)) for hours in shares]:
            loading.result()
    assert outcome(landed) == undisturbed


def test_rebuilds_beside_live_loads_end_as_one_load_does(landed: Lake) -> None:
    undisturbed = after_one_load(landed)
    with in_sessions(landed) as run:
        beside: list[Future[Any]] = [run(loads(landed, hour)) for hour in HOURS]
        beside += [run(lambda conn: rebuild(conn, landed.zone, "rebuild")) for _ in range(2)]
        beside += [run(loads(landed, hour)) for hour in HOURS]
        for each in beside:
            each.result()
    assert outcome(landed) == undisturbed
