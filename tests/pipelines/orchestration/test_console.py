"""The guard of Dagster's webserver: its own pages and programs reach all of it, pages of other sites nothing."""

import json
import re
import urllib.request
from collections.abc import Iterator
from urllib.parse import quote

import aiohttp
import dagster as dg
import pytest
from webserver_process import Answer, Webserver, serving

REPOSITORY = {"repositoryLocationName": "location.py", "repositoryName": "__repository__"}
LAUNCH = """mutation Launch($executionParams: ExecutionParams!) { launchRun(executionParams: $executionParams) {
    __typename ... on LaunchRunSuccess { run { jobName } } ... on PythonError { message } } }"""
RUN = {"executionParams": {"selector": {**REPOSITORY, "pipelineName": "nothing"}, "runConfigData": {}}}
BACKFILL = """mutation Backfill($backfillParams: LaunchBackfillParams!) {
    launchPartitionBackfill(backfillParams: $backfillParams) { __typename ... on PythonError { message } } }"""
DATES = {"backfillParams": {"assetSelection": [{"path": ["numbers"]}], "partitionNames": ["2026-05-21", "2026-05-22"]}}
BY_GET = f"/graphql?query={quote(LAUNCH)}&variables={quote(json.dumps(RUN))}"
IN_JSON = {"Content-Type": "application/json"}
IMAGE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
FRAME = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


class Console(Webserver):
    """The webserver, with what its page does."""

    def click(self, host: str, query: str, variables: object) -> Answer:
        """Send a mutation as the page at that host does when a button is clicked."""
        own = {
            "Host": host,
            "Origin": f"http://{host}",
            "Referer": f"http://{host}/jobs",
            "Sec-Fetch-Site": "same-origin",
        }
        return self.ask("POST", "/graphql", json.dumps({"query": query, "variables": variables}), **own, **IN_JSON)

    def launched(self) -> tuple[int, int]:
        """Return how many runs and backfills there are."""
        return self.instance.get_runs_count(), len(self.instance.get_backfills())


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """Run the webserver with a small code location; two more hosts are its own."""
    hosts = "Lake.example.org, console.example.org:8443"
    with serving(tmp_path_factory.mktemp("console"), DAGSTER_ALLOWED_HOSTS=hosts) as served:
        yield Console(*served)


@pytest.mark.parametrize("host", ["rebound.example.net", "rebound.example.net:{port}", "127.0.0.1:1", "localhost", ""])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/server_info"),
        ("GET", "/metrics"),
        ("GET", "/graphql"),
        ("GET", "/logs/a/b.err"),
        ("GET", "/download_debug/a"),
        ("GET", "/favicon.png"),
        ("POST", "/graphql"),
        ("POST", "/report_asset_materialization/numbers"),
    ],
)
def test_a_request_to_another_host_is_refused(console: Console, method: str, path: str, host: str) -> None:
    """As after rebinding, when the name of somebody's site leads here."""
    body = json.dumps({"query": LAUNCH, "variables": RUN}) if method == "POST" else None
    before = console.launched()
    assert console.ask(method, path, body, Host=host.format(port=console.port), **IN_JSON).status == 403
    assert console.launched() == before


def test_a_refusal_names_the_host_and_the_setting(console: Console) -> None:
    expected = "This isn't the host lake.example.net. DAGSTER_ALLOWED_HOSTS may name it.\n"
    assert console.ask("GET", "/", Host="lake.example.net").text == expected


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example.net", "null", "http://localhost:{port}", "http://127.0.0.1:1", "http://127.0.0.1",
     "chrome-extension://127.0.0.1:{port}", "http://127.0.0.1:{port}.example.net", "http://lake.example.org.example.net"],
)  # fmt: skip
def test_a_page_of_another_origin_launches_nothing(console: Console, origin: str) -> None:
    """Whatever it sends; of another port of this machine, too."""
    foreign, before = {"Origin": origin.format(port=console.port)}, console.launched()
    body = json.dumps({"query": LAUNCH, "variables": RUN})
    assert console.ask("POST", "/graphql", body, **foreign, **IN_JSON).status == 403
    assert console.ask("POST", "/graphql", body, **foreign, Content_Type="text/plain").status == 403
    assert console.ask("GET", BY_GET, **foreign).status == 403
    assert console.ask("POST", "/report_asset_materialization/numbers", **foreign).status == 403
    assert console.launched() == before
    assert console.instance.get_latest_materialization_event(dg.AssetKey("numbers")) is None


