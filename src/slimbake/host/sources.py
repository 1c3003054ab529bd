"""Where apt takes packages from, as pure functions of its files' text (sources.list(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_NO = {"no", "false", "0", "without", "off", "disable"}
_YES = {"yes", "true", "1", "with", "on", "enable"}
_LINE = re.compile(
    r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AptSource:
    """One source of binary packages."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...] = ()
    signed_by: str = ""
    """Path of the keyring, or the key itself; empty: the keys that apt trusts anyway."""
    trusted: bool = False

    def deb822(self) -> str:
        """This source as a paragraph of a .sources file."""
        fields = {
            "Types": "deb",
            "URIs": " ".join(self.uris),
            "Suites": " ".join(self.suites),
            "Components": " ".join(self.components),
            "Signed-By": self.signed_by.replace("\n", "\n "),
            "Trusted": "yes" if self.trusted else "",
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def parse_list(text: str) -> tuple[AptSource, ...]:
    """The sources of a one-line-style file (`deb [options] uri suite component...`)."""
    return tuple(
        _from_line(match)
        for line in text.splitlines()
        if (match := _LINE.match(line.split("#")[0].strip()))
    )


def parse_deb822(text: str) -> tuple[AptSource, ...]:
    """The enabled binary sources of a .sources file."""
    return tuple(_from_fields(fields) for fields in _paragraphs(text) if _wanted(fields))


def _from_line(match: re.Match[str]) -> AptSource:
    options = dict(option.partition("=")[::2] for option in (match["options"] or "").split())
    return AptSource(
        uris=(match["uri"],),
        suites=(match["suite"],),
        components=tuple(match["components"].split()),
        signed_by=options.get("signed-by", "").split(",")[0],
        trusted=options.get("trusted", "") in _YES,
    )


def _from_fields(fields: dict[str, str]) -> AptSource:
    return AptSource(
        uris=tuple(fields.get("uris", "").split()),
        suites=tuple(fields.get("suites", "").split()),
        components=tuple(fields.get("components", "").split()),
        signed_by=fields.get("signed-by", ""),
        trusted=fields.get("trusted", "").lower() in _YES,
    )


def _wanted(fields: dict[str, str]) -> bool:
    return (
        "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in _NO
    )


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t":
            fields[name] = f"{fields.get(name, '')}\n{line.strip()}".strip()
        else:
            key, _, value = line.partition(":")
            name = key.strip().lower()
            fields[name] = value.strip()
