"""One function per kind of target: what it is built from, and what its Dockerfile does."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath

from slimbake.manifest.model import Base, External, LocalPackage, Manifest, Pairs, Service, Weights
from slimbake.plan.model import Install, Recipe, Target

GENERATED = "dockerfiles"
INSIDE = f"{GENERATED}/inside"
LOCKS = "locks"

DEBIAN = "trixie"  # the official image's suite: torch's wheels want its glibc, 2.38 or newer
DEFAULT_UV = "ghcr.io/astral-sh/uv:0.13.9"

NEVER_BUILT_IN = ("**/.*", "**/__pycache__", "**/*.pyc")
# What lies in a service's folder for people and tools, not for the container.
NOT_CODE = (*NEVER_BUILT_IN, "**/*.md", "**/Dockerfile*", "**/tests", "train")


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """Distinct weights: how they are called, and how many services use them."""

    weights: Weights
    name: str
    users: int


def externals(manifest: Manifest) -> tuple[External, ...]:
    """The images from outside: the manifest's, or the defaults."""
    given = {external.name: external for external in manifest.externals}
    defaults = {"python": f"python:{manifest.python}-slim-{DEBIAN}", "uv": DEFAULT_UV}
    return tuple(given.get(name, External(name=name, image=image)) for name, image in defaults.items())


def local_packages(manifest: Manifest) -> tuple[LocalPackage, ...]:
    """Every package inside the repository that somebody requires, once, by name."""
    asked = (*(b.requirements for b in manifest.bases), *(s.requirements for s in manifest.services))
    return tuple(sorted({p for r in asked for p in r.packages}, key=lambda package: package.name))


def weights_sources(manifest: Manifest) -> dict[Weights, WeightsSource]:
    """Distinct weights in the manifest's order, with names that differ."""
    users = Counter(s.weights for s in manifest.services if s.weights)
    slugs = {weights: re.sub(r"[^a-z0-9]+", "-", weights.value.lower()).strip("-") for weights in users}
    taken = Counter(slugs.values())
    return {
        weights: WeightsSource(weights, slug if taken[slug] == 1 else f"{slug}-{_short(weights)}", users[weights])
        for weights, slug in slugs.items()
    }


def runtime(manifest: Manifest) -> Target:
    return Target(
        name="runtime",
        kind="runtime",
        service="",
        context=INSIDE,
        dockerfile=f"{GENERATED}/runtime.Dockerfile",
        recipe=Recipe(template="runtime.Dockerfile.j2"),
        contexts=(("inside", INSIDE), _external(manifest, "python")),
        labels=_labels(manifest, "runtime"),
        repository="runtime",
    )


def wheel(package: LocalPackage, manifest: Manifest) -> Target:
    name = f"wheel-{package.name}"
    return Target(
        name=name,
        kind="wheel",
        service="",
        context=package.path,
        dockerfile=f"{GENERATED}/{name}.Dockerfile",
        recipe=Recipe(template="wheel.Dockerfile.j2"),
        contexts=(("inside", INSIDE), ("runtime", "target:runtime"), _external(manifest, "uv")),
        labels=_labels(manifest, name),
        online=True,
        ignore=(*NEVER_BUILT_IN, "tests"),
    )


def base(base: Base, manifest: Manifest, torch: str) -> Target:
    name = f"base-{base.name}"
    return Target(
        name=name,
        kind="base",
        service="",
        context=INSIDE,
        dockerfile=f"{GENERATED}/{name}.Dockerfile",
        recipe=Recipe(
            template="base.Dockerfile.j2",
            system=base.system,
            install=_install(name, base, torch),
        ),
        contexts=(
            *_layer_contexts(base, manifest),
            ("base", f"target:base-{base.extends}" if base.extends else "target:runtime"),
            *_wheel_contexts(base),
        ),
        labels=_labels(manifest, name),
        repository=name,
        online=True,
    )


def weights(source: WeightsSource, manifest: Manifest) -> Target:
    name = f"weights-{source.name}"
    packaged = source.weights.source == "package"
    return Target(
        name=name,
        kind="weights",
        service="",
        context=INSIDE if packaged else source.weights.value,
        dockerfile=f"{GENERATED}/{name}.Dockerfile",
        recipe=Recipe(template="weights.Dockerfile.j2", weights_lock=f"{name}.txt" if packaged else ""),
        contexts=(
            ("inside", INSIDE),
            ("runtime", "target:runtime"),
            *((("locks", LOCKS), _external(manifest, "uv")) if packaged else ()),
        ),
        labels=_labels(manifest, name),
        online=packaged,
        ignore=() if packaged else NEVER_BUILT_IN,
    )


