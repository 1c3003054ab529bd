"""Builds by buildx: a bake with its raw events, and single Dockerfiles."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from slimbake.docker.command import client
from slimbake.errors import SetupError
from slimbake.host import process

# Provenance would give each build another digest; the bake file says so too, but not to a linked
# target of 0.13. For provenance too, buildx asks Git seven times for each target: a quarter of the
# time of a bake that builds nothing.
BUILD_ENVIRONMENT = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "BUILDX_GIT_INFO": "0"}


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
        self._environment = {**os.environ, **BUILD_ENVIRONMENT, **environment}

    def events(self) -> Generator[dict[str, Any], None, None]:
        """Start the build and yield BuildKit's SolveStatus objects until it ends. Interrupted, it
        cancels the build.
        """
        # Not python-on-whales: it returns BuildKit's progress as text only.
        try:
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
        except FileNotFoundError:
            raise SetupError(
                "docker is not installed", "`slimbake doctor` says how to install it"
            ) from None
        lines: list[str] = []
        try:
            with running:
                assert running.stderr is not None  # noqa: S101 - for the type checker
                yield from _objects(running.stderr, lines)
        finally:
            _end(running)
            self.code, self.text = running.returncode, "".join(lines)


def _end(running: subprocess.Popen[str]) -> None:
    if running.poll() is None:
        running.send_signal(signal.SIGTERM)  # a child of a background job ignores SIGINT
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(10)
    if running.poll() is None:
        running.kill()
        running.wait()


def _objects(stream: IO[str], rest: list[str]) -> Iterator[dict[str, Any]]:
    """Objects that stand one after the other, indented, as rawjson writes them; other lines go to
    `rest`.
    """
    block: list[str] = []
    for line in stream:
        if not block and not line.startswith("{"):
            rest.append(line)
            continue
        block.append(line)
        if line.startswith("}") or (len(block) == 1 and line.rstrip().endswith("}")):
            try:
                yield json.loads("".join(block))
                block = []
            except ValueError:
                # 0.13 writes the last words of the build behind the closing brace of an object.
                end = line.find("}") + 1
                with contextlib.suppress(ValueError):
                    yield json.loads("".join((*block[:-1], line[:end])))
                rest.append(line[end:])
                block = []
    rest.extend(block)


def build_files(
    dockerfile: str,
    contexts: Mapping[str, str],
    arguments: Mapping[str, str],
    target: Path,
    platform: str = "",
) -> None:
    """Build a Dockerfile and write the files of its last stage to the folder `target`.

    `contexts`: name -> folder or image, as bake takes them; there is no other context. Raises
    SetupError with the lines that our programs printed, else with the build's last output.
    """
    output = {"type": "local", "dest": str(target)}
    try:
        _build(dockerfile, output, contexts, arguments, platforms=[platform] if platform else None)
    except SetupError as error:
        lines = [line.partition(" ")[2] for line in error.hint.splitlines() if "slimbake: " in line]
        raise SetupError(
            "\n".join(lines[-4:]) or f"the build failed\n{error.hint[-2000:]}"
        ) from None


def build_image(
    dockerfile: str,
    name: str,
    contexts: Mapping[str, str],
    *,
    labels: Mapping[str, str] = {},
    arguments: Mapping[str, str] = {},
    platforms: Iterable[str] = (),
) -> None:
    """Build a Dockerfile into an image of the engine, for its own platform unless others are given.

    `contexts`: as for `build_files`. Its layers stay uncompressed: such an image is never pushed.
    Raises SetupError with the build's output.
    """
    output = {"type": "image", "name": name, "compression": "uncompressed"}
    on = sorted(platforms) or None
    _build(dockerfile, output, contexts, arguments, labels=labels, platforms=on)


def _build(
    dockerfile: str,
    output: Mapping[str, str],
    contexts: Mapping[str, str],
    arguments: Mapping[str, str],
    *,
    labels: Mapping[str, str] = {},
    platforms: list[str] | None,
) -> None:
    with tempfile.TemporaryDirectory(prefix="slimbake-build-") as folder, client() as docker:
        Path(folder, "Dockerfile").write_text(dockerfile)
        docker.buildx.build(
            folder,
            build_args=dict(arguments),
            build_contexts=dict(contexts),
            labels=dict(labels),
            output=dict(output),
            platforms=platforms,
            progress=False,  # its text is what an error says
            provenance=False,
        )
