"""Says what of a layer goes to its cold store."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..rules import LayerFiles
from .layout import SOURCE, TEXT
from .paths import parsed, reached

_NAMED = re.compile(rb"\.py[\"']")
_NAME = re.compile(rb"(?<![\w-])[\w-]+$")
_TEST = re.compile(r"(.*/)?(tests?/.*|testing/.*|test(ing)?_[^/]*|[^/]*_test\.py|conftest\.py)")
_FINDS = re.compile(rb"def find_(?:spec|module)\b")
_LOADS_FILES = re.compile(rb"spec_from_file_location|SourceFileLoader|FileFinder")
_STARTS = (".pth", ".start")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Selected:
    """What goes cold, as sorted names of files."""

    modules: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    """Of modules that a start imports: their bytecode stays on disk."""


def warm_modules(warm: Iterable[str]) -> set[str]:
    """The modules of a warm list, which starts import: their bytecode stays on disk."""
    lines = (line.removesuffix(SOURCE) for line in warm if not line.startswith("#"))
    return {name for name in lines if name.endswith(".py")}


def read_by_path(prefix: Path) -> set[str]:
    """The modules below a prefix that its packages' code takes from the disk past the import system."""
    layer = LayerFiles.of_image(prefix)
    sources = {name: path.read_bytes() for name, path in _sources(layer).items()}
    # A package's tests read its sources to check their style.
    by_path = reached(sources, [name for name in sources if not _TEST.fullmatch(name)])
    return by_path | taken_from_disk(sources, {name: layer.owner(name)[0] for name in sources})


def _sources(layer: LayerFiles) -> dict[str, Path]:
    return {
        name: path
        for name, path in layer.files.items()
        if name.endswith(".py") and not name.startswith("/") and not path.is_symlink()
    }


def select(
    layer: LayerFiles,
    warm: Iterable[str],
    compiled: Collection[str],
    by_path: Container[str],
) -> Selected:
    """What of a layer goes cold: the import system alone asks for it.

    `warm`: the lines of a warm list; `compiled`: the modules that have bytecode on disk if they stay;
    `by_path`: see `read_by_path`.
    """
    lines = {line for line in warm if line and not line.startswith("#")}
    imported = warm_modules(lines)
    bare, twins = set(_start_modules(layer)), modules(layer.files)
    movable = sorted(
        name
        for name in _sources(layer)
        if layer.owner(name)[0]
        # Programs look for these, and `importlib.metadata` takes names of packages from files.
        and "/" in name.removesuffix("/__init__.py")
        and (name not in imported or name in compiled)
        and lines.isdisjoint((f"{name}{SOURCE}", f"{name}{TEXT}", f"{name.rpartition('/')[0]}/"))
        and name.partition("/")[0].partition(".")[0] not in bare
        and importable(name, layer.files, twins)
        and name not in by_path
    )
    return Selected(
        modules=tuple(name for name in movable if name not in imported),
        sources=tuple(name for name in movable if name in imported),
    )


def taken_from_disk(sources: Mapping[str, bytes], owners: Mapping[str, str]) -> set[str]:
    """What the code of a layer takes from the disk past the import system: programs that it may hand
    to another Python, and all modules of a distribution that has a finder of its own.
    """
    named: dict[str, set[str]] = {}
    finders = set()
    for name, content in sources.items():
        if _TEST.fullmatch(name):
            continue
        owner = owners[name]
        named.setdefault(owner, set()).update(_named(content))
        if _FINDS.search(content) and _LOADS_FILES.search(content) and finds_files(content):
            finders.add(owner)
    return {
        name
        for name, content in sources.items()
        if owners[name] in finders
        or (Path(name).name in named.get(owners[name], ()) and is_program(content))
    }


def _named(content: bytes) -> Iterator[str]:
    """The names of `.py` files that a module names. Many do for `__init__.py`, and open none."""
    for end in _NAMED.finditer(content):
        stem = _NAME.search(content[max(0, end.start() - 80) : end.start()])
        if stem and stem[0] != b"__init__":
            yield f"{stem[0].decode('ascii', 'replace')}.py"


def is_program(content: bytes) -> bool:
    """Whether a module does something when another Python runs its file: it calls something, or
    imports what may, and defines nothing.

    One that only defines things is imported, or read, and a store serves both.
    """
    tree = parsed(content)
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            return True
        if isinstance(node, ast.If) and any(
            isinstance(part, ast.Constant) and part.value == "__main__"
            for part in ast.walk(node.test)
        ):
            return True
        if not isinstance(node, (ast.expr, *_SCOPES)):
            left += ast.iter_child_nodes(node)
    return not any(
        isinstance(statement, (*_SCOPES, ast.Assign, ast.AnnAssign)) for statement in tree.body
    )


def finds_files(content: bytes) -> bool:
    """Whether a module has a finder of its own that looks for files itself."""
    return any(
        isinstance(node, ast.ClassDef)
        and {"find_spec", "find_module"}
        & {getattr(statement, "name", "") for statement in node.body}
        and _LOADS_FILES.search(ast.unparse(node).encode())
        for node in ast.walk(parsed(content))
    )


def importable(name: str, files: Mapping[str, object], twins: Container[str]) -> bool:
    """Whether Python imports a module by its name alone, and from no other file.

    It stands alone, or somewhere below a package; around that package, and in it, folders may be
    namespaces. `twins`: see `modules`.
    """
    *folders, module = name.removesuffix(".py").split("/")
    if not all(part.isidentifier() for part in (*folders, module)):
        return False
    ways = ["/".join(folders[: depth + 1]) for depth in range(len(folders))]
    if ways and not any(f"{way}/__init__.py" in files for way in ways):
        return False
    # Of `a.py`, `a.so` and `a/__init__.py` the last is found first: the disk would say otherwise.
    return module != "__init__" or bool(ways and ways[-1] not in twins)


def modules(files: Iterable[str]) -> set[str]:
    """The modules of these files that are no packages, each as its path without any suffix."""
    pattern = re.compile(r"(.*/|)([^/.]+)(\.py|\..*so|\.so)")
    return {match[1] + match[2] for match in map(pattern.fullmatch, files) if match}


def _start_modules(layer: LayerFiles) -> Iterable[str]:
    """The top names that `.pth` and `.start` files of the prefix import, some before the hook is there."""
    for path in layer.site.iterdir():
        for line in path.read_text(errors="replace").splitlines() if path.suffix in _STARTS else ():
            if path.suffix == ".start" or line.startswith(("import ", "import\t")):
                yield from re.findall(r"[A-Za-z_]\w*", line)
