"""Which services start before others: `depends_on`, between services of the manifest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from slimbake.config.document import KeyPath
from slimbake.config.model import ENDED, HEALTHY, STARTED, Pairs
from slimbake.config.report import ProblemReport, did_you_mean
from slimbake.config.rules import cycles
from slimbake.config.words import TRUTH

Raw = dict[str, Any]


class _Dependency(NamedTuple):
    name: str
    condition: str  # "" = none is written
    key: KeyPath  # below the service


class Order:
    """The order in which a manifest's services start."""

    def __init__(self, raw: Raw, report: ProblemReport) -> None:
        self._services: Raw = raw.get("services", {})
        self._report = report

    def before(self, service: str) -> Pairs:
        """The services that one depends on, and the condition of each; of one that is not written,
        what the other's healthcheck allows.
        """
        conditions = []
        for dependency in self._written(service):
            condition = dependency.condition
            if not condition:
                condition = HEALTHY if self._has_health(dependency.name) else STARTED
            conditions.append((dependency.name, condition))
        return tuple(conditions)

    def check(self) -> None:
        """Report every service that cannot start before another."""
        edges: dict[str, tuple[str, ...]] = {}
        for service in self._services:
            others = []
            for dependency in self._written(service):
                at: KeyPath = ("services", service, *dependency.key)
                if dependency.name == service:
                    self._report.value(at, "a service cannot wait for itself", "remove it")
                elif dependency.name not in self._services:
                    self._unknown(dependency.name, at)
                else:
                    others.append(dependency.name)
                    self._waits(dependency, at)
            edges[service] = tuple(others)
        for loop in cycles(edges):
            message = f"a cycle of depends_on: {' -> '.join(loop)}"
            self._report.key(("services", loop[0], "depends_on"), message, "remove one of them")

    def _unknown(self, name: str, at: KeyPath) -> None:
        alternative = f"of your compose file? `start: {{with: [{name}]}}` starts it, too"
        hint = f"{did_you_mean(name, self._services)}\n{alternative}".lstrip()
        self._report.key(at, f"the manifest has no service '{name}'", hint)

    def _written(self, service: str) -> Iterator[_Dependency]:
        dependencies = self._services[service].get("depends_on", ())
        if isinstance(dependencies, dict):
            for name, how in dependencies.items():
                yield _Dependency(name, how.get("condition", ""), ("depends_on", name))
        else:
            for index, name in enumerate(dependencies):
                if name is not None:  # else the schema has reported it
                    yield _Dependency(name, "", ("depends_on", index))

    def _waits(self, dependency: _Dependency, at: KeyPath) -> None:
        """Report what a service would wait for in vain."""
        name = dependency.name
        other = self._services[name]
        if other.get("up") == TRUTH[1]:
            message = f"'{name}' says `up: false`, so `slimbake up` does not start it"
            self._report.key(at, message, f"remove that from services.{name}, or this")
            return
        if dependency.condition != HEALTHY or not other or self._may_have_health(name):
            return
        fix = f"give services.{name} a `healthcheck`, or wait for {STARTED} or {ENDED}"
        self._report.value((*at, "condition"), f"'{name}' has no healthcheck", fix)

    def _may_have_health(self, name: str) -> bool:
        """Whether the engine asks them, or may: a Dockerfile of its own may say how."""
        service = self._services[name]
        if "dockerfile" in service and service.get("healthcheck") != TRUTH[1]:
            return True
        return self._has_health(name)

    def _has_health(self, name: str) -> bool:
        """Whether the engine asks containers of a service how they are, by what the manifest says."""
        service = self._services.get(name, {})
        healthcheck = service.get("healthcheck", TRUTH[0])
        if healthcheck == TRUTH[1]:
            return False
        if isinstance(healthcheck, list):
            return True
        if isinstance(healthcheck, dict) and "test" in healthcheck:
            return True
        if "dockerfile" in service:
            return False
        return not self._report.lacks(service, "port", ("services", name))
