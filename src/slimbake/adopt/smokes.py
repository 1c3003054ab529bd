"""Smokes for services that have none: what their commands name is imported, and is there. Pure."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from itertools import chain

from slimbake.adopt.django import makes_handler
from slimbake.adopt.model import Draft, Served
from slimbake.config.shells import reaped

# What calls that do not return before their work is done are named.
_WORKS = re.compile(
    r"(?:main|run|start|serve|sleep|launch|wait|poll|listen|consume)(?:_|$)|.*polling$"
)
_LEVELS = frozenset({"imports", "load", "parity"})


def is_smoke(text: str) -> bool:
    """Whether a Python file is a smoke already."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return False
    return any(
        isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name in _LEVELS
        for each in tree.body
    )


def smoke_text(draft: Draft, sources: dict[str, str]) -> str | None:
    """The smoke of a service; None where it could not fail.

    `sources`: module -> its text, of those that its command names.
    """
    modules, others = _imports(draft, sources)
    folders = sorted({each.folder for each in modules} - {""})
    lines = [
        f'"""What must work in the image of `{draft.name}` before it gets its tag.',
        "",
        "`slimbake init` wrote it. Let `load` do what the service is for, such as answer a request:",
        "only then it fails when the service is broken.",
        '"""',
        "",
    ]
    if draft.left_env:
        lines.append("import os")
    if folders:
        lines.append("import sys")
    if draft.left_env or folders:
        lines.append("")
    if folders:
        lines += [f'sys.path.insert(0, "/app/{folder}")' for folder in folders] + [""]
    if draft.left_env:
        lines += [
            "# Not in the image, and the code reads them:",
            *(
                f"os.environ.setdefault({json.dumps(name)}, {json.dumps(value)})"
                for name, value in draft.left_env
            ),
            "",
        ]
    lines += ["", "def imports():"]
    named = [*(each.module for each in modules), *others]
    asked = [f"    import {name}" for name in named] or _entry_point(draft)
    if not asked:
        return None
    lines += asked
    loads = [_load(each, sources[each.module]) for each in modules]
    if any(loads):
        lines += ["", "", "def load():", *chain.from_iterable(loads)]
    return "\n".join(lines) + "\n"


def _load(served: Served, text: str) -> list[str]:
    """The lines of `load` for a module of this text; none where nothing of it is served."""
    lines: list[str] = []
    if served.name:
        first, _, rest = served.name.partition(".")
        lines += [f"    from {served.module} import {first}", ""]
        lines.append(f"    assert callable({first}{rest and f'.{rest}'})")
    if makes_handler(text):
        lines += ["" if served.name else f"    import {served.module}"]
        lines += [
            "    # Django imports the URL conf, and with it the views, at the first request.",
            "    from django.urls import get_resolver",
            "",
            "    list(get_resolver().url_patterns)",
        ]
    return lines


def _imports(draft: Draft, sources: dict[str, str]) -> tuple[list[Served], list[str]]:
    """The service's modules that can be imported, and what those that cannot import themselves."""
    modules: list[Served] = []
    others: dict[str, None] = {}
    words = _words(draft)
    program = next(iter(words[2:] if words[:2] == ["python", "-m"] else words), "")
    for each in draft.served:
        text = sources[each.module]
        main = sources.get(f"{each.module}.__main__")
        if main is not None:
            modules.append(each)
            runs = runs_on_import(main)
            others |= dict.fromkeys(_imported(main) if runs else [f"{each.module}.__main__"])
        elif runs_on_import(text, "" if each.main else program):
            others |= dict.fromkeys(_imported(text))
        else:
            modules.append(each)
    return modules, list(others)


def _entry_point(draft: Draft) -> list[str]:
    """What imports the program that a command names: it is a script of some package."""
    words = _words(draft)
    if words[:2] == ["python", "-m"] and len(words) > 2:
        return [
            "    import importlib.util",
            "",
            f'    assert importlib.util.find_spec("{words[2]}")',
        ]
    if not words or words[0] in {"python", "sh", "bash"}:
        return []
    return [
        "    from importlib.metadata import entry_points",
        "",
        f'    [script] = entry_points(group="console_scripts", name="{words[0]}")',
        "    script.load()",
    ]


def _words(draft: Draft) -> list[str]:
    """What an image starts, without what only starts it."""
    return [*reaped([*draft.entry.get("entrypoint", []), *draft.entry.get("command", [])])]


def runs_on_import(text: str, program: str = "") -> bool:
    """Whether a script does its work when it is imported, and not only when it is run.

    `program`: what runs it. A script that calls this program's package is one of its pages.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return True
    page = _names_of(program, tree)
    return any(
        isinstance(each, ast.While | ast.For) or _calls(each) or _root(each) in page
        for each in _run(tree.body)
    )


def _names_of(package: str, tree: ast.Module) -> frozenset[str]:
    """What a script calls a package that it imports, and what it imports from that."""
    names = []
    for each in ast.walk(tree):
        if isinstance(each, ast.Import):
            names += [
                one.asname or package
                for one in each.names
                if package in (one.name, one.name.partition(".")[0])
            ]
        elif isinstance(each, ast.ImportFrom) and not each.level and each.module:
            of_it = each.module.partition(".")[0] == package
            names += [one.asname or one.name for one in each.names if of_it]
    return frozenset(names)


def _root(statement: ast.stmt) -> str:
    """The name that a call begins with which nothing takes the value of; "" for all else."""
    found = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(found, ast.Call):
        return ""
    while isinstance(found, ast.Call | ast.Attribute):
        found = found.func if isinstance(found, ast.Call) else found.value
    return found.id if isinstance(found, ast.Name) else ""


def _run(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that an import runs, those below `with` and `try` among them."""
    for each in body:
        yield each
        if isinstance(each, ast.With | ast.Try):
            yield from _run(each.body)


def _calls(statement: ast.stmt) -> bool:
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call):
        return False
    # `app.include_router(...)` declares; `main()`, `web.run_app()`, `uvicorn.run()` do.
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return bool(_WORKS.match(name)) or (
        isinstance(function, ast.Name) and not name.startswith("setup")
    )


def _imported(text: str) -> list[str]:
    """The modules of others that a script imports at its top."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return []
    names: dict[str, None] = {}
    for each in tree.body:
        if isinstance(each, ast.Import):
            names.update(dict.fromkeys(alias.name for alias in each.names))
        elif isinstance(each, ast.ImportFrom) and each.module and not each.level:
            names[each.module] = None
    return [name for name in names if name.partition(".")[0] not in sys.stdlib_module_names]