def service(service: Service, manifest: Manifest, sources: dict[Weights, WeightsSource], torch: str) -> Target:
    source = sources[service.weights] if service.weights else None
    recipe = Recipe(
        template=f"./{service.template}" if service.template else "service.Dockerfile.j2",
        system=service.system,
        shared_weights=bool(source and source.users > 1),
        install=_install(service.name, service, torch),
        own_weights=bool(source and source.users == 1),
        env=service.env,
        command=service.command,
        port=service.port,
        volumes=tuple(path for _, path in service.volumes),
        secrets=tuple(secret.id for secret in service.secrets),
    )
    return Target(
        name=service.name,
        kind="service",
        service=service.name,
        context=service.context,
        dockerfile=service.dockerfile or f"{GENERATED}/{service.name}.Dockerfile",
        recipe=None if service.dockerfile else recipe,
        contexts=(
            *_layer_contexts(service, manifest),
            ("base", f"target:base-{service.base}" if service.base else "target:runtime"),
            *((("weights", f"target:weights-{source.name}"),) if source else ()),
            *_wheel_contexts(service),
            *service.contexts,
        ),
        args=(*((f"ENV_{name}", value) for name, value in service.env), *service.args),
        labels=_labels(manifest, service.name, service.labels),
        repository=service.name,
        platforms=service.platforms,
        secrets=service.secrets,
        online=bool(recipe.install or recipe.system),
        ignore=_ignore(service),
    )


def smoke(service: Service) -> Target:
    return Target(
        name=f"{service.name}-smoke",
        kind="smoke",
        service=service.name,
        context=service.context,
        dockerfile=f"{GENERATED}/smoke.Dockerfile",
        recipe=Recipe(template="smoke.Dockerfile.j2"),
        contexts=(("inside", INSIDE), ("image", f"target:{service.name}")),
        args=(
            ("SMOKE", service.smoke or ""),
            *((("REFERENCE", service.reference),) if service.reference else ()),
        ),
        platforms=service.platforms,
        ignore=NEVER_BUILT_IN,
    )


def _install(lock: str, asker: Base | Service, torch: str) -> Install | None:
    if not (asker.requirements.specs or asker.requirements.packages):
        return None
    wheels = tuple(sorted(package.name for package in asker.requirements.packages))
    return Install(lock=f"{lock}.txt", wheels=wheels, torch=torch)


def _layer_contexts(asker: Base | Service, manifest: Manifest) -> Pairs:
    """The contexts of the steps that install and copy: only those that the layer uses."""
    installs = bool(asker.requirements.specs or asker.requirements.packages)
    return (
        ("inside", INSIDE),
        *((("locks", LOCKS), _external(manifest, "uv")) if installs else ()),
        *((_external(manifest, "python"),) if asker.system else ()),
    )


def _wheel_contexts(asker: Base | Service) -> Pairs:
    names = sorted(package.name for package in asker.requirements.packages)
    return tuple((f"wheel-{name}", f"target:wheel-{name}") for name in names)


def _external(manifest: Manifest, name: str) -> tuple[str, str]:
    return name, next(f"docker-image://{e.image}" for e in externals(manifest) if e.name == name)


def _labels(manifest: Manifest, target: str, extra: Pairs = ()) -> Pairs:
    """Labels never vary per commit: two builds of the same inputs have the same configuration."""
    own = {
        "org.opencontainers.image.title": target,
        "slimbake.project": manifest.project,
        "slimbake.target": target,
    }
    return tuple(sorted({**own, **dict(extra)}.items()))


def _ignore(service: Service) -> tuple[str, ...]:
    """The context less what is not code: the user's .dockerignore first, so that nothing there can undo the rest."""
    context = PurePosixPath(service.context)
    weights = [service.weights.value] if service.weights and service.weights.source == "path" else []
    named = (PurePosixPath(path) for path in (*service.requirements.files, *weights))
    inside = [str(path.relative_to(context)) for path in named if path.is_relative_to(context)]
    beside = [path for path in (service.smoke, service.reference, *inside) if path]
    return (*service.ignore, *NOT_CODE, *sorted(map(_literal, beside)))


def _literal(path: str) -> str:
    """A path as a pattern of .dockerignore that matches only itself."""
    return re.sub(r"([*?\[\]\\!#])", r"\\\1", path)


def _short(weights: Weights) -> str:
    return hashlib.sha256(f"{weights.source}:{weights.value}".encode()).hexdigest()[:6]
