"""docs/results.md: what evidence and measurements become in it; and that the committed one is what
they give.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench.document import claims, measurements, pages, parity, passes, pictures, recording, svg
from bench.document.cells import table
from bench.document.command import files, main
from bench.document.inputs import WRITEUP, Inputs, Layer
from bench.document.terminal import Screen

from slimbake.catalogue.model import Pass
from slimbake.catalogue.read import catalogue
from slimbake.evidence.model import Evidence, Finding, Question, Verdict

ROOT = Path(__file__).parents[3]
MB = 1_000_000

HEADERS = Pass(
    name="torch.headers",
    about="",
    why="",
    costs="building",
    packages=(("torch", ""),),
    remove=("torch/i/**",),
)
DYNAMO = Pass(
    name="torch.dynamo",
    about="",
    why="",
    costs="",
    packages=(("torch", ""),),
    remove=("torch/_dynamo/**",),
)
TESTS = Pass(name="files.test-data", about="", why="", costs="", remove=("**/tests/**",))
OTHER = Pass(
    name="onnx.tools", about="", why="", costs="", packages=(("onnx", ">=2"),), remove=("onnx/**",)
)
OPTIMIZE = Pass(
    name="environment.optimize-2", about="", why="", costs="", env=(("PYTHONOPTIMIZE", "2"),)
)

ERROR = "Traceback\nModuleNotFoundError: No module named 'torch._dynamo' | ...\nsmoke: load failed"


def finding(of: Pass, verdict: Verdict, zstd: int, **more: Any) -> Finding:
    return Finding(
        **{
            "digest": of.digest,
            "verdict": verdict,
            "files": 3,
            "bytes": 4 * zstd,
            "zstd": zstd,
            **more,
        }
    )


def layer(name: str, pins: dict[str, str], services: tuple[str, ...], **found: Finding) -> Layer:
    known = {key.replace("_", "."): value for key, value in found.items()}
    checks = dict.fromkeys(services, "")
    question = Question(
        layer=name, pins=tuple(pins.items()), inputs="", platform="linux/amd64", checks=checks
    )
    evidence = Evidence(
        layer=name, platform="linux/amd64", inputs="", unpruned="", checks=checks, passes=known
    )
    return Layer(question, evidence)


def image(uncompressed: int, **more: Any) -> dict[str, Any]:
    sizes = {
        "uncompressed": uncompressed * MB,
        "gzip": 40 * MB,
        "zstd": 30 * MB,
        "weights": 100 * MB,
    }
    return {**sizes, "startup": 2.0, "rss": 200 * MB, **more}


ML = layer(
    "base-ml",
    {"torch": "2.13.0", "onnx": "1.0"},
    ("embedding", "nlg"),
    torch_headers=finding(HEADERS, "proven", 5 * MB, marginal=7),
    torch_dynamo=finding(DYNAMO, "refuted", 3 * MB, service="nlg", level="load", error=ERROR),
    **{"files_test-data": finding(TESTS, "proven", 2 * MB)},
)
WEB = layer(
    "base-web",
    {"anyio": "4"},
    ("embedding", "nlg", "api"),
    **{"files_test-data": finding(TESTS, "idle", 0, files=0)},
)
INPUTS = Inputs(
    writeup=json.loads(WRITEUP.read_text("utf-8")),
    passes=(OPTIMIZE, TESTS, OTHER, DYNAMO, HEADERS),
    services=("api", "embedding", "nlg", "client"),
    bases={"api": "web", "embedding": "ml", "nlg": "ml"},
    verified=frozenset({"embedding"}),
    layers=(WEB, ML),
    images={
        "services": {
            "embedding": {"without": image(1200), "with": image(619, startup=1.0)},
            "nlg": {"without": image(1100), "with": image(510)},
            "api": {"without": image(180), "with": image(160)},
        },
        "fleet": {
            "without": {"host": 1500 * MB, "registry": 60 * MB},
            "with": {"host": 700 * MB, "registry": 45 * MB},
        },
    },
)
NOTHING = Inputs(writeup=INPUTS.writeup, passes=INPUTS.passes, services=INPUTS.services)


def cells(document: str, first: str) -> list[str]:
    """The row of a table that begins with a cell."""
    return next(
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in document.splitlines()
        if line.startswith(f"| {first} |")
    )


def test_images_stand_without_their_weights_beside_the_write_up_and_work_by_hand() -> None:
    shown = claims.images(INPUTS)
    assert cells(shown, "embedding") == [
        "embedding",
        "1,320 -> 838",
        "1,396 -> 1,219",
        "unmeasured",
        "1,100.0",
        "519.0",
        "52.8%",
        "38.1%",
        "smoke and verify pass",
    ]
    assert cells(shown, "nlg")[-1] == "smoke passes"
    assert cells(shown, "the three together")[1:6] == [
        "3,008 -> 1,911",
        "2,755 -> 2,414",
        "unmeasured",
        "2,180.0",
        "989.0",
    ]
    assert cells(shown, "client")[-1] == "no packages: no passes"


def test_images_of_the_baselines_are_compared_where_these_were_measured() -> None:
    sizes = {"images": {"embedding": {"uncompressed": 1319 * MB}}}
    assert (
        cells(
            claims.images(replace(INPUTS, bake={"sides": {"one by one": {"sizes": sizes}}})),
            "embedding",
        )[3]
        == "1,219.0"
    )


def test_a_technique_is_what_its_pass_was_found_to_be_on_all_layers() -> None:
    shown = claims.techniques(INPUTS)
    assert cells(shown, "remove torch/include") == [
        "remove torch/include",
        "torch.headers",
        "proven",
        "20.0 MB",
        "5.0 MB",
        "",
    ]
    moved = "modules that no start needs move to the cold store, where they stay importable"
    assert cells(shown, "remove torch/_dynamo")[1:] == ["-", "no pass", "", "", moved]
    assert cells(shown, "remove tests")[2:5] == ["proven", "8.0 MB", "2.0 MB"]
    assert cells(shown, "zstd")[-1] == "measured in [images](images.md)"
    assert cells(shown, "PYTHONOPTIMIZE")[2] == "unmeasured"


def test_what_holds_on_one_layer_and_not_on_another_is_not_called_proven() -> None:
    elsewhere = replace(ML.question, layer="other")
    other = Layer(
        elsewhere, layer("other", {}, ("embedding", "nlg"), torch_headers=REFUTED).evidence
    )
    assert (
        passes.found("torch.headers", replace(INPUTS, layers=(ML, other))).verdict
        == "proven on base-ml, else refuted"
    )
    untried = Layer(elsewhere)
    found = passes.found("torch.headers", replace(INPUTS, layers=(ML, untried)))
    assert (found.verdict, found.words) == ("proven on base-ml", "unmeasured on 1 more layer")


REFUTED = finding(HEADERS, "refuted", 1, level="import", error="ImportError: no")


def test_evidence_of_a_pass_that_has_changed_counts_for_nothing() -> None:
    changed = replace(HEADERS, remove=("torch/include/**",))
    found = passes.found("torch.headers", replace(INPUTS, passes=(changed,)))
    assert (found.verdict, found.bytes) == ("unmeasured", None)


def test_passes_stand_by_what_they_save_compressed() -> None:
    shown = passes.returns(INPUTS)
    assert (
        shown.index("| torch.headers |")
        < shown.index("| files.test-data |")
        < shown.index("| torch.dynamo |")
    )
    assert cells(shown, "torch.headers") == [
        "torch.headers",
        "3",
        "20.0 MB",
        "5.0 MB",
        "7 B",
        "building",
        "",
    ]
    assert cells(shown, "files.test-data")[4] == "unmeasured"
    assert "Nothing that they name is there: files.test-data." in shown
    assert cells(shown, "onnx.tools") == ["onnx.tools", "onnx is 1.0, not >=2"]


@pytest.mark.parametrize(
    "changed", [{"inputs": "another lock"}, {"checks": {"embedding": "another smoke", "nlg": ""}}]
)
def test_evidence_of_other_packages_or_checks_counts_for_nothing(changed: dict[str, Any]) -> None:
    layers = (WEB, replace(ML, question=replace(ML.question, **changed)))
    found = passes.found("torch.headers", replace(INPUTS, layers=layers))
    assert (found.verdict, found.bytes) == ("unmeasured", None)


def test_start_up_and_memory_stand_with_their_ratios() -> None:
    assert cells(measurements.starts(INPUTS), "embedding") == [
        "embedding",
        "2.00",
        "1.00",
        "0.50",
        "200.0",
        "200.0",
        "1.00",
    ]


def test_a_variable_is_refuted_where_one_service_fails_with_it() -> None:
    sides = {
        "without": {"startup": 2.0, "rss": 100 * MB},
        "with": {"startup": 1.0, "rss": 90 * MB},
        "ratio": {"startup": 0.51, "rss": 0.9},
    }
    of = {
        "embedding": {"held": False, "level": "load", "error": "a\nTypeError: docstrings"},
        "api": {"held": True, **sides},
    }
    known = {
        **INPUTS.images,
        "environment": {OPTIMIZE.name: {"digest": OPTIMIZE.digest, "services": of}},
    }
    inputs = replace(INPUTS, images=known)
    assert claims.variable(OPTIMIZE.name, inputs).words == "embedding: load `TypeError: docstrings`"
    rows = [
        line
        for line in measurements.starts(inputs).splitlines()
        if line.startswith("| environment.")
    ]
    assert (
        "| api | works | 2.00 -> 1.00 | 0.51 | 100.0 -> 90.0 | 0.90 | unmeasured | unmeasured |"
        in rows[0]
    )
    assert "refuted: load `TypeError: docstrings`" in rows[1]


def test_what_a_variable_costs_in_time_stands_beside_its_verdict() -> None:
    side = {"startup": 1.0, "rss": MB, "calls": 1.0}
    of = {
        "api": {
            "held": True,
            "machine": "a box",
            "load": 0.3,
            "without": side,
            "with": side,
            "ratio": {"startup": 2.4, "rss": 1.0, "calls": 1.05},
        }
    }
    known = {
        **INPUTS.images,
        "environment": {OPTIMIZE.name: {"digest": OPTIMIZE.digest, "services": of}},
    }
    inputs = replace(INPUTS, images=known)
    assert claims.variable(OPTIMIZE.name, inputs).words.endswith("; api starts 2.4 times as long")
    shown = measurements.starts(inputs)
    assert "| api | works, but starts 2.4 times as long | 1.00 -> 1.00 | 2.40 |" in shown
    assert "Measured on: a box; load before each 0.3 to 0.3." in shown


def test_images_say_which_machine_measured_them() -> None:
    services = {**INPUTS.images["services"]}
    services["api"] = {**services["api"], "measured": {"machine": "a box", "load": 0.2}}
    services["nlg"] = {**services["nlg"], "measured": {"machine": "a box", "load": 1.5}}
    shown = measurements.starts(replace(INPUTS, images={**INPUTS.images, "services": services}))
    assert "Measured on: a box; load before each 0.2 to 1.5." in shown
    assert "Machine: unmeasured." in measurements.starts(INPUTS)


def test_sharing_is_held_against_the_claim() -> None:
    shown = measurements.stored(INPUTS)
    assert cells(shown, "all images on a host")[1:] == ["1,500.0", "700.0", "53.3%"]
    assert cells(shown, "3 images on a registry, MB, without passes")[1:] == [
        "90.0",
        "60.0",
        "33.3%",
        "not reached",
    ]
    assert cells(shown, "3 images on a host, MB, with passes")[1:] == [
        "1,289.0",
        "700.0",
        "45.7%",
        "true",
    ]


def test_a_host_with_the_base_pulls_what_lies_above_it() -> None:
    layers = [
        {"diff": name, "compressed": size} for name, size in (("r", 15 * MB), ("ml", 200 * MB))
    ]
    own = {
        name: [{"diff": name, "compressed": size}]
        for name, size in (("embedding", 85 * MB), ("nlg", MB))
    }
    images = {name: {"layers": [*layers, *above]} for name, above in own.items()}
    shown = measurements.stored(
        replace(INPUTS, sizes={"images": {**images, "api": {"layers": layers[:1]}}})
    )
    pulled = shown[shown.index("pulled, MB") :]
    assert cells(pulled, "embedding") == ["embedding", "ml", "300.0", "85.000", "28.3%"]
    assert cells(pulled, "api")[2:] == ["unmeasured"] * 3, (
        "no other service tells where its base ends"
    )
    assert cells(pulled, "client")[2:] == ["unmeasured"] * 3


@pytest.mark.parametrize(("after", "verdict"), [(104.9, "true"), (105.1, "not reached")])
def test_clean_up_may_add_five_seconds(after: float, verdict: str) -> None:
    sides = {
        "without": {"median": 100.0, "runs": [100.0]},
        "with": {"median": after, "runs": [after, after]},
    }
    assert f"**{verdict}**" in measurements.builds(
        replace(INPUTS, prune={"sides": sides, "machine": "a box"})
    )


def test_bakes_stand_beside_those_by_hand() -> None:
    side = {"cold": {"median": 100.0}, "noop": {"median": None}}
    bake = {
        "sides": {"slimbake": side, "one by one": {**side, "cold": {"median": 350.0}}},
        "machine": "a box, 2 cores",
    }
    shown = measurements.builds(replace(INPUTS, bake=bake))
    assert "Measured on: a box, 2 cores." in shown
    assert cells(shown, "cold bake") == ["cold bake", "100.00", "350.00", "3.50"]
    assert cells(shown, "no-op bake") == ["no-op bake", *["unmeasured"] * 3]


def test_limits_have_the_ratio_of_what_is_above_the_runtime_to_what_is_used() -> None:
    of = {
        "image": 600 * MB,
        "opened": None,
        "smallest": 560 * MB,
        "above": 550 * MB,
        "used": 500 * MB,
        "left": None,
    }
    assert cells(measurements.limits(replace(INPUTS, limits={"nlg": of})), "nlg") == [
        "nlg",
        "600.0",
        "unmeasured",
        "unmeasured",
        "560.0",
        "550.0",
        "500.0",
        "1.10",
        "unmeasured",
    ]


def test_without_any_measurement_no_figure_is_made_up() -> None:
    made = pages(NOTHING)
    shown = "\n".join(made.values())
    for command in (
        "bench/bake.py",
        "bench/prune.py",
        "slimbake limits --record",
        "slimbake sizes --record",
    ):
        assert command in shown
    for name in ("starts", "serving", "bytes", "builds", "limits"):
        assert "0.0" not in made[f"docs/results/{name}.md"]


def test_every_technique_names_passes_of_the_catalogue() -> None:
    known = {each.name for each in catalogue(ROOT)}
    assert [
        name
        for each in INPUTS.writeup["techniques"]
        for name in each["by"]
        if name not in known and "instead" not in each
    ] == []


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """This one's manifest and locks, with made-up evidence."""
    for name in ("examples", "libs", "bake/locks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "services.yaml", tmp_path / "services.yaml")
    (tmp_path / "bake/evidence").mkdir(parents=True)
    (tmp_path / "bake/evidence" / "images.json").write_text(json.dumps(INPUTS.images))
    return tmp_path


def test_check_compares_the_document_with_what_would_be_written(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--root", str(repository)]
    assert main([*words, "--check"]) == 4, "it was never written"
    assert main(words) == 0
    assert main([*words, "--check"]) == 0
    assert "| embedding | 1,320 -> 838 |" in (repository / "docs/results/images.md").read_text()
    capsys.readouterr()
    (repository / "bake/evidence" / "limits.json").write_text("{}")
    known = {**INPUTS.images, "fleet": {}}
    (repository / "bake/evidence" / "images.json").write_text(json.dumps(known))
    assert main([*words, "--check"]) == 4
    assert "docs/results/bytes.md is stale: run bench/results.py" in capsys.readouterr().err


def test_committed_pages_and_pictures_are_what_the_measurements_and_the_code_give() -> None:
    stale = [
        name
        for name, made in files(ROOT).items()
        if not (ROOT / name).is_file() or (ROOT / name).read_text("utf-8") != made
    ]
    assert not stale, "run bench/results.py"


def test_rows_of_techniques_differ_in_their_names() -> None:
    text = (ROOT / "docs/results.md").read_text("utf-8").partition("## Techniques")[2]
    names = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    assert len(names) == len({*names}) > 30


def test_a_cell_that_is_too_long_ends_after_a_whole_part() -> None:
    cell = table(("heads",), [("; ".join(["`a figure` of it"] * 9),)]).splitlines()[2]
    assert cell == f"| {'`a figure` of it; ' * 6}... |"


def test_a_picture_without_measurements_says_unmeasured() -> None:
    assert "unmeasured" in pictures.sizes(NOTHING)
    assert "unmeasured" in pictures.sharing(NOTHING)
    assert "unmeasured" in pictures.builds(NOTHING)


def test_a_bar_is_as_long_as_its_value() -> None:
    panel = svg.Panel("sizes", "MB", [("", [svg.Bar("a", 200.0), svg.Bar("<b>", 100.0)])])
    drawn = svg.chart("sizes", [panel], "")
    widths = [float(each) for each in re.findall(r'y="\d+" width="([\d.]+)" height="17"', drawn)]
    assert widths[0] == 2 * widths[1]
    assert "&lt;b&gt;" in drawn


def test_a_recording_shows_its_last_moment_to_readers_who_want_no_motion() -> None:
    head = {"title": "slimbake bake", "duration": 60.0}
    lines = [[float(at), "o", f"\r\x1b[2Kline {at}"] for at in range(0, 60, 2)]
    drawn = recording.drawing("\n".join(json.dumps(each) for each in (head, *lines)))
    assert drawn.count('class="f') == drawn.count(" moment") + 1
    assert re.search(r'<g class="f\d+">[^\n]*line 58', drawn), "the last is always there"
    assert "line 0" in drawn
    assert "Recorded: 60 s" in drawn


def test_a_screen_is_written_over_as_a_terminal_is() -> None:
    screen = Screen()
    screen.feed("said\r\none\r\ntwo\r\n\x1b[?25l\x1b[2A\r\x1b[2K\x1b[1mONE\x1b[0m\x1b[")
    assert screen.shown() == ("said", "ONE", "two")
    screen.feed("1B")
    screen.feed("\r\n\x1b[1A\x1b[2Kthree")
    assert screen.shown() == ("said", "three", "two")


def test_parity_has_a_row_for_each_image_and_no_figure_that_its_task_lacks() -> None:
    embeds = {
        "texts": 970,
        "strings": 38,
        "different": [],
        "min-cosine": 0.9995,
        "mean-cosine": 0.99981,
        "top10": 0.9866,
    }
    generates = {
        "prompts": 24,
        "passages": 48,
        "strings": 36,
        "different": [{}],
        "tokens": 0.739,
        "perplexity": 0.0007,
    }
    shown = parity.figures(
        replace(
            INPUTS, parity={"nlg-onnx": generates | {"logprobs": 0.04}, "embedding-onnx": embeds}
        )
    )
    assert shown.splitlines()[-2:] == [
        "| embedding-onnx | 970 | 0 of 38 | 0.99950 | 0.99981 | 0.987 | - | - | - |",
        "| nlg-onnx | 24 prompts, 48 passages | 1 of 36 | - | - | - | 73.9% | 0.070% | 0.0400 |",
    ]
    assert "unmeasured" in parity.figures(replace(INPUTS, parity={}))
