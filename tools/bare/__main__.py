"""Readies a machine without Docker or registries for `slimbake bake` in this repository:
`python -m tools.bare`, from its root.

Installs and starts Docker where it is missing, and makes local images of Python and uv where their
registries cannot be reached. slimbake itself does none of this.
"""

from __future__ import annotations

import re
from pathlib import Path

from tools.bare import engine, images

MANIFEST = Path(__file__).parents[2] / "services.yaml"


def main() -> None:
    """Set up the engine, and the images that the manifest names."""
    text = MANIFEST.read_text("utf-8")
    engine.setup()
    versions = dict.fromkeys(re.findall(r'python: "(3\.\d+)"', text))
    pattern = re.search(r'image: "?(python:[\w.{}-]+)', text)
    for version in versions:
        name = pattern[1] if pattern else "python:{version}-slim-trixie"
        images.python_image(version, name.replace("{version}", version))
    for name in re.findall(r'image: "?([\w./-]+/uv:[\w.]+)', text):
        images.uv_image(name)


if __name__ == "__main__":
    main()
