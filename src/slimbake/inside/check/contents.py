"""Prints what an image contains, as JSON: CPython, Debian packages, Python distributions."""

from __future__ import annotations

import email.parser
import json
import platform
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PathDistribution
from pathlib import Path

STATUS = Path("/var/lib/dpkg/status.d")  # as distroless lays it out, where trivy and syft look


def print_contents(_: Sequence[str]) -> None:
    """The program `contents`."""
    release = platform.freedesktop_os_release()
    contents = {
        "python": platform.python_version(),
        "system": {"name": release["ID"], "version": release.get("VERSION_ID", "")},
        "debian": list(debian_packages()),
        "distributions": list(python_distributions(Path(sysconfig.get_path("purelib")))),
    }
    json.dump(contents, sys.stdout)


def dpkg_paragraphs() -> Iterator[Mapping[str, str]]:
    """What dpkg says of each package of which the image has files."""
    for path in sorted(STATUS.iterdir()) if STATUS.is_dir() else ():
        if path.suffix != ".md5sums":
            text = path.read_text("utf-8")
            yield dict(email.parser.Parser().parsestr(text, headersonly=True).items())


def debian_packages() -> Iterator[dict[str, str]]:
    """The Debian packages of which the image has files; each with what it was built from, by which
    Debian's security tracker names it.
    """
    for fields in dpkg_paragraphs():
        name, version = fields["Package"], fields["Version"]
        source = re.fullmatch(r"(\S+)(?: \((.+)\))?", fields.get("Source", name))
        built, of = source.groups() if source else (name, None)
        yield {
            "name": name,
            "version": version,
            "architecture": fields["Architecture"],
            "source": built,
            "source_version": of or version,
        }


def python_distributions(packages: Path) -> Iterator[dict[str, str]]:
    """The distributions in a folder of packages, and those that one of them vendors."""
    records: dict[str, str] = {}
    for path in sorted(packages.glob("*.dist-info")):
        distribution = PathDistribution(path)
        yield {"name": distribution.metadata["Name"], "version": distribution.version, "within": ""}
        records[distribution.metadata["Name"]] = distribution.read_text("RECORD") or ""
    for path in sorted(packages.glob("*/**/*.dist-info")):
        listed = f"{path.relative_to(packages)}/METADATA,"
        owner = next((name for name, record in records.items() if listed in record), "")
        distribution = PathDistribution(path)
        yield {
            "name": distribution.metadata["Name"],
            "version": distribution.version,
            "within": owner,
        }
