"""The settings: what stops the start, and how that is said."""

import pytest
from pydantic import ValidationError
from receiver_process import spawned

from receiver.settings import ReceiverSettings, complaints


def complaint(monkeypatch: pytest.MonkeyPatch, **env: str) -> str:
    """Return how settings from this environment are refused."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as error:
        ReceiverSettings()
    return complaints(error.value)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, "WHATSAPP_WEBHOOK_SECRET: Field required"),
        ({"WHATSAPP_WEBHOOK_SECRET": ""}, "WHATSAPP_WEBHOOK_SECRET: Field required"),
        ({"WHATSAPP_WEBHOOK_SECRET": " \t"}, "WHATSAPP_WEBHOOK_SECRET: must not be blank"),
        (
            {"WHATSAPP_WEBHOOK_SECRET": "s", "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS": '["hush", " "]'},
            "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS: must not be blank",
        ),
        (
            {"WHATSAPP_WEBHOOK_SECRET": "s", "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS": "hush"},
            "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS: Invalid JSON: expected value at line 1 column 1",
        ),
        (
            {"WHATSAPP_WEBHOOK_SECRET": "s", "RECEIVER_QUEUE_BYTES": "1000"},
            "RECEIVER_QUEUE_BYTES must be at least RECEIVER_MAX_BODY_BYTES",
        ),
        (
            {"WHATSAPP_WEBHOOK_SECRET": "s", "RECEIVER_PORT": "hush"},
            "RECEIVER_PORT: Input should be a valid integer, unable to parse string as an integer",
        ),
    ],
)
def test_complaint(monkeypatch: pytest.MonkeyPatch, env: dict[str, str], expected: str) -> None:
    """A bad setting is named, and its value isn't."""
    assert complaint(monkeypatch, **env) == expected


def test_secret_is_verbatim(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks around a secret belong to it."""
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", " s\n")
    assert ReceiverSettings().secrets == (b" s\n",)


def test_secret_in_any_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that isn't UTF-8 keys the signature with its very bytes."""
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", "s\udcff")
    assert ReceiverSettings().secrets == (b"s\xff",)


def test_previous_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The previous secrets follow the present one."""
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", "new")
    monkeypatch.setenv("WHATSAPP_WEBHOOK_PREVIOUS_SECRETS", '["old", "older"]')
    assert ReceiverSettings().secrets == (b"new", b"old", b"older")


def test_no_secret_in_print(monkeypatch: pytest.MonkeyPatch) -> None:
    """Printed settings don't show a secret."""
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", "hush")
    monkeypatch.setenv("WHATSAPP_WEBHOOK_PREVIOUS_SECRETS", '["hush"]')
    assert "hush" not in repr(ReceiverSettings())


def test_bad_start() -> None:
    """A process with a bad setting ends with 1 and one line."""
    with spawned({"WHATSAPP_WEBHOOK_SECRET": " "}) as receiver:
        code = receiver.process.wait(30)
        assert (code, receiver.said()) == (
            1,
            "receiver: bad settings: WHATSAPP_WEBHOOK_SECRET: must not be blank\n",
        )
