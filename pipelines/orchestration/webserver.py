"""Dagster's webserver, guarded: pages of other sites reach nothing of it, in whichever browser they are open.

`python -m pipelines.orchestration.webserver` takes the options of `dagster-webserver`. Belongs here: which requests are
refused, and the path /metrics. Not: who may use it, it has no login; what the metrics say (metrics).
"""

import os
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from dagster_webserver import app, cli
from dagster_webserver.webserver import DagsterWebserver
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from pipelines.orchestration.metrics import Metrics

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_PORT = re.compile(r":\d+$")


class Guard:
    """Answers 403 to every request, of HTTP or for a websocket, that a page of another site may have made.

    `named` are the hosts that count as its own beside the address that it listens at; one without a port, at any port.
    """

    def __init__(self, guarded: ASGIApp, named: frozenset[str]) -> None:
        self.guarded, self.named = guarded, named

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer why not."""
        if scope["type"] != "lifespan" and (reason := self._refusal(HTTPConnection(scope))):
            await PlainTextResponse(f"{reason}\n", status_code=403)(scope, receive, send)
        else:
            await self.guarded(scope, receive, send)

    def _refusal(self, request: HTTPConnection) -> str | None:
        """Return why the request is refused, if it is."""
        hosts, origins = ([value.lower() for value in request.headers.getlist(name)] for name in ("host", "origin"))
        if len(hosts) != 1 or not self._is_own(hosts[0], *request.scope["server"]):
            return f"This isn't the host {', '.join(hosts)}. DAGSTER_ALLOWED_HOSTS may name it."
        if not all(self._is_same(origin, hosts[0]) for origin in origins):
            return f"Pages of {', '.join(origins)} may ask nothing here. DAGSTER_ALLOWED_HOSTS may name their host."
        if not origins and _is_embedding(request):
            return "Pages of other sites may link to this one, and embed nothing of it."
        return None

    def _is_own(self, host: str, address: str, port: int) -> bool:
        """Tell whether the Host header names this server. It names the site whose DNS was rebound to lead here."""
        numbered = f"[{address}]" if ":" in address else address
        with_port = host if _PORT.search(host) else f"{host}:80"
        return with_port in {f"{name}:{port}" for name in (*LOOPBACK, numbered)} or self._is_named(host)

    def _is_same(self, origin: str, host: str) -> bool:
        """Tell whether a page of that origin is one of this server's."""
        scheme, _, origin_host = origin.partition("://")
        return scheme in {"http", "https"} and (origin_host == host or self._is_named(origin_host))

    def _is_named(self, host: str) -> bool:
        return not self.named.isdisjoint({host, _PORT.sub("", host)})


def _is_embedding(request: HTTPConnection) -> bool:
    """Tell whether a browser says that another site's page asks for something to show in itself: an image, a frame.

    Browsers send no Origin with these. One that follows a link asks for a document.
    """
    site, destination = (request.headers.get(f"sec-fetch-{name}") for name in ("site", "dest"))
    return site in {"cross-site", "same-site"} and destination != "document"


class GuardedWebserver(DagsterWebserver[Any, Any]):
    """Dagster's webserver behind the guard, with GraphQL by POST of JSON alone, and with the pipelines' metrics.

    No page can make a browser send that to another site, unless the site agrees first.
    """

    def __init__(self, named_hosts: frozenset[str], *args: Any, **kwargs: Any) -> None:
        self._named_hosts = named_hosts
        self._metrics: Metrics | None = None
        super().__init__(*args, **kwargs)

    def build_middleware(self) -> list[Middleware]:
        """Put the guard before everything else."""
        return [Middleware(Guard, named=self._named_hosts), *super().build_middleware()]

    def build_routes(self) -> list[BaseRoute]:
        """Put the metrics before Dagster's routes, of which the last takes every path; without its path prefix."""
        return [Route("/metrics", self.metrics_endpoint), *super().build_routes()]  # type: ignore[no-untyped-call]  # it is annotated nowhere

    async def metrics_endpoint(self, _: Request) -> Response:
        """Answer with the metrics in Prometheus' text format. What gathers them takes memory, once somebody scrapes."""
        from pipelines.orchestration.metrics import Metrics  # noqa: PLC0415  the same

        self._metrics = self._metrics or Metrics()
        return Response(await self._metrics.text(), media_type=CONTENT_TYPE_LATEST)

    def make_security_headers(self) -> dict[str, str]:
        """Forbid other sites to frame the pages, and so to lead a click onto a button of theirs."""
        return {**super().make_security_headers(), "X-Frame-Options": "SAMEORIGIN"}

    async def graphql_http_endpoint(self, request: Request) -> Response:
        """Answer GraphQL by POST of JSON, and the page to try it in by GET."""
        if request.method != "POST" and request.query_params:
            return PlainTextResponse("GraphQL is answered by POST.\n", status_code=405, headers={"Allow": "POST"})
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if request.method == "POST" and kind != "application/json":
            return PlainTextResponse("GraphQL is answered when sent as application/json.\n", status_code=415)
        answer: Response = await super().graphql_http_endpoint(request)
        return answer


def main() -> None:
    """Run `dagster-webserver` with the guarded webserver in the place of its own."""
    named = frozenset(os.environ.get("DAGSTER_ALLOWED_HOSTS", "").lower().replace(",", " ").split())
    app.DagsterWebserver = partial(GuardedWebserver, named)  # type: ignore[attr-defined, assignment]  # it has no other way in
    cli.main()  # type: ignore[no-untyped-call]  # it is annotated nowhere


if __name__ == "__main__":
    main()
