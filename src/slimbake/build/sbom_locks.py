"""Lock files as what an SBOM says of them: packages, Debian packages, files of weights."""

from __future__ import annotations

import re
from collections.abc import Mapping

from slimbake.build.sbom_model import DebianPackage, Locked, SbomLocks, WeightsFolder
from slimbake.inside import debs
from slimbake.lock.model import Pin
from slimbake.lock.text import parse_pins

_FILE = re.compile(r"^([0-9a-f]{64})  (.+)$", re.MULTILINE)  # as sha256sum writes it


def read_sbom_locks(texts: Mapping[str, str], exports: Mapping[str, str] = {}) -> SbomLocks:
    """What lock files hold; `texts`: a file's name -> its text; `exports`: -> the form that its
    weights are in.
    """
    packages: list[Locked] = []
    debian: dict[DebianPackage, str] = {}
    folders: list[WeightsFolder] = []
    for name, text in texts.items():
        layer, weights = name.removesuffix(".txt"), name.startswith("weights-")
        if name.endswith(".system.txt"):
            debian |= {
                DebianPackage(deb.name, deb.version, deb.arch): deb.sha256
                for deb in debs.parse_debs(text)
            }
        elif weights and (files := _FILE.findall(text)):
            rows = tuple((path, digest) for digest, path in files)
            folders.append(
                WeightsFolder(layer.removeprefix("weights-"), rows, exports.get(name, ""))
            )
        else:
            form = exports.get(name, "")
            packages += (
                Locked(pin.name, pin.version, sha256(pin), layer, weights, form)
                for pin in parse_pins(text)
            )
    return SbomLocks(tuple(packages), debian, tuple(folders))


def sha256(pin: Pin) -> tuple[str, ...]:
    """The hashes of the wheels that may be installed for a pin, one for each platform of the fleet
    at most.
    """
    return tuple(wheel.sha256 for wheel in pin.wheels if wheel.sha256)
