"""Docker engines beside the machine's own, each in a network namespace of its own, with a route out
or without.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tools.bare import apt

from slimbake.config import manifest
from slimbake.docker.engine import expect_engine
from slimbake.externals.resolve import resolve_externals
from slimbake.fleet import resolve as resolve_fleet
from slimbake.plan import plan

_SYSTEM = {**os.environ, "PATH": apt.system_path()}
# Also where we are killed. To the kernel, "us" is the thread that started it: start engines in the
# main thread.
_ENDS_WITH_US = ("setpriv", "--pdeathsig=TERM")
_ON_AN_EMPTY = 'mkdir -p "$0" && mount -t tmpfs none "$0" && exec "$@"'


@dataclass(frozen=True, slots=True)
class Own:
    """An engine of our own."""

    host: str
    """Its DOCKER_HOST."""
    namespace: str
    """The name of its network namespace."""

    def within(self, *words: str) -> tuple[str, ...]:
        """A command, as one that runs on this engine's network."""
        return ("nsenter", f"--net=/run/netns/{self.namespace}", "--", *words)


@contextlib.contextmanager
def own_engine(
    *,
    containerd_store: bool = True,
    route: bool = True,
    in_memory: bool = False,
    data: Path | None = None,
    cores: str = "",
) -> Iterator[Own]:
    """A dockerd of its own, with nothing in it. Skips where this is not root.

    It lives in a network namespace of its own, so that neither its bridge nor its firewall rules
    meet those of the machine's engine. With a `route` that reaches out through this machine's
    network, without one nothing gets in or out of it, but to its socket. `in_memory`: its data lie
    on a tmpfs, which lists files in another order than a file system of a disk; or in the folder
    `data`. Nothing of it is left in the end, but for what lies there. `cores`: those that it and its
    containers run on, as taskset takes them ("0-1"); "" = all.
    """
    if os.geteuid():
        pytest.skip("an engine of its own needs root")
    if shutil.which("ip", path=_SYSTEM["PATH"]) is None:
        apt.install("iproute2")
    with tempfile.TemporaryDirectory(prefix="engine-") as name, _network(route) as namespace:
        folder = Path(name)
        data = data or folder / "data"
        config = folder / "daemon.json"
        config.write_text(json.dumps({"features": {"containerd-snapshotter": containerd_store}}))
        made = Own(f"unix://{folder}/docker.sock", namespace)
        # Not `ip netns exec`: it lays a fresh /sys over the one that has the cgroups.
        confined = ("taskset", "--cpu-list", cores) if cores else ()
        # its mounts go with it
        argv = [*made.within(*confined, *_ENDS_WITH_US, "unshare", "--mount")]
        # else it would share a containerd of the system
        argv += ["sh", "-c", _ON_AN_EMPTY, "/run/containerd"]
        argv += ["sh", "-c", _ON_AN_EMPTY, str(data)] if in_memory else []
        argv += ["dockerd", "--config-file", str(config)]
        argv += ["--host", made.host, "--data-root", str(data), "--exec-root", f"{folder}/exec"]
        with (folder / "log").open("wb") as log:
            daemon = subprocess.Popen(
                [*argv, "--pidfile", f"{folder}/pid"], env=_SYSTEM, stdout=log, stderr=log
            )
        try:
            _wait(made.host, daemon, folder / "log")
            yield made
        finally:
            daemon.terminate()
            daemon.wait()


def bring_externals(file: Path, host: str) -> None:
    """Bring the images from outside that a manifest names, or what stands in for them here, into
    another engine.
    """
    read = plan(resolve_fleet(manifest(file)))
    found = resolve_externals(read.externals, expect_engine())
    images = [each.context for each in found.resolved if each.context.startswith("docker-image://")]
    for image in (image.removeprefix("docker-image://") for image in images):
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saving:
            argv = ["docker", "--host", host, "load"]
            loaded = subprocess.run(argv, stdin=saving.stdout, capture_output=True, check=False)
        assert (saving.returncode, loaded.returncode) == (0, 0), loaded.stderr.decode()


