"""What `slimbake advise` prints. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slimbake.advise.model import Advice, AdviceStep, Advised, Saving
from slimbake.console.tables import UNMEASURED, megabytes, readable
from slimbake.render.quoting import comment

FLEET = "the fleet"
_COSTS = 6  # features that are named; JSON has all


def advice_text(found: Sequence[Advised]) -> str:
    """A block for each image, and one for the fleet."""
    return "\n\n".join("\n".join(map(comment, _block(each))) for each in found)


def _block(advised: Advised) -> Iterator[str]:
    yield _title(advised)
    for number, advice in enumerate(advised.advice, 1):
        yield f"  {number}. {advice.kind}: {', '.join(_saving(each) for each in advice.saves)}"
        yield f"     {advice.what}"
        yield from (f"     do: {_step(step)}" for step in advice.steps)
        yield from (f"     costs: {cost}" for cost in _costs(advice))
        yield f"     from: {advice.source}"
        if advice.also:
            yield f"     also: {', '.join(advice.also)}"
    if not advised.advice:
        yield "  nothing that is worth it" + (", by what is known" if advised.unmeasured else "")
    yield from (f"  {UNMEASURED}: {line}" for line in advised.unmeasured)


def _title(advised: Advised) -> str:
    if not advised.service:
        return FLEET
    packed = "" if advised.compressed is None else f", {megabytes(advised.compressed)} compressed"
    return f"{advised.service}: {megabytes(advised.uncompressed)}{packed}"


def _saving(saving: Saving) -> str:
    if saving.bytes is None:
        return f"{UNMEASURED} {saving.unit}"
    return f"{saving.bound} {readable(saving.bytes)} {saving.unit}".lstrip()


def _step(step: AdviceStep) -> str:
    if step.command:
        return step.command
    where = f"{step.place} {step.key}".rstrip()
    return f"{where}: {', '.join(filter(None, (f'`{step.line}`' if step.line else '', step.note)))}"


def _costs(advice: Advice) -> Iterator[str]:
    if advice.kind != "prune":
        yield from advice.costs
    elif advice.costs:
        more = f"; {len(advice.costs) - _COSTS} more" if len(advice.costs) > _COSTS else ""
        yield "; ".join(advice.costs[:_COSTS]) + more
