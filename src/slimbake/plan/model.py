"""The plan as values: every target with everything decided. Templates only write it down.

Paths are POSIX, relative to the repository root. Mappings are tuples of pairs. An empty tuple or
text means "has none"; nothing here means "default".
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
"""`export`: a base that models are exported on, which no image holds. `reference`: the answers that
parity compares with. `stage`: a stage of a Dockerfile of the user's own, which services copy from.
"""

LINK = "target:"  # begins the value of a context that is another target

SMOKE, REFERENCE = "SLIMBAKE_SMOKE", "SLIMBAKE_REFERENCE"
"""Arguments of a smoke's target: no image has a variable of its own with such a name."""

CHECKS: tuple[Kind, ...] = ("inventory", "smoke", "parity")
"""The checks of a service or a base: they are built after its image, and before it is tagged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportStep:
    """One step that exports a model."""

    model: str  # what the exported weights are called
    precision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step of `build`: a stage that runs a command, and another that takes its outputs.

    Without outputs, the command runs in the image itself.
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
    platform: tuple[str, ...] = ()  # the arguments of BuildKit on platforms that it names

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables as `run-step` takes them: VARIABLE=ARGUMENT."""
        return tuple(f"{name}={argument}" for name, argument in self.env)


@dataclass(frozen=True, slots=True)
class PlannedCopy:
    """One entry of `copy`."""

    origin: str  # the name of a context; "" = the target's own
    source: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Container):
    """What the Dockerfile of a target does, in the order of the layers."""

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
    copies: tuple[PlannedCopy, ...] = ()  # files at further places: `copy`
    steps: tuple[PlannedStep, ...] = ()  # commands of `build`
    interpreter: str = ""  # the program of Python, in a runtime that is an image of the user's

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders that its image has beside the code, owned by its user."""
        folders = [path for _, path in self.volumes]
        if self.workdir and not f"{self.workdir}/".startswith("/app/"):
            folders.append(self.workdir)
        if self.home == HOME:
            folders.append(HOME)
        return tuple(folders)

    @property
    def links_interpreter(self) -> bool:
        """Whether the interpreter is slimbake's own, since the image of the user's has none."""
        return self.interpreter.startswith(f"{INTERPRETER}/")

    @property
    def copies_to_code(self) -> bool:
        """Whether an entry of `copy` writes into the folder of the code."""
        return any(overlap(copy.to.rstrip("/") or "/", "/app") for copy in self.copies)

    @property
    def early(self) -> bool:
        """Whether folders are made before the code is copied: none is in the folder of the code."""
        return not any(f"{path}/".startswith("/app/") for path in self.folders)


def home_in_memory(of: Container) -> tuple[str, ...]:
    """Return the home that containers keep in memory, since programs write to it when they start.

    () where there is no home, where it is on a volume or in memory already, and where steps of
    `build` may have filled it.
    """
    if not of.home or of.keeps_home or of.home in of.writable:
        return ()
    return (of.home,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target of the bake file."""

    name: str
    kind: Kind
    service: str = ""  # the service that it belongs to, "" for what belongs to none
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
        """The name of the lock of what it installs or holds, without `.txt`; "" = it has none."""
        if self.recipe:
            return self.recipe.lock.removesuffix(".txt")
        return ""

    @property
    def takes_wheels(self) -> bool:
        """Whether a step of it installs wheels that its lock names."""
        return self.kind in ("layer", "wheel") or (self.kind == "weights" and self.online)

    @property
    def system_lock(self) -> str:
        """The name of the lock of its Debian packages, without `.txt`; "" = it has none."""
        if self.recipe:
            return self.recipe.system_lock.removesuffix(".txt")
        return ""

    @property
    def needs(self) -> tuple[str, ...]:
        """The targets that this one is linked to, in order."""
        names = []
        for _, value in self.contexts:
            if value.startswith(LINK):
                names.append(value.removeprefix(LINK))
        return tuple(names)

    @property
    def holds(self) -> tuple[str, ...]:
        """The targets whose layers its image has; of others it only takes files."""
        if self.kind in ("weights", "wheel", "layer", "reference"):
            return ()
        return self.needs

    @property
    def checked(self) -> str:
        """The target whose image it checks; "" = it is no check."""
        return dict(self.contexts).get("image", "").removeprefix(LINK)

    @property
    def smoke_files(self) -> tuple[str, str]:
        """The files of a smoke and of its reference, relative to the context."""
        arguments = dict(self.args)
        return arguments[SMOKE], arguments.get(REFERENCE, "reference.json")

    @property
    def checked_with(self) -> Pairs:
        """The variables that the program of a smoke reads."""
        return tuple((key, value) for key, value in self.args if key.startswith("SLIMBAKE_"))

    @property
    def shared(self) -> bool:
        """Whether it is built and pushed once, and what needs it takes it by its digest."""
        return bool(self.repository) and self.kind != "service"

    @property
    def released(self) -> bool:
        """Whether a release tags its image: a service, or weights that containers mount."""
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
        """The program of Python that checks start; Debian, for one, has only `python3`."""
        return "python3" if self.own_dockerfile else "python"

    @property
    def replaced(self) -> tuple[str, ...]:
        """The command that replaces the CMD of an image with a Dockerfile of its own; () = none."""
        return self.command if self.own_dockerfile else ()

    @property
    def by_hand(self) -> bool:
        """Whether people start it, and `up` does not.

        A program that takes arguments is started by hand, unless `start` says that it is checked
        without any.
        """
        if not self.up:
            return True
        takes_arguments = bool(self.entrypoint) and not self.command and not self.port
        starts_without = self.start.how != "none" and not self.start.arguments
        return takes_arguments and not starts_without

    @property
    def in_memory(self) -> tuple[str, ...]:
        """The folders in memory that it may write to, as Docker and Compose take them."""
        paths = ["/tmp", *self.tmpfs]  # noqa: S108
        if not self.own_dockerfile:
            paths += home_in_memory(self)
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
        """Whether an image is built in a lane, for at least one platform."""
        platforms = self.target(name).platforms or self.platforms
        return not set(lane.platforms).isdisjoint(platforms)

    def group(self, name: str) -> tuple[str, ...]:
        """The targets of a group; () where there is no group of that name."""
        for group in self.groups:
            if group.name == name:
                return group.targets
        return ()

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
    def _checks_of(self) -> dict[str, list[str]]:
        """The checks of each service and of each base."""
        checks_of: dict[str, list[str]] = {}
        for target in self.targets:
            if target.kind in CHECKS:
                checks_of.setdefault(target.service or target.checked, []).append(target.name)
        return checks_of

    def with_checks(self, services: tuple[str, ...]) -> tuple[str, ...]:
        """These services, and the checks of them and of the bases below them, as targets."""
        checked = set(services)
        checked.update(target.name for target in self.needed(services) if target.kind == "base")
        checks: list[str] = []
        for owner in checked:
            checks += self._checks_of.get(owner, ())
        return (*services, *sorted(checks, key=self._places.__getitem__))

    def with_weights(self, services: tuple[str, ...]) -> tuple[str, ...]:
        """These services, and the images of weights that they mount, as targets."""
        chosen = set(services)
        targets = dict.fromkeys(services)
        for service in self.services:
            if service.weights and service.service in chosen:
                targets[service.weights] = None
        return tuple(targets)

    @cached_property
    def service_names(self) -> tuple[str, ...]:
        """Every service, in the manifest's order."""
        return tuple(running.service for running in self.services)

    def running(self, targets: Iterable[str]) -> tuple[Running, ...]:
        """The services among these targets, in the manifest's order."""
        names = set(targets)
        return tuple(running for running in self.services if running.service in names)

    @cached_property
    def variants(self) -> dict[str, list[Running]]:
        """Every variant of a service by its host, the first one first."""
        by_host: dict[str, list[Running]] = {}
        for service in self.services:
            by_host.setdefault(service.host, []).append(service)
        return by_host

    def starting(
        self, services: Collection[str], preferred: Collection[str] = ()
    ) -> tuple[Running, ...]:
        """Return what `up` starts for these services.

        That is those of them which people do not start by hand, and what these depend on or
        start beside. Of a service that is needed, the variants among `services` start, or else
        those among `preferred`, or else the first.
        """
        waiting = [running for running in self.services if running.service in services]
        hosts = {running.host for running in waiting}
        started: set[str] = set()
        while waiting:
            candidate = waiting.pop()
            if candidate.by_hand or candidate.service in started:
                continue
            started.add(candidate.service)
            needed_hosts = [host for host, _ in candidate.depends_on]
            needed_hosts += candidate.start.fleet
            for host in needed_hosts:
                if host in hosts:
                    continue
                hosts.add(host)
                variants = self.variants[host]
                chosen = [variant for variant in variants if variant.service in preferred]
                waiting += chosen or variants[:1]
        return tuple(running for running in self.services if running.service in started)

    def company(self, service: Running) -> tuple[Running, ...]:
        """The services that a start check of this one starts beside it, by host.

        They are those that `start` names, and those that these name in turn; of each, the variant
        of the same name, or else the first.
        """
        by_host: dict[str, Running] = {}
        waiting = list(service.start.fleet)
        while waiting:
            host = waiting.pop()
            if host in by_host:
                continue
            variants = self.variants[host]
            same = (variant for variant in variants if variant.variant == service.variant)
            by_host[host] = next(same, variants[0])
            waiting += by_host[host].start.fleet
        return tuple(by_host[host] for host in sorted(by_host))

    def needs_beside(self, service: Running) -> tuple[str, ...]:
        """The services of the repository's compose file that its start check needs."""
        names: dict[str, None] = {}
        for running in (service, *self.company(service)):
            names |= dict.fromkeys(running.start.beside)
        return tuple(names)

    def awaited(self, service: Running, started: Collection[str]) -> dict[str, str]:
        """What a service waits for: each service that it depends on, with Compose's condition.

        Only services of `started` are among them.
        """
        conditions = {}
        for host, condition in service.depends_on:
            for variant in self.variants[host]:
                if variant.service in started:
                    conditions[variant.service] = condition
        return conditions

    def shared_by(self, services: tuple[str, ...]) -> tuple[Target, ...]:
        """The shared targets that these services and their checks need, in the plan's order."""
        return tuple(target for target in self.needed(self.with_checks(services)) if target.shared)

    def needed(self, names: tuple[str, ...]) -> tuple[Target, ...]:
        """These targets and all that they need, directly or not, in the plan's order."""
        return self._linked(names, needing)

    def held(self, names: tuple[str, ...]) -> tuple[Target, ...]:
        """These targets and all whose layers lie in their images, in the plan's order."""
        return self._linked(names, holding)

    def _linked(self, names: Iterable[str], links: Links) -> tuple[Target, ...]:
        # It visits only what is linked: a plan may have thousands of services.
        reached = _reached(self._by_name, names, links)
        return tuple(self._by_name[name] for name in sorted(reached, key=self._places.__getitem__))


Links = Callable[[Target], tuple[str, ...]]
needing: Links = attrgetter("needs")
holding: Links = attrgetter("holds")


def needed(targets: Sequence[Target], names: Iterable[str]) -> tuple[Target, ...]:
    """Return the targets named and all that they need, in the order of `targets`."""
    reached = _reached({target.name: target for target in targets}, names, needing)
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
