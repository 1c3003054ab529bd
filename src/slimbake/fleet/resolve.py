"""Resolve a manifest to a fleet: variants, exports, bases, scopes, names, platforms and defaults.

Pure: it starts no process and reads no file.
"""

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
    ServiceSettings,
    StartCheck,
    once,
    values_of,
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
DEFAULT_LEVELS = {"zstd": 3, "gzip": 6}
DEBIAN = "trixie"  # the official image's suite: torch's wheels want its glibc, 2.38 or newer
DEFAULT_UV = "ghcr.io/astral-sh/uv:0.13.9"


def resolve(manifest: Manifest, sources: Mapping[str, tuple[Source, ...]] = {}) -> Fleet:
    """Return the fleet of a manifest, with every default filled in.

    `sources` maps the name of a lock to the sources of those of its packages that have no wheel.
    What only the lock of an external knows is missing: see `with_digests`.
    """
    return _Resolution(manifest, sources).fleet()


def with_digests(
    fleet: Fleet,
    digests: Mapping[tuple[str, str], str],
    interpreters: Mapping[tuple[str, str], Interpreter] = {},
) -> Fleet:
    """Return the fleet with what the lock of its externals says of them.

    Both mappings have the name and image of an external as their key. `digests` has its digest,
    `interpreters` the Python that was found in an image of `from`. A service that starts from such
    an image and names no user runs as the image's own user, but never as root.
    """
    externals = []
    for external in fleet.externals:
        key = (external.name, external.image)
        interpreter = interpreters.get(key)
        # The lock may be older than the manifest, and have a Python of another version.
        if interpreter and not interpreter.version.startswith(f"{external.version}."):
            interpreter = None
        digest = digests.get(key, "")
        externals.append(replace(external, digest=digest, interpreter=interpreter))
    pinned = replace(fleet, externals=tuple(externals))
    if not interpreters:
        return pinned

    names_no_user = {entry.name for entry in fleet.manifest.services if not entry.user}
    services = []
    for service in fleet.services:
        own_image = service.scope.image and not service.dockerfile
        if own_image and service.entry in names_no_user:
            service = _with_user_of_image(service, pinned)
        services.append(service)
    return replace(pinned, services=tuple(services))


def _with_user_of_image(service: Service, fleet: Fleet) -> Service:
    """The service, running as the user of the image that it starts from, unless that is root."""
    interpreter = fleet.interpreter(service.scope.runtime)
    if interpreter is None or interpreter.nonroot != interpreter.user:
        return service
    # A container has its home in memory, so it must not hide the Python of the image.
    hides_python = interpreter.path.startswith(f"{interpreter.home}/")
    home = HOME
    if interpreter.home and mountable(interpreter.home) and not hides_python:
        home = interpreter.home
    return replace(service, user=interpreter.user, home=home)


