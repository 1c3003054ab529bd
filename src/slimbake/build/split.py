"""Which node builds what, and in which order: a plan and its costs in, shards out. Pure, and the
same at each call.

List scheduling, the longest first: the node that is free first takes, of what can begin by then,
that on which the longest chain of work hangs. Without anything shared that is Graham's LPT: at most
4/3 of the best (SIAM J. Appl. Math. 17, 1969). No node waits for all bases: what stands on `web` is
built while another node builds `ml`.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field

from slimbake.plan.model import CHECKS, Plan, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One bake: what it builds, checks and pushes, each as soon as it is built."""

    number: int  # from 1, in an order in which each follows those that it stands on
    node: int  # from 0
    wave: int  # from 1: the longest chain of shards that it stands on, and itself
    targets: tuple[str, ...]  # as they are planned one after the other
    needs: tuple[str, ...]  # the targets of other shards that must be pushed before it begins
    begins: float  # seconds after the first, as it is planned
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is built in one piece: a shared target, or a service with its checks and what it has to
    itself.
    """

    name: str
    order: int  # from 0, each after those that it stands on
    shared: bool
    own: float  # seconds
    # wheels, weights as they came, what is exported on: built on every node that needs them
    private: tuple[str, ...]
    needs: tuple[str, ...]  # the shared targets that are contexts of all this


@dataclass(slots=True)
class _Node:
    free: float = 0.0
    holds: set[str] = field(default_factory=set)
    jobs: list[tuple[Job, float, float]] = field(default_factory=list)  # begins, seconds


def split(
    plan: Plan,
    services: tuple[str, ...],
    costs: Mapping[str, float],
    nodes: int,
    linked: bool = True,
) -> tuple[Shard, ...]:
    """Deal out these services and all that they stand on to that many nodes.

    `costs`: seconds of every target. Every service is in exactly one shard, and so is all that is
    shared. `linked`: whether one bake may build a base and the services that use it. A builder that
    gives each target of a bake to another machine would build the base on each of them.
    """
    work = jobs(plan, services, costs)
    placed, ends = _schedule(work, costs, nodes)
    drafts = [
        draft for number, node in enumerate(placed) for draft in _drafts(number, node, ends, linked)
    ]
    drafts.sort(key=lambda draft: (draft.begins, draft.node))
    return _numbered(drafts)


def jobs(plan: Plan, services: tuple[str, ...], costs: Mapping[str, float]) -> tuple[Job, ...]:
    """What there is to do, each after those that it needs."""
    checks: dict[str, list[str]] = {}
    for target in plan.targets:
        if target.kind in CHECKS:
            checks.setdefault(target.service, []).append(target.name)
    targets = {target.name: target for target in plan.targets}
    order = {name: number for number, name in enumerate(targets)}
    shared = {target.name for target in plan.targets if target.shared}
    wanted = [
        target
        for target in plan.needed(plan.with_checks(services))
        if target.shared or target.name in services
    ]
    # what only a check stands on comes after its service in a plan
    wanted.sort(key=lambda target: not target.shared)
    made: list[Job] = []
    for target in wanted:
        own = [target.name, *checks.get(target.name, ())]
        below = sorted(_below(targets, own, shared), key=order.__getitem__)
        made.append(
            Job(
                name=target.name,
                order=len(made),
                shared=target.shared,
                own=sum(costs[name] for name in own),
                private=tuple(name for name in below if name not in shared),
                needs=tuple(name for name in below if name in shared),
            )
        )
    return tuple(made)


def _below(targets: Mapping[str, Target], names: list[str], shared: set[str]) -> set[str]:
    """What these targets stand on, down to what is taken from the registry and not below it."""
    found: set[str] = set()
    stack = list(names)
    while stack:
        for need in targets[stack.pop()].needs:
            if need not in found and need not in names:
                found.add(need)
                stack += [need] if need not in shared else []
    return found


def _schedule(
    work: tuple[Job, ...], costs: Mapping[str, float], count: int
) -> tuple[list[_Node], dict[str, float]]:
    nodes = [_Node() for _ in range(count)]
    ranks = _ranks(work, costs, count)
    waiting = {job.name: len(job.needs) for job in work}
    above: dict[str, list[Job]] = {}
    for job in work:
        for need in job.needs:
            above.setdefault(need, []).append(job)
    ready = [(-ranks[job.name], job.order, job) for job in work if not job.needs]
    heapq.heapify(ready)
    free = [(0.0, number) for number in range(count)]
    running: list[tuple[float, int, Job]] = []  # shared targets, by their end
    ends: dict[str, float] = {}
    left = len(work)
    while left:
        time, number = heapq.heappop(free)
        while running and running[0][0] <= time:
            for job in above.get(heapq.heappop(running)[2].name, ()):
                waiting[job.name] -= 1
                if not waiting[job.name]:
                    heapq.heappush(ready, (-ranks[job.name], job.order, job))
        if not ready:
            heapq.heappush(free, (running[0][0], number))
            continue
        job, node = heapq.heappop(ready)[2], nodes[number]
        seconds = job.own + sum(costs[name] for name in job.private if name not in node.holds)
        node.holds.update(job.private)
        node.jobs.append((job, time, seconds))
        node.free = ends[job.name] = time + seconds
        if job.name in above:
            heapq.heappush(running, (node.free, job.order, job))
        heapq.heappush(free, (node.free, number))
        left -= 1
    return nodes, ends


def _ranks(work: tuple[Job, ...], costs: Mapping[str, float], count: int) -> dict[str, float]:
    """Seconds from the begin of each job to the end of all that hangs on it, on that many nodes."""
    ranks: dict[str, float] = {}
    longest: dict[str, float] = {}
    hangs: dict[str, float] = {}
    for job in reversed(work):  # what stands on a target follows it
        seconds = job.own + sum(costs[name] for name in job.private)
        ranks[job.name] = seconds + max(
            longest.get(job.name, 0.0), hangs.get(job.name, 0.0) / count
        )
        for need in job.needs:
            longest[need] = max(longest.get(need, 0.0), ranks[job.name])
            hangs[need] = hangs.get(need, 0.0) + seconds
    return ranks


@dataclass(slots=True)
class _Draft:
    node: int
    begins: float
    seconds: float
    jobs: list[Job]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(job.name for job in self.jobs)


def _drafts(number: int, node: _Node, ends: Mapping[str, float], linked: bool) -> list[_Draft]:
    """A node's jobs as bakes: those are one that wait for no other node once its first begins."""
    drafts: list[_Draft] = []
    for job, begins, seconds in node.jobs:
        last = drafts[-1] if drafts else None
        if (
            last
            and (linked or not (job.shared or last.jobs[0].shared))
            and all(need in last.names or ends[need] <= last.begins for need in job.needs)
        ):
            last.jobs.append(job)
            last.seconds += seconds
        else:
            drafts.append(_Draft(number, begins, seconds, [job]))
    return drafts


def _numbered(drafts: list[_Draft]) -> tuple[Shard, ...]:
    numbers = {job.name: number for number, draft in enumerate(drafts, 1) for job in draft.jobs}
    waves: dict[int, int] = {}
    shards = []
    for number, draft in enumerate(drafts, 1):
        needs = {need for job in draft.jobs for need in job.needs} - {*draft.names}
        waves[number] = 1 + max((waves[numbers[need]] for need in needs), default=0)
        shards.append(
            Shard(
                number=number,
                node=draft.node,
                wave=waves[number],
                targets=draft.names,
                needs=tuple(sorted(needs)),
                begins=draft.begins,
                seconds=draft.seconds,
            )
        )
    return tuple(shards)
