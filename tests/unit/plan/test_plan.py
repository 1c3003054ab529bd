"""The plan: every default resolved, every target after what it stands on, and only what somebody
needs.
"""

import dataclasses
import re

import pytest
from tests.unit.fleets import (
    COMMON,
    asks,
    fleet,
    locked,
    pinned,
    plan_of,
    planned,
    service,
)

from slimbake.config import model as manifest
from slimbake.config.model import (
    BaseEntry,
    FileCopy,
    OwnStage,
    Requirements,
    ServiceEntry,
    StartCheck,
    WeightsEntry,
)
from slimbake.fleet.model import Compression
from slimbake.host.dockerignore import Ignore, Matched
from slimbake.host.sources import Source
from slimbake.host.wheels import marker
from slimbake.lock.model import Pin
from slimbake.plan.graph import layers, standing
from slimbake.plan.model import Plan, Recipe

MODEL = WeightsEntry("package", "some-model")


def recipe(of: Plan, name: str) -> Recipe:
    found = of.target(name).recipe
    assert found is not None
    return found


def needed(of: Plan, name: str) -> str:
    return " ".join(target.name for target in of.needed((name,)))


@pytest.mark.parametrize(
    ("said", "used"),
    [
        (manifest.CompressionEntry(), Compression(type="zstd", level=3)),
        (manifest.CompressionEntry(level=19), Compression(type="zstd", level=19)),
        (manifest.CompressionEntry(type="gzip"), Compression(type="gzip", level=6)),
        (manifest.CompressionEntry(type="gzip", level=1), Compression(type="gzip", level=1)),
    ],
)
def test_each_compression_has_a_level(said: manifest.CompressionEntry, used: Compression) -> None:
    assert planned(service("api"), compression=said).compression == used


def test_nothing_in_a_plan_is_none_but_what_a_service_does_not_have() -> None:
    # A None that meant "default" would leave a decision to a template.
    may_be_none = {
        *("recipe", "runtime", "layer", "export", "port", "publish", "healthcheck"),
        "interpreter",  # of an image that no lock knows
        *("uncompressed", "compressed"),
    }

    def walk(value: object) -> None:
        if isinstance(value, tuple):
            for each in value:
                walk(each)
        elif dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                found = getattr(value, field.name)
                assert found is not None or field.name in may_be_none, field.name
                walk(found)

    odd = service("odd", dockerfile="Dockerfile")
    walk(planned(service("api"), odd, bases=(BaseEntry("web"),)))


def test_a_selected_service_needs_only_what_it_stands_on() -> None:
    decided = planned(
        service("api", base="web", smoke="smoke.py", requirements=asks(packages=(COMMON,))),
        service("embedding", base="ml", weights=MODEL),
        bases=(BaseEntry("web"), BaseEntry("ml", extends="web")),
    )
    api = "inside runtime wheel-common layer_api base-web api"
    assert (needed(decided, "api"), needed(decided, "api-smoke")) == (api, f"{api} api-smoke")
    embedding = "inside runtime base-web base-ml weights-some-model embedding"
    assert needed(decided, "embedding") == embedding
    assert decided.needed(()) == ()


def test_a_target_that_is_not_there_is_a_key_error() -> None:
    decided = planned(service("api"))
    with pytest.raises(KeyError):
        decided.target("nobody")
    with pytest.raises(KeyError):
        decided.needed(("nobody",))


def test_weights_that_are_mounted_are_an_image_and_in_no_other() -> None:
    mounted = dataclasses.replace(MODEL, mount="image")
    held = service("held", weights=MODEL, smoke="smoke.py")
    decided = planned(service("one", weights=mounted, smoke="smoke.py"), held, service("two"))
    target = decided.target("weights-some-model")
    assert (target.mounted, target.released) == (True, True)
    assert [s.weights for s in decided.services] == [target.name, "", ""]
    assert decided.with_weights(("one", "two")) == ("one", "two", target.name)
    assert decided.with_weights(("held", "two")) == ("held", "two")
    assert decided.group("default") == ("one", "held", "two", target.name)
    assert "weights-some-model" not in layers(decided, "one")


