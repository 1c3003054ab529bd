"""Layers that are found, as bases: arranged, cut into locks, resolved with the rest, written and
read.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.fleets import COMMON, asks, fleet, service, written

from slimbake.config.model import WeightsEntry
from slimbake.fleet import resolve
from slimbake.fleet.layering.bases import PlannedBase, PlannedBases, Stand, as_layer_plan
from slimbake.fleet.resolve import keeps
from slimbake.host.wheels import Wheel
from slimbake.lock.auto import arrange, cut, installing
from slimbake.lock.locks import layers_text, parse_layers
from slimbake.lock.model import Pin, families
from slimbake.plan import plan

MODEL, OTHER = WeightsEntry("path", "models/mini"), WeightsEntry("path", "models/other")
BYTES = {"weights-models-mini": 50_000_000, "weights-models-other": 40_000_000}
WEB, TORCH = ("fastapi", "starlette"), ("torch", "numpy")
SIZES = {
    "fastapi": 100_000,
    "starlette": 70_000,
    "torch": 160_000_000,
    "numpy": 16_000_000,
    "rich": 240_000,
}


def pin(name: str, *via: str, version: str = "1", marker: str = "") -> Pin:
    wheel = Wheel(f"{name}-{version}-py3-none-any.whl", SIZES.get(name, 1000), "a" * 64)
    return Pin(name, version, (wheel,), via or ("",), marker)


SERVICES = (
    service("api", requirements=asks("fastapi", packages=(COMMON,))),
    service("embed", requirements=asks("fastapi", "torch"), weights=MODEL),
    service(
        "rank", requirements=asks("fastapi", "torch", "rich", packages=(COMMON,)), weights=MODEL
    ),
    service("bare"),
)
WRITTEN = written(*SERVICES, torch="cpu")
FLEET = resolve(WRITTEN)
ONLY_WEIGHTS = service("store", weights=MODEL)
CLOSURES = {
    "api": (pin("fastapi"), pin("starlette", "fastapi")),
    "embed": (pin("fastapi"), pin("numpy", "torch"), pin("starlette", "fastapi"), pin("torch")),
    "rank": (
        pin("fastapi"),
        pin("numpy", "torch"),
        pin("rich"),
        pin("starlette", "fastapi", "rich"),
        pin("torch"),
    ),
}


@pytest.fixture(scope="module")
def found() -> PlannedBases:
    """The layers of FLEET, which nobody had found before."""
    return arrange(FLEET, CLOSURES, BYTES, None)


def held(found: PlannedBases, name: str) -> set[str]:
    """All that lies in a service's layers."""
    return {item for group in as_layer_plan(found).chain(name).groups for item in group}


@pytest.mark.parametrize("limit", [None, 5, 6, 8])
def test_every_service_has_what_it_needs_and_nothing_else(limit: int | None) -> None:
    limited = fleet(*SERVICES, torch="cpu", layer_limit=limit)
    found = arrange(limited, CLOSURES, BYTES, None)
    assert held(found, "api") == {*WEB, "common"}
    assert held(found, "embed") == {*WEB, *TORCH, "weights-models-mini"}
    assert held(found, "rank") == {*WEB, *TORCH, "rich", "common", "weights-models-mini"}
    assert {stand.service for stand in found.stands} == {"api", "embed", "rank"}
    assert max(len(chain.groups) for chain in as_layer_plan(found).chains) <= (limit or 10) - 3


def test_the_locks_of_bases_and_services_are_the_closures_again(found: PlannedBases) -> None:
    locks = cut(FLEET, found, CLOSURES)
    assert {name for name in locks if name.startswith("base-")} == {
        f"base-{b.name}" for b in installing(FLEET, found)
    }
    for name, closure in CLOSURES.items():
        stand = next((stand for stand in found.stands if stand.service == name), None)
        on = [f"base-{base.name}" for base in found.below(stand.base)] if stand else []
        pins = [pin.name for layer in (*on, name) for pin in locks.get(layer, ())]
        assert sorted(pins) == sorted(pin.name for pin in closure)


