"""Lists of files as few globs: exactly these files, of those that are there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Globs:
    """What to remove, and exceptions from that."""

    remove: tuple[str, ...]
    keep: tuple[str, ...]


@dataclass(slots=True)
class _Folder:
    path: str  # with a slash at its end; "" = the top
    folders: dict[str, _Folder] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    covered: int = 0  # files that another glob removes
    count: tuple[int, int] = (0, 0)  # below: gone or covered, kept


def compact(names: Iterable[str], gone: Iterable[str]) -> Globs:
    """Globs that match `gone` of `names`, and no other of them.

    A folder is named as `folder/**` only where all below goes, but for what `keep` lists; whichever
    list is shorter is taken, folder by folder. Names are those of passes; the ones that begin with
    `/` are matched by globs that do.
    """
    gone, names = set(gone), sorted(names)
    kinds = _kinds(names, gone)
    covered = {name for name in gone if not kinds.keys().isdisjoint(_kinds_of(name))}
    remove, keep = list(kinds.values()), list[str]()
    top = _tree(names, gone, covered)
    memo: dict[tuple[int, bool], tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for folder in top.folders.values():
        removed, kept = _outside(folder, memo)
        remove += removed
        keep += kept
    remove += top.gone
    return Globs(tuple(sorted(remove)), tuple(sorted(keep)))


Kind = tuple[str, str, str]
"""Of files that are called alike: the package's folder or "" for all of them, a suffix, or the name
of a folder.
"""


def _kinds_of(name: str) -> list[Kind]:
    # what lies beside site-packages is of no kind: its globs begin otherwise
    if name.startswith("/"):
        return []
    *folders, last = name.split("/")
    suffix = last[last.rindex(".") :] if "." in last[1:] else last
    kinds = [("", "", folder) for folder in folders] + [
        (folders[0], "", folder) for folder in folders[1:]
    ]
    if suffix != ".py":  # a module that is new in a package is of no kind that was looked at
        kinds += [("", suffix, ""), *((top, suffix, "") for top in folders[:1])]
    return kinds


def _kinds(names: Sequence[str], gone: set[str]) -> dict[Kind, str]:
    """Kinds of files of which none is needed, in three folders at least; each with its glob."""
    found: dict[Kind, set[str]] = {}
    needed: set[Kind] = set()
    for name in names:
        for kind in _kinds_of(name):
            if name in gone:
                found.setdefault(kind, set()).add(name)
            else:
                needed.add(kind)
    chosen: dict[Kind, str] = {}
    done: set[str] = set()
    for kind in sorted(found.keys() - needed, key=lambda kind: (-len(found[kind]), kind)):
        top, suffix, folder = kind
        at = f"/{folder}/"
        folders = {
            f"/{name}"[: f"/{name}".index(at)] if folder else name.rpartition("/")[0]
            for name in found[kind] - done
        }
        if len(folders) > 2:
            done |= found[kind]
            start = f"{top}/**" if top else "**"
            chosen[kind] = (
                f"{start}/{folder}/**"
                if folder
                else f"{start}/{'*' * suffix.startswith('.')}{suffix}"
            )
    return chosen


def _tree(names: Sequence[str], gone: set[str], covered: set[str]) -> _Folder:
    top = _Folder("")
    for name in names:
        *above, _ = name.removeprefix("/").split("/")
        folder = top
        for part in above:
            path = f"{folder.path or ('/' if name.startswith('/') else '')}{part}/"
            # Below the prefix and below site-packages a folder may have the same name.
            folder = folder.folders.setdefault(path, _Folder(path))
        if name in covered:
            folder.covered += 1
        else:
            (folder.gone if name in gone else folder.kept).append(name)
    _count(top)
    return top


def _count(folder: _Folder) -> tuple[int, int]:
    below = [_count(each) for each in folder.folders.values()]
    gone = len(folder.gone) + folder.covered + sum(each[0] for each in below)
    folder.count = (gone, len(folder.kept) + sum(each[1] for each in below))
    return folder.count


Lists = tuple[tuple[str, ...], tuple[str, ...]]


def _outside(folder: _Folder, memo: dict[tuple[int, bool], Lists]) -> Lists:
    """The shortest lists for a folder that no glob covers."""
    key = (id(folder), False)
    if key not in memo:
        listed = _joined(folder, [_outside(each, memo) for each in folder.folders.values()])
        wrapped = ((f"{folder.path}**",), _inside(folder, memo)[1])
        if not _uncovered(folder):
            memo[key] = ((), ())
        elif not folder.count[1]:
            memo[key] = wrapped
        else:
            memo[key] = min(listed, wrapped, key=lambda lists: len(lists[0]) + len(lists[1]))
    return memo[key]


def _joined(folder: _Folder, below: list[Lists]) -> Lists:
    remove = [glob for each in below for glob in each[0]]
    keep = [glob for each in below for glob in each[1]]
    whole = len(folder.gone) > 1 and not folder.kept
    return (*remove, *([f"{folder.path}*"] if whole else folder.gone)), tuple(keep)


def _inside(folder: _Folder, memo: dict[tuple[int, bool], Lists]) -> Lists:
    """The shortest list of exceptions for a folder below one that is removed whole."""
    key = (id(folder), True)
    if key not in memo:
        if not folder.count[1]:
            memo[key] = ((), ())
        elif not folder.count[0]:
            memo[key] = ((), (f"{folder.path}**",))
        else:
            below = [glob for each in folder.folders.values() for glob in _inside(each, memo)[1]]
            whole = len(folder.kept) > 1 and not folder.gone and not folder.covered
            memo[key] = ((), (*below, *([f"{folder.path}*"] if whole else folder.kept)))
    return memo[key]


def _uncovered(folder: _Folder) -> bool:
    return bool(folder.gone) or any(_uncovered(each) for each in folder.folders.values())
