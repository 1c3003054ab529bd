"""The plan as values: every target with everything decided, so that templates and bake only lay it
out.

Paths are POSIX, relative to the repository root. Mappings are tuples of pairs. A tuple that is
empty, or a text that is empty, means "has none": nothing here means "default".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Literal

from slimbake.config.containers import overlap
from slimbake.config.model import Budget, Container, Pairs, Secret, Sign, StartCheck
from slimbake.config.naming import HOME
from slimbake.fleet.model import Compression, External, Python, Runtime
from slimbake.inside.step import INTERPRETER
from slimbake.layers.model import Layer, Link

Kind = Literal[
    "inside",
    "runtime",
    "layer",
    "base",
    "export",
    "wheel",
    "weights",
    "reference",
    "stage",
    "service",
    "inventory",
    "smoke",
    "parity",
]
"""`export`: what models are exported on, a base that no image holds; `reference`: what parity is
measured against; `stage`: one of a Dockerfile of the user's own, whose files services take;
`control`: what parity must notice, which nothing stands on and nobody builds who
does not ask for it.
"""

SMOKE, REFERENCE = "SLIMBAKE_SMOKE", "SLIMBAKE_REFERENCE"
"""Arguments of a smoke's target: names that no image has for a variable of its own."""

CHECKS: tuple[Kind, ...] = ("inventory", "smoke", "parity")
"""Of a service, or of a base: what is built after its image, and before it has a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportStep:
    """One step that exports a model."""

    model: str  # what the exported weights are called
    precision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step of `build`: a stage, and another that takes its outputs. Without outputs, the command
    runs in the image itself.
    """

    run: tuple[str, ...]
    image: str  # the name of a context; "" = the stage that has the code so far
    context: str  # the name of the context that it runs in a copy of; "" = the build context
    folder: str  # where it runs
    outputs: tuple[str, ...]
    into: str  # the folder of the image that gets them
    network: bool
    secrets: tuple[str, ...]
    env: Pairs  # variable -> the build argument that has its value

    @property
    def variables(self) -> tuple[str, ...]:
        """The same, as `run-step` takes them."""
        return tuple(f"{name}={argument}" for name, argument in self.env)


@dataclass(frozen=True, slots=True)
class PlannedCopy:
    """One entry of `copy`."""

    origin: str  # the name of a context
    source: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Container):
    """What the Dockerfile of a target does, in the order in which its layers lie."""

    template: str  # file name under templates/
    system: tuple[str, ...] = ()  # Debian packages
    system_lock: str = ""  # and the file name of their lock; "" = none
    layer: Layer | None = None  # what the step of a layer makes
    # of an image: what it adds to the one below, bottom first: layers of packages, and weights
    chain: tuple[Link, ...] = ()
    bytecode: tuple[str, ...] = ()  # globs of modules that get bytecode in it
    local: Pairs = ()  # packages of the repository, each with the target of its wheel
    mounts_weights: bool = False  # of a check: the weights are not in the image
    code: bool = True  # whether a service's context is copied
    export: ExportStep | None = None
    # file name under locks/: of the packages that an image adds, of weights, of a layer, of what
    # builds a package
    lock: str = ""
    # of a wheel of sources outside the repository: their file, or a commit as ADD takes it
    source: str = ""
    env: Pairs = ()
    copies: tuple[PlannedCopy, ...] = ()  # what comes of stages and images: `copy`
    steps: tuple[PlannedStep, ...] = ()  # what `build` runs
    interpreter: str = ""  # of a runtime of the user's image: what starts its Python

    @property
    def folders(self) -> tuple[str, ...]:
        """What its image has to have beside its code, owned by its user."""
        outside_app = self.workdir and not f"{self.workdir}/".startswith("/app/")
        return (
            *(path for _, path in self.volumes),
            *((self.workdir,) if outside_app else ()),
            *((HOME,) if self.home == HOME else ()),
        )

    @property
    def links_interpreter(self) -> bool:
        """Whether the interpreter is slimbake's own, since the image of the user's has none."""
        return self.interpreter.startswith(f"{INTERPRETER}/")

    @property
    def copies_to_code(self) -> bool:
        """Whether some of these copies lie where the code does."""
        return any(overlap(each.to.rstrip("/") or "/", "/app") for each in self.copies)

    @property
    def early(self) -> bool:
        """Whether folders come before its code: none lies in the folder that has it."""
        return not any(f"{path}/".startswith("/app/") for path in self.folders)


