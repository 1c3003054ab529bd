"""Records a command as an asciicast v2 file: each line of its output, and when it came.

`bench/results.py` draws docs/pictures/bake.svg from bench/results/bake.cast.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

WIDTH, HEIGHT = 100, 24


def main() -> int:
    """Run the command and write what it printed; the exit code is the command's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the cast to write")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command to record")
    arguments = parser.parse_args()
    with subprocess.Popen(
        arguments.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        start = time.monotonic()
        events = [(round(time.monotonic() - start, 2), "o", line) for line in process.stdout]
    ended = round(time.monotonic() - start, 2)
    title = " ".join((Path(arguments.command[0]).name, *arguments.command[1:]))
    head = {"version": 2, "width": WIDTH, "height": HEIGHT, "title": title, "duration": ended}
    lines = [json.dumps(each) for each in (head, *events)]
    arguments.file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("".join(text for _, _, text in events), end="")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
