"""Rules of the steps of `build`; nothing here reads a file."""

from __future__ import annotations

import posixpath
from typing import Any

from slimbake.config.document import KeyPath
from slimbake.config.names import IMAGE, IMAGE_FORM
from slimbake.config.report import ProblemReport, did_you_mean

Raw = dict[str, Any]


def steps(services: Raw, report: ProblemReport) -> None:
    """Report what is wrong with the steps of services."""
    for name, service in services.items():
        for index, step in enumerate(service.get("build", ())):
            if isinstance(step, dict):
                _step(step, service, ("services", name, "build", index), report)


def _step(step: Raw, service: Raw, at: KeyPath, report: ProblemReport) -> None:
    image = step.get("image")
    if image is not None and not IMAGE.fullmatch(image):
        report.value((*at, "image"), f"'{image}' is no image reference", IMAGE_FORM)
    if image is None and "context" in step:
        message = "a step without `image` runs in the service's own folder"
        report.key((*at, "context"), message, "remove it, or name the image that it runs in")
    for index, path in enumerate(step.get("outputs", ())):
        if path is not None and _leads_out(path):
            message = f"'{path}' is not a path below the folder that the command runs in"
            report.value((*at, "outputs", index), message, "such as static or dist/app.js")
    known = service.get("secrets", {})
    for index, secret in enumerate(step.get("secrets", ())):
        if secret is not None and secret not in known:
            hint = did_you_mean(secret, known) or "add it to the `secrets` of the service"
            report.value((*at, "secrets", index), f"unknown secret '{secret}'", hint)


def _leads_out(path: str) -> bool:
    clean = posixpath.normpath(path)
    return path.startswith("/") or "\\" in path or clean in (".", "..") or clean.startswith("../")
