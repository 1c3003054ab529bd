"""A fleet of which some services were baked on this machine, and the page of it, taken apart."""

from dataclasses import asdict, dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from slimbake.host.workspace import Workspace
from slimbake.images.detail import Contents, Owner, Part, Taken
from slimbake.images.sizes import Image, MeasuredLayer

MANIFEST = """\
project: toy
python: "3.11"
services:
  api: {context: api, command: [python, -V], budget: {uncompressed: 1MB}}
  model: {context: api, command: [python, -V]}
  unbaked: {context: api, command: [python, -V]}
"""
RUNTIME, FLASK, NUMPY, CODE = (f"sha256:{letter * 64}" for letter in "abcd")
HOSTILE = "</script><script>alert(1)</script>\"'>&"
LINE = "services.yaml: services.api.remove: flask/**"
PACKAGES = {
    RUNTIME: {Owner("debian", "libc6", "2.41"): 700_000},
    FLASK: {Owner("python", "flask", "3.0"): 800_000, Owner("directory", "/opt/slimbake"): 100_000},
    NUMPY: {Owner("python", "numpy", "2.0"): 1_600_123, Owner("python", HOSTILE, HOSTILE): 9_000},
    CODE: {Owner("code", "/app"): 5},
}
TAKEN = {NUMPY: (Taken("sources", "numpy", 50_000, 4),), FLASK: (Taken(LINE, "flask", 30_000, 1),)}
# NUMPY lies on two layers below it, CODE on both twice
STACKS = {"api": (RUNTIME, FLASK, NUMPY, CODE), "model": (RUNTIME, NUMPY, CODE)}


def contents(diff: str) -> Contents:
    """What is in a layer."""
    parts = tuple(Part(owner, size, 9) for owner, size in PACKAGES[diff].items())
    size, files = sum(part.uncompressed for part in parts), 9 * len(parts)
    return Contents(size, files, parts, TAKEN.get(diff, ()))


def layer(diff: str) -> MeasuredLayer:
    """A layer as it was measured; of FLASK, nobody knows the compressed bytes."""
    held = contents(diff)
    packed = None if diff == FLASK else held.uncompressed // 2
    return MeasuredLayer(diff, diff, held.uncompressed, packed, held.files)


IMAGES = tuple(
    Image(name, f"sha256:{number * 32:064x}", tuple(layer(diff) for diff in stack))
    for number, (name, stack) in enumerate(STACKS.items(), 1)
)


def write_fleet(root: Path) -> Path:
    """The manifest of a fleet of which nothing was baked."""
    (root / "api").mkdir()
    (root / "services.yaml").write_text(MANIFEST)
    return root


def bake(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what a bake of api and model leaves: in the workspace, and in an engine."""
    workspace = Workspace(root)
    workspace.write("baked", {image.name: ["", image.digest] for image in IMAGES})
    workspace.write(
        "measured", {image.digest: [asdict(layer) for layer in image.layers] for image in IMAGES}
    )
    for diff in PACKAGES:
        workspace.write(f"layers/{diff.removeprefix('sha256:')}", asdict(contents(diff)))
    images = {image.name: SimpleNamespace(id=image.digest) for image in IMAGES}
    monkeypatch.setattr("slimbake.docker.images.find_image", lambda name: images.get(_short(name)))


def _short(reference: str) -> str:
    return reference.rpartition("/")[2].partition(":")[0]


@dataclass
class Row:
    id: str = ""
    service: str = ""
    cells: list[str] = field(default_factory=list)  # texts
    figures: list[int] = field(default_factory=list)  # the bytes of those that are sizes


class Page(HTMLParser):
    """A page as a browser would read it: its rows by table, its figures, its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: dict[str, list[Row]] = {}
        self.figures: list[int] = []  # above the tables
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.shown: dict[int, str] = {}  # bytes -> how the page writes them
        self._section, self._row = "", Row()
        self._bytes: int | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.elements.append((tag, given))
        if tag == "h2":
            self._section = given["id"]
        elif tag == "tr":
            self._row = Row(given.get("id", ""), given.get("data-service", ""))
            self.rows.setdefault(self._section, []).append(self._row)
        elif tag in ("td", "th"):
            self._row.cells.append("")
        elif tag == "data":
            self._bytes = int(given["value"])
            (self._row.figures if self._row.cells else self.figures).append(self._bytes)

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self._row.cells = [" ".join(cell.split()) for cell in self._row.cells]
            self._row = Row()

    def handle_data(self, data: str) -> None:
        if self._bytes is not None:
            self.shown[self._bytes] = data
            self._bytes = None
        if self._row.cells:
            self._row.cells[-1] += data
