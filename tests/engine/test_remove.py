"""`remove:` and `keep:`: what goes, what says so, and what the checks of an image refuse."""

from __future__ import annotations

import pytest
from tests.engine.conftest import Toy, call, inspected
from tests.engine.toys import entry, held
from tests.index import serving
from tests.wheels import wheel_bytes

FILES = {
    "toy_lib/__init__.py": b"",
    "toy_lib/models/__init__.py": b"",
    "toy_lib/models/auto.py": b"",
    "toy_lib/models/rare.py": b"word = 'rare'\n",
}
BASE = """\
bases:
  small: {requirements: [toy-lib], remove: [toy_lib/models/*.py], keep: [toy_lib/models/auto.py]}
services:
"""
LINE = "services.yaml: bases.small.remove: toy_lib/models/*.py"


@pytest.fixture(scope="module")
def toy(shared_toy: Toy) -> Toy:
    """A service on a base that removes a part of its package."""
    shared_toy.write(
        BASE + entry("one", "    base: small\n"),
        {
            "one/app.py": f"import toy_lib  # {shared_toy.project}\n",
            "one/smoke.py": "def imports():\n    import app\n    import toy_lib.models.auto\n",
        },
    )
    with serving() as index:
        wheel = wheel_bytes("toy-lib", "1", files=FILES)
        index.publish("toy-lib", "toy_lib-1-py3-none-any.whl", wheel)
        for command in (("lock",), ("lock", "--fetch"), ("bake",)):
            shared_toy.done(*command, env={"UV_DEFAULT_INDEX": index.url})
    return shared_toy


def test_a_failing_import_and_why_name_the_line_of_the_manifest(toy: Toy) -> None:
    words = ("docker", "run", "--rm", "--entrypoint=python", toy.image("one"), "-c")
    done = call(*words, "import toy_lib.models.auto, toy_lib.models.rare")
    assert f"No module named 'toy_lib.models.rare': {LINE} removed it" in done.stderr
    for asked in (LINE, "toy_lib.models.rare"):
        said = toy.slimbake("why", asked)
        assert said.stdout.startswith(f"{LINE}, in one"), (said.stdout, said.stderr)
    labels = inspected(toy.image("one"), ".Config.Labels")
    assert labels["slimbake.promise"] == "removes"


def test_a_check_that_needs_a_file_that_the_manifest_removes_fails(toy: Toy) -> None:
    tag = held(toy.image("one"))
    before = toy.edit("keep: [toy_lib/models/auto.py]", "keep: [x.py]")
    done = toy.slimbake("bake")
    toy.file("services.yaml", before)
    assert done.code == 6, done.stderr
    assert f"No module named 'toy_lib.models': {LINE} removed it" in done.stderr
    assert held(toy.image("one")) == tag
