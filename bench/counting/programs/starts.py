"""Starts a service in its container, and measures it until its port listens or it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from slimbake.inside.check.processes import (
    cpu_seconds,
    descendants,
    listeners,
    process_status,
)

SECONDS = 120  # in which it starts


def peak_memory(pid: int) -> int:
    """Resident bytes of a process and all its descendants: the sum of their peaks."""
    tree = (process_status(pid), *descendants(pid).values())
    return sum(int(status.get("VmHWM", "0").split()[0]) * 1024 for status in tree)


def main() -> None:
    """The program `starts`: `command` and `port` on standard input; the last line of output is JSON:
    seconds, processor seconds, and bytes of memory.
    """
    asked = json.load(sys.stdin)
    began = time.monotonic()
    service = subprocess.Popen(asked["command"], stdout=2, start_new_session=True)
    cpu = memory = 0.0
    while service.poll() is None and time.monotonic() < began + SECONDS:
        cpu = max(cpu, cpu_seconds(service.pid))
        memory = max(memory, peak_memory(service.pid))
        if asked["port"] in listeners():
            break
        time.sleep(0.005)
    seconds = time.monotonic() - began
    if service.poll() is None:
        cpu = cpu_seconds(service.pid)
        os.killpg(service.pid, signal.SIGKILL)
    sys.stdout.write(json.dumps({"seconds": seconds, "cpu": cpu, "memory": memory}) + "\n")
