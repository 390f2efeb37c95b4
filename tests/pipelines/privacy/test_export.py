"""A person gets what is held about them, and nothing of anybody else."""

import subprocess
import sys
from pathlib import Path

from erasing import ERASURE_KEY, LID, PHONE
from factories import RECEIVED, event, line, message, participant
from lake import Lake

from pipelines.loading.load import load
from pipelines.privacy.export import export
from pipelines.privacy.people import of_person
from pipelines.redaction.subjects import digest, phone_name


def told(lake: Lake, who: str) -> str:
    """Return the text."""
    return "\n".join(export(lake.settings, lake.connection, of_person(lake.connection, who), "me", "T-1"))


def test_what_the_person_wrote_is_told_and_others_are_masked(filled: Lake) -> None:
    text = told(filled, PHONE)
    assert PHONE in text
    assert LID in text
    assert "Breno F. Inventada" in text
    others = {jid.partition("@")[0] for (jid,) in filled.rows("select jid from whatsapp_participant_jids")}
    groups = {jid for (jid,) in filled.rows("select external_jid from whatsapp_groups")}
    without_groups = text
    for each in groups:
        without_groups = without_groups.replace(each, "")
    assert not [each for each in others - {PHONE, LID} if each in without_groups]


def test_a_quote_a_mention_a_card_and_a_number_of_somebody_else_are_masked(keyed: Lake) -> None:
    other = participant(2)
    sent = message(participant(1), text="x")
    sent["message"] = {
        "extendedTextMessage": {
            "text": f"fala com @{other.lid} no +{other.phone}, é a minha frase",
            "contextInfo": {"participant": f"{other.lid}@lid", "quotedMessage": {"conversation": "frase de outro"}},
        },
        "contactMessage": {"displayName": "Fulano", "vcard": f"FN:Fulano\nTEL:+{other.phone}"},
    }
    keyed.land(line(event(sent)))
    load(keyed.connection, keyed.zone, [RECEIVED], "run")
    text = told(keyed, f"{participant(1).phone}")
    assert "é a minha frase" in text
    assert not [each for each in (other.lid, other.phone, "Fulano", "frase de outro") if f"{each}" in text]


def test_the_verb_writes_a_file_for_one_and_logs_who_asked(filled: Lake, tmp_path: Path) -> None:
    out = tmp_path / "person.md"
    command = [
        sys.executable,
        "-m",
        "pipelines.cli",
        "export",
        PHONE,
        "--reference",
        "T-1",
        "--by",
        "dpo",
        "--out",
        str(out),
    ]
    subprocess.run(command, check=True, capture_output=True)
    assert PHONE in out.read_text(encoding="utf-8")
    assert out.stat().st_mode & 0o777 == 0o600
    logged = filled.rows("select by, action, subject, reference from access_log")
    assert logged == [("dpo", "export", digest(ERASURE_KEY.encode(), phone_name(PHONE)), "T-1")]
    again = subprocess.run(command, check=False, capture_output=True, text=True)
    assert again.returncode == 1
    assert "File exists" in again.stderr
