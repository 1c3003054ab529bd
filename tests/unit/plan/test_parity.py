"""Parity in the manifest and the plan: what is measured, against what, and with which limits."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from tests.unit.fleets import asks, plan_of, planned, service

from slimbake.checks import parity as kept
from slimbake.checks.parity import parity_table
from slimbake.config import manifest as read
from slimbake.config.model import BaseEntry, Parity, ServiceEntry, WeightsEntry
from slimbake.config.names import IMAGE
from slimbake.fingerprint import of_services
from slimbake.fleet import resolve
from slimbake.host.workspace import Workspace
from slimbake.plan.graph import relinked
from slimbake.plan.model import Plan
from slimbake.plan.parity import LIMITS
from slimbake.release.command import BakeOptions, Surroundings, arguments
from slimbake.release.inputs import released_fingerprints

ROOT = Path(__file__).parents[3]
MODEL = WeightsEntry("package", "some-model")
TEXTS = Parity("parity.py", "texts/a.jsonl")
ML = BaseEntry("ml", requirements=asks("torch", "transformers"))


def measured(
    name: str, parity: Parity | None = TEXTS, precision: str = "int8", **said: object
) -> ServiceEntry:
    said = {"base": "ml", "weights": MODEL, "inference": "onnx", **said}
    return service(name, precision=precision, parity=parity, **said)


def decided(*services: ServiceEntry, **said: object) -> Plan:
    return planned(*services, bases=(ML,), **said)


def kinds(of: Plan, kind: str) -> list[str]:
    return [target.name for target in of.targets if target.kind == kind]


def test_other_texts_or_another_model_are_another_reference() -> None:
    found = decided(
        measured("one"),
        measured("two", Parity("parity.py", "other/a.jsonl")),
        measured("three", weights=WeightsEntry("package", "other-model")),
    )
    first, second, third = kinds(found, "reference")
    assert third == "reference-other-model-a"
    assert first != second
    for name in (first, second):
        assert name.startswith("reference-some-model-a-")


def test_texts_whose_name_has_no_letters_of_a_repository_have_one_all_the_same() -> None:
    [name] = kinds(decided(measured("embed", Parity("parity.py", "texts/文.jsonl"))), "reference")
    assert IMAGE.fullmatch(f"registry.example.com/toy/{name}")


@pytest.mark.parametrize(
    "said", [{"inference": "torch"}, {"parity": Parity("parity.py")}, {"parity": None}]
)
def test_nothing_is_measured_without_an_export_or_texts(said: dict[str, object]) -> None:
    found = decided(measured("embed", **said), measured("other", parity=None))  # type: ignore[arg-type]
    assert kinds(found, "parity") == kinds(found, "reference") == []


@pytest.mark.parametrize("precision", LIMITS)
def test_limits_are_those_of_the_precision_less_what_the_manifest_says(precision: str) -> None:
    limits = (("min-cosine", 0.5),)
    found = decided(measured("embed", Parity("parity.py", "a.jsonl", limits), precision))
    given = json.loads(dict(found.target("embed-parity").args)["SLIMBAKE_LIMITS"])
    assert given == {**LIMITS[precision], "min-cosine": 0.5}


def test_a_coarser_precision_is_held_to_no_more_than_a_finer_one() -> None:
    assert len(LIMITS) > 1
    for finer, coarser in pairwise(LIMITS):
        for key, bound in LIMITS[finer].items():
            sign = -1 if key in ("perplexity", "logprobs") else 1
            assert sign * LIMITS[coarser][key] <= sign * bound


def test_what_measures_is_no_code_of_any_variant(tmp_path: Path) -> None:
    found = plan_of(resolve(read(written(tmp_path))))
    assert "parity.py" in found.target("embed").ignore
    assert {"parity.py", "own.jsonl"} <= {*found.target("embed-onnx").ignore}


def written(root: Path) -> Path:
    (root / "code").mkdir()
    (root / "code/parity.py").write_text("")
    shutil.copy(ROOT / "examples/atlas/parity/prose.jsonl", root / "code/own.jsonl")
    (root / "services.yaml").write_text(
        'project: atlas\npython: "3.11"\nbases:\n  ml: {requirements: [torch,'
        " transformers]}\nservices:\n  embed:\n    base: ml\n    context: code\n    weights:"
        " {package: some-model}\n    parity: {min-cosine: 0.9, top10: 1}\n    variants:\n     "
        " torch: {}\n      onnx:\n        inference: onnx\n        parity: {check: parity.py,"
        " texts: code/own.jsonl, min-cosine: 0.95, perplexity: 1e-3}\n"
    )
    return root / "services.yaml"


def test_a_variant_says_key_by_key_what_is_otherwise(tmp_path: Path) -> None:
    torch, onnx = resolve(read(written(tmp_path))).services
    assert onnx.parity is not None
    assert (onnx.parity.check, onnx.parity.texts) == ("parity.py", "code/own.jsonl")
    assert dict(onnx.parity.limits) == {"min-cosine": 0.95, "top10": 1.0, "perplexity": 0.001}
    assert torch.parity is not None
    assert torch.parity.texts == ""


def test_a_parity_is_built_with_its_service_and_leaves_its_figures_beside_the_manifest() -> None:
    found = decided(measured("embed", smoke="smoke.py"))
    names = found.with_checks(("embed",))
    assert names == ("embed", "embed-smoke", "embed-parity", "base-ml-onnx-inventory")
    words = arguments(found, names, Surroundings(externals={}), BakeOptions())
    assert "embed-parity.output=type=local,dest=.slimbake/parity/embed" in words
    assert not [word for word in words if word.startswith("embed-smoke.output")]


def test_an_image_is_known_by_its_parity_too() -> None:
    found = decided(measured("embed", smoke="smoke.py"))
    every = {target.name: f"sha256:{target.name}" for target in found.targets}
    other = {**every, "embed-parity": "sha256:changed"}
    lacking = {name: each for name, each in every.items() if name != "embed-parity"}
    assert of_services(found, every)["embed"] != of_services(found, other)["embed"]
    released = [released_fingerprints(found, each)["embed"] for each in (every, other)]
    assert released[0] != released[1]
    assert "embed" not in of_services(found, lacking)
    assert "embed" not in released_fingerprints(found, lacking)


def test_a_reference_is_pushed_once_and_whoever_measures_takes_it() -> None:
    found = decided(measured("one", smoke="smoke.py"), measured("two"))
    shared = [target.name for target in found.shared_by(("one", "two"))]
    assert shared[-2:] == ["weights-some-model-onnx-int8", "reference-some-model-a"]
    given = relinked(found, {name: f"registry.example.com/{name}@sha256:1" for name in shared})
    needed = " ".join(target.name for target in given.needed(given.with_checks(("one",))))
    assert needed == "inside one one-smoke one-parity"


FIGURES = {
    "task": "embedding",
    "strings": 3,
    "different": ["x"],
    "seconds": 2.5,
    "min-cosine": 0.99,
    "mean-cosine": 0.999,
    "top10": 0.98,
    "limits": {},
    "holds": True,
    "worst": [],
}


def test_figures_of_a_bake_are_kept_without_those_of_the_machine(tmp_path: Path) -> None:
    place = tmp_path / ".slimbake/parity/embed/linux_amd64"
    place.mkdir(parents=True)
    (place / "parity.json").write_text(json.dumps(FIGURES))
    found = kept.measured_parity(Workspace(tmp_path), ("embed", "never"))
    assert found == {"embed": FIGURES}
    kept.write_parity({"old": {"task": "generation"}}, tmp_path)
    kept.write_parity(found, tmp_path)
    assert kept.read_parity(tmp_path).keys() == {"old", "embed"}
    assert not {"seconds", "limits", "holds"} & kept.read_parity(tmp_path)["embed"].keys()


def test_figures_are_a_table_with_what_each_task_has() -> None:
    generation = {
        "task": "generation",
        "strings": 3,
        "different": [],
        "seconds": 1.0,
        "tokens": 0.75,
        "reference": 40.0,
        "service": 41.0,
        "perplexity": 0.025,
    }
    lines = parity_table({"embed": FIGURES, "nlg": generation}).splitlines()
    assert lines[-2].split() == ["embed", "2", "of", "3", "0.99000", "0.99900", "0.9800", "2.5"]
    assert lines[-1].split() == ["nlg", "3", "of", "3", "0.7500", "41.0000", "(+2.500%)", "1.0"]
