"""The invented community: always the same, with a rhythm, and of events that the pipeline understands."""

import os
import subprocess
import sys
from collections import Counter
from datetime import date, datetime, timedelta

import orjson
import pytest
from factories import SECRET, sign
from project import ROOT

from devstack.community.requests import signed
from devstack.community.weeks import BRAZIL, Event, events
from pipelines.parsing.extraction import extract

LAST = date(2026, 11, 22)
WEEKS = 3


@pytest.fixture(scope="module")
def invented() -> list[Event]:
    """Return some weeks."""
    return events(WEEKS, LAST)


def content(event: Event) -> dict[str, object]:
    """Return what a message holds; nothing for anything else."""
    return event.payload.get("message") or {}


DIGEST = (
    "from datetime import date; from hashlib import sha256; from devstack.community.weeks import events;"
    f"print(sha256(repr(events({WEEKS}, date.fromisoformat('{LAST}'))).encode()).hexdigest())"
)


def test_the_same_weeks_are_the_same_events_in_every_process(invented: list[Event]) -> None:
    """Whatever the seed by which a process orders its sets."""
    found = [
        subprocess.check_output(
            [sys.executable, "-c", DIGEST], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed}, text=True
        )
        for seed in ("1", "2")
    ]
    assert found[0] == found[1]
    assert events(WEEKS, LAST) == invented
    others = {event.id for event in events(WEEKS, LAST, seed=2) if event.type == "messages.upsert"}
    assert others
    assert others.isdisjoint({event.id for event in invented})


def test_they_lie_in_their_weeks_and_in_order(invented: list[Event]) -> None:
    end = datetime(2026, 11, 23, tzinfo=BRAZIL)
    times = [event.at for event in invented]
    assert times == sorted(times)
    assert end - timedelta(weeks=WEEKS) <= times[0]
    assert times[-1] < end


def test_eight_weeks_are_about_fifty_thousand_events() -> None:
    assert 45_000 < len(events(8, LAST)) < 55_000


def test_people_write_by_day_and_more_on_weekdays(invented: list[Event]) -> None:
    written = [event.at for event in invented if event.type == "messages.upsert"]
    hours = Counter(at.hour for at in written)
    assert sum(hours[hour] for hour in (3, 4, 5)) < 0.05 * sum(hours[hour] for hour in (20, 21, 22))
    days = Counter(at.weekday() for at in written)
    assert max(days[5], days[6]) < min(days[day] for day in range(5))


def test_every_kind_of_event_is_there(invented: list[Event]) -> None:
    types = Counter(event.type for event in invented)
    assert min(types[kind] for kind in (
        "messages.upsert", "messages.update", "messages.reaction", "chats.update", "groups.update", "groups.metadata",
        "group-participants.update",
    )) > 0  # fmt: skip
    kinds = Counter(key for event in invented for key in content(event))
    assert min(kinds[kind] for kind in (
        "conversation", "extendedTextMessage", "imageMessage", "audioMessage", "videoMessage", "stickerMessage",
        "documentMessage", "pollCreationMessageV3", "pollUpdateMessage", "reactionMessage", "protocolMessage",
    )) > 0  # fmt: skip
    stubs = Counter(event.payload.get("messageStubType") for event in invented)
    assert min(stubs[kind] for kind in ("GROUP_PARTICIPANT_ADD", "GROUP_PARTICIPANT_LEAVE", "GROUP_CHANGE_SUBJECT", 2))


def test_the_text_of_most_undecrypted_ones_comes_later(invented: list[Event]) -> None:
    lost = {event.payload["key"]["id"]: event.at for event in invented if event.payload.get("messageStubType") == 2}
    recovered = [
        event.at - lost[key]
        for event in invented
        for copied in event.payload.get("messages", ())
        if (key := copied["message"]["key"]["id"]) in lost
    ]
    assert len(recovered) > len(lost) / 2
    assert min(recovered) > timedelta(0)


def test_the_pipeline_knows_author_time_and_group_of_each_message(invented: list[Event]) -> None:
    people = set()
    for event in invented:
        shown = extract({"type": event.type, "chat_jid": event.chat, "payload": event.payload})
        assert shown.group_jid == event.chat
        if event.type == "messages.upsert":
            assert shown.occurred_at
            # What couldn't be decrypted may be delivered again later.
            assert timedelta(0) <= event.at - shown.occurred_at < timedelta(hours=2)
            assert shown.author
            people.add(shown.author.lid or shown.author.phone)
    assert len(people) > 200


def test_requests_are_signed_as_the_collector_signs(invented: list[Event]) -> None:
    for event, request in zip(invented[:50], signed(invented[:50], SECRET), strict=True):
        assert request.headers["X-Signature"] == sign(request.body.encode(), event.id)
        assert orjson.loads(request.body)["payload"] == event.payload
