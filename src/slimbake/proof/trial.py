"""Trials: passes, or damage, on the writable layer of a container of an image without passes, then
its smoke.

A container of its own for each trial is an overlay of its own, which the engine makes and removes.
To build each image instead takes some twenty times as long, most of it for what no trial looks at
(docs/proving.md).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from slimbake.catalogue.model import Applied
from slimbake.checks.surroundings import emulated, foreign
from slimbake.checks.verify import ARGUMENTS
from slimbake.config.naming import PROGRAMS
from slimbake.docker.containers import bind, contained, streamed
from slimbake.errors import SetupError
from slimbake.host import machine
from slimbake.plan.model import Target
from slimbake.proof.model import Damage

CHECK = f"{PROGRAMS}/check.pyz"
# seconds for one trial: more than its smoke and its verify may take together, whose own limits say
# where they hang
TIME_LIMIT = 900.0
SMOKE_LIMIT = 240.0  # seconds for its smoke, as `inside.check.trial` has it
MEMORY_EACH = 2_000_000_000  # bytes that a smoke of torch may take beside another
# bytes that a trial may take: a machine of 8 GB lives when a smoke eats all of them
MEMORY = 4_000_000_000
END = "end"  # the last member of what is weighed
TRIAL = "slimbake.trial"  # the label of its container
# To remove, then to judge nobody, and to look at what it has mapped.
_RIGHTS = ("SETUID", "SETGID", "DAC_OVERRIDE", "FOWNER", "KILL", "SYS_PTRACE")


@dataclass(frozen=True, slots=True)
class Subject:
    """An image without passes, and the smoke that it is tried with."""

    service: str
    image: str  # its id
    smoke: Target
    root: Path
    # what its verify is given, as `slimbake.checks.verify.question` says it; "" where it has none
    verify: str = ""
    platform: str = ""  # of the image, where that is not this machine's
    mounts: tuple[str, ...] = ()  # the options of `docker run` for what it mounts

    @property
    def digest(self) -> str:
        """Changes with the image, the smoke, what it is compared with, and check.pyz."""
        files = [self.root / self.smoke.context / name for name in self.smoke.smoke_files]
        files += [self.root / CHECK]
        whole = hashlib.sha256("".join((self.image, *self.mounts)).encode())
        for file in files:
            whole.update(hashlib.sha256(file.read_bytes() if file.is_file() else b"").digest())
        return whole.hexdigest()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial."""

    held: bool
    # that failed: apply, import, load, parity, run (it could not be run), time, memory; "" where it
    # held
    level: str
    error: str  # the last words of what failed
    levels: Mapping[str, float]  # those that held, in seconds
    # of the sources of packages that it imports, by bytes, the part that has no bytecode
    compiled: float = 0.0
    packages: Mapping[str, int] = field(default_factory=dict)  # that it imports: bytes
    # the extension modules that it imports: bytes
    libraries: Mapping[str, int] = field(default_factory=dict)
    files: int = 0  # that the passes removed or changed
    bytes: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def trial(
    subject: Subject,
    passes: Sequence[Applied],
    damage: Sequence[Damage] = (),
    *,
    restored: Path | None = None,
    held_out: bool = False,
    environment: Mapping[str, str] = {},
    time_limit: float = TIME_LIMIT,
    memory: int = MEMORY,
) -> Outcome:
    """Apply passes to a subject, harm it, run its smoke. Raises SetupError where the engine fails.

    `restored`: a tar of files that are put back before, as `weighed` gives them for one pass;
    `held_out`: where the smoke holds, the service's verify runs as well.
    """
    times = emulated(subject.platform)
    slow = {"SLIMBAKE_LIMIT": str(SMOKE_LIMIT * times)} if subject.platform else {}
    asked = {
        "passes": [each.as_json() for each in passes],
        "damage": [asdict(each) for each in damage],
        "env": {**environment, **slow},
        "restore": restored is not None,
        "verify": {"arguments": ARGUMENTS, "stdin": subject.verify}
        if held_out and subject.verify
        else None,
    }
    mounted = (bind(restored, "/inside/restored.tar"),) if restored else ()
    name = f"slimbake-trial-{secrets.token_hex(6)}"
    time_limit *= times
    said = contained(
        name, (*mounted, *words(subject, "try", memory)), json.dumps(asked), time_limit
    )
    if said.code is None:
        return Outcome(False, "time", f"no end within {time_limit:g} s", {})
    if said.out_of_memory:
        return Outcome(False, "memory", f"it took more than {memory / 1e9:.1f} GB of memory", {})
    lines = said.stdout.splitlines()
    try:
        return Outcome(**json.loads(lines[-1]))
    except (IndexError, ValueError, TypeError):
        raise SetupError(
            f"a trial of {subject.service} could not be run", said.stderr.strip()[-2000:]
        ) from None


def workers() -> int:
    """How many trials the machine bears at once."""
    return max(1, min(os.cpu_count() or 1, machine.memory() // MEMORY_EACH))


def most_memory() -> int:
    """Bytes that a trial may take which nothing else runs beside."""
    return max(MEMORY, machine.memory() // 2)


Members = Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]


@contextlib.contextmanager
def weighed(subject: Subject, passes: Sequence[Applied]) -> Iterator[Members]:
    """What each pass removes or changes, as members of a tar; `inside/check/trial.py` names them.

    Raises SetupError where the container fails, and where what it tells breaks off: tarfile takes
    that for the end.
    """
    asked = json.dumps({"passes": [each.as_json() for each in passes]})
    name = f"slimbake-weigh-{secrets.token_hex(6)}"
    try:
        with streamed(name, words(subject, "weigh"), asked) as stream:
            yield _members(stream)
    except tarfile.TarError as error:
        raise SetupError(
            f"what passes do to {subject.service} was not reported to the end: {error}", "try again"
        ) from None


def _members(stream: IO[bytes]) -> Members:
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            if member.name == END:
                return
            yield member, tar.extractfile(member)
            tar.members = []  # type: ignore[attr-defined]  # of 30,000 nobody asks twice
    raise tarfile.ReadError("no end")


def words(subject: Subject, program: str, memory: int = MEMORY) -> tuple[str, ...]:
    """The arguments of `docker run` for a program of check.pyz that tries passes on a subject."""
    return (
        "--network=none",
        *foreign(subject.platform),
        "--user=0:0",
        "--cap-drop=ALL",
        *(f"--cap-add={right}" for right in _RIGHTS),
        "--security-opt=no-new-privileges",
        f"--memory={memory}",
        f"--memory-swap={memory}",
        "--pids-limit=1024",
        "--tmpfs=/tmp:mode=1777",
        f"--label={TRIAL}=true",
        *(f"--env={key}={value}" for key, value in subject.smoke.checked_with),
        *subject.mounts,
        bind(subject.root / CHECK, "/check.pyz"),
        bind(subject.root / subject.smoke.context, "/inside/context"),
        "--entrypoint=python",
        subject.image,
        "-ISB",  # as a bake runs its checks: the image's variables are for the smoke alone
        "/check.pyz",
        program,
    )
