"""A Docker engine on a machine that has none: installed by apt, and started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tools.bare import apt

DOCKER = ("docker-ce", "docker-ce-cli", "containerd.io", "docker-buildx-plugin")
DEBIAN = ("docker.io", "docker-cli", "docker-buildx")
COMPOSE = ("docker-compose-plugin", "docker-compose-v2", "docker-compose")
SETTINGS = Path("/etc/docker/daemon.json")
OURS = Path("/run/slimbake-dockerd.json")
STORE = {"features": {"containerd-snapshotter": True}}
PATIENCE = 600.0  # seconds
PLUGINS = ("buildx", "compose")


def setup() -> None:
    """Leave an engine that answers as it is; install what is missing, and start what does not run.

    Installing needs apt and root. Exits with what failed.
    """
    if not all(map(has_plugin, PLUGINS)):
        if os.geteuid() or not Path("/usr/bin/apt-get").exists():
            sys.exit("install Docker, buildx and Compose: this is not root on Debian or Ubuntu")
        install()
    if not answers():
        start()


def install() -> None:
    """Install Docker from its own repository where apt knows that, else from the distribution's."""
    apt.update()
    own = apt.available(DOCKER)
    packages = own if len(own) == len(DOCKER) else apt.available(DEBIAN)
    if not _on_path("dockerd"):
        _write(SETTINGS)
    apt.install(*packages, *apt.available(COMPOSE)[:1], "iptables", "ca-certificates")


def start() -> None:
    """Start the service where systemd runs, else dockerd, which runs on after us.

    A dockerd that we start has the containerd image store, which attestations and images of several
    platforms need. Where nobody has configured it, it gets a file of ours: the machine's own stays.
    """
    log = Path("/var/log/dockerd.log")
    if Path("/run/systemd/system").is_dir():
        subprocess.run(("systemctl", "start", "docker"), check=True)
        daemon = None
    else:
        print(f"starting dockerd (log: {log})", file=sys.stderr)
        settings = SETTINGS if SETTINGS.exists() else OURS
        _write(settings)
        with log.open("ab") as out:
            daemon = subprocess.Popen(
                ("dockerd", "--config-file", settings),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, "PATH": apt.system_path()},
                start_new_session=True,
            )
    ends = time.monotonic() + PATIENCE
    while not answers():
        if (daemon and daemon.poll() is not None) or time.monotonic() > ends:
            sys.exit(f"dockerd does not answer: {log}")
        time.sleep(0.2)


def _write(settings: Path) -> None:
    """Choose the containerd image store; settings that are there stay."""
    if not settings.exists():
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(json.dumps(STORE, indent=2) + "\n")


def answers() -> bool:
    """Whether an engine answers."""
    return _works("docker", "version", "--format", "{{.Server.Version}}")


def has_plugin(name: str) -> bool:
    """Whether Docker's client has this plugin."""
    return _works("docker", name, "version")


def _on_path(program: str) -> bool:
    return any(Path(folder, program).exists() for folder in apt.system_path().split(os.pathsep))


def _works(*words: str) -> bool:
    return _on_path(words[0]) and not subprocess.run(words, capture_output=True).returncode