def home_in_memory(of: Container) -> tuple[str, ...]:
    """The home of its user, which programs write to at their first start; () where it is on a volume
    or in memory already.
    """
    return () if of.home in {"", *of.writable} else (of.home,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target of the bake file."""

    name: str
    kind: Kind
    service: str  # the service that it belongs to, "" for what belongs to none
    python: Python  # whose images it is made in
    runtime: Runtime | None = None  # of an image: what it starts from
    context: str
    dockerfile: str
    recipe: Recipe | None  # None: the Dockerfile is the user's own
    stage: str = ""  # of such a Dockerfile; "" = its last
    contexts: Pairs = ()
    args: Pairs = ()
    labels: Pairs = ()
    mounted: bool = False  # containers mount its image: weights
    repository: str = ""  # tagged as REGISTRY/<repository>:TAG<suffix>; "" = never tagged
    suffix: str = ""  # "-cuda" of a variant that is not the first
    platforms: tuple[str, ...] = ()  # () = the variable PLATFORMS
    secrets: tuple[Secret, ...] = ()
    # some step reaches the package indexes: gets the machine's CA and uv settings as secrets
    online: bool = False
    ignore: tuple[str, ...] = ()  # lines of the .dockerignore beside its Dockerfile

    @property
    def lock(self) -> str:
        """The lock of what it installs or holds, without `.txt`; "" where that is nothing locked."""
        return self.recipe.lock.removesuffix(".txt") if self.recipe else ""

    @property
    def takes_wheels(self) -> bool:
        """Whether a step of it installs wheels that its lock names."""
        return self.kind in ("layer", "wheel") or (self.kind == "weights" and self.online)

    @property
    def system_lock(self) -> str:
        """What its Debian packages are named in, likewise."""
        return self.recipe.system_lock.removesuffix(".txt") if self.recipe else ""

    @property
    def needs(self) -> tuple[str, ...]:
        """The targets that this one is linked to, in order."""
        linked = "target:"
        return tuple([v[len(linked) :] for _, v in self.contexts if v.startswith(linked)])

    @property
    def holds(self) -> tuple[str, ...]:
        """Of these, the ones whose layers lie in its image: what files alone are taken from stays
        outside.
        """
        return () if self.kind in ("weights", "wheel", "layer", "reference") else self.needs

    @property
    def checked(self) -> str:
        """The target that it checks; "" of what is no check."""
        return dict(self.contexts).get("image", "").removeprefix("target:")

    @property
    def smoke_files(self) -> tuple[str, str]:
        """Of a smoke: its file and that of its reference, relative to the context."""
        arguments = dict(self.args)
        return arguments[SMOKE], arguments.get(REFERENCE, "reference.json")

    @property
    def checked_with(self) -> Pairs:
        """Of a smoke: the variables that its program reads."""
        return tuple((key, value) for key, value in self.args if key.startswith("SLIMBAKE_"))

    @property
    def shared(self) -> bool:
        """Whether it is built once in all and pushed, and whoever stands on it takes it from there
        by its digest.
        """
        return bool(self.repository) and self.kind != "service"

    @property
    def released(self) -> bool:
        """Whether a release has its image under a name of its own: a service's, or weights that are
        mounted.
        """
        return bool(self.repository) and (self.kind == "service" or self.mounted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running(Container):
    """How a service's container is run."""

    service: str
    host: str  # its name for the others: variants of one service stand in for each other
    variant: str  # "" = of a service that has none
    copied: bool = False  # it is not the first variant
    budget: Budget
    start: StartCheck
    depends_on: Pairs = ()  # host -> Compose's condition
    verify: str  # its black-box check, relative to the root; "" = has none
    own_dockerfile: bool = False  # whose image may be anything
    image: str = ""  # of the user's, that its own starts from; "" = slimbake's runtime
    env: Pairs = ()  # of a container of such an image, which is as its Dockerfile has it
    weights: str = ""  # the target of the image of weights that it mounts; "" = none
    # the engine's volume with them, where it is known; see `slimbake.checks.mounts`
    weights_volume: str = ""

    @property
    def python(self) -> str:
        """The Python that checks run in the image with: Debian's, for one, is `python3` alone."""
        return "python3" if self.own_dockerfile else "python"

    @property
    def replaced(self) -> tuple[str, ...]:
        """What runs in place of the CMD of an image that has a Dockerfile of its own; () = nothing."""
        return self.command if self.own_dockerfile else ()

    @property
    def by_hand(self) -> bool:
        """Whether people start it, or `up`. A program that takes arguments says so in `start`: it is
        checked with some, or not at all. Without that, `up` starts an `entrypoint` as a bake does.
        """
        takes_arguments = bool(self.entrypoint) and not self.command and not self.port
        started_alone = self.start.how != "none" and not self.start.arguments
        return not self.up or (takes_arguments and not started_alone)

    @property
    def in_memory(self) -> tuple[str, ...]:
        """What it may write to beside its volumes, as Docker and Compose take it: as in a build."""
        home = () if self.own_dockerfile else home_in_memory(self)
        paths = ("/tmp", *self.tmpfs, *home)  # noqa: S108
        return tuple(f"{path}:mode=1777,exec" for path in paths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Targets that are asked for together: `default`, `bases`, `smoke`; and for each variant
    `cuda`, `cuda-smoke`.
    """

    name: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Jobs on one kind of runner, and the platforms that they build for."""

    platforms: tuple[str, ...]
    runner: str  # its label; "" = any runner
    emulates: bool  # some of the platforms are not the runner's own

    @property
    def name(self) -> str:
        """Its platforms as a word that no other lane has, fit for a tag: `linux_amd64`,
        `linux_amd64.linux_arm64`.
        """
        return ".".join(platform.replace("/", "_") for platform in self.platforms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The pipeline of a CI system; with several lanes, each pushes its own images, which are merged
    in the end.
    """

    provider: Literal["github", "gitlab", "none"]
    branch: str  # that pushes
    cache: Literal["registry", "none"]  # where steps of builds are cached
    upgrade: str  # when packages are upgraded, as cron has it; "" = never
    scanner: str  # of vulnerabilities, which its jobs need; "" = none
    sign: Sign  # how it signs what it released
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything decided for a fleet, in an order in which each target follows what it needs."""

    manifest: str  # file name
    project: str
    registry: str
    platforms: tuple[str, ...]
    compression: Compression
    externals: tuple[External, ...]
    targets: tuple[Target, ...]
    groups: tuple[Group, ...]
    services: tuple[Running, ...]
    pipeline: Pipeline

    def in_lane(self, name: str, lane: Lane) -> bool:
        """Whether something of an image is built in a lane."""
        return not {*lane.platforms}.isdisjoint(self.target(name).platforms or self.platforms)

    def group(self, name: str) -> tuple[str, ...]:
        """The targets of a group; none where there is no such group."""
        return next((group.targets for group in self.groups if group.name == name), ())

    def target(self, name: str) -> Target:
        """The target of that name; KeyError where there is none."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Target]:
        return {target.name: target for target in self.targets}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {target.name: place for place, target in enumerate(self.targets)}

    @cached_property
    def _checks(self) -> dict[str, list[str]]:
        """The checks of each service, and of each base."""
        checks_of: dict[str, list[str]] = {}
        for target in self.targets:
            if target.kind in CHECKS:
                checks_of.setdefault(target.service or target.checked, []).append(target.name)
        return checks_of

    def with_checks(self, services: tuple[str, ...]) -> tuple[str, ...]:
        """These services and all that checks them and the bases below them, as targets."""
        bases = (t.name for t in self.needed(services) if t.kind == "base")
        checks = (name for owner in {*services, *bases} for name in self._checks.get(owner, ()))
        return (*services, *sorted(checks, key=self._places.__getitem__))

    def with_weights(self, services: tuple[str, ...]) -> tuple[str, ...]:
        """These services and the images of weights that they mount, as targets."""
        chosen = set(services)
        mounted = (s.weights for s in self.services if s.weights and s.service in chosen)
        return tuple(dict.fromkeys((*services, *mounted)))

    @cached_property
    def variants(self) -> dict[str, list[Running]]:
        """By host: every variant of a service, the first one first."""
        by_host: dict[str, list[Running]] = {}
        for service in self.services:
            by_host.setdefault(service.host, []).append(service)
        return by_host

    def starting(
        self, services: Collection[str], there: Collection[str] = ()
    ) -> tuple[Running, ...]:
        """What `up` starts for these services: those that people do not start, and what they depend
        on or start beside, in the variants among these services or else among those that are
        `there`, or else in the first.
        """
        waiting = [service for service in self.services if service.service in services]
        hosts, started = {running.host for running in waiting}, set[str]()
        while waiting:
            candidate = waiting.pop()
            if candidate.by_hand or candidate.service in started:
                continue
            started.add(candidate.service)
            needed = (*(host for host, _ in candidate.depends_on), *candidate.start.fleet)
            for host in (host for host in needed if host not in hosts):
                hosts.add(host)
                variants = self.variants[host]
                waiting += [one for one in variants if one.service in there] or variants[:1]
        return tuple(service for service in self.services if service.service in started)

    def company(self, service: Running) -> tuple[Running, ...]:
        """The services that a start check of this one starts beside it: those that it names, and
        those that they name in turn; of each the variant of the same name, else the first.
        """
        by_host: dict[str, Running] = {}
        waiting = [*service.start.fleet]
        while waiting:
            if (host := waiting.pop()) not in by_host:
                variants = self.variants[host]
                same = (variant for variant in variants if variant.variant == service.variant)
                by_host[host] = next(same, variants[0])
                waiting += by_host[host].start.fleet
        return tuple(by_host[host] for host in sorted(by_host))

    def needs_beside(self, service: Running) -> tuple[str, ...]:
        """The services of the repository's own compose file that its start check needs, and those
        of the fleet that start beside it.
        """
        every = (service, *self.company(service))
        return tuple(dict.fromkeys(name for running in every for name in running.start.beside))

    def awaited(self, service: Running, started: Collection[str]) -> dict[str, str]:
        """What a service waits for: of those that are started, each that it depends on, and
        Compose's condition.
        """
        return {
            variant.service: condition
            for host, condition in service.depends_on
            for variant in self.variants[host]
            if variant.service in started
        }

    def shared_by(self, services: tuple[str, ...]) -> tuple[Target, ...]:
        """What is shared of all that these services and their checks stand on, each after what it
        stands on itself.
        """
        return tuple(target for target in self.needed(self.with_checks(services)) if target.shared)

    def needed(self, names: tuple[str, ...]) -> tuple[Target, ...]:
        """The targets named and all that they stand on, each once, in the plan's order."""
        return self._reached(names, needing)

    def held(self, names: tuple[str, ...]) -> tuple[Target, ...]:
        """Of these, the ones that lie in the images of the targets named, and those themselves."""
        return self._reached(names, holding)

    def _reached(self, names: Iterable[str], links: Links) -> tuple[Target, ...]:
        # Not a look at all targets: of thousands of services, each asks for its own.
        reached = _reached(self._by_name, names, links)
        return tuple(self._by_name[name] for name in sorted(reached, key=self._places.__getitem__))


Links = Callable[[Target], tuple[str, ...]]
needing: Links = attrgetter("needs")
holding: Links = attrgetter("holds")


def needed(
    targets: Sequence[Target], names: Iterable[str], links: Links = needing
) -> tuple[Target, ...]:
    """Of these targets, those named and all that they are linked to, each once, in the same order."""
    reached = _reached({target.name: target for target in targets}, names, links)
    return tuple(target for target in targets if target.name in reached)


def _reached(by_name: Mapping[str, Target], names: Iterable[str], links: Links) -> set[str]:
    reached: set[str] = set()
    stack = list(names)
    while stack:
        name = stack.pop()
        if name not in reached:
            reached.add(name)
            stack.extend(links(by_name[name]))
    return reached
