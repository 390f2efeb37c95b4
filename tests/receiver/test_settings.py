"""The settings: what stops the start, and how that is said."""

import pytest
from pydantic import ValidationError
from receiver_process import spawned

from pipelines.settings import LakeSettings
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
        *(
            ({"WHATSAPP_WEBHOOK_SECRET": secret}, "WHATSAPP_WEBHOOK_SECRET: must not begin or end with white space")
            for secret in (" hush", "hush\n", "\u00a0hush", "\ufeffhush")
        ),
        (
            {"WHATSAPP_WEBHOOK_SECRET": "s", "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS": '["old", "hush\\t"]'},
            "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS: must not begin or end with white space",
        ),
        (
            {"WHATSAPP_WEBHOOK_SECRET": "s", "RECEIVER_CONTRACTS": "current,hush"},
            "RECEIVER_CONTRACTS: String should match pattern '^(current|first)(,(current|first))*$'",
        ),
        (
            {"WHATSAPP_WEBHOOK_SECRET": "s", "RECEIVER_ADMIN_PORT": "65536"},
            "RECEIVER_ADMIN_PORT: Input should be less than or equal to 65535",
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
        (
            {"WHATSAPP_WEBHOOK_SECRET": "s", "AWS_ENDPOINT_URL_S3": "hush"},
            "AWS_ENDPOINT_URL_S3: Input should be a valid URL, relative URL without a base",
        ),
        (
            {"WHATSAPP_WEBHOOK_SECRET": "s", "LANDING_BUCKET": "hush/below"},
            "LANDING_BUCKET: String should match pattern '^[^\\s/?#%]+$'",
        ),
    ],
)
def test_complaint(monkeypatch: pytest.MonkeyPatch, env: dict[str, str], expected: str) -> None:
    """A bad setting is named, and its value isn't."""
    assert complaint(monkeypatch, **env) == expected


def test_secret_is_verbatim(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks and quotes within a secret belong to it."""
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", "'a b\n c'")
    assert ReceiverSettings().secrets == (b"'a b\n c'",)


def test_secret_in_any_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that isn't UTF-8 keys the signature with its very bytes."""
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", "s\udcff")
    assert ReceiverSettings().secrets == (b"s\xff",)


def test_previous_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The previous secrets follow the present one."""
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", "new")
    monkeypatch.setenv("WHATSAPP_WEBHOOK_PREVIOUS_SECRETS", '["old", "older"]')
    assert ReceiverSettings().secrets == (b"new", b"old", b"older")


def test_retired_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The retired secrets verify what is landed; no sender may use them any more."""
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", "new")
    monkeypatch.setenv("WHATSAPP_WEBHOOK_PREVIOUS_SECRETS", '["old"]')
    monkeypatch.setenv("WHATSAPP_WEBHOOK_RETIRED_SECRETS", '["oldest"]')
    monkeypatch.setenv("DATABASE_URL", "postgresql://nowhere")
    landed, sent = LakeSettings.from_environment().webhook_secrets, ReceiverSettings().secrets
    assert (landed, sent) == ((b"new", b"old", b"oldest"), (b"new", b"old"))


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


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "hush"}, "bad settings of the store: Generic S3 error: Missing SecretAccessKey"),
        ({"AWS_REGION": "us\n-east"}, "bad settings: AWS_REGION: holds a control character"),
        ({"RECEIVER_HOST": "a" * 64}, f"cannot listen on {'a' * 64}:8080: not the name of a host"),
    ],
)
def test_bad_start_of_the_store_or_the_server(env: dict[str, str], said: str) -> None:
    """What only the store's client or the system can judge is said in one line too."""
    with spawned({"WHATSAPP_WEBHOOK_SECRET": "s", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", **env}) as receiver:
        code = receiver.process.wait(30)
        assert (code, receiver.said().splitlines()[-1]) == (1, f"receiver: {said}")
