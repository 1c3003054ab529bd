"""From a manifest to a fleet: variants, exports, bases, scopes, names, platforms, defaults. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from slimbake.config.containers import mountable
from slimbake.config.model import (
    CompressionType,
    Healthcheck,
    LocalPackage,
    Manifest,
    Requirements,
    ServiceEntry,
    StartCheck,
    container,
    once,
)
from slimbake.config.naming import (
    CPU,
    HOME,
    NONROOT_HOME,
    ONNX,
    PROGRAMS,
    SHELL,
    USER,
    VERSION,
    base_target,
    step_image,
    weights_target,
    wheel_target,
)
from slimbake.fleet.drafts import (
    BaseDraft,
    ServiceDraft,
    WeightsDraft,
    drafts,
    parents_first,
)
from slimbake.fleet.interpreter import Interpreter
from slimbake.fleet.model import (
    Base,
    Compression,
    Export,
    External,
    Fleet,
    Package,
    Platforms,
    Python,
    Runtime,
    Scope,
    Service,
    Weights,
)
from slimbake.host.sources import Source

Draft = BaseDraft | ServiceDraft

DEFAULT_PLATFORMS = ("linux/amd64",)
DEFAULT_COMPRESSION: CompressionType = "zstd"
DEFAULT_LEVELS = {"zstd": 3, "gzip": 6, "estargz": 6}
DEBIAN = "trixie"  # the official image's suite: torch's wheels want its glibc, 2.38 or newer
DEFAULT_UV = "ghcr.io/astral-sh/uv:0.13.9"


def resolve(manifest: Manifest, sources: Mapping[str, tuple[Source, ...]] = {}) -> Fleet:
    """Decide all that a manifest leaves open but what only locks know.

    `sources`: lock -> what its packages are built from that have no wheel.
    """
    return _Resolution(manifest, sources).fleet()


def with_digests(
    fleet: Fleet,
    digests: Mapping[tuple[str, str], str],
    interpreters: Mapping[tuple[str, str], Interpreter] = {},
) -> Fleet:
    """The fleet with its externals as their lock pins them: name and image -> digest, and of images
    of `from` the Python in them.

    Services on such an image that name no user run as the image's own, but never as root.
    """
    externals = tuple(
        replace(
            external,
            digest=digests.get((external.name, external.image), ""),
            interpreter=_fitting(external, interpreters.get((external.name, external.image))),
        )
        for external in fleet.externals
    )
    pinned = replace(fleet, externals=externals)
    if not interpreters:
        return pinned
    silent = {entry.name for entry in fleet.manifest.services if not entry.user}
    services = tuple(
        _as_in_image(service, pinned)
        if service.scope.image and service.entry in silent and not service.dockerfile
        else service
        for service in fleet.services
    )
    return replace(pinned, services=services)


def _fitting(external: External, interpreter: Interpreter | None) -> Interpreter | None:
    """The Python that a lock has of an image, unless it is of another version than is asked for."""
    version = interpreter.version if interpreter else ""
    return interpreter if version.startswith(f"{external.version}.") else None


def _as_in_image(service: Service, fleet: Fleet) -> Service:
    """A service that runs as the user of the image that it starts from."""
    interpreter = fleet.interpreter(service.scope.runtime)
    if interpreter is None or interpreter.nonroot != interpreter.user:
        return service
    # It is in memory in a container, and must hide nothing.
    holds_python = interpreter.path.startswith(f"{interpreter.home}/")
    usable = interpreter.home and mountable(interpreter.home) and not holds_python
    return replace(service, user=interpreter.user, home=interpreter.home if usable else HOME)


class _Resolution:
    def __init__(self, manifest: Manifest, sources: Mapping[str, tuple[Source, ...]]) -> None:
        self._manifest = manifest
        self._sources = sources
        self._platforms: Platforms = manifest.platforms or DEFAULT_PLATFORMS
        expanded = drafts(manifest)
        self._names = _names(expanded.weights)
        self._bases = parents_first(expanded.bases)
        self._services = expanded.services
        self._scopes: dict[str, Scope] = {}  # of bases, by the base's name
        self._chains: dict[str, tuple[Scope, ...]] = {}
        self._torch = self._builds()
        self._on = self._built_for()
        self._published = _published(manifest.services)
        every: tuple[Draft, ...] = (*self._bases, *self._services)
        versions = [manifest.python, *sorted(draft.python for draft in every)]
        self._pythons = {each: Python(each, manifest.python) for each in versions}

    def fleet(self) -> Fleet:
        packages = self._packages()
        self._built = self._from_sources({package.name for package, _ in packages})
        standing = self._standing()
        for base in self._bases:
            self._scopes[base.name] = self._base_scope(base, standing)
        weights = self._weights()
        bases: dict[str, Base] = {}
        for draft in self._bases:
            bases[draft.name] = self._base(draft, packages)
        by_scope = {base.scope.name: base for base in bases.values()}
        stacks = {
            name: tuple(by_scope[scope.name] for scope in base.scope.closure)
            for name, base in bases.items()
        }
        services = (self._service(service, stacks, packages, weights) for service in self._services)
        manifest = self._manifest
        return Fleet(
            manifest=manifest,
            project=manifest.project,
            pythons=tuple(self._pythons.values()),
            registry=manifest.registry or manifest.project,
            platforms=self._platforms,
            externals=self._externals(),
            compression=_compression(manifest),
            bases=tuple(bases.values()),
            weights=tuple(weights.values()),
            packages=(*packages.values(), *self._built.values()),
            services=tuple(services),
        )

    def _optimized(self, optimize: bool | None) -> bool:
        """Whether a scope is optimised: as its entry says, else as the fleet does."""
        return next(
            (value for value in (optimize, self._manifest.optimize) if value is not None), True
        )

    def _externals(self) -> tuple[External, ...]:
        """The images from outside: the manifest's, or the defaults."""
        given = {(entry.name, entry.version): entry.image for entry in self._manifest.externals}
        images = {}
        for python in self._pythons.values():
            official = f"python:{python.version}-slim-{DEBIAN}"
            image = given.get(("python", python.version)) or given.get(("python", "")) or official
            builder = given.get(("builder", python.version)) or given.get(("builder", "")) or image
            images[python.image] = image.replace(VERSION, python.version)
            images[python.builder] = builder.replace(VERSION, python.version)
        images["uv"] = given.get(("uv", ""), DEFAULT_UV)
        for service in self._manifest.services:
            used = [step.image for step in service.build]
            used += [each.image for each in service.copy]
            images |= {step_image(image): image for image in used if image}
        every: tuple[Draft, ...] = (*self._bases, *self._services)
        users = dict.fromkeys(
            Runtime(self._pythons[draft.python], draft.image) for draft in every if draft.image
        )
        return (
            *(External(name, image) for name, image in images.items()),
            *(
                External(runtime.external, runtime.image, version=runtime.python.version)
                for runtime in users
            ),
        )

    def _builds(self) -> dict[str, str]:
        """The build of torch of each base: one for all bases above the same root."""
        roots: dict[str, str] = {}
        for base in self._bases:
            parent = base.extends or next(iter(base.agrees), "")
            roots[base.name] = roots[parent] if parent else base.name
        named = {roots[base.name]: base.torch for base in self._bases if base.torch}
        return {name: named.get(root, CPU) for name, root in roots.items()}

    def _own_platforms(self, service: ServiceDraft) -> Platforms:
        return once(tuple(sorted(service.platforms or self._platforms)))

    def _together(self, several: Iterable[Platforms]) -> Platforms:
        every = {platform for platforms in several for platform in platforms}
        return tuple(sorted(every or self._platforms))

    def _built_for(self) -> dict[str, Platforms]:
        """Of each base; one that nothing stands on is built for what the fleet is."""
        platforms_of: dict[str, Platforms] = {}
        above: dict[str | None, list[Platforms]] = {base.name: [] for base in self._bases}
        for service in self._services:
            for name in {service.base, service.weights.base if service.weights else None}:
                above.setdefault(name, []).append(self._own_platforms(service))
        for base in reversed(self._bases):
            platforms_of[base.name] = self._together(above[base.name])
            above.setdefault(base.extends, []).append(platforms_of[base.name])
        return platforms_of

    def _chain(self, name: str | None) -> tuple[Scope, ...]:
        """The scopes of a base and of the bases below it, bottom first."""
        if not name:
            return ()
        if name not in self._chains:
            self._chains[name] = self._scopes[name].closure
        return self._chains[name]

    def _standing(self) -> dict[str, list[str]]:
        """The services on each base, directly or not."""
        parents = {base.name: base.extends for base in self._bases}
        services_on: dict[str, list[str]] = {name: [] for name in parents}
        for service in self._services:
            parent = service.base
            while parent:
                services_on[parent].append(service.name)
                parent = parents[parent]
        return services_on

    def _base_scope(self, base: BaseDraft, standing: Mapping[str, Iterable[str]]) -> Scope:
        name = base_target(base.name)
        return Scope(
            name=name,
            kind="export" if base.exports else "base",
            lock=name,
            chain=self._chain(base.extends),
            services=tuple(standing[base.name]),
            python=self._pythons[base.python],
            image=base.image,
            platforms=self._on[base.name],
            agrees=tuple(scope for agree in base.agrees for scope in self._chain(agree)),
            asks=base.requirements,
            torch=self._torch[base.name],
        )

    def _service_scope(self, service: ServiceDraft) -> Scope:
        torch = service.torch or self._manifest.torch or CPU
        return Scope(
            name=service.name,
            kind="service",
            lock=service.name,
            chain=self._chain(service.base),
            services=(service.name,),
            python=self._pythons[service.python],
            image=service.image,
            platforms=self._own_platforms(service),
            asks=service.requirements,
            torch=self._torch[service.base] if service.base else torch,
            onnx=service.inference == ONNX,
        )

    def _packages(self) -> dict[tuple[LocalPackage, str], Package]:
        """Every package inside the repository that somebody requires, once for each version of
        Python, by name.
        """
        asking: dict[tuple[LocalPackage, str], list[Draft]] = {}
        drafts: tuple[Draft, ...] = (*self._bases, *self._services)
        for draft in drafts:
            for package in draft.requirements.packages:
                asking.setdefault((package, draft.python), []).append(draft)
        return {
            (package, python): self._package(
                package, self._pythons[python], asking[package, python]
            )
            for package, python in sorted(asking, key=lambda built: (built[0].name, built[1]))
        }

    def _from_sources(self, local: Collection[str]) -> dict[tuple[str, str], Package]:
        """Every package that has no wheel, once for each version of Python, by its origin and that.
        One of the repository, in `local`, takes its place.

        What builds it is what the scopes say that hold it or stand on it.
        """
        asking: dict[tuple[Source, str], list[Draft]] = {}
        every: tuple[Draft, ...] = (*self._bases, *self._services)
        parents = {base.name: base.extends for base in self._bases}
        by_lock: dict[str, list[Draft]] = {}
        for draft in every:
            by_lock.setdefault(self._lock(draft), []).append(draft)
        for lock, sources in sorted(self._sources.items()):
            holders = by_lock.get(lock, [])
            names = {holder.name for holder in holders if isinstance(holder, BaseDraft)}
            above: Iterable[Draft] = ()
            if names:
                above = [draft for draft in every if names & _chain_of(draft, parents)]
            for source in sources:
                for holder in holders if source.name not in local else ():
                    asking.setdefault((source, holder.python), []).extend((holder, *above))
        versions = Counter(source.name for source in {source for source, _ in asking})
        return {
            (source.origin, python): self._sourced(
                source,
                self._pythons[python],
                _wanted(asking[source, python]),
                versions[source.name],
            )
            for source, python in sorted(asking)
        }

    def _lock(self, draft: Draft) -> str:
        return base_target(draft.name) if isinstance(draft, BaseDraft) else draft.name

    def _sourced(
        self, source: Source, python: Python, system: tuple[str, ...], versions: int
    ) -> Package:
        """`versions`: how many of its package there are."""
        name = source.name if versions == 1 else f"{source.name}-{short(source.origin)}"
        target = python.named(wheel_target(name))
        scope = Scope(
            name=target,
            kind="wheel",
            lock=target,
            python=python,
            platforms=self._together([self._platforms, *map(self._own_platforms, self._services)]),
            asks=Requirements(source.requires),
        )
        return Package(source.name, "", scope, source, () if source.wheel else system)

    def _package(self, package: LocalPackage, python: Python, asking: Sequence[Draft]) -> Package:
        built_for = (
            self._on[draft.name] if isinstance(draft, BaseDraft) else self._own_platforms(draft)
            for draft in asking
        )
        name = python.named(wheel_target(package.name))
        scope = Scope(
            name=name,
            kind="wheel",
            lock=name,
            python=python,
            platforms=self._together(built_for),
            asks=Requirements(package.build),
        )
        return Package(package.name, package.path, scope, system=_wanted(asking))

    def _weights(self) -> dict[WeightsDraft, Weights]:
        weights_of: dict[WeightsDraft, Weights] = {}
        using: dict[WeightsDraft, list[str]] = {}
        built_for: dict[WeightsDraft, list[Platforms]] = {}
        pythons: dict[WeightsDraft, str] = {}  # that of the first service which uses them
        for service in self._services:
            if service.weights:
                using.setdefault(service.weights, []).append(service.name)
                # What they are made from is built for those that use exports of them, too.
                platforms = self._own_platforms(service)
                built_for.setdefault(service.weights.origin, []).append(platforms)
                pythons.setdefault(service.weights.origin, service.python)
        for draft, name in self._names.items():
            origin = weights_of[draft.origin] if draft.base else None
            scope = Scope(
                name=weights_target(name),
                kind="weights",
                lock=weights_target(self._names[draft.origin]),
                services=tuple(using.get(draft, ())),
                python=self._pythons[pythons[draft.origin]],
                platforms=self._together(built_for[draft.origin]),
                asks=Requirements((draft.entry.value,)),
            )
            export = None
            if draft.base and draft.precision:
                export = Export(self._scopes[draft.base], draft.precision)
            source, value = draft.entry.source, draft.entry.value
            weights_of[draft] = Weights(name, scope, source, value, export, origin)
        return weights_of

    def _installed(
        self,
        scope: Scope,
        requirements: Requirements,
        packages: Mapping[tuple[LocalPackage, str], Package],
    ) -> tuple[Package, ...]:
        """What a scope installs that is built here: what a scope below has is not installed again."""
        there = {package for base in scope.chain for package in base.asks.packages}
        python = scope.python.version
        own = (package for package in requirements.packages if package not in there)
        sources = (source.origin for source in self._sources.get(scope.lock, ()))
        return (
            *(packages[package, python] for package in own),
            *(self._built[origin, python] for origin in sources if (origin, python) in self._built),
        )

    def _base(self, draft: BaseDraft, packages: Mapping[tuple[LocalPackage, str], Package]) -> Base:
        scope = self._scopes[draft.name]
        return Base(
            name=draft.name,
            scope=scope,
            entry=draft.entry,
            variant=draft.variant,
            copied=draft.copied,
            packages=self._installed(scope, draft.requirements, packages),
            system=draft.system,
            optimize=self._optimized(draft.optimize),
            removal=draft.removal,
            bytecode=draft.bytecode,
        )

    def _service(
        self,
        draft: ServiceDraft,
        stacks: Mapping[str, tuple[Base, ...]],
        packages: Mapping[tuple[LocalPackage, str], Package],
        weights: Mapping[WeightsDraft, Weights],
    ) -> Service:
        scope, entry = self._service_scope(draft), draft.entry
        user = entry.user or ("" if entry.dockerfile else USER)
        return Service(
            name=draft.name,
            scope=scope,
            entry=entry.name,
            variant=draft.variant,
            copied=draft.copied,
            bases=stacks[draft.base] if draft.base else (),
            packages=self._installed(scope, draft.requirements, packages),
            context=entry.context or PROGRAMS,
            **container(entry)
            | {
                "user": user,
                "home": _home(user, scope),
                "healthcheck": _health(entry),
                "publish": self._published[entry.name],
            },
            env=draft.env,
            secrets=entry.secrets,
            weights=weights[draft.weights] if draft.weights else None,
            mounts=draft.mounts,
            inference=draft.inference,
            precision=draft.precision,
            parity=draft.parity,
            start=entry.start or once(StartCheck("listens" if entry.port else "runs")),
            depends_on=entry.depends_on,
            trivial=entry.trivial,
            smoke=entry.smoke,
            verify=entry.verify,
            reference=entry.reference,
            budget=draft.budget,
            dockerfile=entry.dockerfile,
            target=entry.target,
            contexts=entry.contexts,
            args=entry.args,
            labels=entry.labels,
            platforms=draft.platforms,
            system=tuple(dict.fromkeys((*entry.system, *(SHELL if entry.shell else ())))),
            optimize=self._optimized(entry.optimize),
            removal=entry.removal,
            bytecode=entry.bytecode,
            ignore=entry.ignore,
            build=entry.build,
            copy=entry.copy,
        )


