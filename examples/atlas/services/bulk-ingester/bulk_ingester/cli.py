"""The command line of the job."""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from atlas_common import logs, settings
from atlas_common.settings import SettingsError, Url
from atlas_common.upstream import Upstream, open_client
from atlas_common.web import ServiceError
from bulk_ingester.cursor import CheckpointError, Cursor
from bulk_ingester.job import Job, deliver_to

log = logging.getLogger(__name__)

DONE, SOME_BAD, USAGE, UNREACHABLE = 0, 1, 2, 3


@dataclass(frozen=True, kw_only=True)
class Settings:
    """EMBEDDING_URL and STORAGE_URL."""

    embedding_url: Url = "http://embedding:8001"
    storage_url: Url = "http://storage:8002"


def main(
    argv: Sequence[str] | None = None, transport: httpx.AsyncBaseTransport | None = None
) -> int:
    """Run the job and print its result as JSON.

    Gives the exit code: 0 all stored, 1 some lines bad, 2 usage, 3 a service failed.
    """
    arguments = _parser().parse_args(argv)
    logs.configure("bulk-ingester")
    try:
        chosen = settings.read(Settings)
        with _open(arguments.file) as source:
            cursor = (
                Cursor.resume(arguments.checkpoint, source) if arguments.checkpoint else Cursor()
            )
            return asyncio.run(_run(chosen, source, cursor, arguments, transport))
    except (SettingsError, CheckpointError, OSError) as error:
        log.error("%s", error)
        return USAGE


async def _run(
    chosen: Settings,
    source: BinaryIO,
    cursor: Cursor,
    arguments: argparse.Namespace,
    transport: httpx.AsyncBaseTransport | None,
) -> int:
    skipped = cursor.lines
    if skipped:
        log.info("resuming behind line %d", skipped)
    async with open_client(transport) as client:
        embedding = Upstream("embedding", chosen.embedding_url, client)
        storage = Upstream("storage", chosen.storage_url, client)
        job = Job(deliver_to(embedding, storage), cursor, arguments.batch, arguments.checkpoint)
        code = DONE
        try:
            await job.run(source)
        except ServiceError as error:
            log.error("stopped: %s", error.message)
            code = UNREACHABLE
    print(json.dumps({"stored": job.stored, "skipped": skipped, "bad": cursor.bad}))  # noqa: T201  # the result
    return code or (SOME_BAD if cursor.bad else DONE)


def _open(name: str) -> BinaryIO | nullcontext[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bulk_ingester",
        description='Store JSON lines {"id", "text"} with their embeddings.',
        epilog="exit: 0 all stored, 1 some lines bad, 2 usage, 3 a service failed",
    )
    parser.add_argument("file", nargs="?", default="-", help="the input; - (the default) is stdin")
    parser.add_argument(
        "--batch", type=_batch, default=16, metavar="N", help="documents a request, 1 to 256 (16)"
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="PATH",
        help="keep here how far the input was stored, and go on from there",
    )
    return parser


def _batch(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 256:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be 1 to 256, got {text!r}")