def test_weights_whose_names_would_be_one_get_names_that_differ_and_stay() -> None:
    def targets(*weights: WeightsEntry) -> list[str]:
        services = (service(f"s{number}", weights=each) for number, each in enumerate(weights))
        return [t.name for t in planned(*services).targets if t.kind == "weights"]

    dotted, dashed = WeightsEntry("path", "a.b"), WeightsEntry("path", "a-b")
    package = WeightsEntry("package", "A_b")
    found = targets(dotted, dashed, package)
    assert len(set(found)) == 3 and all(name.startswith("weights-a-b-") for name in found)
    assert targets(package, dashed, dotted) == found[::-1]
    assert targets(dotted) == ["weights-a-b"]


def test_the_locks_and_uv_are_sent_once_and_only_where_something_is_locked() -> None:
    def sent(*services: ServiceEntry) -> list[str]:
        decided = planned(*services)
        assert all("uv" not in dict(t.contexts) for t in decided.targets if t.name != "inside")
        return [name for name, _ in decided.target("inside").contexts]

    assert sent(service("api")) == []
    assert sent(service("api", weights=WeightsEntry("path", "small"))) == ["locks", "uv"]
    web = service("web", requirements=asks("httpx"))
    assert sent(service("api"), web) == ["locks", "layers", "uv"]
    assert sent(service("api", weights=MODEL)) == ["locks", "uv"]


def test_a_stage_is_one_target_for_all_services_that_take_its_files() -> None:
    stage = OwnStage(dockerfile="web/Dockerfile", context="web", target="Front_end")
    copy = FileCopy(source="/dist", to="/app/static", stage=stage)
    other = dataclasses.replace(copy, to="/srv", stage=dataclasses.replace(stage, target=""))
    decided = planned(service("one", copy=(copy, other)), service("two", copy=(copy,)))
    stages = [target for target in decided.targets if target.kind == "stage"]
    assert [target.stage for target in stages] == ["Front_end", ""]
    assert all(re.fullmatch(r"stage_[a-z-]+_[0-9a-f]{8}", target.name) for target in stages)
    assert {target.repository for target in stages} == {""}
    assert decided.target("two").needs[-1] == stages[0].name
    assert layers(decided, "one") == ("runtime", "runtime", "one", "one", "one")


def test_a_service_whose_lock_names_nothing_installs_the_repositorys_packages_alone() -> None:
    of = fleet(service("api", requirements=asks(packages=(COMMON,))))
    decided = plan_of(of, locked(api=[]))
    assert recipe(decided, "api").chain == ()
    assert recipe(decided, "api").local == (("common", "wheel-common"),)
    assert layers(decided, "api") == ("runtime", "runtime", "api", "api")
    assert "layers" not in dict(decided.target("inside").contexts), "the folder is not there"


def test_a_layer_of_packages_stands_on_no_image() -> None:
    torch = pinned("torch", size=10_000_000)
    decided = plan_of(fleet(service("api", requirements=asks("torch"))), locked(api=[torch]))
    [link] = recipe(decided, "api").chain
    assert needed(decided, link.target) == f"inside {link.target}"
    assert {name for name, _ in decided.target(link.target).contexts} == {"inside", "builder"}


def test_a_wheel_that_is_built_here_is_given_to_its_layer() -> None:
    source = Source("old", "1", "old-1.tar.gz", "0" * 64)
    made = fleet(service("api", requirements=asks("old")), sources={"api": (source,)})
    decided = plan_of(made, locked(api=[Pin("old", "1", built=source.origin)]))
    assert needed(decided, "layer_api") == "inside wheel-old layer_api"
    assert decided.target("layer_api").dockerfile.endswith("/layer_api.Dockerfile")


