"""The page of `slimbake report`, as a browser shows it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from typing import Any
from urllib.parse import quote

import pytest

from slimbake import report

pytest.importorskip("plotly")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="needs chromium"),
]
SHARED, OWN = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
LINE = "services.yaml: services.api.remove: flask/**"
BUDGET = {"size": 1_000_000, "packed": None}
PARTS = [["/opt", "python", "numpy", "2.0", 600_000, 9], ["/usr", "cold", "/cold", "", 100_000, 1]]
OWN_PARTS = [["/opt", "python", "flask", "3.0", 800_000, 9], ["/opt", "cold", "/c", "", 100_000, 1]]
FACTS = {
    "project": "<b>toy</b>",
    "services": [
        {"name": "api", "digest": "1" * 12, "layers": [SHARED, OWN], "budget": BUDGET},
        {"name": "model", "digest": "2" * 12, "layers": [SHARED], "budget": BUDGET},
        {"name": "unbuilt", "digest": "", "layers": None, "budget": BUDGET},
    ],
    "layers": {
        SHARED: {
            "diff": SHARED,
            "target": "runtime",
            "size": 700_000,
            "packed": 300_000,
            "users": ["api", "model"],
            "parts": PARTS,
            "taken": [["sources", "numpy", 50_000, 4]],
        },
        OWN: {
            "diff": OWN,
            "target": "api",
            "size": 900_000,
            "packed": None,
            "users": ["api"],
            "parts": OWN_PARTS,
            "taken": [[LINE, "flask", 30_000, 1]],
        },
    },
    "history": [
        {"commit": "c0ffee", "when": "2026-01-01T00:00:00Z", "sizes": {"api": [800_000, None]}},
        {"commit": "decade", "when": "2026-01-02T00:00:00Z", "sizes": {"api": [900_000, 1]}},
    ],
    "rules": [{"name": "sources", "about": "removes sources", "why": "Compilers read them."}],
    "missing": [{"what": "sizes of unbuilt", "command": "slimbake bake unbuilt"}],
}
# Visits each view, then presses keys, and leaves what came of it where the test can read it.
VISITS = """
(async () => {
  const rest = () => new Promise((done) => setTimeout(done, 150));
  const press = (key, on) => on.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  const said = {};
  for (const view of VIEWS) {
    location.hash = view;
    await rest();
    const right = [...document.querySelectorAll(".chart svg")].map((s) => s.getBoundingClientRect().right);
    said[view] = {
      html: document.getElementById("main").innerHTML,
      fits: document.documentElement.scrollWidth <= innerWidth && right.every((r) => r <= innerWidth),
    };
  }
  press("/", document.body);
  const search = document.getElementById("search");
  said.focused = document.activeElement === search;
  search.value = "mode";
  search.dispatchEvent(new Event("input"));
  press("Enter", search);
  said.hash = location.hash;
  const theme = () => document.documentElement.dataset.theme;
  const before = theme();
  press("t", document.body);
  said.themes = [before, theme()].sort();
  press("6", document.body);
  await rest();
  said.title = document.title;
  document.body.textContent = JSON.stringify(said);
  document.body.id = "said";
})();
"""
VIEWS = {
    "overview": ["slimbake bake unbuilt", "160 %", "unmeasured"],
    # the colour of what is a service's own, though a part of its layer is cold
    "map": ["numpy 2.0", "sources", "runtime aaaaaa", "fill: rgb(179, 89, 0)"],
    "map/api/package/taken": ["taken by sources", "numpy 2.0", 'href="#history/api"'],
    "layers": ["runtime aaaaaa", "2 services", "0.9 MB"],
    f"layers/{SHARED}": ["numpy 2.0", SHARED],
    "history/api": ["2 commits", "+0.1 MB", "budget"],
    "rules": ["removes sources. ", "Compilers read them.", "50 kB", LINE, "on request", "30 kB"],
    f"rules/{quote(LINE, safe='')}": ["All rules", LINE, "api", "30 kB"],
    "map/nosuch": ["numpy 2.0"],
}


@pytest.fixture(scope="module", params=[1200, 500])
def said(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a browser of this width shows: one start of it for all views."""
    folder = tmp_path_factory.mktemp("page")
    page = folder / "page.html"
    script = VISITS.replace("VIEWS", json.dumps(list(VIEWS)))
    text = report.page(FACTS, report._plotly())
    page.write_text(text.replace("</body>", f"<script>{script}</script></body>"))
    words = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom")
    more = (f"--user-data-dir={folder}/chrome", f"--window-size={request.param},900")
    done = subprocess.run(
        [str(CHROMIUM), *words, *more, "--virtual-time-budget=20000", page.as_uri()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Uncaught" not in done.stderr, done.stderr
    found = re.search(r'<body id="said">(.*)</body>', done.stdout, re.DOTALL)
    assert found, done.stderr
    return json.loads(html.unescape(found[1]))


def test_each_view_shows_what_is_recorded_and_fits_the_screen(said: Any) -> None:
    for view, words in VIEWS.items():
        assert [word for word in words if word not in said[view]["html"]] == [], view
        assert said[view]["fits"], view


def test_a_name_is_text_and_never_an_element(said: Any) -> None:
    assert "<b>toy" not in said["map"]["html"]
    assert "toy" in said["map"]["html"]


def test_the_keyboard_reaches_search_views_and_colours(said: Any) -> None:
    assert said["focused"]
    assert said["hash"] == "#map/model"
    assert said["themes"] == ["dark", "light"]
    assert said["title"] == "<b>toy</b>: Rules"
