"""One function per kind of target: what it is built from, and what its Dockerfile does."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from slimbake.catalogue import Rule
from slimbake.config.model import BuildStep, Pairs, container, once
from slimbake.config.names import INVENTORY
from slimbake.config.naming import (
    BAKE,
    DOCKERFILES,
    LOCKS,
    PROGRAMS,
    RULES,
    STEPS,
    USER,
    base_layer,
    step_image,
)
from slimbake.config.shells import reaped
from slimbake.fleet.model import Base, Fleet, Package, Service, Weights
from slimbake.host.dockerignore import literal
from slimbake.host.sources import Source
from slimbake.lock.text import lock_digest, names_packages
from slimbake.plan.model import (
    LOCK,
    REFERENCE,
    SMOKE,
    ExportStep,
    Install,
    PlannedStep,
    Recipe,
    Target,
    home_in_memory,
)

RUNTIME = ("runtime", "target:runtime")
PROMISE = "slimbake.promise"  # the label that says whether the manifest removes files of an image
FROM_INSIDE = ("inside", "target:inside")  # the link to the programs that steps run

NEVER_BUILT_IN = ("**/.*", "**/__pycache__", "**/*.pyc")
# What lies in a service's folder for people and tools, not for the container.
NOT_CODE = (
    *(*NEVER_BUILT_IN, "**/Dockerfile*", "**/*.Dockerfile", "**/tests"),
    *("**/compose.y*ml", "**/compose.*.y*ml", "**/docker-compose*.y*ml"),
)


@dataclass(frozen=True, slots=True)
class Carried:
    """What is decided of layers of packages."""

    locks: Mapping[str, str]  # file name -> text
    rules: Mapping[str, tuple[Rule, ...]]  # by layer


def inside(fleet: Fleet) -> Target:
    """What steps mount and no image has: slimbake's programs and, where something is installed, the
    locks, the lists of rules, and uv.

    One target, so that these are sent to the engine once and not once for each target: of a bake
    that finds everything built, that was a fifth of the time. A step mounts single files of it and
    is cached by their content: an edit of one layer's lock rebuilds no other layer.
    """
    every: tuple[Base | Service, ...] = (*fleet.bases, *fleet.services)
    packages = any(map(_installs, every))
    installs = packages or any(owner.system for owner in every) or bool(fleet.weights)
    lists = (("rules", RULES),) if packages else ()
    return Target(
        name="inside",
        kind="inside",
        service="",
        context=PROGRAMS,
        dockerfile=f"{DOCKERFILES}/inside.Dockerfile",
        recipe=Recipe(template="inside.Dockerfile.j2"),
        contexts=(("locks", LOCKS), *lists, external(fleet, "uv")) if installs else (),
        labels=labels(fleet, "inside"),
        ignore=NEVER_BUILT_IN,
    )


def runtime(fleet: Fleet) -> Target:
    return Target(
        name="runtime",
        kind="runtime",
        service="",
        context=PROGRAMS,
        dockerfile=f"{DOCKERFILES}/runtime.Dockerfile",
        recipe=Recipe(template="runtime.Dockerfile.j2"),
        contexts=(FROM_INSIDE, external(fleet, "python")),
        labels=labels(fleet, "runtime"),
        repository="runtime",
    )


def wheel(package: Package, fleet: Fleet) -> Target:
    name, source = package.layer.name, package.source
    return Target(
        name=name,
        kind="wheel",
        service="",
        context=PROGRAMS if source else package.path,
        dockerfile=f"{DOCKERFILES}/{name}.Dockerfile",
        recipe=Recipe(
            template="wheel.Dockerfile.j2",
            lock=f"{package.layer.lock}.txt",
            system=package.system,
            system_lock=f"{package.layer.system_lock}.txt" if package.system else "",
            source="" if not source else _checkout(source) if source.git else source.file,
        ),
        contexts=(FROM_INSIDE, RUNTIME, *((external(fleet, "python"),) if package.system else ())),
        labels=labels(fleet, name),
        online=True,
        ignore=() if source else (*NEVER_BUILT_IN, "tests"),
    )


def _checkout(source: Source) -> str:
    """A commit as BuildKit's ADD takes it."""
    address, commit, subfolder = source.repository
    plain = address.removesuffix(".git") + ".git" if address.startswith("http") else address
    return f"{plain}#{commit}{f':{subfolder}' if subfolder else ''}"


