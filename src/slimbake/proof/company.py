"""All passes but each: on the image with all of them, what one alone takes is put back, and the
smokes run.

That is the image without the pass, made from its other end: to take all others away again would
take three times as long. What another pass takes too stays away.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from slimbake.catalogue.model import Applied
from slimbake.console import Console
from slimbake.evidence.model import Finding
from slimbake.evidence.selection import needed_passes
from slimbake.proof.layers import ProvenLayer
from slimbake.proof.trial import Subject, trial, weighed, workers
from slimbake.proof.trials import SCARCE, Kept, key


def all_but_each(
    layer: ProvenLayer,
    applied: Mapping[str, Applied],
    bare: Subject,
    pruned: Sequence[Subject],
    kept: Kept,
    console: Console,
) -> dict[str, Finding]:
    """The findings of the passes that were tried now, with what each saves beside all others.

    `bare`: an image without passes, from which files are put back; `pruned`: the images with all
    that are proven. A smoke that fails without a pass is reported with it. Raises SetupError where
    the engine fails.
    """
    alone = _alone(layer, applied)
    beside = saved_beside(layer, applied)
    with (
        tempfile.TemporaryDirectory(prefix="slimbake-restored-") as scratch,
        console.tracked(f"{layer.question.layer}: all passes but one") as work,
    ):

        def tried(name: str) -> Finding:
            finding, names = layer.evidence.passes[name], alone[name]
            if not names:
                return replace(finding, marginal=beside[name])
            tar = Path(scratch) / f"{name}.tar"
            _copy(bare, applied[name], names, tar)
            error = ""
            for subject in pruned:
                at = key(
                    subject.digest,
                    (),
                    "all but",
                    key(bare.digest, (applied[name],)),
                    *sorted(names),
                )
                outcome = kept.get(at)
                if outcome is None:
                    outcome = trial(subject, (), restored=tar)
                    kept.put(at, outcome)
                if not outcome.held and outcome.level not in SCARCE and not error:
                    error = (
                        f"without it, {subject.service} fails at {outcome.level}: {outcome.error}"
                    )
            tar.unlink()
            console.say(
                f"{layer.question.layer}: all but {name}: {'failed' if error else 'passed'}"
            )
            return replace(finding, marginal=beside[name], error=error)

        names = tuple(alone)
        return dict(
            zip(names, work.each(tried, zip(names, names, strict=True), workers()), strict=True)
        )


def saved_beside(layer: ProvenLayer, applied: Mapping[str, Applied]) -> dict[str, int]:
    """The bytes that each of the passes that were tried now saves beside all others."""
    return {
        name: sum(layer.weighed[name].files[file] for file in files)
        for name, files in _alone(layer, applied).items()
    }


def _alone(layer: ProvenLayer, applied: Mapping[str, Applied]) -> dict[str, frozenset[str]]:
    carries = frozenset(
        each.name for each in needed_passes([applied[name] for name in layer.proven])
    )
    return {name: own(name, layer, carries) for name in layer.proven if name in layer.new}


def own(name: str, layer: ProvenLayer, carries: Collection[str]) -> frozenset[str]:
    """The files that a pass alone removes or changes, of those that the layer `carries`; none if it
    is not.
    """
    others = (layer.weighed[other].files for other in carries if other != name)
    if name not in carries:
        return frozenset()
    return frozenset(layer.weighed[name].files).difference(*others)


def _copy(bare: Subject, applied: Applied, names: frozenset[str], target: Path) -> None:
    """Write a tar with these files as they are without the pass."""
    with weighed(bare, (applied,)) as members, tarfile.open(target, "w") as out:
        for member, content in members:
            _, when, name = member.name.split("/", 2)
            if name in names and when == "before":
                out.addfile(member, content)
