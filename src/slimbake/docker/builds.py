"""Builds by buildx: a bake with its raw events, and single Dockerfiles."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from slimbake.docker.command import call
from slimbake.errors import SetupError
from slimbake.host import process

# Provenance would give each build another digest; the bake file says so too, but not to a linked
# target of 0.13. Left to itself, buildx asks Git seven times for each target: a quarter of the time
# of a bake that builds nothing.
BUILD_ENVIRONMENT = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "BUILDX_GIT_INFO": "0"}

# BuildKit keeps a trace of each build. All targets of a bake are in one, which is written again for
# each target that ends. Where somebody collects traces, they stay.
_TRACING = {} if "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ else {"OTEL_TRACES_EXPORTER": "none"}


def use_builder(name: str) -> None:
    """Build with this builder from here on; one that is another engine's own makes that engine the
    one to talk to.
    """
    os.environ["BUILDX_BUILDER"] = name
    # buildx uses another engine's own builder from its context only
    if name in process.execute(["docker", "context", "ls", "-q"]).stdout.split():
        os.environ |= {"DOCKER_CONTEXT": name, "DOCKER_HOST": ""}


class Bake:
    """A running `docker buildx bake`: its raw events, then its exit code and its other output."""

    def __init__(
        self,
        arguments: Sequence[str],
        root: Path,
        environment: Mapping[str, str],
    ) -> None:
        self.code: int | None = None
        self.text = ""  # lines that are no events: buildx's own errors
        # By the client, as buildx below 0.23 does not read DOCKER_TLS_VERIFY and its like itself.
        self._arguments = ["docker", "buildx", "bake", "--progress=rawjson", *arguments]
        self._root = root
        self._environment = {**_TRACING, **os.environ, **BUILD_ENVIRONMENT, **environment}

    def events(self) -> Generator[dict[str, Any], None, None]:
        """Start the build and yield BuildKit's SolveStatus objects until it ends. Interrupted, it
        cancels the build.
        """
        running = subprocess.Popen(
            self._arguments,
            cwd=self._root,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        lines: list[str] = []
        try:
            with process.ended(running):
                assert running.stderr is not None  # noqa: S101 - for the type checker
                yield from _objects(running.stderr, lines)
                running.wait()
        finally:
            self.code, self.text = running.returncode, "".join(lines)


def _objects(stream: IO[str], rest: list[str]) -> Iterator[dict[str, Any]]:
    """The objects of a stream, one after the other, indented, as rawjson writes them; other lines go to
    `rest`.
    """
    text = ""
    for line in stream:
        text += line
        alone = text == line and line.rstrip().endswith("}")
        if text.startswith("{") and not alone and not line.startswith("}"):
            continue  # within an object
        if text.startswith("{"):
            with contextlib.suppress(ValueError):
                event, end = json.JSONDecoder().raw_decode(text)
                yield event
                text = text[end:].removeprefix("\n")  # 0.13 has the last words of the build there
        rest.append(text)
        text = ""
    rest.append(text)


def build(
    dockerfile: str,
    contexts: Mapping[str, str],
    output: str,
    *,
    arguments: Mapping[str, str] = {},
    labels: Mapping[str, str] = {},
    platform: str = "",
) -> None:
    """Build a Dockerfile; `output`: as buildx takes it, of its last stage.

    `contexts`: name -> folder or image, as bake takes them; there is no other context. `platform`:
    where it is not the builder's own. Raises SetupError with the lines that our programs printed,
    else with the build's last output.
    """
    options = ["--provenance=false", f"--output={output}"]
    options += [f"--build-context={name}={value}" for name, value in contexts.items()]
    options += [f"--build-arg={key}={value}" for key, value in arguments.items()]
    options += [f"--label={key}={value}" for key, value in labels.items()]
    if platform:
        options.append(f"--platform={platform}")
    with tempfile.TemporaryDirectory(prefix="slimbake-build-") as folder:
        Path(folder, "Dockerfile").write_text(dockerfile)
        try:
            call("buildx", "build", *options, folder)
        except SetupError as error:
            printed = [line.partition(" ")[2] for line in error.hint.splitlines()]
            lines = [line for line in printed if "slimbake: " in line]
            text = "\n".join(lines[-4:]) or f"the build failed\n{error.hint[-2000:]}"
            raise SetupError(text) from None
