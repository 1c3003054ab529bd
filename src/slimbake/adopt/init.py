"""`slimbake init`: from a repository as it is to a manifest that bakes.

Smokes are written first and the manifest last, each whole or not at all: whoever is interrupted
calls `init` again.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from slimbake import docker
from slimbake.adopt.decide import adoption
from slimbake.adopt.folder import folder_draft
from slimbake.adopt.ignored import ignore_files
from slimbake.adopt.insertion import insert, write_text
from slimbake.adopt.layout import manifest_text, service_lines
from slimbake.adopt.listed import extras_asked_for, required_by
from slimbake.adopt.locked import closure_in, needs_in
from slimbake.adopt.model import Adoption, Draft, Note, Place, Repository
from slimbake.adopt.needs import PIP_INSTALL
from slimbake.adopt.order import ordered
from slimbake.adopt.packages import closure
from slimbake.adopt.sharing import TORCH, Sharing, Wants, shared, versions_wanted
from slimbake.adopt.smokes import is_smoke, smoke_text
from slimbake.adopt.survey import survey
from slimbake.config import manifest
from slimbake.config.files import yaml_text
from slimbake.config.model import ENDED, Manifest
from slimbake.config.specs import name_of
from slimbake.console import Console
from slimbake.console.tables import readable, text_table
from slimbake.errors import ManifestError, Problem, UsageError
from slimbake.host.files import apart, write_atomically
from slimbake.render.generated import schema

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_NEWEST = "3.13"  # where nothing says which; wheels of the newest may still be missing
_SHORT = 60  # letters of a command that is shown
_BROUGHT = (
    "  images have nothing that `pip install` names here: if the service or one of its packages imports",
    "  one, or what came with it (`packaging` with wheel), add that to the service's requirements",
)
_ALONE = Sharing((), {}, ())
_SERVICE = re.compile(r'services\.(?:"([^"]+)"|([\w-]+))')
_ROUNDS = 4  # of what one service may lose until its entry is taken
_KEY = re.compile(r'services\.(?:"[^"]+"|[\w-]+)\.(\w+)(?:\."?([\w.-]+)"?)?')


@dataclass(frozen=True, slots=True)
class InitRequest:
    """What `slimbake init` is asked for."""

    compose: tuple[str, ...] = ()  # in place of those that it finds
    service: str = ""  # the only one that is wanted
    dry_run: bool = False  # the manifest is printed, and nothing written


@dataclass(frozen=True, slots=True)
class Started:
    """What `init` decided: the files that are still to be written, and what to tell."""

    text: str  # of the manifest
    files: Mapping[str, str]  # further files, path -> text
    drafts: tuple[Draft, ...]
    sharing: Sharing
    adoption: Adoption
    notes: tuple[Note, ...] = field(default=())


def init(file: Path, request: InitRequest, console: Console) -> list[str]:
    """Write the manifest of a repository, or one more service into the one that is there; the lines
    that say what became of it.

    Raises UsageError where there is nothing to adopt, ManifestError where the manifest that is
    there is wrong.
    """
    file = file.resolve()
    decided = start(file, request)
    if file.exists():
        return _further(file, decided, request, console)
    if request.dry_run:
        return [*decided.text.splitlines(), "", *report(decided, sizes_today(decided))]
    write(file, decided, console)
    return report(decided, sizes_today(decided))


def next_steps(file: Path) -> list[str]:
    """What a new manifest's files warn of, and what comes next.

    Raises ManifestError for what is wrong in files that it names.
    """
    about_others = (each for each in manifest(file).warnings if each.file != file.name)
    return [
        *(f"warning: {each}" for each in about_others),
        "",
        "next:",
        "  slimbake bake   locks, builds, checks and tags every image",
        "  slimbake up     starts them, with ports on 127.0.0.1 alone",
        f"  then commit {file.name}, docker-bake.hcl, bake/ and what else `init` wrote",
    ]


def in_folder(root: Path, folder: str, name: str, port: int) -> tuple[Draft | None, dict[str, str]]:
    """The service that lies in a folder, with the smoke that it lacks; None where nothing says how
    it starts.
    """
    repository = survey(root)
    found = adoption(repository, (), name).drafts
    drafts = [
        each
        for each in found
        if f"{each.entry['context']}/".startswith(f"{folder}/")
        or any(place.file.startswith(f"{folder}/") for place in each.origin)
    ]
    draft = drafts[0] if drafts else folder_draft(folder, repository, name, port)
    if draft is None:
        return None, {}
    if port:
        own = draft.entry.get("port", port)  # what its command listens on
        published = {"publish": port} if own != port else {}
        draft = replace(draft, entry={**draft.entry, "port": own, **published})
    files, [made] = _smokes(repository, [draft])
    ignores, [made] = ignore_files([made], repository)
    return made, {**ignores, **files}


def _further(file: Path, decided: Started, request: InitRequest, console: Console) -> list[str]:
    """With a manifest that is there: what it lacks, or the one service that is wanted."""
    old = manifest(file)
    known = {each.name for each in old.services}
    lacking = [each for each in decided.drafts if each.name not in known]
    if request.service and lacking:
        [draft] = lacking
        old_text = yaml_text(file)

        def text_with(draft: Draft) -> str:
            return insert(old_text, draft.name, draft.entry, file.name)

        entry = {key: value for key, value in draft.entry.items() if key != "base"}
        [draft] = ordered(
            [replace(draft, entry=entry)], lambda each: _problems(file, text_with(each[0]))
        )
        text = text_with(draft)
        if request.dry_run:
            return service_lines(draft)
        for path, content in decided.files.items():
            write_atomically(file.parent / path, content.encode())
            console.say(f"wrote {path}")
        if problems := _problems(file, text):
            hint = "\n".join(map(str, problems))
            raise UsageError(f"the service '{draft.name}' cannot be added", hint)
        write_text(file, text)
        console.say(f"wrote {file.name}")
        return [
            f"services.{draft.name} is in {file.name}",
            *portless([draft]),
            *published_by_up([draft]),
            *(line for note in draft.notes for line in str(note).split("\n")),
            "next:",
            f"  slimbake bake {draft.name}   builds and checks it",
        ]
    if request.service:
        return [f"services.{request.service} is in {file.name} already: edit that entry"]
    lines = [f"{file.name} exists already, and `init` does not change it"]
    lines += [
        f"it lacks {each.name} ({each.origin[0]}): `slimbake init --service {each.name}`"
        for each in lacking
    ] or ["every service found here is in it; `slimbake add NAME` adds a new one"]
    return [*lines, *size_lines(sizes_today(decided))]


def start(file: Path, request: InitRequest) -> Started:
    """Decide the manifest of a repository that has none. Nothing is written.

    Raises UsageError where nothing in it can become a service.
    """
    root = file.resolve().parent
    repository = survey(root)
    for each in request.compose:
        if each not in repository.texts:
            raise UsageError(f"{each} is not there", "name a compose file, relative to this folder")
    found = adoption(repository, request.compose, request.service)
    if not found.drafts:
        raise UsageError(*_nothing(request))
    return _decided(file, repository, found)


def _nothing(request: InitRequest) -> tuple[str, str]:
    if request.service:
        return (
            f"there is no service '{request.service}' here",
            "`slimbake init --dry-run` lists those that it finds",
        )
    return (
        "nothing here says how a service is built or started: no compose file that builds one, no"
        " Dockerfile, no folder with requirements and a program",
        "to begin with an empty fleet, write these lines into services.yaml, then run"
        f' `slimbake add NAME`:\nproject: mine\npython: "{_NEWEST}"\nservices: {{}}',
    )


def _decided(file: Path, repository: Repository, found: Adoption) -> Started:
    python, python_notes = _python(repository, found.drafts)
    ci, ci_notes = _ci(repository)

    def text(drafts: Sequence[Draft], sharing: Sharing, layers: str = "") -> str:
        return manifest_text(
            found.project, python, drafts, sharing, registry=found.registry, ci=ci, layers=layers
        )

    drafts, dropped = _readable(file, _one_user(found.drafts), lambda each: text(each, _ALONE))
    parsed = _checked(file, text(drafts, _ALONE))
    root = file.resolve().parent
    wants = _wants(parsed, drafts, repository, root) if isinstance(parsed, Manifest) else []
    sharing = shared(wants) if wants else _ALONE
    layers = "" if sharing.bases or not sharing.apart else "none"
    sharing, based = _on_bases(drafts, sharing)
    if sharing.bases and _problems(file, text(based, sharing, layers)):
        based, sharing, layers = list(drafts), _ALONE, "none"
    smokes, based = _smokes(repository, based)
    if not file.exists():  # else it is about services that are there
        based = ordered(based, lambda each: _problems(file, text(each, sharing, layers)))
    ignores, based = ignore_files(based, repository)
    notes = [*found.notes, *python_notes, *ci_notes, *dropped]
    for package in dict.fromkeys(package for *_, package in sharing.apart):
        pairs = [(one, other) for one, other, why in sharing.apart if why == package]
        wanted = versions_wanted(wants, package)
        names = dict.fromkeys(name for pair in pairs for name in pair)
        said = "; ".join(f"{name}: {wanted[name]}" for name in names if name in wanted)
        why = f"no version of {package} meets all of them{f' ({said})' if said else ''}"
        advice = (
            "let them require the same versions, and the locks that they have pin these; then put them"
            " on one base"
        )
        builds = {each.name: each.torch for each in drafts if each.torch and each.name in names}
        if package == TORCH and len({*builds.values()}) > 1:
            shown = ", ".join(f"{name}: {build}" for name, build in builds.items())
            why, advice = (
                f"they have different builds of torch ({shown})",
                "let them have one build",
            )
        what = f"{', '.join(names)} do not all share a base: {why}"
        notes.append(Note(Place(file.name), what, advice))
    return Started(
        text(based, sharing, layers),
        {**ignores, **smokes},
        tuple(based),
        sharing,
        found,
        tuple(dict.fromkeys(notes)),
    )


def _one_user(drafts: Iterable[Draft]) -> list[Draft]:
    """The drafts, with one user for all that share a volume, where a Dockerfile names one."""
    drafts = list(drafts)
    users: dict[str, set[str]] = {}  # of each volume
    for each in drafts:
        for volume in each.entry.get("volumes", ()):
            users.setdefault(volume, set()).update(filter(None, [each.entry.get("user")]))
    for number, each in enumerate(drafts):
        for volume in each.entry.get("volumes", ()):
            wanted = sorted(users[volume])
            if "dockerfile" in each.entry or [each.entry.get("user")] == wanted or not wanted:
                continue
            others = ", ".join(user for user in wanted if user != each.entry.get("user"))
            note = Note(
                each.origin[0],
                f"the volume {volume} of {each.name}: others have it as user {others}",
                "its files are of one user: write the same `user:` for all that write to it",
                each.name,
            )
            if len(wanted) == 1:
                entry, why = {**each.entry, "user": wanted[0]}, f"it shares the volume {volume}"
                comments = {**each.comments, "user": why}
                drafts[number] = replace(each, entry=entry, comments=comments)
            else:
                drafts[number] = replace(each, notes=(*each.notes, note))
            break
    return drafts


def _readable(
    file: Path,
    drafts: list[Draft],
    text: Callable[[Sequence[Draft]], str],
) -> tuple[list[Draft], list[Note]]:
    """The drafts that the manifest's reader takes; one that it refuses keeps its Dockerfile."""
    dropped: list[Note] = []
    for _ in range(_ROUNDS * (len(drafts) + 1)):
        faulty: dict[str, list[Problem]] = {}
        for problem in _problems(file, text(drafts)):
            for name in _whose(problem, drafts):
                faulty.setdefault(name, []).append(problem)
        if not faulty:
            break
        kept = []
        for each in drafts:
            if each.name not in faulty:
                kept.append(each)
                continue
            notes = tuple(_refusal(problem, each, file) for problem in faulty[each.name])
            fallen = _fallen(each, notes, faulty[each.name])
            if fallen is None:
                dropped += notes
            else:
                kept.append(fallen)
        drafts = kept
    return drafts, dropped


