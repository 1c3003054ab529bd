"""Which folder of the repository becomes /app, and what is where then. Pure."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from slimbake.adopt.commands import lists_packages
from slimbake.adopt.dockerfile import SYSTEM
from slimbake.adopt.files import Pair, below, common, joined
from slimbake.adopt.model import Build, KeepError, Place, Repository
from slimbake.config.naming import HOME, NONROOT_HOME
from slimbake.host.dockerignore import Ignore
from slimbake.plan.targets import NOT_CODE

APP = "/app"
IGNORE = ".dockerignore"
# What may name where the code is.
_SOURCES = (".py", ".sh", ".toml", ".ini", ".cfg", ".conf", ".json", ".yaml", ".yml")
_TEST = re.compile(r"(?:^|/)(?:tests?/|test_[^/]*$|[^/]*_test\.py$|conftest\.py$)")
_PROGRAM = re.compile(r"/(?:usr/(?:local/)?)?s?bin/([^/]+)")
# Where a copy may hide something, or be hidden.
_TAKEN = re.compile(
    rf"(?:/home|(?:/root|/tmp|/proc|/sys|/dev|/run|/weights|/opt/slimbake|{HOME}|{NONROOT_HOME})(?:/.*)?)"
)
_BEFORE = r"(?<![\w./-])"  # a path begins here
_NOT_CODE = Ignore("\n".join(NOT_CODE))


@dataclass(frozen=True, slots=True)
class Code:
    """A service's code in slimbake's image."""

    context: str = ""  # "": it has none
    include: tuple[str, ...] = ()  # relative to the context; () = all of it
    moves: tuple[tuple[str, str], ...] = ()  # path in today's image -> in slimbake's, longest first
    # A folder of the system that has the code today, and where that is: what else it has stays.
    system: tuple[str, str] | None = None
    files: tuple[str, ...] = ()  # of the repository, that are copied, and lie where it works
    # What lies elsewhere than in /app: its path in the repository, and its place.
    copies: tuple[tuple[str, str], ...] = ()

    def moved(self, text: str) -> str:
        """A text with the paths of today's image as slimbake's has them."""
        if self.system:
            folder, new = self.system
            if text == folder:
                return new
            if folder != "/":
                text = re.sub(rf"{_BEFORE}{re.escape(folder)}(?!/?[\w.-])", new, text)
        paths = dict(self.moves)
        if not paths:
            return text
        named = "|".join(re.escape(path) for path, _ in self.moves)
        pattern = rf"{_BEFORE}(?:{named})(?![\w-]|\.\w)"
        return re.sub(pattern, lambda found: paths[found[0]], text)

    def source(self, path: str) -> str:
        """The path in the repository of one in the image; "" where it has none."""
        for source, place in self.copies:
            if below(path, place):
                return joined(source, posixpath.relpath(path, place))
        if not self.context or not path.startswith(f"{APP}/"):
            return ""
        return joined(self.context, posixpath.relpath(path, APP))

    def program(self, word: str) -> str:
        """The path of a program that is found on PATH today, and is a file of the repository."""
        for old, new in self.moves:
            if (program := _PROGRAM.fullmatch(old)) and program[1] == word:
                return new
        return word


@dataclass(frozen=True, slots=True)
class _Copies:
    """The copies of a stage, by where they lie."""

    together: tuple[Pair, ...] = ()  # those that lie together as in the repository
    apart: tuple[Pair, ...] = ()  # the others that the service needs
    # Of these, by target, those that stay at their places.
    staying: Mapping[str, Pair] = field(default_factory=dict)
    main: str = "."  # the code's folder in the repository


def code_of(
    pairs: Sequence[Pair],
    workdir: str,
    read: Collection[str],
    build: Build,
    repository: Repository,
) -> Code:
    """How the code lies. `read`: the files and folders of the repository that packages are installed
    from.

    Raises KeepError where files of the repository lie otherwise in the image than in it.
    """
    copies = _copies(pairs, workdir, read, repository)
    every = (*copies.together, *copies.apart)
    if not every:
        return Code()
    folder = _code_folder(copies.together, workdir, repository)
    sources = [pair.source for pair in every]
    context = _context(sources, folder, build, repository)
    moves = {pair.target: _inside(APP, pair.source, context) for pair in every}
    system = None
    if folder:
        source, target = folder
        new = _inside(APP, source, context)
        moves.setdefault(target, new)
        if SYSTEM.fullmatch(target):
            system = target, new
            for name in _copied_in(source, sources, repository):
                moves.setdefault(posixpath.join(target, name), posixpath.join(new, name))
    for path in list(moves):
        if SYSTEM.fullmatch(path) or path in copies.staying:
            del moves[path]
    files = _own_files(copies.apart, folder, workdir, sources, repository)
    whole = "" if system or not folder else folder[1]
    named = _named_places(moves, system[0] if system else "", whole, files, repository)
    at_places: dict[str, str] = {}  # place -> path in the repository
    for place in named:
        at_places[place] = joined(context, posixpath.relpath(moves[place], APP))
    for old in moves:
        if any(below(old, place) for place in named):
            moves[old] = old
    code = Code(context, moves=_longest_first(moves))
    for target, place in _places(copies, code, sources, repository).items():
        moves[target] = place
        if place != _inside(APP, copies.staying[target].source, context):
            at_places[place] = copies.staying[target].source
    placed = tuple((source, place) for place, source in at_places.items())
    include = _include(sources, context)
    return Code(context, include, _longest_first(moves), system, files, placed)


def _named_places(
    moves: Mapping[str, str], system: str, whole: str, files: Sequence[str], repository: Repository
) -> list[str]:
    """The paths of today that the code names, and at which it therefore stays. `whole`: the code's
    folder today, which stays whole; "" where it is one of the system, `system`, and only what is
    named stays. Raises KeepError for a path at which no code can lie.
    """
    changed = {old: new for old, new in moves.items() if old != new}
    places: dict[str, None] = {}
    for path, error in _old_paths(changed, system, files, repository):
        place = whole or path
        if place not in changed or not below(path, place):
            raise error
        _expect_free(place, error)
        places[place] = None
    return list(places)


def _copied_in(folder: str, sources: Sequence[str], repository: Repository) -> Iterator[str]:
    """The names of the files and folders in a folder of the repository, of which something is copied."""
    names: dict[str, None] = {}
    for file in repository.below(folder):
        if any(below(file, source) for source in sources):
            names[posixpath.relpath(file, folder).partition("/")[0]] = None
    yield from names


def _longest_first(moves: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(moves.items(), key=lambda move: -len(move[0])))


def _context(
    sources: Sequence[str], folder: tuple[str, str] | None, build: Build, repository: Repository
) -> str:
    """The folder of the repository that becomes /app: the lowest that has all sources; today's
    context where another would bring more files.

    Raises KeepError where an ignore file of the Dockerfile's own says what is copied.
    """
    ignore = f"{build.dockerfile}{IGNORE}"
    if repository.is_file(ignore):
        raise KeepError(Place(ignore), f"{ignore} says what is copied", f"name it {IGNORE}")
    folders = [folder[0]] if folder else []
    for source in sources:
        is_file = repository.is_file(source)
        folders.append(posixpath.dirname(source) or "." if is_file else source)
    context = common(folders)
    if context != build.context and _differs(build, context, repository):
        return build.context
    return context


def _include(sources: Sequence[str], context: str) -> tuple[str, ...]:
    """What of a context is sent, relative to it; () for all of it."""
    if context in sources:
        return ()
    include: list[str] = []
    for path in sorted({posixpath.relpath(source, context) for source in sources}):
        if not any(below(path, pattern) for pattern in include):
            include.append(path)
    return tuple(include)


def _own_files(
    apart: Sequence[Pair],
    folder: tuple[str, str] | None,
    workdir: str,
    sources: Sequence[str],
    repository: Repository,
) -> tuple[str, ...]:
    """The files that are copied and are the service's own: those that lie where it works, since other
    folders are of other services, and what lies apart.
    """
    used = [pair.source for pair in apart]
    if folder:
        source, target = folder
        if below(workdir, target):
            source = joined(source, posixpath.relpath(workdir, target))
        used.append(source)
    files: list[str] = []
    for path in used:
        for file in repository.below(path):
            if any(below(file, source) for source in sources):
                files.append(file)
    return tuple(files)


def _copies(
    pairs: Sequence[Pair], workdir: str, read: Collection[str], repository: Repository
) -> _Copies:
    """The copies, by where they lie. What packages are installed from needs no place. Raises KeepError
    for two folders at one place.
    """
    pairs = [pair for pair in dict.fromkeys(pairs) if not pair.mount]
    source, target = _main_top(pairs, workdir, repository)
    together: list[Pair] = []
    apart: list[Pair] = []
    staying: dict[str, Pair] = {}
    for pair in pairs:
        if _top(pair) == (source, target) and not _is_renamed(pair, repository):
            together.append(pair)
            continue
        is_file = repository.is_file(pair.source)
        is_installed = pair.source in read or (is_file and lists_packages(pair.source))
        if is_file and is_installed:
            continue
        apart.append(pair)
        if is_installed:
            continue
        if pair.target in staying and not is_file:
            raise _apart(pair, source)  # two folders in one
        staying[pair.target] = pair
    has_code = bool(apart)
    for pair in together:
        if not repository.is_file(pair.source) or not lists_packages(pair.source):
            has_code = True
    if has_code:
        return _Copies(tuple(together), tuple(apart), staying, source)
    return _Copies()


def _main_top(pairs: Sequence[Pair], workdir: str, repository: Repository) -> tuple[str, str]:
    """The main folder of the code, in the repository and in the image: the one that is copied to where
    the program runs; else the one of which most folders are copied, then most files.
    """
    holds_workdir: set[tuple[str, str]] = set()
    folder_count: Counter[tuple[str, str]] = Counter()
    file_count: Counter[tuple[str, str]] = Counter()
    for pair in pairs:
        top = _top(pair)
        if repository.is_file(pair.source):
            if not _is_renamed(pair, repository):
                file_count[top] += 1
            continue
        folder_count[top] += 1
        if below(workdir, pair.target):
            holds_workdir.add(top)

    def rank(top: tuple[str, str]) -> tuple[bool, int, int, bool]:
        return top in holds_workdir, folder_count[top], file_count[top], below(workdir, top[1])

    tops = dict.fromkeys(_top(pair) for pair in pairs if not _is_renamed(pair, repository))
    return max(tops, key=rank, default=(".", "/"))


def _places(
    copies: _Copies, code: Code, sources: Sequence[str], repository: Repository
) -> dict[str, str]:
    """Where each copy that stays at its place lies, by its target: a place in the code's folder moves
    with that. `code`: the code without them; `sources`: all that is copied. Raises KeepError where
    the code has something itself at such a place, or a container has.
    """
    places: dict[str, str] = {}
    for target, pair in copies.staying.items():
        error = _apart(pair, copies.main)
        has_code = any(below(other.target, target) for other in copies.together)
        if SYSTEM.fullmatch(target) or has_code:
            raise error
        place = code.moved(target)
        there = code.source(place)
        if repository.has(there) and any(
            below(there, source) or below(source, there) for source in sources
        ):
            raise error
        _expect_free(place, error)
        places[target] = place
    return places


def _apart(pair: Pair, main: str) -> KeepError:
    """Says that a copy cannot lie where it lies today. `main`: the code's folder in the repository."""
    what = f"{pair.source} is copied to {pair.target}, and the code lies elsewhere"
    advice = (
        f"copy it to {_inside(APP, pair.source, '.')} and {main} to {_inside(APP, main, '.')}, and "
        "name in PYTHONPATH where their modules lie"
    )
    return KeepError(pair.place, what, advice)