def test_no_service_is_named_in_a_base_s_lock_by_what_it_alone_needs(found: PlannedBases) -> None:
    locks = cut(FLEET, found, CLOSURES)
    (starlette,) = (pin for pins in locks.values() for pin in pins if pin.name == "starlette")
    assert starlette.via == ("fastapi",)  # and not rich, which rank has for itself


def test_a_package_on_one_platform_for_one_and_on_all_for_another_is_on_all_in_their_base() -> None:
    amd64, arm64 = 'platform_machine == "x86_64"', 'platform_machine == "aarch64"'
    both = fleet(service("a", requirements=asks("numpy")), service("b", requirements=asks("numpy")))
    for markers, expected in (
        (("", amd64), ""),
        ((amd64, ""), ""),
        ((arm64, amd64), f"{arm64} or {amd64}"),
        ((amd64, amd64), amd64),
    ):
        closures = {
            name: (pin("numpy", marker=each),) for name, each in zip("ab", markers, strict=True)
        }
        locks = cut(both, arrange(both, closures, {}, None), closures)
        assert [each.marker for each in locks["base-numpy"]] == [expected]


def test_the_versions_of_two_platforms_lie_in_one_layer() -> None:
    both = (pin("numpy", version="1", marker="m"), pin("numpy", version="2", marker="n"))
    made = fleet(*(service(name, requirements=asks("numpy")) for name in "ab"))
    closures = {"a": both, "b": both}
    found = arrange(made, closures, {}, None)
    assert [base.items for base in found.bases] == [frozenset({"numpy"})]
    assert cut(made, found, closures) == {
        "base-numpy": (replace(both[0], via=()), replace(both[1], via=())),
        "a": (),
        "b": (),
    }


def test_the_fleet_is_as_if_a_person_had_written_the_bases(found: PlannedBases) -> None:
    made = resolve(WRITTEN, found)
    model = {(each.source, each.value) for base in made.bases if (each := base.weights)}
    assert model == {(MODEL.source, MODEL.value)}
    assert None in {base.weights for base in made.bases}
    assert {base.layer.torch for base in made.bases} == {"cpu"}
    bare, before = made.service("bare"), FLEET.service("bare")
    assert replace(bare, layer=before.layer) == before
    assert (bare.layer.asks, bare.layer.chain) == (before.layer.asks, ())
    embed = made.service("embed")
    assert embed.layer.asks.specs == ()
    assert embed.base and embed.base.weights == embed.weights
    assert embed.weights and (embed.weights.source, embed.weights.value) in model
    targets = plan(made)
    assert not targets.target("embed").recipe.install  # type: ignore[union-attr]
    assert not any(recipe.own_weights for target in targets.targets if (recipe := target.recipe))
    (holder,) = (b for b in made.bases if b.weights)
    assert not targets.target(f"base-{holder.name}").online, "weights alone ask no index"


@pytest.mark.parametrize("torch", ["cpu", "cu128", "pypi", None])
def test_every_layer_that_installs_learns_where_wheels_of_torch_come_from(
    torch: str | None,
) -> None:
    manifest = written(
        service("a", requirements=asks("rich")),
        service("b", requirements=asks("rich", "torch")),
        torch=torch,
    )
    closures = {"a": (pin("rich"),), "b": (pin("rich"), pin("torch"))}
    settled = resolve(manifest, arrange(resolve(manifest), closures, {}, None))
    made = plan(settled)
    said = {t.name: t.recipe.install.torch for t in made.targets if t.recipe and t.recipe.install}
    assert said == dict.fromkeys(("base-rich", "b"), torch if torch in ("cpu", "cu128") else "")
    assert {family.torch for family in families(settled)} == {
        torch if torch in ("cpu", "cu128") else ""
    }


