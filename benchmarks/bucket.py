"""Questions of a run to the bucket itself: `python -m benchmarks.bucket idle-put | count`, settings as the receiver's.

Belongs here: the latency of one PUT on an idle store, and the count of what landed. Not: servers, load.
"""

import asyncio
import json
import os
import statistics
import sys
import time

import obstore
from obstore.store import S3Store

from benchmarks.wrk import BODY_BYTES
from pipelines.landing.format import decode_line, split_lines
from receiver.landing import PREFIX
from receiver.settings import ReceiverSettings
from receiver.writer import open_store

IDLE_PREFIX = "idle/"  # no reader of the landing zone looks here
IDLE_SECONDS = 1.0
WARM_PUTS = 20
READS_AT_ONCE = 32


async def idle_put(store: S3Store) -> dict[str, float]:
    """Put objects of one event's length one after the other, as the writer does: p50 and p99 in ms."""
    content, took = b"x" * (BODY_BYTES + 256), []
    stop = time.perf_counter() + IDLE_SECONDS
    while (began := time.perf_counter()) < stop:
        await obstore.put_async(store, f"{IDLE_PREFIX}{time.time_ns()}", content, mode="create", use_multipart=False)
        took.append((time.perf_counter() - began) * 1e3)
    took = took[WARM_PUTS:]
    return {"p50_ms": statistics.median(took), "p99_ms": statistics.quantiles(took, n=100)[98]}


async def count(store: S3Store) -> dict[str, int]:
    """Read every landing file: how many, their lines, and the distinct events."""
    keys = [entry["path"] for page in obstore.list(store, PREFIX) for entry in page]
    unread, events, lines = iter(keys), set[str](), 0

    async def read() -> None:
        nonlocal lines
        for key in unread:
            content = bytes(await (await obstore.get_async(store, key)).bytes_async())
            ids = [decode_line(line).event_id for line in split_lines(content)]
            lines += len(ids)
            events.update(ids)

    await asyncio.gather(*(read() for _ in range(READS_AT_ONCE)))
    return {"files": len(keys), "lines": lines, "events": len(events)}


if __name__ == "__main__":
    action = {"idle-put": idle_put, "count": count}[sys.argv[1]]
    print(json.dumps(asyncio.run(action(open_store(ReceiverSettings())))), flush=True)
    os._exit(0)  # as the receiver: a thread of the store's client may abort an interpreter that is being taken down
