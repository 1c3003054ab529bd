"""One way through the packages: who may import whom, what a pure module reaches, who starts which program."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((SOURCE / "slimbake").rglob("*.py"))
}

ORDER = (
    *("errors", "console", "inside", "host", "docker", "registry", "images", "config"),
    *("catalogue", "fleet", "externals", "lock", "layers", "plan", "render", "fingerprint"),
    *("project", "adopt", "checks", "release", "deploy", "ci", "report", "cli"),
)
"""From the ground up: a package imports only what stands above it here (docs/architecture.md)."""

PURE = (
    *("host.names", "host.sources", "host.typed", "host.wheels"),
    *("config.model", "config.naming", "config.parity", "config.removal", "fleet", "plan"),
    *("render.quoting", "render.workflow", "render", "lock.model", "lock.text", "lock.explain"),
    *("layers.compilers", "layers.model", "layers.order", "report.layers", "images.sizes"),
    *("images.detail", "images.views", "images.report", "console.tables"),
    *("registry.address", "registry.documents", "registry.errors", "fingerprint.model"),
    *("host.dockerignore", "fingerprint.dockerfile", "fingerprint.instructions"),
    *("fingerprint.steps", "fingerprint.compare"),
    *(
        f"adopt.{each}"
        for each in (
            "shell",
            "dockerfile",
            "files",
            "projects",
            "commands",
            "needs",
            "code",
            "differences",
            "compose",
        )
    ),
    *(f"adopt.{each}" for each in ("rule", "services", "writer")),
    *("checks.cure", "checks.missing", "checks.readonly", "release.command", "release.events"),
    *("release.sbom_document", "release.sbom_model", "ci.matrix", "ci.model", "ci.summary"),
)
"""Values in, values out. A package stands for its `__init__`, and for all its modules if no module of it is named."""

IMPURE = {
    *("os", "sys", "io", "pathlib", "subprocess", "socket", "shutil", "tempfile", "time", "random"),
    *("signal", "threading", "uv", "python_on_whales", "platformdirs", "click", "urllib.request"),
}
ALLOWED = {
    # Buffers in memory, a path as a value, paths without a file system: nothing is opened.
    "render": {"io"},
    "render.compose": {"io"},
    "render.quoting": {"io"},
    "config.model": {"pathlib"},
    "fleet.model": {"pathlib"},
    "checks.missing": {"sys"},  # the names of the standard library
    "plan": {"pathlib"},
    "plan.targets": {"pathlib"},
    "plan.parity": {"pathlib"},
}

PROGRAMS = {
    "docker": {"docker", "dockerd"},
    "host": {"git", "apt-get", "apt-cache", "apt-config", "systemctl", "journalctl"},
    "externals": {"mmdebstrap"},
    "release": {"grype", "trivy"},
}
"""Which package starts which programs, by the first word of a command."""

IN_CONTAINERS = {("inside", "apt-get")}
"""Started in containers, where the programs are those of an image and not this machine's."""


