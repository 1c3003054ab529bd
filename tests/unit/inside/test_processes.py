"""What the kernel says of processes: which signals they take."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from slimbake.inside.check.processes import catches

READY = "print('ready', flush=True); "
HANDLES = f"import signal, time; signal.signal(15, lambda *_: None); {READY} time.sleep(60)"
BLOCKS = f"import signal, time; signal.pthread_sigmask(0, [15]); {READY} time.sleep(60)"
WAITS = f"import signal; signal.pthread_sigmask(0, [15]); {READY} signal.sigwait([15])"  # as tini
SLEEPS = f"import time; {READY} time.sleep(60)"


@contextmanager
def running(code: str) -> Iterator[int]:
    command = [sys.executable, "-ISc", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("code", "expected"), [(HANDLES, True), (BLOCKS, True), (WAITS, True), (SLEEPS, False)]
)
def test_a_process_takes_signals_it_handles_blocks_or_awaits(code: str, expected: bool) -> None:
    with running(code) as pid:
        time.sleep(0.2)  # it has begun to wait: only before that a signal is shown as blocked
        assert catches(pid, signal.SIGTERM) is expected
