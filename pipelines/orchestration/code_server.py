"""Dagster's code server: the process that holds the definitions for webserver and daemon, and starts their runs.

Belongs here: where the embedded one listens, and asking it. Not: starting it (the embedded stack does).
"""

import os
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # it ships no types
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # the same

SOCKET = Path("dagster", "code.sock")  # in the data directory; nobody but its owner enters the folder
_QUESTION = health_pb2.HealthCheckRequest(service="DagsterApi")


def check(code_socket: Path) -> None:
    """Raise OSError unless the code server at this socket answers.

    Its folder is named by a descriptor: the length of a socket's path is limited, that of a data directory isn't.
    """
    folder = os.open(code_socket.parent, os.O_PATH)
    try:
        with grpc.insecure_channel(f"unix:/proc/self/fd/{folder}/{code_socket.name}") as channel:
            health_pb2_grpc.HealthStub(channel).Check(_QUESTION, timeout=2)
    except grpc.RpcError as error:
        raise ConnectionError(error) from None
    finally:
        os.close(folder)
