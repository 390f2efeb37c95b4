"""Landing files to load: the sample's bodies with ids, groups, people and times of their own, signed.

Belongs here: what a generated event is, and putting files of them. Not: loading them. Run as a process,
`python -m benchmarks.landings DAY HOURS FILES_PER_HOUR EVENTS_PER_FILE`, with settings as the receiver's.
"""

import json
import random
import re
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import obstore
from obstore.store import S3Store

from benchmarks.running import ROOT, SECRET
from receiver.landing import Contract, encode_line, file_metadata, new_key, signature
from receiver.settings import ReceiverSettings
from receiver.writer import open_store

COMMUNITIES = 160  # each has the sample's groups and people once
PUTS = 8
_SAMPLE = ROOT / "devstack" / "sample" / "requests.jsonl"
_SECONDS = b"#seconds##"  # stands for a Unix time in a body
_VARIED = re.compile(
    rb"(?<!\d)(?:5500910100(?P<phone>\d{3})|910100000000(?P<lid>\d{3})|12036300101000000(?P<group>\d)"
    rb"|176\d{7}(?P<millis>\d{3})?)(?!\d)"
)


@dataclass(frozen=True)
class Landing:
    """Landing files of equal numbers of events, spread evenly over UTC hours from that day of May 2026 on."""

    day: int
    hours_count: int
    files_per_hour: int
    events_per_file: int

    @property
    def hours(self) -> list[datetime]:
        """The UTC hours that hold files."""
        first = datetime(2026, 5, self.day, tzinfo=UTC)
        return [first + timedelta(hours=number) for number in range(self.hours_count)]

    @property
    def files(self) -> int:
        """How many files there are."""
        return self.hours_count * self.files_per_hour

    @property
    def events(self) -> int:
        """How many events there are, each with an id of its own."""
        return self.files * self.events_per_file


class Traffic:
    """An endless supply of signed events, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  (ids that repeat at every run, not secrets)
        with _SAMPLE.open(encoding="utf-8", newline="\n") as file:
            requests = [json.loads(line) for line in file]
        self._bodies: list[tuple[Contract, bytes]] = [
            (request["contract"], _moved(request["body"].encode(), community))
            for request in requests
            if request["origin"] == "collector"
            for community in range(COMMUNITIES)
        ]

    def line(self, received_at: datetime) -> bytes:
        """Return a landed line: an unused event id, any group and people, and the time of its receipt."""
        contract, body = self._bodies[int(self._random.random() * len(self._bodies))]
        body = body.replace(_SECONDS, b"%d" % received_at.timestamp())
        digits = f"{self._random.getrandbits(128):032x}"
        event_id = f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
        signed = signature(SECRET.encode(), contract, event_id.encode(), body)
        return encode_line(event_id, received_at, contract, signed, body)


def _moved(body: bytes, community: int) -> bytes:
    """Give a body's people and groups the addresses that they have in a community, and mark its times."""

    def address(match: re.Match[bytes]) -> bytes:
        if match["phone"]:
            return b"5500%06d%b" % (community, match["phone"])
        if match["lid"]:
            return b"910%09d%b" % (community, match["lid"])
        if match["group"]:
            return b"120363%011d%b" % (community, match["group"])
        return _SECONDS + (match["millis"] or b"")

    return _VARIED.sub(address, body)


def land(store: S3Store, landing: Landing, traffic: Traffic) -> None:
    """Generate the files and put them as the receiver does."""
    with ThreadPoolExecutor(PUTS) as pool:
        running: deque[Future[None]] = deque()
        for key, content in _files(landing, traffic):
            running.append(pool.submit(_put, store, key, content))
            if len(running) > 2 * PUTS:
                running.popleft().result()
        for put in running:
            put.result()


def _files(landing: Landing, traffic: Traffic) -> Iterator[tuple[str, bytes]]:
    step = timedelta(hours=1) / (landing.files_per_hour * landing.events_per_file)
    for hour in landing.hours:
        for file in range(landing.files_per_hour):
            numbers = range(file * landing.events_per_file, (file + 1) * landing.events_per_file)
            times = [hour + number * step for number in numbers]
            yield new_key(times[0]), b"".join(map(traffic.line, times))


def _put(store: S3Store, key: str, content: bytes) -> None:
    metadata = file_metadata(SECRET.encode(), key, content)
    obstore.put(store, key, content, attributes=metadata, mode="create", use_multipart=False)


if __name__ == "__main__":
    wanted = Landing(*map(int, sys.argv[1:]))
    land(open_store(ReceiverSettings()), wanted, Traffic(wanted.day))
