"""Wheels of one build of torch that this machine's own settings lead to: folders, pages of links,
indexes.

uv knows PyTorch's own indexes and no others (`--torch-backend`), so a mirror of them is found here:
by any setting of pip or uv that leads to wheels with the build's local version, such as
`2.13.0+cu128`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from http.client import HTTPException
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from slimbake.host.machine import Machine
from slimbake.host.typed import WRONG
from slimbake.host.wheels import fit
from slimbake.inside.fetch import Open, opener
from slimbake.lock.model import Family

# What PyTorch's indexes are asked for; they hold old copies of other packages too.
_ECOSYSTEM = ("torch", "pytorch-")
BUILDS = ("torch", "torchaudio", "torchvision")  # that may come with other packages
_JSON = "application/vnd.pypi.simple.v1+json"


class Offer(NamedTuple):
    """A wheel that can be had, and the index that has it; "" for a folder or a page of links."""

    file: str
    source: str = ""


class Choice(NamedTuple):
    """What makes uv take the wheels of one build of torch: constraints, and indexes that it is to
    ask first.
    """

    constraints: tuple[str, ...]
    indexes: tuple[str, ...]
    found: bool  # torch itself is among them
    # Name -> version, of those that nobody asks for: other packages may need them, or not.
    along: dict[str, str]


def offers(machine: Machine, names: Iterable[str]) -> tuple[Offer, ...]:
    """The wheels of these packages in the machine's folders and pages, and of PyTorch's ones on its
    indexes.

    What does not answer offers nothing: uv, which asks it next, tells why.
    """
    packages = machine.packages
    indexes = (
        ()
        if packages.no_index
        else tuple(filter(None, (*packages.extra_index_urls, packages.index_url)))
    )
    asked = sorted(name for name in names if name.startswith(_ECOSYSTEM))
    pages = [("", entry) for entry in packages.find_links if asked and not entry.startswith("/")]
    pages += [(index, f"{index.rstrip('/')}/{name}/") for index in indexes for name in asked]
    open_ = opener(indexes, machine.ca_bundle)
    there = (folder for folder in packages.find_links_folders if folder.is_dir())
    local = [Offer(file.name) for folder in there for file in folder.glob("*.whl")]
    return (
        *sorted(local),
        *(Offer(file, index) for index, page in pages for file in _linked(page, open_)),
    )


def chosen(
    found: Iterable[Offer],
    python: str,
    platform: str,
    family: Family,
    below: Mapping[str, str] = {},
) -> Choice:
    """Of what is offered, the newest wheels that are built for the family's kind of torch and fit
    its requirements.

    Without a constraint the resolver would take the CUDA build from PyPI, or whichever build sorts
    highest. A family that has torch as the index has it wants no such wheel, unless a requirement
    names its version. `below`: of what nobody asks for, the version that turned out to be too new.
    """
    wanted = {
        canonicalize_name(r.name): r
        for layer in family.layers
        for r in map(Requirement, layer.asks.specs)
    }
    others_need = map(canonicalize_name, BUILDS if family.torch else ())
    along = {name: Requirement(name) for name in others_need if name not in wanted}
    wanted |= along
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
            fits = fits and (name not in below or version < Version(below[name]))
            if fits and wanted[name].specifier.contains(version, prereleases=True):
                newest[name] = max(
                    (version, offer.source), newest.get(name, (version, offer.source))
                )
        elif not family.torch and "+" not in str(wanted[name].specifier):
            others[f"{name}!={version}"] = None
    exact = tuple(f"{name}=={version}" for name, (version, _) in newest.items())
    indexes = tuple(dict.fromkeys(index for _, index in newest.values() if index))
    with_others = {str(name): str(newest[name][0]) for name in along if name in newest}
    return Choice((*exact, *others), indexes, "torch" in newest, with_others)


def _linked(page: str, open_: Open) -> list[str]:
    """The names of the files that a page links to, as PEP 503 and PEP 691 have it."""
    try:
        with open_(page, {"Accept": f"{_JSON}, text/html;q=0.5"}) as answer:
            text = answer.read().decode(errors="replace")
            if answer.headers.get_content_type() == _JSON:
                return [str(file["filename"]) for file in json.loads(text)["files"]]
    except (OSError, HTTPException, *WRONG) as error:
        if isinstance(error, HTTPError):
            error.close()  # it holds the connection
        return []
    links = _Links()
    links.feed(text)
    return [unquote(urlsplit(link).path).rpartition("/")[2] for link in links.found]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for key, value in attrs if key == "href" and value]
