"""docs/results.md: what measurements become in it; and that the committed one is what they give."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tools.docs import filled, images, measurements, overview, pages, pictures, scans
from tools.docs.command import files, main
from tools.docs.inputs import RESULTS, WRITEUP, Inputs, agreeing

from slimbake.catalogue import rules

ROOT = Path(__file__).parents[3]
MB = 1_000_000
KINDS = ("uncompressed", "compressed")


def image(*layers: tuple[str, float]) -> dict[str, Any]:
    """An image of these layers: a name, and uncompressed MB; compressed, half of that."""
    made: list[dict[str, Any]] = [
        {
            "diff": name,
            "blob": f"blob {name}",
            "uncompressed": int(size * MB),
            "compressed": int(size * MB / 2),
            "holds": "/weights" if name == "model" else name,
        }
        for name, size in layers
    ]
    return {key: sum(layer[key] for layer in made) for key in KINDS} | {"layers": made}


FILES = {"disk": 1300, "removed": 4, "requested": 1}
FOUND = {"modules": 1200, "found": 1200, "files": FILES, "calls": 50, "succeeded": 40}


def census(size: float, **more: Any) -> dict[str, Any]:
    sizes = {"bare": 2 * int(size * MB), "optimised": int(size * MB)}
    return {**sizes, **FOUND, "lost": [], "differ": [], **more}


def side(cold: float, **sizes: float) -> dict[str, Any]:
    made = {name: dict.fromkeys(KINDS, size * MB) for name, size in sizes.items()}
    together = {"unique_on_host": 900 * MB, "unique_on_registry": 400 * MB}
    sizes_of = {"images": made, **together}
    return {"cold": {"median": cold}, "noop": {"median": None}, "sizes": sizes_of}


INPUTS = Inputs(
    writeup=json.loads(WRITEUP.read_text("utf-8")),
    services=("api", "embedding", "embedding-onnx", "nlg"),
    bases={"api": "web", "embedding": "ml", "embedding-onnx": "ml-onnx", "nlg": "ml"},
    techniques=json.loads((ROOT / RESULTS / "techniques.json").read_text("utf-8")),
    sizes={
        "images": {
            "api": image(("r", 50), ("api", 1)),
            "embedding": image(("r", 50), ("ml", 500), ("model", 100)),
            "embedding-onnx": image(("r", 50), ("onnx", 90)),
            "nlg": image(("r", 50), ("ml", 500), ("nlg", 3)),
        }
    },
    census={"embedding": census(650), "api": census(51, lost=["a", "b"], differ=["c"])},
    bake={
        "sides": {
            "slimbake": side(80, api=51, embedding=650, nlg=553),
            "one by one": side(240, api=150, embedding=1000, nlg=900),
            "parallel": side(140),
        },
        "machine": "a box, 2 cores",
    },
)
NOTHING = Inputs(writeup=INPUTS.writeup, services=INPUTS.services, techniques=INPUTS.techniques)


def cells(document: str, first: str) -> list[str]:
    """The row of a table that begins with a cell."""
    return next(
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in document.splitlines()
        if line.startswith(f"| {first} |")
    )


def test_size_and_losses_of_an_image_stand_in_one_line_or_not_at_all() -> None:
    shown = images.figures(INPUTS)
    sizes = ["1,000.0", "1,300.0", "650.0", "50.0%", "325.0"]
    assert cells(shown, "embedding")[1:] == [*sizes, "0 of 2,555"]
    assert cells(shown, "api")[-1] == "3 of 2,555"
    details = shown[shown.index("modules found") :]
    assert cells(details, "api")[1:] == ["1,200 of 1,200", "2 of 1,305", "1 of 50"]
    assert "so no size is shown: `embedding-onnx`, `nlg`." in shown
    assert not re.search(r"^\| nlg", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("changed", "lacks"),
    [
        ({"census": {"api": census(51.1), "embedding": census(650)}}, "census"),
        ({"bake": {"sides": {"slimbake": side(80, api=50)}}}, "bake"),
    ],
)
def test_a_measurement_of_other_images_does_not_count(changed: dict[str, Any], lacks: str) -> None:
    assert agreeing(INPUTS) == INPUTS
    found = agreeing(replace(INPUTS, **changed))
    assert "api" not in getattr(found, lacks)
    assert getattr(found, lacks) == ({"embedding": census(650)} if lacks == "census" else {})


def test_images_together_are_compared_as_they_share_layers_and_alone_with_alone() -> None:
    shown = overview.page(INPUTS)
    assert cells(shown, "on a host, each alone")[1:] == ["2,050.0", "1,254.0"]
    assert cells(shown, "on a host, shared")[1:] == ["900.0", "654.0"]
    claims = shown[shown.index("claims") :]
    assert cells(claims, "embedding")[1:] == ["1,320 -> 838", "550.0", "0 of 2,555"]
    assert cells(shown, "100% of functions preserved")[-1] == "not reached"
    kept = replace(INPUTS, census={"embedding": census(650)})
    assert cells(overview.page(kept), "100% of functions preserved")[-1] == "true"


def test_blocks_of_pages_are_filled() -> None:
    def block(name: str, inputs: Inputs = INPUTS) -> str:
        return filled.filled(f"<!-- figures: {name} -->\nold\n<!-- end -->", inputs)

    assert "| `embedding` | 1,000.0 MB | 650.0 MB, 35.0% less | 1,200 of" in block("sizes")
    assert "654.0 MB on a host, by hand 900.0 MB: both share layers." in block("together")
    assert "build takes 80 s, by hand 240 s one after the other, and 140 s" in block("together")
    assert all(f"| `{each.name}` | {each.about} |" in block("rules") for each in rules())
    for name in ("sizes", "together"):
        assert "unmeasured" in block(name, NOTHING)
    with pytest.raises(KeyError):
        block("other")


def test_bakes_are_compared_with_slimbakes() -> None:
    shown = measurements.builds(INPUTS)
    assert cells(shown, "one by one")[1:] == ["240.00", "3.00", "unmeasured", "unmeasured"]


def test_what_a_scanner_sees_is_a_row_for_each_image() -> None:
    counts = {"debian": 1_087, "python": 3, "set_id": ["/usr/bin/su", "/usr/bin/mount"]}
    by_hand = {"name": "api", "side": "one by one", **counts}
    found = {"scanner": "trivy 0.76", "stand_in": True, "images": [by_hand]}
    shown = scans.figures(replace(INPUTS, scan=found))
    assert cells(shown, "`api`")[1:] == ["by hand", "1,087", "3", "2"]
    assert "as trivy 0.76 finds them" in shown and "stands in" in shown
    assert "unmeasured: run `bench/scan.py --record`" in scans.figures(NOTHING)


def test_without_any_measurement_no_figure_is_made_up() -> None:
    made = pages(NOTHING)
    shown = "\n".join(made.values())
    scripts = [f"bench/{name}.py" for name in ("bake", "census", "scan", "sharing", "starts")]
    assert [each for each in (*scripts, "slimbake sizes --record") if each not in shown] == []
    assert "0.0" not in made["docs/results.md"].replace("1,000,000", "")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """This one's manifest and locks, with made-up sizes."""
    for name in ("examples", "libs", "bake/locks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "services.yaml", tmp_path / "services.yaml")
    (tmp_path / "bake" / "sizes.json").write_text(json.dumps(INPUTS.sizes))
    (tmp_path / RESULTS).mkdir(parents=True)
    shutil.copy(ROOT / RESULTS / "techniques.json", tmp_path / RESULTS)
    return tmp_path


def test_check_compares_the_document(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--root", str(repository)]
    assert main([*words, "--check"]) == 4, "it was never written"
    assert main(words) == 0
    assert main([*words, "--check"]) == 0
    assert "| 650.0 |" not in (repository / "docs/results.md").read_text()
    capsys.readouterr()
    (repository / RESULTS / "census.json").write_text(json.dumps(INPUTS.census))
    assert main([*words, "--check"]) == 4
    assert "docs/results.md is stale: run tools/docs/results.py" in capsys.readouterr().err


def test_committed_pages_and_pictures_are_what_the_measurements_and_the_code_give() -> None:
    stale = []
    for name, made in files(ROOT).items():
        if not (ROOT / name).is_file() or (ROOT / name).read_text("utf-8") != made:
            stale.append(name)
    assert not stale, "run tools/docs/results.py"


def test_a_picture_without_measurements_says_unmeasured() -> None:
    for picture in (pictures.layers, pictures.sizes, pictures.sharing, pictures.builds):
        assert "unmeasured" in picture(NOTHING)