def _refusal(problem: Problem, draft: Draft, file: Path) -> Note:
    at = draft.origin[-1] if problem.file == file.name else Place(problem.file, problem.line)
    subject = f"{problem.path}: " if problem.path else ""
    joined = re.sub(r"(?<![.:;,])\n *", "; ", problem.hint).replace("\n", " ")
    advice = joined or "fix it, and run `slimbake init` again"
    return Note(at, f"{subject}{problem.message}", advice, draft.name)


def _fallen(draft: Draft, notes: tuple[Note, ...], problems: Iterable[Problem]) -> Draft | None:
    """The same service with its own Dockerfile; of one that has it, without what is refused. None
    where nothing can be left out.
    """
    if kept := draft.kept:
        entry, comments = dict(kept.entry), dict(kept.comments)
        comments["dockerfile"] = f"{notes[0].place}: {notes[0].what}"
        if "start" in draft.entry and "start" not in entry:
            entry["start"] = draft.entry["start"]
            comments["start"] = draft.comments.get("start", "")
        return replace(
            kept,
            entry=entry,
            comments=comments,
            before=draft.before,
            command=draft.command,
            notes=(*kept.notes, *notes),
        )
    entry = dict(draft.entry)
    for problem in problems if "dockerfile" in entry else ():
        match = _KEY.match(problem.path)
        key, inner = (match[1], match[2]) if match else ("", "")
        if key == "volumes" and inner in entry.get(key, ()):
            entry[key] = {name: at for name, at in entry[key].items() if name != inner}
        elif key not in {"context", "dockerfile"}:
            entry.pop(key, None)
    return (
        None if entry == draft.entry else replace(draft, entry=entry, notes=(*draft.notes, *notes))
    )