@pytest.mark.parametrize("path", [BY_GET, BY_GET.replace("?", "%0A?"), BY_GET.replace("graphql", "%67raphql")])
@pytest.mark.parametrize("accepted", ["image/*", "*/*", "text/html"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_mutation_by_get_is_refused(console: Console, method: str, accepted: str, path: str) -> None:
    """As of an `<img>`, of a browser that says nothing of whose page it is in."""
    before = console.launched()
    answer = console.ask(method, path, Accept=accepted)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert console.launched() == before


def test_a_question_by_get_is_refused(console: Console) -> None:
    assert console.ask("GET", "/graphql?query={version}").status == 405


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "text/plain; application/json", "application/x-www-form-urlencoded", "multipart/form-data", ""],
)
def test_a_form_is_refused(console: Console, content_type: str) -> None:
    """What a page can have sent to any site without asking it first, also where no Origin is sent."""
    before = console.launched()
    body = json.dumps({"query": LAUNCH, "variables": RUN})
    assert console.ask("POST", BY_GET, body, Content_Type=content_type).status == 415
    assert console.launched() == before


@pytest.mark.parametrize(("as_sent_for", "expected"), [(IMAGE, 403), (FRAME, 403), (LINK, 200)])
def test_other_sites_may_link_and_not_embed(console: Console, as_sent_for: dict[str, str], expected: int) -> None:
    assert console.ask("GET", "/", **as_sent_for).status == expected


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "LOCALHOST:{port}",
                                  "lake.example.org", "lake.example.org:444", "console.example.org:8443"])  # fmt: skip
def test_its_own_page_is_answered(console: Console, host: str) -> None:
    answer = console.click(host.format(port=console.port), "{version}", {})
    assert (answer.status, json.loads(answer.text)) == (200, {"data": {"version": dg.__version__}})


def test_its_own_page_launches_a_run(console: Console) -> None:
    runs, backfills = console.launched()
    answer = console.click(f"127.0.0.1:{console.port}", LAUNCH, RUN)
    launched = {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"jobName": "nothing"}}}
    assert json.loads(answer.text) == {"data": launched}
    assert console.launched() == (runs + 1, backfills)


def test_its_own_page_launches_a_backfill(console: Console) -> None:
    runs, backfills = console.launched()
    answer = console.click(f"localhost:{console.port}", BACKFILL, DATES)
    assert json.loads(answer.text) == {"data": {"launchPartitionBackfill": {"__typename": "LaunchBackfillSuccess"}}}
    assert console.launched() == (runs, backfills + 1)


def test_a_page_behind_a_proxy_that_renames_the_host_is_its_own(console: Console) -> None:
    answer = console.ask("POST", "/graphql", '{"query": "{version}"}', Origin="https://lake.example.org", **IN_JSON)
    assert answer.status == 200


def test_a_program_asks_by_post_without_an_origin(console: Console) -> None:
    answer = console.ask("POST", "/graphql", '{"query": "{version}"}', Content_Type="application/json; charset=utf-8")
    assert json.loads(answer.text) == {"data": {"version": dg.__version__}}


def test_a_program_reports_a_materialisation(console: Console) -> None:
    answer = console.ask("POST", "/report_asset_materialization/reported")
    assert answer.status == 200
    assert console.instance.get_latest_materialization_event(dg.AssetKey("reported")) is not None


def test_the_page_loads_and_no_other_site_frames_it(console: Console) -> None:
    answer = console.ask("GET", "/locations", Accept="text/html")
    assert (answer.status, answer.headers["X-Frame-Options"]) == (200, "SAMEORIGIN")
    assert '<div id="__next">' in answer.text


def test_the_page_to_try_graphql_loads(console: Console) -> None:
    answer = console.ask("GET", "/graphql", Accept="text/html")
    assert answer.status == 200
    assert "<title>GraphiQL</title>" in answer.text


def test_the_metrics_say_that_no_lake_is_up_where_the_webserver_has_no_settings_of_one(console: Console) -> None:
    answer = console.ask("GET", "/metrics")
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (200, "text/plain")
    assert re.findall(r"^wpp_lake_\w+ .*$", answer.text, re.MULTILINE) == ["wpp_lake_up 0.0"]
    assert console.ask("POST", "/metrics").status == 405


def test_the_question_whether_it_is_ready_is_answered(console: Console) -> None:
    """As `up` and `wpp-lake status` ask."""
    with urllib.request.urlopen(f"http://127.0.0.1:{console.port}/server_info", timeout=30) as answer:
        assert json.load(answer)["dagster_version"] == dg.__version__


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "lake.example.org"])
async def test_its_own_page_subscribes(console: Console, host: str) -> None:
    own = host.format(port=console.port)
    headers = {"Host": own, "Origin": f"http://{own}"}
    address = f"http://127.0.0.1:{console.port}/graphql"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(address, protocols=["graphql-ws"], headers=headers) as socket,
    ):
        await socket.send_json({"type": "connection_init"})
        assert await socket.receive_json(timeout=30) == {"type": "connection_ack"}
        assert socket.protocol == "graphql-ws"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example.net", "Origin": "http://rebound.example.net"},
        {"Origin": "https://evil.example.net"},
        {"Origin": "null"},
    ],
)
async def test_a_page_of_another_site_gets_no_websocket(console: Console, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(
                f"http://127.0.0.1:{console.port}/graphql", protocols=["graphql-ws"], headers=headers
            )
    assert refused.value.status == 403