class _Resolution:
    """One resolution: what is decided early, and what later steps look up."""

    def __init__(self, manifest: Manifest, sources: Mapping[str, tuple[Source, ...]]) -> None:
        self._manifest = manifest
        self._sources = sources
        self._platforms: Platforms = manifest.platforms or DEFAULT_PLATFORMS
        expanded = drafts(manifest)
        self._weights_names = _weights_names(expanded.weights)
        self._bases = parents_first(expanded.bases)
        self._services = expanded.services
        self._drafts: tuple[Draft, ...] = (*self._bases, *self._services)
        self._torch_builds = self._torch_build_of_bases()
        self._base_platforms = self._platforms_of_bases()
        self._published = _published_ports(manifest.services)
        versions = [manifest.python, *sorted(draft.python for draft in self._drafts)]
        self._pythons = {version: Python(version, manifest.python) for version in versions}
        # Filled by `fleet`, each base after those that it extends or agrees with.
        self._base_scopes: dict[str, Scope] = {}
        self._built_from_source: dict[tuple[str, str], Package] = {}

    def fleet(self) -> Fleet:
        packages = self._local_packages()
        local_names = {package.name for package, _ in packages}
        self._built_from_source = self._packages_from_source(local_names)
        services_above = self._services_above()
        for draft in self._bases:
            self._base_scopes[draft.name] = self._base_scope(draft, services_above[draft.name])
        weights = self._weights()

        bases = {draft.name: self._base(draft, packages) for draft in self._bases}
        base_of_scope = {base.scope.name: base for base in bases.values()}
        services = []
        for service in self._services:
            below: tuple[Base, ...] = ()
            if service.base:
                closure = bases[service.base].scope.closure
                below = tuple(base_of_scope[scope.name] for scope in closure)
            services.append(self._service(service, below, packages, weights))

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
            packages=(*packages.values(), *self._built_from_source.values()),
            services=tuple(services),
        )

    def _is_optimized(self, entry_optimize: bool | None) -> bool:
        """Whether a scope is optimised: its entry decides, then the fleet; the default is yes."""
        if entry_optimize is not None:
            return entry_optimize
        return self._manifest.optimize is not False

    def _externals(self) -> tuple[External, ...]:
        """The images from outside: those that the manifest names, and the defaults of the others."""
        named = {(entry.name, entry.version): entry.image for entry in self._manifest.externals}
        images = {}
        for python in self._pythons.values():
            official = f"python:{python.version}-slim-{DEBIAN}"
            image = named.get(("python", python.version)) or named.get(("python", "")) or official
            builder = named.get(("builder", python.version)) or named.get(("builder", "")) or image
            images[python.image] = image.replace(VERSION, python.version)
            images[python.builder] = builder.replace(VERSION, python.version)
        images["uv"] = named.get(("uv", ""), DEFAULT_UV)
        for service in self._manifest.services:
            used = [step.image for step in service.build]
            used += [copy.image for copy in service.copy]
            images |= {step_image(image): image for image in used if image}
        externals = [External(name, image) for name, image in images.items()]

        runtimes: dict[Runtime, None] = {}  # an ordered set
        for draft in self._drafts:
            if draft.image:
                runtimes[Runtime(self._pythons[draft.python], draft.image)] = None
        for runtime in runtimes:
            version = runtime.python.version
            externals.append(External(runtime.external, runtime.image, version=version))
        return tuple(externals)

    def _torch_build_of_bases(self) -> dict[str, str]:
        """The build of torch of each base: bases above the same root have the same."""
        root_of: dict[str, str] = {}
        for base in self._bases:
            parent = base.extends or next(iter(base.agrees), "")
            root_of[base.name] = root_of[parent] if parent else base.name
        build_of_root = {root_of[base.name]: base.torch for base in self._bases if base.torch}
        return {name: build_of_root.get(root, CPU) for name, root in root_of.items()}

    def _service_platforms(self, service: ServiceDraft) -> Platforms:
        return once(tuple(sorted(service.platforms or self._platforms)))

    def _union(self, several: Iterable[Platforms]) -> Platforms:
        """All platforms of several things; those of the fleet where these have none."""
        every: set[str] = set()
        for platforms in several:
            every.update(platforms)
        return tuple(sorted(every or self._platforms))

    def _platforms_of_bases(self) -> dict[str, Platforms]:
        """The platforms of each base: those of everything above it, or else those of the fleet."""
        platforms_of: dict[str, Platforms] = {}
        above: dict[str | None, list[Platforms]] = {base.name: [] for base in self._bases}
        for service in self._services:
            used_bases = {service.base}
            if service.weights:
                used_bases.add(service.weights.base)
            for name in used_bases:
                above.setdefault(name, []).append(self._service_platforms(service))
        for base in reversed(self._bases):
            platforms_of[base.name] = self._union(above[base.name])
            above.setdefault(base.extends, []).append(platforms_of[base.name])
        return platforms_of

    def _platforms_of(self, draft: Draft) -> Platforms:
        if isinstance(draft, BaseDraft):
            return self._base_platforms[draft.name]
        return self._service_platforms(draft)

    def _closure(self, base: str | None) -> tuple[Scope, ...]:
        """The scopes of a base and of the bases below it, bottom first; () for None."""
        return self._base_scopes[base].closure if base else ()

    def _services_above(self) -> dict[str, list[str]]:
        """The names of the services above each base, directly or not."""
        parent_of = {base.name: base.extends for base in self._bases}
        services_above: dict[str, list[str]] = {name: [] for name in parent_of}
        for service in self._services:
            base = service.base
            while base:
                services_above[base].append(service.name)
                base = parent_of[base]
        return services_above

    def _base_scope(self, base: BaseDraft, services: Iterable[str]) -> Scope:
        name = base_target(base.name)
        agrees = [scope for other in base.agrees for scope in self._closure(other)]
        return Scope(
            name=name,
            kind="export" if base.exports else "base",
            lock=name,
            chain=self._closure(base.extends),
            services=tuple(services),
            python=self._pythons[base.python],
            image=base.image,
            platforms=self._base_platforms[base.name],
            agrees=tuple(agrees),
            asks=base.requirements,
            torch=self._torch_builds[base.name],
        )

    def _service_scope(self, service: ServiceDraft) -> Scope:
        if service.base:
            torch = self._torch_builds[service.base]
        else:
            torch = service.torch or self._manifest.torch or CPU
        return Scope(
            name=service.name,
            kind="service",
            lock=service.name,
            chain=self._closure(service.base),
            services=(service.name,),
            python=self._pythons[service.python],
            image=service.image,
            platforms=self._service_platforms(service),
            asks=service.requirements,
            torch=torch,
            onnx=service.inference == ONNX,
        )

    def _local_packages(self) -> dict[tuple[LocalPackage, str], Package]:
        """The packages of the repository that are required, once for each version of Python.

        They are sorted by name, then by version.
        """
        users: dict[tuple[LocalPackage, str], list[Draft]] = {}
        for draft in self._drafts:
            for package in draft.requirements.packages:
                users.setdefault((package, draft.python), []).append(draft)
        packages = {}
        for package, version in sorted(users, key=lambda built: (built[0].name, built[1])):
            python = self._pythons[version]
            drafts_of_it = users[package, version]
            name = python.named(wheel_target(package.name))
            scope = Scope(
                name=name,
                kind="wheel",
                lock=name,
                python=python,
                platforms=self._union(map(self._platforms_of, drafts_of_it)),
                asks=Requirements(package.build),
            )
            system = _build_packages(drafts_of_it)
            packages[package, version] = Package(package.name, package.path, scope, system=system)
        return packages

    def _packages_from_source(self, local: Collection[str]) -> dict[tuple[str, str], Package]:
        """The packages without a wheel, by their origin and the version of Python.

        A package of the repository, one of `local`, replaces one of the same name. The Debian
        packages that build a wheel are those of the entries that have it in their lock, and of all
        that are above them.
        """
        users: dict[tuple[Source, str], list[Draft]] = {}
        parent_of = {base.name: base.extends for base in self._bases}
        drafts_of_lock: dict[str, list[Draft]] = {}
        for draft in self._drafts:
            drafts_of_lock.setdefault(_lock_name(draft), []).append(draft)
        for lock, sources in sorted(self._sources.items()):
            holders = drafts_of_lock.get(lock, [])
            bases = {holder.name for holder in holders if isinstance(holder, BaseDraft)}
            above = []
            if bases:
                above = [draft for draft in self._drafts if bases & _bases_below(draft, parent_of)]
            for source in sources:
                if source.name in local:
                    continue
                for holder in holders:
                    users.setdefault((source, holder.python), []).extend((holder, *above))

        origins_of_name = Counter(source.name for source in {source for source, _ in users})
        packages = {}
        for source, version in sorted(users):
            name = source.name
            if origins_of_name[name] > 1:
                name = f"{name}-{short(source.origin)}"
            system = () if source.wheel else _build_packages(users[source, version])
            scope = self._source_scope(wheel_target(name), source, self._pythons[version])
            packages[source.origin, version] = Package(source.name, "", scope, source, system)
        return packages

    def _source_scope(self, target: str, source: Source, python: Python) -> Scope:
        """The scope that builds the wheel of a source: for every platform of the fleet."""
        name = python.named(target)
        return Scope(
            name=name,
            kind="wheel",
            lock=name,
            python=python,
            platforms=self._union([self._platforms, *map(self._service_platforms, self._services)]),
            asks=Requirements(source.requires),
        )

    def _weights(self) -> dict[WeightsDraft, Weights]:
        """All weights, each export after what it is made from."""
        services_of: dict[WeightsDraft, list[str]] = {}
        # What exports are made from is built for the services that use the exports, too.
        platforms_of: dict[WeightsDraft, list[Platforms]] = {}
        python_of: dict[WeightsDraft, str] = {}  # that of the first service which uses them
        for service in self._services:
            if service.weights:
                origin = service.weights.origin
                services_of.setdefault(service.weights, []).append(service.name)
                platforms_of.setdefault(origin, []).append(self._service_platforms(service))
                python_of.setdefault(origin, service.python)

        weights: dict[WeightsDraft, Weights] = {}
        for draft, name in self._weights_names.items():
            scope = Scope(
                name=weights_target(name),
                kind="weights",
                lock=weights_target(self._weights_names[draft.origin]),
                services=tuple(services_of.get(draft, ())),
                python=self._pythons[python_of[draft.origin]],
                platforms=self._union(platforms_of[draft.origin]),
                asks=Requirements((draft.entry.value,)),
            )
            export = None
            if draft.base and draft.precision:
                export = Export(self._base_scopes[draft.base], draft.precision)
            made_from = weights[draft.origin] if draft.base else None
            entry = draft.entry
            weights[draft] = Weights(name, scope, entry.source, entry.value, export, made_from)
        return weights

    def _installed(
        self,
        scope: Scope,
        requirements: Requirements,
        packages: Mapping[tuple[LocalPackage, str], Package],
    ) -> tuple[Package, ...]:
        """The packages built here that a scope installs, without those of the scopes below it."""
        version = scope.python.version
        below = {package for base in scope.chain for package in base.asks.packages}
        installed = []
        for package in requirements.packages:
            if package not in below:
                installed.append(packages[package, version])
        for source in self._sources.get(scope.lock, ()):
            built = self._built_from_source.get((source.origin, version))
            if built:
                installed.append(built)
        return tuple(installed)

    def _base(self, draft: BaseDraft, packages: Mapping[tuple[LocalPackage, str], Package]) -> Base:
        scope = self._base_scopes[draft.name]
        return Base(
            name=draft.name,
            scope=scope,
            entry=draft.entry,
            variant=draft.variant,
            copied=draft.copied,
            packages=self._installed(scope, draft.requirements, packages),
            system=draft.system,
            optimize=self._is_optimized(draft.optimize),
            removal=draft.removal,
            bytecode=draft.bytecode,
        )

    def _service(
        self,
        draft: ServiceDraft,
        bases: tuple[Base, ...],
        packages: Mapping[tuple[LocalPackage, str], Package],
        weights: Mapping[WeightsDraft, Weights],
    ) -> Service:
        entry = draft.entry
        scope = self._service_scope(draft)
        user = entry.user
        if not user and not entry.dockerfile:
            user = USER
        values = values_of(entry, ServiceSettings)
        values["user"] = user
        values["home"] = _home(user, scope)
        values["keeps_home"] = any(not step.outputs for step in entry.build)
        values["healthcheck"] = _healthcheck(entry)
        values["publish"] = self._published[entry.name]
        system = dict.fromkeys(entry.system)
        if entry.shell:
            system |= dict.fromkeys(SHELL)
        start = entry.start or StartCheck("listens" if entry.port else "runs")
        return Service(
            **values,
            name=draft.name,
            scope=scope,
            entry=entry.name,
            variant=draft.variant,
            copied=draft.copied,
            bases=bases,
            packages=self._installed(scope, draft.requirements, packages),
            context=entry.context or PROGRAMS,
            env=draft.env,
            weights=weights[draft.weights] if draft.weights else None,
            mounts=draft.mounts,
            inference=draft.inference,
            precision=draft.precision,
            parity=draft.parity,
            start=once(start),
            budget=draft.budget,
            platforms=draft.platforms,
            system=tuple(system),
            optimize=self._is_optimized(entry.optimize),
        )


