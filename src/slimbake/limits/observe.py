"""Observes a service's workload in a container of its image: what it opens, and which pages it touches."""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

from slimbake import docker
from slimbake.errors import CheckError, SetupError
from slimbake.limits.model import File, Observed
from slimbake.measure.shelf import Shelf
from slimbake.plan.model import Running, Target

PROGRAMS = ("touched.py", "native.py", "smoke.py")
LIMIT = 300.0  # seconds for the workload, from a cold page cache
_GRACE = 120.0  # seconds to look at all files twice
# To become nobody, to read the check whatever its modes are, to ask mincore of files of others, and to see what is
# mapped by a process of another user.
_RIGHTS = ("SETUID", "SETGID", "DAC_READ_SEARCH", "FOWNER", "SYS_PTRACE")
_INSIDE = Path(__file__).parents[1] / "inside"


def observed(image: str, service: Running, smoke: Target, root: Path, shelf: Shelf, again: bool = False) -> Observed:
    """Run a service's smoke in a container of its image, from a cold page cache, and say what that took.

    `shelf`: what was observed before, by image, smoke and programs; `again`: not to be used. Raises CheckError where
    the smoke does not hold, SetupError where it could not be run.
    """
    key = "observed-" + _digest(image, smoke, root)
    found = {} if again else shelf.get(key)
    if not found:
        found = _run(image, service, smoke, root)
        shelf.put(key, found)
    files = tuple(File(*each) for each in found["files"])
    return Observed(files, found["resident"], found["disturbed"])


def _digest(image: str, smoke: Target, root: Path) -> str:
    arguments, context = dict(smoke.args), root / smoke.context
    files = [context / arguments["SMOKE"], context / arguments.get("REFERENCE", "reference.json")]
    whole = hashlib.sha256(image.encode())
    for file in (*files, *(_INSIDE / name for name in PROGRAMS)):
        whole.update(hashlib.sha256(file.read_bytes() if file.is_file() else b"").digest())
    return whole.hexdigest()


def _workloads() -> list[dict[str, Any]]:
    """What is run in the container, in this order: the smoke, which gives up root itself."""
    return [{"words": ["python", "/inside/smoke.py", "--as-nonroot"], "stdin": "", "nonroot": False}]


def _run(image: str, service: Running, smoke: Target, root: Path) -> dict[str, Any]:
    asked = {"workloads": _workloads(), "limit": LIMIT}
    words = (
        "--network=none", "--user=0:0", "--read-only", "--cap-drop=ALL", *(f"--cap-add={each}" for each in _RIGHTS),
        "--security-opt=no-new-privileges", "--tmpfs=/tmp:mode=1777",
        *(f"--tmpfs={path}:mode=1777" for _, path in service.volumes),
        *(f"--env={key}={value}" for key, value in smoke.args if key in ("SMOKE", "REFERENCE")),
        *(f"--volume={_INSIDE / name}:/inside/{name}:ro" for name in PROGRAMS),
        f"--volume={root / smoke.context}:/inside/context:ro", "--entrypoint=python", image, "/inside/touched.py",
    )  # fmt: skip
    name = f"slimbake-limits-{secrets.token_hex(6)}"
    try:
        done = docker.contained(name, words, (json.dumps(asked),), "", LIMIT + _GRACE)
        found = dict(json.loads(done.stdout.splitlines()[-1]))
    except docker.OutOfTime:
        raise CheckError(f"the smoke of {service.service} does not end within {LIMIT:g} s") from None
    except (IndexError, ValueError, TypeError):
        raise SetupError(f"{service.service} could not be observed", done.stderr.strip()[-2000:]) from None
    if found["code"]:
        raise CheckError(f"the smoke of {service.service} does not hold while it is observed\n{found['words']}")
    return found
