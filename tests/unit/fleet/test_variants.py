"""Variants become bases and services of their own, before anything else sees them."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.fleets import asks, below, fleet, plan_of, service

from slimbake.cli.common import select
from slimbake.config.model import BaseEntry, Budget, Requirements, VariantEntry
from slimbake.errors import UsageError
from slimbake.fleet import Fleet
from slimbake.lock.model import locked_scopes, settled

CPU = VariantEntry("cpu", torch="cpu")
CUDA = VariantEntry("cuda", torch="cu128", requirements=asks("triton"))
WEB = BaseEntry("web", requirements=asks("fastapi"))
ML = BaseEntry("ml", extends="web", requirements=asks("torch"), variants=(CPU, CUDA))


def bases(found: Fleet) -> dict[str, tuple[str, str]]:
    """The scope of each base: what it stands on, and its build of torch."""
    return {base.scope.name: (below(base.scope), base.scope.torch) for base in found.bases}


def stand(found: Fleet) -> list[tuple[str, str]]:
    """The services, each with the scope that its own stands on."""
    return [(each.name, below(each.scope)) for each in found.services]


def made(*services: Any, by: tuple[BaseEntry, ...] = (WEB, ML), **said: Any) -> Fleet:
    return fleet(*services, bases=by, **said)


FAMILIES = {
    "base-web": ("", "cpu"),
    "base-web-cuda": ("", "cu128"),
    "base-ml": ("base-web", "cpu"),
    "base-ml-cuda": ("base-web-cuda", "cu128"),
}


def test_another_build_of_torch_is_a_family_of_its_own_down_to_its_root() -> None:
    found = made(service("api", base="web"), service("rank", base="ml", requirements=asks("scipy")))
    assert bases(found) == FAMILIES
    takes = {scope.name: [each.name for each in settled(scope)] for scope in locked_scopes(found)}
    assert takes["rank"] == ["base-web", "base-ml"]
    assert takes["rank-cuda"] == ["base-web-cuda", "base-ml-cuda"]


def test_a_variant_without_torch_shares_what_it_stands_on() -> None:
    plain, full = VariantEntry("plain"), VariantEntry("full", requirements=asks("scipy"))
    ml = BaseEntry("ml", extends="web", requirements=asks("numpy"), variants=(plain, full))
    found = made(service("rank", base="ml"), by=(WEB, ml))
    assert bases(found) == {
        "base-web": ("", "cpu"),
        "base-ml": ("base-web", "cpu"),
        "base-ml-full": ("base-web", "cpu"),
    }


def test_a_base_above_one_with_variants_may_add_to_them() -> None:
    cuda = VariantEntry("cuda", requirements=asks("cupy"))
    vision = BaseEntry("vision", extends="ml", variants=(cuda,))
    found = made(service("see", base="vision"), by=(WEB, ML, vision))
    assert bases(found)["base-vision-cuda"] == ("base-ml-cuda", "cu128")
    asked = {b.name: b.scope.asks.specs for b in found.bases if "vision" in b.name}
    assert asked == {"vision": (), "vision-cuda": ("cupy",)}
    assert stand(found) == [("see", "base-vision"), ("see-cuda", "base-vision-cuda")]


def test_a_service_says_what_it_has_otherwise_in_a_variant_of_its_base() -> None:
    own = VariantEntry(
        "cuda",
        requirements=asks("b"),
        env=(("MODE", "cuda"), ("DEVICE", "0")),
        platforms=("linux/amd64",),
        budget=Budget(compressed=9),
    )
    rank = service(
        "rank",
        base="ml",
        requirements=asks("a"),
        env=(("MODE", "plain"), ("KEEP", "1")),
        budget=Budget(1, 2),
        variants=(own,),
    )
    first, second = made(rank).services
    assert (first.scope.asks, first.env) == (asks("a"), rank.env)
    assert (first.platforms, first.budget) == ((), Budget(1, 2))
    assert (second.scope.asks, second.platforms) == (asks("a", "b"), ("linux/amd64",))
    assert second.budget == Budget(1, 9)
    assert second.env == (("MODE", "cuda"), ("KEEP", "1"), ("DEVICE", "0"))


def test_a_service_s_own_variants_get_copies_of_its_bases_only_for_another_torch() -> None:
    base = BaseEntry("ml", extends="web", requirements=asks("torch"), torch="cpu")
    rank = service("rank", base="ml", variants=(CPU, CUDA))
    fat = VariantEntry("fat", requirements=asks("rich"))
    slim = service("slim", base="ml", variants=(VariantEntry("thin"), fat))
    found = made(rank, slim, by=(WEB, base))
    assert bases(found) == FAMILIES
    assert stand(found) == [
        ("rank", "base-ml"),
        ("rank-cuda", "base-ml-cuda"),
        ("slim", "base-ml"),
        ("slim-fat", "base-ml"),
    ]


def test_a_default_that_differs_from_the_family_stands_on_copies_too() -> None:
    base = BaseEntry("ml", requirements=asks("torch"), torch="cpu")
    found = made(service("rank", base="ml", variants=(CUDA, CPU)), by=(base,))
    assert stand(found) == [("rank", "base-ml-cuda"), ("rank-cpu", "base-ml")]
    groups = {group.name: group.targets for group in plan_of(found).groups}
    assert groups["bases"] == ("runtime", "base-ml", "base-ml-cuda")


def test_files_that_variants_are_read_from_are_in_no_image() -> None:
    listed = Requirements(("idna",), files=("services/own/requirements.txt",))
    fat = Requirements(("rich",), files=("services/own/fat.txt",))
    own, more = service("own", requirements=listed), VariantEntry("fat", requirements=fat)
    found = plan_of(made(replace(own, variants=(VariantEntry("thin"), more)), by=()))
    for name in ("own", "own-fat"):
        assert {"fat.txt", "requirements.txt"} <= set(found.target(name).ignore)


def test_a_service_without_a_base_is_a_family_for_each_variant() -> None:
    found = made(service("own", requirements=asks("torch"), variants=(CPU, CUDA)), by=(WEB,))
    assert [(scope.name, scope.torch) for scope in locked_scopes(found)] == [
        ("base-web", "cpu"),
        ("own", "cpu"),
        ("own-cuda", "cu128"),
    ]


def test_the_cpu_build_is_what_a_family_has_where_nothing_is_said() -> None:
    base = BaseEntry("ml", requirements=asks("torch"))
    variants = (CPU, VariantEntry("gpu", torch="cuda"))
    found = made(service("rank", base="ml", variants=variants), by=(base,))
    assert stand(found) == [("rank", "base-ml"), ("rank-gpu", "base-ml-gpu")]
    assert [base.scope.torch for base in found.bases] == ["cpu", "cuda"]


def test_a_service_without_a_base_says_its_build_of_torch_before_the_fleet_does() -> None:
    gpu, other = service("gpu", requirements=asks("torch"), torch="cuda"), service("other")
    variants = (VariantEntry("new"), VariantEntry("old", torch="cu126"))
    both = replace(gpu, name="both", variants=variants)
    found = made(gpu, other, both, by=(), torch="cu128")
    assert {each.name: each.scope.torch for each in found.services} == {
        "gpu": "cuda",
        "other": "cu128",
        "both": "cuda",
        "both-old": "cu126",
    }


FLEET = plan_of(
    made(
        service("api", base="web", smoke="s.py"),
        service("rank", base="ml", smoke="s.py", port=8000),
        registry="r.io",
    )
)


@pytest.mark.parametrize(
    ("names", "chosen"), [((), ("api", "rank")), (("rank-cuda", "api"), ("api", "rank-cuda"))]
)
def test_services_are_chosen_by_name(names: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    assert select(FLEET, names) == chosen


def test_a_choice_that_is_none_is_reported() -> None:
    with pytest.raises(UsageError) as caught:
        select(FLEET, ("rank-gpu",))
    assert str(caught.value) == "there is no service 'rank-gpu' in services.yaml"
    assert caught.value.hint == "did you mean 'rank'?"
