"""README.md and docs/ as a whole: how long they are, where they link, what the tables look like."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.unit.docs.pages import PAGES, ROOT, generated, written
from tools.docs import prose

LINKED = [*PAGES, *sorted(ROOT.glob("bench/*.md")), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
REFERENCE = [
    ROOT / "docs/reference" / f"{name}.md"
    for name in ("commands", "manifest", "exit-codes", "files")
]


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 130


def test_the_docs_have_at_most_12_200_words_beside_generated_pages() -> None:
    texts = [page.read_text("utf-8") for page in PAGES[1:] if page not in REFERENCE]
    assert len(texts) == len(PAGES) - 1 - len(REFERENCE)
    written_by_hand = [text for text in texts if not text.startswith("<!-- Generated")]
    assert sum(len(text.split()) for text in written_by_hand) <= 12_200


@pytest.mark.parametrize("page", written(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_at_most_1_500_words_beside_its_tables(page: Path) -> None:
    lines = [line for line in page.read_text("utf-8").splitlines() if not line.startswith("|")]
    assert sum(len(line.split()) for line in lines) <= 1_500


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"`[^`]*`", "", page.read_text("utf-8"))
    for address, place in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", text):
        if "://" not in address:
            target = page.parent / address if address else page
            assert target.exists(), address
            assert not place or place in headings(target), f"{address}#{place}"


def headings(page: Path) -> set[str]:
    """The parts of a page, as a link names them."""
    lines = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w-]", "", line.lower().replace(" ", "-")) for line in lines}


def test_every_page_is_in_the_navigation() -> None:
    site = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]
    named = set(_addresses(site["nav"]))
    assert named == {str(page.relative_to(ROOT / "docs")) for page in PAGES[1:]}


def _addresses(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    values = nav.values() if isinstance(nav, dict) else nav
    return [address for each in values for address in _addresses(each)]


@pytest.mark.parametrize(
    "page", ["docs/results.md", "docs/inference-figures.md", "bench/techniques.md"]
)
def test_tables_of_results_can_be_read(page: str) -> None:
    rows = [line for line in (ROOT / page).read_text("utf-8").splitlines() if line.startswith("|")]
    assert rows
    for line in rows:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        assert len(cells) <= 12
        assert max(map(len, cells)) <= 120


def test_tables_of_results_fit_a_terminal() -> None:
    lines = (ROOT / "docs/results.md").read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("|") and len(line) > 80] == []


def test_each_key_of_the_manifest_has_a_heading_of_its_own() -> None:
    lines = (ROOT / "docs/reference/manifest.md").read_text("utf-8").splitlines()
    found = [line.strip("# ") for line in lines if line.startswith("#")]
    assert len(found) == len(set(found)) == len(headings(ROOT / "docs/reference/manifest.md"))
    assert {"project", "services.NAME.env", "services.NAME.healthcheck.test"} <= {*found}


def test_pages_that_the_code_names_are_there() -> None:
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "libs").rglob("*.py")]
    texts = [file.read_text("utf-8") for file in files]
    named = {name for text in texts for name in re.findall(r"docs/[\w/-]+\.md", text)}
    assert named and [name for name in named if not (ROOT / name).is_file()] == []


def test_generated_pages_say_so() -> None:
    assert generated(ROOT / "docs/results.md")
    assert generated(ROOT / "docs/reference/commands.md")
    assert not generated(ROOT / "docs/index.md")


def test_the_check_of_words_finds_words_and_leaves_code_alone() -> None:
    assert list(prose.of_text("slimbake builds it anew")) == ["'anew': write again"]
    text = "a `anew` b\n\n    anew\n\n```sh\nanew\n```\nlast anew\n"
    assert [number for number, line in prose.prose(text) if list(prose.of_text(line))] == [8]
    source = '"""anew"""\ndef f():\n    """anew"""\n    raise E("anew")\n'
    assert len(list(prose.of_source(Path("x.py"), source))) == 1
    command = 'def command():\n    """Build anew."""\n'
    assert len(list(prose.of_source(Path("x.py"), command))) == 1
    names = "def test_it_is_built_anew():\n    mended = recommended\n"
    assert list(prose.of_code(Path("x.py"), names)) == ["x.py:1: 'anew'", "x.py:2: 'mended'"]
    assert list(prose.of_code(Path("x.py"), "told = 1")) == ["x.py:1: 'told'"]
    assert not list(prose.of_code(Path("src/slimbake/inside/x.py"), "told = 1"))
