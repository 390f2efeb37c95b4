"""`wpp-lake up` with Dagster in 2.5 GB of memory: it takes, loads and writes, and nothing of it is killed."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from factories import SECRET
from senders import closed_loop
from stack_process import Running, running, store_client, wait_for

pytestmark = pytest.mark.server

LIMIT_BYTES = 2_500_000_000
ROOT = Path("/sys/fs/cgroup")


class Cgroup:
    """A control group of the memory controller, of the kernel's first or second version."""

    def __init__(self, name: str) -> None:
        first = ROOT / "memory"
        self.folder, self.is_first = (first if first.is_dir() else ROOT) / name, first.is_dir()

    def make(self) -> None:
        """Make it, with the limit and without swap."""
        if not self.is_first:
            (ROOT / "cgroup.subtree_control").write_text("+memory")
        self.folder.mkdir()
        limits = ("memory.limit_in_bytes", "memory.swappiness") if self.is_first else ("memory.max", "memory.swap.max")
        for name, value in zip(limits, (LIMIT_BYTES, 0), strict=True):
            (self.folder / name).write_text(str(value))

    def take_in(self, pid: int) -> None:
        """Take in a process, and what it will start."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    def pids(self) -> set[int]:
        """Return who is in it."""
        return {int(pid) for pid in (self.folder / "cgroup.procs").read_text().split()}

    def killed(self) -> int:
        """Return how many processes were killed for want of memory."""
        words = (self.folder / ("memory.oom_control" if self.is_first else "memory.events")).read_text().split()
        return int(words[words.index("oom_kill") + 1])


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """Make a control group, and remove it once it is empty."""
    assert os.geteuid() == 0, "control groups take root: run this as root"
    cgroup = Cgroup(f"wpp-lake-test-{os.getpid()}")
    cgroup.make()
    yield cgroup
    wait_for(lambda: not cgroup.pids(), "the end of all of it")
    cgroup.folder.rmdir()


def test_the_whole_stack_works_within_2_5_gb(tmp_path: Path, cgroup: Cgroup) -> None:
    """Events are taken, runs load them, and write snapshots."""
    with running("up", tmp_path / "lake", WHATSAPP_WEBHOOK_SECRET=SECRET, SNAPSHOT_MINUTES="1") as up:
        cgroup.take_in(up.process.pid)
        up.line("READY")
        assert set(up.pids().values()) <= cgroup.pids()
        with closed_loop(f"http://127.0.0.1:{up.receiver_port}", senders=4) as load:
            load.wait_for_acknowledgements(1000)
        wait_for(lambda: snapshots(up), "a snapshot of events")
        assert cgroup.killed() == 0


def snapshots(up: Running) -> list[str]:
    """Return the keys of the events' snapshots."""
    with closing(store_client(up.environment())) as client:
        listed = client.list_objects_v2(Bucket="wpp-snapshots", Prefix="whatsapp_events/")
        return [each["Key"] for each in listed.get("Contents", [])]
