"""The HTTP interface of docs/http.md, row by row, on a running receiver."""

import http.client
import json
import re
import resource
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import pytest
from factories import SECRET
from fault_proxy import FaultProxy, Gate, fault_proxy, passes
from mypy_boto3_s3 import S3Client
from prometheus_client.parser import text_string_to_metric_families
from receiver_process import (
    CURRENT,
    FIRST,
    Answer,
    Receiver,
    check_ready,
    event,
    landed,
    new_id,
    settings_env,
    signed,
    spawned,
    start_receiver,
)
from servers import S3, bucket

from devstack.waiting import wait_until

MAX_BODY = 200_000
QUEUE = 400_000
REQUESTS = "receiver_requests_total"
NIL = "00000000-0000-0000-0000-000000000000"
OTHER = "6f1c3a52-0b7d-4f0e-9c39-5d2f8f2f7a10"
LIMITS = {"RECEIVER_MAX_BODY_BYTES": str(MAX_BODY), "RECEIVER_QUEUE_BYTES": str(QUEUE)}


@pytest.fixture(scope="module")
def store(s3_client: S3Client) -> Iterator[str]:
    """Make the bucket that the receiver lands in."""
    with bucket(s3_client, "landing") as name:
        yield name


@pytest.fixture(scope="module")
def receiver(s3: S3, store: str) -> Iterator[Receiver]:
    """Run a receiver with low limits and one previous secret."""
    with start_receiver(
        s3, store, wait_ready=True, WHATSAPP_WEBHOOK_PREVIOUS_SECRETS='["old-secret"]', **LIMITS
    ) as process:
        yield process


@pytest.fixture(scope="module")
def proxied(s3: S3, store: str) -> Iterator[tuple[FaultProxy, Receiver]]:
    """Run a receiver with low limits behind a proxy that can hold up its store."""
    with fault_proxy(s3) as proxy, start_receiver(proxy, store, wait_ready=True, **LIMITS) as process:
        yield proxy, process


@pytest.fixture(scope="module")
def cut_off(s3: S3, store: str) -> Iterator[Receiver]:
    """Run a receiver whose store is away."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = f"http://127.0.0.1:{server.getsockname()[1]}"
    with start_receiver(s3, store, wait_ready=False, AWS_ENDPOINT_URL_S3=nobody) as process:
        yield process


def metric(receiver: Receiver, name: str, **labels: str) -> float:
    """Return one sample of the receiver's metrics; 0 when it isn't there."""
    text = receiver.request("GET", "/metrics").body.decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return next((sample.value for sample in samples if sample.name == name and sample.labels == labels), 0.0)


def wait_for_metric(receiver: Receiver, expected: float, name: str, **labels: str) -> None:
    """Return when a metric has this value or more (0: none at all)."""

    def check() -> None:
        value = metric(receiver, name, **labels)
        if value < expected or value > expected == 0:
            raise LookupError(f"{name} is {value}")

    wait_until(check, name)


def labels(outcome: str, status: str, route: str = CURRENT) -> dict[str, str]:
    """Return how answers of a kind are labelled."""
    return {
        "route": route,
        "contract": "current" if route == CURRENT else "",
        "outcome": outcome,
        "status": status,
    }


def answers_counted(receiver: Receiver, outcome: str, status: str, route: str = CURRENT) -> float:
    """Return how many answers of this kind the receiver has counted."""
    return metric(receiver, REQUESTS, **labels(outcome, status, route))


def connect(receiver: Receiver, request: bytes) -> socket.socket:
    """Open a connection and send raw bytes on it."""
    connection = socket.create_connection(("127.0.0.1", receiver.port), 30)
    connection.sendall(request)
    return connection


def raw_delivery(body: bytes, *, announced: int | None, version: str = "1.1", **others: str) -> bytes:
    """Return a signed request, with a Content-Length that may announce more than there is, or none.

    Other headers are added or replace its own, underscores standing for dashes; an empty one is left out.
    """
    length = {} if announced is None else {"Content-Length": str(announced)}
    replaced = {name.replace("_", "-"): value for name, value in others.items()}
    headers = signed(new_id(), body) | {"Host": "localhost"} | length | replaced
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
    return f"POST {CURRENT} HTTP/{version}\r\n{lines}\r\n".encode() + body


def chunk(data: bytes) -> bytes:
    """Return one chunk of a body in chunks."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def everything(connection: socket.socket) -> bytes:
    """Read until the other side closes."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def of_length(length: int) -> bytes:
    """Return an event's body of so many bytes."""
    return event("x" * (length - len(event(""))))


