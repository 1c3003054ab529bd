"""What `sizes` hints at: what would make images smaller, by what it knows already."""

from typing import Any

import pytest
from tests.unit.fleets import asks, fleet, locked, pinned, plan_of, service

from slimbake.config.model import BaseEntry, CompressionEntry, Removal, WeightsEntry
from slimbake.fleet import Fleet
from slimbake.images.sizes import Image, MeasuredLayer, Measurement
from slimbake.plan.graph import layers
from slimbake.report.hints import requested, size_hints

MB = 1_000_000
ML = BaseEntry("ml", requirements=asks("torch"))
SIZES = {"runtime": 40 * MB, "layer_torch": 500 * MB, "weights-a-model": 90 * MB}
TORCH = pinned("torch", size=100 * MB)
NUMPY = pinned("numpy", size=10 * MB, via=("onnxruntime",))


def said(found: Fleet, *names: str) -> tuple[str, ...]:
    made = plan_of(found, locked(base_ml=[TORCH, NUMPY]))
    images = tuple(
        Image(
            name,
            f"sha256:{name}",
            tuple(
                MeasuredLayer(layer, layer, SIZES.get(layer.rpartition("_")[0] or layer, MB), 1, 1)
                for layer in layers(made, name)
            ),
        )
        for name in names
    )
    return size_hints(found, made, {"base-ml": (TORCH, NUMPY)}, Measurement(images))


def model(name: str, **more: Any) -> Any:
    return service(name, base="ml", weights=WeightsEntry("package", "a-model"), **more)


def test_a_model_that_runs_with_torch_may_do_without() -> None:
    found = fleet(model("say"), service("plain", base="ml"), bases=(ML,))
    assert said(found, "say", "plain") == (
        "say: `inference: onnx` runs the model without torch and saves about 500.0 MB (an estimate)",
    )
    assert said(fleet(service("plain", base="ml"), bases=(ML,)), "plain") == ()


def test_a_model_in_fp32_may_be_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    fp32 = model("say", inference="onnx", precision="fp32")
    made = fleet(fp32, bases=(ML,))
    weights = made.services[0].weights
    assert weights
    monkeypatch.setitem(SIZES, weights.scope.name, 100 * MB)
    assert said(made, "say") == ("say: `precision: int8` saves about 75.0 MB (an estimate)",)


def test_gzip_gives_way_to_zstd() -> None:
    made = fleet(service("plain"), compression=CompressionEntry(type="gzip"))
    (line,) = said(made, "plain")
    assert line == "`compression: {type: zstd, level: 9}` compresses better than gzip"


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
