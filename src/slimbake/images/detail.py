"""A measurement in all detail, as values: what is in each layer, and whose it is. Bytes; what was
not measured is None, never 0.
"""

from __future__ import annotations

import csv
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from slimbake.host.typed import typed
from slimbake.images.sizes import Measurement

# Whose a file of a layer is: a Python package's, a Debian package's, weights, code, Python's
# archive of its own library, or nobody's.

Kind = Literal["python", "debian", "weights", "code", "archive", "directory"]

_RECORD = re.compile(r"(?P<site>.*)/(?P<name>[^/]+)-(?P<version>[^/-]+)\.dist-info/(?P<file>.*)")
_DEBIAN = re.compile(r"var/lib/dpkg/status\.d/(?P<name>[^/]+?)(?P<sums>\.md5sums)?")
_PYC = re.compile(r"(?P<folder>.*/|)__pycache__/(?P<module>[^/]+)\.cpython-\d+(\.opt-\d)?\.pyc")
_ARCHIVE = re.compile(r"usr/(?:local/)?lib/python3\d+\.zip")
_MERGED = re.compile(r"^(bin|sbin|lib|lib32|lib64|libx32)/")  # links into /usr since Debian 12


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    kind: Kind
    name: str  # of the package; of the folder where there is none
    version: str = ""


def is_record(path: str) -> bool:
    """Whether a file's content says whose other files are."""
    return path.endswith(".dist-info/RECORD") or _DEBIAN.fullmatch(path) is not None


def owners(records: Mapping[str, str]) -> Mapping[str, Owner]:
    """The owner of each file that the records of packages name: dist-info's RECORD, dpkg's
    status.d.
    """
    owned: dict[str, Owner] = {}
    for path, text in records.items():
        python = _RECORD.fullmatch(path)
        debian = _DEBIAN.fullmatch(path)
        if python:
            package = _package(python)
            for name in _recorded(python["site"], text):
                owned[name] = package
        elif debian:
            status = records.get(path.removesuffix(".md5sums"), "")
            version = re.search(r"^Version: *(.+)$", status, re.MULTILINE)
            name = debian["name"].partition(":")[0]
            package = Owner("debian", name, version[1] if version else "")
            owned[path] = package
            if debian["sums"]:
                for name in _summed(text):
                    owned[name] = package
    return owned


def _recorded(site: str, record: str) -> Iterator[str]:
    """The files that a RECORD in a folder of packages lists."""
    for row in csv.reader(record.split("\n")):
        if row:
            yield posixpath.normpath(posixpath.join("/", site, row[0])).lstrip("/")


def _summed(sums: str) -> Iterator[str]:
    """The files that dpkg's MD5 sums list, where an image has them."""
    for line in sums.split("\n"):
        yield _MERGED.sub(r"usr/\1/", line.partition(" ")[2].strip().lstrip("/"), count=1)


def owner(path: str, owned: Mapping[str, Owner]) -> Owner:
    """Whose the file at a path is; bytecode is whose its module is."""
    if path in owned:
        return owned[path]
    bytecode = _PYC.fullmatch(path)
    if bytecode:
        module = f"{bytecode['folder']}{bytecode['module']}.py"
        if module in owned:
            return owned[module]
    record = _RECORD.fullmatch(path)
    if record and not bytecode:
        return _package(record)
    if _ARCHIVE.fullmatch(path):
        return Owner("archive", f"/{path}")
    if path.startswith("weights/"):
        return Owner("weights", "/weights")
    if path.startswith("app/"):
        return Owner("code", "/app")
    return Owner("directory", "/" + "/".join(path.split("/")[:-1][:2]))


def _package(record: re.Match[str]) -> Owner:
    """Under its name as PEP 503 normalises it."""
    return Owner("python", re.sub("[-_.]+", "-", record["name"]).lower(), record["version"])


@dataclass(frozen=True, slots=True)
class Part:
    """The files of one owner."""

    owner: Owner
    uncompressed: int
    files: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What one rule took from the files of one package, as the layer's ledger says."""

    by: str  # the rule, or the glob of `remove`
    package: str
    bytes: int
    files: int  # removed or changed


@dataclass(frozen=True, slots=True)
class Contents:
    """A layer by its content alone."""

    uncompressed: int  # bytes of the regular files
    files: int
    parts: tuple[Part, ...]
    taken: tuple[Taken, ...] = ()

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Contents:
        """From its `asdict`. Raises KeyError and TypeError for anything else."""
        parts = []
        for part in content["parts"]:
            parts.append(typed(Part, {**part, "owner": typed(Owner, part["owner"])}))
        taken = tuple(typed(Taken, entry) for entry in content["taken"])
        return cls(**{**content, "parts": tuple(parts), "taken": taken})


@dataclass(frozen=True, slots=True)
class Survey:
    """A measurement, and what is in each layer, by the layer's digest."""

    measurement: Measurement
    contents: Mapping[str, Contents]
