"""What the schema cannot say about the manifest; nothing here reads a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from slimbake.config.axes import axes, copies, pythons
from slimbake.config.containers import containers
from slimbake.config.copies import copied, unknown_secrets
from slimbake.config.document import KeyPath
from slimbake.config.inference import inference
from slimbake.config.names import IMAGE, IMAGE_FORM, LINKS, PREFIXES, SMOKE, check_names
from slimbake.config.naming import FROM, LAYER, STAGE, STEPS, VERSION, base_target, of_python
from slimbake.config.parity import parity
from slimbake.config.removal import removals
from slimbake.config.report import ProblemReport, did_you_mean, dotted_path
from slimbake.config.secrecy import secrets_written

Raw = dict[str, Any]

_ADDRESS = re.compile(r"([a-z][a-z+-]*):(?://)?(.*)", re.DOTALL)
_NO_BASES = "there are no bases: add it under `bases:`"
_IN_CONTEXT = ("include", "smoke", "verify", "reference", "dockerfile", "parity")
_SCHEMES = frozenset({"target", "docker-image", "oci-layout", "https", "ssh", "git"})


def rules(raw: Raw, report: ProblemReport) -> None:
    """Report every fault that lies between the parts of a manifest whose structure is sound."""
    services: Raw = raw.get("services", {})
    check_names(services, report)
    _bases(raw, report)
    versions = _versions(raw)
    _externals(raw, versions, report)
    inference(raw, report)
    parity(raw, report)
    containers(services, report)
    removals(raw, report)
    secrets_written(services, report)
    targets = {*services, *map(base_target, raw.get("bases", {})), *copies(raw)}
    for version in versions:
        targets.add(of_python("runtime", version, raw.get("python", "")))
    for name, service in services.items():
        if "smoke" in service:
            targets.add(f"{name}{SMOKE}")
    links = {}
    for name, service in services.items():
        at: KeyPath = ("services", name)
        if service.get("start") == "listens" and report.lacks(service, "port", at):
            report.value(
                (*at, "start"), "it listens on no port", "give it a `port`, or `start: runs`"
            )
        if "contexts" in service:
            _contexts(service, (*at, "contexts"), targets, report)
        if report.lacks(service, "context", at):
            _without_code(service, at, report)
        for number, step in enumerate(service.get("build", ())):
            unknown_secrets(step or {}, (*at, "build", number), service, report)
        copied(service, at, report)
        links[name] = tuple(_linked_targets(service))
    for loop in cycles(links):
        message = f"a cycle of contexts: {' -> '.join(loop)}"
        report.key(("services", loop[0], "contexts"), message, "remove one `target:`")


def _linked_targets(service: Raw) -> Iterator[str]:
    """The services whose files a service takes by its `contexts`."""
    for value in service.get("contexts", {}).values():
        if value.startswith("target:"):
            yield value.removeprefix("target:").removesuffix(SMOKE)


def _without_code(service: Raw, at: KeyPath, report: ProblemReport) -> None:
    """Report what lies in a context, of a service that has none."""
    starts = ("command", "entrypoint", "dockerfile")
    if service and all(report.lacks(service, key, at) for key in starts):
        hint = (
            "add `context`: the folder with its code; or the package's program, for example"
            " `command: [datasette, serve]`"
        )
        message = "it has no code: no `context`, and no `command` that a package brings"
        report.key(at, message, hint)
    keys = [key for key in _IN_CONTEXT if key in service]
    # Steps without outputs run in the image, and need no code.
    if any(step and step.get("outputs") for step in service.get("build", ())):
        keys.append("build")
    if any(copy and "from" not in copy for copy in service.get("copy", ())):
        keys.append("copy")
    message = "it lies in the service's context, and the service has none"
    hint = "add `context`: the folder that holds it, which becomes /app"
    for key in keys:
        report.key((*at, key), message, hint)
    if isinstance(service.get("requirements"), str):
        hint += ", or write a list: its files are relative to the manifest"
        report.key((*at, "requirements"), message, hint)


def folder_context(value: str) -> bool:
    """Whether a named context is a folder of the repository, and not an address."""
    return _ADDRESS.fullmatch(value) is None


def _versions(raw: Raw) -> dict[str, KeyPath]:
    """The versions of Python in use, and where each is said first; the fleet's own comes first."""
    used: dict[str, KeyPath] = {raw.get("python", ""): ("python",)}
    for _, _, python in pythons(raw):
        used.setdefault(python.value, python.path)
    return used


