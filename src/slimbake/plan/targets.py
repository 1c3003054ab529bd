"""Make each kind of target: what it is built from, and what its Dockerfile does. Pure."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import filter as filter_names
from functools import cache
from pathlib import PurePosixPath

from slimbake.config.model import BuildStep, Container, FileCopy, OwnStage, Pairs, once, values_of
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
from slimbake.fleet.model import (
    Base,
    Export,
    Fleet,
    Package,
    Runtime,
    Service,
    Weights,
    installs,
)
from slimbake.host.dockerignore import literal
from slimbake.host.sources import Source
from slimbake.layers.model import Layer, Layering, Link
from slimbake.plan.model import (
    LINK,
    REFERENCE,
    SMOKE,
    ExportStep,
    Kind,
    PlannedCopy,
    PlannedStep,
    Recipe,
    Target,
    home_in_memory,
)

PROMISE = "slimbake.promise"  # the label that says whether the manifest removes files of an image
FROM_INSIDE = ("inside", f"{LINK}inside")  # the link to the programs that steps run

NEVER_BUILT_IN = ("**/.*", "**/__pycache__", "**/*.pyc")
# What lies in a service's folder for people and tools, not for the container.
NOT_CODE = (
    *NEVER_BUILT_IN,
    "**/Dockerfile*",
    "**/*.Dockerfile",
    "**/tests",
    "**/compose.y*ml",
    "**/compose.*.y*ml",
    "**/docker-compose*.y*ml",
)


def inside(fleet: Fleet, layering: Layering) -> Target:
    """The target with the files that steps mount, and that no image has.

    These are slimbake's programs and, where something is installed, the locks, what each layer is
    made of, and uv. As one target, they are sent to the engine once, not once for each target: that
    was a fifth of the time of a bake that finds everything built. A step mounts single files of it
    and is cached by their content, so that an edit of one lock rebuilds no other layer.
    """
    contexts = []
    if _installs_anything(fleet):
        contexts.append(("locks", LOCKS))
        # A lock names no package where a service has packages of the repository alone.
        if layering.layers:
            contexts.append(("layers", LAYERS))
        contexts.append(external(fleet, "uv"))
    return Target(
        name="inside",
        kind="inside",
        python=fleet.python,
        context=PROGRAMS,
        dockerfile=_dockerfile("inside"),
        recipe=Recipe(template="inside.Dockerfile.j2"),
        contexts=tuple(contexts),
        labels=labels(fleet, "inside"),
        ignore=NEVER_BUILT_IN,
    )


def _installs_anything(fleet: Fleet) -> bool:
    owners: tuple[Base | Service, ...] = (*fleet.bases, *fleet.services)
    return bool(fleet.weights) or any(installs(owner) or owner.system for owner in owners)


def _dockerfile(name: str) -> str:
    return f"{DOCKERFILES}/{name}.Dockerfile"


def runtime(fleet: Fleet, runtime: Runtime) -> Target:
    name, python = runtime.name, runtime.python
    recipe = Recipe(template="runtime.Dockerfile.j2")
    contexts = [FROM_INSIDE, external(fleet, runtime.external)]
    if runtime.image:
        # Before the first `lock` the path of its Python is not known; nothing is baked without.
        program = python.program
        interpreter = fleet.interpreter(runtime)
        if interpreter:
            program = interpreter.path
        recipe = Recipe(template="from.Dockerfile.j2", interpreter=program)
        if recipe.links_interpreter:
            contexts.append(external(fleet, python.image))
    return Target(
        name=name,
        kind="runtime",
        python=python,
        runtime=runtime,
        context=PROGRAMS,
        dockerfile=_dockerfile(f"runtime{runtime.suffix}"),
        recipe=recipe,
        contexts=tuple(contexts),
        labels=labels(fleet, name),
        repository="runtime",
        suffix=runtime.suffix,
    )


def wheel(package: Package, fleet: Fleet) -> Target:
    name = package.scope.name
    source = package.source
    python = package.scope.python
    context = package.path
    ignore: tuple[str, ...] = (*NEVER_BUILT_IN, "tests")
    archive = ""
    if source:
        context = PROGRAMS
        ignore = ()
        archive = _checkout(source) if source.git else source.file
    system_lock = ""
    image = python.builder
    if package.system:
        system_lock = f"{package.scope.system_lock}.txt"
        image = python.image
    return Target(
        name=name,
        kind="wheel",
        python=python,
        context=context,
        dockerfile=_dockerfile(name),
        recipe=Recipe(
            template="wheel.Dockerfile.j2",
            lock=f"{package.scope.lock}.txt",
            system=package.system,
            system_lock=system_lock,
            source=archive,
        ),
        contexts=(FROM_INSIDE, external(fleet, image)),
        labels=labels(fleet, name),
        online=True,
        ignore=ignore,
    )


def _checkout(source: Source) -> str:
    """A commit as BuildKit's ADD takes it."""
    address, commit, subfolder = source.repository
    if address.startswith("http"):
        address = address.removesuffix(".git") + ".git"
    checkout = f"{address}#{commit}"
    if subfolder:
        checkout += f":{subfolder}"
    return checkout