def _home(user: str, scope: Scope) -> str:
    """The home of a service's user: the runtime has one for its own, other images have none."""
    if not user:
        return ""
    return NONROOT_HOME if user == USER and not scope.image else HOME


def _chain_of(draft: Draft, parent_of: Mapping[str, str | None]) -> set[str]:
    """The bases that a draft stands on, by name."""
    name = draft.extends if isinstance(draft, BaseDraft) else draft.base
    names: set[str] = set()
    while name:
        names.add(name)
        name = parent_of.get(name)
    return names


def _wanted(asking: Iterable[Draft]) -> tuple[str, ...]:
    """The Debian packages that build the wheels of these, sorted; a compiler comes with the headers
    of the C library, without which it compiles nothing.
    """
    packages = {name for draft in asking for name in draft.wheels}
    return tuple(sorted(packages | {"libc6-dev"})) if packages else ()


def _compression(manifest: Manifest) -> Compression:
    type_ = manifest.compression.type or DEFAULT_COMPRESSION
    return Compression(type_, manifest.compression.level or DEFAULT_LEVELS[type_])


def _health(entry: ServiceEntry) -> Healthcheck | None:
    """What is asked of a container. On top of a Dockerfile of the user's own only what the entry
    says: that nothing is asked, or, without a test, other times for what the image asks.
    """
    healthcheck = entry.healthcheck or Healthcheck()
    if entry.dockerfile and not healthcheck.test:
        return healthcheck if healthcheck != Healthcheck() else None
    test = healthcheck.test or (connects(entry.port) if entry.port else ())
    if healthcheck.off or not test:
        return None
    return Healthcheck(
        test=test,
        interval=healthcheck.interval or "10s",
        timeout=healthcheck.timeout or "5s",
        start_period=healthcheck.start_period or "5m",
        retries=healthcheck.retries or 3,
    )