# Accepted


@pytest.mark.parametrize("path", [CURRENT, FIRST])
def test_accepted(receiver: Receiver, path: str) -> None:
    """A proper event of either contract gets 202 and its id."""
    event_id = new_id()
    answer = receiver.deliver(event_id, event(), path)
    assert (answer.status, answer.json) == (202, {"status": "accepted", "event_id": event_id})


@pytest.mark.parametrize(("path", "contract"), [(CURRENT, "current"), (FIRST, "first")])
def test_landed(receiver: Receiver, s3_client: S3Client, store: str, path: str, contract: str) -> None:
    """What was acknowledged is in the landing zone: id, contract, signature and bytes as they were sent."""
    event_id, body = new_id().upper(), b'{"type":"t",\r\n "payload":"\\ud83d\\u0000 \xe2\x80\xa8 1.0"}'
    receiver.deliver(event_id, body, path)
    (found,) = landed(s3_client, store, event_id)
    assert (found.contract, found.signature, found.signed) == (
        contract,
        signed(event_id, body, path)["X-Signature"],
        body,
    )


def test_previous_secret(receiver: Receiver) -> None:
    """A signature made with a previous secret is accepted."""
    event_id = new_id()
    assert receiver.request("POST", CURRENT, event(), signed(event_id, event(), secret="old-secret")).status == 202


@pytest.mark.parametrize(("secret", "label"), [(SECRET, "current"), ("old-secret", "previous")])
def test_verifying_secrets_are_counted(receiver: Receiver, secret: str, label: str) -> None:
    """Which secret senders use is in the metrics, so that the end of a rotation shows."""
    before, event_id = metric(receiver, "receiver_verified_total", secret=label), new_id()
    receiver.request("POST", CURRENT, event(), signed(event_id, event(), secret=secret))
    assert metric(receiver, "receiver_verified_total", secret=label) == before + 1


def test_retired_secret(s3: S3, store: str) -> None:
    """A signature made with a retired secret gets 401."""
    with start_receiver(s3, store, WHATSAPP_WEBHOOK_RETIRED_SECRETS='["old-secret"]') as retired:
        event_id = new_id()
        assert retired.request("POST", CURRENT, event(), signed(event_id, event(), secret="old-secret")).status == 401


def test_chunked(receiver: Receiver) -> None:
    """A body in chunks is accepted."""
    event_id = new_id()
    assert receiver.request("POST", CURRENT, iter([event()]), signed(event_id, event())).status == 202


def test_a_body_of_the_limit(receiver: Receiver) -> None:
    """A body as long as the limit is accepted."""
    assert receiver.deliver(new_id(), of_length(MAX_BODY)).status == 202


def test_sender_that_leaves(receiver: Receiver, s3_client: S3Client, store: str) -> None:
    """An event whose sender doesn't wait for the answer lands all the same."""
    body = event(f"left {new_id()}")
    connect(receiver, raw_delivery(body, announced=len(body))).close()

    def check() -> None:
        if body not in [found.signed for found in landed(s3_client, store)]:
            raise LookupError("not landed")

    wait_until(check, "the event of the sender that left")


# Duplicates


def test_duplicate(receiver: Receiver) -> None:
    """The same delivery again gets 202, and is called a duplicate."""
    event_id = new_id()
    receiver.deliver(event_id, event())
    answer = receiver.deliver(event_id, event())
    assert (answer.status, answer.json) == (202, {"status": "duplicate", "event_id": event_id})


def test_duplicate_lands_once(receiver: Receiver, s3_client: S3Client, store: str) -> None:
    """However often it comes at the same time, an event lands once."""
    event_id = new_id()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: receiver.deliver(event_id, event()), range(24)))
    assert len(landed(s3_client, store, event_id)) == 1


