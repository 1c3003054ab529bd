"""Services that run on ONNX Runtime: their bases and what their models are exported on, derived
here. Pure.

A base `ml` that requires torch gives two others: `ml-onnx`, which the services stand on in its
place, and `ml-export`, which no image holds. Both are resolved with the family of `ml`: a graph is
written and run by one version of ONNX Runtime, with one of numpy. `ml-export` stands on the runtime
alone, so that nothing that is not needed to export a model has it exported again, and no pass has
taken anything that is.
"""

from __future__ import annotations

from dataclasses import replace

from slimbake.config.model import Base, Export, Manifest, Optimize, Precision, Requirements, Service
from slimbake.fleet.variants import derived

ONNX = "onnx"  # the value of `inference`, and the end of the name of the base that it is run on
EXPORT = "export"  # the end of the name of the base on which models are exported

# What runs a graph, and what writes one beside torch.
RUNS = ("numpy", "onnxruntime", "tokenizers")
WRITES = (
    "onnx",
    "onnx-ir",
    "onnxruntime",
    "onnxscript",
    "safetensors",
    "tokenizers",
    "transformers",
)


def exporting(manifest: Manifest) -> Manifest:
    """The manifest, its variants expanded, with all that an export needs as bases and weights.

    A base that is written under the name of the derived one to run on is taken as it is.
    """
    written = {base.name: base for base in manifest.bases}
    made: dict[str, dict[str, Base]] = {name: {} for name in written}
    services = []
    for service in manifest.services:
        if service.inference == ONNX and service.base and service.weights:
            below = written[service.base]
            derivatives = made[below.name]
            onnx, export = derived(below.name, ONNX), derived(below.name, EXPORT)
            if onnx not in written:
                derivatives.setdefault(onnx, _running(below))
            derivatives.setdefault(export, _writing(below))
            service = _on(
                service, onnx, Export(export, _decided(service.precision or Precision("fp32")))
            )
        services.append(service)
    bases = tuple(each for base in manifest.bases for each in (base, *made[base.name].values()))
    return replace(manifest, bases=bases, services=tuple(services))


def _decided(said: Precision) -> Precision:
    """A precision with its defaults: what comes to the same is one export, whichever way it was
    written.
    """
    if said.type != "int8":
        return said
    if said.mode in (None, "weights"):  # its scales are those of blocks, and nothing overflows
        return replace(
            said,
            mode="weights",
            per_channel=None,
            reduce_range=None,
            exclude=tuple(sorted(said.exclude)),
        )
    return replace(
        said,
        per_channel=said.per_channel is not False,  # what it gains: docs/inference-figures.md
        reduce_range=said.reduce_range is True,
        exclude=tuple(sorted(said.exclude)),
    )


def _on(service: Service, base: str, export: Export) -> Service:
    weights = replace(service.weights, export=export) if service.weights else None
    return replace(service, base=base, weights=weights)


def _running(base: Base) -> Base:
    """The base that services stand on in place of `base`."""
    return _derived(base, ONNX, requirements=Requirements(RUNS), system=(), torch=None)


def _writing(base: Base) -> Base:
    """The base on which models of `base` are exported: what it asks for itself, and what writes
    graphs.
    """
    # Packages of the repository change with every edit, and no class of transformers is among them.
    asked = replace(base.requirements, packages=())
    requirements = replace(asked, specs=tuple(dict.fromkeys((*asked.specs, *WRITES))))
    plain = Optimize(none=True)
    return _derived(
        base, EXPORT, extends=None, requirements=requirements, optimize=plain, exports=base.name
    )


def _derived(base: Base, end: str, **said: object) -> Base:
    name = derived(base.name, end)
    # Of a variant, `ml-cuda-onnx` is to `ml-onnx` what `ml-cuda` is to `ml`.
    copy_of = derived(base.copy_of, end) if base.copy_of else ""
    return replace(base, name=name, copy_of=copy_of, **said)  # type: ignore[arg-type]
