"""Images that YAML files of the user's name, and the same texts with other tags and digests. Pure.

Three forms count, wherever they stand: `image: REPOSITORY:TAG@DIGEST`, or `reference:` of a volume;
an entry of Kustomize's `images:`; and `{repository, tag, digest}`, as values of Helm charts have it.
PyYAML says where a value stands, and only its characters are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from slimbake.config.document import Position
from slimbake.config.names import IMAGE
from slimbake.config.report import RefusedError
from slimbake.config.words import unquoted

_TEMPLATE = "it looks like a template: name the file that has its values, such as values.yaml"
_LAID_OUT = "write the image on one line"
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")  # an anchor and a tag, before a value
_LINE_END = re.compile(r"[\r\n]|\Z")
_Entry = tuple[ScalarNode, ScalarNode]
_Entries = Mapping[str, _Entry]  # of a mapping, those whose value is a text


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedImage:
    """An image that a text names."""

    place: Position
    repository: str
    tag: str = ""
    digest: str = ""
    # Which keys say it: `image` alone, or `tag` and `digest`, as far as they are there.
    values: Mapping[str, ScalarNode]
    missing: str = ""  # the key that carries the digest, and is inserted where it is missing
    after: _Entry | None = None  # the entry that `missing` is inserted after
    in_braces: bool = False

    @property
    def text(self) -> str:
        """REPOSITORY[:TAG][@DIGEST]."""
        return _image(self.repository, self.tag, self.digest)


@dataclass(frozen=True, slots=True, order=True)
class _Edit:
    """Characters of a text, and what takes their place."""

    start: int
    end: int
    text: str
    place: Position = field(compare=False)


def _image(repository: str, tag: str, digest: str) -> str:
    name = f"{repository}:{tag}" if tag else repository
    return f"{name}@{digest}" if digest else name


def named_images(text: str) -> tuple[NamedImage, ...]:
    """The images that the documents of a text name, in order. Raises RefusedError for what is not
    YAML.
    """
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", "")
        place = Position.of(mark) if mark else None
        raise RefusedError(f"not YAML: {problem}", _TEMPLATE * ("{{" in text), place) from None
    found: list[NamedImage | None] = []
    for mapping, is_entry in _mappings(documents):
        entries = _entries(mapping)
        for key in ("image", "reference"):
            if key in entries:
                found.append(_of_reference(entries[key][1]))
        if is_entry and "name" in entries:
            found.append(_of_kustomize(entries, mapping.flow_style))
        elif "repository" in entries:
            found.append(_of_helm(entries, mapping.flow_style))
    return tuple(sorted(filter(None, found), key=lambda image: image.place))


def _mappings(documents: Sequence[Node | None]) -> Iterator[tuple[MappingNode, bool]]:
    """Each mapping of the documents once, and whether it is an entry of a list `images:`."""
    seen: set[int] = set()  # an anchor's node has several places
    waiting = [(document, False) for document in documents]
    while waiting:
        node, is_entry = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            waiting.extend((item, is_entry) for item in node.value)
        if isinstance(node, MappingNode):
            yield node, is_entry
            for key, value in node.value:
                is_list = key.value == "images" and isinstance(value, SequenceNode)
                waiting += [(key, False), (value, is_list)]


def _entries(mapping: MappingNode) -> _Entries:
    return {
        key.value: (key, value)
        for key, value in mapping.value
        if isinstance(key, ScalarNode) and isinstance(value, ScalarNode)
    }


def _of_reference(node: ScalarNode) -> NamedImage | None:
    """The image of `image: NAME`; None where that is no name of an image."""
    if not IMAGE.fullmatch(node.value):
        return None
    repository, _, digest = node.value.partition("@")
    tag = ""
    if ":" in repository.rpartition("/")[2]:
        repository, _, tag = repository.rpartition(":")
    return NamedImage(
        place=Position.of(node.start_mark),
        repository=repository,
        tag=tag,
        digest=digest,
        values={"image": node},
    )


def _of_kustomize(entries: _Entries, in_braces: bool) -> NamedImage | None:
    """The image that an entry of Kustomize's `images:` leads to."""
    last = [key for key in ("name", "newName", "newTag") if key in entries][-1]
    name = entries.get("newName", entries["name"])[1]
    values = {}
    for key, part in (("newTag", "tag"), ("digest", "digest")):
        if key in entries:
            values[part] = entries[key][1]
    return _of_parts(name, name.value, values, "digest", entries[last], in_braces)


