"""Caddy with the configuration of `deploy/`, before a receiver and a console, as the internet sees them."""

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from caddy_process import CONSOLE, CONSOLE_PASSWORD, CONSOLE_USER, EVENTS, Caddy, start_caddy
from mypy_boto3_s3 import S3Client
from receiver_process import CURRENT, FIRST, Receiver, event, landed, new_id, signed, start_receiver
from senders import headers_alone, metric
from servers import S3, bucket

LIMIT = 8 * 1024 * 1024
ATTACKERS = 64


class _Console(BaseHTTPRequestHandler):
    """A console, which shows what reached it of the login."""

    def do_GET(self) -> None:
        """Answer with the Authorization header."""
        body = str(self.headers.get("Authorization")).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def console() -> Iterator[int]:
    """Run a console; give its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Console) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


@pytest.fixture(scope="module")
def landing(s3_client: S3Client) -> Iterator[str]:
    """Make the bucket in which the receiver lands."""
    with bucket(s3_client, "landing") as name:
        yield name


@pytest.fixture(scope="module")
def receiver(s3: S3, landing: str) -> Iterator[Receiver]:
    """Run the receiver behind Caddy."""
    with start_receiver(s3, landing) as running:
        yield running


@pytest.fixture(scope="module")
def caddy(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caddy]:
    """Run Caddy."""
    with console() as port, start_caddy(tmp_path_factory.mktemp("caddy"), receiver.port, port) as running:
        yield running


@pytest.mark.parametrize("path", [CURRENT, FIRST])
def test_acknowledged_event_has_landed(caddy: Caddy, s3_client: S3Client, landing: str, path: str) -> None:
    """A delivery over TLS is acknowledged and lands, under each contract."""
    event_id = new_id()
    assert caddy.deliver(event_id, event(), path).status == 202
    assert [found.signed for found in landed(s3_client, landing, event_id)] == [event()]


def test_the_receivers_refusal_is_passed_on(caddy: Caddy) -> None:
    """A wrong signature is answered with the receiver's 401, which tells the collector that its secret is wrong."""
    refused = caddy.request("POST", CURRENT, event(), signed(new_id(), event(), secret="another"))
    assert (refused.status, refused.json["status"]) == (401, "refused")


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", "/metrics", CURRENT + "/", "/" + CURRENT, "/x/.." + CURRENT, CURRENT.upper()]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_paths_are_not_found(caddy: Caddy, method: str, path: str) -> None:
    """Nothing but the two paths exists: neither probes nor metrics, nor another spelling of the paths."""
    answer = caddy.request(method, path)
    assert answer.status in {404, 405}
    assert "Location" not in answer.headers


@pytest.mark.parametrize("path", [CURRENT, FIRST])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_webhooks_take_no_other_method(caddy: Caddy, method: str, path: str) -> None:
    """A redirected POST comes as a GET: it must not look like an acknowledgement."""
    answer = caddy.request(method, path)
    assert (answer.status, answer.headers["Allow"], "Location" in answer.headers) == (405, "POST", False)


