"""What the schema cannot say about the manifest; nothing here reads a file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import Any

from slimbake.config.axes import axes, copies
from slimbake.config.containers import containers
from slimbake.config.document import KeyPath
from slimbake.config.inference import inference
from slimbake.config.names import IMAGE, IMAGE_FORM, LINKS, PREFIXES, SMOKE, check_names
from slimbake.config.naming import STEPS, base_layer
from slimbake.config.parity import parity
from slimbake.config.removal import removals
from slimbake.config.report import ProblemReport, did_you_mean
from slimbake.config.secrecy import secrets_written
from slimbake.config.steps import steps

Raw = dict[str, Any]

GZIP_LEVELS = 9
MOST_JOBS = 256
_ADDRESS = re.compile(r"([a-z][a-z+-]*):(?://)?(.*)", re.DOTALL)
_BY_KEY = {"weights-": "weights", "wheel-": "requirements"}
_MOST_CYCLES = 100  # each is found in a graph without the one before
_NO_BASES = "there are no bases: add it under `bases:`"
_PATHS = ("context", "smoke", "verify", "reference", "dockerfile")
_IN_CONTEXT = ("include", "smoke", "verify", "reference", "dockerfile", "template", "build")
_SCHEMES = frozenset({"target", "docker-image", "oci-layout", "https", "ssh", "git"})


def rules(raw: Raw, report: ProblemReport) -> None:
    """Report every fault that lies between the parts of a manifest whose structure is sound."""
    services: Raw = raw.get("services", {})
    check_names("bases", raw.get("bases", {}), report)
    check_names("services", services, report)
    _bases(raw, report)
    inference(raw, report)
    parity(raw, report)
    _without_bases(raw, report)
    _images(raw.get("externals", {}), report)
    _compression(raw.get("compression", {}), report)
    _ci(raw, report)
    containers(services, report)
    steps(services, report)
    removals(raw, report)
    secrets_written(services, report)
    smokes = (f"{name}{SMOKE}" for name, service in services.items() if "smoke" in service)
    targets = {
        "runtime",
        *map(base_layer, raw.get("bases", {})),
        *services,
        *smokes,
        *copies(raw),
    }
    for name, service in services.items():
        at: KeyPath = ("services", name)
        _prefixed("labels", "slimbake.", service.get("labels", {}), (*at, "labels"), report)
        _prefixed("variables", "SLIMBAKE_", service.get("env", {}), (*at, "env"), report)
        _prefixed("arguments", "ENV_", service.get("args", {}), (*at, "args"), report)
        _composed(service, at, report)
        if service.get("start") == "listens" and report.lacks(service, "port", at):
            report.value(
                (*at, "start"), "it listens on no port", "give it a `port`, or `start: runs`"
            )
        if "contexts" in service:
            _contexts(service, (*at, "contexts"), targets, report)
        if report.lacks(service, "context", at):
            _without_code(service, at, report)
        if "dockerfile" in service and "template" in service:
            report.key(
                (*at, "template"),
                "a service has a `dockerfile` or a `template`, not both",
                "remove one of them",
            )
        if "target" in service and report.lacks(service, "dockerfile", at):
            report.key(
                (*at, "target"), "it is a stage of a `dockerfile`", "add that, or remove this"
            )
        if "cap_add" in service and report.lacks(service, "dockerfile", at):
            report.key(
                (*at, "cap_add"),
                "its container runs without root, which capabilities do not reach",
                "remove it; the key is for services with a `dockerfile`",
            )
    _links(services, report)


def _without_code(service: Raw, at: KeyPath, report: ProblemReport) -> None:
    """Report what lies in a context, of a service that has none."""
    if service and all(
        report.lacks(service, k, at) for k in ("command", "entrypoint", "dockerfile")
    ):
        report.key(
            at,
            "it has no code: no `context`, and no `command` that a package brings",
            "add `context`: the folder with its code; or the package's program, for example"
            " `command: [datasette, serve]`",
        )
    keys: list[KeyPath] = [(key,) for key in _IN_CONTEXT if key in service]
    for below in ((), *(("variants", name) for name in service.get("variants", {}))):
        entry = service["variants"][below[1]] if below else service
        if isinstance(entry.get("requirements"), str):
            keys.append((*below, "requirements"))
        if "parity" in entry:
            keys.append((*below, "parity"))
    for key in keys:
        listed = ", or write a list: its files are relative to the manifest"
        report.key(
            (*at, *key),
            "it lies in the service's context, and the service has none",
            "add `context`: the folder that holds it, which becomes /app"
            + (listed if key[-1] == "requirements" else ""),
        )


def folder_context(value: str) -> bool:
    """Whether a named context is a folder of the repository, and not an address."""
    return _ADDRESS.fullmatch(value) is None


def _bases(raw: Raw, report: ProblemReport) -> None:
    """Report what is wrong between bases, and between services and bases."""
    known: Raw = raw.get("bases", {})
    edges: dict[str, tuple[str, ...]] = {}
    for kind, key in (("bases", "extends"), ("services", "base")):
        for name, entry in raw.get(kind, {}).items():
            parent = entry.get(key)
            if parent is not None and parent not in known:
                hint = did_you_mean(parent, known) if known else _NO_BASES
                report.value((kind, name, key), f"unknown base '{parent}'", hint)
            elif parent is not None and kind == "bases":
                edges[name] = (parent,)
    loops = cycles(edges)
    for loop in loops:
        path = ("bases", loop[0], "extends")
        report.value(path, f"a base cycle: {' -> '.join(loop)}", "remove one `extends`")
    if not loops:
        axes(raw, report)


def cycles(edges: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    """The cycles among edges, each from its first node back to it; _MOST_CYCLES at most."""
    return list(islice(_every_cycle(dict(edges)), _MOST_CYCLES))


def _every_cycle(edges: dict[str, tuple[str, ...]]) -> Iterator[list[str]]:
    while True:
        # graphlib follows what depends on a node, and so the edges as they are here
        sorter = TopologicalSorter(dict.fromkeys(edges, ()))
        for node, targets in edges.items():
            for target in targets:
                sorter.add(target, node)
        try:
            sorter.prepare()
        except CycleError as error:
            *_, last, first = cycle = error.args[1]
            yield cycle
            edges[last] = tuple(target for target in edges[last] if target != first)
        else:
            return


def _without_bases(raw: Raw, report: ProblemReport) -> None:
    """Report the fleet's keys that say how it is without bases, where there are some."""
    if not raw.get("bases"):
        return
    if "layers" in raw:
        message = (
            "`layers` is for a fleet without bases, and here are `bases`"
            f" ({report.where(('bases',))})"
        )
        report.key(
            ("layers",),
            message,
            "remove `bases` to have slimbake find the layers, or remove `layers`",
        )
    if "torch" in raw:
        message = (
            "`torch` of the fleet is for one without bases, and here are `bases`"
            f" ({report.where(('bases',))})"
        )
        report.key(
            ("torch",),
            message,
            f"move it into the base that requires torch, as `torch: {raw['torch']}` there",
        )


