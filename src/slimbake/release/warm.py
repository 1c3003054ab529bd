"""Warm lists: traces what starts need in steps on the images, and keeps what each layer needs.

A step, and not a container: nothing is exported or compressed for it, no more run at once than the
machine bears (`inside.check.turn`), and one whose image, code and checks are the same comes from its cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from slimbake.checks.start import without_compose
from slimbake.config.naming import RULES, WARM, WEIGHTS_FOLDER
from slimbake.errors import CheckError, NothingSelected, SetupError
from slimbake.fleet.model import Layer, Service
from slimbake.host.files import content, write_all, write_atomically
from slimbake.host.workspace import FOLDER
from slimbake.images import this_platform
from slimbake.inside import pyz, zipapp
from slimbake.inside.ledger import package_key
from slimbake.inside.step import PREFIX
from slimbake.lock.text import lock_digest
from slimbake.plan.model import Target
from slimbake.plan.targets import NEVER_BUILT_IN, mounted_context, surroundings
from slimbake.project import Project, reread
from slimbake.release.bake import bake
from slimbake.release.command import TRACES, BakeOptions
from slimbake.release.place import BakeRequest, still_built
from slimbake.release.site import Site, regenerated
from slimbake.warm import remove_lists
from slimbake.warm.compare import Refreshed, compared
from slimbake.warm.lists import Traced, read_traced, warm_lines, warm_text

_NAME = TRACES.removeprefix(f"{FOLDER}/")  # the same, as the workspace has it
_HEAD = "# Runs the checks of a service in its final image, and keeps which modules they and its start use."
_STEP = """\
FROM image AS traced
USER 0:0
{arguments}
RUN --network=none \\
    --mount=type=bind,from=program,source=check.pyz,target=/check.pyz \\
    --mount=type=cache,id=slimbake-turns,mode=0700,target=/inside/turns \\
    --mount=type=cache,id=slimbake-bytecode-{packages},target=/inside/bytecode{prefix} \\
    --mount=type=bind,target=/inside/context \\
    --mount=type=tmpfs,target=/tmp \\{mounts}
    {command}

FROM scratch
COPY --from=traced /traced.json /traced.json
"""
_PROGRAM = ("/check.pyz", "starts", "/traced.json")
# As templates/smoke-own.Dockerfile.j2: as the image's own user, who may have any number.
_OWN_USER = """\
FROM image AS user
RUN --network=none \\
    ["python3", "-ISBc", "import os; open('/tmp/slimbake-user', 'w').write(f'{os.getuid()}:{os.getgid()}')"]

