"""The plan stage: a Manifest in, every target, edge and layer decided. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from slimbake.manifest.model import Manifest
from slimbake.plan import targets as make
from slimbake.plan.bases import layered, torch_builds
from slimbake.plan.model import Compression, Group, Plan, Running
from slimbake.plan.origin import with_origin
from slimbake.plan.sources import externals, local_packages, weights_sources

DEFAULT_PLATFORMS = ("linux/amd64",)
DEFAULT_COMPRESSION: Literal["zstd", "gzip"] = "zstd"
DEFAULT_LEVELS = {"zstd": 9, "gzip": 6}


def plan(manifest: Manifest, locks: Mapping[str, str] = {}) -> Plan:
    """Decide everything that the manifest leaves open, for the whole fleet.

    Targets: one for what steps mount, one runtime, one per base, per local package, per distinct weights, per
    service and per smoke, each after all that it stands on. `locks`: lock file -> its text, for the images' labels.
    """
    manifest = layered(manifest)
    sources, torch = weights_sources(manifest), torch_builds(manifest)
    targets = (
        make.inside(manifest),
        make.runtime(manifest),
        *(make.wheel(package, manifest) for package in local_packages(manifest)),
        *(make.weights(source, manifest) for source in sources.values()),
        *(make.base(base, manifest, sources, torch[base.name]) for base in manifest.bases),
        *(
            make.service(service, manifest, sources, torch.get(service.base or "", _own_torch(manifest)))
            for service in manifest.services
        ),
        *(make.smoke(service) for service in manifest.services if service.smoke),
    )
    groups = (
        Group(name="default", targets=tuple(s.name for s in manifest.services)),
        Group(name="bases", targets=tuple(t.name for t in targets if t.kind in ("runtime", "base"))),
        Group(name="smoke", targets=tuple(t.name for t in targets if t.kind == "smoke")),
    )
    decided = Plan(
        manifest=manifest.file.name,
        project=manifest.project,
        registry=manifest.registry or manifest.project,
        python=manifest.python,
        platforms=manifest.platforms or DEFAULT_PLATFORMS,
        compression=_compression(manifest),
        externals=externals(manifest),
        targets=targets,
        groups=tuple(group for group in groups if group.targets),
        services=tuple(
            Running(service=s.name, port=s.port, volumes=s.volumes, budget=s.budget) for s in manifest.services
        ),
    )
    return with_origin(decided, locks)


def _own_torch(manifest: Manifest) -> str:
    """Of a service without a base."""
    return "" if manifest.torch in {None, "pypi"} else str(manifest.torch)


def _compression(manifest: Manifest) -> Compression:
    type_ = manifest.compression.type or DEFAULT_COMPRESSION
    return Compression(type=type_, level=manifest.compression.level or DEFAULT_LEVELS[type_])
