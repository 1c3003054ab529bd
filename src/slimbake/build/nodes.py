"""A fleet's build on several nodes: split by cost, baked at once, shared through the registry."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from slimbake.build.bake import NodeLost
from slimbake.build.split import Shard
from slimbake.console import Console
from slimbake.errors import BuildError, SlimbakeError

T = TypeVar("T")
Images = Mapping[str, str]
"""Target -> REPOSITORY@DIGEST."""
Tell = Callable[[Images], None]
Run = Callable[[Shard, str, Images, Tell], tuple[Images, T]]
"""Bakes a shard on a builder, given the images that lie in the registry, and tells of those that it
pushes there while it builds others; gives all of its own, and all else that there is to say.
"""

APART = 1.1
"""Seconds between two builds that begin on one builder: the kubernetes driver's `random` draws by
the second's number, so that builds of one second are all given the same pod (buildx,
driver/kubernetes/podchooser).
"""


@dataclass(frozen=True, slots=True)
class DoneShard(Generic[T]):
    """A shard that came to its end."""

    shard: Shard
    node: str
    images: Images
    result: T


@dataclass(slots=True)
class _State(Generic[T]):
    """What all threads know; guarded by `changed`."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    done: dict[int, DoneShard[T]] = field(default_factory=dict)
    failed: dict[int, SlimbakeError] = field(default_factory=dict)
    dead: set[int] = field(default_factory=set)  # nodes
    began: dict[str, float] = field(default_factory=dict)  # builder -> when its last build did
    images: dict[str, str] = field(default_factory=dict)  # that were pushed, by any shard
    stopped: bool = False

    def pushed(self, images: Images) -> None:
        with self.changed:
            self.images |= images
            self.changed.notify_all()


def run_shards(
    shards: tuple[Shard, ...],
    nodes: tuple[str, ...],
    run: Run[T],
    cancel: Callable[[], None],
    console: Console,
    apart: float = APART,
) -> tuple[tuple[DoneShard[T], ...], tuple[SlimbakeError, ...]]:
    """Bake the shards, each as soon as what it uses is pushed; give those that were, and what
    failed of the others, once nothing more can be built.

    `nodes`: the builder of each node; two may have the same. A shard whose node is lost is run once
    more, on another node if there is one. Interrupted, it calls `cancel` until every run has ended.
    """
    state: _State[T] = _State()
    owners = {name: shard.number for shard in shards for name in shard.targets}
    count = max((shard.node for shard in shards), default=-1) + 1

    def work(node: int) -> None:
        for shard in shards:
            if shard.node == node and _may_begin(state, shard, owners):
                _one(state, shard, nodes, run, console, apart)

    with ThreadPoolExecutor(max(count, 1), thread_name_prefix="shard") as pool:
        running = [pool.submit(work, node) for node in range(count)]
        try:
            for each in wait(running, return_when=FIRST_EXCEPTION).done:
                each.result()
        except BaseException:
            with state.changed:
                state.stopped = True
                state.changed.notify_all()
            while wait(running, timeout=0.2).not_done:
                cancel()  # again, since one may only just have begun
            raise
    failures = {str(state.failed[number]): state.failed[number] for number in sorted(state.failed)}
    return tuple(state.done[number] for number in sorted(state.done)), tuple(failures.values())


def _may_begin(state: _State[T], shard: Shard, owners: Mapping[str, int]) -> bool:
    """Wait for what a shard stands on; false where that failed."""

    def lacking() -> list[int]:
        return [owners[need] for need in shard.needs if need not in state.images]

    with state.changed:
        state.changed.wait_for(
            lambda: state.stopped or {*state.done, *state.failed} >= {*lacking()}
        )
        broken = [number for number in lacking() if number in state.failed]
        if broken and not state.stopped:
            why = state.failed[broken[0]]
            state.failed[shard.number] = type(why)(why.message, why.hint)
            state.changed.notify_all()
        return not broken and not state.stopped


def _one(
    state: _State[T],
    shard: Shard,
    nodes: tuple[str, ...],
    run: Run[T],
    console: Console,
    apart: float,
) -> None:
    """Bake a shard, elsewhere if its node is lost, and tell the others how it ended."""
    error: SlimbakeError | None = None
    tried: list[int] = []
    while len(tried) < 2 and not state.stopped:
        node = _alive(state, shard.node, nodes, tried)
        tried.append(node)
        _wait_apart(state, nodes[node], apart)
        where = nodes[node] or "the builder in use"
        console.say(f"shard {shard.number} on {where}: {', '.join(shard.targets)}")
        begun = time.monotonic()
        with state.changed:
            there = dict(state.images)
        try:
            images, result = run(shard, nodes[node], there, state.pushed)
        except NodeLost as lost:
            with state.changed:
                state.dead.add(node)
            error = BuildError(
                f"shard {shard.number} ({', '.join(shard.targets)}): {where} is lost\n{lost}"
            )
            again = "; once more, elsewhere" if len(tried) == 1 else ""
            console.say(f"shard {shard.number}: {where} is lost{again}")
            continue
        except SlimbakeError as failed:
            error = failed
            break
        with state.changed:
            state.images |= images
            state.done[shard.number] = DoneShard(shard, nodes[node], images, result)
            state.changed.notify_all()
        seconds = time.monotonic() - begun
        console.say(f"shard {shard.number} on {where}: done ({seconds:.1f} s)")
        return
    with state.changed:
        state.failed[shard.number] = error or BuildError(f"shard {shard.number} was not built")
        state.changed.notify_all()


def _alive(state: _State[T], planned: int, nodes: tuple[str, ...], tried: list[int]) -> int:
    """The planned node, or the next that is not lost and was not tried; where all are, the planned
    one again.
    """
    with state.changed:
        for step in range(len(nodes)):
            node = (planned + step) % len(nodes)
            if node not in state.dead and node not in tried:
                return node
    return planned


def _wait_apart(state: _State[T], builder: str, apart: float) -> None:
    """Wait until a builder's last build began long enough ago."""
    with state.changed:
        now = time.monotonic()
        begin = max(now, state.began.get(builder, now - apart) + apart)
        state.began[builder] = begin
    time.sleep(begin - now)
