"""The load generator: wrk in a process of its own, sending deliveries that were signed before the round.

Belongs here: the supply of signed deliveries, running wrk, what it reports. Not: which servers, and what it means.
"""

import hmac
import itertools
import json
import resource
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = "/api/webhooks/whatsapp"
BODY_BYTES = 1_071  # the mean body of the collector's groups
BODIES = 64
ANSWER_SECONDS = 30  # how long wrk waits for one answer before it counts it as late
_SCRIPT = Path(__file__).with_name("presigned.lua")


class LoadError(RuntimeError):
    """wrk isn't here, or a round in which not every request was answered as it should be."""


class VoidError(LoadError):
    """A round that shows nothing, and is to be measured again, longer and with more deliveries."""


@dataclass(frozen=True)
class Load:
    """Wrk's figures of one round: answers of status 2xx and 3xx, and their latency."""

    acknowledged: int
    seconds: float
    sent: int
    p50_ms: float
    p99_ms: float
    generator_busy: float  # wrk's CPU time by wall time: at 1 its only thread is the bottleneck

    @property
    def rate(self) -> float:
        """Acknowledged events per second."""
        return self.acknowledged / self.seconds


class Generator:
    """Signs and sends deliveries, each of which has an event id that no other of this object has."""

    def __init__(self, folder: Path, secret: str) -> None:
        self._secret = secret.encode()
        self._numbers = itertools.count(1)
        self._bodies = [_body(number) for number in range(BODIES)]
        self._bodies_file, self._deliveries_file = folder / "bodies.txt", folder / "deliveries.bin"
        self._bodies_file.write_bytes(b"".join(body + b"\n" for body in self._bodies))

    def run(self, url: str, connections: int, seconds: int, supply: int) -> Load:
        """Send for some seconds over so many connections. Raises LoadError unless every answer was a good one."""
        with self._deliveries_file.open("wb") as file:
            file.writelines(self._delivery(number) for number in range(supply))
        command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s"]
        command += [f"--timeout={ANSWER_SECONDS}s", f"--script={_SCRIPT}", url]
        command += ["--", str(self._bodies_file), str(self._deliveries_file)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        said = _run(command, seconds + ANSWER_SECONDS)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return _load(said, supply, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    def _delivery(self, number: int) -> bytes:
        """Return an unused event id and its signature, for the body of that number."""
        event_id = b"be9c0000-0000-4000-8000-%012x" % next(self._numbers)
        signed = event_id + b"." + self._bodies[number % BODIES]
        return event_id + hmac.digest(self._secret, signed, "sha256").hex().encode()


def find_wrk() -> None:
    """Raise LoadError when this machine has no wrk."""
    if shutil.which("wrk") is None:
        raise LoadError("needs wrk, the load generator (Debian: apt-get install wrk)")


def _run(command: Sequence[str], seconds: float) -> dict[str, Any]:
    """Run wrk and return the last line that it writes, which the script makes."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"wrk didn't end within {seconds:.0f} s") from error
    if done.returncode != 0 or not done.stdout.endswith("}\n"):
        raise LoadError(f"wrk failed: {done.stdout}{done.stderr}".strip())
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _load(said: dict[str, Any], supply: int, cpu_seconds: float) -> Load:
    """Check what wrk reports and put it into our units."""
    if said["sent"] > supply:
        raise VoidError(f"{supply} signed deliveries were too few: wrk sent {said['sent']}, some of them twice")
    if said["not_2xx"] or said["broken"] or said["late"]:
        raise LoadError(f"not every request was answered 202: {said}")
    if not said["acknowledged"]:
        raise VoidError(f"no answer came before the end: {said}")
    seconds = said["microseconds"] / 1e6
    return Load(
        said["acknowledged"], seconds, said["sent"], said["p50_us"] / 1e3, said["p99_us"] / 1e3, cpu_seconds / seconds
    )


def _body(number: int) -> bytes:
    """Return a text message of BODY_BYTES that differs from the others."""
    key = {"remoteJid": "120363000000000001@g.us", "fromMe": False, "id": f"3EB0{number:018X}"}
    key |= {
        "participant": f"{910000000000000 + number}@lid",
        "participantAlt": f"{5500900000000 + number}@s.whatsapp.net",
    }
    event: dict[str, Any] = {"type": "messages.upsert", "chat_jid": "120363000000000001@g.us"}
    event["payload"] = {"key": key, "messageTimestamp": 1779336842 + number, "pushName": "Pessoa Inventada"}
    event["payload"]["message"] = {"conversation": ""}
    words = "mensagem de teste, "
    short = BODY_BYTES - len(json.dumps(event))
    event["payload"]["message"]["conversation"] = (words * (short // len(words) + 1))[:short]
    return json.dumps(event).encode()
