"""Reads ahead: the next items are made in threads while the last one is used.

Belongs here: the order and the bound of work done ahead. Not: the work.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def prefetch(
    make: Callable[[S], T],
    sources: Iterable[S],
    *,
    threads: int = 1,
    ahead: int = 1,
    weight: Callable[[S], int] = lambda _source: 1,
) -> Iterator[T]:
    """Yield `make(source)` for each source, in order, while threads make the next ones.

    Items that weigh up to `ahead` together wait or are being made; each weighs 1 unless `weight` says otherwise. No
    reference to a yielded item is kept.
    """
    with ThreadPoolExecutor(threads) as pool:
        coming: deque[tuple[int, Future[T]]] = deque()
        total = 0
        for source in sources:
            coming.append((weight(source), pool.submit(make, source)))
            total += coming[-1][0]
            while total > ahead:
                total -= coming[0][0]
                yield coming.popleft()[1].result()
        while coming:
            yield coming.popleft()[1].result()
