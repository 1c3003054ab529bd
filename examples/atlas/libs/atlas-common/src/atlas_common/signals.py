"""How a service ends."""

import os
import signal


def end_on_signals() -> None:
    """Let SIGTERM and SIGINT end the process: from now on, and once uvicorn, which catches them,
    has shut down.

    Call it before what takes seconds to load: process 1 of a container ignores signals that it has
    no handler for.
    """
    # Not sys.exit: Python would wait for threads that still compute and then take torch apart,
    # which is 2 to 3 of the 5 seconds that a container has. Apps have closed their files by then.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda caught, _: os._exit(128 + caught))
