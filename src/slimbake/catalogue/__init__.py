"""The rules by which layers of packages become smaller, as data: `catalogue.yaml`. Pure but for that file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from slimbake.config.document import read_yaml
from slimbake.config.model import Pairs, Removal
from slimbake.config.specs import within

FILE = Path(__file__).with_name("catalogue.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way to make a layer smaller; `slimbake.inside.rules` applies it.

    Globs are relative to site-packages, or, with a leading `/`, to the prefix; `*` and `?` stay
    within a folder, `**` stands for any number of folders.
    """

    name: str
    about: str = ""
    why: str = ""
    conditions: tuple[str, ...] = ()  # of every file that it takes
    packages: Pairs = ()  # normalised name -> PEP 440 specifier; () = all
    remove: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()  # exceptions from `remove`
    strip: bool = False
    requested: bool = False  # by `remove:` of the manifest

    def concerns(self, pins: Iterable[tuple[str, str]]) -> bool:
        """Whether a layer with these packages, name and version, can have what it takes."""
        specifiers = dict(self.packages)
        return not specifiers or any(
            name in specifiers and within(version, specifiers[name]) for name, version in pins
        )

    def as_json(self) -> dict[str, Any]:
        """What the step that makes the layer reads."""
        keys = ("name", "conditions", "remove", "keep", "strip", "requested")
        return {key: value for key in keys if (value := getattr(self, key))}


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule, in the order of the file; a test checks the file."""
    entries: dict[str, dict[str, Any]] = read_yaml(FILE.read_text("utf-8")).value["rules"]
    return tuple(
        Rule(
            name=name,
            about=entry["about"],
            why=entry["why"],
            conditions=tuple(entry.get("conditions", ())),
            packages=tuple(sorted(entry.get("packages", {}).items())),
            remove=tuple(entry.get("remove", ())),
            keep=tuple(entry.get("keep", ())),
            strip="strip" in entry,
        )
        for name, entry in entries.items()
    )


def requested(removal: Removal, manifest: str, place: str) -> tuple[Rule, ...]:
    """The rules that `remove:` and `keep:` of a base or service ask for, one for each glob.

    Each is called after its line: `services.yaml: bases.ml.remove: torch/test/**`.
    """
    return tuple(
        Rule(
            name=f"{manifest}: {place}.remove: {glob}",
            remove=(glob,),
            keep=removal.keep,
            requested=True,
        )
        for glob in removal.remove
    )
