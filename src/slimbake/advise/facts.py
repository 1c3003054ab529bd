"""Everything that advice is made of, read from the repository and from what this machine knows of
it.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from slimbake.advise.model import (
    Doubled,
    Facts,
    LayerFacts,
    Relaid,
    ServiceFacts,
    TriedPass,
    WeighedImage,
    WeighedPart,
)
from slimbake.build.known import last_images
from slimbake.build.warned import warned
from slimbake.checks.limits import Action, Limits
from slimbake.config.document import KeyPath, read_yaml
from slimbake.config.files import sent_files, yaml_text
from slimbake.config.model import Optimize
from slimbake.config.naming import EVIDENCE
from slimbake.errors import SetupError
from slimbake.evidence.selection import why_stale
from slimbake.fleet.layering.bases import as_layer_plan, planned_bases
from slimbake.fleet.layering.cost import cost
from slimbake.fleet.layering.model import LayerLimits, Prices
from slimbake.fleet.layering.planner import layer_plan
from slimbake.fleet.layering.report import duplicated
from slimbake.fleet.model import Base, Service
from slimbake.host.dockerignore import Ignore
from slimbake.host.files import read_json
from slimbake.host.workspace import FOLDER, Workspace
from slimbake.images.measured import MEASURED, remembered
from slimbake.lock.closures import Written, sizes, written
from slimbake.lock.locks import locked_pins
from slimbake.lock.model import Pin
from slimbake.plan.graph import layers
from slimbake.plan.model import Plan
from slimbake.plan.parity import LIMITS as PARITY_LIMITS
from slimbake.project import Project

# What was measured of a fleet: committed beside the manifest, or on this machine.

T = TypeVar("T")

SIZES = f"{EVIDENCE}/sizes.json"
LIMITS = f"{EVIDENCE}/limits.json"
IMAGES = f"{EVIDENCE}/images.json"


def weighed_images(plan: Plan, root: Path, workspace: Workspace) -> dict[str, WeighedImage]:
    """Each service's image as it was last baked here, else as it is committed; not there where it
    was never measured.

    Raises UsageError for a file that `slimbake sizes --record` did not write.
    """

    def parse(said: Any) -> tuple[dict[str, Any], dict[str, WeighedImage]]:
        committed = said.get("images", {})
        packed = {part["diff"]: part for image in committed.values() for part in image["layers"]}
        return packed, {
            service.service: _weighed(
                plan, service.service, image["digest"], image["layers"], packed, SIZES
            )
            for service in plan.services
            if (image := committed.get(service.service))
        }

    packed, known = _committed(root, SIZES, "slimbake sizes --record", parse)
    services = {service.service for service in plan.services}
    last = {name: image for name, image in last_images(workspace).items() if name in services}
    here = f"{FOLDER}/{MEASURED}.json"
    for image in remembered(last, workspace).images:
        if image.name not in known or known[image.name].digest != image.digest:
            parts = [layer.as_json() for layer in image.layers]
            known[image.name] = _weighed(plan, image.name, image.digest, parts, packed, here)
    return known


def _weighed(
    plan: Plan, service: str, digest: str, parts: list[Any], packed: Mapping[str, Any], source: str
) -> WeighedImage:
    """`packed`: digest of a layer -> what it is as gzip and zstd, where that was measured."""
    names = layers(plan, service)
    targets = names if len(names) == len(parts) else ("",) * len(parts)
    made = (
        WeighedPart(
            target=target,
            diff=part["diff"],
            uncompressed=int(part["uncompressed"]),
            compressed=part["compressed"],
            gzip=packed.get(part["diff"], {}).get("gzip"),
            zstd=packed.get(part["diff"], {}).get("zstd"),
        )
        for target, part in zip(targets, parts, strict=True)
    )
    return WeighedImage(digest, tuple(made), source)


def committed_limits(root: Path) -> dict[str, Limits]:
    """What images hold against what is used of it. Raises UsageError for a file of another kind."""
    return _committed(
        root,
        LIMITS,
        "slimbake limits --record",
        lambda said: {name: _limits(known) for name, known in said.items()},
    )


def _limits(said: dict[str, Any]) -> Limits:
    known = {field.name: said[field.name] for field in fields(Limits)}
    left = known["left"]
    return Limits(**{**known, "left": left and tuple(Action(**action) for action in left)})


def committed_starts(root: Path) -> dict[str, tuple[float | None, int | None]]:
    """Start-up in seconds and resident bytes of each image with its passes, as
    `slimbake prove --images` measured them.
    """

    def parse(said: Any) -> dict[str, tuple[float | None, int | None]]:
        sides = {name: sides.get("with", {}) for name, sides in said.get("services", {}).items()}
        return {name: (side.get("startup"), side.get("rss")) for name, side in sides.items()}

    return _committed(root, IMAGES, "slimbake prove --images", parse)


def _committed(root: Path, file: str, command: str, parse: Callable[[Any], T]) -> T:
    """What a file says that is committed; where there is none, what `parse` makes of nothing."""
    if not (root / file).is_file():
        return parse({})
    return read_json(root / file, parse, f"`{command}` writes one", file)


TORCH = "torch"
_CUDA = ("nvidia-", "cuda-")  # packages beside a build of torch that is not for CPUs


def facts(project: Project, whole_fleet: bool = True) -> Facts:
    """What is known of a fleet whose locks are fresh; `whole_fleet`: also of its layers, which
    takes a planner's time.

    Raises UsageError for a measurement that cannot be read, ManifestError for faults of
    `passes.yaml`.
    """
    fleet, root = project.fleet, project.root
    said = read_yaml(yaml_text(project.manifest.file))
    pins = locked_pins(fleet, project.locks)
    known = sizes(root / SIZES) if (root / SIZES).is_file() else {}
    twice: tuple[Doubled, ...] = ()
    other, unlaid = None, ""
    try:
        if whole_fleet:
            hand = written(fleet, pins, known)
            twice = doubled(hand, {service.name: _bases(service) for service in fleet.services})
            other = relaid(hand, project.manifest.layer_limit)
    except SetupError as error:  # a lock without bytes, and no measurement: all else can be said
        unlaid = f"{error.message}: {error.hint}"
    by_layer = {base.layer.name: base for base in fleet.bases}
    return Facts(
        file=project.manifest.file.name,
        places=said.places,
        keys=frozenset(_keys(said.value)),
        subjects=tuple(_subjects(project, pins)),
        compression=fleet.compression,
        layers=tuple(_layers(project)),
        parents={
            base.name: by_layer[base.layer.chain[-1].name].name if base.layer.chain else ""
            for base in fleet.bases
        },
        asked={base.name: _asked(base) for base in fleet.bases},
        pins=pins,
        packages=known,
        doubled=twice,
        relaid=other,
        unlaid=unlaid,
    )


def _bases(service: Service) -> tuple[str, ...]:
    """The bases that it stands on, the nearest first."""
    return tuple(base.name for base in reversed(service.bases))


def _subjects(project: Project, pins: Mapping[str, tuple[Pin, ...]]) -> Iterator[ServiceFacts]:
    fleet, plan, root = project.fleet, project.plan, project.root
    weighed, limits = (
        weighed_images(plan, root, project.workspace),
        committed_limits(root),
    )
    started = committed_starts(root)
    warnings: dict[str, list[str]] = {}
    owners = {target.name: target.service for target in plan.targets}
    for target, lines in warned(project.workspace).items():
        warnings.setdefault(owners.get(target, ""), []).extend(lines)
    here = (package for package in fleet.packages if not package.source)
    local = tuple((package.path, ("**/tests", "**/build")) for package in here)
    for service in fleet.services:
        name = service.name
        startup, rss = started.get(name, (None, None))
        ignored = plan.target(name).ignore
        cpu = (base for base in reversed(service.bases) if _torch(pins.get(base.layer.name, ())))
        runtime = next(cpu, None)
        used = {package.path for package in service.layer.asks.packages}
        own = ((service.context, ignored),) if service.has_code else ()
        folders = (*own, *(each for each in local if each[0] in used))
        yield ServiceFacts(
            service=name,
            entry=service.entry,
            variant=service.variant,
            bases=_bases(service),
            inference=service.inference,
            precision=service.precision.type if service.precision else "fp32",
            parity=_parity(service),
            weights=service.weights.layer.name if service.weights else "",
            runtime=runtime.name if runtime else "",
            image=weighed.get(name),
            limits=limits.get(name),
            startup=startup,
            rss=rss,
            warnings=tuple(warnings.get(name, ())),
            imports=imports(root, folders),
        )


def _parity(service: Service) -> tuple[tuple[str, float], ...]:
    """The thresholds that its answers are held to, as the plan decides them; () where nothing is
    measured.
    """
    weights, parity = service.weights, service.parity
    if not (parity and parity.texts and weights and weights.export):
        return ()
    return tuple((PARITY_LIMITS[weights.export.precision.type] | dict(parity.limits)).items())


def _torch(pins: tuple[Pin, ...]) -> bool:
    """Whether a base holds a build of torch for CPUs."""
    return any(pin.name == TORCH for pin in pins) and not any(
        pin.name.startswith(_CUDA) for pin in pins
    )


def _asked(base: Base) -> tuple[str, ...]:
    from packaging.requirements import Requirement

    own = (Requirement(spec).name for spec in base.layer.asks.specs)
    return (*own, *(package.name for package in base.layer.asks.packages))


def _layers(project: Project) -> Iterator[LayerFacts]:
    fleet = project.fleet
    entries: dict[str, Base | Service] = {base.layer.name: base for base in fleet.bases}
    entries |= {service.layer.name: service for service in fleet.services}
    for answers in project.evidence.layers:
        answer = answers[0]
        question, entry = answer.question, entries[answer.question.layer]
        kind = "bases" if isinstance(entry, Base) else "services"
        own: KeyPath = (kind, entry.entry, "optimize")
        passes = []
        for each in project.evidence.catalogue:
            # What needs no evidence is carried; what nobody opted in to is a person's to decide.
            if each.applied(question.pins) and (
                answer.none or (answer.allows(each.guarantee) and not answer.default(each))
            ):
                finding = next((found for one in answers if (found := one.found(each))), None)
                why = why_stale(answers, each) if finding else ""
                left_out = _left_out(each.name, entry.optimize, fleet.optimize, own)
                old = [one.renewal(each) for one in answers if not one.fresh(each)]
                passes.append(TriedPass(each, finding, why, left_out, tuple(old if why else ())))
        yield LayerFacts(
            name=question.layer,
            services=_each_once((*e.question.checks, *e.question.unchecked) for e in answers),
            unchecked=_each_once(e.question.unchecked for e in answers),
            off=(own if entry.optimize.level else ("optimize",)) if answer.none else (),
            passes=tuple(passes),
        )


def _each_once(several: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in several for name in names))


def _left_out(name: str, own: Optimize, whole: Optimize, path: KeyPath) -> KeyPath:
    """Where the manifest leaves a pass out, () where it does not."""
    if name in own.without:
        return (*path, "without", own.without.index(name))
    if name in whole.without:
        return ("optimize", "without", whole.without.index(name))
    return ()


def _keys(raw: Any, above: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key of a manifest; a repeated one of an alias under each of its places."""
    if isinstance(raw, dict):
        for key, value in raw.items():
            yield (*above, key)
            yield from _keys(value, (*above, key))


