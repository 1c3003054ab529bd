"""The command line: results on stdout, everything else on stderr."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from client import show
from client.api import ApiError, UnreachableError, call
from client.documents import read

DONE, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3
BATCH = 64  # documents a request


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run one command.

    Gives the exit code: 0 done, 1 refused or some lines bad, 2 usage, 3 the api or what is behind
    it is down.
    """
    parser = _parser(environ.get("API_URL", "http://api:8000"))
    arguments = parser.parse_args(argv)
    if not arguments.url.startswith(("http://", "https://")):
        parser.error(
            f"--url or API_URL must be an address such as http://api:8000, got {arguments.url!r}"
        )
    try:
        result: dict[str, Any] = arguments.run(arguments)
    except (ApiError, UnreachableError, OSError) as error:
        _tell(str(error))
        if isinstance(error, OSError):
            return USAGE
        return FAILED if isinstance(error, ApiError) and not error.is_outage else UNREACHABLE
    text = json.dumps(result, ensure_ascii=False) if arguments.json else arguments.show(result)
    sys.stdout.write(text + "\n")
    return FAILED if result.get("bad") else DONE


def _ingest(arguments: argparse.Namespace) -> dict[str, Any]:
    stored = bad = 0
    batch: list[dict[str, str]] = []
    with _open(arguments.file) as source:
        for number, found in read(source):
            if isinstance(found, str):
                bad += 1
                _tell(f"line {number}: {found}")
                continue
            batch.append(found)
            if len(batch) == BATCH:
                stored += call(arguments.url, "/ingest", {"documents": batch})["stored"]
                batch = []
                _tell(f"{stored} stored")
    if batch:
        stored += call(arguments.url, "/ingest", {"documents": batch})["stored"]
    return {"stored": stored, "bad": bad}


def _search(arguments: argparse.Namespace) -> dict[str, Any]:
    return call(arguments.url, "/search", {"query": arguments.query, "k": arguments.k})


def _ask(arguments: argparse.Namespace) -> dict[str, Any]:
    return call(arguments.url, "/ask", {"question": arguments.question, "k": arguments.k})


def _status(arguments: argparse.Namespace) -> dict[str, Any]:
    return call(arguments.url, "/health")


def _parser(url: str) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--json", action="store_true", help="print the answer as JSON")
    options.add_argument(
        "--url", default=url, help=f"the api's address; API_URL sets the default ({url})"
    )
    parser = argparse.ArgumentParser(
        prog="client",
        description="Ask atlas.",
        epilog="exit: 0 done, 1 refused or some lines bad, 2 usage, 3 a service is down",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    ingest = commands.add_parser(
        "ingest", parents=[options], help='store JSON lines {"id", "text"}'
    )
    ingest.add_argument("file", help="the input; - is stdin")
    ingest.set_defaults(run=_ingest, show=show.ingested)

    search = commands.add_parser("search", parents=[options], help="find documents")
    search.add_argument("query")
    search.add_argument("-k", type=int, default=5, help="how many (5)")
    search.set_defaults(run=_search, show=show.hits)

    ask = commands.add_parser(
        "ask", parents=[options], help="have a question answered from the documents"
    )
    ask.add_argument("question")
    ask.add_argument("-k", type=int, default=3, help="from how many documents (3)")
    ask.set_defaults(run=_ask, show=show.answer)

    status = commands.add_parser("status", parents=[options], help="whether the api is up")
    status.set_defaults(run=_status, show=show.status)
    return parser


def _open(name: str) -> BinaryIO | nullcontext[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb")


def _tell(text: str) -> None:
    sys.stderr.write(f"client: {text}\n")
