"""The list of erasures in the landing bucket: what must be forgotten, since when, on whose word.

Belongs here: reading and writing the list, and which erasures a landed line falls under. Not: what becomes of such a
line (lines). The list names nobody: subjects are keyed digests. An entry of the kind `before` has none: whole hours
have expired, no matter who is in them, and no line falls under it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec
import obstore
import uuid_utils

from pipelines.errors import WppLakeError
from pipelines.landing.zone import LandingZone
from pipelines.redaction.subjects import Subjects
from receiver.landing import key_id

PREFIX = "erasures/"
SUPERSEDED = f"{PREFIX}before/"  # expiries that a later one includes: kept as a record, and read by nothing
SHORTEST_KEY = 16  # bytes
Kind = Literal["person", "event", "group", "before"]


class ErasureKeyError(WppLakeError):
    """There are erasures, or is to be one, and no key to compare with."""


class NoSuchErasureError(WppLakeError, LookupError):
    """The list has no erasure of this id."""


class Erasure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of the list.

    `subjects` are keyed digests in hex, `key_id` the public name of their key. It covers what was received before
    `until`, all of it where that is None, and whatever has an event id that it touched. `lifted_at` says since when it
    covers nothing any more. Of the kind `before` it has no subjects and no key: hours before `until` have expired.
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

    @property
    def key(self) -> str:
        """The object's key."""
        return f"{PREFIX}{self.id}.json"


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
    """How the list is: of when its newest change is, and before when everything has expired; None without either."""

    revision: datetime | None
    expired_before: datetime | None

    @classmethod
    def of(cls, entries: Iterable[Erasure]) -> "Listed":
        """Return how a list of these entries is."""
        entries = list(entries)
        expired = (each.until for each in entries if each.kind == "before" and each.lifted_at is None and each.until)
        return cls(_newest(entries), max(expired, default=None))


def _newest(entries: Iterable[Erasure]) -> datetime | None:
    return max((each.lifted_at or each.at for each in entries), default=None)


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
        keys = [key for key in self.objects() if _is_entry(key)]
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

    def read(self) -> "Erasures":
        """Return the erasures that cover lines. Raises ErasureKeyError where there are some, and not their key."""
        entries = self.entries()
        of_subjects = [each for each in entries if each.kind != "before"]
        active = [each for each in of_subjects if each.lifted_at is None]
        key = self.key() if active else b""
        if strange := sorted({each.key_id for each in active} - {key_id(key)}):
            raise ErasureKeyError(f"ERASURE_KEY is another than the list's, which is {', '.join(strange)}")
        by_event: dict[str, list[str]] = defaultdict(list)
        for each in active:
            for event_id in {line.event_id for line in self.touched(each) if line.event_id}:
                by_event[event_id].append(each.id)
        return Erasures(key, active, by_event, Listed.of(entries), _newest(of_subjects))


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


def subjects_of(key: bytes, erasures: Collection[Erasure]) -> Subjects:
    """Return the subjects of some erasures."""
    digests = [digest for each in erasures for digest in each.subjects]
    return Subjects(key, digests, by_name=any(each.kind != "person" for each in erasures))


class Covering(NamedTuple):
    """The subjects of the erasures that a line falls under, with the ids of those."""

    subjects: Subjects
    ids: frozenset[str]


class Erasures:
    """The erasures that cover lines, as the list was read.

    `listed` is how the whole list was, expiries included; `changed_at`, when the newest change of another kind was.
    """

    def __init__(
        self,
        key: bytes,
        entries: Iterable[Erasure],
        by_event: Mapping[str, Iterable[str]],
        listed: Listed = Listed(None, None),  # noqa: B008  it can't be changed
        changed_at: datetime | None = None,
    ) -> None:
        self.key, self.entries, self.listed, self.changed_at = key, tuple(entries), listed, changed_at
        self._by_event = {event_id: frozenset(ids) for event_id, ids in by_event.items()}
        self._covering: dict[frozenset[str], Covering] = {}

    @property
    def revision(self) -> datetime | None:
        """Of when the newest change of the list is."""
        return self.listed.revision

    def covering(self, event_id: str | None, received_at: datetime) -> Covering | None:
        """Return what a line is looked through for, None where it falls under no erasure."""
        touching = self._by_event.get(event_id.lower(), frozenset()) if event_id else frozenset()
        ids = frozenset(
            each.id for each in self.entries if each.until is None or received_at < each.until or each.id in touching
        )
        if not ids:
            return None
        if ids not in self._covering:
            covering = [each for each in self.entries if each.id in ids]
            self._covering[ids] = Covering(subjects_of(self.key, covering), ids)
        return self._covering[ids]


def lifted(erasure: Erasure, by: str) -> Erasure:
    """Return an entry that covers nothing from now on."""
    return msgspec.structs.replace(erasure, lifted_at=datetime.now(UTC), lifted_by=by)


def described(erasure: Erasure) -> dict[str, object]:
    """Return what an entry says, but for its digests, as JSON has it."""
    return {name: value for name, value in msgspec.to_builtins(erasure).items() if name != "subjects"}
