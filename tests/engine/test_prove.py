"""Passes proven on a toy fleet: tried for real, kept as evidence, carried by a bake, reported by the
image.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import Toy, call, docker, fleet
from tests.engine.toys import entry
from tests.patience import far_enough, wait_for

from slimbake.catalogue.model import Applied
from slimbake.host.wheels import MACHINES
from slimbake.images import this_platform
from slimbake.plan.model import Target
from slimbake.proof.trial import Subject, trial

pytestmark = pytest.mark.slow

PASSES = """\
passes:
  toy.compat:
    about: removes the tables of IDNA 2003
    why: Nobody asks for them.
    costs: uts46=True
    packages: {idna: ""}
    remove: [idna/uts46data.py]
  toy.data:
    about: removes the tables of IDNA 2008
    why: A mistake.
    packages: {idna: ""}
    remove: [idna/idnadata.py]
  toy.six:
    about: leaves six out
    why: Nobody imports it.
    drop: [six]
  toy.nothing:
    about: removes what was misspelt
    why: A mistake.
    packages: {idna: ""}
    remove: [idna/uts46dta.py]
  toy.bare:
    about: compiles nothing
    why: A mistake, it makes a start slow.
    packages: {idna: ""}
    uncompiled: ["idna/**"]
"""
APP = """\
import sys

import idna

if __name__ == "__main__":
    if sys.argv[1:] == ["old"]:
        idna.encode("Ä", uts46=True)
    if sys.argv[1:] == ["six"]:
        import six
    print(idna.encode("ä").decode())
"""
SMOKE = (
    "def imports():\n    import app\n\n\ndef load():\n    import idna\n\n    assert"
    " idna.encode('ä') == b'xn--4ca'\n"
)
VERIFY = "def verify(service):\n    assert service.run().stdout == 'xn--4ca\\n'\n"
PROVEN = {"toy.compat", "toy.six"}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """One service on a base, and passes of the fleet's own beside those of the catalogue."""
    with fleet(tmp_path_factory.mktemp("proven")) as made:
        made.write(
            "optimize: observed\nbases: {small: {requirements: [idna, six]}}\nservices:\n"
            + entry("one", "    base: small\n    verify: verify.py\n"),
            {
                "passes.yaml": PASSES,
                "one/app.py": APP,
                "one/smoke.py": SMOKE,
                "one/verify.py": VERIFY,
            },
        )
        yield made


@pytest.fixture(scope="module")
def proven(toy: Toy) -> str:
    """What the first prove, of the toy's own passes and two of the catalogue's, said on stderr."""
    names = [
        "toy.compat",
        "toy.data",
        "toy.six",
        "toy.nothing",
        "toy.bare",
        "metadata.records",
        "files.stubs",
    ]
    done = toy.slimbake("prove", *(word for name in names for word in ("--pass", name)))
    assert done.code == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def baked(toy: Toy, proven: str) -> str:
    """The image that carries what was proven."""
    done = toy.slimbake("bake", "--frozen")
    assert done.code == 0, done.stderr
    return toy.image("one")


def findings(toy: Toy) -> dict[str, dict[str, Any]]:
    return dict(json.loads((toy.root / "bake/evidence/base-small.json").read_text())["passes"])


def in_image(image: str, code: str) -> str:
    return call("docker", "run", "--rm", "--entrypoint=python", image, "-c", code).stdout.strip()


def test_each_pass_has_the_verdict_that_it_deserves(toy: Toy, proven: str) -> None:
    found = findings(toy)
    assert {name for name, finding in found.items() if finding["verdict"] == "proven"} >= PROVEN
    assert found["toy.data"]["verdict"] == "refuted" and found["toy.data"]["level"] == "import"
    assert "ImportError: cannot import name" in found["toy.data"]["error"]
    assert found["toy.bare"]["verdict"] == "refuted" and found["toy.bare"]["level"] == "startup"
    assert (
        found["metadata.records"]["verdict"] == "refuted"
        and "metadata" in found["metadata.records"]["error"]
    )
    assert found["toy.nothing"]["verdict"] == "idle"
    assert "base-small: toy.nothing matches nothing; did you mean idna/uts46data.py?\n" in proven


def test_a_proven_pass_saves_bytes_alone_and_beside_all_others(toy: Toy, proven: str) -> None:
    compat = findings(toy)["toy.compat"]
    assert compat["files"] == 2, "a module and its bytecode"
    assert compat["bytes"] == compat["marginal"] > 100_000
    assert 0 < compat["zstd"] < compat["bytes"]