def test_duplicates_are_counted(receiver: Receiver) -> None:
    """A collapsed delivery is in the metrics."""
    before, event_id = metric(receiver, "receiver_duplicates_total"), new_id()
    receiver.deliver(event_id, event())
    receiver.deliver(event_id, event())
    assert metric(receiver, "receiver_duplicates_total") == before + 1


def test_other_body(receiver: Receiver, s3_client: S3Client, store: str) -> None:
    """The same id with another body lands too."""
    event_id = new_id()
    receiver.deliver(event_id, event("first"))
    receiver.deliver(event_id, event("second"))
    assert sorted(found.signed for found in landed(s3_client, store, event_id)) == [event("first"), event("second")]


# Refused


@pytest.mark.parametrize(
    "path",
    ["/", f"{CURRENT}/", f"/{CURRENT}", "/readyz/", "/api", CURRENT.replace("w", "%77"), CURRENT.replace("/w", "%2Fw")],
)
def test_unknown_path(receiver: Receiver, path: str) -> None:
    """Any other path is not found, and leads nowhere else."""
    answer = receiver.deliver(new_id(), event(), path)
    assert (answer.status, answer.headers.get("Location"), answer.json["status"]) == (404, None, "refused")


@pytest.mark.parametrize("path", [CURRENT, FIRST])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_method(receiver: Receiver, method: str, path: str) -> None:
    """A webhook's path allows POST alone."""
    answer = receiver.request(method, path)
    assert (answer.status, answer.headers["Allow"], answer.headers.get("Location")) == (405, "POST", None)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_post_elsewhere(receiver: Receiver, path: str) -> None:
    """The other paths don't allow POST."""
    answer = receiver.request("POST", path)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD")


def test_too_long(receiver: Receiver) -> None:
    """A body over the limit gets 413 before it is read, even unsigned."""
    headers = {"Content-Length": str(MAX_BODY + 1), "Content-Type": "text/plain"}
    answer = receiver.request("POST", CURRENT, b"", headers)
    assert (answer.status, answer.json["status"]) == (413, "refused")


def test_too_long_in_chunks(receiver: Receiver) -> None:
    """A body over the limit gets 413 when its length wasn't announced, too."""
    headers = signed(new_id(), b"")
    assert receiver.request("POST", CURRENT, iter([b"x" * (MAX_BODY + 1)]), headers).status == 413


@pytest.mark.parametrize(
    "header",
    [
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/json; charset=utf-16"},
        {"Content_Encoding": "gzip"},
    ],
    ids=str,
)
def test_media(receiver: Receiver, header: dict[str, str]) -> None:
    """Other than plain JSON in UTF-8 gets 415."""
    answer = receiver.deliver(new_id(), event(), **header)
    assert (answer.status, answer.json["status"]) == (415, "refused")


@pytest.mark.parametrize("header", [{"X_Signature": "0" * 64}, {"X_Event_Id": OTHER}], ids=str)
def test_not_authentic(receiver: Receiver, header: dict[str, str]) -> None:
    """A signature that doesn't verify gets 401, and no id back."""
    answer = receiver.deliver(new_id(), event(), **header)
    assert (answer.status, answer.json) == (401, {"status": "refused", "error": "X-Signature does not verify"})


def test_a_wrongly_signed_body_is_let_go(receiver: Receiver) -> None:
    """Of a body that isn't authentic nothing is held, however long it is."""
    answer = receiver.deliver(new_id(), of_length(MAX_BODY), X_Signature="0" * 64)
    assert (answer.status, metric(receiver, "receiver_queue_bytes")) == (401, 0)


