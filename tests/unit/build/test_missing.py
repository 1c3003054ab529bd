"""What a registry has of a fleet by fingerprint, and what counts as missing when it misbehaves in
each of its ways.
"""

from __future__ import annotations

import datetime
import email.utils
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from slimbake.build.missing import Found, missing
from tests.unit.fleets import fleet, service
from tests.unit.registries import ACCOUNT, IDENTITY, Fault, Registry, registry, waits
from tests.unit.registry.test_registry import log_in

from slimbake.build.released import released, tag
from slimbake.config.model import BaseEntry, Budget, Parity, WeightsEntry
from slimbake.plan import plan
from slimbake.registry.address import Endpoint
from slimbake.registry.documents import INDEX, MANIFEST
from slimbake.registry.errors import RegistryError
from slimbake.registry.session import Host

IMAGE: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": MANIFEST,
    "layers": [],
    "config": {"digest": "sha256:0"},
}
FINGERPRINT = "sha256:" + "5" * 64
TAG = "fp-" + "5" * 40


@pytest.fixture(autouse=True)
def slept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited between tries, without waiting; and no account of whoever runs this."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return waits(monkeypatch)


def ask(server: Registry, *names: str, seconds: float = 600) -> tuple[tuple[Found, ...], list[str]]:
    """What is found of services whose fingerprints are all the same, and what is said."""
    said: list[str] = []
    made = plan(fleet(*(service(name) for name in names or ("b",))))
    known = dict.fromkeys(names or ("b",), FINGERPRINT)
    return (
        missing(made, names or ("b",), known, f"{server.name}/a", said.append, seconds=seconds),
        said,
    )


def faulty(server: Registry, *faults: Fault, method: str = "HEAD") -> None:
    server.faults[method] = iter(faults)


def test_what_has_the_tag_is_held_and_all_else_is_absent() -> None:
    with registry() as server:
        digest = server.put(TAG, INDEX, {"mediaType": INDEX, "manifests": []})
        assert ask(server) == ((Found("b", "held", digest),), [])
        server.manifests.clear()
        assert ask(server) == ((Found("b", "absent"),), [])


def test_a_service_costs_one_head_and_one_without_a_fingerprint_nothing() -> None:
    with registry() as server:
        made = plan(fleet(service("one"), service("two"), service("own")))
        found = missing(
            made,
            ("two", "own", "one"),
            {"one": FINGERPRINT, "two": FINGERPRINT},
            server.name,
            print,
        )
        assert sorted(server.asked) == [
            "GET /v2/",
            f"HEAD /v2/one/manifests/{TAG}",
            f"HEAD /v2/two/manifests/{TAG}",
        ]
    assert found == (Found("two", "absent"), Found("own", "absent"), Found("one", "absent"))


def test_nothing_to_ask_for_asks_nobody() -> None:
    assert missing(plan(fleet(service("own"))), ("own",), {}, "127.0.0.1:1", print) == (
        Found("own", "absent"),
    )


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault(401), "answers 401"),
        (Fault(403), "answers 403"),
        (Fault(400), "answers 400"),
        (Fault(200, {"Content-Type": "text/html"}, b"<html>sign in"), "answers with no manifest"),
        (Fault(200, {}), "answers with no manifest"),
        (Fault(204, {"Content-Type": MANIFEST}), "answers with no manifest"),
        (Fault(200, {"Content-Type": MANIFEST}), "gives no digest"),
        (
            Fault(200, {"Content-Type": MANIFEST, "Docker-Content-Digest": "sha256:0"}),
            "gives no digest",
        ),
        (
            Fault(200, {"Content-Type": MANIFEST, "Docker-Content-Digest": f"md5:{'0' * 64}"}),
            "gives no digest",
        ),
        (Fault(401, {"WWW-Authenticate": "Bearer"}), "answers what cannot be read"),
        (
            Fault(401, {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/"'}),
            "cannot be reached",
        ),
    ],
)
def test_an_answer_that_says_neither_is_a_doubt_and_is_asked_for_once(
    fault: Fault, why: str
) -> None:
    with registry() as server:
        faulty(server, fault)
        found, said = ask(server)
        assert server.asked.count(f"HEAD /v2/a/b/manifests/{TAG}") == 1
    assert found == (Found("b", "doubt", why=why),)
    assert said == [f"built to be sure: b: the registry {why}"]


