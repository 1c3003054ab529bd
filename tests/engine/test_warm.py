"""The first bake of a fleet lists what its starts need; what nothing needs goes cold, and works."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from tests.engine.conftest import Toy, docker, fleet, python
from tests.engine.toys import entry
from tests.index import serving
from tests.wheels import wheel_bytes

FILES = {
    "toy_lib/__init__.py": b"",
    "toy_lib/used.py": b"word = 'warm'\n",
    "toy_lib/served.py": b"word = 'served'\n",
    "toy_lib/rare.py": b"word = 'cold'\n" + b"# this weighs a little\n" * 1000,
    "toy_lib/plugins/__init__.py": b"",
    "toy_lib/plugins/one.py": b"",
}
APP = """\
import os, sys
import toy_lib.used
{0}
if __name__ == "__main__":
    import toy_lib.served
    os.listdir(os.path.join(os.path.dirname(toy_lib.__file__), "plugins"))
    print(toy_lib.served.word)
"""
SMOKE = "def imports():\n    import app\n\n    assert app\n"
VERIFY = "def verify(service):\n    assert service.run().stdout == 'served\\n'\n"
LIST = "bake/warm/base-small.txt"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """Two services on a base with one package: one is checked, the other only starts."""
    with fleet(tmp_path_factory.mktemp("warm")) as made, serving() as index:
        wheel = wheel_bytes("toy-lib", "1", files=FILES)
        index.publish("toy-lib", "toy_lib-1-py3-none-any.whl", wheel)
        made.write(
            "bases: {small: {requirements: [toy-lib]}}\nservices:\n"
            + entry("one", "    base: small\n    verify: verify.py\n")
            + "  two: {context: two, base: small, command: [python, -m, app]}\n",
            {
                "one/app.py": APP.format(""),
                "one/smoke.py": SMOKE,
                "one/verify.py": VERIFY,
                "two/app.py": "import toy_lib.plugins.one\nprint('two')\n",
            },
        )
        for command in (("lock",), ("lock", "--fetch")):
            made.done(*command, env={"UV_DEFAULT_INDEX": index.url})
        yield made


@pytest.fixture(scope="module")
def first(toy: Toy) -> str:
    """What the first bake says on stderr."""
    done = toy.done("bake", env={"CI": ""})
    return done.stderr


def lines(toy: Toy) -> list[str]:
    text = (toy.root / LIST).read_text("utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


def layers(toy: Toy, service: str) -> list[str]:
    words = ("image", "inspect", "--format={{json .RootFS.Layers}}", toy.image(service))
    return list(json.loads(docker(*words)))


def test_a_first_bake_lists_what_starts_and_checks_need(toy: Toy, first: str) -> None:
    assert lines(toy) == [
        "toy_lib/__init__.py",
        "toy_lib/plugins/",
        "toy_lib/plugins/__init__.py",
        "toy_lib/plugins/one.py",
        "toy_lib/served.py",
        "toy_lib/used.py",
    ]
    assert f"{LIST}: 6 modules stay warm" in first
    assert "cold module" not in first


def test_a_module_that_went_cold_is_imported_from_the_store(toy: Toy, first: str) -> None:
    image = toy.image("one")
    listed = "import os, posix, toy_lib; print(*('rare.py' in each.listdir(toy_lib.__path__[0])"
    assert python(image, f"{listed} for each in (posix, os)))") == "False False\n"
    assert python(image, "import toy_lib.rare; print(toy_lib.rare.word)") == "cold\n"
    assert python(image, "import toy_lib.used; print(toy_lib.used.word)") == "warm\n"


def test_why_names_the_store_of_a_module_that_went_cold(toy: Toy, first: str) -> None:
    for asked in "toy_lib.rare", "toy_lib/rare.py", "toy_lib.rare.word":
        done = toy.slimbake("why", asked)
        assert done.stdout.startswith(
            "cold (moved: imported from there as before), on base-small, in one"
        ), done.stdout
    assert toy.slimbake("why", "nothing.of.this").code == 3
    unbaked = toy.slimbake("why", "toy_lib.rare", "--tag", "nowhere")
    assert unbaked.code == 7 and "`slimbake bake` builds them" in unbaked.stderr


def test_a_second_bake_builds_nothing_and_changes_no_list(toy: Toy, first: str) -> None:
    before = (toy.root / LIST).stat().st_mtime_ns
    done = toy.done("bake", env={"CI": ""})
    assert re.fullmatch(
        r"unchanged: one, two\n2 unchanged in \d+ s; digests: 0 new, 2 as before; checks: 0 run,"
        r" \d remembered; \+0 B on a host against the last bake\nnext: slimbake up\n",
        done.stderr,
    )
    assert (toy.root / LIST).stat().st_mtime_ns == before


@pytest.mark.slow
def test_the_committed_files_alone_give_the_same_layers(toy: Toy, first: str) -> None:
    before = layers(toy, "one")
    assert toy.slimbake("check").code == 0
    toy.done("bake", "--frozen", "--set", "*.no-cache=true", "one")
    assert layers(toy, "one") == before


@pytest.mark.slow
def test_an_edit_of_a_service_leaves_its_base_and_a_trace_adds_what_it_imports(
    toy: Toy, first: str
) -> None:
    before, base = lines(toy), layers(toy, "one")[:-1]
    # a text that no cache knows: a smoke that comes from one says nothing again
    toy.file("one/app.py", APP.format(f"import toy_lib.rare  # {toy.project}"))
    done = toy.done("bake", env={"CI": ""})
    assert (lines(toy), layers(toy, "one")[:-1]) == (before, base)
    assert (
        "warning: smoke.py imports 1 cold module (toy-lib), with which a start takes longer"
    ) in done.stderr
    again = toy.slimbake("bake", env={"CI": ""})
    assert "cold module" not in again.stderr, "its smoke did not run again"

    checked = toy.slimbake("lock", "--warm", "--check")
    assert checked.code == 4
    assert f"{LIST}: a start uses 1: toy_lib/rare.py from the cold store" in checked.stderr
    assert lines(toy) == before
    toy.done("lock", "--warm")
    assert lines(toy) == sorted([*before, "toy_lib/rare.py"])
    assert toy.slimbake("lock", "--warm", "--check").code == 0
