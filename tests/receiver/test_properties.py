"""Verification, for any input: what is signed passes, what isn't doesn't, and nothing else happens."""

import sys
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from factories import sign
from hypothesis import assume, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from receiver.contract import Refusal, check_envelope, check_media, credentials, verify
from receiver.landing import Contract

SECRETS = (b"present", b"previous", b"oldest")
contracts = st.sampled_from(["current", "first"])
event_ids = st.uuids().filter(lambda value: value.int != 0).map(str) | st.uuids(version=4).map(lambda u: str(u).upper())
bodies = st.binary(max_size=200)
header_values = st.binary(max_size=80).map(lambda value: value.decode("utf-8", "surrogateescape"))


def headers(event_id: str, signature: str) -> CIMultiDict[str]:
    """Return a delivery's headers."""
    return CIMultiDict({"X-Event-Id": event_id, "X-Signature": signature})


def signature(body: bytes, event_id: str, contract: Contract, secret: bytes) -> str:
    """Sign as the collector does."""
    return sign(body, event_id, contract, secret.decode())


@given(bodies, event_ids, contracts, st.sampled_from(SECRETS))
def test_what_any_of_the_secrets_signed_is_accepted(
    body: bytes, event_id: str, contract: Contract, secret: bytes
) -> None:
    signed = signature(body, event_id, contract, secret)
    assert authenticated(SECRETS, contract, headers(event_id, signed), body) == (event_id, signed)


@given(bodies, event_ids, contracts, st.data())
def test_any_change_of_the_body_is_refused(body: bytes, event_id: str, contract: Contract, data: st.DataObject) -> None:
    changed = data.draw(bodies)
    assume(changed != body)
    signed = signature(body, event_id, contract, SECRETS[0])
    assert refused(SECRETS, contract, headers(event_id, signed), changed) == 401


@given(bodies, event_ids, event_ids)
def test_any_change_of_the_id_is_refused(body: bytes, event_id: str, other: str) -> None:
    assume(other != event_id)
    signed = signature(body, event_id, "current", SECRETS[0])
    assert refused(SECRETS, "current", headers(other, signed), body) == 401


@given(bodies, event_ids, contracts, header_values)
def test_any_other_signature_is_refused(body: bytes, event_id: str, contract: Contract, other: str) -> None:
    assume(all(other != signature(body, event_id, contract, secret) for secret in SECRETS))
    assert refused(SECRETS, contract, headers(event_id, other), body) == 401


@given(bodies, event_ids, contracts, st.text(min_size=1, max_size=20))
def test_any_other_secret_is_refused(body: bytes, event_id: str, contract: Contract, secret: str) -> None:
    assume(secret.encode() not in SECRETS)
    signed = signature(body, event_id, contract, secret.encode())
    assert refused(SECRETS, contract, headers(event_id, signed), body) == 401


@given(contracts, st.lists(st.tuples(st.sampled_from(["X-Signature", "x-event-id", "Other"]), header_values)), bodies)
def test_arbitrary_headers_and_bodies_give_only_refusals(
    contract: Contract, given_headers: list[tuple[str, str]], body: bytes
) -> None:
    assert refused(SECRETS, contract, CIMultiDict(given_headers), body) == 401


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_arbitrary_bytes_are_an_envelope_or_refused(body: bytes) -> None:
    try:
        check_envelope(body)
    except Refusal as refusal:
        assert refusal.status == 422  # noqa: PT017  either outcome is right


@given(st.lists(st.tuples(st.sampled_from(["Content-Type", "Content-Encoding"]), header_values)))
def test_arbitrary_media_headers_are_taken_or_refused(given_headers: list[tuple[str, str]]) -> None:
    try:
        check_media(CIMultiDict(given_headers))
    except Refusal as refusal:
        assert refusal.status == 415  # noqa: PT017  either outcome is right


@pytest.mark.parametrize("contract", ["current", "first"])
def test_the_work_does_not_depend_on_which_secret_matches(contract: Contract) -> None:
    event_id = str(UUID(int=1))
    work = [calls(contract, event_id, signature(b"{}", event_id, contract, secret)) for secret in SECRETS]
    assert work[0] == work[1] == work[2]
    assert sum("compare_digest" in name for name in work[0]) == len(SECRETS)


def calls(contract: Contract, event_id: str, signed: str) -> list[str]:
    """Return the names of all functions that a verification calls, in their order."""
    names: list[str] = []

    def note(frame: Any, event: str, argument: Any) -> None:
        if event in {"call", "c_call"}:
            names.append(frame.f_code.co_name if event == "call" else argument.__qualname__)

    given_headers = headers(event_id, signed)
    sys.setprofile(note)
    try:
        authenticated(SECRETS, contract, given_headers, b"{}")
    finally:
        sys.setprofile(None)
    return names


def authenticated(
    secrets: Sequence[bytes], contract: Contract, given_headers: CIMultiDict[str], body: bytes
) -> tuple[str, str]:
    """Do what is done with a delivery: look at its headers, then at its body. Return its id and signature."""
    event_id, given_signature = credentials(given_headers)
    verify(secrets, contract, event_id, given_signature, body)
    return event_id, given_signature


def refused(secrets: Sequence[bytes], contract: Contract, given_headers: CIMultiDict[str], body: bytes) -> int:
    """Return the status with which a delivery is refused."""
    with pytest.raises(Refusal) as refusal:
        authenticated(secrets, contract, given_headers, body)
    return refusal.value.status
