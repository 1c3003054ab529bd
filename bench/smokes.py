"""Runs the services' smokes in the baselines' images: a baseline that does not work is none."""

from __future__ import annotations

from pathlib import Path

from bench.setting import Setting
from bench.timed import FailedError, run, say

from slimbake.config.naming import PROGRAMS


def working(setting: Setting, repository: str, services: tuple[str, ...]) -> dict[str, bool]:
    """Whether each service's smoke holds in its image, run as slimbake runs it in its own: no
    network, no root.
    """
    return {
        service: _works(setting, f"{repository}/{service}:latest", service) for service in services
    }


def _works(setting: Setting, image: str, service: str) -> bool:
    target = setting.plan.target(f"{service}-smoke")
    program = setting.root / PROGRAMS / "check.pyz"
    context = setting.root / setting.plan.target(service).context
    words = [
        "--rm",
        "--network",
        "none",
        "--read-only",
        "--tmpfs",
        "/tmp",  # noqa: S108
        "--entrypoint",
        "python",
    ]
    for name, value in target.args:
        words += ["--env", f"{name}={value}"]
    words += [
        "--volume",
        f"{program}:/check.pyz:ro",
        "--volume",
        f"{context}:/inside/context:ro",
    ]
    try:
        done = run(["docker", "run", *words, image, "/check.pyz", "smoke"], Path("/"))
    except FailedError as error:
        say(str(error))
        return False
    say(f"  smoke of {image} passed{f' ({done.seconds:.1f} s)' if done else ''}")
    return True
