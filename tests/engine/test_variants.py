"""Variants as images: the default keeps its name and tag, the others are built where they are asked
for.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.engine.conftest import Toy, docker, fleet
from tests.engine.toys import held, text_of

pytestmark = pytest.mark.slow

MANIFEST = text_of("variants.yaml")
APP = """\
import importlib.util
import os

print(os.environ.get("KIND"), importlib.util.find_spec("markupsafe") is not None)
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    with fleet(tmp_path_factory.mktemp("variants")) as made:
        smoke = "def imports():\n    import app\n"
        made.write(MANIFEST, {"tool/app.py": APP + f"# {made.project}\n", "tool/smoke.py": smoke})
        yield made


def test_a_bake_builds_the_default_of_each_service_and_a_variant_where_it_is_asked_for(
    toy: Toy,
) -> None:
    done = toy.done("bake", "--json")
    assert sorted(done.json()["images"]) == ["other", "tool"]
    assert docker("run", "--rm", toy.image("tool")) == "plain False\n"
    assert not held(toy.image("tool", "latest-fast"))

    done = toy.done("bake", "tool-fast", "--json")
    assert list(done.json()["images"]) == ["tool-fast"]
    assert docker("run", "--rm", toy.image("tool", "latest-fast")) == "fast True\n"
    assert docker("run", "--rm", toy.image("tool")) == "plain False\n"


def test_a_variant_is_released_only_when_its_own_smoke_holds(toy: Toy) -> None:
    toy.file(
        "tool/smoke.py",
        "def imports():\n    import os\n\n    assert os.environ['KIND'] == 'plain'\n",
    )
    toy.done("bake", "tool", "--tag=2")
    done = toy.slimbake("bake", "tool-fast", "--tag=2")
    assert done.code == 6
    assert "the smoke of tool-fast failed" in done.stderr
    assert held(toy.image("tool", "2"))
    assert not held(toy.image("tool", "2-fast"))
