"""Which services a repository has, and what each becomes. Pure."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache

from slimbake.adopt.bases import builder_of, context_of
from slimbake.adopt.builds import Declared, declared
from slimbake.adopt.compose import compose_facts, compose_files
from slimbake.adopt.dockerfile import Below, dockerfile_facts
from slimbake.adopt.draft import draft
from slimbake.adopt.folder import folder_draft, service_folders
from slimbake.adopt.model import (
    Adoption,
    BuildFacts,
    Candidate,
    ComposeFacts,
    ComposeService,
    Draft,
    ImageFacts,
    Note,
    Place,
    Repository,
)
from slimbake.adopt.order import before, lonely
from slimbake.adopt.pipelines import build_arguments, pushed, registry_in, registry_of
from slimbake.config.compose import OWN, OwnCompose, defined
from slimbake.config.names import CHECKS, PREFIXES, RESERVED
from slimbake.config.shells import reaped
from slimbake.fingerprint.instructions import instructions
from slimbake.fleet.resolve import DEBIAN
from slimbake.render import BAKE_FILE, MARK

_DOCKERFILE = re.compile(r"(?:Dockerfile|Containerfile)(?:\.[\w.-]+)?|[\w.-]+\.(?:D|d)ockerfile")
_DEFAULT = re.compile(r"(?:Dockerfile|Containerfile)")
_NEEDED = re.compile(r"(?mi)^[ \t]*ARG[ \t]+(\w+)[ \t]*$")  # an argument without a default
_NOT_DEPLOYED = re.compile(
    r"(?:^|[./_-])(?:dev|development|devcontainer|debug|test|tests|testing|ci|local)\b"
)


def adoption(repository: Repository, files: tuple[str, ...], only: str = "") -> Adoption:
    """What becomes of a repository. `files`: the compose files, () to look for them; `only`: the
    one service that is wanted.
    """
    compose = compose_facts(repository, files or compose_files(repository))
    below = _below(repository, compose)
    builds = [*declared(repository)]
    candidates, left, notes = _candidates(repository, compose, builds, below)
    used = {candidate.build.dockerfile for candidate in candidates}
    notes = [*compose.notes, *notes]
    further = [
        (file, candidate)
        for file in _dockerfiles(repository)
        if file not in used
        for candidate in _alone(file, builds, repository, below)
    ]
    lower = {
        build.dockerfile
        for each in (*candidates, *(each for _, each in further))
        if each.facts
        for build in each.facts.below.values()
    }
    for file, candidate in further:
        name = candidate.name
        if file in lower and compose.files:
            candidates.append(candidate)
            continue
        deployed = not _NOT_DEPLOYED.search(file) and _DEFAULT.fullmatch(posixpath.basename(file))
        if candidates and compose.files and not deployed:
            notes.append(
                Note(
                    Place(file),
                    "no compose file names this Dockerfile",
                    f"if it is a service: `slimbake init --service {name}`",
                )
            )
            if only != name:
                continue
        candidates.append(candidate)
    for file in _dockerfiles(repository):
        notes += _unbuilt(file, repository.texts[file], candidates)
    bases = {each.build.dockerfile for each in candidates if _is_base(each, lower, compose)}
    notes += _newer([each for each in candidates if each.build.dockerfile not in bases])
    named = [*_named(candidates)]
    services = [each for each in named if each.build.dockerfile not in bases or each.name == only]
    names = {each.compose.name: each.name for each in services if each.compose}
    drafts = [_ordered(draft(each, repository), each.compose, names) for each in services]
    asked = zip(drafts, services, strict=True)
    drafts = [lonely(one, each.ready, drafts) if each.job else one for one, each in asked]
    drafts = _on_bases(drafts, services, [e for e in named if e not in services], repository)
    drafts = [replace(each, notes=_own_notes(each, drafts)) for each in drafts]
    if not drafts or (only and only not in {each.name for each in drafts}):
        taken = {each.name for each in drafts}
        folders = (folder_draft(f, repository) for f in service_folders(repository))
        drafts += [each for each in folders if each is not None and each.name not in taken]
    elif not only:
        notes += _further(drafts, repository)
    if only:
        drafts = [each for each in drafts if each.name == only]
    mine = repository.texts.get(BAKE_FILE)
    if mine is not None and MARK not in mine.partition("\n")[0]:
        advice = "slimbake writes a file of this name: give yours another, and bake it with `-f`"
        notes.append(Note(Place(BAKE_FILE), "there is a bake file already", advice))
    registry, of_pipelines = registry_of(pushed(repository.pipelines), _registry(compose))
    notes += of_pipelines
    texts = [repository.texts[file] for file in _dockerfiles(repository)]
    given = {pair for each in services if not each.compose for pair in each.build.args.items()}
    notes += build_arguments(repository.pipelines, texts, given)
    return Adoption(
        project=_name(compose.name or repository.name, "fleet"),
        folder=compose.name or repository.name.lower(),
        drafts=tuple(drafts),
        left=() if only else tuple(left),
        compose=compose.files,
        notes=tuple(dict.fromkeys(notes)),
        registry=registry,
    )


def _registry(compose: ComposeFacts) -> str:
    """Where all images are that a compose file builds and names; "" where that is not one place."""
    names = [each.image for each in compose.services if each.build and each.image]
    found = set(map(registry_in, names))
    return found.pop() if len(found) == 1 else ""


_OLDER = re.compile(r"-(buster|bullseye|bookworm)\b")
_NEWER = (
    f"slimbake's images are of Debian {DEBIAN}: its packages are newer, and `system: [tzdata-legacy]`"
    " has the old names of time zones, such as US/Pacific"
)


def _below(repository: Repository, compose: ComposeFacts) -> Below:
    """What builds an image of this repository, by its name."""
    files = tuple(_dockerfiles(repository))

    @cache
    def found(image: str) -> tuple[str, BuildFacts] | None:
        build = builder_of(image, repository, compose, files)
        text = repository.texts.get(build.dockerfile) if build else None
        return (text, build) if build and text is not None else None

    return found


def _is_base(candidate: Candidate, lower: Collection[str], compose: ComposeFacts) -> bool:
    """Whether an image is there for others to stand on: nothing starts it by itself."""
    facts, service = candidate.facts, candidate.compose
    if candidate.build.dockerfile not in lower or facts is None:
        return False
    if service is None:
        said = [facts.entrypoint, facts.command]
    elif not service.starts:
        return True
    else:
        said = [service.entrypoint, service.command, facts.entrypoint, facts.command]
    words = [word for each in said if each for word in each.words]
    return not reaped(words) or (service is None and bool(compose.files))


def _on_bases(
    drafts: list[Draft],
    services: list[Candidate],
    bases: list[Candidate],
    repository: Repository,
) -> list[Draft]:
    """The drafts; those that keep their Dockerfile stand on images of the fleet, which come along."""
    by_file = {each.build.dockerfile: each.name for each in (*services, *bases)}
    made, wanted = [], set()
    for each, candidate in zip(drafts, services, strict=True):
        below = candidate.facts.below if candidate.facts else {}
        linked = {
            name: f"target:{by_file[build.dockerfile]}"
            for name, build in below.items()
            if build.dockerfile in by_file and by_file[build.dockerfile] != each.name
        }
        if "dockerfile" in each.entry and linked:
            wanted |= {build.dockerfile for build in below.values()}
            linked = {**each.entry.get("contexts", {}), **linked}
            each = replace(each, entry={**each.entry, "contexts": linked})
        made.append(each)
    for candidate in (each for each in bases if each.build.dockerfile in wanted):
        found = draft(candidate, repository)
        kept = found.kept or found
        entry = {**kept.entry, "start": "none", "up": False}
        comments = {"start": "others are built on it, and nothing starts it"}
        made.append(replace(kept, entry=entry, comments=comments, notes=()))
    return made


def _ordered(made: Draft, compose: ComposeService | None, names: Mapping[str, str]) -> Draft:
    """A draft with what its compose file says of the order in which services start."""
    if compose is None:
        return made
    said = compose.entrypoint or (None if "command" in made.entry else compose.command)
    own = said.text if said else ""
    return replace(made, before=before(compose.beside, names), command=own)


def _own_notes(draft: Draft, drafts: list[Draft]) -> tuple[Note, ...]:
    """The notes of a service, without those on folders that its Dockerfile makes for another one: such
    a service names the folder, and this one does not.
    """

    def others(note: Note) -> bool:
        folder = re.fullmatch(r"RUN mkdir (\S+)", note.what)
        named = re.compile(rf"{re.escape(folder[1])}(?![\w.-])") if folder else None
        same = [each for each in drafts if each.origin[-1] == draft.origin[-1]]
        asking = [each for each in same if named and named.search(str(each.entry))]
        return bool(asking) and draft not in asking

    return tuple(note for note in draft.notes if not others(note))


def _newer(candidates: list[Candidate]) -> Iterator[Note]:
    """That today's images are of an older Debian: said once for each."""
    older: dict[str, Place] = {}
    for each in candidates:
        parent = each.facts.parent if each.facts and each.facts.python else None
        if parent and (found := _OLDER.search(parent.value)):
            older.setdefault(found[1], parent.place)
    for name, place in older.items():
        yield Note(place, f"the image is of Debian {name}", _NEWER)


