"""What Dagster's launcher makes of the manifests: the Job of a run, and what it asks of Kubernetes.

A server on this machine stands in for Kubernetes' API: it takes down what it is asked, and answers as if each Job had
one pod that ended. What the Job holds is then run here, with the Job's own variables.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import dagster as dg
import kubernetes_validate
import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher.base import LaunchRunContext, WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from factories import RECEIVED, event, line
from lake import Lake
from project import ROOT

from devstack.postgres import Postgres
from pipelines.landing.hours import hour_key
from pipelines.orchestration.definitions import defs

pytestmark = pytest.mark.scale

FOLDER = ROOT / "deploy" / "kubernetes"
POD = "the-pod"
ENDED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
VERBS = {"POST": "create", "DELETE": "delete", "GET": "get"}


def manifest(file: str, kind: str) -> dict[str, Any]:
    """Return a file's one manifest of a kind."""
    (found,) = (each for each in yaml.safe_load_all((FOLDER / file).read_text()) if each["kind"] == kind)
    assert isinstance(found, dict)
    return found


@dataclass
class Api:
    """What Kubernetes was asked: each time by which verb for which resource; and the Jobs that were to be made."""

    port: int = 0
    asked: set[tuple[str, str, str]] = field(default_factory=set)  # group, resource, verb
    jobs: list[dict[str, Any]] = field(default_factory=list)
    has_pods: bool = True

    def answer(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        """Note a request below a namespace, and return what it is answered with."""
        group, _, rest = path.partition("/namespaces/wpp-lake/")
        resource, *named = rest.split("/")
        verb = "list" if method == "GET" and not named else VERBS[method]
        self.asked.add(("batch" if "batch" in group else "", "/".join([resource, *named[1:]]), verb))
        if method == "POST":
            self.jobs.append(json.loads(body))
        if resource == "pods" and verb == "list":
            return {"kind": "PodList", "items": [_dead_pod()] * self.has_pods}
        if verb == "list":
            return {"kind": "List", "items": []}
        return {"kind": "Job", "metadata": {"name": "job"}, "status": {"failed": 1}}


def _dead_pod() -> dict[str, Any]:
    container = {"name": "dagster", "image": "i", "imageID": "i", "ready": False, "restartCount": 0, "state": ENDED}
    status = {"phase": "Failed", "containerStatuses": [container]}
    return {"metadata": {"name": POD}, "spec": {"containers": [{"name": "dagster"}]}, "status": status}


class _Handler(BaseHTTPRequestHandler):
    """Asks an Api what to answer."""

    def __init__(self, api: Api, *args: Any) -> None:
        self.api = api
        super().__init__(*args)

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = json.dumps(self.api.answer(self.command, urlsplit(self.path).path, body)).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815  the names that the server looks for

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    """Stand in for Kubernetes' API."""
    found = Api()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, found)) as server:
        found.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@dataclass(frozen=True)
class Daemon:
    """Dagster with the settings of the manifests, as its daemon has them, and where it finds Kubernetes."""

    instance: dg.DagsterInstance
    kubeconfig: Path
    api: Api

    def launch(self, hour: datetime) -> dg.DagsterRun:
        """Launch a load of an hour."""
        code = RepositoryPythonOrigin(
            executable_path=sys.executable,
            code_pointer=ModuleCodePointer("pipelines.orchestration.definitions", "defs", None),
            entry_point=["dagster"],
        )
        run = self.instance.create_run_for_job(
            defs.resolve_job_def("load"),
            tags={"dagster/partition": hour_key(hour)},
            job_code_origin=JobPythonOrigin(job_name="load", repository_origin=code),
        )
        self.instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
        return run


def home(folder: Path, api: Api) -> tuple[Path, Path]:
    """Make a DAGSTER_HOME of the manifests' dagster.yaml, but with the way to this Kubernetes; give it and that."""
    kubeconfig = folder / "kubeconfig"
    named = {"clusters": "cluster", "users": "user", "contexts": "context"}
    inner: dict[str, Any] = {
        "clusters": {"server": f"http://127.0.0.1:{api.port}"},
        "users": {},
        "contexts": {"cluster": "here", "user": "here"},
    }
    lists = {many: [{"name": "here", one: inner[many]}] for many, one in named.items()}
    kubeconfig.write_text(json.dumps({"current-context": "here", **lists}))
    settings = yaml.safe_load(manifest("dagster.yaml", "ConfigMap")["data"]["dagster.yaml"])
    settings["run_launcher"]["config"] |= {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(settings))
    return folder, kubeconfig


