"""State that is garbled, cut off, of another kind or enormous: each command says so with the file's
name and what to do, or does without it.
"""

import json
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.abuse.conftest import Slimbake
from tests.abuse.machines import tree
from tests.golden.fleets import REPOSITORY, Fleet

from slimbake.ci.model import Record
from slimbake.errors import STALE
from slimbake.fingerprint.folders import LARGE, _seen
from slimbake.host.typed import json_value
from slimbake.host.workspace import Workspace
from slimbake.images.measure import last_measurement
from slimbake.images.sizes import Image, MeasuredLayer, Measurement
from slimbake.release.inputs import last_images
from slimbake.render.generated import update

SEED = 20261127
# Of a fleet with `ci:`, slimbake's own needs no lock of what pipelines install.
FILES = ("services.yaml", "pyproject.toml")
IMAGE = Image("api", "sha256:1", (MeasuredLayer("sha256:d", "sha256:b", 9, 3, 1),))


@dataclass(frozen=True)
class State:
    """A file, and the command that reads it."""

    file: str
    command: tuple[str, ...]
    types: int = 0  # how often one value of it, if it is JSON, becomes one of another type

    def __str__(self) -> str:
        return f"{self.file} of {self.command[0]}"


def mistyped(content: bytes, seed: int) -> bytes:
    """The JSON with one value of another kind, anywhere in it."""
    chance = random.Random(seed)  # noqa: S311
    said = json.loads(content)
    places = list(_places(said))
    path, value = chance.choice(places)
    others: list[Any] = [None, True, -1, 1e308, float("nan"), float("inf"), "", "\x1b[2J\n"]
    others += ["\ud800", [], {}, [[]], {"a": {}}]
    other = chance.choice([each for each in others if type(each) is not type(value)])
    if not path:
        return json.dumps(other).encode()
    *outer, last = path
    inner = said
    for key in outer:
        inner = inner[key]
    if chance.random() < 0.1 and isinstance(inner, dict):
        inner["\udfff"] = inner.pop(last)
    else:
        inner[last] = other
    return json.dumps(said).replace("Infinity", chance.choice(["1e400", "Infinity"])).encode()


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield path, value
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in inner:
            yield from _places(each, (*path, key))


