"""What a released image is known by: one fingerprint of all that it was made from and held to."""

import pytest
from tests.unit.fleets import fleet, planned, service, unlocked
from tests.unit.release.played import site

from slimbake.config.model import BaseEntry, Budget, Parity, WeightsEntry
from slimbake.fingerprint.model import Account
from slimbake.release.inputs import registry_fingerprints, released_fingerprints

FINGERPRINT = "sha256:" + "5" * 64
PUSHED_ONCE = ("weights-a-model-onnx-fp32", "reference-a-model-a")
SMOKED = planned(service("one", smoke="smoke.py"), service("two"))


def smoke_of(name: str) -> str:
    return next(
        target.name
        for target in SMOKED.targets
        if target.kind == "smoke" and target.service == name
    )


def test_a_fingerprint_covers_image_smoke_and_budget() -> None:
    found = {"one": "sha256:1", smoke_of("one"): "sha256:2", "two": "sha256:3"}
    before = released_fingerprints(SMOKED, found)
    budget = planned(
        service("one", smoke="smoke.py", budget=Budget(uncompressed=5)), service("two")
    )
    others = [
        released_fingerprints(SMOKED, found | {"one": "sha256:9"}),
        released_fingerprints(SMOKED, found | {smoke_of("one"): "sha256:9"}),
        released_fingerprints(budget, found),
    ]
    assert set(before) == {"one", "two"}
    assert len({before["one"], *(each["one"] for each in others)}) == 4
    assert {each["two"] for each in others} == {before["two"]}


def test_an_exported_model_and_its_reference_have_their_own() -> None:
    model, parity = WeightsEntry("package", "a-model"), Parity("parity.py", "texts/a.jsonl")
    one = service("one", base="ml", weights=model, inference="onnx", parity=parity)
    made = planned(one, bases=(BaseEntry("ml"),))
    found = released_fingerprints(
        made, {target.name: f"sha256:{target.name}" for target in made.targets}
    )
    assert set(found) == {"runtime", "base-ml", "base-ml-onnx", *PUSHED_ONCE, "one"}
    assert len(set(found.values())) == len(found)


def test_a_service_of_which_anything_is_unknown_has_none() -> None:
    assert set(released_fingerprints(SMOKED, {"one": "sha256:1", "two": "sha256:3"})) == {"two"}
    assert released_fingerprints(SMOKED, {smoke_of("one"): "sha256:1"}) == {}


def test_an_image_for_one_platform_alone_is_another_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def accounts(*_: object) -> tuple[Account, ...]:
        return (Account("one", (), (), FINGERPRINT), Account("runtime", (), (), FINGERPRINT))

    monkeypatch.setattr("slimbake.release.inputs.accounts", accounts)
    held = site(unlocked(fleet(service("one"))))
    images = [registry_fingerprints(held), registry_fingerprints(held, "linux/arm64")]
    assert [each.keys() for each in images] == [{"one", "runtime"}] * 2
    assert len({each[name] for each in images for name in each}) == 4
