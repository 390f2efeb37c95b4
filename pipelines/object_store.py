"""A client of the object store for what the quicker one can't do (docs/adr/0011).

Belongs here: how it is made from the settings. Not: buckets, keys.
"""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from pipelines.settings import LakeSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


FOR_WORK = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 3})
FOR_A_QUESTION = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 1})


def client(settings: LakeSettings, config: Config = FOR_WORK) -> "S3Client":
    """Return a client with the lake's endpoint, region and keys; without keys it finds the machine's."""
    key, secret, token = settings.store_keys or (None, None, None)
    return boto3.client(
        "s3",
        endpoint_url=settings.aws_endpoint_url_s3,
        region_name=settings.aws_region,
        config=config,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
    )
