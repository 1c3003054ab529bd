"""One function per kind of target: what it is built from, and what its Dockerfile does."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from slimbake.config.model import BuildStep, FileCopy, OwnStage, Pairs, container, once
from slimbake.config.names import INVENTORY
from slimbake.config.naming import (
    BAKE,
    DOCKERFILES,
    LAYERS,
    LOCKS,
    PROGRAMS,
    STEPS,
    USER,
    base_target,
    stage_target,
    step_image,
)
from slimbake.config.shells import reaped
from slimbake.fleet.model import Base, Fleet, Package, Runtime, Service, Weights
from slimbake.host.dockerignore import literal
from slimbake.host.sources import Source
from slimbake.layers.model import Layer, Layering
from slimbake.plan.model import (
    REFERENCE,
    SMOKE,
    ExportStep,
    PlannedCopy,
    PlannedStep,
    Recipe,
    Target,
    home_in_memory,
)

PROMISE = "slimbake.promise"  # the label that says whether the manifest removes files of an image
FROM_INSIDE = ("inside", "target:inside")  # the link to the programs that steps run

NEVER_BUILT_IN = ("**/.*", "**/__pycache__", "**/*.pyc")
# What lies in a service's folder for people and tools, not for the container.
NOT_CODE = (
    *(*NEVER_BUILT_IN, "**/Dockerfile*", "**/*.Dockerfile", "**/tests"),
    *("**/compose.y*ml", "**/compose.*.y*ml", "**/docker-compose*.y*ml"),
)


def inside(fleet: Fleet, layering: Layering) -> Target:
    """What steps mount and no image has: slimbake's programs and, where something is installed, the
    locks, what each layer is made of, and uv.

    One target, so that these are sent to the engine once and not once for each target: of a bake
    that finds everything built, that was a fifth of the time. A step mounts single files of it and
    is cached by their content: an edit of one lock rebuilds no other layer.
    """
    owners: tuple[Base | Service, ...] = (*fleet.bases, *fleet.services)
    packages = any(map(_installs, owners))
    installs = packages or any(owner.system for owner in owners) or bool(fleet.weights)
    # A lock may name no package: that of a service with packages of the repository alone.
    layers = (("layers", LAYERS),) if layering.layers else ()
    return Target(
        name="inside",
        kind="inside",
        service="",
        python=fleet.python,
        context=PROGRAMS,
        dockerfile=f"{DOCKERFILES}/inside.Dockerfile",
        recipe=Recipe(template="inside.Dockerfile.j2"),
        contexts=(("locks", LOCKS), *layers, external(fleet, "uv")) if installs else (),
        labels=labels(fleet, "inside"),
        ignore=NEVER_BUILT_IN,
    )


def runtime(fleet: Fleet, runtime: Runtime) -> Target:
    name, python = runtime.name, runtime.python
    recipe = Recipe(template="runtime.Dockerfile.j2")
    contexts = [FROM_INSIDE, external(fleet, runtime.external)]
    if runtime.image:
        interpreter = fleet.interpreter(runtime)
        # Before the first lock; nothing is baked without one.
        program = interpreter.path if interpreter else python.program
        recipe = Recipe(template="from.Dockerfile.j2", interpreter=program)
        if recipe.links_interpreter:
            contexts.append(external(fleet, python.image))
    return Target(
        name=name,
        kind="runtime",
        service="",
        python=python,
        runtime=runtime,
        context=PROGRAMS,
        dockerfile=f"{DOCKERFILES}/runtime{runtime.suffix}.Dockerfile",
        recipe=recipe,
        contexts=tuple(contexts),
        labels=labels(fleet, name),
        repository="runtime",
        suffix=runtime.suffix,
    )


def wheel(package: Package, fleet: Fleet) -> Target:
    name, source, python = package.scope.name, package.source, package.scope.python
    return Target(
        name=name,
        kind="wheel",
        service="",
        python=python,
        context=PROGRAMS if source else package.path,
        dockerfile=f"{DOCKERFILES}/{name}.Dockerfile",
        recipe=Recipe(
            template="wheel.Dockerfile.j2",
            lock=f"{package.scope.lock}.txt",
            system=package.system,
            system_lock=f"{package.scope.system_lock}.txt" if package.system else "",
            source="" if not source else _checkout(source) if source.git else source.file,
        ),
        contexts=(FROM_INSIDE, external(fleet, python.image if package.system else python.builder)),
        labels=labels(fleet, name),
        online=True,
        ignore=() if source else (*NEVER_BUILT_IN, "tests"),
    )


def _checkout(source: Source) -> str:
    """A commit as BuildKit's ADD takes it."""
    address, commit, subfolder = source.repository
    plain = address.removesuffix(".git") + ".git" if address.startswith("http") else address
    return f"{plain}#{commit}{f':{subfolder}' if subfolder else ''}"


