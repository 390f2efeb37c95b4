"""What others commit between a load's two transactions, or meanwhile, leaves no event with people as they were."""

from datetime import timedelta
from typing import Any

import pytest
from factories import RECEIVED, event, line, message, participant
from lake import Lake
from refusals import EVERY_LINE, refusing
from standstill import events_held, in_sessions, ledger_held, loads, wait_for_waits

from pipelines.loading.load import load, rebuild
from pipelines.loading.quarantine import entries, retry
from pipelines.parsing.jids import Person

HOUR, NEXT_HOUR = RECEIVED, RECEIVED + timedelta(hours=1)
LID, PHONE, BOTH, OTHER = participant(1, phone=False), participant(1, lid=False), participant(1), participant(2)
MOVED = Person(LID.lid, OTHER.phone)
AUTHORS = """
    select participant_jid, external_jid from whatsapp_events
    join whatsapp_participants p on p.id = participant_id order by received_at desc limit 2"""
COUNTS = "select count(*), sum(deliveries)::int from whatsapp_events"

KNOWN_AND_PAIR = {
    "a phone becomes known": ([LID], BOTH),
    "two people become one": ([LID, PHONE], BOTH),
    "a LID moves to a new phone": ([BOTH], MOVED),
    "a LID moves to another person": ([BOTH, OTHER], MOVED),
    "a person unknown before": ([], BOTH),
}
changing_hands = pytest.mark.parametrize(("known", "pair"), KNOWN_AND_PAIR.values(), ids=KNOWN_AND_PAIR)


def says(person: Person, second: int, **payload: Any) -> bytes:
    """Return the line of a message by that person, received at that second."""
    body = event(message(person, key=str(second), **{"messageTimestamp": None, **payload}))
    return line(body, second, RECEIVED + timedelta(seconds=second))


def load_known(lake: Lake, known: list[Person]) -> None:
    """Load a message of each."""
    lake.land(*(says(person, second) for second, person in enumerate(known)))
    lake.load()


def assert_as_if_in_turn(lake: Lake) -> None:
    """Assert that the tables hold what a rebuild makes of the same landing files."""
    before = lake.content()
    rebuild(lake.connection, lake.zone, "rebuild")
    assert lake.content() == before


@changing_hands
def test_an_address_changes_hands_before_its_events_are_stored(lake: Lake, known: list[Person], pair: Person) -> None:
    load_known(lake, known)
    lake.land(says(LID, 10))
    lake.land(says(pair, 20), at=NEXT_HOUR)
    with in_sessions(lake) as run:
        with events_held(lake) as conn:
            loading = run(loads(lake, HOUR))
            wait_for_waits(lake)
            load(conn, lake.zone, [NEXT_HOUR], "other")
        loading.result()
    assert lake.rows(AUTHORS) == [(pair.phone_jid, pair.phone_jid), (LID.lid_jid, pair.phone_jid)]
    assert_as_if_in_turn(lake)


@changing_hands
def test_an_address_changes_hands_while_its_events_are_being_stored(
    lake: Lake, known: list[Person], pair: Person
) -> None:
    load_known(lake, known)
    storing = lake.land(says(LID, 10))
    lake.land(says(pair, 20), at=NEXT_HOUR)
    with in_sessions(lake) as run:
        with ledger_held(lake, storing):
            loading = run(loads(lake, HOUR))
            wait_for_waits(lake)
            changing = run(loads(lake, NEXT_HOUR))
            wait_for_waits(lake, 2)
        loading.result()
        changing.result()
    assert lake.rows(AUTHORS) == [(pair.phone_jid, pair.phone_jid), (LID.lid_jid, pair.phone_jid)]
    assert_as_if_in_turn(lake)


def test_an_address_changes_hands_while_an_event_of_it_gets_a_better_body(lake: Lake) -> None:
    load_known(lake, [BOTH])
    placeholder, real = says(LID, 10, messageStubType=2), says(LID, 10, text="real")
    lake.land(placeholder)
    lake.load()
    storing = lake.land(real)
    lake.land(says(MOVED, 20), at=NEXT_HOUR)
    with in_sessions(lake) as run:
        with ledger_held(lake, storing):
            loading = run(loads(lake, HOUR))
            wait_for_waits(lake)
            changing = run(loads(lake, NEXT_HOUR))
            wait_for_waits(lake, 2)
        loading.result()
        changing.result()
    assert lake.rows(AUTHORS) == [(OTHER.phone_jid, OTHER.phone_jid), (LID.lid_jid, OTHER.phone_jid)]
    assert_as_if_in_turn(lake)


def test_people_and_groups_change_while_events_that_refer_to_them_are_being_stored(lake: Lake) -> None:
    """The references' locks and the updates of names and times let each other pass."""
    load_known(lake, [BOTH])
    storing = lake.land(says(BOTH, 10))
    lake.land(says(BOTH, 20, pushName="Ana"), at=NEXT_HOUR)
    with in_sessions(lake) as run, ledger_held(lake, storing):
        loading = run(loads(lake, HOUR))
        wait_for_waits(lake)
        assert run(loads(lake, NEXT_HOUR)).result().loaded == 1
        assert not loading.done()
    assert lake.rows("select push_name from whatsapp_participants") == [("Ana",)]
    assert_as_if_in_turn(lake)


def test_the_lake_is_rebuilt_before_a_loads_events_are_stored(lake: Lake) -> None:
    load_known(lake, [LID, PHONE])
    lake.land(says(OTHER, 10, pushName="Bia"))
    with in_sessions(lake) as run:
        with events_held(lake) as conn:
            loading = run(loads(lake, HOUR))
            wait_for_waits(lake)
            assert rebuild(conn, lake.zone, "rebuild").loaded == 3
        assert loading.result().files == 0
    assert lake.rows(COUNTS) == [(3, 3)]
    assert_as_if_in_turn(lake)


def test_quarantined_lines_are_retried_before_a_loads_events_are_stored(lake: Lake) -> None:
    load_known(lake, [BOTH])
    lake.land(says(MOVED, 20), says(LID, 10), at=NEXT_HOUR)
    with refusing(lake, lines=EVERY_LINE):
        lake.load(NEXT_HOUR)
    lake.land(says(LID, 10))
    with in_sessions(lake) as run:
        with events_held(lake) as conn:
            loading = run(loads(lake, HOUR))
            wait_for_waits(lake)
            assert retry(conn, lake.zone, entries(conn)) == {"loaded": 2}
        assert loading.result().duplicates == 1
    assert lake.rows(AUTHORS) == [(OTHER.phone_jid, OTHER.phone_jid), (LID.lid_jid, OTHER.phone_jid)]
    assert lake.rows(COUNTS) == [(3, 4)]
    assert_as_if_in_turn(lake)