def _garbled(content: bytes) -> bytes:
    chance = random.Random(SEED)  # noqa: S311
    made = bytearray(content)
    for _ in range(max(1, len(made) // 50)):
        made[chance.randrange(len(made))] = chance.randrange(256)
    return bytes(made)


def _a_line_less(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join(line for at, line in enumerate(lines) if at != len(lines) // 2)


HARM: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "a third of it": lambda content: content[: len(content) // 3],
    "cut within the last line": lambda content: content[:-3],
    "a line less": _a_line_less,
    "twice": lambda content: content * 2,
    "garbled": _garbled,
    "not UTF-8": lambda content: content[:9] + b"\xff\xfe" + content[9:],
    "zeros": lambda content: bytes(len(content)),
    "a merge": lambda content: b"<<<<<<< ours\n" + content + b"=======\n>>>>>>> theirs\n",
    "escapes of a terminal": lambda _: b"\x1b]0;owned\x07\x9b2J\r::error::\n",
    "nested without end": lambda _: b"[" * 200_000,
    "a number without end": lambda _: b"9" * 200_000,
    "a line without end": lambda _: b"x" * 5_000_000,
    "another document": lambda _: b'{"version": 1, "packages": [null]}\n',
    "null": lambda _: b"null",
    "a list": lambda _: b"[]",
    "a text": lambda _: b'"text"',
    "half a character": lambda _: b'{"\\ud800": {"asked": "\\udfff", "lock": "\\ud800"}}',
    "a number too large": lambda _: b'{"a": 1e400, "b": [-1e999], "c": NaN}',
}
STATES = [
    State("bake/locks/base-web.txt", ("plan",)),
    State("bake/locks/externals.txt", ("plan",)),
    State("bake/locks/inputs.json", ("plan",)),
    State("bake/dockerfiles/layers/layer_base-web.json", ("check",)),
    State("bake/dockerfiles/api.Dockerfile", ("check",)),
    State("bake/programs/make.pyz", ("check",)),
    State("docker-bake.hcl", ("check",)),
    State("services.yaml", ("plan",)),
    State("examples/atlas/services/api/requirements.txt", ("plan",)),
    State(".slimbake/hashes.json", ("plan", "--since", "HEAD"), 16),
    State(".slimbake/known.json", ("ci", "summary"), 16),
    State(".slimbake/records/plan.json", ("ci", "summary"), 16),
    State(".slimbake/records/lane-0.json", ("ci", "summary"), 16),
    State("bake/sizes.json", ("layers",), 16),
]


def cases() -> Iterator[Any]:
    for state in STATES:
        types = {f"a type {n}": partial(mistyped, seed=SEED + n) for n in range(state.types)}
        for name, harm in {**HARM, **types}.items():
            yield pytest.param(state, harm, id=f"{state}: {name}")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this repository's fleet, with all that it has committed, and the files that the
    jobs of a pipeline leave to each other.
    """
    root = tmp_path_factory.mktemp("example") / "atlas"
    root.mkdir()
    for name in ("bake", "examples", "libs", "templates", ".github"):
        shutil.copytree(REPOSITORY / name, root / name, symlinks=True)
    for name in (*FILES, "docker-bake.hcl", "docker-bake.hcl.j2"):
        shutil.copy(REPOSITORY / name, root)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)  # the workflow lies at its top
    (root / "big.bin").write_bytes(bytes(LARGE))
    stat = (root / "big.bin").lstat()
    jobs = {"shared": [{"services": "api storage"}], "unchanged": "client"}
    files = {
        ".slimbake/hashes.json": {"big.bin": [*_seen(stat), "0" * 64]},
        ".slimbake/records/plan.json": jobs,
        ".slimbake/records/lane-0.json": Record(services=("api",), images=(IMAGE,)).as_json(),
        ".slimbake/known.json": Measurement((IMAGE,)).as_json(),
    }
    for name, said in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(said))
    (root / ".slimbake/.gitignore").write_text("*\n")
    update(Fleet(root).files(), root)
    who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    for words in (("add", "--all"), (*who, "commit", "--quiet", "--message=all")):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


@pytest.mark.parametrize(("state", "harm"), [*cases()])
def test_a_file_that_is_harmed_is_named_or_done_without(
    state: State, harm: Callable[[bytes], bytes], example: Path, slimbake: Slimbake
) -> None:
    file = example / state.file
    kept = file.read_bytes()
    may_change = {str(file)}
    if "summary" in state.command:
        may_change.add(str(example / ".slimbake/known.json"))
    before = tree(example)
    try:
        file.write_bytes(harm(kept))
        done = slimbake(*state.command, at=example)
        assert done.code in {0, STALE} or file.name in done.stderr + done.stdout
        left = tree(example)
        assert {path for path in left if left[path] != before.get(path)} <= may_change
        assert {*before} == {*left}
    finally:
        file.write_bytes(kept)
    assert slimbake(*state.command, at=example).code == 0


ODD = (
    *("1e400", "-1e400", "1e99999", "NaN", "Infinity", "-Infinity", "9" * 5000, "1e308" * 2),
    *('"\\ud800"', '"\\udfff"', '"a\\udbff"', '"\\udc00\\ud800"', '"\\ud800\\ud800"'),
    *('{"\\ud800": 1}', '["a", "\\udead"]', '{"a": {"b": ["\\ud83d"]}}', '"\\ud83d", 1'),
)
FINE = (
    *("1e308", "-0.0", '"\\ud83d\\ude00"', '"\U0001f600"', "7", "null", '{"a": [1.5]}'),
    '"\\\\ud800"',
)


@pytest.mark.parametrize("value", ODD)
def test_json_that_cannot_be_written_is_none(value: str) -> None:
    for text in (value, f"[{value}]", f'{{"a": {value}}}'):
        with pytest.raises(ValueError):
            json_value(text)
        with pytest.raises(ValueError):
            json_value(text.encode())


@pytest.mark.parametrize("value", FINE)
def test_json_that_can_be_written_is_read(value: str) -> None:
    assert json_value(value) == json.loads(value)


def _measured(workspace: Workspace) -> Any:
    found = last_measurement({"api": IMAGE.digest}, workspace)
    return Measurement(found.images).as_json()


READERS: dict[str, tuple[Any, Callable[[Workspace], Any]]] = {
    "baked": ({"api": ["a", "b"]}, last_images),
    "measured": ({IMAGE.digest: [asdict(layer) for layer in IMAGE.layers]}, _measured),
}


@pytest.mark.parametrize("name", READERS)
def test_what_the_workspace_has_that_cannot_be_read_is_discarded(name: str, tmp_path: Path) -> None:
    said, read = READERS[name]
    file = tmp_path / f".slimbake/{name}.json"
    file.parent.mkdir(parents=True)
    kept = json.dumps(said).encode()
    harms = [*HARM.values()]
    harms += [partial(mistyped, seed=SEED + number) for number in range(60)]
    for harm in harms:
        file.write_bytes(harm(kept))
        read(Workspace(tmp_path))
    file.write_bytes(kept)
    assert read(Workspace(tmp_path))
