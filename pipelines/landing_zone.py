"""Reads the landing zone: which files there are, and their bytes.

Belongs here: listing and fetching. Not: what a file's lines mean (lines), nor writing: only the receiver lands events.
Listing and fetching go through obstore, which is several times quicker at both than boto3 (docs/adr/0011).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.store import S3Store

from pipelines.settings import LakeSettings
from receiver.landing import PREFIX, hour_prefix

if TYPE_CHECKING:
    from obstore.store import S3Config

_KEY = re.compile(re.escape(PREFIX) + r"date=(\d{4}-\d\d-\d\d)/hour=(\d\d)/[^/]+\.jsonl")


@dataclass(frozen=True, slots=True)
class LandingFile:
    """One landing file as the store lists it; `hour` is the UTC hour in its key, `size` in bytes."""

    key: str
    hour: datetime
    size: int
    etag: str | None


class LandingZone:
    """The landing bucket, for reading."""

    def __init__(self, settings: LakeSettings) -> None:
        config: S3Config = {"region": settings.aws_region, "virtual_hosted_style_request": False}
        if settings.aws_endpoint_url_s3:
            config["endpoint"] = settings.aws_endpoint_url_s3
        if settings.aws_access_key_id and settings.aws_secret_access_key:
            config["access_key_id"] = settings.aws_access_key_id.get_secret_value()
            config["secret_access_key"] = settings.aws_secret_access_key.get_secret_value()
        self._store = S3Store(
            settings.landing_bucket,
            config=config,
            client_options={
                "allow_http": True,
                "timeout": timedelta(seconds=60),
                "connect_timeout": timedelta(seconds=5),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
        )

    def files(self, hour: datetime | None = None) -> Iterator[list[LandingFile]]:
        """Yield every landing file, or one hour's, in pages of at most 1,000; other objects are passed over."""
        prefix = PREFIX if hour is None else hour_prefix(hour)
        for page in obstore.list(self._store, prefix=prefix, chunk_size=1000):
            yield [
                LandingFile(meta["path"], _hour(match), meta["size"], meta["e_tag"])
                for meta in page
                if (match := _KEY.fullmatch(meta["path"]))
            ]

    def read(self, file: LandingFile) -> bytes:
        """Return the file's bytes."""
        return bytes(obstore.get(self._store, file.key).bytes())


def _hour(key: re.Match[str]) -> datetime:
    return datetime.strptime(f"{key[1]} {key[2]}", "%Y-%m-%d %H").replace(tzinfo=UTC)
