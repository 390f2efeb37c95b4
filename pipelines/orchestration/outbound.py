"""Calls to services elsewhere, whose addresses may be secrets: nothing of them is told.

Belongs here: one HTTP request and why it didn't succeed. Not: when there is something to say (heartbeat, alerts).
"""

import urllib.request
from http.client import HTTPException
from urllib.error import HTTPError

import orjson

TIMEOUT_SECONDS = 5


def call(url: str, name: str, message: object = None) -> str | None:
    """Return why a URL doesn't answer with success, None if it does. A message is posted as JSON, else it is a GET."""
    body = None if message is None else orjson.dumps(message)
    headers = {"User-Agent": "wpp-lake", **({} if body is None else {"Content-Type": "application/json"})}
    try:
        request = urllib.request.Request(url, body, headers)  # noqa: S310  settings allow http(s) alone
        urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS).close()  # noqa: S310  the same
    except HTTPError as answer:
        answer.close()
        return f"{name} answers {answer.code}"
    except (OSError, HTTPException, ValueError) as error:
        return f"{name} doesn't answer: {type(error).__name__}"
    return None
