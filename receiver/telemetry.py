"""Metrics in Prometheus' terms, and logs: all that the receiver tells its operator.

Belongs here: names, labels, buckets, formats, and how often a repeated message is worth a line. Not: when to count or
log. A log line has event ids and reasons; never a body, a secret or a phone number.
"""

import logging
import math
import sys
import time
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REPEAT_SECONDS = 10.0  # a message that says the same again within this time is only counted
DETAILS = ("event_id", "status", "reason")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)
EVENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)


class Metrics:
    """The receiver's metrics and the registry that holds them. One per app, so that two in a process don't meet."""

    def __init__(self) -> None:
        self._registry = of = CollectorRegistry()
        labels = ["route", "contract", "outcome", "status"]
        self.requests = Counter("receiver_requests", "Answered requests.", labels, registry=of)
        timing = partial(Histogram, buckets=SECONDS, registry=of)
        self.seconds = timing("receiver_request_duration_seconds", "From a request's headers to its answer.", ["route"])
        self.in_flight = Gauge("receiver_requests_in_flight", "Requests not yet answered.", registry=of)
        self._answers: dict[tuple[str, str, str, int], tuple[Counter, Histogram]] = {}
        self.request_bytes = Counter("receiver_request_bytes", "Bytes of the bodies read.", registry=of)
        self.unauthorised = Counter("receiver_unauthorised", "Requests answered 401.", ["reason"], registry=of)
        verified = Counter("receiver_verified", "Signatures that verified, by secret.", ["secret"], registry=of)
        self.verified = {name: verified.labels(name) for name in ("current", "previous")}
        self.duplicates = Counter("receiver_duplicates", "Deliveries collapsed into one already landed.", registry=of)
        self.queue_bytes = Gauge("receiver_queue_bytes", "Bytes of bodies that are here.", registry=of)
        self.queue_age = Gauge("receiver_queue_oldest_seconds", "Age of the oldest line not yet durable.", registry=of)
        self.puts = Counter("landing_puts", "Attempts to put a landing file.", ["result"], registry=of)
        self.put_seconds = timing("landing_put_duration_seconds", "How long attempts took.")
        self.file_events = Histogram("landing_file_events", "Events in a stored file.", buckets=EVENTS, registry=of)
        Gauge("receiver_build_info", "The version.", ["version"], registry=of).labels(version("wpp-lake")).set(1)

    def answered(self, labels: tuple[str, str, str, int], seconds: float) -> None:
        """Count one answer. Its metrics are kept: finding them by their labels costs more than counting."""
        if labels not in self._answers:
            self._answers[labels] = self.requests.labels(*labels), self.seconds.labels(labels[0])
        requests, duration = self._answers[labels]
        requests.inc()
        duration.observe(seconds)

    def text(self) -> bytes:
        """Return the exposition in Prometheus' text format."""
        return generate_latest(self._registry)


def configure_logging() -> None:
    """Log to stderr: in plain lines on a terminal, else one JSON object per line."""
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)s %(message)s %(details)s")
    handler.setFormatter(plain if sys.stderr.isatty() else _Json())
    handler.addFilter(RateLimitFilter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class RateLimitFilter(logging.Filter):
    """Lets a message through once in REPEAT_SECONDS for each reason; the next one says how many were left out.

    What it lets through has `details`: what is known of the event, and that number.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether this record is worth a line."""
        key, now = (record.msg, getattr(record, "reason", None)), time.monotonic()
        since, left_out = self._said.get(key, (-math.inf, 0))
        if now - since < REPEAT_SECONDS:
            self._said[key] = since, left_out + 1
            return False
        self._said = {said: at for said, at in self._said.items() if at[1] or now - at[0] < REPEAT_SECONDS}
        self._said[key] = now, 0
        found = {name: getattr(record, name, None) for name in DETAILS} | {"repeated": left_out}
        record.details = {name: value for name, value in found.items() if value}
        return True


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": when, "level": record.levelname, "message": record.getMessage()} | record.__dict__["details"]
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()
