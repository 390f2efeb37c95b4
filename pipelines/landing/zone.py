"""Reads the landing zone: which files there are, and their bytes.

Belongs here: listing and fetching. Not: what a file's lines mean (format), nor writing: only the receiver lands events.
Listing and fetching go through obstore, which is several times quicker at both than boto3 (docs/adr/0011); boto3 lists
what comes after a key that obstore can't hold.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

import obstore
from obstore.store import S3Store

from pipelines import object_store
from pipelines.landing.authenticity import Verifier
from pipelines.prefetch import prefetch
from pipelines.settings import LakeSettings
from receiver.landing import PREFIX, hour_prefix

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import ClientConfig, S3Config

PATIENCE = timedelta(seconds=30)  # with a store that does not answer
FETCHERS = 32  # each waits most of its time, the more the further away the store is
AHEAD_FILES, AHEAD_BYTES = 64, 16 << 20  # whichever is reached first
FOR_WORK: "ClientConfig" = {"allow_http": True, "timeout": "60s", "connect_timeout": "5s"}
FOR_A_QUESTION: "ClientConfig" = {"allow_http": True, "timeout": "2s", "connect_timeout": "2s"}
TIME_ORDERED = 7  # the version of UUID that begins with a time
NOT_GIVEN = (obstore.exceptions.BaseError, FileNotFoundError)

_KEY = re.compile(re.escape(PREFIX) + r"date=(\d{4}-\d\d-\d\d)/hour=(\d\d)/[^/\x00-\x1f\x7f]+\.jsonl", re.ASCII)


@dataclass(frozen=True, slots=True)
class LandingFile:
    """One landing file as the store lists it; `hour` is the UTC hour in its key, `size` in bytes."""

    key: str
    hour: datetime
    size: int
    etag: str | None
    put_at: datetime | None = None

    @property
    def landed_at(self) -> datetime:
        """When it was made, by the UUIDv7 in its key; the beginning of its hour where that is no such UUID."""
        name = self.key.rpartition("/")[2].removesuffix(".jsonl")
        try:
            milliseconds = UUID(name).int >> 80
            return datetime.fromtimestamp(milliseconds / 1000, UTC) if UUID(name).version == TIME_ORDERED else self.hour
        except (ValueError, OverflowError):
            return self.hour


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A landing file with its bytes, and what the receiver put beside them: `sha256`, `mac` and `key_id`, in hex.

    Copies may lack the latter. `fault` says why there are no bytes, where the store has the file and can't give it, or
    not all of it.
    """

    file: LandingFile
    content: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)
    fault: str | None = None


