"""An error in the receiver itself, which no request is known to cause: so a part of it is broken."""

from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from factories import SECRET
from obstore.store import S3Store
from prometheus_client.parser import text_string_to_metric_families
from receiver_process import CURRENT

from receiver.app import Answer, WebhookServer
from receiver.settings import ReceiverSettings


@pytest.fixture
async def edge(monkeypatch: pytest.MonkeyPatch) -> WebhookServer:
    """Make an edge that stumbles over every delivery."""
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", SECRET)
    monkeypatch.setattr("receiver.app.check_media", None)
    return WebhookServer(ReceiverSettings(), S3Store("none"))


async def test_unexpected_error(edge: WebhookServer) -> None:
    """It is answered with 500, so that the sender delivers again, and is counted."""
    delivery = make_mocked_request("POST", CURRENT, headers={"Content-Type": "application/json"})
    answer = await edge.respond(delivery)
    samples = await counted(edge)
    assert (cast("Answer", answer).outcome, answer.status, samples[answer.status]) == ("unavailable", 500, 1.0)


async def counted(edge: WebhookServer) -> dict[int, float]:
    """Return how many answers of each status the edge has counted."""
    exposition = await edge.respond(make_mocked_request("GET", "/metrics"))
    text = cast("Any", cast("web.Response", exposition).body).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {
        int(sample.labels["status"]): sample.value for sample in samples if sample.name == "receiver_requests_total"
    }
