"""A service that is called while all is well, and posted to when it isn't, as HEARTBEAT_URL and ALERT_WEBHOOK_URL name.

Belongs here: the service, and what it was told. Not: when it is called.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET_PATH = "/ping/4f1d0c6a"


class Watcher(ThreadingHTTPServer):
    """A service that alarms when nobody calls any more."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.calls: list[str] = []
        self.posts: list[dict[str, str]] = []
        self.answer = 200

    @property
    def url(self) -> str:
        """Where it is called."""
        return f"http://127.0.0.1:{self.server_port}{SECRET_PATH}"


class _Call(BaseHTTPRequestHandler):
    server: Watcher

    def do_GET(self) -> None:
        self.server.calls.append(self.path)
        self.send_response(self.server.answer)
        self.end_headers()

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.answer == HTTPStatus.OK:
            self.server.posts.append(message)
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def watching() -> Iterator[Watcher]:
    """Run the service until the block ends."""
    with Watcher() as watcher:
        thread = threading.Thread(target=watcher.serve_forever)
        thread.start()
        try:
            yield watcher
        finally:
            watcher.shutdown()
            thread.join()
