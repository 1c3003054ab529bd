"""Options and fixtures that every suite shares."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING
from unittest.mock import MagicMock

import jinja2
import pytest

if TYPE_CHECKING:
    from tests.engine.schedule import Beside
    from xdist.remote import Producer

# Unit tests run with pytest alone: without hypothesis, tests of properties are skipped.
try:
    from hypothesis import HealthCheck, settings
except ImportError:
    absent = MagicMock()
    absent.given = lambda *_, **__: pytest.mark.skip("hypothesis is not installed")
    absent.settings = absent.example = lambda *_, **__: lambda test: test
    sys.modules["hypothesis"] = absent
else:
    # Neither how long an example takes nor how long its making does decides: machines are busy.
    settings.register_profile(
        "slimbake", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.register_profile("fuzz", settings.get_profile("slimbake"), max_examples=10_000)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "slimbake"))

# pytest-timeout: seconds that end what hangs and show where; no machine is that slow
os.environ.setdefault("PYTEST_TIMEOUT", "3600")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite expected files with what comes out"
    )
    parser.addoption(
        "--example",
        action="store_true",
        help="build all eight services where a toy fleet is enough",
    )
    parser.addoption(
        "--begin-within",
        type=float,
        metavar="MINUTES",
        help="begin no test later than this; those left over are skipped and counted",
    )


OUT_OF_TIME = "not run: this machine was too slow for all tests (--begin-within)"


def pytest_configure(config: pytest.Config) -> None:
    """Workers of xdist begin later: they get the moment, not the minutes."""
    if not hasattr(config, "workerinput") and config.option.begin_within is not None:
        os.environ["SLIMBAKE_TESTS_BEGIN_UNTIL"] = str(
            time.time() + 60 * config.option.begin_within
        )


def pytest_runtest_setup(item: pytest.Item) -> None:
    if time.time() > float(os.environ.get("SLIMBAKE_TESTS_BEGIN_UNTIL", "inf")):
        pytest.skip(OUT_OF_TIME)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run in which no test began in time shows nothing, so it does not pass."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and _out_of_time(reporter) and not reporter.stats.get("passed"):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def _out_of_time(reporter: pytest.TerminalReporter) -> list[pytest.TestReport]:
    skipped = reporter.stats.get("skipped", [])
    return [each for each in skipped if OUT_OF_TIME in str(each.longrepr)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if left := _out_of_time(terminalreporter):
        terminalreporter.section(f"{len(left)} tests did not run", red=True, bold=True)
        for report in left:
            terminalreporter.line(report.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Beside | None:
    """Engine tests share what takes long to build; without them, tests are dealt out one by one, as
    xdist does it.
    """
    if config.option.markexpr == "not engine":
        return None
    from tests.engine.schedule import Beside

    # by numbers of tests, which say nothing of how long they take
    config.option.loadscopereorder = False
    return Beside(config, log)


@pytest.fixture(scope="session", autouse=True)
def _templates_are_compiled_once() -> Iterator[None]:
    """Each rendering compiles the templates that it uses: half the time of tests that render."""
    compiled: dict[tuple[str | None, ...], CodeType] = {}
    fresh: Callable[..., CodeType] = jinja2.Environment.compile

    def compile_once(
        self: jinja2.Environment, source: str, name: str | None = None, filename: str | None = None
    ) -> CodeType:
        key = (source, name, filename, self.variable_start_string)
        if key not in compiled:
            compiled[key] = fresh(self, source, name, filename)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jinja2.Environment, "compile", compile_once)
        yield


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with the file that holds what is expected; with --update-golden, write the
    file.
    """

    def compare(expected: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            expected.write_text(text, "utf-8")
        assert expected.read_text("utf-8") == text, f"see {expected}; --update-golden rewrites it"

    return compare
