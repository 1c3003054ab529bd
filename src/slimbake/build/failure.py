"""What a broken build means: whose fault, the last lines, what to try. Pure."""

from __future__ import annotations

from slimbake.build.events import Vertex
from slimbake.errors import BuildError, CheckError, SetupError, SlimbakeError
from slimbake.plan.model import CHECKS, Plan

LAST_LINES = 20

_ADVICE = (
    (
        "no space left on device",
        "`slimbake prune` frees what slimbake holds; `slimbake doctor` shows the disk",
    ),
    ("ash mismatch", "a wheel is not what the lock says: `slimbake fetch --rehash` brings it anew"),
    ("the index has sha256", "if you trust the index: `slimbake lock --upgrade PACKAGE`"),
    (
        "failed to resolve source metadata",
        "an external image cannot be pulled: see `slimbake doctor`",
    ),
    (
        "exec format error",
        "this engine does not run programs of that platform: it needs QEMU in binfmt_misc",
    ),
    ("no such host", "a name cannot be resolved: see `slimbake doctor`"),
    (
        "invalid peer certificate",
        "the index has a certificate of its own: set SSL_CERT_FILE to your bundle",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "the index has a certificate of its own: set SSL_CERT_FILE to your bundle",
    ),
    ("No solution found", "the lock and the index disagree: `slimbake lock`"),
    ('exec: "python"', "the image has no `python` on its PATH"),
    ("Cannot connect to the Docker daemon", "the engine ended: `slimbake setup`"),
)


# BuildKit waits 5 s for each of a bake's sessions to open, which a busy machine may need longer
# for.
_TRANSIENT = ("DeadlineExceeded: context deadline exceeded", "no active session")


def transient(vertex: Vertex, text: str) -> bool:
    """Whether a build broke for no fault of any target, so that the same build may well go on."""
    return any(sign in f"{vertex.error}{text}" for sign in _TRANSIENT)


# gRPC's words for a connection that ended, and Go's for one that never was.
_LOST = (
    "code = Unavailable",
    "transport is closing",
    "error reading from server",
    "connection refused",
    "connection reset by peer",
    "broken pipe",
    "no running buildkit pods",
)


def lost(vertex: Vertex) -> bool:
    """Whether a step broke because the builder was gone, whatever it was about."""
    return not vertex.log and any(sign in vertex.error for sign in _LOST)


def failure(plan: Plan, vertex: Vertex, text: str) -> tuple[SlimbakeError, str]:
    """The error to report, and the target that is at fault ("" = none: the engine, or buildx
    itself).
    """
    step = vertex.step
    log = "\n".join(f"  {line}" for line in vertex.log[-LAST_LINES:])
    advice = next((hint for sign, hint in _ADVICE if sign in f"{log}{vertex.error}{text}"), "")
    if not step.target:
        words = (vertex.error or text).strip()
        return (SetupError if "daemon" in words else BuildError)(
            f"buildx failed\n{words}", advice
        ), ""
    target = plan.target(step.target)
    cause = vertex.error.rpartition("did not complete successfully: ")[2]
    if target.kind == "control" and target.service and step.instruction:
        error: SlimbakeError = CheckError(
            f"the parity of {target.service} is too weak: a model that is harmed keeps all"
            f" limits\n{log}".rstrip(),
            "take more texts, or closer limits",
        )
    elif target.kind in CHECKS and step.instruction:
        error = CheckError(
            f"the {target.kind} of {target.service} does not hold ({cause}); its tag stays where it"
            f" was\n{log}".rstrip(),
            advice or f"`slimbake debug {target.service}` gives a shell in the image",
        )
    else:
        error = BuildError(
            f"{target.name} does not build: {step.title}: {cause}\n{log}".rstrip(), advice
        )
    return error, target.name