def test_a_service_that_wants_no_optimisation_has_none_in_the_layers_below_it(
    found: PlannedBases,
) -> None:
    asking = tuple(replace(s, optimize=False) if s.name == "embed" else s for s in SERVICES)
    whole = resolve(written(*asking, torch="cpu"), found)
    on = {base.layer.name: {*base.layer.services} for base in whole.bases if base.layer.installs}
    assert {base.layer.name for base in whole.bases if not base.optimize} >= {
        name for name, services in on.items() if "embed" in services
    }
    assert [s.name for s in whole.services if not s.optimize] == ["embed"]


def test_a_service_with_weights_alone_has_a_place_and_a_lock_that_is_empty() -> None:
    more = fleet(*SERVICES, ONLY_WEIGHTS, torch="cpu")
    found = arrange(more, CLOSURES, BYTES, None)
    assert held(found, "store") == {"weights-models-mini"}
    assert cut(more, found, CLOSURES)["store"] == ()


def test_a_new_service_moves_nothing(found: PlannedBases) -> None:
    new = service("new", requirements=asks("fastapi", "sixth"), weights=OTHER)
    more = fleet(*SERVICES, new, torch="cpu")
    after = arrange(more, CLOSURES | {"new": (*CLOSURES["api"], pin("sixth"))}, BYTES, found)
    assert after.bases == found.bases
    assert {stand for stand in after.stands if stand.service != "new"} == set(found.stands)


def test_the_order_of_services_changes_nothing(found: PlannedBases) -> None:
    turned = fleet(*SERVICES[::-1], torch="cpu")
    other = arrange(turned, CLOSURES, BYTES, None)
    assert layers_text(found) == layers_text(other)
    closures = dict(reversed(CLOSURES.items()))
    assert cut(FLEET, found, CLOSURES) == cut(turned, other, closures)


def test_services_that_are_gone_and_bases_of_theirs_are_left_out() -> None:
    base = PlannedBase("rich", "", frozenset({"rich"}))
    deeper = PlannedBase("torch", "rich", frozenset({"torch"}))
    found = PlannedBases(
        (base, deeper),
        (Stand("api", "rich", ()), Stand("gone", "torch", ()), Stand("bare", "torch", ())),
    )
    assert keeps(FLEET, found) == PlannedBases((base,), (Stand("api", "rich", ()),))
    assert [each.name for each in resolve(WRITTEN, found).bases] == ["rich"]


def test_a_limit_that_no_plan_keeps_raises() -> None:
    with pytest.raises(ValueError, match="no plan has at most 1 layers for items"):
        arrange(fleet(*SERVICES, torch="cpu", layer_limit=4), CLOSURES, BYTES, None)


NAMES = st.from_regex(r"[a-z0-9]{1,3}(-[a-z0-9]{1,3})?", fullmatch=True)
GROUPS = st.frozensets(NAMES, max_size=3)


@st.composite
def found_ones(draw: st.DrawFn) -> PlannedBases:
    made: list[PlannedBase] = []
    for name in draw(st.lists(NAMES, unique=True, max_size=4)):
        made.append(
            PlannedBase(
                name, draw(st.sampled_from(["", *(base.name for base in made)])), draw(GROUPS)
            )
        )
    stands = (
        Stand(
            name,
            draw(st.sampled_from(["", *(base.name for base in made)])),
            draw(st.lists(GROUPS).map(tuple)),
        )
        for name in sorted(draw(st.lists(NAMES, unique=True, max_size=4)))
    )
    return PlannedBases(tuple(made), tuple(stands))


@given(found_ones())
def test_what_is_written_is_read_again(found: PlannedBases) -> None:
    assert parse_layers(layers_text(found)) == found


@given(
    st.text()
    | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)).map(str)
)
def test_all_else_that_stands_there_is_no_layers(content: str) -> None:
    assert parse_layers(content) is None
