"""Files that can't be read as a whole are one entry of the quarantine, and stop no load."""

import gzip
import os
from functools import partial
from typing import TYPE_CHECKING

import obstore
import pytest
from factories import RECEIVED, event, line
from fault_proxy import answers, fault_proxy, passes
from lake import Lake

from pipelines.landing.zone import LandingZone
from pipelines.loading.batches import Batch
from pipelines.loading.ledger import LoadCounts
from pipelines.loading.quarantine import entries, retry
from pipelines.settings import LakeSettings
from receiver.landing import hour_prefix

if TYPE_CHECKING:
    from servers import S3

STATES = "select state, count(*) from quarantined_events group by state order by state"


def test_an_unreadable_file_is_put_aside_as_one(lake: Lake) -> None:
    key = lake.land(gzip.compress(line(event(), 1) * 200))
    lake.land(line(event(), 2))
    assert lake.load() == LoadCounts(files=2, lines=2, loaded=1, quarantined=1)
    assert [(each["landing_key"], each["line_number"], each["reason"]) for each in entries(lake.connection)] == [
        (key, 0, "unreadable_file")
    ]


def test_an_unreadable_file_that_was_put_right_is_loaded_after_a_retry(lake: Lake) -> None:
    key = lake.land(gzip.compress(line(event(), 1)))
    lake.load()
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=line(event(), 1))
    assert retry(lake.connection, lake.zone, entries(lake.connection)) == {"pending": 1}
    assert lake.load() == LoadCounts(files=1, lines=1, loaded=1)
    assert lake.rows(STATES) == [("loaded", 1)]


def test_an_unreadable_file_that_was_not_put_right_is_open_again(lake: Lake) -> None:
    lake.land(gzip.compress(line(event(), 1)))
    lake.load()
    retry(lake.connection, lake.zone, entries(lake.connection))
    lake.load()
    assert [each["attempts"] for each in entries(lake.connection)] == [2]


@pytest.mark.parametrize(
    "content",
    [gzip.compress(line(event()) * 50), os.urandom(1_000_000), line(event()).decode().encode("utf-16-le")],
    ids=["gzip", "large", "utf-16"],
)
def test_whatever_is_not_text_is_one_entry(lake: Lake, content: bytes) -> None:
    lake.land(content)
    lake.land(line(event()))
    assert lake.load() == LoadCounts(files=2, lines=2, loaded=1, quarantined=1)
    assert [(each["reason"], each["line_number"]) for each in entries(lake.connection)] == [("unreadable_file", 0)]


def test_one_landed_line_makes_a_file_one_of_lines(lake: Lake) -> None:
    lake.land(b"\xff\0\n", line(event()), b"\xff\n")
    assert lake.load() == LoadCounts(files=1, lines=3, loaded=1, quarantined=2)


def test_a_file_that_the_store_refuses_is_put_aside_and_a_store_that_is_down_is_not(
    lake: Lake, s3: "S3", monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.land(line(event()))
    [[file]] = lake.zone.files()
    with fault_proxy(s3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        zone = LandingZone(LakeSettings.from_environment())
        proxy.always(answers(403))
        with pytest.raises(obstore.exceptions.PermissionDeniedError):
            list(zone.fetch([file]))
        proxy.first(answers(403))
        assert [each.fault for each in zone.fetch([file])] == [None]
        proxy.first(answers(403), passes, answers(403))
        [fetched] = zone.fetch([file])
    batch = Batch.read([fetched], None)
    assert [(fault["reason"], fault["line_number"], fault["raw"]) for fault in batch.unloadable] == [
        ("unreadable_file", 0, b"")
    ]
    assert batch.lines == {file.key: 1}


@pytest.mark.parametrize(
    "odd", ["new\tfolder", "date=2026-05-21/hour=04/a\x7fb.jsonl", "date=2026-05-21/hour=24/a.jsonl"]
)
def test_an_object_that_is_no_landing_file_stops_nothing(lake: Lake, odd: str) -> None:
    put = partial(lake.client.put_object, Bucket=lake.settings.landing_bucket)
    lake.land(line(event(), 1))
    before = [file for page in lake.zone.files() for file in page]
    put(Key=f"whatsapp/{odd}", Body=b"")
    assert [file for page in lake.zone.files() for file in page] == before
    lake.land(line(event(), 2))
    assert lake.load() == LoadCounts(files=2, lines=2, loaded=2)


def test_a_store_that_denies_every_file_is_down(lake: Lake, s3: "S3", monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it lists them: nothing is put aside, and the next load goes on."""
    lake.land(line(event()))
    [[file]] = lake.zone.files()
    with fault_proxy(s3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        zone = LandingZone(LakeSettings.from_environment())
        proxy.first(answers(403), answers(403), passes)
        with pytest.raises(obstore.exceptions.PermissionDeniedError):
            list(zone.fetch([file]))


def test_a_file_that_changes_after_it_was_listed_is_put_aside(lake: Lake) -> None:
    """Though no byte longer: else the ledger would say of one file that it holds what was in another."""
    key = lake.land(line(event(), 1))
    [[file]] = lake.zone.files()
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=line(event(), 2))
    assert [each.fault for each in lake.zone.fetch([file])] == ["not what the store listed: it was changed meanwhile"]


def test_what_the_store_lists_and_does_not_have_is_put_aside(lake: Lake) -> None:
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=f"{hour_prefix(RECEIVED)}d.jsonl/", Body=b"")
    lake.land(line(event()))
    assert lake.load() == LoadCounts(files=2, lines=2, loaded=1, quarantined=1)
    assert [(each["reason"], each["line_number"]) for each in entries(lake.connection)] == [("unreadable_file", 0)]


@pytest.mark.slow
def test_a_file_that_is_corrupt_in_the_store_stops_no_load(lake: Lake, s3: "S3") -> None:
    """The real thing: a bit flips on the store's disk, so that it refuses the object, also when asked again."""
    incompressible = os.urandom(2000)
    key = lake.land(incompressible)
    lake.land(line(event()))
    [volume] = [path for path in s3.folder.glob("**/*.dat") if incompressible in path.read_bytes()]
    with volume.open("r+b") as file:
        file.seek(volume.read_bytes().index(incompressible))
        file.write(bytes([incompressible[0] ^ 1]))
    assert lake.load() == LoadCounts(files=2, lines=2, loaded=1, quarantined=1)
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=line(event(), 2))
    retry(lake.connection, lake.zone, entries(lake.connection))
    assert lake.load() == LoadCounts(files=1, lines=1, loaded=1)
