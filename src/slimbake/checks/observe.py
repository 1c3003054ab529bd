"""Observes a service's workload in a container of its image: what it opens, and which pages it
touches.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import tempfile
from pathlib import Path
from typing import Any

from slimbake.checks.limits import Observed, ObservedFile
from slimbake.checks.surroundings import mounting
from slimbake.checks.verify import ARGUMENTS, given
from slimbake.docker.containers import bind, contained, container_output
from slimbake.errors import CheckError, SetupError
from slimbake.host.workspace import Workspace
from slimbake.inside import pyz, zipapp
from slimbake.plan.model import Running, Target

LIMIT = 300.0  # seconds for the workload, from a cold page cache
_GRACE = 120.0  # seconds to look at all files twice
# To become nobody, to read the check in any mode, to ask mincore of files of others, and
# to see what is mapped by a process of another user.
_RIGHTS = ("SETUID", "SETGID", "DAC_READ_SEARCH", "FOWNER", "SYS_PTRACE", "KILL")


def observed(
    image: str,
    service: Running,
    smoke: Target,
    root: Path,
    workspace: Workspace,
    again: bool = False,
) -> Observed:
    """Run a service's smoke and verify in a container of its image, from a cold page cache, and say
    what that took.

    `workspace`: keeps what was observed, by image, checks and programs; `again`: not to be used.
    Raises CheckError where the smoke does not hold, SetupError where it could not be run.
    """
    workloads = _workloads(image, service, root)
    key = f"limits/observed-{_digest(image, smoke, root, workloads)}"
    known = None if again else workspace.read(key, _observed)
    if known is None:
        found = _run(image, service, smoke, root, workloads)
        known = _observed(found)
        workspace.write(key, found)
    return known


def _observed(found: Any) -> Observed:
    files = tuple(ObservedFile(*each) for each in found["files"])
    return Observed(files, found["resident"], found["disturbed"])


def _digest(image: str, smoke: Target, root: Path, workloads: list[dict[str, Any]]) -> str:
    files = [root / smoke.context / name for name in smoke.smoke_files]
    whole = hashlib.sha256(json.dumps([image, workloads]).encode())
    contents = [file.read_bytes() if file.is_file() else b"" for file in files]
    for content in (*contents, zipapp("check")):
        whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()


def _workloads(image: str, service: Running, root: Path) -> list[dict[str, Any]]:
    """What is run in the container, in this order: the smoke, which gives up root itself, and the
    service's verify.
    """
    command = [service.python, "-ISB", "/check.pyz", "smoke", "--as-nonroot"]
    smoke = {"words": command, "stdin": "", "nonroot": False}
    if not service.verify:
        return [smoke]
    verify = {
        "words": [service.python, *ARGUMENTS],
        "stdin": given(service, image, root),
        "nonroot": True,
    }
    return [smoke, verify]


def _as_its_user(image: str, service: Running) -> tuple[str, ...]:
    """What tells the checks as whom to run, where an image has a user of its own."""
    if service.user or not service.own_dockerfile:
        return ()
    asked = "import os; print(os.getuid(), os.getgid(), sep=':')"
    words = ("--network=none", f"--entrypoint={service.python}", image, "-ISBc", asked)
    return (f"--env=SLIMBAKE_USER={container_output(*words).strip()}",)


def _run(
    image: str, service: Running, smoke: Target, root: Path, workloads: list[dict[str, Any]]
) -> dict[str, Any]:
    asked = {"workloads": workloads, "limit": LIMIT}
    words = (
        "--network=none",
        "--user=0:0",
        "--read-only",
        "--cap-drop=ALL",
        *(f"--cap-add={each}" for each in _RIGHTS),
        "--security-opt=no-new-privileges",
        "--tmpfs=/tmp:mode=1777",
        *(f"--tmpfs={path}:mode=1777" for path in service.writable),
        *(f"--env={key}={value}" for key, value in smoke.checked_with),
        *_as_its_user(image, service),
        *mounting(service),
        bind(root / smoke.context, "/inside/context"),
        f"--entrypoint={service.python}",
    )
    name = f"slimbake-limits-{secrets.token_hex(6)}"
    with tempfile.TemporaryDirectory(prefix="slimbake-limits-") as folder:
        program = Path(folder, pyz("check"))
        program.write_bytes(zipapp("check"))
        command = (bind(program, "/check.pyz"), image, "-ISB", "/check.pyz", "observe")
        done = contained(name, (*words, *command), json.dumps(asked), LIMIT + _GRACE)
    if done.code is None:
        raise CheckError(f"the checks of {service.service} do not end within {LIMIT:g} s")
    try:
        found = dict(json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        raise SetupError(
            f"{service.service} could not be observed", done.stderr.strip()[-2000:]
        ) from None
    if found["code"]:
        raise CheckError(
            f"a check of {service.service} failed while it was observed\n{found['words']}"
        )
    return found
