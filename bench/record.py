"""Records a command on a terminal as an asciicast v2 file: what it writes, and when.

`bench/results.py` draws docs/pictures/bake.svg from bench/results/bake.cast.
"""

from __future__ import annotations

import argparse
import codecs
import fcntl
import json
import os
import pty
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

WIDTH, HEIGHT = 80, 24


def main() -> int:
    """Run the command and write what it printed; the exit code is the command's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the cast to write")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command to record")
    arguments = parser.parse_args()
    process, terminal = pty.fork()
    if process == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execvp(arguments.command[0], arguments.command)  # noqa: S606 - what was asked for
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    start = time.monotonic()
    events = [(round(time.monotonic() - start, 2), "o", text) for text in written(terminal)]
    ended = round(time.monotonic() - start, 2)
    title = " ".join((Path(arguments.command[0]).name, *arguments.command[1:]))
    head = {"version": 2, "width": WIDTH, "height": HEIGHT, "title": title, "duration": ended}
    lines = [json.dumps(each) for each in (head, *events)]
    arguments.file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def written(terminal: int) -> Iterator[str]:
    """What comes out of a terminal, until nobody writes any more; it is shown here, too."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        try:
            data = os.read(terminal, 65_536)
        except OSError:  # how Linux says that the other end was closed
            return
        if not data:
            return
        text = decoder.decode(data)
        print(text, end="", flush=True)
        yield text


if __name__ == "__main__":
    sys.exit(main())