def layer(layer: Layer, fleet: Fleet) -> Target:
    """The target that makes a layer of packages. It depends on nothing of an image."""
    # One Dockerfile for all layers but those with wheels that are built here.
    name = layer.name if layer.wheels else f"layer{layer.python.suffix}"
    arguments = [("LAYER", layer.name)]
    if layer.torch:
        arguments.append(("TORCH", layer.torch))
    return Target(
        name=layer.name,
        kind="layer",
        python=layer.python,
        context=PROGRAMS,
        dockerfile=_dockerfile(name),
        recipe=Recipe(template="layer.Dockerfile.j2", layer=layer, lock=f"{layer.lock}.txt"),
        contexts=(
            FROM_INSIDE,
            external(fleet, layer.python.builder),
            *_linked(layer.wheels),
        ),
        args=tuple(arguments),
        online=True,
    )


def base(base: Base, fleet: Fleet, layering: Layering) -> Target:
    name = base.scope.name
    kind: Kind = "base"
    repository = base_target(base.entry)
    if base.scope.kind == "export":
        kind = "export"
        repository = ""
    interpreter = fleet.interpreter(base.scope.runtime)
    local = _local(base)
    chain = layering.chains.get(name, ())
    return Target(
        name=name,
        kind=kind,
        python=base.scope.python,
        runtime=base.scope.runtime,
        context=PROGRAMS,
        dockerfile=_dockerfile(name),
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
            *_linked(link.target for link in chain),
            *_linked(target for _, target in local),
        ),
        labels=labels(fleet, name, ((PROMISE, _promise(fleet, name)),)),
        repository=repository,
        suffix=_suffix(base),
        online=bool(base.system),
    )


def weights(weights: Weights, fleet: Fleet) -> Target:
    """Weights as they came, or exported."""
    if weights.export and weights.origin:
        return _exported(weights, weights.export, weights.origin, fleet)
    name = weights.scope.name
    packaged = weights.source == "package"
    context = weights.value
    ignore: tuple[str, ...] = NEVER_BUILT_IN
    if packaged:
        context = PROGRAMS
        ignore = ()
    mounted = name in fleet.mounted
    return Target(
        name=name,
        kind="weights",
        python=weights.scope.python,
        context=context,
        dockerfile=_dockerfile(name),
        recipe=Recipe(template="weights.Dockerfile.j2", lock=f"{weights.scope.lock}.txt"),
        contexts=(FROM_INSIDE, external(fleet, weights.scope.python.builder)),
        labels=labels(fleet, name),
        mounted=mounted,
        repository=name if mounted else "",
        online=packaged,
        ignore=ignore,
    )


