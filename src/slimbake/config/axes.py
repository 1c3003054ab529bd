"""What is wrong with variants and with the builds of torch that they choose; nothing here reads a
file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from slimbake.config.document import KeyPath
from slimbake.config.names import CHECKS, INVENTORY, PREFIXES, RESERVED, SMOKE
from slimbake.config.naming import CPU, base_target, derived
from slimbake.config.report import ProblemReport, did_you_mean

Raw = dict[str, Any]

_OTHER = "give it another name"


class _Entry(NamedTuple):
    """A base or service, and the bases that it stands on, root first."""

    kind: str
    name: str
    raw: Raw
    below: tuple[str, ...]

    @property
    def path(self) -> KeyPath:
        return self.kind, self.name


class _Choice(NamedTuple):
    """A build of torch that the manifest asks for."""

    root: str
    variant: str  # "" = for the family itself
    path: KeyPath
    build: str


def axes(raw: Raw, report: ProblemReport) -> None:
    """Report what is wrong with the variants of a manifest whose bases stand on one another in no
    circle.
    """
    entries = tuple(_entries(raw))
    for entry in entries:
        _own(entry, raw, report)
    _groups(entries, raw, report)
    _derived(entries, raw, report)
    _torch(entries, raw, report)


def copies(raw: Raw) -> Iterator[str]:
    """The targets of all variants but the first."""
    yield from map(base_target, copied_bases(raw))
    for entry in _entries(raw):
        for variant in _axis(entry, raw)[1:] if entry.kind == "services" else ():
            yield (name := derived(entry.name, variant))
            if "smoke" in entry.raw:
                yield f"{name}{SMOKE}"


def copied_bases(raw: Raw) -> Iterator[str]:
    """The names of the bases that are made for all variants but the first."""
    for entry in _entries(raw):
        for variant in _axis(entry, raw)[1:] if entry.kind == "bases" else ():
            yield derived(entry.name, variant)


def _entries(raw: Raw) -> Iterator[_Entry]:
    bases: Raw = raw.get("bases", {})
    for kind, key in (("bases", "extends"), ("services", "base")):
        for name, entry in raw.get(kind, {}).items():
            ancestors: list[str] = []
            parent = entry.get(key)
            while parent in bases and parent not in ancestors:  # a circle is reported elsewhere
                ancestors.append(parent)
                parent = bases[parent].get("extends")
            yield _Entry(kind, name, entry, tuple(reversed(ancestors)))


def _owner(entry: _Entry, raw: Raw) -> str | None:
    """The base that gives an entry its variants."""
    return next((name for name in entry.below if raw["bases"][name].get("variants")), None)


def _axis(entry: _Entry, raw: Raw) -> list[str]:
    owner = _owner(entry, raw)
    return list(raw["bases"][owner]["variants"] if owner else entry.raw.get("variants", ()))


def _own(entry: _Entry, raw: Raw, report: ProblemReport) -> None:
    variants: Raw = entry.raw.get("variants", {})
    owner, axis = _owner(entry, raw), _axis(entry, raw)
    if owner is None and len(variants) == 1:
        hint = "the first is the default, others follow: {cpu: {torch: cpu}, cuda: {torch: cu128}}"
        report.key((*entry.path, "variants"), "one variant alone leaves no choice", hint)
    for name in variants:
        path = (*entry.path, "variants", name)
        if name not in axis:
            message = (
                f"unknown variant '{name}': bases.{owner}, on which it stands, decides which"
                " there are"
            )
            report.key(path, message, did_you_mean(name, axis))


def _groups(entries: tuple[_Entry, ...], raw: Raw, report: ProblemReport) -> None:
    """Names of variants are groups of the bake file."""
    for entry in entries:
        for name in entry.raw.get("variants", {}):
            ours = name in RESERVED or name == INVENTORY or name.startswith(tuple(PREFIXES))
            if ours or name.endswith(CHECKS) or name in raw.get("services", {}):
                whose = "a service" if name in raw.get("services", {}) else "slimbake's own"
                message = f"'{name}' is a name of {whose}, and cannot be that of a variant"
                report.key((*entry.path, "variants", name), message, _OTHER)


def _derived(entries: tuple[_Entry, ...], raw: Raw, report: ProblemReport) -> None:
    """Names of copies that are taken."""
    owners: dict[KeyPath, KeyPath] = {entry.path: entry.path for entry in entries}
    for entry in entries:
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


def _torch(entries: tuple[_Entry, ...], raw: Raw, report: ProblemReport) -> None:
    """A family is resolved as one, so it has one torch; a variant with another is a family that has
    one.
    """
    choices = [choice for entry in entries for choice in _choices(entry, raw)]
    torch_of: dict[str, str] = {}  # root -> the torch of its family
    for choice in choices:
        if not choice.variant:
            torch_of.setdefault(choice.root, choice.build)
    first: dict[tuple[str, str], _Choice] = {}
    for choice in choices:
        if choice.variant and choice.build == torch_of.get(choice.root, CPU):
            continue  # it uses the family's own bases
        other = first.setdefault((choice.root, choice.variant), choice)
        if other.build != choice.build:
            whose = ".".join(map(str, other.path[:2])) + (
                f", variant '{choice.variant}'," if choice.variant else ""
            )
            message = f"'{choice.build}', but {whose} of the same family has '{other.build}'"
            hint = "a family has one torch: a base without `extends` begins another"
            report.value(
                choice.path, message, "give this variant another name" if choice.variant else hint
            )


def _choices(entry: _Entry, raw: Raw) -> Iterator[_Choice]:
    if entry.kind == "services" and not entry.below:
        return  # a family of its own, and each of its variants another
    root = (*entry.below, entry.name)[0]
    names, variants = _axis(entry, raw), entry.raw.get("variants", {})
    # The first variant of a base is the base itself; that of a service may stand on bases of its
    # own.
    default = names[0] if names and (entry.kind == "bases" or _owner(entry, raw)) else ""
    for name, variant in variants.items():
        if "torch" in variant:
            yield _Choice(
                root,
                "" if name == default else name,
                (*entry.path, "variants", name, "torch"),
                variant["torch"],
            )
    if entry.kind == "bases" and "torch" in entry.raw and "torch" not in variants.get(default, {}):
        yield _Choice(root, "", (*entry.path, "torch"), entry.raw["torch"])
