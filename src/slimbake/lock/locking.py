"""Resolves what is stale of the locks, and writes all of it or nothing; or what a lock would be."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

from slimbake.config import refuse_debs
from slimbake.config.model import IndexLine
from slimbake.config.naming import base_layer
from slimbake.console import Console
from slimbake.console.tracker import Tracker
from slimbake.errors import together
from slimbake.fleet import resolve
from slimbake.fleet.layering.sharing import Sharing
from slimbake.fleet.model import Fleet, Layer
from slimbake.host.files import exclusively
from slimbake.host.machine import Machine
from slimbake.host.pip import without_credentials
from slimbake.host.sources import Source
from slimbake.lock.asked import asked_of, asks, stale, systems, weights_texts
from slimbake.lock.auto import alignment, arrange, cut
from slimbake.lock.explain import ResolutionError, refuse_no_torch, refuse_torch
from slimbake.lock.locks import (
    EXTERNALS,
    LAYERS,
    SYSTEM_HEADER,
    LockRecord,
    Locks,
    closure,
    externals_text,
    layers_text,
    lock_file,
    read_locks,
    write_locks,
)
from slimbake.lock.model import Pin, locked_layers, settled, text_digest
from slimbake.lock.removal import wheel_files
from slimbake.lock.resolve import exact, resolve_layer, still_asked
from slimbake.lock.text import lock_text, parse_pins, source_of
from slimbake.lock.wheelhouse import fetch
from slimbake.lock.wheelhouse.sources import described
from slimbake.lock.wheelhouse.store import store

ALL = ("*",)  # packages to upgrade
# Files of a wheel that run without an import: at each start of Python, or as programs.
_RUN = re.compile(r"([^/]+\.data/(pure|plat)lib/)?[^/]+\.pth|[^/]+\.data/scripts/.+")


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
        self._machine = replace(
            machine, packages=replace(machine.packages, ages=fleet.manifest.lock)
        )
        self._console, self._work = console, work
        self._locks = read_locks(fleet.root)
        self._upgrade, self._all = {*upgrade}, upgrade == ALL
        outdated = stale(fleet, self._locks)
        self._old = {each.name for each in outdated}
        self._broken = {each.name for each in outdated if each.damaged}
        # What has no wheel is known when the rest is resolved.
        packages = tuple(package for package in fleet.packages if not package.source)
        self._fleet = replace(fleet, packages=packages)
        self._texts: dict[str, str] = {}  # of what is new
        self._pins: dict[str, tuple[Pin, ...]] = {}  # by layer, without the layers beneath
        self._bumps: dict[
            str, list[tuple[Pin, Pin]]
        ] = {}  # by lock: one that the wheelhouse has, and its successor
        self._sources = {
            source.origin: source for sources in self._locks.sources.values() for source in sources
        }
        shared = {base_layer(layer.lock) for layer in self._locks.layers.layers}
        # Of a base that is gone there is nothing but its lock, which says what it is by its name.
        gone = self._locks.packages - {layer.lock for layer in locked_layers(fleet)} - shared
        self._gone = sorted(name for name in gone if name.startswith(base_layer("")))

    def run(self) -> tuple[str, ...]:
        for line in index_lines(self._fleet, self._machine):
            self._console.say(line)
        layers = locked_layers(self._fleet)
        externals = EXTERNALS in self._old or self._all
        self._work.expect(layer.name for layer in layers if self._moving(layer) is not None)
        self._work.expect(["external images"] if externals else ())
        above = [layer for layer in layers if layer.kind == "service"]
        for layer in layers:
            if layer.kind != "service":
                self._resolve(layer)
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            running = [pool.submit(self._resolve, layer) for layer in above]
            failures = [error for one in running if (error := one.exception())]
        if failures:
            unsolved = [error for error in failures if isinstance(error, ResolutionError)]
            several = 1 < len(failures) == len(unsolved)
            raise ResolutionError(together(unsolved).message) if several else failures[0]
        refuse_torch(above, self._pins)
        refuse_no_torch(layers, self._pins)
        sharing = self._share()
        self._build(sharing)
        self._texts |= weights_texts(self._fleet)
        self._resolve_systems()
        if externals:
            with self._work.step("external images"):
                self._texts[EXTERNALS] = self._externals()
        questions = asks(self._fleet, sharing, self._text)
        records = {
            name: LockRecord(value, text_digest(self._text(name)))
            for name, value in questions.items()
        }
        self._inspect()
        return write_locks(self._fleet.root, self._texts, records)

    def _inspect(self) -> None:
        """Say which files of bumped packages run without an import and were not in the version
        before. The new wheels are fetched: a bake needs them anyway.
        """
        wheels = store()
        bumped = {name: [new for _, new in bumps] for name, bumps in self._bumps.items()}
        new_locks = Locks({lock_file(name): lock_text(pins) for name, pins in bumped.items()})
        fetch(self._fleet, new_locks, self._machine, wheels, self._console, only=bumped)
        for old, new in sorted({bump for bumps in self._bumps.values() for bump in bumps}):
            files = wheel_files(new, wheels) - wheel_files(old, wheels)
            if brought := sorted(filter(_RUN.fullmatch, files)):
                self._console.say(
                    f"{new.name} {new.version} brings {', '.join(brought)}: review it"
                )

    def _text(self, name: str) -> str:
        return self._texts[name] if name in self._texts else self._locks.text(name) or ""

    def _share(self) -> Sharing:
        """Which layers services share, and the locks of these and of the services."""
        fleet, before = self._fleet, self._locks.layers
        pins = {
            service.name: self._pins[service.name]
            for service in fleet.services
            if service.layer.installs
        }
        sharing = before if fleet.auto else Sharing()
        moved = LAYERS in self._old or not self._texts.keys().isdisjoint(pins)
        if fleet.auto and (moved or not before.services.keys() <= pins.keys()):
            locks = {
                layer.lock: self._locks.pins(base_layer(layer.lock)) for layer in before.layers
            }
            with self._work.step("layers", "finding what services share"):
                sharing = arrange(fleet, pins, before, locks)
        self._texts |= {name: lock_text(pinned) for name, pinned in cut(sharing, pins).items()}
        if sharing.layers or (fleet.auto and sum(service.shares for service in fleet.services) > 1):
            self._texts[LAYERS] = layers_text(sharing)
        if line := alignment(pins):
            self._console.say(line)
        return sharing

    def _build(self, sharing: Sharing) -> None:
        """Resolve what builds the wheels of packages that have none."""
        locks = {layer.lock for layer in locked_layers(self._fleet)}
        locks |= {base_layer(layer.lock) for layer in sharing.layers}
        sources = {}
        for name in sorted(locks):
            built = {pin.built for pin in parse_pins(self._text(name)) if pin.built}
            if lock_sources := tuple(sorted(self._sources[origin] for origin in built)):
                sources[name] = lock_sources
        if not sources:
            return
        self._fleet = resolve(self._fleet.manifest, sources)
        for package in self._fleet.packages:
            if package.source:
                self._resolve(package.layer, package.source)

    def _moving(self, layer: Layer, source: Source | None = None) -> set[str] | None:
        """The packages of a layer that may move; None where its lock is fresh as it is.
        `source`: what its wheel is built from.
        """
        pins = self._known(layer)
        movable = pins.keys() if self._all else pins.keys() & self._upgrade
        record = self._locks.records.get(layer.lock)
        fresh = record is not None and self._broken.isdisjoint(self._held(layer))
        if source:
            return (
                None if source_of(self._text(layer.lock)) == source and not movable else {*movable}
            )
        same = record and record.asked == asked_of(layer, self._fleet, self._text)
        return None if fresh and same and not movable else {*movable}

    def _held(self, layer: Layer) -> set[str]:
        """The locks that hold what is pinned for a layer."""
        sharing = self._locks.layers
        chain = (
            sharing.chain(sharing.services.get(layer.name, "")) if layer.kind == "service" else ()
        )
        return {layer.lock, *(base_layer(shared.lock) for shared in chain)}

    def _known(self, layer: Layer) -> dict[str, Pin]:
        """What the locks pin of a layer by now; of a new base, what services on it have."""
        if layer.kind not in ("base", "service"):
            return {pin.name: pin for pin in self._locks.pins(layer.lock)}
        if layer.kind == "service":
            return closure(self._locks, layer.lock, self._gone)
        pins: dict[str, Pin] = {}
        if layer.lock not in self._locks.records:
            for service in layer.services:
                pins |= closure(self._locks, service, self._gone)
        return pins | {pin.name: pin for pin in self._locks.pins(layer.lock)}

    def _resolve(self, layer: Layer, source: Source | None = None) -> None:
        """Resolve a layer if it is stale. `source`: what its wheel is built from."""
        pins_before, moving = self._known(layer), self._moving(layer, source)
        pins_beneath = {pin.name: pin for part in layer.chain for pin in self._pins[part.name]}
        if moving is None:
            self._pins[layer.name] = tuple(
                pin for name, pin in pins_before.items() if name not in pins_beneath
            )
            return
        given = {pin.name: pin for part in settled(layer) for pin in self._pins[part.name]}
        kept = {name: pin for name, pin in pins_before.items() if name not in moving}
        at = still_asked(layer, self._sources_of(kept))
        with self._work.step(layer.name, f"locking {layer.name}"):
            needed, sources = resolve_layer(
                layer,
                self._fleet.root,
                self._fleet.python,
                self._machine,
                exact(kept.values(), at),
                given,
                self._console,
                self._sources_of(given),
            )
        for built in self._described(sources, layer).values():
            self._sources[built.origin] = built
        pins = tuple(pin for pin in needed if pin.name not in pins_beneath)
        self._pins[layer.name] = pins
        bumps = ((pins_before[pin.name], pin) for pin in pins if pin.name in pins_before)
        self._bumps[layer.lock] = [
            (old, new)
            for old, new in bumps
            if old.version != new.version and wheel_files(old, store())
        ]
        self._texts[layer.lock] = lock_text(pins, source)

    def _sources_of(self, pins: Mapping[str, Pin]) -> dict[str, Source]:
        return {
            name: self._sources[p.built] for name, p in pins.items() if p.built in self._sources
        }

    def _described(self, sources: Mapping[str, Source], layer: Layer) -> dict[str, Source]:
        """Sources with what builds them."""
        if layer.kind == "wheel" and sources:
            raise ResolutionError(
                f"{layer.name} is built with packages that have no wheel: {', '.join(sorted(sources))}",
                "ask for versions of [build-system] requires that have wheels",
            )
        for source in sources.values():
            if not source.wheel:
                self._console.say(
                    f"{source.name} {source.version} is built from"
                    f" {source.origin.partition('#')[0]}, in a stage of its own"
                )
        return described(sources, self._machine, store(), self._console)

    def _resolve_systems(self) -> None:
        """Raises ManifestError with every package that Debian does not have."""
        from slimbake.externals.debs import Apt

        unknown: dict[str, list[str]] = {}
        answers: dict[
            object, tuple[str, dict[str, list[str]]]
        ] = {}  # the wheels of a layer ask alike
        for system in systems(self._fleet):
            name = system.layer.system_lock
            locked = {deb.name for deb in self._locks.debs(name)}
            new = name not in self._locks.records  # of what builds sources that were found just now
            if new or name in self._old or self._all or locked & self._upgrade:
                request = (system.packages, system.layer.platforms)
                with self._work.step(name, f"locking {name}: {', '.join(system.packages)}"):
                    if request not in answers:
                        apt = Apt(self._fleet, self._machine, self._console)
                        answers[request] = apt.lock(*request)
                lines, similar = answers[request]
                self._texts[name] = SYSTEM_HEADER + lines
                unknown |= similar
        if unknown:
            messages = {
                name: (
                    f"Debian has no package '{name}'",
                    f"did you mean {' or '.join(map(repr, meant))}?"
                    if meant
                    else "`apt-cache search WORD` finds packages on a Debian machine",
                )
                for name, meant in unknown.items()
            }
            refuse_debs(self._fleet.manifest.file, messages)

    def _externals(self) -> str:
        """With the digests that registries give now. A stand-in's never enters a lock."""
        from slimbake.externals.resolve import in_registry

        images = ((external, in_registry(external.image)) for external in self._fleet.externals)
        return externals_text(
            (external, image.digest if image else "") for external, image in images
        )


def index_lines(fleet: Fleet, machine: Machine) -> Iterator[str]:
    """What requirements say of indexes that this machine does not use, and what to do about it."""
    packages = machine.packages
    indexes = {packages.index_url, *packages.extra_index_urls, *packages.find_links}
    there = {without_credentials(address).rstrip("/") for address in indexes}
    layers = [*(base.layer for base in fleet.bases), *(service.layer for service in fleet.services)]
    for file in dict.fromkeys(file for layer in layers for file in layer.asks.prereleases):
        yield f"{file}: --pre allows pre-releases of all that is locked together with it"
    candidates = ((line, layer.torch) for layer in layers for line in layer.asks.indexes)
    for line in dict.fromkeys(
        line for line, torch in candidates if not (torch and _build_of(line))
    ):
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
    match = re.search(r"//download\.pytorch\.org/whl/(?:\w+/)?(cpu|cu\d+)/?$", line.address)
    return match[1] if match else ""
