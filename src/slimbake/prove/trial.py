"""Trials: passes, or damage, on the writable layer of a container of an image without passes, then its smoke.

A container of its own for each trial is an overlay of its own, which the engine makes and removes. To build each
image instead takes some twenty times as long, most of it for what no trial looks at (docs/proving.md).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from slimbake import docker
from slimbake.errors import SetupError
from slimbake.inside.passes import Pass
from slimbake.plan.model import Target
from slimbake.plan.targets import INSIDE

PROGRAMS = ("trial.py", "passes.py", "ledger.py", "smoke.py")
TIME_LIMIT = 300.0  # seconds for one trial; the smoke's own limit is shorter, and says where it hangs
MEMORY = "4g"  # of a trial; it leaves a machine of 8 GB alive when a smoke eats all that it can get
TRIAL = "slimbake.trial"  # the label of its container
_RIGHTS = ("SETUID", "SETGID", "DAC_OVERRIDE", "FOWNER")  # to remove, then to become nobody


@dataclass(frozen=True, slots=True)
class Damage:
    """Harm to the files that an absolute glob names, for a control: to remove, corrupt or replace them."""

    how: str
    glob: str


@dataclass(frozen=True, slots=True)
class Subject:
    """An image without passes, and the smoke that it is tried with."""

    service: str
    image: str  # its id
    smoke: Target
    root: Path
    tools: str = ""  # a folder with binutils, for passes that strip

    @property
    def digest(self) -> str:
        """Changes with the image, the smoke, what it is compared with, and the programs that try it."""
        arguments = dict(self.smoke.args)
        context = self.root / self.smoke.context
        files = [context / arguments["SMOKE"], context / arguments.get("REFERENCE", "reference.json")]
        files += [self.root / INSIDE / name for name in PROGRAMS]
        whole = hashlib.sha256(self.image.encode())
        for file in files:
            whole.update(hashlib.sha256(file.read_bytes() if file.is_file() else b"").digest())
        return whole.hexdigest()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial."""

    held: bool
    level: str  # that failed: apply, import, load, parity, run (it could not be run), time, memory; "" where it held
    error: str  # the last words of what failed
    levels: Mapping[str, float]  # those that held, in seconds
    files: int = 0  # that the passes removed or changed
    bytes: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def trial(
    subject: Subject,
    passes: Sequence[Pass],
    damage: Sequence[Damage] = (),
    *,
    environment: Mapping[str, str] = {},
    time_limit: float = TIME_LIMIT,
) -> Outcome:
    """Apply passes to a subject, harm it, run its smoke. Raises SetupError where the engine fails."""
    asked = {
        "passes": [asdict(each) for each in passes],
        "damage": [asdict(each) for each in damage],
        "env": dict(environment),
    }
    name = f"slimbake-trial-{secrets.token_hex(6)}"
    try:
        said = docker.contained(name, words(subject), ("smoke",), json.dumps(asked), time_limit)
    except docker.OutOfTime:
        return Outcome(False, "time", f"no end within {time_limit:g} s", {})
    if said.memory:
        return Outcome(False, "memory", f"it took more than {MEMORY} of memory", {})
    lines = said.stdout.splitlines()
    try:
        return Outcome(**json.loads(lines[-1]))
    except (IndexError, ValueError, TypeError):
        raise SetupError(f"a trial of {subject.service} could not be run", said.stderr.strip()[-2000:]) from None


@contextlib.contextmanager
def weighed(subject: Subject, passes: Sequence[Pass]) -> Iterator[tarfile.TarFile]:
    """What each pass removes or changes, as a tar stream (`inside/trial.py` says how its members are called)."""
    asked = json.dumps({"passes": [asdict(each) for each in passes]})
    with docker.streamed((*words(subject), "weigh"), asked) as stream:
        yield tarfile.open(fileobj=stream, mode="r|")


def words(subject: Subject, program: Path | None = None) -> tuple[str, ...]:
    """What `docker run` is told for a trial of a subject, or for another program beside those of a trial."""
    arguments = dict(subject.smoke.args)
    return (
        "--network=none", "--user=0:0", "--cap-drop=ALL", *(f"--cap-add={right}" for right in _RIGHTS),
        "--security-opt=no-new-privileges", f"--memory={MEMORY}", f"--memory-swap={MEMORY}", "--pids-limit=1024",
        "--tmpfs=/tmp:mode=1777", f"--label={TRIAL}=true",
        *(f"--env={key}={value}" for key, value in arguments.items() if key in ("SMOKE", "REFERENCE")),
        *(f"--volume={subject.root / INSIDE / name}:/inside/{name}:ro" for name in PROGRAMS),
        f"--volume={subject.root / subject.smoke.context}:/inside/context:ro",
        *((f"--volume={subject.tools}:/inside/tools:ro",) if subject.tools else ()),
        *((f"--volume={program}:/inside/{program.name}:ro",) if program else ()),
        "--entrypoint=python", subject.image, f"/inside/{program.name if program else 'trial.py'}",
    )  # fmt: skip
