"""Where the pipelines of a repository push images to. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from slimbake.adopt.model import Note, Place

_COMMENT = re.compile(r"(?m)^[ \t]*#.*$")
_EXPRESSION = re.compile(r"\$\{\{[ \t]*([^\n]*?)[ \t]*\}\}")
# `NAME: value` of `env:` and `variables:`, `NAME=value` of a shell.
_SETTING = re.compile(
    r"(?m)^[ \t]*(?:-[ \t]+)?(?:export[ \t]+)?(\w+)(?::[ \t]+|=)([\"']?)([^\s\"'#]+)\2[ \t]*(?:#.*)?$"
)
_VARIABLE = re.compile(r"\$\{\{env\.(\w+)\}\}|\$\{(\w+)\}|\$(\w+)")
_WHOLE = re.compile(r"\$(?:\{\{[^{}]*\}\}|\{[^{}]*\}|\w+)")
_MADE = re.compile(r"\$\{\{(?:steps|needs)\.[^{}]*\}\}")  # by another step, whose words are read
_ROUNDS = 3  # of variables in variables
_WORD = r"[\"']?(?P<image>[^\s\"'\\,;]+)"
_DOCKER = r"\b(?:docker|podman|buildah)\s+(?:image\s+)?"
_PUSH = re.compile(rf"{_DOCKER}push\s+(?:-\S+\s+)*{_WORD}")
_TAG = re.compile(rf"{_DOCKER}tag\s+\S+\s+{_WORD}")
_BUILD = re.compile(rf"(?<=\s)(?:-t|--tag|--destination)(?:\s+|=){_WORD}")
_PUSHES = re.compile(rf"{_DOCKER}push\b|\s--push\b|\s--destination\b")
# The settings of one action, and of these the names of images.
_WITH = re.compile(
    r"(?m)^(?P<in>[ ]*)(?:- )?with:[ \t]*\n(?P<block>(?:(?:(?P=in)[ ]+\S.*)?(?:\n|\Z))+)"
)
_NAMES = re.compile(
    r"(?m)^(?P<in>[ ]*)(?P<key>tags|images):[ \t]*(?:[|>][-+]?[ \t]*\n)?(?P<names>.*(?:\n(?P=in)[ ]+\S.*)*)"
)
_DOES_PUSH = re.compile(r"(?m)^[ ]*push:(?![ \t]*[\"']?false)|push=true")
_MACHINE = re.compile(r"(?:localhost|127\.0\.0\.1)(?::\d+)?")  # that runs the pipeline
# A host has a dot or a port; Docker takes other names for those of its hub.
_HOST = r"[a-z0-9]+(?:[.-]+[a-z0-9]+)*"
_FOLDER = r"/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"((?:(?=[^/:]*\.){_HOST}|{_HOST}:\d{{1,5}})(?:{_FOLDER})*)/[^/:@]+(?:[:@]|\Z)"
)


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image that a pipeline pushes."""

    image: str  # as it is written, with the variables that are known
    registry: str  # "": it cannot be known
    place: Place


def registry_in(image: str) -> str:
    """The registry and folder of an image's name; "" where it names no host."""
    found = _IMAGE.match(image)
    return found[1] if found else ""


def pushed(pipelines: Mapping[str, str]) -> tuple[Pushed, ...]:
    """The images that pipelines push, each once. `pipelines`: file -> its text."""
    found: dict[tuple[str, str], Pushed] = {}
    for file, text in sorted(pipelines.items()):
        for line, image in sorted(_images(text)):
            known = Pushed(image, _registry(image), Place(file, line))
            found.setdefault((file, image if not known.registry else known.registry), known)
    return tuple(found.values())


def registry_of(images: Sequence[Pushed], given: str) -> tuple[str, list[Note]]:
    """The one registry to which images are pushed, "" where there is none; and notes on pipelines
    that go on, and on images that are pushed elsewhere. `given`: what compose files say.
    """
    found = {each.registry for each in images}
    registry = given or (found.pop() if len(found) == 1 else "")
    advice = (
        f"slimbake pushes all images to {registry}, the `registry` of the manifest"
        if registry
        else "slimbake's pipeline pushes nothing without `registry` in the manifest: write where its"
        " images go, such as `registry: ghcr.io/OWNER`"
    )
    notes = [
        Note(each.place, f"it pushes {each.image}", advice)
        for each in images
        if not registry or each.registry != registry
    ]
    first = {each.place.file: each.place for each in reversed(images)}
    notes += [
        Note(
            place,
            "this pipeline goes on, beside slimbake's: it builds and pushes the old images",
            "remove these steps when you use slimbake's images",
        )
        for file, place in sorted(first.items())
        if file.startswith(".github/")  # of GitLab's another note says it
    ]
    return registry, notes


def _images(written: str) -> Iterator[tuple[int, str]]:
    """The names of images that a pipeline pushes, and the line of each."""
    text = _COMMENT.sub("", written)
    text = _EXPRESSION.sub(r"${{\1}}", text)  # one word
    values = _values(text)
    words = [*_PUSH.finditer(text), *_TAG.finditer(text)]
    words += _BUILD.finditer(text) if _PUSHES.search(text) else ()
    found = [(each.start("image"), each["image"]) for each in words]
    for block in _WITH.finditer(text):
        for names in _NAMES.finditer(block["block"]):
            if names["key"] == "images" or _DOES_PUSH.search(block["block"]):
                start = block.start("block") + names.start("names")
                each = re.finditer(r"[^\s,\"']+", names["names"])
                found += [(start + word.start(), word[0]) for word in each]
    for at, word in found:
        image = _filled(word.strip("\"'"), values)
        first, folder, _ = image.partition("/")
        skipped = "=" in image or _MACHINE.fullmatch(first) or _MADE.fullmatch(image)
        if not skipped and (folder or "$" in first):
            yield text.count("\n", 0, at) + 1, image


def _values(text: str) -> dict[str, str]:
    """The variables that have one value in a whole file."""
    found: dict[str, set[str]] = {}
    for each in _SETTING.finditer(text):
        found.setdefault(each[1], set()).add(each[3])
    return {name: next(iter(values)) for name, values in found.items() if len(values) == 1}


def _filled(word: str, values: Mapping[str, str]) -> str:
    for _ in range(_ROUNDS):
        word = _VARIABLE.sub(
            lambda found: values.get(found[1] or found[2] or found[3], found[0]), word
        )
    return word


def _registry(image: str) -> str:
    """Where an image is; "" where variables that are not known may say more about it."""
    *folders, last = image.split("/")
    if any("$" in each for each in folders):
        return ""
    name = re.split(r"[:@](?![^{]*\}\})", last)[0]
    if _WHOLE.fullmatch(name) and len(folders) == 1 and registry_in(f"{folders[0]}/x"):
        return ""  # which may be a folder and a name
    if len(folders) == 1 and not registry_in(image):
        return registry_in(f"docker.io/{image}")
    return registry_in(image)
