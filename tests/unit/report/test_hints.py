"""What `sizes` and `layers` hint at: what would make images smaller, by what they know already."""

from typing import Any

import pytest
from tests.unit.fleets import asks, fleet, service

from slimbake.config.model import BaseEntry, CompressionEntry, Removal, WeightsEntry
from slimbake.fleet import Fleet
from slimbake.fleet.layering.model import Chain, Demand, Item, LayerPlan
from slimbake.host.wheels import Wheel
from slimbake.images.sizes import Image, MeasuredLayer, Measurement
from slimbake.lock.closures import Written
from slimbake.lock.model import Pin
from slimbake.plan import plan
from slimbake.plan.graph import layers
from slimbake.report.hints import requested, share_hints, size_hints

MB = 1_000_000
ML = BaseEntry("ml", requirements=asks("torch"))
SIZES = {"runtime": 40 * MB, "base-ml": 500 * MB, "weights-a-model": 90 * MB}
PINS = {
    "base-ml": (
        Pin("torch", "2", (Wheel("torch-2-py3-none-any.whl", 100 * MB, ""),)),
        Pin("numpy", "2", (Wheel("numpy-2-py3-none-any.whl", 10 * MB, ""),), via=("onnxruntime",)),
    )
}


def said(found: Fleet, *names: str) -> tuple[str, ...]:
    made = plan(found)
    images = tuple(
        Image(
            name,
            f"sha256:{name}",
            tuple(
                MeasuredLayer(layer, layer, SIZES.get(layer, MB), 1, 1)
                for layer in layers(made, name)
            ),
        )
        for name in names
    )
    return size_hints(found, made, PINS, Measurement(images))


def model(name: str, **more: Any) -> Any:
    return service(name, base="ml", weights=WeightsEntry("package", "a-model"), **more)


def test_a_model_that_runs_with_torch_may_do_without() -> None:
    found = fleet(model("say"), service("plain", base="ml"), bases=(ML,))
    (line,) = said(found, "say", "plain")
    assert line.startswith("say: `inference: onnx` runs the model without torch and saves about")
    assert said(fleet(service("plain", base="ml"), bases=(ML,)), "plain") == ()


def test_a_model_in_fp32_may_be_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    fp32 = model("say", inference="onnx", precision="fp32")
    made = fleet(fp32, bases=(ML,))
    weights = made.services[0].weights
    assert weights
    monkeypatch.setitem(SIZES, weights.layer.name, 100 * MB)
    assert said(made, "say") == ("say: `precision: int8` saves about 75.0 MB (an estimate)",)


def test_gzip_gives_way_to_zstd() -> None:
    made = fleet(service("plain"), compression=CompressionEntry(type="gzip"))
    (line,) = said(made, "plain")
    assert line == "`compression: {type: zstd, level: 9}` compresses better than gzip"


def test_what_lies_twice_is_for_the_base_that_all_have() -> None:
    web = BaseEntry("web", requirements=asks("fastapi"))
    services = (service("one", base="web"), service("two", base="web"), service("alone"))
    scipy = Item("scipy", "1", 10 * MB, 4 * MB)
    base = frozenset(("fastapi==1",))
    chains = (
        Chain("one", (base, frozenset((scipy.key,)))),
        Chain("two", (base, frozenset((scipy.key, "idna==1")))),
        Chain("alone", (frozenset(("idna==1",)),)),
    )
    items = (scipy, Item("fastapi", "1", MB, MB), Item("idna", "1", MB, MB))
    hand = Written(Demand((), items), LayerPlan(chains), {})
    assert share_hints(fleet(*services, bases=(web,)), hand) == (
        "base web could hold scipy once: about 10.0 MB less on a host",
    )


def test_images_without_files_that_somebody_may_need_are_named() -> None:
    removal = Removal(("torch/test/**",))
    made = fleet(
        service("a", base="ml", removal=Removal(("x/**",))),
        service("b", base="ml"),
        service("c"),
        bases=(BaseEntry("ml", requirements=asks("torch"), removal=removal),),
    )
    ends = "`slimbake why` lists them"
    assert requested(made, ["a", "b", "c"]) == (
        f"removed on request: files of a, b, by bases.ml.remove; {ends}",
        f"removed on request: files of a, by services.a.remove; {ends}",
    )
    assert requested(made, ["c"]) == ()