def _of_helm(entries: _Entries, in_braces: bool) -> NamedImage | None:
    """The image of `{repository, tag, digest}`; some charts have `registry` beside it.

    A chart without a `digest` reads none. The tag carries it there, as `TAG@DIGEST`.
    """
    values = {key: entries[key][1] for key in ("tag", "digest") if key in entries}
    name = entries["repository"][1]
    repository = name.value
    if "registry" in entries and entries["registry"][1].value:
        repository = f"{entries['registry'][1].value}/{repository}"
    missing = "digest" if "digest" in values else "tag"
    return _of_parts(name, repository, values, missing, entries["repository"], in_braces)


def _of_parts(
    name: ScalarNode,
    repository: str,
    values: Mapping[str, ScalarNode],
    missing: str,
    after: _Entry,
    in_braces: bool,
) -> NamedImage | None:
    """An image that several keys name; None where that is no name of an image."""
    if not IMAGE.fullmatch(repository):
        return None
    tag = ""
    digest = ""
    if "tag" in values:
        tag, _, digest = values["tag"].value.partition("@")
    if "digest" in values:
        digest = values["digest"].value
    return NamedImage(
        place=Position.of(name.start_mark),
        repository=repository,
        tag=tag,
        digest=digest,
        values=values,
        missing=missing,
        after=after,
        in_braces=in_braces,
    )


def with_digests(text: str, changes: Sequence[tuple[NamedImage, str, str]]) -> str:
    """The text with these images under another tag and digest; all else stays as it is.

    Raises RefusedError, with the place, for an image that cannot be replaced where it stands.
    """
    edits: set[_Edit] = set()
    for image, tag, digest in changes:
        edits.update(_edits(text, image, tag, digest))
    pieces = []
    last = _Edit(-1, 0, "", Position(1, 1))
    for edit in sorted(edits):
        if edit.start < last.end or edit.start == last.start:
            hint = "give each its own, without an anchor"
            raise RefusedError("images of two services share this value", hint, edit.place)
        pieces += [text[last.end : edit.start], edit.text]
        last = edit
    result = "".join((*pieces, text[last.end :]))
    digests = {image.place: digest for image, _, digest in changes}
    expected = [digests.get(image.place, image.digest) for image in named_images(text)]
    if expected != _digests(result):
        place = changes[0][0].place
        raise RefusedError("laid out in a way that cannot be changed", _LAID_OUT, place)
    return result


def _digests(text: str) -> list[str]:
    """The digests of the images of a text; none of what is not YAML."""
    try:
        return [image.digest for image in named_images(text)]
    except RefusedError:
        return []


def _edits(text: str, image: NamedImage, tag: str, digest: str) -> Iterator[_Edit]:
    if "image" in image.values:
        new = {"image": _image(image.repository, tag, digest)}
    elif image.missing == "digest":
        new = {"digest": digest}
        if "tag" in image.values:
            new["tag"] = tag
    else:
        new = {"tag": f"{tag}@{digest}"}
    for key, value in new.items():
        if key in image.values:
            yield _replacement(text, image.values[key], value)
        elif image.after:
            yield _insertion(text, image, image.after, key, value)


def _replacement(text: str, node: ScalarNode, value: str) -> _Edit:
    """Another value in place of one, quoted as that one is."""
    start, end = node.start_mark.index, node.end_mark.index
    place = Position.of(node.start_mark)
    if node.style in ("|", ">"):
        raise RefusedError("the name of an image in a block of text", _LAID_OUT, place)
    if properties := _PROPERTIES.match(text, start, end):
        start = properties.end()
    if node.style in ("'", '"'):
        return _Edit(start, end, f"{node.style}{value}{node.style}", place)
    # Where nothing stands, perhaps not even a space stands after the colon.
    space = " " if start == end and not text[start - 1].isspace() else ""
    return _Edit(start, end, f"{space}{_plain(value)}", place)


def _insertion(text: str, image: NamedImage, after: _Entry, key: str, value: str) -> _Edit:
    """Another entry of a mapping, laid out as the one before it."""
    key_before, value_before = after
    end = value_before.end_mark.index
    entry = f"{key}: {_plain(value)}"
    if key_before.style == '"':  # as in JSON
        entry = f'"{key}": "{value}"'
    if image.in_braces:
        return _Edit(end, end, f", {entry}", image.place)
    if value_before.style in ("|", ">"):
        raise RefusedError("the name of an image in a block of text", _LAID_OUT, image.place)
    line_end = _LINE_END.search(text, end)
    if line_end:
        end = line_end.start()
    newline = "\r\n" if "\r\n" in text else "\n"
    indent = " " * key_before.start_mark.column
    return _Edit(end, end, f"{newline}{indent}{entry}", image.place)


def _plain(value: str) -> str:
    """A value without quotes, where every reader of YAML takes it for a text."""
    if unquoted(value) == value:
        return value
    return f'"{value}"'
