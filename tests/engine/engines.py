"""A second Docker engine beside the machine's own, as somebody else would have set it up: the plain graph driver."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from slimbake import aptget

_SYSTEM = {**os.environ, "PATH": aptget.system_path()}


@contextlib.contextmanager
def plain_engine() -> Iterator[str]:
    """A dockerd of its own, without the containerd image store; gives its DOCKER_HOST. Needs root.

    It lives in a network namespace of its own, whose network reaches out through this machine's, so that neither its
    bridge nor its firewall rules meet those of the machine's engine. Nothing of it is left in the end.
    """
    if shutil.which("ip", path=_SYSTEM["PATH"]) is None:
        aptget.install(["iproute2"], print)
    with tempfile.TemporaryDirectory(prefix="engine-") as name, _network() as namespace:
        folder = Path(name)
        config = folder / "daemon.json"
        config.write_text(json.dumps({"features": {"containerd-snapshotter": False}, "containerd-namespace": "plain"}))
        host = f"unix://{folder}/docker.sock"
        # Not `ip netns exec`: it lays a fresh /sys over the one that has the cgroups.
        argv = ["nsenter", f"--net=/run/netns/{namespace}", "dockerd", "--config-file", str(config), "--host", host]
        argv += ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
        with (folder / "log").open("wb") as log:
            daemon = subprocess.Popen(argv, env=_SYSTEM, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(host, daemon, folder / "log")
            yield host
        finally:
            daemon.terminate()
            daemon.wait(30)
            _unmount(folder)


def _wait(host: str, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while subprocess.run(["docker", "--host", host, "version"], capture_output=True, check=False).returncode:
        assert daemon.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.1)


def _unmount(folder: Path) -> None:
    """Undo the mounts that dockerd leaves where its data lie on a file system that is not shared, as in a chroot."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if Path(mount).is_relative_to(folder)]):
        _do("umount", mount)


@contextlib.contextmanager
def _network() -> Iterator[str]:
    """A network namespace that reaches out through this machine's network; gives its name."""
    token, block = secrets.token_hex(3), secrets.randbelow(200) + 20
    name, near, far, subnet = f"slim{token}", f"10.98.{block}.1", f"10.98.{block}.2", f"10.98.{block}.0/30"
    rules = (
        ("nat", "POSTROUTING", "-s", subnet, "-j", "MASQUERADE"),
        ("filter", "FORWARD", "-s", subnet, "-j", "ACCEPT"),
        ("filter", "FORWARD", "-d", subnet, "-j", "ACCEPT"),
    )
    with contextlib.ExitStack() as undo:
        _do("ip", "netns", "add", name)
        undo.callback(_do, "ip", "netns", "del", name)
        _do("ip", "link", "add", f"v{token}", "type", "veth", "peer", "name", "eth0", "netns", name)
        undo.callback(_do, "ip", "link", "del", f"v{token}")
        _do("ip", "addr", "add", f"{near}/30", "dev", f"v{token}")
        _do("ip", "link", "set", f"v{token}", "up")
        _do("ip", "-n", name, "addr", "add", f"{far}/30", "dev", "eth0")
        for device in ("eth0", "lo"):
            _do("ip", "-n", name, "link", "set", device, "up")
        _do("ip", "-n", name, "route", "add", "default", "via", near)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        for table, *rule in rules:
            _do("iptables", "-t", table, "-I", *rule)
            undo.callback(_do, "iptables", "-t", table, "-D", *rule)
        yield name


def _do(*argv: str) -> None:
    subprocess.run(argv, env=_SYSTEM, check=True, capture_output=True)
