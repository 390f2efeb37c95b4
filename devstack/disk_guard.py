"""The disk guard: on a disk that fills the store refuses first, and PostgreSQL has a reserve with which it can finish.

Belongs here: watching what is free, and what follows from it. Not: how the store refuses (seaweed.py), which disk is
low (pipelines/doctor/disk.py).
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import StackError
from pipelines.doctor.disk import AGAIN, least_free

LOOK_SECONDS = 1  # a look is a few calls of the system
POSTGRES_NEEDS = 64_000_000  # to start, and to finish what it has begun: a checkpoint, some files of WAL


@dataclass
class DiskGuard:
    """Has the store refuse puts while the disk of its folder has less free than `store_least`, and keeps the reserve.

    `refuse` makes it refuse (true), or take puts. The reserve is a file of allocated blocks in PostgreSQL's folder, so
    on its disk for certain; of 0 bytes there is none.
    """

    store: Path
    store_least: float
    refuse: Callable[[bool], None]
    postgres: Path
    reserve_bytes: int
    say: Callable[[str], None]
    refuses: bool | None = None  # None: not known, as after a kill

    def check(self) -> None:
        """Give up the reserve if a start needs it. Raises StackError where that isn't enough."""
        disk = self.postgres if self.postgres.exists() else self.postgres.parent
        if disk == self.postgres:
            self.keep_reserve()
        if (free := shutil.disk_usage(disk).free) < POSTGRES_NEEDS:
            raise StackError(
                f"{free / 1e6:,.0f} MB are free on the disk of {disk}, and PostgreSQL needs "
                f"{POSTGRES_NEEDS / 1e6:,.0f} MB to start: make room"
            )

    def keep_reserve(self) -> None:
        """Give the reserve up where PostgreSQL has no room, and make it where it leaves enough."""
        reserve, disk = self.postgres / "reserve", shutil.disk_usage(self.postgres)
        there, full = reserve.exists(), disk.free < POSTGRES_NEEDS
        enough = self.reserve_bytes + least_free(self.store_least, disk.total) * AGAIN
        if there and (
            full or reserve.stat().st_size != self.reserve_bytes
        ):  # the setting has changed, or a make failed
            reserve.unlink()
            if full:
                size = f"{self.reserve_bytes / 1e6:,.0f} MB"
                self.say(f"PostgreSQL's disk is full: its reserve of {size} is free now, make room")
        elif self.reserve_bytes and not there and disk.free > enough:
            with reserve.open("xb") as made:
                os.posix_fallocate(made.fileno(), 0, self.reserve_bytes)

    def guard_store(self) -> None:
        """Have the store refuse or take puts, where it has to change. Raises StackError while it doesn't answer."""
        disk = shutil.disk_usage(self.store)
        least = least_free(self.store_least, disk.total)
        again = least * AGAIN
        refuse = disk.free < (again if self.refuses else least)
        if refuse is self.refuses:
            return
        self.refuse(refuse)
        if refuse or self.refuses:
            now = f"refuses events until {again / 1e6:,.0f} MB are: make room" if refuse else "takes events again"
            self.say(f"{disk.free / 1e6:,.0f} MB are free on the store's disk: it {now}")
        self.refuses = refuse


async def repeat(look: Callable[[], None]) -> None:
    """Look every second, until this is cancelled."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        with suppress(OSError, StackError, subprocess.SubprocessError):  # the store is starting again, say
            await asyncio.to_thread(look)
