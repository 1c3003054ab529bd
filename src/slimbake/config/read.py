"""From checked plain values to a Manifest: paths are looked up and requirements read on the way."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from slimbake.config.axes import Chosen, pythons
from slimbake.config.document import KeyPath, Position
from slimbake.config.files import ManifestFolder, own_compose
from slimbake.config.inference import without_export
from slimbake.config.model import (
    BaseEntry,
    Budget,
    BuildStep,
    Bytecode,
    Ci,
    CompressionEntry,
    ExternalEntry,
    FileCopy,
    Healthcheck,
    LayersEntry,
    Manifest,
    OwnStage,
    Pairs,
    Parity,
    Removal,
    Requirements,
    Scan,
    Secret,
    ServiceEntry,
    StartCheck,
    VariantEntry,
    WeightsEntry,
    once,
)
from slimbake.config.order import Order
from slimbake.config.parity import written_limits as limits
from slimbake.config.report import ProblemReport, RefusedError, did_you_mean, dotted_path
from slimbake.config.requirements import RequirementsReader
from slimbake.config.rules import cycles, folder_context
from slimbake.config.sizes import size
from slimbake.config.specs import allows, normalised
from slimbake.config.words import TRUTH
from slimbake.host.dockerignore import LARGEST, only
from slimbake.host.names import manifest_name
from slimbake.inside.lines import lines_of

Raw = dict[str, Any]


class Reader:
    """Turns plain values into the manifest's own, and reports what the named files do not allow."""

    def __init__(self, file: Path, report: ProblemReport) -> None:
        self._file = file
        self._report = report
        self._repository = ManifestFolder(str(file.parent))
        self._requirements = RequirementsReader(self._repository, report)

    def manifest(self, raw: Raw) -> Manifest:
        """The whole manifest; of use only when the report stays empty."""
        problems = len(self._report)
        self._services: Raw = raw.get("services", {})
        self._pythons: dict[KeyPath, dict[str, Chosen]] = {}
        for entry, variant, python in pythons(raw):
            self._pythons.setdefault(entry.path, {})[variant] = python
        self._order = Order(raw, self._report)
        self._order.check()
        bases: Raw = raw.get("bases", {})
        lock: Raw = raw.get("lock", {})
        manifest = Manifest(
            file=self._file,
            project=raw.get("project", ""),
            python=raw.get("python", ""),
            image=raw.get("from", ""),
            registry=raw.get("registry"),
            platforms=_texts(raw, "platforms"),
            layers=LayersEntry(**raw.get("layers", {})),
            torch=raw.get("torch"),
            packages=raw.get("packages"),
            lock=_ages(lock),
            indexes=_indexes(lock),
            compression=CompressionEntry(**raw.get("compression", {})),
            optimize=_truth(raw, "optimize"),
            ci=self._ci(raw),
            scan=_scan(raw),
            externals=_externals(raw),
            bases=tuple(self._base(name, base) for name, base in bases.items()),
            services=tuple(self._service(name, entry) for name, entry in self._services.items()),
        )
        self._refuse_start_cycles(manifest)
        if len(self._report) == problems:  # otherwise a requirement that was refused may be torch
            without_export(manifest, self._report)
        return manifest

    def _refuse_start_cycles(self, manifest: Manifest) -> None:
        edges = {}
        for service in manifest.services:
            if service.start:
                edges[service.name] = service.start.fleet
        for loop in cycles(edges):
            self._report.key(
                ("services", loop[0], "start", "with"),
                f"a cycle of start.with: {' -> '.join(loop)}",
                "remove one of them, or write `start: none` there",
            )

    def _base(self, name: str, raw: Raw) -> BaseEntry:
        at: KeyPath = ("bases", name)
        return BaseEntry(
            extends=raw.get("extends"),
            requirements=self._required(raw, at, ""),
            variants=self._variants(raw, at, ""),
            **_of_entry(name, raw),
        )

    def _variants(self, raw: Raw, at: KeyPath, folder: str) -> tuple[VariantEntry, ...]:
        variants = []
        for name, variant in raw.get("variants", {}).items():
            path = (*at, "variants", name)
            entry = VariantEntry(
                name=name,
                python=variant.get("python"),
                torch=variant.get("torch"),
                inference=variant.get("inference"),
                precision=variant.get("precision"),
                parity=self._parity(variant, path, folder),
                requirements=self._required(variant, path, folder),
                env=pairs(variant, "env"),
                platforms=_texts(variant, "platforms"),
                budget=self._budget(variant, path),
            )
            variants.append(entry)
        return tuple(variants)

    def _service(self, name: str, raw: Raw) -> ServiceEntry:
        at: KeyPath = ("services", name)
        context = self._folder(raw, at, "context")
        folder = context or ""
        # Without a context nothing can be said about what lies in it.
        has = raw if context is not None else {}
        smoke: object = raw.get("smoke")
        required = has if isinstance(raw.get("requirements"), str) else raw
        ignore = self._included(raw, at, folder, self._ignore(context))
        build = self._build(raw, at, folder)
        secrets = self._secrets(raw, at)
        copy = self._copies(raw, at, context, secrets)
        return ServiceEntry(
            context=folder,
            base=raw.get("base"),
            requirements=self._required(required, at, folder),
            env_file=self._env_files(raw, at),
            env=pairs(raw, "env"),
            secrets=secrets,
            weights=self._weights(raw.get("weights"), (*at, "weights")),
            inference=raw.get("inference"),
            precision=raw.get("precision"),
            parity=self._parity(has, at, folder),
            start=self._start(raw, at),
            depends_on=self._order.before(name),
            smoke=self._smoke(has, at, folder),
            trivial=isinstance(smoke, dict) and _yes(smoke, "trivial"),
            verify=self._within(has, at, "verify", folder),
            reference=self._within(has, at, "reference", folder),
            budget=self._budget(raw, at),
            dockerfile=self._root_file(raw, at, "dockerfile"),
            target=raw.get("target", ""),
            include=_texts(raw, "include"),
            contexts=self._contexts(raw, at),
            args=pairs(raw, "args"),
            labels=pairs(raw, "labels"),
            platforms=_texts(raw, "platforms"),
            shell=_yes(raw, "shell"),
            build=build,
            copy=copy,
            variants=self._variants(raw, at, folder),
            ignore=ignore,
            **_of_entry(name, raw),
            **_of_container(raw),
        )

    def _smoke(self, raw: Raw, at: KeyPath, folder: str) -> str | None:
        """The file of `smoke`, which is written alone or in a mapping."""
        smoke = raw.get("smoke")
        if isinstance(smoke, dict):
            return self._within(smoke, (*at, "smoke"), "file", folder)
        return self._within(raw, at, "smoke", folder)

    def _required(self, raw: Raw, at: KeyPath, folder: str) -> Requirements:
        """What a base, a service or a variant requires."""
        written = raw.get("requirements")
        if written is None:
            return Requirements()
        requirements = self._requirements.read(written, (*at, "requirements"), folder)
        variant = at[3] if len(at) > 2 else None
        for name, python in self._pythons[at[:2]].items():
            if variant in (None, name):
                self._refuse_python(requirements, python)
        return requirements

    def _refuse_python(self, requirements: Requirements, python: Chosen) -> None:
        """Report the projects that are not for a version of Python."""
        for project in requirements.pythons:
            if not allows(project.versions, python.value):
                where = f"{dotted_path(python.path)} ({self._report.where(python.path)})"
                self._report.elsewhere(
                    project.file,
                    Position(project.line, project.column),
                    f"it is for Python {project.versions}, and {where} says {python.value}",
                    "change `python:` there, or what the project supports",
                )

    def _folder(self, raw: Raw, at: KeyPath, key: str) -> str | None:
        return self._path(raw, at, key, self._repository.folder)

    def _root_file(self, raw: Raw, at: KeyPath, key: str) -> str | None:
        return self._path(raw, at, key, self._repository.file)

    def _path(self, raw: Raw, at: KeyPath, key: str, find: Callable[[str], str]) -> str | None:
        """What the repository has under this key; None without the key, or where it is refused."""
        if key not in raw:
            return None
        try:
            return find(raw[key])
        except RefusedError as error:
            self._report.value((*at, key), error.message, error.hint)
            return None

    def _ci(self, raw: Raw) -> Ci | None:
        if "ci" not in raw:
            return None
        ci: Raw = raw["ci"]
        if "://" not in ci.get("slimbake", ""):
            self._root_file(ci, ("ci",), "slimbake")
        return Ci(**{**ci, "runners": pairs(ci, "runners")})

    def _within(self, raw: Raw, at: KeyPath, key: str, context: str) -> str | None:
        """A file in the context, as a path relative to the context."""

        def find(written: str) -> str:
            file = self._repository.file(written, context)
            prefix = "" if context == "." else f"{context}/"
            if file.startswith(prefix):
                return once(file[len(prefix) :])
            raise RefusedError(
                f"'{written}' lies outside the context '{context}'",
                "it is built with the context: move it in",
            )

        return self._path(raw, at, key, find)

    def _secrets(self, raw: Raw, at: KeyPath) -> tuple[Secret, ...]:
        secrets = []
        for id_, secret in raw.get("secrets", {}).items():
            if "env" in secret:
                secrets.append(Secret(id_, "env", secret["env"]))
            elif "file" in secret:
                secrets.append(self._file_secret(id_, secret, (*at, "secrets", id_)))
        return tuple(secrets)

    def _file_secret(self, id_: str, raw: Raw, at: KeyPath) -> Secret:
        name: str = raw["file"]
        if not name.isprintable():
            message = "the name of this file holds what cannot be printed"
            hint = "buildx reads it only up to a line's end: rename the file"
            self._report.value((*at, "file"), message, hint)
        return Secret(id_, "file", self._path(raw, at, "file", self._repository.inside) or name)

    def _build(self, raw: Raw, at: KeyPath, service: str) -> tuple[BuildStep, ...]:
        steps = []
        for index, step in enumerate(raw.get("build", ())):
            if step:
                steps.append(self._step(step, (*at, "build", index), service))
        return tuple(steps)

    def _step(self, raw: Raw, at: KeyPath, service: str) -> BuildStep:
        """One step of `build`. `service`: the service's own context."""
        folder = service
        if "context" in raw:
            folder = self._folder(raw, at, "context") or ""
        below = ""
        if folder and (service == "." or folder.startswith(f"{service}/")):
            below = posixpath.relpath(folder, service)
        outputs = filter(None, raw.get("outputs", ()))
        return BuildStep(
            run=_texts(raw, "run"),
            outputs=tuple(map(posixpath.normpath, outputs)),
            image=raw.get("image", ""),
            context=folder,
            below=below,
            network=_yes(raw, "network"),
            secrets=_texts(raw, "secrets"),
            env=pairs(raw, "env"),
        )

    def _copies(
        self, raw: Raw, at: KeyPath, context: str | None, secrets: tuple[Secret, ...]
    ) -> tuple[FileCopy, ...]:
        copies = []
        for index, entry in enumerate(raw.get("copy", ())):
            if entry:
                copies.append(self._copy(entry, (*at, "copy", index), context, secrets))
        return tuple(copies)

    def _copy(
        self, raw: Raw, at: KeyPath, context: str | None, secrets: tuple[Secret, ...]
    ) -> FileCopy:
        origin: Raw = raw.get("from") or {}
        source: str = posixpath.normpath(raw.get("source") or "/")
        if "from" not in raw and context is not None and not source.startswith("/"):
            try:
                source = self._in_context(source, context)
            except RefusedError as error:
                self._report.value((*at, "source"), error.message, error.hint)
        stage = None
        if "dockerfile" in origin:
            stage = self._stage(origin, (*at, "from"), secrets)
        to: str = raw.get("to", "")
        place = posixpath.normpath(to)
        if to.endswith("/"):
            place += "/"
        return FileCopy(
            source=source,
            to=place,
            image=origin.get("image", ""),
            stage=stage,
        )

    def _stage(self, raw: Raw, at: KeyPath, secrets: tuple[Secret, ...]) -> OwnStage:
        dockerfile = self._root_file(raw, at, "dockerfile") or ""
        context = self._folder(raw, at, "context")
        return OwnStage(
            dockerfile=dockerfile,
            context=context or posixpath.dirname(dockerfile) or ".",
            target=raw.get("target", ""),
            args=pairs(raw, "args"),
            secrets=tuple(secret for secret in secrets if secret.id in raw.get("secrets", ())),
        )

    def _env_files(self, raw: Raw, at: KeyPath) -> tuple[str, ...]:
        """Paths inside the repository. Whether the files exist matters only to what starts containers."""
        paths = []
        for index, written in enumerate(raw.get("env_file", ())):
            if written is None:  # reported by the schema
                continue
            try:
                paths.append(self._repository.inside(written))
            except RefusedError as error:
                self._report.value((*at, "env_file", index), error.message, error.hint)
        return tuple(paths)

    def _weights(self, raw: Raw | None, at: KeyPath) -> WeightsEntry | None:
        if not raw:
            return None
        if not self._report.has_value(at):
            if "package" in raw and "path" in raw:
                message = "only one of package and path can hold"
                self._report.value(at, message, "remove the other")
            elif "package" not in raw and "path" not in raw:
                hint = "add `package: NAME` or `path: FOLDER`"
                self._report.value(at, "it names no model", hint)
        mount = raw.get("mount", "layer")
        if "package" in raw:
            return WeightsEntry("package", raw["package"], mount)
        folder = self._folder(raw, at, "path")
        if folder is None:
            return None
        return WeightsEntry("path", folder, mount)

    def _start(self, raw: Raw, at: KeyPath) -> StartCheck | None:
        start = raw.get("start")
        if not start:
            return None
        if isinstance(start, list):
            return StartCheck("runs", tuple(start))
        if not isinstance(start, dict):
            return StartCheck(start)
        compose = own_compose(self._file.parent)
        images = compose.services - compose.built
        beside: list[str] = []
        fleet: dict[str, None] = {}
        for index, name in enumerate(start.get("with", ())):
            if name is None:  # reported by the schema
                continue
            service = manifest_name(name)
            if name in images:
                beside.append(name)
            elif service in self._services:
                fleet[service] = None
            else:
                where = compose.name or f"a compose file beside {self._file.name}"
                message = f"'{name}' is no service of the manifest, and no image of {where}"
                hint = did_you_mean(name, {*images, *self._services})
                self._report.value((*at, "start", "with", index), message, hint)
        how: Literal["runs", "listens"] = "listens" if "port" in raw else "runs"
        return StartCheck(how, beside=tuple(beside), fleet=tuple(fleet), env=pairs(start, "env"))

    def _parity(self, raw: Raw, at: KeyPath, folder: str) -> Parity | None:
        parity = raw.get("parity")
        if not parity:
            return None
        path = (*at, "parity")
        texts = self._root_file(parity, path, "texts") or ""
        return Parity(self._within(parity, path, "check", folder) or "", texts, limits(parity))

    def _budget(self, raw: Raw, at: KeyPath) -> Budget:
        sizes: dict[str, int] = {}
        for key, written in raw.get("budget", {}).items():
            try:
                sizes[key] = size(written)
            except RefusedError as error:
                self._report.value((*at, "budget", key), error.message, error.hint)
        return once(Budget(**sizes))

    def _contexts(self, raw: Raw, at: KeyPath) -> Pairs:
        contexts: Raw = raw.get("contexts", {})
        values = []
        for name, value in contexts.items():
            if folder_context(value):
                value = self._folder(contexts, (*at, "contexts"), name) or ""
            values.append((name, value))
        return tuple(values)

    def _included(
        self, raw: Raw, at: KeyPath, context: str, ignore: tuple[str, ...]
    ) -> tuple[str, ...]:
        """The patterns that leave out what `include` does not name, and what they left out before."""
        included = []
        for index, written in enumerate(raw.get("include", ())):
            if written is None:  # reported by the schema
                continue
            try:
                included.append(self._in_context(written, context))
            except RefusedError as error:
                self._report.value((*at, "include", index), error.message, error.hint)
        return only(included, ignore) if included else ignore

    def _in_context(self, written: str, context: str) -> str:
        """A path that is there, relative to the context. Raises RefusedError."""
        path = self._repository.inside(f"{context or '.'}/{written}")
        if not self._repository.exists(path):
            raise RefusedError(f"the context '{context}' has no '{written}'")
        relative = posixpath.relpath(path, context or ".")
        if relative.startswith(".."):
            raise RefusedError(f"'{written}' lies outside the context '{context}'")
        return relative

    def _ignore(self, context: str | None) -> tuple[str, ...]:
        """The patterns of the context's own .dockerignore, without comments and empty lines."""
        if context is None:
            return ()
        file = posixpath.normpath(f"{context}/.dockerignore")
        if not self._repository.exists(file):
            return ()
        try:
            text = self._repository.read(self._repository.file(file), LARGEST)
        except RefusedError as error:
            self._report.elsewhere(file, error.place, error.message, error.hint)
            return ()
        lines = (line.strip() for line in lines_of(text))
        return tuple(line for line in lines if line and not line.startswith("#"))