def _candidates(
    repository: Repository, compose: ComposeFacts, builds: Iterable[Declared], below: Below
) -> tuple[list[Candidate], list[tuple[str, str]], list[Note]]:
    """The services that compose files build, those that they have ready-made, and notes on these."""
    notes: list[Note] = []
    built = {
        service.image: service.build
        for service in compose.services
        if service.image and service.build
    }
    found, left = [], []
    for service in compose.services:
        build = service.build or built.get(service.image)
        if build is None:
            left.append((service.name, service.image or "built elsewhere"))
            notes += [] if service.image else service.notes
        elif build.dockerfile.startswith("../") or build.context.startswith(".."):
            left.append((service.name, "built elsewhere"))
            what = f"the context of {service.name} lies outside this folder, in {build.context}"
            advice = "run `slimbake init` in the folder that has both"
            notes.append(Note(service.place, what, advice))
        else:
            if (other := _for_production(build, builds)) is not None:
                stage = (
                    f"the stage {other.build.target}" if other.build.target else "the last stage"
                )
                what = f"the target {build.target} is for development"
                advice = f"the image is {stage}, which {other.place} builds"
                notes.append(Note(service.place, what, advice, service.name))
                args = {**build.args, **other.build.args}
                build = replace(build, target=other.build.target, args=args)
            found.append(_from_compose(service, build, repository, compose, below))
    return found, left, notes


