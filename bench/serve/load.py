"""Load by wrk: so many clients, each of which asks again as soon as it is answered, for some seconds."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from slimbake.errors import CheckError, SetupError

SCRIPT = Path(__file__).with_name("load.lua")
PATIENCE = 60  # seconds for one answer
GRACE = 30.0  # seconds to end in


@dataclass(frozen=True, slots=True)
class Load:
    """What some clients got. Seconds; the latency of a request is that until all of its answer is there."""

    requests: int
    seconds: float
    p50: float
    p99: float  # of fewer than a hundred requests: the slowest

    @property
    def throughput(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def version() -> str:
    """What tool it is. Raises SetupError where it is not there."""
    if shutil.which("wrk") is None:
        raise SetupError("wrk is not here, which makes the load", "Debian has it: apt-get install wrk")
    said = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False).stdout  # its code is 1
    return said.partition(" [")[0].strip()


def load(port: int, path: str, body: bytes, clients: int, seconds: int) -> Load:
    """Ask a service on loopback. Raises CheckError where one request fails: a figure would mean nothing."""
    with tempfile.NamedTemporaryFile(prefix="slimbake-bench-") as file:
        file.write(body)
        file.flush()
        words = ["wrk", "--threads", "1", "--connections", str(clients), "--duration", f"{seconds}s"]
        words += ["--timeout", f"{PATIENCE}s", "--script", str(SCRIPT), f"http://127.0.0.1:{port}{path}", "--"]
        try:
            done = subprocess.run(
                [*words, file.name], capture_output=True, text=True, timeout=seconds + PATIENCE + GRACE, check=False
            )
        except subprocess.TimeoutExpired:
            raise CheckError(f"{path} does not answer {clients} clients within {PATIENCE} s") from None
    if done.returncode:
        raise SetupError("wrk failed", done.stderr.strip() or done.stdout.strip())
    return parsed(done.stdout, path, clients)


def parsed(said: str, path: str, clients: int) -> Load:
    """What wrk's last line says."""
    found = json.loads(said.splitlines()[-1])
    if found["faults"] or not found["requests"]:
        raise CheckError(f"{path} failed {found['faults']} times and answered {found['requests']} to {clients} clients")
    micro = 1e6
    return Load(found["requests"], found["duration"] / micro, found["p50"] / micro, found["p99"] / micro)