@pytest.fixture(scope="module")
def daemon(api: Api, postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Open Dagster with the settings of the manifests, in a database of its own."""
    database = f"dagster_{uuid4().hex[:12]}"
    postgres_server.create_databases([database])
    url = postgres_server.url(database).replace("postgresql:", "postgresql+psycopg2:")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_POSTGRES_URL", url)
        folder, kubeconfig = home(tmp_path_factory.mktemp("dagster"), api)
        environment.setenv("DAGSTER_HOME", str(folder))
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            yield Daemon(instance, kubeconfig, api)


@pytest.fixture(scope="module")
def job(daemon: Daemon) -> dict[str, Any]:
    """Launch a run; return its Job."""
    daemon.launch(RECEIVED)
    return daemon.api.jobs[-1]


def variables(job: dict[str, Any], home: str, lake_environment: dict[str, str]) -> dict[str, str]:
    """Return the environment that Kubernetes would make of a Job: its values, Secrets and ConfigMaps of this lake."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (shared,) = (source["configMapRef"]["name"] for source in container["envFrom"])
    assert shared == "wpp-lake-settings"
    given = dict(manifest("settings.yaml", "ConfigMap")["data"])
    known = lake_environment | {"DAGSTER_POSTGRES_URL": os.environ["DAGSTER_POSTGRES_URL"]}
    found = {name: known.get(name, "") for name in given}
    for each in container["env"]:
        key = each.get("valueFrom", {}).get("secretKeyRef", {})
        value = known.get(key["key"]) if key else each["value"]
        assert value is not None or key["optional"]
        if value is not None:
            found[each["name"]] = value
    return found | {"DAGSTER_HOME": home}


def test_a_runs_job_is_one_that_kubernetes_takes(job: dict[str, Any]) -> None:
    """Its schema knows each word; the pod may do as little as the manifests' own, and has no token."""
    for version in ("1.30", "1.37"):
        kubernetes_validate.validate(job, version, strict=True)
    spec = job["spec"]["template"]["spec"]
    code = manifest("code.yaml", "Deployment")["spec"]["template"]["spec"]
    assert spec["securityContext"] == code["securityContext"]
    assert spec["containers"][0]["securityContext"] == code["containers"][0]["securityContext"]
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    assert (spec["serviceAccountName"], job["spec"]["backoffLimit"]) == ("wpp-lake-run", 0)


def test_a_runs_job_has_dagsters_settings_mounted(job: dict[str, Any]) -> None:
    """The file of the ConfigMap, in a folder that can be written."""
    spec = job["spec"]["template"]["spec"]
    volumes = {each["name"]: each for each in spec["volumes"]}
    mounts = {each["mountPath"]: each for each in spec["containers"][0]["volumeMounts"]}
    folder = "/var/lib/wpp-lake/dagster"
    assert {path: "emptyDir" in volumes[mounts[path]["name"]] for path in mounts} == {
        folder: True,
        "/tmp": True,  # noqa: S108  the pod's own
        f"{folder}/dagster.yaml": False,
    }
    mounted = mounts[f"{folder}/dagster.yaml"]
    assert (mounted["subPath"], volumes[mounted["name"]]["configMap"]["name"]) == ("dagster.yaml", "wpp-lake-dagster")


def test_a_run_has_the_code_servers_secrets(job: dict[str, Any]) -> None:
    """But not those by which the lake tells others."""

    def secrets(container: dict[str, Any]) -> set[tuple[str, str]]:
        keys = [each["valueFrom"]["secretKeyRef"] for each in container["env"] if "valueFrom" in each]
        return {(key["name"], key["key"]) for key in keys}

    (run,) = job["spec"]["template"]["spec"]["containers"]
    (code,) = manifest("code.yaml", "Deployment")["spec"]["template"]["spec"]["containers"]
    telling = {("wpp-lake-pipelines", name) for name in ("HEARTBEAT_URL", "ALERT_WEBHOOK_URL")}
    assert secrets(run) == secrets(code) - telling


def test_a_runs_command_loads(daemon: Daemon, lake: Lake, lake_environment: dict[str, str]) -> None:
    """With the Job's variables and none beside them, and without any way to Kubernetes."""
    lake.land(line(event()))
    run = daemon.launch(RECEIVED)
    daemon.kubeconfig.unlink()
    job = daemon.api.jobs[-1]
    program, *words = job["spec"]["template"]["spec"]["containers"][0]["args"]
    env = variables(job, str(daemon.kubeconfig.parent), lake_environment)
    path = Path(sys.executable).with_name(program)
    done = subprocess.run([path, *words], env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = daemon.instance.get_run_by_id(run.run_id)
    assert found
    assert found.status == dg.DagsterRunStatus.SUCCESS
    assert lake.rows("select count(*) from whatsapp_events") == [(1,)]


def test_the_role_allows_what_the_launcher_asks(daemon: Daemon) -> None:
    """And nothing else: a Job's state, by which a run whose pod died has failed, and what is known of the pod."""
    run = daemon.launch(RECEIVED)
    launcher = daemon.instance.run_launcher
    begun = dg.DagsterEvent(event_type_value=dg.DagsterEventType.RUN_START.value, job_name=run.job_name)
    daemon.instance.report_dagster_event(begun, run.run_id)
    started = daemon.instance.get_run_by_id(run.run_id)
    assert started
    assert launcher.check_run_worker_health(started).status == WorkerStatus.FAILED
    assert "OOMKilled" in str(launcher.get_run_worker_debug_info(started))
    daemon.api.has_pods = False
    assert "could not find job" in str(launcher.get_run_worker_debug_info(started)).lower()
    daemon.api.has_pods = True
    assert launcher.terminate(run.run_id)
    rules = manifest("accounts.yaml", "Role")["rules"]
    allowed = {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert daemon.api.asked == allowed
