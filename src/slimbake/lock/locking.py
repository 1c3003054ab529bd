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
from slimbake.console.tables import some
from slimbake.console.tracker import Tracker
from slimbake.errors import ManifestError, Problem, SetupError, SlimbakeError, first_of
from slimbake.fleet import resolve, with_digests
from slimbake.fleet.model import Base, External, Fleet, Scope, Service
from slimbake.host.files import exclusively
from slimbake.host.machine import Machine
from slimbake.host.sources import Source
from slimbake.host.uv import NoSolution
from slimbake.inside.locked import Fault
from slimbake.lock.asked import asked_of, asks, stale, systems, weights_texts
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
        self._bumps: dict[
            str, list[tuple[Pin, Pin]]
        ] = {}  # by lock: one that the wheelhouse has, and its successor
        self._sources = {
            source.origin: source for sources in self._locks.sources.values() for source in sources
        }
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
        externals = self._asked_for(EXTERNALS) and (
            EXTERNALS in self._old or self._all or BUILDER in self._upgrade
        )
        self._work.expect(scope.name for scope in scopes if self._moving(scope) is not None)
        self._work.expect(["external images"] if externals else ())
        above = [scope for scope in scopes if scope.kind == "service"]
        for scope in scopes:
            if scope.kind != "service":
                self._attempt(scope, self._resolve)
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            for done in [pool.submit(self._attempt, scope, self._resolve) for scope in above]:
                done.result()
        self._refuse(scopes)
        self._build()
        self._measure()
        for name, text in weights_texts(self._fleet).items():
            if self._asked_for(name):
                self._texts[name] = text
        if externals:
            with self._work.step("external images"):
                try:
                    self._texts[EXTERNALS] = self._externals()
                except ManifestError as error:
                    self._failures[EXTERNALS] = error
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
            if self._asked_for(name) and name not in {*self._failures, *self._waiting}:
                records[name] = LockRecord(asked, text_digest(self._text(name)))
                continue
            left.add(name)
            if name in self._locks.records:
                records[name] = self._locks.records[name]
        # What is locked later takes its versions from bases that are gone, too.
        kept = {*left, *self._gone} if left else left
        return write_locks(self._fleet.root, self._texts, records, kept)

    def _asked_for(self, name: str) -> bool:
        """Whether a lock is to be brought up to date."""
        return self._only is None or name in self._only

    def _refuse(self, scopes: Sequence[Scope]) -> None:
        """Hold what was resolved to the builds of torch that the manifest asks for."""
        owners: tuple[Base | Service, ...] = (*self._fleet.bases, *self._fleet.services)
        owner_of = {owner.scope.name: owner for owner in owners}
        in_use = torch_builds(locked_scopes(self._fleet), self._pins)

        for scope in [scope for scope in scopes if scope.name in self._pins]:
            try:
                if owner := owner_of.get(scope.name):
                    refuse_cuda(self._fleet, owner, self._pins)
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
        bumped = {
            name: [*dict.fromkeys(new for _, new in bumps)] for name, bumps in self._bumps.items()
        }
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

    def _build(self) -> None:
        """Resolve what builds the wheels of packages that have none."""
        sources = {}
        users: dict[str, list[Scope]] = {}  # by the origin of the sources
        for scope in locked_scopes(self._fleet):
            text = self._texts.get(scope.lock)
            pins = self._locks.pins(scope.lock) if text is None else parse_pins(text)
            built = {pin.built for pin in pins if pin.built}
            known = sorted(self._sources[origin] for origin in built if origin in self._sources)
            if known:
                sources[scope.lock] = tuple(known)
            if self._asked_for(scope.lock):
                for origin in built:
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

    def _measure(self) -> None:
        """Give each wheel its size where the index says none: whether a wheel is a layer of its own
        depends on it. These wheels are fetched: a bake needs them anyway.
        """
        unsized = {}
        for scope in locked_scopes(self._fleet):
            pins = parse_pins(self._texts.get(scope.lock, ""))
            if scope.kind in ("base", "service") and any(pin.bytes is None for pin in pins):
                unsized[scope.lock] = tuple(pin for pin in pins if pin.wheels)
        if not unsized:
            return
        wheels = store()
        texts = {lock_file(name): lock_text(pins) for name, pins in unsized.items()}
        fetch(self._fleet, Locks(texts), self._machine, wheels, self._console, only=unsized)
        for name in unsized:
            pins = tuple(_measured(pin, wheels) for pin in parse_pins(self._texts[name]))
            self._texts[name] = lock_text(pins)

    def _moving(self, scope: Scope, source: Source | None = None) -> set[str] | None:
        """The packages of a scope that may move; None where its lock is fresh as it is.
        `source`: what its wheel is built from.
        """
        names = {pin.name for pin in self._known(scope)}
        movable = names if self._all else names & self._upgrade
        record = self._locks.records.get(scope.lock)
        fresh = record is not None and scope.lock not in self._broken
        if source:
            return (
                None if source_of(self._text(scope.lock)) == source and not movable else {*movable}
            )
        same = record and record.asked == asked_of(scope, self._fleet, self._text)
        return None if fresh and same and not movable else {*movable}

    def _known(self, scope: Scope) -> tuple[Pin, ...]:
        """What the locks pin of a scope by now: of a service, also what bases that are gone had; of
        a new base, what services on it have. A later pin of a package counts before an earlier one.
        """
        names = [scope.lock]
        if scope.kind == "service":
            names = [*self._gone, scope.lock]
        elif scope.kind == "base" and scope.lock not in self._locks.records:
            names = [*self._gone, *scope.services, scope.lock]
        return tuple(pin for name in names for pin in self._locks.pins(name))

    def _resolve(self, scope: Scope, source: Source | None = None) -> None:
        """Resolve a scope if it is stale. `source`: what its wheel is built from."""
        moving = self._moving(scope, source)
        if moving is None:
            self._pins[scope.name] = self._locks.pins(scope.lock)
            return
        refuse_unknown_indexes(scope, self._machine.packages)
        known = self._known(scope)
        agreed = [part for part in settled(scope) if part not in scope.chain]
        with self._work.step(scope.name, f"locking {scope.name}"):
            try:
                pins, sources = resolve_scope(
                    scope,
                    self._fleet.root,
                    self._machine,
                    [pin for pin in known if pin.name not in moving],
                    Taken(self._pins_of(scope.chain), self._pins_of(agreed)),
                    self._console,
                    dict(self._sources),
                )
            except NoSolution as error:
                raise no_solution(scope, str(error), self._package_names()) from None
        for built in self._described(sources, scope):
            self._sources[built.origin] = built
        self._pins[scope.name] = pins
        self._bumps[scope.lock] = [
            (old, new) for old, new in successors(known, pins) if wheel_files(old, store())
        ]
        self._texts[scope.lock] = _readable(lock_text(pins, source), scope.name)

    def _package_names(self) -> set[str]:
        """The packages that this repository and the wheelhouse know, to guess which one is meant."""
        names = store().packages()
        for scope in locked_scopes(self._fleet):
            names.update(map(name_of, scope.asks.specs))
            names.update(pin.name for pin in self._locks.pins(scope.lock))
        return names

    def _pins_of(self, scopes: Iterable[Scope]) -> tuple[Pin, ...]:
        return tuple(pin for scope in scopes for pin in self._pins[scope.name])

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

        # The apt of an image of `from` runs by the Python that was found in it just now.
        externals = self._text(EXTERNALS)
        fleet = with_digests(self._fleet, parse_externals(externals), parse_interpreters(externals))
        unknown: dict[str, list[str]] = {}  # package -> what may be meant
        failing: list[str] = []
        answers: dict[
            object, tuple[str, dict[str, list[str]]]
        ] = {}  # the wheels of a scope ask alike
        for system in systems(self._fleet):
            name = system.scope.system_lock
            if not self._asked_for(name):
                continue
            if system.scope.image and EXTERNALS in self._failures:
                continue  # that failure comes first
            locked = {deb.name for deb in self._locks.debs(name)}
            new = name not in self._locks.records  # of what builds sources that were found just now
            if new or name in self._old or self._all or locked & self._upgrade:
                packages, runtime = system.packages, system.scope.runtime
                request = (packages, system.scope.platforms, runtime)
                with self._work.step(name, f"locking {name}: {', '.join(packages)}"):
                    if request not in answers:
                        apt = Apt(fleet, runtime, self._machine, self._console)
                        answers[request] = apt.lock(packages, system.scope.platforms)
                lines, similar = answers[request]
                if similar:
                    unknown |= similar
                    failing.append(name)
                else:
                    self._texts[name] = SYSTEM_HEADER + lines
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
            try:
                refuse_debs(self._fleet.manifest.file, messages)
            except ManifestError as error:
                self._failures |= dict.fromkeys(failing, error)

    def _externals(self) -> str:
        """With the digests that registries give now. A stand-in's never enters a lock."""
        from slimbake.externals.resolve import in_registry

        builders = {python.builder for python in self._fleet.pythons}
        pinned = []
        for external in self._fleet.externals:
            digest = self._locks.digests.get((external.name, external.image), "")
            # A new builder makes every layer again, to the same bytes: it moves on demand alone.
            if external.name not in builders or BUILDER in self._upgrade or not digest:
                image = in_registry(external.image)
                digest = image.digest if image else ""
            pinned.append(replace(external, digest=digest))
        return externals_text(self._with_interpreters(pinned))

    def _with_interpreters(self, pinned: Sequence[External]) -> Iterator[External]:
        """The externals, each image of `from` with the Python that it has. Raises ManifestError
        where some have none that fits.
        """
        from slimbake.externals.interpreters import UnfitError, find_interpreter

        known = with_digests(self._fleet, self._locks.digests, self._locks.interpreters)
        before = {external.name: external for external in known.externals}
        unfit: dict[tuple[str, str], tuple[str, str]] = {}
        complete = []
        for external in pinned:
            same = external.digest and external.digest == before[external.name].digest
            interpreter = before[external.name].interpreter if same else None
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
        return iter(complete)

    def _platforms_on(self, external: str) -> tuple[str, ...]:
        """What is built for on an image of `from`."""
        owners: tuple[Base | Service, ...] = (*self._fleet.bases, *self._fleet.services)
        standing = [owner.scope for owner in owners if owner.scope.runtime.external == external]
        return tuple(sorted({platform for scope in standing for platform in scope.platforms}))


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
        named = all(name in message for name in locks)
        parts.append(message if named else f"{some(locks, _SHOWN)}: {message}")
        if len(names) > 1:
            parts += [f"  {line}" for line in hint.splitlines()]
    hint = others[0].hint if len(names) == 1 else ""
    unsolved = problems or any(isinstance(error, ResolutionError) for error in others)
    kind = ResolutionError if unsolved else type(others[0])
    return kind("\n".join((*parts, *notes)), hint)


def successors(before: Iterable[Pin], after: Iterable[Pin]) -> Iterator[tuple[Pin, Pin]]:
    """Pins that were, each with the other version that there is of its package now."""
    known: dict[str, list[Pin]] = {}
    for pin in before:
        known.setdefault(pin.name, []).append(pin)
    for new in after:
        earlier = known.get(new.name, [])
        if new.version not in {old.version for old in earlier}:
            yield from ((old, new) for old in earlier)


def _measured(pin: Pin, wheels: Store) -> Pin:
    """A pin with the sizes of its wheels that the store holds."""
    sized = []
    for wheel in pin.wheels:
        held = wheels.held(wheel.sha256, wheel.file, wheel.bytes)
        sized.append(replace(wheel, bytes=held.path.stat().st_size) if held else wheel)
    return replace(pin, wheels=tuple(sized))
