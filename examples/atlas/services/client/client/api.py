"""Calls to the api."""

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

ALIVE = 5.0  # seconds within which an api that is up tells so
ANSWER = 90.0  # seconds that an answer may take, which is written word by word


class ApiError(Exception):
    """The api refused or failed the request; the text is its own; an outage is a service's behind
    it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.is_outage = code == "upstream_unavailable"


class UnreachableError(Exception):
    """Nothing at the address speaks like the api."""


def call(url: str, path: str, body: object = None) -> dict[str, Any]:
    """POST `body` as JSON, or GET where there is none; raises ApiError or UnreachableError."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url.rstrip("/") + path, data, headers)  # noqa: S310  # checked by the caller
    # Without the proxies of the environment: the api is a neighbour.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        try:
            with opener.open(request, timeout=ALIVE if data is None else ANSWER) as response:
                return dict(json.load(response))
        except urllib.error.HTTPError as answer:
            with answer:
                error = json.load(answer)["error"]
            raise ApiError(str(error["code"]), str(error["message"])) from None
    except urllib.error.URLError as error:
        raise UnreachableError(f"no api at {url}: {error.reason}") from None
    except (OSError, HTTPException) as error:
        raise UnreachableError(f"no api at {url}: {error or type(error).__name__}") from None
    except (ValueError, KeyError, TypeError):
        raise UnreachableError(f"what answers at {url} is not the api") from None
