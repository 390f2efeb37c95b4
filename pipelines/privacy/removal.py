"""Removes objects from a bucket, with every version that it keeps of them, or their older versions alone.

Belongs here: how, in either kind of bucket. Not: which objects (landing, expiry, content_expiry).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from pipelines.errors import WppLakeError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

    Page = tuple[list[ObjectIdentifierTypeDef], list[ObjectIdentifierTypeDef]]  # objects, marks of deleted ones


class NotRemovedError(WppLakeError):
    """The store refuses to remove an object."""


def has_any(client: "S3Client", bucket: str, prefix: str, is_gone: Callable[[str], bool]) -> bool:
    """Tell whether a reader finds objects whose keys `is_gone` names. It needs no other right than to list."""
    return any(is_gone(each["Key"]) for objects, _ in _objects(client, bucket, prefix) for each in objects)


def remove(client: "S3Client", bucket: str, prefix: str, is_gone: Callable[[str], bool]) -> int:
    """Remove the objects below a prefix whose keys `is_gone` names; return how many there were, older versions aside.

    In a bucket with versions nothing of them is left: neither an older version nor a mark that it was deleted, not even
    of a key that has nothing else any more. Raises NotRemovedError.
    """
    pages = (_versions if _keeps_versions(client, bucket) else _objects)(client, bucket, prefix)
    objects = set[str]()
    for versions, marks in pages:
        gone = [each for each in (*versions, *marks) if is_gone(each["Key"])]
        if gone:
            removed = client.delete_objects(Bucket=bucket, Delete={"Objects": gone, "Quiet": True})
            for error in removed.get("Errors", ()):
                raise NotRemovedError(f"{error.get('Key')} isn't removed: {error.get('Code')} {error.get('Message')}")
        objects.update(each["Key"] for each in versions if is_gone(each["Key"]))
    return len(objects)


def remove_older(client: "S3Client", bucket: str, keys: Iterable[str]) -> int:
    """Remove the older versions of these objects, where the bucket keeps any; return how many there were."""
    if not _keeps_versions(client, bucket):
        return 0
    return sum(_remove_older(client, bucket, key, key.__eq__) for key in keys)


def remove_older_below(client: "S3Client", bucket: str, prefix: str, is_due: Callable[[str], bool]) -> int:
    """Remove older versions of objects below a prefix whose keys `is_due` names, deleted ones too; return how many."""
    return _remove_older(client, bucket, prefix, is_due) if _keeps_versions(client, bucket) else 0


def _remove_older(client: "S3Client", bucket: str, prefix: str, is_due: Callable[[str], bool]) -> int:
    removed = 0
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            if not each["IsLatest"] and is_due(each["Key"]):
                client.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
                removed += 1
    return removed


def _keeps_versions(client: "S3Client", bucket: str) -> bool:
    return client.get_bucket_versioning(Bucket=bucket).get("Status") is not None


def _objects(client: "S3Client", bucket: str, prefix: str) -> "Iterator[Page]":
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield [{"Key": each["Key"]} for each in page.get("Contents", ())], []


def _versions(client: "S3Client", bucket: str, prefix: str) -> "Iterator[Page]":
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        yield (
            [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in page.get("Versions", ())],
            [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in page.get("DeleteMarkers", ())],
        )
