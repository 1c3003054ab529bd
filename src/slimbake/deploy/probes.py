"""Healthchecks for readers of OCI images, who do not read the image's own: probes of Kubernetes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from slimbake.config.model import Healthcheck
from slimbake.fleet.resolve import connects
from slimbake.plan.model import Running
from slimbake.render.documents import document

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def probes(services: Iterable[Running]) -> str:
    """The probes of each service whose healthcheck the manifest has, as YAML for its container."""
    found = {
        each.service: _probes(each, each.healthcheck)
        for each in services
        if each.healthcheck and each.healthcheck.test
    }
    return document(found) if found else ""


def _probes(service: Running, health: Healthcheck) -> dict[str, Any]:
    asks: dict[str, Any] = {"exec": {"command": list(health.test)}}
    if service.port and health.test == connects(service.port):
        asks = {"tcpSocket": {"port": service.port}}
    asks["timeoutSeconds"] = _seconds(health.timeout)

    def probe(every: int, failures: int) -> dict[str, Any]:
        return {**asks, "periodSeconds": every, "failureThreshold": failures}

    steady = (_seconds(health.interval), health.retries)
    starting = _seconds(health.start_period, least=0)
    return {
        **({"startupProbe": probe(1, starting)} if starting else {}),
        "readinessProbe": probe(*steady),
        "livenessProbe": probe(*steady),
    }


def _seconds(duration: str, least: int = 1) -> int:
    """Whole seconds, as Kubernetes has them."""
    parts = re.findall(r"([0-9]+)(ms|s|m|h)", duration)
    return max(least, math.ceil(sum(int(number) * _UNITS[unit] for number, unit in parts)))
