"""Print what an image holds, as JSON: CPython, Debian packages, Python distributions. Standard library only.

Run in an image by its own interpreter, from standard input: it never lies in one.
"""

from __future__ import annotations

import email.parser
import json
import platform
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import PathDistribution
from pathlib import Path

STATUS = Path("/var/lib/dpkg/status.d")  # as distroless lays it out, where trivy and syft look


def debian() -> Iterator[dict[str, str]]:
    """The Debian packages of which the image carries files."""
    for path in sorted(STATUS.iterdir()) if STATUS.is_dir() else ():
        if path.suffix != ".md5sums":
            fields = email.parser.Parser().parsestr(path.read_text("utf-8"), headersonly=True)
            yield {"name": fields["Package"], "version": fields["Version"], "architecture": fields["Architecture"]}


def python(packages: Path) -> Iterator[dict[str, str]]:
    """The distributions in a folder of packages, and those that one of these carries as a part of itself."""
    records: dict[str, str] = {}
    for path in sorted(packages.glob("*.dist-info")):
        found = PathDistribution(path)
        yield {"name": found.metadata["Name"], "version": found.version, "within": ""}
        records[found.metadata["Name"]] = found.read_text("RECORD") or ""
    for path in sorted(packages.glob("*/**/*.dist-info")):
        listed = f"{path.relative_to(packages)}/METADATA,"
        owner = next((name for name, record in records.items() if listed in record), "")
        found = PathDistribution(path)
        yield {"name": found.metadata["Name"], "version": found.version, "within": owner}


def main() -> None:
    release = platform.freedesktop_os_release()
    contents = {
        "python": platform.python_version(),
        "system": {"name": release["ID"], "version": release.get("VERSION_ID", "")},
        "debian": list(debian()),
        "distributions": list(python(Path(sysconfig.get_path("purelib")))),
    }
    json.dump(contents, sys.stdout)


if __name__ == "__main__":
    main()
