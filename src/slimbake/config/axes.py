"""What is wrong with variants, and with what bases and services say of Python, torch and their image.

Nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from slimbake.config.document import KeyPath
from slimbake.config.names import CHECKS, INVENTORY, PREFIXES, RESERVED, SMOKE
from slimbake.config.naming import CPU, base_target, derived
from slimbake.config.report import ProblemReport, did_you_mean, dotted_path
from slimbake.config.words import TRUTH

Raw = dict[str, Any]

_OTHER = "give it another name"


class Entry(NamedTuple):
    """A base or service, and the bases below it, root first."""

    kind: str
    name: str
    raw: Raw
    below: tuple[str, ...]

    @property
    def path(self) -> KeyPath:
        return self.kind, self.name

    @property
    def root(self) -> str:
        """The lowest base of its family."""
        return (*self.below, self.name)[0]


class _Choice(NamedTuple):
    """What a family, or a variant of one, has one of."""

    root: str
    variant: str  # "" = of the family itself
    path: KeyPath  # of what holds the keys
    values: Raw


def axes(raw: Raw, report: ProblemReport) -> None:
    """Report what is wrong with the variants of a manifest whose bases have no cycle."""
    all_entries = tuple(entries(raw))
    for entry in all_entries:
        _own(entry, raw, report)
        _groups(entry, raw, report)
        _different(entry, raw, report)
        _shell(entry, raw, report)
    _derived(all_entries, raw, report)
    _families(all_entries, raw, report)


def copies(raw: Raw) -> Iterator[str]:
    """The targets of all variants but the first."""
    for entry in entries(raw):
        for name in _copies_of(entry, raw):
            if entry.kind == "bases":
                yield base_target(name)
                continue
            yield name
            if "smoke" in entry.raw:
                yield f"{name}{SMOKE}"


def copied_bases(raw: Raw) -> Iterator[str]:
    """The names of the bases that are made for all variants but the first."""
    for entry in entries(raw):
        if entry.kind == "bases":
            yield from _copies_of(entry, raw)


def _copies_of(entry: Entry, raw: Raw) -> list[str]:
    """The names of the copies of an entry for its variants but the first."""
    return [derived(entry.name, variant) for variant in _axis(entry, raw)[1:]]


def entries(raw: Raw) -> Iterator[Entry]:
    """Every base and service."""
    bases: Raw = raw.get("bases", {})
    for kind, key in (("bases", "extends"), ("services", "base")):
        for name, entry in raw.get(kind, {}).items():
            ancestors: list[str] = []
            parent = entry.get(key)
            while parent in bases and parent not in ancestors:  # a circle is reported elsewhere
                ancestors.append(parent)
                parent = bases[parent].get("extends")
            yield Entry(kind, name, entry, tuple(reversed(ancestors)))


def _owner(entry: Entry, raw: Raw) -> str | None:
    """The base that gives an entry its variants."""
    for name in entry.below:
        if raw["bases"][name].get("variants"):
            return name
    return None


def _axis(entry: Entry, raw: Raw) -> list[str]:
    """The variants of an entry: those of a base below it, else its own."""
    owner = _owner(entry, raw)
    variants = raw["bases"][owner]["variants"] if owner else entry.raw.get("variants", ())
    return list(variants)


def _own(entry: Entry, raw: Raw, report: ProblemReport) -> None:
    variants: Raw = entry.raw.get("variants", {})
    owner, axis = _owner(entry, raw), _axis(entry, raw)
    if owner is None and len(variants) == 1:
        hint = "the first is the default, others follow: {cpu: {torch: cpu}, cuda: {torch: cu128}}"
        report.key((*entry.path, "variants"), "one variant alone leaves no choice", hint)
    naming = [name for name, variant in variants.items() if "python" in variant]
    for name in variants:
        path = (*entry.path, "variants", name)
        if naming and name not in naming and owner is None:
            message = f"it names no Python, and the variant '{naming[0]}' does"
            report.key(path, message, f'add `python: "{raw.get("python", "")}"`, or another')
        if name not in axis:
            message = (
                f"unknown variant '{name}': bases.{owner}, on which it stands, decides which"
                " there are"
            )
            report.key(path, message, did_you_mean(name, axis))


def _groups(entry: Entry, raw: Raw, report: ProblemReport) -> None:
    """Report names of variants that are taken: each becomes a group of the bake file."""
    beginnings = tuple(PREFIXES)
    for name in entry.raw.get("variants", {}):
        whose = ""
        if name in (*RESERVED, INVENTORY) or name.startswith(beginnings) or name.endswith(CHECKS):
            whose = "slimbake's own"
        if name in raw.get("services", {}):
            whose = "a service"
        if whose:
            message = f"'{name}' is a name of {whose}, and cannot be that of a variant"
            report.key((*entry.path, "variants", name), message, _OTHER)


def _derived(all_entries: tuple[Entry, ...], raw: Raw, report: ProblemReport) -> None:
    """Report names of copies that are taken."""
    owners: dict[KeyPath, KeyPath] = {entry.path: entry.path for entry in all_entries}
    for entry in all_entries:
        for variant in _axis(entry, raw)[1:]:
            name = derived(entry.name, variant)
            owner = owners.setdefault((entry.kind, name), entry.path)
            if owner != entry.path:
                whose = f"{'.'.join(map(str, owner))} ({report.where(owner)})"
                message = f"its variant '{variant}' is called '{name}', as is that of {whose}"
                report.key(entry.path, message, _OTHER)
                continue
            for parent in entry.below:
                copied = derived(parent, variant)
                if copied in raw["bases"]:
                    message = f"the variant '{variant}' of bases.{parent} is called '{copied}' too"
                    report.key(("bases", copied), message, _OTHER)


def _families(all_entries: tuple[Entry, ...], raw: Raw, report: ProblemReport) -> None:
    """Report a family of bases with two builds of torch, and variants of one name with two.

    slimbake resolves a base with all bases below it, so a family has one torch. For a variant with
    another torch or Python it copies the bases, under the name of the variant.
    """
    hint = "a family has one torch: a base without `extends` begins another"
    torch_of: dict[str, _Choice] = {}  # root -> what its family has
    for entry in all_entries:
        choice = _of_family(entry, raw)
        if choice:
            _same(choice, torch_of.setdefault(choice.root, choice), report, hint)
    copied: dict[tuple[str, str], _Choice] = {}
    for entry in all_entries:
        for choice in _of_variants(entry, raw, torch_of):
            other = copied.setdefault((choice.root, choice.variant), choice)
            _same(choice, other, report, "give this variant another name")


def _same(choice: _Choice, other: _Choice, report: ProblemReport, hint: str) -> None:
    for key, value in choice.values.items():
        if other.values[key] != value:
            variant = f", variant '{other.variant}'," if other.variant else ""
            whose = ".".join(map(str, other.path[:2])) + variant
            message = f"'{value}', but {whose} of the same family has '{other.values[key]}'"
            report.value((*choice.path, key), message, hint)


def _of_family(entry: Entry, raw: Raw) -> _Choice | None:
    """The torch that an entry asks for on its family's behalf."""
    if entry.kind == "services" and not entry.below:
        return None  # a family of its own, and each of its variants another
    first = _first(entry, raw)
    variant: Raw = entry.raw.get("variants", {}).get(first, {})
    if "torch" in variant:
        path: KeyPath = (*entry.path, "variants", first)
        return _Choice(entry.root, "", path, {"torch": variant["torch"]})
    if entry.kind == "bases" and "torch" in entry.raw:
        return _Choice(entry.root, "", entry.path, {"torch": entry.raw["torch"]})
    return None


