"""Loads that meet at the same events or files: both end well, and every delivery counts once."""

from datetime import timedelta
from typing import Any

import pytest
from factories import RECEIVED, event, event_id, line, message, participant
from lake import Lake
from refusals import EVERY_LINE, refusing
from standstill import (
    event_held,
    in_sessions,
    ledger_held,
    loads,
    wait_for_an_end_or_waits,
    wait_for_waits,
)

from pipelines.db.connection import Connection
from pipelines.loading import load as loading
from pipelines.loading import store
from pipelines.loading.batches import Batch
from pipelines.loading.quarantine import discard, entries, retry

HOUR, NEXT_HOUR = RECEIVED, RECEIVED + timedelta(hours=1)
COUNTS = "select count(*), sum(deliveries)::int from whatsapp_events"
LEDGER = "select count(*), sum(lines)::int, sum(loaded)::int, sum(duplicates)::int from landing_files"
PLACEHOLDER = event(message(participant(), messageStubType=2))
REAL = event(message(participant(), text="real"))


def later(seconds: int) -> Any:
    """Return a time of receipt after the first."""
    return RECEIVED + timedelta(seconds=seconds)


def test_a_body_is_replaced_while_an_earlier_delivery_of_it_waits(lake: Lake) -> None:
    """The chosen body's place is its own, never that of a delivery of the body it took the place of."""
    lake.land(line(PLACEHOLDER, received_at=later(10)))
    lake.load()
    better = lake.land(line(REAL, received_at=later(20)))
    lake.land(line(PLACEHOLDER, received_at=later(0)), at=NEXT_HOUR)
    with in_sessions(lake) as run:
        with ledger_held(lake, better):
            replacing = run(loads(lake, HOUR))
            wait_for_waits(lake)
            delivering = run(loads(lake, NEXT_HOUR))
            wait_for_waits(lake, 2)
        replacing.result()
        delivering.result()
    assert lake.rows("select landing_key, body_received_at, received_at, deliveries from whatsapp_events") == [
        (better, later(20), later(0), 3)
    ]
    assert lake.rows("select received_at from whatsapp_event_revisions") == [(later(0),)]


def test_loads_that_add_the_same_events_in_opposite_order_both_end_well(lake: Lake) -> None:
    """Each has what the other waits for: Postgres stops one, which is loaded again."""
    lake.land(*(line(event(), name) for name in ("one", "held", "other")))
    lake.land(*(line(event(), name) for name in ("other", "held", "one")), at=NEXT_HOUR)
    with in_sessions(lake) as run:
        with event_held(lake, event_id("held")):
            there = run(loads(lake, HOUR))
            back = run(loads(lake, NEXT_HOUR))
            wait_for_waits(lake, 2)
        assert sorted([there.result().loaded, back.result().loaded]) == [0, 3]
    assert (lake.rows(COUNTS), lake.rows(LEDGER)) == ([(3, 6)], [(2, 6, 3, 3)])


def test_loads_that_deliver_the_same_events_in_opposite_order_both_end_well(lake: Lake) -> None:
    names = [str(number) for number in range(50)]
    lake.land(*(line(event(), name) for name in names))
    lake.load()
    first = lake.land(*(line(event(), name, later(1)) for name in names))
    lake.land(*(line(event(), name, later(2)) for name in reversed(names)), at=NEXT_HOUR)
    with in_sessions(lake) as run:
        with ledger_held(lake, first):
            there = run(loads(lake, HOUR))
            wait_for_waits(lake)
            back = run(loads(lake, NEXT_HOUR))
            wait_for_waits(lake, 2)
        assert (there.result().duplicates, back.result().duplicates) == (50, 50)
    assert lake.rows(COUNTS) == [(50, 150)]


def test_a_load_may_lose_one_race_after_the_other(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often others are quicker at files of its batch, in the end it has the rest to itself."""
    hours = [RECEIVED + timedelta(hours=number) for number in range(12)]
    for number, hour in enumerate(hours):
        lake.land(line(event(), number), at=hour)
    store_observations, quicker = store.store_observations, iter(hours)

    def store_and_be_overtaken(conn: Connection, batch: Batch) -> None:
        store_observations(conn, batch)
        if conn is lake.connection:
            wait_for_an_end_or_waits(lake, run(loads(lake, next(quicker))))

    monkeypatch.setattr(store, "store_observations", store_and_be_overtaken)
    with in_sessions(lake) as run:
        loading.load(lake.connection, lake.zone, hours, "slow")
    assert (lake.rows(COUNTS), lake.rows(LEDGER)) == ([(12, 12)], [(12, 12, 12, 0)])


def test_no_event_is_stored_without_a_place_even_for_a_try(lake: Lake) -> None:
    lake.connection.execute(
        """create function needs_a_place() returns trigger language plpgsql as $$ begin
               perform from pg_locks where locktype = 'advisory' and objid = 7077062 and granted
                                       and pid = pg_backend_pid();
               if not found then raise exception 'no place at the events' using errcode = 'P0001'; end if;
               if new.type = 'refused' then raise exception 'can''t store it' using errcode = '22003'; end if;
               return new;
           end $$;
           create trigger needs_a_place before insert on whatsapp_events
           for each row execute function needs_a_place();"""
    )
    lake.land(line(event(), 1), line(event(kind="refused"), 2), line(event(), 3))
    counts = lake.load()
    assert (counts.loaded, counts.quarantined) == (2, 1)


def test_an_entry_that_is_being_retried_is_discarded_or_loaded_but_not_both(lake: Lake) -> None:
    lake.land(line(event()))
    with refusing(lake, lines=EVERY_LINE):
        lake.load()
    tried = entries(lake.connection)
    with in_sessions(lake) as run:
        with event_held(lake, event_id()):
            retrying = run(lambda conn: retry(conn, lake.zone, tried))
            wait_for_waits(lake)
            discarding = run(lambda conn: discard(conn, [tried[0]["id"]], "ana", "a test"))
            wait_for_an_end_or_waits(lake, discarding, 2)
        assert (retrying.result(), discarding.result()) == ({"loaded": 1}, 0)
    assert lake.rows("select state, resolved_by from quarantined_events") == [("loaded", None)]