@pytest.mark.parametrize(
    ("headers", "more"),
    [
        pytest.param({"X_Signature": ""}, b"", id="no signature"),
        pytest.param({"X_Event_Id": ""}, b"", id="no event id"),
        pytest.param({}, b"X-Signature: " + b"0" * 64, id="two signatures"),
        pytest.param({}, b"X-Event-Id: " + OTHER.encode(), id="two event ids"),
        pytest.param({"X_Signature": "A" * 64}, b"", id="a signature in upper case"),
        pytest.param({"X_Signature": "a" * 63}, b"", id="a digit too few"),
        pytest.param({"X_Signature": "a" * 65}, b"", id="a digit too many"),
    ],
)
def test_no_credentials(receiver: Receiver, headers: dict[str, str], more: bytes) -> None:
    """Headers that can't be a signature of anything get 401, without a byte of the body, and the connection ends."""
    request = raw_delivery(b"", announced=1000, **headers).replace(b"Host:", more + b"\r\nHost:" if more else b"Host:")
    with closing(connect(receiver, request)) as connection:
        answer = everything(connection)
    assert (answer.split()[1], b"\r\nConnection: close\r\n" in answer) == (b"401", True)


@pytest.mark.parametrize("event_id", ["not-a-uuid", NIL])
def test_bad_id(receiver: Receiver, event_id: str) -> None:
    """An authentic request without a proper id gets 400."""
    answer = receiver.deliver(event_id, event())
    assert (answer.status, answer.json["status"]) == (400, "refused")


@pytest.mark.parametrize(
    "body",
    [
        b"confidential",
        b'{"type":"confidential","payload":NaN}',
        b'{"type":"t","payload":' + b"[" * 600 + b"]" * 600 + b"}",
        b'["confidential"]',
    ],
)
def test_not_strict_json(receiver: Receiver, body: bytes) -> None:
    """An authentic request whose body isn't one JSON object gets 422 and its id, and nothing of its body."""
    event_id = new_id()
    answer = receiver.deliver(event_id, body)
    assert (answer.status, answer.json["event_id"], b"confidential" in answer.body) == (422, event_id, False)


@pytest.mark.parametrize(
    "body",
    [
        b'{"payload":"confidential"}',
        b'{"type":"confidential"}',
        b'{"type":"t","payload":1,"chat_jid":["confidential"]}',
    ],
)
def test_bad_envelope(receiver: Receiver, body: bytes) -> None:
    """An authentic request whose object isn't an event gets 422 and its id, and nothing of its body."""
    event_id = new_id()
    answer = receiver.deliver(event_id, body)
    assert (answer.status, answer.json["event_id"], b"confidential" in answer.body) == (422, event_id, False)


def test_refused_lands_not(receiver: Receiver, s3_client: S3Client, store: str) -> None:
    """What is refused doesn't land."""
    event_id = new_id()
    receiver.deliver(event_id, b"{}")
    assert landed(s3_client, store, event_id) == []


