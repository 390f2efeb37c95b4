"""Whether an erasure left anything: every place searched by digests alone, and the record of that.

Belongs here: what the record says. Not: the search (search). It needs no phone: the list and its key are enough.
"""

import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from pipelines.db.connection import Connection
from pipelines.landing.zone import LandingZone
from pipelines.privacy.content_search import ContentSearch
from pipelines.privacy.search import Coverage, Search
from pipelines.redaction.covering import subjects_of
from pipelines.redaction.erasures import PREFIX, ErasureList, NoSuchErasureError
from pipelines.settings import LakeSettings

NOT_SEARCHED = (
    "names, and texts that describe somebody without a number",
    "pictures, voice and video, which are at WhatsApp and not in the lake; previews of them in base64",
    "backups of the database and the buckets: apply the list when one is restored, with `wpp-lake erase sweep`",
    "copies that analysts made, and outputs of notebooks",
    "the collector's queue and its session",
    "logs outside the lake",
)


OF_CONTENT = (
    "names of people and groups, who is in a group, and who did what and when: that is what stays",
    "the catalogue of payload fields, which is derived from the dates' events",
    *NOT_SEARCHED[2:],
)


def verify(settings: LakeSettings, conn: Connection, erasure_id: str) -> dict[str, Any]:
    """Search every place for what an erasure, or an expiry of content, covers; put the record beside the list.

    `matches` is what must be gone and isn't, `after_request` what came later and is lawful. Returns the record. Raises
    NoSuchErasureError, ErasureKeyError.
    """
    listed = ErasureList(LandingZone(settings))
    erasure = listed.entry(erasure_id)
    if erasure.kind == "before" and not erasure.keeps:
        raise NoSuchErasureError(f"{erasure_id} is an expiry, of which nobody is the subject: see `wpp-lake reconcile`")
    key = listed.key()
    touched = list(listed.touched(erasure))
    began = datetime.now(UTC)
    if erasure.keeps:
        found = ContentSearch(settings, conn, erasure).places()
    else:
        coverage = Coverage(erasure.until, frozenset(each.event_id for each in touched if each.event_id))
        found = Search(settings, conn, subjects_of(key, [erasure]), coverage).places(touched)
    places = [asdict(place) for place in found]
    proof: dict[str, Any] = {
        "erasure": erasure.id,
        "kind": erasure.kind,
        "reference": erasure.reference,
        "requested_at": erasure.at.isoformat(),
        "covers_until": erasure.until and erasure.until.isoformat(),
        "lines_written_anew": len({(each.key, each.line) for each in touched}),
        "searched_from": began.isoformat(),
        "searched_to": datetime.now(UTC).isoformat(),
        "program": f"wpp-lake {version('wpp-lake')}",
        "places": places,
        "matches": sum(place["matches"] for place in places),
        "after_request": sum(place["after_request"] for place in places),
        "not_searched": list(OF_CONTENT if erasure.keeps else NOT_SEARCHED),
    }
    proof["sha256"] = hashlib.sha256(json.dumps(proof, sort_keys=True).encode()).hexdigest()
    listed.put_object(f"{PREFIX}{erasure.id}/proof.json", json.dumps(proof, indent=2).encode())
    return proof
