"""A process that has imported what every command imports, and forks for each one: it starts in milliseconds.

Belongs here: that process, run as `python prepared.py FD`, and asking it. Not: what is run (command). A fork is the
command as it always is, with arguments, environment, folder, output and exit code of its own; only the imports are
done, of modules that read no environment and start no thread when they are imported.
"""

import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# Not Arrow and DuckDB, whose threads no fork would have, nor the definitions, which read the environment.
IMPORTED = (
    "boto3",
    "dagster",
    "obstore",
    "psycopg",
    "devstack.commands",
    "pipelines.cli.main",
    "pipelines.cli.replay",
    "pipelines.loading.load",
)
MOST = 1 << 20  # bytes of a request: arguments and environment


class Prepared:
    """The process that forks, as its user has it."""

    def __init__(self) -> None:
        self._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            command = [sys.executable, __file__, str(its.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL)

    def run(
        self, module: str, words: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> subprocess.CompletedProcess[str]:
        """Run a module as `python -m` does, without input; return what it said."""
        request = json.dumps([module, words, dict(environment), str(folder)]).encode()
        with Path(os.devnull).open() as none, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            socket.send_fds(self._socket, [request], [none.fileno(), output.fileno(), errors.fileno()])
            code = json.loads(self._socket.recv(MOST))
            said = []
            for file in (output, errors):
                file.seek(0)
                said.append(file.read().decode())
        return subprocess.CompletedProcess([module, *words], code, *said)

    def close(self) -> None:
        """End it."""
        self._socket.close()
        self._process.wait()


def serve(requests: socket.socket) -> list[str] | None:
    """Fork for each request; return in the fork what to run, and None at the end."""
    while True:
        request, files, *_ = socket.recv_fds(requests, MOST, 3)
        if not request:
            return None
        if not (pid := os.fork()):
            requests.close()
            return taken(request, files)
        for file in files:
            os.close(file)
        requests.send(json.dumps(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def taken(request: bytes, files: Sequence[int]) -> list[str]:
    """Take over a request's files, environment and folder; return what to run."""
    module, words, environment, folder = json.loads(request)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    return [module, *words]


if __name__ == "__main__":
    sys.path[0] = ""  # as `python -m` has it
    for name in IMPORTED:
        importlib.import_module(name)
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        sys.exit("an import has started a thread: no fork would have it")
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        found = serve(asked)
    if found:
        sys.argv = found
        runpy.run_module(found[0], run_name="__main__", alter_sys=True)