def test_an_image_says_what_it_adds_to_its_inventory() -> None:
    removal = manifest.Removal(("six/x.py",))
    web = BaseEntry("web", requirements=asks("six", packages=(COMMON,)), removal=removal)
    decided = plan_of(
        fleet(service("api", base="web"), bases=(web,)), locked(base_web=[pinned("six")])
    )
    inventory = dict(decided.target("base-web-inventory").args)
    assert inventory == {
        "CHECKED": "base-web",
        "PACKAGES": "common six",
        "REMOVES": '["services.yaml: bases.web.remove: six/x.py"]',
    }
    assert "api-inventory" not in {target.name for target in decided.targets}


def test_what_one_kind_of_machine_has_its_inventory_asks_for_there() -> None:
    here = {"1": marker("linux/arm64"), "2": marker("linux/amd64")}
    pins = [
        dataclasses.replace(pinned("six", version), marker=where) for version, where in here.items()
    ]
    decided = plan_of(fleet(service("api", requirements=asks("six"))), locked(api=pins))
    inventory = dict(decided.target("api-inventory").args)
    assert inventory["PACKAGES"] == "six@aarch64 six@x86_64"


def ignored(**said: object) -> tuple[str, ...]:
    return planned(service("api", context="services/api", **said)).target("api").ignore


def sent(ignore: tuple[str, ...], path: str) -> bool:
    """Whether BuildKit is sent this file of a context."""
    asks = Ignore("\n".join(ignore))
    above: Matched = ()
    out = False
    for end in [*(match.start() for match in re.finditer("/", path)), len(path)]:
        out, above = asks(path[:end], above)
    return not out


def test_what_is_not_code_is_not_sent_to_the_build() -> None:
    files = ("services/api/requirements.txt", "shared/more.txt")
    found = ignored(
        smoke="smoke.py",
        reference="reference.json",
        weights=WeightsEntry("path", "services/api/model"),
        requirements=Requirements(specs=("httpx",), files=files),
    )
    assert found[-4:] == ("model", "reference.json", "requirements.txt", "smoke.py")
    assert "**/tests" in found
    assert sent(found, "prompts/system.md")


def test_a_context_s_own_ignore_file_keeps_what_it_names_and_nothing_else_of_slimbake_s() -> None:
    names = ("*", "!app", "!.streamlit", "!app/tests", "!app/compose.yaml")
    found = ignored(ignore=names, smoke="smoke.py")
    kept = ("app/main.py", ".streamlit/config.toml", "app/tests/one.py", "app/compose.yaml")
    left_out = ("data.txt", "app/.env", ".env", "app/lib/tests/one.py", "app/a.pyc", "smoke.py")
    assert [path for path in (*kept, *left_out) if sent(found, path)] == [*kept]


def test_compose_files_are_no_code_and_what_is_called_like_them_is() -> None:
    found = ignored(smoke="smoke.py")
    left_out = ("compose.yaml", "a/compose.prod.yml", "docker-compose.yml", "api.Dockerfile")
    kept = ("compose_rules.yaml", "composer.yml", "compose.py")
    assert [path for path in (*left_out, *kept) if sent(found, path)] == [*kept]


def test_the_checks_of_services_that_share_their_code_are_in_none_of_their_images() -> None:
    jobs = "services/jobs"
    found = planned(
        service("worker", context=jobs, smoke="smoke.py", verify="verify.py"),
        service("beat", context=jobs, smoke="checks/smoke_beat.py", reference="beat.json"),
        service("all", context="."),
        service("other", context="services/other"),
    )
    checks = ("smoke.py", "verify.py", "checks/smoke_beat.py", "beat.json")
    for name, folder in (("worker", ""), ("beat", ""), ("all", f"{jobs}/")):
        ignore = found.target(name).ignore
        assert not any(sent(ignore, f"{folder}{check}") for check in checks), name
        assert sent(ignore, f"{folder}jobs/tasks.py")
    assert all(sent(found.target("other").ignore, check) for check in checks)