def _of_entry(name: str, raw: Raw) -> dict[str, Any]:
    """What a base and a service both say, but for files."""
    return {
        "name": name,
        "python": raw.get("python"),
        "image": raw.get("from", ""),
        "torch": raw.get("torch"),
        "system": _texts(raw, "system"),
        "wheels": _texts(raw.get("wheels", {}), "system"),
        "optimize": _truth(raw, "optimize"),
        "removal": once(Removal(_texts(raw, "remove"), _texts(raw, "keep"))),
        "bytecode": _bytecode(raw.get("bytecode")),
    }


def _of_container(raw: Raw) -> dict[str, Any]:
    """How a service's container runs, but for files."""
    values: dict[str, Any] = {
        "port": raw.get("port"),
        "publish": raw.get("publish"),
        "workdir": raw.get("workdir", ""),
        "stop_signal": raw.get("stop_signal", ""),
        "up": raw.get("up") != TRUTH[1],
        "volumes": pairs(raw, "volumes"),
        "environment": pairs(raw, "environment"),
        "healthcheck": _healthcheck(raw.get("healthcheck")),
    }
    for key in ("entrypoint", "command", "expose", "tmpfs", "cap_add"):
        values[key] = _texts(raw, key)
    user = raw.get("user", "")
    values["user"] = f"{user}:{user}" if user and ":" not in user else user
    return values


