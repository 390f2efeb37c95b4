"""How landing files are divided into the batches that are loaded, and what is known of a batch before that."""

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from factories import SECRET, event, line
from hypothesis import given
from hypothesis import strategies as st

from pipelines.landing.authenticity import Verifier
from pipelines.landing.zone import FetchedFile, LandingFile
from pipelines.loading.batches import BATCH_BYTES, BATCH_FILES, Batch, in_batches
from pipelines.loading.ledger import LoadCounts
from pipelines.loading.load import progress
from pipelines.loading.quarantine import _bounded

HOUR = datetime(2026, 5, 1, tzinfo=UTC)
SIZES = st.lists(st.one_of(st.integers(0, 2000), st.integers(0, 2 * BATCH_BYTES)), max_size=60)


def files(*sizes: int) -> list[LandingFile]:
    return [LandingFile(str(number), HOUR, size, None) for number, size in enumerate(sizes)]


@given(SIZES)
def test_each_file_is_in_one_batch_that_is_bounded_unless_the_file_alone_is_not(sizes: list[int]) -> None:
    batches = list(in_batches(files(*sizes)))
    assert [file for batch in batches for file in batch] == files(*sizes)
    assert all(len(batch) == 1 or sum(file.size for file in batch) <= BATCH_BYTES for batch in batches)


def test_batches_of_small_files_grow_to_the_bound() -> None:
    lengths = [len(batch) for batch in in_batches(files(*[100] * 3 * BATCH_FILES))]
    assert lengths[:6] == [128, 256, 512, 1024, 2048, 2048]


def test_batches_of_large_files_grow_to_the_bound() -> None:
    lengths = [len(batch) for batch in in_batches(files(*[1 << 20] * 100))]
    assert lengths == [2, 4, 8, 16, 32, 32, 6]


def test_a_batch_ends_before_the_file_with_which_it_is_too_long() -> None:
    two = 2 << 20
    assert [len(batch) for batch in in_batches(files(two, two, two + 1, two))] == [1, 1, 2]
    assert [len(batch) for batch in in_batches(files(two, two, two, two))] == [1, 2, 1]


def fetched(key: str, *lines: bytes, fault: str | None = None) -> FetchedFile:
    """Return a file of these lines as the landing zone gives it."""
    content = b"".join(lines)
    return FetchedFile(LandingFile(key, HOUR, len(content), None), content, fault=fault)


def faults(batch: Batch) -> list[tuple[str, int, str]]:
    """Return what was put aside."""
    return [(fault["landing_key"], fault["line_number"], fault["reason"]) for fault in batch.unloadable]


def loadable(batch: Batch) -> list[tuple[str, int]]:
    """Return the places of the lines that can be loaded."""
    return [(each.landing_key, each.line_number) for each in batch.loadable]


@pytest.fixture
def batch() -> Batch:
    """Read three files: two of good and bad lines, one that the store didn't give."""
    files = [
        fetched("a", line(event(), 1), b"bad\n", line(event(), 2)),
        fetched("b", b"bad\n", line(event(), 3)),
        fetched("c", fault="gone"),
    ]
    return Batch.read(files, Verifier([SECRET.encode()]))


def test_a_batch_knows_every_line_of_its_files(batch: Batch) -> None:
    assert loadable(batch) == [("a", 1), ("a", 3), ("b", 2)]
    assert faults(batch) == [("a", 2, "bad_line"), ("b", 1, "bad_line"), ("c", 0, "unreadable_file")]
    assert batch.lines == {"a": 3, "b": 2, "c": 1}
    assert [file.key for file in batch.files] == ["a", "b", "c"]
    assert batch.sha256.keys() == {"a", "b"}
    content = line(event(), 1) + b"bad\n" + line(event(), 2)
    assert batch.sha256["a"] == hashlib.sha256(content).hexdigest()
    assert batch.seen
    assert list(batch.seen.groups) == ["120363000000000001@g.us"]


def test_a_part_of_a_batch_is_what_it_holds_of_those_files(batch: Batch) -> None:
    part = batch.only({"b", "c", "d"})
    assert (loadable(part), [file.key for file in part.files]) == ([("b", 2)], ["b", "c"])
    assert faults(part) == [("b", 1, "bad_line"), ("c", 0, "unreadable_file")]
    assert (part.lines["b"], part.sha256["b"], part.verifier) == (2, batch.sha256["b"], batch.verifier)
    assert batch.only({"a", "b", "c", "d"}) is batch


