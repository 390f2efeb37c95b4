"""The demo: 300 signed requests through the whole stack, and what became of them.

Belongs here: sending the sample, running `load` and `snapshot` on it, saying what came out. Not: starting the stack
(lifecycle.py), sending and loading themselves (pipelines/), counting (findings.py).
"""

import asyncio
import json
import signal
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.progress import Progress

from devstack.errors import StackError
from devstack.findings import look, notebook_line
from devstack.lifecycle import Say
from devstack.processes import dies_with_parent
from devstack.stack import Stack
from pipelines.replay import replay

SAMPLE = Path(__file__).with_name("sample") / "requests.jsonl"
SAMPLE_SECRET = "test-secret"  # noqa: S105  public: it signed the sample, and only the demo's receiver takes it


async def show(stack: Stack, say: Say, *, once: bool) -> int | None:
    """Send the sample through the stack and say what became of it.

    With `once` return the exit code: 0 if the counts add up, else 1. Raises StackError if a step fails.
    """
    answers = await asyncio.to_thread(_send, stack.environment["WPP_LAKE_RECEIVER_URL"])
    for verb in ("load", "snapshot"):
        say(f"wpp-lake {verb}")
        await _run(stack, verb)
    findings = await asyncio.to_thread(look, stack, answers, _event_ids())
    for line in findings.lines():
        say(line)
    say(f"In a notebook, while the stack is up:\n{notebook_line(stack, findings.newest_date)}")
    if stack.plan.dagster:
        say(f"Dagster: {stack.environment['WPP_LAKE_DAGSTER_URL']}")
    if once:
        return 1 if findings.discrepancies() else 0
    say("Everything stays up until Ctrl-C.")
    return None


def _send(receiver_url: str) -> Counter[str]:
    with Progress(console=Console(stderr=True)) as progress:
        sending = progress.add_task("sending the sample", total=len(_lines()))
        try:
            return replay(SAMPLE, receiver_url, lambda _: progress.advance(sending))
        except* (aiohttp.ClientError, TimeoutError) as errors:
            raise StackError(f"the sample couldn't be sent: {errors.exceptions[0]}") from errors


def _event_ids() -> list[str]:
    """Return the sample's distinct event ids, as they are stored."""
    return sorted({json.loads(line)["headers"]["X-Event-Id"].lower() for line in _lines()})


def _lines() -> list[bytes]:
    return SAMPLE.read_bytes().rstrip(b"\n").split(b"\n")


async def _run(stack: Stack, verb: str) -> None:
    """Run a verb of `wpp-lake` on the stack, as a person would in a shell. Raises StackError if it fails."""
    log = stack.plan.data_dir / "logs" / f"demo-{verb}.log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(*dies_with_parent(signal.SIGTERM), sys.executable, "-m", "pipelines.cli", verb),
            env=stack.python_environment,
            cwd=stack.plan.data_dir,
            stdout=out,
            stderr=out,
        )
    try:
        code = await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
    if code != 0:
        raise StackError(f"wpp-lake {verb} failed with exit code {code} (its log: {log})")
