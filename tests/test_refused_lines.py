"""What Postgres refuses, foreseen or not, is put aside, and comes back once it is taken."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from factories import event, line
from lake import Lake

from pipelines import loading
from pipelines.batches import LandedRow
from pipelines.loading import LoadCounts
from pipelines.quarantine import entries, retry
from pipelines.queries import Connection

LEDGER = "select lines, loaded, duplicates, quarantined from landing_files order by key"


@contextmanager
def refusing(lake: Lake, sqlstate: str) -> Iterator[None]:
    """Let Postgres answer with this SQLSTATE to every line of the type `refused`."""
    lake.connection.execute(
        f"""create function refuse() returns trigger language plpgsql as
            $$ begin raise exception 'can''t store it' using errcode = '{sqlstate}'; end $$;
            create trigger refuse before insert on whatsapp_events for each row
            when (new.type = 'refused') execute function refuse();""".encode()
    )
    yield
    lake.connection.execute("drop trigger refuse on whatsapp_events")


@pytest.mark.parametrize("sqlstate", ["22003", "54000", "54001", "XX000"])
def test_what_postgres_refused_loads_once_it_takes_it(lake: Lake, sqlstate: str) -> None:
    with refusing(lake, sqlstate):
        lake.land(line(event(), 1), line(event(kind="refused"), 2), line(event(), 3))
        assert lake.load() == LoadCounts(files=1, lines=3, loaded=2, quarantined=1)
        [refused] = entries(lake.connection)
        assert (refused["reason"], refused["detail"]) == ("refused_by_postgres", f"{sqlstate} can't store it")
        assert retry(lake.connection, [refused]) == {"open": 1}
    assert retry(lake.connection, [refused]) == {"loaded": 1}
    assert lake.rows(LEDGER) == [(3, 3, 0, 0)]
    assert lake.rows("select sum(deliveries)::int from whatsapp_events") == [(3,)]


def test_what_postgres_refuses_is_tried_again_beside_others(lake: Lake) -> None:
    refused = line(b'{"type":"x","payload":1e400000}', 1)
    lake.land(refused, line(event(), 2))
    lake.load()
    assert retry(lake.connection, entries(lake.connection)) == {"open": 1}
    assert entries(lake.connection)[0]["reason"] == "refused_by_postgres"


def test_thousands_of_refused_lines_are_found_at_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    ask = loading._ask  # noqa: SLF001  to count the questions

    def counted(conn: Connection, lines: Sequence[LandedRow]) -> dict[LandedRow, str]:
        asked.append(len(lines))
        return ask(conn, lines)

    monkeypatch.setattr(loading, "_ask", counted)
    refused = b'{"type":"x","payload":1e400000}'
    lake.land(*[line(refused if number % 2 else event(), number) for number in range(4000)])
    assert lake.load() == LoadCounts(files=1, lines=4000, loaded=2000, quarantined=2000)
    assert asked == [2000]
