"""Runs slimbake until the moment at which it is killed: `killed.py FILE MOMENT STEPS WORD...`

A moment is a number of things that the process has done to the world: files opened to be written,
renamed and removed, folders made, processes started, connections made. STEPS is how many calls it
makes after that, such as `write` and `close`. No clock is asked: the same numbers kill it in the same
place. Whoever is not killed writes into FILE how many moments there were.
"""

import atexit
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

DONE_TO_THE_WORLD = {
    *("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod"),
    *("subprocess.Popen", "os.posix_spawn", "socket.connect", "fcntl.flock", "shutil.rmtree"),
}
WRITES = os.O_WRONLY | os.O_RDWR


def main() -> int:
    file, moment, steps = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    sys.argv[1:4] = []
    moments = 0

    def step(frame: FrameType, event: str, _: Any) -> None:
        nonlocal steps
        steps -= 1
        if steps <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def seen(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal moments
        if event in DONE_TO_THE_WORLD or (event == "open" and (arguments[2] or 0) & WRITES):
            moments += 1
            if moments == moment:
                sys.setprofile(step)

    def tell() -> None:
        file.write_text(str(moments))

    from slimbake.cli import main

    atexit.register(tell)
    sys.addaudithook(seen)
    return main()


if __name__ == "__main__":
    sys.exit(main())