def test_what_was_discarded_is_withheld_line_by_line_or_as_a_file(batch: Batch) -> None:
    batch.withhold(set())
    assert batch.seen
    batch.withhold({("a", 1), ("a", 2), ("b", 0), ("c", 3)})
    assert (loadable(batch), faults(batch)) == ([("a", 3)], [("c", 0, "unreadable_file")])
    assert batch.lines == {"a": 3, "b": 1, "c": 1}
    assert batch.seen is None


def test_what_postgres_refused_is_put_aside_with_its_bytes(batch: Batch) -> None:
    batch.refuse({})
    assert batch.seen
    batch.refuse({batch.loadable[1]: "22003 too large"})
    assert loadable(batch) == [("a", 1), ("b", 2)]
    assert batch.unloadable[-1] == {
        "landing_key": "a",
        "line_number": 3,
        "reason": "refused_by_postgres",
        "detail": "22003 too large",
        "raw": line(event(), 2).removesuffix(b"\n"),
    }
    assert batch.seen is None


def test_of_a_file_that_is_put_aside_whole_only_the_head_is_kept() -> None:
    batch = Batch.read([fetched("a", b"\xff" * 65_537), fetched("b", b"\xff" * 65_536)], None)
    assert [len(fault["raw"]) for fault in batch.unloadable] == [65_536, 65_536]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([line(event(), 1)], [("a", 0, "not_authentic")]),
        ([line(event(), 1), b"bad\n"], [("a", 0, "not_authentic")]),
        ([b"bad\n"], [("a", 1, "bad_line")]),
        ([], []),
    ],
)
def test_a_file_in_which_nothing_is_authentic_is_one_fault_beside_those_of_other_files(
    lines: list[bytes], found: list[tuple[str, int, str]]
) -> None:
    """What was put aside of the files before it stays, and so do their lines."""
    before = fetched("0", line(event(), 1).replace(b'"signature":"', b'"x":1,"signature":"'), b"bad\n")
    batch = Batch(Verifier([SECRET.encode()]))
    batch.add(before)
    batch.verifier = Verifier([b"another secret"])
    batch.add(fetched("a", *lines))
    assert faults(batch) == [("0", 2, "bad_line"), *found]
    assert loadable(batch) == [("0", 1)]
    assert batch.lines["a"] == len(found)


class Failing(Verifier):
    """A verifier that fails as nobody thought of."""

    def is_signed(self, *_: Any) -> bool:
        """Fail."""
        raise ZeroDivisionError("the content")


def test_a_line_that_fails_as_nobody_thought_of_stops_no_other() -> None:
    batch = Batch(Failing([b"secret"]))
    batch.add_line("a", 7, b"bad")
    batch.add_line("a", 8, line(event(), 1))
    assert faults(batch) == [("a", 7, "bad_line"), ("a", 8, "unforeseen")]
    assert batch.unloadable[1]["detail"] == "ZeroDivisionError"


@pytest.mark.parametrize(
    ("more", "lengths"),
    [([0, 0, 0, 0], [2, 2]), ([0, 1, 0, 0], [1, 1, 2]), ([0, 0, 0, 1], [2, 1, 1]), ([0, 0, 1, -1], [2, 2])],
)
def test_a_retry_takes_a_bounded_number_of_bytes_at_once(more: list[int], lengths: list[int]) -> None:
    """An entry takes 2 KB beside its line."""
    half = (16 << 20) - (2 << 10)
    tried = [{"id": uuid.uuid4(), "bytes": half + size} for size in more]
    divided = list(_bounded(tried))
    assert [len(ids) for ids in divided] == lengths
    assert [each for ids in divided for each in ids] == [each["id"] for each in tried]


def test_no_entries_are_no_retry() -> None:
    assert list(_bounded([])) == []


@pytest.mark.parametrize(
    ("loaded", "left", "seconds", "said"),
    [
        (100, 300, 2.0, "; 15 lines/s, 75% left, about 6 s"),
        (300, 100, 2.0, "; 15 lines/s, 25% left, about 1 s"),
        (400, 0, 0.001, " in 0.0 s, 30,000 lines/s"),
        (0, 0, 3.0, " in 3.0 s, 10 lines/s"),
        (0, 1, 3.0, "; 10 lines/s, 100% left, about 3 s"),
        (1, 1, 3.0, "; 10 lines/s, 50% left, about 3 s"),
    ],
)
def test_a_load_says_how_far_it_is(loaded: int, left: int, seconds: float, said: str) -> None:
    done = LoadCounts(2, 30, 20, 6, 4)
    assert progress(done, loaded, left, seconds) == (
        f"2 files, 30 lines: 20 loaded, 6 duplicates, 4 quarantined{said}"
    )


def test_counts_add_up() -> None:
    assert LoadCounts(1, 2, 3, 4, 5) + LoadCounts(10, 20, 30, 40, 50) == LoadCounts(11, 22, 33, 44, 55)