def test_not_http(receiver: Receiver) -> None:
    """Bytes that aren't HTTP get 400 in JSON, and come back nowhere."""
    with closing(connect(receiver, b"confidential\r\n\r\n")) as connection:
        answer = everything(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (head.split()[1], body) == (
        b"400",
        b'{"status":"refused","error":"the request is not well-formed HTTP/1.1"}',
    )


@pytest.mark.parametrize("body", [chunk(event()) + chunk(b""), chunk(event())], ids=["whole", "not whole"])
@pytest.mark.parametrize("length", [None, 9])
def test_chunks_of_an_old_sender(receiver: Receiver, length: int | None, body: bytes) -> None:
    """HTTP/1.0 with Transfer-Encoding gets 400, and its connection ends, whatever else was announced."""
    headers = {"Transfer_Encoding": "chunked", "Connection": "keep-alive"}
    request = raw_delivery(event(), announced=length, version="1.0", **headers).removesuffix(event()) + body
    with closing(connect(receiver, request)) as connection:
        answer = everything(connection)
    assert (answer.split()[1], answer.count(b"HTTP/1.1 ")) == (b"400", 1)


def test_other_expectation(receiver: Receiver) -> None:
    """An expectation other than 100-continue is nothing to wait for."""
    assert receiver.deliver(new_id(), event(), Expect="magic").status == 202


@pytest.mark.parametrize(
    ("version", "lines"),
    [("1.1", [b"HTTP/1.1 100 Continue", b"HTTP/1.1 202 Accepted"]), ("1.0", [b"HTTP/1.1 202 Accepted"])],
)
def test_expecting_to_go_on(receiver: Receiver, version: str, lines: list[bytes]) -> None:
    """A sender that asks before its body is told to go on, unless it speaks HTTP/1.0."""
    asking = f" HTTP/{version}\r\nExpect: 100-continue\r\nConnection: close\r\n".encode()
    request = raw_delivery(event(), announced=len(event())).replace(b" HTTP/1.1\r\n", asking)
    with closing(connect(receiver, request)) as connection:
        answer = everything(connection)
    assert [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/")] == lines


def test_expecting_to_go_on_and_leaving(receiver: Receiver) -> None:
    """A sender that asks, sends its body all the same and leaves without waiting has its event landed."""
    request = raw_delivery(event(), announced=len(event())).replace(b"\r\n", b"\r\nExpect: 100-continue\r\n", 1)
    before = answers_counted(receiver, "accepted", "202")
    with closing(connect(receiver, request)) as connection:
        connection.shutdown(socket.SHUT_RDWR)
    wait_for_metric(receiver, before + 1, REQUESTS, **labels("accepted", "202"))


def test_upgrade(receiver: Receiver) -> None:
    """A connection that asks for another protocol goes on with none: what came behind it could be lost."""
    asking = b" HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"
    request = raw_delivery(event(), announced=len(event())).replace(b" HTTP/1.1\r\n", asking)
    with closing(connect(receiver, request)) as connection:
        answer = everything(connection)
    assert (answer.split()[1], b"Connection: close" in answer) == (b"202", True)


def test_cut_body(receiver: Receiver) -> None:
    """A body that ends before its announced length gets 400."""
    before = answers_counted(receiver, "refused", "400")
    with closing(connect(receiver, raw_delivery(event(), announced=1000))) as connection:
        connection.shutdown(socket.SHUT_WR)
        wait_for_metric(receiver, before + 1, REQUESTS, **labels("refused", "400"))


@pytest.fixture(scope="module")
def slow(receiver: Receiver) -> tuple[bytes, bytes, float]:
    """Begin headers, and a body, and leave them so: the answers, and how many of them were counted as 408."""
    before = answers_counted(receiver, "refused", "408")
    headers, body = connect(receiver, b"POST / HTTP/1.1\r\nHost:"), connect(receiver, raw_delivery(b"", announced=9))
    with closing(headers), closing(body):
        return everything(headers), everything(body), answers_counted(receiver, "refused", "408") - before


def test_slow_headers(slow: tuple[bytes, bytes, float]) -> None:
    """A connection whose headers don't arrive in time is closed."""
    assert slow[0] == b""


def test_slow_body(slow: tuple[bytes, bytes, float]) -> None:
    """A body that doesn't arrive in time gets 408, which is counted, and the connection is closed."""
    assert (slow[1].split()[1], slow[2]) == (b"408", 1)


# Unavailable


@contextmanager
def held_up(proxied: tuple[FaultProxy, Receiver], *lengths: int) -> Iterator[Receiver]:
    """Let deliveries of these lengths wait for the store until the block ends: then all of them are acknowledged."""
    (proxy, receiver), gate = proxied, Gate()
    proxy.always(gate)
    with ThreadPoolExecutor(len(lengths)) as senders:
        deliveries = [senders.submit(receiver.deliver, new_id(), of_length(length)) for length in lengths]
        try:
            wait_for_metric(receiver, sum(lengths), "receiver_queue_bytes")
            yield receiver
        finally:
            proxy.always(passes)
            gate.open()
    assert [delivery.result().status for delivery in deliveries] == [202] * len(lengths)


@pytest.fixture
def full(proxied: tuple[FaultProxy, Receiver]) -> Iterator[Receiver]:
    """Fill the receiver's queue with two events that wait for the store."""
    with held_up(proxied, MAX_BODY, MAX_BODY) as receiver:
        yield receiver


def test_queue_full(full: Receiver) -> None:
    """Without room for its body an event gets 503, and is told to come again."""
    answer = full.deliver(new_id(), event())
    assert (answer.status, answer.headers["Retry-After"], answer.json) == (
        503,
        "2",
        {"status": "unavailable", "error": "the queue is full"},
    )


def test_no_credentials_when_full(full: Receiver) -> None:
    """What nobody could authenticate gets its 401 all the same."""
    assert full.deliver(new_id(), event(), X_Signature="none").status == 401


def test_not_ready_when_full(full: Receiver) -> None:
    """With a full queue the receiver isn't ready."""
    answer = full.request("GET", "/readyz")
    assert (answer.status, answer.json) == (503, {"status": "unavailable", "error": "the queue is full"})


def test_room_gone_meanwhile(proxied: tuple[FaultProxy, Receiver]) -> None:
    """A body for which there is no room any more gets 503 where it is, and what was there of it is let go."""
    request = raw_delivery(b"", announced=None, Transfer_Encoding="chunked")
    with held_up(proxied, MAX_BODY, MAX_BODY - 50_000) as receiver:
        with closing(connect(receiver, request + chunk(b"x" * 40_000))) as connection:
            wait_for_metric(receiver, QUEUE - 10_000, "receiver_queue_bytes")
            connection.sendall(chunk(b"x" * 10_001))
            answer = everything(connection)
        left = metric(receiver, "receiver_queue_bytes")
    head = answer.partition(b"\r\n\r\n")[0]
    assert (head.split()[1], b"\r\nRetry-After: 2" in head, b"\r\nConnection: close\r\n" in head, left) == (
        b"503",
        True,
        True,
        QUEUE - 50_000,
    )


@contextmanager
def pushing(receiver: Receiver) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Fill the queue with the beginnings of two bodies, whose ends don't come: the older one first."""
    request = raw_delivery(b"", announced=MAX_BODY) + b"x" * (MAX_BODY - 1)
    with closing(connect(receiver, request)) as first:
        wait_for_metric(receiver, MAX_BODY - 1, "receiver_queue_bytes")
        with closing(connect(receiver, request)) as second:
            wait_for_metric(receiver, 2 * (MAX_BODY - 1), "receiver_queue_bytes")
            yield first, second
    wait_for_metric(receiver, 0, "receiver_queue_bytes")


def test_makes_room(receiver: Receiver) -> None:
    """For an event that comes whole, the body that has been on its way for longest makes room: 503, then closed."""
    with pushing(receiver) as (first, _):
        accepted = receiver.deliver(new_id(), event()).status
        answer = everything(first)
        left = metric(receiver, "receiver_queue_bytes")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (accepted, left, head.split()[1], b"\r\nRetry-After: 2" in head, json.loads(body)["error"]) == (
        202,
        MAX_BODY - 1,
        b"503",
        True,
        "the queue is full, and this body had been on its way for longest",
    )


def test_a_body_that_would_need_its_own_room(receiver: Receiver) -> None:
    """When a body needs room, and is the oldest itself, it is the one that goes."""
    with (
        closing(connect(receiver, raw_delivery(b"", announced=MAX_BODY) + b"x")) as oldest,
        pushing(receiver) as (one, _),
    ):
        wait_for_metric(receiver, 2 * MAX_BODY - 1, "receiver_queue_bytes")
        oldest.sendall(b"x" * 2)
        statuses = everything(oldest).split()[1], everything(one).split()[1]
    assert statuses == (b"503", b"408")


def test_ready_while_bodies_are_on_their_way(receiver: Receiver) -> None:
    """Bodies that would make room don't count against readiness."""
    with pushing(receiver):
        assert receiver.request("GET", "/readyz").status == 200


def test_not_ready_without_a_store(cut_off: Receiver) -> None:
    """When the landing bucket takes no writes the receiver isn't ready."""
    answer = cut_off.request("GET", "/readyz")
    assert (answer.status, answer.json) == (
        503,
        {"status": "unavailable", "error": "the landing bucket does not accept writes"},
    )


def test_healthy_without_a_store(cut_off: Receiver) -> None:
    """It runs, all the same."""
    assert cut_off.request("GET", "/healthz").status == 200


@pytest.fixture(scope="module")
def unconfirmed(cut_off: Receiver) -> tuple[str, list[Answer]]:
    """Deliver an event that cannot land, twice at once: its id and the answers."""
    event_id = new_id()
    with ThreadPoolExecutor(2) as senders:
        return event_id, list(senders.map(cut_off.deliver, [event_id] * 2, [event()] * 2))


def test_not_confirmed(unconfirmed: tuple[str, list[Answer]]) -> None:
    """When the store doesn't confirm an event in time it gets 503 and its id, and is told to come again."""
    event_id, (answer, _) = unconfirmed
    assert (answer.status, answer.headers["Retry-After"], answer.json) == (
        503,
        "2",
        {
            "status": "unavailable",
            "event_id": event_id,
            "error": "the landing store did not confirm the event in time",
        },
    )


def test_twin_in_flight(unconfirmed: tuple[str, list[Answer]], cut_off: Receiver) -> None:
    """A delivery that comes while the same event is being landed is answered as that one, and not landed itself."""
    _, (answer, twin) = unconfirmed
    given_up = metric(cut_off, "landing_puts_total", result="given up")
    assert (twin.status, twin.json, given_up) == (answer.status, answer.json, 1)


@pytest.mark.usefixtures("unconfirmed")
def test_sheds_while_silent(cut_off: Receiver) -> None:
    """After that, while one event tries the store, the others get 503 at once."""
    failed = metric(cut_off, "landing_puts_total", result="failed")
    with closing(connect(cut_off, raw_delivery(event("tries"), announced=len(event("tries"))))):
        wait_for_metric(cut_off, failed + 1, "landing_puts_total", result="failed")
        answer = cut_off.deliver(new_id(), event())
    assert (answer.status, answer.json["error"]) == (503, "the landing store is silent")


# The other paths


def test_healthy(receiver: Receiver) -> None:
    """A running receiver is healthy."""
    answer = receiver.request("GET", "/healthz")
    assert (answer.status, answer.json) == (200, {"status": "ok"})


def test_ready(receiver: Receiver) -> None:
    """A receiver whose bucket takes writes is ready."""
    answer = receiver.request("GET", "/readyz")
    assert (answer.status, answer.json) == (200, {"status": "ok"})


def test_metrics(receiver: Receiver) -> None:
    """The metrics count the answers by route, contract, outcome and status."""
    before = answers_counted(receiver, "accepted", "202")
    receiver.deliver(new_id(), event())
    assert answers_counted(receiver, "accepted", "202") == before + 1


@pytest.mark.parametrize(
    ("headers", "body", "outcome", "status"),
    [
        ({}, event(), "accepted", "202"),
        ({"X_Signature": "0" * 64}, event(), "refused", "401"),
        ({"Content_Type": "text/plain"}, event(), "refused", "415"),
        ({}, b"[]", "refused", "422"),
        ({}, b" " * 9_000_000, "refused", "413"),
    ],
)
def test_every_kind_of_outcome_is_counted(
    receiver: Receiver, headers: dict[str, str], body: bytes, outcome: str, status: str
) -> None:
    """The exposition parses after each kind of outcome, and has it."""
    before = answers_counted(receiver, outcome, status)
    receiver.deliver(new_id(), body, **headers)
    assert answers_counted(receiver, outcome, status) == before + 1


def test_a_duplicate_is_counted_as_such(receiver: Receiver) -> None:
    """A collapsed delivery has an outcome of its own."""
    before, event_id = answers_counted(receiver, "duplicate", "202"), new_id()
    receiver.deliver(event_id, event())
    receiver.deliver(event_id, event())
    assert answers_counted(receiver, "duplicate", "202") == before + 1


def test_a_bad_id_is_counted(receiver: Receiver) -> None:
    """So is an id that is none."""
    before = answers_counted(receiver, "refused", "400")
    receiver.deliver(NIL, event())
    assert answers_counted(receiver, "refused", "400") == before + 1


def test_what_is_shed_is_counted(full: Receiver) -> None:
    """So is an event that finds the queue full."""
    before = answers_counted(full, "unavailable", "503")
    full.deliver(new_id(), event())
    assert answers_counted(full, "unavailable", "503") == before + 1


def test_a_path_that_is_none_is_counted_as_other(receiver: Receiver) -> None:
    """Senders can't make up routes in the metrics."""
    before = answers_counted(receiver, "refused", "404", route="other")
    receiver.request("GET", "/wp-login.php")
    assert answers_counted(receiver, "refused", "404", route="other") == before + 1


def test_another_method_is_counted(receiver: Receiver) -> None:
    """So is a webhook's path with another method."""
    before = answers_counted(receiver, "refused", "405")
    receiver.request("GET", CURRENT)
    assert answers_counted(receiver, "refused", "405") == before + 1


@pytest.mark.usefixtures("unconfirmed")
def test_an_unconfirmed_event_is_counted(cut_off: Receiver) -> None:
    """Each event of a file that the store doesn't confirm is unavailable."""
    assert answers_counted(cut_off, "unavailable", "503") >= 2


def test_unauthorised_requests_are_counted_by_reason(receiver: Receiver) -> None:
    """A signature that doesn't verify is told from one that is missing."""
    reason = {"reason": "X-Signature does not verify"}
    before = metric(receiver, "receiver_unauthorised_total", **reason)
    receiver.deliver(new_id(), event(), X_Signature="0" * 64)
    assert metric(receiver, "receiver_unauthorised_total", **reason) == before + 1


def test_a_refusal_is_logged_with_its_reason_and_without_the_body(s3: S3, store: str) -> None:
    """A line of the log is one JSON object; a message that repeats itself is left out for a while."""
    with start_receiver(s3, store) as receiver:
        event_id = new_id()
        for _ in range(20):
            receiver.deliver(event_id, b'{"segredo": 5511999999999}')
        logged = [json.loads(line) for line in receiver.said().splitlines()]
    refused = [line for line in logged if line["message"] == "request refused"]
    assert [(line["event_id"], line["status"]) for line in refused] == [(event_id, 422)]
    assert "segredo" not in str(logged)
    assert SECRET not in str(logged)


# The process


def test_port_taken(receiver: Receiver, s3: S3, store: str) -> None:
    """A receiver that cannot have its port ends with 1 and one line."""
    with spawned(settings_env(s3, store) | {"RECEIVER_PORT": str(receiver.port)}) as other:
        code = other.process.wait(30)
        one_line = rf"receiver: cannot listen on 127.0.0.1:{receiver.port}: .*\n"
        assert (code, bool(re.fullmatch(one_line, other.said()))) == (1, True)


def test_a_shortage_of_open_files_passes(s3: S3, store: str) -> None:
    """Where the store is first asked for while no file can be opened, later deliveries land all the same."""
    with start_receiver(s3, store, wait_ready=False) as receiver:
        resource.prlimit(receiver.pid, resource.RLIMIT_NOFILE, (64, 64))
        with ExitStack() as stack:
            first = stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=30)))
            first.connect()
            for _ in range(100):
                stack.enter_context(socket.create_connection(("127.0.0.1", receiver.port)))
            first.request("GET", "/readyz")
            assert first.getresponse().status in {200, 503}
        wait_until(lambda: check_ready(receiver), "receiver's landing bucket")
        assert receiver.deliver(new_id(), event()).status == 202


def test_says_where(receiver: Receiver) -> None:
    """A start is one line, which says where it listens."""
    assert json.loads(receiver.said().split("\n")[0])["message"] == f"listening on http://127.0.0.1:{receiver.port}"


@pytest.mark.parametrize(
    ("secrets", "warned"),
    [
        ({"WHATSAPP_WEBHOOK_SECRET": "s" * 15}, True),
        ({"WHATSAPP_WEBHOOK_SECRET": "s" * 16}, False),
        ({"WHATSAPP_WEBHOOK_SECRET": "s" * 16, "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS": '["old"]'}, True),
    ],
)
def test_warns_of_a_short_secret(s3: S3, store: str, secrets: dict[str, str], warned: bool) -> None:
    """A secret shorter than 16 bytes is used, and warned of in the log."""
    with start_receiver(s3, store, wait_ready=True, **secrets) as process:
        messages = [json.loads(line)["message"] for line in process.said().splitlines()]
    assert ("a webhook secret is shorter than 16 bytes" in messages) == warned
