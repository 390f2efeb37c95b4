"""Bodies on their way in, where what matters is a moment that no sender can choose."""

import asyncio

from receiver.intake import Intake


async def test_a_body_that_had_to_make_room_takes_none_from_others() -> None:
    """A piece of it may be read already when its go has come: it isn't held, and turns nobody away."""
    intake, gone, other = Intake(10, 10), asyncio.timeout(None), asyncio.timeout(None)
    async with other:
        intake._arriving[other] = bytearray()  # noqa: SLF001  as reading it begins
        intake._add(other, b"x" * 8)  # noqa: SLF001  a piece that has come
        intake._add(gone, b"x" * 5)  # noqa: SLF001  the same, of one that isn't on its way any more
        assert intake.held == 8
