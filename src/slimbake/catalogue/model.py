"""Passes as values: what each removes or changes, of which packages, and what it costs. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from slimbake.config.model import Pairs
from slimbake.config.specs import within

Strip = Literal["", "debug", "unneeded"]

# `lossless`: everything works as before; `narrowed`: one named feature is gone; `observed`: nothing
# that a check runs misses it.
Guarantee = Literal["lossless", "narrowed", "observed"]

# Why an image cannot use what a pass takes: it has no compiler, it does not run Windows, or nothing
# in it names the file. The step that installs decides over the first and the last again, by what
# lies in the layer: `slimbake.inside.passes`.
Condition = Literal["no-compiler", "on-linux", "unread"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One named size optimisation of the catalogue, for whoever has the packages that it names.

    Globs are relative to site-packages (`torch/include/**`), or, with a leading `/`, to the prefix
    (`/bin/*`); `*` and `?` stay within a folder, `**` stands for any number of folders. All that
    removes a module removes its bytecode.
    """

    name: str  # torch.headers
    about: str  # what it removes or changes
    why: str  # why it should be safe
    costs: str  # which features are lost; "" = none
    guarantee: Guarantee = "observed"
    # of a narrowed pass: where all of these are so, no image can use what it takes
    unusable: tuple[Condition, ...] = ()
    # normalised name -> PEP 440 specifier, "" for any; () = of all, or of those that it drops
    packages: Pairs = ()
    remove: tuple[str, ...] = ()  # globs
    keep: tuple[str, ...] = ()  # globs: exceptions from `remove`, `strip` and `uncompiled`
    drop: tuple[str, ...] = ()  # packages that are not installed at all
    strip: Strip = ""  # of every ELF file: --strip-debug or --strip-unneeded
    stripper: str = ""  # the digest of what strips: another one may take another part of a library
    uncompiled: tuple[str, ...] = ()  # globs: modules that get no bytecode
    env: Pairs = ()  # the run-time environment: measured, and the manifest's to set; never carried
    setting: str = ""  # a key of the manifest does it: measured, never carried

    @property
    def carried(self) -> bool:
        """Whether it changes a layer, so that evidence can put it on."""
        return bool(self.remove or self.drop or self.strip or self.uncompiled)

    @property
    def digest(self) -> str:
        """Changes with what it does, and with nothing that is said about it."""
        does = [
            self.packages,
            self.remove,
            self.keep,
            self.drop,
            [self.strip, self.stripper] if self.strip else "",
            self.uncompiled,
            self.env,
        ]
        return "sha256:" + hashlib.sha256(json.dumps(does).encode()).hexdigest()

    def applies(self, pins: Pairs) -> tuple[str, ...]:
        """The packages of a layer, name and version, that it concerns; () where it does not apply
        to the layer.
        """
        wanted = dict.fromkeys(self.drop, "") | dict(self.packages)
        if not wanted:
            return tuple(name for name, _ in pins)
        return tuple(
            name for name, version in pins if name in wanted and within(version, wanted[name])
        )

    def by_default(self, met: Collection[Condition]) -> bool:
        """Whether a layer carries it without evidence. `met`: the conditions that are so there."""
        if self.guarantee == "lossless":
            return True
        return self.guarantee == "narrowed" and bool(self.unusable) and {*self.unusable} <= {*met}

    def applied(self, pins: Pairs, *, unusable: bool = False) -> Applied | None:
        """What a layer of these packages, name and version, gets of it; None where it does not
        apply to it. `unusable`: it takes only what its conditions allow.
        """
        names = self.applies(pins)
        if not names or not self.carried:
            return None
        kinds = {
            "remove": self.remove,
            "keep": self.keep,
            "drop": self.drop,
            "uncompiled": self.uncompiled,
        }
        met = self.unusable if unusable else ()
        return Applied(name=self.name, packages=names, strip=self.strip, unusable=met, **kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A pass as one layer gets it: `slimbake.inside.passes` reads it."""

    name: str
    packages: tuple[str, ...]  # of the layer, those that it concerns
    remove: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    strip: Strip = ""
    uncompiled: tuple[str, ...] = ()
    unusable: tuple[Condition, ...] = ()  # it takes only what these allow

    def as_json(self) -> dict[str, Any]:
        """Less what it does not have."""
        return {key: value for key in self.__slots__ if (value := getattr(self, key))}