def _for_production(build: BuildFacts, builds: Iterable[Declared]) -> Declared | None:
    """What else builds the Dockerfile of which a compose file has a target for development; None where
    that is not one.
    """
    if not _for_development(build.target):
        return None
    found = {
        each.build.target: each
        for each in builds
        if each.build.dockerfile == build.dockerfile
        and not _for_development(each.build.target, each.name)
    }
    return next(iter(found.values())) if len(found) == 1 else None


def _from_compose(
    service: ComposeService,
    build: BuildFacts,
    repository: Repository,
    compose: ComposeFacts,
    below: Below,
) -> Candidate:
    text = repository.texts.get(build.dockerfile)
    facts = (
        None
        if text is None
        else dockerfile_facts(
            text, build.dockerfile, build.target, build.args, below, build.contexts
        )
    )
    origin = (service.place, *([Place(build.dockerfile)] if facts else []))
    ready = _ready(service, repository, compose)
    job = service.name in compose.jobs
    alone = tuple(name for name in service.beside if name not in {*ready, *_built(compose)})
    lacks = next(
        (
            said
            for each in compose.services
            for said in each.env_files
            if said.value not in repository.files
        ),
        None,
    )
    same = [
        each.command or (facts and facts.command)
        for each in compose.services
        if (each.build and each.build.dockerfile == build.dockerfile)
        or (each.image and each.image == service.image)
    ]
    known = frozenset(word for each in same for word in (each.words if each else ("",)))
    return Candidate(service.name, origin, build, facts, service, job, ready, alone, lacks, known)


