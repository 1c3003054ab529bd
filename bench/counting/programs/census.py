"""Lists what an image offers without running any of it: modules, entry points, libraries.

Two images are compared by it on the host, one optimised and one not.
"""

from __future__ import annotations

import ast
import contextlib
import ctypes.util
import hashlib
import importlib.metadata
import json
import os
import pkgutil
import platform
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from slimbake.inside.check.inventory import rows_of_image
from slimbake.inside.fates import Ledgers, digests, fates
from slimbake.inside.ledger import LedgerEntry, ledgers, package_key
from slimbake.inside.records import Row
from slimbake.inside.step import PREFIX, SITE

SUFFIXES = (".py", *EXTENSION_SUFFIXES)
_LIBRARY = re.compile(r"lib(.+?)\.so(\.[\d.]+)?")


def main() -> None:
    """The program `census`: one line of JSON with everything that an image offers."""
    site = next(PREFIX.glob(SITE), None)
    stdlib = {"stdlib": sorted(_walked(_library()))}
    found = stdlib if site is None else stdlib | _offered(site)
    sys.stdout.write(json.dumps(found) + "\n")


def _offered(site: Path) -> dict[str, Any]:
    known = list(ledgers(PREFIX))
    rows = rows_of_image(site, known)
    entries = {}
    for ledger in known:
        # Of a file that was stripped and then removed, the latter.
        for entry in sorted(ledger.entries, key=lambda entry: not entry.after):
            entries[entry.package, entry.path] = entry
    disk = digests(site, rows, entries)
    specs = Specs()
    names = sorted({name for row in rows if (name := module_name(row.name))})
    distributions = {
        package_key(each.name): each for each in importlib.metadata.distributions(path=[str(site)])
    }
    elf = [path for path in _files(PREFIX) if ".so" in path.name]
    removed = removed_modules(entries.values())
    return {
        "inventory": asdict(fates(rows, disk, entries)),
        "ledger": [[entry.path, entry.by] for entry in entries.values() if not entry.after],
        "modules": {name: specs.kind(name) for name in names},
        "listings": {name: specs.listing(name) for name in names if specs.locations(name)},
        "entry_points": {
            f"{package}: {point.group}: {point.name}": [point.module, specs.kind(point.module)]
            for package, each in distributions.items()
            for point in each.entry_points
        },
        "requires": {package: each.requires or [] for package, each in distributions.items()},
        "versions": {package: each.version for package, each in distributions.items()},
        "contents": contents(rows, entries),
        "markers": _markers(),
        "unresolved": dict(_unresolved(elf)),
        "find_library": {name: ctypes.util.find_library(name) for name in _system_libraries()},
        "stale_imports": sorted(stale_imports(_sources(site), removed)) if removed else [],
    }


def contents(rows: Iterable[Row], entries: Ledgers) -> dict[str, str]:
    """A digest for each package: of its files as wheels have them, and what rules did to them."""
    lines: dict[str, list[str]] = {}
    for row in rows:
        said = (row.name, row.digest, entries.get((row.package, row.name)))
        lines.setdefault(row.package, []).append(repr(said))
    return {
        package: hashlib.sha256("\n".join(sorted(each)).encode()).hexdigest()
        for package, each in lines.items()
    }


class Specs:
    """Specs of modules, found as an import finds them, but without importing their parents."""

    def __init__(self) -> None:
        self._found: dict[str, ModuleSpec | None] = {}
        self._locations: dict[str, list[str]] = {}

    def spec(self, name: str) -> ModuleSpec | None:
        if name not in self._found:
            parent = name.rpartition(".")[0]
            path = self.locations(parent) if parent else None
            with _stub(parent, path or []):  # a namespace package asks for the module above it
                spec = PathFinder.find_spec(name, path) if path or not parent else None
                self._locations[name] = list(spec.submodule_search_locations or ()) if spec else []
            self._found[name] = spec
        return self._found[name]

    def locations(self, name: str) -> list[str]:
        """The folders of a package; none of what is no package."""
        self.spec(name)
        return self._locations[name]

    def kind(self, name: str) -> str:
        """`module`, `package`, `namespace`, or "" where nothing is found."""
        spec = self.spec(name)
        if spec is None:
            return ""
        package = spec.submodule_search_locations is not None
        return ("package" if spec.loader and spec.origin else "namespace") if package else "module"

    def listing(self, name: str) -> list[str]:
        """What `pkgutil` lists in a package; subpackages end with a dot."""
        return _listed(self.locations(name))


