"""Says what of a layer goes to its cold store."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from ..elf import linked
from ..rules import LayerFiles
from .layout import EXTENSION, SOURCE, warm_name

# Bytes of an extension module. A first import of one of 110 MB (polars) took 1.3 s in place of 0.07 and
# three times its size of memory in each process, on 2 cores; and a build 1.2 GB to compress it.
LARGEST = 16_000_000
_NAMED = re.compile(rb"\.py[\"']")
_NAME = re.compile(rb"[\w-]+$")
_TEST = re.compile(r"(.*/)?(tests?/.*|test_[^/]*|[^/]*_test\.py|conftest\.py)")
_FINDS = re.compile(rb"def find_(?:spec|module)\b")
_LOADS_FILES = re.compile(rb"spec_from_file_location|SourceFileLoader|FileFinder")
_LOADS_EXTENSIONS = re.compile(rb"ExtensionFileLoader|FileFinder|load_dynamic|create_dynamic")
_ASKS_WHERE = re.compile(rb"\0(dladdr1?|dlinfo)\0")  # by which a library learns its own path
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_LIBRARIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")


@dataclass(frozen=True)
class Selected:
    """What goes cold, as sorted names of files."""

    modules: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    """Of modules that a start imports: their bytecode stays on disk."""


@dataclass(frozen=True)
class Taken:
    """What code takes from the disk past the import system, by its distribution."""

    programs: Container[str]  # that it may hand to another Python: their files
    finders: Container[str]  # those with a finder of their own
    loaders: Container[str]  # those that load extension modules by their files


def warm_modules(warm: Iterable[str]) -> set[str]:
    """The modules that a warm list names."""
    return {line.removesuffix(SOURCE) for line in warm if not line.startswith("#")}


def select(layer: LayerFiles, warm: Iterable[str], compiled: Collection[str]) -> Selected:
    """What of a layer goes cold: the import system alone asks for it.

    `warm`: paths of modules that a start imports, with SOURCE at the end where it reads their text;
    `compiled`: the modules that have bytecode on disk if they stay.
    """
    lines = {line for line in warm if line and not line.startswith("#")}
    imported = warm_modules(lines)
    sources = {
        name: path.read_bytes()
        for name, path in layer.files.items()
        if name.endswith(".py") and not name.startswith("/") and not path.is_symlink()
    }
    owners = {name: layer.owner(name)[0] for name in layer.files}
    taken = taken_from_disk(sources, owners)
    bare, twins = set(_pth_modules(layer)), modules(layer.files)
    movable = sorted(
        name
        for name in sources
        if owners[name]
        and (name not in imported or (name in lines and name in compiled))
        and top_name(name) not in bare
        and importable(name, layer.files, twins)
        and name not in taken.programs
        and owners[name] not in taken.finders
    )
    extensions = (
        name
        for name in extension_modules(layer.files, sources)
        if owners[name]
        and warm_name(name) not in imported
        and top_name(name) not in bare
        and owners[name] not in taken.finders
        and owners[name] not in taken.loaders
    )
    return Selected(
        modules=tuple(sorted([*(name for name in movable if name not in imported), *extensions])),
        sources=tuple(name for name in movable if name in imported),
    )


def taken_from_disk(sources: Mapping[str, bytes], owners: Mapping[str, str]) -> Taken:
    """What the code of a layer takes from the disk."""
    named: dict[str, set[str]] = {}
    finders, loaders = set(), set()
    for name, content in sources.items():
        if _TEST.fullmatch(name):  # a package's tests read its sources to check their style
            continue
        owner = owners[name]
        named.setdefault(owner, set()).update(_named(content))
        if _LOADS_FILES.search(content) and _FINDS.search(content) and finds_files(content):
            finders.add(owner)
        if _LOADS_EXTENSIONS.search(content):
            loaders.add(owner)
    programs = {
        name
        for name, content in sources.items()
        if Path(name).name in named.get(owners[name], ()) and is_program(content)
    }
    return Taken(programs, finders, loaders)


def _named(content: bytes) -> Iterator[str]:
    """The names of `.py` files that a module names. Many do for `__init__.py`, and open none."""
    for end in _NAMED.finditer(content):
        found = _NAME.search(content[max(0, end.start() - 80) : end.start()])
        if found and found[0] != b"__init__":
            yield f"{found[0].decode('ascii', 'replace')}.py"


def is_program(content: bytes) -> bool:
    """Whether a module does something when another Python runs its file: it calls something, or
    imports what may, and defines nothing.

    One that only defines things is imported, or read, and a store serves both.
    """
    tree = _parsed(content)
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            return True
        if isinstance(node, ast.If) and any(
            isinstance(each, ast.Constant) and each.value == "__main__"
            for each in ast.walk(node.test)
        ):
            return True
        if not isinstance(node, (ast.expr, *_SCOPES)):
            left += ast.iter_child_nodes(node)
    return not any(isinstance(each, (*_SCOPES, ast.Assign, ast.AnnAssign)) for each in tree.body)


def finds_files(content: bytes) -> bool:
    """Whether a module has a finder of its own that looks for files itself."""
    return any(
        isinstance(node, ast.ClassDef)
        and {"find_spec", "find_module"} & {getattr(each, "name", "") for each in node.body}
        and _LOADS_FILES.search(ast.unparse(node).encode())
        for node in ast.walk(_parsed(content))
    )


def _parsed(content: bytes) -> ast.Module:
    """A module's code; nothing where it is not of this Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])


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


