"""Opens connections to the lake's database.

Belongs here: how a connection is opened from the settings. Not: what is asked over it.
"""

from typing import Any

import psycopg

from pipelines.settings import LakeSettings

Connection = psycopg.Connection[Any]


def connect(settings: LakeSettings) -> Connection:
    """Connect to the lake's database in autocommit mode; transactions are begun where they are needed."""
    return psycopg.connect(settings.conninfo, autocommit=True)


def check_database(settings: LakeSettings) -> None:
    """Raise psycopg.Error unless the database accepts a connection within 2 s."""
    psycopg.connect(settings.conninfo, connect_timeout=2).close()
