"""Another runtime for a model, and another precision: what that saves, from what was measured of
this fleet. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from slimbake.advise.model import (
    RUNTIME,
    Advice,
    AdviceStep,
    Bound,
    Facts,
    Saving,
    ServiceFacts,
    worth,
)
from slimbake.checks.limits import INT8
from slimbake.config.document import KeyPath
from slimbake.config.naming import ONNX, base_layer, derived
from slimbake.fleet.drafts import RUNS
from slimbake.lock.auto import UNPACKED
from slimbake.lock.model import Pin
from slimbake.plan.parity import LIMITS

TORCH = ("torch", "transformers")
_SAVED = {"fp32": INT8, "fp16": 0.5}  # of the weights, what int8 saves

ESTIMATE = "an estimate, not measured"
Savings = tuple[tuple[Saving, ...], str]


def swap(subject: ServiceFacts, facts: Facts) -> Iterator[Advice]:
    """`inference: onnx` for a service that runs a model with torch."""
    if not subject.runtime or not subject.weights or subject.inference == ONNX:
        return
    variant = _variant(subject, facts)
    of = variant or subject
    if variant:
        path: KeyPath = ("services", subject.entry, "variants")
        steps: tuple[AdviceStep, ...] = (
            AdviceStep(command=f"slimbake bake --variant {variant.variant} {subject.entry}"),
            facts.at(path, "", f"put {variant.variant} first: then it is the default"),
        )
        saves, source = _difference(subject, variant)
        what = f"{variant.service}: {variant.inference}, {variant.precision}"
    else:
        steps = (*_base(subject, facts), facts.at(_key(subject, facts), "inference: onnx"))
        saves, source = _estimate(subject, facts)
        what = f"onnxruntime in place of torch, weights in {subject.precision}"
    if worth(saves[0].bytes, subject):
        yield Advice(
            kind="swap the runtime",
            what=what,
            saves=saves,
            source=source,
            steps=steps,
            costs=(*_code(subject), _parity(of, of.precision), _start(subject, variant)),
        )


def quantise(subject: ServiceFacts, facts: Facts) -> Iterator[Advice]:
    """`precision: int8` for a model that is not in int8 yet, nor in a variant that `swap` advises
    already.
    """
    if (
        not subject.weights
        or subject.precision in ("int8", "int4")
        or not (subject.runtime or subject.inference == ONNX)
    ):
        return
    variant = _variant(subject, facts)
    if subject.inference != ONNX and variant and variant.precision in ("int8", "int4"):
        return
    of = variant or subject
    saves, source = _smaller(subject, facts)
    if not worth(saves[0].bytes, subject):
        return
    step = facts.at(_key(of, facts), "precision: int8")
    onnx: tuple[AdviceStep, ...] = ()
    if of.inference != ONNX:
        onnx = (*_base(of, facts), facts.at(_key(of, facts), "inference: onnx"))
    yield Advice(
        kind="quantise",
        what="weights in int8",
        saves=saves,
        source=source,
        steps=(*onnx, step),
        costs=(
            _parity(of, "int8"),
            "another speed on CPUs without instructions for int8: unmeasured",
        ),
    )


def _variant(subject: ServiceFacts, facts: Facts) -> ServiceFacts | None:
    """The variant of the same service that runs with onnx: the smallest precision first."""
    found = [each for each in facts.variants(subject) if each.inference == ONNX]
    order = ("int4", "int8", "fp16", "fp32")
    return min(
        found,
        key=lambda each: order.index(each.precision) if each.precision in order else len(order),
        default=None,
    )


def _difference(subject: ServiceFacts, variant: ServiceFacts) -> Savings:
    if subject.image is None or variant.image is None:
        missing = " and ".join(each.service for each in (subject, variant) if each.image is None)
        return (
            Saving("uncompressed", None),
        ), f"`slimbake bake {missing}`, then `slimbake sizes` measures it"
    size = subject.image.uncompressed - variant.image.uncompressed
    packed = _less(subject.image.compressed, variant.image.compressed)
    return _both(size, packed, ""), f"both images, {_files(subject, variant)}"


def _estimate(subject: ServiceFacts, facts: Facts) -> Savings:
    """From a base that another service of the fleet has swapped already, else from packages, else
    from wheels.
    """
    now = subject.image.of(base_layer(subject.runtime)) if subject.image else None
    onnx = base_layer(derived(subject.runtime, ONNX))
    other = facts.exported.get(onnx)
    then = other.image.of(onnx) if other and other.image else None
    if not (now and other and then):
        return _packages(subject, facts)
    size, packed = now.uncompressed - then.uncompressed, _less(now.compressed, then.compressed)
    source = f"{ESTIMATE}: {base_layer(subject.runtime)} here less {onnx} in {other.service}"
    return (
        _both(size, packed, "about"),
        f"{source}, {_files(subject, other)}; the same weights",
    )


def _packages(subject: ServiceFacts, facts: Facts) -> Savings:
    """What would go of the base, less onnxruntime where its bytes are known."""
    lock = base_layer(subject.runtime)
    going = _going(facts.pins.get(lock, ()))
    measured = [facts.packages.get(f"{pin.name}=={pin.version}") for pin in going]
    known = [each for each in measured if each]
    if known:
        # What is not among the measured packages was dropped by a pass, so that nothing of it is
        # there to go.
        size, parts = sum(host for host, _ in known), [packed for _, packed in known]
        packed = None if None in parts else sum(part for part in parts if part is not None)
        said = f"packages of {lock} that onnxruntime does without, bake/evidence/sizes.json"
    else:
        wheels = [pin.bytes for pin in going]
        if not going or None in wheels:
            return (Saving("uncompressed", None),), "`slimbake sizes --record`"
        packed = sum(wheel for wheel in wheels if wheel)
        size = int(packed * UNPACKED)
        said = f"wheels in bake/locks/{lock}.txt, {UNPACKED:g} times unpacked, or all of that layer"
    if subject.image:  # what passes have taken of these packages cannot go again
        there = subject.image.of(lock) or subject.image
        size = min(size, there.uncompressed)
        if packed is not None and there.compressed is not None:
            packed = min(packed, there.compressed)
    more = _onnx(facts)
    if more is None:
        return (
            _both(size, packed, "at most"),
            f"{ESTIMATE}: {said}; onnxruntime comes in and is not counted: no lock says its size",
        )
    return (
        _both(size - more[0], _less(packed, more[1]), "about"),
        f"{ESTIMATE}: {said}; less onnxruntime as locked",
    )


def _going(pins: tuple[Pin, ...]) -> tuple[Pin, ...]:
    """The packages that neither onnxruntime's base asks for nor anything in it needs."""
    kept, grown = set(RUNS), True
    while grown:
        more = {pin.name for pin in pins if kept.intersection(pin.via)} - kept
        kept, grown = kept | more, bool(more)
    return tuple(pin for pin in pins if pin.name not in kept)