def _lock_name(draft: Draft) -> str:
    if isinstance(draft, BaseDraft):
        return base_target(draft.name)
    return draft.name


def _home(user: str, scope: Scope) -> str:
    """The home of a service's user: slimbake's runtime has one for its own user, an image none."""
    if not user:
        return ""
    if user == USER and not scope.image:
        return NONROOT_HOME
    return HOME


def _bases_below(draft: Draft, parent_of: Mapping[str, str | None]) -> set[str]:
    """The names of the bases below a draft, directly or not."""
    name = draft.extends if isinstance(draft, BaseDraft) else draft.base
    names: set[str] = set()
    while name:
        names.add(name)
        name = parent_of.get(name)
    return names


def _build_packages(users: Iterable[Draft]) -> tuple[str, ...]:
    """The Debian packages that these entries name to build wheels, sorted.

    Where there are some, the C library's headers are among them: no compiler works without.
    """
    packages = {name for draft in users for name in draft.wheels}
    if packages:
        packages.add("libc6-dev")
    return tuple(sorted(packages))


def _compression(manifest: Manifest) -> Compression:
    type_ = manifest.compression.type or DEFAULT_COMPRESSION
    return Compression(type_, manifest.compression.level or DEFAULT_LEVELS[type_])


def _healthcheck(entry: ServiceEntry) -> Healthcheck | None:
    """The health check of a service's containers; None where the image's own check stays.

    A service with a port has a check by default: whether a connection is accepted. With a Dockerfile
    of the user's own, only what the entry says counts: it may switch the image's check off, or
    change its times.
    """
    healthcheck = entry.healthcheck or Healthcheck()
    if entry.dockerfile and not healthcheck.test:
        return healthcheck if healthcheck != Healthcheck() else None
    test = healthcheck.test
    if not test and entry.port:
        test = connects(entry.port)
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
    """The command of a health check that connects to a port of the container.

    It runs Python without site-packages, so that no package of the image can disturb it.
    """
    code = f"import socket; socket.create_connection(('localhost', {port}), 4)"
    return ("python", "-I", "-S", "-c", code)


