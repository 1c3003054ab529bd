"""Every command of README.md and docs/, on one small fleet: page by page, in the order of a page. Those
that begin a fleet, in a new folder.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.conftest import Toy, docker, fleet
from tests.engine.registries import free_port, loopback_registry
from tests.engine.toys import SMOKE
from tests.ran import ran
from tests.unit.docs.pages import ROOT, blocks, written

pytestmark = [pytest.mark.engine, pytest.mark.slow]

# What needs more than one small fleet and this machine: the beginning of a command, and the test
# that runs it, or the reason why none does.
ELSEWHERE = {
    "cd your-repository": "tests/engine/test_init.py",
    "pip install": "tests/release/test_package.py",
    "uv tool install": "tests/release/test_package.py",
    "make ": "tests/engine/test_fleet.py",
    "slimbake run bulk-ingester": "tests/engine/test_fleet.py",
    'slimbake run client search "How': "tests/engine/test_fleet.py",
    "slimbake init": "tests/engine/test_init.py",
    "slimbake add": "tests/engine/test_docs_commands.py",
    "cosign verify": "tests/engine/test_signatures.py",
    "slimbake check --images embedding-onnx": "tests/engine/test_parity.py",
    "slimbake check --images --record embedding-onnx": "tests/engine/test_parity.py",
    "slimbake export images": "tests/unit/deploy/test_digests.py",
    "slimbake bake embedding-onnx": "tests/engine/test_parity.py",
    "slimbake bake --push --builder": "tests/engine/test_builders.py",
    "docker buildx create": "tests/engine/test_builders.py",
    "export CACHE_": "tests/engine/test_builders.py",
    "export UV_": "tests/lock/test_sources.py",
    "CA_BUNDLE=": "tests/engine/test_offline.py",
    "docker save": "tests/engine/test_offline.py",
    "docker load": "tests/engine/test_offline.py",
    "slimbake bake embedding-cuda": "tests/engine/test_pythons.py",
    "docker buildx bake cuda": "tests/engine/test_pythons.py",
    "slimbake bake api-py313": "tests/engine/test_pythons.py",
    "docker run --rm --user": "tests/engine/test_own_image.py",
}
COMMAND = re.compile(r"(?:\$ )?((?:\w+=\S+ )*(?:slimbake|docker|git|make|pip|uv|cd|export) .*)")
# What a page leaves to its reader, and what it is here; and what bounds a command.
PLACES = {
    "SLIMBAKE_WHEELHOUSE=/path/to/folder": "SLIMBAKE_WHEELHOUSE={wheelhouse}",
    "torch>=2.13": "httpx>=0.27",
    "git commit": "git commit --quiet --allow-empty --message docs",
    "logs api --follow": "logs api",
    "api python:3.11-slim": "api python:3.11-slim-trixie",
    "why torch": "why httpx",
    "'torch/include/**'": "'attr/*.pyi'",
    "docker buildx bake": "docker buildx bake --print",
    "search embedding nlg hybrid": "search embedding nlg hybrid --time 0.05",
}
MAY_END_WITH = {"slimbake debug api python -m pdb": 1}
NAMES = ("api", "search", "client", "embedding", "nlg", "hybrid")


def commands(page: str) -> list[str]:
    """The commands of a page's blocks, without their comments and what they print."""
    found = []
    for block in blocks(""):
        if block.page == page:
            text = re.sub(r" *\\\n *", " ", block.text)
            lines = (re.sub(r"\s+# .*", "", line) for line in text.splitlines())
            found += [known[1] for line in lines if (known := COMMAND.fullmatch(line))]
    return found


def here(command: str) -> bool:
    return not command.startswith(tuple(ELSEWHERE))


