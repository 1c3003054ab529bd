"""Services of a repository's own compose file, started for one check: in a project of their own, so
that neither their data nor their ports are those of the containers that somebody works with.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimbake.docker.command import call
from slimbake.docker.compose import require_compose
from slimbake.docker.containers import owned
from slimbake.errors import CheckError, SetupError

LAST_LINES = 12
# What would leave something behind, be in the way of another container, or reach further.
_LEFT_OUT = ("build", "container_name", "networks", "network_mode", "ports", "profiles", "restart")


class NotBeside(CheckError):
    """What a check needs beside it did not start."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What was started."""

    options: tuple[str, ...]  # of `docker run`, for a container beside it


@contextlib.contextmanager
def beside(name: str, file: Path, services: Sequence[str], host: str) -> Iterator[Beside]:
    """These services of a compose file and what they depend on, well, on a network without a way
    out; they have gone afterwards, with all that they wrote.

    `name`: of their project; `host`: a service of the file whose variables the check gets. Raises
    SetupError where Compose cannot read the file, NotBeside for what does not start.
    """
    require_compose()
    every = "--profile=*"
    said = json.loads(call("compose", f"--file={file}", every, "config", "--format=json"))
    known: Mapping[str, dict[str, Any]] = said["services"]
    alone = {each: _alone(known[each]) for each in _closure(services, known)}
    document = {
        **{key: said[key] for key in ("secrets", "configs") if key in said},
        "services": alone,
        "networks": {"default": {"internal": True, "labels": owned()}},
    }
    with tempfile.TemporaryDirectory(prefix="slimbake-start-") as folder:
        path = Path(folder, "compose.json")
        path.write_text(json.dumps(document), "utf-8")  # Compose has written `$` as `$$`
        project = ("compose", f"--project-name={name}", f"--file={path}")
        try:
            try:
                call(*project, "up", "--detach", "--wait", "--quiet-pull")
            except SetupError as error:
                words = call(*project, "logs", f"--tail={LAST_LINES}")
                why = f"what its start check needs did not start: {', '.join(services)}"
                raise NotBeside(why, f"{error.hint.splitlines()[-1]}\n{words}") from None
            variables = _named(host, known).get("environment") or {}
            given = (
                f"--env={key}={value}".replace("$$", "$")
                for key, value in variables.items()
                if value is not None
            )
            yield Beside((f"--network={name}_default", *given))
        finally:
            call(*project, "down", "--volumes", "--remove-orphans", "--timeout=1")


def _named(name: str, known: Mapping[str, dict[str, Any]]) -> Mapping[str, Any]:
    """The service that has this name in a manifest, where `api_v2` is `api-v2`."""
    alike = (each for each in known if re.sub(r"[^a-z0-9]+", "-", each.lower()) == name)
    return known.get(name) or known.get(next(alike, ""), {})


def _closure(services: Sequence[str], known: Mapping[str, dict[str, Any]]) -> list[str]:
    found: dict[str, None] = {}
    left = list(services)
    while left:
        if (each := left.pop()) not in found:
            found[each] = None
            left += known[each].get("depends_on", ())
    return sorted(found)


def _alone(service: dict[str, Any]) -> dict[str, Any]:
    """A service whose named volumes are empty ones of this check's own, and whose files of the
    repository cannot be written.
    """
    mounts = [
        {**each, "read_only": True}
        if each["type"] == "bind"
        else {"type": each["type"], "target": each["target"]}
        for each in service.get("volumes", ())
    ]
    kept = {key: value for key, value in service.items() if key not in _LEFT_OUT}
    kept["labels"] = {**service.get("labels", {}), **owned()}
    return {**kept, **({"volumes": mounts} if mounts else {})}
