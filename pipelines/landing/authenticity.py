"""Whether what is landed is what the collector signed and the receiver put.

Belongs here: signatures, digests and macs, compared with those that the secrets make. Not: what follows from a wrong
one (parsing, loading, audit).
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC

from pipelines.errors import WppLakeError
from pipelines.landing.format import LandedEvent, Tombstone
from receiver.landing import file_metadata, key_id


class NoSecretError(WppLakeError):
    """There is nothing to verify with."""


def erased_line_mac(key: bytes, event: LandedEvent, erasure: str) -> str:
    """Return the mac, in hex, of a line that an erasure has written: it covers all that the line says."""
    head = f"{event.event_id}\n{event.received_at.astimezone(UTC).isoformat()}\n{event.contract}\n{erasure}\n"
    return hmac.digest(key, head.encode() + bytes(event.body), "sha256").hex()


def tombstone_mac(key: bytes, erasure: str, reason: str) -> str:
    """Return the mac, in hex, of what is left of a line that was no event."""
    return hmac.digest(key, f"tombstone\n{erasure}\n{reason}".encode(), "sha256").hex()


def written_by_erasure(key: bytes | None, file_key: str, content: bytes, metadata: Mapping[str, str]) -> bool:
    """Tell whether an erasure has put a file as it is now."""
    made = file_metadata(key or b"", file_key, content)
    return bool(key) and all(metadata.get(name) == value for name, value in made.items())


class Verifier:
    """Verifies against every secret that the collector may have signed with. Raises NoSecretError without one."""

    def __init__(self, secrets: Sequence[bytes], erasure_key: bytes | None = None) -> None:
        if not secrets:
            raise NoSecretError("WHATSAPP_WEBHOOK_SECRET isn't set: there is nothing to verify with")
        self._keys = [hmac.new(secret, digestmod="sha256") for secret in secrets]
        self._erasure_key = erasure_key
        self._by_key_id = {key_id(secret): secret for secret in (*secrets, *filter(None, [erasure_key]))}

    def is_signed(self, event: LandedEvent, signed: bytes) -> bool:
        """Tell whether one of the secrets made a line's signature; `signed` are the bytes of its body as sent.

        Of a line that an erasure has written, tell whether the erasure key made its mac. As
        `receiver.landing.signature` does, from keys that are set up once: that takes as long as a line's hash.
        """
        if event.erased:
            made_of = erased_line_mac(self._erasure_key or b"", event, event.erased)
            return bool(self._erasure_key) and hmac.compare_digest(made_of.encode(), event.mac.encode())
        before = b"" if event.contract == "first" else event.event_id.encode() + b"."
        given = event.signature.encode()
        for key in self._keys:
            made = key.copy()
            made.update(before)
            made.update(signed)
            if hmac.compare_digest(made.hexdigest().encode(), given):
                return True
        return False

    def is_erasures(self, file_key: str, content: bytes, metadata: Mapping[str, str]) -> bool:
        """Tell whether an erasure has put a file as it is now."""
        return written_by_erasure(self._erasure_key, file_key, content, metadata)

    def is_tombstone(self, tombstone: Tombstone) -> bool:
        """Tell whether an erasure has written what is left of a line."""
        key = self._erasure_key
        made = tombstone_mac(key or b"", tombstone.erased, tombstone.reason)
        return bool(key) and hmac.compare_digest(made.encode(), tombstone.mac.encode())

    def file_fault(self, key: str, content: bytes, metadata: Mapping[str, str]) -> str | None:
        """Return what is wrong with a file, by what the receiver put beside it; None where that is right, or missing.

        A mac that was made with an unknown secret counts as missing: who could write one could leave it out as well.
        """
        secret = self._by_key_id.get(metadata.get("key_id", ""))
        right = file_metadata(secret or b"", key, content)
        for name in ("sha256", "mac") if secret else ("sha256",):
            if not hmac.compare_digest(metadata.get(name, right[name]).encode(), right[name].encode()):
                return f"the file isn't what the receiver put: its {name} differs"
        return None

    def explain(self, metadata: Mapping[str, str]) -> str:
        """Say what it may mean that none of a file's lines verifies, and the remedy."""
        given = metadata.get("key_id")
        known = given is None or given in self._by_key_id
        return (
            "no line's signature verifies: a forgery, or made with "
            + (
                "a secret that isn't known here"
                if known
                else f"the secret with the key id {given}, which isn't known here"
            )
            + ": add it to WHATSAPP_WEBHOOK_RETIRED_SECRETS, then `wpp-lake quarantine retry` and `wpp-lake load`"
        )
