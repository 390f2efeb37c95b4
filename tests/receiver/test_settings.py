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


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment doesn't say, or says by an empty variable, is as documented."""
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", "s")
    monkeypatch.setenv("RECEIVER_PORT", "")
    assert ReceiverSettings().model_dump(exclude={"whatsapp_webhook_secret"}) == {
        "whatsapp_webhook_previous_secrets": (),
        "landing_bucket": "wpp-landing",
        "aws_endpoint_url_s3": None,
        "receiver_host": "127.0.0.1",
        "receiver_port": 8080,
        "receiver_admin_host": None,
        "receiver_admin_port": None,
        "receiver_contracts": "current,first",
        "receiver_max_body_bytes": 8_388_608,
        "receiver_queue_bytes": 67_108_864,
        "receiver_puts_in_flight": 4,
        "receiver_dedupe_seconds": 60,
        "receiver_dedupe_entries": 200_000,
        "receiver_reuse_port": False,
    }


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [
        ("receiver_port", [0, 65535], [-1, 65536]),
        ("receiver_admin_port", [0, 65535], [-1, 65536]),
        ("receiver_puts_in_flight", [1], [0]),
        ("receiver_dedupe_seconds", [0], [-1]),
        ("receiver_dedupe_entries", [1], [0]),
        ("receiver_queue_bytes", [8_388_608], [8_388_607]),
        ("landing_bucket", ["a"], ["a b", "a?", "a#", "a%"]),
        ("receiver_contracts", ["first", "first,current"], ["first,", "FIRST"]),
    ],
)
def test_bounds(monkeypatch: pytest.MonkeyPatch, name: str, taken: list[object], refused: list[object]) -> None:
    """A value at its bound is taken, the next one isn't."""
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", "s")
    for value in taken:
        monkeypatch.setenv(name.upper(), str(value))
        assert getattr(ReceiverSettings(), name) == value
    for value in refused:
        assert name.upper() in complaint(monkeypatch, **{name.upper(): str(value)})


def test_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing changes the settings of a process that runs."""
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", "s")
    settings = ReceiverSettings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.receiver_port = 1  # type: ignore[misc]  # that is the point


def test_secret_is_verbatim(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks and quotes within a secret belong to it."""
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", "'a b\n c'")
    assert ReceiverSettings().secrets == (b"'a b\n c'",)


@pytest.mark.parametrize("secret", ["~hush", "hush~", "#hush;"])
def test_secret_with_a_mark_at_an_end(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only white space at an end is refused."""
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", secret)
    assert ReceiverSettings().secrets == (secret.encode(),)


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
