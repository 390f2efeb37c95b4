"""Landing an event once: the window, and twins in flight."""

import asyncio

import pytest

from receiver.dedupe import Dedupe
from receiver.writer import Unavailable

ID = "0b54fc54-2d1b-5f6b-8c1f-6f2d4f3e9a10"


class Clock:
    """A clock that moves when told."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


class Landings:
    """Landings that the test decides: one future a call."""

    def __init__(self) -> None:
        self.started: list[asyncio.Future[None]] = []

    def __call__(self) -> asyncio.Future[None]:
        """Start one."""
        self.started.append(asyncio.get_running_loop().create_future())
        return self.started[-1]


def at_once() -> asyncio.Future[None]:
    """Return a landing that is durable as soon as the event loop turns."""
    loop = asyncio.get_running_loop()
    landing = loop.create_future()
    loop.call_soon(landing.set_result, None)
    return landing


async def deliver_twins(dedupe: Dedupe, landings: Landings) -> tuple[asyncio.Task[bool], asyncio.Task[bool]]:
    """Start two deliveries of one event, both waiting for the first one's landing."""
    first = asyncio.create_task(dedupe.land_once(ID, b"{}", landings))
    await asyncio.sleep(0)  # each runs until it waits
    second = asyncio.create_task(dedupe.land_once(ID, b"{}", landings))
    await asyncio.sleep(0)
    return first, second


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def dedupe(clock: Clock) -> Dedupe:
    """Return a window of 60 seconds and three entries."""
    return Dedupe(60, 3, clock)


async def test_first(dedupe: Dedupe) -> None:
    """The first delivery lands."""
    assert await dedupe.land_once(ID, b"{}", at_once)


async def test_second(dedupe: Dedupe) -> None:
    """The second one is a duplicate."""
    await dedupe.land_once(ID, b"{}", at_once)
    assert not await dedupe.land_once(ID, b"{}", at_once)


async def test_case_of_the_id(dedupe: Dedupe) -> None:
    """The id in another case is the same id."""
    await dedupe.land_once(ID, b"{}", at_once)
    assert not await dedupe.land_once(ID.upper(), b"{}", at_once)


async def test_other_body(dedupe: Dedupe) -> None:
    """The same id with another body is another event."""
    await dedupe.land_once(ID, b"{}", at_once)
    assert await dedupe.land_once(ID, b"{ }", at_once)


async def test_window_holds(dedupe: Dedupe, clock: Clock) -> None:
    """Just before the window ends a delivery is still a duplicate."""
    await dedupe.land_once(ID, b"{}", at_once)
    clock.now += 59.9
    assert not await dedupe.land_once(ID, b"{}", at_once)


async def test_window_ends(dedupe: Dedupe, clock: Clock) -> None:
    """After the window the same event lands again."""
    await dedupe.land_once(ID, b"{}", at_once)
    clock.now += 60
    assert await dedupe.land_once(ID, b"{}", at_once)


async def test_window_is_not_prolonged(dedupe: Dedupe, clock: Clock) -> None:
    """A duplicate doesn't start the window anew."""
    await dedupe.land_once(ID, b"{}", at_once)
    clock.now += 40
    await dedupe.land_once(ID, b"{}", at_once)
    clock.now += 40
    assert await dedupe.land_once(ID, b"{}", at_once)


async def test_entries_are_bounded(dedupe: Dedupe) -> None:
    """With more events than entries the oldest is forgotten."""
    for body in (b"1", b"2", b"3", b"4"):
        await dedupe.land_once(ID, body, at_once)
    assert await dedupe.land_once(ID, b"1", at_once)


async def test_newest_entries_are_kept(dedupe: Dedupe) -> None:
    """With more events than entries the newest are remembered."""
    for body in (b"1", b"2", b"3", b"4"):
        await dedupe.land_once(ID, body, at_once)
    assert not await dedupe.land_once(ID, b"2", at_once)


async def test_twin_lands_once(dedupe: Dedupe) -> None:
    """A twin of a delivery in flight starts no landing."""
    landings = Landings()
    first, second = await deliver_twins(dedupe, landings)
    landings.started[0].set_result(None)
    assert (await first, await second, len(landings.started)) == (True, False, 1)


async def test_twin_waits(dedupe: Dedupe) -> None:
    """A twin isn't answered before the first one is durable."""
    landings = Landings()
    first, second = await deliver_twins(dedupe, landings)
    waiting = not second.done()
    landings.started[0].set_result(None)
    await asyncio.gather(first, second)
    assert waiting


async def test_twin_fails_too(dedupe: Dedupe) -> None:
    """When the first one's landing fails, so does the twin."""
    landings = Landings()
    twins = await deliver_twins(dedupe, landings)
    landings.started[0].set_exception(Unavailable("the store is away"))
    outcomes = await asyncio.gather(*twins, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["the store is away", "the store is away"]


async def test_failure_is_not_remembered(dedupe: Dedupe) -> None:
    """An event whose landing failed lands when it comes again."""
    landings = Landings()
    twins = await deliver_twins(dedupe, landings)
    landings.started[0].set_exception(Unavailable("the store is away"))
    await asyncio.gather(*twins, return_exceptions=True)
    assert await dedupe.land_once(ID, b"{}", at_once)
