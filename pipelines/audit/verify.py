"""Verifies landed lines again: each must be what the collector signed, and each file what the receiver put.

Belongs here: what makes a landed line trustworthy. Not: whether it can be loaded (parsing).
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime

from pipelines.db.connection import Connection
from pipelines.landing.authenticity import Verifier
from pipelines.landing.format import LandingLineError, decode_line, decode_tombstone, split_lines
from pipelines.landing.zone import FetchedFile, LandingZone
from pipelines.loading.ledger import Entry, entries
from receiver.landing import NEWLINES_TO_SPACES, hour_prefix


def verify(
    conn: Connection, zone: LandingZone, verifier: Verifier, hour: datetime | None = None
) -> tuple[int, list[str]]:
    """Verify one UTC hour's landed lines, or all; return how many there are, and what fails.

    A failure names the file, and the line where it is one's: that isn't what it was when it was landed.
    The signature covers the body, and the id in the current contract; the digest and the mac that the receiver put
    beside a file cover its key and the rest of its lines, and so does the ledger's digest of what was loaded. Whoever
    can write the bucket and leaves out what is put beside a file can change a file that isn't loaded yet: times of
    receipt, the first contract's ids, which of the signed lines it has.
    """
    lines = 0
    failures: list[str] = []
    for page in zone.files(hour):
        loaded = entries(conn, [file.key for file in page])
        for fetched in zone.fetch(page):
            lines += len(split_lines(fetched.content))
            failures += _failures(fetched, verifier, loaded.get(fetched.file.key))
    return lines, failures


def _failures(fetched: FetchedFile, verifier: Verifier, entry: Entry | None) -> Iterator[str]:
    key = fetched.file.key
    if fetched.fault:
        yield f"{key}: the store can't give it: {fetched.fault}"
    elif (fault := verifier.file_fault(key, fetched.content, fetched.metadata)) or (
        entry
        and not verifier.is_erasures(key, fetched.content, fetched.metadata)
        and (fault := _other_than_loaded(fetched.content, entry))
    ):
        yield f"{key}: {fault}"
    for number, line in enumerate(split_lines(fetched.content), 1):
        try:
            event = decode_line(line)
            signed = event.signed
        except LandingLineError as error:
            if (tombstone := decode_tombstone(line)) and verifier.is_tombstone(tombstone):
                continue
            yield f"{key}:{number}: {error}"
            continue
        if not verifier.is_signed(event, signed):
            yield f"{key}:{number}: the signature does not verify"
        elif event.raw is not None and bytes(event.body) != signed.translate(NEWLINES_TO_SPACES).strip(b" \t"):
            yield f"{key}:{number}: body isn't what raw holds"
        elif not key.startswith(hour_prefix(event.received_at)):
            yield f"{key}:{number}: received_at isn't in the hour of the key"


def _other_than_loaded(content: bytes, entry: Entry) -> str | None:
    """Return how a file differs from its entry. One that was put aside whole counts as one line there."""
    lines, whole = len(split_lines(content)), entry.lines == entry.quarantined == 1
    if entry.sha256 and entry.sha256 != hashlib.sha256(content).hexdigest():
        return "the file isn't what was loaded: its digest differs"
    if lines != entry.lines and not whole:
        return f"the file has {lines} lines, and {entry.lines} were loaded"
    return None
