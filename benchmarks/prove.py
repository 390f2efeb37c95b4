"""`make prove`: signed events under load while receiver, store, Postgres and loader are killed, and not one is lost.

Belongs here: the load, the kills, and the count at the end. Not: how the stack restarts what is killed (devstack). Each
event is sent until it is acknowledged, as the collector does; in the end the ids that were acknowledged must be those
of the landed lines, of the rows and of the Parquet files, and `reconcile` must find no difference.
"""

import asyncio
import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import aiohttp
import psycopg

from devstack.waiting import free_ports
from pipelines import env_file
from pipelines.landing.format import decode_line, split_lines
from pipelines.landing.zone import LandingZone
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore
from receiver.landing import signature

SECONDS = float(os.environ.get("PROVE_SECONDS", "120"))  # of load and kills; starting and counting come on top
SENDERS, PAUSE_SECONDS, RETRY_SECONDS = 8, 0.05, 0.25
KILL_SECONDS = 5
VICTIMS = ("receiver", "s3", "loader", "postgres")
PATH = "/api/webhooks/whatsapp"
VERBS = [sys.executable, "-m", "pipelines.cli"]


class Proof:
    """One run: what was acknowledged, and what was killed."""

    def __init__(self, data_dir: Path, port: int, secret: str) -> None:
        self.data_dir, self.secret = data_dir, secret
        self.url = f"http://127.0.0.1:{port}{PATH}"
        self.acknowledged: set[str] = set()
        self.killed: Counter[str] = Counter()
        self.attempts = 0
        self.loader: asyncio.subprocess.Process | None = None
        self.until = time.monotonic() + SECONDS

    @property
    def under_way(self) -> bool:
        """Whether events are still to be sent and processes to be killed."""
        return time.monotonic() < self.until

    async def send(self, session: aiohttp.ClientSession, sender: int) -> None:
        """Send one event after the other, each until it is acknowledged."""
        for number in itertools.count():
            if not self.under_way:
                return
            chat = f"{120363000000000000 + sender}@g.us"
            author = f"{910000000000000 + number % 50}@lid"
            key = {"remoteJid": chat, "fromMe": False, "id": f"{sender}-{number}", "participant": author}
            payload = {"key": key, "messageTimestamp": int(time.time()), "message": {"conversation": f"n. {number}"}}
            body = json.dumps({"type": "messages.upsert", "chat_jid": chat, "payload": payload}).encode()
            event_id = str(uuid.uuid4())
            signed = signature(self.secret.encode(), "current", event_id.encode(), body)
            headers = {"Content-Type": "application/json", "X-Event-Id": event_id, "X-Signature": signed}
            await self._deliver(session, body, headers)
            self.acknowledged.add(event_id)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _deliver(self, session: aiohttp.ClientSession, body: bytes, headers: dict[str, str]) -> None:
        """Post an event until it is acknowledged."""
        while True:
            self.attempts += 1
            with suppress(aiohttp.ClientError, TimeoutError):
                async with session.post(self.url, data=body, headers=headers) as answer:
                    if answer.status == HTTPStatus.ACCEPTED:
                        return
            await asyncio.sleep(RETRY_SECONDS)

    async def kill(self) -> None:
        """Kill one process after the other, with SIGKILL."""
        for victim in itertools.cycle(VICTIMS):
            await asyncio.sleep(KILL_SECONDS)
            if not self.under_way:
                return
            with suppress(ProcessLookupError):
                if victim != "loader":
                    record = json.loads((self.data_dir / "processes.json").read_text())
                    [pid] = [each["pid"] for each in record["processes"] if each["name"] == victim]
                    os.kill(pid, signal.SIGKILL)
                elif self.loader and self.loader.returncode is None:
                    self.loader.kill()
                self.killed[victim] += 1

    async def load(self) -> None:
        """Run one load after the other; those that fail are what is proved to do no harm."""
        while self.under_way:
            self.loader = await asyncio.create_subprocess_exec(*VERBS, "load", stdout=-3, stderr=-3)
            await self.loader.wait()


async def disturb(proof: Proof) -> None:
    """Send, load and kill at once, until the time is over and every event is acknowledged."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        await asyncio.gather(proof.kill(), proof.load(), *(proof.send(session, each) for each in range(SENDERS)))


def finish(*words: str, seconds: float = 120) -> None:
    """Run a verb until it succeeds: what was killed last may still be starting."""
    until = time.monotonic() + seconds
    while (done := subprocess.run([*VERBS, *words], capture_output=True, text=True, check=False)).returncode:
        if time.monotonic() > until:
            sys.exit(f"{' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def ids() -> dict[str, set[str]]:
    """Return the event ids of the landed lines, of the rows and of the Parquet files."""
    settings = LakeSettings.from_environment()
    zone, store = LandingZone(settings), SnapshotStore(settings)
    landed = {
        decode_line(line).event_id
        for page in zone.files()
        for fetched in zone.fetch(page)
        for line in split_lines(fetched.content)
    }
    with psycopg.connect(settings.conninfo) as conn:
        rows = {event_id for (event_id,) in conn.execute("select event_id::text from whatsapp_events")}
        dates = [day for (day,) in conn.execute("select received_on from event_days")]
    parquet = {
        each for day in dates for each in store.read("whatsapp_events", day, ["event_id"])["event_id"].to_pylist()
    }
    return {"landed": landed, "rows": rows, "Parquet": parquet}


def main() -> None:
    """Run the proof; exit 1 unless every acknowledged event is everywhere, once, and nothing else is."""
    secret, [port] = secrets.token_hex(32), free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "lake"
        words = [*VERBS, "up", "--no-dagster", "--data-dir", str(data_dir), "--receiver-port", str(port)]
        own = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DATABASE_", "DAGSTER_"))
        }
        up = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=own | {"WHATSAPP_WEBHOOK_SECRET": secret})
        try:
            if not any(line.startswith("READY") for line in up.stdout or ()):
                sys.exit("the stack didn't start")
            os.environ.update(env_file.read(data_dir))
            proof = Proof(data_dir, port, secret)
            by_turns = ", ".join(VICTIMS)
            print(f"{SENDERS} senders for {SECONDS:.0f} s; killed every {KILL_SECONDS} s: {by_turns}", flush=True)
            asyncio.run(disturb(proof))
            killed = ", ".join(f"{name} {times}" for name, times in proof.killed.items())
            print(f"{proof.attempts} requests for {len(proof.acknowledged)} events; killed: {killed}", flush=True)
            for verb in (["load"], ["snapshot"], ["reconcile", "--full"]):
                finish(*verb)
            found = ids()
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(60)
    lost = len(proof.acknowledged - (found["landed"] & found["rows"] & found["Parquet"]))
    if all(each == proof.acknowledged for each in found.values()):
        print(f"acknowledged = landed = rows = Parquet: {len(proof.acknowledged)}; lost {lost}")
        return
    numbers = ", ".join(f"{name} {len(each)}" for name, each in found.items())
    sys.exit(f"acknowledged {len(proof.acknowledged)}, {numbers}; lost {lost}")


if __name__ == "__main__":
    main()