@pytest.mark.parametrize("path", [CURRENT, FIRST, "/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_plain_http_takes_nothing_and_redirects_nowhere(caddy: Caddy, method: str, path: str) -> None:
    """The collector follows a redirect with a GET and takes its 2xx for an acknowledgement."""
    answer = caddy.plain_request(method, path)
    assert (answer.status, "Location" in answer.headers) == (421, False)


@pytest.mark.parametrize("host", ["other.example.org", "127.0.0.1"])
def test_another_host_name_takes_nothing(caddy: Caddy, host: str) -> None:
    """Caddy's own answer to a name that it doesn't know would be 200."""
    event_id = new_id()
    answer = caddy.request("POST", CURRENT, event(), signed(event_id, event()) | {"Host": host})
    assert answer.status == 421


def test_the_longest_body_passes(caddy: Caddy) -> None:
    """A body of the receiver's limit reaches it."""
    body = event("x" * (LIMIT - len(event(""))))
    assert (len(body), caddy.deliver(new_id(), body).status) == (LIMIT, 202)


def test_a_longer_body_is_refused(caddy: Caddy) -> None:
    """A body over the limit is 413, for which the collector keeps the event."""
    assert caddy.deliver(new_id(), b"x" * (LIMIT + 1)).status == 413


def test_a_longer_body_in_chunks_is_refused(caddy: Caddy) -> None:
    """The same where the length isn't announced."""
    chunks = (b"x" * 65_536 for _ in range(LIMIT // 65_536 + 1))
    assert caddy.request("POST", CURRENT, chunks, signed(new_id(), b"")).status == 413


def test_strangers_are_not_found(receiver: Receiver, tmp_path: Path) -> None:
    """Where the collector's addresses are named, nobody else delivers, nor sees a login from elsewhere."""
    env = {"COLLECTOR_ADDRESSES": "192.0.2.7 2001:db8::/32", "CONSOLE_ADDRESSES": "192.0.2.0/24"}
    with start_caddy(tmp_path, receiver.port, receiver.port, **env) as caddy:
        answers = [caddy.deliver(new_id(), event()), caddy.request("GET", "/", name=CONSOLE)]
    assert [answer.status for answer in answers] == [404, 404]


def login(password: str) -> dict[str, str]:
    """Return the header of a login."""
    return {"Authorization": "Basic " + base64.b64encode(f"{CONSOLE_USER}:{password}".encode()).decode()}


@pytest.mark.parametrize("headers", [{}, login("guess")], ids=["without a login", "with a wrong one"])
def test_the_console_asks_for_a_login(caddy: Caddy, headers: dict[str, str]) -> None:
    """Without the right one there is no console."""
    answer = caddy.request("GET", "/", headers=headers, name=CONSOLE)
    assert (answer.status, answer.headers["Www-Authenticate"][:5]) == (401, "Basic")


def test_the_console_opens_with_the_login(caddy: Caddy) -> None:
    """With it there is; the password stays with Caddy."""
    answer = caddy.request("GET", "/", headers=login(CONSOLE_PASSWORD), name=CONSOLE)
    assert (answer.status, answer.body) == (200, b"None")


def test_the_console_is_not_on_the_receivers_name(caddy: Caddy) -> None:
    """The login doesn't open the receiver's name."""
    assert caddy.request("GET", "/", headers=login(CONSOLE_PASSWORD)).status == 404


def answer_to(connection: ssl.SSLSocket) -> tuple[bytes, bool]:
    """Return the status line of the answer that there is, and whether the connection is to be closed after it."""
    head = b""
    while b"\r\n\r\n" not in head and (more := connection.recv(4096)):
        head += more
    return head.partition(b"\r\n")[0], b"\r\nConnection: close\r\n" in head


UNFINISHED = {
    "few bytes are missing": b"Content-Length: 1000\r\n\r\nxx",
    "many bytes are missing": b"Content-Length: 1000000\r\n\r\nxx",
    "a chunk is missing": b"Transfer-Encoding: chunked\r\n\r\n5\r\nxxxxx\r\n",
}


@pytest.mark.parametrize("body", UNFINISHED.values(), ids=list(UNFINISHED))
@pytest.mark.parametrize("leaves", [True, False], ids=["its sender leaves", "its sender falls silent"])
def test_a_body_that_breaks_off_is_never_acknowledged(caddy: Caddy, body: bytes, leaves: bool) -> None:
    """Earlier versions of Caddy answer 200. What the rest of the body says isn't taken for the next request."""
    head = f"POST {CURRENT} HTTP/1.1\r\nHost: {EVENTS}\r\n".encode()
    with caddy.connect(EVENTS) as connection:
        connection.sendall(head + body)
        if leaves:
            socket.socket.shutdown(connection, socket.SHUT_WR)
        assert answer_to(connection) == (b"HTTP/1.1 499 status code 499", True)


@contextmanager
def attack(caddy: Caddy, beginning: bytes) -> Iterator[list[socket.socket]]:
    """Hold connections that announce a body and don't send it."""
    with ExitStack() as ends:
        held = [ends.enter_context(caddy.connect(EVENTS)) for _ in range(ATTACKERS)]
        for connection in held:
            connection.sendall(beginning)
        yield list(held)


@contextmanager
def dripping(connections: list[socket.socket]) -> Iterator[None]:
    """Send a byte every tenth of a second on each connection until the block ends."""
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.1):
            for connection in connections:
                try:
                    connection.sendall(b"x")
                except OSError:
                    connections.remove(connection)

    with ThreadPoolExecutor(1) as thread:
        work = thread.submit(drip)
        try:
            yield
        finally:
            stop.set()
    work.result()


HEAD = headers_alone(LIMIT).replace(b"Host: 127.0.0.1", b"Host: " + EVENTS.encode())
ATTACKS = {
    "announce 8 MB": HEAD,
    "announce chunks": HEAD.replace(b"Content-Length: %d" % LIMIT, b"Transfer-Encoding: chunked"),
    "don't end their headers": HEAD.removesuffix(b"\r\n"),
}


@pytest.mark.parametrize("beginning", ATTACKS.values(), ids=list(ATTACKS))
@pytest.mark.parametrize("drips", [False, True], ids=["and send nothing", "and send a byte at a time"])
def test_honest_senders_are_acknowledged_beside_slow_ones(
    caddy: Caddy, receiver: Receiver, beginning: bytes, drips: bool
) -> None:
    """64 connections that hold back what they announce cost an honest sender nothing; the receiver doesn't see them."""

    def deliver(_: int) -> int:
        return caddy.deliver(new_id(), event()).status

    before = metric(receiver, "receiver_requests_total", route=CURRENT)
    with attack(caddy, beginning) as held, ExitStack() as ends, ThreadPoolExecutor(4) as senders:
        if drips:
            ends.enter_context(dripping(held))
        assert list(senders.map(deliver, range(100))) == [202] * 100
        assert metric(receiver, "receiver_requests_in_flight") == 1  # the question itself
    assert metric(receiver, "receiver_requests_total", route=CURRENT) == before + 100