def test_images_are_measured_without_passes_and_with_them(toy: Toy, proven: str) -> None:
    assert not (toy.root / "bake/evidence/images.json").exists()
    assert toy.slimbake("prove", "--images").code == 0
    sides = json.loads((toy.root / "bake/evidence/images.json").read_text())["services"]["one"]
    assert sides["with"].keys() == sides["without"].keys()
    for figure in ("uncompressed", "gzip", "zstd"):
        assert 0 < sides["with"][figure] < sides["without"][figure]


def test_what_is_fresh_is_not_tried_again_and_nothing_is_built(toy: Toy, proven: str) -> None:
    before = findings(toy)
    again = toy.slimbake("prove", "--stale")
    assert (again.code, again.stderr) == (
        0,
        "nothing to try: what is asked for is fresh, or no layer has it\n",
    )
    assert "toy.compat" in again.stdout and findings(toy) == before


def test_an_image_lacks_what_passes_remove_and_holds_nothing_twice(baked: str) -> None:
    listed = in_image(
        baked, "import importlib.metadata as m; print(sorted(d.name for d in m.distributions()))"
    )
    assert listed == "['idna']"
    assert docker("run", "--rm", baked) == "xn--4ca\n"
    record = in_image(
        baked, "import importlib.metadata as m; print(m.distribution('idna').read_text('RECORD'))"
    )
    assert "idna/core.py" in record and "uts46data" in record, "it is the wheel's own"


def test_a_failed_import_names_the_pass(baked: str) -> None:
    old = call("docker", "run", "--rm", baked, "python", "-m", "app", "old")
    assert "No module named 'idna.uts46data': the pass toy.compat removed it" in old.stderr
    assert (
        "No module named 'six': the pass toy.six removed it"
        in call("docker", "run", "--rm", baked, "python", "-m", "app", "six").stderr
    )
    assert in_image(baked, "import importlib.util as u; print(u.find_spec('six'))") == "None"


def test_why_names_the_pass_what_it_costs_and_the_bytes(toy: Toy, baked: str) -> None:
    done = toy.slimbake("why", "idna.uts46data")
    assert done.code == 0 and done.stdout.startswith(
        "toy.compat (observed), on base-small, in one\n"
    ), done.stdout
    assert "uts46=True" in done.stdout and re.search(
        r"idna/uts46data\.py  [\d.]+ kB  idna 3", done.stdout
    )
    assert toy.slimbake("why", "idna.core").code == 3


def test_what_is_left_out_is_not_in_the_sbom(toy: Toy, baked: str) -> None:
    names = {component["name"] for component in toy.slimbake("sbom", "one").json()["components"]}
    assert "idna" in names and "six" not in names


LISTING = """
import hashlib, pathlib
for path in sorted(pathlib.Path("/opt/slimbake/lib").rglob("*")):
    if path.is_file() and "_slimbake_ledger" not in path.name:
        print(path, hashlib.sha256(path.read_bytes()).hexdigest())
"""
APPLIED = """
import json, pathlib, sys
sys.path.insert(0, "/check.pyz")
from slimbake.inside.passes import LayerFiles, apply_passes, parse_pass
layer = LayerFiles.of_image(pathlib.Path("/opt/slimbake"))
passes = [parse_pass(each) for each in json.load(sys.stdin)["passes"]]
apply_passes(layer, passes, compiled=True)
"""


def test_a_trial_leaves_the_files_that_a_build_leaves(toy: Toy, baked: str) -> None:
    """The same program applies passes in both; here what comes of it is compared, file by file."""
    said = (toy.root / "bake/dockerfiles/passes/base-small.json").read_text()
    assert len(json.loads(said)["passes"]) >= len(PROVEN)
    tried = docker(
        "run",
        "--rm",
        "--interactive",
        "--user=0:0",
        f"--volume={toy.root}/bake/programs/check.pyz:/check.pyz:ro",
        "--entrypoint=python",
        toy.staged("one", "unpruned"),
        "-c",
        APPLIED + LISTING,
        stdin=said,
    )
    assert tried.strip() == in_image(baked, LISTING)


def test_evidence_that_nobody_measured_does_not_survive(toy: Toy, baked: str) -> None:
    file = toy.root / "bake/evidence/base-small.json"
    text = file.read_text()
    assert toy.slimbake("prove", "--recheck", "--sample", "2").code == 0
    file.write_text(re.sub(r'"files": (\d+)', lambda found: f'"files": {int(found[1]) + 1}', text))
    try:
        forged = toy.slimbake("prove", "--recheck", "--sample", "2")
        assert forged.code == 6 and "the evidence is wrong: " in forged.stderr
        assert "--seed" in forged.stderr
    finally:
        file.write_text(text)


