"""A plugin of pytest, `-p outcomes`: it writes what came of each test into the file OUTCOMES, as JSON.

It runs in images; nothing of slimbake is there.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

# What came of a test, the worse the later: setup, call and teardown each have an outcome.
ORDER = ("passed", "skipped", "xfailed", "xpassed", "failed", "error", "not collected")
ADDRESS = re.compile(r"0x[0-9a-f]+")


def pytest_configure(config: Any) -> None:
    """Record in the process that hears of all tests, not in those that run a part."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(os.environ["OUTCOMES"])))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Run one test in EVERY, the same ones everywhere."""
    every = int(os.environ.get("EVERY", "1"))
    kept: list[Any] = []
    left_out: list[Any] = []
    for item in items:
        name = below_site(item.nodeid)
        # An address is another one in each process: such an id cannot be found again.
        chosen = not ADDRESS.search(name) and zlib.crc32(name.encode()) % every == 0
        (kept if chosen else left_out).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)


class Recorder:
    """Keeps the worst outcome of each test."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        self._add(report.nodeid, outcome(report))

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self._add(report.nodeid, "not collected")

    def pytest_sessionfinish(self) -> None:
        self._file.write_text(json.dumps(self._outcomes))

    def _add(self, nodeid: str, came: str) -> None:
        name = below_site(nodeid)
        before = self._outcomes.get(name, ORDER[0])
        self._outcomes[name] = max(before, came, key=ORDER.index)


def below_site(nodeid: str) -> str:
    """A test's id, its path below site-packages."""
    return nodeid.rpartition("site-packages/")[2]


def outcome(report: Any) -> str:
    """What came of one phase of a test."""
    expected_to_fail = hasattr(report, "wasxfail")
    if report.failed:
        return "failed" if report.when == "call" else "error"
    if report.skipped:
        return "xfailed" if expected_to_fail else "skipped"
    return "xpassed" if expected_to_fail else "passed"
