"""How landing files are divided into the batches that are loaded."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from pipelines.landing.zone import LandingFile
from pipelines.loading.batches import BATCH_BYTES, BATCH_FILES, in_batches

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
