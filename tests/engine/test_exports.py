"""The tests of the programs that export models, run where these run: on the base that has torch and
the exporter.

`pytest tests/engine/test_exports.py --example` runs all of them: nine minutes alone.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest
from tests.engine.conftest import ROOT, call

from slimbake.console import Console
from slimbake.project import load
from slimbake.release.bake import bake
from slimbake.release.command import BakeOptions
from slimbake.release.place import built_in_engine
from slimbake.release.site import hold

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

BASE = "base-ml-export"
EXAMPLE = "examples/atlas"
TESTS = ("tests/export", f"{EXAMPLE}/services/nlg/tests")
SOME = ("Llama", "nlg", "generation", "torchs", "reranker")  # of each kind
# pytest is the development environment's, which stands last: all that both have is the image's.
RUN = "import sys; sys.path.append('/pytest'); import pytest; sys.exit(pytest.main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def image() -> str:
    with hold(load(ROOT / "services.yaml"), Console(print), (BASE,)) as site:
        site = site.stocked((BASE,))
        # It is no image of anybody's, so it has no name of its own, without which it would be gone
        # when this ends.
        sets = (
            f"{BASE}.output=type=docker",
            f"{BASE}.tags=slimbake/{site.plan.project}/{BASE}:built",
        )
        result = bake(site, (BASE,), BakeOptions(sets=sets), checks=False)
        (built,) = built_in_engine(result.left, result)
        return built.image


def test_exported_models_answer_as_torch_does(image: str, request: pytest.FixtureRequest) -> None:
    shown = ("src", "tests", "examples", "libs", "pyproject.toml")
    mounts = [f"--volume={ROOT / name}:/repository/{name}:ro" for name in shown]
    mounts += [f"--volume={Path(sysconfig.get_path('purelib'))}:/pytest:ro"]
    variables = ("PYTHONPATH=/repository/src", "HOME=/tmp", "PYTHONDONTWRITEBYTECODE=1")
    settings = [f"--env={variable}" for variable in variables]
    bare = ("--rm", "--read-only", "--network=none", "--tmpfs=/tmp", "--workdir=/repository")
    words = (*bare, *settings, *mounts)
    options = ["-q", "-p", "no:cacheprovider"]
    if not request.config.getoption("--example"):
        options += ["-k", " or ".join(SOME)]
    done = call("docker", "run", *words, "--entrypoint=python", image, "-c", RUN, *options, *TESTS)
    assert done.code == 0, done.stdout[-5000:] + done.stderr[-1000:]
    assert " skipped" not in done.stdout, done.stdout[-2000:]
