"""Counts what there is of a subject, by place, before anything is changed.

Belongs here: the counts. Not: who is meant (people), the search (search).
"""

import secrets

from pipelines.db.connection import Connection
from pipelines.privacy.people import Who
from pipelines.privacy.search import Coverage, Place, Search
from pipelines.redaction.subjects import Subjects, digest
from pipelines.settings import LakeSettings


def plan(settings: LakeSettings, conn: Connection, who: Who) -> list[Place]:
    """Search every place for a subject. Nothing is changed, and no key is needed: one is made for the search alone."""
    key = secrets.token_bytes(32)
    subjects = Subjects(key, [digest(key, name) for name in who.names], by_name=who.kind != "person")
    return list(Search(settings, conn, subjects, Coverage(None)).places())
