"""How long `slimbake report` takes, and how large its page is: the example, and a fleet of 1,000.

    .venv/bin/python bench/report.py [SERVICES]

The fleet is that of bench/fleet.py. What its bake and `slimbake sizes` would have recorded is
written as they write it: layers of packages that services share, and one layer for each service.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.fleet import write_slimbake
from bench.tables import markdown

ROOT = Path(__file__).parents[1]
PROGRAM = Path(sys.executable).with_name("slimbake")
SHARED = 12  # layers, of 150 packages each
HEADINGS = ("fleet", "services", "s", "MB")


def digest(*words: object) -> str:
    """A digest that the same words always give."""
    return "sha256:" + hashlib.sha256(repr(words).encode()).hexdigest()


def layer(diff: str, packages: int, size: int) -> dict[str, object]:
    """A layer as `slimbake sizes` keeps it."""
    parts = [
        {
            "owner": {"kind": "python", "name": f"package-{diff[7:11]}-{n}", "version": "1.0"},
            "uncompressed": size // packages,
            "files": 20,
        }
        for n in range(packages)
    ]
    taken = [
        {"by": "files.sources", "package": f"package-{diff[7:11]}-0", "bytes": size, "files": 9}
    ]
    return {
        "uncompressed": size,
        "files": 20 * packages,
        "parts": parts,
        "taken": taken,
    }


def record(root: Path, services: list[str]) -> None:
    """Write what a bake and `slimbake sizes` record."""
    kept = root / ".slimbake"
    (kept / "layers").mkdir(parents=True)
    shared = {digest("shared", n): (150, 20_000_000) for n in range(SHARED)}
    own = {digest(name): (5, 400_000) for name in services}
    for diff, (packages, size) in {**shared, **own}.items():
        made = json.dumps(layer(diff, packages, size))
        (kept / "layers" / f"{diff.removeprefix('sha256:')}.json").write_text(made)
    images, baked = {}, {}
    for number, name in enumerate(services):
        diffs = [*list(shared)[: 2 + number % (SHARED - 1)], digest(name)]
        images[digest("image", name)] = [
            {"diff": d, "blob": d, "uncompressed": size, "compressed": size // 3, "files": 9}
            for d in diffs
            for _, size in ({**shared, **own}[d],)
        ]
        baked[name] = [digest("fingerprint", name), digest("image", name)]
    for name, value in {"measured": images, "baked": baked}.items():
        (kept / f"{name}.json").write_text(json.dumps(value))


def timed(folder: Path) -> tuple[float, int]:
    """Seconds and bytes of the report of a repository."""
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "report.html"
        began = time.perf_counter()
        subprocess.run([PROGRAM, "report", "--output", page], cwd=folder, check=True)
        return time.perf_counter() - began, page.stat().st_size


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "fleet"
        write_slimbake(root, count)
        record(root, sorted(each.name for each in (root / "services").iterdir()))
        for name, services, folder in (("example", 11, ROOT), ("synthetic", count, root)):
            seconds, size = timed(folder)
            rows.append((name, str(services), f"{seconds:.1f}", f"{size / 1e6:.1f}"))
    print(markdown("slimbake report", HEADINGS, rows))


if __name__ == "__main__":
    main()