def _onnx(facts: Facts) -> tuple[int, int | None] | None:
    """Bytes of onnxruntime on a host and compressed, measured or by its wheel; None where nothing
    tells.
    """
    pin = facts.onnxruntime
    if pin is None:
        return None
    if found := facts.packages.get(f"{pin.name}=={pin.version}"):
        return found
    return None if pin.bytes is None else (int(pin.bytes * UNPACKED), pin.bytes)


def _smaller(subject: ServiceFacts, facts: Facts) -> Savings:
    """What int8 saves of the weights: measured in a variant, from the tensors, or from the layer."""
    for other in facts.variants(subject):
        same = other.inference == subject.inference == ONNX and other.precision == "int8"
        if same and subject.image and other.image:
            return _difference(subject, other)
    if subject.limits is not None and subject.limits.left is not None and subject.inference != ONNX:
        found = sum(action.bytes for action in subject.limits.left if action.kind == "quantise")
        source = f"{ESTIMATE}: three quarters of the tensors in fp32, bake/evidence/limits.json"
        return (Saving("uncompressed", found, "about"),), source
    layer = subject.image.of(subject.weights) if subject.image else None
    part = _SAVED.get(subject.precision)
    if layer is None or part is None or subject.image is None:
        return (Saving("uncompressed", None),), "`slimbake limits --record`"
    source = f"{ESTIMATE}: {part:.0%} of {subject.weights}, {subject.image.source}"
    return _both(int(part * layer.uncompressed), None, "at most")[:1], source


def _both(size: int, packed: int | None, bound: Bound) -> tuple[Saving, ...]:
    return Saving("uncompressed", size, bound), Saving("compressed", packed, bound)


def _less(whole: int | None, part: int | None) -> int | None:
    return None if whole is None or part is None else whole - part


def _files(*subjects: ServiceFacts) -> str:
    return ", ".join(dict.fromkeys(each.image.source for each in subjects if each.image))


def _key(subject: ServiceFacts, facts: Facts) -> KeyPath:
    """Where a service, or its variant, says how it is run."""
    own: KeyPath = ("services", subject.entry, "variants", subject.variant)
    return own if subject.variant and own in facts.keys else ("services", subject.entry)


def _base(subject: ServiceFacts, facts: Facts) -> Iterator[AdviceStep]:
    """What comes before `inference`: a model is exported on the service's own base, which asks for
    torch itself.
    """
    own: KeyPath = ("services", subject.entry, "base")
    if own not in facts.keys:
        yield facts.at(own, "", "needs a base of its own that requires torch")
    elif subject.bases[0] != subject.runtime:
        yield facts.at(own, f"base: {subject.runtime}", "with what is between them required here")
    if own in facts.keys and "torch" not in facts.asked.get(subject.runtime, ()):
        yield facts.at(
            ("bases", subject.runtime, "requirements"),
            "",
            "add torch, which another package brings now",
        )


def _code(subject: ServiceFacts) -> Iterator[str]:
    """What of its code knows torch alone."""
    files = sorted({file for module in TORCH for file in subject.imports.get(module, ())})
    if files and RUNTIME not in subject.imports:
        yield (
            f"{', '.join(files)}: imports torch or transformers, and has to load the exported"
            " model too"
        )


def _parity(subject: ServiceFacts, precision: str) -> str:
    """`precision`: what it would have; the variant's own says more, where it is in that already."""
    held = LIMITS[precision]
    if subject.parity and subject.precision != precision:
        return (
            f"answers change within what `parity` says; by default {precision} is held to"
            f" {_limits(held.items())}"
        )
    if subject.parity:
        return f"answers change within {_limits(subject.parity)}, or the bake ends with 6"
    line = "`parity: {check: FILE.py, texts: FILE.jsonl}`"
    return (
        f"answers change, and nothing compares them; {line} would hold them to"
        f" {_limits(held.items())}"
    )


def _limits(found: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in found)


def _start(subject: ServiceFacts, variant: ServiceFacts | None) -> str:
    if variant is None or None in (subject.startup, variant.startup, subject.rss, variant.rss):
        return "start-up and memory with onnx: unmeasured"
    sizes = [(each.rss or 0) / 1e6 for each in (subject, variant)]
    return (
        f"start-up {subject.startup:.2f} s -> {variant.startup:.2f} s, "
        f"resident {sizes[0]:,.1f} MB -> {sizes[1]:,.1f} MB, bake/evidence/images.json"
    )