def _images(externals: Raw, report: ProblemReport) -> None:
    for name, external in externals.items():
        image = external.get("image")
        if image is not None and not IMAGE.fullmatch(image):
            report.value(
                ("externals", name, "image"), f"'{image}' is no image reference", IMAGE_FORM
            )


def _compression(compression: Raw, report: ProblemReport) -> None:
    level, kind = compression.get("level", 0), compression.get("type")
    if kind in ("gzip", "estargz") and level > GZIP_LEVELS:
        report.value(
            ("compression", "level"),
            f"{level} is no level of {kind}",
            f"allowed: 1 to {GZIP_LEVELS}",
        )


def _ci(raw: Raw, report: ProblemReport) -> None:
    ci: Raw = raw.get("ci", {})
    if ci.get("cache") == "gha" and ci.get("provider", "github") != "github":
        report.value(("ci", "cache"), "only GitHub has this cache", "allowed here: registry, none")
    if "upgrade" in ci and ci.get("provider", "github") != "github":
        report.key(
            ("ci", "upgrade"),
            "only GitHub's pipeline has a job for it",
            "let a scheduled pipeline of yours run `slimbake lock --upgrade`",
        )
    if "registry" not in raw and ci.get("cache") == "registry":
        report.value(
            ("ci", "cache"),
            "there is no `registry` to cache in",
            "name one, or choose another cache",
        )
    _sign(raw, ci, report)
    variants = [
        v
        for service in raw.get("services", {}).values()
        for v in service.get("variants", {}).values()
    ]
    own = {
        platform
        for each in (*raw.get("services", {}).values(), *variants)
        for platform in each.get("platforms", ())
    }
    platforms = own.union(raw.get("platforms") or ("linux/amd64",))
    for platform in ci.get("runners", {}):
        if platform not in platforms:
            report.key(
                ("ci", "runners", platform),
                f"nothing is built for {platform}",
                "add it to `platforms`",
            )


