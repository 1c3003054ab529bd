"""Notes on files that a stage with Python makes, and that the image takes. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import replace

from slimbake.adopt.code import APP, Code
from slimbake.adopt.model import Copy, ImageFacts
from slimbake.adopt.needs import Needs
from slimbake.adopt.sheet import Sheet
from slimbake.adopt.stages import names_path

_HOW = (
    "make them in a step of `build`, with an `image` of its own if the service's lacks something; or"
    " make modules in a package, whose [build-system] requires what that takes"
    " (docs/how-to/build-steps.md); or keep the Dockerfile with `dockerfile:`"
)


def generated_files(
    sheet: Sheet, facts: ImageFacts, needs: Needs, code: Code, env: Mapping[str, str]
) -> None:
    """Say of each such file that slimbake's image lacks it: at the step that makes it, where that
    is known, else at the line that copies it.
    """
    outputs = [each for step in sheet.entry.get("build", ()) for each in step["outputs"]]
    context, repository = sheet.of.build.context, sheet.repository
    there = repository.files | repository.folders
    for each in facts.made:
        take, here = each.take, code.moved(each.take.target)
        copied = {posixpath.normpath(posixpath.join(context, path)) for path in each.copied}
        made = (posixpath.join(APP, output) for output in outputs)
        if copied & there or any(f"{here}/".startswith(f"{path}/") for path in made):
            continue
        [source] = take.sources
        advice = _advice(take, here, env)
        steps = {
            note
            for note, step in needs.unread.items()
            if not step.last and names_path(step, source)
        }
        said = f"{take.place.file}:{take.place.line} copies {source} of it to {take.target}"
        needs.notes = [
            replace(note, advice=f"{said}: {advice}") if note in steps else note
            for note in needs.notes
        ]
        if not steps:
            what = f"COPY --from={each.stage} {source} {take.target}"
            sheet.note(take.place, what, f"steps of that stage make it: {advice}")


def _advice(take: Copy, here: str, env: Mapping[str, str]) -> str:
    if f"{here}/".startswith(f"{APP}/"):
        return f"slimbake's image lacks these files, so {_HOW}"
    new = posixpath.join(APP, posixpath.basename(take.target))
    changed = {
        name: value.replace(take.target, new)
        for name, value in env.items()
        if f"{value}/".startswith(f"{take.target}/")
    }
    settings = ", ".join(f"{name}: {value}" for name, value in changed.items())
    read = f"write `env: {{{settings}}}`" if changed else f"let the service read {new}"
    return (
        f"slimbake's image lacks these files. A step of `build` writes below {APP}: let it make"
        f" {posixpath.basename(new)}, name that under `outputs`, and {read}"
        " (docs/how-to/build-steps.md); or keep the Dockerfile with `dockerfile:`"
    )
