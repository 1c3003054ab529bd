"""What the example's images lose at each level of passes: files, modules, and the outcomes of calls that
were chosen from documentation. bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from slimbake.host.files import checkout

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results" / "levels.json"
PROBES = ROOT / "tests" / "engine" / "probes"
SERVICES = ("embedding", "nlg", "api", "embedding-onnx")
LEVELS = ("lossless", "narrowed")
DEFAULT = "lossless"  # the level of a layer that says nothing
PROJECT = "levels"


def copied(target: Path, project: str, level: str) -> None:
    """The example as a project of another name, its base `ml` at a level, and without budgets."""
    for name in ("bake", "examples", "libs"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, target / name, ignore=ignore)
    shutil.copy(ROOT / "passes.yaml", target)
    manifest = (ROOT / "services.yaml").read_text("utf-8")
    for pattern, text in (
        (r"(?m)^project: .*$", f"project: {project}"),
        (r"(?m)^registry: .*$", f"registry: {project}"),  # the example keeps its tags
        (r"(?m)^( *optimize): .*$", rf"\1: {level}"),
        (r"(?m)^ *budget: .*\n", ""),
    ):
        manifest, changed = re.subn(pattern, text, manifest)
        assert changed, pattern
    (target / "services.yaml").write_text(manifest, "utf-8")


def probed(image: str) -> dict[str, str]:
    """What came of every probe in an image: read-only, no network, not as root."""
    said = subprocess.check_output(
        (
            "docker",
            "run",
            "--rm",
            "--network=none",
            "--read-only",
            "--user=65532:65532",
            "--tmpfs=/tmp:mode=1777,exec",
            f"--volume={ROOT / 'bake/programs/check.pyz'}:/check.pyz:ro",
            f"--volume={PROBES}:/probes:ro",
            "--entrypoint=python",
            image,
            "-I",
            "/probes/run.py",
        ),
        text=True,
    )
    return dict(json.loads(said.splitlines()[-1]))


def measured(folder: Path, level: str) -> dict[str, Any]:
    """Each service at a level: bytes, its census, and its calls beside those without passes."""

    def slimbake(*words: str) -> Any:
        done = subprocess.run(
            (sys.executable, "-m", "slimbake", *words, "--json", *SERVICES),
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    copied(folder, PROJECT, level)
    images = slimbake("bake")["images"]
    found = {}
    for service, census in slimbake("census").items():
        name, own = f"slimbake/{PROJECT}/{service}", checkout(folder)
        before, after = (probed(f"{name}:{kind}-{own}") for kind in ("unpruned", "built"))
        found[service] = {
            "bytes": images[service]["uncompressed"],
            "modules": census["modules"],
            "found": census["found"],
            "files": census["files"],
            "lost": len(census["losses"]),
            "tried": len(before),
            "succeeded": sum(said.startswith("value: ") for said in before.values()),
            "differ": sorted(probe for probe in before if before[probe] != after.get(probe)),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", action="append", choices=LEVELS, help="[default: all]")
    for level in parser.parse_args().level or LEVELS:
        found = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
        with tempfile.TemporaryDirectory(prefix="levels-") as scratch:
            found[level] = measured(Path(scratch), level)
        ordered = {each: found[each] for each in LEVELS if each in found}
        RESULTS.write_text(json.dumps(ordered, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
