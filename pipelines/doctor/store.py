"""The object store: both buckets, what the pipelines' and the receiver's keys may do in them, conditions, its clock.

Belongs here: what is found out by trying. Not: whose keys they are (settings). Nothing that a reader lists is touched:
probes are `.doctor` in the snapshot bucket, taken away again where the key may, and `.readyz`, the receiver's own.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from pydantic import SecretStr

from pipelines import object_store
from pipelines.doctor.findings import Finding, failure, note, ok
from pipelines.settings import LakeSettings
from receiver.landing import PREFIX

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PROBE, READY, NOTHING = ".doctor", ".readyz", f"{PREFIX}.doctor"  # the last one is never put
DENIED, ABSENT, FAILED_CONDITION = {"AccessDenied", "403"}, {"NoSuchKey", "404"}, {"PreconditionFailed", "412"}
# Of these it is known that a key may put and not delete; what another one can't forbid is no failure.
KNOWS_POLICIES = ("AmazonS3", "Ceph", "MinIO", "SeaweedFS")
CLOCK_NOTE_SECONDS, CLOCK_FAILURE_SECONDS = 60, 300
Answer = Mapping[str, Any]


def check(settings: LakeSettings) -> Iterator[Finding]:
    """Try what the pipelines do with their key."""
    client, bucket = object_store.client(settings, object_store.FOR_A_QUESTION), settings.landing_bucket
    listed, answer = _ask(client.list_objects_v2, Bucket=bucket, Prefix=PREFIX, MaxKeys=1)
    yield _clock(answer)
    read, _ = _ask(client.get_object, Bucket=bucket, Key=NOTHING)
    yield _rights("landing bucket", bucket, {"list": listed, "read": "" if read in ABSENT else read})
    yield _versions(client, bucket)
    yield from _snapshots(client, settings.snapshot_bucket)


def _snapshots(client: "S3Client", bucket: str) -> Iterator[Finding]:
    """Try the snapshot bucket, and whether a put on condition is one."""
    listed, _ = _ask(client.list_objects_v2, Bucket=bucket, MaxKeys=1)
    put, again, put_answer = _put_twice(client, bucket, PROBE)
    read, _ = _ask(client.get_object, Bucket=bucket, Key=PROBE)
    if put_answer:
        _take_away(client, bucket, PROBE, put_answer)
    yield _rights("snapshot bucket", bucket, {"list": listed, "put": put, "read": read})
    if not put:
        yield _condition(bucket, again)


def check_receiver(settings: LakeSettings, receiver: Mapping[str, str]) -> Iterator[Finding]:
    """Try what the receiver must be able to do with its key, and what it must not. `receiver` has its settings."""
    key, secret = receiver.get("AWS_ACCESS_KEY_ID"), receiver.get("AWS_SECRET_ACCESS_KEY")
    if not (key and secret):
        told = "it isn't known here: what it may do, such as delete, wasn't tried"
        yield note("receiver's key", told, "Name the receiver's settings by --receiver-env FILE")
        return
    its = {"aws_access_key_id": SecretStr(key), "aws_secret_access_key": SecretStr(secret), "aws_session_token": None}
    client = object_store.client(settings.model_copy(update=its), object_store.FOR_A_QUESTION)
    bucket = receiver.get("LANDING_BUCKET") or settings.landing_bucket
    put, again, _ = _put_twice(client, bucket, READY)
    yield _rights("receiver's key", bucket, {"put": put})
    if not put:
        yield _condition(bucket, again)
    yield _limits(client, bucket)


def _clock(answer: Answer) -> Finding:
    """Compare the store's clock, as its answer shows it, with this machine's."""
    told = _headers(answer).get("date")
    if not told:
        return note("clock", "the store's answers have no date")
    seconds = (datetime.now(UTC) - parsedate_to_datetime(told)).total_seconds()
    found = f"this machine's is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the store's"
    remedy = "Set it by NTP: a file's hour is that of receipt, and signed requests are refused for a wrong time"
    if abs(seconds) > CLOCK_FAILURE_SECONDS:
        return failure("clock", found, remedy)
    return note("clock", found, remedy) if abs(seconds) > CLOCK_NOTE_SECONDS else ok("clock", found)


def _rights(check: str, bucket: str, tried: Mapping[str, str]) -> Finding:
    """Tell what was refused of what is needed, by the store's error codes."""
    refused = {act: code for act, code in tried.items() if code}
    if not refused:
        return ok(check, f"{bucket}: may {', '.join(tried)}")
    found = ", ".join(f"{act}: {code}" for act, code in refused.items())
    return failure(
        check, f"{bucket}: {found}", "Make the bucket, or give the key the policy of deploy/s3 that is its own"
    )