def _healthcheck(value: Any) -> Healthcheck | None:
    if value is None:
        return None
    if isinstance(value, list):
        return Healthcheck(tuple(value))
    if not isinstance(value, dict):
        return Healthcheck(off=value == TRUTH[1])
    return Healthcheck(**{**value, "test": _texts(value, "test")})


def _bytecode(value: str | list[str] | None) -> Bytecode:
    if value is None:
        return Bytecode()
    if isinstance(value, str):
        return Bytecode(of="all" if value == "all" else "none")
    return Bytecode(more=tuple(value))


def _scan(raw: Raw) -> Scan | None:
    if "scan" not in raw:
        return None
    scan: Raw = raw["scan"]
    return Scan(scan.get("with", "grype"), _texts(scan, "arguments"))


def _externals(raw: Raw) -> tuple[ExternalEntry, ...]:
    externals = []
    for name, images in raw.get("externals", {}).items():
        for version, image in images.items():
            externals.append(ExternalEntry(name, image, "" if version == "image" else version))
    return tuple(externals)


def _ages(lock: Raw) -> Pairs:
    """For how long a version has to be out: package -> time, "" for all others."""
    ages = {}
    if "cooldown" in lock:
        ages[""] = lock["cooldown"]
    for package in lock.get("except", ()):
        ages[package] = "0d"
    return tuple(ages.items())


def _indexes(lock: Raw) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Address of an index -> the packages that no other index may give."""
    indexes = []
    for address, names in lock.get("indexes", {}).items():
        indexes.append((address, tuple(normalised(name) for name in names if name)))
    return tuple(indexes)


def pairs(raw: Raw, key: str) -> Pairs:
    """A mapping of texts."""
    return once(tuple(map(once, raw.get(key, {}).items())))


def _texts(raw: Raw, key: str) -> tuple[Any, ...]:
    """A list of texts or numbers."""
    return tuple(raw.get(key, ()))


def _truth(raw: Raw, key: str) -> bool | None:
    """A switch; None where it is not written."""
    return raw[key] == TRUTH[0] if key in raw else None


def _yes(raw: Raw, key: str) -> bool:
    """Whether a switch is written as true."""
    return raw.get(key) == TRUTH[0]
