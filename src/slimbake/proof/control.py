"""Negative controls: images that are broken on purpose, on which a smoke that proves anything
fails.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence

from slimbake.console import Console
from slimbake.docker.containers import contained
from slimbake.errors import CheckError, SetupError
from slimbake.plan.model import Plan, Recipe
from slimbake.proof.model import Caught, Control, Damage
from slimbake.proof.trial import TIME_LIMIT, TRIAL, Outcome, Subject, trial, workers

SITE = "/opt/slimbake/lib/python*/site-packages"
# Files alone: what a link of a cache stands for is a file as well.
LIST = """
import json, os
paths = (os.path.join(folder, name) for folder, _, names in os.walk("/weights") for name in names)
print(json.dumps({path: os.path.getsize(path) for path in paths if not os.path.islink(path)}))
"""


def run_controls(plan: Plan, subjects: Sequence[Subject], console: Console) -> tuple[Caught, ...]:
    """Run every control of every service. Raises CheckError where a smoke does not hold on an image
    that is whole.
    """
    with console.tracked("negative controls") as work:
        intact = [(f"{each.service}, intact", each) for each in subjects]
        whole = work.each(lambda subject: trial(subject, ()), intact, workers())
        for subject, outcome in zip(subjects, whole, strict=True):
            if not outcome.held:
                words = (
                    f"the smoke of {subject.service} fails at {outcome.level} before anything"
                    " is broken"
                )
                raise CheckError(f"{words}\n{outcome.error}")
        jobs = [
            (f"{subject.service}, {control.name}", (subject, control))
            for subject, outcome in zip(subjects, whole, strict=True)
            for control in controls_of(
                plan, subject.service, outcome, harmed_weights(plan, subject)
            )
        ]
        return work.each(lambda job: _caught(job[0], job[1], console), jobs, workers())


def controls_of(
    plan: Plan, service: str, whole: Outcome, weights: Mapping[str, int]
) -> tuple[Control, ...]:
    """The controls that there are for a service.

    `whole`: what its smoke did where nothing is broken; `weights`: the files of its model, each
    with its bytes.
    """
    found = []
    for package in _largest(whole.packages):
        advice = f"let `imports()` import {package}, or what needs it, and let no exception pass"
        found.append(Control(f"{package} removed", Damage("remove", package), advice))
    for library in _largest(whole.libraries):
        advice = "call in `load()` what needs it, as a request would"
        found.append(
            Control(
                f"{library} replaced by nothing", Damage("replace", f"{SITE}/{library}"), advice
            )
        )
    if weights:
        advice = "load the model in `load()` from where the service does"
        found.append(Control("the model removed", Damage("remove", "/weights/**"), advice))
        advice = "compare answers, or the weights' digest, with a reference in `parity()`"
        numbers = Damage("corrupt", _numbers(plan, service, weights))
        found.append(Control("bytes of the weights changed", numbers, advice))
    if not found:  # it needs nothing but Python: then its own code
        advice = "let `imports()` import every module of the service"
        found.append(Control("the service's code removed", Damage("remove", "/app/**"), advice))
    return tuple(found)


def harmed_weights(plan: Plan, subject: Subject) -> dict[str, int]:
    """The files of a service's model, each with its bytes; none where it has none of slimbake's.
    Raises SetupError.
    """
    if not _recipes(plan, subject.service) or plan.target(subject.service).recipe is None:
        return {}
    words = (
        "--network=none",
        f"--label={TRIAL}=true",
        "--entrypoint=python",
        subject.image,
        "-I",
        "-c",
        LIST,
    )
    said = contained(f"slimbake-weights-{secrets.token_hex(6)}", words, "", TIME_LIMIT)
    try:
        return dict(json.loads(said.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        raise SetupError(
            f"weights of {subject.service} could not be listed", said.stderr.strip()[-2000:]
        ) from None


def _recipes(plan: Plan, service: str) -> list[Recipe]:
    return [t.recipe for t in plan.held((service,)) if t.kind == "weights" and t.recipe]


def _numbers(plan: Plan, service: str, weights: Mapping[str, int]) -> str:
    """A glob of the files that hold the numbers of a model: of any other format than these two, the
    largest file.

    Not of all files: a changed byte of a configuration is noticed by smokes that would never notice
    one of the numbers.
    """
    if any(recipe.export for recipe in _recipes(plan, service)):
        return "/weights/model.onnx*"
    if any(path.endswith(".safetensors") for path in weights):
        return "/weights/**/*.safetensors"
    return _largest(weights)[0]


def _largest(sizes: Mapping[str, int]) -> list[str]:
    return sorted(sizes, key=lambda name: (-sizes[name], name))[:1]


def _caught(subject: Subject, control: Control, console: Console) -> Caught:
    outcome = trial(subject, (), (control.damage,))
    found = Caught(subject.service, control, outcome.level)
    console.say(
        f"{subject.service}, {control.name}: {'caught at ' if found.held else ''}{found.words}"
    )
    return found
