"""Prints what an image contains, as JSON: CPython, Debian packages, Python distributions."""

from __future__ import annotations

import email
import json
import platform
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.metadata import PathDistribution
from pathlib import Path

STATUS = Path("/var/lib/dpkg/status.d")  # as distroless lays it out, where trivy and syft look


def print_contents(_: Sequence[str]) -> None:
    """The program `contents`."""
    release = platform.freedesktop_os_release()
    contents = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": {"name": release["ID"], "version": release.get("VERSION_ID", "")},
        "debian": list(debian_packages()),
        "distributions": list(python_distributions(Path(sysconfig.get_path("purelib")))),
    }
    json.dump(contents, sys.stdout)


def debian_packages() -> Iterator[dict[str, str]]:
    """The Debian packages of which the image has files; each with what it was built from, by which
    Debian's security tracker names it.
    """
    records = [
        path.read_text("utf-8") for path in sorted(STATUS.glob("*")) if path.suffix != ".md5sums"
    ]
    whole = STATUS.with_name("status")  # dpkg's own, of an image of the user's
    if whole.is_file():
        records += whole.read_text("utf-8").strip().split("\n\n")
    for record in records:
        fields = dict(email.message_from_string(record).items())
        if fields.get("Package") and fields.get("Status", "installed").endswith("installed"):
            source, _, version = fields.get("Source", fields["Package"]).partition(" ")
            yield {
                "name": fields["Package"],
                "version": fields["Version"],
                "architecture": fields["Architecture"],
                "source": source,
                "source_version": version.strip("()") or fields["Version"],
            }


def python_distributions(packages: Path) -> Iterator[dict[str, str]]:
    """The distributions in a folder of packages, and those that one of them vendors."""
    records: dict[str, str] = {}
    for path in (*sorted(packages.glob("*.dist-info")), *sorted(packages.glob("*/**/*.dist-info"))):
        distribution = PathDistribution(path)
        name = distribution.metadata["Name"]
        listed = f"{path.relative_to(packages)}/METADATA,"
        owner = next((owner for owner, record in records.items() if listed in record), "")
        yield {"name": name, "version": distribution.version, "within": owner}
        records.setdefault(name, distribution.read_text("RECORD") or "")
