"""One function per kind of target: what it is built from, and what its Dockerfile does."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from slimbake.config.model import Base, LocalPackage, Manifest, Pairs, Parity, Service, Weights
from slimbake.fleet.sources import WeightsSource, externals
from slimbake.plan.model import Install, Recipe, Target

GENERATED = "dockerfiles"
INSIDE = f"{GENERATED}/programs"  # the context of the target `inside`: zipapps, by kind of step
LOCKS = "locks"
PASSES = f"{GENERATED}/passes"
RUNTIME = ("runtime", "target:runtime")
FROM_INSIDE = ("inside", "target:inside")  # the link to the programs that steps run

NEVER_BUILT_IN = ("**/.*", "**/__pycache__", "**/*.pyc")
# What lies in a service's folder for people and tools, not for the container.
NOT_CODE = (*NEVER_BUILT_IN, "**/*.md", "**/Dockerfile*", "**/tests", "train")


def inside(manifest: Manifest) -> Target:
    """What steps mount and no image has: slimbake's programs and, where something is installed, the
    locks, the lists of passes and uv.

    One target, so that these are sent to the engine once and not once for each target: of a bake
    that finds everything built, that was a fifth of the time. A step mounts single files of it and
    is cached by their content: an edit of one layer's lock rebuilds no other layer.
    """
    asked = (
        *(b.requirements for b in manifest.bases),
        *(s.requirements for s in manifest.services),
    )
    packages = any(r.specs or r.packages for r in asked)
    installs = (
        packages
        or any(s.weights or s.system for s in manifest.services)
        or any(b.system for b in manifest.bases)
    )
    return Target(
        name="inside",
        kind="inside",
        service="",
        context=INSIDE,
        dockerfile=f"{GENERATED}/inside.Dockerfile",
        recipe=Recipe(template="inside.Dockerfile.j2"),
        contexts=(
            ("locks", LOCKS),
            *((("passes", PASSES),) if packages else ()),
            external(manifest, "uv"),
        )
        if installs
        else (),
        labels=labels(manifest, "inside"),
        ignore=NEVER_BUILT_IN,
    )


def runtime(manifest: Manifest) -> Target:
    return Target(
        name="runtime",
        kind="runtime",
        service="",
        context=INSIDE,
        dockerfile=f"{GENERATED}/runtime.Dockerfile",
        recipe=Recipe(template="runtime.Dockerfile.j2"),
        contexts=(FROM_INSIDE, external(manifest, "python")),
        labels=labels(manifest, "runtime"),
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
        recipe=Recipe(template="wheel.Dockerfile.j2", lock=f"{name}.txt"),
        contexts=(FROM_INSIDE, RUNTIME),
        labels=labels(manifest, name),
        online=True,
        ignore=(*NEVER_BUILT_IN, "tests"),
    )


def base(
    base: Base, manifest: Manifest, sources: dict[Weights, WeightsSource], torch: str
) -> Target:
    name = f"base-{base.name}"
    source = sources[base.weights] if base.weights else None
    return Target(
        name=name,
        kind="export" if base.exports else "base",
        service="",
        context=INSIDE,
        dockerfile=f"{GENERATED}/{name}.Dockerfile",
        recipe=Recipe(
            template="base.Dockerfile.j2",
            system=base.system,
            shared_weights=bool(source),
            install=_install(name, base, torch),
        ),
        contexts=(
            *_layer_contexts(base, manifest),
            *_below(base.extends, base),
            *((("weights", f"target:weights-{source.name}"),) if source else ()),
            *_wheel_contexts(base),
        ),
        labels=labels(manifest, name),
        repository="" if base.exports else f"base-{base.copy_of or base.name}",
        suffix=f"-{base.variant}" if base.copy_of else "",
        online=_installs(base) or bool(base.system),
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
        recipe=Recipe(template="weights.Dockerfile.j2", lock=f"{name}.txt"),
        contexts=(FROM_INSIDE, RUNTIME),
        labels=labels(manifest, name),
        online=packaged,
        ignore=() if packaged else NEVER_BUILT_IN,
    )


def service(
    service: Service, manifest: Manifest, sources: dict[Weights, WeightsSource], torch: str
) -> Target:
    source = (
        sources[service.weights]
        if service.weights and service.weights not in _held(service, manifest)
        else None
    )
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
            *_below(service.base, service),
            *((("weights", f"target:weights-{source.name}"),) if source else ()),
            *_wheel_contexts(service),
            *service.contexts,
        ),
        args=(*((f"ENV_{name}", value) for name, value in service.env), *service.args),
        labels=labels(manifest, service.name, service.labels),
        repository=service.copy_of or service.name,
        suffix=f"-{service.variant}" if service.copy_of else "",
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
        contexts=(FROM_INSIDE, ("image", f"target:{service.name}")),
        args=(
            ("SMOKE", service.smoke or ""),
            *((("REFERENCE", service.reference),) if service.reference else ()),
        ),
        platforms=service.platforms,
        ignore=NEVER_BUILT_IN,
    )


def _install(lock: str, asker: Base | Service, torch: str) -> Install | None:
    if not _installs(asker):
        return None
    wheels = tuple(sorted(package.name for package in asker.requirements.packages))
    return Install(lock=f"{lock}.txt", wheels=wheels, torch=torch)


def _layer_contexts(asker: Base | Service, manifest: Manifest) -> Pairs:
    """The contexts of the steps that install and copy: only those that the layer uses."""
    return (FROM_INSIDE, *((external(manifest, "python"),) if asker.system else ()))


def _below(base: str | None, asker: Base | Service) -> Pairs:
    """What a layer lies on, and the runtime that its wheels are fetched with: one name for each
    linked target.
    """
    if not base:
        return (("base", "target:runtime"),)
    return (("base", f"target:base-{base}"), *((RUNTIME,) if _installs(asker) else ()))


def _installs(asker: Base | Service) -> bool:
    return bool(asker.requirements.specs or asker.requirements.packages)


def _held(service: Service, manifest: Manifest) -> frozenset[Weights]:
    """The weights that lie in the bases below a service."""
    by_name = {base.name: base for base in manifest.bases}
    found, name = set(), service.base
    while name:
        found.add(by_name[name].weights)
        name = by_name[name].extends
    return frozenset(weights for weights in found if weights)


def _wheel_contexts(asker: Base | Service) -> Pairs:
    names = sorted(package.name for package in asker.requirements.packages)
    return tuple((f"wheel-{name}", f"target:wheel-{name}") for name in names)


def external(manifest: Manifest, name: str) -> tuple[str, str]:
    """The context that is an image from outside."""
    return name, next(f"docker-image://{e.image}" for e in externals(manifest) if e.name == name)


def labels(manifest: Manifest, target: str, extra: Pairs = ()) -> Pairs:
    """Labels never vary per commit: two builds of the same inputs have the same configuration."""
    own = {
        "org.opencontainers.image.title": target,
        "slimbake.project": manifest.project,
        "slimbake.target": target,
    }
    return tuple(sorted({**own, **dict(extra)}.items()))


def _ignore(service: Service) -> tuple[str, ...]:
    """The context less what is not code: the user's .dockerignore first, so that nothing there can
    undo the rest.
    """
    context = PurePosixPath(service.context)
    weights = (
        [service.weights.value] if service.weights and service.weights.source == "path" else []
    )
    parity = service.parity or Parity()
    named = (
        PurePosixPath(path)
        for path in (*service.requirements.files, *weights, parity.texts)
        if path
    )
    inside = [str(path.relative_to(context)) for path in named if path.is_relative_to(context)]
    reference = service.reference or ("reference.json" if service.smoke else None)
    beside = [
        path for path in (service.smoke, service.verify, parity.check, reference, *inside) if path
    ]
    return (*service.ignore, *NOT_CODE, *sorted(map(literal, beside)))


def literal(path: str) -> str:
    """A path as a pattern of .dockerignore that matches only itself."""
    return re.sub(r"([*?\[\]\\!#])", r"\\\1", path)
