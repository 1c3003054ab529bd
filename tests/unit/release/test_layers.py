"""Layers of packages on a registry: a push puts each under its key, and a later bake finds it there."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.fleets import asks, fleet, locked, plan_of, service, unlocked
from tests.unit.registries import Registry
from tests.unit.release.played import site

from slimbake.config.model import LayersEntry
from slimbake.host.wheels import Wheel
from slimbake.layers import layering
from slimbake.lock.model import Pin
from slimbake.plan.graph import layers
from slimbake.project import Project
from slimbake.registry import ImageRepository
from slimbake.registry.documents import CONFIG, MANIFEST, StoredManifest, descriptor_of
from slimbake.release.layers import REPOSITORY, found_layers, layer_tag, publish_layers
from slimbake.release.place import BakeRequest
from slimbake.release.site import Site

pytestmark = pytest.mark.usefixtures("no_account")

HEAVY = Pin("heavy", "1", wheels=(Wheel("heavy-1-py3-none-any.whl", 5_000_000, "1" * 64),))
LIGHT = Pin("light", "1", wheels=(Wheel("light-1-py3-none-any.whl", 500, "2" * 64),))


def locked_site(said: list[str] | None = None, **manifest: Any) -> Site:
    """A fleet with one service, `api`, of two packages."""
    made = fleet(service("api", requirements=asks("heavy", "light")), **manifest)
    locks = locked(api=(HEAVY, LIGHT))
    bare = unlocked(made)
    project = Project(made, locks, layering(made, locks), plan_of(made, locks), bare.workspace)
    return site(project, [] if said is None else said)


def pushed(server: Registry, held: Site) -> dict[str, tuple[str, StoredManifest]]:
    """The image of `api` as a push has left it, with a blob for each layer."""
    blobs = [f"layer {name} {n}".encode() for n, name in enumerate(layers(held.plan, "api"))]
    config = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"diff_ids": [descriptor_of("", blob).digest for blob in blobs]},
    }
    described = [descriptor_of("tar", blob) for blob in blobs]
    content = json.dumps(config).encode()
    for blob in (*blobs, content):
        server.blobs[descriptor_of("", blob).digest] = blob
    manifest = {
        "mediaType": MANIFEST,
        "config": descriptor_of(CONFIG, content).as_json(),
        "layers": [layer.as_json() for layer in described],
    }
    server.put("latest", MANIFEST, manifest)
    found = ImageRepository(f"{server.name}/a/api").document("latest")
    assert found
    return {"api": (f"{server.name}/a/api", found)}


def request(server: Registry, **more: Any) -> BakeRequest:
    return BakeRequest(targets=("api",), registry=f"{server.name}/a", **({"push": True} | more))


def found(server: Registry, held: Site, **more: Any) -> dict[str, str]:
    return found_layers(held, ("api",), request(server, **more))


def names(held: Site) -> Sequence[str]:
    heavy, rest = held.project.layering.layers
    return [heavy.name, rest.name]


def test_what_a_push_left_is_found_by_the_keys_of_its_layers(server: Registry) -> None:
    said: list[str] = []
    held = locked_site(said)
    assert found(server, held) == {}
    publish_layers(held, pushed(server, held), request(server))
    there = found(server, held)
    assert [*there] == names(held)
    for layer in held.project.layering.layers:
        tag = layer_tag(layer.key, "linux/amd64")
        digest = descriptor_of("", server.manifests[tag][1]).digest
        assert there[layer.name] == f"{server.name}/a/{REPOSITORY}@{digest}"
    assert said == ["on the registry: 2 layers of packages"]


def test_what_is_there_is_not_put_again(server: Registry) -> None:
    held = locked_site()
    images = pushed(server, held)
    publish_layers(held, images, request(server))
    server.asked.clear()
    publish_layers(held, images, request(server))
    assert [line for line in server.asked if not line.startswith("GET")] == []


def test_layers_may_be_at_another_place_than_images(server: Registry) -> None:
    held = locked_site(layers=LayersEntry(registry=f"{server.name}/shared"))
    publish_layers(held, pushed(server, held), request(server))
    there = found(server, held)
    assert [*there] == names(held)
    assert {at.partition("@")[0] for at in there.values()} == {f"{server.name}/shared/{REPOSITORY}"}


def test_a_layer_that_says_another_key_counts_as_missing(server: Registry) -> None:
    said: list[str] = []
    held = locked_site(said)
    publish_layers(held, pushed(server, held), request(server))
    one, other = (layer_tag(layer.key, "linux/amd64") for layer in held.project.layering.layers)
    server.manifests[one] = server.manifests[other]
    assert [*found(server, held)] == names(held)[1:]
    assert said[0].endswith("the registry has a layer that does not say its key")


def test_several_platforms_at_once_take_no_layers(server: Registry) -> None:
    held = locked_site(platforms=("linux/amd64", "linux/arm64"))
    publish_layers(held, pushed(server, held), request(server))
    assert found(server, held) == {}
    assert [*found(server, held, platform="linux/amd64")] == names(held)


def test_nobody_is_asked_for_layers_where_no_registry_is_named(server: Registry) -> None:
    held = locked_site()
    publish_layers(held, pushed(server, held), request(server))
    assert found(server, held, push=False) == {}
    named = locked_site(registry=f"{server.name}/a")
    assert [*found(server, named, push=False)] == names(named)


def test_what_set_may_have_changed_is_put_nowhere(server: Registry) -> None:
    held = locked_site()
    publish_layers(held, pushed(server, held), request(server, sets=("*.args.A=1",)))
    assert found(server, held) == {}


def test_a_registry_that_takes_no_layers_is_said_and_breaks_nothing(server: Registry) -> None:
    said: list[str] = []
    held = locked_site(said)
    images = pushed(server, held)
    server.auth = "basic"  # from now on
    publish_layers(held, images, request(server))
    assert said and said[0].startswith(f"warning: layers are not at {server.name}/a/{REPOSITORY}")
