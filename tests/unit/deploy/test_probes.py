"""Healthchecks as Kubernetes has them."""

from __future__ import annotations

import yaml
from tests.unit.fleets import fleet, service

from slimbake.config.model import Healthcheck
from slimbake.deploy.probes import probes
from slimbake.plan import plan


def test_a_healthcheck_is_three_probes() -> None:
    own = Healthcheck(("python", "-m", "well"), interval="1m30s", timeout="1500ms", retries=1)
    services = (
        service("api", port=8000),
        service("job", healthcheck=own),
        service("hasty", port=1, healthcheck=Healthcheck(start_period="0s")),
        service("silent"),
        service("own", dockerfile="Dockerfile", healthcheck=own),
        service("times", dockerfile="Dockerfile", healthcheck=Healthcheck(retries=1)),
        service("off", dockerfile="Dockerfile", healthcheck=Healthcheck(off=True)),
    )
    text = probes(plan(fleet(*services)).services)
    assert "&" not in text, "no alias"
    found = yaml.safe_load(text)
    connects = {"tcpSocket": {"port": 8000}, "timeoutSeconds": 5}
    runs = {"exec": {"command": ["python", "-m", "well"]}, "timeoutSeconds": 2}
    assert found["api"] == {
        "startupProbe": {**connects, "periodSeconds": 1, "failureThreshold": 300},
        "readinessProbe": {**connects, "periodSeconds": 10, "failureThreshold": 3},
        "livenessProbe": {**connects, "periodSeconds": 10, "failureThreshold": 3},
    }
    assert found["job"]["readinessProbe"] == {**runs, "periodSeconds": 90, "failureThreshold": 1}
    assert "startupProbe" not in found["hasty"]
    assert found["own"] == found["job"]
    assert set(found) == {"api", "job", "hasty", "own"}


def test_a_fleet_without_healthchecks_has_no_probes() -> None:
    assert probes(plan(fleet(service("job"))).services) == ""
