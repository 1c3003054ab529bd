"""From checked plain values to a Manifest: paths are looked up and requirements read on the way."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast

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
_IGNORE = ".dockerignore"


class Reader:
    """Turns plain values into the manifest's own; what a file makes impossible is reported."""

    def __init__(self, file: Path, report: ProblemReport) -> None:
        self._file = file
        self._report = report
        self._repository = ManifestFolder(str(file.parent))
        self._requirements = RequirementsReader(self._repository, report)

    def manifest(self, raw: Raw) -> Manifest:
        """The whole manifest; of use only when the report stays empty."""
        problems = len(self._report)
        self._services = raw.get("services", {})
        self._pythons: dict[KeyPath, dict[str, Chosen]] = {}
        for entry, variant, python in pythons(raw):
            self._pythons.setdefault(entry.path, {})[variant] = python
        self._order = Order(raw, self._report)
        self._order.check()
        locking = raw.get("lock", {})
        manifest = Manifest(
            file=self._file,
            project=raw.get("project", ""),
            python=raw.get("python", ""),
            image=raw.get("from", ""),
            registry=raw.get("registry"),
            platforms=tuple(raw.get("platforms", ())),
            layers=LayersEntry(**raw.get("layers", {})),
            torch=raw.get("torch"),
            packages=raw.get("packages"),
            lock=tuple(
                {
                    **({"": locking["cooldown"]} if "cooldown" in locking else {}),
                    **dict.fromkeys(locking.get("except", ()), "0d"),
                }.items()
            ),
            indexes=tuple(
                (address, tuple(map(normalised, names)))
                for address, names in locking.get("indexes", {}).items()
            ),
            compression=CompressionEntry(**raw.get("compression", {})),
            optimize=_truth(raw.get("optimize")),
            ci=self._ci(raw["ci"]) if "ci" in raw else None,
            scan=_scan(raw["scan"]) if "scan" in raw else None,
            externals=tuple(
                ExternalEntry(name, image, "" if version == "image" else version)
                for name, external in raw.get("externals", {}).items()
                for version, image in external.items()
            ),
            bases=tuple(self._base(name, base) for name, base in raw.get("bases", {}).items()),
            services=tuple(
                self._service(name, service) for name, service in raw.get("services", {}).items()
            ),
        )
        edges = {
            service.name: service.start.fleet for service in manifest.services if service.start
        }
        for loop in cycles(edges):
            self._report.key(
                ("services", loop[0], "start", "with"),
                f"a cycle of start.with: {' -> '.join(loop)}",
                "remove one of them, or write `start: none` there",
            )
        if len(self._report) == problems:  # otherwise a requirement that was refused may be torch
            without_export(manifest, self._report)
        return manifest

    def _base(self, name: str, raw: Raw) -> BaseEntry:
        return BaseEntry(
            name=name,
            extends=raw.get("extends"),
            python=raw.get("python"),
            image=raw.get("from", ""),
            requirements=self._required(raw, ("bases", name, "requirements"), ""),
            system=tuple(raw.get("system", ())),
            wheels=tuple(raw.get("wheels", {}).get("system", ())),
            torch=raw.get("torch"),
            optimize=_truth(raw.get("optimize")),
            removal=once(Removal(tuple(raw.get("remove", ())), tuple(raw.get("keep", ())))),
            bytecode=_bytecode(raw),
            variants=self._variants(raw, ("bases", name, "variants"), ""),
        )

    def _variants(self, raw: Raw, at: KeyPath, folder: str) -> tuple[VariantEntry, ...]:
        return tuple(
            VariantEntry(
                name=name,
                python=variant.get("python"),
                torch=variant.get("torch"),
                inference=variant.get("inference"),
                precision=variant.get("precision"),
                parity=self._parity(variant, (*at, name, "parity"), folder),
                requirements=self._required(variant, (*at, name, "requirements"), folder),
                env=pairs(variant, "env"),
                platforms=tuple(variant.get("platforms", ())),
                budget=self._budget(variant.get("budget", {}), (*at, name, "budget")),
            )
            for name, variant in raw.get("variants", {}).items()
        )

    def _service(self, name: str, raw: Raw) -> ServiceEntry:
        at: KeyPath = ("services", name)
        # Without a context nothing can be said about what lies in it.
        context = self._folder(raw, at, "context")
        has = raw if context is not None else {}
        folder = context or ""
        ignore = self._included(raw, (*at, "include"), folder, self._ignore(context))
        build = tuple(
            self._step(step, (*at, "build", index), folder)
            for index, step in enumerate(raw.get("build", ()))
            if step
        )
        secrets = tuple(
            self._secret(id_, secret, (*at, "secrets", id_))
            for id_, secret in raw.get("secrets", {}).items()
            if secret
        )
        copies = tuple(
            self._copy(written, (*at, "copy", index), secrets)
            for index, written in enumerate(raw.get("copy", ()))
            if written
        )
        return ServiceEntry(
            name=name,
            context=folder,
            base=raw.get("base"),
            python=raw.get("python"),
            image=raw.get("from", ""),
            requirements=self._required(
                has if isinstance(raw.get("requirements"), str) else raw,
                (*at, "requirements"),
                folder,
            ),
            **container(raw),
            env_file=self._env_files(raw.get("env_file", ()), (*at, "env_file")),
            env=pairs(raw, "env"),
            secrets=secrets,
            weights=self._weights(raw.get("weights"), (*at, "weights")),
            inference=raw.get("inference"),
            precision=raw.get("precision"),
            parity=self._parity(has, (*at, "parity"), folder),
            start=self._start(raw, at),
            depends_on=self._order.before(name),
            smoke=self._within(*_smoke(has, at), folder),
            trivial=_truth(_smoke(raw, at)[0].get("trivial")) is True,
            verify=self._within(has, at, "verify", folder),
            reference=self._within(has, at, "reference", folder),
            budget=self._budget(raw.get("budget", {}), (*at, "budget")),
            dockerfile=self._root_file(raw, at, "dockerfile"),
            target=raw.get("target", ""),
            include=tuple(raw.get("include", ())),
            contexts=self._contexts(raw.get("contexts", {}), (*at, "contexts")),
            args=pairs(raw, "args"),
            labels=pairs(raw, "labels"),
            platforms=tuple(raw.get("platforms", ())),
            system=tuple(raw.get("system", ())),
            shell=_truth(raw.get("shell")) is True,
            build=build,
            copy=copies,
            wheels=tuple(raw.get("wheels", {}).get("system", ())),
            optimize=_truth(raw.get("optimize")),
            removal=once(Removal(tuple(raw.get("remove", ())), tuple(raw.get("keep", ())))),
            bytecode=_bytecode(raw),
            torch=raw.get("torch"),
            variants=self._variants(raw, (*at, "variants"), folder),
            ignore=ignore,
        )

    def _required(self, raw: Raw, path: KeyPath, folder: str) -> Requirements:
        written = raw.get("requirements")
        if written is None:
            return Requirements()
        requirements = self._requirements.read(written, path, folder)
        variant = path[3] if path[2] == "variants" else None
        for name, python in self._pythons[path[:2]].items():
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
        """What the repository has under this key; None where there is none, or it was refused."""
        if key not in raw:
            return None
        try:
            return find(raw[key])
        except RefusedError as error:
            self._report.value((*at, key), error.message, error.hint)
            return None

    def _ci(self, raw: Raw) -> Ci:
        if "://" not in raw.get("slimbake", ""):
            self._root_file(raw, ("ci",), "slimbake")
        return ci(raw)

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

    def _secret(self, id_: str, raw: Raw, at: KeyPath) -> Secret:
        if "env" in raw:
            return Secret(id_, "env", raw["env"])
        name: str = raw["file"]
        if not name.isprintable():
            message = "the name of this file holds what cannot be printed"
            hint = "buildx reads it only up to a line's end: rename the file"
            self._report.value((*at, "file"), message, hint)
        try:
            name = self._repository.inside(name)
        except RefusedError as error:
            self._report.value((*at, "file"), error.message, error.hint)
        return Secret(id_, "file", name)

    def _step(self, raw: Raw, at: KeyPath, service: str) -> BuildStep:
        folder = self._folder(raw, at, "context") if "context" in raw else service
        inside = folder and folder.startswith("" if service == "." else f"{service}/")
        return BuildStep(
            run=tuple(raw.get("run", ())),
            outputs=tuple(map(posixpath.normpath, filter(None, raw.get("outputs", ())))),
            image=raw.get("image", ""),
            context=folder or "",
            below=posixpath.relpath(folder, service) if folder and inside else "",
            network=_truth(raw.get("network")) is True,
            secrets=tuple(raw.get("secrets", ())),
            env=pairs(raw, "env"),
        )

    def _copy(self, raw: Raw, at: KeyPath, secrets: tuple[Secret, ...]) -> FileCopy:
        origin: Raw = raw.get("from") or {}
        stage = None
        if "dockerfile" in origin:
            stage = self._stage(origin, (*at, "from"), secrets)
        to: str = raw.get("to", "")
        return FileCopy(
            source=posixpath.normpath(raw.get("source", "")),
            to=posixpath.normpath(to) + "/" * to.endswith("/"),
            image=origin.get("image", ""),
            stage=stage,
        )

    def _stage(self, raw: Raw, at: KeyPath, secrets: tuple[Secret, ...]) -> OwnStage:
        dockerfile = self._root_file(raw, at, "dockerfile") or ""
        context = self._folder(raw, at, "context") if "context" in raw else None
        return OwnStage(
            dockerfile=dockerfile,
            context=context or posixpath.dirname(dockerfile) or ".",
            target=raw.get("target", ""),
            args=pairs(raw, "args"),
            secrets=tuple(secret for secret in secrets if secret.id in raw.get("secrets", ())),
        )

    def _env_files(self, raw: list[str | None], at: KeyPath) -> tuple[str, ...]:
        """Inside the repository; whether they are there is for those to ask who start containers."""
        paths = []
        for index, written in enumerate(raw):
            if written is None:  # reported by the schema
                continue
            try:
                paths.append(self._repository.inside(written))
            except RefusedError as error:
                self._report.value((*at, index), error.message, error.hint)
        return tuple(paths)

    def _weights(self, raw: Raw | None, at: KeyPath) -> WeightsEntry | None:
        if not raw:
            return None
        sources = [key for key in ("package", "path") if key in raw]
        if len(sources) != 1 and not self._report.has_value(at):
            message = (
                f"only one of {' and '.join(sources)} can hold" if sources else "it names no model"
            )
            hint = "remove the other" if sources else "add `package: NAME` or `path: FOLDER`"
            self._report.value(at, message, hint)
        if "package" in raw:
            return WeightsEntry("package", raw["package"], raw.get("mount", "layer"))
        folder = self._folder(raw, at, "path")
        if folder is None:
            return None
        return WeightsEntry("path", folder, raw.get("mount", "layer"))

    def _start(self, raw: Raw, at: KeyPath) -> StartCheck | None:
        start = raw.get("start")
        if not isinstance(start, dict):
            return _start(start)
        compose = own_compose(self._file.parent)
        beside: list[str] = []
        fleet: list[str] = []
        for index, name in enumerate(start.get("with", ())):
            if name in compose.services - compose.built:
                beside.append(name)
            elif (ours := manifest_name(name)) in self._services:
                fleet.append(ours)
            else:
                where = compose.name or f"a compose file beside {self._file.name}"
                message = f"'{name}' is no service of the manifest, and no image of {where}"
                hint = did_you_mean(name, {*compose.services - compose.built, *self._services})
                self._report.value((*at, "start", "with", index), message, hint)
        how: Literal["runs", "listens"] = "listens" if "port" in raw else "runs"
        return StartCheck(
            how, beside=tuple(beside), fleet=tuple(dict.fromkeys(fleet)), env=pairs(start, "env")
        )

    def _parity(self, raw: Raw, at: KeyPath, folder: str) -> Parity | None:
        parity = raw.get("parity")
        if not parity:
            return None
        texts = self._root_file(parity, at, "texts") or ""
        return Parity(self._within(parity, at, "check", folder) or "", texts, limits(parity))

    def _budget(self, raw: Raw, at: KeyPath) -> Budget:
        limits: dict[str, Any] = {}
        for key, written in raw.items():
            try:
                limits[key] = size(written)
            except RefusedError as error:
                self._report.value((*at, key), error.message, error.hint)
        return once(Budget(**limits))

    def _contexts(self, raw: Raw, at: KeyPath) -> Pairs:
        contexts = []
        for name, written in raw.items():
            value = written
            if folder_context(written):
                value = self._folder(raw, at, name) or ""
            contexts.append((name, value))
        return tuple(contexts)

    def _included(
        self, raw: Raw, at: KeyPath, context: str, ignore: tuple[str, ...]
    ) -> tuple[str, ...]:
        """The patterns that leave out what `include` does not name, and what they left out before."""
        included = []
        for index, written in enumerate(raw.get("include", ())):
            try:
                path = self._repository.inside(f"{context or '.'}/{written}")
                if not self._repository.exists(path):
                    raise RefusedError(f"the context '{context}' has no '{written}'")
                if posixpath.relpath(path, context or ".").startswith(".."):
                    raise RefusedError(f"'{written}' lies outside the context '{context}'")
                included.append(posixpath.relpath(path, context or "."))
            except RefusedError as error:
                self._report.value((*at, index), error.message, error.hint)
        return only(included, ignore) if included else ignore

    def _ignore(self, context: str | None) -> tuple[str, ...]:
        """The patterns of the context's own .dockerignore, without comments and empty lines."""
        if context is None:
            return ()
        file = _IGNORE if context == "." else f"{context}/{_IGNORE}"
        if not self._repository.exists(file):
            return ()
        try:
            text = self._repository.read(self._repository.file(file), LARGEST)
        except RefusedError as error:
            self._report.elsewhere(file, getattr(error, "place", None), error.message, error.hint)
            return ()
        lines = (line.strip() for line in lines_of(text))
        return tuple(line for line in lines if line and not line.startswith("#"))


