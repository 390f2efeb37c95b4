"""The comparison of `make scale` sees what differs: a value, a row, an order of keys never, an id by whom it names."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from factories import event, line
from lake import Lake

from benchmarks.comparison import KEYS, Difference, compare_snapshots, differing, digested, plain, refused
from pipelines.landing.hours import today
from pipelines.snapshots.write import write_snapshots

NAMES = {"whatsapp_groups": {"1": "a@g.us", "2": "b@g.us"}, "whatsapp_participants": {"3": "c@lid"}}
ROW: dict[str, Any] = {
    "id": "7", "event_id": "e", "group_id": "1", "participant_id": "3", "payload": '{"a": 1, "b": [null]}',
    "received_at": datetime(2026, 5, 21, 4, 14, 2, 123456, tzinfo=UTC), "body_sha256": b"\x01", "deliveries": 2,
}  # fmt: skip


def differences(**changes: Any) -> list[str]:
    """Return the columns in which a row with some changes differs from what it was."""
    ours, theirs = (digested([row], ("event_id",), NAMES) for row in (ROW, ROW | changes))
    return [each.what for each in differing("t", ours, theirs)]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"id": "8"}, []),
        ({"payload": '{"b":[null],"a":1.0}'}, []),
        ({"payload": '{"b":[null],"a":1.0000000000000000000000000001}'}, ["payload"]),
        ({"payload": '{"b":[false],"a":1}'}, ["payload"]),
        ({"payload": '{"b":[null],"a":"1"}'}, ["payload"]),
        ({"payload": None}, ["payload"]),
        ({"group_id": "2"}, ["group_id"]),
        ({"participant_id": "9"}, ["participant_id"]),
        ({"received_at": ROW["received_at"].replace(microsecond=123457)}, ["received_at"]),
        ({"body_sha256": memoryview(b"\x01")}, []),
        ({"body_sha256": b"\x02", "deliveries": 3}, ["body_sha256, deliveries"]),
    ],
)
def test_a_row_differs_in_what_was_changed_and_in_nothing_else(changes: dict[str, Any], found: list[str]) -> None:
    assert differences(**changes) == found


def test_a_row_of_one_side_alone_is_a_difference() -> None:
    rows = digested([ROW], ("event_id",), NAMES)
    assert [*differing("t", rows, {}), *differing("t", {}, rows)] == [
        Difference("t", "('e',)", "only in the first"),
        Difference("t", "('e',)", "only in the second"),
    ]


@pytest.mark.parametrize(("one", "other"), [("1e2", "100"), ("-0", "0"), ("1.50", "1.5"), ("0.001e3", "1")])
def test_numbers_are_equal_however_they_are_written(one: str, other: str) -> None:
    assert plain(Decimal(one)) == plain(Decimal(other))


@pytest.mark.parametrize(("one", "other"), [("1", "10"), ("1", "-1"), ("0.1", "0.01"), ("12", "21")])
def test_other_numbers_differ(one: str, other: str) -> None:
    assert plain(Decimal(one)) != plain(Decimal(other))


def test_files_that_are_equal_have_no_difference(lake: Lake) -> None:
    lake.land(line(event(), 1))
    lake.load()
    list(write_snapshots(lake.settings, lake.snapshots, today()))
    same = list(compare_snapshots(lake.snapshots, lake.snapshots, set()))
    assert (len(same), [found for *_, found in same]) == (len(KEYS) - 2, [[]] * len(same))


def test_lines_that_postgres_refused_are_named_by_their_place(lake: Lake) -> None:
    key = lake.land(line(event(), 1), line(b'{"type":"odd","payload":1e-20000}', 2))
    lake.load()
    assert refused(lake.connection) == {(key, 2)}
