"""One row a person: a function of what was observed, whatever the order of loading."""

import itertools
import random
from datetime import timedelta
from typing import Any

import pytest
from factories import RECEIVED, event, group, line, message, participant
from lake import Lake

from pipelines.parsing.jids import Person

ANA, BIA = participant(1), participant(2)


def people(lake: Lake) -> list[tuple[Any, ...]]:
    """Return each person with all their addresses."""
    return lake.rows(
        "select external_jid, array_agg(jid order by jid) from whatsapp_participants p"
        " join whatsapp_participant_jids j on j.participant_id = p.id group by external_jid order by 1"
    )


def authors(lake: Lake) -> list[tuple[Any, ...]]:
    """Return each event's address and person."""
    return lake.rows(
        "select participant_jid, external_jid from whatsapp_events"
        " join whatsapp_participants p on p.id = participant_id order by received_at"
    )


def says(person: Person, name: object, second: int = 0) -> bytes:
    """Return the line of a message by that person."""
    return line(
        event(message(person, key=str(name), messageTimestamp=None)), name, RECEIVED + timedelta(seconds=second)
    )


def test_a_lid_and_later_its_phone_are_one_person(lake: Lake) -> None:
    lake.land(says(participant(1, phone=False), 1))
    lake.load()
    before = lake.rows("select id from whatsapp_participants")
    lake.land(says(ANA, 2, 1))
    lake.load()
    assert people(lake) == [(ANA.phone_jid, [ANA.phone_jid, ANA.lid_jid])]
    assert authors(lake) == [(ANA.lid_jid, ANA.phone_jid), (ANA.phone_jid, ANA.phone_jid)]
    assert lake.rows("select id from whatsapp_participants") == before


def test_a_pair_joins_two_people_who_were_known_apart(lake: Lake) -> None:
    lake.land(says(participant(1, phone=False), 1), says(participant(1, lid=False), 2, 1))
    lake.load()
    assert len(people(lake)) == 2
    lake.land(line(event({"lid": ANA.lid_jid, "pn": ANA.phone_jid}, kind="lid-mapping.update", chat=None), 3))
    lake.load()
    assert people(lake) == [(ANA.phone_jid, [ANA.phone_jid, ANA.lid_jid])]
    assert authors(lake) == [(ANA.lid_jid, ANA.phone_jid), (ANA.phone_jid, ANA.phone_jid)]


def test_a_lid_that_moves_takes_along_what_showed_only_the_lid(lake: Lake) -> None:
    moved = Person(ANA.lid, BIA.phone)
    lake.land(says(participant(1, phone=False), 1), says(ANA, 2, 1))
    lake.load()
    lake.land(says(moved, 3, 2))
    lake.load()
    assert people(lake) == [(ANA.phone_jid, [ANA.phone_jid]), (BIA.phone_jid, [BIA.phone_jid, ANA.lid_jid])]
    assert authors(lake) == [
        (ANA.lid_jid, BIA.phone_jid),
        (ANA.phone_jid, ANA.phone_jid),
        (BIA.phone_jid, BIA.phone_jid),
    ]


def test_members_and_pairs_are_people_too(lake: Lake) -> None:
    roster = {"id": group(), "owner": ANA.lid_jid, "ownerPn": ANA.phone_jid, "participants": [{"id": BIA.lid_jid}]}
    lake.land(line(event(roster, kind="groups.metadata")))
    lake.load()
    assert people(lake) == [(ANA.phone_jid, [ANA.phone_jid, ANA.lid_jid]), (BIA.lid_jid, [BIA.lid_jid])]


def test_a_persons_name_is_the_newest_of_all_their_addresses(lake: Lake) -> None:
    old = message(participant(1, phone=False), pushName="Ana antiga", messageTimestamp=1779336800)
    new = message(ANA, pushName="Ana nova", messageTimestamp=1779336900)
    lake.land(line(event(new), 2))
    lake.load()
    lake.land(line(event(old), 1, RECEIVED + timedelta(seconds=9)))
    lake.load()
    assert lake.rows("select external_jid, push_name, first_seen_at, last_seen_at from whatsapp_participants") == [
        (ANA.phone_jid, "Ana nova", RECEIVED, RECEIVED + timedelta(seconds=9))
    ]


def test_what_was_linked_to_a_merged_person_goes_along(lake: Lake) -> None:
    identity = "0198c0de-0000-7000-8000-000000000001"
    lake.land(says(participant(1, phone=False), 1), says(participant(1, lid=False), 2, 1))
    lake.load()
    lake.connection.execute(
        "update whatsapp_participants set identity_id = %s where external_jid = %s", [identity, ANA.lid_jid]
    )
    lake.land(says(ANA, 3, 2))
    lake.load()
    assert [
        (jid, str(linked)) for jid, linked in lake.rows("select external_jid, identity_id from whatsapp_participants")
    ] == [(ANA.phone_jid, identity)]


def test_every_order_of_a_moving_lid_ends_the_same(lake: Lake) -> None:
    lines = [
        says(participant(1, phone=False), 1),
        says(ANA, 2, 1),
        says(Person(ANA.lid, BIA.phone), 3, 2),
        says(participant(2, lid=False), 4, 3),
    ]
    contents = []
    for order in itertools.permutations(lines):
        lake.connection.execute(
            "truncate whatsapp_groups, whatsapp_participants, whatsapp_jid_pairs, event_days cascade"
        )
        for each in order:
            lake.land(each)
            lake.load()
        contents.append(lake.content())
    assert all(content == contents[0] for content in contents)
    assert len(contents[0]["participants"]) == 2


@pytest.mark.parametrize("seed", range(6))
def test_the_sample_in_any_order_and_in_any_files_ends_the_same(
    lake: Lake, sample: list[dict[str, Any]], seed: int
) -> None:
    lines = [
        line(request["body"].encode(), request["headers"]["X-Event-Id"], RECEIVED + timedelta(seconds=request["n"]))
        for request in sample
    ]
    lake.land(*lines)
    lake.load()
    in_order = lake.content()
    lake.connection.execute("truncate whatsapp_groups, whatsapp_participants, whatsapp_jid_pairs, event_days cascade")
    dice = random.Random(seed)  # noqa: S311  not for secrets
    dice.shuffle(lines)
    while lines:
        cut = dice.randint(1, 120)
        lake.land(*lines[:cut])
        del lines[:cut]
        if dice.random() < 0.5:
            lake.load()
    lake.load()
    assert lake.content() == in_order
    assert {name: len(rows) for name, rows in in_order.items()} == {
        "groups": 4, "participants": 44, "jids": 79, "pairs": 35, "events": 294, "revisions": 1
    }  # fmt: skip
