"""Wheels of one build of torch that this machine's own settings lead to: folders, pages of links, indexes.

uv knows PyTorch's own indexes and no others (`--torch-backend`), so a mirror of them is found here: by any setting of
pip or uv that leads to wheels with the build's local version, such as `2.13.0+cu128`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from http.client import HTTPException
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from slimbake.inside.fetch import Open, opener
from slimbake.lock.model import Family
from slimbake.lock.platforms import fit
from slimbake.machine import Machine

# What PyTorch's indexes are asked for; they hold old copies of other packages too.
_ECOSYSTEM = ("torch", "pytorch-")


class Offer(NamedTuple):
    """A wheel that can be had, and the page that links to it; "" for a folder."""

    file: str
    page: str = ""


class Choice(NamedTuple):
    """What makes uv take the wheels of one build of torch: exact versions, and pages that link to them."""

    constraints: tuple[str, ...]
    pages: tuple[str, ...]
    found: bool  # torch itself is among them


def offers(machine: Machine, names: Iterable[str]) -> tuple[Offer, ...]:
    """The wheels of these packages in the machine's folders and pages, and of PyTorch's ones on its indexes.

    What does not answer offers nothing: uv, which asks it next, tells why.
    """
    packages = machine.packages
    indexes = () if packages.no_index else tuple(filter(None, (*packages.extra_index_urls, packages.index_url)))
    asked = sorted(name for name in names if name.startswith(_ECOSYSTEM))
    pages = [entry for entry in packages.find_links if asked and not entry.startswith("/")]
    pages += [f"{index.rstrip('/')}/{name}/" for index in indexes for name in asked]
    open_ = opener(indexes, machine.ca_bundle)
    there = (folder for folder in packages.find_links_folders if folder.is_dir())
    local = [Offer(file.name) for folder in there for file in folder.glob("*.whl")]
    return (*sorted(local), *(Offer(file, page) for page in pages for file in _linked(page, open_)))


def chosen(found: Iterable[Offer], python: str, platform: str, family: Family) -> Choice:
    """Of what is offered, the newest wheels that are built for the family's kind of torch and fit its requirements.

    Without a constraint the resolver would take the CUDA build from PyPI, or whichever build sorts highest. A family
    that has torch as the index has it wants no such wheel, unless a requirement names its version.
    """
    wanted = {canonicalize_name(r.name): r for layer in family.layers for r in map(Requirement, layer.specs)}
    newest: dict[str, tuple[Version, str]] = {}
    others: dict[str, None] = {}
    for offer in found:
        try:
            name, version, _, _ = parse_wheel_filename(offer.file)
        except InvalidWheelFilename:
            continue
        if name not in wanted or version.local is None:
            continue
        if version.local == family.torch:
            fits = fit(offer.file, python, platform) is not None
            if fits and wanted[name].specifier.contains(version, prereleases=True):
                newest[name] = max((version, offer.page), newest.get(name, (version, offer.page)))
        elif not family.torch and "+" not in str(wanted[name].specifier):
            others[f"{name}!={version}"] = None
    exact = tuple(f"{name}=={version}" for name, (version, _) in newest.items())
    pages = tuple(dict.fromkeys(page for _, page in newest.values() if page))
    return Choice((*exact, *others), pages, "torch" in newest)


def _linked(page: str, open_: Open) -> Iterator[str]:
    """The names of the wheels that a page links to."""
    links = _Links()
    with contextlib.suppress(OSError, HTTPException, ValueError), open_(page, {}) as answer:
        links.feed(answer.read().decode(errors="replace"))
    for link in links.found:
        name = unquote(urlsplit(urljoin(page, link)).path).rpartition("/")[2]
        if name.endswith(".whl"):
            yield name


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for key, value in attrs if key == "href" and value]
