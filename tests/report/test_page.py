"""The page of `slimbake report`, as a browser shows it."""

import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.ran import ran
from tests.unit.report.baked import Page, bake, write_fleet
from tests.unit.report.equal import assert_equal

from slimbake import report
from slimbake.cli import slimbake
from slimbake.project import load
from slimbake.report.facts import recorded_facts

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="needs chromium")]
DARK, LIGHT = 0, 1  # as Chromium numbers the schemes that a reader prefers
# Uses the page as a reader does, and leaves what came of it where the test can read it.
VISIT = """
const visit = () => {
const color = (of, key) => getComputedStyle(document.querySelector(of))[key];
const shown = (of) => [...document.querySelectorAll(of)].filter((e) => e.getClientRects().length).length;
const reachable = [...document.querySelectorAll("a, input, button, [tabindex='0']")];
const result = {
  fits: document.documentElement.scrollWidth <= innerWidth,
  back: color("body", "backgroundColor"), fore: color("body", "color"),
  reachable: reachable.length,
  focused: reachable.filter((e) => { e.focus(); return document.activeElement === e; }).length,
  rows: shown("tbody tr"),
};
const search = document.getElementById("find");
search.value = " NumPy ";
search.dispatchEvent(new Event("input"));
result.filtered = [shown("tbody tr"), document.getElementById("count").textContent];
search.value = "";
search.dispatchEvent(new Event("input"));
result.again = shown("tbody tr");
result.page = document.documentElement.outerHTML;
result.sorted = {};
const packages = document.querySelectorAll(".scroll")[2];
const services = document.querySelectorAll(".scroll")[0];
const first = (table, column) => [...table.querySelectorAll("tbody tr")]
  .map((row) => row.cells[column]?.textContent.trim() ?? "");
for (const [name, table, column] of [["package", packages, 0], ["size", packages, 3], ["image", services, 3]]) {
  const head = table.querySelectorAll("thead th")[column];
  result.sorted[name] = [0, 1].map(() => {
    head.querySelector("button").click();
    return [head.getAttribute("aria-sort"), first(table, 0)];
  });
}
result.marked = document.querySelectorAll("[aria-sort]").length;
document.body.textContent = JSON.stringify(result);
document.body.id = "result";
};
// A busy machine gives a page the focus late, and none is shown before.
const wait = () => document.hasFocus() ? visit() : setTimeout(wait, 50);
wait();
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `slimbake sizes --json` says of a fleet, and the page of it."""
    root = write_fleet(tmp_path_factory.mktemp("fleet"))
    with pytest.MonkeyPatch.context() as patch:
        bake(root, patch)
        words = ["sizes", "--json", "-f", str(root / "services.yaml")]
        sizes = json.loads(CliRunner().invoke(slimbake, words).stdout)
        return sizes, report.page(recorded_facts(load(root / "services.yaml")))


def browsed(page: str, folder: Path, width: int, scheme: int, script: str) -> tuple[str, str]:
    """A page as Chromium has it after a script, which its policy allows too; and its log."""
    allowed = page.replace("script-src ", f"script-src '{report._allowed(script)}' ", 1)
    file = folder / "page.html"
    file.write_text(allowed.replace("</html>", f"<script>{script}</script></html>"))
    words = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom")
    more = (f"--user-data-dir={folder}/chrome", f"--window-size={width},900")
    prefers = f"--blink-settings=preferredColorScheme={scheme}"
    done = ran(
        [str(CHROMIUM), *words, *more, prefers, "--virtual-time-budget=20000", file.as_uri()],
        check=True,
    )
    return done.stdout, done.stderr


@pytest.fixture(scope="module", params=[(1200, LIGHT), (500, DARK)], ids=["wide", "phone and dark"])
def visit(
    fleet: Any, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """What a reader meets, at this width and with this preference."""
    width, scheme = request.param
    dom, log = browsed(fleet[1], tmp_path_factory.mktemp("page"), width, scheme, VISIT)
    assert "CONSOLE" not in log, log
    found = re.search(r'<body id="result">(.*)</body>', dom, re.DOTALL)
    assert found, log
    return {**json.loads(html.unescape(found[1])), "dark": scheme == DARK}


def test_every_size_that_a_browser_shows_is_one_of_sizes(fleet: Any, visit: Any) -> None:
    assert_equal(Page(visit["page"]), fleet[0])


def test_the_page_fits_the_screen_and_has_its_colours(visit: Any) -> None:
    assert visit["fits"]
    bright = [sum(map(int, re.findall(r"\d+", visit[key])[:3])) for key in ("back", "fore")]
    assert (bright[0] < bright[1]) == visit["dark"]


def test_the_keyboard_reaches_everything(visit: Any) -> None:
    assert visit["focused"] == visit["reachable"]


def test_the_filter_leaves_what_has_the_words_in_it(visit: Any) -> None:
    rows, count = visit["filtered"]
    assert (rows, count) == (2, "2 rows"), "the layer that holds numpy, and the package"
    assert visit["again"] == visit["rows"] > rows


def test_a_click_on_a_heading_sorts_its_table(visit: Any) -> None:
    by_name = sorted(str(name) for name in ("/app", "/opt/slimbake", "flask", "libc6", "numpy"))
    rising, falling = visit["sorted"]["package"]
    assert (rising[0], falling[0]) == ("ascending", "descending")
    assert [name for name in rising[1] if name in by_name] == by_name
    assert falling[1] == rising[1][::-1]
    largest, smallest = visit["sorted"]["size"]
    assert (largest[0], smallest[0]) == ("descending", "ascending")
    assert (largest[1][0], smallest[1][-1]) == ("numpy", "numpy")
    # api has a layer of which nobody knows the compressed bytes, and unbaked has no image.
    assert [names for _, names in visit["sorted"]["image"]] == [["model", "api", "unbaked"]] * 2
    assert visit["marked"] == 2, "one heading of each table that was sorted"


def test_a_script_from_elsewhere_does_not_run(fleet: Any, tmp_path: Path) -> None:
    page = fleet[1].replace("</main>", "<script>document.title = 'owned'</script></main>")
    dom, log = browsed(page, tmp_path, 1200, LIGHT, "document.body.id = 'ran'")
    assert "Content Security Policy" in log
    assert "<title>toy: slimbake report</title>" in dom
    assert 'id="ran"' in dom
