"""Empties an engine: only for one that belongs to the person who benchmarks (`--engine-is-mine`)."""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

from bench.setting import LABEL, PREFIX, PYTHON
from bench.timed import run, say


def cold_only(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments of a benchmark whose every bake is a cold one; `parser` has its `--runs`."""
    parser.add_argument(
        "--engine-is-mine",
        action="store_true",
        help=(
            "required: REMOVES this project's images and ALL build cache from the engine, before"
            " every bake"
        ),
    )
    arguments = parser.parse_args()
    if not arguments.engine_is_mine or arguments.runs < 1:
        parser.error("every bake is a cold one, which needs --engine-is-mine, and at least one run")
    return arguments


def empty(project: str) -> None:
    """Remove the project's images, the benchmark's, and everything that BuildKit keeps: steps,
    contexts, cache mounts.

    The images that come from outside stay: people have those before they build. What a reproducible
    image left in the engine would make the next cold build of it faster, so this project's images
    go under any tag.
    """
    remove(_of_project(project))
    remove_made()
    run(["docker", "builder", "prune", "--all", "--force"], Path("/"))
    words = ["docker", "system", "df", "--format", "{{.Type}}: {{.Size}}"]
    left = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    if "Build Cache: 0B" not in left.splitlines():
        say(f"the build cache is not empty, a build may be running:\n{left}")


def remove_made() -> None:
    """Remove the images of benchmarks, those without a name too; the image that baselines stand on
    stays.
    """
    mine = [image for image in _listed() if image["Repository"].startswith(f"{PREFIX}/")]
    mine += _listed("--filter", "dangling=true", "--filter", f"label={LABEL}")
    mine += _of_project(PREFIX)
    remove([image for image in mine if f"{image['Repository']}:{image['Tag']}" != PYTHON])


def remove(images: list[dict[str, str]]) -> None:
    """Remove images by the names they were listed with. Raises FailedError where a container uses
    one.
    """
    names = {
        (
            image["ID"]
            if "<none>" in (image["Repository"], image["Tag"])
            else f"{image['Repository']}:{image['Tag']}"
        )
        for image in images
    }
    if names:
        run(["docker", "image", "rm", *sorted(names)], Path("/"))


def _of_project(project: str) -> list[dict[str, str]]:
    return _listed("--filter", f"label=slimbake.project={project}")


def _listed(*filters: str) -> list[dict[str, str]]:
    words = ["docker", "image", "ls", "--no-trunc", "--format", "{{json .}}", *filters]
    lines = subprocess.run(words, capture_output=True, check=True, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines]
