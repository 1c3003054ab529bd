"""Cold bakes of the example fleet on one node and on two, pushed to one registry. bench/README.md
has the words.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tables
from setting import MANIFEST, ROOT, copied
from timed import FailedError, say

sys.path.insert(0, str(ROOT))

from tests.engine.engines import bring_externals, own_engine, sees_loopback
from tests.engine.registries import loopback_registry

NODES = ("near", "far")
ENOUGH = 2  # cores; with one, BuildKit's own deadlines pass in a bake of the eight


def main() -> int:
    """Print the table; 5 where a bake fails, 6 where one node and two push other images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each side, which take turns")
    given = parser.parse_args()
    every = sorted(os.sched_getaffinity(0))
    share = len(every) // len(NODES)
    own = share >= ENOUGH
    cores = [every[n * share : (n + 1) * share] if own else every for n in range(len(NODES))]
    with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as scratch:
        root = copied(Path(scratch) / "copy")
        _do("lock", root)
        _do("fetch", root)  # the wheelhouse is filled before, as on all sides of bench/bake.py
        sides: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
        try:
            # not measured: what targets cost here, by which both sides are dealt out
            _bake(cores[:1], root, scratch)
            for number in range(given.runs):
                for count in (1, 2) if number % 2 == 0 else (2, 1):
                    sides[count].append(_bake(cores[:count], root, scratch))
        except FailedError as error:
            say(str(error))
            return 5
    digests = {
        json.dumps(run["digests"], sort_keys=True) for runs in sides.values() for run in runs
    }
    seconds = {count: [run["seconds"] for run in runs] for count, runs in sides.items()}
    ratios = [two / one for one, two in zip(seconds[1], seconds[2], strict=True)]
    rows = [
        (
            f"{count} node{'s' * (count > 1)}",
            tables.seconds(tables.median(seconds[count])),
            tables.seconds(min(seconds[count])),
            tables.seconds(max(seconds[count])),
            str(sides[count][0]["shards"]),
        )
        for count in sides
    ]
    print(
        tables.markdown("Cold bake, pushed", ("", "median s", "least s", "most s", "shards"), rows)
    )
    print(
        f"Two nodes take {tables.median(ratios):.2f} of the time of one, median of {len(ratios)}"
        " rounds."
    )
    print(
        f"{tables.machine()}; each node is an engine on this machine, "
        + (f"with {share} cores of its own." if own else "and all share its cores.")
    )
    say(f"all numbers: {tables.save('nodes', {'sides': sides, 'ratios': ratios})}")
    if len(digests) != 1:
        say("one node and two do not push the same images")
    return 0 if len(digests) == 1 else 6


def _bake(cores: Sequence[Sequence[int]], root: Path, scratch: str) -> dict[str, Any]:
    """One cold bake on engines with these cores that hold nothing but the images from outside, into
    an empty registry; the engine that pulls the services, to start and measure them, holds no more.
    """
    count = len(cores)
    (root / ".slimbake" / "starts.json").unlink(missing_ok=True)  # else nothing starts again
    with contextlib.ExitStack() as undo:
        at = undo.enter_context(loopback_registry())
        config = Path(undo.enter_context(tempfile.TemporaryDirectory(dir=scratch)))
        port = int(at.rpartition(":")[2])
        for name, own in zip(NODES, cores, strict=False):
            host = undo.enter_context(_engine(root, port, ",".join(map(str, own))))
            _context(name, host, config)
        here = undo.enter_context(_engine(root, port))
        words = [word for name in NODES[:count] for word in ("--node", name)]
        argv = [
            sys.executable,
            "-m",
            "slimbake",
            "bake",
            "--push",
            "--registry",
            f"{at}/bench",
            "--json",
            *words,
        ]
        say(f"{count} node{'s' * (count > 1)}, cold")
        env = {**os.environ, "DOCKER_CONFIG": str(config), "DOCKER_HOST": here}
        started = time.perf_counter()
        done = subprocess.run(argv, cwd=root, env=env, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
        if done.returncode:
            raise FailedError(f"exit code {done.returncode}\n{done.stderr[-3000:]}")
    images = json.loads(done.stdout)["images"]
    say(f"{seconds:.1f} s")
    return {
        "seconds": seconds,
        "digests": {name: about["digest"] for name, about in images.items()},
        "nodes": {name: about["node"] for name, about in images.items()},
        "shards": len(
            {
                line.split()[1].rstrip(":")
                for line in done.stderr.splitlines()
                if line.startswith("shard ")
            }
        ),
    }


@contextlib.contextmanager
def _engine(root: Path, port: int, cores: str = "") -> Iterator[str]:
    """An engine of its own that reaches the registry; gives its DOCKER_HOST."""
    with own_engine(cores=cores) as engine, sees_loopback(engine, port):
        bring_externals(root / MANIFEST, engine.host)
        yield engine.host


def _context(name: str, host: str, config: Path) -> None:
    words = ["docker", "--config", str(config), "context", "create", name]
    _run([*words, "--docker", f"host={host}"], config)


def _do(command: str, root: Path) -> None:
    _run([sys.executable, "-m", "slimbake", command], root)


def _run(argv: Sequence[str], root: Path) -> None:
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedError(f"{' '.join(argv)}\n{done.stderr[-3000:]}")


if __name__ == "__main__":
    sys.exit(main())
