"""systemd, where it is this machine's service manager."""

from __future__ import annotations

from pathlib import Path

from slimbake.host import process
from slimbake.host.process import Completed


def systemd_runs() -> bool:
    """Whether systemd is the service manager here; the test of sd_booted(3)."""
    return Path("/run/systemd/system").is_dir()


def start_service(name: str) -> Completed:
    """Start a service, for at most 90 s; what systemctl says of it."""
    return process.execute(["systemctl", "start", name], timeout=90)


def service_log(name: str, lines: int = 8) -> str:
    """The last lines of a service's log; empty where the journal has none."""
    words = ["-u", name, "-n", str(lines), "--no-pager", "-o", "cat"]
    return process.execute(["journalctl", *words], timeout=20).last_lines()
