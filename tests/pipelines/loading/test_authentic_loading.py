"""Nothing becomes a row before it is authentic: signatures, macs and digests, on every way into the tables."""

import hashlib

import pytest
from command import wpp_lake
from factories import RECEIVED, SECRET, event, event_id, line, sign
from lake import Lake
from pydantic import SecretStr

from pipelines.landing.authenticity import NoSecretError
from pipelines.landing.zone import LandingZone
from pipelines.loading.ledger import LoadCounts
from pipelines.loading.load import load, rebuild
from pipelines.loading.quarantine import entries, retry
from receiver.landing import encode_line, file_metadata, key_id, new_key

LEDGER = "select lines, loaded, duplicates, quarantined from landing_files order by key"
OTHER = "the secret before this one"


def forged(name: object) -> bytes:
    """Return a line whose signature no secret made."""
    return encode_line(event_id(name), RECEIVED, "current", "a" * 64, event())


def signed_with(secret: str, name: object) -> bytes:
    """Return a line that another secret signed."""
    return encode_line(event_id(name), RECEIVED, "current", sign(event(), event_id(name), secret=secret), event())


def with_secrets(lake: Lake, **settings: object) -> LandingZone:
    """Return the landing zone as a loader with other settings sees it."""
    return LandingZone(lake.settings.model_copy(update=settings))


def put(lake: Lake, content: bytes, metadata: dict[str, str] | None = None, key: str | None = None) -> str:
    """Put a landing file with what the receiver puts beside it, or something else; return its key."""
    key = key or new_key(RECEIVED)
    beside = file_metadata(SECRET.encode(), key, content) if metadata is None else metadata
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=content, Metadata=beside)
    return key


def faults(lake: Lake) -> list[tuple[str, int]]:
    """Return the reason and the line of everything in quarantine that is open."""
    return [(found["reason"], found["line_number"]) for found in entries(lake.connection)]


def test_a_line_that_does_not_verify_among_others_is_put_aside(lake: Lake) -> None:
    lake.land(line(event(), 1), forged(2), line(event(), 3, contract="first"))
    assert lake.load() == LoadCounts(files=1, lines=3, loaded=2, quarantined=1)
    assert faults(lake) == [("not_authentic", 2)]


def test_a_file_in_which_no_line_verifies_is_put_aside_whole(lake: Lake) -> None:
    key = lake.land(forged(1), b"not json\n", forged(2))
    content = lake.client.get_object(Bucket=lake.settings.landing_bucket, Key=key)["Body"].read()
    assert lake.load() == LoadCounts(files=1, lines=1, quarantined=1)
    assert faults(lake) == [("not_authentic", 0)]
    assert lake.rows(LEDGER) == [(1, 0, 0, 1)]
    assert lake.rows("select sha256 from landing_files") == [(hashlib.sha256(content).hexdigest(),)]


def test_lines_that_are_no_landed_lines_stay_single_faults(lake: Lake) -> None:
    lake.land(b"not json\n", b"neither\n")
    lake.load()
    assert faults(lake) == [("bad_line", 1), ("bad_line", 2)]


def test_a_file_of_an_unknown_secret_names_it_and_loads_by_a_retry_once_it_is_known(lake: Lake) -> None:
    key = new_key(RECEIVED)
    lines = signed_with(OTHER, 1) + signed_with(OTHER, 2)
    put(lake, lines, file_metadata(OTHER.encode(), key, lines), key)
    lake.load()
    [found] = entries(lake.connection)
    assert key_id(OTHER.encode()) in found["detail"]
    zone = with_secrets(lake, whatsapp_webhook_retired_secrets=(SecretStr(OTHER),))
    assert retry(lake.connection, zone, [found]) == {"pending": 1}
    assert load(lake.connection, zone, [RECEIVED], "run") == LoadCounts(files=1, lines=2, loaded=2)
    assert (faults(lake), lake.rows(LEDGER)) == ([], [(2, 2, 0, 0)])


