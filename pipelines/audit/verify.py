"""Verifies landed lines again: each must be what the collector signed, and each file what the receiver put.

Belongs here: what makes a landed line trustworthy. Not: whether it can be loaded (parsing).
"""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from datetime import datetime

from pipelines.errors import WppLakeError
from pipelines.landing.format import LandedEvent, LandingLineError, decode_line, split_lines
from pipelines.landing.zone import FetchedFile, LandingZone
from receiver.landing import NEWLINES_TO_SPACES, hour_prefix, signature


class NoSecretError(WppLakeError):
    """There is nothing to verify with."""


def verify(zone: LandingZone, secrets: Sequence[bytes], hour: datetime | None = None) -> tuple[int, list[str]]:
    """Verify one UTC hour's landed lines, or all; return how many there are, and what fails. Raises NoSecretError.

    A failure names the file, and the line where it is one's: that isn't what it was when it was landed.
    The signature covers the body, and the id in the current contract; the digest that the receiver put beside a file
    covers the rest of its lines.
    """
    if not secrets:
        raise NoSecretError("WHATSAPP_WEBHOOK_SECRET isn't set: there is nothing to verify with")
    lines = 0
    failures: list[str] = []
    files = (file for page in zone.files(hour) for file in page)
    for fetched in zone.fetch(files):
        lines += len(split_lines(fetched.content))
        failures += _failures(fetched, secrets)
    return lines, failures


def _failures(fetched: FetchedFile, secrets: Sequence[bytes]) -> Iterator[str]:
    key = fetched.file.key
    if fetched.fault:
        yield f"{key}: the store can't give it: {fetched.fault}"
    if fetched.sha256 is not None and fetched.sha256 != hashlib.sha256(fetched.content).hexdigest():
        yield f"{key}: the file isn't what the receiver put: its digest differs"
    for number, line in enumerate(split_lines(fetched.content), 1):
        try:
            event = decode_line(line)
            signed = event.signed
        except LandingLineError as error:
            yield f"{key}:{number}: {error}"
            continue
        if not _is_authentic(event, signed, secrets):
            yield f"{key}:{number}: the signature does not verify"
        elif event.raw is not None and bytes(event.body) != signed.translate(NEWLINES_TO_SPACES).strip(b" \t"):
            yield f"{key}:{number}: body isn't what raw holds"
        elif not key.startswith(hour_prefix(event.received_at)):
            yield f"{key}:{number}: received_at isn't in the hour of the key"


def _is_authentic(event: LandedEvent, signed: bytes, secrets: Sequence[bytes]) -> bool:
    right = [signature(secret, event.contract, event.event_id.encode(), signed) for secret in secrets]
    return any(hmac.compare_digest(each.encode(), event.signature.encode()) for each in right)
