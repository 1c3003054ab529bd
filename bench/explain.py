"""What it costs a start that an image can tell which rule removed a module: with the hook and
without, taking turns.

bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

import tables
from setting import MANIFEST, ROOT
from timed import FailedError, say

from slimbake.checks.start import started
from slimbake.errors import SlimbakeError
from slimbake.plan.model import Running
from slimbake.project import load

# two that look for many modules that are not there, and one that does not
SERVICES = ("embedding", "nlg", "api")
WITHOUT = """\
FROM {image}
USER 0:0
RUN ["python", "-c", "import _slimbake_ledger as m; open(m.__file__[:-3] + '.pth', 'w').close()"]
USER 65532:65532
"""


def main() -> int:
    """Measure, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=9, help="starts of each side [%(default)s]")
    parser.add_argument(
        "--tag", default="latest", help="which images, that a bake has made [%(default)s]"
    )
    parser.add_argument("services", nargs="*", default=SERVICES)
    arguments = parser.parse_args()
    plan = load(ROOT / MANIFEST).plan
    running = {service.service: service for service in plan.services}
    rows, results = [], []
    for name in arguments.services:
        try:
            result = compared(
                running[name], f"{plan.registry}/{name}:{arguments.tag}", arguments.runs
            )
        except FailedError as error:
            say(str(error))
            return 5
        except SlimbakeError as error:
            say(f"{error.message}\n{error.hint}")
            return error.exit_code
        with_, without = result["with"], result["without"]
        added = statistics.median(a - b for a, b in zip(with_, without, strict=True))
        rows.append(
            [
                name,
                *(f"{statistics.median(side):.3f}" for side in (with_, without)),
                f"{added:+.3f}",
            ]
        )
        results.append({"service": name, "added": added, **result})
    print(
        tables.markdown(
            "What the hook costs a start", ("service", "with, s", "without, s", "added, s"), rows
        )
    )
    say(f"all numbers: {tables.save('explain', {'services': results})}")
    return 0


def compared(service: Running, image: str, runs: int) -> dict[str, list[float]]:
    """Seconds of each start of both sides."""
    without = built(WITHOUT.format(image=image))
    sides = {"with": image, "without": without}
    found: dict[str, list[float]] = {side: [] for side in sides}
    try:
        for turn in range(runs):
            for side in sides if turn % 2 == 0 else reversed(sides):
                found[side].append(started(sides[side], service, 1).startup)
            say(f"{service.service}, {turn + 1} of {runs}")
    finally:
        subprocess.run(["docker", "image", "rm", without], capture_output=True, check=False)
    return found


def built(dockerfile: str) -> str:
    """The id of an image made from a Dockerfile that needs no context."""
    done = subprocess.run(
        ["docker", "build", "--quiet", "-"],
        input=dockerfile,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FailedError(done.stderr.strip())
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
