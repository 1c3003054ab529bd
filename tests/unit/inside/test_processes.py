"""What the kernel says of processes: which signals they take, and who listens."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slimbake.inside.check.processes import catches, listeners

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


HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


def row(address: str, port: int, state: str = "0A") -> str:
    return f"   0: {address}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000\n"


def test_ports_and_whether_they_are_reached_from_outside(tmp_path: Path) -> None:
    any_address, loopback, engine_s_own_names = "00000000", "0100007F", "0B00007F"
    rows = row(any_address, 8000), row(loopback, 9000), row(any_address, 7000, state="01")
    (tmp_path / "tcp").write_text(HEADER + "".join(rows) + row(engine_s_own_names, 33255))
    assert listeners(tmp_path) == {8000: True, 9000: False}
