"""A rebuild gives what a load gives, keeps what people decided, and leaves everything as it was if it fails."""

import gzip
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from factories import RECEIVED, event, line, message, participant
from lake import Lake
from loaders import land
from project import ROOT
from refusals import refusing

from pipelines.loading.ledger import LoadCounts
from pipelines.loading.load import load, rebuild
from pipelines.loading.quarantine import discard, entries

BAD = b"not json\n"
LEDGER = "select lines, loaded, duplicates, quarantined from landing_files order by key"


def test_a_rebuild_gives_the_same_content(lake: Lake, sample: list[dict[str, Any]]) -> None:
    land(lake, sample)
    lake.load()
    before = lake.content()
    assert rebuild(lake.connection, lake.zone, "rebuild") == LoadCounts(files=30, lines=300, loaded=294, duplicates=6)
    assert lake.content() == before


def test_a_rebuild_makes_every_day_new_to_the_snapshots(lake: Lake) -> None:
    lake.land(line(event(), 1))
    lake.load()
    before = lake.rows("select revision from event_days")
    rebuild(lake.connection, lake.zone, "rebuild")
    assert lake.rows("select revision from event_days") != before


def test_a_rebuild_keeps_what_was_discarded_and_opens_the_rest_anew(lake: Lake) -> None:
    lake.land(BAD, b"neither\n", line(event(), 1))
    lake.load()
    discard(lake.connection, [entries(lake.connection)[0]["id"]], "ana", "a test")
    rebuild(lake.connection, lake.zone, "rebuild")
    assert lake.rows("select state, resolved_by from quarantined_events order by line_number") == [
        ("discarded", "ana"),
        ("open", None),
    ]


def test_a_rebuild_keeps_what_others_have_set(lake: Lake) -> None:
    """Tenants, internal names and identities are in no landing file; a person keeps theirs by any address."""
    lake.land(line(event(message(participant(1))), 1))
    lake.load()
    tenant, identity = uuid.uuid4(), uuid.uuid4()
    lake.connection.execute("update whatsapp_groups set tenant_id = %s, internal_name = 'ours'", [tenant])
    lake.connection.execute("update whatsapp_participants set identity_id = %s", [identity])
    lake.connection.execute("update whatsapp_events set tenant_id = %s", [tenant])
    rebuild(lake.connection, lake.zone, "rebuild")
    assert lake.rows(
        "select groups.tenant_id, internal_name, identity_id, events.tenant_id"
        " from whatsapp_events as events join whatsapp_groups as groups on group_id = groups.id"
        " join whatsapp_participants as people on participant_id = people.id"
    ) == [(tenant, "ours", identity, tenant)]


def test_a_load_beside_a_rebuild_loses_and_repeats_nothing(lake: Lake, sample: list[dict[str, Any]]) -> None:
    land(lake, sample)
    lake.load()
    lake.land(line(event(), "new"))

    def load_beside(_: int) -> None:
        with psycopg.connect(lake.settings.conninfo, autocommit=True) as conn:
            load(conn, lake.zone, [RECEIVED], "beside")

    with ThreadPoolExecutor(2) as pool:
        beside = pool.map(load_beside, range(2))
        rebuild(lake.connection, lake.zone, "rebuild")
        list(beside)
    assert lake.rows("select count(*), sum(deliveries)::int from whatsapp_events") == [(295, 301)]
    assert lake.rows("select count(*), sum(lines)::int from landing_files") == [(31, 301)]


REBUILD = """
import logging, sys, psycopg
from pipelines.loading import batches
from pipelines.landing import zone as landing_zone
from pipelines.loading.load import rebuild
from pipelines.settings import LakeSettings
batches.BATCH_FILES = 1
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
settings = LakeSettings.from_environment()
with psycopg.connect(settings.conninfo, autocommit=True) as conn:
    rebuild(conn, landing_zone.LandingZone(settings), "run")
"""


def test_a_killed_rebuild_leaves_the_tables_as_they_were(lake: Lake, sample: list[dict[str, Any]]) -> None:
    land(lake, sample)
    lake.load()
    before = lake.content(), lake.rows(LEDGER)
    with subprocess.Popen([sys.executable, "-c", REBUILD], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        for _ in range(10):
            assert process.stdout.readline()
        process.kill()
    assert (lake.content(), lake.rows(LEDGER)) == before
    lake.land(line(event(), "new"))
    assert lake.load().loaded == 1


def test_what_was_discarded_stays_out_of_rebuilt_tables(lake: Lake) -> None:
    """Even where the loader of today would take it: a decision isn't undone by a rebuild."""
    with refusing(lake, "22003"):
        key = lake.land(line(event(), 1), line(event({}, kind="refused", chat=None), 2), BAD)
        lake.load()
    whole = lake.land(gzip.compress(b"a"))
    lake.load()
    discarded = [each["id"] for each in entries(lake.connection) if each["line_number"] != 3]
    discard(lake.connection, discarded, "ana", "why")
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=whole, Body=line(event(), 4) + line(event(), 5))
    before = lake.content(), lake.rows(LEDGER)
    assert rebuild(lake.connection, lake.zone, "rebuild") == LoadCounts(files=2, lines=4, loaded=1, quarantined=3)
    assert (lake.content(), lake.rows(LEDGER)) == before
    found = [(each["landing_key"], each["line_number"], each["state"]) for each in entries(lake.connection, None)]
    assert sorted(found) == sorted([(key, 2, "discarded"), (key, 3, "open"), (whole, 0, "discarded")])