def _externals(raw: Raw, used: Mapping[str, KeyPath], report: ProblemReport) -> None:
    """Report images of Python that there are not for every version of it."""
    for name in ("python", "builder"):
        images: Raw = raw.get("externals", {}).get(name, {})
        if not images:
            continue
        pattern = images.get("image", "")
        if pattern and not IMAGE.fullmatch(pattern.replace(VERSION, "3.11")):
            path: KeyPath = ("externals", name, "image")
            report.value(path, f"'{pattern}' is no image reference", IMAGE_FORM)
        for version, path in used.items():
            if not version or version in images or VERSION in pattern:
                continue
            if pattern and version == raw.get("python"):
                continue
            message = f"it names no image with Python {version}, which {dotted_path(path)} says"
            hint = f'write {VERSION} in the tag of `image`, or add `"{version}": IMAGE`'
            report.key(("externals", name), f"{message} ({report.where(path)})", hint)


def _bases(raw: Raw, report: ProblemReport) -> None:
    """Report what is wrong between bases, and between services and bases."""
    bases: Raw = raw.get("bases", {})
    edges: dict[str, tuple[str, ...]] = {}
    for kind, key in (("bases", "extends"), ("services", "base")):
        for name, entry in raw.get(kind, {}).items():
            parent = entry.get(key)
            if parent is not None and parent not in bases:
                hint = did_you_mean(parent, bases) if bases else _NO_BASES
                report.value((kind, name, key), f"unknown base '{parent}'", hint)
            elif parent is not None and kind == "bases":
                edges[name] = (parent,)
    loops = cycles(edges)
    for loop in loops:
        path = ("bases", loop[0], "extends")
        report.value(path, f"a base cycle: {' -> '.join(loop)}", "remove one `extends`")
    if not loops:
        axes(raw, report)
        _limit(raw, edges, report)


def _limit(raw: Raw, edges: Mapping[str, tuple[str, ...]], report: ProblemReport) -> None:
    """Report a limit of layers that bases and services alone exceed: each has one at least."""
    limit = raw.get("layers", {}).get("limit")
    if limit is None:
        return
    for name, service in raw.get("services", {}).items():
        stack = [name] if "requirements" in service else []
        base = service.get("base")
        while base:
            stack.append(base)
            (base,) = edges.get(base, (None,))
        if len(stack) > limit:
            path = " on ".join(stack)
            message = f"{path} has {len(stack)} layers of packages at least"
            report.value(("layers", "limit"), message, f"allow {len(stack)}")
            return


def cycles(edges: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    """A cycle among edges, from its first node back to it, if there is one."""
    # graphlib follows what depends on a node, and so the edges as they are here
    sorter = TopologicalSorter(dict.fromkeys(edges, ()))
    for node, targets in edges.items():
        for target in targets:
            sorter.add(target, node)
    try:
        sorter.prepare()
    except CycleError as error:
        return [error.args[1]]
    return []


def _contexts(service: Raw, at: KeyPath, targets: set[str], report: ProblemReport) -> None:
    for name, value in service["contexts"].items():
        path = (*at, name)
        if name in LINKS or name.startswith((*PREFIXES, STEPS, LAYER, FROM, STAGE)):
            report.key(path, f"'{name}' is a context of slimbake's own", "give it another name")
        match = _ADDRESS.fullmatch(value)
        if not match:  # a folder
            continue
        scheme, rest = match[1], match[2]
        if scheme not in _SCHEMES:
            report.value(
                path,
                f"'{value}' is neither a folder nor an address that bake reads",
                "allowed: a folder, target:NAME, docker-image://, oci-layout://, https://",
            )
        elif scheme == "docker-image" and not IMAGE.fullmatch(rest):
            report.value(path, f"'{rest}' is no image reference", IMAGE_FORM)
        elif scheme == "target" and rest not in targets:
            report.value(path, f"unknown target '{rest}'", did_you_mean(rest, targets))
