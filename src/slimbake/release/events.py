"""What buildx says while it builds: events as changes of steps, and the target that each step belongs to. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from slimbake.checks.cure import cure
from slimbake.checks.missing import missing_module
from slimbake.console import harmless
from slimbake.errors import BuildError, CheckError, SetupError, SlimbakeError
from slimbake.inside.fates import LOST_FILES
from slimbake.plan.model import CHECKS, Plan, Target

State = Literal["running", "done", "cached", "failed", "cancelled"]


@dataclass(slots=True)
class Vertex:
    """A step that is being built."""

    step: BuildStep
    state: State = "running"
    started: float = 0.0  # seconds since the epoch, by the builder's clock
    seconds: float = 0.0
    error: str = ""
    log: list[str] = field(default_factory=list)
    # stream -> what it wrote after its last newline
    unended: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VertexChange:
    """A step that began, ended, or said a line."""

    vertex: Vertex
    line: str = ""


class Progress:
    """All steps of one build, by BuildKit's digests of them."""

    def __init__(self, steps: Steps, only: str = "") -> None:
        self.vertices: dict[str, Vertex] = {}
        self._steps, self._only = steps, only
        # target -> the digests of the steps that its build names, and of those that they need
        self._named: dict[str, set[str]] = {}
        self._inputs: dict[str, set[str]] = {}

    def take(self, event: dict[str, Any]) -> Iterator[VertexChange]:
        """Take in one SolveStatus and yield what it changes."""
        for vertex in event.get("vertexes") or ():
            if target := self._steps.built(vertex["name"], self._only):
                self._named.setdefault(target, set()).add(vertex["digest"])
                self._inputs.setdefault(target, set()).update(vertex.get("inputs") or ())
            if "started" in vertex:
                yield from self._vertex(vertex)
        for log in event.get("logs") or ():
            logged_vertex = self.vertices.get(log.get("vertex", ""))
            if logged_vertex:
                yield from _lines(
                    logged_vertex, log.get("stream", 1), base64.b64decode(log.get("data", ""))
                )

    def finished(self, target: str) -> bool:
        """Whether the last steps of a target, which no other step of it needs, have ended well.

        BuildKit names all steps of a target before it runs the first, those of what it needs
        included. Steps before the last need never run: they may be cached.
        """
        last = self._named.get(target, set()) - self._inputs.get(target, set())
        for digest in last:
            vertex = self.vertices.get(digest)
            if vertex is None or vertex.state not in ("done", "cached"):
                return False
        return bool(last)

    @property
    def ran(self) -> frozenset[str]:
        """The targets of which a step ran."""
        targets = set()
        for vertex in self.vertices.values():
            if vertex.state == "done" and vertex.step.instruction:
                targets.add(vertex.step.target)
        return frozenset(targets)

    @property
    def failed(self) -> Vertex | None:
        """The step that broke the build: of those that failed, the one that ended first.

        What runs beside it is cancelled then, and a process that is killed may end as one that
        failed of itself.
        """
        failed = []
        for vertex in self.vertices.values():
            # A build goes on without a cache that is not there, as at first.
            if vertex.state == "failed" and not vertex.step.title.startswith("importing cache "):
                failed.append(vertex)
        return min(failed, key=lambda vertex: vertex.started + vertex.seconds, default=None)

    def _vertex(self, event: dict[str, Any]) -> Iterator[VertexChange]:
        digest = event["digest"]
        if digest not in self.vertices:
            self.vertices[digest] = Vertex(self._steps.step(event["name"], self._only))
        vertex = self.vertices[digest]
        started = _seconds(event["started"])
        begins_again = "completed" not in event and vertex.state != "running"
        if begins_again and started <= vertex.started + vertex.seconds:
            # The build of each target that needs a step tells all of it again, also much later. One
            # that was cancelled for one target may begin again for another.
            return
        new = not vertex.started
        vertex.started = started
        if "completed" in event:
            for stream in tuple(vertex.unended):
                yield from _lines(vertex, stream, b"\n")
            vertex.seconds = _seconds(event["completed"]) - started
            vertex.error = event.get("error") or vertex.error
        state = _state(event)
        if new or state != vertex.state:
            vertex.state = state
            yield VertexChange(vertex)


def _state(event: dict[str, Any]) -> State:
    if "completed" not in event:
        return "running"
    error = event.get("error")
    if error:
        if "context canceled" in error:
            return "cancelled"
        return "failed"
    return "cached" if event.get("cached") else "done"


