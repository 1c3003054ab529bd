"""A fleet's build on several nodes: split by cost, baked at once, shared through the registry."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from slimbake.build.bake import NodeLost
from slimbake.build.split import Shard
from slimbake.console import Console
from slimbake.errors import BuildError, CheckError, SlimbakeError

Run = Callable[[Shard, str, Mapping[str, str]], Mapping[str, str]]
"""Bakes a shard on a builder, given the images that lie in the registry; gives those that it pushed
there itself.
"""

APART = 1.1
"""Seconds between two builds that begin on one builder: the kubernetes driver's `random` draws by
the second's number, so that builds of one second are all given the same pod (buildx,
driver/kubernetes/podchooser).
"""


@dataclass(slots=True)
class _State:
    """What all threads know; guarded by `changed`."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    images: dict[str, str] = field(default_factory=dict)  # target -> image, by digest
    done: set[int] = field(default_factory=set)
    failed: dict[int, SlimbakeError] = field(default_factory=dict)
    dead: set[int] = field(default_factory=set)  # nodes
    began: dict[str, float] = field(default_factory=dict)  # builder -> when its last build did
    stopped: bool = False


def run_shards(
    shards: tuple[Shard, ...],
    nodes: tuple[str, ...],
    run: Run,
    cancel: Callable[[], None],
    console: Console,
    apart: float = APART,
) -> dict[str, str]:
    """Bake the shards, each as soon as what it stands on is pushed, and give all images that were
    pushed.

    `nodes`: the builder of each node; two may have the same. A shard whose node is lost is run once
    more, on another node if there is one. Interrupted, it calls `cancel` until every run has ended.
    Raises BuildError or CheckError with all that failed, once nothing more can be built.
    """
    state = _State()
    count = max((shard.node for shard in shards), default=-1) + 1

    def work(node: int) -> None:
        for shard in shards:
            if shard.node == node and _may_begin(state, shard):
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
    if state.failed:
        kind = (
            CheckError
            if all(isinstance(each, CheckError) for each in state.failed.values())
            else BuildError
        )
        words = "\n".join(
            dict.fromkeys(str(state.failed[number]) for number in sorted(state.failed))
        )
        raise kind(words)
    return state.images


def _may_begin(state: _State, shard: Shard) -> bool:
    """Wait for what a shard stands on; false where that failed."""
    with state.changed:
        state.changed.wait_for(
            lambda: state.stopped or state.done | set(state.failed) >= set(shard.after)
        )
        broken = [number for number in shard.after if number in state.failed]
        if broken and not state.stopped:
            why = state.failed[broken[0]]
            state.failed[shard.number] = type(why)(why.message, why.hint)
            state.changed.notify_all()
        return not broken and not state.stopped


def _one(
    state: _State, shard: Shard, nodes: tuple[str, ...], run: Run, console: Console, apart: float
) -> None:
    """Bake a shard, elsewhere if its node is lost, and tell the others how it ended."""
    error: SlimbakeError | None = None
    tried: list[int] = []
    while len(tried) < 2 and not state.stopped:
        node = _alive(state, shard.node, nodes, tried)
        tried.append(node)
        _apart(state, nodes[node], apart)
        where = nodes[node] or "the builder in use"
        console.say(f"shard {shard.number} on {where}: {', '.join(shard.targets)}")
        begun = time.monotonic()
        try:
            images = run(shard, nodes[node], dict(state.images))
        except NodeLost as lost:
            with state.changed:
                state.dead.add(node)
            error = BuildError(
                f"shard {shard.number} ({', '.join(shard.targets)}): {where} is lost\n{lost}"
            )
            console.say(
                f"shard {shard.number}: {where} is lost"
                + ("; once more, elsewhere" if len(tried) == 1 else "")
            )
            continue
        except SlimbakeError as failed:
            error = failed
            break
        with state.changed:
            state.images.update(images)
            state.done.add(shard.number)
            state.changed.notify_all()
        console.say(f"shard {shard.number} on {where}: done ({time.monotonic() - begun:.1f} s)")
        return
    with state.changed:
        state.failed[shard.number] = error or BuildError(f"shard {shard.number} was not built")
        state.changed.notify_all()


def _alive(state: _State, planned: int, nodes: tuple[str, ...], tried: list[int]) -> int:
    """The planned node, or the next that is not lost and was not tried; where all are, the planned
    one again.
    """
    with state.changed:
        for step in range(len(nodes)):
            node = (planned + step) % len(nodes)
            if node not in state.dead and node not in tried:
                return node
    return planned


def _apart(state: _State, builder: str, apart: float) -> None:
    """Wait until a builder's last build began long enough ago."""
    with state.changed:
        now = time.monotonic()
        begin = max(now, state.began.get(builder, now - apart) + apart)
        state.began[builder] = begin
    time.sleep(begin - now)
