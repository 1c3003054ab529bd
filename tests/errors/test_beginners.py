"""Breakages as a beginner makes them. Each is rated by one question: does the message alone lead to
the fix? It names the place, and says what to write or which command to run.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.lock.conftest import Repo

FLEET = """\
bases:
  web: {requirements: [fastapi]}
services:
  api:
    base: web
    context: api
    requirements: requirements.txt
    command: [uvicorn, "main:app"]
    port: 8000
    smoke: smoke.py
"""
FILES = {"api/main.py": "app = 1\n", "api/requirements.txt": "httpx\n", "api/smoke.py": ""}

Break = Callable[[Repo], object]


def edit(old: str, new: str, file: str = "services.yaml") -> Break:
    """Replace a text of a file."""

    def broken(repo: Repo) -> None:
        text = (repo.root / file).read_text()
        assert old in text
        (repo.root / file).write_text(text.replace(old, new, 1))

    return broken


def add(line: str) -> Break:
    """Another key of the service."""
    return edit("    port: 8000\n", f"    port: 8000\n    {line}\n")


def remove(file: str) -> Break:
    """A file that is not there."""
    return lambda repo: (repo.root / file).unlink()


def write(file: str, text: str) -> Break:
    """A file with this text."""
    return lambda repo: (repo.root / file).write_text(text)


def after(*commands: str) -> Break:
    """What was run before."""
    return lambda repo: [repo.run(*command.split()) for command in commands]


@dataclass(frozen=True)
class Case:
    """What was broken, what is run, and the parts of the message that lead to the fix."""

    name: str
    broken: tuple[Break, ...]
    command: str
    code: int
    leads: tuple[str, ...]


def case(
    name: str, *broken: Break, says: tuple[str, ...], run: str = "check", code: int = 2
) -> Case:
    return Case(name, broken, run, code, says)


CASES = (
    case(
        "a tab",
        edit("    base:", "\tbase:"),
        says=("services.yaml:7:1", r"'\tbase: web'; indent with spaces"),
    ),
    case("no colon", edit("  api:\n", "  api\n"), says=("services.yaml:7:9", "see '  api' and")),
    case(
        "the marks of a merge",
        edit("    port: 8000\n", "<<<<<<< HEAD\n    port: 8000\n=======\n>>>>>>> main\n"),
        says=("services.yaml:12:9", "see '<<<<<<< HEAD' and"),
    ),
    case(
        "a version that YAML reads as a number",
        edit('"3.11"', "3.10"),
        says=("services.yaml:2:9", 'write it in quotes: "3.10"'),
    ),
    case("a version of three parts", edit('"3.11"', '"3.11.4"'), says=("did you mean '3.11'?",)),
    case(
        "a key of compose files",
        edit("port: 8000", 'ports: ["8000:8000"]'),
        says=("services.yaml:11:5: services.api.ports", "did you mean 'port'?"),
    ),
    case(
        "a port in quotes",
        edit("port: 8000", 'port: "8000"'),
        says=("services.yaml:11:11", "write it without quotes: 8000"),
    ),
    case(
        "a command as a shell has it",
        edit('[uvicorn, "main:app"]', "uvicorn main:app"),
        says=("services.yaml:10:14", 'write a list: ["uvicorn", "main:app"]'),
    ),
    case("another name of a base", edit("base: web", "base: wbe"), says=("did you mean 'web'?",)),
    case(
        "packages in one line",
        edit("[fastapi]", "fastapi uvicorn"),
        says=("services.yaml:4:23", "write a list: [fastapi, uvicorn]"),
    ),
    case(
        "a variable that YAML reads as a number",
        add("env: {PYTHONUNBUFFERED: 0}"),
        says=("services.api.env.PYTHONUNBUFFERED", 'write it in quotes: "0"'),
    ),
    case("variables as a list", add("env: [A=1]"), says=('write a mapping: {NAME: "value"}',)),
    case("a name with capitals", edit("  api:\n", "  My_Api:\n"), says=("did you mean 'my-api'?",)),
    case(
        "a database of compose", add("depends_on: [db]"), says=("`start: {with: [db]}` starts it",)
    ),
    case(
        "`build` of compose files",
        edit("context: api", "build: ./api"),
        says=("services.yaml:8:12", "the folder that an image is built from is `context`"),
    ),
    case(
        "a healthcheck as a shell has it",
        add("healthcheck: curl -f http://localhost"),
        says=('write a list: ["curl", "-f", "http://localhost"]',),
    ),
    case(
        "a folder outside",
        edit("context: api", "context: ../api"),
        says=("services.yaml:8:14", "it must lie in or below the manifest's folder"),
    ),
    case(
        "no requirements.txt",
        remove("api/requirements.txt"),
        says=("services.yaml:9:19", "there is no 'api/requirements.txt'"),
    ),
    case("no smoke", edit("smoke.py", "somke.py"), says=("there is no 'api/somke.py'",)),
    case(
        "one equals sign",
        write("api/requirements.txt", "httpx=0.27\n"),
        says=("api/requirements.txt:1:1: 'httpx=0.27'", "httpx>=0.27"),
    ),
    case("another folder", remove("services.yaml"), says=("`slimbake init` writes one",)),
    case("another command", run="bakee", says=("Did you mean 'slimbake bake'?",)),
    case("another service", run="plan apii", says=("did you mean 'api'?",)),
    case("never locked", code=4, says=("base-web, api", "run `slimbake lock`")),
    case(
        "other packages since the lock",
        after("lock"),
        write("api/requirements.txt", "httpx\nfastapi\n"),
        code=4,
        says=("api/requirements.txt", "run `slimbake lock`"),
    ),
    case(
        "an edited lock",
        after("lock"),
        write("bake/locks/api.txt", "<<<<<<< HEAD\n"),
        code=4,
        says=("bake/locks/api.txt was edited", "run `slimbake lock`"),
    ),
    case(
        "never generated",
        after("lock"),
        code=4,
        says=("docker-bake.hcl is missing", "run `slimbake generate`"),
    ),
    case(
        "an edited Dockerfile",
        after("lock", "generate"),
        edit("CMD", "# CMD", "bake/dockerfiles/api.Dockerfile"),
        code=4,
        says=("bake/dockerfiles/api.Dockerfile differs", "run `slimbake generate`"),
    ),
    case(
        "a file of ours that is not ours",
        write("docker-bake.hcl", "# mine\n"),
        run="generate",
        code=2,
        says=("docker-bake.hcl is not slimbake's", "move it away"),
    ),
    case(
        "a package that no index has",
        write("api/requirements.txt", "htpx\n"),
        run="lock",
        says=("api/requirements.txt", "htpx was not found", "correct a name"),
    ),
    case(
        "a version that there is not",
        write("api/requirements.txt", "httpx==99\n"),
        run="lock",
        says=("there is no version of httpx==99", "relax one of these requirements"),
    ),
    case(
        "another version than the base's",
        write("api/requirements.txt", "fastapi==0.1\n"),
        run="lock",
        says=("fastapi==0.1 and fastapi==0.2", "or take the service off that base"),
    ),
    case("a name that is taken", run="add api", says=("services.api is in services.yaml already",)),
    case(
        "no command",
        edit('    command: [uvicorn, "main:app"]\n', ""),
        code=4,
        says=("services.yaml:7:5: services.api: it has no command", "write `command`"),
    ),
    case("an engine that does not run", run="up", code=7, says=("`systemctl start docker`",)),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_the_message_alone_leads_to_the_fix(case: Case, repo: Repo) -> None:
    for version in ("0.1", "0.2"):
        repo.index.add("fastapi", version)
    repo.index.add("httpx", "0.27")
    repo.write(FLEET, FILES)
    for broken in case.broken:
        broken(repo)
    ended = repo.run(*case.command.split())
    assert ended.code == case.code
    assert [part for part in case.leads if part not in ended.stderr] == [], ended.stderr


def test_there_are_thirty_of_them() -> None:
    assert len(CASES) >= 30