def test_a_file_retried_without_its_secret_is_put_aside_again(lake: Lake) -> None:
    lake.land(forged(1))
    lake.load()
    retry(lake.connection, lake.zone, entries(lake.connection))
    lake.load()
    assert faults(lake) == [("not_authentic", 0)]


def test_a_retry_of_a_line_verifies_it_too(lake: Lake) -> None:
    lake.land(line(event(), 1), signed_with(OTHER, 2))
    lake.load()
    assert retry(lake.connection, lake.zone, entries(lake.connection)) == {"open": 1}
    zone = with_secrets(lake, whatsapp_webhook_previous_secrets=(SecretStr(OTHER),))
    assert retry(lake.connection, zone, entries(lake.connection)) == {"loaded": 1}


def test_a_rebuild_verifies_every_line(lake: Lake) -> None:
    lake.land(line(event(), 1), forged(2))
    assert rebuild(lake.connection, lake.zone, "rebuild") == LoadCounts(files=1, lines=2, loaded=1, quarantined=1)
    assert faults(lake) == [("not_authentic", 2)]


@pytest.mark.parametrize("part", ["mac", "sha256"])
def test_a_file_whose_mac_or_digest_is_another_is_put_aside_whole(lake: Lake, part: str) -> None:
    key, lines = new_key(RECEIVED), line(event(), 1) + line(event(), 2)
    put(lake, lines, file_metadata(SECRET.encode(), key, lines) | {part: "0" * 64}, key)
    assert lake.load() == LoadCounts(files=1, lines=1, quarantined=1)
    [found] = entries(lake.connection)
    assert (found["reason"], found["line_number"]) == ("not_authentic", 0)
    assert part in found["detail"]


def test_a_file_put_under_another_key_is_put_aside_whole(lake: Lake) -> None:
    """Its lines verify and its digest is right: only the mac knows where they belong."""
    content = line(event(), 1)
    put(lake, content, file_metadata(SECRET.encode(), new_key(RECEIVED), content))
    lake.load()
    assert faults(lake) == [("not_authentic", 0)]


def test_a_copy_without_metadata_loads(lake: Lake) -> None:
    put(lake, line(event(), 1), {})
    assert lake.load() == LoadCounts(files=1, lines=1, loaded=1)


def test_a_mac_of_a_secret_that_is_not_known_here_stops_no_line_that_verifies(lake: Lake) -> None:
    """A receiver has a new secret, the loader not yet; its lines were signed with the one before."""
    key, content = new_key(RECEIVED), line(event(), 1)
    put(lake, content, file_metadata(OTHER.encode(), key, content), key)
    assert lake.load() == LoadCounts(files=1, lines=1, loaded=1)


def test_without_a_secret_nothing_is_loaded(lake: Lake) -> None:
    lake.land(line(event(), 1))
    zone = with_secrets(lake, whatsapp_webhook_secret=None)
    with pytest.raises(NoSecretError):
        load(lake.connection, zone, [RECEIVED], "run")
    with pytest.raises(NoSecretError):
        rebuild(lake.connection, zone, "run")
    with pytest.raises(NoSecretError):
        retry(lake.connection, zone, [])
    assert lake.rows(LEDGER) == []


@pytest.mark.usefixtures("dagster_home")
def test_unverified_loading_has_to_be_asked_for_and_the_status_says_so(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.land(forged(1))
    monkeypatch.delenv("WHATSAPP_WEBHOOK_SECRET")
    refused = wpp_lake("load")
    assert (refused.returncode, "WHATSAPP_WEBHOOK_SECRET" in refused.stderr) == (1, True)
    monkeypatch.setenv("LOAD_VERIFY", "false")
    assert wpp_lake("load").stdout == "1 files, 1 lines: 1 loaded, 0 duplicates, 0 quarantined\n"
    told = wpp_lake("status")
    assert (told.returncode, "LOAD_VERIFY=false" in told.stderr) == (0, True)