def _whose(problem: Problem, drafts: Sequence[Draft]) -> list[str]:
    """The services that a problem is about."""
    if match := _SERVICE.match(problem.path):
        return [match[1] or match[2]]
    names = []
    for each in drafts:
        context = str(each.entry["context"])
        written = each.entry.get("requirements")
        if isinstance(written, str):
            if posixpath.normpath(posixpath.join(context, written)) == problem.file:
                names.append(each.name)
        elif written and any(
            problem.file.startswith(f"{posixpath.normpath(item)}/")
            for item in written
            if item.startswith(".")
        ):
            names.append(each.name)
    if not names:  # a file that a requirements file includes
        folder = posixpath.dirname(problem.file)
        names = [each.name for each in drafts if each.entry["context"] == (folder or ".")]
    return names


def _problems(file: Path, text: str) -> tuple[Problem, ...]:
    """What the manifest's reader would say of a text in the file's place."""
    found = _checked(file, text)
    return found if isinstance(found, tuple) else ()


def _checked(file: Path, text: str) -> Manifest | tuple[Problem, ...]:
    with apart(file.resolve()) as copy:
        copy.write_text(text, "utf-8")
        try:
            return manifest(copy)
        except ManifestError as error:
            return tuple(
                replace(
                    each,
                    file=file.name if each.file == copy.name else each.file,
                    message=each.message.replace(copy.name, file.name),
                )
                for each in error.problems
            )