def _scan(raw: Raw) -> Scan:
    return Scan(raw.get("with", "grype"), tuple(raw.get("arguments", ())))


def ci(raw: Raw) -> Ci:
    return Ci(
        provider=raw.get("provider"),
        runners=pairs(raw, "runners"),
        branch=raw.get("branch", "main"),
        cache=raw.get("cache"),
        upgrade=raw.get("upgrade", ""),
        slimbake=raw.get("slimbake", ""),
        sign=raw.get("sign", "none"),
    )


_LISTS = ("entrypoint", "command", "expose", "tmpfs", "cap_add")


def container(raw: Raw) -> dict[str, Any]:
    """How a service's container runs, but for files."""
    user, health = raw.get("user", ""), raw.get("healthcheck")
    return {
        **{key: tuple(raw.get(key, ())) for key in _LISTS},
        **{key: raw.get(key, "") for key in ("workdir", "stop_signal")},
        **{key: raw.get(key) for key in ("port", "publish")},
        "up": _truth(raw.get("up")) is not False,
        "volumes": pairs(raw, "volumes"),
        "environment": pairs(raw, "environment"),
        "user": f"{user}:{user}" if user and ":" not in user else user,
        "healthcheck": None if health is None else healthcheck(health),
    }


def healthcheck(value: Any) -> Healthcheck:
    if isinstance(value, list):
        return Healthcheck(tuple(value))
    if not isinstance(value, dict):
        return Healthcheck(off=not _truth(value))
    return Healthcheck(**{**value, "test": tuple(value.get("test", ()))})


def pairs(raw: Raw, key: str) -> Pairs:
    return once(tuple(map(once, raw.get(key, {}).items())))


def _bytecode(raw: Raw) -> Bytecode:
    written = raw.get("bytecode")
    if written is None:
        return Bytecode()
    if isinstance(written, str):
        return Bytecode(of="all" if written == "all" else "none")
    return Bytecode(more=tuple(written))


def _truth(value: Any) -> bool | None:
    return None if value is None else value == TRUTH[0]


def _smoke(raw: Raw, at: KeyPath) -> tuple[Raw, KeyPath, str]:
    """Where a service names its smoke: what holds the file, its place, and the file's key."""
    smoke = raw.get("smoke")
    return (smoke, (*at, "smoke"), "file") if isinstance(smoke, dict) else (raw, at, "smoke")


def _start(value: str | list[str] | None) -> StartCheck | None:
    if isinstance(value, list):
        return StartCheck("runs", tuple(value))
    return StartCheck(cast('Literal["runs", "listens", "none"]', value)) if value else None
