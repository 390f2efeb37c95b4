"""A person is taken out of every place, others stay as they are, and what is left is what a rebuild makes."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from factories import RECEIVED, SECRET, sign
from lake import Lake

from pipelines.loading.load import load, rebuild
from pipelines.privacy.apply import Request, apply
from pipelines.privacy.people import of_person
from pipelines.settings import LakeSettings
from pipelines.snapshots.payload_fields import write_catalogue
from pipelines.snapshots.write import write_snapshots
from receiver.landing import encode_line

KEY = "0123456789abcdef0123456789abcdef"
PHONE, LID = "5500910100022", "910100000000022"


@pytest.fixture
def keyed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Return a lake with an erasure key."""
    monkeypatch.setenv("ERASURE_KEY", KEY)
    lake.settings = LakeSettings.from_environment()
    lake.zone = type(lake.zone)(lake.settings)
    return lake


def land_sample(lake: Lake, sample: list[dict[str, Any]], per_file: int = 7) -> None:
    lines = []
    for request in sample:
        body = request["body"].encode("utf-8", "surrogatepass")
        event_id = request["headers"]["X-Event-Id"]
        contract = request["contract"]
        lines.append(encode_line(event_id, RECEIVED, contract, sign(body, event_id, contract, SECRET), body))
    for start in range(0, len(lines), per_file):
        lake.land(*lines[start : start + per_file])


def everything(lake: Lake) -> str:
    """Return every byte of the landing zone, and every row, as one text."""
    zone = b"".join(each.content for page in lake.zone.files() for each in lake.zone.fetch(page))
    return zone.decode(errors="replace") + repr(lake.content())


def test_a_person_is_gone_and_the_tables_are_what_a_rebuild_makes(keyed: Lake, sample: list[dict[str, Any]]) -> None:
    lake = keyed
    land_sample(lake, sample)
    load(lake.connection, lake.zone, [RECEIVED], "run")
    today = datetime.now(UTC).date()
    for day in (RECEIVED.date(), today):
        list(write_snapshots(lake.settings, lake.snapshots, day))
        write_catalogue(lake.settings, lake.snapshots, day)
    ids = dict(lake.rows("select event_id, id from whatsapp_events"))
    people = dict(lake.rows("select external_jid, id from whatsapp_participants"))
    assert PHONE in everything(lake)
    done = apply(lake.settings, lake.connection, Request(of_person(lake.connection, PHONE), "T-1", "me"))
    print(done)
    left = everything(lake)
    assert PHONE not in left
    assert LID not in left
    assert dict(lake.rows("select event_id, id from whatsapp_events")) == ids
    assert dict(lake.rows("select external_jid, id from whatsapp_participants")).items() <= people.items()
    content = lake.content()
    rebuild(lake.connection, lake.zone, "again")
    for name, rows in lake.content().items():
        assert rows == content[name], name