def _expect_free(place: str, error: KeepError) -> None:
    """Raise the error where nothing can lie at `place`: the code is below, or a container hides it."""
    if below(APP, place) or _TAKEN.fullmatch(place):
        raise error


def _is_renamed(pair: Pair, repository: Repository) -> bool:
    """Whether a file has another name in the image."""
    if not repository.is_file(pair.source):
        return False
    return posixpath.basename(pair.source) != posixpath.basename(pair.target)


def _top(pair: Pair) -> tuple[str, str]:
    """The highest folder of the repository and of the image that a copy agrees with."""
    source, target = pair.source, pair.target
    while source != "." and target != "/":
        if posixpath.basename(source) != posixpath.basename(target):
            break
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
    source, target = _top(code[0])
    if target != "/":
        return source, target
    folders: list[str] = []
    for pair in code:
        is_file = repository.is_file(pair.source)
        folders.append(posixpath.dirname(pair.target) if is_file else pair.target)
    lowest = posixpath.commonpath(folders)
    if below(lowest, workdir):
        lowest = workdir
    return joined(source, posixpath.relpath(lowest, "/")), lowest


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
    if text[begins:].lstrip().startswith("#"):
        return 0
    return text.count("\n", 0, at) + 1


def _old_paths(
    paths: Collection[str], system: str, files: Iterable[str], repository: Repository
) -> Iterator[tuple[str, KeepError]]:
    """Those of these paths of today's image that a source names, each with what to say of it; also the
    folder of the system with the code ("" = it is in none), where a source names that itself.
    """
    if system == "/":
        system = ""
    patterns = []
    if paths:
        named = "|".join(map(re.escape, paths))
        patterns.append(rf"(?<![\w./:-])({named})(?![\w-])(?:/[\w.-]|[\"'\s])")
    if system:
        patterns.append(rf"(?<![\w./:-])({re.escape(system)})/?[\"'\s]")
    for file, text in sources(files, repository):
        for pattern in patterns:
            for match in re.finditer(pattern, text):
                if line := line_of(text, match.start()):
                    what = f"it names {match[1]}: slimbake has the code in {APP}"
                    advice = f"have the code in {APP} in the Dockerfile, too"
                    yield match[1], KeepError(Place(file, line), what, advice)
