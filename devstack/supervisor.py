"""Keeps child processes alive until it is told to stop, and then stops every one of them.

Belongs here: starting, restarting, recording and ending processes. Not: which processes (stack.py), when they are
ready (lifecycle.py), how their logs are kept short (logs.py).
"""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from devstack import processes
from devstack.logs import LogLimit, shorten

LOG_END_BYTES = 1000
LOG_SECONDS = 1  # between two looks at how long the logs are
PAUSE_SECONDS = 0.5  # between an end and the next start: short, also in a crash loop, and no busy loop


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


async def spawn(child: Child) -> Process:
    """Start a child, as the leader of a session of its own."""
    with child.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *child.command,
            env=child.environment,
            cwd=child.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


class Supervisor(AsyncExitStack):
    """Keeps children alive while the block runs; leaving it stops them in reverse order.

    `record` holds who runs at any moment; `say` gets one line whenever a child ended by itself; `log_limit` is that of
    each child's log. Start children with handlers for SIGINT and SIGTERM in place: a signal that this process ignores
    is ignored by its children for ever.
    """

    def __init__(self, record: Path, say: Callable[[str], None], log_limit: LogLimit) -> None:
        super().__init__()
        self._record = record
        self._say = say
        self._log_limit = log_limit
        self._logs: list[Path] = []
        self._running: dict[str, Process] = {}
        self._identities: dict[str, processes.Process] = {}

    async def __aenter__(self) -> Self:
        self.watch(self._keep_logs_short())
        return self

    def watch(self, watching: Coroutine[Any, Any, None]) -> None:
        """Run what never ends by itself, until the block ends."""
        self.push_async_callback(_cancel, asyncio.create_task(watching))

    async def start(self, child: Child) -> None:
        """Start a child and keep it alive from now on. Raises OSError if it can't be started at all."""
        await self._spawn(child)
        self._logs.append(child.log)
        self.push_async_callback(self._stop, child, asyncio.create_task(self._keep(child)))

    async def _keep_logs_short(self) -> None:
        while True:
            await asyncio.sleep(LOG_SECONDS)
            await asyncio.to_thread(shorten, tuple(self._logs), self._log_limit)

    def pid(self, name: str) -> int:
        """Return a child's present process id."""
        return self._running[name].pid

    async def _keep(self, child: Child) -> None:
        while True:
            process = self._running[child.name]
            how = _how(await process.wait())
            _kill_group(process.pid)
            self._say(f"{child.name} {how}: starting it again. Its log, {child.log}, ends: {_end(child.log)}")
            await self._respawn(child)

    async def _respawn(self, child: Child) -> None:
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            try:
                return await self._spawn(child)
            except OSError as error:
                self._say(f"{child.name} can't be started, trying again: {error}")

    async def _spawn(self, child: Child) -> None:
        process = await spawn(child)
        self._running[child.name] = process
        before = self._identities.get(child.name)
        restarts = before["restarts"] + 1 if before else 0
        self._identities[child.name] = processes.identify(child.name, process.pid, restarts)
        processes.write_record(self._record, self._identities.values())

    async def _stop(self, child: Child, keeper: asyncio.Task[None]) -> None:
        await _cancel(keeper)
        process = self._running[child.name]
        with suppress(ProcessLookupError):
            process.send_signal(child.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), child.grace_seconds)
        except TimeoutError:
            self._say(f"{child.name} doesn't stop: killing it")
        _kill_group(process.pid)
        await process.wait()
        del self._identities[child.name]
        processes.write_record(self._record, self._identities.values())


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _end(log: Path) -> str:
    """Return the last line of a log, which somebody may have removed."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_END_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return "(it can't be read)"
    return next((line.strip() for line in reversed(lines) if line.strip()), "(nothing)")


def _kill_group(pid: int) -> None:
    """Kill what is left of a child's process group. The id isn't given away again while one member lives."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