def _of_variants(entry: Entry, raw: Raw, torch_of: Mapping[str, _Choice]) -> Iterator[_Choice]:
    """The torch and Python of the variants for which slimbake copies the bases of an entry."""
    if entry.kind == "services" and not entry.below:
        return
    family = torch_of[entry.root].values["torch"] if entry.root in torch_of else CPU
    for name, variant in entry.raw.get("variants", {}).items():
        if name == _first(entry, raw) or not variant.keys() & {"torch", "python"}:
            continue
        python = base_python = _of_bases(entry, "python", name, raw).value
        if not _owner(entry, raw):  # otherwise the base decides, and another Python is an error
            python = _chosen(entry, "python", name, raw).value
        torch = _torch_of(entry, name, raw) or family
        if (torch, python) != (family, base_python):
            path = (*entry.path, "variants", name)
            yield _Choice(entry.root, name, path, {"torch": torch, "python": python})


def _torch_of(entry: Entry, variant: str, raw: Raw) -> str | None:
    """The torch of a variant of an entry, or of the nearest base below that has one for it."""
    below = [raw["bases"][name] for name in reversed(entry.below)]
    for part in (entry.raw, *below):
        if torch := part.get("variants", {}).get(variant, {}).get("torch"):
            return str(torch)
    return None


