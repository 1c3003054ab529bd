"""Which rule removed or changed a file of an image: the ledgers in its layers say so."""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import filter as filter_names
from typing import IO

from slimbake.catalogue import rules
from slimbake.console.tables import readable
from slimbake.docker.containers import copied
from slimbake.errors import SetupError
from slimbake.images.contents import FILE, UNREADABLE, ledger_entries
from slimbake.images.streams import CHUNK, members
from slimbake.inside.budget import Budget
from slimbake.inside.globs import matcher
from slimbake.inside.ledger import LedgerEntry
from slimbake.inside.make.runtime import LEFT_BEHIND

LEDGERS = "/opt/slimbake/ledger"
_SITE = "/site-packages/"
_SHOWN = 20  # files of one rule, before they are counted
_FEW = 5  # of one of several rules
_PREFIX = "/opt/slimbake"


def changed(image: str) -> tuple[LedgerEntry, ...]:
    """All that rules removed or changed in an image of the engine; () where it has no ledger.

    Raises SetupError for what cannot be read.
    """
    with copied(image, LEDGERS) as stream:
        if stream is None:
            return ()
        entries = read_ledgers(stream)
        stream.read(CHUNK)  # to its end: `copied` then knows whether the stream broke off
    return entries


def read_ledgers(stream: IO[bytes]) -> tuple[LedgerEntry, ...]:
    """What the ledgers of an image say, of a tar of their folder. Raises SetupError for what is none,
    or takes more memory than reading an image may.
    """
    budget = Budget()
    entries: list[LedgerEntry] = []
    name = ""
    try:
        for member, content in members(stream):
            name = member.name.rpartition("/")[2]
            budget.spend(FILE + member.size)
            if content is not None:
                entries += ledger_entries(content.read(), budget)
    except (tarfile.TarError, OSError, *UNREADABLE) as error:
        raise SetupError(
            f"the ledger {name} of the image cannot be read: {error}", "bake the image again"
        ) from None
    return tuple(entries)


def why(entries: Iterable[LedgerEntry], subject: str) -> tuple[LedgerEntry, ...]:
    """The files that a person means: a rule by its name, a path, a folder, a glob, or the name of a
    module or of something in it (`torch.fx`, `transformers.models.gpt2.GPT2Model`).
    """
    entries = tuple(entries)
    if by := tuple(entry for entry in entries if entry.by == subject):
        return by
    path = subject.rpartition(_SITE)[2]
    if path.startswith(f"{_PREFIX}/"):
        path = path.removeprefix(_PREFIX)
    if "/" not in path and not path.endswith((".py", ".so")) and "*" not in path:
        path = path.replace(".", "/")
    path = path.rstrip("/")
    globs = (path, f"{path}/**", f"{path}.py", f"{path}.*.so", f"{path}.so")
    matches = matcher(globs)
    files = tuple(entry for entry in entries if matches(entry.path))
    if not files and path != subject:
        # The last word may be a name that a removed module had.
        module = path.rpartition("/")[0]
        if any(entry.path in (f"{module}.py", f"{module}/__init__.py") for entry in entries):
            return why(entries, module)
    return files


def led_on(entries: Iterable[LedgerEntry], subject: str, services: Collection[str]) -> str:
    """What to do for whoever asked for something that no rule has touched."""
    if subject in services:
        return (
            f"'{subject}' is a service: `slimbake why MODULE {subject}` asks for a module in its image,"
            f" `slimbake sizes {subject} --by package` lists its packages"
        )
    names = set()
    for entry in entries:
        module = entry.path.removesuffix(".py").split("/")[: subject.count(".") + 1]
        names |= {entry.by, ".".join(module)}
    if near := get_close_matches(subject, sorted(names), 1):
        return f"did you mean '{near[0]}'?"
    return (
        "it is as its package installed it, or no lock brings it: list its package under"
        " `requirements`, or under `system` if it is Debian's, as programs mostly are"
    )


def answer(path: str, touched: Mapping[str, Sequence[LedgerEntry]]) -> Iterator[str]:
    """The lines that say what became of the files that were found in each image, by rule."""
    known_rules = {rule.name: rule for rule in rules()}
    images: dict[str, list[str]] = {}
    files_of: dict[str, set[LedgerEntry]] = {}
    for name, entries in touched.items():
        for entry in entries:
            images.setdefault(entry.by, []).append(name)
            files_of.setdefault(entry.by, set()).add(entry)
    if len(files_of) > 1:
        yield f"{path}: {short_answer(files_of)}"
    most = _FEW if len(files_of) > 1 else _SHOWN
    for by, names in images.items():
        yield f"{by}, in {', '.join(dict.fromkeys(names))}"
        if rule := known_rules.get(by):
            yield f"  {rule.about}: {rule.why.rstrip('.')}"
        removed = sorted(files_of[by])
        for entry in removed[:most]:
            size = readable(entry.before)
            if entry.after not in (0, entry.before):
                size += f" -> {readable(entry.after)}"
            yield f"  {entry.path}  {size}  {entry.package} {entry.version}"
        if len(removed) > most:
            size = readable(sum(entry.before - entry.after for entry in removed))
            yield f"  and {len(removed) - most:,} more files (`--json` lists them), {size} in all"


def short_answer(files_of: Mapping[str, Collection[LedgerEntry]]) -> str:
    """How many files each rule took or changed."""
    counts = []
    every: set[str] = set()
    for by, entries in files_of.items():
        paths = {entry.path for entry in entries}
        every |= paths
        counts.append((-len(paths), by))
    texts = [f"{-count:,} {by}" for count, by in sorted(counts)]
    return f"{len(every):,} files: {', '.join(texts)}"


def left_behind(module: str) -> str:
    """Why the runtime has no such module of the standard library; "" where it has."""
    parts = module.split(".")
    if parts[0] not in sys.stdlib_module_names or parts[0] in sys.builtin_module_names:
        return ""
    names = list(parts)
    for part in parts:
        names += [f"{part}.py", f"{part}.so"]
    for reason, patterns in LEFT_BEHIND.items():
        for pattern in patterns:
            if filter_names(names, pattern):
                return reason
    return ""
