"""Which services start before others: `depends_on`, between services of the manifest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from slimbake.config.axes import copies
from slimbake.config.compose import OwnCompose
from slimbake.config.document import KeyPath
from slimbake.config.files import ManifestFolder as Repository
from slimbake.config.model import ENDED, HEALTHY, STARTED, Pairs
from slimbake.config.report import ProblemReport, RefusedError, did_you_mean
from slimbake.config.rules import cycles
from slimbake.config.words import TRUTH
from slimbake.host.names import manifest_name

Raw = dict[str, Any]

_CHECK = re.compile(r"^[ \t]*HEALTHCHECK[ \t]+(\S+)", re.IGNORECASE | re.MULTILINE)


class _Dependency(NamedTuple):
    name: str
    condition: str  # "" = none is written
    key: KeyPath  # below the service


class Order:
    """The order in which a manifest's services start. `own`: the repository's own compose file."""

    def __init__(
        self, raw: Raw, own: OwnCompose, repository: Repository, report: ProblemReport
    ) -> None:
        self._services: Raw = raw.get("services", {})
        self._copies = frozenset(copies(raw))
        self._own, self._repository, self._report = own, repository, report

    def before(self, service: str) -> Pairs:
        """The services that one depends on, and the condition of each; of one that is not written,
        what the other's healthcheck allows.
        """
        return tuple(
            (each.name, each.condition or (HEALTHY if self._has_health(each.name) else STARTED))
            for each in self._written(service)
        )

    def named(self, name: str) -> str:
        """The manifest's service of a name that it or the compose file has; "" where there is none."""
        return next((n for n in (name, manifest_name(name)) if n in self._services), "")

    def check(self) -> None:
        """Report every service that cannot start before another, and healthchecks without a test."""
        edges: dict[str, tuple[str, ...]] = {}
        for service in self._services:
            self._healthcheck(service)
            for each in self._written(service):
                at: KeyPath = ("services", service, *each.key)
                if each.name == service:
                    self._report.value(at, "a service cannot wait for itself", "remove it")
                elif each.name not in self._services:
                    self._unknown(each.name, at)
                else:
                    edges[service] = (*edges.get(service, ()), each.name)
                    self._waits(each, at)
        for loop in cycles(edges):
            message = f"a cycle of depends_on: {' -> '.join(loop)}"
            self._report.key(("services", loop[0], "depends_on"), message, "remove one of them")

    def _written(self, service: str) -> Iterator[_Dependency]:
        said = self._services[service].get("depends_on", ())
        if isinstance(said, dict):
            for name, how in said.items():
                yield _Dependency(name, how.get("condition", ""), ("depends_on", name))
        else:
            for index, name in enumerate(said):
                if name is not None:  # else the schema has reported it
                    yield _Dependency(name, "", ("depends_on", index))

    def _unknown(self, name: str, at: KeyPath) -> None:
        """Report a name that is no service's."""
        own = self._own
        of = max(
            (each for each in self._services if name.startswith(f"{each}-")), key=len, default=""
        )
        if of and name in self._copies:
            message = f"'{name}' is a variant of '{of}'"
            hint = f"write '{of}': it stands for each variant of it that starts"
        elif name in own.built:
            message = f"{own.name} builds '{name}', and the manifest has no service of that name"
            hint = did_you_mean(name, self._services) or "add it under `services`"
        elif name in own.services:
            message = f"'{name}' is a service of {own.name}, and not of the manifest"
            hint = f"`start: {{with: [{name}]}}` starts it first"
        else:
            message = f"unknown service '{name}'"
            hint = did_you_mean(name, self._services)
        self._report.key(at, message, hint)

    def _waits(self, each: _Dependency, at: KeyPath) -> None:
        """Report what a service would wait for in vain."""
        other = self._services[each.name]
        if other.get("up") == TRUTH[1]:
            self._report.key(
                at,
                f"'{each.name}' says `up: false`, so `slimbake up` does not start it",
                f"remove that from services.{each.name}, or this",
            )
        elif "entrypoint" in other and not {"command", "port"} & other.keys():
            self._report.key(
                at,
                f"'{each.name}' takes arguments, so `slimbake up` does not start it",
                f"give services.{each.name} a `command`, or remove this",
            )
        elif each.condition == HEALTHY and other and not self._has_health(each.name):
            where = other.get("dockerfile", "")
            self._report.value(
                (*at, "condition"),
                f"'{each.name}' has no healthcheck" + (f" in {where}" if where else ""),
                f"give services.{each.name} a {'' if where else '`port` or a '}`healthcheck`"
                f", or wait for {STARTED} or {ENDED}",
            )

    def _healthcheck(self, name: str) -> None:
        """Warn of a healthcheck that only changes the image's, which has none."""
        service = self._services[name]
        own, said = service.get("dockerfile"), service.get("healthcheck", TRUTH[1])
        if own and said != TRUTH[1] and not _tests(said) and not self._asks(own):
            message = f"it has no `test`, and {own} has no HEALTHCHECK"
            hint = "say what is run: `test: [program, argument]`; or write HEALTHCHECK there"
            self._report.warning(("services", name, "healthcheck"), message, hint)

    def _has_health(self, name: str) -> bool:
        """Whether the engine asks containers of a service how they are."""
        service = self._services.get(name, {})
        said = service.get("healthcheck", TRUTH[0])
        if said == TRUTH[1]:
            return False
        if _tests(said):
            return True
        own = service.get("dockerfile")
        if own:
            return self._asks(own)
        return not self._report.lacks(service, "port", ("services", name))

    def _asks(self, dockerfile: str) -> bool:
        """Whether the image of a Dockerfile has a healthcheck: what its last one says."""
        try:
            text = self._repository.read(self._repository.file(dockerfile))
        except RefusedError:  # reported where it is named
            return False
        said = _CHECK.findall(text)
        return bool(said) and said[-1].upper() != "NONE"


def _tests(healthcheck: Any) -> bool:
    """Whether what is written says itself what is run."""
    return isinstance(healthcheck, list) or (
        isinstance(healthcheck, dict) and "test" in healthcheck
    )
