"""Runs a command where there is no network, with a Docker engine of its own that has nothing but
the external images.

    .venv/bin/python bench/cut.py slimbake bake --set '*.no-cache=true'

The command runs in the folder of this repository, in a network namespace without a route; its
engine is gone when it ends, with all that it built. Needs root. The exit code is the command's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.setting import MANIFEST, ROOT

sys.path.insert(0, str(ROOT))

from tests.engine.engines import bring_externals, own_engine


def main() -> int:
    command = sys.argv[1:]
    if not command or command[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    with own_engine(route=False) as own:
        bring_externals(ROOT / MANIFEST, own.host)
        started = time.monotonic()
        done = subprocess.run(
            own.within(*command), cwd=ROOT, env={**os.environ, "DOCKER_HOST": own.host}, check=False
        )
        print(f"{time.monotonic() - started:.1f} s, exit code {done.returncode}", file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
