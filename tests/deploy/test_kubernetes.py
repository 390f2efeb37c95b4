"""The manifests of `deploy/kubernetes`: their shape, by Kubernetes' own schemas, and that they fit the code.

No cluster has ever seen them. What Dagster makes of them for a run is in test_kubernetes_runs.py.
"""

import re
import tomllib
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types
from project import ROOT, settings_in_code
from yamllint.config import YamlLintConfig
from yamllint.linter import run as lint

from pipelines.orchestration import code_server
from receiver import __main__ as receiver
from receiver.app import WebhookServer
from receiver.settings import ReceiverSettings
from receiver.writer import LandingWriter, open_store

FOLDER = ROOT / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
VERSIONS = ("1.30", "1.37")  # the first with what the manifests use, and the newest whose schemas there are
STYLE = """
extends: default
rules:
  comments: {min-spaces-from-content: 1}
  document-start: disable
  line-length: {max: 120}
"""
ITS_OWN = {"concurrency", "run_launcher", "run_monitoring"}
Manifest = dict[str, Any]
# The file of deploy/env with the same secrets, for each of a process' Secrets. Each process has those of its unit.
SECRETS = {
    "receiver": {"webhook", "receiver"},
    "code": {"webhook", "pipelines", "dagster"},
    "webserver": {"dagster", "metrics"},
    "daemon": {"dagster"},
    "migrate": {"migrate"},
}
# Which deploy/env/pipelines.env doesn't name, for not every lake has them.
NOT_EVERYWHERE = {"ERASURE_KEY", "ALERT_WEBHOOK_URL"}
SECRET = re.compile(r"SECRET|KEY|URL|PASSWORD|TOKEN")
OPEN = {"AWS_ENDPOINT_URL_S3", "WPP_LAKE_READYZ_URL"}  # addresses, without anything secret in them


@cache
def manifests() -> dict[tuple[str, str], Manifest]:
    """Return every manifest, by kind and name."""
    every = [each for path in FILES for each in yaml.safe_load_all(path.read_text()) if path.stem != "kustomization"]
    return {
        (each["kind"], each["metadata"].get("name") or each["metadata"]["generateName"].rstrip("-")): each
        for each in every
    }


def names(kind: str) -> list[str]:
    """Return the names of all manifests of a kind."""
    return [name for found, name in manifests() if found == kind]


def pod(process: str) -> Manifest:
    """Return the pod's specification of a process."""
    kind = "Job" if process == "migrate" else "Deployment"
    found: Manifest = manifests()[kind, f"wpp-lake-{process}"]["spec"]["template"]["spec"]
    return found


def container(process: str) -> Manifest:
    """Return the one container of a process."""
    (found,) = pod(process)["containers"]
    assert isinstance(found, dict)
    return found


def environment(process: str) -> dict[str, Any]:
    """Return a process' own variables: a value, or where it comes from."""
    return {each["name"]: each.get("value") or each["valueFrom"] for each in container(process)["env"]}


def secrets(process: str) -> set[tuple[str, str]]:
    """Return which keys of which Secrets a process is given."""
    refs = [source["secretKeyRef"] for source in environment(process).values() if isinstance(source, dict)]
    return {(ref["name"].removeprefix("wpp-lake-"), ref["key"]) for ref in refs}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", manifests(), ids="-".join)
def test_kubernetes_knows_every_word(manifest: tuple[str, str], version: str) -> None:
    """Its schema has each key, and each value is of the right kind."""
    kubernetes_validate.validate(manifests()[manifest], version, strict=True)


