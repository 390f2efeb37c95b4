"""A loader that is killed leaves nothing half done: the next one goes on, and ends where an undisturbed one does."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from factories import RECEIVED, line
from lake import Lake

ROOT = Path(__file__).parent.parent
# Loads the hour in batches of one file, and says so after each.
LOADER = """
import logging, sys, psycopg
from datetime import datetime
from pipelines import landing_zone
from pipelines.loading import load
from pipelines.settings import LakeSettings
landing_zone.BATCH_FILES = 1
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
settings = LakeSettings.from_environment()
with psycopg.connect(settings.conninfo, autocommit=True) as conn:
    hour = datetime.fromisoformat(sys.argv[1])
    load(conn, landing_zone.LandingZone(settings), [hour], "run")
"""


def loader() -> "subprocess.Popen[str]":
    """Start a loader of its own process."""
    command = [sys.executable, "-c", LOADER, RECEIVED.isoformat()]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def land(lake: Lake, sample: list[dict[str, Any]]) -> None:
    """Land the sample as 30 files of 10 lines."""
    lines = [
        line(request["body"].encode(), request["headers"]["X-Event-Id"], RECEIVED + timedelta(seconds=request["n"]))
        for request in sample
    ]
    for start in range(0, len(lines), 10):
        lake.land(*lines[start : start + 10])


def test_killed_loaders_lose_nothing_and_repeat_nothing(lake: Lake, sample: list[dict[str, Any]]) -> None:
    land(lake, sample)
    lake.load()
    undisturbed = lake.content(), lake.rows("select key, lines, loaded, duplicates from landing_files order by 1")
    lake.connection.execute(
        "truncate whatsapp_groups, whatsapp_participants, whatsapp_jid_pairs, event_days, landing_files cascade"
    )
    for batches in (1, 2, 3, 5, 8):
        with loader() as process:
            assert process.stdout
            for _ in range(batches):
                process.stdout.readline()
            process.kill()
    with loader() as process:
        process.wait()
    assert process.returncode == 0
    ledger = lake.rows("select key, lines, loaded, duplicates from landing_files order by 1")
    assert (lake.content(), ledger) == undisturbed


def test_two_loaders_at_once_load_every_file_once(lake: Lake, sample: list[dict[str, Any]]) -> None:
    land(lake, sample)
    with loader() as one, loader() as other:
        assert (one.wait(), other.wait()) == (0, 0)
    assert lake.rows("select count(*), sum(lines)::int, sum(loaded)::int from landing_files") == [(30, 300, 294)]
    assert lake.rows("select count(*), sum(deliveries)::int from whatsapp_events") == [(294, 300)]
