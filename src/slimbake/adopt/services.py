"""Which services a repository has: those of its compose file, and its Dockerfiles. Pure."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

from slimbake.adopt.compose import ComposeFacts, compose_facts, compose_files
from slimbake.adopt.dockerfile import stages
from slimbake.adopt.files import Origins
from slimbake.adopt.model import (
    Adoption,
    Build,
    Candidate,
    ComposeService,
    Draft,
    KeepError,
    Note,
    Place,
    Repository,
)
from slimbake.adopt.rule import draft
from slimbake.config.compose import OWN
from slimbake.config.names import CHECKS, INVENTORY, PREFIXES, RESERVED
from slimbake.inside.lines import some

_FILE = re.compile(r"(?:Docker|Container)file(?:[._-]([\w.-]+))?|([\w.-]+?)[._-]?[Dd]ockerfile")
_TEMPLATES = frozenset(
    ("j2", "jinja", "jinja2", "tmpl", "template", "tpl", "in", "md", "txt", "bak")
)
# Folders that are called after no service.
_UNNAMED = frozenset(
    ("src", "app", "docker", "dockerfiles", "build", "deploy", "deployment", "code")
)
_OUTSIDE = re.compile(r"\.\./|[a-z+]+:|git@|\$")  # a context that the repository does not have
_SHOWN = 12  # files in a note
_DEEPEST = 5  # folders before a name
_LONGEST = 50  # characters of a name


def adoption(repository: Repository, files: Sequence[str] = (), only: str = "") -> Adoption:
    """What becomes of a repository. `files`: the compose files, () to look for them; `only`: the one
    service that is wanted.
    """
    defaults, others = compose_files(repository)
    groups = [list(files)] if files else [[file] for file in defaults]
    projects = [compose_facts(repository, group) for group in groups]
    notes: list[Note] = []
    project_of: dict[str, str] = {}  # compose file -> the first one of its project
    for facts in projects:
        notes += facts.notes
        for file in facts.files:
            project_of[file] = facts.files[0]
    unread = [other for other in others if other not in project_of]
    if unread:
        notes.append(_unread(unread, list(project_of)))
    if repository.partial:
        what = f"there are more than {len(repository.files)} files, and some were not looked at"
        notes.append(Note("other", Place("."), what, "run init in a folder with fewer"))
    candidates: list[Candidate] = []
    left: list[str] = []
    for facts in projects:
        composed, ready, lost = _composed(facts, apart=len(projects) > 1)
        candidates += composed
        left += ready
        notes += lost
    alone, unnamed = _alone(repository, candidates)
    notes += unnamed
    named = _named([*candidates, *alone])
    images: dict[str, str] = {}
    names_in: dict[str, dict[str, str]] = {}  # project -> its name of a service -> ours
    for candidate in named:
        if compose := candidate.compose:
            images[compose.image] = candidate.name
            names = names_in.setdefault(project_of[compose.place.file], {})
            names[compose.name] = candidate.name
    images.pop("", None)
    drafts: list[Draft] = []
    for candidate in named:
        if only and candidate.name != only:
            continue
        if compose := candidate.compose:
            names = names_in[project_of[compose.place.file]]
            ours = {names[n]: how for n, how in compose.depends_on.items() if n in names}
            candidate = replace(candidate, compose=replace(compose, depends_on=ours))
        drafts.append(draft(_linked(candidate, images, repository), repository))
    name = projects[0].name if len(projects) == 1 else ""
    return Adoption(
        project=clean(name or repository.root.name, "fleet"),
        drafts=tuple(drafts),
        notes=tuple(notes),
        left=() if only else tuple(left),
    )


def _unread(files: Sequence[str], read: Sequence[str]) -> Note:
    """The compose files that are not read, in one note."""
    what = f"compose files: {some(files, _SHOWN)}"
    advice = f"init reads {some(read, _SHOWN) or 'none'}; `--compose FILE` names another"
    return Note("other", Place(files[0]), what, advice)


def _startable(facts: ComposeFacts, root: str, builds: Collection[str]) -> set[str]:
    """The services with ready-made images that a start check can start: it reads the repository's own
    compose file alone, and has nothing that is built. `root`: the project's first file; `builds`:
    the images that it builds.
    """
    if root not in OWN:
        return set()
    ready: dict[str, ComposeService] = {}
    for service in facts.services:
        is_built = service.build or service.image in builds
        if service.image and not is_built and service.place.file == root:
            ready[service.name] = service
    return {name for name, service in ready.items() if service.depends_on.keys() <= ready.keys()}


def _composed(facts: ComposeFacts, *, apart: bool) -> tuple[list[Candidate], list[str], list[Note]]:
    """What compose files build; the names of what they have ready-made; and notes on what cannot be
    built here. `apart`: there are others, whose volumes may have the same names.
    """
    root = facts.files[0] if facts.files else ""
    builds: dict[str, Build] = {}
    for service in facts.services:
        if service.build and service.image:
            builds[service.image] = service.build
    startable = _startable(facts, root, builds)
    folder = clean(posixpath.dirname(root).replace("/", "-"), "root")
    candidates: list[Candidate] = []
    left: list[str] = []
    notes: list[Note] = []
    for service in facts.services:
        build, name = service.build or builds.get(service.image), service.name
        if build is None:
            left.append(name)
            continue
        if not build.dockerfile:
            what = f"{name} has its Dockerfile in the compose file"
            advice = "move `dockerfile_inline` into a file, and name that in `dockerfile`"
            notes.append(Note("breaks", service.place, what, advice))
            continue
        if _OUTSIDE.match(build.context) or build.dockerfile.startswith("../"):
            what = f"{name} is built from {build.context}, which is outside of this repository"
            advice = "run init in the folder that has both"
            notes.append(Note("breaks", service.place, what, advice))
            continue
        if apart:
            volumes = {f"{folder}-{volume}": path for volume, path in service.volumes.items()}
            service = replace(service, volumes=volumes)
        beside = tuple(other for other in service.depends_on if other in startable)
        candidates.append(Candidate(name=name, build=build, compose=service, ready=beside))
    return candidates, left, notes


def _alone(
    repository: Repository, composed: Sequence[Candidate]
) -> tuple[list[Candidate], list[Note]]:
    """The Dockerfiles that no compose file names. Where a compose file builds services, or a plain
    one lies beside it, one such as Dockerfile.dev is another way to build them.
    """
    used = {candidate.build.dockerfile for candidate in composed}
    files = [file for file in repository.files if _is_dockerfile(file, repository)]
    plain = [file for file in files if _is_plain(posixpath.basename(file))]
    folders = {*map(posixpath.dirname, (*used, *plain))}
    candidates: list[Candidate] = []
    others: list[str] = []
    for file in files:
        if file in used:
            continue
        folder, name = posixpath.split(file)
        if not _is_plain(name) and folder in folders:
            others.append(file)
            continue
        build, notes = _context(file, repository)
        candidates.append(Candidate(name=_called(file, repository), build=build, notes=notes))
    if not others:
        return candidates, []
    what = f"Dockerfiles beside others: {some(others, _SHOWN)}"
    advice = "a compose file that builds one makes it a service; `dockerfile:` in the manifest, too"
    return candidates, [Note("other", Place(others[0]), what, advice)]


def _is_plain(name: str) -> bool:
    """Whether a Dockerfile has the usual name, without a word more."""
    return name.lower() in ("dockerfile", "containerfile")


def _is_dockerfile(path: str, repository: Repository) -> bool:
    name = _FILE.fullmatch(posixpath.basename(path))
    hidden = path.startswith(".") or "/." in path
    if not name or hidden or (name[1] or "").lower().rpartition(".")[2] in _TEMPLATES:
        return False
    text = repository.text(path)
    return text is None or re.search(r"(?mi)^[ \t]*FROM\s", text) is not None


def _context(file: str, repository: Repository) -> tuple[Build, tuple[Note, ...]]:
    """How a Dockerfile is built that nothing here builds: in the lowest folder around it that has
    what it copies.
    """
    beside = Build(context=posixpath.dirname(file) or ".", dockerfile=file)
    build, text = beside, repository.text(file)
    while text is not None and not _has_sources(text, build, repository):
        if build.context == ".":
            return beside, ()
        build = replace(build, context=posixpath.dirname(build.context) or ".")
    if build == beside:
        return build, ()
    what = "its context is a folder above its own, which has what it copies"
    return build, (Note("other", Place(file), what),)


def _has_sources(text: str, build: Build, repository: Repository) -> bool:
    """Whether a context has all that a Dockerfile copies, and more than what says how to build."""
    every = stages(text, build.dockerfile, {})
    origins = Origins(every, build, repository)
    sources: set[str] = set()
    try:
        for stage in every:
            sources.update(pair.source for pair in origins.pairs(stage))
    except (KeepError, RecursionError):
        return False
    if build.context not in sources:
        return True
    for path in repository.below(build.context):
        name = posixpath.basename(path)
        if not _FILE.fullmatch(name) and not name.endswith((".dockerignore", ".md", ".sh")):
            return True
    return False


def _linked(candidate: Candidate, images: dict[str, str], repository: Repository) -> Candidate:
    """A candidate with those images of its stages that another service here builds."""
    text = repository.text(candidate.build.dockerfile) or ""
    linked: dict[str, str] = {}
    for stage in stages(text, "", candidate.build.args):
        if images.get(stage.image, candidate.name) != candidate.name:
            linked[stage.image] = f"target:{images[stage.image]}"
    return replace(candidate, images=linked)


def _called(file: str, repository: Repository) -> str:
    """What a service is called that no compose file names: after its Dockerfile, or its folder."""
    folder, base = posixpath.split(file)
    match = _FILE.fullmatch(base)
    if match and (name := match[1] or match[2]):
        return name
    while folder:
        folder, name = posixpath.split(folder)
        if name.lower() not in _UNNAMED:
            return name
    return repository.root.name


def _named(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates with names that the manifest takes, each once: a number tells those of one name
    apart.
    """
    named: dict[str, Candidate] = {}
    for candidate, name in zip(candidates, _names(candidates), strict=True):
        number, free = 1, name
        while free in named:
            number += 1
            free = f"{name}-{number}"
        named[free] = replace(candidate, name=free)
    return list(named.values())


