"""Programs that look at packages in their own ways do in an optimised image what they do without."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.engine.conftest import Toy, call
from tests.engine.toys import SMOKE

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

PROGRAMS = sorted((Path(__file__).parents[1] / "fixtures/programs").glob("*.py"))
PACKAGES = (
    "alembic celery coverage cython debugpy django gevent hypothesis ipython mypy numpy pytest sphinx"
    " sqlalchemy twisted"
)
ENTRY = "  {0}: {{context: one, command: [python, -m, app], smoke: smoke.py, requirements: requirements.txt{1}}}\n"


@pytest.fixture(scope="module")
def toy(shared_toy: Toy) -> Toy:
    """One service with and without optimisation."""
    shared_toy.write(
        "services:\n" + ENTRY.format("one", "") + ENTRY.format("plain", ", optimize: false"),
        {
            "one/app.py": f"import django  # {shared_toy.project}\n",
            "one/smoke.py": SMOKE,
            "one/requirements.txt": PACKAGES.replace(" ", "\n") + "\n",
        },
    )
    for command in ("lock", "bake"):
        shared_toy.done(command)
    return shared_toy


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_does_what_it_does_without_optimisation(toy: Toy, program: Path) -> None:
    words = ["docker", "run", "--rm", "-i", "--tmpfs=/tmp", "--env=HOME=/tmp"]
    words += ["--entrypoint=python"]
    code = program.read_text()
    plain, one = (call(*words, toy.image(service), "-", stdin=code) for service in ("plain", "one"))
    assert plain.code == 0 and plain.stdout, plain.stderr
    assert (one.code, one.stdout) == (0, plain.stdout), one.stderr
