"""The list of erasures in the landing bucket: what must be forgotten, since when, on whose word.

Belongs here: reading and writing the list. Not: which erasures a landed line falls under (covering), what becomes of
such a line (lines). The list names nobody: subjects are keyed digests. An entry of the kind `before` has none: hours
have expired, no matter who is in them, or content has.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec
import obstore
import uuid_utils

from pipelines.errors import WppLakeError
from pipelines.landing.zone import LandingZone

PREFIX = "erasures/"
SUPERSEDED = f"{PREFIX}before/"  # expiries that a later one includes: kept as a record, and read by nothing
SHORTEST_KEY = 16  # bytes
Kind = Literal["person", "event", "group", "before"]
Keeps = Literal["facts"]


class ErasureKeyError(WppLakeError):
    """There are erasures, or is to be one, and no key to compare with."""


class NoSuchErasureError(WppLakeError, LookupError):
    """The list has no erasure of this id."""


class Erasure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of the list.

    `subjects` are keyed digests in hex, `key_id` the public name of their key. It covers what was received before
    `until`, all of it where that is None, and whatever has an event id that it touched. `lifted_at` says since when it
    covers nothing any more. Of the kind `before` it has no subjects: hours before `until` have expired, which needs no
    key; where it `keeps` facts, their content has, and the key vouches for what is left.
    """

    id: str
    kind: Kind
    subjects: tuple[str, ...]
    until: datetime | None
    reference: str
    by: str
    at: datetime
    key_id: str
    lifted_at: datetime | None = None
    lifted_by: str | None = None
    keeps: Keeps | None = None

    @property
    def key(self) -> str:
        """The object's key."""
        return f"{PREFIX}{self.id}.json"

    def expires(self, keeps: Keeps | None = None) -> bool:
        """Tell whether by this entry everything expires, or all but what it `keeps`."""
        return self.kind == "before" and self.keeps == keeps and self.lifted_at is None and self.until is not None

    def latest(self) -> datetime:
        """Return until when it covers."""
        return self.until or datetime.max.replace(tzinfo=UTC)


class Touched(msgspec.Struct, frozen=True):
    """A manifest's line: a landed line that an erasure writes anew, with the digests of it before and after."""

    key: str
    line: int
    event_id: str | None
    old_sha256: str
    new_sha256: str


def new_id() -> str:
    """Return the id of a new entry, greater than those before."""
    return str(uuid_utils.uuid7())


class Listed(NamedTuple):
    """How the list is: of when its newest change is, before when everything has expired, and content; None without."""

    revision: datetime | None
    expired_before: datetime | None
    content_before: datetime | None = None

    @classmethod
    def of(cls, entries: Iterable[Erasure]) -> "Listed":
        """Return how a list of these entries is."""
        entries = list(entries)
        whole, content = expiry_of(entries), expiry_of(entries, "facts")
        return cls(newest_change(entries), whole.until if whole else None, content.until if content else None)


def newest_change(entries: Iterable[Erasure]) -> datetime | None:
    """Return when the newest change of these entries was."""
    return max((each.lifted_at or each.at for each in entries), default=None)


def expiry_of(entries: Iterable[Erasure], keeps: Keeps | None = None) -> Erasure | None:
    """Return the expiry, or that of content, that includes all others of these entries."""
    return max((each for each in entries if each.expires(keeps)), key=Erasure.latest, default=None)


class ErasureList:
    """The list in the landing bucket."""

    def __init__(self, zone: LandingZone) -> None:
        self._store, self._settings = zone.store, zone.settings

    def key(self) -> bytes:
        """Return the key of the digests. Raises ErasureKeyError without one, or with a short one."""
        key = self._settings.erasure_key_bytes
        if not key:
            raise ErasureKeyError("ERASURE_KEY isn't set: nobody who was erased can be recognised without it")
        if len(key) < SHORTEST_KEY:
            raise ErasureKeyError(f"ERASURE_KEY has less than {SHORTEST_KEY} bytes")
        return key

    def put(self, erasure: Erasure) -> None:
        """Put an entry, or one that is lifted in the place of itself."""
        self.put_object(erasure.key, msgspec.json.encode(erasure))

    def put_object(self, key: str, content: bytes) -> None:
        """Put an object of an erasure, such as a manifest."""
        obstore.put(self._store, key, content)

    def get_object(self, key: str) -> bytes:
        """Return an object of an erasure."""
        return bytes(obstore.get(self._store, key).bytes())

    def objects(self, prefix: str = PREFIX) -> list[str]:
        """Return the keys of the list's objects, in their order."""
        return sorted(each["path"] for page in obstore.list(self._store, prefix=prefix) for each in page)

    def entries(self) -> list[Erasure]:
        """Return every entry, the oldest first."""
        try:
            return self._entries()
        except FileNotFoundError:  # it was superseded meanwhile, by one that is in the list now
            return self._entries()

    def _entries(self) -> list[Erasure]:
        found = obstore.list_with_delimiter(self._store, prefix=PREFIX)["objects"]  # not what lies deeper
        keys = sorted(each["path"] for each in found if _is_entry(each["path"]))
        return [msgspec.json.decode(self.get_object(key), type=Erasure) for key in keys]

    def entry(self, erasure_id: str) -> Erasure:
        """Return one entry. Raises NoSuchErasureError."""
        for each in self.entries():
            if each.id == erasure_id:
                return each
        raise NoSuchErasureError(f"there is no erasure {erasure_id}: `wpp-lake erase ls` lists them")

    def touched(self, erasure: Erasure) -> Iterator[Touched]:
        """Yield what an erasure's manifests hold."""
        manifests = f"{PREFIX}{erasure.id}/manifest-"
        for key in self.objects(f"{PREFIX}{erasure.id}/"):
            if key.startswith(manifests):
                yield from _read_manifest(self.get_object(key))

    def supersede(self, erasure: Erasure) -> None:
        """Put an expiry that a later one includes out of the list, where it stays as a record."""
        self.put_object(f"{SUPERSEDED}{erasure.id}.json", msgspec.json.encode(erasure))
        obstore.delete(self._store, erasure.key)

    def listed(self) -> Listed:
        """Return how the list is; no key is needed for that."""
        return Listed.of(self.entries())


def _is_entry(key: str) -> bool:
    name = key.removeprefix(PREFIX).removesuffix(".json")
    try:
        return key.endswith(".json") and str(UUID(name)) == name
    except ValueError:
        return False


@lru_cache(256)
def _read_manifest(content: bytes) -> tuple[Touched, ...]:
    return tuple(msgspec.json.decode(line, type=Touched) for line in content.splitlines())


def encode_manifest(lines: Iterable[Touched]) -> bytes:
    """Return a manifest's bytes."""
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def lifted(erasure: Erasure, by: str) -> Erasure:
    """Return an entry that covers nothing from now on."""
    return msgspec.structs.replace(erasure, lifted_at=datetime.now(UTC), lifted_by=by)


def described(erasure: Erasure) -> dict[str, object]:
    """Return what an entry says, but for its digests, as JSON has it."""
    return {name: value for name, value in msgspec.to_builtins(erasure).items() if name != "subjects"}
