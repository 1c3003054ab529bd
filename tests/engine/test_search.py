"""`slimbake search`: what opened and what needed is distinguished, exactly; an interrupted search goes
on.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.engine.conftest import ROOT, Toy, docker, fleet, slimbake
from tests.engine.test_interrupt import interruptible
from tests.engine.toys import entry
from tests.index import serving
from tests.patience import wait_for
from tests.wheels import wheel_bytes

pytestmark = pytest.mark.slow

PARTS = [f"part{number:02}" for number in range(20)]
NEEDED = ("part03", "part07", "part12")
# As transformers does: the source of every part is read at import, whether it is needed or not.
INIT = (
    "from pathlib import Path\nread = [path.read_text() for path in"
    " Path(__file__).parent.glob('*/__init__.py')]\n"
)
SMOKE = f"def load():\n    import app\n    from toy_many import {', '.join(NEEDED)}\n"
OPTIONS = ("search", "one", "--least", "10000")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """A service whose package has twenty parts, of which its smoke needs three."""
    folder = tmp_path_factory.mktemp("many")
    files = {
        f"toy_many/{part}/__init__.py": f"name = {part!r}\n# {'.' * 6000}\n".encode()
        for part in PARTS
    }
    files |= {
        "toy_many/__init__.py": INIT.encode(),
        "toy_many/never.py": b"# nobody opens it\n" * 300,
    }
    files |= {"toy_many/LICENSE": b"yours\n"}
    with pytest.MonkeyPatch.context() as patch, serving() as index, fleet(folder) as toy:
        patch.setenv("SLIMBAKE_WHEELHOUSE", str(folder / "wheelhouse"))
        index.publish(
            "toy-many", "toy_many-1-py3-none-any.whl", wheel_bytes("toy-many", "1", files=files)
        )
        toy.write(
            "services:\n" + entry("one", "    requirements: [toy-many]\n"),
            {"one/app.py": f"print({toy.project!r})\n", "one/smoke.py": SMOKE},
        )
        for command in ("lock", "fetch", "bake"):
            done = toy.slimbake(command, env={"UV_DEFAULT_INDEX": index.url})
            assert done.code == 0, done.stderr
        yield toy


def trials(stderr: str) -> int:
    return int(stderr.splitlines()[-1].partition(" trials")[0])


def test_of_twenty_parts_that_are_opened_the_three_that_are_needed_stay(many: Toy) -> None:
    done = many.slimbake(*OPTIONS)
    assert done.code == 0, done.stderr
    found = yaml.safe_load(done.stdout)["passes"]
    assert found["found.one"]["packages"] == {"toy-many": "==1"}
    assert found["found.one"]["remove"] == ["toy_many/**"]
    assert found["found.one"]["keep"] == [
        "toy_many/LICENSE",
        "toy_many/__init__.py",
        *(f"toy_many/{part}/**" for part in NEEDED),
    ]


def test_what_is_found_is_written_beside_the_manifest_and_what_is_there_stays(many: Toy) -> None:
    many.file(
        "passes.yaml",
        "# ours\npasses:\n  mine:\n    about: ours\n    why: w\n    costs: c\n    drop: [toy]\n",
    )
    for _ in range(2):
        done = many.slimbake(*OPTIONS, "--write")
        assert done.code == 0, done.stderr
        assert done.stdout == ""
    text = (many.root / "passes.yaml").read_text()
    assert text.startswith("# ours\npasses:\n  mine:\n    about: ours\n")
    assert list(yaml.safe_load(text)["passes"]) == ["mine", "found.one"]
    assert trials(done.stderr) == 0, "all of it was known"


def test_an_interrupted_search_goes_on_from_there(many: Toy) -> None:
    kept = many.root / ".slimbake" / "search"
    whole = len(answers(kept))
    for path in answers(kept):
        path.unlink()
    with subprocess.Popen(
        [sys.executable, "-m", "slimbake", *OPTIONS],
        cwd=many.root,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=interruptible,
    ) as process:
        wait_for(lambda: len(answers(kept)) >= 6, "six answers", lambda: process.poll() is None)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate()
    assert process.returncode == 130, stderr
    assert "the same command goes on from here" in stderr
    assert (
        docker(
            "ps",
            "--all",
            "--quiet",
            "--filter=label=slimbake.trial",
            f"--filter=ancestor={image(many)}",
        )
        == ""
    )
    first = len(answers(kept))
    done = many.slimbake(*OPTIONS)
    assert done.code == 0, done.stderr
    assert 0 < trials(done.stderr) <= whole - first


def answers(kept: Path) -> list[Path]:
    return list(kept.glob("*/*.json"))


def image(toy: Toy) -> str:
    return docker("image", "inspect", "--format={{.Id}}", toy.image("one")).strip()


@pytest.mark.parametrize(
    ("service", "known"),
    [
        ("embedding", "align auto bert encoder_decoder"),
        ("nlg", "auto diffusion_gemma encoder_decoder gemma"),
    ],
)
def test_of_the_models_of_transformers_no_more_stay_than_are_known_to_be_needed(
    request: pytest.FixtureRequest, service: str, known: str
) -> None:
    if not request.config.getoption("--example"):
        pytest.skip("takes minutes: --example")
    if slimbake("bake", service).code:
        pytest.fail(f"{service} does not bake")
    done = slimbake(
        "search", service, "--layer", "base-ml", "--package", "transformers", "--json", cwd=ROOT
    )
    assert done.code == 0, done.stderr
    found = done.json()["passes"]["found.base-ml"]
    assert "transformers/models/**" in found["remove"]
    models = {glob.split("/")[2] for glob in found["keep"] if glob.count("/") > 2}
    assert len(models) <= len(known.split())