def test_an_edit_of_code_leaves_evidence_fresh_and_one_of_a_smoke_does_not(
    toy: Toy, baked: str
) -> None:
    toy.file("one/app.py", APP + "\n# edited\n")
    assert toy.slimbake("bake", "--frozen").code == 0
    toy.file("one/smoke.py", SMOKE + "\n# edited\n")
    try:
        frozen = toy.slimbake("bake", "--frozen")
        assert frozen.code == 4 and "generated files are stale" in frozen.stderr
        loose = toy.slimbake("bake")
        lost = (
            r"base-small lost [^\n]*toy\.compat, toy\.six \(up to 0\.\d MB\): the check of one has"
        )
        assert loose.code == 0 and re.search(lost, loose.stderr), loose.stderr
        assert "six" in in_image(toy.image("one"), "import six; print(six.__name__)")
        renewed = toy.slimbake("prove", "--stale", "--pass", "toy.six", "--pass", "toy.compat")
        assert renewed.code == 0, renewed.stderr
        assert "base-small: its packages are the same, and so is what passes save" in renewed.stderr
        assert toy.slimbake("bake", "--frozen").code == 0
    finally:
        toy.file("one/smoke.py", SMOKE)
        toy.file("one/app.py", APP)


def test_what_was_proven_and_does_not_hold_any_more_is_found_among_all_that_was(
    toy: Toy, baked: str
) -> None:
    files = {path: path.read_bytes() for path in (toy.root / "bake/evidence").glob("*.json")}
    toy.file("one/smoke.py", f"{SMOKE}    import six\n")
    try:
        done = toy.slimbake("prove", "--stale", "--pass", "toy.six", "--pass", "toy.compat")
        assert done.code == 0, done.stderr
        assert "so each of the passes is tried by itself" in done.stderr
        verdicts = {name: findings(toy)[name]["verdict"] for name in ("toy.six", "toy.compat")}
        assert verdicts == {"toy.six": "refuted", "toy.compat": "proven"}
    finally:
        toy.file("one/smoke.py", SMOKE)
        for path, content in files.items():
            path.write_bytes(content)


def test_every_control_is_caught_and_a_weak_smoke_learns_what_to_add(toy: Toy, baked: str) -> None:
    done = toy.slimbake("prove", "--control", "--wide")
    assert done.code == 0, done.stderr
    assert "idna removed" in done.stdout
    toy.file(
        "one/smoke.py",
        "def imports():\n    try:\n        import idna\n    except ImportError:\n        pass\n",
    )
    try:
        weak = toy.slimbake("prove", "--control", "--wide")
        assert weak.code == 6 and "too weak: one" in weak.stderr
        assert (
            "let `imports()` import idna, or what needs it, and let no exception pass"
            in weak.stdout
        )
    finally:
        toy.file("one/smoke.py", SMOKE)


def test_a_prove_that_was_ended_goes_on_where_it_stopped(toy: Toy, baked: str) -> None:
    toy.file("one/smoke.py", SMOKE + "\n# another\n")
    try:
        committed = {
            path: path.read_bytes() for path in (toy.root / "bake/evidence").glob("*.json")
        }
        both = ("prove", "--pass", "toy.compat", "--pass", "toy.six")
        words = [sys.executable, "-m", "slimbake", *both]
        with subprocess.Popen(words, cwd=toy.root, stderr=subprocess.PIPE, text=True) as running:
            assert running.stderr is not None
            tried = next(line for line in running.stderr if ": passed (" in line)
            running.send_signal(signal.SIGTERM)
            running.communicate()
        assert running.returncode == 130
        ours = f"--filter=label=slimbake.project={toy.project}"
        wait_for(lambda: docker("ps", "--quiet", ours) == "", "the end of the trial")
        assert {
            path: path.read_bytes() for path in (toy.root / "bake/evidence").glob("*.json")
        } == committed
        kept = len(list((toy.root / ".slimbake/trials").rglob("*.json")))
        lost = toy.slimbake("prove", "--pass", "toy.compat")
        assert lost.code == 2 and "other proven passes is stale, and would be gone" in lost.stderr
        again = toy.slimbake(*both)
        assert again.code == 0 and tried.partition(" (")[0] in again.stderr
        assert kept >= 1
    finally:
        toy.file("one/smoke.py", SMOKE)


