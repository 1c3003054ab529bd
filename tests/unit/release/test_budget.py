"""Budgets: what is said of one that does not hold, and what grew since."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.fleets import asks, fleet, service

from slimbake import docker
from slimbake.config.model import BaseEntry, Budget, WeightsEntry
from slimbake.console import Console
from slimbake.errors import SetupError
from slimbake.host.workspace import Workspace
from slimbake.images.detail import Contents, Owner, Part
from slimbake.images.growth import BudgetedImage, grown, since
from slimbake.images.sizes import Image, MeasuredLayer, Measurement
from slimbake.plan import plan
from slimbake.plan.graph import layers
from slimbake.plan.model import Plan
from slimbake.release.budget import over_budget

MB = 1_000_000


def layer(name: str, uncompressed: int, compressed: int | None = None) -> MeasuredLayer:
    return MeasuredLayer(
        diff=f"sha256:{name:0<64}",
        blob=f"blob-{name}",
        uncompressed=uncompressed,
        compressed=compressed,
        files=1,
    )


def contents(**packages: int) -> Contents:
    parts = tuple(
        Part("/opt", Owner("python", name.replace("_", "-")), size, 1)
        for name, size in packages.items()
    )
    return Contents(sum(packages.values()), len(parts), (), parts, ())


RUNTIME, WEB, WEB_NOW = layer("1", 47 * MB), layer("2", 18 * MB), layer("3", 56 * MB + 100_000)
CODE, CODE_NOW = layer("4", 900_000), layer("5", 600_000)
NAMES = ("runtime", "base-web", "api")
BEFORE = BudgetedImage("sha256:3ea8af22ac74d2ce", (RUNTIME, WEB, CODE), NAMES)
NOW = BudgetedImage("sha256:0000", (RUNTIME, WEB_NOW, CODE_NOW), NAMES)
INSIDE = {
    RUNTIME.diff: contents(python=47 * MB),
    WEB.diff: contents(httpx=18 * MB),
    WEB_NOW.diff: contents(httpx=18 * MB + 100_000, numpy=38 * MB),
    CODE.diff: Contents(900_000, 1, (), (Part("/app", Owner("code", "/app"), 900_000, 1),), ()),
    CODE_NOW.diff: Contents(600_000, 1, (), (Part("/app", Owner("code", "/app"), 600_000, 1),), ()),
}


def image(digest: str, name: str, *layers: MeasuredLayer) -> BudgetedImage:
    return BudgetedImage(f"sha256:{digest}", layers, (name,) * bool(name))


COUNTED = {
    layer("6", 0).diff: contents(a=9000),
    layer("7", 0).diff: contents(b=4000, c=3000, d=2000, e=1000),
}


@pytest.mark.parametrize(
    ("old", "new", "kind", "inside", "grew"),
    [
        (
            *(BEFORE, NOW, "uncompressed", INSIDE),
            "+38.1 MB base-web (numpy +38.0 MB new, httpx +100.0 kB), -300.0 kB api",
        ),
        # without the layers that held, targets alone
        (BEFORE, NOW, "uncompressed", None, "+38.1 MB base-web, -300.0 kB api"),
        (
            image("3ea8af22ac74d2ce", "base-web", layer("2", 18 * MB, 5 * MB)),
            image("bb", "base-web", layer("3", 56 * MB, 9 * MB)),
            *("compressed", INSIDE),
            "+4.0 MB base-web (uncompressed: numpy +38.0 MB new, httpx +100.0 kB)",
        ),
        # beyond three they are summed
        (
            image("3ea8af22ac74d2ce", "base", layer("6", 9000)),
            image("bb", "base", layer("7", 10000)),
            *("uncompressed", COUNTED),
            "+1.0 kB base (a -9.0 kB gone, b +4.0 kB new, c +3.0 kB new, 2 more +3.0 kB)",
        ),
        # layers of a Dockerfile of the user's own
        (
            image("3ea8af22ac74d2ce", "", RUNTIME),
            image("bb", "", RUNTIME, layer("8", 5000)),
            *("uncompressed", None),
            "+5.0 kB layer 800000000000",
        ),
    ],
)
def test_what_grew_is_reported_by_target_and_package(
    old: BudgetedImage, new: BudgetedImage, kind: Any, inside: Any, grew: str
) -> None:
    shown = since(old, new, kind, grown(old, new, kind, inside))
    assert shown == f"since 3ea8af22ac74, the last within budget: {grew}"


def test_an_image_that_did_not_grow_is_reported() -> None:
    assert since(BEFORE, BEFORE, "compressed", ()) == "the image is the last one within budget"
    other = BudgetedImage("sha256:bb", BEFORE.layers, NAMES)
    assert (
        since(BEFORE, other, "uncompressed", ())
        == "since 3ea8af22ac74, the last within budget: not a byte more"
    )
    assert since(None, NOW, "uncompressed", ()) == "no earlier image within budget is known here"


def measured(*layers: MeasuredLayer, digest: str = "sha256:bb") -> Measurement:
    return Measurement((Image("api", digest, layers),))


def planned(limits: Budget) -> Plan:
    return plan(
        fleet(
            service("api", base="web", budget=limits, port=80),
            bases=(BaseEntry("web", requirements=asks("a")),),
        )
    )


def gone(ids: object) -> dict[str, str]:
    raise SetupError("the engine has no image of: api")


def test_the_last_within_budget_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "image_ids", gone)
    layers = (RUNTIME, layer("w", 0, 1), WEB, CODE)
    workspace, limits = Workspace(tmp_path), planned(Budget(uncompressed=66 * MB))
    assert over_budget(limits, measured(*layers, digest="sha256:aa"), workspace) == {}
    bigger = measured(RUNTIME, layers[1], WEB_NOW, CODE, digest="sha256:cc")
    expected = (
        "api: uncompressed 104.0 MB, its budget is 66.0 MB\n  since aa, the last within budget: +38.1 MB"
        " base-web"
    )
    assert over_budget(limits, bigger, workspace) == {"api": expected}
    assert over_budget(limits, bigger, workspace) == {"api": expected}, (
        "what does not hold is not remembered"
    )


def test_every_limit_that_does_not_hold_is_reported(tmp_path: Path) -> None:
    limits = planned(Budget(uncompressed=1000, compressed=10))
    assert over_budget(limits, measured(layer("a", 2 * MB)), Workspace(tmp_path))[
        "api"
    ].splitlines() == [
        "api: uncompressed 2.0 MB, its budget is 0.0 MB",
        "  no earlier image within budget is known here",
    ]


def test_what_is_known_and_cannot_be_read_is_discarded_and_it_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    workspace = Workspace(tmp_path, Console(said.append))
    limits = planned(Budget(uncompressed=MB))
    for garbled in ('{"api": 1}', '{"api": {"digest": "x", "layers": [{}], "names": []}}', "["):
        (tmp_path / ".slimbake").mkdir(exist_ok=True)
        (tmp_path / ".slimbake/held.json").write_text(garbled)
        assert over_budget(limits, measured(CODE), workspace) == {}
    assert said == [".slimbake/held.json cannot be read, and is discarded"] * 3


def test_each_layer_has_the_name_of_the_target_that_lays_it() -> None:
    weights = WeightsEntry("package", "some-model")
    made = fleet(
        service(
            "api", base="web", requirements=asks("b"), weights=weights, volumes=(("data", "/data"),)
        ),
        service("rank", base="web", weights=weights, system=("libx",)),
        service("alone", weights=WeightsEntry("path", "models/alone")),
        service("own", dockerfile="own.Dockerfile"),
        bases=(BaseEntry("web", requirements=asks("a")),),
    )
    decided = plan(made)
    web = ("runtime", "runtime", "base-web", "weights-some-model")
    assert layers(decided, "api") == (*web, "api", "api", "api")
    assert layers(decided, "rank") == (*web, "rank", "rank")
    assert layers(decided, "alone") == ("runtime", "runtime", "weights-models-alone", "alone")
    assert layers(decided, "own") == ()