def base(base: Base, fleet: Fleet, carried: Carried) -> Target:
    name, exports = base.layer.name, base.layer.kind == "export"
    return Target(
        name=name,
        kind="export" if exports else "base",
        service="",
        context=PROGRAMS,
        dockerfile=f"{DOCKERFILES}/{name}.Dockerfile",
        recipe=Recipe(
            template="base.Dockerfile.j2",
            system=base.system,
            system_lock=_system_lock(base),
            install=_install(base, carried),
        ),
        contexts=(
            *_layer_contexts(base, fleet),
            *_below(base),
            *_wheel_contexts(base.packages),
        ),
        labels=labels(fleet, name, ((PROMISE, _promise(fleet, name)),)),
        repository="" if exports else base_layer(base.entry),
        suffix=f"-{base.variant}" if base.copied else "",
        online=_installs(base) or bool(base.system),
    )


def weights(weights: Weights, fleet: Fleet) -> Target:
    """Weights as they came, or exported."""
    if weights.export and weights.origin:
        return _exported(weights, fleet)
    name = weights.layer.name
    packaged = weights.source == "package"
    return Target(
        name=name,
        kind="weights",
        service="",
        context=PROGRAMS if packaged else weights.value,
        dockerfile=f"{DOCKERFILES}/{name}.Dockerfile",
        recipe=Recipe(template="weights.Dockerfile.j2", lock=f"{weights.layer.lock}.txt"),
        contexts=(FROM_INSIDE, RUNTIME),
        labels=labels(fleet, name),
        mounted=name in fleet.mounted,
        repository=name if name in fleet.mounted else "",
        online=packaged,
        ignore=() if packaged else NEVER_BUILT_IN,
    )


def _exported(weights: Weights, fleet: Fleet) -> Target:
    name, export, origin = weights.layer.name, weights.export, weights.origin
    assert export and origin  # noqa: S101 - for the type checker
    return Target(
        name=name,
        kind="weights",
        service="",
        context=PROGRAMS,
        dockerfile=f"{DOCKERFILES}/{name}.Dockerfile",
        recipe=Recipe(
            template="export.Dockerfile.j2",
            export=ExportStep(
                model=weights.name,
                precision=export.precision,
            ),
            lock=f"{weights.layer.lock}.txt",  # it is those weights, in another form
        ),
        contexts=(
            FROM_INSIDE,
            RUNTIME,
            ("base", f"target:{export.base.name}"),
            ("source", f"target:{origin.layer.name}"),
        ),
        labels=labels(fleet, name),
        mounted=name in fleet.mounted,
        repository=name,
    )


def checks(services: Sequence[Service]) -> dict[str, list[str]]:
    """The files that check images, by each context above them: one folder may be the code of
    several services.
    """
    checks_of: dict[str, list[str]] = {service.context: [] for service in services}
    for path in {path for service in services for path in service.checks}:
        folder = path
        while folder != ".":
            folder = posixpath.dirname(folder) or "."
            if folder in checks_of:
                checks_of[folder].append(path)
    return checks_of


def service(
    service: Service, fleet: Fleet, carried: Carried, checks: Mapping[str, Sequence[str]]
) -> Target:
    """One image. `checks`: see above; they are no code of its context."""
    laid_weights = service.laid
    recipe = Recipe(
        template="service.Dockerfile.j2",
        system=service.system,
        system_lock=_system_lock(service),
        shared_weights=bool(laid_weights and laid_weights.shared),
        install=_install(service, carried),
        own_weights=bool(laid_weights and not laid_weights.shared),
        code=service.has_code,
        env=service.env,
        **container(service),
        secrets=tuple(secret.id for secret in service.secrets),
        steps=tuple(_step(number, step, service) for number, step in enumerate(service.build, 1)),
    )
    return Target(
        name=service.layer.name,
        kind="service",
        service=service.name,
        context=service.context,
        dockerfile=service.dockerfile or f"{DOCKERFILES}/{service.name}.Dockerfile",
        stage=service.target,
        recipe=None if service.dockerfile else recipe,
        contexts=once(
            (
                *_layer_contexts(service, fleet),
                *_below(service),
                *_weights_context(laid_weights),
                *_wheel_contexts(service.packages),
                *_step_contexts(service, fleet),
                *service.contexts,
            )
        ),
        args=once(
            (
                *(once((service_argument(name), value)) for name, value in service.env),
                *(
                    (step_argument(number, name), value)
                    for number, step in enumerate(service.build, 1)
                    for name, value in step.env
                ),
                *service.args,
            )
        ),
        labels=labels(
            fleet,
            service.name,
            (*service.labels, (PROMISE, _promise(fleet, service.layer.name))),
        ),
        repository=service.entry,
        suffix=f"-{service.variant}" if service.copied else "",
        platforms=service.platforms,
        secrets=service.secrets,
        online=bool(recipe.install or recipe.system) or any(step.network for step in recipe.steps),
        ignore=_ignore(service, fleet, checks[service.context]),
    )


