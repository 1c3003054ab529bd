"""What is wrong with variants, and with the Pythons and the builds of torch that are chosen; nothing
here reads a file.
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
    """A base or service, and the bases that it stands on, root first."""

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
    """Report what is wrong with the variants of a manifest whose bases stand on one another in no
    circle.
    """
    every = tuple(entries(raw))
    for entry in every:
        _own(entry, raw, report)
    _groups(every, raw, report)
    _derived(every, raw, report)
    _families(every, raw, report)
    _pythons(raw, report)
    _images(raw, report)


def copies(raw: Raw) -> Iterator[str]:
    """The targets of all variants but the first."""
    yield from map(base_target, copied_bases(raw))
    for entry in entries(raw):
        for variant in _axis(entry, raw)[1:] if entry.kind == "services" else ():
            yield (name := derived(entry.name, variant))
            if "smoke" in entry.raw:
                yield f"{name}{SMOKE}"


def copied_bases(raw: Raw) -> Iterator[str]:
    """The names of the bases that are made for all variants but the first."""
    for entry in entries(raw):
        for variant in _axis(entry, raw)[1:] if entry.kind == "bases" else ():
            yield derived(entry.name, variant)


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
    return next((name for name in entry.below if raw["bases"][name].get("variants")), None)


def _axis(entry: Entry, raw: Raw) -> list[str]:
    owner = _owner(entry, raw)
    return list(raw["bases"][owner]["variants"] if owner else entry.raw.get("variants", ()))


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


def _groups(every: tuple[Entry, ...], raw: Raw, report: ProblemReport) -> None:
    """Names of variants are groups of the bake file."""
    for entry in every:
        for name in entry.raw.get("variants", {}):
            ours = name in RESERVED or name == INVENTORY or name.startswith(tuple(PREFIXES))
            if ours or name.endswith(CHECKS) or name in raw.get("services", {}):
                whose = "a service" if name in raw.get("services", {}) else "slimbake's own"
                message = f"'{name}' is a name of {whose}, and cannot be that of a variant"
                report.key((*entry.path, "variants", name), message, _OTHER)


def _derived(every: tuple[Entry, ...], raw: Raw, report: ProblemReport) -> None:
    """Names of copies that are taken."""
    owners: dict[KeyPath, KeyPath] = {entry.path: entry.path for entry in every}
    for entry in every:
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


def _families(every: tuple[Entry, ...], raw: Raw, report: ProblemReport) -> None:
    """Bases that stand on one another are resolved as one, so they have one torch. A variant with
    another torch or Python stands on copies of its bases, which have one of each.
    """
    torch_of: dict[str, _Choice] = {}  # root -> what its family has
    for choice in (choice for entry in every for choice in _of_family(entry, raw)):
        other = torch_of.setdefault(choice.root, choice)
        _same(
            choice, other, report, "a family has one torch: a base without `extends` begins another"
        )
    copied: dict[tuple[str, str], _Choice] = {}
    for entry in every:
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


def _of_family(entry: Entry, raw: Raw) -> Iterator[_Choice]:
    """The torch that an entry asks for on its family's behalf."""
    if entry.kind == "services" and not entry.below:
        return  # a family of its own, and each of its variants another
    first = _first(entry, raw)
    variant: Raw = entry.raw.get("variants", {}).get(first, {})
    if "torch" in variant:
        path: KeyPath = (*entry.path, "variants", first)
        yield _Choice(entry.root, "", path, {"torch": variant["torch"]})
    elif entry.kind == "bases" and "torch" in entry.raw:
        yield _Choice(entry.root, "", entry.path, {"torch": entry.raw["torch"]})


def _of_variants(entry: Entry, raw: Raw, torch_of: Mapping[str, _Choice]) -> Iterator[_Choice]:
    """The torch and Python of the variants for which the bases of an entry are copied."""
    if entry.kind == "services" and not entry.below:
        return
    family = torch_of[entry.root].values["torch"] if entry.root in torch_of else CPU
    own = {"torch": family, "python": ""}
    stack = [raw["bases"][name] for name in entry.below]
    for name, variant in entry.raw.get("variants", {}).items():
        own["python"] = _below(entry, name, raw).version
        values = own.copy()
        if not _owner(entry, raw):  # else it has that of its base, or is reported
            values["python"] = _python(entry, name, raw).version
        for part in (*stack, entry.raw):
            said = part.get("variants", {}).get(name, {})
            values["torch"] = said.get("torch", values["torch"])
        if variant.keys() & values and name != _first(entry, raw) and values != own:
            yield _Choice(entry.root, name, (*entry.path, "variants", name), values)