@contextlib.contextmanager
def _stub(name: str, path: list[str]) -> Iterator[None]:
    """Put a package into `sys.modules`, unless it is imported already."""
    if not name or name in sys.modules:
        yield
        return
    sys.modules[name] = stub = ModuleType(name)
    stub.__path__ = path
    try:
        yield
    finally:
        del sys.modules[name]


def _listed(folders: Iterable[str]) -> list[str]:
    return sorted(f"{m.name}{'.' * m.ispkg}" for m in pkgutil.iter_modules(folders))


def _walked(folders: Sequence[str], prefix: str = "") -> Iterator[str]:
    """The modules below folders, with those of subpackages."""
    for each in pkgutil.iter_modules(folders):
        yield prefix + each.name
        if each.ispkg:
            below = [f"{folder}/{each.name}" for folder in folders]
            yield from _walked(below, f"{prefix}{each.name}.")


def _library() -> list[str]:
    """Where the standard library is: its archive, its folder, its extension modules."""
    stdlib = sysconfig.get_path("stdlib")
    archive = re.compile(r".*/python\d+\.zip")
    own = (stdlib, f"{stdlib}/lib-dynload")
    return [path for path in sys.path if path in own or archive.fullmatch(path)]


def module_name(file: str) -> str:
    """The name under which a file of site-packages is imported; "" of what is no module."""
    suffix = next((each for each in SUFFIXES if file.endswith(each)), "")
    parts = file.removesuffix(suffix).split("/") if suffix else []
    if parts[-1:] == ["__init__"]:
        parts.pop()
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else ""


def _markers() -> dict[str, str]:
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": platform.python_version(),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": "",
        "platform_system": platform.system(),
        "platform_version": "",
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def _files(folder: Path) -> Iterator[Path]:
    return (Path(top, name) for top, _, names in os.walk(folder) for name in names)


def _unresolved(libraries: Iterable[Path]) -> Iterator[tuple[str, list[str]]]:
    """The libraries that the loader does not find for each of these."""
    maps = Path("/proc/self/maps").read_text()
    (loader, *_) = re.findall(r"(/\S*/ld(?:-linux[^/]*|64)?\.so\.\d)$", maps, re.MULTILINE)

    def missing(path: Path) -> tuple[str, list[str]]:
        words = [loader, "--list", str(path)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return str(path), sorted(re.findall(r"^\t(\S+) => not found", done.stdout, re.MULTILINE))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(missing, sorted(libraries))


def _system_libraries() -> list[str]:
    folders = (Path(f"{usr}/lib") for usr in ("", "/usr"))
    names = (path.name for folder in folders for path in folder.glob("**/lib*.so*"))
    return sorted({found[1] for name in names if (found := _LIBRARY.match(name))})


def removed_modules(ledger: Iterable[LedgerEntry]) -> dict[str, str]:
    """The modules that rules removed, each with its rule."""
    return {
        name: entry.by for entry in ledger if not entry.after and (name := module_name(entry.path))
    }


def _sources(site: Path) -> Iterator[tuple[str, str]]:
    """The modules on disk, with their text."""
    for path in _files(site):
        name = module_name(str(path.relative_to(site)))
        if path.suffix != ".py" or not name:
            continue
        dotted = f"{name}.__init__" if path.name == "__init__.py" else name
        yield dotted, path.read_text("utf-8", "replace")


def stale_imports(
    sources: Iterable[tuple[str, str]], removed: Mapping[str, str]
) -> Iterator[tuple[str, str, str, str]]:
    """The import statements that point at a removed module: where, target, rule, how it is guarded.

    `sources`: name and text of modules, that of a package ending with `.__init__`. Guarded by `try`
    is `optional`; the rest is `at import` or `inside a function`.
    """
    words = re.compile(
        "|".join({rf"\b{re.escape(name.rpartition('.')[2])}\b" for name in removed}) or r"(?!)"
    )
    for name, text in sources:
        if "import" not in text or not words.search(text):
            continue
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        where = name.removesuffix(".__init__")
        for target, how in set(_imports(tree, name)):
            if target in removed:
                yield where, target, removed[target], how


def _imports(tree: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    stack: list[tuple[ast.AST, str]] = [(tree, "at import")]
    while stack:
        node, how = stack.pop()
        if isinstance(node, ast.Import):
            yield from ((each.name, how) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = name.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            yield base, how
            yield from ((f"{base}.{each.name}", how) for each in node.names)
        for child in ast.iter_child_nodes(node):
            if isinstance(node, ast.Try):
                stack.append((child, "optional"))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and how == "at import":
                stack.append((child, "inside a function"))
            else:
                stack.append((child, how))