def _built(compose: ComposeFacts) -> set[str]:
    """The services that are built, and those that have the image of such."""
    images = {each.image for each in compose.services if each.build and each.image}
    return {each.name for each in compose.services if each.build or each.image in images}


def _ready(
    service: ComposeService, repository: Repository, compose: ComposeFacts
) -> tuple[str, ...]:
    """The services that it depends on and that a start check can start: ready-made images of the
    root's own compose file, which depend on nothing that is built.
    """
    file = compose.files[0]
    own = defined(file, repository.texts[file]) if file in OWN else OwnCompose()
    images = own.services - own.built - _built(compose)
    depends = {each.name: each.beside for each in compose.services}

    def startable(name: str, above: tuple[str, ...] = ()) -> bool:
        below = depends.get(name, ())
        return name in images and all(
            each in above or startable(each, (*above, name)) for each in below
        )

    return tuple(name for name in service.beside if startable(name))


def _dockerfiles(repository: Repository) -> Iterator[str]:
    for file in sorted(repository.texts):
        name = posixpath.basename(file)
        is_one = _DOCKERFILE.fullmatch(name) and not name.endswith(".dockerignore")
        if is_one and not re.search(r"(?:^|/)(?:tests?|docs?|examples?|bake)/", file):
            yield file


def _alone(
    file: str, builds: Iterable[Declared], repository: Repository, below: Below
) -> list[Candidate]:
    """The services of a Dockerfile that no compose file names: what it builds in the ways that
    something else says, else its last stage.
    """
    text, name = repository.texts[file], _file_name(file, repository)
    last = dockerfile_facts(text, file, below=below)
    own = BuildFacts(context=context_of(last, file, repository), dockerfile=file)
    asked = [each for each in builds if each.build.dockerfile == file]
    needed = {*_NEEDED.findall(text)} & {name for each in asked for name in each.build.args}
    found: dict[tuple[object, object], tuple[Declared, ImageFacts]] = {}
    for each in asked:
        if needed <= {*each.build.args} and not _for_development(each.build.target, each.name):
            one = each.build
            facts = dockerfile_facts(text, file, one.target, one.args, below, one.contexts)
            if facts and (facts.command or facts.entrypoint):
                made = _made(facts)
                same = [one for each_made, (one, _) in found.items() if each_made[0] == made[0]]
                if not any(one.name == each.name for one in same):  # else of another environment
                    found.setdefault(made, (each, facts))
    has_contexts = any(each.build.contexts for each, _ in found.values())
    if not found or (last and [*found] == [_made(last)] and not has_contexts):
        return [Candidate(name, (Place(file),), own, last)]
    names = [each.name for each, _ in found.values()]
    clear = all(names) and len({*names}) == len(names)
    return [
        Candidate(
            name if len(found) == 1 else each.name if clear else _part_name(name, each.build),
            (each.place, Place(file)),
            each.build,
            facts,
        )
        for each, facts in found.values()
    ]


def _for_development(*names: str) -> bool:
    return any(map(_NOT_DEPLOYED.search, names))


def _made(facts: ImageFacts) -> tuple[object, object]:
    """What tells the images of one Dockerfile apart, but for their versions of Python and labels; the
    variables come last.
    """
    steps = tuple(each.words for each in facts.steps)
    files = (facts.workdir, facts.copies, steps)
    variables = tuple((name, said.value) for name, said in facts.env.items())
    return (facts.entrypoint, facts.command, files), variables


def _part_name(name: str, build: BuildFacts) -> str:
    """What one of the builds of a Dockerfile is called by what is special about it."""
    return _name("-".join([name, *filter(None, [build.target, *build.args.values()])]), name)


