"""Layers of packages, and the chains in which images have them, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slimbake.catalogue import Rule
from slimbake.fleet.model import Python
from slimbake.lock.model import Pin

FORMAT = 2  # of layers: another one gives every layer another key
UNKNOWN = 1  # bytes of a wheel of which nothing is known: it is built from sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The files of one heavy wheel, or of the lighter rest of a lock.

    Its content depends on its wheels, the rules, which modules have bytecode, and the version of
    Python; its `key` is a digest of these.
    """

    name: str  # of its target
    key: str  # sha256:...
    lock: str  # the name of a lock that has its pins
    python: Python
    pins: tuple[Pin, ...]
    rules: tuple[Rule, ...]
    bytecode: str  # rule, all, none
    torch: str  # the build of torch that its pins name, such as `+cpu`; "" = none
    wheels: tuple[str, ...]  # the targets of packages that are built from sources
    # of these, the machines that each is built for, where another has a wheel
    built_for: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def bytes(self) -> int:
        """Of its wheels, as an index has them."""
        return sum(pin.bytes or UNKNOWN for pin in self.pins)


@dataclass(frozen=True, slots=True)
class Link:
    """One layer of an image, taken from a target: packages, or weights."""

    target: str
    weights: bool = False
    # put into the image as a layer that depends on nothing below; else copied onto what is below
    linked: bool = False


@dataclass(frozen=True, slots=True)
class Layering:
    """All layers of packages of a fleet, and what each base and service adds to what is below it."""

    layers: tuple[Layer, ...] = ()
    # scope -> its layers and weights, bottom first
    chains: Mapping[str, tuple[Link, ...]] = field(default_factory=dict)
