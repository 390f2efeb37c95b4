"""The newest state of groups and people, whatever the order in which their events arrive."""

import itertools
import random
from datetime import timedelta
from typing import Any

import pytest
from factories import RECEIVED, event, group, line, message, participant
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lake import Lake

ANA, BIA = participant(1), participant(2)
GROUP = "select display_name, payload ->> 'desc' from whatsapp_groups"
PERSON = "select payload from whatsapp_participants where external_jid = '{}'"
NAMED = 1779000000


def metadata(name: str | None, about: str, *, members: tuple[str, ...] = ("a",), **times: Any) -> bytes:
    """Return a full group metadata."""
    roster = [{"id": ANA.lid_jid, "admin": member} for member in members]
    payload = {"id": group(), "subject": name, "desc": about, "participants": roster, **times}
    return event(payload, kind="groups.metadata")


def renamed(name: str, at: int) -> bytes:
    """Return the stub of a group's new name."""
    payload = message(ANA, messageTimestamp=at, messageStubType="GROUP_CHANGE_SUBJECT", messageStubParameters=[name])
    return event(payload)


def updated(name: str) -> bytes:
    """Return the change of a group's name, which says no time."""
    return event({"id": group(), "subject": name}, kind="groups.update")


def chat(name: str, at: int) -> bytes:
    """Return a chat's change, whose time is that of its last message."""
    return event({"id": group(), "name": name, "conversationTimestamp": at}, kind="chats.update")


def received(*bodies: bytes) -> list[bytes]:
    """Return landed lines of these bodies, received a second after the other."""
    return [line(body, body, RECEIVED + timedelta(seconds=second)) for second, body in enumerate(bodies)]


@pytest.mark.parametrize(
    ("bodies", "name", "about"),
    [
        # A sender that backs off delivers the older state last.
        ([metadata("new", "new", subjectTime=NAMED + 9), metadata("old", "old", subjectTime=NAMED)], "new", "new"),
        ([renamed("new", NAMED + 9), metadata("old", "old", subjectTime=NAMED)], "new", "old"),
        ([renamed("new", NAMED + 9), renamed("old", NAMED)], "new", None),
        ([renamed("timed", NAMED), updated("untimed"), chat("untimed", NAMED + 9)], "timed", None),
        ([metadata("timed", "x", subjectTime=NAMED), updated("untimed")], "timed", "x"),
        # Without any time the newest received counts.
        ([updated("first"), updated("second")], "second", None),
        ([metadata("first", "first"), metadata("second", "second")], "second", "second"),
        # A description, or the group itself, may be newer than the name.
        ([metadata("x", "new", descTime=NAMED + 9), metadata("x", "old", subjectTime=NAMED)], "x", "new"),
        ([metadata("x", "new", creation=NAMED), metadata("x", "old")], "x", "new"),
        # Equal times: the newer by receipt, as with a roster that changed.
        ([metadata("x", "old", subjectTime=NAMED), metadata("x", "new", subjectTime=NAMED)], "x", "new"),
        # Null or absent replaces nothing.
        ([metadata("x", "old", subjectTime=NAMED), metadata(None, "new", subjectTime=NAMED)], "x", "new"),
        ([metadata("x", "roster", subjectTime=NAMED), metadata("x", "", members=(), subjectTime=NAMED)], "x", "roster"),
    ],
)
def test_a_group_is_as_its_newest_observation_has_it(
    lake: Lake, bodies: list[bytes], name: str, about: str | None
) -> None:
    contents = []
    for order in itertools.permutations(received(*bodies)):
        lake.empty()
        for each in order:
            lake.land(each)
            lake.load()
        assert lake.rows(GROUP) == [(name, about)]
        contents.append(lake.content())
    assert all(content == contents[0] for content in contents)


def test_a_person_is_described_by_the_newest_object(lake: Lake) -> None:
    contact = {"id": ANA.lid_jid, "phoneNumber": ANA.phone_jid, "notify": "Ana"}
    entry = {"id": ANA.lid_jid, "admin": "superadmin"}
    roster = {"id": group(), "participants": [entry, BIA.lid_jid]}
    first, second = received(event(contact, kind="contacts.upsert"), event(roster, kind="groups.metadata"))
    lake.land(second)
    lake.load()
    lake.land(first)
    lake.load()
    assert lake.rows(PERSON.format(ANA.phone_jid)) == [(entry,)]
    assert lake.rows(PERSON.format(BIA.lid_jid)) == [(None,)]


def test_a_description_follows_an_address_that_changes_hands(lake: Lake) -> None:
    lid, phone = participant(1, phone=False), participant(2, lid=False)
    entry = {"id": lid.lid_jid, "admin": None}
    moved = {"lid": lid.lid_jid, "pn": phone.phone_jid}
    for each in received(event({"id": group(), "participants": [entry]}, kind="groups.metadata"),
                         event(moved, kind="lid-mapping.update")):  # fmt: skip
        lake.land(each)
        lake.load()
    assert lake.rows("select external_jid, payload from whatsapp_participants") == [(phone.phone_jid, entry)]


def test_every_event_has_its_envelopes_chat(lake: Lake) -> None:
    bodies = received(event(chat=None), event(chat="status@broadcast"), event(chat=group(2)))
    lake.land(*bodies)
    lake.load()
    assert lake.rows("select chat_jid, group_id is null from whatsapp_events order by received_at") == [
        (None, False), ("status@broadcast", False), (group(2), False)
    ]  # fmt: skip


def test_the_chat_follows_the_chosen_body(lake: Lake) -> None:
    lake.land(line(event(message(ANA, messageStubType=2), chat=group(2)), "same"))
    lake.load()
    lake.land(line(event(chat=group(3)), "same", RECEIVED + timedelta(seconds=1)))
    lake.load()
    assert lake.rows("select chat_jid, deliveries from whatsapp_events") == [(group(3), 2)]


BODIES = st.one_of(
    st.builds(
        metadata, st.sampled_from(["a", "b", None]), st.sampled_from(["x", "y"]),
        members=st.sampled_from([("a",), ("b",), ()]),
        subjectTime=st.sampled_from([None, NAMED, NAMED + 1]), descTime=st.sampled_from([None, NAMED]),
    ),
    st.builds(renamed, st.sampled_from(["a", "b"]), st.sampled_from([NAMED, NAMED + 1])),
    st.builds(updated, st.sampled_from(["a", "b"])),
    st.builds(chat, st.sampled_from(["a", "b"]), st.sampled_from([NAMED, NAMED + 1])),
    st.builds(
        lambda name, phone: event({"id": ANA.lid_jid, "phoneNumber": phone, "notify": name}, kind="contacts.update"),
        st.sampled_from(["a", "b"]), st.sampled_from([None, ANA.phone_jid, BIA.phone_jid]),
    ),
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(BODIES, min_size=2, max_size=8), chance=st.randoms(use_true_random=False))
def test_no_order_and_no_cut_changes_the_state(lake: Lake, bodies: list[bytes], chance: random.Random) -> None:
    lines = received(*bodies)
    contents = []
    for cuts in (1, len(lines), 2):
        lake.empty()
        for start in range(cuts):
            lake.land(*lines[start::cuts])
        lake.load()
        contents.append(lake.content())
        chance.shuffle(lines)
    assert contents[0] == contents[1] == contents[2]
