"""Says which modules of a wheel get bytecode: those that programs import, found by reading the wheel alone.

Of a small wheel: every module but its tests. Of a large one, whose idle bytecode would weigh tens of megabytes:
what its entrances load, what functions of these modules import, and what that loads in turn.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ..names import is_test

LARGE = 16_000_000
"""Bytes of source, tests left out, above which imports are followed."""

_PACKAGE = "/__init__.py"
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def compiled_modules(sources: Mapping[str, bytes]) -> frozenset[str]:
    """The modules of one wheel that get bytecode.

    `sources`: the content of each `.py` file of the wheel by its path below site-packages, with forward slashes.
    The result is a subset of these paths. A source with a syntax error may be in it; it imports nothing.
    """
    shipped = {path: source for path, source in sources.items() if not is_test(path)}
    if sum(len(source) for source in shipped.values()) <= LARGE:
        return frozenset(shipped)
    wheel = _Wheel(shipped)
    at_start = wheel.loaded(wheel.entrances())
    at_first_use = set[str]()
    for path in at_start:
        at_first_use |= wheel.modules(wheel.imports(path).in_functions)
    return frozenset(at_start | wheel.loaded(at_first_use))


class _Imports(NamedTuple):
    """Dotted names that a module imports. They may go on behind a module, as `a.b.SomeClass` does."""

    when_loaded: set[str]
    in_functions: set[str]


class _Wheel:
    def __init__(self, sources: Mapping[str, bytes]) -> None:
        self._sources = sources
        self._imports: dict[str, _Imports] = {}
        self._paths: dict[str, str] = {}
        for path in sorted(sources):
            # Of `a.py` and `a/__init__.py` Python imports the latter.
            if path.endswith(_PACKAGE) or _name(path) not in self._paths:
                self._paths[_name(path)] = path

    def entrances(self) -> set[str]:
        """What programs import by name: outermost packages, modules beside them, and what lies right inside."""
        outermost = set[str]()
        for path in self._sources:
            folder = _name(path).rpartition(".")[0]
            # Folders of a namespace have no `__init__.py`; the packages in them are outermost.
            if not folder or (path.endswith(_PACKAGE) and not self.modules([folder])):
                outermost.add(path)
        packages = {_name(path) for path in outermost}
        inside = {path for path in self._sources if _name(path).rpartition(".")[0] in packages}
        return outermost | inside

    def loaded(self, modules: Iterable[str]) -> set[str]:
        """These modules and all that is imported while they are loaded."""
        found = set[str]()
        pending = list(modules)
        while pending:
            path = pending.pop()
            if path not in found:
                found.add(path)
                pending.extend(self.modules(self.imports(path).when_loaded))
        return found

    def modules(self, names: Iterable[str]) -> set[str]:
        """The modules of this wheel that an import of these names loads: `a.b.c` loads `a` and `a.b` too."""
        found = set[str]()
        for name in names:
            while name:
                if name in self._paths:
                    found.add(self._paths[name])
                name = name.rpartition(".")[0]
        return found

    def imports(self, path: str) -> _Imports:
        if path not in self._imports:
            self._imports[path] = _read(path, self._sources[path])
        return self._imports[path]


def _name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _read(path: str, source: bytes) -> _Imports:
    imports = _Imports(set(), set())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return imports
    package = _name(path)
    if path.endswith(_PACKAGE):
        imports.when_loaded.update(_named_in_strings(tree, package))
    else:
        package = package.rpartition(".")[0]
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, in_function = pending.pop()
        names = imports.in_functions if in_function else imports.when_loaded
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            names.update(_imported_from(node, package))
        in_function = in_function or isinstance(node, _FUNCTIONS)
        blocks = ("orelse",) if _is_for_type_checkers(node) else _BLOCKS
        for block in blocks:
            pending.extend((inner, in_function) for inner in getattr(node, block, []))
    return imports


def _is_for_type_checkers(node: ast.AST) -> bool:
    test = node.test if isinstance(node, ast.If) else node
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))


def _imported_from(node: ast.ImportFrom, package: str) -> Iterator[str]:
    parts: list[str] = []
    if node.level:
        around = package.split(".")
        parts = around[: len(around) + 1 - node.level]
    if node.module:
        parts.append(node.module)
    for alias in node.names:
        yield ".".join([*parts, alias.name])


def _named_in_strings(tree: ast.Module, package: str) -> Iterator[str]:
    """Names in a package's tables of lazy imports and in its `__all__`, as they stand and as of the package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.lstrip(".")
            yield from (name, f"{package}.{name}")
