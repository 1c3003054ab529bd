"""Services that run on ONNX Runtime: what is derived for them, and what of it lies in their images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fingerprint.test_fingerprint import LAYERS, edit, edited, repository
from tests.unit.fleets import COMMON, asks, below, fleet, locked, pinned, plan_of, service

from slimbake.config.model import BaseEntry, Precision, ServiceEntry, VariantEntry, WeightsEntry
from slimbake.fleet import Fleet
from slimbake.fleet.drafts import RUNS
from slimbake.fleet.model import Base, Export
from slimbake.lock.explain import ResolutionError, refuse_torch
from slimbake.lock.locks import Locks
from slimbake.lock.model import Pin, locked_scopes, settled
from slimbake.plan.graph import layers, relinked
from slimbake.plan.origin import exports, locks
from slimbake.release.command import BakeOptions, Surroundings, arguments

WEB = BaseEntry("web", requirements=asks("fastapi"))
ML = BaseEntry(
    "ml", extends="web", requirements=asks("torch", "scipy", packages=(COMMON,)), torch="cpu"
)
MODEL = WeightsEntry("package", "a-model")
BOTH = (VariantEntry("torch"), VariantEntry("onnx", inference="onnx", precision="int8"))
EXPORTED = "weights-a-model-onnx-int8"


def onnx(name: str, **said: Any) -> ServiceEntry:
    return service(name, **({"base": "ml", "weights": MODEL, "inference": "onnx"} | said))


def made(*services: ServiceEntry, bases: tuple[BaseEntry, ...] = (WEB, ML), **said: Any) -> Fleet:
    return fleet(*services, bases=bases, **said)


def base(found: Fleet, name: str) -> Base:
    return next(each for each in found.bases if each.name == name)


def both() -> Fleet:
    return made(
        service("api", base="web"),
        service("rank", base="ml", weights=MODEL, variants=BOTH, smoke="smoke.py"),
        service("embed", base="ml", weights=MODEL, variants=BOTH),
    )


# --- what is derived


def test_a_service_on_onnx_stands_on_a_base_without_torch_and_has_the_exported_weights() -> None:
    found = made(onnx("rank"), bases=(WEB, replace(ML, system=("libpq5",))))
    (rank,) = found.services
    assert below(rank.scope) == "base-ml-onnx"
    assert rank.weights
    assert (rank.weights.source, rank.weights.value) == ("package", "a-model")
    assert rank.weights.export == Export(base(found, "ml-export").scope, "fp32")
    assert [each.name for each in found.bases] == ["web", "ml", "ml-onnx", "ml-export"]
    runs = base(found, "ml-onnx")
    assert (below(runs.scope), runs.scope.asks, runs.system) == ("base-web", asks(*RUNS), ())
    assert (runs.scope.kind, runs.scope.torch) == ("base", "cpu")
    assert [each.name for each in settled(runs.scope)] == ["base-web", "base-ml"]


def test_models_are_exported_on_the_runtime_alone_with_the_rules_of_their_base() -> None:
    found = made(onnx("rank"), bases=(WEB, replace(ML, system=("libpq5",))))
    writes, ml = base(found, "ml-export"), base(found, "ml")
    assert (writes.scope.chain, writes.scope.kind) == ((), "export")
    assert settled(writes.scope) == (*ml.scope.closure, base(found, "ml-onnx").scope)
    assert writes.scope.torch == "cpu"
    assert writes.system == ("libpq5",)
    assert writes.scope.asks.specs[:2] == ("torch", "scipy")
    assert {"onnx", "onnxruntime", "transformers"} <= set(writes.scope.asks.specs)
    assert writes.scope.asks.packages == ()
    assert writes.optimize == ml.optimize


def test_a_variant_says_it_in_place_of_its_service() -> None:
    variants = (VariantEntry("a"), VariantEntry("b", inference="torch"))
    half = made(onnx("rank", precision="fp16", variants=variants))
    found = [(below(s.scope), bool(s.weights and s.weights.export)) for s in half.services]
    assert found == [("base-ml-onnx", True), ("base-ml", False)]


def test_a_base_of_that_name_that_is_written_is_the_one_that_services_stand_on() -> None:
    own = BaseEntry("ml-onnx", requirements=asks("onnxruntime<1.30", "faiss-cpu"))
    found = made(onnx("rank"), bases=(WEB, ML, own))
    assert [each.name for each in found.bases] == ["web", "ml", "ml-export", "ml-onnx"]
    onnx_base = base(found, "ml-onnx")
    assert (onnx_base.entry, onnx_base.scope.asks) == (own.name, own.requirements)
    assert settled(onnx_base.scope) == ()
    assert settled(base(found, "ml-export").scope) == base(found, "ml").scope.closure
    assert (onnx_base.scope.kind, onnx_base.scope.torch) == ("base", "cpu")
    assert (onnx_base.variant, onnx_base.copied, onnx_base.system) == ("", False, own.system)
    assert onnx_base.optimize
    assert below(found.service("rank").scope) == "base-ml-onnx"


def test_what_is_derived_of_a_variant_is_a_variant_of_what_is_derived() -> None:
    ml = BaseEntry(
        "ml",
        extends="web",
        requirements=asks("torch"),
        variants=(VariantEntry("cpu", torch="cpu"), VariantEntry("cuda", torch="cu128")),
    )
    found = made(onnx("rank"), bases=(WEB, ml))
    assert [(s.name, below(s.scope)) for s in found.services] == [
        ("rank", "base-ml-onnx"),
        ("rank-cuda", "base-ml-cuda-onnx"),
    ]
    assert below(base(found, "ml-cuda-onnx").scope) == "base-web-cuda"
    writes = base(found, "ml-cuda-export").scope
    assert writes.kind == "export"
    assert {"base-ml-cuda", "base-ml-cuda-onnx"} <= {each.name for each in settled(writes)}
    target = plan_of(found).target("base-ml-cuda-onnx")
    assert (target.repository, target.suffix) == ("base-ml-onnx", "-cuda")


def test_exports_of_one_model_are_one_for_each_precision() -> None:
    precisions: tuple[Precision, ...] = ("fp32", "int8", "fp16", "int8")
    services = (onnx(f"s{at}", precision=each) for at, each in enumerate(precisions))
    names = [t.name for t in plan_of(made(*services)).targets if t.recipe and t.recipe.export]
    assert names == [f"weights-a-model-onnx-{each}" for each in precisions[:3]]


# --- the plan


def test_an_image_holds_the_exported_weights_and_nothing_that_they_were_made_with() -> None:
    found = plan_of(both())
    kinds = ("base", "export", "weights")
    held = [target.name for target in found.held(("rank-onnx",)) if target.kind in kinds]
    assert held == ["base-web", "base-ml-onnx", EXPORTED]
    assert {"base-ml-export", "weights-a-model"} <= {t.name for t in found.needed(("rank-onnx",))}
    assert locks(found, "rank-onnx") == ("base-web.txt", "base-ml-onnx.txt", "weights-a-model.txt")
    assert exports(found, "rank-onnx") == {"weights-a-model.txt": "a-model-onnx-int8"}
    assert exports(found, "rank") == {}
    below = ("runtime", "runtime", "layer_base-web", "layer_base-ml-onnx")
    assert layers(found, "rank-onnx") == (*below, EXPORTED, "rank-onnx")


def test_a_job_that_is_given_pushed_images_exports_nothing() -> None:
    found = plan_of(both())
    shared = [target.name for target in found.shared_by(("rank-onnx",))]
    assert shared == ["runtime", "base-web", "base-ml-onnx", EXPORTED]
    given = relinked(found, {name: f"registry.example.com/{name}@sha256:1" for name in shared})
    needed = [target.name for target in given.needed(given.with_checks(("rank-onnx",)))]
    assert needed == ["inside", "rank-onnx", "rank-onnx-smoke"]
    weights = f"docker-image://registry.example.com/{EXPORTED}@sha256:1"
    assert dict(given.target("rank-onnx").contexts)[EXPORTED] == weights


def test_a_model_that_is_pushed_says_nothing_of_python_which_it_does_not_hold() -> None:
    found = plan_of(both(), Locks({"weights-a-model.txt": "a-model==1\n"}))
    assert dict(found.target(EXPORTED).labels).keys() == {
        "org.opencontainers.image.title",
        "slimbake.project",
        "slimbake.target",
    }
    around = Surroundings(externals={}, digests={"python": "sha256:9"})
    words = arguments(found, (EXPORTED,), around, BakeOptions())
    assert f"{EXPORTED}.tags=slimbake/atlas/{EXPORTED}:built" in words
    assert not [word for word in words if word.startswith(f"{EXPORTED}.labels.")]


# --- files


def test_an_export_takes_the_layers_of_the_base_that_it_is_made_for() -> None:
    torch = pinned("torch", size=100_000_000)
    found = plan_of(both(), locked(base_ml=[torch], base_ml_export=[torch, pinned("onnx")]))
    [shared] = [name for name in found.target("base-ml").needs if name.startswith("layer_torch_")]
    assert shared in found.target("base-ml-export").needs


# --- what depends on what


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, str, str], set[str]]:
    """The targets that have another fingerprint after a file was edited."""
    made = repository(tmp_path, both())
    return lambda path, old, new: edited(*made, edit(path, old, new)) - {"inside"}


ON_EXPORT = {EXPORTED, "rank-onnx", "rank-onnx-smoke", "embed-onnx"}
ON_ONNX = {"base-ml-onnx", "base-ml-onnx-inventory", *ON_EXPORT} - {EXPORTED}


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        ("bake/programs/export.pyz", "# Generated", "#  Generated", ON_EXPORT),
        (f"bake/dockerfiles/{EXPORTED}.Dockerfile", '"int8"]', '"fp16"]', ON_EXPORT),
        (
            *(f"{LAYERS}/layer_base-ml-export.json", "==1", "==2"),
            {"layer_base-ml-export", "base-ml-export", *ON_EXPORT},
        ),
        (f"{LAYERS}/layer_base-ml-onnx.json", "==1", "==2", {"layer_base-ml-onnx", *ON_ONNX}),
    ],
)
def test_an_export_depends_on_its_programs_settings_and_base(
    changed: Callable[[str, str, str], set[str]], path: str, old: str, new: str, expected: set[str]
) -> None:
    assert changed(path, old, new) == expected


def test_other_weights_are_exported_again(changed: Callable[[str, str, str], set[str]]) -> None:
    found = changed("bake/locks/weights-a-model.txt", "==1", "==2")
    assert found >= ON_EXPORT
    assert "base-ml-export" not in found


@pytest.mark.parametrize(
    "path", ["services/rank/file.txt", f"{LAYERS}/layer_base-web.json", "libs/common/file.txt"]
)
def test_code_exports_no_model(changed: Callable[[str, str, str], set[str]], path: str) -> None:
    found = changed(path, "s", "2")
    assert found
    assert found.isdisjoint({EXPORTED, "base-ml-export", "weights-a-model"})


def test_torch_that_comes_back_by_a_requirement_is_refused() -> None:
    scopes = locked_scopes(made(onnx("rank", requirements=asks("sentence-transformers"))))
    torch = Pin("torch", "2", via=("sentence-transformers",))
    sentences = Pin("sentence-transformers", "6", via=("",))
    refuse_torch(scopes, {"base-ml": (torch,), "base-ml-export": (torch,)})
    why = r"rank: torch in rank, required by sentence-transformers -> torch"
    with pytest.raises(ResolutionError, match=why):
        refuse_torch(scopes, {"base-ml": (torch,), "rank": (torch, sentences)})
