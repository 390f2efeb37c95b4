"""Loaders as processes of their own, what they load, and what is left when they have ended.

Belongs here: starting one, following its batches, comparing what it did. Not: what goes wrong meanwhile.
"""

import subprocess
import sys
from datetime import timedelta
from typing import Any

from factories import RECEIVED, line
from lake import Lake
from project import ROOT

LEDGER = "select key, lines, loaded, duplicates, quarantined from landing_files order by key"
# Loads the hour in batches of one file, and says so after each.
LOADER = """
import logging, sys, psycopg
from datetime import datetime
from pipelines.loading import batches
from pipelines.landing import zone as landing_zone
from pipelines.loading.load import load
from pipelines.settings import LakeSettings
batches.BATCH_FILES = 1
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
settings = LakeSettings.from_environment()
with psycopg.connect(settings.conninfo, autocommit=True) as conn:
    hour = datetime.fromisoformat(sys.argv[1])
    load(conn, landing_zone.LandingZone(settings), [hour], "run")
"""

Outcome = tuple[dict[str, list[tuple[Any, ...]]], list[tuple[Any, ...]]]


def land(lake: Lake, sample: list[dict[str, Any]]) -> None:
    """Land the sample as 30 files of 10 lines."""
    lines = [
        line(request["body"].encode(), request["headers"]["X-Event-Id"], RECEIVED + timedelta(seconds=request["n"]))
        for request in sample
    ]
    for start in range(0, len(lines), 10):
        lake.land(*lines[start : start + 10])


def loader() -> "subprocess.Popen[str]":
    """Start a loader of its own process."""
    command = [sys.executable, "-c", LOADER, RECEIVED.isoformat()]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def wait_for_batches(process: "subprocess.Popen[str]", batches: int) -> None:
    """Wait until a loader has loaded so many batches."""
    assert process.stdout
    for _ in range(batches):
        assert process.stdout.readline()


def outcome(lake: Lake) -> Outcome:
    """Return what the tables and the ledger hold."""
    return lake.content(), lake.rows(LEDGER)