def _first(entry: Entry, raw: Raw) -> str:
    """The variant that is the entry itself: of a base the first one. That of a service may stand on
    bases of its own.
    """
    names = _axis(entry, raw)
    return names[0] if names and (entry.kind == "bases" or _owner(entry, raw)) else ""


# Versions of Python.


class ChosenPython(NamedTuple):
    """A version of Python, and where the manifest says it."""

    version: str
    path: KeyPath


def pythons(raw: Raw) -> Iterator[tuple[Entry, str, ChosenPython]]:
    """The Python of every base and service in each of its variants; "" where it has none."""
    for entry in entries(raw):
        for variant in _axis(entry, raw) or ("",):
            yield entry, variant, _python(entry, variant, raw)


def _python(entry: Entry, variant: str, raw: Raw) -> ChosenPython:
    """The Python of an entry: as it says itself, else that of what it stands on."""
    return _said(entry.path, entry.raw, variant) or _below(entry, variant, raw)


def _below(entry: Entry, variant: str, raw: Raw) -> ChosenPython:
    """The Python of the bases that an entry stands on, else the fleet's."""
    for name in reversed(entry.below):
        if python := _said(("bases", name), raw["bases"][name], variant):
            return python
    return ChosenPython(raw.get("python", ""), ("python",))


def _said(path: KeyPath, raw: Raw, variant: str) -> ChosenPython | None:
    of_variant = raw.get("variants", {}).get(variant, {})
    if "python" in of_variant:
        return ChosenPython(of_variant["python"], (*path, "variants", variant, "python"))
    return ChosenPython(raw["python"], (*path, "python")) if "python" in raw else None


def _pythons(raw: Raw, report: ProblemReport) -> None:
    """Report what stands on a base with another Python. A variant of its own may have another: it
    stands on copies of its bases.
    """
    for entry, variant, python in pythons(raw):
        under = _below(entry, variant, raw)
        copied = len(python.path) > 3 and not _owner(entry, raw) and variant != _first(entry, raw)
        if entry.below and python.version != under.version and not copied:
            whose = f"{dotted_path(under.path)} ({report.where(under.path)})"
            base = f"bases.{entry.below[-1]} has '{under.version}'"
            message = f"'{python.version}', but {base}: {whose}"
            report.value(python.path, message, "an image has one Python: say it in its lowest base")


# Images of the user's that others start from.


class ChosenImage(NamedTuple):
    """An image of `from`, and where the manifest says it; without a name, slimbake's own runtime."""

    name: str
    path: KeyPath


def images(raw: Raw) -> Iterator[tuple[ChosenImage, str]]:
    """The image of `from` of every base and service, with each version of Python that it has."""
    for entry, _, python in pythons(raw):
        if (image := _image(entry, raw)).name:
            yield image, python.version


def _image(entry: Entry, raw: Raw) -> ChosenImage:
    """The image of `from` that an entry starts from: what it says itself, or what it stands on."""
    if "from" in entry.raw:
        return ChosenImage(entry.raw["from"], (*entry.path, "from"))
    return _image_below(entry, raw)


def _image_below(entry: Entry, raw: Raw) -> ChosenImage:
    """That of the bases that an entry stands on, else the fleet's."""
    for name in reversed(entry.below):
        if "from" in raw["bases"][name]:
            return ChosenImage(raw["bases"][name]["from"], ("bases", name, "from"))
    return ChosenImage(raw.get("from", ""), ("from",))


def _images(raw: Raw, report: ProblemReport) -> None:
    """Report what stands on a base with another image, and Debian packages that slimbake would have
    to install in an image of the user's.
    """
    for entry in entries(raw):
        image, under = _image(entry, raw), _image_below(entry, raw)
        if entry.below and image.name != under.name:
            base = f"bases.{entry.below[-1]}"
            has = f"{base} starts from slimbake's own runtime"
            if under.name:
                where = f"{dotted_path(under.path)} ({report.where(under.path)})"
                has = f"{base} starts from '{under.name}': {where}"
            hint = "an image starts from one: say it in its lowest base"
            report.value(image.path, f"'{image.name}', but {has}", hint)
        if image.name and "dockerfile" not in entry.raw:
            where = f"{dotted_path(image.path)} ({report.where(image.path)})"
            message = f"its image starts from '{image.name}': {where}"
            hint = "install them in that image: slimbake adds no Debian packages to it"
            if "system" in entry.raw:
                report.key((*entry.path, "system"), message, hint)
            if entry.raw.get("shell") == TRUTH[0]:
                report.key((*entry.path, "shell"), message, hint)
