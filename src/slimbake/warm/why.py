"""What removed or moved a file of an image: its ledgers and cold stores tell, which lie in its layers."""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from slimbake.docker.containers import copied
from slimbake.fleet.model import Fleet
from slimbake.images.cold import store_of
from slimbake.inside.cold.layout import SUFFIX, Store
from slimbake.inside.globs import matcher
from slimbake.inside.ledger import LedgerEntry, read_ledger
from slimbake.lock.locks import Locks

LEDGERS = "/opt/slimbake/ledger"
STORES = "/opt/slimbake/cold"
COLD, COLD_SOURCE = "cold", "cold source"
MOVED = {  # into a layer's cold store, and what that means
    COLD: "moved: imported from there as before",
    COLD_SOURCE: "the text moved: a start runs the bytecode, which stays",
}
_SITE = "/site-packages/"
_PREFIX = "/opt/slimbake"


@dataclass(frozen=True, slots=True)
class Why:
    """A file that a rule removed or changed in an image, or that went cold."""

    layer: str
    entry: LedgerEntry


def changed(image: str) -> tuple[Why, ...]:
    """All that rules removed, moved or changed in an image of the engine; () where it has no ledger.

    What lies in a cold store is by COLD or COLD_SOURCE, and as large as before. Raises StoreError.
    """
    return (
        *(
            Why(name.removesuffix(".json.gz"), entry)
            for name, content in _files(image, LEDGERS)
            for entry in read_ledger(content).entries
        ),
        *(
            Why(name.removesuffix(SUFFIX), entry)
            for name, content in _files(image, STORES)
            for entry in _moved(store_of(name.removesuffix(SUFFIX), content))
        ),
    )


def cold_modules(image: str) -> Iterator[tuple[str, bytes]]:
    """The modules in the cold stores of an image of the engine: path below site-packages, and
    content. Raises StoreError.
    """
    for name, content in _files(image, STORES):
        yield from store_of(name.removesuffix(SUFFIX), content).contents()


def _moved(store: Store) -> Iterator[LedgerEntry]:
    for path, row in store.entries():
        package, _, version = store.dist(row).removesuffix(".dist-info").rpartition("-")
        size, by = row[3], COLD_SOURCE if row[4] else COLD
        yield LedgerEntry(path, size, size, by, package, version)


def _files(image: str, folder: str) -> Iterator[tuple[str, bytes]]:
    """The files of a folder of an image, by name."""
    with copied(image, folder) as stream:
        if stream is None:
            return
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                if content := tar.extractfile(member):
                    yield member.name.rpartition("/")[2], content.read()


def why(found: Iterable[Why], asked: str) -> tuple[Why, ...]:
    """The files that a person means: a rule by its name, a path, a folder, a glob, or the name of a
    module or of something in it (`torch.fx`, `transformers.models.gpt2.GPT2Model`).
    """
    found = tuple(found)
    if by := tuple(each for each in found if each.entry.by == asked):
        return by
    path = asked.rpartition(_SITE)[2] if _SITE in asked else asked
    path = path.removeprefix("/opt/slimbake") if path.startswith("/opt/slimbake/") else path
    if "/" not in path and not path.endswith((".py", ".so")) and "*" not in path:
        path = path.replace(".", "/")
    path = path.rstrip("/")
    globs = (path, f"{path}/**", f"{path}.py", f"{path}.*.so", f"{path}.so")
    means = matcher(globs)
    files = tuple(each for each in found if means(each.entry.path))
    module = path.rpartition("/")[0]
    # The last word may be a name that a removed module had.
    if (
        not files
        and path != asked
        and {each.entry.path for each in found}
        & {
            f"{module}.py",
            f"{module}/__init__.py",
        }
    ):
        return why(found, module)
    return files


def is_there(image: str, asked: str, python: str) -> bool:
    """Whether a package, module or file lies on disk in an image of this version of Python."""
    path = asked.rpartition(_SITE)[2].removeprefix("/")
    path = path if "/" in path or path.endswith((".py", ".so")) else path.replace(".", "/")
    for each in (f"{path}/__init__.py", f"{path}.py", path):
        with copied(image, f"{_PREFIX}/lib/python{python}{_SITE}{each}") as stream:
            if stream is not None:
                return True
    return False


def of_own_code(root: Path, contexts: Mapping[str, str], asked: str) -> str:
    """Which service has a module or file in its own code, and where; "" where none of these has it.

    `contexts`: service -> its folder, of which its image has a copy.
    """
    path = asked.removeprefix("/").removeprefix("app/")
    path = path if "/" in path or path.endswith(".py") else path.replace(".", "/")
    for name, context in contexts.items():
        for each in (f"{path}/__init__.py", f"{path}.py", path):
            file = (PurePosixPath(context) / each).as_posix()
            if (root / file).is_file():
                return f"{file} is code of {name}: its image has that in /app, and no rule takes it"
    return ""


def of_debian(fleet: Fleet, locks: Locks, services: Collection[str], asked: str) -> str:
    """Which of these services have a Debian package of this name; "" where none has."""
    layers = (*(each.layer for each in fleet.bases), *(each.layer for each in fleet.services))
    held = {
        service
        for layer in layers
        if any(deb.name == asked for deb in locks.debs(layer.system_lock))
        for service in layer.services
        if service in services
    }
    names = ", ".join(sorted(held))
    return f"'{asked}' is a Debian package, which `system` brings to {names}" if held else ""


def led_on(found: Collection[Why], asked: str, services: Collection[str], there: str) -> str:
    """What to do for whoever asked for something that nothing has touched. `there`: what is said of
    where it is; "" where it is nowhere.
    """
    if asked in services:
        return (
            f"'{asked}' is a service: `slimbake why MODULE {asked}` asks for a module in its image,"
            f" `slimbake sizes {asked} --by package` lists its packages"
        )
    top = asked.partition(".")[0]
    if there:
        return there
    if top in sys.stdlib_module_names:
        return "it is Python's own, and the runtime has it"
    depth = asked.count(".") + 1
    names = {each.entry.by for each in found} | {
        ".".join(each.entry.path.removesuffix(".py").split("/")[:depth]) for each in found
    }
    if near := get_close_matches(asked, sorted(names), 1):
        return f"did you mean '{near[0]}'?"
    return (
        "it is not in these images either, so no lock brings it: list its package under"
        " `requirements`, or under `system` if it is Debian's, as programs mostly are"
    )
