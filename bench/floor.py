"""A cold bake of the example fleet beside the least that its images take: the same layers, already
made, copied and compressed by BuildKit; taking turns.

bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import tables
from empty import cold_only, empty, remove_made
from prune import without_budgets
from setting import LABEL, MANIFEST, PREFIX, ROOT, copied, prepared
from timed import FailedError, run, say

from slimbake import images
from slimbake.config import manifest
from slimbake.docker import BUILD_ENVIRONMENT
from slimbake.errors import SlimbakeError
from slimbake.fleet.model import Compression
from slimbake.images.model import StoredLayer
from slimbake.images.streams import CHUNK, layer

SIDES = ("bake", "copies")


def main() -> int:
    """Measure, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5, help="of each side [%(default)s]")
    arguments = cold_only(parser)
    try:
        with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as scratch:
            found, size = measured(Path(scratch), arguments.runs)
    except FailedError as error:
        say(str(error))
        return 5
    except SlimbakeError as error:
        say(f"{error.message}\n{error.hint}")
        return error.exit_code
    finally:
        remove_made()
    bake, copies = (tables.median(found[side]) for side in SIDES)
    pairs = [a / b for a, b in zip(found["bake"], found["copies"], strict=True)]
    cells = (*map(tables.seconds, (bake, copies, tables.median(pairs))), tables.megabytes(size))
    headings = ("seconds, medians", "bake", "copies", "bake / copies, paired", "MB of layers")
    print(tables.markdown("A cold bake and its copies", headings, [("cold", *cells)]))
    print(f"{tables.machine()}, {arguments.runs} turns.")
    say(f"all numbers: {tables.save('floor', {'sides': found, 'bytes': size})}")
    return 0


def measured(scratch: Path, runs: int) -> tuple[dict[str, list[float]], int]:
    """Seconds of each side, and the bytes of all distinct layers. All that bakes take from outside
    is there before.
    """
    root = copied(scratch / "copy")
    without_budgets(root / MANIFEST)
    for command in ("lock", "generate"):  # a bake would do so too, on its own time
        run([sys.executable, "-m", "slimbake", command], root)
    plan = prepared(root, scratch).plan
    folder = scratch / "layers"
    found: dict[str, list[float]] = {side: [] for side in SIDES}
    for turn in range(runs):
        for side in SIDES:
            empty(manifest(ROOT / MANIFEST).project)
            shutil.rmtree(
                root / ".slimbake", ignore_errors=True
            )  # what a bake knows of earlier ones
            os.sync()  # what was written before would otherwise be on its way to the disk
            if side == "bake":
                words = [
                    sys.executable,
                    "-m",
                    "slimbake",
                    "bake",
                    "--registry",
                    f"{PREFIX}/slimbake",
                ]
                done = run(words, root)
                if not folder.exists():
                    laid_out(plan.group("default"), folder, plan.compression)
            else:
                done = run(["docker", "buildx", "bake"], folder, env=BUILD_ENVIRONMENT)
            assert done is not None  # no limit was set
            found[side].append(done.seconds)
            say(f"{side}, {turn + 1} of {runs}: {done.seconds:.1f} s")
    return found, sum(file.stat().st_size for file in folder.glob("*/layer.tar"))


def laid_out(services: Iterable[str], folder: Path, kind: Compression) -> None:
    """Write a bake file that makes these services' images of their own layers: a target for each
    layer upon another, of a Dockerfile that unpacks it.
    """
    ids = {name: images.identity(f"{PREFIX}/slimbake/{name}:latest") for name in services}
    source = images.Engine(ids, images.this_platform())
    targets: dict[str, dict[str, object]] = {}
    try:
        for image in source.images:
            below = ""
            for each in image.layers:
                name = hashlib.sha256(f"{below}{each.diff}".encode()).hexdigest()[:20]
                if name not in targets:
                    targets[name] = _target(folder / name, below, each, source)
                below = name
            stored = (
                f"type=image,oci-mediatypes=true,compression={kind.type},"
                f"compression-level={kind.level},force-compression=true"
            )
            targets[below] |= {
                "output": [stored],
                "tags": [f"{PREFIX}/copies/{image.name}:latest"],
                "labels": {LABEL: "copies"},
            }
    finally:
        source.close()
    file = {"group": {"default": {"targets": [*targets]}}, "target": targets}
    (folder / "docker-bake.json").write_text(json.dumps(file, indent=1))


def _target(
    folder: Path, below: str, stored: StoredLayer, source: images.Engine
) -> dict[str, object]:
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(f"FROM {'below' if below else 'scratch'}\nADD layer.tar /\n")
    with layer(source, stored) as tar, (folder / "layer.tar").open("wb") as file:
        while piece := tar.read(CHUNK):
            file.write(piece)
    contexts: Mapping[str, str] = {"below": f"target:{below}"} if below else {}
    return {"context": folder.name, "contexts": contexts, "output": ["type=cacheonly"]}


if __name__ == "__main__":
    sys.exit(main())
