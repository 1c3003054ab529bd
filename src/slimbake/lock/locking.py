"""Resolves what is stale of the locks, and writes all of it or nothing; or what a lock would be."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from slimbake.config import refuse_debs
from slimbake.config.model import IndexLine
from slimbake.config.naming import LOCKS, base_layer
from slimbake.console import Console
from slimbake.console.tracker import Tracker
from slimbake.fleet import resolve
from slimbake.fleet.layering.bases import PlannedBases
from slimbake.fleet.layering.model import LayerLimits
from slimbake.fleet.model import Fleet
from slimbake.host.files import exclusively
from slimbake.host.machine import Machine
from slimbake.host.pip import without_credentials
from slimbake.host.sources import Source
from slimbake.lock import auto
from slimbake.lock.asked import asks, stale, systems, weighted, weights_texts
from slimbake.lock.explain import ResolutionError
from slimbake.lock.locks import (
    EXTERNALS,
    LAYERS,
    SYSTEM_HEADER,
    LockRecord,
    Locks,
    externals_text,
    kept_layers,
    layers_text,
    lock_file,
    parse_layers,
    read_locks,
    write_locks,
)
from slimbake.lock.model import Family, Pin, families, text_digest
from slimbake.lock.resolve import resolve_family, steps
from slimbake.lock.text import lock_text, parse_pins, source_of
from slimbake.lock.wheelhouse.sources import described
from slimbake.lock.wheelhouse.store import store

ALL = ("*",)  # packages to upgrade


def lock(
    fleet: Fleet,
    machine: Machine,
    console: Console,
    upgrade: Collection[str] = (),
) -> tuple[str, ...]:
    """Resolve what is stale, and what holds a package of `upgrade` (ALL: everything); the names of
    changed files.

    `fleet`: as its manifest alone has it. Known pins are kept where they still fit. Raises
    ResolutionError where requirements contradict each other, SetupError where uv or an index
    fails; nothing is written then.
    """
    with (
        exclusively(f"lock-{fleet.project}", console),
        console.tracked("lock") as work,
    ):
        return _Locking(fleet, machine, console, upgrade, work).run()


class _Locking:
    def __init__(
        self,
        fleet: Fleet,
        machine: Machine,
        console: Console,
        upgrade: Collection[str],
        work: Tracker,
    ) -> None:
        self._machine, self._console, self._work = machine, console, work
        self._locks = read_locks(fleet.root)
        self._upgrade, self._all = {*upgrade}, upgrade == ALL
        self._old = {each.name for each in stale(fleet, self._locks)}
        self._texts: dict[str, str] = {}  # of what is new
        self._sources = dict(self._locks.sources)  # a lock -> what its packages are built from
        # What has no wheel is known when the rest is resolved.
        self._fleet = resolve(fleet.manifest)

    def run(self) -> tuple[str, ...]:
        for line in index_lines(self._fleet, self._machine):
            self._console.say(line)
        # Weights first: the layers that are found depend on their bytes.
        ordered = tuple(reversed(families(self._fleet)))
        externals = EXTERNALS in self._old or self._all
        for family in ordered:
            self._work.expect(steps(family) if self._moving(family) is not None else ())
        self._work.expect(["external images"] if externals else ())
        for family in ordered:
            self._resolve(family)
        self._build()
        self._texts |= weights_texts(self._fleet)
        self._resolve_systems()
        if externals:
            with self._work.step("external images"):
                self._texts[EXTERNALS] = self._externals()
        found = parse_layers(self._texts[LAYERS]) if LAYERS in self._texts else None
        asked = asks(self._fleet, found or self._locks.layers)
        records = {name: self._record(name, value) for name, value in asked.items()}
        return write_locks(self._fleet.root, self._texts, records)

    def _build(self) -> None:
        """Resolve what builds the wheels of packages that have none."""
        live = {name for name in self._sources if name in self._texts or self._locks.text(name)}
        found = (
            self._locks.layers if LAYERS not in self._texts else parse_layers(self._texts[LAYERS])
        )
        asking = {layer.lock for family in families(self._fleet) for layer in family.layers}
        asking |= {base_layer(base.name) for base in auto.installing(self._fleet, found)}
        sources = {name: self._sources[name] for name in live & asking}
        if not sources:
            return
        self._fleet = resolve(self._fleet.manifest, sources=sources)
        for package in self._fleet.packages:
            if package.source:
                self._resolve(Family((package.layer,), ""), package.source)

    def _record(self, name: str, asked: str) -> LockRecord:
        if name in self._texts:
            return LockRecord(asked, text_digest(self._texts[name]))
        return self._locks.records[name]

    def _moving(self, family: Family, source: Source | None = None) -> set[str] | None:
        """The packages of a family that may move; None where its locks are fresh as they are.
        `source`: what a wheel is built from, with the packages of this family.
        """
        known = pinned(family, self._fleet, self._locks)
        wanted = known.keys() if self._all else known.keys() & self._upgrade
        answering = self._answering(family)
        fresh = answering.isdisjoint(self._old) and answering <= {*self._locks.records, LAYERS}
        if source:
            text = self._locks.text(family.layers[0].lock) or ""
            fresh = fresh and source_of(text) == source
        return None if fresh and not wanted else {*wanted}

    def _resolve(self, family: Family, source: Source | None = None) -> None:
        """A family; `source`: what a wheel is built from, with the packages of this family."""
        wanted = self._moving(family, source)
        if wanted is not None:
            self._resolve_stale(family, pinned(family, self._fleet, self._locks), wanted, source)
        elif family.found and (layers := kept_layers(self._fleet, self._locks)):
            self._texts[LAYERS] = layers_text(layers)

    def _resolve_stale(
        self,
        family: Family,
        known: Mapping[str, Pin],
        wanted: Collection[str],
        source: Source | None,
    ) -> None:
        """`known`: what is pinned now; `wanted`: the packages that may move."""
        kept = [pin for name, pin in known.items() if name not in wanted]
        fleet = self._fleet
        at = {each.name: each for sources in self._locks.sources.values() for each in sources}
        at = {name: each for name, each in at.items() if name not in wanted}
        resolved = resolve_family(
            family,
            fleet.root,
            fleet.python,
            self._machine,
            kept,
            self._console,
            self._work,
            at,
        )
        found = resolved.pins
        built = self._described(resolved.sources, family)
        if family.found:
            if self._locks.text(LAYERS) and not self._locks.layers:
                self._console.say(
                    f"{LOCKS}/{lock_file(LAYERS)} cannot be read: slimbake finds the layers again"
                )
            with self._work.step("layers", "finding the layers"):
                layers = arranged(fleet, self._locks, found, self._texts)
            self._texts[LAYERS] = layers_text(layers)
            found = auto.cut(fleet, layers, found)
        self._texts |= {name: lock_text(pins, source) for name, pins in found.items()}
        for name, pins in found.items():
            self._sources[name] = tuple(built[pin.name] for pin in pins if pin.built)

    def _described(self, sources: Mapping[str, Source], family: Family) -> dict[str, Source]:
        """Sources with what builds them."""
        if family.layers[0].kind == "wheel" and sources:
            names = ", ".join(sorted(sources))
            raise ResolutionError(
                f"{family.layers[0].name} is built with packages that have no wheel: {names}",
                "ask for versions of [build-system] requires that have wheels",
            )
        for each in sources.values():
            if not each.wheel:
                line = f"{each.name} {each.version} is built from {each.origin.partition('#')[0]}"
                self._console.say(f"{line}, in a stage of its own")
        return described(sources, self._machine, store(), self._console)

    def _answering(self, family: Family) -> frozenset[str]:
        """The locks that answer a family."""
        own = {layer.lock for layer in family.layers}
        if family.found:
            found = auto.installing(self._fleet, self._locks.layers)
            own |= {base_layer(base.name) for base in found}
            own |= {LAYERS, *weighted(self._fleet)}
        return frozenset(own)

    def _resolve_systems(self) -> None:
        """Raises ManifestError with every package that Debian does not have."""
        from slimbake.externals.debs import Apt

        unknown: dict[str, list[str]] = {}
        answers: dict[
            object, tuple[str, dict[str, list[str]]]
        ] = {}  # the wheels of a layer ask alike
        for system in systems(self._fleet):
            name = system.layer.system_lock
            held = {deb.name for deb in self._locks.debs(name)}
            new = name not in self._locks.records  # of what builds sources that were found just now
            if new or name in self._old or self._all or held & self._upgrade:
                asked = (system.packages, system.layer.platforms)
                with self._work.step(name, f"locking {name}: {', '.join(system.packages)}"):
                    if asked not in answers:
                        apt = Apt(self._fleet, self._machine, self._console)
                        answers[asked] = apt.lock(*asked)
                lines, similar = answers[asked]
                self._texts[name] = SYSTEM_HEADER + lines
                unknown |= similar
        if unknown:
            messages = {
                name: (f"Debian has no package '{name}'", _meant(meant))
                for name, meant in unknown.items()
            }
            refuse_debs(self._fleet.manifest.file, messages)

    def _externals(self) -> str:
        """With the digests that registries give now. A stand-in's never enters a lock."""
        from slimbake.externals.resolve import in_registry

        found = ((external, in_registry(external.image)) for external in self._fleet.externals)
        return externals_text((each, image.digest if image else "") for each, image in found)


