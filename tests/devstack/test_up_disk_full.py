"""`wpp-lake up` on a disk that is full: the store refuses first, nothing is lost, and it all goes on by itself."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from factories import SECRET
from senders import Load, closed_loop, landed_events
from stack_process import WPP_LAKE, Running, running, wait_for

from devstack.seaweed import REGION

pytestmark = pytest.mark.server

MEGABYTE = 1_000_000
SETTINGS = {
    "WHATSAPP_WEBHOOK_SECRET": SECRET,
    "STORE_MIN_FREE_MEGABYTES": "150",
    "POSTGRES_RESERVE_MEGABYTES": "100",
}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 700 MB; memory is what it is of."""
    assert os.geteuid() == 0, "mounting takes root: run this as root"
    folder = tmp_path / "disk"
    folder.mkdir(mode=0o700)
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=700m,mode=0700", "small", str(folder)], check=True)
    yield folder
    subprocess.run(["/bin/umount", "--lazy", str(folder)], check=True)


def free(disk: Path) -> int:
    """Return what is free."""
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def fill(disk: Path, left: int) -> None:
    """Fill the disk but for about so many bytes."""
    with (disk / "ballast").open("ab", buffering=0) as ballast, suppress(OSError):  # others write too
        for _ in range((free(disk) - left) // MEGABYTE):
            ballast.write(bytes(MEGABYTE))


@contextmanager
def started(disk: Path) -> Iterator[Running]:
    """Run `up` on the disk, without Dagster."""
    with running("up", disk / "lake", "--no-dagster", **SETTINGS) as up:
        up.line("READY")
        yield up


def wpp_lake(up: Running, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a verb."""
    return subprocess.run(
        [WPP_LAKE, *words, f"--data-dir={up.data_dir}"], capture_output=True, text=True, check=True, timeout=120
    )


def low(up: Running) -> tuple[list[Sequence[str]], str]:
    """Return what the low disks hold, and what is told of them."""
    done = wpp_lake(up, "status", "--json")
    return [disk["holds"] for disk in json.loads(done.stdout)["disks"] if disk["low"]], done.stderr


class Store:
    """The stack's store, as its settings name it."""

    def __init__(self, up: Running) -> None:
        environment = up.environment()
        self.endpoint = environment["AWS_ENDPOINT_URL_S3"]
        self.access_key = environment["AWS_ACCESS_KEY_ID"]
        self.secret_key = environment["AWS_SECRET_ACCESS_KEY"]
        self.region = REGION


def lost(up: Running, load: Load) -> set[str]:
    """Return the events that were acknowledged and aren't landed."""
    landed = {found.event_id for found in landed_events(Store(up), "wpp-landing")}
    return {event_id for event_id, sent in load.sent.items() if sent.acknowledged} - landed


def loaded(up: Running) -> int:
    """Return how many events are rows."""
    with psycopg.connect(up.environment()["DATABASE_URL"], sslmode="prefer") as connection:
        [(count,)] = connection.execute("select count(*) from whatsapp_events").fetchall()
        return int(count)


def says(up: Running, text: str) -> None:
    """Return when it has printed a line that ends so."""
    wait_for(lambda: any(line.endswith(text) for line in up.lines()), text)


def test_a_full_disk_refuses_events_loads_what_there_is_and_goes_on_when_there_is_room(disk: Path) -> None:
    with started(disk) as up:
        reserve = up.data_dir / "postgres" / "reserve"
        with closed_loop(f"http://127.0.0.1:{up.receiver_port}", senders=2) as load:
            load.wait_for_acknowledgements(100)
            wait_for(reserve.exists, "the reserve")
            fill(disk, 140 * MEGABYTE)
            says(up, "are free on the store's disk: it refuses events until 165 MB are: make room")
            load.wait_for_answers(503, 10)
            acknowledged = load.acknowledged
            wpp_lake(up, "load")
            assert loaded(up) >= acknowledged
            fill(disk, MEGABYTE)
            says(up, "PostgreSQL's disk is full: its reserve of 100 MB is free now, make room")
            [holds], told = low(up)
            assert (holds, "is low" in told) == (["postgres", "s3", "dagster", "logs"], True)
            assert load.acknowledged == acknowledged
            (disk / "ballast").unlink()
            load.wait_for_acknowledgements(100)
            wait_for(reserve.exists, "the reserve again")
            assert low(up) == ([], "")
        assert load.never_told_when == 0
        assert lost(up, load) == set()


def test_a_start_on_a_low_disk_reads_and_refuses_until_there_is_room(disk: Path) -> None:
    with started(disk) as up, closed_loop(f"http://127.0.0.1:{up.receiver_port}", senders=2) as before:
        before.wait_for_acknowledgements(100)
    fill(disk, 100 * MEGABYTE)
    with started(disk) as up:
        says(up, "are free on the store's disk: it refuses events until 165 MB are: make room")
        assert lost(up, before) == set()
        assert "0 failures" in wpp_lake(up, "verify").stdout
        with closed_loop(f"http://127.0.0.1:{up.receiver_port}", senders=2) as after:
            after.wait_for_answers(503)
            (disk / "ballast").unlink()
            after.wait_for_acknowledgements(100)
        assert lost(up, after) == set()


def test_a_start_on_a_full_disk_says_what_is_to_be_done(disk: Path) -> None:
    fill(disk, 10 * MEGABYTE)
    with running("up", disk / "lake", "--no-dagster", **SETTINGS) as refused:
        where = disk / "lake"
        assert refused.line("wpp-lake: ").endswith(
            f" MB are free on the disk of {where}, and PostgreSQL needs 64 MB to start: make room"
        )
        assert refused.process.wait(60) == 1
