"""Hostile names and values in a manifest: refused in words that harm no terminal, or in the generated
files as what they are, one value in one place.
"""

import contextlib
import copy
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.abuse.conftest import Slimbake
from tests.golden.fleets import Fleet
from tests.ran import ran

from slimbake.render.generated import update

Manifest = dict[str, Any]
DOCKER = shutil.which("docker")
HARMLESS = "harmless"

PAYLOADS = {
    "interpolation": "${HOME}",
    "interpolation of bake": "${TAG} %{ if true }x%{ endif } $${x}",
    "a command": "$(id) `id`",
    "double quotes": '"',
    "single quotes": "'",
    "a backslash": "\\",
    "a block of HCL": '"\n}\ntarget "evil" {\n  dockerfile-inline = "FROM scratch"\n}\n',
    "an instruction": "x\nRUN id\n",
    "a here-document": "<<EOF\nRUN id\nEOF",
    "a comment": " # x",
    "a mapping of YAML": "a: b",
    "a document of YAML": "x\n---\nservices: {}\n",
    "a tag of YAML": "!!python/object/apply:os.system [id]",
    "an alias of YAML": "*evil",
    "a template of Jinja": "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "an expression of GitHub": "${{ secrets.TOKEN }}",
    "a command of a runner": "x\n::set-output name=a::b\n##[error]x",
    "the title of a terminal": "\x1b]0;owned\x07",
    "a C1 escape": "\x9b2J",
    "a carriage return": "safe\rEVIL",
    "text from right to left": "a\u202egpj.exe",
    "a line separator": "a\u2028RUN id",
    "a byte order mark": "\ufeffa",
    "nothing wide": "a\u200bb",
    "a zero": "a\0b",
    "a surrogate": "a\ud800b",
    "another form": "e\u0301",
    "a way out": "../../../../etc/passwd",
    "an absolute path": "/etc/passwd",
    "an option": "--privileged",
    "fields of CSV": "a,src=/etc/passwd,id=b",
    "another registry": "evil.example/a@sha256:" + "0" * 64,
    "a text without end": "x" * 100_000,
    "many lines": "\n" * 5_000,
    "nothing": "",
    "spaces": "  x  ",
}


def _one(said: Manifest) -> dict[str, Any]:
    made: dict[str, Any] = said["services"]["one"]
    return made


def _set(*keys: str, many: bool = False) -> Callable[[Manifest, str], None]:
    """The value under these keys, alone or as a list of one; `*` is the value itself."""

    def change(said: Manifest, value: str) -> None:
        inner: Any = said
        *outer, last = [value if key == "*" else key for key in keys]
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[last] = [value] if many else value

    return change


def _in_one(*keys: str, many: bool = False) -> Callable[[Manifest, str], None]:
    return _set("services", "one", *keys, many=many)