def test_a_misspelt_word_would_be_found() -> None:
    """The check of these tests can fail."""
    misspelt = {**manifests()["Service", "wpp-lake-code"], "spec": {"slector": {}}}
    with pytest.raises(kubernetes_validate.ValidationError, match="slector"):
        kubernetes_validate.validate(misspelt, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_linter_finds_nothing(path: Path) -> None:
    """No key twice, which would hide the first, and one style."""
    assert [str(problem) for problem in lint(path.read_text(), YamlLintConfig(STYLE), str(path))] == []


@pytest.mark.parametrize("path", [*FILES, ROOT / "deploy" / "Dockerfile"], ids=lambda path: path.name)
def test_the_first_lines_say_that_it_never_ran(path: Path) -> None:
    """Nobody takes them for tried."""
    said = path.read_text().partition("\napiVersion")[0].partition("\nFROM")[0]
    assert re.search(r"^# Checked offline .*Never (applied|built): there was no (cluster|engine)\.", said, re.MULTILINE)


def test_kustomization_has_every_file_but_the_migration() -> None:
    """What is to be applied is applied."""
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert sorted([*listed, "migrate.yaml", "kustomization.yaml"]) == [path.name for path in FILES]


def routes(*, admin: bool) -> set[str]:
    """Return the receiver's paths that answer GET, on its public port or on its other one."""
    env = environment("receiver")
    settings = ReceiverSettings(whatsapp_webhook_secret="x" * 16, receiver_admin_port=int(env["RECEIVER_ADMIN_PORT"]))
    server = WebhookServer(settings, open_store(settings))
    found = server._admin_routes if admin else server._routes  # noqa: SLF001  they are nowhere else
    return {path for path, (methods, _) in found.items() if "GET" in methods}


@pytest.mark.parametrize(
    ("probe", "path", "port"),
    [
        ("startupProbe", "/healthz", "http"),
        ("livenessProbe", "/healthz", "http"),
        ("readinessProbe", "/readyz", "admin"),
    ],
)
def test_the_receivers_probes_are_its_routes(probe: str, path: str, port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the port that has them. A restart doesn't hang on the store."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert container("receiver")[probe]["httpGet"] == {"path": path, "port": port}
    assert path in routes(admin=port == "admin")


def test_the_code_servers_probes_ask_what_it_answers() -> None:
    """The service of gRPC's health check that Dagster registers."""
    asked = {"port": 4000, "service": code_server._QUESTION.service}  # noqa: SLF001  the project's own question
    probes = ("startupProbe", "livenessProbe", "readinessProbe")
    assert [container("code")[probe]["grpc"] for probe in probes] == [asked] * 3


def listening(process: str) -> dict[str, int]:
    """Return a process' ports by name."""
    return {each["name"]: each["containerPort"] for each in container(process).get("ports", [])}


def option(process: str, name: str) -> str:
    """Return an option of a process' command."""
    words: list[str] = container(process)["command"]
    (value,) = (word.partition("=")[2] for word in words if word.startswith(f"--{name}="))
    return value


def test_processes_listen_at_their_ports() -> None:
    """And at every address of the pod."""
    env = environment("receiver")
    assert listening("receiver") == {"http": int(env["RECEIVER_PORT"]), "admin": int(env["RECEIVER_ADMIN_PORT"])}
    assert listening("code") == {"grpc": int(option("code", "port"))}
    assert listening("webserver") == {"http": int(option("webserver", "port"))}
    assert {env["RECEIVER_HOST"], option("code", "host"), option("webserver", "host")} == {"0.0.0.0"}  # noqa: S104  a pod has an address of its own


def labels(process: str) -> dict[str, str]:
    """Return the labels of a process' pods."""
    found: dict[str, str] = manifests()["Deployment", f"wpp-lake-{process}"]["spec"]["template"]["metadata"]["labels"]
    return found


@pytest.mark.parametrize("name", names("Service"))
def test_services_lead_to_ports_that_are_there(name: str) -> None:
    """Under the same number, and to the pods of that name."""
    process, spec = name.removeprefix("wpp-lake-"), manifests()["Service", name]["spec"]
    assert {each["targetPort"]: each["port"] for each in spec["ports"]} == listening(process)
    assert spec["selector"].items() <= labels(process).items()


@pytest.mark.parametrize("name", names("Deployment"))
def test_deployments_select_their_own_pods(name: str) -> None:
    """By a label that no other process has."""
    selected = manifests()["Deployment", name]["spec"]["selector"]["matchLabels"]
    others = {other for other in names("Deployment") if selected.items() <= labels(other[9:]).items()}
    assert others == {name}


def test_the_budget_keeps_two_of_three_receivers() -> None:
    """While nodes are drained, one may be away; its selector is the deployment's."""
    budget, deployment = (
        manifests()[kind, "wpp-lake-receiver"]["spec"] for kind in ("PodDisruptionBudget", "Deployment")
    )
    assert (deployment["replicas"], budget["maxUnavailable"]) == (3, 1)
    assert budget["selector"] == deployment["selector"]
    assert {each["labelSelector"] == budget["selector"] for each in pod("receiver")["topologySpreadConstraints"]} == {
        True
    }


def test_there_is_one_daemon() -> None:
    """Not two for a moment, either."""
    spec = manifests()["Deployment", "wpp-lake-daemon"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_a_receiver_has_time_to_end() -> None:
    """After the pause before SIGTERM: for its last answers, and for its last files."""
    pause = container("receiver")["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = pause + receiver.SHUTDOWN_SECONDS + LandingWriter.deadline_seconds
    assert pod("receiver")["terminationGracePeriodSeconds"] > needed


def test_policies_open_ports_that_are_there() -> None:
    """Between pods that are there. What has no policy of its own takes nothing."""
    for name in names("NetworkPolicy"):
        spec = manifests()["NetworkPolicy", name]["spec"]
        process = spec["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name", "").removeprefix("wpp-lake-")
        opened = {port["port"] for rule in spec.get("ingress", []) for port in rule["ports"]}
        assert opened == set(listening(process).values() if process else [])
        peers = [peer for rule in spec.get("ingress", []) for peer in rule["from"] if "podSelector" in peer]
        assert {peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for peer in peers} <= set(
            names("Deployment")
        )
    assert manifests()["NetworkPolicy", "wpp-lake-nothing"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


def test_only_dagsters_own_reach_the_code_server() -> None:
    """Whoever reaches it runs code."""
    (rule,) = manifests()["NetworkPolicy", "wpp-lake-code"]["spec"]["ingress"]
    peers = [peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for peer in rule["from"]]
    assert peers == ["wpp-lake-webserver", "wpp-lake-daemon"]


@pytest.mark.parametrize("process", SECRETS)
def test_every_variable_is_a_setting(process: str) -> None:
    """A process would pass over one that nothing reads."""
    assert set(environment(process)) - settings_in_code() == set()


def test_the_shared_settings_are_settings() -> None:
    """And none of them is secret."""
    shared = manifests()["ConfigMap", "wpp-lake-settings"]["data"]
    assert set(shared) - settings_in_code() == set()
    assert {name for name in shared if SECRET.search(name)} <= OPEN


@pytest.mark.parametrize("process", SECRETS)
def test_each_process_is_given_its_own_secrets(process: str) -> None:
    """Those that its unit has on a server, in Secrets named as the files there, and no value of any."""
    expected = {
        (file, name)
        for file in SECRETS[process]
        for name in re.findall(r"^([A-Z][A-Z0-9_]+)=", (ROOT / f"deploy/env/{file}.env").read_text(), re.MULTILINE)
        if SECRET.search(name) and name not in OPEN
    }
    assert {secret for secret in secrets(process) if secret[1] not in NOT_EVERYWHERE} == expected
    values = {name for name, value in environment(process).items() if isinstance(value, str)}
    assert {name for name in values if SECRET.search(name)} <= OPEN


@pytest.mark.parametrize("process", SECRETS)
def test_each_command_is_there(process: str) -> None:
    """A module of the project, or a command that it or Dagster installs."""
    program, *words = container(process)["command"]
    if program == "python":
        assert words[0] == "-m"
        assert find_spec(words[1])
    else:
        assert program in {script.name for script in entry_points(group="console_scripts")}
    assert process != "migrate" or f"## `wpp-lake {words[0]}" in (ROOT / "docs/cli.md").read_text()


@pytest.mark.parametrize("process", SECRETS)
def test_no_process_may_do_more_than_it_needs(process: str) -> None:
    """Not root, nothing written but what is mounted for it, no capability, no token but the launcher's."""
    spec, own = pod(process), container(process)["securityContext"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is (process in {"daemon", "webserver"})
    assert spec["enableServiceLinks"] is False  # a service's name would be a variable
    assert spec["serviceAccountName"] == f"wpp-lake-{process}"
    assert spec["serviceAccountName"] in names("ServiceAccount")


def test_no_service_is_a_setting() -> None:
    """Links are off; should they be on, the names still are no settings."""
    variables = {f"{name}_PORT".upper().replace("-", "_") for name in names("Service")}
    assert variables & settings_in_code() == set()


@pytest.mark.parametrize("process", SECRETS)
def test_what_is_mounted_is_there(process: str) -> None:
    """Each mount has its volume, and each file of a ConfigMap is in it."""
    volumes = {each["name"]: each for each in pod(process).get("volumes", [])}
    for mount in container(process).get("volumeMounts", []):
        source = volumes[mount["name"]].get("configMap")
        assert source is None or mount["subPath"] in manifests()["ConfigMap", source["name"]]["data"]


def test_all_are_one_image() -> None:
    """Of this version; a run's too."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {container(process)["image"] for process in SECRETS}
    assert images | {instance()["run_launcher"]["config"]["job_image"]} == {f"wpp-lake:{version}"}


def instance() -> dict[str, Any]:
    """Return the dagster.yaml of the ConfigMap."""
    found: dict[str, Any] = yaml.safe_load(manifests()["ConfigMap", "wpp-lake-dagster"]["data"]["dagster.yaml"])
    return found


@pytest.mark.parametrize("key", sorted(set(yaml.safe_load((ROOT / "dagster.yaml").read_text())) - ITS_OWN))
def test_dagsters_settings_are_the_projects(key: str) -> None:
    """All but how runs start and how many, which are a cluster's own."""
    assert instance()[key] == yaml.safe_load((ROOT / "dagster.yaml").read_text())[key]


def test_dagster_has_no_setting_beside_them() -> None:
    """Whoever adds one to the one file adds it to the other."""
    assert set(instance()) == set(yaml.safe_load((ROOT / "dagster.yaml").read_text())) | {"run_launcher"}


def test_the_workspace_is_the_code_servers_service() -> None:
    """Under the name by which sensors and history know it."""
    workspace = yaml.safe_load(manifests()["ConfigMap", "wpp-lake-dagster"]["data"]["workspace.yaml"])
    (server,) = (each["grpc_server"] for each in workspace["load_from"])
    (port,) = (each["port"] for each in manifests()["Service", server["host"]]["spec"]["ports"])
    assert (server["port"], server["location_name"]) == (port, option("code", "location-name"))


def test_the_role_is_bound_to_accounts_that_are_there() -> None:
    """To those whose pods have a token."""
    bound = manifests()["RoleBinding", "wpp-lake-launcher"]
    assert [subject["name"] for subject in bound["subjects"]] == ["wpp-lake-daemon", "wpp-lake-webserver"]
    assert bound["roleRef"]["name"] in names("Role")
