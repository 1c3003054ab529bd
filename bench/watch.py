"""`slimbake bake --watch`: seconds from the edit of a service's code to its tag, and to the report;
beside another checkout of slimbake, in turns. bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import tables
from empty import remove_made
from phases import edit
from setting import PREFIX, Setting, copied, prepared
from timed import FailedError, say

PATIENCE = 600.0  # seconds
SETTLED = 3.0  # seconds between two edits: what a report leaves to be done has ended


@dataclass(slots=True)
class Watched:
    """A watch of one checkout that runs; its seconds."""

    name: str
    setting: Setting
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    tag: list[float] = field(default_factory=list)
    report: list[float] = field(default_factory=list)

    def reports(self) -> int:
        """How many bakes have said what their images weigh."""
        return sum(line.startswith("image ") and "digest" in line for line in self.lines)

    def wait(self, number: int) -> None:
        """Wait until so many bakes have ended."""
        until = time.monotonic() + PATIENCE
        while self.reports() < number:
            if self.process.poll() is not None or time.monotonic() > until:
                raise FailedError("\n".join(self.lines[-30:]))
            time.sleep(0.01)


def main() -> int:
    """Measure, print the table, write the numbers."""
    arguments = parse()
    sides = {"here": Path(sys.executable)}
    if arguments.other:
        sides["other"] = arguments.other / ".venv/bin/python"
    try:
        with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as scratch, ExitStack() as stack:
            tagged = stack.enter_context(tags())
            found = []
            for name, python in sides.items():
                folder = Path(scratch) / name
                setting = prepared(copied(folder / "copy"), folder)
                watched = watching(name, python, setting, arguments.service)
                found.append(stack.enter_context(watched))
            measure(found, tagged, arguments.service, arguments.runs)
    except FailedError as error:
        say(str(error))
        return 5
    finally:
        remove_made()
    medians = [(each.name, tables.median(each.tag), tables.median(each.report)) for each in found]
    rows = [(name, tables.seconds(tag), tables.seconds(report)) for name, tag, report in medians]
    print(tables.markdown(f"An edit of {arguments.service}", ("side", "tag", "report"), rows))
    if arguments.other:
        here, other = found
        pairs = [mine / theirs for mine, theirs in zip(here.tag, other.tag, strict=True)]
        print(f"Tag, here / other, paired: {tables.seconds(tables.median(pairs))}.")
    print(f"{tables.machine()}, {arguments.runs} turns.")
    return 0


def measure(sides: list[Watched], tagged: list[tuple[str, float]], service: str, runs: int) -> None:
    """Edit in turns. The first two are not measured: they leave an image of what lies below."""
    for side in sides:
        side.wait(1)
    for number in range(runs + 2):
        for side in sides:
            time.sleep(SETTLED)
            done, began = side.reports(), time.time()
            edit(side.setting, service, f"{side.name} {number} {began}")
            side.wait(done + 1)
            report, tag = time.time() - began, 0.0
            until = time.monotonic() + SETTLED
            while not tag and time.monotonic() < until:
                names = (f"{PREFIX}/{side.name}/{service}:latest",)
                tag = next((at - began for n, at in tagged if n in names and at > began), 0.0)
            if number > 1:
                side.tag.append(tag)
                side.report.append(report)
            say(f"{side.name}, edit {number}: tag {tag:.2f} s, report {report:.2f} s")


@contextmanager
def watching(name: str, python: Path, setting: Setting, service: str) -> Iterator[Watched]:
    """`slimbake bake --watch` of a service, by the slimbake of this Python."""
    words = ("-m", "slimbake", "bake", "--watch", "--registry", f"{PREFIX}/{name}", service)
    with subprocess.Popen(
        [python, *words],
        cwd=setting.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        found = Watched(name, setting, process)
        stream = process.stdout
        reader = threading.Thread(target=lambda: found.lines.extend(stream or ()), daemon=True)
        reader.start()
        try:
            yield found
        finally:
            process.terminate()  # a background job of a shell ignores SIGINT
            reader.join()


@contextmanager
def tags() -> Iterator[list[tuple[str, float]]]:
    """The names that images of the engine get from now on, and when."""
    words = ("--filter=type=image", "--filter=event=tag", "--format={{json .}}")
    found: list[tuple[str, float]] = []
    with subprocess.Popen(
        ["docker", "events", *words], stdout=subprocess.PIPE, text=True
    ) as process:

        def read() -> None:
            for line in process.stdout or ():
                said = json.loads(line)
                found.append((said["Actor"]["Attributes"].get("name", ""), said["timeNano"] / 1e9))

        threading.Thread(target=read, daemon=True).start()
        try:
            yield found
        finally:
            process.terminate()


def parse() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", nargs="?", default="control", help="(default: %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="edits (default: %(default)s)")
    parser.add_argument("--other", type=Path, metavar="CHECKOUT", help="measure its slimbake too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
