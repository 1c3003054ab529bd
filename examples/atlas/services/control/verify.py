"""What must hold of the running control: it tells the state of each service as it is now, and waits
for none.
"""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

NAMES = ("api", "größe", "slow", "wrong", "broken", "text")


def verify(service: Any) -> None:
    behind = {name: service.upstream(Health(name)) for name in NAMES}
    service.env["SERVICES"] = ", ".join(f"{name}={each.url}/" for name, each in behind.items())
    assert service.get("/health").json() == {"status": "ok", "service": "control"}
    described = service.get("/openapi.json").json()["paths"]
    routes = {f"{method} {path}" for path, methods in described.items() for method in methods}
    assert routes == {"get /health", "get /status", "get /ready", "get /metrics"}, routes
    all_are_up(service)
    asks_at_its_own_paths(behind)
    tells_what_is_wrong(service, behind)
    waits_for_none(service, behind)
    all_are_up(service)
    answers_many(service)
    failed(service.get("/nowhere"), 404, "not_found")
    failed(service.post("/status", {}), 405, "method_not_allowed")
    reads_its_settings(service)


class Health:
    """Stands for a service that is healthy, until a check says otherwise."""

    def __init__(self, name: str) -> None:
        self.healthy = {"status": "ok", "service": name}
        self.answer: Any = self.healthy
        self.seconds = 0.0

    def __call__(self, method: str, path: str, body: Any) -> Any:
        time.sleep(self.seconds)
        return self.answer


def all_are_up(service: Any) -> None:
    status = service.get("/status").json()["services"]
    assert list(status) == list(NAMES), "in their order"
    for name, found in status.items():
        assert (found["up"], found["detail"]) == (True, "ok") and 0 < found["latency_ms"] < 3_000, (
            name,
            found,
        )
    ready = service.get("/ready")
    assert (ready.status, ready.json()) == (200, {"ready": True}), ready.text
    up, latency = metrics(service)
    assert up == dict.fromkeys(NAMES, 1.0), up
    assert set(latency) == set(NAMES) and all(0 < seconds < 3 for seconds in latency.values()), (
        latency
    )


def metrics(service: Any) -> tuple[dict[str, float], dict[str, float]]:
    answer = service.get("/metrics")
    assert answer.status == 200 and answer.headers["content-type"].startswith(
        "text/plain; version="
    ), answer.headers
    lines = answer.text.splitlines()
    names = ("atlas_service_up", "atlas_service_latency_seconds")
    assert all(
        f"# TYPE {name} gauge" in lines and answer.text.count(f"# HELP {name} ") == 1
        for name in names
    )
    up, latency = (
        {
            label: float(value)
            for label, value in re.findall(rf'(?m)^{name}{{service="(.*)"}} (\S+)$', answer.text)
        }
        for name in names
    )
    assert len(up) + len(latency) == sum(not line.startswith("#") for line in lines), lines
    return up, latency


def asks_at_its_own_paths(behind: dict[str, Any]) -> None:
    for upstream in behind.values():
        assert {(asked.method, asked.path) for asked in upstream.asked} == {("GET", "/health")}, (
            upstream.asked
        )


def tells_what_is_wrong(service: Any, behind: dict[str, Any]) -> None:
    behind["größe"].down()
    behind["wrong"].answer.answer = {"status": "ok", "service": "another"}
    behind["broken"].answer.answer = 500, {}
    behind["text"].answer.answer = 200, b"ok"
    status = service.get("/status").json()["services"]
    details = {name: found["detail"] for name, found in status.items() if not found["up"]}
    assert set(details) == {"größe", "wrong", "broken", "text"}, status
    assert (
        details["wrong"] == "the service at this address is 'another'"
        and details["broken"] == "answered 500"
    )
    assert details["text"] == "answered no JSON object" and details["größe"], details
    not_ready = service.get("/ready")
    failed(not_ready, 503, "not_ready")
    told = not_ready.json()["error"]["message"]
    assert (
        all(f"{name} ({detail})" in told for name, detail in details.items()) and "api" not in told
    ), told
    up, latency = metrics(service)
    assert up == {name: float(name not in details) for name in NAMES}, up
    assert set(latency) == {"api", "slow"}, "how long one waited in vain is no latency"
    behind["größe"].up()
    for name in ("wrong", "broken", "text"):
        behind[name].answer.answer = behind[name].answer.healthy


def waits_for_none(service: Any, behind: dict[str, Any]) -> None:
    behind["slow"].answer.seconds = 6.0
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        health, status = pool.map(service.get, ("/health", "/status"))
    assert 2 < time.monotonic() - began < 5
    assert health.status == 200
    slow = status.json()["services"].pop("slow")
    assert slow["up"] is False and slow["detail"] == "no answer within 3 s", slow
    behind["slow"].answer.seconds = 0.0


def answers_many(service: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(service.get, ["/ready", "/status", "/metrics"] * 8))
    assert {answer.status for answer in answers} == {200}, "at once"


def reads_its_settings(service: Any) -> None:
    service.env["SERVICES"] = "one=http://127.0.0.1:9"
    service.restart()
    assert list(service.get("/status").json()["services"]) == ["one"]
    for wrong in ("nonsense", "a=ftp://there", "a=http://b,a=http://c", "", ","):
        service.env["SERVICES"] = wrong
        ended = service.run()
        assert ended.code != 0 and "SERVICES: " in ended.stderr, (wrong, ended)


def failed(answer: Any, status: int, code: str) -> None:
    assert answer.status == status, answer.text
    error = answer.json()["error"]
    assert (error["service"], error["code"]) == ("control", code), answer.text
