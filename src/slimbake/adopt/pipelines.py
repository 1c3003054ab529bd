"""Where the pipelines of a repository push images to, and what they give to builds. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

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
_NAME = re.compile(r"(?P<image>[^\s,\"']+)")  # of a list of them
_TAG = re.compile(rf"{_DOCKER}tag\s+\S+\s+{_WORD}")
_BUILD = re.compile(rf"(?<!\S)(?:-t|--tag|--destination)(?:\s+|=){_WORD}")
_PUSHES = re.compile(rf"{_DOCKER}push\b|(?<!\S)--(?:push|destination)\b")
_GIVEN = re.compile(r"(?m)^[ \t]*[\"']?(?P<name>\w+)=(?P<value>.*?)[ \t]*$")
_OPTION = re.compile(
    r"(?<!\S)--build-arg(?:\s+|=)(?P<quote>[\"'])?(?P<name>\w+)"
    r"(?:=(?P<value>(?(quote)(?:(?!(?P=quote)).)*|(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s\"'\\]*))))?"
)
_DECLARED = re.compile(r"(?mi)^[ \t]*ARG[ \t]+(.+)$")
_MACHINE = re.compile(r"(?:localhost|127\.0\.0\.1)(?::\d+)?")  # that runs the pipeline
# A host has a dot or a port; Docker takes other names for those of its hub.
_HOST = r"[a-z0-9]+(?:[.-]+[a-z0-9]+)*"
_FOLDER = r"/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"((?:(?=[^/:]*\.){_HOST}|{_HOST}:\d{{1,5}})(?:{_FOLDER})*)/[^/:@]+(?:[:@]|\Z)"
)


@dataclass(frozen=True, slots=True)
class _Text:
    """A text of a pipeline, such as a command or a setting."""

    keys: tuple[str, ...]  # the last two that lead to it
    beside: Mapping[str, str]  # the texts of the same mapping
    line: int
    last: int  # line
    text: str  # `${{x}}` is one word

    def all(self, pattern: re.Pattern[str], group: str) -> Iterator[tuple[int, re.Match[str]]]:
        """What matches, and the line of a group of it."""
        for found in pattern.finditer(self.text):
            line = self.line + self.text.count("\n", 0, found.start(group))
            yield min(line, self.last), found

    @property
    def pushes(self) -> bool:
        """Whether the action pushes whose settings stand here."""
        pushes = self.beside.get("push", "false").lower() != "false"
        return pushes or any("push=true" in each for each in self.beside.values())


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


def build_arguments(
    pipelines: Mapping[str, str],
    dockerfiles: Iterable[str],
    taken: Collection[tuple[str, str]] = (),
) -> Iterator[Note]:
    """A note for each pipeline on the build arguments that it gives, and that a Dockerfile has with
    another default. `pipelines`: file -> its text; `dockerfiles`: their texts; `taken`: the names
    and values that services are built with.
    """
    names = {name for name, _ in taken}
    lines = (found[1] for text in dockerfiles for found in _DECLARED.finditer(text))
    pairs = (word.partition("=") for line in lines for word in line.split())
    defaults: dict[str, set[str]] = {}
    for name, _, value in pairs:
        defaults.setdefault(name, set()).add(value.strip("\"'"))
    for file, text in sorted(pipelines.items()):
        changed: dict[str, int] = {}  # and its line
        for line, name, value in _arguments(text):
            known = (name, value) in taken or (name in names and "matrix." in value)
            if not known and value not in defaults.get(name, {value}):
                changed.setdefault(f"{name}={value}", line)
        if changed:
            yield Note(
                Place(file, next(iter(changed.values()))),
                f"build arguments: {', '.join(changed)}",
                "the manifest has what the Dockerfile says without them: what changes with every"
                " build, set where containers start; another value, write into its entry",
            )


def _texts(pipeline: str) -> Iterator[_Text]:
    """The texts of a pipeline in their order; one that is no YAML is a single text."""
    try:
        tops = [*yaml.compose_all(pipeline, yaml.CSafeLoader)]
    except yaml.YAMLError:
        yield _Text((), {}, 1, pipeline.count("\n") + 1, _clean(pipeline))
        return
    left: list[tuple[tuple[str, ...], Mapping[str, str], Any]] = [((), {}, t) for t in tops[::-1]]
    seen = set()  # aliases can repeat a node without end
    while left:
        keys, beside, node = left.pop()
        if (keys, id(node)) in seen:
            continue
        seen.add((keys, id(node)))
        if isinstance(node, yaml.ScalarNode):
            yield _Text(keys, beside, *_lines(node, pipeline))
        elif isinstance(node, yaml.SequenceNode):
            left += [(keys, beside, each) for each in node.value[::-1]]
        else:
            pairs = [(k.value, v) for k, v in node.value if isinstance(k, yaml.ScalarNode)]
            texts = {key: each.value for key, each in pairs if isinstance(each, yaml.ScalarNode)}
            left += [
                (keys if key == "<<" else (*keys, key)[-2:], texts, each)
                for key, each in pairs[::-1]
            ]


def _lines(node: Any, pipeline: str) -> tuple[int, int, str]:
    """A scalar's first and last line, and its text; that of `|` and `>` as it is written."""
    start, end = node.start_mark, node.end_mark
    if node.style not in ("|", ">"):
        return start.line + 1, end.line + 1, _clean(node.value)
    written = pipeline[start.index : end.index].partition("\n")[2]
    return start.line + 2, end.line + 1, _clean(written)


def _clean(text: str) -> str:
    return _EXPRESSION.sub(r"${{\1}}", _COMMENT.sub("", text))


def _arguments(pipeline: str) -> Iterator[tuple[int, str, str]]:
    """The line, name and value of each argument that a pipeline gives to a build."""
    for text in _texts(pipeline):
        given = text.keys[-1:] == ("build-args",)
        for line, each in text.all(_GIVEN if given else _OPTION, "name"):
            value = (each["value"] or f"${each['name']}").strip("\"'")
            yield line, each["name"], re.sub(r"\$\{\{(.*?)\}\}", r"${{ \1 }}", value)


def _images(pipeline: str) -> Iterator[tuple[int, str]]:
    """The names of images that a pipeline pushes, and the line of each."""
    texts = list(_texts(pipeline))
    values = _values(texts)
    builds = any(_PUSHES.search(each.text) for each in texts)
    for text in texts:
        patterns = [_PUSH, _TAG, *([_BUILD] if builds else ())]
        if text.keys == ("with", "images") or (text.keys == ("with", "tags") and text.pushes):
            patterns = [_NAME]
        for line, found in (each for pattern in patterns for each in text.all(pattern, "image")):
            image = _filled(found["image"].strip("\"'"), values)
            first, folder, _ = image.partition("/")
            skipped = "=" in image or _MACHINE.fullmatch(first) or _MADE.fullmatch(image)
            if not skipped and (folder or "$" in first):
                yield line, image


def _values(texts: Iterable[_Text]) -> dict[str, str]:
    """The variables that have one value in a whole file."""
    found: dict[str, set[str]] = {}
    for text in texts:
        if text.keys[:-1] in (("env",), ("variables",)) and len(text.text.split()) == 1:
            found.setdefault(text.keys[-1], set()).add(text.text)
        for each in _SETTING.finditer(text.text):
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
