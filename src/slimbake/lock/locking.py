"""Resolves what is stale of the locks, and writes each that has a solution."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from slimbake.config import refuse_debs, refuse_images
from slimbake.config.naming import base_target
from slimbake.config.specs import name_of
from slimbake.console import Console
from slimbake.console.tracker import Tracker
from slimbake.errors import ManifestError, Problem, SetupError, SlimbakeError, first_of
from slimbake.fleet import resolve, with_digests
from slimbake.fleet.model import Base, External, Fleet, Scope, Service
from slimbake.host.files import exclusively
from slimbake.host.machine import Machine
from slimbake.host.sources import Source
from slimbake.host.uv import NoSolution
from slimbake.inside.lines import some
from slimbake.inside.locked import Fault
from slimbake.lock.asked import System, asked_of, asks, stale, systems, weights_texts
from slimbake.lock.builds import refuse_cuda, refuse_no_torch, torch_builds
from slimbake.lock.contents import wheel_files
from slimbake.lock.explain import ResolutionError, no_solution, refuse_torch
from slimbake.lock.indexes import refuse_unknown_indexes, remarks
from slimbake.lock.locks import (
    EXTERNALS,
    SYSTEM_HEADER,
    LockRecord,
    Locks,
    externals_text,
    lock_file,
    parse_externals,
    parse_interpreters,
    read_locks,
    write_locks,
)
from slimbake.lock.model import Pin, locked_scopes, settled, text_digest
from slimbake.lock.resolve import Taken, resolve_scope
from slimbake.lock.text import lock_text, parse_pins, source_of
from slimbake.lock.wheelhouse import fetch
from slimbake.lock.wheelhouse.sources import described
from slimbake.lock.wheelhouse.store import Store, store

ALL = ("*",)  # packages to upgrade
_SHOWN = 6  # names of locks
BUILDER = "builder"  # what `--upgrade` calls the externals in which layers are made
# Files of a wheel that run without an import: at each start of Python, or as programs.
_RUN = re.compile(r"([^/]+\.data/(pure|plat)lib/)?[^/]+\.pth|[^/]+\.data/scripts/.+")


def lock(
    fleet: Fleet,
    machine: Machine,
    console: Console,
    upgrade: Collection[str] = (),
    only: Collection[str] | None = None,
) -> tuple[str, ...]:
    """Resolve what is stale, and what holds a package of `upgrade` (ALL: everything); the names of
    changed files.

    `fleet`: as its manifest alone has it; `only`: the names of the locks to bring up to date,
    each with those whose versions it takes; None = all. Known pins are kept where they still fit. Raises
    ResolutionError where requirements contradict each other, ManifestError where they bring CUDA
    that nobody asked for, SetupError where uv or an index fails: once the other locks are written.
    """
    with (
        exclusively(f"lock-{fleet.project}", console),
        console.tracked("lock") as work,
    ):
        return _Locking(fleet, machine, console, upgrade, only, work).run()


class _Locking:
    def __init__(
        self,
        fleet: Fleet,
        machine: Machine,
        console: Console,
        upgrade: Collection[str],
        only: Collection[str] | None,
        work: Tracker,
    ) -> None:
        packages = replace(
            machine.packages, ages=fleet.manifest.lock, owners=fleet.manifest.indexes
        )
        self._machine = replace(machine, packages=packages)
        self._console, self._work = console, work
        self._locks = read_locks(fleet.root)
        self._upgrade, self._all = {*upgrade}, upgrade == ALL
        outdated = stale(fleet, self._locks)
        self._old = {each.name for each in outdated}
        self._broken = {each.name for each in outdated if each.damaged}
        # What has no wheel is known when the rest is resolved.
        self._fleet = replace(
            fleet, packages=tuple(package for package in fleet.packages if not package.source)
        )
        self._texts: dict[str, str] = {}  # of what is new
        self._pins: dict[str, tuple[Pin, ...]] = {}  # by scope, without the scopes beneath
        # By lock: a pin whose wheel lies in the wheelhouse, and its successor.
        self._bumps: dict[str, list[tuple[Pin, Pin]]] = {}
        self._sources: dict[str, Source] = {}  # by origin
        for sources in self._locks.sources.values():
            self._sources |= {source.origin: source for source in sources}
        # Of a base that is gone there is nothing but its lock, which says what it is by its name.
        gone = self._locks.packages - {scope.lock for scope in locked_scopes(fleet)}
        self._gone = sorted(name for name in gone if name.startswith(base_target("")))
        self._only = None if only is None else {*only}
        self._failures: dict[str, SlimbakeError] = {}  # by the name of a lock
        self._waiting: dict[str, str] = {}  # lock -> what it needs, and what failed

    def run(self) -> tuple[str, ...]:
        for line in remarks(self._fleet):
            self._console.say(line)
        scopes = [scope for scope in locked_scopes(self._fleet) if self._asked_for(scope.lock)]
        with_externals = self._externals_are_due()
        self._work.expect(scope.name for scope in scopes if not self._is_fresh(scope))
        if with_externals:
            self._work.expect(["external images"])
        services = []
        for scope in scopes:
            if scope.kind == "service":
                services.append(scope)
            else:
                self._attempt(scope, self._resolve)
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            jobs = [pool.submit(self._attempt, scope, self._resolve) for scope in services]
            for job in jobs:
                job.result()
        self._refuse(scopes)
        self._build()
        self._measure()
        for name, text in weights_texts(self._fleet).items():
            if self._asked_for(name):
                self._texts[name] = text
        if with_externals:
            self._resolve_externals()
        self._resolve_systems()
        self._inspect()
        written = self._write()
        self._expect_all()
        return written

    def _write(self) -> tuple[str, ...]:
        """Write what was locked, and leave every other lock as it was."""
        records = {}
        left = set()
        for name, asked in asks(self._fleet, self._text).items():
            failed = name in self._failures or name in self._waiting
            if self._asked_for(name) and not failed:
                records[name] = LockRecord(asked, text_digest(self._text(name)))
                continue
            left.add(name)
            if name in self._locks.records:
                records[name] = self._locks.records[name]
        if left:
            # A later run takes versions from the locks of removed bases, too.
            left.update(self._gone)
        return write_locks(self._fleet.root, self._texts, records, left)

    def _asked_for(self, name: str) -> bool:
        """Whether a lock is to be brought up to date."""
        return self._only is None or name in self._only

    def _externals_are_due(self) -> bool:
        """Whether to look up the digests of external images."""
        if not self._asked_for(EXTERNALS):
            return False
        return EXTERNALS in self._old or self._all or BUILDER in self._upgrade

    def _refuse(self, scopes: Sequence[Scope]) -> None:
        """Hold what was resolved to the builds of torch that the manifest asks for."""
        owners: tuple[Base | Service, ...] = (*self._fleet.bases, *self._fleet.services)
        owner_of = {owner.scope.name: owner for owner in owners}
        in_use = torch_builds(locked_scopes(self._fleet), self._pins)

        for scope in scopes:
            if scope.name not in self._pins:
                continue
            try:
                if scope.name in owner_of:
                    refuse_cuda(self._fleet, owner_of[scope.name], self._pins)
                refuse_torch([scope], self._pins)
                refuse_no_torch(scope, in_use)
            except SlimbakeError as error:
                self._failures[scope.lock] = error
        self._settle()

    def _settle(self) -> None:
        """Drop what was resolved for locks that failed, and for those that take their versions."""
        for scope in locked_scopes(self._fleet):
            self._drop_if_failed(scope)

    def _attempt(self, scope: Scope, step: Callable[[Scope], None]) -> None:
        """Take a step towards the lock of a scope, unless it failed before. Where the step fails,
        slimbake drops this lock and goes on with the others.
        """
        if self._drop_if_failed(scope):
            return
        try:
            step(scope)
        except SlimbakeError as error:
            self._failures[scope.lock] = error
            self._drop_if_failed(scope)

    def _drop_if_failed(self, scope: Scope) -> bool:
        """Forget what was resolved for a lock that failed, or that takes the versions of one. Returns
        whether it is such a lock.
        """
        for below in settled(scope):
            if self._failed(below) and not self._failed(scope):
                self._waiting[scope.lock] = self._waiting.get(below.lock, below.name)
        if not self._failed(scope):
            return False
        self._texts.pop(scope.lock, None)
        self._bumps.pop(scope.lock, None)
        self._pins.pop(scope.name, None)
        return True

    def _failed(self, scope: Scope) -> bool:
        return scope.lock in self._failures or scope.lock in self._waiting

    def _expect_all(self) -> None:
        """Raise what failed, with the locks that wait for it and those that were written."""
        if not self._failures:
            return
        waiting: dict[str, list[str]] = {}
        for name, below in sorted(self._waiting.items()):
            waiting.setdefault(below, []).append(name)
        notes = [f"waiting for {below}: {some(names, _SHOWN)}" for below, names in waiting.items()]
        if written := sorted(self._texts.keys() - {EXTERNALS}):
            notes.append(f"locked all the same: {some(written, _SHOWN)}")
        raise _combined(self._failures, notes, self._fleet.manifest.file.name)

    def _inspect(self) -> None:
        """Say which files of bumped packages run without an import and were not in the version
        before. The new wheels are fetched: a bake needs them anyway.
        """
        wheels = store()
        texts = {}
        all_bumps: set[tuple[Pin, Pin]] = set()
        for name, bumps in self._bumps.items():
            texts[lock_file(name)] = lock_text({new for _, new in bumps})
            all_bumps.update(bumps)
        fetch(self._fleet, Locks(texts), self._machine, wheels, self._console, only=self._bumps)
        for old, new in sorted(all_bumps):
            files = wheel_files(new, wheels) - wheel_files(old, wheels)
            programs = sorted(filter(_RUN.fullmatch, files))
            if programs:
                self._console.say(
                    f"{new.name} {new.version} brings {', '.join(programs)}: review it"
                )

    def _text(self, name: str) -> str:
        """The text of a lock: as this run resolved it, else as it was read; "" without one."""
        return self._texts.get(name) or self._locks.text(name) or ""

    def _build(self) -> None:
        """Resolve what builds the wheels of packages that have none."""
        sources = {}
        users: dict[str, list[Scope]] = {}  # by the origin of the sources
        for scope in locked_scopes(self._fleet):
            origins = self._origins(scope)
            known = sorted(self._sources[origin] for origin in origins & self._sources.keys())
            if known:
                sources[scope.lock] = tuple(known)
            if self._asked_for(scope.lock):
                for origin in origins:
                    users.setdefault(origin, []).append(scope)
        if not sources:
            return
        self._fleet = resolve(self._fleet.manifest, dict(sorted(sources.items())))
        for package in self._fleet.packages:
            if not package.source or package.source.origin not in users:
                continue
            scope = package.scope
            if self._only is not None:
                self._only |= {scope.lock, scope.system_lock}
            self._attempt(scope, partial(self._resolve, source=package.source))
            if self._failed(scope):  # a lock with sources that no lock describes is damaged
                for user in users[package.source.origin]:
                    self._waiting[user.lock] = scope.name
        self._settle()

    def _origins(self, scope: Scope) -> set[str]:
        """The origins of the sources from which the packages of a scope are built."""
        pins = self._locks.pins(scope.lock)
        if scope.lock in self._texts:
            pins = parse_pins(self._texts[scope.lock])
        return {pin.built for pin in pins if pin.built}

    def _measure(self) -> None:
        """Give each wheel its size where the index says none: whether a wheel is a layer of its own
        depends on it. These wheels are fetched: a bake needs them anyway.
        """
        pins_of = {}  # by lock
        texts = {}
        for scope in locked_scopes(self._fleet):
            pins = parse_pins(self._texts.get(scope.lock, ""))
            if scope.kind in ("base", "service") and any(pin.bytes is None for pin in pins):
                pins_of[scope.lock] = pins
                texts[lock_file(scope.lock)] = lock_text(pin for pin in pins if pin.wheels)
        if not texts:
            return
        wheels = store()
        fetch(self._fleet, Locks(texts), self._machine, wheels, self._console, only=pins_of)
        for name, pins in pins_of.items():
            self._texts[name] = lock_text(_measured(pin, wheels) for pin in pins)

    def _to_upgrade(self, scope: Scope) -> set[str]:
        """The packages of a scope that get a newer version if there is one."""
        names = {pin.name for pin in self._known(scope)}
        if self._all:
            return names
        return names & self._upgrade

    def _is_fresh(self, scope: Scope, source: Source | None = None) -> bool:
        """Whether the lock of a scope stays as it is. `source`: what its wheel is built from."""
        if self._to_upgrade(scope):
            return False
        if source:
            return source_of(self._text(scope.lock)) == source
        record = self._locks.records.get(scope.lock)
        if record is None or scope.lock in self._broken:
            return False
        return record.asked == asked_of(scope, self._fleet, self._text)

    def _known(self, scope: Scope) -> tuple[Pin, ...]:
        """The pins that the locks have for a scope so far. If a package has several, the last counts.

        A service also gets the pins of removed bases, and a new base those of the services on it.
        """
        names = [scope.lock]
        if scope.kind == "service":
            names = [*self._gone, scope.lock]
        elif scope.kind == "base" and scope.lock not in self._locks.records:
            names = [*self._gone, *scope.services, scope.lock]
        pins: list[Pin] = []
        for name in names:
            pins += self._locks.pins(name)
        return tuple(pins)

    def _resolve(self, scope: Scope, source: Source | None = None) -> None:
        """Resolve a scope if it is stale. `source`: what its wheel is built from."""
        if self._is_fresh(scope, source):
            self._pins[scope.name] = self._locks.pins(scope.lock)
            return
        refuse_unknown_indexes(scope, self._machine.packages)
        known = self._known(scope)
        to_upgrade = self._to_upgrade(scope)
        preferred = [pin for pin in known if pin.name not in to_upgrade]
        agreed = [part for part in settled(scope) if part not in scope.chain]
        with self._work.step(scope.name, f"locking {scope.name}"):
            try:
                pins, sources = resolve_scope(
                    scope,
                    self._fleet.root,
                    self._machine,
                    preferred,
                    Taken(self._pins_of(scope.chain), self._pins_of(agreed)),
                    self._console,
                    dict(self._sources),
                )
            except NoSolution as error:
                raise no_solution(scope, str(error), self._package_names()) from None
        for built in self._described(sources, scope):
            self._sources[built.origin] = built
        self._pins[scope.name] = pins
        bumps = successors(known, pins)
        self._bumps[scope.lock] = [bump for bump in bumps if wheel_files(bump[0], store())]
        self._texts[scope.lock] = _readable(lock_text(pins, source), scope.name)

    def _package_names(self) -> set[str]:
        """The packages that this repository and the wheelhouse know, to guess which one is meant."""
        names = store().packages()
        for scope in locked_scopes(self._fleet):
            names.update(map(name_of, scope.asks.specs))
            names.update(pin.name for pin in self._locks.pins(scope.lock))
        return names

    def _pins_of(self, scopes: Iterable[Scope]) -> tuple[Pin, ...]:
        pins: list[Pin] = []
        for scope in scopes:
            pins += self._pins[scope.name]
        return tuple(pins)

    def _described(self, sources: Sequence[Source], scope: Scope) -> list[Source]:
        """Sources with what builds them."""
        if scope.kind == "wheel" and sources:
            names = sorted({source.name for source in sources})
            raise ResolutionError(
                f"{scope.name} is built with packages that have no wheel: {', '.join(names)}",
                "ask for versions of [build-system] requires that have wheels",
            )
        for source in sources:
            if not source.wheel:
                self._console.say(
                    f"{source.name} {source.version} is built from"
                    f" {source.origin.partition('#')[0]}, in a stage of its own"
                )
        return described(sources, self._machine, store(), self._console)

    def _resolve_systems(self) -> None:
        """Lock Debian packages; each that Debian does not have is a failure."""
        from slimbake.externals.debs import Apt

        # slimbake runs apt in an image of `from` by the Python that it found there just now.
        externals = self._text(EXTERNALS)
        fleet = with_digests(self._fleet, parse_externals(externals), parse_interpreters(externals))
        messages: dict[str, tuple[str, str]] = {}  # unknown package -> message and hint
        failing: list[str] = []
        # Several locks may ask for the same packages.
        answers: dict[object, tuple[str, dict[str, list[str]]]] = {}
        for system in systems(self._fleet):
            name = system.scope.system_lock
            if not self._system_is_due(system):
                continue
            packages, runtime = system.packages, system.scope.runtime
            request = (packages, system.scope.platforms, runtime)
            with self._work.step(name, f"locking {name}: {', '.join(packages)}"):
                if request not in answers:
                    apt = Apt(fleet, runtime, self._machine, self._console)
                    answers[request] = apt.lock(packages, system.scope.platforms)
            lines, unknown = answers[request]
            if not unknown:
                self._texts[name] = SYSTEM_HEADER + lines
                continue
            failing.append(name)
            for package, similar in unknown.items():
                hint = "`apt-cache search WORD` finds packages on a Debian machine"
                if similar:
                    hint = f"did you mean {' or '.join(map(repr, similar))}?"
                messages[package] = (f"Debian has no package '{package}'", hint)
        if failing:
            try:
                refuse_debs(self._fleet.manifest.file, messages)
            except ManifestError as error:
                self._failures |= dict.fromkeys(failing, error)

    def _system_is_due(self, system: System) -> bool:
        """Whether to lock the Debian packages of a scope."""
        name = system.scope.system_lock
        if not self._asked_for(name):
            return False
        if system.scope.image and EXTERNALS in self._failures:
            return False  # that failure comes first
        if self._all or name in self._old:
            return True
        if name not in self._locks.records:  # of sources that this run found
            return True
        return any(deb.name in self._upgrade for deb in self._locks.debs(name))

    def _resolve_externals(self) -> None:
        """Lock external images with the digests that registries give now.

        The digest of a stand-in never enters a lock.
        """
        from slimbake.externals.resolve import in_registry

        builders = {python.builder for python in self._fleet.pythons}
        pinned = []
        with self._work.step("external images"):
            for external in self._fleet.externals:
                digest = self._locks.digests.get((external.name, external.image), "")
                # A new builder makes every layer again, to the same bytes: it moves on demand alone.
                if external.name not in builders or BUILDER in self._upgrade or not digest:
                    image = in_registry(external.image)
                    digest = image.digest if image else ""
                pinned.append(replace(external, digest=digest))
            try:
                self._texts[EXTERNALS] = externals_text(self._with_interpreters(pinned))
            except ManifestError as error:
                self._failures[EXTERNALS] = error

    def _with_interpreters(self, pinned: Sequence[External]) -> list[External]:
        """The externals, each image of `from` with the Python that it has. Raises ManifestError
        where some have none that fits.
        """
        from slimbake.externals.interpreters import UnfitError, find_interpreter

        known = with_digests(self._fleet, self._locks.digests, self._locks.interpreters)
        locked = {external.name: external for external in known.externals}
        unfit: dict[tuple[str, str], tuple[str, str]] = {}
        complete = []
        for external in pinned:
            interpreter = None
            if external.digest and external.digest == locked[external.name].digest:
                interpreter = locked[external.name].interpreter
            if external.version and not interpreter:
                python = next(p for p in self._fleet.pythons if p.version == external.version)
                try:
                    interpreter = find_interpreter(
                        external,
                        known.external(python.image),
                        python.program,
                        self._platforms_on(external.name),
                        self._machine,
                    )
                except UnfitError as error:
                    unfit[external.image, external.version] = error.message, error.hint
                except SetupError as error:
                    self._console.say(
                        f"the Python of {external.image} is not locked: {error.message}"
                    )
            complete.append(replace(external, interpreter=interpreter))
        if unfit:
            refuse_images(self._fleet.manifest.file, unfit)
        return complete

    def _platforms_on(self, external: str) -> tuple[str, ...]:
        """The platforms that bases and services on an image of `from` are built for."""
        owners: tuple[Base | Service, ...] = (*self._fleet.bases, *self._fleet.services)
        platforms: set[str] = set()
        for owner in owners:
            if owner.scope.runtime.external == external:
                platforms.update(owner.scope.platforms)
        return tuple(sorted(platforms))


def _readable(text: str, name: str) -> str:
    """The text of a lock. Raises SetupError where it cannot be read again: an index may call a file
    anything, also what is a line of a lock.
    """
    try:
        parse_pins(text)
    except Fault as error:
        raise SetupError(
            f"the packages of {name} cannot be locked: line {error}",
            "an index has a file of such a name: exclude that version, or use another index",
        ) from None
    return text


def _combined(
    failures: Mapping[str, SlimbakeError], notes: Sequence[str], file: str
) -> SlimbakeError:
    """One error of all locks that failed, by name, each with what to do about it; and notes.

    `file`: the manifest's name.
    """
    problems: dict[Problem, None] = {}
    names: dict[tuple[str, str], list[str]] = {}  # an index may fail every lock in the same words
    others = []
    for name, error in sorted(failures.items()):
        if isinstance(error, ManifestError):
            problems |= dict.fromkeys(error.problems)
            continue
        others.append(error)
        names.setdefault((error.message, error.hint), []).append(name)
    if not others:
        manifest_error = ManifestError.of(file, tuple(problems))
        manifest_error.message = "\n".join((manifest_error.message, *notes))
        return manifest_error
    parts = first_of(tuple(problems), "problems")
    for (message, hint), locks in names.items():
        if all(name in message for name in locks):
            parts.append(message)
        else:
            parts.append(f"{some(locks, _SHOWN)}: {message}")
        if len(names) > 1:
            parts += [f"  {line}" for line in hint.splitlines()]
    kind = type(others[0])
    if problems or any(isinstance(error, ResolutionError) for error in others):
        kind = ResolutionError
    text = "\n".join((*parts, *notes))
    if len(names) == 1:
        return kind(text, others[0].hint)
    return kind(text)


def successors(before: Iterable[Pin], after: Iterable[Pin]) -> Iterator[tuple[Pin, Pin]]:
    """Earlier pins, each with the pin that has another version of its package."""
    known: dict[str, list[Pin]] = {}
    for pin in before:
        known.setdefault(pin.name, []).append(pin)
    for new in after:
        earlier = known.get(new.name, [])
        if any(old.version == new.version for old in earlier):
            continue
        for old in earlier:
            yield old, new


def _measured(pin: Pin, wheels: Store) -> Pin:
    """A pin with the sizes of its wheels that the store holds."""
    sized = []
    for wheel in pin.wheels:
        held = wheels.held(wheel.sha256, wheel.file, wheel.bytes)
        if held:
            wheel = replace(wheel, bytes=held.path.stat().st_size)
        sized.append(wheel)
    return replace(pin, wheels=tuple(sized))
