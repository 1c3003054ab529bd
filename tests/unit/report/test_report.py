"""`slimbake report`: the images of the last bake come onto one page, in the figures of `sizes`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.unit.report import baked as example
from tests.unit.report.baked import FLASK, HOSTILE, IMAGES, Page
from tests.unit.report.equal import assert_equal

from slimbake import report
from slimbake.ci.model import Record
from slimbake.cli import slimbake
from slimbake.cli.common import select
from slimbake.project import load
from slimbake.report.facts import recorded_facts

RECORD = Record(services=("api", "model"), images=IMAGES)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return example.write_fleet(tmp_path)


@pytest.fixture
def baked(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    example.bake(root, monkeypatch)
    return root


def facts(root: Path) -> dict[str, Any]:
    return recorded_facts(load(root / "services.yaml"))


def page(root: Path) -> Page:
    return Page(report.page(facts(root)))


def run(root: Path, *words: str) -> str:
    done = CliRunner().invoke(slimbake, [words[0], "-f", str(root / "services.yaml"), *words[1:]])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_size_of_the_page_is_one_of_sizes(baked: Path) -> None:
    sizes = json.loads(run(baked, "sizes", "--json"))
    assert_equal(page(baked), sizes)
    by_digest = {row["name"]: row for row in sizes["layers"]}
    assert by_digest[example.RUNTIME]["on_host"] == 700_000, "of two images, on one host once"
    assert by_digest[example.NUMPY]["on_host"] == 2 * 1_609_123, "on different layers below it"


def test_a_service_that_was_not_baked_here_is_called_so(baked: Path) -> None:
    rows = {row.service: row.cells for row in page(baked).rows["services"]}
    assert rows["unbaked"] == ["unbaked", "not baked here"]
    assert facts(baked)["missing"] == [("sizes of unbaked", "slimbake bake unbaked")]


def test_before_a_bake_the_page_says_how_to_make_one(root: Path) -> None:
    assert facts(root)["missing"] == [("sizes of api, model, unbaked", "slimbake bake")]


def test_commands_that_the_page_proposes_name_what_there_is(baked: Path) -> None:
    (baked / f".slimbake/layers/{FLASK.removeprefix('sha256:')}.json").unlink()
    plan = load(baked / "services.yaml").plan
    missing = facts(baked)["missing"]
    assert [what for what, _ in missing] == ["sizes of unbaked", "packages of api"]
    for command in (line for _, lines in missing for line in lines.split(" && ")):
        program, name, *words = command.split(" ")
        assert program == "slimbake" and name in ("bake", "sizes")
        assert select(plan, tuple(words)) == tuple(words)


def test_a_layer_that_nobody_read_is_one_part_and_its_size_stays(baked: Path) -> None:
    (baked / f".slimbake/layers/{FLASK.removeprefix('sha256:')}.json").unlink()
    sizes = facts(baked)["sizes"]
    packages = {row["name"]: row["on_host"] for row in sizes["packages"]}
    assert packages["not read here"] == 900_000 and "flask" not in packages
    whole = {name: image["uncompressed"] for name, image in sizes["images"].items()}
    assert whole == {image.name: image.uncompressed for image in IMAGES}


def test_rules_say_what_they_took_and_whose_line_asked_for_it(baked: Path) -> None:
    rows = [row.cells for row in page(baked).rows["rules"][1:]]
    assert rows[0] == [example.LINE, "removes files on request", "30.0 kB"]
    assert (rows[1][0], rows[1][2]) == ("sources", "50.0 kB")
    assert rows[1][1].startswith("removes headers and sources")


def test_a_budget_that_is_exceeded_is_called_so(baked: Path) -> None:
    (api,) = (row for row in page(baked).rows["services"] if row.service == "api")
    assert api.cells[-1] == "321 %, over of 1.0 MB uncompressed"


def test_names_of_packages_are_text_and_never_elements(baked: Path) -> None:
    text = report.page(facts(baked))
    parsed = Page(text)
    names = [row.cells[:2] for row in parsed.rows["packages"]]
    assert [HOSTILE, HOSTILE] in names
    assert [name for name, _ in parsed.elements].count("script") == 1
    assert not any(key.startswith("on") for _, given in parsed.elements for key in given)


def test_the_page_loads_nothing_and_allows_its_own_style_and_script_alone(baked: Path) -> None:
    text = report.page(facts(baked))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    tags = (re.findall(f"<{tag}>(.*)</{tag}>", text, re.DOTALL) for tag in ("style", "script"))
    style, script = (report._allowed(found) for (found,) in tags)
    own = f"style-src '{style}'; script-src '{script}'"
    assert policy == f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"
    given = [(name, attributes) for name, attributes in Page(text).elements]
    assert not [each for each in given if {"src", "style", "xlink:href"} & {*each[1]}]
    assert all(each[1]["href"].startswith("#") for each in given if "href" in each[1])


def test_links_lead_to_what_is_on_the_page(baked: Path) -> None:
    elements = page(baked).elements
    ids = [given["id"] for _, given in elements if "id" in given]
    assert len(ids) == len({*ids})
    links = [given["href"] for name, given in elements if name == "a"]
    assert {link.removeprefix("#") for link in links} <= {*ids}


def test_eight_services_with_many_packages_stay_a_small_page(baked: Path) -> None:
    found = facts(baked)
    found["sizes"]["packages"] *= 40
    assert len(report.page(found)) < 400_000


def test_without_a_name_the_page_lies_where_git_ignores_it(root: Path) -> None:
    assert re.search(r"\.slimbake/report.html: \d+ kB\n", run(root, "report"))
    assert "toy" in (root / ".slimbake/report.html").read_text("utf-8")
    assert (root / ".slimbake/.gitignore").read_text() == "*\n"
