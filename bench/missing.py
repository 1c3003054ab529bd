"""How long it takes to ask a registry which of a fleet's images it has. bench/README.md has the
words for people.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables
from bench.setting import ROOT
from bench.timed import CONSOLE, say

sys.path.insert(0, str(ROOT))

from tests.engine.registries import loopback_registry

from slimbake.config.model import Manifest, ServiceEntry
from slimbake.fleet import resolve
from slimbake.plan import plan
from slimbake.plan.model import Plan
from slimbake.registry import ImageRepository
from slimbake.registry.documents import MANIFEST, descriptor_of, stored_manifest
from slimbake.release.on_registry import OnRegistry, on_registry, retag
from slimbake.release.statement import mark

CONFIG = b"{}"
ABSENT = 10  # one service of so many has no image
HEADINGS = ("", "images", "median s", "ms each", "runs")


def main() -> int:
    """Print the table; 1 where the question about all images took more than its limit, or its
    answer is wrong.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--limit", type=float, default=10.0, help="seconds that the median of the question may take"
    )
    given = parser.parse_args()
    fleet = _fleet(given.images)
    names = tuple(service.service for service in fleet.services)
    known = {name: descriptor_of("", name.encode()).digest for name in names}
    there = {name for number, name in enumerate(names) if number % ABSENT}
    with loopback_registry() as at:
        say(f"{len(there)} images into a registry on loopback")
        _fill(at, fleet, {name: known[name] for name in there})
        found = _times(
            "what is there", given.runs, lambda: on_registry(fleet, names, known, at, CONSOLE)
        )
        assert {image.target for image in found.value} == there
        tagged = _times("retag", given.runs, lambda: _retag(found.value))
    all_times = (found, tagged)
    counts = (len(names), len(there))
    rows = [
        (
            each.name,
            str(count),
            tables.seconds(each.median),
            f"{each.median / count * 1e3:.2f}",
            str(given.runs),
        )
        for each, count in zip(all_times, counts, strict=True)
    ]
    print(tables.markdown("a registry that is asked for images by fingerprint", HEADINGS, rows))
    print(tables.machine())
    kept = {
        each.name: {"images": count, "seconds": each.seconds}
        for each, count in zip(all_times, counts, strict=True)
    }
    say(f"all numbers: {tables.save('missing', kept)}")
    return 0 if found.median <= given.limit else 1


class _Times:
    """What was measured of one thing, and what it gave."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.value: Any = ()
        self.seconds: list[float] = []

    @property
    def median(self) -> float:
        return tables.median(self.seconds) or 0.0


def _times(name: str, runs: int, call: Callable[[], Any]) -> _Times:
    made = _Times(name)
    for run in range(runs):
        start = time.perf_counter()
        made.value = call()
        made.seconds.append(time.perf_counter() - start)
        say(f"{name}, run {run + 1}: {made.seconds[-1]:.2f} s")
    return made


def _fleet(count: int) -> Plan:
    services = tuple(
        ServiceEntry(name=f"s{number}", context=f"s{number}") for number in range(count)
    )
    file = Path("services.yaml")
    return plan(resolve(Manifest(file=file, project="bench", python="3.11", services=services)))


def _fill(at: str, fleet: Plan, known: dict[str, str]) -> None:
    """Push an image of each service, under the tag of its fingerprint, and with its statement."""

    def push(name: str) -> None:
        url = f"http://{at}/v2/{fleet.target(name).repository}"
        digest = "sha256:" + hashlib.sha256(CONFIG).hexdigest()
        place = requests.post(f"{url}/blobs/uploads/", timeout=30).headers["location"]
        requests.put(f"{place}&digest={digest}", CONFIG, timeout=30).raise_for_status()
        config = {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest,
            "size": len(CONFIG),
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": [],
            "annotations": {"is": name},
        }
        content = json.dumps(manifest).encode()
        requests.put(
            f"{url}/manifests/latest", content, headers={"Content-Type": MANIFEST}, timeout=30
        ).raise_for_status()
        repository = ImageRepository(f"{at}/{fleet.target(name).repository}")
        mark(repository, stored_manifest(MANIFEST, content), known[name], {})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(push, known))


def _retag(images: tuple[OnRegistry, ...]) -> None:
    retag(images, {image.target: f"{image.repository}:v2" for image in images})


if __name__ == "__main__":
    sys.exit(main())
