"""Keeps child processes alive until it is told to stop, and then stops every one of them.

Belongs here: starting, restarting, recording and ending processes. Not: which processes, and when they are ready
(stack.py).
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from devstack import processes

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.5  # even in a crash loop a child is back within 2 s
STEADY_SECONDS = 10.0  # a child that lived this long starts over with the first pause
LOG_BYTES = 50_000_000


@dataclass(frozen=True)
class Child:
    """One process to keep alive. `environment` is all of its environment; its output goes to `log`."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 15.0


class Supervisor:
    """Keeps children alive while the block runs; leaving it stops them in reverse order.

    `record` holds who runs at any moment; `say` gets one line whenever a child ended by itself. Enter it with handlers
    for SIGINT and SIGTERM in place: a signal that this process ignores is ignored by its children for ever.
    """

    def __init__(self, record: Path, say: Callable[[str], None]) -> None:
        self._record = record
        self._say = say
        self._stopping = asyncio.Event()
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._identities: dict[str, processes.Process] = {}
        self._keepers: list[tuple[Child, asyncio.Task[None]]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self, child: Child) -> None:
        """Start a child and keep it alive from now on. Raises OSError if it can't be started at all."""
        await self._spawn(child)
        self._keepers.append((child, asyncio.create_task(self._keep(child))))

    async def stop(self) -> None:
        """Stop every child, the last one first."""
        self._stopping.set()
        for child, keeper in reversed(self._keepers):
            await self._end(child, keeper)
        self._keepers.clear()

    async def _keep(self, child: Child) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = time.monotonic()
            process = self._running[child.name]
            how = _how(await process.wait())
            _kill_group(process.pid)
            pause = FIRST_PAUSE_SECONDS if time.monotonic() - began > STEADY_SECONDS else pause
            if self._stopping.is_set() or not await self._respawn(child, how, pause):
                return
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _respawn(self, child: Child, how: str, pause: float) -> bool:
        """Start a child that has ended, after the pause; False if the stop came first."""
        self._say(f"{child.name} {how}: starting it again (its log: {child.log})")
        while not await self._stopped_within(pause):
            try:
                await self._spawn(child)
            except OSError as error:
                self._say(f"{child.name} can't be started, trying again: {error}")
                pause = LONGEST_PAUSE_SECONDS
            else:
                return True
        return False

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _spawn(self, child: Child) -> None:
        with _open_log(child.log) as log:
            process = await asyncio.create_subprocess_exec(
                *child.command,
                env=child.environment,
                cwd=child.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running[child.name] = process
        self._identities[child.name] = processes.identify(child.name, process.pid)
        processes.write_record(self._record, self._identities.values())
        if self._stopping.is_set():  # the stop came while it started, and signalled its predecessor
            _signal(process, child.stop_signal)

    async def _end(self, child: Child, keeper: asyncio.Task[None]) -> None:
        _signal(self._running[child.name], child.stop_signal)
        await asyncio.wait({keeper}, timeout=child.grace_seconds)
        if not keeper.done():
            self._say(f"{child.name} doesn't stop: killing it")
            _kill_group(self._running[child.name].pid)
        await keeper
        del self._identities[child.name]
        processes.write_record(self._record, self._identities.values())


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)


def _kill_group(pid: int) -> None:
    """Kill what is left of a child's process group. The id isn't given away again while one member lives."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".old.log"))
    return path.open("ab")
