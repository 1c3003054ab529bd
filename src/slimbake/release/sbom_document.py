"""An image's SBOM as CycloneDX JSON, without clock or chance: the same contents give the same
bytes. Pure.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from slimbake import __version__
from slimbake.release.sbom_model import (
    DebianPackage,
    Distribution,
    InstalledContents,
    Locked,
    SbomLocks,
    WeightsFolder,
)

_NAMESPACE = uuid.UUID("3f6f2d6c-2b51-5d0e-9f0b-5a1d3f0b7c11")  # ours; any would do


def document(
    project: str, name: str, contents: InstalledContents, locks: SbomLocks, lock: str
) -> str:
    """The SBOM of the image `name` of a project.

    It names what the image holds: what a lock has and the image has not was dropped, and is not
    named. `lock`: the digest of its locks, "" for none. The serial number is made from everything
    else in the document.
    """
    bom = Bom(serial_number=uuid.UUID(int=0))
    bom.metadata.timestamp = None  # type: ignore[assignment]  # optional in CycloneDX, and a clock: the referrer has it
    bom.metadata.tools.components.add(
        Component(
            name="slimbake", version=__version__, type=ComponentType.APPLICATION, bom_ref="slimbake"
        )
    )
    properties = [Property(name="slimbake:lock", value=lock)] if lock else []
    image = Component(
        name=name,
        group=project,
        type=ComponentType.CONTAINER,
        bom_ref=f"{project}/{name}",
        properties=properties,
    )
    bom.metadata.component = image
    components = _components(contents, locks)
    bom.components.update(components)
    bom.register_dependency(image, components)
    bom.serial_number = uuid.uuid5(_NAMESPACE, _text(bom))
    return _text(bom)


def _text(bom: Bom) -> str:
    return (
        json.dumps(json.loads(JsonV1Dot6(bom).output_as_string()), indent=2, ensure_ascii=False)
        + "\n"
    )


def _components(contents: InstalledContents, locks: SbomLocks) -> list[Component]:
    whole = {package.name: package for package in contents.distributions if not package.within}
    locked = {(package.name, package.version): package for package in locks.packages}
    top = {
        name: _distribution(package, locked.get((name, package.version)))
        for name, package in whole.items()
    }
    for part in (package for package in contents.distributions if package.within in top):
        owner = top[part.within]
        owner.components.add(_distribution(part, None, f"{owner.bom_ref.value}#"))
    orphans = [
        _distribution(package, None)
        for package in contents.distributions
        if package.within not in {"", *top}
    ]
    return [
        *_system(contents, locks),
        *top.values(),
        *orphans,
        *(
            _formed(
                _library(
                    package.name,
                    package.version,
                    PackageURL("pypi", name=package.name, version=package.version),
                    package,
                    kind=ComponentType.MACHINE_LEARNING_MODEL,
                ),
                package.form,
            )
            for package in locks.packages
            if package.model
        ),
        *(_formed(_folder(folder), folder.form) for folder in locks.folders),
    ]


def _system(contents: InstalledContents, locks: SbomLocks) -> list[Component]:
    """CPython, and what the runtime has of the distribution that it was distilled from."""
    name, release = contents.system, contents.release
    cpe = f"cpe:2.3:a:python:python:{contents.python}:*:*:*:*:*:*:*"
    python = PackageURL("generic", name="python", version=contents.python)
    return [
        Component(
            name=name,
            version=release,
            type=ComponentType.OPERATING_SYSTEM,
            bom_ref=f"{name}-{release}",
        ),
        Component(
            name="CPython",
            version=contents.python,
            type=ComponentType.PLATFORM,
            cpe=cpe,
            purl=python,
            bom_ref=str(python),
        ),
        *(
            _debian(package, name, f"{name}-{release}", locks.debian.get(package))
            for package in contents.debian
        ),
    ]


def _debian(package: DebianPackage, system: str, distro: str, sha256: str | None) -> Component:
    qualifiers = {"arch": package.architecture, "distro": distro}
    source, version = package.source, package.source_version
    if source and (source, version) != (package.name, package.version):
        # as syft writes it, and grype reads it
        qualifiers["upstream"] = source if version == package.version else f"{source}@{version}"
    purl = PackageURL("deb", system, package.name, package.version, qualifiers)
    lock = Locked(package.name, package.version, (sha256,), "") if sha256 else None
    component = _library(package.name, package.version, purl, lock)
    component.properties.update(_trivy(source, version))
    return component


def _trivy(source: str, version: str) -> Iterator[Property]:
    """What a Debian package was built from, as trivy writes and reads it."""
    epoch, _, rest = version.rpartition(":")
    upstream, _, release = rest.rpartition("-") if "-" in rest else (rest, "", "")
    fields = {"SrcName": source, "SrcVersion": upstream, "SrcRelease": release, "SrcEpoch": epoch}
    for key, value in fields.items():
        if value:
            yield Property(name=f"aquasecurity:trivy:{key}", value=value)


def _distribution(package: Distribution, lock: Locked | None, within: str = "") -> Component:
    purl = PackageURL("pypi", name=package.name, version=package.version)
    return _library(package.name, package.version, purl, lock, within)


def _library(
    name: str,
    version: str,
    purl: PackageURL,
    lock: Locked | None = None,
    within: str = "",
    kind: ComponentType = ComponentType.LIBRARY,
) -> Component:
    return Component(
        name=name,
        version=version,
        type=kind,
        purl=purl,
        bom_ref=f"{within}{purl}",
        hashes=_hashes(*lock.sha256) if lock else [],
        properties=[Property(name="slimbake:layer", value=lock.layer)]
        if lock and lock.layer
        else [],
    )


def _folder(folder: WeightsFolder) -> Component:
    """A model that has no version: it is what its files are."""
    reference = f"weights/{folder.name}"
    return Component(
        name=folder.name,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=reference,
        components=[
            Component(
                name=path,
                type=ComponentType.FILE,
                bom_ref=f"{reference}/{path}",
                hashes=_hashes(sha256),
            )
            for path, sha256 in folder.files
        ],
    )


def _formed(model: Component, form: str) -> Component:
    """A model as it lies in the image: itself, or what was exported from it."""
    if not form:
        return model
    return Component(
        name=form,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"weights/{form}",
        pedigree=Pedigree(ancestors=[model]),
    )


def _hashes(*sha256: str) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=value) for value in sha256]
