"""What Postgres refuses, foreseen or not, is put aside, and comes back once it is taken."""

from typing import Any, Self

import psycopg
import pytest
from factories import event, line
from lake import Lake
from refusals import failing, refusing

from pipelines.loading.ledger import LoadCounts
from pipelines.loading.quarantine import entries, retry

# An array with one element more than Postgres makes room for.
TOO_MANY = b'{"type":"x","payload":[' + b"0," * 2**24 + b"0]}"
LEDGER = "select lines, loaded, duplicates, quarantined from landing_files order by key"


@pytest.mark.parametrize("sqlstate", ["22003", "54000", "54001", "XX000"])
def test_what_postgres_refused_loads_once_it_takes_it(lake: Lake, sqlstate: str) -> None:
    with refusing(lake, sqlstate):
        lake.land(line(event(), 1), line(event(kind="refused"), 2), line(event(), 3))
        assert lake.load() == LoadCounts(files=1, lines=3, loaded=2, quarantined=1)
        [refused] = entries(lake.connection)
        assert (refused["reason"], refused["detail"]) == ("refused_by_postgres", f"{sqlstate} can't store it")
        assert retry(lake.connection, lake.zone, [refused]) == {"open": 1}
    assert retry(lake.connection, lake.zone, [refused]) == {"loaded": 1}
    assert lake.rows(LEDGER) == [(3, 3, 0, 0)]
    assert lake.rows("select sum(deliveries)::int from whatsapp_events") == [(3,)]


def test_an_internal_error_about_a_value_puts_its_line_aside(lake: Lake) -> None:
    lake.land(line(event(), 1), line(TOO_MANY, 2), line(event(), 3))
    assert lake.load() == LoadCounts(files=1, lines=3, loaded=2, quarantined=1)
    assert lake.rows("select detail from quarantined_events") == [
        ("XX000 invalid memory alloc request size 1073741824",)
    ]


@pytest.mark.parametrize("words", ["could not store it", "es passt nicht"])
def test_a_refusal_is_known_in_any_words(lake: Lake, words: str) -> None:
    with refusing(lake, "XX000", words):
        lake.land(line(event(), 1), line(event(kind="refused"), 2))
        assert lake.load() == LoadCounts(files=1, lines=2, loaded=1, quarantined=1)


def test_an_internal_error_about_no_value_fails_the_load(lake: Lake) -> None:
    lake.land(line(event(), 1), line(event(kind="refused"), 2))
    with failing(lake, "perform array_in('{1}', 0, -1)"):
        with pytest.raises(psycopg.errors.InternalError_, match="cache lookup failed for type 0"):
            lake.load()
        assert lake.rows(LEDGER) == lake.rows("select * from quarantined_events") == []
    assert lake.load() == LoadCounts(files=1, lines=2, loaded=2)


def test_what_postgres_refuses_is_tried_again_beside_others(lake: Lake) -> None:
    refused = line(b'{"type":"x","payload":1e400000}', 1)
    lake.land(refused, line(event(), 2))
    lake.load()
    assert retry(lake.connection, lake.zone, entries(lake.connection)) == {"open": 1}
    assert entries(lake.connection)[0]["reason"] == "refused_by_postgres"


class CountingCursor(psycopg.Cursor[Any]):
    """A cursor that counts the statements that it is given."""

    statements = 0

    def execute(self, query: Any, *rest: Any, **options: Any) -> Self:
        """Count this one too."""
        CountingCursor.statements += 1
        return super().execute(query, *rest, **options)


def statements(lake: Lake, refused: int) -> int:
    """Load a file of 4,000 lines, of which Postgres refuses some; return how many statements that took."""
    lake.empty()
    refusable = line(b'{"type":"x","payload":1e400000}')
    lake.land(*[refusable] * refused, *(line(event(), number) for number in range(4000 - refused)))
    before = CountingCursor.statements
    assert lake.load() == LoadCounts(files=1, lines=4000, loaded=4000 - refused, quarantined=refused)
    return CountingCursor.statements - before


def test_thousands_of_refused_lines_take_no_more_statements_than_one(lake: Lake) -> None:
    lake.connection.cursor_factory = CountingCursor
    assert statements(lake, 2000) == statements(lake, 1) > 0