FIRST = "docs/get-started/first-fleet.md"
BEGUN = {
    FIRST: commands(FIRST),
    "README.md": ["slimbake add search --base web", "slimbake bake", "slimbake up"],
}
PAGES = [str(page.relative_to(ROOT)) for page in written()]
WALKED = [page for page in PAGES if page != FIRST and any(map(here, commands(page)))]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Toy, dict[str, str]]]:
    """A fleet with the names that the pages use, released under two tags, with two branches."""
    root = tmp_path_factory.mktemp("docs")
    with loopback_registry() as registry, fleet(root) as toy:
        toy.write(
            f"registry: {registry}/{toy.project}\n"
            "bases: {web: {requirements: [attrs, six, idna, httpx]}}\nservices:\n"
            + "".join(_entry(name) for name in NAMES),
            {
                **{f"{name}/{name}/__init__.py": "" for name in NAMES},
                **{f"{name}/{name}/__main__.py": _code(name) for name in NAMES},
                **{f"{name}/smoke.py": SMOKE.replace("app", f"{name}.__main__") for name in NAMES},
                "search/verify.py": "def verify(service):\n    assert service.get('/').status == 200\n",
            },
        )
        for words in (
            ("git", "init", "--quiet", "--initial-branch=main"),
            ("git", "config", "user.email", "docs@example.com"),
            ("git", "config", "user.name", "docs"),
            ("slimbake", "lock"),
            ("git", "add", "."),
            ("git", "commit", "--quiet", "--message", "main"),
            ("git", "branch", "feature"),
            ("slimbake", "bake", "--push"),
            ("slimbake", "bake", "--push", "--tag", "1.2"),
        ):
            run(shlex.join(words), root)
        docker("save", "--output", str(root / "out.tar"), f"{registry}/{toy.project}/api:latest")
        run("slimbake sizes --json > earlier.json", root)
        yield (
            toy,
            {
                "registry": registry,
                "project": toy.project,
                "image": f"{registry}/{toy.project}/api:latest",
                "wheelhouse": os.environ.get("SLIMBAKE_WHEELHOUSE", ""),
            },
        )
        run("slimbake down --volumes", root)


def _entry(name: str) -> str:
    serves = name in ("api", "search")
    kind = "entrypoint" if name == "client" else "command"
    more = f"    port: 8000\n    publish: {free_port()}\n" if serves else ""
    more += "    verify: verify.py\n" if name == "search" else ""
    return (
        f"  {name}:\n    base: web\n    context: {name}\n    {kind}: [python, -m, {name}]\n"
        f"    smoke: {{file: smoke.py, trivial: true}}\n{more}"
    )


def _code(name: str) -> str:
    if name not in ("api", "search"):
        return "import sys\nprint(sys.argv[1:])\n"
    return (
        "import signal, sys\nfrom http.server import HTTPServer, SimpleHTTPRequestHandler\n"
        'if __name__ == "__main__":\n'
        "    signal.signal(signal.SIGTERM, lambda *_: sys.exit())\n"
        '    HTTPServer(("", 8000), SimpleHTTPRequestHandler).serve_forever()\n'
    )


def run(line: str, folder: Path, may_end_with: int = 0) -> None:
    """Run a line of a shell there, whose `slimbake` is this one; show what it said if it fails."""
    ours = f'slimbake() {{ {shlex.quote(sys.executable)} -m slimbake "$@"; }}; {line}'
    done = ran(["bash", "-c", ours], cwd=folder, stdin=subprocess.DEVNULL)
    said = f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
    assert done.returncode in (0, may_end_with), f"{line}\n{said}"


@pytest.mark.parametrize("page", WALKED)
def test_the_commands_of_a_page_run_in_their_order(
    page: str, walked: tuple[Toy, dict[str, str]]
) -> None:
    toy, values = walked
    for command in filter(here, commands(page)):
        line = command
        for said, meant in PLACES.items():
            line = line.replace(said, meant)
        ends = next((code for said, code in MAY_END_WITH.items() if line.startswith(said)), 0)
        run(line.format(**values) if "{" in line else line, toy.root, ends)


@pytest.mark.parametrize("page", BEGUN)
def test_a_fleet_is_begun_as_the_page_says(page: str, tmp_path: Path) -> None:
    manifest = next(each.text for each in blocks("yaml") if each.page == page)
    project = f"slimbake-docs-{uuid.uuid4().hex[:8]}"
    (tmp_path / "services.yaml").write_text(manifest.replace("mine", project))
    assert BEGUN[page][0] in (ROOT / page).read_text("utf-8")
    assert "slimbake bake" in BEGUN[page]
    try:
        for command in BEGUN[page]:
            run(command.replace("buildx bake", "buildx bake --print"), tmp_path)
    finally:
        run("slimbake down --volumes", tmp_path)
        run("slimbake prune --all", tmp_path)


@pytest.mark.parametrize("file", sorted(set(ELSEWHERE.values())))
def test_what_is_run_elsewhere_has_a_test(file: str) -> None:
    assert (ROOT / file).is_file()
