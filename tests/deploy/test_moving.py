"""A lake of the embedded servers, moved to others as docs/deploy.md says: nothing is lost, nothing loaded again."""

from subprocess import run

import psycopg
from factories import SECRET, event, line, participant
from lake import Lake
from mypy_boto3_s3 import S3Client
from pydantic import SecretStr
from roles import make_roles, program, url

from devstack.postgres import Postgres
from pipelines.audit.verify import verify
from pipelines.db.queries import query
from pipelines.landing.authenticity import Verifier
from pipelines.loading.alarms import Alarm, Watch, alarms
from pipelines.loading.pending import pending


def copy_bucket(client: S3Client, source: str, target: str) -> None:
    """Copy every object with its metadata, each by one PUT, as `rclone copy --metadata` does."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=source):
        for item in page.get("Contents", []):
            found = client.get_object(Bucket=source, Key=item["Key"])
            client.put_object(Bucket=target, Key=item["Key"], Body=found["Body"].read(), Metadata=found["Metadata"])


def move_database(server: Postgres, old_url: str) -> None:
    """Dump the old database, and restore it as the roles' owner's."""
    bare = ("--no-owner", "--no-privileges")
    dump = run([program("pg_dump"), "--format=custom", *bare, old_url], capture_output=True, check=True).stdout
    into = ("--dbname", server.url("wpp_lake"), "--role=wpp_owner", *bare, "--clean", "--if-exists", "--exit-on-error")
    run([program("pg_restore"), *into], input=dump, check=True)
    assert make_roles(server).stderr == ""


def pending_and_alarms(lake: Lake) -> tuple[list[str], list[Alarm]]:
    """Return the keys of landing files that the ledger lacks, and what a whole listing finds of those that it knows."""
    waiting = [file.key for file in pending(lake.connection, lake.zone, watch=Watch(lake.connection, lake.zone))]
    return waiting, alarms(lake.connection)


def test_a_copy_with_other_etags_is_the_same_lake(lake: Lake) -> None:
    """Each file is fetched once; after that the ledger knows it by its new etag."""
    lake.land(line(event()))
    lake.load()
    there = lake.rows("select etag from landing_files")
    lake.connection.execute("update landing_files set etag = 'of another store'")
    assert pending_and_alarms(lake) == ([], [])
    assert lake.rows("select etag from landing_files") == there


def test_a_moved_lake_goes_on(lake: Lake, roles: Postgres, snapshot_bucket: str) -> None:
    """The loader finds every file known, every line verifies, and what lands next is loaded beside what was there."""
    lake.land(line(event(), 1), line(event({"key": {"participant": participant(2).jids[0]}}), 2))
    lake.load()
    before = lake.content()
    copy_bucket(lake.client, lake.settings.landing_bucket, snapshot_bucket)
    move_database(roles, lake.settings.conninfo)
    loader = SecretStr(url(roles, "wpp_loader"))
    settings = lake.settings.model_copy(update={"database_url": loader, "landing_bucket": snapshot_bucket})
    with psycopg.connect(settings.conninfo, autocommit=True) as connection:
        there = Lake(settings, connection, lake.client)
        try:
            assert there.content() == before
            assert pending_and_alarms(there) == ([], [])
            there.land(line(event(), 3))
            assert there.load().loaded == 1
            assert verify(there.connection, there.zone, Verifier([SECRET.encode()])) == (3, [])
        finally:
            connection.execute(query("load/empty"))
