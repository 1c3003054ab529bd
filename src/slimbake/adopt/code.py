"""Which folder of the repository becomes /app, and what is where then. Pure."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from slimbake.adopt.commands import lists_packages
from slimbake.adopt.files import Pair, below, common, joined
from slimbake.adopt.model import Build, KeepError, Place, Repository
from slimbake.host.dockerignore import Ignore
from slimbake.plan.targets import NOT_CODE

APP = "/app"
IGNORE = ".dockerignore"
# What may name where the code is.
_SOURCES = (".py", ".sh", ".toml", ".ini", ".cfg", ".conf")
_TEST = re.compile(r"(?:^|/)(?:tests?/|test_[^/]*$|[^/]*_test\.py$|conftest\.py$)")
_PROGRAM = re.compile(r"/(?:usr/(?:local/)?)?s?bin/([^/]+)")
# Where a link may hide something, or be hidden. A file may replace one of the system's.
_TAKEN = re.compile(r"/(?:root|home|tmp|proc|sys|dev|run|weights|opt/slimbake)(?:/|$)")
_NOT_CODE = Ignore("\n".join(NOT_CODE))


@dataclass(frozen=True, slots=True)
class Code:
    """A service's code in slimbake's image."""

    context: str = ""  # "": it has none
    include: tuple[str, ...] = ()  # relative to the context; () = all of it
    moves: tuple[tuple[str, str], ...] = ()  # path in today's image -> in slimbake's, longest first
    root: str = ""  # where that is which lies in "/" today
    files: tuple[str, ...] = ()  # of the repository, that are copied, and lie where it works
    links: tuple[tuple[str, str], ...] = ()  # path where the program looks -> where it lies

    def moved(self, text: str) -> str:
        """A text with the paths of today's image as slimbake's has them."""
        paths = dict(self.moves)
        if text == "/":
            return self.root or text
        if not paths:
            return text
        named = "|".join(re.escape(path) for path, _ in self.moves)
        pattern = rf"(?<![\w./-])(?:{named})(?![\w-]|\.\w)"
        return re.sub(pattern, lambda found: paths[found[0]], text)

    def source(self, path: str) -> str:
        """The path in the repository of one in the image; "" where it has none."""
        inside = self.context and path.startswith(f"{APP}/")
        return joined(self.context, posixpath.relpath(path, APP)) if inside else ""

    def program(self, word: str) -> str:
        """The path of a program that is found on PATH today, and is a file of the repository."""
        for old, new in self.moves:
            if (program := _PROGRAM.fullmatch(old)) and program[1] == word:
                return new
        return word


def code_of(
    pairs: Sequence[Pair],
    workdir: str,
    named: Collection[str],
    read: Collection[str],
    build: Build,
    repository: Repository,
) -> Code:
    """How the code lies. `named`: what commands name, as today's image has it; `read`: the files and
    folders of the repository that packages are installed from.

    Raises KeepError where files of the repository lie otherwise in the image than in it.
    """
    code, apart, elsewhere = _sorted(pairs, workdir, named, read, repository)
    if not code and not apart:
        return Code()
    folder = _code_folder(code, workdir, repository)
    sources = [pair.source for pair in (*code, *apart)]
    tops = [s if not repository.is_file(s) else posixpath.dirname(s) or "." for s in sources]
    context = common([*tops, *([folder[0]] if folder else [])])
    if context != build.context and _differs(build, context, repository):
        context = build.context
    elif f"{build.dockerfile}{IGNORE}" in repository.files:
        what = f"{build.dockerfile}{IGNORE} says what is copied"
        raise KeepError(Place(f"{build.dockerfile}{IGNORE}"), what, f"name it {IGNORE}")
    moves = {pair.target: _inside(APP, pair.source, context) for pair in (*code, *apart)}
    if folder:
        moves.setdefault(folder[1], _inside(APP, folder[0], context))
    moves.pop("/", None)
    include: list[str] = []
    if context not in sources:
        for path in sorted({posixpath.relpath(source, context) for source in sources}):
            if not any(below(path, pattern) for pattern in include):
                include.append(path)
    ordered = sorted(moves.items(), key=lambda move: -len(move[0]))
    main = Code(context, moves=tuple(move for move in ordered if move[0] not in elsewhere))
    links = _links(elsewhere, moves, main, code, repository)
    changed = {old: new for old, new in moves.items() if old != new and old not in elsewhere}
    used = [pair.source for pair in apart]
    if folder:  # other folders are of other services: what lies where it works is its own
        inner = posixpath.relpath(workdir, folder[1]) if below(workdir, folder[1]) else "."
        used.append(posixpath.normpath(posixpath.join(folder[0], inner)))
    files = [file for path in used for file in repository.below(path)]
    copied = tuple(file for file in files if any(below(file, source) for source in sources))
    for place, error in _old_paths(changed, copied, repository):
        _expect_free(place, changed[place], error)
        links[place] = changed[place]
    root = _inside(APP, folder[0], context) if folder and folder[1] == "/" else ""
    return Code(context, tuple(include), tuple(ordered), root, copied, tuple(links.items()))


def _sorted(
    pairs: Sequence[Pair],
    workdir: str,
    named: Collection[str],
    read: Collection[str],
    repository: Repository,
) -> tuple[list[Pair], list[Pair], dict[str, KeepError]]:
    """Three things: the copies that lie together as in the repository; the other copies that the
    service needs; and of these, by target, those that need a link at their place of today, with the
    error for the case that no link can be made.

    A file that a command names needs no link, since the command gets its new path. Neither does a
    folder that is installed as a package.
    """
    pairs = [pair for pair in dict.fromkeys(pairs) if not pair.mount]
    # The main folder is the one that is copied to where the program runs; else the one of which most
    # folders are copied, then most files.
    holds_workdir: set[tuple[str, str]] = set()
    folder_count: Counter[tuple[str, str]] = Counter()
    file_count: Counter[tuple[str, str]] = Counter()
    for pair in pairs:
        top = _top(pair)
        if repository.is_file(pair.source):
            file_count[top] += 1
            continue
        folder_count[top] += 1
        if below(workdir, pair.target):
            holds_workdir.add(top)

    def rank(top: tuple[str, str]) -> tuple[bool, int, int, bool]:
        return top in holds_workdir, folder_count[top], file_count[top], below(workdir, top[1])

    main_top = max(dict.fromkeys(map(_top, pairs)), key=rank, default=(".", "/"))
    code, apart = [], []
    elsewhere: dict[str, KeepError] = {}
    for pair in pairs:
        if _top(pair) == main_top:
            code.append(pair)
            continue
        is_file, is_read = repository.is_file(pair.source), pair.source in read
        if _is_named(pair.target, named) if is_file else is_read:
            apart.append(pair)
        elif not is_file or not (is_read or lists_packages(pair.source)):
            what = f"{pair.source} is copied to {pair.target}, and the code lies elsewhere"
            advice = (
                f"copy it to {_inside(APP, pair.source, '.')} and {main_top[0]} to "
                f"{_inside(APP, main_top[0], '.')}, and name in PYTHONPATH where their modules lie"
            )
            apart.append(pair)
            elsewhere[pair.target] = KeepError(pair.place, what, advice)
    if not apart and all(repository.is_file(e.source) and lists_packages(e.source) for e in code):
        return [], [], {}  # only what packages are installed from
    return code, apart, elsewhere


def _links(
    elsewhere: Mapping[str, KeepError],
    moves: Mapping[str, str],
    main: Code,
    code: Sequence[Pair],
    repository: Repository,
) -> dict[str, str]:
    """Where the program looks for what is copied elsewhere -> where that lies. `main`: the code without
    it. Raises the error of one at whose place the code has something itself.
    """
    links: dict[str, str] = {}
    for target, error in elsewhere.items():
        place = main.moved(target)
        has_code = any(below(pair.target, target) for pair in code)
        if target == "/" or has_code or repository.has(main.source(place)):
            raise error
        if place != moves[target]:
            _expect_free(place, moves[target], error)
            links[place] = moves[target]
    return links


def _expect_free(place: str, target: str, error: KeepError) -> None:
    """Raise the error where no link can lie at `place`: the code is there, or a container hides it."""
    if below(APP, place) or below(target, place) or _TAKEN.match(place):
        raise error


def _is_named(path: str, named: Collection[str]) -> bool:
    """Whether commands name a file, by its path or as a program of PATH."""
    program = _PROGRAM.fullmatch(path)
    return any(path in word or (program and word == program[1]) for word in named)


def _top(pair: Pair) -> tuple[str, str]:
    """The highest folder of the repository and of the image that a copy agrees with."""
    source, target = pair.source, pair.target
    while (
        source != "." and target != "/" and posixpath.basename(source) == posixpath.basename(target)
    ):
        source, target = posixpath.dirname(source) or ".", posixpath.dirname(target)
    return source, target


def _code_folder(
    code: Sequence[Pair], workdir: str, repository: Repository
) -> tuple[str, str] | None:
    """The folder with the code, in the repository and in the image: the highest that the copies agree
    with, since modules are found from there; below "/" the lowest that has all of them, and where
    the command runs.
    """
    if not code:
        return None
    top, above = _top(code[0])
    folders = [
        e.target if not repository.is_file(e.source) else posixpath.dirname(e.target) for e in code
    ]
    target = posixpath.commonpath(folders)
    if above != "/":
        target = above
    elif below(target, workdir):
        target = workdir
    return posixpath.normpath(posixpath.join(top, posixpath.relpath(target, above))), target


def _inside(folder: str, path: str, context: str) -> str:
    return posixpath.normpath(posixpath.join(folder, posixpath.relpath(path, context)))


def _differs(build: Build, context: str, repository: Repository) -> bool:
    """Whether the `.dockerignore` of today's context leaves out files of a folder in it that slimbake
    would take. Raises KeepError for one that BuildKit refuses.
    """
    ignores = []
    for folder in (build.context, context):
        file = joined(folder, IGNORE)
        try:
            ignores.append(Ignore(repository.text(file) or ""))
        except ValueError as error:
            what = f"a pattern that Docker refuses: {error}"
            raise KeepError(Place(file), what, "remove that line") from None
    today, ignore = ignores
    if not today.key:
        return False
    for path in repository.below(context):
        inner = posixpath.relpath(path, context)
        if _NOT_CODE.leaves_out(inner) or ignore.leaves_out(inner):
            continue
        if today.leaves_out(posixpath.relpath(path, build.context)):
            return True
    return False


def sources(files: Iterable[str], repository: Repository) -> Iterator[tuple[str, str]]:
    """The program's own texts among files, with their paths: no tests, and no lists of packages."""
    for file in dict.fromkeys(files):
        name = posixpath.basename(file)
        apart = (
            _TEST.search(file)
            or lists_packages(file)
            or name.startswith(("Dockerfile", "Makefile"))
        )
        if not apart and (name.endswith(_SOURCES) or "." not in name):
            yield file, repository.text(file) or ""


def line_of(text: str, at: int) -> int:
    """The line of a place in a text, of code; 0 where that is a comment."""
    begins = text.rfind("\n", 0, at) + 1
    return 0 if text[begins:].lstrip().startswith("#") else text.count("\n", 0, at) + 1


def _old_paths(
    paths: Collection[str], files: Iterable[str], repository: Repository
) -> Iterator[tuple[str, KeepError]]:
    """Those of these paths of today's image that a source names, each with what to say of it."""
    if not paths:
        return
    named = "|".join(map(re.escape, paths))
    pattern = re.compile(rf"(?<![\w./:-])({named})(?![\w-])(?:/[\w.-]|[\"'\s])")
    for file, text in sources(files, repository):
        for match in pattern.finditer(text):
            if line := line_of(text, match.start()):
                what = f"it names {match[1]}: slimbake has the code in {APP}"
                advice = f"have the code in {APP} in the Dockerfile, too"
                yield match[1], KeepError(Place(file, line), what, advice)
