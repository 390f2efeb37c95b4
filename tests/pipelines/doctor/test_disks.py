"""Room on the disks: what the guard of the embedded stack does as it changes, and what `status` says of it."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from command import wpp_lake
from lake import Lake

from devstack import disk_guard
from devstack.disk_guard import DiskGuard
from devstack.errors import StackError
from pipelines.doctor.disk import Disk, disks
from pipelines.settings import LakeSettings

RESERVE = 1_000_000


class Told(list[str | bool]):
    """A guard whose store and person are this list, with what each was told."""

    def __init__(self, folder: Path, reserve_bytes: int = RESERVE) -> None:
        super().__init__()
        self.guard = DiskGuard(folder, 0, self.append, folder, reserve_bytes, self.append)

    def told(self, free: float) -> list[str | bool]:
        """Return what they are told when so many times the least is free."""
        self.clear()
        self.guard.store_least = shutil.disk_usage(self.guard.store).free / free
        self.guard.guard_store()
        return [
            each if isinstance(each, bool) else each.partition(" disk: ")[2].partition(" until")[0] for each in self
        ]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """Return a guard of a folder."""
    return Told(tmp_path)


def test_the_store_refuses_below_its_least_and_takes_again_with_a_tenth_more(told: Told) -> None:
    assert [told.told(free) for free in (2, 0.5, 0.5, 1.05, 1.5, 1.05)] == [
        [False],
        [True, "it refuses events"],
        [],
        [],
        [False, "it takes events again"],
        [],
    ]


def test_a_store_that_did_not_hear_it_is_told_again(told: Told) -> None:
    """It was starting just then."""

    def is_away(_: bool) -> None:
        raise StackError("it doesn't answer")

    told.told(2)
    told.guard.refuse = is_away
    with pytest.raises(StackError):
        told.told(0.5)
    told.guard.refuse = told.append
    assert told.told(0.5) == [True, "it refuses events"]


def reserve(folder: Path) -> list[int]:
    """Return the bytes that the reserve takes of the disk, if there is one."""
    return [file.stat().st_blocks * 512 for file in folder.iterdir()]


def test_the_reserve_takes_its_room_at_once_and_follows_its_setting(tmp_path: Path) -> None:
    for size in (RESERVE, 2 * RESERVE, 0):
        guard = Told(tmp_path, size).guard
        guard.keep_reserve()  # takes away one of another size
        guard.keep_reserve()
        assert [taken // RESERVE for taken in reserve(tmp_path)] == ([size // RESERVE] if size else [])


def test_no_reserve_is_made_for_which_the_store_would_have_to_refuse(told: Told, tmp_path: Path) -> None:
    told.guard.store_least = shutil.disk_usage(tmp_path).free
    told.guard.keep_reserve()
    assert reserve(tmp_path) == []


def test_the_reserve_is_given_up_and_the_start_refused_where_postgres_has_no_room(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told.guard.keep_reserve()
    monkeypatch.setattr(disk_guard, "POSTGRES_NEEDS", 10**18)
    with pytest.raises(StackError, match="PostgreSQL needs 1,000,000,000,000 MB to start: make room"):
        told.guard.check()
    assert reserve(tmp_path) == []
    assert told == ["PostgreSQL's disk is full: its reserve of 1 MB is free now, make room"]


def looked(settings: LakeSettings, **changed: object) -> list[Disk]:
    """Return the disks, with settings changed."""
    return disks(settings.model_copy(update=changed))


def test_parts_on_one_file_system_are_one_disk(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "s3").mkdir()
    [disk] = looked(lake.settings, wpp_lake_data_dir=tmp_path)
    assert (disk["holds"], disk["low"]) == (["postgres", "s3"], False)
    assert Path(disk["path"]).is_mount()
    assert tmp_path.is_relative_to(disk["path"])
    assert 0 < disk["free_bytes"] < disk["total_bytes"]


def test_another_file_system_is_another_disk(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "s3").symlink_to("/proc")
    found = looked(lake.settings, wpp_lake_data_dir=tmp_path)
    assert [disk["holds"] for disk in found] == [["postgres"], ["s3"]]
    assert found[1]["path"] == "/proc"


def test_in_production_the_disk_of_dagster_is_that_of_a_database_on_the_same_machine(
    lake: Lake, tmp_path: Path
) -> None:
    elsewhere = type(lake.settings.database_url)("postgresql://wpp_loader@db.example.org/wpp_lake")
    look = partial(looked, lake.settings, dagster_home=tmp_path)
    assert [disk["holds"] for disk in look()] == [["dagster", "postgres"]]
    assert [disk["holds"] for disk in look(database_url=elsewhere)] == [["dagster"]]
    assert looked(lake.settings, dagster_home=None) == []


def test_the_status_tells_how_much_is_free_and_of_a_low_disk_on_stderr(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s3").mkdir()
    monkeypatch.setenv("WPP_LAKE_DATA_DIR", str(tmp_path))
    before = wpp_lake("status", "--json")
    [disk] = json.loads(before.stdout)["disks"]
    assert (disk["holds"], disk["low"], before.stderr) == (["s3"], False, "")
    monkeypatch.setenv("STORE_MIN_FREE_MEGABYTES", "1e12")
    after = wpp_lake("status")
    assert [line for line in after.stdout.splitlines() if line.startswith("s3 ") and line.endswith(", LOW")] != []
    assert "the disk of s3 " in after.stderr
    assert "the store refuses events, which the collector keeps: make room" in after.stderr
    assert lake.settings.store_min_free_megabytes == 512
