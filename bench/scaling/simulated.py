"""How long a fleet takes on that many nodes, by slimbake's own split, and how long it has to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slimbake.build.split import Job, jobs, split

from .fleets import Case


@dataclass(frozen=True, slots=True)
class Found:
    """One fleet on one number of nodes. Seconds, and compressed bytes."""

    makespan: float
    bound: float  # the longest chain, and all work on all nodes; whichever is longer
    chain: float
    # also: no job is spread over two nodes, none begins before its bases can be there
    granular: float
    shards: int
    pushed: int
    pulled: int

    @property
    def over(self) -> float:
        """How far the makespan is above the bound, as a part of it."""
        return max(0.0, round(self.makespan / self.bound - 1, 9))


def simulated(case: Case, nodes: int, rate: float = 0.0) -> Found:
    """Play the shards: each begins when its node is free and what it needs is pushed, and pushes
    each target as soon as it is built.

    `rate`: bytes a second at which every node pulls and pushes, 0 = transfers take no time.
    """
    work = {job.name: job for job in jobs(case.plan, case.services, case.seconds)}
    shards = split(case.plan, case.services, case.seconds, nodes)
    free = [0.0] * nodes
    ends: dict[str, float] = {}
    held: list[set[str]] = [set() for _ in range(nodes)]
    pushed = pulled = 0
    # in an order in which each follows what it stands on, and its node's earlier ones
    for shard in shards:
        here = held[shard.node]
        wanted = {need for name in shard.targets for need in _chain(work, name)}
        wanted -= here | {*shard.targets}
        coming = sum(case.bytes[name] for name in wanted)
        here |= wanted
        pulled += coming
        now = max([free[shard.node], *(ends[need] for need in shard.needs)])
        now += coming / rate if rate else 0.0
        for target in shard.targets:
            own = {*work[target].private} - here
            made = {target, *own}
            going = sum(case.bytes.get(name, 0) for name in made)
            here |= made - {*case.services}
            pushed += going
            now += work[target].own + sum(case.seconds[name] for name in own)
            ends[target] = now = now + (going / rate if rate else 0.0)
        free[shard.node] = now
    released = _releases(work, case.seconds)
    # A node that waits may have built what is private already.
    chain = max(released[job.name] + job.own for job in work.values())
    every = {name for job in work.values() for name in job.private}
    total = sum(job.own for job in work.values()) + sum(case.seconds[name] for name in every)
    bound = max(chain, total / nodes)
    return Found(
        makespan=max(free),
        bound=bound,
        chain=chain,
        granular=max(bound, _granular(list(work.values()), released, nodes)),
        shards=len(shards),
        pushed=pushed,
        pulled=pulled,
    )


def _chain(work: dict[str, Job], name: str) -> set[str]:
    """The shared targets that an image stands on, all the way down."""
    found: set[str] = set()
    stack = list(work[name].needs)
    while stack:
        need = stack.pop()
        found.add(need)
        stack += work[need].needs
    return found


def _private(job: Job, seconds: dict[str, float]) -> float:
    return sum(seconds[name] for name in job.private)


def _releases(work: dict[str, Job], seconds: dict[str, float]) -> dict[str, float]:
    """The earliest second at which each job can begin, on as many nodes as one likes."""
    ends: dict[str, float] = {}
    begins = {}
    for job in work.values():  # each after what it stands on
        begins[job.name] = max((ends[need] for need in job.needs), default=0.0)
        # What has to be copied for a base may have been built for the one below it already.
        ends[job.name] = begins[job.name] + job.own + (0.0 if job.needs else _private(job, seconds))
    return begins


def _granular(work: Sequence[Job], released: dict[str, float], nodes: int) -> float:
    """Seconds that whole jobs need: of k times as many jobs as nodes, and one more, some node has
    k+1.
    """
    least = 0.0
    for start in sorted(set(released.values())):
        late = sorted((job.own for job in work if released[job.name] >= start), reverse=True)
        deep = [(place // nodes + 1) * late[place] for place in range(0, len(late), nodes)]
        least = max(least, start + max(sum(late) / nodes, *deep))
    return least
