"""Synthetic fleets: a repository of N services.

The same N gives the same bytes. Everything is written as it is made, so that a fleet of 10,000
costs no memory: what a child process is said to have used at its peak can never be less than what
its parent had.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# of eight services: as the worked example has them
BASES = ("web", "ml", "web", "", "web", "ml", "web", "ml")
DELTAS = (
    "prometheus-client>=0.21,<1",
    "sqlite-vec>=0.1.6,<0.2",
    "bm25s>=0.3.16,<0.4",
    "pyyaml>=6.0.2,<7  # quoted values",
)
FIRST_PORT = 10_000
PYTHONS = ("3.11", "3.12", "3.13")

_MANIFEST = """\
# yaml-language-server: $schema=services.schema.json
project: fleet
registry: registry.example.com/fleet
python: "3.11"
platforms: [linux/amd64]

externals:
  python: {image: "python:{version}-slim-trixie"}
  uv: {image: "ghcr.io/astral-sh/uv:0.13.9"}

bases:
"""
_BASES_OF = """\
  web{end}:
    python: "{python}"
    requirements: [fastapi, uvicorn, httpx]
  ml{end}:
    extends: web{end}
    requirements: [torch, transformers, tokenizers, safetensors, numpy]
    torch: cpu
"""

_SMOKE = """\
def imports() -> None:
    import {package}  # noqa: F401
"""


def write_fleet(root: Path, count: int, pythons: int = 1) -> None:
    """Write a repository with a manifest of `count` services below `root`, which must not exist.

    `pythons`: how many versions of Python they have, each as many services and a family of bases.
    """
    root.mkdir(parents=True)
    with (root / "services.yaml").open("w", encoding="utf-8") as manifest:
        manifest.write(_MANIFEST)
        ends = {python: python.replace(".", "") for python in PYTHONS[:pythons]}
        ends[PYTHONS[0]] = ""
        for python, end in ends.items():
            manifest.write(_BASES_OF.format(end=end, python=python))
        manifest.write("\nservices:\n")
        for index, name, package, base in _services(count):
            python = PYTHONS[index // len(BASES) % pythons]
            on = f"base: {base}{ends[python]}" if base else f'python: "{python}"'
            manifest.write(
                f"  {name}:\n"
                f"    {on}\n" + f"    context: services/{name}\n"
                f"    requirements: requirements.txt\n"
                f"    command: [python, -m, {package}]\n"
                f"    port: {FIRST_PORT + index}\n"
                f'    env: {{LOG_LEVEL: info, OMP_NUM_THREADS: "{1 + index % 4}"}}\n'
                f"    smoke: smoke.py\n"
                f"    budget: {{uncompressed: {900 + index % 200}MB}}\n\n"
            )
            folder = root / "services" / name
            (folder / package).mkdir(parents=True)
            (folder / package / "__main__.py").write_text(f'print("{name}")\n')
            (folder / "requirements.txt").write_text(f"# {name}\n{DELTAS[index % len(DELTAS)]}\n")
            (folder / "smoke.py").write_text(_SMOKE.format(package=package))


def _services(count: int) -> Iterator[tuple[int, str, str, str]]:
    """Number, name, Python package and base ("" for none) of each service."""
    for index in range(count):
        name = f"service-{index:05}"
        yield index, name, name.replace("-", "_"), BASES[index % len(BASES)]
