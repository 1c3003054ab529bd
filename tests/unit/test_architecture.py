"""One way, no way back: what each module imports, found in its text and followed through everything
that it imports.
"""

from __future__ import annotations

import ast
import graphlib
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

PURE = (
    "slimbake.manifest.model",
    "slimbake.manifest.parity",
    "slimbake.plan",
    "slimbake.render",
    "slimbake.lock.model",
    "slimbake.lock.text",
    "slimbake.lock.answers",
    "slimbake.lock.record",
    "slimbake.lock.platforms",
    "slimbake.lock.explain",
    "slimbake.lock.conflict",
    "slimbake.measure.model",
    "slimbake.sbom.model",
    "slimbake.sbom.document",
    "slimbake.measure.detail",
    "slimbake.measure.owners",
    "slimbake.measure.views",
    "slimbake.measure.findings",
    "slimbake.measure.change",
    "slimbake.diff.model",
    "slimbake.images.model",
    "slimbake.loopback",
    "slimbake.bake.steps",
    "slimbake.bake.events",
    "slimbake.bake.command",
    "slimbake.bake.failure",
    "slimbake.report",
    "slimbake.layers",
    "slimbake.lock.auto",
    "slimbake.catalogue.model",
    "slimbake.catalogue.globs",
    "slimbake.catalogue.rules",
    "slimbake.catalogue.show",
    "slimbake.measure.grown",
    "slimbake.limits.model",
    "slimbake.limits.report",
    "slimbake.evidence.model",
    "slimbake.prove.ablation",
    "slimbake.prove.model",
    "slimbake.search.ddmin",
    "slimbake.search.globs",
    "slimbake.matrix",
    "slimbake.summary",
    "slimbake.fingerprint.model",
    "slimbake.fingerprint.ignore",
    "slimbake.fingerprint.dockerfile",
    "slimbake.fingerprint.bakefile",
    "slimbake.fingerprint.compare",
    "slimbake.registry.address",
    "slimbake.registry.documents",
    "slimbake.registry.errors",
    "slimbake.registry.patience",
    "slimbake.missing.released",
    "slimbake.bake.costs",
    "slimbake.watch.touched",
    "slimbake.shards.split",
    "slimbake.shards.costs",
    "slimbake.shards.staged",
    "slimbake.advise.model",
    "slimbake.advise.advice",
    "slimbake.advise.prune",
    "slimbake.advise.runtime",
    "slimbake.advise.fleet",
    "slimbake.advise.report",
    "slimbake.advise.laid",
)
"""Values in, values out; a package stands for all its modules."""

IMPURE = {
    "os",
    "sys",
    "io",
    "pathlib",
    "subprocess",
    "socket",
    "shutil",
    "tempfile",
    "time",
    "random",
    "signal",
    "threading",
    "uv",
    "python_on_whales",
    "platformdirs",
    "click",
    "urllib.request",
}
PROCESSES = {
    "slimbake.docker",
    "slimbake.process",
    "slimbake.cli",
    "slimbake.machine",
    "slimbake.state",
}

ALLOWED = {
    # A text buffer for csv, a path as a value, paths without a file system: nothing is opened.
    "slimbake.render.quoting": {"io"},
    "slimbake.manifest.model": {"pathlib"},
    "slimbake.plan": {"pathlib"},
    "slimbake.plan.targets": {"pathlib"},
    "slimbake.plan.exports": {"pathlib"},
    "slimbake.plan.parity": {"pathlib"},
    # Numbers from a constant seed: the same fleet gives the same plan.
    "slimbake.layers.polish": {"random"},
}

STARTS = {
    "slimbake.docker",
    "slimbake.docker.contained",
    "slimbake.process",
    "slimbake.inside.debs",
    "slimbake.inside.fetch",
    "slimbake.inside.layer",
    "slimbake.inside.distil",
    "slimbake.inside.install",
    "slimbake.inside.passes",
    "slimbake.inside.trial",
    "slimbake.inside.system",
    "slimbake.inside.service",
    "slimbake.inside.start",
    "slimbake.inside.touched",
}
"""Docker, and set-up, and the programs inside builds and containers."""


