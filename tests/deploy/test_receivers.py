"""Several receivers behind Caddy, as docs/deploy.md sets them up: what becomes of deliveries while one is away.

Every receiver is a process of its own on one real landing zone. Here all are on one machine, each on a port of its own.
"""

import signal
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from socket import create_server
from uuid import uuid4

import pytest
from caddy_process import EVENTS, Caddy, start_caddy
from mypy_boto3_s3 import S3Client
from receiver_process import (
    CURRENT,
    Receiver,
    check_ready,
    event,
    new_id,
    settings_env,
    spawned,
    start_receiver,
    wait_for_port,
)
from senders import (
    Load,
    Reckoning,
    Tls,
    closed_loop,
    deliver_the_rest,
    landed_events,
    metric,
    reckon,
    wait_for,
)
from servers import S3, bucket

from devstack.waiting import free_ports, wait_until

pytestmark = pytest.mark.scale

NOTHING_AMISS = Reckoning()
ENOUGH = 60  # acknowledgements between what happens to the receivers
SENDERS = 4  # few, so that receivers start quickly beside them
IN_A_ROW = 8


@contextmanager
def before(ports: Sequence[int], folder: Path, *, checked: bool) -> Iterator[Caddy]:
    """Run Caddy before receivers on these ports."""
    env = {"RECEIVERS": " ".join(f"127.0.0.1:{port}" for port in ports)}
    if checked:
        env["RECEIVERS_READYZ"] = "/readyz"
    with start_caddy(folder, ports[0], free_ports(1)[0], **env) as caddy:
        yield caddy


def acknowledged_by(receiver: Receiver) -> float:
    """Return how many events a receiver has acknowledged."""
    return metric(receiver, "receiver_requests_total", route=CURRENT, status="202")


@dataclass
class Rounds:
    """What three receivers did while each was restarted in turn."""

    shares: list[float]  # acknowledged by each, before the first restart
    codes: list[int]  # their exit codes
    load: Load
    reckoning: Reckoning
    landed: set[str]  # event ids


def run_one(s3: S3, landing: str, port: int, ends: ExitStack) -> Receiver:
    """Start a receiver, or start it again; it listens."""
    return ends.enter_context(start_receiver(s3, landing, wait_ready=False, RECEIVER_PORT=str(port)))


def restart(receiver: Receiver, s3: S3, landing: str, ends: ExitStack, how: signal.Signals) -> tuple[int, Receiver]:
    """End a receiver and start it again on its port; return its exit code, and the new one, which is ready."""
    receiver.process.send_signal(how)
    code = receiver.process.wait(30)
    again = run_one(s3, landing, receiver.port, ends)
    wait_until(lambda: check_ready(again), "the receiver that was started again")
    return code, again


@pytest.fixture(scope="module")
def rounds(s3: S3, s3_client: S3Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rounds]:
    """Restart each of three receivers under load: two with SIGTERM, one with SIGKILL."""
    folder, ports = tmp_path_factory.mktemp("caddy"), free_ports(3)
    with bucket(s3_client, "landing") as landing, ExitStack() as ends:
        three = [run_one(s3, landing, port, ends) for port in ports]
        caddy = ends.enter_context(before(ports, folder, checked=True))
        tls = Tls(EVENTS, ssl.create_default_context(cafile=caddy.authority))
        with closed_loop(f"https://127.0.0.1:{caddy.https_port}", senders=SENDERS, tls=tls) as load:
            load.wait_for_acknowledgements(3 * ENOUGH)
            shares, ended = [acknowledged_by(receiver) for receiver in three], []
            for receiver, how in zip(three, (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM), strict=True):
                ended.append(restart(receiver, s3, landing, ends, how))
                load.wait_for_acknowledgements(ENOUGH)
            wait_for(lambda: all(acknowledged_by(again) for _, again in ended), "an event to each of the new ones")
        deliver_the_rest(load)
        found = {each.event_id for each in landed_events(s3, landing)}
        yield Rounds(shares, [code for code, _ in ended], load, reckon(load, s3, landing), found)


def test_events_are_spread_over_all(rounds: Rounds) -> None:
    """Each of the three acknowledges its part: no one twice as many as another."""
    assert 0 < max(rounds.shares) < 2 * min(rounds.shares)


def test_each_was_restarted(rounds: Rounds) -> None:
    """SIGTERM is heeded, SIGKILL ends."""
    assert rounds.codes == [0, -signal.SIGKILL, 0]


def test_what_is_acknowledged_has_landed(rounds: Rounds) -> None:
    """Nothing that was acknowledged is missing, and nothing landed more often than it was posted."""
    assert rounds.reckoning == NOTHING_AMISS


def test_everything_sent_lands(rounds: Rounds) -> None:
    """In the end what was sent, what was acknowledged and what landed are the same events."""
    acknowledged = {event_id for event_id, sent in rounds.load.sent.items() if sent.acknowledged}
    assert set(rounds.load.sent) == acknowledged == rounds.landed


def deliver_in_a_row(caddy: Caddy) -> list[int]:
    """Deliver some events one after the other; return the answers' statuses."""
    return [caddy.deliver(new_id(), event()).status for _ in range(IN_A_ROW)]


def test_one_that_is_not_ready_is_left_alone(s3: S3, landing_bucket: str, tmp_path: Path) -> None:
    """A receiver whose bucket takes nothing answers 503; once that is noticed, all deliveries go to the other."""
    lost = settings_env(s3, f"none-{uuid4().hex}")
    with spawned(lost) as unready, start_receiver(s3, landing_bucket) as ready:
        wait_for_port(unready)
        with before([unready.port, ready.port], tmp_path, checked=True) as caddy:
            wait_for(lambda: deliver_in_a_row(caddy) == [202] * IN_A_ROW, "the unready one to be left alone")
            assert deliver_in_a_row(caddy) == [202] * IN_A_ROW


def test_one_that_is_away_costs_no_delivery(s3: S3, landing_bucket: str, tmp_path: Path) -> None:
    """Where no connection can be made, the other is asked, without any check."""
    with start_receiver(s3, landing_bucket) as there:
        (nobody,) = free_ports(1)
        with before([nobody, there.port], tmp_path, checked=False) as caddy:
            assert deliver_in_a_row(caddy) == [202] * IN_A_ROW


@contextmanager
def breaking_off() -> Iterator[tuple[int, list[bytes]]]:
    """Listen like a receiver that dies over each delivery; give its port and what reached it."""
    heard: list[bytes] = []
    with closing(create_server(("127.0.0.1", 0))) as server:

        def hear() -> None:
            with suppress(OSError):  # the server is closed
                while True:
                    with server.accept()[0] as connection:
                        heard.append(connection.recv(65_536))

        thread = threading.Thread(target=hear, daemon=True)
        thread.start()
        yield server.getsockname()[1], heard


def test_what_was_sent_is_not_sent_again(tmp_path: Path) -> None:
    """Whether a delivery that broke off has landed nobody knows: the collector hears 502, and it alone tries again."""
    with breaking_off() as (port, heard), before([port, port], tmp_path, checked=False) as caddy:
        status = caddy.deliver(new_id(), event()).status
        assert (status, len(heard)) == (HTTPStatus.BAD_GATEWAY, 1)