def _exported(weights: Weights, export: Export, origin: Weights, fleet: Fleet) -> Target:
    name = weights.scope.name
    return Target(
        name=name,
        kind="weights",
        python=export.base.python,
        context=PROGRAMS,
        dockerfile=_dockerfile(name),
        recipe=Recipe(
            template="export.Dockerfile.j2",
            export=ExportStep(model=weights.name, precision=export.precision),
            lock=f"{weights.scope.lock}.txt",  # of the weights that it exports
        ),
        contexts=(
            FROM_INSIDE,
            external(fleet, export.base.python.builder),
            ("base", f"{LINK}{export.base.name}"),
            ("source", f"{LINK}{origin.scope.name}"),
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
        python=fleet.python,
        context=stage.context,
        dockerfile=stage.dockerfile,
        recipe=None,
        stage=stage.target,
        args=stage.args,
        secrets=stage.secrets,
    )


def checks(services: Sequence[Service]) -> dict[str, list[str]]:
    """The files that only check images, by each context that they lie in.

    One folder may be the context of several services, and one context may lie in another.
    """
    checks_of: dict[str, list[str]] = {}
    paths: set[str] = set()
    for service in services:
        checks_of[service.context] = []
        paths.update(service.checks)
    for path in paths:
        folder = path
        while folder != ".":
            folder = posixpath.dirname(folder) or "."
            if folder in checks_of:
                checks_of[folder].append(path)
    return checks_of


def service(
    service: Service, fleet: Fleet, layering: Layering, checks: Mapping[str, Sequence[str]]
) -> Target:
    """The image of a service. `checks`: as the function of that name gives them; they are no code."""
    local = _local(service)
    chain = layering.chains.get(service.scope.name, ())
    recipe = _recipe(service, chain, local)
    own_dockerfile = service.dockerfile is not None
    needs_builder = bool(local or recipe.code or recipe.bytecode) and not own_dockerfile
    contexts = (
        *_step_contexts(service, fleet, builder=needs_builder),
        _below(service),
        *_linked(link.target for link in chain),
        *_weights_context(service.laid if own_dockerfile else None),
        *_linked(target for _, target in local),
        *_build_contexts(service, fleet),
        *service.contexts,
    )
    promise = (PROMISE, _promise(fleet, service.scope.name))
    return Target(
        name=service.scope.name,
        kind="service",
        service=service.name,
        python=service.scope.python,
        runtime=service.scope.runtime,
        context=service.context,
        dockerfile=service.dockerfile or _dockerfile(service.name),
        stage=service.target,
        recipe=None if own_dockerfile else recipe,
        contexts=once(contexts),
        args=once(_arguments(service)),
        labels=labels(fleet, service.name, (*service.labels, promise)),
        repository=service.entry,
        suffix=_suffix(service),
        platforms=service.platforms,
        secrets=service.secrets,
        online=bool(recipe.system) or any(step.network for step in recipe.steps),
        ignore=_ignore(service, fleet, checks[service.context]),
    )


def _recipe(service: Service, chain: tuple[Link, ...], local: Pairs) -> Recipe:
    copies = [PlannedCopy(_origin(copy), copy.source, copy.to) for copy in service.copy]
    steps = [_step(number, step, service) for number, step in enumerate(service.build, 1)]
    return Recipe(
        template="service.Dockerfile.j2",
        system=service.system,
        system_lock=_system_lock(service),
        chain=chain,
        bytecode=service.bytecode.more,
        local=local,
        lock=_lock(service),
        code=service.has_code,
        env=service.env,
        **values_of(service, Container),
        copies=tuple(copies),
        steps=tuple(steps),
    )


def _suffix(owner: Base | Service) -> str:
    """What follows the tag of a variant that is not the first."""
    return f"-{owner.variant}" if owner.copied else ""


def _arguments(service: Service) -> Pairs:
    """The build arguments of a service: the values of variables, and those of its own Dockerfile."""
    arguments = [once((service_argument(name), value)) for name, value in service.env]
    for number, step in enumerate(service.build, 1):
        for name, value in step.env:
            arguments.append((step_argument(number, name), value))
    return (*arguments, *service.args)


# Arguments that BuildKit itself gives a value, where a stage names them.
_PLATFORM = re.compile(r"\b(?:TARGET|BUILD)(?:PLATFORM|OS|ARCH|VARIANT)\b")


def _step(number: int, step: BuildStep, service: Service) -> PlannedStep:
    env = {}
    image = ""
    context = ""
    folder = "/app"
    if step.image:
        image = step_image(step.image)
        folder = "/build"
        if step.context != service.context:
            context = _step_context(number)
    else:
        # In the service's own image, the step has the service's variables.
        env = {name: service_argument(name) for name, _ in service.env}
    env |= {name: step_argument(number, name) for name, _ in step.env}
    return PlannedStep(
        run=step.run,
        image=image,
        context=context,
        folder=folder,
        outputs=step.outputs,
        into=str(PurePosixPath("/app", step.below)),
        network=step.network,
        secrets=step.secrets,
        env=tuple(env.items()),
        platform=tuple(dict.fromkeys(_PLATFORM.findall(" ".join(step.run)))),
    )


def _step_context(number: int) -> str:
    """The context of a step that runs in another folder than the service's."""
    return f"{STEPS}context-{number}"


def service_argument(variable: str) -> str:
    """The build argument that has the value of a service's variable."""
    return f"ENV_{variable}"


def step_argument(number: int, variable: str) -> str:
    """The build argument that has the value of a step's variable."""
    return f"ENV_{number}_{variable}"


def _origin(copy: FileCopy) -> str:
    """The name of the context that files are copied out of; "" for the service's own."""
    if copy.stage:
        return stage_target(copy.stage)
    return step_image(copy.image) if copy.image else ""


def _build_contexts(service: Service, fleet: Fleet) -> Pairs:
    """The contexts of `build` and `copy`.

    These are the images of both, the stages that files are copied from, and the folders that steps
    have in place of the build context.
    """
    used = [step.image for step in service.build]
    used += [copy.image for copy in service.copy]
    images = {}
    for image in used:
        if image:
            name = step_image(image)
            images[name] = external(fleet, name)
    stages: dict[str, None] = {}
    for copy in service.copy:
        if copy.stage:
            stages[_origin(copy)] = None
    contexts = [*images.values(), *_linked(stages)]
    for number, step in enumerate(service.build, 1):
        if step.image and step.context != service.context:
            contexts.append((_step_context(number), step.context))
    return tuple(contexts)


@cache  # one object for all services of a large fleet
def check_file(name: str, mounts_weights: bool = False) -> tuple[str, Recipe]:
    """The Dockerfile of a check, and what lays it out."""
    file = f"{name}-weights" if mounts_weights else name
    recipe = Recipe(template=f"{name}.Dockerfile.j2", mounts_weights=mounts_weights)
    return _dockerfile(file), recipe


def smoke(service: Service) -> Target:
    # Neither the Python nor the user of an image with a Dockerfile of its own is known.
    name = "smoke-own" if service.dockerfile else "smoke"
    dockerfile, recipe = check_file(name, service.mounts)
    arguments = [(SMOKE, service.smoke or "")]
    if service.reference:
        arguments.append((REFERENCE, service.reference))
    arguments += _script(service)
    arguments += surroundings(service)
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
            ("image", f"{LINK}{service.scope.name}"),
            *mounted_context(service),
        ),
        args=once(tuple(arguments)),
        platforms=service.platforms,
        ignore=NEVER_BUILT_IN,
    )


