"""Which services a repository has: those of its compose file, and its Dockerfiles. Pure."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import yaml

from slimbake.adopt.compose import ComposeFacts, compose_facts, compose_files
from slimbake.adopt.dockerfile import stages
from slimbake.adopt.files import Origins
from slimbake.adopt.model import (
    Adoption,
    Build,
    Candidate,
    Draft,
    KeepError,
    Note,
    Place,
    Repository,
)
from slimbake.adopt.rule import draft
from slimbake.config.compose import OWN
from slimbake.config.document import read_yaml
from slimbake.config.names import CHECKS, INVENTORY, PREFIXES, RESERVED
from slimbake.console.tables import some

_FILE = re.compile(r"(?:Dockerfile|Containerfile)(?:\.([\w-]+))?|([\w.-]+)\.(?:D|d)ockerfile")
_TEMPLATES = frozenset(
    ("j2", "jinja", "jinja2", "tmpl", "template", "tpl", "in", "md", "txt", "bak")
)
# Folders that are called after no service.
_UNNAMED = frozenset(
    ("src", "app", "docker", "dockerfiles", "build", "deploy", "deployment", "code")
)
_SHOWN = 12  # files in a note
_WORKFLOWS = ".github/workflows"
_BUILD_ACTION = "docker/build-push-action"


def adoption(repository: Repository, files: Sequence[str] = (), only: str = "") -> Adoption:
    """What becomes of a repository. `files`: the compose files, () to look for them; `only`: the one
    service that is wanted.
    """
    defaults, others = compose_files(repository)
    projects = [list(files)] if files else [[file] for file in defaults]
    every = [compose_facts(repository, project) for project in projects]
    project_of = {file: facts.files[0] for facts in every for file in facts.files}
    read = list(project_of)
    notes = [note for facts in every for note in facts.notes]
    notes += _others([other for other in others if other not in read], read)
    if repository.partial:
        what = f"there are more than {len(repository.files)} files, and some were not looked at"
        notes.append(Note("other", Place("."), what, "run init in a folder with fewer"))
    candidates: list[Candidate] = []
    left: list[tuple[str, str]] = []
    for facts in every:
        composed, ready, lost = _composed(facts, apart=len(every) > 1)
        candidates, left, notes = candidates + composed, left + ready, notes + lost
    alone, unnamed = _alone(repository, candidates)
    notes += unnamed
    named = list(_named([*candidates, *alone]))
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
    name = every[0].name if len(every) == 1 else ""
    return Adoption(
        project=clean(name or repository.root.name, "fleet"),
        drafts=tuple(drafts),
        notes=tuple(notes),
        left=() if only else tuple(left),
    )


def _others(others: Sequence[str], read: Sequence[str]) -> Iterator[Note]:
    """The compose files that are not read, in one note."""
    if others:
        files_read = f"init reads {some(read, _SHOWN) or 'none'}"
        yield Note(
            "other",
            Place(others[0]),
            f"compose files: {some(others, _SHOWN)}",
            f"{files_read}; `--compose FILE` names another",
        )


def _composed(
    facts: ComposeFacts, *, apart: bool
) -> tuple[list[Candidate], list[tuple[str, str]], list[Note]]:
    """What compose files build, what they have ready-made, and what lies elsewhere. `apart`: there
    are others, whose volumes may have the same names.
    """
    root = facts.files[0] if facts.files else ""
    builds = {service.image: service.build for service in facts.services if service.build}
    builds.pop("", None)
    ready: set[str] = set()
    for service in facts.services:
        is_pulled = not service.build and service.image and service.image not in builds
        if is_pulled and service.place.file == root:  # a start check reads no other file
            ready.add(service.name)
    startable: set[str] = set()
    for service in facts.services:
        if root in OWN and service.name in ready and {*service.depends_on} <= ready:
            startable.add(service.name)
    candidates, left, notes = [], [], []
    folder = clean(posixpath.dirname(root).replace("/", "-"), "root")
    for service in facts.services:
        build, name = service.build or builds.get(service.image), service.name
        if build is None:
            left.append((name, service.image or "no image"))
            continue
        what = advice = ""
        if not build.dockerfile:
            what = f"{name} has its Dockerfile in the compose file"
            advice = "move `dockerfile_inline` into a file, and name that in `dockerfile`"
        elif re.match(r"\.\./|[a-z+]+:|git@|\$", build.context) or build.dockerfile[:3] == "../":
            what = f"{name} is built from {build.context}, which is outside of this repository"
            advice = "run init in the folder that has both"
        if what:
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
    plain = [file for file in files if "." not in posixpath.basename(file)]
    folders = {*map(posixpath.dirname, (*used, *plain))}
    candidates, others = [], []
    given = _contexts_of_workflows(repository)
    for file in files:
        if file in used:
            continue
        folder, name = posixpath.split(file)
        if "." in name and folder in folders:
            others.append(file)
            continue
        build, notes = _context(file, repository)
        if (context := given.get(file, build.context)) != build.context:
            build = replace(build, context=context)
            what = f"its context is {context}: a workflow of GitHub says so"
            notes = (Note("other", Place(file), what),)
        candidates.append(Candidate(name=_called(file, repository), build=build, notes=notes))
    what = f"Dockerfiles beside others: {some(others, _SHOWN)}"
    advice = "a compose file that builds one makes it a service; `dockerfile:` in the manifest, too"
    return candidates, [Note("other", Place(others[0]), what, advice)] if others else []


def _contexts_of_workflows(repository: Repository) -> dict[str, str]:
    """The contexts that workflows of GitHub name, by Dockerfile: of one with two, none."""
    found: dict[str, set[str]] = {}
    for file in repository.below(_WORKFLOWS):
        text = repository.text(file) or ""
        try:
            waiting = [read_yaml(text).value] if _BUILD_ACTION in text else []
        except yaml.YAMLError:
            continue
        while waiting:
            value = waiting.pop()
            if isinstance(value, list):
                waiting += value
            if not isinstance(value, dict):
                continue
            waiting += value.values()
            inputs = value.get("with")
            if not isinstance(inputs, dict) or _BUILD_ACTION not in str(value.get("uses")):
                continue
            context = str(inputs.get("context") or ".")
            dockerfile = str(inputs.get("file") or posixpath.join(context, "Dockerfile"))
            found.setdefault(posixpath.normpath(dockerfile), set()).add(posixpath.normpath(context))
    contexts: dict[str, str] = {}
    for dockerfile, named in found.items():
        if len(named) == 1 and named <= repository.folders:
            contexts[dockerfile] = named.pop()
    return contexts


def _is_dockerfile(path: str, repository: Repository) -> bool:
    name = _FILE.fullmatch(posixpath.basename(path))
    hidden = path.startswith(".") or "/." in path
    if not name or hidden or (name[1] or "").lower() in _TEMPLATES:
        return False
    text = repository.text(path)
    return text is None or re.search(r"(?mi)^[ \t]*FROM\s", text) is not None


def _context(file: str, repository: Repository) -> tuple[Build, tuple[Note, ...]]:
    """How a Dockerfile is built that nothing here builds: in the lowest folder around it that has
    what it copies.
    """
    own = Build(context=posixpath.dirname(file) or ".", dockerfile=file)
    build, text = own, repository.text(file)
    while text is not None and not _has_sources(text, build, repository):
        if build.context == ".":
            return own, ()
        build = replace(build, context=posixpath.dirname(build.context) or ".")
    what = "its context is a folder above its own, which has what it copies"
    return build, (Note("other", Place(file), what),) if build != own else ()


def _has_sources(text: str, build: Build, repository: Repository) -> bool:
    every = stages(text, build.dockerfile, {})
    origins = Origins(every, build, repository)
    try:
        pairs = [pair for stage in every for pair in origins.pairs(stage)]
    except (KeepError, RecursionError):
        return False
    whole = any(pair.source == build.context for pair in pairs)
    names = [posixpath.basename(path) for path in repository.below(build.context)]
    return not whole or any(
        not _FILE.fullmatch(n) and not n.endswith((".dockerignore", ".md", ".sh")) for n in names
    )


def _linked(candidate: Candidate, images: dict[str, str], repository: Repository) -> Candidate:
    """A candidate with the images that its stages stand on and that are built here."""
    text = repository.text(candidate.build.dockerfile) or ""
    linked: dict[str, str] = {}
    for stage in stages(text, "", candidate.build.args):
        if images.get(stage.image, candidate.name) != candidate.name:
            linked[stage.image] = f"target:{images[stage.image]}"
    return replace(candidate, images=linked)


def _called(file: str, repository: Repository) -> str:
    """What a service is called that no compose file names: after its Dockerfile, or its folder."""
    name = _FILE.fullmatch(posixpath.basename(file))
    service_name = (name[1] or name[2] or "") if name else ""
    folder = posixpath.dirname(file)
    while not service_name and folder:
        folder, word = posixpath.split(folder)
        service_name = word if word.lower() not in _UNNAMED else ""
    return service_name or repository.root.name


def _named(candidates: Sequence[Candidate]) -> Iterator[Candidate]:
    """The candidates with names that the manifest takes, each once."""
    count = Counter(clean(candidate.name, "service") for candidate in candidates)
    taken: set[str] = set()
    for candidate in candidates:
        name = clean(candidate.name, "service")
        file = (
            candidate.compose.place.file
            if candidate.compose
            else posixpath.dirname(candidate.build.dockerfile)
        )
        if count[name] > 1 and posixpath.dirname(file):
            parent = posixpath.basename(posixpath.dirname(file))
            name = clean(f"{parent}-{name}", "service")
        if name in taken:
            number = next(n for n in range(2, len(candidates) + 2) if f"{name}-{n}" not in taken)
            name = f"{name}-{number}"
        taken.add(name)
        yield replace(candidate, name=name)


def clean(text: str, default: str) -> str:
    """A name that the manifest takes."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    name = re.sub(r"^[0-9-]+", "", name)[:50].strip("-") or default
    if name.startswith(tuple(PREFIXES)):
        name = f"service-{name}"
    reserved = name in RESERVED or name.endswith((*CHECKS, f"-{INVENTORY}"))
    return f"{name}-service" if reserved else name