def _wants(
    parsed: Manifest, drafts: Sequence[Draft], repository: Repository, root: Path
) -> list[Wants]:
    by_name = {each.name: each for each in drafts}
    needs = cache(lambda lock: needs_in(_lock(root / lock)))
    found = []
    for service in parsed.services:
        if service.dockerfile:
            continue
        specs = list(service.requirements.specs)
        for package in service.requirements.packages:
            specs += closure(package.path, repository)
        constraints = service.requirements.constraints
        names = {name_of(each) for each in specs}
        needed = {lock: closure_in(needs(lock), names) for lock in {c.file for c in constraints}}
        pins = tuple(
            each.spec
            for each in constraints
            if not needs(each.file) or name_of(each.spec) in needed[each.file]
        )
        torch = by_name[service.name].torch
        if torch and TORCH not in map(name_of, specs):
            specs.append(TORCH)  # somebody's dependency, of which a build was chosen
        via: dict[str, frozenset[str]] = {}
        for file in service.requirements.files:
            via |= required_by(repository.texts.get(file, ""))
            specs += extras_asked_for(file, repository.texts)
        found.append(Wants(service.name, tuple(specs), torch, pins, via))
    return found


def _lock(file: Path) -> Mapping[str, Any]:
    """A lock that is TOML; {} for another file of constraints."""
    try:
        return tomllib.loads(file.read_text("utf-8")) if file.suffix in {".lock", ".toml"} else {}
    except tomllib.TOMLDecodeError:  # such as a Pipfile.lock
        return {}


