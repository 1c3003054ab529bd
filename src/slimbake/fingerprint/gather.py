"""Gathers what each target's content depends on, from the plan and the files of one folder."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from slimbake.config.naming import LAYERS, LOCKS, PROGRAMS
from slimbake.config.rules import folder_context
from slimbake.fingerprint.dockerfile import INSIDE, Reads, reads
from slimbake.fingerprint.folders import Folders, Hashes
from slimbake.fingerprint.model import BELOW, Account, ExternalDigests, Input, account, digest
from slimbake.fingerprint.steps import settings
from slimbake.host.dockerignore import Ignore
from slimbake.host.files import content
from slimbake.host.workspace import Workspace
from slimbake.lock.text import without_comments
from slimbake.plan.model import Plan, Target
from slimbake.render import BAKE_FILE, Generated
from slimbake.render.generated import SHIPPED, own_templates

_PINNED = re.compile(r".*@(sha256:[0-9a-f]{64})")
_VARIABLE = re.compile(r'^variable "(\w+)"', re.MULTILINE)
# Names and places of images, where caches lie, and what this machine brings as secrets: nothing of
# what is in an image.
_ELSEWHERE = {"REGISTRY", "TAG", "CACHE_FROM", "CACHE_TO", "LAYOUTS", "CA_BUNDLE", "UV_SETTINGS"}
# Of `inside`, a step mounts single files. That holds as long as its Dockerfile only puts them in
# place.
_PLACES = {
    "FROM scratch",
    "COPY --from=uv /uv /uv",
    "COPY . /",
    "COPY --from=locks . /locks/",
    "COPY --from=layers . /layers/",
}
# A folder of `inside`: what its files are, and where they lie in the repository.
_FOLDERS = {"locks": ("lock", LOCKS), "layers": ("layer", LAYERS)}

# Inputs, and sentences that say why something cannot be known.
Found = Iterator[Input | str]


@dataclass(frozen=True, slots=True)
class Commit:
    """What differs where files are a commit's, not those that are worked on.

    `submodules`: folder -> commit, of those whose files are not there. `foreign`: generated files
    that another slimbake wrote, so that the plan does not say what is in them.
    """

    submodules: Mapping[str, str] = field(default_factory=dict)
    foreign: Collection[str] = ()


THIS_TREE = Commit()


def accounts(
    plan: Plan,
    root: Path,
    workspace: Workspace,
    externals: ExternalDigests | None = None,
    variables: Mapping[str, str] = {},
    files: Mapping[str, Generated] | None = None,
    commit: Commit = THIS_TREE,
) -> tuple[Account, ...]:
    """What each target of a plan depends on, in the plan's order.

    `workspace`: keeps the hashes of large files. `externals`: what they are on this machine, if not
    what the locks say.
    `variables`: the environment, of which those count that the bake file reads. `files`: generated
    ones by path, if those on disk may be old. `commit`: what differs where
    `root` is the checkout of another commit. Raises OSError for a file that cannot be read.
    """
    return _Gatherer(plan, root, workspace, externals, variables, files, commit).accounts()


class _Gatherer:
    def __init__(
        self,
        plan: Plan,
        root: Path,
        workspace: Workspace,
        externals: ExternalDigests | None,
        variables: Mapping[str, str],
        files: Mapping[str, Generated] | None,
        commit: Commit,
    ) -> None:
        self._plan = plan
        self._root = root
        self._files = files
        self._standins = externals.standins if externals else ()
        self._externals = {
            external.name: _external(external.name, external.reference, externals)
            for external in plan.externals
        }
        self._images = {
            external.name: f"docker-image://{external.reference}" for external in plan.externals
        }
        self._hashes = Hashes(root, workspace)
        self._folders = Folders(str(root), self._hashes, commit.submodules)
        self._targets = {target.name: target for target in plan.targets}
        self._found: dict[str, Account] = {}
        self._content: dict[str, str | None] = {}
        self._inputs_inside: dict[str, Input | str | None] = {}
        self._variables = variables
        self._own_templates = own_templates(root)
        self._foreign = commit.foreign
        self._template = digest((SHIPPED / "docker-bake.hcl.j2").read_bytes())

    def accounts(self) -> tuple[Account, ...]:
        for target in self._plan.targets:
            inputs: list[Input] = []
            unknown: list[str] = []
            for found in self._inputs(target):
                if isinstance(found, Input):
                    inputs.append(found)
                else:
                    unknown.append(found)
            self._found[target.name] = account(target.name, inputs, unknown)
        self._hashes.keep()
        return tuple(self._found.values())

    def _inputs(self, target: Target) -> Found:
        text = self._text(target.dockerfile)
        if text is None:
            yield f"{target.dockerfile} is missing"
            return
        yield Input("Dockerfile", target.dockerfile, digest(text))
        yield from self._settings(target)
        if self._standins and target.labels:  # they are named in a label
            yield Input("stand-ins", ",".join(self._standins), "")
        read = reads(text, [name for name, _ in target.contexts], dict(target.args))
        yield from read.unknown
        if read.context:
            yield from self._context(target)
        for name, value in target.contexts:
            if (name, value) == (INSIDE, f"target:{INSIDE}"):
                yield from self._inside(read)
            else:
                yield from self._linked(name, value)

    def _settings(self, target: Target) -> Found:
        """What bake knows of a target: by the plan, or by a bake file of the user's own template
        or of another slimbake, of which all may be about any target.
        """
        if "docker-bake.hcl.j2" in self._own_templates or BAKE_FILE in self._foreign:
            text = self._text(BAKE_FILE) or ""
            description, values = text, dict.fromkeys(_VARIABLE.findall(text), "")
        else:
            description, values = settings(self._plan, target)
            description = f"{self._template}\0{description}"
        yield Input("settings", BAKE_FILE, digest(description))
        for name in sorted(values.keys() - _ELSEWHERE):
            yield Input("variable", name, digest(self._variables.get(name, values[name])))

    def _context(self, target: Target) -> Found:
        # As BuildKit looks for it: beside the Dockerfile, and only then in the context.
        beside = self._text(
            f"{target.dockerfile}.dockerignore", generated=target.recipe is not None
        )
        yield from self._sent("context", target.context, beside)

    def _sent(self, kind: str, path: str, ignore: str | None) -> Found:
        """What of a folder is sent. `ignore`: the text of its .dockerignore, None for its own."""
        text = self._text(str(PurePosixPath(path, ".dockerignore"))) if ignore is None else ignore
        try:
            folder = self._folders(path, Ignore(text or ""))
        except ValueError as error:
            yield f"the .dockerignore of {path} has a pattern that Docker refuses: {error}"
        except (FileNotFoundError, NotADirectoryError):
            yield f"{path}, or something in it, has gone"
        else:
            yield Input(kind, path, folder.digest, folder.parts)
            for name in folder.unknown:
                yield (
                    f"{name} would be sent with {path}, and differs in every checkout: name it in"
                    " .dockerignore"
                )

    def _linked(self, name: str, value: str) -> Found:
        """What stands behind a named context."""
        if self._images.get(name) == value:
            yield self._external(name)
        elif value.startswith("target:"):
            yield from self._below(value.removeprefix("target:"))
        elif folder_context(value):
            yield from self._sent("folder", value, None)
        elif pinned := _PINNED.fullmatch(value):
            yield Input("image", value, pinned[1])
        else:
            yield f"its context {name} is {value}, which names no digest"

    def _below(self, name: str) -> Found:
        parent = self._found[name]
        yield Input("target", name, parent.fingerprint)
        if parent.unknown:
            yield f"{BELOW}{name}, which cannot be known"

    def _external(self, name: str) -> Input | str:
        locked_digest = self._externals[name]
        image = self._images[name].removeprefix("docker-image://")
        if not locked_digest:
            return (
                f"{name} is {image}, and no lock has its digest: `slimbake lock` where its registry"
                " can be reached"
            )
        return Input("external", f"{name} {image.partition('@')[0]}", locked_digest)

    def _inside(self, read: Reads) -> Found:
        """What the steps mount of the programs, locks and lists of rules."""
        files = [self._mounted(path) for path in sorted(read.inside)]
        if not all(files) or (files and self._inside_does_more()):
            yield from self._below(INSIDE)
        else:
            yield from filter(None, files)

    def _inside_does_more(self) -> bool:
        """Whether the Dockerfile of `inside` does anything but put files in their places."""
        for line in (self._text(self._targets[INSIDE].dockerfile) or "").splitlines():
            if line.strip() and not line.startswith("#") and line not in _PLACES:
                return True
        return False

    def _mounted(self, path: str) -> Input | str | None:
        """One file of `inside`; None for what is no file. Most targets mount the same files, so each
        is hashed once.
        """
        if path not in self._inputs_inside:
            self._inputs_inside[path] = self._file_inside(path)
        return self._inputs_inside[path]

    def _file_inside(self, path: str) -> Input | str | None:
        if path == "uv":
            return self._external("uv")
        kind, place = _place(path)
        text = self._text(place) if path else None
        if text is None:
            return None
        if kind == "lock":  # its comments only say who needs a package
            text = without_comments(text)
        return Input(kind, place, digest(text))

    def _text(self, path: str, generated: bool = False) -> str | None:
        """The text of a file, as it is generated or as it lies there; None where there is none."""
        if self._files is not None and (generated or path in self._files):
            file = self._files.get(path)
            return file.text if file else None
        if path not in self._content:
            self._content[path] = None
            if (self._root / path).is_file():
                data = content(self._root, path)
                self._content[path] = data.decode("utf-8", "surrogateescape")
        return self._content[path]


def _external(name: str, image: str, externals: ExternalDigests | None) -> str:
    """The digest of an external, or that of its stand-in; "" where none is known."""
    local_digest = ""
    if externals:
        local_digest = externals.digests.get(name, "")
        if name in externals.standins:
            return f"stand-in {local_digest}"
    pinned = _PINNED.fullmatch(image)
    return pinned[1] if pinned else local_digest


def _place(path: str) -> tuple[str, str]:
    """What a file of `inside` is, and where it lies in the repository."""
    folder, _, name = path.partition("/")
    if name and folder in _FOLDERS:
        kind, place = _FOLDERS[folder]
        return kind, f"{place}/{name}"
    return "program", f"{PROGRAMS}/{path}"


def unpinned(plan: Plan) -> ExternalDigests:
    """For a comparison of two states: an external without a digest is taken for the same if its
    name is.
    """
    return ExternalDigests({external.name: external.reference for external in plan.externals})
