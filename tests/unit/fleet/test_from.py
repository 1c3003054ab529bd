"""What a fleet makes of `from`: which image each of its own starts from, and as whom it runs."""

import pytest
from tests.unit.fleets import NO_LOCKS, asks, fleet, planned, service

from slimbake.config.model import BaseEntry, VariantEntry, WeightsEntry
from slimbake.config.naming import from_image, from_runtime
from slimbake.fleet import with_digests
from slimbake.fleet.interpreter import Interpreter
from slimbake.fleet.model import Fleet
from slimbake.layers.rules import NO_COMPILER, Rules
from slimbake.lock.model import Pin
from slimbake.plan.graph import layers
from slimbake.plan.model import home_in_memory

CUDA = "nvidia/cuda:12.6.3-runtime-ubuntu24.04"
CUDA_TARGET = "runtime_nvidia-cuda-12-6-3-runtime-ubuntu24-04_abb28e0e"


def found(user: str, home: str = "", version: str = "3.11.9", compilers: str = "") -> Interpreter:
    return Interpreter(
        path="/usr/bin/python3.11",
        version=version,
        libc="glibc-2.39",
        machine="x86_64",
        user=user,
        home=home,
        compilers=compilers,
    )


def runtimes(whole: Fleet) -> dict[str, str]:
    return {scope.name: scope.runtime.name for scope in whole.scopes.values()}


def test_a_name_tells_people_the_image_and_no_two_have_one() -> None:
    assert from_runtime(CUDA).rpartition("_")[0] == CUDA_TARGET.rpartition("_")[0]
    assert from_image(CUDA).startswith("from_nvidia-cuda-12-6-3-runtime-ubuntu24-04_")
    assert from_runtime("a/b:1") != from_runtime("a-b:1")


def test_what_stands_on_a_base_starts_from_its_image() -> None:
    whole = fleet(
        service("api", base="admin"),
        service("alone"),
        service("own", image="mine:1"),
        bases=(BaseEntry("web", image=CUDA), BaseEntry("admin", extends="web")),
    )
    cuda, mine = from_runtime(CUDA), from_runtime("mine:1")
    assert runtimes(whole) == {
        "base-web": cuda,
        "base-admin": cuda,
        "api": cuda,
        "alone": "runtime",
        "own": mine,
    }
    assert [runtime.name for runtime in whole.runtimes] == ["runtime", cuda, mine]
    assert whole.external(from_image(CUDA)).image == CUDA


def test_an_image_is_a_runtime_once_for_each_python() -> None:
    variants = (VariantEntry("old"), VariantEntry("new", python="3.13"))
    whole = fleet(service("api", image=CUDA, variants=variants))
    assert runtimes(whole) == {
        "api": from_runtime(CUDA),
        "api-new": f"{from_runtime(CUDA)}-3_13",
    }
    images = {each.name: each.version for each in whole.externals if each.image == CUDA}
    assert images == {from_image(CUDA): "3.11", f"{from_image(CUDA)}-3_13": "3.13"}


def test_models_are_exported_on_slimbakes_own_runtime() -> None:
    whole = fleet(
        service("rank", base="ml", weights=WeightsEntry("package", "a-model"), inference="onnx"),
        bases=(BaseEntry("ml", image=CUDA, requirements=asks("torch"), torch="cpu"),),
    )
    assert runtimes(whole)["base-ml-export"] == "runtime"
    assert runtimes(whole)["rank"] == from_runtime(CUDA)


@pytest.mark.parametrize(
    ("interpreter", "user", "home"),
    [
        (None, "65532:65532", "/home/app"),
        (found("0:0", "/root"), "65532:65532", "/home/app"),
        (found("1234:1234", "/home/worker"), "1234:1234", "/home/worker"),
        (found("1234:1234"), "1234:1234", "/home/app"),
        (found("1234:1234", "/app"), "1234:1234", "/home/app"),
        (found("1234:1234", "/usr"), "1234:1234", "/home/app"),
        (found("1234:1234", "/home/worker", "3.13.5"), "65532:65532", "/home/app"),
    ],
)
def test_a_service_without_a_user_runs_as_the_image_s_own_but_never_as_root(
    interpreter: Interpreter | None, user: str, home: str
) -> None:
    asked = fleet(service("api", image=CUDA), service("own", image=CUDA, user="1:1"), service("c"))
    known = {(from_image(CUDA), CUDA): interpreter} if interpreter else {}
    api, own, other = with_digests(asked, {}, known).services
    assert (api.user, api.home, home_in_memory(api)) == (user, home, (home,))
    assert (own.user, own.home) == ("1:1", "/home/app")
    assert (other.user, other.home) == ("65532:65532", "/home/nonroot")


def test_the_layers_of_an_image_of_the_user_s_are_counted_from_the_top() -> None:
    plan = planned(service("api", image=CUDA, user="1:1"), service("own"))
    runtime = from_runtime(CUDA)
    assert layers(plan, "api", 7) == (*[runtime] * 5, "api", "api")
    assert plan.target(runtime).recipe.interpreter == "python3.11", "before the first lock"  # type: ignore[union-attr]
    assert layers(plan, "own", 7) == ("runtime", "runtime", "own")


@pytest.mark.parametrize("compilers", ["", "nvrtc"])
def test_layers_keep_headers_where_the_image_can_compile(compilers: str) -> None:
    asked = fleet(service("api", image=CUDA, requirements=asks("numpy")))
    interpreter = found("0:0", compilers=compilers)
    known = with_digests(asked, {}, {(from_image(CUDA), CUDA): interpreter})
    pin = Pin("numpy", "2.0")
    rules = Rules(known, NO_LOCKS).of(known.service("api"), [pin])
    kept = any(NO_COMPILER in rule.conditions for rule in rules)
    assert kept is not bool(compilers)
