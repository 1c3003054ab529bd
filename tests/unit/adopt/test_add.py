"""`slimbake add`: one more entry, nothing else changed, and a folder that works."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ran import ran
from tests.unit.programs import written as program

from slimbake.adopt.add import add
from slimbake.config import manifest
from slimbake.console import QUIET, Console
from slimbake.errors import ManifestError, UsageError
from slimbake.fleet import resolve
from slimbake.plan import plan

HEAD = 'project: toy\npython: "3.11"\n'
WEB = (
    "bases:\n  web: {requirements: [fastapi, uvicorn>=0.30]}\n"
    "  big: {extends: web, requirements: [numpy]}\n"
)
EMPTY = f"{HEAD}services: {{}}\n"
API = f"{HEAD}services:\n  api:\n    context: services/api\n"


def written(folder: Path, text: str) -> Path:
    """A manifest with a folder for each context that it names."""
    file = folder / "services.yaml"
    file.write_bytes(text.encode())
    for context in re.findall(r"context: +([a-z/-]+)", text):
        (folder / context).mkdir(parents=True, exist_ok=True)
    return file


def begun(root: Path, text: str = EMPTY, name: str = "worker", base: str | None = None) -> Path:
    """The manifest of this text, to which a service was added."""
    file = written(root, text)
    add(file, name, base, None, QUIET)
    return file


def added(file: Path, base: str | None = None) -> str:
    """What `add` put into the file; everything else must be as it was."""
    before = file.read_bytes().decode()
    add(file, "worker", base, None, QUIET)
    after = file.read_bytes().decode()
    start = next(i for i in range(len(after)) if before[i : i + 1] != after[i])
    end = len(before) - start
    assert after.endswith(before[start:])
    return after[start : len(after) - end]


def entry(context: str = "services/worker", port: int = 8000, indent: int = 2) -> str:
    """The entry of a service `worker` on the runtime."""
    keys = (f"context: {context}", "command: [python, -m, worker]", f"port: {port}")
    lines = ["worker:", *(f"  {key}" for key in (*keys, "smoke: smoke.py"))]
    return "".join(f"{' ' * indent}{line}\n" for line in lines)


def test_the_entry_comes_last_and_the_plan_has_the_service_and_its_smoke(tmp_path: Path) -> None:
    file = written(tmp_path, API.replace("services:", f"{WEB}services:") + "    port: 8000\n")
    text = added(file, base="big")
    on_big = entry(port=8001).replace("    context", "    base: big\n    context", 1)
    assert text == "\n" + on_big.replace("-m, worker", "-m, worker_service")
    checked = manifest(file)
    assert [service.name for service in checked.services] == ["api", "worker"]
    decided = plan(resolve(checked))
    assert decided.target("worker-smoke").needs == ("inside", "worker")
    assert dict(decided.target("worker").contexts)["base"] == "target:base-big"


def test_comments_quotes_and_odd_layout_stay_as_they_were(tmp_path: Path) -> None:
    text = f"""\
# the fleet
{HEAD}services:   # ours
    'api' :
          context:   services/api   # code
          env: {{A:   "x",   B: 'y'}}


    # the second
    jobs:
          context: services/jobs
          # port: 1
    # retired:
    #   context: services/retired