def _published_ports(services: Sequence[ServiceEntry]) -> dict[str, int | None]:
    """The port of the host of each service, by its entry's name.

    It is `publish`, or else the container's port. Where another service has that port already, it
    is 0: a free one.
    """
    ports = {entry.name: entry.publish for entry in services}
    taken = {entry.publish for entry in services}
    for entry in services:
        if entry.port and not entry.publish:
            ports[entry.name] = 0 if entry.port in taken else entry.port
            taken.add(entry.port)
    return ports


def _weights_names(weights: Iterable[WeightsDraft]) -> dict[WeightsDraft, str]:
    """A name for each of these weights; no two are equal."""
    slugs = {draft: _slug(draft) for draft in weights}
    drafts_of_slug = Counter(slugs.values())
    names = {}
    for draft, slug in slugs.items():
        names[draft] = slug
        if drafts_of_slug[slug] > 1:
            names[draft] = f"{slug}-{short(_identity(draft))}"
    return names


def _slug(weights: WeightsDraft) -> str:
    bare = re.sub(r"[^a-z0-9]+", "-", weights.entry.value.lower()).strip("-")
    if weights.precision:
        return f"{bare}-onnx-{weights.precision}"
    return bare


def _identity(weights: WeightsDraft) -> str:
    """What distinguishes weights from all others."""
    text = f"{weights.entry.source}:{weights.entry.value}"
    if weights.precision:
        settings = {"base": weights.base, "precision": weights.precision}
        text += json.dumps(settings, sort_keys=True)
    return text


def short(text: str) -> str:
    """Six hexadecimal digits that distinguish two things whose names would be equal."""
    return hashlib.sha256(text.encode()).hexdigest()[:6]