def _step(number: int, step: BuildStep, service: Service) -> PlannedStep:
    same_context = step.image and step.context == service.context
    # In the service's own image it has the service's variables, too.
    env = {} if step.image else {name: service_argument(name) for name, _ in service.env}
    env |= {name: step_argument(number, name) for name, _ in step.env}
    return PlannedStep(
        run=step.run,
        image=step_image(step.image) if step.image else "",
        context=f"{STEPS}context-{number}" if step.image and not same_context else "",
        folder="/build" if step.image else "/app",
        outputs=step.outputs,
        into=str(PurePosixPath("/app", step.below)),
        network=step.network,
        secrets=step.secrets,
        env=tuple(env.items()),
    )


def service_argument(variable: str) -> str:
    """The build argument that has the value of a service's variable."""
    return f"ENV_{variable}"


def step_argument(number: int, variable: str) -> str:
    """The build argument that has the value of a step's variable."""
    return f"ENV_{number}_{variable}"


def _step_contexts(service: Service, fleet: Fleet) -> Pairs:
    """The images that steps run in, and the folders that are not the build context."""
    steps = [step for step in service.build if step.image]
    images = dict.fromkeys(step_image(step.image) for step in steps)
    folders = (
        (f"{STEPS}context-{number}", step.context)
        for number, step in enumerate(service.build, 1)
        if step.image and step.context != service.context
    )
    return (*(external(fleet, name) for name in images), *folders)


# A fleet of thousands has each of these once: by its name, and whether it mounts weights.
_CHECKS = {
    (name, mounts): (
        f"{DOCKERFILES}/{name}{'-weights' if mounts else ''}.Dockerfile",
        Recipe(template=f"{name}.Dockerfile.j2", mounts_weights=mounts),
    )
    for name in ("smoke", "smoke-own", "parity")
    for mounts in (False, True)
}
_INVENTORY_FILE = f"{DOCKERFILES}/inventory.Dockerfile"
_INVENTORY = Recipe(template="inventory.Dockerfile.j2")


def smoke(service: Service) -> Target:
    reference = ((REFERENCE, service.reference),) if service.reference else ()
    # of an image with a Dockerfile of its own, neither Python nor user are known
    dockerfile, recipe = check_file("smoke-own" if service.dockerfile else "smoke", service)
    return Target(
        name=f"{service.name}-smoke",
        kind="smoke",
        service=service.name,
        context=service.context,
        dockerfile=dockerfile,
        recipe=recipe,
        contexts=(
            FROM_INSIDE,
            ("image", f"target:{service.layer.name}"),
            *mounted_context(service),
        ),
        args=once(
            ((SMOKE, service.smoke or ""), *reference, *_script(service), *surroundings(service))
        ),
        platforms=service.platforms,
        ignore=NEVER_BUILT_IN,
    )


def check_file(name: str, service: Service) -> tuple[str, Recipe]:
    """The Dockerfile of a check of a service, and what lays it out."""
    return _CHECKS[name, service.mounts]


def mounted_context(service: Service) -> Pairs:
    """The context of a check whose step mounts the weights of a service."""
    return _weights_context(service.weights if service.mounts else None)


def inventories(targets: Sequence[Target]) -> Iterator[Target]:
    """Of each layer of packages, and of each service on one, the check that no file is lost.

    Each stands on that of the layer below. A Dockerfile of the user's own may do what it likes with
    files, so such a service has none, but its bases do.
    """
    locks: dict[str, str] = {}  # target -> the nearest lock
    for target in targets:
        if target.kind not in ("base", "service") or not target.recipe:
            continue
        install = target.recipe.install
        base = dict(target.contexts).get("base", "").removeprefix("target:")
        if lock := install.lock if install else locks.get(base, ""):
            locks[target.name] = lock
            built = (*dict(install.wheels), *install.local) if install else ()
            local = (("LOCAL", " ".join(sorted(built))),) if built else ()
            base_inventory = once(("below", f"target:{inventory_name(base)}"))
            yield Target(
                name=inventory_name(target.name),
                kind="inventory",
                service=target.service,
                context=PROGRAMS,
                dockerfile=_INVENTORY_FILE,
                recipe=_INVENTORY,
                contexts=(
                    FROM_INSIDE,
                    ("image", f"target:{target.name}"),
                    *([base_inventory] if base in locks else ()),
                ),
                args=(("CHECKED", target.name), (LOCK, lock), *local),
                platforms=target.platforms,
            )


def inventory_name(target: str) -> str:
    """The target that shows that no file of an image's packages is lost."""
    return f"{target}-{INVENTORY}"


def _script(service: Service) -> Pairs:
    """The program that its container starts, where a package of the repository may have it."""
    word = next(iter(reaped((*service.entrypoint, *service.command))), "")
    has_packages = any(layer.asks.packages for layer in (*service.layer.chain, service.layer))
    return (("SLIMBAKE_SCRIPT", word),) * (has_packages and not re.search(r"/|^python", word))