def package(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def _imports(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
            for _ in range(node.level - 1):
                parent = parent.rpartition(".")[0]
            origin = ".".join(filter(None, (parent if node.level else "", node.module or "")))
            for alias in node.names:
                name = f"{origin}.{alias.name}"
                yield name if name in MODULES else origin


@cache
def imports(module: str) -> tuple[str, ...]:
    """Every module that one imports: at once, in a function, or for the type checker."""
    return tuple(_imports(module))


@cache
def reached(module: str) -> frozenset[str]:
    """All that comes in with a module: what it imports, and what that imports, whenever it does so."""
    found: set[str] = set()
    stack = [module]
    while stack:
        for name in imports(stack.pop()):
            if name not in found:
                found.add(name)
                stack += [name] if name in MODULES else []
    return frozenset(found)


def pure_modules() -> list[str]:
    named = {f"slimbake.{name}" for name in PURE}
    whole = {name for name in named if not any(other.startswith(f"{name}.") for other in named)}
    return [m for m in MODULES if m in named or m.startswith(tuple(f"{name}." for name in whole))]


def test_every_package_has_its_place() -> None:
    assert {package(module) for module in MODULES} - {"", "__main__"} == set(ORDER)


def test_a_package_imports_only_what_stands_above_it() -> None:
    found = {
        (package(module), package(name))
        for module in MODULES
        for name in imports(module)
        if package(module) in ORDER and name.startswith("slimbake.") and package(name) in ORDER
        if ORDER.index(package(name)) > ORDER.index(package(module))
    }
    assert found == set()


def test_every_pure_module_is_there() -> None:
    assert {f"slimbake.{name}" for name in PURE} <= set(MODULES)


@pytest.mark.parametrize("module", pure_modules())
def test_a_pure_module_reaches_no_process_and_no_machine(module: str) -> None:
    impure = {"subprocess", "uv", "python_on_whales", "click", "platformdirs"}
    assert reached(module) & impure == set()
    others = {name for name in reached(module) if name.startswith("slimbake.")}
    packages = {package(name) for name in others - set(pure_modules())}
    assert packages & {"host", "docker", "cli"} == set()


@pytest.mark.parametrize("module", pure_modules())
def test_a_pure_module_has_no_files_no_clock_and_no_environment(module: str) -> None:
    found = set(imports(module)) & IMPURE
    assert found == ALLOWED.get(module.removeprefix("slimbake."), set()) & found
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert calls & {"open", "print", "input", "exec", "eval"} == set()


OPENING = {
    "host.files": "`content`, which opens what lies in a repository; this machine's state; a word's file",
    "host.git": "a commit that was fetched for this archive, and settings that it writes itself",
    "host.kernel": "what the kernel says of this process and of the machine",
    "host.machine": "pip's settings",
    "host.uv": "uv's answer",
    "catalogue": "slimbake's own",
    "config.structure": "slimbake's own",
    "render.generated": "slimbake's own templates and schema, and the package that exports models",
    "report": "slimbake's own page",
    "fingerprint.gather": "slimbake's own template",
    "fingerprint.folders": "contexts, hashed: links are not followed, and nothing of it is shown",
    "lock.contents": "wheels in the wheelhouse",
    "lock.resolve": "uv's answer",
    "lock.wheelhouse.sources": "archives in the wheelhouse",
    "registry.session": "Docker's settings",
    "ci.tool": "slimbake's own requirements, uv's answer",
    "cli": "its own standard streams",
    "docker.volumes": "a stream of the engine",
    "externals.debs": "an answer of apt",
    "externals.interpreters": "an answer of a build",
    "images.streams": "a stream of the engine",
    "images.measure": "images",
    "release.bake": "an answer of buildx",
    "release.scan": "an image, written for the scanner",
}
"""Modules that open files other than by `host.files.content`, and what those are: none lies in a repository, where a link
could lead to this machine's secrets.
"""
OPENS = {"open", "read_text", "read_bytes", "fdopen", "ZipFile", "open_zip"}


def test_what_lies_in_a_repository_is_opened_by_one_function() -> None:
    opening = {
        module.removeprefix("slimbake.")
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        if getattr(node.func, "attr", getattr(node.func, "id", "")) in OPENS
        if package(module) != "inside" and not _by_content(node)
    }
    assert opening == set(OPENING)


LINUX = re.compile(r"^/proc/|^(O_PATH|prlimit|memfd_create|sched_\w+|pidfd_\w+|inotify\w*)$")
"""What Linux alone has."""


def test_what_linux_alone_has_is_asked_for_by_one_module() -> None:
    asking = {
        module.removeprefix("slimbake.")
        for module, path in MODULES.items()
        if package(module) != "inside"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if LINUX.search(str(getattr(node, "attr", getattr(node, "value", ""))))
    }
    assert asking == {"host.kernel", "host.faults"}, "faults names folders that cannot be made"


def _by_content(call: ast.Call) -> bool:
    """Whether it is a call of the function `read_text` of host.files."""
    return isinstance(call.func, ast.Name) and call.func.id == "read_text"


def test_git_is_started_by_one_module() -> None:
    started = {module for module in MODULES if "git" in commands(module)}
    assert started == {"slimbake.host.git"}
    assert list(commands("slimbake.host.git")) == ["git"]


ASKING = {
    "registry": "requests' exceptions alone",
    "registry.session": "a registry",
    "inside.answers": "how every answer is read",
    "inside.fetch": "an index",
    "inside.check.service": "the service that it checks, in its container",
}
"""Modules that know a library of HTTP."""


def test_http_is_asked_by_two_modules_whose_answers_are_read_by_one() -> None:
    libraries = {"http.client", "urllib.request", "urllib.error", "requests", "urllib3"}
    asking = {m.removeprefix("slimbake.") for m in MODULES if libraries & {*imports(m)}}
    assert asking == {*ASKING}
    for module in ("registry.session", "inside.fetch"):
        text = MODULES[f"slimbake.{module}"].read_text("utf-8")
        assert "Answer}" in text or "response_class = Answer" in text
        assert not {"urlopen", "build_opener", "HTTPSHandler"} & {*text.replace("(", " ").split()}


IMPORTERS = {"click": {"cli"}, "uv": {"host"}, "subprocess": {"host", "docker", "inside"}}


@pytest.mark.parametrize("imported", IMPORTERS)
def test_processes_and_the_command_line_are_the_business_of_few(imported: str) -> None:
    found = {package(module) for module in MODULES if imported in imports(module)}
    assert found == IMPORTERS[imported]


def test_python_on_whales_is_known_to_docker_alone_and_imported_when_it_is_asked() -> None:
    """It takes 0.3 s to import, which a bake that builds nothing does not have to spend."""
    using = {module for module in MODULES if "python_on_whales" in imports(module)}
    assert {package(module) for module in using} == {"docker"}
    trees = [ast.parse(MODULES[module].read_text("utf-8")) for module in using]
    at_once = {name for tree in trees for node in tree.body for name in _top(node)}
    assert "python_on_whales" not in at_once


def commands(module: str) -> Iterator[str]:
    """The first words of the lists and tuples in a module that begin like a command."""
    known = {program for each in PROGRAMS.values() for program in each}
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.List | ast.Tuple) and len(node.elts) > 1:
            first = node.elts[0]
            if isinstance(first, ast.Constant) and first.value in known:
                yield str(first.value)


def test_each_program_is_started_by_one_package() -> None:
    found = {
        (package(module), program)
        for module in MODULES
        for program in commands(module)
        if program not in PROGRAMS.get(package(module), ())
    }
    assert found == IN_CONTAINERS


@pytest.mark.parametrize("module", [name for name in MODULES if package(name) == "inside"])
def test_what_runs_in_containers_needs_only_the_standard_library(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    absolute = {name.partition(".")[0] for node in ast.walk(tree) for name in _top(node)}
    assert absolute <= set(sys.stdlib_module_names)


LIBS = Path(__file__).parents[2] / "libs"


@pytest.mark.parametrize("path", sorted(LIBS.glob("slimbake-export/src/*/*.py")), ids=str)
def test_what_exports_models_imports_torch_in_functions_and_never_slimbake(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    at_once = {name.partition(".")[0] for node in tree.body for name in _top(node)}
    assert at_once <= set(sys.stdlib_module_names)
    whole = {name.partition(".")[0] for node in ast.walk(tree) for name in _top(node)}
    assert "slimbake" not in whole


def test_slimbake_imports_none_of_its_libraries() -> None:
    libraries = {path.name for path in LIBS.glob("*/src/*")}
    assert libraries == {"slimbake_models", "slimbake_export"}
    imported = {name.partition(".")[0] for module in MODULES for name in imports(module)}
    assert not libraries & imported


@pytest.mark.parametrize("module", [name for name in MODULES if package(name) == "inside"])
def test_what_runs_in_containers_imports_nothing_else_of_slimbake(module: str) -> None:
    assert {package(name) for name in imports(module) if name.startswith("slimbake.")} <= {"inside"}


def _top(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
        yield node.module
