"""Where the pipelines of a repository push images to, and what they give to builds. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_GIVES = re.compile(
    r"(?m)^(?P<in>[ ]*)build-args:[ \t]*(?:[|>][-+]?[ \t]*\n)?(?P<given>.*(?:\n(?P=in)[ ]+\S.*)*)"
)
_GIVEN = re.compile(r"(?m)^[ \t]*[\"']?(?P<name>\w+)=(?P<value>.*?)[ \t]*$")
_OPTION = re.compile(
    r"(?<=\s)--build-arg(?:\s+|=)(?P<quote>[\"'])?(?P<name>\w+)"
    r"(?:=(?P<value>(?(quote)(?:(?!(?P=quote)).)*|(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s\"'\\]*))))?"
)
_DECLARED = re.compile(r"(?mi)^[ \t]*ARG[ \t]+(.+)$")
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


def build_arguments(pipelines: Mapping[str, str], dockerfiles: Iterable[str]) -> Iterator[Note]:
    """A note for each pipeline on the build arguments that it gives, and that a Dockerfile has with
    another default. `pipelines`: file -> its text; `dockerfiles`: their texts.
    """
    lines = (found[1] for text in dockerfiles for found in _DECLARED.finditer(text))
    pairs = (word.partition("=") for line in lines for word in line.split())
    defaults: dict[str, set[str]] = {}
    for name, _, value in pairs:
        defaults.setdefault(name, set()).add(value.strip("\"'"))
    for file, text in sorted(pipelines.items()):
        changed: dict[str, int] = {}  # and its line
        for line, name, value in _arguments(_COMMENT.sub("", text)):
            if value not in defaults.get(name, {value}):
                changed.setdefault(f"{name}={value}", line)
        if changed:
            yield Note(
                Place(file, next(iter(changed.values()))),
                f"build arguments: {', '.join(changed)}",
                "the manifest has what the Dockerfile says without them: what changes with every"
                " build, set where containers start; another value, write into its entry",
            )


def _arguments(text: str) -> Iterator[tuple[int, str, str]]:
    """The line, name and value of each argument that a pipeline gives to a build."""
    text = _EXPRESSION.sub(r"${{\1}}", text)  # one word
    found = [(each.start("name"), each) for each in _OPTION.finditer(text)]
    for block in _GIVES.finditer(text):
        start = block.start("given")
        found += [(start + each.start(), each) for each in _GIVEN.finditer(block["given"])]
    for at, each in sorted(found, key=lambda one: one[0]):
        value = (each["value"] or f"${each['name']}").strip("\"'")
        value = re.sub(r"\$\{\{(.*?)\}\}", r"${{ \1 }}", value)
        yield text.count("\n", 0, at) + 1, each["name"], value


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
