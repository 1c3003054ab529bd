"""Finds what else can go from the layers of services, and proposes it as passes. See
docs/how-to/own-passes.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from slimbake.catalogue.model import Applied
from slimbake.errors import CheckError
from slimbake.proof import units
from slimbake.proof.ddmin import Ask, ddmin
from slimbake.proof.oracle import Oracle, Start
from slimbake.proof.propose import Proposal, SearchedLayer, applied, pins, proposals
from slimbake.proof.trial import Subject
from slimbake.proof.units import SearchedFleet, Unit

ROUNDS = 3  # in which less is opened, since less is there
DEEPEST = 6  # folders
HOW_TO_FIX = "what it alone uses may be among what is proposed, unless --keep GLOB names it"
HINTS = 5  # errors that are read for what is missing, which saves some twenty trials each


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How far a search goes."""

    by: str = "file"  # or "directory": whole folders only
    small: int = 8_000  # bytes of source; smaller modules stay in folders of which most are used
    least: int = 500_000  # bytes; what weighs less is not taken away on its own
    packages: tuple[str, ...] = ()  # only these; () = all of the layers
    keep: tuple[str, ...] = ()  # globs of what is never in question
    seconds: float = math.inf  # then what was not asked stays, and what has held is proposed


@dataclass(frozen=True, slots=True)
class SearchStep:
    """How far a search is."""

    doing: str
    gone: int  # bytes that can go, as far as is known
    at_most: int  # more questions in this part of the search


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found."""

    proposals: tuple[Proposal, ...]
    services: tuple[str, ...]
    before: int  # bytes below the prefix, of all these services together, each file once
    after: int
    used: int  # bytes that are opened, loaded or mapped in the end
    guarded: int  # bytes of licences and metadata that are not opened
    whole: bool = True  # all was asked; else time ran out


def search(
    oracle: Oracle,
    layers: Sequence[SearchedLayer],
    starts: Mapping[str, Start],
    options: Options,
    tell: Callable[[SearchStep], None],
    warn: Callable[[str], None],
) -> Found:
    """Search the images of an oracle's subjects together: what no smoke of theirs needs, layer by
    layer.

    `tell` gets how far it is, `warn` of each command that was not seen to its end. Raises
    CheckError where a smoke does not hold as it is, or where a service that answered no longer
    does.
    """
    return _Search(oracle, layers, starts, options, tell, warn).run()


class _Search:
    def __init__(
        self,
        oracle: Oracle,
        layers: Sequence[SearchedLayer],
        starts: Mapping[str, Start],
        options: Options,
        tell: Callable[[SearchStep], None],
        warn: Callable[[str], None],
    ) -> None:
        self.oracle, self.layers, self.options, self.tell, self.warn = (
            oracle,
            layers,
            options,
            tell,
            warn,
        )
        self.starts = dict(starts)
        self.unseen: tuple[str, ...] = ()  # services: their commands may use more than was seen
        self.services = tuple(subject.service for subject in oracle.subjects)
        self.fleet = SearchedFleet({}, frozenset(), frozenset(), frozenset(), frozenset())
        self.gone: frozenset[str] = frozenset()
        self.so_far = self.gone  # with what has held of what is being asked
        self.order = oracle.subjects
        # files that cannot go, and from which weight on that was asked
        self.decided: dict[frozenset[str], float] = {}
        self.answering: frozenset[str] = frozenset()
        self.until = time.monotonic() + options.seconds
        self.late = False  # something was not asked

    def run(self) -> Found:
        self.fleet = self._look(())
        self._unopened()
        self._opened()
        # what has gone opened files too: transformers reads every model that is there
        for _ in range(ROUNDS):
            before = self.gone
            self.fleet = self._look(self._passes(self.gone))
            self._unopened()
            if self.gone == before:
                break
        return self._found()

    def _look(self, passes: Sequence[Applied]) -> SearchedFleet:
        self._tell("tracing the smokes and the commands", 0)
        smokes = self.oracle.traced(passes)
        commands = self.oracle.traced(passes, self.starts) if self.starts else {}
        if failed := [service for service, used in smokes.items() if not used.held]:
            raise CheckError(
                f"the smoke of {', '.join(failed)} failed",
                "`slimbake smoke` shows what it says",
            )
        answering = frozenset(service for service, used in commands.items() if used.held)
        if lost := self.answering - answering:
            raise CheckError(
                f"{', '.join(sorted(lost))} no longer answers without what its smoke does not need",
                "a smoke that uses what the service serves with would find it; or --keep GLOB",
            )
        if not passes:  # the one that uses most is asked first: the others need little besides
            self.order = tuple(
                sorted(self.oracle.subjects, key=lambda each: -smokes[each.service].bytes)
            )
            for service in [service for service, used in commands.items() if used.untraced]:
                del self.starts[service]
            self.unseen = tuple(service for service, used in commands.items() if used.unseen)
            for service in self.unseen:
                self.warn(
                    f"the command of {service} was not seen to its end: {commands[service].unseen};"
                    f" {HOW_TO_FIX}"
                )
        self.answering = answering
        looked = (*smokes.values(), *commands.values())
        opened, run = ([tuple(used.used) for used in each.values()] for each in (smokes, commands))
        return units.fleet((used.files for used in looked), opened, run)

    def _unopened(self) -> None:
        """Take away what nothing opens: all of it, or all but what is needed all the same."""
        open_ = units.unopened(self.fleet, by=self.options.by, small=self.options.small)
        candidates = self._in_question(open_ - self.gone)
        named = self._named(candidates)
        self._minimise(
            "files that nothing opens", units.single(self.fleet, candidates - named), weigh=False
        )
        self._minimise("files that an error names", units.single(self.fleet, named), weigh=False)

    def _named(self, candidates: frozenset[str]) -> frozenset[str]:
        """Of files that nothing opens, those that errors name when they are not there: to be tried
        by themselves.
        """
        found: frozenset[str] = frozenset()
        for _ in range(HINTS if candidates and not self._out_of_time() else 0):
            passes = self._passes(self.gone | (candidates - found))
            if all(self.oracle.holds([passes])):
                break
            self._tell("asking which files are missing", 0)
            said = "".join(used.said for used in self.oracle.traced(passes).values())
            if not (more := units.named(said, candidates - found)):
                break
            found |= more
        return found

    def _opened(self) -> None:
        """Take away what is opened and not needed: packages, then folders, then files."""
        self._minimise(
            "packages",
            units.worthwhile(units.packages(self.fleet, self._left()), self.options.least),
        )
        for depth in range(1, DEEPEST + 1):
            every = units.folders(self.fleet, self._left(), depth)
            self._minimise(f"folders, {depth} deep", units.worthwhile(every, self.options.least))
            # Where most of the bytes went, small ones are worth a question each: what stays is a
            # list to be kept.
            self._minimise(f"small folders, {depth} deep", units.rest(every, self.gone), least=0)
        if self.options.by == "file":
            files = (
                unit
                for unit in units.single(self.fleet, self._left())
                if unit.bytes >= self.options.least
            )
            self._minimise("files", tuple(files))

    def _left(self) -> frozenset[str]:
        """The files that a smoke uses and that are in question."""
        return self._in_question(self.fleet.used - self.gone)

    def _in_question(self, names: Iterable[str]) -> frozenset[str]:
        from slimbake.inside.globs import matcher

        kept = matcher(self.options.keep)
        allowed = set(
            self.options.packages
            or (package for layer in self.layers for package in layer.packages)
        )
        found = ((name, self.fleet.modules[name]) for name in names)
        return frozenset(
            name
            for name, module in found
            if module.package in allowed
            and not module.guarded
            and name not in self.fleet.shielded
            and not kept(name)
        )

    def _minimise(
        self, doing: str, found: Sequence[Unit], weigh: bool = True, least: int | None = None
    ) -> None:
        least = (self.options.least if least is None else least) if weigh else 0
        # A package may be one folder, and a folder one file: what could not go by one name cannot
        # go by the other.
        found = [unit for unit in found if self.decided.get(unit.files, least + 1) > least]
        if not found:
            return
        before, every = self.gone, frozenset(name for unit in found for name in unit.files)
        by = (lambda unit: unit.bytes) if weigh else (lambda _: 1)

        def without(kept: Iterable[Unit]) -> frozenset[str]:
            return before | every.difference(*(unit.files for unit in kept))

        def asking(subjects: Sequence[Subject], always: Sequence[Unit]) -> Ask[Unit]:
            missed = 0  # questions that were answered with no

            def ask(questions: Sequence[tuple[Unit, ...]]) -> list[bool]:
                nonlocal missed
                if self._out_of_time():
                    return [False] * len(questions)
                each = [without((*always, *kept)) for kept in questions]
                answers = self.oracle.holds([self._passes(gone) for gone in each], subjects)
                missed += answers.count(False)
                for gone, held in zip(each, answers, strict=True):
                    self.so_far = gone if held and len(gone) > len(self.so_far) else self.so_far
                left = sum(not unit.files <= self.so_far for unit in found)
                self._tell(doing, max(1, 2 * left - missed) if weigh else 0)
                return answers

            return ask

        self._tell(doing, 2 * len(found) if weigh else 0)
        kept: tuple[Unit, ...] = ()
        for (
            subject
            # what one service needs holds with more: the next is asked for what it needs besides
        ) in self.order:
            rest = [unit for unit in found if unit not in kept] if kept else found
            kept += ddmin(rest, asking([subject], kept), weight=by, least=least)
            self.gone = self.so_far = without(kept)
        if self._out_of_time():
            self.gone = self.so_far = self._held(before)
            return
        if len(self.order) > 1 and not all(self.oracle.holds([self._passes(self.gone)])):
            # more did harm: so all at once
            kept = ddmin(found, asking(self.order, ()), weight=by, least=least)
        self.gone = without(kept)
        self.decided |= {unit.files: 0 if unit.bytes >= least else least for unit in kept}

    def _held(self, before: frozenset[str]) -> frozenset[str]:
        """What can go where no time is left: all that was not kept, if every service bears it."""
        return self.gone if all(self.oracle.holds([self._passes(self.gone)])) else before

    def _out_of_time(self) -> bool:
        self.late = self.late or time.monotonic() > self.until
        return self.late

    def _tell(self, doing: str, at_most: int) -> None:
        self.tell(SearchStep(doing, self.fleet.bytes(self.so_far), at_most))

    def _passes(self, gone: Collection[str]) -> tuple[Applied, ...]:
        """What a trial applies: just what would be proposed."""
        return applied((each.proposed for each in self._proposals(gone)), pins(self.fleet))

    def _proposals(self, gone: Collection[str]) -> tuple[Proposal, ...]:
        fleet = replace(self.fleet, uncompiled=self._in_question(self.fleet.uncompiled))
        who = self.services, self.unseen
        return tuple(
            each for layer in self._layers() for each in proposals(fleet, gone, layer, *who)
        )

    def _layers(self) -> tuple[SearchedLayer, ...]:
        only = self.options.packages
        return tuple(
            SearchedLayer(
                layer.name, tuple(name for name in layer.packages if not only or name in only)
            )
            for layer in self.layers
        )

    def _found(self) -> Found:
        if not all(self.oracle.holds([self._passes(self.gone)])):
            raise CheckError(
                "what was found fails in a last trial", "a smoke may not answer the same each time"
            )
        made, modules = self._proposals(self.gone), self.fleet.modules.values()
        before = sum(module.bytes for module in modules)
        opened = self.fleet.used | self.fleet.served
        guarded = sum(
            module.bytes for module in modules if module.guarded and module.name not in opened
        )
        after = before - sum(each.bytes for each in made)
        return Found(
            made, self.services, before, after, self.fleet.weight, guarded, whole=not self.late
        )
