"""The demo: signed requests of a sample through the whole stack.

Belongs here: sending the sample, running `load` and `snapshot` on it, telling how far that is. Not: starting the stack
(lifecycle.py), what became of the sample (summary.py), sending and loading themselves (pipelines/), inventing weeks
(community/).
"""

import asyncio
import json
import logging
import os
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic

from devstack.community.requests import signed
from devstack.community.weeks import BRAZIL, events
from devstack.errors import StackError
from devstack.lifecycle import Say, until_stopped, up
from devstack.stack import Plan, Stack
from devstack.summary import next_steps, summarise
from pipelines.cli.replay import Request, replay, requests

SAMPLE = Path(__file__).with_name("sample") / "requests.jsonl"
SAMPLE_SECRET = "test-secret"  # noqa: S105  public: it signed the sample, and only the demo's receiver takes it
PREVIOUS_SECRETS = "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS"
TOLD_EVERY_SECONDS = 2.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """Requests to send, and their name."""

    name: str
    requests: Sequence[Request]

    @property
    def ids(self) -> set[str]:
        """The ids of its events."""
        return {request.headers["X-Event-Id"].lower() for request in self.requests}


def recorded() -> Sample:
    """Return the 300 requests that the repository has."""
    with SAMPLE.open("rb") as file:
        return Sample(SAMPLE.name, list(requests(file)))


def invented(weeks: int) -> Sample:
    """Return the requests of an invented community's weeks, which end with the last Sunday in Brazil."""
    today = datetime.now(BRAZIL).date()
    last = today - timedelta(days=today.isoweekday())
    return Sample(f"{weeks} weeks until {last}", list(signed(events(weeks, last), SAMPLE_SECRET)))


async def run(plan: Plan, say: Say, *, once: bool, weeks: int | None = None) -> int:
    """Run the stack, and show what becomes of the sample, whose signatures it takes beside those of its own secrets.

    Return the exit code: with `once` 0 if the counts add up, else 1. Raises StackError if a step fails.
    """
    previous = json.loads(os.environ.get(PREVIOUS_SECRETS) or "[]")
    os.environ[PREVIOUS_SECRETS] = json.dumps([*previous, SAMPLE_SECRET])
    _log.info("1 of 4: starting everything")
    return await up(plan, say, partial(_show, weeks=weeks, say=say, once=once))


async def _show(stack: Stack, weeks: int | None, say: Say, *, once: bool) -> int:
    sample = await asyncio.to_thread(invented, weeks) if weeks else recorded()
    _log.info("2 of 4: sending %s: %s signed requests", sample.name, f"{len(sample.requests):,}")
    progress = Progress(len(sample.requests), _log.info)
    answers = await asyncio.to_thread(replay, sample.requests, stack.plan.receiver_url, progress.answered)
    for step, verb in enumerate(("load", "snapshot"), 3):
        beside = ", for what Dagster itself has left" if stack.plan.dagster else ""  # its sensors are at work meanwhile
        _log.info("%d of 4: wpp-lake %s%s", step, verb, beside)
        await _run_verb(stack, verb)
    adds_up = await asyncio.to_thread(summarise, stack, sample.ids, answers, say)
    for line in next_steps(stack.plan, is_over=once):
        say(line)
    if once:
        return 0 if adds_up else 1
    say("Everything stays up until Ctrl-C.")
    return await until_stopped(stack)


class Progress:
    """Requests that were answered, of so many; told every few seconds, and at the end."""

    def __init__(self, total: int, tell: Callable[[str], object], clock: Callable[[], float] = monotonic) -> None:
        self._total, self._tell, self._clock = total, tell, clock
        self._done, self._began = 0, clock()
        self._told = self._began

    def answered(self) -> None:
        """Count an answer."""
        self._done += 1
        now = self._clock()
        if self._done == self._total or now - self._told >= TOLD_EVERY_SECONDS:
            self._told = now
            per_second = self._done / max(now - self._began, 1e-3)
            left = f", about {(self._total - self._done) / per_second:,.0f} s left" * (self._done < self._total)
            self._tell(f"  {self._done:,} of {self._total:,} answered, {per_second:,.0f} per second{left}")


async def _run_verb(stack: Stack, verb: str) -> None:
    """Run a verb of `wpp-lake` on the stack, as a person would in a shell, and pass on to stderr what it says.

    Raises StackError if it fails.
    """
    child = stack.python(f"demo-{verb}", "pipelines.cli", verb)
    process = await asyncio.create_subprocess_exec(
        *child.command, env=child.environment, cwd=child.folder,
        stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        with child.log.open("ab") as log:
            while process.stdout and (line := await process.stdout.readline()):
                log.write(line)
                _log.info("  %s", line.decode(errors="replace").rstrip())
        code = await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
    if code != 0:
        raise StackError(f"wpp-lake {verb} failed with exit code {code} (its log: {child.log})")