def imports(
    root: Path, contexts: Iterable[tuple[str, tuple[str, ...]]]
) -> Mapping[str, tuple[str, ...]]:
    """Top-level module -> the files that import it, relative to `root`.

    `contexts`: folders and what of each is not sent to a build. What cannot be read as Python
    imports nothing.
    """
    found: dict[str, list[str]] = {}
    for context, ignored in contexts:
        sent = sent_files(str(root / context), Ignore("\n".join(ignored)))
        for path in (each for each in sent if each.endswith(".py")):
            for module in sorted(set(_imported(root / context / path))):
                found.setdefault(module, []).append(path if context == "." else f"{context}/{path}")
    return {module: tuple(files) for module, files in found.items()}


def _imported(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def doubled(hand: Written, chains: Mapping[str, tuple[str, ...]]) -> tuple[Doubled, ...]:
    """The items that lie in several places of a host. `chains`: service -> its bases, the nearest
    first.
    """
    twice = dict(duplicated(hand.plan))
    holding: dict[str, list[str]] = {key: [] for key in twice}
    for chain in hand.plan.chains:
        for key in twice.keys() & {key for group in chain.groups for key in group}:
            holding[key].append(chain.service)
    found = []
    for key, having in holding.items():
        common = Counter(base for service in having for base in chains[service])
        base = next((base for base in chains[having[0]] if common[base] == len(having)), "")
        found.append(Doubled(key, hand.fleet.by_key[key].host, twice[key], tuple(having), base))
    return tuple(found)


def relaid(hand: Written, layer_limit: int | None) -> Relaid | None:
    """What the planner's layers would change; None where they are no better, or no plan keeps the
    limit.
    """
    limits = LayerLimits(layer_limit or LayerLimits().layers)
    if limits.free < 1:
        return None
    try:
        planned = as_layer_plan(planned_bases(hand.fleet, layer_plan(hand.fleet, limits, Prices())))
    except ValueError:
        return None
    now, then = cost(hand.fleet, hand.plan), cost(hand.fleet, planned)
    if then.value(Prices()) >= now.value(Prices()) - 1:
        return None
    before = (now.host, now.registry, round(now.pulled))
    changes = (then.host - now.host, then.registry - now.registry, round(then.pulled - now.pulled))
    return Relaid(*changes, before, (now.layers, then.layers))
