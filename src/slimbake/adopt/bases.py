"""Which Dockerfile of a repository builds an image that others of its Dockerfiles stand on. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from slimbake.adopt.builds import TAG, commands
from slimbake.adopt.dockerfile import dockerfile_facts
from slimbake.adopt.model import BuildFacts, ComposeFacts, ImageFacts, Repository

_VARIABLE = re.compile(r"\$(?:\{[^}]*\}|\([^)]*\)|\w+)")


def builder_of(
    image: str, repository: Repository, compose: ComposeFacts, dockerfiles: Iterable[str]
) -> BuildFacts | None:
    """What builds an image of this name: a service of the compose file that has this `image:`, else a
    `docker build -t` of some file, else the one Dockerfile that is called so. None where nothing
    does, or more than one.
    """
    said = [(each.image, each.build) for each in compose.services if each.image and each.build]
    by_command = [(each.image, each.build) for each in commands(repository) if each.image]
    for found in (said, by_command):
        exact = [build for name, build in found if _tagged(name) == _tagged(image)]
        if builds := exact or [build for name, build in found if _same(name, image)]:
            return builds[0] if len({each.dockerfile for each in builds}) == 1 else None
    wanted = TAG.sub("", image)
    called = [file for file in dockerfiles if posixpath.basename(wanted) in _names(file)]
    if len(called) != 1:
        return None
    facts = dockerfile_facts(repository.texts[called[0]], called[0])
    if facts is None or TAG.sub("", facts.parent.value) == wanted:  # a change to what is outside
        return None
    return BuildFacts(context=context_of(facts, called[0], repository), dockerfile=called[0])


def context_of(facts: ImageFacts | None, file: str, repository: Repository) -> str:
    """The build context of a Dockerfile where nothing says it: the folder in which its sources lie."""
    folder = posixpath.dirname(file) or "."
    if facts is None or folder == ".":
        return folder
    known = repository.files | repository.folders
    said = [each for each in (facts.entrypoint, facts.command) if each]
    named = [source for copied in facts.copies if not copied.context for source in copied.sources]
    named += [word for each in said for word in each.text.split() if "/" in word or "." in word]

    def there(at: str) -> int:
        return sum(posixpath.normpath(posixpath.join(at, path)) in known for path in named)

    above = [folder]
    while above[-1] not in {"", "."}:
        above.append(posixpath.dirname(above[-1]) or ".")
    return max(above, key=lambda at: (there(at), -above.index(at)))


def _tagged(name: str) -> str:
    """A name with its tag, which is `latest` where it has none."""
    return name if TAG.search(name) else f"{name}:latest"


def _same(written: str, image: str) -> bool:
    """Whether a name is that of an image, with any tags; variables in it may be any text."""
    name, wanted = TAG.sub("", _VARIABLE.sub("$", written)), TAG.sub("", image)
    if "$" not in name:
        return name == wanted
    last = posixpath.basename(name)
    return "$" not in last and last == posixpath.basename(wanted)


def _names(file: str) -> set[str]:
    """What an image may be called of which a Dockerfile's path is all that is known."""
    name = posixpath.basename(file)
    own = re.sub(r"^(?:Dockerfile|Containerfile)\.?|\.[dD]ockerfile$", "", name)
    return {own or posixpath.basename(posixpath.dirname(file))} - {""}