def index_lines(fleet: Fleet, machine: Machine) -> Iterator[str]:
    """What requirements say of indexes that this machine does not use, and what to do about it."""
    packages = machine.packages
    known = {packages.index_url, *packages.extra_index_urls, *packages.find_links}
    there = {without_credentials(each).rstrip("/") for each in known}
    layers = [*(base.layer for base in fleet.bases), *(each.layer for each in fleet.services)]
    for file in dict.fromkeys(file for layer in layers for file in layer.asks.prereleases):
        yield f"{file}: --pre allows pre-releases of all that is locked together with it"
    asked = ((line, layer.torch) for layer in layers for line in layer.asks.indexes)
    for line in dict.fromkeys(line for line, torch in asked if not (torch and _build_of(line))):
        usual = (urlsplit(line.address).hostname or "").startswith("pypi.")  # or a mirror of it
        shown = f"{line.where}: {line.said}{f' {line.address}' if line.address else ''}"
        if build := _build_of(line):
            yield f"{shown} chooses a build of torch: say `torch: {build}` in the manifest"
        elif "://" in line.address and not usual and line.address.rstrip("/") not in there:
            links = line.said in ("-f", "--find-links")
            setting = f"{'UV_FIND_LINKS' if links else 'UV_INDEX'}={line.address}"
            yield f"{shown} is left to each machine that locks and bakes: {setting}"