def layer(layer: Layer, fleet: Fleet) -> Target:
    """The step that makes a layer of packages. It depends on nothing of an image."""
    # One file for all but those with wheels that are built here.
    name = layer.name if layer.wheels else f"layer{layer.python.suffix}"
    arguments = [("LAYER", layer.name)]
    if layer.torch:
        arguments.append(("TORCH", layer.torch))
    return Target(
        name=layer.name,
        kind="layer",
        service="",
        python=layer.python,
        context=PROGRAMS,
        dockerfile=f"{DOCKERFILES}/{name}.Dockerfile",
        recipe=Recipe(template="layer.Dockerfile.j2", layer=layer, lock=f"{layer.lock}.txt"),
        contexts=(
            FROM_INSIDE,
            external(fleet, layer.python.builder),
            *((target, f"target:{target}") for target in layer.wheels),
        ),
        args=tuple(arguments),
        online=True,
    )


def base(base: Base, fleet: Fleet, layering: Layering) -> Target:
    name, exports = base.scope.name, base.scope.kind == "export"
    interpreter = fleet.interpreter(base.scope.runtime)
    local = _local(base)
    chain = layering.chains.get(name, ())
    return Target(
        name=name,
        kind="export" if exports else "base",
        service="",
        python=base.scope.python,
        runtime=base.scope.runtime,
        context=PROGRAMS,
        dockerfile=f"{DOCKERFILES}/{name}.Dockerfile",
        recipe=Recipe(
            template="base.Dockerfile.j2",
            user=interpreter.nonroot if interpreter else USER,
            system=base.system,
            system_lock=_system_lock(base),
            chain=chain,
            local=local,
            lock=_lock(base),
        ),
        contexts=(
            *_step_contexts(base, fleet, builder=bool(local)),
            _below(base),
            *((link.target, f"target:{link.target}") for link in chain),
            *_wheel_contexts(local),
        ),
        labels=labels(fleet, name, ((PROMISE, _promise(fleet, name)),)),
        repository="" if exports else base_target(base.entry),
        suffix=f"-{base.variant}" if base.copied else "",
        online=bool(base.system),
    )


def weights(weights: Weights, fleet: Fleet) -> Target:
    """Weights as they came, or exported."""
    if weights.export and weights.origin:
        return _exported(weights, fleet)
    name = weights.scope.name
    packaged = weights.source == "package"
    return Target(
        name=name,
        kind="weights",
        service="",
        python=weights.scope.python,
        context=PROGRAMS if packaged else weights.value,
        dockerfile=f"{DOCKERFILES}/{name}.Dockerfile",
        recipe=Recipe(template="weights.Dockerfile.j2", lock=f"{weights.scope.lock}.txt"),
        contexts=(FROM_INSIDE, external(fleet, weights.scope.python.builder)),
        labels=labels(fleet, name),
        mounted=name in fleet.mounted,
        repository=name if name in fleet.mounted else "",
        online=packaged,
        ignore=() if packaged else NEVER_BUILT_IN,
    )


