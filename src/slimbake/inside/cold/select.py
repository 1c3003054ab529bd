"""Says what of a layer goes to its cold store."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass

from ..passes import LayerFiles
from .layout import SOURCE
from .listed import listings


@dataclass(frozen=True)
class Selected:
    """What goes cold, as sorted names of files."""

    modules: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    """Of modules that a start imports: their bytecode stays on disk."""


def warm_modules(warm: Iterable[str]) -> set[str]:
    """The modules that a warm list names."""
    return {line.removesuffix(SOURCE) for line in warm if not line.startswith("#")}


def select(layer: LayerFiles, warm: Iterable[str], compiled: Collection[str]) -> Selected:
    """What of a layer goes cold: the import system alone asks for it.

    `warm`: paths of modules that a start imports, with SOURCE at the end where it reads their text,
    and of folders, with `/` at the end, that a start lists; `compiled`: the modules that have
    bytecode on disk if they stay.
    """
    lines = {line for line in warm if line and not line.startswith("#")}
    imported = warm_modules(lines)
    sources = {
        name: path.read_bytes()
        for name, path in layer.files.items()
        if name.endswith(".py") and not name.startswith("/") and not path.is_symlink()
    }
    owners = {name: layer.owner(name)[0] for name in sources}
    listed = listings(sources, owners)
    bare, twins = set(_pth_modules(layer)), modules(layer.files)
    movable = sorted(
        name
        for name in sources
        if owners[name]
        and (name not in imported or (name in lines and name in compiled))
        and f"{name.rpartition('/')[0]}/" not in lines
        and name.partition("/")[0].removesuffix(".py") not in bare
        and importable(name, layer.files, twins)
        and not listed.keeps(name, owners[name])
    )
    return Selected(
        modules=tuple(name for name in movable if name not in imported),
        sources=tuple(name for name in movable if name in imported),
    )


def importable(name: str, files: Mapping[str, object], twins: Container[str]) -> bool:
    """Whether Python imports a module by its name alone, and from no other file.

    Its own folder and all below the first package on the way are packages; what is above may be
    namespaces. `twins`: see `modules`.
    """
    *folders, module = name.removesuffix(".py").split("/")
    if not all(part.isidentifier() for part in (*folders, module)):
        return False
    ways = ["/".join(folders[: depth + 1]) for depth in range(len(folders))]
    packages = [f"{way}/__init__.py" in files for way in ways]
    if packages and not (packages[-1] and packages == sorted(packages)):
        return False
    # Of `a.py`, `a.so` and `a/__init__.py` the last is found first: the disk would say otherwise.
    return module != "__init__" or bool(ways and ways[-1] not in twins)


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
