"""Edits of a service's own code: its image is built of code that this machine settles, upon an image
of all that lies below, which the engine keeps.

That is one target without a container. Both take the place of stages of the service's Dockerfile
that give the same, so the image is the one that plain `docker buildx bake` builds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slimbake import docker
from slimbake.build.command import BakeOptions, arguments, environment, staged
from slimbake.build.known import image_accounts
from slimbake.build.site import Site, built_for
from slimbake.config.names import INVENTORY
from slimbake.errors import SetupError
from slimbake.fingerprint import Account, Parts, without
from slimbake.host import process
from slimbake.host.workspace import FOLDER, Workspace
from slimbake.images import this_platform
from slimbake.inside import pyz, zipapp
from slimbake.plan.graph import IMAGE
from slimbake.plan.model import Plan, Target
from slimbake.render.generated import own_templates

BELOW = "below"  # in the workspace, and the stage of a service's Dockerfile
CODE = "code"  # likewise: a folder with settled code, and the stage
RUNTIME = "runtime"  # a target, and a folder of the workspace with its files
_PYTHON = ("usr/local/bin/python{0}", "usr/bin/python{0}")
_LOADER = ("usr/lib/*/ld-linux*.so*", "lib/*/ld-linux*.so*", "lib64/ld-linux*.so*")
_LIBRARIES = ("usr/local/lib/lib*.so*", "lib/*/lib*.so*", "usr/lib/*/lib*.so*")
_PLAIN = {"file", "program", "folder"}  # kinds of what code is made of
_LARGE = 1 << 26  # bytes: of such code BuildKit is sent what changed alone, not all of it
_PATIENCE = 60.0  # seconds for what takes a tenth of one

# What lies below the code of a service: its fingerprint, and the engine's id of an image of it, "" =
# none yet. Of RUNTIME only the fingerprint, where its files lie here.
Known = Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Edits:
    """What the services whose code can be settled here are made of, as it was before a bake."""

    # service -> the fingerprint of all but its code, and of the program that checks that
    below: Mapping[str, str]
    code: Mapping[str, Parts]  # service -> what its code is
    runtime: str  # the fingerprint of the runtime


def edits(site: Site, accounts: Iterable[Account]) -> Edits:
    """What a bake's accounts say of edits; nothing of a service that is not built from code here, or
    by a Dockerfile or template of the user's own.
    """
    found = {each.target: each for each in accounts}
    program = hashlib.sha256(zipapp("check")).hexdigest()
    below, code = {}, {}
    for target in () if _refused(site) else site.plan.targets:
        account = found.get(target.name)
        if account and account.fingerprint and _settles(site.plan, target):
            for context in (each for each in account.inputs if each.kind == "context"):  # one
                below[target.name] = f"{without(account, context)} {program}"
                code[target.name] = context.parts
    runtime = found.get(RUNTIME)
    return Edits(below, code, runtime.fingerprint if runtime else "")


def _refused(site: Site) -> bool:
    """Whether all stages have to be built: others may stand in a template of the user's own, a cache
    is to have them, and an image does not tell all of a layer of estargz.
    """
    compression = os.environ.get("COMPRESSION", site.plan.compression.type)
    return bool(own_templates(site.root) or os.environ.get("CACHE_TO") or compression == "estargz")


def _settles(plan: Plan, target: Target) -> bool:
    recipe = target.recipe
    return bool(
        target.kind == "service"
        and recipe
        and recipe.template == "service.Dockerfile.j2"
        and recipe.code
        and not recipe.steps
        and (recipe.early or not recipe.folders)
        and built_for(plan, (target,)) == {this_platform()}
    )


def known_below(workspace: Workspace) -> Known:
    """What the last bakes left."""

    def parse(said: Any) -> dict[str, tuple[str, str]]:
        return {str(name): (str(was), str(image)) for name, (was, image) in said.items()}

    return workspace.read(BELOW, parse) or {}


def quick(
    site: Site,
    names: Collection[str],
    options: BakeOptions,
    found: Edits,
    held: Mapping[str, tuple[str, ...]],
) -> tuple[Plan, BakeOptions]:
    """The plan and options for a bake of these targets, with those services of which nothing but
    code is new built of settled code.

    `held`: the images of the engine, id -> names. A service of which this fails is built by the
    stages of its Dockerfile, which also say what is wrong.
    """
    known, edited = known_below(site.workspace), {}
    if found.runtime and known.get(RUNTIME, ("",))[0] == found.runtime:
        shutil.rmtree(site.workspace.path(CODE), ignore_errors=True)
        for name in names:
            was, image = known.get(name, ("", ""))
            at = staged(site.plan, name, site.around.checkout, BELOW)
            if was and was == found.below.get(name) and at in held.get(image, ()):
                target = site.plan.target(name)
                with contextlib.suppress(OSError, SetupError):
                    if folder := _settled(site, target, found.code[name]):
                        edited[name] = _upon(site, target, f"{IMAGE}{at}", folder)
    if not edited:
        return site.plan, options
    # its inventories were taken when what lies below was built: by the same program
    counted = edited.keys() == {*names} and not any(_native(found.code[name]) for name in edited)
    targets = (each for each in site.plan.targets if not (counted and each.kind == INVENTORY))
    plan = replace(site.plan, targets=tuple(edited.get(each.name, each) for each in targets))
    file = _bake_file(site.workspace, CODE, {n: _redefined(each) for n, each in edited.items()})
    return plan, replace(options, file=file)


def _upon(site: Site, target: Target, image: str, folder: str) -> Target:
    """The target with the last stage of its Dockerfile, and contexts in place of those before."""
    _, _, last = (site.root / target.dockerfile).read_text("utf-8").partition(f"\nFROM {BELOW}\n")
    file = f"{CODE}/{target.name}.Dockerfile"
    site.workspace.write_text(file, f"FROM {BELOW}\n{last}")
    # what the stages need that are not there any more: no context has to be built
    unused = {name: image for name, _ in target.contexts}
    return replace(
        target,
        context=folder,  # of which nothing is sent; BuildKit knows other contexts by its name
        dockerfile=f"{FOLDER}/{file}",
        contexts=tuple({**unused, BELOW: image, CODE: folder}.items()),
    )


def _native(code: Parts) -> bool:
    """Whether code may have shared objects or programs, whose libraries an inventory looks for."""
    return any(kind == "program" or ".so" in name for name, kind in _kinds(code).items())


def _settled(site: Site, target: Target, code: Parts) -> str:
    """A folder with the settled code of a service; "" for code that is left to a step.

    A new one each time: where BuildKit is sent but what changed in a folder, the folder gets
    another time.
    """
    python = _python(site.workspace.path(RUNTIME).resolve(), site.plan.python)
    context = site.root / target.context
    kinds = _kinds(code)
    if not python or not mountable(code):
        return ""
    if sum((context / name).stat().st_size for name in kinds) > _LARGE:
        return ""
    above = site.workspace.path(f"{CODE}/{target.name}")
    above.mkdir(parents=True)
    folder = Path(tempfile.mkdtemp(dir=above))
    app = folder / "app"
    copy_code(context, code, app)
    program = site.workspace.path(f"{CODE}/{pyz('build')}")
    program.write_bytes(zipapp("build"))
    words = (*python, "-IS", program, "settle-code", app, "/app")
    # as in the image; and nothing of this machine's
    here = {"LANG": "C.UTF-8", **dict.fromkeys(("LC_ALL", "LC_CTYPE", "LD_PRELOAD"), "")}
    done = process.execute(words, env=here, timeout=_PATIENCE)
    return os.path.relpath(folder, site.root) if done.ok else ""


def _kinds(code: Parts) -> dict[str, str]:
    return {name: what.partition(" ")[0] for name, what in code}


def mountable(code: Parts) -> bool:
    """Whether `copy_code` can copy some code: it has no links."""
    return _PLAIN.issuperset(_kinds(code).values())


def copy_code(context: Path, code: Parts, folder: Path) -> None:
    """Copy files and folders of a build context, with the modes that they have in an image."""
    for name, kind in _kinds(code).items():
        path = folder / name
        (path if kind == "folder" else path.parent).mkdir(parents=True, exist_ok=True)
        if kind != "folder":
            shutil.copyfile(context / name, path)
            path.chmod(0o755 if kind == "program" else 0o644)


def _python(root: Path, version: str) -> tuple[Path | str, ...]:
    """The words that run the Python of a runtime whose files lie here, with its own libraries; ()
    where that cannot be done.
    """

    def within(patterns: Iterable[str]) -> list[Path]:  # no link leads to what this machine has
        found = (path for each in patterns for path in sorted(root.glob(each)))
        return [path for path in found if path.resolve().is_relative_to(root)]

    python, loader = within(each.format(version) for each in _PYTHON), within(_LOADER)
    folders = dict.fromkeys(str(path.parent) for path in within(_LIBRARIES))
    if not python or not loader:
        return ()
    return (loader[0], "--inhibit-cache", "--library-path", ":".join(folders), python[0])


def _redefined(target: Target) -> dict[str, object]:
    return {
        "context": target.context,
        "dockerfile": os.path.relpath(target.dockerfile, target.context),
        "contexts": dict(target.contexts),
    }


def _bake_file(workspace: Workspace, folder: str, targets: Mapping[str, object]) -> str:
    """Write a bake file with these targets into a folder of the workspace; its path."""
    file = f"{folder}/bake.json"
    workspace.write_text(file, json.dumps({"target": targets}, indent=1))
    return f"{FOLDER}/{file}"


def keep_below(
    site: Site, names: Iterable[str], found: Edits, held: Mapping[str, tuple[str, ...]]
) -> None:
    """After a bake of these services by all stages of their Dockerfiles: remember what lies below
    their code. Of one that was so before, and so was built again for its code alone, have the engine
    keep an image of it; and this machine the files of the runtime. What of that fails is left to
    the next bake.

    `held`: the images of the engine before, id -> names.
    """
    known = dict(known_below(site.workspace))
    new = {name: found.below[name] for name in names if name in found.below}
    was = {name: known.get(name, ("", "")) for name in new}
    again = tuple(n for n in new if was[n][0] == new[n] and was[n][1] not in held)
    for name, fingerprint in new.items():
        if was[name][0] != fingerprint:
            known[name] = (fingerprint, "")
            if was[name][1]:
                docker.remove_image(staged(site.plan, name, site.around.checkout, BELOW))
    if again and found.runtime:
        if runtime := known.get(RUNTIME, ("",))[0] != found.runtime:
            known.pop(RUNTIME, None)
        site.workspace.write(BELOW, known)  # also what an interruption leaves is true
        with contextlib.suppress(OSError, SetupError, KeyError, ValueError):
            images = _kept(site, again, runtime)
            now = edits(site, image_accounts(site))  # what was edited meanwhile may be in them
            same = (name for name in again if now.below.get(name) == new[name])
            known |= {name: (new[name], images[name]) for name in same}
            known |= {RUNTIME: (found.runtime, "")} if now.runtime == found.runtime else {}
    site.workspace.write(BELOW, known)


def _kept(site: Site, names: tuple[str, ...], runtime: bool) -> dict[str, str]:
    """The engine's ids of images of what lies below the code of these services, all of whose steps
    are cached. `runtime`: its files are put into the workspace too.
    """
    targets: dict[str, object] = {
        f"_{BELOW}-{name}": {
            "inherits": [name],
            "target": BELOW,
            "tags": [staged(site.plan, name, site.around.checkout, BELOW)],
        }
        for name in names
    }
    if runtime:
        shutil.rmtree(site.workspace.path(RUNTIME), ignore_errors=True)
        output = f"type=local,dest={FOLDER}/{RUNTIME}"
        targets[f"_{RUNTIME}"] = {"inherits": [RUNTIME], "output": [output]}
    options = BakeOptions(file=_bake_file(site.workspace, BELOW, targets))
    around = environment(site.around, options)
    with tempfile.TemporaryDirectory(prefix="slimbake-below-") as scratch:
        metadata = Path(scratch, "metadata.json")
        # all that the services need, and not they themselves: their code may be another by now
        needed = [w for w in arguments(site.plan, names, site.around, options) if w not in names]
        words = ("--metadata-file", str(metadata), *needed, *targets)
        running = docker.Bake(words, site.root, around, site.engine.program)
        for _ in running.events():
            pass
        if running.code:
            raise SetupError("buildx failed", running.text)
        said = json.loads(metadata.read_bytes())
    return {name: said[f"_{BELOW}-{name}"]["containerimage.digest"] for name in names}