def _exported(weights: Weights, fleet: Fleet) -> Target:
    name, export, origin = weights.scope.name, weights.export, weights.origin
    assert export and origin  # noqa: S101 - for the type checker
    return Target(
        name=name,
        kind="weights",
        service="",
        python=export.base.python,
        context=PROGRAMS,
        dockerfile=f"{DOCKERFILES}/{name}.Dockerfile",
        recipe=Recipe(
            template="export.Dockerfile.j2",
            export=ExportStep(
                model=weights.name,
                precision=export.precision,
            ),
            lock=f"{weights.scope.lock}.txt",  # it is those weights, in another form
        ),
        contexts=(
            FROM_INSIDE,
            external(fleet, export.base.python.builder),
            ("base", f"target:{export.base.name}"),
            ("source", f"target:{origin.scope.name}"),
        ),
        labels=labels(fleet, name),
        mounted=name in fleet.mounted,
        repository=name,
    )


def stage(stage: OwnStage, fleet: Fleet) -> Target:
    """A stage of a Dockerfile of the user's own, as it is."""
    return Target(
        name=stage_target(stage),
        kind="stage",
        service="",
        python=fleet.python,
        context=stage.context,
        dockerfile=stage.dockerfile,
        recipe=None,
        stage=stage.target,
        args=stage.args,
        secrets=stage.secrets,
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
    service: Service, fleet: Fleet, layering: Layering, checks: Mapping[str, Sequence[str]]
) -> Target:
    """One image. `checks`: see above; they are no code of its context."""
    local = _local(service)
    chain = layering.chains.get(service.scope.name, ())
    recipe = Recipe(
        template="service.Dockerfile.j2",
        system=service.system,
        system_lock=_system_lock(service),
        chain=chain,
        bytecode=service.bytecode.more,
        local=local,
        lock=_lock(service),
        code=service.has_code,
        env=service.env,
        **container(service),
        copies=tuple(PlannedCopy(_origin(each), each.source, each.to) for each in service.copy),
        steps=tuple(_step(number, step, service) for number, step in enumerate(service.build, 1)),
    )
    own = service.dockerfile is not None
    builder = bool(local or recipe.code or recipe.bytecode) and not own
    return Target(
        name=service.scope.name,
        kind="service",
        service=service.name,
        python=service.scope.python,
        runtime=service.scope.runtime,
        context=service.context,
        dockerfile=service.dockerfile or f"{DOCKERFILES}/{service.name}.Dockerfile",
        stage=service.target,
        recipe=None if own else recipe,
        contexts=once(
            (
                *_step_contexts(service, fleet, builder=builder),
                _below(service),
                *((link.target, f"target:{link.target}") for link in chain),
                *_weights_context(service.laid if own else None),
                *_wheel_contexts(local),
                *_build_contexts(service, fleet),
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
            (*service.labels, (PROMISE, _promise(fleet, service.scope.name))),
        ),
        repository=service.entry,
        suffix=f"-{service.variant}" if service.copied else "",
        platforms=service.platforms,
        secrets=service.secrets,
        online=bool(recipe.system) or any(step.network for step in recipe.steps),
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


def _origin(copy: FileCopy) -> str:
    """The context that files are copied out of."""
    return stage_target(copy.stage) if copy.stage else step_image(copy.image)


def _build_contexts(service: Service, fleet: Fleet) -> Pairs:
    """The images that steps run in and files come of, the stages that files come of, and the folders
    of steps that are not the build context.
    """
    used = [step.image for step in service.build]
    used += [copy.image for copy in service.copy]
    images = dict.fromkeys(step_image(image) for image in used if image)
    stages = dict.fromkeys(_origin(copy) for copy in service.copy if copy.stage)
    folders = (
        (f"{STEPS}context-{number}", step.context)
        for number, step in enumerate(service.build, 1)
        if step.image and step.context != service.context
    )
    return (
        *(external(fleet, name) for name in images),
        *((name, f"target:{name}") for name in stages),
        *folders,
    )


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
        python=service.scope.python,
        context=service.context,
        dockerfile=dockerfile,
        recipe=recipe,
        contexts=(
            FROM_INSIDE,
            ("image", f"target:{service.scope.name}"),
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


def inventories(targets: Sequence[Target], layering: Layering) -> Iterator[Target]:
    """Of each base and service that installs packages, the check of what no layer shows alone: that
    all are there, that none overwrites another, and that none lacks a library.

    A Dockerfile of the user's own may do what it likes with files, so such a service has none, but
    its bases do.
    """
    layers = {layer.name: layer for layer in layering.layers}
    for target in targets:
        if target.kind not in ("base", "service") or not target.recipe:
            continue
        own = [layers[link.target] for link in target.recipe.chain if not link.weights]
        pins = [pin for layer in own for pin in layer.pins]
        packages = {*dict(target.recipe.local), *(pin.name for pin in pins if not pin.marker)}
        # One with a marker is for some machines only: `fast@aarch64`.
        packages |= {f"{pin.name}@{machine}" for pin in pins for machine in pin.machines}
        if not own and not packages:
            continue
        arguments = [("CHECKED", target.name), ("PACKAGES", " ".join(sorted(packages)))]
        rules = (rule for layer in own for rule in layer.rules)
        if lines := sorted({rule.name for rule in rules if rule.requested}):
            arguments.append(("REMOVES", json.dumps(lines)))
        yield Target(
            name=inventory_name(target.name),
            kind="inventory",
            service=target.service,
            python=target.python,
            context=PROGRAMS,
            dockerfile=_INVENTORY_FILE,
            recipe=_INVENTORY,
            contexts=(FROM_INSIDE, ("image", f"target:{target.name}")),
            args=once(tuple(map(once, arguments))),
            platforms=target.platforms,
        )


def inventory_name(target: str) -> str:
    """The target that shows that no file of an image's packages is lost."""
    return f"{target}-{INVENTORY}"


def _script(service: Service) -> Pairs:
    """The program that its container starts, where a package of the repository may have it."""
    word = next(iter(reaped((*service.entrypoint, *service.command))), "")
    has_packages = any(layer.asks.packages for layer in (*service.scope.chain, service.scope))
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


def _promise(fleet: Fleet, layer: str) -> str:
    return "removes" if layer in fleet.removes else "kept"


def _system_lock(asker: Base | Service) -> str:
    return f"{asker.scope.system_lock}.txt" if asker.system else ""


def _installs(asker: Base | Service) -> bool:
    return asker.scope.installs or bool(asker.packages)


def _lock(asker: Base | Service) -> str:
    return f"{asker.scope.lock}.txt" if _installs(asker) else ""


def _local(asker: Base | Service) -> Pairs:
    """The packages of the repository that it installs, each with the target of its wheel; others are
    in its layers.
    """
    own = (package for package in asker.packages if not package.source)
    return tuple(sorted((package.name, package.scope.name) for package in own))


def _step_contexts(asker: Base | Service, fleet: Fleet, *, builder: bool) -> Pairs:
    """The contexts of the steps that install and copy: only those that there are."""
    contexts = [FROM_INSIDE]
    if asker.system and not asker.scope.image:
        contexts.append(external(fleet, asker.scope.python.image))
    if builder:
        contexts.append(external(fleet, asker.scope.python.builder))
    return tuple(contexts)


def _below(asker: Base | Service) -> tuple[str, str]:
    """What an image lies on."""
    chain = asker.scope.chain
    return "base", f"target:{chain[-1].name if chain else asker.scope.runtime.name}"


def _weights_context(weights: Weights | None) -> Pairs:
    return (("weights", f"target:{weights.scope.name}"),) if weights else ()


def _wheel_contexts(packages: Pairs) -> Pairs:
    return tuple((target, f"target:{target}") for _, target in packages)


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
    files = (*service.scope.asks.files, *service.env_file, *folders, *checks)
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
