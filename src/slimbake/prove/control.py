"""Negative controls: images that are broken on purpose, on which a smoke that proves anything fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from slimbake.errors import CheckError
from slimbake.plan.model import Plan
from slimbake.prove.model import Caught, Control, Damage
from slimbake.prove.trial import Outcome, Subject, trial
from slimbake.prove.trials import workers

Say = Callable[[str], None]
SITE = "/opt/slimbake/lib/python*/site-packages"


def controls(plan: Plan, subjects: Sequence[Subject], say: Say) -> tuple[Caught, ...]:
    """Run every control of every service. Raises CheckError where a smoke does not hold on an image that is whole."""
    with ThreadPoolExecutor(workers()) as pool:
        try:
            whole = tuple(pool.map(lambda subject: trial(subject, ()), subjects))
            for subject, outcome in zip(subjects, whole, strict=True):
                if not outcome.held:
                    words = f"the smoke of {subject.service} fails at {outcome.level} before anything is broken"
                    raise CheckError(f"{words}\n{outcome.error}")
            jobs = [
                (subject, control)
                for subject, outcome in zip(subjects, whole, strict=True)
                for control in controls_of(plan, subject.service, outcome)
            ]
            return tuple(pool.map(lambda job: _caught(job[0], job[1], say), jobs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def controls_of(plan: Plan, service: str, whole: Outcome) -> tuple[Control, ...]:
    """The controls that there are for a service. `whole`: what its smoke did where nothing is broken."""
    found = []
    for package in _largest(whole.packages):
        advice = f"let `imports()` import {package}, or what needs it, and let no exception pass"
        found.append(Control(f"{package} removed", Damage("remove", package), advice))
    for library in _largest(whole.libraries):
        advice = "call in `load()` what needs it, as a request would"
        found.append(Control(f"{library} replaced by nothing", Damage("replace", f"{SITE}/{library}"), advice))
    if files := _weights(plan, service):
        advice = "load the model in `load()` from where the service does"
        found.append(Control("the model removed", Damage("remove", "/weights/**"), advice))
        advice = "compare answers, or the weights' digest, with a reference in `parity()`"
        found.append(Control("bytes of the weights changed", Damage("corrupt", files), advice))
    if not found:  # it needs nothing but Python: then its own code
        advice = "let `imports()` import every module of the service"
        found.append(Control("the service's code removed", Damage("remove", "/app/**"), advice))
    return tuple(found)


def _weights(plan: Plan, service: str) -> str:
    """A glob of the files that hold the numbers of a service's model; "" where it has none of slimbake's."""
    there = [t.recipe for t in plan.held((service,)) if t.kind == "weights" and t.recipe]
    if not there or plan.target(service).recipe is None:
        return ""
    return "/weights/model.onnx*" if any(recipe.export for recipe in there) else "/weights/**/*.safetensors"


def _largest(sizes: Mapping[str, int]) -> list[str]:
    return sorted(sizes, key=lambda name: (-sizes[name], name))[:1]


def _caught(subject: Subject, control: Control, say: Say) -> Caught:
    outcome = trial(subject, (), (control.damage,))
    found = Caught(subject.service, control, outcome.level)
    say(f"{subject.service}, {control.name}: {f'caught at {found.level}' if found.held else 'NOT caught'}")
    return found