def _names(candidates: Sequence[Candidate]) -> list[str]:
    """The name of each candidate. Where several are called the same, the folders around them come
    before.
    """
    words = [_words_of_name(candidate) for candidate in candidates]
    names = [own[-1] for own in words]
    lengths = [1] * len(words)  # how many of its words each has in its name
    for _ in range(_DEEPEST):
        count = Counter(names)
        for index, own in enumerate(words):
            if count[names[index]] == 1 or lengths[index] == len(own):
                continue
            lengths[index] += 1
            longer = "-".join(own[-lengths[index] :])
            if len(longer) <= _LONGEST:
                names[index] = clean(longer, own[-1])
    return names


def _words_of_name(candidate: Candidate) -> list[str]:
    """The folders that lead to a candidate, less those that say nothing, and what it is called."""
    name = clean(candidate.name, "service")
    file = candidate.compose.place.file if candidate.compose else candidate.build.dockerfile
    words = []
    for folder in posixpath.dirname(file).split("/"):
        if folder and folder.lower() not in _UNNAMED:
            words.append(_slug(folder))
    if words[-1:] == [name]:
        words.pop()
    return [*words, name]


def _slug(text: str) -> str:
    """A text in small letters and digits, with hyphens between its words."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def clean(text: str, default: str) -> str:
    """A name that the manifest takes."""
    name = re.sub(r"^[0-9-]+", "", _slug(text))[:_LONGEST].strip("-") or default
    if name.startswith(tuple(PREFIXES)):
        name = f"service-{name}"
    reserved = name in RESERVED or name.endswith((*CHECKS, f"-{INVENTORY}"))
    return f"{name}-service" if reserved else name
