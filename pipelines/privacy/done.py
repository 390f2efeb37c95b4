"""The record of an erasure, a sweep or an expiry that ran.

Belongs here: counts and times. Not: the steps that are counted (apply, expiry).
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

from pipelines.redaction.erasures import Erasure

_log = logging.getLogger(__name__)


@dataclass
class Done:
    """The doing of an erasure: counts by place, and the seconds of each step."""

    erasure: Erasure | None = None
    counts: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    dates: set[date] = field(default_factory=set)

    def add(self, other: "Done") -> None:
        """Count what another one did, too."""
        self.counts.update(other.counts)
        self.seconds |= other.seconds

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step, and say when it is over."""
        began = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0) + time.monotonic() - began
        _log.info("%s: done in %.1f s", name, self.seconds[name])