FIELDS: dict[str, tuple[Callable[[Manifest, str], None], str]] = {
    "project": (_set("project"), HARMLESS),
    "registry": (_set("registry"), HARMLESS),
    "platforms": (_set("platforms", many=True), "linux/amd64"),
    "externals.python": (_set("externals", "python", "image"), "python:3.11-slim"),
    "externals.uv": (_set("externals", "uv", "image"), "uv.example/uv:1"),
    "ci.runners": (_set("ci", "runners", "linux/amd64"), HARMLESS),
    "ci.cache": (_set("ci", "cache"), "none"),
    "a base": (lambda said, value: said["bases"].update({value: {"requirements": []}}), HARMLESS),
    "base": (_set("services", "one", "base"), "web"),
    "base.requirements": (_set("bases", "web", "requirements", many=True), HARMLESS),
    "a service": (lambda said, value: said["services"].update({value: _one(said)}), HARMLESS),
    "requirements": (_in_one("requirements", many=True), HARMLESS),
    "tmpfs": (_in_one("tmpfs", many=True), "/harmless"),
    "system": (_in_one("system", many=True), HARMLESS),
    "context": (_in_one("context"), "one"),
    "smoke": (_in_one("smoke"), "smoke.py"),
    "verify": (_in_one("verify"), "smoke.py"),
    "stop_signal": (_in_one("stop_signal"), "SIGTERM"),
    "user": (_in_one("user"), "65532"),
    "workdir": (_in_one("workdir"), "/harmless"),
    "dockerfile": (_in_one("dockerfile"), "one/Dockerfile"),
    "env": (_in_one("env", "A"), HARMLESS),
    "env, a name": (lambda said, value: _one(said).update(env={value: "a"}), HARMLESS),
    "args": (_in_one("args", "A"), HARMLESS),
    "args, a name": (lambda said, value: _one(said).update(args={value: "a"}), HARMLESS),
    "labels": (_in_one("labels", "a"), HARMLESS),
    "labels, a name": (lambda said, value: _one(said).update(labels={value: "a"}), HARMLESS),
    "contexts": (_in_one("contexts", "a"), "one"),
    "contexts, a name": (lambda said, value: _one(said).update(contexts={value: "one"}), HARMLESS),
    "volumes": (_in_one("volumes", "data"), "/harmless"),
    "volumes, a name": (lambda said, value: _one(said).update(volumes={value: "/a"}), HARMLESS),
    "secrets": (_in_one("secrets", "a", "env"), HARMLESS.upper()),
    "secrets, a file": (_in_one("secrets", "a", "file"), "one/app.py"),
    "secrets, a name": (_in_one("secrets", "*", "env"), HARMLESS),
    "command": (lambda said, value: _one(said).update(command=["python", value]), HARMLESS),
    "entrypoint": (lambda said, value: _one(said).update(entrypoint=["python", value]), HARMLESS),
    "healthcheck": (lambda said, value: _one(said).update(healthcheck=["python", value]), HARMLESS),
    "build": (
        lambda said, value: _one(said).update(build=[{"run": ["python", value], "outputs": ["a"]}]),
        HARMLESS,
    ),
    "weights": (_in_one("weights", "package"), HARMLESS),
    "an unknown key": (_in_one("*"), HARMLESS),
}
MANIFEST: Manifest = {
    "project": "toys",
    "python": "3.11",
    "ci": {"provider": "github"},
    "bases": {"web": {"requirements": ["frame"]}},
    "services": {"one": {"context": "one", "command": ["python"], "smoke": "smoke.py"}},
}


def written(said: Any) -> str:
    """YAML, in which each character that YAML cannot hold is escaped."""
    text = json.dumps(said, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)


def repository(root: Path) -> Path:
    for name in ("one/app.py", "one/smoke.py", "one/Dockerfile"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    (root / ".git").mkdir(exist_ok=True)
    return root


def fleet(root: Path, field: str, value: str) -> None:
    said = copy.deepcopy(MANIFEST)
    FIELDS[field][0](said, value)
    (root / "services.yaml").write_text(written(said), "utf-8")


def there(root: Path, name: str) -> None:
    """Have a file of that name, where there can be one: buildx looks for a secret's."""
    with contextlib.suppress(OSError, ValueError):
        path = root / name
        if path.resolve().is_relative_to(root) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def shape(value: Any) -> Any:
    """What is left of a document without its texts."""
    if isinstance(value, dict):
        return sorted((shape(each) for each in value.values()), key=repr)
    return [shape(each) for each in value] if isinstance(value, list) else type(value).__name__


def shapes(root: Path) -> list[Any]:
    """The structure of each generated file: what a value that breaks out would change."""
    assert DOCKER
    files = Fleet(root).files()
    found: list[Any] = []
    for file in sorted(files, key=lambda file: file.path):
        if file.path.endswith((".yaml", ".yml")):
            found.append(shape(yaml.safe_load(file.text)))
        if file.path.endswith(".Dockerfile"):
            found.append([line.split(" ")[0] for line in file.text.split("\n")])
    update(files, root)
    variables = {key: value for key, value in os.environ.items() if key != "DOCKER_HOST"}
    words = [DOCKER, "buildx", "bake", "--print", "--file", "docker-bake.hcl"]
    done = ran(words, cwd=root, env=variables)
    assert done.returncode == 0, done.stderr
    return [*found, shape(json.loads(done.stdout))]


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What is generated where a field has a value that harms nobody."""
    root = repository(tmp_path_factory.mktemp("harmless"))
    found = {}
    for field, (_, usual) in FIELDS.items():
        if field != "an unknown key":
            fleet(root, field, usual)
            found[field] = shapes(root)
    return found


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_hostile_value_is_refused_or_stays_a_value(
    payload: str, harmless: dict[str, list[Any]], slimbake: Slimbake, tmp_path: Path
) -> None:
    root = repository(tmp_path)
    there(root, PAYLOADS[payload])
    for field in FIELDS:
        fleet(root, field, PAYLOADS[payload])
        done = slimbake("plan", at=root)
        if done.code == 0:
            assert shapes(root) == harmless[field], (field, payload)
        else:
            assert done.code == 2, (field, payload)
            assert len(done.stderr) < 5_000, (field, payload)
