"""What keeps a scrub from its end is said, and nothing is left changed on the server."""

import re

import psycopg
import pytest
from command import wpp_lake
from erasing import PHONE, everything
from lake import Lake
from roles import url

from devstack.postgres import Postgres
from pipelines.privacy import scrub
from pipelines.privacy.columns import TABLES
from pipelines.privacy.done import Done
from pipelines.privacy.scrub import NotScrubbedError

SLOT = "keeps_the_log"
SETTING = "select setting from pg_file_settings where name = 'wal_recycle'"


def scrubbed(lake: Lake) -> Done:
    """Scrub the database of a lake, whose store is another's to vacuum."""
    done = Done()
    scrub.scrub(lake.settings, lake.connection, done)
    return done


def test_every_table_with_personal_columns_is_in_another_file_afterwards(filled: Lake) -> None:
    files = "select relname, pg_relation_filenode(oid) from pg_class where relnamespace = 'public'::regnamespace"
    before = dict(filled.rows(f"{files} and relkind = 'r'"))
    content = filled.content()
    done = scrubbed(filled)
    after = dict(filled.rows(f"{files} and relkind = 'r'"))
    personal = {name for name, columns in TABLES.items() if {each.kind for each in columns.values()} != {"none"}}
    assert {name for name in before if before[name] != after[name]} == personal & before.keys()
    assert done.counts["scrubbed_tables"] == len(personal & before.keys()) > 0
    assert filled.content() == content
    assert filled.rows(SETTING) == []


def test_only_a_superuser_may(roles: Postgres, lake: Lake) -> None:
    with (
        psycopg.connect(url(roles, "wpp_loader"), autocommit=True) as connection,
        pytest.raises(NotScrubbedError, match="needs a superuser"),
    ):
        scrub.scrub(lake.settings, connection, Done())


def test_nothing_is_begun_without_room(filled: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub, "MARGIN_BYTES", 10**18)
    with pytest.raises(NotScrubbedError, match="make room"):
        scrubbed(filled)


def test_a_log_that_is_kept_for_somebody_is_told(filled: Lake) -> None:
    filled.rows(f"select pg_create_physical_replication_slot('{SLOT}', true)")
    try:
        said = wpp_lake("erase", "apply", PHONE, "--reference", "T-1", "--scrub")
        assert said.returncode == 1
        assert "replication slot" in said.stderr
        assert re.search(r"^erasure \S+, on T-1$", said.stdout, re.MULTILINE)
        assert PHONE not in everything(filled)
    finally:
        filled.rows(f"select pg_drop_replication_slot('{SLOT}')")
    assert filled.rows(SETTING) == []
    assert scrubbed(filled).counts["wal_files"]