def surroundings(service: Service) -> Pairs:
    """What a check in a build's step knows of how a service's container runs."""
    home = () if service.dockerfile else home_in_memory(service)
    variables = {
        "SLIMBAKE_VOLUMES": ":".join(path for _, path in service.volumes),
        "SLIMBAKE_TMPFS": ":".join((*service.tmpfs, *home)),
        "SLIMBAKE_USER": "" if service.user == USER and not service.dockerfile else service.user,
        "SLIMBAKE_ENV": json.dumps(dict(service.start.env)) if service.start.env else "",
    }
    return tuple((key, value) for key, value in variables.items() if value)


def _install(asker: Base | Service, carried: Carried) -> Install | None:
    if not _installs(asker):
        return None
    layer, lock = asker.layer.lock, f"{asker.layer.lock}.txt"
    text = carried.locks.get(lock)
    return Install(
        lock=lock,
        locked=text is None or names_packages(text),
        content=lock_digest([text]).removeprefix("sha256:")[:16] if text else layer,
        wheels=tuple(sorted((p.name, p.layer.name) for p in asker.packages if p.source)),
        local=tuple(sorted(package.name for package in asker.packages if not package.source)),
        torch=asker.layer.torch,
        rules=carried.rules.get(layer, ()),
    )


def _promise(fleet: Fleet, layer: str) -> str:
    return "removes" if layer in fleet.removes else "kept"


def _system_lock(asker: Base | Service) -> str:
    return f"{asker.layer.system_lock}.txt" if asker.system else ""


def _installs(asker: Base | Service) -> bool:
    return bool(asker.layer.asks.specs or asker.packages)


def _layer_contexts(asker: Base | Service, fleet: Fleet) -> Pairs:
    """The contexts of the steps that install and copy: only those that the layer uses."""
    return (FROM_INSIDE, *((external(fleet, "python"),) if asker.system else ()))


def _below(asker: Base | Service) -> Pairs:
    """What a layer lies on, and the runtime that its wheels are fetched with: one name for each
    linked target.
    """
    if not asker.layer.chain:
        return (("base", "target:runtime"),)
    base_context = ("base", f"target:{asker.layer.chain[-1].name}")
    return (base_context, RUNTIME) if _installs(asker) else (base_context,)


def _weights_context(weights: Weights | None) -> Pairs:
    return (("weights", f"target:{weights.layer.name}"),) if weights else ()


def _wheel_contexts(packages: Iterable[Package]) -> Pairs:
    names = sorted(package.layer.name for package in packages)
    return tuple((name, f"target:{name}") for name in names)


def external(fleet: Fleet, name: str) -> tuple[str, str]:
    """The context that is an image from outside."""
    return name, f"docker-image://{fleet.external(name).reference}"


def labels(fleet: Fleet, target: str, extra: Pairs = ()) -> Pairs:
    """Labels never vary per commit: two builds of the same inputs have the same configuration."""
    defaults = {
        "org.opencontainers.image.title": target,
        "slimbake.project": fleet.project,
        "slimbake.target": target,
    }
    return tuple(map(once, sorted({**defaults, **dict(extra)}.items())))


def _ignore(service: Service, fleet: Fleet, checks: Iterable[str]) -> tuple[str, ...]:
    """The context less what is not code: the user's .dockerignore first, so that nothing there undoes
    the rest by chance, as `!app` would for `app/.env`. What it keeps by that very name is kept.
    """
    if not service.has_code:
        return ("*",)
    context, weights = service.context, service.weights
    folders = [weights.value] if weights and weights.source == "path" else []
    files = (*service.layer.asks.files, *service.env_file, *folders, *checks)
    prefix = "" if context == "." else f"{context}/"
    within = [
        "." if path == context else path.removeprefix(prefix)
        for path in files
        if path and f"{path}/".startswith(prefix)
    ]
    # In the folder that has the manifest, what slimbake writes is no code either.
    ours = (BAKE, "docker-bake.hcl", fleet.manifest.file.name) if context == "." else ()
    beside = sorted(map(literal, (*within, *ours)))
    kept = tuple(pattern for pattern in service.ignore if _keeps(pattern))
    return once((*service.ignore, *NOT_CODE, *kept, *beside))


def _keeps(pattern: str) -> bool:
    """Whether a line of a .dockerignore keeps something that NOT_CODE names, such as `!.streamlit`."""
    names = pattern.removeprefix("!").strip("/").split("/")
    left_out = [ignored.removeprefix("**/") for ignored in NOT_CODE]
    named = any(fnmatchcase(name, ignored) for name in names for ignored in left_out)
    return pattern.startswith("!") and named
