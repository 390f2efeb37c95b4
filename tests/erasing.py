"""A lake from which people are erased: with a key, with the sample landed, and what is left of somebody in it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from factories import RECEIVED, SECRET, sign
from lake import Lake

from pipelines.loading.load import load
from pipelines.privacy.apply import Request, apply
from pipelines.privacy.done import Done
from pipelines.privacy.people import of_person
from pipelines.settings import LakeSettings
from pipelines.snapshots.payload_fields import write_catalogue
from pipelines.snapshots.write import write_snapshots
from receiver.landing import encode_line

ERASURE_KEY = "0123456789abcdef0123456789abcdef"
# Of the sample: somebody who writes, is quoted, mentioned and in rosters; and who made the old-style group.
PHONE, LID = "5500910100022", "910100000000022"
CREATOR, CREATORS_LID = "5500910100001", "910100000000001"


@pytest.fixture
def keyed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Return a lake with an erasure key."""
    monkeypatch.setenv("ERASURE_KEY", ERASURE_KEY)
    lake.settings = LakeSettings.from_environment()
    lake.zone = type(lake.zone)(lake.settings)
    return lake


@pytest.fixture
def filled(keyed: Lake, sample: list[dict[str, Any]]) -> Lake:
    """Return a lake with an erasure key that has the sample loaded, and its date and today as Parquet."""
    lines = [landed(request) for request in sample]
    for start in range(0, len(lines), 7):
        keyed.land(*lines[start : start + 7])
    load(keyed.connection, keyed.zone, [RECEIVED], "run")
    snapshot(keyed)
    return keyed


def landed(request: dict[str, Any], at: datetime = RECEIVED) -> bytes:
    """Return the landed line of one of the sample's requests."""
    body, event_id, contract = (
        request["body"].encode("utf-8", "surrogatepass"),
        request["headers"]["X-Event-Id"],
        request["contract"],
    )
    return encode_line(event_id, at, contract, sign(body, event_id, contract, SECRET), body)


def snapshot(lake: Lake) -> None:
    """Write the Parquet files of the sample's date and of today."""
    for day in (RECEIVED.date(), datetime.now(UTC).date()):
        list(write_snapshots(lake.settings, lake.snapshots, day))
        write_catalogue(lake.settings, lake.snapshots, day)


def erase(lake: Lake, who: str, reference: str = "T-1", **ways: Any) -> Done:
    """Erase a person."""
    return apply(lake.settings, lake.connection, Request(of_person(lake.connection, who), reference, "me", **ways))


def landing_lines(lake: Lake) -> dict[str, list[bytes]]:
    """Return the lines of every landing file, by its key."""
    return {each.file.key: each.content.splitlines() for page in lake.zone.files() for each in lake.zone.fetch(page)}


def everything(lake: Lake) -> str:
    """Return every byte of the landing zone and every row, as one text."""
    zone = b"\n".join(line for lines in landing_lines(lake).values() for line in lines)
    return zone.decode(errors="replace") + repr(lake.content())
