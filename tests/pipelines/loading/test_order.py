"""However landing files are cut, ordered, repeated and shared among loaders, the tables end the same."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from factories import RECEIVED, line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lake import Lake

from pipelines.db.queries import query
from pipelines.landing.zone import FetchedFile, LandingFile
from pipelines.loading.batches import Batch
from pipelines.loading.load import load_batch

Content = dict[str, list[tuple[Any, ...]]]
DELIVERIES = "select event_id, deliveries from whatsapp_events order by event_id"


def file(name: object, lines: list[bytes]) -> FetchedFile:
    """Return a landing file of these lines, as it was fetched."""
    content = b"".join(lines)
    return FetchedFile(LandingFile(f"whatsapp/{name}.jsonl", RECEIVED, len(content), "etag"), content)


def cut(lines: list[bytes], chance: random.Random) -> list[FetchedFile]:
    """Return the lines in any order, in files of any length."""
    shuffled = chance.sample(lines, len(lines))
    ends = sorted(chance.sample(range(1, len(lines)), chance.randint(0, 20)))
    return [
        file(number, shuffled[start:end])
        for number, (start, end) in enumerate(zip([0, *ends], [*ends, len(lines)], strict=True))
    ]


def shares(files: list[FetchedFile], loaders: int, chance: random.Random) -> list[list[list[FetchedFile]]]:
    """Return each loader's batches: every file is at one loader at least, some are at several or twice at one."""
    wanted: list[list[FetchedFile]] = [[] for _ in range(loaders)]
    for each in files + chance.choices(files, k=len(files) // 2):
        chance.choice(wanted).append(each)
    return [list(batches(chance.sample(each, len(each)), chance)) for each in wanted]


def batches(files: list[FetchedFile], chance: random.Random) -> Iterator[list[FetchedFile]]:
    """Cut files into batches, none of which has a file twice."""
    while files:
        size = chance.randint(1, len(files))
        yield list({each.file.key: each for each in files[:size]}.values())
        files = files[size:]


def work(conninfo: str, share: list[list[FetchedFile]]) -> None:
    """Be one loader."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute(query("load/staging_tables"))
        for each in share:
            load_batch(conn, Batch.read(each, None), "run")


@pytest.fixture
def lines(sample: list[dict[str, Any]]) -> list[bytes]:
    """Return the sample's landed lines."""
    return [
        line(request["body"].encode(), request["headers"]["X-Event-Id"], RECEIVED + timedelta(seconds=request["n"]))
        for request in sample
    ]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chance=st.randoms(use_true_random=False), loaders=st.integers(1, 3))
def test_any_cut_order_repetition_and_concurrency(
    lake: Lake, lines: list[bytes], chance: random.Random, loaders: int
) -> None:
    expected = loaded_at_once(lake, lines)
    lake.connection.execute(query("load/empty"))
    with ThreadPoolExecutor(loaders) as pool:
        list(pool.map(work, [lake.settings.conninfo] * loaders, shares(cut(lines, chance), loaders, chance)))
    assert (lake.content(), lake.rows(DELIVERIES)) == expected


def loaded_at_once(lake: Lake, lines: list[bytes]) -> tuple[Content, list[tuple[Any, ...]]]:
    """Return what the tables hold after one undisturbed load."""
    lake.connection.execute(query("load/empty"))
    work(lake.settings.conninfo, [[file("all", lines)]])
    return lake.content(), lake.rows(DELIVERIES)