class LandingZone:
    """The landing bucket, for reading.

    `patient`: what reads from a store that doesn't answer waits for it for minutes; else it fails within seconds.
    """

    def __init__(self, settings: LakeSettings, *, patient: bool = True) -> None:
        self.settings = settings
        config: S3Config = {"region": settings.aws_region, "virtual_hosted_style_request": False}
        if settings.aws_endpoint_url_s3:
            config["endpoint"] = settings.aws_endpoint_url_s3
        if keys := settings.store_keys:
            config["access_key_id"], config["secret_access_key"], token = keys
            if token:
                config["session_token"] = token
        self.store = S3Store(
            settings.landing_bucket,
            config=config,
            client_options=FOR_WORK if patient else FOR_A_QUESTION,
            retry_config={"max_retries": 6 if patient else 0, "retry_timeout": PATIENCE},
        )

    def files(self, hour: datetime | None = None) -> Iterator[list[LandingFile]]:
        """Yield every landing file, or one hour's, in pages of at most 1,000; other objects are passed over."""
        prefix, last = PREFIX if hour is None else hour_prefix(hour), ""
        try:
            for page in obstore.list(self.store, prefix=prefix, chunk_size=1000):
                last = page[-1]["path"]
                yield _landing_files(
                    (meta["path"], meta["size"], meta["e_tag"], meta["last_modified"]) for meta in page
                )
        except obstore.exceptions.InvalidPathError:  # a key that this client has no word for, among the next ones
            pages = object_store.client(self.settings).get_paginator("list_objects_v2")
            for found in pages.paginate(Bucket=self.settings.landing_bucket, Prefix=prefix, StartAfter=last):
                objects = found.get("Contents", ())
                yield _landing_files(
                    (each["Key"], each["Size"], each["ETag"], each["LastModified"]) for each in objects
                )

    def find(self, keys: Iterable[str]) -> list[LandingFile]:
        """Return these files as the store has them now, without those that it lacks."""
        found = []
        for key in keys:
            try:
                meta = obstore.head(self.store, key)
            except FileNotFoundError:
                continue
            found += _landing_files([(key, meta["size"], meta["e_tag"], meta["last_modified"])])
        return found

    def verifier(self) -> Verifier | None:
        """Return what its lines are verified with, None where LOAD_VERIFY=false. Raises NoSecretError."""
        if not self.settings.load_verify:
            return None
        return Verifier(self.settings.webhook_secrets, self.settings.erasure_key_bytes)

    def fetch(self, files: Iterable[LandingFile]) -> Iterator[FetchedFile]:
        """Yield the files with their bytes, in their order, some of them fetched ahead: bounded in number and bytes."""
        return prefetch(self._read, files, threads=FETCHERS, ahead=AHEAD_BYTES, weight=_weight)

    def _read(self, file: LandingFile) -> FetchedFile:
        try:
            found, content = self._get(file.key)
        except NOT_GIVEN:
            self._check_fault(file)
            try:
                found, content = self._get(file.key)
            except NOT_GIVEN as error:
                return FetchedFile(file, b"", fault=" ".join(str(error).split())[:300])
        if len(content) != file.size:
            return FetchedFile(file, b"", fault=f"{len(content)} bytes, where the store lists {file.size}")
        if file.etag and found.meta["e_tag"] != file.etag:
            return FetchedFile(file, b"", fault="not what the store listed: it was changed meanwhile")
        return FetchedFile(file, content, {name: str(value) for name, value in found.attributes.items()})

    def _check_fault(self, file: LandingFile) -> None:
        """Raise unless it is the file's own fault that the store doesn't give it: it says that it has it, or not."""
        try:
            obstore.head(self.store, file.key)
        except FileNotFoundError:  # though it was listed; where there is no bucket either, that can't be listed
            next(self.files(file.hour), None)

    def _get(self, key: str) -> "tuple[GetResult, bytes]":
        found = obstore.get(self.store, key)
        return found, bytes(found.bytes())


def first_hour(settings: LakeSettings, since: datetime) -> datetime | None:
    """Return the first UTC hour from `since` on that has a landing file, None where the next 1,000 objects are none.

    It asks once, and waits 2 s. Raises BotoCoreError or ClientError where the store doesn't answer, or refuses.
    """
    with closing(object_store.client(settings, object_store.FOR_A_QUESTION)) as client:
        found = client.list_objects_v2(
            Bucket=settings.landing_bucket, Prefix=f"{PREFIX}date=", StartAfter=hour_prefix(since)
        )
    return next(filter(None, (hour_of(each["Key"]) for each in found.get("Contents", ()))), None)


def _weight(file: LandingFile) -> int:
    """Return what a file takes of AHEAD_BYTES, of which AHEAD_FILES small ones take all."""
    return max(file.size, AHEAD_BYTES // AHEAD_FILES)


def _landing_files(listed: Iterable[tuple[str, int, str | None, datetime]]) -> list[LandingFile]:
    """Return the landing files among the objects listed."""
    return [LandingFile(key, hour, size, etag, at) for key, size, etag, at in listed if (hour := hour_of(key))]


def hour_of(key: str) -> datetime | None:
    """Return the UTC hour of a landing file's key, None for what is no such key."""
    match = _KEY.fullmatch(key)
    return _start(match[1], match[2]) if match else None


@lru_cache(1024)
def _start(date: str, hour: str) -> datetime | None:
    """Return when an hour begins, None for one that no day has; kept, for reading it takes most of a listing's time."""
    try:
        return datetime.strptime(f"{date} {hour}", "%Y-%m-%d %H").replace(tzinfo=UTC)
    except ValueError:
        return None
