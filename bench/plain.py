"""Whether an optimised image is plain Python: packages that look for their own files work, tracebacks
show the right lines, and nothing of slimbake is in an interpreter. bench/README.md has the words for
people.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables
from bench.empty import remove_made
from bench.setting import MANIFEST, ROOT
from bench.timed import FailedError, say
from bench.ways import OURS, UNOPTIMISED, built, original

from slimbake.checks.surroundings import surroundings
from slimbake.docker.command import call
from slimbake.errors import SlimbakeError
from slimbake.plan.model import Running
from slimbake.project import load

FLEET = ROOT / "bench" / "fleets" / "plain"
SERVICE = "plain"
SIDES = (UNOPTIMISED, OURS)
INTERPRETER = "import sys; print(sys.path_hooks, sys.meta_path, sorted(sys.modules))"
ADDRESS = re.compile(r"0x[0-9a-f]+")
WIDEST = 60


def main() -> int:
    """Print a line for each use; the exit code is 1 where the images differ, or a use fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the images in the engine")
    asked = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as scratch:
            root = original(FLEET, Path(scratch))
            (service,) = load(root / MANIFEST).plan.services
            images = built(root, [SERVICE], SIDES, Path(scratch))
            found = {}
            for side in SIDES:
                say(f"{side}: running")
                found[side] = answers(service, images[side][SERVICE])
    except FailedError as error:
        say(str(error))
        return 5
    except SlimbakeError as error:
        say(f"{error.message}\n{error.hint}".rstrip())
        return error.exit_code
    finally:
        if not asked.keep:
            remove_made()
    return report(found[UNOPTIMISED], found[OURS])


def answers(service: Running, image: str) -> dict[str, Any]:
    """What uses of packages give in an image, and what its interpreter begins with."""
    words = ("run", "--rm", "--network=none", *surroundings(service))
    output = call(*words, image)
    state = call(*words, "--entrypoint=python", image, "-c", INTERPRETER)
    return {
        **json.loads(output.splitlines()[-1]),
        "interpreter": ADDRESS.sub("0x", state).strip(),
    }


def report(before: dict[str, Any], after: dict[str, Any]) -> int:
    """The table on stdout."""
    faults = 0
    rows = []
    for use, answer in before.items():
        fails = isinstance(answer, str) and "Error: " in answer
        same = after[use] == answer
        faults += fails or not same
        verdict = "fails" if fails else "equal" if same else "differs"
        rows.append((use, shown(answer), shown(after[use]), verdict))
    print(tables.markdown("Plain Python", ("use", UNOPTIMISED, OURS, ""), rows))
    return 1 if faults else 0


def shown(answer: Any) -> str:
    """An answer in a cell; a long list by its length."""
    text = str(answer)
    if len(text) <= WIDEST:
        return text
    return f"{len(answer)} entries" if isinstance(answer, list) else f"{text[:WIDEST]}..."


if __name__ == "__main__":
    sys.exit(main())