def _on_bases(drafts: Sequence[Draft], sharing: Sharing) -> tuple[Sharing, list[Draft]]:
    """The drafts on their bases; Debian packages that all services of a base need are the base's."""
    by_name = {each.name: each for each in drafts}
    bases = []
    given: dict[str, set[str]] = {}  # service -> what its bases bring
    for base in sharing.bases:
        lists = [by_name[name].entry.get("system", []) for name in base.services]
        common = [
            package
            for package in lists[0]
            if all(package in each for each in lists)
            and not any(package in given.get(name, ()) for name in base.services)
        ]
        for name in base.services:
            given.setdefault(name, set()).update(common)
        bases.append(replace(base, system=tuple(common)))
    made = []
    for draft in drafts:
        entry = dict(draft.entry)
        if base_name := sharing.base_of.get(draft.name):
            entry["base"] = base_name
        if rest := [p for p in entry.pop("system", []) if p not in given.get(draft.name, ())]:
            entry["system"] = rest
        made.append(replace(draft, entry=entry))
    return replace(sharing, bases=tuple(bases)), made


def _smokes(repository: Repository, drafts: Sequence[Draft]) -> tuple[dict[str, str], list[Draft]]:
    """The smokes that are to be written, and the drafts that name them or those that are there."""
    files: dict[str, str] = {}
    contexts = Counter(each.entry["context"] for each in drafts)
    made = []
    for draft in drafts:
        context = draft.entry["context"]
        if "dockerfile" in draft.entry:
            made.append(draft)
            continue
        shared_context = contexts[context] > 1
        name = f"smoke_{draft.name.replace('-', '_')}.py" if shared_context else "smoke.py"
        text = smoke_text(draft, _sources(draft, repository))
        if text is None:
            why = (
                "an import would run its program"
                if draft.served
                else "init finds no module in its command"
            )
            why = f"no smoke: {why}; the start check runs it"
            made.append(replace(draft, comments={**draft.comments, "context": why}))
            continue
        there = repository.texts.get(_path(context, name))
        if there is not None and there != text and not is_smoke(there):
            name = f"slimbake_{name}"
            there = repository.texts.get(_path(context, name))
        if there is None:
            files[_path(context, name)] = text
        made.append(replace(draft, entry={**draft.entry, "smoke": name}))
    return files, made


def _sources(draft: Draft, repository: Repository) -> dict[str, str]:
    """The text of each module that its command names; of one that is empty or lies deeper than was
    read, one that does nothing.
    """
    found = {}
    for each in draft.served:
        inside = _path(draft.entry["context"], each.folder)
        module = each.module.replace(".", "/")
        paths = [_path(inside, module), _path(inside, f"src/{module}")]
        texts = [
            repository.texts.get(f"{p}{end}") for p in paths for end in (".py", "/__init__.py")
        ]
        found[each.module] = next(filter(None, texts), "pass")
        mains = [repository.texts.get(f"{path}/__main__.py") for path in paths]
        if each.main and (main := next(filter(None, mains), "")):
            found[f"{each.module}.__main__"] = main
    return found