def _first(entry: Entry, raw: Raw) -> str:
    """The variant for which slimbake copies no base: the first. "" where variants are a service's
    own, of which the first may have bases of its own, too.
    """
    names = _axis(entry, raw)
    if names and (entry.kind == "bases" or _owner(entry, raw)):
        return names[0]
    return ""


# `python` and `from`: a base or service without one has that of the base below it.


class Chosen(NamedTuple):
    """A value of `python` or `from`, and the key in the manifest that says it."""

    value: str  # "" = the manifest says none
    path: KeyPath


def pythons(raw: Raw) -> Iterator[tuple[Entry, str, Chosen]]:
    """The Python of every base and service, in each of its variants; "" where it has none."""
    for entry in entries(raw):
        for variant in _axis(entry, raw) or ("",):
            yield entry, variant, _chosen(entry, "python", variant, raw)


def images(raw: Raw) -> Iterator[tuple[Chosen, str]]:
    """The image of `from` of every base and service that has one, with each of its Pythons."""
    for entry, variant, python in pythons(raw):
        image = _chosen(entry, "from", variant, raw)
        if image.value:
            yield image, python.value


def _chosen(entry: Entry, key: str, variant: str, raw: Raw) -> Chosen:
    """The value of a key for a base or service: its own, that of its bases, or the fleet's."""
    return _written(entry.path, entry.raw, key, variant) or _of_bases(entry, key, variant, raw)


def _of_bases(entry: Entry, key: str, variant: str, raw: Raw) -> Chosen:
    """The value of a key for the bases below an entry: the nearest one's, or the fleet's."""
    for name in reversed(entry.below):
        if chosen := _written(("bases", name), raw["bases"][name], key, variant):
            return chosen
    return Chosen(raw.get(key, ""), (key,))


def _written(path: KeyPath, raw: Raw, key: str, variant: str) -> Chosen | None:
    """What one entry itself says; a variant's value comes before that of the entry."""
    of_variant = raw.get("variants", {}).get(variant, {})
    if key in of_variant:
        return Chosen(of_variant[key], (*path, "variants", variant, key))
    if key in raw:
        return Chosen(raw[key], (*path, key))
    return None


def _different(entry: Entry, raw: Raw, report: ProblemReport) -> None:
    """Report a base or service with another Python or image than the base below it.

    A variant of a service, or one of a base after its first, may have another Python: slimbake
    copies the bases below for it.
    """
    for variant in _axis(entry, raw) or ("",):
        python = _chosen(entry, "python", variant, raw)
        of_variant = python.path[2:3] == ("variants",)
        copied = of_variant and not _owner(entry, raw) and variant != _first(entry, raw)
        if not copied:
            _same_as_base(entry, python, _of_bases(entry, "python", variant, raw), report)
    image = _chosen(entry, "from", "", raw)
    _same_as_base(entry, image, _of_bases(entry, "from", "", raw), report)


def _same_as_base(entry: Entry, chosen: Chosen, of_base: Chosen, report: ProblemReport) -> None:
    if not entry.below or chosen.value == of_base.value:
        return
    key = chosen.path[-1]
    has = f"has no `{key}`"
    if of_base.value:
        has = f"has '{of_base.value}': {_place(of_base, report)}"
    message = f"'{chosen.value}', but bases.{entry.below[-1]} {has}"
    hint = f"a service and its bases have one: write `{key}` in the lowest base"
    report.value(chosen.path, message, hint)


def _shell(entry: Entry, raw: Raw, report: ProblemReport) -> None:
    """Report a service that asks for a shell in an image of the user's."""
    image = _chosen(entry, "from", "", raw)
    if image.value and entry.raw.get("shell") == TRUTH[0]:
        message = f"its image starts from '{image.value}': {_place(image, report)}"
        hint = "it has the shell of that image; `system: [dash]` installs one"
        report.key((*entry.path, "shell"), message, hint)


def _place(chosen: Chosen, report: ProblemReport) -> str:
    return f"{dotted_path(chosen.path)} ({report.where(chosen.path)})"
