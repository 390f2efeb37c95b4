"""A canary, taken in by a running stack and erased with `--scrub`: no file of the data directory holds it any more."""

import json
import secrets
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from factories import event_id, group, message, participant
from forensics import holders
from stack_process import WPP_LAKE, Running, deliver, running

from pipelines.parsing.jids import Person

LID, PHONE = "918273645546372", "5561987654321"
CANARY = Person(LID, PHONE)
OTHER = participant(2)
PLACES = ("postgres/base/", "postgres/pg_wal/", "s3/wpp-landing", "s3/wpp-snapshots")


@pytest.mark.slow
def test_no_file_holds_who_was_erased_and_scrubbed(tmp_path: Path) -> None:
    """Tables, write-ahead log, the store's volumes, logs: before it they do, which shows that the search finds it."""
    token = secrets.token_hex(24).encode()
    words = [LID.encode(), PHONE.encode(), token]
    with running("up", tmp_path / "lake", "--no-dagster", ERASURE_KEY=secrets.token_hex()) as up:
        up.line("READY")
        deliver(up, "the group", kind="groups.update", payload=[roster()])
        for number in range(60):
            deliver(up, f"theirs {number}", payload=theirs(number, token.decode()))
        deliver(up, "a quote", payload=quote(token.decode()))
        deliver(up, "another's", payload=message(OTHER, text="bom dia", key="OTHER"))
        wpp_lake(up, "load")
        wpp_lake(up, "snapshot")
        use_wal_again(up)
        found = holders(up.data_dir, words)
        assert {place for place in PLACES for file in found if file.startswith(place)} == {*PLACES}
        assert set.union(*found.values()) == set(words)

        done = json.loads(
            wpp_lake(up, "erase", "apply", PHONE, "--reference", "T-1", "--by", "me", "--scrub", "--json")
        )
        assert done["counts"]["scrubbed_tables"]
        wpp_lake(up, "erase", "verify", done["erasure"])
        assert holders(up.data_dir, words) == {}
        with psycopg.connect(up.environment()["DATABASE_URL"], sslmode="prefer") as connection:
            assert connection.execute("show wal_recycle").fetchone() == ("on",)
            texts = "select payload -> 'message' ->> 'conversation' from whatsapp_events where event_id = %s"
            assert connection.execute(texts, [event_id("another's")]).fetchone() == ("bom dia",)


def wpp_lake(up: Running, *words: str) -> str:
    """Run a command as an operator does, and return what it prints."""
    done = subprocess.run(
        [WPP_LAKE, *words, f"--data-dir={up.data_dir}"], cwd=up.data_dir.parent, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def use_wal_again(up: Running) -> None:
    """Have PostgreSQL write what it holds to the tables' files, and keep files of the log for use under other names."""
    with psycopg.connect(up.environment()["DATABASE_URL"], sslmode="prefer", autocommit=True) as connection:
        for _ in range(3):
            connection.execute("select pg_switch_wal()")
            connection.execute("checkpoint")


def theirs(number: int, token: str) -> dict[str, Any]:
    """Return a message of the canary's: some are as long as to be stored out of line."""
    return message(CANARY, text=f"{token} {secrets.token_hex(4_000) if number % 10 == 0 else number}", key=f"T{number}")


def quote(token: str) -> dict[str, Any]:
    """Return another's message that quotes and mentions the canary."""
    context = {
        "participant": CANARY.jids[0], "quotedMessage": {"conversation": token}, "stanzaId": "T1",
        "mentionedJid": [CANARY.jids[-1]],
    }  # fmt: skip
    return message(OTHER, key="Q") | {"message": {"extendedTextMessage": {"text": "?", "contextInfo": context}}}


def roster() -> dict[str, Any]:
    """Return a group's metadata with both in its roster."""
    people = [{"id": each.jids[0], "phoneNumber": each.jids[-1], "admin": None} for each in (CANARY, OTHER)]
    return {"id": group(), "subject": "a group", "participants": people}