def mounted_context(service: Service) -> Pairs:
    """The context of a check whose step mounts the weights of a service."""
    return _weights_context(service.weights if service.mounts else None)


def inventories(targets: Sequence[Target], layering: Layering) -> Iterator[Target]:
    """The inventory of each base and service that installs packages.

    It checks in the image what no layer shows alone: that all packages are there, that none
    overwrites another, and that none lacks a library. A service with a Dockerfile of the user's own
    has none, since that may do anything with files, but its bases have.
    """
    layer_of = {layer.name: layer for layer in layering.layers}
    dockerfile, recipe = check_file(INVENTORY)
    for target in targets:
        if target.kind not in ("base", "service") or not target.recipe:
            continue
        layers = [layer_of[link.target] for link in target.recipe.chain if not link.weights]
        packages = {name for name, _ in target.recipe.local}
        if not layers and not packages:
            continue
        removes: set[str] = set()
        for layer in layers:
            packages |= _packages_for_machines(layer)
            removes.update(rule.name for rule in layer.rules if rule.requested)
        arguments = [("CHECKED", target.name), ("PACKAGES", " ".join(sorted(packages)))]
        if removes:
            arguments.append(("REMOVES", json.dumps(sorted(removes))))
        yield Target(
            name=inventory_name(target.name),
            kind="inventory",
            service=target.service,
            python=target.python,
            context=PROGRAMS,
            dockerfile=dockerfile,
            recipe=recipe,
            contexts=(FROM_INSIDE, ("image", f"{LINK}{target.name}")),
            args=once(tuple(map(once, arguments))),
            platforms=target.platforms,
        )


def _packages_for_machines(layer: Layer) -> set[str]:
    """The names of a layer's packages; one for some machines only is `fast@aarch64`."""
    packages = set()
    for pin in layer.pins:
        if not pin.marker:
            packages.add(pin.name)
        for machine in pin.machines:
            packages.add(f"{pin.name}@{machine}")
    return packages


def inventory_name(target: str) -> str:
    """The name of the inventory of an image."""
    return f"{target}-{INVENTORY}"


def _script(service: Service) -> Pairs:
    """The program that its container starts, where a package of the repository may install it."""
    word = next(iter(reaped((*service.entrypoint, *service.command))), "")
    has_packages = any(scope.asks.packages for scope in service.scope.closure)
    if not has_packages or "/" in word or word.startswith("python"):
        return ()
    return (("SLIMBAKE_SCRIPT", word),)


