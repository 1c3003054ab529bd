"""Images without passes: what is tried. A stand-in for the real one, which builds them: these must have been built."""

# ruff: noqa: ARG001
from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence

from slimbake import docker
from slimbake.errors import UsageError
from slimbake.lock import lock_texts, settled
from slimbake.manifest.model import Manifest
from slimbake.plan import plan
from slimbake.prove.trial import Subject


@contextlib.contextmanager
def subjects(
    manifest: Manifest, services: Sequence[str], say: Callable[[str], None], install: bool = False
) -> Iterator[tuple[Subject, ...]]:
    """The images of these services without passes, each with its smoke. Raises UsageError for one without a smoke."""
    planned = plan(settled(manifest), lock_texts(manifest))
    smokes = {target.service: target for target in planned.targets if target.kind == "smoke"}
    if missing := [name for name in services if name not in smokes]:
        raise UsageError(f"no smoke: {', '.join(missing)}", "what is not checked cannot be proven: give it a `smoke:`")
    form = os.environ.get("SLIMBAKE_SEARCH_IMAGES", f"slimbake/{planned.project}/{{}}:built")
    names = {name: form.format(name) for name in services}
    ids = {name: docker.call("image", "inspect", "--format={{.Id}}", image).strip() for name, image in names.items()}
    yield tuple(Subject(name, ids[name], smokes[name], manifest.file.parent) for name in services)
