"""Prints what an image contains, as JSON: CPython, Debian packages, Python distributions."""

from __future__ import annotations

import email
import json
import platform
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..budget import Budget, ExhaustedError
from ..step import StepError

MEMORY = 192 << 20  # bytes for all texts that are read
HEAD = 64 << 10  # characters of a METADATA, which begins with name and version
STATUS = Path("/var/lib/dpkg/status.d")  # as distroless lays it out, where trivy and syft look


def print_contents(_: Sequence[str]) -> None:
    """The program `contents`."""
    release = platform.freedesktop_os_release()
    budget = Budget(MEMORY)
    contents = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": {"name": release["ID"], "version": release.get("VERSION_ID", "")},
        "debian": list(debian_packages(budget)),
        "distributions": list(python_distributions(Path(sysconfig.get_path("purelib")), budget)),
    }
    json.dump(contents, sys.stdout)


def _text(path: Path, budget: Budget) -> str:
    """A file of the image, "" where it has none. Raises StepError for what is too long."""
    if not path.is_file():
        return ""
    try:
        budget.spend(path.stat().st_size)
        stored = path.read_bytes()
        # One character beyond ASCII gives all others four bytes.
        budget.spend(len(stored) if stored.isascii() else 4 * len(stored))
    except ExhaustedError as error:
        raise StepError(f"{path} cannot be read: {error}") from None
    return stored.decode("utf-8", "replace")


def debian_packages(budget: Budget) -> Iterator[dict[str, str]]:
    """The Debian packages of which the image has files; each with what it was built from, by which
    Debian's security tracker names it.
    """
    records = []
    for path in sorted(STATUS.glob("*")):
        if path.suffix != ".md5sums":
            records.append(_text(path, budget))
    whole = STATUS.with_name("status")  # dpkg's own, of an image of the user's
    records += _text(whole, budget).strip().split("\n\n")
    for record in records:
        fields = dict(email.message_from_string(record).items())
        # dpkg's own file has packages that were removed, too: `purge ok not-installed`.
        state = fields.get("Status", "installed").split()[-1:]
        if fields.get("Package") and state == ["installed"]:
            source, _, version = fields.get("Source", fields["Package"]).partition(" ")
            yield {
                "name": fields["Package"],
                "version": fields["Version"],
                "architecture": fields["Architecture"],
                "source": source,
                "source_version": version.strip("()") or fields["Version"],
            }


def python_distributions(packages: Path, budget: Budget) -> Iterator[dict[str, str]]:
    """The distributions in a folder of packages, and those that one of them vendors."""
    records: dict[str, str] = {}
    for path in (*sorted(packages.glob("*.dist-info")), *sorted(packages.glob("*/**/*.dist-info"))):
        metadata = email.message_from_string(_text(path / "METADATA", budget)[:HEAD])
        name = metadata["Name"]
        if not name:  # what an interrupted removal has left
            continue
        listed = f"{path.relative_to(packages)}/METADATA,"
        owners = [owner for owner, record in records.items() if listed in record]
        owner = owners[0] if owners else ""
        yield {"name": name, "version": metadata["Version"], "within": owner}
        records.setdefault(name, _text(path / "RECORD", budget))