@cache
def imports(module: str) -> tuple[tuple[str, bool], ...]:
    """Every module that one imports, and whether at once: not in a function, and not for the type
    checker only.
    """
    return tuple(_imports(module))


def _imports(module: str) -> Iterator[tuple[str, bool]]:
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    later = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(outer, ast.If) and "TYPE_CHECKING" in ast.unparse(outer.test))
        for inner in ast.walk(outer)
    }
    typing_only = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.If) and "TYPE_CHECKING" in ast.unparse(outer.test)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in later
        elif isinstance(node, ast.ImportFrom):
            parent = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
            for _ in range(node.level - 1):
                parent = parent.rpartition(".")[0]
            origin = ".".join(filter(None, (parent if node.level else "", node.module or "")))
            for alias in node.names:
                name = f"{origin}.{alias.name}"
                yield (name if name in MODULES else origin), id(node) not in later


@cache
def reached(module: str) -> frozenset[str]:
    """All that comes in with a module: what it imports, and what that imports, whenever it does so."""
    found: set[str] = set()
    stack = [module]
    while stack:
        for name, _ in imports(stack.pop()):
            if name not in found:
                found.add(name)
                if name in MODULES:
                    stack.append(name)
    return frozenset(found)


def pure_modules() -> list[str]:
    return [
        module
        for module in MODULES
        if module in PURE or module.startswith(tuple(f"{name}." for name in PURE))
    ]


def test_every_pure_stage_is_there() -> None:
    assert set(PURE) <= set(MODULES)


@pytest.mark.parametrize("module", pure_modules())
def test_a_pure_stage_reaches_no_process_no_engine_and_no_machine(module: str) -> None:
    assert reached(module) & PROCESSES == set()
    assert (
        reached(module) & {"subprocess", "uv", "python_on_whales", "click", "platformdirs"} == set()
    )


@pytest.mark.parametrize("module", pure_modules())
def test_a_pure_stage_has_no_files_no_clock_and_no_environment(module: str) -> None:
    found = {name for name, _ in imports(module)} & IMPURE
    assert found == ALLOWED.get(module, set()) & found
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert calls & {"open", "print", "input", "exec", "eval"} == set()


@pytest.mark.parametrize(
    "module", [name for name in MODULES if not name.startswith("slimbake.cli")]
)
def test_nothing_but_the_command_line_imports_the_command_line(module: str) -> None:
    found = {
        name for name, _ in imports(module) if name.startswith("slimbake.cli") or name == "click"
    }
    assert found == ({"slimbake.cli"} if module == "slimbake.__main__" else set())


def test_processes_are_started_in_a_few_places_only() -> None:
    assert {
        module for module in MODULES if "subprocess" in {name for name, _ in imports(module)}
    } <= STARTS


def test_a_stage_imports_no_later_stage() -> None:
    flow = ["manifest", "lock", "plan", "render", "bake", "measure", "report"]
    allowed = {("lock", "plan")}  # what a lock is of, and where it lies, is decided in the plan
    found = {
        (stage, later)
        for module in MODULES
        for stage in flow
        if module == f"slimbake.{stage}" or module.startswith(f"slimbake.{stage}.")
        for name, _ in imports(module)
        for later in flow[flow.index(stage) + 1 :]
        if name == f"slimbake.{later}" or name.startswith(f"slimbake.{later}.")
    }
    assert found <= allowed


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        module: {name for name, at_once in imports(module) if at_once and name in MODULES}
        for module in MODULES
    }
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize(
    "module", [name for name in MODULES if name.startswith("slimbake.inside.")]
)
def test_what_runs_inside_builds_needs_only_the_standard_library(module: str) -> None:
    """Exports and references run where torch is: they import it, but later: what needs none is told
    without it.
    """
    with_torch = module.startswith(("slimbake.inside.export", "slimbake.inside.parity_"))
    found = {
        name.partition(".")[0]
        for name, at_once in imports(module)
        if not name.startswith("slimbake.inside") and (at_once or not with_torch)
    }
    assert found <= set(sys.stdlib_module_names)
