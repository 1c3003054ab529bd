"""Reads passes: slimbake's own, and those beside the manifest, which win over them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from slimbake import inside
from slimbake.catalogue.model import Pass
from slimbake.config.document import read_yaml
from slimbake.config.model import Pairs
from slimbake.config.specs import normalised
from slimbake.config.structure import structure

Raw = dict[str, Any]

OWN = "passes.yaml"
SHIPPED = Path(__file__).with_name("catalogue.yaml")
STRIPPER = Path(inside.__file__).with_name("elf.py")
PASSES_SCHEMA = Path(__file__).with_name("catalogue.schema.json")


def catalogue(root: Path) -> tuple[Pass, ...]:
    """Every pass by name: slimbake's own, and those of `passes.yaml` in `root`, which replace those
    of the same name.

    Raises ManifestError with every problem of that file, each with its place.
    """
    own = root / OWN
    if not (own.exists() or own.is_symlink()):
        return shipped()
    passes = {each.name: each for each in (*shipped(), *_passes(checked(own)))}
    return tuple(passes[name] for name in sorted(passes))


@cache
def shipped() -> tuple[Pass, ...]:
    """The passes that slimbake ships, by name."""
    # A test has checked the file: here, where every command waits for it, it is taken at its word.
    return tuple(_passes(read_yaml(SHIPPED.read_text("utf-8")).value))


def checked(path: Path, *, shipped: bool = False) -> Raw:
    """What a file of passes holds, as plain values; ManifestError with all that is wrong with it."""
    from slimbake.catalogue.rules import check_passes

    sound, report = structure(path, PASSES_SCHEMA, "it begins with: passes:")
    check_passes(sound, report, shipped=shipped)
    report.stop()
    return sound


def _passes(raw: Raw) -> list[Pass]:
    return [_pass(name, entry) for name, entry in raw["passes"].items()]


def _pass(name: str, raw: Raw) -> Pass:
    return Pass(
        name=name,
        about=raw["about"],
        why=raw["why"],
        costs=raw.get("costs", ""),
        guarantee=raw.get("guarantee", "observed"),
        unusable=tuple(raw.get("unusable", ())),
        packages=_ordered(
            (normalised(package), spec.strip()) for package, spec in raw.get("packages", {}).items()
        ),
        remove=tuple(raw.get("remove", ())),
        keep=tuple(raw.get("keep", ())),
        drop=tuple(map(normalised, raw.get("drop", ()))),
        strip=raw.get("strip", ""),
        stripper=_stripper() if "strip" in raw else "",
        uncompiled=tuple(raw.get("uncompiled", ())),
        env=_ordered(raw.get("env", {}).items()),
        setting=raw.get("setting", ""),
    )


@cache
def _stripper() -> str:
    return hashlib.sha256(STRIPPER.read_bytes()).hexdigest()


def _ordered(pairs: Any) -> Pairs:
    return tuple(sorted(pairs))