def _lines(vertex: Vertex, stream: int, written: bytes) -> Iterator[VertexChange]:
    """The lines that end with these bytes: BuildKit sends what a process writes, whole lines or
    not.
    """
    *ended, rest = (vertex.unended.pop(stream, b"") + written).split(b"\n")
    if rest:
        vertex.unended[stream] = rest
    for line in ended:
        vertex.log.append(harmless(line.decode(errors="replace").rstrip("\r")))
        yield VertexChange(vertex, vertex.log[-1])


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp[:26].rstrip("Z") + "+00:00").timestamp()


EXPORTS = "exporting to "  # how BuildKit's names begin of what puts an image out
_NAME = re.compile(r"^\[(?P<label>[^\] ]+)(?: (?P<stage>[^\]]+))?\] (?P<text>.*)$", re.DOTALL)
_PROGRAM = re.compile(r'"/(?:make|check|export)\.pyz", (?P<words>".*)\]$')


@dataclass(frozen=True, slots=True)
class BuildStep:
    """One step of the build as a person knows it."""

    target: str  # "" = of no target: buildx itself
    title: str
    instruction: str


class Steps:
    """The steps of a plan's Dockerfiles, by their text."""

    def __init__(self, plan: Plan, dockerfiles: Mapping[str, str]) -> None:
        """`dockerfiles`: path -> text, of the targets that are built."""
        self._plan = plan
        self._names = {target.name for target in plan.targets}
        self._owners: dict[str, list[str]] = {}
        for target in plan.targets:
            for instruction in _instructions(dockerfiles.get(target.dockerfile, "")):
                for name, value in target.args:  # BuildKit names steps so
                    instruction = instruction.replace(f"${{{name}}}", value)
                self._owners.setdefault(instruction, []).append(target.name)

    def built(self, name: str, only: str = "") -> str:
        """The target in whose build BuildKit names a step so; "" for what is no part of its result:
        what buildx reads, and what it puts out.
        """
        target, stage = self._place(name, only)
        if stage and not stage.startswith(("internal", "context")):
            return target
        return ""

    def step(self, name: str, only: str = "") -> BuildStep:
        """A step by BuildKit's name for it. `only`: the target that is built alone, which buildx
        then leaves out.
        """
        match = _NAME.match(name)
        if not match:
            target = only if name.startswith(EXPORTS) else ""
            return BuildStep(target, name, "")
        text = match["text"]
        target, stage = self._place(name, only)
        if target not in self._names:
            return BuildStep("", text, "")
        if stage.startswith("internal"):
            return BuildStep(target, text, "")
        if stage.startswith("context"):
            return BuildStep(target, f"{stage}: {text}", "")
        needed = {need.name for need in self._plan.needed((target,))}
        for owner in self._owners.get(text, ()):
            if owner in needed:
                return BuildStep(owner, title(text), text)
        return BuildStep(target, title(text), "")

    def _place(self, name: str, only: str) -> tuple[str, str]:
        """The target and the stage in BuildKit's name for a step."""
        match = _NAME.match(name)
        if not match:
            return "", ""
        label = match["label"]
        stage = match["stage"] or ""
        if label in self._names:
            return label, stage
        return only, f"{label} {stage}".strip()


def title(instruction: str) -> str:
    """An instruction in a few words: the program that it runs, or its first line."""
    if program := _PROGRAM.search(instruction):
        try:
            return " ".join(json.loads(f"[{program['words']}]"))
        except ValueError:  # BuildKit has taken `\` away, as a shell would
            return program["words"].replace('", "', " ").strip('"')
    return " ".join(instruction.split())