def _sign(raw: Raw, ci: Raw, report: ProblemReport) -> None:
    """Signing in a pipeline: the provider has to be able to, and a registry holds what was signed."""
    at: KeyPath = ("ci", "sign")
    sign, provider = ci.get("sign", "none"), ci.get("provider", "github")
    if sign == "none":
        return
    if provider == "none":
        report.value(at, "no pipeline is generated that could sign", "choose a `provider`")
    elif sign == "github" and provider != "github":
        report.value(at, "only GitHub attests to builds", "allowed here: cosign, none")
    if "registry" not in raw:
        report.value(at, "there is no `registry` that could hold signatures", "name one")
    services = raw.get("services", {}).values()
    number = sum(len(service.get("variants", ())) or 1 for service in services)
    platforms = len(raw.get("platforms", ()))
    subjects = number * (1 + platforms if platforms > 1 else 1)  # an index, and each of its images
    if sign == "github" and subjects > MOST_JOBS:
        report.value(
            at,
            f"{subjects} images have a job each, and a matrix of GitHub holds {MOST_JOBS}",
            "`sign: cosign` signs all in one job",
        )


def _prefixed(kind: str, prefix: str, keys: Raw, at: KeyPath, report: ProblemReport) -> None:
    for key in keys:
        if key.startswith(prefix):
            message = f"{kind} that begin with '{prefix}' are slimbake's own"
            report.key((*at, key), message, "choose another prefix")


def _composed(service: Raw, at: KeyPath, report: ProblemReport) -> None:
    """Report values that HCL would change: its strings are in Unicode's form C, no matter what is
    written.
    """
    texts: dict[KeyPath, str] = {(key,): service[key] for key in _PATHS if key in service}
    for key in ("env", "labels", "args", "contexts"):
        texts |= {(key, name): value for name, value in service.get(key, {}).items()}
    for id_, secret in service.get("secrets", {}).items():
        if secret and "file" in secret:
            texts["secrets", id_, "file"] = secret["file"]
    for path, text in texts.items():
        if not unicodedata.is_normalized("NFC", text):
            message = f"'{text}' is not in Unicode's form C, and bake would change it"
            report.value(
                (*at, *path),
                message,
                "write letters and their accents as one character: form C, or NFC",
            )


def _contexts(service: Raw, at: KeyPath, targets: set[str], report: ProblemReport) -> None:
    base = service.get("base")
    linked = {
        "target:inside": "inside",
        f"target:{base_layer(base)}" if base else "target:runtime": "base",
    }
    for name, value in service["contexts"].items():
        path = (*at, name)
        if name in LINKS or name.startswith((*PREFIXES, STEPS)):
            report.key(path, f"'{name}' is a context of slimbake's own", "give it another name")
        elif not IMAGE.fullmatch(name):
            report.key(
                path,
                f"'{name}' cannot be the name of a context",
                "allowed: lower-case letters, digits, '.', '_', '-'",
            )
        found = _ADDRESS.fullmatch(value)
        if found is None:
            continue
        scheme, rest = found[1], found[2]
        if scheme not in _SCHEMES:
            message = f"'{value}' is neither a folder nor an address that bake reads"
            report.value(
                path,
                message,
                "allowed: a folder, target:NAME, docker-image://, oci-layout://, https://",
            )
        elif scheme == "docker-image" and not IMAGE.fullmatch(rest):
            report.value(path, f"'{rest}' is no image reference", IMAGE_FORM)
        elif scheme == "target":
            already = value in linked
            if already:
                message = f"{rest} is linked already, as '{linked[value]}'"
                report.value(
                    path, message, "bake takes one name for a target: use that one, and remove this"
                )
            linked.setdefault(value, name)
            key = next((_BY_KEY[prefix] for prefix in _BY_KEY if rest.startswith(prefix)), None)
            if key:
                report.value(
                    path, f"'{rest}' is linked by slimbake", f"ask for it with the key `{key}`"
                )
            elif not already and rest not in targets:
                report.value(path, f"unknown target '{rest}'", did_you_mean(rest, targets))


def _links(services: Raw, report: ProblemReport) -> None:
    """Images that are built from one another in a circle."""
    edges: dict[str, tuple[str, ...]] = {}
    for name, service in services.items():
        values = service.get("contexts", {}).values()
        linked = (
            value.removeprefix("target:").removesuffix(SMOKE)
            for value in values
            if value.startswith("target:")
        )
        if targets := tuple(each for each in linked if each in services):
            edges[name] = targets
    for loop in cycles(edges):
        path = ("services", loop[0], "contexts")
        report.key(path, f"a cycle of contexts: {' -> '.join(loop)}", "remove one `target:`")
