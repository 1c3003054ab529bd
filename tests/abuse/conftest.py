"""The campaign: slimbake under attack (docs/security.md has its table)."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.abuse.homes import References
from tests.abuse.machines import OTHERS, Ended, documented, settings
from tests.index import Index, serving

from slimbake.cli import main
from slimbake.externals import resolve as externals


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.engine)  # few need one, but all of them take minutes


@dataclass(frozen=True)
class Slimbake:
    """The command line in this process, in a folder."""

    capture: pytest.CaptureFixture[str]

    def __call__(self, *words: str, at: Path) -> Ended:
        self.capture.readouterr()
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        variables = dict(os.environ)  # `--builder` sets one, for every process that it starts
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(at)
            patch.setattr(sys, "argv", ["slimbake", *words])
            patch.setattr("slimbake.docker.engine.BUILDER_TRIES", 1)  # none comes up meanwhile
            try:
                code = main()
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)
                os.environ.clear()
                os.environ.update(variables)
        shown = self.capture.readouterr()
        return documented(code, shown.out, shown.err)


@pytest.fixture
def slimbake(capsys: pytest.CaptureFixture[str], machine: Path) -> Slimbake:
    return Slimbake(capsys)


@pytest.fixture(scope="module")
def index() -> Iterator[Index]:
    """The package index that the machine knows: four packages that need each other."""
    with serving() as made:
        made.add("core", "1")
        made.add("frame", "1", ["core"])
        made.add("leaf", "1")
        made.add("tool", "1", ["leaf", "core"])
        yield made


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, index: Index) -> Iterator[Path]:
    """A machine that has nothing: its folders are here, and neither engine nor registry answers."""
    made = tmp_path_factory.mktemp("machine")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.upper().startswith(OTHERS)]:
            patch.delenv(name)
        for name, value in settings(made, index).items():
            patch.setenv(name, value)
        externals.in_registry.cache_clear()
        yield made


@pytest.fixture(scope="module")
def references(index: Index) -> Iterator[References]:
    """What commands come to that nobody disturbs."""
    with tempfile.TemporaryDirectory(prefix="abuse-") as folder:
        yield References(Path(folder), index)