def _build_of(line: IndexLine) -> str:
    """The build of torch that an index has alone; "" of others."""
    found = re.search(r"//download\.pytorch\.org/whl/(?:\w+/)?(cpu|cu\d+)/?$", line.address)
    return found[1] if found else ""


def _meant(names: Sequence[str]) -> str:
    if not names:
        return "`apt-cache search WORD` finds packages on a Debian machine"
    return f"did you mean {' or '.join(repr(name) for name in names)}?"


def pinned(family: Family, fleet: Fleet, locks: Locks) -> dict[str, Pin]:
    """What the locks pin of a family, by the package's name: also in bases that it has no more, or
    that were found.
    """
    names = [layer.lock for layer in family.layers]
    if family.layers[0].kind not in ("weights", "wheel"):
        live = {layer.lock for each in families(fleet) for layer in each.layers}
        # Of a base that is gone there is nothing but its lock, which says what it is by its name.
        gone = (name for name in locks.packages - live if name.startswith(base_layer("")))
        names = [*sorted(gone), *names]
    return {pin.name: pin for name in names for pin in locks.pins(name)}


def arranged(
    fleet: Fleet, locks: Locks, closures: auto.Closures, texts: Mapping[str, str]
) -> PlannedBases:
    """The layers that the planner finds for what each service needs. `texts`: new locks by name.

    Raises ResolutionError where no plan keeps the manifest's limit.
    """
    try:
        return auto.arrange(fleet, closures, dict(_bytes(fleet, locks, texts)), locks.layers)
    except ValueError as error:
        limit = fleet.manifest.layer_limit or LayerLimits().layers
        raise ResolutionError(
            f"layers: {{limit: {limit}}} is too few: {error}",
            "raise the limit: the runtime has two layers, the code one, weights and packages one"
            " each at least",
        ) from None


def _bytes(fleet: Fleet, locks: Locks, texts: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """The bytes of each model's weights, by their layer."""
    for weights in fleet.weights:
        name = weights.layer.name
        if weights.source == "path":
            files = (fleet.root / weights.value).rglob("*")
            yield name, sum(path.stat().st_size for path in files if path.is_file())
        else:
            pins = parse_pins(texts[name]) if name in texts else locks.pins(name)
            yield name, sum(wheel.bytes or auto.UNKNOWN for pin in pins for wheel in pin.wheels)