def _condition(bucket: str, second_put: str) -> Finding:
    """Tell whether the store refused to put over what is there."""
    if second_put in FAILED_CONDITION:
        return ok("conditional put", f"{bucket}: a second put of a key is refused")
    return failure(
        "conditional put", f"{bucket}: a second put with If-None-Match was answered {second_put or 'as a success'}",
        "Landing files could be replaced: take a store that knows conditional writes",
    )  # fmt: skip


def _limits(client: "S3Client", bucket: str) -> Finding:
    """Tell whether the receiver's key may do what the receiver never does."""
    answers = {
        "read": _ask(client.head_object, Bucket=bucket, Key=READY),
        "list": _ask(client.list_objects_v2, Bucket=bucket, Prefix=PREFIX, MaxKeys=1),
        "delete": _ask(client.delete_object, Bucket=bucket, Key=NOTHING),
    }
    deleted = answers["delete"][1]
    if deleted.get("VersionId"):  # what a delete puts where there are versions, whatever there was
        _take_away(client, bucket, NOTHING, deleted)
    may = [act for act, (code, _) in answers.items() if code not in DENIED]
    if not may:
        return ok("receiver's limits", f"{bucket}: it may neither read, list nor delete")
    found, remedy = f"{bucket}: it may {', '.join(may)}", "Give it the policy deploy/s3/receiver.json, and no other"
    if _headers(deleted).get("server", "").startswith(KNOWS_POLICIES):
        return failure("receiver's limits", found, remedy)
    return note("receiver's limits", found, f"{remedy}; where the store can't forbid it, keep the bucket's versions")


def _versions(client: "S3Client", bucket: str) -> Finding:
    """Tell whether a landing file that is replaced or deleted stays as an older version."""
    code, answer = _ask(client.get_bucket_versioning, Bucket=bucket)
    if code:
        return note("versions", f"{bucket}: whether it keeps any can't be told: {code}")
    if answer.get("Status") == "Enabled":
        return ok("versions", f"{bucket}: what is replaced or deleted stays as an older version")
    return note("versions", f"{bucket}: it keeps none", "Enable them: what is replaced or deleted is gone without")


def _put_twice(client: "S3Client", bucket: str, key: str) -> tuple[str, str, Answer | None]:
    """Put a key that isn't there, and again: return both error codes, and the first answer if it put anything."""
    put = {"Bucket": bucket, "Key": key, "Body": b"", "IfNoneMatch": "*"}
    first, answer = _ask(client.put_object, **put)
    if first in FAILED_CONDITION:  # it was there
        return "", first, None
    if first:
        return first, first, None
    return first, _ask(client.put_object, **put)[0], answer


def _take_away(client: "S3Client", bucket: str, key: str, answer: Answer) -> None:
    """Delete what this answer says was put, the version where there are any; a key that may not leaves it there."""
    version = {"VersionId": answer["VersionId"]} if answer.get("VersionId") else {}
    _ask(client.delete_object, Bucket=bucket, Key=key, **version)


def _ask(call: Callable[..., Any], **words: object) -> tuple[str, Answer]:
    """Return the store's error code, empty for a success, and its answer. Raises BotoCoreError where there is none."""
    try:
        return "", call(**words)
    except ClientError as error:
        return error.response["Error"]["Code"], dict(error.response)


def _headers(answer: Answer) -> Mapping[str, str]:
    found: Mapping[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
    return found