def _python(repository: Repository, drafts: Sequence[Draft]) -> tuple[str, list[Note]]:
    """The version that most services have, and a note for each that has another."""
    said = Counter(each.python.value for each in drafts if each.python)
    if not said:
        pinned = repository.texts.get(".python-version", "").strip()
        pinned = pinned or repository.texts.get("runtime.txt", "").strip().removeprefix("python-")
        found = ".".join(pinned.split(".")[:2])
        required = [
            match[1]
            for path, text in sorted(repository.texts.items())
            if path.endswith("pyproject.toml")
            for match in re.finditer(
                r'(?m)^(?:requires-python|python)\s*=\s*"[^"\d]*(3\.\d+)', text
            )
        ]
        if found in PYTHONS:
            return found, []
        newest = max(required, key=lambda v: int(v.split(".")[1]), default="")
        if newest:
            return newest if newest in PYTHONS else PYTHONS[0], []
        what = f"nothing says the version of Python, and init took {_NEWEST}"
        advice = "write the one that the services have as `python` of the manifest"
        built = [each for each in drafts if "dockerfile" not in each.entry]
        return _NEWEST, [Note(each.origin[-1], what, advice) for each in built[:1]]
    version = said.most_common(1)[0][0]
    chosen = version if version in PYTHONS else PYTHONS[0]
    notes = [
        Note(
            each.python.place,
            f"Python {each.python.value}, where the fleet has {chosen}",
            "all images have one version, which slimbake supports from"
            f" {PYTHONS[0]} on: check that the service works with it",
            each.name,
        )
        for each in drafts
        if each.python and each.python.value != chosen
    ]
    return chosen, notes


def _ci(repository: Repository) -> tuple[str, list[Note]]:
    """The provider of the pipelines that are there. GitLab has one file, which is not slimbake's."""
    if repository.ci != "gitlab":
        return repository.ci, []
    advice = (
        "`slimbake ci plan --gitlab FILE` writes a child pipeline that this one can include; or move"
        " it away, and add `ci: {provider: gitlab}`"
    )
    return "", [Note(Place(".gitlab-ci.yml"), "there is a pipeline, and it stays", advice)]


def _path(folder: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(folder, name))


def write(file: Path, decided: Started, console: Console) -> None:
    """Write what `start` decided: the smokes, then the manifest. No file that is there is changed."""
    root = file.resolve().parent
    keys = schema()
    write_atomically(root / keys.path, keys.content)
    console.say(f"wrote {keys.path}")
    for path, text in decided.files.items():
        if not (root / path).exists():
            write_atomically(root / path, text.encode())
            console.say(f"wrote {path}")
    write_atomically(file, decided.text.encode())
    console.say(f"wrote {file.name}")


def sizes_today(decided: Started) -> list[tuple[str, int | None, int | None]]:
    """Of each service: the size of today's image and of slimbake's, where the engine has them."""
    project, folder = decided.adoption.project, decided.adoption.folder
    today = {
        each.name: tuple(
            filter(None, (each.image, f"{folder}-{each.name}", f"{folder}_{each.name}", each.name))
        )
        for each in decided.drafts
    }
    ours = {each.name: f"{project}/{each.name}" for each in decided.drafts}
    held = docker.image_sizes(
        [*(name for names in today.values() for name in names), *ours.values()]
    )
    return [
        (
            each.name,
            next((held[name] for name in today[each.name] if name in held), None),
            held.get(ours[each.name]),
        )
        for each in decided.drafts
    ]


def report(decided: Started, sizes: Sequence[tuple[str, int | None, int | None]]) -> list[str]:
    """What to tell after `init`."""
    lines = []
    for base in decided.sharing.bases:
        asked = ", ".join(base.requirements)
        lines.append(f"base {base.name}: {asked}, for {', '.join(base.services)}")
    own = [each.name for each in decided.drafts if "dockerfile" in each.entry]
    if own:
        lines.append(f"with their own Dockerfile: {', '.join(own)}")
    if decided.adoption.left:
        left = ", ".join(f"{name} ({image})" for name, image in decided.adoption.left)
        lines.append(f"left in {decided.adoption.compose[0]}: {left}")
    lines += portless(decided.drafts)
    lines += published_by_up(decided.drafts)
    lines += size_lines(sizes)
    notes = list(_grouped(all_notes(decided)))
    if notes:
        lines += ["", f"not carried over ({len(notes)}):"]
        lines += [line for note in notes for line in f"  {note}".replace("\n", "\n  ").split("\n")]
    return lines + needless(decided.drafts)


