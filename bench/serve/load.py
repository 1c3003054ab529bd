"""Load by hey: so many requests of some clients, each of which asks again as soon as it is
answered.

A number of requests, and not a time: all sides do the same work, and no request is cut off and so
left out.
"""

from __future__ import annotations

import csv
import io
import math
import shutil
import statistics
import subprocess
import tempfile
from dataclasses import dataclass

from slimbake.errors import CheckError, SetupError

PATIENCE = 120  # seconds for one answer
LIMIT = 1800.0  # seconds for all of them
OK = "200"
_TIME, _STATUS, _OFFSET = "response-time", "status-code", "offset"


@dataclass(frozen=True, slots=True)
class Load:
    """What some clients got. Seconds; the latency of a request is that until all of its answer is
    there.
    """

    requests: int
    seconds: float  # from the first question to the last answer
    p50: float
    p99: float  # of fewer than a hundred requests: the slowest

    @property
    def throughput(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def tool() -> str:
    """What makes the load. Raises SetupError where it is not there."""
    if shutil.which("hey") is None:
        raise SetupError(
            "hey is not here, which makes the load", "Debian has it: apt-get install hey"
        )
    return "hey"


def load(port: int, path: str, body: bytes, clients: int, requests: int) -> Load:
    """Ask a service on loopback; `requests`: a multiple of `clients`.

    Raises CheckError where one request fails: a service that refuses quickly would look fast.
    """
    with tempfile.NamedTemporaryFile(prefix="slimbake-bench-") as file:
        file.write(body)
        file.flush()
        words = [
            "hey",
            "-n",
            str(requests),
            "-c",
            str(clients),
            "-m",
            "POST",
            "-T",
            "application/json",
        ]
        words += [
            "-t",
            str(PATIENCE),
            "-o",
            "csv",
            "-D",
            file.name,
            f"http://127.0.0.1:{port}{path}",
        ]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False)
        except subprocess.TimeoutExpired:
            raise CheckError(
                f"{path}: {requests} requests of {clients} clients take over {LIMIT:g} s"
            ) from None
    if done.returncode:
        raise SetupError("hey failed", done.stderr.strip() or done.stdout.strip())
    return parsed(done.stdout, path, clients, requests)


def parsed(said: str, path: str, clients: int, requests: int) -> Load:
    """What hey's table says; it leaves out requests that got no answer."""
    rows = list(csv.DictReader(io.StringIO(said)))
    held = [row for row in rows if row[_STATUS] == OK]
    if len(held) != requests:
        others = sorted({row[_STATUS] for row in rows} - {OK})
        status = f", {len(rows) - len(held)} with status {', '.join(others)}" if others else ""
        message = (
            f"{path}: of {requests} requests of {clients} clients {requests - len(held)}"
            f" failed{status}"
        )
        raise CheckError(message)
    times = sorted(float(row[_TIME]) for row in held)
    began = min(float(row[_OFFSET]) for row in held)
    ended = max(float(row[_OFFSET]) + float(row[_TIME]) for row in held)
    return Load(
        requests, ended - began, statistics.median(times), times[math.ceil(0.99 * requests) - 1]
    )


def count(seconds: float, clients: int, latency: float, least: int = 8) -> int:
    """How many requests take about so long, if they take turns: a multiple of `clients`, and
    `least` of each.

    `latency`: seconds that one takes alone.
    """
    return clients * max(least, math.ceil(seconds / (latency * clients)))
