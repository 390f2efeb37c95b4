"""Takes those who are to be forgotten out of the landing zone: files are put anew under their keys.

Belongs here: the order in which that outlives a kill (manifest, file, ledger). Not: what a line becomes (redaction),
the rows of it (tables), how older versions are removed (removal).
"""

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import obstore
import uuid_utils

from pipelines import object_store
from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.errors import WppLakeError
from pipelines.landing.authenticity import Verifier
from pipelines.landing.zone import FetchedFile, LandingFile, LandingZone
from pipelines.loading.ledger import entries
from pipelines.loading.redelivered import knowing
from pipelines.privacy.removal import remove_older
from pipelines.redaction.erasures import PREFIX, ErasureList, Touched, encode_manifest
from pipelines.redaction.lines import Change, Eraser, written
from receiver.landing import file_metadata

CLOCKS = timedelta(hours=1)  # by which the store's may differ from the database's
Wanted = Callable[[LandingFile], bool]

_log = logging.getLogger(__name__)


class ChangedMeanwhileError(WppLakeError):
    """A landing file was changed between reading and writing it: somebody else writes where only we may."""


@dataclass(frozen=True)
class _Rewritten:
    fetched: FetchedFile
    changes: Sequence[Change]
    content: bytes
    metadata: dict[str, str]


def put_since(moment: datetime | None) -> Wanted:
    """Want the files that were put since a moment of the database's clock, all of them without one."""
    return lambda file: moment is None or file.put_at is None or file.put_at >= moment - CLOCKS


def rewrite(conn: Connection, zone: LandingZone, eraser: Eraser, verifier: Verifier, wanted: Wanted) -> Counter[str]:
    """Write every landed line anew that falls under an erasure and isn't yet; count files and lines, seen and changed.

    Only in files that are `wanted`: the others were looked through before.

    Each page of files is looked through, then: the manifests are put, which say what is about to change; the files;
    the ledger follows. Killed anywhere in it, the next run goes on: what is put is found to be so, and what isn't is
    found again. Raises ChangedMeanwhileError.
    """
    done: Counter[str] = Counter()
    for page in zone.files():
        changing: list[_Rewritten] = []
        written_before: list[FetchedFile] = []
        for fetched in zone.fetch(filter(wanted, page)):
            done["files"] += 1
            if fetched.fault:
                done["unreadable"] += 1
                continue
            if verifier.is_erasures(fetched.file.key, fetched.content, fetched.metadata):
                written_before.append(fetched)
            known = knowing(conn, eraser, fetched.content, fetched.file.hour)
            changes = list(known.changes(fetched.content, fetched.file.hour))
            done["lines"] += fetched.content.count(b"\n")
            if changes:
                changing.append(_rewritten(fetched, changes, eraser.erasures.key, verifier))
                done["changed_files"] += 1
                done["changed_lines"] += len(changes)
        _follow(conn, written_before)
        if changing:
            _write(conn, zone, changing)
            _log.info("%d files looked through, %d lines written anew", done["files"], done["changed_lines"])
    return done


def _rewritten(fetched: FetchedFile, changes: Sequence[Change], key: bytes, verifier: Verifier) -> _Rewritten:
    """Make a file's new bytes, and what is put beside them: our mac, unless the file wasn't authentic before."""
    content = written(fetched.content, changes)
    if verifier.file_fault(fetched.file.key, fetched.content, fetched.metadata):
        return _Rewritten(fetched, changes, content, dict(fetched.metadata))
    return _Rewritten(fetched, changes, content, file_metadata(key, fetched.file.key, content))


def _write(conn: Connection, zone: LandingZone, changing: Sequence[_Rewritten]) -> None:
    touched: dict[str, list[Touched]] = defaultdict(list)
    for each in changing:
        for change in each.changes:
            old, new = (hashlib.sha256(line).hexdigest() for line in (change.before, change.after))
            for erasure in change.erasures:
                touched[erasure].append(Touched(each.fetched.file.key, change.number, change.event_id, old, new))
    listed = ErasureList(zone)
    for erasure, lines in touched.items():
        listed.put_object(f"{PREFIX}{erasure}/manifest-{uuid_utils.uuid7()}.jsonl", encode_manifest(lines))
    for each in changing:
        _put(zone, each)
    keys = [each.fetched.file.key for each in changing]
    _follow(conn, zone.fetch(zone.find(keys)))
    remove_versions(zone, keys)


def _put(zone: LandingZone, changing: _Rewritten) -> None:
    file = changing.fetched.file
    if obstore.head(zone.store, file.key)["e_tag"] != file.etag:
        raise ChangedMeanwhileError(f"{file.key} was changed while it was looked through: nobody else may write it")
    obstore.put(zone.store, file.key, changing.content, attributes=changing.metadata)


def _follow(conn: Connection, files: Iterable[FetchedFile]) -> None:
    """Have the ledger say of loaded files what they are now."""
    found = {each.file.key: each for each in files}
    for key, entry in entries(conn, list(found)).items():
        file, digest = found[key].file, hashlib.sha256(found[key].content).hexdigest()
        if (entry.etag, entry.size, entry.sha256) != (file.etag, file.size, digest):
            conn.execute(query("alarms/moved"), {"key": key, "etag": file.etag, "size": file.size, "sha256": digest})


def remove_versions(zone: LandingZone, keys: Iterable[str]) -> int:
    """Remove what a bucket with versions keeps of these objects beside their newest one; return how many that was."""
    return remove_older(object_store.client(zone.settings), zone.settings.landing_bucket, keys)