def connects(port: int) -> tuple[str, ...]:
    """A probe that no package of the image can disturb: Python without site-packages."""
    code = f"import socket; socket.create_connection(('localhost', {port}), 4)"
    return ("python", "-I", "-S", "-c", code)


def _published(services: Sequence[ServiceEntry]) -> dict[str, int | None]:
    """The port of the host for each service: as it is written, else that of the container, else,
    where another service has that, a free one.
    """
    ports = {service.name: service.publish for service in services}
    taken = {service.publish for service in services}
    for entry in services:
        if entry.port and not entry.publish:
            ports[entry.name] = 0 if entry.port in taken else entry.port
            taken.add(entry.port)
    return ports


def _names(weights: Iterable[WeightsDraft]) -> dict[WeightsDraft, str]:
    """Names of distinct weights that differ."""
    slugs = {weight: _slug(weight) for weight in weights}
    taken = Counter(slugs.values())
    return {
        draft: slug if taken[slug] == 1 else f"{slug}-{short(_identity(draft))}"
        for draft, slug in slugs.items()
    }


def _slug(weights: WeightsDraft) -> str:
    bare = re.sub(r"[^a-z0-9]+", "-", weights.entry.value.lower()).strip("-")
    return f"{bare}-onnx-{weights.precision}" if weights.precision else bare


def _identity(weights: WeightsDraft) -> str:
    export = ""
    if weights.precision:
        settings = {"base": weights.base, "precision": weights.precision}
        export = json.dumps(settings, sort_keys=True)
    return f"{weights.entry.source}:{weights.entry.value}{export}"


def short(text: str) -> str:
    """What tells two things apart whose names would be the same."""
    return hashlib.sha256(text.encode()).hexdigest()[:6]