def _grouped(notes: Iterable[Note]) -> Iterator[str]:
    """The notes as they are printed: one that several places have, once."""
    places: dict[tuple[str, str], dict[Place, None]] = {}
    for note in notes:
        places.setdefault((note.what, note.advice), {})[note.place] = None
    for (what, advice), found in places.items():
        yield f"{_where(found)}: {what}\n  {advice}"


def _where(places: Iterable[Place]) -> str:
    lines: dict[str, list[str]] = {}
    for place in places:
        lines.setdefault(place.file, []).extend([str(place.line)] if place.line else [])
    return "; ".join(":".join(filter(None, (file, ", ".join(n)))) for file, n in lines.items())


def needless(drafts: Sequence[Draft]) -> list[str]:
    """The commands of Dockerfiles that prepare or clean up what slimbake's images never have."""
    found: dict[Place, dict[str, None]] = {}
    for step in sorted((s for each in drafts for s in each.needless), key=lambda s: s.place):
        words = " ".join(step.written or step.words)
        shown = words if len(words) < _SHORT else f"{words[: _SHORT - 4].rstrip()} ..."
        found.setdefault(step.place, {})[shown] = None
    same: dict[str, list[Place]] = {}
    for place, commands in found.items():
        same.setdefault(", ".join(commands), []).append(place)
    lines = [f"  {_where(places)}: {commands}" for commands, places in same.items()]
    installed = {
        word
        for each in drafts
        for s in each.needless
        if s.words[:2] == PIP_INSTALL
        for word in s.words
    }
    if installed - {*PIP_INSTALL, "uv"}:  # these bring no other package along
        lines += _BROUGHT
    return ["", "not needed any more:", *lines] if lines else []


def portless(drafts: Sequence[Draft]) -> list[str]:
    """How services without a port are checked at a bake, and how to name a port; but for jobs."""
    jobs = {name for each in drafts for name, how in each.before.items() if how == ENDED}
    names = [
        each.name
        for each in drafts
        if "port" not in each.entry and each.name not in jobs
        if isinstance(each.entry.get("start", {}), dict)
    ]
    return [
        f"without a port: {', '.join(names)}; the start check is `runs`: alive after 5 s, or ended"
        " with exit code 0. If one listens, add its `port: NUMBER`"
    ] * bool(names)


def published_by_up(drafts: Iterable[Draft]) -> list[str]:
    """Which services `slimbake up` publishes that their compose file does not."""
    names = ", ".join(each.name for each in drafts if each.internal)
    return [
        f"published on 127.0.0.1 by `slimbake up`, without `ports` in the compose file: {names};"
        " `publish: NUMBER` takes another port of this machine. In your own compose file,"
        " `ports: !override []` beside `extends` publishes none"
    ] * bool(names)


def size_lines(sizes: Sequence[tuple[str, int | None, int | None]]) -> list[str]:
    """Today's images beside slimbake's, if the engine has any of them."""
    if not any(today or new for _, today, new in sizes):
        return []
    rows = [(name, readable(today), readable(new)) for name, today, new in sizes]
    return [
        "",
        *text_table(("service", "today's image", "slimbake's"), rows, 1).splitlines(),
        "(as `docker image inspect` says: compressed with the containerd store, else not)",
    ]


def all_notes(decided: Started) -> list[Note]:
    """Every note once, by file and line."""
    found = (*decided.notes, *(note for each in decided.drafts for note in each.notes))
    once: dict[tuple[Place, str], Note] = {}
    for note in found:
        once.setdefault((note.place, note.what), note)
    return sorted(once.values(), key=lambda note: (note.place, note.what))
