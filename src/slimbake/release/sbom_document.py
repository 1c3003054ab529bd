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

_MODEL = ComponentType.MACHINE_LEARNING_MODEL
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
    content = json.loads(JsonV1Dot6(bom).output_as_string())
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _components(contents: InstalledContents, locks: SbomLocks) -> list[Component]:
    components = [*_system(contents)]
    distro = f"{contents.system}-{contents.release}"
    for deb in contents.debian:
        components.append(_debian(deb, contents.system, distro, locks.debian.get(deb, "")))

    locked = {(package.name, package.version): package for package in locks.packages}
    component_of: dict[str, Component] = {}
    for package in contents.distributions:
        if not package.within:
            lock = locked.get((package.name, package.version))
            component_of[package.name] = _library(package, lock)
    components += component_of.values()
    for package in contents.distributions:
        if not package.within:
            continue
        owner = component_of.get(package.within)
        if owner:
            owner.components.add(_library(package, within=f"{owner.bom_ref.value}#"))
        else:
            components.append(_library(package))

    for package_with_weights in locks.packages:
        if package_with_weights.model:
            model = _library(package_with_weights, package_with_weights, kind=_MODEL)
            components.append(_formed(model, package_with_weights.form))
    for folder in locks.folders:
        components.append(_formed(_folder(folder), folder.form))
    return components


def _system(contents: InstalledContents) -> Iterator[Component]:
    """CPython, and the distribution that the runtime was distilled from."""
    yield Component(
        name=contents.system,
        version=contents.release,
        type=ComponentType.OPERATING_SYSTEM,
        bom_ref=f"{contents.system}-{contents.release}",
    )
    python = PackageURL("generic", name="python", version=contents.python)
    yield Component(
        name="CPython",
        version=contents.python,
        type=ComponentType.PLATFORM,
        cpe=f"cpe:2.3:a:python:python:{contents.python}:*:*:*:*:*:*:*",
        purl=python,
        bom_ref=str(python),
    )


def _debian(package: DebianPackage, system: str, distro: str, sha256: str) -> Component:
    qualifiers = {"arch": package.architecture, "distro": distro}
    source, version = package.source, package.source_version
    if source and (source, version) != (package.name, package.version):
        # as syft writes it, and grype reads it
        qualifiers["upstream"] = source
        if version != package.version:
            qualifiers["upstream"] += f"@{version}"
    purl = PackageURL("deb", system, package.name, package.version, qualifiers)
    component = _component(package.name, package.version, purl)
    if sha256:
        component.hashes.update(_hashes(sha256))
    component.properties.update(_trivy(source, version))
    return component


def _trivy(source: str, version: str) -> Iterator[Property]:
    """What a Debian package was built from, as trivy writes and reads it."""
    epoch, _, rest = version.rpartition(":")
    upstream, dash, release = rest.rpartition("-")
    if not dash:
        upstream, release = rest, ""
    fields = {"SrcName": source, "SrcVersion": upstream, "SrcRelease": release, "SrcEpoch": epoch}
    for key, value in fields.items():
        if value:
            yield Property(name=f"aquasecurity:trivy:{key}", value=value)


def _library(
    package: Distribution | Locked,
    lock: Locked | None = None,
    within: str = "",
    kind: ComponentType = ComponentType.LIBRARY,
) -> Component:
    """A Python package, with what its lock says of it. `within`: the reference of what carries it."""
    purl = PackageURL("pypi", name=package.name, version=package.version)
    component = _component(package.name, package.version, purl, within, kind)
    if lock:
        component.hashes.update(_hashes(*lock.sha256))
        component.properties.add(Property(name="slimbake:layer", value=lock.layer))
    return component


def _component(
    name: str,
    version: str,
    purl: PackageURL,
    within: str = "",
    kind: ComponentType = ComponentType.LIBRARY,
) -> Component:
    return Component(name=name, version=version, type=kind, purl=purl, bom_ref=f"{within}{purl}")


def _folder(folder: WeightsFolder) -> Component:
    """A model that has no version: it is what its files are."""
    reference = f"weights/{folder.name}"
    files = []
    for path, sha256 in folder.files:
        file = Component(name=path, type=ComponentType.FILE, bom_ref=f"{reference}/{path}")
        file.hashes.update(_hashes(sha256))
        files.append(file)
    return Component(
        name=folder.name,
        type=_MODEL,
        bom_ref=reference,
        components=files,
    )


def _formed(model: Component, form: str) -> Component:
    """A model as it lies in the image: itself, or what was exported from it."""
    if not form:
        return model
    return Component(
        name=form,
        type=_MODEL,
        bom_ref=f"weights/{form}",
        pedigree=Pedigree(ancestors=[model]),
    )


def _hashes(*sha256: str) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=value) for value in sha256]