def _wait(host: str, daemon: subprocess.Popen[bytes], log: Path) -> None:
    words = ["docker", "--host", host, "version"]
    while subprocess.run(words, capture_output=True, check=False).returncode:
        assert daemon.poll() is None, log.read_text()[-2000:]
        time.sleep(0.1)


@contextlib.contextmanager
def _network(route: bool) -> Iterator[str]:
    """A network namespace, with a `route` one that reaches out through this machine's network;
    gives its name.
    """
    name = f"slim{secrets.token_hex(3)}"
    with contextlib.ExitStack() as undo:
        _do("ip", "netns", "add", name)
        undo.callback(_do, "ip", "netns", "del", name)
        _do("ip", "-n", name, "link", "set", "lo", "up")
        if route:
            _reach_out(name, undo)
        yield name


def _reach_out(namespace: str, undo: contextlib.ExitStack) -> None:
    """Give a network namespace a way out."""
    device = f"v{namespace}"
    block, place = secrets.randbelow(256), 4 * secrets.randbelow(64)
    near, far, subnet = (f"10.98.{block}.{place + number}" for number in (1, 2, 0))
    rules = (
        ("nat", "POSTROUTING", "-s", f"{subnet}/30", "-j", "MASQUERADE"),
        ("filter", "FORWARD", "-s", f"{subnet}/30", "-j", "ACCEPT"),
        ("filter", "FORWARD", "-d", f"{subnet}/30", "-j", "ACCEPT"),
    )
    _do("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    undo.callback(_do, "ip", "link", "del", device)
    _do("ip", "addr", "add", f"{near}/30", "dev", device)
    _do("ip", "link", "set", device, "up")
    _do("ip", "-n", namespace, "addr", "add", f"{far}/30", "dev", "eth0")
    _do("ip", "-n", namespace, "link", "set", "eth0", "up")
    _do("ip", "-n", namespace, "route", "add", "default", "via", near)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    for table, *rule in rules:
        _do("iptables", "-t", table, "-I", *rule)
        undo.callback(_do, "iptables", "-t", table, "-D", *rule)


def _do(*argv: str) -> None:
    subprocess.run(argv, env=_SYSTEM, check=True, capture_output=True)


_FORWARD = """
import socket, sys, threading
def opened(address, listening):
    kind = socket.AF_UNIX if address.startswith("/") else socket.AF_INET
    made = socket.socket(kind, socket.SOCK_STREAM)
    if listening and kind == socket.AF_INET:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    (made.bind if listening else made.connect)(address if kind == socket.AF_UNIX else ("127.0.0.1", int(address)))
    return made
def copy(source, sink):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        source.close(); sink.close()
door = opened(sys.argv[1], True)
door.listen(64)
print("ready", flush=True)
while True:
    near, _ = door.accept()
    far = opened(sys.argv[2], False)
    for pair in ((near, far), (far, near)):
        threading.Thread(target=copy, args=pair, daemon=True).start()
"""


@contextlib.contextmanager
def sees_loopback(own: Own, port: int) -> Iterator[None]:
    """Let a port of this machine's loopback be one of the engine's own loopback too, through a
    socket in a file.

    So a registry has one name everywhere, one that engines reach without TLS and to which stand-ins
    may be pushed.
    """
    with tempfile.TemporaryDirectory(prefix="door-") as name, contextlib.ExitStack() as undo:
        door = f"{name}/door"
        for words in ((door, str(port)), (str(port), door)):
            argv = [*_ENDS_WITH_US, sys.executable, "-c", _FORWARD, *words]
            argv = list(own.within(*argv)) if words[1] == door else argv
            process = undo.enter_context(
                subprocess.Popen(argv, env=_SYSTEM, stdout=subprocess.PIPE)
            )
            undo.callback(process.terminate)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        yield
