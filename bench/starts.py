"""What starts take: processor time until the port listens, and seconds with 1 and 0.2 processors, of
slimbake's images and of plain Dockerfiles', in turns. bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables
from bench.container import start
from bench.empty import remove_made
from bench.setting import MANIFEST, ROOT
from bench.timed import FailedError, say
from bench.ways import COMPILED, OURS, SIDES, built, command_of, original
from tools.docs.starts import HEADINGS, faults, rows

from slimbake.checks.surroundings import surroundings
from slimbake.errors import SlimbakeError
from slimbake.host.workspace import Workspace
from slimbake.images.measure import measure_images
from slimbake.project import Project, load

FAST, SLOW = 1.0, 0.2  # processors, as `docker run --cpus` takes them
STACKS = ROOT / "bench" / "fleets" / "stacks"


def main() -> int:
    """Measure, print the table, write the numbers; the exit code is 6 where starts take too long."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # containers go with us
    asked = parse()
    folders, sides, results = [ROOT], asked.sides.split(","), "starts"
    if asked.bytecode:
        folders, sides, results = [ROOT, STACKS], [OURS, COMPILED], "bytecode"
    found: dict[str, Any] = {}
    numbers = {"turns": asked.turns, "slow_turns": asked.slow_turns, "services": found}
    try:
        for folder in folders:
            for service, of in starts_of(folder, sides, asked):
                found[service] = of
                if asked.record:  # what is measured stays where the rest fails
                    tables.save(results, numbers, stamped=False)
    except FailedError as error:
        say(str(error))
        return 5
    except SlimbakeError as error:
        say(f"{error.message}\n{error.hint}".rstrip())
        return error.exit_code
    finally:
        if not asked.keep:
            remove_made()
    print(tables.markdown("Starts, medians", HEADINGS, rows(found)))
    if not asked.record:
        say(f"all numbers: {tables.save(results, numbers)}")
    for fault in faults(found):
        say(fault)
    return 6 if faults(found) else 0


def parse() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("services", nargs="*", help="[all with a port and without volumes]")
    parser.add_argument(
        "--bytecode",
        action="store_true",
        help="slimbake's images beside the same with all bytecode; bench/fleets/stacks, too",
    )
    parser.add_argument(
        "--turns", type=int, default=40, help="starts of each side with 1 processor [%(default)s]"
    )
    parser.add_argument(
        "--slow-turns", type=int, default=5, help="with 0.2 processors [%(default)s]"
    )
    parser.add_argument("--sides", default=",".join(SIDES), help="with commas [%(default)s]")
    parser.add_argument(
        "--record",
        action="store_true",
        help="write what docs/results.md is made of: bench/results/starts.json or bytecode.json",
    )
    parser.add_argument("--keep", action="store_true", help="leave the images in the engine")
    asked = parser.parse_args()
    if unknown := [side for side in asked.sides.split(",") if side not in SIDES]:
        parser.error(f"no such side: {', '.join(unknown)}")
    if asked.turns < 1:
        parser.error("at least one turn")
    return asked


def starts_of(
    folder: Path, sides: Sequence[str], asked: argparse.Namespace
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Services of a manifest's folder that were asked for, and what `measured` gives of each."""
    with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as scratch:
        root = original(folder, Path(scratch))
        project = load(root / MANIFEST)
        services = with_port(project)
        if asked.services:
            services = [name for name in project.plan.service_names if name in asked.services]
        images = built(root, services, sides, Path(scratch)) if services else {}
        for service in services:
            ids = {side: of[service] for side, of in images.items()}
            yield service, measured(project, service, ids, asked.turns, asked.slow_turns)


def with_port(project: Project) -> list[str]:
    """The services that can be started alone: of variants the first."""
    return [
        service.service
        for service in project.plan.services
        if service.port and not service.volumes and not service.copied
    ]


def measured(
    project: Project, service: str, ids: Mapping[str, str], turns: int, slow_turns: int
) -> dict[str, Any]:
    """For each side of a service: bytes of the image, and all starts by number of processors.
    `ids`: of the sides' images.
    """
    found: dict[str, Any] = {}
    for image in measure_images(ids, Workspace(None)).images:
        runs: dict[str, list[Any]] = {f"{FAST:g}": [], f"{SLOW:g}": []}
        found[image.name] = {"bytes": image.uncompressed, "runs": runs}
    for turn in range(turns):
        for cpus in (FAST, SLOW) if turn < slow_turns else (FAST,):
            say(f"{service}: turn {turn + 1} of {turns}, {cpus:g} processors")
            for side in in_turn(list(ids), turn):
                made = once(project, service, side, ids[side], cpus)
                found[side]["runs"][f"{cpus:g}"].append(made)
    return found


def in_turn(sides: Sequence[str], turn: int) -> Iterator[str]:
    """Sides in one order, then in the other: A, B, B, A."""
    return iter(sides) if turn % 2 == 0 else reversed(sides)


def once(project: Project, name: str, side: str, image: str, cpus: float) -> dict[str, float]:
    """One start of an image."""
    (running,) = (each for each in project.plan.services if each.service == name)
    assert running.port, f"{name} has no port"
    options, command = command_of(project.fleet.service(name), side)
    options = (*surroundings(running), *options)
    return asdict(start(image, running.port, cpus, options, command))


if __name__ == "__main__":
    sys.exit(main())
