"""The one dockerd that slimbake starts itself, where no service manager does, and stops again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from slimbake.console import Console
from slimbake.docker import rooted
from slimbake.errors import SetupError
from slimbake.host import process, systemd
from slimbake.host.apt import system_path
from slimbake.host.files import state_folder, write_atomically

SYSTEM_CONFIG = Path("/etc/docker/daemon.json")
# seconds: a daemon that ends is noticed at once, so this is for one that hangs
_PATIENCE = 600.0
_STORE = "containerd-snapshotter"


@dataclass(frozen=True, slots=True)
class StartedDaemon:
    """The dockerd that we started: enough to recognise it should its pid be reused."""

    pid: int
    # Clock ticks between boot and its start: field 22 of /proc/PID/stat.
    ticks: int


def configured(existing: Mapping[str, Any]) -> dict[str, Any]:
    """A daemon's configuration with the containerd image store on, unless it says itself what it
    wants.
    """
    features = {_STORE: True, **existing.get("features", {})}
    return {**existing, "features": features}


def configure_system() -> None:
    """Write a configuration with the containerd image store for the service that is about to be
    installed.

    One that exists is left as it is.
    """
    if not SYSTEM_CONFIG.exists():
        write_atomically(SYSTEM_CONFIG, _json(configured({})))


def start_docker_service(answers: Callable[[], bool], console: Console) -> None:
    """Have systemd start Docker's service.

    Raises SetupError with the log's last lines when it does not answer.
    """
    console.say("starting the Docker service")
    done = systemd.start_service("docker")
    if done.ok and _wait(answers, lambda: True):
        return
    raise SetupError(
        f"the Docker service does not start:\n{systemd.service_log('docker') or done.last_lines()}",
        "see journalctl -u docker",
    )


def start_daemon(answers: Callable[[], bool], console: Console) -> None:
    """Start dockerd with the containerd image store, to run on after us, and wait until it answers.

    Its configuration is our own file: what the system's says, and the store. Raises SetupError with
    the log's last lines when it ends, or never answers.
    """
    folder = state_folder()
    config, log = folder / "dockerd.json", folder / "dockerd.log"
    if ours() and _wait(answers, lambda: ours() is not None):
        return
    write_atomically(config, _json(configured(_system_config())))
    program = shutil.which("dockerd", path=system_path())
    if program is None:
        raise SetupError(
            "the Docker client is installed, but no dockerd",
            "install Docker's engine, or set DOCKER_HOST",
        )
    console.say(f"starting dockerd (log: {log})")
    start = (sys.executable, "-I", rooted.__file__, program)
    daemon = process.detach([*start, "--config-file", config], log, env={"PATH": system_path()})
    ticks = _ticks(daemon.pid)
    if ticks is not None:
        write_atomically(_record(), _json(asdict(StartedDaemon(daemon.pid, ticks))))
    if not _wait(answers, lambda: daemon.running):
        fate = "does not answer" if daemon.running else "ended"
        raise SetupError(f"dockerd {fate}:\n{_last_lines(log)}", f"the whole log: {log}")


def ours() -> StartedDaemon | None:
    """The dockerd that we started, if it still runs and runs here."""
    try:
        started = StartedDaemon(**json.loads(_record().read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return started if _ticks(started.pid) == started.ticks and _same_root(started.pid) else None


def stop_daemon(console: Console, patience: float = 120.0) -> bool:
    """End the dockerd that we started, and no other; false where there is none. `patience` is in
    seconds.

    Raises SetupError when it does not end.
    """
    started = ours()
    if started is None:
        return False
    console.say(f"stopping dockerd ({started.pid})")
    with contextlib.suppress(ProcessLookupError):
        os.kill(started.pid, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while _ticks(started.pid) == started.ticks:
        if time.monotonic() > deadline:
            raise SetupError(
                f"dockerd ({started.pid}) does not end", "see its log in the state folder"
            )
        time.sleep(0.1)
    _record().unlink(missing_ok=True)
    return True


def _record() -> Path:
    return state_folder() / "dockerd.started.json"


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


def _system_config() -> Mapping[str, Any]:
    try:
        existing = json.loads(SYSTEM_CONFIG.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise SetupError(
            f"{SYSTEM_CONFIG} is not JSON: {error}", "fix it; dockerd would refuse it too"
        ) from None
    if not isinstance(existing, dict):
        raise SetupError(
            f"{SYSTEM_CONFIG} holds no JSON object", "fix it; dockerd would refuse it too"
        )
    return existing


def _wait(answers: Callable[[], bool], alive: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while not answers():
        if not alive() or time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _ticks(pid: int) -> int | None:
    """When a process started, or None when it has ended (a zombie has)."""
    try:
        # The name, in parentheses, may hold spaces: count from the last one.
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else int(rest[18])


def _same_root(pid: int) -> bool:
    """Whether a process sees the same file system as we do: its number may come from outside our
    chroot.
    """
    try:
        return Path(f"/proc/{pid}/root").samefile("/")
    except OSError:
        return False


def _last_lines(log: Path, count: int = 8) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([line for line in lines if line.strip()][-count:])
