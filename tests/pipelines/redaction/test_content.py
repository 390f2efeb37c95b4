"""Without its content a body still shows who did what, when and where."""

import json
from typing import Any

import orjson
from factories import event, message, participant

from pipelines.landing.format import storable
from pipelines.parsing.extraction import extract
from pipelines.redaction.content import without_content


def test_what_extraction_reads_stays(sample: list[dict[str, Any]]) -> None:
    for request in sample:
        body = orjson.loads(storable(request["body"].encode("utf-8", "surrogatepass")))
        stripped = without_content(body)
        assert extract(stripped) == extract(body), request["n"]
        assert without_content(stripped) == stripped


def test_what_was_written_goes() -> None:
    secret = message(participant(1), text="segredo", reactions=[{"text": "segredo"}])
    assert "segredo" not in json.dumps(without_content(json.loads(event(secret))))