def _instructions(dockerfile: str) -> list[str]:
    """The instructions as BuildKit names them: continued lines put together, comments left out."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(lines).replace("\\\n", "").splitlines()


LAST_LINES = 20

_ROOM = "`slimbake prune` frees what slimbake holds; `slimbake doctor` shows the disk"
_CERTIFICATE = "the index has a certificate of its own: set SSL_CERT_FILE to your bundle"
_PRUNED = "parent snapshot sha256:"  # how containerd names a layer that it does not have

_ADVICE = (
    ("space left on device", _ROOM),
    # BuildKit could not write the layer, and what it falls back to knows no zstd
    (
        "unsupported diff media type",
        f"the builder could not write a layer, as when its disk is full: {_ROOM}",
    ),
    (
        "ash mismatch",
        "a wheel is not what the lock says: `slimbake lock --fetch` downloads it again",
    ),
    ("the index has sha256", "if you trust the index: `slimbake lock --upgrade PACKAGE`"),
    (
        "failed to calculate checksum of ref",
        "what it copies is not there: see `source` of `copy` in the manifest, or COPY of a Dockerfile",
    ),
    (
        "failed to resolve source metadata",
        "an external image cannot be pulled: see `slimbake doctor`",
    ),
    (
        'exec: "python3": executable file not found',
        "a smoke is Python and runs in the image: install python3 there, or remove `smoke`",
    ),
    (
        "exec format error",
        "this engine does not run programs of that platform: it needs QEMU in binfmt_misc",
    ),
    ("exit code: 137", "it was killed, as where memory ran out: give the engine or builder more"),
    ("exit code: 132", "it needs an instruction that this CPU does not have: build on a newer one"),
    ("no such host", "a name cannot be resolved: see `slimbake doctor`"),
    ("invalid peer certificate", _CERTIFICATE),
    ("CERTIFICATE_VERIFY_FAILED", _CERTIFICATE),
    ("No solution found", "the lock and the index disagree: `slimbake lock`"),
    ('exec: "python"', "the image has no `python` on its PATH"),
    ("Cannot connect to the Docker daemon", "the engine ended: start it again"),
    (
        _PRUNED,
        "the engine lost a layer that this build needs, as when `prune` runs meanwhile: run it"
        " again",
    ),
)


# BuildKit waits 5 s for each of a bake's sessions to open, and not for ever for the record of a
# build that it writes beside the image, which a busy machine may need longer for; one that is late
# finds its build gone; nor does buildx wait for ever for a busy engine to answer at all. Another
# session may prune a layer between its lookup and its use.
_TRANSIENT = re.compile(
    r"DeadlineExceeded: (?:[a-z ]+: )?context deadline exceeded|no active session|no such job"
    r"|driver not connecting"
    rf"|{_PRUNED}\w+ does not exist"
)


def transient(vertex: Vertex, text: str) -> bool:
    """Whether a build broke for no fault of any target, so that the same build may well go on."""
    return bool(_TRANSIENT.search(f"{vertex.error}{text}"))


def _counted(plan: Plan, log: Sequence[str]) -> Target | None:
    """The inventory that its log names: buildx may show it under the name of one that needs it."""
    for target in plan.targets:
        if target.kind == "inventory" and f"inventory of {target.checked}" in log:
            return target
    return None


def failure(plan: Plan, vertex: Vertex, text: str) -> tuple[SlimbakeError, str]:
    """The error to report, and the target that is at fault ("" = none: the engine, or buildx
    itself).
    """
    step = vertex.step
    last = vertex.log[-LAST_LINES:]
    log = "\n".join(f"  {line}" for line in last)
    advice = _advice(f"{log}{vertex.error}{text}")
    if not step.target:
        reason = (vertex.error or text).strip()
        kind = SetupError if "daemon" in reason else BuildError
        return kind(f"buildx failed\n{reason}", advice), ""
    target = plan.target(step.target)
    cause = vertex.error.rpartition("did not complete successfully: ")[2]
    error: SlimbakeError
    counted = _counted(plan, vertex.log) if target.kind == "inventory" else None
    if counted:
        target = counted
        error = CheckError(
            f"the inventory of {target.checked} failed ({cause}); no tag has moved\n{log}".rstrip(),
        )
    elif target.kind == "layer" and LOST_FILES in log:
        error = CheckError(
            f"{target.name} has lost files of packages; no tag has moved\n{log}".rstrip(),
            "`slimbake why` lists what is done to layers; `optimize: false` turns it off",
        )
    elif target.kind in CHECKS and step.instruction:
        for service in plan.running((target.service,)):
            advice = advice or cure(last, service)
        error = CheckError(
            f"the {target.kind} of {target.service} failed ({cause}); its tag stays where it was\n"
            f"{log}".rstrip(),
            advice or f"`slimbake debug {target.service}` gives a shell in the image",
        )
    else:
        # A step may run a program that slimbake's images lack, such as pip.
        for service in plan.running((target.service,)):
            advice = advice or missing_module(last, service)
        error = BuildError(
            f"{target.name} does not build: {step.title}: {cause}\n{log}".rstrip(), advice
        )
    return error, target.name


def _advice(text: str) -> str:
    for sign, hint in _ADVICE:
        if sign in text:
            return hint
    return ""
