"""Everything that the lake holds about a person, as one text for that person.

Belongs here: what is told, and in which order. Not: what is masked of others (masking), who is meant (people).
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.zone import LandingZone
from pipelines.parsing.jids import person
from pipelines.privacy.masking import masked
from pipelines.privacy.people import Who
from pipelines.privacy.plan import plan
from pipelines.redaction.erasures import ErasureList
from pipelines.redaction.subjects import Subjects, digest
from pipelines.settings import LakeSettings


def export(settings: LakeSettings, conn: Connection, who: Who, by: str, reference: str) -> Iterator[str]:
    """Yield the lines of a Markdown text; that it was asked for is logged first. Raises ErasureKeyError.

    What the person wrote is told whole, of what others wrote that it names the person, when and where.
    """
    key = ErasureList(LandingZone(settings)).key()
    whom = digest(key, who.names[0])
    entry = {"by": by, "action": "export", "subject": whom, "reference": reference}
    conn.execute(query("erasure/log_access"), entry)
    subjects = Subjects(key, [digest(key, name) for name in who.names])
    numbers = [f"%{(shown.phone or shown.lid)}%" for name in who.names if (shown := person(name))]
    yield f"# What is held about {', '.join(who.names)}"
    yield f"\nOf {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, on {reference}. What is somebody else's is masked.\n"
    yield "## What is known\n"
    for jid, name, payload, first, last in conn.execute(query("erasure/export_person"), {"jids": list(who.names)}):
        yield f"- {jid}: name {name or 'not known'}, seen first {_moment(first)}, last {_moment(last)}"
        if payload:
            yield f"  described as `{_text(subjects, payload)}`"
    yield from _events(conn, subjects, who, numbers)
    yield "\n## Where it is\n"
    for place in plan(settings, conn, who):
        yield f"- {place.name}: {place.matches:,} of {place.items:,}"


def _events(conn: Connection, subjects: Subjects, who: Who, numbers: list[str]) -> Iterator[str]:
    told: dict[bool, list[str]] = {True: [], False: []}
    found = conn.execute(query("erasure/export_events"), {"jids": list(who.names), "numbers": numbers})
    for _, kind, group, occurred, received, payload, own in found:
        line = f"- {_moment(occurred or received)}, {kind}, {group or 'no group'}"
        told[own].append(f"{line}: `{_text(subjects, payload)}`" if own else line)
    yield f"\n## What the person did: {len(told[True])} events\n"
    yield from told[True]
    yield f"\n## What of others names the person: {len(told[False])} events\n"
    yield from told[False]


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _text(subjects: Subjects, payload: object) -> str:
    return json.dumps(masked(subjects, payload), ensure_ascii=False).replace("`", "'")
