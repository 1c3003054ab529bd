"""Who needs a package and why it lies where it does; what conflicts, and
the ways out.
"""

from dataclasses import replace
from typing import Any

import pytest

from slimbake.config.model import Requirements
from slimbake.fleet import Scope
from slimbake.fleet.model import Python
from slimbake.host.wheels import marker
from slimbake.lock.explain import (
    ResolutionError,
    explanation,
    holders,
    refuse_torch,
)
from slimbake.lock.model import Pin

PYTHON = Python("3.13", "3.13")


def base(name: str, *specs: str, on: tuple[Scope, ...] = ()) -> Scope:
    return Scope(
        name=name, kind="base", lock=name, python=PYTHON, chain=on, asks=Requirements(specs)
    )


def own(name: str, *specs: str, on: tuple[Scope, ...] = (), file: str = "") -> Scope:
    """The scope of a service; `file`: what lists its requirements, beside a lock."""
    asked = Requirements(specs, files=(file, "uv.lock") if file else ())
    return Scope(name=name, kind="service", lock=name, python=PYTHON, chain=on, asks=asked)


WEB = base("base-web", "frame")
ML = base("base-ml", "torch", on=(WEB,))
RANK = own("rank", "scipy", on=(WEB, ML))
API = own("api", "scipy", on=(WEB,), file="services/api/requirements.txt")
SCOPES = (WEB, ML, RANK, API)


def pin(name: str, *via: str, version: str = "1") -> Pin:
    return Pin(name, version, (), tuple(sorted(via)))


LOCKED = {
    "base-web": (pin("core", "frame", "mid"), pin("frame", ""), pin("mid", "frame")),
    "base-ml": (pin("torch", ""), pin("numpy", "torch")),
    "rank": (pin("scipy", ""),),
    "api": (pin("numpy", "scipy"), pin("scipy", "")),
}


def test_a_package_s_holders_are_given_with_the_ways_from_a_requirement_down_to_it() -> None:
    ((scope, _, chains),) = holders("core", SCOPES, LOCKED)
    assert (scope, chains) == (WEB, [("frame", "core"), ("frame", "mid", "core")])
    assert [(each.name, ways) for each, _, ways in holders("numpy", SCOPES, LOCKED)] == [
        ("base-ml", [("torch", "numpy")]),
        ("api", [("scipy", "numpy")]),
    ]
    assert not [*holders("absent", SCOPES, LOCKED)]


def test_who_needs_a_package_on_one_platform_only_is_named_too() -> None:
    pins = (
        replace(pin("core", "fast"), marker=marker("linux/amd64")),
        replace(pin("core", "slow", version="2"), marker=marker("linux/arm64")),
        *(pin(name, "") for name in ("fast", "slow")),
        pin("deep", "core"),
    )
    ((_, _, chains),) = holders("deep", [API], {"api": pins})
    assert chains == [("fast", "core", "deep")]
    found = {each.version: ways for _, each, ways in holders("core", [API], {"api": pins})}
    assert found == {"1": [("fast", "core")], "2": [("slow", "core")]}


CIRCLE = {"tool": (pin("a", "", "c"), pin("b", "a"), pin("c", "b"))}
PARENT = {
    "base-web": (pin("frame", ""),),
    "base-ml": (pin("deep", "frame"),),
    "rank": (),
    "api": (),
}


@pytest.mark.parametrize(
    ("name", "scopes", "locked", "chain"),
    [
        ("deep", SCOPES, PARENT, ("frame", "deep")),
        ("c", [own("tool", "a")], CIRCLE, ("a", "b", "c")),
        ("a", [own("tool", "a")], CIRCLE, ("a",)),
        ("a", [own("tool")], {"tool": (pin("a", "atlas-common"),)}, ("atlas-common", "a")),
    ],
    ids=["through a parent", "in a circle", "asked for", "from a package of the repository"],
)
def test_a_way_begins_at_a_requirement(
    name: str, scopes: Any, locked: dict[str, tuple[Pin, ...]], chain: tuple[str, ...]
) -> None:
    assert next(holders(name, scopes, locked))[2] == [chain]


def test_of_many_ways_the_shortest_are_shown_and_the_others_counted() -> None:
    users = [f"user{number}" for number in range(9)]
    alone = [own("tool", *users)]
    shown = explanation(
        "a", alone, {"tool": (pin("a", *users), *(pin(user, "") for user in users))}
    )
    assert shown.count("-> a") == 6 and "  and 3 more ways" in shown


def test_torch_below_a_service_on_onnx_runtime_is_refused_with_what_requires_it() -> None:
    with pytest.raises(ResolutionError) as caught:
        refuse_torch([replace(RANK, onnx=True), API], LOCKED)
    assert "rank: torch in base-ml, required by torch" in caught.value.message