# the end
platforms:   [linux/amd64]
"""
    file = begun(tmp_path, text)
    before, after = text.split("\n# the end")
    assert file.read_text() == f"{before}\n{entry(indent=4)}\n# the end{after}"


LAYOUTS = {
    "CRLF and a byte order mark": (
        f"\ufeff{API}".replace("\n", "\r\n"),
        f"\n{entry()}".replace("\n", "\r\n"),
    ),
    "no end of the last line": (
        f"{HEAD}services:\n  api: {{context: services/api}}",
        f"\n\n{entry()}",
    ),
    "no empty lines": (f"{API}  jobs:\n    context: services/jobs\n", f"\n{entry()}"),
    "an alias": (f"{API.replace('api:', 'api: &one')}  jobs: *one\n", f"\n{entry()}"),
    "a merge": (f"{API.replace('api:', 'api: &one')}  jobs:\n    <<: *one\n", f"\n{entry()}"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_of_a_file_stays(tmp_path: Path, layout: str) -> None:
    text, more = LAYOUTS[layout]
    assert added(written(tmp_path, text)) == more


def test_the_first_service_takes_the_place_of_the_empty_braces(tmp_path: Path) -> None:
    file = begun(tmp_path, f"{HEAD}services: {{}}  # none yet\nplatforms: [linux/amd64]\n")
    assert file.read_text() == f"{HEAD}services:  # none yet\n{entry()}platforms: [linux/amd64]\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}services: {{api: {{context: services/api}} }}\n",
        '{"project": "toy", "python": "3.11", "services": {}}\n',
        f"<<: {{services: {{api: {{context: services/api}} }} }}\n{HEAD}",
        # the empty line that parts two services would become part of this text
        f"{API}    env:\n      NOTE: |+\n        a\n",
    ],
)
def test_the_entry_is_shown_where_a_layout_cannot_be_extended(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(UsageError) as raised:
        add(file, "worker", None, None, QUIET)
    said = "services.yaml is laid out in a way that cannot be extended safely"
    assert raised.value.message == said
    assert raised.value.hint == "put this in by hand:\n" + entry()
    assert file.read_text() == text
    assert not (tmp_path / "services/worker").exists()


def test_a_name_that_yaml_reads_as_something_else_is_quoted(tmp_path: Path) -> None:
    file = begun(tmp_path, name="on")
    assert 'services:\n  "on":\n    context: services/on\n' in file.read_text()
    assert manifest(file).services[0].name == "on"


@pytest.mark.parametrize(
    ("ports", "expected"),
    [([], 8000), ([8004, 8001], 8005), ([65535], 8000), ([65535, 8000], 8001)],
)
def test_the_port_is_one_above_the_highest(tmp_path: Path, ports: list[int], expected: int) -> None:
    services = [f"  s{port}:\n    context: services/x\n    port: {port}\n" for port in ports]
    (tmp_path / "services/x").mkdir(parents=True)
    file = begun(tmp_path, f"{HEAD}services:\n{''.join(services)}" if services else EMPTY)
    assert manifest(file).services[-1].port == expected


def test_the_folder_lies_where_the_others_lie(tmp_path: Path) -> None:
    contexts = {"root": ".", "a": "apps/a", "b": "apps/b"}
    services = [f"  {name}:\n    context: {folder}\n" for name, folder in contexts.items()]
    begun(tmp_path, f"{HEAD}services:\n{''.join(services)}")
    assert (tmp_path / "apps/worker/worker/app.py").is_file()


@pytest.mark.parametrize("name", ["queue", "class", "tests", "numpy"])
def test_a_package_never_hides_a_module_that_the_service_needs(tmp_path: Path, name: str) -> None:
    file = begun(tmp_path, f"{HEAD}{WEB}services: {{}}\n", name, "big")
    assert manifest(file).services[0].command == ("python", "-m", f"{name}_service")
    assert (tmp_path / f"services/{name}/{name}_service/app.py").is_file()


def test_a_server_of_the_standard_library_says_where_it_listens(tmp_path: Path) -> None:
    add(written(tmp_path, EMPTY), "worker", None, 9000, QUIET)
    program = (tmp_path / "services/worker/worker/__main__.py").read_text()
    assert "PORT = 9000" in program
    assert 'print(f"listening on http://0.0.0.0:{PORT}", flush=True)' in program, "`up` reads it"


def test_templates_of_the_repository_win_file_by_file(tmp_path: Path) -> None:
    own = tmp_path / "templates/service-skeleton/stdlib/package/app.py.j2"
    own.parent.mkdir(parents=True)
    own.write_text("# {{ name }} at {{ port }}\n")
    add(written(tmp_path, EMPTY), "worker", None, 9000, QUIET)
    assert (tmp_path / "services/worker/worker/app.py").read_text() == "# worker at 9000\n"
    assert (tmp_path / "services/worker/smoke.py").is_file()


def test_what_was_written_and_what_to_do_next_are_reported(tmp_path: Path) -> None:
    said: list[str] = []
    file = written(tmp_path, f"{HEAD}{WEB}services: {{}}\n")
    following = add(file, "worker", "web", None, Console(said.append))
    assert said == [
        "wrote services.yaml",
        "wrote services/worker/smoke.py",
        "wrote services/worker/worker_service/__init__.py",
        "wrote services/worker/worker_service/__main__.py",
        "wrote services/worker/worker_service/app.py",
    ]
    assert following[0] == "services.worker: a FastAPI app, port 8000, on base web"
    assert "  slimbake bake worker   builds it and runs its smoke" in following


NO_NAME = "cannot be the name of a service"
REFUSED = {
    "Worker": (f"services.Worker: 'Worker' {NO_NAME}", "did you mean 'worker'?"),
    "../x": (f"services.\"../x\": '../x' {NO_NAME}", "did you mean 'x'?"),
    "a: {b": (f"services.\"a: {{b\": 'a: {{b' {NO_NAME}", "did you mean 'a-b'?"),
    "runtime": ("services.runtime: 'runtime' is a name of slimbake's own", "another name"),
    "worker": ("services.worker.base: unknown base 'wbe'", "did you mean 'web'?"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_manifest_would_refuse_leaves_no_trace(tmp_path: Path, name: str) -> None:
    message, hint = REFUSED[name]
    text = API.replace("services:", f"{WEB}services:") + "    port: 8000\n"
    file = written(tmp_path, text)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError) as raised:
        add(file, name, "wbe" if name == "worker" else None, None, QUIET)
    assert raised.value.message == f"the service '{name}' cannot be added: {message}"
    assert hint in raised.value.hint
    assert file.read_text() == text
    assert sorted(tmp_path.rglob("*")) == before


def test_a_service_that_is_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^services\.api is in services\.yaml already$"):
        begun(tmp_path, API, "api")


def test_a_folder_that_is_there_is_never_touched(tmp_path: Path) -> None:
    file = written(tmp_path, API)
    (tmp_path / "services/worker").symlink_to("nowhere")
    with pytest.raises(UsageError) as raised:
        add(file, "worker", None, None, QUIET)
    assert raised.value.message == "services/worker exists already"
    assert raised.value.hint == (
        "`slimbake init --service worker` reads its Dockerfile; or choose another name"
    )
    assert "worker" not in file.read_text()


def test_a_parent_that_leads_out_of_the_repository_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    inside = tmp_path / "inside"
    inside.mkdir()
    file = written(inside, EMPTY)
    (inside / "services").symlink_to(outside)
    with pytest.raises(UsageError, match="is a link that leads out of the repository"):
        add(file, "worker", None, None, QUIET)
    assert list(outside.iterdir()) == []


def test_a_manifest_that_is_wrong_already_is_reported_as_it_stands(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as raised:
        begun(tmp_path, f"{API}    prot: 1\n")
    assert raised.value.problems[0].line == 6


def test_a_manifest_that_is_a_link_stays_a_link(tmp_path: Path) -> None:
    real = written(tmp_path, EMPTY)
    real.chmod(0o640)
    link = tmp_path / "fleet.yaml"
    link.symlink_to(real.name)
    add(link, "worker", None, None, QUIET)
    assert link.is_symlink()
    assert manifest(real).services[0].name == "worker"
    assert real.stat().st_mode & 0o777 == 0o640


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def smoke(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a service's smoke as the build does: from the folder with its code, by slimbake's own
    runner.
    """
    return ran(
        [sys.executable, "-ISB", program("check", folder.parent), "smoke", f"--context={folder}"],
        cwd=folder,
        env={**os.environ, "SLIMBAKE_SMOKE": "smoke.py", "PYTHONDONTWRITEBYTECODE": "1"},
    )