def extension_modules(files: Mapping[str, Path], sources: Container[str]) -> Iterator[str]:
    """The extension modules that can be loaded from memory as they are from disk.

    Python alone loads them, under one name, and from this file; they ask neither for their own path
    nor for libraries that lie beside them. Larger ones than LARGEST stay where they are.
    """
    libraries = {name: path for name, path in files.items() if EXTENSION in Path(name).name}
    needed = {each for path in libraries.values() for each in linked(path).needed}
    for name, path in libraries.items():
        folder, _, file = name.rpartition("/")
        stem, _, suffix = file.partition(".")
        module = f"{folder}/{stem}".lstrip("/")
        if (
            f".{suffix}" in EXTENSION_SUFFIXES
            and path.stat().st_size <= LARGEST
            and stem != "__init__"
            and not path.is_symlink()
            and importable(f"{module}.py", files, ())
            and f"{module}.py" not in sources
            and f"{module}/__init__.py" not in sources
            and sum(f"{module}{each}" in files for each in EXTENSION_SUFFIXES) == 1
            and file not in needed
            and _loads_from_memory(path, stem)
        ):
            yield name


def _loads_from_memory(path: Path, module: str) -> bool:
    asks = linked(path)
    if asks.paths or not all(map(_standard, asks.needed)):
        return False
    content = path.read_bytes()
    return b"\0PyInit_%b\0" % module.encode() in content and not _ASKS_WHERE.search(content)


@cache
def _standard(library: str) -> bool:
    """Whether a library lies where the loader finds it for every file."""
    return any(
        Path(folder, library).exists() or any(Path(folder).glob(f"*-linux-gnu*/{library}"))
        for folder in _LIBRARIES
    )


def top_name(name: str) -> str:
    """The first part of a module's dotted name."""
    return name.partition("/")[0].partition(".")[0]


def modules(files: Iterable[str]) -> set[str]:
    """The modules of these files that are no packages, each as its path without any suffix."""
    found = re.compile(r"(.*/|)([^/.]+)(\.py|\..*so|\.so)")
    return {match[1] + match[2] for match in map(found.fullmatch, files) if match}


def _pth_modules(layer: LayerFiles) -> Iterable[str]:
    """The top names that `.pth` files of the prefix import, some before the hook is there."""
    for path in layer.site.glob("*.pth"):
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith(("import ", "import\t")):
                yield from re.findall(r"[A-Za-z_]\w*", line)
