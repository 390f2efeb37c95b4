"""What the receiver counts, in Prometheus' terms.

Belongs here: names, labels and buckets. Not: when to count. One registry an app, so that two in a process don't meet.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """The receiver's metrics and the registry that holds them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter("receiver_requests", "Answered requests.", ["route", "status"], registry=self._registry)
        self.request_bytes = Counter("receiver_request_bytes", "Bytes of the bodies read.", registry=self._registry)
        self.duplicates = Counter(
            "receiver_duplicates", "Deliveries collapsed into one already landed.", registry=self._registry
        )
        self.queue_bytes = Gauge(
            "receiver_queue_bytes", "Bytes reserved for bodies not yet answered.", registry=self._registry
        )
        self.puts = Counter("landing_puts", "Attempts to put a landing file.", ["result"], registry=self._registry)
        self.file_events = Histogram(
            "landing_file_events",
            "Events in a stored landing file.",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000),
            registry=self._registry,
        )

    def text(self) -> bytes:
        """Return the exposition in Prometheus' text format."""
        return generate_latest(self._registry)