BREAKS = {
    "an answer": ("app.py", '"status": "ok"', '"status": "no"'),
    "the work": ("app.py", '"/echo"', '"/gone"'),
    "the start": ("__main__.py", "import", "raise SystemExit(3)\nimport"),
    "the import": ("app.py", "from", "import nothing_of_this_name\nfrom"),
}


@pytest.mark.parametrize("base", ["web", None])
def test_the_smoke_of_a_new_app_fails_with_the_app(tmp_path: Path, base: str | None) -> None:
    file = written(tmp_path, f"{HEAD}{WEB}services: {{}}\n")
    add(file, "my-worker", base, free_port(), QUIET)
    folder = tmp_path / "services/my-worker"
    held = smoke(folder)
    assert held.returncode == 0, held.stderr
    assert re.findall(r"smoke: (\w+) passed", held.stderr) == ["import", "load"]
    for what, (name, good, bad) in BREAKS.items():
        path = folder / ("my_worker_service" if base else "my_worker") / name
        sound = path.read_text()
        path.write_text(sound.replace(good, bad, 1))
        assert path.read_text() != sound, what
        assert smoke(folder).returncode == 1, what
        path.write_text(sound)


def test_a_smoke_fails_where_the_service_ignores_sigterm(tmp_path: Path) -> None:
    file = written(tmp_path, EMPTY)
    add(file, "worker", None, free_port(), QUIET)
    main = tmp_path / "services/worker/worker/__main__.py"
    deaf = re.sub(r"lambda \*_: .*\)$", "signal.SIG_IGN)", main.read_text(), flags=re.MULTILINE)
    assert "SIG_IGN" in deaf
    main.write_text(deaf)
    checks = tmp_path / "services/worker/smoke.py"
    checks.write_text(checks.read_text().replace("START, END = 20, 5", "START, END = 20, 0.2"))
    failed = smoke(tmp_path / "services/worker")
    assert failed.returncode == 1
    assert "TimeoutExpired" in failed.stderr


def test_what_a_killed_run_has_laid_is_taken_up(tmp_path: Path) -> None:
    file = written(tmp_path, API)
    add(file, "two", None, 8009, QUIET)
    done = file.read_text()
    file.write_text(API)
    add(file, "two", None, 8009, QUIET)
    assert file.read_text() == done
    file.write_text(API)
    next(tmp_path.rglob("smoke.py")).write_text("")
    with pytest.raises(UsageError, match="exists already"):
        add(file, "two", None, 8009, QUIET)