"""
_AS_OWN_USER = (
    "import os, runpy, sys; "
    "os.environ['SLIMBAKE_USER'] = os.environ.get('SLIMBAKE_USER') or open('/inside/user').read(); "
    "del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def traces(
    site: Site, services: Collection[str], *, keep_going: bool = False
) -> tuple[Traced, ...]:
    """What the starts and checks of these services use, each in a step on its image.

    Left out: one of which nothing is known to run and, with `keep_going`, one that does not build.
    Raises as `bake`.
    """
    fleet = site.project.fleet
    chosen = [service for service in fleet.services if service.name in services and _runs(service)]
    smokes = {target.service: target for target in site.plan.targets if target.kind == "smoke"}
    targets = tuple(_target(service, smokes.get(service.name)) for service in chosen)
    names = tuple(target.name for target in targets)
    again = {service.name for service in chosen if _faulty(site.root / TRACES, service)}
    shutil.rmtree(site.workspace.path(_NAME), ignore_errors=True)
    for service, target in zip(chosen, targets, strict=True):
        name = f"{_NAME}/{service.name}.Dockerfile"
        text = _text(service, target, _packages(site.project, service))
        site.workspace.write_text(name, text)
        site.workspace.write_text(f"{name}.dockerignore", "\n".join(NEVER_BUILT_IN))
    for file in sorted((site.root / RULES).glob("*.json")):
        site.workspace.write_text(
            f"{_NAME}/rules/{file.name}",
            _uncompiled(content(site.root, f"{RULES}/{file.name}").decode()),
        )
    site.workspace.write_text(
        f"{_NAME}/bake.json", json.dumps(_bake_file(targets, again), indent=1)
    )
    program = site.workspace.path(f"{_NAME}/program/{pyz('check')}")
    write_atomically(program, zipapp("check"))
    plan = replace(site.plan, targets=(*site.plan.targets, *targets))
    here = this_platform()
    built = {platform for service in chosen for platform in service.layer.platforms}
    options = BakeOptions(
        keep_going=keep_going,
        file=f"{TRACES}/bake.json",
        # a start needs the same modules on each of several platforms
        platform=here if here in built else min(built, default=""),
    )
    result = bake(site, names, options, checks=False, plan=plan)
    return tuple(
        _found(site.root / TRACES, service) for service in chosen if _name(service) in result.left
    )


def _text(service: Service, target: Target, packages: str) -> str:
    """What runs the checks: in an image that has slimbake's Python and user, or its own. `packages`:
    a digest of what is installed, whose bytecode is kept for other traces; that of code is not.
    """
    own_image = service.dockerfile is not None
    command = ("python3", "-ISBc", _AS_OWN_USER, *_PROGRAM) if own_image else ("python", *_PROGRAM)
    user = "\n    --mount=type=bind,from=user,source=/tmp/slimbake-user,target=/inside/user \\"
    weights = f"\n    --mount=type=bind,from=weights,target={WEIGHTS_FOLDER} \\"
    step = _STEP.format(
        arguments="\n".join(f"ARG {key}" for key, _ in target.args),
        mounts=f"{user if own_image else ''}{weights if service.mounts else ''}",
        command=json.dumps(command),
        packages=packages,
        prefix=PREFIX,
    )
    return f"{_HEAD}\n{_OWN_USER if own_image else ''}{step}"


def _runs(service: Service) -> bool:
    """Whether anything is known to run in its image, and uses packages there."""
    layers = (*service.layer.chain, service.layer)
    return any(layer.installs for layer in layers) and bool(service.smoke or _command(service))


def _command(service: Service) -> tuple[str, ...]:
    return () if service.dockerfile else (*service.entrypoint, *service.command)


def _name(service: Service) -> str:
    return f"_trace-{service.name}"  # a service's own name begins with a letter or digit


def _target(service: Service, smoke: Target | None) -> Target:
    traced = {
        "smoke": smoke is not None,
        "verify": service.verify or "",
        "command": _command(service),
        "environment": {**without_compose(service.environment), **dict(service.start.env)},
        "fixed": len(service.entrypoint),
        "port": service.port,
    }
    return Target(
        name=_name(service),
        kind="trace",
        service=service.name,
        context=service.context,
        dockerfile=f"{TRACES}/{service.name}.Dockerfile",
        recipe=None,
        contexts=(
            ("program", f"{TRACES}/program"),
            ("image", f"target:{service.layer.name}"),
            *mounted_context(service),
        ),
        args=(*(smoke.args if smoke else surroundings(service)), ("TRACED", json.dumps(traced))),
        platforms=service.platforms,
    )


def _packages(project: Project, service: Service) -> str:
    """Changes with what is installed in an image: Python tells files of one path and size apart by
    their times, and all have one time, such as those of two versions of a package.
    """
    texts = (project.locks.text(layer.lock) or "" for layer in service.layer.closure)
    digest = hashlib.sha256(lock_digest(texts).encode())
    for package in project.fleet.packages:
        folder = project.root / package.path
        for path in sorted(folder.rglob("*.py")) if package.path else ():
            digest.update(content(project.root, path.relative_to(project.root)))
    return digest.hexdigest()[:16]


def _uncompiled(rules: str) -> str:
    """What is done to a layer, without bytecode and cold store: a trace needs neither. Python keeps
    what it compiles in a cache of the builder.
    """
    settings = json.loads(rules)
    return json.dumps({**settings, "warm": False, "compile": False}, indent=1)


def _bake_file(targets: Iterable[Target], again: Collection[str]) -> dict[str, object]:
    """What buildx reads of these targets, beside the bake file of the repository. `again`: services
    whose trace is not to come from the cache.
    """
    return {
        "target": {
            "inside": {"contexts": {"rules": f"{TRACES}/rules"}},
            **{
                target.name: {
                    "inherits": ["_common"],
                    "context": target.context,
                    "dockerfile": os.path.relpath(target.dockerfile, target.context),
                    "contexts": dict(target.contexts),
                    "no-cache": target.service in again,
                    "args": {name: _literal(value) for name, value in target.args},
                    **({"platforms": list(target.platforms)} if target.platforms else {}),
                }
                for target in targets
            },
        }
    }


def _literal(text: str) -> str:
    """A text in which buildx evaluates nothing: it reads strings of JSON as templates."""
    return text.replace("${", "$${").replace("%{", "%%{")


def _found(folder: Path, service: Service) -> Traced:
    text = (folder / service.name / "traced.json").read_text("utf-8", "replace")
    return read_traced(service.name, text)


def _faulty(folder: Path, service: Service) -> bool:
    """Whether something did not hold in its last trace: a busy machine may have been at fault."""
    try:
        return (folder / service.name / "traced.json").is_file() and bool(
            _found(folder, service).fault
        )
    except SetupError:  # of another version, or garbled
        return True


def lists(
    project: Project, layers: Iterable[Layer], traced: Iterable[Traced]
) -> dict[str, tuple[str, ...]]:
    """The list of each of these layers of which a service was traced, by its lock."""
    trace_of = {trace.service: trace for trace in traced}
    lines_of = {}
    for layer in layers:
        on = [trace_of[name] for name in layer.services if name in trace_of and trace_of[name].seen]
        pins = {package_key(pin.name) for pin in project.locks.pins(layer.lock)}
        if on:
            lines_of[layer.lock] = warm_lines(on, pins)
    return lines_of


def write_lists(root: Path, lines_of: Mapping[str, tuple[str, ...]]) -> None:
    """Put lists into the repository, each whole or not at all."""
    texts = {layer: warm_text(layer, lines) for layer, lines in lines_of.items()}
    write_all({root / WARM / f"{layer}.txt": text.encode() for layer, text in texts.items()})


def first_lists(site: Site, request: BakeRequest) -> Site:
    """The site, after a trace for those layers of what is baked that have no list yet.

    Only where somebody reviews what a bake writes: not in CI, with `--frozen` or on builders. A
    layer whose check does not hold gets none. Nothing is traced for images that are there and
    unchanged. What fails here is left out: the bake that follows says why.
    """
    names = {service.name for service in site.project.fleet.services} & {*request.targets}
    new = [
        layer
        for layer in site.project.optimisation.optimised.values()
        if layer.lock not in site.project.optimisation.warm and names & {*layer.services}
    ]
    if not new:
        return site
    if where := _not_here(site, request):
        _say_missing(site, new, f"and none is made {where}")
        return site
    default = {*site.plan.group("default")}  # what a bake of everything builds
    partly = [layer for layer in new if not _whole(layer, default) <= names]
    new = [layer for layer in new if layer not in partly]
    if partly:
        _say_missing(site, partly, "and not all services on it are baked")
    services = {name for layer in new for name in layer.services} & names
    if not new or services <= {image.name for image in still_built(site, request.targets)[0]}:
        return site
    site.console.say(f"finding out which modules a start needs (once; {WARM}/)")
    began = time.monotonic()
    traced = traces(site.stocked(services), services, keep_going=True)
    good = {trace.service for trace in traced if not trace.fault}
    whole = [layer for layer in new if {*layer.services} & services <= good]
    lines_of = lists(site.project, whole, traced)
    _say_untraced(site, [layer for layer in whole if layer.lock not in lines_of])
    if not lines_of:
        return site
    write_lists(site.root, lines_of)
    for layer, lines in lines_of.items():
        few = "" if lines else "; no start needs anything of it, so all of its modules go cold"
        site.console.say(f"{WARM}/{layer}.txt: {len(lines)} modules stay warm{few}")
    seconds = time.monotonic() - began
    site.console.say(f"traced {_names(whole)} in {seconds:.0f} s; now the images with cold stores")
    return replace(site, project=regenerated(reread(site.project), site.console))


def refreshed(site: Site, services: Sequence[str], *, write: bool = True) -> tuple[Refreshed, ...]:
    """Trace every service on the layers of these services; compare, and `write`, the lists.

    Raises CheckError where a smoke or verify fails, and no list is written then; NothingSelected
    where no layer has a cold store, and as `bake` does.
    """
    project, console = site.project, site.console
    chosen = [
        layer
        for layer in project.optimisation.optimised.values()
        if {*layer.services} & {*services}
    ]
    if not chosen:
        raise NothingSelected("no layer of packages that may have a cold store")
    on = tuple(dict.fromkeys(name for layer in chosen for name in layer.services))
    traced = traces(site.stocked(on), on)
    if faults := [f"{trace.service}: {trace.fault}" for trace in traced if trace.fault]:
        raise CheckError("nothing is traced: checks failed\n" + "\n".join(faults))
    before = project.optimisation.warm
    lines_of = lists(project, chosen, traced)
    if write:
        write_lists(site.root, lines_of)
        remove_lists(project.fleet, console)
    _say_untraced(site, [layer for layer in chosen if layer.lock not in lines_of])
    return tuple(compared(name, before.get(name, ()), lines) for name, lines in lines_of.items())


def _whole(layer: Layer, default: Collection[str]) -> set[str]:
    """The services on a layer that have to be traced for its list: those that a bake of everything
    builds, or all where these stand on others.
    """
    return {*layer.services} & {*default} or {*layer.services}


def _not_here(site: Site, request: BakeRequest) -> str:
    """Where no list is made: nobody there would commit it; "" where it is."""
    where = {
        "with --frozen": request.frozen,
        "in CI": bool(os.environ.get("CI")),
        "by another builder": site.engine.builder != "docker",
        "with --set, --platform or ci job --shared": request.sets
        or request.platform
        or request.pushed,
        "with --missing": request.missing,
    }
    return next((reason for reason, holds in where.items() if holds), "")


def _say_untraced(site: Site, layers: Iterable[Layer]) -> None:
    for layer in layers:
        site.console.say(f"{layer.name}: no service on it runs a Python that can be traced")


def _say_missing(site: Site, layers: Iterable[Layer], why: str) -> None:
    site.console.say(
        f"nothing goes cold on {_names(layers)}: no warm list, {why};"
        " `slimbake lock --warm` makes it"
    )


def _names(layers: Iterable[Layer]) -> str:
    return ", ".join(layer.name for layer in layers)
