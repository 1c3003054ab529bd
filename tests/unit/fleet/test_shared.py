"""A fleet with the layers that its locks share."""

from dataclasses import replace

from tests.unit.fleets import COMMON, asks, below, service, written

from slimbake.config.model import BaseEntry, Removal, WeightsEntry
from slimbake.fleet import Fleet, resolve
from slimbake.fleet.layering.sharing import SharedLayer, Sharing
from slimbake.fleet.shared import with_layers
from slimbake.host.sources import Source
from slimbake.plan import plan

TORCH = SharedLayer("torch", "", frozenset({"torch"}), "torch")
RICH = SharedLayer("rich", "torch", frozenset({"rich", "pygments"}), "rich")
AGAIN = SharedLayer("rich-2", "", frozenset({"rich", "pygments"}), "rich")
SHARING = Sharing((TORCH, RICH, AGAIN), {"a": "rich", "b": "torch", "c": "rich-2"})

ASKED = resolve(
    written(
        service("a", requirements=asks("rich", "torch", packages=(COMMON,))),
        service("b", requirements=asks("torch"), weights=WeightsEntry("path", "model")),
        service("c", requirements=asks("rich"), platforms=("linux/arm64",)),
        service("new", requirements=asks("rich")),
        torch="cpu",
    )
)
FOUND = with_layers(ASKED, SHARING)


def stand(fleet: Fleet) -> dict[str, str]:
    kinds = ("base", "service")
    return {each.name: below(each) for each in fleet.layers.values() if each.kind in kinds}


def test_services_stand_on_what_they_share_and_ask_for_what_they_asked_for() -> None:
    assert stand(FOUND) == {
        "base-torch": "",
        "base-rich": "base-torch",
        "base-rich-2": "",
        "a": "base-rich",
        "b": "base-torch",
        "c": "base-rich-2",
        "new": "",
    }
    assert [each.layer.asks for each in FOUND.services] == [s.layer.asks for s in ASKED.services]
    assert FOUND.layers["base-rich"].asks == asks("pygments", "rich")


def test_only_a_layer_that_holds_torch_says_which_build() -> None:
    assert {name: FOUND.layers[name].torch for name in ("base-torch", "base-rich")} == {
        "base-torch": "cpu",
        "base-rich": "",
    }


def test_equal_layers_have_one_lock_and_the_services_of_all_of_them() -> None:
    one, other = FOUND.layers["base-rich"], FOUND.layers["base-rich-2"]
    assert one.lock == other.lock == "base-rich"
    assert one.services == other.services == ("a", "c")
    assert one.platforms == ("linux/amd64",) and other.platforms == ("linux/arm64",)


def test_layers_lie_above_the_base_that_the_manifest_names() -> None:
    web = BaseEntry("web", requirements=asks("fastapi"))
    services = (service(name, base="web", requirements=asks("rich")) for name in "ab")
    found = with_layers(
        resolve(written(*services, bases=(web,))),
        Sharing((replace(RICH, below=""),), {"a": "rich", "b": "rich"}),
    )
    assert stand(found) == {
        "base-web": "",
        "base-rich": "base-web",
        "a": "base-rich",
        "b": "base-rich",
    }
    assert [base.name for base in found.service("a").bases] == ["web", "rich"]


def test_what_is_shared_for_services_that_are_gone_is_left_out() -> None:
    only_b = resolve(replace(ASKED.manifest, services=ASKED.manifest.services[1:2]))
    assert stand(with_layers(only_b, SHARING)) == {"base-torch": "", "b": "base-torch"}


def test_a_base_of_that_name_in_a_newer_manifest_is_the_one_that_counts() -> None:
    torch = BaseEntry("torch", requirements=asks("torch"))
    newer = resolve(replace(ASKED.manifest, torch=None, bases=(torch,)))
    assert with_layers(newer, SHARING) == newer


def test_what_is_built_from_sources_is_installed_by_the_layer_that_holds_it() -> None:
    source = Source("rich", "1", "rich-1.tar.gz", "0" * 64)
    sources = {"base-rich": (source,)}
    found = with_layers(resolve(ASKED.manifest, sources), SHARING, sources)
    installs = {base.name: [p.name for p in base.packages] for base in found.bases}
    assert installs == {"torch": [], "rich": ["rich"], "rich-2": ["rich"]}
    made = plan(found).target("base-rich").recipe
    assert made and made.install and made.install.wheels == (("rich", "wheel-rich"),)


def test_a_service_of_which_files_are_removed_or_that_has_a_dockerfile_shares_nothing() -> None:
    made = resolve(
        written(
            service("a", requirements=asks("rich"), removal=Removal(("rich/*",))),
            service("b", requirements=asks("rich"), dockerfile="Dockerfile"),
            service("c", requirements=asks("rich")),
            service("d"),
        )
    )
    assert [each.shares for each in made.services] == [False, False, True, False]