@pytest.mark.parametrize("status", [429, 500, 501, 502, 503, 504])
def test_a_bad_moment_is_waited_for(status: int, slept: list[float]) -> None:
    with registry() as server:
        digest = server.put(TAG, MANIFEST, IMAGE)
        faulty(server, Fault(status), Fault(status), Fault(status))
        assert ask(server) == ((Found("b", "held", digest),), [])
    assert all(low <= seconds <= low + 0.5 for low, seconds in zip((1, 2), slept, strict=True))


def test_a_connection_that_is_cut_is_made_again() -> None:
    with registry() as server:
        digest = server.put(TAG, MANIFEST, IMAGE)
        faulty(server, Fault(how="cut"))
        assert ask(server) == ((Found("b", "held", digest),), [])


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault(500), "answers 500"),
        (Fault(429), "answers 429"),
        (Fault(how="cut"), "cannot be reached"),
    ],
)
def test_a_bad_moment_that_does_not_pass_is_a_doubt(
    fault: Fault, why: str, slept: list[float]
) -> None:
    with registry() as server:
        server.faults["HEAD"] = itertools.repeat(fault)
        assert ask(server)[0] == (Found("b", "doubt", why=why),)
    assert len(slept) == 2, "at once, and then after two pauses"


def header(after: str | int) -> str:
    """What Retry-After says: a number of seconds as it is, or the time in so many seconds from now."""
    if isinstance(after, str):
        return after
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=after)
    return email.utils.format_datetime(when, usegmt=True)


@pytest.mark.parametrize("after", ["7", 7])
def test_who_is_told_when_to_come_back_comes_back_then(
    after: str | int, slept: list[float]
) -> None:
    with registry() as server:
        digest = server.put(TAG, MANIFEST, IMAGE)
        faulty(server, Fault(429, {"Retry-After": header(after)}))
        assert ask(server)[0] == (Found("b", "held", digest),)
    assert slept
    assert all(0 < seconds <= 7.5 for seconds in slept)
    assert isinstance(after, int) or slept[0] >= 7


@pytest.mark.parametrize("after", ["3600", 3600, "9" * 400])
def test_who_is_told_to_come_back_much_later_does_not(after: str | int, slept: list[float]) -> None:
    with registry() as server:
        faulty(server, Fault(429, {"Retry-After": header(after)}))
        assert ask(server)[0] == (Found("b", "doubt", why="answers 429"),)
    assert slept == []


@pytest.mark.parametrize("how", ["never", "dripping"])
def test_a_registry_that_does_not_come_to_an_end_is_left(how: Literal["never", "dripping"]) -> None:
    with registry() as server:
        server.faults["HEAD"] = itertools.repeat(Fault(how=how))
        found, said = ask(server, "one", "two", seconds=0.3)
    assert found == tuple(
        Found(name, "doubt", why="gives no answer within 0.3 s") for name in ("one", "two")
    )
    assert said == ["built to be sure: one, two: the registry gives no answer within 0.3 s"]


def test_one_service_s_doubt_is_no_other_s() -> None:
    with registry() as server:
        digest = server.put(TAG, MANIFEST, IMAGE)
        faulty(server, Fault(403))
        found, _ = ask(server, "one", "two", "three")
    assert sorted(each.state for each in found) == ["doubt", "held", "held"]
    assert {each.digest for each in found} == {"", digest}


def test_of_many_doubts_a_few_are_named() -> None:
    with registry() as server:
        name = server.name
    said: list[str] = []
    services = tuple(f"s{number}" for number in range(1000))
    made = plan(fleet(*map(service, services)))
    found = missing(made, services, dict.fromkeys(services, FINGERPRINT), name, said.append)
    assert {(each.state, each.why) for each in found} == {("doubt", "cannot be reached")}
    assert said == ["built to be sure: s0, s1, s2 and 997 others: the registry cannot be reached"]


def test_a_registry_without_tls_where_there_should_be_some_is_a_doubt() -> None:
    with registry() as server, pytest.raises(RegistryError) as caught:
        Host(Endpoint(server.name, "a/b", server.name, plain=False))
    assert caught.value.why == "TLS fails"


def test_a_redirect_is_followed_but_not_for_ever() -> None:
    with registry() as server:
        digest = server.put(TAG, MANIFEST, IMAGE)
        aside = Fault(307, {"Location": f"/v2/a/elsewhere/manifests/{TAG}"})
        faulty(server, aside)
        assert ask(server)[0] == (Found("b", "held", digest),)
        server.faults["HEAD"] = itertools.repeat(aside)
        assert ask(server)[0] == (Found("b", "doubt", why="redirects without end"),)


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_who_may_read_is_in_docker_s_configuration(
    auth: Literal["basic", "token"], tmp_path: Path
) -> None:
    with registry(auth=auth) as server:
        digest = server.put(TAG, MANIFEST, IMAGE)
        assert ask(server)[0] == (Found("b", "doubt", why="answers 401"),)
        log_in(server, tmp_path, ACCOUNT)
        assert ask(server)[0] == (Found("b", "held", digest),)
        log_in(server, tmp_path, "someone:wrong")
        assert ask(server)[0] == (Found("b", "doubt", why="answers 401"),)