@pytest.mark.parametrize(
    ("words", "level", "said"),
    [
        ("import time; time.sleep(3600)", "time", "in load\n"),
        ("b'x' * (5 << 30)", "memory", "it took more than 4.0 GB of memory"),
    ],
)
def test_a_smoke_that_hangs_or_eats_all_memory_without_something_is_ended_and_named(
    words: str, level: str, said: str, toy: Toy, baked: str
) -> None:
    toy.file(
        "one/odd.py",
        "def load():\n    try:\n        import idna.uts46data\n    except ImportError:\n       "
        f" {words}\n",
    )
    smoke = Target(
        name="one-smoke",
        kind="smoke",
        service="one",
        context="one",
        dockerfile="",
        recipe=None,
        args=(("SLIMBAKE_SMOKE", "odd.py"),),
    )
    subject = Subject("one", toy.staged("one", "unpruned"), smoke, toy.root)
    without = Applied(name="toy.compat", packages=("idna",), remove=("idna/uts46data.py",))
    assert trial(subject, ()).held
    outcome = far_enough(
        lambda limit: trial(subject, (without,), environment={"SLIMBAKE_LIMIT": str(limit)}),
        lambda outcome: said in outcome.error,
    )
    assert (outcome.held, outcome.level) == (False, level)
    assert said in outcome.error


def test_a_smoke_that_writes_to_its_root_or_needs_a_network_fails_before_anything_is_tried(
    toy: Toy, baked: str
) -> None:
    """The image without passes fails already: nothing is tried, and it is said why."""
    for words, expected in (
        ("open('/opt/slimbake/new', 'w')", "Permission denied"),
        (
            "import urllib.request as r; r.urlopen('http://192.0.2.1', timeout=3)",
            "Network is unreachable",
        ),
    ):
        toy.file("one/smoke.py", f"{SMOKE}    {words}\n")
        try:
            done = toy.slimbake("prove", "--stale")
            assert (
                done.code == 6
                and "the smoke of one failed" in done.stderr
                and expected in done.stderr
            )
        finally:
            toy.file("one/smoke.py", SMOKE)


def test_a_reference_is_of_the_image_without_passes(toy: Toy, baked: str) -> None:
    seen = (
        "\n\ndef reference():\n    import importlib.util\n\n    return"
        " importlib.util.find_spec('six') is not None\n"
    )
    toy.file("one/smoke.py", f"{SMOKE}{seen}\n\ndef parity(reference):\n    assert reference\n")
    reference = toy.root / "one/reference.json"
    try:
        assert toy.slimbake("smoke", "one", "--reference").code == 0
        proven = toy.slimbake("prove", "--stale", "--pass", "toy.six", "--pass", "toy.compat")
        assert proven.code == 0, proven.stderr
        assert toy.slimbake("bake", "--frozen").code == 0
        assert (
            in_image(toy.image("one"), "import importlib.util as u; print(u.find_spec('six'))")
            == "None"
        )
        recorded = toy.slimbake("smoke", "one", "--reference")
        assert recorded.code == 0 and json.loads(reference.read_text()) is True, recorded.stderr
    finally:
        toy.file("one/smoke.py", SMOKE)
        reference.unlink(missing_ok=True)


def test_a_layer_for_two_platforms_waits_for_the_evidence_of_the_other(
    tmp_path: Path,
) -> None:
    here = this_platform()
    other = next(each for each in MACHINES if each != here)
    with fleet(tmp_path) as made:
        made.write(
            "platforms: [linux/amd64, linux/arm64]\noptimize: observed\n"
            "bases: {small: {requirements: [idna, six]}}\nservices:\n"
            + entry("one", "    base: small\n    verify: verify.py\n"),
            {
                "passes.yaml": PASSES,
                "one/app.py": APP,
                "one/smoke.py": SMOKE,
                "one/verify.py": VERIFY,
            },
        )
        done = made.slimbake("prove", "--pass", "toy.six")
        assert done.code == 0, done.stderr
        names = [file.name for file in (made.root / "bake/evidence").glob("base-*.json")]
        assert names == [f"base-small.{here.replace('/', '-')}.json"]
        half = (
            f"proven for {here}; {other} is missing: run `slimbake prove --platform {other}` on"
            " such a machine"
        )
        assert re.search(
            rf"base-small lost toy\.six \(up to 0\.\d MB\): {half}\n", made.slimbake("plan").stderr
        )
        said = (made.root / "bake/dockerfiles/passes/base-small.json").read_text()
        assert "toy.six" not in said and "strip.unneeded" in said
        pruned = made.staged("one")
        assert in_image(pruned, "import importlib.util as u; print(u.find_spec('six'))") == "None"
        assert made.slimbake("prove", "--recheck", "--sample", "1").code == 0
        none = made.slimbake("prove", "--recheck", "--platform", other)
        assert none.code == 3 and "no fresh evidence" in none.stderr
