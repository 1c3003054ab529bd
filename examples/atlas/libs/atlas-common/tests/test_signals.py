import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
LOADING = """
import time
from atlas_common.signals import end_on_signals
end_on_signals()
print("ready", flush=True)
time.sleep(20)
"""
SERVING = """
import threading, time
from contextlib import asynccontextmanager
from atlas_common.signals import end_on_signals
end_on_signals()
from atlas_common.web import create_app, serve

@asynccontextmanager
async def lifespan(app):
    print("ready", flush=True)
    yield
    print("closed", flush=True)

threading.Thread(target=time.sleep, args=(3600,)).start()  # as a model that computes: Python would wait for it
serve(create_app("sample", lifespan=lifespan), 0)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_service_that_still_loads(number: signal.Signals) -> None:
    assert _ended_by(number, LOADING) == (128 + number, "")


def test_a_signal_ends_a_service_that_computes_once_its_app_has_closed() -> None:
    assert _ended_by(signal.SIGTERM, SERVING) == (128 + signal.SIGTERM, "closed\n")


def _ended_by(number: signal.Signals, code: str) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        try:
            rest, _ = process.communicate()
        finally:
            process.kill()
        return process.returncode, rest