def _unbuilt(file: str, text: str, candidates: Iterable[Candidate]) -> Iterator[Note]:
    """A note on each stage that has its own command, and that no service is built from."""
    stages: list[tuple[str, str]] = []  # name, image
    starts: dict[int, int] = {}  # number of a stage -> the line of its command
    for each in instructions(text):
        if each.word == "FROM":
            image, _, called = each.rest.lower().partition(" as ")
            stages.append((called.strip(), image.strip()))
        elif each.word in {"CMD", "ENTRYPOINT"} and stages:
            starts.setdefault(len(stages) - 1, each.line)
    by_name = {name: number for number, (name, _) in enumerate(stages) if name}
    left = {each.build.target.lower() for each in candidates if each.build.dockerfile == file}
    reached = set()
    waiting = [by_name.get(each, len(stages) - 1) if each else len(stages) - 1 for each in left]
    while waiting:
        number = waiting.pop()
        if number not in reached:
            reached.add(number)
            waiting += [by_name[i] for _, i in stages[number : number + 1] if i in by_name]
    for number, line in starts.items() if left else ():
        name = stages[number][0]
        if name and number not in reached and not _for_development(name):
            yield Note(
                Place(file, line),
                f"the stage {name} has a command of its own, and no service is built from it",
                f"if one is, name it in a compose file, with `target: {name}`",
            )


def _file_name(file: str, repository: Repository) -> str:
    """What a service is called whose Dockerfile is all that names it."""
    base = posixpath.basename(file)
    folder = posixpath.basename(posixpath.dirname(file)) or repository.name
    suffix = re.sub(r"^(?:Dockerfile|Containerfile)\.?|\.[dD]ockerfile$", "", base)
    parent = posixpath.basename(posixpath.dirname(posixpath.dirname(file)))
    if folder in {"docker", "build", "deploy"} and parent and not suffix:
        folder = parent
    return _name(suffix or folder, "service")


def _further(drafts: list[Draft], repository: Repository) -> Iterator[Note]:
    """Folders that look like services, and that neither a Dockerfile nor a compose file names."""
    contexts = {draft.entry["context"] for draft in drafts} - {"."}
    contexts |= {posixpath.dirname(place.file) for draft in drafts for place in draft.origin}
    for one in drafts:
        written = one.entry.get("requirements") or []
        for each in [written] if isinstance(written, str) else written:
            path = posixpath.join(one.entry["context"], each.partition("[")[0])
            path = posixpath.normpath(path)
            contexts |= {path, posixpath.dirname(path)}
    contexts -= {"", "."}
    for folder in service_folders(repository):
        inside = any(f"{folder}/".startswith(f"{each}/") for each in contexts)
        if inside or folder == "." or any(each.startswith(f"{folder}/") for each in contexts):
            continue
        found = folder_draft(folder, repository)
        if found is not None:
            yield Note(
                Place(folder),
                "this looks like a service, and has no Dockerfile",
                f"`slimbake init --service {found.name}` adds it",
            )


def _named(candidates: list[Candidate]) -> Iterator[Candidate]:
    """The same with names that the manifest takes, each once."""
    count = Counter(_name(each.name, "service") for each in candidates)
    taken: set[str] = set()
    for each in candidates:
        name = _name(each.name, "service")
        if count[name] > 1 and each.compose is None:
            parent = posixpath.basename(posixpath.dirname(posixpath.dirname(each.build.dockerfile)))
            name = _name(f"{parent}-{name}", "service") if parent else name
        number = 2
        wanted = name
        while name in taken:
            name, number = f"{wanted}-{number}", number + 1
        taken.add(name)
        yield replace(each, name=name)


def _name(text: str, default: str) -> str:
    """A name that the manifest takes."""
    clean = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    clean = re.sub(r"^[0-9-]+", "", clean)[:50].strip("-") or default
    if clean.startswith(tuple(PREFIXES)):
        clean = f"service-{clean}"
    return f"{clean}-service" if clean in RESERVED or clean.endswith(CHECKS) else clean
