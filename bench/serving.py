"""What services take and give while they run: torch beside ONNX beside int8, in one run, taking
turns.

bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables
from bench.serve.figures import NODE, Round, summed
from bench.serve.load import Load, count, load, tool
from bench.serve.memory import memory
from bench.serve.running import filled, network, serving
from bench.serve.workloads import Workload, workloads
from bench.setting import MANIFEST, ROOT
from bench.timed import say

from slimbake import docker, project
from slimbake.errors import SlimbakeError, UsageError
from slimbake.plan.model import Plan, Running
from slimbake.release.place import reference

CLIENTS = (1, 4, 16)
ONLY = "as it is"  # the side of a service without variants


def main() -> int:
    """Measure, print the tables, write the numbers."""
    # containers go with us, however we are ended
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    known = workloads()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("services", nargs="*", default=[], help=f"of {', '.join(known)} [all]")
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="SIDE=IMAGE",
        help=(
            "a side, the first is what others are compared with; for one service [the manifest's"
            " variants]"
        ),
    )
    parser.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="SERVICE:SIDE=IMAGE",
        help="one more side of a service, after the manifest's variants",
    )
    parser.add_argument(
        "--tag",
        default=os.environ.get("TAG", "latest"),
        help="of the manifest's images [%(default)s]",
    )
    parser.add_argument(
        "--registry", default=os.environ.get("REGISTRY", ""), help="[the manifest's]"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="containers of each side [%(default)s]"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=5.0,
        help="that each load takes on the first side, about [%(default)s]",
    )
    parser.add_argument(
        "--warm", type=int, default=20, help="requests before, one after the other [%(default)s]"
    )
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS, help="[1 4 16]")
    arguments = parser.parse_args()
    chosen = tuple(arguments.services) or tuple(known)
    besides = [word.partition(":")[0] for word in arguments.beside]
    if unknown := [name for name in (*chosen, *besides) if name not in known]:
        parser.error(f"nothing is known to ask of {', '.join(unknown)}")
    if min(arguments.rounds, arguments.seconds, arguments.warm, *arguments.clients) < 1 or (
        arguments.image and len(chosen) != 1
    ):
        parser.error(
            "at least one round, second and client, and one service where images are named"
        )
    try:
        plan = project.load(ROOT / MANIFEST).plan
        by = tool()
        sides = {name: _sides(plan, name, arguments) for name in chosen}
        found = {name: _measured(plan, name, sides, known[name], arguments) for name in chosen}
    except SlimbakeError as error:
        say(f"{error.message}\n{error.hint}".rstrip())
        return error.exit_code
    return _report(found, by, arguments)


def _sides(plan: Plan, service: str, arguments: argparse.Namespace) -> dict[str, str]:
    """The images of a service by side, each by its id. Raises SetupError for one that the engine
    does not have.
    """
    if arguments.image:
        named = dict(_named(word) for word in arguments.image)
    else:
        variants = [each for each in plan.services if each.host == service]
        named = {
            each.variant or ONLY: _reference(plan, each.service, arguments) for each in variants
        }
    named |= (
        _named(word.removeprefix(f"{service}:"))
        for word in arguments.beside
        if word.startswith(f"{service}:")
    )
    return docker.image_ids(named)


def _named(word: str) -> tuple[str, str]:
    side, equals, image = word.partition("=")
    if not (side and equals and image):
        raise UsageError(
            f"--image {word} names no side and image",
            "--image onnx-int8=registry.example.com/x:latest",
        )
    return side, image


def _reference(plan: Plan, service: str, arguments: argparse.Namespace) -> str:
    return reference(plan.target(service), arguments.registry or plan.registry, arguments.tag)


def _measured(
    plan: Plan,
    service: str,
    sides: Mapping[str, dict[str, str]],
    asked: Sequence[Workload],
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """Rounds of all sides of a service, one container after the other; who begins takes turns too."""
    own = sides[service]
    rounds: dict[str, list[Round]] = {side: [] for side in own}
    counts: dict[tuple[str, int], int] = {}
    with network() as net, _needed(plan, service, net, arguments):
        for turn in range(arguments.rounds):
            for side in own if turn % 2 == 0 else reversed(own):
                made = _round(_running(plan, service), own[side], net, asked, counts, arguments)
                rounds[side].append(made)
                rss = made.loaded.rss / 1e6 if made.loaded else float("nan")
                say(
                    f"{service}, {side}, {turn + 1} of {arguments.rounds}: {made.start:.2f} s,"
                    f" {rss:.1f} MB"
                )
    return {"sides": summed(rounds, own)}


@contextlib.contextmanager
def _needed(plan: Plan, service: str, net: str, arguments: argparse.Namespace) -> Iterator[None]:
    """What a service asks in turn: hybrid looks through documents of the storage service."""
    if service != "hybrid":
        yield
        return
    storage, embedding = _running(plan, "storage"), _running(plan, "embedding")
    names = {
        each.service: _reference(plan, each.service, arguments) for each in (storage, embedding)
    }
    images = docker.image_ids(names)
    with filled(storage, images["storage"], embedding, images["embedding"], net):
        yield


def _running(plan: Plan, service: str) -> Running:
    return next(each for each in plan.services if each.service == service)


def _round(
    service: Running,
    image: str,
    net: str,
    asked: Sequence[Workload],
    counts: dict[tuple[str, int], int],
    arguments: argparse.Namespace,
) -> Round:
    """One container. `counts`: by request and clients how many there are, set by the first
    container of all.
    """
    with serving(service, image, net, asked[0]) as server:
        first = memory(server.container)
        loads: dict[str, dict[int, Load]] = {}
        for each in asked:
            alone = load(server.port, each.path, each.body, 1, arguments.warm)
            for clients in arguments.clients:
                requests = counts.setdefault(
                    (each.name, clients), count(arguments.seconds, clients, alone.p50)
                )
                found = load(server.port, each.path, each.body, clients, requests)
                loads.setdefault(each.name, {})[clients] = found
        return Round(server.start, first, memory(server.container), loads)


def _report(found: Mapping[str, Any], by: str, arguments: argparse.Namespace) -> int:
    """The tables on stdout, all numbers in a file."""
    for service, of in found.items():
        print(
            tables.markdown(f"{service}: a container", _CONTAINER, list(_containers(of["sides"])))
        )
        print(tables.markdown(f"{service}: load by {by}", _LOAD, list(_loads(of["sides"]))))
    print(f"{tables.machine()}; the load comes from the same machine.")
    setting = {"tool": by, "rounds": arguments.rounds, "seconds": arguments.seconds, "node": NODE}
    say(f"all numbers: {tables.save('serving', {**setting, 'services': found}, stamped=False)}")
    return 0


_CONTAINER = (
    "side",
    "first answer s",
    "ratio",
    "RSS MB then",
    "ratio",
    "after load",
    "ratio",
    "in 16 GiB",
)
_LOAD = ("request, clients, side", "median ms", "99 % ms", "answers/s", "ratio")


def _containers(sides: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, side in sides.items():
        start, first, loaded = side["start"], side["first"]["rss"], side["loaded"]["rss"]
        yield (
            name,
            tables.seconds(start["median"]),
            tables.ratio(start["ratio"], 1),
            tables.megabytes(first["median"]),
            tables.ratio(first["ratio"], 1),
            tables.megabytes(loaded["median"]),
            tables.ratio(loaded["ratio"], 1),
            tables.UNMEASURED if side["replicas"] is None else str(side["replicas"]),
        )


def _loads(sides: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for request, of in next(iter(sides.values()))["workloads"].items():
        for clients in of:
            for name, side in sides.items():
                found = side["workloads"][request][clients]
                yield (
                    f"{request}, {clients}, {name}",
                    *(f"{found[key]['median'] * 1e3:.1f}" for key in ("p50", "p99")),
                    f"{found['throughput']['median']:.2f}",
                    tables.ratio(found["throughput"]["ratio"], 1),
                )


if __name__ == "__main__":
    sys.exit(main())