def surroundings(service: Service) -> Pairs:
    """The variables that describe a service's container to a check that runs in a build."""
    in_memory = list(service.tmpfs)
    writable = [path for _, path in service.volumes]
    user = service.user
    if service.keeps_home:
        writable.append(service.home)
    if not service.dockerfile:
        in_memory += home_in_memory(service)
        if user == USER:
            user = ""
    variables = {
        "SLIMBAKE_VOLUMES": ":".join(writable),
        "SLIMBAKE_TMPFS": ":".join(in_memory),
        "SLIMBAKE_USER": user,
    }
    if service.start.env:
        variables["SLIMBAKE_ENV"] = json.dumps(dict(service.start.env))
    return tuple((key, value) for key, value in variables.items() if value)


def _promise(fleet: Fleet, layer: str) -> str:
    return "removes" if layer in fleet.removes else "kept"


def _system_lock(asker: Base | Service) -> str:
    if asker.system:
        return f"{asker.scope.system_lock}.txt"
    return ""


def _lock(asker: Base | Service) -> str:
    return f"{asker.scope.lock}.txt" if installs(asker) else ""


def _local(asker: Base | Service) -> Pairs:
    """The packages of the repository that it installs, each with the target of its wheel.

    All other packages are in its layers.
    """
    local = [package for package in asker.packages if not package.source]
    return tuple(sorted((package.name, package.scope.name) for package in local))


def _step_contexts(asker: Base | Service, fleet: Fleet, *, builder: bool) -> Pairs:
    """The contexts of the steps that install and copy."""
    contexts = [FROM_INSIDE]
    if asker.system and not asker.scope.image:
        contexts.append(external(fleet, asker.scope.python.image))
    if builder:
        contexts.append(external(fleet, asker.scope.python.builder))
    return tuple(contexts)


def _below(asker: Base | Service) -> tuple[str, str]:
    """The context that an image starts from: the base below it, or else its runtime."""
    below = asker.scope.runtime.name
    if asker.scope.chain:
        below = asker.scope.chain[-1].name
    return "base", f"{LINK}{below}"


def _weights_context(weights: Weights | None) -> Pairs:
    if weights:
        return (("weights", f"{LINK}{weights.scope.name}"),)
    return ()


def _linked(targets: Iterable[str]) -> Pairs:
    """The contexts that are these targets, each under its own name."""
    return tuple((target, f"{LINK}{target}") for target in targets)


def external(fleet: Fleet, name: str) -> tuple[str, str]:
    """The context that is an image from outside."""
    return name, f"docker-image://{fleet.external(name).reference}"


def labels(fleet: Fleet, target: str, extra: Pairs = ()) -> Pairs:
    """The labels of a target. They do not depend on the commit: the same inputs give one digest."""
    defaults = {
        "org.opencontainers.image.title": target,
        "slimbake.project": fleet.project,
        "slimbake.target": target,
    }
    return tuple(map(once, sorted({**defaults, **dict(extra)}.items())))


def _ignore(service: Service, fleet: Fleet, checks: Iterable[str]) -> tuple[str, ...]:
    """The lines of a service's .dockerignore: they leave out of the context what is not code.

    The user's own lines come first, so that none of them undoes ours by chance, as `!app` would for
    `app/.env`. A line that keeps a file of NOT_CODE by its very name comes again after ours.
    """
    if not service.has_code:
        return ("*",)
    context = service.context
    not_code = [*service.scope.asks.files, *service.env_file, *checks]
    if service.weights and service.weights.source == "path":
        not_code.append(service.weights.value)
    prefix = f"{context}/"
    ignored = []
    if context == ".":
        prefix = ""
        # The folder of the manifest has the files that slimbake writes, too.
        ignored += [BAKE, "docker-bake.hcl", fleet.manifest.file.name]
    for path in not_code:
        if path == context:
            ignored.append(".")
        elif path and path.startswith(prefix):
            ignored.append(path.removeprefix(prefix))
    kept = [pattern for pattern in service.ignore if _keeps(pattern)]
    return once((*service.ignore, *NOT_CODE, *kept, *sorted(map(literal, ignored))))


def _keeps(pattern: str) -> bool:
    """Whether a line of a .dockerignore keeps something that NOT_CODE names, such as `!.streamlit`."""
    if not pattern.startswith("!"):
        return False
    names = pattern.removeprefix("!").strip("/").split("/")
    return any(filter_names(names, line.removeprefix("**/")) for line in NOT_CODE)