@pytest.mark.parametrize(("identity", "state"), [(IDENTITY, "held"), ("another", "doubt")])
def test_an_identity_token_is_exchanged(identity: str, state: str, tmp_path: Path) -> None:
    with registry(auth="token") as server:
        server.put(TAG, MANIFEST, IMAGE)
        entry = {"auth": "PHRva2VuPjo=", "identitytoken": identity}
        (tmp_path / "config.json").write_text(json.dumps({"auths": {server.name: entry}}))
        assert [each.state for each in ask(server)[0]] == [state]
        assert "POST /token" in server.asked


def test_every_repository_has_a_token_of_its_own(tmp_path: Path) -> None:
    with registry(auth="token") as server:
        server.put(TAG, MANIFEST, IMAGE)
        log_in(server, tmp_path, ACCOUNT)
        found, _ = ask(server, "one", "two", "three")
        assert server.asked.count("GET /token") == 3
    assert {each.state for each in found} == {"held"}


# --- what a released image is known by

PUSHED_ONCE = ("weights-a-model-onnx-fp32", "reference-a-model-a")
SMOKED = plan(fleet(service("one", smoke="smoke.py"), service("two")))


def smoke_of(name: str) -> str:
    return next(
        target.name
        for target in SMOKED.targets
        if target.kind == "smoke" and target.service == name
    )


def test_a_fingerprint_covers_image_smoke_and_budget() -> None:
    found = {"one": "sha256:1", smoke_of("one"): "sha256:2", "two": "sha256:3"}
    before = released(SMOKED, found)
    budget = plan(
        fleet(service("one", smoke="smoke.py", budget=Budget(uncompressed=5)), service("two"))
    )
    others = [
        released(SMOKED, found | {"one": "sha256:9"}),
        released(SMOKED, found | {smoke_of("one"): "sha256:9"}),
        released(budget, found),
    ]
    assert set(before) == {"one", "two"}
    assert len({before["one"], *(each["one"] for each in others)}) == 4
    assert {each["two"] for each in others} == {before["two"]}


def test_a_base_has_its_own() -> None:
    made = plan(fleet(service("one", base="ml"), bases=(BaseEntry("ml"),)))
    base = next(target for target in made.targets if target.kind == "base")
    assert released(made, {base.name: FINGERPRINT, "inside": "sha256:1"}) == {
        base.name: FINGERPRINT
    }
    with registry() as server:
        digest = server.put(TAG, MANIFEST, IMAGE)
        (found,) = missing(made, (base.name,), {base.name: FINGERPRINT}, server.name, print)
        assert found == Found(base.name, "held", digest)
        assert server.asked[-1] == f"HEAD /v2/{base.repository}/manifests/{TAG}"


def test_an_exported_model_and_its_reference_have_their_own_and_what_they_are_made_on_has_none() -> (
    None
):
    model, parity = WeightsEntry("package", "a-model"), Parity("parity.py", "texts/a.jsonl")
    one = service("one", base="ml", weights=model, inference="onnx", parity=parity)
    made = plan(fleet(one, bases=(BaseEntry("ml"),)))
    found = released(made, {target.name: f"sha256:{target.name}" for target in made.targets})
    assert set(found) == {"runtime", "base-ml", "base-ml-onnx", *PUSHED_ONCE, "one"}
    with registry() as server:
        for name in PUSHED_ONCE:
            digest = server.put(tag(found[name]), MANIFEST, IMAGE)
            assert missing(made, (name,), found, server.name, print) == (
                Found(name, "held", digest),
            )
            assert server.asked[-1] == f"HEAD /v2/{name}/manifests/{tag(found[name])}"


def test_a_service_of_which_anything_is_unknown_has_none() -> None:
    assert set(released(SMOKED, {"one": "sha256:1", "two": "sha256:3"})) == {"two"}
    assert released(SMOKED, {smoke_of("one"): "sha256:1"}) == {}


def test_a_tag_is_one_that_registries_take() -> None:
    assert tag(FINGERPRINT) == TAG
    made: Iterator[str] = iter(released(SMOKED, {"two": "x"}).values())
    assert len(tag(next(made))) == 43
