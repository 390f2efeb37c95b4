"""Whether what is landed is what the collector signed and the receiver put.

Belongs here: signatures, digests and macs, compared with those that the secrets make. Not: what follows from a wrong
one (parsing, loading, audit).
"""

import hmac
from collections.abc import Mapping, Sequence

from pipelines.errors import WppLakeError
from pipelines.landing.format import LandedEvent
from receiver.landing import file_metadata, key_id


class NoSecretError(WppLakeError):
    """There is nothing to verify with."""


class Verifier:
    """Verifies against every secret that the collector may have signed with. Raises NoSecretError without one."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        if not secrets:
            raise NoSecretError("WHATSAPP_WEBHOOK_SECRET isn't set: there is nothing to verify with")
        self._keys = [hmac.new(secret, digestmod="sha256") for secret in secrets]
        self._by_key_id = {key_id(secret): secret for secret in secrets}

    def is_signed(self, event: LandedEvent, signed: bytes) -> bool:
        """Tell whether one of the secrets made a line's signature; `signed` are the bytes of its body as sent.

        As `receiver.landing.signature` does, from keys that are set up once: that takes as long as a line's hash.
        """
        before = b"" if event.contract == "first" else event.event_id.encode() + b"."
        given = event.signature.encode()
        for key in self._keys:
            made = key.copy()
            made.update(before)
            made.update(signed)
            if hmac.compare_digest(made.hexdigest().encode(), given):
                return True
        return False

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
