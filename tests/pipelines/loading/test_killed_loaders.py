"""A loader that is killed leaves nothing half done: the next one goes on, and ends where an undisturbed one does."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from factories import RECEIVED
from lake import Lake
from loaders import LEDGER, land, loader, outcome
from project import ROOT
from wire import Wire, wire

from devstack.postgres import Postgres

MOST_SENT = 60_000  # bytes: some batches
# The same as a loader, over and over: for each port of Postgres that it reads a fork, its id, and how it ended.
LOADERS = """
import os, sys, psycopg
from datetime import datetime
from pipelines.loading import batches
from pipelines.landing import zone as landing_zone
from pipelines.loading.load import load
from pipelines.settings import LakeSettings
batches.BATCH_FILES = 1
settings = LakeSettings.from_environment()
for port in sys.stdin:
    pid = os.fork()
    if pid == 0:
        with psycopg.connect(settings.conninfo, port=int(port), autocommit=True) as conn:
            load(conn, landing_zone.LandingZone(settings), [datetime.fromisoformat(sys.argv[1])], "run")
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@contextmanager
def loaders(laid: Wire) -> Iterator[Callable[[int], int]]:
    """Give what runs a loader, kills it when it has sent Postgres so many bytes, and tells how it ended."""
    command = [sys.executable, "-c", LOADERS, RECEIVED.isoformat()]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        orders, answers = process.stdin, process.stdout
        assert orders
        assert answers

        def load_until(sent: int) -> int:
            laid.carry(sent)
            print(laid.port, file=orders, flush=True)
            pid = int(answers.readline())
            laid.wait()
            os.kill(pid, signal.SIGKILL)
            return int(answers.readline())

        yield load_until


def test_loaders_killed_at_random_moments_lose_nothing_and_repeat_nothing(
    lake: Lake, sample: list[dict[str, Any]], postgres_server: Postgres
) -> None:
    land(lake, sample)
    lake.load()
    undisturbed = outcome(lake)
    lake.connection.execute(
        "truncate whatsapp_groups, whatsapp_participants, whatsapp_jid_pairs, event_days, landing_files cascade"
    )
    moment = random.Random(20)  # noqa: S311  not for secrets
    with wire(postgres_server.port) as laid, loaders(laid) as load_until:
        ends = [load_until(moment.randint(1, MOST_SENT)) for _ in range(20)]
    assert ends == [-signal.SIGKILL] * 20
    assert 0 < len(lake.rows(LEDGER)) < 30
    lake.load()
    assert outcome(lake) == undisturbed


def test_two_loaders_at_once_load_every_file_once(lake: Lake, sample: list[dict[str, Any]]) -> None:
    land(lake, sample)
    with loader() as one, loader() as other:
        assert (one.wait(), other.wait()) == (0, 0)
    assert lake.rows("select count(*), sum(lines)::int, sum(loaded)::int from landing_files") == [(30, 300, 294)]
    assert lake.rows("select count(*), sum(deliveries)::int from whatsapp_events") == [(294, 300)]