def test_a_service_that_stands_on_one_named_after_it_comes_after_that_one() -> None:
    above, middle = (("up", "target:b"),), (("up", "target:c"),)
    linked = (service("a", contexts=above), service("b", contexts=middle))
    found = planned(*linked, service("c"), service("d"))
    assert "".join(target.name for target in found.targets if target.kind == "service") == "cbad"


def test_what_all_targets_stand_on_is_what_each_one_needs() -> None:
    links = (("later", "target:b-smoke"),)
    b = service("b", base="web", smoke="s.py")
    found = planned(service("a", contexts=links), b, bases=(BaseEntry("web"),))
    below = {target.name: below for target, below in standing(found.targets)}
    assert below == {target.name: found.needed((target.name,)) for target in found.targets}


VARIANTS = (manifest.VariantEntry("cpu"), manifest.VariantEntry("gpu"))
ORDERED = planned(
    service("proxy", depends_on=(("web", "service_healthy"),)),
    service("web", port=80, depends_on=(("model", "service_started"), ("job", "service_started"))),
    service("model", variants=VARIANTS),
    service("job"),
    service(
        "tool",
        entrypoint=("tool",),
        start=StartCheck("runs", ("--help",)),
        depends_on=(("job", "service_started"),),
    ),
    service("other"),
)


@pytest.mark.parametrize(
    ("asked", "there", "started"),
    [
        (("proxy",), (), ("proxy", "web", "model", "job")),
        (("proxy", "model-gpu"), (), ("proxy", "web", "model-gpu", "job")),
        (("proxy", "model-gpu", "model"), (), ("proxy", "web", "model", "model-gpu", "job")),
        (("web",), ("model-gpu", "other"), ("web", "model-gpu", "job")),
        (("tool", "other"), (), ("other",)),
        ((), (), ()),
    ],
)
def test_up_starts_what_a_service_depends_on_too(
    asked: tuple[str, ...], there: tuple[str, ...], started: tuple[str, ...]
) -> None:
    assert tuple(each.service for each in ORDERED.starting(asked, there)) == started


def test_a_service_waits_for_those_variants_that_start() -> None:
    [web] = ORDERED.variants["web"]
    found = ORDERED.awaited(web, ("web", "model-gpu", "job"))
    assert found == dict.fromkeys(("model-gpu", "job"), "service_started")


def test_a_start_check_starts_what_the_services_beside_it_need_too() -> None:
    made = planned(
        service("api", start=StartCheck("runs", fleet=("queue",))),
        service("queue", start=StartCheck("runs", beside=("redis",), fleet=("mail",))),
        service("mail", start=StartCheck("runs", beside=("smtp",))),
    )
    api, queue, _ = made.services
    assert [each.service for each in made.company(api)] == ["mail", "queue"]
    assert set(made.needs_beside(api)) == {"redis", "smtp"}
    assert made.needs_beside(queue) == ("redis", "smtp")
    assert made.starting(("api",)) == made.services


def test_the_home_of_a_services_user_is_writable_by_default() -> None:
    services = (
        service("plain"),
        service("other", user="1000"),
        service("kept", volumes=(("home", "/home/nonroot"),)),
        service("own", dockerfile="own/Dockerfile"),
    )
    by_name = {each.service: each for each in planned(*services).services}
    memory = {name: each.in_memory for name, each in by_name.items()}
    home = {name: [path.partition(":")[0] for path in memory[name]][1:] for name in memory}
    assert home == {"plain": ["/home/nonroot"], "other": ["/home/app"], "kept": [], "own": []}


def test_a_dockerfile_of_the_users_own_may_use_the_services_weights() -> None:
    own = service("own", dockerfile="Dockerfile", weights=WeightsEntry("path", "models/small"))
    contexts = dict(planned(own).target("own").contexts)
    assert contexts["weights"].startswith("target:weights-")
